"""Weighted least squares of decaying monthly increments; knows no curve and no policy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from recoverykit.errors import ConvergenceError
from recoverykit.estimators._rows import Array


def _exponential(months: Array, params: Array, origin: float) -> Array:
    return params[0] * np.exp(-params[1] * (months - origin))


def _inverse_power(months: Array, params: Array, origin: float) -> Array:
    return params[0] * (months / origin) ** -params[1]


def _weibull(months: Array, params: Array, _origin: float) -> Array:
    survival = [np.exp(-((m / params[1]) ** params[2])) for m in (months - 1.0, months)]
    return params[0] * (survival[0] - survival[1])


@dataclass(frozen=True, slots=True)
class Form:
    """A decay: its function, its parameters, which of them are above 0, and where to start, for a window of length n.

    ``starts`` are multiples: of the mean increment for the first parameter, of 1 or of n for the others.
    """

    function: Callable[[Array, Array, float], Array]
    names: tuple[str, ...]
    starts: tuple[tuple[float, ...], ...]
    lower: tuple[float, ...]


#: Starting values: level in mean increments (for Weibull: in sums of the window), decay per month, power, or scale in
#: window lengths and shape.
FORMS = {
    "exponential": Form(_exponential, ("level", "decay"), ((1.0, 0.02), (2.0, 0.1), (3.0, 0.5)), (0.0, -np.inf)),
    "inverse_power": Form(_inverse_power, ("level", "decay"), ((1.0, 0.3), (2.0, 1.0), (4.0, 2.0)), (0.0, -np.inf)),
    "weibull": Form(
        _weibull,
        ("level", "scale", "shape"),
        ((1.0, 0.3, 1.0), (1.3, 1.0, 0.7), (1.1, 0.5, 1.5)),
        (0.0, 1e-6, 1e-3),
    ),
}
_STEP = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class TailEstimate:
    """A fitted decay.

    Attributes
    ----------
    form : str
        Key of ``FORMS``.
    params : ndarray of shape (n_params,)
        In the order of ``names``.
    cov : ndarray of shape (n_params, n_params)
        Residual variance times the inverse of J'WJ.
    origin, last : float
        First and last month of the window.
    r_squared : float
        1 - weighted squares of residuals / weighted squares around the weighted mean.
    """

    form: str
    params: Array
    cov: Array
    origin: float
    last: float
    r_squared: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return FORMS[self.form].names

    def increments(self, months: Array) -> Array:
        """Return the fitted increments at months of shape (n,)."""
        return FORMS[self.form].function(months, self.params, self.origin)

    def gradient(self, months: Array) -> Array:
        """Return the derivatives of the increments by the parameters, of shape (n, n_params), by central differences.

        Three parameters at most, and the result goes into a standard error only.
        """
        function = FORMS[self.form].function
        columns = []
        for k, value in enumerate(self.params):
            step = _STEP * max(abs(value), _STEP)
            shift = np.zeros(len(self.params))
            shift[k] = step
            up, down = (function(months, self.params + sign * shift, self.origin) for sign in (1.0, -1.0))
            columns.append((up - down) / (2.0 * step))
        return np.column_stack(columns)

    def decay_rate(self) -> tuple[float, float]:
        """Return by how much log increments fall a month at the end of the window, and its standard error."""
        ends = np.array([self.last - 1.0, self.last])
        values, slopes = self.increments(ends), self.gradient(ends)
        if not (values > 0).all():
            return float("nan"), float("nan")
        slope = slopes[0] / values[0] - slopes[1] / values[1]
        return float(np.log(values[0] / values[1])), float(np.sqrt(slope @ self.cov @ slope))


def decay(months: Array, increments: Array, weights: Array, *, form: str) -> TailEstimate:
    """Fit a form of decay by weighted least squares, from several starts.

    Parameters
    ----------
    months, increments, weights : ndarray of shape (n_months,)
        Months of the window, increments (share of EAD, negative where costs exceed recoveries), weights above 0.
    form : str
        Key of ``FORMS``.

    Raises
    ------
    ConvergenceError
        When no start reaches a minimum with a covariance.
    """
    chosen, origin = FORMS[form], float(months[0])
    root = np.sqrt(weights / weights.mean())
    unit = float(np.average(increments, weights=weights))
    unit = unit if unit > 0 else float(np.abs(increments).mean())

    def residuals(params: Array) -> Array:
        scaled = np.concatenate([[params[0] * unit], params[1:]])
        return root * (chosen.function(months, scaled, origin) - increments) / unit

    length = float(len(months))
    fits = []
    for start in chosen.starts:
        begin = np.array(start)
        if form == "weibull":
            begin[:2] *= length
        found = least_squares(residuals, begin, bounds=(chosen.lower, np.inf), x_scale="jac", xtol=1e-12, ftol=1e-12)
        if found.success and np.isfinite(found.x).all():
            fits.append(found)
    best = min(fits, key=lambda found: found.cost, default=None)
    information = None if best is None else best.jac.T @ best.jac
    if best is None or information is None or not np.linalg.cond(information) < 1e14:
        raise ConvergenceError(
            f"no start fitted a {form} decay with a covariance to the increments of months {months[0]:g} to "
            f"{months[-1]:g}; take another form or another window"
        )
    spread = 2.0 * best.cost / max(len(months) - len(best.x), 1)
    back = np.array([unit, *np.ones(len(best.x) - 1)])
    cov = spread * np.linalg.inv(information) * np.outer(back, back)
    around = root * (increments - np.average(increments, weights=root**2)) / unit
    total = float(around @ around)
    return TailEstimate(
        form=form,
        params=best.x * back,
        cov=cov,
        origin=origin,
        last=float(months[-1]),
        r_squared=1.0 - 2.0 * best.cost / total if total > 0 else float("nan"),
    )
