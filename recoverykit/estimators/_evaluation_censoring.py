"""Weights that make up for what censoring hides, and what their estimation costs in certainty.

An episode that ended at month t is seen only if it was not censored before; dividing by the probability G(t-) of that
puts those back who were. G is the product-limit curve of being censored, on the rows that are evaluated. Events come
before censorings in the same month, as in ``kaplan_meier``. No frames here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Censoring:
    """The product-limit estimate of staying uncensored.

    Attributes
    ----------
    times : ndarray of shape (n_times,)
        Distinct durations, increasing.
    codes : ndarray of int of shape (n_rows,)
        Position of each row's duration among them.
    is_censored : ndarray of bool of shape (n_rows,)
        Whether the row ended without any outcome.
    before : ndarray of shape (n_times + 1,)
        G(t-), probability of not being censored before each time; at the end the probability after the last.
    hazard : ndarray of shape (n_times,)
        Share censored at each time, of those who could be.
    n_left : ndarray of shape (n_times,)
        Weight that stays after the censorings of each time.
    """

    times: Array
    codes: IntArray
    is_censored: BoolArray
    before: Array
    hazard: Array
    n_left: Array

    def row_weights(self) -> Array:
        """Return 1 / G(T-) of each row, of shape (n_rows,)."""
        return 1.0 / self.before[self.codes]

    def position(self, time: float) -> int:
        """Return the number of distinct durations before a time."""
        return int(np.searchsorted(self.times, time, side="left"))

    def weight_at(self, time: float) -> float:
        """Return 1 / G(time-)."""
        return float(1.0 / self.before[self.position(time)])

    def correction(self, parts: Array, positions: IntArray) -> Array:
        """Compute what each row adds to a statistic through the estimated censoring curve.

        Parameters
        ----------
        parts : ndarray of shape (n_parts,)
            Weighted derivatives of the statistic in the log of a weight 1 / G.
        positions : ndarray of int of shape (n_parts,)
            Position p of the time of that weight: it is 1 / ``before[p]``.

        Returns
        -------
        ndarray of shape (n_rows,)
            Derivative of the statistic in the case weight of each row.

        Notes
        -----
        G(t-) is the product over u < t of 1 - c(u) / Y(u). A case weight added to a row changes -log G(t-) by the sum
        over u < t of [1(row censored at u) - 1(row at risk of it at u) c(u) / Y(u)] / (Y(u) - c(u)): the martingale
        term of Blanche, Dartigues & Jacqmin-Gadda (2013), in its exact form for a finite sample.
        """
        n_times = len(self.times)
        sums = np.bincount(positions, weights=parts, minlength=n_times + 1)
        above = sums.sum() - np.cumsum(sums)[:n_times]  # parts whose weight reaches beyond each time
        # Where nobody stays no weight reaches beyond, and nothing needs correcting.
        slope = np.divide(above, self.n_left, out=np.zeros(n_times), where=self.n_left > 0)
        compensator = np.concatenate([[0.0], np.cumsum(slope * self.hazard)])
        end = self.codes + self.is_censored
        return np.where(self.is_censored, slope[self.codes], 0.0) - compensator[end]


def estimate_censoring(*, durations: Array, is_censored: BoolArray, weights: Array) -> Censoring:
    """Estimate the curve of staying uncensored.

    Parameters
    ----------
    durations, weights : ndarray of shape (n_rows,)
        Months to the end of observation, episodes per row.
    is_censored : ndarray of bool of shape (n_rows,)
        Whether the row ended without any outcome.

    Returns
    -------
    Censoring
    """
    times, codes = np.unique(durations, return_inverse=True)
    censored = np.bincount(codes, weights=weights * is_censored, minlength=len(times))
    ended = np.bincount(codes, weights=weights * ~is_censored, minlength=len(times))
    n_left = np.concatenate([np.cumsum((censored + ended)[::-1])[::-1][1:], [0.0]])
    at_risk = n_left + censored
    hazard = np.divide(censored, at_risk, out=np.zeros(len(times)), where=at_risk > 0)
    stays = np.divide(n_left, at_risk, out=np.ones(len(times)), where=at_risk > 0)
    return Censoring(
        times=times,
        codes=codes,
        is_censored=is_censored,
        before=np.concatenate([[1.0], np.cumprod(stays)]),
        hazard=hazard,
        n_left=n_left,
    )
