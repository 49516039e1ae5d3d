"""From monthly rows to spells of default, as gaps and islands: windows, joins and sums, nothing row by row.

Months are running numbers here (see ``_calendar.month_index``). Trigger months with fewer than a probation's length
of quiet months between them form a *cluster*. A cluster ends with its first *clear* month, the month in which the
probation is over. Clusters that follow each other without a clear month between them, or within the merge window
after one, form one default. Facilities without any trigger, most of a book, are dropped before anything is sorted.
"""

import ibis
import ibis.expr.types as ir

from recoverykit.episodes._calendar import month_index
from recoverykit.episodes.definition import DefaultDefinition
from recoverykit.vocabulary import ExposureClass, FacilityStatus

#: Account states that are a default by themselves.
LOSS_STATES = (FacilityStatus.WRITTEN_OFF.value, FacilityStatus.LIQUIDATED.value)
#: Account states after which there is no account.
CLOSING_STATES = tuple(state.value for state in FacilityStatus if state is not FacilityStatus.ACTIVE)


def rows_since_default(status: ir.Table, facilities: ir.Table, definition: DefaultDefinition) -> ir.Table:
    """Return the rows of every facility that ever defaults, from the month before its first trigger.

    Returns
    -------
    ibis.Table
        facility_id, month, first_month (of the first trigger), balance_amount, days_past_due, forborne, closing
        (state in which the account was closed, else null), overdue (90 days and material), trigger.
    """
    rows = status.mutate(month=month_index(status.month_end))
    serious = rows.filter(
        (rows.days_past_due >= definition.days_past_due) | rows.unlikely_to_pay | rows.status.isin(LOSS_STATES)
    )
    triggers = _with_triggers(_with_threshold(serious, facilities, definition), definition)
    firsts = triggers.filter(triggers.trigger).group_by("facility_id")
    firsts = firsts.agg(first_month=lambda t: t.month.min(), threshold=lambda t: t.threshold.min())
    kept = rows.inner_join(firsts, "facility_id")
    kept = _with_triggers(kept.filter(kept.month >= kept.first_month - 1), definition)
    return kept.select(
        "facility_id",
        "month",
        "first_month",
        "balance_amount",
        "days_past_due",
        "forborne",
        closing=ibis.ifelse(kept.status.isin(CLOSING_STATES), kept.status, ibis.null("string")),
        overdue=kept.overdue,
        trigger=kept.trigger,
    )


def clusters(rows: ir.Table, definition: DefaultDefinition) -> ir.Table:
    """Return one row per cluster of trigger months.

    Returns
    -------
    ibis.Table
        facility_id, start (first trigger month), ead, seen_from_start (no row precedes it), overdue and
        days_past_due at the start, exit_month and exit_balance (first clear month), closing_month, closing and
        closing_balance, last_month and last_balance.
    """
    marked = _with_cluster_start(rows, definition)
    started = marked.filter(marked.start.notnull())
    months_quiet = started.month - started.last_trigger
    year_over = (started.month - started.last_grant >= definition.forborne_probation_months).coalesce(True)
    clear = (months_quiet >= definition.probation_months) & year_over
    at_start = started.month == started.start
    # A facility that is closed in the month of its default owes nothing any more: what it owed stood a month before.
    owed = ibis.ifelse(
        started.closing.notnull() & (started.balance_amount == 0),
        started.earlier_balance.coalesce(0.0),
        started.balance_amount,
    )
    return started.group_by("facility_id", "start").agg(
        ead=owed.max(where=at_start),
        seen_from_start=started.earlier_balance.isnull().max(where=at_start),
        overdue=started.overdue.max(where=at_start),
        days_past_due=started.days_past_due.max(where=at_start),
        exit_month=started.month.min(where=clear),
        exit_balance=started.balance_amount.argmin(started.month, where=clear),
        closing_month=started.month.min(where=started.closing.notnull()),
        closing=started.closing.max(),
        closing_balance=started.balance_amount.argmin(started.month, where=started.closing.notnull()),
        last_month=started.month.max(),
        last_balance=started.balance_amount.argmax(started.month),
    )


def defaults(clustered: ir.Table, definition: DefaultDefinition) -> ir.Table:
    """Return one row per default: clusters that were never left, or left for less than the merge window, are one.

    Returns
    -------
    ibis.Table
        facility_id, number (from 1), start, ead, seen_from_start, overdue, days_past_due, n_triggers_spells, outcome,
        outcome_month and outcome_balance_amount (null where still open), last_month, last_balance.
    """
    in_order = ibis.window(group_by="facility_id", order_by="start")
    left = clustered.mutate(earlier_exit=clustered.exit_month.lag().over(in_order))
    returned = (left.start - left.earlier_exit > definition.merge_months).coalesce(False)
    first = left.start.lag().over(in_order).isnull()
    left = left.mutate(opens=first | returned)
    numbered = left.mutate(
        number=left.opens.cast("int64").sum().over(ibis.cumulative_window(group_by="facility_id", order_by="start")),
        is_last=left.opens.lead().over(in_order).coalesce(True),
    )
    last = numbered.is_last
    merged = numbered.group_by("facility_id", "number").agg(
        n_triggers_spells=(numbered.exit_month.notnull() & ~last).cast("int64").sum() + 1,
        **{name: numbered[name].argmin(numbered.start) for name in _AT_START},
        **{name: numbered[name].max(where=last) for name in _AT_END},
        start=numbered.start.min(),
    )
    return _with_outcome(merged)


_AT_START = ("ead", "seen_from_start", "overdue", "days_past_due")
_AT_END = (
    *("exit_month", "exit_balance", "closing_month", "closing", "closing_balance"),
    *("last_month", "last_balance"),
)


def _with_threshold(rows: ir.Table, facilities: ir.Table, definition: DefaultDefinition) -> ir.Table:
    retail = ibis.literal(float(definition.materiality_retail_amount))
    if "exposure_class" not in facilities.columns:
        return rows.mutate(threshold=retail)
    classes = facilities.select("facility_id", "exposure_class")
    joined = rows.left_join(classes, "facility_id").drop("facility_id_right")
    other = (joined.exposure_class == ExposureClass.OTHER.value).coalesce(False)
    return joined.mutate(threshold=ibis.ifelse(other, float(definition.materiality_other_amount), retail))


def _with_triggers(rows: ir.Table, definition: DefaultDefinition) -> ir.Table:
    """Mark the months that are a default by themselves; the absolute threshold stands in the rows."""
    past_due = rows.balance_amount
    if "past_due_amount" in rows.columns:
        past_due = rows.past_due_amount.coalesce(rows.balance_amount)
    # Without the amount past due the balance stands for it, and exceeds any share of itself.
    material = (past_due > rows.threshold) & (past_due > definition.materiality_share * rows.balance_amount)
    overdue = (rows.days_past_due >= definition.days_past_due) & material
    return rows.mutate(overdue=overdue, trigger=overdue | rows.unlikely_to_pay | rows.status.isin(LOSS_STATES))


def _with_cluster_start(rows: ir.Table, definition: DefaultDefinition) -> ir.Table:
    """Give each row the start of its cluster, and the last trigger and grant of forbearance up to it.

    Forbearance that stands when a cluster starts counts as granted then: the year runs from the later of default and
    grant, and goes on when the flag is taken away or a later trigger starts another cluster of the same default.
    """
    in_order = ibis.window(group_by="facility_id", order_by="month")
    so_far = ibis.cumulative_window(group_by="facility_id", order_by="month")
    before = ibis.window(group_by="facility_id", order_by="month", rows=(None, -1))
    never = ibis.null("int64")
    trigger_month = ibis.ifelse(rows.trigger, rows.month, never)
    seen = rows.mutate(
        last_trigger=trigger_month.max().over(so_far),
        earlier_trigger=trigger_month.max().over(before),
        earlier_forborne=rows.forborne.lag().over(in_order),
        earlier_balance=rows.balance_amount.lag().over(in_order),
    )
    quiet = seen.month - seen.earlier_trigger
    opens = seen.trigger & (quiet > definition.probation_months).coalesce(True)
    is_new = ~seen.earlier_forborne.coalesce(False) | opens
    granted = seen.forborne & is_new & (seen.month >= seen.first_month)
    return seen.mutate(
        start=ibis.ifelse(opens, seen.month, never).max().over(so_far),
        last_grant=ibis.ifelse(granted, seen.month, never).max().over(so_far),
    )


def _with_outcome(merged: ir.Table) -> ir.Table:
    closed = merged.closing_month.notnull() & (
        merged.exit_month.isnull() | (merged.closing_month <= merged.exit_month).coalesce(False)
    )
    cured = merged.exit_month.notnull()
    return merged.mutate(
        outcome=ibis.cases((closed, merged.closing), (cured, "cured"), else_="open"),
        outcome_month=ibis.cases((closed, merged.closing_month), (cured, merged.exit_month)),
        outcome_balance_amount=ibis.cases((closed, merged.closing_balance), (cured, merged.exit_balance)),
    )
