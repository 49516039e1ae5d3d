"""Weighted sums of outer products of design rows, where most entries of a row are zero.

A design of factors holds a handful of numbers a row, however many columns it has. The products of these are laid out
once; every Newton step then needs one sparse product with its weights. Private; knows arrays only.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Array = NDArray[np.float64]
Gram = Callable[[Array], Array]

#: Worth it where a row's products are fewer than this share of all, because a dense product takes a fifteenth of the
#: time of a sparse one; and while they can be held, at 12 bytes each.
_WORTH_IT, _MOST_PRODUCTS = 0.05, 2_000_000


def sparse_gram(matrix: Array, scaling: Array) -> Gram | None:
    """Return a function of weights that gives (X M)' diag(weight) (X M); None where X is not sparse enough.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_terms)
        X, before scaling: scaling fills it.
    scaling : ndarray of shape (n_terms, n_terms)
        M.
    """
    n_rows, n_terms = matrix.shape
    rows, columns = np.nonzero(matrix)
    filled = np.bincount(rows, minlength=n_rows)
    most = int(filled.max(initial=0))
    if most == 0 or most**2 > _WORTH_IT * n_terms**2 or n_rows * most**2 > _MOST_PRODUCTS:
        return None
    place = np.arange(len(rows)) - np.repeat(np.cumsum(filled) - filled, filled)
    where, values = np.zeros((n_rows, most), dtype=np.int32), np.zeros((n_rows, most))
    where[rows, place], values[rows, place] = columns, matrix[rows, columns]
    pairs = (where[:, :, None] * n_terms + where[:, None, :]).ravel()
    products = (values[:, :, None] * values[:, None, :]).ravel()
    starts = np.arange(0, n_rows * most**2 + 1, most**2, dtype=np.int32)
    laid_out = csr_array((products, pairs, starts), shape=(n_rows, n_terms**2)).T

    def gram(weight: Array) -> Array:
        return np.asarray(scaling.T @ (laid_out @ weight).reshape(n_terms, n_terms) @ scaling, dtype=float)

    return gram
