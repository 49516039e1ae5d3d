"""The record of runs: who looks at a pack years later can tell whether it is still what was made.

Each run appends one entry to ``record.jsonl`` beside the run folders, a chain of JSON lines (``_chain`` defines the
form), and lays a copy of it into its own folder as ``record.json``. An entry holds the hashes of what went in (data
files, parameters and the files that they name, package source, notebooks, environment) and of every file that the run
left. A folder that is run again gets a further entry; the last one counts.

The log of a folder goes on with every run in it; an entry holds its length and hash as of its own end.

The cover of the pack prints the hash of the run's entry. So that the cover itself can be part of the entry, its hash
is taken with ``SEAL_PLACE`` standing where the hash is printed.

What this protects against, and what not: no file of a run and no entry between others can be changed, dropped, added
or moved unseen. But whoever can write all these files can make the whole record anew, and whoever cuts off the last
entries leaves a whole chain. Therefore note the hash on the cover elsewhere (a signed paper, another department's
files) and give it to ``verify_run`` as ``expected``; or let entries carry a mac by a key that those who run the batch
do not hold in a file: the name of an environment variable is given, never the key. The record does not say that the
data or the code were right.
"""

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from recoverykit.batch._chain import digest_of, key_from
from recoverykit.batch._files import (
    BOOK,
    INDEX,
    LOG,
    OWN_ENTRY,
    OWNER,
    SEAL_PLACE,
    sha256_of,
    sha256_of_cover,
    write_text,
)
from recoverykit.batch._ledger import append_link
from recoverykit.batch._provenance import package_versions
from recoverykit.batch.manifest import Manifest, RunStatus
from recoverykit.batch.plan import Plan
from recoverykit.errors import RecoverykitError

LEDGER = "record.jsonl"
FORMAT = 1
#: Kind of an entry of the record.
RUN = "run"
_FORM = {"hash": str, "number": int, "run_id": str, "outputs": dict, "inputs": dict, "code": dict, "notebooks": dict}
_FORM |= {"environment": dict, "plan": dict}


@contextmanager
def recorded(manifest: Manifest, plan: Plan, *, key_variable: str = "") -> Iterator[None]:
    """Record a run when the body of the statement has ended, however it ended.

    Parameters
    ----------
    manifest, plan, key_variable
        As in ``record_run``.

    Raises
    ------
    RecoverykitError
        When a run that came to its end cannot be recorded. One that failed or was interrupted has said why itself, and
        goes without an entry where the same reason, such as a full disk, keeps it from being written.
    """
    try:
        yield
    except BaseException:
        with suppress(RecoverykitError):
            record_run(manifest, plan, key_variable=key_variable)
        raise
    if manifest.content["status"] != RunStatus.FAILED:
        record_run(manifest, plan, key_variable=key_variable)
        return
    with suppress(RecoverykitError):
        record_run(manifest, plan, key_variable=key_variable)


def record_run(manifest: Manifest, plan: Plan, *, key_variable: str = "") -> None:
    """Append the entry of a run that has ended, and print its hash on the cover.

    Parameters
    ----------
    manifest : Manifest
        As it was last written; hashes of the tasks' outputs are taken from it, as of the moment when they were made.
    plan : Plan
        The plan that was run.
    key_variable : str
        Name of the environment variable with the key for the mac; empty for none.

    Raises
    ------
    RecoverykitError
        When the record or the folder cannot be written, or the variable holds no key.
    """
    folder = manifest.run_folder
    try:
        (folder / OWN_ENTRY).unlink(missing_ok=True)
        entry = append_link(folder.parent / LEDGER, _entry(manifest, plan), key=key_from(key_variable))
        write_text(folder / OWN_ENTRY, json.dumps(entry, indent=1, ensure_ascii=False) + "\n", durable=True)
        seal_cover(folder)
    except (OSError, RecoverykitError) as error:
        raise RecoverykitError(f"the run has ended, but could not be recorded: {error}") from error


def seal_cover(run_folder: str | Path) -> None:
    """Print the hash of the run's entry on the cover of its pack, where both are there."""
    folder = Path(run_folder)
    index, entry = folder / INDEX, own_entry(folder)
    if entry is not None and index.exists():
        text = index.read_text(encoding="utf-8")
        write_text(index, text.replace(SEAL_PLACE, entry["hash"]), durable=True)


def own_entry(run_folder: str | Path) -> dict[str, Any] | None:
    """Return the copy of its entry that a run folder holds; None where there is none that can be read."""
    try:
        entry = json.loads((Path(run_folder) / OWN_ENTRY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return entry if is_entry(entry) else None


def is_entry(link: Any) -> bool:
    """Tell whether a line of the record has the form of a run's entry, whether or not it is true."""
    return isinstance(link, dict) and all(isinstance(link.get(name), kind) for name, kind in _FORM.items())


def environment() -> dict[str, str]:
    """Return system, interpreter, main packages, and one SHA-256 over every installed distribution with its version."""
    system = f"{platform.system()} {platform.machine()}"
    return {**package_versions(), "system": system, "packages_sha256": _packages_digest()}


@cache
def _packages_digest() -> str:
    return digest_of(sorted({f"{d.metadata['Name']}=={d.version}".lower() for d in metadata.distributions()}))


def _entry(manifest: Manifest, plan: Plan) -> dict[str, Any]:
    content = manifest.content
    return {
        "format": FORMAT,
        "kind": RUN,
        "run_id": content["run_id"],
        "folder": manifest.run_folder.name,
        "status": content["status"],
        "reporting_date": content["reporting_date"],
        "started_at": content["started_at"],
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "plan": plan.model_dump(mode="json"),
        **rests_on(content),
        "log": _log_so_far(manifest.run_folder),
        "outputs": _outputs(manifest.run_folder, content),
    }


def _log_so_far(folder: Path) -> dict[str, Any]:
    path = folder / LOG
    said = path.read_bytes() if path.exists() else b""
    return {"bytes": len(said), "sha256": hashlib.sha256(said).hexdigest()}


def rests_on(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return from a manifest what a run rests on."""
    return {
        "inputs": {
            "spec": content["data"].get("spec", ""),
            "hashes": dict(content["data"].get("hashes", {})),
            "files": dict(content.get("files", {})),
        },
        "parameters_sha256": digest_of({key: task["parameters"] for key, task in content["tasks"].items()}),
        "code": dict(content["code"]),
        "notebooks": {name: notebook["sha256"] for name, notebook in content["notebooks"].items()},
    }


def _outputs(folder: Path, content: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of every file of a run, for results and book the one that the manifest took as they were made."""
    known = {name: digits for task in content["tasks"].values() for name, digits in task["outputs"].items()}
    known |= {f"{BOOK}/{name}": digits for name, digits in content.get("book", {}).get("files", {}).items()}
    return {name: known.get(name) or hash_of(folder, name) for name in listed_files(folder)}


def listed_files(folder: Path) -> list[str]:
    """Return the files of a run folder, links included, without its entry, its log and the mark of its owner."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return sorted({path.relative_to(folder).as_posix() for path in paths} - {OWN_ENTRY, OWNER, LOG})


def hash_of(folder: Path, name: str, seal: str = SEAL_PLACE) -> str:
    """Return the hash of a file; of a link that of its target's name, of the cover that without its seal."""
    path = folder / name
    if path.is_symlink():
        return digest_of({"link": os.readlink(path)})
    return sha256_of_cover(path, seal) if name == INDEX else sha256_of(path)
