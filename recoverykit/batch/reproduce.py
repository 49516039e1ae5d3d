"""A run once more: the recorded plan, parameters and date, and its result tables held against those recorded.

Two runs of the same code on the same data in the same environment give the same bytes in ``results/`` and ``tables/``.
Pages and executed notebooks hold times and paths of their run, and are not compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recoverykit.batch._chain import Fault
from recoverykit.batch._files import RESULTS, TABLES, sha256_of
from recoverykit.batch._plan_checks import stages_before
from recoverykit.batch._tasks import Task
from recoverykit.batch.manifest import read_manifest
from recoverykit.batch.pipeline import injected_parameters
from recoverykit.batch.plan import Plan
from recoverykit.batch.record import own_entry
from recoverykit.batch.verification import Finding, changed_since
from recoverykit.errors import RecoverykitError

COMPARED = (RESULTS, TABLES)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What it takes to run a run again.

    Attributes
    ----------
    plan : Plan
        As it was run.
    tasks : tuple of Task
        With the recorded parameters, those that name folders excepted.
    spec : str
        Path of the data spec.
    data : dict
        What the manifest says of the data, hashes included.
    reporting_date : str
        ISO date.
    selection : dict
        Lists ``only`` and ``segments`` where but a part of the plan was run.
    since : tuple of Finding
        Code, data, notebooks or environment that are not those recorded: the results may differ for it.
    """

    plan: Plan
    tasks: tuple[Task, ...]
    spec: str
    data: dict[str, Any]
    reporting_date: str
    selection: dict[str, list[str]]
    since: tuple[Finding, ...]


def recorded_run(run_folder: str | Path, target: str | Path) -> RecordedRun:
    """Return the plan and the tasks of a run, set to another folder.

    Parameters
    ----------
    run_folder : path
        Folder of a recorded run.
    target : path
        Folder of the run to come.

    Raises
    ------
    RecoverykitError
        When the folder holds no run, the run has no entry of its own, or the entry does not name a data spec.
    """
    manifest, entry = read_manifest(run_folder), own_entry(run_folder)
    if entry is None:
        raise RecoverykitError(f"{run_folder} holds no entry of the record, from which its plan would be read")
    spec = str(entry["inputs"].get("spec", ""))
    if not spec:
        raise RecoverykitError(f"the entry of {run_folder} names no data spec; the run was not started by its command")
    if Path(target).resolve() == Path(run_folder).resolve():
        raise RecoverykitError("choose another folder than that of the run, which would be replaced")
    try:
        plan = Plan.model_validate(entry["plan"])
    except ValidationError as error:
        raise RecoverykitError(f"the recorded plan is of another version of the form: {error}") from None
    date = manifest["reporting_date"]
    places, before = injected_parameters(target, date), stages_before(plan, [])
    tasks = [
        Task(
            task["notebook"],
            str(Path(plan.notebooks_folder) / f"{task['notebook']}.ipynb"),
            task["stage"],
            task["segment"],
            {name: places.get(name, value) for name, value in task["parameters"].items()},
            before.get(task["stage"], ()),
        )
        for task in manifest["tasks"].values()
    ]
    since = tuple(changed_since(entry))
    return RecordedRun(plan, tuple(tasks), spec, manifest["data"], date, manifest["selection"], since)


def compare_results(run_folder: str | Path, again: str | Path) -> list[Finding]:
    """Compare result files and tables of a run with those that another one has left, byte by byte.

    Parameters
    ----------
    run_folder : path
        A recorded run; what counts is what its entry says of its files, whatever has become of them since.
    again : path
        The run to be held against it.

    Returns
    -------
    list of Finding
        Altered, missing in the second or added there; empty when the bytes are the same.

    Raises
    ------
    RecoverykitError
        When the run has no entry of its own.
    """
    entry = own_entry(run_folder)
    if entry is None:
        raise RecoverykitError(f"{run_folder} holds no entry of the record, with which results would be compared")
    first = {name: digits for name, digits in entry["outputs"].items() if name.partition("/")[0] in COMPARED}
    second = {name: sha256_of(Path(again) / name) for name in _files(Path(again))}
    found = [Finding(Fault.MISSING, name) for name in first.keys() - second.keys()]
    found += [Finding(Fault.ADDED, name) for name in second.keys() - first.keys()]
    found += [Finding(Fault.ALTERED, name) for name in first.keys() & second.keys() if first[name] != second[name]]
    return sorted(found, key=lambda finding: finding.name)


def _files(root: Path) -> Sequence[str]:
    paths = [path for folder in COMPARED for path in (root / folder).rglob("*") if path.is_file()]
    return [path.relative_to(root).as_posix() for path in paths]
