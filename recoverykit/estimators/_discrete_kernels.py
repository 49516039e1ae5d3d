"""Likelihoods of monthly hazards on cells, their maximum, and the covariance of all outcomes together.

Two links. ``cloglog``: the hazard of each outcome k is h_k = 1 - exp(-exp(x'b_k)), a binomial regression per outcome
in which whoever has another outcome counts as not having had this one. ``multinomial``: log(h_k / h_open) = x'b_k, one
likelihood for all outcomes. Both are concave, so that one start finds the maximum. Both leave the factorials of the
counts out: the value is that of the rows, not of their table.

Letters: X design, n at risk, d events, h hazard, J its slope in the linear predictors, o the offset that is added to
x'b_k with coefficient 1. Private to the discrete-time hazard model.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from recoverykit.errors import ConvergenceError
from recoverykit.estimators._grid_designs import GridDesign
from recoverykit.estimators._links import LINKS
from recoverykit.estimators._maximum import with_last_step
from recoverykit.estimators._optimise import Climb, Objective, climb
from recoverykit.estimators._rows import Array, BoolArray, IntArray
from recoverykit.estimators._sparse_gram import Gram

#: Below this gain in log-likelihood one more Newton step is taken; the next would change nothing that can be seen.
_TOLERANCE, _MOST_ITERATIONS = 1e-11, 60
_BLOCK_CELLS = 2_048
#: No offset, whatever the cells and outcomes.
NOTHING: Array = np.zeros((1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Log-likelihood with its derivatives; the hessian is the observed one."""

    value: float
    gradient: Array
    hessian: Array


@dataclass(frozen=True, slots=True, eq=False)
class Maximum:
    """Where the likelihood is largest.

    Attributes
    ----------
    coefficients : ndarray of shape (n_outcomes, n_terms)
    bread : ndarray of shape (n_params, n_params)
        Inverse expected information, outcomes one after the other.
    loglik : float
    n_iterations : int
    """

    coefficients: Array
    bread: Array
    loglik: float
    n_iterations: int


def hazards(link: str, predictors: Array) -> Array:
    """Return the hazard of each outcome, of the shape (..., n_outcomes) of the linear predictors."""
    if link == "cloglog":
        return -np.expm1(-np.exp(np.minimum(predictors, 300.0)))
    top = np.maximum(predictors.max(axis=-1, keepdims=True), 0.0)
    odds = np.exp(predictors - top)
    return np.asarray(odds / (np.exp(-top) + odds.sum(axis=-1, keepdims=True)), dtype=float)


def hazard_slopes(link: str, predictors: Array) -> Array:
    """Return J[..., k, l] = d h_k / d eta_l, of shape (..., n_outcomes, n_outcomes)."""
    n_outcomes = predictors.shape[-1]
    if link == "cloglog":
        cumulative = np.exp(np.minimum(predictors, 300.0))
        own = cumulative * np.exp(-cumulative)
        return np.asarray(own[..., :, None] * np.eye(n_outcomes), dtype=float)
    hazard = hazards(link, predictors)
    return np.asarray(hazard[..., :, None] * (np.eye(n_outcomes) - hazard[..., None, :]), dtype=float)


def maximise(
    link: str,
    *,
    design: Array | GridDesign,
    n_at_risk: Array,
    n_events: Array,
    start: Array,
    offset: Array = NOTHING,
    gram: Gram | None = None,
) -> Maximum:
    """Maximise the likelihood of all outcomes.

    Parameters
    ----------
    link : str
        ``cloglog`` or ``multinomial``.
    design : ndarray or GridDesign of shape (n_cells, n_terms)
        Of full column rank, columns of similar size.
    n_at_risk : ndarray of shape (n_cells,)
    n_events : ndarray of shape (n_cells, n_outcomes)
    start : ndarray of shape (n_outcomes, n_terms)
    offset : ndarray of shape (n_cells, n_outcomes), or that broadcasts to it
    gram : callable, optional
        Weights -> X' diag(weight) X of the design, where it is to be had faster than from the design itself.

    Raises
    ------
    ConvergenceError
        If Newton's method does not reach a maximum, as under separation.
    """
    n_outcomes, n_terms = start.shape
    gram = gram or partial(_gram, design)
    if link == "multinomial":
        point = partial(
            multinomial_point, design=design, n_at_risk=n_at_risk, n_events=n_events, offset=offset, gram=gram
        )
        found = _climbed(point, start.ravel())
        bread = _inverse(-found.at.hessian)
        return Maximum(found.position.reshape(start.shape), bread, found.at.value, found.n_iterations)
    coefficients = np.empty_like(start)
    bread = np.zeros((start.size, start.size))
    loglik, n_iterations = 0.0, 0
    for k in range(n_outcomes):
        events, known = n_events[:, k], offset[:, k % offset.shape[1]]
        point = partial(cloglog_point, design=design, n_at_risk=n_at_risk, n_events=events, offset=known, gram=gram)
        found = _climbed(point, start[k])
        coefficients[k] = found.position
        weight = n_at_risk * _cloglog_information(design @ found.position + known)
        block = slice(k * n_terms, (k + 1) * n_terms)
        bread[block, block] = _inverse(gram(weight))
        loglik += found.at.value
        n_iterations = max(n_iterations, found.n_iterations)
    return Maximum(coefficients, bread, loglik, n_iterations)


def cloglog_point(
    coefficients: Array,
    design: Array | GridDesign,
    n_at_risk: Array,
    n_events: Array,
    offset: Array = NOTHING[0],
    gram: Gram | None = None,
) -> Point:
    """Evaluate the binomial likelihood sum of d log h + (n - d) log(1 - h) of one outcome."""
    terms = LINKS["cloglog"].terms(design @ coefficients + offset)
    without = n_at_risk - n_events
    slope = n_events * terms.log_p_first + without * terms.log_q_first
    curve = n_events * terms.log_p_second + without * terms.log_q_second
    value = float(n_events @ terms.log_p + without @ terms.log_q)
    return Point(value, slope @ design, (gram or partial(_gram, design))(curve))


def multinomial_point(
    coefficients: Array,
    design: Array | GridDesign,
    n_at_risk: Array,
    n_events: Array,
    offset: Array = NOTHING,
    gram: Gram | None = None,
) -> Point:
    """Evaluate the multinomial likelihood sum of d_k log h_k + (n - sum d) log(1 - sum h) of all outcomes."""
    n_outcomes, n_terms = n_events.shape[1], design.shape[1]
    gram = gram or partial(_gram, design)
    predictors = design @ coefficients.reshape(n_outcomes, n_terms).T + offset
    top = np.maximum(predictors.max(axis=1), 0.0)
    log_total = top + np.log(np.exp(-top) + np.exp(predictors - top[:, None]).sum(axis=1))
    hazard = np.exp(predictors - log_total[:, None])
    value = float((n_events * predictors).sum() - n_at_risk @ log_total)
    gradient = (n_events - n_at_risk[:, None] * hazard).T @ design
    hessian = np.empty((n_outcomes, n_terms, n_outcomes, n_terms))
    for k in range(n_outcomes):
        for j in range(k, n_outcomes):
            curve = -n_at_risk * hazard[:, k] * (float(k == j) - hazard[:, j])
            hessian[k, :, j] = gram(curve)
            hessian[j, :, k] = hessian[k, :, j].T
    return Point(value, gradient.ravel(), hessian.reshape(gradient.size, gradient.size))


def joint_covariance(
    link: str,
    maximum: Maximum,
    *,
    design: Array | GridDesign,
    n_at_risk: Array,
    offset: Array = NOTHING,
    gram: Gram | None = None,
) -> Array:
    """Return the covariance of the coefficients of all outcomes, shape (n_params, n_params).

    Under ``cloglog`` the outcomes are fitted apart, but one episode in a cell has one of them at most: the scores of
    outcomes k and l have covariance -n w_k w_l h_k h_l X X', w the slope of the score in the event. This gives the
    blocks off the diagonal; those on it are the inverse informations. The multinomial covariance is whole already.
    """
    n_outcomes, n_terms = maximum.coefficients.shape
    if link == "multinomial" or n_outcomes == 1:
        return maximum.bread
    gram = gram or partial(_gram, design)
    predictors = design @ maximum.coefficients.T + offset
    weighted = _score_weights(link, predictors) * hazards(link, predictors)
    covariance = maximum.bread.copy()
    for k in range(n_outcomes):
        for j in range(k + 1, n_outcomes):
            meat = -gram(n_at_risk * weighted[:, k] * weighted[:, j])
            rows, columns = slice(k * n_terms, (k + 1) * n_terms), slice(j * n_terms, (j + 1) * n_terms)
            covariance[rows, columns] = maximum.bread[rows, rows] @ meat @ maximum.bread[columns, columns]
            covariance[columns, rows] = covariance[rows, columns].T
    return covariance


def row_scores(
    link: str,
    coefficients: Array,
    *,
    design: Array | GridDesign,
    outcome: IntArray,
    first: IntArray,
    last: IntArray,
    seen: BoolArray,
    offset: Array = NOTHING,
) -> Array:
    """Return the score of each compressed row: what it adds in its last month, less its exposure in all of them.

    Parameters
    ----------
    link : str
    coefficients : ndarray of shape (n_outcomes, n_terms)
    design : ndarray or GridDesign of shape (n_cells, n_terms)
    outcome : ndarray of int of shape (n_rows,)
        -1 for censored.
    first, last : ndarray of int of shape (n_rows,)
        First and last cell at risk; the cells between are the row's own months.
    seen : ndarray of bool of shape (n_rows,)
        Whether the row was at risk at all.
    offset : ndarray of shape (n_cells, n_outcomes), or that broadcasts to it

    Returns
    -------
    ndarray of shape (n_rows, n_outcomes * n_terms)
    """
    n_outcomes, n_terms = coefficients.shape
    predictors = design @ coefficients.T + offset
    weight, hazard = _score_weights(link, predictors), hazards(link, predictors)
    written = design.rows() if isinstance(design, GridDesign) else design
    scores = np.zeros((len(outcome), n_outcomes * n_terms))
    for k in range(n_outcomes):
        exposed = np.cumsum((weight[:, k] * hazard[:, k])[:, None] * written, axis=0)
        exposed = np.vstack([np.zeros((1, n_terms)), exposed])
        block = scores[:, k * n_terms : (k + 1) * n_terms]
        block[seen] = exposed[first[seen]] - exposed[last[seen] + 1]
        ended = seen & (outcome == k)
        block[ended] += weight[last[ended], k][:, None] * written[last[ended]]
    return scores


def _gram(design: Array | GridDesign, weight: Array) -> Array:
    """Return X' diag(weight) X, in blocks that stay in the cache of one processor."""
    if isinstance(design, GridDesign):
        return design.gram(weight)
    total: Array = np.zeros((design.shape[1], design.shape[1]))
    for begin in range(0, len(design), _BLOCK_CELLS):
        block = design[begin : begin + _BLOCK_CELLS]
        total += block.T @ (weight[begin : begin + _BLOCK_CELLS, None] * block)
    return total


def _score_weights(link: str, predictors: Array) -> Array:
    """Return w in score = w (1[event] - h) X of one episode in one month."""
    if link == "multinomial":
        return np.ones_like(predictors)
    return np.asarray(np.exp(predictors) / hazards(link, predictors), dtype=float)


def _cloglog_information(predictor: Array) -> Array:
    """Return the expected information of one episode: (dh/d eta)^2 / (h (1 - h)) = e^2 exp(-e) / h."""
    cumulative = np.exp(predictor)
    return np.asarray(cumulative**2 * np.exp(-cumulative) / -np.expm1(-cumulative), dtype=float)


def _climbed(objective: Objective, start: Array) -> Climb:
    found = climb(objective, start, tolerance=_TOLERANCE, max_iterations=_MOST_ITERATIONS)
    if not found.converged:
        raise ConvergenceError(
            f"Newton's method found no maximum of the likelihood in {found.n_iterations} steps; leave covariates out, "
            "merge rare levels, or use fewer knots for the months"
        )
    return with_last_step(objective, found)


def _inverse(information: Array) -> Array:
    try:
        root = np.linalg.inv(np.linalg.cholesky(information))
    except np.linalg.LinAlgError as error:
        raise ConvergenceError(
            "the likelihood is flat at its maximum: some covariate separates the episodes with an outcome from those "
            "without; merge rare levels or leave it out"
        ) from error
    return np.asarray(root.T @ root, dtype=float)
