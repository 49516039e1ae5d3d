"""The Nelson-Aalen estimate: how much risk of the event has been gone through by each month in default.

Its slope is the monthly hazard, so a straight line means that the event is as likely next month as it was last month,
and a flat one that it has stopped happening. Ties, month 0, weights and late entry are counted as for the other
nonparametric curves. This module does not know what the event means for the bank.
"""

from collections.abc import Sequence

import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.curves import StepCurve
from recoverykit.estimators._curve_rows import check_reach, count_events, make_curves
from recoverykit.estimators._nonparametric_kernels import cumulative_hazard, hazard_interval
from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.vocabulary import WHOLE_BOOK

INTERVALS = ("log", "plain")
VARIANCES = ("aalen", "binomial")


def nelson_aalen(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    event_col: str,
    weights_col: str | None = None,
    entry_col: str | None = None,
    level: float = 0.95,
    interval: str = "log",
    variance: str = "aalen",
    at: ArrayLike | None = None,
) -> StepCurve:
    """Estimate the cumulative hazard of the event by months in default.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, or per group of equal episodes when ``weights_col`` is given. Not changed.
    duration_col : str
        Months to the event or to censoring, at least 0.
    event_col : str
        True (or 1) where the event was seen, False (or 0) where the episode was censored.
    weights_col : str, optional
        Number of episodes for which a row stands, above 0.
    entry_col : str, optional
        Months in default when observation began (left truncation), as in ``kaplan_meier``.
    level : float
        Confidence level in (0, 1).
    interval : {"log", "plain"}
        Scale of the pointwise interval; "log" keeps it above 0.
    variance : {"aalen", "binomial"}
        "aalen" is the sum of d / Y^2, as in R's ``survival::survfit``; "binomial" the sum of d (Y - d) / Y^3, which
        takes episodes that end in the same month as ties and not as one after the other.
    at : array_like of shape (n_months,), optional
        Reporting grid, as in ``kaplan_meier``.

    Returns
    -------
    StepCurve
        H(t) = sum of d / Y over the months up to t, from month 0 to the longest duration, with standard errors and
        number at risk. It is no probability and may exceed 1.

    Raises
    ------
    ContractError
        When a column is missing or rows have no valid time, event, entry or weight; names them all.
    InsufficientDataError
        When the frame has no row.
    ExtrapolationError
        When ``at`` goes beyond the longest duration.
    ValueError
        When ``level``, ``interval``, ``variance`` or ``at`` is not allowed.

    Notes
    -----
    Nelson (1972); Aalen (1978); Andersen, Borgan, Gill & Keiding (1993), section IV.1.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 3, 4, 6, 9], "resolved": [True, True, False, True, False]})
    >>> curve = nelson_aalen(frame, duration_col="months", event_col="resolved")
    >>> round(curve(9).item(), 3)
    0.9

    Two of five left in month 3 and one of two in month 6: 0.4 + 0.5.
    """
    curves = nelson_aalen_by(
        frame,
        by=(),
        duration_col=duration_col,
        event_col=event_col,
        weights_col=weights_col,
        entry_col=entry_col,
        level=level,
        interval=interval,
        variance=variance,
        at=at,
    )
    check_reach(curves.values(), at, frame, duration_col=duration_col, entry_col=entry_col)
    return curves[WHOLE_BOOK]


def nelson_aalen_by(
    frame: pd.DataFrame,
    *,
    by: str | Sequence[str],
    duration_col: str,
    event_col: str,
    weights_col: str | None = None,
    entry_col: str | None = None,
    level: float = 0.95,
    interval: str = "log",
    variance: str = "aalen",
    at: ArrayLike | None = None,
) -> dict[str, StepCurve]:
    """Estimate the cumulative hazard of every segment in one pass.

    Parameters
    ----------
    frame : DataFrame
        As in ``nelson_aalen``.
    by : str or sequence of str
        Segment columns; none of their values may be missing. An empty sequence is the whole book.
    duration_col, event_col, weights_col, entry_col, level, interval, variance
        As in ``nelson_aalen``.
    at : array_like of shape (n_months,), optional
        As in ``kaplan_meier_by``.

    Returns
    -------
    dict of str to StepCurve
        Segment name to its curve, sorted by name.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``nelson_aalen``.
    """
    check_level(level)
    check_choice("interval", interval, INTERVALS)
    check_choice("variance", variance, VARIANCES)
    counted = count_events(
        frame,
        by=by,
        duration_col=duration_col,
        event_col=event_col,
        weights_col=weights_col,
        entry_col=entry_col,
        at=at,
    )
    counts = counted.counts
    estimate = cumulative_hazard(n_at_risk=counts.n_at_risk, n_events=counts.n_events[:, :, 0], variance=variance)
    limits = hazard_interval(
        values=estimate.values, standard_errors=estimate.standard_errors, level=level, interval=interval
    )
    return make_curves(counted, estimate, limits, level=level)
