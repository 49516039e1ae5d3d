"""Figures about conduct: breaches of contact rules by unit."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from recoverykit.report import theme
from recoverykit.report._axes import PERCENT
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import format_share
from recoverykit.report.labels import label_of
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT


@themed()
def plot_contact_breaches(by_unit: pd.DataFrame) -> ReportFigure:
    """Draw the share of contacts that break each rule, by unit, with exact intervals.

    Parameters
    ----------
    by_unit : DataFrame
        One row per rule and unit: rule, unit, n_contacts, n_breaches, breach_rate, lower, upper. Units with fewer than
        ten contacts are not drawn; where breaches number from 1 to 9, the words stand in place of the dot.

    Returns
    -------
    ReportFigure
        Its alternative text names, of the units whose share may be shown, the one with the highest under each rule.
    """
    title = "Which units break the contact rules, and how often?"
    shown = by_unit[by_unit["n_contacts"] >= MINIMUM_CELL_COUNT]
    if shown.empty:
        return not_shown(title, f"Fewer than {MINIMUM_CELL_COUNT} contacts: not shown")
    rules, units = list(dict.fromkeys(shown["rule"])), sorted(set(shown["unit"]))
    figure = theme.new_figure(1.3 + 0.36 * len(units))
    axes = figure.subplots(1, len(rules), sharey=True, squeeze=False)[0]
    for ax, rule in zip(axes, rules, strict=True):
        _draw_rule(ax, shown[shown["rule"] == rule], units)
        ax.set_xlabel(f"{label_of(rule)},\nshare of contacts")
    axes[0].set_yticks(range(len(units)), [unit.replace("_", " ") for unit in units])
    axes[0].set_ylim(len(units) - 0.5, -0.5)
    caption = (
        "Dots are shares of the contacts that a rule is about, lines their exact intervals, which take contacts as "
        "independent. Numbers of contacts stand in the table."
    )
    return ReportFigure(figure, title, _words(shown, rules), caption)


def _draw_rule(ax: Axes, rows: pd.DataFrame, units: list[str]) -> None:
    heights = rows["unit"].map(units.index)
    small = rows["n_breaches"].between(1, MINIMUM_CELL_COUNT - 1)
    clear, at = rows[~small], heights[~small]
    ax.hlines(at, clear["lower"], clear["upper"], color=theme.ACCENT, linewidth=2.0, alpha=0.55)
    ax.plot(clear["breach_rate"], at, "o", color=theme.ACCENT, markersize=6.0, clip_on=False)
    for height in heights[small]:
        ax.text(0.0, height, f" 1 to {MINIMUM_CELL_COUNT - 1}", va="center", color=theme.MUTED)
    ax.set_xlim(0.0, 1.08 * max([*clear["upper"], 0.005]))
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.xaxis.set_major_formatter(PERCENT)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", colors=theme.INK)


def _words(shown: pd.DataFrame, rules: list[str]) -> str:
    told = []
    for rule in rules:
        rows = shown[(shown["rule"] == rule) & (shown["n_breaches"] >= MINIMUM_CELL_COUNT)]
        name = label_of(rule)
        if rows.empty:
            told.append(f"{name}: no unit with {MINIMUM_CELL_COUNT} breaches or more")
            continue
        unit, rate = rows.set_index("unit")["breach_rate"].agg(["idxmax", "max"])
        among = f"of units with {MINIMUM_CELL_COUNT} breaches or more, most often"
        told.append(f"{name}: {among} {unit}, {format_share(rate)} of its contacts")
    return f"{'. '.join(told)}."
