"""The rules of single columns and of keys, checked by pandera and told as violations in plain words."""

import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pandera.pandas as pandera
from numpy.typing import NDArray
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from recoverykit.data._columns import Column, ColumnType, TableContract
from recoverykit.data._wording import nearest, row_keys, shown, shown_values
from recoverykit.errors import Violation

#: How a column type is stored in a contract frame.
STORED_AS = {
    ColumnType.TEXT: "text",
    ColumnType.CATEGORY: "text",
    ColumnType.NUMBER: "a number",
    ColumnType.INTEGER: "a whole number (int64)",
    ColumnType.FLAG: "true or false (bool)",
    ColumnType.DATE: "a date (datetime64 without a time zone)",
    ColumnType.TIME: "a date with a time of day (datetime64 without a time zone)",
}
_TYPE, _ALLOWED = "type", "allowed"


@dataclass(slots=True)
class SchemaResult:
    """What the check of one table found.

    Attributes
    ----------
    violations : list of Violation
        In the order of the columns.
    unusable : set of str
        Columns that are missing or of the wrong type, which no further rule may read.
    """

    violations: list[Violation] = field(default_factory=list)
    unusable: set[str] = field(default_factory=set)


def has_type(series: pd.Series, wanted: ColumnType) -> bool:
    """Tell whether a column is stored as its type asks.

    Examples
    --------
    >>> has_type(pd.Series([1, 2]), ColumnType.NUMBER), has_type(pd.Series(["1", "2"]), ColumnType.NUMBER)
    (True, False)
    """
    types = pd.api.types
    if wanted in (ColumnType.TEXT, ColumnType.CATEGORY):
        return pd.api.types.infer_dtype(series, skipna=True) in ("string", "empty")
    if wanted is ColumnType.NUMBER:
        return types.is_numeric_dtype(series) and not types.is_bool_dtype(series)
    if wanted is ColumnType.INTEGER:
        return types.is_integer_dtype(series)
    if wanted is ColumnType.FLAG:
        return types.is_bool_dtype(series)
    return types.is_datetime64_dtype(series)


def is_allowed(series: pd.Series, column: Column) -> pd.Series:
    """Tell for each value whether the column allows it; missing values are judged elsewhere.

    Parameters
    ----------
    series : Series of n_rows
        Values of the right type, none of them missing.
    column : Column
        Its contract.

    Returns
    -------
    Series of bool, n_rows
    """
    if column.type is ColumnType.CATEGORY:
        return series.isin(column.choices)
    if column.type is ColumnType.TEXT:
        return series.ne("")
    if column.type is ColumnType.DATE:
        return series.eq(series.dt.normalize())
    if column.type is ColumnType.TIME:
        return series.notna()
    allowed = column.range
    good = pd.Series(np.isfinite(series.to_numpy(dtype=float)), index=series.index)
    if allowed.lower is not None:
        good &= series.gt(allowed.lower) if allowed.lower_open else series.ge(allowed.lower)
    if allowed.upper is not None:
        good &= series.lt(allowed.upper) if allowed.upper_open else series.le(allowed.upper)
    return good


def schema_for(contract: TableContract, reported: Collection[str] = ()) -> pandera.DataFrameSchema:
    """Return the pandera schema of one contract table.

    Parameters
    ----------
    contract : TableContract
        The table with its declared further columns.
    reported : collection of str, optional
        Columns whose absence has been told already.

    Returns
    -------
    DataFrameSchema
        Types, missing values, ranges, choices, and no column beside those of the contract.
    """
    return pandera.DataFrameSchema(
        {column.name: _pandera_column(column, column.name not in reported) for column in contract.columns},
        name=contract.name,
        strict=True,
    )


def _pandera_column(column: Column, must_be_there: bool) -> pandera.Column:
    checks = [pandera.Check(lambda series: has_type(series, column.type), name=_TYPE, ignore_na=False)]
    if column.type is not ColumnType.FLAG:
        checks.append(pandera.Check(lambda series: is_allowed(series, column), name=_ALLOWED))
    return pandera.Column(checks=checks, nullable=column.nullable, required=column.required and must_be_there)


def check_schema(contract: TableContract, frame: pd.DataFrame, reported: Collection[str] = ()) -> SchemaResult:
    """Check the columns and the key of one table.

    Parameters
    ----------
    contract : TableContract
        The table with its declared further columns.
    frame : DataFrame of n_rows
        The table with a plain range index.
    reported : collection of str, optional
        Columns whose absence has been told already.

    Returns
    -------
    SchemaResult
        Violations, and the columns that no further rule may read.
    """
    result = SchemaResult(unusable=set(contract.column_names) - set(frame.columns))
    if frame.columns.has_duplicates:
        twice = shown_values(frame.columns[frame.columns.duplicated()])
        result.violations.append(Violation(contract.name, f"each column may stand once; found twice: {twice}"))
        result.unusable.update(contract.column_names)
        return result
    errors = list(_schema_errors(schema_for(contract, reported), frame))
    wrong_type = {error.schema.name for error in errors if _check_name(error) == _TYPE}
    result.unusable |= wrong_type
    for error in errors:
        if error.schema.name not in wrong_type or _check_name(error) == _TYPE:
            result.violations.append(_told(error, contract, frame))
    duplicates = _duplicate_keys(contract, frame, result.unusable)
    if duplicates is not None:
        result.violations.append(duplicates)
    return result


def _schema_errors(schema: pandera.DataFrameSchema, frame: pd.DataFrame) -> Iterator[SchemaError]:
    try:
        with warnings.catch_warnings():
            # pandera joins its failure cases in a way that pandas deprecates; that table is not read here
            warnings.simplefilter("ignore", FutureWarning)
            schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        yield from errors.schema_errors


def _check_name(error: SchemaError) -> str:
    return str(getattr(error.check, "name", error.check))


def _told(error: SchemaError, contract: TableContract, frame: pd.DataFrame) -> Violation:
    """Turn what pandera found into a violation in plain words."""
    reason = error.reason_code
    if reason is SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
        column = contract.column(str(error.failure_cases))
        rule = f"column {column.name} is missing ({column.meaning} {STORED_AS[column.type]})"
        return Violation(contract.name, f"{rule}; found {shown_values(frame.columns)}")
    if reason is SchemaErrorReason.COLUMN_NOT_IN_SCHEMA:
        unknown = str(error.failure_cases)
        return Violation(
            contract.name,
            f"column {unknown!r} is unknown; {nearest(unknown, contract.column_names)}; "
            "declare it as a segment, driver or macro column, or leave it out",
        )
    name = str(error.schema.name)
    column, series = contract.column(name), frame[name]
    if _check_name(error) == _TYPE:
        found = f"{series.dtype}, for example {shown(_first_value(series))}"
        return Violation(contract.name, f"{name} must be {STORED_AS[column.type]}, found {found}")
    broken = np.zeros(len(frame), dtype=bool)
    broken[error.failure_cases["index"].to_numpy(dtype=np.int64)] = True
    if reason is SchemaErrorReason.SERIES_CONTAINS_NULLS:
        rule = f"{name} must not be missing"
    else:
        rule = f"{name} must be {_allowed_words(column)}, found {_found_words(series[broken], column)}"
    return Violation(contract.name, rule, int(broken.sum()), row_keys(frame, contract.key, broken))


def _first_value(series: pd.Series) -> object:
    given = series[series.notna()]
    return given.iloc[0] if len(given) else None


def _allowed_words(column: Column) -> str:
    if column.type is ColumnType.CATEGORY:
        return f"one of {', '.join(column.choices)}"
    if column.type is ColumnType.TEXT:
        return "text that is not empty"
    if column.type is ColumnType.DATE:
        return "a date without a time of day"
    return column.range.words


def _found_words(bad: pd.Series, column: Column) -> str:
    if column.type in (ColumnType.NUMBER, ColumnType.INTEGER):
        lowest, highest = shown(float(bad.min())), shown(float(bad.max()))
        return lowest if lowest == highest else f"{lowest} to {highest}"
    return shown_values(bad.head(1000).unique()) if column.type is ColumnType.CATEGORY else shown(bad.iloc[0]) or "''"


def _duplicate_keys(contract: TableContract, frame: pd.DataFrame, unusable: Collection[str]) -> Violation | None:
    if contract.repeats or set(contract.key) & set(unusable):
        return None
    broken: NDArray[np.bool_] = frame.duplicated(list(contract.key), keep=False).to_numpy()
    if not broken.any():
        return None
    rule = f"each {', '.join(contract.key)} may stand once, found the same key in several rows"
    return Violation(contract.name, rule, int(broken.sum()), row_keys(frame, contract.key, broken))
