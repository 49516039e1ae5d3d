"""A fitted Cox cure model as a value: odds of ever having the event, hazard ratios, a baseline, predictions.

It holds what the fit learnt and nothing of the data it learnt from. The baseline is known at the event times seen and
no further; whether more can be said after the last of them, the fit says.
"""

from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.curves import StepCurve
from recoverykit.estimators._cox_cure_prediction import (
    BaselineHazard,
    CoxCurePredictor,
    mean_survival,
    survival,
    susceptible,
)
from recoverykit.estimators._fit_tables import (
    checked_times,
    checked_weights,
    curve_table,
    escaped,
    parameter_table,
    plain,
)
from recoverykit.estimators._formulas import Design, check_prediction_frame, design_matrix
from recoverykit.estimators._mixture_prediction import Band
from recoverykit.estimators._rows import check_choice
from recoverykit.estimators.mixture_cure_fit import ShareInterval

Array = NDArray[np.float64]

INTERCEPT = "Intercept"
_QUANTITIES = ("cumulative_incidence", "survival")


@dataclass(frozen=True, slots=True, eq=False)
class CoxCureFit:
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
    designs: tuple[Design, Design] = field(repr=False)
    covariance: Array = field(repr=False)
    hazard: BaselineHazard = field(repr=False)

    @property
    def form(self) -> str:
        """What the likelihood counts: jumps at the event times, by the rule for ties."""
        return f"jumps ({self.ties})"

    @property
    def n_params(self) -> int:
        """Number of coefficients; the baseline is not counted."""
        return len(self.params)

    @property
    def aic(self) -> float:
        """Akaike's criterion on the profile likelihood, 2 n_params - 2 loglik."""
        return 2.0 * self.n_params - 2.0 * self.loglik

    @property
    def bic(self) -> float:
        """Schwarz's criterion on the profile likelihood, n_params log(n_episodes) - 2 loglik."""
        return self.n_params * float(np.log(self.n_episodes)) - 2.0 * self.loglik

    def predict_susceptible(self, frame: pd.DataFrame, *, interval: bool = False) -> pd.Series | pd.DataFrame:
        """Predict P(ever has the event) of each row.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        interval : bool
            Whether to return value, lower and upper instead of the value alone.

        Returns
        -------
        Series or DataFrame
            In [0, 1], indexed as the frame. The interval is symmetric on the logit scale; NaN where the incidence
            stands on its boundary.

        Raises
        ------
        ContractError
            If a column is absent or has missing values.
        ExtrapolationError
            If a categorical column has a level that the fit did not see.
        """
        predictor = self._predictor(frame)
        band = susceptible(predictor)
        if not interval:
            return pd.Series(band.value, index=frame.index, name="prob_susceptible")
        open_terms = self.standard_errors["incidence"].isna().to_numpy()
        open_rows = (predictor.incidence[:, open_terms] != 0).any(axis=1)
        limits = {"lower": np.where(open_rows, np.nan, band.lower), "upper": np.where(open_rows, np.nan, band.upper)}
        return pd.DataFrame({"value": band.value, **limits}, index=frame.index)

    def predict_survival(self, frame: pd.DataFrame, times: ArrayLike, *, interval: bool = False) -> pd.DataFrame:
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

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per time; with ``interval`` one row per row and time, columns
            value, lower, upper (symmetric on the log(-log) scale; on a boundary conditional on it; with clusters, the
            part that the baseline adds at known coefficients is that of independent episodes).

        Raises
        ------
        ContractError
            If a column is absent or has missing values.
        ExtrapolationError
            If a categorical column has a level that the fit did not see, or a time lies after the last event and no
            episode was seen event-free after it.
        ValueError
            If a time is negative or not finite.
        """
        asked = checked_times(times)
        return _table(survival(self._predictor(frame), asked), frame.index, asked, interval=interval)

    def predict_cumulative_incidence(
        self, frame: pd.DataFrame, times: ArrayLike, *, interval: bool = False
    ) -> pd.DataFrame:
        """Predict P(event by each time) of each row: p (1 - S(t)), which levels off at p.

        Parameters, returns and errors are those of ``predict_survival``.
        """
        asked = checked_times(times)
        band = _complement(survival(self._predictor(frame), asked))
        return _table(band, frame.index, asked, interval=interval)

    def mean_curve(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        quantity: str = "cumulative_incidence",
    ) -> StepCurve:
        """Average the predicted curve over the rows of a frame, with a delta-method band.

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
        asked = checked_times(times)
        asked = asked if asked[0] == 0 else np.concatenate([[0.0], asked])
        weight = checked_weights(weights, len(frame))
        band = mean_survival(self._predictor(frame), asked, weight)
        band = band if quantity == "survival" else _complement(band)
        return StepCurve(
            times=asked,
            values=band.value,
            lower=band.lower,
            upper=band.upper,
            level=self.level,
            standard_errors=band.standard_error,
        )

    def summary(self) -> pd.DataFrame:
        """Return one row per parameter: estimate, standard error, z, two-sided p-value, interval."""
        return parameter_table(self.params, self.standard_errors, self.level)

    def to_frame(self) -> pd.DataFrame:
        """Return the summary with part and term as columns, ready to be written."""
        return self.summary().reset_index()

    def to_record(self) -> dict[str, object]:
        """Return the fit as plain numbers and texts that JSON takes; None where there is no number."""
        choices = ("incidence", "latency", "ties", "event_name", "form")
        counts = ("n_episodes", "n_events", "n_tail", "n_rows", "n_compressed_rows", "n_params", "n_clusters")
        facts = ("loglik", "aic", "bic", "boundary", "n_starts", "n_agreed", "n_iterations")
        ends = ("last_event_time", "last_time", "level")
        record: dict[str, object] = {name: getattr(self, name) for name in (*choices, *counts, *facts, *ends)}
        record["never"] = {name: plain(value) for name, value in asdict(self.never).items()}
        rows = self.to_frame().to_dict(orient="records")
        record["params"] = [{str(k): v if isinstance(v, str) else plain(v) for k, v in row.items()} for row in rows]
        record["sentence"] = self.sentence()
        return record

    def sentence(self) -> str:
        """Name the event, and say what share is estimated never to have it and on what that rests."""
        opening = f"Event: {self.event_name}. Of {self.n_episodes:,.0f} episodes {self.n_events:,.0f} have had it"
        share = f"{self.never.value:.1%}"
        if np.isfinite(self.never.lower):
            share += f" ({self.level:.0%} interval {self.never.lower:.1%} to {self.never.upper:.1%})"
        rests = f"proportional hazards; {self.n_tail:,.0f} episodes were still without it after the last event"
        caution = "" if self.boundary is None else f"; note that {self.boundary}"
        return f"{opening}; {share} are estimated never to have it ({rests}){caution}."

    def _repr_html_(self) -> str:
        table = self.summary().to_html(float_format=lambda number: f"{number:.4g}")
        fitted = f"profile log-likelihood {self.loglik:,.3f}, AIC {self.aic:,.1f}"
        return f"<p>{escaped(self.sentence())}</p>{table}<p>{fitted}</p>"

    def _predictor(self, frame: pd.DataFrame) -> CoxCurePredictor:
        check_prediction_frame(frame, self.designs)
        incidence, latency = self.designs
        matrix = design_matrix(incidence, frame)
        other = matrix if latency is incidence else design_matrix(latency, frame)
        kept = [term != INTERCEPT for term in latency.terms]
        return CoxCurePredictor(
            theta=self.params.to_numpy(dtype=float),
            covariance=self.covariance,
            incidence=matrix,
            latency=other[:, kept] - self.hazard.means,
            baseline=self.hazard,
            level=self.level,
        )


def _complement(band: Band) -> Band:
    return Band(1.0 - band.value, 1.0 - band.upper, 1.0 - band.lower, band.standard_error)


def _table(band: Band, index: pd.Index, times: Array, *, interval: bool) -> pd.DataFrame:
    if interval:
        return curve_table(band.value, band.lower, band.upper, index, times)
    return pd.DataFrame(band.value, index=index, columns=pd.Index(times, name="time"))
