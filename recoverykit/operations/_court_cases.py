"""Court cases read once: dates in order, nothing later than the reporting date, and how each case ended. Private."""

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError
from recoverykit.estimators._rows import broken
from recoverykit.operations._log_border import check_order, read_log

_LATER = ("hearing_date", "judgment_date", "settlement_date", "withdrawal_date", "enforcement_date")
_JUDGMENTS = ("won", "partly_won", "lost")
_MONEY = {"claim_amount": True, "recovered_amount": False, "cost_amount": False}


def read_court(court: pd.DataFrame, reporting_date: pd.Timestamp) -> pd.DataFrame:
    """Check court cases and return those filed by the reporting date, with ``ending`` and ``end_date``.

    Returns
    -------
    DataFrame
        The rows with dates as dates, ``judgment`` only where its date is known, ``ending`` (won, partly_won, lost,
        settled, withdrawn or open; the earliest of judgment, settlement and withdrawal, at a tie settlement before
        withdrawal before judgment) and ``end_date`` (missing while open).

    Raises
    ------
    ContractError, InsufficientDataError
        When columns are missing, rows break a rule, or there is no case.
    """
    read = read_log(
        court,
        table="court",
        reporting_date=reporting_date,
        needed=["case_id", "court", "unit", "package_complete"],
        dates=["filing_date"],
        later_dates=_LATER,
        amounts=_MONEY,
    )
    check_order(read, [("filing_date", name) for name in _LATER], table="court")
    check_order(read, [("hearing_date", "judgment_date"), ("judgment_date", "enforcement_date")], table="court")
    judged = read["judgment_date"].notna()
    known = read["judgment"].astype(object).isin(_JUDGMENTS)
    rule = f"judgment must be one of {', '.join(_JUDGMENTS)} where judgment_date is given"
    found = broken(read, rule, (judged & ~known).to_numpy(), table="court")
    found += broken(read, "case_id must not repeat", read["case_id"].duplicated().to_numpy(), table="court")
    flags = read["package_complete"].isin([True, False])
    found += broken(read, "package_complete must be True or False", (~flags).to_numpy(), table="court")
    if found:
        raise ContractError(found)
    ends = read[["settlement_date", "withdrawal_date", "judgment_date"]]
    first = ends.min(axis=1)
    choices = [ends[name].notna() & (ends[name] == first) for name in ends]
    judgment = read["judgment"].astype(object).where(judged)
    ending = np.select(choices, ["settled", "withdrawn", judgment.fillna("open").to_numpy()], default="open")
    return read.assign(
        judgment=judgment,
        package_complete=read["package_complete"].astype(bool),
        ending=ending.astype(object),
        end_date=first,
    )
