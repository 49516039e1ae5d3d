"""LGD models side by side, each fitted on the same development episodes and judged on the same later ones.

An LGD model that does not beat the plain mean of the segment out of time is not worth its complexity: that mean is
always a row of the table. This module knows models by ``fit`` and ``predict`` only, and computes no verdict.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.errors import ContractError, InsufficientDataError, RecoverykitError, Violation
from recoverykit.estimators._clusters import draw_counts, percentile_limits
from recoverykit.estimators._discrete_macro import default_months
from recoverykit.estimators._lgd_measures import accuracy, calibration_line, level_test, ranking
from recoverykit.estimators._mixture_sandwich import cluster_index
from recoverykit.estimators._rows import Array, IntArray, broken, check_columns, number_column
from recoverykit.estimators.lgd_regression import LgdModel
from recoverykit.estimators.segment_mean_lgd import SegmentMeanLgdModel

__all__ = [
    "SEGMENT_MEAN",
    "compare_lgd_models",
    "judge_predictions",
    "lgd_accuracy",
    "predict_holdout",
    "rmse_saved_limits",
]

#: Name of the row to beat.
SEGMENT_MEAN = "segment mean"
HOLDOUT = "holdout"


def lgd_accuracy(
    realised: ArrayLike, predicted: ArrayLike, *, weights: ArrayLike | None = None, clusters: ArrayLike | None = None
) -> dict[str, float]:
    """Measure predicted losses against realised ones.

    Parameters
    ----------
    realised, predicted : array_like of shape (n_episodes,)
        Losses as shares of EAD, finite.
    weights : array_like of shape (n_episodes,), optional
        Case weights, > 0: weight 2 is the episode twice.
    clusters : array_like of shape (n_episodes,), optional
        Obligor or other cluster, over which the z of the level is summed; each episode by itself without it.

    Returns
    -------
    dict of str to float
        ``mae``, ``rmse``, ``r2`` (against the mean of these losses; below 0 is worse than knowing it);
        ``generalised_auc`` (chance that of two different losses the larger has the larger prediction), ``gini``
        (2 AUC - 1), ``spearman``; ``calibration_intercept`` and ``calibration_slope`` of realised on predicted;
        ``mean_realised``, ``mean_predicted``, ``z`` of their difference (above 0: too little predicted) and
        ``p_value``. NaN where predictions that are all the same leave nothing to rank.

    Raises
    ------
    ValueError
        If lengths differ, or a number is missing or a weight not above 0.

    Examples
    --------
    >>> found = lgd_accuracy([0.0, 0.2, 0.6, 1.0], [0.1, 0.3, 0.2, 0.8])
    >>> round(found["mae"], 3), round(found["generalised_auc"], 3)  # 0.8 / 4; five of six pairs in order
    (0.2, 0.833)
    """
    y, m = (np.asarray(values, dtype=float) for values in (realised, predicted))
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
    codes: IntArray | None = None if clusters is None else pd.factorize(np.asarray(clusters))[0].astype(np.int64)
    shapes = {values.shape for values in (y, m, w, codes) if values is not None}
    if len(shapes) > 1 or y.ndim != 1 or len(y) == 0:
        raise ValueError("realised, predicted, weights and clusters must be lists of one length, not empty")
    if not (np.isfinite(y).all() and np.isfinite(m).all() and np.isfinite(w).all() and (w > 0).all()):
        raise ValueError("realised, predicted and weights must be finite, and weights above 0")
    if codes is not None and codes.min() < 0:
        raise ValueError("clusters must not be missing")
    return {
        **accuracy(y, m, w),
        **ranking(y, m, w),
        **calibration_line(y, m, w),
        **level_test(y, m, w, codes),
    }


def compare_lgd_models(
    models: Mapping[str, LgdModel],
    development: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    segment_by: Sequence[str] = (),
    loss_col: str = "realised_lgd",
    weights_col: str | None = None,
    cluster_col: str | None = None,
    default_month_col: str | None = None,
    macro: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Fit models on development episodes and measure them on later ones, beside the plain mean of the segment.

    Parameters
    ----------
    models : mapping of str to model
        By the name under which each is shown; anything with ``fit`` and ``predict`` as LGD models have them.
    development, holdout : DataFrame
        Episodes whose losses are known. An honest split is out of time: development defaults first, with losses as they
        were known at the split. Losses of the holdout outside 0 to 1 are measured as they are.
    segment_by : sequence of str
        Columns whose combinations are the segments of the row to beat; none for the mean of the book.
    loss_col, weights_col, cluster_col : str, optional
        As in ``FractionalLogitModel.fit``, in both frames.
    default_month_col : str, optional
        Date or month of default: the split is then checked to be out of time, and macro values can be read.
    macro : DataFrame, optional
        Macro values by calendar month, for both frames.

    Returns
    -------
    DataFrame
        Indexed by model, smallest RMSE first: ``n_development``, ``n_holdout`` (weights), the measures of
        ``lgd_accuracy`` on the holdout, and ``rmse_saved``, the share of the RMSE of the plain segment mean that the
        model saves (below 0: it does worse).

    Raises
    ------
    ValueError
        If there is no model, or one has the name of the row to beat.
    RefusedColumnError
        If a segment column is known only after the outcome, or is refused by another rule.
    ContractError
        If columns are absent, a loss is missing, or the split is not out of time.
    InsufficientDataError, ConvergenceError, ExtrapolationError
        As the models raise them, with the name of the model in a note.

    Examples
    --------
    >>> from recoverykit.estimators.fractional_logit import FractionalLogitModel
    >>> rng = np.random.default_rng(1)
    >>> loans = pd.DataFrame({"ltv": rng.uniform(0, 1, 400)}).assign(realised_lgd=lambda f: 0.8 * f["ltv"] ** 2)
    >>> table = compare_lgd_models({"logit": FractionalLogitModel(formula="~ ltv")}, loans[:200], loans[200:])
    >>> table.index.tolist(), bool(table.loc["logit", "rmse_saved"] > 0.5)  # it beats the plain mean
    (['logit', 'segment mean'], True)
    """
    if not models or SEGMENT_MEAN in models:
        raise ValueError(f"models must name one model at the least, and none may be called {SEGMENT_MEAN!r}")
    check_columns(development, [loss_col, weights_col, cluster_col], table="development")
    _judged(holdout, loss_col, weights_col, cluster_col)
    if default_month_col is not None:
        _check_out_of_time(development, holdout, default_month_col)
    entrants = {SEGMENT_MEAN: SegmentMeanLgdModel(segment_by=tuple(segment_by), outside="clip"), **models}
    columns: dict[str, Any] = {"loss_col": loss_col, "weights_col": weights_col, "cluster_col": cluster_col}
    predicted = predict_holdout(
        entrants, development, holdout, **columns, default_month_col=default_month_col, macro=macro
    )
    n_development = float(number_column(development, weights_col, 1.0).sum())
    return judge_predictions(predicted, holdout, n_development=n_development, **columns)


def predict_holdout(
    models: Mapping[str, LgdModel],
    development: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    loss_col: str = "realised_lgd",
    weights_col: str | None = None,
    cluster_col: str | None = None,
    default_month_col: str | None = None,
    macro: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Fit models on development episodes and predict the later ones; nothing is checked to be out of time here.

    Parameters and errors are those of ``compare_lgd_models``.

    Returns
    -------
    DataFrame
        Predicted losses, shares of EAD: one column per model, indexed as the holdout.
    """
    predicted = {}
    for name, model in models.items():
        try:
            fit = model.fit(
                development,
                loss_col=loss_col,
                weights_col=weights_col,
                cluster_col=cluster_col,
                macro=macro,
                default_month_col=default_month_col,
            )
            found = fit.predict(holdout, macro=macro, default_month_col=default_month_col)
        except RecoverykitError as error:
            error.add_note(f"while comparing: model {name!r}")
            raise
        predicted[name] = found.to_numpy(dtype=float)
    return pd.DataFrame(predicted, index=holdout.index)


def judge_predictions(
    predicted: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    n_development: float,
    loss_col: str = "realised_lgd",
    weights_col: str | None = None,
    cluster_col: str | None = None,
) -> pd.DataFrame:
    """Measure predictions of several models on the same holdout, as ``compare_lgd_models`` shows them.

    Parameters
    ----------
    predicted : DataFrame
        From ``predict_holdout``, with the row to beat among the columns.
    holdout : DataFrame
        The episodes predicted, in the same order.
    n_development : float
        Weight of the episodes of the fits.
    loss_col, weights_col, cluster_col : str, optional
        As in ``compare_lgd_models``.
    """
    realised, weights, clusters = _judged(holdout, loss_col, weights_col, cluster_col)
    rows: dict[str, dict[str, float]] = {}
    for name in map(str, predicted.columns):
        measures = lgd_accuracy(realised, predicted[name], weights=weights, clusters=clusters)
        rows[name] = {"n_development": n_development, "n_holdout": float(weights.sum()), **measures}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    table["rmse_saved"] = 1.0 - table["rmse"] / rows[SEGMENT_MEAN]["rmse"]
    return table.sort_values("rmse", kind="stable")


def rmse_saved_limits(
    predicted: pd.DataFrame,
    realised: ArrayLike,
    *,
    clusters: ArrayLike,
    n_bootstrap: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> pd.DataFrame:
    """Bound the share of the segment mean's RMSE that each model saves, by drawing obligors of the holdout.

    Both errors are of the same drawn obligors, so that what is hard to predict for everybody cancels. The fits stay as
    they are: the interval is that of the judgement, not of the parameters.

    Parameters
    ----------
    predicted : DataFrame
        From ``predict_holdout``, with the row to beat among the columns.
    realised, clusters : array_like of shape (n_episodes,)
        Losses, shares of EAD, and obligors.
    n_bootstrap : int
        Draws, 1 or more.
    rng : numpy.random.Generator
        Of the draws.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    DataFrame
        lower and upper by model; 0 for the row to beat. NaN where any draw leaves the row to beat without an error.

    Raises
    ------
    ValueError
        If a cluster is missing.
    """
    codes = pd.factorize(np.asarray(clusters))[0]
    if (codes < 0).any():
        raise ValueError("clusters must not be missing")
    squared = (predicted.to_numpy(dtype=float) - np.asarray(realised, dtype=float)[:, None]) ** 2
    sums = np.column_stack([np.bincount(codes, weights=column) for column in squared.T])
    drawn = np.concatenate([counts @ sums for counts in draw_counts(rng, n_clusters=len(sums), n_draws=n_bootstrap)])
    bar = drawn[:, predicted.columns == SEGMENT_MEAN]
    saved = 1.0 - np.sqrt(np.divide(drawn, bar, out=np.full_like(drawn, np.nan), where=bar > 0))
    lower, upper = percentile_limits(saved, level)
    return pd.DataFrame({"lower": lower, "upper": upper}, index=predicted.columns.rename("model"))


def _judged(
    holdout: pd.DataFrame, loss_col: str, weights_col: str | None, cluster_col: str | None
) -> tuple[Array, Array, IntArray | None]:
    """Return realised losses, weights and, where named, clusters of the holdout."""
    check_columns(holdout, [loss_col, weights_col, cluster_col], table=HOLDOUT)
    realised, weights = number_column(holdout, loss_col, 0.0), number_column(holdout, weights_col, 1.0)
    faults = broken(holdout, f"{loss_col} must be a number in every row", ~np.isfinite(realised), table=HOLDOUT)
    is_weight = np.isfinite(weights) & (weights > 0)
    faults += broken(holdout, f"{weights_col} must be a number above 0", ~is_weight, table=HOLDOUT)
    if faults:
        raise ContractError(faults)
    if len(holdout) < 2:
        raise InsufficientDataError("holdout has one episode only; errors and ranks need two at the least")
    return realised, weights, None if cluster_col is None else cluster_index(holdout, cluster_col, None).codes


def _check_out_of_time(development: pd.DataFrame, holdout: pd.DataFrame, default_month_col: str) -> None:
    """Refuse a holdout that begins before the development episodes end."""
    last, months = default_months(development, default_month_col).max(), default_months(holdout, default_month_col)
    early = int((months <= last).sum())
    if early:
        rule = (
            f"{default_month_col} must lie after the last month of development, {last // 12}-{last % 12 + 1:02d}, for "
            "a split out of time"
        )
        raise ContractError([Violation(HOLDOUT, rule, early)])
