"""Figures of what is recovered and what is lost."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from recoverykit.curves import StepCurve
from recoverykit.report import theme
from recoverykit.report._axes import (
    COUNT,
    PERCENT,
    bounds,
    cut,
    draw_curve,
    enough_at_risk,
    flat_label,
    label_ends,
    month_axis,
    number_at_risk,
    row_beneath,
    share_axis,
    write_near,
)
from recoverykit.report._plots_survival import FEW_AT_RISK, not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import SUPPRESSED, format_cell, format_count, format_share, interval_words, level_words
from recoverykit.report.labels import segment_words
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_HEIGHT = 4.3
_MOST_VINTAGES = 8
_AT_RISK_ROW = 0.2  # inches that a further row of numbers at risk takes
#: A vintage's line ends where fewer of its episodes are at risk: the few that are left would move it by themselves.
_LEAST_SHARE_AT_RISK = 0.5
_LGD_AXIS = (-0.2, 1.2)
#: Width of a bar of losses by the number of episodes that it needs: few episodes get few, wide bars.
_LGD_WIDTHS = ((400, 0.05), (100, 0.1), (0, 0.2))
_LGD_COLOURS = {"closed": theme.ACCENT, "open": "#9DB7C7"}


@themed()
def plot_recovery_curve(
    curve: StepCurve, *, closed_only: StepCurve | pd.DataFrame | None = None, horizon: float | None = None
) -> ReportFigure:
    """Draw the share of the exposure that has come back by each month after default.

    Parameters
    ----------
    curve : StepCurve
        Cumulative recovery rate, a share of EAD; it may exceed 1 or fall. ``n_at_risk`` stands beneath the axis.
    closed_only : StepCurve or DataFrame, optional
        The same of closed episodes alone, for comparison: a curve, or a frame with columns ``months`` and ``value``.
    horizon : float, optional
        Last month drawn; without it, the last month with enough episodes at risk.

    Returns
    -------
    ReportFigure
        Its alternative text gives the recovery at the last month drawn, with its interval.
    """
    title = "Cumulative recovery as a share of the exposure"
    if not enough_at_risk(curve):
        return not_shown(title, FEW_AT_RISK)
    seen = cut(curve, horizon)
    last = float(seen.times[-1])
    figure = theme.new_figure(_HEIGHT)
    ax = figure.subplots()
    draw_curve(ax, seen, colour=theme.ACCENT, label="all episodes")
    end = float(seen.values[-1])
    labels = [(end, f"all episodes {format_share(end, digits=0)}", theme.ACCENT)]
    alt = f"Net recovery reaches {format_share(end)} of the exposure at default by month {last:.0f}"
    alt += interval_words(seen.lower[-1], seen.upper[-1])
    drawn = [seen]
    closed = None if closed_only is None else _as_curve(closed_only)
    if closed is not None and np.isfinite(closed.values).any():
        other = cut(closed, last)
        level = float(other.values[-1])
        draw_curve(ax, other, colour=theme.CONTRAST, label="closed only", band=False, dashed=True)
        labels.append((level, f"closed only {format_share(level, digits=0)}", theme.CONTRAST))
        alt += f"; closed episodes alone show {format_share(level)}"
        drawn.append(other)
    lowest, highest = bounds(*drawn)
    month_axis(ax, last)
    share_axis(ax, "Recovered share of EAD, net", lower=min(0.0, 1.1 * lowest), upper=max(0.1, 1.12 * highest))
    label_ends(ax, labels, height=_HEIGHT)
    number_at_risk(ax, seen)
    band = f"Band: {level_words(seen.level)} interval, by drawing obligors. " if np.isfinite(seen.lower).any() else ""
    caption = (
        f"{band}Open episodes count as long as they are observed. Each month's recoveries are taken against the "
        f"exposure at risk in that month. The curve is drawn while at least {MINIMUM_CELL_COUNT} episodes are at risk."
    )
    return ReportFigure(figure, title, f"{alt}.", caption)


@themed()
def plot_vintages(
    triangle: pd.DataFrame, *, amount_col: str = "present_value_amount", horizon: float | None = None
) -> ReportFigure:
    """Draw cumulative recovery by quarter of default, the latest one in front; by year where quarters are many.

    Parameters
    ----------
    triangle : DataFrame
        One row per vintage and month: ``default_vintage`` (``2023Q2``), ``month``, ``ead_at_risk`` > 0, ``n_at_risk``
        and the amount. Cells with too few episodes at risk are not drawn.
    amount_col : str
        The recovered amount, per month.
    horizon : float, optional
        Last month drawn.

    Returns
    -------
    ReportFigure
        Its alternative text compares the earliest and the latest vintage at the last month that both have.
    """
    title = "Cumulative recovery by vintage of default"
    cells = _vintage_cells(triangle, amount_col)
    curves = _vintage_curves(cells)
    if horizon is not None:
        curves = curves[curves["month"] <= horizon]
    names = sorted(curves["vintage"].unique())
    if not names:
        return not_shown(title)
    figure = theme.new_figure(_HEIGHT + _AT_RISK_ROW * (len(names) - 1))
    ax = figure.subplots()
    _draw_vintages(ax, curves, names)
    month_axis(ax, float(curves["month"].max()))
    lowest, highest = float(curves["value"].min()), float(curves["value"].max())
    share_axis(ax, "Recovered share of EAD, net", lower=min(0.0, 1.1 * lowest), upper=max(0.1, 1.12 * highest))
    for row, name in enumerate(names):
        mine = cells[cells["vintage"] == name]
        row_beneath(ax, dict(zip(mine["month"], mine["n_at_risk"], strict=True)), label=name, row=row)
    ends = curves.groupby("vintage")[["month", "value"]].last()
    shared = int(min(ends.loc[names[0], "month"], ends.loc[names[-1], "month"]))
    there = curves[curves["month"] == shared].set_index("vintage")["value"]
    first, last = names[0], names[-1]
    alt = f"At month {shared} after default, vintage {last} has recovered {format_share(there[last])} of its exposure"
    if first != last:
        alt += f", vintage {first} had recovered {format_share(there[first])} by then"
    caption = (
        "From light, the earliest, to dark; the latest vintage stands in front. Vintages are drawn that were watched "
        f"from their default on, for as long as half of their episodes, and at least {MINIMUM_CELL_COUNT}, are at "
        "risk. Beneath: episodes at risk."
    )
    return ReportFigure(figure, title, f"{alt}.", caption)


@themed()
def plot_lgd_distribution(frame: pd.DataFrame) -> ReportFigure:
    """Draw how losses spread over episodes, with the mean of closed ones against the mean of all.

    Parameters
    ----------
    frame : DataFrame
        One row per episode: ``lgd`` (share of EAD: realised where closed, expected where open) and ``is_closed``.

    Returns
    -------
    ReportFigure
        Its alternative text gives both means.
    """
    title = "Distribution of loss given default"
    if len(frame) < MINIMUM_CELL_COUNT:
        return not_shown(title)
    figure = theme.new_figure(_HEIGHT - 0.3)
    ax = figure.subplots()
    width = next(width for least, width in _LGD_WIDTHS if len(frame) >= least)
    bins = np.linspace(*_LGD_AXIS, round((_LGD_AXIS[1] - _LGD_AXIS[0]) / width) + 1)
    state = np.where(frame["is_closed"].to_numpy(bool), "closed", "open")
    drawn = pd.DataFrame({"lgd": frame["lgd"].clip(*_LGD_AXIS), "state": state}).dropna()
    sns.histplot(
        drawn, x="lgd", hue="state", hue_order=["open", "closed"], multiple="stack", bins=list(bins),
        palette=_LGD_COLOURS, alpha=1.0, edgecolor="white", linewidth=0.6, legend=False, ax=ax,
    )  # fmt: skip
    mean_all, mean_closed = float(frame["lgd"].mean()), float(frame["lgd"][state == "closed"].mean())
    top = 1.32 * ax.get_ylim()[1]
    ax.set_ylim(0, top)
    _mark_means(ax, mean_closed, mean_all, top)
    ax.set_xlim(*_LGD_AXIS)
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel("Loss given default, share of EAD")
    ax.yaxis.set_major_formatter(COUNT)
    flat_label(ax, "Number of episodes")
    n_open = int((state == "open").sum())
    open_ones = "none of them open"
    if n_open:
        open_ones = f"{format_cell(n_open, words=True)} open ones counted with what they are expected to lose"
    alt = (
        f"Loss given default of {format_count(len(frame))} episodes: mean {format_share(mean_all)} of all, "
        f"{open_ones}; "
        f"{'none is closed' if n_open == len(frame) else f'mean {format_share(mean_closed)} of closed ones alone'}."
    )
    caption = (
        "Dark: closed episodes, realised loss. Light: open episodes, expected loss. "
        "The outermost bars hold what lies beyond them."
    )
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_lgd_comparison(frame: pd.DataFrame) -> ReportFigure:
    """Draw each segment's LGD from closed episodes beside the one from all, the worst on top.

    Parameters
    ----------
    frame : DataFrame
        One row per segment: ``segment``, ``closed_only_lgd``, ``all_in_lgd``, ``lower`` and ``upper`` (interval of the
        latter; may be missing), ``n_episodes``. Segments with too few episodes are named but not drawn.

    Returns
    -------
    ReportFigure
        Its alternative text names the segments with the highest and lowest LGD.
    """
    title = "Loss given default by segment"
    enough = frame["n_episodes"] >= MINIMUM_CELL_COUNT
    if not enough.any():
        return not_shown(title)
    ordered = frame[enough].sort_values(["all_in_lgd", "segment"])
    figure = theme.new_figure(1.3 + 0.27 * len(ordered))
    ax = figure.subplots()
    _draw_dumbbells(ax, ordered)
    best, worst = ordered.iloc[0], ordered.iloc[-1]
    alt = (
        f"Loss given default of all episodes is highest in {segment_words(worst['segment'])} "
        f"({format_share(worst['all_in_lgd'])}) and lowest in {segment_words(best['segment'])} "
        f"({format_share(best['all_in_lgd'])})."
    )
    hidden = ", ".join(segment_words(name) for name in sorted(frame["segment"][~enough]))
    caption = f"Number of episodes at the right.{f' Not shown, {SUPPRESSED} episodes: {hidden}.' if hidden else ''}"
    return ReportFigure(figure, title, alt, caption)


def _as_curve(given: StepCurve | pd.DataFrame) -> StepCurve:
    if isinstance(given, StepCurve):
        return given
    value = given["value"].to_numpy(float)
    return StepCurve(times=given["months"].to_numpy(float), values=value, lower=value, upper=value)


def _vintage_cells(triangle: pd.DataFrame, amount_col: str) -> pd.DataFrame:
    """Return vintage, month, EAD and number at risk, and the amount; vintages are years where quarters are many."""
    vintage = triangle["default_vintage"].astype(str)
    if vintage.nunique() > _MOST_VINTAGES:
        vintage = vintage.str[:4]
    cells = triangle[["ead_at_risk", "n_at_risk"]].assign(amount=triangle[amount_col])
    return cells.groupby([vintage.rename("vintage"), triangle["month"]]).sum().reset_index()


def _vintage_curves(cells: pd.DataFrame) -> pd.DataFrame:
    """Return vintage, month and value: the sum over months of recovered amount / EAD at risk.

    A vintage is followed from month 0 for as long as enough episodes are at risk. One that was not observed from its
    default on (late entries) lacks its first months, so it has no cumulative curve and is left out.
    """
    least = (_LEAST_SHARE_AT_RISK * cells.groupby("vintage")["n_at_risk"].transform("max")).clip(
        lower=MINIMUM_CELL_COUNT
    )
    cells = cells[(cells["n_at_risk"] >= least) & (cells["ead_at_risk"] > 0)]
    cells = cells[cells["month"] == cells.groupby("vintage").cumcount()]
    rate = cells["amount"].astype(float) / cells["ead_at_risk"].astype(float)
    return cells.assign(value=rate.groupby(cells["vintage"]).cumsum())[["vintage", "month", "value"]]


def _draw_vintages(ax: Axes, curves: pd.DataFrame, names: list[str]) -> Axes:
    """Draw one step line per vintage, the last one thick, with its name at its end."""
    colours = dict(zip(names, theme.sequence_of_colours(len(names)), strict=True))
    colours[names[-1]] = theme.CONTRAST  # type: ignore[assignment]
    sns.lineplot(
        curves, x="month", y="value", hue="vintage", hue_order=names, palette=colours, size="vintage",
        sizes={name: 2.6 if name == names[-1] else 1.5 for name in names}, drawstyle="steps-post", errorbar=None,
        legend=False, ax=ax,
    )  # fmt: skip
    for name, ends in curves.groupby("vintage")[["month", "value"]].last().iterrows():
        last = name == names[-1]
        write_near(
            ax, str(name), (ends["month"], ends["value"]), offset=(5, 0), va="center", gid="end-label", zorder=5,
            color=theme.CONTRAST if last else theme.INK, fontweight="bold" if last else "normal",
            fontsize=theme.SMALL_TEXT_SIZE,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.85},
        )  # fmt: skip
    return ax


def _mark_means(ax: Axes, closed: float, everyone: float, top: float) -> None:
    """Mark both means; the label of the shorter line stands on the side where it crosses no other line."""
    for mean, words, colour, height, at_left in (
        (closed, "mean, closed only", theme.INK, 0.97, closed > 0.5),
        (everyone, "mean, all episodes", theme.CONTRAST, 0.88, everyone < closed),
    ):
        if np.isnan(mean):
            continue
        ax.axvline(mean, ymax=height - 0.02, color=colour, linewidth=1.5, label=words)
        text, ha = f"{words} {format_share(mean)}", "right" if at_left else "left"
        write_near(ax, text, (mean, height * top), offset=(-5 if at_left else 5, 0), ha=ha, va="top", color=colour)


def _draw_dumbbells(ax: Axes, ordered: pd.DataFrame) -> Axes:
    """Draw closed-only and all-in LGD of each segment, joined, with the interval and the number of episodes."""
    height = np.arange(len(ordered))
    if ordered[["lower", "upper"]].notna().all(axis=1).any():
        band: dict[str, Any] = {"color": theme.ACCENT, "alpha": 0.22, "linewidth": 7}
        ax.hlines(height, ordered["lower"], ordered["upper"], label="interval", **band)
    ax.hlines(height, ordered["closed_only_lgd"], ordered["all_in_lgd"], color=theme.MUTED, linewidth=1.2)
    hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 1.6}
    ax.plot(ordered["closed_only_lgd"], height, "o", color=theme.CONTRAST, markersize=6, label="closed only", **hollow)
    ax.plot(ordered["all_in_lgd"], height, "o", color=theme.ACCENT, markersize=7, label="all episodes")
    ax.set_yticks(height, [segment_words(name) for name in ordered["segment"]])
    ax.tick_params(axis="y", colors=theme.INK)
    ax.set_ylim(-0.6, len(ordered) - 0.4)
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel("Loss given default, share of EAD")
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    for level, count in zip(height, ordered["n_episodes"], strict=True):
        small = {"fontsize": theme.SMALL_TEXT_SIZE, "color": theme.MUTED, "va": "center"}
        write_near(ax, format_count(count), (1, float(level)), on="beside", offset=(8, 0), **small)
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, borderaxespad=0.2, handletextpad=0.5,
        fontsize=theme.SMALL_TEXT_SIZE,
    )  # fmt: skip
    return ax
