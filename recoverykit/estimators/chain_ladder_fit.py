"""The result of a chain ladder: factors, ultimates, the completed triangle, and what to beware of.

Nothing is estimated here; see ``chain_ladder``.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.estimators._fit_tables import plain


@dataclass(frozen=True, slots=True, eq=False)
class ChainLadderFit:
    """What the vintages of a triangle are expected to recover in the end.

    Attributes
    ----------
    development_months : int
        Length of a development period.
    average : str
        How the factors were averaged.
    tail_factor : float
        From the last column to the ultimate; 1 for no tail.
    amount_name, vintage_name : str
        Columns that were developed and that tell vintages apart.
    development : DataFrame
        One row per factor: from_month, to_month (NaN for the tail), factor, standard_error, sigma, n_vintages (from
        how many vintages; 0 for the tail), share_recovered (of the ultimate, by from_month).
    vintages : DataFrame
        One row per vintage: vintage, n_episodes, ead, month (the latest column), recovered_amount, ultimate_amount,
        process_error, parameter_error, remaining_amount, standard_error (currency), recovered_rate, ultimate_rate,
        standard_error_rate, lower, upper (of the ultimate, shares of EAD). NaN where a vintage is not projected.
    total : Series
        The same for all projected vintages together, with n_vintages. Vintages share the factors, so errors do not add
        up as if they were independent.
    cells : DataFrame
        The completed triangle: vintage, month, cumulative_amount, cumulative_recovery_rate (share of EAD),
        standard_error (currency, 0 where known), is_extrapolated.
    exclusions : DataFrame
        Vintages left out: vintage, reason, n_episodes, ead.
    cautions : tuple of str
        What to beware of, in words; empty when nothing was found.
    level : float
        Confidence level of the intervals.
    """

    development_months: int
    average: str
    tail_factor: float
    amount_name: str
    vintage_name: str
    development: pd.DataFrame
    vintages: pd.DataFrame
    total: pd.Series
    cells: pd.DataFrame
    exclusions: pd.DataFrame
    cautions: tuple[str, ...]
    level: float

    @property
    def params(self) -> pd.Series:
        """Age-to-age factors by the month from which they lead."""
        return self.development.set_index("from_month")["factor"]

    @property
    def standard_errors(self) -> pd.Series:
        """Standard errors of the factors."""
        return self.development.set_index("from_month")["standard_error"]

    def triangle(self, *, rates: bool = True) -> pd.DataFrame:
        """Return the completed triangle with one row per vintage and one column per month.

        Parameters
        ----------
        rates : bool
            Shares of EAD; otherwise currency.
        """
        value = "cumulative_recovery_rate" if rates else "cumulative_amount"
        return self.cells.pivot(index=self.vintage_name, columns="month", values=value)

    def pattern(self) -> StepCurve:
        """Return the share of the ultimate that has come in by each month, as ``BornhuetterFergusonModel`` takes it.

        It is known at the ends of the columns; a tail leaves its last value below 1.
        """
        months = np.append(self.development["from_month"], self.cells["month"].max()).astype(float)
        shares = self.development["share_recovered"].to_numpy()[: len(np.unique(months)) - 1]
        months, values = np.unique(months), np.append(shares, 1.0 / self.tail_factor)
        if months[0] > 0:
            months, values = np.append(0.0, months), np.append(0.0, values)
        unknown = np.full(len(months), np.nan)
        return StepCurve(times=months, values=values, lower=unknown, upper=unknown, level=self.level, on_grid=True)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per vintage."""
        return self.vintages.copy()

    def summary(self) -> pd.DataFrame:
        """Return one row per vintage and one for the total: ead, month, rates, standard error and interval."""
        columns = ["ead", "month", "recovered_rate", "ultimate_rate", "standard_error_rate", "lower", "upper"]
        table = self.vintages.set_index(self.vintage_name)[columns]
        return pd.concat([table, self.total.to_frame().T.reindex(columns=columns)]).astype(float)

    def to_record(self) -> dict[str, Any]:
        """Return factors, vintages and total as JSON can hold them; None where there is no number."""
        vintages = self.vintages.assign(**{self.vintage_name: self.vintages[self.vintage_name].astype(str)})
        return {
            "amount": self.amount_name,
            "development": _records(self.development),
            "vintages": _records(vintages),
            "total": {str(key): plain(float(value)) for key, value in self.total.items()},
            "cautions": list(self.cautions),
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """Say what is expected in all, how sure that is, and what to beware of."""
        total = self.total
        text = (
            f"Chain ladder over {total['n_vintages']:,.0f} vintages: {total['recovered_rate']:.1%} of EAD has come in, "
            f"{total['ultimate_rate']:.1%} is expected in all ({self.level:.0%} interval {total['lower']:.1%} to "
            f"{total['upper']:.1%})"
        )
        return f"{text}. Beware: {'; '.join(self.cautions)}." if self.cautions else f"{text}."

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence())}</p>{self.summary().to_html(float_format=lambda x: f'{x:,.4g}')}"


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(k): plain(v) if isinstance(v, float) else v for k, v in row.items()}
        for row in table.to_dict(orient="records")
    ]
