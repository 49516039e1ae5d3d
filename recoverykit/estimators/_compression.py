"""Exact compression: rows that say the same thing become one row that counts.

Months are whole and segments categorical, so a million episodes are a few thousand distinct rows with the same
likelihood. Columns become integer codes, codes become one key, and the key is counted; nothing is sorted or hashed
where counting will do. Private: this module knows nothing of what the columns mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: A column of whole numbers spans at most this much to be coded by subtraction.
_WIDEST_RANGE = 65_536
#: A key space up to this size is always counted directly; beyond it, up to eight times the rows.
_SMALL_TABLE = 65_536
#: Keys stay below this, so that the product of two never overflows 64 bits.
_LARGEST_KEY = 2**31
_SAMPLE = 2_000
#: A column is taken to be continuous when more than this share of a sample of it is distinct.
_CONTINUOUS_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Codes:
    """A column as integers 0 .. size - 1, in the order of its sorted values."""

    codes: IntArray
    size: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Distinct keys of some rows.

    Attributes
    ----------
    first : ndarray of int of shape (n_distinct,)
        A row that bears each key, keys in ascending order.
    weight : ndarray of shape (n_distinct,)
        Sum of the weights of its rows.
    inverse : ndarray of int of shape (n_rows,) or None
        Position of each row's key, where asked for.
    """

    first: IntArray
    weight: Array
    inverse: IntArray | None

    @property
    def places(self) -> IntArray:
        """Position of each row's key; the tally must have been made with its inverse."""
        if self.inverse is None:
            raise ValueError("the tally was made without its inverse")
        return self.inverse


def is_continuous(values: pd.Series | Array) -> bool:
    """Tell from an even sample whether a column has too many distinct values to be worth compressing."""
    n_rows = len(values)
    if n_rows <= 2 * _SAMPLE:
        return False
    most = _CONTINUOUS_SHARE * _SAMPLE
    if isinstance(values, pd.Series):
        if isinstance(values.dtype, pd.CategoricalDtype) and len(values.cat.categories) <= most:
            return False
        if values.dtype.kind not in "iufb" or not isinstance(values.dtype, np.dtype):
            return bool(values.iloc[_sample(n_rows)].nunique() > most)
        values = values.to_numpy()
    return len(np.unique(values[_sample(n_rows)])) > most


def _sample(n_rows: int) -> IntArray:
    return np.linspace(0, n_rows - 1, _SAMPLE).astype(np.int64)


def encode(values: pd.Series | Array) -> Codes:
    """Turn a column without missing values into codes that do not depend on the order of its rows.

    Parameters
    ----------
    values : Series or ndarray of shape (n_rows,)
        Categories, booleans, numbers (infinity included) or other values that can be sorted.

    Returns
    -------
    Codes
        The codes and how many there may be.
    """
    if isinstance(values, pd.Series) and isinstance(values.dtype, pd.CategoricalDtype):
        return Codes(np.asarray(values.cat.codes, dtype=np.int64), max(len(values.cat.categories), 1))
    array = values.to_numpy() if isinstance(values, pd.Series) else values
    if array.dtype.kind in "bui":
        whole_numbers = np.asarray(array, dtype=np.int64)
        low, high = int(whole_numbers.min()), int(whole_numbers.max())
        if high - low < _WIDEST_RANGE:
            return Codes(np.asarray(whole_numbers - low, dtype=np.int64), high - low + 1)
    if array.dtype.kind == "f":
        whole = _encode_whole(array)
        if whole is not None:
            return whole
    codes, levels = pd.factorize(array, sort=True)
    return Codes(np.asarray(codes, dtype=np.int64), len(levels))


def _encode_whole(array: Array) -> Codes | None:
    """Code floats that are whole numbers in a narrow range, infinity last; None when they are not."""
    finite = np.isfinite(array)
    all_finite = bool(finite.all())
    within = array if all_finite else array[finite]
    if len(within) == 0:
        return Codes(np.zeros(len(array), dtype=np.int64), 1)
    low, high = float(within.min()), float(within.max())
    if high - low >= _WIDEST_RANGE or not np.array_equal(np.floor(within), within):
        return None
    bounded = array if all_finite else np.where(finite, array, high + 1.0)
    return Codes((bounded - low).astype(np.int64), int(high - low) + 2)


def combine(columns: Sequence[Codes], n_rows: int) -> Codes:
    """Combine several coded columns into one, first column most significant."""
    key, size = np.zeros(n_rows, dtype=np.int64), 1
    for column in columns:
        if size > 1 and size * column.size > _LARGEST_KEY:
            distinct, key = np.unique(key, return_inverse=True)
            size = len(distinct)
        key = key * column.size + column.codes if size > 1 else column.codes
        size *= column.size
    return Codes(key, size)


def tally(key: Codes, weights: Array | None, *, want_inverse: bool) -> Tally:
    """Count distinct keys.

    Parameters
    ----------
    key : Codes
        One key per row.
    weights : ndarray of shape (n_rows,) or None
        Case weights; None counts each row once.
    want_inverse : bool
        Whether to say where each row went.
    """
    n_rows = len(key.codes)
    if key.size > max(8 * n_rows, _SMALL_TABLE):
        _, earliest, place = np.unique(key.codes, return_index=True, return_inverse=True)
        total = np.bincount(place, weights=weights, minlength=len(earliest)).astype(float)
        return Tally(earliest, total, place if want_inverse else None)
    counts = np.bincount(key.codes, minlength=key.size)
    there = counts > 0
    first = np.zeros(key.size, dtype=np.int64)
    first[key.codes[::-1]] = np.arange(n_rows - 1, -1, -1)  # the last assignment wins: the first row of each key
    weight = counts if weights is None else np.bincount(key.codes, weights=weights, minlength=key.size)
    inverse = (np.cumsum(there) - 1)[key.codes] if want_inverse else None
    return Tally(first[there], weight[there].astype(float), inverse)
