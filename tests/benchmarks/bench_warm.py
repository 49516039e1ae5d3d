"""What a batch costs beyond the notebooks' own work, with ordinary kernels and with warm ones.

Own work is what the cells take, imports within them included, in CPU seconds of the kernel; overhead is everything
else: start and end of kernels, messages, saving, hashing, the worker itself. Wall time on a busy machine tells little,
CPU time of the whole tree of processes tells the same every time. Marks: overhead under 35 % with ordinary kernels and
under 10 % with warm ones; two workers 1.8 times as fast as one. bench_batch.py has the loop of plain papermill.
RECOVERYKIT_BENCH_EXECUTIONS says how many executions (12): up to 108 of segments by product and region, up to 315 by
channel, too.
"""

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from recoverykit.portfolio.opening import open_book
from recoverykit.portfolio.workout import prepare_book

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ("02_time_to_cure", "03_recovery_curves", "04_loss_given_default")
N_EXECUTIONS = int(os.environ.get("RECOVERYKIT_BENCH_EXECUTIONS", "12"))
SEGMENT_BY = ("product", "region") if N_EXECUTIONS <= 108 else ("product", "region", "channel")
PROBE = "import time as _clock\n_begun = _clock.process_time()"
ANSWER = "print(_clock.process_time() - _begun)"

#: Runs the tasks in this process one after the other and returns its CPU seconds, those of ended children included.
ONE_BY_ONE = """
import json, os, resource, sys, time
from pathlib import Path
tasks, folder, how = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2], sys.argv[3]
os.environ.update(JUPYTER_PREFER_ENV_PATH="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

def spent():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)

from recoverykit.batch import warm
from recoverykit.batch._kernel import execute_task
from recoverykit.batch._lighter import lighten
from recoverykit.batch._tasks import Limits, Task
lighten()  # as in a worker process
for task in tasks:
    made = Task(task["notebook"], task["path"], "segments", task["name"], task["parameters"])
    result = execute_task(made, folder, Limits(600.0, 0, how == "warm"), "")
    assert result.error is None, result.error
warm.stop_servers()
found = {"spent": spent()}
"""
#: Runs the tasks in worker processes.
WORKERS = """
import json, sys, time
from pathlib import Path
from recoverykit.batch._tasks import Task
from recoverykit.batch.runner import run_plan

if __name__ == "__main__":
    tasks = [
        Task(task["notebook"], task["path"], "segments", task["name"], task["parameters"])
        for task in json.loads(Path(sys.argv[1]).read_text())
    ]
    begun = time.perf_counter()
    results = run_plan(tasks, sys.argv[2], n_workers=int(sys.argv[4]), progress=False, warm=sys.argv[3] == "warm")
    assert not [result for result in results if result.error]
    found = {"wall": time.perf_counter() - begun}
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Return the file that lists the executions: the segment notebooks, with a clock around their cells."""
    folder = tmp_path_factory.mktemp("bench")
    book = open_book(ROOT / "data_samples" / "specs" / "sample.yml", segment_by=SEGMENT_BY)
    prepare_book(book, folder / "book", discounts=("eir",))
    for name in NOTEBOOKS:
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        notebook.cells = [new_code_cell(PROBE), *notebook.cells, new_code_cell(ANSWER)]
        (folder / "notebooks").mkdir(exist_ok=True)
        nbformat.write(notebook, folder / "notebooks" / f"{name}.ipynb")
    listed = [
        {
            "notebook": name,
            "name": segment,
            "path": str(folder / "notebooks" / f"{name}.ipynb"),
            "parameters": {
                "data": str(folder / "book"),
                "reporting_date": f"{book.reporting_date:%Y-%m-%d}",
                "results_folder": str(folder / "results"),
                "segment": segment,
            },
        }
        for segment in book.segments()
        for name in NOTEBOOKS
    ]
    path = folder / "tasks.json"
    path.write_text(json.dumps(listed[:N_EXECUTIONS]))
    return path


def own_work(folder, n_executions):
    """Return the CPU seconds of the cells of all executed notebooks in a folder."""
    cells = [nbformat.read(path, as_version=4).cells[-1] for path in Path(folder).rglob("*.ipynb")]
    assert len(cells) == n_executions
    return sum(float(cell.outputs[0]["text"]) for cell in cells)


def test_overhead_beyond_the_cells(benchmark, speed, fresh_process, tasks, tmp_path):
    """What a process costs once (its imports, a fork server) is told from what every execution costs again."""
    few = tmp_path / "few.json"
    few.write_text(json.dumps(json.loads(tasks.read_text())[: len(NOTEBOOKS)]))
    benchmark.pedantic(lambda: None, rounds=1)  # timed by hand, in CPU seconds
    spent, beyond = {}, {}
    for how in ("plain", "warm"):
        found = {}
        for listed, n in ((few, len(NOTEBOOKS)), (tasks, N_EXECUTIONS)):
            folder = tmp_path / f"{how}{n}"
            total = fresh_process(ONE_BY_ONE, listed, folder, how)["spent"]
            found[n] = total, own_work(folder / "notebooks", n)
        (spent_few, own_few), (spent[how], own) = found.values()
        beyond[how] = (spent[how] - own - spent_few + own_few) / (N_EXECUTIONS - len(NOTEBOOKS))
        once = spent_few - own_few - len(NOTEBOOKS) * beyond[how]
        cells = own / N_EXECUTIONS
        speed.record(
            f"{N_EXECUTIONS} segment notebooks, {how} kernels, CPU: cells {cells:.2f} s each, beyond them "
            f"{beyond[how]:.3f} s each ({beyond[how] / cells:.1%}) and {once:.1f} s once",
            mark={"plain": "35 %", "warm": "10 %"}[how],
            seconds=spent[how],
        )
    assert beyond["warm"] < beyond["plain"]
    assert spent["warm"] < spent["plain"]


def test_two_warm_workers_beside_one(benchmark, speed, fresh_process, tasks, tmp_path):
    benchmark.pedantic(lambda: None, rounds=1)  # timed by hand
    one, two = (fresh_process(WORKERS, tasks, tmp_path / f"{n}", "warm", n)["process_seconds"] for n in (1, 2))
    what = f"{N_EXECUTIONS} segment notebooks, two warm workers"
    speed.record(what, peers={"one worker": one}, mark="1.8", seconds=two)
