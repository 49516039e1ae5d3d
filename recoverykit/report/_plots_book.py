"""Figures of the book as it stands: what defaulted when, what is provided for, and how well it is covered."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from recoverykit.report import theme
from recoverykit.report._axes import COUNT, PERCENT, flat_label, money_tick, share_axis, write_near
from recoverykit.report._plots_survival import not_shown
from recoverykit.report.figures import ReportFigure
from recoverykit.report.formats import format_count, format_money, format_share, number_of
from recoverykit.report.labels import outcome_words, segment_words
from recoverykit.report.theme import themed
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

_MOST_SEGMENTS = 24
_MOST_TICKS = 10
#: Columns that count the facilities of a row, the first that is there.
_COUNTS = ("n_facilities", "n_open")


@themed()
def plot_episodes_by_vintage(frame: pd.DataFrame) -> ReportFigure:
    """Draw how many episodes began in each quarter and how they stand today.

    Parameters
    ----------
    frame : DataFrame
        One row per vintage and outcome: ``default_vintage``, ``outcome`` (``open`` included), ``n_episodes``.

    Returns
    -------
    ReportFigure
        Its alternative text gives the number of episodes and the share still open.
    """
    title = "Default episodes by quarter, and how they stand today"
    total = float(frame["n_episodes"].sum())
    if total < MINIMUM_CELL_COUNT:
        return not_shown(title)
    order = [outcome for outcome in Outcome if (frame["n_episodes"][frame["outcome"] == outcome] > 0).any()]
    figure = theme.new_figure(4.0)
    ax = figure.subplots()
    _draw_stacked_counts(ax, frame.sort_values("default_vintage"), order)
    n_open = float(frame.loc[frame["outcome"] == Outcome.OPEN, "n_episodes"].sum())
    vintages = sorted(frame["default_vintage"].astype(str).unique())
    alt = (
        f"{format_count(total)} default episodes from {vintages[0]} to {vintages[-1]}; "
        f"{format_share(n_open / total)} of them are still open."
    )
    return ReportFigure(figure, title, alt, "Later quarters had less time to resolve, so more of them are still open.")


@themed()
def plot_allowance_by_segment(frame: pd.DataFrame, *, currency: str = "") -> ReportFigure:
    """Draw the gross carrying amount of each segment with its allowance in it, and the coverage beside.

    Parameters
    ----------
    frame : DataFrame
        One row per segment: ``segment``, ``gross_carrying_amount`` and ``allowance`` (currency), ``coverage_ratio``
        (share). The largest are drawn, the others summed into one row; with a column ``n_facilities`` or ``n_open``,
        segments of too few facilities are among the others, which are not drawn where they are too few together.
    currency : str
        Code of the currency, for the axis.

    Returns
    -------
    ReportFigure
        Its alternative text gives the whole allowance and its coverage.
    """
    title = "Allowance and coverage by segment"
    rows = _largest(frame)
    if rows.empty:
        return not_shown(title)
    figure = theme.new_figure(1.3 + 0.29 * len(rows))
    bars, dots = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1.3], gridspec_kw={"wspace": 0.04})
    _draw_amounts(bars, rows, currency)
    _draw_coverage_dots(dots, rows)
    allowance, gross = float(frame["allowance"].sum()), float(frame["gross_carrying_amount"].sum())
    largest = rows.sort_values("allowance").to_dict("records")[-1]
    alt = (
        f"Allowance of {format_money(allowance, currency)} against a gross carrying amount of "
        f"{format_money(gross, currency)}, a coverage of {format_share(allowance / gross if gross else np.nan)}; "
        f"the largest part lies in {segment_words(largest['segment'])}: {format_money(largest['allowance'], currency)}."
    )
    caption = "Dark: allowance. Light: the rest of the gross carrying amount."
    if not _enough_facilities(frame).all():
        caption += f" Segments of fewer than {MINIMUM_CELL_COUNT} facilities are not shown by themselves."
    return ReportFigure(figure, title, alt, caption)


@themed()
def plot_coverage_by_age(frame: pd.DataFrame, *, band_col: str = "age_band", currency: str = "") -> ReportFigure:
    """Draw the coverage by time in default, with the amount behind each bar.

    Parameters
    ----------
    frame : DataFrame
        One row per band in order: the band (text, such as ``0 to 5``), ``gross_carrying_amount`` and ``allowance``
        (currency), ``coverage_ratio`` (share). With a column ``n_facilities`` or ``n_open``, bands of too few are
        not drawn.
    band_col : str
        Column of the band.
    currency : str
        Code of the currency.

    Returns
    -------
    ReportFigure
        Its alternative text compares the youngest band with the oldest.
    """
    title = "Coverage by months in default"
    frame = frame.astype({band_col: str})[_enough_facilities(frame)]
    if frame.empty:
        return not_shown(title)
    figure = theme.new_figure(3.7)
    ax = figure.subplots()
    bands = frame[band_col].to_numpy()
    sns.barplot(x=bands, y=frame["coverage_ratio"].to_numpy(float), color=theme.ACCENT, width=0.68, saturation=1, ax=ax)
    top = float(np.nanmax([*frame["coverage_ratio"], 0.1]))
    share_axis(ax, "Coverage: allowance / gross carrying amount", upper=1.18 * top)
    ax.set_xlabel("Months in default")
    ax.xaxis.labelpad = 20
    for place, (_, row) in enumerate(frame.iterrows()):
        coverage, gross = row["coverage_ratio"], format_money(row["gross_carrying_amount"], currency)
        if not np.isnan(coverage):
            write_near(ax, format_share(coverage), (place, coverage), offset=(0, 4), ha="center")
        small = {"fontsize": theme.SMALL_TEXT_SIZE, "color": theme.MUTED}
        write_near(ax, gross, (place, 0), on="below", offset=(0, -29), ha="center", **small)
    first, last = frame.iloc[0], frame.iloc[-1]
    alt = f"Coverage is {format_share(first['coverage_ratio'])} for loans {first[band_col]} months in default"
    if len(frame) > 1:
        alt += f" and {format_share(last['coverage_ratio'])} for those {last[band_col]} months"
    caption = "Beneath each band: the gross carrying amount of its loans."
    return ReportFigure(figure, title, f"{alt}.", caption)


def _draw_stacked_counts(ax: Axes, frame: pd.DataFrame, order: list[Outcome]) -> Axes:
    """Stack the counts of each outcome by vintage, the first outcome at the bottom."""
    palette = {outcome.value: theme.OUTCOME_COLOURS[outcome] for outcome in order}
    drawn = frame.assign(default_vintage=frame["default_vintage"].astype(str), outcome=frame["outcome"].astype(str))
    sns.histplot(
        drawn, x="default_vintage", weights="n_episodes", hue="outcome", hue_order=[*palette][::-1], palette=palette,
        multiple="stack", discrete=True, shrink=0.82, alpha=1.0, edgecolor="white", linewidth=0.4, legend=False, ax=ax,
    )  # fmt: skip
    vintages = sorted(drawn["default_vintage"].unique())
    step = int(np.ceil(len(vintages) / _MOST_TICKS))
    ax.set_xticks(range(0, len(vintages), step), [vintages[place] for place in range(0, len(vintages), step)])
    ax.set_xlabel("Quarter of default")
    ax.yaxis.set_major_formatter(COUNT)
    flat_label(ax, "Number of episodes")
    keys = [Patch(color=theme.OUTCOME_COLOURS[outcome], label=outcome_words(outcome)) for outcome in order]
    ax.legend(
        handles=keys, loc="lower right", bbox_to_anchor=(1, 1.0), ncols=len(keys), frameon=False, borderaxespad=0.2,
        handlelength=0.9, handleheight=0.9, handletextpad=0.4, columnspacing=1.0, fontsize=theme.SMALL_TEXT_SIZE,
    )  # fmt: skip
    return ax


def _largest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the largest segments, smallest first, with the others as one row at the bottom where they are enough."""
    ordered = frame.sort_values(["gross_carrying_amount", "segment"], ascending=[False, True])
    kept = ordered[_enough_facilities(ordered)].iloc[:_MOST_SEGMENTS]
    others = ordered.drop(kept.index)
    if len(others) and _enough_facilities(others.sum(numeric_only=True).to_frame().T).all():
        gross, allowance = others["gross_carrying_amount"].sum(), others["allowance"].sum()
        row = {
            "segment": number_of(len(others), "smaller segment", "smaller segments"),
            "gross_carrying_amount": gross,
            "allowance": allowance,
            "coverage_ratio": allowance / gross if gross else np.nan,
        }
        kept = pd.concat([kept, pd.DataFrame([row])], ignore_index=True)
    return kept.iloc[::-1].reset_index(drop=True)


def _enough_facilities(frame: pd.DataFrame) -> pd.Series:
    """Tell which rows hold enough facilities to be shown; all of them where nothing is counted."""
    counted = next((name for name in _COUNTS if name in frame), None)
    return pd.Series(True, index=frame.index) if counted is None else frame[counted] >= MINIMUM_CELL_COUNT


def _draw_amounts(ax: Axes, rows: pd.DataFrame, currency: str) -> Axes:
    """Draw the allowance as a part of the gross carrying amount, one bar per segment."""
    height = np.arange(len(rows))
    ax.barh(height, rows["gross_carrying_amount"], color=theme.BACKGROUND_BAR, height=0.66, label="gross")
    ax.barh(height, rows["allowance"], color=theme.ACCENT, height=0.66, label="allowance")
    ax.set_yticks(height, [segment_words(name) for name in rows["segment"]])
    ax.tick_params(axis="y", colors=theme.INK)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: money_tick(value)))
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel(f"Gross carrying amount{f', {currency}' if currency else ''}")
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    return ax


def _draw_coverage_dots(ax: Axes, rows: pd.DataFrame) -> Axes:
    """Draw the coverage of each segment as a dot with its number."""
    coverage = rows["coverage_ratio"].to_numpy(float)
    height = np.arange(len(rows))
    ax.hlines(height, 0, coverage, color=theme.GRID, linewidth=1.2)
    sns.scatterplot(x=coverage, y=height, color=theme.ACCENT, s=44, legend=False, ax=ax, zorder=3)
    for level, value in zip(height, coverage, strict=True):
        if not np.isnan(value):
            words = format_share(value, digits=0)
            write_near(ax, words, (value, float(level)), offset=(7, 0), va="center", fontsize=theme.SMALL_TEXT_SIZE)
    ax.set_xlim(0, 1.25 * float(np.nanmax([*coverage, 0.1])))
    ax.xaxis.set_major_formatter(PERCENT)
    ax.locator_params(axis="x", nbins=3)
    ax.set_xlabel("Coverage")
    ax.tick_params(axis="y", left=False, labelleft=False)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    return ax
