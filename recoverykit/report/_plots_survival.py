"""Figures of what becomes of a defaulted loan, and when."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from recoverykit.curves import StepCurve
from recoverykit.report import theme
from recoverykit.report._axes import (
    bounds,
    cut,
    draw_curve,
    enough_at_risk,
    label_ends,
    month_axis,
    number_at_risk,
    share_axis,
    write_near,
)
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import format_months, format_ratio, format_share, interval_words, is_missing
from recoverykit.report.labels import label_of, outcome_words
from recoverykit.report.theme import themed
from recoverykit.vocabulary import CLOSED_OUTCOMES, MINIMUM_CELL_COUNT, Outcome

_HEIGHT = 4.3
_AT_RISK_NOTE = f"The curve is drawn while at least {MINIMUM_CELL_COUNT} episodes are at risk."
#: Areas go on a little beyond the last month, so that its own step is seen.
_STUB = 1.02
_OBSERVED = "observed"
_PARTS = ("incidence", "latency")


@themed()
def plot_cumulative_incidence(curves: Mapping[str, StepCurve], *, horizon: float | None = None) -> ReportFigure:
    """Draw how defaulted loans leave default over time, as areas that add up to all of them.

    Parameters
    ----------
    curves : mapping of str to StepCurve
        Cumulative incidence of each closed outcome, a share of all episodes; ``n_at_risk`` of the first one stands
        beneath the axis. Outcomes that are missing count as never seen.
    horizon : float, optional
        Last month drawn; without it, the last month with enough episodes at risk.

    Returns
    -------
    ReportFigure
        Its alternative text gives every share at the last month drawn.

    Raises
    ------
    ValueError
        If there is no curve, or a name is not a closed outcome.
    """
    title = "Outcomes of defaulted loans by time since default"
    unknown = sorted(set(curves) - set(CLOSED_OUTCOMES))
    if unknown or not curves:
        raise ValueError(f"curves are named {unknown or 'nothing'}; give one per closed outcome: {[*CLOSED_OUTCOMES]}")
    shown = {name: cut(curves[name], horizon) for name in CLOSED_OUTCOMES if name in curves}
    first = next(iter(shown.values()))
    if not enough_at_risk(first):
        return not_shown(title)
    last = min(curve.times[-1] for curve in shown.values())
    times = np.unique(np.concatenate([curve.times[curve.times <= last] for curve in shown.values()]))
    shares: dict[str, np.ndarray] = {name: curve(times) for name, curve in shown.items()}
    shares[Outcome.OPEN] = np.clip(1 - np.sum(list(shares.values()), axis=0), 0, 1)
    figure = theme.new_figure(_HEIGHT)
    ax = figure.subplots()
    _draw_areas(ax, times, shares)
    month_axis(ax, last * _STUB)
    share_axis(ax, "Share of defaulted loans", upper=1.0)
    label_ends(ax, _area_labels(shares), height=_HEIGHT)
    number_at_risk(ax, first)
    at_end = ", ".join(f"{outcome_words(name)} {format_share(values[-1])}" for name, values in shares.items())
    name, leading = next(iter(shown.items()))
    share = f"{format_share(leading.values[-1])}{interval_words(leading.lower[-1], leading.upper[-1])}"
    caption = f"Share {outcome_words(name)} at month {last:.0f}, with its interval: {share}. {_AT_RISK_NOTE}"
    return ReportFigure(figure, title, f"What has become of defaulted loans by month {last:.0f}: {at_end}.", caption)


@themed()
def plot_time_to_cure(
    curve: StepCurve, model: StepCurve | None = None, *, ultimate: float | None = None, horizon: float | None = None
) -> ReportFigure:
    """Draw the observed probability of cure against the fitted model, with the level at which the model ends.

    Parameters
    ----------
    curve : StepCurve
        Nonparametric cumulative incidence of cure, a share in [0, 1].
    model : StepCurve, optional
        The fitted model's probability of cure over the same months.
    ultimate : float, optional
        Ultimate probability of cure by the model, in [0, 1]: the plateau.
    horizon : float, optional
        Last month drawn; without it, the last month with enough episodes at risk.

    Returns
    -------
    ReportFigure
        Its alternative text gives the observed share at the last month drawn.
    """
    title = "Probability of cure by time since default"
    if not enough_at_risk(curve):
        return not_shown(title)
    seen = cut(curve, horizon)
    last = float(seen.times[-1])
    figure = theme.new_figure(_HEIGHT)
    ax = figure.subplots()
    draw_curve(ax, seen, colour=theme.OUTCOME_COLOURS[Outcome.CURED], label=_OBSERVED)
    labels = [(float(seen.values[-1]), f"{_OBSERVED} {format_share(seen.values[-1])}", theme.CURE_TEXT)]
    alt = f"Cumulative incidence of cure reaches {format_share(seen.values[-1])} at month {last:.0f}"
    tops = [bounds(seen)[1]]
    if model is not None:
        fitted = cut(model, last)
        ax.plot(fitted.times, fitted.values, color=theme.INK, linewidth=1.4, label="fitted model", zorder=4)
        labels.append((float(fitted.values[-1]), f"fitted model {format_share(fitted.values[-1])}", theme.INK))
        tops.append(bounds(fitted)[1])
        alt += f"; the fitted model gives {format_share(fitted.values[-1])} there"
    if not is_missing(ultimate):
        level = float(ultimate or 0)
        ax.axhline(level, color=theme.INK, linewidth=1.0, linestyle=(0, (1, 2)), label="plateau", zorder=2)
        words = f"ever cured, by the model {format_share(level)}"
        write_near(ax, words, (0, level), offset=(6, 4))
        tops.append(level)
        alt += f" and levels off at {format_share(level)}"
    month_axis(ax, last)
    share_axis(ax, "Share of defaulted loans cured", upper=min(1.02, 1.15 * max([*tops, 0.01])))
    label_ends(ax, labels, height=_HEIGHT)
    number_at_risk(ax, seen)
    caption = f"Band: {100 * seen.level:.0f} % interval of the observed share. {_AT_RISK_NOTE}"
    return ReportFigure(figure, title, f"{alt}.", caption)


@themed()
def plot_time_to_resolution(curve: StepCurve, *, horizon: float | None = None) -> ReportFigure:
    """Draw the share of episodes still open, with the month by which half are resolved.

    Parameters
    ----------
    curve : StepCurve
        Survival function of the time to resolution, a share in [0, 1].
    horizon : float, optional
        Last month drawn; without it, the last month with enough episodes at risk.

    Returns
    -------
    ReportFigure
        Its alternative text gives the median, or says that it is not reached.
    """
    title = "Share of episodes still open by time since default"
    if not enough_at_risk(curve):
        return not_shown(title)
    seen = cut(curve, horizon)
    last = float(seen.times[-1])
    figure = theme.new_figure(_HEIGHT)
    ax = figure.subplots()
    draw_curve(ax, seen, colour=theme.ACCENT, label="still open")
    median = seen.first_time_at_or_below(0.5)
    if is_missing(median):
        finding = f"half of the episodes are not resolved by month {last:.0f}"
    else:
        finding = f"half of the episodes are resolved by month {median:.0f}"
        ax.plot([0, median, median], [0.5, 0.5, 0], color=theme.CONTRAST, linewidth=1.1, linestyle="--", label="median")
        text = f"half resolved after\n{format_months(median)}"
        write_near(ax, text, (median, 0.5), offset=(8, 6), color=theme.CONTRAST)
    month_axis(ax, last)
    share_axis(ax, "Share of episodes still open", upper=1.02)
    end = format_share(seen.values[-1])
    label_ends(ax, [(float(seen.values[-1]), f"still open\n{end}", theme.INK)], height=_HEIGHT)
    number_at_risk(ax, seen)
    alt = f"Share of episodes still open: {finding}; {end} are open at month {last:.0f}."
    caption = f"Kaplan-Meier estimate with {100 * seen.level:.0f} % interval. {_AT_RISK_NOTE}"
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_coefficients(
    frame: pd.DataFrame, *, latency_scale: Literal["time ratio", "hazard ratio"] = "time ratio", event: str = "cure"
) -> ReportFigure:
    """Draw what raises the chance of the event and what moves its time, each as a ratio with its interval.

    Parameters
    ----------
    frame : DataFrame
        One row per term, with columns ``part`` (``incidence`` or ``latency``), ``term``, ``estimate``, ``lower`` and
        ``upper``, on the ratio scale (> 0): odds ratios for the incidence, time or hazard ratios for the latency. A
        column ``label`` holds the words for a term where there are better ones than its name.
    latency_scale : {"time ratio", "hazard ratio"}
        Whether a ratio above 1 means later (time) or sooner (hazard).
    event : str
        The event in words.

    Returns
    -------
    ReportFigure
        Its alternative text names the term furthest from 1 in each part. Without any term it says so.

    Raises
    ------
    ValueError
        If a part is unknown or a ratio is not positive.
    """
    title = f"What moves the chance and the time of {event}"
    if frame.empty:
        return not_shown(title, "No model with drivers: nothing to show")
    unknown = sorted(set(frame["part"].astype(str)) - set(_PARTS))
    if unknown:
        raise ValueError(f"column part holds {', '.join(unknown)}; it must hold {' or '.join(_PARTS)}")
    parts = {part: frame[frame["part"] == part] for part in _PARTS if (frame["part"] == part).any()}
    if not (frame[["estimate", "lower", "upper"]] > 0).all(axis=None):
        raise ValueError("a ratio is not positive; give estimate, lower and upper on the ratio scale")
    sides = _sides(event, latency_scale)
    rows = max(len(part) for part in parts.values())
    figure = theme.new_figure(1.25 + 0.34 * rows)
    axes = figure.subplots(1, len(parts), squeeze=False, gridspec_kw={"wspace": 0.06})[0]
    findings = []
    for ax, (name, part) in zip(axes, parts.items(), strict=True):
        _draw_ratios(ax, part, *sides[name])
        strongest = part.loc[np.log(part["estimate"]).abs().idxmax()]
        words = f"{_term_words(strongest)} {format_ratio(strongest['estimate'])}"
        findings.append(f"{sides[name][0]}, furthest from 1: {words}")
    if len(parts) > 1 and [*parts["incidence"]["term"]] == [*parts["latency"]["term"]]:
        axes[1].tick_params(axis="y", labelleft=False)
    caption = "Dots are estimates, lines 95 % intervals; a line that crosses 1 leaves the direction open."
    return ReportFigure(figure, title, f"{'; '.join(findings)}.", caption)


def not_shown(title: str, words: str = f"Fewer than {MINIMUM_CELL_COUNT} episodes: not shown") -> ReportFigure:
    """Return a figure that says in words why nothing is drawn."""
    with themed():
        figure = theme.new_figure(1.2)
        figure.text(0.5, 0.5, words, ha="center", va="center", color=theme.MUTED)
    return ReportFigure(figure, title, f"{words}.")


def _draw_areas(ax: Axes, times: np.ndarray, shares: Mapping[str, np.ndarray]) -> Axes:
    """Stack the shares as steps, in the order given; each area is labelled with its outcome."""
    times = np.append(times, times[-1] * _STUB)
    floor = np.zeros(len(times))
    for name, values in shares.items():
        roof = floor + np.append(values, values[-1])
        colour = theme.OUTCOME_COLOURS[Outcome(name)]
        ax.fill_between(times, floor, roof, step="post", color=colour, edgecolor="white", linewidth=0.7, label=name)
        floor = roof
    ax.set_axisbelow(False)
    ax.grid(color="white", alpha=0.35)
    return ax


def _area_labels(shares: Mapping[str, np.ndarray]) -> list[tuple[float, str, str]]:
    """Return the label of each area at the middle of its right edge; areas of nothing get none."""
    ends = np.array([values[-1] for values in shares.values()])
    middles = np.cumsum(ends) - ends / 2
    return [
        (float(middle), f"{outcome_words(name)} {format_share(end, digits=0)}", theme.INK)
        for name, middle, end in zip(shares, middles, ends, strict=True)
        if end > 0
    ]


def _sides(event: str, latency_scale: str) -> dict[str, tuple[str, str, str]]:
    """Return heading and the words left and right of 1 for each part."""
    time = latency_scale == "time ratio"
    return {
        "incidence": (f"Odds ratio of ever reaching {event}", "less likely", "more likely"),
        "latency": (
            f"{'Time' if time else 'Hazard'} ratio of the {event}",
            "sooner" if time else "later",
            "later" if time else "sooner",
        ),
    }


def _term_words(row: pd.Series) -> str:
    label = row.get("label")
    return label_of(str(row["term"] if is_missing(label) or not str(label).strip() else label))


def _draw_ratios(ax: Axes, part: pd.DataFrame, heading: str, left: str, right: str) -> Axes:
    """Draw dots with intervals on a log axis around 1, first term on top."""
    height = np.arange(len(part))[::-1]
    ax.axvline(1.0, color=theme.MUTED, linewidth=1.0, zorder=1)
    ax.hlines(height, part["lower"], part["upper"], color=theme.ACCENT, linewidth=2.0, alpha=0.55, zorder=2)
    ax.plot(part["estimate"], height, "o", color=theme.ACCENT, markersize=6, zorder=3, label="estimate")
    ax.set_xscale("log")
    reach = 1.15 * float(np.exp(np.abs(np.log(part[["lower", "upper"]].to_numpy(float))).max()))
    ax.set_xlim(1 / max(reach, 1.25), max(reach, 1.25))
    ax.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5) if reach < 40 else (1,), numticks=12))
    if reach < 2.5:
        ax.xaxis.set_major_locator(LogLocator(base=10, subs=(0.5, 0.7, 1, 1.4, 2), numticks=20))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.set_yticks(height, [_term_words(row) for _, row in part.iterrows()])
    ax.set_ylim(-0.7, len(part) - 0.3)
    ax.tick_params(axis="y", colors=theme.INK)
    ax.set_title(heading, loc="left", fontweight="bold")
    ax.set_xlabel(f"\u2190 {left}\u2003\u2003{right} \u2192")
    return ax
