"""Monthly hazards carried forward to cumulative incidences, with the slopes that the delta method needs.

With S the share still open and h_k the hazards of month m, F_k grows by S h_k and S shrinks by the factor 1 - sum h;
slopes in the coefficients follow by the product rule, month by month. Private to the discrete-time hazard model.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recoverykit.errors import ExtrapolationError
from recoverykit.estimators._discrete_kernels import hazard_slopes, hazards
from recoverykit.estimators._rows import Array, IntArray

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Patterns on their way through the months.

    Attributes
    ----------
    hazard : ndarray of shape (n_patterns, n_months, n_outcomes)
        0 in months in which the pattern is known to be open, or before it can end.
    slopes : ndarray of shape (n_patterns, n_months, n_outcomes, n_outcomes)
        d h_k / d eta_l.
    design : ndarray of shape (n_patterns, n_months, n_terms)
    """

    hazard: Array
    slopes: Array
    design: Array

    def shares(self) -> Array:
        """Return the share in each outcome and, last, still open, shape (n_patterns, n_months, n_outcomes + 1)."""
        still_open = np.cumprod(1.0 - self.hazard.sum(axis=2), axis=1)
        before = np.concatenate([np.ones_like(still_open[:, :1]), still_open[:, :-1]], axis=1)
        return np.concatenate([np.cumsum(before[:, :, None] * self.hazard, axis=1), still_open[:, :, None]], axis=2)

    def gradients(self) -> Iterator[Array]:
        """Yield for each month the slopes of ``shares``, shape (n_patterns, n_outcomes + 1, n_params)."""
        n_patterns, n_months, n_outcomes = self.hazard.shape
        n_params = n_outcomes * self.design.shape[2]
        still_open = np.ones(n_patterns)
        slopes = np.zeros((n_patterns, n_outcomes + 1, n_params))
        for m in range(n_months):
            hazard, gradient = self.hazard[:, m], self.hazard_gradient(m)
            slopes[:, :-1] += slopes[:, -1:] * hazard[:, :, None] + still_open[:, None, None] * gradient
            stay = 1.0 - hazard.sum(axis=1)
            slopes[:, -1] = slopes[:, -1] * stay[:, None] - still_open[:, None] * gradient.sum(axis=1)
            still_open = still_open * stay
            yield slopes

    def hazard_gradient(self, m: int) -> Array:
        """Return the slopes of the hazards of one month, shape (n_patterns, n_outcomes, n_params)."""
        n_patterns, _, n_outcomes = self.hazard.shape
        outer = self.slopes[:, m, :, :, None] * self.design[:, m, None, None, :]
        return np.asarray(outer.reshape(n_patterns, n_outcomes, -1), dtype=float)


def make_course(
    link: str,
    coefficients: Array,
    design: Array,
    offset: Array,
    months: IntArray,
    open_at: Array,
    *,
    with_slopes: bool,
) -> Course:
    """Evaluate the hazards of patterns.

    Parameters
    ----------
    link : str
    coefficients : ndarray of shape (n_outcomes, n_terms)
    design : ndarray of shape (n_patterns, n_months, n_terms)
    offset : ndarray of shape (n_patterns, n_months, n_outcomes), or that broadcasts to it
    months : ndarray of int of shape (n_months,)
        Month in default of each column.
    open_at : ndarray of shape (n_patterns,)
        Each pattern is known to be open after this month; -1 for nothing known.
    with_slopes : bool
        Whether to evaluate slopes too.

    Raises
    ------
    ExtrapolationError
        If the hazards of a month add up to more than 1.
    """
    predictors = design @ coefficients.T + offset
    at_risk = (months[None, :] > open_at[:, None])[:, :, None]
    hazard = np.where(at_risk, hazards(link, predictors), 0.0)
    total = hazard.sum(axis=2)
    if total.max(initial=0.0) > 1.0 + _ROUNDING:
        month = int(months[np.unravel_index(int(total.argmax()), total.shape)[1]])
        raise ExtrapolationError(
            f"the hazards of the outcomes add up to {total.max():.2f} in month {month}, more than 1: outcomes fitted "
            "apart do not know of each other where hazards are this large; fit with link='multinomial'"
        )
    slopes = hazard_slopes(link, predictors) * at_risk[..., None] if with_slopes else np.empty((*hazard.shape, 0))
    return Course(hazard, slopes, design)


def share_errors(course: Course, covariance: Array) -> Array:
    """Return the standard errors of ``course.shares()``."""
    return np.stack([_errors(gradient, covariance) for gradient in course.gradients()], axis=1)


def hazard_errors(course: Course, covariance: Array) -> Array:
    """Return the standard errors of the hazards, of their shape."""
    n_months = course.hazard.shape[1]
    return np.stack([_errors(course.hazard_gradient(m), covariance) for m in range(n_months)], axis=1)


def mean_gradients(course: Course, weight: Array) -> Array:
    """Return the weighted sum over patterns of the slopes of ``shares``, (n_months, n_outcomes + 1, n_params)."""
    return np.stack([np.tensordot(weight, gradient, axes=1) for gradient in course.gradients()])


def _errors(gradient: Array, covariance: Array) -> Array:
    return np.sqrt(np.maximum(((gradient @ covariance) * gradient).sum(axis=-1), 0.0))
