"""Discrimination of a cure model: who ever has the event, and who of those has it sooner.

Whether an open episode will ever have the event is not known. Each one counts as both, by the probability that the
model gives it after the months that it has been open. Public through ``evaluation``.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._evaluation_border import Ends, read_episodes
from recoverykit.estimators._evaluation_kernels import CAUSE, CENSORED
from recoverykit.estimators._evaluation_pairs import dot, logistic_pair_mean, pair_sums, weighted_auc
from recoverykit.estimators._rows import broken, check_columns, event_flags, number_column

Array = NDArray[np.float64]


def susceptible_weights(
    frame: pd.DataFrame, *, event_col: str, susceptible_col: str, latency_survival_col: str
) -> pd.Series:
    """Compute the probability that an episode ever has the event, given what has been seen of it.

    Parameters
    ----------
    frame : DataFrame
        One row per episode. Not changed.
    event_col : str
        True (or 1) where the event was seen.
    susceptible_col : str
        Incidence of the model: probability of ever having the event, as judged at default, in [0, 1].
    latency_survival_col : str
        Probability, in [0, 1], that an episode which has the event some day has not had it by the row's own duration.

    Returns
    -------
    Series of float
        On the index of the frame, named "susceptible_weight": 1 where the event was seen, else p S / (1 - p + p S).

    Raises
    ------
    ContractError, InsufficientDataError
        When a column is missing or holds values that are not allowed; when there is no row.

    Notes
    -----
    The E step of the mixture cure model, Kuk & Chen (1992); the weights of Asano, Hirakawa & Hamada (2014).

    Examples
    --------
    >>> frame = pd.DataFrame({"cured": [1, 0, 0], "p": [0.6, 0.6, 0.6], "still_open": [0.5, 0.5, 0.0]})
    >>> susceptible_weights(
    ...     frame, event_col="cured", susceptible_col="p", latency_survival_col="still_open"
    ... ).round(3).tolist()
    [1.0, 0.429, 0.0]

    An episode that is still open after half of the cures have happened is down from 60 % to 43 %.
    """
    check_columns(frame, [event_col, susceptible_col, latency_survival_col])
    is_event, faults = event_flags(frame, event_col)
    p, survival = (_shares(frame, name) for name in (susceptible_col, latency_survival_col))
    for name, values in ((susceptible_col, p), (latency_survival_col, survival)):
        faults += broken(frame, f"{name} must be a probability, 0 to 1", np.isnan(values))
    if faults:
        raise ContractError(faults)
    never, later = 1.0 - p, p * survival
    # Certain to have the event, and certain to have had it by now, yet open: the model excludes what was seen.
    weight = np.divide(later, never + later, out=np.ones(len(frame)), where=never + later > 0)
    return pd.Series(np.where(is_event, 1.0, weight), index=frame.index, name="susceptible_weight")


def cure_auc(
    frame: pd.DataFrame, *, score_col: str, susceptible_weight_col: str, weights_col: str | None = None
) -> float:
    """Measure how well the incidence score tells who ever has the event from who never has it.

    Parameters
    ----------
    frame : DataFrame
        One row per episode. Not changed.
    score_col : str
        Finite, higher where the event is expected: the incidence or its linear predictor.
    susceptible_weight_col : str
        Probability that the episode ever has the event, from ``susceptible_weights``.
    weights_col : str, optional
        Number of episodes for which a row stands, above 0.

    Returns
    -------
    float
        0.5 for a score that says nothing, 1 for a perfect one, equal scores counting half.

    Raises
    ------
    ContractError
        When a column is missing or holds values that are not allowed.
    InsufficientDataError
        When there is no row, or no pair of one that has the event and one that has not.

    Notes
    -----
    Asano, Hirakawa & Hamada (2014): the sum over pairs i != j of w_i (1 - w_j) 1[score_i > score_j] over that of w_i (1
    - w_j). No standard error is given: the weights come from the model that is judged.

    Examples
    --------
    >>> frame = pd.DataFrame({"score": [0.9, 0.6, 0.4], "weight": [1.0, 0.5, 0.0]})
    >>> cure_auc(frame, score_col="score", susceptible_weight_col="weight")
    1.0
    """
    scores, weights, counts = _scored(frame, score_col, susceptible_weight_col, weights_col)
    value = weighted_auc(scores=scores, cases=weights, controls=1.0 - weights, counts=counts)
    return _known(value, f"{susceptible_weight_col} leaves no pair of an episode with the event and one without")


def cure_k_index(frame: pd.DataFrame, *, score_col: str, susceptible_col: str, weights_col: str | None = None) -> float:
    """Measure how far apart the latency score sets the episodes that have the event, as the model sees it.

    Parameters
    ----------
    frame : DataFrame
        One row per episode. Not changed.
    score_col : str
        Linear predictor of a proportional-hazards latency: the log hazard ratio. (Of a Weibull latency in the AFT form
        it is minus the linear predictor over sigma.)
    susceptible_col : str
        Incidence of the model, in [0, 1].
    weights_col : str, optional
        Number of episodes for which a row stands, above 0.

    Returns
    -------
    float
        Probability that of two episodes which have the event the one with the higher score has it first: 0.5 where all
        scores are equal, near 1 where they lie far apart. It says what the model claims, whatever was censored, and
        does not look at what happened.

    Raises
    ------
    ContractError, InsufficientDataError
        As in ``cure_auc``.

    Notes
    -----
    Goenen & Heller (2005), weighted by the incidence as in Zhang & Shao (2018): the sum over pairs of p_i p_j / (1 +
    exp(-|score_i - score_j|)) over that of p_i p_j. Equal scores give 1 / 2. Computed in a number of steps proportional
    to the rows, exact up to rounding.

    Examples
    --------
    >>> frame = pd.DataFrame({"log_hazard_ratio": [0.0, np.log(3.0)], "p": [0.7, 0.4]})
    >>> round(cure_k_index(frame, score_col="log_hazard_ratio", susceptible_col="p"), 6)
    0.75

    With three times the hazard, the second episode has the event first in three of four cases.
    """
    scores, weights, counts = _scored(frame, score_col, susceptible_col, weights_col)
    value = logistic_pair_mean(scores=scores, weights=weights, counts=counts)
    return _known(value, f"{susceptible_col} leaves no pair of episodes with the event")


def cure_concordance(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    event_col: str,
    score_col: str,
    susceptible_weight_col: str,
    weights_col: str | None = None,
) -> float:
    """Measure whether the episodes that have the event have it in the order of the latency score.

    Parameters
    ----------
    frame : DataFrame
        One row per episode. Not changed.
    duration_col : str
        Months to the event or to censoring, at least 0.
    event_col : str
        True (or 1) where the event was seen.
    score_col : str
        Finite, higher where the event is expected sooner.
    susceptible_weight_col : str
        Probability that the episode ever has the event, from ``susceptible_weights``.
    weights_col : str, optional
        Number of episodes for which a row stands, above 0.

    Returns
    -------
    float
        0.5 for a score that says nothing, 1 for a perfect one. Ties as in ``concordance``.

    Raises
    ------
    ContractError, InsufficientDataError
        As in ``cure_auc``.

    Notes
    -----
    Asano & Hirakawa (2017): Harrell's C in which a pair counts with the product of the two probabilities of ever having
    the event, since the order of two episodes of which one never has it says nothing about the latency.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 5, 9], "cured": [1, 1, 0], "score": [1.0, 0.2, 0.5], "w": [1, 1, 0.25]})
    >>> cure_concordance(
    ...     frame, duration_col="months", event_col="cured", score_col="score", susceptible_weight_col="w"
    ... ).__round__(4)
    0.8333

    The only pair in the wrong order counts a quarter, since the open episode may never be cured: 1.25 of 1.5.
    """
    ends = Ends(duration_col, event_col, None, None, "", weights_col)
    episodes, columns = read_episodes(frame, ends, number_cols=[score_col], share_cols=[susceptible_weight_col])
    weights = columns[susceptible_weight_col] * episodes.weights
    early = np.where(episodes.ends == CAUSE, weights, 0.0)
    ranks = 2 * np.unique(episodes.durations, return_inverse=True)[1] + (episodes.ends == CENSORED)
    sums = pair_sums(time_ranks=ranks, scores=columns[score_col], early=early, late=weights)
    pairs = dot(early, sums.later)
    value = dot(early, sums.concordant_later) / pairs if pairs > 0 else float("nan")
    return _known(value, "no event has a partner that ended later and may have the event")


def _scored(frame: pd.DataFrame, score_col: str, share_col: str, weights_col: str | None) -> tuple[Array, Array, Array]:
    check_columns(frame, [score_col, share_col, weights_col])
    scores, counts = number_column(frame, score_col, 0.0), number_column(frame, weights_col, 1.0)
    shares = _shares(frame, share_col)
    faults = broken(frame, f"{score_col} must be a finite number", ~np.isfinite(scores))
    faults += broken(frame, f"{share_col} must be a probability, 0 to 1", np.isnan(shares))
    faults += broken(frame, f"{weights_col} must be a number above 0", ~(np.isfinite(counts) & (counts > 0)))
    if faults:
        raise ContractError(faults)
    return scores, shares, counts


def _shares(frame: pd.DataFrame, column: str) -> Array:
    """Return a column with NaN where it holds no probability."""
    values = number_column(frame, column, 0.0)
    return np.where((values >= 0) & (values <= 1), values, np.nan)


def _known(value: float, reason: str) -> float:
    if np.isfinite(value):
        return value
    raise InsufficientDataError(f"{reason}, so nothing can be compared; take a larger segment")
