"""What changed since the day before: two states of the same tables, and every case's way from one to the other."""

import numpy as np
import pandas as pd

from recoverykit.operations._arrears import unpaid_amount
from recoverykit.operations._cents import cents as in_cents
from recoverykit.operations._warroom_cases import DONE, Morning
from recoverykit.vocabulary import Outcome

STAYED, ENTERED, CURED, PAID, CLOSED = "stayed", "entered", "cured", "paid", "closed"
#: Worse buckets begin after these days past due.
BUCKET_ENDS = (30, 60, 90)


def movements(
    before: Morning,
    now: Morning,
    instalments: pd.DataFrame,
    closures: pd.DataFrame | None,
    defaults: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return every case of either day with what became of it.

    Returns
    -------
    DataFrame
        One row per facility, sorted: facility_id, change (``stayed``, ``entered``, ``cured``: nothing is past due any
        more and the plan goes on, ``paid``: nothing is left of the plan, ``closed``), overdue_before, overdue_now,
        is_worse (in a worse bucket of days past due).
    """
    old, new = (state.cases.set_index("facility_id") for state in (before, now))
    names = old.index.union(new.index)
    left = set(unpaid_facilities(instalments, now.as_of))
    gone = set() if closures is None else set(closures.loc[closures["closed_date"] <= now.as_of, "facility_id"])
    ends = ends_of_default(defaults, before.as_of, now.as_of)
    was, is_now = names.isin(old.index), names.isin(new.index)
    ended = names.isin(ends.index)
    change = np.select(
        [was & is_now, is_now, ended, names.isin(gone), names.isin(left)],
        [STAYED, ENTERED, ends.reindex(names).fillna(PAID).to_numpy(object), CLOSED, CURED],
        PAID,
    )
    buckets = [
        np.searchsorted(BUCKET_ENDS, state["days_past_due"].reindex(names, fill_value=0)) for state in (old, new)
    ]
    return pd.DataFrame(
        {
            "facility_id": names.to_numpy(object),
            "change": change,
            "overdue_before": old["overdue_amount"].reindex(names, fill_value=0.0).to_numpy(),
            "overdue_now": new["overdue_amount"].reindex(names, fill_value=0.0).to_numpy(),
            "is_worse": (change == STAYED) & (buckets[1] > buckets[0]),
        }
    )


def ends_of_default(defaults: pd.DataFrame | None, before: pd.Timestamp, now: pd.Timestamp) -> pd.Series:
    """Return how the defaults that ended between two days ended: cured, paid or closed, by facility."""
    if defaults is None:
        return pd.Series(dtype=object)
    ended = defaults[(defaults["outcome_date"] > before) & (defaults["outcome_date"] <= now)]
    words = {Outcome.CURED.value: CURED, Outcome.REPAID.value: PAID}
    last = ended.sort_values("outcome_date").drop_duplicates("facility_id", keep="last").set_index("facility_id")
    return last["outcome"].astype(str).map(words).fillna(CLOSED).astype(object)


def unpaid_facilities(instalments: pd.DataFrame, as_of: pd.Timestamp) -> pd.Series:
    """Return the facilities of which an instalment, due or still to come, is unpaid."""
    return instalments.loc[unpaid_amount(instalments, as_of) > 0, "facility_id"]


def flow(moves: pd.DataFrame) -> pd.DataFrame:
    """Return the bridge from one day to the next, in cases and in overdue amounts; it foots in both.

    Returns
    -------
    DataFrame
        what, n_cases, overdue_amount: yesterday, entered, cured, paid, closed (both with a minus sign), change of those
        that stayed (no cases, their amounts only), today.
    """
    cents = {name: in_cents(moves[f"overdue_{name}"]) for name in ("before", "now")}
    change = moves["change"].to_numpy()

    def row(what: str, picked: np.ndarray, sign: int, amount: np.ndarray) -> dict[str, object]:
        return {
            "what": what,
            "n_cases": sign * int(picked.sum()) if sign else 0,
            "overdue_amount": int((sign or 1) * amount[picked].sum()) / 100,
        }

    rows = [
        row("yesterday", change != ENTERED, 1, cents["before"]),
        row(ENTERED, change == ENTERED, 1, cents["now"]),
        *(row(what, change == what, -1, cents["before"]) for what in (CURED, PAID, CLOSED)),
        row("change of those that stayed", change == STAYED, 0, cents["now"] - cents["before"]),
        row("today", np.isin(change, (STAYED, ENTERED)), 1, cents["now"]),
    ]
    return pd.DataFrame(rows)


def newly_escalated(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Return the open triggers of today that were not open yesterday, by facility and rule."""
    keys = ["facility_id", "rule"]
    open_before = before.loc[before["status"] != DONE, keys]
    seen = now.merge(open_before.drop_duplicates(), on=keys, how="left", indicator="place")
    is_new = (seen["place"] == "left_only").to_numpy() & (now["status"] != DONE).to_numpy()
    return now[is_new].reset_index(drop=True)
