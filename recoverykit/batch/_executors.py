"""Where tasks run: processes of this machine, or a Dask cluster; both by the protocol of ``concurrent.futures``.

Every worker process is a pool of one of its own, so that one that is killed takes only its own task with it, where the
standard library's pool gives up all of them. On a cluster the scheduler itself gives the tasks of a killed worker to
another one.
"""

import contextlib
import multiprocessing
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

import lazy_loader

from recoverykit.batch._files import KERNEL_LOG
from recoverykit.batch._kernel import start_worker
from recoverykit.batch._owner import still_owned
from recoverykit.batch._provenance import library_hash
from recoverykit.errors import PlanError, RecoverykitError

distributed: Any = lazy_loader.load("distributed")  # an extra; costs its import only where a scheduler is named

_END_SECONDS = 5.0
_CONNECT_SECONDS = 30
_Call = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class WorkerDied(Exception):
    """The process that worked on a task was killed; the task is lost, the rest goes on."""


@dataclass(frozen=True, slots=True)
class Workers:
    """An executor, and how many tasks it works on at a time, which may change while it does."""

    executor: Executor
    n_slots: Callable[[], int]


class ProcessLanes(Executor):
    """Worker processes side by side, each renewed when it was killed.

    Parameters
    ----------
    n_lanes : int
        Worker processes.
    scratch : str
        Folder for what their kernels need for a while.
    log : Path
        File for what kernels write to the terminal.
    """

    def __init__(self, n_lanes: int, scratch: str, log: Path) -> None:
        self._arguments = (scratch, str(log))
        self._pools = [self._new_pool() for _ in range(n_lanes)]
        self._idle = list(range(n_lanes))
        self._waiting: deque[_Call] = deque()
        self._open: set[Future[Any]] = set()
        self._guard = RLock()
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in the next idle worker process; positional arguments only."""
        if kwargs or self._closed:
            raise RuntimeError("positional arguments only" if kwargs else "cannot submit after shutdown")
        future: Future[Any] = Future()
        with self._guard:
            self._waiting.append((future, fn, args))
            self._open.add(future)
            self._start_waiting()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the worker processes once they have done what was begun, and by default what is waiting."""
        with self._guard:
            self._closed = True
            while cancel_futures and self._waiting:
                cancelled = self._waiting.popleft()[0]
                cancelled.cancel()
                self._open.discard(cancelled)
            left = set(self._open)
        if wait and not cancel_futures:
            wait_for(left)
        for pool in list(self._pools):
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _new_pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=start_worker, initargs=self._arguments)

    def _start_waiting(self) -> None:
        while self._waiting and self._idle:
            future, function, arguments = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                self._open.discard(future)
                continue
            lane = self._idle.pop()
            try:
                inner = self._pools[lane].submit(function, *arguments)
            except BrokenProcessPool:  # killed while it was idle
                self._pools[lane] = self._new_pool()
                inner = self._pools[lane].submit(function, *arguments)
            inner.add_done_callback(partial(self._ended, lane, future))

    def _ended(self, lane: int, outer: Future[Any], inner: Future[Any]) -> None:
        error = CancelledError() if inner.cancelled() else inner.exception()
        with self._guard:
            if isinstance(error, BrokenProcessPool):
                error = WorkerDied("the worker process was killed, most likely for want of memory")
                self._pools[lane] = self._new_pool()
            self._idle.append(lane)
            self._open.discard(outer)
            self._start_waiting()
        if error is None:
            outer.set_result(inner.result())
        else:
            outer.set_exception(error)


@contextlib.contextmanager
def process_workers(n_workers: int, run_folder: Path) -> Iterator[Workers]:
    """Start worker processes on this machine; on any error they are ended at once."""
    others = set(multiprocessing.active_children())
    log = run_folder / KERNEL_LOG
    with tempfile.TemporaryDirectory(prefix="rk", ignore_cleanup_errors=True) as scratch:
        lanes = ProcessLanes(n_workers, scratch, log)
        try:
            yield Workers(lanes, lambda: n_workers)
        except BaseException:
            lanes.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()  # its kernel notices and ends by itself
                process.join(_END_SECONDS)
            raise
        finally:
            lanes.shutdown(cancel_futures=True)
            if log.exists() and not log.stat().st_size:
                log.unlink()


@contextlib.contextmanager
def dask_workers(address: str, run_folder: Path, token: str) -> Iterator[Workers]:
    """Connect to the scheduler of a Dask cluster.

    Raises
    ------
    PlanError
        When ``distributed`` is not installed, or no scheduler answers.
    RecoverykitError
        When there is no worker, or one does not see the run folder or runs another version of the library.
    """
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except ModuleNotFoundError:
        raise PlanError("a scheduler needs the package 'distributed'; install recoverykit[dask]") from None
    except (OSError, ValueError) as error:
        raise PlanError(f"no Dask scheduler answers at {address}: {type(error).__name__}") from None
    with client:
        _check_workers(client, run_folder, token)
        executor = client.get_executor(pure=False)
        try:
            yield Workers(executor, partial(_threads_of, client))
        except BaseException:
            executor.shutdown(wait=False)
            raise


def lost_workers(error: Exception) -> RecoverykitError:
    """Return the error that says that a cluster, or a worker while it was asked, is gone."""
    return RecoverykitError(f"the workers cannot be reached any more: {error or type(error).__name__}")


def _threads_of(client: Any) -> int:
    try:
        return max(1, sum(client.nthreads().values()))
    except (OSError, RuntimeError) as error:
        raise lost_workers(error) from None


def _check_workers(client: Any, run_folder: Path, token: str) -> None:
    try:
        seen = client.run(_what_a_worker_has, str(run_folder), token)
    except ModuleNotFoundError as error:
        raise RecoverykitError(f"a worker lacks the package {error.name!r}; install the kit there too") from None
    except OSError as error:
        raise lost_workers(error) from None
    if not seen:
        raise RecoverykitError("the Dask scheduler has no workers; start some and run again")
    own = library_hash()
    blind = sorted(worker for worker, (sees, _) in seen.items() if not sees)
    other = sorted(worker for worker, (_, digits) in seen.items() if digits != own)
    if blind:
        raise RecoverykitError(f"{', '.join(blind)} cannot see {run_folder}; it must lie where all workers reach it")
    if other:
        raise RecoverykitError(f"{', '.join(other)} run another version of recoverykit; bring them to the same one")


def _what_a_worker_has(run_folder: str, token: str) -> tuple[bool, str]:
    return (still_owned(Path(run_folder), token) if token else os.path.isdir(run_folder)), library_hash()
