"""How far recoveries of single calendar years have strayed from the curve of all years.

A curve by months in default takes the world as steady. When recoveries go up and down with the years, a forecast errs
by more than the chance and the sample say. ``calendar_effects`` holds each year's recoveries against what the curve
gives for the loans that were open in it; ``calendar_spread`` says by how much these ratios differ beyond chance. It
widens an interval; it does not know in which direction the next year will go.
"""

import numpy as np
import pandas as pd

from recoverykit.estimators._clusters import check_cells
from recoverykit.estimators._rows import check_columns
from recoverykit.estimators.recovery_curve import RemainingRecovery

#: A month of a vintage lies in the year of the vintage's middle month, plus so many months.
_MIDDLE_OF_QUARTER = 1
#: Years with fewer obligors than this say nothing about spread.
_FEWEST_OBLIGORS = 10


def calendar_effects(cells: pd.DataFrame, curve: RemainingRecovery) -> pd.DataFrame:
    """Hold each calendar year's recoveries against what a curve gives for the episodes open in it.

    Parameters
    ----------
    cells : DataFrame
        One row per obligor, quarter of default and month in default: obligor_id, default_vintage (``2008Q3``), month,
        ead_open_at_start and present_value_amount_open (currency).
    curve : RemainingRecovery
        Share recovered by month of episodes open at its start, over all years.

    Returns
    -------
    DataFrame
        One row per calendar year: year, n_obligors, actual_amount, expected_amount (currency), ratio (actual /
        expected) and se_ratio, its standard error over obligors. Years in which little was expected have large ones;
        years without any expectation are left out.

    Notes
    -----
    se_ratio = sqrt(phi / E_y) with E_y what was expected of the year, phi the sum over obligors and years of
    (actual - ratio_y expected)^2 over the sum of what was expected. Pooled over years, because a year in which hardly
    anything came would else look certain.

    Raises
    ------
    ContractError
        When columns or numbers are missing.
    """
    check_columns(cells, ["default_vintage"], table="cells")
    check_cells(cells, ["ead_open_at_start", "present_value_amount_open"], cluster_col="obligor_id")
    known = cells[cells["month"] < len(curve.months)]
    month = known["month"].to_numpy(dtype=np.int64)
    quarter = pd.PeriodIndex(known["default_vintage"].astype(str), freq="Q")
    since_year_0 = 12 * quarter.year + 3 * (quarter.quarter - 1) + _MIDDLE_OF_QUARTER
    rows = pd.DataFrame(
        {
            "year": (since_year_0 + month) // 12,
            "obligor_id": known["obligor_id"].to_numpy(),
            "actual_amount": known["present_value_amount_open"].to_numpy(dtype=float),
            "expected_amount": curve.share_of_ead[month] * known["ead_open_at_start"].to_numpy(dtype=float),
        }
    )
    by_obligor = rows.groupby(["year", "obligor_id"]).sum()
    years = by_obligor.groupby("year").sum()
    years.insert(0, "n_obligors", by_obligor.groupby("year").size())
    years = years[years["expected_amount"] > 0]
    years["ratio"] = years["actual_amount"] / years["expected_amount"]
    fitted = by_obligor["expected_amount"] * years["ratio"].reindex(by_obligor.index, level="year")
    squares = float(((by_obligor["actual_amount"] - fitted) ** 2).sum())
    dispersion = squares / years["expected_amount"].sum() if len(years) else np.nan
    years["se_ratio"] = np.sqrt(dispersion / years["expected_amount"])
    return years.reset_index()


def calendar_spread(effects: pd.DataFrame) -> float:
    """Return the standard deviation of the years' true ratios around 1, beyond what chance explains.

    Parameters
    ----------
    effects : DataFrame
        From ``calendar_effects``.

    Returns
    -------
    float
        At least 0; 0 with fewer than two years that say something.

    Notes
    -----
    The moment estimator of DerSimonian and Laird (1986, Control. Clin. Trials 7, 177-188) with the mean known to be 1:
    tau^2 = max(0, (Q - k) / sum(w)), Q = sum w (ratio - 1)^2, w = 1 / se^2, k years.
    """
    used = effects[(effects["n_obligors"] >= _FEWEST_OBLIGORS) & (effects["se_ratio"] > 0)]
    if len(used) < 2:
        return 0.0
    weight = used["se_ratio"].to_numpy(dtype=float) ** -2
    excess = float(weight @ (used["ratio"].to_numpy(dtype=float) - 1.0) ** 2) - len(used)
    return float(np.sqrt(max(excess, 0.0) / weight.sum()))
