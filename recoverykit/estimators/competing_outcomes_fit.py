"""A fitted competing-outcomes model as a value: parameters, their uncertainty, predictions and one sentence.

It holds what the fit learnt and nothing of the data it learnt from. Times are in the unit of the data; the model is
defined for every time, and whoever asks beyond ``last_time`` extrapolates in the open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.curves import StepCurve
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators import _fit_tables as tables
from recoverykit.estimators._competing_prediction import Predictor
from recoverykit.estimators._competing_tables import (
    draws_of,
    mean_curves,
    read_predictor,
    residuals,
    row_bands,
    row_shares,
)
from recoverykit.estimators._fit_tables import ShareInterval
from recoverykit.estimators._formulas import Design
from recoverykit.estimators._grounds import Grounds, terms_of
from recoverykit.estimators.distributions import standard_distribution

Array = NDArray[np.float64]

#: Name of the class of episodes that no outcome ever ends.
NEVER = "never_resolves"


@dataclass(frozen=True, slots=True, eq=False)
class CompetingOutcomesFit(tables.Regression):
    """A converged competing-outcomes model.

    Attributes
    ----------
    outcomes : tuple of str
        Those of the data, in the order of the legend.
    distribution, latency : dict of str to str
        Choices by outcome.
    incidence : str
        Formula of the incidence.
    never_resolves : bool
        Whether there is a class that no outcome ever ends.
    params, standard_errors : Series
        By part (``incidence``, ``latency``, ``ancillary``), outcome and term. Incidence is the log odds of an outcome
        against never resolving, or against the first outcome without that class; latency models log time;
        ``log_sigma`` is the log scale. NaN errors: not identified.
    cov : DataFrame of shape (n_params, n_params)
        Their covariance: inverse observed information, or the cluster-robust sandwich.
    loglik : float
        Of the data in their unit of time.
    n_episodes, n_events : float
        Sums of the case weights, of all rows and of those with an outcome.
    n_by_outcome : dict of str to float
        The latter by outcome.
    n_rows, n_compressed_rows : int
        Rows given, and distinct rows on which the likelihood was evaluated.
    form : str
        ``exact`` or ``interval`` times.
    n_clusters : int or None
        Clusters of the robust covariance.
    boundary : str or None
        Why something is not identified; None inside the parameter space.
    n_starts, n_agreed, n_iterations : int
        Starts tried, starts that ended at this maximum, Newton steps from the best of them.
    never : ShareInterval or None
        Share of the episodes estimated never to resolve, averaged over those fitted; None without that class.
    last_time : float
        Last time observed.
    level : float
        Confidence level of every interval.
    columns : mapping of str to object
        Under which names the columns of time, outcome, weights and background were given.
    """

    outcomes: tuple[str, ...]
    distribution: Mapping[str, str]
    incidence: str
    latency: Mapping[str, str]
    never_resolves: bool
    params: pd.Series
    standard_errors: pd.Series
    cov: pd.DataFrame
    loglik: float
    n_episodes: float
    n_events: float
    n_by_outcome: Mapping[str, float]
    n_rows: int
    n_compressed_rows: int
    form: str
    n_clusters: int | None
    boundary: str | None
    n_starts: int
    n_agreed: int
    n_iterations: int
    never: ShareInterval | None
    last_time: float
    level: float
    columns: Mapping[str, Any] = field(repr=False)
    designs: tuple[Design, ...] = field(repr=False)
    covariance: Array = field(repr=False)

    @property
    def grounds(self) -> Grounds:
        """What a comparison with another fit rests on."""
        return Grounds(
            likelihood=f"model of competing outcomes {'with' if self.never_resolves else 'without'} a never-share",
            form=self.form,
            n_by_outcome=tuple(self.n_by_outcome.values()),
            columns=self.columns,
            last_time=self.last_time,
            terms=terms_of(self.params),
            distributions=self.distribution,
        )

    def predict_incidence(
        self,
        frame: pd.DataFrame,
        *,
        given_open_at: ArrayLike | None = None,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.DataFrame:
        """Predict how each row ends: the probability of each outcome ever, and of never resolving.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        given_open_at : float or array_like of shape (n_rows,), optional
            Time at which the row is known to be still open; probabilities are conditional on that.
        interval : bool
            Whether to return intervals too.
        method : str
            ``delta``: symmetric on the logit scale; ``simulation``: percentiles over drawn parameters.
        rng : Generator, optional
            Source of the draws; needed for ``simulation``.
        n_draws : int
            Number of draws, 100 or more.

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per outcome, and ``never_resolves`` where the model has that
            class; they add up to 1. With ``interval`` one row per row and outcome, columns value, lower, upper (on a
            boundary conditional on it).

        Raises
        ------
        ContractError
            If a column is absent or has missing values.
        ExtrapolationError
            If a categorical column has a level that the fit did not see.
        ValueError
            If ``given_open_at`` is negative, not finite or of another length, the method is not known, or simulation
            has no ``rng`` or too few draws.
        """
        predictor, ever = self._predictor(frame, given_open_at), np.array([np.inf])
        names = [*self.outcomes, NEVER] if self.never_resolves else list(self.outcomes)
        if not interval:
            values = np.hstack(row_shares(predictor, range(len(names)), ever))
            return pd.DataFrame(values, index=frame.index, columns=names)
        bands = row_bands(predictor, range(len(names)), ever, draws_of(predictor, method, rng, n_draws))
        return tables.outcome_table(dict(zip(names, bands, strict=True)), frame.index, ever).droplevel("time")

    def predict_susceptible(
        self,
        frame: pd.DataFrame,
        *,
        given_open_at: ArrayLike | None = None,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.Series | pd.DataFrame:
        """Predict P(ever resolves) of each row: the sum of the outcomes of ``predict_incidence``.

        Parameters and errors are those of ``predict_incidence``.

        Returns
        -------
        Series or DataFrame
            In [0, 1], indexed as the frame; with ``interval`` columns value, lower, upper. It is 1 without the class
            that never resolves.
        """
        predictor, ever = self._predictor(frame, given_open_at), np.array([np.inf])
        outcomes = range(len(self.outcomes))
        value = np.hstack(row_shares(predictor, outcomes, ever)).sum(axis=1)
        if not interval:
            return pd.Series(value, index=frame.index, name="prob_susceptible")
        limits = {"lower": value, "upper": value}
        if self.never_resolves:
            (band,) = row_bands(predictor, [len(outcomes)], ever, draws_of(predictor, method, rng, n_draws))
            limits = {"lower": 1.0 - band.upper[:, 0], "upper": 1.0 - band.lower[:, 0]}
        return pd.DataFrame({"value": value, **limits}, index=frame.index)

    def predict_cumulative_incidence(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        given_open_at: ArrayLike | None = None,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.DataFrame:
        """Predict P(outcome k by each time) of each row, for every outcome, while the others compete.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        times : array_like of shape (n_times,)
            In the unit of the data, 0 or more, counted from default. Beyond ``last_time`` they rest on the
            distributions alone.
        given_open_at : float or array_like of shape (n_rows,), optional
            Time at which the row is known to be still open: (F_k(t) - F_k(given)) / S(given), 0 until then.
        interval, method, rng, n_draws
            As in ``predict_incidence``; ``delta`` is symmetric on the log(-log(1 - F)) scale.

        Returns
        -------
        DataFrame
            One row per row of the frame, columns by outcome and time: ``["cured"]`` is the frame of one outcome. With
            ``interval`` one row per row, outcome and time, columns value, lower, upper (on a boundary conditional on
            it).

        Raises
        ------
        ContractError, ExtrapolationError, ValueError
            As ``predict_incidence``; ValueError also for times that are negative or not finite.
        """
        asked, predictor = tables.checked_times(times), self._predictor(frame, given_open_at)
        if not interval:
            values = row_shares(predictor, range(len(self.outcomes)), asked)
            return tables.wide_table(dict(zip(self.outcomes, values, strict=True)), frame.index, asked)
        draws = draws_of(predictor, method, rng, n_draws)
        bands = row_bands(predictor, range(len(self.outcomes)), asked, draws)
        return tables.outcome_table(dict(zip(self.outcomes, bands, strict=True)), frame.index, asked)

    def predict_survival(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        given_open_at: ArrayLike | None = None,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.DataFrame:
        """Predict P(still open at each time) of each row.

        Parameters, errors and conditioning are those of ``predict_cumulative_incidence``; survival and the incidences
        of all outcomes add up to 1.

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per time; with ``interval`` one row per row and time, columns
            value, lower, upper (``delta`` symmetric on the log(-log) scale).
        """
        asked, predictor = tables.checked_times(times), self._predictor(frame, given_open_at)
        if not interval:
            (value,) = row_shares(predictor, [len(self.outcomes)], asked)
            return pd.DataFrame(value, frame.index, pd.Index(asked, name="time"))
        draws = draws_of(predictor, method, rng, n_draws)
        (band,) = row_bands(predictor, [len(self.outcomes)], asked, draws)
        return tables.time_table(band, frame.index, asked, interval=True)

    def mean_curves(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        given_open_at: ArrayLike | None = None,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> dict[str, StepCurve]:
        """Average the predicted incidence curves over the rows of a frame, with their bands.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        times : array_like of shape (n_times,)
            Strictly increasing, in the unit of the data; 0 is put in front when it is not there.
        weights : array_like of shape (n_rows,) or None
            Weight of each row, such as its EAD; None weighs rows equally.
        given_open_at, method, rng, n_draws
            As in ``predict_cumulative_incidence``.

        Returns
        -------
        dict of str to StepCurve
            Outcome to its curve at these times, held constant between them.

        Raises
        ------
        ContractError, ExtrapolationError, ValueError
            As ``predict_cumulative_incidence``; ValueError for weights that are negative or all 0.
        """
        predictor = self._predictor(frame, given_open_at)
        draws = draws_of(predictor, method, rng, n_draws)
        curves = mean_curves(predictor, range(len(self.outcomes)), times, weights, draws)
        return dict(zip(self.outcomes, curves, strict=True))

    def mean_survival(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        given_open_at: ArrayLike | None = None,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> StepCurve:
        """Average the chance of being open over the rows of a frame; parameters and errors as in ``mean_curves``."""
        predictor = self._predictor(frame, given_open_at)
        draws = draws_of(predictor, method, rng, n_draws)
        return mean_curves(predictor, [len(self.outcomes)], times, weights, draws)[0]

    def residuals(self, frame: pd.DataFrame, *, outcome: str | None = None) -> pd.DataFrame:
        """Return Cox-Snell residuals: the cumulative hazard that each episode has lived through since its entry.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas, of time and of the outcome, under the names given to ``fit``.
        outcome : str, optional
            One outcome: its cause-specific cumulative hazard, and whether the episode ended in it. Without, the hazard
            of being ended by any; over the outcomes the residuals add up to it.

        Returns
        -------
        DataFrame
            Indexed as the frame: ``residual``, ``lower``, ``upper`` and ``event``. If the model holds, residuals with
            their events are a censored sample of the unit exponential distribution.

        Raises
        ------
        ContractError, ExtrapolationError
            As ``predict_incidence``, and where times break their rules.
        InsufficientDataError
            If the fit has background hazards: what they add over time is not known to the model.
        ValueError
            If the outcome is none of the fit's.
        """
        if self.columns["background_cols"]:
            raise InsufficientDataError(
                "background hazards are known at the outcomes only, so the cumulative hazard of an episode is not; "
                "residuals are those of fits without background_cols"
            )
        return residuals(self._predictor(frame, None), frame, self.columns, self.outcomes, outcome)

    def to_record(self) -> dict[str, object]:
        """Return the fit as plain numbers and texts that JSON takes; None where there is no number."""
        choices = ("outcomes", "distribution", "incidence", "latency", "never_resolves", "form", "n_by_outcome")
        return tables.fit_record(self, (*choices, *tables.FACTS))

    def sentence(self) -> str:
        """Name the outcomes, and say what share is estimated never to resolve."""
        seen = ", ".join(f"{n:,.0f} {outcome}" for outcome, n in self.n_by_outcome.items())
        share = "the model takes it that every episode is resolved in the end"
        if self.never is not None:
            share = f"{self.never.text()} are estimated never to resolve"
        caution = "" if self.boundary is None else f"; note that {self.boundary}"
        return f"Outcomes: {seen} of {self.n_episodes:,.0f} episodes; {share}{caution}."

    def _predictor(self, frame: pd.DataFrame, given_open_at: ArrayLike | None) -> Predictor:
        distributions = tuple(standard_distribution(self.distribution[outcome]) for outcome in self.outcomes)
        return read_predictor(
            frame,
            given_open_at,
            designs=self.designs,
            distributions=distributions,
            never=self.never_resolves,
            theta=self.params.to_numpy(dtype=float),
            covariance=self.covariance,
            level=self.level,
        )
