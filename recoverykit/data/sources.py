"""Load the tables of a data spec: refuse, parse strictly, check, and say from which bytes they came.

The order is that of caution: names of columns first, then their contents, then values, then the contract. Whatever is
wrong is told at once: one error for refused columns, one for broken rules.
"""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as arrow
import pyarrow.compute as compute

from recoverykit.data._columns import Column, ColumnType, TableContract, contracts_for
from recoverykit.data._freeze import exclusions_frame, freeze
from recoverykit.data._parsing import Parsed, Reading, parse_column
from recoverykit.data._reading import Reader, UnreadableTable, file_hashes, run_query
from recoverykit.data._source_columns import Row, source_column_rows, source_columns_frame
from recoverykit.data._spec_models import CsvFiles, FilesQuery, ParquetFiles, TableSpec
from recoverykit.data._spec_rules import CURRENCY_COLUMN
from recoverykit.data._table_rules import Checked, before_everything
from recoverykit.data._wording import nearest, row_keys, shown_values
from recoverykit.data.contracts import WHOLE_TABLE, find_violations
from recoverykit.data.mapping import DataSpec
from recoverykit.data.refusals import (
    Refusal,
    RefusalClass,
    matching_rule,
    raise_refusals,
    refuse_contents,
    refuse_names,
    refuse_predictors,
)
from recoverykit.errors import ContractError, SpecError, Violation

__all__ = ["LoadedTables", "load_checked", "load_tables"]


@dataclass(frozen=True, slots=True)
class LoadedTables:
    """The tables of one data set with everything that a run must know about them.

    Attributes
    ----------
    tables : dict of str to DataFrame
        Contract tables by name; dates as datetime64[ns], ids and categories as text, shares as decimals.
    reporting_date : Timestamp
        The date as of which everything is known.
    currency : str
        ISO 4217 code of every amount.
    segment_columns, driver_columns, macro_columns : tuple of str
        The declared further columns.
    file_hashes : dict of str to str
        SHA-256 of each file read, by its path relative to the spec.
    exclusions : DataFrame
        Columns table, reason, n_rows, amount: what was cut because it is dated after the reporting date.
    source_columns : DataFrame
        One row per column that a source carries: table, column, treatment, refusal_class, what.
    """

    tables: dict[str, pd.DataFrame]
    reporting_date: pd.Timestamp
    currency: str
    segment_columns: tuple[str, ...]
    driver_columns: tuple[str, ...]
    macro_columns: tuple[str, ...]
    file_hashes: dict[str, str]
    exclusions: pd.DataFrame
    source_columns: pd.DataFrame = field(default_factory=source_columns_frame)


@dataclass(slots=True)
class _Findings:
    """What was found so far: refused columns, broken rules, columns that could not be loaded, and those that could."""

    refusals: list[Refusal] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    unloaded: set[tuple[str, str]] = field(default_factory=set)
    columns: list[Row] = field(default_factory=list)

    def tell(self, table: str, rule: str, column: str = WHOLE_TABLE) -> None:
        """Note that a column, or a whole table, could not be loaded."""
        self.violations.append(Violation(table, rule))
        self.unloaded.add((table, column))


def load_tables(spec: DataSpec, *, reporting_date: str | pd.Timestamp | None = None) -> LoadedTables:
    """Load the tables of a spec without checking them against the contract.

    Parameters
    ----------
    spec : DataSpec
        From `recoverykit.data.mapping.read_spec`.
    reporting_date : str or Timestamp, optional
        ISO date that goes before the one of the spec.

    Returns
    -------
    LoadedTables
        Parsed tables in contract names.

    Raises
    ------
    RefusedColumnError
        When a source carries columns about people that are not taken in; lists them all.
    ContractError
        When values cannot be read as what they should be, columns are missing or unknown, or there is a second
        currency.
    SpecError
        When a file, connection or key is not there, or no reporting date is given.
    """
    loaded, findings = _load(spec, reporting_date)
    if findings.violations:
        raise ContractError(findings.violations)
    return loaded


def load_checked(spec: DataSpec, *, reporting_date: str | pd.Timestamp | None = None) -> LoadedTables:
    """Load the tables of a spec and check them against the contract.

    Parameters
    ----------
    spec, reporting_date
        As in `load_tables`.

    Returns
    -------
    LoadedTables
        Tables that keep every rule of the contract.

    Raises
    ------
    RefusedColumnError, SpecError
        As in `load_tables`.
    ContractError
        Carries what could not be read and every broken rule in one report.
    """
    loaded, findings = _load(spec, reporting_date)
    broken = find_violations(
        loaded.tables,
        reporting_date=loaded.reporting_date,
        segment_columns=loaded.segment_columns,
        driver_columns=loaded.driver_columns,
        macro_columns=loaded.macro_columns,
        already_reported=findings.unloaded,
    )
    if findings.violations or broken:
        raise ContractError([*findings.violations, *broken])
    return loaded


def _load(spec: DataSpec, asked: str | pd.Timestamp | None) -> tuple[LoadedTables, _Findings]:
    date = _reporting_date(spec, asked)
    contracts = contracts_for(spec.segment_columns, spec.driver_columns, spec.macro_columns)
    findings = _Findings()
    reader = Reader(spec)
    try:
        _refuse_by_name(spec, reader, findings)
        tables = {}
        for name, table in spec.tables.given().items():
            frame = _load_table(contracts[name], table, reader, findings)
            if frame is not None:
                tables[name] = frame
        raise_refusals(findings.refusals)
        hashes = file_hashes(reader.all_paths(), spec.folder)
    finally:
        reader.close()
    exclusions = exclusions_frame([])
    if spec.after_reporting_date == "cut" and not list(before_everything(Checked(tables, date))):
        tables, exclusions = freeze(tables, date)
    declared = (spec.segment_columns, spec.driver_columns, spec.macro_columns)
    columns = source_columns_frame(findings.columns)
    return LoadedTables(tables, date, spec.currency, *declared, hashes, exclusions, columns), findings


def _reporting_date(spec: DataSpec, asked: str | pd.Timestamp | None) -> pd.Timestamp:
    given = asked if asked is not None else spec.reporting_date
    if given is None:
        raise SpecError("there is no reporting date; give reporting_date in the spec, or as_of on the command line")
    text = given if isinstance(given, str) else f"{given:%Y-%m-%d}"
    date = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
    if pd.isna(date) or f"{date:%Y-%m-%d}" != text:
        raise SpecError(f"the reporting date must be an ISO date such as 2026-09-30, found {text!r}")
    return date


def _refuse_by_name(spec: DataSpec, reader: Reader, findings: _Findings) -> None:
    """Refuse by the names of all columns of all sources, before any value is read."""
    refusals: list[Refusal] = []
    for name, table in spec.tables.given().items():
        refusals += refuse_names(name, reader.names(table), hashed=table.hashed)
    predictors = {"facilities": (*spec.segment_columns, *spec.driver_columns), "scenarios": spec.macro_columns}
    for name, table in spec.tables.given().items():
        declared = predictors.get(name, ())
        refusals += refuse_predictors(name, declared)
        for source in (table.columns.get(column) for column in declared):
            rule = matching_rule(source, (RefusalClass.OUTCOME,)) if source is not None else None
            if source is not None and rule is not None:
                refusals.append(Refusal(name, source, RefusalClass.OUTCOME, f"{rule.what}, by its name in the source"))
    findings.refusals = list(dict.fromkeys(refusals))
    raise_refusals(findings.refusals)


def _load_table(contract: TableContract, table: TableSpec, reader: Reader, findings: _Findings) -> pd.DataFrame | None:
    """Read, examine and parse one table; None where it could not be read."""
    try:
        parts = reader.read(table)
    except UnreadableTable as error:
        findings.tell(contract.name, str(error))
        return None
    for part in parts.values():
        findings.refusals += _refuse_contents(contract, table, part)
    if findings.refusals:
        return None
    raw = parts.get("", arrow.table({}))
    if isinstance(table.source, FilesQuery):
        raw = run_query(table.source, parts)
        findings.refusals += refuse_names(contract.name, raw.column_names, hashed=table.hashed)
        findings.refusals += _refuse_contents(contract, table, raw)
    if raw.num_rows == 0:
        findings.tell(contract.name, "the source holds no rows; at least one is needed")
        return None
    named = {column.name: table.columns.get(column.name, column.name) for column in contract.columns}
    findings.columns += source_column_rows(contract, table, parts, raw)
    _check_names(contract, table, raw.column_names, named, findings)
    _check_currency(contract.name, table, raw, reader.spec.currency, findings)
    frame = _parse_table(contract, table, raw, named, findings)
    if not isinstance(table.source, CsvFiles | ParquetFiles):
        # a database gives its rows in no order that can be relied on
        first = [name for name in contract.key if name in frame]
        rest = [str(name) for name in frame.columns if name not in first]
        frame = frame.sort_values([*first, *rest], ignore_index=True)
    return frame


def _refuse_contents(contract: TableContract, table: TableSpec, raw: arrow.Table) -> list[Refusal]:
    """Look into every column, except those that are mapped to numbers, flags or dates of the contract."""
    plain = (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.FLAG, ColumnType.DATE, ColumnType.TIME)
    parsed = {table.columns.get(column.name, column.name) for column in contract.columns if column.type in plain}
    columns = {name: raw.column(name) for name in raw.column_names if name not in parsed}
    return refuse_contents(contract.name, columns, hashed=table.hashed)


def _check_names(
    contract: TableContract,
    table: TableSpec,
    available: list[str],
    named: Mapping[str, str],
    findings: _Findings,
) -> None:
    """Tell columns that the source lacks, and columns of the source that the spec does not name."""
    for column in contract.columns:
        wanted = named[column.name]
        needed = column.required or column.name in table.columns
        if needed and wanted not in available and column.name not in table.constants:
            words = (
                f"column {column.name} is missing: the source has no column {wanted!r}, {nearest(wanted, available)}"
            )
            findings.tell(contract.name, words, column.name)
    currency = table.columns.get(CURRENCY_COLUMN, CURRENCY_COLUMN)
    if CURRENCY_COLUMN in table.columns and currency not in available:
        findings.tell(contract.name, f"the source has no column {currency!r}, {nearest(currency, available)}", currency)
    known = {*named.values(), currency, *table.hashed}
    unknown = [
        name for name in available if name not in known and not any(fnmatch.fnmatchcase(name, p) for p in table.ignore)
    ]
    if unknown:
        near = f"{unknown[0]!r}: {nearest(unknown[0], contract.column_names)}"
        listed = ", ".join(unknown[:10]) + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
        words = f"the source has columns that the spec does not name: {listed} ({near})"
        findings.violations.append(
            Violation(contract.name, f"{words}; map them under columns or list them under ignore")
        )


def _check_currency(name: str, table: TableSpec, raw: arrow.Table, currency: str, findings: _Findings) -> None:
    column, constant = table.columns.get(CURRENCY_COLUMN, CURRENCY_COLUMN), table.constants.get(CURRENCY_COLUMN)
    if constant is not None:
        codes = arrow.chunked_array([[_as_text(constant)] * raw.num_rows])
    elif column in raw.column_names:
        codes = compute.utf8_trim_whitespace(raw.column(column).cast(arrow.string()))
    else:
        return
    mapped = {} if constant is not None else table.values.get(CURRENCY_COLUMN, {})
    meant = {code: _as_text(mapped.get(code, code or "(missing)")) for code in compute.unique(codes).to_pylist()}
    wrong = [code for code, word in meant.items() if word != currency]
    if wrong:
        broken = compute.is_in(codes, value_set=arrow.array(wrong, type=codes.type))
        words = f"currency must be {currency} in every row, found {shown_values(meant.values())}"
        advice = "convert the amounts, or make one spec per currency"
        findings.violations.append(Violation(name, f"{words}; {advice}", int(compute.sum(broken).as_py())))


def _parse_table(
    contract: TableContract,
    table: TableSpec,
    raw: arrow.Table,
    named: Mapping[str, str],
    findings: _Findings,
) -> pd.DataFrame:
    """Parse every column of the contract that the source has; those that cannot be read are told and left out."""
    good: dict[str, np.ndarray] = {}
    bad: dict[str, Parsed] = {}
    for column in contract.columns:
        if column.name in table.constants:
            text = _as_text(table.constants[column.name])
            parsed = parse_column(arrow.chunked_array([[text]]), _reading(column, table, constant=True))
            parsed = Parsed(
                np.repeat(parsed.values, raw.num_rows), parsed.problem, np.repeat(parsed.broken, raw.num_rows)
            )
        elif named[column.name] in raw.column_names:
            parsed = parse_column(raw.column(named[column.name]), _reading(column, table))
        else:
            continue
        if parsed.problem:
            bad[column.name] = parsed
        else:
            good[column.name] = parsed.values
    frame = pd.DataFrame(good, copy=False)
    for name, parsed in bad.items():
        keys = row_keys(frame, contract.key, parsed.broken)
        findings.violations.append(Violation(contract.name, parsed.problem, int(parsed.broken.sum()), keys))
        findings.unloaded.add((contract.name, name))
    return frame


def _as_text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reading(column: Column, table: TableSpec, constant: bool = False) -> Reading:
    if constant:
        return Reading(column, percent=column.name in table.percent)
    mapped = table.values.get(column.name)
    return Reading(
        column,
        value_map=None if mapped is None else {code: _as_text(target) for code, target in mapped.items()},
        date_format=table.date_formats.get(column.name),
        decimal=table.source.decimal if isinstance(table.source, CsvFiles) else ".",
        percent=column.name in table.percent,
    )
