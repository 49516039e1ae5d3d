"""The data spec: one YAML file that says where a bank's tables are and what its names and codes mean.

Reading a spec tells everything that is wrong with it at once, each with its line, and opens no data. What the tables
hold is the business of `recoverykit.data.sources`.
"""

import datetime
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from recoverykit.data._spec_models import (
    Connection,
    ConnectionQuery,
    ConnectionTable,
    CsvFiles,
    DuckDbFile,
    FilesQuery,
    Names,
    ParquetFiles,
    Rows,
    SpecPart,
    TableSpec,
    TableSpecs,
    Url,
    UrlFromEnvironment,
    UrlFromKeyring,
)
from recoverykit.data._spec_rules import spec_problems
from recoverykit.data._spec_yaml import Place, Problem, StrictYaml, read_strict_yaml
from recoverykit.data._wording import nearest
from recoverykit.errors import SpecError

__all__ = ["DataSpec", "TableSpec", "TableSpecs", "read_spec", "spec_json_schema"]

#: Parts whose values may hold a secret that was put in the wrong place; messages never repeat them.
_NEVER_SHOWN = ("connections", "hash_key_env")
#: Where editors find the rules of the format.
SCHEMA_TITLE = "recoverykit data spec"


class DataSpec(SpecPart):
    """A bank's data as the spec describes them.

    Build it with `read_spec`; every field is documented there by its description, and in the JSON Schema.

    Attributes
    ----------
    folder : Path
        The folder that relative paths start from: that of the spec file.
    """

    version: Literal[1] = Field(description="Version of this format.")
    name: str = Field(min_length=1, description="Name of the data set, as it stands on pages.")
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the one currency of all amounts.")
    reporting_date: datetime.date | None = Field(
        None, description="The date as of which everything is known; --as-of goes before it."
    )
    after_reporting_date: Literal["refuse", "cut"] = Field(
        "refuse", description="Rows dated later are an error (refuse), or are left out and counted (cut)."
    )
    segment_columns: Names = Field((), description="Further text columns of facilities, to segment by.")
    driver_columns: Names = Field((), description="Further numeric columns of facilities, to model with.")
    macro_columns: Names = Field((), description="Numeric columns of scenarios.")
    hash_key_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Environment variable with the key of hashed columns."
    )
    connections: dict[str, Connection] = Field({}, description="Databases by name.")
    tables: TableSpecs = Field(description="The contract tables that the bank has.")

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return self._folder

    @model_validator(mode="after")
    def _entries_fit_together(self) -> "DataSpec":
        problems = spec_problems(self.model_dump(exclude_none=True))
        if problems:
            raise ValueError("; ".join(f"{_words(problem.place)}: {problem.text}" for problem in problems))
        return self


def read_spec(path: str | os.PathLike[str]) -> DataSpec:
    """Read a data spec.

    ``${VAR}`` and ``${VAR:-default}`` are filled from the environment. Paths are relative to the spec file.

    Parameters
    ----------
    path : str or PathLike
        The YAML file.

    Returns
    -------
    DataSpec
        Frozen; no data have been opened.

    Raises
    ------
    SpecError
        Lists every problem with its line: unknown keys with the nearest valid key, wrong types, repeated keys, unknown
        contract names, targets of value maps that the contract does not know, missing environment variables.
    """
    file = Path(path)
    content = read_strict_yaml(file)
    if not isinstance(content.data, dict):
        raise SpecError(f"{file}: a data spec is a mapping that begins with `version: 1`, found nothing of that kind")
    problems = list(content.problems)
    spec = None
    try:
        spec = DataSpec.model_validate(content.data)
    except ValidationError as error:
        told = (_told(dict(entry), content) for entry in error.errors(include_url=False) if entry["loc"])
        # the members of a union each complain about the same entry; the first says enough
        problems += {(problem.place, problem.text.partition(",")[0]): problem for problem in told}.values()
    problems += spec_problems(content.data)
    if problems or spec is None:
        raise SpecError(_report(file, content, problems))
    spec._folder = file.resolve().parent
    return spec


def spec_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a data spec, with which editors complete and check the YAML.

    Returns
    -------
    dict
        JSON Schema, draft 2020-12.

    Examples
    --------
    >>> sorted(spec_json_schema()["required"])
    ['currency', 'name', 'tables', 'version']
    """
    schema = DataSpec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": SCHEMA_TITLE}


def _words(place: Place) -> str:
    return ".".join(str(part) for part in place) or "the spec"


def _report(file: Path, content: StrictYaml, problems: list[Problem]) -> str:
    """Return the message with all problems in the order of their lines."""
    numbered = sorted(
        {(content.line_of(problem.place) or 1, _words(problem.place), problem.text) for problem in problems}
    )
    lines = "\n".join(f"  line {line}, {place}: {text}" for line, place, text in numbered)
    count = f"{len(numbered)} problem{'s' if len(numbered) != 1 else ''}"
    return f"{file}: {count} in the data spec:\n{lines}"


_FORMS: dict[str, type[SpecPart]] = {
    "csv": CsvFiles,
    "parquet": ParquetFiles,
    "table": ConnectionTable,
    "query": ConnectionQuery,
    "files query": FilesQuery,
    "rows": Rows,
    "duckdb": DuckDbFile,
    "url": Url,
    "url_env": UrlFromEnvironment,
    "url_keyring": UrlFromKeyring,
}
_FORM_KEYS = {
    "no_source": ("csv", "parquet", "connection", "table", "sql", "files", "rows"),
    "no_connection": ("backend", "path", "url", "url_env", "url_keyring"),
    "no_file": ("csv", "parquet"),
}


def _told(entry: dict[str, Any], content: StrictYaml) -> Problem:
    """Turn one error of pydantic into plain words; what does not stand in the file is left out of its place."""
    place: Place = tuple(part for part in entry["loc"])
    plain = content.known_part(place)
    found = entry.get("input")
    kind = entry["type"]
    if kind == "extra_forbidden":
        valid = list(_part_at(place[:-1]).model_fields)
        return Problem(plain, f"unknown key; {nearest(str(place[-1]), valid)}")
    if kind == "missing":
        return Problem(plain, f"the key {place[-1]!r} is missing")
    if kind in ("no_source", "no_connection", "no_file") and isinstance(found, dict):
        unknown = [
            f"unknown key {key!r}, {nearest(key, _FORM_KEYS[kind])}" for key in found if key not in _FORM_KEYS[kind]
        ]
        return Problem(plain, "; ".join([str(entry["msg"]), *unknown]))
    text = str(entry["msg"]).removeprefix("Value error, ")
    tells = isinstance(found, str | int | float | bool) and kind != "value_error" and place[0] not in _NEVER_SHOWN
    return Problem(plain, f"{text[:1].lower()}{text[1:]}{f', found {found!r}' if tells else ''}")


def _part_at(place: Place) -> type[SpecPart]:
    """Return the part of the spec to which a place with its tags belongs."""
    tag = next((str(part) for part in reversed(place) if part in _FORMS and len(place) > 2), None)
    if tag is not None:
        return _FORMS[tag]
    parts: tuple[type[SpecPart], ...] = (DataSpec, TableSpecs, TableSpec)
    return parts[min(len(place), 2)]
