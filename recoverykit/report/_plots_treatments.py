"""Figures of what treatments did: effects side by side, a cut-off with its checks, overlap, power."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from recoverykit.report import theme
from recoverykit.report._axes import COUNT, PERCENT, flat_label, share_axis, write_near
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import format_count, format_points, format_ratio, format_share
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_RATIOS = frozenset({"hazard_ratio", "risk_ratio", "ratio_of_means"})
_ROW = 0.42  # inches per row
_DOT: dict[str, Any] = {"markersize": 6.5, "zorder": 4}
_SMALL: dict[str, Any] = {"fontsize": theme.SMALL_TEXT_SIZE, "color": theme.MUTED}


@themed()
def plot_treatment_effects(effects: pd.DataFrame) -> ReportFigure:
    """Draw effects with their intervals as a forest: differences in percentage points, ratios on a log scale.

    Parameters
    ----------
    effects : DataFrame
        Of ``effects_table``: question, measure, effect, lower, upper, n_treated, n_control and is_shown.

    Returns
    -------
    ReportFigure
        Its alternative text gives every effect with its interval.
    """
    title = "Effects of treatments, with their intervals"
    shown = effects[effects["is_shown"]] if len(effects) else effects
    is_ratio = shown["measure"].isin(_RATIOS) if len(shown) else pd.Series(dtype=bool)
    panels = [part for part in (shown[~is_ratio], shown[is_ratio]) if len(part)]
    if not panels:
        return not_shown(title)
    figure = theme.new_figure(0.9 + _ROW * len(shown) + 0.55 * len(panels))
    ratios = {"height_ratios": [len(part) + 0.6 for part in panels]}
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw=ratios)[:, 0]
    said = []
    for ax, part in zip(axes, panels, strict=True):
        said += _forest(ax, part, is_ratio=part["measure"].iloc[0] in _RATIOS)
    caption = "Dots are estimates, bars their intervals; the line is no effect. Units treated and not, at the right."
    return ReportFigure(figure, title, f"{'; '.join(said)}.", caption)


def _forest(ax: Axes, rows: pd.DataFrame, *, is_ratio: bool) -> list[str]:
    places = np.arange(len(rows))[::-1]
    ax.hlines(places, rows["lower"], rows["upper"], color=theme.ACCENT, linewidth=2.2, zorder=3)
    ax.plot(rows["effect"], places, "o", color=theme.ACCENT, **_DOT)
    ax.axvline(1.0 if is_ratio else 0.0, color=theme.INK, linewidth=1)
    ax.set_yticks(places, rows["question"].tolist())
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.tick_params(axis="y", colors=theme.INK)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    if is_ratio:
        ax.set_xscale("log")
        reach = max(1.5, 1.1 * float(np.nanmax(np.maximum(rows["upper"], 1 / rows["lower"]))))
        ax.set_xlim(1 / reach, reach)
        ticks = [tick for tick in (0.25, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 4) if 1 / reach <= tick <= reach]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
        only_hazards = (rows["measure"] == "hazard_ratio").all()
        ax.set_xlabel(f"{'Hazard ratio' if only_hazards else 'Ratio, treated to control'}, logarithmic scale")
    else:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _points(value)))
        ax.set_xlabel("Difference, treated less control, percentage points")
    for place, (n_treated, n_control) in zip(places, rows[["n_treated", "n_control"]].to_numpy(), strict=True):
        text = f"{format_count(n_treated)} / {format_count(n_control)}"
        write_near(ax, text, (1, float(place)), on="beside", offset=(8, 0), va="center", **_SMALL)
    write: Callable[[float], str] = format_ratio if is_ratio else partial(format_points, signed=True)
    return [
        f"{row['question']}: {write(row['effect'])} ({write(row['lower'])} to {write(row['upper'])})"
        for row in rows.to_dict("records")
    ]


@themed()
def plot_discontinuity(
    bins: pd.DataFrame, lines: pd.DataFrame, *, cutoff: float, running: str, outcome: str, is_share: bool = False
) -> ReportFigure:
    """Draw means of the outcome by bin of the running variable, with the fitted lines on both sides of the cut-off.

    Parameters
    ----------
    bins, lines : DataFrame
        Of ``RegressionDiscontinuity``.
    cutoff : float
        Where the treatment changes.
    running, outcome : str
        Words for the two axes, with units.
    is_share : bool
        Whether the outcome is a share, written as a percentage.

    Returns
    -------
    ReportFigure
        Its alternative text gives the fitted outcome on both sides. Bins with fewer than 10 units are not drawn.
    """
    title = f"{outcome} around the cut-off"
    shown = bins[bins["n_units"] >= MINIMUM_CELL_COUNT]
    if shown.empty:
        return not_shown(title)
    figure = theme.new_figure(3.9)
    ax = figure.subplots()
    # Area as the number of units, so that the eye weighs bins as the fit does.
    ax.scatter(shown["place"], shown["mean"], s=8 + 0.9 * shown["n_units"].clip(upper=150), color="#7B8F9C", zorder=3)
    ends = {}
    for name, colour in (("left", theme.ACCENT), ("right", theme.CONTRAST)):
        part = lines[lines["side"] == name].sort_values("place")
        ax.plot(part["place"], part["value"], color=colour, zorder=4)
        ends[name] = float(part["value"].iloc[-1 if name == "left" else 0])
        ax.plot([cutoff], [ends[name]], "o", color=colour, **_DOT)
    ax.axvline(cutoff, color=theme.INK, linewidth=1, linestyle=":")
    ax.set_xlabel(running)
    if is_share:
        share_axis(ax, outcome, lower=None)
    else:
        flat_label(ax, outcome)
    write = format_share if is_share else (lambda value: f"{value:.4g}")
    left, right = write(ends["left"]), write(ends["right"])
    alt = f"At {cutoff:g} the fitted outcome is {left} on the left and {right} on the right."
    n_units = format_count(bins["n_units"].sum())
    caption = f"{n_units} units in the window; the area of a dot is the number of units in its bin."
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_window_sensitivity(sensitivity: pd.DataFrame, *, used: float, is_share: bool = False) -> ReportFigure:
    """Draw the effect at a cut-off by the half width of the window.

    Parameters
    ----------
    sensitivity : DataFrame
        Of ``RegressionDiscontinuity``: window, n_left, n_right, effect, lower, upper.
    used : float
        Half width of the window in use.
    is_share : bool
        Whether the outcome is a share, so that effects are percentage points.

    Returns
    -------
    ReportFigure
        Its alternative text gives the range of the effects.
    """
    title = "The effect at the cut-off in narrower and wider windows"
    shown = sensitivity[sensitivity[["n_left", "n_right"]].min(axis=1) >= MINIMUM_CELL_COUNT]
    if shown.empty:
        return not_shown(title)
    figure = theme.new_figure(3.3)
    ax = figure.subplots()
    is_used = np.isclose(shown["window"], used)
    colours = np.where(is_used, theme.CONTRAST, theme.ACCENT)
    ax.vlines(shown["window"], shown["lower"], shown["upper"], color=list(colours), linewidth=2.2, zorder=3)
    ax.scatter(shown["window"], shown["effect"], color=list(colours), s=42, zorder=4)
    ax.axhline(0, color=theme.INK, linewidth=1)
    if is_share:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _points(value)))
    flat_label(ax, "Effect, percentage points" if is_share else "Effect, units of the outcome")
    ax.set_xlabel("Half width of the window, units of the running variable; beneath it the units inside")
    counts = shown[["n_left", "n_right"]].sum(axis=1)
    ticks = [f"{width:.3g}\n{format_count(n)}" for width, n in zip(shown["window"], counts, strict=True)]
    ax.set_xticks(shown["window"].to_numpy(), ticks)
    write: Callable[[float], str] = partial(format_points, signed=True) if is_share else "{:.4g}".format
    smallest, largest = write(float(shown["effect"].min())), write(float(shown["effect"].max()))
    alt = f"Over {len(shown)} windows the effect lies between {smallest} and {largest}."
    return ReportFigure(figure, title, alt, "Bars are intervals; the window in use is set off by its colour.")


@themed()
def plot_density_check(bins: pd.DataFrame, *, cutoff: float, running: str, p_value: float) -> ReportFigure:
    """Draw the density of the running variable with the local lines that meet the cut-off from both sides.

    Parameters
    ----------
    bins : DataFrame
        Of ``DensityCheck``: place, density, n_units, side, fitted.
    cutoff : float
        Where the treatment changes.
    running : str
        Words for the axis.
    p_value : float
        Of no jump.

    Returns
    -------
    ReportFigure
    """
    title = "Do units sort themselves around the cut-off?"
    shown = bins[bins["n_units"] >= MINIMUM_CELL_COUNT]
    if shown.empty:
        return not_shown(title)
    figure = theme.new_figure(3.2)
    ax = figure.subplots()
    ax.scatter(shown["place"], shown["density"], s=14, color="#7B8F9C", zorder=3)
    for name, colour in (("left", theme.ACCENT), ("right", theme.CONTRAST)):
        part = bins[(bins["side"] == name) & bins["fitted"].notna()]
        ax.plot(part["place"], part["fitted"], color=colour, zorder=4)
    ax.axvline(cutoff, color=theme.INK, linewidth=1, linestyle=":")
    ax.set_ylim(0, None)
    ax.set_xlabel(running)
    flat_label(ax, "Density of units")
    verdict = "jumps" if p_value < 0.05 else "shows no jump"
    alt = f"The density of the running variable {verdict} at {cutoff:g} (p {p_value:.3f})."
    caption = f"McCrary's check. {format_count(bins['n_units'].sum())} units; bins with fewer than 10 are not drawn."
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_overlap(overlap: pd.DataFrame) -> ReportFigure:
    """Draw how likely treated and other units were to be treated, one above the other.

    Parameters
    ----------
    overlap : DataFrame
        Of ``WeightedEffect``: lower, upper, treated, not_treated.

    Returns
    -------
    ReportFigure
        Its alternative text gives the share of the treated in bins that also hold others. Counts below 10 are not
        drawn.
    """
    title = "Do treated units have counterparts?"
    counts = overlap[["treated", "not_treated"]]
    if counts.to_numpy().max() < MINIMUM_CELL_COUNT:
        return not_shown(title)
    figure = theme.new_figure(3.4)
    ax = figure.subplots()
    widths = overlap["upper"] - overlap["lower"]
    for name, sign, colour in (("treated", 1, theme.CONTRAST), ("not_treated", -1, theme.ACCENT)):
        drawn = overlap[name].where(overlap[name] >= MINIMUM_CELL_COUNT, 0)
        total = format_count(overlap[name].sum())
        label = f"{name.replace('_', ' ')}: {total}"
        ax.bar(
            overlap["lower"],
            sign * drawn,
            width=0.94 * widths,
            align="edge",
            color=colour,
            linewidth=0,
            label=label,
            zorder=3,
        )
    ax.axhline(0, color=theme.INK, linewidth=1, zorder=4)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_count(abs(value))))
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlim(0, 1)
    ax.set_xlabel("Propensity to be treated, given what was known")
    flat_label(ax, "Units")
    ax.legend(loc="upper right", frameon=False)
    shared = overlap["treated"].where(overlap["not_treated"] > 0, 0).sum() / max(overlap["treated"].sum(), 1)
    alt = f"{format_share(shared)} of the treated units stand in bins of the propensity that hold others too."
    return ReportFigure(
        figure, title, alt, "Treated units above the line, the others beneath it; bins below 10 not drawn."
    )


@themed()
def plot_power(curve: pd.DataFrame, *, power: float = 0.8, n_units: float | None = None) -> ReportFigure:
    """Draw the power of an experiment by its size.

    Parameters
    ----------
    curve : DataFrame
        Of ``ExperimentDesign.power_curve``, one or several after another: n_units, difference, power.
    power : float
        The power wanted.
    n_units : float, optional
        The size in hand.

    Returns
    -------
    ReportFigure
        Its alternative text gives the size from which each difference is seen with the power wanted.
    """
    title = "How large must an experiment be?"
    if curve.empty:
        return not_shown(title)
    figure = theme.new_figure(3.4)
    ax = figure.subplots()
    groups = [(gap, curve[curve["difference"] == gap]) for gap in sorted(curve["difference"].unique().tolist())]
    said = []
    for (difference, part), colour in zip(groups, theme.sequence_of_colours(len(groups)), strict=True):
        label = f"{format_points(difference, signed=True)} points"
        ax.plot(part["n_units"], part["power"], color=colour, label=label)
        enough = part.loc[part["power"] >= power, "n_units"]
        reach = f"from {format_count(enough.min())} units" if len(enough) else "with none of these sizes"
        said.append(f"{label} are seen {reach}")
    ax.axhline(power, color=theme.MUTED, linewidth=1, linestyle=":")
    if n_units is not None:
        ax.axvline(n_units, color=theme.INK, linewidth=1)
        write_near(
            ax, f"{format_count(n_units)} in hand", (n_units, 1), on="below", offset=(0, 4), ha="center", **_SMALL
        )
    ax.xaxis.set_major_formatter(COUNT)
    share_axis(ax, "Probability of a significant result", upper=1.0)
    ax.set_xlim(0, float(curve["n_units"].max()))
    ax.set_xlabel("Units in both arms together")
    ax.legend(loc="lower right", frameon=False, title="True difference")
    alt = f"With a probability of {format_share(power, digits=0)} {'; '.join(said)}."
    return ReportFigure(figure, title, alt, "Two-sided test at the level of the design.")


def _points(value: float) -> str:
    """Write a difference of shares on an axis, in percentage points."""
    return f"{round(100 * value, 6):+g}".replace("-", "\u2212") if round(value, 9) else "0"
