"""Predictions of a Cox cure model with intervals by the delta method or by simulation, and residuals, on arrays.

The error of a survival probability at t comes from the coefficients and from the baseline L(t): with the path of the
best baseline, Var L(t) = path V path' + (-l_LL)^-1. Intervals are symmetric where they may be and carried over. Private
to the Cox cure model.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from recoverykit.errors import ExtrapolationError
from recoverykit.estimators._event_times import EventTimes
from recoverykit.estimators._mixture_prediction import Band, log_log_band
from recoverykit.estimators._products import times as linear
from recoverykit.estimators._products import weighted_sum
from recoverykit.estimators._residuals import residual_table
from recoverykit.estimators._simulation import drawn_parameters, percentile_band, simulated_rows

Array = NDArray[np.float64]

#: Above this the log of a survival probability is taken through log1p, which keeps the digits near 1.
_NEAR_ONE = -0.5
_LARGEST_PREDICTOR = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class BaselineHazard:
    """The cumulative baseline hazard of those that have the event, at the mean of the latency terms.

    Attributes
    ----------
    times, cumulative : ndarray of shape (n_times,)
        Event times and the cumulative hazard from each of them on.
    path : ndarray of shape (n_times, n_params)
        Its derivative in the coefficients.
    variance : ndarray of shape (n_times,)
        Its variance at known coefficients.
    means : ndarray of shape (n_latency_terms,)
        Mean of each latency term over the episodes of the fit.
    has_tail : bool
        Whether episodes were seen event-free after the last event time, so that it is taken to be infinite there.
    """

    times: Array
    cumulative: Array
    path: Array
    variance: Array
    means: Array
    has_tail: bool


@dataclass(frozen=True, slots=True, eq=False)
class CoxCurePredictor:
    """Fitted coefficients, the baseline, and the designs of the rows to predict for.

    Attributes
    ----------
    theta : ndarray of shape (n_params,)
    covariance : ndarray of shape (n_params, n_params)
    incidence, latency : ndarray of shape (n_rows, n_terms)
        Latency without constant, means taken out.
    baseline : BaselineHazard
    level : float
        Confidence level.
    """

    theta: Array
    covariance: Array
    incidence: Array
    latency: Array
    baseline: BaselineHazard
    level: float

    @property
    def quantile(self) -> float:
        """Normal quantile of the level."""
        return float(ndtri(0.5 + 0.5 * self.level))

    @property
    def log_odds(self) -> Array:
        """Linear predictor of the incidence of each row."""
        a = linear(self.incidence, self.theta[: self.incidence.shape[1]])
        return np.clip(a, -_LARGEST_PREDICTOR, _LARGEST_PREDICTOR)

    @property
    def hazard(self) -> Array:
        """Hazard of each row relative to the mean of the latency terms."""
        eta = self.latency @ self.theta[self.incidence.shape[1] :]
        return np.exp(np.clip(eta, -_LARGEST_PREDICTOR, _LARGEST_PREDICTOR))

    def moved(self, drawn: Array, rows: slice) -> "CoxCurePredictor":
        """Return the predictor of some rows at drawn coefficients and, last, a standard normal for the baseline.

        The cumulative hazard follows its path and spreads by its own error, on the log scale, so that it stays above 0.
        """
        base, known = self.baseline, self.baseline.cumulative
        change = base.path @ (drawn[:-1] - self.theta) + drawn[-1] * np.sqrt(base.variance)
        cumulative = known * np.exp(np.clip(change / known, -_LARGEST_PREDICTOR, _LARGEST_PREDICTOR))
        return replace(
            self,
            theta=drawn[:-1],
            incidence=self.incidence[rows],
            latency=self.latency[rows],
            baseline=replace(base, cumulative=cumulative),
        )

    def check_times(self, times: Array) -> None:
        """Raise ExtrapolationError for times after the last event where nothing says what happens there."""
        last = float(self.baseline.times[-1])
        if not self.baseline.has_tail and times.max() > last:
            raise ExtrapolationError(
                f"asked for time {times.max():g}, but the last event is at {last:g} and no episode was seen event-free "
                "after it, so the baseline is not known there; ask within that range, or fit a parametric latency"
            )

    def at(self, time: float) -> tuple[Array, Array, Array]:
        """Return log P(no event by the time), its slopes in the coefficients, and that in the baseline, per row."""
        a = self.log_odds
        p = 1.0 / (1.0 + np.exp(-a))
        place = int(np.searchsorted(self.baseline.times, time, side="right"))
        if place == 0:
            return np.zeros(len(a)), np.zeros((len(a), len(self.theta))), np.zeros(len(a))
        if time > self.baseline.times[-1]:
            slopes = np.hstack([-p[:, None] * self.incidence, np.zeros_like(self.latency)])
            return -np.logaddexp(0.0, a), slopes, np.zeros(len(a))
        hazard = self.hazard
        passed = self.baseline.cumulative[place - 1] * hazard
        with np.errstate(over="ignore"):
            uncured = 1.0 / (1.0 + np.exp(passed - a))
        value = np.logaddexp(0.0, a - passed) - np.logaddexp(0.0, a)
        value = np.where(value > _NEAR_ONE, np.log1p(p * np.expm1(-passed)), value)
        lost = uncured * hazard
        slopes = np.hstack([(uncured - p)[:, None] * self.incidence, -(uncured * passed)[:, None] * self.latency])
        return value, slopes - lost[:, None] * self.baseline.path[place - 1], -lost

    def own_variance(self, time: float) -> float:
        """Return the variance of the baseline at a time for known coefficients."""
        place = int(np.searchsorted(self.baseline.times, time, side="right"))
        return float(self.baseline.variance[place - 1]) if place else 0.0


def draws_of(
    predictor: CoxCurePredictor, *, method: str, rng: np.random.Generator | None, n_draws: int
) -> Array | None:
    """Draw coefficients and, beside them, a standard normal for the baseline; None for the delta method."""
    n_params = len(predictor.theta)
    covariance = np.eye(n_params + 1)
    covariance[:n_params, :n_params] = predictor.covariance
    return drawn_parameters(np.append(predictor.theta, 0.0), covariance, method=method, rng=rng, n_draws=n_draws)


def log_survival(predictor: CoxCurePredictor, times: Array, *, before: bool = False) -> Array:
    """Return log P(no event by a time) without its error, of the shape (n_rows, 1) or (n_rows, n_times) of the times.

    Parameters
    ----------
    predictor : CoxCurePredictor
    times : ndarray of shape (1, n_times) or (n_rows, 1)
    before : bool
        Whether the jump at the time itself is left out.
    """
    predictor.check_times(times)
    a, known = predictor.log_odds[:, None], predictor.baseline
    place = np.searchsorted(known.times, times, side="left" if before else "right")
    passed = np.concatenate([[0.0], known.cumulative])[place] * predictor.hazard[:, None]
    passed = np.where(times > known.times[-1], np.inf, passed)
    value = np.logaddexp(0.0, a - passed) - np.logaddexp(0.0, a)
    p = 1.0 / (1.0 + np.exp(-a))
    return np.where(value > _NEAR_ONE, np.log1p(p * np.expm1(-passed)), value)


def simulated_susceptible(predictor: CoxCurePredictor, draws: Array) -> Band:
    """Return P(ever has the event) of each row with the percentiles over the draws."""
    theta, width = np.append(predictor.theta, 0.0), 1

    def values(drawn: Array, rows: slice) -> Array:
        return np.asarray(1.0 / (1.0 + np.exp(-predictor.moved(drawn, rows).log_odds)), dtype=float)

    return simulated_rows(values, theta, draws, predictor.level, n_rows=len(predictor.latency), width=width)


def simulated_survival(predictor: CoxCurePredictor, draws: Array, times: Array) -> Band:
    """Return population survival of each row at each time with the percentiles over the draws."""
    theta, width = np.append(predictor.theta, 0.0), len(times)

    def values(drawn: Array, rows: slice) -> Array:
        return np.exp(log_survival(predictor.moved(drawn, rows), times[None, :]))

    return simulated_rows(values, theta, draws, predictor.level, n_rows=len(predictor.latency), width=width)


def simulated_mean_survival(predictor: CoxCurePredictor, draws: Array, times: Array, weight: Array) -> Band:
    """Return population survival averaged over the rows at each time with the percentiles over the draws."""
    share = weight / weight.sum()

    def mean(moved: CoxCurePredictor) -> Array:
        return np.asarray(share @ np.exp(log_survival(moved, times[None, :])), dtype=float)

    drawn = np.array([mean(predictor.moved(one, slice(None))) for one in draws])
    return percentile_band(mean(predictor), drawn, predictor.level)


def residuals(predictor: CoxCurePredictor, times: EventTimes, index: pd.Index) -> pd.DataFrame:
    """Return Cox-Snell residuals; an event lies somewhere in the jump of the baseline at its time."""
    end = times.lower[:, None]
    start = np.zeros(len(end))
    if times.entry is not None:
        start = np.where(times.entry > 0, -log_survival(predictor, times.entry[:, None])[:, 0], 0.0)
    is_event = np.isfinite(times.upper)
    upper = -log_survival(predictor, end)[:, 0]
    lower = np.where(is_event, -log_survival(predictor, end, before=True)[:, 0], upper)
    return residual_table(start, lower, upper, is_event, index)


def susceptible(predictor: CoxCurePredictor) -> Band:
    """Return P(ever has the event) of each row, interval symmetric on the logit scale."""
    n_incidence = predictor.incidence.shape[1]
    block = predictor.covariance[:n_incidence, :n_incidence]
    error = np.sqrt(np.maximum(((predictor.incidence @ block) * predictor.incidence).sum(axis=1), 0.0))
    a, half = predictor.log_odds, predictor.quantile * error
    value, lower, upper = (1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0))) for x in (a, a - half, a + half))
    return Band(value, lower, upper, value * (1.0 - value) * error)


def survival(predictor: CoxCurePredictor, times: Array) -> Band:
    """Return population survival of each row (first axis) at each time (second)."""
    predictor.check_times(times)
    log_survival = np.empty((len(predictor.latency), len(times)))
    variance = np.empty_like(log_survival)
    for column, time in enumerate(times):
        log_survival[:, column], slopes, lost = predictor.at(float(time))
        variance[:, column] = ((slopes @ predictor.covariance) * slopes).sum(axis=1)
        variance[:, column] += lost**2 * predictor.own_variance(float(time))
    return log_log_band(log_survival, np.sqrt(np.maximum(variance, 0.0)), predictor.quantile)


def mean_survival(predictor: CoxCurePredictor, times: Array, weight: Array) -> Band:
    """Return population survival averaged over the rows with weights, at each time."""
    predictor.check_times(times)
    share = weight / weight.sum()
    value, variance = np.empty(len(times)), np.empty(len(times))
    for column, time in enumerate(times):
        log_survival, slopes, lost = predictor.at(float(time))
        one = share * np.exp(log_survival)
        gradient, own = one @ slopes, float(one @ lost)
        value[column] = min(one.sum(), 1.0)
        variance[column] = gradient @ predictor.covariance @ gradient + own**2 * predictor.own_variance(float(time))
    return log_log_band(np.log(value), np.sqrt(np.maximum(variance, 0.0)) / value, predictor.quantile)


def mean_never(predictor: CoxCurePredictor, weight: Array) -> Band:
    """Return the weighted mean of 1 - incidence over the rows, interval symmetric on the logit scale; shape (1,)."""
    share = weight / weight.sum()
    p = 1.0 / (1.0 + np.exp(-predictor.log_odds))
    never = 1.0 / (1.0 + np.exp(predictor.log_odds))
    gradient = weighted_sum(-share * never * p, predictor.incidence)
    n_incidence = predictor.incidence.shape[1]
    error = np.sqrt(max(float(gradient @ predictor.covariance[:n_incidence, :n_incidence] @ gradient), 0.0))
    value = float(share @ never)
    odds, half = np.log(value / float(share @ p)), predictor.quantile * error / (value * float(share @ p))
    lower, upper = (1.0 / (1.0 + np.exp(-np.clip(odds + sign * half, -700.0, 700.0))) for sign in (-1.0, 1.0))
    return Band(*(np.array([x]) for x in (value, lower, upper, error)))
