"""Maximise a log-likelihood with Newton steps inside a trust region, from several starts.

A mixture of "never" and "later" has ridges and more than one hill: a single start stops where it happens to stand.
Each climb uses the exact Hessian through its eigenvalues, so that it walks off saddles as well as up hills. Private; it
knows nothing of what is maximised.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv
from tqdm import tqdm

Array = NDArray[np.float64]

_SHRINK, _GROW, _LARGEST_RADIUS, _SMALLEST_RADIUS = 0.25, 2.0, 8.0, 1e-10
#: A step within a radius is long enough from this share of it; shifts are tried down to this share of the largest.
_NEARLY, _SMALLEST_SHIFT, _SHIFTS = 0.75, 1e-16, 60
#: Where curvature says nothing, a position beside a maximum is taken for it within this distance at the most.
_BESIDE = 0.5
#: Climbs that end within this of the best log-likelihood count as having found the same maximum.
AGREEMENT = 1e-3


class Curvature(Protocol):
    """Value, gradient and Hessian of a function at a point."""

    @property
    def value(self) -> float: ...
    @property
    def gradient(self) -> Array: ...
    @property
    def hessian(self) -> Array: ...


Objective = Callable[[Array], Curvature]


@dataclass(frozen=True, slots=True, eq=False)
class Climb:
    """Where one start led.

    Attributes
    ----------
    position : ndarray of shape (n_params,)
    at : Curvature
        Value, gradient and Hessian there.
    n_iterations : int
    converged : bool
        Whether the next step promised less than the tolerance.
    """

    position: Array
    at: Curvature
    n_iterations: int
    converged: bool


def climb(
    objective: Objective,
    start: Array,
    *,
    at: Curvature | None = None,
    tolerance: float = 1e-9,
    max_iterations: int = 100,
    radius: float = 1.5,
    largest_radius: float = _LARGEST_RADIUS,
    known: Sequence[Climb] = (),
) -> Climb:
    """Climb from one start to a local maximum.

    Parameters
    ----------
    objective : callable
        Parameters of shape (n_params,) -> Curvature; a value that is not finite is stepped back from.
    start : ndarray of shape (n_params,)
    at : Curvature or None
        The objective at the start, where it is known already.
    tolerance : float
        Stop when the quadratic model promises less gain than this, in log-likelihood; rounding is allowed for.
    max_iterations : int
    radius : float
        First bound on the length of a step.
    largest_radius : float
        Last bound; a large one lets a climb run to the end of a ridge that rises ever more slowly.
    known : sequence of Climb
        Maxima found before. A climb whose next step ends as near to one of them as the truth is on average, a squared
        distance in standard errors of the number of parameters, has found it too and is not climbed to the end again.

    Returns
    -------
    Climb
        Not converged when the iterations ran out, no step went up, or steps had to shrink until they promised nothing
        though a step of the first radius promises more; a known maximum with the steps taken to it.
    """
    position, first_radius = start, radius
    at = objective(start) if at is None else at
    if not _is_finite(at):
        return Climb(position, at, 0, False)
    for iteration in range(1, max_iterations + 1):
        enough = max(tolerance, 4e-15 * abs(at.value))
        while True:
            step = _step_within(at, radius)
            gain = _promised(at, step)
            length = _length(step)
            if gain < enough:
                # Stay: along a flat direction an endless step gains nothing, and the ridge can be reported from here.
                is_top = radius >= first_radius or _is_held(objective, position, at, first_radius)
                return Climb(position, at, iteration, is_top)
            for top in known:
                if at.value < top.at.value + AGREEMENT and _is_at(top, position + step):
                    return Climb(top.position, top.at, iteration, True)
            trial = objective(position + step)
            ratio = (trial.value - at.value) / gain if _is_finite(trial) else -1.0
            if ratio < 0.25:
                radius = _SHRINK * length
            elif ratio > 0.75 and length > _NEARLY * radius:
                radius = min(_GROW * radius, largest_radius)
            if ratio > 1e-4:
                break
            if radius < _SMALLEST_RADIUS:
                return Climb(position, at, iteration, False)
        position, at = position + step, trial
    return Climb(position, at, max_iterations, False)


def climb_all(
    objective: Objective,
    starts: Sequence[Array],
    *,
    tolerance: float,
    max_iterations: int,
    progress: bool = False,
    largest_radius: float = _LARGEST_RADIUS,
) -> list[Climb]:
    """Climb from every start, and return the climbs best first.

    Each climb is told of the maxima found before. Climbs that end at a value that is not finite come last.
    """
    watched: Iterable[Array] = tqdm(starts, desc="starts", unit="start", disable=not progress)
    climbs: list[Climb] = []
    for start in watched:
        one = climb(
            objective,
            start,
            tolerance=tolerance,
            max_iterations=max_iterations,
            largest_radius=largest_radius,
            known=[c for c in climbs if c.converged],
        )
        climbs.append(one)
    return sorted(climbs, key=lambda c: -c.at.value if np.isfinite(c.at.value) else np.inf)


def _promised(at: Curvature, step: Array) -> float:
    """Return what the quadratic model gains by a step."""
    return float(at.gradient @ step + 0.5 * step @ at.hessian @ step)


def _is_held(objective: Objective, position: Array, at: Curvature, radius: float) -> bool:
    """Tell whether a climb whose steps had to shrink is at a top, or at the edge of where the function has values.

    Neither is where slopes and values disagree, as in a clipped tail: there steps shrink until they promise nothing.
    """
    step = _step_within(at, radius)
    return _promised(at, step) < AGREEMENT or not _is_finite(objective(position + step))


def _is_finite(at: Curvature) -> bool:
    return bool(np.isfinite(at.value) and np.isfinite(at.gradient).all() and np.isfinite(at.hessian).all())


def _is_at(top: Climb, position: Array) -> bool:
    """Tell whether a position is at a maximum as far as data can tell: as near to it as the truth is on average."""
    gap = position - top.position
    return bool(gap @ gap < _BESIDE**2 and -gap @ top.at.hessian @ gap < len(gap))


def _step_within(at: Curvature, radius: float) -> Array:
    """Return the step that maximises the quadratic model within a radius: Newton's where it is short enough.

    Otherwise curvature is shifted until the step fits (More and Sorensen 1983, SIAM J. Sci. Stat. Comput. 4). Shifts
    are tried with Cholesky factors, which cost a tenth of eigenvalues.
    """
    information, slope = -at.hessian, at.gradient
    step = _solved(information, slope)
    if step is not None and _length(step) <= radius:
        return step
    # This shift makes any matrix of that size positive definite and the step no longer than the radius.
    upper = _length(slope) / radius + math.sqrt(np.vdot(information, information))
    lower, step = _SMALLEST_SHIFT * upper, slope / max(upper, np.finfo(float).tiny)
    shifted = information.copy()
    for _ in range(_SHIFTS):
        shift = math.sqrt(lower * upper)
        shifted.flat[:: len(slope) + 1] = information.diagonal() + shift
        trial = _solved(shifted, slope)
        if trial is None or _length(trial) > radius:
            lower = shift
            continue
        upper, step = shift, trial
        if _length(step) > _NEARLY * radius:
            return step
    return _along_valley(information, step, radius)


def _length(step: Array) -> float:
    return math.sqrt(step @ step)


def _solved(matrix: Array, right: Array) -> Array | None:
    """Solve a positive definite system; None when it is not positive definite."""
    _, solution, failed = dposv(matrix, right)
    return None if failed else np.asarray(solution, dtype=float)


def _along_valley(information: Array, step: Array, radius: float) -> Array:
    """Lengthen a step to the radius along the direction of least curvature: the hard case, on or beside a saddle."""
    eigenvalues, vectors = np.linalg.eigh(information)
    if eigenvalues[0] > 0:
        return step
    lowest = vectors[:, 0]
    along = float(lowest @ step)
    rest = np.sqrt(max(along**2 + radius**2 - float(step @ step), 0.0))
    return np.asarray(step + (np.copysign(rest, along or 1.0) - along) * lowest, dtype=float)
