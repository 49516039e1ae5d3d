"""Sentences about a cure model: how loans end, whether some never cure, why this model, what goes with cure."""

from collections.abc import Mapping, Sequence

import pandas as pd

from recoverykit.report.formats import (
    WORD_SPACE,
    capital,
    format_cell,
    format_ratio,
    format_share,
    interval_words,
    is_missing,
    listed,
)
from recoverykit.report.labels import distribution_words, driver_words, outcome_words, segment_within
from recoverykit.vocabulary import CLOSED_OUTCOMES, MINIMUM_CELL_COUNT

_ANSWERS = {
    "n_beyond": "the number of loans watched beyond the last cure",
    "alpha_n": "\u03b1 of all loans",
    "alpha_n_cures": "\u03b1 of cures alone",
    "q_n": "q",
    "shen": "Shen's \u03b1",
    "receus": "RECeUS",
    "likelihood_ratio": "the likelihood ratio",
}
#: Kind of driver and part -> words for what raises it, lowers it after that, lowers it alone, and what is multiplied.
_DIRECTIONS = {
    ("number", "incidence"): (
        *("More loans ever cure with a higher {}", "fewer with a higher {}"),
        *("Fewer loans ever cure with a higher {}", "odds"),
    ),
    ("number", "latency"): (
        *("Those that cure do so faster with a higher {}", "more slowly with a higher {}"),
        *("Those that cure do so more slowly with a higher {}", "speed"),
    ),
    ("level", "incidence"): ("more ever cure of {}", "fewer of {}", "fewer ever cure of {}", "odds"),
    ("level", "latency"): ("cures come faster in {}", "more slowly in {}", "cures come more slowly in {}", "speed"),
}
_TIMES = f"{WORD_SPACE}\u00d7{WORD_SPACE}"
_NUMBERS = {2: "both", 3: "all three", 4: "all four", 5: "all five", 6: "all six"}
#: A difference in AIC below which neither model is worse: Burnham and Anderson (2002), section 2.6.
_SAME_AIC = 2.0
#: Shares that differ by less decide nothing.
_SAME_SHARE = 0.02
#: Share of the residuals' points whose band holds the diagonal, from which they follow it, and mostly follow it.
_FOLLOWS, _MOSTLY = 0.9, 0.6


def sentence_ultimate_outcomes(
    ultimate: pd.DataFrame,
    *,
    segment: str = "",
    basis: str | None = None,
    too_rare: Sequence[str] = (),
    note: str = "",
) -> str:
    r"""Say how defaulted loans end by the model of all outcomes, and whether a share is never resolved.

    Parameters
    ----------
    ultimate : DataFrame
        outcome, value, lower, upper: shares of all episodes, with a row ``never_resolves`` only where the data show
        such a class. Without rows there is no model.
    segment, basis : str, optional
        Segment of the page, and the one whose loans the model rests on.
    too_rare : sequence of str
        Outcomes that the model knows nothing of.
    note : str
        Why there is no model.

    Examples
    --------
    >>> ends = pd.DataFrame({"outcome": ["cured", "sold"], "value": [0.45, 0.55], "lower": 0.4, "upper": 0.6})
    >>> sentence_ultimate_outcomes(ends).replace("\u202f", " ")
    'Once all are resolved, by the model, 45.0 % are cured and 55.0 % are sold; the data show no share that never is.'
    """
    if ultimate.empty:
        return f"How the open loans will end could not be estimated{f': {note}' if note else ''}."
    rows = {str(row["outcome"]): row for row in ultimate.to_dict("records")}
    told = [name for name in CLOSED_OUTCOMES if name in rows]
    ends = [f"{format_share(rows[name]['value'])} are {outcome_words(name)}" for name in told]
    whose = "" if not basis or basis == segment else f" of {segment_within(basis)}"
    rare = f" Too rare to be modelled: {listed([outcome_words(name) for name in too_rare])}." if too_rare else ""
    if "never_resolves" not in rows:
        start = f"Once all are resolved, by the model{whose}, {listed(ends)}"
        return f"{start}; the data show no share that never is.{rare}"
    never = rows["never_resolves"]
    share = f"{format_share(never['value'])}{interval_words(never['lower'], never['upper'])}"
    return f"In the end, by the model{whose}, {listed(ends)}; {share} are estimated never to be resolved.{rare}"


def sentence_plateau(verdicts: Mapping[str, str], *, last_cure: float, last_watched: float, n_beyond: float) -> str:
    """Say in plain words whether the follow-up supports a share that never cures; never from one answer alone.

    Parameters
    ----------
    verdicts : mapping of str to str
        Answer -> ``supports`` or ``doubts``; others have no say.
    last_cure, last_watched : float
        Months in default of the last cure, and up to which loans were watched.
    n_beyond : float
        Loans watched beyond the last cure.
    """
    if is_missing(last_cure):
        return "Without a model of cure there is no plateau to judge."
    for_it = [words for key, words in _ANSWERS.items() if verdicts.get(key) == "supports"]
    against = [words for key, words in _ANSWERS.items() if verdicts.get(key) == "doubts"]
    nobody = "no loan was watched beyond it"
    some = f"{format_cell(n_beyond, words=True)} loans were watched beyond it, up to month {last_watched:.0f}"
    seen = f"the last cure came in month {last_cure:.0f} and {some if n_beyond else nobody}"
    if for_it and not against:
        every = "every answer that could be had" if "no answer" in verdicts.values() else "every answer in the table"
        return f"The follow-up supports a share that never cures: {seen}, and {every} agrees."
    if not for_it:
        return (
            f"The data do not yet tell loans that never cure from loans that cure late: {seen}, and no answer in the "
            "table supports a plateau. The share that never cures is what the model extrapolates; do not rely on it."
        )
    return (
        f"The data do not settle whether some loans never cure: {seen}, and the answers disagree. "
        f"{capital(listed(for_it))} speak{'s' if len(for_it) == 1 else ''} for it, {listed(against)} against. "
        "The share that never cures rests on the model as much as on what was seen."
    )


def sentence_model_choice(comparison: pd.DataFrame) -> str:
    """Say which latency distribution is used, why, and how much hangs on it.

    Parameters
    ----------
    comparison : DataFrame
        One row per distribution, best AIC first: distribution, aic, bic, never, distance, boundary; aic missing where
        one did not converge. Without rows there is no model.
    """
    if comparison.empty:
        return ""
    fitted = comparison[comparison["aic"].notna()]
    failed = [distribution_words(name) for name in comparison.loc[comparison["aic"].isna(), "distribution"]]
    best = fitted.iloc[0]
    name = distribution_words(best["distribution"])
    told = [_reason(fitted, name)]
    by_bic = str(fitted.loc[fitted["bic"].idxmin(), "distribution"])
    if by_bic != best["distribution"]:
        told.append(f"The BIC would choose the {distribution_words(by_bic)}.")
    if best["boundary"] != "none":
        told.append(f"It lies on a boundary: {best['boundary']}.")
    if len(fitted) > 1:
        low, high = fitted["never"].min(), fitted["never"].max()
        little = high - low < _SAME_SHARE
        told.append(
            f"Over {_NUMBERS.get(len(fitted), f'all {len(fitted)}')} candidates the share that never cures runs from "
            f"{format_share(low)} to {format_share(high)}: the choice decides "
            f"{'little' if little else 'part of the answer'}."
        )
    if failed:
        told.append(f"The {listed(failed)} did not converge.")
    return " ".join(told)


def sentence_cure_drivers(drivers: pd.DataFrame) -> str:
    """Say which drivers clearly go with more or fewer, faster or slower cures, and which leave it open.

    Parameters
    ----------
    drivers : DataFrame
        One row per part and term: part, estimate, lower, upper (odds ratios for the incidence, time ratios for the
        latency), driver, level and reference (of a category).
    """
    if drivers.empty:
        return ""
    speed = drivers["part"] == "latency"
    read = drivers.assign(ratio=drivers["estimate"].where(~speed, 1 / drivers["estimate"]), sign=_signs(drivers))
    numbers, levels = read[read["level"] == ""], read[read["level"] != ""]
    told = [_directions(numbers, "number", part) for part in ("incidence", "latency")]
    for reference, group in levels.groupby("reference", sort=True):
        against = f"Compared with {driver_words('', str(reference))}, "
        told += [_directions(group, "level", part, against) for part in ("incidence", "latency")]
    clear_ones = set(numbers.loc[numbers["sign"] != 0, "driver"])
    open_ones = [driver_words(str(name)) for name in numbers["driver"].unique() if name not in clear_ones]
    if not any(told):
        return "No driver is clear of chance: none has an interval that leaves the ratio 1 out."
    if open_ones:
        told.append(f"For {listed(open_ones)} the direction is open.")
    return " ".join(part for part in told if part)


def sentence_second_opinion(drivers: pd.DataFrame, cox: pd.DataFrame) -> str:
    """Say whether a Cox regression agrees with the drivers that are clear for the chance of ever curing.

    Parameters
    ----------
    drivers : DataFrame
        As for ``sentence_cure_drivers``, with ``label``.
    cox : DataFrame
        label, lower and upper of hazard ratios of cure; empty where there is no such regression.
    """
    if drivers.empty or cox.empty:
        return ""
    chance = drivers[drivers["part"] == "incidence"].assign(sign=_signs)
    clear = chance[chance["sign"] != 0]
    other = cox.assign(part="hazard").assign(sign=_signs).set_index("label")["sign"].reindex(clear["label"])
    words = [driver_words(str(row["driver"]), str(row["level"])) for _, row in clear.iterrows()]
    product = other.to_numpy() * clear["sign"].to_numpy()
    kinds = [[w for w, p in zip(words, product, strict=True) if p == k] for k in (1, 0, -1)]
    agree, silent, oppose = kinds
    start = "A Cox regression of the hazard of cure, which does not tell chance from speed,"
    parts = [f"agrees on {listed(agree)}"] if agree else []
    parts += [f"leaves {listed(silent)} open"] if silent else []
    parts += [f"points the other way for {listed(oppose)}"] if oppose else []
    return f"{start} {listed(parts)}." if parts else ""


def sentence_residuals(*, largest_gap: float, at: float, share_inside: float) -> str:
    """Say whether the residuals follow the diagonal; empty where there are none.

    Parameters
    ----------
    largest_gap, at : float
        Largest distance from the diagonal, and where; cumulative hazards.
    share_inside : float
        Share of the points at which the band holds the diagonal.
    """
    if is_missing(largest_gap):
        return ""
    how = "follow" if share_inside >= _FOLLOWS else "mostly follow" if share_inside >= _MOSTLY else "leave"
    return (
        f"The residuals {how} the diagonal: they leave it by at most {format_ratio(largest_gap)}, "
        f"at a risk of {format_ratio(at)}, and the band holds it at {format_share(share_inside, digits=0)} of "
        "the points."
    )


def sentence_cure_calibration(table: pd.DataFrame) -> str:
    """Say how far observed shares of cured loans lie from predicted ones.

    Parameters
    ----------
    table : DataFrame
        One row per month and group: months, group, n_episodes, predicted, lower, upper and difference.
    """
    known = table[(table["n_episodes"] >= MINIMUM_CELL_COUNT) & table["difference"].notna()]
    if known.empty:
        return (
            "Predicted and observed shares could not be compared: there is no model, or too few loans of this segment "
            "were watched long enough."
        )
    inside = int(((known["lower"] <= known["predicted"]) & (known["predicted"] <= known["upper"])).sum())
    worst = known.loc[known["difference"].abs().astype(float).idxmax()]
    n = len(known)
    return (
        f"The interval of the observed share holds the predicted one in {inside} of {n} "
        f"comparison{'' if n == 1 else 's'}; the largest difference is "
        f"{100 * abs(worst['difference']):.1f} percentage points ({worst['group']}, by month {worst['months']:.0f})."
    )


def _reason(fitted: pd.DataFrame, name: str) -> str:
    """Return why the first of the fitted distributions is used."""
    stays = ""
    if not is_missing(fitted.iloc[0]["distance"]):
        points = f"{100 * fitted.iloc[0]['distance']:.1f} percentage points"
        stays = f" The fitted curve leaves the observed one by {points} at most."
    if len(fitted) == 1:
        return f"The {name} distribution is used, the only one to choose from.{stays}"
    second = distribution_words(fitted.iloc[1]["distribution"])
    gap = fitted.iloc[1]["aic"] - fitted.iloc[0]["aic"]
    if gap < _SAME_AIC:
        return f"The {name} distribution is used for its smallest AIC, though the {second} does as well.{stays}"
    return f"The {name} distribution is used: its AIC is {gap:.1f} below that of the {second}, the next best.{stays}"


def _signs(rows: pd.DataFrame) -> pd.Series:
    """Return 1 where a row clearly goes with more or faster cures, -1 with fewer or slower ones, 0 where it is open."""
    sign = (rows["lower"] > 1).astype(int) - (rows["upper"] < 1).astype(int)
    return sign.where(rows["part"] != "latency", -sign)


def _directions(rows: pd.DataFrame, kind: str, part: str, lead: str = "") -> str:
    """Return one sentence on the rows of a part that are clear, those that raise before those that lower."""
    up, down_after, down_alone, what = _DIRECTIONS[kind, part]
    own = rows[(rows["part"] == part) & (rows["sign"] != 0)].sort_values("ratio", ascending=False)
    raising, lowering = (
        [
            f"{driver_words(str(row['driver']), str(row['level']))} ({what}{_TIMES}{format_ratio(row['ratio'])})"
            for _, row in own[own["sign"] == sign].iterrows()
        ]
        for sign in (1, -1)
    )
    said = [up.format(listed(raising))] if raising else []
    said += [(down_after if raising else down_alone).format(listed(lowering))] if lowering else []
    return f"{lead}{', '.join(said)}." if said else ""
