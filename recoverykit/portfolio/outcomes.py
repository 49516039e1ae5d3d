"""What becomes of defaulted loans: every outcome at once, as observed and by one model of all of them.

The observed shares need no model and add up at every month, but they end where the observation ends. The model of all
outcomes carries them on: which outcome a loan comes to in the end, and whether a share is never resolved. That last
share is told only where the data show it: every distribution is fitted with a class of loans that nothing ever ends and
without one, and the smallest AIC decides.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators.competing_outcomes import CompetingOutcomesFit, CompetingOutcomesModel
from recoverykit.estimators.nonparametric import aalen_johansen, kaplan_meier
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.segments import ancestry
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

#: Latency distributions tried for the model of all outcomes; the same one serves every outcome.
DISTRIBUTIONS = ("weibull", "lognormal", "loglogistic")
#: Outcomes of fewer than ten episodes are set aside where together they are no more than this share of the closed ones.
RARE_SHARE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class DefaultOutcomes:
    """How a segment's default episodes end.

    Attributes
    ----------
    observed : dict of str to StepCurve
        Cumulative incidence of each outcome in the segment (Aalen-Johansen), months in default.
    resolution : StepCurve
        Share of the segment's episodes still open (Kaplan-Meier), months in default.
    basis : str or None
        The segment or parent whose loans the model of all outcomes rests on; None without a model.
    fit : CompetingOutcomesFit or None
        The model of all outcomes; None where it cannot be fitted.
    fitted : dict of str to StepCurve
        Its cumulative incidence of each outcome over the months observed in the segment; empty without a model.
    ultimate : DataFrame
        How the loans of the basis end by the model: outcome, value, lower, upper, shares of all episodes. The row
        ``never_resolves`` stands last, and only where the data show such a class.
    too_rare : tuple of str
        Outcomes that the model knows nothing of, because they are too rare to be timed; their few episodes count as
        watched until then.
    note : str
        Why there is no model; empty when there is one.
    """

    observed: dict[str, StepCurve]
    resolution: StepCurve
    basis: str | None
    fit: CompetingOutcomesFit | None
    fitted: dict[str, StepCurve]
    ultimate: pd.DataFrame
    too_rare: tuple[str, ...]
    note: str

    @property
    def last_month(self) -> float:
        """Last month in default with enough episodes at risk to be told, 0 where there is none."""
        return last_told_month(self.resolution)

    def shares_at(self, month: float) -> dict[str, float]:
        """Return the observed share of each outcome at a month, held back to the last month observed."""
        return {name: curve(min(month, curve.times[-1])).item() for name, curve in self.observed.items()}

    def ultimate_facts(self) -> dict[str, Any]:
        """Return what a sentence about the ultimate shares needs to know of the model."""
        return {"basis": self.basis, "too_rare": self.too_rare, "note": self.note}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what the portfolio keeps of a segment: incidence, resolution and ultimate shares."""
        curves = [curve.to_frame().assign(outcome=name) for name, curve in sorted(self.observed.items())]
        tables = {"resolution": self.resolution.to_frame(), "ultimate": self.ultimate}
        if curves:
            tables["incidence"] = pd.concat(curves, ignore_index=True)
        return {name: table for name, table in tables.items() if len(table)}

    def record(self) -> dict[str, Any]:
        """Return the facts of the model of all outcomes as plain values."""
        model = self.fit.to_record() if self.fit else None
        return {"basis": self.basis, "too_rare": list(self.too_rare), "note": self.note, "model": model}


def estimate_outcomes(
    book: Book,
    segment: str,
    *,
    minimum_closed: int = 60,
    distributions: list[str] | tuple[str, ...] = DISTRIBUTIONS,
    level: float = 0.95,
) -> DefaultOutcomes:
    """Estimate how a segment's defaulted loans end, as observed and by one model of all outcomes.

    Parameters
    ----------
    book : Book
        The whole book. A segment with too few closed episodes, or with an outcome too rare to be timed, borrows its
        parent's model.
    segment : str
        Name of the segment.
    minimum_closed : int
        Closed episodes that the model needs.
    distributions : sequence of str
        Latency distributions to compare by AIC.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    DefaultOutcomes
        Without a model, and with the reason in ``note``, where not even the whole book can carry one.

    Raises
    ------
    InsufficientDataError
        When the segment holds no default episode.
    """
    case = book.restricted(segment)
    observed, resolution = observe_outcomes(case, level=level)
    note = ""
    for name in ancestry(segment):
        try:
            frame, too_rare = _without_rare(outcome_frame(book.restricted(name).episodes))
            fit = _fit(frame, minimum_closed, distributions, level)
        except (InsufficientDataError, ConvergenceError) as error:
            note = str(error)
            continue
        months = np.arange(1, max(float(resolution.times[-1]), 1.0) + 1)
        loan = frame.head(1)  # without covariates every loan has the same curves
        ultimate = fit.predict_incidence(loan, interval=True).droplevel(0).reset_index()
        return DefaultOutcomes(observed, resolution, name, fit, fit.mean_curves(loan, months), ultimate, too_rare, "")
    none = pd.DataFrame(columns=["outcome", "value", "lower", "upper"])
    return DefaultOutcomes(observed, resolution, None, None, {}, none, (), note)


def observe_outcomes(case: Book, *, level: float) -> tuple[dict[str, StepCurve], StepCurve]:
    """Return the observed share of each outcome, and of the episodes still open, by months in default."""
    episodes = case.episodes.assign(is_closed=case.episodes["outcome"] != Outcome.OPEN)
    times = {"duration_col": "months_in_default", "entry_col": "entry_months"}
    observed = aalen_johansen(episodes, outcome_col="outcome", censored=Outcome.OPEN, level=level, **times)
    return observed, kaplan_meier(episodes, event_col="is_closed", level=level, **times)


def outcome_frame(episodes: pd.DataFrame) -> pd.DataFrame:
    """Add the interval in which each episode ended: month m is (m - 1, m].

    Parameters
    ----------
    episodes : DataFrame
        Default episodes with outcome, months_in_default and entry_months.

    Returns
    -------
    DataFrame
        The episodes with ``lower_months`` and ``upper_months``, infinite where the episode is open. An episode that
        ended in the month in which it was first seen was never watched, and is left out, as under every curve.
    """
    watched = (episodes["entry_months"] == 0) | (episodes["months_in_default"] > episodes["entry_months"])
    seen = episodes[watched]
    is_open = (seen["outcome"] == Outcome.OPEN).to_numpy()
    month = seen["months_in_default"].to_numpy(float)
    return seen.assign(
        lower_months=np.where(is_open, month, np.maximum(month - 1, 0.0)),
        upper_months=np.where(is_open, np.inf, np.maximum(month, 1.0)),
    )


def last_told_month(curve: StepCurve) -> float:
    """Return the last month with enough episodes at risk to be told, 0 where there is none."""
    enough = np.flatnonzero(curve.n_at_risk >= MINIMUM_CELL_COUNT) if curve.n_at_risk is not None else np.array([0])
    return float(curve.times[enough[-1]]) if len(enough) else 0.0


def _without_rare(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Count the episodes of outcomes that are too rare to be timed as watched until then; name these outcomes."""
    closed = frame.loc[frame["outcome"] != Outcome.OPEN, "outcome"].value_counts()
    rare = closed[closed < MINIMUM_CELL_COUNT]
    if rare.empty or rare.sum() > RARE_SHARE * closed.sum():
        return frame, ()
    aside = frame["outcome"].isin(rare.index)
    upper = frame["upper_months"].mask(aside, np.inf)
    return frame.assign(outcome=frame["outcome"].mask(aside, Outcome.OPEN), upper_months=upper), tuple(
        sorted(rare.index)
    )


def _fit(
    frame: pd.DataFrame, minimum_closed: int, distributions: list[str] | tuple[str, ...], level: float
) -> CompetingOutcomesFit:
    """Choose the distribution, and whether some loans are never resolved, by AIC among all pairs of the two."""
    n_closed = int((frame["outcome"] != Outcome.OPEN).sum())
    if n_closed < minimum_closed:
        held = f"{n_closed}" if n_closed >= MINIMUM_CELL_COUNT else f"fewer than {MINIMUM_CELL_COUNT}"
        raise InsufficientDataError(f"there are {held} closed episodes, and the model needs {minimum_closed}")
    fits: list[CompetingOutcomesFit] = []
    failed: ConvergenceError | InsufficientDataError | None = None
    for name, never_resolves in product(distributions, (False, True)):
        try:
            fit = _fit_one(frame, name, level, never_resolves=never_resolves)
        except (ConvergenceError, InsufficientDataError) as error:
            failed = error
            continue
        # A share at its lower bound of nothing, or of any size, is not told by the data.
        if fit.never is None or (fit.boundary is None and np.isfinite(fit.never.lower)):
            fits.append(fit)
    if isinstance(failed, InsufficientDataError) and not fits:
        # Its own words count the few, which no page may show.
        raise InsufficientDataError("one of the outcomes is too rare for its time to be estimated") from failed
    if failed and not fits:
        raise failed
    return min(fits, key=lambda fit: fit.aic)


def _fit_one(frame: pd.DataFrame, distribution: str, level: float, *, never_resolves: bool) -> CompetingOutcomesFit:
    model = CompetingOutcomesModel(distribution=distribution, never_resolves=never_resolves)
    return model.fit(
        frame,
        lower_col="lower_months",
        upper_col="upper_months",
        outcome_col="outcome",
        entry_col="entry_months",
        cluster_col="obligor_id",
        level=level,
    )
