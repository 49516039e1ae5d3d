"""Prediction intervals by simulation: parameters drawn from their normal approximation, predictions from each.

The percentiles of the predictions need no linearisation, so they stay honest where a prediction bends strongly in the
parameters: beside a boundary, or far beyond the last time seen. Private to the estimators.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._mixture_prediction import Band
from recoverykit.estimators._rows import check_choice

Array = NDArray[np.float64]

_METHODS = ("delta", "simulation")
_LEAST_DRAWS = 100
#: Numbers held at a time: draws x rows x times.
_HELD = 2_000_000


def drawn_parameters(
    theta: Array, covariance: Array, *, method: str, rng: np.random.Generator | None, n_draws: int
) -> Array | None:
    """Draw parameters from the normal distribution about the estimate; directions without variance stay put.

    Parameters
    ----------
    theta : ndarray of shape (n_params,)
    covariance : ndarray of shape (n_params, n_params)
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
    variance, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(theta + rng.standard_normal((n_draws, len(root))) @ root.T, dtype=float)


def percentile_band(value: Array, drawn: Array, level: float) -> Band:
    """Return a value with the percentiles and the standard deviation of its draws, these on the first axis."""
    lower, upper = np.quantile(drawn, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=0)
    return Band(value, lower, upper, drawn.std(axis=0, ddof=1))


def simulated_rows(
    values: Callable[[Array, slice], Array], theta: Array, draws: Array, level: float, *, n_rows: int, width: int
) -> Band:
    """Simulate predictions of rows some rows at a time, so that memory does not grow with them.

    Parameters
    ----------
    values : callable
        (parameters, rows) -> predictions with the rows on the first axis.
    theta : ndarray of shape (n_params,)
        The estimate.
    draws : ndarray of shape (n_draws, n_params)
    level : float
        Confidence level.
    n_rows, width : int
        Rows, and numbers predicted for each.
    """
    step = max(_HELD // (len(draws) * width), 1)
    cuts = [slice(begin, min(begin + step, n_rows)) for begin in range(0, max(n_rows, 1), step)]
    bands = [
        percentile_band(values(theta, cut), np.array([values(drawn, cut) for drawn in draws]), level) for cut in cuts
    ]
    return Band(*(np.concatenate([getattr(band, name) for band in bands]) for name in Band.__slots__))
