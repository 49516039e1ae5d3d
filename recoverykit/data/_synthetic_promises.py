"""Promises to pay, drawn around the repayments that are there, with a known probability of being kept.

A promise is placed only where a gap between two repayments has room for both: one that the next repayment keeps, and
one that nothing follows. Whether it is kept is then drawn; every other gap is left alone, so that promises of one
facility neither overlap nor follow each other within days.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data import _synthetic_unit_truth as true
from recoverykit.data._synthetic_log_rows import action_rows, agents, at_work, cents, days, expit, logit, stacked
from recoverykit.vocabulary import CONVERSATION_RESULTS, ActionKind, ActionResult, Assignment

_QUIET = pd.Timedelta(days=10)
_COLUMNS = (
    "facility_id",
    "promise_date",
    "due_date",
    "promised_amount",
    "paid_amount",
    "paid_date",
    "unit",
    "agent_hash",
    "predicted_prob",
)


@dataclass(frozen=True, slots=True, eq=False)
class Promises:
    """Promises with the calls in which they were given.

    Attributes
    ----------
    promises : DataFrame
        The contract table.
    actions : DataFrame
        Rows of the action log.
    drawn : DataFrame
        Unit, true probability and stated probability of each promise.
    """

    promises: pd.DataFrame
    actions: pd.DataFrame
    drawn: pd.DataFrame


def draw_promises(
    rng: np.random.Generator,
    *,
    cases: pd.DataFrame,
    calls: pd.DataFrame,
    cash_flows: pd.DataFrame,
    reporting_date: pd.Timestamp,
) -> Promises:
    """Draw promises, what was paid on them, and the calls in which they were given."""
    worked = cases[cases["default_date"] > reporting_date - pd.DateOffset(months=true.CALL_MONTHS)]
    worked = worked.reset_index(drop=True)
    paid = _repayments(worked, cash_flows)
    gaps = _room(paid, _last_talk(calls))
    prob = _prob_kept(rng, worked)
    gaps = gaps.assign(prob=prob[gaps["case"]], unit=worked["unit"].to_numpy()[gaps["case"]])
    placed = stacked([_placed(rng, gaps, paid), _still_open(rng, worked, paid, prob, calls, reporting_date)])
    placed = placed.drop_duplicates(["facility_id", "promise_date"], ignore_index=True)
    placed = placed.assign(agent_hash=agents(rng, placed["unit"]), predicted_prob=_stated(rng, placed))
    actions = action_rows(
        placed["facility_id"],
        at_work(rng, placed["promise_date"]),
        kind=ActionKind.CALL,
        result=ActionResult.PROMISE.value,
        unit=placed["unit"].to_numpy(),
        assignment=Assignment.DISCRETION,
        agent_hash=placed["agent_hash"].to_numpy(),
    )
    return Promises(placed[list(_COLUMNS)], actions, placed)


def _repayments(cases: pd.DataFrame, cash_flows: pd.DataFrame) -> pd.DataFrame:
    """Return the repayments of each case, one row per day, in order."""
    rows = cash_flows[cash_flows["kind"] == "repayment"]
    pairs = cases[["facility_id", "default_date"]].reset_index(names="case").merge(rows, on="facility_id")
    pairs = pairs[pairs["cash_flow_date"] > pairs["default_date"]]
    by_day = pairs.groupby(["case", "facility_id", "cash_flow_date"], as_index=False)["amount"].sum()
    return by_day.assign(amount=cents(by_day["amount"]))


def _last_talk(calls: pd.DataFrame) -> pd.Series:
    talked = calls[calls["result"].isin([result.value for result in CONVERSATION_RESULTS])]
    return talked.groupby("facility_id")["action_time"].max().dt.normalize()


def _room(paid: pd.DataFrame, talked: pd.Series) -> pd.DataFrame:
    """Return every other gap between repayments that has room for a promise, whatever becomes of it."""
    before = paid.groupby("case")["cash_flow_date"].shift()
    number = paid.groupby("case").cumcount()
    wide = (paid["cash_flow_date"] - before).dt.days >= true.PROMISE_ROOM_DAYS
    quiet = (before + pd.Timedelta(days=1) - paid["facility_id"].map(talked)).dt.days.fillna(true.PROMISE_ROOM_DAYS) > 7
    keep = wide & quiet & (number % 2 == 1)
    return paid[keep].assign(before=before[keep]).reset_index(drop=True)


def _prob_kept(rng: np.random.Generator, cases: pd.DataFrame) -> NDArray[np.float64]:
    """Return the probability that a promise of a case is kept at 80 % of its amount or more."""
    score = cases["credit_score"] - cases["credit_score"].mean()
    spread = max(float(cases["credit_score"].std(ddof=0)), 1.0) if len(cases) else 1.0
    own = rng.normal(0.0, true.PROMISE_SPREAD, len(cases))
    unit = cases["unit"].map(true.UNIT_PROMISE).to_numpy(dtype=np.float64)
    return expit(true.PROMISE_LOG_ODDS + true.PROMISE_PER_SCORE * score / spread + unit + own)


def _placed(rng: np.random.Generator, gaps: pd.DataFrame, paid: pd.DataFrame) -> pd.DataFrame:
    """Return one promise per gap: before the repayment that keeps it, or after the last one and broken."""
    n = len(gaps)
    kept = rng.random(n) < gaps["prob"].to_numpy()
    partly = kept & (rng.random(n) < true.PARTLY_KEPT_SHARE)
    given_before = gaps["cash_flow_date"] - days(rng.integers(4, 9, n))
    given_after = gaps["before"] + days(rng.integers(1, 3, n))
    due_then = gaps["cash_flow_date"] + days(rng.integers(-3, 3, n))
    promises = pd.DataFrame(
        {
            "facility_id": gaps["facility_id"],
            "promise_date": given_before.where(kept, given_after),
            "due_date": due_then.where(kept, given_after + days(rng.integers(4, 8, n))),
            "unit": gaps["unit"],
            "prob": gaps["prob"],
        }
    )
    came = _paid_on(promises, paid)
    over = np.where(partly, rng.uniform(1.05, 1.22, n), rng.uniform(0.85, 1.0, n))
    broken = cents(np.maximum(gaps["amount"] * over, 1.0))
    promised = np.where(kept, _promised_amount(came["amount"], over), broken)
    return promises.assign(
        promised_amount=promised, paid_amount=came["amount"].to_numpy(), paid_date=came["cash_flow_date"].to_numpy()
    )


def _paid_on(promises: pd.DataFrame, paid: pd.DataFrame) -> pd.DataFrame:
    """Return what each promise brought up to its due date and the days of grace, and the day of the last payment."""
    pairs = promises.reset_index(names="promise").merge(paid, on="facility_id")
    inside = pairs["cash_flow_date"] > pairs["promise_date"]
    inside &= pairs["cash_flow_date"] <= pairs["due_date"] + pd.Timedelta(days=true.GRACE_DAYS)
    found = pairs[inside].groupby("promise").agg({"amount": "sum", "cash_flow_date": "max"}).reindex(promises.index)
    return found.assign(amount=cents(found["amount"].fillna(0.0)))


def _promised_amount(paid: pd.Series, over: np.ndarray) -> NDArray[np.float64]:
    """Return whole cents, rounded down so that what was promised up to the payment is covered by it."""
    return np.asarray(np.maximum(np.floor(paid.to_numpy() * over * 100.0), 1.0) / 100.0)


def _still_open(
    rng: np.random.Generator,
    cases: pd.DataFrame,
    paid: pd.DataFrame,
    prob: NDArray[np.float64],
    calls: pd.DataFrame,
    date: pd.Timestamp,
) -> pd.DataFrame:
    """Return promises of the last days that fall due after the reporting date: nobody knows what becomes of them."""
    busy = set(calls.loc[calls["action_time"] > date - 2 * _QUIET, "facility_id"])
    busy |= set(paid.loc[paid["cash_flow_date"] > date - 3 * _QUIET, "facility_id"])
    still = cases[cases["outcome"].eq("open") & ~cases["facility_id"].isin(busy)]
    chosen = still[rng.random(len(still)) < 0.25]
    n = len(chosen)
    return pd.DataFrame(
        {
            "facility_id": chosen["facility_id"],
            "promise_date": date - days(rng.integers(0, 8, n)),
            "due_date": date + days(rng.integers(1, 15, n)),
            "promised_amount": cents(np.maximum(chosen["ead"] * rng.uniform(0.01, 0.05, n), 20.0)),
            "paid_amount": 0.0,
            "paid_date": pd.NaT,
            "unit": chosen["unit"],
            "prob": prob[chosen.index],
        }
    ).astype({"promise_date": "datetime64[ns]", "due_date": "datetime64[ns]", "paid_date": "datetime64[ns]"})


def _stated(rng: np.random.Generator, placed: pd.DataFrame) -> NDArray[np.float64]:
    """Return what the agents state: the true log-odds, what the unit overstates, and noise, in steps of .05."""
    bias = placed["unit"].map(true.UNIT_OVERSTATES).to_numpy(dtype=np.float64)
    stated = expit(logit(placed["prob"]) + bias + rng.normal(0.0, true.STATED_NOISE, len(placed)))
    steps = np.clip(np.round(stated / true.STATED_STEP), 1, round(1 / true.STATED_STEP) - 1)
    return np.asarray(np.round(steps * true.STATED_STEP, 2))


def describe_promises(promises: Promises) -> dict[str, Any]:
    """Return how often promises are kept in truth, and how good the stated probabilities are."""
    drawn = promises.drawn
    gap = (drawn["predicted_prob"] - drawn["prob"]) ** 2 + drawn["prob"] * (1 - drawn["prob"])
    by_unit = drawn.assign(brier=gap).groupby("unit")[["prob", "predicted_prob", "brier"]].mean()
    return {
        "kept": f"paid at 80 % and more up to {true.GRACE_DAYS} days after the due date",
        "grace_days": true.GRACE_DAYS,
        "share_of_kept_paid_in_full": round(1 - true.PARTLY_KEPT_SHARE, 6),
        "kept_log_odds_of_unit": true.UNIT_PROMISE,
        "stated_log_odds_too_high": true.UNIT_OVERSTATES,
        "n_promises": len(drawn),
        "prob_kept": round(float(drawn["prob"].mean()), 6) if len(drawn) else 0.0,
        "expected_brier_of_stated": round(float(gap.mean()), 6) if len(drawn) else 0.0,
        "by_unit": {
            str(unit): {name: round(float(value), 6) for name, value in row.items()} for unit, row in by_unit.iterrows()
        },
    }
