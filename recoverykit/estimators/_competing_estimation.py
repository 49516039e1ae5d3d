"""Fit a competing-outcomes model: climbs from several starts, and what the data leave open.

Private to ``competing_outcomes``.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recoverykit.errors import ConvergenceError
from recoverykit.estimators._competing_boundary import describe_boundary
from recoverykit.estimators._competing_data import Problem, take_terms
from recoverykit.estimators._competing_kernels import evaluate, row_scores
from recoverykit.estimators._competing_layout import CompetingData, cut_blocks
from recoverykit.estimators._competing_starts import starting_points
from recoverykit.estimators._mixture_estimation import Estimate
from recoverykit.estimators._mixture_kernels import Evaluation
from recoverykit.estimators._mixture_sandwich import ClusterIndex
from recoverykit.estimators._optimise import AGREEMENT, Climb, climb, climb_all

Array = NDArray[np.float64]

#: Starts are explored on at most this many terms; the best are then climbed to the end on all of them.
_EXPLORED_TERMS = 20_000
_EXPLORE_TOLERANCE = 1e-4
_EXPLORE_ITERATIONS, _ITERATIONS = 60, 200
_N_POLISHED = 3
_POLISH_RADIUS = 0.5
#: Information below this in a direction that moves the predictor by 1 means a standard error above 100: not identified.
_LEAST_INFORMATION = 1e-4
#: A parameter that moves by less than this share of its unit along a flat direction keeps its standard error.
_TOUCHED = 1e-3
_BLOCK_CLUSTERS = 16_384


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
        _objective(thinned, scaling),
        starts,
        tolerance=_EXPLORE_TOLERANCE,
        max_iterations=_EXPLORE_ITERATIONS,
        progress=progress,
    )
    finished = []
    for c in _candidates(explored, same_data=same_data):
        at = c.at if same_data else None
        objective = _objective(problem.data, scaling)
        top = climb(objective, c.position, at=at, max_iterations=_ITERATIONS, radius=_POLISH_RADIUS)
        steps = top.n_iterations + c.n_iterations
        finished.append((replace(top, n_iterations=steps), top.at.value if same_data else c.at.value))
    reached = [pair for pair in finished if pair[0].converged]
    if not reached:
        raise _not_converged(problem, explored)
    best, mark = max(reached, key=lambda pair: pair[0].at.value)
    n_agreed = sum(abs(c.at.value - mark) < AGREEMENT for c in explored)
    return _describe(problem, scaling, best, n_starts=len(starts), n_agreed=max(n_agreed, 1))


def _objective(data: CompetingData, scaling: Array) -> Callable[[Array], Evaluation]:
    """Return the log-likelihood as a function of the scaled parameters."""

    def scaled(z: Array) -> Evaluation:
        at = evaluate(scaling @ z, data)
        return Evaluation(at.value, scaling.T @ at.gradient, scaling.T @ at.hessian @ scaling)

    return scaled


def _thinned(data: CompetingData) -> CompetingData:
    """Keep every k-th term of each group, with its weight raised, where there are too many to explore on."""
    step = -(-sum(len(group.weight) for _, group in data.groups) // _EXPLORED_TERMS)
    if step == 1:
        return data
    groups = []
    for outcome, group in data.groups:
        thin = take_terms(group, np.arange(0, len(group.weight), step))
        factor = group.weight.sum() / thin.weight.sum()
        groups.append((outcome, replace(thin, weight=factor * thin.weight)))
    held = tuple(groups)
    return replace(data, groups=held, blocks=cut_blocks(held, data.designs))


def _candidates(explored: list[Climb], *, same_data: bool) -> list[Climb]:
    """Choose the climbs worth finishing: the best, others that were still moving, and all hills of a thinned search."""
    best, chosen = explored[0], [explored[0]]
    for one in explored[1:]:
        is_new = all(abs(one.at.value - c.at.value) > AGREEMENT for c in chosen)
        if np.isfinite(one.at.value) and is_new and (not same_data or not one.converged or not best.converged):
            chosen.append(one)
    return chosen[:_N_POLISHED]


def _describe(problem: Problem, scaling: Array, best: Climb, *, n_starts: int, n_agreed: int) -> Estimate:
    """Invert the information where there is any, and put the rest in words."""
    information, vectors = np.linalg.eigh(-best.at.hessian)
    mean_weight = float(problem.rows.weight.sum()) / problem.rows.n_input_rows
    known = information >= _LEAST_INFORMATION * min(1.0, mean_weight)
    basis = scaling @ vectors[:, known]
    covariance = (basis / information[known]) @ basis.T
    climbed = scaling @ best.position
    boundary, identified = None, np.ones(len(climbed), dtype=bool)
    if not known.all():
        flat = vectors[:, ~known]
        boundary = describe_boundary(problem, climbed, flat)
        identified = np.abs(scaling @ flat).max(axis=1) < _TOUCHED * np.linalg.norm(scaling, axis=1)
    return Estimate(
        theta=problem.moved(climbed, problem.shift),
        loglik=best.at.value,
        covariance=covariance,
        identified=identified,
        boundary=boundary,
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
    shape = (clusters.n_clusters, len(scores))
    membership = csr_matrix((clusters.weights, (clusters.codes, rows.inverse)), shape=shape)
    meat = np.zeros_like(covariance)
    for begin in range(0, clusters.n_clusters, _BLOCK_CLUSTERS):
        sums = membership[begin : begin + _BLOCK_CLUSTERS] @ scores
        meat += sums.T @ sums
    return np.asarray(covariance @ meat @ covariance, dtype=float)


def _not_converged(problem: Problem, explored: list[Climb]) -> ConvergenceError:
    values = ", ".join(f"{c.at.value:.3f}" for c in explored)
    return ConvergenceError(
        f"{len(explored)} starts of a model of {len(problem.outcomes)} competing outcomes with "
        f"{problem.data.layout.n_params} parameters on {problem.rows.weight.sum():,.0f} episodes ended without a "
        f"maximum; they stood at log-likelihoods {values} after at most {_ITERATIONS} Newton steps. Try fewer "
        "covariates, merge rare levels or outcomes, scale continuous covariates, or another latency distribution"
    )
