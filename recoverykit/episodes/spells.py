"""Default episodes: from monthly status, or from the episodes that a bank holds already.

An episode runs from the default date to its outcome or to the reporting date. Its rules are a
:class:`DefaultDefinition`; nothing dated after the reporting date is read. The result is an Ibis expression: nothing
is computed before ``.to_pandas()``, and whoever uses it more than once calls ``.cache()`` first. This module does not
know about cash flows.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd

from recoverykit.episodes._calendar import (
    as_date,
    ceil_months,
    floor_months,
    month_end,
    month_index,
    quarter_name,
)
from recoverykit.episodes._clusters import clusters, defaults, rows_since_default
from recoverykit.episodes._tables import Frame, Tally, as_table, exclusions_table
from recoverykit.episodes.definition import DefaultDefinition
from recoverykit.errors import ContractError, Violation
from recoverykit.vocabulary import Outcome

__all__ = ["EPISODE_COLUMNS", "DefaultDefinition", "EpisodeTables", "build_episodes", "complete_episodes"]

#: What every episode says, in this order; the facility's own columns follow.
EPISODE_COLUMNS = (
    *("episode_id", "facility_id", "obligor_id", "default_date", "outcome", "outcome_date"),
    *("ead", "outcome_balance_amount", "outstanding", "months_in_default", "observed_months", "entry_months"),
    *("n_triggers_spells", "default_vintage"),
)
#: Days past due that make a month, when the default of a late entry is dated back.
_DAYS_PER_MONTH_PAST_DUE = 30

_KEPT = ""
_UNKNOWN_FACILITY = "facility is not in facilities"
_NO_EXPOSURE = "exposure at default is zero or missing"
_LATE = "in default when observation began (kept, late entry)"
_UNDATED = "unlikely to pay when observation began, dated to the first month observed (kept)"
_STOPPED = "status history ends before the reporting date without a closing status (kept, open)"
_AFTER = "after the reporting date"
_LATER_OUTCOME = "outcome after the reporting date (kept, open)"


@dataclass(frozen=True, slots=True)
class EpisodeTables:
    """Default episodes, and what was left out or needs to be known about them.

    Attributes
    ----------
    episodes : ibis.Table
        One row per episode, sorted by facility_id and default_date; columns ``EPISODE_COLUMNS``, then every other
        column of the facilities.

        * default_date, outcome_date : date; the latter null while open.
        * ead : currency, > 0; outcome_balance_amount : balance when the episode ended, null while open or unknown;
          outstanding : balance at the reporting date, 0 when closed, null when open and unknown.
        * months_in_default : months, rounded up for closed and down for open episodes; observed_months : completed
          months from default to reporting date, whatever the outcome; entry_months : months in default before
          observation began, 0 unless the facility was first seen in default.
        * n_triggers_spells : number of default spells merged into the episode, at least 1.
        * default_vintage : quarter of the default, for example ``2023Q2``.
    exclusions : ibis.Table
        Columns table, reason, n_rows, amount (currency: EAD of the episodes concerned, 0 for status rows, whose
        balances repeat from month to month and are no sum). Reasons that end in "(kept ...)" are notes: those
        episodes are in the table.
    """

    episodes: ir.Table
    exclusions: ir.Table


def build_episodes(
    status: Frame,
    facilities: Frame,
    *,
    reporting_date: str | datetime.date | pd.Timestamp,
    definition: DefaultDefinition | None = None,
) -> EpisodeTables:
    """Build default episodes from the monthly status of facilities.

    A facility is in default from its first trigger month (90 days past due and material, unlikely to pay, or
    written off or liquidated). It has returned to performing in the first month that ends the probation; a trigger
    before that month, or at most ``merge_months`` after it, continues the same episode. A closing status up to and
    including that month ends the episode with that outcome; a probation that still runs at the reporting date is
    open. A forbearance granted since the facility's first default holds the return back for a year from its grant,
    and one that stands when a run of triggers begins, after more quiet months than a probation has, for a year from
    that month.

    A facility that is first seen past due is a late entry: its default is dated back by a month for every 30 days
    past due beyond the definition's, never before its origination, and ``entry_months`` says by how much; its EAD is
    the first balance observed.

    Parameters
    ----------
    status : ibis.Table or DataFrame
        Contract table ``status``: one row per facility and month end.
    facilities : ibis.Table or DataFrame
        Contract table ``facilities``: one row per facility.
    reporting_date : str, date or Timestamp
        The date as of which everything is known.
    definition : DefaultDefinition, optional
        The rules; the European ones by default.

    Returns
    -------
    EpisodeTables
        Episodes and exclusions, as Ibis expressions. Episodes are numbered per facility before any is excluded.

    Raises
    ------
    ContractError
        If a column of the facilities carries the name of an episode column.
    ValueError
        If the reporting date is no date.

    Examples
    --------
    Three months past due, three quiet months of probation, then performing:

    >>> months = pd.date_range("2024-01-31", periods=8, freq="ME")
    >>> status = pd.DataFrame({"facility_id": "A", "month_end": months, "days_past_due": [0, 95, 0, 0, 0, 0, 0, 0],
    ...     "balance_amount": 900.0, "forborne": False, "unlikely_to_pay": False, "status": "active"})
    >>> facilities = pd.DataFrame({"facility_id": ["A"], "obligor_id": ["O"], "origination_date": [months[0]]})
    >>> built = build_episodes(status, facilities, reporting_date="2024-08-31")
    >>> built.episodes.to_pandas()[["default_date", "outcome", "outcome_date", "months_in_default"]]
      default_date outcome outcome_date  months_in_default
    0   2024-02-29   cured   2024-05-31                  3
    """
    definition = DefaultDefinition() if definition is None else definition
    today = as_date(reporting_date)
    facilities = _facilities(facilities)
    status = as_table(status, dates=["month_end"])
    known = status.filter(status.month_end <= today)
    spells = defaults(clusters(rows_since_default(known, facilities, definition), definition), definition)
    dated = _dated(_with_facility(spells, facilities), today, definition)
    drafts = _with_reason(_shaped(dated, today, notes=_NOTES))
    tallies = [
        Tally("status", _AFTER, status.filter(status.month_end > today)),
        *_draft_tallies(drafts, table="status"),
        *(_note_tally(drafts, name, note, table="status") for name, note in _NOTES.items()),
    ]
    return EpisodeTables(_finished(drafts, facilities), exclusions_table(tallies))


def complete_episodes(
    episodes: Frame,
    facilities: Frame,
    *,
    reporting_date: str | datetime.date | pd.Timestamp,
) -> EpisodeTables:
    """Bring the episodes that a bank holds to the columns of :func:`build_episodes`.

    The bank's own definition of default stands: nothing is merged, every episode is one spell, and none is a late
    entry. Defaults after the reporting date are left out; an outcome after it is not known yet, so that the episode
    is open and its outstanding balance unknown.

    Parameters
    ----------
    episodes : ibis.Table or DataFrame
        Contract table ``episodes``: facility_id, default_date, ead, outcome, outcome_date; optionally
        outcome_balance_amount and outstanding.
    facilities : ibis.Table or DataFrame
        Contract table ``facilities``.
    reporting_date : str, date or Timestamp
        The date as of which everything is known.

    Returns
    -------
    EpisodeTables
        Episodes and exclusions, as Ibis expressions.

    Raises
    ------
    ContractError
        If a column of the facilities carries the name of an episode column.
    ValueError
        If the reporting date is no date.
    """
    today = as_date(reporting_date)
    facilities = _facilities(facilities)
    held = as_table(episodes, dates=["default_date", "outcome_date"])
    known = held.filter(held.default_date <= today)
    in_order = ibis.window(group_by="facility_id", order_by="default_date")
    known = known.mutate(number=ibis.row_number().over(in_order) + 1, n_triggers_spells=ibis.literal(1, "int64"))
    later = (known.outcome_date > today).coalesce(False)
    is_open = later | (known.outcome == Outcome.OPEN.value)
    unknown = ibis.null("float64")
    balances = {
        name: known[name].cast("float64") if name in known.columns else unknown
        for name in ("outcome_balance_amount", "outstanding")
    }
    known = known.mutate(
        outcome=ibis.ifelse(is_open, Outcome.OPEN.value, known.outcome),
        outcome_date=ibis.ifelse(is_open, ibis.null("date"), known.outcome_date),
        outcome_balance_amount=ibis.ifelse(is_open, unknown, balances["outcome_balance_amount"]),
        outstanding=ibis.cases((later, unknown), (is_open, balances["outstanding"]), else_=0.0),
        entry_months=ibis.literal(0, "int64"),
        is_later=later,
    )
    drafts = _with_reason(_shaped(_with_facility(known, facilities), today, notes=["is_later"]))
    tallies = [
        Tally("episodes", _AFTER, held.filter(held.default_date > today), "ead"),
        *_draft_tallies(drafts, table="episodes"),
        _note_tally(drafts, "is_later", _LATER_OUTCOME, table="episodes"),
    ]
    return EpisodeTables(_finished(drafts, facilities), exclusions_table(tallies))


#: Columns of the drafts that say what needs to be known of an episode; several may hold of one.
_NOTES = {"is_late": _LATE, "is_undated": _UNDATED, "is_stopped": _STOPPED}


def _facilities(facilities: Frame) -> ir.Table:
    table = as_table(facilities, dates=["origination_date"])
    taken = sorted(set(table.columns) & set(EPISODE_COLUMNS) - {"facility_id", "obligor_id"})
    if taken:
        rule = f"columns {taken} carry names of episode columns; rename them in the data spec"
        raise ContractError([Violation("facilities", rule)])
    return table


def _with_facility(spells: ir.Table, facilities: ir.Table) -> ir.Table:
    """Join what the rules need of the facility; a spell of an unknown one stays, to be counted, with nulls.

    Its other columns come last, in ``_finished``: they may have any name, and none may be taken for one of the spell's.
    """
    needed = [name for name in ("facility_id", "obligor_id", "origination_date") if name in facilities.columns]
    marked = facilities.select(*needed, is_known=ibis.literal(True))
    joined = spells.left_join(marked, "facility_id").drop("facility_id_right")
    return joined.mutate(is_known=joined.is_known.coalesce(False))


def _dated(spells: ir.Table, today: datetime.date, definition: DefaultDefinition) -> ir.Table:
    """Turn running months into dates, date late entries back, and say what is open."""
    origination = month_index(spells.origination_date).coalesce(0)
    past_due = (spells.days_past_due - definition.days_past_due) // _DAYS_PER_MONTH_PAST_DUE
    since_origination = ibis.greatest(spells.start - origination, 0)
    seen_in_default = spells.seen_from_start & (since_origination > 0)
    back = ibis.ifelse(seen_in_default & spells.overdue, ibis.least(past_due, since_origination), 0).cast("int64")
    is_open = spells.outcome == Outcome.OPEN.value
    last_complete = month_index(ibis.literal(today) + ibis.interval(days=1)) - 1
    return spells.mutate(
        default_date=month_end(spells.start - back),
        outcome_date=ibis.ifelse(is_open, ibis.null("date"), month_end(spells.outcome_month)),
        outstanding=ibis.ifelse(is_open, spells.last_balance, 0.0),
        entry_months=back,
        is_late=back > 0,
        is_undated=seen_in_default & ~spells.overdue,
        is_stopped=is_open & (spells.last_month < last_complete),
    )


def _shaped(dated: ir.Table, today: datetime.date, *, notes: Iterable[str]) -> ir.Table:
    """Add ids and months, and bring the columns into order; is_known and the notes stay at the end."""
    is_open = dated.outcome == Outcome.OPEN.value
    observed = floor_months(dated.default_date, ibis.literal(today))
    whole = dated.mutate(
        episode_id=dated.facility_id + "#" + dated.number.cast("string"),
        ead=dated.ead.cast("float64"),
        months_in_default=ibis.ifelse(is_open, observed, ceil_months(dated.default_date, dated.outcome_date)),
        observed_months=observed,
        default_vintage=quarter_name(dated.default_date),
    )
    return whole.select(*EPISODE_COLUMNS, "is_known", *notes)


def _with_reason(shaped: ir.Table) -> ir.Table:
    return shaped.mutate(
        reason=ibis.cases(
            (~shaped.is_known, _UNKNOWN_FACILITY),
            ((shaped.ead > 0).coalesce(False), _KEPT),
            else_=_NO_EXPOSURE,
        )
    )


def _draft_tallies(drafts: ir.Table, *, table: str) -> list[Tally]:
    return [Tally(table, why, drafts.filter(drafts.reason == why), "ead") for why in (_UNKNOWN_FACILITY, _NO_EXPOSURE)]


def _note_tally(drafts: ir.Table, name: str, note: str, *, table: str) -> Tally:
    return Tally(table, note, drafts.filter(drafts[name], drafts.reason == _KEPT), "ead")


def _finished(drafts: ir.Table, facilities: ir.Table) -> ir.Table:
    kept = drafts.filter(drafts.reason == _KEPT).select(*EPISODE_COLUMNS)
    own = [name for name in facilities.columns if name not in EPISODE_COLUMNS]
    whole = kept.inner_join(facilities.select("facility_id", *own), "facility_id")
    return whole.select(*EPISODE_COLUMNS, *own).order_by("facility_id", "default_date")
