"""Draw the log of the recovery unit beside a simulated portfolio: early desk, units, promises and courts.

The log has a random stream of its own and changes nothing of the loans: default, payment and cure are what they were,
and the log is drawn around them. It knows the finished tables and the true episodes, not how they were made.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.data._synthetic_breaches import describe_breaches, plant_breaches
from recoverykit.data._synthetic_calls import assign_units, describe_units, draw_calls
from recoverykit.data._synthetic_court import describe_court, draw_court
from recoverykit.data._synthetic_early import describe_early, draw_early
from recoverykit.data._synthetic_log_rows import finish_actions, stacked
from recoverykit.data._synthetic_promises import describe_promises, draw_promises

KEYS = {
    "instalments": ["facility_id", "due_date"],
    "assignments": ["experiment", "facility_id"],
    "promises": ["facility_id", "promise_date"],
    "court": ["case_id"],
    "turnover": ["facility_id", "month_end"],
}


@dataclass(frozen=True, slots=True, eq=False)
class UnitLog:
    """The log of the recovery unit with its truth.

    Attributes
    ----------
    tables : dict of str to DataFrame
        Contract tables of the recovery unit; those without a row are left out.
    truth : dict
        Effects, probabilities and counts; safe for JSON.
    """

    tables: dict[str, pd.DataFrame]
    truth: dict[str, Any]


def simulate_log(
    rng: np.random.Generator,
    *,
    tables: dict[str, pd.DataFrame],
    episodes: pd.DataFrame,
    reporting_date: pd.Timestamp,
) -> UnitLog:
    """Draw the log of the recovery unit around finished loans.

    Parameters
    ----------
    rng : Generator
        A stream that nothing else draws from.
    tables : dict of str to DataFrame
        ``facilities``, ``status`` and ``cash_flows``; not changed.
    episodes : DataFrame
        True default episodes, with the probability and the fact of ever curing.
    reporting_date : Timestamp
        Nothing that happened is dated later.

    Returns
    -------
    UnitLog
        Tables and truth.
    """
    streams = rng.spawn(6)
    early = draw_early(streams[0], tables=tables, episodes=episodes, reporting_date=reporting_date)
    cases = assign_units(streams[1], episodes=episodes, reporting_date=reporting_date)
    calls = draw_calls(streams[2], cases=cases, cash_flows=tables["cash_flows"], reporting_date=reporting_date)
    promises = draw_promises(
        streams[3], cases=cases, calls=calls, cash_flows=tables["cash_flows"], reporting_date=reporting_date
    )
    court = draw_court(streams[4], cases=cases, tables=tables, reporting_date=reporting_date)
    rows = [calls, promises.actions]
    planted = plant_breaches(streams[5], cases=cases, calls=rows, reporting_date=reporting_date)
    log = {
        "instalments": early.instalments,
        "assignments": stacked([*early.assignments, *court.assignments]),
        "actions": finish_actions([*early.actions, *planted.actions, court.actions]),
        "promises": promises.promises,
        "court": court.cases,
        "turnover": early.turnover,
    }
    for name, keys in KEYS.items():
        log[name] = log[name].sort_values(keys, ignore_index=True)
    truth = {
        **describe_early(early),
        "units": describe_units(cases),
        "promises": describe_promises(promises),
        "court": describe_court(),
        "contact_rules": describe_breaches(planted),
    }
    return UnitLog({name: frame for name, frame in log.items() if len(frame)}, truth)
