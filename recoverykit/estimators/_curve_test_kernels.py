"""Counts to the statistics that say whether several groups share one curve.

Counts of all groups stand on one common axis of times. This module knows no frames and no names of groups.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._nonparametric_kernels import ROUNDING, hazard_of, ratio, sum_from_right

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Directions in which a covariance is smaller than this share of its largest carry no information.
_LEAST_SHARE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class GroupCounts:
    """Counts on the common times at which any outcome happens.

    Attributes
    ----------
    n_at_risk : ndarray of shape (n_groups, n_times)
        Weight under observation and still open just before each time.
    n_events : ndarray of shape (n_groups, n_times, n_outcomes)
        Weight of each outcome at each time.
    """

    n_at_risk: Array
    n_events: Array


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Observed and expected events, and the quadratic form of their differences.

    Attributes
    ----------
    observed, expected : ndarray of shape (n_groups,)
        Events, and those that the groups would have had if their curves were the same.
    statistic : float
        Differences weighed by the inverse of their covariance.
    degrees_of_freedom : int
        Rank of the covariance.
    """

    observed: Array
    expected: Array
    statistic: float
    degrees_of_freedom: int


def count_groups(
    *,
    groups: IntArray,
    durations: Array,
    outcomes: IntArray,
    entries: Array,
    weights: Array,
    n_groups: int,
    n_outcomes: int,
) -> GroupCounts:
    """Count events and risk sets of all groups on one axis of times.

    Parameters
    ----------
    groups : ndarray of int of shape (n_rows,)
        Group code, 0 to n_groups - 1.
    durations, entries, weights : ndarray of shape (n_rows,)
        End and begin of observation, number of episodes; a row with entry e > 0 is at risk at times t > e.
    outcomes : ndarray of int of shape (n_rows,)
        Outcome code, 0 to n_outcomes - 1; -1 for a censored row.
    n_groups, n_outcomes : int
        Numbers of codes.

    Returns
    -------
    GroupCounts
    """
    axis = np.unique(durations[outcomes >= 0])
    codes = np.searchsorted(axis, durations, side="right") - 1  # a row is at risk up to the last event time it reached
    shape = (n_groups, len(axis), n_outcomes + 1)
    keys = (groups * len(axis) + codes) * (n_outcomes + 1) + outcomes + 1
    reached = codes >= 0
    sums = np.bincount(keys[reached], weights=weights[reached], minlength=int(np.prod(shape)))
    leaving: Array = sums.astype(float).reshape(shape)
    late = reached & (entries > 0)
    first = np.searchsorted(axis, entries[late], side="right")
    size = n_groups * (len(axis) + 1)
    cells = groups[late] * (len(axis) + 1) + first
    entering: Array = np.bincount(cells, weights=weights[late], minlength=size).astype(float).reshape(n_groups, -1)
    n_at_risk = sum_from_right(leaving.sum(axis=2)) - sum_from_right(entering)[:, 1:]
    return GroupCounts(n_at_risk=np.where(n_at_risk > ROUNDING, n_at_risk, 0.0), n_events=leaving[:, :, 1:])


def log_rank(*, n_at_risk: Array, n_events: Array) -> Comparison:
    """Compare survival curves by the log-rank statistic.

    Parameters
    ----------
    n_at_risk, n_events : ndarray of shape (n_groups, n_times)
        On the common times.

    Returns
    -------
    Comparison
        Expected events of a group are d Y_k / Y summed over the times. Given the margins the events of a time are
        hypergeometric: covariance d (Y - d) / (Y - 1) times (Y_k / Y) (1[k=l] - Y_l / Y) (Mantel 1966; Kalbfleisch &
        Prentice 2002, section 1.5).
    """
    at_risk, events = n_at_risk.sum(axis=0), n_events.sum(axis=0)
    share = ratio(n_at_risk, at_risk[None, :])
    spread = events * ratio(at_risk - events, at_risk - 1.0)
    covariance = np.diag(share @ spread) - (share * spread) @ share.T
    return _compare(n_events.sum(axis=1), share @ events, covariance)


def gray(*, n_at_risk: Array, n_events: Array, outcome: int) -> Comparison:
    """Compare cumulative incidences of one outcome by Gray's statistic with weight 1 (rho = 0).

    Parameters
    ----------
    n_at_risk : ndarray of shape (n_groups, n_times)
        On the common times.
    n_events : ndarray of shape (n_groups, n_times, n_outcomes)
        Events of every outcome.
    outcome : int
        The outcome whose incidence is compared.

    Returns
    -------
    Comparison
        Expected events are those under a common hazard of the subdistribution.

    Notes
    -----
    Gray (1988), Annals of Statistics 16:1141-1154. With S_k and F_k just before u, a group weighs R_k = Y_k (1 - F_k) /
    S_k: its risk set with those who left for another outcome kept in it. Its score is the sum over u of d_k - d R_k /
    R. Under the hypothesis the common incidence F grows by d / sum_k (Y_k / S_k), and an event of the outcome in group
    j at u moves the score of group k by a_kj(u) + (1 - (1 - F) / S_j) (C_kj(end) - C_kj(u)), one of another outcome by
    (1 - F) / S_j times that last difference, where a_kj = h_k (1[k=j] - h_j / h), h_k = Y_k / S_k, and C_kj sums a_kj
    d / (h (1 - F)). The variance adds up the squares of these moves.
    """
    own = n_events[:, :, outcome]
    others = n_events.sum(axis=2) - own
    after: Array = (1.0 - hazard_of(own + others, n_at_risk)).cumprod(axis=1)
    before = np.concatenate([np.ones_like(after[:, :1]), after[:, :-1]], axis=1)
    incidence = np.cumsum(before * ratio(own, n_at_risk), axis=1)
    incidence_before = np.concatenate([np.zeros_like(after[:, :1]), incidence[:, :-1]], axis=1)

    inflated = ratio(n_at_risk, before)  # Y_k / S_k: the size of the group as if nobody had been censored
    risk = inflated * (1.0 - incidence_before)
    events, total = own.sum(axis=0), inflated.sum(axis=0)
    expected = ratio(events, risk.sum(axis=0))[None, :] * risk
    common: Array = np.cumsum(ratio(events, total))
    common_before = np.concatenate([[0.0], common[:-1]])

    share = ratio(inflated, total[None, :])
    rate = ratio(events, total * (1.0 - common_before))
    survivors = np.where(after > 0, (1.0 - common[None, :]) * ratio(np.ones_like(after), after), 0.0)
    # Sampling without replacement where several events fall on one time, as in the log-rank variance.
    ties: Array = _without_replacement(events[None, :], total[None, :] * before)
    weight_own = ties * before * ratio(events[None, :], total[None, :] * n_at_risk)
    ties = np.where(after > 0, _without_replacement(others, n_at_risk), 0.0)
    weight_others = ties * before**2 * ratio(others, n_at_risk**2)
    n_groups = len(n_at_risk)
    covariance = np.zeros((n_groups, n_groups))
    for j in range(n_groups):
        own_group = np.arange(n_groups)[:, None] == j
        a = inflated * (own_group - share[j])  # a_kj, by k
        ahead = np.cumsum(a * rate, axis=1)
        ahead = ahead[:, -1:] - ahead
        moved, moved_by_others = a + (1.0 - survivors[j]) * ahead, survivors[j] * ahead
        covariance += (moved * weight_own[j]) @ moved.T + (moved_by_others * weight_others[j]) @ moved_by_others.T
    return _compare(own.sum(axis=1), expected.sum(axis=1), covariance)


def _without_replacement(n_events: Array, size: Array) -> Array:
    return np.where(n_events > 1, 1.0 - ratio(n_events - 1.0, size - 1.0), 1.0)


def _compare(observed: Array, expected: Array, covariance: Array) -> Comparison:
    values, vectors = np.linalg.eigh(covariance)
    known = values > _LEAST_SHARE * max(float(values.max()), np.finfo(float).tiny)
    known[0] = False  # the differences add up to 0, so one direction is always empty
    along = (observed - expected) @ vectors[:, known]
    return Comparison(observed, expected, float(np.sum(along**2 / values[known])), int(known.sum()))
