"""Days past due and what is unpaid at each month end, told from instalments where no monthly status is at hand."""

import pandas as pd

from recoverykit.errors import InsufficientDataError
from recoverykit.operations._arrears import INSTALMENT_COLUMNS, arrears, unpaid_amount
from recoverykit.operations._border import check_frames, day_of
from recoverykit.operations._cents import cents as in_cents
from recoverykit.vocabulary import FacilityStatus


def delinquency_panel(
    instalments: pd.DataFrame, *, reporting_date: str | pd.Timestamp, n_months: int = 12
) -> pd.DataFrame:
    """Return each facility's days past due and unpaid payment plan at the last month ends.

    Parameters
    ----------
    instalments : DataFrame
        Contract table. At a month end, what was paid later counts as unpaid.
    reporting_date : date-like
        The last month end is the one on or before it.
    n_months : int
        Month ends, at least 2.

    Returns
    -------
    DataFrame
        One row per facility with an instalment due by then or later and month end: facility_id, month_end,
        days_past_due, balance_amount (all that is unpaid of the payment plan as given), status (``active``, or
        ``repaid`` once nothing is unpaid). It can be given to ``roll_rates``.

    Raises
    ------
    ContractError
        When a column is missing.
    InsufficientDataError
        When no instalment fell due by the last month end.
    ValueError
        When ``n_months`` is below 2.

    Examples
    --------
    >>> due = pd.DataFrame({"facility_id": "A", "due_date": pd.to_datetime(["2026-08-20", "2026-09-20"]),
    ...                     "due_amount": 100.0, "paid_date": pd.to_datetime(["2026-09-10", None]),
    ...                     "paid_amount": [100.0, 0.0]})
    >>> panel = delinquency_panel(due, reporting_date="2026-09-30", n_months=2)
    >>> panel[["days_past_due", "balance_amount"]].to_numpy().tolist()
    [[11.0, 200.0], [10.0, 100.0]]
    """
    if n_months < 2:
        raise ValueError(f"n_months is {n_months}; roll rates need two month ends at least")
    check_frames({"instalments": (instalments, INSTALMENT_COLUMNS)})
    last = day_of(reporting_date, "reporting_date") + pd.offsets.MonthEnd(1) - pd.offsets.MonthEnd(1)
    ends = pd.date_range(end=last, periods=n_months, freq="ME")
    first_due = instalments.groupby("facility_id")["due_date"].min()
    parts = []
    for end in ends[ends >= instalments["due_date"].min()]:
        late = arrears(instalments, end).set_index("facility_id")["days_past_due"]
        cents = pd.Series(in_cents(unpaid_amount(instalments, end)), index=instalments["facility_id"])
        unpaid = cents.groupby(level=0).sum().reindex(first_due.index[first_due <= end])
        parts.append(
            pd.DataFrame(
                {
                    "facility_id": unpaid.index.to_numpy(object),
                    "month_end": end,
                    "days_past_due": late.reindex(unpaid.index).fillna(0).to_numpy(int),
                    "balance_amount": unpaid.to_numpy() / 100,
                    "status": (unpaid > 0).map({True: FacilityStatus.ACTIVE.value, False: FacilityStatus.REPAID.value}),
                }
            )
        )
    if not parts:
        raise InsufficientDataError(f"no instalment fell due by the last month end, {last:%Y-%m-%d}; give a later date")
    return pd.concat(parts, ignore_index=True)
