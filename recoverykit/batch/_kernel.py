"""One notebook in one kernel, inside a worker process, and an honest word on how it ended.

papermill parameterises and executes. Two things are put right here. After the death of a kernel or a timeout papermill
marks the running cell, and all the cells that were never reached, as completed; our engine marks the cell as failed.
And with a file as target papermill leaves nothing behind in these cases; here the notebook is kept as far as it came.
"""

import logging
import math
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_notebook
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import raise_for_execution_errors
from traitlets.config import Config

from recoverykit.batch._files import NOTEBOOKS, RESULTS, sha256_of, written_aside
from recoverykit.batch._lighter import lighten
from recoverykit.batch._redact import redact, without_secrets
from recoverykit.batch._tasks import CellError, Limits, Task, TaskResult, TaskStatus
from recoverykit.batch._watch import Watch
from recoverykit.batch.warm import kernel_manager_class
from recoverykit.errors import RecoverykitError

_ENGINE = "recoverykit"
_FAILED, _COMPLETED = "failed", "completed"
_START_SECONDS = 60
#: A kernel on a busy machine may take its time to send a large figure; this is no sign of failure.
_OUTPUT_SECONDS = 60
_SOURCE_LINES = 6
_TRACEBACK_LINES = 60
_TRACEBACK_CHARACTERS = 6_000
_MESSAGE_CHARACTERS = 2_000
_COLOUR_CODE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

#: One thread for each kernel, since the workers share the cores; and the same sums whatever the number of workers.
_KERNEL_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # no word about frozen modules on the terminal
}


class KeepingEngine(NBClientEngine):
    """papermill's engine, which hands out the notebook in any case, watches the kernel and marks the running cell."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, **options: Any) -> Any:
        """Execute as papermill does and raise for a failed cell; what goes back is empty.

        papermill would make text of it once more, though it was given no file; ``kept`` has the notebook.
        """
        raise_for_execution_errors(super().execute_notebook(nb, kernel_name, **options), None)
        return new_notebook()

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        kept: dict[str, Any],
        watch: Watch,
        environment: dict[str, str],
        start_timeout: int,
        **options: Any,
    ) -> Any:
        """Execute as papermill does; ``kept["notebook"]`` holds the notebook, however it ends."""
        kept["notebook"] = nb_man.nb
        options.pop("input_path", None)
        client = PapermillNotebookClient(nb_man, kernel_name=kernel_name, startup_timeout=start_timeout, **options)
        try:
            with watch.over(client):
                return client.execute(env=environment)
        except Exception:
            begun = [i for i, cell in enumerate(nb_man.nb.cells) if cell.metadata.papermill.get("start_time")]
            if begun:
                nb_man.cell_exception(nb_man.nb.cells[begun[-1]], cell_index=begun[-1])
            raise


papermill_engines.register(_ENGINE, KeepingEngine)
logging.getLogger("papermill").setLevel(logging.CRITICAL)
logging.getLogger("traitlets").setLevel(logging.CRITICAL)


def start_worker(scratch: str, log: str) -> None:
    """Prepare a worker process: quiet, light, deaf to Ctrl-C, and ended with its runner.

    Parameters
    ----------
    scratch : str
        Folder for what its kernels need for a while; removed with the worker.
    log : str
        File that takes what kernels would write to the terminal, across the progress bar.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, sys.stderr.fileno())
    os.close(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner, which ends its workers itself
    tempfile.tempdir = scratch
    lighten()
    threading.Thread(target=_end_with_parent, args=(scratch,), daemon=True).start()


def _end_with_parent(scratch: str) -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)  # a killed runner must not leave workers that go on


def execute_task(task: Task, run_folder: str, limits: Limits, token: str = "") -> TaskResult:
    """Execute one notebook and keep it in the run folder, however it ends.

    It touches nothing that the process has but once, so that several may run in threads, as on a Dask worker.

    Parameters
    ----------
    task : Task
        What to run.
    run_folder : str
        Absolute path of the run folder.
    limits : Limits
        Time and memory.
    token : str
        Token of the folder's owner. When the folder has another one, the run that asked for this task is over: the
        kernel is ended and nothing is written.

    Returns
    -------
    TaskResult
        Never raises for a fault of the notebook or of its kernel.
    """
    started_at, begin = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    kept: dict[str, Any] = {}
    folder = Path(run_folder)
    watch = Watch(folder, token, limits)
    status, error = TaskStatus.DONE, None
    try:
        _check_still_wanted(watch)
        shutil.rmtree(folder / RESULTS / task.key, ignore_errors=True)  # an earlier attempt's tables must not stay
        _run_in_kernel(task, kept, watch)
    except Exception as exception:
        status, error = _judge(exception, kept.get("notebook"), watch)
    outputs: dict[str, str] = {}
    if not watch.abandoned:
        try:
            files = _keep_notebook(kept.get("notebook"), folder / NOTEBOOKS / f"{task.key}.ipynb")
            if status is TaskStatus.DONE:
                files += sorted(path for path in (folder / RESULTS / task.key).rglob("*") if path.is_file())
            outputs = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
        except (OSError, RecoverykitError) as exception:
            status, error = _not_kept(exception, status, error)
    seconds = round(time.monotonic() - begin, 3)
    hidden = error and _without_secrets(error)
    return TaskResult(task.key, status, started_at, seconds, hidden, outputs, peak_memory_bytes=watch.peak_memory_bytes)


def _run_in_kernel(task: Task, kept: dict[str, Any], watch: Watch) -> None:
    seconds = watch.limits.timeout_seconds
    deadline = time.monotonic() + _START_SECONDS + seconds
    source = Path(task.path)

    def seconds_left(_: Any) -> int:
        nonlocal deadline
        deadline = min(deadline, time.monotonic() + seconds)  # the clock starts with the first cell
        return max(1, math.ceil(deadline - time.monotonic()))

    # The kernel of this environment, not one of the same name in the user's home.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    with tempfile.TemporaryDirectory(prefix="rk", ignore_cleanup_errors=True) as scratch:
        papermill.execute_notebook(
            str(source).replace("{", "{{").replace("}", "}}"),  # papermill fills placeholders into paths
            None,
            dict(task.parameters),
            engine_name=_ENGINE,
            request_save_on_cell_execute=False,
            record_timing=False,  # papermill notes when a cell began and ended; nbclient would again
            progress_bar=False,
            log_output=False,
            start_timeout=_START_SECONDS,
            resources={"metadata": {"path": str(source.parent)}},  # where the kernel stands; not this process
            kept=kept,
            watch=watch,
            environment=_kernel_environment(scratch),
            timeout_func=seconds_left,
            iopub_timeout=_OUTPUT_SECONDS,
            shutdown_kernel="immediate",  # nothing is left to be saved in a kernel whose last cell has run
            config=_private_channels(scratch),
            kernel_manager_class=kernel_manager_class(watch.limits.warm),
        )
    _check_still_wanted(watch)
    unfinished = _failed_cell(kept["notebook"])
    if unfinished is not None:
        raise RecoverykitError("the notebook ended itself before its last cell")


def _check_still_wanted(watch: Watch) -> None:
    if watch.check_owner():
        raise RecoverykitError("the run that this task belonged to is over")


def _kernel_environment(scratch: str) -> dict[str, str]:
    """Return the variables of a kernel: no secrets, one thread, no start-up files of the user."""
    return {**without_secrets(os.environ), **_KERNEL_ENVIRONMENT, "IPYTHONDIR": scratch}


def _private_channels(scratch: str) -> Config:
    """Talk to a kernel through sockets of its own in its scratch folder, where the system has them.

    Ports could be taken by two workers at once, and every process of the machine can reach them.
    """
    place = {"connection_file": f"{scratch}/kernel.json"}
    # Without a name of its own jupyter_client puts "kernel-ipc" into the working folder, the same for every kernel.
    sockets = {"transport": "ipc", "ip": f"{scratch}/k"} if os.name == "posix" else {}
    return Config({"KernelManager": place | sockets})


def _without_secrets(error: CellError) -> CellError:
    return replace(
        error,
        message=redact(error.message)[: 2 * _MESSAGE_CHARACTERS],
        cell_source=redact(error.cell_source),
        traceback=redact(error.traceback),
    )


def _not_kept(exception: Exception, status: TaskStatus, error: CellError | None) -> tuple[TaskStatus, CellError]:
    """Tell that what was executed could not be kept, without losing sight of the cell that failed before."""
    if error is None:
        return TaskStatus.FAILED, CellError(type(exception).__name__, str(exception))
    said = redact(error.message)[:_MESSAGE_CHARACTERS]  # what comes behind may say that the disk is full
    return status, replace(error, message=f"{said}; and the notebook could not be kept: {exception}")


def _failed_cell(notebook: Any) -> int | None:
    states = [cell.metadata.get("papermill", {}).get("status", _COMPLETED) for cell in notebook.cells]
    return next((index for index, state in enumerate(states) if state != _COMPLETED), None)


def _judge(exception: Exception, notebook: Any, watch: Watch) -> tuple[TaskStatus, CellError]:
    """Tell a failing cell from a dead kernel and from a limit that was reached, and find the cell."""
    if isinstance(exception, PapermillExecutionError):
        return TaskStatus.FAILED, CellError(
            exception.ename,
            _COLOUR_CODE.sub("", exception.evalue),
            exception.cell_index,
            _first_lines(exception.source),
            _last_lines(exception.traceback),
        )
    index = None if notebook is None else _failed_cell(notebook)
    source = "" if index is None or notebook is None else _first_lines(notebook.cells[index].source)
    if watch.abandoned:
        return TaskStatus.NOT_RUN, CellError("NotRun", "the run that this task belonged to is over")
    if watch.over_memory:
        held, limit = watch.peak_memory_bytes / 1e6, watch.limits.memory_bytes / 1e6
        message = f"the kernel held {held:,.0f} MB of memory, {limit:,.0f} MB are allowed; it was ended"
        return TaskStatus.OUT_OF_MEMORY, CellError("MemoryLimitError", message, index, source)
    if isinstance(exception, CellTimeoutError):
        message = str(exception).partition("\n")[0]
        return TaskStatus.TIMED_OUT, CellError("TimeoutError", message, index, source)
    if isinstance(exception, DeadKernelError) or "Kernel died" in str(exception):
        when = "while this cell ran" if index is not None else "before its first cell"
        message = f"the kernel died {when}: killed from outside, out of memory or crashed"
        return TaskStatus.KERNEL_DIED, CellError("DeadKernelError", message, index, source)
    return TaskStatus.FAILED, CellError(type(exception).__name__, _COLOUR_CODE.sub("", str(exception)), index, source)


def _first_lines(source: str) -> str:
    lines = source.strip().splitlines()
    return "\n".join([*lines[:_SOURCE_LINES], *(["..."] if len(lines) > _SOURCE_LINES else [])])


def _last_lines(traceback: list[str]) -> str:
    lines = _COLOUR_CODE.sub("", "\n".join(traceback)).splitlines()
    return "\n".join(lines[-_TRACEBACK_LINES:])[-_TRACEBACK_CHARACTERS:]


def _keep_notebook(notebook: Any, path: Path) -> list[Path]:
    if notebook is None:
        return []
    # What papermill notes of paths and places belongs to this machine; our manifest says what was run.
    record: Mapping[str, Any] = notebook.metadata.pop("papermill", {})
    notebook.metadata["recoverykit"] = {"version": 1, "parameters": record.get("parameters", {})}
    with written_aside(path) as partial:
        partial.write_text(redact(nbformat.writes(notebook)), encoding="utf-8", newline="\n")
    return [path]
