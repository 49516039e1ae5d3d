"""Figures of a loss: its averages with their uncertainty, what goes with it, and which model of it is worth having."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from recoverykit.report import theme
from recoverykit.report._axes import PERCENT, share_axis, write_near
from recoverykit.report._plots_cure import term_words
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import (
    THIN_SPACE,
    capital,
    format_count,
    format_points,
    format_share,
    interval_words,
    level_words,
    listed,
    within,
)
from recoverykit.report.labels import term_name
from recoverykit.report.theme import themed

_ROW = 0.34  # inches per row
_ROW_TO_BEAT = "segment mean"
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
        f"{within(row['estimate'])} {format_share(row['lgd'])}{interval_words(row['lower'], row['upper'])}"
        for row in shown.to_dict("records")
    ]
    caption = (
        f"Bars are {level_words(level)} intervals of the average that counts each default once: obligors drawn "
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
        f"{term_name(row)} {format_points(row['estimate'], signed=True)}"
        for (_, row), told in zip(ordered.iterrows(), clear, strict=True)
        if told
    ]
    caption = (
        f"Dots are estimates, lines {level_words(level)} intervals; a hollow dot's interval holds 0. "
        "Fractional logit of all episodes, open ones at their expected loss; at the average slope. Behind a driver "
        "stands the standard deviation that its change is per, or the category that it is held against."
    )
    return ReportFigure(figure, title, f"Points of loss, clear of 0: {listed(named) if named else 'none'}.", caption)


def _share_across(ax: Axes) -> None:
    ax.tick_params(axis="y", colors=theme.INK)
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel("Loss given default, share of EAD")
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")


@themed()
def plot_lgd_models(table: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw what each model saves of the error of the plain segment mean, over all later episodes and closed ones.

    Parameters
    ----------
    table : DataFrame
        One row per model: ``model``, ``rmse_saved`` with ``lower`` and ``upper``, ``rmse_saved_closed`` with
        ``lower_closed`` and ``upper_closed`` (shares of the RMSE of the row to beat), ``n_holdout`` and ``n_closed``.
        The row to beat, which saves nothing of itself, is the line at 0.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    ReportFigure
        Its alternative text gives what each model saves over all episodes.
    """
    title = "What a model saves of the error of the plain segment mean"
    shown = table[(table["model"] != _ROW_TO_BEAT) & table["rmse_saved"].notna()].reset_index(drop=True)
    if shown.empty:
        return not_shown(title, "No comparison of models: nothing to show")
    figure = theme.new_figure(1.5 + 1.2 * _ROW * len(shown))
    ax = figure.subplots()
    height = np.arange(len(shown))[::-1].astype(float)
    ax.axvline(0.0, color=theme.MUTED, linewidth=1.0, zorder=1)
    kinds = [("", "o", theme.ACCENT, theme.ACCENT, 0.12, "n_holdout", "all later episodes")]
    kinds += [("_closed", "D", theme.CONTRAST, "white", -0.16, "n_closed", "closed ones alone")]
    for end, marker, colour, fill, shift, count, words in kinds:
        percent = 100 * shown[[f"rmse_saved{end}", f"lower{end}", f"upper{end}"]].to_numpy(float)
        ax.hlines(height + shift, percent[:, 1], percent[:, 2], color=colour, linewidth=2.0, alpha=0.55, zorder=2)
        ax.plot(
            percent[:, 0], height + shift, marker, markeredgecolor=colour, markerfacecolor=fill, markeredgewidth=1.4,
            markersize=5.5, zorder=3, label=f"{words}, {format_count(shown[count].iloc[0])}",
        )  # fmt: skip
    ax.xaxis.set_major_formatter(_POINTS)
    ax.set_xlabel("Change for the better of the root mean squared error, %:  \u2190 worse \u2003 better \u2192")
    ax.set_yticks(height, [capital(name) for name in shown["model"]])
    ax.set_ylim(-0.7, len(shown) - 0.3)
    ax.tick_params(axis="y", colors=theme.INK)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, borderaxespad=0.2,
        fontsize=theme.SMALL_TEXT_SIZE,
    )  # fmt: skip
    named = [
        f"{model} {format_points(saved, signed=True)}{THIN_SPACE}%"
        for model, saved in zip(shown["model"], shown["rmse_saved"], strict=True)
    ]
    caption = (
        f"Lines are {level_words(level)} intervals by drawing obligors of the later episodes; the fits stay as "
        "they are. On the line at 0 a model does as well as the plain segment mean."
    )
    return ReportFigure(figure, title, f"Error saved against the segment mean: {listed(named)}.", caption)


@themed()
def plot_lgd_calibration(deciles: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw mean realised against mean predicted losses out of time, by size of the prediction.

    Parameters
    ----------
    deciles : DataFrame
        One row per group: ``model``, ``n_episodes``, ``predicted``, ``realised`` with ``lower`` and ``upper``.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    ReportFigure
        Its alternative text says how many groups have an interval that holds the prediction.
    """
    title = "Losses that came, by size of the predicted loss"
    if deciles.empty:
        return not_shown(title, "No comparison of models: nothing to show")
    figure = theme.new_figure(3.9)
    ax = figure.subplots()
    low = min(0.0, float(deciles[["predicted", "lower"]].min().min()))
    limit = 1.08 * max(float(deciles[["predicted", "upper"]].max().max()), 0.05)
    ax.plot([low, limit], [low, limit], color=theme.MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.vlines(deciles["predicted"], deciles["lower"], deciles["upper"], color=theme.ACCENT, linewidth=2.0, alpha=0.5)
    ax.plot(deciles["predicted"], deciles["realised"], "o", color=theme.ACCENT, markersize=5.5)
    ax.set_xlim(low, limit)
    ax.xaxis.set_major_formatter(PERCENT)
    share_axis(ax, "Mean loss that came, share of EAD", lower=low, upper=limit)
    model, counts = str(deciles["model"].iloc[0]), deciles["n_episodes"]
    ax.set_xlabel(f"Mean loss predicted by the {model} model, share of EAD")
    inside = int(((deciles["lower"] <= deciles["predicted"]) & (deciles["predicted"] <= deciles["upper"])).sum())
    few, many = format_count(counts.min()), format_count(counts.max())
    each = few if few == many else f"{few} to {many}"
    caption = (
        f"Each dot is a group of {each} later episodes with like predictions, with its {level_words(level)} "
        "interval over obligors; on the dashed line as much was lost as predicted. Open ones count at their expected "
        "loss."
    )
    alt = f"Model {model}: the interval holds the prediction in {inside} of {len(deciles)} groups."
    return ReportFigure(figure, title, alt, caption)
