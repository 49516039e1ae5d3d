"""Measures of a back-test against limits that were set before. Private to ``backtest``."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


class Light(StrEnum):
    """The verdict on one measure, by limits set before; not judged where the measure has no value."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class BackTestLimits:
    """Limits of the traffic light, house conventions to be set before a back-test is run.

    Attributes
    ----------
    bias_amber, bias_red : float
        Underestimation of the mean loss from which a light turns, share of EAD.
    p_amber, p_red : float
        One-sided p-values of the t-test below which a light turns.
    coverage_amber, coverage_red : float
        Shares of groups inside their prediction interval below which a light turns.
    """

    bias_amber: float = 0.02
    bias_red: float = 0.05
    p_amber: float = 0.05
    p_red: float = 0.01
    coverage_amber: float = 0.75
    coverage_red: float = 0.50


def t_test(errors: Array) -> tuple[float, float]:
    """Return T = sqrt(n) mean / s and its one-sided p-value; NaN where the errors do not vary."""
    if np.ptp(errors) == 0:
        return float("nan"), float("nan")
    test = stats.ttest_1samp(errors, 0.0, alternative="greater")
    return float(test.statistic), float(test.pvalue)


def lights_of(episodes: pd.DataFrame, p_value: float, groups: pd.DataFrame, limits: BackTestLimits) -> pd.DataFrame:
    """Hold bias, test and coverage against their limits: measure, value, amber, red, light.

    Errors that do not vary have no test, and where every group is too small to be told there is no share inside.
    """
    inside = float(groups.loc[groups["kind"] != "all", "is_inside"].mean())
    rows = [
        ("Mean loss underestimated, share of EAD", episodes["error"].mean(), limits.bias_amber, limits.bias_red, 1),
        ("p-value of the t-test, one-sided", p_value, limits.p_amber, limits.p_red, -1),
        ("Share of groups inside their interval", inside, limits.coverage_amber, limits.coverage_red, -1),
    ]
    table = pd.DataFrame(rows, columns=["measure", "value", "amber", "red", "sign"])
    is_red, is_amber = ((table["value"] - table[c]) * table["sign"] >= 0 for c in ("red", "amber"))
    # A comparison with a missing value is false, which would pass for green.
    verdicts = [Light.NOT_JUDGED, Light.RED, Light.AMBER]
    table["light"] = np.select([table["value"].isna(), is_red, is_amber], [*map(str, verdicts)], str(Light.GREEN))
    return table.drop(columns="sign")
