"""Concordance, time-dependent AUC and Brier score with their standard errors, on arrays.

Every measure comes with the derivative in each row's case weight, the influence of the row. Its weighted squares add up
to the variance (the infinitesimal jackknife), and it is linear, so that a mean over horizons costs nothing more. The
uncertainty of the censoring weights is part of it. No frames here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._evaluation_censoring import Censoring, estimate_censoring
from recoverykit.estimators._evaluation_pairs import ScoreOrder, dot, pair_sums, weight_below

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Codes of how an episode ended.
CAUSE, COMPETING, CENSORED = 0, 1, -1


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """What happened to the rows that are evaluated.

    Attributes
    ----------
    durations : ndarray of shape (n_rows,)
        Months to the end of observation.
    ends : ndarray of int of shape (n_rows,)
        ``CAUSE``, ``COMPETING`` or ``CENSORED``.
    weights : ndarray of shape (n_rows,)
        Episodes for which the row stands.
    """

    durations: Array
    ends: IntArray
    weights: Array


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A measure, the influence of each row on it, and how much evidence stands behind it.

    Attributes
    ----------
    value : float
        NaN where there is nothing to compare.
    influence : ndarray of shape (n_rows,)
        Derivative of the value in each row's case weight.
    n_cases, n_compared : float
        Episodes (or pairs of them, for a concordance) that were compared, not weighted for censoring.
    """

    value: float
    influence: Array
    n_cases: float
    n_compared: float

    def standard_error(self, weights: Array) -> float:
        """Return the root of the weighted sum of squared influences."""
        return float(np.sqrt(dot(weights, self.influence**2))) if np.isfinite(self.value) else float("nan")


def censoring_of(episodes: Episodes) -> Censoring:
    """Estimate the curve of staying uncensored from the rows themselves."""
    is_censored = episodes.ends == CENSORED
    return estimate_censoring(durations=episodes.durations, is_censored=is_censored, weights=episodes.weights)


def harrell(episodes: Episodes, scores: Array, until: float) -> Measured:
    """Compute the share of usable pairs in which the episode that ended first had the higher score.

    Parameters
    ----------
    episodes : Episodes
        Rows.
    scores : ndarray of shape (n_rows,)
        Higher for episodes that are expected to end sooner.
    until : float
        Pairs count whose first event lies at or before this month.

    Returns
    -------
    Measured
        A row that ended in a competing outcome is never going to have the event: it ends later than all that have it.
    """
    is_early = (episodes.ends == CAUSE) & (episodes.durations <= until)
    early = np.where(is_early, episodes.weights, 0.0)
    ranks = _time_ranks(episodes, competing_last=True)
    sums = pair_sums(time_ranks=ranks, scores=scores, early=early, late=episodes.weights)
    pairs = dot(early, sums.later)
    if not pairs > 0:
        return _nothing(episodes, float(early.sum()))
    value = _share(dot(early, sums.concordant_later), pairs)
    first = np.where(is_early, sums.concordant_later - value * sums.later, 0.0)
    influence = (first + sums.concordant_earlier - value * sums.earlier) / pairs
    return Measured(value, influence, float(early.sum()), pairs)


def uno(episodes: Episodes, scores: Array, until: float, censoring: Censoring) -> Measured:
    """Compute the probability that of two episodes the one with the event first has the higher score.

    Parameters
    ----------
    episodes, scores, until
        As in ``harrell``.
    censoring : Censoring
        Gives the weights.

    Returns
    -------
    Measured

    Notes
    -----
    A pair (i first, j open for longer) counts 1 / G(T_i-)^2: Uno, Cai, Pencina, D'Agostino & Wei (2011). A pair (i has
    the event, j ended otherwise by T_i) counts 1 / (G(T_i-) G(T_j-)): Wolbers, Blanche, Koller, Witteman & Gerds
    (2014). An episode censored in the very month T_i was open up to T_i, and the pair is known.
    """
    weights = episodes.weights
    is_early = (episodes.ends == CAUSE) & (episodes.durations <= until)
    inverse = np.where((episodes.ends == COMPETING) | is_early, censoring.row_weights(), 0.0)
    early = np.where(is_early, weights * inverse**2, 0.0)
    sums = pair_sums(time_ranks=_time_ranks(episodes), scores=scores, early=early, late=weights)
    first_sums = [sums.concordant_later * inverse, sums.later * inverse]  # per unit of one of the two weights 1 / G
    second_sums = [sums.concordant_earlier, sums.earlier]
    other_first, other_second = _ended_otherwise(episodes, scores, inverse, is_early)
    first = [a + b for a, b in zip(first_sums, other_first, strict=True)]
    second = [a + b for a, b in zip(second_sums, other_second, strict=True)]
    own = np.where(is_early, weights * inverse, 0.0)
    pairs = dot(own, first[1])
    n_cases = dot(weights, is_early)
    if not pairs > 0:
        return _nothing(episodes, n_cases)
    value = _share(dot(own, first[0]), pairs)
    per_first = np.where(is_early, inverse, 0.0) * (first[0] - value * first[1]) / pairs
    influence = per_first + (second[0] - value * second[1]) / pairs
    squared = np.where(is_early, weights * inverse**2 * (sums.concordant_later - value * sums.later) / pairs, 0.0)
    other = weights * (other_second[0] - value * other_second[1]) / pairs
    parts = weights * per_first + squared + other  # the squared weight counts twice
    return Measured(value, influence + censoring.correction(parts, censoring.codes), n_cases, pairs)


def auc_at(
    episodes: Episodes, ranks: ScoreOrder, month: float, censoring: Censoring, *, others_are_controls: bool
) -> Measured:
    """Compute the probability that an episode with the event by a month has a higher score than one without it.

    Parameters
    ----------
    episodes : Episodes
        Rows.
    ranks : ScoreOrder
        Order of their scores.
    month : float
        Horizon.
    censoring : Censoring
        Gives the weights.
    others_are_controls : bool
        Whether episodes that ended otherwise by then belong to those without the event.

    Returns
    -------
    Measured

    Notes
    -----
    Blanche, Dartigues & Jacqmin-Gadda (2013), both of their definitions of a control. Cases weigh 1 / G(T-), open
    episodes 1 / G(t-); one that is censored in month t was open up to t and is a control.
    """
    order = ranks.order
    case, control = _known(episodes, month, censoring, others=others_are_controls)
    case_share, control_share = case[order], control[order]
    n = episodes.weights[order]
    n_case, n_control = dot(n, case_share), dot(n, control_share)
    counts = (dot(episodes.weights, case > 0), dot(episodes.weights, control > 0))
    if not (n_case > 0 and n_control > 0):
        return _nothing(episodes, *counts)
    below = weight_below(n * control_share, ranks) / n_control
    above = 1.0 - weight_below(n * case_share, ranks) / n_case
    value = _share(dot(n * case_share, below), n_case)
    own = np.empty(len(order))
    own[order] = case_share * (below - value) / n_case + control_share * (above - value) / n_control
    positions = np.minimum(censoring.codes, censoring.position(month))
    influence = own + censoring.correction(episodes.weights * own, positions)
    return Measured(value, influence, *counts)


def brier_at(episodes: Episodes, predicted: Array, month: float, censoring: Censoring) -> Measured:
    """Compute the mean squared distance between what happened by a month and its predicted probability.

    Parameters
    ----------
    episodes : Episodes
        Rows.
    predicted : ndarray of shape (n_rows,)
        Probability of the event by the month.
    month : float
        Horizon.
    censoring : Censoring
        Gives the weights.

    Returns
    -------
    Measured

    Notes
    -----
    Graf, Schmoor, Sauerbrei & Schumacher (1999); under competing outcomes Schoop, Beyersmann, Schumacher &
    Binder (2011). The weights of all rows add up to their number.
    """
    case, control = _known(episodes, month, censoring, others=True)
    total = float(episodes.weights.sum())
    distance = case * (1.0 - predicted) ** 2 + control * predicted**2
    value = dot(episodes.weights, distance) / total
    positions = np.minimum(censoring.codes, censoring.position(month))
    influence = (distance - value) / total + censoring.correction(episodes.weights * distance / total, positions)
    counts = (dot(episodes.weights, case > 0), dot(episodes.weights, control > 0))
    return Measured(value, influence, *counts)


def incidence_at(episodes: Episodes, month: float, censoring: Censoring) -> float:
    """Return the Aalen-Johansen probability of the event by a month: the weighted share of cases."""
    case, _ = _known(episodes, month, censoring, others=True)
    return dot(episodes.weights, case) / float(episodes.weights.sum())


def _known(episodes: Episodes, month: float, censoring: Censoring, *, others: bool) -> tuple[Array, Array]:
    """Return the censoring weight of each row as a case and as a control, 0 where it is none or unknown."""
    ended = (episodes.durations <= month) & ~censoring.is_censored
    inverse = censoring.row_weights()
    case = np.where(ended & (episodes.ends == CAUSE), inverse, 0.0)
    is_open = ~ended & (episodes.durations >= month)
    control = np.where(is_open, censoring.weight_at(month), 0.0)
    if others:
        control = np.where(ended & (episodes.ends == COMPETING), inverse, control)
    return case, control


def _ended_otherwise(
    episodes: Episodes, scores: Array, inverse: Array, is_early: BoolArray
) -> tuple[list[Array], list[Array]]:
    """Return sums over pairs of an event and a competing outcome at or before it, for either of the two."""
    is_other = episodes.ends == COMPETING
    if not is_other.any():
        nothing = [np.zeros(len(scores))] * 2
        return nothing, nothing
    # The other outcome comes first in time here, and concordance is turned round: it should have the lower score.
    times = np.unique(episodes.durations, return_inverse=True)[1]
    ranks = 2 * times + is_early
    other = np.where(is_other, episodes.weights * inverse, 0.0)
    event = np.where(is_early, episodes.weights * inverse, 0.0)
    sums = pair_sums(time_ranks=ranks, scores=-scores, early=other, late=event)
    return (
        [sums.concordant_earlier, sums.earlier],
        [np.where(is_other, inverse, 0.0) * s for s in (sums.concordant_later, sums.later)],
    )


def _time_ranks(episodes: Episodes, *, competing_last: bool = False) -> IntArray:
    """Rank the ends: an event before a censoring in the same month, and other outcomes, where asked, after all."""
    times = np.unique(episodes.durations, return_inverse=True)[1]
    ranks: IntArray = 2 * times + (episodes.ends == CENSORED)
    if competing_last:
        ranks = np.where(episodes.ends == COMPETING, 2 * times.max() + 2, ranks)
    return ranks


def _share(part: float, whole: float) -> float:
    """Divide, and take what rounding adds off the ends."""
    return min(max(part / whole, 0.0), 1.0)


def _nothing(episodes: Episodes, n_cases: float = 0.0, n_compared: float = 0.0) -> Measured:
    nothing = np.full(len(episodes.durations), np.nan)
    return Measured(float("nan"), nothing, n_cases, n_compared)
