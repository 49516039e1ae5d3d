"""A database URL with a secret in it is used by a run, and stands nowhere that the run has written or said."""

import os
from pathlib import Path

import duckdb
import pytest
import yaml

from recoverykit import cli
from recoverykit.batch._redact import HIDDEN, redact, without_secrets
from recoverykit.batch.pipeline import injected_parameters, run_pack
from recoverykit.batch.plan import expand_plan, read_plan
from recoverykit.errors import RecoverykitError

SAMPLE = Path(__file__).parents[1] / "data_samples"
SECRET = "hunter2-planted"  # stands for the password in a URL
PLAN = """
version: 1
name: small
title: Small pack
segment_by: [channel]
stages:
  - {name: look, scope: portfolio, notebooks: [01_look, 02_fail]}
"""
LOOK = """import os
from recoverykit.batch.results import write_result
print(dict(os.environ))
write_result(results_folder, notebook="01_look", record={"seen": sorted(os.environ.values()), "data": data})"""
FAIL = 'raise ValueError("cannot reach postgres://me:hunter2-planted@host/db")'


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """Return a spec whose tables lie in a database; its URL holds the secret, and stands in the environment only."""
    content = yaml.safe_load((SAMPLE / "specs" / "sample.yml").read_text())
    path = tmp_path / SECRET / "bank.duckdb"
    path.parent.mkdir()
    with duckdb.connect(str(path)) as database:
        for name in content["tables"]:
            database.execute(f"CREATE TABLE {name} AS SELECT * FROM '{SAMPLE / name}.parquet'")
            content["tables"][name] = {"source": {"connection": "bank", "table": name}}
    content["connections"] = {"bank": {"url_env": "BANK_DB_URL"}}
    monkeypatch.setenv("BANK_DB_URL", f"duckdb://{path}?read_only=1")
    spec = tmp_path / "spec.yml"
    spec.write_text(yaml.safe_dump(content))
    return spec


def test_a_planted_secret_stands_nowhere_in_the_run_folder(spec, tmp_path, write_notebook, capfd):
    write_notebook(tmp_path, "01_look", [LOOK], segment=False)
    write_notebook(tmp_path, "02_fail", [FAIL], segment=False)
    (tmp_path / "plan.yml").write_text(PLAN)
    folder = tmp_path / "run"
    assert cli.main(["run", str(tmp_path / "plan.yml"), "--data", str(spec), "--out", str(folder)]) == 1
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"manifest.json", "log.jsonl", "index.html", "record.json", "all.ipynb"} <= {path.name for path in files}
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err
    page = (folder / "pages" / "02_fail" / "all.html").read_text()
    assert f"cannot reach postgres://{HIDDEN}@host/db" in page
    assert str(folder) in (folder / "results" / "01_look" / "all" / "record.json").read_text()  # the data were read


def test_a_kernel_gets_no_variable_that_speaks_of_a_secret():
    environment = {
        "BANK_DB_URL": "duckdb:///x",
        "API_TOKEN": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "BANK_HASH_KEY": "x",
        "WAREHOUSE": "postgres://me:pw@host/db",
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
    }
    assert without_secrets(environment) == {"PATH": os.defpath, "LANG": "C.UTF-8"}


def test_a_secret_is_blanked_as_json_writes_it_too():
    text = redact(r'"it is \"quoted\\secret\" here"', {"DB_PASSWORD": '"quoted\\secret"'})
    assert text == f'"it is {HIDDEN} here"'


def test_a_password_that_holds_an_at_sign_is_blanked_to_its_end():
    assert redact("postgres://me:p@ss@host/db or not", {}) == f"postgres://{HIDDEN}@host/db or not"


def test_an_error_on_the_terminal_and_the_reason_in_the_manifest_hold_no_login(tmp_path, write_notebook, capsys):
    def write_book(target):
        raise RecoverykitError(f"cannot reach postgres://me:{SECRET}@host/db")

    write_notebook(tmp_path, "01_look", segment=False)
    write_notebook(tmp_path, "02_fail", segment=False)
    (tmp_path / "plan.yml").write_text(PLAN)
    plan, folder = read_plan(tmp_path / "plan.yml"), tmp_path / "run"
    tasks = expand_plan(plan, ["a"], injected_parameters(folder, "2026-09-30"))
    with pytest.raises(RecoverykitError):
        run_pack(plan, tasks, folder, reporting_date="2026-09-30", data={}, write_book=write_book, progress=False)
    assert cli.main(["status", str(folder)]) == 1
    assert f"Reason: cannot reach postgres://{HIDDEN}@host/db" in capsys.readouterr().out
    assert [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []


def test_an_error_of_the_command_line_holds_no_login(monkeypatch, capsys):
    def refuse(*arguments, **options):
        raise RecoverykitError(f"cannot reach postgres://me:{SECRET}@host/db")

    monkeypatch.setattr(cli, "_load", lambda name: refuse)
    assert cli.main(["check", "spec.yml"]) == 2
    assert capsys.readouterr().err == f"recoverykit: cannot reach postgres://{HIDDEN}@host/db\n"
