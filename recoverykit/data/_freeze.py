"""Set the clock back: what the tables looked like at an earlier reporting date."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recoverykit.data._table_rules import DATED
from recoverykit.vocabulary import Outcome

EXCLUSION_COLUMNS = ("table", "reason", "n_rows", "amount")
#: The column whose sum says how much money a cut concerns. Monthly balances are not summed: they would count twice.
_MONEY = {"cash_flows": "amount", "episodes": "ead", "collateral": "value_amount"}


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

    Rows dated later are cut; episodes that ended later become open. Where anything was cut or opened, ``outstanding``
    is emptied, because it was the balance at a later date. The collateral value of ``facilities`` carries no date and
    stays. Scenarios stay.

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
        Columns table, reason, n_rows, amount (currency; EAD of episodes, amount of cash flows, value of collateral, 0
        elsewhere).

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
    if rows and "outstanding" in frozen.get("episodes", pd.DataFrame()):
        frozen["episodes"] = frozen["episodes"].assign(outstanding=np.nan)
    return frozen, exclusions_frame(rows)


def _cut_later_rows(
    tables: Mapping[str, pd.DataFrame], reporting_date: pd.Timestamp
) -> tuple[dict[str, pd.DataFrame], list[tuple[str, str, int, float]]]:
    frozen, rows = dict(tables), []
    for table, column in DATED:
        if (table, column) == ("episodes", "outcome_date") or column not in frozen.get(table, pd.DataFrame()):
            continue
        later = frozen[table][column].gt(reporting_date)
        if later.any():
            reason = f"{column} after the reporting date {reporting_date:%Y-%m-%d}"
            rows.append((table, reason, *_size(table, frozen[table][later])))
            frozen[table] = frozen[table][~later].reset_index(drop=True)
    return frozen, rows


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
