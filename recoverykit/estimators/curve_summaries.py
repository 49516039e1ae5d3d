"""What follows from a nonparametric curve: the mean time in default up to a horizon, and the view of who is still open.

Both are read off the curve itself, which carries its increments, its standard errors and its numbers at risk; the
episodes are not needed again. A curve told on a reporting grid has lost its steps and is refused.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from recoverykit.curves import StepCurve
from recoverykit.errors import ExtrapolationError, InsufficientDataError
from recoverykit.estimators._nonparametric_kernels import ROUNDING, Estimate, incidence, probability_interval, survival
from recoverykit.estimators._rows import check_choice

Array = NDArray[np.float64]

INTERVALS = ("log-log", "log", "plain")


@dataclass(frozen=True, slots=True)
class RestrictedMean:
    """Mean time without the event up to a horizon, with its uncertainty.

    Attributes
    ----------
    value : float
        Months, not above the horizon.
    standard_error : float
        Months; NaN where the curve has none.
    lower, upper : float
        Symmetric interval, held between the curve's first time (0, or the months already gone by) and the horizon.
    horizon : float
        Months up to which time counts.
    level : float
        Confidence level.
    """

    value: float
    standard_error: float
    lower: float
    upper: float
    horizon: float
    level: float

    def to_record(self) -> dict[str, float | None]:
        """Return the fields as plain numbers; None where there is no number."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def restricted_mean(curve: StepCurve, horizon: float) -> RestrictedMean:
    """Compute the mean number of months without the event, counting none beyond a horizon.

    Unlike the median it exists however few episodes have ended, and unlike the mean it needs no model.

    Parameters
    ----------
    curve : StepCurve
        A survival curve, as of ``kaplan_meier``, on every time observed.
    horizon : float
        Months up to which time counts, above 0 and inside the curve's domain.

    Returns
    -------
    RestrictedMean
        At the level of the curve.

    Raises
    ------
    ExtrapolationError
        When the horizon lies outside the curve's domain.
    ValueError
        When the horizon is not above 0, the curve rises, or it is told on a reporting grid only.

    Notes
    -----
    mu = integral of S from 0 to tau; Var mu = sum over times t_i <= tau of A_i^2 d_i / (Y_i (Y_i - d_i)) with A_i the
    integral of S from t_i to tau (Klein & Moeschberger 2003, equation 4.5.2). The terms d / (Y (Y - d)) are the
    increments of (standard error / value)^2, which is how Greenwood's formula is made.

    Examples
    --------
    >>> curve = StepCurve(times=[0, 2, 6], values=[1, 0.5, 0.5], lower=[1, 0, 0], upper=[1, 1, 1])
    >>> restricted_mean(curve, 6).value
    4.0

    Two months for all and the other four for half of them: of the first six months four are spent in default.
    """
    _refuse_grid(curve)
    if not horizon > 0:
        raise ValueError(f"horizon is {horizon!r}; it must be a number of months above 0")
    first, last = curve.times[0], curve.times[-1]
    if not first <= horizon <= last:
        raise ExtrapolationError(
            f"the horizon is month {horizon:g}, but the curve is known from month {first:g} to {last:g}; take a "
            "horizon within that range, or extend the curve with a model"
        )
    if np.any(np.diff(curve.values) > ROUNDING):
        raise ValueError("the curve rises; restricted_mean takes the share still without the event, as of kaplan_meier")
    kept = curve.times < horizon
    widths = np.diff(np.append(curve.times[kept], horizon))
    areas = widths * curve.values[kept]
    value = float(areas.sum() + first)  # a conditional curve has its first months behind it
    error = float("nan")
    if curve.standard_errors is not None:
        error = _area_error(areas, curve.values[kept], curve.standard_errors[kept])
    half = float(ndtri(0.5 + 0.5 * curve.level)) * error
    lower, upper = (float(np.clip(limit, first, horizon)) for limit in (value - half, value + half))
    return RestrictedMean(value, error, lower, upper, float(horizon), curve.level)


@overload
def conditional_on_open(curves: StepCurve, month: float, *, interval: str = "log-log") -> StepCurve: ...


@overload
def conditional_on_open(
    curves: Mapping[str, StepCurve], month: float, *, interval: str = "log-log"
) -> dict[str, StepCurve]: ...


def conditional_on_open(
    curves: StepCurve | Mapping[str, StepCurve], month: float, *, interval: str = "log-log"
) -> StepCurve | dict[str, StepCurve]:
    """Look at the curves from the point of view of an episode that is still open at a month.

    Parameters
    ----------
    curves : StepCurve or mapping of str to StepCurve
        A survival curve, as of ``kaplan_meier``, or all cumulative incidences of one segment, as of
        ``aalen_johansen``: an episode is open while none of the outcomes has happened. On every time observed, with
        numbers at risk.
    month : float
        Months in default that the episode has behind it, inside the curves' domain.
    interval : {"log-log", "log", "plain"}
        Scale of the pointwise interval, as in ``aalen_johansen``.

    Returns
    -------
    StepCurve or dict of str to StepCurve
        S(t) / S(month), or [F_k(t) - F_k(month)] / S(month), for months in default t from ``month`` on; earlier ones
        are outside the domain. The number at risk at ``month`` is the one just after it.

    Raises
    ------
    InsufficientDataError
        When nobody is open at that month, or there is no curve.
    ExtrapolationError
        When the month lies outside the curves' domain.
    ValueError
        When ``interval`` is not allowed, or the curves have different times, no numbers at risk, or a reporting grid.

    Notes
    -----
    These are the estimates from the episodes open at the month alone, entering then; their variances are those of the
    product limit and of Aalen & Johansen (Greenwood's form) restricted to the later times.

    Examples
    --------
    >>> curve = StepCurve(
    ...     times=[0, 6, 12], values=[1, 0.5, 0.2], lower=[1, 0, 0], upper=[1, 1, 1], n_at_risk=[10, 10, 5]
    ... )
    >>> conditional_on_open(curve, 6)(12).item()
    0.4

    Of the episodes still open after six months 40 % are open after twelve.
    """
    check_choice("interval", interval, INTERVALS)
    if isinstance(curves, StepCurve):
        before = np.concatenate([[1.0], curves.values[:-1]])
        n_events = (before - curves.values)[:, None]
        return _later(curves, n_events, before, month, interval=interval, is_survival=True)[0]
    if not curves:
        raise InsufficientDataError("there is no curve: no episode has ended, so nothing can be said of those open")
    first = next(iter(curves.values()))
    if any(not np.array_equal(curve.times, first.times) for curve in curves.values()):
        raise ValueError("the curves have different times; give the cumulative incidences of one segment together")
    values = np.column_stack([curve.values for curve in curves.values()])
    before = 1.0 - np.concatenate([[0.0], values.sum(axis=1)[:-1]])
    steps = np.diff(values, axis=0, prepend=0.0)
    return dict(zip(curves, _later(first, steps, before, month, interval=interval, is_survival=False), strict=True))


def _later(
    curve: StepCurve, steps: Array, before: Array, month: float, *, interval: str, is_survival: bool
) -> list[StepCurve]:
    """Estimate the curves anew from the times after a month.

    Parameters
    ----------
    curve : StepCurve
        Any of them: times, level and numbers at risk.
    steps : ndarray of shape (n_times, n_outcomes)
        Probability of each outcome at each time.
    before : ndarray of shape (n_times,)
        Share open just before each time.
    """
    _refuse_grid(curve)
    if curve.n_at_risk is None:
        raise ValueError("the curve has no numbers at risk, which the interval needs; take it from an estimator")
    if np.any(steps < -ROUNDING):
        raise ValueError("give a survival curve that falls, or cumulative incidences that rise, as the estimators do")
    curve(month)  # refuses a month outside the domain
    ended = steps.sum(axis=1)
    after = before - ended
    before = np.where(after <= ROUNDING, ended, before)  # where all end, exactly all: what is left is rounding only
    here = int(np.searchsorted(curve.times, month, side="right")) - 1
    if after[here] <= ROUNDING:
        raise InsufficientDataError(f"no episode is still open after month {month:g}; ask for an earlier month")
    later = slice(here + 1, None)
    hazards = np.where(before[:, None] > ROUNDING, steps / np.maximum(before, ROUNDING)[:, None], 0.0)[later]
    n_at_risk = curve.n_at_risk[later]
    n_events = np.maximum(hazards, 0.0) * n_at_risk[:, None]
    estimate = (
        _as_columns(survival(n_at_risk=n_at_risk[None, :], n_events=n_events[None, :, 0]))
        if is_survival
        else incidence(n_at_risk=n_at_risk[None, :], n_events=n_events[None, :, :])
    )
    times = np.concatenate([[month], curve.times[later]])
    n_after = n_at_risk[:1] if len(n_at_risk) else curve.n_at_risk[here:] * after[here:] / before[here:]
    made = []
    for k in range(steps.shape[1]):
        values = np.concatenate([[1.0 if is_survival else 0.0], estimate.values[0, :, k]])
        errors = np.concatenate([[0.0], estimate.standard_errors[0, :, k]])
        lower, upper = probability_interval(
            values=values, standard_errors=errors, level=curve.level, interval=interval, is_survival=is_survival
        )
        at_risk = np.concatenate([n_after, n_at_risk])
        made.append(StepCurve(times, values, lower, upper, curve.level, errors, at_risk))
    return made


def _as_columns(estimate: Estimate) -> Estimate:
    return Estimate(estimate.values[:, :, None], estimate.standard_errors[:, :, None])


def _area_error(areas: Array, values: Array, errors: Array) -> float:
    """Return the standard error of the area under a product-limit curve."""
    positive = values > 0  # once the curve is at 0 there is no area left whose height could vary
    relative = np.zeros_like(values)
    relative[positive] = (errors[positive] / values[positive]) ** 2
    increments = np.diff(relative[positive], prepend=0.0)
    remaining = np.cumsum(areas[::-1])[::-1][positive]
    return float(np.sqrt(max(float(np.sum(remaining**2 * increments)), 0.0)))


def _refuse_grid(curve: StepCurve) -> None:
    if curve.on_grid:
        raise ValueError("the curve is told on a reporting grid and has lost its steps; estimate it without `at`")
