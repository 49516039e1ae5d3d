"""From a frame to a fitted LGD regression: what every model does before and after its own stages. Private to them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._lgd_rows import LossRows, Request, check_drivers, read_losses, with_segment
from recoverykit.estimators._lgd_stages import Part, Posed, Stage, pose
from recoverykit.estimators._mixture_sandwich import ClusterIndex
from recoverykit.estimators._rows import Array, check_level
from recoverykit.estimators.lgd_regression import LgdRegressionFit

_BLOCK_CLUSTERS = 16_384


def pose_losses(
    frame: pd.DataFrame, formulas: dict[str, str], request: Request, *, segment_by: tuple[str, ...] | None = None
) -> Posed:
    """Check the frame and learn the formulas; with segments the formulas read their name instead of columns."""
    check_level(request.level)
    if segment_by is None:
        return pose(read_losses(frame, check_drivers(formulas), request), tuple(formulas.values()))
    rows = read_losses(frame, check_drivers({}, segment_by), request)
    if rows.cells is None:
        raise InsufficientDataError(
            f"the columns {', '.join(segment_by)} hardly repeat, so that they make no segments; take bands of them"
        )
    first, inverse = rows.cells.first, rows.cells.places
    named = with_segment(rows.covariates.take(first), segment_by)
    cells = replace(rows.cells, first=np.arange(len(first)))
    return pose(replace(rows, covariates=named, cells=replace(cells, inverse=inverse)), tuple(formulas.values()))


def assemble(
    posed: Posed,
    stages: Sequence[Stage],
    *,
    model: str,
    combination: str,
    request: Request,
    is_quasi: bool,
    variables: tuple[str, ...],
    boundary: str | None = None,
    given: dict[str, float] | None = None,
    segment_by: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Return the fields of a fit from its stages.

    Parameters
    ----------
    posed : Posed
    stages : sequence of Stage
        In the order of the parameters.
    model, combination, boundary
        As in ``LgdRegressionFit``.
    request : Request
    is_quasi : bool
    variables : tuple of str
        Columns of the frame that a prediction reads.
    given : dict of str to float, optional
        Parts that were not estimated, with their values.
    segment_by : tuple of str, optional
    """
    rows = posed.rows
    parts, labels, begin = [], [], 0
    for stage in stages:
        for name, scale, design in stage.parts:
            end = begin + len(design.terms)
            parts.append(Part(name, scale, design, slice(begin, end)))
            labels += [(name, term) for term in design.terms]
            begin = end
    parts += [Part(name, "given", None, slice(0, 0), value) for name, value in (given or {}).items()]
    covariance = _diagonal([stage.covariance for stage in stages])
    if rows.clusters is not None:
        covariance = _clustered(_diagonal([stage.bread for stage in stages]), stages, rows.clusters)
    index = pd.MultiIndex.from_tuples(labels, names=["part", "term"])
    theta = np.concatenate([stage.theta for stage in stages]) if stages else np.empty(0)
    return {
        "model": model,
        "loss_col": request.loss_col,
        "params": pd.Series(theta, index=index, name="estimate"),
        "standard_errors": pd.Series(np.sqrt(np.diag(covariance)), index=index, name="standard_error"),
        "cov": pd.DataFrame(covariance, index=index, columns=index),
        "errors": _errors_in_words(rows, stages),
        "loglik": float(sum(stage.loglik for stage in stages)),
        "is_quasi": is_quasi,
        **_counts(rows),
        "n_iterations": sum(stage.n_iterations for stage in stages),
        "boundary": boundary,
        "level": request.level,
        "parts": tuple(parts),
        "combination": combination,
        "variables": variables,
        "segment_by": segment_by,
    }


def make_fit(posed: Posed, stages: Sequence[Stage], **choices: Any) -> LgdRegressionFit:
    """Return the fit of a model that stands by itself; arguments as in ``assemble``."""
    return LgdRegressionFit(**assemble(posed, stages, **choices))


def _counts(rows: LossRows) -> dict[str, Any]:
    total = rows.loss.sum() if rows.weights is None else rows.weights @ rows.loss
    n_episodes = rows.count()
    return {
        "n_episodes": n_episodes,
        "n_zero": rows.count(rows.loss == 0.0),
        "n_one": rows.count(rows.loss == 1.0),
        "n_below": rows.n_below,
        "n_above": rows.n_above,
        "mean_loss": float(total) / n_episodes,
        "n_rows": len(rows.loss),
        "n_patterns": len(rows.loss) if rows.cells is None else len(rows.cells.first),
        "n_clusters": None if rows.clusters is None else rows.clusters.n_clusters,
    }


def _errors_in_words(rows: LossRows, stages: Sequence[Stage]) -> str:
    if rows.clusters is not None:
        return f"robust over {rows.clusters.n_clusters:,} clusters"
    names = [name for stage in stages for name, _, _ in stage.parts if not stage.is_robust]
    if not any(stage.is_robust for stage in stages):
        return "model-based"
    return f"robust, model-based for {' and '.join(names)}" if names else "robust"


def _diagonal(blocks: Sequence[Array]) -> Array:
    size = sum(len(block) for block in blocks)
    full, begin = np.zeros((size, size)), 0
    for block in blocks:
        end = begin + len(block)
        full[begin:end, begin:end] = block
        begin = end
    return full


def _clustered(bread: Array, stages: Sequence[Stage], clusters: ClusterIndex) -> Array:
    """Return bread @ (sum of squared cluster scores of all parts together) @ bread; NaN where the bread is.

    Without small-sample factor, as elsewhere in the kit. Episodes of one obligor tie the parts together too.
    """
    scores = [score for stage in stages for score in stage.scores]
    memberships = []
    for score in scores:
        pool = score.pool
        codes = clusters.codes if pool.chosen is None else clusters.codes[pool.chosen]
        weighted = score.slopes if pool.weights is None else score.slopes * pool.weights
        place = np.arange(len(weighted)) if pool.place is None else pool.place
        shape = (clusters.n_clusters, len(score.design))
        memberships.append(csr_matrix((weighted, (codes, place)), shape=shape))
    meat = np.zeros_like(bread)
    for begin in range(0, clusters.n_clusters, _BLOCK_CLUSTERS):
        block = slice(begin, begin + _BLOCK_CLUSTERS)
        sums = np.hstack([m[block] @ score.design for m, score in zip(memberships, scores, strict=True)])
        meat += sums.T @ sums
    known = np.where(np.isnan(bread), 0.0, bread)
    unknown = np.isnan(np.diag(bread))
    return np.where(np.logical_or.outer(unknown, unknown), np.nan, known @ meat @ known)
