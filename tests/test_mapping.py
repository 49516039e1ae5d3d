"""The data spec: what it accepts, and what it says about everything else."""

import json
from pathlib import Path

import pytest

from recoverykit.data.mapping import DataSpec, read_spec, spec_json_schema
from recoverykit.errors import SpecError

SAMPLES = Path(__file__).parents[1] / "data_samples"
HEAD = """\
version: 1
name: a bank
currency: USD
reporting_date: 2026-09-30
"""
TABLES = """\
tables:
  facilities: {source: {csv: facilities.csv}}
  episodes: {source: {csv: episodes.csv}}
  cash_flows: {source: {csv: cash_flows.csv}}
"""


def read(folder, text):
    path = folder / "spec.yml"
    path.write_text(text, encoding="utf-8")
    return read_spec(path)


def complaint(folder, text):
    """Return the message of the error that a spec must raise."""
    with pytest.raises(SpecError) as error:
        read(folder, text)
    return str(error.value)


def test_a_spec_with_every_part_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("YEAR", "2026")
    spec = read(
        tmp_path,
        HEAD
        + """\
after_reporting_date: cut
segment_columns: [channel]
driver_columns: [ltv_ratio]
macro_columns: [unemployment_rate]
hash_key_env: BANK_KEY
connections:
  warehouse: {backend: duckdb, path: "bank_${YEAR}.duckdb"}
  mart: {url_env: BANK_DB_URL}
  open: {url: "duckdb://open.duckdb"}
tables:
  facilities:
    source: {csv: ["a.csv", "b_*.csv"], delimiter: ";", encoding: gb18030, decimal: ",", null_values: [NA]}
    columns: {facility_id: LOAN_NO, channel: KANAL}
    values: {collateral_kind: {NO: none, 1: vehicle}}
    date_formats: {origination_date: "%d/%m/%Y"}
    constants: {region: all}
    ignore: ["X_*"]
    hashed: [SSN]
    percent: [eir]
  status:
    source: {connection: warehouse, table: mart.status}
  episodes:
    source: {connection: mart, sql: "SELECT * FROM episodes"}
  cash_flows:
    source: {sql: "SELECT * FROM flows", files: {flows: {parquet: "${FOLDER:-flows}/*.parquet"}}}
  scenarios:
    source: {parquet: scenarios.parquet}
""",
    )
    assert spec.reporting_date.isoformat() == "2026-09-30"
    assert spec.folder == tmp_path
    assert list(spec.tables.given()) == ["facilities", "status", "episodes", "cash_flows", "scenarios"]
    assert spec.connections["warehouse"].path == "bank_2026.duckdb"
    assert spec.tables.cash_flows.source.files["flows"].parquet == ("flows/*.parquet",)
    # NO is a truth value in YAML 1.1; a country or code of that name must stay what was written
    assert spec.tables.facilities.values == {"collateral_kind": {"NO": "none", "1": "vehicle"}}


def test_a_spec_is_frozen(tmp_path):
    spec = read(tmp_path, HEAD + TABLES)
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "another"


def test_every_problem_is_told_at_once_with_its_line(tmp_path):
    message = complaint(
        tmp_path,
        """\
version: 2
name: a bank
curency: USD
reporting_date: 30.09.2026
segment_columns: [channel]
tables:
  facilities:
    source: {csv: facilities.csv, delimeter: ";"}
    columns: {facilty_id: LOAN_NO}
    column: {}
  episode: {source: {csv: episodes.csv}}
  cash_flows:
    source: {csv: flows.csv}
    values: {kind: {REP: repaiment}}
""",
    )
    lines = message.splitlines()[1:]
    expected = [
        "line 1, the spec: the key 'currency' is missing",
        "line 1, version: input should be 1, found 2",
        "line 3, curency: unknown key; nearest valid name: currency",
        "line 4, reporting_date: ",
        "line 6, tables: give the table status, or episodes where the bank holds them",
        "line 8, tables.facilities.source.delimeter: unknown key; nearest valid name: delimiter",
        "line 9, tables.facilities.columns.facilty_id: 'facilty_id' is no column of facilities; nearest valid name",
        "line 10, tables.facilities.column: unknown key; nearest valid name: columns",
        "line 11, tables.episode: unknown key; nearest valid name: episodes",
        "line 14, tables.cash_flows.values.kind.REP: 'repaiment' is no kind; nearest valid name: repayment",
    ]
    found = [line.strip() for line in lines]
    assert [words for words in expected if not any(line.startswith(words) for line in found)] == []
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("currency: USD", "currency: dollars", "line 3, currency: "),
        ("reporting_date: 2026-09-30", "after_reporting_date: ignore", "'refuse' or 'cut'"),
        ("{csv: episodes.csv}", "{cvs: episodes.csv}", "unknown key 'cvs', nearest valid name: csv"),
        ("{csv: episodes.csv}", "episodes.csv", "give one of `csv: path`"),
        ("{csv: episodes.csv}", "{csv: 7}", "1 problem in the data spec:\n  line 7, tables.episodes.source.csv: "),
        ("{csv: episodes.csv}", "{connection: mart, table: t}", "no connection 'mart' is declared"),
        ("{csv: episodes.csv}", "{sql: SELECT 1}", "the key 'files' is missing"),
        ("{csv: episodes.csv}", "{sql: SELECT 1, files: {f: {csv: x}}}", "the query does not use the file 'f'"),
        ("{csv: episodes.csv}", "{sql: SELECT 1, files: {f: {cvs: x}}}", "unknown key 'cvs', nearest valid name: csv"),
        ("{csv: episodes.csv}", "{csv: e.csv}, hashed: [SSN]", "hashed columns need a key"),
        ("{csv: episodes.csv}", "{csv: e.csv}, percent: [outcome]", "outcome is no number"),
        ("{csv: episodes.csv}", "{csv: e.csv}, percent: [currency]", "currency is no number"),
        ("{csv: episodes.csv}", "{csv: e.csv}, date_formats: {ead: '%Y'}", "ead is no date"),
        ("{csv: episodes.csv}", "{csv: e.csv}, date_formats: {default_date: '%Y-%m-%d %z'}", "reads a time zone"),
        ("{csv: episodes.csv}", "{connection: [mart], table: t}", "source.connection: input should be a valid string"),
        ("name: a bank", "name: !ENV BANK", "line 2, column 7: this is no valid YAML"),
        ("name: a bank", "name: &name [*name]", "this is no valid YAML"),
        ("{csv: episodes.csv}", "{csv: e.csv}, columns: {ead: A}, constants: {ead: 1}", "ead is also under columns"),
        ("{csv: episodes.csv}", "{csv: '${NO_SUCH_VARIABLE}/e.csv'}", "variable NO_SUCH_VARIABLE is not set"),
        ("version: 1", "version: 1\nversion: 1", "the key 'version' stands twice, again in line 2"),
        ("version: 1", "version: 1\nsegment_columns: [a, a]", "'a' is declared twice"),
        ("version: 1", "version: 1\nsegment_columns: [a]\ndriver_columns: [a]", "also under segment_columns"),
        ("version: 1", "version: 1\nsegment_columns: ['a b']", "'a b' is no column name"),
        ("version: 1", "version: 1\nconnections: {w: {backend: oracle}}", "connections.w"),
        ("version: 1", "version: 1\nconnections: {w: {uri: x}}", "unknown key 'uri', nearest valid name: url"),
    ],
)
def test_a_wrong_entry_is_told_with_what_is_allowed(tmp_path, old, new, words):
    assert old in HEAD + TABLES
    assert words in complaint(tmp_path, (HEAD + TABLES).replace(old, new))


@pytest.mark.parametrize("url", ["postgres://me:hunter2@host/db", "snowflake://me@x/db?password=hunter2"])
def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path, url):
    message = complaint(tmp_path, f"{HEAD}connections:\n  mart: {{url: '{url}'}}\n{TABLES}")
    assert "the URL holds a password" in message
    assert "url_env" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("connections: {mart: {url_env: 'postgres://me:hunter2@host/db'}}", "connections.mart.url_env"),
        ("connections: {mart: 'postgres://me:hunter2@host/db'}", "connections.mart"),
        ("hash_key_env: the key is hunter2", "hash_key_env"),
    ],
)
def test_a_secret_in_the_wrong_place_is_told_and_not_repeated(tmp_path, entry, place):
    message = complaint(tmp_path, f"{HEAD}{entry}\n{TABLES}")
    assert f"line 5, {place}: " in message
    assert "hunter2" not in message


@pytest.mark.parametrize("text", ["", "- a list\n", "just text", "key: [unclosed"])
def test_a_file_that_is_no_spec_is_told(tmp_path, text):
    assert "spec.yml" in complaint(tmp_path, text)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(SpecError, match="cannot read"):
        read_spec(tmp_path / "none.yml")


def test_a_spec_built_in_python_keeps_the_same_rules():
    tables = {name: {"source": {"csv": f"{name}.csv"}} for name in ("facilities", "episodes", "cash_flows")}
    DataSpec(version=1, name="a bank", currency="USD", tables=tables)
    tables["episodes"]["columns"] = {"eda": "X"}
    with pytest.raises(ValueError, match="nearest valid name: ead"):
        DataSpec(version=1, name="a bank", currency="USD", tables=tables)


@pytest.mark.parametrize("name", ["sample", "dcr"])
def test_a_shipped_spec_is_valid(name):
    assert read_spec(SAMPLES / "specs" / f"{name}.yml").name == name


def test_the_shipped_json_schema_is_current():
    shipped = (SAMPLES / "schemas" / "data_spec.schema.json").read_text(encoding="utf-8")
    assert json.loads(shipped) == spec_json_schema()
