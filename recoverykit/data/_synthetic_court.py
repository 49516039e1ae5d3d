"""Court cases: judgment, settlement and withdrawal compete; a complete package of documents speeds up the first.

Whether the package is complete follows a checklist that is drawn at random. What a case recovers is what the cash flows
show after the filing: the package changes when and how a court decides, and nothing of the money.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data import _synthetic_unit_truth as true
from recoverykit.data._synthetic_log_rows import action_rows, at_work, cents, days, expit, stacked
from recoverykit.vocabulary import RECOVERY_KINDS, ActionKind, ActionResult, Assignment, Judgment, Outcome

_WORKED = (Outcome.OPEN.value, Outcome.LIQUIDATED.value, Outcome.WRITTEN_OFF.value)
_JUDGED, _SETTLED, _WITHDRAWN = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class Court:
    """Court cases, the experiment before them, and their rows in the action log."""

    cases: pd.DataFrame
    assignments: list[pd.DataFrame]
    actions: pd.DataFrame


def draw_court(
    rng: np.random.Generator,
    *,
    cases: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    reporting_date: pd.Timestamp,
) -> Court:
    """Draw the court cases of defaulted facilities."""
    filed = _filings(rng, cases, tables["status"], reporting_date)
    n = len(filed)
    arm = rng.permutation(np.resize(np.array(sorted(true.CHECKLIST_COMPLETE), dtype=object), n))
    complete = rng.random(n) < pd.Series(arm).map(true.CHECKLIST_COMPLETE).to_numpy(dtype=np.float64)
    court = filed["region"].map(true.COURT_OF_REGION)
    ended, kind = _first_event(rng, court, complete)
    end = filed["filing_date"] + days(ended)
    known = (end <= reporting_date).to_numpy()
    hearing = filed["filing_date"] + days(np.ceil(rng.exponential(true.HEARING_DAYS, n)))
    judgment = _judgment(rng, filed["unit"], complete)
    judged = known & (kind == _JUDGED)
    judgment[~judged] = None
    enforced = end + days(np.ceil(rng.exponential(true.ENFORCEMENT_DAYS, n)))
    enforces = judged & (judgment != Judgment.LOST.value) & (enforced <= reporting_date).to_numpy()
    heard = (hearing <= end) & (hearing <= reporting_date)
    frame = pd.DataFrame(
        {
            "case_id": [f"K{number:04d}" for number in range(1, n + 1)],
            "facility_id": filed["facility_id"],
            "court": court,
            "unit": filed["unit"],
            "filing_date": filed["filing_date"],
            "hearing_date": hearing.where(heard),
            "judgment_date": end.where(judged),
            "settlement_date": end.where(known & (kind == _SETTLED)),
            "withdrawal_date": end.where(known & (kind == _WITHDRAWN)),
            "enforcement_date": enforced.where(enforces),
            "judgment": judgment,
            "package_complete": complete,
            "claim_amount": filed["claim_amount"],
            "recovered_amount": _recovered(filed, tables["cash_flows"]),
        }
    )
    cost = true.FILING_COST + true.CLAIM_COST_SHARE * frame["claim_amount"] + true.HEARING_COST * heard
    frame["cost_amount"] = cents(cost + true.ENFORCEMENT_COST * enforces)
    return Court(frame, [_assigned(filed, arm)], _actions(rng, frame))


def _filings(rng: np.random.Generator, cases: pd.DataFrame, status: pd.DataFrame, date: pd.Timestamp) -> pd.DataFrame:
    """Return the cases that go to court, with the day of filing and what is owed at the month end before it."""
    filing = cases["default_date"] + days(rng.integers(90, 241, len(cases)))
    goes = cases["outcome"].isin(_WORKED) & (filing <= date) & (rng.random(len(cases)) < true.FILED_SHARE)
    goes &= cases["outcome_date"].isna() | (filing < cases["outcome_date"])
    filed = cases[goes].assign(filing_date=filing[goes])
    before = filed["filing_date"] - pd.offsets.MonthEnd(1)
    owed = status.set_index(["facility_id", "month_end"])["balance_amount"]
    claim = owed.reindex(pd.MultiIndex.from_arrays([filed["facility_id"], before])).to_numpy()
    filed = filed.assign(claim_amount=claim)
    return filed[filed["claim_amount"] >= true.SMALLEST_CLAIM].sort_values("filing_date").reset_index(drop=True)


def _hazards(court: pd.Series, complete: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the hazards per day of judgment, settlement and withdrawal, shape (n_cases, 3)."""
    judged = np.exp(court.map(true.COURTS).to_numpy(dtype=np.float64) + true.COMPLETE_LOG_HAZARD * complete)
    ones = np.ones(len(court))
    return np.column_stack([judged / true.JUDGMENT_DAYS, ones / true.SETTLEMENT_DAYS, ones / true.WITHDRAWAL_DAYS])


def _first_event(
    rng: np.random.Generator, court: pd.Series, complete: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    waits = rng.exponential(1.0, (len(court), 3)) / _hazards(court, complete)
    return np.ceil(waits.min(axis=1)).astype(np.int64), waits.argmin(axis=1)


def _judgment(rng: np.random.Generator, unit: pd.Series, complete: NDArray[np.bool_]) -> NDArray[np.object_]:
    odds = true.WIN_LOG_ODDS + true.WIN_COMPLETE * complete + unit.map(true.UNIT_WINS).to_numpy(dtype=np.float64)
    rest = np.where(rng.random(len(unit)) < true.PARTLY_OF_REST, Judgment.PARTLY_WON.value, Judgment.LOST.value)
    return np.where(rng.random(len(unit)) < expit(odds), Judgment.WON.value, rest).astype(object)


def _recovered(filed: pd.DataFrame, cash_flows: pd.DataFrame) -> NDArray[np.float64]:
    """Return what came in after the filing, in whole cents."""
    flows = cash_flows[cash_flows["kind"].isin([kind.value for kind in RECOVERY_KINDS])]
    pairs = filed[["facility_id", "filing_date"]].merge(flows, on="facility_id")
    after = pairs[pairs["cash_flow_date"] > pairs["filing_date"]]
    return cents(filed["facility_id"].map(after.groupby("facility_id")["amount"].sum()).fillna(0.0))


def _assigned(filed: pd.DataFrame, arm: NDArray[np.object_]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "experiment": true.CHECKLIST,
            "facility_id": filed["facility_id"],
            "assigned_date": filed["filing_date"] - pd.Timedelta(days=true.CHECKLIST_DAYS),
            "arm": arm,
            "assignment": Assignment.RANDOM.value,
            "score": np.nan,
        }
    )


def _actions(rng: np.random.Generator, court: pd.DataFrame) -> pd.DataFrame:
    """Return what the log says of the cases: notice, filing, judgment, enforcement."""
    notice = court["filing_date"] - pd.Timedelta(days=20)
    dated = (
        (ActionKind.LEGAL_NOTICE, notice, ActionResult.DELIVERED),
        (ActionKind.FILING, court["filing_date"], ActionResult.DONE),
        (ActionKind.JUDGMENT, court["judgment_date"], ActionResult.DONE),
        (ActionKind.ENFORCEMENT, court["enforcement_date"], ActionResult.DONE),
    )
    rows = []
    for kind, date, result in dated:
        given = date.notna()
        part = action_rows(
            court["facility_id"][given],
            at_work(rng, date[given]),
            kind=kind,
            result=result.value,
            unit=court["unit"][given].to_numpy(),
            assignment=Assignment.DISCRETION,
        )
        rows.append(part)
    return stacked(rows)


def describe_court() -> dict[str, Any]:
    """Return hazards, chances and effects of the court cases."""
    complete = true.CHECKLIST_COMPLETE
    return {
        "hazards_per_day": {
            "judgment": round(1 / true.JUDGMENT_DAYS, 8),
            "settlement": round(1 / true.SETTLEMENT_DAYS, 8),
            "withdrawal": round(1 / true.WITHDRAWAL_DAYS, 8),
        },
        "law": "constant hazards from the filing, the first of the three decides; days are rounded up",
        "log_hazard_of_judgment": {"court": true.COURTS, "package_complete": true.COMPLETE_LOG_HAZARD},
        "log_odds_of_won": {
            "incomplete": true.WIN_LOG_ODDS,
            "package_complete": true.WIN_COMPLETE,
            "unit": true.UNIT_WINS,
        },
        true.CHECKLIST: {"prob_package_complete": complete, "assigned_days_before_filing": true.CHECKLIST_DAYS},
        "effect_on_recovered_amount": 0.0,
    }
