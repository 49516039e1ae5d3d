"""Log-likelihood terms of single rows with their derivatives, and how a never-share enters them.

Every term is a function of the incidence predictor a, the latency predictor eta and the ancillary parameters; rows come
with value, slopes and curvatures in these, and designs are multiplied on elsewhere. A ``Family`` says how incidence
and latency combine; the mixture P(T > t) = q + p S(t) is here (Boag 1949; Farewell 1982, Biometrics 38:1041). Private.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._links import LINKS, Link, LinkTerms
from recoverykit.estimators.distributions import LogDerivatives, Shape, StandardDistribution

Array = NDArray[np.float64]

#: u is kept where exp(u) squared and its multiples stay finite; beyond, the log-likelihood is below -1e130 anyway.
_LARGEST_U, _SMALLEST_U = 300.0, -1e4
#: Its inverse squared is still a number.
_SMALLEST_DROP = 1e-150


@dataclass(frozen=True, slots=True, eq=False)
class RowTerms:
    """Log-likelihood of some rows with derivatives in (a, eta, ancillary...).

    Attributes
    ----------
    value : ndarray of shape (n,)
    first : list of ndarray of shape (n,)
    second : dict of (i, j), i <= j, to ndarray of shape (n,)
        Zero derivatives are left out.
    """

    value: Array
    first: list[Array]
    second: dict[tuple[int, int], Array]


@dataclass(frozen=True, slots=True)
class Family:
    """How incidence and latency make a population survival function.

    Attributes
    ----------
    name : str
    survivor : callable
        (link terms, log S) -> log population survival.
    event : callable
        (link terms, log of f, log S at the time) -> log density of the population; log S may be None where
        ``event_reads_survival`` is False.
    interval : callable
        (link terms, log of S(l) - S(r), log S at l) -> log of the population's probability of the interval.
    event_reads_survival : bool
    links : mapping of str to Link
        The links of P(ever has the event) that models of this family may name.
    """

    name: str
    survivor: Callable[[LinkTerms, RowTerms], RowTerms]
    event: Callable[[LinkTerms, RowTerms, RowTerms | None], RowTerms]
    interval: Callable[[LinkTerms, RowTerms, RowTerms], RowTerms]
    event_reads_survival: bool
    links: Mapping[str, Link]


def log_survival_terms(
    distribution: StandardDistribution, log_time: Array, eta: Array, log_sigma: float, shape: float = 0.0
) -> RowTerms:
    """Return log S at each time with its derivatives in eta (1), log sigma (2) and Q (3); index 0 is the incidence's.

    Parameters
    ----------
    distribution : StandardDistribution
    log_time, eta : ndarray of shape (n,)
    log_sigma, shape : float
        As from ``StandardDistribution.split``.
    """
    u = _standardised(log_time, eta, log_sigma)
    return _chain(distribution, distribution.settled(log_sigma, shape).log_survival(u), u, log_sigma)


def log_density_terms(
    distribution: StandardDistribution, log_time: Array, eta: Array, log_sigma: float, shape: float = 0.0
) -> RowTerms:
    """Return the log density of log time with its derivatives, as in ``log_survival_terms``."""
    u = _standardised(log_time, eta, log_sigma)
    terms = _chain(distribution, distribution.settled(log_sigma, shape).log_density(u), u, log_sigma)
    if distribution.has_scale:
        terms.first[2] -= 1.0
    return RowTerms(terms.value - log_sigma, terms.first, terms.second)


def _standardised(log_time: Array, eta: Array, log_sigma: float) -> Array:
    u = log_time - eta
    u *= math.exp(-log_sigma)
    np.minimum(u, _LARGEST_U, out=u)
    return np.maximum(u, _SMALLEST_U, out=u)


def _chain(distribution: StandardDistribution, log_terms: LogDerivatives, u: Array, log_sigma: float) -> RowTerms:
    """Carry derivatives in u over to eta and log sigma: du/deta = -1/sigma, du/ds = -u, d2u/deta ds = 1/sigma."""
    inverse = math.exp(-log_sigma)
    one, two = log_terms.first, log_terms.second
    first = [one, -inverse * one]
    second = {(1, 1): (inverse * inverse) * two}
    if distribution.has_scale:
        slope = one + u * two
        first.append(-u * one)
        second[1, 2] = inverse * slope
        second[2, 2] = u * slope
    terms = RowTerms(log_terms.value, first, second)
    if distribution.shape is not Shape.NONE:
        _chain_shape(distribution, log_terms, u, terms, inverse)
    return terms


def _chain_shape(
    distribution: StandardDistribution, log_terms: LogDerivatives, u: Array, terms: RowTerms, inverse: float
) -> None:
    """Add the derivatives in the shape Q: a parameter of its own (3), or sigma, whose slope in log sigma is sigma."""
    in_shape, cross, twice = log_terms.shape_first, log_terms.shape_cross, log_terms.shape_second
    if in_shape is None or cross is None or twice is None:
        raise ValueError(f"{distribution.name} gives no derivatives in its shape")
    if distribution.shape is Shape.FREE:
        terms.first.append(in_shape)
        terms.second[1, 3] = -inverse * cross
        terms.second[2, 3] = -u * cross
        terms.second[3, 3] = twice
        return
    sigma = 1.0 / inverse
    terms.first[2] = terms.first[2] + sigma * in_shape
    terms.second[1, 2] = terms.second[1, 2] - cross
    terms.second[2, 2] = terms.second[2, 2] + sigma * (in_shape - 2.0 * u * cross + sigma * twice)


def survivor_terms(link: LinkTerms, survival: RowTerms) -> RowTerms:
    """Return log(q + p S) with its derivatives, from those of log p, log q and log S.

    With m = p S / (q + p S), the chance that a survivor is still to have the event, every second derivative is the mean
    of those of the two parts plus m (1 - m) times the product of the differences of their slopes.
    """
    lead = link.log_p - link.log_q
    lead += survival.value
    small = np.exp(-np.abs(lead))
    inverse = 1.0 / (1.0 + small)
    tail = small * inverse
    later = np.where(lead >= 0, inverse, tail)
    value = np.log1p(small)
    value += np.maximum(lead, 0.0)
    value += link.log_q
    spread = inverse * tail
    gap = link.log_p_first - link.log_q_first
    cross = spread * gap
    slopes = survival.first[1:]
    first = [link.log_q_first + later * gap, *(later * slope for slope in slopes)]
    second = {(0, 0): link.log_q_second + later * (link.log_p_second - link.log_q_second) + cross * gap}
    for i, slope in enumerate(slopes, start=1):
        second[0, i] = cross * slope
    spreads = [spread * slope for slope in slopes]
    for (i, j), curvature in survival.second.items():
        second[i, j] = later * curvature + spreads[i - 1] * slopes[j - 1]
    return RowTerms(value, first, second)


def mixture_event_terms(link: LinkTerms, latency: RowTerms, _: RowTerms | None) -> RowTerms:
    """Return log p plus the latency's part; the two share no parameter."""
    first = [link.log_p_first, *latency.first[1:]]
    return RowTerms(link.log_p + latency.value, first, {(0, 0): link.log_p_second, **latency.second})


def interval_terms(lower: RowTerms, upper: RowTerms) -> RowTerms:
    """Return log(S(l) - S(r)) without cancellation: the drop of log S goes through expm1."""
    drop = np.maximum(lower.value - upper.value, _SMALLEST_DROP)
    from_upper = 1.0 / np.expm1(np.minimum(drop, 700.0))
    from_lower = 1.0 + from_upper
    value = lower.value + np.log(-np.expm1(-drop))
    first = [lower.first[0]]  # index 0 is filled in by the incidence
    first += [from_lower * a - from_upper * b for a, b in zip(lower.first[1:], upper.first[1:], strict=True)]
    # The second derivatives of exp(log S(l)) - exp(log S(r)) over their difference, less the product of the slopes;
    # written with differences of slopes so that narrow intervals keep their digits.
    second = {}
    for i, j in lower.second:
        gaps = (lower.first[i] - upper.first[i]) * (lower.first[j] - upper.first[j])
        curvature = from_lower * lower.second[i, j] - from_upper * upper.second[i, j]
        second[i, j] = curvature - from_lower * from_upper * gaps
    return RowTerms(value, first, second)


def log_sum(left: RowTerms, right: RowTerms) -> RowTerms:
    """Return log(exp(left) + exp(right)): its curvatures are means of the parts' and the spread of their slopes."""
    lead = right.value - left.value
    small = np.exp(-np.abs(lead))
    inverse = 1.0 / (1.0 + small)
    share = np.where(lead >= 0, inverse, small * inverse)
    value = np.maximum(left.value, right.value) + np.log1p(small)
    first = [(1.0 - share) * a + share * b for a, b in zip(left.first, right.first, strict=True)]
    spread = share * (1.0 - share)
    second = {}
    for i in range(len(first)):
        for j in range(i, len(first)):
            gaps = (left.first[i] - right.first[i]) * (left.first[j] - right.first[j])
            mean = (1.0 - share) * left.second.get((i, j), 0.0) + share * right.second.get((i, j), 0.0)
            second[i, j] = mean + spread * gaps
    return RowTerms(value, first, second)


#: P(T > t) = q + p S(t): some never have the event, the others have it at a time of the latency.
MIXTURE = Family("mixture", survivor_terms, mixture_event_terms, mixture_event_terms, False, LINKS)
