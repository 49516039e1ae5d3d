"""What goes wrong at night, done for real: kernels, runners and workers killed, disks that fill, inputs that change.

Each time three things must hold: nothing is lost, nothing is done twice, and what is said of it is true. The notebooks
are small; each execution leaves a line in a file outside of the run folder, so that executions can be counted.
"""

import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster

from recoverykit.batch._executors import ProcessLanes, WorkerDied, _check_workers, _threads_of
from recoverykit.batch._owner import owned, owner_of
from recoverykit.batch.manifest import read_manifest
from recoverykit.batch.pipeline import injected_parameters, preview, run_pack
from recoverykit.batch.plan import expand_plan, read_plan, stages_from
from recoverykit.batch.render import render_pack
from recoverykit.batch.resume import Judge
from recoverykit.batch.state import run_state
from recoverykit.errors import PlanError, RecoverykitError

#: Seconds until a wait is given up; a busy machine takes many times as long as an idle one.
PATIENCE = 180
DATE = "2026-09-30"
SEGMENTS = ["auto", "card", "home"]
PLAN = """
version: 1
name: small
title: Small pack
stages:
  - {name: look, scope: portfolio, notebooks: [01_look]}
  - {name: cure, scope: segment, notebooks: [02_cure], after: [look]}
  - {name: loss, scope: segment, notebooks: [03_loss], after: [look]}
  - {name: sum, scope: portfolio, notebooks: [05_sum], after: [cure]}
"""
#: Notes each execution; waits where a file bids it; dies where another one does.
NOTE = """import json, os, pathlib, time
notes = pathlib.Path({notes!r})
name = "{name}/" + globals().get("segment", "all")
with open(notes / "executed.txt", "a") as file: file.write(name + "\\n")"""
WAIT = """hold = notes / ("hold-" + name.replace("/", "-"))
if hold.exists(): (notes / ("pid-" + hold.name)).write_text(str(os.getpid()))
while hold.exists(): time.sleep(0.05)"""
#: Written by hand as `write_result` does, without the second that importing pandas takes a kernel.
WRITE = """rows = pathlib.Path(data, "rows.txt").read_text().split()
record = {{"notebook": "{name}", "segment": globals().get("segment", "all"), "n": len(rows) + int(100 * level)}}
folder = pathlib.Path(results_folder, name)
folder.mkdir(parents=True)
(folder / "record.json").write_text(json.dumps(record))"""
SUM = """import pandas as pd
from recoverykit.batch.results import read_records, write_result
n = [record["n"] for record in read_records(results_folder, "02_cure").values()]
counts = pd.DataFrame({{"n": n}})
write_result(results_folder, notebook="05_sum", record={{"n": sum(n)}}, tables={{"counts": counts}})"""


class Place:
    """A folder with a small plan, the data it reads, and the notes of its executions."""

    def __init__(self, folder, write_notebook, plan=PLAN):
        self.folder, self.notes = folder, folder / "notes"
        self.run_folder = folder / "run"
        self.notes.mkdir()
        self.rows = folder / "rows.txt"
        self.rows.write_text("a b c\n")
        self.write_notebook = write_notebook
        for name in ("01_look", "02_cure", "03_loss"):
            self.notebook(name)
        self.notebook("05_sum", [SUM])
        self.plan_text = plan

    def notebook(self, name, code=(WRITE,), extra=()):
        cells = [text.format(notes=str(self.notes), name=name) for text in (NOTE, *code)]
        segment = name in ("02_cure", "03_loss")
        more = "level: float = 0.5  # share"
        self.write_notebook(self.folder, name, [cells[0], WAIT, *extra, *cells[1:]], more=more, segment=segment)

    def tasks(self, overrides="", segments=SEGMENTS):
        (self.folder / "plan.yml").write_text(self.plan_text + overrides)
        plan = read_plan(self.folder / "plan.yml")
        return plan, expand_plan(plan, segments, injected_parameters(self.run_folder, DATE))

    def write_book(self, target):
        (target / "rows.txt").write_bytes(self.rows.read_bytes())

    def key(self):
        return self.rows.read_text()

    def run(self, overrides="", *, again="", segments=SEGMENTS, **options):
        plan, tasks = self.tasks(overrides, segments)
        settings = {"n_workers": 2, "progress": False, "retries": 0, **options}
        return run_pack(
            plan,
            tasks,
            self.run_folder,
            reporting_date=DATE,
            data={"name": "hand", "hashes": {}},
            write_book=self.write_book,
            book_key=self.key(),
            again=stages_from(plan, again),
            **settings,
        )

    def executed(self):
        """Return what was executed since the last call, sorted."""
        path = self.notes / "executed.txt"
        lines = sorted(path.read_text().split()) if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def statuses(self):
        return {key: task["status"] for key, task in read_manifest(self.run_folder)["tasks"].items()}

    def process(self, **options):
        """Start a run in a process of its own."""
        self.tasks()
        script = self.folder / "script.py"
        script.write_text(SCRIPT)
        arguments = [str(self.folder / "plan.yml"), str(self.run_folder), str(self.rows), json.dumps(options)]
        return subprocess.Popen([sys.executable, str(script), *arguments], stderr=subprocess.PIPE, text=True)

    def hold(self, name):
        (self.notes / f"hold-{name}").touch()

    def let_go(self, name):
        (self.notes / f"hold-{name}").unlink()

    def held(self, name, seconds=PATIENCE):
        """Wait until a notebook holds, and return the number of its kernel's process."""
        path = self.notes / f"pid-hold-{name}"
        wait_until(lambda: path.exists() and path.read_text(), seconds)
        pid = int(path.read_text())
        path.unlink()
        return pid


SCRIPT = """
import json, pathlib, sys
from recoverykit.batch.pipeline import injected_parameters, run_pack
from recoverykit.batch.plan import expand_plan, read_plan
from recoverykit.errors import RecoverykitError

if __name__ == "__main__":
    path, folder, rows, options = sys.argv[1:]
    plan, rows = read_plan(path), pathlib.Path(rows)
    tasks = expand_plan(plan, ["auto", "card", "home"], injected_parameters(folder, "2026-09-30"))
    settings = {"n_workers": 2, "progress": False, "retries": 0, **json.loads(options)}
    try:
        run_pack(plan, tasks, folder, reporting_date="2026-09-30", data={"name": "hand", "hashes": {}},
                 write_book=lambda target: (target / "rows.txt").write_bytes(rows.read_bytes()),
                 book_key=rows.read_text(), **settings)
    except KeyboardInterrupt:
        sys.exit(130)
    except RecoverykitError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
"""
ALL = ["01_look/all", "02_cure/auto", "02_cure/card", "02_cure/home", "03_loss/auto", "03_loss/card", "03_loss/home"]
ALL += ["05_sum/all"]


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def place(tmp_path, write_notebook):
    return Place(tmp_path, write_notebook)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_notebook):
    """Return a place whose run is complete; each test leaves it so."""
    place = Place(tmp_path_factory.mktemp("finished"), write_notebook)
    assert place.run().status == "complete"
    assert place.executed() == ALL
    return place


class TestResume:
    """One complete run, resumed again and again; the tests stand in the order of a day and leave it complete."""

    def test_nothing_is_executed_when_nothing_has_changed(self, finished):
        def stamps():
            files = [path for path in finished.run_folder.rglob("*") if path.is_file()]
            own = {".owner", ".recoverykit-run", "log.jsonl"}
            return {path: path.stat().st_mtime_ns for path in files if path.name not in own}

        before = stamps()
        outcome = finished.run()
        assert (outcome.status, outcome.executed, finished.executed()) == ("complete", {}, [])
        assert stamps() == before

    def test_one_parameter_of_one_segment_reruns_its_tasks_and_what_rests_on_them(self, finished):
        outcome = finished.run('segment_parameters: {"card": {level: 0.6}}\n')
        assert finished.executed() == ["02_cure/card", "03_loss/card", "05_sum/all"]
        assert outcome.executed["02_cure/card"] == "its parameters have changed: level from 0.5 to 0.6"
        assert outcome.executed["05_sum/all"] == "results that it rests on have changed"
        # Three rows and 100 times the level: 53 + 63 + 53.
        assert json.loads((finished.run_folder / "results/05_sum/all/record.json").read_text())["n"] == 169
        finished.run()
        assert finished.executed() == ["02_cure/card", "03_loss/card", "05_sum/all"]

    @pytest.mark.slow
    def test_what_rests_on_results_that_came_out_the_same_still_holds(self, finished):
        finished.notebook("02_cure", ["# a comment\n" + WRITE])
        outcome = finished.run()
        assert finished.executed() == ["02_cure/auto", "02_cure/card", "02_cure/home"]
        assert set(outcome.executed.values()) == {"its notebook has changed"}

    @pytest.mark.slow
    def test_a_changed_input_reruns_all_that_reads_it(self, finished):
        finished.rows.write_text("a b c d\n")
        outcome = finished.run()
        assert finished.executed() == ALL
        assert set(outcome.executed.values()) == {"the data have changed"}

    def test_an_input_that_is_written_again_with_the_same_content_changes_nothing(self, finished):
        finished.rows.write_text(finished.rows.read_text())
        finished.run()
        assert finished.executed() == []

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("results/02_cure/card/record.json", "results/02_cure/card/record.json has been altered"),
            ("notebooks/02_cure/card.ipynb", "notebooks/02_cure/card.ipynb has been altered"),
        ],
    )
    def test_a_truncated_output_is_noticed_and_made_again(self, finished, name, said):
        path = finished.run_folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        outcome = finished.run()
        assert finished.executed() == ["02_cure/card"]
        assert outcome.executed == {"02_cure/card": said}
        if name.startswith("results"):
            assert path.read_bytes() == whole

    @pytest.mark.slow
    def test_a_lost_output_is_noticed_and_made_again(self, finished):
        (finished.run_folder / "results/03_loss/home/record.json").unlink()
        outcome = finished.run()
        assert outcome.executed == {"03_loss/home": "results/03_loss/home/record.json is missing"}
        assert finished.executed() == ["03_loss/home"]

    @pytest.mark.parametrize("name", ["pages/02_cure/card.html", "tables/05_sum.counts.csv", "index.html"])
    def test_a_spoilt_page_or_table_is_made_again_without_executing_anything(self, finished, name):
        path = finished.run_folder / name
        whole = path.read_bytes()
        path.write_text("spoilt")
        outcome = finished.run()
        assert (outcome.executed, finished.executed()) == ({}, [])
        assert len(path.read_bytes()) == len(whole)

    def test_lost_tables_are_made_again_without_executing_anything(self, finished):
        shutil.rmtree(finished.run_folder / "tables")
        assert finished.run().executed == {}
        assert (finished.run_folder / "tables" / "05_sum.counts.csv").exists()

    def test_another_title_is_printed_on_the_cover_without_executing_anything(self, finished, monkeypatch):
        monkeypatch.setattr(finished, "plan_text", PLAN.replace("Small pack", "Another title"))
        outcome = finished.run()
        assert outcome.executed == {}
        assert "Another title" in outcome.index.read_text()
        monkeypatch.undo()
        assert "Small pack" in finished.run().index.read_text()

    def test_a_run_killed_while_its_pack_is_made_is_told_and_bears_no_entry_of_the_run_before(
        self, finished, monkeypatch, tmp_path
    ):
        def render_and_look(folder, **options):
            pack = render_pack(folder, **options)
            shutil.copytree(folder, tmp_path / "run")
            return pack

        monkeypatch.setattr("recoverykit.batch.pipeline.render_pack", render_and_look)
        (finished.run_folder / "index.html").unlink()
        assert finished.run().status == "complete"
        content, owner = run_state(tmp_path / "run")
        assert (content["status"], owner) == ("killed", None)
        assert not (tmp_path / "run" / "record.json").exists()
        assert run_state(finished.run_folder)[0]["status"] == "complete"

    def test_a_spoilt_book_is_prepared_again(self, finished):
        (finished.run_folder / "book" / "rows.txt").write_text("spoilt")
        assert finished.run().executed == {}
        assert (finished.run_folder / "book" / "rows.txt").read_text() == finished.rows.read_text()

    @pytest.mark.slow
    def test_a_stage_that_is_asked_for_is_executed_again_with_what_rests_on_it(self, finished):
        outcome = finished.run(again="cure")
        assert finished.executed() == ["02_cure/auto", "02_cure/card", "02_cure/home", "05_sum/all"]
        assert outcome.executed["05_sum/all"] == "stage sum was asked for again"

    def test_a_preview_says_what_would_be_executed_and_why(self, finished):
        _, tasks = finished.tasks('segment_parameters: {"card": {level: 0.7}}\n')
        said = preview(tasks, finished.run_folder, book_key=finished.key())
        assert {key: why for key, why in said.items() if why} == {
            "02_cure/card": "its parameters have changed: level from 0.5 to 0.7",
            "03_loss/card": "its parameters have changed: level from 0.5 to 0.7",
            "05_sum/all": "perhaps: cure is executed before it",
        }
        assert finished.executed() == []

    @pytest.mark.slow
    def test_a_segment_that_is_gone_leaves_nothing_behind(self, finished):
        finished.run(segments=SEGMENTS[:2])
        assert finished.executed() == ["05_sum/all"]
        assert not list(finished.run_folder.rglob("*home*"))
        finished.run()
        assert finished.executed() == ["02_cure/home", "03_loss/home", "05_sum/all"]

    def test_a_run_of_another_date_is_refused_in_the_folder(self, finished):
        plan, tasks = finished.tasks()
        with pytest.raises(PlanError, match=f"holds a run of reporting date '{DATE}', not '2026-12-31'"):
            run_pack(plan, tasks, finished.run_folder, reporting_date="2026-12-31", data={}, write_book=str)
        assert finished.run().executed == {}

    def test_the_log_tells_every_run_in_lines_of_json(self, finished):
        events = [json.loads(line) for line in (finished.run_folder / "log.jsonl").read_text().splitlines()]
        assert events[0]["event"] == "run_started"
        ended = [event for event in events if event["event"] == "task_ended"]
        assert {event["status"] for event in ended} == {"done"}
        assert {"time", "run_id", "task", "seconds", "attempts"} <= ended[0].keys()
        assert {"run_ended", "task_started", "task_kept", "nothing_to_do"} <= {event["event"] for event in events}


def test_a_changed_file_that_a_parameter_names_changes_the_inputs(place):
    rules = place.folder / "rules.yml"
    rules.write_text("limit: 1\n")
    task = place.tasks()[1][0]
    given = replace(task, parameters={**task.parameters, "rules": "rules.yml", "title": "rules"})

    def inputs(task):
        return Judge(place.folder, {}, [task], data_id="").inputs(task, {})

    assert inputs(replace(given, parameters={**given.parameters, "level": 0.6}))["files"] == inputs(given)["files"]
    before = inputs(given)
    rules.write_text("limit: 2\n")
    assert [name for name, digits in inputs(given).items() if digits != before[name]] == ["files"]


@pytest.mark.slow
class TestKernelDeath:
    def test_a_kernel_killed_in_a_cell_is_told_and_only_its_task_is_run_again(self, place):
        place.hold("02_cure-card")
        process = place.process()
        os.kill(place.held("02_cure-card"), signal.SIGKILL)
        assert process.wait(PATIENCE) == 0, process.stderr.read()
        content = read_manifest(place.run_folder)
        entry = content["tasks"]["02_cure/card"]
        assert (content["status"], entry["status"]) == ("incomplete", "kernel_died")
        assert entry["error"]["cell_index"] == 4  # title, parameters, injected, note, wait
        assert "while hold.exists()" in entry["error"]["cell_source"]
        assert not (place.run_folder / "results/02_cure/card").exists()
        page = (place.run_folder / "pages/02_cure/card.html").read_text()
        assert "Not available: DeadKernelError: the kernel died while this cell ran" in page
        place.let_go("02_cure-card")
        assert place.executed() == ALL
        outcome = place.run()
        assert (outcome.status, place.executed()) == ("complete", ["02_cure/card", "05_sum/all"])
        assert outcome.executed["02_cure/card"].startswith("it lost its kernel in the last run: DeadKernelError")

    def test_a_death_is_tried_again_and_an_error_of_the_notebook_is_not(self, place):
        die_once = 'flag = notes / "died"\nif not flag.exists(): flag.touch(); os.kill(os.getpid(), 9)'
        place.notebook("01_look", [WRITE], [die_once])
        place.notebook("03_loss", [WRITE], ['assert segment != "auto", "no cash flow"'])
        outcome = place.run(retries=1)
        tasks = outcome.manifest["tasks"]
        assert (tasks["01_look/all"]["status"], tasks["01_look/all"]["attempts"]) == ("done", 2)
        assert (tasks["03_loss/auto"]["status"], tasks["03_loss/auto"]["attempts"]) == ("failed", 1)
        assert place.executed() == sorted([*ALL, "01_look/all"])

    def test_a_kernel_that_takes_too_much_memory_is_ended_and_not_tried_again(self, place):
        place.notebook("01_look", [WRITE], ["hog = bytearray(600_000_000)\ntime.sleep(30)"])
        outcome = place.run(memory_mb=500, retries=1)
        entry = outcome.manifest["tasks"]["01_look/all"]
        assert (entry["status"], entry["attempts"]) == ("out_of_memory", 1)
        assert "500 MB are allowed" in entry["error"]["message"]
        assert "bytearray" in entry["error"]["cell_source"]
        assert entry["peak_memory_mb"] > 500
        assert place.statuses()["05_sum/all"] == "done"

    def test_fail_fast_starts_nothing_more(self, place):
        place.notebook("01_look", [WRITE], ['raise ValueError("no")'])
        assert place.run(fail_fast=True).status == "failed"
        assert place.executed() == ["01_look/all"]
        assert set(place.statuses().values()) == {"failed", "not_run"}
        why = read_manifest(place.run_folder)["tasks"]["05_sum/all"]["error"]["message"]
        assert why == "not started, since 01_look/all failed and the run stops at a failure"

    def test_results_of_an_earlier_run_do_not_count_in_the_tables_of_one_that_stopped(self, place):
        place.run()
        assert list((place.run_folder / "tables").iterdir())
        place.rows.write_text("a b c d\n")
        place.notebook("03_loss", [WRITE], ['raise ValueError("no")'])
        assert place.run(fail_fast=True, again="loss", n_workers=1).status in ("failed", "incomplete")
        assert place.statuses()["05_sum/all"] == "not_run"
        assert not list((place.run_folder / "tables").iterdir())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestRunnerDeath:
    def test_a_killed_runner_is_told_and_the_next_run_goes_on_where_it_was(self, place):
        place.hold("02_cure-home")
        process = place.process()
        kernel = place.held("02_cure-home")
        wait_until(lambda: place.statuses()["03_loss/home"] == "done", PATIENCE)
        assert run_state(place.run_folder)[0]["status"] == "running"
        process.kill()
        process.wait(PATIENCE)
        wait_until(lambda: is_gone(kernel), PATIENCE)
        place.let_go("02_cure-home")
        content, owner = run_state(place.run_folder)
        assert (content["status"], owner) == ("killed", None)
        assert content["tasks"]["02_cure/home"]["status"] == "not_run"
        assert content["tasks"]["02_cure/home"]["error"]["message"] == "the run was killed while this notebook ran"
        pack = render_pack(place.run_folder)
        assert "the run was killed; 2 of 8 pages are not available" in pack.index.read_text()
        assert "Not available: NotRun: the run was killed" in (place.run_folder / "pages/02_cure/home.html").read_text()
        assert place.executed() == [key for key in ALL if key != "05_sum/all"]
        outcome = place.run()
        assert (outcome.status, place.executed()) == ("complete", ["02_cure/home", "05_sum/all"])
        assert outcome.executed["02_cure/home"] == "the last run ended before it"
        assert outcome.manifest["earlier"][0]["status"] == "killed"
        assert place.run().executed == {}

    def test_ctrl_c_ends_cleanly_and_the_next_run_goes_on(self, place):
        place.hold("02_cure-home")
        process = place.process()
        kernel = place.held("02_cure-home")
        wait_until(lambda: place.statuses()["03_loss/home"] == "done", PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        wait_until(lambda: is_gone(kernel), PATIENCE)
        place.let_go("02_cure-home")
        assert read_manifest(place.run_folder)["status"] == "interrupted"
        place.executed()
        assert place.run().status == "complete"
        assert place.executed() == ["02_cure/home", "05_sum/all"]

    def test_what_was_done_is_not_lost_when_the_resumed_run_is_killed_too(self, place):
        place.run()
        place.executed()
        place.hold("01_look-all")
        place.notebook("01_look", ["# changed\n" + WRITE])
        process = place.process()
        place.held("01_look-all")
        process.kill()
        process.wait(PATIENCE)
        place.let_go("01_look-all")
        assert place.run().status == "complete"
        assert place.executed() == ["01_look/all", "01_look/all"]  # once before the kill, once behind


@pytest.mark.slow
class TestTwoRuns:
    def test_the_second_is_refused_with_the_process_and_start_of_the_first(self, place):
        place.hold("01_look-all")
        first = place.process()
        place.held("01_look-all")
        owner = owner_of(place.run_folder)
        assert owner.pid == first.pid
        with pytest.raises(RecoverykitError, match=f"in use by {re.escape(str(owner))}"):
            place.run()
        second = place.process()
        assert second.wait(PATIENCE) == 2
        assert f"process {first.pid}" in second.stderr.read()
        place.let_go("01_look-all")
        assert first.wait(PATIENCE) == 0
        assert place.executed() == ALL
        assert place.run().executed == {}


@pytest.fixture(scope="module")
def cluster():
    """Return a Dask cluster of two workers with one thread each, on loopback."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestDaskCluster:
    def test_a_run_on_two_workers_leaves_what_a_run_on_this_machine_leaves(self, cluster, finished, place):
        assert place.run(scheduler=cluster.scheduler_address).status == "complete"
        assert place.executed() == ALL
        results = sorted((place.run_folder / "results").rglob("*.*"))
        assert len(results) == 9  # a record each, and one table
        record = json.loads((place.run_folder / "results/05_sum/all/record.json").read_text())
        assert record["n"] == 3 * 53
        assert place.run().executed == {}  # on this machine: nothing is left to do

    def test_the_tasks_of_a_killed_worker_are_run_again_by_another(self, cluster, place):
        place.hold("02_cure-card")
        process = place.process(scheduler=cluster.scheduler_address)
        kernel = place.held("02_cure-card")
        worker = psutil.Process(kernel).parent()
        worker.kill()
        wait_until(lambda: is_gone(kernel), PATIENCE)
        place.let_go("02_cure-card")
        assert process.wait(PATIENCE) == 0, process.stderr.read()
        assert read_manifest(place.run_folder)["status"] == "complete"
        assert place.executed() == sorted([*ALL, "02_cure/card"])
        assert place.run().executed == {}

    def test_ctrl_c_ends_the_kernels_on_the_cluster_too_and_the_next_run_goes_on(self, cluster, place):
        place.hold("02_cure-home")
        process = place.process(scheduler=cluster.scheduler_address)
        kernel = place.held("02_cure-home")
        wait_until(lambda: place.statuses()["03_loss/home"] == "done", PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        wait_until(lambda: is_gone(kernel), PATIENCE)
        place.let_go("02_cure-home")
        assert read_manifest(place.run_folder)["status"] == "interrupted"
        place.executed()
        assert place.run(scheduler=cluster.scheduler_address).status == "complete"
        assert place.executed() == ["02_cure/home", "05_sum/all"]


class TestScheduler:
    def test_a_scheduler_that_does_not_answer_is_refused(self, place, monkeypatch):
        monkeypatch.setattr("recoverykit.batch._executors._CONNECT_SECONDS", 1)
        with pytest.raises(PlanError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
            place.run(scheduler="tcp://127.0.0.1:9")
        assert read_manifest(place.run_folder)["status"] == "failed"

    def test_a_cluster_that_is_lost_on_the_way_is_no_matter_of_the_disk(self, tmp_path):
        class Gone:
            def nthreads(self):
                raise OSError("Timed out trying to connect")

            def run(self, *arguments):
                raise OSError("Stream is closed")

        with pytest.raises(RecoverykitError, match="the workers cannot be reached any more: Timed out"):
            _threads_of(Gone())
        with pytest.raises(RecoverykitError, match="the workers cannot be reached any more: Stream is closed"):
            _check_workers(Gone(), tmp_path, "")


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


class TestProcessLanes:
    def test_a_worker_that_is_killed_takes_only_its_own_task_with_it(self, tmp_path):
        with ProcessLanes(2, str(tmp_path), tmp_path / "log") as lanes:
            futures = [lanes.submit(time.sleep, 0.5), lanes.submit(_die), *(lanes.submit(pow, 2, n) for n in range(4))]
            with pytest.raises(WorkerDied):
                futures[1].result()
            assert [future.result() for future in futures[2:]] == [1, 2, 4, 8]

    def test_what_is_waiting_can_be_cancelled_and_an_error_comes_back(self, tmp_path):
        with ProcessLanes(1, str(tmp_path), tmp_path / "log") as lanes:
            running, waiting = lanes.submit(time.sleep, 1), lanes.submit(pow, 2, 2)
            assert waiting.cancel()
            with pytest.raises(ValueError, match="math domain error"):
                lanes.submit(math.sqrt, -1).result()
            assert running.result() is None
            assert list(lanes.map(pow, [2, 3], [2, 2])) == [4, 9]


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of four megabytes, where that is allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system cannot be mounted here: this needs Linux and the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
class TestDisk:
    def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_space(self, place, small_disk):
        place.run_folder = small_disk / "run"
        fill = "filler = pathlib.Path(results_folder).parents[1] / 'filler'\n"
        fill += "if not filler.exists(): filler.write_bytes(b'x' * 5_000_000)"
        place.notebook("02_cure", [WRITE], [fill])
        outcome = place.run(n_workers=1)
        assert outcome.status == "failed"
        assert outcome.manifest["reason"] == "the disk was full; free space and run again"
        tasks = read_manifest(place.run_folder)["tasks"]  # written from the space that was kept for it
        assert tasks["02_cure/auto"]["status"] == "failed"
        assert "No space left on device" in tasks["02_cure/auto"]["error"]["message"]
        assert tasks["05_sum/all"]["error"]["message"] == "not started, since the disk was full"
        done = [key for key, task in tasks.items() if task["status"] == "done"]
        (small_disk / "filler").write_bytes(b"")
        pack = render_pack(place.run_folder)
        page = (place.run_folder / "pages/02_cure/auto.html").read_text()
        assert "Not available: OSError: [Errno 28] No space left on device" in page
        assert pack.index.exists()
        place.executed()
        assert place.run().status == "complete"
        assert place.executed() == sorted(set(ALL) - set(done))

    def test_a_folder_that_turns_read_only_refuses_the_next_run_and_keeps_the_last(self, place, small_disk):
        place.run_folder = small_disk / "run"
        place.run(n_workers=1)
        manifest = (place.run_folder / "manifest.json").read_bytes()
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        place.rows.write_text("changed\n")
        with pytest.raises(RecoverykitError, match="Read-only file system"):
            place.run()
        assert (place.run_folder / "manifest.json").read_bytes() == manifest
        assert run_state(place.run_folder)[0]["status"] == "complete"


#: Descriptors and bytes by which a process may differ between an early and a late part of a long run: what is held
#: for a moment when the look falls on it, and fragments of the heap. One kernel's leak would be 500 times as much.
FD_SLACK, MEMORY_SLACK = 12, 40e6


class Look(threading.Thread):
    """Notes descriptors and memory of this process and of the workers that it starts from now on, once a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.over = {}, threading.Event()
        self.others = {child.pid for child in psutil.Process().children()}  # of tests before this one

    def run(self):
        me = psutil.Process()
        while not self.over.wait(1):
            started = [child for child in me.children() if child.pid not in self.others]
            workers = [child for child in started if "spawn_main" in " ".join(child.cmdline())]
            for process in [me, *workers]:
                with contextlib.suppress(psutil.Error):
                    looks = self.seen.setdefault(process.pid, [])
                    looks.append((process.num_fds(), process.memory_info().rss))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors")
def test_five_hundred_notebooks_leave_no_descriptor_and_no_memory_behind(tmp_path, write_notebook):
    """Two tiny notebooks for each of 250 segments."""
    plan = PLAN.split("stages:")[0] + "stages:\n  - {name: cure, scope: segment, notebooks: [02_cure, 03_loss]}\n"
    place = Place(tmp_path, write_notebook, plan)
    segments = [f"s{number:03}" for number in range(250)]
    look = Look()
    look.start()
    assert place.run(segments=segments).status == "complete"
    look.over.set()
    look.join()
    assert place.executed() == sorted(f"{name}/{segment}" for name in ("02_cure", "03_loss") for segment in segments)
    assert set(place.statuses().values()) == {"done"}
    assert len(list(place.run_folder.glob("pages/*/*.html"))) == 500
    long = [looks for looks in look.seen.values() if len(looks) >= 40]
    assert len(long) == 3  # this process and two workers, none renewed
    for looks in long:
        fifth = len(looks) // 5
        early, late = looks[fifth : 2 * fifth], looks[3 * fifth : 4 * fifth]  # rendering comes in the last fifth
        assert max(fds for fds, _ in late) <= max(fds for fds, _ in early) + FD_SLACK
        assert max(rss for _, rss in late) <= max(rss for _, rss in early) + MEMORY_SLACK


class TestOwner:
    def test_a_dead_owner_bars_nobody(self, tmp_path):
        script = "import sys, os, pathlib\nfrom recoverykit.batch._owner import owned\n"
        script += "with owned(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
        assert subprocess.run([sys.executable, "-c", script, str(tmp_path)]).returncode == -signal.SIGKILL
        assert (tmp_path / ".owner").read_text()  # its words are still there
        assert owner_of(tmp_path) is None
        with owned(tmp_path) as owner:
            assert owner_of(tmp_path) == owner
        assert owner_of(tmp_path) is None
