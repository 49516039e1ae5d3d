"""Which step of the protocol is open for which instalment on a day."""

import numpy as np
import pandas as pd

from recoverykit.operations._arrears import arrears, unpaid_amount
from recoverykit.operations._predue_schedule import PreDueSchedule
from recoverykit.vocabulary import ActionResult

#: After these results the debtor has not been told, and the step stays open.
NOT_REACHED = (
    ActionResult.NO_ANSWER,
    ActionResult.WRONG_PARTY,
    ActionResult.INVALID_NUMBER,
    ActionResult.UNDELIVERED,
)
LISTED, DONE, NO_STEP, LATER, HELD_BACK = (
    "listed",
    "step already done",
    "no step's condition holds",
    "first step comes later",
    "held back, as a control",
)
OUTLOOKS = (LISTED, DONE, NO_STEP, LATER, HELD_BACK)
COLUMNS = (
    "facility_id", "due_date", "due_amount", "step", "channel", "message", "step_date", "status", "n_attempts",
    "cover", "is_large",
)  # fmt: skip


def coming(instalments: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return the instalments that fall due after a day and are not paid in full by then, in order."""
    is_open = (instalments["due_date"] > as_of) & (unpaid_amount(instalments, as_of) > 0)
    columns = ["facility_id", "due_date", "due_amount"]
    return instalments.loc[is_open, columns].sort_values(["facility_id", "due_date"], ignore_index=True)


def with_conditions(
    frame: pd.DataFrame,
    instalments: pd.DataFrame,
    as_of: pd.Timestamp,
    schedule: PreDueSchedule,
    cover: pd.DataFrame | None,
    balances: pd.DataFrame | None,
) -> pd.DataFrame:
    """Add what the conditions of the schedule ask: is_large, cover and in_arrears."""
    if schedule.large_by == "due_amount" or balances is None:
        amount = frame["due_amount"] if schedule.large_by == "due_amount" else pd.Series(np.nan, index=frame.index)
    else:
        amount = frame["facility_id"].map(balances.set_index("facility_id")["balance_amount"])
    known = pd.Series("unknown", index=frame.index, dtype=object)
    if cover is not None:
        told = frame[["facility_id", "due_date"]].merge(cover, on=["facility_id", "due_date"], how="left")
        known = pd.Series(told["cover"].to_numpy(object), index=frame.index).fillna("unknown")
    late = set(arrears(instalments, as_of)["facility_id"])
    return frame.assign(
        is_large=(amount >= schedule.large_from_amount).to_numpy(bool),
        cover=known,
        in_arrears=frame["facility_id"].isin(late),
    )


def open_steps(frame: pd.DataFrame, as_of: pd.Timestamp, schedule: PreDueSchedule) -> pd.DataFrame:
    """Add the open step of each instalment: its place in the schedule, -1 for none, and whether its first day is past.

    The open day is the latest of the protocol's days that has come; among its steps the first whose condition holds.
    """
    days = np.array([step.days_before_due for step in schedule.steps])
    dates = {
        d: schedule.calendar.on_or_before(frame["due_date"] - pd.Timedelta(days=int(d))) for d in np.unique(days)[::-1]
    }
    day = np.full(len(frame), 0)
    for d, date in dates.items():  # from the earliest day to the latest, so that the last one that has come stays
        day = np.where((date <= as_of).to_numpy(), d, day)
    place = np.full(len(frame), -1)
    for order in range(len(schedule.steps) - 1, -1, -1):
        step = schedule.steps[order]
        holds = (day == step.days_before_due) & _holds(frame, step.condition)
        place = np.where(holds, order, place)
    step_date = np.full(len(frame), np.datetime64("NaT"), dtype="datetime64[ns]")
    for d, date in dates.items():
        step_date = np.where(day == d, date.to_numpy("datetime64[ns]"), step_date)
    return frame.assign(place=place, step_date=step_date, has_begun=day > 0)


def attempts(frame: pd.DataFrame, actions: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Add n_attempts, the actions of the step's channel since the step's day, and is_done, whether one reached.

    One action serves every instalment of the facility whose step is open through this channel on that day.
    """
    log = actions.loc[
        actions["action_time"] < as_of + pd.Timedelta(days=1), ["facility_id", "action_time", "kind", "result"]
    ]
    pairs = frame.reset_index(names="row")[["row", "facility_id", "step_date", "channel"]].merge(
        log, left_on=["facility_id", "channel"], right_on=["facility_id", "kind"]
    )
    pairs = pairs[pairs["action_time"] >= pairs["step_date"]]
    reached = ~pairs["result"].isin(NOT_REACHED)
    n_attempts = pairs.groupby("row").size().reindex(frame.index, fill_value=0)
    is_done = reached.groupby(pairs["row"]).any().reindex(frame.index, fill_value=False)
    return frame.assign(n_attempts=n_attempts.astype(np.int64), is_done=is_done.astype(bool))


def _holds(frame: pd.DataFrame, condition: str) -> np.ndarray:
    large, cover, late = frame["is_large"], frame["cover"], frame["in_arrears"]
    answers = {
        "always": pd.Series(True, index=frame.index),
        "large": large,
        "not_large": ~large,
        "covered": cover == "covered",
        "not_covered": cover == "not covered",
        "not_covered_or_unknown": cover != "covered",
        "in_arrears": late,
        "not_in_arrears": ~late,
    }
    return answers[condition].to_numpy(bool)
