"""Figures of what becomes of a defaulted loan, and when."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

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
from recoverykit.report.formats import format_months, format_share, interval_words, is_missing, level_words
from recoverykit.report.labels import outcome_words, segment_within
from recoverykit.report.theme import themed
from recoverykit.vocabulary import CLOSED_OUTCOMES, MINIMUM_CELL_COUNT, Outcome

_HEIGHT = 4.3
_AT_RISK_NOTE = f"The curve is drawn while at least {MINIMUM_CELL_COUNT} episodes are at risk."
#: Areas go on a little beyond the last month, so that its own step is seen.
_STUB = 1.02
_OBSERVED = "observed"
#: What stands where a curve would rest on too few episodes from its first month on.
FEW_AT_RISK = f"Fewer than {MINIMUM_CELL_COUNT} episodes at risk: not shown"


@themed()
def plot_cumulative_incidence(
    curves: Mapping[str, StepCurve],
    *,
    fitted: Mapping[str, StepCurve] | None = None,
    fitted_to: str | None = "",
    horizon: float | None = None,
) -> ReportFigure:
    """Draw how defaulted loans leave default over time, as areas that add up to all of them.

    Parameters
    ----------
    curves : mapping of str to StepCurve
        Cumulative incidence of each closed outcome, a share of all episodes; ``n_at_risk`` of the first one stands
        beneath the axis. Outcomes that are missing count as never seen.
    fitted : mapping of str to StepCurve, optional
        The same by a model; drawn as lines that would lie on the edges of the areas if it held exactly.
    fitted_to : str, optional
        Segment whose loans the model was fitted to, where that is worth saying.
    horizon : float, optional
        Last month drawn; without it, the last month with enough episodes at risk.

    Returns
    -------
    ReportFigure
        Its alternative text gives every share at the last month drawn. Without any curve it says that no loan has
        left default.

    Raises
    ------
    ValueError
        If a name is not a closed outcome.
    """
    title = "Outcomes of defaulted loans by time since default"
    unknown = sorted({*curves, *(fitted or {})} - set(CLOSED_OUTCOMES))
    if unknown:
        raise ValueError(f"curves are named {', '.join(unknown)}; give one per closed outcome: {[*CLOSED_OUTCOMES]}")
    if not curves:
        return not_shown(title, "No loan has left default yet: nothing to show")
    shown = {name: cut(curves[name], horizon) for name in CLOSED_OUTCOMES if name in curves}
    first = next(iter(shown.values()))
    if not enough_at_risk(first):
        return not_shown(title, FEW_AT_RISK)
    last = min(curve.times[-1] for curve in shown.values())
    times = np.unique(np.concatenate([curve.times[curve.times <= last] for curve in shown.values()]))
    shares: dict[str, np.ndarray] = {name: curve(times) for name, curve in shown.items()}
    shares[Outcome.OPEN] = np.clip(1 - np.sum(list(shares.values()), axis=0), 0, 1)
    figure = theme.new_figure(_HEIGHT)
    ax = figure.subplots()
    _draw_areas(ax, times, shares)
    lines = _draw_fitted_edges(ax, fitted or {}, last, fitted_to)
    month_axis(ax, last * _STUB)
    share_axis(ax, "Share of defaulted loans", upper=1.0)
    label_ends(ax, _area_labels(shares), height=_HEIGHT)
    number_at_risk(ax, first)
    at_end = ", ".join(f"{outcome_words(name)} {format_share(values[-1])}" for name, values in shares.items())
    name, leading = next(iter(shown.items()))
    share = f"{format_share(leading.values[-1])}{interval_words(leading.lower[-1], leading.upper[-1])}"
    band = f"its {level_words(leading.level)} interval"
    caption = f"Share {outcome_words(name)} at month {last:.0f}, with {band}: {share}. {lines}{_AT_RISK_NOTE}"
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
        return not_shown(title, FEW_AT_RISK)
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
    caption = f"Band: {level_words(seen.level)} interval of the observed share. {_AT_RISK_NOTE}"
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
        return not_shown(title, FEW_AT_RISK)
    seen = cut(curve, horizon)
    last = float(seen.times[-1])
    figure = theme.new_figure(_HEIGHT)
    ax = figure.subplots()
    draw_curve(ax, seen, colour=theme.ACCENT, label="still open")
    median = seen.first_time_at_or_below(0.5)
    if is_missing(median):
        finding = f"fewer than half of the episodes are resolved by month {last:.0f}"
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
    caption = f"Kaplan-Meier estimate with {level_words(seen.level)} interval. {_AT_RISK_NOTE}"
    return ReportFigure(figure, title, alt, caption)


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


def _draw_fitted_edges(ax: Axes, fitted: Mapping[str, StepCurve], last: float, fitted_to: str | None) -> str:
    """Draw the stacked curves of a model over the areas; return what the caption says of them."""
    edge: np.ndarray | None = None
    for name in [name for name in CLOSED_OUTCOMES if name in fitted]:
        curve = cut(fitted[name], min(last, fitted[name].times[-1]))
        edge = curve.values if edge is None else edge + curve.values
        ax.plot(curve.times, edge, color="white", linewidth=2.6, alpha=0.7, zorder=3)
        ax.plot(curve.times, edge, color=theme.INK, linewidth=1.1, label=f"fitted {name}", zorder=4)
    if edge is None:
        return ""
    whose = segment_within(fitted_to or "")
    return f"Dark lines: edges of the areas by the model of all outcomes{f', fitted to {whose}' if whose else ''}. "


def _area_labels(shares: Mapping[str, np.ndarray]) -> list[tuple[float, str, str]]:
    """Return the label of each area at the middle of its right edge; areas of nothing get none."""
    ends = np.array([values[-1] for values in shares.values()])
    middles = np.cumsum(ends) - ends / 2
    return [
        (float(middle), f"{outcome_words(name)} {format_share(end, digits=0)}", theme.INK)
        for name, middle, end in zip(shares, middles, ends, strict=True)
        if end > 0
    ]
