"""The run: tasks handed to an executor as soon as what they come after has ended, each apart from the others' fate.

What a task does lies in ``_kernel``, where it does it in ``_executors``; what the tasks are, in ``plan``; which of them
have to be run at all, in ``resume``; what is written of them, in ``manifest``.
"""

import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from recoverykit.batch._executors import WorkerDied, Workers, dask_workers, lost_workers, process_workers
from recoverykit.batch._files import PARTIAL, RESULTS, names_full_disk
from recoverykit.batch._kernel import execute_task
from recoverykit.batch._progress import Progress
from recoverykit.batch._tasks import CellError, Limits, Task, TaskResult, TaskStatus
from recoverykit.errors import PlanError

DEFAULT_TIMEOUT_SECONDS = 1800.0
DEFAULT_RETRIES = 1
_TICK_SECONDS = 1.0


class Recorder:
    """What a run asks and tells on its way; this one knows of no earlier run and keeps nothing."""

    def reusable(self, task: Task) -> TaskResult | None:
        """Return the result of an earlier execution that still holds; None to execute the task.

        Asked when all that the task comes after has ended.
        """

    def started(self, task: Task, attempt: int) -> None:
        """Take note that a task has been handed to a worker."""

    def ended(self, result: TaskResult) -> None:
        """Take note of what became of a task."""

    def tick(self) -> None:
        """Write what was noted; called about once a second."""


def run_plan(
    tasks: Sequence[Task],
    run_folder: str | Path,
    *,
    n_workers: int | None = None,
    progress: bool = True,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    memory_mb: float | None = None,
    retries: int = DEFAULT_RETRIES,
    fail_fast: bool = False,
    scheduler: str = "",
    token: str = "",
    warm: bool = False,
    recorder: Recorder | None = None,
) -> list[TaskResult]:
    """Execute tasks in worker processes, each when the stages that it comes after have ended.

    A stage counts as ended whatever failed in it: a notebook for the whole book finds out from the results which
    segments are missing. When the disk is full, nothing more is started.

    Parameters
    ----------
    tasks : sequence of Task
        From ``expand_plan``.
    run_folder : path
        From ``prepare_run_folder``.
    n_workers : int, optional
        Notebooks at a time, 1 or more; the number of cores by default. On a cluster its workers decide.
    progress : bool
        Show a bar on the standard error stream.
    timeout_seconds : float
        Time for one notebook, more than 0.
    memory_mb : float, optional
        Resident memory that one kernel may hold, in megabytes; no limit by default.
    retries : int
        How often a task is begun again after the death of its kernel or worker; nothing else is tried twice.
    fail_fast : bool
        Start nothing more after the first failure.
    scheduler : str
        Address of a Dask scheduler, whose workers see the run folder and the notebooks under the same paths.
    token : str
        Token of the folder's owner; tasks of a run that no longer owns its folder end themselves.
    warm : bool
        Fork kernels from a process that has done the imports, where the system can (``warm``).
    recorder : Recorder, optional
        Decides what is executed, and is told what happens.

    Returns
    -------
    list of TaskResult
        In the order in which they ended; one for each task.

    Raises
    ------
    PlanError
        When a limit is out of range, or the scheduler cannot be used.
    KeyboardInterrupt
        After an interruption, when the workers have been ended and what was left was reported as not run.
    """
    check_limits(n_workers, timeout_seconds, memory_mb=memory_mb, retries=retries)
    folder = Path(run_folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    limits = Limits(timeout_seconds, int((memory_mb or 0) * 1e6), warm)
    with ExitStack() as stack:
        bar = Progress(len(tasks), shown=progress)
        stack.callback(bar.close)
        run = _Run(tasks, folder, recorder or Recorder(), bar, retries=retries, fail_fast=fail_fast)

        def start_workers() -> Workers:
            if scheduler:
                return stack.enter_context(dask_workers(scheduler, folder, token))
            count = min(n_workers or _available_cores(), max(len(tasks), 1))
            return stack.enter_context(process_workers(count, folder))

        try:
            run.go(start_workers, limits, token)
        except BaseException as error:
            why = "the run was interrupted" if isinstance(error, KeyboardInterrupt) else "the run could not go on"
            stack.__exit__(
                type(error), error, error.__traceback__
            )  # workers here are gone; those of a cluster see it soon
            run.give_up(why)
            raise
        finally:
            _remove_partials(folder)
        run.give_up(run.stopped)
    return run.results


def check_limits(
    n_workers: int | None, timeout_seconds: float, *, memory_mb: float | None = None, retries: int = 0
) -> None:
    """Raise PlanError, with every violation, unless the limits of a run are in range."""
    problems = []
    if (n_workers is not None and n_workers < 1) or not timeout_seconds > 0:
        problems.append(f"workers must be 1 or more and the timeout above 0, not {n_workers} and {timeout_seconds}")
    if memory_mb is not None and not memory_mb > 0:
        problems.append(f"the memory limit must be above 0 MB, not {memory_mb}")
    if retries < 0:
        problems.append(f"retries must be 0 or more, not {retries}")
    if problems:
        raise PlanError("; ".join(problems))


class _Run:
    """The tasks of a run: waiting by stage, running, and ended."""

    def __init__(
        self,
        tasks: Sequence[Task],
        folder: Path,
        recorder: Recorder,
        bar: Progress,
        *,
        retries: int,
        fail_fast: bool,
    ) -> None:
        self.results: list[TaskResult] = []
        self.stopped = ""
        self._folder, self._recorder, self._bar = folder, recorder, bar
        self._retries, self._fail_fast = retries, fail_fast
        self._left = {task.key: task for task in tasks}
        self._open = Counter(task.stage for task in tasks)
        self._waiting: dict[str, deque[tuple[Task, int]]] = {task.stage: deque() for task in tasks}
        for task in tasks:
            self._waiting[task.stage].append((task, 1))
        self._running: dict[Future[TaskResult], tuple[Task, int]] = {}

    def go(self, start_workers: Callable[[], Workers], limits: Limits, token: str) -> None:
        """Execute until nothing is left, or nothing more may be started; workers only start when there is work."""
        workers: Workers | None = None
        ticked = time.monotonic()
        while True:
            while not self.stopped and (workers is None or len(self._running) < workers.n_slots()):
                found = self._next()
                if found is None:
                    break
                workers = workers or start_workers()
                task, attempt = found
                future = _submitted(workers, task, str(self._folder), limits, token)
                self._running[future] = found
                self._recorder.started(task, attempt)
                self._bar.started(task.stage)
            if not self._running:
                return
            for future in wait(self._running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED).done:
                self._take(future)
            if time.monotonic() - ticked >= _TICK_SECONDS:
                ticked = time.monotonic()
                self._recorder.tick()
                self._bar.tick()

    def give_up(self, why: str) -> None:
        """Report what is left as not run."""
        begun = {task.key for task, _ in self._running.values()}
        for key in list(self._left):
            result = TaskResult(key, TaskStatus.NOT_RUN, error=CellError("NotRun", why))
            self._report(result, begun=key in begun)

    def _next(self) -> tuple[Task, int] | None:
        """Return the next task that has to be executed and may begin; report those whose results still hold."""
        for queue in self._waiting.values():
            while queue and not any(self._open[stage] for stage in queue[0][0].after):
                task, attempt = queue.popleft()
                earlier = self._recorder.reusable(task) if attempt == 1 else None
                if earlier is None:
                    return task, attempt
                self._report(earlier, begun=False)
        return None

    def _take(self, future: Future[TaskResult]) -> None:
        task, attempt = self._running.pop(future)
        result, worker_died = _result_of(future, task)
        if (result.status is TaskStatus.KERNEL_DIED or worker_died) and attempt <= self._retries and not self.stopped:
            shutil.rmtree(self._folder / RESULTS / task.key, ignore_errors=True)
            self._waiting[task.stage].appendleft((task, attempt + 1))
            self._bar.retried()
            return
        self._report(replace(result, attempts=attempt), begun=True)

    def _report(self, result: TaskResult, *, begun: bool) -> None:
        task = self._left.pop(result.key)
        self._open[task.stage] -= 1
        if result.status is not TaskStatus.DONE and begun:
            # Half a notebook's results must not count in a later stage.
            shutil.rmtree(self._folder / RESULTS / result.key, ignore_errors=True)
        self.results.append(result)
        self._recorder.ended(result)
        self._bar.ended(result, begun=begun)
        if result.error is not None and names_full_disk(result.error.message):
            self.stopped = "not started, since the disk was full"
        elif self._fail_fast and result.status is not TaskStatus.DONE:
            self.stopped = self.stopped or f"not started, since {result.key} failed and the run stops at a failure"


def _submitted(workers: Workers, task: Task, folder: str, limits: Limits, token: str) -> Future[TaskResult]:
    try:
        return workers.executor.submit(execute_task, task, folder, limits, token)
    except Exception as error:
        raise lost_workers(error) from error


def _result_of(future: Future[TaskResult], task: Task) -> tuple[TaskResult, bool]:
    """Return what became of a task, and whether its worker was killed."""
    try:
        return future.result(), False
    except Exception as error:
        # Dask's KilledWorker comes when several workers have died at the same task.
        killed = isinstance(error, WorkerDied) or type(error).__name__ == "KilledWorker"
        message = "the worker process was killed, most likely for want of memory; its task is lost, the rest goes on"
        lost = str(error) or "its scheduler gave it up or was lost"
        cell = CellError("WorkerDied", message) if killed else CellError(type(error).__name__, lost)
        return TaskResult(task.key, TaskStatus.FAILED, error=cell), isinstance(error, WorkerDied)


def _remove_partials(folder: Path) -> None:
    for partial in folder.rglob(f"*{PARTIAL}"):
        partial.unlink(missing_ok=True)


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
