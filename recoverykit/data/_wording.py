"""Small helpers for messages: nearest names, short lists, keys that hide what must not be shown."""

import difflib
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data._identifiers import looks_personal
from recoverykit.errors import Violation

#: How many keys and found values a message shows.
SHOWN = 5


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return the words that name the nearest valid name, or all valid names when none is near.

    Parameters
    ----------
    name : str
        What was written.
    valid : iterable of str
        What could have been written.

    Examples
    --------
    >>> nearest("facilty_id", ["facility_id", "product"])
    'nearest valid name: facility_id'
    >>> nearest("zzz", ["facility_id", "product"])
    'valid names: facility_id, product'
    """
    names = list(valid)
    by_folded = {candidate.casefold(): candidate for candidate in names}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return f"nearest valid name: {by_folded[close[0]]}" if close else f"valid names: {', '.join(names) or 'none'}"


def shown(value: object, row: int | None = None) -> str:
    """Return a value as text for a message, hidden when it looks like an identifier of a person.

    Parameters
    ----------
    value : object
        A key or a found value.
    row : int, optional
        Row number from 1, which is shown in place of what is hidden.

    Returns
    -------
    str
        The text; a four-digit hash (too short to guess from) in place of an identifier.

    Examples
    --------
    >>> shown("F1"), shown(pd.Timestamp("2024-01-31"))
    ('F1', '2024-01-31')
    >>> "ann@bank.example" in shown("ann@bank.example", row=3)
    False
    """
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return "(missing)"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if not looks_personal(text):
        return text if len(text) <= 40 else f"{text[:37]}..."
    digest = hashlib.sha256(text.encode()).hexdigest()[:4]
    return f"(hidden {digest}{f', row {row}' if row is not None else ''})"


def shown_values(values: Iterable[object]) -> str:
    """Return the distinct values, sorted as text, the first few only."""
    distinct = sorted({shown(value) for value in values})
    more = f" and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else ""
    return ", ".join(distinct[:SHOWN]) + more


def row_keys(frame: pd.DataFrame, key: Sequence[str], broken: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the keys of the first rows that break a rule, as text.

    Parameters
    ----------
    frame : DataFrame of n_rows
        The table.
    key : sequence of str
        Its key columns; those that the frame lacks are left out. Without any, the row number stands in.
    broken : ndarray of bool, shape (n_rows,)
        Which rows break the rule.

    Returns
    -------
    tuple of str
        At most five, such as "facility_id=F1, month_end=2024-01-31".
    """
    present = [name for name in key if name in frame.columns]
    positions = np.flatnonzero(broken)[:SHOWN]
    if not present:
        return tuple(f"row {position + 1}" for position in positions)
    columns = {name: frame[name].iloc[positions].tolist() for name in present}
    return tuple(
        ", ".join(f"{name}={shown(columns[name][order], int(position) + 1)}" for name in present)
        for order, position in enumerate(positions)
    )


def row_violation(
    table: str, rule: str, frame: pd.DataFrame, key: Sequence[str], broken: NDArray[np.bool_]
) -> Violation | None:
    """Return the violation of a rule by some rows of a table, or None when no row breaks it."""
    n_rows = int(broken.sum())
    return Violation(table, rule, n_rows, row_keys(frame, key, broken)) if n_rows else None
