"""Tables of a chain ladder, and its cautions in words. Private to ``chain_ladder``; nothing is estimated here."""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from recoverykit.estimators._chain_ladder_kernels import Development, Factors
from recoverykit.estimators._rows import Array, BoolArray, IntArray
from recoverykit.estimators._triangle_layout import VintageRows

#: A vintage multiplied by more than this is told as one that rests on its luck so far.
LARGE_FACTOR = 4.0


def development_table(factors: Factors, ends: IntArray) -> pd.DataFrame:
    """Return one row per factor, a tail last; ``ends`` are the last months of the columns."""
    n = len(factors.factors)
    to_ultimate = np.cumprod(factors.factors[::-1])[::-1]
    last = np.append(ends[1:].astype(float), np.nan)
    return pd.DataFrame(
        {
            "from_month": ends[:n],
            "to_month": last[:n],
            "factor": factors.factors,
            "standard_error": factors.standard_errors,
            "sigma": np.sqrt(factors.sigma_squared),
            "n_vintages": factors.n_vintages,
            "share_recovered": 1.0 / to_ultimate,
        }
    )


def vintage_table(rows: VintageRows, made: Development, ends: IntArray, latest: IntArray, level: float) -> pd.DataFrame:
    """Return one row per vintage; ``latest`` is its last known column, -1 where there is none."""
    seen = latest >= 0
    known = np.take_along_axis(made.completed, np.maximum(latest, 0)[:, None], axis=1)[:, 0]
    table = pd.DataFrame(
        {
            rows.vintages.name: rows.vintages,
            "n_episodes": rows.n_episodes,
            "ead": rows.ead,
            "month": np.where(seen, ends[np.maximum(latest, 0)], np.nan),
            "recovered_amount": np.where(seen, known, np.nan),
            "ultimate_amount": made.completed[:, -1],
            "process_error": np.sqrt(made.process[:, -1]),
            "parameter_error": np.sqrt(made.parameter[:, -1]),
        }
    )
    return _with_rates(table, level)


def _with_rates(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Add what remains, the standard error, and everything as a share of EAD with its interval."""
    remaining = table["ultimate_amount"] - table["recovered_amount"]
    error = np.hypot(table["process_error"].to_numpy(), table["parameter_error"].to_numpy())
    lower, upper = _limits(remaining.to_numpy(), error, level)
    return table.assign(
        remaining_amount=remaining,
        standard_error=error,
        recovered_rate=table["recovered_amount"] / table["ead"],
        ultimate_rate=table["ultimate_amount"] / table["ead"],
        standard_error_rate=error / table["ead"],
        lower=(table["recovered_amount"] + lower) / table["ead"],
        upper=(table["recovered_amount"] + upper) / table["ead"],
    )


def _limits(remaining: Array, error: Array, level: float) -> tuple[Array, Array]:
    """Return the interval of the remaining amount: log-normal where it is above 0, normal elsewhere."""
    z = float(ndtri(0.5 + 0.5 * level))
    safe = np.where(remaining > 0, remaining, 1.0)
    spread = np.sqrt(np.log1p((error / safe) ** 2))
    limits = [
        np.where(remaining > 0, safe * np.exp(sign * z * spread - 0.5 * spread**2), remaining + sign * z * error)
        for sign in (-1.0, 1.0)
    ]
    return limits[0], limits[1]


def total_line(
    rows: VintageRows, made: Development, ends: IntArray, latest: IntArray, is_projected: BoolArray, level: float
) -> pd.Series:
    """Return the sum over the projected vintages; its parameter error is not the sum of theirs."""
    single = vintage_table(rows, made, ends, latest, level).loc[is_projected]
    sums = single[["n_episodes", "ead", "recovered_amount", "ultimate_amount"]].sum()
    line = pd.DataFrame(
        {
            "n_vintages": [int(is_projected.sum())],
            **{name: [sums[name]] for name in sums.index},
            "process_error": [np.sqrt(made.total_process[-1])],
            "parameter_error": [np.sqrt(made.total_parameter[-1])],
        }
    )
    return _with_rates(line, level).iloc[0].rename("total")


def cell_table(rows: VintageRows, made: Development, ends: IntArray, latest: IntArray) -> pd.DataFrame:
    """Return the completed triangle, one row per vintage and column; a tail is in no column."""
    n_vintages, n_columns = len(rows.vintages), len(ends)
    column = np.tile(np.arange(n_columns), n_vintages)
    amount = made.completed[:, :n_columns].ravel()
    error = np.sqrt(made.process + made.parameter)[:, :n_columns].ravel()
    is_extrapolated = column > np.repeat(latest, n_columns)
    return pd.DataFrame(
        {
            rows.vintages.name: np.repeat(rows.vintages, n_columns),
            "month": ends[column],
            "cumulative_amount": amount,
            "cumulative_recovery_rate": amount / np.repeat(rows.ead, n_columns),
            "standard_error": np.where(is_extrapolated, error, 0.0),
            "is_extrapolated": is_extrapolated,
        }
    )


def cautions(
    rows: VintageRows, development: pd.DataFrame, is_projected: BoolArray, latest: IntArray
) -> tuple[str, ...]:
    """Say in words where the numbers are weak."""
    found = []
    if not is_projected.all():
        names = ", ".join(map(str, rows.vintages[~is_projected]))
        found.append(
            f"{names} recovered nothing yet, or less, or are younger than the first column: multiplying says nothing "
            "of them, they have no estimate and are not in the total; use BornhuetterFergusonModel"
        )
    falling = development[development["factor"] < 1.0]
    if len(falling):
        where = ", ".join(f"{m:g}" for m in falling["from_month"])
        found.append(
            f"after month {where} the cumulative amount falls: costs exceed recoveries there, and a factor below 1 "
            "lets vintages that recovered more pay more costs; the additive curve (recovery_curve) does not"
        )
    single = development[development["n_vintages"] == 1]
    if len(single):
        where = ", ".join(f"{m:g}" for m in single["from_month"])
        found.append(f"the factors after month {where} rest on one vintage each; their errors are continued, not seen")
    if development["sigma"].isna().any():
        found.append("fewer than two factors have a variance of their own, so there are no standard errors")
    to_ultimate = 1.0 / development["share_recovered"].to_numpy()
    position = np.clip(latest, 0, len(to_ultimate) - 1)
    leans = is_projected & (latest < len(to_ultimate)) & (to_ultimate[position] > LARGE_FACTOR)
    if leans.any():
        names = ", ".join(map(str, rows.vintages[leans]))
        found.append(
            f"{names} are multiplied by more than {LARGE_FACTOR:g}, and their luck so far with them; "
            "BornhuetterFergusonModel leans on older vintages instead"
        )
    return tuple(found)
