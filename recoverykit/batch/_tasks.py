"""One execution of one notebook, and what became of it: plain values that travel between processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from recoverykit.batch._names import slug
from recoverykit.vocabulary import WHOLE_BOOK

ParameterValue = str | int | float | bool | list[str]


class Scope(StrEnum):
    """How often the notebooks of a stage run: once for the book, for each group of segments, or for each segment."""

    PORTFOLIO = "portfolio"
    GROUP = "segment_group"
    SEGMENT = "segment"


class TaskStatus(StrEnum):
    """What became of one execution, or that it is still to come."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    KERNEL_DIED = "kernel_died"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    NOT_RUN = "not_run"


#: How an execution that was begun can have ended; the other words say that it was not begun, or goes on.
ENDED = frozenset(
    {
        TaskStatus.DONE,
        TaskStatus.FAILED,
        TaskStatus.KERNEL_DIED,
        TaskStatus.OUT_OF_MEMORY,
        TaskStatus.TIMED_OUT,
    }
)


@dataclass(frozen=True, slots=True)
class Task:
    """One execution of one notebook.

    Attributes
    ----------
    notebook : str
        Name of the notebook, without ``.ipynb``.
    path : str
        Absolute path of the notebook.
    stage : str
        Stage of the plan.
    segment : str
        Name of the segment, empty for a notebook that runs once for the book.
    parameters : mapping
        Every parameter of the notebook with a value of its type.
    after : tuple of str
        Stages whose tasks must all have ended before this one begins, in whatever way they ended.
    """

    notebook: str
    path: str
    stage: str
    segment: str = ""
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    after: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of the task within the run and of its files: notebook and slug of the segment."""
        return f"{self.notebook}/{slug(self.segment or WHOLE_BOOK)}"


@dataclass(frozen=True, slots=True)
class CellError:
    """Where and how an execution failed.

    Attributes
    ----------
    name, message : str
        Name of the exception and its text.
    cell_index : int or None
        Position of the cell in the executed notebook, from 0; None when no cell was running.
    cell_source : str
        First lines of that cell.
    traceback : str
        Last lines of the traceback, without colour codes.
    """

    name: str
    message: str
    cell_index: int | None = None
    cell_source: str = ""
    traceback: str = ""

    def __str__(self) -> str:
        first_line = self.message.strip().partition("\n")[0]
        return f"{self.name}: {first_line}" if first_line else self.name


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of one task.

    Attributes
    ----------
    key : str
        Key of the task.
    status : TaskStatus
        Done, or how it failed, or that it was not run.
    started_at : str
        UTC time in ISO form; empty when it was not run.
    seconds : float
        Wall-clock time, start of the kernel included.
    error : CellError or None
        None only for a task that is done.
    outputs : mapping of str to str
        SHA-256 of each file that the task left, by its path within the run folder.
    attempts : int
        How often it was begun: more than once after the death of a kernel.
    peak_memory_bytes : int
        The most memory that its kernel was seen to hold; 0 when that was not seen.
    """

    key: str
    status: TaskStatus
    started_at: str = ""
    seconds: float = 0.0
    error: CellError | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 1
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution may take.

    Attributes
    ----------
    timeout_seconds : float
        Time for the whole notebook, start of the kernel not included.
    memory_bytes : int
        Resident memory of its kernel; 0 for no limit.
    warm : bool
        Fork its kernel from a process that has done the imports, where the system can.
    """

    timeout_seconds: float
    memory_bytes: int = 0
    warm: bool = False
