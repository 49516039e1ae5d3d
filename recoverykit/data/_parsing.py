"""Turn the values of a source into the types of the contract, strictly: what is not clearly meant is not taken.

Only the distinct values of a text column are parsed; the rows then take them. A date is ISO unless the spec declares a
format, a moment has a time of day and no time zone, a number has no thousands mark, a truth value is one of six words.
Nothing is guessed and nothing is dropped: what cannot be read is reported with its values.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as arrow
import pyarrow.compute as compute
from numpy.typing import NDArray

from recoverykit.data._columns import Column, ColumnType
from recoverykit.data._wording import shown_values

#: The words for true and false, in any case.
FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_PATTERNS = {
    ColumnType.NUMBER: r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$",
    ColumnType.INTEGER: r"^[+-]?\d+$",
    ColumnType.DATE: r"^\d{4}-\d{2}-\d{2}([T ]00:00:00(\.0+)?)?$",
    ColumnType.TIME: r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$",
}
_WANTED = {
    ColumnType.NUMBER: "a number such as 1234.5, without thousands marks",
    ColumnType.INTEGER: "a whole number",
    ColumnType.FLAG: f"one of {', '.join(FLAGS)}",
    ColumnType.DATE: "an ISO date such as 2026-09-30; declare another format under date_formats",
    ColumnType.TIME: "an ISO date with its time of day such as 2026-09-30 14:05, on the debtor's clock and without a "
    "time zone; declare another format under date_formats",
    ColumnType.TEXT: "text or a whole number",
    ColumnType.CATEGORY: "text or a whole number",
}
#: Dates outside cannot be held in nanoseconds; banks write such dates for "never".
_FIRST_DATE, _LAST_DATE = np.datetime64("1700-01-01", "us"), np.datetime64("2260-01-01", "us")

_DAYS = (ColumnType.DATE, ColumnType.TIME)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Reading:
    """How the values of one column are to be read.

    Attributes
    ----------
    column : Column
        The column of the contract.
    value_map : mapping of str to str, or None
        The bank's value to the contract's; strict where given.
    date_format : str or None
        Declared format of a date; ISO where None.
    decimal : str
        Decimal mark of numbers in text.
    percent : bool
        Whether the numbers are percent and are divided by 100.
    """

    column: Column
    value_map: Mapping[str, str] | None = None
    date_format: str | None = None
    decimal: str = "."
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed column, or what hinders.

    Attributes
    ----------
    values : ndarray of n_rows
        Values of the contract type; meaningless where ``problem`` is given.
    problem : str
        What was found and what is allowed; empty when all is well.
    broken : ndarray of bool, shape (n_rows,)
        Rows that could not be read.
    """

    values: np.ndarray
    problem: str
    broken: Mask


def parse_column(values: arrow.ChunkedArray, reading: Reading) -> Parsed:
    """Parse one column of a source.

    Parameters
    ----------
    values : ChunkedArray of n_rows
        As the source gave them, text or typed.
    reading : Reading
        What they should become.

    Returns
    -------
    Parsed
        Text and categories as objects, numbers as float64, whole numbers as int64, flags as bool, dates as
        datetime64[ns].

    Examples
    --------
    >>> wanted = Reading(Column("default_date", ColumnType.DATE, "First day in default."))
    >>> parse_column(arrow.chunked_array([["2026-02-01", "01/02/2026"]]), wanted).broken.tolist()
    [False, True]
    """
    if isinstance(values, arrow.ChunkedArray):
        values = values.combine_chunks()
    if arrow.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if reading.value_map is not None or _needs_text(values.type, reading):
        return _parse_text(values, reading)
    return _parse_typed(values, reading)


def _is_text(kind: arrow.DataType) -> bool:
    return bool(arrow.types.is_string(kind) or arrow.types.is_large_string(kind) or arrow.types.is_string_view(kind))


def _needs_text(kind: arrow.DataType, reading: Reading) -> bool:
    wanted = reading.column.type
    if wanted in (ColumnType.TEXT, ColumnType.CATEGORY, ColumnType.FLAG):
        return not (wanted is ColumnType.FLAG and arrow.types.is_boolean(kind))
    return _is_text(kind) or (wanted in _DAYS and arrow.types.is_integer(kind))


def _parse_text(values: arrow.Array, reading: Reading) -> Parsed:
    """Parse by the distinct values, as text."""
    wanted = reading.column.type
    nothing = np.zeros(len(values), dtype=bool)
    if arrow.types.is_null(values.type):
        values = values.cast(arrow.string())
    integral = arrow.types.is_integer(values.type) or _is_integral(values)
    if not (_is_text(values.type) or integral or arrow.types.is_boolean(values.type)):
        found = f"{reading.column.name} must be {_WANTED[wanted]}, the source holds {values.type}"
        return Parsed(np.empty(0), f"{found}; cast it in the source", nothing)
    encoded = values.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    distinct = compute.utf8_trim_whitespace(_as_strings(encoded.dictionary, integral)).cast(arrow.large_string())
    empty = compute.equal(distinct, "").to_numpy(zero_copy_only=False)
    texts, unmapped = _mapped(distinct.to_pandas().to_numpy(dtype=object), reading.value_map)
    if (unmapped & ~empty).any():
        words = f"{reading.column.name} holds values that the value map lacks: {shown_values(texts[unmapped & ~empty])}"
        known = ", ".join(sorted(reading.value_map or ()))
        return Parsed(np.empty(0), f"{words}; mapped are {known}", _taken(unmapped & ~empty, codes, False))
    parsed, good = _parse_distinct(texts, reading)
    good = good | empty
    if not good.all():
        broken = _taken(~good, codes, False)
        return Parsed(np.empty(0), _told(reading, texts[~good]), broken)
    missing = _taken(empty, codes, True)
    return _finished(_taken(parsed, codes, None), missing, reading)


def _is_integral(values: arrow.Array) -> bool:
    """Tell whether floating numbers are all whole, as ids with gaps are after a detour over pandas."""
    if not (arrow.types.is_floating(values.type) or arrow.types.is_decimal(values.type)):
        return False
    numbers = values.cast(arrow.float64()).drop_null()
    return bool(compute.all(compute.equal(numbers, compute.floor(numbers)), min_count=0).as_py())


def _as_strings(distinct: arrow.Array, integral: bool) -> arrow.Array:
    return distinct.cast(arrow.int64()).cast(arrow.string()) if integral else distinct.cast(arrow.string())


def _mapped(texts: np.ndarray, value_map: Mapping[str, str] | None) -> tuple[np.ndarray, Mask]:
    """Apply a value map; where a text is not in it, the text stays and is marked."""
    if value_map is None:
        return texts, np.zeros(len(texts), dtype=bool)
    unmapped = np.array([text not in value_map for text in texts], dtype=bool)
    return np.array([value_map.get(text, text) for text in texts], dtype=object), unmapped


def _taken(distinct: np.ndarray, codes: NDArray[np.int64], missing: object) -> np.ndarray:
    """Give each row the value of its code; ``missing`` where the code is -1."""
    if len(distinct) == 0:
        return np.full(len(codes), missing, dtype=bool if isinstance(missing, bool) else object)
    rows = distinct[codes]
    if missing is not None:
        rows[codes == -1] = missing
    return rows


def _parse_distinct(texts: np.ndarray, reading: Reading) -> tuple[np.ndarray, Mask]:
    """Parse distinct texts; return the values and which of them could be read."""
    wanted = reading.column.type
    if wanted in (ColumnType.TEXT, ColumnType.CATEGORY):
        return texts, np.ones(len(texts), dtype=bool)
    series = pd.Series(texts, dtype=object)
    if wanted is ColumnType.FLAG:
        known = series.str.lower().map(FLAGS)
        return known.eq(True).to_numpy(), known.notna().to_numpy()
    if wanted in _DAYS:
        dates = _parse_days(series, reading)
        return dates.to_numpy(dtype="datetime64[ns]"), dates.notna().to_numpy()
    if reading.decimal == "," and wanted is ColumnType.NUMBER:
        series = series.str.replace(".", "?", regex=False).str.replace(",", ".", regex=False)
    numeric = series.str.match(_PATTERNS[wanted], na=False)
    numbers = pd.to_numeric(series.where(numeric), errors="coerce").to_numpy(dtype=np.float64)
    return numbers, numeric.to_numpy(dtype=bool)


def _parse_days(series: pd.Series, reading: Reading) -> pd.Series:
    if reading.date_format is not None:
        return pd.to_datetime(series, format=reading.date_format, errors="coerce")
    iso = series.where(series.str.match(_PATTERNS[reading.column.type], na=False))
    if reading.column.type is ColumnType.DATE:
        return pd.to_datetime(iso.str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    return pd.to_datetime(iso, format="ISO8601", errors="coerce")


def _parse_typed(values: arrow.Array, reading: Reading) -> Parsed:
    """Parse values that the source holds as numbers, truth values or dates."""
    wanted, kind = reading.column.type, values.type
    nothing = np.zeros(len(values), dtype=bool)
    missing = values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if wanted in _DAYS and arrow.types.is_timestamp(kind) and kind.tz:
        return Parsed(np.empty(0), _zoned(reading, kind), nothing)
    if (arrow.types.is_timestamp(kind) and wanted in _DAYS) or (
        arrow.types.is_date(kind) and wanted is ColumnType.DATE
    ):
        return _parse_dates(values, missing, reading)
    if wanted is ColumnType.FLAG and arrow.types.is_boolean(kind):
        return _finished(values.fill_null(False).to_numpy(zero_copy_only=False), missing, reading)
    numeric = arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_decimal(kind)
    if wanted in (ColumnType.NUMBER, ColumnType.INTEGER) and (numeric or arrow.types.is_null(kind)):
        numbers = values.cast(arrow.float64()).to_numpy(zero_copy_only=False)
        fraction = ~missing & (numbers != np.floor(numbers)) if wanted is ColumnType.INTEGER else nothing
        if fraction.any():
            return Parsed(np.empty(0), _told(reading, numbers[fraction][:1000]), fraction)
        return _finished(numbers, missing, reading)
    if arrow.types.is_null(kind):
        return _finished(np.full(len(values), np.datetime64("NaT", "ns")), missing, reading)
    found = f"{reading.column.name} must be {_WANTED[wanted]}, the source holds {kind}"
    return Parsed(np.empty(0), f"{found}; cast it in the source", nothing)


def _zoned(reading: Reading, kind: arrow.DataType) -> str:
    if reading.column.type is ColumnType.DATE:
        words = f"{reading.column.name} must be a date, the source holds {kind}, whose day depends on the time zone"
        return f"{words}; cast it to a date in the source"
    words = f"{reading.column.name} must be the time on the debtor's clock, the source holds {kind}"
    return f"{words}; convert it to the local time of each debtor, without a time zone, in the source"


def _parse_dates(values: arrow.Array, missing: Mask, reading: Reading) -> Parsed:
    moments = values.cast(arrow.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    outside = ~missing & ((moments < _FIRST_DATE) | (moments > _LAST_DATE))
    if outside.any():
        found = shown_values(np.datetime_as_string(np.unique(moments[outside]), unit="D"))
        words = f"{reading.column.name} must lie between 1700 and 2260, found {found}"
        return Parsed(np.empty(0), f"{words}; leave a date that is not known empty", outside)
    return _finished(moments.astype("datetime64[ns]"), missing, reading)


def _finished(values: np.ndarray, missing: Mask, reading: Reading) -> Parsed:
    """Bring parsed values to the type of the contract; empty texts and codes become missing values."""
    wanted = reading.column.type
    nothing = np.zeros(len(values), dtype=bool)
    if wanted in (ColumnType.INTEGER, ColumnType.FLAG):
        if missing.any():
            return Parsed(np.empty(0), f"{reading.column.name} must not be missing", missing)
        return Parsed(values.astype(np.int64 if wanted is ColumnType.INTEGER else bool), "", nothing)
    if wanted is ColumnType.NUMBER:
        numbers = np.where(missing, np.nan, values.astype(np.float64))
        return Parsed(numbers / 100.0 if reading.percent else numbers, "", nothing)
    if wanted in _DAYS:
        return Parsed(np.where(missing, np.datetime64("NaT", "ns"), values.astype("datetime64[ns]")), "", nothing)
    texts = values.astype(object)
    texts[missing] = None
    return Parsed(texts, "", nothing)


def _told(reading: Reading, bad: np.ndarray) -> str:
    wanted = _WANTED[reading.column.type]
    if reading.column.type in _DAYS and reading.date_format is not None:
        wanted = f"a date in the declared format {reading.date_format}"
    if reading.column.type is ColumnType.NUMBER and reading.decimal == ",":
        wanted = "a number such as 1234,5 (decimal mark declared as comma), without thousands marks"
    return f"{reading.column.name} must be {wanted}; found {shown_values(bad[:1000])}"
