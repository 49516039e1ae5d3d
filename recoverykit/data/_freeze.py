"""Set the clock back: what the tables looked like at an earlier reporting date."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recoverykit.data._columns import LEDGER_TABLES, OPERATION_TABLES
from recoverykit.data._table_rules import DATED, ONE_DAY
from recoverykit.vocabulary import Outcome

EXCLUSION_COLUMNS = ("table", "reason", "n_rows", "amount")
#: The column whose sum says how much money a cut concerns. Monthly balances are not summed: they would count twice.
_MONEY = {
    "cash_flows": "amount",
    "episodes": "ead",
    "collateral": "value_amount",
    "instalments": "due_amount",
    "promises": "promised_amount",
    "court": "claim_amount",
    "cure_arrears": "arrears_amount",
    "indirect_costs": "amount",
}
#: What happened to a row after it came up: the date, what else was not known before it, and what it reads as then.
#: A payment of which only the last day is known reads as none: how much had come earlier cannot be told.
_KNOWN_LATER: dict[tuple[str, str], tuple[str, dict[str, float | None]]] = {
    ("instalments", "paid_date"): ("taken as not paid yet", {"paid_amount": 0.0}),
    ("promises", "paid_date"): ("taken as not paid yet", {"paid_amount": 0.0}),
    ("court", "hearing_date"): ("emptied", {}),
    ("court", "judgment_date"): ("emptied with the judgment", {"judgment": None}),
    ("court", "settlement_date"): ("emptied", {}),
    ("court", "withdrawal_date"): ("emptied", {}),
    ("court", "enforcement_date"): ("emptied", {}),
}
#: Tables of facilities that a bank may give or not: they go with a facility that was cut, and when nothing is left.
_OPTIONAL = ("collateral", *OPERATION_TABLES, *LEDGER_TABLES)
#: Amounts as of the day on which the tables were drawn up, which say nothing about an earlier one.
_AS_OF_LATER = {"episodes": ("outstanding",), "court": ("recovered_amount", "cost_amount")}


def exclusions_frame(rows: list[tuple[str, str, int, float]]) -> pd.DataFrame:
    """Return an exclusions table.

    Parameters
    ----------
    rows : list of (table, reason, n_rows, amount)
        The amount in currency units.

    Returns
    -------
    DataFrame
        Columns table, reason, n_rows (int64), amount (float64); empty when nothing was left out.
    """
    frame = pd.DataFrame(rows, columns=list(EXCLUSION_COLUMNS))
    return frame.astype({"table": object, "reason": object, "n_rows": np.int64, "amount": np.float64})


def freeze(
    tables: Mapping[str, pd.DataFrame], reporting_date: pd.Timestamp
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Return the tables as they were known at a reporting date.

    Rows dated later are cut; episodes that ended later become open, and what became of instalments, promises and court
    cases later is emptied. Where anything was cut or emptied, ``outstanding`` of episodes and the recovered amount and
    cost of court cases are emptied too, because they stood at a later date. The collateral value of ``facilities``
    carries no date and stays; so do scenarios and the days on which something falls due. Collateral, and tables of the
    recovery unit and of the ledger, lose the rows of facilities that were cut, and are left out when nothing is left.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Contract tables; they are not changed.
    reporting_date : Timestamp
        The date to go back to.

    Returns
    -------
    tables : dict of str to DataFrame
        New frames with a plain range index where rows were cut.
    exclusions : DataFrame
        Columns table, reason, n_rows, amount (currency; EAD of episodes, amount of cash flows, value of collateral,
        what was due, promised or claimed in rows of the recovery unit, arrears, indirect costs; 0 elsewhere).

    Examples
    --------
    >>> flows = pd.DataFrame({"cash_flow_date": pd.to_datetime(["2024-01-31", "2024-03-31"]), "amount": [5.0, 7.0]})
    >>> frozen, exclusions = freeze({"cash_flows": flows}, pd.Timestamp("2024-02-29"))
    >>> len(frozen["cash_flows"]), exclusions["amount"].tolist()
    (1, [7.0])
    """
    frozen, rows = _cut_later_rows(tables, reporting_date)
    if "outcome_date" in frozen.get("episodes", pd.DataFrame()):
        frozen["episodes"], opened = _open_later_outcomes(frozen["episodes"], reporting_date)
        if len(opened):
            reason = f"outcome after the reporting date {reporting_date:%Y-%m-%d}, taken as open"
            rows.append(("episodes", reason, *_size("episodes", opened)))
    rows += _empty_what_came_later(frozen, reporting_date)
    rows += _cut_unborn_facilities(tables, frozen)
    for table, columns in _AS_OF_LATER.items():
        if rows and table in frozen:
            emptied = {name: np.nan for name in columns if name in frozen[table]}
            frozen[table] = frozen[table].assign(**emptied) if emptied else frozen[table]
    kept = {name: frame for name, frame in frozen.items() if len(frame) or name not in _OPTIONAL}
    return kept, exclusions_frame(rows)


def _cut_later_rows(
    tables: Mapping[str, pd.DataFrame], reporting_date: pd.Timestamp
) -> tuple[dict[str, pd.DataFrame], list[tuple[str, str, int, float]]]:
    frozen, rows = dict(tables), []
    for table, column in DATED:
        born = (table, column) not in {("episodes", "outcome_date"), *_KNOWN_LATER}
        if not born or column not in frozen.get(table, pd.DataFrame()):
            continue
        later = frozen[table][column].ge(reporting_date + ONE_DAY)
        if later.any():
            reason = f"{column} after the reporting date {reporting_date:%Y-%m-%d}"
            rows.append((table, reason, *_size(table, frozen[table][later])))
            frozen[table] = frozen[table][~later].reset_index(drop=True)
    return frozen, rows


def _empty_what_came_later(
    frozen: dict[str, pd.DataFrame], reporting_date: pd.Timestamp
) -> list[tuple[str, str, int, float]]:
    """Empty in place of the mapping, not of its frames, what became known only after the reporting date."""
    rows = []
    for (table, column), (taken, values) in _KNOWN_LATER.items():
        frame = frozen.get(table, pd.DataFrame())
        if column not in frame:
            continue
        later = frame[column].ge(reporting_date + ONE_DAY)
        if later.any():
            reason = f"{column} after the reporting date {reporting_date:%Y-%m-%d}, {taken}"
            # a court case may lose several dates: its claim would count as often
            n_rows, amount = _size(table, frame[later])
            rows.append((table, reason, n_rows, 0.0 if table == "court" else amount))
            other = {name: frame[name].mask(later, value) for name, value in values.items() if name in frame}
            frozen[table] = frame.assign(**{column: frame[column].mask(later)}, **other)
    return rows


def _cut_unborn_facilities(
    tables: Mapping[str, pd.DataFrame], frozen: dict[str, pd.DataFrame]
) -> list[tuple[str, str, int, float]]:
    """Cut what optional tables say of facilities that were cut themselves, such as a valuation before the loan."""
    if "facility_id" not in frozen.get("facilities", pd.DataFrame()):
        return []
    unborn = set(tables["facilities"]["facility_id"]) - set(frozen["facilities"]["facility_id"])
    rows = []
    for table in _OPTIONAL:
        frame = frozen.get(table, pd.DataFrame())
        if not unborn or "facility_id" not in frame:
            continue
        later = frame["facility_id"].isin(unborn)
        if later.any():
            rows.append((table, "facility originated after the reporting date", *_size(table, frame[later])))
            frozen[table] = frame[~later].reset_index(drop=True)
    return rows


def _size(table: str, rows: pd.DataFrame) -> tuple[int, float]:
    money = _MONEY.get(table)
    return len(rows), float(rows[money].sum()) if money in rows else 0.0


def _open_later_outcomes(episodes: pd.DataFrame, reporting_date: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    later = episodes["outcome_date"].gt(reporting_date)
    if not later.any():
        return episodes, episodes[later]
    changed = {
        "outcome": episodes["outcome"].mask(later, Outcome.OPEN.value),
        "outcome_date": episodes["outcome_date"].mask(later),
    }
    if "outcome_balance_amount" in episodes:
        changed["outcome_balance_amount"] = episodes["outcome_balance_amount"].mask(later)
    return episodes.assign(**changed), episodes[later]
