"""The measures of a scorecard, one function each: units in rows, the same columns for all. Private to ``scorecards``.

Each measure says what it counts, on how many cases it rests and which way is better; none is a sum over measures.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from recoverykit.errors import ContractError
from recoverykit.estimators._rows import broken, check_columns
from recoverykit.operations._cents import cents
from recoverykit.operations._exact_intervals import binomial_interval
from recoverykit.operations._log_border import read_log
from recoverykit.operations._predictive_accuracy import predictive_accuracy
from recoverykit.operations._recovery_cases import RecoveryCases
from recoverykit.operations.court import court_phases, phase_durations, win_rates
from recoverykit.operations.promises import promise_kept_rates, promise_outcomes

Array = NDArray[np.float64]
#: Results of a call that are a conversation with the right person, and those that say whether there was one.
CONVERSATIONS = ("right_party", "promise", "refused")
KNOWN_RESULTS = (*CONVERSATIONS, "wrong_party", "no_answer")
INVALID_NUMBER = "invalid_number"
COLUMNS = ("unit", "measure", "n_cases", "n_left_out", "value", "lower", "upper")
#: What rounding leaves of a difference that is none, as a share of the amounts.
_ROUNDING = 1e-9


def recovery_rates(recovery: RecoveryCases, level: float) -> pd.DataFrame:
    """Return cash within the horizon / owed at the start, over the cases old enough, and the share that met the target.

    The interval of the ratio of sums is the linearised one with Student's t (Cochran 1977, Sampling Techniques, 6.4):
    money is concentrated in few cases, and it takes cases as independent; it is missing where cases do not differ. That
    of the share is exact.
    """
    rows = []
    for unit, own in recovery.cases.groupby("unit", sort=True):
        old = own[own["is_old_enough"]]
        n, young = len(old), len(own) - len(old)
        owed, came = cents(old["owed_amount"]).astype(float), cents(old["recovered_amount"]).astype(float)
        rate, reach = _ratio_of_sums(came, owed, level)
        rows.append((unit, "recovery_rate", n, young, rate, rate - reach, rate + reach))
        met = int(old["has_met_target"].sum())
        lower, upper = binomial_interval(met, n, level=level)
        rows.append((unit, "target_met_rate", n, young, met / n if n else np.nan, float(lower), float(upper)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def right_party_contacts(
    actions: pd.DataFrame, *, reporting_date: pd.Timestamp | str, level: float = 0.95, mid_p: bool = False
) -> pd.DataFrame:
    """Return by unit the share of dials to valid numbers that became a conversation with the right person.

    Parameters
    ----------
    actions : DataFrame
        action_time, unit, kind and result; only calls are read.
    reporting_date : date-like
    level, mid_p
        Of the exact interval, which takes calls as independent.

    Returns
    -------
    DataFrame
        unit, n_calls, n_invalid (the number is not in use), n_unknown (no result that tells), n_dials (to valid
        numbers: the rest), n_conversations (right party, promise or refusal), right_party_rate, lower, upper.

    Raises
    ------
    ContractError, InsufficientDataError
        When a column is missing, or there is no action.
    """
    check_columns(actions, ["unit", "kind", "action_time", "result"], table="actions")
    read = read_log(
        actions,
        table="actions",
        reporting_date=pd.Timestamp(reporting_date),
        needed=["unit", "kind"],
        dates=["action_time"],
    )
    calls = read[read["kind"] == "call"]
    result = calls["result"].astype(object)
    flags = pd.DataFrame(
        {
            "n_calls": 1,
            "n_invalid": (result == INVALID_NUMBER).astype(np.int64),
            "n_unknown": (~result.isin([*KNOWN_RESULTS, INVALID_NUMBER])).astype(np.int64),
            "n_dials": result.isin(KNOWN_RESULTS).astype(np.int64),
            "n_conversations": result.isin(CONVERSATIONS).astype(np.int64),
        },
        index=calls.index,
    )
    table = flags.groupby(calls["unit"], sort=True).sum()
    table["right_party_rate"] = table["n_conversations"] / table["n_dials"].where(table["n_dials"] > 0)
    limits = binomial_interval(table["n_conversations"], table["n_dials"], level=level, mid_p=mid_p)
    table["lower"], table["upper"] = limits
    return table.reset_index()


def contact_rates(actions: pd.DataFrame, date: pd.Timestamp, level: float, mid_p: bool) -> pd.DataFrame:
    """Return the right-party-contact rate as a measure."""
    table = right_party_contacts(actions, reporting_date=date, level=level, mid_p=mid_p)
    left_out = table["n_invalid"] + table["n_unknown"]
    return _as_measure(table, "right_party_rate", table["n_dials"], left_out, table["right_party_rate"])


def promise_rates(
    promises: pd.DataFrame, date: pd.Timestamp, grace: int, stated_event: str, level: float, mid_p: bool
) -> pd.DataFrame:
    """Return the promise-kept rate and, where units stated probabilities, their Brier score and calibration."""
    check_columns(promises, ["unit"], table="promises")
    found = broken(promises, "unit must not be missing", promises["unit"].isna().to_numpy(), table="promises")
    if found:  # groups would leave them out in silence
        raise ContractError(found)
    outcomes = promise_outcomes(promises, reporting_date=date, grace_days=grace)
    table = promise_kept_rates(outcomes, by="unit", level=level, mid_p=mid_p)
    parts = [_as_measure(table, "promise_kept_rate", table["n_due"], table["n_open"], table["kept_rate"])]
    due = outcomes[outcomes["is_due"]]
    if "predicted_prob" in due and due["predicted_prob"].notna().any():
        accuracy = predictive_accuracy(due, event_col=stated_event, level=level, mid_p=mid_p)
        accuracy = accuracy[accuracy["n_predictions"] > 0]
        n, without = accuracy["n_predictions"], accuracy["n_without"]
        score = accuracy.assign(lower=np.nan, upper=np.nan)
        parts.append(_as_measure(score, "brier_score", n, without, score["brier_score"]))
        gap = accuracy.assign(
            lower=accuracy["lower"] - accuracy["predicted"], upper=accuracy["upper"] - accuracy["predicted"]
        )
        parts.append(_as_measure(gap, "calibration_gap", n, without, gap["observed"] - gap["predicted"]))
    return pd.concat(parts, ignore_index=True)


def court_measures(court: pd.DataFrame, date: pd.Timestamp, level: float, mid_p: bool) -> pd.DataFrame:
    """Return the day by which half of the cases have a judgment, and the share won of those decided."""
    phases = court_phases(court, reporting_date=date)
    days = phase_durations(phases, phase="filing_to_judgment", by="unit", horizons=(365,), level=level).table
    days = days[days["outcome"] == "judgment"].rename(columns={"group": "unit"})
    wins = win_rates(court, reporting_date=date, by="unit", level=level, mid_p=mid_p)
    none = pd.Series(0, index=days.index)
    return pd.concat(
        [
            _as_measure(days, "days_to_judgment", days["n_cases"], none, days["median_days"]),
            _as_measure(wins, "win_rate", wins["n_decided"], wins["n_cases"] - wins["n_decided"], wins["win_rate"]),
        ],
        ignore_index=True,
    )


def _as_measure(
    table: pd.DataFrame, measure: str, n_cases: pd.Series, n_left_out: pd.Series, value: pd.Series
) -> pd.DataFrame:
    """Return one measure in the columns that all measures share."""
    return pd.DataFrame(
        {
            "unit": table["unit"],
            "measure": measure,
            "n_cases": n_cases,
            "n_left_out": n_left_out,
            "value": value.astype(float),
            "lower": table["lower"],
            "upper": table["upper"],
        }
    )[list(COLUMNS)]


def _ratio_of_sums(came: Array, owed: Array, level: float) -> tuple[float, float]:
    """Return a ratio of sums and the half-width of its interval.

    NaN where there is nothing; no half-width with one case, or where all brought the same share, as when none brought
    anything: cases that do not differ tell nothing of how much others would.
    """
    n = len(owed)
    if n == 0:
        return float("nan"), float("nan")
    rate = float(came.sum() / owed.sum())
    off = came - rate * owed
    if n == 1 or np.abs(off).max() <= _ROUNDING * owed.max():
        return rate, float("nan")
    error = float(np.sqrt(np.sum(off**2) / (n - 1) * n)) / float(owed.sum())
    return rate, float(stats.t.ppf(0.5 + level / 2.0, n - 1)) * error
