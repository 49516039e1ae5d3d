"""Limits of a funnel plot from the exact laws of counts. Private; ``scorecards`` reads it.

Spiegelhalter (2005), Statistics in Medicine 24:1185-1202. A count moves in whole steps, so limits are interpolated
between counts to be smooth in the size of a unit (his appendix A.1.1).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How much units differ beyond chance.

    Attributes
    ----------
    phi : float
        Variance of the winsorised z-scores around the target; about 1 where chance alone explains the units.
    is_beyond_chance : bool
        Whether ``phi`` exceeds what chance gives to so many units.
    factor : float
        What limits are widened by: sqrt(phi) where it is beyond chance, else 1.
    """

    phi: float
    is_beyond_chance: bool
    factor: float


def count_limits(law: Any, tail: float) -> tuple[Array, Array]:
    """Return counts below and above which a count lies with at most the tail probability, interpolated.

    Parameters
    ----------
    law : frozen scipy distribution of counts
        Of shape (n,).
    tail : float
        Probability beyond each limit, in (0, 0.5).

    Returns
    -------
    lower, upper : ndarray of shape (n,)
        With r the smallest count such that P(R <= r) > tail and a = [P(R <= r) - tail] / P(R = r), the lower limit is
        r - a. The upper one mirrors it: with s the largest count such that P(R >= s) > tail and b alike, s + b. Thus
        a count outside a limit has a tail probability of at most ``tail`` on either side; the formula of the paper
        puts the upper limit one count lower, where that does not hold.
    """
    low = np.asarray(law.ppf(tail), dtype=float)
    low = np.where(law.cdf(low) > tail, low, low + 1.0)
    low = np.where((low > 0) & (law.cdf(low - 1.0) > tail), low - 1.0, low)
    lower = low - (law.cdf(low) - tail) / law.pmf(low)
    high = np.asarray(law.isf(tail), dtype=float)
    high = np.where(law.sf(high - 1.0) > tail, high, high - 1.0)
    high = np.where(law.sf(high) > tail, high + 1.0, high)
    upper = high + (law.sf(high - 1.0) - tail) / law.pmf(high)
    return np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)


def share_limits(target: float, n_cases: Array, tail: float, *, factor: float = 1.0) -> tuple[Array, Array]:
    """Return the limits of a share around a target, for units of given sizes, within [0, 1]."""
    lower, upper = count_limits(stats.binom(n_cases, target), tail)
    low, high = (target + factor * (limit / n_cases - target) for limit in (lower, upper))
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def ratio_limits(target: float, n_expected: Array, tail: float, *, factor: float = 1.0) -> tuple[Array, Array]:
    """Return the limits of observed / expected around a target ratio, for units of given expected counts."""
    lower, upper = count_limits(stats.poisson(target * n_expected), tail)
    low, high = (target + factor * (limit / n_expected - target) for limit in (lower, upper))
    return np.maximum(low, 0.0), high


def law_limits(law: Array, tail: float) -> tuple[float, float]:
    """Return the limits of ``count_limits`` for any law on 0, 1, ..., n, given as its probabilities."""
    up_to, from_ = np.cumsum(law), np.cumsum(law[::-1])[::-1]
    low = int(np.argmax(up_to > tail))
    high = len(law) - 1 - int(np.argmax(from_[::-1] > tail))
    return float(low - (up_to[low] - tail) / law[low]), float(high + (from_[high] - tail) / law[high])


def winsorised_spread(z_scores: Array, *, share: float) -> Spread:
    """Estimate over-dispersion from z-scores whose extremes are drawn in.

    Parameters
    ----------
    z_scores : ndarray of shape (n_units,)
        Around the target.
    share : float
        Share of the units at each end whose score is set to that of the last one kept, in [0, 0.5).

    Returns
    -------
    Spread
        phi = mean of the squared winsorised scores (Spiegelhalter 2005, section 3.3.1). It counts as beyond chance from
        1 + 2 sqrt(2 / n) on, two standard errors of phi where chance alone is at work.
    """
    n_units = len(z_scores)
    n_drawn = int(np.floor(share * n_units))
    ordered = np.sort(z_scores)
    held = np.clip(z_scores, ordered[n_drawn], ordered[n_units - 1 - n_drawn])
    phi = float(np.mean(held**2))
    beyond = phi > 1.0 + 2.0 * np.sqrt(2.0 / n_units)
    return Spread(phi, bool(beyond), float(np.sqrt(phi)) if beyond else 1.0)
