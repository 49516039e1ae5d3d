"""Frames whose rows repeat each other become frames of distinct rows with a count, before anything is checked.

A million monthly episodes are a few thousand distinct rows. They are counted on the integers in which columns are held
already, block by block, so that nothing of the frame's length is copied or converted. Nothing is decided here: a frame
that cannot be counted with certainty is left to whoever checks rows. This module knows nothing of what columns mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.estimators._compression import encode, is_continuous
from recoverykit.estimators._rows import Array, number_column

#: Column of the number of rows; no bank's frame has it.
COUNT = "rows that are alike"
#: Keys are counted in a table of at most this many cells, and at most this many times the rows.
_LARGEST_TABLE, _CELLS_PER_ROW = 4_000_000, 4
#: Rows whose keys are formed at a time, at least: what fits the cache.
_BLOCK_ROWS = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class _Coded:
    """A column as whole numbers ``low`` .. ``low + size - 1``, of any integer type."""

    values: NDArray[np.integer]
    low: int
    size: int

    def codes(self, block: slice) -> NDArray[np.integer]:
        """Return the codes 0 .. size - 1 of a block."""
        values = self.values[block]
        if self.low == 0:
            return values
        roomy = np.promote_types(values.dtype, _narrowest(self.size))
        return values.astype(roomy) - roomy.type(self.low)


def distinct_rows(
    frame: pd.DataFrame, columns: Sequence[str], weights_col: str | None
) -> tuple[pd.DataFrame, str] | None:
    """Collapse rows that are alike in all columns into one, with their weight.

    Parameters
    ----------
    frame : DataFrame
        Not empty, with all columns. Not changed.
    columns : sequence of str
        What tells rows apart; other columns are dropped.
    weights_col : str or None
        Number of episodes for which a row stands; None counts rows.

    Returns
    -------
    tuple of DataFrame and str, or None
        One row of the frame for each combination of values, sums of weights, and the name of their column; None where
        a column has missing or too many values, or a weight is not a positive number.
    """
    names = list(dict.fromkeys(columns))
    count_col = COUNT if weights_col is None else weights_col
    if count_col in names:
        return None
    weights = None if weights_col is None else number_column(frame, weights_col, 1.0)
    if weights is not None and not (weights.min() > 0 and weights.max() < np.inf):  # false for NaN, too
        return None
    coded = _coded_columns(frame, names)
    if coded is None:
        return None
    row_of, sums = _count(coded, weights)
    there = row_of >= 0
    return frame.take(row_of[there])[names].assign(**{count_col: sums[there]}), count_col


def _count(columns: list[_Coded], weights: Array | None) -> tuple[NDArray[np.int64], Array]:
    """Return for each combination of codes one of its rows (-1 where there is none) and the weight of all."""
    n_rows, size = len(columns[0].values), math.prod(column.size for column in columns)
    narrow = _narrowest(size)  # a short integer is multiplied several times as fast as a long one
    row_of, sums = np.full(size, -1, dtype=np.int64), np.zeros(size)
    step = max(_BLOCK_ROWS, size)  # adding up a table should not cost more than filling it
    for begin in range(0, n_rows, step):
        block = slice(begin, begin + step)
        key = columns[0].codes(block).astype(narrow)
        for column in columns[1:]:
            key *= column.size
            key += column.codes(block).astype(narrow, copy=False)
        key = key.astype(np.intp)
        added = np.bincount(key, weights=None if weights is None else weights[block], minlength=size)
        sums += added
        if np.any((added > 0) & (row_of < 0)):
            row_of[key] = np.arange(begin, begin + len(key))
    return row_of, sums


def _coded_columns(frame: pd.DataFrame, names: list[str]) -> list[_Coded] | None:
    """Code every column, where their combinations can be counted in a small table."""
    largest = min(_LARGEST_TABLE, _CELLS_PER_ROW * len(frame))
    columns, size = [], 1
    for name in names:
        column = _coded(frame[name])
        if column is None or size * column.size > largest:
            return None
        size *= column.size
        columns.append(column)
    return columns


def _coded(column: pd.Series) -> _Coded | None:
    """Code a column; None where values are missing or nearly all different."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        return None if codes.min() < 0 else _Coded(codes, 0, len(column.cat.categories))
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "O"
    values = column.to_numpy()
    if kind == "b":
        return _Coded(values.view(np.int8), 0, 2)
    if kind in "iu" and np.can_cast(values.dtype, np.int64):
        return _integers(values)
    if is_continuous(column):
        return None
    if kind == "f" and (whole := _as_whole(values)) is not None:
        return _integers(whole)
    if kind == "f" and (values > -np.inf).all():  # false for NaN, too; infinity is a value like others
        encoded = encode(values)
        return _Coded(encoded.codes, 0, encoded.size)
    codes, levels = pd.factorize(column)
    return None if codes.min() < 0 else _Coded(codes, 0, len(levels))


def _narrowest(size: int) -> np.dtype[np.signedinteger]:
    """Return the shortest signed integers that hold numbers up to a size."""
    return np.min_scalar_type(-size - 1)


def _integers(values: NDArray[np.integer]) -> _Coded:
    low, high = int(values.min()), int(values.max())
    return _Coded(values, low, high - low + 1)


def _as_whole(values: NDArray[np.floating]) -> NDArray[np.int32] | None:
    """Return floats as integers where all of them are whole, and small enough to be counted."""
    if not max(-values.min(), values.max()) <= _LARGEST_TABLE:  # true for NaN, too
        return None
    whole = values.astype(np.int32)
    return whole if np.array_equal(whole, values) else None
