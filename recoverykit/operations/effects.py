"""The effect of a treatment as a value: one shape for every design, so that pages and records read them alike.

It knows what was compared, how uncertain it is and what the reader must be told. It does not know how any design came
to its number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd

Measure = Literal[
    "risk_difference", "risk_ratio", "mean_difference", "ratio_of_means", "incidence_difference", "hazard_ratio"
]

#: How each measure is called, and the value that it has when the treatment does nothing.
MEASURES: Mapping[str, tuple[str, float]] = {
    "risk_difference": ("difference of shares", 0.0),
    "risk_ratio": ("ratio of shares", 1.0),
    "mean_difference": ("difference of means", 0.0),
    "ratio_of_means": ("ratio of means", 1.0),
    "incidence_difference": ("difference of cumulative incidences", 0.0),
    "hazard_ratio": ("hazard ratio", 1.0),
}
_COLUMNS = ("measure", "effect", "lower", "upper")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TreatmentEffect:
    """An estimated effect of a treatment against its control.

    Attributes
    ----------
    design : str
        How it was found, such as ``randomised`` or ``landmark at month 3``.
    outcome : str
        What was compared.
    treated, control : str
        The two arms; the effect is that of ``treated`` against ``control``.
    measure : str
        One of ``MEASURES``.
    effect : float
        The estimate, on the scale of the measure: shares are decimal, ratios are 1 without an effect.
    standard_error : float
        Of the effect; of its logarithm for ratios.
    lower, upper : float
        Confidence interval on the scale of the measure.
    p_value : float
        Two-sided, of no effect.
    level : float
        Confidence level in (0, 1).
    n_treated, n_control : int
        Units compared.
    errors : str
        How interval and error were made.
    arms : DataFrame
        One row per arm: arm, n_units and the outcome in it.
    measures : DataFrame
        The same comparison on other scales: measure, effect, lower, upper; the first row is the effect itself.
    exclusions : DataFrame
        Units that were not compared, by reason: reason, n_units.
    cautions : tuple of str
        What a reader must know before believing it.
    """

    design: str
    outcome: str
    treated: str
    control: str
    measure: str
    effect: float
    standard_error: float
    lower: float
    upper: float
    p_value: float
    level: float
    n_treated: int
    n_control: int
    errors: str
    arms: pd.DataFrame = field(repr=False)
    measures: pd.DataFrame = field(repr=False)
    exclusions: pd.DataFrame = field(repr=False)
    cautions: tuple[str, ...] = ()

    @property
    def null_value(self) -> float:
        """What the measure is when the treatment does nothing: 0 for differences, 1 for ratios."""
        return MEASURES[self.measure][1]

    def to_frame(self) -> pd.DataFrame:
        """Return one row: design, outcome, arms, measure, effect, its error and interval, p-value and counts."""
        names = (
            *("design", "outcome", "treated", "control", "measure", "effect", "standard_error", "lower", "upper"),
            *("p_value", "n_treated", "n_control"),
        )
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    def to_record(self) -> dict[str, Any]:
        """Return the effect as JSON can hold it."""
        row = {str(key): as_plain(value) for key, value in self.to_frame().iloc[0].items()}
        tables = {name: plain_rows(getattr(self, name)) for name in ("arms", "measures", "exclusions")}
        return row | {"level": self.level, "errors": self.errors, "cautions": list(self.cautions)} | tables

    def summary(self) -> str:
        """Return the finding, the arms and the cautions as text."""
        parts = [self.sentence(), self.arms.to_string(index=False, float_format="{:.4g}".format)]
        return "\n".join([*parts, *(f"Caution: {caution}" for caution in self.cautions)])

    def sentence(self) -> str:
        """Say what was compared, the effect and how surprising it would be without one."""
        words = MEASURES[self.measure][0]
        return (
            f"{self.outcome}, {self.treated} against {self.control} ({self.design}): {words} {self.effect:.4g} "
            f"({self.level:.0%} interval {self.lower:.4g} to {self.upper:.4g}), {p_words(self.p_value)}; "
            f"{self.n_treated:,} and {self.n_control:,} units, {self.errors}."
        )

    def _repr_html_(self) -> str:
        table = self.arms.to_html(index=False, float_format="{:.4g}".format)
        cautions = "".join(f"<p>Caution: {escape(caution)}</p>" for caution in self.cautions)
        return f"<p>{escape(self.sentence())}</p>{table}{cautions}"


def measure_rows(rows: Sequence[tuple[str, float, float, float]]) -> pd.DataFrame:
    """Return the frame of measures from (measure, effect, lower, upper)."""
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def exclusion_rows(counts: Mapping[str, int]) -> pd.DataFrame:
    """Return the frame of exclusions from reason -> units, reasons without units left out."""
    rows = [(reason, int(count)) for reason, count in counts.items() if count]
    return pd.DataFrame(rows, columns=["reason", "n_units"]).astype({"reason": object, "n_units": int})


def p_words(p_value: float) -> str:
    """Write a p-value: ``p 0.0123``, ``p below 0.0001``, ``p not available``."""
    if np.isnan(p_value):
        return "p not available"
    return "p below 0.0001" if p_value < 1e-4 else f"p {p_value:.4f}"


def as_plain(value: Any) -> Any:
    """Return a value as JSON can hold it: numpy scalars as Python's, not-a-number as None."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as JSON can hold them."""
    return [{str(key): as_plain(value) for key, value in row.items()} for row in frame.to_dict(orient="records")]
