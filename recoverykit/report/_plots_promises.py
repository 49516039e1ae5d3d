"""How soon promises to pay are kept, as a figure; and an axis of days."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from recoverykit.curves import StepCurve
from recoverykit.report import theme
from recoverykit.report._axes import cut, draw_curve, enough_at_risk, label_ends, number_at_risk, share_axis
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import format_share, interval_words, level_words
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

_DAY_STEPS = (5, 7, 10, 14, 30, 60, 90, 180, 365, 730)


def day_axis(ax: Axes, last: float, *, label: str) -> None:
    """Make x an axis of days from 0 to ``last`` with few ticks."""
    ax.set_xlim(0, max(last, 1))
    step = next((step for step in _DAY_STEPS if last / step <= 6), _DAY_STEPS[-1])
    ax.set_xticks(np.arange(0, np.floor(last) + 1, step))
    ax.set_xlabel(label)


@themed()
def plot_time_to_kept(curves: Mapping[str, StepCurve], *, horizon: float | None = None) -> ReportFigure:
    """Draw by days since the promise the share kept and the share broken.

    Parameters
    ----------
    curves : mapping of str to StepCurve
        ``kept`` and ``broken``, in days, from ``time_to_kept``.
    horizon : float, optional
        Last day drawn; without it, the last with enough promises at risk.

    Returns
    -------
    ReportFigure
        Its alternative text gives the share kept at the last day drawn.
    """
    title = "How soon are promises kept?"
    shown = {name: curves[name] for name in ("kept", "broken") if name in curves}
    if not shown or not enough_at_risk(next(iter(shown.values()))):
        return not_shown(title, f"Fewer than {MINIMUM_CELL_COUNT} promises: not shown")
    drawn = {name: cut(curve, horizon) for name, curve in shown.items()}
    first = next(iter(drawn.values()))
    last = float(first.times[-1])
    figure = theme.new_figure(4.1)
    ax = figure.subplots()
    colours = {"kept": theme.OUTCOME_COLOURS[Outcome.CURED], "broken": theme.CONTRAST}
    for name, curve in drawn.items():
        draw_curve(ax, curve, colour=colours[name], label=name)
    day_axis(ax, last, label="Days since the promise")
    share_axis(ax, "Share of promises", upper=1.02)
    ends = [(float(c.values[-1]), f"{n} {format_share(c.values[-1], digits=0)}", theme.INK) for n, c in drawn.items()]
    label_ends(ax, ends, height=4.1)
    number_at_risk(ax, first, label="Open")
    name, leading = next(iter(drawn.items()))
    seen = f"{format_share(leading.values[-1])}{interval_words(leading.lower[-1], leading.upper[-1])}"
    band = f"bands are {level_words(leading.level)} intervals"
    caption = f"A promise is broken on the last day of grace. Open promises are censored; {band}."
    return ReportFigure(figure, title, f"By day {last:.0f}, {seen} of promises are {name}.", caption)
