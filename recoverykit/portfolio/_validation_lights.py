"""Traffic lights: each finding against limits that were set before the numbers were known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from recoverykit.errors import PlanError
from recoverykit.portfolio._validation_samples import DEVELOPMENT, NEW, OPEN, OUT_OF_TIME

GREEN, AMBER, RED, NOT_JUDGED = "green", "amber", "red", "not judged"
_CHOSEN = "set in the parameters of this run"
_NORMAL = "two-sided 5 % and 1 % points of the normal distribution; that they make amber and red is a house convention"


@dataclass(frozen=True, slots=True)
class ValidationLimit:
    """From which value on a finding is amber, and from which red.

    Attributes
    ----------
    name : str
        What is measured; more is worse.
    amber, red : float
        A value above ``amber`` is amber, one above ``red`` red.
    source : str
        Who says so.
    """

    name: str
    amber: float
    red: float
    source: str

    def light(self, value: float) -> str:
        """Return the light of a value; a missing one is not judged."""
        if pd.isna(value):
            return NOT_JUDGED
        return RED if value > self.red else AMBER if value > self.amber else GREEN


#: The limits of the house, by name.
LIMITS = {
    limit.name: limit
    for limit in (
        ValidationLimit("auc_drop", 0.05, 0.10, "house convention: AUC in development less AUC out of time"),
        ValidationLimit("calibration_z", 1.96, 2.58, _NORMAL),
        ValidationLimit(
            "brier_ratio",
            1.00,
            1.05,
            "Kattan & Gerds (2018): above 1 a model predicts worse than without drivers; red is a house convention",
        ),
        ValidationLimit(
            "population_stability_index", 0.10, 0.25, "a convention of credit scoring: Siddiqi (2006), Lewis (1994)"
        ),
        ValidationLimit("change_z", 1.96, 2.58, _NORMAL),
    )
}


def read_limits(texts: Sequence[str]) -> dict[str, ValidationLimit]:
    """Return the limits of the house, some replaced by those of a run's parameters.

    Parameters
    ----------
    texts : sequence of str
        Name, amber and red of each limit that differs, such as ``"auc_drop 0.03 0.06"``.

    Raises
    ------
    PlanError
        When a text is no name and two numbers, the name is unknown, or red lies below amber; all at once.

    Examples
    --------
    >>> read_limits(["auc_drop 0.03 0.06"])["auc_drop"].red
    0.06
    """
    limits, problems = dict(LIMITS), []
    for text in texts:
        name, *numbers = text.split() or [""]
        try:
            amber, red = (float(number) for number in numbers)
        except ValueError:
            problems.append(f"{text!r} is no limit; write its name, amber and red, as in 'auc_drop 0.05 0.10'")
            continue
        if name not in LIMITS:
            problems.append(f"no limit {name!r}; there are {', '.join(LIMITS)}")
        elif not 0 <= amber <= red:
            problems.append(f"{text!r}: amber must be at least 0 and red at least as much")
        else:
            limits[name] = replace(LIMITS[name], amber=amber, red=red, source=_CHOSEN)
    if problems:
        raise PlanError("limits of the validation: " + "; ".join(problems))
    return limits


def lights_of(
    *,
    discrimination: pd.DataFrame,
    calibration: pd.DataFrame,
    accuracy: pd.DataFrame,
    stability: pd.DataFrame,
    halves: Mapping[str, float],
    n_cures: Mapping[str, int],
    n_expected: Mapping[str, float],
    n_new_defaults: int,
    limits: Mapping[str, ValidationLimit],
    minimum_cures: int,
) -> pd.DataFrame:
    """Hold every finding against its limit.

    Returns
    -------
    DataFrame
        One row per check: check, population (empty where it concerns both), limit, value, amber, red, light, source.
        What rests on too few cures of the holdout, or could not be computed, is not judged. A ranking needs cures that
        came; for a number of cures it is enough that they were expected, since that none came is then a finding.
    """
    rows: list[tuple[str, str, str, float]] = []
    for population in (NEW, OPEN):
        seen, expected = n_cures[population], max(n_cures[population], n_expected[population])
        found = [
            ("discrimination", "auc_drop", _auc_drop(discrimination, population), seen),
            ("calibration", "calibration_z", abs(_value(calibration, population, "z")), expected),
            ("accuracy", "brier_ratio", _value(accuracy, population, "brier_ratio"), expected),
        ]
        rows += [(c, population, limit, v if n >= minimum_cures else float("nan")) for c, limit, v, n in found]
    enough = n_new_defaults >= minimum_cures
    for role, check in (("driver", "drivers"), ("prediction", "predictions")):
        worst = stability.loc[stability["role"] == role, "population_stability_index"].max() if len(stability) else None
        value = float("nan") if worst is None or not enough else float(worst)
        rows.append((check, "", "population_stability_index", value))
    rows.append(("parameters", "", "change_z", halves["parameters_z"]))
    rows.append(("never_cured", "", "change_z", abs(halves["never_z"])))
    table = pd.DataFrame(rows, columns=["check", "population", "limit", "value"])
    chosen = [limits[name] for name in table["limit"]]
    return table.assign(
        amber=[limit.amber for limit in chosen],
        red=[limit.red for limit in chosen],
        light=[limit.light(value) for limit, value in zip(chosen, table["value"], strict=True)],
        source=[limit.source for limit in chosen],
    )


def worst_light(lights: pd.DataFrame) -> str:
    """Return the worst light of a table; green only where something that came since the cut-off was judged."""
    seen = set(lights["light"])
    if RED in seen or AMBER in seen:
        return RED if RED in seen else AMBER
    is_tried = (lights["population"] != "") & (lights["light"] == GREEN)
    return GREEN if is_tried.any() else NOT_JUDGED


def _auc_drop(discrimination: pd.DataFrame, population: str) -> float:
    if discrimination.empty:
        return float("nan")
    auc = discrimination[(discrimination["measure"] == "auc") & (discrimination["population"] == population)]
    by_period = auc.set_index("period")["value"]
    return float(by_period.get(DEVELOPMENT, float("nan")) - by_period.get(OUT_OF_TIME, float("nan")))


def _value(table: pd.DataFrame, population: str, column: str) -> float:
    """Return a value out of time, at the last of the months told."""
    if table.empty:
        return float("nan")
    rows = table[(table["population"] == population) & (table["period"] == OUT_OF_TIME)]
    return float(rows[column].iloc[-1]) if len(rows) else float("nan")
