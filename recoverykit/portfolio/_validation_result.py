"""What a validation found, as a value: tables, lights, and what is kept of them."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from recoverykit.portfolio._validation_lights import worst_light
from recoverykit.portfolio._validation_samples import OUT_OF_TIME
from recoverykit.portfolio.segments import Basis

#: The tables that are measured sample by sample.
MEASURED = ("discrimination", "calibration", "calibration_groups", "accuracy")
_SAMPLE = ["population", "period", "n_episodes", "n_cures", "months"]
_CALIBRATION = [
    *_SAMPLE,
    "n_followed",
    "group",
    "predicted",
    "observed",
    "lower",
    "upper",
    "expected_cures",
    "observed_cures",
]
#: Tables without a row, for samples that hold nothing.
NOTHING = {
    name: pd.DataFrame(columns=columns)
    for name, columns in {
        "samples": [*_SAMPLE, "n_cures_read"],
        "discrimination": [*_SAMPLE, "measure", "value", "standard_error", "lower", "upper"],
        "calibration": [*_CALIBRATION, "difference", "standard_error_of_difference", "z"],
        "calibration_groups": _CALIBRATION,
        "accuracy": [*_SAMPLE, "measure", "value", "reference", "brier_ratio", "prediction_accuracy_index"],
        "stability": ["item", "role", "population_stability_index", "by_chance", "outside_share", "n_later"],
        "parameters": ["known_at", "part", "term", "estimate", "standard_error", "lower", "upper", "n_cures"],
    }.items()
}


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """What the validation of a segment's cure model found.

    Attributes
    ----------
    segment : str
        The segment validated.
    reporting_date, cut_off : Timestamp
        What was known at the cut-off is development, what became known until the reporting date is the test.
    basis : Basis or None
        Whose episodes the model rested on at the cut-off; None without a model.
    choice, choice_today : str
        Latency distribution chosen at the cut-off and at the reporting date; empty without a model.
    drivers : tuple of str
        Drivers of the model at the cut-off.
    samples : DataFrame
        One row per population and period: population, period, n_episodes, n_cures, months (at which it is judged, 0
        where it was not followed so far) and n_cures_read (cures by then).
    discrimination : DataFrame
        One row per population, period and measure: auc, concordance (Uno), and from default on cure_auc and
        cure_k_index; value, standard_error, lower, upper at a month.
    calibration : DataFrame
        One row per population, period and month: n_followed (loans watched to that month, or to their end before),
        predicted, observed with lower and upper, expected_cures, observed_cures, and at the month of reading difference
        and z.
    calibration_groups : DataFrame
        Out of time, at the month of reading, by groups of the prediction from low to high.
    accuracy : DataFrame
        Brier score and integrated Brier score beside those of the model without drivers, their ratio and the index of
        prediction accuracy.
    stability : DataFrame
        One row per driver and for the prediction: population_stability_index, its value by_chance, outside_share.
    parameters : DataFrame
        The parameters and the share that never cures as estimated at successive dates.
    halves : dict
        Test of the earlier against the later half of the vintages.
    lights : DataFrame
        One row per check with value, limits, light and source.
    facts : dict
        n_unpredictable: episodes with a driver that is missing or was not known at the cut-off; n_provisional_cures:
        cures of the holdout that a default within merge_months could still undo, 0 where no default was ever merged;
        dates_not_fitted: of those at which the parameters were to be estimated again.
    note : str
        Why there is no validation; empty where there is one.
    """

    segment: str
    reporting_date: pd.Timestamp
    cut_off: pd.Timestamp
    basis: Basis | None
    choice: str
    choice_today: str
    drivers: tuple[str, ...]
    samples: pd.DataFrame
    discrimination: pd.DataFrame
    calibration: pd.DataFrame
    calibration_groups: pd.DataFrame
    accuracy: pd.DataFrame
    stability: pd.DataFrame
    parameters: pd.DataFrame
    halves: dict[str, float]
    lights: pd.DataFrame
    facts: dict[str, Any]
    note: str

    @property
    def light(self) -> str:
        """The worst light of all checks; green only where something that came since the cut-off was judged."""
        return worst_light(self.lights)

    def count(self, column: str, population: str, period: str = OUT_OF_TIME) -> float:
        """Return n_episodes or n_cures of a sample, 0 where it holds none; NaN where nothing was validated."""
        if self.samples.empty:
            return float("nan")
        rows = self.samples.set_index(["population", "period"])[column]
        return int(rows.get((population, period), 0))

    def hindsight(self) -> dict[str, int]:
        """Return what the test cannot see, for a sentence: n_provisional_cures, merge_months and n_unpredictable."""
        return {name: int(self.facts[name]) for name in ("n_provisional_cures", "merge_months", "n_unpredictable")}

    def changes(self) -> dict[str, Any]:
        """Return what may have changed between dates, for a sentence: halves, choices and dates_not_fitted."""
        return {
            "halves": self.halves,
            "choice": self.choice,
            "choice_today": self.choice_today,
            "dates_not_fitted": list(self.facts["dates_not_fitted"]),
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what the portfolio keeps: discrimination, calibration, stability, limits and their details."""
        calibration = pd.concat(
            [t for t in (self.calibration, self.calibration_groups) if len(t)] or [self.calibration], ignore_index=True
        )
        tables = {
            "samples": self.samples,
            "discrimination": self.discrimination,
            "calibration": calibration,
            "accuracy": self.accuracy,
            "stability": self.stability,
            "parameters": self.parameters,
            "limits": self.lights,
        }
        return {name: table.reset_index(drop=True) for name, table in tables.items() if len(table)}

    def record(self) -> dict[str, Any]:
        """Return the facts of the validation as plain values."""
        return {
            "cut_off": f"{self.cut_off:%Y-%m-%d}",
            "basis": self.basis.used if self.basis else None,
            "distribution": self.choice,
            "distribution_today": self.choice_today,
            "drivers": list(self.drivers),
            "light": self.light,
            "lights": self.lights[["check", "population", "value", "light"]].to_dict("records"),
            "halves": self.halves,
            "note": self.note,
            **self.facts,
        }
