"""What has to be executed, and why: a task whose inputs and outputs are those of its last execution is not.

The inputs of a task are its notebook, its parameters with the files that they name, the prepared data, the library, the
main packages with their lock, and the results of the stages that it comes after. Each is kept as a hash in the
manifest, so that the reason can be told. Results count by their content: when an earlier stage comes to the same ones
again, what rests on them holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recoverykit.batch._chain import digest_of
from recoverykit.batch._files import RESULTS, sha256_of
from recoverykit.batch._provenance import (
    PLACES,
    code_facts,
    lock_hash,
    named_files,
    notebook_facts,
    package_versions,
)
from recoverykit.batch._tasks import CellError, Task, TaskResult, TaskStatus
from recoverykit.batch.folder import altered
from recoverykit.batch.manifest import last_word

_WORDS = {
    "notebook": "its notebook has changed",
    "data": "the data have changed",
    "code": "the library has changed",
    "environment": "the installed packages or their lock have changed",
    "upstream": "results that it rests on have changed",
    "files": "a file that a parameter names has changed",
}
NOT_BEFORE = "not run before"


class Judge:
    """Tells for each task of a run whether the result of an earlier one still holds.

    Parameters
    ----------
    folder : Path
        The run folder.
    before : mapping
        Manifest of the earlier run; empty for none.
    tasks : sequence of Task
        All tasks of the run.
    data_id : str
        Stands for the content of the prepared book.
    again : frozenset of str
        Stages that are executed in any case.
    """

    def __init__(
        self,
        folder: Path,
        before: Mapping[str, Any],
        tasks: Sequence[Task],
        *,
        data_id: str,
        again: frozenset[str] = frozenset(),
    ) -> None:
        self._folder, self._before, self._again = folder, before, again
        paths = {task.notebook: task.path for task in tasks}
        self._notebooks = {name: notebook_facts(Path(path))["sha256"] for name, path in paths.items()}
        code = code_facts()
        self._common = {
            "data": data_id,
            "code": digest_of([code["version"], code["sha256"]]),
            "environment": digest_of([lock_hash(), package_versions()]),
        }
        self._upstream: dict[tuple[str, ...], str] = {}
        self._altered: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def inputs(self, task: Task, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Return the hashes of all that a task reads.

        Parameters
        ----------
        task : Task
            A task whose earlier stages have all ended.
        entries : mapping
            The tasks of the manifest.
        """
        if task.after not in self._upstream:
            self._upstream[task.after] = _results_digest(entries, task.after)
        return {
            "notebook": self._notebooks[task.notebook],
            "parameters": _parameters_digest(task.parameters),
            **self._common,
            "upstream": self._upstream[task.after],
            "files": digest_of(self._named_files(task)),
        }

    def reason(self, task: Task, entries: Mapping[str, Mapping[str, Any]]) -> str:
        """Return why a task has to be executed, in words; empty when its last result still holds."""
        last = last_word(self._before, task.key)
        if last is None:
            begun = task.key in self._before.get("tasks", {})
            return "the last run ended before it" if begun else NOT_BEFORE
        if last["status"] != TaskStatus.DONE:
            why = str(CellError(**last["error"])) if last["error"] else last["status"]
            return f"it {_ENDED[last['status']]} in the last run: {why}"
        if task.stage in self._again:
            return f"stage {task.stage} was asked for again"
        now, then = self.inputs(task, entries), last.get("inputs", {})
        if not then:
            return _WORDS["code"]  # executed by a version that did not keep them
        changed = [name for name, digits in now.items() if then.get(name) != digits]
        if "parameters" in changed:
            return _changed_parameter(last["parameters"], task.parameters)
        if changed:
            return _WORDS[changed[0]]
        if task.key not in self._altered:
            self._altered[task.key] = altered(self._folder, last["outputs"])
        return self._altered[task.key]

    def preview(self, tasks: Iterable[Task]) -> dict[str, str]:
        """Return by key why each task would be executed, empty where it would not, without executing any.

        What an executed stage will come to is not known; a task that rests on one is said to be executed perhaps.
        """
        entries = {
            key: {**(last_word(self._before, key) or task), "stage": task["stage"]}
            for key, task in self._before.get("tasks", {}).items()
        }
        said: dict[str, str] = {}
        stages: set[str] = set()
        for task in tasks:
            said[task.key] = self.reason(task, entries)
            rests_on = [stage for stage in task.after if stage in stages]
            if not said[task.key] and rests_on:
                said[task.key] = f"perhaps: {rests_on[0]} is executed before it"
            if said[task.key]:
                stages.add(task.stage)
        self._upstream.clear()
        return said

    def _named_files(self, task: Task) -> dict[str, str]:
        """Return by parameter the hash of the file that it names."""
        named = named_files(task.path, task.parameters)
        for path in named.values():
            self._files[path] = self._files.get(path) or sha256_of(Path(path))
        return {name: self._files[path] for name, path in named.items()}

    def result(self, task: Task) -> TaskResult:
        """Return the result of the last execution, as it stands in the earlier manifest."""
        last = last_word(self._before, task.key)
        assert last is not None  # asked only where `reason` found nothing
        return TaskResult(task.key, TaskStatus.DONE, last["started_at"], last["seconds"], outputs=last["outputs"])


_ENDED = {
    TaskStatus.FAILED: "failed",
    TaskStatus.KERNEL_DIED: "lost its kernel",
    TaskStatus.OUT_OF_MEMORY: "held too much memory",
    TaskStatus.TIMED_OUT: "took too long",
}


def _results_digest(entries: Mapping[str, Mapping[str, Any]], stages: tuple[str, ...]) -> str:
    read = [
        [path, digits]
        for entry in entries.values()
        if entry["stage"] in stages and entry["status"] == TaskStatus.DONE
        for path, digits in entry["outputs"].items()
        if path.startswith(f"{RESULTS}/")
    ]
    return digest_of(sorted(read))


def _parameters_digest(parameters: Mapping[str, Any]) -> str:
    return digest_of({name: value for name, value in parameters.items() if name not in PLACES})


def _changed_parameter(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [name for name in {**then, **now} if name not in PLACES and then.get(name) != now.get(name)]
    if not names:
        return "its parameters have changed"
    said = [f"{name} from {then.get(name)!r} to {now.get(name)!r}" for name in names]
    return f"its parameters have changed: {', '.join(said)}"
