"""Cox-Snell residuals of a cure model: the cumulative hazard that each episode has lived through.

If the model holds, the residuals of the events are a censored sample of the unit exponential distribution, cut off at
minus the log of the never-share (Cox and Snell 1968, JRSS B 30:248). Private to the cure models.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.estimators._event_times import EventTimes
from recoverykit.estimators._mixture_prediction import Predictor
from recoverykit.estimators._residuals import residual_table

Array = NDArray[np.float64]


def cox_snell(predictor: Predictor, times: EventTimes, index: pd.Index) -> pd.DataFrame:
    """Return the cumulative hazard from entry to the end of each row.

    Parameters
    ----------
    predictor : Predictor
        With one design row per row of the frame.
    times : EventTimes
        Of the same rows.
    index : Index
        Of the frame.

    Returns
    -------
    DataFrame
        As from ``residual_table``.
    """
    is_event = np.isfinite(times.upper)
    start = 0.0 if times.entry is None else _cumulative_hazard(predictor, times.entry)
    lower = _cumulative_hazard(predictor, times.lower)
    upper = _cumulative_hazard(predictor, np.where(is_event, times.upper, times.lower))
    return residual_table(start, lower, upper, is_event, index)


def _cumulative_hazard(predictor: Predictor, times: Array) -> Array:
    return np.asarray(-predictor.survivors(times).value, dtype=float)
