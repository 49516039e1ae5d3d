"""Cox-Snell residuals as a table: the cumulative hazard that each episode has lived through. Private to the estimators.

If the model holds, the residuals with their events are a censored sample of the unit exponential distribution (Cox and
Snell 1968, JRSS B 30:248).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_NARROW = 1e-8
#: Beyond this width the mean of a unit exponential inside an interval is that of one without end.
_ENDLESS = 700.0


def residual_table(
    start: Array | float, lower: Array, upper: Array, is_event: BoolArray, index: pd.Index
) -> pd.DataFrame:
    """Return residuals from cumulative hazards.

    Parameters
    ----------
    start, lower, upper : ndarray of shape (n_rows,)
        Cumulative hazard at entry and at both ends of the interval of the event; ``upper`` is read for events only.
    is_event : ndarray of bool of shape (n_rows,)
    index : Index
        Of the frame.

    Returns
    -------
    DataFrame
        Columns ``residual``, ``lower``, ``upper`` (of the interval; equal for exact times, upper infinite where no
        event was seen) and ``event``. The residual of an interval is the mean of the unit exponential inside it
        (Farrington 2000, Biometrics 56:473).
    """
    low = np.maximum(lower - start, 0.0)
    high = np.where(is_event, np.maximum(upper - start, low), low)
    width = high - low
    wide = is_event & (width > _NARROW)
    # Mean of a unit exponential in (l, l + w): l + 1 - w / (exp(w) - 1).
    bounded = np.where(wide, np.minimum(width, _ENDLESS), 1.0)
    residual = low + np.where(wide, 1.0 - bounded / np.expm1(bounded), 0.5 * width)
    columns = {"residual": residual, "lower": low, "upper": np.where(is_event, high, np.inf), "event": is_event}
    return pd.DataFrame(columns, index=index)


def outcome_part(
    total: pd.DataFrame, start: Array | float, lower: Array, upper: Array, is_own: BoolArray
) -> pd.DataFrame:
    """Return the residuals of one of several outcomes, which over the outcomes add up to those of being ended by any.

    Parameters
    ----------
    total : DataFrame
        Residuals of being ended by any.
    start, lower, upper : ndarray of shape (n_rows,)
        Cumulative hazard of the outcome, as in ``residual_table``.
    is_own : ndarray of bool of shape (n_rows,)
        Whether the episode ended in this outcome.

    Returns
    -------
    DataFrame
        Columns as in ``residual_table``. An episode that another outcome ended inside an interval was at risk of this
        one until then: for the same share of its hazard over the interval as of all hazards together.
    """
    ended, width = total["event"].to_numpy(), (total["upper"] - total["lower"]).to_numpy()
    gone = (total["residual"] - total["lower"]).to_numpy()
    share = np.where(ended & (width > _NARROW), gone, 0.5) / np.where(ended & (width > _NARROW), width, 1.0)
    low, high = np.maximum(lower - start, 0.0), np.maximum(upper - start, 0.0)
    residual = np.where(ended, low + share * (high - low), low)
    columns = {
        "residual": residual,
        "lower": np.where(ended & ~is_own, residual, low),
        "upper": np.where(is_own, high, np.inf),
        "event": is_own,
    }
    return pd.DataFrame(columns, index=total.index)
