"""What courts are given, what they finish, what waits, and what a unit of money costs. Public through ``court``."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recoverykit.estimators._rows import check_choice
from recoverykit.operations._cents import sums_of_cents
from recoverykit.operations._court_cases import KNOWN_MONEY, read_court
from recoverykit.vocabulary import WHOLE_BOOK

#: Length of a period in months.
PERIODS = {"M": 1, "Q": 3, "Y": 12}


def court_capacity(
    court: pd.DataFrame, *, reporting_date: pd.Timestamp | str, by: str = "court", period: str = "Q"
) -> pd.DataFrame:
    """Count by court and period what came in, what was finished and what waits.

    Parameters
    ----------
    court : DataFrame
        As in ``court_phases``.
    reporting_date : date-like
    by : str
        Column of the groups; empty for all cases together.
    period : {"M", "Q", "Y"}
        Calendar month, quarter or year.

    Returns
    -------
    DataFrame
        One row per group and period, from the first filing on: n_start (pending when it began), n_filed, n_finished
        (decided, settled or withdrawn), n_pending (at its end: n_start + n_filed - n_finished), clearance_rate
        (finished / filed), backlog_months (months that the cases pending would take at the pace of the last four
        periods) and is_complete (False for a period that the reporting date cuts short; it has no backlog_months).

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``court_phases``, or when ``period`` is unknown.
    """
    check_choice("period", period, list(PERIODS))
    date = pd.Timestamp(reporting_date)
    cases = read_court(court, date, by=[by] if by else [])
    group = cases[by] if by else pd.Series(WHOLE_BOOK, index=cases.index, name="group")
    tables = []
    for name, own in cases.groupby(group, sort=True):
        filed, ended = own["filing_date"].dt.to_period(period), own["end_date"].dropna().dt.to_period(period)
        span = pd.period_range(filed.min(), date.to_period(period), freq=period)
        came = filed.value_counts().reindex(span, fill_value=0).to_numpy()
        gone = ended.value_counts().reindex(span, fill_value=0).to_numpy()
        pending = np.cumsum(came - gone)
        complete = span.end_time.normalize() <= date
        pace = pd.Series(gone, dtype=float).rolling(4, min_periods=1).mean().to_numpy() / PERIODS[period]
        backlog = np.divide(pending, pace, out=np.full(len(span), np.nan), where=pace > 0)
        table = pd.DataFrame(
            {
                "period": span.astype(str),
                "n_start": pending - came + gone,
                "n_filed": came,
                "n_finished": gone,
                "n_pending": pending,
                "clearance_rate": np.divide(gone, came, out=np.full(len(span), np.nan), where=came > 0),
                "backlog_months": np.where(complete, backlog, np.nan),
                "is_complete": complete,
            }
        )
        table.insert(0, by or "group", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def court_costs(
    court: pd.DataFrame, *, reporting_date: pd.Timestamp | str, by: str | Sequence[str] = "court"
) -> pd.DataFrame:
    """Sum claims, recoveries and costs by group, to the cent, with a total, and what a unit recovered cost.

    Parameters
    ----------
    court : DataFrame
        As in ``court_phases``.
    reporting_date : date-like
    by : str or sequence of str
        Columns of the groups.

    Returns
    -------
    DataFrame
        One row per group and a last row ``all`` that is the exact sum of the others: n_cases, claim_amount,
        recovered_amount and cost_amount (of the cases of which they are known; missing where of none), net_amount
        (recovered less cost), cost_per_recovered (missing where nothing was recovered), recovery_rate (recovered /
        claimed) and n_unknown (cases of which the recovered amount or the cost is not known: they are in none of the
        three before). Open cases stand with what they have cost and brought so far; cost comes first and money later,
        so that a young court looks dear.

    Raises
    ------
    ContractError, InsufficientDataError
        As in ``court_phases``.
    """
    columns = [by] if isinstance(by, str) else list(by)
    cases = read_court(court, pd.Timestamp(reporting_date), by=columns)
    parts = [_costs(frame, columns) for frame in (cases, cases.assign(**dict.fromkeys(columns, WHOLE_BOOK)))]
    return pd.concat(parts, ignore_index=True)


def _costs(cases: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return sums, ratios and what is not known by group; sums over no known amount are missing, not nought."""
    known = cases[list(KNOWN_MONEY)].notna()
    both = known.all(axis=1)
    money = ["claim_amount", *KNOWN_MONEY]
    table = sums_of_cents(cases.fillna(dict.fromkeys(KNOWN_MONEY, 0.0)), money, by)
    counts = known.assign(n_cases=1, n_known=both).groupby([cases[name] for name in by], sort=True).sum()
    for name in KNOWN_MONEY:
        table[name] = table[name].where(counts[name] > 0)
    whole = sums_of_cents(cases[both], money, by).reindex(table.index)
    net = (whole["recovered_amount"] * 100 - whole["cost_amount"] * 100).round() / 100
    table.insert(0, "n_cases", counts["n_cases"])
    return table.assign(
        net_amount=net,
        cost_per_recovered=whole["cost_amount"] / whole["recovered_amount"].where(whole["recovered_amount"] > 0),
        recovery_rate=whole["recovered_amount"] / whole["claim_amount"],
        n_unknown=counts["n_cases"] - counts["n_known"],
    ).reset_index()
