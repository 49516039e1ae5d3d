"""A fitted discrete-time hazard model as a value: coefficients by outcome, hazards and cumulative incidences.

It holds what the fit learnt and nothing of the data it learnt from. It follows an episode as far as episodes were
followed and no further: what becomes of those still open then is a question for a cure model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.curves import StepCurve
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators import _fit_tables as tables
from recoverykit.estimators._discrete_design import HazardDesign
from recoverykit.estimators._discrete_forecast import Forecaster, by_outcome
from recoverykit.estimators._discrete_patterns import Patterns, read_patterns
from recoverykit.estimators._discrete_problem import ColumnNames
from recoverykit.estimators._discrete_residuals import monthly_residuals
from recoverykit.estimators._grounds import Grounds
from recoverykit.estimators._mixture_prediction import Band
from recoverykit.estimators._rows import Array, check_choice
from recoverykit.vocabulary import Outcome

_STILL_OPEN = str(Outcome.OPEN)
_COLUMNS = ("value", "lower", "upper", "standard_error")


@dataclass(frozen=True, slots=True, eq=False)
class DiscreteHazardFit(tables.Regression):
    """A converged discrete-time hazard model.

    It has no boundary: where a hazard has no finite estimate, fitting refuses. Nor does it know who ever ends: what
    stands for ``predict_susceptible`` is the share ended by the last month followed,
    ``predict_cumulative_incidence(frame, [fit.last_month])``.

    Attributes
    ----------
    formula, link : str
        The choices of the model.
    offset : str or mapping of str to str or None
        Likewise.
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
    columns : mapping of str to str or None
        Under which names the columns of months, outcome, weights and entry were given.
    """

    formula: str
    link: str
    offset: str | Mapping[str, str] | None
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
    columns: Mapping[str, Any] = field(repr=False)
    design: HazardDesign = field(repr=False)

    @property
    def boundary(self) -> None:
        """None: a fit in hand has finite estimates."""

    @property
    def never(self) -> None:
        """None: the share that never ends is not estimated."""

    @property
    def grounds(self) -> Grounds:
        """What a comparison with another fit rests on."""
        known = "" if self.offset is None else f" and offset {self.offset}"
        apart = self.link == "cloglog" and len(self.outcomes) > 1
        caution = "the outcomes are fitted apart, so that their likelihoods add up to one only where hazards are small"
        return Grounds(
            likelihood=f"model of monthly hazards with link {self.link}{known}",
            form="months, outcomes apart" if apart else "months",
            n_by_outcome=tuple(self.n_events_by_outcome.values()),
            columns={use: name for use, name in self.columns.items() if use != "default_month"},
            last_time=self.last_month,
            terms=frozenset((term, outcome) for term in self.design.design.terms for outcome in self.outcomes),
            distributions={},
            caution=f"{caution}, and p is a guide only" if apart else None,
        )

    def predict_hazard(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.DataFrame:
        """Predict P(outcome in the month | open just before it) of each row.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formula and of the offset. Not changed.
        times : array_like of shape (n_times,)
            Whole months in default, ``first_month`` to ``last_month``.
        macro : DataFrame, optional
            Needed where the formula reads macro columns: their values by calendar month (in the index, or in a column
            ``month_end``), for every month asked for; the scenario.
        default_month_col : str, optional
            Date or month of default, needed with ``macro``.
        interval : bool
            Whether to return value, lower, upper and standard_error by outcome.
        method : str
            ``delta``: symmetric on the complementary log-log scale; ``simulation``: percentiles over drawn parameters.
        rng : Generator, optional
            Source of the draws; needed for ``simulation``.
        n_draws : int
            Number of draws, 100 or more.

        Returns
        -------
        DataFrame
            One row per row of the frame, columns by outcome and time: ``["cured"]`` is the frame of one outcome. With
            ``interval`` one row per row, outcome and time.

        Raises
        ------
        ContractError
            If columns are absent or have missing values, or the macro path lacks a month.
        ExtrapolationError
            For months or levels outside the fit, or hazards that add up to more than 1.
        ValueError
            If a macro path is needed and not given, the method is not known, or simulation has no ``rng`` or too few
            draws.
        """
        asked = np.atleast_1d(np.asarray(times, dtype=float))
        if np.any(asked < self.first_month) or np.any(asked != np.floor(asked)):
            raise ValueError(
                f"a hazard belongs to a whole month from {self.first_month} on; times are {asked.tolist()}"
            )
        forecaster = self._forecaster
        forecaster.months_to(asked)  # before any work: is it within the months followed?
        patterns = read_patterns(self.design, frame, None, macro, default_month_col)
        draws = self._forecaster.draws(method, rng, n_draws) if interval else None
        band = forecaster.hazard_bands(patterns, asked, interval=interval, draws=draws)
        return _table(by_outcome(band, patterns, self.outcomes), frame.index, asked, interval=interval)

    def predict_cumulative_incidence(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        given_open_at: ArrayLike | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.DataFrame:
        """Predict P(outcome by each month in default) of each row and outcome, the others competing.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formula and of the offset. Not changed.
        times : array_like of shape (n_times,)
            Months in default, 0 to ``last_month``; what holds after the last completed month.
        given_open_at : float or array_like of shape (n_rows,), optional
            Completed months in default after which the row is known to be open; times up to it have incidence 0.
            Without it episodes are followed from their default, month 0 included.
        macro, default_month_col, interval, method, rng, n_draws
            As in ``predict_hazard``; the path must hold every calendar month from the one after ``given_open_at`` on.
            ``delta`` is on the log(-log(1 - F)) scale, as in ``aalen_johansen``.

        Returns
        -------
        DataFrame
            As in ``predict_hazard``.

        Raises
        ------
        ContractError, ExtrapolationError, ValueError
            As in ``predict_hazard``.
        """
        asked, patterns = self._asked(frame, times, given_open_at, macro, default_month_col)
        draws = self._forecaster.draws(method, rng, n_draws) if interval else None
        band = self._forecaster.share_bands(patterns, asked, interval=interval, draws=draws)
        return _table(by_outcome(band, patterns, self.outcomes), frame.index, asked, interval=interval)

    def predict_survival(
        self,
        frame: pd.DataFrame,
        times: ArrayLike,
        *,
        given_open_at: ArrayLike | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        interval: bool = False,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> pd.DataFrame:
        """Predict P(still open after each month in default) of each row.

        Parameters and errors are those of ``predict_cumulative_incidence``.

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per time; with ``interval`` one row per row and time, columns
            value, lower, upper, standard_error (``delta`` on the log(-log S) scale).
        """
        asked, patterns = self._asked(frame, times, given_open_at, macro, default_month_col)
        draws = self._forecaster.draws(method, rng, n_draws) if interval else None
        band = self._forecaster.share_bands(patterns, asked, interval=interval, draws=draws)
        still_open = by_outcome(band, patterns, (*self.outcomes, _STILL_OPEN))[_STILL_OPEN]
        if not interval:
            return tables.time_table(still_open, frame.index, asked, interval=False)
        return _table({_STILL_OPEN: still_open}, frame.index, asked, interval=True).droplevel("outcome")

    def predict_susceptible(self, frame: pd.DataFrame) -> pd.Series:
        """Refuse to predict P(ever has an outcome), which monthly hazards do not know.

        Parameters
        ----------
        frame : DataFrame

        Raises
        ------
        InsufficientDataError
            Always, with what can be predicted instead.
        """
        raise InsufficientDataError(
            f"the hazards are known up to month {self.last_month}, so what becomes of the {len(frame):,} rows after it "
            f"is not; the share ended by then is predict_cumulative_incidence(frame, [{self.last_month}]), and who "
            "ever ends is a question for a model with a never-resolving class, such as CompetingOutcomesModel"
        )

    def mean_curves(
        self,
        frame: pd.DataFrame,
        times: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        *,
        given_open_at: ArrayLike | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> dict[str, StepCurve]:
        """Average the cumulative incidences over the rows of a frame, with their bands.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formula.
        times : array_like of shape (n_times,), optional
            Strictly increasing months in default; 0 is put in front when it is not there. Every month when not given.
        weights : array_like of shape (n_rows,), optional
            Weight of each row, such as its EAD; rows weigh equally without it.
        given_open_at, macro, default_month_col, method, rng, n_draws
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
        asked, patterns = self._asked(frame, times, given_open_at, macro, default_month_col, whole=True)
        draws = self._forecaster.draws(method, rng, n_draws)
        curves = self._forecaster.mean_curves(patterns, asked, weights, draws=draws)
        return dict(zip(self.outcomes, curves, strict=False))

    def mean_survival(
        self,
        frame: pd.DataFrame,
        times: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        *,
        given_open_at: ArrayLike | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        method: str = "delta",
        rng: np.random.Generator | None = None,
        n_draws: int = 1000,
    ) -> StepCurve:
        """Average the chance of being open over the rows of a frame; parameters and errors as in ``mean_curves``."""
        asked, patterns = self._asked(frame, times, given_open_at, macro, default_month_col, whole=True)
        draws = self._forecaster.draws(method, rng, n_draws)
        return self._forecaster.mean_curves(patterns, asked, weights, draws=draws)[-1]

    def residuals(
        self, frame: pd.DataFrame, *, outcome: str | None = None, macro: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Return Cox-Snell residuals: the cumulative hazard that each episode has lived through since its entry.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formula, of months, entry and the outcome, under the names given to ``fit``.
        outcome : str, optional
            One outcome: its part of the hazard, and whether the episode ended in it. Without, the hazard of being ended
            by any; over the outcomes the residuals add up to it.
        macro : DataFrame, optional
            As in ``predict_hazard``.

        Returns
        -------
        DataFrame
            Indexed as the frame: ``residual``, ``lower`` and ``upper`` (an outcome of a month fell somewhere in it) and
            ``event``. If the model holds, residuals with their events are a censored sample of the unit exponential
            distribution.

        Raises
        ------
        ContractError
            If columns are absent or rows break a rule.
        ExtrapolationError
            For months or levels outside the fit.
        ValueError
            If the outcome is none of the fit's, or a macro path is needed and not given.
        """
        if outcome is not None:
            check_choice("outcome", outcome, self.outcomes)
        held = dict(self.columns)
        month = held.pop("default_month")
        names = ColumnNames(**held)
        return monthly_residuals(
            self._forecaster, frame, names, self.outcomes, outcome, macro=macro, default_month_col=month
        )

    def to_record(self) -> dict[str, object]:
        """Return choices, figures and parameters as JSON can hold them."""
        left_out = ("params", "standard_errors", "cov", "columns", "design")
        names = [name for name in self.__slots__ if name not in left_out]
        return tables.fit_record(self, (*names, "n_params", "aic", "bic"))

    def sentence(self) -> str:
        """Name the outcomes, say what the fit rests on, and that it says nothing of those who never end."""
        seen = ", ".join(f"{name} {count:,.0f}" for name, count in self.n_events_by_outcome.items())
        errors = "model-based" if self.n_clusters is None else f"robust over {self.n_clusters:,} clusters"
        return (
            f"Monthly hazards ({self.link}) of competing outcomes: of {self.n_episodes:,.0f} episodes "
            f"{self.n_events:,.0f} have ended ({seen}), errors {errors}. Hazards are known up to month "
            f"{self.last_month}; what share never ends is not estimated."
        )

    def _asked(
        self,
        frame: pd.DataFrame,
        times: ArrayLike | None,
        given_open_at: ArrayLike | None,
        macro: pd.DataFrame | None,
        default_month_col: str | None,
        *,
        whole: bool = False,
    ) -> tuple[Array, Patterns]:
        """Check what is asked for; a whole curve begins at 0, and has every month where no times are given."""
        every = np.arange(self.last_month + 1) if times is None else times
        asked = tables.from_zero(every) if whole else tables.checked_times(every)
        self._forecaster.months_to(asked)  # before any work: is it within the months followed?
        return asked, read_patterns(self.design, frame, given_open_at, macro, default_month_col)

    @property
    def _forecaster(self) -> Forecaster:
        coefficients = self.params.to_numpy(dtype=float).reshape(len(self.outcomes), -1)
        months = self.first_month, self.last_month
        return Forecaster(self.design, self.link, coefficients, self.cov.to_numpy(dtype=float), *months, self.level)


def _table(bands: Mapping[str, Band], index: pd.Index, asked: Array, *, interval: bool) -> pd.DataFrame:
    if interval:
        return tables.outcome_table(bands, index, asked, columns=_COLUMNS)
    return tables.wide_table({outcome: band.value for outcome, band in bands.items()}, index, asked)
