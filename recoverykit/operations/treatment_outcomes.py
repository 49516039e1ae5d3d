"""Outcomes over a fixed horizon, from dates and cash flows, with units that were not followed so long kept apart.

A unit assigned last month cannot have paid for a year. Counting what it paid so far as its outcome, or counting only
those of the young units that already cured, both bend the comparison; here a unit is followed for the whole horizon, or
it is weighed for (event outcomes), or it is out and counted.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._rows import broken, check_choice, check_columns, check_rows, number_column, outcome_codes
from recoverykit.estimators.nonparametric import kaplan_meier
from recoverykit.operations._border import Rules, frame_faults
from recoverykit.operations._treatment_columns import check_numbers
from recoverykit.vocabulary import Outcome

Array = NDArray[np.float64]

_CENTS = 100
FOLLOW_UPS = ("followed", "ipcw")


def cash_within_horizon(
    units: pd.DataFrame,
    cash_flows: pd.DataFrame,
    *,
    horizon_days: int,
    reporting_date: str | pd.Timestamp,
    base_col: str | None = None,
    unit_col: str = "facility_id",
    start_col: str = "assigned_date",
    date_col: str = "cash_flow_date",
    amount_col: str = "amount",
) -> pd.DataFrame:
    """Add up what each unit paid within a horizon from its start.

    Parameters
    ----------
    units : DataFrame
        One row per unit that was assigned. Not changed.
    cash_flows : DataFrame
        Recoveries: unit, date and amount; keep the kinds that count beforehand. Flows of other units are left aside.
    horizon_days : int
        Days from the start within which cash counts: those dated after the start and not later than
        start + horizon_days. 1 or more.
    reporting_date : date-like
        Date up to which cash is known. A unit whose horizon ends later is not followed.
    base_col : str, optional
        What was due or exposed, > 0, of which the cash is a share.
    unit_col, start_col, date_col, amount_col : str
        Names of the columns.

    Returns
    -------
    DataFrame
        The units with is_followed, cash_amount (to the cent; NaN where not followed) and, with a base, cash_share.

    Raises
    ------
    ContractError, ValueError
        When columns are missing, a unit stands twice, dates or amounts are missing or none (all told at once), or the
        horizon is not positive.
    InsufficientDataError
        When there is no unit.

    Examples
    --------
    >>> units = pd.DataFrame({"facility_id": ["A", "B"], "assigned_date": pd.to_datetime(["2026-01-01", "2026-05-20"])})
    >>> flows = pd.DataFrame({"facility_id": ["A", "A"], "amount": [10.05, 20.0],
    ...                       "cash_flow_date": pd.to_datetime(["2026-01-31", "2026-02-01"])})
    >>> paid = cash_within_horizon(units, flows, horizon_days=30, reporting_date="2026-05-31")
    >>> paid[["is_followed", "cash_amount"]].values.tolist()
    [[True, 10.05], [False, nan]]

    A paid 10.05 within thirty days; of B only eleven days are known.
    """
    if horizon_days < 1:
        raise ValueError(f"horizon_days is {horizon_days!r}; it must be 1 or more")
    columns = [name for name in (unit_col, start_col, base_col) if name is not None]
    found = frame_faults("units", units, columns, _unit_rules(unit_col, start_col, base_col))
    if not cash_flows.empty:
        found += frame_faults(
            "cash_flows", cash_flows, [f"{unit_col}?", date_col, amount_col], _flow_rules(date_col, amount_col)
        )
    if found:
        raise ContractError(found)
    check_columns(units, columns, table="units")
    start = pd.to_datetime(units[start_col])
    end = start + pd.Timedelta(days=horizon_days)
    is_followed = (end <= pd.Timestamp(reporting_date)).to_numpy()
    paid = _paid(units[unit_col], start, end, cash_flows, (unit_col, date_col, amount_col))
    amounts = np.where(is_followed, paid / _CENTS, np.nan)
    result = units.assign(is_followed=is_followed, cash_amount=amounts)
    return result if base_col is None else result.assign(cash_share=amounts / number_column(units, base_col, 1.0))


def _unit_rules(unit_col: str, start_col: str, base_col: str | None) -> Rules:
    """Return what the values of the units must keep."""
    rules: Rules = {
        f"{unit_col} must not stand twice": ([unit_col], lambda units: units[unit_col].duplicated()),
        f"{start_col} must be a date": ([start_col], lambda units: _dates(units, start_col).isna()),
    }
    if base_col is None:
        return rules
    rule = f"{base_col} must be a number above 0"
    return {**rules, rule: ([base_col], lambda units: ~(number_column(units, base_col, 1.0) > 0))}


def _flow_rules(date_col: str, amount_col: str) -> Rules:
    """Return what the values of the cash flows must keep."""
    return {
        f"{date_col} must be a date": ([date_col], lambda flows: _dates(flows, date_col).isna()),
        f"{amount_col} must be a number in every row": (
            [amount_col],
            lambda flows: ~np.isfinite(number_column(flows, amount_col, 0.0)),
        ),
    }


def _dates(frame: pd.DataFrame, column: str) -> pd.Series:
    return pd.to_datetime(frame[column], errors="coerce")


def _paid(
    unit: pd.Series, start: pd.Series, end: pd.Series, flows: pd.DataFrame, names: tuple[str, str, str]
) -> NDArray[np.int64]:
    """Return the cash of each unit inside its horizon, in whole cents."""
    if flows.empty:
        return np.zeros(len(unit), dtype=np.int64)
    unit_col, date_col, amount_col = names
    amounts, dates = number_column(flows, amount_col, 0.0), pd.to_datetime(flows[date_col])
    place = pd.Index(unit).get_indexer(pd.Index(flows[unit_col]))
    known = place >= 0
    at, when = place[known], dates.to_numpy()[known]
    inside = (when > start.to_numpy()[at]) & (when <= end.to_numpy()[at])
    total = np.zeros(len(unit), dtype=np.int64)
    np.add.at(total, at[inside], np.round(amounts[known][inside] * _CENTS).astype(np.int64))
    return total


def event_within_horizon(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    outcome_col: str,
    outcome: str,
    horizon: float,
    follow_up: str = "followed",
    follow_up_col: str | None = None,
    arm_col: str | None = None,
    censored: str = Outcome.OPEN,
) -> pd.DataFrame:
    """Say of each unit whether it had an outcome within a horizon, and how units that were not followed count.

    Parameters
    ----------
    frame : DataFrame
        One row per unit. Not changed.
    duration_col : str
        Time from the start to the outcome or to censoring, at least 0.
    outcome_col : str
        Outcome of each unit; other outcomes than the one asked for end a unit without it.
    outcome : str
        The outcome in question, such as ``cured``.
    horizon : float
        Time within which it counts, in units of ``duration_col``, > 0.
    follow_up : {"followed", "ipcw"}
        "followed": units whose time from start to reporting date reaches the horizon, whatever became of them; needs
        ``follow_up_col``. Keeping young units only when they already had the outcome would count successes alone.
        "ipcw": all units whose state at the horizon is known, each weighed by 1 / G, G the probability of still being
        uncensored when its state became known, by Kaplan-Meier of the censoring, apart in each arm.
    follow_up_col : str, optional
        Time from start to reporting date, for "followed".
    arm_col : str, optional
        Arm, for "ipcw".
    censored : str
        The value of ``outcome_col`` that means censored.

    Returns
    -------
    DataFrame
        The units with is_followed, had_event (1, 0; NaN where not followed) and horizon_weight (1 for "followed"; NaN
        where not followed).

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When columns or values are missing, no unit reaches the horizon, or an option is not allowed.

    Notes
    -----
    Weights: Robins & Rotnitzky (1992). They hold where censoring does not depend on the outcome within an arm, as with
    a reporting date.
    """
    check_choice("follow_up", follow_up, FOLLOW_UPS)
    if not horizon > 0:
        raise ValueError(f"horizon is {horizon!r}; it must be above 0")
    if (follow_up == "followed") != (follow_up_col is not None):
        raise ValueError(
            "follow_up='followed' needs follow_up_col, the time from start to reporting date; 'ipcw' does not"
        )
    check_columns(frame, [duration_col, outcome_col, follow_up_col, arm_col])
    _, codes, faults = outcome_codes(frame, outcome_col, censored)
    is_closed = codes >= 0
    rows = check_rows(
        frame, by=(), is_event=is_closed, faults=faults, duration_col=duration_col, weights_col=None, entry_col=None
    )
    durations = rows.durations
    had = is_closed & (durations <= horizon) & (frame[outcome_col].astype(str) == str(outcome)).to_numpy()
    if follow_up_col is not None:
        is_known = check_numbers(frame, [follow_up_col])[follow_up_col] >= horizon
        lost = is_known & ~is_closed & (durations < horizon)
        found = broken(frame, f"{outcome_col} must be known where {follow_up_col} reaches the horizon", lost)
        if found:
            raise ContractError(found)
        weights = np.where(is_known, 1.0, np.nan)
    else:
        is_known = (durations >= horizon) | (is_closed & (durations <= horizon))
        weights = np.where(is_known, _censoring_weights(frame, durations, is_closed, horizon, arm_col), np.nan)
    if not is_known.any():
        raise InsufficientDataError(f"no unit was followed to {horizon:g}; take a shorter horizon")
    events = np.where(is_known, had.astype(float), np.nan)
    return frame.assign(is_followed=is_known, had_event=events, horizon_weight=weights)


def _censoring_weights(
    frame: pd.DataFrame, durations: Array, is_closed: NDArray[np.bool_], horizon: float, arm_col: str | None
) -> Array:
    """Return 1 / G just before the time at which each unit's state at the horizon became known."""
    weights = np.full(len(frame), np.nan)
    arms = np.zeros(len(frame), dtype=np.int64) if arm_col is None else pd.factorize(frame[arm_col].astype(str))[0]
    ends = np.minimum(durations, horizon)
    for arm in np.unique(arms):
        mine = arms == arm
        # Where outcomes and censoring fall on one time the outcome came first: on an axis of even places for outcomes
        # and odd ones for censoring, a unit that ended is no longer at risk of being censored then.
        axis = np.unique(durations[mine])
        places = 2 * np.searchsorted(axis, durations[mine]) + ~is_closed[mine]
        table = pd.DataFrame({"place": places, "is_censored": ~is_closed[mine]})
        curve = kaplan_meier(table, duration_col="place", event_col="is_censored")
        before = np.searchsorted(curve.times, 2 * np.searchsorted(axis, ends[mine], side="left"), side="left") - 1
        remaining = np.where(before >= 0, curve.values[np.maximum(before, 0)], 1.0)
        weights[mine] = 1 / np.maximum(remaining, np.finfo(float).tiny)
    return weights
