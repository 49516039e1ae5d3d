"""Figures of a cure model: what moves the chance and the speed of cure, and whether its residuals behave."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from recoverykit.curves import StepCurve
from recoverykit.report import theme
from recoverykit.report._axes import cut, draw_curve, enough_at_risk, flat_label, number_at_risk
from recoverykit.report._plots_survival import FEW_AT_RISK, not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import capital, format_ratio, is_missing, level_words, listed
from recoverykit.report.labels import driver_words, term_name
from recoverykit.report.theme import themed

_PARTS = ("incidence", "latency")
_BOUNDS = ["estimate", "lower", "upper"]
_RESIDUAL_HEIGHT = 3.9
_RESIDUAL_STEPS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0)
_MOST_STEPS = 8
#: Ticks of a ratio, by how far from 1 the axis reaches.
_TICKS: tuple[tuple[float, tuple[float, ...]], ...] = (
    (1.6, (0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.4)),
    (3, (0.5, 0.7, 1, 1.4, 2)),
    (8, (0.2, 0.5, 1, 2, 5)),
    (60, (0.03, 0.1, 0.3, 1, 3, 10, 30)),
    (np.inf, tuple(10.0**power for power in range(-12, 13, 2))),
)
_PANELS = {
    "incidence": ("Raises the chance of ever curing", "Odds ratio\n\u2190 fewer cure \u2003 more cure \u2192"),
    "latency": ("Speeds the cure up", "Ratio of speed\n\u2190 slower \u2003 faster \u2192"),
}


@themed()
def plot_coefficients(
    frame: pd.DataFrame,
    *,
    latency_scale: Literal["time ratio", "hazard ratio"] = "time ratio",
    level: float = 0.95,
) -> ReportFigure:
    """Draw what raises the chance of ever curing beside what speeds the cure up, to the right for better in both.

    Parameters
    ----------
    frame : DataFrame
        One row per term, with columns ``part`` (``incidence`` or ``latency``), ``term``, ``estimate``, ``lower`` and
        ``upper``, on the ratio scale (> 0): odds ratios for the incidence, time or hazard ratios for the latency.
        Columns ``driver``, ``level``, ``reference`` and ``spread`` give a term its words where they are there.
    latency_scale : {"time ratio", "hazard ratio"}
        A time ratio is drawn as its inverse, a ratio of speed: 1.25 means that the time to cure is divided by 1.25.
    level : float
        Confidence level of the intervals, in (0, 1).

    Returns
    -------
    ReportFigure
        Numbers come before categories, each from the highest odds ratio to the lowest. Its alternative text names the
        terms whose interval does not hold 1. Terms without an interval are not drawn; without any term it says so.

    Raises
    ------
    ValueError
        If a part is unknown or a ratio is negative.
    """
    title = "What raises the chance of ever curing, and what speeds the cure up"
    if frame.empty:
        return not_shown(title, "No model with drivers: nothing to show")
    unknown = sorted(set(frame["part"].astype(str)) - set(_PARTS))
    if unknown:
        raise ValueError(f"column part holds {', '.join(unknown)}; it must hold {' or '.join(_PARTS)}")
    ratios = frame[_BOUNDS].to_numpy(float)
    if (ratios < 0).any():
        raise ValueError("a ratio is negative; give estimate, lower and upper on the ratio scale")
    # On a boundary a ratio runs off to nothing or to infinity, and has no interval.
    known = (np.isfinite(ratios) & (ratios > 0)).all(axis=1)
    if not known.any():
        return not_shown(title, "The model stands on a boundary, and no ratio has an interval: nothing to show")
    parts = _drawn_parts(frame[known], latency_scale)
    rows = max(len(part) for part in parts.values())
    figure = theme.new_figure(1.45 + 0.34 * rows)
    axes = figure.subplots(1, len(parts), squeeze=False, gridspec_kw={"wspace": 0.14})[0]
    findings = []
    for ax, (name, part) in zip(axes, parts.items(), strict=True):
        _draw_ratios(ax, part, *_PANELS[name])
        clear = [f"{term_name(row)} {format_ratio(row['estimate'])}" for _, row in part[_is_clear(part)].iterrows()]
        findings.append(f"{_PANELS[name][0]}, clear of 1: {listed(clear) if clear else 'nothing'}")
    if len(parts) > 1 and [*parts["incidence"]["term"]] == [*parts["latency"]["term"]]:
        axes[1].tick_params(axis="y", labelleft=False)
    caption = (
        f"Dots are estimates, lines {level_words(level)} intervals; where an interval crosses 1, its dot is "
        "hollow and the direction open. Behind a driver stands the standard deviation that its ratio is per, or the "
        "category that it is held against (pp: percentage points)."
    )
    if not known.all():
        caption += " Ratios without an interval, on a boundary, are not drawn."
    return ReportFigure(figure, title, f"{'. '.join(findings)}.", caption)


@themed()
def plot_cox_snell(curve: StepCurve | None) -> ReportFigure:
    """Draw the cumulative hazard of a model's residuals against the diagonal on which it lies if the model holds.

    Parameters
    ----------
    curve : StepCurve or None
        Cumulative hazard of the Cox-Snell residuals, by residual; None without a model.

    Returns
    -------
    ReportFigure
        Its alternative text gives the largest distance from the diagonal.
    """
    title = "Cox-Snell residuals of the cure model"
    if curve is None:
        return not_shown(title, "No model: no residuals to show")
    if not enough_at_risk(curve):
        return not_shown(title, FEW_AT_RISK)
    seen = cut(curve, None)
    last = float(seen.times[-1])
    figure = theme.new_figure(_RESIDUAL_HEIGHT)
    ax = figure.subplots()
    draw_curve(ax, seen, colour=theme.ACCENT, label="residuals")
    ax.plot([0, last], [0, last], color=theme.INK, linewidth=1.1, linestyle="--", label="if the model holds", zorder=4)
    step = next((step for step in _RESIDUAL_STEPS if last / step <= _MOST_STEPS), _RESIDUAL_STEPS[-1])
    ax.set_xlim(0, last)
    ax.set_xticks(np.arange(0, last + step / 100, step))
    ax.set_ylim(0, 1.05 * max(last, float(np.nanmax(seen.upper))))
    ax.set_xlabel("Risk of cure that loans have gone through, by the model (Cox-Snell residual)")
    flat_label(ax, "Risk that the cures show (cumulative hazard)")
    ax.legend(loc="upper left", frameon=False, fontsize=theme.TEXT_SIZE)
    number_at_risk(ax, seen)
    gap = float(np.abs(seen.values - seen.times).max())
    alt = f"The residuals' cumulative hazard leaves the diagonal by at most {format_ratio(gap)}, up to {last:.2f}."
    caption = (
        f"Nelson-Aalen estimate with {level_words(seen.level)} interval, over the loans that the model was "
        "fitted to. If the model holds, the steps follow the dashed line."
    )
    return ReportFigure(figure, title, alt, caption)


def _drawn_parts(frame: pd.DataFrame, latency_scale: str) -> dict[str, pd.DataFrame]:
    """Return the rows of each part as they are drawn: sorted alike, larger is better."""
    drawn = frame.reset_index(drop=True)
    if latency_scale == "time ratio":
        flip = drawn["part"] == "latency"
        drawn.loc[flip, _BOUNDS] = 1 / drawn.loc[flip, ["estimate", "upper", "lower"]].to_numpy(float)
    levels = drawn["level"] if "level" in drawn else pd.Series("", index=drawn.index)
    first = drawn[drawn["part"] == next(part for part in _PARTS if (drawn["part"] == part).any())]
    order = first.assign(is_level=levels != "").sort_values(["is_level", "estimate"], ascending=[True, False])["term"]
    place = drawn["term"].map({term: row for row, term in enumerate(order)}).fillna(len(drawn))
    drawn = drawn.assign(place=place).sort_values("place", kind="stable")
    return {part: drawn[drawn["part"] == part] for part in _PARTS if (drawn["part"] == part).any()}


def _is_clear(part: pd.DataFrame) -> pd.Series:
    return (part["lower"] > 1) | (part["upper"] < 1)


def term_words(row: pd.Series) -> str:
    """Return a term's words with what its ratio is per: a standard deviation, or the category it is held against."""
    words = capital(term_name(row))
    if not is_missing(row.get("spread")):
        return f"{words} (per {_spread_words(str(row['driver']), float(row['spread']))})"
    return f"{words}, against {driver_words('', str(row['reference']))}" if row.get("reference") else words


def _spread_words(driver: str, spread: float) -> str:
    """Return a standard deviation in the driver's unit; a rate is a share and told in percentage points."""
    return f"{100 * spread:.2g} pp" if "_rate" in driver else f"{spread:.2g}" if spread < 10 else f"{spread:,.0f}"


def _draw_ratios(ax: Axes, part: pd.DataFrame, heading: str, axis_label: str) -> Axes:
    """Draw dots with intervals on a log axis around 1, first term on top; a dot is filled where its sign is clear."""
    height = np.arange(len(part))[::-1]
    clear = _is_clear(part).to_numpy()
    ax.axvline(1.0, color=theme.MUTED, linewidth=1.0, zorder=1)
    ax.hlines(height, part["lower"], part["upper"], color=theme.ACCENT, linewidth=2.0, alpha=0.55, zorder=2)
    for chosen, fill, label in ((clear, theme.ACCENT, "clear"), (~clear, "white", "open")):
        ax.plot(
            part["estimate"].to_numpy()[chosen],
            height[chosen],
            "o",
            markeredgecolor=theme.ACCENT,
            markerfacecolor=fill,
            markeredgewidth=1.4,
            markersize=6,
            zorder=3,
            label=label,
        )
    ax.set_xscale("log")
    reach = max(1.15 * float(np.exp(np.abs(np.log(part[["lower", "upper"]].to_numpy(float))).max())), 1.25)
    ax.set_xlim(1 / reach, reach)
    ticks = next(ticks for furthest, ticks in _TICKS if reach < furthest)
    ax.set_xticks([tick for tick in ticks if 1 / reach <= tick <= reach])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.set_yticks(height, [term_words(row) for _, row in part.iterrows()])
    ax.set_ylim(-0.7, len(part) - 0.3)
    ax.tick_params(axis="y", colors=theme.INK)
    ax.set_title(heading, loc="left", fontweight="bold")
    ax.set_xlabel(axis_label)
    return ax
