"""From tasks to a pack: prepare the folder, execute what must be, gather tables, render, and keep the manifest true."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recoverykit.batch._chain import key_from
from recoverykit.batch._files import BOOK, INDEX, RESULTS, TABLES, names_full_disk, own_seal, storage_error
from recoverykit.batch._log import RunLog
from recoverykit.batch._owner import owned
from recoverykit.batch._redact import redact
from recoverykit.batch._tasks import Task, TaskResult, TaskStatus
from recoverykit.batch.folder import (
    book_holds,
    claim_run_folder,
    clear_for_tasks,
    pack_files,
    prepare_run_folder,
    prepared_book,
)
from recoverykit.batch.manifest import Manifest, RunStatus, plan_hash, read_manifest, start_manifest
from recoverykit.batch.plan import Plan
from recoverykit.batch.record import recorded
from recoverykit.batch.render import render_pack
from recoverykit.batch.results import gather_tables
from recoverykit.batch.resume import Judge
from recoverykit.batch.runner import DEFAULT_RETRIES, DEFAULT_TIMEOUT_SECONDS, Recorder, check_limits, run_plan
from recoverykit.errors import RecoverykitError


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended.

    Attributes
    ----------
    status : RunStatus
        Complete, incomplete or failed.
    index : Path or None
        The cover of the pack; None when the disk was full.
    manifest : dict
        Content of the manifest.
    executed : mapping of str to str
        By key of each task that was executed: why.
    """

    status: RunStatus
    index: Path | None
    manifest: dict[str, Any]
    executed: Mapping[str, str] = field(default_factory=dict)


def injected_parameters(run_folder: str | Path, reporting_date: str) -> dict[str, str]:
    """Return what a run sets in every notebook: where its data lie, as of when, and where its results go."""
    folder = Path(run_folder).resolve()
    return {"data": str(folder / BOOK), "reporting_date": reporting_date, "results_folder": str(folder / RESULTS)}


def run_pack(
    plan: Plan,
    tasks: Sequence[Task],
    run_folder: str | Path,
    *,
    reporting_date: str,
    data: Mapping[str, Any],
    write_book: Callable[[Path], object],
    book_key: str = "",
    selection: Mapping[str, Sequence[str]] | None = None,
    again: frozenset[str] = frozenset(),
    fresh: bool = False,
    n_workers: int | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    memory_mb: float | None = None,
    retries: int = DEFAULT_RETRIES,
    fail_fast: bool = False,
    scheduler: str = "",
    progress: bool = True,
    templates: Path | None = None,
    warm: bool = False,
    record_key: str = "",
) -> RunOutcome:
    """Run tasks and make a pack of what they found.

    In the folder of an earlier run only those tasks are executed that are missing, failed or changed since.

    Parameters
    ----------
    plan, tasks
        The plan and its tasks, all or a selection of them.
    run_folder : path
        New, empty, or of an earlier run of the same plan and date.
    reporting_date : str
        ISO date.
    data : mapping
        ``name``, ``currency`` and ``hashes`` of the data, for the manifest.
    write_book : callable
        Called with the folder into which the prepared data are to be written.
    book_key : str
        Hash of all that the prepared data are made from. The data of an earlier run with the same key are not written
        again; empty to write them in any case.
    selection : mapping, optional
        Lists ``only`` and ``segments`` where but a part of the plan is run.
    again : frozenset of str
        Stages to execute in any case.
    fresh : bool
        Keep nothing of an earlier run.
    n_workers, timeout_seconds, memory_mb, retries, fail_fast, scheduler, progress, warm
        As in ``run_plan``.
    templates : path, optional
        Folder of the templates; that of ``report`` by default.
    record_key : str
        Name of the environment variable with a key, by which the run's entry in the record is signed; empty for none.

    Returns
    -------
    RunOutcome
        Also when notebooks failed; the manifest and the pack say which and why.

    Raises
    ------
    RecoverykitError
        When another process runs in the folder, when the folder cannot be written, or when the disk is full before
        anything has run or while the pack is made. The manifest, where it could be written, then says ``failed``.
    KeyboardInterrupt
        When the run was interrupted; the manifest then says ``interrupted``.
    """
    check_limits(n_workers, timeout_seconds, memory_mb=memory_mb, retries=retries)
    key_from(record_key)  # refused before anything has run
    part = {name: chosen for name, chosen in (selection or {}).items() if chosen}
    with owned(claim_run_folder(run_folder)) as owner:
        folder, before = prepare_run_folder(
            run_folder, plan_name=plan.name, reporting_date=reporting_date, partial=bool(part), fresh=fresh
        )
        log = RunLog(folder)
        if _stands(folder, before, plan, tasks, part, book_key, again):
            log.run_id = before["run_id"]
            log.write("nothing_to_do", tasks=len(tasks))
            return RunOutcome(RunStatus.COMPLETE, folder / INDEX, before)
        manifest = start_manifest(
            folder, plan=plan, tasks=tasks, reporting_date=reporting_date, data=data, selection=part, before=before
        )
        with recorded(manifest, plan, key_variable=record_key), _Told(manifest, log):
            clear_for_tasks(folder, {task.key for task in tasks})
            manifest.content["book"] = prepared_book(folder, before.get("book", {}), book_key, write_book)
            judge = Judge(folder, before, tasks, data_id=manifest.content["book"]["id"], again=again)
            going = _Going(manifest, judge, log)
            results = run_plan(
                tasks,
                folder,
                n_workers=n_workers,
                progress=progress,
                timeout_seconds=timeout_seconds,
                memory_mb=memory_mb,
                retries=retries,
                fail_fast=fail_fast,
                scheduler=scheduler,
                token=owner.token,
                warm=warm,
                recorder=going,
            )
            return _finish(manifest, results, templates, going.executed)


def preview(
    tasks: Sequence[Task], run_folder: str | Path, *, book_key: str = "", again: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Return by key why each task would be executed in a folder, empty where it would not; nothing is written.

    Data that would have to be prepared again are taken as changed. Without an earlier run nothing is returned.
    """
    folder = Path(run_folder).resolve()
    try:
        before = read_manifest(folder)
    except RecoverykitError:
        return {}
    same = book_holds(folder, before.get("book", {}), book_key)
    return Judge(folder, before, tasks, data_id=before["book"]["id"] if same else "", again=again).preview(tasks)


def _stands(
    folder: Path,
    before: Mapping[str, Any],
    plan: Plan,
    tasks: Sequence[Task],
    part: Mapping[str, Sequence[str]],
    book_key: str,
    again: frozenset[str],
) -> bool:
    """Tell whether the pack in a folder is whole and recorded, and just the one that would be made."""
    if not own_seal(folder) or before.get("status") != RunStatus.COMPLETE or "pack" not in before:
        return False
    asked = (plan_hash(plan), {task.key for task in tasks}, {name: list(chosen) for name, chosen in part.items()})
    if asked != (before["plan"]["sha256"], set(before["tasks"]), before["selection"]):
        return False
    try:
        if not book_holds(folder, before["book"], book_key) or pack_files(folder) != before["pack"]:
            return False
    except OSError:  # what cannot be read is made anew
        return False
    judge = Judge(folder, before, tasks, data_id=before["book"]["id"], again=again)
    return not any(judge.preview(tasks).values())


class _Told:
    """Write into manifest and log how the body of the statement ended, where it did not come to its end."""

    def __init__(self, manifest: Manifest, log: RunLog) -> None:
        self._manifest, self._log = manifest, log
        log.run_id = manifest.content["run_id"]

    def __enter__(self) -> None:
        self._log.write("run_started", tasks=len(self._manifest.content["tasks"]))

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._manifest.content.pop("pack", None)
        if isinstance(error, KeyboardInterrupt):
            self._manifest.finish(RunStatus.INTERRUPTED, reason="interrupted by a signal")
        elif isinstance(error, OSError):
            self._manifest.finish(RunStatus.FAILED, reason=redact(f"{error.strerror or error}"))
        elif error is not None:
            self._manifest.finish(RunStatus.FAILED, reason=redact(str(error)) or type(error).__name__)
        content = self._manifest.content
        self._log.write("run_ended", status=content["status"], reason=content["reason"])
        if isinstance(error, OSError):
            raise storage_error(self._manifest.run_folder, error) from error


class _Going(Recorder):
    """Between the run and its manifest and log: what holds of an earlier run is kept, all else is recorded."""

    def __init__(self, manifest: Manifest, judge: Judge, log: RunLog) -> None:
        self.executed: dict[str, str] = {}
        self._manifest, self._judge, self._log = manifest, judge, log
        self._tasks: dict[str, Mapping[str, Any]] = manifest.content["tasks"]
        self._kept: set[str] = set()

    def reusable(self, task: Task) -> TaskResult | None:
        reason = self._judge.reason(task, self._tasks)
        if reason:
            self.executed[task.key] = reason
            return None
        self._kept.add(task.key)
        self._manifest.keep(task.key)
        return self._judge.result(task)

    def started(self, task: Task, attempt: int) -> None:
        reason = self.executed[task.key]
        self._manifest.start(task.key, attempt=attempt, reason=reason, inputs=self._judge.inputs(task, self._tasks))
        self._log.write("task_started", task=task.key, attempt=attempt, reason=reason)

    def ended(self, result: TaskResult) -> None:
        facts: dict[str, Any] = {"task": result.key, "status": str(result.status)}
        if result.key in self._kept:
            self._log.write("task_kept", **facts)
            return
        self._manifest.record(result)
        facts |= {"seconds": result.seconds, "attempts": result.attempts}
        self._log.write("task_ended", **facts, **({"error": str(result.error)} if result.error else {}))

    def tick(self) -> None:
        self._manifest.tick()


def _finish(
    manifest: Manifest, results: Sequence[TaskResult], templates: Path | None, executed: Mapping[str, str]
) -> RunOutcome:
    if any(result.error and names_full_disk(result.error.message) for result in results):
        status = manifest.finish(RunStatus.FAILED, reason="the disk was full; free space and run again")
        return RunOutcome(status, None, manifest.content, executed)
    folder = manifest.run_folder
    # Results of an earlier run may lie beside those of this one, for notebooks that were not started.
    gather_tables(folder / RESULTS, folder / TABLES, keys={r.key for r in results if r.status is TaskStatus.DONE})
    manifest.content["pack"] = {}  # none yet: who meets this once the process is gone knows that it was killed here
    status = manifest.finish()
    pack = render_pack(folder, templates=templates)
    if pack.not_rendered and status is RunStatus.COMPLETE:
        status = manifest.finish(RunStatus.INCOMPLETE, reason=f"pages not rendered: {', '.join(pack.not_rendered)}")
    manifest.content["pack"] = pack_files(folder)
    manifest.save()
    return RunOutcome(status, pack.index, manifest.content, executed)
