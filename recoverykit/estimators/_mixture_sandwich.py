"""The cluster-robust covariance of a mixture cure fit.

Episodes of one obligor are not independent: their scores are summed before they are squared (Lin and Wei 1989,
JASA 84), without small-sample factor, as survival packages do. Private to the mixture models.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._cell_designs import design_rows
from recoverykit.estimators._maximum import clustered_covariance
from recoverykit.estimators._mixture_data import Problem
from recoverykit.estimators._mixture_kernels import row_scores
from recoverykit.estimators._rows import broken, check_columns

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ClusterIndex:
    """Cluster of each row of a frame as 0 .. n_clusters - 1, and the case weights of the rows."""

    codes: IntArray
    n_clusters: int
    weights: Array


def cluster_index(frame: pd.DataFrame, cluster_col: str, weights: Array | None) -> ClusterIndex:
    """Read the clusters of a frame.

    Raises
    ------
    ContractError
        If the column is absent or has missing values.
    InsufficientDataError
        If there is only one cluster.
    """
    check_columns(frame, [cluster_col])
    codes, labels = pd.factorize(frame[cluster_col])
    faults = broken(frame, f"{cluster_col} must not be missing", codes < 0)
    if faults:
        raise ContractError(faults)
    if len(labels) < 2:
        raise InsufficientDataError(f"{cluster_col} has one value only; robust errors need two clusters at the least")
    return ClusterIndex(codes, len(labels), np.ones(len(frame)) if weights is None else weights)


def sandwich(problem: Problem, theta: Array, covariance: Array, clusters: ClusterIndex) -> Array:
    """Return covariance @ (sum of squared cluster scores) @ covariance.

    Parameters
    ----------
    problem : Problem
        With rows that know where each row of the frame went.
    theta : ndarray of shape (n_params,)
        The maximum, in the unit of time of the data.
    covariance : ndarray of shape (n_params, n_params)
        Inverse of the observed information.
    clusters : ClusterIndex
        Of the frame's rows.
    """
    inverse = problem.rows.inverse
    if inverse is None:
        raise ValueError("rows were compressed without their inverse")
    n_incidence, n_latency = len(problem.incidence.map), len(problem.latency.map)
    climbed = theta.copy()
    climbed[n_incidence : n_incidence + n_latency] -= problem.shift * problem.latency.constant
    slopes = row_scores(climbed, problem.data)
    pattern = np.arange(len(slopes)) if problem.rows.pattern is None else problem.rows.pattern
    designs = [design_rows(design, pattern) for design in (problem.data.incidence, problem.data.latency)]
    scores = np.hstack([designs[0] * slopes[:, :1], designs[1] * slopes[:, 1:2], slopes[:, 2:]])
    return clustered_covariance(
        covariance,
        scores,
        rows=inverse,
        clusters=clusters.codes,
        weights=clusters.weights,
        n_clusters=clusters.n_clusters,
    )
