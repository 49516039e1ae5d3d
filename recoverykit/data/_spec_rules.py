"""The rules of a data spec that concern several entries at once, on the plain values of the file.

They work on plain values and not on the models so that one reading of a spec tells all of its problems, also where a
model could not be built.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from recoverykit.data._columns import TABLES, ColumnType, TableContract, contracts_for
from recoverykit.data._spec_yaml import Problem
from recoverykit.data._wording import nearest

#: A further column that any table may have: it must hold the currency of the spec in every row.
CURRENCY_COLUMN = "currency"
_DECLARED = ("segment_columns", "driver_columns", "macro_columns")
_BY_CONTRACT_NAME = ("columns", "values", "date_formats", "constants", "percent")
_NAME = re.compile(r"^[^\W\d]\w*$")


def spec_problems(data: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong between the entries of a spec.

    Parameters
    ----------
    data : mapping
        The spec as plain values; parts of the wrong type are passed over, the models tell those.

    Returns
    -------
    list of Problem
        In the order of the file's parts.
    """
    declared = {name: _names(data.get(name)) for name in _DECLARED}
    problems = list(_declared_twice(declared))
    contracts = contracts_for(*(declared[name] for name in _DECLARED))
    tables = data.get("tables")
    tables = tables if isinstance(tables, Mapping) else {}
    given = {name: table for name, table in tables.items() if name in TABLES and isinstance(table, Mapping)}
    if tables and not {"status", "episodes"} & set(tables):
        problems.append(Problem(("tables",), "give the table status, or episodes where the bank holds them"))
    for name, table in given.items():
        problems += _table_problems(name, table, contracts[name])
        problems += _source_problems(name, table, data)
    return problems


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple) else []


def _declared_twice(declared: Mapping[str, list[str]]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for key, names in declared.items():
        for order, name in enumerate(names):
            if not _NAME.match(name):
                yield Problem((key, order), f"{name!r} is no column name; use letters, digits and underscores")
            if name in seen:
                yield Problem((key, order), f"{name!r} is declared twice, also under {seen[name]}; keep one")
            seen[name] = key


def _table_problems(name: str, table: Mapping[str, Any], contract: TableContract) -> Iterator[Problem]:
    """Tell unknown contract names, and entries that contradict each other."""
    valid = [*contract.column_names, CURRENCY_COLUMN]
    types = {column.name: column.type for column in contract.columns}
    for key in _BY_CONTRACT_NAME:
        entries = table.get(key)
        for order, column in enumerate(entries if isinstance(entries, Mapping | list | tuple) else ()):
            place = ("tables", name, key, column if isinstance(entries, Mapping) else order)
            if column not in valid:
                text = f"{column!r} is no column of {name}; {nearest(str(column), valid)}"
                yield Problem(place, f"{text}; further columns are declared under segment_columns or driver_columns")
            elif key == "percent" and types.get(column) is not ColumnType.NUMBER:
                yield Problem(place, f"{column} is no number, so it cannot be in percent")
            elif key == "date_formats" and types.get(column) not in (ColumnType.DATE, ColumnType.TIME):
                yield Problem(place, f"{column} is no date, so it has no date format")
    constants, columns = table.get("constants"), table.get("columns")
    if isinstance(constants, Mapping) and isinstance(columns, Mapping):
        for column in sorted(set(constants) & set(columns), key=str):
            yield Problem(("tables", name, "constants", column), f"{column} is also under columns; keep one")
    yield from _value_problems(name, table, contract)
    yield from _zone_problems(name, table)


def _zone_problems(name: str, table: Mapping[str, Any]) -> Iterator[Problem]:
    """Tell date formats with a time zone: the contract's days and times are those of the place, without one."""
    formats = table.get("date_formats")
    for column, pattern in formats.items() if isinstance(formats, Mapping) else ():
        if re.search(r"%[zZ]", str(pattern)):
            text = (
                f"{pattern!r} reads a time zone; convert {column} to the local day or time, without one, in the source"
            )
            yield Problem(("tables", name, "date_formats", column), text)


def _value_problems(name: str, table: Mapping[str, Any], contract: TableContract) -> Iterator[Problem]:
    """Tell targets of value maps that the contract does not know."""
    maps = table.get("values")
    for column, mapped in maps.items() if isinstance(maps, Mapping) else ():
        if column not in contract.column_names or not isinstance(mapped, Mapping):
            continue
        choices = contract.column(column).choices
        for code, target in mapped.items():
            if choices and target not in choices:
                place = ("tables", name, "values", column, code)
                yield Problem(place, f"{target!r} is no {column}; {nearest(str(target), choices)}")


def _source_problems(name: str, table: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Problem]:
    """Tell connections that are not declared, names of files that no query uses, and hashing without a key."""
    source = table.get("source")
    source = source if isinstance(source, Mapping) else {}
    connections, wanted = data.get("connections") or {}, source.get("connection")
    if isinstance(connections, Mapping) and isinstance(wanted, str) and wanted not in connections:
        text = f"no connection {wanted!r} is declared; {nearest(wanted, connections)}"
        yield Problem(("tables", name, "source", "connection"), text)
    files, sql = source.get("files"), source.get("sql")
    for file in files if isinstance(files, Mapping) and isinstance(sql, str) else ():
        if not _NAME.match(str(file)):
            text = f"{file!r} cannot name a table in SQL; use letters, digits and underscores"
            yield Problem(("tables", name, "source", "files", file), text)
        elif not re.search(rf"\b{re.escape(str(file))}\b", str(sql), re.IGNORECASE):
            yield Problem(("tables", name, "source", "files", file), f"the query does not use the file {file!r}")
    if table.get("hashed") and not data.get("hash_key_env"):
        text = "name the environment variable that holds the key under hash_key_env"
        yield Problem(("tables", name, "hashed"), f"hashed columns need a key; {text}")
