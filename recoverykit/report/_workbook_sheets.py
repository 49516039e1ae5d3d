"""The sheets of the auditor's workbook: what stands in which cell, and the formulas between the cells.

Private to ``workbook``. Formulas are written with the names of cells in braces and get their addresses here.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import pandas as pd
from openpyxl.cell.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.hyperlink import Hyperlink
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from recoverykit.report.formats import is_missing
from recoverykit.vocabulary import DAYS_PER_YEAR

#: One row of a frame.
Record: TypeAlias = Mapping[Hashable, Any]
OVERVIEW, INPUTS = "Overview", "Inputs"
_DATE, _AMOUNT, _RATE, _LGD, _COUNT = "d mmm yyyy", "#,##0.00", "0.00%", "0.0000%", "#,##0"
_YEARS, _FACTOR, _TEXT = "0.0000", "0.00000000", "General"
_INK, _SHADE, _LINE = "17242F", "EEF2F5", "C9D6DF"
# Made once: a style object per cell would take most of the time of writing.
_FONT, _BOLD, _INPUT_FONT = Font(color=_INK), Font(color=_INK, bold=True), Font(color="0000FF")
_ALIGNMENTS = {
    "left": Alignment(horizontal="left"),
    "indented": Alignment(horizontal="left", indent=1),
    "right": Alignment(horizontal="right"),
}
_HEAD_ROW = 4
_TWO_LINES = 32  # points
_LEGEND = "Blue: inputs. Black: formulas."
#: Left block of an episode's sheet: key, words, formula (none: the kit's figure), number format.
_SUMMARY = (
    ("default_date", "Default date", "={default_date_of}", _DATE),
    ("outcome", "Outcome", "={outcome_of}", _TEXT),
    ("outcome_date", "Outcome date", '=IF({outcome_date_of}="","",{outcome_date_of})', _DATE),
    ("ead", "Exposure at default", "={ead_of}", _AMOUNT),
    ("base_rate", "Base rate, per year", "={base_rate_of}", _RATE),
    (
        "discount_rate",
        "Discount rate, per year",
        "=IF(ISNUMBER({discount_floor}),MAX({discount_floor},{base_rate}+{discount_add_on}),"
        "{base_rate}+{discount_add_on})",
        _RATE,
    ),
    ("cost", "Present value of costs", '=SUMIFS({values},{parts},"cost")', _AMOUNT),
    ("drawing", "Present value of drawings", '=SUMIFS({values},{parts},"drawing")', _AMOUNT),
    ("recovery", "Present value of recoveries", '=SUMIFS({values},{parts},"recovery")', _AMOUNT),
    ("cure", "Present value of the cash flow at cure", '=SUMIFS({values},{parts},"cure")', _AMOUNT),
    ("loss", "Loss", "={ead}+{cost}+{drawing}-{recovery}-{cure}", _AMOUNT),
    ("denominator", "Exposure it is divided by", '={ead}+IF({drawings}="both",{drawing},0)', _AMOUNT),
    ("lgd", "LGD", "={loss}/{denominator}", _LGD),
    (
        "floored_lgd",
        "LGD, floored",
        "=IF(ISNUMBER({realised_lgd_floor}),MAX({realised_lgd_floor},{lgd}),{lgd})",
        _LGD,
    ),
    ("ledger_loss_amount", "Loss, the kit's figure", None, _AMOUNT),
    ("ledger_lgd", "LGD, the kit's figure", None, _LGD),
    ("loss_difference", "Loss, difference to the kit's figure", "=ROUND({loss}-{ledger_loss_amount},2)", "0.00"),
    ("lgd_difference", "LGD, difference to the kit's figure", "=ROUND({lgd}-{ledger_lgd},8)", "0.000000%"),
)
#: Cash flows of an episode's sheet, from column D: key, heading, formula (none: from the lines), width, format.
_FLOWS = (
    ("cash_flow_date", "Date", None, 13, _DATE),
    ("kind", "Kind", None, 14, _TEXT),
    ("part", "Part", None, 10, _TEXT),
    ("amount", "Amount", None, 15, _AMOUNT),
    ("is_counted", "Counts", None, 8, _TEXT),
    ("is_discounted", "Discounted", None, 13, _TEXT),
    ("days", "Days since default", "={cash_flow_date}-{default_date}", 11, _COUNT),
    ("years", "Years discounted", '=IF({is_discounted}="yes",{days}/{days_in_year},0)', 11, _YEARS),
    ("factor", "Discount factor", "=(1+{discount_rate})^(-{years})", 12, _FACTOR),
    ("value", "Present value", '=IF(AND({is_counted}="yes",{part}<>"neutral"),{amount}*{factor},0)', 15, _AMOUNT),
    ("remark", "Remark", None, 58, _TEXT),
)
_FIRST_FLOW_COLUMN = 4
#: Table of the episodes on the sheet of inputs, from column A: key, heading, format.
_FACTS = (
    ("sheet", "Sheet", _TEXT),
    ("episode_id", "Episode", _TEXT),
    ("default_date", "Default date", _DATE),
    ("outcome", "Outcome", _TEXT),
    ("outcome_date", "Outcome date", _DATE),
    ("ead", "Exposure at default", _AMOUNT),
    ("base_rate", "Base rate, per year", _RATE),
)
#: Overview, from column A: heading, key of the summary (none: a fact), width, format.
_LISTED = (
    ("Sheet", None, 9, _TEXT),
    ("Episode", None, 24, _TEXT),
    ("Outcome", "outcome", 13, _TEXT),
    ("Exposure at default", "ead", 18, _AMOUNT),
    ("Loss", "loss", 18, _AMOUNT),
    ("Exposure it is divided by", "denominator", 18, _AMOUNT),
    ("LGD", "lgd", 12, _LGD),
    ("LGD, floored", "floored_lgd", 12, _LGD),
    ("LGD, the kit's figure", "ledger_lgd", 15, _LGD),
    ("Loss, difference to the kit's figure", "loss_difference", 22, "0.00"),
    ("Note", None, 58, _TEXT),
)
_RULE_FORMATS = {"reporting_date": _DATE, "discount_rate": _RATE, "discount_add_on": _RATE, "discount_floor": _RATE}


def sheet_name(place: int) -> str:
    """Return the name of the sheet of an episode by its place, from 0."""
    return f"E{place + 1:03d}"


def write_inputs(
    sheet: Worksheet, totals: pd.DataFrame, rules: pd.DataFrame, *, name: str, reporting_date: pd.Timestamp
) -> tuple[dict[str, str], int]:
    """Write rules and episodes; return the address of each rule's value and the row of the first episode."""
    _title(sheet, "Inputs", f"Policy: {name}. {_LEGEND}")
    extra = [
        ("reporting_date", reporting_date, "The date as of which everything is known"),
        ("days_in_year", DAYS_PER_YEAR, "Days of a year of discounting"),
    ]
    _headings(sheet, _HEAD_ROW, ["Rule", "Value", "Meaning"], [_TEXT, _AMOUNT, _TEXT])
    addresses = {}
    for row, (rule, value, meaning) in enumerate([*extra, *rules.itertuples(index=False)], _HEAD_ROW + 1):
        _put(_at(sheet, row, 1), rule.replace("_", " "))
        _put(
            _at(sheet, row, 2),
            "none" if value is None else _word(value),
            _RULE_FORMATS.get(rule, "General"),
            is_input=True,
        )
        _at(sheet, row, 2).alignment = _ALIGNMENTS["right"]
        _put(_at(sheet, row, 3), meaning)
        addresses[rule] = f"{INPUTS}!$B${row}"
    head = row + 3
    _headings(sheet, head, [heading for _, heading, _ in _FACTS], [style for *_, style in _FACTS])
    is_flat = isinstance(rules.set_index("rule")["value"]["discount_rate"], int | float)
    for place, total in enumerate(totals.to_dict("records")):
        facts = {**total, "sheet": sheet_name(place)}
        for column, (key, _, style) in enumerate(_FACTS, 1):
            cell = _at(sheet, head + 1 + place, column)
            if key == "base_rate" and is_flat:
                _formula(cell, f"={addresses['discount_rate']}", style)
            else:
                value = facts[key] if key == "episode_id" else _word(facts[key])
                _put(cell, value, style, is_input=key not in ("sheet", "episode_id"))
    _widths(sheet, [30, 24, 14, 14, 14, 18, 14])
    sheet.freeze_panes = _at(sheet, _HEAD_ROW + 1, 1)
    return addresses, head + 1


def write_episode(
    sheet: Worksheet,
    total: Record,
    lines: pd.DataFrame,
    *,
    rules: Mapping[str, str],
    row: int,
    currency: str,
) -> None:
    """Write one episode: the summary with its check at the left, the cash flows at the right."""
    _title(sheet, f"Episode {total['episode_id']}", f"{_note(total)}{_LEGEND}")
    first = _HEAD_ROW + 1
    last = max(first, first + len(lines) - 1)
    columns = {key: get_column_letter(_FIRST_FLOW_COLUMN + place) for place, (key, *_) in enumerate(_FLOWS)}
    facts = {f"{key}_of": f"{INPUTS}!${get_column_letter(column)}${row}" for column, (key, *_) in enumerate(_FACTS, 1)}
    ranges = {
        "values": f"${columns['value']}${first}:${columns['value']}${last}",
        "parts": f"${columns['part']}${first}:${columns['part']}${last}",
    }
    names = {**rules, **facts, **ranges, **_summary_addresses()}
    _headings(sheet, _HEAD_ROW, ["Loss given default", _money("Value", currency)], [_TEXT, _AMOUNT])
    for place, (key, words, formula, style) in enumerate(_SUMMARY, first):
        _put(_at(sheet, place, 1), words)
        if formula is None:
            _put(_at(sheet, place, 2), float(total[key]), style, is_input=True)
        else:
            _formula(_at(sheet, place, 2), formula.format(**names), style)
        _at(sheet, place, 2).alignment = _ALIGNMENTS["right"]
    headings = [_money(words, currency) if style == _AMOUNT else words for _, words, _, _, style in _FLOWS]
    _headings(sheet, _HEAD_ROW, headings, [style for *_, style in _FLOWS], first_column=_FIRST_FLOW_COLUMN)
    for place, line in enumerate(lines.to_dict("records"), first):
        cells = {key: f"${letter}{place}" for key, letter in columns.items()}
        for column, (key, _, formula, _, style) in enumerate(_FLOWS, _FIRST_FLOW_COLUMN):
            if formula is None:
                _put(_at(sheet, place, column), _word(line[key]), style, is_input=key != "remark")
            else:
                _formula(_at(sheet, place, column), formula.format(**{**names, **cells}), style)
    _widths(sheet, [38, 18, 3, *(width for _, _, _, width, _ in _FLOWS)])
    sheet.freeze_panes = _at(sheet, first, 1)


def write_overview(sheet: Worksheet, totals: pd.DataFrame, *, name: str, words: str, currency: str) -> None:
    """Write one row per episode with its result and its difference to the kit's figure, and the check of all."""
    _title(sheet, "Realised loss given default, episode by episode", f"{words}. Policy: {name}.")
    first, last = _HEAD_ROW + 3, _HEAD_ROW + 2 + len(totals)
    letter = get_column_letter([key for _, key, _, _ in _LISTED].index("loss_difference") + 1)
    differences = f"${letter}${first}:${letter}${last}"
    _put(_at(sheet, _HEAD_ROW, 1), "Largest difference to the kit's figures, in money")
    _formula(_at(sheet, _HEAD_ROW, 4), f"=MAX(MAX({differences}),-MIN({differences}))", "0.00")
    _at(sheet, _HEAD_ROW, 4).font = _BOLD
    money = ("Exposure at default", "Loss", "Exposure it is divided by")
    headings = [_money(heading, currency) if heading in money else heading for heading, *_ in _LISTED]
    _headings(sheet, first - 1, headings, [style for *_, style in _LISTED])
    addresses = _summary_addresses()
    for place, total in enumerate(totals.to_dict("records")):
        facts = {"Sheet": sheet_name(place), "Episode": total["episode_id"], "Note": _note(total).strip()}
        for column, (heading, key, _, style) in enumerate(_LISTED, 1):
            cell = _at(sheet, first + place, column)
            if key is None:
                _put(cell, facts[heading], style)
            else:
                _formula(cell, f"={sheet_name(place)}!{addresses[key]}", style)
        link = _at(sheet, first + place, 1)
        link.hyperlink = Hyperlink(ref=link.coordinate, location=f"{sheet_name(place)}!A1")
        link.font = Font(color=_INK, underline="single")
    _widths(sheet, [width for _, _, width, _ in _LISTED])
    sheet.freeze_panes = _at(sheet, first, 3)


def _summary_addresses() -> dict[str, str]:
    return {key: f"$B${row}" for row, (key, *_) in enumerate(_SUMMARY, _HEAD_ROW + 1)}


def _note(total: Record) -> str:
    """Say where an LGD is one to date, and not realised."""
    if total["is_late_entry"]:
        return "In default before observation began: earlier cash flows are not known. "
    return "" if total["is_closed"] else "Still open: what may yet come is not in it. "


def _at(sheet: Worksheet, row: int, column: int) -> Cell:
    """Return a cell; no cells are merged here."""
    return cast(Cell, sheet.cell(row, column))


def _word(value: Any) -> Any:
    """Return a value as it stands in a cell: yes or no, words without underscores, a date, a number or nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.replace("_", " ")
    if is_missing(value):
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def _put(cell: Cell, value: Any, style: str = _TEXT, *, is_input: bool = False) -> None:
    """Write a value; text that begins like a formula stays text."""
    cell.value = value
    if isinstance(value, str):
        cell.data_type = "s"
    cell.number_format = style
    cell.font = _INPUT_FONT if is_input else _FONT
    cell.alignment = _ALIGNMENTS[_side(cell.column, style)]


def _formula(cell: Cell, formula: str, style: str) -> None:
    cell.value = formula
    cell.number_format = style
    cell.font = _FONT
    cell.alignment = _ALIGNMENTS[_side(cell.column, style)]


def _title(sheet: Worksheet, title: str, words: str) -> None:
    _put(_at(sheet, 1, 1), title)
    _at(sheet, 1, 1).font = Font(bold=True, size=14, color=_INK)
    _put(_at(sheet, 2, 1), words)
    sheet.sheet_view.showGridLines = False
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)


def _headings(
    sheet: Worksheet, row: int, words: Sequence[str], styles: Sequence[str] = (), *, first_column: int = 1
) -> None:
    """Write a row of headings; those of numbers stand at the right, as their numbers do."""
    for column, heading in enumerate(words, first_column):
        cell = _at(sheet, row, column)
        style = styles[column - first_column] if styles else _TEXT
        _put(cell, heading)
        cell.font = _BOLD
        cell.fill = PatternFill("solid", start_color=_SHADE)
        cell.border = Border(bottom=Side(style="thin", color=_LINE))
        cell.alignment = _ALIGNMENTS[_side(column, style)] + Alignment(wrap_text=True, vertical="top")
    sheet.row_dimensions[row].height = _TWO_LINES


def _side(column: int, style: str) -> str:
    """Return how a cell is aligned: numbers and dates at the right, words a little off the column before them."""
    return "right" if style != _TEXT else "indented" if column > 1 else "left"


def _money(words: str, currency: str) -> str:
    return f"{words}, {currency}" if currency else words


def _widths(sheet: Worksheet, widths: Sequence[float]) -> None:
    for column, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(column)].width = width
