"""A frame of vintages by month as arrays: what every vintage has brought in, for as long as all of it was observed.

The border of the methods that work on vintages. A month counts for a vintage while every episode of it was observed;
vintages whose first months are not known are set apart with the reason, in number and in EAD. Nothing is estimated.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._rows import Array, IntArray, broken, check_columns, number_column

TABLE = "triangle"
_LATE = "first months not observed for all episodes (late entries), so what came in before is not known"
_NEVER = "no month in which all of its episodes were observed"


@dataclass(frozen=True, slots=True)
class TriangleColumns:
    """Names of the columns of a triangle; ``complete`` None where every row is complete."""

    vintage: str = "default_vintage"
    month: str = "month"
    amount: str = "present_value_amount"
    exposure: str = "ead_at_risk"
    count: str = "n_at_risk"
    complete: str | None = "is_complete"


@dataclass(frozen=True, slots=True, eq=False)
class VintageRows:
    """Vintages as arrays.

    Attributes
    ----------
    vintages : Index of shape (n_vintages,)
        Sorted.
    ead, n_episodes : ndarray of shape (n_vintages,)
        Of all episodes of the vintage; currency and number.
    last_month : ndarray of int of shape (n_vintages,)
        Last month through which all episodes of the vintage were observed.
    cumulative : ndarray of shape (n_vintages, n_months)
        Net recoveries up to each month from 0, currency; NaN after ``last_month``.
    exclusions : DataFrame
        Vintages set apart: vintage, reason, n_episodes, ead.
    """

    vintages: pd.Index
    ead: Array
    n_episodes: Array
    last_month: IntArray
    cumulative: Array
    exclusions: pd.DataFrame


def check_triangle(triangle: pd.DataFrame, columns: TriangleColumns) -> None:
    """Check a frame of vintages by month.

    Raises
    ------
    ContractError
        Columns missing; months that are not whole numbers from 0; vintages or numbers that are missing; EAD or number
        of episodes not above 0.
    InsufficientDataError
        No row.
    """
    check_columns(
        triangle,
        [columns.vintage, columns.month, columns.amount, columns.exposure, columns.count, columns.complete],
        table=TABLE,
    )
    months = number_column(triangle, columns.month, 0.0)
    whole = np.isfinite(months) & (months >= 0) & (months == np.floor(months))
    found = broken(triangle, f"{columns.month} must be a whole number, 0 or more", ~whole, table=TABLE)
    missing = triangle[columns.vintage].isna().to_numpy()
    found += broken(triangle, f"{columns.vintage} must not be missing", missing, table=TABLE)
    if columns.complete is not None:
        missing = triangle[columns.complete].isna().to_numpy()
        found += broken(triangle, f"{columns.complete} must be True or False", missing, table=TABLE)
    amounts = number_column(triangle, columns.amount, 0.0)
    found += broken(triangle, f"{columns.amount} must be a number in every row", ~np.isfinite(amounts), table=TABLE)
    for name in (columns.exposure, columns.count):
        values = number_column(triangle, name, 0.0)
        found += broken(triangle, f"{name} must be above 0", ~(np.isfinite(values) & (values > 0)), table=TABLE)
    if found:
        raise ContractError(found)


def read_vintages(triangle: pd.DataFrame, columns: TriangleColumns) -> VintageRows:
    """Return a triangle as arrays, rows of several segments summed.

    Raises
    ------
    ContractError
        As in ``check_triangle``.
    InsufficientDataError
        When no vintage was observed from month 0 on.
    """
    check_triangle(triangle, columns)
    is_complete = np.ones(len(triangle), bool) if columns.complete is None else triangle[columns.complete].astype(bool)
    cells = (
        pd.DataFrame(
            {
                "vintage": triangle[columns.vintage].to_numpy(),
                "month": triangle[columns.month].to_numpy(dtype=np.int64),
                "amount": number_column(triangle, columns.amount, 0.0),
                "ead": number_column(triangle, columns.exposure, 0.0),
                "n": number_column(triangle, columns.count, 0.0),
                "complete": np.asarray(is_complete),
            }
        )
        .groupby(["vintage", "month"], sort=True)
        .agg({"amount": "sum", "ead": "sum", "n": "sum", "complete": "all"})
    )
    # A segment may be watched for longer than another: a month is complete when all of them are there.
    largest = cells.groupby(level=0)["n"].transform("max")
    cells["complete"] &= cells["n"] == largest
    kept, rows, apart = [], [], []
    for vintage, lines in cells.groupby(level=0, sort=True):
        months = lines.index.get_level_values(1)[lines["complete"].to_numpy()].to_numpy()
        length = _unbroken(months)
        if length == 0:
            size = {"n_episodes": float(lines["n"].max()), "ead": float(lines["ead"].max())}
            apart.append({"vintage": vintage, "reason": _LATE if len(months) else _NEVER, **size})
            continue
        kept.append(vintage)
        rows.append(lines.iloc[:length])
    exclusions = pd.DataFrame(apart, columns=["vintage", "reason", "n_episodes", "ead"])
    if not rows:
        raise InsufficientDataError(
            f"none of the {len(exclusions)} vintages was observed as a whole from month 0 on; late entries leave their "
            "first months unknown. The additive curve (recovery_curve) takes such episodes from their entry on"
        )
    n_months = max(map(len, rows))
    cumulative = np.full((len(rows), n_months), np.nan)
    for place, lines in enumerate(rows):
        cumulative[place, : len(lines)] = np.cumsum(lines["amount"].to_numpy())
    return VintageRows(
        vintages=pd.Index(kept, name=columns.vintage),
        ead=np.array([lines["ead"].iloc[-1] for lines in rows]),
        n_episodes=np.array([lines["n"].iloc[-1] for lines in rows]),
        last_month=np.array([len(lines) - 1 for lines in rows]),
        cumulative=cumulative,
        exclusions=exclusions.rename(columns={"vintage": columns.vintage}),
    )


def _unbroken(months: IntArray) -> int:
    """Return how many of the sorted months follow each other from 0 on."""
    gaps = np.flatnonzero(months != np.arange(len(months)))
    return int(gaps[0]) if len(gaps) else len(months)
