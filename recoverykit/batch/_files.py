"""Files of a run: where they lie, and how they are written so that no reader ever meets half of one."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from recoverykit.errors import RecoverykitError

MANIFEST = "manifest.json"
INDEX = "index.html"
#: What kernels and the C libraries in them write to the terminal; removed when they wrote nothing.
KERNEL_LOG = "kernels.log"
BOOK, NOTEBOOKS, RESULTS, TABLES, PAGES = "book", "notebooks", "results", "tables", "pages"
RUN_FOLDERS = (BOOK, NOTEBOOKS, RESULTS, TABLES, PAGES)
#: Lies in every run folder; only what bears it may be cleared for a new run.
MARKER = ".recoverykit-run"
#: Says which process a run folder belongs to, and is locked by it.
OWNER = ".owner"
#: What happened in the run, a JSON object a line; grows with every run in the folder.
LOG = "log.jsonl"
#: The run's own entry of the record, and what stands on the cover until there is one.
OWN_ENTRY = "record.json"
SEAL_PLACE = "none yet: this run is not in the record"
PARTIAL = ".partial"

_FULL_DISK = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), f"[Errno {errno.ENOSPC}]")


@contextmanager
def written_aside(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a path beside the wanted one and move the finished file into place; on any error leave nothing behind.

    Parameters
    ----------
    path : Path
        Where the file shall stand; missing folders above it are made.
    durable : bool
        Wait until the content is on the disk, so that a loss of power cannot leave an empty file.

    Raises
    ------
    RecoverykitError
        When the folder cannot be written or the disk is full.
    """
    # Its own name for each writer: a kernel of a killed worker may for a moment write the same file.
    partial = path.with_name(f"{path.name}.{uuid4().hex[:8]}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        _remove_quietly(partial)
        if isinstance(error, OSError):
            raise storage_error(path, error) from error
        raise


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file in UTF-8 with plain line ends, aside first."""
    with written_aside(path, durable=durable) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def storage_error(path: Path, error: OSError) -> RecoverykitError:
    """Return the error that says in words why a path cannot be written."""
    reason = error.strerror or str(error)
    return RecoverykitError(f"cannot write {path}: {reason}; free space there or choose another folder")


def names_full_disk(text: str) -> bool:
    """Tell whether the text of an error, from this process or from a kernel, speaks of a full disk."""
    return any(mark in text for mark in _FULL_DISK)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_cover(path: Path, seal: str) -> str:
    """Return the SHA-256 of the pack's cover with the seal that it bears taken out, so that the seal can rest on it."""
    content = path.read_bytes()
    if seal:
        content = content.replace(seal.encode(), SEAL_PLACE.encode())
    return hashlib.sha256(content).hexdigest()


def own_seal(run_folder: Path) -> str:
    """Return the hash of a run's own entry of the record; empty where it has none that can be read."""
    try:
        return str(json.loads((run_folder / OWN_ENTRY).read_text(encoding="utf-8"))["hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself is out of reach, and the first error says so
