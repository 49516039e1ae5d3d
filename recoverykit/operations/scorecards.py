"""Scorecards of the recovery unit: what each unit achieved, beside what its cases and luck let expect.

A bare league table is never made. A unit with fewer cases than the minimum is shown but not ranked; every share has an
exact interval; observed stands beside expected; and the compensation rule stands beside how often luck alone would pay
it. Units are compared at equal age of their cases. This module knows units, never persons.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.operations._bonus import BonusLuck, bonus_luck
from recoverykit.operations._case_mix import CaseMix, observed_expected
from recoverykit.operations._funnel import MINIMUM_CASES, Funnel, funnel_limits
from recoverykit.operations._predictive_accuracy import predictive_accuracy
from recoverykit.operations._recovery_cases import RecoveryCases, recovery_cases
from recoverykit.operations._shrunken_ranks import ShrunkenRanks, shrunken_ranks
from recoverykit.operations._unit_measures import (
    contact_rates,
    court_measures,
    promise_rates,
    recovery_rates,
    right_party_contacts,
)
from recoverykit.operations.promises import GRACE_DAYS

__all__ = [
    "BonusLuck",
    "CaseMix",
    "Funnel",
    "RecoveryCases",
    "ShrunkenRanks",
    "UnitScorecards",
    "bonus_luck",
    "funnel_limits",
    "observed_expected",
    "predictive_accuracy",
    "recovery_cases",
    "right_party_contacts",
    "shrunken_ranks",
    "unit_scorecards",
]

#: Measures in the order of a scorecard -> whether a higher value is better.
MEASURES = {
    "recovery_rate": True,
    "target_met_rate": True,
    "days_to_judgment": False,
    "win_rate": True,
    "promise_kept_rate": True,
    "brier_score": False,
    "calibration_gap": None,
    "right_party_rate": True,
}


@dataclass(frozen=True, slots=True, eq=False)
class UnitScorecards:
    """All measures of all units.

    Attributes
    ----------
    measures : DataFrame
        One row per unit and measure: unit, measure, n_cases (that the value rests on), n_left_out (too young, open or
        without a usable result), value, lower, upper, target (of the recovery rate; missing elsewhere), against_target
        (``above``, ``below`` or ``undecided``: whether the interval lies beyond the target; undecided too where there
        is none, as of one case or of cases that all brought the same share; empty without a target) and is_ranked
        (whether the unit has enough cases to be compared).
    minimum_cases : int
    level, target_rate : float
    """

    measures: pd.DataFrame
    minimum_cases: int
    level: float
    target_rate: float

    def measure(self, name: str) -> pd.DataFrame:
        """Return the rows of one measure, largest units first."""
        rows = self.measures[self.measures["measure"] == name]
        return rows.sort_values(["n_cases", "unit"], ascending=[False, True], kind="stable").reset_index(drop=True)

    def table(self) -> pd.DataFrame:
        """Return one row per unit, by name, with the value of each measure and the number of cases behind it.

        A value that rests on fewer than the minimum of cases is left empty: it is told by ``measures``, with its
        interval.
        """
        shown = self.measures.assign(value=self.measures["value"].where(self.measures["is_ranked"]))
        names = [name for name in MEASURES if (shown["measure"] == name).any()]
        values = shown.pivot(index="unit", columns="measure", values="value")
        counts = shown.pivot(index="unit", columns="measure", values="n_cases").fillna(0).astype(np.int64)
        parts = [part[[name]].rename(columns={name: label}) for name in names for part, label in
                 ((counts, f"n_{name}"), (values, name))]  # fmt: skip
        return pd.concat(parts, axis=1).reset_index()

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept."""
        return {"measures": self.measures}

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values; a unit without enough cases counts as undecided."""
        recovery = self.measure("recovery_rate")
        facts = {"target_rate": self.target_rate, "minimum_cases": self.minimum_cases, "level": self.level}
        verdicts = recovery["against_target"].where(recovery["is_ranked"], "undecided")
        counted = {name: int((verdicts == name).sum()) for name in ("above", "below", "undecided")}
        return facts | {"n_units": int(self.measures["unit"].nunique())} | {f"n_{k}": v for k, v in counted.items()}


def unit_scorecards(
    *,
    reporting_date: pd.Timestamp | str,
    recovery: RecoveryCases | None = None,
    court: pd.DataFrame | None = None,
    promises: pd.DataFrame | None = None,
    actions: pd.DataFrame | None = None,
    target_rate: float | None = None,
    grace_days: int = GRACE_DAYS,
    stated_event: str = "is_kept",
    minimum_cases: int = MINIMUM_CASES,
    level: float = 0.95,
    mid_p: bool = False,
) -> UnitScorecards:
    """Measure every unit by what its logs hold; a log that is not given leaves its measures out.

    Parameters
    ----------
    reporting_date : date-like
        Nothing later is read.
    recovery : RecoveryCases, optional
        From ``recovery_cases``: recovery_rate (cash within the same months of each case / owed, over the cases old
        enough) and target_met_rate (share of them that brought the target share of what was owed).
    court : DataFrame, optional
        days_to_judgment (day by which half of the cases filed have a judgment, with settlement and withdrawal competing
        and open cases censored) and win_rate (won outright / decided).
    promises : DataFrame, optional
        promise_kept_rate (of those that fell due) and, with predicted_prob, brier_score and calibration_gap
        (observed - stated).
    actions : DataFrame, optional
        right_party_rate (conversations / dials to valid numbers).
    target_rate : float, optional
        Of the recovery rate; that of ``recovery`` when absent.
    grace_days : int
        As in ``promise_outcomes``.
    stated_event : {"is_kept", "is_mostly_kept"}
        What the stated probabilities are of: a promise kept in full, or to four fifths at least.
    minimum_cases : int
        Cases below which a unit is shown but not compared.
    level, mid_p
        Of the intervals; the mid-P variant of the exact ones.

    Returns
    -------
    UnitScorecards

    Raises
    ------
    ContractError, ValueError
        When a column is missing, rows break a rule, or an option is not allowed.
    InsufficientDataError
        When no log is given.
    """
    check_level(level)
    check_choice("stated_event", stated_event, ("is_kept", "is_mostly_kept"))
    if minimum_cases < 1:
        raise ValueError(f"minimum_cases is {minimum_cases}; it must be 1 or more")
    date = pd.Timestamp(reporting_date)
    parts = []
    if recovery is not None:
        parts.append(recovery_rates(recovery, level))
    if court is not None:
        parts.append(court_measures(court, date, level, mid_p))
    if promises is not None:
        parts.append(promise_rates(promises, date, grace_days, stated_event, level, mid_p))
    if actions is not None:
        parts.append(contact_rates(actions, date, level, mid_p))
    if not parts:
        raise InsufficientDataError("no log is given; give recovery, court, promises or actions")
    target = target_rate if target_rate is not None else recovery.target_rate if recovery is not None else np.nan
    measures = pd.concat(parts, ignore_index=True)
    has_target = measures["measure"] == "recovery_rate"
    measures["target"] = np.where(has_target, target, np.nan)
    verdicts = [~has_target, measures["lower"] > target, measures["upper"] < target]
    measures["against_target"] = np.select(verdicts, ["", "above", "below"], default="undecided").astype(object)
    measures["is_ranked"] = measures["n_cases"] >= minimum_cases
    return UnitScorecards(measures, minimum_cases, level, float(target))
