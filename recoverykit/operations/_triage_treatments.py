"""What the unit can do about a case, as a value: uplift, cost, and which scarce resource it takes."""

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from recoverykit.operations._rule_files import HOUSE_RULES, read_rules

Light = Literal["green", "yellow", "red"]
GREEN, YELLOW, RED = "green", "yellow", "red"
LIGHTS = (GREEN, YELLOW, RED)
NO_TREATMENT = "none"
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Treatment(BaseModel):
    """One thing that can be done about a case.

    Attributes
    ----------
    name : str
        Lower-case words joined by underscores; not ``none``, which is what green cases get.
    light : {"yellow", "red"}
        The light of a case that gets it.
    uplift : float
        Share of the cases that would not cure by themselves and do cure with it, in [0, 1]: an effect measured by
        experiment, not a success rate.
    cost_amount : float
        Cost per case, at least 0.
    resource : str
        What it takes of what is scarce; treatments may share one.
    units : float
        How much of it per case, > 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    light: Literal["yellow", "red"]
    uplift: float = Field(ge=0, le=1)
    cost_amount: float = Field(ge=0)
    resource: _Name
    units: float = Field(default=1.0, gt=0)


class TreatmentMenu(BaseModel):
    """Everything that the unit can do, and how much of it in the period.

    Attributes
    ----------
    version : int
        Version of this form: 1.
    treatments : tuple of Treatment
        Names are unique.
    capacities : dict of str to float
        Units of each resource in the period, at least 0; a resource that is left out is not scarce.

    Examples
    --------
    >>> TreatmentMenu.house().frame()["treatment"].tolist()
    ['standard_calls', 'field_work', 'legal_action']
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    treatments: tuple[Treatment, ...] = Field(min_length=1)
    capacities: dict[_Name, Annotated[float, Field(ge=0)]] = {}

    @model_validator(mode="after")
    def _names_fit(self) -> "TreatmentMenu":
        names = [treatment.name for treatment in self.treatments]
        wrong = [f"{name} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
        wrong += ["'none' is what green cases get; give the treatment another name"] if NO_TREATMENT in names else []
        unknown = sorted(set(self.capacities) - {treatment.resource for treatment in self.treatments})
        wrong += [f"no treatment takes {name}, of which there is a capacity" for name in unknown]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @classmethod
    def house(cls) -> "TreatmentMenu":
        """Return the menu that comes with the kit: placeholders that show the form."""
        return read_treatments()

    def frame(self) -> pd.DataFrame:
        """Return the treatments as a frame: treatment, light, uplift, cost_amount, resource, units."""
        return pd.DataFrame([t.model_dump() for t in self.treatments]).rename(columns={"name": "treatment"})


def read_treatments(path: str | Path = "") -> TreatmentMenu:
    """Read treatments and capacities from a YAML file.

    Parameters
    ----------
    path : path
        The file; empty for the placeholders that come with the kit.

    Returns
    -------
    TreatmentMenu

    Raises
    ------
    SpecError
        When the file cannot be read or breaks its form; lists every problem with its line.

    Examples
    --------
    >>> read_treatments().capacities["field_days"]
    60.0
    """
    return read_rules(path or HOUSE_RULES / "treatments.yml", TreatmentMenu, unique="treatments")
