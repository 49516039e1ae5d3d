"""How accounts roll from one bucket of days past due to the next, month by month, by number and by balance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._rows import broken, number_column
from recoverykit.operations._border import check_frames
from recoverykit.operations._cents import cents as in_cents
from recoverykit.operations._cents import total
from recoverykit.vocabulary import FacilityStatus

CURRENT, NOT_REPORTED = "current", "not reported"
#: Upper ends of the buckets, days past due.
HOUSE_BUCKETS = (0, 30, 60, 90)


@dataclass(frozen=True, slots=True, eq=False)
class RollRates:
    """Transitions between buckets of days past due.

    Attributes
    ----------
    buckets : tuple of str
        Names of the buckets, the best first.
    exits : tuple of str
        What else an account may come to within the month.
    transitions : DataFrame
        One row per month end, bucket there and bucket or exit a month later: month_end, from_bucket, to_bucket,
        n_facilities, balance_amount (at the earlier month end). Only what occurred.
    n_last, last_amount
        Accounts and balance of the last month end, from which nothing has rolled yet; they are left out.
    """

    buckets: tuple[str, ...]
    exits: tuple[str, ...]
    transitions: pd.DataFrame
    n_last: int
    last_amount: float

    @property
    def n_months(self) -> int:
        """Month ends from which accounts rolled."""
        return int(self.transitions["month_end"].nunique())

    def matrix(self, by: Literal["count", "balance"] = "count") -> pd.DataFrame:
        """Return the totals from each bucket (rows) to each bucket or exit (columns) over all months.

        Parameters
        ----------
        by : {"count", "balance"}
            Accounts, or balances at the earlier month end to the cent.
        """
        column = _column(by)
        frame = self.transitions.assign(value=_exact(self.transitions[column], by))
        table = frame.pivot_table(index="from_bucket", columns="to_bucket", values="value", aggfunc="sum", fill_value=0)
        table = table.reindex(index=self.buckets, columns=[*self.buckets, *self.exits], fill_value=0)
        table = table / 100 if by == "balance" else table.astype(np.int64)
        return table.rename_axis(index="from_bucket", columns=None)

    def rates(self, by: Literal["count", "balance"] = "count") -> pd.DataFrame:
        """Return the shares of each bucket that rolled to each other or an exit; rows add to 1, empty ones are NaN."""
        table = self.matrix(by)
        return table.div(table.sum(axis=1).where(lambda sums: sums > 0), axis=0)

    def by_month(self, from_bucket: str, to_bucket: str) -> pd.DataFrame:
        """Return one roll rate month by month.

        Parameters
        ----------
        from_bucket : str
            One of ``buckets``.
        to_bucket : str
            One of ``buckets``, how an account may be closed, or ``not reported``.

        Returns
        -------
        DataFrame
            month_end, n_facilities (at the start), rate and balance_rate.

        Raises
        ------
        ValueError
            When there is no such bucket or exit.
        """
        for name, value, known in (
            ("from_bucket", from_bucket, self.buckets),
            ("to_bucket", to_bucket, (*self.buckets, *_exits())),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(known)}")
        start = self.transitions[self.transitions["from_bucket"] == from_bucket]
        months = sorted(start["month_end"].unique())
        rolled = start[start["to_bucket"] == to_bucket].groupby("month_end")[["n_facilities", "balance_amount"]].sum()
        base = start.groupby("month_end")[["n_facilities", "balance_amount"]].sum()
        part = rolled.reindex(months, fill_value=0)
        return pd.DataFrame(
            {
                "month_end": months,
                "n_facilities": base["n_facilities"].to_numpy(np.int64),
                "rate": (part["n_facilities"] / base["n_facilities"]).to_numpy(),
                "balance_rate": (part["balance_amount"] / base["balance_amount"].where(lambda b: b > 0)).to_numpy(),
            }
        )

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        shares = self.rates("count").to_numpy()
        rolled = {f"{a} / {b}": float(shares[i, i + 1]) for i, (a, b) in enumerate(pairwise(self.buckets))}
        return {"n_months": self.n_months, "n_last": self.n_last, "roll_rates": rolled}


def roll_rates(panel: pd.DataFrame, *, buckets: Sequence[int] = HOUSE_BUCKETS) -> RollRates:
    """Count how accounts and balances rolled between buckets of days past due, month by month.

    Parameters
    ----------
    panel : DataFrame
        One row per facility and month end, as in the contract table ``status``: facility_id, month_end, days_past_due,
        balance_amount (>= 0), and where given ``status``: ``active``, or how the account was closed. Accounts roll
        from month ends at which they are active.
    buckets : sequence of int
        Upper ends of the buckets in days past due, rising: (0, 30, 60, 90) makes current, 1 to 30, 31 to 60, 61 to 90
        and over 90.

    Returns
    -------
    RollRates
        Over an account's month: the bucket a month later, how the account was closed, or ``not reported``. By balance
        each account counts with its balance at the earlier month end, so the rates say where the money went.

    Raises
    ------
    ContractError
        When a column is missing, a facility has a month twice, a status is unknown or missing, or a balance is not a
        number of 0 or more.
    InsufficientDataError
        When there are fewer than two month ends.
    ValueError
        When the buckets do not rise.

    Examples
    --------
    >>> ends = pd.to_datetime(["2026-08-31", "2026-09-30"] * 2)
    >>> panel = pd.DataFrame({"facility_id": ["A", "A", "B", "B"], "month_end": ends, "days_past_due": [0, 0, 0, 20],
    ...                       "balance_amount": [300.0, 290.0, 100.0, 100.0]})
    >>> rates = roll_rates(panel)
    >>> [rates.rates(by).loc["current", "1 to 30"].item() for by in ("count", "balance")]
    [0.5, 0.25]

    One of two accounts rolled, but it held 100 of 400 only.
    """
    ends = [int(b) for b in buckets]
    if not ends or ends[0] < 0 or sorted(set(ends)) != ends:
        raise ValueError(f"buckets are {list(buckets)}; give rising upper ends in days, as in 0, 30, 60, 90")
    _check_panel(panel)
    names = bucket_names(ends)
    months = panel["month_end"].dt.to_period("M")
    if months.nunique() < 2:
        raise InsufficientDataError("roll rates need two month ends at least; the panel has fewer")
    has_status = "status" in panel.columns
    state = panel["status"].astype(str) if has_status else pd.Series(FacilityStatus.ACTIVE.value, index=panel.index)
    is_active = state == FacilityStatus.ACTIVE.value
    bucket = np.array(names, dtype=object)[np.searchsorted(ends, panel["days_past_due"].to_numpy(float), side="left")]
    place = pd.DataFrame({"facility_id": panel["facility_id"], "month": months, "to_bucket": bucket})
    place["to_bucket"] = place["to_bucket"].where(is_active, state)
    start = place[is_active].rename(columns={"to_bucket": "from_bucket"})
    start = start.assign(month_end=panel["month_end"], balance_amount=panel["balance_amount"])
    rolling = start[start["month"] < months.max()].assign(next=lambda f: f["month"] + 1)
    later = place.rename(columns={"month": "next"})
    pairs = rolling.merge(later, on=["facility_id", "next"], how="left").fillna({"to_bucket": NOT_REPORTED})
    found = (
        pairs.assign(cents=in_cents(pairs["balance_amount"]))
        .groupby(["month_end", "from_bucket", "to_bucket"], as_index=False)["cents"]
        .agg(n_facilities="size", cents="sum")
    )
    exits = tuple(word for word in _exits() if (found["to_bucket"] == word).any())
    last = start[start["month"] == months.max()]
    return RollRates(
        buckets=tuple(names),
        exits=exits,
        transitions=found.assign(balance_amount=found["cents"] / 100).drop(columns="cents"),
        n_last=len(last),
        last_amount=total(last["balance_amount"]),
    )


def _check_panel(panel: pd.DataFrame) -> None:
    """Raise ContractError with every rule that the panel breaks: a row that fits no cell would be lost in silence."""
    check_frames({"panel": (panel, ["facility_id", "month_end", "days_past_due", "balance_amount?"])})
    twice = panel.assign(month=panel["month_end"].dt.to_period("M")).duplicated(["facility_id", "month"]).to_numpy()
    balance = number_column(panel, "balance_amount", 0.0)
    bad = ~np.isfinite(balance) | (balance < 0)
    found = broken(panel, "facility_id and the month of month_end must name one row", twice, table="panel")
    found += broken(panel, "balance_amount must be an amount of 0 or more", bad, table="panel")
    if "status" in panel.columns:
        known = [status.value for status in FacilityStatus]
        odd = ~panel["status"].astype(str).isin(known).to_numpy()
        found += broken(panel, f"status must be one of {', '.join(known)}", odd, table="panel")
    if found:
        raise ContractError(found)


def bucket_names(ends: Sequence[int]) -> list[str]:
    """Return the names of buckets of days past due by their upper ends.

    Examples
    --------
    >>> bucket_names([0, 30, 60, 90])
    ['current', '1 to 30', '31 to 60', '61 to 90', 'over 90']
    """
    first = CURRENT if ends[0] == 0 else f"up to {ends[0]}"
    middle = [f"{low + 1} to {high}" for low, high in pairwise(ends)]
    return [first, *middle, f"over {ends[-1]}"]


def _exits() -> tuple[str, ...]:
    """Return what an account may come to within a month other than a bucket."""
    return (*(status.value for status in FacilityStatus if status is not FacilityStatus.ACTIVE), NOT_REPORTED)


def _column(by: str) -> str:
    if by not in ("count", "balance"):
        raise ValueError(f"by is {by!r}; it must be 'count' or 'balance'")
    return "n_facilities" if by == "count" else "balance_amount"


def _exact(values: pd.Series, by: str) -> np.ndarray:
    return in_cents(values) if by == "balance" else values.to_numpy(np.int64)
