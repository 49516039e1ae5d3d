"""Promises to pay: which were kept, how soon, and how well keeping them can be foretold.

A promise counts once it fell due and the days of grace are over. Those still open are out of the rate, whether or not
money has come already: to count an early payment and not wait for the late ones would flatter everybody. The score of
reliability reads payment behaviour only. This module knows nothing of who the debtor is.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.errors import ContractError, InsufficientDataError, Violation
from recoverykit.estimators._rows import broken, check_columns, check_level
from recoverykit.estimators.nonparametric import aalen_johansen_by
from recoverykit.operations._cents import cents, sums_of_cents
from recoverykit.operations._exact_intervals import binomial_interval
from recoverykit.operations._log_border import order_faults, read_log
from recoverykit.operations._promise_history import promise_history
from recoverykit.operations._promise_score import PromiseScoreFit, PromiseScoreModel
from recoverykit.operations._promise_trial import PromiseScoreEvaluation, evaluate_promise_score
from recoverykit.vocabulary import WHOLE_BOOK

__all__ = [
    "PromiseScoreEvaluation",
    "PromiseScoreFit",
    "PromiseScoreModel",
    "evaluate_promise_score",
    "promise_history",
    "promise_kept_rates",
    "promise_outcomes",
    "time_to_kept",
]

#: Days after the due date within which a payment still keeps the promise.
GRACE_DAYS = 5
#: Share of the promise that counts as mostly kept.
MOSTLY_KEPT = 0.80
_ORDER = (("promise_date", "due_date"), ("promise_date", "paid_date"))


def promise_outcomes(
    promises: pd.DataFrame,
    *,
    reporting_date: pd.Timestamp | str,
    grace_days: int = GRACE_DAYS,
    mostly: float = MOSTLY_KEPT,
) -> pd.DataFrame:
    """Tell of each promise whether it fell due and whether it was kept.

    Parameters
    ----------
    promises : DataFrame
        facility_id, promise_date, due_date, promised_amount (> 0), paid_amount (paid between promise and the end of
        grace, as far as known), and where they are known paid_date (last payment), unit, predicted_prob. Not changed.
    reporting_date : date-like
        Promises made later are left out. Where the last payment is dated later, nothing counts as paid: how much had
        come by then cannot be told.
    grace_days : int
        Days after the due date within which a payment still keeps the promise, 0 or more.
    mostly : float
        Share of the promise, in (0, 1], from which it counts as mostly kept.

    Returns
    -------
    DataFrame
        The rows of ``promises`` made by the reporting date, paid_amount as known then, with window_end (due date and
        grace), is_due (the window was over on the reporting date), is_kept and is_mostly_kept (missing while open),
        is_paid_late (the last payment came after the window, so that the promise counts as broken) and is_paid_early
        (paid in full but still open: out of the rate).

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When a column is missing, rows break a rule, no promise was made by the reporting date, or an option is not
        allowed.

    Examples
    --------
    >>> made = pd.DataFrame(
    ...     {
    ...         "facility_id": ["F1", "F2", "F3"],
    ...         "promise_date": ["2026-05-01", "2026-05-01", "2026-06-20"],
    ...         "due_date": ["2026-05-15", "2026-05-20", "2026-06-28"],
    ...         "promised_amount": [100.0, 100.0, 100.0],
    ...         "paid_amount": [100.0, 85.0, 100.0],
    ...     }
    ... )
    >>> told = promise_outcomes(made, reporting_date="2026-06-30")
    >>> told[["is_due", "is_kept", "is_mostly_kept", "is_paid_early"]].values.tolist()
    [[True, True, True, False], [True, False, True, False], [False, <NA>, <NA>, True]]
    """
    if grace_days < 0 or not 0 < mostly <= 1:
        raise ValueError(f"grace_days is {grace_days}, mostly {mostly}; give 0 or more days and a share in (0, 1]")
    date = pd.Timestamp(reporting_date)
    told = (
        promises.assign(paid_date=pd.Series(pd.NaT, index=promises.index)) if "paid_date" not in promises else promises
    )
    read = read_log(
        told,
        table="promises",
        reporting_date=date,
        needed=["facility_id"],
        dates=["promise_date", "due_date"],
        later_dates=["paid_date"],
        amounts={"promised_amount": True, "paid_amount": False},
        further=_faults,
    )
    if read.empty:
        raise InsufficientDataError(f"no promise was made by {date:%Y-%m-%d}; take a later reporting date")
    end = read["due_date"] + pd.Timedelta(days=grace_days)
    due = end <= date
    is_paid_later = told.loc[read.index, "paid_date"].notna() & read["paid_date"].isna()
    paid_amount = read["paid_amount"].mask(is_paid_later, 0.0)
    promised, paid = cents(read["promised_amount"]), cents(paid_amount)
    late = read["paid_date"] > end
    kept, mostly_kept = (
        pd.Series(paid >= least, index=read.index) for least in (promised, np.ceil(mostly * promised - 1e-6))
    )
    return read.assign(
        paid_amount=paid_amount,
        window_end=end,
        is_due=due,
        is_kept=(kept & ~late).astype("boolean").where(due),
        is_mostly_kept=(mostly_kept & ~late).astype("boolean").where(due),
        is_paid_late=late & due,
        is_paid_early=kept & ~due,
    )


def _faults(read: pd.DataFrame) -> list[Violation]:
    """Return what is wrong with the order of dates."""
    return order_faults(read, _ORDER, table="promises")


def promise_kept_rates(
    outcomes: pd.DataFrame, *, by: str | Sequence[str] = (), level: float = 0.95, mid_p: bool = False
) -> pd.DataFrame:
    """Return the share of promises kept among those that fell due, with exact intervals.

    Parameters
    ----------
    outcomes : DataFrame
        From ``promise_outcomes``.
    by : str or sequence of str
        Columns of the groups, with a value in every row; none for all promises together.
    level, mid_p
        Of the exact binomial interval, which takes promises as independent.

    Returns
    -------
    DataFrame
        One row per group: the columns of ``by``, n_promises, n_open, n_paid_early (of the open ones), n_due, n_kept,
        kept_rate, lower, upper, n_mostly_kept, mostly_kept_rate, and promised_amount and paid_amount of the promises
        that fell due (sums of whole cents). n_promises = n_open + n_due.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When a column is missing, a promise has no group, there is no promise, or ``level`` is not allowed.
    """
    check_level(level)
    columns = [by] if isinstance(by, str) else list(by)
    check_columns(outcomes, [*columns, "is_due", "is_kept", "is_mostly_kept", "is_paid_early"], table="outcomes")
    found: list[Violation] = []
    for name in columns:
        found += broken(outcomes, f"{name} must not be missing", outcomes[name].isna().to_numpy(), table="outcomes")
    if found:
        raise ContractError(found)
    shown = outcomes if columns else outcomes.assign(group=WHOLE_BOOK)
    keys = columns or ["group"]
    counted = pd.DataFrame(
        {
            "n_promises": np.ones(len(shown), dtype=np.int64),
            "n_open": (~shown["is_due"]).astype(np.int64),
            "n_paid_early": shown["is_paid_early"].astype(np.int64),
            "n_due": shown["is_due"].astype(np.int64),
            "n_kept": shown["is_kept"].fillna(False).astype(np.int64),
            "n_mostly_kept": shown["is_mostly_kept"].fillna(False).astype(np.int64),
        },
        index=shown.index,
    )
    table = counted.groupby([shown[name] for name in keys], sort=True).sum()
    table["kept_rate"] = table["n_kept"] / table["n_due"].where(table["n_due"] > 0)
    table["lower"], table["upper"] = binomial_interval(table["n_kept"], table["n_due"], level=level, mid_p=mid_p)
    table["mostly_kept_rate"] = table["n_mostly_kept"] / table["n_due"].where(table["n_due"] > 0)
    money = sums_of_cents(shown[shown["is_due"]], ["promised_amount", "paid_amount"], keys)
    order = ["n_promises", "n_open", "n_paid_early", "n_due", "n_kept", "kept_rate", "lower", "upper"]
    result = table[[*order, "n_mostly_kept", "mostly_kept_rate"]].join(money).fillna(dict.fromkeys(money.columns, 0.0))
    return result.reset_index()


def time_to_kept(
    outcomes: pd.DataFrame,
    *,
    reporting_date: pd.Timestamp | str,
    by: str | Sequence[str] = (),
    level: float = 0.95,
) -> dict[str, dict[str, StepCurve]]:
    """Estimate by days since the promise the probability that it has been kept, and that it has been broken.

    Parameters
    ----------
    outcomes : DataFrame
        From ``promise_outcomes``.
    reporting_date : date-like
        The same as there; promises neither kept nor broken are censored on it.
    by : str or sequence of str
        Columns of the groups.
    level : float
        Of the pointwise intervals.

    Returns
    -------
    dict of str to dict of str to StepCurve
        Group to ``kept`` and ``broken`` to Aalen-Johansen curve. Their times are days, not months. A promise is kept on
        the day of its last payment, broken on the last day of grace. Open promises that are paid already count as kept
        here, because the others of the same day are still at risk beside them.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When a column is missing, there is no promise, or an option is not allowed.
    """
    check_columns(outcomes, ["promise_date", "window_end", "is_due", "is_kept", "is_paid_early", "paid_date"])
    kept = outcomes["is_kept"].fillna(False).astype(bool) | outcomes["is_paid_early"]
    broken = outcomes["is_due"] & ~kept
    last = outcomes["paid_date"].fillna(outcomes["window_end"]).where(kept, outcomes["window_end"])
    date = pd.Timestamp(reporting_date)
    end = last.where(kept | broken, date)
    end = end.where(end <= date, date)
    rows = outcomes.assign(
        days=(end - outcomes["promise_date"]).dt.days,
        outcome=np.select([kept, broken], ["kept", "broken"], default="open"),
    )
    return aalen_johansen_by(rows, by=by, duration_col="days", outcome_col="outcome", level=level)
