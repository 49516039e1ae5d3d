"""The likelihood of competing outcomes with a never-resolving class, its exact gradient and Hessian, in small blocks.

Letters: a_c is the linear predictor of class c, pi_c its multinomial-logit probability (the reference class has a = 0),
eta_k that of the latency of outcome k, S_k its survival function; the class that never resolves has S = 1. Each row
adds one of

* outcome k exactly at t:     log pi_k + log f_k(t)
* outcome k in (l, r]:        log pi_k + log(S_k(l) - S_k(r))
* still open at t:            log(sum over classes of pi_c S_c(t))
* entered open at e:          minus log(sum over classes of pi_c S_c(e))

(Larson and Dinse 1985, Applied Statistics 34:201-211; left truncation by conditioning.) With a known background hazard
h_k an outcome is the model's own or the background's: pi_k f_k(t) + h_k S(t), with S the sum of pi_c S_c, and in an
interval pi_k (S_k(l) - S_k(r)) + S(r) (1 - exp(-h_k w)). Derivatives are taken in the linear predictors first; the
designs come in by one chain rule. Knows nothing of frames.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._competing_layout import OPEN, Block, CompetingData, Layout, Part
from recoverykit.estimators._mixture_kernels import LARGEST_SHAPE, Evaluation, Kind
from recoverykit.estimators._mixture_terms import RowTerms, interval_terms, log_density_terms, log_survival_terms
from recoverykit.estimators._products import crosses, times

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Log sigmas and shapes beyond this are refused: nothing that is observed spreads so.
_LARGEST_ANCILLARY = LARGEST_SHAPE


@dataclass(frozen=True, slots=True, eq=False)
class PartTerms:
    """Log-likelihood of some rows with its derivatives in the linear predictors.

    Attributes
    ----------
    value : ndarray of shape (n,)
    first : dict of part to ndarray of shape (n,)
    second : dict of (part, part), ascending, to ndarray of shape (n,)
        Derivatives that are 0 everywhere are left out.
    """

    value: Array
    first: dict[int, Array]
    second: dict[tuple[int, int], Array]


def log_classes(theta: Array, designs: tuple[Array, ...], layout: Layout) -> Array:
    """Return log pi of every class, outcomes first and the class that never resolves last; shape (n_classes, n)."""
    predictors = np.zeros((layout.n_outcomes + layout.has_never, len(designs[0])))
    for k, place in enumerate(layout.incidence):
        if place is not None:
            predictors[k] = times(designs[0], theta[layout.parts[place].slice])
    top = predictors.max(axis=0)
    return np.asarray(predictors - (top + np.log(np.exp(predictors - top).sum(axis=0))), dtype=float)


def latency_eta(k: int, theta: Array, designs: tuple[Array, ...], layout: Layout) -> Array:
    """Return the linear predictor of the latency of an outcome."""
    return times(designs[1 + k], theta[layout.parts[layout.latency[k]].slice])


def scale_and_shape(k: int, theta: Array, layout: Layout) -> tuple[float, float]:
    """Return log sigma and the shape Q of an outcome's latency, as its distribution reads them."""
    ancillary = np.array([theta[layout.parts[place].slice][0] for place in layout.ancillary[k]])
    return layout.distributions[k].split(ancillary)


def latency_parts(k: int, layout: Layout) -> list[int]:
    """Return the parts of an outcome's latency in the order of its derivatives: eta, ancillary."""
    return [layout.latency[k], *layout.ancillary[k]]


def open_terms(log_pi: Array, survival: list[RowTerms], layout: Layout) -> PartTerms:
    """Return log(sum over classes of pi_c S_c) with its derivatives, from log pi and log S.

    With w_c = pi_c S_c / sum the chance that an open episode belongs to class c, the Hessian is the mean of those of
    the classes plus the covariance of their slopes, less the same for the multinomial alone.
    """
    lead = log_pi.copy()
    for k, terms in enumerate(survival):
        lead[k] += terms.value
    top = lead.max(axis=0)
    value = top + np.log(np.exp(lead - top).sum(axis=0))
    w, pi = np.exp(lead - value), np.exp(log_pi)
    first, second = {}, _multinomial_second(pi, layout)
    for k, place in enumerate(layout.incidence):
        if place is not None:
            first[place] = w[k] - pi[k]
    for (i, j), curvature in _multinomial_second(w, layout).items():
        second[i, j] = second[i, j] - curvature
    slopes = [dict(zip(latency_parts(k, layout), t.first[1:], strict=True)) for k, t in enumerate(survival)]
    for k, terms in enumerate(survival):
        own = latency_parts(k, layout)
        for i, slope in slopes[k].items():
            first[i] = w[k] * slope
            for other, place in enumerate(layout.incidence):
                if place is not None:
                    second[place, i] = ((other == k) - w[other]) * w[k] * slope
            for later in range(k + 1, layout.n_outcomes):
                for j, across in slopes[later].items():
                    second[min(i, j), max(i, j)] = -w[k] * w[later] * slope * across
        for (i, j), curvature in terms.second.items():
            both = w[k] * curvature + w[k] * (1.0 - w[k]) * terms.first[i] * terms.first[j]
            second[own[i - 1], own[j - 1]] = both
    return PartTerms(value, first, second)


def outcome_terms(k: int, log_pi: Array, latency: RowTerms, layout: Layout) -> PartTerms:
    """Return log pi_k plus the latency's part; the two share no parameter."""
    pi = np.exp(log_pi)
    first = {place: (other == k) - pi[other] for other, place in enumerate(layout.incidence) if place is not None}
    second = _multinomial_second(pi, layout)
    own = latency_parts(k, layout)
    first |= dict(zip(own, latency.first[1:], strict=True))
    second |= {(own[i - 1], own[j - 1]): curvature for (i, j), curvature in latency.second.items()}
    return PartTerms(log_pi[k] + latency.value, first, second)


def _multinomial_second(pi: Array, layout: Layout) -> dict[tuple[int, int], Array]:
    """Return the second derivatives of log pi, the same for every class: minus the covariance of the indicators."""
    free = [(k, place) for k, place in enumerate(layout.incidence) if place is not None]
    return {(i, j): -pi[k] * ((k == other) - pi[other]) for k, i in free for other, j in free if i <= j}


def block_terms(block: Block, theta: Array, layout: Layout) -> PartTerms:
    """Evaluate the terms of one block."""
    group, k = block.group, block.outcome
    log_pi = log_classes(theta, block.designs, layout)[:, block.local]

    def still_open(log_time: Array) -> PartTerms:
        etas = [latency_eta(j, theta, block.designs, layout)[block.local] for j in range(layout.n_outcomes)]
        survival = [
            log_survival_terms(layout.distributions[j], log_time, eta, *scale_and_shape(j, theta, layout))
            for j, eta in enumerate(etas)
        ]
        return open_terms(log_pi, survival, layout)

    if k == OPEN:
        return still_open(group.log_lower)
    eta, scale = latency_eta(k, theta, block.designs, layout)[block.local], scale_and_shape(k, theta, layout)
    distribution, is_exact = layout.distributions[k], group.kind is Kind.DENSITY
    if is_exact:
        latency = log_density_terms(distribution, group.log_lower, eta, *scale)
    else:
        ends = [log_survival_terms(distribution, end, eta, *scale) for end in (group.log_lower, group.log_upper)]
        latency = interval_terms(*ends)
    own = outcome_terms(k, log_pi, latency, layout)
    if group.log_background is None:
        return own
    known = still_open(group.log_lower if is_exact else group.log_upper)
    return either_terms(own, PartTerms(known.value + group.log_background, known.first, known.second))


def either_terms(left: PartTerms, right: PartTerms) -> PartTerms:
    """Return log(exp(left) + exp(right)): its curvatures are means of the parts' and the spread of their slopes."""
    lead = right.value - left.value
    small = np.exp(-np.abs(lead))
    share = np.where(lead >= 0, 1.0, small) / (1.0 + small)
    value = np.maximum(left.value, right.value) + np.log1p(small)
    parts = sorted(left.first.keys() | right.first.keys())
    slopes = {part: (left.first.get(part, 0.0), right.first.get(part, 0.0)) for part in parts}
    first = {part: (1.0 - share) * a + share * b for part, (a, b) in slopes.items()}
    gaps, spread = {part: b - a for part, (a, b) in slopes.items()}, share * (1.0 - share)
    second = {
        (i, j): (1.0 - share) * left.second.get((i, j), 0.0)
        + share * right.second.get((i, j), 0.0)
        + spread * gaps[i] * gaps[j]
        for i in parts
        for j in parts
        if i <= j
    }
    return PartTerms(value, first, second)


def evaluate(theta: Array, data: CompetingData) -> Evaluation:
    """Evaluate the log-likelihood with its gradient and Hessian in one pass over the rows.

    Parameters
    ----------
    theta : ndarray of shape (n_params,)
        As the layout says.
    data : CompetingData
        Rows and designs.

    Returns
    -------
    Evaluation
        Not finite where the parameters are absurd; the optimiser steps back from there.
    """
    layout = data.layout
    value, gradient = data.constant, np.zeros(layout.n_params)
    hessian = np.zeros((layout.n_params, layout.n_params))
    if any(abs(theta[part.slice][0]) > _LARGEST_ANCILLARY for part in layout.parts if part.design is None):
        return Evaluation(-np.inf, gradient, hessian)
    objects = [id(design) for design in data.designs]
    same = tuple(objects.index(design) for design in objects)
    for block in data.blocks:
        terms = block_terms(block, theta, layout)
        value += float(block.group.weight @ terms.value)
        derivatives = block.group.weight * np.array([*terms.first.values(), *terms.second.values()])
        if len(block.starts) < len(block.local):
            derivatives = np.add.reduceat(derivatives, block.starts, axis=1)
        one = np.ones((derivatives.shape[1], 1))
        for run in _runs(layout, same, tuple(terms.first), tuple(terms.second)):
            left, right = (one if design is None else block.designs[design] for design in (run.left, run.right))
            products = crosses(left, derivatives[run.taken], right)
            if run.is_slope:
                gradient[run.rows[:, :, 0]] += products[:, :, 0]
            else:
                hessian[run.rows, run.columns] += products
    return Evaluation(value, gradient, np.triu(hessian) + np.triu(hessian, 1).T)


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Derivatives of a block that are multiplied by the same two designs, and where their products are added up."""

    left: int | None
    right: int | None
    is_slope: bool
    taken: IntArray
    rows: IntArray
    columns: IntArray


@lru_cache(maxsize=256)
def _runs(
    layout: Layout, same: tuple[int, ...], slopes: tuple[int, ...], curvatures: tuple[tuple[int, int], ...]
) -> tuple[_Run, ...]:
    """Sort derivatives by the designs that they are multiplied with; ``same`` is the first design equal to each."""
    gathered: dict[tuple[bool, int | None, int | None], list[tuple[int, Part, Part | None]]] = {}
    for place, (i, j) in enumerate([*((part, -1) for part in slopes), *curvatures]):
        left, right = layout.parts[i], None if j < 0 else layout.parts[j]
        designs = [None if part is None or part.design is None else same[part.design] for part in (left, right)]
        gathered.setdefault((right is None, designs[0], designs[1]), []).append((place, left, right))
    return tuple(
        _Run(
            left=left,
            right=right,
            is_slope=is_slope,
            taken=np.array([place for place, _, _ in held]),
            rows=np.array([range(part.slice.start, part.slice.stop) for _, part, _ in held])[:, :, None],
            columns=np.array([range(p.slice.start, p.slice.stop) if p else [0] for _, _, p in held])[:, None, :],
        )
        for (is_slope, left, right), held in gathered.items()
    )


def row_scores(theta: Array, data: CompetingData) -> Array:
    """Return the derivative of each compressed row's log-likelihood, for weight 1, in the linear predictors.

    Returns
    -------
    ndarray of shape (n_rows, n_parts)
        Multiplied by the row's designs they are the scores that a sandwich estimator adds up.
    """
    scores = np.zeros((data.n_rows, len(data.layout.parts)))
    for block in data.blocks:
        for place, slope in block_terms(block, theta, data.layout).first.items():
            scores[block.group.row, place] += block.group.sign * slope
    return scores
