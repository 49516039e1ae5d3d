"""Figures of court work: how phases end and when, what complete packages change, what waits."""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from recoverykit.curves import StepCurve
from recoverykit.report import theme
from recoverykit.report._axes import COUNT, PERCENT, cut, flat_label, number_at_risk, share_axis, write_near
from recoverykit.report._plots_promises import day_axis
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import format_cell, format_count, format_share, interval_words, listed
from recoverykit.report.labels import segment_words
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

#: Ends of a phase in the order in which they are stacked.
_ENDS = {
    "hearing": theme.OUTCOME_COLOURS[Outcome.REPAID],
    "judgment": theme.OUTCOME_COLOURS[Outcome.CURED],
    "enforcement": theme.OUTCOME_COLOURS[Outcome.CURED],
    "settled": theme.OUTCOME_COLOURS[Outcome.LIQUIDATED],
    "withdrawn": theme.OUTCOME_COLOURS[Outcome.SOLD],
    "no_claim": theme.OUTCOME_COLOURS[Outcome.WRITTEN_OFF],
}
_OPEN = theme.OUTCOME_COLOURS[Outcome.OPEN]
_WORDS = {"no_claim": "lost: nothing to enforce", "filing": "filing", "open": "still open"}
_DESIGNS = {
    "standardised": "Like cases, all of them",
    "overlap_weighted": "Like cases, by what they can tell",
    "naive": "All cases as they are: unsound",
}
_COLUMNS = 3
_MOST_PANELS = 9


def end_words(name: str) -> str:
    """Return an end of a phase in words."""
    return _WORDS.get(name, name.replace("_", " "))


@themed()
def plot_court_phases(
    curves: Mapping[str, Mapping[str, StepCurve]], *, phase: str = "filing_to_judgment", horizon: float | None = None
) -> ReportFigure:
    """Draw for each court how its cases end over time, as areas that add up to all of them.

    Parameters
    ----------
    curves : mapping of str to mapping of str to StepCurve
        Group to outcome to cumulative incidence in days, from ``phase_durations``. Groups with too few cases are left
        out and named; of more than nine the largest are drawn.
    phase : str
        Which phase.
    horizon : float, optional
        Last day drawn; without it, each group's last day with enough cases at risk.

    Returns
    -------
    ReportFigure
        Its alternative text gives the share with the first outcome in each group.
    """
    start, goal = (part.replace("_", " ") for part in phase.split("_to_"))
    title = f"From {start} to {goal}: how do cases end, and when?"
    if not any(curves.values()):
        return not_shown(title, "No case has ended yet: not shown")
    sizes = {name: _at_risk(own) for name, own in curves.items()}
    names = [name for name in curves if sizes[name] >= MINIMUM_CELL_COUNT]
    if not names:
        return not_shown(title, f"No group has {MINIMUM_CELL_COUNT} cases: not shown")
    names = sorted(sorted(names, key=lambda name: -sizes[name])[:_MOST_PANELS])
    columns = min(_COLUMNS, len(names))
    rows = ceil(len(names) / columns)
    figure = theme.new_figure(0.5 + 3.0 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    found = []
    for place, ax in enumerate(axes.flat):
        if place >= len(names):
            ax.set_visible(False)
            continue
        name = names[place]
        words = _draw_ends(ax, curves[name], horizon, is_first=place % columns == 0)
        ax.set_title(segment_words(name), loc="left", color=theme.MUTED, pad=20)
        found.append(f"{segment_words(name)}: {words}")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    left_out = len(curves) - len(names)
    caption = "Aalen-Johansen: settlement and withdrawal compete, open cases count as long as they were observed."
    if left_out:
        caption += f" Groups with few cases are not drawn: {format_count(left_out)}."
    return ReportFigure(figure, title, f"{'; '.join(found)}.", caption)


@themed()
def plot_package_effect(estimates: pd.DataFrame, *, outcome: str = "won") -> ReportFigure:
    """Draw what complete packages change by each design, the unsound one set off.

    Parameters
    ----------
    estimates : DataFrame
        design, difference, lower, upper, n_cases and is_sound, from ``package_effect``.
    outcome : str
        What the difference is of.

    Returns
    -------
    ReportFigure
        Its alternative text gives the standardised difference and the naive one.
    """
    title = "What does a complete pre-filing package change?"
    shown = estimates[estimates["n_cases"] >= MINIMUM_CELL_COUNT]
    if shown.empty:
        return not_shown(title)
    figure = theme.new_figure(1.2 + 0.5 * len(shown))
    ax = figure.subplots()
    height = np.arange(len(shown))[::-1]
    ax.axvline(0.0, color=theme.MUTED, linewidth=1.0)
    for place, row in zip(height, shown.to_dict("records"), strict=True):
        colour = theme.ACCENT if row["is_sound"] else theme.MUTED
        hollow: dict[str, Any] = {} if row["is_sound"] else {"markerfacecolor": "white", "markeredgewidth": 1.6}
        line: Any = "-" if row["is_sound"] else (0, (2, 2))
        ax.hlines(place, row["lower"], row["upper"], color=colour, linewidth=2.2, alpha=0.6, linestyle=line)
        ax.plot(row["difference"], place, "o", color=colour, markersize=7, **hollow)
        text = f"n {format_count(row['n_cases'])}"
        small: dict[str, Any] = {"fontsize": theme.SMALL_TEXT_SIZE, "color": theme.MUTED, "va": "center"}
        write_near(ax, text, (1, float(place)), on="beside", offset=(8, 0), **small)
    ax.set_yticks(height, [_DESIGNS[name] for name in shown["design"]])
    ax.set_ylim(-0.6, len(shown) - 0.4)
    ax.tick_params(axis="y", colors=theme.INK)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel(f"Share {outcome} with a complete package less share without")
    by = shown.set_index("design")
    words = [
        f"{_DESIGNS[name].lower()} {format_share(by.loc[name, 'difference'])}"
        f"{interval_words(by.loc[name, 'lower'], by.loc[name, 'upper'])}"
        for name in by.index
    ]
    caption = (
        "Filled: compared within court and size of claim. Hollow: complete packages have other cases, so that this "
        "difference is no effect."
    )
    return ReportFigure(figure, title, f"Difference of the share {outcome}: {listed(words)}.", caption)


@themed()
def plot_court_load(load: pd.DataFrame, *, by: str = "court") -> ReportFigure:
    """Draw for each court what was filed, what was finished and what waits, period by period.

    Parameters
    ----------
    load : DataFrame
        The column of the groups, period, n_filed, n_finished, n_pending and is_complete, from ``court_capacity``;
        periods cut short by the reporting date are not drawn.
    by : str
        Name of the groups' column.

    Returns
    -------
    ReportFigure
        Its alternative text gives the cases pending at the end.
    """
    title = "Does what waits grow or shrink?"
    whole = load[load["is_complete"]]
    sizes = whole.groupby(by)["n_filed"].sum()
    names = sorted(sizes[sizes >= MINIMUM_CELL_COUNT].nlargest(_MOST_PANELS).index)
    if not names:
        return not_shown(title, f"No group has {MINIMUM_CELL_COUNT} cases: not shown")
    columns = min(_COLUMNS, len(names))
    rows = ceil(len(names) / columns)
    figure = theme.new_figure(0.6 + 2.3 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    drawn = whole[whole[by].isin(names)]
    top = 1.08 * max(float(drawn[["n_filed", "n_finished", "n_pending"]].max().max()), 1.0)
    found = []
    for place, ax in enumerate(axes.flat):
        if place >= len(names):
            ax.set_visible(False)
            continue
        own = whole[whole[by] == names[place]]
        x = np.arange(len(own))
        ax.fill_between(x, own["n_pending"], color=theme.BACKGROUND_BAR, linewidth=0, label="pending at the end")
        ax.plot(x, own["n_filed"], color=theme.CONTRAST, linewidth=1.6, linestyle=(0, (4, 2)), label="filed")
        ax.plot(x, own["n_finished"], color=theme.ACCENT, linewidth=1.8, label="finished")
        step = max(1, ceil(len(own) / 3))
        ax.set_xticks(x[::step], own["period"].iloc[::step])
        ax.set_xlim(0, max(len(own) - 1, 1))
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        ax.yaxis.set_major_formatter(COUNT)
        ax.set_ylim(0, top)
        if place % columns == 0:
            flat_label(ax, "Cases")
        ax.set_title(segment_words(str(names[place])), loc="right", color=theme.MUTED)
        found.append(f"{segment_words(str(names[place]))} {format_cell(int(own['n_pending'].iloc[-1]), words=True)}")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return ReportFigure(
        figure,
        title,
        f"Cases pending at the end: {listed(found)}.",
        "Whole periods only; pending is a level, not a flow.",
    )


def _at_risk(own: Mapping[str, StepCurve]) -> float:
    """Return the number at risk at the start."""
    first = next(iter(own.values()))
    return float(first.n_at_risk[0]) if first.n_at_risk is not None else 0.0


def _draw_ends(ax: Axes, own: Mapping[str, StepCurve], horizon: float | None, *, is_first: bool) -> str:
    """Stack the outcomes of one group; return its first outcome in words."""
    shown = {name: cut(own[name], horizon) for name in _ENDS if name in own}
    first = next(iter(shown.values()))
    last = float(first.times[-1])
    floor = np.zeros(len(first.times))
    for name, curve in shown.items():
        roof = floor + curve.values
        ax.fill_between(
            first.times, floor, roof, step="post", color=_ENDS[name], edgecolor="white", linewidth=0.4,
            label=end_words(name),
        )  # fmt: skip
        floor = roof
    ax.fill_between(first.times, floor, 1.0, step="post", color=_OPEN, linewidth=0, label=end_words("open"))
    day_axis(ax, last, label="Days")
    if is_first:
        share_axis(ax, "Share of cases", upper=1.0)
    else:
        ax.set_ylim(0, 1)
    number_at_risk(ax, first, label="Open" if is_first else "")
    name, curve = next(iter(shown.items()))
    seen = f"{format_share(curve.values[-1])}{interval_words(curve.lower[-1], curve.upper[-1])}"
    return f"{end_words(name)} {seen} by day {last:.0f}"
