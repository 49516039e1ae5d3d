"""Figures of the traffic light: where each light begins, whether probabilities held, what fixed shares forgo."""

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from recoverykit.report import theme
from recoverykit.report._axes import PERCENT, flat_label, money_tick, share_axis
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import format_count, format_money, format_share
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

#: Light shades that differ in brightness as well, so that they are told apart without colour; words name each area.
_LIGHTS = {"green": "#BFE3D5", "yellow": "#F4D58A", "red": "#D98F6A"}
_MONEY = FuncFormatter(lambda value, _: money_tick(value))
_GRID = 240
#: Share of the figure that an area needs for its words.
_ROOM_FOR_WORDS = 0.05


@themed()
def plot_light_map(thresholds: pd.DataFrame, *, currency: str = "") -> ReportFigure:
    """Draw which light a case gets by its probability of self-cure and the amount at stake.

    Parameters
    ----------
    thresholds : DataFrame
        treatment, light, uplift, full_cost_amount, at_stake_quantile and at_stake_amount, as ``Triage.thresholds``.
    currency : str
        Code of the currency.

    Returns
    -------
    ReportFigure
        Its alternative text gives, for the median amount at stake, below which probability each treatment pays.
    """
    title = "Which light a case gets"
    stakes = thresholds["at_stake_amount"].dropna()
    if stakes.empty or not stakes.max() > 0:
        return not_shown(title, "Nothing is at stake")
    menu = thresholds.drop_duplicates("treatment")
    low, high = max(float(stakes.min()), 1.0), float(stakes.max())
    high = high if high > low else 2 * low
    stake = np.geomspace(low, high, _GRID)
    prob = np.linspace(0, 1, _GRID)
    gain = [
        (1 - prob)[:, None] * row["uplift"] * stake[None, :] - row["full_cost_amount"] for _, row in menu.iterrows()
    ]
    best = np.argmax(np.stack([np.zeros((_GRID, _GRID)), *gain]), axis=0)
    light = ["green", *menu["light"]]
    shade = np.array([[*_LIGHTS].index(name) for name in light])[best]
    figure = theme.new_figure(3.9)
    ax = figure.subplots()
    ax.pcolormesh(stake, prob, shade, cmap=ListedColormap([*_LIGHTS.values()]), vmin=0, vmax=2, rasterized=True)
    said = ["leave alone", *(name.replace("_", " ") for name in menu["treatment"])]
    for place, words in enumerate(said):
        inside = best == place
        if inside.mean() > _ROOM_FOR_WORDS:
            rows, columns = np.nonzero(inside)
            middle = np.argsort((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)[0]
            ax.text(stake[columns[middle]], prob[rows[middle]], words, ha="center", va="center", color=theme.INK)
    words_of = {c: [words for words, its in zip(said, light, strict=True) if its == c] for c in _LIGHTS}
    keys = [Patch(color=_LIGHTS[c], label=f"{c}: {' or '.join(words)}") for c, words in words_of.items() if words]
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(_MONEY)
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    ax.grid(visible=False)
    ax.set_xlabel(f"Amount at stake: recovery if cured less recovery if not{f', {currency}' if currency else ''}")
    share_axis(ax, "Probability of self-cure", upper=1.0)
    ax.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False)
    middle_rows = thresholds[thresholds["at_stake_quantile"] == 0.5]
    told = "; ".join(
        f"{row['treatment'].replace('_', ' ')} pays below {format_share(row['threshold'])}"
        if row["threshold"] > 0
        else f"{row['treatment'].replace('_', ' ')} never pays"
        for _, row in middle_rows.iterrows()
    )
    alt = f"With the median amount at stake, {format_money(middle_rows['at_stake_amount'].iloc[0], currency)}: {told}."
    caption = (
        "A treatment pays where its gain exceeds its cost and the price of the capacity that it takes. The axis runs "
        "from the 5 % to the 99 % point of the amounts at stake. Where capacity runs out, cases at the edge go without."
    )
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_light_calibration(groups: pd.DataFrame, *, horizon_months: int) -> ReportFigure:
    """Draw the share of cases that cured against the probability stated when their light was given.

    Parameters
    ----------
    groups : DataFrame
        n_cases, predicted, cured_rate, lower, upper, as ``LightsBackTest.groups``; small groups are not drawn.
    horizon_months : int
        Months within which a cure counts.

    Returns
    -------
    ReportFigure
        Its alternative text says in how many groups the interval holds the stated probability.
    """
    title = "Did as many cases cure as was stated?"
    shown = groups[groups["n_cases"] >= MINIMUM_CELL_COUNT]
    if shown.empty:
        return not_shown(title, "Too few cases to show")
    figure = theme.new_figure(3.6)
    ax = figure.subplots()
    limit = min(1.02, 1.1 * max(float(shown[["predicted", "upper"]].max().max()), 0.05))
    ax.plot([0, limit], [0, limit], color=theme.MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.vlines(shown["predicted"], shown["lower"], shown["upper"], color=theme.ACCENT, linewidth=2.0, alpha=0.5)
    ax.plot(shown["predicted"], shown["cured_rate"], "o", color=theme.ACCENT, markersize=6)
    ax.set_xlim(0, min(1.0, 1.15 * max(float(shown["predicted"].max()), 0.05)))
    ax.xaxis.set_major_formatter(PERCENT)
    share_axis(ax, "Observed share cured", upper=limit)
    ax.set_xlabel(f"Stated probability of curing within {horizon_months} months")
    inside = int(((shown["lower"] <= shown["predicted"]) & (shown["predicted"] <= shown["upper"])).sum())
    alt = f"The interval of the observed share holds the stated probability in {inside} of {len(shown)} groups."
    n = format_count(shown["n_cases"].sum())
    caption = (
        f"Each dot is a group of cases with like probabilities, with its exact confidence interval; {n} cases in all. "
        "On the dashed line as many cured as stated."
    )
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_strategies(strategies: pd.DataFrame, *, currency: str = "") -> ReportFigure:
    """Draw what each way to give lights is expected to gain over doing nothing.

    Parameters
    ----------
    strategies : DataFrame
        strategy, net_recovery_amount and within_capacity, as ``Triage.strategies``.
    currency : str
        Code of the currency.

    Returns
    -------
    ReportFigure
        Its alternative text gives each gain.
    """
    title = "Expected net recovery over doing nothing"
    net = dict(zip(strategies["strategy"], strategies["net_recovery_amount"], strict=True))
    within = dict(zip(strategies["strategy"], strategies["within_capacity"], strict=True))
    gain = {str(name): float(value - net["nothing"]) for name, value in net.items() if name != "nothing"}
    figure = theme.new_figure(1.2 + 0.4 * len(gain))
    ax = figure.subplots()
    heights = np.arange(len(gain))[::-1]
    colours = [theme.ACCENT if within[name] else theme.BACKGROUND_BAR for name in gain]
    ax.barh(heights, list(gain.values()), color=colours, height=0.6)
    for height, (name, value) in zip(heights, gain.items(), strict=True):
        text = format_money(value, currency) + ("" if within[name] else ", beyond capacity")
        place = (max(value, 0.0), height)
        ax.annotate(text, place, xytext=(5, 0), textcoords="offset points", va="center", color=theme.INK)
    ax.axvline(0, color=theme.MUTED, linewidth=1.0)
    ax.set_yticks(heights, list(gain))
    ax.tick_params(axis="y", colors=theme.INK, length=0)
    reach = max(*map(abs, gain.values()), 1.0)
    ax.set_xlim(min(0.0, 1.1 * min(gain.values())), 1.5 * reach)
    ax.xaxis.set_major_formatter(_MONEY)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"Gain after cost{f', {currency}' if currency else ''}")
    flat_label(ax, "")
    told = "; ".join(
        f"{name} {format_money(value, currency)}{'' if within[name] else ' (beyond capacity)'}"
        for name, value in gain.items()
    )
    caption = "By the stated probabilities and the uplifts and costs of the menu. A pale bar needs more than there is."
    return ReportFigure(figure, title, f"Gain over doing nothing: {told}.", caption)
