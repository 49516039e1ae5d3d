"""Figures of the unit scorecards: units beside a target, funnels, shrunken ranks, luck of a bonus."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from recoverykit.report import theme
from recoverykit.report._axes import (
    COUNT,
    PERCENT,
    flat_label,
    label_ends,
    share_axis,
    write_near,
)
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import (
    THIN_SPACE,
    format_count,
    format_ratio,
    format_share,
    listed,
    number_of,
)
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

_ROW = 0.36  # inches per unit
_TOO_FEW = f"No unit has {MINIMUM_CELL_COUNT} cases: not shown"
_GOOD = theme.OUTCOME_COLOURS[Outcome.CURED]
_LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": theme.SMALL_TEXT_SIZE,
    "columnspacing": 1.1,
    "handletextpad": 0.4,
}
_SMALL: dict[str, Any] = {"fontsize": theme.SMALL_TEXT_SIZE, "color": theme.MUTED, "va": "center"}
_HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 1.5}
_OUTSIDE = {"above 95": "D", "below 95": "D", "above 99.8": "s", "below 99.8": "s"}


@themed()
def plot_units(
    rows: pd.DataFrame, *, title: str, axis: str, target: float | None = None, counted: str = "cases"
) -> ReportFigure:
    """Draw one share of every unit with its interval, in the order of the units' size, beside a target.

    Parameters
    ----------
    rows : DataFrame
        unit, n_cases, value, lower, upper (shares) and is_ranked, from ``UnitScorecards.measure``. Units of fewer than
        ten cases are not drawn; those without enough cases to be compared are hollow.
    title : str
        What is asked.
    axis : str
        Label of the axis.
    target : float, optional
        Share drawn as a line.
    counted : str
        What ``n_cases`` counts, in words.

    Returns
    -------
    ReportFigure
        Its alternative text gives the range of the units and how many intervals hold the target.
    """
    shown = rows[(rows["n_cases"] >= MINIMUM_CELL_COUNT) & rows["value"].notna()]
    if shown.empty:
        return not_shown(title, _TOO_FEW)
    figure = theme.new_figure(1.3 + _ROW * len(shown))
    ax = figure.subplots()
    height = np.arange(len(shown))[::-1]
    if target is not None:
        ax.axvline(target, color=theme.CONTRAST, linewidth=1.2, linestyle=(0, (4, 3)), label="target")
    known = (shown["lower"].notna() & shown["upper"].notna()).to_numpy()
    ax.hlines(height[known], shown["lower"][known], shown["upper"][known], color=theme.ACCENT, linewidth=2.4, alpha=0.5)
    ranked = shown["is_ranked"].to_numpy(bool)
    ax.plot(shown["value"][ranked], height[ranked], "o", color=theme.ACCENT, markersize=7, label="enough cases")
    if not ranked.all():
        ax.plot(
            shown["value"][~ranked],
            height[~ranked],
            "o",
            color=theme.ACCENT,
            label="few cases, not compared",
            **_HOLLOW,
        )
    _unit_rows(ax, shown["unit"], height)
    for place, count in zip(height, shown["n_cases"], strict=True):
        write_near(ax, format_count(count), (1, float(place)), on="beside", offset=(8, 0), **_SMALL)
    write_near(ax, counted, (1, len(shown) - 0.45), on="beside", offset=(8, 0), **_SMALL)
    seen = [*shown["lower"].dropna(), *shown["upper"].dropna(), *shown["value"], *([target] if target else [])]
    ax.set_xlim(max(-0.02, min(seen) - 0.05), min(max(seen) + 0.04, max(1.02, max(seen))))
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel(axis)
    if target is not None or not ranked.all():
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, **_LEGEND)
    lowest, highest = float(shown["value"].min()), float(shown["value"].max())
    span = f"from {format_share(lowest)} to {format_share(highest)}"
    alt = f"{number_of(len(shown), 'unit', 'units')}, {span}"
    if target is not None:
        holds = int(((shown["lower"] <= target) & (target <= shown["upper"])).sum())
        alt += f"; {holds} of their intervals hold{'s' if holds == 1 else ''} the target of {format_share(target)}"
    caption = "Dots with confidence intervals, largest units on top: the order says nothing of merit."
    return ReportFigure(figure, title, f"{alt}.", caption)


@themed()
def plot_funnel(
    units: pd.DataFrame, curves: pd.DataFrame, *, target: float, kind: str = "share", axis: str = "Share of cases"
) -> ReportFigure:
    """Draw a funnel: units by size, around a target, with the limits that chance alone seldom crosses.

    Parameters
    ----------
    units : DataFrame
        unit, n_cases, size, value, lower_95, upper_95, lower_998, upper_998 and position, from a ``Funnel``.
    curves : DataFrame
        size and the same limits; empty where each unit has limits of its own, which are then drawn as bars.
    target : float
        Where the funnel stands.
    kind : {"share", "ratio"}
        Whether values are shares, or observed / expected.
    axis : str
        Label of y.

    Returns
    -------
    ReportFigure
        Its alternative text names the units outside the limits.
    """
    title = "Which units differ by more than chance?"
    shown = units[units["n_cases"] >= MINIMUM_CELL_COUNT].sort_values("size", kind="stable")
    if shown.empty:
        return not_shown(title, _TOO_FEW)
    figure = theme.new_figure(4.2)
    ax = figure.subplots()
    own = curves.empty
    x = np.arange(len(shown), dtype=float) if own else shown["size"].to_numpy(float)
    ax.axhline(target, color=theme.MUTED, linewidth=1.0, zorder=1)
    (_draw_own_limits if own else _draw_curves)(ax, x, shown if own else curves)
    outside = shown["position"].isin([*_OUTSIDE]).to_numpy()
    for place, row, is_out in zip(x, shown.to_dict("records"), outside, strict=True):
        colour = theme.CONTRAST if is_out else theme.ACCENT
        small: dict[str, Any] = _HOLLOW if row["position"] == "too small" else {}
        ax.plot(
            place, row["value"], _OUTSIDE.get(row["position"], "o"), color=colour, markersize=6.5, zorder=4, **small
        )
        if not own:
            side: dict[str, Any] = {"offset": (-7, 5), "ha": "right"} if place > 0.85 * x.max() else {"offset": (7, 3)}
            write_near(ax, str(row["unit"]), (place, row["value"]), fontsize=theme.SMALL_TEXT_SIZE, **side)
    if own:
        names = [f"{unit}\n{format_count(n)}" for unit, n in zip(shown["unit"], shown["n_cases"], strict=True)]
        ax.set_xticks(x, names)
        ax.set_xlim(-0.6, len(shown) - 0.4)
        ax.set_xlabel("Unit and its number of cases, smallest expectation at the left")
    else:
        ax.set_xlim(float(curves["size"].min()), float(curves["size"].max()))
        ax.xaxis.set_major_formatter(COUNT)
        ax.set_xlabel("Cases" if kind == "share" else "Events expected")
    if kind == "share":
        share_axis(ax, axis, lower=None)
    else:
        flat_label(ax, axis)
    _funnel_legend(ax, bool(outside.any()), own)
    named = [f"{row['unit']} {row['position']}{THIN_SPACE}%" for row in shown[outside].to_dict("records")]
    judged = int((shown["position"] != "too small").sum())
    found = f"outside the limits: {listed(named)}" if named else "none lies outside the limits"
    caption = (
        f"Of {number_of(judged, 'unit', 'units')} without any true difference about {0.05 * judged:.1f} would lie "
        f"beyond the 95{THIN_SPACE}% limits by chance."
    )
    return ReportFigure(figure, title, f"Funnel of {number_of(len(shown), 'unit', 'units')}: {found}.", caption)


@themed()
def plot_shrunken_ranks(units: pd.DataFrame, *, kind: str = "share", axis: str = "Share of cases") -> ReportFigure:
    """Draw shrunken values with their intervals, observed ones beside them, and the range of each unit's rank.

    Parameters
    ----------
    units : DataFrame
        unit, n_cases, value, shrunken, lower, upper, rank, rank_lower, rank_upper, from ``ShrunkenRanks``. Units of
        fewer than ten cases are not drawn.
    kind : {"share", "ratio"}
    axis : str
        Label of the axis.

    Returns
    -------
    ReportFigure
        Its alternative text gives the rank interval of the first unit.
    """
    title = "Where does each unit probably stand, once luck is taken out?"
    shown = units[units["n_cases"] >= MINIMUM_CELL_COUNT].reset_index(drop=True)
    if shown.empty:
        return not_shown(title, _TOO_FEW)
    figure = theme.new_figure(1.4 + _ROW * len(shown))
    ax = figure.subplots()
    height = np.arange(len(shown))[::-1]
    ax.hlines(height, shown["lower"], shown["upper"], color=theme.ACCENT, linewidth=2.4, alpha=0.5)
    ax.plot(shown["value"], height, "o", color=theme.MUTED, markersize=5.5, label="observed", **_HOLLOW)
    ax.plot(shown["shrunken"], height, "o", color=theme.ACCENT, markersize=7, label="shrunken, with interval")
    _unit_rows(ax, shown["unit"], height)
    for place, row in zip(height, shown.to_dict("records"), strict=True):
        ranked = not np.isnan(row["rank"])
        words = f"rank {row['rank_lower']:.0f} to {row['rank_upper']:.0f}" if ranked else "not ranked"
        text = f"{words}, n {format_count(row['n_cases'])}"
        write_near(ax, text, (1, float(place)), on="beside", offset=(8, 0), **_SMALL)
    if kind == "share":
        ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel(axis)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, **_LEGEND)
    first = shown.iloc[0]
    write = format_share if kind == "share" else format_ratio
    if np.isnan(first["rank"]):
        alt = "No unit has enough cases to be ranked."
    else:
        alt = (
            f"{first['unit']} stands first with {write(first['shrunken'])} ({write(first['lower'])} to "
            f"{write(first['upper'])}); its rank lies between {first['rank_lower']:.0f} and {first['rank_upper']:.0f} "
            f"of {int(shown['rank'].notna().sum())}."
        )
    caption = "Small units are drawn towards the mean of all. Ranks whose ranges overlap cannot be told apart."
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_bonus_luck(chances: pd.DataFrame, *, threshold: float) -> ReportFigure:
    """Draw how often a unit is paid the bonus, by its size and its true share.

    Parameters
    ----------
    chances : DataFrame
        n_cases, true_rate and prob_paid, from ``BonusLuck``.
    threshold : float
        Share that must be exceeded.

    Returns
    -------
    ReportFigure
        Its alternative text gives the chance of a unit at the threshold, smallest and largest.
    """
    title = "How often does the bonus rule pay, by the true rate of a unit?"
    figure = theme.new_figure(4.1)
    ax = figure.subplots()
    labels = []
    for rate in np.unique(chances["true_rate"].to_numpy(float)):
        own = chances[chances["true_rate"] == rate].sort_values("n_cases")
        deserved = rate > threshold + 1e-9
        colour = _GOOD if deserved else theme.MUTED if rate > threshold - 1e-9 else theme.CONTRAST
        line: Any = "-" if deserved else (0, (4, 2))
        ax.plot(own["n_cases"], own["prob_paid"], "o", linestyle=line, color=colour, markersize=4.5, label=f"{rate:g}")
        labels.append((float(own["prob_paid"].iloc[-1]), f"truly {format_share(rate, digits=0)}", theme.INK))
    sizes = sorted(chances["n_cases"].unique())
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sizes))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_count(value)))
    ax.set_xlim(sizes[0] * 0.92, sizes[-1])
    ax.set_xlabel("Cases of the unit")
    share_axis(ax, "Chance that the bonus is paid", upper=1.02)
    label_ends(ax, labels, height=4.1)
    near = chances.loc[(chances["true_rate"] - threshold).abs() < 1e-9].sort_values("n_cases")
    if near.empty:
        near = chances[chances["true_rate"] == chances["true_rate"].min()].sort_values("n_cases")
    small, large = near.iloc[0], near.iloc[-1]
    alt = (
        f"A unit whose true rate is {format_share(small['true_rate'], digits=0)} is paid with probability "
        f"{format_share(small['prob_paid'])} on {format_count(small['n_cases'])} cases and "
        f"{format_share(large['prob_paid'])} on {format_count(large['n_cases'])}."
    )
    caption = f"Exact binomial. Paid above {format_share(threshold, digits=0)}; solid lines: units that deserve it."
    return ReportFigure(figure, title, alt, caption)


def _unit_rows(ax: Axes, names: pd.Series, height: np.ndarray) -> None:
    ax.set_yticks(height, [str(name) for name in names])
    ax.set_ylim(-0.6, len(height) - 0.4)
    ax.tick_params(axis="y", colors=theme.INK)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")


def _draw_curves(ax: Axes, _: np.ndarray, curves: pd.DataFrame) -> None:
    """Draw the limits as smooth lines."""
    for side in ("lower", "upper"):
        ax.plot(curves["size"], curves[f"{side}_95"], color=theme.MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        ax.plot(curves["size"], curves[f"{side}_998"], color=theme.MUTED, linewidth=1.2)


def _draw_own_limits(ax: Axes, x: np.ndarray, units: pd.DataFrame) -> None:
    """Draw the limits of each unit as bars."""
    ax.vlines(x, units["lower_998"], units["upper_998"], color=theme.BACKGROUND_BAR, linewidth=5, alpha=0.6)
    ax.vlines(x, units["lower_95"], units["upper_95"], color=theme.BACKGROUND_BAR, linewidth=13)


def _funnel_legend(ax: Axes, any_outside: bool, own: bool) -> None:
    """Name the marks that are drawn, and both limits."""
    marks: list[tuple[Any, str]] = [(Line2D([], [], color=theme.ACCENT, marker="o", linestyle=""), "inside")]
    if any_outside:
        marks.append((Line2D([], [], color=theme.CONTRAST, marker="D", linestyle=""), f"outside 95{THIN_SPACE}%"))
        marks.append((Line2D([], [], color=theme.CONTRAST, marker="s", linestyle=""), f"outside 99.8{THIN_SPACE}%"))
    colour = theme.BACKGROUND_BAR if own else theme.MUTED
    lines: list[tuple[str, Any, float]] = [("95", (0, (4, 3)), 1.0), ("99.8", "-", 0.6)]
    for words, line, opacity in lines:
        mark = (
            Patch(facecolor=colour, alpha=opacity)
            if own
            else Line2D([], [], color=colour, linewidth=1.2, linestyle=line)
        )
        marks.append((mark, f"{words}{THIN_SPACE}%"))
    handles, names = zip(*marks, strict=True)
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1.0), "ncols": len(names)}
    ax.legend(handles, names, **place, **_LEGEND)
