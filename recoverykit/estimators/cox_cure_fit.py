"""A fitted Cox cure model as a value: odds of ever having the event, hazard ratios, a baseline, predictions.

It holds what the fit learnt and nothing of the data it learnt from. The baseline is known at the event times seen and
no further; whether more can be said after the last of them, the fit says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.curves import StepCurve
from recoverykit.estimators import _cox_cure_prediction as prediction
from recoverykit.estimators import _fit_tables as tables
from recoverykit.estimators._cox_checks import covariates_of
from recoverykit.estimators._cox_cure_data import read_times
from recoverykit.estimators._cox_cure_prediction import BaselineHazard, CoxCurePredictor
from recoverykit.estimators._fit_tables import ShareInterval
from recoverykit.estimators._formulas import Design, check_prediction_frame, design_matrix
from recoverykit.estimators._grounds import Grounds, terms_of
from recoverykit.estimators._mixture_prediction import Band
from recoverykit.estimators._rows import check_choice

Array = NDArray[np.float64]

_QUANTITIES = ("cumulative_incidence", "survival")


@dataclass(frozen=True, slots=True, eq=False)
class CoxCureFit(tables.Regression):
    """A converged Cox cure model.

    Attributes
    ----------
    incidence, latency, ties : str
        The choices of the model.
    event_name : str
        What the event is called.
    params, standard_errors : Series
        By part (``incidence``, ``latency``) and term. Incidence: log odds of ever having the event; latency: log hazard
        ratios among those that have it, positive means sooner. NaN errors: not identified.
    cov : DataFrame of shape (n_params, n_params)
        Their covariance: inverse information of the profile likelihood, or the cluster-robust sandwich.
    loglik : float
        Profile log-likelihood, the baseline as jumps at the event times. It compares with other Cox cure fits of the
        same rows and ties, not with those of other models.
    n_episodes, n_events : float
        Sums of the case weights, of all rows and of those with the event.
    n_tail : float
        Episodes seen event-free after the last event: by the zero tail they never have it.
    n_rows, n_compressed_rows : int
        Rows given, and distinct rows on which the likelihood was evaluated.
    n_clusters : int or None
        Clusters of the robust covariance.
    boundary : str or None
        Why something is not identified; None inside the parameter space.
    n_starts, n_agreed, n_iterations : int
        Starts tried, starts that ended at this maximum, Newton steps from the best of them.
    never : ShareInterval
        Share of the episodes estimated never to have the event, averaged over those fitted.
    last_event_time, last_time : float
        Last event, and last time observed.
    level : float
        Confidence level of every interval.
    baseline : DataFrame
        By event time: n_events, jump and cumulative_hazard of an episode that will have the event and whose latency
        terms are 0, and its survival.
    columns : mapping of str to str or None
        Under which names the columns of time and weights were given.
    """

    incidence: str
    latency: str
    ties: str
    event_name: str
    params: pd.Series
    standard_errors: pd.Series
    cov: pd.DataFrame
    loglik: float
    n_episodes: float
    n_events: float
    n_tail: float
    n_rows: int
    n_compressed_rows: int
    n_clusters: int | None
    boundary: str | None
    n_starts: int
    n_agreed: int
    n_iterations: int
    never: ShareInterval
    last_event_time: float
    last_time: float
    level: float
    baseline: pd.DataFrame = field(repr=False)
    columns: Mapping[str, Any] = field(repr=False)
    designs: tuple[Design, Design] = field(repr=False)
    covariance: Array = field(repr=False)
    hazard: BaselineHazard = field(repr=False)

    @property
    def form(self) -> str:
        """What the likelihood counts: jumps at the event times, by the rule for ties."""
        return f"jumps ({self.ties})"

    @property
    def grounds(self) -> Grounds:
        """What a comparison with another fit rests on."""
        return Grounds(
            likelihood=f"Cox cure model with {self.ties} ties",
            form=self.form,
            n_by_outcome=(self.n_events,),
            columns=self.columns,
            last_time=self.last_time,
            terms=terms_of(self.params),
            distributions={},
        )

    def predict_susceptible(
        self,
        frame: pd.DataFrame,
        *,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.Series | pd.DataFrame:
        """Predict P(ever has the event) of each row.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        interval : bool
            Whether to return value, lower and upper instead of the value alone.
        method : str
            ``delta``: symmetric on the logit scale; ``simulation``: percentiles over drawn parameters.
        rng : Generator, optional
            Source of the draws; needed for ``simulation``.
        n_draws : int
            Number of draws, 100 or more.

        Returns
        -------
        Series or DataFrame
            In [0, 1], indexed as the frame. The interval is NaN where the incidence stands on its boundary.

        Raises
        ------
        ContractError
            If a column is absent or has missing values.
        ExtrapolationError
            If a categorical column has a level that the fit did not see.
        ValueError
            If the method is not known, or simulation has no ``rng`` or too few draws.
        """
        predictor = self._predictor(frame)
        draws = prediction.draws_of(predictor, method=method, rng=rng, n_draws=n_draws) if interval else None
        if draws is None:
            band = prediction.susceptible(predictor)
        else:
            band = prediction.simulated_susceptible(predictor, draws)
        return tables.susceptible_table(band, predictor.incidence, self.standard_errors, frame.index, interval=interval)

    def predict_survival(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.DataFrame:
        """Predict P(no event by each time) of each row: 1 - p + p S(t), which levels off at 1 - p after the last event.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        times : array_like of shape (n_times,)
            In the unit of the data, 0 or more. After the last event time the value is 1 - p, the zero tail, where
            episodes were seen event-free there; what comes after ``last_time`` rests on it alone.
        interval : bool
            Whether to return the interval too.
        method, rng, n_draws
            As in ``predict_susceptible``; ``delta`` is symmetric on the log(-log) scale.

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per time; with ``interval`` one row per row and time, columns
            value, lower, upper (on a boundary conditional on it; with clusters, the part that the baseline adds at
            known coefficients is that of independent episodes).

        Raises
        ------
        ContractError
            If a column is absent or has missing values.
        ExtrapolationError
            If a categorical column has a level that the fit did not see, or a time lies after the last event and no
            episode was seen event-free after it.
        ValueError
            If a time is negative or not finite, the method is not known, or simulation has no ``rng`` or too few draws.
        """
        asked = tables.checked_times(times)
        band = self._survival(frame, asked, method, rng, n_draws, interval=interval)
        return tables.time_table(band, frame.index, asked, interval=interval)

    def predict_cumulative_incidence(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.DataFrame:
        """Predict P(event by each time) of each row: p (1 - S(t)), which levels off at p.

        Parameters, returns and errors are those of ``predict_survival``.
        """
        asked = tables.checked_times(times)
        band = tables.complement(self._survival(frame, asked, method, rng, n_draws, interval=interval))
        return tables.time_table(band, frame.index, asked, interval=interval)

    def mean_curve(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        quantity: str = "cumulative_incidence",
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> StepCurve:
        """Average the predicted curve over the rows of a frame, with its band.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        times : array_like of shape (n_times,)
            Strictly increasing, in the unit of the data; 0 is put in front when it is not there.
        weights : array_like of shape (n_rows,) or None
            Weight of each row, such as its EAD; None weighs rows equally.
        quantity : str
            ``cumulative_incidence`` or ``survival``.
        method, rng, n_draws
            As in ``predict_susceptible``.

        Returns
        -------
        StepCurve
            The curve at these times, held constant between them.

        Raises
        ------
        ContractError, ExtrapolationError, ValueError
            As ``predict_survival``; ValueError for weights that are negative or all 0, and unknown quantities.
        """
        check_choice("quantity", quantity, _QUANTITIES)
        asked, weight = tables.from_zero(times), tables.checked_weights(weights, len(frame))
        predictor = self._predictor(frame)
        draws = prediction.draws_of(predictor, method=method, rng=rng, n_draws=n_draws)
        if draws is None:
            band = prediction.mean_survival(predictor, asked, weight)
        else:
            band = prediction.simulated_mean_survival(predictor, draws, asked, weight)
        band = band if quantity == "survival" else tables.complement(band)
        return tables.step_curve(band, asked, self.level)

    def residuals(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return Cox-Snell residuals: the cumulative hazard that each episode has lived through since its entry.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas and of time, under the names given to ``fit``.

        Returns
        -------
        DataFrame
            Indexed as the frame: ``residual``, ``lower``, ``upper`` and ``event``; an event lies somewhere in the jump
            of the baseline at its time. If the model holds, residuals with their events are a censored sample of the
            unit exponential distribution.

        Raises
        ------
        ContractError, ExtrapolationError
            As ``predict_survival``, and where times break their rules.
        """
        predictor = self._predictor(frame)
        return prediction.residuals(predictor, read_times(frame, **self.columns), frame.index)

    def to_record(self) -> dict[str, object]:
        """Return the fit as plain numbers and texts that JSON takes; None where there is no number."""
        own = ("incidence", "latency", "ties", "event_name", "form", "n_tail", "last_event_time")
        return tables.fit_record(self, (*own, *tables.FACTS))

    def sentence(self) -> str:
        """Name the event, and say what share is estimated never to have it and on what that rests."""
        opening = f"Event: {self.event_name}. Of {self.n_episodes:,.0f} episodes {self.n_events:,.0f} have had it"
        rests = f"proportional hazards; {self.n_tail:,.0f} episodes were still without it after the last event"
        caution = "" if self.boundary is None else f"; note that {self.boundary}"
        return f"{opening}; {self.never.text()} are estimated never to have it ({rests}){caution}."

    def _repr_html_(self) -> str:
        return tables.fit_html(self, likelihood="profile log-likelihood")

    def _survival(
        self,
        frame: pd.DataFrame,
        times: Array,
        method: str,
        rng: np.random.Generator | None,
        n_draws: int,
        *,
        interval: bool,
    ) -> Band:
        predictor = self._predictor(frame)
        if not interval:
            value = np.exp(prediction.log_survival(predictor, times[None, :]))
            return Band(value, value, value, value)  # no limits are asked for, so none are worked out
        draws = prediction.draws_of(predictor, method=method, rng=rng, n_draws=n_draws)
        if draws is None:
            return prediction.survival(predictor, times)
        return prediction.simulated_survival(predictor, draws, times)

    def _predictor(self, frame: pd.DataFrame) -> CoxCurePredictor:
        check_prediction_frame(frame, self.designs)
        incidence, latency = self.designs
        matrix = design_matrix(incidence, frame)
        other = matrix if latency is incidence else design_matrix(latency, frame)
        _, hazard_terms = covariates_of(latency, other)
        return CoxCurePredictor(
            theta=self.params.to_numpy(dtype=float),
            covariance=self.covariance,
            incidence=matrix,
            latency=hazard_terms - self.hazard.means,
            baseline=self.hazard,
            level=self.level,
        )
