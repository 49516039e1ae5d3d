"""Fit a Cox cure model: starting values, climbs of the profile likelihood, and what the data leave open.

Each evaluation begins from the baseline of the one before, moved along its known path, so that it takes two or three
passes over the rows. Private to ``cox_cure``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators._cox_cure_data import CoxCureProblem, cox_cure_problem, thin_rows
from recoverykit.estimators._cox_cure_kernels import CoxCureData, Profile, profile
from recoverykit.estimators._maximum import invert_information, with_last_step
from recoverykit.estimators._mixture_kernels import Evaluation
from recoverykit.estimators._optimise import AGREEMENT, Climb, climb, climb_all

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Starts are explored on at most this many rows; the best is then climbed to the end on all of them.
_EXPLORED_ROWS = 8_000
_EXPLORE_TOLERANCE, _EXPLORE_ITERATIONS, _ITERATIONS = 1e-3, 40, 200
_TOLERANCE = 1e-9
_POLISH_RADIUS = 1.0
#: The starts: by how much the incidence lies above the plateau, and the size of alternating effects in both parts.
_STARTS = ((0.0, 0.0), (1.5, 0.0), (0.0, 0.4), (-0.7, -0.4))
#: Predictors of a thinned search beyond this are taken back to the first start.
_FAR_OUT = 8.0
_NEAR, _NAMED, _EVERYONE = 1e-3, 1e-2, 0.999
_LARGEST_LOG_STEP = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class CoxCureEstimate:
    """The maximum and what is known about it.

    Attributes
    ----------
    theta : ndarray of shape (n_params,)
    covariance : ndarray of shape (n_params, n_params)
        Inverse of the information; directions that are not identified count as fixed.
    identified : ndarray of bool of shape (n_params,)
        Whether each parameter has a standard error.
    at : Profile
        The profile likelihood there, with the baseline.
    boundary : str or None
        What is not identified, in words.
    n_starts, n_agreed, n_iterations : int
        Starts tried, starts that found this maximum, Newton steps from the best.
    """

    theta: Array
    covariance: Array
    identified: BoolArray
    at: Profile
    boundary: str | None
    n_starts: int
    n_agreed: int
    n_iterations: int


class _Objective:
    """The profile log-likelihood of scaled parameters, which remembers the last baseline."""

    def __init__(self, data: CoxCureData, jumps: Array, scaling: Array) -> None:
        self._data, self._jumps, self._scaling = data, jumps, scaling
        self._last: tuple[Array, Profile] | None = None

    def __call__(self, z: Array) -> Evaluation:
        found = self.profile(z)
        return Evaluation(
            found.value, self._scaling.T @ found.gradient, self._scaling.T @ found.hessian @ self._scaling
        )

    def profile(self, z: Array) -> Profile:
        """Evaluate without scaling the derivatives; the last place is remembered."""
        coefficients = self._scaling @ z
        if self._last is not None and np.array_equal(self._last[0], coefficients):
            return self._last[1]
        found = profile(coefficients, self._data, self._begin(coefficients))
        if np.isfinite(found.value):
            self._last = (coefficients, found)
        return found

    def _begin(self, coefficients: Array) -> Array:
        if self._last is None:
            return self._jumps
        where, last = self._last
        moved = np.diff(last.path @ (coefficients - where), prepend=0.0) / last.baseline.jumps
        return np.asarray(last.baseline.jumps * np.exp(np.clip(moved, -_LARGEST_LOG_STEP, _LARGEST_LOG_STEP)))


def estimate(problem: CoxCureProblem, *, progress: bool) -> CoxCureEstimate:
    """Find the maximum of the likelihood from several starts.

    Parameters
    ----------
    problem : CoxCureProblem
    progress : bool
        Whether to show a progress bar over the starts.

    Raises
    ------
    ConvergenceError
        If no start reaches a maximum.
    InsufficientDataError
        If covariates separate the episodes with the event.
    """
    scaling = problem.map
    thinned = _thinned(problem)
    starts = _starting_points(thinned)
    explored = climb_all(
        _Objective(thinned.data, thinned.jumps, scaling),
        starts,
        tolerance=_EXPLORE_TOLERANCE,
        max_iterations=_EXPLORE_ITERATIONS,
        progress=progress,
    )
    objective = _Objective(problem.data, problem.jumps, scaling)
    candidates = _candidates(explored, starts[0], problem)
    finished = [_finish(objective, start, c.n_iterations) for c, start in candidates]
    reached = [(top, found) for top, (found, _) in zip(finished, candidates, strict=True) if top.converged]
    if not reached:
        raise _not_converged(problem, [*explored, *finished])
    best, found = max(reached, key=lambda pair: pair[0].at.value)
    n_agreed = max(sum(abs(c.at.value - found.at.value) < AGREEMENT * 10 for c in explored), 1)
    return _describe(problem, scaling, best, objective.profile(best.position), len(starts), n_agreed)


def _thinned(problem: CoxCureProblem) -> CoxCureProblem:
    """Keep every k-th row where there are too many to explore on, ties by Breslow's rule."""
    step = -(-len(problem.rows.lower) // _EXPLORED_ROWS)
    if step == 1:
        return problem
    rows, designs = thin_rows(problem.rows, (problem.data.incidence, problem.data.latency), step)
    return cox_cure_problem(rows, designs, (problem.incidence, problem.latency), problem.names, "breslow")


def _starting_points(problem: CoxCureProblem) -> list[Array]:
    """Return scaled starts: the Kaplan-Meier plateau and places beside it, with and without covariate effects."""
    log_odds = float(np.log((1.0 - problem.plateau) / problem.plateau))
    unscaling = np.linalg.inv(problem.incidence.map)
    starts = []
    for above, slope in _STARTS:
        constant = unscaling @ (np.clip(log_odds + above, -3.0, 3.0) * problem.incidence.constant)
        alternating = slope * (-1.0) ** np.arange(1, len(constant) + 1)
        alternating[0] = 0.0  # the constant has its own starts
        latency = slope * (-1.0) ** np.arange(len(problem.latency.map))
        starts.append(np.concatenate([constant + alternating, latency]))
    return starts


def _candidates(explored: Sequence[Climb], first: Array, problem: CoxCureProblem) -> list[tuple[Climb, Array]]:
    """Return the climbs worth finishing, the best and the next hill where there is one, and where to go on from."""
    best = explored[0]
    others = [c for c in explored[1:] if c.converged and best.at.value - c.at.value > 100 * AGREEMENT]
    chosen = []
    for one in [best, *others[:1]]:
        predictor = problem.data.incidence @ (problem.map @ one.position)[: problem.data.incidence.shape[1]]
        chosen.append((one, first if np.abs(predictor).max() > _FAR_OUT else one.position))
    return chosen


def _finish(objective: _Objective, start: Array, n_explored: int) -> Climb:
    top = climb(objective, start, tolerance=_TOLERANCE, max_iterations=_ITERATIONS, radius=_POLISH_RADIUS)
    top = with_last_step(objective, top)
    return replace(top, n_iterations=top.n_iterations + n_explored)


def _describe(
    problem: CoxCureProblem, scaling: Array, best: Climb, at: Profile, n_starts: int, n_agreed: int
) -> CoxCureEstimate:
    """Label the best climb, and put what is flat there in words."""
    mean_weight = float(problem.rows.weight.sum()) / problem.rows.n_input_rows
    known = invert_information(best.at.hessian, scaling, mean_weight)
    theta = scaling @ best.position
    return CoxCureEstimate(
        theta=theta,
        covariance=known.covariance,
        identified=known.identified,
        at=at,
        boundary=_describe_boundary(problem, theta, known.flat) if known.flat.size else None,
        n_starts=n_starts,
        n_agreed=n_agreed,
        n_iterations=best.n_iterations,
    )


def _describe_boundary(problem: CoxCureProblem, theta: Array, flat: Array) -> str:
    """Name what the likelihood is flat in, or refuse what has no estimate."""
    n_incidence = problem.data.incidence.shape[1]
    touched = np.abs(problem.map @ flat).max(axis=1) > _NAMED * np.linalg.norm(problem.map, axis=1)
    terms = {
        part: ", ".join(t for (p, t), used in zip(problem.names, touched, strict=True) if used and p == part)
        for part in ("incidence", "latency")
    }
    if terms["latency"]:
        raise InsufficientDataError(
            f"latency: {terms['latency']} separates the order of the events, so that its hazard ratio has no finite "
            "estimate; merge levels or leave the covariate out"
        )
    design, weight = problem.data.incidence, problem.rows.pattern_weight
    moves = np.abs(design @ (problem.map @ flat)[:n_incidence]).max(axis=1)
    moved = moves > _NAMED * moves.max()
    incidence = 1.0 / (1.0 + np.exp(-design @ theta[:n_incidence]))
    if (incidence[moved] < _NEAR).any():
        lowest = float(weight[moved & (incidence < _NEAR)].sum())
        raise InsufficientDataError(
            f"the incidence of {lowest:,.0f} episodes runs to 0: by {terms['incidence']} they separate from the "
            "episodes with the event, so there is no finite estimate; merge levels or leave a covariate out"
        )
    if not (incidence[moved] > 1.0 - _NEAR).all():
        return f"the likelihood is flat in the incidence terms {terms['incidence']}: the data do not identify them"
    share = float(weight[moved].sum() / weight.sum())
    if share > _EVERYONE:
        return (
            "incidence is at its upper bound of 1: the data show no plateau, so no share is estimated never to have "
            "the event, and the incidence has no standard error"
        )
    return (
        f"incidence is at its upper bound of 1 for {share:.1%} of the episodes: among them no share is estimated never "
        f"to have the event, and {terms['incidence']} has no standard error"
    )


def _not_converged(problem: CoxCureProblem, climbs: Sequence[Climb]) -> ConvergenceError:
    values = ", ".join(f"{c.at.value:.3f}" for c in climbs)
    return ConvergenceError(
        f"{len(climbs)} climbs of a Cox cure model with {problem.data.n_params} coefficients on "
        f"{problem.rows.weight.sum():,.0f} episodes ended without a maximum; they stood at log-likelihoods {values} "
        f"after at most {_ITERATIONS} Newton steps. Try fewer covariates, merge rare levels, or scale continuous "
        "covariates"
    )
