"""From the unit's log to units with an outcome: what the designs compare, one row each.

Instalments after an assignment, instalments after a message, and the time from default to the first repayment with the
day of a treatment. Nothing dated after the reporting date is read as an outcome: what is not known yet is not followed.
"""

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._rows import broken, check_columns
from recoverykit.vocabulary import ActionKind, Assignment, CashFlowKind, Outcome

#: The outcome of a unit whose first repayment came before it was closed.
REPAYMENT = "repayment"
#: The outcome of a unit that was closed without any.
CLOSED = "closed"
#: Of the kinds that are known; whatever else the log says is less sound still.
_LEAST_SOUND_FIRST = (Assignment.DISCRETION, Assignment.RULE, Assignment.RANDOM)
_DAY = pd.Timedelta(days=1)
#: A payment counts as full when it lacks less than half a cent.
_HALF_CENT = 0.005


def late_instalments(
    assignments: pd.DataFrame,
    instalments: pd.DataFrame,
    *,
    experiment: str,
    from_days: int,
    to_days: int,
    reporting_date: str | pd.Timestamp,
    late_days: int = 30,
    facilities: pd.DataFrame | None = None,
    by_facility: bool = False,
) -> pd.DataFrame:
    """Return the instalments that fell due after an assignment, and whether they were late.

    Parameters
    ----------
    assignments, instalments : DataFrame
        Contract tables.
    experiment : str
        Whose assignments.
    from_days, to_days : int
        Instalments due from so many to so many days after the assignment count, both included; fixed beforehand.
    reporting_date : date-like
        An instalment whose last day in time lies later is not followed.
    late_days : int
        An instalment is late when it is not paid in full so many days after its due date.
    facilities : DataFrame, optional
        Further columns by facility_id, such as obligor_id and product.
    by_facility : bool
        Whether to return one row per facility with late_rate and n_instalments, of followed instalments only.

    Returns
    -------
    DataFrame
        One row per instalment, with experiment, arm, assignment, score, is_followed and is_late (1, 0; NaN where not
        followed); or one row per facility.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When columns are missing, no instalment falls into the window, or the window is empty.

    Examples
    --------
    >>> assigned = pd.DataFrame({"experiment": ["sms"], "facility_id": ["A"], "assigned_date": ["2026-01-31"],
    ...                          "arm": ["control"], "assignment": ["random"], "score": [None]})
    >>> due = pd.DataFrame({"facility_id": ["A", "A"], "due_date": ["2026-02-15", "2026-03-15"], "due_amount": 100.0,
    ...                     "paid_date": ["2026-02-20", None], "paid_amount": [100.0, 0.0]})
    >>> late = late_instalments(assigned, due, experiment="sms", from_days=1, to_days=60, reporting_date="2026-04-30")
    >>> late["is_late"].tolist()
    [0.0, 1.0]
    """
    if not 0 <= from_days <= to_days or late_days < 0:
        raise ValueError(f"from_days {from_days}, to_days {to_days}, late_days {late_days}: give 0 <= from <= to")
    check_columns(assignments, ["experiment", "facility_id", "assigned_date", "arm", "assignment", "score"])
    check_columns(instalments, ["facility_id", "due_date", "due_amount", "paid_date", "paid_amount"])
    own = assignments[assignments["experiment"] == experiment]
    if own.empty:
        there = ", ".join(sorted(assignments["experiment"].astype(str).unique()))
        raise InsufficientDataError(f"there is no experiment {experiment!r} among the assignments; there are {there}")
    rows = instalments.merge(own, on="facility_id", how="inner")
    apart = (pd.to_datetime(rows["due_date"]) - pd.to_datetime(rows["assigned_date"])).dt.days
    rows = rows[(apart >= from_days) & (apart <= to_days)].reset_index(drop=True)
    if rows.empty:
        raise InsufficientDataError(f"no instalment of {experiment!r} fell due {from_days} to {to_days} days after it")
    last = pd.to_datetime(rows["due_date"]) + late_days * _DAY
    in_time = (rows["paid_amount"] > rows["due_amount"] - _HALF_CENT) & (pd.to_datetime(rows["paid_date"]) <= last)
    followed = last <= pd.Timestamp(reporting_date)
    rows = rows.assign(is_followed=followed, is_late=np.where(followed, 1.0 - in_time, np.nan))
    if by_facility:
        rows = _by_facility(rows, own)
    return rows if facilities is None else _with_columns(rows, facilities)


def _by_facility(rows: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    sums = rows[rows["is_followed"]].groupby("facility_id")["is_late"].agg(late_rate="mean", n_instalments="size")
    return own.merge(sums.reset_index(), on="facility_id", how="inner").reset_index(drop=True)


def _with_columns(rows: pd.DataFrame, facilities: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the columns of their facility; a name that rows have stays theirs."""
    check_columns(facilities, ["facility_id"], table="facilities")
    twice = broken(
        facilities,
        "facility_id must not stand twice",
        facilities["facility_id"].duplicated().to_numpy(),
        table="facilities",
    )
    if twice:
        raise ContractError(twice)
    new = ["facility_id", *(column for column in facilities.columns if column not in rows.columns)]
    return rows.merge(facilities[new], on="facility_id", how="left")


def message_outcomes(
    actions: pd.DataFrame, instalments: pd.DataFrame, *, within_days: int, reporting_date: str | pd.Timestamp
) -> pd.DataFrame:
    """Say of each message with a variant whether the instalment that it was about was paid in time.

    Parameters
    ----------
    actions, instalments : DataFrame
        Contract tables. A message is about the last instalment that fell due before the day on which it was sent.
    within_days : int
        Days after the message within which a payment in full counts, 1 or more.
    reporting_date : date-like
        A message whose last day lies later is not followed, and left out of ``is_paid``.

    Returns
    -------
    DataFrame
        One row per message: facility_id, message_date, message_variant, assignment, is_paid_before, is_followed,
        is_paid (1, 0; NaN where not followed). A message before the first instalment is not followed; nor is one that
        came after its instalment was paid in full (is_paid_before), for it brought nothing in. A payment on the day of
        the message counts as its success, since the hour is not known.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When columns are missing, no message has a variant, or ``within_days`` is below 1.
    """
    if within_days < 1:
        raise ValueError(f"within_days is {within_days!r}; it must be 1 or more")
    check_columns(actions, ["facility_id", "action_time", "message_variant", "assignment"])
    check_columns(instalments, ["facility_id", "due_date", "due_amount", "paid_date", "paid_amount"])
    sent = actions[actions["message_variant"].notna()]
    if sent.empty:
        raise InsufficientDataError("no action has a message_variant, so no wordings can be compared")
    sent = sent.assign(message_date=pd.to_datetime(sent["action_time"]).dt.normalize())
    keep = ["facility_id", "message_date", "message_variant", "assignment"]
    due = instalments.assign(due_date=pd.to_datetime(instalments["due_date"])).sort_values("due_date", kind="stable")
    rows = pd.merge_asof(
        sent[keep].sort_values("message_date", kind="stable"),
        due,
        left_on="message_date",
        right_on="due_date",
        by="facility_id",
        allow_exact_matches=False,
    )
    last, paid_date = rows["message_date"] + within_days * _DAY, pd.to_datetime(rows["paid_date"])
    in_full = rows["paid_amount"] > rows["due_amount"] - _HALF_CENT
    before = in_full & (paid_date < rows["message_date"])
    is_followed = (last <= pd.Timestamp(reporting_date)) & rows["due_date"].notna() & ~before
    is_paid = np.where(is_followed, (in_full & (paid_date <= last)).astype(float), np.nan)
    return rows[keep].assign(is_paid_before=before, is_followed=is_followed, is_paid=is_paid)


def first_repayments(
    episodes: pd.DataFrame,
    cash_flows: pd.DataFrame,
    actions: pd.DataFrame,
    *,
    reporting_date: str | pd.Timestamp,
    kind: str = ActionKind.FIELD_VISIT,
    since: str | pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Return the days from default to the first repayment, and to a treatment before it.

    Parameters
    ----------
    episodes, cash_flows, actions : DataFrame
        Tables of the book; of a facility with several episodes the last one is followed.
    reporting_date : date-like
        Units without a repayment and still open are censored there.
    kind : str
        The treatment: the first action of this kind after the default.
    since : date-like, optional
        Defaults from this date on; not given, from the first telephone call of the log, before which treatments were
        not recorded.

    Returns
    -------
    DataFrame
        Columns of the episodes with days (0 or more), follow_up_days (to the reporting date), first_outcome
        (``repayment``, ``closed`` or ``open``), treated_day (missing where not treated before the end) and assignment:
        the least sound way in which the log says that an action of this kind was decided on by the reporting date, for
        units without one too; missing where it does not say so of all.

    Raises
    ------
    ContractError, InsufficientDataError
        When columns are missing, no unit or no treatment is left, or the log has no call and ``since`` is not given.
    """
    check_columns(episodes, ["facility_id", "default_date", "outcome_date"])
    check_columns(cash_flows, ["facility_id", "cash_flow_date", "kind"])
    check_columns(actions, ["facility_id", "action_time", "kind", "assignment"])
    times, date = pd.to_datetime(actions["action_time"]), pd.Timestamp(reporting_date)
    start = times[actions["kind"] == ActionKind.CALL].min() if since is None else pd.Timestamp(since)
    if pd.isna(start):
        raise InsufficientDataError("the log has no telephone call from which on treatments are recorded; give since")
    begun = pd.to_datetime(episodes["default_date"])
    recent = episodes[(begun >= start) & (begun <= date)]
    units = recent.sort_values("default_date", kind="stable").drop_duplicates("facility_id", keep="last")
    units = units.sort_values("facility_id", ignore_index=True)
    done = actions.assign(date=times.dt.normalize())[(actions["kind"] == kind) & (times.dt.normalize() <= date)]
    if units.empty or done.empty:
        raise InsufficientDataError(
            f"{len(units)} defaults since {start:%Y-%m-%d} and {len(done)} actions of kind {kind} up to {date:%Y-%m-%d}"
        )
    paid = cash_flows[cash_flows["kind"] == CashFlowKind.REPAYMENT].rename(columns={"cash_flow_date": "date"})
    first_paid = _first_after(units, paid)
    first_done = _first_after(units, done, inclusive=True)
    closed = pd.to_datetime(units["outcome_date"])
    end = pd.concat([first_paid, closed], axis=1).min(axis=1)
    end = end.where(end <= date).fillna(date)
    is_paid = first_paid.le(end).to_numpy()
    outcome = np.where(is_paid, REPAYMENT, np.where(closed.le(end), CLOSED, Outcome.OPEN.value))
    begun = pd.to_datetime(units["default_date"])
    days = (end - begun).dt.days.astype(float)
    treated = (first_done - begun).dt.days.astype(float)
    return units.assign(
        days=days,
        follow_up_days=(date - begun).dt.days.astype(float),
        first_outcome=outcome,
        treated_day=treated.where(treated < days),
        assignment=_least_sound(done["assignment"]),
    )


def _least_sound(assignment: pd.Series) -> str | None:
    """Return how the least sound of the actions was decided on; None where that of any is missing.

    One action that staff chose is enough to make those treated differ from the others, however many lots were drawn.
    """
    if assignment.isna().any():
        return None
    kinds = assignment.astype(str)
    order = {kind.value: place for place, kind in enumerate(_LEAST_SOUND_FIRST)}
    return min(sorted(set(kinds)), key=lambda kind: order.get(kind, -1))


def _first_after(units: pd.DataFrame, dated: pd.DataFrame, *, inclusive: bool = False) -> pd.Series:
    """Return the first date of each unit's rows after its default."""
    rows = units[["facility_id", "default_date"]].merge(dated[["facility_id", "date"]], on="facility_id")
    begun, date = pd.to_datetime(rows["default_date"]), pd.to_datetime(rows["date"])
    later = rows[date >= begun] if inclusive else rows[date > begun]
    first = later.groupby("facility_id")["date"].min()
    return pd.to_datetime(units["facility_id"].map(first))
