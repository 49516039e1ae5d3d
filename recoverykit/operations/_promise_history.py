"""What was known of a debtor's payments on the day of a promise. Public through ``promises``.

A promise's own outcome, and that of any promise whose window was not over on the day, are unknown then and not used.
"""

import numpy as np
import pandas as pd

from recoverykit.estimators._rows import check_columns
from recoverykit.operations._log_border import read_log

_DAYS_PER_MONTH = 365.0 / 12.0
_DAYS_PER_WEEK = 7.0
#: Arrears beyond a year say no more than a year's.
_MOST_MONTHS = 12.0


def promise_history(
    outcomes: pd.DataFrame, *, instalments: pd.DataFrame | None = None, episodes: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Add to each promise what was known of the debtor's payment behaviour on the day it was made.

    Parameters
    ----------
    outcomes : DataFrame
        From ``promise_outcomes``.
    instalments : DataFrame, optional
        facility_id, due_date, due_amount, paid_date, paid_amount: gives arrears and the usual instalment.
    episodes : DataFrame, optional
        facility_id, default_date, ead: gives the time since default, for facilities without open instalments.

    Returns
    -------
    DataFrame
        The rows of ``outcomes`` with n_before and n_kept_before (promises of the same facility whose window was over
        the day before), paid_share_before (mean share paid of them within their windows, each 1 at most, and none where
        the last payment came too late: how much had come before cannot be told; missing without any), weeks_to_due, and
        with instalments months_past_due (of the oldest instalment due and not fully paid on that day,
        12 at most), amount_log_ratio (logarithm of the promise to the latest instalment that had fallen due; 0 where
        there was none) and has_instalment; with episodes months_since_default (of the last default before that day; 0
        where there was none) and exposure_log_ratio (logarithm of the promise to its EAD; 0 where there was none).

    Raises
    ------
    ContractError, InsufficientDataError
        When a column is missing or rows break a rule.
    """
    told_of = ["facility_id", "promise_date", "due_date", "window_end", "is_due", "is_kept", "is_paid_late"]
    check_columns(outcomes, [*told_of, "promised_amount", "paid_amount"], table="outcomes")
    told = outcomes.assign(_place=np.arange(len(outcomes)))
    over = told[told["is_due"]].sort_values("window_end", kind="stable")
    share = (over["paid_amount"] / over["promised_amount"]).clip(upper=1.0).mask(over["is_paid_late"], 0.0)
    past = pd.DataFrame(
        {
            "facility_id": over["facility_id"],
            "window_end": over["window_end"],
            "n_before": 1.0,
            "n_kept_before": over["is_kept"].astype(float),
            "paid_share_before": share,
        }
    )
    sums = ["n_before", "n_kept_before", "paid_share_before"]
    past[sums] = past.groupby("facility_id")[sums].cumsum()
    known = pd.merge_asof(
        told.sort_values("promise_date", kind="stable")[["_place", "facility_id", "promise_date"]],
        past,
        left_on="promise_date",
        right_on="window_end",
        by="facility_id",
        allow_exact_matches=False,
    ).sort_values("_place")
    n_before = known["n_before"].fillna(0.0).to_numpy()
    with np.errstate(invalid="ignore"):
        mean_share = np.where(n_before > 0, known["paid_share_before"].to_numpy() / np.maximum(n_before, 1.0), np.nan)
    result = outcomes.assign(
        n_before=n_before.astype(np.int64),
        n_kept_before=known["n_kept_before"].fillna(0.0).to_numpy().astype(np.int64),
        paid_share_before=mean_share,
        weeks_to_due=(outcomes["due_date"] - outcomes["promise_date"]).dt.days / _DAYS_PER_WEEK,
    )
    result = result if instalments is None else _with_instalments(result, instalments)
    return result if episodes is None else _with_default(result, episodes)


def _with_instalments(result: pd.DataFrame, instalments: pd.DataFrame) -> pd.DataFrame:
    """Add arrears and the usual instalment as they stood on the day of the promise."""
    read = read_log(
        instalments,
        table="instalments",
        reporting_date=result["promise_date"].max(),
        needed=["facility_id"],
        dates=["due_date"],
        later_dates=["paid_date"],
        amounts={"due_amount": True, "paid_amount": False},
    )
    asked = pd.DataFrame(
        {
            "place": np.arange(len(result)),
            "facility_id": result["facility_id"].to_numpy(),
            "promise_date": result["promise_date"].to_numpy(),
        }
    )
    met = asked.merge(read[["facility_id", "due_date", "due_amount", "paid_date", "paid_amount"]], on="facility_id")
    met = met[met["due_date"] <= met["promise_date"]]
    paid = (met["paid_date"] <= met["promise_date"]) & (met["paid_amount"] >= met["due_amount"])
    oldest = met[~paid].groupby("place")["due_date"].min().reindex(asked["place"])
    latest = met.sort_values("due_date", kind="stable").groupby("place")["due_amount"].last().reindex(asked["place"])
    days = (asked["promise_date"].to_numpy() - oldest.to_numpy()) / np.timedelta64(1, "D")
    ratio = result["promised_amount"].to_numpy() / latest.to_numpy()
    return result.assign(
        months_past_due=np.clip(np.nan_to_num(days / _DAYS_PER_MONTH), 0.0, _MOST_MONTHS),
        amount_log_ratio=np.nan_to_num(np.log(ratio)),
        has_instalment=latest.notna().to_numpy(),
    )


def _with_default(result: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    """Add the time since the last default before the promise, and the promise beside its exposure."""
    read = read_log(
        episodes,
        table="episodes",
        reporting_date=result["promise_date"].max(),
        needed=["facility_id"],
        dates=["default_date"],
        amounts={"ead": True},
    )
    asked = result[["facility_id", "promise_date", "promised_amount"]].assign(place=np.arange(len(result)))
    met = pd.merge_asof(
        asked.sort_values("promise_date", kind="stable"),
        read[["facility_id", "default_date", "ead"]].sort_values("default_date", kind="stable"),
        left_on="promise_date",
        right_on="default_date",
        by="facility_id",
    ).sort_values("place")
    days = (met["promise_date"] - met["default_date"]).dt.days.to_numpy(dtype=float)
    return result.assign(
        months_since_default=np.nan_to_num(days / _DAYS_PER_MONTH),
        exposure_log_ratio=np.nan_to_num(np.log((met["promised_amount"] / met["ead"]).to_numpy(dtype=float))),
    )
