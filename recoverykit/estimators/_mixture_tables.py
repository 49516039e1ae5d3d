"""How the results of a cure model become frames and records. Private to the fits."""

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtri

from recoverykit.curves import StepCurve
from recoverykit.estimators._mixture_prediction import Band
from recoverykit.estimators._mixture_terms import MIXTURE, Family

Array = NDArray[np.float64]

_RECORDED = (
    *("distribution", "incidence", "latency", "link", "event_name", "form"),
    *("n_episodes", "n_events", "n_rows", "n_compressed_rows", "n_params", "n_clusters", "loglik", "aic", "bic"),
    *("boundary", "n_starts", "n_agreed", "n_iterations", "last_time", "level"),
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


class Reported(Protocol):
    """What the reports read of a fit."""

    @property
    def distribution(self) -> str: ...
    @property
    def family(self) -> Family: ...
    @property
    def event_name(self) -> str: ...
    @property
    def n_episodes(self) -> float: ...
    @property
    def n_events(self) -> float: ...
    @property
    def never(self) -> ShareInterval: ...
    @property
    def boundary(self) -> str | None: ...
    @property
    def level(self) -> float: ...
    @property
    def loglik(self) -> float: ...
    @property
    def aic(self) -> float: ...
    def summary(self) -> pd.DataFrame: ...
    def to_frame(self) -> pd.DataFrame: ...
    def sentence(self) -> str: ...


def checked_times(times: ArrayLike) -> Array:
    """Return times as an array, or refuse them with ValueError."""
    asked = np.atleast_1d(np.asarray(times, dtype=float))
    if asked.ndim != 1 or len(asked) == 0 or not (np.isfinite(asked).all() and (asked >= 0).all()):
        raise ValueError("times must be a list of finite numbers of 0 or more, in the unit of the data")
    return asked


def checked_weights(weights: ArrayLike | None, n_rows: int) -> Array:
    """Return weights as an array, ones where none are given, or refuse them with ValueError."""
    weight = np.ones(n_rows) if weights is None else np.asarray(weights, dtype=float)
    if weight.shape != (n_rows,) or not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise ValueError(f"weights must be {n_rows} numbers of 0 or more, one per row, not all 0")
    return weight


def complement(band: Band) -> Band:
    """Return the band of one minus a share."""
    return Band(1.0 - band.value, 1.0 - band.upper, 1.0 - band.lower, band.standard_error)


def time_table(band: Band, index: pd.Index, times: Array, *, interval: bool) -> pd.DataFrame:
    """Return rows x times, or with intervals one row per row and time."""
    if not interval:
        return pd.DataFrame(band.value, index=index, columns=pd.Index(times, name="time"))
    names = ["row" if name is None else str(name) for name in index.names]
    rows = np.repeat(np.arange(len(index)), len(times))
    arrays = [index.get_level_values(i)[rows] for i in range(index.nlevels)]
    both = pd.MultiIndex.from_arrays([*arrays, np.tile(times, len(index))], names=[*names, "time"])
    columns = {"value": band.value.ravel(), "lower": band.lower.ravel(), "upper": band.upper.ravel()}
    return pd.DataFrame(columns, index=both)


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
    """Return a number that JSON takes; None where there is none."""
    return float(value) if np.isfinite(value) else None


def plain_rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows of a frame as dictionaries that JSON takes."""
    rows = frame.to_dict(orient="records")
    return [{str(k): v if isinstance(v, str) else plain(v) for k, v in row.items()} for row in rows]


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


def fit_sentence(fit: Reported) -> str:
    """Name the event, and say what share is estimated never to have it."""
    opening = f"Event: {fit.event_name}. Of {fit.n_episodes:,.0f} episodes {fit.n_events:,.0f} have had it"
    share = f"{fit.never.value:.1%}"
    if np.isfinite(fit.never.lower):
        share += f" ({fit.level:.0%} interval {fit.never.lower:.1%} to {fit.never.upper:.1%})"
    latency = f"{fit.distribution.replace('_', ' ')} latency"
    model = latency if fit.family is MIXTURE else f"{fit.family.name} model, {latency}"
    caution = "" if fit.boundary is None else f"; note that {fit.boundary}"
    return f"{opening}; {share} are estimated never to have it ({model}){caution}."


def fit_record(fit: Reported) -> dict[str, object]:
    """Return a fit as plain numbers and texts that JSON takes; None where there is no number."""
    record: dict[str, object] = {name: getattr(fit, name) for name in _RECORDED}
    record["family"] = fit.family.name
    record["never"] = {name: plain(value) for name, value in asdict(fit.never).items()}
    record["params"] = plain_rows(fit.to_frame())
    record["sentence"] = fit.sentence()
    return record


def fit_html(fit: Reported) -> str:
    """Return sentence, parameters and criteria for a notebook."""
    table = fit.summary().to_html(float_format=lambda number: f"{number:.4g}")
    return f"<p>{_escaped(fit.sentence())}</p>{table}<p>log-likelihood {fit.loglik:,.3f}, AIC {fit.aic:,.1f}</p>"


def _escaped(text: str) -> str:
    """Return text that may stand in HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
