"""Parts that several figures share: the axis of months, shares as percentages, labels at line ends, number at risk."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from recoverykit.curves import StepCurve
from recoverykit.report import theme
from recoverykit.report.formats import THIN_SPACE, format_cell, format_count, format_money
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_TICK_STEPS = (1, 2, 3, 6, 12, 24, 36, 60, 120)
_MOST_TICKS = 9
_ROW_HEIGHT = 14.0  # points between two rows of numbers at risk
_LABEL_LINE = 0.16  # inches that a label above the axes needs
_FIRST_ROW = -42.0  # points beneath the axis, clear of tick labels and axis label


#: Ticks that are shares.
PERCENT = FuncFormatter(lambda value, _: f"{round(100 * value, 6):g}{THIN_SPACE}%".replace("-", "\u2212"))

_POWERS = ((1e9, "bn"), (1e6, "m"))
#: Ticks that are numbers of things.
COUNT = FuncFormatter(lambda value, _: format_count(value))


def month_ticks(last: float) -> NDArray[np.float64]:
    """Return whole months from 0 to ``last``, few enough to be read, in steps that divide a year where they can."""
    step = next((step for step in _TICK_STEPS if last / step <= _MOST_TICKS), _TICK_STEPS[-1])
    return np.arange(0, np.floor(last) + 1, step, dtype=float)


def money_tick(value: float) -> str:
    """Write an amount on an axis: ``5 m``, where a sentence says ``5.00 m``."""
    size, letter = next(((size, letter) for size, letter in _POWERS if abs(value) >= size), (1.0, ""))
    return f"{value / size:,g}{THIN_SPACE}{letter}" if letter else format_money(value)


def month_axis(ax: Axes, last: float, *, label: str = "Months since default") -> None:
    """Make x an axis of whole months from 0 to ``last``."""
    ax.set_xlim(0, max(last, 1))
    ax.set_xticks(month_ticks(max(last, 1)))
    ax.set_xlabel(label)


def share_axis(ax: Axes, label: str, *, lower: float | None = 0.0, upper: float | None = None) -> None:
    """Make y an axis of percentages, its label lying above the axis where it is read first."""
    ax.yaxis.set_major_formatter(PERCENT)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    ax.set_ylim(lower, upper)
    flat_label(ax, label)


def flat_label(ax: Axes, label: str) -> None:
    """Write the label of y flat above the axis, so that nobody tilts the head."""
    ax.set_ylabel(label, rotation=0, ha="left", va="bottom")
    ax.yaxis.set_label_coords(0, 1.03)
    figure = ax.get_figure(root=True)
    engine = figure.get_layout_engine() if figure else None
    if figure and isinstance(engine, ConstrainedLayoutEngine):
        # The layout counts an axis label's width only; this one needs a line's height above the axes.
        engine.set(rect=(0, 0, 1, 1 - _LABEL_LINE / figure.get_figheight()))


def cut(curve: StepCurve, horizon: float | None) -> StepCurve:
    """Return the part of a curve that may be shown.

    It ends at the horizon, or without one at the last month with enough episodes at risk (the smallest cell that a page
    may show). The value at the horizon is the step that holds there.

    Raises
    ------
    ValueError
        If the horizon is not positive.
    """
    if horizon is not None and not horizon > 0:
        raise ValueError(f"horizon is {horizon:g}; give a positive number of months, or none")
    last = curve.times[-1] if horizon is None else min(horizon, curve.times[-1])
    if horizon is None and curve.n_at_risk is not None:
        enough = curve.times[curve.n_at_risk >= MINIMUM_CELL_COUNT]
        last = enough[-1] if len(enough) else curve.times[0]
    return up_to(curve, float(last))


def up_to(curve: StepCurve, last: float) -> StepCurve:
    """Return a curve that ends at ``last``, with a point there that repeats the step which holds."""
    kept = curve.times <= last
    where = np.flatnonzero(kept)
    if curve.times[where[-1]] < last:
        where = np.append(where, where[-1])
    times = curve.times[where].copy()
    times[-1] = last
    at_risk = curve.n_at_risk
    return StepCurve(
        times=times,
        values=curve.values[where],
        lower=curve.lower[where],
        upper=curve.upper[where],
        level=curve.level,
        n_at_risk=None if at_risk is None else n_at_risk_at(curve, times),
    )


def n_at_risk_at(curve: StepCurve, months: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the number at risk just before each month; 0 after the last time observed."""
    if curve.n_at_risk is None:
        return np.full(len(months), np.nan)
    following = np.searchsorted(curve.times, months, side="left")
    padded = np.append(curve.n_at_risk, 0.0)
    return padded[following]


def bounds(*curves: StepCurve) -> tuple[float, float]:
    """Return the lowest and highest value that must fit on the axis, bands included where they are known."""
    seen = np.concatenate([part for curve in curves for part in (curve.values, curve.lower, curve.upper)])
    return float(np.nanmin(seen)), float(np.nanmax(seen))


def enough_at_risk(curve: StepCurve) -> bool:
    """Tell whether enough episodes are at risk after time 0, where a curve begins, to show any of it."""
    if curve.n_at_risk is None:
        return True
    return bool(np.any(curve.n_at_risk[curve.times > 0] >= MINIMUM_CELL_COUNT))


def write_near(
    ax: Axes, text: str, place: tuple[float, float], *, offset: tuple[float, float], on: str = "data", **style: Any
) -> None:
    """Write a text at a distance in points from a place, inside or outside the axes.

    ``on`` tells in which units the place is given: ``data``; ``below`` for x in data and y a fraction of the axes;
    ``beside`` for the reverse; ``axes`` for fractions.
    """
    units: dict[str, Any] = {
        "data": "data",
        "below": ("data", "axes fraction"),
        "beside": ("axes fraction", "data"),
        "axes": "axes fraction",
    }
    shown = {"color": theme.INK, "annotation_clip": False, **style}
    ax.annotate(text, place, xycoords=units[on], xytext=offset, textcoords="offset points", **shown)


def number_at_risk(ax: Axes, curve: StepCurve, *, label: str = "At risk", row: int = 0) -> None:
    """Write the number at risk beneath the axis, under each tick.

    Parameters
    ----------
    ax : Axes
        Axes of months, its ticks already set.
    curve : StepCurve
        Carries ``n_at_risk``; without it nothing is written.
    label : str
        What stands at the left of the row.
    row : int
        0 for the first row beneath the axis label.
    """
    if curve.n_at_risk is None:
        return
    ticks = np.asarray(ax.get_xticks(), dtype=float)
    row_beneath(ax, dict(zip(ticks, n_at_risk_at(curve, ticks), strict=True)), label=label, row=row)


def row_beneath(ax: Axes, counts: Mapping[float, float], *, label: str, row: int = 0) -> None:
    """Write counts beneath the axis, each under the tick that it belongs to; ticks without one stay free.

    Parameters
    ----------
    ax : Axes
        Its ticks are already set.
    counts : mapping of float to float
        Place on the axis -> number of episodes.
    label : str
        What stands at the left of the row.
    row : int
        0 for the first row beneath the axis label.
    """
    below = _FIRST_ROW - row * _ROW_HEIGHT
    style = {"fontsize": theme.SMALL_TEXT_SIZE, "color": theme.MUTED, "va": "center"}
    write_near(ax, label, (0, 0), on="axes", offset=(-18, below), ha="right", gid="at-risk-label", **style)
    for tick in ax.get_xticks():
        if tick in counts and tick <= ax.get_xlim()[1]:
            text = format_cell(round(counts[tick]))
            write_near(ax, text, (tick, 0), on="below", offset=(0, below), ha="center", gid="at-risk", **style)


def draw_curve(ax: Axes, curve: StepCurve, *, colour: str, label: str, band: bool = True, dashed: bool = False) -> None:
    """Draw a step curve with its band."""
    line = "--" if dashed else "-"
    ax.step(curve.times, curve.values, where="post", color=colour, linestyle=line, label=label, zorder=3)
    if band:
        ax.fill_between(
            curve.times, curve.lower, curve.upper, step="post", color=colour, alpha=theme.BAND_OPACITY, linewidth=0
        )


def label_ends(ax: Axes, labels: list[tuple[float, str, str]], *, height: float) -> None:
    """Write labels to the right of the axes at the height of the lines that they name, kept apart.

    Parameters
    ----------
    ax : Axes
        Its limits are already set.
    labels : list of (float, str, str)
        Height in data units, text and colour of each label.
    height : float
        Height of the figure in inches, from which the room that a label takes is judged.
    """
    bottom, top = ax.get_ylim()
    lines = np.array([text.count("\n") + 1 for _, text, _ in labels])
    room = (top - bottom) * 1.45 * theme.TEXT_SIZE / (height * 72 * 0.68)
    places = spread(np.array([level for level, _, _ in labels]), room * lines)
    for place, (level, text, colour) in zip(places, labels, strict=True):
        moved = abs(place - level) > room / 4
        arrow: dict[str, Any] = {"arrowstyle": "-", "color": theme.MUTED, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0}
        ax.annotate(
            text,
            xy=(1, level),
            xycoords=("axes fraction", "data"),
            xytext=(1.025, place),
            textcoords=("axes fraction", "data"),
            va="center",
            color=colour,
            annotation_clip=False,
            arrowprops=arrow if moved else None,
            gid="end-label",
        )


def spread(levels: NDArray[np.float64], rooms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move labels as little as need be so that none covers another, in the order of their levels.

    Parameters
    ----------
    levels, rooms : ndarray of shape (n_labels,)
        Wanted middle of each label and the room that it takes, in the same unit.

    Returns
    -------
    ndarray of shape (n_labels,)
        Middles whose distances are at least half the sum of the neighbours' rooms.
    """
    order = np.argsort(levels, kind="stable")
    wanted, room = levels[order], rooms[order]
    # Shifted by the room beneath it, each label only has to lie no lower than the one before: isotonic regression.
    beneath = np.concatenate([[0.0], np.cumsum((room[1:] + room[:-1]) / 2)])
    blocks: list[list[float]] = []
    for value in wanted - beneath:
        blocks.append([float(value), 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, size = blocks.pop()
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + mean * size) / (blocks[-1][1] + size), blocks[-1][1] + size]
    level = np.repeat([mean for mean, _ in blocks], [int(size) for _, size in blocks]) if blocks else np.zeros(0)
    placed = np.empty_like(wanted)
    placed[order] = level + beneath
    return placed
