"""From tasks to a pack: prepare the folder, execute, gather tables, render, and keep the manifest true throughout."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recoverykit.batch._files import BOOK, RESULTS, TABLES, names_full_disk, storage_error
from recoverykit.batch._tasks import Task, TaskResult
from recoverykit.batch.manifest import Manifest, RunStatus, start_manifest
from recoverykit.batch.plan import Plan
from recoverykit.batch.render import render_pack
from recoverykit.batch.results import gather_tables
from recoverykit.batch.runner import DEFAULT_TIMEOUT_SECONDS, check_limits, prepare_run_folder, run_plan
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
    """

    status: RunStatus
    index: Path | None
    manifest: dict[str, Any]


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
    selection: Mapping[str, Sequence[str]] | None = None,
    n_workers: int | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    progress: bool = True,
    templates: Path | None = None,
) -> RunOutcome:
    """Run tasks and make a pack of what they found.

    Parameters
    ----------
    plan, tasks
        The plan and its tasks, all or a selection of them.
    run_folder : path
        New, empty, or of an earlier run, which is replaced.
    reporting_date : str
        ISO date.
    data : mapping
        ``name``, ``currency`` and ``hashes`` of the data, for the manifest.
    write_book : callable
        Called with the folder into which the prepared data are to be written.
    selection : mapping, optional
        Lists ``only`` and ``segments`` where but a part of the plan is run.
    n_workers, timeout_seconds, progress
        As in ``run_plan``.
    templates : path, optional
        Folder of the templates; that of ``report`` by default.

    Returns
    -------
    RunOutcome
        Also when notebooks failed; the manifest and the pack say which and why.

    Raises
    ------
    RecoverykitError
        When the folder cannot be written or the disk is full before anything has run, or while the pack is made. The
        manifest, where it could be written, then says ``failed``.
    KeyboardInterrupt
        When the run was interrupted; the manifest then says ``interrupted``.
    """
    check_limits(n_workers, timeout_seconds)
    part = {name: chosen for name, chosen in (selection or {}).items() if chosen}
    folder = prepare_run_folder(run_folder, partial=bool(part))
    manifest = start_manifest(folder, plan=plan, tasks=tasks, reporting_date=reporting_date, data=data, selection=part)
    try:
        write_book(folder / BOOK)
        results = run_plan(
            tasks,
            folder,
            n_workers=n_workers,
            progress=progress,
            timeout_seconds=timeout_seconds,
            on_result=manifest.record,
        )
        return _finish(manifest, results, templates)
    except KeyboardInterrupt:
        manifest.finish(RunStatus.INTERRUPTED, reason="interrupted by a signal")
        raise
    except RecoverykitError as error:
        manifest.finish(RunStatus.FAILED, reason=str(error))
        raise
    except OSError as error:
        manifest.finish(RunStatus.FAILED, reason=f"{error.strerror or error}")
        raise storage_error(folder, error) from error


def _finish(manifest: Manifest, results: Sequence[TaskResult], templates: Path | None) -> RunOutcome:
    if any(result.error and names_full_disk(result.error.message) for result in results):
        status = manifest.finish(RunStatus.FAILED, reason="the disk was full; free space and run again")
        return RunOutcome(status, None, manifest.content)
    folder = manifest.run_folder
    gather_tables(folder / RESULTS, folder / TABLES)
    status = manifest.finish()
    pack = render_pack(folder, templates=templates)
    if pack.not_rendered and status is RunStatus.COMPLETE:
        status = manifest.finish(RunStatus.INCOMPLETE, reason=f"pages not rendered: {', '.join(pack.not_rendered)}")
    return RunOutcome(status, pack.index, manifest.content)
