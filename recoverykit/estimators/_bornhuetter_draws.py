"""Draws of obligors for vintages: what each vintage had recovered and at risk, and the additive pattern of the draw.

Private to ``bornhuetter_ferguson``. An obligor has few vintages, so the sums by obligor are sparse and a draw is a
vector of counts times a sparse matrix.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recoverykit.estimators._clusters import CELLS, check_cells, draw_counts
from recoverykit.estimators._recovery_kernels import cumulative_rates
from recoverykit.estimators._rows import Array, IntArray, check_columns
from recoverykit.estimators._triangle_layout import TriangleColumns


@dataclass(frozen=True, slots=True, eq=False)
class VintageSums:
    """Sums by obligor.

    Attributes
    ----------
    vintage : csr_array of shape (n_clusters, 2 * n_vintages)
        Recovered up to the month at which the vintage is read, then EAD at risk in it; currency.
    month : csr_array of shape (n_clusters, 2 * n_months) or None
        Recovered in each month and EAD at risk of all vintages, where the pattern is drawn again.
    months : ndarray of int of shape (n_vintages,)
        Month at which each vintage is read.
    """

    vintage: sparse.csr_array
    month: sparse.csr_array | None
    months: IntArray

    @classmethod
    def read(
        cls,
        cells: pd.DataFrame,
        columns: TriangleColumns,
        cluster_col: str,
        vintages: pd.Index,
        months: IntArray,
        n_months: int,
    ) -> "VintageSums":
        """Return the sums of cells by vintage, obligor and month; without a pattern where ``n_months`` is 0."""
        check_columns(cells, [columns.vintage, columns.month], table=CELLS)
        named = cells.rename(columns={columns.month: "month"})
        check_cells(named, [columns.amount, columns.exposure], cluster_col=cluster_col)
        cluster, ids = pd.factorize(named[cluster_col])
        place = vintages.get_indexer(pd.Index(named[columns.vintage]))
        month = named["month"].to_numpy(dtype=np.int64)
        amount, exposure = (named[c].to_numpy(dtype=float) for c in (columns.amount, columns.exposure))
        until = np.where(place >= 0, months[place], -1)
        paid, there = month <= until, month == until
        size = (len(ids), len(vintages))
        parts = [
            sparse.csr_array((values[chosen], (cluster[chosen], place[chosen])), shape=size)
            for values, chosen in ((amount, paid), (exposure, there))
        ]
        by_month = None
        if n_months:
            early = month < n_months
            where = (cluster[early], month[early])
            shape = (len(ids), n_months)
            blocks = [sparse.csr_array((values[early], where), shape=shape) for values in (amount, exposure)]
            by_month = sparse.hstack(blocks, format="csr")
        return cls(vintage=sparse.hstack(parts, format="csr"), month=by_month, months=months)


def draw_vintages(sums: VintageSums, n_draws: int, rng: np.random.Generator) -> tuple[Array, Array, Array | None]:
    """Return recovered and EAD of draws, both of shape (n_draws, n_vintages), and the share due where it is drawn."""
    blocks = list(_blocks(sums, n_draws, rng))
    recovered, ead = (np.concatenate([block[k] for block in blocks]) for k in (0, 1))
    if sums.month is None:
        return recovered, ead, None
    return recovered, ead, np.concatenate([block[2] for block in blocks])


def _blocks(sums: VintageSums, n_draws: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array]]:
    n_vintages = len(sums.months)
    for counts in draw_counts(rng, n_clusters=sums.vintage.shape[0], n_draws=n_draws):
        drawn = (sums.vintage.T @ counts.T).T
        share = np.zeros((len(counts), 0))
        if sums.month is not None:
            by_month = (sums.month.T @ counts.T).T.reshape(len(counts), 2, -1)
            curve = cumulative_rates(by_month)[:, 0]
            last = curve[:, -1:]
            reached = np.minimum(sums.months, curve.shape[1] - 1)
            share = curve[:, reached] / np.where(last > 0, last, np.nan)
        yield drawn[:, :n_vintages], drawn[:, n_vintages:], share
