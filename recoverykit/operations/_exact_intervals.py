"""Exact intervals of counts and shares, and the exact law of a sum of unequal chances. Private to the operations layer.

Units are small and shares lie near 0 or 1, where the normal approximation is wrong in both directions.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Array = NDArray[np.float64]
#: Halvings of a bracket: enough for the last digit of a number between 0 and 1.
_N_HALVINGS = 60


def binomial_interval(
    n_events: ArrayLike, n_trials: ArrayLike, *, level: float, mid_p: bool = False
) -> tuple[Array, Array]:
    """Return the exact interval of a share.

    Parameters
    ----------
    n_events, n_trials : array_like of shape (n,)
        Whole numbers, 0 <= events <= trials.
    level : float
        Confidence level, in (0, 1).
    mid_p : bool
        Count half of the probability of what was seen: shorter, and its coverage is the nominal one on average only.

    Returns
    -------
    lower, upper : ndarray of shape (n,)
        Clopper & Pearson (1934) limits, or their mid-P variant; NaN without a trial.
    """
    events, trials = np.broadcast_arrays(np.asarray(n_events, dtype=float), np.asarray(n_trials, dtype=float))
    tail = (1.0 - level) / 2.0
    with np.errstate(invalid="ignore"):
        lower = np.where(events > 0, special.betaincinv(np.maximum(events, 0.5), trials - events + 1.0, tail), 0.0)
        rest = np.maximum(trials - events, 0.5)
        upper = np.where(events < trials, special.betaincinv(events + 1.0, rest, 1.0 - tail), 1.0)
    if mid_p:

        def below(share: Array) -> Array:
            """Return P(X < x) + P(X = x) / 2 of x events."""
            return np.asarray(
                stats.binom.cdf(events, trials, share) - 0.5 * stats.binom.pmf(events, trials, share), dtype=float
            )

        lower, upper = _mid_p_limits(below, lower, upper, events > 0, events < trials, tail)
    nothing = trials == 0
    return np.where(nothing, np.nan, lower), np.where(nothing, np.nan, upper)


def poisson_interval(n_events: ArrayLike, *, level: float, mid_p: bool = False) -> tuple[Array, Array]:
    """Return the exact interval of the mean of a count (Garwood 1936), or its mid-P variant.

    Parameters
    ----------
    n_events : array_like of shape (n,)
        Whole numbers, 0 or more.
    level, mid_p
        As in ``binomial_interval``.

    Returns
    -------
    lower, upper : ndarray of shape (n,)
    """
    events = np.asarray(n_events, dtype=float)
    tail = (1.0 - level) / 2.0
    lower = np.where(events > 0, special.gammaincinv(np.maximum(events, 0.5), tail), 0.0)
    upper = special.gammaincinv(events + 1.0, 1.0 - tail)
    if mid_p:

        def below(mean: Array) -> Array:
            return np.asarray(stats.poisson.cdf(events, mean) - 0.5 * stats.poisson.pmf(events, mean), dtype=float)

        lower, upper = _mid_p_limits(below, lower, upper, events > 0, np.ones(events.shape, dtype=bool), tail)
    return lower, np.asarray(upper, dtype=float)


def sum_of_chances(probabilities: ArrayLike) -> Array:
    """Return the exact law of the number of events among cases of unequal chances (Poisson-binomial).

    Parameters
    ----------
    probabilities : array_like of shape (n,)
        Each in [0, 1].

    Returns
    -------
    ndarray of shape (n + 1,)
        P(number of events = k), k = 0 ... n; by adding case after case, which loses no digit.
    """
    law = np.ones(1)
    for chance in np.asarray(probabilities, dtype=float):
        longer = np.zeros(len(law) + 1)
        longer[:-1] = law * (1.0 - chance)
        longer[1:] += law * chance
        law = longer
    return law


def _mid_p_limits(
    below: Callable[[Array], Array],
    exact_lower: Array,
    exact_upper: Array,
    has_lower: NDArray[np.bool_],
    has_upper: NDArray[np.bool_],
    tail: float,
) -> tuple[Array, Array]:
    """Halve the bracket of the exact limits until the mid-P tail probabilities are met; ``below`` falls."""
    limits = []
    for target, there, else_ in ((1.0 - tail, has_lower, exact_lower), (tail, has_upper, exact_upper)):
        left, right = exact_lower.copy(), exact_upper.copy()
        for _ in range(_N_HALVINGS):
            middle = (left + right) / 2.0
            is_left = below(middle) > target
            left, right = np.where(is_left, middle, left), np.where(is_left, right, middle)
        limits.append(np.where(there, (left + right) / 2.0, else_))
    return limits[0], limits[1]
