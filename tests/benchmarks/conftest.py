"""What the benchmarks share: one clock, fresh processes, R where it is installed, and the speed table at the end.

A benchmark takes the fixture ``speed`` and records rows of the table; they travel in pytest-benchmark's ``extra_info``,
so that ``--benchmark-json`` keeps them. Seconds are printed, never asserted.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tracemalloc

import pytest

ROWS = "speed table"
COLUMNS = ("what", "rows", "recoverykit", "peer", "its time", "times as fast", "mark", "memory")
TABLE = pytest.StashKey[list]()
MEGABYTE = 1e6

#: Ends the script of a fresh process: its CPU seconds, of all threads, and its peak memory, imports included.
FAREWELL = """
import json, pathlib, resource, time
own = pathlib.Path("/proc/self/status")
if own.exists():  # a child's ru_maxrss may start from its parent's size; the kernel's own mark does not
    peak = int(own.read_text().split("VmHWM:")[1].split()[0])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(found | {"cpu_seconds": time.process_time(), "megabytes": peak / 1024}))
"""


class Speed:
    """Rows of the speed table of one benchmark."""

    def __init__(self, benchmark):
        self._benchmark = benchmark

    def seconds(self, work, *, repeats=1):
        """Return the shortest wall time of some runs, and what the last one returned."""
        taken = []
        for _ in range(repeats):
            begin = time.perf_counter()
            result = work()
            taken.append(time.perf_counter() - begin)
        return min(taken), result

    def megabytes(self, work):
        """Return the peak of what a run allocates by itself, Python's and numpy's."""
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / MEGABYTE

    def record(self, what, *, rows=None, peers=None, mark="", memory="", seconds=None):
        """Record one row for each peer (name to seconds), or one without; ours is the shortest run of the benchmark."""
        if self._benchmark.stats is None:  # run with --benchmark-disable
            return
        own = self._benchmark.stats.stats.min if seconds is None else seconds
        for peer, spent in (peers or {"": None}).items():
            row = {"what": what, "rows": rows, "seconds": own, "peer": peer, "peer_seconds": spent}
            row |= {"mark": mark.get(peer, "") if isinstance(mark, dict) else mark, "memory": memory}
            self._benchmark.extra_info.setdefault(ROWS, []).append(row)


@pytest.fixture
def speed(benchmark):
    """Return what records rows of the speed table."""
    return Speed(benchmark)


@pytest.fixture(scope="session")
def fresh_process():
    """Return a function that runs a script in a process of its own and reads its dict ``found``, seconds and memory."""

    def run(script, *arguments):
        command = [sys.executable, "-c", script + FAREWELL, *map(str, arguments)]
        begin = time.perf_counter()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        # A long query may draw its progress above the last line.
        return {"process_seconds": time.perf_counter() - begin} | json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def run_r():
    """Return a function that runs an R script and reads the numbers that it prints; skip where R lacks a package."""
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("Rscript is not installed, so R's survival and cmprsk are no peers here")

    def run(script, *arguments, packages):
        for package in packages:
            asked = f"quit(status = !requireNamespace('{package}', quietly = TRUE))"
            if subprocess.run([program, "-e", asked], capture_output=True).returncode:
                pytest.skip(f"R has no package {package}")
        command = [program, "-e", script, *map(str, arguments)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return [float(number) for number in done.stdout.split()]

    return run


@pytest.fixture(autouse=True)
def _collected(request):
    """Keep the rows of each benchmark, and a line for one that recorded none."""
    benchmark = request.getfixturevalue("benchmark") if "benchmark" in request.fixturenames else None
    yield
    if benchmark is not None and benchmark.stats is not None:
        request.config.stash.setdefault(TABLE, []).extend(benchmark.extra_info.get(ROWS) or plain_rows(benchmark))


def plain_rows(benchmark):
    """Return rows from a benchmark's name, its shortest run, and what it said it was faster than."""
    faster = "times faster than "
    own = benchmark.stats.stats.min
    ratios = {key.removeprefix(faster): value for key, value in benchmark.extra_info.items() if key.startswith(faster)}
    row = {"what": benchmark.name.removeprefix("test_").replace("_", " "), "seconds": own}
    return [row | {"peer": peer, "peer_seconds": ratio * own} for peer, ratio in ratios.items()] or [
        row | {"peer": "", "peer_seconds": None}
    ]


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    """Print the speed table as Markdown, and why peers are missing."""
    rows = config.stash.get(TABLE, [])
    if not rows:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    terminalreporter.section("speed table")
    terminalreporter.line(f"{cores} cores, {platform.machine()}, Python {platform.python_version()}, {load()}\n")
    terminalreporter.line(" | ".join(["", *COLUMNS, ""]).strip())
    terminalreporter.line("|" + " --- |" * len(COLUMNS))
    for row in rows:
        terminalreporter.line("| " + " | ".join(cells(row)) + " |")
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[-1].removeprefix("Skipped: ")
        terminalreporter.line(f"\nskipped {report.nodeid.split('::')[-1]}: {reason}")


def load():
    """Say how busy the machine is: on a busy one, times are too long and ratios approximate."""
    return f"load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"


def cells(row):
    """Return the cells of one row of the table."""
    spent = row["peer_seconds"]
    return [
        row["what"],
        "" if row.get("rows") is None else f"{row['rows']:,}",
        duration(row["seconds"]),
        row["peer"],
        "" if spent is None else duration(spent),
        "" if spent is None else factor(spent / row["seconds"]),
        row.get("mark", ""),
        row.get("memory", ""),
    ]


def duration(seconds):
    """Write seconds with two digits that matter."""
    if seconds < 1:
        return f"{1000 * seconds:.2g} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def factor(ratio):
    """Write a ratio with two digits that matter."""
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"
