"""From a frame of episodes to predict for, to the courses of its distinct patterns.

Rows that share covariates, month of default and the month at which they are known to be open have one course, which is
computed once. Private to the discrete-time hazard model.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.errors import ContractError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators._compression import combine, encode, tally
from recoverykit.estimators._discrete_design import HazardDesign, cell_frame
from recoverykit.estimators._discrete_macro import MacroPath, default_months, read_macro
from recoverykit.estimators._discrete_prediction import (
    Course,
    hazard_errors,
    make_course,
    mean_gradients,
    share_errors,
)
from recoverykit.estimators._fit_tables import checked_weights
from recoverykit.estimators._formulas import check_prediction_frame, check_variables
from recoverykit.estimators._rows import Array, IntArray

#: Numbers held at a time while predicting: 32 MB.
_BLOCK_SIZE = 4_000_000


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


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """A fitted model as it predicts.

    Attributes
    ----------
    design : HazardDesign
    link : str
    coefficients : ndarray of shape (n_outcomes, n_terms)
    covariance : ndarray of shape (n_params, n_params)
    first_month, last_month : int
        Months at risk in the fit.
    """

    design: HazardDesign
    link: str
    coefficients: Array
    covariance: Array
    first_month: int
    last_month: int

    def months_to(self, asked: Array) -> IntArray:
        """Return the months at risk up to the last time asked for.

        Raises
        ------
        ExtrapolationError
            If it lies after the months followed in the fit.
        """
        last = int(np.floor(asked.max()))
        if last > self.last_month:
            raise ExtrapolationError(
                f"asked for month {last}, but episodes were followed to month {self.last_month} only; ask within that, "
                "or extend with a model that says what happens after, such as a cure model"
            )
        return np.arange(self.first_month, max(last, self.first_month) + 1)

    def hazards(self, patterns: Patterns, asked: Array, *, with_errors: bool) -> tuple[Array, Array]:
        """Return hazards and standard errors of each pattern in whole months, (n_patterns, n_times, n_outcomes)."""
        months = self.months_to(asked)
        values: Array = np.zeros((len(patterns.open_at), len(months), len(self.coefficients)))
        errors: Array = np.zeros(values.shape)
        for block, course in self._courses(patterns, months, with_slopes=with_errors):
            values[block] = course.hazard
            if with_errors:
                errors[block] = hazard_errors(course, self.covariance)
        place = asked.astype(np.int64) - self.first_month
        return values[:, place], errors[:, place]

    def shares(self, patterns: Patterns, asked: Array, *, with_errors: bool) -> tuple[Array, Array]:
        """Return shares and standard errors of each pattern, (n_patterns, n_times, n_outcomes + 1), open last."""
        months = self.months_to(asked)
        values: Array = np.zeros((len(patterns.open_at), len(months), len(self.coefficients) + 1))
        errors: Array = np.zeros(values.shape)
        for block, course in self._courses(patterns, months, with_slopes=with_errors):
            values[block] = course.shares()
            if with_errors:
                errors[block] = share_errors(course, self.covariance)
        return self._at_times(values, errors, asked)

    def mean_shares(self, patterns: Patterns, asked: Array, weights: ArrayLike | None) -> tuple[Array, Array]:
        """Return shares averaged over the rows, and their standard errors, (n_times, n_outcomes + 1), open last."""
        share, months = _pattern_shares(patterns, weights), self.months_to(asked)
        value: Array = np.zeros((len(months), len(self.coefficients) + 1))
        gradient: Array = np.zeros((*value.shape, self.coefficients.size))
        for block, course in self._courses(patterns, months, with_slopes=True):
            value += np.tensordot(share[block], course.shares(), axes=1)
            gradient += mean_gradients(course, share[block])
        error = np.sqrt(np.maximum(((gradient @ self.covariance) * gradient).sum(axis=-1), 0.0))
        values, errors = self._at_times(value[None], error[None], asked)
        return values[0], errors[0]

    def _at_times(self, values: Array, errors: Array, asked: Array) -> tuple[Array, Array]:
        """Take the months asked for, on the second axis; before the first everybody is open."""
        start = np.zeros_like(values[:, :1])
        start[:, :, -1] = 1.0
        place = np.floor(asked).astype(np.int64) - self.first_month + 1
        return (
            np.concatenate([start, values], axis=1)[:, place],
            np.concatenate([np.zeros_like(start), errors], axis=1)[:, place],
        )

    def _courses(self, patterns: Patterns, months: IntArray, *, with_slopes: bool) -> Iterator[tuple[slice, Course]]:
        """Yield the courses of some patterns at a time, with their positions."""
        n_patterns, n_months, n_outcomes = len(patterns.open_at), len(months), len(self.coefficients)
        width = n_months * (len(self.design.terms) + n_outcomes**2)
        if with_slopes:
            width += 3 * n_outcomes * self.coefficients.size
        at_a_time = max(1, _BLOCK_SIZE // width)
        for begin in range(0, n_patterns, at_a_time):
            block = slice(begin, min(begin + at_a_time, n_patterns))
            cells = _cells_of(patterns, block, months)
            check_prediction_frame(cells, (self.design.design,))
            matrix = self.design.matrix(cells).reshape(block.stop - begin, n_months, -1)
            opened = patterns.open_at[block]
            yield block, make_course(self.link, self.coefficients, matrix, months, opened, with_slopes=with_slopes)


def _cells_of(patterns: Patterns, block: slice, months: IntArray) -> pd.DataFrame:
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


def _pattern_shares(patterns: Patterns, weights: ArrayLike | None) -> Array:
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
