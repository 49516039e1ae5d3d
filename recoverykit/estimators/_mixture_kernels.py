"""The likelihood of a mixture cure model with its exact gradient and Hessian, on compressed rows in small blocks.

Letters: a is the linear predictor of incidence (p = P(ever has the event), q = 1 - p), eta that of latency,
s = log sigma, u = (log t - eta) / sigma, S the survival function of the latency. In the mixture each row adds one of

* an exact event at t:        log p + log f0(u) - s - log t
* an event in (l, r]:         log p + log(S(l) - S(r))
* still event-free at t:      log(q + p S(t))
* entered event-free at e:    minus log(q + p S(e))

(Boag 1949; Farewell 1982, Biometrics 38:1041; left truncation by conditioning); other families put their own density
and survival in these places. With a known background hazard an event is its own or the background's.
Blocks of a few thousand rows keep every temporary in cache; most of the time would otherwise go into moving memory.
Knows nothing of frames.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._cell_designs import CellDesign, DesignMatrix, DesignPart
from recoverykit.estimators._links import Link, LinkTerms
from recoverykit.estimators._mixture_moments import Moments
from recoverykit.estimators._mixture_terms import (
    Family,
    RowTerms,
    interval_terms,
    log_density_terms,
    log_sum,
    log_survival_terms,
)
from recoverykit.estimators._products import times
from recoverykit.estimators.distributions import StandardDistribution

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Ancillary parameters beyond these are refused: nothing that is observed spreads so.
_LARGEST_LOG_SIGMA, LARGEST_SHAPE = 30.0, 30.0


class Kind(Enum):
    """What a group of terms says: event at a time, event in an interval, or event-free at a time."""

    DENSITY = 0
    INTERVAL = 1
    SURVIVAL = 2


@dataclass(frozen=True, slots=True, eq=False)
class TermGroup:
    """Terms of one kind.

    Attributes
    ----------
    kind : Kind
        Which term of the likelihood.
    sign : float
        1, or -1 for the terms that condition on entry.
    row : ndarray of int of shape (n,)
        Compressed row of each term.
    pattern : ndarray of int of shape (n,) or None
        Row of the designs for each term, ascending; None where term i belongs to design row ``start + i``.
    start : int
        First design row, where ``pattern`` is None.
    log_lower, log_upper : ndarray of shape (n,)
        Log times; ``log_upper`` is read for intervals only.
    weight : ndarray of shape (n,)
        Case weights times the sign.
    log_background : ndarray of shape (n,) or None
        For events: log of the chance (interval) or of the density of log time that an event comes from a known
        background hazard; minus infinity where there is none, None where no row has one.
    """

    kind: Kind
    sign: float
    row: IntArray
    pattern: IntArray | None
    start: int
    log_lower: Array
    log_upper: Array
    weight: Array
    log_background: Array | None = None

    def take(self, taken: IntArray) -> "TermGroup":
        """Return some terms, in order."""
        return replace(
            self,
            row=self.row[taken],
            pattern=self.start + taken if self.pattern is None else self.pattern[taken],
            start=0,
            log_lower=self.log_lower[taken],
            log_upper=self.log_upper[taken],
            weight=self.weight[taken],
            log_background=None if self.log_background is None else self.log_background[taken],
        )


@dataclass(frozen=True, slots=True, eq=False)
class TermBlock:
    """A run of terms of one group, small enough for the cache.

    Attributes
    ----------
    kind, sign, row, log_lower, log_upper, weight, log_background
        As in ``TermGroup``.
    cells, starts : ndarray of int of shape (n_runs,)
        Terms that share a design row follow each other: that row of the batch, and the first term of each run.
    local : ndarray of int of shape (n,) or None
        Design row of each term; None where term i has row i.
    numbers : ndarray of shape (n_numbers, n) or None
        Where design rows are those of cells: the numbers by which their columns are multiplied, first the constant 1.
    """

    kind: Kind
    sign: float
    row: IntArray
    log_lower: Array
    log_upper: Array
    weight: Array
    log_background: Array | None
    cells: IntArray
    starts: IntArray
    local: IntArray | None
    numbers: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class TermBatch:
    """Blocks with the rows of the designs that they share.

    Attributes
    ----------
    incidence, latency : tuple of DesignPart
        Columns of each design by the number that multiplies them; one part where there are no such numbers.
    n_cells, n_numbers : int
        Rows of these designs; numbers that multiply their columns, the constant 1 among them.
    blocks : tuple of TermBlock
    """

    incidence: tuple[DesignPart, ...]
    latency: tuple[DesignPart, ...]
    n_cells: int
    n_numbers: int
    blocks: tuple[TermBlock, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MixtureData:
    """Everything that the likelihood needs.

    Attributes
    ----------
    incidence : ndarray or CellDesign of shape (n_patterns, n_incidence)
    latency : ndarray or CellDesign of shape (n_patterns, n_latency)
        Design matrices; they may be the same object.
    groups : tuple of TermGroup
    batches : tuple of TermBatch
        The groups cut up, with their rows of the designs.
    n_rows : int
        Number of compressed rows.
    constant : float
        Added to the log-likelihood: what does not depend on parameters, in the unit of time of the data.
    distribution : StandardDistribution
    link : Link
    family : Family
        How incidence and latency combine.
    """

    incidence: DesignMatrix
    latency: DesignMatrix
    groups: tuple[TermGroup, ...]
    batches: tuple[TermBatch, ...]
    n_rows: int
    constant: float
    distribution: StandardDistribution
    link: Link
    family: Family

    @property
    def n_params(self) -> int:
        """Number of parameters: incidence, latency, ancillary, in this order."""
        return self.incidence.shape[1] + self.latency.shape[1] + len(self.distribution.ancillary_terms)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Value, gradient (n_params,) and Hessian (n_params, n_params) of a log-likelihood."""

    value: float
    gradient: Array
    hessian: Array


@dataclass(frozen=True, slots=True, eq=False)
class _At:
    """Predictors of a batch at some parameters: of its design rows, or what multiplies the numbers in each cell."""

    link: LinkTerms | None
    eta: Array
    a: Array
    log_sigma: float
    shape: float


def _at(theta: Array, batch: TermBatch, data: MixtureData) -> _At:
    n_incidence = data.incidence.shape[1]
    ancillary = n_incidence + data.latency.shape[1]
    in_incidence, in_latency = theta[:n_incidence], theta[n_incidence:ancillary]
    settled = data.distribution.split(theta[ancillary:])
    if isinstance(data.incidence, CellDesign) and isinstance(data.latency, CellDesign):
        return _At(None, data.latency.coefficients(in_latency), data.incidence.coefficients(in_incidence), *settled)
    a = times(batch.incidence[0].matrix, in_incidence)
    return _At(data.link.terms(a), times(batch.latency[0].matrix, in_latency), a, *settled)


def _predictors(block: TermBlock, at: _At, data: MixtureData) -> tuple[LinkTerms, Array]:
    """Return the link's terms and eta of each term of a block."""
    if at.link is not None:
        return (at.link, at.eta) if block.local is None else (at.link.take(block.local), at.eta.take(block.local))
    if block.numbers is None:
        raise ValueError("a design of cells needs its numbers in every block")
    lengths = np.diff(block.starts, append=len(block.row))
    predictors = []
    for coefficients in (at.a, at.eta):
        held = coefficients[:, block.cells]
        total = np.repeat(held[0], lengths)
        for own, number in zip(held[1:], block.numbers[1:], strict=True):
            total += number * (own[0] if (own == own[0]).all() else np.repeat(own, lengths))
        predictors.append(total)
    return data.link.terms(predictors[0]), predictors[1]


def _block_terms(block: TermBlock, at: _At, data: MixtureData) -> RowTerms:
    """Evaluate the terms of one block."""
    link, eta = _predictors(block, at, data)

    def survival_at(log_time: Array) -> RowTerms:
        return log_survival_terms(data.distribution, log_time, eta, at.log_sigma, at.shape)

    if block.kind is Kind.SURVIVAL:
        return data.family.survivor(link, survival_at(block.log_lower))
    if block.kind is Kind.INTERVAL:
        lower, last = survival_at(block.log_lower), survival_at(block.log_upper)
        terms = data.family.interval(link, interval_terms(lower, last), lower)
    else:
        density = log_density_terms(data.distribution, block.log_lower, eta, at.log_sigma, at.shape)
        if block.log_background is None and not data.family.event_reads_survival:
            return data.family.event(link, density, None)
        last = survival_at(block.log_lower)
        terms = data.family.event(link, density, last)
    if block.log_background is None:
        return terms
    known = data.family.survivor(link, last)
    return log_sum(terms, RowTerms(known.value + block.log_background, known.first, known.second))


def evaluate(theta: Array, data: MixtureData) -> Evaluation:
    """Evaluate the log-likelihood with its gradient and Hessian in one pass over the rows.

    Parameters
    ----------
    theta : ndarray of shape (n_params,)
        Incidence coefficients, latency coefficients, log sigma (where the distribution has one).
    data : MixtureData
        Rows and designs.

    Returns
    -------
    Evaluation
        Not finite where the parameters are absurd; the optimiser steps back from there.
    """
    offsets = (0, data.incidence.shape[1], data.incidence.shape[1] + data.latency.shape[1])
    value, gradient, hessian = data.constant, np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    log_sigma, shape = data.distribution.split(theta[offsets[2] :])
    if abs(log_sigma) > _LARGEST_LOG_SIGMA or abs(shape) > LARGEST_SHAPE:
        return Evaluation(-np.inf, gradient, hessian)
    for batch in data.batches:
        at = _at(theta, batch, data)
        moments = Moments(len(theta) - offsets[2], batch.n_numbers, batch.n_cells)
        for block in batch.blocks:
            terms = _block_terms(block, at, data)
            value += float(block.weight @ terms.value)
            moments.add(terms, block.weight, block.cells, block.starts, block.numbers, is_each=block.local is None)
        moments.assemble((batch.incidence, batch.latency), offsets, gradient, hessian)
    return Evaluation(value, gradient, hessian)


def row_scores(theta: Array, data: MixtureData) -> Array:
    """Return the derivative of each compressed row's log-likelihood, for weight 1, in (a, eta, ancillary...).

    Returns
    -------
    ndarray of shape (n_rows, 2 + n_ancillary)
        Multiplied by the row's designs they are the scores that a sandwich estimator adds up.
    """
    scores = np.zeros((data.n_rows, 2 + len(data.distribution.ancillary_terms)))
    for batch in data.batches:
        at = _at(theta, batch, data)
        for block in batch.blocks:
            scores[block.row] += block.sign * np.column_stack(_block_terms(block, at, data).first)
    return scores
