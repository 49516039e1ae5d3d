"""The run folder before and between runs: whose it is, what of an earlier run may stay, what must go."""

import contextlib
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from recoverykit.batch._chain import digest_of
from recoverykit.batch._files import (
    BOOK,
    INDEX,
    KERNEL_LOG,
    MANIFEST,
    MARKER,
    NOTEBOOKS,
    OWN_ENTRY,
    PAGES,
    PARTIAL,
    RESULTS,
    RUN_FOLDERS,
    TABLES,
    own_seal,
    sha256_of,
    sha256_of_cover,
    storage_error,
)
from recoverykit.batch._tasks import TaskStatus
from recoverykit.batch.manifest import RunStatus, read_manifest
from recoverykit.errors import PlanError, RecoverykitError


def claim_run_folder(run_folder: str | Path) -> Path:
    """Make a run folder, or take one that holds a run; nothing in it is changed.

    Raises
    ------
    RecoverykitError
        When the folder holds something else than a run, or cannot be written.
    """
    folder = Path(run_folder).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARKER).exists() and any(folder.iterdir()):
            raise RecoverykitError(f"{folder} holds files but no run; choose an empty folder")
        (folder / MARKER).touch()
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder


def prepare_run_folder(
    run_folder: str | Path,
    *,
    plan_name: str = "",
    reporting_date: str = "",
    partial: bool = False,
    fresh: bool = False,
) -> tuple[Path, dict[str, Any]]:
    """Make the run folder ready, and return it with the manifest of the run in it that can be gone on with.

    Parameters
    ----------
    run_folder : path
        A new or empty folder, or the folder of an earlier run.
    plan_name, reporting_date : str
        What is to be run; empty to go on with whatever there is.
    partial : bool
        Only a part of the plan will run, which must not take the place of a run of the whole.
    fresh : bool
        Begin anew: nothing of an earlier run stays.

    Returns
    -------
    folder : Path
        Absolute path of the folder.
    before : dict
        Manifest of the earlier run; empty when there is none, or after ``fresh``.

    Raises
    ------
    RecoverykitError
        When the folder holds something else than a run, or cannot be written.
    PlanError
        When it holds a run of another plan or date, or a partial run would replace a run of the whole.
    """
    folder = claim_run_folder(run_folder)
    try:
        before = read_manifest(folder) if (folder / MANIFEST).exists() else {}
    except RecoverykitError:
        if not fresh:
            raise
        before = {}
    if before and partial and not before.get("selection") and _is_worth_keeping(before):
        raise PlanError(
            f"{folder} holds a complete run or a part of one, which a selection would replace; choose another folder"
        )
    if before and not fresh:
        for what, wanted, found in (
            ("plan", plan_name, before.get("plan", {}).get("name")),
            ("reporting date", reporting_date, before.get("reporting_date")),
        ):
            if wanted and wanted != found:
                raise PlanError(
                    f"{folder} holds a run of {what} {found!r}, not {wanted!r}; choose another folder, or --fresh to "
                    "replace it"
                )
        return folder, before
    try:
        (folder / INDEX).unlink(missing_ok=True)
        for name in (MANIFEST, KERNEL_LOG):
            (folder / name).unlink(missing_ok=True)
        for name in RUN_FOLDERS:
            _renew(folder / name)
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder, {}


def clear_for_tasks(folder: Path, keys: Collection[str]) -> None:
    """Remove the cover, its entry, what speaks of the whole, and what tasks left that are no longer part of the run."""
    try:
        for name in (INDEX, OWN_ENTRY):
            (folder / name).unlink(missing_ok=True)
        for name in (NOTEBOOKS, RESULTS, PAGES):
            for path in (folder / name).glob("*/*"):
                key = path.relative_to(folder / name).as_posix()
                if (key if path.is_dir() else key.removesuffix(path.suffix)) not in keys:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        _renew(folder / TABLES)
        for partial in folder.rglob(f"*{PARTIAL}"):
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error


def prepared_book(
    folder: Path, recorded: Mapping[str, Any], key: str, write_book: Callable[[Path], object]
) -> dict[str, Any]:
    """Return what the manifest says of the prepared book, which is written unless the one that is there still holds.

    Parameters
    ----------
    folder : Path
        The run folder.
    recorded : mapping
        What the manifest of the earlier run says of its book.
    key : str
        Hash of all that the book is made from; empty when that cannot be told without making it.
    write_book : callable
        Called with the folder to write into.

    Returns
    -------
    dict
        ``key``; ``files``, the SHA-256 of each; and ``id``, the same for two books as long as no file of the first
        has changed or gone in the second.
    """
    if book_holds(folder, recorded, key):
        return dict(recorded)
    _renew(folder / BOOK)
    write_book(folder / BOOK)
    files = hashes_below(folder / BOOK)
    old = recorded.get("files", {})
    same = bool(old) and old.items() <= files.items()
    return {"key": key, "id": recorded["id"] if same else digest_of(files), "files": files}


def book_holds(folder: Path, recorded: Mapping[str, Any], key: str) -> bool:
    """Tell whether the prepared book in a folder is the one that a run would make."""
    return bool(key) and recorded.get("key") == key and recorded["files"] == hashes_below(folder / BOOK)


def hashes_below(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder, by its path within."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in found}


def altered(folder: Path, hashes: Mapping[str, str]) -> str:
    """Return the first file that is not as it was, in words; empty when all are.

    Parameters
    ----------
    folder : Path
        The run folder.
    hashes : mapping of str to str
        SHA-256 by the path within it.
    """
    for name, digits in hashes.items():
        try:
            if sha256_of(folder / name) != digits:
                return f"{name} has been altered"
        except OSError:
            return f"{name} is missing"
    return ""


def pack_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of what was made from all tasks together: pages, tables and cover."""
    made = [*(folder / PAGES).glob("*/*.html"), *(folder / TABLES).glob("*"), folder / INDEX]
    hashes = {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(made) if path.is_file()}
    if INDEX in hashes:
        hashes[INDEX] = sha256_of_cover(folder / INDEX, own_seal(folder))
    return hashes


def _is_worth_keeping(before: Mapping[str, Any]) -> bool:
    entries: Sequence[Mapping[str, Any]] = list(before.get("tasks", {}).values())
    return before["status"] == RunStatus.COMPLETE or any(task["status"] == TaskStatus.DONE for task in entries)


def _renew(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
