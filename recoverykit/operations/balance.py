"""Were the arms alike before the treatment? Means and shares side by side, in standard deviations.

It does not test: that an arm drawn by lot differs by chance needs no p-value, and how much it differs is what matters.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError
from recoverykit.estimators._rows import broken, check_columns
from recoverykit.operations._treatment_columns import check_sizes, read_weights, refuse_balance, two_arms

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def balance_table(
    frame: pd.DataFrame,
    *,
    columns: Sequence[str],
    arm_col: str = "arm",
    control: str | None = None,
    treated: str | None = None,
    weights_col: str | None = None,
) -> pd.DataFrame:
    """Compare what two arms were before the treatment.

    Parameters
    ----------
    frame : DataFrame
        One row per unit. Not changed.
    columns : sequence of str
        Columns known before the treatment; text columns are compared level by level. Columns of class B, joined from
        the fairness file, may be checked here, because a check neither predicts nor decides.
    arm_col, control, treated
        As in ``intention_to_treat``.
    weights_col : str, optional
        Weights above 0, such as the inverse of the probability with which each unit came to its arm.

    Returns
    -------
    DataFrame
        covariate, treated, control (means or shares), standardised_difference: their difference over the root of the
        mean of the two unweighted variances (Austin 2009, Statistics in Medicine 28:3083-3107). With thousands of units
        one of 0.1 is seldom chance.

    Raises
    ------
    RefusedColumnError, ContractError, InsufficientDataError, ValueError
        When a column may not be checked, columns or values are missing or weights are not above 0 (all at once), an arm
        has fewer than two units, or an arm is not there.

    Examples
    --------
    >>> frame = pd.DataFrame({"arm": ["a", "a", "control", "control"], "ltv": [0.5, 0.7, 0.6, 0.6]})
    >>> balance_table(frame, columns=["ltv"])["standardised_difference"].round(2).item()
    0.0
    """
    refuse_balance(columns)
    check_columns(frame, [arm_col, *columns, weights_col])
    names = two_arms(frame, arm_col, control, treated)
    kept = frame[frame[arm_col].astype(str).isin(names)]
    weights, unfit = read_weights(kept, weights_col)
    found = broken(frame, f"{arm_col} must not be missing", frame[arm_col].isna().to_numpy()) + unfit
    found += [v for c in columns for v in broken(kept, f"{c} must not be missing", kept[c].isna().to_numpy())]
    if found:
        raise ContractError(found)
    is_treated = (kept[arm_col].astype(str) == names[0]).to_numpy()
    check_sizes(is_treated, names)
    columns_of = {name: values for column in columns for name, values in covariate_columns(kept, column).items()}
    rows = [(name, *standardised_gap(values, is_treated, weights)) for name, values in columns_of.items()]
    return pd.DataFrame(rows, columns=["covariate", "treated", "control", "standardised_difference"])


def standardised_gap(values: Array, is_treated: BoolArray, weights: Array) -> tuple[float, float, float]:
    """Return the weighted means of both arms and their difference in unweighted standard deviations."""
    means = [float(np.average(values[side], weights=weights[side])) for side in (is_treated, ~is_treated)]
    spread = np.sqrt(np.mean([values[side].var(ddof=1) for side in (is_treated, ~is_treated)]))
    gap = means[0] - means[1]
    standardised = 0.0 if gap == 0 else gap / float(spread) if spread > 0 else float(np.copysign(np.inf, gap))
    return means[0], means[1], standardised


def covariate_columns(frame: pd.DataFrame, column: str) -> dict[str, Array]:
    """Return a column as numbers: itself, or an indicator of each level of a text column."""
    if pd.api.types.is_numeric_dtype(frame[column]) or pd.api.types.is_bool_dtype(frame[column]):
        return {column: frame[column].to_numpy(dtype=float)}
    texts = frame[column].astype(str)
    return {f"{column}: {level}": (texts == level).to_numpy(dtype=float) for level in sorted(texts.unique())}
