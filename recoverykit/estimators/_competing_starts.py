"""Where to begin: starting values of a competing-outcomes model, all of them deterministic.

What is still open at the end may never resolve, or may be of any outcome whose time has not yet come: each of these
readings is a hill of its own, so each gets a start. Private to the competing-outcomes model.
"""

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._competing_data import Problem, competing_data
from recoverykit.estimators._competing_kernels import evaluate
from recoverykit.estimators._competing_layout import CompetingData, Layout
from recoverykit.estimators._event_times import EpisodeRows
from recoverykit.estimators._mixture_starts import collapse, event_jumps
from recoverykit.estimators._optimise import AGREEMENT, climb_all
from recoverykit.estimators.distributions import StandardDistribution

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NULL_ROWS = 1_500
_NULL_TOLERANCE, _NULL_ITERATIONS = 0.05, 40
#: Starting predictors stay inside this, because beyond it the likelihood is too flat to find the way back.
_FURTHEST_PREDICTOR = 3.0
_LEAST_SHARE, _LEAST_NEVER = 0.05, 0.03
#: A free shape begins at that of the Weibull.
_START_SHAPE = 1.0
#: How much wider a latency is guessed where most of it lies beyond the data.
_STRETCH = 1.4
#: How far the starts beside the best one lie: in incidence, in latency, and in the covariate effects.
_STEP_INCIDENCE, _STEP_LATENCY, _STEP_SLOPES = 1.5, 0.7, 0.3
_N_HILLS = 3


def starting_points(problem: Problem) -> list[Array]:
    """Return starting values of all parameters, in the time unit of the climb.

    The model without covariates is climbed first on the collapsed rows, from every reading of what is still open. Its
    best maxima, two points beside the best, and the guess from the plateaus become starts, with and without covariate
    effects.
    """
    rows, codes = collapse(problem.rows, problem.codes, at_most=_NULL_ROWS)
    layout = problem.data.layout
    one = np.ones((1, 1))
    designs = (one,) * len(problem.data.designs)
    null = competing_data(rows, codes, designs, layout.distributions, never=layout.has_never, shift=problem.shift)
    guesses = _guesses(rows, codes, null, problem.shift)
    climbs = climb_all(
        lambda theta: evaluate(theta, null), guesses, tolerance=_NULL_TOLERANCE, max_iterations=_NULL_ITERATIONS
    )
    hills = [climbs[0]]
    for other in climbs[1:]:
        if np.isfinite(other.at.value) and all(abs(other.at.value - h.at.value) > AGREEMENT for h in hills):
            hills.append(other)
    best = hills[0].position
    beside = [best + _beside(null.layout, direction) for direction in (-1.0, 1.0)]
    kept = [hill.position for hill in hills[:_N_HILLS]]
    points = [*kept, *beside, guesses[0]]
    slopes = [0.0] * len(kept) + [_STEP_SLOPES, -_STEP_SLOPES, 0.0]
    return [_lift(problem, null.layout, point, slope) for point, slope in zip(points, slopes, strict=True)]


def _guesses(rows: EpisodeRows, codes: IntArray, null: CompetingData, shift: float) -> list[Array]:
    """Guess the parameters without covariates: plateaus, no plateaus, half way, and each outcome still to come."""
    layout = null.layout
    log_times, jumps, row = event_jumps(rows)
    log_times, outcome = log_times - shift, codes[row]
    reached = np.maximum(np.bincount(outcome, weights=jumps, minlength=layout.n_outcomes), 1e-4)
    reached = reached / max(reached.sum(), 1.0)
    rest = 1.0 - reached.sum()
    in_all = reached / reached.sum()
    splits = [reached + rest * in_all, *(reached + rest * np.eye(layout.n_outcomes))]
    if layout.has_never:
        splits = [reached, *splits, reached + 0.5 * rest * in_all]
    guesses = []
    for split in splits:
        theta = np.zeros(layout.n_params)
        never = max(1.0 - float(split.sum()), _LEAST_NEVER)
        base = never if layout.has_never else float(split[0])
        for k, distribution in enumerate(layout.distributions):
            place = layout.incidence[k]
            if place is not None:
                theta[layout.parts[place].slice] = np.log(split[k] / base)
            own = outcome == k
            shares = float(reached[k]), float(split[k])
            eta, log_sigma = _latency_guess(log_times[own], jumps[own], distribution, *shares)
            theta[layout.parts[layout.latency[k]].slice] = eta
            for position, value in zip(layout.ancillary[k], (log_sigma, _START_SHAPE), strict=False):
                theta[layout.parts[position].slice] = value
        guesses.append(theta)
    return guesses


def _latency_guess(
    log_times: Array, jumps: Array, distribution: StandardDistribution, reached: float, share: float
) -> tuple[float, float]:
    """Guess eta and log sigma of an outcome that has reached a part of its share."""
    total = jumps.sum()
    mean = float(jumps @ log_times / total)
    spread = float(np.sqrt(max(jumps @ (log_times - mean) ** 2 / total, 1e-2)))
    sigma = spread / distribution.standard_deviation if distribution.has_scale else 1.0
    if share <= reached + _LEAST_SHARE:
        return mean - sigma * distribution.mean, float(np.log(sigma))
    wider = sigma * _STRETCH if distribution.has_scale else 1.0
    seen = np.array([min(reached / share, 0.99)])
    return float(log_times.max() - wider * distribution.quantile(seen)[0]), float(np.log(wider))


def _beside(layout: Layout, direction: float) -> Array:
    step = np.zeros(layout.n_params)
    for part in layout.parts:
        if part.name == "latency":
            step[part.slice] = direction * _STEP_LATENCY
        elif part.name == "incidence" and layout.has_never:
            step[part.slice] = direction * _STEP_INCIDENCE
    return step


def _lift(problem: Problem, null: Layout, point: Array, slope: float) -> Array:
    """Carry parameters without covariates over to all: constant predictors plus small alternating effects."""
    theta = np.zeros(problem.data.layout.n_params)
    incidence = [float(point[part.slice][0]) for part in null.parts if part.name == "incidence"]
    excess = max(max(incidence, default=0.0) - _FURTHEST_PREDICTOR, 0.0)  # all down together: shares stay
    for part, origin in zip(problem.data.layout.parts, null.parts, strict=True):
        level = float(point[origin.slice][0])
        if part.design is None:
            theta[part.slice] = level
            continue
        if part.name == "incidence":
            level = max(level - excess, -2.0 * _FURTHEST_PREDICTOR)
        scaling = problem.scalings[part.design]
        alternating = slope * (-1.0) ** np.arange(1, len(scaling.map) + 1)
        alternating[0] = 0.0  # the constant has its own starts
        theta[part.slice] = level * scaling.constant + scaling.map @ alternating
    return theta
