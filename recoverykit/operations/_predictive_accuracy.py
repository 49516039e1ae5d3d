"""How good stated probabilities are, by unit: calibration and the parts of the Brier score. Public in scorecards."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from recoverykit.errors import ContractError
from recoverykit.estimators._rows import broken, check_columns, check_level, event_flags, number_column
from recoverykit.operations._exact_intervals import binomial_interval
from recoverykit.vocabulary import WHOLE_BOOK

Array = NDArray[np.float64]
#: What is told of a unit beside its counts.
MEASURES = (
    "predicted", "observed", "lower", "upper", "brier_score", "reliability", "resolution", "uncertainty",
    "within_groups", "z", "p_value",
)  # fmt: skip


def predictive_accuracy(
    frame: pd.DataFrame,
    *,
    predicted_col: str = "predicted_prob",
    event_col: str = "is_kept",
    unit_col: str | None = "unit",
    n_groups: int = 10,
    level: float = 0.95,
    mid_p: bool = False,
) -> pd.DataFrame:
    """Hold stated probabilities against what happened, for each unit.

    Parameters
    ----------
    frame : DataFrame
        One row per prediction whose outcome is known, each with its unit. Rows without a prediction are passed over and
        counted.
    predicted_col, event_col : str
        Probability in [0, 1], and whether the event came.
    unit_col : str, optional
        None for all rows together.
    n_groups : int
        Groups of equal predictions or, where there are more distinct ones, of like predictions, for the parts of the
        score.
    level, mid_p
        Of the exact interval of the observed share.

    Returns
    -------
    DataFrame
        One row per unit: unit, n_predictions, n_without (rows without a prediction), predicted (mean), observed, lower,
        upper, brier_score, reliability (0 is best), resolution (more is better), uncertainty, within_groups, and
        z, p_value of Spiegelhalter's test that the probabilities are calibrated. For a unit without a prediction all
        but the counts are missing.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When a column is missing, a row has no unit, a prediction lies outside [0, 1], or an option is not allowed.

    Notes
    -----
    Brier score = reliability - resolution + uncertainty + within_groups (Murphy 1973, J. Appl. Meteorology 12:595-600;
    the last part, from unequal predictions within a group, Stephenson, Coelho & Jolliffe 2008, Weather and Forecasting
    23:752-757), exactly. Test: Spiegelhalter (1986), Statistics in Medicine 5:421-433. Where all that was stated is 0,
    1/2 or 1 it has no variance and z is missing; the p-value is then 0 where what was stated as certain did not come
    (or as impossible came), and otherwise that of the exact binomial test of the halves, 1 without any.

    Examples
    --------
    >>> said = pd.DataFrame({"unit": "a", "predicted_prob": [0.8, 0.8, 0.4, 0.4], "is_kept": [1, 1, 1, 0]})
    >>> row = predictive_accuracy(said).iloc[0]
    >>> row[["brier_score", "reliability", "resolution", "uncertainty"]].astype(float).round(4).tolist()
    [0.15, 0.025, 0.0625, 0.1875]

    0.025 - 0.0625 + 0.1875 = 0.15.
    """
    check_level(level)
    if n_groups < 1:
        raise ValueError(f"n_groups is {n_groups!r}; it must be 1 or more")
    check_columns(frame, [predicted_col, event_col, unit_col])
    predicted = number_column(frame, predicted_col, 0.0)
    came, found = event_flags(frame, event_col)
    outside = ~np.isnan(predicted) & ~((predicted >= 0) & (predicted <= 1))
    found += broken(frame, f"{predicted_col} must be a probability between 0 and 1", outside)
    units = pd.Series(WHOLE_BOOK, index=frame.index) if unit_col is None else frame[unit_col]
    found += broken(frame, f"{unit_col} must not be missing", units.isna().to_numpy())
    if found:
        raise ContractError(found)
    rows = []
    codes, names = pd.factorize(units, sort=True)
    for place, unit in enumerate(names):
        places = np.flatnonzero(codes == place)
        told = places[~np.isnan(predicted[places])]
        row = {"unit": unit, "n_predictions": len(told), "n_without": len(places) - len(told)}
        rows.append(row | (_accuracy(predicted[told], came[told].astype(float), n_groups, level, mid_p)))
    return pd.DataFrame(rows)


def brier_parts(predicted: Array, came: Array, n_groups: int) -> dict[str, float]:
    """Return the Brier score and its parts, which add up to it exactly.

    Parameters
    ----------
    predicted, came : ndarray of shape (n,)
        Probabilities, and 1.0 or 0.0.
    n_groups : int
        As in ``predictive_accuracy``.
    """
    distinct, codes = np.unique(predicted, return_inverse=True)
    if len(distinct) > n_groups:
        ranks = stats.rankdata(predicted, method="average")
        codes = np.minimum(((ranks - 0.5) / len(predicted) * n_groups).astype(int), n_groups - 1)
    sizes = np.bincount(codes)
    there = np.maximum(sizes, 1)
    mean_said, mean_came = (np.bincount(codes, weights=v) / there for v in (predicted, came))
    overall = came.mean()
    off_said, off_came = predicted - mean_said[codes], came - mean_came[codes]
    return {
        "brier_score": float(np.mean((predicted - came) ** 2)),
        "reliability": float(np.sum(sizes * (mean_said - mean_came) ** 2) / len(came)),
        "resolution": float(np.sum(sizes * (mean_came - overall) ** 2) / len(came)),
        "uncertainty": float(overall * (1.0 - overall)),
        "within_groups": float(np.mean(off_said**2) - 2.0 * np.mean(off_said * off_came)),
    }


def _accuracy(predicted: Array, came: Array, n_groups: int, level: float, mid_p: bool) -> dict[str, float]:
    """Return the measures of one unit; all missing where it predicted nothing."""
    n = len(came)
    if n == 0:
        return dict.fromkeys(MEASURES, np.nan)
    lower, upper = binomial_interval(came.sum(), n, level=level, mid_p=mid_p)
    facts = {"predicted": float(predicted.mean()), "observed": float(came.mean())}
    limits = {"lower": float(lower), "upper": float(upper)}
    z, p_value = _calibration(predicted, came)
    return facts | limits | brier_parts(predicted, came, n_groups) | {"z": z, "p_value": p_value}


def _calibration(predicted: Array, came: Array) -> tuple[float, float]:
    """Return Spiegelhalter's z and its p-value; the exact p-value, without z, where all stated is 0, 1/2 or 1."""
    variance = float(np.sum((1.0 - 2.0 * predicted) ** 2 * predicted * (1.0 - predicted)))
    if variance > 0:
        z = float(np.sum((came - predicted) * (1.0 - 2.0 * predicted)) / np.sqrt(variance))
        return z, float(2 * stats.norm.sf(abs(z)))
    halves = predicted == 0.5
    if (came[~halves] != predicted[~halves]).any():
        return float("nan"), 0.0
    n = int(halves.sum())
    return float("nan"), float(stats.binomtest(int(came[halves].sum()), n, 0.5).pvalue) if n else 1.0
