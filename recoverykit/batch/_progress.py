"""The progress bar of a run: running, done and failed, and the time that is left at the pace so far."""

import sys
from typing import Any

from tqdm import tqdm

from recoverykit.batch._tasks import TaskResult, TaskStatus


class Progress:
    """A bar on the standard error stream.

    Parameters
    ----------
    total : int
        Tasks of the run.
    shown : bool
        Nothing is written when false.
    """

    def __init__(self, total: int, *, shown: bool) -> None:
        every = 0.5 if sys.stderr.isatty() else 15.0  # a log file needs no line for each notebook
        self._failed = self._running = 0
        # The pace is that of the whole run: notebooks of one stage say little about those of the next.
        self._bar: tqdm[Any] = tqdm(
            total=total, unit="notebook", disable=not shown, mininterval=every, dynamic_ncols=True, smoothing=0
        )

    def started(self, stage: str) -> None:
        """Count a task that has begun, or begun again."""
        self._running += 1
        self._bar.set_description(stage, refresh=False)
        self._show()

    def retried(self) -> None:
        """Count a task that has ended and will begin again."""
        self._running -= 1

    def ended(self, result: TaskResult, *, begun: bool) -> None:
        """Count a task that has ended; one that was not begun in this run does not count for the pace."""
        if begun:
            self._running -= 1
        elif not self._bar.disable:
            self._bar.initial += 1
        self._failed += result.status is not TaskStatus.DONE
        self._bar.update(1)
        self._show()

    def tick(self) -> None:
        """Let the clock go on where nothing else happens."""
        if sys.stderr.isatty():
            self._bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _show(self) -> None:
        self._bar.set_postfix(running=self._running, failed=self._failed, refresh=False)
