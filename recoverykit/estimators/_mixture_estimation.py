"""Fit a mixture cure model: starting values, climbs, and what the data leave open.

The share that never has the event and the time of those that do trade off against each other, so the search starts
from a plateau of the Kaplan-Meier curve, from "everyone has it later", and from places between and beside these. What
remains flat at the top is named, and gets no standard error. Private to ``mixture_cure``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recoverykit.errors import ConvergenceError
from recoverykit.estimators._maximum import invert_information, scaled_objective, with_last_step, worth_finishing
from recoverykit.estimators._mixture_boundary import describe_boundary, shape_limit
from recoverykit.estimators._mixture_data import Problem
from recoverykit.estimators._mixture_kernels import Evaluation, MixtureData, evaluate
from recoverykit.estimators._mixture_starts import starting_points
from recoverykit.estimators._mixture_terms import MIXTURE
from recoverykit.estimators._mixture_thinning import thinned
from recoverykit.estimators._optimise import AGREEMENT, Climb, climb, climb_all

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Starts are explored roughly, on fewer terms; the best are then climbed to the end on all of them.
_EXPLORE_TOLERANCE = 1e-4
_EXPLORE_ITERATIONS, _ITERATIONS = 40, 200
_POLISH_RADIUS = 0.5
_STRIDE, _LONG_STRIDE = 8.0, 1e12
#: A climb at never-shares below this that gains less than that in all its steps stands on the boundary in effect.
_NO_PLATEAU, _CREEPING = 1e-3, 0.02
#: Predictors of a thinned search beyond this are taken back to the first start.
_FAR_OUT = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The maximum and what is known about it.

    Attributes
    ----------
    theta : ndarray of shape (n_params,)
        In the unit of time of the data.
    loglik : float
    covariance : ndarray of shape (n_params, n_params)
        Inverse of the observed information; directions that are not identified count as fixed.
    identified : ndarray of bool of shape (n_params,)
        Whether each parameter has a standard error.
    boundary : str or None
        What is not identified, in words.
    n_starts, n_agreed, n_iterations : int
        Starts tried; starts that found this maximum, or came as near to it as the truth is on average and were not
        climbed further; Newton steps from the best.
    """

    theta: Array
    loglik: float
    covariance: Array
    identified: BoolArray
    boundary: str | None
    n_starts: int
    n_agreed: int
    n_iterations: int


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
        If some episodes separate from those with the event.
    """
    scaling, unscaling = problem.map, np.linalg.inv(problem.map)
    starts = [unscaling @ start for start in starting_points(problem)]
    fewer = thinned(problem.data)
    explored = climb_all(
        _objective(fewer, scaling),
        starts,
        tolerance=_EXPLORE_TOLERANCE,
        max_iterations=_EXPLORE_ITERATIONS,
        progress=progress,
        largest_radius=_radius(problem),
    )
    finished = _finish(problem, scaling, starts, explored, same_data=fewer is problem.data)
    reached = [pair for pair in finished if pair[0].converged] or _on_endless_ridge(problem, scaling, finished)
    if not reached:
        raise _not_converged(problem, explored)
    best, mark = max(reached, key=lambda pair: pair[0].at.value)
    best = with_last_step(_objective(problem.data, scaling), best)
    n_agreed = sum(abs(c.at.value - mark) < AGREEMENT for c in explored)
    return _describe(problem, scaling, best, n_starts=len(starts), n_agreed=max(n_agreed, 1))


def _finish(
    problem: Problem, scaling: Array, starts: list[Array], explored: list[Climb], *, same_data: bool
) -> list[tuple[Climb, float]]:
    """Climb to the end from the hills worth it; with each, the height at which the search had found it."""
    objective = _objective(problem.data, scaling)
    finished = []
    for c in worth_finishing(explored, same_data=same_data):
        start, at = (c.position, c.at) if same_data else (c.position, None)
        predictor = problem.data.incidence @ (scaling @ start)[: problem.data.incidence.shape[1]]
        if not same_data and np.abs(predictor).max() > _FAR_OUT:
            start = starts[0]  # so far out nothing pulls back, and a boundary of the sample is not one of the data
        top = climb(
            objective,
            start,
            at=at,
            max_iterations=_ITERATIONS,
            radius=_POLISH_RADIUS,
            largest_radius=_radius(problem),
        )
        steps = top.n_iterations + c.n_iterations
        finished.append((replace(top, n_iterations=steps), top.at.value if same_data else c.at.value))
    return finished


def _radius(problem: Problem) -> float:
    """Return the longest step: outside the mixture an incidence of 1 is approached ever more slowly, so steps grow."""
    return _LONG_STRIDE if problem.data.family is not MIXTURE else _STRIDE


def _on_endless_ridge(
    problem: Problem, scaling: Array, finished: list[tuple[Climb, float]]
) -> list[tuple[Climb, float]]:
    """Return the best climb as a maximum where it only creeps on, with everybody's incidence at 1 already."""
    best, mark = max(finished, key=lambda pair: pair[0].at.value)
    predictor = problem.data.incidence @ (scaling @ best.position)[: problem.data.incidence.shape[1]]
    if (np.exp(problem.data.link.terms(predictor).log_q) > _NO_PLATEAU).any():
        return []
    on = climb(
        _objective(problem.data, scaling),
        best.position,
        at=best.at,
        max_iterations=_ITERATIONS,
        largest_radius=_radius(problem),
    )
    if on.at.value - best.at.value > _CREEPING:
        return []
    return [(replace(on, n_iterations=on.n_iterations + best.n_iterations), mark)]


def _objective(data: MixtureData, scaling: Array) -> Callable[[Array], Evaluation]:
    """Return the log-likelihood as a function of the scaled parameters."""
    return scaled_objective(lambda theta: evaluate(theta, data), scaling)


def _describe(problem: Problem, scaling: Array, best: Climb, *, n_starts: int, n_agreed: int) -> Estimate:
    """Invert the information where there is any, and put the rest in words."""
    climbed = scaling @ best.position
    limit = shape_limit(problem, climbed)
    fixed = np.zeros(len(climbed), dtype=bool)
    fixed[-1] = limit is not None  # the shape is the last parameter
    mean_weight = float(problem.rows.weight.sum()) / problem.rows.n_input_rows
    known = invert_information(best.at.hessian, scaling, mean_weight, fixed=fixed, is_top=best.converged)
    texts = [] if limit is None else [limit]
    if known.flat.size:
        texts.append(describe_boundary(problem, climbed, known.flat))
    theta = climbed.copy()
    n_incidence, n_latency = len(problem.incidence.map), len(problem.latency.map)
    theta[n_incidence : n_incidence + n_latency] += problem.shift * problem.latency.constant
    return Estimate(
        theta=theta,
        loglik=best.at.value,
        covariance=known.covariance,
        identified=known.identified,
        boundary="; ".join(texts) or None,
        n_starts=n_starts,
        n_agreed=n_agreed,
        n_iterations=best.n_iterations,
    )


def _not_converged(problem: Problem, explored: list[Climb]) -> ConvergenceError:
    values = ", ".join(f"{c.at.value:.3f}" for c in explored)
    return ConvergenceError(
        f"{len(explored)} starts of a {problem.data.distribution.name} {problem.data.family.name} cure model with "
        f"{problem.data.n_params} parameters on {problem.rows.weight.sum():,.0f} episodes ended without a maximum; "
        f"they stood at log-likelihoods {values} after at most {_ITERATIONS} Newton steps. Try fewer covariates, merge "
        "rare levels, scale continuous covariates, or another latency distribution"
    )
