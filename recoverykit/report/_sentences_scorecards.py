"""Sentences about units: what they achieved, what luck explains, and what a promise or a score is worth."""

import pandas as pd

from recoverykit.report.formats import (
    format_cell,
    format_count,
    format_p_value,
    format_ratio,
    format_share,
    interval_words,
    is_missing,
    listed,
    number_of,
)
from recoverykit.vocabulary import MINIMUM_CELL_COUNT


def p_words(p_value: float) -> str:
    """Write a p-value as in a sentence: ``p = 0.034``, or ``p below 0.001``."""
    text = format_p_value(p_value)
    return f"p {text}" if text.startswith("below") else f"p = {text}"


def sentence_equal_age(*, n_cases: int, n_old_enough: int, horizon_months: int) -> str:
    r"""Say which cases are compared, and why the others are not.

    Examples
    --------
    >>> print(sentence_equal_age(n_cases=900, n_old_enough=640, horizon_months=12).replace("; ", ";\n"))
    Cash counts within 12 months of the day the unit took a case on, for all units alike;
    260 of 900 cases are younger and wait.
    """
    young = n_cases - n_old_enough
    rest = f"{format_cell(young, words=True)} of {format_count(n_cases)} cases are younger and wait"
    if young == 0:
        rest = f"all {format_count(n_cases)} cases are old enough"
    return (
        f"Cash counts within {horizon_months} months of the day the unit took a case on, for all units alike; {rest}."
    )


def sentence_against_target(rows: pd.DataFrame, *, target: float) -> str:
    r"""Say how many units lie beyond a target when chance is allowed for.

    Parameters
    ----------
    rows : DataFrame
        against_target (``above``, ``below``, ``undecided``) and is_ranked, one row per unit.
    target : float
        A share.

    Examples
    --------
    >>> rows = pd.DataFrame({"against_target": ["below", "undecided", "below"], "is_ranked": [True, True, False]})
    >>> print(sentence_against_target(rows, target=0.9).replace("\u202f", " ").replace(", and", ",\nand"))
    Of 2 units with enough cases, none lies above the target of 90 % beyond chance,
    and 1 below it, 1 cannot be told from it.
    """
    judged = rows[rows["is_ranked"]]
    if judged.empty:
        return "No unit has enough cases to be held against the target."
    above, below, open_ = (int((judged["against_target"] == name).sum()) for name in ("above", "below", "undecided"))
    n = number_of(len(judged), "unit", "units")
    lies = "none lies" if above == 0 else f"{above} {'lies' if above == 1 else 'lie'}"
    rest = [f"{below or 'none'} below it"] + ([f"{open_} cannot be told from it"] if open_ else [])
    return (
        f"Of {n} with enough cases, {lies} above the target of {format_share(target, digits=0)} beyond chance, and "
        f"{', '.join(rest)}."
    )


def sentence_funnel(units: pd.DataFrame, *, is_beyond_chance: bool, phi: float, is_widened: bool) -> str:
    r"""Say how many units lie outside the limits, how many would by chance, and whether units differ as a whole.

    Parameters
    ----------
    units : DataFrame
        position of each unit, from a ``Funnel``.
    is_beyond_chance, is_widened : bool
        Whether units differ by more than chance, and whether the limits were widened for it.
    phi : float
        The over-dispersion.

    Examples
    --------
    >>> units = pd.DataFrame({"position": ["inside"] * 7 + ["above 95"]})
    >>> print(sentence_funnel(units, is_beyond_chance=False, phi=0.9, is_widened=False).replace("\u202f", " "))
    1 of 8 units lies outside the 95 % limits and 0 outside the 99.8 % limits; by chance alone 0.4 and 0.0 would.
    """
    judged = units[units["position"] != "too small"]["position"]
    if judged.empty:
        return "No unit has enough cases to be judged."
    far = int(judged.str.contains("99.8").sum())
    out = int((judged != "inside").sum())
    n = len(judged)
    text = (
        f"{out} of {number_of(n, 'unit', 'units')} {'lies' if out == 1 else 'lie'} outside the 95\u202f% limits and "
        f"{far} outside the 99.8\u202f% limits; by chance alone {0.05 * n:.1f} and {0.002 * n:.1f} would."
    )
    if not is_beyond_chance:
        return text
    done = "; the limits are widened for it" if is_widened else "; limits that allow for it are wider"
    return f"{text} As a whole units differ by more than chance (variance ratio {format_ratio(phi)}){done}."


def sentence_ranks(units: pd.DataFrame, *, standard_deviation: float) -> str:
    r"""Say how well the first place is known.

    Parameters
    ----------
    units : DataFrame
        unit, rank, rank_lower, rank_upper, prob_best; best first.
    standard_deviation : float
        Of the units' true values; 0 where they do not differ as far as can be told.

    Examples
    --------
    >>> units = pd.DataFrame({"unit": ["a", "b"], "rank": [1.2, 1.8], "rank_lower": 1, "rank_upper": 2,
    ...                       "prob_best": [0.8, 0.2]})
    >>> print(sentence_ranks(units, standard_deviation=0.05).replace("\u202f", " "))
    Unit a stands first with a chance of 80.0 % of being best; its rank lies between 1 and 2 of 2.
    """
    ranked = units[units["rank"].notna()]
    if ranked.empty:
        return "No unit has enough cases to be ranked."
    if standard_deviation == 0:
        return "Units do not differ as far as can be told: no order among them means anything."
    first = ranked.iloc[0]
    return (
        f"Unit {first['unit']} stands first with a chance of {format_share(first['prob_best'])} of being best; its "
        f"rank lies between {first['rank_lower']:.0f} and {first['rank_upper']:.0f} of {len(ranked)}."
    )


def sentence_bonus(row: pd.Series, *, threshold: float, bonus: float) -> str:
    r"""Say what the bonus rule pays for in units of one size.

    Parameters
    ----------
    row : Series
        n_cases, below_paid, above_unpaid and paid_below, from ``BonusLuck.errors``.
    threshold, bonus : float
        Shares.

    Examples
    --------
    >>> row = pd.Series({"n_cases": 50, "below_paid": 0.25, "above_unpaid": 0.3, "paid_below": 0.28})
    >>> print(sentence_bonus(row, threshold=0.9, bonus=0.2).replace("\u202f", " ").replace("; ", ";\n"))
    With 50 cases a bonus of 20 % above 90 % is paid to 25.0 % of the units that are truly not above it;
    30.0 % of those that are go without, and 28.0 % of all bonuses go to units that do not deserve them.
    """
    return (
        f"With {format_count(row['n_cases'])} cases a bonus of {format_share(bonus, digits=0)} above "
        f"{format_share(threshold, digits=0)} is paid to {format_share(row['below_paid'])} of the units that are truly "
        f"not above it; {format_share(row['above_unpaid'])} of those that are go without, and "
        f"{format_share(row['paid_below'])} of all bonuses go to units that do not deserve them."
    )


def sentence_promises(row: pd.Series) -> str:
    r"""Say how many promises that fell due were kept, and how many are still open.

    Parameters
    ----------
    row : Series
        n_due, n_kept, kept_rate, lower, upper, mostly_kept_rate, n_open and n_paid_early.

    Examples
    --------
    >>> row = pd.Series({"n_due": 400, "n_kept": 240, "kept_rate": 0.6, "lower": 0.55, "upper": 0.65,
    ...                  "mostly_kept_rate": 0.7, "n_open": 50, "n_paid_early": 12})
    >>> print(sentence_promises(row).replace("\u202f", " ").replace(". ", ".\n"))
    Of 400 promises that fell due 60.0 % (55.0 % to 65.0 %) were kept in full, 70.0 % to four fifths at least.
    50 are open and out of the rate, 12 of them paid already.
    """
    if row["n_due"] < MINIMUM_CELL_COUNT:
        return f"{format_cell(row['n_due'], words=True).capitalize()} promises have fallen due: no rate is shown."
    rate = f"{format_share(row['kept_rate'])}{interval_words(row['lower'], row['upper'])}"
    text = (
        f"Of {format_count(row['n_due'])} promises that fell due {rate} were kept in full, "
        f"{format_share(row['mostly_kept_rate'])} to four fifths at least."
    )
    if row["n_open"] == 0:
        return f"{text} None is open."
    early = f", {format_cell(row['n_paid_early'], words=True)} of them paid already" if row["n_paid_early"] else ""
    return f"{text} {format_cell(row['n_open'], words=True).capitalize()} are open and out of the rate{early}."


def sentence_promise_score(
    measures: pd.DataFrame, *, n_promises: int, claimed_accuracy: float | None, p_value: float
) -> str:
    r"""Say how often a score foretold rightly, what the trivial rule does, and whether a claim holds.

    Parameters
    ----------
    measures : DataFrame
        measure, value, lower, upper, from ``evaluate_promise_score``.
    n_promises : int
        Promises of the trial.
    claimed_accuracy : float or None
        What somebody claims.
    p_value : float
        One-sided, of the accuracy being at least as claimed.

    Examples
    --------
    >>> measures = pd.DataFrame({"measure": ["auc", "accuracy", "trivial_accuracy", "accuracy_gain"],
    ...                          "value": [0.72, 0.70, 0.61, 0.09], "lower": [0.69, 0.67, 0.58, 0.06],
    ...                          "upper": [0.75, 0.73, 0.64, 0.12]})
    >>> text = sentence_promise_score(measures, n_promises=900, claimed_accuracy=0.89, p_value=1e-9)
    >>> print(text.replace("\u202f", " ").replace("; ", ";\n").replace(". ", ".\n"))
    Of 900 promises made later the score foretold 70.0 % (67.0 % to 73.0 %) rightly;
    to say of every promise what most did before is right for 61.0 % (58.0 % to 64.0 %).
    A kept promise has the higher score in 72.0 % (69.0 % to 75.0 %) of pairs.
    An accuracy of 89 % does not hold here (p below 0.001).
    """
    if n_promises < MINIMUM_CELL_COUNT:
        return "Too few promises made later have fallen due to try the score."
    words = {
        row["measure"]: f"{format_share(row['value'])}{interval_words(row['lower'], row['upper'])}"
        for row in measures.to_dict("records")
    }
    parts = [
        f"Of {format_count(n_promises)} promises made later the score foretold {words['accuracy']} rightly; to say of "
        f"every promise what most did before is right for {words['trivial_accuracy']}.",
        f"A kept promise has the higher score in {words['auc']} of pairs.",
    ]
    if claimed_accuracy is not None and not is_missing(p_value):
        claim = f"An accuracy of {format_share(claimed_accuracy, digits=0)}"
        holds = "does not hold here" if p_value < 0.05 else "is not contradicted by these promises"
        parts.append(f"{claim} {holds} ({p_words(p_value)}).")
    return " ".join(parts)


def sentence_predictions(accuracy: pd.DataFrame) -> str:
    r"""Say which units' stated probabilities are not those of what came.

    Parameters
    ----------
    accuracy : DataFrame
        unit, n_predictions, predicted, observed and p_value, from ``predictive_accuracy``.

    Examples
    --------
    >>> told = {"unit": ["a", "b"], "n_predictions": [90, 80], "predicted": [0.8, 0.6], "observed": [0.6, 0.61],
    ...         "p_value": [0.0001, 0.7]}
    >>> print(sentence_predictions(pd.DataFrame(told)).replace("\u202f", " "))
    Probabilities stated by 1 of 2 units are off by more than chance: a said 80.0 % and 60.0 % came.
    """
    told = accuracy[accuracy["n_predictions"] >= MINIMUM_CELL_COUNT]
    if told.empty:
        return "No unit has stated enough probabilities to be judged."
    untested = told.loc[told["p_value"].isna(), "unit"].astype(str).tolist()
    rest = f" Those of {listed(untested)} could not be tested." if untested else ""
    told = told[told["p_value"].notna()]
    if told.empty:
        return f"No unit's stated probabilities can be held against what came.{rest}"
    # With several units tested at once each is held against its share of 5 % (Bonferroni).
    off = told[told["p_value"] < 0.05 / len(told)]
    n = number_of(len(told), "unit", "units")
    if off.empty:
        return f"Probabilities stated by {n} agree with what came as far as chance lets one tell.{rest}"
    named = [
        f"{row['unit']} said {format_share(row['predicted'])} and {format_share(row['observed'])} came"
        for row in off.to_dict("records")
    ]
    return f"Probabilities stated by {len(off)} of {n} are off by more than chance: {listed(named)}.{rest}"
