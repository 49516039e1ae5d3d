"""How long a person waits: for the import, and for the quarterly run of the sample. Printed, never asserted in seconds.

Marks: import under 0.3 s; the whole plan within 5 minutes on two cores.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(code):
    subprocess.run([sys.executable, "-c", code], check=True)


def seconds(code, repeats=5):
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        python(code)
        taken.append(time.perf_counter() - start)
    return min(taken)  # what a busy machine stretches least


def test_import_beside_importing_pandas(benchmark, speed):
    benchmark.pedantic(python, args=("import recoverykit",), rounds=5, warmup_rounds=1)
    bare, ours, pandas = seconds("pass"), seconds("import recoverykit"), seconds("import pandas")
    speed.record(
        "import, start of Python taken off",
        peers={"import pandas": pandas - bare},
        mark="300 ms",
        seconds=ours - bare,
    )
    assert ours < pandas


def test_the_quarterly_run_of_the_sample_beside_its_notebooks_one_after_the_other(benchmark, speed, tmp_path):
    plan, data = ROOT / "notebooks" / "plans" / "quarterly.yml", ROOT / "data_samples" / "specs" / "sample.yml"
    command = [sys.executable, "-m", "recoverykit", "run", plan, "--data", data, "--out", tmp_path / "run", "--quiet"]
    benchmark.pedantic(subprocess.run, args=(list(map(str, command)),), kwargs={"check": True}, rounds=1)
    tasks = json.loads((tmp_path / "run" / "manifest.json").read_text())["tasks"].values()
    one_by_one = sum(task["seconds"] for task in tasks)
    wall = benchmark.stats.stats.mean
    speed.record(
        f"quarterly run of the sample, {len(tasks)} notebooks, pages and tables",
        peers={"the notebooks one by one": one_by_one},
        mark="5 min",
    )
    assert wall < one_by_one
