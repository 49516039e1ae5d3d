"""Is the plateau real? Whether the data were watched long enough to tell "later" from "never".

A cure model will estimate a share that never has the event from almost any data. Whether that share can be believed
depends on how long episodes were watched after the last event, and no single number says so: the published criteria
often disagree, and each looks at one thing only. All are therefore given together, each with what it says in words, and
no overall p-value is formed. This module does not decide; the reader does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._curve_rows import read_events
from recoverykit.estimators._follow_up_criteria import Facts, Limits, list_criteria
from recoverykit.estimators._follow_up_families import Receus, choose_receus, compare_families
from recoverykit.estimators._nonparametric_kernels import ROUNDING
from recoverykit.estimators._rows import Rows, check_choice, check_level
from recoverykit.estimators.distributions import DISTRIBUTIONS
from recoverykit.estimators.mixture_cure_fit import ShareInterval
from recoverykit.estimators.nonparametric import kaplan_meier

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DEFAULT_FAMILIES = ("weibull", "lognormal", "loglogistic")


@dataclass(frozen=True, slots=True, eq=False)
class FollowUp:
    """What the criteria say about the plateau, side by side.

    Attributes
    ----------
    event_name : str
        The event that some may never have.
    n_episodes, n_events : float
        Episodes and events (sums of the weights).
    last_time, last_event_time : float
        Longest time observed and time of the last event, in the unit of the data.
    n_at_risk_plateau : float
        Episodes still watched after the last event: all that is known about the plateau rests on them.
    plateau : ShareInterval
        Kaplan-Meier curve after the last event, with its log-log interval.
    n_in_window : float
        N of Maller & Zhou as R's ``npcure::testmz`` counts it: episodes, events or not, that end between the last event
        and as long before it as the plateau is long.
    alpha_n : float
        (1 - N / n)^n; small: sufficient. NaN without a plateau.
    n_events_in_window : float
        The events among them, which is how Maller & Zhou count.
    q_n, alpha_n_events : float
        Events in the window / n, large: sufficient; and (1 - q_n)^n, the same on the scale of alpha_n.
    n_events_shen : float
        Events in Shen's window, which shrinks with the share of the plateau in the whole time observed.
    alpha_shen : float
        (1 - n_events_shen / n)^n; small: sufficient.
    receus : Receus or None
        Ratio estimation of censored uncured subjects; None where no family could be fitted.
    families : DataFrame
        One row per family: log-likelihoods and AIC without (plain) and with (mixture) a share that never has the event,
        twice their difference, its p-value on the boundary, the share (never) with its interval, the ratio of RECeUS,
        and a note where the family could not be fitted.
    criteria : DataFrame
        One row per criterion: criterion, value, lower, upper, threshold, verdict (``supports`` a plateau, ``doubts``
        it, ``no answer`` or ``describes``), says.
    level : float
        Confidence level of the intervals.
    """

    event_name: str
    n_episodes: float
    n_events: float
    last_time: float
    last_event_time: float
    n_at_risk_plateau: float
    plateau: ShareInterval
    n_in_window: float
    alpha_n: float
    n_events_in_window: float
    q_n: float
    alpha_n_events: float
    n_events_shen: float
    alpha_shen: float
    receus: Receus | None
    families: pd.DataFrame
    criteria: pd.DataFrame
    level: float

    @property
    def plateau_length(self) -> float:
        """Time between the last event and the longest time observed."""
        return self.last_time - self.last_event_time

    @property
    def supporting(self) -> tuple[str, ...]:
        """Criteria that support a plateau."""
        return self._with_verdict("supports")

    @property
    def doubting(self) -> tuple[str, ...]:
        """Criteria that doubt it."""
        return self._with_verdict("doubts")

    @property
    def disagree(self) -> bool:
        """Whether some criteria support the plateau while others doubt it."""
        return bool(self.supporting) and bool(self.doubting)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per criterion: criterion, value, lower, upper, threshold, verdict, says."""
        return self.criteria.copy()

    def to_record(self) -> dict[str, Any]:
        """Return criteria and families as JSON can hold them; None where there is no number."""
        return {
            "event_name": self.event_name,
            "n_episodes": self.n_episodes,
            "n_events": self.n_events,
            "disagree": self.disagree,
            "criteria": _records(self.criteria),
            "families": _records(self.families),
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """Name what supports the plateau and what doubts it, and never one without the other."""
        opening = (
            f"Event: {self.event_name}. {self.n_at_risk_plateau:,.0f} of {self.n_episodes:,.0f} episodes were watched "
            f"beyond the last event at {self.last_event_time:g}, up to {self.last_time:g}"
        )
        for_it, against = _listed(self.supporting), _listed(self.doubting)
        if self.disagree:
            return (
                f"{opening}. The criteria disagree: a plateau is supported by {for_it}, and doubted by {against}. A "
                "share that never has the event rests on the model more than on the data."
            )
        if for_it:
            return f"{opening}. All criteria that have an answer support a plateau: {for_it}."
        if against:
            return f"{opening}. No criterion supports a plateau; it is doubted by {against}."
        return f"{opening}. No criterion has an answer."

    def _with_verdict(self, verdict: str) -> tuple[str, ...]:
        return tuple(self.criteria.loc[self.criteria["verdict"] == verdict, "criterion"])

    def _repr_html_(self) -> str:
        shown = self.criteria[["criterion", "value", "verdict", "says"]]
        return f"<p>{escape(self.sentence())}</p>{shown.to_html(index=False, float_format=lambda x: f'{x:.4g}')}"


def follow_up(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    event_col: str,
    weights_col: str | None = None,
    level: float = 0.95,
    significance: float = 0.05,
    distributions: Sequence[str] = DEFAULT_FAMILIES,
    event_width: float = 0.0,
) -> FollowUp:
    """Ask every criterion whether follow-up was long enough to believe in a share that never has the event.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, or per group of equal episodes when ``weights_col`` is given. Not changed.
    duration_col : str
        Time to the event or to censoring, at least 0. Where other outcomes end an episode for good, follow it to its
        administrative age instead: an episode that was sold will not have the event any more.
    event_col : str
        True (or 1) where the event was seen.
    weights_col : str, optional
        Number of episodes for which a row stands, above 0.
    level : float
        Confidence level of the intervals, in (0, 1).
    significance : float
        What counts as small for alpha_n, Shen's test and the likelihood ratios, in (0, 1).
    distributions : sequence of str
        Families of the times of those that have the event, for RECeUS and the likelihood ratios.
    event_width : float
        How wide the interval is in which a recorded event happened: 1 where months are whole, an event of month m lying
        in (m - 1, m] (one of month 0 in the first interval); 0 for exact times. It concerns the families only.

    Returns
    -------
    FollowUp

    Raises
    ------
    ContractError
        When a column is missing or rows have no valid time, event or weight; names them all.
    InsufficientDataError
        When the frame has no row or no event.
    ValueError
        When an option is not allowed.

    Notes
    -----
    With t* the last event time, t the last time and n the number of episodes:

    * Maller & Zhou (1992), Biometrika 79:731-739, (1994), JASA 89:1499-1506: alpha_n = (1 - N / n)^n, N the events in
      [max(0, 2 t* - t), t*]; R's ``npcure::testmz`` counts the censored ones there too, which makes "sufficient" come
      easily. ``alpha_n`` is that of npcure, ``alpha_n_events`` and q_n = N / n (1996) count events only. As alpha_n is
      close to exp(-N), three events suffice it however large the book is.
    * Shen (2000), Statistics & Probability Letters 49:313-322: the same with the events in [tau t* / t, t*], tau =
      w t* + (1 - w) t, w = (t - t*) / t.
    * RECeUS, Selukar & Othus (2023), Statistics in Medicine 42:209-227: share above 0.025 and ratio below 0.05, in the
      family with the smallest AIC.
    * Likelihood ratio of the family with such a share against the same without, half chi-square with 1 degree of
      freedom and half 0 (Self & Liang 1987; Maller & Zhou 1995, Biometrics 51:1197-1205). It asks whether the curve
      flattens more than the family can without such a share; another family may need none.

    Examples
    --------
    >>> counts = pd.DataFrame({"month": [1, 2, 3, 4, 6, 30], "cured": [1, 1, 1, 1, 1, 0], "n": [19, 12, 8, 5, 2, 54]})
    >>> verdict = follow_up(counts, duration_col="month", event_col="cured", weights_col="n", event_width=1)
    >>> verdict.plateau.value, verdict.n_at_risk_plateau, verdict.doubting
    (0.54, 54.0, ())

    All 54 that were not cured by month 6 were watched to month 30, and none was: no criterion doubts the plateau.
    """
    check_level(level)
    if not 0 < significance < 1:
        raise ValueError(f"significance is {significance!r}; it must lie between 0 and 1, as 0.05 does")
    if not (np.isfinite(event_width) and event_width >= 0):
        raise ValueError(f"event_width is {event_width!r}; it must be a number of 0 or more, 1 for whole months")
    for name in distributions:
        check_choice("distributions", name, tuple(DISTRIBUTIONS))
    read = read_events(
        frame, by=(), duration_col=duration_col, event_col=event_col, weights_col=weights_col, entry_col=None
    )
    is_event = read.codes == 0
    if not is_event.any():
        raise InsufficientDataError(
            f"none of the {read.rows.weights.sum():,.0f} episodes has the event {event_col}, so there is no last event "
            "and no plateau after it; use a wider segment or a longer observation window"
        )
    curve = kaplan_meier(frame, duration_col=duration_col, event_col=event_col, weights_col=weights_col, level=level)
    plateau = ShareInterval(float(curve.values[-1]), float(curve.lower[-1]), float(curve.upper[-1]), level)
    families = compare_families(_cells(read.rows, is_event, event_width), distributions, level=level)
    facts = _facts(read.rows, is_event, plateau, choose_receus(families))
    criteria = list_criteria(facts, families, Limits(significance=significance))
    return _assemble(event_col, facts, families, criteria, level)


def _facts(rows: Rows, is_event: BoolArray, plateau: ShareInterval, receus: Receus | None) -> Facts:
    """Count what the nonparametric criteria need."""
    times, weights = rows.durations, rows.weights
    total = float(weights.sum())
    last, last_event = float(times.max()), float(times[is_event].max())

    def count(chosen: BoolArray) -> float:
        return float(weights[chosen].sum())

    has_plateau = last > last_event
    rounding = ROUNDING * last  # whoever ends where a window begins belongs to it, in months as in years
    in_window = (times >= 2.0 * last_event - last - rounding) & (times <= last_event)
    # Shen's window: from tau t* / t on, where tau lies the nearer to t the shorter the plateau.
    w = (last - last_event) / last if last > 0 else 0.0
    begin = (w * last_event + (1.0 - w) * last) * last_event / last if last > 0 else 0.0
    in_shen = is_event & (times >= begin - rounding) & (times <= last_event)
    counts = [count(in_window), count(in_window & is_event), count(in_shen)]
    alphas = [(1.0 - number / total) ** total if has_plateau else float("nan") for number in counts]
    return Facts(
        n_episodes=total,
        n_events=count(is_event),
        last_time=last,
        last_event_time=last_event,
        n_at_risk_plateau=count(times > last_event),
        plateau=plateau,
        n_in_window=counts[0],
        alpha_n=alphas[0],
        n_events_in_window=counts[1],
        q_n=counts[1] / total if has_plateau else float("nan"),
        alpha_n_events=alphas[1],
        n_events_shen=counts[2],
        alpha_shen=alphas[2],
        receus=receus,
    )


def _cells(rows: Rows, is_event: BoolArray, event_width: float) -> pd.DataFrame:
    """Collapse the rows to distinct times, as intervals in which the event lies."""
    frame = pd.DataFrame({"time": rows.durations, "event": is_event, "weight": rows.weights})
    cells = frame.groupby(["time", "event"], as_index=False, sort=True)["weight"].sum()
    time, event = cells["time"].to_numpy(), cells["event"].to_numpy()
    lower = np.where(event, np.maximum(time - event_width, 0.0), time)
    upper = np.where(event, np.maximum(time, event_width), np.inf)
    return pd.DataFrame({"lower": lower, "upper": upper, "weight": cells["weight"].to_numpy()})


def _assemble(event_name: str, facts: Facts, families: pd.DataFrame, criteria: pd.DataFrame, level: float) -> FollowUp:
    return FollowUp(
        event_name=event_name,
        n_episodes=facts.n_episodes,
        n_events=facts.n_events,
        last_time=facts.last_time,
        last_event_time=facts.last_event_time,
        n_at_risk_plateau=facts.n_at_risk_plateau,
        plateau=facts.plateau,
        n_in_window=facts.n_in_window,
        alpha_n=facts.alpha_n,
        n_events_in_window=facts.n_events_in_window,
        q_n=facts.q_n,
        alpha_n_events=facts.alpha_n_events,
        n_events_shen=facts.n_events_shen,
        alpha_shen=facts.alpha_shen,
        receus=facts.receus,
        families=families,
        criteria=criteria,
        level=level,
    )


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join([part for part in (", ".join(names[:-1]), *names[-1:]) if part])


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.to_dict(orient="records")
    return [
        {str(key): None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}
        for row in rows
    ]
