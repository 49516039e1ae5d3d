"""A path of macroeconomic values by calendar month, and the calendar month of a month in default.

Private to the discrete-time hazard model. A month that the path does not hold is asked for, never filled in.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, Violation
from recoverykit.estimators._rows import Array, IntArray, broken
from recoverykit.vocabulary import MONTHS_PER_YEAR

#: Column of the calendar month, where the frame's index does not hold it.
MONTH_COLUMN = "month_end"
TABLE = "macro"
_N_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class MacroPath:
    """Macro values by calendar month.

    Attributes
    ----------
    columns : tuple of str
        Names of the values.
    first : int
        Number of the first month: 12 times the year, plus the month from 0.
    values : ndarray of shape (n_months, n_columns)
        NaN where the path has no value.
    """

    columns: tuple[str, ...]
    first: int
    values: Array

    def at(self, months: IntArray) -> dict[str, Array]:
        """Return the values at calendar months, by column.

        Raises
        ------
        ContractError
            Where the path does not hold a month, naming the first of them.
        """
        place = months - self.first
        inside = (place >= 0) & (place < len(self.values))
        found = self.values[np.where(inside, place, 0)]
        there = inside & np.isfinite(found).all(axis=1)
        if not there.all():
            absent = np.unique(months[~there])
            keys = tuple(_month_name(month) for month in absent[:_N_SHOWN])
            rule = f"{', '.join(self.columns)} must be given for every calendar month at risk; months are missing"
            raise ContractError([Violation(TABLE, rule, len(absent), keys)])
        return {column: found[:, position] for position, column in enumerate(self.columns)}


def read_macro(macro: pd.DataFrame, columns: tuple[str, ...]) -> MacroPath:
    """Read a frame of monthly macro values.

    Parameters
    ----------
    macro : DataFrame
        One row per calendar month, which stands in the index (periods, dates or text such as "2024-03") or in a column
        ``month_end``.
    columns : tuple of str
        The values that a formula reads.

    Raises
    ------
    ContractError
        If columns are absent, months cannot be read or occur twice.
    """
    absent = [column for column in columns if column not in macro.columns]
    if absent:
        there = ", ".join(str(c) for c in macro.columns)
        raise ContractError([Violation(TABLE, f"column {c!r} is missing; there are {there}") for c in absent])
    source = macro[MONTH_COLUMN] if MONTH_COLUMN in macro.columns else macro.index.to_series()
    months, unread = _month_numbers(source.reset_index(drop=True))
    plain = macro.reset_index(drop=True)
    found = broken(plain, "the index or month_end must hold calendar months", unread, table=TABLE)
    found += broken(
        plain, "a calendar month must occur once", pd.Series(months).duplicated().to_numpy() & ~unread, table=TABLE
    )
    if found or len(plain) == 0:
        raise ContractError(found or [Violation(TABLE, "the frame has no month")])
    values = np.full((int(months.max() - months.min()) + 1, len(columns)), np.nan)
    values[months - months.min()] = plain.loc[:, list(columns)].to_numpy(dtype=float)
    return MacroPath(columns, int(months.min()), values)


def default_months(frame: pd.DataFrame, default_month_col: str) -> IntArray:
    """Return the number of each row's calendar month of default.

    Raises
    ------
    ContractError
        If the column is absent or holds no month.
    """
    if default_month_col not in frame.columns:
        there = ", ".join(str(c) for c in frame.columns)
        raise ContractError([Violation("frame", f"column {default_month_col!r} is missing; there are {there}")])
    months, unread = _month_numbers(frame[default_month_col])
    faults = broken(frame, f"{default_month_col} must hold a date or a calendar month such as 2024-03", unread)
    if faults:
        raise ContractError(faults)
    return months


def _month_numbers(values: pd.Series) -> tuple[IntArray, np.ndarray]:
    if isinstance(values.dtype, pd.PeriodDtype):
        dates = values.dt.to_timestamp()
    elif values.dtype.kind == "M":
        dates = values
    else:
        dates = pd.to_datetime(values.astype(str), errors="coerce", format="ISO8601")
    unread = dates.isna().to_numpy()
    numbers = MONTHS_PER_YEAR * dates.dt.year + dates.dt.month - 1
    return numbers.fillna(0).to_numpy().astype(np.int64), unread


def _month_name(number: int) -> str:
    return f"{number // MONTHS_PER_YEAR}-{number % MONTHS_PER_YEAR + 1:02d}"
