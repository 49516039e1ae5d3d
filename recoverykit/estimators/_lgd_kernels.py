"""Log-likelihoods of LGD regressions with gradient and Hessian, on patterns with sums or on single rows in blocks.

A fractional logit reads of a pattern's losses only their weighted sum, a beta regression only the sums of log y and
log(1 - y): both are exact on patterns. Nothing of the size of the design is allocated, so that a million rows with
continuous drivers need little more memory than their design. Private to the LGD regressions.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, psi

from recoverykit.estimators._products import cross, times, weighted_sum
from recoverykit.estimators._rows import Array

#: Rows at a time: a block and its temporaries stay in the cache.
_BLOCK_ROWS = 4_096
#: The series of trigamma is taken this far to the right, where its terms below leave out less than 1e-14 of it.
_SHIFT = 8
#: Bernoulli numbers B2, B4, ... of that series.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Value, gradient of shape (p,) and Hessian of shape (p, p) of a log-likelihood."""

    value: float
    gradient: Array
    hessian: Array


@dataclass(frozen=True, slots=True, eq=False)
class BetaRows:
    """What a beta regression reads.

    Attributes
    ----------
    mean, precision : ndarray of shape (n_patterns, n_terms)
        Designs of logit(mu) and of log(phi).
    weight, log_loss, log_rest : ndarray of shape (n_patterns,)
        Sums of the weights, of log y and of log(1 - y).
    constant_precision : bool
        Whether log(phi) is the same in every row, so that its functions are evaluated once.
    """

    mean: Array
    precision: Array
    weight: Array
    log_loss: Array
    log_rest: Array
    constant_precision: bool


def inverse_logit(eta: Array) -> Array:
    """Return 1 / (1 + exp(-eta)) without overflow."""
    small = np.exp(-np.abs(eta))
    return np.where(eta >= 0, 1.0, small) / (1.0 + small)


def linear_predictor(design: Array, theta: Array) -> Array:
    """Return design @ theta in blocks."""
    eta = np.empty(len(design))
    for block in _blocks(len(design)):
        eta[block] = times(design[block], theta)
    return eta


def trigamma(x: Array) -> Array:
    """Return the second derivative of log gamma at x > 0: five times as fast as the general routine for zeta(2, x).

    Abramowitz & Stegun (1964), 6.4.6 for the shift and 6.4.12 for the series.
    """
    total, z = np.zeros_like(x), x
    for _ in range(_SHIFT):
        total += 1.0 / (z * z)
        z = z + 1.0
    inverse = 1.0 / z
    square = inverse * inverse
    series = np.zeros_like(x)
    for coefficient in reversed(_BERNOULLI):
        series = (series + coefficient) * square
    return total + inverse * (1.0 + 0.5 * inverse + series)


def logit_point(theta: Array, design: Array, weight: Array, total: Array) -> Point:
    """Return the Bernoulli quasi-log-likelihood sum of total * eta - weight * log(1 + exp(eta)), with eta = X theta.

    Parameters
    ----------
    theta : ndarray of shape (p,)
    design : ndarray of shape (n_patterns, p)
    weight, total : ndarray of shape (n_patterns,)
        Sums of the weights and of the weighted responses.
    """
    value, gradient, hessian = 0.0, np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    for block in _blocks(len(design)):
        x, n, s = design[block], weight[block], total[block]
        eta = times(x, theta)
        small = np.exp(-np.abs(eta))
        mu = np.where(eta >= 0, 1.0, small) / (1.0 + small)
        value += float((s * eta - n * (np.maximum(eta, 0.0) + np.log1p(small))).sum())
        gradient += weighted_sum(s - n * mu, x)
        hessian -= cross(x, n * mu * (1.0 - mu), x)
    return Point(value, gradient, hessian)


def cross_product(design: Array, weight: Array) -> Array:
    """Return design.T @ diag(weight) @ design in blocks."""
    total = np.zeros((design.shape[1], design.shape[1]))
    for block in _blocks(len(design)):
        total += cross(design[block], weight[block], design[block])
    return total


def beta_point(theta: Array, rows: BetaRows) -> Point:
    """Return the log-likelihood of Beta(mu phi, (1 - mu) phi), logit mu = X b, log phi = Z g, theta = (b, g).

    Ferrari & Cribari-Neto (2004), J. Appl. Stat. 31:799-815, equation (4); Simas, Barreto-Souza & Rocha (2010), CSDA
    54:348 for a varying precision.
    """
    n_mean, p = rows.mean.shape[1], len(theta)
    value, gradient, hessian = 0.0, np.zeros(p), np.zeros((p, p))
    shared = _precision_terms(rows.precision[:1] @ theta[n_mean:]) if rows.constant_precision else None
    for block in _blocks(len(rows.mean)):
        x, z, n = rows.mean[block], rows.precision[block], rows.weight[block]
        terms = shared or _precision_terms(times(z, theta[n_mean:]))
        of_mean, of_precision, second, one = _beta_block(
            times(x, theta[:n_mean]), terms, n, rows.log_loss[block], rows.log_rest[block]
        )
        value += one
        gradient += np.concatenate([weighted_sum(of_mean, x), weighted_sum(of_precision, z)])
        hessian[:n_mean, :n_mean] += cross(x, second[0], x)
        mixed = cross(x, second[1], z)
        hessian[:n_mean, n_mean:] += mixed
        hessian[n_mean:, :n_mean] += mixed.T
        hessian[n_mean:, n_mean:] += cross(z, second[2], z)
    return Point(value, gradient, hessian)


def beta_slopes(eta: Array, log_phi: Array, log_loss: Array, log_rest: Array) -> tuple[Array, Array]:
    """Return the slopes of single rows' log density in logit mu and in log phi.

    Parameters
    ----------
    eta, log_phi : ndarray of shape (n_rows,)
        logit mu and log phi.
    log_loss, log_rest : ndarray of shape (n_rows,)
        log y and log(1 - y).
    """
    mu, phi = inverse_logit(eta), np.exp(log_phi)
    p, q = mu * phi, (1.0 - mu) * phi
    of_p, of_q = psi(phi) - psi(p) + log_loss, psi(phi) - psi(q) + log_rest
    return (of_p - of_q) * mu * q, of_p * p + of_q * q


def _precision_terms(log_phi: Array) -> tuple[Array, Array, Array, Array]:
    """Return phi, log gamma, digamma and trigamma of it."""
    phi = np.exp(np.minimum(log_phi, 300.0))
    return phi, gammaln(phi), psi(phi), trigamma(phi)


def _beta_block(
    eta: Array, precision: tuple[Array, Array, Array, Array], n: Array, log_loss: Array, log_rest: Array
) -> tuple[Array, Array, tuple[Array, Array, Array], float]:
    """Return slopes in logit mu and log phi, the three second derivatives, and the value of a block.

    With p = mu phi and q = (1 - mu) phi all is a chain through p and q: dp/d eta = -dq/d eta = mu q, dp/d log phi = p.
    """
    phi, gamma_phi, digamma_phi, trigamma_phi = precision
    mu = inverse_logit(eta)
    p, q = np.maximum(mu * phi, 1e-300), np.maximum((1.0 - mu) * phi, 1e-300)
    value = float((n * (gamma_phi - gammaln(p) - gammaln(q)) + (p - 1.0) * log_loss + (q - 1.0) * log_rest).sum())
    of_p, of_q = n * (digamma_phi - psi(p)) + log_loss, n * (digamma_phi - psi(q)) + log_rest
    both = n * trigamma_phi
    of_pp, of_qq = both - n * trigamma(p), both - n * trigamma(q)
    step, difference = mu * q, of_p - of_q
    second_mean = (of_pp - 2.0 * both + of_qq) * step**2 + difference * step * (1.0 - 2.0 * mu)
    mixed = step * ((of_pp - both) * p + (both - of_qq) * q + difference)
    slope = of_p * p + of_q * q
    second_precision = of_pp * p**2 + 2.0 * both * p * q + of_qq * q**2 + slope
    return difference * step, slope, (second_mean, mixed, second_precision), value


def _blocks(n_rows: int) -> list[slice]:
    return [slice(begin, begin + _BLOCK_ROWS) for begin in range(0, n_rows, _BLOCK_ROWS)]
