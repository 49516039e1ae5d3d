"""Figures of a validation: ranking, calibration, and whether the model stays what it was."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from recoverykit.report import theme
from recoverykit.report._axes import PERCENT, flat_label, share_axis, write_near
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import WORD_SPACE, format_date, format_ratio, format_share, interval_words, level_words
from recoverykit.report.labels import label_of
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

_PANELS = {"new_defaults": "New defaults", "open_loans": "Loans already open"}
_PERIODS = {"development": ("development", theme.MUTED), "out_of_time": ("out of time", theme.ACCENT)}
_MEASURES = {"auc": "AUC", "concordance": "concordance"}
_SIDES = {
    "incidence": ("Odds ratio of ever curing", "less likely", "more likely"),
    "latency": ("Time ratio of the cure", "sooner", "later"),
}
#: Spaces that a picture keeps.
_GAP = 4 * WORD_SPACE
_TOO_FEW = "Too few cures to show"


@themed()
def plot_discrimination(table: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw how well predictions rank loans, in development and out of time.

    Parameters
    ----------
    table : DataFrame
        One row per population, period and measure: value, lower, upper, months, n_cures. Measures other than ``auc``
        and ``concordance``, and rows on too few cures, are not drawn.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    ReportFigure
        Its alternative text gives each AUC out of time beside the one in development.
    """
    title = "Does the model rank loans as well as it did in development?"
    shown = table[
        table["measure"].isin([*_MEASURES]) & table["value"].notna() & (table["n_cures"] >= MINIMUM_CELL_COUNT)
    ]
    if shown.empty:
        return not_shown(title, _TOO_FEW)
    lines = [(p, m) for p in _PANELS for m in _MEASURES if ((shown["population"] == p) & (shown["measure"] == m)).any()]
    figure = theme.new_figure(1.3 + 0.45 * len(lines))
    ax = figure.subplots()
    ax.axvline(0.5, color=theme.MUTED, linewidth=1.0, linestyle=(0, (1, 2)))
    for height, (population, measure) in zip(range(len(lines))[::-1], lines, strict=True):
        for (period, (words, colour)), shift in zip(_PERIODS.items(), (0.16, -0.16), strict=True):
            row = shown[
                (shown["population"] == population) & (shown["measure"] == measure) & (shown["period"] == period)
            ]
            _dots(ax, row["value"], row["lower"], row["upper"], height + shift, colour, words)
    ax.set_yticks(range(len(lines))[::-1], [f"{_PANELS[p]}, {_MEASURES[m]}" for p, m in lines])
    ax.set_ylim(-0.6, len(lines) - 0.4)
    ax.set_xlim(min(0.45, float(shown[["value", "lower"]].min().min()) - 0.02), 1.0)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", colors=theme.INK)
    ax.set_xlabel("0.5: no better than chance; 1: every pair in the right order")
    _legend(ax, "best")
    caption = f"Dots are estimates, lines their {level_words(level)} intervals, which take episodes as independent."
    return ReportFigure(figure, title, _discrimination_words(shown), caption)


@themed()
def plot_calibration(groups: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw observed against predicted shares of cured loans out of time, by groups of the prediction.

    Parameters
    ----------
    groups : DataFrame
        One row per population and group: months, n_episodes, predicted, observed, lower, upper, and n_cures of all
        groups together. Groups with too few episodes, and populations with too few cures, are not drawn.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    ReportFigure
        Its alternative text says how many groups have an interval that holds the prediction.
    """
    title = "Do as many cure as predicted, low prediction or high?"
    enough = (groups["n_episodes"] >= MINIMUM_CELL_COUNT) & (groups["n_cures"] >= MINIMUM_CELL_COUNT)
    shown = groups[enough & groups["observed"].notna()]
    names = [name for name in _PANELS if (shown["population"] == name).any()]
    if not names:
        return not_shown(title, _TOO_FEW)
    figure = theme.new_figure(3.9)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    found = []
    for ax, name in zip(axes, names, strict=True):
        part = shown[shown["population"] == name]
        limit = min(1.02, 1.08 * max(float(part[["predicted", "observed", "upper"]].max().max()), 0.05))
        ax.plot([0, limit], [0, limit], color=theme.MUTED, linewidth=1.0, linestyle=(0, (4, 3)), label="as predicted")
        drawn = part[part["lower"].notna()]
        ax.vlines(drawn["predicted"], drawn["lower"], drawn["upper"], color=theme.ACCENT, linewidth=2.0, alpha=0.5)
        ax.plot(part["predicted"], part["observed"], "o", color=theme.ACCENT, markersize=5.5, label="observed")
        ax.set_xlim(0, limit)
        ax.xaxis.set_major_formatter(PERCENT)
        share_axis(ax, "Observed share cured", upper=limit)
        month = int(part["months"].iloc[0])
        since = "after default" if name == "new_defaults" else "after the cut-off"
        ax.set_xlabel(f"{_PANELS[name]}: predicted share\ncured by month {month} {since}")
        inside = int(((drawn["lower"] <= drawn["predicted"]) & (drawn["predicted"] <= drawn["upper"])).sum())
        found.append(f"{_PANELS[name].lower()}: the interval holds the prediction in {inside} of {len(drawn)} groups")
    caption = (
        f"Each dot is a group of loans with like predictions, with its {level_words(level)} interval; on the dashed "
        "line as many cured as predicted. Loans still open count as long as they were watched."
    )
    return ReportFigure(figure, title, f"Out of time, {'; '.join(found)}.", caption)


@themed()
def plot_calibration_by_month(table: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw predicted and observed shares of cured loans by month, out of time.

    Parameters
    ----------
    table : DataFrame
        One row per population, period and month: n_cures, predicted, observed, lower, upper.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    ReportFigure
        Its alternative text gives both shares at the last month.
    """
    title = "Do as many cure as predicted, month by month?"
    later = table[(table["period"] == "out_of_time") & table["observed"].notna()]
    few = later["n_cures"].between(1, MINIMUM_CELL_COUNT - 1)
    names = [
        name for name in _PANELS if (later["population"] == name).any() and not few[later["population"] == name].all()
    ]
    if not names:
        return not_shown(title, _TOO_FEW)
    figure = theme.new_figure(3.5)
    axes = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    shown = later[~few & later["population"].isin(names)]
    top = 1.12 * float(shown[["predicted", "observed", "upper"]].max().max())
    found = []
    for ax, name in zip(axes, names, strict=True):
        part = shown[shown["population"] == name].sort_values("months")
        ax.plot([0, *part["months"]], [0.0, *part["predicted"]], color=theme.INK, linewidth=1.5, label="predicted")
        colour = theme.OUTCOME_COLOURS[Outcome.CURED]
        drawn = part[part["lower"].notna()]
        ax.vlines(drawn["months"], drawn["lower"], drawn["upper"], color=colour, linewidth=2.2, alpha=0.6)
        ax.plot(part["months"], part["observed"], "o", color=colour, markersize=6, label="observed")
        ax.set_xlim(0, 1.08 * float(part["months"].max()))
        ax.set_xticks([0, *part["months"]])
        ax.set_xlabel("Months since default" if name == "new_defaults" else "Months since the cut-off")
        share_axis(ax, _PANELS[name], upper=min(1.02, max(top, 0.05)))
        last = part.iloc[-1]
        found.append(
            f"{_PANELS[name].lower()}, month {last['months']:.0f}: predicted {format_share(last['predicted'])}, "
            f"observed {format_share(last['observed'])}{interval_words(last['lower'], last['upper'])}"
        )
    _legend(axes[0], "upper left")
    caption = (
        "Share cured by each month. Line: predicted at the cut-off. Dots: observed since, with "
        f"{level_words(level)} intervals."
    )
    return ReportFigure(figure, title, f"{'; '.join(found)}.", caption)


@themed()
def plot_parameter_stability(parameters: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw what goes with cure as estimated at successive dates, each as a ratio with its interval.

    Parameters
    ----------
    parameters : DataFrame
        One row per known_at (ISO date), part and term: estimate, lower, upper, on the scale of the model.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    ReportFigure
        Its alternative text names the driver whose estimate moved most.
    """
    title = "Would earlier dates have told the same of the drivers?"
    shown = parameters[parameters["part"].isin([*_SIDES]) & (parameters["term"] != "Intercept")].copy()
    if shown.empty:
        return not_shown(title, "No model with drivers: nothing to show")
    shown[["estimate", "lower", "upper"]] = np.exp(shown[["estimate", "lower", "upper"]].astype(float))
    terms = [*dict.fromkeys(shown["term"])]
    dates = sorted(shown["known_at"].unique())
    colours = dict(zip(dates, theme.sequence_of_colours(len(dates)), strict=True))
    figure = theme.new_figure(1.6 + 0.5 * len(terms))
    axes = figure.subplots(1, len(_SIDES), squeeze=False, sharey=True, gridspec_kw={"wspace": 0.06})[0]
    for ax, (name, sides) in zip(axes, _SIDES.items(), strict=True):
        part = shown[shown["part"] == name]
        for place, date in enumerate(dates):
            rows = part[part["known_at"] == date].set_index("term").reindex(terms)
            shift = 0.3 * (1 - 2 * place / max(len(dates) - 1, 1))
            height = np.arange(len(terms))[::-1] + shift
            _dots(
                ax, rows["estimate"], rows["lower"], rows["upper"], height, colours[date], format_date(date), size=4.5
            )
        _ratio_axis(ax, part, *sides)
    axes[0].set_yticks(np.arange(len(terms))[::-1], [_term_words(term) for term in terms])
    axes[0].set_ylim(-0.6, len(terms) - 0.4)
    close = {"handletextpad": 0.2, "columnspacing": 1.2, "fontsize": theme.SMALL_TEXT_SIZE, "frameon": False}
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(dates), **close)
    caption = (
        "The same model on what was known at each date, from light, the earliest, to dark; drivers per standard "
        f"deviation of the development sample, with {level_words(level)} intervals."
    )
    return ReportFigure(figure, title, _moved_words(shown, dates), caption)


@themed()
def plot_never_cured(parameters: pd.DataFrame, *, level: float = 0.95) -> ReportFigure:
    """Draw the share that never cures as estimated at successive dates.

    Parameters
    ----------
    parameters : DataFrame
        One row per known_at (ISO date) with part ``never``: estimate, lower, upper, n_cures.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    ReportFigure
        Its alternative text gives the first and the last estimate.
    """
    title = "Would earlier dates have told the same share that never cures?"
    shown = parameters[parameters["part"] == "never"].sort_values("known_at")
    if shown.empty:
        return not_shown(title, "No model at any of the dates: nothing to show")
    figure = theme.new_figure(3.0)
    ax = figure.subplots()
    place = np.arange(len(shown))
    known = shown["lower"].notna()
    ax.vlines(
        place[known], shown.loc[known, "lower"], shown.loc[known, "upper"], color=theme.ACCENT, linewidth=2.4, alpha=0.5
    )
    ax.plot(place, shown["estimate"], "o", color=theme.ACCENT, markersize=7, label="never cured")
    for x, value in zip(place, shown["estimate"], strict=True):
        write_near(ax, format_share(value), (float(x), float(value)), offset=(9, -3))
    ax.set_xticks(place, [format_date(date) for date in shown["known_at"]])
    ax.set_xlim(-0.5, len(shown) - 0.2)
    seen = shown[["estimate", "lower", "upper"]].to_numpy(float)
    bottom, top = max(0.0, float(np.nanmin(seen)) - 0.05), min(1.0, float(np.nanmax(seen)) + 0.05)
    share_axis(ax, "Share that never cures", lower=bottom, upper=top)
    first, last = shown.iloc[0], shown.iloc[-1]
    words = [
        f"{format_share(row['estimate'])}{interval_words(row['lower'], row['upper'])} at {format_date(row['known_at'])}"
        for row in ([first, last] if len(shown) > 1 else [first])
    ]
    caption = (
        "The same model on what was known at each date, averaged over the loans known then, with "
        f"{level_words(level)} intervals."
    )
    return ReportFigure(figure, title, f"Share that never cures: {'; '.join(words)}.", caption)


def _dots(
    ax: Axes,
    values: pd.Series,
    lower: pd.Series,
    upper: pd.Series,
    height: float | np.ndarray,
    colour: object,
    label: str,
    *,
    size: float = 6.0,
) -> None:
    """Draw estimates with their intervals along x, where they are known."""
    heights = np.broadcast_to(height, len(values))
    known = (values.notna() & lower.notna() & upper.notna()).to_numpy()
    ax.hlines(heights[known], lower[known], upper[known], color=colour, linewidth=2.0, alpha=0.55)
    ax.plot(values, heights, "o", color=colour, markersize=size, label=label)


def _legend(ax: Axes, place: Literal["best", "upper left"]) -> None:
    """Name each kind of mark once."""
    handles, labels = ax.get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    ax.legend([*kept.values()], [*kept], frameon=False, loc=place, fontsize=theme.SMALL_TEXT_SIZE)


def _ratio_axis(ax: Axes, part: pd.DataFrame, heading: str, left: str, right: str) -> None:
    """Make x a log axis around 1; an interval beyond it is cut, so that one wide one does not flatten the others."""
    ax.axvline(1.0, color=theme.MUTED, linewidth=1.0, zorder=1)
    ax.set_xscale("log")
    logs = np.log(part[["lower", "upper"]].to_numpy(float))
    reach = float(np.exp(np.nanquantile(np.abs(logs), 0.9))) if np.isfinite(logs).any() else 2.0
    farthest = float(np.exp(np.nanmax(np.abs(np.log(part["estimate"].to_numpy(float))))))
    reach = 1.2 * max(reach, farthest, 1.25)
    ax.set_xlim(1 / reach, reach)
    subs = (1, 2, 5) if reach > 2.5 else (0.5, 0.7, 1, 1.4, 2)
    ax.xaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", colors=theme.INK)
    ax.set_xlabel(f"\u2190 {left}{_GAP}{right} \u2192")
    flat_label(ax, heading)


def _term_words(term: str) -> str:
    """Write ``product[T.credit_card]`` as ``credit card (product)``."""
    driver, bracket, level = term.removesuffix("]").partition("[T.")
    return f"{level.replace('_', ' ')} ({driver})" if bracket else label_of(driver)


def _discrimination_words(shown: pd.DataFrame) -> str:
    auc = shown[shown["measure"] == "auc"].set_index(["population", "period"])["value"]
    said = []
    for population, words in _PANELS.items():
        later, before = (auc.get((population, period)) for period in ("out_of_time", "development"))
        if later is not None:
            against = f", in development {format_ratio(before)}" if before is not None else ""
            said.append(f"{words}: AUC out of time {format_ratio(later)}{against}")
    return f"{'; '.join(said)}." if said else "No AUC out of time rests on enough cures."


def _moved_words(shown: pd.DataFrame, dates: list[str]) -> str:
    wide = shown.pivot_table(index=["part", "term"], columns="known_at", values="estimate")
    if len(dates) < 2:
        return f"Drivers as estimated at {format_date(dates[0])} only."
    moved = (np.log(wide[dates[-1]]) - np.log(wide[dates[0]])).abs().dropna()
    if moved.empty:
        return "No driver was estimated at both the first and the last date."
    part, term = moved.idxmax()
    before, after = (float(wide.loc[(part, term), date]) for date in (dates[0], dates[-1]))
    return (
        f"Moved most: {_term_words(term)}, {_SIDES[part][0].lower()} {format_ratio(before)} at {format_date(dates[0])} "
        f"and {format_ratio(after)} at {format_date(dates[-1])}."
    )
