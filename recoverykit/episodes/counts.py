"""Exact counts of episodes: what estimators need, and all that has to leave the database.

Months are whole numbers and segments are names, so that episodes alike in segment, entry, month and outcome collapse
into one row with a count, without any loss for a likelihood. This module counts and estimates nothing.
"""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from recoverykit.episodes._tables import Frame, as_table, check_columns, money_sum
from recoverykit.vocabulary import CLOSED_OUTCOMES, Outcome

__all__ = ["compress_episodes", "life_table"]

#: Column of the life table for each outcome, in the order of the legend; open episodes are the censored ones.
_LEAVING = {f"n_{outcome.value}": outcome.value for outcome in CLOSED_OUTCOMES} | {"n_censored": Outcome.OPEN.value}

#: What episodes must share, beside the segment, to become one row.
_SPAN = ("entry_months", "months_in_default", "outcome")


def compress_episodes(episodes: Frame, *, by: Sequence[str] = ()) -> ir.Table:
    """Collapse episodes that are alike in segment, entry, month and outcome into one row with a count.

    Parameters
    ----------
    episodes : ibis.Table or DataFrame
        As from :func:`recoverykit.episodes.spells.build_episodes`.
    by : sequence of str
        Columns that tell segments or covariate patterns apart.

    Returns
    -------
    ibis.Table
        Columns of ``by``, entry_months, months_in_default, outcome, n_episodes (int) and ead (currency, summed);
        sorted by all of them but the last two. ``.drop("ead")`` spares the database the reading of it.

    Raises
    ------
    ValueError
        If a column of ``by`` does not exist.

    Examples
    --------
    >>> import pandas as pd
    >>> episodes = pd.DataFrame({"entry_months": 0, "months_in_default": [3, 3, 5], "outcome": "cured", "ead": 100.0})
    >>> compress_episodes(episodes).to_pandas()["n_episodes"].tolist()
    [2, 1]
    """
    table = as_table(episodes)
    keys = tuple(dict.fromkeys((*check_columns(table, by, argument="by"), *_SPAN)))
    return table.group_by(*keys).agg(n_episodes=table.count(), ead=money_sum(table.ead)).order_by(*keys)


def life_table(episodes: Frame, *, by: Sequence[str] = ()) -> ir.Table:
    """Count, month by month since default, who was at risk and what happened to them.

    At risk just before month m are the episodes whose observation had begun (``entry_months`` < m, or m = 0 and no
    late entry) and that were still in default (``months_in_default`` >= m). Episodes censored in a month were at
    risk in it. From one month to the next, n_at_risk falls by those who left and rises by ``n_entered``, the late
    entries that come under observation at the end of the month. An episode that ends in the very month in which its
    observation begins was never at risk and is not counted.

    Parameters
    ----------
    episodes : ibis.Table or DataFrame
        As from :func:`recoverykit.episodes.spells.build_episodes`.
    by : sequence of str
        Columns that tell segments apart.

    Returns
    -------
    ibis.Table
        Columns of ``by``, month, n_at_risk, n_entered, n_cured, n_repaid, n_liquidated, n_sold, n_written_off,
        n_censored (int); a row for every month from 0 to the segment's last, sorted by ``by`` and month. Early months
        of a segment of late entries only have nobody at risk.

    Raises
    ------
    ValueError
        If a column of ``by`` does not exist.

    Examples
    --------
    >>> import pandas as pd
    >>> episodes = pd.DataFrame({"entry_months": 0, "months_in_default": [1, 2], "outcome": ["cured", "open"]})
    >>> life_table(episodes).to_pandas()[["month", "n_at_risk", "n_cured", "n_censored"]].to_numpy().tolist()
    [[0, 2, 0, 0], [1, 2, 1, 0], [2, 1, 0, 1]]
    """
    table = as_table(episodes)
    keys = check_columns(table, by, argument="by")
    is_late = table.entry_months > 0
    seen = table.filter(~is_late | (table.months_in_default > table.entry_months))
    is_late = seen.entry_months > 0
    left = seen.select(
        *keys,
        month=seen.months_in_default.cast("int64"),
        n_entered=ibis.literal(0, "int64"),
        # Who is there from the first day on comes at risk in month 0, a late entry in the month after its entry.
        n_joined=ibis.literal(0, "int64"),
        **{column: (seen.outcome == outcome).cast("int64") for column, outcome in _LEAVING.items()},
    )
    nobody = {column: ibis.literal(0, "int64") for column in _LEAVING}
    came = seen.select(
        *keys,
        month=ibis.ifelse(is_late, seen.entry_months, 0).cast("int64"),
        n_entered=is_late.cast("int64"),
        n_joined=(~is_late).cast("int64"),
        **nobody,
    )
    grid = _month_grid(seen, keys).mutate(
        n_entered=ibis.literal(0, "int64"), n_joined=ibis.literal(0, "int64"), **nobody
    )
    changes = ibis.union(left, came, grid).group_by(*keys, "month")
    changes = changes.agg(**{name: lambda t, name=name: t[name].sum() for name in ("n_entered", "n_joined", *_LEAVING)})
    return _with_at_risk(changes, keys).order_by(*keys, "month")


def _month_grid(seen: ir.Table, keys: tuple[str, ...]) -> ir.Table:
    """Return every month of every segment, from 0 to the last in which someone was at risk."""
    grouped = seen.group_by(*keys) if keys else seen
    last = grouped.agg(last=seen.months_in_default.max())
    last = last.filter(last["last"].notnull())
    return last.select(*keys, month=ibis.range(0, last["last"].cast("int64") + 1).unnest())


def _with_at_risk(changes: ir.Table, keys: tuple[str, ...]) -> ir.Table:
    so_far = ibis.cumulative_window(group_by=keys or None, order_by="month")
    gone = sum((changes[column] for column in _LEAVING), ibis.literal(0, "int64"))
    changes = changes.mutate(change=changes.n_joined + changes.n_entered - gone)
    # What joins or leaves in a month changes the number at risk from the next month on, but for month 0's start.
    at_risk = changes.change.sum().over(so_far) - changes.change + changes.n_joined
    counted = changes.mutate(n_at_risk=at_risk)
    return counted.select(*keys, "month", "n_at_risk", "n_entered", *_LEAVING)
