"""Figures of the protocol before the due date: arms, the claim, and how accounts roll."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from recoverykit.report import theme
from recoverykit.report._axes import PERCENT, flat_label
from recoverykit.report._plots_survival import not_shown
from recoverykit.report._small_cells import is_small
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import WORD_SPACE, format_cell, format_count, format_share, interval_words
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

#: Shares above which a cell is so dark that its text is white.
_DARK = 0.55
_FEW = f"fewer than {MINIMUM_CELL_COUNT}"
_LINES = {"independent": "instalments as\nindependent", "clustered": "instalments of one\nobligor hang together"}


@themed()
def plot_pre_due_arms(arms: pd.DataFrame, *, days: int) -> ReportFigure:
    """Draw the share of instalments that became delinquent in each arm.

    Parameters
    ----------
    arms : DataFrame
        arm, n_instalments, n_delinquent, delinquency_rate, lower, upper. Arms with too few instalments are not drawn;
        where delinquent ones number from 1 to 9, the words stand in place of the dot.
    days : int
        Days past due that make an instalment delinquent.

    Returns
    -------
    ReportFigure
        Its alternative text gives each arm's share with its interval where it is drawn.
    """
    title = f"Instalments {days} days past due, by arm"
    shown = arms[arms["n_instalments"] >= MINIMUM_CELL_COUNT]
    if shown.empty:
        return not_shown(title, "Too few instalments to show")
    small = shown["n_delinquent"].map(is_small).to_numpy(bool)
    if small.all():
        return not_shown(title, "Too few delinquent instalments to show")
    figure = theme.new_figure(1.2 + 0.5 * len(shown))
    ax = figure.subplots()
    heights = range(len(shown))[::-1]
    for height, is_few, (_, row) in zip(heights, small, shown.iterrows(), strict=True):
        if is_few:  # share and number of instalments together would tell the number
            ax.text(0.0, height, f" {_FEW} delinquent", va="center", color=theme.MUTED)
            continue
        ax.plot([row["lower"], row["upper"]], [height, height], color=theme.ACCENT, linewidth=2.0, alpha=0.5)
        ax.plot(row["delinquency_rate"], height, "o", color=theme.ACCENT, markersize=6)
    names = [f"{_words(row['arm'])}\nn = {format_count(row['n_instalments'])}" for _, row in shown.iterrows()]
    _side_axis(ax, list(heights), names)
    ax.set_xlim(0, 1.15 * float(shown.loc[~small, "upper"].max()))
    ax.set_xlabel(f"Share of instalments not paid in full {days} days after the due date")
    told = [
        f"{_words(row['arm'])} "
        + (_FEW if is_few else format_share(row["delinquency_rate"]) + interval_words(row["lower"], row["upper"]))
        for is_few, (_, row) in zip(small, shown.iterrows(), strict=True)
    ]
    caption = (
        "Every instalment counts in the arm to which its facility was assigned, whatever was done. Lines are Wilson "
        "intervals that take instalments as independent; n is their number."
    )
    return ReportFigure(figure, title, f"Delinquent within {days} days: {'; '.join(told)}.", caption)


@themed()
def plot_claimed_reduction(effects: pd.DataFrame, claim: pd.DataFrame) -> ReportFigure:
    """Draw the relative reduction of delinquency with its intervals beside the claimed figure.

    Parameters
    ----------
    effects : DataFrame
        arm, line (``independent``, ``clustered``), relative_reduction, reduction_lower, reduction_upper.
    claim : DataFrame
        arm and claimed_reduction; may be empty.

    Returns
    -------
    ReportFigure
        Its alternative text gives the reduction, its interval and the claim.
    """
    title = "Relative reduction of delinquency, and what is claimed"
    shown = effects[effects["reduction_lower"].notna()]
    if shown.empty:
        return not_shown(title, "The reduction cannot be told")
    figure = theme.new_figure(1.5 + 0.55 * len(shown))
    ax = figure.subplots()
    heights = range(len(shown))[::-1]
    for height, (_, row) in zip(heights, shown.iterrows(), strict=True):
        ends = [row["reduction_lower"], row["reduction_upper"]]
        ax.plot(ends, [height, height], color=theme.ACCENT, linewidth=2.0, alpha=0.5)
        ax.plot(row["relative_reduction"], height, "o", color=theme.ACCENT, markersize=6)
    arms = effects["arm"].nunique()
    names = [(f"{_words(r['arm'])}, " if arms > 1 else "") + _LINES[r["line"]] for _, r in shown.iterrows()]
    _side_axis(ax, list(heights), names)
    lowest = min(0.0, float(shown["reduction_lower"].min()))
    highest = max(float(shown["reduction_upper"].max()), *claim["claimed_reduction"], 0.1)
    ax.axvline(0, color=theme.MUTED, linewidth=1.0)
    said = ""
    if len(claim):
        claimed = float(claim["claimed_reduction"].iloc[0])
        ax.axvline(claimed, color=theme.CONTRAST, linewidth=1.6, linestyle=(0, (4, 3)))
        ax.annotate(
            f"claimed: {format_share(claimed, digits=0)}",
            (claimed, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-5, 3),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color=theme.CONTRAST,
            annotation_clip=False,
        )
        said = f" The claim is {format_share(claimed)}."
    ax.set_xlim(lowest - 0.03, min(1.0, highest) + 0.05)
    ax.set_xlabel("Share of the control's delinquency that the protocol prevents")
    told = [
        f"{_LINES[row['line']].replace(chr(10), ' ')}: {format_share(row['relative_reduction'])}"
        f"{interval_words(row['reduction_lower'], row['reduction_upper'])}"
        for _, row in shown.iterrows()
    ]
    caption = "Dots are estimates, lines their confidence intervals. At 0 the protocol prevents nothing."
    return ReportFigure(figure, title, f"Relative reduction, {'; '.join(told)}.{said}", caption)


@themed()
def plot_roll_rates(counts: pd.DataFrame, rates: pd.DataFrame, balance_rates: pd.DataFrame) -> ReportFigure:
    """Draw where accounts of each bucket of days past due are a month later, by number and by balance.

    Parameters
    ----------
    counts, rates, balance_rates : DataFrame
        Buckets (rows) by buckets and exits (columns): accounts, their shares, and the shares of balance. Rows and cells
        of too few accounts are withheld.

    Returns
    -------
    ReportFigure
        Its alternative text gives the share of accounts that rolled to the next worse bucket.
    """
    title = "Where accounts are a month later, by bucket of days past due"
    rows = counts.sum(axis=1) >= MINIMUM_CELL_COUNT
    if not rows.any():
        return not_shown(title, "Too few accounts to show")
    columns = counts.columns[(counts[rows].sum() > 0).to_numpy()]
    figure = theme.new_figure(1.6 + 0.42 * int(rows.sum()))
    axes = figure.subplots(1, 2, sharey=True)
    for ax, table, words in zip(axes, (rates, balance_rates), ("By number", "By balance"), strict=True):
        _heat(ax, table.loc[rows, columns], counts.loc[rows, columns])
        ax.set_title(words, loc="left", color=theme.INK, fontsize=theme.TEXT_SIZE)
        ax.set_xlabel("A month later")
    names = [f"{bucket}\nn = {format_cell(n)}" for bucket, n in counts[rows].sum(axis=1).items()]
    axes[0].set_yticks(range(int(rows.sum())), names)
    axes[0].tick_params(axis="y", colors=theme.INK, length=0)
    flat_label(axes[0], "")
    worse = [
        f"{a} to {b} {format_share(rates.loc[a, b])}"
        for a, b in zip(counts.index[:-1], counts.index[1:], strict=True)
        if rows[a] and counts.loc[a, b] >= MINIMUM_CELL_COUNT
    ]
    alt = f"Shares of accounts that rolled to the next bucket within a month: {', '.join(worse) or 'too few to show'}."
    caption = (
        "Each row adds to all accounts, or all balance, of its bucket at a month end. A dash stands for too few "
        "accounts; n counts an account once for each month."
    )
    return ReportFigure(figure, title, alt, caption)


def _heat(ax: Axes, table: pd.DataFrame, counts: pd.DataFrame) -> None:
    """Draw a table of shares as shaded cells with their values, small cells as a dash."""
    n = counts.to_numpy()
    small = (n > 0) & (n < MINIMUM_CELL_COUNT)
    shown = np.where(small, 0.0, table.fillna(0.0).to_numpy(float))
    ax.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(shown):
        text = "\u2013" if small[i, j] else "" if n[i, j] == 0 else format_share(float(value), digits=0)
        colour = "white" if value > _DARK else theme.INK
        ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=theme.SMALL_TEXT_SIZE - 0.5)
    ax.set_xticks(range(table.shape[1]), [str(c).replace(" to ", "–") for c in table.columns], rotation=40, ha="right")
    ax.grid(visible=False)
    ax.tick_params(axis="x", labelsize=theme.SMALL_TEXT_SIZE, length=0)


def _side_axis(ax: Axes, heights: list[int], names: list[str]) -> None:
    ax.set_yticks(heights, names)
    ax.set_ylim(-0.6, len(heights) - 0.4)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", colors=theme.INK)
    ax.xaxis.set_major_formatter(PERCENT)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))


def _words(arm: str) -> str:
    """Return an arm as a reader knows it: ``reminder 30/15/7``."""
    parts = arm.split("_")
    words = [p for p in parts if not p.isdigit()]
    days = "/".join(p for p in parts if p.isdigit())
    return f"{' '.join(words)}{WORD_SPACE + days if days else ''}"
