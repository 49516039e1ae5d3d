"""Figures of how a loss figure was reached and whether an earlier one held."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from recoverykit.report import theme
from recoverykit.report._axes import PERCENT, write_near
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import format_count, format_points, format_share, interval_words, level_words, within
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_KINDS = {"vintage": "By year of default", "decile": "By tenth of the prediction, the lowest first"}
_ROW = 0.30  # inches per row


@themed()
def plot_back_test(groups: pd.DataFrame, *, level: float = 0.90) -> ReportFigure:
    """Draw what an earlier book expected open episodes to recover, beside what they did recover.

    Parameters
    ----------
    groups : DataFrame
        One row per group: kind (``all``, ``vintage`` or ``decile``), group, n_episodes, predicted, lower, upper,
        realised and is_inside, shares of EAD.
    level : float
        Level of the prediction intervals.

    Returns
    -------
    ReportFigure
        Its alternative text gives both means over all episodes and how many groups lie inside their interval.
    """
    title = "Recovery expected then, and what has come since"
    panels = [(words, groups[groups["kind"] == kind]) for kind, words in _KINDS.items()]
    panels = [(words, rows) for words, rows in panels if len(rows)]
    if not panels:
        return not_shown(title, f"No group of at least {MINIMUM_CELL_COUNT} episodes: nothing to show")
    heights = [len(rows) for _, rows in panels]
    figure = theme.new_figure(1.5 + _ROW * sum(heights) + 0.4 * len(heights))
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})[:, 0]
    for ax, (words, rows) in zip(axes, panels, strict=True):
        _draw_groups(ax, rows, words)
    axes[-1].set_xlabel("Recovered between the two dates, share of EAD")
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1.0), ncols=2, frameon=False, fontsize=theme.SMALL_TEXT_SIZE)
    everyone = groups[groups["kind"] == "all"].iloc[0]
    parts = groups[groups["kind"] != "all"]
    alt = (
        f"Over all episodes {format_share(everyone['predicted'])} of the exposure was expected on average"
        f"{interval_words(everyone['lower'], everyone['upper'])} and {format_share(everyone['realised'])} came; "
        f"{int(parts['is_inside'].sum())} of {len(parts)} groups lie inside their interval."
    )
    caption = (
        f"Bars are {level_words(level)} prediction intervals: the error of the estimated curve and the chance "
        "in so many loans. Every episode counts once. Number of episodes at the right."
    )
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_lgd_steps(steps: pd.DataFrame) -> ReportFigure:
    """Draw how the average of closed cases becomes the final LGD, step by step.

    Parameters
    ----------
    steps : DataFrame
        step, change and lgd after it, shares of EAD; the first row is where it starts.

    Returns
    -------
    ReportFigure
        Its alternative text gives the first and the final figure and the largest step.
    """
    title = "From closed cases to the final loss given default"
    names = [*steps["step"], "Final LGD"]
    lgd, change = steps["lgd"].to_numpy(float), steps["change"].to_numpy(float)
    places = np.arange(len(names))[::-1]
    figure = theme.new_figure(1.1 + 0.34 * len(names))
    ax = figure.subplots()
    start = np.concatenate([[0.0], lgd[:-1], [0.0]])
    width = np.concatenate([[lgd[0]], change[1:], [lgd[-1]]])
    ends = np.zeros(len(names), dtype=bool)
    ends[[0, -1]] = True
    colours = np.where(ends, theme.ACCENT, np.where(width < 0, "#009E73", theme.CONTRAST))
    ax.barh(places, width, left=start, color=list(colours), height=0.62, zorder=3)
    for place, left, wide, is_end in zip(places, start, width, ends, strict=True):
        text = format_share(wide) if is_end else format_points(wide, signed=True)
        spot = (max(left, left + wide), float(place))
        write_near(ax, text, spot, offset=(5, 0), va="center", fontsize=theme.SMALL_TEXT_SIZE)
    ax.set_yticks(places, names)
    ax.tick_params(axis="y", colors=theme.INK)
    ax.set_xlim(
        min(0.0, float(np.min(start + np.minimum(width, 0)))), 1.12 * float(np.max(start + np.maximum(width, 0)))
    )
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel("Loss given default, share of EAD")
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    largest = int(np.abs(change[1:]).argmax()) + 1
    alt = (
        f"The loss goes from {format_share(lgd[0])} to {format_share(lgd[-1])}; the largest step is "
        f"{within(steps['step'].iloc[largest])}, {format_points(change[largest], signed=True)} points."
    )
    return ReportFigure(figure, title, alt, "Percentage points of the exposure at default.")


def _draw_groups(ax: Axes, rows: pd.DataFrame, words: str) -> None:
    """Draw predicted recovery with its interval, and the realised one, of each group."""
    height = np.arange(len(rows))[::-1]
    band: dict[str, Any] = {"color": theme.ACCENT, "alpha": 0.22, "linewidth": 7}
    hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 1.6, "color": theme.CONTRAST}
    ax.hlines(height, rows["lower"], rows["upper"], **band)
    ax.plot(rows["predicted"], height, "o", color=theme.ACCENT, markersize=6, label="expected then")
    ax.plot(rows["realised"], height, "D", markersize=5.5, label="came since", **hollow)
    ax.set_yticks(height, rows["group"].tolist())
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.tick_params(axis="y", colors=theme.INK)
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_title(words, loc="left", color=theme.MUTED)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    small = {"fontsize": theme.SMALL_TEXT_SIZE, "color": theme.MUTED, "va": "center"}
    for place, count in zip(height, rows["n_episodes"], strict=True):
        write_near(ax, format_count(count), (1, float(place)), on="beside", offset=(8, 0), **small)
