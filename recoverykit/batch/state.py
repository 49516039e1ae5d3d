"""How a run stands, for someone who looks at it from outside: running, ended, or killed."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recoverykit.batch._owner import Owner, owner_of
from recoverykit.batch._tasks import CellError, TaskStatus
from recoverykit.batch.manifest import RunStatus, read_manifest

_KILLED = {
    TaskStatus.RUNNING: "the run was killed while this notebook ran",
    TaskStatus.PENDING: "the run was killed before its turn",
}


def run_state(run_folder: str | Path) -> tuple[dict[str, Any], Owner | None]:
    """Return how a run stands, and the process that is at it.

    A manifest that says ``running`` without such a process is that of a killed run: its status becomes ``killed``, and
    its tasks that ran or were still to come become ``not_run``, each with the reason. Killed is also a run
    whose notebooks have all ended and whose pack was never made.

    Parameters
    ----------
    run_folder : path
        Folder of the run.

    Returns
    -------
    content : dict
        The manifest, put right where the run could not do so any more.
    owner : Owner or None
        None when no process holds the folder.

    Raises
    ------
    RecoverykitError
        When the folder holds no run, or one of another format.
    """
    folder = Path(run_folder)
    owner = owner_of(folder)  # before the manifest: a run that ends in between has then written its last word
    content = read_manifest(folder)
    cut_off = content["status"] == RunStatus.RUNNING or content.get("pack") == {}
    if not cut_off or owner is not None:
        return content, owner
    tasks = {key: _put_right(task) for key, task in content["tasks"].items()}
    reason = "the process of the run was killed, or its machine went down; run it again to go on"
    return {**content, "status": str(RunStatus.KILLED), "reason": reason, "tasks": tasks}, None


def seconds_left(content: Mapping[str, Any], now: datetime | None = None) -> float | None:
    """Return how long a run will still take at the pace of the notebooks so far; None before the first has ended.

    Examples
    --------
    >>> ended, going = {"status": "done", "seconds": 60.0, "started_at": "2026-10-01T00:00:00+00:00"}, {}
    >>> begun = {"status": "running", "started_at": "2026-10-01T00:01:00+00:00"}
    >>> tasks = {"a": ended, "b": begun, "c": {"status": "pending"}}
    >>> content = {"started_at": "2026-10-01T00:00:00+00:00", "tasks": tasks}
    >>> seconds_left(content, datetime(2026, 10, 1, 0, 1, 30, tzinfo=UTC))  # 60 for c, 30 for the rest of b, by one
    90.0
    """
    now = now or datetime.now(UTC)
    tasks = content["tasks"].values()
    taken = [t["seconds"] for t in tasks if t.get("started_at") and t["status"] not in _KILLED]
    running = [t for t in tasks if t["status"] == TaskStatus.RUNNING]
    if not taken or not running:
        return None
    typical = sum(taken) / len(taken)
    rest = sum(max(typical - (now - datetime.fromisoformat(t["started_at"])).total_seconds(), 0.0) for t in running)
    waiting = sum(t["status"] == TaskStatus.PENDING for t in tasks)
    return (rest + waiting * typical) / len(running)


def _put_right(task: dict[str, Any]) -> dict[str, Any]:
    why = _KILLED.get(task["status"])
    if why is None:
        return task
    return {**task, "status": str(TaskStatus.NOT_RUN), "error": asdict(CellError("NotRun", why)), "outputs": {}}
