"""Money as whole cents, so that sums are exact in any order and any grouping."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def to_cents(amount: pd.Series | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return amounts as whole cents, so that sums are exact in any order.

    Raises
    ------
    ValueError
        When an amount is missing or infinite: there is no whole number for it.
    """
    cents = np.rint(np.asarray(amount, dtype=float) * 100)
    if not np.isfinite(cents).all():
        raise ValueError(f"{np.sum(~np.isfinite(cents))} of {len(cents)} amounts are missing or infinite")
    return cents.astype(np.int64)


def exact_sum(amount: pd.Series) -> float:
    """Return the sum of amounts in whole cents, as currency; NaN when an amount is missing.

    Examples
    --------
    >>> exact_sum(pd.Series([0.1, 0.2])), exact_sum(pd.Series([0.1, None]))
    (0.3, nan)
    """
    return float("nan") if amount.isna().any() else int(to_cents(amount).sum()) / 100
