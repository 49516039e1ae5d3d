"""The likelihood of a mixture cure model with its exact gradient and Hessian, on compressed rows in small blocks.

Letters: a is the linear predictor of incidence (p = P(ever has the event), q = 1 - p), eta that of latency,
s = log sigma, u = (log t - eta) / sigma, S the survival function of the latency. Each row adds one of

* an exact event at t:        log p + log f0(u) - s - log t
* an event in (l, r]:         log p + log(S(l) - S(r))
* still event-free at t:      log(q + p S(t))
* entered event-free at e:    minus log(q + p S(e))

(Boag 1949; Farewell 1982, Biometrics 38:1041; left truncation by conditioning.) Blocks of a few thousand rows keep
every temporary in cache; most of the time would otherwise go into moving memory. Knows nothing of frames.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._links import Link, LinkTerms
from recoverykit.estimators._products import cross, times, weighted_sum
from recoverykit.estimators.distributions import LogDerivatives, StandardDistribution

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Rows of a block with a design row each, and of one that shares few design rows: what fits the cache.
_BLOCK_ROWS, _SHARED_BLOCK_ROWS = 4_096, 8_192
#: u is kept where exp(u) squared and its multiples stay finite; beyond, the log-likelihood is below -1e130 anyway.
_LARGEST_U, _SMALLEST_U = 300.0, -1e4
_LARGEST_LOG_SIGMA = 30.0
#: Its inverse squared is still a number.
_SMALLEST_DROP = 1e-150


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
    """

    kind: Kind
    sign: float
    row: IntArray
    pattern: IntArray | None
    start: int
    log_lower: Array
    log_upper: Array
    weight: Array


@dataclass(frozen=True, slots=True, eq=False)
class TermBlock:
    """A run of terms of one group with the rows of the designs that they need.

    Attributes
    ----------
    kind, sign, row, log_lower, log_upper, weight
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
    """

    incidence: Array
    latency: Array
    groups: tuple[TermGroup, ...]
    blocks: tuple[TermBlock, ...]
    n_rows: int
    constant: float
    distribution: StandardDistribution
    link: Link

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
                )
            )
    return tuple(blocks)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Value, gradient (n_params,) and Hessian (n_params, n_params) of a log-likelihood."""

    value: float
    gradient: Array
    hessian: Array


@dataclass(frozen=True, slots=True, eq=False)
class RowTerms:
    """Log-likelihood of some rows with derivatives in (a, eta, ancillary...).

    Attributes
    ----------
    value : ndarray of shape (n,)
    first : list of ndarray of shape (n,)
    second : dict of (i, j), i <= j, to ndarray of shape (n,)
        Zero derivatives are left out.
    """

    value: Array
    first: list[Array]
    second: dict[tuple[int, int], Array]


def log_survival_terms(distribution: StandardDistribution, log_time: Array, eta: Array, log_sigma: float) -> RowTerms:
    """Return log S at each time with its derivatives in eta (1) and log sigma (2); index 0 is left to incidence."""
    u = np.clip((log_time - eta) * np.exp(-log_sigma), _SMALLEST_U, _LARGEST_U)
    return _chain(distribution, distribution.log_survival(u), u, log_sigma)


def _log_density_terms(distribution: StandardDistribution, log_time: Array, eta: Array, log_sigma: float) -> RowTerms:
    u = np.clip((log_time - eta) * np.exp(-log_sigma), _SMALLEST_U, _LARGEST_U)
    terms = _chain(distribution, distribution.log_density(u), u, log_sigma)
    if distribution.has_scale:
        terms.first[2] -= 1.0
    return RowTerms(terms.value - log_sigma, terms.first, terms.second)


def _chain(distribution: StandardDistribution, log_terms: LogDerivatives, u: Array, log_sigma: float) -> RowTerms:
    """Carry derivatives in u over to eta and log sigma: du/deta = -1/sigma, du/ds = -u, d2u/deta ds = 1/sigma."""
    inverse = float(np.exp(-log_sigma))
    one, two = log_terms.first, log_terms.second
    first = [one, -inverse * one]
    second = {(1, 1): (inverse * inverse) * two}
    if distribution.has_scale:
        slope = one + u * two
        first.append(-u * one)
        second[1, 2] = inverse * slope
        second[2, 2] = u * slope
    return RowTerms(log_terms.value, first, second)


def survivor_terms(link: LinkTerms, survival: RowTerms) -> RowTerms:
    """Return log(q + p S) with its derivatives, from those of log p, log q and log S.

    With m = p S / (q + p S), the chance that a survivor is still to have the event, every second derivative is the mean
    of those of the two parts plus m (1 - m) times the product of the differences of their slopes.
    """
    lead = link.log_p + survival.value - link.log_q
    small = np.exp(-np.abs(lead))
    inverse = 1.0 / (1.0 + small)
    tail = small * inverse
    ahead = lead >= 0
    later, never = np.where(ahead, inverse, tail), np.where(ahead, tail, inverse)
    value = link.log_q + np.maximum(lead, 0.0) + np.log1p(small)
    spread = inverse * tail
    gap = link.log_p_first - link.log_q_first
    first = [never * link.log_q_first + later * link.log_p_first]
    first += [later * slope for slope in survival.first[1:]]
    second = {(0, 0): never * link.log_q_second + later * link.log_p_second + spread * gap * gap}
    cross = spread * gap
    for i, slope in enumerate(survival.first[1:], start=1):
        second[0, i] = cross * slope
    for (i, j), curvature in survival.second.items():
        second[i, j] = later * curvature + spread * survival.first[i] * survival.first[j]
    return RowTerms(value, first, second)


def _event_terms(link: LinkTerms, latency: RowTerms) -> RowTerms:
    """Return log p plus the latency's part; the two share no parameter."""
    first = [link.log_p_first, *latency.first[1:]]
    return RowTerms(link.log_p + latency.value, first, {(0, 0): link.log_p_second, **latency.second})


def _interval_terms(lower: RowTerms, upper: RowTerms) -> RowTerms:
    """Return log(S(l) - S(r)) without cancellation: the drop of log S goes through expm1."""
    drop = np.maximum(lower.value - upper.value, _SMALLEST_DROP)
    from_upper = 1.0 / np.expm1(np.minimum(drop, 700.0))
    from_lower = 1.0 + from_upper
    value = lower.value + np.log(-np.expm1(-drop))
    first = [lower.first[0]]  # index 0 is filled in by the incidence
    first += [from_lower * a - from_upper * b for a, b in zip(lower.first[1:], upper.first[1:], strict=True)]
    # The second derivatives of exp(log S(l)) - exp(log S(r)) over their difference, less the product of the slopes;
    # written with differences of slopes so that narrow intervals keep their digits.
    second = {}
    for i, j in lower.second:
        gaps = (lower.first[i] - upper.first[i]) * (lower.first[j] - upper.first[j])
        curvature = from_lower * lower.second[i, j] - from_upper * upper.second[i, j]
        second[i, j] = curvature - from_lower * from_upper * gaps
    return RowTerms(value, first, second)


def _block_terms(block: TermBlock, theta: Array, data: MixtureData) -> RowTerms:
    """Evaluate the terms of one block."""
    n_incidence, n_latency = data.incidence.shape[1], data.latency.shape[1]
    link = data.link.terms(times(block.incidence, theta[:n_incidence]))
    eta = times(block.latency, theta[n_incidence : n_incidence + n_latency])
    log_sigma = float(theta[-1]) if data.distribution.has_scale else 0.0
    if block.local is not None:
        link, eta = link.take(block.local), eta.take(block.local)
    if block.kind is Kind.DENSITY:
        return _event_terms(link, _log_density_terms(data.distribution, block.log_lower, eta, log_sigma))
    lower = log_survival_terms(data.distribution, block.log_lower, eta, log_sigma)
    if block.kind is Kind.SURVIVAL:
        return survivor_terms(link, lower)
    upper = log_survival_terms(data.distribution, block.log_upper, eta, log_sigma)
    return _event_terms(link, _interval_terms(lower, upper))


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
    if data.distribution.has_scale and abs(theta[-1]) > _LARGEST_LOG_SIGMA:
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
