"""The likelihood of the logit x proportional-hazards cure model, profiled over its baseline hazard, with derivatives.

Letters: a is the linear predictor of incidence, p = 1 / (1 + exp(-a)) = P(ever has the event); e = exp(x'b) the
relative hazard of the latency, L(t) the cumulative baseline hazard, a step function that jumps by A_k at the k-th event
time; S = exp(-L e). Each row adds one of

* event at t_k:                          log p + x'b - e L(t_k-), and its part of phi_k(A_k, T_k)  (``_cox_cure_ties``)
* still event-free at t:                 log(1 - p + p S(t))
* the same after the last event time:    log(1 - p), the zero tail (Taylor 1995, Biometrics 51:899)
* entered event-free at t:               minus log(1 - p + p S(t))

Its maximum is the fixed point of the EM algorithm of Sy and Taylor (2000, Biometrics 56:227) and of Peng and Dear
(2000, Biometrics 56:237). In the values L_1 ... L_K each term involves one or two neighbours, so the Hessian in the
baseline is tridiagonal: Newton's method and the information of the other parameters cost no more than reading the rows,
and EM is not needed. Private: no frames here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dptsv, dpttrf
from scipy.sparse import csr_matrix

from recoverykit.estimators._cox_cure_ties import TieRule, TieTerms
from recoverykit.estimators._products import cross, times, weighted_sum

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_INNER_STEPS, _HALVINGS = 200, 40
#: The step that promises less log-likelihood than this is the last one; it leaves about the square of it.
_INNER_GAIN = 1e-8
#: No jump changes by more than this factor, on the log scale, in one step.
_LARGEST_LOG_STEP = 1.5
_ROUNDING = 1e-12
#: Predictors are kept where their exponentials are numbers.
_LARGEST_PREDICTOR = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class CoxCureData:
    """Rows as the likelihood reads them.

    Attributes
    ----------
    incidence, latency : ndarray of shape (n_patterns, n_terms)
        Designs; the latency without a constant, centred.
    event_counts : ndarray of shape (n_times,)
        Events at each event time.
    events : csr_matrix of shape (n_times, n_patterns)
        Events at each time by pattern.
    event_weight : ndarray of shape (n_patterns,)
        Events of each pattern.
    base_weight : ndarray of shape (n_patterns,)
        How often log(1 + exp(a)) is subtracted.
    place, pattern : ndarray of int of shape (n_terms,)
        Event time (from 0) and pattern of each term log(1 + exp(a - L e)), by ascending place.
    weight : ndarray of shape (n_terms,)
        Case weight, negative for a term of an entry.
    starts : ndarray of int of shape (n_times + 1,)
        Where the terms of each event time begin.
    ties : TieRule
    """

    incidence: Array
    latency: Array
    event_counts: Array
    events: csr_matrix
    event_weight: Array
    base_weight: Array
    place: IntArray
    pattern: IntArray
    weight: Array
    starts: IntArray
    ties: TieRule

    @property
    def n_params(self) -> int:
        """Number of coefficients of both parts."""
        return self.incidence.shape[1] + self.latency.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """The baseline hazard and what the likelihood says at it, for given predictors.

    ``uncured`` is P(will have the event) of each term's episode given event-free, ``spread`` its p (1 - p).
    """

    jumps: Array
    cumulative: Array
    uncured: Array
    spread: Array
    tie_terms: TieTerms
    value: float
    slope: Array
    curve: Array


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Profile log-likelihood at coefficients, and how the best baseline moves with them.

    ``path`` of shape (n_times, n_params) is dL_k / d(coefficients); ``precision`` the (diagonal, beside it) of minus
    the Hessian in L.
    """

    value: float
    gradient: Array
    hessian: Array
    baseline: Baseline
    path: Array
    precision: tuple[Array, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Predictors:
    """Predictors by pattern, relative hazards and predictors by term, and relative hazards summed over tied events."""

    a: Array
    eta: Array
    hazard: Array
    term_a: Array
    term_hazard: Array
    tied: Array


def profile(coefficients: Array, data: CoxCureData, jumps: Array) -> Profile:
    """Evaluate the profile log-likelihood with gradient and Hessian.

    Parameters
    ----------
    coefficients : ndarray of shape (n_params,)
        Incidence, then latency.
    data : CoxCureData
    jumps : ndarray of shape (n_times,)
        Baseline jumps to begin from, above 0.

    Returns
    -------
    Profile
        With a value of minus infinity where no maximum in the baseline was found.

    Notes
    -----
    With l_L = 0 at the best baseline, the profile gradient is l_c and the profile Hessian is
    l_cc + l_cL (-l_LL)^-1 l_Lc: the information of Louis (1982, JRSS B 44:226) for the coefficients.
    """
    predictors = linear_predictors(coefficients, data)
    baseline = solve_baseline(predictors, data, jumps)
    precision = _tridiagonal(baseline.tie_terms.curvature, baseline.curve)
    n_params, n_times = data.n_params, len(jumps)
    none = np.zeros((n_params, n_params))
    nothing = Profile(-np.inf, none[0], none, baseline, np.zeros((n_times, n_params)), precision)
    if not np.isfinite(baseline.value):
        return nothing
    tied_rows = _sums_by_time(data.events, predictors.hazard, data.latency)
    right = _mixed(predictors, baseline, data, tied_rows)
    path, failed = _solve(precision, right)
    if failed:
        return nothing
    gradient, hessian = _direct(predictors, baseline, data, tied_rows)
    hessian = hessian + cross(right, np.ones(n_times), path)
    value = baseline.value + _dot(data.event_weight, predictors.a + predictors.eta)
    value -= _dot(data.base_weight, np.logaddexp(0.0, predictors.a))
    return Profile(float(value), gradient, 0.5 * (hessian + hessian.T), baseline, path, precision)


def solve_baseline(predictors: Predictors, data: CoxCureData, jumps: Array) -> Baseline:
    """Find the baseline jumps that maximise the likelihood for given predictors, by Newton's method on their logs.

    Each step solves one tridiagonal system. Where the likelihood is not concave, the curvature that the event-free
    rows take away is left out, as EM does, and steps are halved until they go up.
    """
    at = _baseline(predictors, data, jumps)
    if not np.isfinite(at.value):
        return at
    for _ in range(_INNER_STEPS):
        step, gain = _newton_step(at)
        factor = 1.0
        for _ in range(_HALVINGS):
            moved = at.jumps * np.exp(np.clip(factor * step, -_LARGEST_LOG_STEP, _LARGEST_LOG_STEP))
            trial = _baseline(predictors, data, moved)
            if trial.value >= at.value - _ROUNDING * abs(at.value):
                break
            factor *= 0.5
        else:
            return at
        at = trial
        if gain < _INNER_GAIN and factor == 1.0:
            return at
    return _without_value(at)


def inverse_diagonal(precision: tuple[Array, Array]) -> Array:
    """Return the diagonal of the inverse of a positive definite tridiagonal matrix (diagonal, beside it)."""
    diagonal, beside = precision
    forward, _, _ = dpttrf(diagonal, beside)
    backward, _, _ = dpttrf(diagonal[::-1], beside[::-1])
    return np.asarray(1.0 / (forward + backward[::-1] - diagonal), dtype=float)


def linear_predictors(coefficients: Array, data: CoxCureData) -> Predictors:
    n_incidence = data.incidence.shape[1]
    a = times(data.incidence, coefficients[:n_incidence])
    eta = np.zeros(len(a))
    if data.latency.shape[1]:
        eta = times(data.latency, coefficients[n_incidence:])
    a, eta = (np.clip(x, -_LARGEST_PREDICTOR, _LARGEST_PREDICTOR) for x in (a, eta))
    hazard = np.exp(eta)
    return Predictors(a, eta, hazard, a[data.pattern], hazard[data.pattern], data.events @ hazard)


def _baseline(predictors: Predictors, data: CoxCureData, jumps: Array) -> Baseline:
    n_times = len(jumps)
    cumulative = np.cumsum(jumps)
    x = predictors.term_a - cumulative[data.place] * predictors.term_hazard
    small = np.exp(-np.abs(x))
    inverse = 1.0 / (1.0 + small)
    uncured = np.where(x >= 0, inverse, small * inverse)
    spread = small * inverse * inverse
    tie = data.ties(data.event_counts, jumps, predictors.tied)
    value = float(tie.value.sum()) - _dot(predictors.tied, cumulative - jumps)
    value += _dot(data.weight, np.maximum(x, 0.0) + np.log1p(small))
    pulled = data.weight * predictors.term_hazard
    pull = np.bincount(data.place, weights=pulled * uncured, minlength=n_times)
    bent = pulled * predictors.term_hazard * spread
    curve = np.bincount(data.place, weights=bent, minlength=n_times).astype(float)
    at_risk = np.cumsum((predictors.tied + pull)[::-1])[::-1]
    slope = tie.slope + predictors.tied - at_risk  # in the jumps
    return Baseline(jumps, cumulative, uncured, spread, tie, value, slope, curve)


def _newton_step(at: Baseline) -> tuple[Array, float]:
    """Return the change of the log jumps and the gain it promises."""
    on_logs = at.tie_terms.curvature - at.slope / at.jumps
    curvature = np.where(on_logs > 0.1 * at.tie_terms.curvature, on_logs, at.tie_terms.curvature)
    right = at.slope - np.append(at.slope[1:], 0.0)
    moved, failed = _solve(_tridiagonal(curvature, at.curve), right[:, None])
    if failed:
        moved, _ = _solve(_tridiagonal(curvature, np.minimum(at.curve, 0.0)), right[:, None])
    gain = 0.5 * _dot(right, moved[:, 0])
    return np.diff(moved[:, 0], prepend=0.0) / at.jumps, gain


def _dot(left: Array, right: Array) -> float:
    """Return the sum of products, by pairs: one core, and the digits of a sum of a million terms."""
    return float((left * right).sum())


def _tridiagonal(curvature: Array, curve: Array) -> tuple[Array, Array]:
    """Return minus the Hessian in L_1 ... L_K as (diagonal, beside it)."""
    later = np.append(curvature[1:], 0.0)
    return curvature + later - curve, -curvature[1:]


def _solve(precision: tuple[Array, Array], right: Array) -> tuple[Array, bool]:
    """Solve a tridiagonal system; failed when it is not positive definite."""
    if right.shape[1] == 0:
        return right, False
    if len(right) == 1:  # LAPACK's wrapper wants a second diagonal even where there is none
        return right / precision[0], bool(precision[0][0] <= 0)
    _, _, solution, info = dptsv(*precision, right)
    return np.asarray(solution, dtype=float), bool(info != 0)


def _mixed(predictors: Predictors, at: Baseline, data: CoxCureData, tied_rows: Array) -> Array:
    """Return l_Lc of shape (n_times, n_params)."""
    moved = data.weight * predictors.term_hazard
    swing = moved * at.spread
    exposed = swing * at.cumulative[data.place] * predictors.term_hazard - moved * at.uncured
    shape = (len(at.jumps), len(data.incidence))
    by_time = [csr_matrix((x, data.pattern, data.starts), shape=shape) for x in (-swing, exposed)]
    mixed = at.tie_terms.mixed[:, None]
    own = mixed * tied_rows
    after = np.vstack([((1.0 + mixed) * tied_rows)[1:], np.zeros((1, tied_rows.shape[1]))])
    latency = by_time[1] @ data.latency + own - after if data.latency.shape[1] else own
    return np.hstack([by_time[0] @ data.incidence, latency])


def _direct(predictors: Predictors, at: Baseline, data: CoxCureData, tied_rows: Array) -> tuple[Array, Array]:
    """Return l_c and l_cc at fixed baseline."""
    n_patterns = len(data.incidence)
    tie = at.tie_terms
    h = at.cumulative[data.place] * predictors.term_hazard

    def by_pattern(values: Array) -> Array:
        return np.bincount(data.pattern, weights=data.weight * values, minlength=n_patterns).astype(float)

    p = 1.0 / (1.0 + np.exp(-predictors.a))
    borne = predictors.hazard * (data.events.T @ (tie.exposure + at.cumulative - at.jumps))
    swing = at.spread * h
    in_a = data.event_weight - data.base_weight * p + by_pattern(at.uncured)
    in_eta = data.event_weight - borne - by_pattern(at.uncured * h)
    second = by_pattern(at.spread) - data.base_weight * p * (1.0 - p)
    gradient = weighted_sum(in_a, data.incidence)
    hessian = cross(data.incidence, second, data.incidence)
    if not data.latency.shape[1]:
        return gradient, hessian
    gradient = np.concatenate([gradient, weighted_sum(in_eta, data.latency)])
    corner = cross(data.incidence, -by_pattern(swing), data.latency)
    second = by_pattern(swing * h - at.uncured * h) - borne
    latency = cross(data.latency, second, data.latency) + cross(tied_rows, tie.bend, tied_rows)
    return gradient, np.block([[hessian, corner], [corner.T, latency]])


def _sums_by_time(events: csr_matrix, hazard: Array, latency: Array) -> Array:
    """Return the covariates of the tied events at each time, summed with their relative hazards."""
    if not latency.shape[1]:
        return np.zeros((events.shape[0], 0))
    return np.asarray(events @ (hazard[:, None] * latency), dtype=float)


def _without_value(at: Baseline) -> Baseline:
    names = [name for name in Baseline.__slots__ if name != "value"]
    return Baseline(value=-np.inf, **{name: getattr(at, name) for name in names})
