"""A fitted discrete-time hazard model as a value: coefficients by outcome, hazards and cumulative incidences.

It holds what the fit learnt and nothing of the data it learnt from. It follows an episode as far as episodes were
followed and no further: what becomes of those still open then is a question for a cure model.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.curves import StepCurve
from recoverykit.estimators._discrete_design import HazardDesign
from recoverykit.estimators._discrete_forecast import Forecaster, Patterns, read_patterns
from recoverykit.estimators._discrete_tables import curve, long_table, wide_table
from recoverykit.estimators._fit_tables import checked_times, escaped, parameter_table
from recoverykit.estimators._rows import Array
from recoverykit.vocabulary import Outcome

_STILL_OPEN = str(Outcome.OPEN)


@dataclass(frozen=True, slots=True, eq=False)
class DiscreteHazardFit:
    """A converged discrete-time hazard model.

    Attributes
    ----------
    formula, link : str
        The choices of the model.
    outcomes : tuple of str
        The competing outcomes, in the order of the legend.
    params, standard_errors : Series
        By outcome and term. ``cloglog``: log of the ratio of (grouped continuous-time) hazards. ``multinomial``: log
        odds of the outcome in a month against staying open.
    cov : DataFrame of shape (n_params, n_params)
        Their covariance, across outcomes too: model-based, or the cluster-robust sandwich.
    loglik : float
        ``multinomial``: of the rows. ``cloglog``: the sum of the binomial log-likelihoods of the outcomes, which with
        one outcome is that of the rows; not comparable between the links when outcomes compete.
    n_episodes, n_events : float
        Sums of the case weights, of all rows and of those with an outcome.
    n_events_by_outcome : dict of str to float
    n_never_at_risk : float
        Episodes censored before their first month at risk, which say nothing of any hazard.
    n_rows, n_compressed_rows, n_cells : int
        Rows given; distinct rows; cells of pattern and month on which the likelihood was evaluated.
    n_clusters : int or None
        Clusters of the robust covariance.
    n_iterations : int
        Newton steps (the most of any outcome).
    first_month, last_month : int
        Months at risk: 0 to the last when outcomes fell in month 0 itself, otherwise from 1.
    level : float
        Confidence level of every interval.
    """

    formula: str
    link: str
    outcomes: tuple[str, ...]
    params: pd.Series
    standard_errors: pd.Series
    cov: pd.DataFrame
    loglik: float
    n_episodes: float
    n_events: float
    n_events_by_outcome: dict[str, float]
    n_never_at_risk: float
    n_rows: int
    n_compressed_rows: int
    n_cells: int
    n_clusters: int | None
    n_iterations: int
    first_month: int
    last_month: int
    level: float
    design: HazardDesign = field(repr=False)

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

    def predict_hazard(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        interval: bool = False,
    ) -> pd.DataFrame:
        """Predict P(outcome in the month | open just before it) of each row.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formula. Not changed.
        times : array_like of shape (n_times,)
            Whole months in default, ``first_month`` to ``last_month``.
        macro : DataFrame, optional
            Needed where the formula reads macro columns: their values by calendar month (in the index, or in a column
            ``month_end``), for every month asked for; the scenario.
        default_month_col : str, optional
            Date or month of default, needed with ``macro``.
        interval : bool
            Whether to return value, lower, upper and standard_error by outcome.

        Returns
        -------
        DataFrame
            One row per row of the frame, columns by outcome and time: ``["cured"]`` is the frame of one outcome. With
            ``interval`` one row per row, outcome and time, symmetric on the complementary log-log scale.

        Raises
        ------
        ContractError
            If columns are absent or have missing values, or the macro path lacks a month.
        ExtrapolationError
            For months or levels outside the fit, or hazards that add up to more than 1.
        ValueError
            If a macro path is needed and not given.
        """
        asked = np.atleast_1d(np.asarray(times, dtype=float))
        if np.any(asked < self.first_month) or np.any(asked != np.floor(asked)):
            raise ValueError(
                f"a hazard belongs to a whole month from {self.first_month} on; times are {asked.tolist()}"
            )
        forecaster = self._forecaster
        forecaster.months_to(asked)  # before any work: is it within the months followed?
        patterns = read_patterns(self.design, frame, None, macro, default_month_col)
        values, errors = forecaster.hazards(patterns, asked, with_errors=interval)
        return self._table(values[patterns.inverse], errors[patterns.inverse], frame.index, asked, interval=interval)

    def predict_cumulative_incidence(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        given_open_at: ArrayLike | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        interval: bool = False,
    ) -> pd.DataFrame:
        """Predict P(outcome by each month in default) of each row and outcome, the others competing.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formula. Not changed.
        times : array_like of shape (n_times,)
            Months in default, 0 to ``last_month``; what holds after the last completed month.
        given_open_at : float or array_like of shape (n_rows,), optional
            Completed months in default after which the row is known to be open; times up to it have incidence 0.
            Without it episodes are followed from their default, month 0 included.
        macro, default_month_col, interval
            As in ``predict_hazard``; the path must hold every calendar month from the one after ``given_open_at`` on.

        Returns
        -------
        DataFrame
            As in ``predict_hazard``. Intervals by the delta method on the log(-log(1 - F)) scale, as in
            ``aalen_johansen``.

        Raises
        ------
        ContractError, ExtrapolationError, ValueError
            As in ``predict_hazard``.
        """
        asked, patterns = self._asked(frame, times, given_open_at, macro, default_month_col)
        values, errors = self._forecaster.shares(patterns, asked, with_errors=interval)
        values, errors = values[patterns.inverse, :, :-1], errors[patterns.inverse, :, :-1]
        return self._table(values, errors, frame.index, asked, interval=interval)

    def predict_survival(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        given_open_at: ArrayLike | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        interval: bool = False,
    ) -> pd.DataFrame:
        """Predict P(still open after each month in default) of each row.

        Parameters and errors are those of ``predict_cumulative_incidence``.

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per time; with ``interval`` one row per row and time, columns
            value, lower, upper, standard_error (log(-log S) scale).
        """
        asked, patterns = self._asked(frame, times, given_open_at, macro, default_month_col)
        values, errors = self._forecaster.shares(patterns, asked, with_errors=interval)
        values, errors = values[patterns.inverse, :, -1:], errors[patterns.inverse, :, -1:]
        if not interval:
            return pd.DataFrame(values[:, :, 0], index=frame.index, columns=pd.Index(asked, name="time"))
        table = long_table(values, errors, frame.index, asked, [_STILL_OPEN], level=self.level, is_survival=True)
        return table.droplevel("outcome")

    def mean_curves(
        self,
        frame: pd.DataFrame,
        times: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        *,
        given_open_at: ArrayLike | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
    ) -> dict[str, StepCurve]:
        """Average the cumulative incidences over the rows of a frame, with delta-method bands.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formula.
        times : array_like of shape (n_times,), optional
            Strictly increasing months in default; 0 is put in front when it is not there. Every month when not given.
        weights : array_like of shape (n_rows,), optional
            Weight of each row, such as its EAD; rows weigh equally without it.
        given_open_at, macro, default_month_col
            As in ``predict_cumulative_incidence``.

        Returns
        -------
        dict of str to StepCurve
            Each outcome's cumulative incidence; with ``mean_survival`` they add up to 1.

        Raises
        ------
        ContractError, ExtrapolationError, ValueError
            As in ``predict_cumulative_incidence``; ValueError for weights that are negative or all 0.
        """
        asked, value, error = self._mean(frame, times, weights, given_open_at, macro, default_month_col)
        return {
            outcome: curve(asked, value[:, k], error[:, k], level=self.level, is_survival=False)
            for k, outcome in enumerate(self.outcomes)
        }

    def mean_survival(
        self,
        frame: pd.DataFrame,
        times: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        *,
        given_open_at: ArrayLike | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
    ) -> StepCurve:
        """Average the chance of being open over the rows of a frame; parameters and errors as in ``mean_curves``."""
        asked, value, error = self._mean(frame, times, weights, given_open_at, macro, default_month_col)
        return curve(asked, value[:, -1], error[:, -1], level=self.level, is_survival=True)

    def summary(self) -> pd.DataFrame:
        """Return one row per parameter: estimate, standard error, z, two-sided p-value, interval."""
        return parameter_table(self.params, self.standard_errors, self.level)

    def to_frame(self) -> pd.DataFrame:
        """Return the summary with outcome and term as columns, ready to be written."""
        return self.summary().reset_index()

    def to_record(self) -> dict[str, object]:
        """Return choices, figures and parameters as JSON can hold them."""
        fields = [name for name in self.__slots__ if name not in ("params", "standard_errors", "cov", "design")]
        record: dict[str, object] = {name: getattr(self, name) for name in (*fields, "n_params", "aic", "bic")}
        record["outcomes"] = list(self.outcomes)
        record["params"] = self.to_frame().to_dict(orient="records")
        record["sentence"] = self.sentence()
        return record

    def sentence(self) -> str:
        """Name the outcomes, say what the fit rests on, and that it says nothing of those who never end."""
        seen = ", ".join(f"{name} {count:,.0f}" for name, count in self.n_events_by_outcome.items())
        errors = "model-based" if self.n_clusters is None else f"robust over {self.n_clusters:,} clusters"
        return (
            f"Monthly hazards ({self.link}) of competing outcomes: of {self.n_episodes:,.0f} episodes "
            f"{self.n_events:,.0f} have ended ({seen}), errors {errors}. Hazards are known up to month "
            f"{self.last_month}; what share never ends is not estimated."
        )

    def _repr_html_(self) -> str:
        table = self.summary().to_html(float_format=lambda number: f"{number:.4g}")
        return f"<p>{escaped(self.sentence())}</p>{table}<p>log-likelihood {self.loglik:,.3f}, AIC {self.aic:,.1f}</p>"

    def _asked(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        given_open_at: ArrayLike | None,
        macro: pd.DataFrame | None,
        default_month_col: str | None,
    ) -> tuple[Array, Patterns]:
        asked = checked_times(times)
        self._forecaster.months_to(asked)  # before any work: is it within the months followed?
        patterns = read_patterns(self.design, frame, given_open_at, macro, default_month_col)
        return asked, patterns

    def _mean(
        self,
        frame: pd.DataFrame,
        times: ArrayLike | None,
        weights: ArrayLike | None,
        given_open_at: ArrayLike | None,
        macro: pd.DataFrame | None,
        default_month_col: str | None,
    ) -> tuple[Array, Array, Array]:
        """Return times, mean shares and their standard errors, (n_times, n_outcomes + 1), open last."""
        every = np.arange(self.last_month + 1) if times is None else times
        asked, patterns = self._asked(frame, every, given_open_at, macro, default_month_col)
        asked = asked if asked[0] == 0 else np.concatenate([[0.0], asked])
        return asked, *self._forecaster.mean_shares(patterns, asked, weights)

    def _table(self, values: Array, errors: Array, index: pd.Index, asked: Array, *, interval: bool) -> pd.DataFrame:
        if not interval:
            return wide_table(values, index, asked, self.outcomes)
        return long_table(values, errors, index, asked, self.outcomes, level=self.level, is_survival=False)

    @property
    def _forecaster(self) -> Forecaster:
        coefficients = self.params.to_numpy(dtype=float).reshape(len(self.outcomes), -1)
        covariance = self.cov.to_numpy(dtype=float)
        return Forecaster(self.design, self.link, coefficients, covariance, self.first_month, self.last_month)
