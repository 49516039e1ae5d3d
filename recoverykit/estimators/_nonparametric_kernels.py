"""Counts to curves: product-limit, Nelson-Aalen and Aalen-Johansen for all segments in one pass over arrays.

Rows are first compressed to counts per segment, time and outcome; everything after that costs as much as there are
distinct times, however many episodes stand behind them. Counting is exact: events before censorings at the same
time, ties kept as ties, events at time 0 kept. This module knows no frames, no names of outcomes and no dates.

Layout: each segment has its own increasing times, moved to the left of a row of a matrix of shape
(n_segments, n_times) whose unused right end holds no events and nobody at risk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Outcome code of a censored row.
CENSORED = -1
#: Whole-numbered times up to here are their own codes; beyond, distinct times are sorted.
LARGEST_DIRECT_CODE = 10_000
#: Count tables up to this many cells are filled directly; beyond, distinct keys are sorted.
LARGEST_DENSE_TABLE = 4_000_000
#: Shares this close to 0 or 1 differ from them by rounding only.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Number at risk and number of events by segment and time.

    Attributes
    ----------
    times : ndarray of shape (n_segments, n_times)
        Distinct times of each segment, beginning with 0; padded with NaN.
    n_times : ndarray of int of shape (n_segments,)
        How many of them are real.
    n_at_risk : ndarray of shape (n_segments, n_times)
        Weight under observation and still open just before each time.
    n_events : ndarray of shape (n_segments, n_times, n_outcomes)
        Weight of each outcome at each time.
    """

    times: Array
    n_times: IntArray
    n_at_risk: Array
    n_events: Array


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Values of a curve and their standard errors, both of the same shape."""

    values: Array
    standard_errors: Array


def count_outcomes(
    *,
    segments: IntArray,
    durations: Array,
    outcomes: IntArray,
    entries: Array,
    weights: Array,
    n_segments: int,
    n_outcomes: int,
    grid: Array | None = None,
) -> Counts:
    """Compress rows to counts and form the risk sets.

    Parameters
    ----------
    segments : ndarray of int of shape (n_rows,)
        Segment code, 0 to n_segments - 1.
    durations : ndarray of shape (n_rows,)
        Time of the outcome or of censoring, at least 0.
    outcomes : ndarray of int of shape (n_rows,)
        Outcome code, 0 to n_outcomes - 1, or ``CENSORED``.
    entries : ndarray of shape (n_rows,)
        Time when observation began. A row that entered at 0 is at risk from the start, events at time 0 included; one
        that entered at e > 0 is at risk at times t > e. Durations must lie above a positive entry.
    weights : ndarray of shape (n_rows,)
        Positive; the number of episodes for which the row stands.
    n_segments, n_outcomes : int
        Numbers of codes.
    grid : ndarray of shape (n_grid,) or None
        Times that every segment shall have beside its own, as far as it was observed.

    Returns
    -------
    Counts
    """
    axis, codes = _time_codes(durations if grid is None else np.concatenate([durations, grid]))
    codes, asked = codes[: len(durations)], codes[len(durations) :]
    width = n_outcomes + 1
    keys = (segments * len(axis) + codes) * width + outcomes + 1
    found, sums = _sum_by_key(keys, weights, n_segments * len(axis) * width)
    at_zero = np.arange(n_segments) * len(axis)
    cells = _union(found // width, at_zero)
    if len(asked):
        last = cells[np.append(np.searchsorted(cells, at_zero)[1:], len(cells)) - 1]
        more = at_zero[:, None] + asked
        cells = _union(cells, more[more <= last[:, None]])
    segment_of = cells // len(axis)
    column_of = np.arange(len(cells)) - np.searchsorted(cells, at_zero)[segment_of]
    shape = (n_segments, int(column_of.max()) + 1)

    times = np.full(shape, np.nan)
    times[segment_of, column_of] = axis[cells % len(axis)]
    leaving = np.zeros((*shape, width))
    where = np.searchsorted(cells, found // width)
    leaving[segment_of[where], column_of[where], found % width] = sums
    late = entries > 0
    first_code = segments[late] * len(axis) + np.searchsorted(axis, entries[late], side="right")
    enters_at = np.searchsorted(cells, first_code)
    entering = np.bincount(enters_at, weights=weights[late], minlength=len(cells))
    entering_cells = np.zeros(shape)
    entering_cells[segment_of, column_of] = entering[: len(cells)]
    # Summed from the right, the last risk set equals what leaves it exactly, whatever the weights.
    n_at_risk = sum_from_right(leaving.sum(axis=2)) - sum_from_right(entering_cells) + entering_cells
    return Counts(
        times=times,
        n_times=np.bincount(segment_of, minlength=n_segments),
        n_at_risk=np.where(n_at_risk > ROUNDING, n_at_risk, 0.0),
        n_events=leaving[:, :, 1:],
    )


def survival(*, n_at_risk: Array, n_events: Array) -> Estimate:
    """Compute the product-limit estimate and Greenwood's standard error.

    Parameters
    ----------
    n_at_risk, n_events : ndarray of shape (n_segments, n_times)
        At risk just before, and events at, each time.

    Returns
    -------
    Estimate
        S(t) = prod (1 - d/Y) and S(t) sqrt(sum d / (Y (Y - d))), Kalbfleisch & Prentice (2002), section 1.4, of shape
        (n_segments, n_times). The standard error is NaN once the curve has reached 0.
    """
    values: Array = (1.0 - hazard_of(n_events, n_at_risk)).cumprod(axis=1)
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.cumsum(_relative_variance(n_events, n_at_risk), axis=1)) * values
    return Estimate(values=values, standard_errors=errors)


def cumulative_hazard(*, n_at_risk: Array, n_events: Array, variance: str = "aalen") -> Estimate:
    """Compute the Nelson-Aalen estimate and its standard error.

    Parameters
    ----------
    n_at_risk, n_events : ndarray of shape (n_segments, n_times)
        At risk just before, and events at, each time.
    variance : {"aalen", "binomial"}
        Sum of d / Y^2 (Aalen 1978), or of d (Y - d) / Y^3 (Greenwood's: ties as ties).

    Returns
    -------
    Estimate
        H(t) = sum of d / Y, of shape (n_segments, n_times).
    """
    hazard = hazard_of(n_events, n_at_risk)
    shrink = 1.0 - hazard if variance == "binomial" else np.ones_like(hazard)
    values: Array = np.cumsum(hazard, axis=1)
    return Estimate(values=values, standard_errors=np.sqrt(np.cumsum(shrink * ratio(hazard, n_at_risk), axis=1)))


def hazard_interval(*, values: Array, standard_errors: Array, level: float, interval: str) -> tuple[Array, Array]:
    """Compute pointwise confidence limits of a cumulative hazard.

    Parameters
    ----------
    values, standard_errors : ndarray
        Estimates of 0 or more and their standard errors, of one shape.
    level : float
        Confidence level in (0, 1).
    interval : {"log", "plain"}
        Scale on which the estimate is taken as normal.

    Returns
    -------
    tuple of ndarray
        Lower and upper limit of 0 or more; without width where the standard error is 0.
    """
    z = ndtri(0.5 + level / 2)
    if interval == "plain":
        return np.maximum(values - z * standard_errors, 0.0), values + z * standard_errors
    factor = np.exp(z * ratio(standard_errors, values))
    return values / factor, values * factor


def incidence(*, n_at_risk: Array, n_events: Array, variance: str = "greenwood") -> Estimate:
    """Compute the cumulative incidence of each outcome and its standard error.

    Parameters
    ----------
    n_at_risk : ndarray of shape (n_segments, n_times)
        At risk just before each time.
    n_events : ndarray of shape (n_segments, n_times, n_outcomes)
        Events of each outcome at each time.
    variance : {"greenwood", "aalen"}
        "greenwood": increments of the outcomes at one time are multinomial, Cov(dA_k, dA_l) = (1[k=l] d_k Y - d_k d_l)
        / Y^3; agrees with R's ``survival::survfit``. "aalen": outcomes independent, Var(dA_k) = d_k (Y - d_k) / (Y^2 (Y
        - 1)); agrees with R's ``cmprsk::cuminc``.

    Returns
    -------
    Estimate
        Of shape (n_segments, n_times, n_outcomes). The standard error is NaN where an incidence has reached 1, as that
        of the survival curve is at 0.

    Notes
    -----
    F_k(t) = sum over u <= t of S(u-) d_k(u) / Y(u). A change of the hazard at u moves F_k(t) by S(u-) dA_k(u) - [F_k(t)
    - F_k(u)] dA(u) / (1 - dA(u)), so that Var F_k(t) is the sum over u of [F(t) - F(u)]^2 a(u) - 2 [F(t) - F(u)] b(u)
    + c(u), which running sums of a, b and c give at all times at once (Andersen, Borgan, Gill & Keiding 1993, IV.4.1).
    """
    at_risk: Array = n_at_risk[:, :, None]
    all_events: Array = n_events.sum(axis=2, keepdims=True)
    after: Array = (1.0 - hazard_of(all_events, at_risk)).cumprod(axis=1)
    before = np.concatenate([np.ones_like(after[:, :1]), after[:, :-1]], axis=1)
    values = np.cumsum(before * hazard_of(n_events, at_risk), axis=1)
    if variance == "greenwood":
        a = np.where(after > 0, _relative_variance(all_events, at_risk), 0.0)
        b = before * ratio(n_events, at_risk * at_risk)
        c = before * b * (at_risk - n_events) * ratio(np.ones_like(at_risk), at_risk)
    else:
        own, others = (_sampling_variance(d, at_risk) for d in (n_events, all_events - n_events))
        a = (own + others) * ratio(before, after) ** 2
        b = own * before * ratio(before, after)
        c = own * before**2
    total = values**2 * a.cumsum(1) - 2 * values * (values * a).cumsum(1) + (values**2 * a).cumsum(1)
    total += 2 * (values * b).cumsum(1) - 2 * values * b.cumsum(1) + c.cumsum(1)
    errors = np.where(values < 1 - ROUNDING, np.sqrt(np.maximum(total, 0.0)), np.nan)
    return Estimate(values=values, standard_errors=errors)


def probability_interval(
    *, values: Array, standard_errors: Array, level: float, interval: str, is_survival: bool
) -> tuple[Array, Array]:
    """Compute pointwise confidence limits of a probability.

    Parameters
    ----------
    values, standard_errors : ndarray
        Estimates in [0, 1] and their standard errors, of one shape.
    level : float
        Confidence level in (0, 1).
    interval : {"log-log", "log", "plain"}
        Scale on which the estimate is taken as normal: log(-log S), log of the value, or the value itself.
    is_survival : bool
        On the log-log scale a cumulative incidence F is treated as S = 1 - F, so that the interval of an only outcome
        mirrors that of its survival curve.

    Returns
    -------
    tuple of ndarray
        Lower and upper limit in [0, 1]; without width where the standard error is 0, NaN where it is NaN.
    """
    z = ndtri(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if interval == "plain":
            lower, upper = values - z * standard_errors, values + z * standard_errors
        elif interval == "log":
            factor = np.exp(z * standard_errors / values)
            lower, upper = values / factor, values * factor
        else:
            lower, upper = _log_log_limits(values if is_survival else 1.0 - values, standard_errors, z)
            if not is_survival:
                lower, upper = 1.0 - upper, 1.0 - lower
    certain = standard_errors == 0
    lower, upper = np.where(certain, values, lower), np.where(certain, values, upper)
    return np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0)


def _log_log_limits(survival: Array, standard_errors: Array, z: float) -> tuple[Array, Array]:
    usable = np.where(survival > ROUNDING, survival, np.nan)
    spread = np.exp(z * standard_errors / (usable * -np.log(usable)))
    return usable**spread, usable ** (1 / spread)


def _time_codes(durations: Array) -> tuple[Array, IntArray]:
    """Return the sorted times, beginning with 0, and the position of each duration among them."""
    if durations.max(initial=0.0) <= LARGEST_DIRECT_CODE:
        codes = durations.astype(np.int64)
        if np.array_equal(codes, durations):
            return np.arange(codes.max(initial=0) + 1, dtype=float), codes
    grid, codes = np.unique(np.concatenate([[0.0], durations]), return_inverse=True)
    return grid, codes[1:].astype(np.int64)


def _sum_by_key(keys: IntArray, weights: Array, n_keys: int) -> tuple[IntArray, Array]:
    """Return the distinct keys, sorted, and the weight on each."""
    if n_keys <= LARGEST_DENSE_TABLE:
        sums = np.bincount(keys, weights=weights, minlength=n_keys)
        found = np.flatnonzero(sums).astype(np.int64)
        return found, sums[found].astype(np.float64)
    found, positions = np.unique(keys, return_inverse=True)
    return found, np.bincount(positions, weights=weights).astype(np.float64)


def _union(left: IntArray, right: IntArray) -> IntArray:
    """Return the distinct numbers of two arrays, sorted; both are sorted already, which numpy's own union ignores."""
    both = np.sort(np.concatenate([left, right]), kind="stable")
    return both[np.append(True, both[1:] > both[:-1])]


def sum_from_right(array: Array) -> Array:
    """Add up each row of an array of shape (n_rows, n_columns) from its right end."""
    return np.cumsum(array[:, ::-1], axis=1)[:, ::-1]


def ratio(numerator: Array, denominator: Array) -> Array:
    """Divide, with 0 where there is nothing to divide by."""
    return np.divide(
        numerator, denominator, out=np.zeros(np.broadcast(numerator, denominator).shape), where=denominator > 0
    )


def hazard_of(n_events: Array, n_at_risk: Array) -> Array:
    """Return d / Y, and exactly 1 where only rounding keeps it from 1."""
    hazard = ratio(n_events, n_at_risk)
    return np.where(hazard > 1.0 - ROUNDING, 1.0, hazard)


def _relative_variance(n_events: Array, n_at_risk: Array) -> Array:
    """Return d / (Y (Y - d)); infinite where everybody at risk has the event."""
    survivors = n_at_risk - n_events
    ends = (n_at_risk > 0) & (survivors <= ROUNDING * n_at_risk)
    return np.where(ends, np.inf, ratio(n_events, n_at_risk * survivors))


def _sampling_variance(n_events: Array, n_at_risk: Array) -> Array:
    """Return d (Y - d) / (Y^2 (Y - 1)), and d / Y^2 for a single event."""
    shrink = np.where(n_events > 1, 1.0 - ratio(n_events - 1.0, n_at_risk - 1.0), 1.0)
    return ratio(n_events, n_at_risk**2) * shrink
