"""Links between a linear predictor and an incidence, as log probabilities with their derivatives.

Every function works in log space, so that an incidence of 1 - 1e-20 is told from 1. Private: models name a link.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtri

Array = NDArray[np.float64]

_ROOT_HALF = 0.7071067811865476
_ROOT_TWO_OVER_PI = 0.7978845608028654


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """log p and log(1 - p) at each linear predictor a, with first and second derivatives in a."""

    log_p: Array
    log_p_first: Array
    log_p_second: Array
    log_q: Array
    log_q_first: Array
    log_q_second: Array

    def take(self, index: NDArray[np.intp]) -> "LinkTerms":
        """Return the terms at the given positions, repeats allowed."""
        return LinkTerms(
            self.log_p.take(index),
            self.log_p_first.take(index),
            self.log_p_second.take(index),
            self.log_q.take(index),
            self.log_q_first.take(index),
            self.log_q_second.take(index),
        )


@dataclass(frozen=True, slots=True)
class Link:
    """A link: its name, its terms, and the linear predictor of a probability."""

    name: str
    terms: Callable[[Array], LinkTerms]
    predictor: Callable[[Array], Array]


def _logit_terms(a: Array) -> LinkTerms:
    small = np.exp(-np.abs(a))
    log_plus = np.log1p(small)
    inverse = 1.0 / (1.0 + small)
    tail = small * inverse
    positive = a >= 0
    p, q = np.where(positive, inverse, tail), np.where(positive, tail, inverse)
    curvature = -inverse * tail
    return LinkTerms(np.minimum(a, 0.0) - log_plus, q, curvature, -np.maximum(a, 0.0) - log_plus, -p, curvature)


def _probit_terms(a: Array) -> LinkTerms:
    upper = _ROOT_TWO_OVER_PI / erfcx(-a * _ROOT_HALF)  # phi(a) / Phi(a)
    lower = _ROOT_TWO_OVER_PI / erfcx(a * _ROOT_HALF)  # phi(a) / (1 - Phi(a))
    return LinkTerms(log_ndtr(a), upper, -upper * (upper + a), log_ndtr(-a), -lower, -lower * (lower - a))


def _cloglog_terms(a: Array) -> LinkTerms:
    # p = 1 - exp(-exp(a)); beyond 30 the ratio below is 0 to double precision.
    hazard = np.exp(np.minimum(a, 300.0))
    inner = np.clip(hazard, 1e-300, 700.0)
    ratio = inner / np.expm1(inner)
    return LinkTerms(np.log(-np.expm1(-inner)), ratio, ratio * (1.0 - inner - ratio), -hazard, -hazard, -hazard)


def _logit(probability: Array) -> Array:
    return np.log(probability) - np.log1p(-probability)


def _probit(probability: Array) -> Array:
    return np.asarray(ndtri(probability), dtype=float)


def _cloglog(probability: Array) -> Array:
    return np.log(-np.log1p(-probability))


LINKS: Mapping[str, Link] = MappingProxyType(
    {
        "logit": Link("logit", _logit_terms, _logit),
        "probit": Link("probit", _probit_terms, _probit),
        "cloglog": Link("cloglog", _cloglog_terms, _cloglog),
    }
)
