"""Bring a table of a source into memory as Arrow, just as it is: text stays text, types of the source stay.

First only the names of the columns are read, so that a refused column is told before its values are touched. This
module knows where bytes lie; it does not know what a column means.
"""

import csv
import glob
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as arrow
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from recoverykit.data._connecting import connect
from recoverykit.data._hashing import hash_columns
from recoverykit.data._spec_models import (
    ConnectionQuery,
    ConnectionTable,
    CsvFiles,
    DuckDbFile,
    FilesQuery,
    ParquetFiles,
    Rows,
    TableSpec,
)
from recoverykit.data.mapping import DataSpec
from recoverykit.data.refusals import sql_names
from recoverykit.errors import SpecError

Files = CsvFiles | ParquetFiles


class UnreadableTable(Exception):
    """The source is there but holds no table; told as a violation of the contract."""


@dataclass(slots=True)
class Reader:
    """Reads the tables of one spec; holds its open connections.

    Attributes
    ----------
    spec : DataSpec
        The spec.
    connections : dict of str to Ibis backend
        Opened when first needed.
    """

    spec: DataSpec
    connections: dict[str, Any] = field(default_factory=dict)

    def close(self) -> None:
        """Close the connections."""
        for connection in self.connections.values():
            connection.disconnect()
        self.connections.clear()

    def connect(self, name: str) -> Any:
        """Return the Ibis backend of a declared connection.

        Raises
        ------
        SpecError
            When it cannot be opened; the message holds no URL.
        """
        if name not in self.connections:
            self.connections[name] = connect(name, self.spec)
        return self.connections[name]

    def names(self, table: TableSpec) -> list[str]:
        """Return every column name that a source carries or its query mentions, without reading values."""
        source = table.source
        if isinstance(source, CsvFiles | ParquetFiles):
            return list(dict.fromkeys(name for path in self.paths(source) for name in header(path, source)))
        if isinstance(source, FilesQuery):
            carried = [
                name for files in source.files.values() for path in self.paths(files) for name in header(path, files)
            ]
            return list(dict.fromkeys([*carried, *sql_names(source.sql)]))
        if isinstance(source, Rows):
            return list(dict.fromkeys(name for row in source.rows for name in row))
        relation = self._relation(source)
        mentioned = sql_names(source.sql) if isinstance(source, ConnectionQuery) else []
        return list(dict.fromkeys([*relation.columns, *mentioned]))

    def read(self, table: TableSpec) -> dict[str, arrow.Table]:
        """Return what a source carries, with every column; declared columns are hashed.

        Returns
        -------
        dict of str to Table
            The named files of a query over files; one table under "" otherwise.

        Raises
        ------
        UnreadableTable
            When a file is empty, is damaged, or has other columns than its neighbours.
        SpecError
            When a query fails, or a column to be hashed is not there.
        """
        return hash_columns(self._parts(table), table.hashed, self.spec.hash_key_env)

    def _parts(self, table: TableSpec) -> dict[str, arrow.Table]:
        source = table.source
        if isinstance(source, CsvFiles | ParquetFiles):
            return {"": _read_files(self.paths(source), source)}
        if isinstance(source, FilesQuery):
            return {name: _read_files(self.paths(files), files) for name, files in source.files.items()}
        if isinstance(source, Rows):
            return {"": _read_rows(source)}
        relation = self._relation(source)
        try:
            result = relation.to_pyarrow()
        except Exception as error:
            raise SpecError(f"connection {source.connection}: the query failed ({type(error).__name__})") from None
        return {"": _without_twins(result, f"connection {source.connection}: the result")}

    def paths(self, files: Files) -> list[Path]:
        """Return the files that the paths and globs of a source stand for, sorted.

        Raises
        ------
        SpecError
            When one of them matches nothing.
        """
        given = files.csv if isinstance(files, CsvFiles) else files.parquet
        found: list[Path] = []
        for pattern in given:
            full = self.spec.folder / pattern
            matched = (
                [full] if full.is_file() else [Path(match) for match in sorted(glob.glob(str(full), recursive=True))]
            )
            matched = [path for path in matched if path.is_file()]
            if not matched:
                raise SpecError(f"no file matches {pattern!r} in {self.spec.folder}; paths are relative to the spec")
            found += matched
        return list(dict.fromkeys(found))

    def all_paths(self) -> list[Path]:
        """Return every file that the spec names, databases included."""
        found: list[Path] = []
        for table in self.spec.tables.given().values():
            source = table.source
            if isinstance(source, CsvFiles | ParquetFiles):
                found += self.paths(source)
            elif isinstance(source, FilesQuery):
                found += [path for files in source.files.values() for path in self.paths(files)]
        files = [item for item in self.spec.connections.values() if isinstance(item, DuckDbFile)]
        return list(dict.fromkeys([*found, *(self.spec.folder / item.path for item in files)]))

    def _relation(self, source: ConnectionTable | ConnectionQuery) -> Any:
        connection = self.connect(source.connection)
        try:
            if isinstance(source, ConnectionQuery):
                return connection.sql(source.sql)
            schema, _, name = source.table.rpartition(".")
            return connection.table(name, database=schema or None)
        except Exception as error:
            what = source.table if isinstance(source, ConnectionTable) else "the query"
            words = f"connection {source.connection}: cannot read {what} ({type(error).__name__})"
            raise SpecError(f"{words}; check its name, or run the query in the database") from None


def run_query(query: FilesQuery, parts: Mapping[str, arrow.Table]) -> arrow.Table:
    """Run a query in a database of its own that sees the named tables and nothing else.

    Parameters
    ----------
    query : FilesQuery
        One SELECT in DuckDB's dialect.
    parts : mapping of str to Table
        The tables by the names that the query uses.

    Raises
    ------
    SpecError
        With the first line of what DuckDB says, but for the values in it; or when two columns have one name.
    """
    with duckdb.connect(config={"python_enable_replacements": "false"}) as connection:
        for name, part in parts.items():
            connection.register(name, part)
        connection.execute("SET enable_external_access = false")
        try:
            result = connection.sql(query.sql).to_arrow_table()
        except (duckdb.Error, AttributeError) as error:
            said = str(error).splitlines()[0] if isinstance(error, duckdb.Error) else "it is no SELECT"
            # a value that cannot be cast stands in single quotes, and it may be anything that a file holds
            said = re.sub(r"'.*'", "(value hidden)", said)
            raise SpecError(f"the query over {', '.join(parts)} failed: {said}") from None
    return _without_twins(result, f"the query over {', '.join(parts)}")


def _without_twins(table: arrow.Table, what: str) -> arrow.Table:
    """Return a table whose columns have names of their own."""
    twice = _twice(table.column_names)
    if twice:
        raise SpecError(f"{what} has columns of the same name: {', '.join(twice)}; give each a name of its own with AS")
    return table


def _twice(names: Sequence[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def header(path: Path, files: Files) -> list[str]:
    """Return the column names of a file.

    Raises
    ------
    SpecError
        When the file is no Parquet, or has not the declared encoding.
    """
    try:
        if isinstance(files, ParquetFiles):
            return list(parquet.read_schema(path).names)
        with arrow.input_stream(str(path), compression="detect") as stream:
            # bytes that do not fit the encoding are told when the rows are read, with the rest of the report
            text = io.TextIOWrapper(stream, encoding=files.encoding, errors="replace", newline="")
            names = next(csv.reader(text, delimiter=files.delimiter), [])
            return [name.removeprefix("\ufeff") for name in names]
    except (arrow.ArrowException, UnicodeDecodeError, LookupError, OSError) as error:
        kind = "Parquet" if isinstance(files, ParquetFiles) else f"CSV in {files.encoding}"
        raise SpecError(
            f"cannot read {path.name} as {kind} ({type(error).__name__}); check file and encoding"
        ) from None


def file_hashes(paths: Collection[Path], folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file, by its path relative to the folder of the spec."""
    hashes = {}
    for path in paths:
        with path.open("rb") as stream:
            hashes[Path(os.path.relpath(path, folder)).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return dict(sorted(hashes.items()))


def _read_files(paths: Sequence[Path], files: Files) -> arrow.Table:
    """Read the files of one source below each other; they must have the same columns."""
    read = {path: _read_csv(path, files) if isinstance(files, CsvFiles) else _read_parquet(path) for path in paths}
    names = read[paths[0]].column_names
    for path, table in read.items():
        other = sorted(set(table.column_names) ^ set(names))
        if other:
            words = f"{path.name} and {paths[0].name} must have the same columns; not in both: {', '.join(other)}"
            raise UnreadableTable(words)
    try:
        return arrow.concat_tables([table.select(names) for table in read.values()], promote_options="permissive")
    except arrow.ArrowException as error:
        raise UnreadableTable(f"the files hold different types in one column: {error}") from error


def _read_rows(source: Rows) -> arrow.Table:
    """Return rows of the spec as text, as a CSV file would hold them."""
    names = list(source.rows[0])
    for number, row in enumerate(source.rows, start=1):
        other = sorted(set(row) ^ set(names))
        if other:
            raise UnreadableTable(f"row {number} and row 1 must have the same columns; not in both: {', '.join(other)}")
    columns = {name: [_as_text(row[name]) for row in source.rows] for name in names}
    return arrow.table({name: arrow.array(values, type=arrow.string()) for name, values in columns.items()})


def _as_text(value: str | int | float | bool) -> str | None:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text or None


def _read_parquet(path: Path) -> arrow.Table:
    table = parquet.read_table(path, partitioning=None)
    return table.select([name for name in table.column_names if not name.startswith("__index_level_")])


def _read_csv(path: Path, files: CsvFiles) -> arrow.Table:
    names = header(path, files)
    if not names:
        raise UnreadableTable(f"{path.name} is empty; not even a header line was found")
    twice = _twice(names)
    if twice:
        raise UnreadableTable(f"{path.name} has columns of the same name: {', '.join(twice)}")
    odd_rows: list[int] = []

    def skip_and_count(row: Any) -> str:
        odd_rows.append(row.number or 0)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(encoding=files.encoding, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=files.delimiter, newlines_in_values=True, invalid_row_handler=skip_and_count
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, arrow.string()),
                null_values=["", *files.null_values],
                strings_can_be_null=True,
            ),
        )
    except (arrow.ArrowException, UnicodeDecodeError) as error:
        kind = type(error).__name__
        raise UnreadableTable(f"{path.name} is no CSV in {files.encoding} ({kind}); declare its encoding") from None
    if odd_rows:
        shown = ", ".join(str(number) for number in odd_rows[:5])
        raise UnreadableTable(f"{path.name} has {len(odd_rows)} lines without {len(names)} values, first line {shown}")
    return table.rename_columns(names)


__all__ = ["Reader", "UnreadableTable", "file_hashes", "header", "run_query"]
