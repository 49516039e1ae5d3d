"""The follow-up criteria in words: each with its value, its limit and what it says.

Private to ``follow_up``.
"""

from dataclasses import dataclass

import pandas as pd

from recoverykit.estimators._follow_up_families import Receus
from recoverykit.estimators.mixture_cure_fit import ShareInterval
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

SUPPORTS, DOUBTS, NO_ANSWER, DESCRIBES = "supports", "doubts", "no answer", "describes"
COLUMNS = ["criterion", "value", "lower", "upper", "threshold", "verdict", "says"]

_NAN = float("nan")
_NO_PLATEAU = "the longest time observed is that of an event, so nobody was watched beyond the last event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where a criterion changes its mind.

    Attributes
    ----------
    significance : float
        Below it alpha_n, Shen's test and likelihood ratios count as small.
    least_share, largest_ratio : float
        Of RECeUS, as published.
    """

    significance: float
    least_share: float = 0.025
    largest_ratio: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was counted and estimated; the fields are those of ``FollowUp``."""

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

    @property
    def has_plateau(self) -> bool:
        """Whether anybody was watched beyond the last event."""
        return self.last_time > self.last_event_time


def list_criteria(facts: Facts, families: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """Return one row per criterion with its verdict and what it says.

    Parameters
    ----------
    facts : Facts
    families : DataFrame
        As of ``compare_families``.
    limits : Limits

    Returns
    -------
    DataFrame
        Columns of ``COLUMNS``.
    """
    rows = [*_descriptions(facts), *_window_tests(facts, limits), _receus(facts.receus, limits)]
    rows += [_likelihood_ratio(family, limits) for _, family in families.iterrows()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(
    criterion: str,
    value: float,
    verdict: str,
    says: str,
    *,
    threshold: float = _NAN,
    lower: float = _NAN,
    upper: float = _NAN,
) -> dict[str, object]:
    return dict(zip(COLUMNS, (criterion, value, lower, upper, threshold, verdict, says), strict=True))


def _descriptions(facts: Facts) -> list[dict[str, object]]:
    length = facts.last_time - facts.last_event_time
    share = length / facts.last_time if facts.last_time > 0 else 0.0
    few = facts.n_at_risk_plateau < MINIMUM_CELL_COUNT
    plateau = facts.plateau
    height = f"{plateau.value:.1%} have not had the event where the curve ends"
    at_risk = (
        f"{_count(facts.n_at_risk_plateau, 'episode')} watched beyond the last event"
        if facts.has_plateau
        else _NO_PLATEAU
    )
    return [
        _row("last event", facts.last_event_time, DESCRIBES, f"no event was seen after {facts.last_event_time:g}"),
        _row("last time", facts.last_time, DESCRIBES, f"nobody was watched beyond {facts.last_time:g}"),
        _row("plateau length", length, DESCRIBES, f"{share:.0%} of the time observed lies after the last event"),
        _row("plateau height", plateau.value, DESCRIBES, height, lower=plateau.lower, upper=plateau.upper),
        _row(
            "at risk on the plateau",
            facts.n_at_risk_plateau,
            DOUBTS if few else SUPPORTS,
            f"{at_risk}{', too few to tell never from later' if few and facts.has_plateau else ''}",
            threshold=MINIMUM_CELL_COUNT,
        ),
    ]


def _window_tests(facts: Facts, limits: Limits) -> list[dict[str, object]]:
    """Judge the tests that count what ended shortly before the last event."""
    limit, window = limits.significance, "in a window before the last event as long as the plateau"
    least = 1.0 - limit ** (1.0 / facts.n_episodes)  # (1 - q)^n below the limit means q above this
    ended, events = _count(facts.n_in_window, "episode"), _count(facts.n_events_in_window, "event")
    in_shen = _count(facts.n_events_shen, "event")
    tests = [
        ("alpha_n", facts.alpha_n, facts.alpha_n, limit, f"{ended} ended, {events} among them, {window}"),
        ("q_n", facts.q_n, facts.alpha_n_events, least, f"{events} fell {window}"),
        ("Shen", facts.alpha_shen, facts.alpha_shen, limit, f"{in_shen} fell in Shen's window before the last event"),
    ]
    rows = []
    for name, value, alpha, threshold, found in tests:
        if not facts.has_plateau:
            rows.append(_row(name, value, DOUBTS, _NO_PLATEAU, threshold=threshold))
            continue
        enough = alpha < limit
        meaning = "enough that later ones would have shown" if enough else "too few to rule out later ones"
        verdict = SUPPORTS if enough else DOUBTS
        rows.append(_row(name, value, verdict, f"{found}, {meaning} (p {_p_value(alpha)})", threshold=threshold))
    return rows


def _receus(receus: Receus | None, limits: Limits) -> dict[str, object]:
    if receus is None:
        return _row("RECeUS", _NAN, NO_ANSWER, "no family could be fitted", threshold=limits.largest_ratio)
    if not receus.has_never_share:
        says = f"the {receus.distribution} family describes the data best without a share that never has the event"
        return _row("RECeUS", receus.ratio, DOUBTS, says, threshold=limits.largest_ratio)
    enough = receus.never > limits.least_share and receus.ratio < limits.largest_ratio
    says = (
        f"in the {receus.distribution} family {receus.never:.1%} never have the event, and at the last time the "
        f"survival of the others is {receus.ratio:.1%} of that of all"
    )
    return _row("RECeUS", receus.ratio, SUPPORTS if enough else DOUBTS, says, threshold=limits.largest_ratio)


def _likelihood_ratio(family: pd.Series, limits: Limits) -> dict[str, object]:
    name = f"likelihood ratio ({family['distribution']})"
    if family["note"]:
        return _row(name, _NAN, NO_ANSWER, str(family["note"]), threshold=limits.significance)
    p_value, never = float(family["p_value"]), float(family["never"])
    needed = p_value < limits.significance
    says = (
        f"the curve flattens {'more than' if needed else 'no more than'} the {family['distribution']} family does "
        f"without a share that never has the event; with one it is {never:.1%} (p {_p_value(p_value)})"
    )
    return _row(name, p_value, SUPPORTS if needed else DOUBTS, says, threshold=limits.significance)


def _count(number: float, noun: str) -> str:
    return f"{number:,.0f} {noun}{'' if round(number) == 1 else 's'}"


def _p_value(value: float) -> str:
    return "below 0.0001" if value < 1e-4 else f"{value:.4f}"
