"""Sentences about how a loss figure was reached and whether an earlier one held."""

import pandas as pd

from recoverykit.report.formats import (
    capital,
    format_cell,
    format_count,
    format_date,
    format_months,
    format_points,
    format_ratio,
    format_share,
    interval_words,
    is_missing,
    listed,
    number_of,
    within,
)
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

#: A difference of two losses that is not worth a direction: a twentieth of a percentage point.
_SAME = 0.0005
#: A miss below which the years since are not worth a word: a percentage point.
_WORTH_TELLING = 0.01
#: A p-value that two digits would write as nought.
_SMALL_P = 0.01
_VERDICTS = {
    "green": "All measures lie within the limits set before.",
    "amber": "One measure at least lies outside its first limit and should be looked into.",
    "red": "One measure at least lies outside its second limit: the estimate needs a review before it is used.",
}


def sentence_back_test(estimates: pd.DataFrame, *, as_of: object, reporting_date: object) -> str:
    r"""Say what closed cases and all cases showed then, and what hindsight shows of the same defaults.

    Parameters
    ----------
    estimates : DataFrame
        Four rows, in this order: closed then, all then (with lower and upper), the same defaults now, those closed by
        now; columns lgd, lower, upper, n_episodes, n_open.
    as_of, reporting_date : date-like

    Examples
    --------
    >>> rows = {"lgd": [0.411, 0.52, 0.588, 0.59], "lower": [None, 0.47, None, None], "upper": [None, 0.57, None, None],
    ...         "n_episodes": [300, 500, 500, 480], "n_open": [0, 200, 20, 0]}
    >>> text = sentence_back_test(pd.DataFrame(rows), as_of="2024-09-30", reporting_date="2026-09-30")
    >>> print(text.replace("\u202f", " ").replace("\u00a0", " ").replace("; ", ";\n"))
    At 30 September 2024 closed cases alone showed an average loss of 41.1 %, all cases 52.0 % (47.0 % to 57.0 %);
    the same 500 defaults stand at 58.8 % as known at 30 September 2026, 20 of them still open.
    """
    closed, everyone, hindsight, _ = (row for _, row in estimates.iterrows())
    alone = f"closed cases alone showed an average loss of {format_share(closed['lgd'])}"
    parts = [] if is_missing(closed["lgd"]) else [alone]
    parts.append(f"all cases {format_share(everyone['lgd'])}{interval_words(everyone['lower'], everyone['upper'])}")
    known = f"{format_share(hindsight['lgd'])} as known at {format_date(reporting_date)}"
    still = int(hindsight["n_open"])
    rest = f", {format_cell(still, words=True)} of them still open" if still else ""
    defaults = number_of(int(everyone["n_episodes"]), "default stands", "defaults stand")
    return f"At {format_date(as_of)} {', '.join(parts)}; the same {defaults} at {known}{rest}."


def sentence_forecast(*, predicted: float, realised: float, months: int, n_episodes: int) -> str:
    r"""Say what open episodes were expected to recover in the months between, and what came.

    Parameters
    ----------
    predicted, realised : float
        Mean shares of EAD.
    months, n_episodes : int
        Between the dates; open then.

    Examples
    --------
    >>> text = sentence_forecast(predicted=0.438, realised=0.433, months=24, n_episodes=540)
    >>> print(text.replace("\u202f", " ").replace("\u00a0", " ").replace("; ", ";\n"))
    The 540 episodes open then were expected to recover 43.8 % of their exposure on average within 24 months;
    43.3 % came, 0.5 points less.
    """
    gap = realised - predicted
    points = f"{format_points(abs(gap))} points {'more' if gap > 0 else 'less'}"
    compared = "as expected" if abs(gap) < _SAME else points
    return (
        f"The {number_of(n_episodes, 'episode open then was', 'episodes open then were')} expected to recover "
        f"{format_share(predicted)} of their exposure on average within {format_months(months)}; "
        f"{format_share(realised)} came, {compared}."
    )


def sentence_elbe_test(*, predicted: float, realised: float, p_value: float, n_episodes: int, n_left_out: int) -> str:
    r"""Say whether the best estimates of loans in default were right, with the two-sided test.

    Parameters
    ----------
    predicted, realised : float
        Mean share of the outstanding amount that was not expected between the dates, and that did not come.
    p_value : float
        Two-sided.
    n_episodes, n_left_out : int
        Loans compared, and those with next to nothing outstanding.

    Examples
    --------
    >>> text = sentence_elbe_test(predicted=0.62, realised=0.65, p_value=0.21, n_episodes=540, n_left_out=0)
    >>> print(text.replace("\u202f", " ").replace("; ", ";\n").replace(". ", ".\n"))
    Of what 540 open loans owed then, the best estimate let on average 62.0 % stay unpaid in the months between;
    65.0 % did.
    A best estimate may err to neither side: two-sided, the t-test has a p-value of 0.21.
    """
    if n_episodes < MINIMUM_CELL_COUNT or is_missing(p_value):
        return "Too few open loans have anything outstanding for a test of the best estimate."
    few = capital(format_cell(n_left_out, words=True))
    aside = f" {few} with next to nothing outstanding are left aside." if n_left_out else ""
    p_words = "below 0.01" if p_value < _SMALL_P else f"of {format_ratio(p_value)}"
    return (
        f"Of what {format_count(n_episodes)} open loans owed then, the best estimate let on average "
        f"{format_share(predicted)} stay unpaid in the months between; {format_share(realised)} did. A best estimate "
        f"may err to neither side: two-sided, the t-test has a p-value {p_words}.{aside}"
    )


def sentence_calendar(spread: float) -> str:
    r"""Say by how much recoveries of single years differ beyond chance, and what that means for a forecast.

    Parameters
    ----------
    spread : float
        Standard deviation of a year's recoveries around those of the curve, as a share of them.

    Examples
    --------
    >>> sentence_calendar(0.198).replace("\u202f", " ")
    'Beyond chance, a year has strayed from the curve by about 19.8 % of its recoveries; the intervals allow for that.'
    """
    if spread < _SAME:
        return "The years are not seen to differ by more than chance; the intervals take the world as steady."
    return (
        f"Beyond chance, a year has strayed from the curve by about {format_share(spread)} of its recoveries; the "
        "intervals allow for that."
    )


def sentence_drift(estimates: pd.DataFrame, *, predicted: float, realised: float) -> str:
    r"""Say how much of what came was hidden in open workouts, and how much in years that had not come yet.

    Parameters
    ----------
    estimates : DataFrame
        As for ``sentence_back_test``.
    predicted, realised : float
        Mean recovery of the episodes open then, within the months since, shares of EAD.

    Examples
    --------
    >>> rows = {"lgd": [0.411, 0.530, 0.644, 0.587], "n_episodes": [364, 898, 898, 774], "n_open": [0, 534, 124, 0]}
    >>> text = sentence_drift(pd.DataFrame(rows), predicted=0.389, realised=0.197)
    >>> print(text.replace("\u202f", " ").replace("; ", ";\n").replace(". ", ".\n").replace("only as", "only\nas"))
    From closed cases to hindsight the loss moved by 23.3 points;
    counting open workouts, as they were known then, accounts for 11.9.
    The other 11.4 lay in the years since: open loans brought 0.51 of what the curve gave them.
    No curve drawn from earlier months can show that, and the interval allows for it only
    as far as earlier years had strayed.
    """
    closed, everyone, hindsight, _ = (float(value) for value in estimates["lgd"])
    missed = hindsight - everyone
    if is_missing(closed):
        place = "below" if missed < 0 else "above"
        seen = f"No case was closed then. Hindsight lies {format_points(abs(missed))} points {place} the estimate"
    else:
        seen = (
            f"From closed cases to hindsight the loss moved by {format_points(hindsight - closed)} points; "
            f"counting open workouts, as they were known then, accounts for {format_points(everyone - closed)}"
        )
    if abs(missed) < _WORTH_TELLING:
        return f"{seen}. What the years since have added to that is less than a point."
    brought = "the curve gave open loans nothing"
    if predicted > 0:
        brought = f"open loans brought {format_ratio(realised / predicted)} of what the curve gave them"
    which = "They" if is_missing(closed) else f"The other {format_points(missed)}"
    since = f"{which} lay in the years since"
    if missed < 0:
        since = f"In the years since the loss has turned out {format_points(-missed)} points lower than that"
    return (
        f"{seen}. {since}: {brought}. No curve drawn from earlier months can show that, and the interval allows for it "
        "only as far as earlier years had strayed."
    )


def sentence_lights(lights: pd.DataFrame) -> str:
    """Say the verdict, which measures are not green, and which could not be judged.

    Parameters
    ----------
    lights : DataFrame
        measure and light (``green``, ``amber``, ``red`` or ``not judged``).

    Examples
    --------
    >>> sentence_lights(pd.DataFrame({"measure": ["Bias", "Coverage"], "light": ["green", "amber"]}))
    'One measure at least lies outside its first limit and should be looked into. Amber: coverage.'
    """
    unknown = lights["light"] == "not judged"
    known = lights[~unknown]
    aside = f" Not judged: {_measures(lights[unknown])}." if unknown.any() else ""
    if known.empty:
        return f"No measure could be judged.{aside}"
    worst = next(light for light in ("red", "amber", "green") if light == "green" or (known["light"] == light).any())
    named = [
        f"{light}: {_measures(known[known['light'] == light])}"
        for light in ("red", "amber")
        if (known["light"] == light).any()
    ]
    verdict = _VERDICTS[worst]
    if unknown.any():
        verdict = verdict.replace("measures", "measures that could be judged")
    beyond = f" {capital('; '.join(named))}." if named else ""
    return f"{verdict}{beyond}{aside}"


def _measures(lights: pd.DataFrame) -> str:
    """Return the measures as they stand within a sentence; their abbreviations stay as they are."""
    return listed([within(str(name)) for name in lights["measure"]])


def sentence_steps(*, long_run: float, final: float, downturn: float, reference_value: float | None) -> str:
    r"""Say how much of the final LGD is loss and how much is caution, and how the downturn stands to its reference.

    Parameters
    ----------
    long_run, final, downturn : float
        Long-run average, final LGD and downturn LGD, shares of EAD.
    reference_value : float or None
        Mean of the two worst years; missing where there are not two.

    Examples
    --------
    >>> text = sentence_steps(long_run=0.32, final=0.50, downturn=0.47, reference_value=0.40)
    >>> print(text.replace("\u202f", " ").replace(". The", ".\nThe").replace("value of", "value\nof"))
    Of the final 50.0 %, 32.0 % is the long-run average and 18.0 points are caution.
    The downturn figure of 47.0 % lies above its reference value
    of 40.0 %, the mean of the two worst years.
    """
    text = (
        f"Of the final {format_share(final)}, {format_share(long_run)} is the long-run average and "
        f"{format_points(final - long_run)} points are caution."
    )
    if is_missing(reference_value):
        return f"{text} There are not two years with enough defaults for a reference value of the downturn."
    reference = float(reference_value or 0.0)
    place = "lies above" if downturn >= reference else "falls short of"
    more = "" if downturn >= reference else ", and the gap needs a justification"
    return (
        f"{text} The downturn figure of {format_share(downturn)} {place} its reference value of "
        f"{format_share(reference)}, the mean of the two worst years{more}."
    )
