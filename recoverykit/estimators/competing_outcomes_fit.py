"""A fitted competing-outcomes model as a value: parameters, their uncertainty, predictions and one sentence.

It holds what the fit learnt and nothing of the data it learnt from. Times are in the unit of the data; the model is
defined for every time, and whoever asks beyond ``last_time`` extrapolates in the open.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.curves import StepCurve
from recoverykit.estimators._competing_prediction import (
    Predictor,
    Quantity,
    incidence_band,
    never,
    outcome_by,
    row_bands,
    share_band,
    still_open,
    survival_band,
)
from recoverykit.estimators._competing_tables import mean_curve, outcome_table, read_predictor
from recoverykit.estimators._fit_tables import (
    checked_times,
    checked_weights,
    curve_table,
    escaped,
    parameter_table,
    plain,
)
from recoverykit.estimators._formulas import Design
from recoverykit.estimators.distributions import standard_distribution
from recoverykit.estimators.mixture_cure_fit import ShareInterval

Array = NDArray[np.float64]

#: Name of the class of episodes that no outcome ever ends.
NEVER = "never_resolves"


@dataclass(frozen=True, slots=True, eq=False)
class CompetingOutcomesFit:
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
    designs: tuple[Design, ...] = field(repr=False)
    covariance: Array = field(repr=False)

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return len(self.params)

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 n_params - 2 loglik."""
        return 2.0 * self.n_params - 2.0 * self.loglik

    @property
    def bic(self) -> float:
        """Schwarz's criterion, n_params log(n_episodes) - 2 loglik."""
        return self.n_params * float(np.log(self.n_episodes)) - 2.0 * self.loglik

    def predict_incidence(
        self, frame: pd.DataFrame, *, given_open_at: ArrayLike | None = None, interval: bool = False
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

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per outcome, and ``never_resolves`` where the model has that
            class; they add up to 1. With ``interval`` one row per row and outcome, columns value, lower, upper
            (symmetric on the logit scale; on a boundary conditional on it).

        Raises
        ------
        ContractError
            If a column is absent or has missing values.
        ExtrapolationError
            If a categorical column has a level that the fit did not see.
        ValueError
            If ``given_open_at`` is negative, not finite or of another length.
        """
        predictor = self._predictor(frame, given_open_at)
        bands = {}
        for name, quantity in self._classes().items():
            log_value, error = row_bands(predictor, quantity, np.array([np.inf]))
            value = np.exp(log_value)
            bands[name] = share_band(value, value * error, predictor.quantile)
        if interval:
            return outcome_table(bands, frame.index, np.array([np.inf])).droplevel("time")
        return pd.DataFrame({name: band.value[:, 0] for name, band in bands.items()}, index=frame.index)

    def predict_susceptible(self, frame: pd.DataFrame, *, given_open_at: ArrayLike | None = None) -> pd.Series:
        """Predict P(ever resolves) of each row: the sum of the outcomes of ``predict_incidence``."""
        table = self.predict_incidence(frame, given_open_at=given_open_at)
        return table[list(self.outcomes)].sum(axis=1).rename("prob_susceptible")

    def predict_cumulative_incidence(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        given_open_at: ArrayLike | None = None,
        interval: bool = False,
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
        interval : bool
            Whether to return intervals too.

        Returns
        -------
        DataFrame
            One row per row of the frame, columns by outcome and time: ``["cured"]`` is the frame of one outcome. With
            ``interval`` one row per row, outcome and time, columns value, lower, upper (symmetric on the
            log(-log(1 - F)) scale; on a boundary conditional on it).

        Raises
        ------
        ContractError, ExtrapolationError, ValueError
            As ``predict_incidence``; ValueError also for times that are negative or not finite.
        """
        asked = checked_times(times)
        predictor = self._predictor(frame, given_open_at)
        bands = {}
        for k, outcome in enumerate(self.outcomes):
            log_value, error = row_bands(predictor, outcome_by(k), asked)
            value = np.exp(log_value)
            bands[outcome] = incidence_band(value, value * error, predictor.quantile)
        if interval:
            return outcome_table(bands, frame.index, asked)
        columns = pd.MultiIndex.from_product([list(self.outcomes), list(asked)], names=["outcome", "time"])
        return pd.DataFrame(np.hstack([band.value for band in bands.values()]), index=frame.index, columns=columns)

    def predict_survival(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        given_open_at: ArrayLike | None = None,
        interval: bool = False,
    ) -> pd.DataFrame:
        """Predict P(still open at each time) of each row.

        Parameters, errors and conditioning are those of ``predict_cumulative_incidence``; survival and the incidences
        of all outcomes add up to 1.

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per time; with ``interval`` one row per row and time, columns
            value, lower, upper (symmetric on the log(-log) scale).
        """
        asked = checked_times(times)
        predictor = self._predictor(frame, given_open_at)
        band = survival_band(*row_bands(predictor, still_open, asked), predictor.quantile)
        if not interval:
            return pd.DataFrame(band.value, index=frame.index, columns=pd.Index(asked, name="time"))
        return curve_table(band.value, band.lower, band.upper, frame.index, asked)

    def mean_curves(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        given_open_at: ArrayLike | None = None,
    ) -> dict[str, StepCurve]:
        """Average the predicted incidence curves over the rows of a frame, with delta-method bands.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        times : array_like of shape (n_times,)
            Strictly increasing, in the unit of the data; 0 is put in front when it is not there.
        weights : array_like of shape (n_rows,) or None
            Weight of each row, such as its EAD; None weighs rows equally.
        given_open_at : float or array_like of shape (n_rows,), optional
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
        asked, weight = checked_times(times), checked_weights(weights, len(frame))
        rows = self._predictor(frame, given_open_at)
        return {name: mean_curve(rows, outcome_by(k), asked, weight) for k, name in enumerate(self.outcomes)}

    def mean_survival(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        given_open_at: ArrayLike | None = None,
    ) -> StepCurve:
        """Average the chance of being open over the rows of a frame; parameters and errors as in ``mean_curves``."""
        weight = checked_weights(weights, len(frame))
        return mean_curve(self._predictor(frame, given_open_at), None, checked_times(times), weight)

    def summary(self) -> pd.DataFrame:
        """Return one row per parameter: estimate, standard error, z, two-sided p-value, interval."""
        return parameter_table(self.params, self.standard_errors, self.level)

    def to_frame(self) -> pd.DataFrame:
        """Return the summary with part, outcome and term as columns, ready to be written."""
        return self.summary().reset_index()

    def to_record(self) -> dict[str, object]:
        """Return the fit as plain numbers and texts that JSON takes; None where there is no number."""
        names = (
            *("incidence", "never_resolves", "form", "n_episodes", "n_events", "n_rows", "n_compressed_rows"),
            *("n_params", "n_clusters", "loglik", "aic", "bic", "boundary", "n_starts", "n_agreed", "n_iterations"),
            *("last_time", "level"),
        )
        record: dict[str, object] = {name: getattr(self, name) for name in names}
        record["outcomes"] = list(self.outcomes)
        record |= {name: dict(getattr(self, name)) for name in ("distribution", "latency", "n_by_outcome")}
        record["never"] = None if self.never is None else {k: plain(v) for k, v in asdict(self.never).items()}
        rows = self.to_frame().to_dict(orient="records")
        record["params"] = [{str(k): v if isinstance(v, str) else plain(v) for k, v in row.items()} for row in rows]
        record["sentence"] = self.sentence()
        return record

    def sentence(self) -> str:
        """Name the outcomes, and say what share is estimated never to resolve."""
        seen = ", ".join(f"{n:,.0f} {outcome}" for outcome, n in self.n_by_outcome.items())
        if self.never is None:
            share = "the model takes it that every episode is resolved in the end"
        else:
            share = f"{self.never.value:.1%}"
            if np.isfinite(self.never.lower):
                share += f" ({self.level:.0%} interval {self.never.lower:.1%} to {self.never.upper:.1%})"
            share += " are estimated never to resolve"
        caution = "" if self.boundary is None else f"; note that {self.boundary}"
        return f"Outcomes: {seen} of {self.n_episodes:,.0f} episodes; {share}{caution}."

    def _repr_html_(self) -> str:
        table = self.summary().to_html(float_format=lambda number: f"{number:.4g}")
        return f"<p>{escaped(self.sentence())}</p>{table}<p>log-likelihood {self.loglik:,.3f}, AIC {self.aic:,.1f}</p>"

    def _classes(self) -> dict[str, Quantity]:
        found = {outcome: outcome_by(k) for k, outcome in enumerate(self.outcomes)}
        return found | {NEVER: never} if self.never_resolves else found

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
