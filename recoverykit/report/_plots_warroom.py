"""Figures of the war room: the bridge from yesterday, and what is due by rule."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from recoverykit.report import theme
from recoverykit.report._axes import COUNT, flat_label
from recoverykit.report._plots_survival import not_shown
from recoverykit.report._small_cells import bridge_for_page, is_small
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import SUPPRESSED, format_cell, format_count
from recoverykit.report.labels import driver_words
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_STATES = {"overdue": ("overdue", theme.CONTRAST), "due": ("due today", theme.ACCENT), "coming": ("coming", "#9DB7C7")}
_STEP_WORDS = {"yesterday": "the day\nbefore", "net change": "net\nchange", "left": "left: cured,\npaid, closed"}


@themed()
def plot_case_bridge(changes: pd.DataFrame) -> ReportFigure:
    """Draw the number of cases from the day before to the day, step by step.

    Parameters
    ----------
    changes : DataFrame
        what and n_cases, with overdue_amount, as ``WarRoom.changes``. Steps of too few cases are merged.

    Returns
    -------
    ReportFigure
        Its alternative text reads the bridge.
    """
    title = "Cases since the day before"
    table = bridge_for_page(changes)
    steps = table[table["what"] != "change of those that stayed"].reset_index(drop=True)
    first, last = int(steps["n_cases"].iloc[0]), int(steps["n_cases"].iloc[-1])
    if is_small(first) or is_small(last) or first == last == 0:
        return not_shown(title, "Too few cases to show")
    moves = steps["n_cases"].to_numpy()[1:-1]
    level = first + np.concatenate([[0], np.cumsum(moves)])
    figure = theme.new_figure(3.4)
    ax = figure.subplots()
    places = np.arange(len(steps))
    ax.bar(places[[0, -1]], [first, last], color=theme.BACKGROUND_BAR, width=0.62)
    for place, move, start in zip(places[1:-1], moves, level[:-1], strict=True):
        colour = theme.CONTRAST if move > 0 else theme.ACCENT
        ax.bar(place, abs(move), bottom=min(start, start + move), color=colour, width=0.62)
    tops = [first, *np.maximum(level[:-1], level[1:]), last]
    texts = [format_count(first), *(_signed(m) for m in moves), format_count(last)]
    for place, top, text in zip(places, tops, texts, strict=True):
        ax.annotate(text, (place, top), xytext=(0, 3), textcoords="offset points", ha="center", color=theme.INK)
    # Steps are small against the stock, so the axis is cut below and says so.
    lowest = min(level.min(), last)
    span = max(float(level.max() - lowest), 1.0)
    bottom = max(0.0, lowest - 1.5 * span)
    ax.set_ylim(bottom, level.max() + 0.35 * span)
    ax.yaxis.set_major_formatter(COUNT)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    flat_label(ax, f"Cases (the axis begins at {format_count(bottom)})" if bottom else "Cases")
    ax.set_xticks(places, [_STEP_WORDS.get(what, what) for what in steps["what"]])
    ax.tick_params(axis="x", colors=theme.INK, length=0)
    told = ", ".join(f"{what} {_signed(m)}" for what, m in zip(steps["what"].iloc[1:-1], moves, strict=True))
    alt = f"From {format_count(first)} cases the day before to {format_count(last)}: {told}."
    caption = "Both days are computed from the same tables, the clock set to the end of each. Small steps are merged."
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_follow_ups(follow_ups: pd.DataFrame) -> ReportFigure:
    """Draw the steps that are overdue, due today and coming, by rule of the escalation table.

    Parameters
    ----------
    follow_ups : DataFrame
        rule, action, n_overdue, n_due, n_coming, as ``WarRoom.follow_ups``. Counts from 1 to 9 are not drawn.

    Returns
    -------
    ReportFigure
        Its alternative text gives the overdue and due steps of each rule.
    """
    title = "Steps that the escalation table calls for"
    counts = follow_ups[[f"n_{state}" for state in _STATES]]
    if follow_ups.empty or counts.to_numpy().max() < MINIMUM_CELL_COUNT:
        return not_shown(title, "Too few steps to show")
    figure = theme.new_figure(1.5 + 0.42 * len(follow_ups))
    ax = figure.subplots()
    heights = np.arange(len(follow_ups))[::-1]
    start = np.zeros(len(follow_ups))
    for state, (words, colour) in _STATES.items():
        values = follow_ups[f"n_{state}"].to_numpy()
        drawn = np.where(values >= MINIMUM_CELL_COUNT, values, 0)
        ax.barh(heights, drawn, left=start, color=colour, height=0.6, label=words)
        start += drawn
    for height, end, (_, row) in zip(heights, start, follow_ups.iterrows(), strict=True):
        parts = [f"{format_cell(row[f'n_{state}'])} {words}" for state, (words, _) in _STATES.items()]
        shown = [p for p, state in zip(parts, _STATES, strict=True) if row[f"n_{state}"] > 0]
        text = ", ".join(shown) or "none"
        ax.annotate(text, (end, height), xytext=(5, 0), textcoords="offset points", va="center", color=theme.MUTED,
                    fontsize=theme.SMALL_TEXT_SIZE)  # fmt: skip
    names = [f"{driver_words(row['rule'])}" for _, row in follow_ups.iterrows()]
    ax.set_yticks(heights, names)
    ax.tick_params(axis="y", colors=theme.INK, length=0)
    ax.set_xlim(0, 1.75 * max(float(start.max()), 1.0))
    ax.xaxis.set_major_formatter(COUNT)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("Steps (a case may call for several)")
    ax.legend(loc="lower right", frameon=False, fontsize=theme.SMALL_TEXT_SIZE)
    told = "; ".join(
        f"{driver_words(row['rule'])} {format_cell(row['n_overdue'])} overdue, {format_cell(row['n_due'])} due today"
        for _, row in follow_ups.iterrows()
    )
    caption = f"Counts below {MINIMUM_CELL_COUNT} read {SUPPRESSED} and are not drawn. Done steps are left out."
    return ReportFigure(figure, title, f"Steps by rule: {told}.", caption)


def _signed(move: float) -> str:
    return f"+{format_count(move)}" if move > 0 else format_count(move)
