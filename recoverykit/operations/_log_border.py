"""The border of the scorecards, promises and court: logs are read once, every fault is named at a time.

Nothing dated after the reporting date is read: such a date counts as not known. Private to the operations layer.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, RefusedColumnError, Violation
from recoverykit.estimators._formulas import parse_formula
from recoverykit.estimators._rows import broken, check_columns, number_column
from recoverykit.refused_columns import RefusalClass, matching_rule

#: Columns that drive no expectation and no score: never taken in, about the person, or known only afterwards.
_NO_DRIVERS = (RefusalClass.NEVER, RefusalClass.FAIRNESS_ONLY, RefusalClass.HASHED, RefusalClass.OUTCOME)

#: Columns of promises, and of court cases, that are known only after the promise or the filing.
PROMISE_OUTCOMES = frozenset(
    {"paid_amount", "paid_date", "is_due", "is_kept", "is_mostly_kept", "is_paid_late", "is_paid_early"}
)
COURT_OUTCOMES = frozenset(
    {
        "hearing_date", "judgment_date", "settlement_date", "withdrawal_date", "enforcement_date", "judgment",
        "recovered_amount", "cost_amount", "ending", "end_date",
    }
)  # fmt: skip


def read_log(
    frame: pd.DataFrame,
    *,
    table: str,
    reporting_date: pd.Timestamp,
    needed: Sequence[str] = (),
    there: Sequence[str] = (),
    dates: Sequence[str] = (),
    later_dates: Sequence[str] = (),
    amounts: Mapping[str, bool] | None = None,
    known_amounts: Sequence[str] = (),
    further: Callable[[pd.DataFrame], list[Violation]] | None = None,
) -> pd.DataFrame:
    """Check a table of the unit's log and return it with dates as dates, nothing later than the reporting date.

    Parameters
    ----------
    frame : DataFrame
        Not changed.
    table : str
        Its name in messages.
    reporting_date : pandas.Timestamp
        Rows that begin later (by the first of ``dates``) are left out; a later date elsewhere becomes unknown.
    needed : sequence of str
        Columns which must be there and hold a value in every row.
    there : sequence of str
        Columns which must be there and may be empty.
    dates : sequence of str
        Columns of dates that every row has; the first is where the row begins.
    later_dates : sequence of str
        Columns of dates that may be empty.
    amounts : mapping of str to bool
        Columns of money, finite and 0 or more; True where it must be above 0.
    known_amounts : sequence of str
        Columns of money, finite and 0 or more where they are known; they may be empty.
    further : callable, optional
        Returns what is wrong by rules of the table's own with the rows that are read.

    Raises
    ------
    ContractError, InsufficientDataError
        Every rule that is broken, at once; or no row.
    """
    amounts = amounts or {}
    check_columns(frame, [*needed, *there, *dates, *later_dates, *amounts, *known_amounts], table=table)
    read = frame.copy()
    found: list[Violation] = []
    for name in needed:
        found += broken(frame, f"{name} must not be missing", frame[name].isna().to_numpy(), table=table)
    for name in [*dates, *later_dates]:
        read[name] = pd.to_datetime(frame[name], errors="coerce")
        bad = read[name].isna() & frame[name].notna() if name in later_dates else read[name].isna()
        found += broken(frame, f"{name} must be a date", bad.to_numpy(), table=table)
    for name, above in {**amounts, **dict.fromkeys(known_amounts, False)}.items():
        values = number_column(frame, name, 0.0)
        bad_amount = ~np.isfinite(values) | (values <= 0 if above else values < 0)
        if name in known_amounts:
            bad_amount &= frame[name].notna().to_numpy()
        rule = f"{name} must be an amount {'above 0' if above else '0 or more'}"
        found += broken(frame, rule, bad_amount, table=table)
        read[name] = values
    if dates:
        read = read[read[dates[0]] <= reporting_date + pd.Timedelta(days=1) - pd.Timedelta(1, "ns")]
    for name in later_dates:
        read[name] = read[name].where(read[name] <= reporting_date)
    found += further(read) if further else []
    if found:
        raise ContractError(found)
    return read


def order_faults(frame: pd.DataFrame, pairs: Sequence[tuple[str, str]], *, table: str) -> list[Violation]:
    """Return what is wrong where the second date of a pair lies before the first."""
    found = []
    for earlier, later in pairs:
        wrong = (frame[later] < frame[earlier]).to_numpy()
        found += broken(frame, f"{later} must not lie before {earlier}", wrong, table=table)
    return found


def check_score_formula(formula: str, *, afterwards: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the columns that a formula reads, having refused those that may not drive an expectation or a score.

    Parameters
    ----------
    formula : str
        Its right side.
    afterwards : frozenset of str
        Columns of the table that are known only afterwards, beside those whose names tell it of any table.

    Raises
    ------
    ValueError
        If the formula cannot be read.
    RefusedColumnError
        For columns about the person, or known only after the outcome.
    """
    columns = parse_formula("case-mix or score", formula)
    rules = {name: matching_rule(name, _NO_DRIVERS) for name in columns}
    lines = [f"  {name}: {rule.what} (class {rule.refusal_class.value})" for name, rule in rules.items() if rule]
    lines += [f"  {name}: known only afterwards" for name, rule in rules.items() if not rule and name in afterwards]
    if lines:
        raise RefusedColumnError("these columns may not drive an expectation or a score:\n" + "\n".join(lines))
    return columns


def months_between(start: pd.Series, end: pd.Series) -> np.ndarray:
    """Return the completed months between dates; the end of a month completes it. NaN where a date is missing."""
    months = 12.0 * (end.dt.year - start.dt.year) + (end.dt.month - start.dt.month)
    incomplete = (end.dt.day < start.dt.day) & ~end.dt.is_month_end
    return (months - incomplete.astype(float)).to_numpy(dtype=float)
