"""The protocol before an instalment falls due, as a value: which step, how many days before, through which channel."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recoverykit.operations._calendar import WorkCalendar
from recoverykit.operations._rule_files import HOUSE_RULES, read_rules
from recoverykit.vocabulary import ActionKind

Condition = Literal[
    "always", "large", "not_large", "covered", "not_covered", "not_covered_or_unknown", "in_arrears", "not_in_arrears"
]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class PreDueStep(BaseModel):
    """One step of the protocol.

    Attributes
    ----------
    name : str
        Lower-case words joined by underscores.
    days_before_due : int
        Calendar days before the due date, 1 to 365.
    channel : ActionKind
        How the debtor is reached.
    message : str
        Which wording is used, a name of the house.
    condition : str
        For which instalments: ``always``; ``large`` or ``not_large`` loans; those whose account turnover has been
        verified as ``covered``, ``not_covered`` or ``not_covered_or_unknown``; those of a facility ``in_arrears`` or
        ``not_in_arrears``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    days_before_due: int = Field(ge=1, le=365, strict=True)
    channel: ActionKind
    message: _Name
    condition: Condition = "always"


class PreDueSchedule(BaseModel):
    """Who is reminded of an instalment before it falls due, when and how.

    Of the steps of one day, the first whose condition holds is taken. A step is open from its day until the next
    step's day, and at last until the due date. Where its day is a weekend or a holiday, it moves to the working day
    before, so that nobody is told later than the protocol says.

    Attributes
    ----------
    version : int
        Version of this form: 1.
    steps : tuple of PreDueStep
        In the order in which conditions are tried; names are unique.
    large_from_amount : float
        From this amount on a loan is large, > 0.
    large_by : {"due_amount", "balance_amount"}
        Whether the instalment itself or the balance of the loan is compared with it.
    calendar : WorkCalendar
        Weekend and holidays.

    Examples
    --------
    >>> schedule = PreDueSchedule.house()
    >>> sorted({step.days_before_due for step in schedule.steps}, reverse=True)
    [30, 15, 7]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    steps: tuple[PreDueStep, ...] = Field(min_length=1)
    large_from_amount: float = Field(default=5_000.0, gt=0)
    large_by: Literal["due_amount", "balance_amount"] = "due_amount"
    calendar: WorkCalendar = WorkCalendar()

    @field_validator("steps")
    @classmethod
    def _names_differ(cls, steps: tuple[PreDueStep, ...]) -> tuple[PreDueStep, ...]:
        names = [step.name for step in steps]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"a step has a name of its own, but {', '.join(twice)} stands twice")
        return steps

    @classmethod
    def house(cls) -> "PreDueSchedule":
        """Return the schedule that comes with the kit."""
        return read_pre_due_schedule(HOUSE_RULES / "pre_due.yml")

    def needs_balance(self) -> bool:
        """Tell whether a condition compares the balance of a loan."""
        return self.large_by == "balance_amount" and any("large" in step.condition for step in self.steps)


def read_pre_due_schedule(path: str | Path = "") -> PreDueSchedule:
    """Read the protocol from a YAML file.

    Parameters
    ----------
    path : path
        The file; empty for the protocol of the house, 30, 15 and 7 days before.

    Returns
    -------
    PreDueSchedule

    Raises
    ------
    SpecError
        When the file cannot be read or breaks its form; lists every problem with its line.

    Examples
    --------
    >>> read_pre_due_schedule().steps[0].channel.value
    'meeting'
    """
    return read_rules(path or HOUSE_RULES / "pre_due.yml", PreDueSchedule, unique="steps")
