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
from pandas.api.types import is_numeric_dtype

from recoverykit.curves import StepCurve
from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators.cox import CoxModel
from recoverykit.estimators.mixture_cure import MixtureCureFit, MixtureCureModel, compare_fits
from recoverykit.estimators.nonparametric import aalen_johansen, kaplan_meier
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.segments import Basis, choose_basis
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, WHOLE_BOOK, Outcome

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
        The fits compared, one row per latency distribution; without numbers where one did not converge.
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
        Cures that a model needs; with fewer in the whole book there is none.
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
        basis = _basis(book, segment, minimum_cures)
        frame = time_to_cure_frame(book.restricted(basis.used).episodes, dead_months=dead_months)
        usable = [d for d in drivers if _varies(frame, d)]
        terms = usable + _controls(frame, basis, book.segment_by)
        fits = _fits(frame, terms, distributions, level)
    except (InsufficientDataError, ConvergenceError) as error:
        none, absent = pd.DataFrame(), tuple(d for d in drivers if not _varies(book.episodes, d))
        return TimeToCure(observed, resolution, None, None, none, None, _ratios(None), absent, none, str(error))
    best = min(fits.values(), key=lambda fit: fit.aic)
    return TimeToCure(
        observed=observed,
        resolution=resolution,
        basis=basis,
        fit=best,
        comparison=_comparison(fits, distributions),
        model_curve=_model_curve(best, case, dead_months),
        drivers=_ratios(best),
        drivers_left_out=tuple(d for d in drivers if d not in usable),
        cox=_cox(frame, terms, level),
        note="",
    )


def _observed(case: Book, level: float) -> tuple[dict[str, StepCurve], StepCurve]:
    episodes = case.episodes.assign(is_closed=case.episodes["outcome"] != Outcome.OPEN)
    times = {"duration_col": "months_in_default", "entry_col": "entry_months"}
    observed = aalen_johansen(episodes, outcome_col="outcome", censored=Outcome.OPEN, level=level, **times)
    return observed, kaplan_meier(episodes, event_col="is_closed", level=level, **times)


def _basis(book: Book, segment: str, minimum_cures: int) -> Basis:
    """Return whose cures a model rests on; refuse where even the whole book has too few."""
    basis = choose_basis(book, segment, minimum_events=minimum_cures, outcome=Outcome.CURED)
    n_cures = int((book.episodes["outcome"] == Outcome.CURED).sum())
    if n_cures < minimum_cures:
        held = f"{n_cures}" if n_cures >= MINIMUM_CELL_COUNT else f"fewer than {MINIMUM_CELL_COUNT}"
        raise InsufficientDataError(f"the whole book holds {held} cured episodes, and a model needs {minimum_cures}")
    return basis


def _fits(
    frame: pd.DataFrame, drivers: list[str], distributions: list[str] | tuple[str, ...], level: float
) -> dict[str, MixtureCureFit]:
    """Fit each distribution; raise what went wrong only where none converges."""
    fits: dict[str, MixtureCureFit] = {}
    failed: list[ConvergenceError] = []
    for name in distributions:
        try:
            fits[name] = _fit(frame, drivers, name, level)
        except ConvergenceError as error:
            failed.append(error)
    if failed and not fits:
        raise failed[0]
    return fits


def _comparison(fits: dict[str, MixtureCureFit], distributions: list[str] | tuple[str, ...]) -> pd.DataFrame:
    table = compare_fits(fits).reset_index(names="distribution").fillna({"boundary": "none"})
    failed = [name for name in distributions if name not in fits]
    if failed:
        table = table.set_index("distribution").reindex([*table["distribution"], *failed]).reset_index()
        table["boundary"] = table["boundary"].fillna("did not converge")
    return table


def _controls(frame: pd.DataFrame, basis: Basis, segment_by: tuple[str, ...]) -> list[str]:
    """Return the first segment column as a control over the whole book, where each value holds enough cures.

    Over unlike products a driver would otherwise stand for the product: unsecured loans have no loan-to-value.
    """
    if basis.used != WHOLE_BOOK or not segment_by:
        return []
    cures = frame.groupby(segment_by[0])["has_cured"].sum()
    return [segment_by[0]] if len(cures) > 1 and cures.min() >= MINIMUM_CELL_COUNT else []


def _cox(frame: pd.DataFrame, drivers: list[str], level: float) -> pd.DataFrame:
    """Return hazard ratios of cure per standard deviation of each driver; empty where Cox cannot be fitted."""
    if not drivers:
        return pd.DataFrame()
    numeric = [d for d in drivers if is_numeric_dtype(frame[d])]
    scaled = frame.assign(**{d: (frame[d] - frame[d].mean()) / frame[d].std() for d in numeric})
    model = CoxModel("~ " + " + ".join(drivers))
    times = {"duration_col": "months_in_default", "event_col": "has_cured", "entry_col": "entry_months"}
    try:
        return model.fit(scaled, level=level, **times).to_frame()
    except (InsufficientDataError, ConvergenceError):
        return pd.DataFrame()


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
    terms = [f"scale({d})" if is_numeric_dtype(frame[d]) else d for d in drivers]
    formula = f"~ {' + '.join(terms) or '1'}"
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
    words = table["term"].str.replace(r"scale\((.*)\)", r"\1", regex=True)
    return table.assign(label=words.str.replace(r"(\w+)\[T\.(.*)\]", r"\2 (\1)", regex=True))
