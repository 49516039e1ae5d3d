"""A measure of performance as a value: the number, its standard error and its interval.

This module does not know which measure it is.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

Array = NDArray[np.float64]
#: Shares this close to 0 or 1 differ from them by rounding only.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Measure:
    """An estimated measure of performance.

    Attributes
    ----------
    name : str
        What was measured.
    value : float
        The estimate.
    standard_error : float
        From the sampling of episodes, the estimated censoring weights included; the predictions are taken as given.
    lower, upper : float
        Confidence limits.
    level : float
        Confidence level, in (0, 1).

    Examples
    --------
    >>> measure = Measure("concordance", 0.71, 0.02, 0.67, 0.75, 0.95)
    >>> float(measure)
    0.71
    """

    name: str
    value: float
    standard_error: float
    lower: float
    upper: float
    level: float

    def __float__(self) -> float:
        return self.value

    def to_frame(self) -> pd.DataFrame:
        """Return one row: measure, value, standard_error, lower, upper."""
        record = self.to_record()
        record.pop("level")
        return pd.DataFrame([record])

    def to_record(self) -> dict[str, str | float]:
        """Return the fields by name, ready for JSON."""
        record = asdict(self)
        return {"measure": record.pop("name"), **record}


def discrimination_limits(values: Array, standard_errors: Array, level: float) -> tuple[Array, Array]:
    """Return limits on the scale of the log-odds, inside [0, 1]; without width at 0, at 1 and where the error is 0."""
    z = ndtri(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = z * standard_errors / (values * (1.0 - values))
        lower, upper = expit(logit(values) - spread), expit(logit(values) + spread)
    certain = (standard_errors == 0) | (values <= ROUNDING) | (values >= 1.0 - ROUNDING)
    return np.where(certain, values, lower), np.where(certain, values, upper)


def distance_limits(values: Array, standard_errors: Array, level: float) -> tuple[Array, Array]:
    """Return limits on the scale of the values, not below 0."""
    spread = ndtri(0.5 + level / 2) * standard_errors
    return np.maximum(values - spread, 0.0), values + spread
