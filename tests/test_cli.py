"""The command line: plain words, the promised exit codes, nothing left behind by a refusal."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from recoverykit import cli
from recoverykit.batch._owner import owned
from recoverykit.errors import ContractError, Violation

ROOT = Path(__file__).parents[1]
SEGMENTS = ["auto | west", "card | east"]
PLAN = """
version: 1
name: small
title: Small pack
segment_by: [product, region]
stages:
  - {name: segments, scope: segment, notebooks: [02_cure]}
"""
CODE = """from recoverykit.batch.results import write_result
assert segment != "card | east", "no cash flow at all"
write_result(results_folder, notebook="02_cure", segment=segment, record={"data": data})"""


class FakeBook:
    """Stands for the prepared book, which has tests of its own."""

    name, currency, data_hashes = "hand", "USD", {"flows.csv": "ab" * 32}
    reporting_date = pd.Timestamp("2026-09-30")
    segment_by = ("product", "region")
    inventory = pd.DataFrame({"table": ["episodes"], "n_rows": [8]})
    episodes = pd.DataFrame({"episode_id": range(8)})
    exclusions = pd.DataFrame({"table": [], "reason": [], "n_rows": [], "amount": []})
    operations = ()

    def segments(self, segment_by=None):
        return SEGMENTS


def prepare_book(book, folder, discounts):
    (Path(folder) / "book.json").write_text(json.dumps([book.name, *discounts]))


def load_with(**fakes):
    real = cli._load
    return lambda name: fakes[name] if name in fakes else real(name)


@pytest.fixture
def fake_book(monkeypatch):
    asked = []

    def open_book(spec, **options):
        asked.append((spec, options))
        return FakeBook()

    monkeypatch.setattr(cli, "_load", load_with(open_book=open_book, prepare_book=prepare_book))
    return asked


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory, write_notebook):
    folder = tmp_path_factory.mktemp("plan")
    write_notebook(folder, "02_cure", [CODE], title="Does it cure?")
    (folder / "plan.yml").write_text(PLAN)
    return str(folder / "plan.yml")


@pytest.fixture
def run(plan_file, fake_book):
    return lambda *more: cli.main(["run", plan_file, "--data", "spec.yml", "--quiet", *map(str, more)])


class TestRun:
    def test_one_failed_segment_gives_exit_code_1_and_a_pack_that_says_so(self, run, tmp_path, capsys):
        folder = tmp_path / "run"
        assert run("--out", folder) == 1
        said = capsys.readouterr()
        assert said.out.splitlines()[-1] == str(folder / "index.html")
        assert "incomplete (1 done, 1 failed)" in said.out
        assert "failed: 02_cure | card | east: AssertionError: no cash flow at all" in said.out
        assert "Traceback" not in said.err
        assert "Incomplete: 1 of 2 pages" in (folder / "index.html").read_text()
        assert json.loads((folder / "book" / "book.json").read_text()) == ["hand"]
        assert cli.main(["status", str(folder)]) == 1
        assert "failed: 02_cure | card | east" in capsys.readouterr().out
        (folder / "index.html").unlink()
        assert cli.main(["render", str(folder)]) == 1
        assert capsys.readouterr().out.strip() == str(folder / "index.html")

    def test_a_selection_that_goes_well_gives_exit_code_0_in_a_folder_of_its_own(
        self, run, tmp_path, capsys, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        assert run("--segment", "auto | west", "--workers", 1) == 0
        index = tmp_path / "runs" / "small-2026-09-30-part" / "index.html"
        assert capsys.readouterr().out.splitlines()[-1] == str(index)
        assert "Part of the plan only: auto | west." in index.read_text()
        assert cli.main(["status", str(index.parent)]) == 0

    def test_a_dry_run_prints_every_execution_and_runs_nothing(self, run, tmp_path, capsys):
        assert run("--out", tmp_path / "run", "--dry-run") == 0
        out = capsys.readouterr().out
        assert "02_cure/auto__west\n" in out
        assert "segment = 'card | east'" in out
        assert out.splitlines()[-1] == "2 executions; nothing was run."
        assert not (tmp_path / "run").exists()

    def test_a_stage_that_the_data_cannot_fill_is_told_in_a_dry_run_and_on_the_cover(
        self, plan_file, fake_book, write_notebook, tmp_path, capsys
    ):
        folder = tmp_path / "notebooks"
        write_notebook(folder, "02_cure", [CODE])
        write_notebook(folder, "13_units", [CODE], segment=False)
        plan = tmp_path / "plan.yml"
        more = "  - {name: operations, scope: portfolio, notebooks: [13_units], needs: [actions]}\n"
        plan.write_text(PLAN.replace("stages:", "notebooks_folder: notebooks\nstages:") + more)
        words = "operations: the data hold no table actions, so 13_units did not run"
        arguments = ["run", str(plan), "--data", "spec.yml", "--out", str(tmp_path / "run")]
        assert cli.main([*arguments, "--dry-run"]) == 0
        out = capsys.readouterr().out
        assert f"left out: {words}" in out
        assert "13_units/all" not in out
        cli.main([*arguments, "--quiet", "--segment", "auto | west", "--workers", "1"])
        assert words in (tmp_path / "run" / "index.html").read_text()

    def test_date_and_segment_columns_reach_the_book(self, run, fake_book, tmp_path):
        run("--out", tmp_path / "run", "--dry-run", "--as-of", "2026-06-30")
        assert fake_book == [("spec.yml", {"reporting_date": "2026-06-30", "segment_by": ("product", "region")})]

    def test_an_interruption_gives_exit_code_130(self, run, tmp_path, monkeypatch, capsys):
        def interrupted(*args, **options):
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "_load", load_with(open_book=lambda *a, **o: FakeBook(), run_pack=interrupted))
        assert run("--out", tmp_path / "run") == 130
        assert capsys.readouterr().err == "recoverykit: interrupted\n"


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Return where the first test of those below leaves a run that has ended."""
    return tmp_path_factory.mktemp("ended") / "run"


class TestGoingOn:
    """The folder of a run that has ended; one notebook failed in it."""

    @pytest.fixture
    def folder(self, run, ended, tmp_path, capsys):
        """Return a copy of it: where a run lies says nothing about what it computes."""
        if not ended.exists():
            run("--out", ended)
        capsys.readouterr()
        shutil.copytree(ended, tmp_path / "run")
        return tmp_path / "run"

    def test_a_second_run_executes_what_had_failed_and_says_why(self, run, folder, capsys):
        assert run("--out", folder) == 1
        out = capsys.readouterr().out
        assert "Executed 1 of 2 notebooks." in out
        assert "it failed in the last run: AssertionError: no cash flow at all: 02_cure/card__east" in out
        assert "Slowest: 02_cure/card__east" in out

    def test_a_dry_run_says_what_would_be_executed_and_why(self, run, folder, capsys, tmp_path):
        spec = tmp_path / "spec.yml"
        spec.write_text("version: 1")
        run("--out", folder, "--data", spec)
        capsys.readouterr()
        run("--out", folder, "--data", spec, "--dry-run")
        out = capsys.readouterr().out
        assert "02_cure/auto__west\n    unchanged: would not be executed\n" in out
        assert "02_cure/card__east\n    it failed in the last run: AssertionError" in out
        assert out.splitlines()[-1] == "2 executions, of which 1 would run; nothing was run."
        run("--out", folder, "--data", spec, "--dry-run", "--from", "segments")
        assert "    stage segments was asked for again\n" in capsys.readouterr().out
        run("--out", folder, "--data", spec, "--dry-run", "--fresh")
        assert "unchanged" not in capsys.readouterr().out

    def test_fresh_keeps_nothing(self, run, folder, capsys):
        (folder / "manifest.json").write_text("{ spoilt")
        assert run("--out", folder) == 2
        assert "cannot be read" in capsys.readouterr().err
        assert run("--out", folder, "--fresh") == 1
        assert "Executed 2 of 2 notebooks." in capsys.readouterr().out

    def test_an_unknown_stage_and_an_unknown_parameter_are_refused_with_the_nearest(self, run, folder, capsys):
        assert run("--out", folder, "--from", "segment") == 2
        assert "did you mean 'segments'?" in capsys.readouterr().err
        assert run("--out", folder, "-p", "levle=1") == 2
        assert "command line: no notebook of the plan has a parameter 'levle'" in capsys.readouterr().err

    def test_status_tells_a_running_from_a_killed_run(self, folder, capsys):
        path = folder / "manifest.json"
        content = json.loads(path.read_text())
        now = datetime.now(UTC).isoformat(timespec="seconds")
        content.update(status="running", started_at=now)
        content["tasks"]["02_cure/card__east"].update(status="running", started_at=now, error=None)
        path.write_text(json.dumps(content))
        with owned(folder):
            assert cli.main(["status", str(folder)]) == 0
        out = capsys.readouterr().out
        assert "running (1 done, 1 running)." in out
        assert f"By process {os.getpid()} on" in out
        assert "  running: 02_cure/card__east for " in out
        assert "left." in out
        assert cli.main(["status", str(folder)]) == 1
        out = capsys.readouterr().out
        assert "killed (1 done, 1 not_run)." in out
        assert "not_run: 02_cure | card | east: NotRun: the run was killed while this notebook ran" in out

    def test_limits_out_of_range_are_refused_all_at_once(self, run, folder, capsys):
        assert run("--out", folder, "--memory", -1, "--retries", -1) == 2
        error = capsys.readouterr().err
        assert "the memory limit must be above 0 MB, not -1.0; retries must be 0 or more, not -1" in error


class TestRefusals:
    def refused(self, capsys, code):
        assert code == 2
        error = capsys.readouterr().err
        assert error.startswith("recoverykit: ")
        assert "Traceback" not in error
        return error

    def test_a_plan_with_an_unknown_parameter_is_refused_before_anything_runs(
        self, plan_file, fake_book, tmp_path, capsys
    ):
        path = Path(plan_file).with_name("wrong.yml")
        path.write_text(PLAN + "parameters: {levle: 0.9}\n")
        code = cli.main(["run", str(path), "--data", "spec.yml", "--out", str(tmp_path / "run")])
        assert "no notebook of the plan has a parameter 'levle'" in self.refused(capsys, code)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("as_of", "discount", "said"),
        [
            ("2024/09/30", "eir", "as_of is '2024/09/30'; it must be an ISO date before 2026-09-30"),
            ("2024-09-30", "ebx", "discount is 'ebx'"),
        ],
    )
    def test_what_the_book_cannot_be_prepared_with_is_refused_before_anything_is_written(
        self, fake_book, write_notebook, tmp_path, capsys, as_of, discount, said
    ):
        write_notebook(tmp_path, "02_cure", more='as_of: str = ""  # date\ndiscount: str = "eir"  # rule')
        (tmp_path / "plan.yml").write_text(PLAN)
        given = ["--out", str(tmp_path / "run"), "-p", f"as_of={as_of}", "-p", f"discount={discount}"]
        code = cli.main(["run", str(tmp_path / "plan.yml"), "--data", "spec.yml", *given])
        assert said in self.refused(capsys, code)
        assert not (tmp_path / "run").exists()

    def test_data_that_break_the_contract_are_refused_with_every_violation(self, run, tmp_path, capsys, monkeypatch):
        def open_book(*args, **options):
            raise ContractError(
                [Violation("cash_flows", "amount is negative", 2, ("F1", "F2")), Violation("status", "b")]
            )

        monkeypatch.setattr(cli, "_load", load_with(open_book=open_book, prepare_book=prepare_book))
        error = self.refused(capsys, run("--out", tmp_path / "run"))
        assert "2 rules of the data contract broken" in error
        assert "cash_flows: amount is negative: 2 rows, first F1; F2" in error
        assert not (tmp_path / "run").exists()

    def test_a_file_in_place_of_the_run_folder_is_refused(self, run, tmp_path, capsys):
        (tmp_path / "run").write_text("in the way")
        assert "cannot write" in self.refused(capsys, run("--out", tmp_path / "run"))

    def test_a_folder_with_other_things_in_it_is_refused(self, run, tmp_path, capsys):
        (tmp_path / "letter.txt").write_text("keep me")
        assert "choose an empty folder" in self.refused(capsys, run("--out", tmp_path))

    def test_an_unknown_segment_is_refused_with_the_nearest(self, run, tmp_path, capsys):
        code = run("--out", tmp_path / "run", "--segment", "auto | wst")
        assert "did you mean 'auto | west'?" in self.refused(capsys, code)

    def test_no_workers_are_refused(self, run, tmp_path, capsys):
        assert "workers must be 1 or more" in self.refused(capsys, run("--out", tmp_path / "run", "--workers", 0))
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("command", ["status", "render"])
    def test_a_folder_without_run_is_refused(self, command, tmp_path, capsys):
        assert "holds no run" in self.refused(capsys, cli.main([command, str(tmp_path)]))


class TestOtherCommands:
    def test_check_says_what_was_found(self, fake_book, capsys):
        assert cli.main(["check", "spec.yml"]) == 0
        out = capsys.readouterr().out
        assert "keep the contract as of 2026-09-30, in USD" in out
        assert "8 default episodes in 2 segments." in out

    def test_sample_hands_seed_and_folder_on(self, monkeypatch, capsys, tmp_path):
        asked = []
        monkeypatch.setattr(cli, "_load", load_with(write_sample=lambda *a, **o: asked.append((*a, o))))
        assert cli.main(["sample", "--seed", "7", "--out", str(tmp_path)]) == 0
        assert cli.main(["sample", "--out", str(tmp_path)]) == 0
        assert asked == [(str(tmp_path), {"seed": 7}), (str(tmp_path), {})]

    def test_a_sample_that_cannot_be_written_is_told_in_words(self, monkeypatch, capsys, tmp_path):
        def write_sample(folder):
            raise PermissionError(13, "Permission denied", folder)

        monkeypatch.setattr(cli, "_load", load_with(write_sample=write_sample))
        assert cli.main(["sample", "--out", str(tmp_path)]) == 2
        assert f"recoverykit: cannot write {tmp_path}: Permission denied" in capsys.readouterr().err

    def test_schema_writes_both_schemas(self, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(cli, "_load", load_with(spec_json_schema=lambda: {"title": "spec"}))
        assert cli.main(["schema", "--out", str(tmp_path)]) == 0
        assert json.loads((tmp_path / "data_spec.schema.json").read_text()) == {"title": "spec"}
        shipped = ROOT / "data_samples" / "schemas" / "plan.schema.json"
        assert (tmp_path / "plan.schema.json").read_bytes() == shipped.read_bytes()

    def test_help_documents_the_exit_codes(self, capsys):
        with pytest.raises(SystemExit) as ended:
            cli.main(["--help"])
        assert ended.value.code == 0
        assert "130 interrupted" in capsys.readouterr().out

    def test_an_unknown_command_gives_exit_code_2(self, capsys):
        with pytest.raises(SystemExit) as ended:
            cli.main(["fly"])
        assert ended.value.code == 2


def test_the_module_starts_as_a_program_without_the_heavy_libraries():
    heavy = "[name for name in ('pandas', 'papermill') if name in sys.modules]"
    script = f"import sys, recoverykit.__main__, recoverykit.cli; print({heavy})"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
    version = subprocess.run([sys.executable, "-m", "recoverykit", "--version"], capture_output=True, text=True)
    assert (version.returncode, version.stdout[:12]) == (0, "recoverykit ")
