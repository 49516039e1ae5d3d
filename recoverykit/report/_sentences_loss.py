"""Sentences about how a loss figure was reached and whether an earlier one held."""

import pandas as pd

from recoverykit.report.formats import (
    format_cell,
    format_date,
    format_ratio,
    format_share,
    interval_words,
    is_missing,
    listed,
    number_of,
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
    At 30 September 2024 closed cases alone showed a loss of 41.1 %, all cases 52.0 % (47.0 % to 57.0 %);
    the same 500 defaults stand at 58.8 % as known at 30 September 2026, 20 of them still open.
    """
    closed, everyone, hindsight, _ = (row for _, row in estimates.iterrows())
    parts = [] if is_missing(closed["lgd"]) else [f"closed cases alone showed a loss of {format_share(closed['lgd'])}"]
    parts.append(f"all cases {format_share(everyone['lgd'])}{interval_words(everyone['lower'], everyone['upper'])}")
    known = f"{format_share(hindsight['lgd'])} as known at {format_date(reporting_date)}"
    still = int(hindsight["n_open"])
    rest = f", {format_cell(still, words=True)} of them still open" if still else ""
    defaults = number_of(int(everyone["n_episodes"]), "default", "defaults")
    return f"At {format_date(as_of)} {', '.join(parts)}; the same {defaults} stand at {known}{rest}."


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
    >>> print(text.replace("\u202f", " ").replace("\u00a0", " ").replace(" and ", "\nand "))
    Of the 540 episodes open then, 43.8 % of the exposure was expected within 24 months
    and 43.3 % came, 0.5 points less.
    """
    gap = realised - predicted
    points = f"{abs(100 * gap):.1f} points {'more' if gap > 0 else 'less'}"
    compared = "as expected" if abs(gap) < _SAME else points
    return (
        f"Of the {number_of(n_episodes, 'episode', 'episodes')} open then, {format_share(predicted)} of the exposure "
        f"was expected within {months} months and {format_share(realised)} came, {compared}."
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
    >>> print(text.replace("\u202f", " ").replace(". ", ".\n"))
    Of what 540 open loans owed then, the best estimate let 62.0 % stay unpaid in the months between; 65.0 % did.
    A best estimate may err to neither side: two-sided, the t-test has a p-value of 0.21.
    """
    if n_episodes < MINIMUM_CELL_COUNT or is_missing(p_value):
        return "Too few open loans have anything outstanding for a test of the best estimate."
    aside = f" {format_cell(n_left_out)} with next to nothing outstanding are left aside." if n_left_out else ""
    p_words = "below 0.01" if p_value < _SMALL_P else f"of {format_ratio(p_value)}"
    return (
        f"Of what {format_cell(n_episodes)} open loans owed then, the best estimate let {format_share(predicted)} stay "
        f"unpaid in the months between; {format_share(realised)} did. A best estimate may err to "
        f"neither side: two-sided, the t-test has a p-value {p_words}.{aside}"
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
        return "The years differ by no more than chance; the intervals take the world as steady."
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
        seen = f"No case was closed then. Hindsight lies {_points(missed)} from the estimate"
    else:
        seen = (
            f"From closed cases to hindsight the loss moved by {_points(hindsight - closed)}; "
            f"counting open workouts, as they were known then, accounts for {_points(everyone - closed, bare=True)}"
        )
    if abs(missed) < _WORTH_TELLING:
        return f"{seen}. What the years since have added to that is less than a point."
    ratio = f"{realised / predicted:.2f}" if predicted > 0 else "nothing"
    since = (
        f"The other {_points(missed, bare=True)} lay in the years since"
        if missed > 0
        else f"In the years since the loss has turned out {_points(-missed)} lower than that"
    )
    return (
        f"{seen}. {since}: open loans brought {ratio} of what the curve gave them. No curve drawn from earlier months "
        "can show that, and the interval allows for it only as far as earlier years had strayed."
    )


def _points(change: float, *, bare: bool = False) -> str:
    """Write a difference of two shares in percentage points."""
    text = f"{100 * change:.1f}".replace("-", "\u2212")
    return text if bare else f"{text} points"


def sentence_lights(lights: pd.DataFrame) -> str:
    """Say the verdict, and which measures are not green.

    Parameters
    ----------
    lights : DataFrame
        measure and light.

    Examples
    --------
    >>> sentence_lights(pd.DataFrame({"measure": ["Bias", "Coverage"], "light": ["green", "amber"]}))
    'One measure at least lies outside its first limit and should be looked into. Amber: coverage.'
    """
    worst = next(light for light in ("red", "amber", "green") if light == "green" or (lights["light"] == light).any())
    named = [
        f"{light}: {listed(lights.loc[lights['light'] == light, 'measure'].str.lower().tolist())}"
        for light in ("red", "amber")
        if (lights["light"] == light).any()
    ]
    return f"{_VERDICTS[worst]}{' ' + '; '.join(named).capitalize() + '.' if named else ''}"


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
        f"{100 * (final - long_run):.1f} points are caution."
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
