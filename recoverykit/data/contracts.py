"""What the kit demands of its input tables, and the one report of everything that is wrong with them.

A table is checked once, at the border; inside the kit it is trusted. Types, missing values, ranges and choices are
checked by pandera, keys and the rules between columns, rows and tables by own code; all broken rules come in one report
with their number of rows and first keys. This module knows nothing about where the tables came from.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd

from recoverykit.data._columns import (
    LEDGER_TABLES,
    OPERATION_TABLES,
    TABLES,
    Column,
    ColumnType,
    TableContract,
    contracts_for,
)
from recoverykit.data._freeze import exclusions_frame, freeze
from recoverykit.data._row_rules import check_rows
from recoverykit.data._schema_rules import check_schema
from recoverykit.data._table_rules import Checked, check_tables_together
from recoverykit.data._wording import nearest
from recoverykit.data.refusals import refuse_predictors
from recoverykit.errors import ContractError, Violation

__all__ = [
    "LEDGER_TABLES",
    "OPERATION_TABLES",
    "TABLES",
    "WHOLE_TABLE",
    "Column",
    "ColumnType",
    "TableContract",
    "check_tables",
    "contracts_for",
    "data_dictionary",
    "exclusions_frame",
    "find_violations",
    "freeze",
]

#: Stands for every column of a table that could not be read at all.
WHOLE_TABLE = "*"


def find_violations(
    tables: Mapping[str, pd.DataFrame],
    *,
    reporting_date: pd.Timestamp,
    segment_columns: Sequence[str] = (),
    driver_columns: Sequence[str] = (),
    macro_columns: Sequence[str] = (),
    already_reported: Collection[tuple[str, str]] = (),
) -> list[Violation]:
    """Find every broken rule of the data contract.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Contract tables by name; ``facilities`` and ``cash_flows`` are needed, and ``status`` or ``episodes``. They are
        not changed.
    reporting_date : Timestamp
        The date as of which everything is known; only scenarios may hold later dates.
    segment_columns, driver_columns : sequence of str, optional
        Further columns of ``facilities``: text to segment by, numbers to model with.
    macro_columns : sequence of str, optional
        Numeric columns of ``scenarios``.
    already_reported : collection of (table, column), optional
        Columns that could not be loaded and are left out of the tables, or ``"*"`` for a whole table; their absence is
        not told again.

    Returns
    -------
    list of Violation
        In the order of the tables, then the rules between tables; empty when all is well.

    Examples
    --------
    >>> found = find_violations({}, reporting_date=pd.Timestamp("2026-09-30"))
    >>> print(found[0])
    facilities: the table is missing
    """
    declared = (segment_columns, driver_columns, macro_columns)
    told = {table for table, column in already_reported if column == WHOLE_TABLE} | set(tables)
    violations = [*_table_names(told), *_declared_names(*declared, told)]
    usable: dict[str, pd.DataFrame] = {}
    for contract in contracts_for(*declared).values():
        if contract.name in tables:
            reported = {column for table, column in already_reported if table == contract.name}
            found, usable[contract.name] = _check_table(contract, tables[contract.name], reported)
            violations += found
    usable = {name: frame for name, frame in usable.items() if len(frame)}
    return violations + check_tables_together(Checked(usable, reporting_date))


def check_tables(
    tables: Mapping[str, pd.DataFrame],
    *,
    reporting_date: pd.Timestamp,
    segment_columns: Sequence[str] = (),
    driver_columns: Sequence[str] = (),
    macro_columns: Sequence[str] = (),
) -> None:
    """Raise when a rule of the data contract is broken.

    Parameters
    ----------
    tables, reporting_date, segment_columns, driver_columns, macro_columns
        As in `find_violations`.

    Raises
    ------
    ContractError
        Carries every violation at once.
    """
    violations = find_violations(
        tables,
        reporting_date=reporting_date,
        segment_columns=segment_columns,
        driver_columns=driver_columns,
        macro_columns=macro_columns,
    )
    if violations:
        raise ContractError(violations)


def data_dictionary(
    segment_columns: Iterable[str] = (), driver_columns: Iterable[str] = (), macro_columns: Iterable[str] = ()
) -> pd.DataFrame:
    """Return every column of the contract with its type, meaning and allowed values.

    Parameters
    ----------
    segment_columns, driver_columns, macro_columns : iterable of str, optional
        Declared further columns.

    Returns
    -------
    DataFrame
        Columns table, column, type, required, nullable, allowed, meaning.

    Examples
    --------
    >>> words = data_dictionary().set_index(["table", "column"])
    >>> words.loc[("facilities", "eir"), "allowed"]
    'an annual share from 0 to below 1 (0.07 for 7 %)'
    """
    names = ["table", "column", "type", "required", "nullable", "allowed", "meaning"]
    rows = []
    for contract in contracts_for(segment_columns, driver_columns, macro_columns).values():
        for column in contract.columns:
            numeric = column.type in (ColumnType.NUMBER, ColumnType.INTEGER)
            allowed = ", ".join(column.choices) or (column.range.words if numeric else "")
            described = (column.type.value, column.required, column.nullable, allowed, column.meaning)
            rows.append((contract.name, column.name, *described))
    return pd.DataFrame(rows, columns=names)


def _check_table(
    contract: TableContract, frame: pd.DataFrame, reported: Collection[str]
) -> tuple[list[Violation], pd.DataFrame]:
    """Check one table; return its violations, and the columns that the rules between tables may read."""
    if len(frame) == 0:
        return [Violation(contract.name, "the table is empty; at least one row is needed")], frame
    if not (isinstance(frame.index, pd.RangeIndex) and frame.index.start == 0 and frame.index.step == 1):
        frame = frame.reset_index(drop=True)
    result = check_schema(contract, frame, reported)
    violations = [*result.violations, *check_rows(contract, frame, result.unusable)]
    return violations, frame[[column for column in frame.columns if column not in result.unusable]]


def _table_names(tables: Collection[str]) -> list[Violation]:
    """Find tables that are needed and missing, and tables that nobody knows."""
    found = [Violation(name, "the table is missing") for name in ("facilities", "cash_flows") if name not in tables]
    if not {"status", "episodes"} & set(tables):
        found.append(Violation("status", "the table is missing; give status, or episodes where the bank holds them"))
    found += [
        Violation(name, f"the table is unknown; {nearest(name, TABLES)}") for name in sorted(set(tables) - set(TABLES))
    ]
    return found


def _declared_names(
    segment_columns: Sequence[str],
    driver_columns: Sequence[str],
    macro_columns: Sequence[str],
    tables: Collection[str],
) -> list[Violation]:
    """Find declared columns that are refused, and macro columns without a table to hold them."""
    refusals = [
        *refuse_predictors("facilities", [*segment_columns, *driver_columns]),
        *refuse_predictors("scenarios", macro_columns),
    ]
    found = [Violation(refusal.table, str(refusal).partition(": ")[2]) for refusal in refusals]
    if macro_columns and "scenarios" not in tables:
        declared = ", ".join(macro_columns)
        found.append(Violation("scenarios", f"the table is missing, yet macro columns are declared: {declared}"))
    return found
