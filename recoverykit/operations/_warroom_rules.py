"""The escalation table as a value: which facts of a case call for which step, and how soon."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recoverykit.operations._calendar import WorkCalendar
from recoverykit.operations._rule_files import HOUSE_RULES, read_rules
from recoverykit.vocabulary import ActionKind

_Days = Annotated[int, Field(ge=1, le=3650, strict=True)]
_Count = Annotated[int, Field(ge=1, le=1000, strict=True)]
_Amount = Annotated[float, Field(gt=0)]


class EscalationWhen(BaseModel):
    """The facts of a case that a rule asks for; all that are given must hold.

    Attributes
    ----------
    days_past_due_at_least, days_past_due_at_most : int
        Days since the oldest unpaid instalment fell due.
    missed_calls_at_least : int
        Calls without an answer in this spell of arrears since the last conversation with the right party.
    broken_promises_at_least : int
        Promises given in this spell of arrears and not kept in full when their days of grace were over.
    days_without_contact_at_least, days_without_conversation_at_least : int
        Days since the last action of any kind, or since the last conversation; since the due date where there was none.
    overdue_amount_at_least, balance_amount_at_least : float
        Amounts, > 0.
    is_secured : bool
        Whether collateral secures the facility.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    days_past_due_at_least: _Days | None = None
    days_past_due_at_most: _Days | None = None
    missed_calls_at_least: _Count | None = None
    broken_promises_at_least: _Count | None = None
    days_without_contact_at_least: _Days | None = None
    days_without_conversation_at_least: _Days | None = None
    overdue_amount_at_least: _Amount | None = None
    balance_amount_at_least: _Amount | None = None
    is_secured: bool | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "EscalationWhen":
        if not self.model_dump(exclude_none=True):
            raise ValueError("the rule asks for nothing; give one condition at least")
        least, most = self.days_past_due_at_least, self.days_past_due_at_most
        if least and most and least > most:
            raise ValueError(f"no case is at least {least} and at most {most} days past due")
        return self


class EscalationRule(BaseModel):
    """One rule: when the facts hold, the step is due within so many days.

    Attributes
    ----------
    name : str
        Lower-case words joined by underscores.
    when : EscalationWhen
        The facts.
    then : ActionKind
        The step.
    within_days : int
        Calendar days from the day on which the facts held first until the step must be done, at least 0; a day without
        work moves to the next working day. A promise broken after the step was done asks for it anew.
    source : str
        Who says so; may be empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    when: EscalationWhen
    then: ActionKind
    within_days: int = Field(ge=0, le=365, strict=True)
    source: str = ""


class EscalationRules(BaseModel):
    """The escalation table.

    Attributes
    ----------
    version : int
        Version of this form: 1.
    rules : tuple of EscalationRule
        Names are unique. A case may meet several.
    promise_grace_days : int
        Days after its due date during which a promise may still be kept.
    calendar : WorkCalendar
        Weekend and holidays.

    Examples
    --------
    >>> [rule.then.value for rule in EscalationRules.house().rules if rule.when.missed_calls_at_least == 3]
    ['field_visit']
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    rules: tuple[EscalationRule, ...] = Field(min_length=1)
    promise_grace_days: int = Field(default=5, ge=0, le=60, strict=True)
    calendar: WorkCalendar = WorkCalendar()

    @model_validator(mode="after")
    def _names_differ(self) -> "EscalationRules":
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"a rule has a name of its own, but {', '.join(twice)} stands twice")
        return self

    @classmethod
    def house(cls) -> "EscalationRules":
        """Return the table that comes with the kit."""
        return read_escalation_rules()


def read_escalation_rules(path: str | Path = "") -> EscalationRules:
    """Read the escalation table from a YAML file.

    Parameters
    ----------
    path : path
        The file; empty for the table of the house.

    Returns
    -------
    EscalationRules

    Raises
    ------
    SpecError
        When the file cannot be read or breaks its form; lists every problem with its line.

    Examples
    --------
    >>> len(read_escalation_rules().rules)
    5
    """
    return read_rules(path or HOUSE_RULES / "escalation.yml", EscalationRules, unique="rules")
