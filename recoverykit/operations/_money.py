"""Money of the recovery unit as whole cents, so that parts add up to their total in any order."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def in_cents(amount: pd.Series | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return amounts as whole cents.

    Examples
    --------
    >>> in_cents(pd.Series([0.1, 19.99])).tolist()
    [10, 1999]
    """
    return np.rint(np.asarray(amount, dtype=float) * 100).astype(np.int64)


def total(amount: pd.Series | NDArray[np.float64]) -> float:
    """Return the sum of amounts to the cent.

    Examples
    --------
    >>> total(pd.Series([0.1, 0.2]))
    0.3
    """
    return int(in_cents(amount).sum()) / 100
