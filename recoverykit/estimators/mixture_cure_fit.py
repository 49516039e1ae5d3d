"""A fitted cure model as a value: parameters, their uncertainty, predictions, residuals and one sentence.

It holds what the fit learnt and nothing of the data it learnt from. Times are in the unit of the data; the model is
defined for every time, and whoever asks beyond ``last_time`` extrapolates in the open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.curves import StepCurve
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators import _fit_tables as tables
from recoverykit.estimators import _mixture_simulation as simulation
from recoverykit.estimators._event_times import read_event_times
from recoverykit.estimators._fit_tables import ShareInterval
from recoverykit.estimators._formulas import Design, check_prediction_frame, design_matrix
from recoverykit.estimators._grounds import Grounds, terms_of
from recoverykit.estimators._mixture_prediction import Band, Predictor, mean_survival, survival, susceptible
from recoverykit.estimators._mixture_residuals import cox_snell
from recoverykit.estimators._mixture_terms import MIXTURE, Family
from recoverykit.estimators._rows import check_choice
from recoverykit.estimators.distributions import standard_distribution

__all__ = ["CureFit", "MixtureCureFit", "ShareInterval"]

Array = NDArray[np.float64]

_QUANTITIES = ("cumulative_incidence", "survival")


@dataclass(frozen=True, slots=True, eq=False)
class CureFit(tables.Regression):
    """A converged cure model, whatever its family.

    Attributes
    ----------
    distribution, incidence, latency, link : str
        The choices of the model.
    event_name : str
        What the event is called.
    params, standard_errors : Series
        By part (``incidence``, ``latency``, ``ancillary``) and term. Incidence models P(ever has the event) on the
        link scale; latency models log time; ``log_sigma`` is the log scale. NaN errors: not identified.
    cov : DataFrame of shape (n_params, n_params)
        Their covariance: inverse observed information, or the cluster-robust sandwich.
    loglik : float
        Of the data in their unit of time.
    n_episodes, n_events : float
        Sums of the case weights, of all rows and of those with the event.
    n_rows, n_compressed_rows : int
        Rows given, and distinct rows on which the likelihood was evaluated.
    form : str
        ``exact`` or ``interval`` event times.
    n_clusters : int or None
        Clusters of the robust covariance.
    boundary : str or None
        Why something is not identified; None inside the parameter space.
    n_starts, n_agreed, n_iterations : int
        Starts tried, starts that ended at this maximum, Newton steps from the best of them.
    never : ShareInterval
        Share of the episodes estimated never to have the event, averaged over those fitted.
    last_time : float
        Last time observed.
    level : float
        Confidence level of every interval.
    columns : mapping of str to str or None
        Under which names the columns of time, weights and background were given.
    """

    family: ClassVar[Family] = MIXTURE

    distribution: str
    incidence: str
    latency: str
    link: str
    event_name: str
    params: pd.Series
    standard_errors: pd.Series
    cov: pd.DataFrame
    loglik: float
    n_episodes: float
    n_events: float
    n_rows: int
    n_compressed_rows: int
    form: str
    n_clusters: int | None
    boundary: str | None
    n_starts: int
    n_agreed: int
    n_iterations: int
    never: ShareInterval
    last_time: float
    level: float
    columns: Mapping[str, str | None] = field(repr=False)
    designs: tuple[Design, Design] = field(repr=False)
    covariance: Array = field(repr=False)

    @property
    def grounds(self) -> Grounds:
        """What a comparison with another fit rests on."""
        return Grounds(
            likelihood=f"{self.family.name} model with link {self.link}",
            form=self.form,
            n_by_outcome=(self.n_events,),
            columns=self.columns,
            last_time=self.last_time,
            terms=terms_of(self.params),
            distributions={"": self.distribution},
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
            ``delta``: symmetric on the link scale; ``simulation``: percentiles over drawn parameters.
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
        draws = simulation.drawn_parameters(predictor, method, rng, n_draws) if interval else None
        band = susceptible(predictor) if draws is None else simulation.simulated_susceptible(predictor, draws)
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
        """Predict P(no event by each time) of each row, which levels off at 1 - P(ever has the event).

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        times : array_like of shape (n_times,)
            In the unit of the data, 0 or more. Times beyond ``last_time`` rest on the distribution alone.
        interval : bool
            Whether to return the interval too.
        method, rng, n_draws
            As in ``predict_susceptible``; ``delta`` is symmetric on the log(-log) scale.

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per time; with ``interval`` one row per row and time, columns
            value, lower, upper (on a boundary conditional on it).

        Raises
        ------
        ContractError, ExtrapolationError, ValueError
            As ``predict_susceptible``; ValueError too for times that are negative or not finite.
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
        """Predict P(event by each time) of each row, which levels off at P(ever has the event).

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
        asked = tables.from_zero(times)
        weight = tables.checked_weights(weights, len(frame))
        predictor = self._predictor(frame)
        draws = simulation.drawn_parameters(predictor, method, rng, n_draws)
        if draws is None:
            band = mean_survival(predictor, asked, weight)
        else:
            band = simulation.simulated_mean_survival(predictor, draws, asked, weight)
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
            Indexed as the frame: ``residual``, ``lower``, ``upper`` and ``event``. If the model holds, residuals with
            their events are a censored sample of the unit exponential distribution.

        Raises
        ------
        ContractError, ExtrapolationError
            As ``predict_susceptible``, and where times break their rules.
        InsufficientDataError
            If the fit has a background hazard: what it adds over time is not known to the model.
        """
        if self.columns["background_col"] is not None:
            raise InsufficientDataError(
                "the background hazard is known at the events only, so the cumulative hazard of an episode is not; "
                "residuals are those of fits without background_col"
            )
        return cox_snell(self._predictor(frame), read_event_times(frame, **self.columns), frame.index)

    def to_record(self) -> dict[str, object]:
        """Return the fit as plain numbers and texts that JSON takes; None where there is no number."""
        choices = ("distribution", "incidence", "latency", "link", "event_name", "form")
        return tables.fit_record(self, (*choices, *tables.FACTS)) | {"family": self.family.name}

    def sentence(self) -> str:
        """Name the event, and say what share is estimated never to have it."""
        opening = f"Event: {self.event_name}. Of {self.n_episodes:,.0f} episodes {self.n_events:,.0f} have had it"
        latency = f"{self.distribution.replace('_', ' ')} latency"
        model = latency if self.family is MIXTURE else f"{self.family.name} model, {latency}"
        caution = "" if self.boundary is None else f"; note that {self.boundary}"
        return f"{opening}; {self.never.text()} are estimated never to have it ({model}){caution}."

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
            value = simulation.survival_values(predictor, times)
            return Band(value, value, value, value)  # no limits are asked for, so none are worked out
        draws = simulation.drawn_parameters(predictor, method, rng, n_draws)
        return survival(predictor, times) if draws is None else simulation.simulated_survival(predictor, draws, times)

    def _predictor(self, frame: pd.DataFrame) -> Predictor:
        check_prediction_frame(frame, self.designs)
        incidence, latency = self.designs
        incidence_matrix = design_matrix(incidence, frame)
        return Predictor(
            theta=self.params.to_numpy(dtype=float),
            covariance=self.covariance,
            incidence=incidence_matrix,
            latency=incidence_matrix if latency is incidence else design_matrix(latency, frame),
            distribution=standard_distribution(self.distribution),
            link=self.family.links[self.link],
            level=self.level,
            family=self.family,
        )


@dataclass(frozen=True, slots=True, eq=False)
class MixtureCureFit(CureFit):
    """A converged mixture cure model: P(T > t) = 1 - p + p S(t). Attributes are those of ``CureFit``."""
