"""What happens in a run, as JSON lines for machines that watch it; no reader ever needs to understand half a line."""

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recoverykit.batch._files import LOG


class RunLog:
    """The log of a run folder, which every run in it continues.

    Parameters
    ----------
    folder : Path
        The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self.run_id = ""

    def write(self, event: str, **facts: Any) -> None:
        """Append one line; a full disk is the manifest's to tell, and stops no run here."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "run_id": self.run_id, "event": event, **facts}, ensure_ascii=False)
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
