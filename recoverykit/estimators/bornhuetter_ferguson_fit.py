"""The result of a Bornhuetter-Ferguson estimate. Nothing is estimated here; see ``bornhuetter_ferguson``."""

from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from recoverykit.estimators._fit_tables import plain


@dataclass(frozen=True, slots=True, eq=False)
class BornhuetterFergusonFit:
    """What the vintages are expected to recover in the end.

    Attributes
    ----------
    vintage_name : str
        Column that tells vintages apart.
    n_iterations : int
        1 Bornhuetter-Ferguson, 2 Benktander.
    prior_rate : float
        Ultimate recovery rate expected beforehand, share of EAD.
    prior_is_given, pattern_is_given : bool
        Whether prior and pattern were stated, or estimated from the triangle.
    prior_vintages : tuple of str
        The older vintages that gave the prior; none where it was stated.
    vintages : DataFrame
        One row per vintage: vintage, n_episodes, ead, month (last one used), share_due (of the ultimate, by then),
        recovered_amount, ultimate_amount, remaining_amount (currency), recovered_rate, ultimate_rate,
        chain_ladder_rate (recovered over share due, for comparison; NaN where nothing is due yet), standard_error_rate,
        lower, upper (of the ultimate rate, shares of EAD; NaN without a bootstrap, or where some draws lack the
        vintage).
    exclusions : DataFrame
        Vintages left out: vintage, reason, n_episodes, ead.
    level : float
        Confidence level of the band.
    """

    vintage_name: str
    n_iterations: int
    prior_rate: float
    prior_is_given: bool
    prior_vintages: tuple[str, ...]
    pattern_is_given: bool
    vintages: pd.DataFrame
    exclusions: pd.DataFrame
    level: float

    @property
    def total(self) -> pd.Series:
        """Sums over all vintages, and their rates."""
        names = ["n_episodes", "ead", "recovered_amount", "ultimate_amount", "remaining_amount"]
        sums = self.vintages[names].sum()
        rates = {
            f"{name}_rate": sums[f"{name}_amount"] / sums["ead"] for name in ("recovered", "ultimate", "remaining")
        }
        return pd.concat([sums, pd.Series(rates)]).rename("total")

    def to_frame(self) -> pd.DataFrame:
        """Return one row per vintage."""
        return self.vintages.copy()

    def summary(self) -> pd.DataFrame:
        """Return one row per vintage and one for the total: ead, month, rates, standard error and band."""
        columns = ["ead", "month", "share_due", "recovered_rate", "ultimate_rate", "chain_ladder_rate"]
        columns += ["standard_error_rate", "lower", "upper"]
        table = self.vintages.set_index(self.vintage_name)[columns]
        return pd.concat([table, self.total.to_frame().T.reindex(columns=columns)]).astype(float)

    def to_record(self) -> dict[str, Any]:
        """Return prior, vintages and total as JSON can hold them; None where there is no number."""
        table = self.vintages.assign(**{self.vintage_name: self.vintages[self.vintage_name].astype(str)})
        return {
            "n_iterations": self.n_iterations,
            "prior_rate": self.prior_rate,
            "prior_is_given": self.prior_is_given,
            "pattern_is_given": self.pattern_is_given,
            "vintages": [
                {str(k): plain(v) if isinstance(v, float) else v for k, v in row.items()}
                for row in table.to_dict(orient="records")
            ],
            "total": {str(k): plain(float(v)) for k, v in self.total.items()},
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """Say what is expected in all, and where prior and pattern come from."""
        total = self.total
        name = {1: "Bornhuetter-Ferguson", 2: "Benktander"}.get(
            self.n_iterations, f"Bornhuetter-Ferguson iterated {self.n_iterations} times"
        )
        older = f"estimated from {len(self.prior_vintages)} older vintages, weighted by EAD"
        origin = "as stated" if self.prior_is_given else older
        pattern = "a given pattern" if self.pattern_is_given else "the additive curve as the pattern"
        return (
            f"{name} over {len(self.vintages)} vintages, with {pattern} and a prior of {self.prior_rate:.1%} of EAD "
            f"({origin}): {total['recovered_rate']:.1%} has come in, {total['ultimate_rate']:.1%} is expected in all."
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence())}</p>{self.summary().to_html(float_format=lambda x: f'{x:,.4g}')}"
