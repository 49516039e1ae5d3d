"""Where to begin: starting values of a mixture cure model, all of them deterministic.

Private to the mixture models.
"""

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._compression import combine, encode, tally
from recoverykit.estimators._event_times import EpisodeRows
from recoverykit.estimators._mixture_data import Problem, mixture_data
from recoverykit.estimators._mixture_kernels import MixtureData, evaluate
from recoverykit.estimators._optimise import AGREEMENT, climb_all

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NULL_ROWS = 1_000
_NULL_TOLERANCE, _NULL_ITERATIONS = 0.05, 30
#: Starting predictors stay inside this, because beyond it the likelihood is too flat to find the way back.
_FURTHEST_PREDICTOR = 3.0
_LEAST_SHARE = 0.05
_EVERYONE = 0.97
#: How far the starts beside the best one lie: in incidence, in latency, and in the covariate effects.
_STEP_INCIDENCE, _STEP_LATENCY, _STEP_SLOPES = 1.5, 0.7, 0.3


def starting_points(problem: Problem) -> list[Array]:
    """Return starting values of all parameters, in the time unit of the climb.

    The model without covariates is climbed first on the collapsed rows, from a plateau, from "everyone has the event
    later" and from half way between. Its maxima, two points beside the best one, and the guesses themselves become
    starts, with and without covariate effects.
    """
    data = problem.data
    null, _ = collapse(problem.rows, np.where(problem.rows.is_event, 0, -1), at_most=_NULL_ROWS)
    guesses = [
        guess
        for shape in data.distribution.start_shapes or (0.0,)
        for guess in _guesses(null, data, problem.shift, shape)
    ]
    one = np.ones((1, 1))
    null_data = mixture_data(null, one, one, data.distribution, data.link, problem.shift, data.family)
    climbs = climb_all(
        lambda theta: evaluate(theta, null_data), guesses, tolerance=_NULL_TOLERANCE, max_iterations=_NULL_ITERATIONS
    )
    hills = [climbs[0]]
    for other in climbs[1:]:
        if np.isfinite(other.at.value) and all(abs(other.at.value - h.at.value) > AGREEMENT for h in hills):
            hills.append(other)
    best = hills[0].position
    beside = [best + _beside(best, direction) for direction in (-1.0, 1.0)]
    points = [hill.position for hill in hills[:2]] + beside + guesses[:2]
    slopes = [0.0] * len(hills[:2]) + [_STEP_SLOPES, -_STEP_SLOPES, 0.0, 0.0]
    return [_lift(problem, point, slope) for point, slope in zip(points, slopes, strict=True)]


def collapse(rows: EpisodeRows, outcomes: IntArray, *, at_most: int) -> tuple[EpisodeRows, IntArray]:
    """Forget the covariates: one pattern, and at most a given number of rows, evenly spaced in time.

    Every outcome, and those without one, has its part of the rows and keeps its weight: of a rare outcome an even
    sample would leave nothing to guess a latency from.

    Parameters
    ----------
    rows : EpisodeRows
    outcomes : ndarray of int of shape (n_rows,)
        From 0 on; -1 for the event-free.
    at_most : int

    Returns
    -------
    rows : EpisodeRows
    outcomes : ndarray of int
        Of these rows.
    """
    codes = range(-1, int(outcomes.max()) + 1)
    at_most //= len(codes)
    kept, weights = [], []
    for own in (np.flatnonzero(outcomes == code) for code in codes):
        if len(own) == 0:
            continue
        taken = own[:: -(-len(own) // (10 * at_most))]
        marks = [mark[taken] for mark in (rows.lower, rows.upper, rows.entry, rows.background) if mark is not None]
        distinct = tally(combine([encode(mark) for mark in marks], len(taken)), rows.weight[taken], want_inverse=False)
        step = -(-len(distinct.first) // at_most)
        weight = distinct.weight[::step]
        kept.append(taken[distinct.first[::step]])
        weights.append(rows.weight[own].sum() / weight.sum() * weight)
    places = np.concatenate(kept)
    collapsed = EpisodeRows(
        lower=rows.lower[places],
        upper=rows.upper[places],
        entry=rows.entry[places],
        weight=np.concatenate(weights),
        pattern=np.zeros(len(places), dtype=np.int64),
        representatives=np.zeros(1, dtype=np.int64),
        inverse=None,
        n_input_rows=rows.n_input_rows,
        background=None if rows.background is None else rows.background[places],
    )
    return collapsed, outcomes[places]


def _beside(point: Array, direction: float) -> Array:
    step = np.zeros_like(point)
    step[0], step[1] = direction * _STEP_INCIDENCE, direction * _STEP_LATENCY
    return step


def _lift(problem: Problem, point: Array, slope: float) -> Array:
    """Carry (a, eta, ancillary) over to all parameters: constant predictors plus small alternating effects."""
    predictor = float(np.clip(point[0], -_FURTHEST_PREDICTOR, _FURTHEST_PREDICTOR))
    parts = []
    for scaling, level in ((problem.incidence, predictor), (problem.latency, float(point[1]))):
        alternating = slope * (-1.0) ** np.arange(1, len(scaling.map) + 1)
        alternating[0] = 0.0  # the constant has its own starts
        parts.append(level * scaling.constant + scaling.map @ alternating)
    return np.concatenate([*parts, point[2:]])


def _guesses(rows: EpisodeRows, data: MixtureData, shift: float, shape: float) -> list[Array]:
    """Guess (a, eta, ancillary) from the Kaplan-Meier curve: its plateau, no plateau, and half way; Q is given."""
    log_times, jumps, _ = event_jumps(rows)
    log_times = log_times - shift
    reached = float(np.clip(jumps.sum(), _LEAST_SHARE, 1.0 - _LEAST_SHARE))
    mean = float(jumps @ log_times / jumps.sum())
    spread = float(np.sqrt(max(jumps @ (log_times - mean) ** 2 / jumps.sum(), 1e-4)))
    has_scale = data.distribution.has_scale
    guesses = []
    for share, stretch in ((reached, 1.0), (_EVERYONE, 1.4), (0.5 * (reached + _EVERYONE), 1.2)):
        # The moments of eps belong to the spread of the data; where the shape is sigma, to a sigma of that size.
        eps = data.distribution.settled(float(np.log(spread)), shape)
        wider = stretch * spread / eps.standard_deviation if has_scale else 1.0
        eta = mean - wider * eps.mean
        if share > reached + _LEAST_SHARE:  # then only part of the events has been seen by the last event time
            seen = np.array([min(reached / share, 0.99)])
            eta = float(log_times.max() - wider * eps.quantile(seen)[0])
        a = float(data.link.predictor(np.array([share]))[0])
        ancillary = [np.log(wider), shape][: len(data.distribution.ancillary_terms)]
        guesses.append(np.array([a, eta, *ancillary]))
    return guesses


def event_jumps(rows: EpisodeRows) -> tuple[Array, Array, IntArray]:
    """Return log event times (middle of their interval), the mass that Aalen-Johansen puts on each, and its row.

    With one outcome these are the jumps of the Kaplan-Meier curve.
    """
    event = rows.is_event
    times = np.where(event, 0.5 * (rows.lower + np.where(event, rows.upper, 0.0)), rows.lower)
    order = np.lexsort((~event, times))
    times, event, weight = times[order], event[order], rows.weight[order]
    by_entry = np.argsort(rows.entry)
    entered = np.concatenate([[0.0], np.cumsum(rows.weight[by_entry])])
    at_risk = entered[np.searchsorted(rows.entry[by_entry], times, side="left")]
    at_risk = np.maximum(at_risk - (np.cumsum(weight) - weight), weight)
    drop = np.where(event, weight / at_risk, 0.0)
    before = np.concatenate([[1.0], np.cumprod(1.0 - np.minimum(drop, 1.0))[:-1]])
    return np.log(times[event]), (before * drop)[event], order[event]
