"""A fitted mixture cure model as a value: parameters, their uncertainty, predictions and one sentence.

It holds what the fit learnt and nothing of the data it learnt from. Times are in the unit of the data; the model is
defined for every time, and whoever asks beyond ``last_time`` extrapolates in the open.
"""

from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtri

from recoverykit.curves import StepCurve
from recoverykit.estimators._formulas import Design, check_prediction_frame, design_matrix
from recoverykit.estimators._links import LINKS
from recoverykit.estimators._mixture_prediction import Band, Predictor, mean_survival, survival, susceptible
from recoverykit.estimators._rows import check_choice
from recoverykit.estimators.distributions import standard_distribution

Array = NDArray[np.float64]

_QUANTITIES = ("cumulative_incidence", "survival")


@dataclass(frozen=True, slots=True)
class ShareInterval:
    """A share of episodes with its interval.

    Attributes
    ----------
    value, lower, upper : float
        In [0, 1]; the interval is NaN where the share is not identified.
    level : float
        Confidence level.
    """

    value: float
    lower: float
    upper: float
    level: float


@dataclass(frozen=True, slots=True, eq=False)
class MixtureCureFit:
    """A converged mixture cure model.

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
    """

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
    designs: tuple[Design, Design] = field(repr=False)
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
            In [0, 1], indexed as the frame. The interval is symmetric on the link scale; NaN where the incidence stands
            on its boundary.

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
        """Predict P(no event by each time) of each row: 1 - p + p S(t), which levels off at 1 - p.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas.
        times : array_like of shape (n_times,)
            In the unit of the data, 0 or more. Times beyond ``last_time`` rest on the distribution alone.
        interval : bool
            Whether to return the interval too.

        Returns
        -------
        DataFrame
            One row per row of the frame and one column per time; with ``interval`` one row per row and time, columns
            value, lower, upper (symmetric on the log(-log) scale; on a boundary conditional on it).

        Raises
        ------
        ContractError
            If a column is absent or has missing values.
        ExtrapolationError
            If a categorical column has a level that the fit did not see.
        ValueError
            If a time is negative or not finite.
        """
        asked = _checked_times(times)
        return _table(survival(self._predictor(frame), asked), frame.index, asked, interval=interval)

    def predict_cumulative_incidence(
        self, frame: pd.DataFrame, times: ArrayLike, *, interval: bool = False
    ) -> pd.DataFrame:
        """Predict P(event by each time) of each row: p (1 - S(t)), which levels off at p.

        Parameters, returns and errors are those of ``predict_survival``.
        """
        asked = _checked_times(times)
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
        asked = _checked_times(times)
        asked = asked if asked[0] == 0 else np.concatenate([[0.0], asked])
        weight = np.ones(len(frame)) if weights is None else np.asarray(weights, dtype=float)
        if weight.shape != (len(frame),) or not (
            np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0
        ):
            raise ValueError(f"weights must be {len(frame)} numbers of 0 or more, one per row, not all 0")
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
        z = self.params / self.standard_errors
        half = float(ndtri(0.5 + 0.5 * self.level)) * self.standard_errors
        return pd.DataFrame(
            {
                "estimate": self.params,
                "standard_error": self.standard_errors,
                "z": z,
                "p_value": 2.0 * np.exp(log_ndtr(-z.abs().to_numpy())),
                "lower": self.params - half,
                "upper": self.params + half,
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the summary with part and term as columns, ready to be written."""
        return self.summary().reset_index()

    def to_record(self) -> dict[str, object]:
        """Return the fit as plain numbers and texts that JSON takes; None where there is no number."""
        facts = (
            "n_episodes",
            "n_events",
            "n_rows",
            "n_compressed_rows",
            "n_params",
            "n_clusters",
            "loglik",
            "aic",
            "bic",
        )
        search = ("boundary", "n_starts", "n_agreed", "n_iterations", "last_time", "level")
        choices = ("distribution", "incidence", "latency", "link", "event_name", "form")
        record: dict[str, object] = {name: getattr(self, name) for name in (*choices, *facts, *search)}
        record["never"] = {name: _plain(value) for name, value in asdict(self.never).items()}
        rows = self.to_frame().to_dict(orient="records")
        record["params"] = [{str(k): v if isinstance(v, str) else _plain(v) for k, v in row.items()} for row in rows]
        record["sentence"] = self.sentence()
        return record

    def sentence(self) -> str:
        """Name the event, and say what share is estimated never to have it."""
        opening = f"Event: {self.event_name}. Of {self.n_episodes:,.0f} episodes {self.n_events:,.0f} have had it"
        share = f"{self.never.value:.1%}"
        if np.isfinite(self.never.lower):
            share += f" ({self.level:.0%} interval {self.never.lower:.1%} to {self.never.upper:.1%})"
        caution = "" if self.boundary is None else f"; note that {self.boundary}"
        return f"{opening}; {share} are estimated never to have it ({self.distribution} latency){caution}."

    def _repr_html_(self) -> str:
        table = self.summary().to_html(float_format=lambda number: f"{number:.4g}")
        return f"<p>{_escaped(self.sentence())}</p>{table}<p>log-likelihood {self.loglik:,.3f}, AIC {self.aic:,.1f}</p>"

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
            link=LINKS[self.link],
            level=self.level,
        )


def _checked_times(times: ArrayLike) -> Array:
    asked = np.atleast_1d(np.asarray(times, dtype=float))
    if asked.ndim != 1 or len(asked) == 0 or not (np.isfinite(asked).all() and (asked >= 0).all()):
        raise ValueError("times must be a list of finite numbers of 0 or more, in the unit of the data")
    return asked


def _complement(band: Band) -> Band:
    return Band(1.0 - band.value, 1.0 - band.upper, 1.0 - band.lower, band.standard_error)


def _table(band: Band, index: pd.Index, times: Array, *, interval: bool) -> pd.DataFrame:
    if not interval:
        return pd.DataFrame(band.value, index=index, columns=pd.Index(times, name="time"))
    names = ["row" if name is None else str(name) for name in index.names]
    rows = np.repeat(np.arange(len(index)), len(times))
    arrays = [index.get_level_values(i)[rows] for i in range(index.nlevels)]
    both = pd.MultiIndex.from_arrays([*arrays, np.tile(times, len(index))], names=[*names, "time"])
    columns = {"value": band.value.ravel(), "lower": band.lower.ravel(), "upper": band.upper.ravel()}
    return pd.DataFrame(columns, index=both)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
