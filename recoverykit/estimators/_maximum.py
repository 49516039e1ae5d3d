"""What the top of a log-likelihood tells: what is identified, the covariance of that, and the cluster-robust one.

Private to the estimators; knows arrays only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recoverykit.estimators._mixture_kernels import Evaluation
from recoverykit.estimators._optimise import AGREEMENT, Climb, Curvature, Objective

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Information below this in a direction that moves the predictor by 1 means a standard error above 100: not identified.
_LEAST_INFORMATION = 1e-4
#: A parameter that moves by less than this share of its unit along a flat direction keeps its standard error.
_TOUCHED = 1e-3
_N_FINISHED = 3
#: A step that promises nothing and is longer than this runs along a ridge.
_LAST_STEP = 0.1
_ROUNDING = 1e-12
_BLOCK_CLUSTERS = 16_384


@dataclass(frozen=True, slots=True, eq=False)
class Information:
    """What the curvature at a maximum says.

    Attributes
    ----------
    covariance : ndarray of shape (n_params, n_params)
        Inverse of the observed information; directions that are not identified count as fixed.
    identified : ndarray of bool of shape (n_params,)
        Whether each parameter has a standard error.
    flat : ndarray of shape (n_params, n_directions)
        Scaled directions in which the likelihood does not change; none where all is identified.
    """

    covariance: Array
    identified: BoolArray
    flat: Array


def scaled_objective(evaluate: Callable[[Array], Curvature], scaling: Array) -> Callable[[Array], Evaluation]:
    """Return a log-likelihood as a function of scaled parameters."""

    def objective(z: Array) -> Evaluation:
        at = evaluate(scaling @ z)
        return Evaluation(at.value, scaling.T @ at.gradient, scaling.T @ at.hessian @ scaling)

    return objective


def worth_finishing(explored: list[Climb], *, same_data: bool) -> list[Climb]:
    """Choose climbs to finish: the best, others that were still moving, and all hills of a thinned search."""
    best, chosen = explored[0], [explored[0]]
    for one in explored[1:]:
        is_new = all(abs(one.at.value - c.at.value) > AGREEMENT for c in chosen)
        if np.isfinite(one.at.value) and is_new and (not same_data or not one.converged or not best.converged):
            chosen.append(one)
    return chosen[:_N_FINISHED]


def with_last_step(objective: Objective, top: Climb) -> Climb:
    """Take the last Newton step of a climb, which squares what is left of the way, unless it runs along a ridge."""
    try:
        root = np.linalg.inv(np.linalg.cholesky(-top.at.hessian))
    except np.linalg.LinAlgError:
        return top
    step = root.T @ (root @ top.at.gradient)
    if not top.converged or np.linalg.norm(step) > _LAST_STEP:
        return top
    at = objective(top.position + step)
    better = at.value >= top.at.value - _ROUNDING * abs(top.at.value)
    return replace(top, position=top.position + step, at=at) if better else top


def invert_information(
    hessian: Array, scaling: Array, mean_weight: float, *, fixed: BoolArray | None = None, is_top: bool = True
) -> Information:
    """Invert the information where there is any.

    Parameters
    ----------
    hessian : ndarray of shape (n_params, n_params)
        Of the log-likelihood at its maximum, in scaled parameters.
    scaling : ndarray of shape (n_params, n_params)
        Parameters = scaling @ z.
    mean_weight : float
        Episodes per row of the frame; small weights carry little information each.
    fixed : ndarray of bool of shape (n_params,) or None
        Parameters at a limit, unscaled ones: they have no standard error, and the others have those given them.
    is_top : bool
        Whether the climb came to rest; the way along which it crept on is not identified either.
    """
    fixed = np.zeros(len(hessian), dtype=bool) if fixed is None else fixed
    free = np.flatnonzero(~fixed)
    information, vectors = np.linalg.eigh(-hessian[np.ix_(free, free)])
    known = information >= _LEAST_INFORMATION * min(1.0, mean_weight)
    known[0] &= is_top
    directions = np.zeros((len(hessian), len(free)))
    directions[free] = vectors
    basis, flat = scaling @ directions[:, known], directions[:, ~known]
    moved = np.abs(scaling @ flat).max(axis=1, initial=0.0)
    return Information(
        covariance=(basis / information[known]) @ basis.T,
        identified=~fixed & (moved < _TOUCHED * np.linalg.norm(scaling, axis=1)),
        flat=flat,
    )


def clustered_covariance(
    bread: Array, scores: Array, *, rows: IntArray, clusters: IntArray, weights: Array, n_clusters: int
) -> Array:
    """Return bread @ (sum of squared cluster scores) @ bread (Lin and Wei 1989, JASA 84), without small-sample factor.

    Parameters
    ----------
    bread : ndarray of shape (n_params, n_params)
        Inverse of the information.
    scores : ndarray of shape (n_compressed_rows, n_params)
        For weight 1.
    rows, clusters, weights : ndarray of shape (n_rows,)
        Compressed row, cluster and case weight of each row of the frame.
    n_clusters : int
    """
    membership = csr_matrix((weights, (clusters, rows)), shape=(n_clusters, len(scores)))
    meat = np.zeros_like(bread)
    for begin in range(0, n_clusters, _BLOCK_CLUSTERS):
        sums = membership[begin : begin + _BLOCK_CLUSTERS] @ scores
        meat += sums.T @ sums
    return np.asarray(bread @ meat @ bread, dtype=float)
