"""Breaches of contact rules that the log holds on purpose, so that a check has something to find.

Apart from them the log keeps the rules: no more than seven calls in seven days, none within seven days of a
conversation, all of them by day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.data import _synthetic_unit_truth as true
from recoverykit.data._synthetic_log_rows import action_rows, agents, at_work, days, stacked
from recoverykit.vocabulary import ActionKind, ActionResult, Assignment

_QUIET_DAYS = 45


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """The log with its breaches, and how many there are by rule and unit.

    Attributes
    ----------
    actions : list of DataFrame
        All rows given, some moved in time of day, and further calls.
    counts : dict
        Kind of breach: unit: number of calls.
    """

    actions: list[pd.DataFrame]
    counts: dict[str, dict[str, int]]


def plant_breaches(
    rng: np.random.Generator, *, cases: pd.DataFrame, calls: Sequence[pd.DataFrame], reporting_date: pd.Timestamp
) -> Planted:
    """Put breaches of the contact rules into a log that keeps them."""
    log = stacked(calls)
    bursts = _bursts(rng, cases, log, reporting_date)
    soon = _soon_after(rng, log, reporting_date)
    moved, night, early = _odd_hours(rng, log)
    counts = {
        "calls_beyond_seven_in_seven_days": _by_unit(bursts, per=true.BURST_CALLS, of=true.BURST_CALLS - 7),
        "calls_within_seven_days_of_a_conversation": _by_unit(soon),
        "calls_after_nine_in_the_evening": night,
        "calls_before_eight_in_the_morning": early,
    }
    return Planted([moved, bursts, soon], counts)


def _by_unit(rows: pd.DataFrame, per: int = 1, of: int = 1) -> dict[str, int]:
    return {str(unit): int(n) // per * of for unit, n in rows["unit"].value_counts().sort_index().items()}


def _call(rng: np.random.Generator, rows: pd.DataFrame, moments: pd.Series) -> pd.DataFrame:
    return action_rows(
        rows["facility_id"],
        moments,
        kind=ActionKind.CALL,
        result=ActionResult.NO_ANSWER.value,
        unit=rows["unit"].to_numpy(),
        assignment=Assignment.DISCRETION,
        agent_hash=agents(rng, rows["unit"]),
    )


def _bursts(rng: np.random.Generator, cases: pd.DataFrame, log: pd.DataFrame, date: pd.Timestamp) -> pd.DataFrame:
    """Return nine unanswered calls within a week to facilities that nobody had called for weeks."""
    called = log.loc[log["action_time"] > date - pd.Timedelta(days=_QUIET_DAYS), "facility_id"]
    quiet = cases[cases["outcome"].eq("open") & ~cases["facility_id"].isin(called)]
    quiet = quiet[quiet["default_date"] < date - pd.Timedelta(days=true.CALL_DAYS)]
    chosen = stacked([quiet[quiet["unit"] == unit].head(n) for unit, n in true.BURSTS.items()])
    start = date - days(rng.integers(20, 31, len(chosen)))
    rows = chosen.loc[chosen.index.repeat(true.BURST_CALLS)].reset_index(drop=True)
    # Nine calls on the seven days 0, 1, ..., 6: two on the second and two on the fifth.
    step = np.tile([0, 1, 1, 2, 3, 4, 4, 5, 6], len(chosen))
    return _call(rng, rows, at_work(rng, pd.Series(start.repeat(true.BURST_CALLS)) + days(step)))


def _soon_after(rng: np.random.Generator, log: pd.DataFrame, date: pd.Timestamp) -> pd.DataFrame:
    """Return unanswered calls three days after a promise."""
    given = log[log["result"].eq(ActionResult.PROMISE.value)]
    given = given[given["action_time"] < date - pd.Timedelta(days=_QUIET_DAYS)]
    chosen = stacked([given[given["unit"] == unit].head(n) for unit, n in true.SOON_AFTER.items()])
    on = chosen["action_time"].dt.normalize() + pd.Timedelta(days=true.SOON_DAYS)
    return _call(rng, chosen, at_work(rng, on))


def _odd_hours(rng: np.random.Generator, log: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int], dict[str, int]]:
    """Move some calls to the evening, from nine on, and some to the morning, before eight."""
    is_call = log["kind"].eq(ActionKind.CALL.value)
    draw = rng.random(len(log))
    at_night = is_call & (draw < log["unit"].map(true.NIGHT_SHARE).fillna(0.0))
    at_dawn = is_call & ~at_night & (draw > 1.0 - log["unit"].map(true.EARLY_SHARE).fillna(0.0))
    midnight = log["action_time"].dt.normalize()
    evening = midnight + pd.to_timedelta(rng.integers(21 * 60 + 1, 22 * 60, len(log)), unit="min")
    morning = midnight + pd.to_timedelta(rng.integers(7 * 60, 8 * 60, len(log)), unit="min")
    time = log["action_time"].mask(at_night, evening).mask(at_dawn, morning)
    return log.assign(action_time=time), _by_unit(log[at_night]), _by_unit(log[at_dawn])


def describe_breaches(planted: Planted) -> dict[str, Any]:
    """Return how many calls break which rule, by unit."""
    return {
        "note": "telephone calls only; a call counts once per rule that it breaks",
        **planted.counts,
    }
