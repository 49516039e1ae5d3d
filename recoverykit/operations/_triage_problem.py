"""Open cases and treatments as arrays, checked: what each treatment gains for each case, and what limits it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError
from recoverykit.estimators._rows import number_column
from recoverykit.operations._border import Rules, frame_faults, no_share
from recoverykit.operations._triage_treatments import TreatmentMenu

CASE_COLUMNS = ("facility_id", "prob_self_cure", "cured_recovery_amount", "uncured_recovery_amount")


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Cases and treatments as arrays: gains of shape (n_cases, n_treatments) and what limits them."""

    names: list[str]
    resources: list[str]
    light: list[str]
    prob: NDArray[np.float64]
    stake: NDArray[np.float64]
    untreated: NDArray[np.float64]
    gains: NDArray[np.float64]
    uplift: NDArray[np.float64]
    cost: NDArray[np.float64]
    limits: dict[str, Any]

    @property
    def baseline(self) -> float:
        """Expected recovery when nothing is done."""
        return float(self.untreated.sum())

    def gain_of(self, treatment: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the gain of each case under an assignment."""
        given = np.take_along_axis(self.gains, np.maximum(treatment, 0)[:, None], axis=1)[:, 0]
        return np.where(treatment >= 0, given, 0.0)

    def used(self, treatment: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the units of each resource that an assignment takes."""
        given = treatment[treatment >= 0]
        weights = self.limits["units"][given]
        used = np.bincount(self.limits["resource"][given], weights=weights, minlength=len(self.resources))
        return used.astype(float)


def read_problem(cases: pd.DataFrame, menu: TreatmentMenu) -> Problem:
    """Check the cases and return them as arrays."""
    own = {t.name: f"uplift_{t.name}" for t in menu.treatments if f"uplift_{t.name}" in cases.columns}
    faults = frame_faults("cases", cases, [*CASE_COLUMNS, *own.values()], _rules(list(own.values())))
    if faults:
        raise ContractError(faults)
    prob, cured, uncured = (number_column(cases, c, 0.0) for c in CASE_COLUMNS[1:])
    table = menu.frame()
    uplift = np.column_stack([number_column(cases, own.get(t.name), t.uplift) for t in menu.treatments])
    resources = list(dict.fromkeys(table["resource"]))
    cost = table["cost_amount"].to_numpy(float)
    stake = cured - uncured
    return Problem(
        names=table["treatment"].tolist(),
        resources=resources,
        light=table["light"].tolist(),
        prob=prob,
        stake=stake,
        untreated=prob * cured + (1 - prob) * uncured,
        gains=((1 - prob) * stake)[:, None] * uplift - cost,
        uplift=uplift,
        cost=cost,
        limits={
            "units": table["units"].to_numpy(float),
            "resource": np.array([resources.index(name) for name in table["resource"]]),
            "capacity": np.array([menu.capacities.get(name, np.inf) for name in resources]),
        },
    )


def _rules(own_uplifts: list[str]) -> Rules:
    """Return what the values of the cases must keep, of the uplifts that they bring themselves too."""

    def falls_short(frame: pd.DataFrame) -> NDArray[np.bool_]:
        cured, uncured = (number_column(frame, column, 0.0) for column in CASE_COLUMNS[2:])
        return ~(cured >= uncured)

    shares = {f"{c} must lie in [0, 1]": ([c], no_share(c)) for c in ("prob_self_cure", *own_uplifts)}
    return {**shares, "cured_recovery_amount must be at least uncured_recovery_amount": (CASE_COLUMNS[2:], falls_short)}
