"""From a fit to the numbers that the measures take. Public through ``evaluation``.

Any object that predicts as the kit's fits do will serve; none of the models is known here. Predictions are asked for
one month, or one small block of rows, at a time.
"""

from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._evaluation_border import Ends, Predict, read_episodes
from recoverykit.estimators._evaluation_cure import cure_auc, cure_concordance, cure_k_index, susceptible_weights
from recoverykit.estimators._evaluation_kernels import CAUSE, Episodes
from recoverykit.estimators._evaluation_pairs import dot

Array = NDArray[np.float64]
#: Distinct durations, and rows, of one block: what is predicted at once is at most this times this.
BLOCK_TIMES = 32
BLOCK_ROWS = 8_192
#: Probabilities are kept this far from 0 and 1 where their double log is taken.
MARGIN = 1e-15


class PredictsIncidence(Protocol):
    """Something that predicts the probability of the event, or of each outcome, by each time."""

    def predict_cumulative_incidence(self, frame: pd.DataFrame, times: list[float]) -> pd.DataFrame:
        """Return one row per row of the frame; columns are times, or outcomes and times."""


class PredictsCure(Protocol):
    """Something that predicts as a cure model does."""

    def predict_susceptible(self, frame: pd.DataFrame) -> pd.Series:
        """Return the probability of ever having the event."""

    def predict_survival(self, frame: pd.DataFrame, times: list[float]) -> pd.DataFrame:
        """Return the probability of not having had the event by each time, cured ones included."""


def predictions_of(fit: PredictsIncidence, frame: pd.DataFrame, *, outcome: str | None = None) -> Predict:
    """Make a function of the month from a fit, for the ``predict`` of the measures.

    Parameters
    ----------
    fit : fit with ``predict_cumulative_incidence``
        Of a cure model, of competing outcomes or of monthly hazards.
    frame : DataFrame
        The episodes to predict, those that the measure is given.
    outcome : str, optional
        The outcome that is judged, for a fit of several.

    Returns
    -------
    callable
        Takes a month and returns the probability, in [0, 1], of having had the event by then, one per row. It raises
        ValueError where ``outcome`` does not name one of several outcomes, or is given for a fit of one event.

    Examples
    --------
    >>> class Coin:
    ...     def predict_cumulative_incidence(self, frame, times):
    ...         return pd.DataFrame({month: 1 - 0.5**month for month in times}, index=frame.index)
    >>> predictions_of(Coin(), pd.DataFrame({"episode": [1, 2]}))(2.0).tolist()
    [0.75, 0.75]
    """

    def predict(month: float) -> Array:
        table = fit.predict_cumulative_incidence(frame, [month])
        outcomes = sorted(table.columns.unique(0)) if table.columns.nlevels > 1 else []
        if outcome is not None and outcome not in outcomes:
            known = f"name one of {outcomes}" if outcomes else "it predicts one event only, so leave it out"
            raise ValueError(f"the fit does not predict outcome {str(outcome)!r}; {known}")
        column = table if outcome is None else table[str(outcome)]
        if column.shape[1] != 1:
            raise ValueError(f"the fit predicts several outcomes; name one of {outcomes}")
        return np.clip(column.to_numpy(dtype=float)[:, 0], 0.0, 1.0)  # rounding may leave the ends by 1e-17

    return predict


def cure_discrimination(
    fit: PredictsCure,
    frame: pd.DataFrame,
    *,
    duration_col: str,
    event_col: str,
    weights_col: str | None = None,
) -> pd.DataFrame:
    """Measure both halves of a cure model's discrimination: who ever has the event, and who of those sooner.

    Parameters
    ----------
    fit : fit with ``predict_susceptible`` and ``predict_survival``
        Of a mixture or a Cox cure model.
    frame : DataFrame
        One row per episode, with the columns of the fit's formulas; best one that the fit has not seen. Not changed.
    duration_col : str
        Months to the event or to censoring, at least 0.
    event_col : str
        True (or 1) where the event was seen.
    weights_col : str, optional
        Number of episodes for which a row stands, above 0.

    Returns
    -------
    DataFrame
        One row per measure, columns measure and value: cure_auc, cure_k_index and cure_concordance, and
        susceptible_episodes, the number of episodes that ever have the event, as the model sees them today.

    Raises
    ------
    ContractError, InsufficientDataError
        As in ``cure_auc``.

    Notes
    -----
    The latency score is log(-log S_u) at the median month of the events, S_u = (S - (1 - p)) / p. With a latency of
    proportional hazards (exponential, Weibull, Cox) its differences are the log hazard ratios that ``cure_k_index``
    asks for; with the others it orders the episodes as the latency does by that month, and the K-index describes how
    far apart they lie there. To score them otherwise, call the three functions.
    """
    ends = Ends(duration_col, event_col, None, None, "", weights_col)
    episodes, _ = read_episodes(frame, ends)
    p = np.clip(fit.predict_susceptible(frame).to_numpy(dtype=float), 0.0, 1.0)
    table = pd.DataFrame(
        {
            "months": episodes.durations,
            "event": episodes.ends == CAUSE,
            "weight": episodes.weights,
            "p": p,
            "latency": _latency_survival(_own_survival(fit, frame, episodes.durations), p),
            "score": _latency_score(fit, frame, episodes, p),
        }
    )
    weights = susceptible_weights(table, event_col="event", susceptible_col="p", latency_survival_col="latency")
    table["susceptible"] = weights
    options = {"score_col": "score", "weights_col": "weight"}
    columns = {"duration_col": "months", "event_col": "event", "susceptible_weight_col": "susceptible"}
    values = {
        "cure_auc": cure_auc(table, score_col="p", susceptible_weight_col="susceptible", weights_col="weight"),
        "cure_k_index": cure_k_index(table, susceptible_col="p", **options),
        "cure_concordance": cure_concordance(table, **columns, **options),
        "susceptible_episodes": dot(weights.to_numpy(), episodes.weights),
    }
    return pd.DataFrame({"measure": list(values), "value": list(values.values())})


def _latency_score(fit: PredictsCure, frame: pd.DataFrame, episodes: Episodes, p: Array) -> Array:
    is_event = episodes.ends == CAUSE
    month = _weighted_median(episodes.durations[is_event], episodes.weights[is_event])
    if month <= 0:
        raise InsufficientDataError("half of the events happened in month 0, so the latency cannot order the episodes")
    survival = fit.predict_survival(frame, [month]).to_numpy(dtype=float)[:, 0]
    latency = np.clip(_latency_survival(survival, p), MARGIN, 1.0 - MARGIN)
    score: Array = np.log(-np.log(latency))
    return score


def _weighted_median(values: Array, weights: Array) -> float:
    """Return the median of values that stand for so many episodes each; between the middle two where there are two."""
    distinct, codes = np.unique(values, return_inverse=True)
    passed = np.cumsum(np.bincount(codes, weights=weights))
    sides = [np.searchsorted(passed, 0.5 * passed[-1], side=side) for side in ("left", "right")]
    return float(distinct[np.minimum(sides, len(distinct) - 1)].mean())


def _own_survival(fit: PredictsCure, frame: pd.DataFrame, durations: Array) -> Array:
    """Return population survival of each row at its own duration."""
    values = np.empty(len(durations))
    order = np.argsort(durations, kind="stable")
    ranks = np.unique(durations[order], return_inverse=True)[1]
    begin = 0
    while begin < len(order):
        end = min(int(np.searchsorted(ranks, ranks[begin] + BLOCK_TIMES)), begin + BLOCK_ROWS)
        rows = order[begin:end]
        times, column = np.unique(durations[rows], return_inverse=True)
        block = fit.predict_survival(frame.iloc[rows], times.tolist()).to_numpy(dtype=float)
        values[rows] = block[np.arange(len(rows)), column]
        begin = end
    return values


def _latency_survival(survival: Array, p: Array) -> Array:
    """Return the survival of those who have the event some day; 1 where nobody ever does."""
    latency = np.divide(survival - (1.0 - p), p, out=np.ones(len(p)), where=p > 0)
    clipped: Array = np.clip(latency, 0.0, 1.0)
    return clipped
