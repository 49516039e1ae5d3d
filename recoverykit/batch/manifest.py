"""The manifest of a run: the only place that says what ran, on what, with what, and how it ended.

papermill's own notes inside the notebooks say "completed" after the death of a kernel; nothing here is taken from
them. The file is written aside and moved into place after each task, so that a reader always meets a whole one. It
holds no environment variables and no secrets.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from recoverykit.batch._chain import digest_of
from recoverykit.batch._files import MANIFEST, names_full_disk, sha256_of, write_text
from recoverykit.batch._provenance import (
    code_facts,
    library_hash,
    lock_hash,
    named_files,
    notebook_facts,
    package_versions,
)
from recoverykit.batch._tasks import ENDED, CellError, Task, TaskResult, TaskStatus
from recoverykit.batch.plan import Plan
from recoverykit.errors import RecoverykitError

__all__ = [
    "Manifest",
    "RunStatus",
    "failures",
    "last_word",
    "library_hash",
    "plan_hash",
    "read_manifest",
    "start_manifest",
    "status_counts",
]

FORMAT = 1
_RESERVE = ".reserve"
_RESERVE_BYTES_PER_TASK = 12_000  # a failed task with its traceback stays below this


class RunStatus(StrEnum):
    """State of a run as a whole."""

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    #: Never written by the run itself: its manifest says that it runs, and its process is gone.
    KILLED = "killed"


@dataclass(slots=True)
class Manifest:
    """The manifest of a run that goes on, kept in step with its file.

    Attributes
    ----------
    run_folder : Path
        Where ``manifest.json`` stands.
    content : dict
        What is written. Change the entry of a task through the methods only.
    """

    run_folder: Path
    content: dict[str, Any]
    _lines: dict[str, str] = field(default_factory=dict)
    _unsaved: bool = False

    def start(self, key: str, *, attempt: int, reason: str, inputs: Mapping[str, str]) -> None:
        """Enter that a task has begun, why, and what it reads; it is written with the next result or tick."""
        entry = self.content["tasks"][key]
        entry.pop("before", None)
        entry.update(
            status=str(TaskStatus.RUNNING),
            started_at=_now(),
            seconds=0.0,
            attempts=attempt,
            reason=reason,
            inputs=dict(inputs),
            error=None,
            outputs={},
        )
        self._touch(key)

    def record(self, result: TaskResult) -> None:
        """Enter what became of a task, and write."""
        entry = self.content["tasks"][result.key]
        entry.update(
            status=str(result.status),
            started_at=result.started_at or None,
            seconds=result.seconds,
            attempts=result.attempts,
            peak_memory_mb=round(result.peak_memory_bytes / 1e6),
            error=asdict(result.error) if result.error else None,
            outputs=dict(result.outputs),
        )
        self._touch(result.key)
        self.save()

    def keep(self, key: str) -> None:
        """Enter that what an earlier execution of a task left still holds; written with the next result or tick."""
        entry = self.content["tasks"][key]
        before = entry.pop("before")
        entry.update({name: value for name, value in before.items() if name != "parameters"})
        self._touch(key)

    def tick(self) -> None:
        """Write what was entered and not yet written."""
        if self._unsaved:
            self.save()

    def finish(self, status: RunStatus | None = None, *, reason: str = "") -> RunStatus:
        """Enter the end of the run, and write.

        Parameters
        ----------
        status : RunStatus, optional
            ``failed`` or ``interrupted`` when the run could not be carried through; otherwise it follows from the
            tasks: complete when all are done, failed when none is, incomplete in between.
        reason : str
            Why, in words, where the tasks do not say it.

        Returns
        -------
        RunStatus
            The status entered.
        """
        for key, entry in self.content["tasks"].items():
            if entry["status"] == TaskStatus.RUNNING:
                entry.update(status=str(TaskStatus.NOT_RUN), error=_not_run("the run ended while it ran"))
                self._touch(key)
        done = sum(task["status"] == TaskStatus.DONE for task in self.content["tasks"].values())
        if status is None:
            whole = RunStatus.COMPLETE if done == len(self.content["tasks"]) else RunStatus.INCOMPLETE
            status = whole if done else RunStatus.FAILED
        self.content.update(status=str(status), reason=reason, ended_at=_now())
        self.save()
        (self.run_folder / _RESERVE).unlink(missing_ok=True)
        return status

    def save(self) -> None:
        """Write the file; on a full disk give up the space that was reserved for this moment and try again."""
        text = self._text()
        path = self.run_folder / MANIFEST
        try:
            write_text(path, text, durable=True)
        except RecoverykitError as error:
            reserve = self.run_folder / _RESERVE
            if not names_full_disk(str(error)) or not reserve.exists():
                raise
            reserve.unlink()
            write_text(path, text, durable=True)
        self._unsaved = False

    def _touch(self, key: str) -> None:
        self._lines.pop(key, None)
        self._unsaved = True

    def _text(self) -> str:
        """Return the file: a line for each task, of which only those are made anew that have changed."""
        for key, entry in self.content["tasks"].items():
            if key not in self._lines:
                self._lines[key] = f"  {_json(key)}: {_json(entry)}"
        head = _json({name: value for name, value in self.content.items() if name != "tasks"}, indent=1)
        lines = ",\n".join(self._lines[key] for key in self.content["tasks"])
        return f'{head[:-2]},\n "tasks": {{\n{lines}\n }}\n}}\n'


def start_manifest(
    run_folder: Path,
    *,
    plan: Plan,
    tasks: Sequence[Task],
    reporting_date: str,
    data: Mapping[str, Any],
    selection: Mapping[str, Sequence[str]] | None = None,
    before: Mapping[str, Any] | None = None,
) -> Manifest:
    """Begin the manifest of a run and write it with status ``running``.

    Parameters
    ----------
    run_folder : Path
        An existing folder.
    plan : Plan
        The plan that is run.
    tasks : sequence of Task
        All tasks of the run.
    reporting_date : str
        ISO date.
    data : mapping
        What the run reads: ``name``, ``currency`` and ``hashes``, the SHA-256 of each source file.
    selection : mapping, optional
        Lists ``only`` and ``segments`` where but a part of the plan is run.
    before : mapping, optional
        Manifest of an earlier run in the folder, from which this one goes on: what it says of a task is kept until the
        task has been judged. A run that was killed or interrupted keeps its name.

    Raises
    ------
    RecoverykitError
        When the folder cannot be written.
    """
    begun = datetime.now(UTC)
    earlier = dict(before or {})
    cut_off = earlier.get("status") in (RunStatus.RUNNING, RunStatus.INTERRUPTED, RunStatus.KILLED)
    name = f"{plan.name}-{reporting_date}-{begun:%Y%m%dT%H%M%SZ}"
    content = {
        "format": FORMAT,
        "run_id": earlier["run_id"] if cut_off else name,
        "status": str(RunStatus.RUNNING),
        "reason": "",
        "started_at": begun.isoformat(timespec="seconds"),
        "ended_at": None,
        "reporting_date": reporting_date,
        "plan": {"name": plan.name, "title": plan.title, "sha256": plan_hash(plan)},
        "selection": {name: list(chosen) for name, chosen in (selection or {}).items() if chosen},
        "data": dict(data),
        "book": earlier.get("book", {}),
        "code": code_facts(),
        "lock": lock_hash(),
        "notebooks": _notebooks(tasks),
        "files": _files(tasks),
        "versions": package_versions(),
        "stages": _stages(plan),
        "earlier": [*earlier.get("earlier", []), _in_short(earlier)] if earlier else [],
        "tasks": {task.key: _task_entry(task, last_word(earlier, task.key)) for task in tasks},
    }
    manifest = Manifest(run_folder, content)
    reserve = run_folder / _RESERVE
    try:
        reserve.write_bytes(b"\0" * (_RESERVE_BYTES_PER_TASK * (len(tasks) + 2)))
    except OSError as error:
        reserve.unlink(missing_ok=True)
        raise RecoverykitError(f"cannot write the run folder {run_folder}: {error.strerror}") from error
    manifest.save()
    return manifest


def read_manifest(run_folder: str | Path) -> dict[str, Any]:
    """Read the manifest of a run.

    Raises
    ------
    RecoverykitError
        When the folder holds no run, or one of another format.
    """
    path = Path(run_folder) / MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecoverykitError(f"{run_folder} holds no run: {MANIFEST} is missing") from None
    except (OSError, ValueError) as error:
        raise RecoverykitError(f"{path} cannot be read: {error}") from error
    if content.get("format") != FORMAT:
        raise RecoverykitError(f"{path} has format {content.get('format')!r}; this version reads {FORMAT}")
    return content


def last_word(content: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """Return what a manifest says of the last execution of a task; None when it never ended.

    A run that stopped before it had judged a task has kept what the run before it said.
    """
    entry = content.get("tasks", {}).get(key)
    if entry is None or entry["status"] in ENDED:
        return entry
    before: dict[str, Any] | None = entry.get("before")
    return before


def failures(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tasks of a manifest that are not done, in the order of the plan, each with its error in one line."""
    entries = []
    for key, task in content["tasks"].items():
        if task["status"] not in (TaskStatus.DONE, TaskStatus.PENDING, TaskStatus.RUNNING):
            why = str(CellError(**task["error"])) if task["error"] else task["status"]
            entries.append({"key": key, **task, "why": why})
    return entries


def status_counts(content: Mapping[str, Any]) -> dict[str, int]:
    """Return how many tasks of a manifest have each status."""
    return dict(Counter(task["status"] for task in content["tasks"].values()))


def _notebooks(tasks: Sequence[Task]) -> dict[str, dict[str, str]]:
    return {name: notebook_facts(Path(path)) for name, path in {task.notebook: task.path for task in tasks}.items()}


def _files(tasks: Sequence[Task]) -> dict[str, str]:
    """Return the hash of each file that a parameter names, by its path."""
    paths = {os.path.abspath(path) for task in tasks for path in named_files(task.path, task.parameters).values()}
    return {path: sha256_of(Path(path)) for path in sorted(paths)}


def _task_entry(task: Task, before: dict[str, Any] | None) -> dict[str, Any]:
    entry = {
        "notebook": task.notebook,
        "segment": task.segment,
        "stage": task.stage,
        "status": str(TaskStatus.PENDING),
        "started_at": None,
        "seconds": 0.0,
        "error": None,
        "parameters": dict(task.parameters),
        "outputs": {},
    }
    return entry | ({"before": {k: v for k, v in before.items() if k not in _OF_PLAN}} if before else {})


_OF_PLAN = ("notebook", "segment", "stage", "before")


def _in_short(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of an earlier run in the folder."""
    status = RunStatus.KILLED if content["status"] == RunStatus.RUNNING else content["status"]
    facts = {name: content[name] for name in ("run_id", "started_at", "ended_at", "reason")}
    return {**facts, "status": str(status), "tasks": status_counts(content)}


def _stages(plan: Plan) -> list[dict[str, Any]]:
    return [{"name": s.name, "scope": str(s.scope), "notebooks": list(s.notebooks)} for s in plan.stages]


def plan_hash(plan: Plan) -> str:
    """Return the SHA-256 of a plan, wherever its notebooks lie."""
    return digest_of(plan.model_dump(mode="json", exclude={"notebooks_folder"}))


def _not_run(why: str) -> dict[str, Any]:
    return asdict(CellError("NotRun", why))


def _json(value: Any, *, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
