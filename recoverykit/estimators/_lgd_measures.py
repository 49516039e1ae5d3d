"""How predicted losses stand against realised ones, on weighted arrays. Private to the comparison of LGD models."""

import numpy as np
from scipy.special import log_ndtr

from recoverykit.estimators._evaluation_pairs import pair_sums
from recoverykit.estimators._rows import Array, IntArray

#: Predictions whose spread is below this share of their size are all the same: they rank nothing.
_CONSTANT = 1e-12


def accuracy(realised: Array, predicted: Array, weights: Array) -> dict[str, float]:
    """Return mean absolute error, root mean squared error and R2 against the mean of these realised losses."""
    share = weights / weights.sum()
    error = realised - predicted
    squared = float(share @ error**2)
    spread = float(share @ (realised - share @ realised) ** 2)
    return {
        "mae": float(share @ np.abs(error)),
        "rmse": float(np.sqrt(squared)),
        "r2": 1.0 - squared / spread if spread > 0 else float("nan"),
    }


def ranking(realised: Array, predicted: Array, weights: Array) -> dict[str, float]:
    """Return the generalised AUC, the Gini 2 AUC - 1 (Somers' D of the prediction given the loss), and Spearman's rho.

    The generalised AUC is the chance that of two episodes with different losses the one with the larger loss was given
    the larger prediction, ties of the prediction counting half.
    """
    if np.ptp(predicted) <= _CONSTANT * np.abs(predicted).max(initial=0.0) or np.ptp(realised) == 0:
        return {"generalised_auc": float("nan"), "gini": float("nan"), "spearman": float("nan")}
    ranks: IntArray = np.unique(realised, return_inverse=True)[1].astype(np.int64)
    pairs = pair_sums(time_ranks=ranks, scores=-predicted, early=weights, late=weights)
    auc = float(weights @ pairs.concordant_later) / float(weights @ pairs.later)
    return {
        "generalised_auc": auc,
        "gini": 2.0 * auc - 1.0,
        "spearman": _correlation(_midranks(realised, weights), _midranks(predicted, weights), weights),
    }


def calibration_line(realised: Array, predicted: Array, weights: Array) -> dict[str, float]:
    """Return intercept and slope of the least-squares line of realised on predicted losses; 0 and 1 are perfect."""
    share = weights / weights.sum()
    x, y = predicted - share @ predicted, realised - share @ realised
    spread = float(share @ x**2)
    if np.ptp(predicted) <= _CONSTANT * np.abs(predicted).max(initial=0.0):
        return {"calibration_intercept": float("nan"), "calibration_slope": float("nan")}
    slope = float(share @ (x * y)) / spread
    return {
        "calibration_intercept": float(share @ realised) - slope * float(share @ predicted),
        "calibration_slope": slope,
    }


def level_test(realised: Array, predicted: Array, weights: Array, clusters: IntArray | None) -> dict[str, float]:
    """Return mean realised and predicted losses, and z of their difference with its two-sided p-value.

    z is the mean of realised - predicted over its standard error, which sums over clusters, or without them over single
    episodes, of which a row holds as many as it weighs: above 0 the model predicts too little.
    """
    total = float(weights.sum())
    gap = realised - predicted
    mean = float(weights @ gap) / total
    left = gap - mean
    by_cluster = np.sqrt(weights) * left if clusters is None else np.bincount(clusters, weights=weights * left)
    error = float(np.sqrt(by_cluster @ by_cluster)) / total
    z = mean / error if error > 0 else float("nan")
    return {
        "mean_realised": float(weights @ realised) / total,
        "mean_predicted": float(weights @ predicted) / total,
        "z": z,
        "p_value": float(2.0 * np.exp(log_ndtr(-abs(z)))),
    }


def _midranks(values: Array, weights: Array) -> Array:
    """Return the weight of smaller values and half the weight of equal ones."""
    _, place = np.unique(values, return_inverse=True)
    weight = np.bincount(place, weights=weights)
    return (np.cumsum(weight) - 0.5 * weight)[place]


def _correlation(left: Array, right: Array, weights: Array) -> float:
    share = weights / weights.sum()
    x, y = left - share @ left, right - share @ right
    return float(share @ (x * y)) / float(np.sqrt((share @ x**2) * (share @ y**2)))
