"""Money as whole cents, so that sums are exact in any order and any grouping."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def to_cents(amount: pd.Series | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return amounts as whole cents, so that sums are exact in any order."""
    return np.rint(np.asarray(amount, dtype=float) * 100).astype(np.int64)


def exact_sum(amount: pd.Series) -> float:
    """Return the sum of amounts in whole cents, as currency."""
    return int(to_cents(amount).sum()) / 100
