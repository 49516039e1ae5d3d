"""The border of the unit's tables: each frame has the columns that are needed, all faults told at once."""

from collections.abc import Mapping, Sequence

import pandas as pd

from recoverykit.errors import ContractError, SpecError, Violation

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
}
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
    faults: list[Violation] = []
    for table, (frame, columns) in needed.items():
        missing = [c for c in (c.removesuffix("?") for c in columns) if c not in frame.columns]
        there = ", ".join(map(str, frame.columns)) or "none"
        faults += [Violation(table, f"column {c!r} is missing; there are {there}") for c in missing]
        for column in [c for c in columns if not c.endswith("?") and c not in missing]:
            faults += _broken(table, f"{column} must not be empty", frame, frame[column].isna())
        key = [c for c in KEYS.get(table, ()) if c in frame.columns]
        if key and len(key) == len(KEYS[table]):
            faults += _broken(table, f"{' and '.join(key)} must name one row", frame, frame.duplicated(key))
    if faults:
        raise ContractError(faults)


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


def _broken(table: str, rule: str, frame: pd.DataFrame, is_broken: pd.Series) -> list[Violation]:
    if not is_broken.any():
        return []
    rows = tuple(f"row {label}" for label in frame.index[is_broken][:_SHOWN])
    return [Violation(table, rule, int(is_broken.sum()), rows)]
