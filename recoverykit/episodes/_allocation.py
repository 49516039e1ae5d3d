"""Totals of indirect costs, spread over the episodes that were in default when they arose.

A total is a row (date, amount) that no facility was charged with. What is spread becomes ordinary cash flows of kind
``indirect_cost``, and the same rules as for any other cash flow say whether they count; what cannot be spread is
tallied. Shares are not rounded, so that they add up to their total.
"""

import datetime

import ibis
import ibis.expr.types as ir

from recoverykit.episodes._side_tables import AMOUNT, checked
from recoverykit.episodes._tables import Frame, Tally, as_table, money_sum
from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.errors import ContractError, Violation
from recoverykit.vocabulary import CashFlowKind

TABLE = "indirect_costs"

_AFTER = "after the reporting date"
_NOBODY = "no episode was in default on the date"
_NOT_ALLOCATED = "totals of indirect costs are not allocated by the policy"


def allocated(
    episodes: ir.Table, indirect_costs: Frame | None, today: datetime.date, policy: LedgerPolicy
) -> tuple[ir.Table | None, list[Tally]]:
    """Spread totals of indirect costs as the policy says.

    Returns
    -------
    ibis.Table or None
        Cash flows: facility_id, cash_flow_date, amount, kind; None where there is nothing to spread.
    list of Tally
        Totals that were not spread.

    Raises
    ------
    ContractError
        When the policy spreads totals and there are none, or the table is broken.
    """
    rule = policy.indirect_cost_allocation
    if indirect_costs is None:
        if rule == "none":
            return None, []
        raise ContractError([Violation(TABLE, f"the policy allocates indirect costs by {rule!r}; give their table")])
    texts = ["facility_id"] if rule == "table" else []
    rows = checked(indirect_costs, table=TABLE, texts=texts, dates=["cash_flow_date"], numbers={"amount": AMOUNT})
    totals = as_table(rows.assign(n_total=range(len(rows))), dates=["cash_flow_date"])
    if rule == "none":
        return None, [Tally(TABLE, _NOT_ALLOCATED, totals, "amount")]
    if rule == "table":
        return _as_flows(totals), []
    return _spread(totals, episodes, today, by_ead=rule == "ead")


def _spread(
    totals: ir.Table, episodes: ir.Table, today: datetime.date, *, by_ead: bool
) -> tuple[ir.Table, list[Tally]]:
    is_late = totals.cash_flow_date > today
    known = totals.filter(~is_late)
    spans = episodes.select("episode_id", "facility_id", "default_date", "outcome_date", "ead")
    in_default = [
        known.cash_flow_date >= spans.default_date,
        spans.outcome_date.isnull() | (known.cash_flow_date <= spans.outcome_date),
    ]
    shares = known.inner_join(spans, in_default)
    weight = shares.ead.cast("float64") if by_ead else ibis.literal(1.0)
    shares = shares.mutate(weight=weight)
    together = shares.group_by("n_total").agg(whole=money_sum(shares.weight))
    nobody = known.anti_join(together, "n_total")
    shares = shares.inner_join(together, "n_total")
    flows = _as_flows(shares.mutate(amount=shares.amount * shares.weight / shares.whole))
    return flows, [Tally(TABLE, _AFTER, totals.filter(is_late), "amount"), Tally(TABLE, _NOBODY, nobody, "amount")]


def _as_flows(rows: ir.Table) -> ir.Table:
    kind = ibis.literal(CashFlowKind.INDIRECT_COST.value)
    return rows.select("facility_id", "cash_flow_date", amount=rows.amount.cast("float64"), kind=kind)
