"""Empirical Bayes for units: how much they truly differ, by maximum likelihood, and where each probably stands.

Gamma-Poisson for observed / expected, beta-binomial for shares. Both likelihoods are maximised over the logarithm of
the prior's mean and size; without any true difference between units the maximum lies at an infinite size, and the
result says so. Private; ``scorecards`` and ``promises`` read it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from recoverykit.errors import ConvergenceError

Array = NDArray[np.float64]
#: Logarithm of the prior's size (units' worth of cases) between which the maximum is sought.
_SMALLEST, _LARGEST = -3.0, 14.0
#: A likelihood no better than this above that of one common value is flat: units do not differ as far as can be told.
_FLAT = 1e-3
_STARTS = (1.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Prior:
    """The law of the units' true values.

    Attributes
    ----------
    first, second : float
        Shape and rate of a gamma law, or the two parameters of a beta law.
    is_beta : bool
    mean, standard_deviation : float
        Of the true values; the standard deviation is 0 where units do not differ as far as can be told.
    loglik : float
    """

    first: float
    second: float
    is_beta: bool
    mean: float
    standard_deviation: float
    loglik: float


def beta_prior(n_events: Array, n_cases: Array) -> Prior:
    """Fit the beta law of true shares to events among cases by maximum likelihood of the beta-binomial.

    Parameters
    ----------
    n_events, n_cases : ndarray of shape (n_units,)
        Units without a case tell nothing and are passed over.
    """
    known = n_cases > 0
    events, cases = n_events[known], n_cases[known]
    rate = float(np.clip(events.sum() / cases.sum(), 1e-6, 1.0 - 1e-6))

    def minus_loglik(point: Array) -> float:
        mean, size = special.expit(point[0]), np.exp(point[1])
        return -float(stats.betabinom.logpmf(events, cases, mean * size, (1.0 - mean) * size).sum())

    point, loglik = _maximum(minus_loglik, float(special.logit(rate)))
    alike = float(stats.binom.logpmf(events, cases, rate).sum())
    if loglik < alike + _FLAT:
        size = float(np.exp(_LARGEST))
        return Prior(rate * size, (1.0 - rate) * size, True, rate, 0.0, alike)
    mean, size = float(special.expit(point[0])), float(np.exp(point[1]))
    spread = float(np.sqrt(mean * (1.0 - mean) / (size + 1.0)))
    return Prior(mean * size, (1.0 - mean) * size, True, mean, spread, loglik)


def gamma_prior(n_events: Array, n_expected: Array) -> Prior:
    """Fit the gamma law of true ratios to events and expected events by maximum likelihood.

    Parameters
    ----------
    n_events, n_expected : ndarray of shape (n_units,)
        The expected number is above 0.

    Notes
    -----
    O | ratio ~ Poisson(E ratio) and ratio ~ gamma(a, rate b), so that O is negative binomial with a and b / (b + E)
    (Clayton & Kaldor 1987, Biometrics 43:671-681).
    """
    ratio = max(float(n_events.sum() / n_expected.sum()), 1e-6)

    def minus_loglik(point: Array) -> float:
        shape = np.exp(point[1])
        scale = shape / np.exp(point[0])
        return -float(stats.nbinom.logpmf(n_events, shape, scale / (scale + n_expected)).sum())

    point, loglik = _maximum(minus_loglik, float(np.log(ratio)))
    alike = float(stats.poisson.logpmf(n_events, ratio * n_expected).sum())
    if loglik < alike + _FLAT:
        shape = float(np.exp(_LARGEST))
        return Prior(shape, shape / ratio, False, ratio, 0.0, alike)
    mean, shape = float(np.exp(point[0])), float(np.exp(point[1]))
    return Prior(shape, shape / mean, False, mean, mean / float(np.sqrt(shape)), loglik)


def posterior(prior: Prior, n_events: Array, n_cases: Array) -> tuple[Array, Array]:
    """Return the two parameters of each unit's posterior, of the family of the prior."""
    if prior.is_beta:
        return prior.first + n_events, prior.second + n_cases - n_events
    return prior.first + n_events, prior.second + n_cases


def posterior_law(prior: Prior, first: Array, second: Array) -> stats.rv_continuous:
    """Return the frozen posterior laws of all units."""
    return stats.beta(first, second) if prior.is_beta else stats.gamma(first, scale=1.0 / second)


def common_law(prior: Prior, n_events: Array, n_cases: Array) -> stats.rv_continuous:
    """Return the law of the one value that all units have, where they do not differ as far as can be told.

    Parameters
    ----------
    prior : Prior
        Of the units, with a standard deviation of 0.
    n_events, n_cases : ndarray of shape (n_units,)
        Cases, or expected events.

    Returns
    -------
    frozen scipy distribution
        Of a single value, from all units together under Jeffreys' prior. The fitted prior would not do: it takes the
        pooled rate as known, and its intervals would have no width.
    """
    events, cases = float(n_events.sum()), float(n_cases.sum())
    if prior.is_beta:
        return stats.beta(events + 0.5, cases - events + 0.5)
    return stats.gamma(events + 0.5, scale=1.0 / cases)


def draw_values(prior: Prior, first: Array, second: Array, n_draws: int, rng: np.random.Generator) -> Array:
    """Draw the units' true values from their posteriors: shape (n_draws, n_units)."""
    size = (n_draws, len(first))
    if prior.is_beta:
        return rng.beta(np.broadcast_to(first, size), np.broadcast_to(second, size))
    return rng.gamma(np.broadcast_to(first, size), np.broadcast_to(1.0 / second, size))


def _maximum(minus_loglik: Callable[[Array], float], centre: float) -> tuple[Array, float]:
    """Return the best of several bounded searches and its log-likelihood."""
    bounds = [(centre - 6.0, centre + 6.0), (_SMALLEST, _LARGEST)]
    found = [optimize.minimize(minus_loglik, [centre, start], method="L-BFGS-B", bounds=bounds) for start in _STARTS]
    best = min(found, key=lambda result: float(result.fun))
    if not np.isfinite(best.fun):
        raise ConvergenceError("no maximum of the likelihood of the units was found; check counts and expected counts")
    return np.asarray(best.x, dtype=float), -float(best.fun)
