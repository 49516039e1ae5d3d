"""Frames in and frames out: wrap pandas frames as Ibis tables, read dates as dates, tally what was left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import ibis
import ibis.expr.types as ir
import pandas as pd

#: What the builders take: an Ibis table of any backend, or a pandas frame, which DuckDB then reads in place.
Frame: TypeAlias = ir.Table | pd.DataFrame

#: Sums of money are rounded to a ten-thousandth of a cent: far below any money, and just above the noise that the
#: order of summation leaves in floating point, so that a result does not depend on threads or on the order of rows.
MONEY_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Tally:
    """One line of an exclusions table, not yet counted: the rows concerned, and the column of money to sum."""

    table: str
    reason: str
    rows: ir.Table
    amount: str | None = None


def as_table(frame: Frame, *, dates: Sequence[str] = ()) -> ir.Table:
    """Return a frame as an Ibis table whose named columns are dates; columns that do not exist are passed over."""
    table = ibis.memtable(frame) if isinstance(frame, pd.DataFrame) else frame
    # An empty column of objects has no type of its own; the kit's object columns are text.
    untyped = {name: "string" for name, kind in table.schema().items() if kind.is_null()}
    return table.cast(untyped | {name: "date" for name in dates if name in table.columns})


def money_sum(amounts: ir.NumericValue) -> ir.NumericValue:
    """Return the sum of money over rows, 0 where there is none; see ``MONEY_DECIMALS``."""
    return amounts.sum().coalesce(0.0).round(MONEY_DECIMALS)


def exclusions_table(tallies: Iterable[Tally]) -> ir.Table:
    """Count the rows and the money behind each reason; a reason that concerns nothing is left out.

    Returns
    -------
    ibis.Table
        Columns table, reason, n_rows (int), amount (currency; 0 where the rows are no sum of money).
    """
    counted = [_count(tally) for tally in tallies]
    together = ibis.union(*counted) if len(counted) > 1 else counted[0]
    return together.filter(together.n_rows > 0).order_by("table", "reason")


def check_columns(table: ir.Table, names: Sequence[str], *, argument: str) -> tuple[str, ...]:
    """Return the names as a tuple, each once.

    Raises
    ------
    ValueError
        If one of them is no column of the table.
    """
    wanted = (names,) if isinstance(names, str) else tuple(names)
    unknown = [name for name in wanted if name not in table.columns]
    if unknown:
        raise ValueError(f"{argument} names {unknown}, which the table lacks; it has {sorted(table.columns)}")
    return tuple(dict.fromkeys(wanted))


def _count(tally: Tally) -> ir.Table:
    amount = ibis.literal(0.0) if tally.amount is None else money_sum(tally.rows[tally.amount].cast("float64"))
    totals = tally.rows.aggregate(n_rows=tally.rows.count(), amount=amount)
    return totals.select(
        table=ibis.literal(tally.table), reason=ibis.literal(tally.reason), n_rows="n_rows", amount="amount"
    )
