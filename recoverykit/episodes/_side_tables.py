"""The small tables that some rules of a ledger need, checked where they come in.

They are reference rates, rates by segment, totals of indirect costs and arrears at cure. All that is wrong with one is
told at once. This module knows what such a table must look like, and nothing of what it is used for.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from recoverykit.episodes._tables import Frame
from recoverykit.errors import ContractError, Violation

#: Keys shown of the rows that break a rule.
_SHOWN = 5
#: What a number may be: lower bound, upper bound (both excluded), and the words for it.
AMOUNT = (-np.nextafter(0, 1), np.inf, "an amount of zero or more")
RATE = (-1.0, 1.0, "an annual decimal between -1 and 1 (0.05)")
#: Columns of numbers with what they may be.
Numbers: TypeAlias = Mapping[str, tuple[float, float, str]]


def checked(
    frame: Frame,
    *,
    table: str,
    numbers: Numbers,
    dates: Sequence[str] = (),
    texts: Sequence[str] = (),
    key: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the columns of a side table that are asked for, as plain names, dates and numbers.

    Parameters
    ----------
    frame : ibis.Table or DataFrame
        The table. Not changed.
    table : str
        Its name in messages.
    numbers : mapping of str to (float, float, str)
        Columns of numbers with what they may be.
    dates, texts : sequence of str
        Columns of dates and of names.
    key : sequence of str
        Columns that together name a row; empty where rows may repeat.

    Raises
    ------
    ContractError
        With every violation: columns that are missing, values that are missing or out of range, repeated rows.
    """
    rows = frame.copy() if isinstance(frame, pd.DataFrame) else frame.to_pandas()
    wanted = [*texts, *dates, *numbers]
    missing = [name for name in wanted if name not in rows.columns]
    if missing:
        has = ", ".join(map(str, rows.columns))
        raise ContractError([Violation(table, f"needs the columns {', '.join(missing)}; it has {has}")])
    if rows.empty:
        # A column of nothing has no type of its own, and a name is text.
        rows = rows.astype(dict.fromkeys(texts, object))
    for name in dates:
        rows[name] = pd.to_datetime(rows[name], errors="coerce").dt.normalize()
    for name in numbers:
        rows[name] = pd.to_numeric(rows[name], errors="coerce").astype(float)
    found = [
        Violation(table, f"{name} must be {words}", int(wrong.sum()), _keys(rows, wrong, texts or dates))
        for name, wrong, words in _wrong_values(rows, numbers, dates, texts)
        if wrong.any()
    ]
    twice = rows.duplicated(list(key)) if key else pd.Series(data=False, index=rows.index)
    if twice.any():
        words = f"{' and '.join(key)} must not be repeated"
        found.append(Violation(table, words, int(twice.sum()), _keys(rows, twice, key)))
    if found:
        raise ContractError(found)
    return rows[wanted].reset_index(drop=True)


def refuse_unmatched(unmatched: ir.Table, *, table: str, rule: str) -> None:
    """Raise a ContractError with the episodes for which a side table has nothing, if there are any.

    Parameters
    ----------
    unmatched : ibis.Table
        With episode_id.
    table, rule : str
        Name of the side table, and what it should hold.
    """
    n_rows = int(unmatched.count().execute())
    if n_rows:
        first = unmatched.select("episode_id").order_by("episode_id").limit(_SHOWN).to_pandas()["episode_id"]
        raise ContractError([Violation(table, rule, n_rows, tuple(map(str, first)))])


def _wrong_values(
    rows: pd.DataFrame, numbers: Numbers, dates: Sequence[str], texts: Sequence[str]
) -> list[tuple[str, pd.Series, str]]:
    outside = [
        (name, ~((rows[name] > low) & (rows[name] < high)), words) for name, (low, high, words) in numbers.items()
    ]
    undated = [(name, rows[name].isna(), "a date") for name in dates]
    unnamed = [(name, rows[name].isna(), "given in every row") for name in texts]
    return [*unnamed, *undated, *outside]


def _keys(rows: pd.DataFrame, wrong: pd.Series, names: Sequence[str]) -> tuple[str, ...]:
    """Return the first rows that are wrong by their names, or by their place where nothing names them."""
    first = rows[wrong].head(_SHOWN)
    if not names:
        return tuple(f"row {place + 1}" for place in np.flatnonzero(wrong)[:_SHOWN])
    return tuple(" ".join(_word(value) for value in row) for row in first[list(names)].itertuples(index=False))


def _word(value: object) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else str(value)
