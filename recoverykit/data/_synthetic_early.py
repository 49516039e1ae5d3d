"""The early desk: instalments, three designs whose effects are known, and the turnover of accounts.

Instalments are those of facilities that never defaulted and were never thirty days late at a month end. They are drawn
beside the monthly status, which stays as it was: an instalment that the log shows late is not in its days past due.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data import _synthetic_unit_truth as true
from recoverykit.data._synthetic_log_rows import action_rows, at_work, cents, days, expit
from recoverykit.vocabulary import ActionKind, ActionResult, Assignment

_NEVER = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class EarlyDesk:
    """What the early desk saw and did.

    Attributes
    ----------
    instalments, turnover : DataFrame
        Contract tables.
    assignments, actions : list of DataFrame
        Their rows, design by design.
    facilities : DataFrame
        One row per facility: propensity to pay late, arms, score, whether messages reach it.
    """

    instalments: pd.DataFrame
    turnover: pd.DataFrame
    assignments: list[pd.DataFrame]
    actions: list[pd.DataFrame]
    facilities: pd.DataFrame


def draw_early(
    rng: np.random.Generator, *, tables: dict[str, pd.DataFrame], episodes: pd.DataFrame, reporting_date: pd.Timestamp
) -> EarlyDesk:
    """Draw instalments and what the early desk did about them."""
    facilities = _facilities(rng, tables, episodes, reporting_date)
    rows = _schedule(facilities, reporting_date)
    late = _lateness(rng, rows)
    instalments = _instalments(rng, rows, late, reporting_date)
    month_end = reporting_date + pd.offsets.MonthEnd(0)
    assigned = [
        _assigned(facilities, true.WORDING, "wording", month_end, true.WORDING_ASSIGNED),
        _assigned(facilities, true.CUT_OFF_RULE, "side", month_end, true.CUT_OFF_ASSIGNED),
        _assigned(facilities, true.PRE_DUE, "reminder", month_end, true.PRE_DUE_ASSIGNED),
    ]
    actions = [_wording_messages(rng, rows, late), *_calls_below(rng, facilities, assigned[1]), *_reminders(rng, rows)]
    turnover = _turnover(rng, rows, late)
    return EarlyDesk(instalments, turnover, assigned, actions, facilities)


def _facilities(
    rng: np.random.Generator, tables: dict[str, pd.DataFrame], episodes: pd.DataFrame, date: pd.Timestamp
) -> pd.DataFrame:
    """Return the facilities that pay in instalments, with their arms and their propensity to pay late."""
    first = date + pd.offsets.MonthEnd(true.INSTALMENT_MONTHS[0] - 1)
    status = tables["status"][tables["status"]["month_end"] >= first]
    seen = status.groupby("facility_id").agg(
        n_months=("month_end", "size"), worst=("days_past_due", "max"), balance=("balance_amount", "last")
    )
    n_months = len(pd.date_range(first, date, freq="ME"))
    good = seen[(seen["n_months"] == n_months) & (seen["worst"] < 30) & (seen["balance"] > 0)]
    good = good[~good.index.isin(episodes["facility_id"])]
    frame = tables["facilities"].merge(good, left_on="facility_id", right_index=True).reset_index(drop=True)
    n = len(frame)
    score = frame["credit_score"] - frame["credit_score"].mean()
    spread = max(float(frame["credit_score"].std(ddof=0)), 1.0) if n else 1.0
    running = np.round(rng.normal(true.CUT_OFF, true.SCORE_SPREAD, n), 2)
    return frame.assign(
        due_amount=_due_amount(frame),
        due_day=rng.integers(1, 29, n),
        propensity=true.LATE_PER_SCORE * score / spread + rng.normal(0.0, true.LATE_SPREAD, n),
        wording=rng.permutation(np.resize(np.array(sorted(true.WORDING_PAID), dtype=object), n)),
        score=running,
        side=np.where(running < true.CUT_OFF, true.INTENSIVE, true.USUAL),
        reminder=rng.permutation(np.resize(np.array([true.CONTROL, true.REMINDER], dtype=object), n)),
        reached=rng.random(n) < true.REACHED_SHARE,
    )


def _due_amount(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the level instalment that pays the balance back; of a line, a share of its balance."""
    monthly = frame["eir"].to_numpy() / 12.0
    months = frame["product"].map(true.REMAINING_MONTHS).to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore"):
        level = frame["balance"].to_numpy() * monthly / (1.0 - (1.0 + monthly) ** -months)
    share = np.where(np.isnan(months), true.LINE_SHARE * frame["balance"].to_numpy(), level)
    return cents(np.maximum(share, true.SMALLEST_INSTALMENT))


def _schedule(facilities: pd.DataFrame, date: pd.Timestamp) -> pd.DataFrame:
    """Return one row per facility and month with the due date."""
    months = np.array(true.INSTALMENT_MONTHS)
    rows = facilities.loc[facilities.index.repeat(len(months))].reset_index(drop=True)
    month = np.tile(months, len(facilities))
    starts = {m: (date.to_period("M") + int(m)).to_timestamp() for m in months}
    due = pd.to_datetime(pd.Series(month).map(starts)) + days(rows["due_day"] - 1)
    return rows.assign(month=month, due_date=due)


def _prob_late(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return the probability that an instalment is unpaid thirty days after its due date, wordings left out."""
    log_odds = true.LATE_LOG_ODDS + rows["propensity"].to_numpy()
    reminded = rows["month"].isin(true.PRE_DUE_MONTHS) & rows["reminder"].eq(true.REMINDER) & rows["reached"]
    log_odds = log_odds + true.REMINDER_LOG_ODDS * reminded.to_numpy()
    ruled = rows["month"].isin(true.CUT_OFF_MONTHS).to_numpy()
    points = true.CUT_OFF_PER_POINT * (rows["score"].to_numpy() - true.CUT_OFF)
    treated = rows["side"].eq(true.INTENSIVE).to_numpy()
    at_score = true.CUT_OFF_LOG_ODDS + rows["propensity"].to_numpy() + points + true.CUT_OFF_EFFECT * treated
    return expit(np.where(ruled, at_score, log_odds))


def _lateness(rng: np.random.Generator, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Return the day of full payment, counted from the due date; some are never paid in full."""
    n = len(rows)
    kind = rng.choice(3, n, p=true.PUNCTUAL_SHARES)
    punctual = np.choose(kind, [rng.integers(-5, 1, n), rng.integers(1, 6, n), rng.integers(6, 31, n)])
    late = np.where(rng.random(n) < _prob_late(rows), rng.integers(31, 76, n), punctual)
    # In the months of the wordings, whoever has not paid five days after the due date gets a message.
    worded = rows["month"].isin(true.WORDING_MONTHS).to_numpy()
    missed = rng.random(n) < expit(true.WORDING_LOG_ODDS + rows["propensity"].to_numpy())
    soon = rng.random(n) < rows["wording"].map(true.WORDING_PAID).to_numpy(dtype=np.float64)
    after = np.where(soon, rng.integers(1, true.WORDING_DAYS + 1, n), rng.integers(true.WORDING_DAYS + 1, 71, n))
    in_time = np.where(rng.random(n) < true.PUNCTUAL_SHARES[0], rng.integers(-5, 1, n), rng.integers(1, 6, n))
    by_wording = np.where(missed, true.WORDING_DAY + after, in_time)
    never = (rng.random(n) < true.PARTLY_PAID_SHARE) & (late > 30) & ~worded
    return np.where(worded, by_wording, np.where(never, _NEVER, late)).astype(np.int64)


def _instalments(
    rng: np.random.Generator, rows: pd.DataFrame, late: NDArray[np.int64], date: pd.Timestamp
) -> pd.DataFrame:
    """Return the contract table: what was paid up to the reporting date."""
    n = len(rows)
    partly = late == _NEVER
    day = np.where(partly, rng.integers(5, 30, n), late)
    paid = rows["due_date"] + days(day)
    known = (paid <= date) & (rows["month"] <= 0)
    part = cents(rows["due_amount"] * rng.uniform(0.3, 0.7, n))
    return pd.DataFrame(
        {
            "facility_id": rows["facility_id"],
            "due_date": rows["due_date"],
            "due_amount": rows["due_amount"],
            "paid_date": paid.where(known),
            "paid_amount": np.where(known, np.where(partly, part, rows["due_amount"]), 0.0),
        }
    )


def _assigned(facilities: pd.DataFrame, name: str, arm: str, month_end: pd.Timestamp, month: int) -> pd.DataFrame:
    ruled = name == true.CUT_OFF_RULE
    return pd.DataFrame(
        {
            "experiment": name,
            "facility_id": facilities["facility_id"],
            "assigned_date": month_end + pd.offsets.MonthEnd(month),
            "arm": facilities[arm],
            "assignment": (Assignment.RULE if ruled else Assignment.RANDOM).value,
            "score": facilities["score"] if ruled else np.nan,
        }
    )


def _delivered(reached: pd.Series) -> NDArray[np.object_]:
    return np.where(reached, ActionResult.DELIVERED.value, ActionResult.UNDELIVERED.value).astype(object)


def _wording_messages(rng: np.random.Generator, rows: pd.DataFrame, late: NDArray[np.int64]) -> pd.DataFrame:
    sent = rows[rows["month"].isin(true.WORDING_MONTHS) & (late > true.WORDING_DAY)]
    return action_rows(
        sent["facility_id"],
        at_work(rng, sent["due_date"] + pd.Timedelta(days=true.WORDING_DAY)),
        kind=ActionKind.SMS,
        result=ActionResult.DELIVERED.value,
        unit=true.EARLY_DESK,
        assignment=Assignment.RANDOM,
        message_variant=sent["wording"].to_numpy(),
    )


def _calls_below(
    rng: np.random.Generator, facilities: pd.DataFrame, assigned: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the call that a score below the cut-off brings, and the meeting for large instalments."""
    below = assigned["arm"].eq(true.INTENSIVE).to_numpy()
    who, on = facilities[below], assigned["assigned_date"][below]
    talked = np.where(rng.random(len(who)) < 0.7, ActionResult.RIGHT_PARTY.value, ActionResult.NO_ANSWER.value)
    called = on + days(rng.integers(1, 9, len(who)))
    calls = action_rows(
        who["facility_id"],
        at_work(rng, called),
        kind=ActionKind.CALL,
        result=talked,
        unit=true.EARLY_DESK,
        assignment=Assignment.RULE,
        agent_hash=[f"{true.EARLY_DESK[:2]}{number:02d}" for number in rng.integers(1, 9, len(who))],
    )
    large = who["due_amount"].ge(true.LARGE_INSTALMENT).to_numpy()
    meetings = action_rows(
        who["facility_id"][large],
        at_work(rng, called[large] + pd.Timedelta(days=7)),
        kind=ActionKind.MEETING,
        result=ActionResult.DONE.value,
        unit=true.EARLY_DESK,
        assignment=Assignment.RULE,
    )
    return calls, meetings


def _reminders(rng: np.random.Generator, rows: pd.DataFrame) -> list[pd.DataFrame]:
    due = rows[rows["month"].isin(true.PRE_DUE_MONTHS) & rows["reminder"].eq(true.REMINDER)]
    return [
        action_rows(
            due["facility_id"],
            at_work(rng, due["due_date"] - pd.Timedelta(days=step)),
            kind=ActionKind.SMS,
            result=_delivered(due["reached"]),
            unit=true.EARLY_DESK,
            assignment=Assignment.RANDOM,
        )
        for step in true.REMINDER_DAYS
    ]


def _turnover(rng: np.random.Generator, rows: pd.DataFrame, late: NDArray[np.int64]) -> pd.DataFrame:
    """Return what came into the accounts of some facilities, less where the instalment of the month was late."""
    chosen = rows["facility_id"].drop_duplicates().head(true.TURNOVER_FACILITIES)
    keep = rows["facility_id"].isin(chosen) & (rows["month"] <= 0)
    part, was_late = rows[keep], late[keep.to_numpy()] > 30
    inflow = part["due_amount"] * np.exp(rng.normal(true.INFLOW_LOG_MEAN, true.INFLOW_LOG_SPREAD, len(part)))
    return pd.DataFrame(
        {
            "facility_id": part["facility_id"],
            "month_end": part["due_date"] + pd.offsets.MonthEnd(0),
            "inflow_amount": cents(inflow * np.where(was_late, true.INFLOW_WHEN_LATE, 1.0)),
        }
    ).reset_index(drop=True)


def describe_early(early: EarlyDesk) -> dict[str, Any]:
    """Return the true effects of the three designs, as probabilities over the facilities that are there."""
    who = early.facilities
    base = true.LATE_LOG_ODDS + who["propensity"].to_numpy()
    without = expit(base)
    reminded = np.where(who["reached"], expit(base + true.REMINDER_LOG_ODDS), without)
    at_cut_off = true.CUT_OFF_LOG_ODDS + who["propensity"].to_numpy()
    usual, intensive = _mean(expit(at_cut_off)), _mean(expit(at_cut_off + true.CUT_OFF_EFFECT))
    n_due = len(true.PRE_DUE_MONTHS)
    return {
        true.PRE_DUE: {
            "outcome": "unpaid 30 days after its due date, of an instalment due in one of `months`; intention to treat",
            "months": list(true.PRE_DUE_MONTHS),
            "n_facilities": len(who),
            "prob_per_instalment": {true.CONTROL: _mean(without), true.REMINDER: _mean(reminded)},
            "effect_per_instalment": round(_mean(reminded) - _mean(without), 6),
            "prob_any_of_three": {
                true.CONTROL: _mean(1 - (1 - without) ** n_due),
                true.REMINDER: _mean(1 - (1 - reminded) ** n_due),
            },
            "share_reached": true.REACHED_SHARE,
        },
        true.CUT_OFF_RULE: {
            "outcome": "unpaid 30 days after its due date, of an instalment due in one of `months`; at the cut-off",
            "months": list(true.CUT_OFF_MONTHS),
            "cut_off": true.CUT_OFF,
            "treated": "score below the cut-off",
            "prob_at_cut_off": {true.USUAL: usual, true.INTENSIVE: intensive},
            "effect_at_cut_off": round(intensive - usual, 6),
        },
        true.WORDING: {
            "outcome": f"paid within {true.WORDING_DAYS} days of the message, of an instalment due in one of `months`",
            "months": list(true.WORDING_MONTHS),
            "prob_paid": true.WORDING_PAID,
        },
    }


def _mean(values: NDArray[np.float64]) -> float:
    return round(float(values.mean()), 6) if len(values) else 0.0
