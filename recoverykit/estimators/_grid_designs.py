"""Design matrices whose rows are a row of one small table plus a row of another, without ever being written out.

Where every term of a formula reads either the covariates or the month, the row of a cell is that of its pattern plus
that of its month. Products with thousands of cells are then products with a hundred patterns and a hundred months, and
sums over cells are sums over the margins of a table. Private.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recoverykit.estimators._products import cross
from recoverykit.estimators._rows import Array, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class GridDesign:
    """A design matrix of shape (n_cells, n_terms): ``patterns[pattern[i]] + months[month[i]]``.

    Attributes
    ----------
    patterns : ndarray of shape (n_patterns, n_terms)
    months : ndarray of shape (n_months, n_terms)
    pattern, month : ndarray of int of shape (n_cells,)
        Row of each cell in either table; no two cells share both.
    """

    __array_ufunc__: ClassVar[None] = None  # so that array @ design is taken to this class

    patterns: Array
    months: Array
    pattern: IntArray
    month: IntArray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.pattern), self.patterns.shape[1]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.pattern)

    def __matmul__(self, right: Array) -> Array:
        """Return design @ right, for a vector or a matrix of n_terms rows."""
        by_pattern, by_month = self.patterns @ right, self.months @ right
        return np.asarray(by_pattern.take(self.pattern, axis=0) + by_month.take(self.month, axis=0), dtype=float)

    def __rmatmul__(self, left: Array) -> Array:
        """Return left @ design, for a vector or a matrix of n_cells columns."""
        if left.ndim > 1:
            return np.array([row @ self for row in left])
        table = self._table(left)
        return np.asarray(table.sum(axis=1) @ self.patterns + table.sum(axis=0) @ self.months, dtype=float)

    def gram(self, weight: Array) -> Array:
        """Return the cross-product of the design with itself under weights, shape (n_terms, n_terms)."""
        table = self._table(weight)
        mixed = self.patterns.T @ (table @ self.months)
        own = cross(self.patterns, table.sum(axis=1), self.patterns) + cross(
            self.months, table.sum(axis=0), self.months
        )
        return np.asarray(own + mixed + mixed.T, dtype=float)

    def columns(self, chosen: IntArray) -> "GridDesign":
        """Return the design of some of the terms."""
        return GridDesign(self.patterns[:, chosen], self.months[:, chosen], self.pattern, self.month)

    def times(self, matrix: Array) -> "GridDesign":
        """Return the design times a matrix of shape (n_terms, k), as a design of k terms."""
        return GridDesign(self.patterns @ matrix, self.months @ matrix, self.pattern, self.month)

    def rows(self) -> Array:
        """Write the design out."""
        return self.patterns.take(self.pattern, axis=0) + self.months.take(self.month, axis=0)

    def _table(self, values: Array) -> Array:
        """Lay values of the cells out by pattern and month, 0 where there is no cell."""
        n_months = len(self.months)
        table: Array = np.zeros(len(self.patterns) * n_months)
        table[self.pattern * n_months + self.month] = values
        return table.reshape(-1, n_months)
