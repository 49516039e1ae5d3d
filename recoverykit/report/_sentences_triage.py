"""Sentences of the traffic light: the shares that follow, what fixed shares forgo, and whether probabilities held."""

from collections.abc import Mapping

import pandas as pd

from recoverykit.report.formats import (
    format_cell,
    format_count,
    format_money,
    format_share,
    is_missing,
    listed,
)
from recoverykit.vocabulary import MINIMUM_CELL_COUNT


def sentence_light_shares(by_light: pd.DataFrame, *, n_waiting: int) -> str:
    """Say how many cases have each light and how many wait for capacity.

    Parameters
    ----------
    by_light : DataFrame
        light and n_cases, as ``Triage.by_light``.
    n_waiting : int
        Cases that a treatment would gain from and that are green for want of capacity.
    """
    total = int(by_light["n_cases"].sum())
    small = by_light["n_cases"].between(1, MINIMUM_CELL_COUNT - 1).any()
    if total == 0:
        return "There is no open case."
    if small:
        return f"Of {format_count(total)} open cases too few have one of the lights for the split to be shown."
    parts = [f"{format_share(row['n_cases'] / total, digits=0)} {row['light']}" for _, row in by_light.iterrows()]
    wait = f" Of the green ones {format_cell(n_waiting, words=True)} are green only because capacity runs out."
    return f"Of {format_count(total)} open cases {listed(parts)}.{wait if n_waiting else ''}"


def sentence_fixed_shares(strategies: pd.DataFrame, *, shares: tuple[float, ...], currency: str = "") -> str:
    """Say what fixed shares of green, yellow and red would forgo.

    Parameters
    ----------
    strategies : DataFrame
        strategy, net_recovery_amount, within_capacity, as ``Triage.strategies``.
    shares : tuple of float
        The fixed shares.
    currency : str
        Code of the currency.
    """
    table = strategies.set_index("strategy")
    net = table["net_recovery_amount"]
    split = " / ".join(f"{100 * share:.0f}" for share in shares)
    gains = {name: net[name] - net["nothing"] for name in net.index}
    forgone = net["optimum"] - net["fixed shares, within capacity"]
    room = "" if table.loc["fixed shares", "within_capacity"] else ", which it does not keep to by itself,"
    reached = gains["thresholds"] / gains["optimum"] if gains["optimum"] > 0 else float("nan")
    rule = "" if is_missing(reached) else f" Lights by threshold alone reach {format_share(reached)} of its gain."
    return (
        f"Within capacity, the best lights gain {format_money(gains['optimum'], currency)} over doing nothing. A fixed "
        f"split of {split} per cent{room} would forgo {format_money(forgone, currency)} of expected net recovery.{rule}"
    )


def sentence_lights_back_test(facts: Mapping[str, float], *, horizon_months: int) -> str:
    """Say whether as many cases cured as was stated.

    Parameters
    ----------
    facts : mapping
        n_cases, predicted, cured_rate, p_value, brier_score, reference_score, is_upper_bound, as
        ``LightsBackTest.record``.
    horizon_months : int
        Months within which a cure counts.
    """
    n, rate = facts["n_cases"], facts["cured_rate"]
    if 0 < n * rate < MINIMUM_CELL_COUNT:
        return "Too few of the cases have cured since for their share to be shown."
    fits = "a difference that chance explains" if facts["p_value"] >= 0.05 else "more than chance explains"
    if is_missing(facts["p_value"]):
        fits = "whether chance explains the difference cannot be told"
    better = "better" if facts["brier_score"] < facts["reference_score"] else "no better"
    bound = (
        " Every case is worked, so cures that treatment brought are among them: as probabilities of self-cure these "
        "are upper bounds, and only a random holdout could tell them."
        if facts["is_upper_bound"]
        else " Only cases held back at random are judged."
    )
    return (
        f"Of {format_count(n)} cases {format_share(facts['predicted'])} were expected to cure within {horizon_months} "
        f"months and {format_share(rate)} did: {fits}. The Brier score is {facts['brier_score']:.3f}, {better} than "
        f"that of the mere average ({facts['reference_score']:.3f}).{bound}"
    )


def sentence_overrides(judged: pd.DataFrame, *, n_lights: int, n_overrides: int, override_rate: float) -> str:
    """Say how often lights were changed by hand, and whether that beat the model.

    Parameters
    ----------
    judged : DataFrame
        direction, n_overrides, n_right, expected_right, verdict, as ``OverrideReview.judged``.
    n_lights, n_overrides : int
        Lights given and changed.
    override_rate : float
        Share of the lights that were changed.
    """
    if n_overrides == 0:
        return f"No light of {format_count(n_lights)} was changed by hand."
    row = judged[judged["direction"] == "all"].to_dict("records")[0]
    rate = f"{format_cell(n_overrides, words=True)} of {format_count(n_lights)} lights were changed by hand"
    if n_overrides >= MINIMUM_CELL_COUNT:
        rate += f" ({format_share(override_rate)})"
    if row["n_overrides"] < MINIMUM_CELL_COUNT:
        return f"{rate.capitalize()}; too few of them are old enough to be judged."
    verdict = {
        "beat the model": "people knew more than the model",
        "worse than the model": "the model would have done better",
        "no difference shown": "no difference is shown",
    }[str(row["verdict"])]
    share = format_share(row["n_right"] / row["n_overrides"], digits=0)
    by_model = format_share(row["expected_right"] / row["n_overrides"], digits=0)
    return (
        f"{rate.capitalize()}. Of those old enough to be judged {share} were right, where the model's own "
        f"probabilities give {by_model}: {verdict}. Who is changed towards red is treated more, which makes such "
        "changes look worse."
    )
