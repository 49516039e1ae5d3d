"""Counts that a page may show where their total stands beside them: a small one must not be found by subtraction."""

import pandas as pd

from recoverykit.report.formats import SUPPRESSED, format_count
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_LEFT = ("cured", "paid", "closed")


def is_small(count: float) -> bool:
    """Tell whether a page must withhold a count."""
    return 0 < abs(count) < MINIMUM_CELL_COUNT


def format_total(parts: pd.Series) -> str:
    """Write the total of counts that are shown one by one; rounded where just one of them is withheld.

    Parameters
    ----------
    parts : Series of int
        The parts; of those from 1 to 9 a page shows ``<10`` only.

    Examples
    --------
    >>> format_total(pd.Series([40, 20])), format_total(pd.Series([40, 20, 3])), format_total(pd.Series([40, 2, 3]))
    ('60', 'about 60', '45')
    >>> format_total(pd.Series([3]))
    '<10'
    """
    total = int(parts.sum())
    if is_small(total):
        return SUPPRESSED
    hidden = int(parts.map(is_small).sum()) == 1
    return f"about {format_count(10 * round(total / 10))}" if hidden else format_count(total)


def merge_small(frame: pd.DataFrame, *, name_col: str, count_col: str, rest: str) -> pd.DataFrame:
    """Merge the rows that rest on too few into one, with a further row where the merged one would still be small.

    Parameters
    ----------
    frame : DataFrame
        Parts of a total that is shown as well; every column but ``name_col`` is summed.
    name_col, count_col : str
        Name of the part and the number that it rests on.
    rest : str
        Name of the merged row, which stands last.

    Examples
    --------
    >>> parts = pd.DataFrame({"segment": ["a", "b", "c"], "n": [50, 20, 3]})
    >>> merge_small(parts, name_col="segment", count_col="n", rest="others").to_numpy().tolist()
    [['a', 50], ['others', 23]]
    """
    small = frame[count_col].map(is_small)
    while small.any() and frame.loc[small, count_col].sum() < MINIMUM_CELL_COUNT and not small.all():
        others = frame.loc[~small & (frame[count_col] > 0), count_col]
        if others.empty:
            break
        small[others.idxmin()] = True
    if not small.any():
        return frame.reset_index(drop=True)
    sums = frame.loc[small].drop(columns=name_col).sum()
    merged = pd.DataFrame([{name_col: rest, **sums.to_dict()}])
    return pd.concat([frame[~small], merged], ignore_index=True).astype(frame.dtypes.to_dict())


def bridge_for_page(changes: pd.DataFrame) -> pd.DataFrame:
    """Return the bridge from yesterday to today with its small steps merged, so that none can be told from the others.

    Parameters
    ----------
    changes : DataFrame
        what, n_cases, overdue_amount, as ``WarRoom.changes``.

    Returns
    -------
    DataFrame
        The same columns. Where a way out has too few cases, all of them are one row ``left``; where that or what
        entered is still too few, one row ``net change`` stands for both.
    """
    rows = changes.set_index("what")
    left, entered = rows.loc[list(_LEFT)], rows.loc[["entered"]]
    if left["n_cases"].map(is_small).any():
        left = pd.DataFrame([left.sum()], index=["left"])
    steps = pd.concat([entered, left])
    if steps["n_cases"].map(is_small).any():
        steps = pd.DataFrame([steps.sum()], index=["net change"])
    between = [name for name in rows.index if name not in ("yesterday", "entered", "today", *_LEFT)]
    table = pd.concat([rows.loc[["yesterday"]], steps, rows.loc[between], rows.loc[["today"]]])
    return table.astype({"n_cases": int}).rename_axis("what").reset_index()
