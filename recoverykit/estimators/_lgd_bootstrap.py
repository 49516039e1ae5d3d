"""Averages of LGD and their draws over obligors, with the curve of remaining recovery estimated again in each draw.

Everything that a draw needs is summed by obligor first, so that a draw is a vector of counts times matrices. Private
to ``lgd``; knows no contract and no date.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recoverykit.estimators._clusters import MonthlySums, draw_counts, sum_by_cluster
from recoverykit.estimators._recovery_kernels import monthly_shares, totals_after
from recoverykit.estimators._rows import Array

CLUSTER = "obligor_id"
#: Columns of cells from which the curve is estimated: recovery, exposure open at the start, exposure resolved.
CURVE_COLUMNS = ("present_value_amount_open", "ead_open_at_start", "ead_resolved")
#: Estimates drawn, in this order.
DRAWN = ("closed_only_lgd", "closed_only_lgd_ead_weighted", "all_in_lgd", "all_in_lgd_ead_weighted")


@dataclass(frozen=True, slots=True, eq=False)
class _Ages:
    """Open episodes by obligor and age: the ages, and what each weighs in the two averages.

    ``by_number`` and ``by_ead`` have shape (n_ages, n_clusters).
    """

    ages: Array
    by_number: sparse.csr_array
    by_ead: sparse.csr_array


def average(values: Array, weights: Array | None = None) -> float:
    """Return the weighted mean of values of shape (n,); NaN where there is nothing to average."""
    total = float(len(values)) if weights is None else float(weights.sum())
    if total <= 0:
        return float("nan")
    return float(values.mean() if weights is None else (values @ weights) / total)


@dataclass(frozen=True, slots=True, eq=False)
class CurveGroup:
    """Episodes that share a curve of remaining recovery, and the cells from which it is estimated.

    ``n_months`` is the number of months, from 0, for which the curve is known.
    """

    used: pd.DataFrame
    cells: pd.DataFrame
    n_months: int


def draw_averages(used: pd.DataFrame, *, groups: Sequence[CurveGroup], n_draws: int, rng: np.random.Generator) -> Array:
    """Draw obligors with replacement and average the LGD of each draw.

    Parameters
    ----------
    used : DataFrame
        Episodes in the averages, as from ``expected_lgd``.
    groups : sequence of CurveGroup
        The same episodes by curve, so that each draw estimates every curve again from the same drawn obligors; none
        takes the remaining recovery as known.
    n_draws : int
        Number of draws.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_draws, 4)
        In the order of ``DRAWN``; NaN where a draw holds no episode to average.
    """
    ids = pd.Index(used[CLUSTER].unique())
    for group in groups:
        ids = ids.union(pd.Index(group.cells[CLUSTER].unique()))
    clusters = ids.sort_values()
    fixed = _sums_by_cluster(used, clusters, curve_is_known=not groups)
    curves = [
        (
            sum_by_cluster(group.cells, CURVE_COLUMNS, cluster_col=CLUSTER, clusters=clusters),
            _ages_by_cluster(group.used, clusters),
            group.n_months,
        )
        for group in groups
    ]
    blocks = []
    for counts in draw_counts(rng, n_clusters=len(clusters), n_draws=n_draws):
        still_to_come = np.zeros((2, len(counts)))
        for sums, ages, n_months in curves:
            still_to_come += _still_to_come(counts, sums, ages, n_months)
        blocks.append(_averages_of(counts @ fixed, still_to_come))
    return np.concatenate(blocks)


def _sums_by_cluster(used: pd.DataFrame, clusters: pd.Index, *, curve_is_known: bool) -> Array:
    """Return, by cluster: number, LGD, EAD and loss of closed episodes, then the same of open ones."""
    lgd = used["expected_lgd"].to_numpy(dtype=float)
    if not curve_is_known:
        lgd = lgd + used["expected_remaining_rate"].to_numpy(dtype=float)
    ead, is_closed = used["ead"].to_numpy(dtype=float), used["is_closed"].to_numpy(dtype=float)
    where = clusters.get_indexer(pd.Index(used[CLUSTER]))
    weights = [part * of for part in (is_closed, 1.0 - is_closed) for of in (np.ones_like(lgd), lgd, ead, lgd * ead)]
    return np.column_stack([np.bincount(where, weights=w, minlength=len(clusters)) for w in weights])


def _ages_by_cluster(used: pd.DataFrame, clusters: pd.Index) -> _Ages:
    still_open = used[~used["is_closed"].to_numpy(dtype=bool)]
    ages, column = np.unique(still_open["age_months"].to_numpy(dtype=float), return_inverse=True)
    cluster = clusters.get_indexer(pd.Index(still_open[CLUSTER]))
    ead = still_open["ead"].to_numpy(dtype=float)
    share = ead / still_open["denominator_amount"].to_numpy(dtype=float)
    shape = (len(ages), len(clusters))
    by_number, by_ead = (sparse.csr_array((w, (column, cluster)), shape=shape) for w in (share, share * ead))
    return _Ages(ages=ages, by_number=by_number, by_ead=by_ead)


def _still_to_come(counts: Array, sums: MonthlySums, ages: _Ages, n_months: int) -> Array:
    """Return what open episodes of each draw still expect, summed as rates and as money: shape (2, n_draws)."""
    amount, exposure, resolved = np.moveaxis(sums.drawn(counts)[:, :, :n_months], 1, 0)
    totals = totals_after(ages.ages, *monthly_shares(amount, exposure, resolved))
    weights = (ages.by_number @ counts.T, ages.by_ead @ counts.T)
    return np.array([(w.T * totals).sum(axis=1) for w in weights])


def _averages_of(sums: Array, still_to_come: Array) -> Array:
    n_closed, lgd_closed, ead_closed, loss_closed, n_open, lgd_open, ead_open, loss_open = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.column_stack(
            [
                lgd_closed / n_closed,
                loss_closed / ead_closed,
                (lgd_closed + lgd_open - still_to_come[0]) / (n_closed + n_open),
                (loss_closed + loss_open - still_to_come[1]) / (ead_closed + ead_open),
            ]
        )
