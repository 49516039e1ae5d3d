"""Distinct rows of a frame of episodes to predict for, and the cells of months through which they go.

Rows that share covariates, month of default and the month at which they are known to be open have one course, which is
computed once. Private to the discrete-time hazard model.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._compression import combine, encode, tally
from recoverykit.estimators._discrete_design import HazardDesign, cell_frame
from recoverykit.estimators._discrete_macro import MacroPath, default_months, read_macro
from recoverykit.estimators._fit_tables import checked_weights
from recoverykit.estimators._formulas import check_variables
from recoverykit.estimators._rows import Array, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """Distinct rows of a frame to predict for.

    Attributes
    ----------
    covariates : DataFrame of shape (n_patterns, n_covariates)
    open_at : ndarray of shape (n_patterns,)
        Month after which each is known to be open; -1 for nothing known.
    path : MacroPath or None
        The macro path, where the model has one.
    default_month : ndarray of int of shape (n_patterns,) or None
    inverse : ndarray of int of shape (n_rows,)
        Pattern of each row of the frame.
    """

    covariates: pd.DataFrame
    open_at: Array
    path: MacroPath | None
    default_month: IntArray | None
    inverse: IntArray


def read_patterns(
    design: HazardDesign,
    frame: pd.DataFrame,
    given_open_at: ArrayLike | None,
    macro: pd.DataFrame | None,
    default_month_col: str | None,
) -> Patterns:
    """Check a frame to predict for, and find its distinct rows.

    Raises
    ------
    ContractError
        If columns are absent or have missing values.
    InsufficientDataError
        If the frame has no row.
    ValueError
        If the model has macro columns but no path or month of default is given, or ``given_open_at`` does not fit.
    """
    if frame.empty:
        raise InsufficientDataError("the frame has no row to predict for")
    faults = check_variables(frame, design.covariates)
    if faults:
        raise ContractError(faults)
    opened = _open_months(given_open_at, len(frame))
    columns: list[pd.Series | Array] = [frame[name] for name in design.covariates]
    columns.append(opened)
    path, months = None, None
    if design.macro_columns:
        if macro is None or default_month_col is None:
            raise ValueError(
                f"the hazards depend on {', '.join(design.macro_columns)}: give macro= (a frame of values by calendar "
                "month, the scenario included) and default_month_col="
            )
        path, months = read_macro(macro, design.macro_columns), default_months(frame, default_month_col)
        columns.append(months.astype(float))
    distinct = tally(combine([encode(column) for column in columns], len(frame)), None, want_inverse=True)
    return Patterns(
        covariates=frame.loc[:, list(design.covariates)].take(distinct.first).reset_index(drop=True),
        open_at=opened[distinct.first],
        path=path,
        default_month=None if months is None else months[distinct.first],
        inverse=distinct.places,
    )


def pattern_cells(patterns: Patterns, block: slice, months: IntArray) -> pd.DataFrame:
    n_patterns, n_months = block.stop - block.start, len(months)
    month = np.tile(months, n_patterns)
    # Months before the one asked from need no macro value: the path may begin there.
    opened = np.repeat(patterns.open_at[block], n_months).astype(np.int64)
    return cell_frame(
        patterns.covariates.iloc[block],
        pattern=np.repeat(np.arange(n_patterns), n_months),
        month=month,
        path=patterns.path,
        default_month=None if patterns.default_month is None else patterns.default_month[block],
        macro_month=np.minimum(np.maximum(month, opened + 1), months[-1]),
    )


def pattern_shares(patterns: Patterns, weights: ArrayLike | None) -> Array:
    """Return the share of each pattern in the sum of the weights of the rows; ValueError for impossible weights."""
    weight = checked_weights(weights, len(patterns.inverse))
    total = np.bincount(patterns.inverse, weights=weight, minlength=len(patterns.open_at)).astype(float)
    return np.asarray(total / weight.sum(), dtype=float)


def _open_months(given_open_at: ArrayLike | None, n_rows: int) -> Array:
    """Return the completed months after which each row is known to be open, -1 where nothing is known."""
    if given_open_at is None:
        return np.full(n_rows, -1.0)
    given = np.asarray(given_open_at, dtype=float)
    if given.shape not in {(), (n_rows,)} or not (np.isfinite(given).all() and (given >= 0).all()):
        raise ValueError(f"given_open_at must be one month of 0 or more, or one for each of the {n_rows} rows")
    return np.floor(np.broadcast_to(given, (n_rows,)))
