"""What tied events say about the jump of a cumulative hazard: the rules of Breslow and of Efron as likelihoods.

At an event time with d tied events whose relative hazards e sum to T, the cumulative baseline hazard jumps by A.
Breslow (1974, Biometrics 30:89) lets every tied row bear the whole jump: d log A - T A. Efron (1977, JASA 72:557)
takes the events one after the other, a share 1/d of the tied rows gone at each: jumps l_1 ... l_d that add up to A, of
which the tied rows bear the shares u_j = j/d, j = d, ..., 1. For a given A the best of them are l_j = 1 / (m + T u_j),
and the sums over j are digamma functions, so that a month with 5,000 events costs no more than one with two. Private.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, polygamma, psi

Array = NDArray[np.float64]

#: Above this the asymptotic series of the digamma function are exact to double precision.
_LARGE = 20.0
#: Newton's steps square the error, so that after one this small nothing is left of it.
_NEWTON_STEPS, _LAST_STEP = 60, 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class TieTerms:
    """The log-likelihood of the tied events at each event time, and its derivatives in A and T.

    Attributes
    ----------
    value : ndarray of shape (n_times,)
        phi(A, T), without the exposure of the tied rows before the jump.
    slope : ndarray of shape (n_times,)
        d phi / dA.
    curvature : ndarray of shape (n_times,)
        - d2 phi / dA2, above 0.
    exposure : ndarray of shape (n_times,)
        - d phi / dT: how much of the jump the tied rows bear.
    mixed, bend : ndarray of shape (n_times,)
        d2 phi / dA dT and d2 phi / dT2.
    """

    value: Array
    slope: Array
    curvature: Array
    exposure: Array
    mixed: Array
    bend: Array


TieRule = Callable[[Array, Array, Array], TieTerms]


def breslow_terms(counts: Array, jumps: Array, tied: Array) -> TieTerms:
    """Return the terms of Breslow's rule for counts d, jumps A and sums T of the relative hazards of tied rows."""
    rate = counts / jumps
    return TieTerms(
        value=counts * np.log(jumps) - tied * jumps,
        slope=rate - tied,
        curvature=rate / jumps,
        exposure=jumps,
        mixed=np.full(len(jumps), -1.0),
        bend=np.zeros(len(jumps)),
    )


def efron_terms(counts: Array, jumps: Array, tied: Array) -> TieTerms:
    """Return the terms of Efron's rule; arguments as in ``breslow_terms``, counts need not be whole."""
    single = counts == 1.0
    if single.all():
        return breslow_terms(counts, jumps, tied)
    share = tied / counts
    z = _inverse_harmonic(counts, share * jumps)
    harmonic, harmonic_squared, log_product = _sums(z + 1.0, counts)
    total, squares = harmonic / share, harmonic_squared / share**2  # sums of l_j and of l_j squared
    multiplier = z * share
    first = (counts - multiplier * total) / tied  # sum of u_j l_j
    first_squares = (total - multiplier * squares) / tied  # sum of u_j l_j squared
    second_squares = (first - multiplier * first_squares) / tied  # sum of u_j squared l_j squared
    plain = breslow_terms(counts, jumps, tied)
    efron = TieTerms(
        value=-counts * np.log(share) - log_product - tied * first,
        slope=multiplier,
        curvature=1.0 / squares,
        exposure=first,
        mixed=-first_squares / squares,
        bend=second_squares - first_squares**2 / squares,
    )
    pick = {name: np.where(single, getattr(plain, name), getattr(efron, name)) for name in TieTerms.__slots__}
    return TieTerms(**pick)


def _inverse_harmonic(counts: Array, target: Array) -> Array:
    """Solve sum over i = 1..d of 1 / (z + i) = target for z > -1, by Newton's method on a convex falling function."""
    z = np.maximum(counts / np.expm1(np.minimum(target, 700.0)) - 0.5, -1.0 + 1.0 / np.maximum(target, 1.0 + 1e-9))
    for _ in range(_NEWTON_STEPS):
        harmonic, squared, _ = _sums(z + 1.0, counts)
        moved = z + (harmonic - target) / squared
        moved = np.where(moved > -1.0, moved, 0.5 * (z - 1.0))
        done = np.abs(moved - z) <= _LAST_STEP * (1.0 + z)
        z = moved
        if done.all():
            break
    return z


def _sums(x: Array, counts: Array) -> tuple[Array, Array, Array]:
    """Return the sums over i = 0..d-1 of 1 / (x + i), of its square, and of log(x + i)."""
    small = x < _LARGE
    near, far = np.where(small, x, 1.0), np.where(small, _LARGE, x)
    end, near_end = far + counts, near + counts
    return (
        np.where(small, psi(near_end) - psi(near), np.log1p(counts / far) + _psi_rest(end) - _psi_rest(far)),
        np.where(small, polygamma(1, near) - polygamma(1, near_end), _trigamma(far) - _trigamma(end)),
        np.where(
            small,
            gammaln(near_end) - gammaln(near),
            counts * np.log(end) + (far - 0.5) * np.log1p(counts / far) - counts + _gamma_rest(end) - _gamma_rest(far),
        ),
    )


def _psi_rest(x: Array) -> Array:
    """Return digamma(x) - log(x) for large x (Abramowitz and Stegun 6.3.18)."""
    r = 1.0 / x
    s = r * r
    return -0.5 * r - s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s / 132))))


def _trigamma(x: Array) -> Array:
    """Return the trigamma function of large x (Abramowitz and Stegun 6.4.12)."""
    r = 1.0 / x
    s = r * r
    return r + 0.5 * s + r * s * (1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * 5 / 66))))


def _gamma_rest(x: Array) -> Array:
    """Return log gamma(x) - (x - 1/2) log x + x - log(2 pi) / 2 for large x (Abramowitz and Stegun 6.1.41)."""
    r = 1.0 / x
    s = r * r
    return r * (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188))))


TIE_RULES: Mapping[str, TieRule] = MappingProxyType({"breslow": breslow_terms, "efron": efron_terms})
