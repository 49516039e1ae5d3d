"""Kernels forked from a warm process: the same outputs, figures and ends as ordinary ones, and nothing left behind."""

import json
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil
import pytest
from ipykernel import ipkernel
from ipykernel.kernelapp import IPKernelApp
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from recoverykit.batch import warm
from recoverykit.batch._fork_client import ForkServer, WarmRefused
from recoverykit.batch._forked_kernel import ForkedKernelApp
from recoverykit.batch._tasks import Task, TaskStatus
from recoverykit.batch.runner import run_plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="warm kernels need Linux")

SOURCES = Path(__file__).parents[1] / "notebooks"
SEGMENTS = ("auto | west", "card | east")
#: As a worker starts its server: a linear algebra library with more threads could not be forked.
ONE_BLAS_THREAD = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
FIGURES = [
    "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])",
    "import seaborn as sns\nsns.histplot(x=[1, 2, 2, 3]);",
    "figure, axes = plt.subplots()\naxes.bar([1, 2], [3, 4])\nfigure",
    "%matplotlib inline\nplt.figure()\nplt.title(segment)\nplt.show()",
    "from recoverykit.report.figures import ReportFigure\nfrom matplotlib.figure import Figure\n"
    "drawn = Figure()\ndrawn.add_subplot().plot([1, 2])\nReportFigure(drawn, 'Title', 'What it shows')",
]
N_SHOWN = 6  # one for each cell, and the third shows its figure as value and again when the cell ends
PRINTS = [
    "import os, subprocess, sys, warnings\nprint('to stdout')\nprint('to stderr', file=sys.stderr)",
    "os.write(1, b'past Python\\n');",
    "subprocess.run(['echo', 'from a child']);",
    "warnings.warn('careful')",
    "sys.stdin.closed",
]
NUMBERS = [
    "import numpy as np, pandas as pd\nfrom scipy import linalg\nfrom recoverykit.batch.results import write_result",
    "rng = np.random.default_rng(5)\nmatrix = rng.normal(size=(60, 60))\nvalues = np.sort(linalg.eigvals(matrix).real)",
    "np.random.seed(3)\nimport random\nrandom.seed(3)\ndrawn = [*np.random.rand(3), random.random()]",
    "frame = pd.DataFrame({'value': [*values, *drawn], 'name': sorted({'a', 'b', 'c', segment})[0]})",
    "write_result(results_folder, notebook='numbers', segment=segment, tables={'values': frame}, record={'n': 1})",
    "list({'alpha', 'beta', 'gamma', 'delta'})",
]
PLACE = [
    "import os, sys, json, threading, locale\nseen = {'argv': sys.argv[:1], 'path': sys.path, 'folder': os.getcwd()}",
    "seen |= {'flags': list(sys.flags), 'executable': sys.executable, 'recursion': sys.getrecursionlimit()}",
    "own = {'JPY_PARENT_PID', 'IPYTHONDIR'}\nseen['environment'] = {k: os.environ[k] for k in os.environ.keys() - own}",
    "seen |= {'main': __name__, 'locale': locale.getlocale(), 'leads_group': os.getpgid(0) == os.getpid()}",
    "import signal\nnumbers = (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)",
    "seen['signals'] = [str(signal.getsignal(number)) for number in numbers]",
    "import resource\nseen['limits'] = [resource.getrlimit(n) for n in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE)]",
    "seen['one_thread_each'] = [os.environ[n] for n in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'PYTHONHASHSEED')]",
    "seen['hash'] = hash('recovery')",
    "print(json.dumps(seen, default=str, sort_keys=True, indent=1))",
]
CHANCE = [
    "import numpy as np, random, json\nfrom recoverykit.batch.results import write_result",
    "record = {'numpy': np.random.rand(), 'python': random.random(), 'pid': __import__('os').getpid()}",
    "record['descriptors'] = len(__import__('os').listdir('/proc/self/fd'))",
    "write_result(results_folder, notebook='chance', segment=segment, record=record)",
]
NOTEBOOKS = {"figures": FIGURES, "prints": PRINTS, "numbers": NUMBERS, "place": PLACE, "chance": CHANCE}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, write_notebook):
    """Run the same notebooks with ordinary and with warm kernels; return folder and results of both."""
    source = tmp_path_factory.mktemp("notebooks")
    paths = {name: write_notebook(source, name, code) for name, code in NOTEBOOKS.items()}
    found = {}
    for kind in (False, True):
        folder = tmp_path_factory.mktemp("runs") / ("warm" if kind else "plain")
        parameters = {"data": "", "reporting_date": "2026-09-30", "results_folder": str(folder / "results")}
        tasks = [
            Task(name, str(path), "segments", segment, {**parameters, "segment": segment})
            for name, path in paths.items()
            for segment in (SEGMENTS if name in ("numbers", "chance") else SEGMENTS[:1])
        ]
        found[kind] = folder, run_plan(tasks, folder, n_workers=2, progress=False, warm=kind)
    return found


def cells(folder, name, segment="auto__west"):
    notebook = nbformat.read(folder / "notebooks" / name / f"{segment}.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"][2:]  # behind the two cells of parameters


def outputs(folder, name, segment="auto__west"):
    """Return the outputs of the cells as text, without what differs between any two kernels: numbers of processes."""
    text = json.dumps([cell.outputs for cell in cells(folder, name, segment)], sort_keys=True)
    return re.sub(r"0x[0-9a-f]+|ipykernel_\d+", "#", text)


class TestTheSameAsAnOrdinaryKernel:
    def test_every_notebook_is_done_and_none_fell_back(self, runs):
        for folder, results in runs.values():
            assert [r.key for r in results if r.status is not TaskStatus.DONE] == []
            assert warm.warnings_in(folder) == []

    def test_every_figure_is_there_byte_by_byte(self, runs):
        shown = {}
        for kind, (folder, _) in runs.items():
            data = [o["data"] for cell in cells(folder, "figures") for o in cell.outputs if "data" in o]
            shown[kind] = [d.get("image/png", d.get("text/html")) for d in data]
            shown[kind] = [picture for picture in shown[kind] if picture]
        assert len(shown[False]) == N_SHOWN
        assert shown[True] == shown[False]

    @pytest.mark.parametrize("name", ["figures", "numbers", "prints"])
    def test_the_outputs_of_every_cell_are_equal(self, runs, name):
        plain, forked = (outputs(folder, name) for folder, _ in runs.values())
        assert forked == plain

    def test_environment_folder_path_flags_limits_and_hashes_are_equal(self, runs):
        plain, forked = (json.loads(cells(folder, "place")[-1].outputs[0]["text"]) for folder, _ in runs.values())
        assert forked == plain
        assert forked["one_thread_each"] == ["1", "1", "0"]

    def test_result_files_are_equal_byte_by_byte(self, runs):
        (plain, _), (forked, _) = runs[False], runs[True]
        names = sorted(p.relative_to(plain) for p in plain.glob("results/numbers/*/*"))
        assert len(names) == 2 * len(SEGMENTS)
        assert [n for n in names if (plain / n).read_bytes() != (forked / n).read_bytes()] == []

    def test_every_kernel_has_chance_of_its_own_and_no_descriptor_more(self, runs):
        records = {
            kind: [json.loads(p.read_text()) for p in sorted(folder.glob("results/chance/*/record.json"))]
            for kind, (folder, _) in runs.items()
        }
        forked = records[True]
        for source in ("numpy", "python", "pid"):
            assert len({record[source] for record in forked}) == len(SEGMENTS)
        assert {r["descriptors"] for r in forked} == {r["descriptors"] for r in records[False]}

    def test_nothing_reaches_the_terminal(self, runs):
        for folder, _ in runs.values():
            log = folder / "kernels.log"
            assert not log.exists() or "To exit, you will have to" not in log.read_text()

    def test_no_process_is_left(self, runs):
        assert runs
        wait_until(lambda: not fork_servers(), 10)
        children = psutil.Process().children(recursive=True)
        assert not [child for child in children if child.status() == psutil.STATUS_ZOMBIE]


@pytest.mark.slow
def test_the_segment_notebooks_of_the_sample_give_the_same_results_and_pages(prepared_book, tmp_path):
    names = ("02_time_to_cure", "03_recovery_curves", "04_loss_given_default")
    given = {"data": str(prepared_book.folder), "reporting_date": f"{prepared_book.reporting_date:%Y-%m-%d}"}
    found = {}
    for kind in (False, True):
        folder = tmp_path / ("warm" if kind else "plain")
        parameters = {**given, "segment": "auto_loan | midwest", "results_folder": str(folder / "results")}
        tasks = [Task(name, str(SOURCES / f"{name}.ipynb"), "segments", "a", parameters) for name in names]
        results = run_plan(tasks, folder, n_workers=2, progress=False, warm=kind)
        assert [str(result.error) for result in results if result.error] == []
        shown = {name: outputs(folder, name, "a").replace(str(folder), "") for name in names}
        written = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("results/*/*/*")}
        found[kind] = shown, written
    assert len(found[False][1]) > len(names)
    assert found[True] == found[False]


def fork_servers():
    return [p for p in psutil.Process().children(recursive=True) if "_fork_server" in " ".join(command_of(p))]


def command_of(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def hard_ends(write_notebook, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hard")

    def task(name, code):
        path = write_notebook(folder / "notebooks_in", name, code)
        parameters = {"data": "", "reporting_date": "2026-09-30", "results_folder": "", "segment": "a"}
        return Task(name, str(path), "segments", "a", parameters)

    tasks = [
        task("hangs", ["import time\ntime.sleep(60)", "2"]),
        task("dies", ["import os\nos.kill(os.getpid(), 9)"]),
        task("ends_itself", ["raise SystemExit(0)", "never = 1"]),
        task("fails", ["1 / 0"]),
        task("kills_the_server", ["import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(30)"]),
        task("calm", ["1"]),
    ]
    results = run_plan(tasks, folder / "run", n_workers=1, progress=False, timeout_seconds=4, retries=0, warm=True)
    return {result.key.partition("/")[0]: result for result in results}, folder / "run"


class TestHardEnds:
    def test_each_end_has_the_status_that_it_has_with_an_ordinary_kernel(self, hard_ends):
        results, _ = hard_ends
        assert {name: str(result.status) for name, result in results.items()} == {
            "hangs": "timed_out",
            "dies": "kernel_died",
            "ends_itself": "failed",
            "fails": "failed",
            "kills_the_server": "kernel_died",
            "calm": "done",
        }
        assert results["fails"].error.name == "ZeroDivisionError"
        assert "ended itself before its last cell" in results["ends_itself"].error.message

    def test_after_the_death_of_the_server_ordinary_kernels_go_on_and_a_word_says_so(self, hard_ends):
        _, folder = hard_ends
        (word,) = warm.warnings_in(folder)
        assert word.startswith("the fork server does not answer")

    def test_no_kernel_and_no_server_is_left(self, hard_ends):
        assert hard_ends
        wait_until(lambda: not fork_servers(), 10)


@pytest.fixture
def server(tmp_path):
    environment = {**ONE_BLAS_THREAD, "PYTHONHASHSEED": "0"}
    started = ForkServer.start(str(tmp_path), environment)
    yield started
    started.stop()


def execute(code, folder, **options):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in code])
    nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(
        nb,
        kernel_manager_class=warm.WarmKernelManager,
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(folder)}},
        **options,
    )
    client.execute(env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"})
    return client.nb


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    warm.stop_servers()


class TestOneServer:
    def test_it_has_one_thread_and_after_many_kernels_no_child_and_no_descriptor_more(self, folder):
        counts = []
        for _ in range(6):
            execute(["1 + 1"], folder)
            process = psutil.Process(warm._servers[str(folder)].process.pid)
            wait_until(lambda process=process: not process.children(), 5)
            counts.append((process.num_threads(), process.num_fds(), psutil.Process().num_fds()))
        assert {threads for threads, _, _ in counts} == {1}
        assert counts[-1][1] == counts[1][1]
        assert counts[-1][2] <= counts[1][2]

    def test_the_threads_of_a_worker_share_it_and_each_ends_its_own_kernel(self, folder):
        code = ["import os, time\ntime.sleep(0.2)\nos.getpid()"]
        with ThreadPoolExecutor(3) as threads:
            notebooks = list(threads.map(lambda _: execute(code, folder), range(6)))
        pids = {int(nb.cells[0].outputs[0]["data"]["text/plain"]) for nb in notebooks}
        assert len(pids) == 6
        wait_until(lambda: not any(map(is_alive, pids)), 5)

    def test_an_interrupt_reaches_the_cell_and_the_kernel_lives_on(self, folder):
        code = ["import time\ntime.sleep(30)", "'still here'"]
        nb = execute(code, folder, timeout=2, interrupt_on_timeout=True, allow_errors=True)
        assert nb.cells[0].outputs[0]["ename"] == "KeyboardInterrupt"
        assert nb.cells[1].outputs[0]["data"]["text/plain"] == "'still here'"

    def test_a_killed_kernel_takes_its_children_along_and_leaves_the_server(self, folder):
        code = "import os, subprocess, sys\np = subprocess.Popen(['sleep', '300'])\nopen('pid', 'w').write(str(p.pid))"
        execute([code], folder)
        wait_until(lambda: not is_alive(int((folder / "pid").read_text())), 5)
        with pytest.raises(DeadKernelError):
            execute(["import os\nos.kill(os.getpid(), 9)"], folder)
        with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
            execute(["1 / 0"], folder)
        assert execute(["1"], folder).cells[0].outputs[0]["data"]["text/plain"] == "1"

    def test_kernels_die_with_their_server_and_servers_with_their_worker(self, server, tmp_path):
        launcher = warm._launcher()
        connection = tmp_path / "kernel.json"
        request = {"start": [launcher, "-f", str(connection)], "environment": dict(os.environ), "cwd": str(tmp_path)}
        pid = server.fork({**request, "limits": {}})
        wait_until(connection.exists, 20)
        assert os.getpgid(pid) == pid
        server.channel.close()  # as when this process had died
        wait_until(lambda: not is_alive(pid), 10)
        assert server.process.wait(10) == 0


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class TestWhereForkingIsNotSafe:
    def test_another_system_is_told_in_words(self, monkeypatch):
        assert warm.why_not_warm() == ""
        monkeypatch.setattr(warm.sys, "platform", "darwin")
        assert warm.why_not_warm() == "warm kernels need Linux, this is darwin; ordinary kernels are started"

    def test_a_thread_beside_the_main_one_refuses_the_server(self, tmp_path):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
        )
        with pytest.raises(WarmRefused, match="1 threads run beside the main one"):
            ForkServer.start(str(tmp_path), {**ONE_BLAS_THREAD, "PYTHONPATH": str(tmp_path / "site")})

    def test_a_file_with_the_name_of_a_library_refuses_the_server(self, tmp_path):
        (tmp_path / "seaborn.py").write_text("")
        with pytest.raises(WarmRefused, match=r"holds seaborn\.py"):
            ForkServer.start(str(tmp_path), ONE_BLAS_THREAD)

    def test_a_server_that_cannot_start_leaves_the_ordinary_kernel_and_one_word(self, folder, monkeypatch, capfd):
        monkeypatch.setattr("recoverykit.batch._fork_client._SERVER", "recoverykit.batch.no_such_module")
        monkeypatch.setattr(warm, "_said", set())
        for _ in range(2):
            assert execute(["6 * 7"], folder).cells[0].outputs[0]["data"]["text/plain"] == "42"
        said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("recoverykit --warm: ")]
        assert said == ["recoverykit --warm: the fork server did not come up; its words stand in this log"]

    def test_a_launch_that_only_a_new_process_can_take_is_ordinary(self):
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "x"]
        with pytest.raises(WarmRefused, match="is started with preexec_fn"):
            warm._forked(command, {"env": {}, "cwd": "/", "preexec_fn": print})
        with pytest.raises(WarmRefused, match="asks for another kernel"):
            warm._forked(["R", "--slave"], {"env": {}, "cwd": "/"})


def test_a_forked_kernel_takes_its_connection_file_as_an_ordinary_one_does():
    ordinary, forked = IPKernelApp(), ForkedKernelApp()
    for app in (ordinary, forked):
        app.parse_command_line(["-f", "here/kernel.json"])
    assert forked.connection_file == ordinary.connection_file == "here/kernel.json"
    assert (forked.cli_config, forked.config) == (ordinary.cli_config, ordinary.config)


def test_a_forked_kernel_reads_whatever_else_it_is_given():
    app = ForkedKernelApp()
    app.parse_command_line(["-f", "here/kernel.json", "--IPKernelApp.ip=sockets/k"])
    assert (app.connection_file, app.ip) == ("here/kernel.json", "sockets/k")


def test_a_kernel_is_made_without_the_list_of_modules_and_python_keeps_its_own(monkeypatch):
    seen = []
    monkeypatch.setattr(IPKernelApp, "init_kernel", lambda _: seen.append((ipkernel.sys.modules, ipkernel.sys.path)))
    ForkedKernelApp().init_kernel()
    assert seen == [({}, sys.path)]
    assert ipkernel.sys is sys


def test_the_words_of_the_workers_are_found_in_the_log_once_each(tmp_path):
    assert warm.warnings_in(tmp_path) == []
    Path(tmp_path / "kernels.log").write_text("noise\nrecoverykit --warm: why\nrecoverykit --warm: why\n")
    assert warm.warnings_in(tmp_path) == ["why"]
