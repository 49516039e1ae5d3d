"""Resample obligors: sums by cluster and month as a matrix, draws as counts, curves as matrix products.

Facilities of one obligor recover together, and the cash flows of one episode hang together, so uncertainty is that of
drawing obligors. A draw never copies rows: it is a vector of how often each obligor was drawn, and the monthly sums of
the draw are that vector times the matrix of sums by obligor. This module knows no names of outcomes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError
from recoverykit.estimators._rows import Array, IntArray, broken, check_columns, number_column

#: Name under which violations of a cells frame are listed.
CELLS = "cells"
#: Numbers held at a time in a block of draws (draws times clusters): 32 MB.
BLOCK_SIZE = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class MonthlySums:
    """Sums by cluster and month in default.

    Attributes
    ----------
    clusters : Index of shape (n_clusters,)
        Distinct clusters, sorted.
    n_months : int
        Months 0 to n_months - 1.
    matrix : ndarray of shape (n_clusters, n_columns * n_months)
        Sums of the columns asked for, one block of months after the other.
    """

    clusters: pd.Index
    n_months: int
    matrix: Array

    def total(self) -> Array:
        """Return the sums over all clusters, of shape (n_columns, n_months)."""
        return self.matrix.sum(axis=0).reshape(-1, self.n_months)

    def drawn(self, counts: Array) -> Array:
        """Return the sums of draws, of shape (n_draws, n_columns, n_months), given counts (n_draws, n_clusters)."""
        return (counts @ self.matrix).reshape(len(counts), -1, self.n_months)


def check_cells(cells: pd.DataFrame, columns: Sequence[str], *, cluster_col: str | None = None) -> None:
    """Check a frame of sums by obligor and month.

    Parameters
    ----------
    cells : DataFrame
        One row per obligor and month in default.
    columns : sequence of str
        Columns of numbers that are needed.
    cluster_col : str, optional
        Column of the obligor.

    Raises
    ------
    ContractError
        Columns missing; months that are not whole numbers from 0; sums or obligors that are missing.
    InsufficientDataError
        No row.
    """
    check_columns(cells, ["month", *columns, cluster_col], table=CELLS)
    months = number_column(cells, "month", 0.0)
    is_whole = np.isfinite(months) & (months >= 0) & (months == np.floor(months))
    found = broken(cells, "month must be a whole number, 0 or more", ~is_whole, table=CELLS)
    for column in columns:
        missing = ~np.isfinite(number_column(cells, column, 0.0))
        found += broken(cells, f"{column} must be a number in every row", missing, table=CELLS)
    if cluster_col is not None:
        missing = cells[cluster_col].isna().to_numpy()
        found += broken(cells, f"{cluster_col} must not be missing", missing, table=CELLS)
    if found:
        raise ContractError(found)


def totals_by_month(cells: pd.DataFrame, columns: Sequence[str]) -> Array:
    """Return the sums of columns by month, of shape (n_columns, n_months), months from 0 without gaps."""
    months = cells["month"].to_numpy(dtype=np.int64)
    return np.array([np.bincount(months, weights=cells[c].to_numpy(dtype=float)) for c in columns])


def sum_by_cluster(
    cells: pd.DataFrame, columns: Sequence[str], *, cluster_col: str, clusters: pd.Index | None = None
) -> MonthlySums:
    """Sum columns by cluster and month.

    Parameters
    ----------
    cells : DataFrame
        Checked by ``check_cells``.
    columns : sequence of str
        Columns to sum.
    cluster_col : str
        Column of the cluster.
    clusters : Index, optional
        The clusters, sorted, all those of the cells among them; without it, those of the cells.
    """
    known = pd.Index(cells[cluster_col].unique()).sort_values() if clusters is None else clusters
    months = cells["month"].to_numpy(dtype=np.int64)
    n_months = int(months.max()) + 1
    keys = known.get_indexer(pd.Index(cells[cluster_col])) * n_months + months
    size = len(known) * n_months
    parts = [np.bincount(keys, weights=cells[c].to_numpy(dtype=float), minlength=size) for c in columns]
    blocks = [part.reshape(len(known), n_months) for part in parts]
    return MonthlySums(clusters=known, n_months=n_months, matrix=np.concatenate(blocks, axis=1))


def draw_counts(rng: np.random.Generator, *, n_clusters: int, n_draws: int) -> Iterator[Array]:
    """Yield blocks of draws with replacement as counts.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    n_clusters, n_draws : int
        Clusters in the data, which is also the size of each draw, and number of draws.

    Yields
    ------
    ndarray of shape (n_block, n_clusters)
        How often each cluster was drawn; each row sums to n_clusters.
    """
    per_block = max(1, BLOCK_SIZE // n_clusters)
    for start in range(0, n_draws, per_block):
        n_block = min(per_block, n_draws - start)
        drawn: IntArray = rng.integers(0, n_clusters, size=(n_block, n_clusters))
        drawn += np.arange(n_block)[:, None] * n_clusters
        yield np.bincount(drawn.ravel(), minlength=n_block * n_clusters).reshape(n_block, n_clusters).astype(float)


def check_bootstrap(n_bootstrap: int, rng: np.random.Generator | None) -> None:
    """Raise ValueError when draws are asked for without a generator, or fewer than 0."""
    if n_bootstrap < 0:
        raise ValueError(f"n_bootstrap is {n_bootstrap}; it must be 0 (no interval) or the number of draws")
    if n_bootstrap and rng is None:
        raise ValueError("a bootstrap needs rng=numpy.random.default_rng(seed), so that its result can be repeated")


def percentile_limits(draws: Array, level: float) -> tuple[Array, Array]:
    """Return the percentile limits of draws along the first axis; NaN where any draw has no value.

    A month at which some draws have nobody at risk has no honest percentile: the draws that do have somebody are a
    selection.
    """
    lower, upper = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return lower, upper
