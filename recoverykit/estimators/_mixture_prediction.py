"""Predictions of a mixture cure model with delta-method intervals, on arrays.

Intervals are symmetric where they may be (the link scale of an incidence, the log(-log) scale of a survival
probability) and carried over, so that they never leave 0 to 1. Private to the mixture models.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from recoverykit.estimators._cell_designs import DesignMatrix
from recoverykit.estimators._links import Link
from recoverykit.estimators._mixture_terms import MIXTURE, Family, RowTerms, log_survival_terms
from recoverykit.estimators.distributions import StandardDistribution

Array = NDArray[np.float64]

#: Above this the log of a survival probability is taken through log1p, which keeps the digits near 1.
_NEAR_ONE = -0.5
_LARGEST_EXPONENT = 700.0
_BLOCK_ROWS = 8_192


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A value with its interval and standard error, arrays of one shape."""

    value: Array
    lower: Array
    upper: Array
    standard_error: Array


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Fitted parameters and the designs of the rows to predict for.

    Attributes
    ----------
    theta : ndarray of shape (n_params,)
    covariance : ndarray of shape (n_params, n_params)
    incidence, latency : ndarray of shape (n_rows, n_terms)
    distribution : StandardDistribution
    link : Link
    level : float
        Confidence level.
    family : Family
        How incidence and latency combine.
    """

    theta: Array
    covariance: Array
    incidence: Array
    latency: Array
    distribution: StandardDistribution
    link: Link
    level: float
    family: Family

    @property
    def quantile(self) -> float:
        """Normal quantile of the level."""
        return float(ndtri(0.5 + 0.5 * self.level))

    @property
    def predictor(self) -> Array:
        """Linear predictor of the incidence of each row."""
        return np.asarray(self.incidence @ self.theta[: self.incidence.shape[1]], dtype=float)

    @property
    def eta(self) -> Array:
        """Linear predictor of the latency of each row."""
        n_incidence, n_latency = self.incidence.shape[1], self.latency.shape[1]
        return np.asarray(self.latency @ self.theta[n_incidence : n_incidence + n_latency], dtype=float)

    def survivors(self, time: float | Array) -> RowTerms:
        """Return log population survival of each row, at one time or at its own, with slopes in (a, eta, ancillary)."""
        ancillary = self.theta[self.incidence.shape[1] + self.latency.shape[1] :]
        with np.errstate(divide="ignore"):
            log_time = np.log(np.broadcast_to(time, len(self.latency)))
        split = self.distribution.split(ancillary)
        survival = log_survival_terms(self.distribution, log_time, self.eta, *split)
        link = self.link.terms(self.predictor)
        terms = self.family.survivor(link, survival)
        if self.family is not MIXTURE:
            return terms
        exact = np.log1p(np.exp(link.log_p) * np.expm1(np.maximum(survival.value, -50.0)))
        return RowTerms(np.where(terms.value > _NEAR_ONE, exact, terms.value), terms.first, {})


def susceptible(predictor: Predictor) -> Band:
    """Return P(ever has the event) of each row, interval symmetric on the link scale."""
    n_incidence = predictor.incidence.shape[1]
    block = predictor.covariance[:n_incidence, :n_incidence]
    error = np.sqrt(np.maximum(((predictor.incidence @ block) * predictor.incidence).sum(axis=1), 0.0))
    a = predictor.predictor
    terms = predictor.link.terms(a)
    half = predictor.quantile * error
    lower, upper = (np.exp(predictor.link.terms(a + sign * half).log_p) for sign in (-1.0, 1.0))
    p = np.exp(terms.log_p)
    return Band(p, lower, upper, p * terms.log_p_first * error)


def survival(predictor: Predictor, times: Array) -> Band:
    """Return population survival of each row (first axis) at each time (second)."""
    n_incidence, n_latency = predictor.incidence.shape[1], predictor.latency.shape[1]
    ancillary = range(n_incidence + n_latency, len(predictor.theta))
    designs = [predictor.incidence, predictor.latency, *(np.ones((len(predictor.latency), 1)) for _ in ancillary)]
    parts = [slice(0, n_incidence), slice(n_incidence, n_incidence + n_latency), *(slice(k, k + 1) for k in ancillary)]
    spreads = {
        (i, j): ((designs[i] @ predictor.covariance[parts[i], parts[j]]) * designs[j]).sum(axis=1)
        for i in range(len(parts))
        for j in range(i, len(parts))
    }
    log_survival = np.empty((len(predictor.latency), len(times)))
    variance = np.zeros_like(log_survival)
    for column, time in enumerate(times):
        terms = predictor.survivors(float(time))
        log_survival[:, column] = terms.value
        for (i, j), spread in spreads.items():
            variance[:, column] += (1.0 if i == j else 2.0) * terms.first[i] * terms.first[j] * spread
    return log_log_band(log_survival, np.sqrt(np.maximum(variance, 0.0)), predictor.quantile)


def mean_survival(predictor: Predictor, times: Array, weight: Array) -> Band:
    """Return population survival averaged over the rows with weights, at each time."""
    share = weight / weight.sum()
    value, variance = np.empty(len(times)), np.empty(len(times))
    for column, time in enumerate(times):
        terms = predictor.survivors(float(time))
        one = share * np.exp(terms.value)
        slopes = [(one * terms.first[0]) @ predictor.incidence, (one * terms.first[1]) @ predictor.latency]
        slopes += [np.array([one @ slope]) for slope in terms.first[2:]]
        gradient = np.concatenate(slopes)
        value[column], variance[column] = one.sum(), gradient @ predictor.covariance @ gradient
    value = np.minimum(value, 1.0)
    return log_log_band(np.log(value), np.sqrt(np.maximum(variance, 0.0)) / value, predictor.quantile)


def mean_never(
    incidence: DesignMatrix, beta: Array, covariance: Array, link: Link, weight: Array, quantile: float
) -> Band:
    """Average 1 - incidence over rows, interval symmetric on the logit scale; arrays of shape (1,).

    Parameters
    ----------
    incidence : ndarray or CellDesign of shape (n_rows, n_terms)
    beta : ndarray of shape (n_terms,)
    covariance : ndarray of shape (n_terms, n_terms)
    link : Link
    weight : ndarray of shape (n_rows,)
    quantile : float
        Normal quantile of the level.
    """
    a = np.asarray(incidence @ beta, dtype=float)
    never, slope = np.empty_like(a), np.empty_like(a)
    total = float(weight.sum())
    for begin in range(0, len(a), _BLOCK_ROWS):
        cut = slice(begin, begin + _BLOCK_ROWS)
        terms = link.terms(a[cut])
        never[cut] = weight[cut] / total * np.exp(terms.log_q)
        slope[cut] = never[cut] * terms.log_q_first
    gradient = np.asarray(slope @ incidence, dtype=float)
    error = np.sqrt(max(float(gradient @ covariance @ gradient), 0.0))
    value = float(never.sum())
    spread = value * (1.0 - value)
    odds = np.log(value / (1.0 - value)) if spread > 0 else np.inf * (1.0 if value > 0.5 else -1.0)
    half = quantile * error / spread if spread > 0 else 0.0
    lower, upper = (expit(odds + sign * half) for sign in (-1.0, 1.0))
    return Band(*(np.array([x]) for x in (value, lower, upper, error)))


def log_log_band(log_survival: Array, relative_error: Array, quantile: float) -> Band:
    """Return survival with an interval symmetric in log(-log S); without width where S is 1.

    Parameters
    ----------
    log_survival, relative_error : ndarray of one shape
        log S and its standard error.
    quantile : float
        Normal quantile of the level.
    """
    certain = log_survival > -1e-300
    factor = np.exp(np.minimum(quantile * relative_error / np.where(certain, 1.0, -log_survival), _LARGEST_EXPONENT))
    value = np.exp(log_survival)
    lower = np.where(certain, 1.0, np.exp(log_survival * factor))
    upper = np.where(certain, 1.0, np.exp(log_survival / factor))
    return Band(value, lower, upper, np.where(certain, 0.0, value * relative_error))
