"""Kaplan-Meier and Aalen-Johansen curves of default episodes, for one segment or for all of them in one pass.

Monthly data are full of ties, books are large and segments many. The curves are therefore formed from exact counts:
nothing is jittered, an event in month 0 counts, a row may stand for many episodes (``weights_col``), and an episode
that was already in default when observation began joins the risk set only then (``entry_col``). This module does not
know what an outcome means for the bank.
"""

from collections.abc import Sequence

import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.curves import StepCurve
from recoverykit.estimators._curve_rows import check_reach, count, count_events, make_curves, read_outcomes
from recoverykit.estimators._nonparametric_kernels import Estimate, incidence, probability_interval, survival
from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.estimators.cumulative_hazard import nelson_aalen, nelson_aalen_by
from recoverykit.vocabulary import WHOLE_BOOK, Outcome

__all__ = [
    "aalen_johansen",
    "aalen_johansen_by",
    "kaplan_meier",
    "kaplan_meier_by",
    "nelson_aalen",
    "nelson_aalen_by",
]

INTERVALS = ("log-log", "log", "plain")
VARIANCES = ("greenwood", "aalen")


def kaplan_meier(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    event_col: str,
    weights_col: str | None = None,
    entry_col: str | None = None,
    level: float = 0.95,
    interval: str = "log-log",
    at: ArrayLike | None = None,
) -> StepCurve:
    """Estimate the share of episodes still without the event by months in default.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, or per group of equal episodes when ``weights_col`` is given. Not changed.
    duration_col : str
        Months to the event or to censoring, at least 0.
    event_col : str
        True (or 1) where the event was seen, False (or 0) where the episode was censored.
    weights_col : str, optional
        Number of episodes for which a row stands, above 0: a row of weight 2 is the row twice.
    entry_col : str, optional
        Months in default when observation began (left truncation), 0 for episodes seen from their default on. A row
        with entry e > 0 is at risk in the months after e; a censored row that ends at its own entry is never at risk.
    level : float
        Confidence level in (0, 1).
    interval : {"log-log", "log", "plain"}
        Scale of the pointwise interval. "log-log" keeps it inside [0, 1] without clipping.
    at : array_like of shape (n_months,), optional
        Reporting grid: tell the curve at these months only (month 0 is put in front); between them it is held at the
        month before. Not given: at every distinct duration.

    Returns
    -------
    StepCurve
        From month 0 to the longest duration, with Greenwood's standard errors and the number at risk just before each
        time. Before the first event the interval has no width: no variance can be
        estimated there, which is not certainty. Once the curve is at 0, standard error and interval are NaN.

    Raises
    ------
    ContractError
        When a column is missing or rows have no valid time, event, entry or weight; names them all.
    InsufficientDataError
        When the frame has no row.
    ExtrapolationError
        When ``at`` goes beyond the longest duration.
    ValueError
        When ``level``, ``interval`` or ``at`` is not allowed.

    Notes
    -----
    Kaplan & Meier (1958); Greenwood's formula and the log-log interval as in Kalbfleisch & Prentice
    (2002), section 1.4. Values and standard errors are those of R's ``survival::survfit``.

    With competing outcomes 1 - KM of one outcome is not its probability; see ``aalen_johansen``. With late entries
    the first risk sets may be small, and a curve that falls to 0 there stays at 0: look at ``n_at_risk``.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 3, 4, 6, 9], "resolved": [True, True, False, True, False]})
    >>> curve = kaplan_meier(frame, duration_col="months", event_col="resolved")
    >>> curve.to_frame()[["months", "value", "n_at_risk"]].round(3).to_string(index=False).splitlines()[-1]
    '    9.0    0.3        1.0'

    After nine months an estimated 30 % are still unresolved, on one episode at risk.
    """
    curves = kaplan_meier_by(
        frame,
        by=(),
        duration_col=duration_col,
        event_col=event_col,
        weights_col=weights_col,
        entry_col=entry_col,
        level=level,
        interval=interval,
        at=at,
    )
    check_reach(curves.values(), at, frame, duration_col=duration_col, entry_col=entry_col)
    return curves[WHOLE_BOOK]


def kaplan_meier_by(
    frame: pd.DataFrame,
    *,
    by: str | Sequence[str],
    duration_col: str,
    event_col: str,
    weights_col: str | None = None,
    entry_col: str | None = None,
    level: float = 0.95,
    interval: str = "log-log",
    at: ArrayLike | None = None,
) -> dict[str, StepCurve]:
    """Estimate the Kaplan-Meier curve of every segment in one pass.

    Parameters
    ----------
    frame : DataFrame
        As in ``kaplan_meier``.
    by : str or sequence of str
        Segment columns, read fastest as categories; none of their values may be missing. An empty sequence is the
        whole book.
    duration_col, event_col, weights_col, entry_col, level, interval
        As in ``kaplan_meier``.
    at : array_like of shape (n_months,), optional
        As in ``kaplan_meier``; each segment has the months of the grid up to its own longest duration.

    Returns
    -------
    dict of str to StepCurve
        Segment name (values joined as in ``segment_name``) to its curve, sorted by name; each equals the curve of
        ``kaplan_meier`` on the segment's rows.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``kaplan_meier``.

    Examples
    --------
    >>> frame = pd.DataFrame({"product": ["card", "card", "auto"], "months": [1, 2, 5], "resolved": [1, 0, 0]})
    >>> curves = kaplan_meier_by(frame, by="product", duration_col="months", event_col="resolved")
    >>> {name: curve.values[-1].item() for name, curve in curves.items()}
    {'auto': 1.0, 'card': 0.5}
    """
    _check_options(level, interval)
    counted = count_events(
        frame,
        by=by,
        duration_col=duration_col,
        event_col=event_col,
        weights_col=weights_col,
        entry_col=entry_col,
        at=at,
    )
    estimate = survival(n_at_risk=counted.counts.n_at_risk, n_events=counted.counts.n_events[:, :, 0])
    limits = probability_interval(
        values=estimate.values,
        standard_errors=estimate.standard_errors,
        level=level,
        interval=interval,
        is_survival=True,
    )
    return make_curves(counted, estimate, limits, level=level)


def aalen_johansen(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    outcome_col: str,
    censored: str = Outcome.OPEN,
    weights_col: str | None = None,
    entry_col: str | None = None,
    level: float = 0.95,
    interval: str = "log-log",
    variance: str = "greenwood",
    at: ArrayLike | None = None,
) -> dict[str, StepCurve]:
    """Estimate the probability of each outcome by months in default while the others compete.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, or per group of equal episodes when ``weights_col`` is given. Not changed.
    duration_col : str
        Months to the outcome or to censoring, at least 0.
    outcome_col : str
        Outcome of each row; none may be missing.
    censored : str
        The value of ``outcome_col`` that means censored.
    weights_col, entry_col, level, at
        As in ``kaplan_meier``.
    interval : {"log-log", "log", "plain"}
        Scale of the pointwise interval: log(-log(1 - F)), the default, mirrors that of ``kaplan_meier``; "log" is the
        log of F, as R's ``survfit`` prints it for competing risks.
    variance : {"greenwood", "aalen"}
        "greenwood" agrees with R's ``survival::survfit`` and, with a single outcome, with Greenwood's formula of
        ``kaplan_meier``. "aalen" takes the outcomes as independent Poisson-like increments and agrees with R's
        ``cmprsk::cuminc``. They differ visibly only where few are at risk.

    Returns
    -------
    dict of str to StepCurve
        Outcome to its cumulative incidence from month 0 to the longest duration, with standard errors and number at
        risk. Outcomes in the order of ``CLOSED_OUTCOMES``, others after them by name. Together with the survival
        curve of any outcome they add up to 1.

    Raises
    ------
    ContractError, InsufficientDataError, ExtrapolationError, ValueError
        As in ``kaplan_meier``.

    Notes
    -----
    Aalen & Johansen (1978); Andersen, Borgan, Gill & Keiding (1993), example IV.4.1.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [2, 3, 3, 5], "outcome": ["cured", "cured", "sold", "open"]})
    >>> curves = aalen_johansen(frame, duration_col="months", outcome_col="outcome")
    >>> {outcome: curve(5).item() for outcome, curve in curves.items()}
    {'cured': 0.5, 'sold': 0.25}

    Half of the episodes have cured by month 5, a quarter was sold, and a quarter is still open.
    """
    curves = aalen_johansen_by(
        frame,
        by=(),
        duration_col=duration_col,
        outcome_col=outcome_col,
        censored=censored,
        weights_col=weights_col,
        entry_col=entry_col,
        level=level,
        interval=interval,
        variance=variance,
        at=at,
    )
    check_reach(curves[WHOLE_BOOK].values(), at, frame, duration_col=duration_col, entry_col=entry_col)
    return curves[WHOLE_BOOK]


def aalen_johansen_by(
    frame: pd.DataFrame,
    *,
    by: str | Sequence[str],
    duration_col: str,
    outcome_col: str,
    censored: str = Outcome.OPEN,
    weights_col: str | None = None,
    entry_col: str | None = None,
    level: float = 0.95,
    interval: str = "log-log",
    variance: str = "greenwood",
    at: ArrayLike | None = None,
) -> dict[str, dict[str, StepCurve]]:
    """Estimate the cumulative incidence of every outcome in every segment in one pass.

    Parameters
    ----------
    frame : DataFrame
        As in ``aalen_johansen``.
    by : str or sequence of str
        Segment columns; none of their values may be missing. An empty sequence is the whole book.
    duration_col, outcome_col, censored, weights_col, entry_col, level, interval, variance
        As in ``aalen_johansen``.
    at : array_like of shape (n_months,), optional
        As in ``kaplan_meier_by``.

    Returns
    -------
    dict of str to dict of str to StepCurve
        Segment name, sorted, to outcome to curve. Every segment has every outcome that the frame knows, at 0
        throughout where the segment never saw it.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``kaplan_meier``.
    """
    _check_options(level, interval)
    check_choice("variance", variance, VARIANCES)
    read = read_outcomes(
        frame,
        by=by,
        duration_col=duration_col,
        outcome_col=outcome_col,
        censored=censored,
        weights_col=weights_col,
        entry_col=entry_col,
    )
    counted = count(read, at)
    estimate = incidence(n_at_risk=counted.counts.n_at_risk, n_events=counted.counts.n_events, variance=variance)
    result: dict[str, dict[str, StepCurve]] = {name: {} for name in counted.names}
    for k, outcome in enumerate(counted.outcomes):
        part = Estimate(values=estimate.values[:, :, k], standard_errors=estimate.standard_errors[:, :, k])
        limits = probability_interval(
            values=part.values,
            standard_errors=part.standard_errors,
            level=level,
            interval=interval,
            is_survival=False,
        )
        for name, curve in make_curves(counted, part, limits, level=level).items():
            result[name][outcome] = curve
    return result


def _check_options(level: float, interval: str) -> None:
    check_level(level)
    check_choice("interval", interval, INTERVALS)
