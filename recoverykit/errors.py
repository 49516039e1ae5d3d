"""What can go wrong, as a small tree: each message says what was found, what is allowed and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass


class RecoverykitError(Exception):
    """Base of every error that the kit raises on purpose."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of a table contract.

    Attributes
    ----------
    table : str
        Name of the contract table.
    rule : str
        The rule in words, with what is allowed.
    n_rows : int
        Rows that break it; 0 where the rule concerns the table as a whole.
    first_keys : tuple of str
        Keys of the first rows that break it, five at most.
    """

    table: str
    rule: str
    n_rows: int = 0
    first_keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = f": {self.n_rows:,} row{'s' if self.n_rows != 1 else ''}" if self.n_rows else ""
        keys = f", first {'; '.join(self.first_keys)}" if self.first_keys else ""
        return f"{self.table}: {self.rule}{rows}{keys}"


class ContractError(RecoverykitError):
    """The data break the table contracts; carries every violation at once.

    Parameters
    ----------
    violations : sequence of Violation
        All of them, in the order of the tables.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        count = len(self.violations)
        lines = "\n".join(f"  {number}. {violation}" for number, violation in enumerate(self.violations, 1))
        super().__init__(f"{count} rule{'s' if count != 1 else ''} of the data contract broken:\n{lines}")

    def __reduce__(self) -> tuple[type["ContractError"], tuple[tuple[Violation, ...]]]:
        return type(self), (self.violations,)


class SpecError(RecoverykitError):
    """The data spec cannot be read or does not say what is needed."""


class RefusedColumnError(RecoverykitError):
    """The source holds data about people that this kit does not take in."""


class UnsoundComparisonError(RecoverykitError):
    """A comparison would not answer what was asked; the message says why and names the call that does."""


class InsufficientDataError(RecoverykitError):
    """There is too little to estimate the quantity, and the message says what is missing."""


class ConvergenceError(RecoverykitError):
    """No start of an optimiser reached a maximum; the message says what was tried and what to try."""


class ExtrapolationError(RecoverykitError):
    """A curve was asked for a time beyond the data that it was estimated from."""


class PlanError(RecoverykitError):
    """A batch plan names something that does not exist, or gives a parameter of the wrong type."""


class NotebookError(RecoverykitError):
    """A notebook failed in the batch; the message gives notebook, segment, cell and traceback."""
