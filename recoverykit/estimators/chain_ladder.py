"""Chain ladder on vintages of default, with Mack's standard errors.

The chain ladder multiplies: a vintage that has brought in twice as much by a month is expected to bring in twice as
much after it. It needs no exposure, so it holds where vintages differ in quality and keep their ratio; it breaks where
nothing has come in yet, where costs make the amount fall below zero, and it magnifies the luck of a young vintage. The
additive curve (``recovery_curve``) and Bornhuetter-Ferguson add instead of multiply and stand beside it. This module
knows vintages, months and amounts, and no single case.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._chain_ladder_kernels import Factors, age_to_age, develop, with_tail
from recoverykit.estimators._chain_ladder_tables import (
    cautions,
    cell_table,
    development_table,
    total_line,
    vintage_table,
)
from recoverykit.estimators._rows import Array, IntArray, check_choice, check_level
from recoverykit.estimators._triangle_layout import TriangleColumns, VintageRows, read_vintages
from recoverykit.estimators.chain_ladder_fit import ChainLadderFit

__all__ = ["ChainLadderFit", "ChainLadderModel"]

#: Power of the amount with which a vintage's own factor weighs: Mack's alpha.
AVERAGES = {"simple": 0, "volume": 1, "regression": 2}
LAST_SIGMAS = ("mack", "log_linear")
#: Cells named in a message.
_N_NAMED = 5
_ALTERNATIVE = (
    "Let the first column hold more months (first_month), take longer periods (development_months), or use a method "
    "that adds instead of multiplying: the additive curve (recovery_curve) or BornhuetterFergusonModel"
)


@dataclass(frozen=True, slots=True)
class ChainLadderModel:
    """Choices of a chain ladder.

    Attributes
    ----------
    development_months : int
        Length of a development period: 1 for months, 3 for quarters.
    first_month : int or None
        The first column of the triangle holds all months up to this one; None for one development period.
    average : {"volume", "simple", "regression"}
        Age-to-age factors as ratios of sums, as means of the vintages' own factors, or as a regression through the
        origin: alpha 1, 0 and 2 of Mack (1999).
    last_sigma : {"mack", "log_linear"}
        How the variance of the last factor, known from one vintage only, is continued from those before it.
    tail_factor : float
        Leads from the last column to the ultimate; 1 for no tail. ``RecoveryTailFit.tail_factor`` is one.
    tail_standard_error, tail_sigma : float
        Standard error of the tail factor and its sigma, square root of the currency for ``average="volume"``. They are
        judgements: no data lie behind the last column.

    Examples
    --------
    Three vintages by quarter. Of the first two, 150 and 300 became 180 and 360: the factor is 1.2 and so on.

    >>> triangle = pd.DataFrame({"default_vintage": ["2023Q1"] * 9 + ["2023Q2"] * 6 + ["2023Q3"] * 3,
    ...     "month": [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 1, 2, 3], "ead_at_risk": 1000.0, "n_at_risk": 20,
    ...     "present_value_amount": [50.0, 50, 50, 10, 10, 10, 0, 0, 18, 100, 100, 100, 20, 20, 20, 40, 40, 40]})
    >>> start = triangle[triangle["month"] == 1].assign(month=0, present_value_amount=0.0)
    >>> fit = ChainLadderModel(development_months=3).fit(pd.concat([start, triangle]), complete_col=None)
    >>> fit.development["factor"].round(3).tolist()
    [1.2, 1.1]
    >>> fit.vintages["ultimate_rate"].round(4).tolist()
    [0.198, 0.396, 0.1584]

    The youngest vintage has recovered 12 % after one quarter; 12 % x 1.2 x 1.1 = 15.84 % is expected in all.
    """

    development_months: int = 1
    first_month: int | None = None
    average: str = "volume"
    last_sigma: str = "mack"
    tail_factor: float = 1.0
    tail_standard_error: float = 0.0
    tail_sigma: float = 0.0

    def __post_init__(self) -> None:
        check_choice("average", self.average, tuple(AVERAGES))
        check_choice("last_sigma", self.last_sigma, LAST_SIGMAS)
        if self.development_months < 1 or self.development_months != int(self.development_months):
            raise ValueError(f"development_months is {self.development_months!r}; give whole months, 1 or more")
        if self.first_month is not None and (self.first_month < 0 or self.first_month != int(self.first_month)):
            raise ValueError(f"first_month is {self.first_month!r}; give a whole month, 0 or more, or None")
        if not (np.isfinite(self.tail_factor) and self.tail_factor > 0):
            raise ValueError(f"tail_factor is {self.tail_factor!r}; give a number above 0, 1 for no tail")
        errors = np.array([self.tail_standard_error, self.tail_sigma])
        if not (np.isfinite(errors).all() and (errors >= 0).all()):
            raise ValueError("tail_standard_error and tail_sigma must be numbers of 0 or more")

    def fit(
        self,
        triangle: pd.DataFrame,
        *,
        vintage_col: str = "default_vintage",
        month_col: str = "month",
        amount_col: str = "present_value_amount",
        exposure_col: str = "ead_at_risk",
        count_col: str = "n_at_risk",
        complete_col: str | None = "is_complete",
        level: float = 0.95,
    ) -> ChainLadderFit:
        """Estimate what every vintage will have recovered in the end.

        Parameters
        ----------
        triangle : DataFrame
            One row per vintage and month in default, as from ``vintage_triangle``; rows of several segments are
            summed. Not changed.
        vintage_col, month_col : str
            Vintage, and whole months in default from 0.
        amount_col : str
            Recovery of the month, currency: net or gross, discounted or not.
        exposure_col, count_col : str
            EAD (currency) and number of the episodes observed through the month.
        complete_col : str or None
            Whether all episodes of the vintage were observed through the month; None when all rows are such. The
            first month that is not ends the vintage.
        level : float
            Confidence level of the intervals, in (0, 1).

        Returns
        -------
        ChainLadderFit

        Raises
        ------
        ContractError
            When columns or numbers are missing.
        InsufficientDataError
            When there are not two columns, or a vintage has recovered nothing, or less, in a column from which a
            factor leads on, or costs use up all that had come in: the chain ladder has no answer then.
        ValueError
            When ``level`` is not inside (0, 1).

        Notes
        -----
        Mack, T. (1993), ASTIN Bulletin 23(2):213-225; Mack (1994), CAS Forum, Spring 1994, vol. 1:101-182; Mack (1999),
        ASTIN Bulletin 29(2):361-366, whose recursion gives the errors for every average and with a tail.

        The interval of the remaining recovery is log-normal with its mean and standard error, as Mack (1994) advises
        where the error is large; normal where nothing, or less, is left to come.
        """
        check_level(level)
        columns = TriangleColumns(vintage_col, month_col, amount_col, exposure_col, count_col, complete_col)
        rows = read_vintages(triangle, columns)
        ends, ladder = self._columns(rows)
        alpha = AVERAGES[self.average]
        factors = self._factors(ladder, ends, alpha)
        latest = np.isfinite(ladder).sum(axis=1) - 1
        is_projected = (latest >= 0) & (np.take_along_axis(ladder, latest[:, None], axis=1)[:, 0] > 0)
        if not self._has_tail:
            is_projected |= latest == ladder.shape[1] - 1
        made = develop(ladder, factors, alpha=alpha, is_projected=is_projected)
        development = development_table(factors, ends)
        return ChainLadderFit(
            development_months=self.development_months,
            average=self.average,
            tail_factor=self.tail_factor,
            amount_name=amount_col,
            vintage_name=vintage_col,
            development=development,
            vintages=vintage_table(rows, made, ends, latest, level),
            total=total_line(rows, made, ends, latest, is_projected, level),
            cells=cell_table(rows, made, ends, latest),
            exclusions=rows.exclusions,
            cautions=cautions(rows, development, is_projected, latest),
            level=level,
        )

    @property
    def _has_tail(self) -> bool:
        return (self.tail_factor, self.tail_standard_error, self.tail_sigma) != (1.0, 0.0, 0.0)

    def _factors(self, ladder: Array, ends: IntArray, alpha: int) -> Factors:
        """Return the factors from column to column, and the tail where there is one."""
        found = age_to_age(ladder, alpha=alpha, last_sigma=self.last_sigma)
        nothing_left = np.flatnonzero(~(found.factors > 0))
        if len(nothing_left):
            k = nothing_left[0]
            raise InsufficientDataError(
                f"between month {ends[k]} and {ends[k + 1]} costs used up all that had come in (the factor is "
                f"{found.factors[k]:.2f}), and would do so with whatever the other vintages recover. {_ALTERNATIVE}"
            )
        if not self._has_tail:
            return found
        return with_tail(
            found,
            factor=self.tail_factor,
            standard_error=self.tail_standard_error,
            sigma_squared=self.tail_sigma**2,
        )

    def _columns(self, rows: VintageRows) -> tuple[IntArray, Array]:
        """Return the last month of each column, and the cumulative amounts at them."""
        first = int(self.development_months if self.first_month is None else self.first_month)
        ends = np.arange(first, rows.last_month.max() + 1, int(self.development_months))
        if len(ends) < 2:
            raise InsufficientDataError(
                f"a chain ladder needs two columns; the oldest vintage was observed to month {rows.last_month.max()}, "
                f"the first column ends with month {first} and a period has {self.development_months} months"
            )
        ladder = rows.cumulative[:, ends]
        leads_on = np.isfinite(ladder[:, 1:])
        wrong = np.argwhere(leads_on & ~(np.where(leads_on, ladder[:, :-1], 1.0) > 0))
        if len(wrong):
            named = "; ".join(
                f"{rows.vintages[v]} by month {ends[k]}: {ladder[v, k]:,.2f}" for v, k in wrong[:_N_NAMED]
            )
            raise InsufficientDataError(
                f"a chain ladder multiplies what has come in so far, and {len(wrong)} cells of the triangle that a "
                f"factor leads on from are zero or negative: {named}. {_ALTERNATIVE}"
            )
        return ends, ladder
