"""Prediction intervals by simulation: parameters drawn from their normal approximation, predictions from each.

The percentiles of the predictions need no linearisation, so they stay honest where a prediction bends strongly in the
parameters: beside a boundary, or far beyond the last time seen. Private to the cure models.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._mixture_prediction import Band, Predictor
from recoverykit.estimators._rows import check_choice

Array = NDArray[np.float64]

_METHODS = ("delta", "simulation")
_LEAST_DRAWS = 100
#: Numbers held at a time: draws x rows x times.
_HELD = 2_000_000


def drawn_parameters(predictor: Predictor, method: str, rng: np.random.Generator | None, n_draws: int) -> Array | None:
    """Draw parameters from the normal distribution about the estimate; directions without variance stay put.

    Parameters
    ----------
    predictor : Predictor
    method : str
        ``delta`` or ``simulation``.
    rng : Generator or None
    n_draws : int

    Returns
    -------
    ndarray of shape (n_draws, n_params) or None
        None for the delta method, which needs no draws.

    Raises
    ------
    ValueError
        If the method is not known, or simulation has no ``rng`` or too few draws.
    """
    check_choice("method", method, _METHODS)
    if method == "delta":
        return None
    if rng is None or n_draws < _LEAST_DRAWS:
        raise ValueError(
            f"simulation needs rng=numpy.random.default_rng(seed) and n_draws of {_LEAST_DRAWS} or more; given are "
            f"rng={rng} and n_draws={n_draws}"
        )
    variance, vectors = np.linalg.eigh(predictor.covariance)
    root = vectors * np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(predictor.theta + rng.standard_normal((n_draws, len(root))) @ root.T, dtype=float)


def simulated_susceptible(predictor: Predictor, draws: Array) -> Band:
    """Return P(ever has the event) of each row with the percentiles over the draws."""
    return _by_rows(predictor, draws, _susceptible_values, 1)


def simulated_survival(predictor: Predictor, draws: Array, times: Array) -> Band:
    """Return population survival of each row (first axis) at each time (second) with percentiles over the draws."""
    return _by_rows(predictor, draws, lambda part: survival_values(part, times), len(times))


def simulated_mean_survival(predictor: Predictor, draws: Array, times: Array, weight: Array) -> Band:
    """Return population survival averaged over the rows at each time with percentiles over the draws."""
    share = weight / weight.sum()
    return _band(predictor, draws, lambda part: np.asarray(share @ survival_values(part, times), dtype=float))


def survival_values(predictor: Predictor, times: Array) -> Array:
    """Return population survival of each row at each time, without any interval."""
    return np.column_stack([np.exp(predictor.survivors(float(time)).value) for time in times])


def _susceptible_values(predictor: Predictor) -> Array:
    return np.exp(predictor.link.terms(predictor.predictor).log_p)


def _by_rows(predictor: Predictor, draws: Array, values: Callable[[Predictor], Array], n_times: int) -> Band:
    """Simulate rows in blocks, so that memory does not grow with them."""
    step = max(_HELD // (len(draws) * n_times), 1)
    bands = []
    for begin in range(0, max(len(predictor.incidence), 1), step):
        cut = slice(begin, begin + step)
        part = replace(predictor, incidence=predictor.incidence[cut], latency=predictor.latency[cut])
        bands.append(_band(part, draws, values))
    return Band(*(np.concatenate([getattr(band, name) for band in bands]) for name in Band.__slots__))


def _band(predictor: Predictor, draws: Array, values: Callable[[Predictor], Array]) -> Band:
    drawn = np.array([values(replace(predictor, theta=theta)) for theta in draws])
    tail = 0.5 - 0.5 * predictor.level
    lower, upper = np.quantile(drawn, [tail, 1.0 - tail], axis=0)
    return Band(values(predictor), lower, upper, drawn.std(axis=0, ddof=1))
