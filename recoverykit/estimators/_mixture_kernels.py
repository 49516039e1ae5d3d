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

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._links import Link
from recoverykit.estimators._mixture_terms import (
    Family,
    RowTerms,
    interval_terms,
    log_density_terms,
    log_sum,
    log_survival_terms,
)
from recoverykit.estimators._products import cross, times, weighted_sum
from recoverykit.estimators.distributions import StandardDistribution

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Rows of a block with a design row each, and of one that shares few design rows: what fits the cache.
_BLOCK_ROWS, _SHARED_BLOCK_ROWS = 4_096, 8_192
#: Ancillary parameters beyond these are refused: nothing that is observed spreads so.
_LARGEST_LOG_SIGMA, _LARGEST_SHAPE = 30.0, 30.0


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


@dataclass(frozen=True, slots=True, eq=False)
class TermBlock:
    """A run of terms of one group with the rows of the designs that they need.

    Attributes
    ----------
    kind, sign, row, log_lower, log_upper, weight, log_background
        As in ``TermGroup``.
    incidence, latency : ndarray of shape (n_patterns, n_terms)
        Rows of the designs: one per term, or one per pattern.
    local, starts : ndarray of int or None
        Where several terms share a pattern: pattern of each term, and first term of each pattern.
    """

    kind: Kind
    sign: float
    row: IntArray
    log_lower: Array
    log_upper: Array
    weight: Array
    incidence: Array
    latency: Array
    local: IntArray | None
    starts: IntArray | None
    log_background: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class MixtureData:
    """Everything that the likelihood needs.

    Attributes
    ----------
    incidence : ndarray of shape (n_patterns, n_incidence)
    latency : ndarray of shape (n_patterns, n_latency)
        Design matrices; they may be the same object.
    groups : tuple of TermGroup
    blocks : tuple of TermBlock
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

    incidence: Array
    latency: Array
    groups: tuple[TermGroup, ...]
    blocks: tuple[TermBlock, ...]
    n_rows: int
    constant: float
    distribution: StandardDistribution
    link: Link
    family: Family

    @property
    def n_params(self) -> int:
        """Number of parameters: incidence, latency, ancillary, in this order."""
        return self.incidence.shape[1] + self.latency.shape[1] + len(self.distribution.ancillary_terms)


def cut_blocks(groups: tuple[TermGroup, ...], incidence: Array, latency: Array) -> tuple[TermBlock, ...]:
    """Cut groups into blocks that stay in cache, once for all evaluations."""
    blocks = []
    for group in groups:
        size = _BLOCK_ROWS if group.pattern is None else _SHARED_BLOCK_ROWS
        for begin in range(0, len(group.weight), size):
            cut = slice(begin, min(begin + size, len(group.weight)))
            design: slice | IntArray = slice(group.start + cut.start, group.start + cut.stop)
            local = starts = None
            if group.pattern is not None:
                pattern = group.pattern[cut]
                is_new = np.concatenate([[True], pattern[1:] != pattern[:-1]])
                design = pattern[is_new]
                if not is_new.all():
                    local, starts = np.cumsum(is_new) - 1, np.flatnonzero(is_new)
            rows_incidence = incidence[design]
            rows_latency = rows_incidence if latency is incidence else latency[design]
            blocks.append(
                TermBlock(
                    kind=group.kind,
                    sign=group.sign,
                    row=group.row[cut],
                    log_lower=group.log_lower[cut],
                    log_upper=group.log_upper[cut],
                    weight=group.weight[cut],
                    incidence=rows_incidence,
                    latency=rows_latency,
                    local=local,
                    starts=starts,
                    log_background=None if group.log_background is None else group.log_background[cut],
                )
            )
    return tuple(blocks)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Value, gradient (n_params,) and Hessian (n_params, n_params) of a log-likelihood."""

    value: float
    gradient: Array
    hessian: Array


def _block_terms(block: TermBlock, theta: Array, data: MixtureData) -> RowTerms:
    """Evaluate the terms of one block."""
    n_incidence, n_latency = data.incidence.shape[1], data.latency.shape[1]
    link = data.link.terms(times(block.incidence, theta[:n_incidence]))
    eta = times(block.latency, theta[n_incidence : n_incidence + n_latency])
    ancillary = data.distribution.split(theta[n_incidence + n_latency :])
    if block.local is not None:
        link, eta = link.take(block.local), eta.take(block.local)

    def survival_at(log_time: Array) -> RowTerms:
        return log_survival_terms(data.distribution, log_time, eta, *ancillary)

    if block.kind is Kind.SURVIVAL:
        return data.family.survivor(link, survival_at(block.log_lower))
    if block.kind is Kind.INTERVAL:
        lower, last = survival_at(block.log_lower), survival_at(block.log_upper)
        terms = data.family.interval(link, interval_terms(lower, last), lower)
    else:
        density = log_density_terms(data.distribution, block.log_lower, eta, *ancillary)
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
    n_incidence, n_latency = data.incidence.shape[1], data.latency.shape[1]
    ancillary = n_incidence + n_latency
    part = [slice(0, n_incidence), slice(n_incidence, ancillary)]
    part += [slice(k, k + 1) for k in range(ancillary, data.n_params)]
    value, gradient = data.constant, np.zeros(data.n_params)
    log_sigma, shape = data.distribution.split(theta[ancillary:])
    if abs(log_sigma) > _LARGEST_LOG_SIGMA or abs(shape) > _LARGEST_SHAPE:
        return Evaluation(-np.inf, gradient, np.zeros((data.n_params, data.n_params)))
    hessian = np.zeros((data.n_params, data.n_params))
    for block in data.blocks:
        terms = _block_terms(block, theta, data)
        value += float(block.weight @ terms.value)
        derivatives = block.weight * np.array([*terms.first, *terms.second.values()])
        if block.starts is not None:
            derivatives = np.add.reduceat(derivatives, block.starts, axis=1)
        designs = (block.incidence, block.latency)
        slopes = len(terms.first)
        for i in range(slopes):
            gradient[part[i]] += weighted_sum(derivatives[i], designs[i]) if i < 2 else derivatives[i].sum()
        for (i, j), curvature in zip(terms.second, derivatives[slopes:], strict=True):
            if j < 2:
                hessian[part[i], part[j]] += cross(designs[i], curvature, designs[j])
            elif i < 2:
                hessian[part[i], ancillary + j - 2] += weighted_sum(curvature, designs[i])
            else:
                hessian[part[i], part[j]] += curvature.sum()
    return Evaluation(value, gradient, np.triu(hessian) + np.triu(hessian, 1).T)


def row_scores(theta: Array, data: MixtureData) -> Array:
    """Return the derivative of each compressed row's log-likelihood, for weight 1, in (a, eta, ancillary...).

    Returns
    -------
    ndarray of shape (n_rows, 2 + n_ancillary)
        Multiplied by the row's designs they are the scores that a sandwich estimator adds up.
    """
    scores = np.zeros((data.n_rows, 2 + len(data.distribution.ancillary_terms)))
    for block in data.blocks:
        scores[block.row] += block.sign * np.column_stack(_block_terms(block, theta, data).first)
    return scores
