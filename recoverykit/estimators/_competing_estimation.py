"""Fit a competing-outcomes model: climbs from several starts, and what the data leave open.

Private to ``competing_outcomes``.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recoverykit.errors import ConvergenceError
from recoverykit.estimators._competing_boundary import describe_boundary, shape_limits
from recoverykit.estimators._competing_data import Problem
from recoverykit.estimators._competing_kernels import evaluate, row_scores
from recoverykit.estimators._competing_layout import CompetingData, cut_blocks
from recoverykit.estimators._competing_starts import starting_points
from recoverykit.estimators._maximum import (
    clustered_covariance,
    invert_information,
    scaled_objective,
    with_last_step,
    worth_finishing,
)
from recoverykit.estimators._mixture_estimation import Estimate
from recoverykit.estimators._mixture_sandwich import ClusterIndex
from recoverykit.estimators._mixture_thinning import every_kth
from recoverykit.estimators._optimise import AGREEMENT, Climb, climb, climb_all

Array = NDArray[np.float64]

#: Starts are explored on at most this many terms; the best are then climbed to the end on all of them.
_EXPLORED_TERMS = 5_000
_EXPLORE_TOLERANCE = 1e-4
_EXPLORE_ITERATIONS, _ITERATIONS = 60, 200
_POLISH_RADIUS = 0.5
#: Predictors of a thinned search beyond this are taken back to the first start.
_FAR_OUT = 8.0


def estimate(problem: Problem, *, progress: bool) -> Estimate:
    """Find the maximum of the likelihood from several starts.

    Parameters
    ----------
    problem : Problem
    progress : bool
        Whether to show a progress bar over the starts.

    Raises
    ------
    ConvergenceError
        If no start reaches a maximum.
    InsufficientDataError
        If some episodes separate from those with an outcome.
    """
    scaling, unscaling = problem.map, np.linalg.inv(problem.map)
    starts = [unscaling @ start for start in starting_points(problem)]
    thinned = _thinned(problem.data)
    same_data = thinned is problem.data
    explored = climb_all(
        scaled_objective(lambda theta: evaluate(theta, thinned), scaling),
        starts,
        tolerance=_EXPLORE_TOLERANCE,
        max_iterations=_EXPLORE_ITERATIONS,
        progress=progress,
    )
    objective = scaled_objective(lambda theta: evaluate(theta, problem.data), scaling)
    finished = []
    for c in worth_finishing(explored, same_data=same_data):
        start, at = (c.position, c.at) if same_data else (c.position, None)
        if not same_data and _furthest(problem, scaling @ start) > _FAR_OUT:
            start = starts[0]  # so far out nothing pulls back, and a boundary of the sample is not one of the data
        top = climb(objective, start, at=at, max_iterations=_ITERATIONS, radius=_POLISH_RADIUS)
        top = with_last_step(objective, top)
        steps = top.n_iterations + c.n_iterations
        finished.append((replace(top, n_iterations=steps), top.at.value if same_data else c.at.value))
    reached = [pair for pair in finished if pair[0].converged]
    if not reached:
        raise _not_converged(problem, explored)
    best, mark = max(reached, key=lambda pair: pair[0].at.value)
    n_agreed = sum(abs(c.at.value - mark) < AGREEMENT for c in explored)
    return _describe(problem, scaling, best, n_starts=len(starts), n_agreed=max(n_agreed, 1))


def _furthest(problem: Problem, theta: Array) -> float:
    """Return the largest log odds of an outcome against the reference, either way, in any episode."""
    design, layout = problem.data.designs[0], problem.data.layout
    parts = [layout.parts[place].slice for place in layout.incidence if place is not None]
    return max((float(np.abs(design @ theta[part]).max()) for part in parts), default=0.0)


def _thinned(data: CompetingData) -> CompetingData:
    """Keep every k-th term of each group, with its weight raised, where there are too many to explore on."""
    step = -(-sum(len(group.weight) for _, group in data.groups) // _EXPLORED_TERMS)
    if step == 1:
        return data
    held = tuple((outcome, every_kth(group, step)) for outcome, group in data.groups)
    return replace(data, groups=held, blocks=cut_blocks(held, data.designs))


def _describe(problem: Problem, scaling: Array, best: Climb, *, n_starts: int, n_agreed: int) -> Estimate:
    """Label the best climb, and put what is flat there in words."""
    mean_weight = float(problem.rows.weight.sum()) / problem.rows.n_input_rows
    climbed = scaling @ best.position
    fixed, texts = shape_limits(problem, climbed)
    known = invert_information(best.at.hessian, scaling, mean_weight, fixed=fixed)
    if known.flat.size:
        texts.append(describe_boundary(problem, climbed, known.flat))
    return Estimate(
        theta=problem.moved(climbed, problem.shift),
        loglik=best.at.value,
        covariance=known.covariance,
        identified=known.identified,
        boundary="; ".join(texts) or None,
        n_starts=n_starts,
        n_agreed=n_agreed,
        n_iterations=best.n_iterations,
    )


def sandwich(problem: Problem, theta: Array, covariance: Array, clusters: ClusterIndex) -> Array:
    """Return covariance @ (sum of squared cluster scores) @ covariance (Lin and Wei 1989, JASA 84).

    Parameters
    ----------
    problem : Problem
        With rows that know where each row of the frame went.
    theta : ndarray of shape (n_params,)
        The maximum, in the unit of time of the data.
    covariance : ndarray of shape (n_params, n_params)
        Inverse of the observed information.
    clusters : ClusterIndex
        Of the frame's rows.
    """
    rows, layout = problem.rows, problem.data.layout
    if rows.inverse is None:
        raise ValueError("rows were compressed without their inverse")
    slopes = row_scores(problem.moved(theta, -problem.shift), problem.data)
    designs = [d if rows.pattern is None else d[rows.pattern] for d in problem.data.designs]
    scores = np.empty((len(slopes), layout.n_params))
    for place, part in enumerate(layout.parts):
        own = slopes[:, place, None]
        scores[:, part.slice] = own if part.design is None else own * designs[part.design]
    return clustered_covariance(
        covariance,
        scores,
        rows=rows.inverse,
        clusters=clusters.codes,
        weights=clusters.weights,
        n_clusters=clusters.n_clusters,
    )


def _not_converged(problem: Problem, explored: list[Climb]) -> ConvergenceError:
    values = ", ".join(f"{c.at.value:.3f}" for c in explored)
    return ConvergenceError(
        f"{len(explored)} starts of a model of {len(problem.outcomes)} competing outcomes with "
        f"{problem.data.layout.n_params} parameters on {problem.rows.weight.sum():,.0f} episodes ended without a "
        f"maximum; they stood at log-likelihoods {values} after at most {_ITERATIONS} Newton steps. Try fewer "
        "covariates, merge rare levels or outcomes, scale continuous covariates, or another latency distribution"
    )
