"""The cases of a morning, with what the rules ask of them, and the dates on which they came to meet it.

A case is a facility with an instalment past due, or in default, that has not been closed: neither among the closures,
nor by a last default that ended otherwise than by cure. Its spell of arrears begins when the oldest unpaid instalment
fell due; calls and promises of earlier spells do not count in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.operations._arrears import arrears
from recoverykit.operations._cents import cents as in_cents
from recoverykit.operations._warroom_rules import EscalationRule, EscalationRules
from recoverykit.vocabulary import CONVERSATION_RESULTS, WHOLE_BOOK, ActionKind, ActionResult, Outcome, segment_name

ONE_DAY = pd.Timedelta(days=1)
#: After these results the step of a rule has not been carried out.
NOT_CARRIED_OUT = (ActionResult.INVALID_NUMBER, ActionResult.UNDELIVERED)
DUE, OVERDUE, COMING, DONE = "due", "overdue", "coming", "done"


@dataclass(frozen=True, slots=True, eq=False)
class Morning:
    """What was known on the morning after a day: the cases, the actions and promises of their spells."""

    as_of: pd.Timestamp
    cases: pd.DataFrame
    actions: pd.DataFrame
    promises: pd.DataFrame


def morning(
    instalments: pd.DataFrame,
    actions: pd.DataFrame,
    promises: pd.DataFrame,
    facilities: pd.DataFrame,
    *,
    as_of: pd.Timestamp,
    segment_by: Sequence[str],
    grace_days: int,
    closures: pd.DataFrame | None,
    balances: pd.DataFrame | None,
    defaults: pd.DataFrame | None,
    days_at_default: int,
) -> Morning:
    """Return the state of the day: nothing dated after it is read."""
    cases = _open_cases(instalments, closures, defaults, as_of, days_at_default)
    balance = cases["scheduled_amount"]
    if balances is not None:
        balance = cases["facility_id"].map(balances.set_index("facility_id")["balance_amount"]).fillna(balance)
    about = facilities.set_index("facility_id").reindex(cases["facility_id"])
    cases = cases.drop(columns="scheduled_amount").assign(
        balance_amount=balance,
        segment=_segments(about, segment_by),
        is_secured=(about["collateral_kind"].fillna("none") != "none").to_numpy(),
    )
    begun = cases.set_index("facility_id")["oldest_due_date"]
    log = actions.loc[actions["action_time"] < as_of + ONE_DAY].merge(begun, on="facility_id")
    log = log[log["action_time"] >= log["oldest_due_date"]].sort_values("action_time", kind="stable")
    given = promises.loc[promises["promise_date"] <= as_of].merge(begun, on="facility_id")
    given = given[given["promise_date"] >= given["oldest_due_date"]]
    broken_date = given["due_date"] + (grace_days + 1) * ONE_DAY
    paid = given["paid_amount"].where((given["paid_date"] <= as_of) & (given["paid_date"] < broken_date), 0.0)
    kept = in_cents(paid) >= in_cents(given["promised_amount"])
    given = given.assign(is_kept=kept, broken_date=broken_date.where(~kept & (broken_date <= as_of)))
    return Morning(as_of, _with_facts(cases, log, given), log, given)


def _open_cases(
    instalments: pd.DataFrame,
    closures: pd.DataFrame | None,
    defaults: pd.DataFrame | None,
    as_of: pd.Timestamp,
    days_at_default: int,
) -> pd.DataFrame:
    """Return the facilities past due or in default on a day that were not closed by then, sorted."""
    cases = arrears(instalments, as_of)
    gone: set[str] = set()
    if closures is not None:
        gone = set(closures.loc[closures["closed_date"] <= as_of, "facility_id"])
    if defaults is not None:
        in_default = open_defaults(defaults, as_of, days_at_default)
        known = set(in_default["facility_id"]) | _closed_by_default(defaults, as_of)
        cases = pd.concat([in_default, cases[~cases["facility_id"].isin(known)]])
    return cases[~cases["facility_id"].isin(gone)].sort_values("facility_id", ignore_index=True)


def _closed_by_default(defaults: pd.DataFrame, as_of: pd.Timestamp) -> set[str]:
    """Return the facilities whose last default was over on a day and had not ended by cure.

    What is unpaid of the plan of a loan that was sold, written off, liquidated or repaid is nobody's work any more.
    """
    begun = defaults[defaults["default_date"] <= as_of]
    last = begun.sort_values("default_date").drop_duplicates("facility_id", keep="last")
    is_over = (last["outcome_date"] <= as_of) & (last["outcome"].astype(str) != Outcome.CURED.value)
    return set(last.loc[is_over, "facility_id"])


def open_defaults(defaults: pd.DataFrame, as_of: pd.Timestamp, days_at_default: int) -> pd.DataFrame:
    """Return the facilities in default on a day as cases: the whole balance is overdue.

    An episode that has ended since stands with its exposure at default, because its balance of that day is not known.
    """
    is_open = (defaults["default_date"] <= as_of) & ~(defaults["outcome_date"] <= as_of)
    frame = defaults[is_open].sort_values("default_date").drop_duplicates("facility_id", keep="last")
    begun = frame["default_date"] - pd.Timedelta(days=days_at_default)
    amount = frame["outstanding"].where(frame["outcome_date"].isna(), frame["ead"]).fillna(frame["ead"])
    return pd.DataFrame(
        {
            "facility_id": frame["facility_id"],
            "oldest_due_date": begun.astype("datetime64[ns]"),
            "days_past_due": (as_of - begun).dt.days.astype(np.int64),
            "n_past_due": np.int64(1),
            "overdue_amount": amount,
            "scheduled_amount": amount,
        }
    )


def _segments(about: pd.DataFrame, segment_by: Sequence[str]) -> np.ndarray:
    if not segment_by:
        return np.full(len(about), WHOLE_BOOK, dtype=object)
    columns = [about[c].fillna("unknown").astype(str) for c in segment_by]
    return np.array([segment_name(values) for values in zip(*columns, strict=True)], dtype=object)


def _with_facts(cases: pd.DataFrame, log: pd.DataFrame, promises: pd.DataFrame) -> pd.DataFrame:
    """Add last_contact_time, last_conversation_time, n_missed_calls and n_broken_promises."""
    facility = cases["facility_id"]
    talks = log[log["result"].isin(CONVERSATION_RESULTS)]
    last_talk = talks.groupby("facility_id")["action_time"].max()
    missed = missed_calls(log, last_talk)
    broken = promises[promises["broken_date"].notna()]
    return cases.assign(
        last_contact_time=facility.map(log.groupby("facility_id")["action_time"].max()).astype("datetime64[ns]"),
        last_conversation_time=facility.map(last_talk).astype("datetime64[ns]"),
        n_missed_calls=facility.map(missed.groupby("facility_id").size()).fillna(0).astype(np.int64),
        n_broken_promises=facility.map(broken.groupby("facility_id").size()).fillna(0).astype(np.int64),
    )


def missed_calls(log: pd.DataFrame, last_talk: pd.Series) -> pd.DataFrame:
    """Return the calls without an answer since the last conversation, in order of time."""
    calls = log[(log["kind"] == ActionKind.CALL) & (log["result"] == ActionResult.NO_ANSWER)]
    since = calls["facility_id"].map(last_talk)
    return calls[since.isna() | (calls["action_time"] > since)]


def triggers(now: Morning, rules: EscalationRules) -> pd.DataFrame:
    """Return the rules that the cases meet.

    Returns
    -------
    DataFrame
        One row per case and rule, in the order of the rules and by deadline: facility_id, rule, action, trigger_time,
        deadline, status (``due``, ``overdue``, ``coming``, ``done``).
    """
    parts = [_triggered(now, rule, rules) for rule in rules.rules]
    return pd.concat(parts, ignore_index=True)


def _triggered(now: Morning, rule: EscalationRule, rules: EscalationRules) -> pd.DataFrame:
    since = _met_since(now, rule)
    met = since.notna()
    frame = pd.DataFrame({"facility_id": now.cases.loc[met, "facility_id"], "trigger_time": since[met]})
    frame = frame.assign(rule=rule.name, action=rule.then.value).reset_index(drop=True)
    last = frame["trigger_time"].dt.normalize() + pd.Timedelta(days=rule.within_days)
    frame["deadline"] = rules.calendar.on_or_after(last)
    done = frame["facility_id"].map(_last_done(now, rule))
    # A rule on missed calls that asks for another call is not met by the very call that was missed.
    itself = rule.then == ActionKind.CALL and rule.when.missed_calls_at_least is not None
    is_done = (done > frame["trigger_time"]) if itself else (done >= frame["trigger_time"])
    is_late, is_today = frame["deadline"] < now.as_of, frame["deadline"] == now.as_of
    frame["status"] = np.select([is_done, is_late, is_today], [DONE, OVERDUE, DUE], COMING)
    columns = ["facility_id", "rule", "action", "trigger_time", "deadline", "status"]
    return frame[columns].sort_values(["deadline", "facility_id"], ignore_index=True)


def _last_done(now: Morning, rule: EscalationRule) -> pd.Series:
    log = now.actions
    done = log[(log["kind"] == rule.then) & ~log["result"].isin(NOT_CARRIED_OUT)]
    return done.groupby("facility_id")["action_time"].max().astype("datetime64[ns]")


def _met_since(now: Morning, rule: EscalationRule) -> pd.Series:
    """Return when a case came to meet all conditions of a rule; NaT where it does not meet them."""
    cases, when = now.cases, rule.when
    begun = cases["oldest_due_date"]
    times = [begun]
    if when.days_past_due_at_least:
        times.append(begun + pd.Timedelta(days=when.days_past_due_at_least))
    if when.missed_calls_at_least:
        times.append(_nth_missed(now, when.missed_calls_at_least))
    if when.broken_promises_at_least:
        times.append(_nth_broken(now, when.broken_promises_at_least, _last_done(now, rule)))
    for days, last in (
        (when.days_without_contact_at_least, cases["last_contact_time"]),
        (when.days_without_conversation_at_least, cases["last_conversation_time"]),
    ):
        if days:
            times.append(last.fillna(begun).dt.normalize() + pd.Timedelta(days=days))
    since = pd.concat(times, axis=1).max(axis=1, skipna=False).astype("datetime64[ns]")
    return since.where((since < now.as_of + ONE_DAY) & _holds_now(cases, rule))


def _holds_now(cases: pd.DataFrame, rule: EscalationRule) -> pd.Series:
    """Tell where the conditions without a date of their own hold."""
    when = rule.when
    holds = pd.Series(True, index=cases.index)
    if when.days_past_due_at_most:
        holds &= cases["days_past_due"] <= when.days_past_due_at_most
    for column, least in (
        ("overdue_amount", when.overdue_amount_at_least),
        ("balance_amount", when.balance_amount_at_least),
    ):
        if least:
            holds &= cases[column] >= least
    if when.is_secured is not None:
        holds &= cases["is_secured"] == when.is_secured
    return holds


def _nth_missed(now: Morning, n: int) -> pd.Series:
    facility = now.cases["facility_id"]
    last_talk = now.cases.set_index("facility_id")["last_conversation_time"].dropna()
    calls = missed_calls(now.actions, last_talk)
    nth = calls[calls.groupby("facility_id").cumcount() == n - 1]
    return facility.map(nth.set_index("facility_id")["action_time"]).astype("datetime64[ns]")


def _nth_broken(now: Morning, n: int, last_done: pd.Series) -> pd.Series:
    """Return the first day after the last such step on which ``n`` or more promises had been broken.

    A further broken promise does not put off a step that is neglected; one after the step asks for it anew. Where the
    step came after all of them, the day of the ``n``-th.
    """
    broken = now.promises[now.promises["broken_date"].notna()].sort_values("broken_date", kind="stable")
    broken = broken[broken.groupby("facility_id").cumcount() >= n - 1]
    is_answered = broken["broken_date"] <= broken["facility_id"].map(last_done)
    first = broken.assign(is_answered=is_answered).sort_values(["is_answered", "broken_date"])
    since = first.drop_duplicates("facility_id").set_index("facility_id")["broken_date"]
    return now.cases["facility_id"].map(since).astype("datetime64[ns]")
