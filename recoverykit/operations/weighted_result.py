"""An effect found by weighting as a value, with the overlap of the groups on which it rests."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from recoverykit.operations.effects import TreatmentEffect, plain_rows


@dataclass(frozen=True, slots=True, eq=False)
class WeightedEffect:
    """An effect by weighting, with the overlap on which it rests.

    Attributes
    ----------
    effect : TreatmentEffect
        Mean outcome if all units were treated less that if none were.
    overlap : DataFrame
        Histogram of the propensity by group: lower, upper (bounds of the bin), treated, not_treated (units).
    balance : DataFrame
        covariate, before, after: standardised differences without and with the weights.
    propensity_params : Series
        Coefficients of the logistic propensity model.
    effective_sample_size : dict of str to float
        By group, (sum of weights)^2 / sum of squared weights.
    largest_weight : float
        Largest stabilised weight.
    bounds : tuple of float
        Propensities outside were trimmed.
    """

    effect: TreatmentEffect
    overlap: pd.DataFrame = field(repr=False)
    balance: pd.DataFrame = field(repr=False)
    propensity_params: pd.Series = field(repr=False)
    effective_sample_size: dict[str, float]
    largest_weight: float
    bounds: tuple[float, float]

    def to_frame(self) -> pd.DataFrame:
        """Return the effect as one row."""
        return self.effect.to_frame()

    def to_record(self) -> dict[str, Any]:
        """Return the effect and its overlap as JSON can hold it."""
        more = {"overlap": plain_rows(self.overlap), "balance": plain_rows(self.balance)}
        measures = {"effective_sample_size": self.effective_sample_size, "largest_weight": self.largest_weight}
        return self.effect.to_record() | more | measures | {"bounds": list(self.bounds)}

    def summary(self) -> str:
        """Return the finding, the effective sample sizes and the balance as text."""
        sizes = ", ".join(f"{name} {size:,.0f}" for name, size in self.effective_sample_size.items())
        table = self.balance.to_string(index=False, float_format="{:.3f}".format)
        return f"{self.effect.summary()}\nEffective sample size: {sizes}.\n{table}"

    def _repr_html_(self) -> str:
        return self.effect._repr_html_() + self.balance.to_html(index=False, float_format="{:.3f}".format)
