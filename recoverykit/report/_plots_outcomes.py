"""Figures of what each ending costs, and of what defaulted exposures are still expected to lose."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from recoverykit.report import theme
from recoverykit.report._axes import PERCENT, month_axis, row_beneath, share_axis, write_near
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import format_months, format_share, level_words, within
from recoverykit.report.labels import outcome_words
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

_HEIGHT = 3.9
#: The class of episodes that nothing ever ends, as results call it.
_NEVER = "never_resolves"
#: Room that a letter takes on the axis: an area narrower than its name has it slanted above it, without the share.
_LETTER = 0.0105


@themed()
def plot_outcome_losses(table: pd.DataFrame) -> ReportFigure:
    """Draw each ending as an area: as wide as it is likely, as high as the loss it brings.

    Parameters
    ----------
    table : DataFrame
        One row per outcome: ``outcome``, ``probability`` (they add up to 1), ``loss_given_outcome`` (share of EAD) and
        ``contribution``, their product.

    Returns
    -------
    ReportFigure
        Its alternative text gives the sum and the ending that contributes most.
    """
    title = "The loss as the sum of its endings"
    if table.empty or table["contribution"].isna().any():
        return not_shown(title, "No model of all outcomes: nothing to show")
    figure = theme.new_figure(_HEIGHT)
    ax = figure.subplots()
    total = float(table["contribution"].sum())
    lowest = min(0.0, float(table["loss_given_outcome"].min()))
    highest = max(1.0, float(table["loss_given_outcome"].max()))
    share_axis(ax, "Loss given the outcome, share of EAD", lower=lowest, upper=1.02 * highest)
    _draw_areas(ax, table)
    ax.axhline(total, color=theme.INK, linewidth=1.3, linestyle="--")
    write_near(ax, f"sum {format_share(total)}", (1, total), on="beside", offset=(6, 0), va="center")
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel("Probability of the outcome, cumulated")
    most = max(table.to_dict("records"), key=lambda row: row["contribution"])
    named = f"the outcome \u201c{within(_words(most['outcome']))}\u201d"
    alt = (
        f"The losses of all endings add up to {format_share(total)} of the exposure; the largest part, "
        f"{format_share(most['contribution'])}, comes from {named}, with a probability of "
        f"{format_share(most['probability'])} and a loss of {format_share(most['loss_given_outcome'])}."
    )
    caption = (
        "Each area is an ending: its width is the probability, its height the mean loss, its size the contribution to "
        "the loss. The dashed line is their sum."
    )
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_in_default(table: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw what defaulted exposures still lose by months in default: best estimate, and with downturn and margins.

    Parameters
    ----------
    table : DataFrame
        One row per month: ``months``, ``elbe``, ``lower``, ``upper`` (may be missing), ``lgd_in_default`` and
        ``n_open``; shares of the outstanding amount. Months with too few open episodes are not drawn.
    level : float
        Confidence level of the band.

    Returns
    -------
    ReportFigure
        Its alternative text gives both at the first and the last month drawn.
    """
    title = "What defaulted exposures still lose, by months in default"
    shown = table[table["n_open"] >= MINIMUM_CELL_COUNT]
    if len(shown) < 2:
        return not_shown(title)
    figure = theme.new_figure(_HEIGHT)
    ax = figure.subplots()
    months = shown["months"].to_numpy(float)
    elbe, high = (shown[name].to_numpy(float) for name in ("elbe", "lgd_in_default"))
    ax.fill_between(months, elbe, high, color=theme.CONTRAST, alpha=0.10, linewidth=0, label="capital charge K")
    lower, upper = (shown[name].to_numpy(float) for name in ("lower", "upper"))
    if np.isfinite(lower).any():
        ax.fill_between(months, lower, upper, color=theme.ACCENT, alpha=theme.BAND_OPACITY, linewidth=0)
    ax.plot(months, high, color=theme.CONTRAST, linestyle="--", label="LGD in-default")
    ax.plot(months, elbe, color=theme.ACCENT, label="best estimate (ELBE)")
    month_axis(ax, months[-1], label="Months in default")
    top = max(1.0, float(np.nanmax(high)), float(np.nanmax(np.nan_to_num(upper))))
    share_axis(ax, "Loss, share of the outstanding amount", lower=min(0.0, float(elbe.min())), upper=1.05 * top)
    ax.legend(loc="lower right", frameon=False, fontsize=theme.TEXT_SIZE)
    row_beneath(ax, dict(zip(months, shown["n_open"], strict=True)), label="Open")
    first, last = shown.iloc[0], shown.iloc[-1]
    who = "A new default" if first["months"] == 0 else f"A loan open for {format_months(first['months'])}"
    alt = (
        f"{who} is expected to lose {format_share(first['elbe'])} of what is outstanding, with downturn and "
        f"margins {format_share(first['lgd_in_default'])}; one that has been open for {format_months(last['months'])} "
        f"{format_share(last['elbe'])} and {format_share(last['lgd_in_default'])}."
    )
    caption = (
        f"Weighted by the outstanding amount. Band: {level_words(level)} interval of the best estimate, over "
        "obligors. The shaded gap between the lines is the capital charge of a defaulted exposure."
    )
    return ReportFigure(figure, title, alt, caption)


def _draw_areas(ax: Axes, table: pd.DataFrame) -> None:
    """Draw one area per ending, from left to right, with its name and its contribution."""
    colours = {str(outcome): colour for outcome, colour in theme.OUTCOME_COLOURS.items()}
    left = 0.0
    for row in table.to_dict("records"):
        width, height, outcome = float(row["probability"]), float(row["loss_given_outcome"]), str(row["outcome"])
        colour = colours.get(outcome, theme.MUTED)
        area = Rectangle((left, 0), width, height, facecolor=colour, edgecolor="white", linewidth=1.0, zorder=2)
        area.set_gid(f"outcome-{outcome}")
        ax.add_patch(area)
        middle = left + width / 2
        if width >= _LETTER * len(_words(outcome)):
            words = f"{_words(outcome)}\n{format_share(width, digits=0)}"
            write_near(ax, words, (middle, max(height, 0)), offset=(0, 3), ha="center", va="bottom", zorder=4,
                       fontsize=theme.SMALL_TEXT_SIZE)  # fmt: skip
        elif width > 0.01:
            write_near(ax, _words(outcome), (middle, max(height, 0)), offset=(0, 3), ha="left", va="bottom",
                       rotation=55, zorder=4, fontsize=theme.SMALL_TEXT_SIZE)  # fmt: skip
        left += width


def _words(outcome: str) -> str:
    if outcome == _NEVER:
        return "Never resolved"
    return outcome_words(Outcome(outcome))
