"""Rows of a table as text that does not depend on platform or dtype, and their hashes."""

import datetime
import hashlib
import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.errors import RecoverykitError

_MISSING = ("-", "")


def row_hashes(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the SHA-256 of each row, over the named columns.

    The canonical form of a row is a JSON array with one triple ``[column, kind, text]`` for each column, the columns
    sorted by code point, with only ASCII characters and no white space. Kind and text are

    * ``"-"``, ``""``: missing (None, NaN, NaT, NA);
    * ``"b"``: ``true`` or ``false``;
    * ``"n"``: a number in plain decimal digits without exponent, without needless zeros and without a sign before 0:
      an integer of any width, a decimal, and a float as its shortest text that reads back as the same float, so that
      5, 5.0 and Decimal("5.00") are ``5``; ``inf`` and ``-inf`` by these words;
    * ``"d"``: a date or time as ``YYYY-MM-DD``, for a time of day other than midnight with ``THH:MM:SS`` and the
      fraction of a second without needless zeros; with a time zone in UTC, always with time of day, followed by ``Z``;
    * ``"t"``: any other text, code point by code point.

    A category counts as its value. A float32 counts as the number that it exactly holds.

    Raises
    ------
    RecoverykitError
        When a column holds something else, such as a list; all such columns at once.
    """
    ordered = sorted(columns)
    parts = {name: _fragments(name, frame[name]) for name in ordered}
    strange = [f"{name} ({part})" for name, part in parts.items() if isinstance(part, str)]
    if strange:
        raise RecoverykitError(f"a log holds numbers, text, dates and flags only; not so: {', '.join(strange)}")
    if not ordered or frame.empty:
        return []
    rows = zip(*parts.values(), strict=True)
    return [hashlib.sha256(f"[{','.join(row)}]".encode("ascii")).hexdigest() for row in rows]


def key_texts(frame: pd.DataFrame, key: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the key of each row as the texts of the canonical form, in the order of the key's columns."""
    columns = [[_kind_and_text(value)[1] for value in frame[name].astype(object).tolist()] for name in key]
    return list(zip(*columns, strict=True)) if len(frame) else []


def _fragments(name: str, values: pd.Series) -> list[str] | str:
    """Return the triple of each value as JSON; the name of a type that cannot stand in a log."""
    seen: dict[tuple[type, Any], str] = {}
    found = []
    for value in values.astype(object).tolist():
        try:
            place = (type(value), value)
            if place not in seen:
                seen[place] = json.dumps([name, *_kind_and_text(value)], ensure_ascii=True, separators=(",", ":"))
            found.append(seen[place])
        except TypeError:
            return type(value).__name__
    return found


def _kind_and_text(value: Any) -> tuple[str, str]:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)  # numpy itself would make a number of nanoseconds of it
    value = value.item() if hasattr(value, "item") and not isinstance(value, pd.Timestamp) else value
    if value is None or value is pd.NA or value is pd.NaT:
        return _MISSING
    if isinstance(value, bool):
        return "b", str(value).lower()
    if isinstance(value, str):
        return "t", value
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, datetime.date):  # a datetime is one, and so is a Timestamp
        return "d", _date(pd.Timestamp(value))
    raise TypeError(type(value).__name__)


def _number(value: int | float | Decimal) -> tuple[str, str]:
    if math.isnan(value):
        return _MISSING
    if math.isinf(value):
        return "n", "inf" if value > 0 else "-inf"
    text = format(Decimal(repr(value)) if isinstance(value, float) else Decimal(value), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "n", "0" if text == "-0" else text


def _date(value: pd.Timestamp) -> str:
    zone = value.tzinfo is not None
    moment = value.tz_convert("UTC").tz_localize(None) if zone else value
    nanoseconds = moment.microsecond * 1_000 + moment.nanosecond
    text = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"
    if zone or nanoseconds or (moment.hour, moment.minute, moment.second) != (0, 0, 0):
        text += f"T{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}"
    if nanoseconds:
        text += f".{nanoseconds:09d}".rstrip("0")
    return text + ("Z" if zone else "")
