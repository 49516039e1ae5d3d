"""The discounted cash-flow ledger of default episodes, and the worksheet of realised loss given default.

Every cash flow of the input is found again, either in the ledger, under the episode it belongs to, or in the
exclusions, under the one reason why it does not count. The ledger lists amount, discount factor and present value, so
that an auditor can recompute a realised LGD by hand. This module knows nothing of how episodes came about.
"""

import datetime
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd

from recoverykit.episodes._allocation import TABLE as INDIRECT_COSTS
from recoverykit.episodes._allocation import allocated
from recoverykit.episodes._calendar import END_OF_TIME, as_date, ceil_months, days_between
from recoverykit.episodes._cures import CURE_KIND, checked_arrears, cure_flows
from recoverykit.episodes._rates import with_rate
from recoverykit.episodes._tables import MONEY_DECIMALS, Frame, Tally, as_table, exclusions_table, money_sum
from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.vocabulary import COST_KINDS, DAYS_PER_YEAR, RECOVERY_KINDS, CashFlowKind, Outcome

__all__ = ["CURE_KIND", "LEDGER_COLUMNS", "WORKSHEET_COLUMNS", "LedgerPolicy", "LedgerTables", "build_ledger"]

LEDGER_COLUMNS = (
    *("episode_id", "facility_id", "obligor_id", "cash_flow_date", "kind", "amount", "month", "recovery_month"),
    *("discount_factor", "net_amount", "gross_amount", "present_value_amount"),
)
WORKSHEET_COLUMNS = (
    *("episode_id", "ead", "denominator_amount", "gross_recovery_amount", "cost_amount", "drawing_amount"),
    *("net_recovery_amount", "present_value_amount", "lgd_to_date", "realised_lgd", "is_closed", "is_late_entry"),
    *("base_rate", "discount_rate"),
)
#: Outcomes after which the borrower pays as any performing one does: what follows is no recovery of this default.
_PERFORMING_AGAIN = (Outcome.CURED.value, Outcome.REPAID.value)
_RECOVERIES = tuple(kind.value for kind in RECOVERY_KINDS)
_COSTS = tuple(kind.value for kind in COST_KINDS)
_DRAWING = CashFlowKind.DRAWING.value

_KEPT = ""
_AFTER = "after the reporting date"
_NO_EPISODE = "facility has no default episode"
_BEFORE = "before the facility's first default"
_ORDINARY = "after a cure or full repayment, ordinary payments of a performing facility"
_TOO_LATE = "later than the maximum recovery period"
_WRITTEN_OFF = "after a write-off, left out by the policy"
_INDIRECT = "indirect costs are left out by the policy"
_LATE_CURE = "cure later than the maximum recovery period, no cash flow at cure"


@dataclass(frozen=True, slots=True)
class LedgerTables:
    """The cash flows of default episodes, one line of LGD per episode, and what was left out.

    Attributes
    ----------
    ledger : ibis.Table
        One row per cash flow, sorted by episode_id, date, kind, amount and discount factor; ``LEDGER_COLUMNS``.
        ``month`` counts from default, a month begun as whole; ``recovery_month`` is the same, but flows after the
        outcome count in the month of the outcome. ``net_amount`` is the effect on the recovery (plus recoveries,
        minus costs, minus drawings, 0 for late fees and interest), ``gross_amount`` recoveries only,
        ``present_value_amount`` the net amount discounted to the default date.
    worksheet : ibis.Table
        One row per episode, sorted by episode_id; columns ``WORKSHEET_COLUMNS``. Amounts undiscounted in currency
        but ``denominator_amount`` and ``present_value_amount``. ``lgd_to_date`` (share of the denominator; negative
        or above 1 where it is so) takes every episode as it stands; ``realised_lgd`` is the same where the episode is
        closed and null otherwise, and null for late entries, whose cash flows before observation are not known. Both
        are null where the discount rate is. ``base_rate`` is the annual rate before add-on and floor.
    exclusions : ibis.Table
        Columns table, reason, n_rows, amount (currency, sum of the amounts).
    lines : ibis.Table
        Every cash flow, with ``reason`` why it does not count, empty where it does; not sorted. The ledger and the
        exclusions are made of it.
    episodes : ibis.Table
        The episodes that the ledger was built for.
    policy : LedgerPolicy
        The rules.
    reporting_date : date
        The date as of which everything is known.
    """

    ledger: ir.Table
    worksheet: ir.Table
    exclusions: ir.Table
    lines: ir.Table
    episodes: ir.Table
    policy: LedgerPolicy
    reporting_date: datetime.date


def build_ledger(
    episodes: Frame,
    cash_flows: Frame,
    *,
    reporting_date: str | datetime.date | pd.Timestamp,
    policy: LedgerPolicy | None = None,
    reference_rates: Frame | None = None,
    segment_rates: Frame | None = None,
    indirect_costs: Frame | None = None,
    arrears: Frame | None = None,
) -> LedgerTables:
    """Assign cash flows to default episodes, discount them, and work out realised LGD.

    LGD = [EAD + PV(costs) + PV(drawings) - PV(recoveries)] / EAD, everything discounted to the default date
    (EBA/GL/2017/16); with ``drawings="both"`` the denominator is EAD + PV(drawings). The discount factor is
    (1 + r)^-(days / 365), with r = max(floor, base rate + add-on). Late fees and interest capitalised after default
    change nothing; recoveries paid on them count. A cash flow belongs to the latest episode of its facility with
    default_date <= cash_flow_date. After a sale, liquidation or write-off it still counts, unless the policy leaves
    out what follows a write-off; after a cure or full repayment it does not. Proceeds of collateral and of a sale of
    the loan are recoveries on the day that they are paid.

    The artificial cash flow at cure is ``outcome_balance_amount`` where known, else what is left of EAD and drawings
    after the recoveries so far, undiscounted and at least 0. With ``cure_discounting="arrears"`` it is two rows: the
    arrears at most, discounted, and the rest with a discount factor of 1.

    Parameters
    ----------
    episodes : ibis.Table or DataFrame
        As from :func:`recoverykit.episodes.spells.build_episodes`.
    cash_flows : ibis.Table or DataFrame
        Contract table ``cash_flows``: facility_id, cash_flow_date, amount (currency, >= 0), kind.
    reporting_date : str, date or Timestamp
        The date as of which everything is known.
    policy : LedgerPolicy, optional
        What counts; by default discounted at the facility's EIR, all costs, no time limit.
    reference_rates : ibis.Table or DataFrame, optional
        date and rate (annual decimal): quotes of the reference rate, for a policy that discounts by it. A quote
        holds until the next one, ``reference_rate_maximum_age_days`` at most.
    segment_rates : ibis.Table or DataFrame, optional
        Columns of the episodes that tell segments apart, and rate (annual decimal).
    indirect_costs : ibis.Table or DataFrame, optional
        cash_flow_date and amount (currency, >= 0): totals to spread over the episodes in default on the date; with
        ``indirect_cost_allocation="table"`` also facility_id. What the policy does not spread is in the exclusions.
    arrears : ibis.Table or DataFrame, optional
        episode_id and arrears_amount (currency, >= 0): the part of a cured episode's balance that was overdue.

    Returns
    -------
    LedgerTables
        Ledger, worksheet and exclusions, as Ibis expressions.

    Raises
    ------
    ValueError
        If the reporting date is no date, or the policy asks for an ``eir`` or segment that the episodes lack.
    ContractError
        If a table that the policy needs is missing or broken, or lacks an episode's rate or arrears.

    Examples
    --------
    900 of 1,000 come back after exactly a year, at 5 %: LGD = 1 - 900 / 1.05 / 1000 = 0.142857.

    >>> episodes = pd.DataFrame({"episode_id": ["A#1"], "facility_id": ["A"], "obligor_id": ["O"],
    ...     "default_date": [pd.Timestamp("2023-01-31")], "outcome": ["liquidated"], "ead": [1000.0],
    ...     "outcome_date": [pd.Timestamp("2024-01-31")], "outcome_balance_amount": [None],
    ...     "months_in_default": [12], "observed_months": [24], "entry_months": [0]})
    >>> flows = pd.DataFrame({"facility_id": ["A"], "cash_flow_date": [pd.Timestamp("2024-01-31")],
    ...     "amount": [900.0], "kind": ["collateral"]})
    >>> policy = LedgerPolicy(discount_rate=0.05)
    >>> tables = build_ledger(episodes, flows, reporting_date="2025-01-31", policy=policy)
    >>> round(tables.worksheet.to_pandas()["realised_lgd"].item(), 6)
    0.142857
    """
    policy = LedgerPolicy() if policy is None else policy
    today = as_date(reporting_date)
    episodes = as_table(episodes, dates=["default_date", "outcome_date"])
    rated = with_rate(episodes, policy, reference_rates=reference_rates, segment_rates=segment_rates)
    shares, not_spread = allocated(episodes, indirect_costs, today, policy)
    flows = _stacked(as_table(cash_flows, dates=["cash_flow_date"]), shares)
    lines = _with_effect(_with_reason(_assigned(flows, rated), today, policy))
    if policy.cure_cash_flow:
        overdue = checked_arrears(arrears, episodes) if policy.cure_discounting == "arrears" else None
        is_late = _is_late(rated.months_in_default, policy)
        paid = lines.filter(lines.reason == _KEPT)
        cures = cure_flows(rated, paid, is_late=is_late, late_reason=_LATE_CURE, arrears=overdue)
        lines = ibis.union(lines, cures)
    lines = _discounted(lines)
    ledger = lines.filter(lines.reason == _KEPT)
    order = ("episode_id", "cash_flow_date", "kind", "amount", "discount_factor")
    return LedgerTables(
        ledger=ledger.select(*LEDGER_COLUMNS).order_by(*order),
        worksheet=_worksheet(rated, ledger, policy),
        exclusions=_exclusions(lines, not_spread),
        lines=lines,
        episodes=episodes,
        policy=policy,
        reporting_date=today,
    )


_SPAN_COLUMNS = (
    *("episode_id", "obligor_id", "default_date", "outcome", "outcome_date", "months_in_default"),
    *("rate", "next_default_date"),
)


def _stacked(flows: ir.Table, shares: ir.Table | None) -> ir.Table:
    """Return the cash flows and the shares of indirect costs, each with the table that it came from."""
    columns = ("facility_id", "cash_flow_date", "kind")
    amount = flows.amount.cast("float64")
    flows = flows.select(*columns, amount=amount, source=ibis.literal("cash_flows"))
    if shares is None:
        return flows
    return ibis.union(flows, shares.select(*columns, "amount", source=ibis.literal(INDIRECT_COSTS)))


def _assigned(flows: ir.Table, episodes: ir.Table) -> ir.Table:
    """Join each cash flow to its episode, and to its facility's first default, with nulls where there is none."""
    # The facility's next default ends the span of an episode, so that a flow finds one episode only.
    in_order = ibis.window(group_by="facility_id", order_by="default_date")
    following = episodes.default_date.lead().over(in_order).coalesce(ibis.literal(END_OF_TIME))
    spans = episodes.mutate(next_default_date=following).select("facility_id", *_SPAN_COLUMNS)
    firsts = episodes.group_by("facility_id").agg(first_default_date=episodes.default_date.min())
    flows = flows.left_join(firsts, "facility_id").drop("facility_id_right")
    belongs = [
        flows.facility_id == spans.facility_id,
        flows.cash_flow_date >= spans.default_date,
        flows.cash_flow_date < spans.next_default_date,
    ]
    assigned = flows.left_join(spans, belongs).drop("facility_id_right")
    return assigned.mutate(month=ceil_months(assigned.default_date, assigned.cash_flow_date))


def _with_reason(assigned: ir.Table, today: datetime.date, policy: LedgerPolicy) -> ir.Table:
    is_indirect = assigned.kind == CashFlowKind.INDIRECT_COST.value
    has_ended = assigned.cash_flow_date > assigned.outcome_date
    performing = assigned.outcome.isin(_PERFORMING_AGAIN) & has_ended
    written_off = (assigned.outcome == Outcome.WRITTEN_OFF.value) & has_ended
    return assigned.mutate(
        reason=ibis.cases(
            (assigned.cash_flow_date > today, _AFTER),
            (assigned.first_default_date.isnull(), _NO_EPISODE),
            (assigned.cash_flow_date < assigned.first_default_date, _BEFORE),
            (performing, _ORDINARY),
            (_is_late(assigned.month, policy), _TOO_LATE),
            (written_off & (not policy.include_post_write_off_recoveries), _WRITTEN_OFF),
            (is_indirect & (not policy.include_indirect_costs), _INDIRECT),
            else_=_KEPT,
        )
    )


def _is_late(month: ir.IntegerValue, policy: LedgerPolicy) -> ir.BooleanValue:
    limit = policy.maximum_recovery_months
    return ibis.literal(False) if limit is None else (month > limit).coalesce(False)


def _with_effect(flows: ir.Table) -> ir.Table:
    """Give each flow its sign by its kind: money in, money out, lent again, or only owed."""
    spends = flows.kind.isin((*_COSTS, _DRAWING))
    gross = ibis.ifelse(flows.kind.isin(_RECOVERIES), flows.amount, 0.0)
    ended = ibis.ifelse(flows.outcome_date.isnull(), flows.month, flows.months_in_default)
    return flows.select(
        *("episode_id", "facility_id", "obligor_id", "default_date", "rate", "cash_flow_date", "kind", "amount"),
        "month",
        recovery_month=ibis.least(flows.month, ended),
        net_amount=ibis.ifelse(spends, -flows.amount, gross),
        gross_amount=gross,
        is_discounted=ibis.literal(True),
        source="source",
        reason="reason",
    )


def _discounted(lines: ir.Table) -> ir.Table:
    days = ibis.ifelse(lines.is_discounted, days_between(lines.default_date, lines.cash_flow_date), 0)
    discounted = lines.mutate(discount_factor=(1.0 + lines.rate) ** (-days / DAYS_PER_YEAR))
    return discounted.mutate(present_value_amount=discounted.net_amount * discounted.discount_factor)


def _exclusions(lines: ir.Table, not_spread: list[Tally]) -> ir.Table:
    """Count what does not count, by the table that it came from and the reason."""
    out = lines.filter(lines.reason != _KEPT)
    counted = out.group_by(table=out.source, reason=out.reason).agg(n_rows=out.count(), amount=money_sum(out.amount))
    together = ibis.union(counted, exclusions_table(not_spread)) if not_spread else counted
    return together.order_by("table", "reason")


def _worksheet(episodes: ir.Table, ledger: ir.Table, policy: LedgerPolicy) -> ir.Table:
    """Sum the ledger per episode and divide: one line that an auditor can recompute."""
    is_drawing = ledger.kind == _DRAWING
    drawn_value = -ledger.present_value_amount
    sums = ledger.group_by("episode_id").agg(
        gross_recovery_amount=ledger.gross_amount.sum(),
        cost_amount=ledger.amount.sum(where=ledger.kind.isin(_COSTS)),
        drawing_amount=ledger.amount.sum(where=is_drawing),
        net_recovery_amount=ledger.net_amount.sum(),
        present_value_amount=ledger.present_value_amount.sum(),
        drawn_value=drawn_value.sum(where=is_drawing),
    )
    amounts = [name for name in sums.columns if name != "episode_id"]
    lines = episodes.left_join(sums, "episode_id").drop("episode_id_right")
    lines = lines.mutate(**{name: lines[name].coalesce(0.0).round(MONEY_DECIMALS) for name in amounts})
    extra = lines.drawn_value if policy.drawings == "both" else 0.0
    is_closed = lines.outcome != Outcome.OPEN.value
    if policy.maximum_recovery_months is not None:
        is_closed = is_closed | (lines.observed_months >= policy.maximum_recovery_months)
    lines = lines.mutate(
        denominator_amount=lines.ead + extra,
        is_closed=is_closed,
        is_late_entry=lines.entry_months > 0,
        discount_rate=lines.rate,
    )
    lgd = (lines.ead - lines.present_value_amount) / lines.denominator_amount
    unknown = ibis.null("float64")
    lines = lines.mutate(lgd_to_date=ibis.ifelse(lines.rate.isnull(), unknown, lgd))
    countable = lines.is_closed & ~lines.is_late_entry
    lines = lines.mutate(realised_lgd=ibis.ifelse(countable, lines.lgd_to_date, unknown))
    return lines.select(*WORKSHEET_COLUMNS).order_by("episode_id")
