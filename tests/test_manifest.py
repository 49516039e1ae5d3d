"""The manifest: the one file that says how a run stands."""

import errno
import json
import re
from datetime import datetime
from importlib import metadata
from pathlib import Path

import pytest

from recoverykit.batch import _files, _provenance
from recoverykit.batch._files import sha256_of, write_text, written_aside
from recoverykit.batch._provenance import package_versions
from recoverykit.batch._tasks import CellError, Task, TaskResult, TaskStatus
from recoverykit.batch.manifest import (
    RunStatus,
    failures,
    library_hash,
    read_manifest,
    start_manifest,
    status_counts,
)
from recoverykit.batch.plan import Plan
from recoverykit.errors import RecoverykitError

PLAN = Plan.model_validate(
    {
        "version": 1,
        "name": "small",
        "title": "Small pack",
        "stages": [{"name": "segments", "scope": "segment", "notebooks": ["02_cure"]}],
    }
)


@pytest.fixture
def manifest(tmp_path, write_notebook):
    path = write_notebook(tmp_path / "notebooks_in", "02_cure")
    folder = tmp_path / "run"
    folder.mkdir()
    tasks = [Task("02_cure", str(path), "segments", s, {"level": 0.95, "segment": s}) for s in ("a", "b")]
    data = {"name": "hand", "currency": "USD", "hashes": {"flows.csv": "0" * 64}}
    return start_manifest(folder, plan=PLAN, tasks=tasks, reporting_date="2026-09-30", data=data)


def done(key):
    return TaskResult(key, TaskStatus.DONE, "2026-10-01T00:00:00+00:00", 1.5, None, {"notebooks/x.ipynb": "1" * 64})


def failed(key):
    error = CellError("ValueError", "no cash flow\nsecond line", 3, "x = 1", "Traceback ...")
    return TaskResult(key, TaskStatus.FAILED, "2026-10-01T00:00:00+00:00", 0.5, error)


class TestWhatItSays:
    def test_a_run_that_has_begun_is_running_and_its_tasks_are_pending(self, manifest):
        content = read_manifest(manifest.run_folder)
        assert content["status"] == "running"
        assert content["ended_at"] is None
        assert status_counts(content) == {"pending": 2}

    def test_what_the_run_rests_on_is_named(self, manifest, tmp_path):
        content = read_manifest(manifest.run_folder)
        assert content["reporting_date"] == "2026-09-30"
        assert content["data"]["hashes"] == {"flows.csv": "0" * 64}
        assert content["notebooks"]["02_cure"]["sha256"] == sha256_of(tmp_path / "notebooks_in" / "02_cure.ipynb")
        assert content["code"]["sha256"] == library_hash()
        assert {"python", "pandas", "papermill", "lifelines"} <= content["versions"].keys()
        assert content["tasks"]["02_cure/a"]["parameters"] == {"level": 0.95, "segment": "a"}
        assert datetime.fromisoformat(content["started_at"]).utcoffset().total_seconds() == 0

    def test_each_task_is_written_as_it_ends(self, manifest):
        manifest.record(done("02_cure/a"))
        task = read_manifest(manifest.run_folder)["tasks"]["02_cure/a"]
        assert (task["status"], task["seconds"], task["outputs"]) == ("done", 1.5, {"notebooks/x.ipynb": "1" * 64})

    def test_a_failure_is_summed_up_in_one_line(self, manifest):
        manifest.record(failed("02_cure/b"))
        (failure,) = failures(read_manifest(manifest.run_folder))
        assert (failure["key"], failure["why"]) == ("02_cure/b", "ValueError: no cash flow")

    @pytest.mark.parametrize(
        ("results", "status"),
        [
            ([done("02_cure/a"), done("02_cure/b")], RunStatus.COMPLETE),
            ([done("02_cure/a"), failed("02_cure/b")], RunStatus.INCOMPLETE),
            ([done("02_cure/a")], RunStatus.INCOMPLETE),  # the other one is still pending
            ([failed("02_cure/a"), failed("02_cure/b")], RunStatus.FAILED),
        ],
    )
    def test_the_status_of_the_run_follows_from_its_tasks(self, manifest, results, status):
        for result in results:
            manifest.record(result)
        assert manifest.finish() is status
        content = read_manifest(manifest.run_folder)
        assert content["status"] == status
        assert content["ended_at"] >= content["started_at"]

    def test_an_interruption_is_not_overruled_by_the_tasks(self, manifest):
        manifest.record(done("02_cure/a"))
        manifest.finish(RunStatus.INTERRUPTED, reason="interrupted by a signal")
        assert read_manifest(manifest.run_folder)["status"] == "interrupted"

    def test_no_environment_variable_reaches_the_file(self, manifest, monkeypatch):
        monkeypatch.setenv("DATABASE_PASSWORD", "hunter2-planted")
        manifest.finish()
        assert "hunter2-planted" not in (manifest.run_folder / "manifest.json").read_text()

    def test_the_hash_of_the_code_depends_on_modules_rules_and_templates(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_provenance, "_PACKAGE", tmp_path)
        hashes = []
        for name in ("a.py", "b.py", "rules.yml", "cover.html.j2", "style.css"):
            (tmp_path / name).write_text("x")
            hashes.append(library_hash.__wrapped__())
        (tmp_path / "rules.yml").write_text("y")
        hashes.append(library_hash.__wrapped__())
        assert len(set(hashes)) == 6
        (tmp_path / "a.cpython-311.pyc").write_text("x")
        assert library_hash.__wrapped__() == hashes[-1]

    def test_every_package_on_which_numbers_may_rest_is_named_with_its_version(self):
        numbers = [
            need for need in metadata.requires("recoverykit") if not re.search("extra == .(dev|dask|keyring)", need)
        ]
        needed = {re.match(r"[\w-]+", need)[0].lower() for need in numbers}
        assert needed - package_versions().keys() == {"jupyterlab", "lazy-loader", "psutil", "tqdm"}


class TestReading:
    def test_a_folder_without_run_is_an_error(self, tmp_path):
        with pytest.raises(RecoverykitError, match="holds no run"):
            read_manifest(tmp_path)

    def test_a_broken_file_is_an_error(self, tmp_path):
        (tmp_path / "manifest.json").write_text("{")
        with pytest.raises(RecoverykitError, match="cannot be read"):
            read_manifest(tmp_path)

    def test_another_format_is_an_error(self, tmp_path):
        (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}))
        with pytest.raises(RecoverykitError, match="has format 99; this version reads 1"):
            read_manifest(tmp_path)


def write_half(path, error):
    with written_aside(path) as partial:
        partial.write_text("half")
        raise error


class TestWriting:
    def test_an_error_on_the_way_leaves_the_old_file_and_nothing_half_written(self, tmp_path):
        write_text(tmp_path / "a.txt", "old")
        with pytest.raises(ValueError, match="midway"):
            write_half(tmp_path / "a.txt", ValueError("midway"))
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]

    def test_a_full_disk_is_told_in_words(self, tmp_path):
        with pytest.raises(RecoverykitError, match=r"a\.txt: No space left on device; free space"):
            write_half(tmp_path / "a.txt", OSError(errno.ENOSPC, "No space left on device"))

    def test_a_file_in_place_of_the_folder_is_told_in_words(self, tmp_path):
        (tmp_path / "folder").write_text("in the way")
        with pytest.raises(RecoverykitError, match="cannot write"):
            write_text(tmp_path / "folder" / "a.txt", "x")

    def test_the_kept_space_lets_the_last_word_be_written(self, manifest, monkeypatch):
        real, reserve = _files.os.replace, manifest.run_folder / ".reserve"

        def full_while_reserved(source: Path, target: Path) -> None:
            if reserve.exists():
                raise OSError(errno.ENOSPC, "No space left on device")
            real(source, target)

        monkeypatch.setattr(_files.os, "replace", full_while_reserved)
        manifest.finish(RunStatus.FAILED, reason="the disk was full")
        assert read_manifest(manifest.run_folder)["reason"] == "the disk was full"
        assert not reserve.exists()
