"""Sentences about the validation of a model: what was set apart, what was found, and what follows from it."""

from collections.abc import Mapping

import pandas as pd

from recoverykit.report.formats import (
    capital,
    format_cell,
    format_count,
    format_date,
    format_months,
    format_ratio,
    format_share,
    interval_words,
    is_missing,
    listed,
    number_of,
)
from recoverykit.report.labels import distribution_words
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_NEW, _OPEN, _DEVELOPMENT, _LATER = "new_defaults", "open_loans", "development", "out_of_time"
_LOANS = {_NEW: "new defaults", _OPEN: "loans already open"}
_AS_FAR = " as far as it could be judged"
_CHECKS = {
    "discrimination": "the ranking of",
    "calibration": "the number of cures among",
    "accuracy": "what the drivers explain among",
    "drivers": "the mix of the drivers",
    "predictions": "the mix of the predictions",
    "parameters": "the parameters of earlier and later vintages",
    "never_cured": "the share that never cures in earlier and later vintages",
}


def check_words(check: str, population: str) -> str:
    """Return a check in words: ``the ranking of new defaults``.

    Examples
    --------
    >>> check_words("calibration", "open_loans")
    'the number of cures among loans already open'
    """
    return f"{_CHECKS[check]} {_LOANS[population]}" if population else _CHECKS[check]


def sentence_validation(lights: pd.DataFrame, *, n_cures: int, minimum_cures: int, note: str = "") -> str:
    """Draw the conclusion of a validation from all its findings.

    Parameters
    ----------
    lights : DataFrame
        One row per check with check, population and light (``green``, ``amber``, ``red``, ``not judged``).
    n_cures : int
        Cures that became known since the cut-off.
    minimum_cures : int
        Cures that a light needs.
    note : str
        Why there is nothing to validate; empty where there is.

    Examples
    --------
    >>> lights = pd.DataFrame({"check": ["calibration"], "population": ["open_loans"], "light": ["green"]})
    >>> sentence_validation(lights, n_cures=80, minimum_cures=30)
    'The one check lies within its limit: nothing found here speaks against using the model.'
    """
    if note:
        return f"There is no model to validate here: {note.removesuffix('.')}."
    named = {light: [check_words(*row) for row in _rows(lights, light)] for light in ("green", "amber", "red")}
    n_judged = sum(len(names) for names in named.values())
    n_open = len(lights) - n_judged
    cured = f"{format_cell(n_cures, words=True)} loans" if n_cures else "no loan"
    since = f"{cured} cured since the cut-off"
    if n_judged == 0:
        return f"Nothing can be judged: {since}, and a light needs {minimum_cures} cures."
    if not (named["amber"] or named["red"] or _tried(lights)):
        return (
            f"What came since the cut-off cannot be judged: {since}, and a light needs {minimum_cures} cures. Checks "
            f"that need none lie within their limits, which is no proof of the model: {listed(named['green'])}."
        )
    unjudged = (
        f" {number_of(n_open, 'check', 'checks')} could not be judged, mostly for want of cures: {since}, and a light "
        f"needs {minimum_cures} in either population."
    )
    return f"{_verdict(named, n_judged, on_all=not n_open)}{unjudged if n_open else ''}"


def sentence_holdout(samples: pd.DataFrame, *, cut_off: object, reporting_date: object, holdout_months: int) -> str:
    """Say what the model was estimated on and what it was tried on.

    Parameters
    ----------
    samples : DataFrame
        One row per population and period with n_episodes and n_cures.
    cut_off, reporting_date : date-like
        Between the two lies the holdout.
    holdout_months : int
        Its length, months.
    """
    if samples.empty:
        return f"The clock was to be set back by {format_months(holdout_months)}, to {format_date(cut_off)}."
    size = samples.set_index(["population", "period"])
    return (
        f"The clock was set back by {format_months(holdout_months)}, to {format_date(cut_off)}. The model was "
        f"estimated on what was known then: {_episodes(size, _NEW, _DEVELOPMENT)} watched from default on, of which "
        f"{_cured(size, _NEW, _DEVELOPMENT)} had cured. It is tried on {_episodes(size, _OPEN)} that were open then, "
        f"of which {_cured(size, _OPEN)} had cured by {format_date(reporting_date)}, and on {_episodes(size, _NEW)} "
        f"that defaulted since, of which {_cured(size, _NEW)} had."
    )


def sentence_hindsight(*, n_provisional_cures: int, merge_months: int, n_unpredictable: int) -> str:
    """Say what the test cannot see: cures that may be undone, and loans without a driver.

    Parameters
    ----------
    n_provisional_cures : int
        Cures of the holdout younger than the merge window.
    merge_months : int
        The window, months: a default within it continues the earlier one.
    n_unpredictable : int
        Loans left out because a driver is missing or was unknown at the cut-off.
    """
    parts = []
    if n_provisional_cures:
        parts.append(
            f"A default within {format_months(merge_months)} of a cure undoes it: of the cures since the cut-off, "
            f"{format_cell(n_provisional_cures, words=True)} are so young that this may still happen, while cures of "
            "the development sample that were undone since already count as open. Slightly more cures than expected "
            "are therefore no surprise."
        )
    if n_unpredictable:
        parts.append(
            f"Left out: {format_cell(n_unpredictable, words=True)} loans with a driver that is missing or that the "
            "development sample did not know."
        )
    return " ".join(parts)


def sentence_discrimination(table: pd.DataFrame, lights: pd.DataFrame) -> str:
    """Say how often the model ranks a loan that cures above one that does not, now and in development."""
    said = []
    for population, loans in _LOANS.items():
        later, before = (_auc(table, population, period) for period in (_LATER, _DEVELOPMENT))
        light = _light(lights, "discrimination", population)
        if later is None or light == "not judged":
            said.append(f"The ranking of {loans} cannot be judged.")
            continue
        pairs = f"{format_share(later['value'])}{interval_words(later['lower'], later['upper'])}"
        against = f", against {format_share(before['value'])} in development" if before is not None else ""
        verdict = {
            "green": "the loss, if any, lies within its limit",
            "amber": "a loss to be watched",
            "red": "too great a loss",
        }[light]
        said.append(
            f"Among {loans}, a loan that cures by month {later['months']:.0f} has the higher prediction in {pairs} of "
            f"pairs out of time{against}: {verdict}."
        )
    return " ".join(said)


def sentence_calibration(table: pd.DataFrame, lights: pd.DataFrame) -> str:
    """Say how many cures were expected and how many came, and whether chance explains the difference."""
    said = []
    for population, loans in _LOANS.items():
        rows = table[(table["population"] == population) & (table["period"] == _LATER)]
        if rows.empty:
            said.append(f"Too few {loans} were followed for long enough to count cures.")
            continue
        row = rows.iloc[-1]
        since = "of default" if population == _NEW else "after the cut-off"
        verdict = {
            "green": "a difference that chance explains",
            "amber": "a difference at the edge of chance",
            "red": "a difference that chance does not explain",
            "not judged": "too few cures to judge",
        }[_light(lights, "calibration", population)]
        seen = f"{format_share(row['observed'])}{interval_words(row['lower'], row['upper'])} were"
        if is_missing(row["observed"]):
            seen = "how many were cannot be told"
        if 0 < row["n_cures"] < MINIMUM_CELL_COUNT:
            seen = f"fewer than {MINIMUM_CELL_COUNT} of {format_count(row['n_episodes'])} loans were"
        z = "" if is_missing(row["z"]) or 0 < row["n_cures"] < MINIMUM_CELL_COUNT else f" (z {format_ratio(row['z'])})"
        said.append(
            f"Of {loans}, {format_share(row['predicted'])} were expected to be cured by month {row['months']:.0f} "
            f"{since}, and {seen}: {verdict}{z}."
        )
    return " ".join(said)


def sentence_stability(
    *, lights: pd.DataFrame, halves: Mapping[str, float], choice: str, choice_today: str, dates_not_fitted: list[str]
) -> str:
    """Say whether the model is still the same: its drivers, parameters, plateau and latency distribution.

    Parameters
    ----------
    lights : DataFrame
        As in ``sentence_validation``.
    halves : mapping
        ``never_earlier`` and ``never_later``, the shares that never cure by the earlier and by the later vintages.
    choice, choice_today : str
        Latency distribution chosen at the cut-off and today.
    dates_not_fitted : list of str
        ISO dates at which the model could not be estimated.
    """
    moved = {name: _light(lights, name, "") for name in ("drivers", "predictions", "parameters", "never_cured")}
    changed = [check_words(name, "") for name, light in moved.items() if light in ("amber", "red")]
    same = [check_words(name, "") for name, light in moved.items() if light == "green"]
    said = []
    if same:
        said.append(f"Within limits: {listed(same)}.")
    if changed:
        said.append(f"Beyond a limit: {listed(changed)}.")
    if not is_missing(halves["never_earlier"]):
        said.append(
            f"By the earlier half of the vintages {format_share(halves['never_earlier'])} of the same loans never "
            f"cure, by the later half {format_share(halves['never_later'])}."
        )
    else:
        said.append("The two halves of the vintages cannot be estimated apart.")
    if choice and choice_today and choice != choice_today:
        said.append(
            f"The latency distribution chosen at the cut-off was {distribution_words(choice)}, today it is "
            f"{distribution_words(choice_today)}."
        )
    if dates_not_fitted:
        said.append(f"Too little was known for an estimate at {listed([format_date(d) for d in dates_not_fitted])}.")
    return " ".join(said)


def _verdict(named: Mapping[str, list[str]], n_judged: int, *, on_all: bool) -> str:
    """Say which checks lie beyond a limit, and what follows; ``named`` holds the checks of each light in words."""
    red, amber = named["red"], named["amber"]
    if not red and not amber:
        within = "The one check lies within its limit" if n_judged == 1 else f"All {n_judged} checks lie within limits"
        return f"{within}: nothing found here speaks against using the model{'' if on_all else _AS_FAR}."
    beyond = [
        f"{where} lie{'s' if len(names) == 1 else ''} {listed(names)}"
        for where, names in (("beyond the red limit", red), ("between amber and red", amber))
        if names
    ]
    follows = "The model may be used with this reservation; of so many checks one or two stand at amber by chance."
    if red:
        follows = "The loans have changed; whether the model still holds for them, the other checks must say."
    if {*red} - {_CHECKS["drivers"], _CHECKS["predictions"]}:
        follows = "The model should not be relied on for these loans before this is explained."
    judged = f"Of {n_judged} checks {len(named['green'])} lie within limits; " if n_judged > 1 else ""
    return f"{capital(judged + '; '.join(beyond))}. {follows}"


def _tried(lights: pd.DataFrame) -> bool:
    """Tell whether any check against what came since the cut-off was judged."""
    return bool(((lights["population"] != "") & (lights["light"] != "not judged")).any())


def _rows(lights: pd.DataFrame, light: str) -> list[tuple[str, str]]:
    rows = lights.loc[lights["light"] == light, ["check", "population"]]
    return [(str(check), str(population)) for check, population in rows.to_numpy()]


def _light(lights: pd.DataFrame, check: str, population: str) -> str:
    rows = lights[(lights["check"] == check) & (lights["population"] == population)]
    return str(rows["light"].iloc[0]) if len(rows) else "not judged"


def _auc(table: pd.DataFrame, population: str, period: str) -> pd.Series | None:
    rows = table[(table["population"] == population) & (table["period"] == period) & (table["measure"] == "auc")]
    return None if rows.empty or is_missing(rows["value"].iloc[0]) else rows.iloc[0]


def _episodes(size: pd.DataFrame, population: str, period: str = _LATER) -> str:
    n = int(size["n_episodes"].get((population, period), 0))
    return f"{format_cell(n, words=True)} loans"


def _cured(size: pd.DataFrame, population: str, period: str = _LATER) -> str:
    n = int(size["n_cures"].get((population, period), 0))
    return format_cell(n, words=True) if n else "none"
