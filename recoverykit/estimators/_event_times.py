"""Event times of a frame as (lower, upper] intervals after an entry, compressed to distinct rows.

An exact time is an interval without width and a censored one an interval without end, so that one likelihood serves
monthly counts, dates and left truncation alike. Rows are checked here, once. This module knows nothing of models.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, Violation
from recoverykit.estimators._compression import Codes, combine, encode, is_continuous, tally
from recoverykit.estimators._rows import broken, check_columns, event_flags, number_column

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Beyond this share of patterns among the rows of a larger frame, compression costs more than it saves.
_TOO_MANY_PATTERNS, _FEW_ROWS = 0.5, 4_000


@dataclass(frozen=True, slots=True, eq=False)
class EventTimes:
    """When each row had its event.

    Attributes
    ----------
    lower, upper : ndarray of shape (n_rows,)
        The event lies in (lower, upper]; equal for an exact time; upper is infinite where none was seen.
    entry, weights : ndarray of shape (n_rows,) or None
        Time at which observation began; number of episodes that the row stands for. None: 0 and 1 throughout.
    form : str
        ``exact`` or ``interval``.
    background : ndarray of shape (n_rows,) or None
        Known background hazard at the event, or throughout its interval, per unit of time.
    """

    lower: Array
    upper: Array
    entry: Array | None
    weights: Array | None
    form: str
    background: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeRows:
    """Compressed rows.

    Attributes
    ----------
    lower, upper, entry, weight : ndarray of shape (n_rows,)
        As in ``EventTimes``, with weights summed.
    pattern : ndarray of int of shape (n_rows,) or None
        Covariate pattern of each row; None where each row is its own pattern, in the same order.
    representatives : ndarray of int of shape (n_patterns,)
        Position in the frame of an episode that bears each pattern.
    inverse : ndarray of int of shape (n_input_rows,) or None
        Compressed row of each row of the frame, where asked for.
    n_input_rows : int
        Rows of the frame.
    background : ndarray of shape (n_rows,) or None
        As in ``EventTimes``; 0 for rows without event.
    """

    lower: Array
    upper: Array
    entry: Array
    weight: Array
    pattern: IntArray | None
    representatives: IntArray
    inverse: IntArray | None
    n_input_rows: int
    background: Array | None = None

    @property
    def is_event(self) -> BoolArray:
        """Whether the event was seen."""
        return np.isfinite(self.upper)

    @property
    def pattern_weight(self) -> Array:
        """Sum of the weights of each covariate pattern."""
        if self.pattern is None:
            return self.weight
        return np.bincount(self.pattern, weights=self.weight, minlength=len(self.representatives)).astype(float)


def read_event_times(
    frame: pd.DataFrame,
    *,
    duration_col: str | None,
    event_col: str | None,
    lower_col: str | None,
    upper_col: str | None,
    weights_col: str | None,
    entry_col: str | None,
    background_col: str | None = None,
) -> EventTimes:
    """Check the time columns of a frame and return them as arrays.

    Parameters
    ----------
    frame : DataFrame
        One row per episode or per group of equal episodes.
    duration_col, event_col : str or None
        Exact form: time of the event or of censoring, > 0 for an event; 1 or True for an event.
    lower_col, upper_col : str or None
        Interval form: the event lies in (lower, upper]; upper infinite where none was seen.
    weights_col, entry_col : str or None
        Case weights > 0; time >= 0 at which observation began, before the event.
    background_col : str or None
        Known background hazard, >= 0.

    Raises
    ------
    ValueError
        If not exactly one of the two forms is given.
    ContractError
        Every broken rule with its rows.
    InsufficientDataError
        If the frame has no row.
    """
    exact, interval = (duration_col, event_col), (lower_col, upper_col)
    complete = [None not in form for form in (exact, interval)]
    if sum(complete) != 1 or any(column is not None for column in (exact if complete[1] else interval)):
        raise ValueError(
            "give either duration_col and event_col (exact times) or lower_col and upper_col (event in "
            f"(lower, upper]); given are duration_col={duration_col!r}, event_col={event_col!r}, "
            f"lower_col={lower_col!r}, upper_col={upper_col!r}"
        )
    check_columns(frame, [*exact, *interval, weights_col, entry_col, background_col])
    entry = None if entry_col is None else number_column(frame, entry_col, 0.0)
    weights = None if weights_col is None else number_column(frame, weights_col, 1.0)
    found = []
    if entry is not None:
        found += broken(frame, f"{entry_col} must be a number, 0 or more", ~_is_time(entry))
    if weights is not None:
        found += broken(frame, f"{weights_col} must be a number above 0", ~(_is_time(weights) & (weights > 0)))
    background = None if background_col is None else number_column(frame, background_col, 0.0)
    if background is not None:
        found += broken(frame, f"{background_col} must be a hazard, a number of 0 or more", ~_is_time(background))
    if complete[0]:
        lower, upper, faults = _exact_times(frame, str(duration_col), str(event_col), entry, entry_col)
    else:
        lower, upper, faults = _interval_times(frame, str(lower_col), str(upper_col), entry, entry_col)
    if found or faults:
        raise ContractError(found + faults)
    if background is not None:
        background = np.where(np.isfinite(upper), background, 0.0)  # what is known of the event-free does not matter
    return EventTimes(lower, upper, entry, weights, "exact" if complete[0] else "interval", background)


def _exact_times(
    frame: pd.DataFrame, duration_col: str, event_col: str, entry: Array | None, entry_col: str | None
) -> tuple[Array, Array, list[Violation]]:
    lower = number_column(frame, duration_col, 0.0)
    is_event, found = event_flags(frame, event_col)
    found += broken(frame, f"{duration_col} must be a number, 0 or more", ~_is_time(lower))
    rule = f"an event at {duration_col} 0 has no likelihood in continuous time; give it an interval such as (0, 1]"
    found += broken(frame, rule, is_event & (lower == 0))
    if entry is not None:
        late = (entry > lower) | (is_event & (entry == lower) & (entry > 0))
        found += broken(frame, f"{duration_col} must not end before {entry_col}; an event must lie after it", late)
    return lower, np.where(is_event, lower, np.inf), found


def _interval_times(
    frame: pd.DataFrame, lower_col: str, upper_col: str, entry: Array | None, entry_col: str | None
) -> tuple[Array, Array, list[Violation]]:
    lower, upper = number_column(frame, lower_col, 0.0), number_column(frame, upper_col, np.inf)
    found = broken(frame, f"{lower_col} must be a number, 0 or more", ~_is_time(lower))
    rule = f"{upper_col} must be {lower_col} or more and above 0; infinite where no event was seen"
    found += broken(frame, rule, ~((upper >= lower) & (upper > 0)))
    if entry is not None:
        found += broken(frame, f"{upper_col} must be after {entry_col}", upper <= entry)
        # Being event-free at entry is known, so the interval begins there at the earliest.
        lower = np.where(upper > lower, np.maximum(lower, entry), lower)
    return lower, upper, found


def _is_time(values: Array) -> BoolArray:
    return np.isfinite(values) & (values >= 0)


def compress_rows(
    times: EventTimes, frame: pd.DataFrame, variables: tuple[str, ...], *, want_inverse: bool
) -> EpisodeRows:
    """Collapse rows with the same covariates, entry and interval into one weighted row.

    Parameters
    ----------
    times : EventTimes
        Of the frame's rows.
    frame : DataFrame
        Holds the variables, without missing values.
    variables : tuple of str
        Columns that the formulas read.
    want_inverse : bool
        Whether to say where each row of the frame went.
    """
    columns = [frame[name] for name in variables]
    n_rows = len(times.lower)
    if any(is_continuous(column) for column in columns):
        return uncompressed(times, want_inverse=want_inverse)
    covariates = combine([encode(column) for column in columns], n_rows)
    marks = [times.lower, *(mark for mark in (times.entry, times.background) if mark is not None)]
    if times.form == "interval":
        marks.append(times.upper)
    if any(is_continuous(mark) for mark in marks):
        patterns = tally(covariates, None, want_inverse=True)
        everyone = np.arange(n_rows)
        return _rows(times, everyone, _weights(times), patterns.inverse, patterns.first, everyone)
    codes = [encode(mark) for mark in marks]
    if times.form == "exact":
        codes.append(Codes(np.isfinite(times.upper).astype(np.int64), 2))
    distinct = tally(combine([covariates, *codes], n_rows), times.weights, want_inverse=want_inverse)
    patterns = tally(Codes(covariates.codes[distinct.first], covariates.size), None, want_inverse=True)
    if n_rows > _FEW_ROWS and len(patterns.first) > _TOO_MANY_PATTERNS * n_rows:
        return uncompressed(times, want_inverse=want_inverse)
    representatives = distinct.first[patterns.first]
    return _rows(times, distinct.first, distinct.weight, patterns.inverse, representatives, distinct.inverse)


def _weights(times: EventTimes) -> Array:
    return np.ones(len(times.lower)) if times.weights is None else times.weights


def _rows(
    times: EventTimes,
    taken: IntArray,
    weight: Array,
    pattern: IntArray | None,
    representatives: IntArray,
    inverse: IntArray | None,
) -> EpisodeRows:
    entry = np.zeros(len(taken)) if times.entry is None else times.entry[taken]
    return EpisodeRows(
        lower=times.lower[taken],
        upper=times.upper[taken],
        entry=entry,
        weight=weight,
        pattern=pattern,
        representatives=representatives,
        inverse=inverse,
        n_input_rows=len(times.lower),
        background=None if times.background is None else times.background[taken],
    )


def uncompressed(times: EventTimes, *, within: Codes | None = None, want_inverse: bool = False) -> EpisodeRows:
    """Keep every row, exact events first, then intervals, then the event-free, so that kernels read them in runs.

    Parameters
    ----------
    times : EventTimes
    within : Codes or None
        By which rows are sorted further.
    want_inverse : bool
        Whether to say where each row went.
    """
    key: IntArray = np.where(np.isinf(times.upper), 2, np.where(times.upper > times.lower, 1, 0))
    size = 3
    if within is not None:
        key *= within.size
        key += within.codes
        size *= within.size
    # Few keys are sorted several times as fast in two bytes.
    order = np.argsort(key.astype(np.uint16) if size < 2**16 else key, kind="stable")
    inverse = None
    if want_inverse:
        inverse = np.empty(len(order), dtype=np.int64)
        inverse[order] = np.arange(len(order))
    return _rows(times, order, _weights(times)[order], None, order, inverse)
