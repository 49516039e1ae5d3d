"""The artificial cash flow of an episode that ends in a return to performing.

The balance that returns is counted as if it had been paid on that day. The UK variant takes time value off its arrears
part only, because the rest earns its interest again. Knows episodes and what was paid, and no policy but this one.
"""

import ibis
import ibis.expr.types as ir

from recoverykit.episodes._side_tables import AMOUNT, checked, refuse_unmatched
from recoverykit.episodes._tables import MONEY_DECIMALS, Frame, as_table
from recoverykit.errors import ContractError, Violation
from recoverykit.vocabulary import CashFlowKind, Outcome

#: Kind of the artificial cash flow when an episode ends in a return to performing.
CURE_KIND = "cure"
_DRAWING = CashFlowKind.DRAWING.value


def cure_flows(
    episodes: ir.Table, paid: ir.Table, *, is_late: ir.BooleanValue, late_reason: str, arrears: ir.Table | None
) -> ir.Table:
    """Return the artificial cash flows: one per cured episode, or its arrears part and the rest.

    Parameters
    ----------
    episodes, paid : ibis.Table
        Episodes with their rate, and the flows that count so far.
    is_late : ibis boolean column of ``episodes``
        Whether an outcome lies beyond the maximum recovery period; such a cure brings nothing, for ``late_reason``.
    arrears : ibis.Table or None
        episode_id and arrears_amount, where only that part is discounted.
    """
    drawn = ibis.ifelse(paid.kind == _DRAWING, paid.amount, 0.0)
    so_far = paid.group_by("episode_id").agg(change=(drawn - paid.gross_amount).sum())
    cured = episodes.mutate(is_late=is_late).filter(episodes.outcome == Outcome.CURED.value)
    cured = cured.left_join(so_far, "episode_id").drop("episode_id_right")
    left = ibis.greatest((cured.ead + cured.change.coalesce(0.0)).round(MONEY_DECIMALS), 0.0)
    cured = cured.mutate(balance=cured.outcome_balance_amount.cast("float64").coalesce(left))
    cured = cured.mutate(reason=ibis.ifelse(cured.is_late, late_reason, ""))
    if arrears is None:
        return _flows(cured.mutate(amount=cured.balance), is_discounted=True)
    cured = cured.left_join(arrears, "episode_id").drop("episode_id_right")
    # More cannot be in arrears than is owed.
    overdue = ibis.least(cured.arrears_amount, cured.balance)
    in_arrears = cured.mutate(amount=ibis.ifelse(cured.is_late, cured.balance, overdue))
    rest = cured.mutate(amount=(cured.balance - overdue).round(MONEY_DECIMALS)).filter(~cured.is_late)
    return ibis.union(_flows(in_arrears, is_discounted=True), _flows(rest, is_discounted=False))


def checked_arrears(arrears: Frame | None, episodes: ir.Table) -> ir.Table:
    """Return the arrears of cured episodes as a table.

    Raises
    ------
    ContractError
        When there is none, it is broken, or a cured episode has no arrears in it.
    """
    if arrears is None:
        columns = "episode_id and arrears_amount"
        rule = f"the policy discounts the arrears part of a cure; give a table with the columns {columns}"
        raise ContractError([Violation("arrears", rule)])
    numbers = {"arrears_amount": AMOUNT}
    rows = checked(arrears, table="arrears", texts=["episode_id"], numbers=numbers, key=["episode_id"])
    table = as_table(rows[["episode_id", "arrears_amount"]])
    cured = episodes.filter(episodes.outcome == Outcome.CURED.value)
    refuse_unmatched(cured.anti_join(table, "episode_id"), table="arrears", rule="needs every episode that was cured")
    return table


def _flows(cures: ir.Table, *, is_discounted: bool) -> ir.Table:
    month = cures.months_in_default.cast("int64")
    return cures.select(
        *("episode_id", "facility_id", "obligor_id", "default_date", "rate"),
        cash_flow_date="outcome_date",
        kind=ibis.literal(CURE_KIND),
        amount="amount",
        month=month,
        recovery_month=month,
        net_amount="amount",
        gross_amount="amount",
        is_discounted=ibis.literal(is_discounted),
        source=ibis.literal("episodes"),
        reason="reason",
    )
