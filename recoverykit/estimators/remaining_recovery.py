"""What episodes that are still open may expect to recover, month by month in default.

An average over all episodes says little about one that is open after three years: most of the others are closed by
then. ``remaining_recovery`` therefore looks at the episodes open at the start of each month only. It takes sums by
obligor and month, knows nothing of single cash flows, and does not ask how much an episode has recovered so far; see
``conditional_recovery`` for that.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.estimators._clusters import check_cells, totals_by_month
from recoverykit.estimators._recovery_kernels import monthly_shares, months_known, totals_after
from recoverykit.estimators._rows import Array
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

#: Open episodes at the start of the last month of a remaining curve, unless said otherwise.
MINIMUM_OPEN = MINIMUM_CELL_COUNT


@dataclass(frozen=True, slots=True, eq=False)
class RemainingRecovery:
    """What episodes that are still open recover month by month, and how fast they close.

    Attributes
    ----------
    months : ndarray of shape (n_months,)
        0, 1, ..., T: months in default. Nothing is expected after month T, where the data end.
    share_of_ead : ndarray of shape (n_months,)
        Net recovery in the month of the episodes open at its start, as a share of their EAD; negative where costs
        exceed recoveries.
    share_resolved : ndarray of shape (n_months,)
        EAD-weighted share of the episodes open at the start of the month that ended in it, in [0, 1].
    still_open : ndarray of shape (n_months,)
        EAD-weighted share of all episodes still open after the month: the product of 1 - ``share_resolved``.
    n_open_at_start, ead_open_at_start : ndarray of shape (n_months,)
        Number and EAD (currency) of the episodes open at the start of the month that were observed to its end.

    Notes
    -----
    With rho_m the share of EAD, h_m the share resolved and S_m = prod (1 - h), an episode open after month t expects
    sum over m > t of S_{m-1} / S_t rho_m. That is unbiased when reporting dates say nothing about prospects: open
    episodes of an age then go on as earlier ones of that age did. All shares are weighted by EAD; where large and
    small exposures recover differently, split by a segment that tells them apart.

    Examples
    --------
    >>> curve = RemainingRecovery(months=[0, 1, 2], share_of_ead=[0, 0.2, 0.3], share_resolved=[0, 0.5, 1.0],
    ...                           still_open=[1, 0.5, 0], n_open_at_start=[4, 4, 2], ead_open_at_start=[400, 400, 200])
    >>> curve.increments_after(0).tolist()
    [0.2, 0.15]
    >>> curve.total_after(1)
    0.3

    An episode open after a month recovers another 30 % of its EAD; one just defaulted 20 % in the first month and
    half of 30 % in the second, for half are closed by then.
    """

    months: Array
    share_of_ead: Array
    share_resolved: Array
    still_open: Array
    n_open_at_start: Array
    ead_open_at_start: Array

    def __post_init__(self) -> None:
        """Freeze the arrays and check their shapes."""
        for field in fields(self):
            array = np.array(getattr(self, field.name), dtype=float)
            array.setflags(write=False)
            object.__setattr__(self, field.name, array)
            if array.shape != (len(self.months),):
                raise ValueError(f"{field.name} has shape {array.shape}, months has {len(self.months)} entries")
        if len(self.months) == 0 or not np.array_equal(self.months, np.arange(len(self.months))):
            raise ValueError("months must be 0, 1, 2, ... without a gap")

    def increments_after(self, month: int) -> Array:
        """Return the expected net recovery in each later month of an episode open after ``month``.

        Parameters
        ----------
        month : int
            Completed months in default, 0 or more.

        Returns
        -------
        ndarray of shape (T - month,)
            Shares of EAD for months month + 1 to T; empty when the episode is as old as the curve or older.
        """
        if month < 0 or month != int(month):
            raise ValueError(f"month is {month!r}; give completed months in default, 0 or more")
        later = slice(int(month) + 1, None)
        reached = np.cumprod(np.concatenate([[1.0], 1.0 - self.share_resolved[later]]))[:-1]
        return reached * self.share_of_ead[later]

    def total_after(self, month: ArrayLike) -> Any:
        """Return the expected net recovery, as a share of EAD, of an episode open after ``month``.

        Parameters
        ----------
        month : float or array of float
            Months in default, 0 or more. Within a month recoveries and closures are taken as evenly spread.

        Returns
        -------
        float or ndarray
            Of the shape of ``month``; 0 from the last month of the curve on.
        """
        totals = totals_after(np.atleast_1d(month), self.share_of_ead[None], self.share_resolved[None])[0]
        return float(totals[0]) if np.ndim(month) == 0 else totals

    def to_frame(self) -> pd.DataFrame:
        """Return one row per month with all attributes, and what is still to come after it."""
        return pd.DataFrame({**asdict(self), "total_after": self.total_after(self.months)})

    def to_record(self) -> dict[str, list[float]]:
        """Return the arrays as lists that JSON can hold."""
        return {name: array.tolist() for name, array in asdict(self).items()}

    @classmethod
    def from_record(cls, record: dict[str, list[float]]) -> "RemainingRecovery":
        """Return the curve that ``to_record`` wrote."""
        return cls(**{name: np.array(values, dtype=float) for name, values in record.items()})


def remaining_recovery(
    cells: pd.DataFrame,
    *,
    amount_col: str = "present_value_amount_open",
    exposure_col: str = "ead_open_at_start",
    resolved_col: str = "ead_resolved",
    count_col: str = "n_open_at_start",
    minimum_at_risk: int = MINIMUM_OPEN,
) -> RemainingRecovery:
    """Estimate what an episode still open may expect to recover.

    Parameters
    ----------
    cells : DataFrame
        One row per obligor and month in default with ``month`` (whole, from 0) and the columns below. Not changed.
    amount_col : str
        Net recovery in the month of the episodes open at its start, currency.
    exposure_col, resolved_col, count_col : str
        Their EAD, the EAD of those that ended in the month, and their number.
    minimum_at_risk : int
        The curve ends at the last month with at least this many open episodes at its start. What one of the last few
        open episodes recovers would else be expected of all younger ones: on a book of 1,500 defaults a single good
        closure among the five oldest moved the average LGD by 1.5 points.

    Returns
    -------
    RemainingRecovery

    Raises
    ------
    ContractError
        When columns or numbers are missing.
    InsufficientDataError
        When no month has the minimum number at risk.
    """
    columns = [amount_col, exposure_col, resolved_col, count_col]
    check_cells(cells, columns)
    amount, exposure, resolved, count = totals_by_month(cells, columns)
    n_months = months_known(exposure, count, minimum_at_risk)
    share_of_ead, share_resolved = monthly_shares(amount[:n_months], exposure[:n_months], resolved[:n_months])
    return RemainingRecovery(
        months=np.arange(n_months, dtype=float),
        share_of_ead=share_of_ead,
        share_resolved=share_resolved,
        still_open=(1.0 - share_resolved).cumprod(),
        n_open_at_start=count[:n_months],
        ead_open_at_start=exposure[:n_months],
    )
