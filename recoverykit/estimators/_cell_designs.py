"""Design matrices whose rows are those of a few cells, multiplied by numbers, without ever being written out.

A formula of categories and of numbers without functions has columns that are each an indicator of categories times a
product of numbers. A million rows with fifteen columns are then a table of the combinations of categories and one array
for each product of numbers: a tenth of the memory, and sums over rows become sums within cells. Private.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._products import cross, weighted_sum

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DesignPart:
    """Columns of a design that are multiplied by one number.

    Attributes
    ----------
    number : int
        Which number; 0 is the constant 1.
    columns : slice or ndarray of int of shape (n_columns,)
        Their places in the design.
    matrix : ndarray of shape (n_cells, n_columns)
        What is multiplied.
    """

    number: int
    columns: slice | IntArray
    matrix: Array


@dataclass(frozen=True, slots=True, eq=False)
class CellDesign:
    """A design matrix of shape (n_rows, n_terms): ``indicators[cell[i], k] * numbers[factor[k], i]``.

    Attributes
    ----------
    indicators : ndarray of shape (n_cells, n_terms)
    factor : ndarray of int of shape (n_terms,)
        Which number multiplies each column.
    cell : ndarray of int of shape (n_rows,)
        Cell of each row; rows of a cell come in few runs.
    numbers : ndarray of shape (n_numbers, n_rows)
        Products of numbers; the first is 1.
    """

    __array_ufunc__: ClassVar[None] = None  # so that array @ design is taken to this class

    indicators: Array
    factor: IntArray
    cell: NDArray[np.int32]
    numbers: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.cell), len(self.factor)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.cell)

    @property
    def parts(self) -> tuple[DesignPart, ...]:
        """Columns by the number that multiplies them."""
        return tuple(_part(self.indicators, self.factor, int(number)) for number in np.unique(self.factor))

    def coefficients(self, theta: Array) -> Array:
        """Return what multiplies each number in each cell, shape (n_numbers, n_cells), at coefficients (n_terms,)."""
        found = np.zeros((len(self.numbers), len(self.indicators)))
        for part in self.parts:
            found[part.number] = part.matrix @ theta[part.columns]
        return found

    def __matmul__(self, theta: Array) -> Array:
        """Return the linear predictor of each row."""
        coefficients = self.coefficients(theta)
        starts = self._starts()
        result = np.empty(len(self.cell))
        for begin, end in zip(starts, np.append(starts[1:], len(result)), strict=True):
            result[begin:end] = coefficients[:, self.cell[begin]] @ self.numbers[:, begin:end]
        return result

    def __rmatmul__(self, weight: Array) -> Array:
        """Return weight @ design."""
        result = np.zeros(len(self.factor))
        for part in self.parts:
            result[part.columns] = weighted_sum(self._sums(weight, part.number, 0), part.matrix)
        return result

    def gram(self, weight: Array) -> Array:
        """Return the cross-product of the design with itself under weights, shape (n_terms, n_terms)."""
        result = np.zeros((len(self.factor), len(self.factor)))
        for left in self.parts:
            for right in self.parts:
                if left.number <= right.number:
                    sums = self._sums(weight, left.number, right.number)
                    block = cross(left.matrix, sums, right.matrix)
                    result[np.ix_(*(np.arange(len(self.factor))[part.columns] for part in (left, right)))] = block
                    result[np.ix_(*(np.arange(len(self.factor))[part.columns] for part in (right, left)))] = block.T
        return result

    def occurs(self, weight: Array) -> Array:
        """Return the weight of the rows in which each column is not 0, shape (n_terms,)."""
        result = np.zeros(len(self.factor))
        for part in self.parts:
            sums = self._within(np.where(self.numbers[part.number] != 0, weight, 0.0) if part.number else weight)
            result[part.columns] = sums @ (part.matrix != 0)
        return result

    def take(self, rows: IntArray) -> Array:
        """Write out some rows, shape (n, n_terms)."""
        return np.asarray(self.indicators[self.cell[rows]] * self.numbers[:, rows].T[:, self.factor], dtype=float)

    def _sums(self, weight: Array, left: int, right: int) -> Array:
        """Add up weight times two numbers within each cell."""
        for number in (left, right):
            weight = weight if number == 0 else weight * self.numbers[number]
        return self._within(weight)

    def _within(self, values: Array) -> Array:
        """Add up values within each cell."""
        starts = self._starts()
        sums = np.add.reduceat(values, starts)
        return np.bincount(self.cell[starts], weights=sums, minlength=len(self.indicators)).astype(float, copy=False)

    def _starts(self) -> IntArray:
        """Return the first row of each run of rows of one cell."""
        return np.concatenate([[0], np.flatnonzero(self.cell[1:] != self.cell[:-1]) + 1])


DesignMatrix = Array | CellDesign


def design_rows(design: DesignMatrix, rows: IntArray) -> Array:
    """Return some rows of a design, written out."""
    return design.take(rows) if isinstance(design, CellDesign) else np.asarray(design[rows], dtype=float)


def _part(indicators: Array, factor: IntArray, number: int) -> DesignPart:
    columns = np.flatnonzero(factor == number)
    return DesignPart(number, columns, np.ascontiguousarray(indicators[:, columns]))


def whole_part(matrix: Array) -> tuple[DesignPart, ...]:
    """Return a matrix that is written out as the only part of its design."""
    return (DesignPart(0, slice(0, matrix.shape[1]), matrix),)
