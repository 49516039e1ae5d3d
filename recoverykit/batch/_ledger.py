"""The file of the record: JSON lines, one entry a line, written at the end only and by one process at a time."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from recoverykit.batch._chain import GENESIS, canonical, sealed
from recoverykit.batch._files import storage_error
from recoverykit.errors import RecoverykitError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def append_link(path: Path, content: Mapping[str, Any], *, key: bytes | None = None) -> dict[str, Any]:
    """Append an entry, chained to the last one, and return it when it is on the disk.

    A last line without its line end is what a crash has left of an entry that was never recorded; it is cut off.

    Raises
    ------
    RecoverykitError
        When the file cannot be written, or its last line is no entry to which another could be chained.
    """
    return append_links(path, lambda _links: [content], key=key)[0]


def append_links(
    path: Path,
    contents: Callable[[list[dict[str, Any] | None]], list[Mapping[str, Any]]],
    *,
    key: bytes | None = None,
) -> list[dict[str, Any]]:
    """Append entries that depend on what stands there, which nobody else changes in between.

    Parameters
    ----------
    path : Path
        The file; it is made when there is none.
    contents : callable
        Given the entries so far, returns the contents to append.
    key : bytes, optional
        Key of the macs.

    Returns
    -------
    list of dict
        The entries appended.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file, _locked(file), _no_empty_file(path):
            whole = _cut_torn_end(file)
            links = parse_links(whole)
            number, previous = _head(links, path)
            appended = []
            for content in contents(links):
                appended.append(sealed(content, number=number + 1, previous=previous, key=key))
                number, previous = appended[-1]["number"], appended[-1]["hash"]
            _write_all(file, b"".join(canonical(link) + b"\n" for link in appended))
    except OSError as error:
        raise storage_error(path, error) from error
    return appended


@contextlib.contextmanager
def _no_empty_file(path: Path) -> Iterator[None]:
    """Remove the file again where nothing came to be written."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()
        raise


def read_links(path: Path) -> list[dict[str, Any] | None]:
    """Return the entries of a file in their order, None for a line that is none; an unfinished last line is such.

    Raises
    ------
    RecoverykitError
        When the file cannot be read.
    """
    try:
        return parse_links(path.read_bytes())
    except OSError as error:
        raise RecoverykitError(f"{path} cannot be read: {error.strerror or error}") from error


def parse_links(content: bytes) -> list[dict[str, Any] | None]:
    """Return the entries in the bytes of a file."""
    *lines, unfinished = content.split(b"\n")
    return [_parsed(line) for line in lines] + ([None] if unfinished else [])


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        link = json.loads(line)
        # Spaces, another order of the keys or a key that stands twice are no entry of ours, whatever they mean.
        return link if isinstance(link, dict) and canonical(link) == line else None
    except ValueError:
        return None


def _head(links: list[dict[str, Any] | None], path: Path) -> tuple[int, str]:
    if not links:
        return 0, GENESIS
    last = links[-1]
    if last is None or not isinstance(last.get("number"), int) or not isinstance(last.get("hash"), str):
        raise RecoverykitError(f"the last line of {path} is no entry; run `recoverykit verify` and keep the file aside")
    return last["number"], last["hash"]


def _cut_torn_end(file: IO[bytes]) -> bytes:
    file.seek(0)
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        file.truncate(len(whole))
    return whole


def _write_all(file: IO[bytes], lines: bytes) -> None:
    """Write to the end and to the disk; on a full disk leave the file as it was."""
    before = file.seek(0, os.SEEK_END)
    try:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.truncate(file.fileno(), before)
        raise


@contextlib.contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    """Keep other processes from appending at the same time; the system lets go when this one dies."""
    if sys.platform == "win32":
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        try:
            yield
        finally:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield  # closing the file lets go of the lock
