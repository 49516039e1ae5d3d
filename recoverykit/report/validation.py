"""Tables of a validation in words: samples, discrimination, calibration, drift, and the traffic lights."""

import re
from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from recoverykit.report._sentences_validation import check_words
from recoverykit.report.blocks import HtmlBlock
from recoverykit.report.formats import capital, format_ratio, is_missing
from recoverykit.report.labels import label_of
from recoverykit.report.tables import WITHHELD, show_table
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

POPULATION_WORDS = {"new_defaults": "New defaults", "open_loans": "Loans already open"}
PERIOD_WORDS = {"development": "development", "out_of_time": "out of time"}
#: A light is told by its word and a mark; the colour only helps.
_MARKS = {"green": "✓", "amber": "!", "red": "✗", "not judged": "–"}
_LIGHT_STYLE = (
    "<style>.rk-light{display:inline-block;border-radius:1em;padding:.05em .7em;white-space:nowrap}"
    ".rk-light-green{background:#e6f3ec;color:#17603f}.rk-light-amber{background:#fdf1df;color:#7d4500}"
    ".rk-light-red{background:#fbeaea;color:#982020}.rk-light-not{background:#eceff2;color:#52616f}</style>"
)


def show_discrimination(table: pd.DataFrame, *, level: float | None = None) -> HtmlBlock:
    """Show how well the model ranks loans, development beside out of time.

    Parameters
    ----------
    table : DataFrame
        One row per population, period and measure: value, lower, upper, months, n_episodes, n_cures.
    level : float, optional
        Confidence level of the intervals.
    """
    shown = _worded(table).assign(measure=[label_of(name) for name in table["measure"]])
    columns = ["population", "period", "measure", "months", "n_episodes", "n_cures", "value", "lower", "upper"]
    block = show_table(
        shown[columns],
        caption="Discrimination: 0.5 says nothing, 1 ranks every pair rightly",
        count_col="n_cures",
        formats={"months": "text", "value": "ratio"},
        level=level,
    )
    return _right_aligned(block, ["Months"])


def show_calibration(table: pd.DataFrame, *, level: float | None = None) -> HtmlBlock:
    """Show predicted and observed shares of cured loans by month, development beside out of time.

    Parameters
    ----------
    table : DataFrame
        One row per population, period and month: n_episodes, n_cures, expected_cures, predicted, observed, lower,
        upper, z.
    level : float, optional
        Confidence level of the intervals.
    """
    columns = [
        "population",
        "period",
        "months",
        "n_episodes",
        "n_cures",
        "predicted",
        "observed",
        "lower",
        "upper",
        "z",
    ]
    block = show_table(
        _worded(table)[columns],
        caption="Calibration: share cured by a month, predicted and observed",
        count_col="n_cures",
        formats={"months": "text", "predicted": "share", "observed": "share"},
        labels={"n_cures": "Cures seen"},
        level=level,
    )
    return _right_aligned(block, ["Months"])


def show_accuracy(table: pd.DataFrame) -> HtmlBlock:
    """Show the Brier scores of the model and of the one without drivers.

    Parameters
    ----------
    table : DataFrame
        One row per population, period and measure: value, reference, prediction_accuracy_index, n_cures.
    """
    shown = _worded(table).assign(measure=[label_of(name) for name in table["measure"]])
    few = table["n_cures"].between(1, MINIMUM_CELL_COUNT - 1).to_numpy()
    for column in ("value", "reference"):
        shown[column] = np.where(few, WITHHELD, [_digits(value) for value in table[column]])
    columns = [
        "population",
        "period",
        "measure",
        "months",
        "n_cures",
        "value",
        "reference",
        "prediction_accuracy_index",
    ]
    block = show_table(
        shown[columns],
        caption="Accuracy: squared distance of predictions from what happened, with and without drivers",
        count_col="n_cures",
        formats={"months": "text", "prediction_accuracy_index": "share"},
        labels={"value": "Model", "reference": "Without drivers"},
    )
    return _right_aligned(block, ["Months", "Model", "Without drivers"])


def show_drift(table: pd.DataFrame) -> HtmlBlock:
    """Show how far drivers and predictions of new defaults have moved from the development sample.

    Parameters
    ----------
    table : DataFrame
        One row per item: role (``driver``, ``calendar``, ``prediction``), population_stability_index, by_chance,
        outside_share.
    """
    roles = {
        "driver": "driver of the loan",
        "calendar": "driver of the calendar, not judged",
        "prediction": "predicted probability",
    }
    columns = ["item", "role", "population_stability_index", "by_chance", "outside_share"]
    shown = table.reindex(columns=columns).assign(
        item=[label_of(str(name)) for name in table["item"]], role=[roles[name] for name in table["role"]]
    )
    return show_table(shown, caption="Population stability of new defaults against the development sample")


def show_lights(lights: pd.DataFrame) -> HtmlBlock:
    """Show every check with its value, its limits and its light.

    Parameters
    ----------
    lights : DataFrame
        One row per check: check, population, limit, value, amber, red, light, source.
    """
    shown = pd.DataFrame(
        {
            "check": [capital(check_words(*row)) for row in lights[["check", "population"]].to_numpy()],
            "measure": [label_of(name) for name in lights["limit"]],
            "value": [_digits(value) for value in lights["value"]],
            "amber": [_limit(value) for value in lights["amber"]],
            "red": [_limit(value) for value in lights["red"]],
            "light": [f"{_MARKS[light]} {light}" for light in lights["light"]],
        }
    )
    block = show_table(shown, caption="Checks against limits set beforehand", labels={"light": "Light"})
    block = _right_aligned(block, ["Value", "Amber", "Red"])
    html = block.html
    for light, mark in _MARKS.items():
        cell = escape(f"{mark} {light}")
        html = html.replace(
            f"<td>{cell}</td>", f'<td><span class="rk-light rk-light-{light.split()[0]}">{cell}</span></td>'
        )
    return HtmlBlock(_LIGHT_STYLE + html, block.text)


def show_limit_sources(lights: pd.DataFrame) -> HtmlBlock:
    """Show where each limit comes from."""
    limits = lights.drop_duplicates("limit")
    shown = pd.DataFrame({"limit": [label_of(name) for name in limits["limit"]], "source": limits["source"]})
    return show_table(shown.reset_index(drop=True), caption="Where the limits come from")


def _worded(table: pd.DataFrame) -> pd.DataFrame:
    return table.reset_index(drop=True).assign(
        population=[POPULATION_WORDS[name] for name in table["population"]],
        period=[PERIOD_WORDS[name] for name in table["period"]],
        months=[
            f"{months:.0f}" for months in table["months"]
        ],  # as text, because it is told where numbers are withheld
    )


def _digits(value: float) -> str:
    """Write a number with three digits, since limits of hundredths are told apart by thousandths."""
    return format_ratio(value) if is_missing(value) else f"{value:.3f}".replace("-", "\u2212")


def _limit(value: float) -> str:
    """Write a limit with two digits, or with as many as it was given."""
    return f"{value:.2f}" if round(value, 2) == value else f"{value:g}"


def _right_aligned(block: HtmlBlock, headings: Sequence[str]) -> HtmlBlock:
    """Align numbers that are written as text, and their headings, as the other numbers of the page."""
    html = re.sub(r"<td>(\u2212?[\d.]+|n/a)</td>", r'<td class="rk-number">\1</td>', block.html)
    for heading in headings:
        html = html.replace(f'<th scope="col">{heading}</th>', f'<th scope="col" class="rk-number">{heading}</th>')
    return HtmlBlock(html, block.text)
