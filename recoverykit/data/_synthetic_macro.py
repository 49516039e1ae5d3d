"""The economy of the synthetic portfolio: unemployment and house prices, past and in three scenarios.

Months are counted from the first month end of the window; the paths begin two years before it. The path that the
lender lived through is the same in every scenario; after the reporting date the scenarios part.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data._synthetic_truth import FORECAST_MONTHS, HISTORY_MONTHS, SCENARIO_WEIGHTS

Array = NDArray[np.float64]
#: Unemployment, as a share, at months before the reporting date; linear between.
_TURNING_MONTHS = (-83, -62, -42, -27, -13, 0)
_TURNING_LEVELS = (0.0440, 0.0590, 0.0390, 0.0420, 0.0680, 0.0560)
_LONG_RUN_UNEMPLOYMENT = 0.050
#: Change of unemployment at the forecast's worst (or best) month, and that month, by scenario.
_SHOCKS = {"adverse": 0.028, "baseline": 0.0, "upside": -0.009}
_SHOCK_MONTH = 12


@dataclass(frozen=True, slots=True, eq=False)
class Economy:
    """Macro paths and the calendar.

    Attributes
    ----------
    month_ends : DatetimeIndex of length 24 + n_months + 36
        Month ends of the history, of the window and of the forecast.
    n_months : int
        Months of the window; the last one ends on the reporting date.
    unemployment_rate : dict of str to ndarray
        Per scenario, share, rounded to 4 digits.
    house_price_index : dict of str to ndarray
        Per scenario, 100 in the first month of the history, rounded to 2 digits.
    """

    month_ends: pd.DatetimeIndex
    n_months: int
    unemployment_rate: dict[str, Array]
    house_price_index: dict[str, Array]

    @property
    def first_month_end(self) -> pd.Timestamp:
        """First month end of the window, from which months are counted."""
        return self.month_ends[HISTORY_MONTHS]

    def unemployment_at(self, month: NDArray[np.int64]) -> Array:
        """Return the baseline unemployment of each month, held constant outside the path."""
        path = self.unemployment_rate["baseline"]
        return path[np.clip(month + HISTORY_MONTHS, 0, len(path) - 1)]

    def house_prices_at(self, month: NDArray[np.int64]) -> Array:
        """Return the baseline price index of each month; before the history it grew by 0.3 % a month."""
        path = self.house_price_index["baseline"]
        place = month + HISTORY_MONTHS
        return path[np.clip(place, 0, len(path) - 1)] * 1.003 ** np.minimum(place, 0)

    def to_frame(self) -> pd.DataFrame:
        """Return the contract table ``scenarios``."""
        frames = [
            pd.DataFrame(
                {
                    "scenario": name,
                    "month_end": self.month_ends,
                    "weight": weight,
                    "unemployment_rate": self.unemployment_rate[name],
                    "house_price_index": self.house_price_index[name],
                }
            )
            for name, weight in sorted(SCENARIO_WEIGHTS.items())
        ]
        return pd.concat(frames, ignore_index=True)


def simulate_economy(rng: np.random.Generator, *, n_months: int, reporting_date: pd.Timestamp) -> Economy:
    """Draw the economy of a window that ends on the reporting date."""
    n_past = HISTORY_MONTHS + n_months
    to_date = np.arange(n_past + FORECAST_MONTHS) - (n_past - 1)
    past = np.interp(to_date[:n_past], _TURNING_MONTHS, _TURNING_LEVELS) + _persistent_noise(rng, n_past)
    ahead = to_date[n_past:]
    unemployment, prices = {}, {}
    for name, shock in _SHOCKS.items():
        return_home = _LONG_RUN_UNEMPLOYMENT + (past[-1] - _LONG_RUN_UNEMPLOYMENT) * 0.94**ahead
        bump = shock * np.interp(ahead, (0, _SHOCK_MONTH, FORECAST_MONTHS), (0.0, 1.0, 0.35))
        path = np.concatenate([past, return_home + bump])
        growth = 0.0035 - 0.40 * (path - _LONG_RUN_UNEMPLOYMENT)
        growth[0] = 0.0
        unemployment[name] = np.round(path, 4)
        prices[name] = np.round(100 * np.exp(np.cumsum(growth)), 2)
    month_ends = pd.date_range(end=reporting_date, periods=n_past, freq="ME")
    calendar = month_ends.append(pd.date_range(month_ends[-1], periods=FORECAST_MONTHS + 1, freq="ME")[1:])
    return Economy(pd.DatetimeIndex(calendar), n_months, unemployment, prices)


def _persistent_noise(rng: np.random.Generator, n_months: int) -> Array:
    shocks = 0.0006 * rng.standard_normal(n_months)
    weights = 0.8 ** np.arange(n_months)
    return np.convolve(shocks, weights)[:n_months]
