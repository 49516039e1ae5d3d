"""The LGD of each default episode, realised or expected: the rows from which averages are made.

Private to ``lgd``; knows nothing of how the ledger discounted or of how the remaining curve was estimated.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, Violation
from recoverykit.estimators._rows import Array, BoolArray, IntArray, broken, check_columns
from recoverykit.estimators.recovery_curve import RemainingRecovery
from recoverykit.vocabulary import Outcome

PER_EPISODE_COLUMNS = (
    *("episode_id", "obligor_id", "ead", "denominator_amount", "outcome", "is_closed", "is_late_entry", "age_months"),
    *("recovered_rate", "expected_remaining_rate", "expected_lgd", "is_beyond_curve"),
)


def expected_lgd(
    episodes: pd.DataFrame,
    worksheet: pd.DataFrame,
    remaining: RemainingRecovery,
    *,
    reporting_date: pd.Timestamp | str | None = None,
    keep: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the LGD of each episode: realised of closed ones, so far plus expected of open ones.

    Parameters
    ----------
    episodes : DataFrame
        With episode_id, obligor_id, ead, outcome and months_in_default (completed months for open ones). Not changed.
    worksheet : DataFrame
        With episode_id and lgd_to_date; denominator_amount (else EAD), is_closed (else by the outcome) and
        is_late_entry (else none) where there.
    remaining : RemainingRecovery
        What open episodes still recover, discounted to the default date.
    reporting_date : date, optional
        With it, and ``default_date`` in the episodes, the age of an open episode counts the days of its running month,
        so that recoveries of these days are not expected once more. Without it, ages are completed months, which is
        exact when defaults are dated at month ends.
    keep : sequence of str
        Further columns of ``episodes`` to carry along, such as segment columns.

    Returns
    -------
    DataFrame
        One row per episode, sorted by episode_id: ``PER_EPISODE_COLUMNS``, then ``keep``. Rates are shares of
        denominator_amount; expected_remaining_rate is 0 where closed; expected_lgd is 1 - recovered_rate -
        expected_remaining_rate.

    Raises
    ------
    ContractError
        When columns are missing, or episodes and worksheet do not hold the same episodes once each.
    InsufficientDataError
        When there is no episode.

    Examples
    --------
    >>> curve = RemainingRecovery(months=[0, 1, 2], share_of_ead=[0, 0.2, 0.3], share_resolved=[0, 0.5, 1.0],
    ...                           still_open=[1, 0.5, 0], n_open_at_start=[4, 4, 2], ead_open_at_start=[400, 400, 200])
    >>> episodes = pd.DataFrame({"episode_id": ["A#1", "B#1"], "obligor_id": ["a", "b"], "ead": [100.0, 200.0],
    ...                          "outcome": ["sold", "open"], "months_in_default": [1, 1]})
    >>> worksheet = pd.DataFrame({"episode_id": ["A#1", "B#1"], "lgd_to_date": [0.4, 0.9]})
    >>> expected_lgd(episodes, worksheet, curve)["expected_lgd"].round(3).tolist()
    [0.4, 0.6]

    The open loan has lost 90 % so far and may expect 30 % of its EAD after month 1.
    """
    needed = ["episode_id", "obligor_id", "ead", "outcome", "months_in_default", *keep]
    check_columns(episodes, needed + ([] if reporting_date is None else ["default_date"]), table="episodes")
    check_columns(worksheet, ["episode_id", "lgd_to_date"], table="worksheet")
    _check_same_episodes(episodes, worksheet)
    frame = episodes.sort_values("episode_id").set_index("episode_id", drop=False)
    lines = worksheet.set_index("episode_id").loc[frame.index]
    is_closed = _flags(lines, "is_closed", (frame["outcome"] != Outcome.OPEN).to_numpy())
    ages = age_in_months(frame, reporting_date)
    ead = frame["ead"].to_numpy(dtype=float)
    denominator = lines["denominator_amount"].to_numpy(dtype=float) if "denominator_amount" in lines else ead
    lgd_to_date = pd.to_numeric(lines["lgd_to_date"]).to_numpy(dtype=float, na_value=np.nan)
    still_to_come = np.where(is_closed, 0.0, remaining.total_after(ages) * ead / denominator)
    columns = {
        "episode_id": frame["episode_id"],
        "obligor_id": frame["obligor_id"],
        "ead": ead,
        "denominator_amount": denominator,
        "outcome": frame["outcome"],
        "is_closed": is_closed,
        "is_late_entry": _flags(lines, "is_late_entry", np.zeros(len(frame), dtype=bool)),
        "age_months": ages,
        "recovered_rate": 1.0 - lgd_to_date,
        "expected_remaining_rate": still_to_come,
        "expected_lgd": lgd_to_date - still_to_come,
        "is_beyond_curve": ~is_closed & (ages >= remaining.months[-1]),
    }
    return pd.DataFrame({**columns, **{c: frame[c] for c in keep}}).reset_index(drop=True)


def age_in_months(frame: pd.DataFrame, reporting_date: pd.Timestamp | str | None) -> Array:
    """Return months in default, with the part of the running month when the reporting date is given.

    Parameters
    ----------
    frame : DataFrame of shape (n_episodes, ...)
        With months_in_default and outcome, and default_date where a reporting date is given.
    reporting_date : date or None
        Without it, completed months.

    Returns
    -------
    ndarray of shape (n_episodes,)
        Months; only open episodes have a running month.
    """
    months = frame["months_in_default"].to_numpy(dtype=float)
    if reporting_date is None:
        return months
    today = pd.Timestamp(reporting_date)
    completed = months.astype(np.int64)
    days = frame["default_date"].to_numpy(dtype="datetime64[D]")
    start, end = _months_later(days, completed), _months_later(days, completed + 1)
    part = np.clip((np.datetime64(today, "D") - start) / (end - start), 0.0, 1.0)
    return np.where(frame["outcome"] == Outcome.OPEN, months + part, months)


def _months_later(days: NDArray[np.datetime64], months: IntArray) -> NDArray[np.datetime64]:
    """Return the same day some months later, or that month's last; the end of a month stays an end of a month."""
    month = days.astype("datetime64[M]")
    one = np.timedelta64(1, "D")
    first = (month + months).astype("datetime64[D]")
    last = (month + months + 1).astype("datetime64[D]") - one
    was_last = days == (month + 1).astype("datetime64[D]") - one
    same = first + (days - month.astype("datetime64[D]"))
    return np.where(was_last, last, np.minimum(same, last))


def _flags(lines: pd.DataFrame, column: str, default: BoolArray) -> BoolArray:
    return lines[column].to_numpy(dtype=bool) if column in lines else default


def _check_same_episodes(episodes: pd.DataFrame, worksheet: pd.DataFrame) -> None:
    found: list[Violation] = []
    for table, frame, other in (("episodes", episodes, worksheet), ("worksheet", worksheet, episodes)):
        twice = frame["episode_id"].duplicated().to_numpy()
        found += broken(frame, "episode_id must not be repeated", twice, table=table)
        alone = ~frame["episode_id"].isin(other["episode_id"]).to_numpy()
        found += broken(frame, "every episode must be in both episodes and worksheet", alone, table=table)
    if found:
        raise ContractError(found)
