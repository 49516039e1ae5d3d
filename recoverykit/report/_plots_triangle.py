"""The triangle of vintages as a picture: what was observed, and, hatched, what is extrapolated."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle

from recoverykit.report import theme
from recoverykit.report._axes import write_near
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import SUPPRESSED, format_count, format_share
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_ROW, _TOP = 0.27, 1.25  # inches per vintage, and for everything else
_HATCH = "////"
_N_SHADES = 12
#: Shade from which on a text is white: the dark half of the palette.
_DARK = 0.42
#: Columns up to which every cell carries its number.
_MOST_NUMBERS = 18


@themed()
def plot_triangle(cells: pd.DataFrame) -> ReportFigure:
    """Draw the cumulative recovery of every vintage by month since default, extrapolated cells hatched.

    Parameters
    ----------
    cells : DataFrame
        One row per vintage and month: ``vintage``, ``n_episodes``, ``month`` (end of the column), ``value`` (share of
        EAD) and ``is_extrapolated``. Vintages of too few episodes are not drawn.

    Returns
    -------
    ReportFigure
        Its alternative text gives the recovery of the oldest vintage and what the youngest is expected to reach.
    """
    title = "Cumulative recovery by vintage, observed and extrapolated"
    hidden = sorted(cells.loc[cells["n_episodes"] < MINIMUM_CELL_COUNT, "vintage"].unique())
    shown = cells[cells["n_episodes"] >= MINIMUM_CELL_COUNT]
    if shown.empty:
        return not_shown(title)
    values = shown.pivot(index="vintage", columns="month", values="value").sort_index()
    later = shown.pivot(index="vintage", columns="month", values="is_extrapolated").sort_index().astype(bool)
    figure = theme.new_figure(_TOP + _ROW * len(values))
    ax = figure.subplots()
    _draw_cells(ax, values, later)
    counts = shown.groupby("vintage")["n_episodes"].first()
    small = {"fontsize": theme.SMALL_TEXT_SIZE, "color": theme.MUTED, "va": "center"}
    for place, vintage in enumerate(values.index):
        write_near(ax, format_count(counts[vintage]), (1, place + 0.5), on="beside", offset=(8, 0), **small)
    _name_axes(ax, values)
    first, last = values.index[0], values.index[-1]
    end = int(values.columns[-1])
    alt = (
        f"By month {end} vintage {first} {_verb(later.loc[first, end])} {format_share(values.loc[first, end])} of its "
        f"exposure and vintage {last} {_verb(later.loc[last, end])} {format_share(values.loc[last, end])}; "
        f"{format_count(int(later.to_numpy().sum()))} of {format_count(later.size)} cells are extrapolated."
    )
    left_out = f" Not shown, {SUPPRESSED} episodes: {', '.join(hidden)}." if hidden else ""
    caption = (
        "Net present value as a percentage of the exposure at default. Plain: observed of the whole vintage. Hatched: "
        "extrapolated, by the pattern of recoveries and what older vintages have reached (Bornhuetter-Ferguson). "
        f"Number of episodes at the right.{left_out}"
    )
    return ReportFigure(figure, title, alt, caption)


def _verb(is_extrapolated: bool) -> str:
    return "is expected to have recovered" if is_extrapolated else "had recovered"


def _draw_cells(ax: Axes, values: pd.DataFrame, later: pd.DataFrame) -> None:
    """Fill each cell with its shade and number, and hatch those that nobody has seen."""
    top = max(float(values.to_numpy().max()), 0.1)
    shades = ListedColormap(theme.sequence_of_colours(_N_SHADES))
    lowest = min(float(values.to_numpy().min()), 0.0)
    with mpl.rc_context({"hatch.linewidth": 0.7}):
        is_extrapolated = later.to_numpy()
        for row, line in enumerate(values.to_numpy(float)):
            for column, value in enumerate(line):
                share = float((value - lowest) / (top - lowest))
                is_later = bool(is_extrapolated[row, column])
                cell = Rectangle((column, row), 1, 1, facecolor=shades(share), edgecolor="white", linewidth=0.6)
                ax.add_patch(cell)
                if is_later:
                    lines = Rectangle((column, row), 1, 1, fill=False, edgecolor="white", hatch=_HATCH, linewidth=0.0)
                    lines.set_gid("extrapolated")
                    ax.add_patch(lines)
                if len(values.columns) <= _MOST_NUMBERS:
                    _number(ax, float(value), (column + 0.5, row + 0.5), shades(share), share > _DARK, is_later)
    ax.legend(
        handles=[
            Patch(facecolor=shades(0.6), label="observed"),
            Patch(facecolor=shades(0.6), edgecolor="white", hatch=_HATCH, label="extrapolated"),
        ],
        loc="lower right", bbox_to_anchor=(1, 1.0), ncols=2, frameon=False, fontsize=theme.SMALL_TEXT_SIZE,
    )  # fmt: skip


def _number(ax: Axes, value: float, place: tuple[float, float], shade: object, is_dark: bool, is_later: bool) -> None:
    """Write a cell's percentage; on a hatched cell on a plain ground, so that no line crosses it."""
    ground = {"facecolor": shade, "edgecolor": "none", "pad": 0.8} if is_later else None
    text = f"{100 * value:.0f}".replace("-", "\u2212")
    colour = "white" if is_dark else theme.INK
    ax.text(*place, text, ha="center", va="center", fontsize=7.5, color=colour, bbox=ground)


def _name_axes(ax: Axes, values: pd.DataFrame) -> None:
    n_rows, n_columns = values.shape
    ax.set_xlim(0, n_columns)
    ax.set_ylim(n_rows, 0)
    ax.set_xticks(np.arange(n_columns) + 0.5, [f"{month:g}" for month in values.columns])
    ax.set_yticks(np.arange(n_rows) + 0.5, [str(name) for name in values.index])
    ax.tick_params(axis="both", length=0, colors=theme.INK, labelsize=theme.SMALL_TEXT_SIZE)
    ax.set_xlabel("Months since default")
    ax.set_title("Vintage of default", loc="left", color=theme.MUTED)
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set_visible(False)
