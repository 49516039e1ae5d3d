"""Time to cure in the credit reading: who ever cures, when, what goes with it, and how far that may be believed.

This module brings together what the modules beside it estimate for one segment: the observed curve, the cure model
with its candidates and drivers (``cure_model``), and its checks (``cure_checks``). What the other outcomes do stands in
``outcomes``.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators.follow_up import FollowUp
from recoverykit.estimators.mixture_cure import MixtureCureFit
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.cure_checks import (
    CALIBRATION_COLUMNS,
    calibrate,
    check_plateau,
    plateau_answers,
    residual_hazard,
)
from recoverykit.portfolio.cure_model import (
    DISTRIBUTIONS,
    compare_candidates,
    controls,
    cox_ratios,
    cure_basis,
    dead_months_of,
    driver_ratios,
    fit_candidates,
    mean_cure_curve,
    time_to_cure_frame,
    varies,
)
from recoverykit.portfolio.outcomes import observe_outcomes
from recoverykit.portfolio.segments import Basis
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

__all__ = ["DISTRIBUTIONS", "TimeToCure", "estimate_time_to_cure", "time_to_cure_frame"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TimeToCure:
    """What a segment's data say about cure.

    Attributes
    ----------
    observed_cure : StepCurve
        Cumulative incidence of cure in the segment (Aalen-Johansen), months in default; zero where no loan has cured.
    resolution : StepCurve
        Share of the segment's episodes still open (Kaplan-Meier), months in default.
    basis : Basis or None
        Whose data the cure model rests on; None without a model.
    fit : MixtureCureFit or None
        The fit with the smallest AIC; None when no model can be estimated.
    comparison : DataFrame
        The candidates, one row per latency distribution, best AIC first: distribution, loglik, n_params, aic, bic,
        never, boundary, distance from the observed curve; without numbers where one did not converge.
    model_curve : StepCurve or None
        Probability of cure by months in default, averaged over the segment's episodes.
    drivers : DataFrame
        One row per driver and part of the model: odds ratios of ever curing (incidence) and time ratios (latency), with
        the columns of ``cure_model.driver_ratios``.
    drivers_left_out : tuple of str
        Drivers asked for that the data do not have or that do not vary.
    cox : DataFrame
        A second opinion on the drivers, by Cox regression of the hazard of cure among loans still in default: term,
        label, hazard_ratio, lower, upper, p_value and more; empty without a model.
    follow_up : FollowUp or None
        Whether the loans of the basis were watched long enough; None without a model.
    plateau : DataFrame
        Its answers side by side, months counted from the default: answer, value, threshold, verdict, detail.
    residuals : StepCurve or None
        Cumulative hazard of the Cox-Snell residuals; None without a model.
    calibration : DataFrame
        Predicted against observed shares of cured loans of the segment, by month and group.
    note : str
        Why there is no model; empty when there is one.
    """

    observed_cure: StepCurve
    resolution: StepCurve
    basis: Basis | None
    fit: MixtureCureFit | None
    comparison: pd.DataFrame
    model_curve: StepCurve | None
    drivers: pd.DataFrame
    drivers_left_out: tuple[str, ...]
    cox: pd.DataFrame
    follow_up: FollowUp | None
    plateau: pd.DataFrame
    residuals: StepCurve | None
    calibration: pd.DataFrame
    note: str

    @property
    def ultimate_cure_probability(self) -> float:
        """Share of the episodes of the basis that the model expects ever to cure; NaN without a model."""
        return float("nan") if self.fit is None else 1.0 - self.fit.never.value

    @property
    def basis_segment(self) -> str:
        """The segment whose loans the model rests on; empty without a model."""
        return self.basis.used if self.basis else ""

    def never(self) -> dict[str, Any]:
        """Return the share of the basis expected never to cure, with its interval and the latency distribution."""
        if self.fit is None:
            return {"never_share": None, "lower": None, "upper": None, "model": "cure model"}
        never = self.fit.never
        return {
            "never_share": never.value,
            "lower": never.lower,
            "upper": never.upper,
            "model": self.fit.distribution,
        }

    def plateau_facts(self) -> dict[str, Any]:
        """Return what a sentence about the plateau needs: verdicts by answer, last months, loans watched beyond."""
        values = dict(zip(self.plateau["answer"], self.plateau["value"], strict=True))
        facts = {name: float(values.get(name, np.nan)) for name in ("last_cure", "last_watched", "n_beyond")}
        return {"verdicts": dict(zip(self.plateau["answer"], self.plateau["verdict"], strict=True)), **facts}

    def residual_gap(self) -> dict[str, float]:
        """Return how far the residuals leave the diagonal: largest gap, where, and share of points whose band holds it.

        Only points with enough loans at risk count; without any of them all three are NaN.
        """
        curve = self.residuals
        if curve is None or curve.n_at_risk is None:
            return {"largest_gap": float("nan"), "at": float("nan"), "share_inside": float("nan")}
        told = (curve.n_at_risk >= MINIMUM_CELL_COUNT) & (curve.values > 0)
        if not told.any():
            return {"largest_gap": float("nan"), "at": float("nan"), "share_inside": float("nan")}
        times, gap = curve.times[told], np.abs(curve.values - curve.times)[told]
        inside = (curve.lower[told] <= times) & (times <= curve.upper[told])
        return {"largest_gap": float(gap.max()), "at": float(times[gap.argmax()]), "share_inside": float(inside.mean())}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what the portfolio keeps of a segment: drivers, models compared, plateau and calibration."""
        tables = {
            "drivers": self.drivers,
            "models": self.comparison,
            "plateau": self.plateau,
            "calibration": self.calibration,
        }
        return {name: table for name, table in tables.items() if len(table)}

    def record(self) -> dict[str, Any]:
        """Return the facts of the estimate as plain values."""
        return {
            "basis": self.basis.used if self.basis else None,
            "note": self.note,
            "median_months_to_resolution": self.resolution.first_time_at_or_below(0.5),
            "ultimate_cure_probability": self.ultimate_cure_probability,
            "model": self.fit.to_record() if self.fit else None,
            "follow_up": self.follow_up.to_record() if self.follow_up else None,
        }


def estimate_time_to_cure(
    book: Book,
    segment: str,
    *,
    drivers: list[str],
    distributions: list[str] | tuple[str, ...] = DISTRIBUTIONS,
    minimum_cures: int = 60,
    level: float = 0.95,
) -> TimeToCure:
    """Estimate a cure model for a segment, with the checks that say how far it may be believed.

    Parameters
    ----------
    book : Book
        The whole book; a segment with too few cures borrows its parent's model.
    segment : str
        Name of the segment.
    drivers : list of str
        Numeric columns of the episodes, in both parts of the model, each per standard deviation.
    distributions : sequence of str
        Latency distributions to compare by AIC.
    minimum_cures : int
        Cures that a model needs; with fewer in the whole book there is none.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    TimeToCure
        Without a model, and with the reason in ``note``, when the book holds too few cures.

    Raises
    ------
    InsufficientDataError
        When the segment holds no default episode.
    """
    case = book.restricted(segment)
    observed, resolution = observe_outcomes(case, level=level)
    cured = _cured(observed, resolution)
    dead_months = dead_months_of(book)
    try:
        basis = cure_basis(book, segment, minimum_cures)
        parent = case if basis.is_own else book.restricted(basis.used)
        frame = time_to_cure_frame(parent.episodes, dead_months=dead_months)
        usable = [d for d in drivers if varies(frame, d)]
        terms = usable + controls(frame, basis, book.segment_by)
        fits = fit_candidates(frame, terms, distributions, level)
    except (InsufficientDataError, ConvergenceError) as error:
        absent = tuple(d for d in drivers if not varies(book.episodes, d))
        return _without_model(cured, resolution, absent, str(error))
    best = min(fits.values(), key=lambda fit: fit.aic)
    seen = cured if basis.is_own else observe_outcomes(parent, level=level)[0][Outcome.CURED]
    found = check_plateau(frame, level=level)
    return TimeToCure(
        observed_cure=cured,
        resolution=resolution,
        basis=basis,
        fit=best,
        comparison=compare_candidates(fits, distributions, frame, seen, dead_months),
        model_curve=mean_cure_curve(best, case.episodes, dead_months, case.episodes["observed_months"].max()),
        drivers=driver_ratios(best, frame),
        drivers_left_out=tuple(d for d in drivers if d not in usable),
        cox=cox_ratios(frame, terms, level),
        follow_up=found,
        plateau=plateau_answers(found, dead_months),
        residuals=residual_hazard(best, frame, level=level),
        calibration=calibrate(best, case.episodes, cured, dead_months=dead_months),
        note="",
    )


def _cured(observed: dict[str, StepCurve], resolution: StepCurve) -> StepCurve:
    """Return the observed share of cured loans; zero throughout where no loan of the segment has cured."""
    if Outcome.CURED in observed:
        return observed[Outcome.CURED]
    zero = np.zeros(len(resolution.times))
    return replace(resolution, values=zero, lower=zero, upper=zero, standard_errors=zero)


def _without_model(cured: StepCurve, resolution: StepCurve, absent: tuple[str, ...], note: str) -> TimeToCure:
    return TimeToCure(
        observed_cure=cured,
        resolution=resolution,
        basis=None,
        fit=None,
        comparison=pd.DataFrame(),
        model_curve=None,
        drivers=driver_ratios(None, pd.DataFrame()),
        drivers_left_out=absent,
        cox=pd.DataFrame(),
        follow_up=None,
        plateau=plateau_answers(None, 0),
        residuals=None,
        calibration=pd.DataFrame(columns=CALIBRATION_COLUMNS),
        note=note,
    )
