"""Whether complete pre-filing packages help, compared among like cases. Public through ``court``.

Nobody assigns completeness by lot: large claims and careful units have complete files, and these win for other reasons
too. Cases are therefore compared within court and size of claim, and only where both kinds exist.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._rows import check_choice, check_columns, check_level
from recoverykit.operations._court_cases import read_court
from recoverykit.operations._log_border import COURT_OUTCOMES, check_score_formula

Array = NDArray[np.float64]
OUTCOMES = ("judgment", "won", "recovered")
#: Cases of each kind that a stratum needs to be compared.
MINIMUM_PER_ARM = 5


@dataclass(frozen=True, slots=True, eq=False)
class PackageEffect:
    """Complete against incomplete packages.

    Attributes
    ----------
    estimates : DataFrame
        design (``standardised``, ``overlap_weighted``, ``naive``), complete_rate, incomplete_rate, difference,
        standard_error, lower, upper, p_value, n_cases, is_sound. ``standardised`` weighs strata by all their cases
        (what complete packages would change over all comparable cases), ``overlap_weighted`` by how well they can tell
        (Mantel-Haenszel). The naive row is no estimate of an effect and is there to be seen as such.
    strata : DataFrame
        The columns of the strata, n_complete, n_incomplete, complete_share, complete_rate, incomplete_rate, difference,
        is_compared.
    balance : DataFrame
        term, level, share_complete and share_incomplete (mix of either kind), share_standardised (what both are
        weighted to).
    outcome : str
    horizon_days : int
    n_cases : int
        Filed early enough to be judged.
    n_young, n_outside : int
        Filed too late; and old enough, but in a stratum without enough of both kinds.
    n_unknown : int
        Old enough, but it is not known whether anything was recovered; 0 for other outcomes.
    """

    estimates: pd.DataFrame
    strata: pd.DataFrame
    balance: pd.DataFrame
    outcome: str
    horizon_days: int
    n_cases: int
    n_young: int
    n_outside: int
    n_unknown: int = 0

    @property
    def overlap_rate(self) -> float:
        """Share of the cases that can be compared."""
        return 1.0 - self.n_outside / self.n_cases


def package_effect(
    court: pd.DataFrame,
    *,
    reporting_date: pd.Timestamp | str,
    outcome: str = "won",
    horizon_days: int = 365,
    strata: Sequence[str] = ("court",),
    n_size_bands: int = 4,
    minimum_per_arm: int = MINIMUM_PER_ARM,
    level: float = 0.95,
) -> PackageEffect:
    """Estimate what a complete pre-filing package changes, among cases of the same court and size of claim.

    Parameters
    ----------
    court : DataFrame
        As in ``court_phases``.
    reporting_date : date-like
    outcome : {"judgment", "won", "recovered"}
        A judgment or a judgment won outright within the horizon after filing; or any recovery by the reporting date
        (``recovered_amount`` above 0, which carries no date): cases filed earlier have had longer to recover. Cases of
        which the amount is not known are left out of it and counted.
    horizon_days : int
        Only cases filed at least so long ago are compared, so that no judgment is censored.
    strata : sequence of str
        Columns within whose values cases are compared, known when the case was filed. Columns about the person and
        outcomes are refused.
    n_size_bands : int
        Bands of claim size, by quantiles of the claims compared, fewer where claims are equal; 1 for none.
    minimum_per_arm : int
        Cases of either kind that a stratum needs; others lie outside the overlap and are counted.
    level : float
        Of the intervals.

    Returns
    -------
    PackageEffect

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When columns are missing, no case is old enough or known, no stratum has enough of both kinds, or an option is
        not allowed.
    RefusedColumnError
        When a stratum reads a column that may not be used: about the person, or known only after the filing.

    Notes
    -----
    Standardised difference = sum w_s (p1_s - p0_s), w_s the share of stratum s among the cases compared, with variance
    sum w_s^2 (v1_s + v0_s), v = q (1 - q) / n, q = (x + 1/2) / (n + 1), so that a stratum in which nobody or everybody
    won is not taken as certain. The overlap-weighted one takes w_s proportional to n1 n0 / (n1 + n0) (Cochran 1954).

    Both are sound only as far as strata hold what decides completeness and outcome together; what is not recorded, such
    as the strength of the evidence, is not held equal.
    """
    check_choice("outcome", outcome, OUTCOMES)
    check_level(level)
    if horizon_days < 1 or n_size_bands < 1 or minimum_per_arm < 2:
        raise ValueError("horizon_days and n_size_bands must be 1 or more, minimum_per_arm 2 or more")
    for name in strata:
        check_score_formula(f"~ `{name}`", afterwards=COURT_OUTCOMES)
    check_columns(court, strata, table="court")
    date = pd.Timestamp(reporting_date)
    cases = read_court(court, date)
    old = cases[cases["filing_date"] + pd.Timedelta(days=horizon_days) <= date]
    if old.empty:
        raise InsufficientDataError(
            f"no case was filed {horizon_days} days before {date:%Y-%m-%d}; shorten the horizon"
        )
    told = old[old["recovered_amount"].notna()] if outcome == "recovered" else old
    if told.empty:
        raise InsufficientDataError(
            f"of no case filed by then is recovered_amount known on {date:%Y-%m-%d}; take another outcome"
        )
    ready = told.assign(
        came=_came(told, outcome, horizon_days),
        claim_size=_bands(told["claim_amount"], n_size_bands),
    )
    columns = [*strata, *(["claim_size"] if n_size_bands > 1 else [])]
    table = _strata(ready, columns, minimum_per_arm)
    compared = table[table["is_compared"]]
    if compared.empty:
        raise InsufficientDataError(
            f"no stratum of {', '.join(columns)} holds {minimum_per_arm} cases with and without a complete package; "
            "take coarser strata"
        )
    estimates = [*_standardised(compared, level), _naive(ready, level)]
    n_compared = int((compared["n_complete"] + compared["n_incomplete"]).sum())
    return PackageEffect(
        pd.DataFrame(estimates), table, _balance(ready, table, columns), outcome, horizon_days, len(ready),
        len(cases) - len(old), len(ready) - n_compared, len(old) - len(told),
    )  # fmt: skip


def _came(cases: pd.DataFrame, outcome: str, horizon_days: int) -> Array:
    """Return 1.0 where the outcome came: a judgment within the horizon, a recovery by the reporting date."""
    if outcome == "recovered":
        return np.asarray(cases["recovered_amount"] > 0, dtype=float)
    last = cases["filing_date"] + pd.Timedelta(days=horizon_days)
    judged = (cases["end_date"] <= last) & cases["ending"].isin(["won", "partly_won", "lost"])
    return np.asarray(judged & ((outcome == "judgment") | (cases["ending"] == "won")), dtype=float)


def _bands(claims: pd.Series, n_bands: int) -> pd.Series:
    """Return bands of claim size by quantiles, named by their place: ``band 1 of 4``; equal claims share a band."""
    inner = np.unique(np.quantile(claims, np.linspace(0.0, 1.0, n_bands + 1)[1:-1]))
    inner = inner[inner < claims.max()]  # above the largest claim there is nobody
    names = [f"band {place + 1} of {len(inner) + 1}" for place in range(len(inner) + 1)]
    return pd.Series(np.array(names, dtype=object)[np.searchsorted(inner, claims, side="left")], index=claims.index)


def _strata(ready: pd.DataFrame, columns: list[str], minimum: int) -> pd.DataFrame:
    """Return counts and rates by stratum."""
    parts = ready.assign(
        n_complete=ready["package_complete"].astype(np.int64),
        n_incomplete=(~ready["package_complete"]).astype(np.int64),
        came_complete=ready["came"] * ready["package_complete"],
        came_incomplete=ready["came"] * ~ready["package_complete"],
    )
    sums = ["n_complete", "n_incomplete", "came_complete", "came_incomplete"]
    keys = [ready[name] for name in columns] or [pd.Series("all", index=ready.index, name="stratum")]
    table = parts[sums].groupby(keys, sort=True).sum().reset_index()
    for arm in ("complete", "incomplete"):
        table[f"{arm}_rate"] = table[f"came_{arm}"] / table[f"n_{arm}"].where(table[f"n_{arm}"] > 0)
    table["complete_share"] = table["n_complete"] / (table["n_complete"] + table["n_incomplete"])
    table["difference"] = table["complete_rate"] - table["incomplete_rate"]
    table["is_compared"] = table[["n_complete", "n_incomplete"]].min(axis=1) >= minimum
    return table.drop(columns=["came_complete", "came_incomplete"])


def _standardised(compared: pd.DataFrame, level: float) -> list[dict[str, object]]:
    """Return the standardised and the overlap-weighted contrast."""
    many, few = (compared[name].to_numpy(float) for name in ("n_complete", "n_incomplete"))
    high, low = (compared[name].to_numpy(float) for name in ("complete_rate", "incomplete_rate"))
    drawn_in = ((high * many + 0.5) / (many + 1), many), ((low * few + 0.5) / (few + 1), few)
    variance = [share * (1 - share) / size for share, size in drawn_in]
    rows = []
    for design, weight in (("standardised", many + few), ("overlap_weighted", many * few / (many + few))):
        share = weight / weight.sum()
        error = float(np.sqrt(np.sum(share**2 * (variance[0] + variance[1]))))
        rates = float(share @ high), float(share @ low)
        rows.append(_row(design, rates, error, int((many + few).sum()), level, is_sound=True))
    return rows


def _naive(ready: pd.DataFrame, level: float) -> dict[str, object]:
    """Return the contrast that ignores why some packages are complete."""
    came, complete = ready["came"].to_numpy(float), ready["package_complete"].to_numpy(bool)
    arms = came[complete], came[~complete]
    rates = tuple(float(arm.mean()) if len(arm) else float("nan") for arm in arms)
    error = float(np.sqrt(sum(arm.var() / max(len(arm) - 1, 1) for arm in arms)))
    return _row("naive", (rates[0], rates[1]), error, len(ready), level, is_sound=False)


def _row(
    design: str, rates: tuple[float, float], error: float, n_cases: int, level: float, *, is_sound: bool
) -> dict[str, object]:
    difference = rates[0] - rates[1]
    reach = stats.norm.ppf(0.5 + level / 2.0) * error
    return {
        "design": design,
        "complete_rate": rates[0],
        "incomplete_rate": rates[1],
        "difference": difference,
        "standard_error": error,
        "lower": difference - reach,
        "upper": difference + reach,
        "p_value": float(2.0 * stats.norm.sf(abs(difference) / error)) if error > 0 else float("nan"),
        "n_cases": n_cases,
        "is_sound": is_sound,
    }


def _balance(ready: pd.DataFrame, table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the mix of each stratum column among complete and incomplete packages, and what both are weighted to."""
    rows = []
    compared = table[table["is_compared"]]
    total = (compared["n_complete"] + compared["n_incomplete"]).sum()
    for name in columns:
        for value in sorted(ready[name].unique(), key=str):
            there = ready[name] == value
            own = compared[compared[name] == value]
            rows.append(
                {
                    "term": name,
                    "level": str(value),
                    "share_complete": float(there[ready["package_complete"]].mean()),
                    "share_incomplete": float(there[~ready["package_complete"]].mean()),
                    "share_standardised": float((own["n_complete"] + own["n_incomplete"]).sum() / total),
                }
            )
    return pd.DataFrame(rows)
