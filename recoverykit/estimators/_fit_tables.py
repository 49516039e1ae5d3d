"""What all fits share when they speak: bands, tables of parameters and of curves, records of plain numbers.

Private to the estimators.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtri

from recoverykit.curves import StepCurve
from recoverykit.estimators._mixture_prediction import Band

Array = NDArray[np.float64]

#: What the records of all cure models hold beside their choices.
FACTS = (
    *("n_episodes", "n_events", "n_rows", "n_compressed_rows", "n_params", "n_clusters", "loglik", "aic", "bic"),
    *("boundary", "n_starts", "n_agreed", "n_iterations", "never", "last_time", "level"),
)


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

    def text(self) -> str:
        """Return the share in words, with its interval where there is one."""
        share = f"{self.value:.1%}"
        if np.isfinite(self.lower):
            share += f" ({self.level:.0%} interval {self.lower:.1%} to {self.upper:.1%})"
        return share


class Spoken(Protocol):
    """What records and pages read of a fit."""

    @property
    def loglik(self) -> float: ...
    @property
    def aic(self) -> float: ...
    def summary(self) -> pd.DataFrame: ...
    def to_frame(self) -> pd.DataFrame: ...
    def sentence(self) -> str: ...


def checked_times(times: ArrayLike) -> Array:
    """Return times as an array; ValueError when one is negative or not finite, or there is none."""
    asked = np.atleast_1d(np.asarray(times, dtype=float))
    if asked.ndim != 1 or len(asked) == 0 or not (np.isfinite(asked).all() and (asked >= 0).all()):
        raise ValueError("times must be a list of finite numbers of 0 or more, in the unit of the data")
    return asked


def from_zero(times: ArrayLike) -> Array:
    """Return checked times with 0 put in front when it is not there."""
    asked = checked_times(times)
    return asked if asked[0] == 0 else np.concatenate([[0.0], asked])


def checked_weights(weights: ArrayLike | None, n_rows: int) -> Array:
    """Return one weight per row, 1 where none are given; ValueError when they are negative or all 0."""
    weight = np.ones(n_rows) if weights is None else np.asarray(weights, dtype=float)
    if weight.shape != (n_rows,) or not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise ValueError(f"weights must be {n_rows} numbers of 0 or more, one per row, not all 0")
    return weight


def complement(band: Band) -> Band:
    """Return the band of one minus a share."""
    return Band(1.0 - band.value, 1.0 - band.upper, 1.0 - band.lower, band.standard_error)


def step_curve(band: Band, times: Array, level: float) -> StepCurve:
    """Return a band over times as a curve."""
    return StepCurve(
        times=times,
        values=band.value,
        lower=band.lower,
        upper=band.upper,
        level=level,
        standard_errors=band.standard_error,
    )


def time_table(band: Band, index: pd.Index, times: Array, *, interval: bool) -> pd.DataFrame:
    """Return rows x times, or with intervals one row per row and time."""
    if not interval:
        return pd.DataFrame(band.value, index=index, columns=pd.Index(times, name="time"))
    columns = {name: getattr(band, name).ravel() for name in ("value", "lower", "upper")}
    return pd.DataFrame(columns, index=crossed(index, {"time": times}))


def susceptible_table(
    band: Band, incidence: Array, standard_errors: pd.Series, index: pd.Index, *, interval: bool
) -> pd.Series | pd.DataFrame:
    """Return P(ever has the event) of rows; no interval where the incidence has a term that is not identified."""
    if not interval:
        return pd.Series(band.value, index=index, name="prob_susceptible")
    open_terms = standard_errors["incidence"].isna().to_numpy()
    open_rows = (incidence[:, open_terms] != 0).any(axis=1)
    limits = {name: np.where(open_rows, np.nan, getattr(band, name)) for name in ("lower", "upper")}
    return pd.DataFrame({"value": band.value, **limits}, index=index)


def outcome_table(
    bands: Mapping[str, Band], index: pd.Index, times: Array, *, columns: Sequence[str] = ("value", "lower", "upper")
) -> pd.DataFrame:
    """Return bands of shape (n_rows, n_times) as one row per row, outcome and time."""
    held = {name: np.hstack([getattr(band, name) for band in bands.values()]).ravel() for name in columns}
    return pd.DataFrame(held, index=crossed(index, {"outcome": np.array(list(bands), dtype=object), "time": times}))


def wide_table(values: Mapping[str, Array], index: pd.Index, times: Array) -> pd.DataFrame:
    """Return values of shape (n_rows, n_times) as one row per row, columns by outcome and time."""
    columns = pd.MultiIndex.from_product([list(values), list(times)], names=["outcome", "time"])
    return pd.DataFrame(np.hstack(list(values.values())), index=index, columns=columns)


def crossed(index: pd.Index, axes: Mapping[str, NDArray]) -> pd.MultiIndex:
    """Cross the rows of an index with further axes, the last of them moving fastest."""
    names = ["row" if name is None else str(name) for name in index.names]
    inner = int(np.prod([len(axis) for axis in axes.values()]))
    rows = np.repeat(np.arange(len(index)), inner)
    arrays: list[pd.Index] = [index.get_level_values(i).take(rows) for i in range(index.nlevels)]
    repeats = inner
    for axis in axes.values():
        repeats //= len(axis)
        arrays.append(pd.Index(np.tile(np.repeat(axis, repeats), len(rows) // (repeats * len(axis)))))
    return pd.MultiIndex.from_arrays(arrays, names=[*names, *axes])


def parameter_table(params: pd.Series, standard_errors: pd.Series, level: float) -> pd.DataFrame:
    """Return one row per parameter: estimate, standard error, z, two-sided p-value, interval."""
    z = params / standard_errors
    half = float(ndtri(0.5 + 0.5 * level)) * standard_errors
    return pd.DataFrame(
        {
            "estimate": params,
            "standard_error": standard_errors,
            "z": z,
            "p_value": 2.0 * np.exp(log_ndtr(-z.abs().to_numpy())),
            "lower": params - half,
            "upper": params + half,
        }
    )


def plain(value: float) -> float | None:
    """Return a number that JSON takes, None where there is none."""
    return float(value) if np.isfinite(value) else None


def fit_record(fit: Spoken, names: Sequence[str]) -> dict[str, object]:
    """Return attributes, parameters and sentence of a fit as JSON takes them; None where there is no number."""
    record: dict[str, object] = {}
    for name in names:
        value = getattr(fit, name)
        if isinstance(value, ShareInterval):
            value = {part: plain(number) for part, number in asdict(value).items()}
        record[name] = dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
    rows = fit.to_frame().to_dict(orient="records")
    record["params"] = [{str(k): v if isinstance(v, str) else plain(v) for k, v in row.items()} for row in rows]
    record["sentence"] = fit.sentence()
    return record


def fit_html(fit: Spoken, likelihood: str = "log-likelihood") -> str:
    """Return sentence, parameters and criteria for a notebook."""
    sentence = fit.sentence().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    table = fit.summary().to_html(float_format=lambda number: f"{number:.4g}")
    return f"<p>{sentence}</p>{table}<p>{likelihood} {fit.loglik:,.3f}, AIC {fit.aic:,.1f}</p>"


class Regression:
    """What fits of regressions have in common; a fit brings parameters, errors, log-likelihood and sentence."""

    __slots__ = ()

    params: pd.Series
    standard_errors: pd.Series
    loglik: float
    n_episodes: float
    level: float

    @property
    def n_params(self) -> int:
        """Number of parameters; of a baseline that takes any shape, the jumps are not counted."""
        return len(self.params)

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 n_params - 2 loglik."""
        return 2.0 * self.n_params - 2.0 * self.loglik

    @property
    def bic(self) -> float:
        """Schwarz's criterion, n_params log(n_episodes) - 2 loglik."""
        return self.n_params * float(np.log(self.n_episodes)) - 2.0 * self.loglik

    def summary(self) -> pd.DataFrame:
        """Return one row per parameter: estimate, standard error, z, two-sided p-value, interval."""
        return parameter_table(self.params, self.standard_errors, self.level)

    def to_frame(self) -> pd.DataFrame:
        """Return the summary with the names of the parameters as columns, ready to be written."""
        return self.summary().reset_index()

    def sentence(self) -> str:
        """Say what the fit found."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return fit_html(self)
