"""Time-dependent AUC and Brier score by horizon and over a span of horizons. Public through ``evaluation``.

One horizon is worked on at a time, on the same few arrays: memory does not grow with the number of horizons.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._evaluation_border import (
    Columns,
    Ends,
    Predict,
    check_times,
    read_predicted,
)
from recoverykit.estimators._evaluation_kernels import (
    Episodes,
    Measured,
    auc_at,
    brier_at,
    censoring_of,
    incidence_at,
)
from recoverykit.estimators._evaluation_measure import Measure, discrimination_limits, distance_limits
from recoverykit.estimators._evaluation_pairs import dot, score_order
from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.vocabulary import Outcome

Array = NDArray[np.float64]
CONTROLS = ("others", "open")


def time_dependent_auc(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    times: Sequence[float] | Array,
    score_col: Columns | None = None,
    predict: Predict | None = None,
    event_col: str | None = None,
    outcome_col: str | None = None,
    outcome: str | None = None,
    censored: str = Outcome.OPEN,
    controls: str = "others",
    weights_col: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Measure by horizon how well a score tells who has had the event by then from who has not.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, observed from its default on. Not changed.
    duration_col : str
        Months to the event or to censoring, at least 0.
    times : sequence of float
        Horizons in months, increasing, none beyond the longest duration.
    score_col : str or mapping of float to str, optional
        Finite, higher where the event is expected: one column for all horizons, or a column for each.
    predict : callable, optional
        In place of ``score_col``: takes a horizon and returns one score per row of the frame, in its order.
    event_col, outcome_col, outcome, censored, weights_col, level
        As in ``concordance``.
    controls : {"others", "open"}
        Whom the episodes with the event are compared to: "others", everybody else, those included that ended in another
        outcome; or only those still "open" at the horizon. The same where no outcomes compete.

    Returns
    -------
    DataFrame
        One row per horizon: months, n_cases and n_controls (episodes known to have, and known not to have, had the
        event; those censored before are neither), auc, standard_error, lower, upper. NaN at a horizon without cases or
        without controls. The interval lies on the scale of the log-odds; it has no width where all pairs agree, which
        is not certainty.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``concordance``.
    ExtrapolationError
        When a horizon lies beyond the longest duration.

    Notes
    -----
    Cumulative cases, dynamic controls, inverse-probability-of-censoring weights: Uno, Cai, Tian & Wei (2007), Hung &
    Chiang (2010); both kinds of controls and the standard error by the influence of each episode on score ranks and
    censoring weights: Blanche, Dartigues & Jacqmin-Gadda (2013). An episode censored exactly at the horizon was open
    up to it and is a control of weight 1 / G(t-), so that an AUC exists at the end of a book observed for t months. One
    sort, then a few running sums per horizon.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 5, 6, 9], "cured": [1, 1, 0, 1], "score": [2.0, 0.5, 1.0, 0.1]})
    >>> curve = time_dependent_auc(frame, duration_col="months", event_col="cured", score_col="score", times=[3, 6])
    >>> curve[["months", "n_cases", "n_controls", "auc"]].values.tolist()
    [[3.0, 1.0, 3.0, 1.0], [6.0, 2.0, 2.0, 0.75]]

    By month 6 two were cured; three of the four pairs with the two that were not are in the right order.
    """
    check_level(level)
    ends = Ends(duration_col, event_col, outcome_col, outcome, censored, weights_col)
    episodes, scores = read_predicted(frame, ends, score_col, predict, is_share=False)
    months = check_times(times, episodes)
    table = _table(_auc_curve(episodes, scores, months, isinstance(score_col, str), controls), months, episodes)
    lower, upper = discrimination_limits(table["value"].to_numpy(), table["standard_error"].to_numpy(), level)
    table = table.rename(columns={"n_compared": "n_controls", "value": "auc"})
    return table.assign(lower=lower, upper=upper)


def integrated_auc(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    times: Sequence[float] | Array,
    score_col: Columns | None = None,
    predict: Predict | None = None,
    event_col: str | None = None,
    outcome_col: str | None = None,
    outcome: str | None = None,
    censored: str = Outcome.OPEN,
    controls: str = "others",
    weights_col: str | None = None,
    level: float = 0.95,
) -> Measure:
    """Average the time-dependent AUC over horizons, each weighted by the events that happen up to it.

    Parameters
    ----------
    frame, duration_col, times, score_col, predict, event_col, outcome_col, outcome, censored, controls
        As in ``time_dependent_auc``.
    weights_col, level
        As in ``time_dependent_auc``.

    Returns
    -------
    Measure
        The mean of AUC(t_k) with weights F(t_k) - F(t_{k-1}), F the cumulative incidence of the event and F(t_0) = 0.
        The standard error takes these weights as given.

    Raises
    ------
    ContractError, InsufficientDataError, ExtrapolationError, ValueError
        As in ``time_dependent_auc``; InsufficientDataError also when there are no controls left at a horizon.

    Notes
    -----
    Lambert & Chevret (2016), with the cumulative incidence in place of 1 - S where outcomes compete.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 5, 6, 9], "cured": [1, 1, 0, 1], "score": [2.0, 0.5, 1.0, 0.1]})
    >>> measure = integrated_auc(frame, duration_col="months", event_col="cured", score_col="score", times=[3, 6])
    >>> round(measure.value, 3)
    0.875
    """
    check_level(level)
    ends = Ends(duration_col, event_col, outcome_col, outcome, censored, weights_col)
    episodes, scores = read_predicted(frame, ends, score_col, predict, is_share=False)
    months = check_times(times, episodes)
    censoring = censoring_of(episodes)
    shares = np.diff([0.0] + [incidence_at(episodes, month, censoring) for month in months])
    if not shares.sum() > 0:
        raise InsufficientDataError(f"no event happened by month {months[-1]:g}; take later times")
    curve = _auc_curve(episodes, scores, months, isinstance(score_col, str), controls)
    value, error = _mean(curve, shares / shares.sum(), months, episodes)
    lower, upper = discrimination_limits(np.array(value), np.array(error), level)
    return Measure("integrated AUC", value, error, float(lower), float(upper), level)


def brier_score(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    times: Sequence[float] | Array,
    predicted_cols: Mapping[float, str] | None = None,
    predict: Predict | None = None,
    event_col: str | None = None,
    outcome_col: str | None = None,
    outcome: str | None = None,
    censored: str = Outcome.OPEN,
    weights_col: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Measure by horizon the squared distance between predicted probabilities of the event and what happened.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, observed from its default on. Not changed.
    duration_col : str
        Months to the event or to censoring, at least 0.
    times : sequence of float
        Horizons in months, increasing, none beyond the longest duration.
    predicted_cols : mapping of float to str, optional
        Horizon to the column that holds the probability, in [0, 1], of having had the event by then.
    predict : callable, optional
        In place of ``predicted_cols``: takes a horizon and returns one probability per row, in the order of the frame.
    event_col, outcome_col, outcome, censored, weights_col, level
        As in ``concordance``.

    Returns
    -------
    DataFrame
        One row per horizon: months, n_cases and n_controls (known to have, and known not to have, had the event),
        brier_score, standard_error, lower, upper, reference_score (of the same probability for all: the cumulative
        incidence of this frame) and skill (1 - brier_score / reference_score: 1 perfect, 0 no better than that,
        negative worse; NaN where the reference leaves nothing to explain).

    Raises
    ------
    ContractError, InsufficientDataError, ExtrapolationError, ValueError
        As in ``time_dependent_auc``.

    Notes
    -----
    Graf, Schmoor, Sauerbrei & Schumacher (1999); with competing outcomes Schoop, Beyersmann, Schumacher & Binder
    (2011); skill is the index of prediction accuracy of Kattan & Gerds (2018). The reference score is F (1 - F), F
    being Aalen-Johansen.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 5, 6, 9], "cured": [1, 1, 0, 1], "by_6": [0.9, 0.8, 0.4, 0.1]})
    >>> table = brier_score(frame, duration_col="months", event_col="cured", predicted_cols={6: "by_6"}, times=[6])
    >>> table[["brier_score", "reference_score", "skill"]].round(4).values.tolist()
    [[0.055, 0.25, 0.78]]

    Half are cured by month 6; knowing the score explains 78 % of what that leaves open.
    """
    check_level(level)
    ends = Ends(duration_col, event_col, outcome_col, outcome, censored, weights_col)
    episodes, probabilities = read_predicted(frame, ends, predicted_cols, predict, is_share=True)
    months = check_times(times, episodes)
    table = _table(_brier_curve(episodes, probabilities, months), months, episodes)
    lower, upper = distance_limits(table["value"].to_numpy(), table["standard_error"].to_numpy(), level)
    censoring = censoring_of(episodes)
    incidence = np.array([incidence_at(episodes, month, censoring) for month in months])
    reference = incidence * (1.0 - incidence)
    usable = np.where(reference > 0, reference, np.nan)
    table = table.rename(columns={"n_compared": "n_controls", "value": "brier_score"})
    return table.assign(
        lower=lower, upper=upper, reference_score=reference, skill=1.0 - table["brier_score"].to_numpy() / usable
    )


def integrated_brier_score(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    times: Sequence[float] | Array,
    predicted_cols: Mapping[float, str] | None = None,
    predict: Predict | None = None,
    event_col: str | None = None,
    outcome_col: str | None = None,
    outcome: str | None = None,
    censored: str = Outcome.OPEN,
    weights_col: str | None = None,
    level: float = 0.95,
) -> Measure:
    """Average the Brier score over a span of horizons.

    Parameters
    ----------
    frame, duration_col, times, predicted_cols, predict, event_col, outcome_col, outcome, censored, weights_col, level
        As in ``brier_score``; at least two times.

    Returns
    -------
    Measure
        The integral by the trapezoidal rule over the given times, divided by their span.

    Raises
    ------
    ContractError, InsufficientDataError, ExtrapolationError, ValueError
        As in ``brier_score``.

    Notes
    -----
    Graf, Schmoor, Sauerbrei & Schumacher (1999).

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 5, 6, 9], "cured": [1, 1, 0, 1], "p": [0.9, 0.8, 0.4, 0.1]})
    >>> measure = integrated_brier_score(
    ...     frame, duration_col="months", event_col="cured", predicted_cols={5: "p", 6: "p"}, times=[5, 6]
    ... )
    >>> round(measure.value, 4)
    0.055
    """
    check_level(level)
    ends = Ends(duration_col, event_col, outcome_col, outcome, censored, weights_col)
    episodes, probabilities = read_predicted(frame, ends, predicted_cols, predict, is_share=True)
    months = check_times(times, episodes, at_least=2)
    gaps = np.diff(months)
    shares = (np.append(gaps, 0.0) + np.append(0.0, gaps)) / (2.0 * (months[-1] - months[0]))
    value, error = _mean(_brier_curve(episodes, probabilities, months), shares, months, episodes)
    lower, upper = distance_limits(np.array(value), np.array(error), level)
    return Measure("integrated Brier score", value, error, float(lower), float(upper), level)


def _auc_curve(
    episodes: Episodes, scores: Predict, months: Array, is_constant: bool, controls: str
) -> Iterator[Measured]:
    check_choice("controls", controls, CONTROLS)
    censoring = censoring_of(episodes)
    ranks = None
    for month in months.tolist():
        if ranks is None or not is_constant:
            ranks = score_order(np.asarray(scores(month), dtype=float))
        yield auc_at(episodes, ranks, month, censoring, others_are_controls=controls == "others")


def _brier_curve(episodes: Episodes, probabilities: Predict, months: Array) -> Iterator[Measured]:
    censoring = censoring_of(episodes)
    for month in months.tolist():
        yield brier_at(episodes, np.asarray(probabilities(month), dtype=float), month, censoring)


def _table(curve: Iterator[Measured], months: Array, episodes: Episodes) -> pd.DataFrame:
    rows = [(m.n_cases, m.n_compared, m.value, m.standard_error(episodes.weights)) for m in curve]
    table = pd.DataFrame(rows, columns=["n_cases", "n_compared", "value", "standard_error"])
    table.insert(0, "months", months)
    return table


def _mean(curve: Iterator[Measured], shares: Array, months: Array, episodes: Episodes) -> tuple[float, float]:
    """Return the weighted mean over horizons and its standard error, holding one horizon at a time."""
    value, influence = 0.0, np.zeros(len(episodes.durations))
    for month, share, measured in zip(months.tolist(), shares.tolist(), curve, strict=True):
        if share > 0 and not np.isfinite(measured.value):
            raise InsufficientDataError(
                f"at month {month:g} there are {measured.n_cases:,.0f} episodes with the event and "
                f"{measured.n_compared:,.0f} to compare them to; end the times before it"
            )
        if share > 0:
            value += share * measured.value
            influence += share * measured.influence
    return value, float(np.sqrt(dot(episodes.weights, influence**2)))
