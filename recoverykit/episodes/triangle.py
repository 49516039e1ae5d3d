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
_FLOW_AMOUNTS = ("net_amount", "gross_amount", "present_value_amount", "present_value_gross_amount")
_CELL_COLUMNS = (
    *_FLOW_AMOUNTS,
    *("ead_at_risk", "n_at_risk", "ead_open_at_start", "n_open_at_start"),
    *("net_amount_open", "present_value_amount_open", "ead_resolved", "n_resolved"),
)
_TRIANGLE_COLUMNS = ("n_at_risk", "ead_at_risk", *_FLOW_AMOUNTS)


def recovery_cells(episodes: Frame, ledger: Frame, *, by: Sequence[str] = (), per_obligor: bool = True) -> ir.Table:
    """Sum recoveries and exposure per obligor and month since default.

    Parameters
    ----------
    episodes : ibis.Table or DataFrame
        As from :func:`recoverykit.episodes.spells.build_episodes`.
    ledger : ibis.Table or DataFrame
        The ledger of the same episodes, as from :func:`recoverykit.episodes.ledger.build_ledger`.
    by : sequence of str
        Columns of the episodes that tell segments apart: segment columns, but also ``default_vintage`` or ``outcome``.
    per_obligor : bool
        False sums over obligors: a few rows from any number of cash flows. It gives the curves, but bands need the
        obligors.

    Returns
    -------
    ibis.Table
        Columns of ``by``, obligor_id (unless summed), month, then in currency or as int

        * net_amount, gross_amount, present_value_amount, present_value_gross_amount : the flows of the month, net of
          costs or recoveries only, as paid or discounted, of all episodes observed through it;
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
    own = ("obligor_id",) if per_obligor else ()
    keys = tuple(dict.fromkeys((*check_columns(table, by, argument="by"), *own)))
    flows = _flows(table, as_table(ledger), keys)
    by_outcome = flows.filter(flows.in_recovery_month).select(
        *keys,
        month="recovery_month",
        net_amount_open="net_amount",
        present_value_amount_open="present_value_amount",
    )
    return _summed((_exposures(table, keys), flows, by_outcome), keys, _CELL_COLUMNS).order_by(*keys, "month")


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
        present_value_amount, present_value_gross_amount (currency), is_complete (every episode of the vintage was
        observed through the month; the other months hold the older part of the vintage only); sorted by ``by``,
        default_vintage and month.

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
    flows = _flows(table, as_table(ledger), keys)
    # The vintage's shortest and latest observed episodes say which months all of its episodes were observed through.
    months = _exposures(table, (*keys, "seen_to", "seen_from"))
    complete = (months.month <= months.seen_to) & ((months.seen_from == 0) | (months.month > months.seen_from))
    exposures = months.mutate(n_complete=complete.cast("int64"))
    sums = _summed((exposures, flows), keys, (*_TRIANGLE_COLUMNS, "n_complete"))
    return sums.mutate(is_complete=sums.n_complete > 0).drop("n_complete").order_by(*keys, "month")


def _exposures(episodes: ir.Table, keys: tuple[str, ...]) -> ir.Table:
    """Count episodes and their EAD by month: at risk, open at its start, resolved in it.

    Episodes of the same keys and spans are one group before their months are told apart, which is what makes a book of
    a million episodes as cheap as its few thousand kinds of them.
    """
    is_closed = episodes.outcome != Outcome.OPEN.value
    groups = (
        episodes.mutate(is_closed=is_closed)
        .group_by(*keys, "entry_months", "observed_months", "months_in_default", "is_closed")
        .agg(n=lambda t: t.count(), ead=lambda t: t.ead.cast("float64").sum())
    )
    first = ibis.ifelse(groups.entry_months > 0, groups.entry_months + 1, 0).cast("int64")
    months = groups.mutate(month=ibis.range(first, groups.observed_months.cast("int64") + 1).unnest())
    was_open = months.months_in_default >= months.month
    resolved = (months.months_in_default == months.month) & months.is_closed
    return months.mutate(
        n_at_risk=months.n,
        ead_at_risk=months.ead,
        n_open_at_start=ibis.ifelse(was_open, months.n, 0),
        ead_open_at_start=ibis.ifelse(was_open, months.ead, 0.0),
        n_resolved=ibis.ifelse(resolved, months.n, 0),
        ead_resolved=ibis.ifelse(resolved, months.ead, 0.0),
    )


def _flows(episodes: ir.Table, ledger: ir.Table, keys: tuple[str, ...]) -> ir.Table:
    """Sum the flows of observed months by keys, month and month of recovery, and tell whether that was observed too."""
    spans = episodes.select(*keys, "entry_months", "observed_months", flow_id="episode_id")
    paid = ledger.select(
        *("episode_id", "month", "recovery_month", "net_amount", "gross_amount", "present_value_amount"),
        present_value_gross_amount=ledger.gross_amount * ledger.discount_factor,
    )
    joined = paid.inner_join(spans, paid.episode_id == spans.flow_id)

    def observed(month: ir.IntegerValue) -> ir.BooleanValue:
        began = (joined.entry_months == 0) | (month > joined.entry_months)
        return began & (month <= joined.observed_months)

    seen = joined.filter(observed(joined.month)).mutate(in_recovery_month=observed(joined.recovery_month))
    groups = seen.group_by(*keys, "month", "recovery_month", "in_recovery_month")
    return groups.agg(**{name: seen[name].sum() for name in _FLOW_AMOUNTS})


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
