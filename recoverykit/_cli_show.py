"""What the command line says of a run: its executions before, its state on the way, its summary at the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recoverykit.batch import manifest as manifests
from recoverykit.batch._owner import Owner
from recoverykit.batch._tasks import Task, TaskStatus
from recoverykit.batch.state import seconds_left

_SHOWN = 20
_SLOWEST = 5
_MINUTE, _HOUR = 60, 3600


def show_tasks(tasks: Sequence[Task], reasons: Mapping[str, str]) -> None:
    """Print every execution with its parameters; with an earlier run in the folder, also whether it is needed."""
    for task in tasks:
        print(task.key)
        if reasons:
            print(f"    {reasons[task.key] or 'unchanged: would not be executed'}")
        for name, value in task.parameters.items():
            print(f"    {name} = {value!r}")
    needed = sum(bool(why) for why in reasons.values())
    more = f", of which {needed} would run" if reasons else ""
    print(f"{len(tasks)} executions{more}; nothing was run.")


def show_state(content: Mapping[str, Any], owner: Owner | None = None) -> None:
    """Print how a run stands, who is at it, what runs and what failed."""
    counts = ", ".join(f"{n} {status}" for status, n in sorted(manifests.status_counts(content).items()))
    print(f"Run {content['run_id']}: {content['status']} ({counts}).")
    if owner is not None:
        print(f"By {owner}.")
    if content["reason"]:
        print(f"Reason: {content['reason']}")
    now = datetime.now(UTC)
    running = [(key, task) for key, task in content["tasks"].items() if task["status"] == TaskStatus.RUNNING]
    for key, task in running[:_SHOWN]:
        since = (now - datetime.fromisoformat(task["started_at"])).total_seconds()
        print(f"  running: {key} for {_duration(since)}")
    left = seconds_left(content, now)
    if left is not None:
        print(f"About {_duration(left)} left.")
    _show_failures(content)


def show_summary(content: Mapping[str, Any], executed: Mapping[str, str]) -> None:
    """Print how a run ended: what was executed and why, what took longest, what failed."""
    show_state(content)
    total = len(content["tasks"])
    if not executed:
        print(f"Nothing had to be executed: all {total} notebooks stand as they are.")
        return
    print(f"Executed {len(executed)} of {total} notebooks.")
    if len(executed) < total or set(executed.values()) != {"not run before"}:
        _show_reasons(executed)
    slowest = sorted(executed, key=lambda key: -content["tasks"][key]["seconds"])[:_SLOWEST]
    said = (f"{key} {_duration(content['tasks'][key]['seconds'])}" for key in slowest)
    print(f"Slowest: {', '.join(said)}.")


def _show_reasons(executed: Mapping[str, str]) -> None:
    for why, n in Counter(executed.values()).most_common(_SHOWN):
        keys = [key for key, said in executed.items() if said == why]
        print(f"  {why}: {', '.join(keys) if n <= _SLOWEST else f'{n} notebooks'}")


def _show_failures(content: Mapping[str, Any]) -> None:
    failed = manifests.failures(content)
    for task in failed[:_SHOWN]:
        where = f" | {task['segment']}" if task["segment"] else ""
        print(f"  {task['status']}: {task['notebook']}{where}: {task['why']}")
    if len(failed) > _SHOWN:
        print(f"  and {len(failed) - _SHOWN} more")


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds // _HOUR:.0f} h {seconds % _HOUR / _MINUTE:.0f} min"
