"""An estimated function of time as a value with a domain.

Survival, cumulative incidence and cumulative recovery are right-continuous step functions that are known up to the
last time observed and no further. A ``StepCurve`` refuses to answer beyond it; whoever wants to extend a curve does so
with a model, in the open. This module knows nothing about how a curve was estimated.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.errors import ExtrapolationError

Array = NDArray[np.float64]

#: Shares this close are equal up to the rounding of a product: half of the episodes may stand as 0.5000000000000001.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class StepCurve:
    """A right-continuous step function of months, with its pointwise interval.

    Attributes
    ----------
    times : ndarray of shape (n_times,)
        Strictly increasing, in months. The domain is [times[0], times[-1]]; times[0] is 0 by convention.
    values, lower, upper : ndarray of shape (n_times,)
        The estimate and its interval at each time.
    level : float
        Confidence level of the interval, in (0, 1).
    standard_errors : ndarray of shape (n_times,) or None
        Standard errors of the values, where the method gives them.
    n_at_risk : ndarray of shape (n_times,) or None
        Number (weighted) at risk just before each time.
    on_grid : bool
        Whether the curve is told at some months only, so that steps between them are left out.

    Examples
    --------
    >>> curve = StepCurve(times=[0, 3, 6], values=[1.0, 0.8, 0.5], lower=[1, 0.7, 0.4], upper=[1, 0.9, 0.6], level=0.95)
    >>> curve(4.5).item()
    0.8
    >>> curve.first_time_at_or_below(0.5)
    6.0
    """

    times: Array
    values: Array
    lower: Array
    upper: Array
    level: float = 0.95
    standard_errors: Array | None = None
    n_at_risk: Array | None = None
    on_grid: bool = False

    def __post_init__(self) -> None:
        for name in ("times", "values", "lower", "upper", "standard_errors", "n_at_risk"):
            given = getattr(self, name)
            if given is None:
                continue
            array = np.array(given, dtype=float)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
            if array.shape != (len(self.times),):
                raise ValueError(f"{name} has shape {array.shape}, times has {len(self.times)} entries")
        if len(self.times) == 0 or np.isnan(self.times[0]) or not np.all(np.diff(self.times) > 0):
            raise ValueError("times must be strictly increasing and not empty")

    def __call__(self, time: ArrayLike) -> Array:
        """Return the value at each time, in months.

        Raises
        ------
        ExtrapolationError
            Where a time lies outside the domain.
        """
        return self.values[self._position(time)]

    def at(self, time: ArrayLike) -> pd.DataFrame:
        """Return value, lower and upper at each time as a frame indexed by time."""
        where = self._position(time)
        columns = {"value": self.values[where], "lower": self.lower[where], "upper": self.upper[where]}
        return pd.DataFrame(columns, index=pd.Index(np.atleast_1d(time), name="months"))

    def first_time_at_or_below(self, value: float) -> float:
        """Return the first time at which the curve is at or below a value, up to rounding; NaN when it never is."""
        reached = np.flatnonzero(self.values <= value + ROUNDING)
        return float(self.times[reached[0]]) if len(reached) else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """Return one row per time: months, value, lower, upper, and standard_error and n_at_risk where known."""
        columns = {"months": self.times, "value": self.values, "lower": self.lower, "upper": self.upper}
        if self.standard_errors is not None:
            columns["standard_error"] = self.standard_errors
        if self.n_at_risk is not None:
            columns["n_at_risk"] = self.n_at_risk
        return pd.DataFrame(columns)

    def _position(self, time: ArrayLike) -> NDArray[np.intp]:
        asked = np.atleast_1d(np.asarray(time, dtype=float))
        first, last = self.times[0], self.times[-1]
        outside = asked[~((asked >= first) & (asked <= last))]
        if len(outside):
            raise ExtrapolationError(
                f"asked for month {outside[0]:g}, but the curve is known from month {first:g} to {last:g}; "
                "ask within that range, or extend the curve with a model"
            )
        return np.searchsorted(self.times, asked, side="right") - 1
