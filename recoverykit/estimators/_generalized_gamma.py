"""The standardised generalised gamma in Prentice's form: one family over Weibull, log-normal and gamma.

eps = log(G / a) / Q with G gamma distributed with shape a = 1 / Q^2, so that Q = 1 is the smallest extreme value and
Q = 0 the normal distribution (Prentice 1974, Biometrika 61:539-544). Its density has closed derivatives in u and in Q,
written so that nothing cancels on the way to Q = 0. Its survival function is an incomplete gamma function, whose
derivative in the shape has no closed form: that one is taken by central differences of fourth order. Private to
``distributions``; this module knows nothing of covariates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, erfcx, gammainc, gammaincc, gammainccinv, gammaincinv, gammaln, log_ndtr, ndtri
from scipy.special import polygamma as _polygamma

Array = NDArray[np.float64]

_HALF_LOG_TWO_PI = 0.9189385332046727
_ROOT_HALF = 0.7071067811865476
_ROOT_TWO_OVER_PI = 0.7978845608028654
#: exp(Q u) and its multiples stay finite to this exponent.
_LARGEST_EXPONENT, _LARGEST_U = 300.0, 1e4
#: Inside, quantile and moments are those of the normal distribution.
_NORMAL = 1e-6
#: Inside, the survival function is expanded about the normal one: a shape of 1 / Q^2 is beyond the incomplete gamma.
_NEARLY_NORMAL = 0.02
#: Coefficients of that expansion in powers of eta (rows: powers of Q^2); beyond _LARGEST_ETA it is held.
_TEMME = (
    (-1 / 3, 1 / 12, -2 / 135, 1 / 864, 1 / 2835, -139 / 777600, 3.9192631785224378e-5, -2.1854485106799922e-6),
    (-1 / 540, -1 / 288, 1 / 378, -77 / 77760, 2.0576131687242798e-4),
    (4.1335978835978836e-3, -2.6813271604938272e-3, 7.7160493827160494e-4),
)
_LARGEST_ETA, _MOST = 0.5, 0.9
#: Up to this |Q| Stirling's series has all digits.
_STIRLING = 0.3
#: Up to this |Q u| power series replace differences of exponentials.
_SERIES, _SERIES_TERMS = 1.0, 20
#: Step of the differences in Q: errors of truncation and of rounding are both about 1e-10 there.
_STEP = 0.01
#: Survival functions below this leave the range of numbers and continue as density over hazard.
_SMALLEST_SURVIVAL = 1e-280


@dataclass(frozen=True, slots=True)
class _Exponentials:
    """(e^w - 1 - w) / w^2 and (e^w - 1) / w with the derivatives that the density needs, at each w."""

    second: Array
    second_first: Array
    second_second: Array
    first: Array
    first_first: Array


def log_density(u: Array, shape: float) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return log f(u; Q) with derivatives in u, uu, Q, uQ and QQ.

    log f = -log(2 pi) / 2 - c(Q) - u^2 r(Q u), with r(w) = (e^w - 1 - w) / w^2 and c the rest of Stirling's formula for
    log Gamma(1 / Q^2).

    Parameters
    ----------
    u : ndarray of shape (n,)
    shape : float
        Q, any finite number.
    """
    u = _bounded(u, shape)
    w = shape * u
    e = _exponentials(w)
    rest, rest_first, rest_second = _stirling_rest(shape)
    square = u * u
    value = -_HALF_LOG_TWO_PI - rest - square * e.second
    cube = square * u
    return (
        value,
        -u * e.first,
        -np.exp(w),
        -rest_first - cube * e.second_first,
        -square * e.first_first,
        -rest_second - cube * u * e.second_second,
    )


def log_survival(u: Array, shape: float) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return log S(u; Q) with derivatives in u, uu, Q, uQ and QQ.

    Parameters
    ----------
    u : ndarray of shape (n,)
    shape : float
        Q, any finite number.
    """
    u = _bounded(u, shape)
    step = _STEP / np.maximum(1.0, 0.5 * np.abs(u))
    at = [_log_survival_value(u, shape + k * step) for k in (-2.0, -1.0, 0.0, 1.0, 2.0)]
    value = at[2]
    in_shape = (at[0] - 8.0 * at[1] + 8.0 * at[3] - at[4]) / (12.0 * step)
    twice = (-at[0] + 16.0 * at[1] - 30.0 * value + 16.0 * at[3] - at[4]) / (12.0 * step * step)
    log_f, slope, _, density_in_shape, _, _ = log_density(u, shape)
    hazard = np.exp(np.minimum(log_f - value, _LARGEST_EXPONENT))
    return (
        value,
        -hazard,
        -hazard * (hazard + slope),
        in_shape,
        -hazard * (density_in_shape - in_shape),
        twice,
    )


def quantile(probability: Array, shape: float) -> Array:
    """Return the quantile of eps at each probability in (0, 1)."""
    if abs(shape) < _NORMAL:
        return np.asarray(ndtri(probability), dtype=float)
    a = shape**-2
    inverse = gammaincinv(a, probability) if shape > 0 else gammainccinv(a, probability)
    log_below = np.log(probability) if shape > 0 else np.log1p(-probability)
    # Near 0 the distribution function of G is x^a / Gamma(a + 1), also where x itself is no number any more.
    near_zero = (log_below + gammaln(a + 1.0)) / a
    lost = inverse < _SMALLEST_SURVIVAL
    log_inverse = np.where(lost, near_zero, np.log(np.where(lost, 1.0, inverse)))
    return np.asarray((log_inverse - np.log(a)) / shape, dtype=float)


def moments(shape: float) -> tuple[float, float]:
    """Return mean and standard deviation of eps."""
    if abs(shape) < _NORMAL:
        return -0.5 * shape, 1.0
    a = shape**-2
    return float((digamma(a) - np.log(a)) / shape), float(np.sqrt(_polygamma(1, a)) / abs(shape))


def _bounded(u: Array, shape: float) -> Array:
    """Keep u where exp(Q u) and its products are numbers; the likelihood is hopeless beyond."""
    furthest = _LARGEST_EXPONENT / max(abs(shape), _LARGEST_EXPONENT / _LARGEST_U)
    lower = -furthest if shape < 0 else -_LARGEST_U
    upper = furthest if shape > 0 else _LARGEST_U
    return np.clip(u, lower, upper)


def _exponentials(w: Array) -> _Exponentials:
    near = np.where(np.abs(w) < _SERIES, w, 0.0)
    far = np.where(np.abs(w) < _SERIES, 1.0, w)
    power = np.ones_like(w)
    series = np.zeros((5, len(w)))
    factorial = 1.0
    # Coefficient of w^k: 1/(k+2)! for r and 1/(k+1)! for (e^w - 1)/w; derivatives shift k to k+1 and k+2.
    for k in range(_SERIES_TERMS):
        factorial *= k + 1  # (k+1)!
        two, three, four = factorial * (k + 2), factorial * (k + 2) * (k + 3), factorial * (k + 2) * (k + 3) * (k + 4)
        series[0] += power / two
        series[1] += power * ((k + 1) / three)
        series[2] += power * ((k + 1) * (k + 2) / four)
        series[3] += power / factorial
        series[4] += power * ((k + 1) / two)
        power = power * near
    exponential = np.exp(far)
    first = np.expm1(far) / far
    second = (first - 1.0) / far
    second_first = (first - 2.0 * second) / far
    closed = [
        second,
        second_first,
        (exponential / far - 2.0 * first / far - 2.0 * second_first + 2.0 * second / far) / far,
        first,
        (exponential - first) / far,
    ]
    is_near = np.abs(w) < _SERIES
    return _Exponentials(*(np.where(is_near, s, c) for s, c in zip(series, closed, strict=True)))


def _stirling_rest(shape: float) -> tuple[float, float, float]:
    """Return c(Q) = log Gamma(a) - (a - 1/2) log a + a - log(2 pi) / 2 at a = 1 / Q^2, with two derivatives in Q."""
    q = abs(shape)
    sign = 1.0 if shape >= 0 else -1.0
    if q < _STIRLING:
        terms = ((2, 1 / 12), (6, -1 / 360), (10, 1 / 1260), (14, -1 / 1680), (18, 1 / 1188))
        value = sum(c * q**n for n, c in terms)
        first = sum(c * n * q ** (n - 1) for n, c in terms)
        return value, sign * first, sum(c * n * (n - 1) * q ** (n - 2) for n, c in terms)
    a = q**-2
    value = float(gammaln(a) - (a - 0.5) * np.log(a) + a - _HALF_LOG_TWO_PI)
    in_a = float(digamma(a) - np.log(a) + 0.5 / a)
    twice_in_a = float(_polygamma(1, a) - 1.0 / a - 0.5 / a**2)
    return value, -2.0 * sign * a**1.5 * in_a, 4.0 * a**3 * twice_in_a + 6.0 * a**2 * in_a


def _log_survival_value(u: Array, shape: Array) -> Array:
    """Return log S(u; Q) for one Q per row: the smaller tail is computed, and the other from it."""
    normal = np.abs(shape) < _NEARLY_NORMAL
    q = np.where(normal, 1.0, shape)
    a = q**-2
    ratio = np.exp(np.minimum(q * u, _LARGEST_EXPONENT))
    x = a * ratio
    below = ratio < 1.0
    tail = np.empty_like(u)
    tail[below] = gammainc(a[below], x[below])
    tail[~below] = gammaincc(a[~below], x[~below])
    survives = below == (q < 0)  # the tail that was computed is S itself
    lost = survives & (tail < _SMALLEST_SURVIVAL)
    with np.errstate(divide="ignore"):
        value = np.where(survives, np.log(np.where(lost, 1.0, tail)), np.log1p(-tail))
    if lost.any():
        value[lost] = _far_tail(u[lost], q[lost])
    if normal.any():
        value[normal] = _near_normal(u[normal], shape[normal])
    return value


def _far_tail(u: Array, shape: Array) -> Array:
    """Return log S where it is out of reach: log density less log of the asymptotic hazard g + g' / g."""
    w = np.minimum(shape * u, _LARGEST_EXPONENT)
    slope = np.expm1(w) / shape
    a = np.maximum(np.abs(shape), _STIRLING) ** -2  # below that the rest is less than 0.01 of some hundreds
    rest = gammaln(a) - (a - 0.5) * np.log(a) + a - _HALF_LOG_TWO_PI
    log_f = -_HALF_LOG_TWO_PI - rest - (np.expm1(w) - w) / shape**2
    return log_f - np.log(slope + np.exp(w) / slope)


def _near_normal(u: Array, shape: Array) -> Array:
    """Expand log S about the normal distribution, uniformly in u (Temme 1979, SIAM J. Math. Anal. 10:757).

    With eta^2 / 2 = e^w - 1 - w at w = Q u and z = eta / Q, S = P(Z > z) + Q phi(z) (C0 + Q^2 C1 + Q^4 C2)(eta).
    """
    w = np.clip(shape * u, -_SERIES, _SERIES)
    root = np.sqrt(2.0 * _exponentials(w).second)
    z, eta = u * root, np.clip(w * root, -_LARGEST_ETA, _LARGEST_ETA)
    square = shape * shape
    series = sum(square**k * np.polynomial.polynomial.polyval(eta, row) for k, row in enumerate(_TEMME))
    mills_above = _ROOT_TWO_OVER_PI / erfcx(np.maximum(z, 0.0) * _ROOT_HALF)  # phi / P(Z > z)
    mills_below = _ROOT_TWO_OVER_PI / erfcx(np.maximum(-z, 0.0) * _ROOT_HALF)  # phi / P(Z < z)
    correction = shape * series
    # Where the correction outgrows what it corrects, the tail is too far out to matter: it only stays a number.
    above = log_ndtr(-z) + np.log1p(np.maximum(correction * mills_above, -_MOST))
    below = np.log1p(-np.exp(log_ndtr(np.minimum(z, 0.0))) * (1.0 - np.minimum(correction * mills_below, _MOST)))
    return np.where(z > 0, above, below)
