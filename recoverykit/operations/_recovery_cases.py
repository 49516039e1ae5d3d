"""Cases of the recovery unit at equal age: owed at the start, and come in since. Public through ``scorecards``.

A unit with young cases looks idle and one with old cases looks able. Cases are therefore compared at the same number of
months since they were taken on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.estimators._rows import check_columns
from recoverykit.operations._cents import cents
from recoverykit.operations._log_border import months_between, read_log
from recoverykit.vocabulary import RECOVERY_KINDS, Outcome

_KEPT = (
    "episode_id",
    "facility_id",
    "unit",
    "start_date",
    "months_observed",
    "owed_amount",
    "recovered_amount",
    "is_old_enough",
    "has_met_target",
    "has_returned",
)
_NO_UNIT = "no unit acted on the case between default and outcome"
_NOTHING_OWED = "everything was paid before a unit acted"


@dataclass(frozen=True, slots=True, eq=False)
class RecoveryCases:
    """The cases of all units, with what came in by month.

    Attributes
    ----------
    cases : DataFrame
        One row per default episode that a unit took on: episode_id, facility_id, unit, start_date, months_observed
        (completed months from start to reporting date), owed_amount (at the start), recovered_amount (cash in the first
        ``horizon_months``), is_old_enough, has_met_target (True, False; missing where the case is too young),
        has_returned (cured or repaid within the horizon; missing likewise), and the columns asked for.
    by_month : DataFrame
        unit, month (1 ... horizon), n_cases, owed_amount of the cases observed for the whole month, recovered_amount
        in it, and recovery_rate: the sum of the monthly shares so far.
    exclusions : DataFrame
        reason, n_rows, amount (EAD) of the episodes that are no unit's case.
    horizon_months : int
    target_rate : float
    reporting_date : pandas.Timestamp
    """

    cases: pd.DataFrame
    by_month: pd.DataFrame
    exclusions: pd.DataFrame
    horizon_months: int
    target_rate: float
    reporting_date: pd.Timestamp


def recovery_cases(
    episodes: pd.DataFrame,
    cash_flows: pd.DataFrame,
    actions: pd.DataFrame,
    *,
    reporting_date: pd.Timestamp | str,
    horizon_months: int = 12,
    target_rate: float = 0.90,
    feature_cols: Sequence[str] = (),
    not_units: Sequence[str] = (),
) -> RecoveryCases:
    """Form the cases of each unit, with the cash that came in within the same number of months of each.

    Parameters
    ----------
    episodes : DataFrame
        One row per default episode: episode_id, facility_id, default_date, outcome, outcome_date (empty while open),
        ead.
    cash_flows : DataFrame
        facility_id, cash_flow_date, kind, amount.
    actions : DataFrame
        facility_id, action_time, unit.
    reporting_date : date-like
        Nothing later is read.
    horizon_months : int
        Months since the case was taken on within which cash counts, 1 or more.
    target_rate : float
        Share of what was owed that meets the target, in (0, 1].
    feature_cols : sequence of str
        Columns of ``episodes`` to be kept with the case, for case-mix.
    not_units : sequence of str
        Units that take on no case, such as the one that sends reminders before the due date.

    Returns
    -------
    RecoveryCases

    Raises
    ------
    ContractError, InsufficientDataError
        When a column is missing or rows break a rule.
    ValueError
        When an option is not allowed.

    Notes
    -----
    A case belongs to the unit that acted on it first after default, and stays there: were it counted where it ended,
    a unit could hand its hard cases on. Where two acted at the same moment, it belongs to the first of them by name,
    so that the order of the log decides nothing. What was owed is the EAD less cash that came before the unit began.
    ``cases`` compares only those old enough; ``by_month`` uses the young ones too, each for the months for which it was
    observed: sum over months of cash in the month / amount owed by the cases observed for the whole of it.
    """
    if horizon_months < 1 or not 0 < target_rate <= 1:
        raise ValueError(f"horizon_months is {horizon_months}, target_rate {target_rate}; give >= 1 and within (0, 1]")
    date = pd.Timestamp(reporting_date)
    check_columns(episodes, feature_cols, table="episodes")
    spells = read_log(
        episodes,
        table="episodes",
        reporting_date=date,
        needed=["episode_id", "facility_id", "outcome"],
        dates=["default_date"],
        later_dates=["outcome_date"],
        amounts={"ead": True},
    )
    flows = read_log(
        cash_flows,
        table="cash_flows",
        reporting_date=date,
        needed=["facility_id", "kind"],
        dates=["cash_flow_date"],
        amounts={"amount": False},
    )
    acts = read_log(
        actions, table="actions", reporting_date=date, needed=["facility_id", "unit"], dates=["action_time"]
    )
    begun = _first_unit(spells, acts[~acts["unit"].isin(list(not_units))])
    cash = _cash_of(begun, flows)
    before = cash[cash["date"] < cash["start_date"]].groupby("episode_id")["cents"].sum()
    owed = cents(begun["ead"]) - begun["episode_id"].map(before).fillna(0).to_numpy(np.int64)
    begun = begun.assign(owed_amount=owed / 100.0)
    reasons = np.select([begun["unit"].isna(), owed <= 0], [_NO_UNIT, _NOTHING_OWED], default="")
    left_out = begun.assign(reason=reasons)[reasons != ""].groupby("reason")["ead"].agg(["size", "sum"]).reset_index()
    inside = _months_of(cash[cash["date"] >= cash["start_date"]], horizon_months)
    cases = _judged(begun[reasons == ""].reset_index(drop=True), inside, date, horizon_months, target_rate)
    return RecoveryCases(
        cases=cases[[*_KEPT, *[name for name in feature_cols if name not in _KEPT]]],
        by_month=_by_month(cases, inside, horizon_months),
        exclusions=left_out.rename(columns={"size": "n_rows", "sum": "amount"}),
        horizon_months=horizon_months,
        target_rate=target_rate,
        reporting_date=date,
    )


def _months_of(cash: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return the cash within the horizon with its month since the start: 1 for the first."""
    month = months_between(cash["start_date"], cash["date"] - pd.Timedelta(days=1)).clip(0) + 1
    return cash.assign(month=month)[month <= horizon]


def _judged(
    cases: pd.DataFrame, inside: pd.DataFrame, date: pd.Timestamp, horizon: int, target_rate: float
) -> pd.DataFrame:
    """Add the age of each case, what came in, and how it did where it is old enough."""
    seen = months_between(cases["start_date"], pd.Series(date, index=cases.index)).astype(np.int64)
    recovered = cases["episode_id"].map(inside.groupby("episode_id")["cents"].sum()).fillna(0).to_numpy(np.int64)
    old = seen >= horizon
    met = pd.Series(recovered >= np.ceil(target_rate * cents(cases["owed_amount"]) - 1e-6), index=cases.index)
    within = months_between(cases["start_date"], cases["outcome_date"] - pd.Timedelta(days=1)) < horizon
    returned = cases["outcome"].isin([Outcome.CURED, Outcome.REPAID]) & within
    return cases.assign(
        months_observed=seen,
        recovered_amount=recovered / 100.0,
        is_old_enough=old,
        has_met_target=met.astype("boolean").where(old),
        has_returned=returned.astype("boolean").where(old),
    )


def _first_unit(spells: pd.DataFrame, acts: pd.DataFrame) -> pd.DataFrame:
    """Return the episodes with the unit that acted first between default and outcome, and the day it did."""
    ordered = acts[["facility_id", "unit", "action_time"]].sort_values(["action_time", "unit"])
    met = spells[["episode_id", "facility_id", "default_date", "outcome_date"]].merge(ordered, on="facility_id")
    day = met["action_time"].dt.normalize()
    within = (day >= met["default_date"]) & ~(day > met["outcome_date"])
    first = met[within].assign(start_date=day[within]).drop_duplicates("episode_id")
    return spells.merge(first[["episode_id", "unit", "start_date"]], on="episode_id", how="left", suffixes=("_", ""))


def _cash_of(begun: pd.DataFrame, flows: pd.DataFrame) -> pd.DataFrame:
    """Return recoveries with the episode of their facility that began last before them."""
    money = flows[flows["kind"].isin([str(kind) for kind in RECOVERY_KINDS])]
    money = money[["facility_id", "cash_flow_date", "amount"]].rename(columns={"cash_flow_date": "date"})
    cash = pd.merge_asof(
        money.sort_values("date", kind="stable"),
        begun[["facility_id", "default_date", "episode_id", "start_date"]].sort_values("default_date", kind="stable"),
        left_on="date",
        right_on="default_date",
        by="facility_id",
    ).dropna(subset=["episode_id"])
    return cash.assign(cents=cents(cash["amount"]))


def _by_month(cases: pd.DataFrame, inside: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return by unit and month the amount at risk, what came in, and the curve."""
    cash = inside.merge(cases[["episode_id", "unit", "months_observed"]], on="episode_id")
    cash = cash[cash["month"] <= cash["months_observed"]]  # cash of a month that is not over has no denominator yet
    came = cash.groupby(["unit", "month"])["cents"].sum()
    rows = []
    for unit, own in cases.groupby("unit", sort=True):
        owed, seen = cents(own["owed_amount"]), own["months_observed"].to_numpy()
        for month in range(1, horizon + 1):
            watched = seen >= month
            amount = int(came.get((unit, float(month)), 0))
            rows.append((unit, month, int(watched.sum()), int(owed[watched].sum()) / 100.0, amount / 100.0))
    table = pd.DataFrame(rows, columns=["unit", "month", "n_cases", "owed_amount", "recovered_amount"])
    share = table["recovered_amount"] / table["owed_amount"].where(table["owed_amount"] > 0)
    return table.assign(recovery_rate=share.groupby(table["unit"]).transform(lambda s: s.cumsum(skipna=False)))
