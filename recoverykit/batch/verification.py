"""What became of a run since it was recorded: every hash computed again, and what differs named.

``record`` says what an entry holds, what the record protects against and what not.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recoverykit.batch._chain import ChainFault, Fault, chain_faults, key_from, link_hash
from recoverykit.batch._files import INDEX, LOG, MANIFEST, OWN_ENTRY, SEAL_PLACE, sha256_of
from recoverykit.batch._ledger import read_links
from recoverykit.batch.manifest import library_hash, read_manifest
from recoverykit.batch.record import (
    LEDGER,
    RUN,
    environment,
    hash_of,
    is_entry,
    listed_files,
    own_entry,
    rests_on,
)
from recoverykit.errors import RecoverykitError

_FEWEST_DIGITS = 12
_UNSOUND = "its content has not the hash that it carries"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as recorded.

    Attributes
    ----------
    fault : Fault
        Altered, missing or added for a file; altered, removed, inserted, reordered or not signed for an entry.
    name : str
        Path within the run folder, or the entry and its line.
    detail : str
        How it shows; may be empty.
    """

    fault: Fault
    name: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.fault}: {self.name}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of a run since it was recorded.

    Attributes
    ----------
    run_id : str
        Identity of the run.
    entry_hash, head_hash : str
        Hash of the run's entry, which its cover prints, and of the last entry of the record.
    number, n_entries : int
        Number of the run's entry, and how many there are.
    n_files : int
        Files that the entry lists.
    signed : bool
        Whether a key was given and every entry carries the right mac.
    findings : tuple of Finding
        What is not as recorded; empty when the record stands.
    since : tuple of Finding
        Data, notebooks, package or environment that have changed since the run; this alone breaks no record.
    """

    run_id: str
    entry_hash: str
    head_hash: str
    number: int
    n_entries: int
    n_files: int
    signed: bool
    findings: tuple[Finding, ...]
    since: tuple[Finding, ...]

    @property
    def stands(self) -> bool:
        """Whether everything is as recorded."""
        return not self.findings


def verify_run(
    run_folder: str | Path, *, ledger: str | Path | None = None, expected: str = "", key_variable: str = ""
) -> Verification:
    """Recompute every hash of a run and of the record, and name what is not as recorded.

    Parameters
    ----------
    run_folder : path
        Folder of the run.
    ledger : path, optional
        The record; ``record.jsonl`` beside the folder by default.
    expected : str
        Hash of the run's entry as it was noted elsewhere, all 64 digits or the first 12 or more.
    key_variable : str
        Name of the environment variable with the key of the macs; empty when they are not to be checked.

    Returns
    -------
    Verification

    Raises
    ------
    RecoverykitError
        When there is nothing to hold the folder against: neither the record nor the folder has an entry of it; when
        the record cannot be read, ``expected`` is too short, or the variable holds no key.
    """
    folder, key = Path(run_folder).resolve(), key_from(key_variable)
    if expected and len(expected) < _FEWEST_DIGITS:
        raise RecoverykitError(f"give {_FEWEST_DIGITS} digits of the expected hash or more; fewer may meet by chance")
    path = Path(ledger) if ledger is not None else folder.parent / LEDGER
    links = read_links(path) if path.exists() else []
    faults = chain_faults(links, key=key)
    findings = [_of_chain(fault, path.name) for fault in faults]
    if not path.exists():
        findings.append(Finding(Fault.MISSING, path.name, "the record itself; only the folder's own entry is left"))
    entry, own_findings = _entry_of(folder, [link for link in links if link is not None])
    findings += own_findings
    if expected and not entry["hash"].startswith(expected.lower()):
        detail = f"its hash is {entry['hash'][:12]}..., expected was {expected[:12]}..."
        findings.append(Finding(Fault.ALTERED, f"entry {entry['number']}", detail))
    findings += _files(folder, entry)
    head = next((link["hash"] for link in reversed(links) if link and isinstance(link.get("hash"), str)), "")
    signed = key is not None and bool(links) and not any(fault.fault is Fault.NOT_SIGNED for fault in faults)
    return Verification(
        run_id=entry["run_id"],
        entry_hash=entry["hash"],
        head_hash=head,
        number=entry["number"],
        n_entries=len(links),
        n_files=len(entry["outputs"]),
        signed=signed,
        findings=tuple(findings),
        since=tuple(changed_since(entry)),
    )


def changed_since(entry: Mapping[str, Any]) -> list[Finding]:
    """Say which data, notebooks, package source and environment are not those of an entry any more."""
    found = []
    if entry["code"].get("sha256") != library_hash():
        found.append(Finding(Fault.ALTERED, "code", f"the run had recoverykit {entry['code'].get('version')}"))
    if entry["environment"] != environment():
        here, then = environment(), entry["environment"]
        other = [name for name in here if here[name] != then.get(name) and name != "packages_sha256"]
        found.append(Finding(Fault.ALTERED, "environment", ", ".join(other) or "installed packages"))
    for name, digits in entry["notebooks"].items():
        path = Path(entry["plan"].get("notebooks_folder", "")) / f"{name}.ipynb"
        found += _compared(path, f"notebook {name}", digits)
    spec = entry["inputs"].get("spec", "")
    for name, digits in entry["inputs"].get("hashes", {}).items() if spec else ():
        found += _compared(Path(spec).parent / name, f"data {name}", digits)
    for name, digits in entry["inputs"].get("files", {}).items():
        found += _compared(Path(name), f"file {Path(name).name}", digits)
    return found


def _entry_of(folder: Path, links: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], list[Finding]]:
    """Return the entry to hold a folder against, that of the record first, and say where it and the copy differ."""
    own = own_entry(folder)
    of_runs = [link for link in links if link.get("kind") == RUN and is_entry(link)]
    recorded = _recorded(folder.name, own, of_runs)
    if own is None:
        if recorded is None:
            raise RecoverykitError(f"{folder} is in no record: neither {LEDGER} beside it nor {OWN_ENTRY} in it tells")
        fault = Fault.ALTERED if (folder / OWN_ENTRY).exists() else Fault.MISSING
        return recorded, [Finding(fault, OWN_ENTRY, "the run's own entry cannot be read")]
    sound = link_hash(own) == own["hash"]
    if own == recorded and sound:
        return own, []
    if recorded is None or (sound and own["number"] not in {link.get("number") for link in of_runs}):
        removed = Finding(Fault.REMOVED, f"entry {own.get('number')}", "the run's own entry is not in the record")
        return own, [removed] if sound else [removed, Finding(Fault.ALTERED, OWN_ENTRY, _UNSOUND)]
    detail = f"it is not entry {recorded['number']} of the record" if sound else _UNSOUND
    return recorded, [Finding(Fault.ALTERED, OWN_ENTRY, detail)]


def _recorded(
    name: str, own: Mapping[str, Any] | None, of_runs: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the last entry of a folder by its name, or, when it was renamed, the entry that its copy is of."""
    of_runs = list(of_runs)
    by_name = [link for link in of_runs if link.get("folder") == name]
    by_hash = [link for link in of_runs if own is not None and link.get("hash") == own["hash"]]
    return next(reversed(by_name or by_hash), None)


def _files(folder: Path, entry: Mapping[str, Any]) -> list[Finding]:
    """Hold the files of a folder against an entry."""
    recorded, here = entry["outputs"], set(listed_files(folder))
    found = [Finding(Fault.MISSING, name) for name in sorted(recorded.keys() - here)]
    for name in sorted(recorded.keys() & here):
        try:
            digits = hash_of(folder, name, entry["hash"])
        except OSError as error:
            found.append(Finding(Fault.ALTERED, name, f"cannot be read: {error.strerror}"))
            continue
        if digits != recorded[name]:
            found.append(Finding(Fault.ALTERED, name, _what_changed(folder, name, entry)))
        elif name == INDEX and SEAL_PLACE.encode() in (folder / name).read_bytes():
            found.append(Finding(Fault.ALTERED, name, "it does not print the hash of its entry"))
    found += [Finding(Fault.ADDED, name) for name in sorted(here - recorded.keys())]
    return found + _log(folder, entry.get("log", {"bytes": 0}))


def _log(folder: Path, recorded: Mapping[str, Any]) -> list[Finding]:
    """Hold the log of a folder against an entry; what was said after the entry was made is free."""
    if not recorded["bytes"]:
        return []
    try:
        said = (folder / LOG).read_bytes()
    except OSError:
        return [Finding(Fault.MISSING, LOG)]
    same = hashlib.sha256(said[: recorded["bytes"]]).hexdigest() == recorded["sha256"]
    return [] if same else [Finding(Fault.ALTERED, LOG)]


def _what_changed(folder: Path, name: str, entry: Mapping[str, Any]) -> str:
    """Say of an altered manifest which of the things that the run rests on it tells otherwise than the entry."""
    if name != MANIFEST:
        return ""
    try:
        told = rests_on(read_manifest(folder))
    except (RecoverykitError, KeyError, TypeError, AttributeError):
        return "it cannot be read"
    other = [part.removesuffix("_sha256") for part, value in told.items() if value != entry.get(part)]
    return f"what it says of {', '.join(other)} is not what was recorded" if other else ""


def _compared(path: Path, name: str, digits: str) -> list[Finding]:
    try:
        return [] if sha256_of(path) == digits else [Finding(Fault.ALTERED, name)]
    except OSError:
        return [Finding(Fault.MISSING, name)]


def _of_chain(fault: ChainFault, ledger: str) -> Finding:
    entry = f"entry {fault.number}" if fault.number else "entry"
    return Finding(fault.fault, f"{entry}, line {fault.line} of {ledger}", fault.detail)
