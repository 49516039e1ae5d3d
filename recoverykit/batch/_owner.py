"""Which process a run folder belongs to: one at a time, and none once that process is dead, however it died.

The operating system keeps the lock and lets go of it with the process, so that a killed run bars nobody. The file says
in words whose it is, for the run that is refused; and it bears a token, by which a task on another machine knows that
the run it was begun for still goes on.
"""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

from recoverykit.batch._files import OWNER, storage_error
from recoverykit.errors import RecoverykitError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

#: A look at the lock holds it for a moment; a run that begins in that moment tries again.
_ATTEMPTS, _PAUSE_SECONDS = 10, 0.05
#: Windows locks bytes against reading too; this one lies far behind the words.
_LOCKED_BYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that runs in a folder.

    Attributes
    ----------
    pid : int
        Its number.
    host : str
        The machine it runs on.
    started_at : str
        When it took the folder, UTC in ISO form.
    token : str
        Different for each time that a folder is taken.
    """

    pid: int
    host: str
    started_at: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, started at {self.started_at}"


@contextlib.contextmanager
def owned(run_folder: Path) -> Iterator[Owner]:
    """Hold a run folder for this process.

    Raises
    ------
    RecoverykitError
        When another process holds it, with its number and start time, or the folder cannot be written.
    """
    path = run_folder / OWNER
    try:
        file = path.open("a+b", buffering=0)  # what is written is written at once, or not at all
    except OSError as error:
        raise storage_error(path, error) from error
    with file:
        if not _locked_in_time(file):
            other = _read(path)
            whose = f"by {other}" if other else "by another process"
            raise RecoverykitError(f"{run_folder} is in use {whose}; wait for its end or choose another folder")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        owner = Owner(os.getpid(), socket.gethostname(), now, uuid4().hex)
        try:
            file.truncate(0)
            file.write(json.dumps(asdict(owner)).encode())
        except OSError as error:
            raise storage_error(path, error) from error
        try:
            yield owner
        finally:
            with contextlib.suppress(OSError):
                file.truncate(0)


def owner_of(run_folder: Path) -> Owner | None:
    """Return the process that holds a run folder; None when none does."""
    path = run_folder / OWNER
    try:
        with path.open("r+b" if sys.platform == "win32" else "rb", buffering=0) as file:
            if _locked(file, shared=True):
                return None
    except OSError:
        return None
    return _read(path) or Owner(0, "an unknown machine", "an unknown time", "")


def still_owned(run_folder: Path, token: str) -> bool:
    """Tell whether the run that bears a token still holds its folder, as far as this machine sees it."""
    owner = _read(run_folder / OWNER)
    return owner is not None and owner.token == token


def _read(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # nobody's, or at this moment being written


def _locked_in_time(file: IO[bytes]) -> bool:
    for _ in range(_ATTEMPTS):
        if _locked(file):
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


def _locked(file: IO[bytes], *, shared: bool = False) -> bool:
    """Try to lock a file until it is closed; a shared lock is only a look whether another process holds it."""
    try:
        if sys.platform == "win32":
            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            if shared:
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
