"""A look at a kernel while it works, from a thread beside it: how much memory it holds, whether its run still goes on.

A kernel that is ended from here dies for a reason that we know; to papermill it is a dead kernel like any other.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from recoverykit.batch._owner import still_owned
from recoverykit.batch._tasks import Limits

#: A kernel needs longer than this to fill the memory of a machine.
_MEMORY_SECONDS = 0.2
_LOOKS_PER_OWNER_CHECK = 5
#: One look may meet the moment in which the file is written.
_MISSES = 3


@dataclass(slots=True)
class Watch:
    """What was seen of one kernel, and why it was ended from here, if it was.

    Attributes
    ----------
    run_folder : Path
        Folder of the run that the kernel works for.
    token : str
        Token of the owner of that folder; empty to let the kernel work whatever becomes of the run.
    limits : Limits
        Memory that it may hold.
    peak_memory_bytes : int
        The most that was seen.
    over_memory, abandoned : bool
        Whether it was ended for want of memory, or because its run has ended or was taken over.
    """

    run_folder: Path
    token: str
    limits: Limits
    peak_memory_bytes: int = 0
    over_memory: bool = False
    abandoned: bool = False
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def over(self, client: Any) -> Iterator[None]:
        """Watch the kernel of an nbclient client while the body of the statement executes it."""
        thread = threading.Thread(target=self._look, args=(client,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def check_owner(self) -> bool:
        """Return whether the run that the task belongs to is over, and keep it in mind."""
        self.abandoned = self.abandoned or bool(self.token and not still_owned(self.run_folder, self.token))
        return self.abandoned

    def _look(self, client: Any) -> None:
        looks = misses = 0
        while not self._over.wait(_MEMORY_SECONDS):
            pid = getattr(getattr(client.km, "provisioner", None), "pid", None)
            if pid is None:
                continue  # not yet started, or ended
            memory = _resident_bytes(pid)
            self.peak_memory_bytes = max(self.peak_memory_bytes, memory)
            self.over_memory = 0 < self.limits.memory_bytes < memory
            looks += 1
            if self.token and looks % _LOOKS_PER_OWNER_CHECK == 0:
                misses = 0 if still_owned(self.run_folder, self.token) else misses + 1
                self.abandoned = misses >= _MISSES
            if self.over_memory or self.abandoned:
                _kill(pid)
                return


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0  # it has just ended


def _kill(pid: int) -> None:
    with contextlib.suppress(psutil.Error):
        kernel = psutil.Process(pid)
        for process in [*kernel.children(recursive=True), kernel]:
            with contextlib.suppress(psutil.Error):
                process.kill()
