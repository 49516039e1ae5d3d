"""The batch beside plain papermill in a loop, in one run: the segment notebooks of the sample, pages included.

Goals on two cores: at least 4 times as fast as the loop; at least 1.8 times as fast with two workers as with one;
overhead beyond the cells under 35 % (under 10 % with warm kernels, see bench_warm.py); a resume with nothing to do
under 5 s for 1,000 tasks; rendering under 0.2 s a page. All are printed, none is asserted in seconds.
RECOVERYKIT_BENCH_SEGMENTS sets how many of the sample's segments are run, three notebooks each: up to 36 of them by
product and region, more by channel, too (105). The loop runs those of the first four, and its time is scaled by the
number of executions.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import papermill
import pytest

from recoverykit.batch._files import sha256_of
from recoverykit.batch._tasks import TaskStatus
from recoverykit.batch.folder import pack_files, prepared_book
from recoverykit.batch.manifest import start_manifest
from recoverykit.batch.pipeline import injected_parameters, run_pack
from recoverykit.batch.plan import expand_plan, read_plan
from recoverykit.batch.render import render_pack
from recoverykit.batch.resume import Judge
from recoverykit.portfolio.opening import open_book
from recoverykit.portfolio.workout import prepare_book

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "data_samples" / "specs" / "sample.yml"
N_SEGMENTS = int(os.environ.get("RECOVERYKIT_BENCH_SEGMENTS", "4"))
SEGMENT_BY = ("product", "region") if N_SEGMENTS <= 36 else ("product", "region", "channel")
N_IN_LOOP = 4
N_TASKS = 1_000
DATE = "2026-09-30"
NOTEBOOKS = ("02_time_to_cure", "03_recovery_curves", "04_loss_given_default")
PLAN = f"""
version: 1
name: segments
title: Segments
notebooks_folder: {json.dumps(str(ROOT / "notebooks"))}
segment_by: [{", ".join(SEGMENT_BY)}]
stages:
  - {{name: segments, scope: segment, notebooks: [{", ".join(NOTEBOOKS)}]}}
"""


@pytest.fixture(scope="module")
def book():
    return open_book(SPEC, segment_by=SEGMENT_BY)


@pytest.fixture(scope="module")
def segments(book):
    return book.segments()[:N_SEGMENTS]


def timed_run(folder, plan, book, segments, n_workers):
    """Run, preparation and pages included; return the seconds that the cells took, and those of the executions."""
    tasks = expand_plan(plan, segments, injected_parameters(folder, DATE))
    outcome = run_pack(
        plan,
        tasks,
        folder,
        reporting_date=DATE,
        data={"name": "sample", "currency": "USD", "hashes": book.data_hashes},
        write_book=lambda target: prepare_book(book, target),
        n_workers=n_workers,
        progress=False,
    )
    assert outcome.status == "complete"
    cells = sum(
        cell["metadata"]["papermill"]["duration"] or 0
        for path in folder.glob("notebooks/*/*.ipynb")
        for cell in json.loads(path.read_text())["cells"]
    )
    return cells, sum(task["seconds"] for task in outcome.manifest["tasks"].values())


def loop(folder, segments):
    """What one does without a batch: each notebook opens the data, papermill saves it, nbconvert makes a page."""
    folder.mkdir()
    for number, segment in enumerate(segments):
        for name in NOTEBOOKS:
            parameters = {"data": str(SPEC), "segment": segment, "results_folder": str(folder)}
            target = folder / f"{name}-{number}.ipynb"
            papermill.execute_notebook(ROOT / "notebooks" / f"{name}.ipynb", target, parameters, progress_bar=False)
            convert = [sys.executable, "-m", "nbconvert", "--to", "html", "--no-input", str(target)]
            subprocess.run(convert, check=True, capture_output=True)


def measured(work, *arguments):
    """Return wall seconds, CPU seconds of this process and of all that it started, and what the work returned."""
    begin, used = time.perf_counter(), cpu_seconds()
    made = work(*arguments)
    return time.perf_counter() - begin, cpu_seconds() - used, made


def cpu_seconds():
    mine, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in (mine, others))


def test_the_segment_notebooks_beside_plain_papermill_in_a_loop(benchmark, speed, tmp_path, book, segments):
    """On a busy machine the CPU seconds tell more than the wall; idle, two workers have twice the cores of the loop."""
    (tmp_path / "plan.yml").write_text(PLAN)
    plan = read_plan(tmp_path / "plan.yml")
    arguments = (timed_run, tmp_path / "two", plan, book, segments, 2)
    wall, used, (cells, kernels) = benchmark.pedantic(measured, args=arguments, rounds=1)
    one, _, _ = measured(timed_run, tmp_path / "one", plan, book, segments, 1)
    looped = segments[:N_IN_LOOP]
    scale = len(segments) / len(looped)  # the loop prepares nothing in advance, so that its time goes with its length
    plain, plain_used = (scale * value for value in measured(loop, tmp_path / "plain", looped)[:2])
    n = len(segments) * len(NOTEBOOKS)
    what = f"{n} segment notebooks, two workers, pages and tables"
    speed.record(what, rows=n, peers={"one worker": one, "papermill and nbconvert in a loop": plain}, seconds=wall)
    speed.record(f"{what}: CPU", rows=n, peers={"the same loop": plain_used}, seconds=used)
    print(f"\nkernels and keeping beyond the cells: {kernels / cells - 1:.0%}; two workers for one: {one / wall:.2f}")
    seconds, rendered, _ = measured(render_pack, tmp_path / "two")
    print(f"rendering: {seconds / n:.3f} s a page, {rendered / n:.3f} s of CPU")
    assert used < plain_used


def copied(source, folder, key):
    """Copy what the one executed task left under another name; return the hashes of its outputs."""
    page, notebook = next(source.glob("pages/*/*.html")), next(source.glob("notebooks/*/*.ipynb"))
    places = {page: f"pages/{key}.html", notebook: f"notebooks/{key}.ipynb"}
    places |= {path: f"results/{key}/{path.name}" for path in source.glob("results/*/*/*")}
    for path, place in places.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / place)
    return {place: sha256_of(folder / place) for place in places.values() if not place.startswith("pages")}


@pytest.fixture
def finished_folder(tmp_path, book, segments):
    """Return a folder that looks as after a complete run of 1,000 tasks, made from one that was executed."""
    (tmp_path / "plan.yml").write_text(PLAN.replace(", ".join(NOTEBOOKS), NOTEBOOKS[0]))
    plan = read_plan(tmp_path / "plan.yml")
    timed_run(tmp_path / "one", plan, book, segments[:1], 1)
    folder = tmp_path / "run"
    names = [f"s{number:04}" for number in range(N_TASKS)]
    tasks = expand_plan(plan, names, injected_parameters(folder, DATE))
    for part in ("notebooks", "results", "pages", "tables", "book"):
        (folder / part).mkdir(parents=True)
    manifest = start_manifest(folder, plan=plan, tasks=tasks, reporting_date=DATE, data={"hashes": {}})
    manifest.content["book"] = prepared_book(folder, {}, "key", lambda target: prepare_book(book, target))
    judge = Judge(folder, {}, tasks, data_id=manifest.content["book"]["id"])
    manifest.finish()
    content = json.loads((folder / "manifest.json").read_text())
    for task in tasks:
        entry = content["tasks"][task.key] | {"status": str(TaskStatus.DONE), "started_at": content["started_at"]}
        outputs = copied(tmp_path / "one", folder, task.key)
        inputs = judge.inputs(task, content["tasks"])
        content["tasks"][task.key] = entry | {"outputs": outputs, "inputs": inputs}
    (folder / "index.html").write_text("cover")
    (folder / ".recoverykit-run").touch()
    content |= {"status": "complete", "pack": pack_files(folder)}
    (folder / "manifest.json").write_text(json.dumps(content))
    return plan, tasks, folder


def test_a_resume_of_a_thousand_tasks_with_nothing_to_do(benchmark, speed, finished_folder):
    plan, tasks, folder = finished_folder

    def resume():
        return run_pack(
            plan, tasks, folder, reporting_date=DATE, data={}, write_book=str, book_key="key", progress=False
        )

    outcome = benchmark.pedantic(resume, rounds=3)
    assert outcome.executed == {}
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    speed.record(f"resume with nothing to do, {size:,.0f} MB looked at", rows=N_TASKS, mark="5 s")
