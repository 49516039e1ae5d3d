"""Time to cure in the credit reading: who ever cures, and when.

An episode that was repaid, sold, liquidated or written off will never cure; one that is open may still. Both are
therefore followed to their administrative age, the months from default to the reporting date: the likelihood then
speaks of the probability of having cured by a month while other outcomes compete, which is what the book needs. Cures
are recorded at month ends, so a cure in month m happened between m - 1 and m: the interval form of the likelihood.
No cure can be recorded before the probation is over, so time is counted from the month before the first possible one.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators.cox import CoxModel
from recoverykit.estimators.mixture_cure import MixtureCureFit, MixtureCureModel, compare_fits
from recoverykit.estimators.nonparametric import aalen_johansen, kaplan_meier
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.segments import Basis, choose_basis
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

DISTRIBUTIONS = ("weibull", "lognormal", "loglogistic")


@dataclass(frozen=True, slots=True, eq=False)
class TimeToCure:
    """What a segment's data say about cure.

    Attributes
    ----------
    observed : dict of str to StepCurve
        Cumulative incidence of each outcome in the segment (Aalen-Johansen), months in default.
    resolution : StepCurve
        Share of the segment's episodes still open (Kaplan-Meier), months in default.
    basis : Basis or None
        Whose data the cure model rests on; None without a model.
    fit : MixtureCureFit or None
        The fit with the smallest AIC; None when no model can be estimated.
    comparison : DataFrame
        The fits compared, one row per latency distribution.
    model_curve : StepCurve or None
        Probability of cure by months in default, averaged over the segment's episodes.
    drivers : DataFrame
        One row per driver and part of the model: part, term, estimate, lower, upper; odds ratios of ever curing
        (incidence) and time ratios (latency).
    drivers_left_out : tuple of str
        Drivers asked for that the data do not have or that do not vary.
    cox : DataFrame
        A second opinion on the drivers, by Cox regression of the hazard of cure among loans still in default: term,
        hazard_ratio, lower, upper, p_value; empty without a model.
    note : str
        Why there is no model; empty when there is one.
    """

    observed: dict[str, StepCurve]
    resolution: StepCurve
    basis: Basis | None
    fit: MixtureCureFit | None
    comparison: pd.DataFrame
    model_curve: StepCurve | None
    drivers: pd.DataFrame
    drivers_left_out: tuple[str, ...]
    cox: pd.DataFrame
    note: str

    @property
    def ultimate_cure_probability(self) -> float:
        """Share of the episodes of the basis that the model expects ever to cure; NaN without a model."""
        return float("nan") if self.fit is None else 1.0 - self.fit.never.value

    @property
    def observed_cure(self) -> StepCurve:
        """Cumulative incidence of cure; zero throughout where no loan of the segment has cured."""
        if Outcome.CURED in self.observed:
            return self.observed[Outcome.CURED]
        zero = np.zeros(len(self.resolution.times))
        return replace(self.resolution, values=zero, lower=zero, upper=zero, standard_errors=zero)

    def never(self) -> dict[str, Any]:
        """Return the share of the basis expected never to cure, with its interval and the name of the model."""
        if self.fit is None:
            return {"never_share": None, "lower": None, "upper": None, "model": "cure model"}
        never = self.fit.never
        name = {"lognormal": "log-normal", "loglogistic": "log-logistic"}.get(self.fit.distribution, "Weibull")
        shares = {"never_share": never.value, "lower": never.lower, "upper": never.upper}
        return {**shares, "model": f"{name} mixture cure model"}

    @property
    def last_month(self) -> float:
        """Last month in default with enough episodes at risk to be told, 0 where there is none."""
        at_risk = self.resolution.n_at_risk
        enough = np.flatnonzero(at_risk >= MINIMUM_CELL_COUNT) if at_risk is not None else np.array([0])
        return float(self.resolution.times[enough[-1]]) if len(enough) else 0.0

    def shares_at(self, month: float) -> dict[str, float]:
        """Return the cumulative incidence of each outcome at a month, held back to the last month observed."""
        return {name: curve(min(month, curve.times[-1])).item() for name, curve in self.observed.items()}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what the portfolio keeps of a segment: incidence, resolution, drivers and models compared."""
        curves = [curve.to_frame().assign(outcome=name) for name, curve in sorted(self.observed.items())]
        tables = {"resolution": self.resolution.to_frame(), "drivers": self.drivers, "models": self.comparison}
        if curves:
            tables["incidence"] = pd.concat(curves, ignore_index=True)
        return {name: table for name, table in tables.items() if len(table)}

    def record(self) -> dict[str, Any]:
        """Return the facts of the estimate as plain values."""
        return {
            "basis": self.basis.used if self.basis else None,
            "note": self.note,
            "median_months_to_resolution": self.resolution.first_time_at_or_below(0.5),
            "ultimate_cure_probability": self.ultimate_cure_probability,
            "model": self.fit.to_record() if self.fit else None,
        }


def time_to_cure_frame(episodes: pd.DataFrame, *, dead_months: int) -> pd.DataFrame:
    """Add the interval in which each episode cured, in months after the dead time.

    Parameters
    ----------
    episodes : DataFrame
        Default episodes with outcome, months_in_default, observed_months and entry_months.
    dead_months : int
        Months after default in which no cure can be recorded: probation months less one.

    Returns
    -------
    DataFrame
        The episodes with ``has_cured``, ``lower_months`` and ``upper_months`` (infinite where no cure was seen) and
        ``cure_entry_months``, all counted from ``dead_months`` after the default.
    """
    has_cured = (episodes["outcome"] == Outcome.CURED).to_numpy()
    cure_month = np.maximum(episodes["months_in_default"].to_numpy(float) - dead_months, 1.0)
    followed = np.maximum(episodes["observed_months"].to_numpy(float) - dead_months, 0.0)
    return episodes.assign(
        has_cured=has_cured,
        lower_months=np.where(has_cured, cure_month - 1, followed),
        upper_months=np.where(has_cured, cure_month, np.inf),
        cure_entry_months=np.maximum(episodes["entry_months"].to_numpy(float) - dead_months, 0.0),
    )


def estimate_time_to_cure(
    book: Book,
    segment: str,
    *,
    drivers: list[str],
    distributions: list[str] | tuple[str, ...] = DISTRIBUTIONS,
    minimum_cures: int = 60,
    level: float = 0.95,
) -> TimeToCure:
    """Estimate the cumulative incidence of every outcome and a cure model for a segment.

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
        Cures that a model needs.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    TimeToCure
        Without a model, and with the reason in ``note``, when the book holds too few cures.
    """
    case = book.restricted(segment)
    observed, resolution = _observed(case, level)
    dead_months = _dead_months(book)
    try:
        basis = choose_basis(book, segment, minimum_events=minimum_cures, outcome=Outcome.CURED)
        frame = time_to_cure_frame(book.restricted(basis.used).episodes, dead_months=dead_months)
        usable = [d for d in drivers if _varies(frame, d)]
        fits = {name: _fit(frame, usable, name, level) for name in distributions}
    except (InsufficientDataError, ConvergenceError) as error:
        none = pd.DataFrame()
        return TimeToCure(observed, resolution, None, None, none, None, _ratios(None), tuple(drivers), none, str(error))
    best = min(fits.values(), key=lambda fit: fit.aic)
    return TimeToCure(
        observed=observed,
        resolution=resolution,
        basis=basis,
        fit=best,
        comparison=compare_fits(fits).reset_index(names="distribution").fillna({"boundary": "none"}),
        model_curve=_model_curve(best, case, dead_months),
        drivers=_ratios(best),
        drivers_left_out=tuple(d for d in drivers if d not in usable),
        cox=_cox(frame, usable, level),
        note="",
    )


def _observed(case: Book, level: float) -> tuple[dict[str, StepCurve], StepCurve]:
    episodes = case.episodes.assign(is_closed=case.episodes["outcome"] != Outcome.OPEN)
    times = {"duration_col": "months_in_default", "entry_col": "entry_months"}
    observed = aalen_johansen(episodes, outcome_col="outcome", censored=Outcome.OPEN, level=level, **times)
    return observed, kaplan_meier(episodes, event_col="is_closed", level=level, **times)


def _cox(frame: pd.DataFrame, drivers: list[str], level: float) -> pd.DataFrame:
    """Return hazard ratios of cure per standard deviation of each driver; empty where Cox cannot be fitted."""
    if not drivers:
        return pd.DataFrame()
    scaled = frame.assign(**{d: (frame[d] - frame[d].mean()) / frame[d].std() for d in drivers})
    model = CoxModel("~ " + " + ".join(drivers))
    times = {"duration_col": "months_in_default", "event_col": "has_cured", "entry_col": "entry_months"}
    return model.fit(scaled, level=level, **times).to_frame()


def _dead_months(book: Book) -> int:
    """Return the months in which no cure can be recorded: less than the probation where a bank records cures sooner."""
    cures = book.episodes.loc[book.episodes["outcome"] == Outcome.CURED, "months_in_default"]
    earliest = int(cures.min()) if len(cures) else book.definition.probation_months
    return max(min(book.definition.probation_months, earliest) - 1, 0)


def _varies(frame: pd.DataFrame, driver: str) -> bool:
    if driver not in frame or frame[driver].isna().any():
        return False
    return bool((frame[driver] != frame[driver].iloc[0]).any())


def _fit(frame: pd.DataFrame, drivers: list[str], distribution: str, level: float) -> MixtureCureFit:
    formula = "~ " + (" + ".join(f"scale({driver})" for driver in drivers) or "1")
    model = MixtureCureModel(distribution=distribution, incidence=formula, latency=formula)
    return model.fit(
        frame,
        lower_col="lower_months",
        upper_col="upper_months",
        entry_col="cure_entry_months",
        cluster_col="obligor_id",
        event_name="cure",
        level=level,
    )


def _model_curve(fit: MixtureCureFit, case: Book, dead_months: int) -> StepCurve:
    """Average the fitted probability of cure over the segment's episodes, on months since default."""
    months = np.arange(1, max(int(case.episodes["observed_months"].max()) - dead_months, 1) + 1)
    curve = fit.mean_curve(case.episodes, months)
    dead = np.arange(dead_months)
    return StepCurve(
        times=np.concatenate([dead, curve.times + dead_months]),
        values=np.concatenate([np.zeros(len(dead)), curve.values]),
        lower=np.concatenate([np.zeros(len(dead)), curve.lower]),
        upper=np.concatenate([np.zeros(len(dead)), curve.upper]),
        level=curve.level,
    )


def _ratios(fit: MixtureCureFit | None) -> pd.DataFrame:
    """Return the drivers on the ratio scale: odds ratios of ever curing, time ratios of curing."""
    columns = ["part", "term", "estimate", "lower", "upper"]
    if fit is None:
        return pd.DataFrame(columns=columns)
    table = fit.to_frame()
    is_driver = table["part"].isin(["incidence", "latency"]) & (table["term"] != "Intercept")
    table = table.loc[is_driver, columns].reset_index(drop=True)
    table[columns[2:]] = np.exp(table[columns[2:]])
    return table.assign(label=table["term"].str.replace(r"scale\((.*)\)", r"\1", regex=True))
