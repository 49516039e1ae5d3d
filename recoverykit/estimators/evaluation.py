"""Measures of how well predictions of cure and of the other outcomes held.

Discrimination asks whether the episodes that were expected to end first did so; calibration whether as many ended as
were expected; the Brier score both at once. All of them must cope with open episodes, whose end nobody knows yet, and
with outcomes that compete. For cure models discrimination has two halves: who ever has the event, and who of those has
it sooner.

=========================  ===========================================================================================
``cure_auc``               does the incidence score tell who ever has the event from who never has it?
``cure_k_index``           how far apart does the latency score set those who have it, by the model's own account?
``cure_concordance``       do those who have it have it in the order of the latency score?
``concordance``            do episodes end in the order of the score? Harrell's and Uno's C
``time_dependent_auc``     does the score tell who has had the event by a month from who has not?
``brier_score``            how far are predicted probabilities from what happened by a month?
``calibration``            do as many have the event by a month as predicted, low score or high?
=========================  ===========================================================================================

Nothing of size episodes x months, nor episodes x episodes, is ever held: ranks are counted by running sums. The
measures take predictions as numbers and do not know which model made them; standard errors hold for given predictions,
so judge a model on episodes that it was not fitted to. ``predictions_of`` and ``cure_discrimination`` take them from
any fit that predicts as the kit's do.
"""

import numpy as np
import pandas as pd

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._evaluation_border import Ends, check_times, read_episodes
from recoverykit.estimators._evaluation_calibration import calibration, calibration_by_horizon
from recoverykit.estimators._evaluation_cure import cure_auc, cure_concordance, cure_k_index, susceptible_weights
from recoverykit.estimators._evaluation_fits import cure_discrimination, predictions_of
from recoverykit.estimators._evaluation_horizons import (
    brier_score,
    integrated_auc,
    integrated_brier_score,
    time_dependent_auc,
)
from recoverykit.estimators._evaluation_kernels import censoring_of, harrell, uno
from recoverykit.estimators._evaluation_measure import Measure, discrimination_limits
from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.vocabulary import Outcome

__all__ = [
    "Measure",
    "brier_score",
    "calibration",
    "calibration_by_horizon",
    "concordance",
    "cure_auc",
    "cure_concordance",
    "cure_discrimination",
    "cure_k_index",
    "integrated_auc",
    "integrated_brier_score",
    "predictions_of",
    "susceptible_weights",
    "time_dependent_auc",
]

METHODS = ("harrell", "uno")


def concordance(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    score_col: str,
    event_col: str | None = None,
    outcome_col: str | None = None,
    outcome: str | None = None,
    censored: str = Outcome.OPEN,
    method: str = "harrell",
    until: float | None = None,
    weights_col: str | None = None,
    level: float = 0.95,
) -> Measure:
    """Measure how often the episode with the higher score is the one that ends first.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, observed from its default on. Not changed.
    duration_col : str
        Months to the event or to censoring, at least 0.
    score_col : str
        Any finite number, higher where the event is expected sooner: a log hazard ratio, a probability by some month,
        or an expected time with its sign turned.
    event_col : str, optional
        True (or 1) where the event was seen. Either this or ``outcome_col``.
    outcome_col, outcome : str, optional
        Outcome of each row, and the one that the score predicts. The others compete: an episode that ended in one of
        them will never have the event, so its score should be lower than that of any episode that has it.
    censored : str
        The value of ``outcome_col`` that means censored.
    method : {"harrell", "uno"}
        "harrell" counts the pairs whose order is known. Its limit depends on how much was censored. "uno" weighs the
        pairs by the inverse probability that they were seen, and estimates the same quantity in a young book and in an
        old one; name ``until`` with it where few episodes were observed for long.
    until : float, optional
        Only pairs whose first event lies at or before this month count. Default: all.
    weights_col : str, optional
        Number of episodes for which a row stands, above 0: a row of weight 2 is the row twice.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    Measure
        0.5 for a score that says nothing, 1 for one that orders all pairs. Equal scores count half; two events in the
        same month are no pair; an event and a censoring in the same month are one, the censored episode ending later.
        The standard error is the infinitesimal jackknife, the interval lies on the scale of the log-odds.

    Raises
    ------
    ContractError
        When a column is missing or holds values that are not allowed; names them all.
    InsufficientDataError
        When there is no row, no event, or no pair.
    ExtrapolationError
        When ``until`` lies beyond the longest duration.
    ValueError
        When an option is not allowed.

    Notes
    -----
    Harrell, Lee & Mark (1996); with competing outcomes Wolbers, Koller, Witteman & Steyerberg (2009). Uno, Cai,
    Pencina, D'Agostino & Wei (2011); with competing outcomes Wolbers, Blanche, Koller, Witteman & Gerds (2014). It
    takes n log n steps.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 5, 6, 9], "cured": [1, 1, 0, 1], "score": [2.0, 0.5, 1.0, 0.5]})
    >>> concordance(frame, duration_col="months", event_col="cured", score_col="score").value
    0.7

    Five pairs have a known order: the first episode is ahead of the three others and was scored so; the second is
    ahead of the third but was scored below it, and ahead of the fourth with the same score: 3.5 of 5.
    """
    check_choice("method", method, METHODS)
    check_level(level)
    ends = Ends(duration_col, event_col, outcome_col, outcome, censored, weights_col)
    episodes, columns = read_episodes(frame, ends, number_cols=[score_col])
    last = np.inf if until is None else float(check_times([until], episodes)[0])
    if method == "harrell":
        measured = harrell(episodes, columns[score_col], last)
    else:
        measured = uno(episodes, columns[score_col], last, censoring_of(episodes))
    if not np.isfinite(measured.value):
        raise InsufficientDataError(
            f"none of the {measured.n_cases:,.0f} events has a partner that ended later, so no order can be judged; "
            "take a larger segment, or a later until"
        )
    error = measured.standard_error(episodes.weights)
    lower, upper = discrimination_limits(np.array(measured.value), np.array(error), level)
    return Measure(f"{method} concordance", measured.value, error, float(lower), float(upper), level)
