"""From derivatives of single rows to gradient and Hessian: sums within the rows of the designs first, designs after.

Rows that share a design row share what multiplies their derivatives, so the derivatives are added up before they are
multiplied: the products then cost what the designs have rows, not what the data have. Where design rows are those of
cells, the sums are of derivatives times products of numbers. Private to the mixture models.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._cell_designs import DesignPart
from recoverykit.estimators._mixture_terms import RowTerms
from recoverykit.estimators._products import cross, weighted_sums

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Moments:
    """Sums of the weighted derivatives of a batch, by derivative, pair of numbers and design row.

    Parameters
    ----------
    n_ancillary : int
        Parameters beside a and eta in which rows are differentiated.
    n_numbers : int
        Numbers that multiply the columns of the designs, the constant 1 among them.
    n_cells : int
        Rows of the designs.
    """

    __slots__ = ("_held", "_n_alone", "_places", "_sums")

    def __init__(self, n_ancillary: int, n_numbers: int, n_cells: int) -> None:
        """Begin with nothing."""
        self._places = _places(n_ancillary)
        self._n_alone = len(self._places) - self._places[1, 1] - 1
        self._held: frozenset[tuple[int, ...]] = frozenset()
        self._sums = np.zeros((len(self._places), n_numbers * (n_numbers + 1) // 2, n_cells))

    def add(
        self,
        terms: RowTerms,
        weight: Array,
        cells: IntArray,
        starts: IntArray,
        numbers: Array | None,
        *,
        is_each: bool,
    ) -> None:
        """Add the terms of a block.

        Parameters
        ----------
        terms : RowTerms
            Of n rows.
        weight : ndarray of shape (n,)
        cells, starts : ndarray of int of shape (n_runs,)
            Design row of each run of rows, and its first row.
        numbers : ndarray of shape (n_numbers, n) or None
            What multiplies the columns of the designs, first the constant 1.
        is_each : bool
            Whether row i has design row i, which then nobody else has.
        """
        places, held = _found(len(terms.first), tuple(terms.second))
        derivatives = np.empty((len(places), len(weight)))
        for one, out in zip((*terms.first, *terms.second.values()), derivatives, strict=True):
            np.multiply(weight, one, out=out)
        self._held |= held
        if numbers is not None:
            products = np.array([numbers[i] * numbers[j] for i, j in _pairs(len(numbers))]).T
            ends = np.append(starts[1:], len(weight))
            for cell, begin, end in zip(cells.tolist(), starts.tolist(), ends.tolist(), strict=True):
                self._sums[places, :, cell] += derivatives[:, begin:end] @ products[begin:end]
        elif is_each:
            self._sums[places, 0] = derivatives
        else:
            self._sums[places[:, None], 0, cells] += np.add.reduceat(derivatives, starts, axis=1)

    def assemble(
        self,
        designs: tuple[tuple[DesignPart, ...], tuple[DesignPart, ...]],
        offsets: tuple[int, int, int],
        gradient: Array,
        hessian: Array,
    ) -> None:
        """Multiply the designs on, and add to the gradient and to the Hessian.

        Parameters
        ----------
        designs : tuple of tuple of DesignPart
            Incidence and latency.
        offsets : tuple of int
            First parameter of incidence, of latency, and of the ancillary ones.
        gradient : ndarray of shape (n_params,)
        hessian : ndarray of shape (n_params, n_params)
        """
        n_ancillary = len(gradient) - offsets[2]
        ancillary = slice(offsets[2], None)
        for i, design in enumerate(designs):
            alone = slice(i * (1 + n_ancillary), (i + 1) * (1 + n_ancillary))
            for left in design:
                rows = _shifted(left.columns, offsets[i])
                sums = weighted_sums(self._sums[alone, _pair(0, left.number)], left.matrix)
                gradient[rows] += sums[0]
                hessian[rows, ancillary] += sums[1:].T
                hessian[ancillary, rows] += sums[1:]
        for i, j in ((0, 0), (0, 1), (1, 1)):
            if (i, j) in self._held:
                self._cross(i, j, (designs[i], designs[j]), offsets, hessian)
        totals = self._sums[len(self._sums) - self._n_alone :, 0].sum(axis=1)
        gradient[ancillary] += totals[:n_ancillary]
        hessian[ancillary, ancillary] += totals[_corner(n_ancillary)]

    def _cross(
        self,
        i: int,
        j: int,
        sides: tuple[tuple[DesignPart, ...], tuple[DesignPart, ...]],
        offsets: tuple[int, int, int],
        hessian: Array,
    ) -> None:
        """Add the products of a design with another, or with itself."""
        place = self._places[i, j]
        for left in sides[0]:
            rows = _shifted(left.columns, offsets[i])
            for right in sides[1]:
                columns = _shifted(right.columns, offsets[j])
                product = cross(left.matrix, self._sums[place, _pair(left.number, right.number)], right.matrix)
                if isinstance(rows, slice) and isinstance(columns, slice):
                    hessian[rows, columns] += product
                    if i != j:
                        hessian[columns, rows] += product.T
                    continue
                numbered = [np.arange(len(hessian))[side] for side in (rows, columns)]
                hessian[np.ix_(*numbered)] += product
                if i != j:
                    hessian[np.ix_(*numbered[::-1])] += product.T


def _shifted(columns: slice | IntArray, by: int) -> slice | IntArray:
    return slice(columns.start + by, columns.stop + by) if isinstance(columns, slice) else columns + by


@lru_cache(maxsize=16)
def _places(n_ancillary: int) -> dict[tuple[int, ...], int]:
    """Return where each derivative is kept, (i,) or (i, j) with i <= j: those multiplied by one design come first."""
    ancillary = range(2, 2 + n_ancillary)
    keys: list[tuple[int, ...]] = []
    for part in (0, 1):
        keys += [(part,), *((part, k) for k in ancillary)]
    keys += [(0, 0), (0, 1), (1, 1), *((k,) for k in ancillary)]
    keys += [(i, j) for i in ancillary for j in ancillary if i <= j]
    return {key: place for place, key in enumerate(keys)}


@lru_cache(maxsize=16)
def _corner(n_ancillary: int) -> IntArray:
    """Return where the second derivatives of the ancillary parameters are kept, among those multiplied by no design."""
    places, ancillary = _places(n_ancillary), range(2, 2 + n_ancillary)
    first = places[1, 1] + 1
    found = [[places[min(i, j), max(i, j)] - first for j in ancillary] for i in ancillary]
    return np.array(found, dtype=np.int64).reshape(n_ancillary, n_ancillary)


@lru_cache(maxsize=64)
def _found(n_slopes: int, second: tuple[tuple[int, int], ...]) -> tuple[IntArray, frozenset[tuple[int, ...]]]:
    """Return the places of derivatives, and the second ones among them."""
    places = _places(n_slopes - 2)
    return np.array([places[key] for key in (*((i,) for i in range(n_slopes)), *second)]), frozenset(second)


def _pair(left: int, right: int) -> int:
    """Return the place of a pair of numbers among all (i, j) with i <= j, by j and then by i."""
    low, high = min(left, right), max(left, right)
    return high * (high + 1) // 2 + low


@lru_cache(maxsize=16)
def _pairs(n_numbers: int) -> list[tuple[int, int]]:
    """List the pairs of numbers by their places."""
    return [(i, j) for j in range(n_numbers) for i in range(j + 1)]
