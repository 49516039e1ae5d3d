"""Prediction intervals of a cure model by simulation: predictions at drawn parameters. Private to the cure models."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators import _simulation
from recoverykit.estimators._mixture_prediction import Band, Predictor

Array = NDArray[np.float64]


def drawn_parameters(predictor: Predictor, method: str, rng: np.random.Generator | None, n_draws: int) -> Array | None:
    """Draw parameters about the estimate; None for the delta method."""
    theta, covariance = predictor.theta, predictor.covariance
    return _simulation.drawn_parameters(theta, covariance, method=method, rng=rng, n_draws=n_draws)


def simulated_susceptible(predictor: Predictor, draws: Array) -> Band:
    """Return P(ever has the event) of each row with the percentiles over the draws."""

    def values(theta: Array, rows: slice) -> Array:
        part = replace(predictor, theta=theta, incidence=predictor.incidence[rows])
        return np.exp(predictor.link.terms(part.predictor).log_p)

    size = {"n_rows": len(predictor.incidence), "width": 1}
    return _simulation.simulated_rows(values, predictor.theta, draws, predictor.level, **size)


def simulated_survival(predictor: Predictor, draws: Array, times: Array) -> Band:
    """Return population survival of each row (first axis) at each time (second) with percentiles over the draws."""

    def values(theta: Array, rows: slice) -> Array:
        incidence, latency = predictor.incidence[rows], predictor.latency[rows]
        return survival_values(replace(predictor, theta=theta, incidence=incidence, latency=latency), times)

    size = {"n_rows": len(predictor.incidence), "width": len(times)}
    return _simulation.simulated_rows(values, predictor.theta, draws, predictor.level, **size)


def simulated_mean_survival(predictor: Predictor, draws: Array, times: Array, weight: Array) -> Band:
    """Return population survival averaged over the rows at each time with percentiles over the draws."""
    share = weight / weight.sum()
    means = [share @ survival_values(replace(predictor, theta=theta), times) for theta in (predictor.theta, *draws)]
    return _simulation.percentile_band(np.asarray(means[0], dtype=float), np.array(means[1:]), predictor.level)


def survival_values(predictor: Predictor, times: Array) -> Array:
    """Return population survival of each row at each time, without any interval."""
    return np.column_stack([np.exp(predictor.survivors(float(time)).value) for time in times])
