"""What the fits of cure models share when they speak: tables of parameters, tables of curves, plain numbers.

Private to the estimators.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtri

Array = NDArray[np.float64]


def checked_times(times: ArrayLike) -> Array:
    """Return times as an array; ValueError when one is negative or not finite, or there is none."""
    asked = np.atleast_1d(np.asarray(times, dtype=float))
    if asked.ndim != 1 or len(asked) == 0 or not (np.isfinite(asked).all() and (asked >= 0).all()):
        raise ValueError("times must be a list of finite numbers of 0 or more, in the unit of the data")
    return asked


def checked_weights(weights: ArrayLike | None, n_rows: int) -> Array:
    """Return one weight per row, 1 where none are given; ValueError when they are negative or all 0."""
    weight = np.ones(n_rows) if weights is None else np.asarray(weights, dtype=float)
    if weight.shape != (n_rows,) or not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise ValueError(f"weights must be {n_rows} numbers of 0 or more, one per row, not all 0")
    return weight


def parameter_table(params: pd.Series, standard_errors: pd.Series, level: float) -> pd.DataFrame:
    """Return one row per parameter: estimate, standard error, z, two-sided p-value, interval."""
    z = params / standard_errors
    half = float(ndtri(0.5 + 0.5 * level)) * standard_errors
    return pd.DataFrame(
        {
            "estimate": params,
            "standard_error": standard_errors,
            "z": z,
            "p_value": 2.0 * np.exp(log_ndtr(-z.abs().to_numpy())),
            "lower": params - half,
            "upper": params + half,
        }
    )


def curve_table(value: Array, lower: Array, upper: Array, index: pd.Index, times: Array) -> pd.DataFrame:
    """Return value, lower and upper of shape (n_rows, n_times) as one row per row of the index and time."""
    names = ["row" if name is None else str(name) for name in index.names]
    rows = np.repeat(np.arange(len(index)), len(times))
    arrays = [index.get_level_values(i)[rows] for i in range(index.nlevels)]
    both = pd.MultiIndex.from_arrays([*arrays, np.tile(times, len(index))], names=[*names, "time"])
    return pd.DataFrame({"value": value.ravel(), "lower": lower.ravel(), "upper": upper.ravel()}, index=both)


def plain(value: float) -> float | None:
    """Return a number that JSON takes, None where there is none."""
    return float(value) if np.isfinite(value) else None


def escaped(text: str) -> str:
    """Return text that can stand in HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
