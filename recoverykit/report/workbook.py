"""The auditor's Excel workbook: the LGD of single episodes, recomputed by the workbook's own formulas.

Rules, exposures and cash flows stand in it as inputs; discount factors, present values, sums and the LGD are formulas,
and a check cell compares the result with the kit's. Whoever changes an input sees what it does. The same worksheet
gives the same bytes. This module computes no LGD: it writes down how one is computed.
"""

import io
import os
import zipfile
from pathlib import Path
from typing import Protocol

import pandas as pd
from openpyxl import Workbook
from openpyxl.writer.excel import ExcelWriter

from recoverykit.report._workbook_sheets import (
    INPUTS,
    OVERVIEW,
    sheet_name,
    write_episode,
    write_inputs,
    write_overview,
)
from recoverykit.report.formats import format_count, format_date

__all__ = ["MAXIMUM_EPISODES", "EpisodeSheets", "write_workbook"]

#: One sheet per episode: more than this is no reading for an auditor, and a sample should be drawn.
MAXIMUM_EPISODES = 200
_EARLIEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


class EpisodeSheets(Protocol):
    """What the workbook is written from: an ``EpisodeWorksheet``, as ``episode_worksheet`` returns it."""

    @property
    def totals(self) -> pd.DataFrame:
        """One row per episode."""

    @property
    def lines(self) -> pd.DataFrame:
        """One row per cash flow."""

    @property
    def rules(self) -> pd.DataFrame:
        """The policy: rule, value, meaning."""

    @property
    def policy_name(self) -> str:
        """Name of the policy."""

    @property
    def reporting_date(self) -> pd.Timestamp:
        """The date as of which everything is known."""


def write_workbook(worksheet: EpisodeSheets, path: str | Path, *, currency: str = "") -> Path:
    """Write the Excel workbook from which an auditor recomputes the LGD of single episodes.

    It holds an overview with the differences to the kit's figures, the inputs (rules and episodes), and one sheet per
    episode with its cash flows. Present value = amount x (1 + rate)^-(days / 365); LGD = (EAD + costs + drawings -
    recoveries - cash flow at cure) / exposure, everything in present values (EBA/GL/2017/16).

    Parameters
    ----------
    worksheet : EpisodeWorksheet
        Totals, lines and rules of at most 200 episodes.
    path : path
        Where to, ending in ``.xlsx``; a file there is replaced.
    currency : str
        Code of the currency, for the headings.

    Returns
    -------
    Path
        The file. It holds formulas and no results: what opens it computes them.

    Raises
    ------
    ValueError
        When there are more than 200 episodes, or the path does not end in ``.xlsx``.

    Examples
    --------
    >>> write_workbook(None, "worksheet.csv")
    Traceback (most recent call last):
    ValueError: the workbook is to be 'worksheet.csv'; give a path that ends in .xlsx
    """
    path = Path(path)
    totals = _checked(worksheet, path)
    date = worksheet.reporting_date
    book = Workbook()
    book.remove(book.worksheets[0])
    overview = book.create_sheet(OVERVIEW)
    words = f"As of {format_date(date)}"
    write_overview(overview, totals, name=worksheet.policy_name, words=words, currency=currency)
    rules, first_row = write_inputs(
        book.create_sheet(INPUTS), totals, worksheet.rules, name=worksheet.policy_name, reporting_date=date
    )
    lines = dict(list(worksheet.lines.groupby("episode_id", sort=False)))
    none = worksheet.lines.iloc[:0]
    for place, total in enumerate(totals.to_dict("records")):
        flows = lines.get(total["episode_id"], none)
        sheet = book.create_sheet(sheet_name(place))
        write_episode(sheet, total, flows, rules=rules, row=first_row + place, currency=currency)
    _save(book, path, date)
    return path


def _checked(worksheet: EpisodeSheets, path: Path) -> pd.DataFrame:
    if path.suffix != ".xlsx":
        raise ValueError(f"the workbook is to be {str(path)!r}; give a path that ends in .xlsx")
    n_episodes = len(worksheet.totals)
    if n_episodes > MAXIMUM_EPISODES:
        raise ValueError(
            f"{format_count(n_episodes)} episodes are asked for; a workbook holds {MAXIMUM_EPISODES} at most, "
            "one sheet each: draw a sample"
        )
    return worksheet.totals


def _save(book: Workbook, path: Path, date: pd.Timestamp) -> None:
    """Write the workbook without the time of day in it, aside first, so that no half a file is left behind."""
    book.properties.creator = "recoverykit"
    book.properties.title = "Realised loss given default, episode by episode"
    book.properties.created = book.properties.modified = date.to_pydatetime()
    book.calculation.fullCalcOnLoad = True
    raw = io.BytesIO()
    # Not `Workbook.save`, which stamps the time of saving.
    ExcelWriter(book, zipfile.ZipFile(raw, "w")).save()
    aside = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(raw) as written, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in written.namelist():
                entry = zipfile.ZipInfo(name, _EARLIEST_ZIP_DATE)
                archive.writestr(entry, written.read(name), zipfile.ZIP_DEFLATED)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
