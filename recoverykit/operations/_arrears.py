"""What is past due on a day, told from instalments: the one place that knows when an instalment counts as paid.

An instalment is paid on the day on which the whole of it had come in. One that fell due is past due from the day after.
With the clock set back, a payment dated later has not been made yet; what came in part before the last payment is not
on record and counts as unpaid until then.
"""

import numpy as np
import pandas as pd

from recoverykit.operations._cents import cents as in_cents

INSTALMENT_COLUMNS = ("facility_id", "due_date", "due_amount", "paid_amount", "paid_date?")


def paid_in_full_on(instalments: pd.DataFrame) -> pd.Series:
    """Return the day on which each instalment was paid in full; NaT where it is not."""
    whole = in_cents(instalments["paid_amount"]) >= in_cents(instalments["due_amount"])
    return instalments["paid_date"].where(whole)


def unpaid_amount(instalments: pd.DataFrame, as_of: pd.Timestamp) -> pd.Series:
    """Return what is still unpaid of each instalment at the end of a day, never below zero."""
    paid = instalments["paid_amount"].where(instalments["paid_date"] <= as_of, 0.0)
    rest = in_cents(instalments["due_amount"]) - in_cents(paid)
    return pd.Series(np.maximum(rest, 0) / 100, index=instalments.index)


def arrears(instalments: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return the facilities with an instalment past due on a day.

    Returns
    -------
    DataFrame
        One row per facility, sorted: facility_id, oldest_due_date, days_past_due (from 1), n_past_due (instalments),
        overdue_amount, and scheduled_amount (unpaid instalments, those not yet due among them).
    """
    frame = instalments.assign(rest=unpaid_amount(instalments, as_of))
    frame = frame[frame["rest"] > 0].assign(cents=lambda f: in_cents(f["rest"]))
    late = frame[frame["due_date"] < as_of]
    found = late.groupby("facility_id", sort=True).agg(
        oldest_due_date=("due_date", "min"), n_past_due=("due_date", "size"), overdue=("cents", "sum")
    )
    scheduled = frame.groupby("facility_id")["cents"].sum()
    return pd.DataFrame(
        {
            "facility_id": found.index.to_numpy(object),
            "oldest_due_date": found["oldest_due_date"].to_numpy("datetime64[ns]"),
            "days_past_due": (as_of - found["oldest_due_date"]).dt.days.to_numpy(np.int64),
            "n_past_due": found["n_past_due"].to_numpy(np.int64),
            "overdue_amount": found["overdue"].to_numpy() / 100,
            "scheduled_amount": scheduled.reindex(found.index).to_numpy() / 100,
        }
    )
