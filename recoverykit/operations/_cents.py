"""Money of the recovery unit as whole cents, so that sums are exact in any order. Private to the operations layer."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def cents(amount: pd.Series) -> NDArray[np.int64]:
    """Return amounts as whole cents; the border has checked that each is a finite number."""
    return np.rint(amount.to_numpy(dtype=float) * 100.0).astype(np.int64)


def sums_of_cents(frame: pd.DataFrame, columns: list[str], by: list[str]) -> pd.DataFrame:
    """Return exact sums of money columns by group, as currency; every group of ``by`` in its order."""
    whole = pd.DataFrame({name: cents(frame[name]) for name in columns}, index=frame.index)
    keys = [frame[name] for name in by]
    return whole.groupby(keys, sort=True).sum() / 100.0


def total(amount: pd.Series) -> float:
    """Return the sum of amounts to the cent.

    Examples
    --------
    >>> total(pd.Series([0.1, 0.2]))
    0.3
    """
    return int(cents(amount).sum()) / 100
