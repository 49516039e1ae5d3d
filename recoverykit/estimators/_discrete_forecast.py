"""Predictions of monthly hazards: values, and limits by the delta method or by simulation, for distinct rows.

Private to the discrete-time hazard model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from recoverykit.curves import StepCurve
from recoverykit.errors import ExtrapolationError
from recoverykit.estimators._discrete_design import HazardDesign
from recoverykit.estimators._discrete_patterns import Patterns, pattern_cells, pattern_shares
from recoverykit.estimators._discrete_prediction import (
    Course,
    hazard_errors,
    make_course,
    mean_gradients,
    share_errors,
)
from recoverykit.estimators._fit_tables import step_curve
from recoverykit.estimators._formulas import check_prediction_frame
from recoverykit.estimators._mixture_prediction import Band
from recoverykit.estimators._nonparametric_kernels import probability_interval
from recoverykit.estimators._rows import Array, IntArray
from recoverykit.estimators._simulation import drawn_parameters, percentile_band, simulated_rows

#: Numbers held at a time while predicting: 32 MB.
_BLOCK_SIZE = 4_000_000


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
    level : float
        Confidence level.
    """

    design: HazardDesign
    link: str
    coefficients: Array
    covariance: Array
    first_month: int
    last_month: int
    level: float

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

    def draws(self, method: str, rng: np.random.Generator | None, n_draws: int) -> Array | None:
        """Draw coefficients about the estimate; None for the delta method."""
        return drawn_parameters(self.coefficients.ravel(), self.covariance, method=method, rng=rng, n_draws=n_draws)

    def hazard_bands(self, patterns: Patterns, asked: Array, *, interval: bool, draws: Array | None) -> Band:
        """Return hazards of each pattern in whole months, of shape (n_patterns, n_times, n_outcomes).

        Parameters
        ----------
        patterns : Patterns
        asked : ndarray of shape (n_times,)
            Months, within those of the fit.
        interval : bool
            Whether to return limits; without, the value stands in for them.
        draws : ndarray of shape (n_draws, n_params) or None
            Drawn coefficients; None for the delta method.
        """
        months = self.months_to(asked)
        band = self._bands(patterns, months, lambda course: course.hazard, hazard_errors, interval, draws)
        place = asked.astype(np.int64) - self.first_month
        return Band(*(getattr(band, name)[:, place] for name in Band.__slots__))

    def share_bands(self, patterns: Patterns, asked: Array, *, interval: bool, draws: Array | None) -> Band:
        """Return shares of each pattern, (n_patterns, n_times, n_outcomes + 1), open last; see ``hazard_bands``."""
        months = self.months_to(asked)
        return self._at_times(self._bands(patterns, months, Course.shares, share_errors, interval, draws), asked)

    def mean_curves(
        self, patterns: Patterns, asked: Array, weights: ArrayLike | None, *, draws: Array | None
    ) -> list[StepCurve]:
        """Return the curves of shares averaged over the rows, of all outcomes and, last, of being open."""
        share, months = pattern_shares(patterns, weights), self.months_to(asked)
        value: Array = np.zeros((len(months), len(self.coefficients) + 1))
        gradient: Array = np.zeros((*value.shape, self.coefficients.size))
        drawn: Array = np.zeros((0 if draws is None else len(draws), *value.shape))
        for block, make in self._courses(patterns, months, with_slopes=draws is None):
            course = make(self.coefficients, slice(None))
            value += np.tensordot(share[block], course.shares(), axes=1)
            if draws is None:
                gradient += mean_gradients(course, share[block])
            for total, theta in zip(drawn, () if draws is None else draws, strict=True):
                total += np.tensordot(share[block], make(theta, slice(None)).shares(), axes=1)
        error = np.sqrt(np.maximum(((gradient @ self.covariance) * gradient).sum(axis=-1), 0.0))
        band = self._limits(value, error) if draws is None else percentile_band(value, drawn, self.level)
        band = self._at_times(Band(*(getattr(band, name)[None] for name in Band.__slots__)), asked)
        parts = [Band(*(getattr(band, n)[0, :, k] for n in Band.__slots__)) for k in range(value.shape[1])]
        return [step_curve(part, asked, self.level) for part in parts]

    def _bands(
        self,
        patterns: Patterns,
        months: IntArray,
        values_of: Callable[[Course], Array],
        errors_of: Callable[[Course, Array], Array],
        interval: bool,
        draws: Array | None,
    ) -> Band:
        """Return what is asked of the courses of all patterns, with its limits."""
        theta, found = self.coefficients.ravel(), []
        for _, make in self._courses(patterns, months, with_slopes=interval and draws is None):
            course = make(theta, slice(None))
            value = values_of(course)
            if not interval:
                found.append(Band(value, value, value, value))
            elif draws is None:
                found.append(self._limits(value, errors_of(course, self.covariance)))
            else:
                drawn_values = partial(_drawn_values, values_of, make)
                size = {"n_rows": len(value), "width": value[0].size}
                found.append(simulated_rows(drawn_values, theta, draws, self.level, **size))
        return Band(*(np.concatenate([getattr(band, name) for band in found]) for name in Band.__slots__))

    def _limits(self, value: Array, error: Array) -> Band:
        """Return delta-method limits on the log-log scale: of outcomes by log(1 - F), of those still open by log S."""
        n_outcomes = len(self.coefficients)
        lower, upper = np.empty_like(value), np.empty_like(value)
        for part, is_survival in ((slice(n_outcomes), False), (slice(n_outcomes, None), True)):
            lower[..., part], upper[..., part] = probability_interval(
                values=value[..., part],
                standard_errors=error[..., part],
                level=self.level,
                interval="log-log",
                is_survival=is_survival,
            )
        return Band(value, lower, upper, error)

    def _at_times(self, band: Band, asked: Array) -> Band:
        """Take the months asked for, on the second axis; before the first everybody is open for certain."""
        start = np.zeros_like(band.value[:, :1])
        start[:, :, -1] = 1.0
        place = np.floor(asked).astype(np.int64) - self.first_month + 1
        begin = {name: start if name != "standard_error" else np.zeros_like(start) for name in Band.__slots__}
        return Band(*(np.concatenate([begin[n], getattr(band, n)], axis=1)[:, place] for n in Band.__slots__))

    def _courses(
        self, patterns: Patterns, months: IntArray, *, with_slopes: bool
    ) -> Iterator[tuple[slice, Callable[[Array, slice], Course]]]:
        """Yield some patterns at a time, with what makes the courses of some of these from coefficients."""
        n_patterns, n_months, n_outcomes = len(patterns.open_at), len(months), len(self.coefficients)
        width = n_months * (len(self.design.terms) + n_outcomes**2)
        if with_slopes:
            width += 3 * n_outcomes * self.coefficients.size
        at_a_time = max(1, _BLOCK_SIZE // width)
        for begin in range(0, n_patterns, at_a_time):
            block = slice(begin, min(begin + at_a_time, n_patterns))
            cells = pattern_cells(patterns, block, months)
            check_prediction_frame(cells, self.design.all)
            matrix = self.design.matrix(cells).reshape(block.stop - begin, n_months, -1)
            offset = np.broadcast_to(self.design.offset(cells), (len(cells), n_outcomes))
            offset = offset.reshape(block.stop - begin, n_months, n_outcomes)

            def make(
                theta: Array,
                rows: slice,
                *,
                matrix: Array = matrix,
                offset: Array = offset,
                opened: Array = patterns.open_at[block],
            ) -> Course:
                coefficients = theta.reshape(self.coefficients.shape)
                held = (matrix[rows], offset[rows], months, opened[rows])
                return make_course(self.link, coefficients, *held, with_slopes=with_slopes)

            yield block, make


def _drawn_values(
    values_of: Callable[[Course], Array], make: Callable[[Array, slice], Course], theta: Array, rows: slice
) -> Array:
    return values_of(make(theta, rows))


def by_outcome(band: Band, patterns: Patterns, names: Sequence[str]) -> dict[str, Band]:
    """Return the bands of rows by the name of their place on the last axis, from those of their patterns."""
    inverse = patterns.inverse
    return {o: Band(*(getattr(band, n)[inverse, :, k] for n in Band.__slots__)) for k, o in enumerate(names)}
