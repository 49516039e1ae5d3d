"""Units, and the calls from default to the first repayment: three missed in a row bring a field visit.

The repayments are there before the calls are drawn, and whether a call is answered is chance alone. So a visit has no
effect, and yet those who were visited paid later than those who were not: they had to stay unpaid for three calls.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data import _synthetic_unit_truth as true
from recoverykit.data._synthetic_log_rows import action_rows, agents, at_work, days, expit, logit, stacked
from recoverykit.vocabulary import ActionKind, ActionResult, Assignment

_RESULTS = np.array(
    [
        ActionResult.NO_ANSWER.value,
        ActionResult.INVALID_NUMBER.value,
        ActionResult.WRONG_PARTY.value,
        ActionResult.RIGHT_PARTY.value,
        ActionResult.REFUSED.value,
    ],
    dtype=object,
)
_NO_ANSWER, _INVALID, _WRONG, _RIGHT, _REFUSED = range(5)


def assign_units(rng: np.random.Generator, *, episodes: pd.DataFrame, reporting_date: pd.Timestamp) -> pd.DataFrame:
    """Return the default episodes that the units worked, each with its unit.

    The mix of products differs between units, and some are better: the unit is drawn from its probability given the
    case and given whether the episode ever cures, which turns units of known quality around outcomes that are there.

    Returns
    -------
    DataFrame
        Rows of ``episodes`` of the latest months, one per facility (its last), with ``unit`` and ``prob_given_unit``,
        the probability of ever curing with that unit.
    """
    recent = episodes["default_date"] > reporting_date - pd.DateOffset(months=true.COURT_MONTHS)
    known = episodes[recent & (episodes["entry_months"] == 0) & (episodes["default_date"] <= reporting_date)]
    cases = known.drop_duplicates("facility_id", keep="last").reset_index(drop=True)
    base = _mix(cases["product"])
    prob = cases["prob_ever_cures"].to_numpy(dtype=np.float64)
    odds = logit(prob)[:, None] + np.array([true.UNIT_CURE[unit] for unit in true.UNITS])
    with_cure, without = _shares(base * expit(odds)), _shares(base * (1.0 - expit(odds)))
    drawn = np.where(cases["ever_cures"].to_numpy()[:, None], with_cure, without)
    chosen = (drawn.cumsum(axis=1) < rng.random(len(cases))[:, None]).sum(axis=1).clip(0, len(true.UNITS) - 1)
    row = np.arange(len(cases))
    cure, no_cure = prob * with_cure[row, chosen], (1.0 - prob) * without[row, chosen]
    return cases.assign(unit=np.array(true.UNITS, dtype=object)[chosen], prob_given_unit=cure / (cure + no_cure))


def _mix(products: pd.Series) -> NDArray[np.float64]:
    agency = products.map(true.AGENCY_SHARE).fillna(true.AGENCY_SHARE_OTHERWISE).to_numpy(dtype=np.float64)
    share = np.tile(((1.0 - agency) / (len(true.UNITS) - 1))[:, None], (1, len(true.UNITS)))
    share[:, true.UNITS.index("agency")] = agency
    return share


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def draw_calls(
    rng: np.random.Generator, *, cases: pd.DataFrame, cash_flows: pd.DataFrame, reporting_date: pd.Timestamp
) -> pd.DataFrame:
    """Draw a letter, the calls until the first repayment and the visits that missed calls bring.

    Returns
    -------
    DataFrame
        Rows of the action log without ids.
    """
    worked = cases[cases["default_date"] > reporting_date - pd.DateOffset(months=true.CALL_MONTHS)]
    worked = worked.reset_index(drop=True)
    last = _days_to_call(worked, cash_flows, reporting_date)
    case, day, result, visited = _rounds(rng, worked["unit"], last)
    called = worked.loc[case].reset_index(drop=True)
    calls = action_rows(
        called["facility_id"],
        at_work(rng, called["default_date"] + days(day)),
        kind=ActionKind.CALL,
        result=_RESULTS[result],
        unit=called["unit"].to_numpy(),
        assignment=Assignment.DISCRETION,
        agent_hash=agents(rng, called["unit"]),
    )
    goes = visited >= 0
    seen = worked[goes]
    visits = action_rows(
        seen["facility_id"],
        at_work(rng, seen["default_date"] + days(visited[goes])),
        kind=ActionKind.FIELD_VISIT,
        result=np.where(rng.random(len(seen)) < 0.6, ActionResult.DONE.value, ActionResult.NONE.value),
        unit=seen["unit"].to_numpy(),
        assignment=Assignment.RULE,
        agent_hash=agents(rng, seen["unit"]),
    )
    # Every case has its letter, so that the unit of every case is known, whatever became of it.
    letters = action_rows(
        cases["facility_id"],
        at_work(rng, cases["default_date"]),
        kind=ActionKind.LETTER,
        result=ActionResult.DELIVERED.value,
        unit=cases["unit"].to_numpy(),
        assignment=Assignment.RULE,
    )
    return stacked([letters, calls, visits])


def _days_to_call(cases: pd.DataFrame, cash_flows: pd.DataFrame, date: pd.Timestamp) -> NDArray[np.int64]:
    """Return the day, counted from default, on which nobody calls any more: paid, closed, unknown or given up."""
    paid = cash_flows[cash_flows["kind"] == "repayment"]
    pairs = cases[["facility_id", "default_date"]].reset_index().merge(paid, on="facility_id")
    pairs = pairs[pairs["cash_flow_date"] > pairs["default_date"]]
    first = pairs.groupby("index")["cash_flow_date"].min().reindex(cases.index)
    until = pd.concat([first, cases["outcome_date"]], axis=1).min(axis=1).fillna(date + pd.Timedelta(days=1))
    days_until = (until - cases["default_date"]).dt.days.clip(upper=true.CALL_DAYS)
    return np.asarray(days_until, dtype=np.int64)


def _rounds(
    rng: np.random.Generator, unit: pd.Series, last: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Call every case round by round; return case, day and result of each call, and the day of the visit or -1."""
    n = len(last)
    right = unit.map(true.UNIT_RIGHT_PARTY).to_numpy(dtype=np.float64)
    day: NDArray[np.int64] = 3 + rng.integers(0, 3, n)
    missed = np.zeros(n, dtype=np.int64)
    visited = np.full(n, -1, dtype=np.int64)
    cases, called_on, results = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], [np.empty(0, np.int64)]
    for _ in range(true.CALL_ROUNDS):
        result = _one_call(rng, right)
        active = day < last
        cases.append(np.flatnonzero(active))
        called_on.append(day[active])
        results.append(result[active])
        missed = np.where(result <= _INVALID, missed + 1, 0)
        due = active & (missed == true.MISSED_FOR_VISIT) & (visited < 0) & (day + 1 < last)
        visited = np.where(due, day + 1, visited)
        talked = result >= _RIGHT
        # No call within seven days of a conversation, its own day counted as the first.
        day = day + np.where(talked, rng.integers(8, 15, n), rng.integers(3, 6, n))
    rows = [np.concatenate(part) for part in (cases, called_on, results)]
    return rows[0], rows[1], rows[2], visited.astype(np.int64)


def _one_call(rng: np.random.Generator, right: np.ndarray) -> NDArray[np.int64]:
    n = len(right)
    missed = np.where(rng.random(n) < true.INVALID_AMONG_MISSED, _INVALID, _NO_ANSWER)
    talk = np.where(rng.random(n) < true.REFUSED_SHARE, _REFUSED, _RIGHT)
    answered = np.where(rng.random(n) < right, talk, _WRONG)
    return np.asarray(np.where(rng.random(n) < true.ANSWERED, answered, missed), dtype=np.int64)


def describe_units(cases: pd.DataFrame) -> dict[str, Any]:
    """Return the true quality of the units, and what missed calls and visits do: nothing."""
    by_unit = cases.groupby("unit")[["prob_given_unit", "prob_ever_cures"]].sum()
    ratio = by_unit["prob_given_unit"] / by_unit["prob_ever_cures"]
    return {
        "cure_log_odds": true.UNIT_CURE,
        "ever_cures_over_expected": {str(unit): round(float(value), 6) for unit, value in ratio.items()},
        "n_cases": {str(unit): int(n) for unit, n in cases["unit"].value_counts().sort_index().items()},
        "prob_answered": true.ANSWERED,
        "prob_right_party_given_answered": true.UNIT_RIGHT_PARTY,
        true.VISIT_RULE: {
            "rule": "a field visit on the day after three missed calls in a row, once, until the first repayment",
            "log_hazard_ratio_of_first_repayment": 0.0,
        },
    }
