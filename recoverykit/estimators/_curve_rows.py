"""From a frame to counts, and from estimates to curves: what every nonparametric estimator does before and after.

Private to the nonparametric estimators.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.curves import StepCurve
from recoverykit.errors import ContractError, ExtrapolationError, Violation
from recoverykit.estimators._distinct_rows import distinct_rows
from recoverykit.estimators._nonparametric_kernels import CENSORED, Counts, Estimate, count_outcomes
from recoverykit.estimators._rows import (
    BoolArray,
    IntArray,
    Rows,
    check_columns,
    check_rows,
    event_flags,
    number_column,
    outcome_codes,
)

Array = NDArray[np.float64]
#: From a frame: names of the outcomes, the code of each row, and what is wrong.
Ends = Callable[[pd.DataFrame], tuple[list[str], IntArray, list[Violation]]]


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeRows:
    """Checked rows with the code of their outcome.

    Attributes
    ----------
    rows : Rows
        Segments, times and weights of distinct rows; only those that were ever at risk.
    codes : ndarray of int of shape (n_rows,)
        Position in ``outcomes``, or ``CENSORED``.
    outcomes : list of str
        Names of the outcomes; one empty name where there is only an event.
    """

    rows: Rows
    codes: IntArray
    outcomes: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """A checked frame as counts.

    Attributes
    ----------
    names, outcomes : list of str
        Names of the segments, sorted, and of the outcomes.
    counts : Counts
        By segment, time and outcome.
    grid : ndarray of shape (n_grid,) or None
        Reporting grid.
    """

    names: list[str]
    outcomes: list[str]
    counts: Counts
    grid: Array | None


def count_events(
    frame: pd.DataFrame,
    *,
    by: str | Sequence[str],
    duration_col: str,
    event_col: str,
    weights_col: str | None,
    entry_col: str | None,
    at: ArrayLike | None,
) -> Counted:
    """Check and count a frame with an event column; arguments and errors are those of ``kaplan_meier_by``."""
    read = read_events(
        frame, by=by, duration_col=duration_col, event_col=event_col, weights_col=weights_col, entry_col=entry_col
    )
    return count(read, at)


def read_events(
    frame: pd.DataFrame,
    *,
    by: str | Sequence[str],
    duration_col: str,
    event_col: str,
    weights_col: str | None,
    entry_col: str | None,
) -> OutcomeRows:
    """Check a frame with an event column; arguments and errors are those of ``kaplan_meier_by``."""

    def ends(rows: pd.DataFrame) -> tuple[list[str], IntArray, list[Violation]]:
        is_event, faults = event_flags(rows, event_col)
        return [""], np.where(is_event, 0, CENSORED), faults

    return _read(frame, ends, event_col, columns_of(by), duration_col, weights_col, entry_col)


def read_outcomes(
    frame: pd.DataFrame,
    *,
    by: str | Sequence[str],
    duration_col: str,
    outcome_col: str,
    censored: str,
    weights_col: str | None,
    entry_col: str | None,
) -> OutcomeRows:
    """Check a frame with an outcome column; arguments and errors are those of ``aalen_johansen_by``."""

    def ends(rows: pd.DataFrame) -> tuple[list[str], IntArray, list[Violation]]:
        return outcome_codes(rows, outcome_col, censored)

    return _read(frame, ends, outcome_col, columns_of(by), duration_col, weights_col, entry_col)


def columns_of(by: str | Sequence[str]) -> list[str]:
    """Return the segment columns as a list."""
    return [by] if isinstance(by, str) else list(by)


def read_grid(at: ArrayLike | None) -> Array | None:
    """Check a reporting grid and put month 0 in front.

    Raises
    ------
    ValueError
        When it is not a strictly increasing list of finite months of 0 or more.
    """
    if at is None:
        return None
    months = np.atleast_1d(np.asarray(at, dtype=float))
    if months.ndim != 1 or len(months) == 0 or not (np.isfinite(months).all() and months[0] >= 0):
        raise ValueError("at must be a list of finite months of 0 or more, such as [12, 24, 36]")
    if np.any(np.diff(months) <= 0):
        raise ValueError(f"at must be strictly increasing; it is {months.tolist()}")
    return months if months[0] == 0 else np.concatenate([[0.0], months])


def count(read: OutcomeRows, at: ArrayLike | None = None) -> Counted:
    """Form the risk sets, at the times of the data and, where given, at those of the reporting grid too."""
    grid = read_grid(at)
    counts = count_outcomes(
        segments=read.rows.segments,
        durations=read.rows.durations,
        outcomes=read.codes,
        entries=read.rows.entries,
        weights=read.rows.weights,
        n_segments=len(read.rows.names),
        n_outcomes=len(read.outcomes),
        grid=grid,
    )
    return Counted(read.rows.names, read.outcomes, counts, grid)


def make_curves(
    counted: Counted, estimate: Estimate, limits: tuple[Array, Array], *, level: float
) -> dict[str, StepCurve]:
    """Return the curve of each segment, on its own times or on those of the grid that it was observed for."""
    counts, grid = counted.counts, counted.grid
    lower, upper = limits
    curves = {}
    for row, (name, n) in enumerate(zip(counted.names, counts.n_times, strict=True)):
        kept = slice(0, int(n)) if grid is None else np.flatnonzero(np.isin(counts.times[row, :n], grid))
        curves[name] = StepCurve(
            times=counts.times[row, kept],
            values=estimate.values[row, kept],
            lower=lower[row, kept],
            upper=upper[row, kept],
            level=level,
            standard_errors=estimate.standard_errors[row, kept],
            n_at_risk=counts.n_at_risk[row, kept],
            on_grid=grid is not None,
        )
    return curves


def check_reach(
    curves: Iterable[StepCurve], at: ArrayLike | None, frame: pd.DataFrame, *, duration_col: str, entry_col: str | None
) -> None:
    """Refuse a reporting grid that goes beyond the longest duration of those that were ever at risk.

    Raises
    ------
    ExtrapolationError
        Naming the months beyond.
    """
    grid = read_grid(at)
    if grid is None or all(curve.times[-1] == grid[-1] for curve in curves):
        return
    durations, entries = number_column(frame, duration_col, 0.0), number_column(frame, entry_col, 0.0)
    longest = durations[_was_at_risk(durations, entries)].max(initial=0.0)
    beyond = ", ".join(f"{month:g}" for month in grid[grid > longest])
    raise ExtrapolationError(
        f"at asks for month {beyond}, but the longest duration is {longest:g}; leave out what lies beyond, or extend "
        "the curve with a model"
    )


def _read(
    frame: pd.DataFrame,
    ends: Ends,
    end_col: str,
    by: list[str],
    duration_col: str,
    weights_col: str | None,
    entry_col: str | None,
) -> OutcomeRows:
    """Check a frame on its distinct rows where it can be counted, and on all of its rows to say what is wrong."""
    columns = [*by, duration_col, end_col, *([] if entry_col is None else [entry_col])]
    check_columns(frame, [*columns, weights_col])
    distinct = distinct_rows(frame, columns, weights_col)
    if distinct is not None:
        small, count_col = distinct
        try:
            return _checked(small, ends, by, duration_col, count_col, entry_col)
        except ContractError:  # said again below, with the rows of the frame as given
            pass
    return _checked(frame, ends, by, duration_col, weights_col, entry_col)


def _checked(
    frame: pd.DataFrame, ends: Ends, by: list[str], duration_col: str, weights_col: str | None, entry_col: str | None
) -> OutcomeRows:
    outcomes, codes, faults = ends(frame)
    rows = check_rows(
        frame,
        by=by,
        is_event=codes != CENSORED,
        faults=faults,
        duration_col=duration_col,
        weights_col=weights_col,
        entry_col=entry_col,
    )
    return _ever_at_risk(rows, codes, outcomes)


def _ever_at_risk(rows: Rows, codes: IntArray, outcomes: list[str]) -> OutcomeRows:
    seen = _was_at_risk(rows.durations, rows.entries)
    if seen.all():
        return OutcomeRows(rows, codes, outcomes)
    kept = Rows(
        names=rows.names,
        segments=rows.segments[seen],
        durations=rows.durations[seen],
        entries=rows.entries[seen],
        weights=rows.weights[seen],
    )
    return OutcomeRows(kept, codes[seen], outcomes)


def _was_at_risk(durations: Array, entries: Array) -> BoolArray:
    # A censored row that ends in the moment it entered was never at risk and says nothing.
    at_risk: BoolArray = (entries == 0) | (durations > entries)
    return at_risk
