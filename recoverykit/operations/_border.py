"""The border of the unit's tables: each frame has the columns that are needed, all faults told at once."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.errors import ContractError, SpecError, Violation
from recoverykit.estimators._rows import number_column

#: Columns that must not repeat, by table.
KEYS = {
    "instalments": ("facility_id", "due_date"),
    "assignments": ("experiment", "facility_id"),
    "actions": ("action_id",),
    "promises": ("facility_id", "promise_date"),
    "turnover": ("facility_id", "month_end"),
    "facilities": ("facility_id",),
    "obligors": ("facility_id",),
    "balances": ("facility_id",),
    "cover": ("facility_id", "due_date"),
    "panel": ("facility_id", "month_end"),
    "cases": ("facility_id",),
    "treatments": ("treatment",),
    "lights": ("facility_id", "as_of"),
    "outcomes": ("facility_id",),
}
#: A rule in words -> the columns that it reads, and which rows of a frame break it.
Rules = Mapping[str, tuple[Sequence[str], Callable[[pd.DataFrame], ArrayLike]]]
_SHOWN = 5


def check_frames(needed: Mapping[str, tuple[pd.DataFrame, Sequence[str]]]) -> None:
    """Raise when a frame lacks a column, holds an empty one of them, or has a key twice.

    Parameters
    ----------
    needed : mapping of str to (DataFrame, sequence of str)
        Name of the table -> the frame and the columns that it must have; one whose name ends in ``?`` may hold gaps.

    Raises
    ------
    ContractError
        With every violation of every frame.
    """
    faults = [fault for table, (frame, columns) in needed.items() for fault in frame_faults(table, frame, columns)]
    if faults:
        raise ContractError(faults)


def frame_faults(
    table: str, frame: pd.DataFrame, columns: Sequence[str], rules: Rules | None = None
) -> list[Violation]:
    """Return what is wrong with a frame: its columns, gaps and keys, and its values.

    Parameters
    ----------
    table : str
        Its name in messages.
    frame : DataFrame
        Not changed.
    columns : sequence of str
        As in ``check_frames``.
    rules : Rules, optional
        Each is asked of the rows that hold a value in all columns that it reads, where these are there: what is missing
        is told once.

    Returns
    -------
    list of Violation
        For the caller to raise, together with those of its other frames.
    """
    missing = [c for c in (c.removesuffix("?") for c in columns) if c not in frame.columns]
    there = ", ".join(map(str, frame.columns)) or "none"
    faults = [Violation(table, f"column {c!r} is missing; there are {there}") for c in missing]
    for column in [c for c in columns if not c.endswith("?") and c not in missing]:
        faults += _broken(table, f"{column} must not be empty", frame, frame[column].isna())
    key = [c for c in KEYS.get(table, ()) if c in frame.columns]
    if key and len(key) == len(KEYS[table]):
        faults += _broken(table, f"{' and '.join(key)} must name one row", frame, frame.duplicated(key))
    for rule, (read, breaks) in (rules or {}).items():
        if all(c in frame.columns for c in read):
            filled = frame[frame[list(read)].notna().all(axis=1).to_numpy(bool)]
            faults += _broken(table, rule, filled, breaks(filled))
    return faults


def no_share(column: str) -> Callable[[pd.DataFrame], NDArray[np.bool_]]:
    """Return the rule that finds the rows whose value in a column is no number in [0, 1]."""

    def breaks(frame: pd.DataFrame) -> NDArray[np.bool_]:
        value = number_column(frame, column, 0.0)
        return ~((value >= 0) & (value <= 1))

    return breaks


def day_of(value: object, name: str) -> pd.Timestamp:
    """Return a day.

    Raises
    ------
    SpecError
        When it is none.
    """
    day = pd.to_datetime(value, errors="coerce")  # type: ignore[call-overload]
    if not isinstance(day, pd.Timestamp) or pd.isna(day):
        raise SpecError(f"{name} is {value!r}; it must be a day such as 2026-09-30")
    return day.normalize()


def _broken(table: str, rule: str, frame: pd.DataFrame, is_broken: ArrayLike) -> list[Violation]:
    wrong: NDArray[np.bool_] = np.asarray(is_broken, dtype=bool)
    if not wrong.any():
        return []
    rows = tuple(f"row {label}" for label in frame.index[wrong][:_SHOWN])
    return [Violation(table, rule, int(wrong.sum()), rows)]
