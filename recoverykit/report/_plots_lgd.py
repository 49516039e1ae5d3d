"""Figures of an average loss: its estimates side by side with their uncertainty, and what goes with it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from recoverykit.report import theme
from recoverykit.report._axes import PERCENT, write_near
from recoverykit.report._plots_cure import term_words
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import THIN_SPACE, format_share, interval_words, is_missing, listed
from recoverykit.report.labels import driver_words, label_of
from recoverykit.report.theme import themed

_ROW = 0.34  # inches per row
_POINTS = FuncFormatter(lambda value, _: f"{value:+g}".replace("-", "\u2212") if round(value, 9) else "0")


@themed()
def plot_lgd_averages(averages: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw the averages of the loss side by side with their intervals, by number and by exposure.

    Parameters
    ----------
    averages : DataFrame
        One row per estimate: ``estimate`` (its name), ``lgd`` with ``lower`` and ``upper`` (may be missing) and
        ``lgd_ead_weighted``, shares of EAD.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    ReportFigure
        Its alternative text gives every average, with its interval where there is one.
    """
    title = "The average loss, and how sure it is"
    shown = averages[averages["lgd"].notna()].reset_index(drop=True)
    if shown.empty:
        return not_shown(title)
    figure = theme.new_figure(1.35 + _ROW * len(shown))
    ax = figure.subplots()
    height = np.arange(len(shown))[::-1]
    ax.hlines(height, shown["lower"], shown["upper"], color=theme.ACCENT, alpha=0.22, linewidth=8)
    ax.plot(shown["lgd"], height, "o", color=theme.ACCENT, markersize=7, label="each default once")
    ax.plot(
        shown["lgd_ead_weighted"], height, "D", color=theme.CONTRAST, markersize=5.5, markerfacecolor="white",
        markeredgewidth=1.6, label="weighted by EAD",
    )  # fmt: skip
    for place, value in zip(height, shown["lgd"], strict=True):
        write_near(ax, format_share(value), (1, float(place)), on="beside", offset=(8, 0), va="center")
    ax.set_yticks(height, shown["estimate"].tolist())
    ax.set_ylim(-0.6, len(shown) - 0.4)
    _share_across(ax)
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, borderaxespad=0.2,
        fontsize=theme.SMALL_TEXT_SIZE,
    )  # fmt: skip
    told = [
        f"{row['estimate'].lower()} {format_share(row['lgd'])}{interval_words(row['lower'], row['upper'])}"
        for row in shown.to_dict("records")
    ]
    caption = (
        f"Bars are {100 * level:g}{THIN_SPACE}% intervals of the average that counts each default once: obligors drawn "
        "again and again, and every curve estimated again in each draw. Its value stands at the right."
    )
    return ReportFigure(figure, title, f"Average loss: {listed(told)}.", caption)


@themed()
def plot_lgd_drivers(frame: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw by how many points each driver raises or lowers the loss.

    Parameters
    ----------
    frame : DataFrame
        One row per term: ``term``, ``estimate``, ``lower`` and ``upper`` (change of the loss, share of EAD);
        ``driver``, ``level``, ``reference`` and ``spread`` give a term its words where they are there.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    ReportFigure
        Numbers come before categories, each from the highest to the lowest. Its alternative text names the terms whose
        interval does not hold 0.
    """
    title = "What goes with a higher or a lower loss"
    if frame.empty:
        return not_shown(title, "No regression of the loss: nothing to show")
    levels = frame["level"] if "level" in frame else pd.Series("", index=frame.index)
    ordered = frame.assign(is_level=levels != "").sort_values(["is_level", "estimate"], ascending=[True, False])
    points = 100 * ordered[["estimate", "lower", "upper"]].to_numpy(float)
    clear = (points[:, 1] > 0) | (points[:, 2] < 0)
    figure = theme.new_figure(1.1 + _ROW * len(ordered))
    ax = figure.subplots()
    height = np.arange(len(ordered))[::-1]
    ax.axvline(0.0, color=theme.MUTED, linewidth=1.0, zorder=1)
    ax.hlines(height, points[:, 1], points[:, 2], color=theme.ACCENT, linewidth=2.0, alpha=0.55, zorder=2)
    for chosen, fill in ((clear, theme.ACCENT), (~clear, "white")):
        ax.plot(
            points[chosen, 0], height[chosen], "o", markeredgecolor=theme.ACCENT, markerfacecolor=fill,
            markeredgewidth=1.4, markersize=6, zorder=3,
        )  # fmt: skip
    reach = 1.12 * max(float(np.nanmax(np.abs(points))), 1.0)
    ax.set_xlim(-reach, reach)
    ax.xaxis.set_major_formatter(_POINTS)
    ax.set_xlabel("Change of the loss, percentage points of EAD:  \u2190 lower \u2003 higher \u2192")
    ax.set_yticks(height, [term_words(row) for _, row in ordered.iterrows()])
    ax.set_ylim(-0.7, len(ordered) - 0.3)
    ax.tick_params(axis="y", colors=theme.INK)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    named = [
        f"{_short(row)} {value:+.1f}".replace("-", "\u2212")
        for (_, row), value, told in zip(ordered.iterrows(), points[:, 0], clear, strict=True)
        if told
    ]
    caption = (
        f"Dots are estimates, lines {100 * level:g}{THIN_SPACE}% intervals; a hollow dot's interval holds 0. "
        "Fractional logit of all episodes, open ones at their expected loss; at the average slope. Behind a driver "
        "stands the standard deviation that its change is per, or the category that it is held against."
    )
    return ReportFigure(figure, title, f"Points of loss, clear of 0: {listed(named) if named else 'none'}.", caption)


def _short(row: pd.Series) -> str:
    driver = row.get("driver")
    return label_of(str(row["term"])) if is_missing(driver) else driver_words(str(driver), str(row.get("level") or ""))


def _share_across(ax: Axes) -> None:
    ax.tick_params(axis="y", colors=theme.INK)
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel("Loss given default, share of EAD")
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
