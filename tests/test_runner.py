"""Runs that really happen: kernels killed, workers killed, cells that fail or hang, a disk that fills."""

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from recoverykit.batch._files import names_full_disk
from recoverykit.batch._kernel import _not_kept, _without_secrets, execute_task
from recoverykit.batch._progress import Progress
from recoverykit.batch._tasks import CellError, Limits, Task, TaskResult, TaskStatus
from recoverykit.batch.folder import prepare_run_folder
from recoverykit.batch.manifest import read_manifest
from recoverykit.batch.pipeline import injected_parameters, run_pack
from recoverykit.batch.plan import expand_plan, read_plan
from recoverykit.batch.results import collect_results
from recoverykit.batch.runner import run_plan
from recoverykit.errors import PlanError, RecoverykitError

#: Seconds until a wait is given up; a busy machine takes many times as long as an idle one.
PATIENCE = 180
SEGMENTS = ["auto | west", "card | east", "card | west"]
PLAN = """
version: 1
name: small
title: Small pack
stages:
  - {name: data, scope: portfolio, notebooks: [01_look]}
  - {name: segments, scope: segment, notebooks: [02_fail, 03_die]}
  - {name: book, scope: portfolio, notebooks: [05_sum]}
"""
WRITE = """import pandas as pd
from recoverykit.batch.results import write_result
frame = pd.DataFrame({"n_episodes": [len(segment)]})
write_result(results_folder, notebook=NAME, segment=segment, tables={"counts": frame}, record={"n": len(segment)})"""
LOOK = """import os, pathlib
from recoverykit.batch.results import write_result
seen = {"data": data, "threads": os.environ["OMP_NUM_THREADS"], "folder": pathlib.Path.cwd().name}
write_result(results_folder, notebook="01_look", record=seen)"""
SUM = """from recoverykit.batch.results import collect_results, write_result
counts = collect_results(results_folder, "02_fail", "counts")
figures = [{"label": "Episodes", "value": str(counts["n_episodes"].sum()), "note": "all segments"}]
write_result(results_folder, notebook="05_sum", record={"key_figures": figures, "sentences": ["All is counted."]})"""
TEMPLATES = {
    "recoverykit/conf.json": '{"base_template": "base"}',
    "recoverykit/index.html.j2": "{% extends 'display_priority.j2' %}{% block body %}<title>"
    "{{ resources.recoverykit.title }}</title>{{ super() }}{% endblock %}",
    "pack/index.html.j2": "{{ gate.status }}: {{ gate.text }}{% for f in key_figures %}{{ f.label }} {{ f.value }}"
    "{% endfor %}{% for p in portfolio_pages %}<a href='{{ p.href }}'>{{ p.title }}</a>{% endfor %}"
    "{% for f in failures %}<p>{{ f.segment }} {{ f.error }}</p>{% endfor %}",
    "pack/unavailable.html.j2": "not available: {{ error.name }} {{ error.message }} {{ error.cell_source }}",
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("templates")
    for name, text in TEMPLATES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def plan(tmp_path_factory, write_notebook):
    folder = tmp_path_factory.mktemp("plan {braces}")  # papermill would fill a placeholder into the path
    write_notebook(folder, "01_look", [LOOK], title="What is there?", segment=False)
    fail = 'assert segment != "card | east", "no cash flow at all"'
    write_notebook(folder, "02_fail", [WRITE.replace("NAME", '"02_fail"'), fail], title="Does it fail?")
    die = 'import os\nif segment == "auto | west": os.kill(os.getpid(), 9)'
    write_notebook(folder, "03_die", [WRITE.replace("NAME", '"03_die"'), die, "1"], title="Does it die?")
    write_notebook(folder, "05_sum", [SUM], title="What does it sum to?", segment=False)
    (folder / "plan.yml").write_text(PLAN)
    return read_plan(folder / "plan.yml")


def run(plan, folder, templates, tasks=None):
    injected = injected_parameters(folder, "2026-09-30")
    tasks = tasks or expand_plan(plan, SEGMENTS, injected)
    return run_pack(
        plan,
        tasks,
        folder,
        reporting_date="2026-09-30",
        data={"name": "hand", "hashes": {"a.csv": "ab" * 32}},
        write_book=lambda target: (target / "book.json").write_text("{}"),
        n_workers=2,
        progress=False,
        templates=templates,
    )


@pytest.fixture(scope="module")
def outcome(plan, tmp_path_factory, templates):
    return run(plan, tmp_path_factory.mktemp("runs") / "first", templates)


@pytest.fixture(scope="module")
def folder(outcome):
    return outcome.index.parent


class TestOneRun:
    def test_failures_are_told_apart_and_the_rest_goes_on(self, outcome):
        statuses = {key: task["status"] for key, task in outcome.manifest["tasks"].items()}
        assert statuses == {
            "01_look/all": "done",
            "02_fail/auto__west": "done",
            "02_fail/card__east": "failed",
            "02_fail/card__west": "done",
            "03_die/auto__west": "kernel_died",
            "03_die/card__east": "done",
            "03_die/card__west": "done",
            "05_sum/all": "done",
        }
        assert outcome.status == "incomplete"

    def test_a_failed_segment_is_recorded_with_its_cell_and_traceback(self, outcome):
        error = outcome.manifest["tasks"]["02_fail/card__east"]["error"]
        assert (error["name"], error["message"]) == ("AssertionError", "no cash flow at all")
        # Title, parameters, injected parameters and the writing cell stand before it.
        assert error["cell_index"] == 4
        assert error["cell_source"].startswith('assert segment != "card | east"')
        assert "AssertionError: no cash flow at all" in error["traceback"]
        assert "\x1b" not in error["traceback"]

    def test_a_killed_kernel_is_recorded_with_the_cell_that_killed_it(self, outcome):
        error = outcome.manifest["tasks"]["03_die/auto__west"]["error"]
        assert error["name"] == "DeadKernelError"
        assert "os.kill" in error["cell_source"]

    def test_the_kept_notebook_of_a_killed_kernel_does_not_claim_that_later_cells_ran(self, folder):
        kept = json.loads((folder / "notebooks" / "03_die" / "auto__west.ipynb").read_text())
        states = [cell["metadata"]["papermill"]["status"] for cell in kept["cells"]]
        assert states == ["completed", "completed", "completed", "completed", "failed", "pending"]

    def test_results_that_a_failed_notebook_wrote_do_not_count(self, folder):
        counts = collect_results(str(folder / "results"), "02_fail", "counts")
        assert list(counts["segment"]) == ["auto | west", "card | west"]
        assert not (folder / "results" / "02_fail" / "card__east").exists()

    def test_a_later_stage_runs_on_what_there_is(self, folder):
        # "auto | west" and "card | west" have 11 characters each; "card | east" failed.
        assert "Episodes 22" in (folder / "index.html").read_text()

    def test_tables_of_all_segments_are_gathered_as_parquet_and_csv(self, folder):
        names = sorted(path.name for path in (folder / "tables").iterdir())
        assert names == ["02_fail.counts.csv", "02_fail.counts.parquet", "03_die.counts.csv", "03_die.counts.parquet"]
        frame = pd.read_csv(folder / "tables" / "02_fail.counts.csv")
        assert frame.to_dict("list") == {"segment": ["auto | west", "card | west"], "n_episodes": [11, 11]}

    def test_the_index_says_that_the_pack_is_not_whole(self, folder):
        text = (folder / "index.html").read_text()
        assert "incomplete: Incomplete: 2 of 8 pages are not available." in text
        assert "card | east AssertionError: no cash flow at all" in text

    def test_a_failed_task_has_a_page_that_says_why(self, folder):
        assert "no cash flow at all" in (folder / "pages" / "02_fail" / "card__east.html").read_text()
        assert "DeadKernelError" in (folder / "pages" / "03_die" / "auto__west.html").read_text()

    def test_outputs_stand_in_the_manifest_with_their_hashes(self, outcome):
        outputs = outcome.manifest["tasks"]["02_fail/auto__west"]["outputs"]
        assert sorted(outputs) == [
            "notebooks/02_fail/auto__west.ipynb",
            "results/02_fail/auto__west/counts.parquet",
            "results/02_fail/auto__west/record.json",
        ]
        assert {len(digits) for digits in outputs.values()} == {64}

    def test_a_kernel_has_one_thread_and_stands_in_the_folder_of_its_notebook(self, folder, plan):
        seen = json.loads((folder / "results" / "01_look" / "all" / "record.json").read_text())
        assert seen["threads"] == "1"
        assert seen["folder"] == Path(plan.notebooks_folder).name
        assert seen["data"] == str(folder / "book")

    def test_nothing_is_left_half_written_or_reserved(self, folder, plan):
        assert not [path for path in folder.rglob("*") if path.name.endswith((".partial", ".reserve"))]
        assert {path.suffix for path in Path(plan.notebooks_folder).iterdir()} == {".ipynb", ".yml"}  # nor sockets

    def test_a_second_run_writes_the_same_results_byte_for_byte(self, plan, folder, templates, tmp_path):
        tasks = expand_plan(plan, SEGMENTS[:1], injected_parameters(tmp_path / "second", "2026-09-30"))
        again = run(plan, tmp_path / "second", templates, [task for task in tasks if task.notebook == "02_fail"])
        assert again.status == "complete"
        for name in ("counts.parquet", "record.json"):
            place = Path("results", "02_fail", "auto__west", name)
            assert (folder / place).read_bytes() == (tmp_path / "second" / place).read_bytes()


def one_task(write_notebook, folder, code, *, name="02_one", segment="auto | west"):
    path = write_notebook(folder / "notebooks_in", name, code)
    parameters = {"data": "", "reporting_date": "2026-09-30", "results_folder": "", "segment": segment}
    return Task(name, str(path), "segments", segment, parameters)


@pytest.fixture(scope="module")
def hard_ends(write_notebook, tmp_path_factory):
    """Run five notebooks at once, most of which end badly; return their results by the name of the notebook."""
    folder = tmp_path_factory.mktemp("hard")
    tasks = [
        one_task(write_notebook, folder, ["1", "import time\ntime.sleep(60)", "2"], name="hangs"),
        one_task(write_notebook, folder, ["import os\nos.kill(os.getppid(), 9)"], name="kills_its_worker"),
        one_task(write_notebook, folder, ["raise SystemExit(0)", "never = 1"], name="ends_itself"),
        one_task(write_notebook, folder, ["assert segment == '007', repr(segment)"], name="tricky", segment="007"),
        one_task(write_notebook, folder, ["1"], name="calm"),
    ]
    results = run_plan(tasks, folder / "run", n_workers=2, progress=False, timeout_seconds=3)
    return {result.key.partition("/")[0]: result for result in results}


class TestHardEnds:
    def test_a_notebook_that_hangs_is_ended_after_its_time(self, hard_ends):
        result = hard_ends["hangs"]
        assert result.status is TaskStatus.TIMED_OUT
        assert "time.sleep(60)" in result.error.cell_source
        assert result.seconds < 50

    def test_a_killed_worker_loses_its_own_task_only(self, hard_ends):
        assert hard_ends["kills_its_worker"].status is TaskStatus.FAILED
        assert hard_ends["kills_its_worker"].error.name == "WorkerDied"
        assert hard_ends["calm"].status is TaskStatus.DONE

    def test_a_notebook_that_ends_itself_early_is_not_done(self, hard_ends):
        # papermill calls this one completed.
        assert hard_ends["ends_itself"].status is TaskStatus.FAILED
        assert "ended itself before its last cell" in hard_ends["ends_itself"].error.message

    def test_a_string_that_looks_like_a_number_reaches_the_notebook_as_a_string(self, hard_ends):
        assert hard_ends["tricky"].error is None

    def test_an_impossible_number_of_workers_is_refused(self, tmp_path):
        with pytest.raises(PlanError, match="workers must be 1 or more"):
            run_plan([], tmp_path, n_workers=0)


class TestWhatIsOver:
    def test_a_task_whose_run_is_over_leaves_nothing_and_takes_nothing_away(self, write_notebook, tmp_path):
        task = one_task(write_notebook, tmp_path, ["1"])
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / ".owner").write_text(json.dumps({"pid": 1, "host": "h", "started_at": "t", "token": "another run's"}))
        theirs = folder / "results" / task.key / "record.json"
        theirs.parent.mkdir(parents=True)
        theirs.write_text("{}")
        result = execute_task(task, str(folder), Limits(60), "this run's")
        assert (result.status, result.error.message) == (
            TaskStatus.NOT_RUN,
            "the run that this task belonged to is over",
        )
        assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [".owner", "record.json"]


def test_a_worker_that_leaves_needless_work_out_keeps_the_same_notebook(write_notebook, tmp_path):
    shown = [
        "import sys\nfrom IPython.display import HTML, display\nprint('out')\nprint('err', file=sys.stderr)",
        "handle = display(HTML('<b>first</b>'), display_id=True)\nhandle.update(HTML('<b>second</b>'))",
        "display({'image/png': 'iVBORw0KGgo=', 'text/plain': 'drawn'}, raw=True)\n{'a': 1}",
        "import sys\nsys.displayhook(2)\n1 / 0",
    ]
    path = write_notebook(tmp_path / "notebooks", "shown", shown)
    parameters = {"data": "", "reporting_date": "", "results_folder": "", "segment": "a"}
    task = Task("shown", str(path), "one", "a", parameters)
    here = execute_task(task, str(tmp_path / "here"), Limits(PATIENCE, 0), "")  # this process does all of the work
    (there,) = run_plan([task], tmp_path / "there", n_workers=1, progress=False)
    assert here.error.name == there.error.name == "ZeroDivisionError"
    assert here.error.traceback == there.error.traceback
    notebooks = [nbformat.read(tmp_path / place / "notebooks" / f"{task.key}.ipynb", 4) for place in ("here", "there")]
    for one, other in zip(*(notebook.cells for notebook in notebooks), strict=True):
        assert one.get("outputs") == other.get("outputs")
        noted, again = (cell.metadata.get("papermill", {}) for cell in (one, other))
        assert {name: type(value) for name, value in noted.items()} == {n: type(value) for n, value in again.items()}
        assert noted.get("status") == again.get("status")
    kinds = [output.output_type for cell in notebooks[0].cells for output in cell.get("outputs", [])]
    assert kinds == ["stream", "stream", *["display_data"] * 2, *["execute_result"] * 2, "error"]


def test_a_message_without_end_leaves_room_for_the_words_of_a_full_disk():
    long = CellError("ValueError", "x" * 1_000_000)
    _, told = _not_kept(OSError(28, "No space left on device"), TaskStatus.FAILED, long)
    assert len(_without_secrets(long).message) < 10_000
    assert names_full_disk(_without_secrets(told).message)


class TestProgress:
    def test_the_bar_counts_what_runs_and_what_failed_and_the_pace_of_what_was_begun(self, capsys):
        bar = Progress(4, shown=True)
        bar.ended(TaskResult("a", TaskStatus.DONE), begun=False)  # it stands from an earlier run
        bar.started("cure")
        bar.started("cure")
        bar.ended(TaskResult("b", TaskStatus.FAILED, error=CellError("ValueError", "no")), begun=True)
        bar.close()
        last = capsys.readouterr().err.rpartition("\r")[2]
        assert "cure:  50%" in last
        assert "2/4 [" in last
        assert "failed=1, running=1" in last
        assert bar._bar.initial == 1


RUN_SCRIPT = """
import sys
from recoverykit.batch.folder import prepare_run_folder
from recoverykit.batch.pipeline import injected_parameters, run_pack
from recoverykit.batch.plan import expand_plan, read_plan

if __name__ == "__main__":
    plan = read_plan({plan!r})
    tasks = expand_plan(plan, ["a", "b"], injected_parameters({folder!r}, "2026-09-30"))
    try:
        run_pack(plan, tasks, {folder!r}, reporting_date="2026-09-30", data={{}}, write_book=lambda target: None,
                 n_workers=1, progress=False)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture
def slow_run(tmp_path, write_notebook):
    """Start a run in a process of its own, whose first notebook waits, and return it when that has begun."""
    flag = tmp_path / "begun"
    wait = f"import os, pathlib, time\npathlib.Path({str(flag)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    write_notebook(tmp_path, "02_wait", [wait])
    text = PLAN.split("stages:")[0] + "stages:\n  - {name: s, scope: segment, notebooks: [02_wait]}\n"
    (tmp_path / "plan.yml").write_text(text)
    folder = tmp_path / "run"
    script = tmp_path / "script.py"
    script.write_text(RUN_SCRIPT.format(plan=str(tmp_path / "plan.yml"), folder=str(folder)))
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a test run in the background has it ignored
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True, preexec_fn=hear)
    wait_until(lambda: flag.exists() and flag.read_text(), PATIENCE)
    yield process, folder, int(flag.read_text())
    process.kill()
    process.stderr.close()


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def is_gone(pid):
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestInterruption:
    def test_an_interrupted_run_says_so_and_leaves_no_index_and_no_kernel(self, slow_run):
        process, folder, kernel = slow_run
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130, process.stderr.read()
        content = read_manifest(folder)
        assert content["status"] == "interrupted"
        assert {task["status"] for task in content["tasks"].values()} == {"not_run"}
        assert not (folder / "index.html").exists()
        wait_until(lambda: is_gone(kernel), PATIENCE)

    def test_a_killed_runner_leaves_a_manifest_that_does_not_claim_an_end(self, slow_run):
        process, folder, kernel = slow_run
        process.kill()
        process.wait(10)
        assert read_manifest(folder)["status"] == "running"
        assert not (folder / "index.html").exists()
        wait_until(lambda: is_gone(kernel), PATIENCE)


class TestRunFolder:
    def test_nothing_of_an_earlier_run_stays_when_it_is_to_begin_anew(self, tmp_path):
        prepare_run_folder(tmp_path)
        (tmp_path / "manifest.json").write_text("{}")
        (tmp_path / "index.html").write_text("old")
        (tmp_path / "results" / "old.json").write_text("{}")
        (tmp_path / "manifest.json").write_text('{"format": 1, "status": "incomplete"}')
        prepare_run_folder(tmp_path, fresh=True)
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".recoverykit-run"]

    def test_a_folder_that_holds_something_else_is_left_alone(self, tmp_path):
        (tmp_path / "thesis.docx").write_text("my only copy")
        with pytest.raises(RecoverykitError, match="holds files but no run"):
            prepare_run_folder(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]

    def test_a_selection_does_not_replace_a_complete_run(self, tmp_path):
        prepare_run_folder(tmp_path)
        (tmp_path / "manifest.json").write_text('{"format": 1, "status": "complete"}')
        with pytest.raises(PlanError, match="holds a complete run"):
            prepare_run_folder(tmp_path, partial=True)

    def test_a_file_in_place_of_the_folder_is_a_clear_error(self, tmp_path):
        (tmp_path / "run").write_text("in the way")
        with pytest.raises(RecoverykitError, match=r"cannot write .*run: File exists"):
            prepare_run_folder(tmp_path / "run")


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of two megabytes, where that is allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system cannot be mounted here: this needs Linux and the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


class TestDisk:
    def test_a_disk_that_fills_on_the_way_leaves_a_true_manifest_and_no_index(
        self, small_disk, tmp_path, write_notebook
    ):
        code = textwrap.dedent("""
            from pathlib import Path
            fill = Path(results_folder, "fill")
            fill.write_bytes(b"x" * 3_000_000)
        """)
        write_notebook(tmp_path, "02_fill", [code])
        (tmp_path / "plan.yml").write_text(
            PLAN.split("stages:")[0] + "stages:\n  - {name: s, scope: segment, notebooks: [02_fill]}\n"
        )
        plan, folder = read_plan(tmp_path / "plan.yml"), small_disk / "run"
        tasks = expand_plan(plan, ["a", "b", "c"], injected_parameters(folder, "2026-09-30"))
        outcome = run_pack(
            plan, tasks, folder, reporting_date="2026-09-30", data={}, write_book=str, n_workers=1, progress=False
        )
        assert outcome.status == "failed"
        content = read_manifest(folder)  # it could be written, from the space that was kept for it
        assert [task["status"] for task in content["tasks"].values()] == ["failed", "not_run", "not_run"]
        assert "the disk was full" in content["reason"]
        assert not (folder / "index.html").exists()
        assert not list(folder.rglob("*.partial"))

    def test_a_disk_that_is_full_at_the_start_refuses_the_run(self, small_disk, plan):
        folder = small_disk / "run"
        tasks = expand_plan(plan, SEGMENTS, injected_parameters(folder, "2026-09-30"))
        with (small_disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space left"):
            filler.write(b"x" * 3_000_000)
        with pytest.raises(RecoverykitError, match="No space left on device"):
            run_pack(plan, tasks, folder, reporting_date="2026-09-30", data={}, write_book=str, progress=False)

    def test_a_read_only_disk_refuses_the_run(self, small_disk, plan):
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        tasks = expand_plan(plan, SEGMENTS, injected_parameters(small_disk / "run", "2026-09-30"))
        with pytest.raises(RecoverykitError, match="Read-only file system"):
            run_pack(
                plan, tasks, small_disk / "run", reporting_date="2026-09-30", data={}, write_book=str, progress=False
            )

    def test_a_full_disk_while_the_data_are_written_is_refused_and_recorded(self, small_disk, plan):
        def write_book(target):
            (target / "book.parquet").write_bytes(b"x" * 3_000_000)

        tasks = expand_plan(plan, SEGMENTS, injected_parameters(small_disk / "run", "2026-09-30"))
        with pytest.raises(RecoverykitError, match="No space left on device"):
            run_pack(
                plan,
                tasks,
                small_disk / "run",
                reporting_date="2026-09-30",
                data={},
                write_book=write_book,
                progress=False,
            )
        assert read_manifest(small_disk / "run")["status"] == "failed"
