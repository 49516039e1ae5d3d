"""The run: tasks in worker processes, stage after stage, each told apart from the fate of the others.

Every worker is a pool of one process of its own, so that a worker that is killed takes only its own task with it.
What a task does lies in ``_kernel``; what the tasks are, in ``plan``; what is written of them, in ``manifest``.
"""

import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from recoverykit.batch._files import (
    INDEX,
    KERNEL_LOG,
    MANIFEST,
    MARKER,
    PARTIAL,
    RESULTS,
    RUN_FOLDERS,
    names_full_disk,
    storage_error,
)
from recoverykit.batch._kernel import execute_task, start_worker
from recoverykit.batch._tasks import CellError, Task, TaskResult, TaskStatus
from recoverykit.batch.manifest import RunStatus, read_manifest
from recoverykit.errors import PlanError, RecoverykitError

DEFAULT_TIMEOUT_SECONDS = 1800.0
_END_SECONDS = 5.0


def prepare_run_folder(run_folder: str | Path, *, partial: bool = False) -> Path:
    """Make the run folder ready: nothing of an earlier run stays, its index first of all.

    Parameters
    ----------
    run_folder : path
        A new or empty folder, or the folder of an earlier run.
    partial : bool
        Only a part of the plan will run, which must not take the place of a complete run.

    Returns
    -------
    Path
        Absolute path of the folder.

    Raises
    ------
    RecoverykitError
        When the folder holds something else than a run, or cannot be written.
    PlanError
        When a partial run would replace a complete one.
    """
    folder = Path(run_folder).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARKER).exists() and any(folder.iterdir()):
            raise RecoverykitError(f"{folder} holds files but no run; choose an empty folder")
        if partial and (folder / MANIFEST).exists() and read_manifest(folder)["status"] == RunStatus.COMPLETE:
            raise PlanError(f"{folder} holds a complete run, which a selection would replace; choose another folder")
        (folder / MARKER).touch()
        (folder / INDEX).unlink(missing_ok=True)
        for name in (MANIFEST, KERNEL_LOG):
            (folder / name).unlink(missing_ok=True)
        for name in RUN_FOLDERS:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
            (folder / name).mkdir()
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder


def run_plan(
    tasks: Sequence[Task],
    run_folder: str | Path,
    *,
    n_workers: int | None = None,
    progress: bool = True,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    on_result: Callable[[TaskResult], None] | None = None,
) -> list[TaskResult]:
    """Execute tasks in worker processes, stage after stage.

    A stage begins when the one before has ended, whatever failed in it: a notebook for the whole book finds out from
    the results which segments are missing. When the disk is full, nothing more is started.

    Parameters
    ----------
    tasks : sequence of Task
        From ``expand_plan``, in the order of their stages.
    run_folder : path
        From ``prepare_run_folder``.
    n_workers : int, optional
        Notebooks at a time, 1 or more; the number of cores by default.
    progress : bool
        Show a bar on the standard error stream.
    timeout_seconds : float
        Time for one notebook, more than 0.
    on_result : callable, optional
        Called with each result as it comes in, in this process.

    Returns
    -------
    list of TaskResult
        In the order in which they ended; one for each task.

    Raises
    ------
    PlanError
        When ``n_workers`` or ``timeout_seconds`` is out of range.
    KeyboardInterrupt
        After an interruption, when the workers have been ended and what was left was reported as not run.
    """
    check_limits(n_workers, timeout_seconds)
    n_lanes = min(n_workers or _available_cores(), max(len(tasks), 1))
    folder = Path(run_folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results: list[TaskResult] = []
    left = {task.key: task for task in tasks}
    with _progress_bar(len(tasks), progress) as bar:

        def report(result: TaskResult) -> None:
            del left[result.key]
            results.append(result)
            bar.update(1)
            bar.set_postfix(failed=sum(r.status is not TaskStatus.DONE for r in results), refresh=False)
            if on_result is not None:
                on_result(result)

        try:
            with _lanes(n_lanes, folder / KERNEL_LOG) as lanes:
                for name, of_stage in groupby(tasks, key=lambda task: task.stage):
                    bar.set_description(name)
                    _run_stage(list(of_stage), lanes, str(folder), timeout_seconds, report)
                    _remove_remains(folder, results)
                    if any(_disk_was_full(result) for result in results):
                        break
        except KeyboardInterrupt:
            _report_not_run(list(left.values()), "the run was interrupted", report)
            _remove_remains(folder, results)
            raise
        _report_not_run(list(left.values()), "not started, since the disk was full", report)
    return results


def check_limits(n_workers: int | None, timeout_seconds: float) -> None:
    """Raise PlanError unless the number of workers is 1 or more, or open, and the timeout above 0."""
    if (n_workers is not None and n_workers < 1) or not timeout_seconds > 0:
        raise PlanError(f"workers must be 1 or more and the timeout above 0, not {n_workers} and {timeout_seconds}")


@dataclass(slots=True)
class _Lane:
    """One worker process, renewed when it breaks."""

    scratch: str
    log: Path
    executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin with a new process."""
        context = multiprocessing.get_context("spawn")
        self.executor = ProcessPoolExecutor(
            1, mp_context=context, initializer=start_worker, initargs=(self.scratch, str(self.log))
        )


@contextlib.contextmanager
def _lanes(count: int, log: Path) -> Iterator[list[_Lane]]:
    others = set(multiprocessing.active_children())
    with tempfile.TemporaryDirectory(prefix="rk", ignore_cleanup_errors=True) as scratch:
        lanes = [_Lane(scratch, log) for _ in range(count)]
        try:
            yield lanes
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()  # its kernel notices and ends by itself
                process.join(_END_SECONDS)
            raise
        finally:
            for lane in lanes:
                lane.executor.shutdown(wait=True, cancel_futures=True)
            if log.exists() and not log.stat().st_size:
                log.unlink()


def _run_stage(
    tasks: list[Task],
    lanes: list[_Lane],
    run_folder: str,
    timeout_seconds: float,
    report: Callable[[TaskResult], None],
) -> None:
    waiting, idle = deque(tasks), list(lanes)
    running: dict[Future[TaskResult], tuple[Task, _Lane]] = {}
    while waiting or running:
        while waiting and idle:
            task, lane = waiting.popleft(), idle.pop()
            running[lane.executor.submit(execute_task, task, run_folder, timeout_seconds)] = (task, lane)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            task, lane = running.pop(future)
            result = _result_of(future, task, lane)
            idle.append(lane)
            report(result)
            if _disk_was_full(result):
                waiting.clear()  # the caller reports them, and the stages behind, as not run


def _result_of(future: Future[TaskResult], task: Task, lane: _Lane) -> TaskResult:
    try:
        return future.result()
    except BrokenProcessPool:
        lane.executor.shutdown(wait=False)
        lane.renew()
        message = "the worker process was killed, most likely for want of memory; its task is lost, the rest goes on"
        return TaskResult(task.key, TaskStatus.FAILED, error=CellError("WorkerDied", message))


def _disk_was_full(result: TaskResult) -> bool:
    return result.error is not None and names_full_disk(result.error.message)


def _report_not_run(tasks: Sequence[Task], why: str, report: Callable[[TaskResult], None]) -> None:
    for task in tasks:
        report(TaskResult(task.key, TaskStatus.NOT_RUN, error=CellError("NotRun", why)))


def _remove_remains(folder: Path, results: Sequence[TaskResult]) -> None:
    """Remove what tasks that are not done have left: half a notebook's results must not count in the next stage."""
    for result in results:
        if result.status is not TaskStatus.DONE:
            shutil.rmtree(folder / RESULTS / result.key, ignore_errors=True)
    for partial in folder.rglob(f"*{PARTIAL}"):
        partial.unlink(missing_ok=True)


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _progress_bar(total: int, shown: bool) -> "tqdm[Any]":
    every = 0.5 if sys.stderr.isatty() else 15.0  # a log file needs no line for each notebook
    return tqdm(total=total, unit="notebook", disable=not shown, mininterval=every, dynamic_ncols=True)
