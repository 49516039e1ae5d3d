"""The border of the measures: what happened to each episode and what was predicted, checked once and made arrays.

Predictions may differ from month to month. They are taken one month at a time, from a column or from a function, so
that no table of episodes by months is ever held. This module computes no measure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.errors import ContractError, ExtrapolationError, InsufficientDataError, Violation
from recoverykit.estimators._evaluation_kernels import CAUSE, CENSORED, COMPETING, Episodes
from recoverykit.estimators._rows import (
    BoolArray,
    broken,
    check_columns,
    check_rows,
    event_flags,
    number_column,
    outcome_codes,
)

Array = NDArray[np.float64]
#: Predictions for a month, one per row of the frame and in its order.
Predict = Callable[[float], ArrayLike]
#: One column for all months, a column for each month, or a function of the month.
Columns = str | Mapping[float, str]


@dataclass(frozen=True, slots=True)
class Ends:
    """Names of the columns that say how and when the episodes ended.

    Attributes
    ----------
    duration_col : str
        Months to the end of observation.
    event_col : str or None
        True where the event was seen. Either this or ``outcome_col``.
    outcome_col : str or None
        Outcome of each row.
    outcome : str or None
        The outcome that is predicted; goes with ``outcome_col``. All others compete with it.
    censored : str
        The value of ``outcome_col`` that means censored.
    weights_col : str or None
        Episodes for which a row stands.
    """

    duration_col: str
    event_col: str | None
    outcome_col: str | None
    outcome: str | None
    censored: str
    weights_col: str | None

    def __post_init__(self) -> None:
        if (self.event_col is None) == (self.outcome_col is None):
            raise ValueError("give either event_col (one kind of event) or outcome_col (outcomes that compete)")
        if (self.outcome is None) != (self.outcome_col is None):
            raise ValueError("outcome names the outcome that is predicted; it goes with outcome_col, and only with it")


def read_episodes(
    frame: pd.DataFrame, ends: Ends, *, number_cols: Sequence[str] = (), share_cols: Sequence[str] = ()
) -> tuple[Episodes, dict[str, Array]]:
    """Check a frame and return its episodes and predictions as arrays.

    Parameters
    ----------
    frame : DataFrame
        One row per episode. Not changed.
    ends : Ends
        Names of its columns.
    number_cols, share_cols : sequence of str
        Prediction columns: any finite number, and probabilities in [0, 1].

    Returns
    -------
    tuple of Episodes and dict of str to ndarray
        The second holds each prediction column.

    Raises
    ------
    ContractError
        With all violations at once.
    InsufficientDataError
        When the frame has no row, or nothing in it ended in the event.
    """
    asked = [ends.duration_col, ends.event_col, ends.outcome_col, ends.weights_col, *number_cols, *share_cols]
    check_columns(frame, asked)
    codes, faults = _end_codes(frame, ends)
    columns = {name: number_column(frame, name, 0.0) for name in (*number_cols, *share_cols)}
    for name, values in columns.items():
        faults += broken(frame, _rule(name, is_share=name in share_cols), ~_is_valid(values, name in share_cols))
    rows = check_rows(
        frame,
        by=(),
        is_event=codes != CENSORED,
        faults=faults,
        duration_col=ends.duration_col,
        weights_col=ends.weights_col,
        entry_col=None,
    )
    if not np.any(codes == CAUSE):
        there = "the event" if ends.outcome is None else f"outcome {ends.outcome!r}"
        raise InsufficientDataError(
            f"none of the {len(frame):,} rows ended in {there}, so predictions of it cannot be judged; "
            "check its name, or take a larger segment"
        )
    return Episodes(durations=rows.durations, ends=codes, weights=rows.weights), columns


def read_predicted(
    frame: pd.DataFrame, ends: Ends, columns: Columns | None, predict: Predict | None, *, is_share: bool
) -> tuple[Episodes, Predict]:
    """Check a frame and its predictions for several months; parameters as in ``read_episodes`` and ``predictions``."""
    names = column_names(columns, predict)
    given = {"share_cols" if is_share else "number_cols": names}
    episodes, values = read_episodes(frame, ends, **given)
    return episodes, predictions(frame, columns, predict, values, is_share=is_share)


def check_times(times: Sequence[float] | Array, episodes: Episodes, *, at_least: int = 1) -> Array:
    """Return horizons as an array of shape (n_times,), or say what is wrong with them.

    Raises
    ------
    ValueError
        When there are too few, or they do not increase.
    ExtrapolationError
        When one lies beyond the longest observation.
    """
    months = np.atleast_1d(np.asarray(times, dtype=float))
    if len(months) < at_least or months.ndim != 1 or not np.all(np.isfinite(months)) or np.any(np.diff(months) <= 0):
        raise ValueError(f"times must be at least {at_least} increasing number(s) of months; given is {times!r}")
    last = float(episodes.durations.max())
    if months[0] < 0 or months[-1] > last:
        raise ExtrapolationError(
            f"times run from month {months[0]:g} to {months[-1]:g}, but the episodes were observed from month 0 to "
            f"{last:g}; what happened beyond is not known, so ask within that range"
        )
    return months


def predictions(
    frame: pd.DataFrame,
    columns: Columns | None,
    predict: Predict | None,
    values: Mapping[str, Array],
    *,
    is_share: bool,
) -> Predict:
    """Return a function that gives the predictions for a month, of shape (n_rows,), checked.

    Parameters
    ----------
    frame : DataFrame
        For the names of rows in messages.
    columns : str or mapping of float to str or None
        One column for all months or a column for each.
    predict : callable or None
        Takes a month. Either this or ``columns``.
    values : mapping of str to ndarray
        The columns, already checked.
    is_share : bool
        Whether predictions must be probabilities.
    """
    if predict is None:
        return lambda month: values[columns if isinstance(columns, str) else column_of(columns, month)]

    def checked(month: float) -> Array:
        given = np.asarray(predict(month), dtype=float)
        if given.shape != (len(frame),):
            raise ValueError(
                f"predict({month:g}) has shape {given.shape}; it must give one number for each of the "
                f"{len(frame):,} rows"
            )
        wrong = broken(frame, _rule(f"predict({month:g})", is_share=is_share), ~_is_valid(given, is_share))
        if wrong:
            raise ContractError(wrong)
        return given

    return checked


def column_names(columns: Columns | None, predict: Predict | None) -> list[str]:
    """Return the prediction columns that are needed; refuse both or neither of columns and function."""
    if (columns is None) == (predict is None):
        raise ValueError("give the predictions either as columns or as predict, a function of the month")
    if columns is None:
        return []
    return [columns] if isinstance(columns, str) else list(columns.values())


def column_of(columns: Mapping[float, str] | None, month: float) -> str:
    """Return the column that holds the predictions for a month."""
    for key, name in (columns or {}).items():
        if float(key) == month:
            return name
    raise ValueError(f"no prediction column is named for month {month:g}; there are {dict(columns or {})}")


def _end_codes(frame: pd.DataFrame, ends: Ends) -> tuple[NDArray[np.int64], list[Violation]]:
    if ends.event_col is not None:
        is_event, faults = event_flags(frame, ends.event_col)
        return np.where(is_event, CAUSE, CENSORED), faults
    names, codes, faults = outcome_codes(frame, str(ends.outcome_col), ends.censored)
    cause = names.index(str(ends.outcome)) if str(ends.outcome) in names else len(names)
    kinds = np.where(codes == cause, CAUSE, COMPETING)
    return np.where(codes < 0, CENSORED, kinds), faults


def _rule(name: str, *, is_share: bool) -> str:
    return f"{name} must be a {'probability, 0 to 1' if is_share else 'finite number'}"


def _is_valid(values: Array, is_share: bool) -> BoolArray:
    valid: BoolArray = np.isfinite(values)
    return valid & (values >= 0) & (values <= 1) if is_share else valid
