"""The war room: what the unit must know on a morning, what falls due today, and what changed since yesterday.

Every figure is told from the tables of the unit with the clock set to the end of a day, so that yesterday is computed
from the same tables as today and the two can be held against each other to the case and to the cent. Lists of cases go
into files; what the page shows are counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.operations._arrears import INSTALMENT_COLUMNS
from recoverykit.operations._border import check_frames, day_of
from recoverykit.operations._cents import cents as in_cents
from recoverykit.operations._cents import total
from recoverykit.operations._warroom_cases import COMING, DONE, DUE, ONE_DAY, OVERDUE, morning, triggers
from recoverykit.operations._warroom_changes import CLOSED, CURED, ENTERED, PAID, flow, movements, newly_escalated
from recoverykit.operations._warroom_rules import (
    EscalationRule,
    EscalationRules,
    EscalationWhen,
    read_escalation_rules,
)

__all__ = ["EscalationRule", "EscalationRules", "EscalationWhen", "WarRoom", "read_escalation_rules", "war_room"]

PROMISE_COLUMNS = ("facility_id", "promise_date", "due_date", "promised_amount", "paid_amount", "paid_date?")
DEFAULT_COLUMNS = ("facility_id", "default_date", "ead", "outcome", "outcome_date?", "outstanding?")
#: A delinquency is new until this many days past due.
NEW_UNTIL_DAYS = 30


@dataclass(frozen=True, slots=True, eq=False)
class WarRoom:
    """The unit's morning.

    Attributes
    ----------
    as_of, before : pandas.Timestamp
        The day, at whose end the clock stands, and the day that it is compared with.
    cases : DataFrame
        One row per case of the day: facility_id, segment, is_secured, days_past_due, oldest_due_date, n_past_due,
        overdue_amount, balance_amount, last_contact_time, last_conversation_time, n_missed_calls, n_broken_promises.
    new_delinquencies : DataFrame
        Cases up to 30 days past due: segment, n_cases, n_entered (since the day before), overdue_amount,
        balance_amount; the last row is the total.
    triggers : DataFrame
        One row per case and rule that it meets: facility_id, rule, action, trigger_time, deadline, status.
    follow_ups : DataFrame
        rule, action, n_overdue, n_due, n_coming, n_done, n_new (open since the day before), one row per rule.
    promises : DataFrame
        what, n_promises, promised_amount, paid_amount: falling due today, later this week, in their days of grace, and
        broken since the day before. A promise that is kept already is left out; one that was paid after its days of
        grace was broken.
    changes : DataFrame
        what, n_cases, overdue_amount: from yesterday to today; it foots.
    moves : DataFrame
        One row per case of either day: facility_id, change, overdue_before, overdue_now, is_worse.
    """

    as_of: pd.Timestamp
    before: pd.Timestamp
    cases: pd.DataFrame
    new_delinquencies: pd.DataFrame
    triggers: pd.DataFrame
    follow_ups: pd.DataFrame
    promises: pd.DataFrame
    changes: pd.DataFrame
    moves: pd.DataFrame

    def count(self, change: str) -> int:
        """Return the number of cases that ``entered``, were ``cured``, ``paid``, ``closed``, or ``stayed``."""
        return int((self.moves["change"] == change).sum())

    @property
    def n_left(self) -> int:
        """Cases of the day before that are none any more."""
        return sum(self.count(change) for change in (CURED, PAID, CLOSED))

    @property
    def n_worse(self) -> int:
        """Cases that stayed and came into a worse bucket of days past due."""
        return int(self.moves["is_worse"].sum())

    def n_follow_ups(self, status: str) -> int:
        """Return the steps that are ``due``, ``overdue``, ``coming`` or ``done``."""
        return int(self.follow_ups[f"n_{status}"].sum())

    def case_list(self) -> pd.DataFrame:
        """Return the open triggers with their cases, most urgent first: what goes into a file for the unit."""
        open_ones = self.triggers[self.triggers["status"] != DONE]
        columns = ["facility_id", "segment", "days_past_due", "overdue_amount", "balance_amount"]
        columns += ["n_missed_calls", "n_broken_promises"]
        found = open_ones.merge(self.cases[columns], on="facility_id")
        return found.sort_values(["deadline", "rule", "facility_id"], ignore_index=True)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept."""
        return {
            "cases": self.cases,
            "new_delinquencies": self.new_delinquencies,
            "triggers": self.triggers,
            "follow_ups": self.follow_ups,
            "promises": self.promises,
            "changes": self.changes,
            "moves": self.moves,
        }

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return {
            "as_of": f"{self.as_of:%Y-%m-%d}",
            "n_cases": len(self.cases),
            "overdue_amount": total(self.cases["overdue_amount"]),
            "n_entered": self.count(ENTERED),
            "n_left": self.n_left,
            "n_worse": self.n_worse,
            **{f"n_{status}": self.n_follow_ups(status) for status in (OVERDUE, DUE, COMING, DONE)},
        }


def war_room(
    instalments: pd.DataFrame,
    actions: pd.DataFrame,
    promises: pd.DataFrame | None,
    facilities: pd.DataFrame,
    *,
    as_of: str | pd.Timestamp,
    rules: EscalationRules | None = None,
    segment_by: Sequence[str] = (),
    closures: pd.DataFrame | None = None,
    balances: pd.DataFrame | None = None,
    defaults: pd.DataFrame | None = None,
    days_at_default: int = 90,
    days_back: int = 1,
) -> WarRoom:
    """Put the unit's morning together: new cases, steps due and overdue, promises, and what changed.

    Parameters
    ----------
    instalments, actions, promises : DataFrame
        Contract tables. What is dated after the day is not read. Promises may be None where there are none.
    facilities : DataFrame
        facility_id, collateral_kind and the columns of ``segment_by``.
    as_of : date-like
        The day at whose end the clock stands.
    rules : EscalationRules, optional
        The escalation table; that of the house when absent.
    segment_by : sequence of str
        Columns of ``facilities`` that make the segments.
    closures : DataFrame, optional
        facility_id and closed_date of facilities that were sold, written off, liquidated or repaid early.
    balances : DataFrame, optional
        facility_id and balance_amount; where it is absent, or does not know a facility, the unpaid rest of its payment
        plan stands in.
    defaults : DataFrame, optional
        Default episodes of the book: facility_id, default_date, ead, outcome, outcome_date (empty while open) and
        outstanding (may be empty). A facility in default is a case, with its whole balance overdue; one whose last
        default ended otherwise than by cure is none, whatever is unpaid of its plan.
    days_at_default : int
        Days past due at which a facility defaults, at least 0: an episode's arrears began so many days before it.
    days_back : int
        Days between the two states that are compared, at least 1.

    Returns
    -------
    WarRoom

    Raises
    ------
    ContractError
        When a table lacks a column.
    ValueError
        When ``days_back`` is below 1 or ``days_at_default`` below 0.
    """
    if days_back < 1 or days_at_default < 0:
        raise ValueError(f"days_back is {days_back}, at least 1; days_at_default is {days_at_default}, at least 0")
    if promises is None:
        columns = [name.removesuffix("?") for name in PROMISE_COLUMNS]
        types = {name: "datetime64[ns]" for name in columns if name.endswith("_date")} | {"facility_id": "object"}
        promises = pd.DataFrame({name: pd.Series(dtype=types.get(name, "float64")) for name in columns})
    needed: dict[str, Any] = {
        "instalments": (instalments, INSTALMENT_COLUMNS),
        "actions": (actions, ["facility_id", "action_time", "kind", "result"]),
        "promises": (promises, PROMISE_COLUMNS),
        "facilities": (facilities, ["facility_id", "collateral_kind", *segment_by]),
    }
    needed |= {} if closures is None else {"closures": (closures, ["facility_id", "closed_date"])}
    needed |= {} if balances is None else {"balances": (balances, ["facility_id", "balance_amount"])}
    needed |= {} if defaults is None else {"defaults": (defaults, DEFAULT_COLUMNS)}
    check_frames(needed)
    table = rules or EscalationRules.house()
    today = day_of(as_of, "as_of")
    options: dict[str, Any] = {
        "segment_by": segment_by,
        "grace_days": table.promise_grace_days,
        "closures": closures,
        "balances": balances,
        "defaults": defaults,
        "days_at_default": days_at_default,
    }
    then, now = (
        morning(instalments, actions, promises, facilities, as_of=day, **options)
        for day in (today - days_back * ONE_DAY, today)
    )
    found = triggers(now, table)
    moves = movements(then, now, instalments, closures, defaults)
    return WarRoom(
        as_of=today,
        before=then.as_of,
        cases=now.cases,
        new_delinquencies=_new_delinquencies(now.cases, moves),
        triggers=found,
        follow_ups=_follow_ups(found, newly_escalated(triggers(then, table), found), table),
        promises=_promises_due(promises, today, then.as_of, table.promise_grace_days),
        changes=flow(moves),
        moves=moves,
    )


def _new_delinquencies(cases: pd.DataFrame, moves: pd.DataFrame) -> pd.DataFrame:
    """Return cases up to 30 days past due by segment, and their total."""
    entered = set(moves.loc[moves["change"] == ENTERED, "facility_id"])
    new = cases[cases["days_past_due"] <= NEW_UNTIL_DAYS]
    new = new.assign(
        is_entered=new["facility_id"].isin(entered),
        overdue=in_cents(new["overdue_amount"]),
        balance=in_cents(new["balance_amount"]),
    )
    by = new.groupby("segment", sort=True).agg(
        n_cases=("facility_id", "size"),
        n_entered=("is_entered", "sum"),
        overdue_amount=("overdue", "sum"),
        balance_amount=("balance", "sum"),
    )
    by.loc["total"] = by.sum()
    by = by.astype(np.int64)
    amounts = {name: by[name] / 100 for name in ("overdue_amount", "balance_amount")}
    return by.assign(**amounts).rename_axis("segment").reset_index()


def _follow_ups(found: pd.DataFrame, new: pd.DataFrame, rules: EscalationRules) -> pd.DataFrame:
    counts = found.groupby(["rule", "status"]).size()
    fresh = new.groupby("rule").size()
    rows = [
        {
            "rule": rule.name,
            "action": rule.then.value,
            **{f"n_{status}": int(counts.get((rule.name, status), 0)) for status in (OVERDUE, DUE, COMING, DONE)},
            "n_new": int(fresh.get(rule.name, 0)),
        }
        for rule in rules.rules
    ]
    return pd.DataFrame(rows)


def _promises_due(promises: pd.DataFrame, today: pd.Timestamp, before: pd.Timestamp, grace_days: int) -> pd.DataFrame:
    """Return the promises that are not kept yet by when they fall due; a week ends on Sunday."""
    known = promises[promises["promise_date"] <= today]
    paid = in_cents(known["paid_amount"].where(known["paid_date"] <= today, 0.0))
    promised = in_cents(known["promised_amount"])
    unkept, due = paid < promised, known["due_date"]
    end_of_week = today + pd.Timedelta(days=6 - today.weekday())
    broken = due + (grace_days + 1) * ONE_DAY
    late = known["paid_date"] >= broken
    picked = {
        "due today": unkept & (due == today),
        "due later this week": unkept & (due > today) & (due <= end_of_week),
        "in their days of grace": unkept & (due < today) & (broken > today),
        "broken since yesterday": (unkept | late) & (broken > before) & (broken <= today),
    }
    return pd.DataFrame(
        [
            {
                "what": what,
                "n_promises": int(rows.sum()),
                "promised_amount": int(promised[rows].sum()) / 100,
                "paid_amount": int(paid[rows].sum()) / 100,
            }
            for what, rows in picked.items()
        ]
    )
