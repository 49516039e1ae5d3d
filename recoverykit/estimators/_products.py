"""Products of tall matrices in slices too small for the BLAS to share out among threads.

A block of a few thousand rows takes microseconds; handing it to threads that wait for a busy core takes milliseconds.
Slicing keeps the work on one core, whatever the environment says, so that worker processes do not fight. Private.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: OpenBLAS works on one thread below these sizes: rows x columns, and rows x columns x columns.
_VECTOR_WORK, _MATRIX_WORK = 8_192, 200_000


def times(matrix: Array, vector: Array) -> Array:
    """Return matrix @ vector for shapes (n, p) and (p,)."""
    if matrix.size <= _VECTOR_WORK:
        return np.asarray(matrix @ vector, dtype=float)
    step, main = _steps(matrix.shape[0], _VECTOR_WORK // matrix.shape[1])
    result = np.empty(len(matrix))
    if main:
        result[:main] = (matrix[:main].reshape(-1, step, matrix.shape[1]) @ vector).ravel()
    result[main:] = matrix[main:] @ vector
    return result


def weighted_sum(weight: Array, matrix: Array) -> Array:
    """Return weight @ matrix for shapes (n,) and (n, p)."""
    if matrix.size <= _VECTOR_WORK:
        return np.asarray(weight @ matrix, dtype=float)
    step, main = _steps(matrix.shape[0], _VECTOR_WORK // matrix.shape[1])
    result = np.asarray(weight[main:] @ matrix[main:], dtype=float)
    if main:
        stacked = weight[:main].reshape(-1, 1, step) @ matrix[:main].reshape(-1, step, matrix.shape[1])
        result = result + stacked.sum(axis=(0, 1))
    return result


def weighted_sums(weights: Array, matrix: Array) -> Array:
    """Return weights @ matrix for shapes (k, n) and (n, p)."""
    if len(weights) * matrix.size <= _MATRIX_WORK:
        return np.asarray(weights @ matrix, dtype=float)
    step, main = _steps(matrix.shape[0], _MATRIX_WORK // (len(weights) * matrix.shape[1]))
    result = np.asarray(weights[:, main:] @ matrix[main:], dtype=float)
    if main:
        sliced = weights[:, :main].reshape(len(weights), -1, step).transpose(1, 0, 2)
        result = result + (sliced @ matrix[:main].reshape(-1, step, matrix.shape[1])).sum(axis=0)
    return result


def cross(left: Array, weight: Array, right: Array) -> Array:
    """Return left.T @ diag(weight) @ right for shapes (n, p), (n,) and (n, q)."""
    weighted = weight[:, None] * right
    p, q = left.shape[1], right.shape[1]
    if len(left) * p * q <= _MATRIX_WORK:
        return np.asarray(left.T @ weighted, dtype=float)
    step, main = _steps(left.shape[0], _MATRIX_WORK // (p * q))
    result = np.asarray(left[main:].T @ weighted[main:], dtype=float)
    if main:
        stacked = left[:main].reshape(-1, step, p).transpose(0, 2, 1) @ weighted[:main].reshape(-1, step, q)
        result = result + stacked.sum(axis=0)
    return result


def crosses(left: Array, weights: Array, right: Array) -> Array:
    """Return left.T @ diag(weight) @ right for each row of weights (k, n): one product of shape (k, p, q) for all."""
    n, p, q = len(left), left.shape[1], right.shape[1]
    pairs = (left[:, :, None] * right[:, None, :]).reshape(n, p * q)
    step, main = _steps(n, _MATRIX_WORK // (len(weights) * p * q))
    result = np.asarray(weights[:, main:] @ pairs[main:], dtype=float)
    if main:
        sliced = weights[:, :main].reshape(len(weights), -1, step).transpose(1, 0, 2)
        result = result + (sliced @ pairs[:main].reshape(-1, step, p * q)).sum(axis=0)
    return result.reshape(len(weights), p, q)


def _steps(n_rows: int, at_most: int) -> tuple[int, int]:
    """Return the rows of a slice and how many rows are covered by whole slices."""
    step = max(min(at_most, n_rows), 1)
    return step, n_rows - n_rows % step
