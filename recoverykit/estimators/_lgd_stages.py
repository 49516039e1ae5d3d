"""The parts of which LGD models are made: a share on the logit scale, a beta regression, a plain level.

Each stage is fitted by Newton's method on the patterns of its own rows, and hands on what a joint covariance needs:
its inverse information, and the scores of its rows. Private to the LGD regressions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators import _lgd_kernels as kernels
from recoverykit.estimators._compression import combine, encode, tally
from recoverykit.estimators._formulas import (
    Design,
    design_matrix,
    is_number,
    is_plain,
    is_stateful,
    learn_design,
    learn_plain_design,
    parse_formula,
)
from recoverykit.estimators._lgd_rows import LossRows, Pool, gather
from recoverykit.estimators._mixture_data import Scaling, scale_design
from recoverykit.estimators._optimise import Curvature, climb
from recoverykit.estimators._rows import Array, BoolArray, IntArray

#: A coefficient in units of its linear predictor with a larger standard error tells of a likelihood without maximum.
_LARGEST_STANDARD_ERROR = 50.0
_N_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One linear predictor of a fitted model.

    Attributes
    ----------
    name : str
    scale : str
        ``logit``, ``log`` or ``identity``: the value is the inverse of it; ``given`` for a value not estimated.
    design : Design or None
        None for a given value.
    where : slice
        Its coefficients among the parameters of the model.
    given : float
        The value, where it was not estimated.
    """

    name: str
    scale: str
    design: Design | None
    where: slice
    given: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of the rows of a part: slopes of shape (n_chosen,), times the row's weight and its row of the design."""

    pool: Pool
    design: Array
    slopes: Array


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Parts that were fitted together.

    Attributes
    ----------
    parts : tuple of (name, scale, Design)
    theta : ndarray of shape (n_params,)
    bread, covariance : ndarray of shape (n_params, n_params)
        Inverse information; and the covariance without clusters: the same for a likelihood, the sandwich for a
        quasi-likelihood.
    is_robust : bool
        Which of the two.
    loglik : float
    n_iterations : int
    scores : tuple of Scores
        One for each part, where there are clusters.
    """

    parts: tuple[tuple[str, str, Design], ...]
    theta: Array
    bread: Array
    covariance: Array
    is_robust: bool
    loglik: float
    n_iterations: int
    scores: tuple[Scores, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """Rows with the designs of the formulas on their patterns (or rows), by formula."""

    rows: LossRows
    designs: Mapping[str, tuple[Design, Array]]

    def design(self, text: str, pool: Pool) -> tuple[Design, Array]:
        """Return a formula's design and its matrix on the patterns of a pool."""
        design, matrix = self.designs[text]
        return design, matrix if pool.used is None else matrix.take(pool.used, axis=0)


def pose(rows: LossRows, texts: tuple[str, ...]) -> Posed:
    """Learn formulas, each on as few rows as will do."""
    return Posed(rows, {text: _learn(rows, text) for text in dict.fromkeys(texts)})


def _learn(rows: LossRows, text: str) -> tuple[Design, Array]:
    frame, cells = rows.covariates, rows.cells
    every: IntArray | None = None if cells is None else cells.first
    if is_stateful(text) or (cells is None and not is_plain(text)):
        design, matrix = learn_design(text, frame)
        return design, matrix if every is None else design_matrix(design, frame, every)
    if every is not None:
        return learn_design(text, frame.take(every))
    names = [name for name in parse_formula("a", text) if not is_number(frame[name])]
    kinds = tally(combine([encode(frame[name]) for name in names], len(frame)), None, want_inverse=True)
    return learn_plain_design(text, frame, kinds, np.arange(len(frame)))


def fit_share(
    posed: Posed, name: str, text: str, response: Array, chosen: BoolArray | None = None, *, robust: bool
) -> Stage:
    """Fit a logit of a response in [0, 1].

    Parameters
    ----------
    posed : Posed
    name, text : str
        Name of the part and its formula.
    response : ndarray of shape (n_rows,)
        Shares, or whether something happened.
    chosen : ndarray of bool of shape (n_rows,) or None
        The rows of the part.
    robust : bool
        Whether the covariance is the sandwich: needed unless the response is 0 or 1.
    """
    pool = gather(posed.rows, chosen)
    design, matrix = posed.design(text, pool)
    y = pool.take(response)
    total = pool.sums(y)
    scaling = _scaling(name, design, matrix, pool)
    mean = float(total.sum() / pool.weight.sum())
    if not 0 < mean < 1:
        raise InsufficientDataError(f"{name}: the response is {mean:g} in every episode, so no driver can be estimated")
    start = np.linalg.solve(scaling.map, scaling.constant) * np.log(mean / (1.0 - mean))
    found = _maximise(
        name, lambda t: kernels.logit_point(t, matrix, pool.weight, total), scaling.map, start, design.terms, pool
    )
    mu = kernels.inverse_logit(kernels.linear_predictor(matrix, found.theta))
    covariance = found.bread
    if robust:
        squares = _squares(pool, y, total, mu)
        covariance = found.bread @ kernels.cross_product(matrix, squares) @ found.bread
    scores = () if posed.rows.clusters is None else (Scores(pool, matrix, y - pool.at_rows(mu)),)
    part = (name, "logit", design)
    return Stage((part,), found.theta, found.bread, covariance, robust, found.loglik, found.n_iterations, scores)


def fit_level(posed: Posed, name: str, text: str, response: Array, chosen: BoolArray | None = None) -> Stage:
    """Fit means by weighted least squares, with robust errors; NaN for a term that rests on one episode alone."""
    pool = gather(posed.rows, chosen)
    design, matrix = posed.design(text, pool)
    _scaling(name, design, matrix, pool)
    y = pool.take(response)
    total = pool.sums(y)
    information = kernels.cross_product(matrix, pool.weight)
    bread = np.asarray(np.linalg.inv(information), dtype=float)
    theta = np.asarray(bread @ (total @ matrix), dtype=float)
    mu = matrix @ theta
    covariance = bread @ kernels.cross_product(matrix, _squares(pool, y, total, mu)) @ bread
    n_rows = np.ones(pool.n_rows) if pool.place is None else np.bincount(pool.place)
    alone = np.diag(kernels.cross_product(matrix, np.maximum(n_rows, pool.weight))) <= 1.0
    unknown = np.logical_or.outer(alone, alone)
    bread, covariance = np.where(unknown, np.nan, bread), np.where(unknown, np.nan, covariance)
    scores = () if posed.rows.clusters is None else (Scores(pool, matrix, y - pool.at_rows(mu)),)
    return Stage(((name, "identity", design),), theta, bread, covariance, True, float("nan"), 0, scores)


def fit_beta(
    posed: Posed, name: str, texts: tuple[str, str], response: Array, chosen: BoolArray | None = None
) -> Stage:
    """Fit a beta regression of a response inside (0, 1).

    Parameters
    ----------
    posed : Posed
    name : str
        Name of the part of the mean.
    texts : (str, str)
        Formulas of the mean (logit) and of the precision (log).
    response, chosen
        As in ``fit_share``.
    """
    pool = gather(posed.rows, chosen)
    y = pool.take(response)
    log_y, log_rest = np.log(y), np.log1p(-y)
    (design, matrix), (spread, precision) = (posed.design(text, pool) for text in texts)
    constant = precision.shape[1] == 1 and bool(np.ptp(precision) == 0.0)
    rows = kernels.BetaRows(matrix, precision, pool.weight, pool.sums(log_y), pool.sums(log_rest), constant)
    scalings = (_scaling(name, design, matrix, pool), _scaling("precision", spread, precision, pool))
    n_mean, n_params = matrix.shape[1], matrix.shape[1] + precision.shape[1]
    units = np.zeros((n_params, n_params))
    units[:n_mean, :n_mean], units[n_mean:, n_mean:] = (scaling.map for scaling in scalings)
    start = _beta_start(name, rows, scalings, pool, log_y - log_rest)
    terms = (*design.terms, *(f"precision {term}" for term in spread.terms))
    found = _maximise(name, lambda theta: kernels.beta_point(theta, rows), units, start, terms, pool)
    scores: tuple[Scores, ...] = ()
    if posed.rows.clusters is not None:
        eta = kernels.linear_predictor(matrix, found.theta[:n_mean])
        log_phi = kernels.linear_predictor(precision, found.theta[n_mean:])
        slopes = kernels.beta_slopes(pool.at_rows(eta), pool.at_rows(log_phi), log_y, log_rest)
        scores = (Scores(pool, matrix, slopes[0]), Scores(pool, precision, slopes[1]))
    parts = ((name, "logit", design), ("precision", "log", spread))
    return Stage(parts, found.theta, found.bread, found.bread, False, found.loglik, found.n_iterations, scores)


@dataclass(frozen=True, slots=True, eq=False)
class _Maximum:
    """A maximum with its inverse information, in the units of the covariates."""

    theta: Array
    bread: Array
    loglik: float
    n_iterations: int


def _maximise(
    name: str, point: Callable[[Array], Curvature], units: Array, start: Array, terms: tuple[str, ...], pool: Pool
) -> _Maximum:
    """Climb with parameters in units of their linear predictors, and refuse a maximum that is none."""
    lift = 1.0 / min(1.0, float(pool.weight.sum()) / pool.n_rows)  # small weights must not look like little information

    def scaled(z: Array) -> kernels.Point:
        at = point(units @ z)
        return kernels.Point(lift * at.value, lift * units.T @ at.gradient, lift * units.T @ at.hessian @ units)

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = climb(scaled, start)
    if np.isfinite(found.at.hessian).all():
        _check_information(name, -found.at.hessian, units, terms)
    if not found.converged:
        raise ConvergenceError(
            f"{name}: no maximum of the likelihood after {found.n_iterations} Newton steps from moment estimates; use "
            "fewer covariates, or look for losses very near 0 or 1"
        )
    # The climb stops where a step gains nothing in likelihood; one step more doubles the digits of the estimates.
    position = found.position - np.linalg.solve(found.at.hessian, found.at.gradient)
    top = scaled(position)
    bread = units @ np.linalg.inv(-top.hessian) @ units.T
    return _Maximum(units @ position, lift * bread, top.value / lift, found.n_iterations + 1)


def _check_information(name: str, information: Array, units: Array, terms: tuple[str, ...]) -> None:
    """Refuse a direction along which the likelihood is flat, naming the terms in it."""
    eigenvalues, vectors = np.linalg.eigh(information)
    if eigenvalues[0] < _LARGEST_STANDARD_ERROR**-2:
        direction = np.abs(units @ vectors[:, 0])
        named = [terms[i] for i in np.argsort(-direction) if direction[i] > 0.3 * direction.max()]
        raise InsufficientDataError(
            f"{name}: no finite estimate along {', '.join(named[:_N_SHOWN])}: the losses there are all at one end or "
            "all alike (separation); merge levels, leave the covariate out, or use another model"
        )


def _squares(pool: Pool, y: Array, total: Array, mu: Array) -> Array:
    """Return weighted sums by pattern of (y - mu)^2."""
    return np.maximum(pool.sums(y * y) - 2.0 * mu * total + mu * mu * pool.weight, 0.0)


def _scaling(name: str, design: Design, matrix: Array, pool: Pool) -> Scaling:
    """Scale a design, having refused too few rows for its terms."""
    scaling = scale_design(name, matrix, design.terms, pool.weight)
    if max(float(pool.n_rows), float(pool.weight.sum())) <= matrix.shape[1]:
        raise InsufficientDataError(
            f"{name}: {pool.n_rows} episodes cannot carry {matrix.shape[1]} terms; use fewer covariates or a wider "
            "segment"
        )
    return scaling


def _beta_start(
    name: str, rows: kernels.BetaRows, scalings: tuple[Scaling, Scaling], pool: Pool, log_odds: Array
) -> Array:
    """Start from least squares of logit y, and the precision that its residual variance suggests.

    Ferrari & Cribari-Neto (2004), section 2: with var(logit y) = s2 about 1 / (mu (1 - mu) (1 + phi)).
    """
    n, total = rows.weight, rows.log_loss - rows.log_rest
    theta = np.asarray(np.linalg.solve(kernels.cross_product(rows.mean, n), total @ rows.mean), dtype=float)
    fitted = kernels.linear_predictor(rows.mean, theta)
    squares = log_odds**2 if pool.weights is None else pool.weights * log_odds**2
    spread = float(squares.sum() - 2.0 * fitted @ total + n @ fitted**2) / float(n.sum())
    if spread < 1e-12 * max(float(n @ fitted**2) / float(n.sum()), 1.0):
        raise InsufficientDataError(f"{name}: the drivers give every loss exactly, so its spread has no estimate")
    mu = kernels.inverse_logit(fitted)
    phi = float(n @ np.maximum(1.0 / (spread * mu * (1.0 - mu)) - 1.0, 0.1)) / float(n.sum())
    starts = (theta, scalings[1].constant * np.log(phi))
    return np.concatenate([np.linalg.solve(s.map, value) for s, value in zip(scalings, starts, strict=True)])
