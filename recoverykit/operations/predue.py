"""Before an instalment falls due: who is reminded today, whether the account covers it, and whether reminding helps.

The protocol (30, 15 and 7 days before) is a schedule that a bank sets itself. Its effect is read from a random
assignment only: reminders that go to those who look weak say nothing about reminders. How accounts move between
buckets of days past due stands beside it, by number and by balance.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._rows import broken
from recoverykit.operations._arrears import INSTALMENT_COLUMNS
from recoverykit.operations._border import check_frames, day_of
from recoverykit.operations._cents import cents as in_cents
from recoverykit.operations._delinquency_panel import delinquency_panel
from recoverykit.operations._predue_effect import PreDueEffect, pre_due_effect, pre_due_sample_size
from recoverykit.operations._predue_schedule import PreDueSchedule, PreDueStep, read_pre_due_schedule
from recoverykit.operations._predue_worklist import (
    COLUMNS,
    DONE,
    HELD_BACK,
    LATER,
    LISTED,
    NO_STEP,
    OUTLOOKS,
    attempts,
    coming,
    open_steps,
    with_conditions,
)
from recoverykit.operations._roll_rates import RollRates, roll_rates

__all__ = [
    "PreDueEffect",
    "PreDueSchedule",
    "PreDueStep",
    "PreDueWorklist",
    "RollRates",
    "delinquency_panel",
    "pre_due_effect",
    "pre_due_sample_size",
    "pre_due_worklist",
    "read_pre_due_schedule",
    "roll_rates",
    "verify_cover",
]


@dataclass(frozen=True, slots=True, eq=False)
class PreDueWorklist:
    """Who is due for which step of the protocol on a day.

    Attributes
    ----------
    as_of : pandas.Timestamp
        The day.
    rows : DataFrame
        One row per instalment with an open step: facility_id, due_date, due_amount, step, channel, message, step_date,
        status (``due`` on the step's day, ``overdue`` after it), n_attempts (so far, none of which reached the debtor),
        cover, is_large. It names facilities and belongs into a file, not onto a page.
    outlook : DataFrame
        outlook, n_instalments: what becomes of every unpaid instalment that falls due after the day. It adds up.
    """

    as_of: pd.Timestamp
    rows: pd.DataFrame
    outlook: pd.DataFrame

    @property
    def n_due(self) -> int:
        """Steps that fall on the day itself."""
        return int((self.rows["status"] == "due").sum())

    @property
    def n_overdue(self) -> int:
        """Steps of earlier days that have reached nobody yet."""
        return int((self.rows["status"] == "overdue").sum())

    def counts(self) -> pd.DataFrame:
        """Return step, channel, n_due and n_overdue, which name nobody, the earliest step before the due date first."""
        days = (self.rows["due_date"] - self.rows["step_date"]).groupby(self.rows["step"]).median()
        table = self.rows.groupby(["step", "channel", "status"]).size().unstack("status", fill_value=0)
        table = table.loc[table.index.to_frame()["step"].map(days).sort_values(ascending=False, kind="stable").index]
        table = table.reindex(columns=["due", "overdue"], fill_value=0).rename_axis(columns=None)
        return table.rename(columns={"due": "n_due", "overdue": "n_overdue"}).reset_index()

    def cover_counts(self) -> pd.DataFrame:
        """Return cover and n_instalments of the list."""
        found = self.rows["cover"].value_counts()
        order = ["covered", "not covered", "unknown"]
        return pd.DataFrame({"cover": order, "n_instalments": [int(found.get(name, 0)) for name in order]})

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return {
            "as_of": f"{self.as_of:%Y-%m-%d}",
            "n_due": self.n_due,
            "n_overdue": self.n_overdue,
            "outlook": dict(zip(self.outlook["outlook"], map(int, self.outlook["n_instalments"]), strict=True)),
        }


def pre_due_worklist(
    instalments: pd.DataFrame,
    actions: pd.DataFrame,
    *,
    as_of: str | pd.Timestamp,
    schedule: PreDueSchedule | None = None,
    balances: pd.DataFrame | None = None,
    cover: pd.DataFrame | None = None,
    held_back: Collection[str] = (),
) -> PreDueWorklist:
    """List the instalments whose step of the protocol is open on a day.

    A step that reached the debtor is not listed again; one that did not (no answer, wrong party, invalid number,
    undelivered) stays open until the next step's day. Nothing dated after the day is read.

    Parameters
    ----------
    instalments, actions : DataFrame
        Contract tables. Instalments due after the day belong to the first.
    as_of : date-like
        The day.
    schedule : PreDueSchedule, optional
        The protocol; that of the house when absent.
    balances : DataFrame, optional
        facility_id and balance_amount; needed where the schedule tells large loans by their balance. A facility that
        is not in it is not large.
    cover : DataFrame, optional
        From ``verify_cover``; without it the cover of every instalment is unknown.
    held_back : collection of str
        Facilities that the protocol must leave alone, such as the control arm of a running experiment.

    Returns
    -------
    PreDueWorklist

    Raises
    ------
    ContractError
        When a table lacks a column or has a key twice.
    InsufficientDataError
        When the schedule needs balances and there are none.
    """
    day = day_of(as_of, "as_of")
    rules = schedule or PreDueSchedule.house()
    if rules.needs_balance() and balances is None:
        raise InsufficientDataError(
            "the schedule tells large loans by their balance; give balances, or set large_by to due_amount"
        )
    needed: dict[str, Any] = {
        "instalments": (instalments, INSTALMENT_COLUMNS),
        "actions": (actions, ["facility_id", "action_time", "kind", "result"]),
    }
    needed |= {} if balances is None else {"balances": (balances, ["facility_id", "balance_amount"])}
    needed |= {} if cover is None else {"cover": (cover, ["facility_id", "due_date", "cover"])}
    check_frames(needed)
    frame = with_conditions(coming(instalments, day), instalments, day, rules, cover, balances)
    frame = open_steps(frame, day, rules)
    names = np.array([*(step.name for step in rules.steps), ""], dtype=object)
    channels = np.array([*(step.channel.value for step in rules.steps), ""], dtype=object)
    messages = np.array([*(step.message for step in rules.steps), ""], dtype=object)
    place = frame["place"].to_numpy()
    frame = frame.assign(step=names[place], channel=channels[place], message=messages[place])
    frame = attempts(frame, actions, day)
    frame["outlook"] = np.select(
        [frame["facility_id"].isin(set(held_back)), ~frame["has_begun"], place < 0, frame["is_done"]],
        [HELD_BACK, LATER, NO_STEP, DONE],
        LISTED,
    )
    frame["status"] = np.where(frame["step_date"] == day, "due", "overdue")
    rows = frame.loc[frame["outlook"] == LISTED, list(COLUMNS)]
    found = frame["outlook"].value_counts()
    outlook = pd.DataFrame({"outlook": OUTLOOKS, "n_instalments": [int(found.get(name, 0)) for name in OUTLOOKS]})
    return PreDueWorklist(day, rows.sort_values(["due_date", "facility_id"], ignore_index=True), outlook)


def verify_cover(
    instalments: pd.DataFrame,
    turnover: pd.DataFrame | None,
    *,
    as_of: str | pd.Timestamp,
    months: int = 3,
    minimum_ratio: float = 1.0,
) -> pd.DataFrame:
    """Verify from account turnover whether an instalment that falls due after a day is covered.

    An instalment is covered when the mean monthly inflow of the last ``months`` whole months is at least
    ``minimum_ratio`` times the instalment. Where the bank does not hold the account, or a month is missing, it is
    unknown: nothing is assumed either way.

    Parameters
    ----------
    instalments : DataFrame
        Contract table.
    turnover : DataFrame or None
        Contract table: facility_id, month_end, inflow_amount >= 0. Without it the cover of every instalment is unknown.
    as_of : date-like
        The day; months that end after it are not read.
    months : int
        Whole months that count, at least 1.
    minimum_ratio : float
        Inflow per unit of instalment that covers it, > 0.

    Returns
    -------
    DataFrame
        One row per unpaid instalment due after the day: facility_id, due_date, due_amount, n_months (with turnover),
        mean_inflow_amount (NaN where unknown), cover (``covered``, ``not covered``, ``unknown``).

    Raises
    ------
    ContractError
        When a table lacks a column, or a facility has two rows of turnover in a month.
    ValueError
        When an option lies outside its range.

    Examples
    --------
    >>> due = pd.DataFrame({"facility_id": ["A"], "due_date": pd.to_datetime(["2026-10-15"]), "due_amount": [500.0],
    ...                     "paid_date": pd.to_datetime([None]), "paid_amount": [0.0]})
    >>> ends = pd.to_datetime(["2026-07-31", "2026-08-31", "2026-09-30"])
    >>> inflow = pd.DataFrame({"facility_id": "A", "month_end": ends, "inflow_amount": [700.0, 300.0, 500.0]})
    >>> verify_cover(due, inflow, as_of="2026-09-30")["cover"].item()
    'covered'

    (700 + 300 + 500) / 3 = 500, just the instalment.
    """
    wrong = [] if months >= 1 else [f"months is {months}; it must be at least 1"]
    wrong += [] if minimum_ratio > 0 else [f"minimum_ratio is {minimum_ratio}; it must be above 0"]
    if wrong:
        raise ValueError("; ".join(wrong))
    columns = ["facility_id", "month_end", "inflow_amount"]
    if turnover is None:
        nothing = {name: pd.Series(dtype=float) for name in columns}
        turnover = pd.DataFrame(nothing).assign(month_end=pd.to_datetime(pd.Series(dtype=object)))
    check_frames({"instalments": (instalments, INSTALMENT_COLUMNS), "turnover": (turnover, columns)})
    day = day_of(as_of, "as_of")
    last = (day + pd.Timedelta(days=1)).to_period("M") - 1  # the last month that is whole by the end of the day
    period = turnover["month_end"].dt.to_period("M")
    twice = turnover.assign(month=period).duplicated(["facility_id", "month"]).to_numpy()
    found = broken(turnover, "facility_id and the month of month_end must name one row", twice, table="turnover")
    if found:
        raise ContractError(found)
    seen = turnover[(period <= last) & (period > last - months)]
    inflow = seen.assign(cents=in_cents(seen["inflow_amount"])).groupby("facility_id")["cents"].agg(["sum", "size"])
    frame = coming(instalments, day)
    sums = frame["facility_id"].map(inflow["sum"])
    n_months = frame["facility_id"].map(inflow["size"]).fillna(0).astype(np.int64)
    known = (n_months == months).to_numpy()
    # A millionth of a cent of slack: 1.1 * 3 is a little above 3.3, and what just covers must cover.
    least = np.ceil(minimum_ratio * months * in_cents(frame["due_amount"]) - 1e-6)
    enough = (sums >= least).to_numpy()
    return frame.assign(
        n_months=n_months,
        mean_inflow_amount=(sums / months / 100).where(known),
        cover=np.select([~known, enough], ["unknown", "covered"], "not covered"),
    )
