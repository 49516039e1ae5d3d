"""Cox-Snell residuals of a cure model: the cumulative hazard that each episode has lived through.

If the model holds, the residuals of the events are a censored sample of the unit exponential distribution, cut off at
minus the log of the never-share (Cox and Snell 1968, JRSS B 30:248). Private to the cure models.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.estimators._event_times import EventTimes
from recoverykit.estimators._mixture_prediction import Predictor

Array = NDArray[np.float64]

_NARROW = 1e-8


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
        Columns ``residual``, ``lower``, ``upper`` (cumulative hazard at both ends of the interval; equal for exact
        times, upper infinite where no event was seen) and ``event``. The residual of an interval is the mean of the
        unit exponential inside it (Farrington 2000, Biometrics 56:473).
    """
    start = 0.0 if times.entry is None else _cumulative_hazard(predictor, times.entry)
    is_event = np.isfinite(times.upper)
    lower = np.maximum(_cumulative_hazard(predictor, times.lower) - start, 0.0)
    end = np.where(is_event, times.upper, times.lower)
    upper = np.maximum(_cumulative_hazard(predictor, end) - start, lower)
    width = upper - lower
    wide = is_event & (width > _NARROW)
    # Mean of a unit exponential in (l, l + w): l + 1 - w / (exp(w) - 1).
    inside = 1.0 - np.where(wide, width, 1.0) / np.expm1(np.where(wide, np.minimum(width, 700.0), 1.0))
    residual = lower + np.where(wide, inside, 0.5 * width)
    columns = {"residual": residual, "lower": lower, "upper": np.where(is_event, upper, np.inf), "event": is_event}
    return pd.DataFrame(columns, index=index)


def _cumulative_hazard(predictor: Predictor, times: Array) -> Array:
    return np.asarray(-predictor.survivors(times).value, dtype=float)
