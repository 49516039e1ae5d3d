"""What comes back of the exposure at default, by months in default: the additive curve.

Each month's recoveries are divided by the exposure of all episodes observed to that month, closed or open, so that open
episodes are censored and never zero, and the months are summed. It takes sums by obligor and month and knows nothing
of single cash flows, of dates or of how they were discounted. What an episode that is open today may still expect
stands in ``remaining_recovery``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.errors import ContractError
from recoverykit.estimators._clusters import (
    CELLS,
    check_bootstrap,
    check_cells,
    draw_counts,
    percentile_limits,
    sum_by_cluster,
    totals_by_month,
)
from recoverykit.estimators._curve_rows import columns_of
from recoverykit.estimators._recovery_kernels import cumulative_rates, months_known
from recoverykit.estimators._rows import Array, broken, check_columns, check_level
from recoverykit.estimators.remaining_recovery import MINIMUM_OPEN, RemainingRecovery, remaining_recovery
from recoverykit.vocabulary import WHOLE_BOOK, segment_name

__all__ = [
    "MINIMUM_OPEN",
    "RemainingRecovery",
    "recovery_curve",
    "recovery_curve_by",
    "recovery_curve_parts",
    "remaining_recovery",
]


def recovery_curve(
    cells: pd.DataFrame,
    *,
    amount_col: str = "present_value_amount",
    exposure_col: str = "ead_at_risk",
    count_col: str = "n_at_risk",
    cluster_col: str = "obligor_id",
    n_bootstrap: int = 0,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
    minimum_at_risk: int = 1,
) -> StepCurve:
    """Estimate the cumulative recovery rate by months in default.

    Parameters
    ----------
    cells : DataFrame
        One row per obligor and month in default with ``month`` (whole, from 0) and the columns below. A month in which
        an episode was observed has its row even when nothing was paid. Not changed.
    amount_col : str
        Net recovery in the month, currency.
    exposure_col, count_col : str
        Exposure at default and number of the episodes observed to the end of the month, closed ones included.
    cluster_col : str
        What is drawn in the bootstrap; its episodes stay together. Without a bootstrap it is not read.
    n_bootstrap : int
        Number of draws; 0 for no interval, and the limits are NaN.
    rng : numpy.random.Generator, optional
        Needed for a bootstrap.
    level : float
        Confidence level in (0, 1).
    minimum_at_risk : int
        The curve ends at the last month with at least this many episodes at risk.

    Returns
    -------
    StepCurve
        Sum over months u <= t of (net recovery in u) / (exposure at risk in u), a share of EAD. It may exceed 1 and
        fall where costs exceed recoveries. Percentile limits and standard errors are over draws of obligors; they are
        NaN from the first month that some draws do not reach. ``n_at_risk`` is the number of episodes observed to t.

    Raises
    ------
    ContractError
        When columns or numbers are missing.
    InsufficientDataError
        When no month has the minimum number at risk.
    ValueError
        When an option is not allowed, or a bootstrap has no ``rng``.

    Examples
    --------
    Two loans of 100. One is observed for two months and pays 10 and 30; the other for one month, and pays 20.

    >>> cells = pd.DataFrame({"obligor_id": ["a", "a", "b"], "month": [1, 2, 1], "n_at_risk": 1,
    ...                       "ead_at_risk": 100.0, "present_value_amount": [10.0, 30.0, 20.0]})
    >>> start = cells[cells["month"] == 1].assign(month=0, present_value_amount=0.0)
    >>> recovery_curve(pd.concat([start, cells])).values.round(2).tolist()
    [0.0, 0.15, 0.45]

    In month 1 30 of 200 came back; in month 2 30 of the 100 still observed, which makes 45 %.
    """
    curves = recovery_curve_by(
        cells,
        by=(),
        amount_cols=(amount_col,),
        exposure_col=exposure_col,
        count_col=count_col,
        cluster_col=cluster_col,
        n_bootstrap=n_bootstrap,
        rng=rng,
        level=level,
        minimum_at_risk=minimum_at_risk,
    )
    return curves[WHOLE_BOOK][amount_col]


def recovery_curve_by(
    cells: pd.DataFrame,
    *,
    by: str | Sequence[str],
    amount_cols: Sequence[str] = ("present_value_amount", "present_value_gross_amount"),
    exposure_col: str = "ead_at_risk",
    count_col: str = "n_at_risk",
    cluster_col: str = "obligor_id",
    n_bootstrap: int = 0,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
    minimum_at_risk: int = 1,
) -> dict[str, dict[str, StepCurve]]:
    """Estimate the cumulative recovery rate of every segment or vintage, net and gross, in one call.

    Parameters
    ----------
    cells : DataFrame
        As in ``recovery_curve``, as from ``recovery_cells(..., by=by)``. Not changed.
    by : str or sequence of str
        Columns that tell the curves apart; an empty sequence is the whole book. By ``outcome`` each curve is that of
        the episodes known to have ended so: a description, not a forecast, for long workouts of an outcome are seen
        later than short ones; see ``recovery_curve_parts`` for shares that add up.
    amount_cols : sequence of str
        Recoveries in the month, currency: one curve for each. All of them share the draws of a bootstrap.
    exposure_col, count_col, cluster_col, n_bootstrap, rng, level, minimum_at_risk
        As in ``recovery_curve``.

    Returns
    -------
    dict of str to dict of str to StepCurve
        Segment name (values joined as in ``segment_name``), sorted, to column to curve. Each equals the curve of
        ``recovery_curve`` on the segment's rows.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``recovery_curve``; also when a segment column is missing or has missing values.

    Examples
    --------
    >>> cells = pd.DataFrame({"region": ["east", "west", "west"], "month": 0, "n_at_risk": 1, "ead_at_risk": 100.0,
    ...                       "net": [20.0, 30.0, 10.0], "gross": [25.0, 30.0, 20.0]})
    >>> curves = recovery_curve_by(cells, by="region", amount_cols=("net", "gross"))
    >>> {name: [curve[c].values[0].item() for c in ("net", "gross")] for name, curve in curves.items()}
    {'east': [0.2, 0.25], 'west': [0.2, 0.25]}

    In both regions 20 % came back after costs, 25 % before.
    """
    options = _Options(exposure_col, count_col, cluster_col, n_bootstrap, rng, level, minimum_at_risk)
    _check(cells, amount_cols, options)
    names = columns_of(by)
    if not names:
        return {WHOLE_BOOK: _estimate(cells, amount_cols, options)}
    _check_labels(cells, names)
    segments: dict[str, list[pd.DataFrame]] = {}
    for key, rows in cells.groupby(names, observed=True, sort=True):  # values that read the same are one segment
        segments.setdefault(segment_name([str(value) for value in key]), []).append(rows)
    return {name: _estimate(pd.concat(segments[name]), amount_cols, options) for name in sorted(segments)}


def recovery_curve_parts(
    cells: pd.DataFrame,
    *,
    part_col: str,
    amount_col: str = "present_value_amount",
    exposure_col: str = "ead_at_risk",
    count_col: str = "n_at_risk",
    cluster_col: str = "obligor_id",
    n_bootstrap: int = 0,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
    minimum_at_risk: int = 1,
) -> dict[str, StepCurve]:
    """Split the cumulative recovery rate into what came from each outcome; the parts add up to the curve.

    Parameters
    ----------
    cells : DataFrame
        As in ``recovery_curve``, with one more column, as from ``recovery_cells(..., by=["outcome"])``. Not changed.
    part_col : str
        The column whose values are the parts.
    amount_col, exposure_col, count_col, cluster_col, n_bootstrap, rng, level, minimum_at_risk
        As in ``recovery_curve``.

    Returns
    -------
    dict of str to StepCurve
        Part, sorted, to the sum over months of (recovery of the part) / (exposure at risk of all parts), a share of
        the EAD of all.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``recovery_curve_by``.

    Examples
    --------
    >>> cells = pd.DataFrame({"outcome": ["sold", "open"], "month": 0, "n_at_risk": 1, "ead_at_risk": 100.0,
    ...                       "present_value_amount": [60.0, 10.0]})
    >>> {part: curve.values[0].item() for part, curve in recovery_curve_parts(cells, part_col="outcome").items()}
    {'open': 0.05, 'sold': 0.3}

    Of 35 % recovered, 30 points came from the loan that was sold.
    """
    options = _Options(exposure_col, count_col, cluster_col, n_bootstrap, rng, level, minimum_at_risk)
    _check(cells, [amount_col], options)
    _check_labels(cells, [part_col])
    part = cells[part_col].astype(str).to_numpy()
    needed = ["month", exposure_col, count_col, *([cluster_col] if n_bootstrap else [])]
    amount = cells[amount_col].to_numpy(dtype=float)
    columns = {name: np.where(part == name, amount, 0.0) for name in sorted(set(part))}
    marked = {f"part {name}": values for name, values in columns.items()}
    curves = _estimate(cells[needed].assign(**marked), list(marked), options)
    return {name: curves[f"part {name}"] for name in columns}


@dataclass(frozen=True, slots=True)
class _Options:
    exposure: str
    count: str
    cluster: str
    n_bootstrap: int
    rng: np.random.Generator | None
    level: float
    minimum_at_risk: int


def _check(cells: pd.DataFrame, amount_cols: Sequence[str], options: _Options) -> None:
    check_level(options.level)
    check_bootstrap(options.n_bootstrap, options.rng)
    if isinstance(amount_cols, str) or not amount_cols:
        raise ValueError(f"amount_cols is {amount_cols!r}; give a sequence of one column or more")
    cluster = options.cluster if options.n_bootstrap else None
    check_cells(cells, [*amount_cols, options.exposure, options.count], cluster_col=cluster)


def _check_labels(cells: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse columns of labels that are missing or have gaps: their rows would silently be in no curve."""
    check_columns(cells, names, table=CELLS)
    found = []
    for name in names:
        found += broken(cells, f"{name} must not be missing", cells[name].isna().to_numpy(), table=CELLS)
    if found:
        raise ContractError(found)


def _estimate(cells: pd.DataFrame, amount_cols: Sequence[str], options: _Options) -> dict[str, StepCurve]:
    """Return one curve per amount; all share exposure and draws."""
    columns = [*amount_cols, options.exposure]
    totals = totals_by_month(cells, [*columns, options.count])
    count = totals[-1]
    n_months = months_known(totals[-2], count, options.minimum_at_risk)
    values = cumulative_rates(totals[None, :-1, :n_months])[0]
    errors = lower = upper = np.full(values.shape, np.nan)
    if options.n_bootstrap and options.rng is not None:
        draws = _drawn(cells, columns, n_months, options, options.rng)
        lower, upper = percentile_limits(draws, options.level)
        errors = draws.std(axis=0, ddof=1) if options.n_bootstrap > 1 else errors
    return {
        name: StepCurve(
            times=np.arange(n_months, dtype=float),
            values=values[k],
            lower=lower[k],
            upper=upper[k],
            level=options.level,
            standard_errors=errors[k],
            n_at_risk=count[:n_months],
        )
        for k, name in enumerate(amount_cols)
    }


def _drawn(
    cells: pd.DataFrame, columns: Sequence[str], n_months: int, options: _Options, rng: np.random.Generator
) -> Array:
    """Return the curves of draws of obligors, of shape (n_draws, n_amounts, n_months)."""
    clusters = pd.Index(cells[options.cluster].unique()).sort_values()
    known = cells[cells["month"] < n_months]
    sums = sum_by_cluster(known, columns, cluster_col=options.cluster, clusters=clusters)
    drawn = [
        cumulative_rates(sums.drawn(counts))
        for counts in draw_counts(rng, n_clusters=len(clusters), n_draws=options.n_bootstrap)
    ]
    return np.concatenate(drawn)
