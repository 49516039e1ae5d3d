"""One way to write a number and a date, shared by figures, tables and sentences.

A share reads the same on an axis, in a cell and in a sentence, because all three come here. Units stand after a narrow
no-break space, so that a number is never torn from its unit at the end of a line. What is missing reads ``n/a``.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd

from recoverykit.vocabulary import MINIMUM_CELL_COUNT

Kind = Literal["share", "money", "cents", "count", "months", "ratio", "p_value", "date", "text"]

#: Narrow no-break space between a number and its unit.
THIN_SPACE = "\u202f"
#: No-break space between a number and a word.
WORD_SPACE = "\u00a0"
NOT_AVAILABLE = "n/a"
#: What stands in place of a count below the smallest cell that a page may show.
SUPPRESSED = f"<{MINIMUM_CELL_COUNT}"
_MINUS = "\u2212"
_SMALLEST_P = 0.001

#: Spelled out here, because ``strftime`` would follow the language of the machine.
_MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def format_share(value: float | None, *, digits: int = 1) -> str:
    """Write a share as a percentage.

    Parameters
    ----------
    value : float or None
        A share, decimal: 0.592 is 59.2 %. It may lie outside [0, 1], as a recovery rate does.
    digits : int
        Digits after the point.

    Returns
    -------
    str
        The percentage; ``n/a`` for what is missing.

    Examples
    --------
    >>> format_share(0.592).replace(THIN_SPACE, " ")
    '59.2 %'
    """
    return NOT_AVAILABLE if is_missing(value) else f"{_number(100 * float(value or 0), digits)}{THIN_SPACE}%"


def format_money(value: float | None, currency: str = "", *, style: Literal["short", "full", "cents"] = "short") -> str:
    """Write an amount of money with its currency.

    Parameters
    ----------
    value : float or None
        The amount, in whole units of the currency.
    currency : str
        Its code, such as ``USD``; empty where the column or axis names it.
    style : {"short", "full", "cents"}
        Millions and billions with three significant digits and smaller amounts in whole units (``short``), whole units,
        or to the cent.

    Returns
    -------
    str
        The amount; ``n/a`` for what is missing.

    Examples
    --------
    >>> format_money(1234567.8, "USD").replace(THIN_SPACE, " ").replace(WORD_SPACE, " ")
    'USD 1.23 m'
    >>> format_money(1234567.8, "USD", style="cents").replace(WORD_SPACE, " ")
    'USD 1,234,567.80'
    """
    if is_missing(value):
        return NOT_AVAILABLE
    amount = float(value or 0)
    text = _short(amount) if style == "short" else _number(amount, 2 if style == "cents" else 0)
    return f"{currency}{WORD_SPACE}{text}" if currency else text


def format_points(change: float | None, *, signed: bool = False) -> str:
    """Write a difference of two shares in percentage points, nought without a sign.

    Parameters
    ----------
    change : float or None
        Difference of shares, decimal: 0.054 is 5.4 points.
    signed : bool
        Whether a difference above 0 carries a plus.

    Examples
    --------
    >>> format_points(0.054), format_points(0.054, signed=True), format_points(-0.0001)
    ('5.4', '+5.4', '0.0')
    """
    if is_missing(change):
        return NOT_AVAILABLE
    text = _number(100 * float(change or 0), 1)
    return f"+{text}" if signed and not text.startswith(_MINUS) and text != "0.0" else text


def format_count(value: float | None) -> str:
    """Write a number of things: ``1,525``.

    Examples
    --------
    >>> format_count(1525)
    '1,525'
    """
    return NOT_AVAILABLE if is_missing(value) else _number(float(value or 0), 0)


def format_cell(value: float | None, *, words: bool = False) -> str:
    """Write a number of episodes as a page may show it: one from 1 to 9 is withheld.

    Parameters
    ----------
    value : float or None
        Number of episodes or facilities.
    words : bool
        Whether it stands in a sentence.

    Examples
    --------
    >>> format_cell(7), format_cell(7, words=True), format_cell(0), format_cell(1525)
    ('<10', 'fewer than 10', '0', '1,525')
    """
    small = not is_missing(value) and 0 < float(value or 0) < MINIMUM_CELL_COUNT
    return format_count(value) if not small else f"fewer than {MINIMUM_CELL_COUNT}" if words else SUPPRESSED


def format_months(value: float | None) -> str:
    """Write a length of time in months: ``1 month``, ``7 months``, ``6.5 months``.

    Examples
    --------
    >>> format_months(7.0).replace(WORD_SPACE, " ")
    '7 months'
    """
    if is_missing(value):
        return NOT_AVAILABLE
    number = float(value or 0)
    text = _number(number, 0 if number == round(number) else 1)
    return f"{text}{WORD_SPACE}month{'' if number == 1 else 's'}"


def format_ratio(value: float | None) -> str:
    """Write a ratio with two digits: ``1.23``.

    Examples
    --------
    >>> format_ratio(1.234)
    '1.23'
    """
    return NOT_AVAILABLE if is_missing(value) else _number(float(value or 0), 2)


def format_p_value(value: float | None) -> str:
    """Write a p-value with three digits; one that they would write as nought is below the smallest that they can.

    Examples
    --------
    >>> format_p_value(0.0341), format_p_value(1e-9)
    ('0.034', 'below 0.001')
    """
    if is_missing(value):
        return NOT_AVAILABLE
    return f"below {_SMALLEST_P:g}" if float(value or 0) < _SMALLEST_P else _number(float(value or 0), 3)


def format_date(value: Any) -> str:
    """Write a date in words: ``30 September 2026``.

    Examples
    --------
    >>> format_date("2026-09-30").replace(WORD_SPACE, " ")
    '30 September 2026'
    """
    if is_missing(value):
        return NOT_AVAILABLE
    date = pd.Timestamp(value)
    return f"{date.day}{WORD_SPACE}{_MONTH_NAMES[date.month - 1]}{WORD_SPACE}{date.year}"


def format_value(value: Any, kind: Kind) -> str:
    """Write one value of a table by its kind; months stand bare, because the heading names the unit.

    Parameters
    ----------
    value : object
        What stands in the cell.
    kind : {"share", "money", "cents", "count", "months", "ratio", "p_value", "date", "text"}
        How to write it. ``money`` is in whole units, ``cents`` to the cent.

    Returns
    -------
    str
        The text of the cell; ``n/a`` for what is missing.
    """
    return NOT_AVAILABLE if is_missing(value) else _WRITERS[kind](value)


def number_of(number: float, one: str, many: str | None = None) -> str:
    """Write a number of things with the word for one or many of them.

    Examples
    --------
    >>> number_of(1, "row", "rows"), number_of(1525, "row", "rows")
    ('1 row', '1,525 rows')
    """
    return f"{format_count(number)} {one if number == 1 or many is None else many}"


def interval_words(lower: float | None, upper: float | None) -> str:
    """Write an interval of shares in brackets after its estimate, or nothing where there is none."""
    return "" if is_missing(lower) or is_missing(upper) else f" ({format_share(lower)} to {format_share(upper)})"


def level_words(level: float) -> str:
    """Write a confidence level: ``95 %``.

    Examples
    --------
    >>> level_words(0.95).replace(THIN_SPACE, " ")
    '95 %'
    """
    return f"{100 * level:g}{THIN_SPACE}%"


def capital(words: str) -> str:
    """Write words as they begin a sentence; the other letters stay as they are.

    Examples
    --------
    >>> capital("LGD by EAD"), capital("fewer than 10")
    ('LGD by EAD', 'Fewer than 10')
    """
    return words[:1].upper() + words[1:]


def within(words: str) -> str:
    """Write words as they stand within a sentence: the first letter small, unless it begins an abbreviation.

    Examples
    --------
    >>> within("Margin of conservatism A"), within("EAD at risk")
    ('margin of conservatism A', 'EAD at risk')
    """
    return words if words[:2].isupper() else words[:1].lower() + words[1:]


def listed(parts: list[str]) -> str:
    """Join parts as in a sentence.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def is_missing(value: Any) -> bool:
    """Tell whether a value is none, not a number, not a time or infinite."""
    return bool(value is None or pd.isna(value) or (isinstance(value, float | np.floating) and math.isinf(value)))


def _number(value: float, digits: int) -> str:
    text = f"{abs(value):,.{digits}f}"
    return _MINUS + text if value < 0 and float(text.replace(",", "")) != 0 else text


def _short(amount: float) -> str:
    """Write an amount with three significant digits and its power of a thousand."""
    for size, letter in ((1e9, "bn"), (1e6, "m")):
        scaled = abs(amount) / size
        if float(f"{scaled:.3g}") >= 1:
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{_number(amount / size, digits)}{THIN_SPACE}{letter}"
    return _number(amount, 0)


_WRITERS: dict[Kind, Callable[[Any], str]] = {
    "share": format_share,
    "money": lambda value: format_money(value, style="full"),
    "cents": lambda value: format_money(value, style="cents"),
    "count": format_count,
    "months": lambda value: _number(float(value), 0 if float(value) == round(float(value)) else 1),
    "ratio": format_ratio,
    "p_value": format_p_value,
    "date": format_date,
    "text": str,
}
