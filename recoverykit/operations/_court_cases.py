"""Court cases read once: dates in order, nothing later than the reporting date, and how each case ended. Private."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recoverykit.errors import InsufficientDataError, Violation
from recoverykit.estimators._rows import broken
from recoverykit.operations._log_border import order_faults, read_log

_LATER = ("hearing_date", "judgment_date", "settlement_date", "withdrawal_date", "enforcement_date")
_JUDGMENTS = ("won", "partly_won", "lost")
_ORDER = (
    *(("filing_date", name) for name in _LATER),
    ("hearing_date", "judgment_date"),
    ("judgment_date", "enforcement_date"),
)
#: What a case brought and cost stands as of one day: the clock set back, nobody knows it.
KNOWN_MONEY = ("recovered_amount", "cost_amount")


def read_court(court: pd.DataFrame, reporting_date: pd.Timestamp, *, by: Sequence[str] = ()) -> pd.DataFrame:
    """Check court cases and return those filed by the reporting date, with ``ending`` and ``end_date``.

    Parameters
    ----------
    court : DataFrame
        As in ``court_phases``; recovered_amount and cost_amount are empty where they are not known.
    reporting_date : pandas.Timestamp
    by : sequence of str
        Columns by which cases are grouped: a case without a group would be lost from the sum.

    Returns
    -------
    DataFrame
        The rows with dates as dates, ``judgment`` only where its date is known, ``ending`` (won, partly_won, lost,
        settled, withdrawn or open; the earliest of judgment, settlement and withdrawal, at a tie settlement before
        withdrawal before judgment) and ``end_date`` (missing while open).

    Raises
    ------
    ContractError, InsufficientDataError
        When columns are missing, rows break a rule, or no case was filed by the reporting date.
    """
    read = read_log(
        court,
        table="court",
        reporting_date=reporting_date,
        needed=list(dict.fromkeys(["case_id", "court", "unit", "package_complete", *by])),
        there=["judgment"],
        dates=["filing_date"],
        later_dates=_LATER,
        amounts={"claim_amount": True},
        known_amounts=KNOWN_MONEY,
        further=_faults,
    )
    if read.empty:
        raise InsufficientDataError(f"no case was filed by {reporting_date:%Y-%m-%d}; take a later reporting date")
    judged = read["judgment_date"].notna()
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


def _faults(read: pd.DataFrame) -> list[Violation]:
    """Return what is wrong with the order of dates, with judgments, and with the cases' names and flags."""
    found = order_faults(read, _ORDER, table="court")
    unnamed = read["judgment_date"].notna() & ~read["judgment"].astype(object).isin(_JUDGMENTS)
    rule = f"judgment must be one of {', '.join(_JUDGMENTS)} where judgment_date is given"
    found += broken(read, rule, unnamed.to_numpy(), table="court")
    names, flags = read["case_id"], read["package_complete"]
    found += broken(read, "case_id must not repeat", (names.duplicated() & names.notna()).to_numpy(), table="court")
    odd = flags.notna() & ~flags.isin([True, False])
    return found + broken(read, "package_complete must be True or False", odd.to_numpy(), table="court")
