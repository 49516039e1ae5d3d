"""The standardised distributions behind parametric latencies, each derived once.

A latency in accelerated failure time form is ``log T = eta + sigma * eps``. A distribution here is only that of
``eps``: the logarithms of its survival function and of its density with their first two derivatives. Every likelihood
of the kit gets its gradient and its Hessian from these by one chain rule, so that a new distribution is a few lines.
The gamma families have a shape Q beside, and derivatives in it too. This module knows nothing of covariates, of
incidence or of data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtri

from recoverykit.estimators import _generalized_gamma

Array = NDArray[np.float64]

_EULER_GAMMA = 0.5772156649015329
_HALF_LOG_TWO_PI = 0.9189385332046727
_ROOT_HALF = 0.7071067811865476
_ROOT_TWO_OVER_PI = 0.7978845608028654


class Shape(Enum):
    """Where the shape Q of eps comes from: there is none, it is sigma itself, or a parameter of its own."""

    NONE = 0
    SIGMA = 1
    FREE = 2


@dataclass(frozen=True, slots=True)
class LogDerivatives:
    """A log function of the standardised residual u with its first two derivatives in u.

    Attributes
    ----------
    value, first, second : ndarray of shape (n,)
        The function and its derivatives at each u.
    shape_first, shape_cross, shape_second : ndarray of shape (n,) or None
        Derivatives in Q, in u and Q, and twice in Q; None where the distribution has no shape.
    """

    value: Array
    first: Array
    second: Array
    shape_first: Array | None = None
    shape_cross: Array | None = None
    shape_second: Array | None = None


@dataclass(frozen=True, slots=True)
class StandardDistribution:
    """The distribution of eps in log T = eta + sigma * eps.

    Attributes
    ----------
    name : str
        The name by which models ask for it.
    has_scale : bool
        Whether sigma is estimated; it is fixed at 1 for the exponential.
    mean, standard_deviation : float
        Moments of eps, from which starting values are made.
    log_survival, log_density : callable
        u of shape (n,) -> LogDerivatives. u is finite; the left tail keeps its relative precision.
    quantile : callable
        Probability in (0, 1) of shape (n,) -> quantile of eps.
    shape : Shape
        Whether eps has a shape Q, and where it comes from.
    at_shape : callable or None
        Q -> the same distribution at that shape; moments and functions here are those at Q = 1.
    start_shapes : tuple of float
        Shapes from which a search begins, where Q is free.
    """

    name: str
    has_scale: bool
    mean: float
    standard_deviation: float
    log_survival: Callable[[Array], LogDerivatives]
    log_density: Callable[[Array], LogDerivatives]
    quantile: Callable[[Array], Array]
    shape: Shape = Shape.NONE
    at_shape: Callable[[float], "StandardDistribution"] | None = None
    start_shapes: tuple[float, ...] = ()

    @property
    def ancillary_terms(self) -> tuple[str, ...]:
        """Names of the parameters beside the linear predictor."""
        if self.shape is Shape.FREE:
            return ("log_sigma", "Q")
        return ("log_sigma",) if self.has_scale else ()

    def settled(self, log_sigma: float, shape: float) -> "StandardDistribution":
        """Return the distribution of eps at given ancillary parameters: itself where eps has no shape.

        Parameters
        ----------
        log_sigma : float
            Log of the scale, read where the shape is sigma.
        shape : float
            The shape Q, read where it is a parameter of its own.
        """
        if self.at_shape is None:
            return self
        return self.at_shape(float(np.exp(log_sigma)) if self.shape is Shape.SIGMA else shape)

    def split(self, ancillary: Array) -> tuple[float, float]:
        """Return log sigma and Q out of the ancillary parameters; 0 where the distribution has none.

        Parameters
        ----------
        ancillary : ndarray of shape (n_ancillary,)
            In the order of ``ancillary_terms``.
        """
        log_sigma = float(ancillary[0]) if self.has_scale else 0.0
        return log_sigma, float(ancillary[1]) if self.shape is Shape.FREE else 0.0


def _extreme_log_survival(u: Array) -> LogDerivatives:
    # log S = -exp(u), and so are both derivatives.
    minus_hazard = -np.exp(u)
    return LogDerivatives(minus_hazard, minus_hazard, minus_hazard)


def _extreme_log_density(u: Array) -> LogDerivatives:
    hazard = np.exp(u)
    return LogDerivatives(u - hazard, 1.0 - hazard, -hazard)


def _extreme_quantile(probability: Array) -> Array:
    return np.log(-np.log1p(-probability))


def _logistic_parts(u: Array) -> tuple[Array, Array, Array]:
    """Return log(1 + exp(u)), F(u) and S(u) from one exponential, without overflow."""
    small = np.exp(-np.abs(u))
    softplus = np.maximum(u, 0.0) + np.log1p(small)
    inverse = 1.0 / (1.0 + small)
    tail = small * inverse
    positive = u >= 0
    return softplus, np.where(positive, inverse, tail), np.where(positive, tail, inverse)


def _logistic_log_survival(u: Array) -> LogDerivatives:
    softplus, below, above = _logistic_parts(u)
    return LogDerivatives(-softplus, -below, -below * above)


def _logistic_log_density(u: Array) -> LogDerivatives:
    softplus, below, above = _logistic_parts(u)
    return LogDerivatives(u - 2.0 * softplus, above - below, -2.0 * below * above)


def _logistic_quantile(probability: Array) -> Array:
    return np.log(probability) - np.log1p(-probability)


def _normal_log_survival(u: Array) -> LogDerivatives:
    # Inverse Mills ratio through erfcx: exp(-u^2/2) cancels, so the far right tail keeps its digits.
    mills = _ROOT_TWO_OVER_PI / erfcx(u * _ROOT_HALF)
    return LogDerivatives(log_ndtr(-u), -mills, -mills * (mills - u))


def _normal_log_density(u: Array) -> LogDerivatives:
    return LogDerivatives(-0.5 * u * u - _HALF_LOG_TWO_PI, -u, np.full_like(u, -1.0))


def _normal_quantile(probability: Array) -> Array:
    return np.asarray(ndtri(probability), dtype=float)


def _extreme(name: str, *, has_scale: bool) -> StandardDistribution:
    return StandardDistribution(
        name=name,
        has_scale=has_scale,
        mean=-_EULER_GAMMA,
        standard_deviation=float(np.pi / np.sqrt(6.0)),
        log_survival=_extreme_log_survival,
        log_density=_extreme_log_density,
        quantile=_extreme_quantile,
    )


def _gamma_log_survival(u: Array, shape: float) -> LogDerivatives:
    return LogDerivatives(*_generalized_gamma.log_survival(u, shape))


def _gamma_log_density(u: Array, shape: float) -> LogDerivatives:
    return LogDerivatives(*_generalized_gamma.log_density(u, shape))


def _gamma_quantile(probability: Array, shape: float) -> Array:
    return _generalized_gamma.quantile(probability, shape)


def _at_shape(value: float, *, name: str, shape: Shape, start_shapes: tuple[float, ...]) -> StandardDistribution:
    """Return a gamma family standing at one value of its shape Q."""
    mean, standard_deviation = _generalized_gamma.moments(value)
    return StandardDistribution(
        name=name,
        has_scale=True,
        mean=mean,
        standard_deviation=standard_deviation,
        log_survival=partial(_gamma_log_survival, shape=value),
        log_density=partial(_gamma_log_density, shape=value),
        quantile=partial(_gamma_quantile, shape=value),
        shape=shape,
        at_shape=partial(_at_shape, name=name, shape=shape, start_shapes=start_shapes),
        start_shapes=start_shapes,
    )


#: The distributions without a shape: eps is smallest extreme value (exponential, weibull), normal or logistic.
DISTRIBUTIONS: Mapping[str, StandardDistribution] = MappingProxyType(
    {
        "exponential": _extreme("exponential", has_scale=False),
        "weibull": _extreme("weibull", has_scale=True),
        "lognormal": StandardDistribution(
            name="lognormal",
            has_scale=True,
            mean=0.0,
            standard_deviation=1.0,
            log_survival=_normal_log_survival,
            log_density=_normal_log_density,
            quantile=_normal_quantile,
        ),
        "loglogistic": StandardDistribution(
            name="loglogistic",
            has_scale=True,
            mean=0.0,
            standard_deviation=float(np.pi / np.sqrt(3.0)),
            log_survival=_logistic_log_survival,
            log_density=_logistic_log_density,
            quantile=_logistic_quantile,
        ),
    }
)


#: Every latency distribution by name: those and the gamma families. The gamma is the generalised gamma at Q = sigma:
#: then exp(eta) is the mean of T and sigma its coefficient of variation.
LATENCY_DISTRIBUTIONS: Mapping[str, StandardDistribution] = MappingProxyType(
    {
        **DISTRIBUTIONS,
        "gamma": _at_shape(1.0, name="gamma", shape=Shape.SIGMA, start_shapes=()),
        "generalized_gamma": _at_shape(1.0, name="generalized_gamma", shape=Shape.FREE, start_shapes=(1.0, 0.0)),
    }
)


def standard_distribution(name: str) -> StandardDistribution:
    """Look up a standardised distribution by name.

    Parameters
    ----------
    name : str
        One of ``exponential``, ``weibull``, ``lognormal``, ``loglogistic``, ``gamma``, ``generalized_gamma``.

    Returns
    -------
    StandardDistribution
        The distribution of eps in log T = eta + sigma * eps.

    Raises
    ------
    ValueError
        If no distribution has that name.

    Examples
    --------
    >>> import numpy as np
    >>> weibull = standard_distribution("weibull")
    >>> float(np.exp(weibull.log_survival(np.array([0.0])).value[0])).__round__(4)  # exp(-1) survive to exp(eta)
    0.3679
    """
    if name not in LATENCY_DISTRIBUTIONS:
        raise ValueError(f"distribution is {name!r}; allowed are {', '.join(LATENCY_DISTRIBUTIONS)}")
    return LATENCY_DISTRIBUTIONS[name]
