"""What comes after the last credible month of a recovery curve: a fitted decay, stated, bounded and never by default.

Behind the last month with enough episodes there are no data, only the way in which recoveries have been falling. A tail
carries that on to the maximum recovery period and no further, says which share of the ultimate it makes, and is refused
where the data do not show recoveries falling. No estimator of the kit adds one by itself: whoever wants a tail fits it
here and hands on its curve, its pattern or its factor.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from recoverykit.curves import StepCurve
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._fit_tables import plain
from recoverykit.estimators._recovery_tail_kernels import FORMS, TailEstimate, decay
from recoverykit.estimators._rows import Array, check_choice

__all__ = ["RecoveryTailFit", "RecoveryTailModel"]

#: Months that a fit needs in its window.
MINIMUM_MONTHS = 6
#: One-sided confidence with which the decay must differ from none.
DECAY_CONFIDENCE = 0.95
#: A fit misses the end of its window when it is off by so many standard errors there, and by such a share.
MISS_ERRORS, MISS_SHARE = 4.0, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class RecoveryTailFit:
    """A fitted tail.

    Attributes
    ----------
    form : str
        Form of the decay.
    params, standard_errors : Series
        ``level`` (share of EAD in the first month of the window; in all for Weibull) and ``decay``, or ``scale``
        (months) and ``shape``.
    cov : DataFrame
        Their covariance, from the scatter of the months around the curve.
    first_month, last_month : int
        The window of the fit; the tail begins after its end.
    maximum_recovery_months : int
        The bound: nothing is expected after this month.
    observed_rate : float
        Cumulative recovery rate at the last month of the window, share of EAD.
    tail_rate, tail_standard_error : float
        What the tail adds, share of EAD, and its standard error, by the delta method; it does not know whether the
        form is right.
    r_squared : float
        Share of the weighted variance of the monthly increments that the form explains.
    table : DataFrame
        One row per month of window and tail: month, increment (observed, NaN in the tail), fitted, is_extrapolated.
    curve : StepCurve
        The curve to the last month of the window and the tail after it; limits NaN and nobody at risk in the tail.
    cautions : tuple of str
        What to beware of, in words.
    """

    form: str
    params: pd.Series
    standard_errors: pd.Series
    cov: pd.DataFrame
    first_month: int
    last_month: int
    maximum_recovery_months: int
    observed_rate: float
    tail_rate: float
    tail_standard_error: float
    r_squared: float
    table: pd.DataFrame
    curve: StepCurve
    cautions: tuple[str, ...]

    @property
    def ultimate_rate(self) -> float:
        """Cumulative recovery rate with the tail, share of EAD."""
        return self.observed_rate + self.tail_rate

    @property
    def share_of_ultimate(self) -> float:
        """Share of the ultimate that is tail."""
        return self.tail_rate / self.ultimate_rate

    @property
    def tail_factor(self) -> float:
        """Ultimate over observed, as ``ChainLadderModel`` takes it."""
        return self.ultimate_rate / self.observed_rate

    def pattern(self) -> StepCurve:
        """Return the share of the ultimate that has come in by each month, as ``BornhuetterFergusonModel`` takes it."""
        unknown = np.full(len(self.curve.times), np.nan)
        return StepCurve(self.curve.times, self.curve.values / self.ultimate_rate, unknown, unknown)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per month of window and tail."""
        return self.table.copy()

    def summary(self) -> pd.DataFrame:
        """Return one row per parameter: estimate and standard error."""
        return pd.DataFrame({"estimate": self.params, "standard_error": self.standard_errors})

    def to_record(self) -> dict[str, Any]:
        """Return what the fit says as JSON can hold it."""
        numbers = ("observed_rate", "tail_rate", "tail_standard_error", "ultimate_rate", "share_of_ultimate")
        return {
            "form": self.form,
            "params": {str(k): float(v) for k, v in self.params.items()},
            "first_month": self.first_month,
            "last_month": self.last_month,
            "maximum_recovery_months": self.maximum_recovery_months,
            **{name: plain(getattr(self, name)) for name in (*numbers, "tail_factor", "r_squared")},
            "cautions": list(self.cautions),
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """Say how much of the ultimate is tail, and up to when."""
        text = (
            f"By month {self.last_month} {self.observed_rate:.1%} of EAD has come in; a tail ({self.form} decay, "
            f"fitted from month {self.first_month}) adds {self.tail_rate:.1%} up to month "
            f"{self.maximum_recovery_months}: {self.share_of_ultimate:.1%} of the ultimate, which rests on no data"
        )
        return f"{text}. Beware: {'; '.join(self.cautions)}." if self.cautions else f"{text}."

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence())}</p>{self.summary().to_html(float_format=lambda x: f'{x:.4g}')}"


@dataclass(frozen=True, slots=True)
class RecoveryTailModel:
    """Choices of a tail.

    Attributes
    ----------
    maximum_recovery_months : int
        Nothing is expected after this month in default; the policy's maximum recovery period.
    form : {"exponential", "inverse_power", "weibull"}
        Decay of the monthly increment: a exp(-b (m - m0)); a (m / m0)^-b, the slowest; or the increments of a Weibull
        distribution function, a [exp(-((m - 1) / theta)^k) - exp(-(m / theta)^k)], which may rise first.
    first_month : int
        m0, the first month of the window: where the decay has begun, 1 or more.
    last_month : int or None
        Its last month; None for the last with enough episodes at risk.
    minimum_at_risk : int
        Episodes at risk that make a month credible.
    maximum_share : float
        A tail that makes more of the ultimate than this is refused, in (0, 1).

    Examples
    --------
    A curve whose increments are 10 % of EAD in the first month and fall by a fifth each month.

    >>> months = np.arange(25.0)
    >>> values, nothing = 0.5 * (1 - 0.8 ** months), np.full(25, np.nan)
    >>> curve = StepCurve(months, values, nothing, nothing, n_at_risk=np.full(25, 100))
    >>> fit = RecoveryTailModel(maximum_recovery_months=60, last_month=12).fit(curve)
    >>> round(fit.tail_rate, 4), round(0.5 * (0.8 ** 12 - 0.8 ** 60), 4)
    (0.0344, 0.0344)
    """

    maximum_recovery_months: int
    form: str = "exponential"
    first_month: int = 1
    last_month: int | None = None
    minimum_at_risk: int = 30
    maximum_share: float = 0.25

    def __post_init__(self) -> None:
        check_choice("form", self.form, tuple(FORMS))
        if self.first_month < 1 or self.first_month != int(self.first_month):
            raise ValueError(f"first_month is {self.first_month!r}; give a whole month, 1 or more")
        if not 0 < self.maximum_share < 1:
            raise ValueError(f"maximum_share is {self.maximum_share!r}; it must lie between 0 and 1, as 0.25 does")
        if self.last_month is not None and self.last_month != int(self.last_month):
            raise ValueError(f"last_month is {self.last_month!r}; give a whole month or None")
        if not float(self.maximum_recovery_months).is_integer():
            raise ValueError(f"maximum_recovery_months is {self.maximum_recovery_months!r}; give a whole month")

    def fit(self, curve: StepCurve) -> RecoveryTailFit:
        """Fit the decay to the monthly increments of a curve, and carry it on to the bound.

        Parameters
        ----------
        curve : StepCurve
            Cumulative recovery rate by whole months from 0, with the number at risk, as from ``recovery_curve``.

        Returns
        -------
        RecoveryTailFit

        Raises
        ------
        InsufficientDataError
            When the window has fewer than six months or brings in nothing, when the increments do not fall with
            confidence, when the fit misses the last third of its window, or when the tail would make more of the
            ultimate than allowed: such a fit has no meaning.
        ConvergenceError
            When the form cannot be fitted from any start.
        ValueError
            When the curve is not monthly or lacks the number at risk, or the bound does not lie behind the window.

        Notes
        -----
        Least squares on the increments, weighted by the number at risk. The forms are those of reserving: exponential
        decay; inverse power, Sherman (1984), Proceedings of the Casualty Actuarial Society 71:122-155; Weibull growth,
        Clark (2003), CAS Forum, Fall 2003:41-92.
        """
        months, increments, weights = self._window(curve)
        last = int(months[-1])
        if self.maximum_recovery_months <= last:
            raise ValueError(
                f"maximum_recovery_months is {self.maximum_recovery_months}; it must lie behind the window of the fit, "
                f"which ends with month {last}"
            )
        estimate = decay(months, increments, weights, form=self.form)
        self._check_decay(estimate)
        self._check_end(estimate, months, increments, weights)
        later = np.arange(last + 1.0, self.maximum_recovery_months + 1.0)
        tail = estimate.increments(later)
        slope = estimate.gradient(later).sum(axis=0)
        observed, rate = float(curve(float(last)).item()), float(tail.sum())
        if not observed > 0 or rate / (observed + rate) > self.maximum_share:
            raise InsufficientDataError(
                f"the {self.form} tail would add {rate:.1%} of EAD to {observed:.1%}; more than "
                f"{self.maximum_share:.0%} of the ultimate would rest on no data. Observe longer, take a nearer "
                "maximum_recovery_months or a form that falls faster, or raise maximum_share with a reason"
            )
        names = list(estimate.names)
        return RecoveryTailFit(
            form=self.form,
            params=pd.Series(estimate.params, index=names),
            standard_errors=pd.Series(np.sqrt(np.diag(estimate.cov)), index=names),
            cov=pd.DataFrame(estimate.cov, index=names, columns=names),
            first_month=int(months[0]),
            last_month=last,
            maximum_recovery_months=self.maximum_recovery_months,
            observed_rate=observed,
            tail_rate=rate,
            tail_standard_error=float(np.sqrt(slope @ estimate.cov @ slope)),
            r_squared=estimate.r_squared,
            table=_table(months, increments, later, estimate),
            curve=_extended(curve, last, tail),
            cautions=self._cautions(estimate, tail),
        )

    def _window(self, curve: StepCurve) -> tuple[Array, Array, Array]:
        """Return months, increments and numbers at risk of the window."""
        if not np.array_equal(curve.times, np.arange(len(curve.times))) or curve.n_at_risk is None:
            raise ValueError("a tail needs a curve of whole months from 0 with its number at risk; see recovery_curve")
        enough = np.flatnonzero(curve.n_at_risk >= self.minimum_at_risk)
        credible = int(enough[-1]) if len(enough) else 0
        last = credible if self.last_month is None else min(int(self.last_month), len(curve.times) - 1)
        months = np.arange(self.first_month, last + 1)
        if len(months) < MINIMUM_MONTHS:
            raise InsufficientDataError(
                f"a tail needs {MINIMUM_MONTHS} months to be fitted to; from month {self.first_month} to month {last}, "
                f"the last with {self.minimum_at_risk} episodes at risk or the one given, there are {len(months)}"
            )
        increments = np.diff(curve.values)[months - 1]
        if not increments.sum() > 0:
            raise InsufficientDataError(
                f"from month {months[0]} to {last} the curve does not rise ({increments.sum():.2%} of EAD), so there "
                "is no recovery whose decay could be carried on"
            )
        return months.astype(float), increments, curve.n_at_risk[months]

    def _check_decay(self, estimate: TailEstimate) -> None:
        value, error = estimate.decay_rate()
        z = float(ndtri(DECAY_CONFIDENCE))
        if not value - z * error > 0:
            raise InsufficientDataError(
                f"the monthly increments do not fall with {DECAY_CONFIDENCE:.0%} confidence at the end of the window: "
                f"the fitted increment changes by {-value:+.2%} a month with a standard error of {error:.2%}. A tail "
                "would be a guess; begin the window where recoveries have begun to fall (first_month), or state the "
                "tail as a judgement"
            )

    def _check_end(self, estimate: TailEstimate, months: Array, increments: Array, weights: Array) -> None:
        """Refuse a form that does not follow the curve where the tail takes over, however well it does before."""
        end = slice(2 * len(months) // 3, None)
        fitted = estimate.increments(months[end])
        # The scatter of these months around their own mean residual: a misfit elsewhere must not pass for noise here.
        left = increments[end] - fitted
        scatter = weights[end] @ (left - np.average(left, weights=weights[end])) ** 2 / (len(left) - 1)
        error = float(np.sqrt(scatter * (1.0 / weights[end]).sum()))
        observed, expected = float(increments[end].sum()), float(fitted.sum())
        off = abs(expected - observed)
        if off > MISS_ERRORS * error and off > MISS_SHARE * max(abs(observed), abs(expected)):
            raise InsufficientDataError(
                f"in the last third of its window, from month {months[end][0]:g} on, the {self.form} decay gives "
                f"{expected:.2%} of EAD where {observed:.2%} came in ({off / error:.1f} standard errors off), so it "
                "says nothing of what comes after; take another form, or begin the window later (first_month)"
            )

    def _cautions(self, estimate: TailEstimate, tail: Array) -> tuple[str, ...]:
        found = []
        if self.form == "inverse_power" and estimate.params[1] <= 1.0:
            found.append("without its bound this tail has no end: its total is set by maximum_recovery_months alone")
        if len(tail) and tail[-1] > 0.1 * tail[0]:
            found.append("at the bound more than a tenth of the tail's first increment is still coming in")
        return tuple(found)


def _table(months: Array, increments: Array, later: Array, estimate: TailEstimate) -> pd.DataFrame:
    every = np.concatenate([months, later])
    return pd.DataFrame(
        {
            "month": every.astype(int),
            "increment": np.concatenate([increments, np.full(len(later), np.nan)]),
            "fitted": estimate.increments(every),
            "is_extrapolated": np.arange(len(every)) >= len(months),
        }
    )


def _extended(curve: StepCurve, last: int, tail: Array) -> StepCurve:
    unknown = np.full(len(tail), np.nan)
    at_risk = np.zeros(0) if curve.n_at_risk is None else curve.n_at_risk[: last + 1]
    return StepCurve(
        times=np.arange(last + 1 + len(tail), dtype=float),
        values=np.concatenate([curve.values[: last + 1], curve.values[last] + np.cumsum(tail)]),
        lower=np.concatenate([curve.lower[: last + 1], unknown]),
        upper=np.concatenate([curve.upper[: last + 1], unknown]),
        level=curve.level,
        n_at_risk=np.concatenate([at_risk, np.zeros(len(tail))]),
    )
