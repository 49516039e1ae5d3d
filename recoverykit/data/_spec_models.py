"""The parts of a data spec: where a table comes from and how the bank's names and values become the contract's."""

from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, field_validator

from recoverykit.data._columns import TABLES

Names = tuple[str, ...]


def _as_list(value: Any) -> Any:
    """Return a single path as a list of one; leave everything else to the check of types."""
    return (value,) if isinstance(value, str) else value


Paths = Annotated[
    Names,
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"items": {"type": "string"}, "type": "array", "minItems": 1}]}),
    Field(min_length=1),
]
_SECRETS = {"password", "passwd", "pwd", "token", "secret", "access_token", "motherduck_token"}


class SpecPart(BaseModel):
    """A part of the spec: frozen, and no key beside the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


class CsvFiles(SpecPart):
    """CSV files with a header line; every value is read as text and parsed strictly."""

    csv: Paths = Field(description="Path or glob, or a list of them, relative to the spec.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="Character between values.")
    encoding: str = Field("utf-8", description="Encoding of the file, for example gb18030.")
    decimal: Literal[".", ","] = Field(".", description="Decimal mark of numbers; thousands marks are not accepted.")
    null_values: Names = Field((), description="Texts that mean a missing value, beside the empty one.")


class ParquetFiles(SpecPart):
    """Parquet files; the types in the files are kept."""

    parquet: Paths = Field(description="Path or glob, or a list of them, relative to the spec.")


class ConnectionTable(SpecPart):
    """A table of a declared connection."""

    connection: str = Field(description="Name under `connections`.")
    table: str = Field(description="Name of the table or view; schema.table where there are schemas.")


class ConnectionQuery(SpecPart):
    """A query that a declared connection runs."""

    connection: str = Field(description="Name under `connections`.")
    sql: str = Field(min_length=1, description="SELECT in the dialect of that database.")


class Rows(SpecPart):
    """Rows written into the spec itself, for a table of a few values; each is read as text and parsed strictly."""

    rows: Annotated[tuple[dict[str, str | int | float | bool], ...], Field(min_length=1)] = Field(
        description="One mapping per row, column to value; every row has the same columns."
    )


def _keys(value: Any) -> set[str]:
    """Return the keys of a part, whether it is still plain or a model already."""
    if isinstance(value, BaseModel):
        return set(value.model_fields_set)
    return set(value) if isinstance(value, dict) else set()


def _file_kind(value: Any) -> str | None:
    keys = _keys(value)
    return next((kind for kind in ("csv", "parquet") if kind in keys), None)


NamedFiles = Annotated[
    Annotated[CsvFiles, Tag("csv")] | Annotated[ParquetFiles, Tag("parquet")],
    Discriminator(
        _file_kind,
        custom_error_type="no_file",
        custom_error_message="give `csv: path` or `parquet: path`",
    ),
]


class FilesQuery(SpecPart):
    """A DuckDB query over files; each file is a table of that name, columns of CSV files are text."""

    sql: str = Field(min_length=1, description="SELECT in DuckDB's dialect over the names under `files`.")
    files: dict[str, NamedFiles] = Field(min_length=1, description="Name in the query: file.")


def source_kind(value: Any) -> str | None:
    """Return which form of source some keys make, or None when they make none.

    Examples
    --------
    >>> source_kind({"sql": "SELECT 1", "files": {}}), source_kind({"path": "x.csv"})
    ('files query', None)
    """
    keys = _keys(value)
    if "connection" in keys:
        return "query" if "sql" in keys else "table"
    if "files" in keys or "sql" in keys:
        return "files query"
    return next((kind for kind in ("csv", "parquet", "rows") if kind in keys), None)


Source = Annotated[
    Annotated[CsvFiles, Tag("csv")]
    | Annotated[ParquetFiles, Tag("parquet")]
    | Annotated[ConnectionTable, Tag("table")]
    | Annotated[ConnectionQuery, Tag("query")]
    | Annotated[FilesQuery, Tag("files query")]
    | Annotated[Rows, Tag("rows")],
    Discriminator(
        source_kind,
        custom_error_type="no_source",
        custom_error_message="give one of `csv: path`, `parquet: path`, `connection:` with `table:` or `sql:`, "
        "`sql:` with `files:`, or `rows:`",
    ),
]


class DuckDbFile(SpecPart):
    """A DuckDB database file, opened for reading only."""

    backend: Literal["duckdb"]
    path: str = Field(description="Path of the file, relative to the spec.")


class Url(SpecPart):
    """Any database that Ibis knows, by a URL without a password."""

    url: str = Field(description="For example postgres://host/database; with a password use url_env.")

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.password or any(name.lower() in _SECRETS for name, _ in parse_qsl(parts.query)):
            raise ValueError("the URL holds a password; put it into an environment variable and name that as `url_env`")
        return url


class UrlFromEnvironment(SpecPart):
    """Any database that Ibis knows, by a URL that stands in an environment variable."""

    url_env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the environment variable.")


class KeyringEntry(SpecPart):
    """Where a keyring keeps a secret."""

    service: str = Field(min_length=1, description="Service under which it is kept.")
    user: str = Field(min_length=1, description="User name under which it is kept.")


class UrlFromKeyring(SpecPart):
    """Any database that Ibis knows, by a URL that the keyring of the operating system holds."""

    url_keyring: KeyringEntry = Field(description="The entry whose password is the URL (package keyring).")


def connection_kind(value: Any) -> str | None:
    """Return which form of connection some keys make, or None when they make none."""
    keys = _keys(value)
    known = (
        ("url_env", "url_env"),
        ("url_keyring", "url_keyring"),
        ("url", "url"),
        ("backend", "duckdb"),
        ("path", "duckdb"),
    )
    return next((kind for key, kind in known if key in keys), None)


Connection = Annotated[
    Annotated[DuckDbFile, Tag("duckdb")]
    | Annotated[Url, Tag("url")]
    | Annotated[UrlFromEnvironment, Tag("url_env")]
    | Annotated[UrlFromKeyring, Tag("url_keyring")],
    Discriminator(
        connection_kind,
        custom_error_type="no_connection",
        custom_error_message="give `backend: duckdb` with `path:`, or `url_env:`, `url_keyring:` or `url:`",
    ),
]


class TableSpec(SpecPart):
    """Where one contract table comes from, and how its columns and values are called there."""

    source: Source = Field(description="Files, a table or a query.")
    columns: dict[str, str] = Field({}, description="Contract name: the bank's name. Equal names need no entry.")
    values: dict[str, dict[str, str | int | float | bool]] = Field(
        {}, description="Contract name: {the bank's value: contract value}. Every value that occurs must be listed."
    )
    date_formats: dict[str, str] = Field({}, description="Contract name: format such as %d/%m/%Y. ISO needs no entry.")
    constants: dict[str, str | int | float | bool] = Field({}, description="Contract name: the same value in each row.")
    ignore: Names = Field((), description="Columns of the source, or patterns with *, that are knowingly not loaded.")
    hashed: Names = Field((), description="Columns of the source that are hashed on load, because they name a person.")
    percent: Names = Field((), description="Contract names whose source holds percent; divided by 100.")


class TableSpecs(SpecPart):
    """The contract tables that the bank has."""

    facilities: TableSpec = Field(description=TABLES["facilities"].meaning)
    status: TableSpec | None = Field(None, description=TABLES["status"].meaning)
    episodes: TableSpec | None = Field(None, description=TABLES["episodes"].meaning)
    cash_flows: TableSpec = Field(description=TABLES["cash_flows"].meaning)
    collateral: TableSpec | None = Field(None, description=TABLES["collateral"].meaning)
    scenarios: TableSpec | None = Field(None, description=TABLES["scenarios"].meaning)
    instalments: TableSpec | None = Field(None, description=TABLES["instalments"].meaning)
    assignments: TableSpec | None = Field(None, description=TABLES["assignments"].meaning)
    actions: TableSpec | None = Field(None, description=TABLES["actions"].meaning)
    promises: TableSpec | None = Field(None, description=TABLES["promises"].meaning)
    court: TableSpec | None = Field(None, description=TABLES["court"].meaning)
    turnover: TableSpec | None = Field(None, description=TABLES["turnover"].meaning)
    reference_rates: TableSpec | None = Field(None, description=TABLES["reference_rates"].meaning)
    segment_rates: TableSpec | None = Field(None, description=TABLES["segment_rates"].meaning)
    cure_arrears: TableSpec | None = Field(None, description=TABLES["cure_arrears"].meaning)
    indirect_costs: TableSpec | None = Field(None, description=TABLES["indirect_costs"].meaning)

    def given(self) -> dict[str, TableSpec]:
        """Return the tables that are given, by name, in the order of the contract."""
        pairs = ((name, getattr(self, name)) for name in TABLES)
        return {name: table for name, table in pairs if table is not None}
