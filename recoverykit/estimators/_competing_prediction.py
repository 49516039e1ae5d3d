"""Predictions of a competing-outcomes model on arrays: shares at once for many times, and their delta-method bands.

Every prediction with a band is the exponential of a log-likelihood term: an outcome in (given, t] less the chance of
being open at ``given``. So the derivatives of the likelihood serve the bands too, conditional or not. Bands are
symmetric on scales that never leave 0 to 1. Private to the competing-outcomes model.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from recoverykit.estimators._competing_kernels import (
    PartTerms,
    latency_eta,
    log_classes,
    open_terms,
    outcome_terms,
    scale_and_shape,
)
from recoverykit.estimators._competing_layout import Layout
from recoverykit.estimators._mixture_prediction import Band
from recoverykit.estimators._mixture_terms import RowTerms, interval_terms, log_survival_terms

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_BLOCK_ROWS = 4_096
#: Rows x times of one block of shares without bands.
_BLOCK_SIZE = 65_536
_LARGEST_EXPONENT, _LARGEST_U = 700.0, 300.0
#: Nodes of the quadrature of a cause-specific hazard, and the latency's own cumulative hazard up to which it goes.
_N_NODES, _LARGEST_HAZARD = 40, 30.0
_LEAST_SHARE = 1e-300
#: (rows, time) -> log of a predicted probability, with its derivatives.
Quantity = Callable[["PredictedRows", float], PartTerms]


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Fitted parameters and the designs of the rows to predict for, equal ones once.

    Attributes
    ----------
    theta : ndarray of shape (n_params,)
    covariance : ndarray of shape (n_params, n_params)
    designs : tuple of ndarray of shape (n_rows, n_terms)
        Incidence first, then the latency of each outcome.
    layout : Layout
    given : ndarray of shape (n_rows,)
        Time at which each row is known to be open; 0 for none.
    level : float
        Confidence level.
    inverse : ndarray of int of shape (n_frame_rows,)
        Row of each row of the frame.
    """

    theta: Array
    covariance: Array
    designs: tuple[Array, ...]
    layout: Layout
    given: Array
    level: float
    inverse: IntArray

    @property
    def quantile(self) -> float:
        """Normal quantile of the level."""
        return float(ndtri(0.5 + 0.5 * self.level))

    def cut(self, rows: slice | IntArray, theta: Array | None = None) -> "Predictor":
        """Return the predictor of some rows, at other parameters where they are given."""
        own = {id(design): design[rows] for design in self.designs}
        designs = tuple(own[id(design)] for design in self.designs)
        return replace(self, designs=designs, given=self.given[rows], theta=self.theta if theta is None else theta)

    def log_survival(self, times: Array) -> list[Array]:
        """Return log S of each outcome at times of shape (n_rows, n_times)."""
        with np.errstate(divide="ignore"):
            log_times = np.log(times)
        found = []
        for k, distribution in enumerate(self.layout.distributions):
            log_sigma, shape = scale_and_shape(k, self.theta, self.layout)
            eta = latency_eta(k, self.theta, self.designs, self.layout)
            u = np.clip((log_times - eta[:, None]) * np.exp(-log_sigma), -_LARGEST_U, _LARGEST_U)
            value = distribution.settled(log_sigma, shape).log_survival(u.ravel()).value
            found.append(_at_limits(times, value.reshape(u.shape)))
        return found

    def times_of_hazard(self, k: int, hazard: Array) -> Array:
        """Return when the latency of an outcome has a cumulative hazard, of shape (n_rows, n_times)."""
        log_sigma, shape = scale_and_shape(k, self.theta, self.layout)
        eta = latency_eta(k, self.theta, self.designs, self.layout)
        probability = np.clip(-np.expm1(-hazard), 1e-300, 1.0 - 1e-15)
        u = self.layout.distributions[k].settled(log_sigma, shape).quantile(probability.ravel())
        return np.asarray(np.exp(eta[:, None] + np.exp(log_sigma) * u.reshape(hazard.shape)), dtype=float)

    def class_chance(self, log_survival: list[Array]) -> Array:
        """Return the chance of each class of an episode still open at times, of shape (n_classes, n_rows, n_times)."""
        log_pi = log_classes(self.theta, self.designs, self.layout)
        lead = np.repeat(log_pi[:, :, None], log_survival[0].shape[1], axis=2)
        lead[: self.layout.n_outcomes] += log_survival
        chance = np.exp(lead - lead.max(axis=0))
        return np.asarray(chance / chance.sum(axis=0), dtype=float)


@dataclass(frozen=True, slots=True, eq=False)
class PredictedRows:
    """A block of rows with what every prediction needs: log pi, latency predictors, and log P(open at given)."""

    predictor: Predictor
    rows: slice
    designs: tuple[Array, ...]
    log_pi: Array
    etas: tuple[Array, ...]
    given: Array
    given_open: PartTerms

    def log_survival(self, k: int, times: Array) -> RowTerms:
        """Return log S_k at a time of each row."""
        layout = self.predictor.layout
        with np.errstate(divide="ignore"):
            log_times = np.log(times)
        scale = scale_and_shape(k, self.predictor.theta, layout)
        terms = log_survival_terms(layout.distributions[k], log_times, self.etas[k], *scale)
        return replace(terms, value=_at_limits(times, terms.value))


def _at_limits(times: Array, log_survival: Array) -> Array:
    """Put in log S at time 0 and for ever, which a standardised time held to a range is not far enough out for."""
    return np.where(times > 0, np.where(np.isinf(times), -np.inf, log_survival), 0.0)


def shares(predictor: Predictor, times: Array) -> Array:
    """Return the probability of each outcome by each time and, last, of being open, given open at ``given``.

    Parameters
    ----------
    predictor : Predictor
    times : ndarray of shape (n_times,) or (n_rows, n_times)
        Infinite for ever.

    Returns
    -------
    ndarray of shape (n_rows, n_times, n_outcomes + 1)
        The parts add up to 1. No time before ``given`` has an outcome.
    """
    layout, n_rows = predictor.layout, len(predictor.given)
    asked = np.broadcast_to(times, (n_rows, times.shape[-1]))
    result = np.empty((*asked.shape, layout.n_outcomes + 1))
    step = max(_BLOCK_SIZE // asked.shape[1], 1)
    for begin in range(0, n_rows, step):
        cut = slice(begin, begin + step)
        rows = predictor.cut(cut)
        known = rows.log_survival(rows.given[:, None])
        chance = rows.class_chance(known)
        waits = asked[cut] > rows.given[:, None]
        later = rows.log_survival(np.maximum(asked[cut], rows.given[:, None]))
        still_open = chance[-1] if layout.has_never else np.zeros_like(known[0])
        for k in range(layout.n_outcomes):
            passed = later[k] - known[k]
            result[cut, :, k] = -chance[k] * np.expm1(passed)
            still_open = still_open + chance[k] * np.exp(passed)
        result[cut, :, -1] = np.where(waits, still_open, 1.0)
    return result


def mean_shares(predictor: Predictor, times: Array, weight: Array) -> Array:
    """Return the weighted mean of ``shares`` over the rows, of shape (n_times, n_outcomes + 1)."""
    total = np.zeros((len(times), predictor.layout.n_outcomes + 1))
    step = max(_BLOCK_SIZE // len(times), 1)
    for begin in range(0, len(weight), step):
        cut = slice(begin, begin + step)
        total += np.tensordot(weight[cut], shares(predictor.cut(cut), times), axes=1)
    return np.asarray(total / weight.sum(), dtype=float)


def cumulative_hazard(predictor: Predictor, times: Array, k: int | None) -> Array:
    """Return the cumulative hazard of being ended by an outcome, or with None by any, up to the time of each row.

    With w_k the chance that an open episode is to end in k, the hazard of outcome k is w_k times that of its latency.
    So it is the integral of w_k over the cumulative hazard of the latency (Gauss and Legendre), exact where w_k is 1.
    """
    result, step = np.empty(len(times)), _BLOCK_SIZE // _N_NODES
    nodes, weights = np.polynomial.legendre.leggauss(_N_NODES)
    roots = 0.5 * (nodes + 1.0)  # of the hazard's share, so that the nodes crowd at the beginning, where w_k moves most
    for begin in range(0, len(times), step):
        cut = slice(begin, begin + step)
        rows, time = predictor.cut(cut), times[cut, None]
        if k is None:
            result[cut] = -np.log(np.maximum(shares(rows, time)[:, 0, -1], _LEAST_SHARE))
            continue
        reached = np.minimum(-rows.log_survival(time)[k], _LARGEST_HAZARD)
        at = rows.times_of_hazard(k, roots**2 * reached)
        result[cut] = reached[:, 0] * (rows.class_chance(rows.log_survival(at))[k] @ (roots * weights))
    return result


def outcome_by(k: int) -> Quantity:
    """Return the probability of outcome k after ``given`` and by a time (infinite: ever), given open at ``given``."""

    def quantity(rows: PredictedRows, time: float) -> PartTerms:
        upper = np.maximum(rows.given, time)
        latency = interval_terms(rows.log_survival(k, rows.given), rows.log_survival(k, upper))
        terms = outcome_terms(k, rows.log_pi, latency, rows.predictor.layout)
        return _given(rows, terms, np.where(time > rows.given, terms.value, -np.inf))

    return quantity


def never(rows: PredictedRows, _: float) -> PartTerms:
    """Return the probability of never resolving, given open at ``given``; the model must have that class."""
    layout, pi = rows.predictor.layout, np.exp(rows.log_pi)
    first = {place: -pi[k] for k, place in enumerate(layout.incidence) if place is not None}
    return _given(rows, PartTerms(rows.log_pi[-1], first, {}), rows.log_pi[-1])


def still_open(rows: PredictedRows, time: float) -> PartTerms:
    """Return the probability of being open at a time, given open at ``given``."""
    terms = _open_at(rows, np.maximum(rows.given, time))
    value = np.minimum(terms.value, rows.given_open.value)
    return _given(rows, terms, np.where(time > rows.given, value, rows.given_open.value))


def row_values(predictor: Predictor, quantity: Quantity, times: Array) -> tuple[Array, Array]:
    """Return the log of a quantity and its standard error, rows on the first axis and times on the second."""
    value = np.empty((len(predictor.given), len(times)))
    error = np.zeros_like(value)
    for rows in _blocks(predictor):
        spreads = _spreads(rows)
        for column, time in enumerate(times):
            terms = quantity(rows, float(time))
            variance = np.zeros(len(rows.given))
            for (i, j), spread in spreads.items():
                if i in terms.first and j in terms.first:
                    variance += (1.0 if i == j else 2.0) * terms.first[i] * terms.first[j] * spread
            value[rows.rows, column] = terms.value
            error[rows.rows, column] = np.sqrt(np.maximum(variance, 0.0))
    return value, error


def mean_values(predictor: Predictor, quantity: Quantity, times: Array, weight: Array) -> tuple[Array, Array]:
    """Return the weighted mean of a quantity over the rows, and its standard error, at each time."""
    share = weight / weight.sum()
    value, gradient = np.zeros(len(times)), np.zeros((len(times), predictor.layout.n_params))
    for rows in _blocks(predictor):
        for column, time in enumerate(times):
            terms = quantity(rows, float(time))
            one = share[rows.rows] * np.exp(terms.value)
            value[column] += one.sum()
            for place, slope in terms.first.items():
                part = predictor.layout.parts[place]
                moved = one * slope
                gradient[column, part.slice] += (
                    moved.sum() if part.design is None else moved @ rows.designs[part.design]
                )
    variance = ((gradient @ predictor.covariance) * gradient).sum(axis=1)
    return np.clip(value, 0.0, 1.0), np.sqrt(np.maximum(variance, 0.0))


def incidence_band(value: Array, error: Array, quantile: float) -> Band:
    """Return a cumulative incidence with an interval symmetric in log(-log(1 - F)); without width where F is 0."""
    inner = np.clip(value, 1e-300, 1.0 - 1e-15)
    hazard = -np.log1p(-inner)
    half = np.minimum(quantile * error / ((1.0 - inner) * hazard), _LARGEST_EXPONENT)
    limits = [np.where(value > 0, -np.expm1(-hazard * np.exp(sign * half)), 0.0) for sign in (-1.0, 1.0)]
    return Band(value, limits[0], limits[1], error)


def share_band(value: Array, error: Array, quantile: float) -> Band:
    """Return a share with an interval symmetric on the logit scale; without width at 0 and 1."""
    inside = (value > 0) & (value < 1)
    inner = np.where(inside, value, 0.5)
    logit = np.log(inner) - np.log1p(-inner)
    half = quantile * error / (inner * (1.0 - inner))
    limits = [np.where(inside, expit(logit + sign * half), value) for sign in (-1.0, 1.0)]
    return Band(value, limits[0], limits[1], error)


def _blocks(predictor: Predictor) -> Iterator[PredictedRows]:
    """Cut the rows into blocks and evaluate what all predictions share."""
    layout = predictor.layout
    for begin in range(0, len(predictor.given), _BLOCK_ROWS):
        rows = slice(begin, begin + _BLOCK_ROWS)
        designs = tuple(design[rows] for design in predictor.designs)
        given = predictor.given[rows]
        nothing = PartTerms(np.zeros(len(given)), {}, {})
        block = PredictedRows(
            predictor=predictor,
            rows=rows,
            designs=designs,
            log_pi=log_classes(predictor.theta, designs, layout),
            etas=tuple(latency_eta(k, predictor.theta, designs, layout) for k in range(layout.n_outcomes)),
            given=given,
            given_open=nothing,
        )
        if (given > 0).any():
            known = _open_at(block, given)
            block = PredictedRows(predictor, rows, designs, block.log_pi, block.etas, given, known)
        yield block


def _open_at(rows: PredictedRows, times: Array) -> PartTerms:
    layout = rows.predictor.layout
    return open_terms(rows.log_pi, [rows.log_survival(k, times) for k in range(layout.n_outcomes)], layout)


def _given(rows: PredictedRows, terms: PartTerms, value: Array) -> PartTerms:
    """Divide by the chance of being open at ``given``."""
    known = rows.given_open
    first = {place: slope - known.first.get(place, 0.0) for place, slope in terms.first.items()}
    first |= {place: -slope for place, slope in known.first.items() if place not in first}
    return PartTerms(value - known.value, first, {})


def _spreads(rows: PredictedRows) -> dict[tuple[int, int], Array]:
    """Return the covariances of the linear predictors of each row, by pair of parts."""
    parts, covariance = rows.predictor.layout.parts, rows.predictor.covariance
    one = np.ones((len(rows.given), 1))
    designs = [one if part.design is None else rows.designs[part.design] for part in parts]
    return {
        (i, j): ((designs[i] @ covariance[parts[i].slice, parts[j].slice]) * designs[j]).sum(axis=1)
        for i in range(len(parts))
        for j in range(i, len(parts))
    }
