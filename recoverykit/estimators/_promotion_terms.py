"""The promotion-time (non-mixture) way of having a never-share: P(T > t) = exp(-theta F(t)).

Every episode carries a Poisson number of latent causes with mean theta, each of which would bring the event at a time
drawn from F; the first one does (Yakovlev and Tsodikov 1996; Chen, Ibrahim and Sinha 1999, JASA 94:909-919). The never
share is q = exp(-theta), so theta = -log q and any link for p = 1 - q serves. Private.
"""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._links import LINKS, LinkTerms
from recoverykit.estimators._mixture_terms import Family, RowTerms

Array = NDArray[np.float64]

_SMALLEST_THETA = 1e-300


def promotion_survivor_terms(link: LinkTerms, survival: RowTerms) -> RowTerms:
    """Return log q times F(t) with its derivatives, from those of log q and log S."""
    above = np.exp(survival.value)
    below = -np.expm1(survival.value)
    first = [link.log_q_first * below]
    first += [-link.log_q * above * slope for slope in survival.first[1:]]
    second = {(0, 0): link.log_q_second * below}
    for i, slope in enumerate(survival.first[1:], start=1):
        second[0, i] = -link.log_q_first * above * slope
    for (i, j), curvature in survival.second.items():
        second[i, j] = -link.log_q * above * (curvature + survival.first[i] * survival.first[j])
    return RowTerms(link.log_q * below, first, second)


def _promotion_event_terms(link: LinkTerms, latency: RowTerms, survival: RowTerms | None) -> RowTerms:
    """Return log(theta f) + log P(T > t)."""
    if survival is None:
        raise ValueError("the promotion-time density needs the survival function beside it")
    return _plus(promotion_survivor_terms(link, survival), _times_theta(link, latency))


def _promotion_interval_terms(link: LinkTerms, drop: RowTerms, lower: RowTerms) -> RowTerms:
    """Return log P(T > l) + log(1 - exp(-theta (S(l) - S(r)))): the complementary log-log link of the log drop."""
    log_drop = _times_theta(link, drop)
    outer = LINKS["cloglog"].terms(log_drop.value)
    one, two = outer.log_p_first, outer.log_p_second
    second: dict[tuple[int, int], Array] = {}
    for i in range(len(log_drop.first)):
        for j in range(i, len(log_drop.first)):
            second[i, j] = one * log_drop.second.get((i, j), 0.0) + two * log_drop.first[i] * log_drop.first[j]
    chance = RowTerms(outer.log_p, [one * slope for slope in log_drop.first], second)
    return _plus(promotion_survivor_terms(link, lower), chance)


def _times_theta(link: LinkTerms, latency: RowTerms) -> RowTerms:
    """Return log theta plus the latency's part; the two share no parameter."""
    theta = np.maximum(-link.log_q, _SMALLEST_THETA)
    slope = -link.log_q_first / theta
    bend = -link.log_q_second / theta - slope * slope
    return RowTerms(np.log(theta) + latency.value, [slope, *latency.first[1:]], {(0, 0): bend, **latency.second})


def _plus(left: RowTerms, right: RowTerms) -> RowTerms:
    first = [a + b for a, b in zip(left.first, right.first, strict=True)]
    second = dict(left.second)
    for key, curvature in right.second.items():
        second[key] = second[key] + curvature if key in second else curvature
    return RowTerms(left.value + right.value, first, second)


#: P(T > t) = exp(-theta F(t)) = q^F(t). The log link is that of theta, which is the complementary log-log of 1 - q.
PROMOTION = Family(
    name="promotion time",
    survivor=promotion_survivor_terms,
    event=_promotion_event_terms,
    interval=_promotion_interval_terms,
    event_reads_survival=True,
    links=MappingProxyType({"logit": LINKS["logit"], "log": LINKS["cloglog"]}),
)
