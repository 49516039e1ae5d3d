"""The border of the estimators: frames are checked here once, all faults at a time, and become arrays.

A row that has no valid time, event, entry or weight is refused by name; none is left out. This module knows nothing of
what is estimated from the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, InsufficientDataError, Violation
from recoverykit.vocabulary import CLOSED_OUTCOMES, WHOLE_BOOK, segment_name

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Name under which the violations of an estimator's frame are listed.
TABLE = "frame"
#: Rows named in a message.
N_FIRST_KEYS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A checked frame as arrays.

    Attributes
    ----------
    names : list of str
        Names of the segments, sorted.
    segments : ndarray of int of shape (n_rows,)
        Position of each row's segment in ``names``.
    durations, entries, weights : ndarray of shape (n_rows,)
        Months to the end of observation, months at which it began, number of episodes that the row stands for.
    """

    names: list[str]
    segments: IntArray
    durations: Array
    entries: Array
    weights: Array


def check_choice(name: str, given: str, allowed: Sequence[str]) -> None:
    """Raise ValueError when an option is not one of its choices."""
    if given not in allowed:
        raise ValueError(f"{name} is {given!r}; allowed are {', '.join(repr(a) for a in allowed)}")


def check_level(level: float) -> None:
    """Raise ValueError when a confidence level is not inside (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; it must lie between 0 and 1, as 0.95 does")


def check_columns(frame: pd.DataFrame, columns: Sequence[str | None], *, table: str = TABLE) -> None:
    """Raise ContractError for columns that are missing, InsufficientDataError when the frame has no row.

    Parameters
    ----------
    frame : DataFrame
        The frame to check.
    columns : sequence of str or None
        Columns needed; None stands for an option that was not taken.
    table : str
        Name of the frame in the message.
    """
    missing = [c for c in dict.fromkeys(columns) if c is not None and c not in frame.columns]
    if missing:
        there = ", ".join(str(c) for c in frame.columns)
        raise ContractError([Violation(table, f"column {c!r} is missing; there are {there}") for c in missing])
    if frame.empty:
        raise InsufficientDataError(f"{table} has no row, so there is nothing to estimate; check the filter before it")


def number_column(frame: pd.DataFrame, column: str | None, default: float) -> Array:
    """Return a column as floats, NaN where it holds no number; a constant where no column is named.

    Dates and spans of time are no numbers: pandas would count them in nanoseconds, or whatever their unit is.
    """
    if column is None:
        return np.full(len(frame), default)
    values = frame[column]
    if values.dtype.kind in "mM":
        return np.full(len(frame), np.nan)
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "biuf":
        return values.to_numpy().astype(np.float64)
    return pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def broken(frame: pd.DataFrame, rule: str, is_broken: BoolArray, *, table: str = TABLE) -> list[Violation]:
    """Return one violation when any row breaks a rule, none otherwise."""
    if not is_broken.any():
        return []
    keys = tuple(f"row {label}" for label in frame.index[is_broken][:N_FIRST_KEYS])
    return [Violation(table, rule, int(is_broken.sum()), keys)]


def event_flags(frame: pd.DataFrame, event_col: str) -> tuple[BoolArray, list[Violation]]:
    """Return an event column as booleans, and a violation where it is neither true nor false.

    Parameters
    ----------
    frame : DataFrame
        Holds the column.
    event_col : str
        Boolean, or numbers 0 and 1.
    """
    values = number_column(frame, event_col, 0.0)
    rule = f"{event_col} must be True or False (1 or 0)"
    return values == 1.0, broken(frame, rule, ~np.isin(values, (0.0, 1.0)))


def check_rows(
    frame: pd.DataFrame,
    *,
    by: Sequence[str],
    is_event: BoolArray,
    faults: list[Violation],
    duration_col: str,
    weights_col: str | None,
    entry_col: str | None,
) -> Rows:
    """Check times, entries, weights and segments of a frame, and return them as arrays.

    Parameters
    ----------
    frame : DataFrame
        Not empty, with all columns named.
    by : sequence of str
        Segment columns.
    is_event : ndarray of bool of shape (n_rows,)
        Whether the row ended in an event.
    faults : list of Violation
        What was already found wrong; raised together with what is found here.
    duration_col, weights_col, entry_col : str or None
        As in the estimators.

    Raises
    ------
    ContractError
        Every rule that is broken, with count and first rows.
    """
    durations = number_column(frame, duration_col, 0.0)
    entries = number_column(frame, entry_col, 0.0)
    weights = number_column(frame, weights_col, 1.0)
    found = list(faults)
    found += broken(frame, f"{duration_col} must be a number of months, 0 or more", ~_within(durations))
    if weights_col is not None:
        found += broken(frame, f"{weights_col} must be a number above 0", ~(_within(weights) & (weights > 0)))
    if entry_col is not None:
        found += broken(frame, f"{entry_col} must be a number of months, 0 or more", ~_within(entries))
        too_early = (durations < entries) | (is_event & (durations == entries) & (entries > 0))
        rule = f"{duration_col} must not end before {entry_col}, and an event must lie after it"
        found += broken(frame, rule, too_early)
    parts = [pd.factorize(frame[column]) for column in by]
    for column, (codes, _) in zip(by, parts, strict=True):
        found += broken(frame, f"segment column {column} must not be missing", codes < 0)
    if found:
        raise ContractError(found)
    names, segments = _segment_codes(parts, len(frame))
    return Rows(names=names, segments=segments, durations=durations, entries=entries, weights=weights)


def outcome_codes(frame: pd.DataFrame, outcome_col: str, censored: str) -> tuple[list[str], IntArray, list[Violation]]:
    """Return the outcomes in the order of the legend, the code of each row (-1 censored), and what is wrong.

    Parameters
    ----------
    frame : DataFrame
        Holds the column.
    outcome_col : str
        Outcome of each row.
    censored : str
        The value that means censored.
    """
    column = frame[outcome_col]
    if isinstance(column.dtype, pd.CategoricalDtype):  # codes are there already; categories may be unused
        codes, labels = column.cat.codes.to_numpy().astype(np.int64), column.cat.categories
        used = np.bincount(codes + 1, minlength=len(labels) + 1)[1:] > 0
    else:
        codes, labels = pd.factorize(column.astype(object))
        used = np.ones(len(labels), dtype=bool)
    texts = [str(label) for label in labels]
    legend = [str(o) for o in CLOSED_OUTCOMES]
    order = {text: (legend.index(text) if text in legend else len(legend), text) for text in texts}
    seen = {text for text, is_used in zip(texts, used, strict=True) if is_used and text != str(censored)}
    outcomes = sorted(seen, key=order.__getitem__)
    place = {outcome: position for position, outcome in enumerate(outcomes)}
    code_of = np.array([place.get(text, -1) for text in texts] + [-1], dtype=np.int64)
    return outcomes, code_of[codes], broken(frame, f"{outcome_col} must not be missing", codes < 0)


def _segment_codes(parts: list[tuple[IntArray, pd.Index]], n_rows: int) -> tuple[list[str], IntArray]:
    """Return the sorted names of the segments and the position of each row's among them."""
    if not parts:
        return [WHOLE_BOOK], np.zeros(n_rows, dtype=np.int64)
    combined = np.zeros(n_rows, dtype=np.int64)
    for codes, labels in parts:
        combined = combined * len(labels) + codes
    row_cell, cells = pd.factorize(combined)
    texts = [[str(label) for label in labels] for _, labels in parts]
    where = np.unravel_index(cells, [len(t) for t in texts])
    cell_names = [segment_name([t[i] for t, i in zip(texts, place, strict=True)]) for place in zip(*where, strict=True)]
    names = sorted(set(cell_names))
    return names, np.searchsorted(names, cell_names)[row_cell]


def _within(values: Array) -> BoolArray:
    return np.isfinite(values) & (values >= 0)
