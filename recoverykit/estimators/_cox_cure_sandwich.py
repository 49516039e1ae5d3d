"""The cluster-robust covariance of a Cox cure fit.

A row's score of the profile likelihood is its score in the coefficients plus its score in the baseline along the path
on which the best baseline follows the coefficients; tied events share the score of their jump. Scores of one obligor
are summed before they are squared (Lin and Wei 1989, JASA 84). Private to the Cox cure model.
"""

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._cox_cure_data import CoxCureProblem, row_patterns, row_places
from recoverykit.estimators._cox_cure_kernels import CoxCureData, Profile, linear_predictors
from recoverykit.estimators._maximum import clustered_covariance
from recoverykit.estimators._mixture_sandwich import ClusterIndex

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


def cluster_covariance(
    problem: CoxCureProblem, theta: Array, at: Profile, covariance: Array, clusters: ClusterIndex
) -> Array:
    """Return covariance @ (sum of squared cluster scores) @ covariance.

    Parameters
    ----------
    problem : CoxCureProblem
        With rows that know where each row of the frame went.
    theta : ndarray of shape (n_params,)
        The maximum.
    at : Profile
        The profile likelihood there.
    covariance : ndarray of shape (n_params, n_params)
        Inverse of the information.
    clusters : ClusterIndex
        Of the frame's rows.
    """
    inverse = problem.rows.inverse
    if inverse is None:
        raise ValueError("rows were compressed without their inverse")
    return clustered_covariance(
        covariance,
        row_scores(problem, theta, at),
        rows=inverse,
        clusters=clusters.codes,
        weights=clusters.weights,
        n_clusters=clusters.n_clusters,
    )


def row_scores(problem: CoxCureProblem, theta: Array, at: Profile) -> Array:
    """Return the score of each compressed row in the coefficients, of shape (n_rows, n_params); sums to 0 at the top.

    Parameters
    ----------
    problem : CoxCureProblem
    theta : ndarray of shape (n_params,)
        The maximum.
    at : Profile
        The profile likelihood there.
    """
    rows, data = problem.rows, problem.data
    outlived, entered = row_places(rows, problem.event_times)
    pattern = row_patterns(rows)
    predictors = linear_predictors(theta, data)
    a, hazard = predictors.a[pattern], predictors.hazard[pattern]
    designs = data.incidence[pattern], data.latency[pattern]
    event = rows.is_event
    in_tail = ~event & (rows.lower > problem.event_times[-1])
    p = 1.0 / (1.0 + np.exp(-a))
    scores = np.zeros((len(a), len(theta)))
    scores += _free_scores(a, hazard, designs, outlived, at, np.where(event | in_tail, 0.0, 1.0))
    late = np.where(rows.entry <= problem.event_times[-1], 1.0, 0.0)
    scores -= _free_scores(a, hazard, designs, entered, at, late)
    n_incidence = data.incidence.shape[1]
    scores[:, :n_incidence] += ((event - (event | in_tail) * p) + (1.0 - late) * p)[:, None] * designs[0]
    scores[event] += _event_scores(hazard[event], designs[1][event], outlived[event] - 1, data, at, predictors.hazard)
    return scores


def _free_scores(
    a: Array, hazard: Array, designs: tuple[Array, Array], place: IntArray, at: Profile, share: Array
) -> Array:
    """Return the scores of log(1 - p + p S) at the place-th event time, times a share."""
    known = place > 0
    k = np.maximum(place - 1, 0)
    passed = at.baseline.cumulative[k] * hazard
    with np.errstate(over="ignore"):
        uncured = 1.0 / (1.0 + np.exp(passed - a))
    p = 1.0 / (1.0 + np.exp(-a))
    on = np.where(known, share, 0.0)
    direct = np.hstack([(on * (uncured - p))[:, None] * designs[0], -(on * uncured * passed)[:, None] * designs[1]])
    return np.asarray(direct - (on * uncured * hazard)[:, None] * at.path[k], dtype=float)


def _event_scores(
    hazard: Array, latency: Array, place: IntArray, data: CoxCureData, at: Profile, pattern_hazard: Array
) -> Array:
    """Return the scores of x'b - e L(t-) and of the row's part of the tied events."""
    tie, baseline, counts = at.baseline.tie_terms, at.baseline, data.event_counts
    before = baseline.cumulative - baseline.jumps
    path_before = np.vstack([np.zeros((1, at.path.shape[1])), at.path[:-1]])
    # How the tied sums T, the jumps A and the slopes of phi in A move with the coefficients.
    tied = np.zeros_like(at.path)
    tied[:, data.incidence.shape[1] :] = data.events @ (pattern_hazard[:, None] * data.latency)
    slope = -tie.curvature[:, None] * (at.path - path_before) + tie.mixed[:, None] * tied
    shared = -((baseline.jumps / counts)[:, None] * slope + (tie.exposure / counts)[:, None] * tied)
    first, second = -tie.mixed / tie.curvature, tie.bend + tie.mixed**2 / tie.curvature
    scores = shared[place] - hazard[:, None] * path_before[place]
    scores += hazard[:, None] * (first[:, None] * slope + second[:, None] * tied)[place]
    scores[:, data.incidence.shape[1] :] += (1.0 - hazard * (before + tie.exposure)[place])[:, None] * latency
    return scores
