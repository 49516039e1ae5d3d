"""Recoveries by month since default: per obligor for recovery curves, per vintage for the triangle.

A month of an episode counts where the episode was observed for the whole of it, and only there: months later than
``observed_months``, the one in progress at the reporting date included, and the months of a late entry before its
observation began are in neither the amounts nor the EAD at risk. So open episodes are censored, never zero. This
module sums and estimates nothing.
"""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from recoverykit.episodes._tables import Frame, as_table, check_columns, money_sum
from recoverykit.vocabulary import Outcome

__all__ = ["recovery_cells", "vintage_triangle"]

#: Columns in currency of each table; its others are numbers of episodes.
_FLOW_AMOUNTS = ("net_amount", "gross_amount", "present_value_amount")
_CELL_COLUMNS = (
    *_FLOW_AMOUNTS,
    *("ead_at_risk", "n_at_risk", "ead_open_at_start", "n_open_at_start"),
    *("net_amount_open", "present_value_amount_open", "ead_resolved", "n_resolved"),
)
_TRIANGLE_COLUMNS = ("n_at_risk", "ead_at_risk", *_FLOW_AMOUNTS)


def recovery_cells(episodes: Frame, ledger: Frame, *, by: Sequence[str] = ()) -> ir.Table:
    """Sum recoveries and exposure per obligor and month since default.

    Parameters
    ----------
    episodes : ibis.Table or DataFrame
        As from :func:`recoverykit.episodes.spells.build_episodes`.
    ledger : ibis.Table or DataFrame
        The ledger of the same episodes, as from :func:`recoverykit.episodes.ledger.build_ledger`.
    by : sequence of str
        Columns of the episodes that tell segments apart.

    Returns
    -------
    ibis.Table
        Columns of ``by``, obligor_id, month, then in currency or as int

        * net_amount, gross_amount, present_value_amount : the flows of the month, all episodes observed through it;
        * ead_at_risk, n_at_risk : those episodes, open or not;
        * ead_open_at_start, n_open_at_start : those that were still open just before the month (in month 0: all);
        * net_amount_open, present_value_amount_open : the flows of the latter, what came after an outcome counted in
          the month of the outcome;
        * ead_resolved, n_resolved : those that ended in the month.

        A row for every month from 0 to the last that an episode of the obligor was observed through, but for months
        before a late entry; sorted by ``by``, obligor_id and month.

    Raises
    ------
    ValueError
        If a column of ``by`` does not exist.
    """
    table = as_table(episodes)
    keys = tuple(dict.fromkeys((*check_columns(table, by, argument="by"), "obligor_id")))
    months = _observed_months(table)
    was_open = months.months_in_default >= months.month
    resolved = (months.months_in_default == months.month) & (months.outcome != Outcome.OPEN.value)
    exposures = months.mutate(
        n_at_risk=ibis.literal(1, "int64"),
        ead_at_risk=months.ead,
        n_open_at_start=was_open.cast("int64"),
        ead_open_at_start=ibis.ifelse(was_open, months.ead, 0.0),
        n_resolved=resolved.cast("int64"),
        ead_resolved=ibis.ifelse(resolved, months.ead, 0.0),
    )
    flows = _observed(_flows(table, as_table(ledger), keys))
    by_outcome = _observed(flows.mutate(month=flows.recovery_month)).select(
        *keys, "month", net_amount_open="net_amount", present_value_amount_open="present_value_amount"
    )
    return _summed((exposures, flows, by_outcome), keys, _CELL_COLUMNS).order_by(*keys, "month")


def vintage_triangle(episodes: Frame, ledger: Frame, *, by: Sequence[str] = ()) -> ir.Table:
    """Sum recoveries and exposure per quarter of default and month since default.

    Parameters
    ----------
    episodes, ledger, by
        As for :func:`recovery_cells`.

    Returns
    -------
    ibis.Table
        Columns of ``by``, default_vintage, month, n_at_risk (int), ead_at_risk, net_amount, gross_amount,
        present_value_amount (currency), is_complete (every episode of the vintage was observed through the month; the
        other months hold the older part of the vintage only); sorted by ``by``, default_vintage and month.

    Raises
    ------
    ValueError
        If a column of ``by`` does not exist.
    """
    table = as_table(episodes)
    keys = tuple(dict.fromkeys((*check_columns(table, by, argument="by"), "default_vintage")))
    whole = ibis.window(group_by=keys)
    table = table.mutate(
        seen_to=table.observed_months.min().over(whole), seen_from=table.entry_months.max().over(whole)
    )
    months = _observed_months(table)
    # The vintage's shortest and latest observed episodes say which months all of its episodes were observed through.
    complete = (months.month <= months.seen_to) & ((months.seen_from == 0) | (months.month > months.seen_from))
    exposures = months.mutate(
        n_at_risk=ibis.literal(1, "int64"), ead_at_risk=months.ead, n_complete=complete.cast("int64")
    )
    flows = _observed(_flows(table, as_table(ledger), keys))
    sums = _summed((exposures, flows), keys, (*_TRIANGLE_COLUMNS, "n_complete"))
    return sums.mutate(is_complete=sums.n_complete > 0).drop("n_complete").order_by(*keys, "month")


def _observed_months(episodes: ir.Table) -> ir.Table:
    """Return one row per episode and month that it was observed through."""
    first = ibis.ifelse(episodes.entry_months > 0, episodes.entry_months + 1, 0).cast("int64")
    return episodes.mutate(month=ibis.range(first, episodes.observed_months.cast("int64") + 1).unnest())


def _flows(episodes: ir.Table, ledger: ir.Table, keys: tuple[str, ...]) -> ir.Table:
    """Return the ledger's flows with the keys of their episode and the months that it was observed through."""
    spans = episodes.select(*keys, "entry_months", "observed_months", flow_id="episode_id")
    flows = ledger.select("episode_id", "month", "recovery_month", *_FLOW_AMOUNTS)
    return flows.inner_join(spans, flows.episode_id == spans.flow_id)


def _observed(flows: ir.Table) -> ir.Table:
    began = (flows.entry_months == 0) | (flows.month > flows.entry_months)
    return flows.filter(began & (flows.month <= flows.observed_months))


def _summed(parts: Sequence[ir.Table], keys: tuple[str, ...], columns: Sequence[str]) -> ir.Table:
    """Stack tables that each know some of the columns, and sum them per key and month."""
    numbers = {name for name in columns if name.startswith("n_")}
    nothing = {name: ibis.literal(0, "int64") if name in numbers else ibis.literal(0.0) for name in columns}
    stacked = ibis.union(
        *(
            part.select(
                *keys,
                part.month.cast("int64").name("month"),
                **nothing | {n: part[n] for n in columns if n in part.columns},
            )
            for part in parts
        )
    )
    sums = {name: stacked[name].sum() if name in numbers else money_sum(stacked[name]) for name in columns}
    return stacked.group_by(*keys, "month").agg(**sums)
