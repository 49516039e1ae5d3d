"""A run on the sample from the command line: recorded, verified, gone on with, and made again byte by byte."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from recoverykit import cli
from recoverykit.batch._tasks import TaskResult, TaskStatus
from recoverykit.batch.manifest import start_manifest
from recoverykit.batch.pipeline import injected_parameters, run_pack
from recoverykit.batch.plan import expand_plan, read_plan
from recoverykit.batch.record import own_entry, record_run
from recoverykit.batch.reproduce import compare_results, recorded_run
from recoverykit.batch.verification import verify_run

SAMPLE = Path(__file__).parents[1] / "data_samples"
PLAN = """
version: 1
name: small
title: Small pack
notebooks_folder: notebooks
segment_by: [product]
stages:
  - {name: segments, scope: segment, notebooks: [02_count]}
"""
COUNT = """import recoverykit as rk
book = rk.open_book(data, reporting_date=reporting_date).restricted(segment)
counts = book.episodes.groupby("outcome", as_index=False).size()"""
WRITE = """record = {"n_episodes": len(book.episodes), "scale": scale}
rk.write_result(results_folder, notebook="02_count", segment=segment, tables={"counts": counts}, record=record)"""
ONE_SEGMENT = ["--segment", "auto_loan", "--quiet", "--workers", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory, write_notebook):
    """Return a folder with a plan, its notebook and the data of the sample, and a run of it."""
    root = tmp_path_factory.mktemp("place")
    write_notebook(
        root / "notebooks", "02_count", [COUNT, WRITE], title="How many?", more="scale: float = 0.5  # share"
    )
    (root / "plan.yml").write_text(PLAN)
    shutil.copytree(SAMPLE, root / "data")
    assert run(root) == 0
    return root


def run(root, *more):
    spec = root / "data" / "specs" / "sample.yml"
    return cli.main(
        ["run", str(root / "plan.yml"), "--data", str(spec), "--out", str(root / "runs" / "q3"), *ONE_SEGMENT, *more]
    )


def test_a_run_from_the_command_line_stands_and_its_cover_prints_the_entry(place, capsys):
    folder = place / "runs" / "q3"
    assert cli.main(["verify", str(folder), "--strict"]) == 0, capsys.readouterr().out
    assert own_entry(folder)["hash"] in (folder / "index.html").read_text()


def test_a_second_run_with_nothing_to_do_leaves_record_and_cover_as_they_are(tmp_path, write_notebook):
    write_notebook(tmp_path / "notebooks", "02_count", ["1"])
    (tmp_path / "plan.yml").write_text(PLAN)
    plan, folder = read_plan(tmp_path / "plan.yml"), tmp_path / "runs" / "q3"
    tasks = expand_plan(plan, ["auto_loan"], injected_parameters(folder, "2026-09-30"))
    for executed in (1, 0, 0):
        outcome = run_pack(
            plan,
            tasks,
            folder,
            reporting_date="2026-09-30",
            data={},
            write_book=lambda target: (target / "book.json").write_text("{}"),
            book_key="a" * 64,
            progress=False,
        )
        assert len(outcome.executed) == executed
        assert verify_run(folder).findings == ()
        assert verify_run(folder).n_entries == 1
        if outcome.executed:
            continue
        for path in (folder / "record.json", folder.parent / "record.jsonl"):
            path.unlink()  # as when the record could not be written: the next run makes up for it


def test_pages_rendered_again_bear_the_same_entry(place):
    folder = place / "runs" / "q3"
    assert cli.main(["render", str(folder)]) == 0
    assert verify_run(folder).findings == ()


@pytest.mark.slow
def test_a_run_is_reproduced_byte_by_byte_with_ordinary_and_with_warm_kernels(place, capsys):
    folder = place / "runs" / "q3"
    for more in ([], ["--warm"]):
        assert cli.main(["reproduce", str(folder), "--quiet", *more]) == 0, capsys.readouterr()
        said = capsys.readouterr().out
        assert "Reproduced: every result file and table is the same, byte by byte." in said
        assert "Not as recorded" not in said
        again = place / "runs" / "q3-again"
        assert compare_results(folder, again) == []
        assert len(list(again.glob("results/*/*/*"))) == 2
        assert verify_run(again).findings == ()
        shutil.rmtree(again)
    assert verify_run(folder).findings == ()


@pytest.mark.slow
def test_what_cannot_be_reproduced_is_named_after_what_has_changed_since(place, tmp_path, capsys):
    shutil.copytree(place, tmp_path / "copy")
    entry = tmp_path / "copy" / "runs" / "q3" / "record.json"
    entry.write_text(entry.read_text().replace(str(place), str(tmp_path / "copy")))
    notebook = tmp_path / "copy" / "notebooks" / "02_count.ipynb"
    notebook.write_text(notebook.read_text().replace("len(book.episodes)", "len(book.episodes) + 1"))
    folder = tmp_path / "copy" / "runs" / "q3"
    assert cli.main(["reproduce", str(folder), "--quiet"]) == 1
    said = capsys.readouterr().out
    assert said.index("  altered: notebook 02_count") < said.index("  altered: results/02_count/auto_loan/record.json")
    assert "Not reproduced: 1 result files differ." in said
    counts = pd.read_parquet(folder / "results" / "02_count" / "auto_loan" / "counts.parquet")
    record = json.loads((folder / "results" / "02_count" / "auto_loan" / "record.json").read_text())
    assert counts["size"].sum() == record["n_episodes"]


def test_the_folder_of_the_run_itself_is_refused(place, capsys):
    folder = str(place / "runs" / "q3")
    assert cli.main(["reproduce", folder, "--out", folder]) == 2
    assert "choose another folder than that of the run" in capsys.readouterr().err


@pytest.fixture
def two_stages(tmp_path, write_notebook):
    """Return the folder of a recorded run of two stages, its plan and tasks, without running anything."""
    for name in ("02_count", "05_sum"):
        write_notebook(tmp_path / "notebooks", name, segment=name == "02_count")
    (tmp_path / "plan.yml").write_text(PLAN + "  - {name: sum, scope: portfolio, notebooks: [05_sum]}\n")
    plan, folder = read_plan(tmp_path / "plan.yml"), tmp_path / "runs" / "q3"
    (folder / "results" / "05_sum" / "all").mkdir(parents=True)
    (folder / "results" / "05_sum" / "all" / "record.json").write_text("{}")
    tasks = expand_plan(plan, ["auto_loan", "card"], injected_parameters(folder, "2026-09-30"))
    data = {"spec": str(tmp_path / "spec.yml"), "hashes": {}}
    manifest = start_manifest(folder, plan=plan, tasks=tasks, reporting_date="2026-09-30", data=data)
    for task in tasks:
        manifest.record(TaskResult(task.key, TaskStatus.DONE))
    manifest.finish()
    record_run(manifest, plan)
    return folder, plan, tasks


def test_the_stages_of_a_recorded_run_wait_for_each_other_as_they_did(two_stages, tmp_path):
    folder, plan, tasks = two_stages
    again = recorded_run(folder, tmp_path / "again")
    assert again.plan == plan
    there = expand_plan(plan, ["auto_loan", "card"], injected_parameters(tmp_path / "again", "2026-09-30"))
    assert again.tasks == tuple(there)
    assert [task.after for task in again.tasks] == [task.after for task in tasks] == [(), (), ("segments",)]


def test_results_are_held_against_what_was_recorded_not_against_what_became_of_it(two_stages, tmp_path):
    folder, _, _ = two_stages
    shutil.copytree(folder, tmp_path / "again")
    (folder / "results" / "05_sum" / "all" / "record.json").write_text("altered since")
    assert compare_results(folder, tmp_path / "again") == []
    assert [f"{f.fault}: {f.name}" for f in compare_results(folder, folder)] == [
        "altered: results/05_sum/all/record.json"
    ]
