"""The manifest of a run: the only place that says what ran, on what, with what, and how it ended.

papermill's own notes inside the notebooks say "completed" after the death of a kernel; nothing here is taken from
them. The file is written aside and moved into place after each task, so that a reader always meets a whole one. It
holds no environment variables and no secrets.
"""

import hashlib
import json
import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

from recoverykit.batch._files import MANIFEST, names_full_disk, sha256_of, write_text
from recoverykit.batch._tasks import CellError, Task, TaskResult, TaskStatus
from recoverykit.batch.plan import Plan
from recoverykit.errors import RecoverykitError

FORMAT = 1
_RESERVE = ".reserve"
_RESERVE_BYTES_PER_TASK = 12_000  # a failed task with its traceback stays below this
_PACKAGE = Path(__file__).parents[1]
_MAIN_PACKAGES = (
    "duckdb",
    "formulaic",
    "ibis-framework",
    "ipykernel",
    "lifelines",
    "matplotlib",
    "nbclient",
    "nbconvert",
    "numpy",
    "pandas",
    "pandera",
    "papermill",
    "pyarrow",
    "pydantic",
    "scipy",
    "seaborn",
    "statsmodels",
)


class RunStatus(StrEnum):
    """State of a run as a whole."""

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(slots=True)
class Manifest:
    """The manifest of a run that goes on, kept in step with its file.

    Attributes
    ----------
    run_folder : Path
        Where ``manifest.json`` stands.
    content : dict
        What is written.
    """

    run_folder: Path
    content: dict[str, Any]

    def record(self, result: TaskResult) -> None:
        """Enter what became of a task, and write."""
        self.content["tasks"][result.key].update(
            status=str(result.status),
            started_at=result.started_at or None,
            seconds=result.seconds,
            error=asdict(result.error) if result.error else None,
            outputs=dict(result.outputs),
        )
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
        text = json.dumps(self.content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        path = self.run_folder / MANIFEST
        try:
            write_text(path, text, durable=True)
        except RecoverykitError as error:
            reserve = self.run_folder / _RESERVE
            if not names_full_disk(str(error)) or not reserve.exists():
                raise
            reserve.unlink()
            write_text(path, text, durable=True)


def start_manifest(
    run_folder: Path,
    *,
    plan: Plan,
    tasks: Sequence[Task],
    reporting_date: str,
    data: Mapping[str, Any],
    selection: Mapping[str, Sequence[str]] | None = None,
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

    Raises
    ------
    RecoverykitError
        When the folder cannot be written.
    """
    begun = datetime.now(UTC)
    content = {
        "format": FORMAT,
        "run_id": f"{plan.name}-{reporting_date}-{begun:%Y%m%dT%H%M%SZ}",
        "status": str(RunStatus.RUNNING),
        "reason": "",
        "started_at": begun.isoformat(timespec="seconds"),
        "ended_at": None,
        "reporting_date": reporting_date,
        "plan": {"name": plan.name, "title": plan.title, "sha256": _plan_hash(plan)},
        "selection": {name: list(chosen) for name, chosen in (selection or {}).items() if chosen},
        "data": dict(data),
        "code": {
            "version": metadata.version("recoverykit"),
            "git_commit": _git_commit(),
            "sha256": library_hash(),
        },
        "notebooks": {task.notebook: _notebook_entry(Path(task.path)) for task in tasks},
        "versions": _versions(),
        "stages": _stages(plan),
        "tasks": {task.key: _task_entry(task) for task in tasks},
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


def failures(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tasks of a manifest that are not done, in the order of the plan, each with its error in one line."""
    entries = []
    for key, task in content["tasks"].items():
        if task["status"] not in (TaskStatus.DONE, TaskStatus.PENDING):
            why = str(CellError(**task["error"])) if task["error"] else task["status"]
            entries.append({"key": key, **task, "why": why})
    return entries


def status_counts(content: Mapping[str, Any]) -> dict[str, int]:
    """Return how many tasks of a manifest have each status."""
    return dict(Counter(task["status"] for task in content["tasks"].values()))


def library_hash() -> str:
    """Return one SHA-256 over the source files of the package, names included."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0")
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")  # the same on every system
    return digest.hexdigest()


def _notebook_entry(path: Path) -> dict[str, str]:
    """Return hash and title of a notebook; the title is its first heading, or its name when it has none."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = [line for c in cells if c["cell_type"] == "markdown" for line in "".join(c["source"]).splitlines()]
    heading = next((line.lstrip("#").strip() for line in lines if line.startswith("#")), "")
    return {"sha256": sha256_of(path), "title": heading or path.stem}


def _task_entry(task: Task) -> dict[str, Any]:
    return {
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


def _stages(plan: Plan) -> list[dict[str, Any]]:
    return [{"name": s.name, "scope": str(s.scope), "notebooks": list(s.notebooks)} for s in plan.stages]


def _plan_hash(plan: Plan) -> str:
    said = plan.model_dump(mode="json", exclude={"notebooks_folder"})
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | dict(_installed(_MAIN_PACKAGES))


def _installed(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _git_commit() -> str | None:
    """Return the commit of the checkout that the package runs from, if it runs from one."""
    command = ["git", "-C", str(_PACKAGE.parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
