"""Court work: how long its phases take, how often it wins, what it costs, and whether complete files help.

Open cases are censored; a settlement or a withdrawal ends a case in its own way and competes with the judgment. To
average the days of decided cases alone would praise a court for deciding its easy cases first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.estimators._rows import check_columns, check_level
from recoverykit.estimators.nonparametric import aalen_johansen_by
from recoverykit.operations._court_cases import read_court
from recoverykit.operations._court_load import court_capacity, court_costs
from recoverykit.operations._court_packages import PackageEffect, package_effect
from recoverykit.operations._exact_intervals import binomial_interval
from recoverykit.vocabulary import WHOLE_BOOK, segment_name

__all__ = [
    "PackageEffect",
    "PhaseDurations",
    "court_capacity",
    "court_costs",
    "court_phases",
    "package_effect",
    "phase_durations",
    "win_rates",
]

#: Phase -> the date where it begins, the date that ends it as it should, and what that end is called.
PHASES = {
    "filing_to_hearing": ("filing_date", "hearing_date", "hearing"),
    "hearing_to_judgment": ("hearing_date", "judgment_date", "judgment"),
    "filing_to_judgment": ("filing_date", "judgment_date", "judgment"),
    "judgment_to_enforcement": ("judgment_date", "enforcement_date", "enforcement"),
}
#: Other ends of a phase: date -> what it is called.
_OTHER_ENDS = {"settlement_date": "settled", "withdrawal_date": "withdrawn"}
_ENDINGS = ("won", "partly_won", "lost", "settled", "withdrawn", "open")


@dataclass(frozen=True, slots=True, eq=False)
class PhaseDurations:
    """How long one phase takes, by group.

    Attributes
    ----------
    phase : str
    table : DataFrame
        One row per group and outcome: group, outcome, n_cases (that entered the phase), n_events, n_open, median_days
        (day by which half of all cases had this outcome; missing where it never was half), lower, upper (of it), and
        for each horizon ``prob_N``, ``lower_N``, ``upper_N``, ``n_at_risk_N``: the probability of the outcome by day N,
        missing where nobody was observed as long. Without a row where no case has ended yet.
    curves : dict of str to dict of str to StepCurve
        Group to outcome to Aalen-Johansen curve; times are days.
    level : float
    """

    phase: str
    table: pd.DataFrame
    curves: dict[str, dict[str, StepCurve]]
    level: float


def court_phases(court: pd.DataFrame, *, reporting_date: pd.Timestamp | str) -> pd.DataFrame:
    """Split court cases into phases, each with its length and how it ended.

    Parameters
    ----------
    court : DataFrame
        case_id, facility_id, court, unit, filing_date, hearing_date, judgment_date, settlement_date, withdrawal_date,
        enforcement_date, judgment, package_complete, claim_amount, recovered_amount, cost_amount (the last two empty
        where not known). Not changed.
    reporting_date : date-like
        Nothing later is read: a date after it is not known yet.

    Returns
    -------
    DataFrame
        One row per case and phase that the case entered: case_id, court, unit, package_complete, phase (of
        ``PHASES``), start_date, days and outcome: ``hearing``, ``judgment``, ``enforcement``, ``settled``,
        ``withdrawn``, ``no_claim`` (the judgment was lost, so that there is nothing to enforce) or ``open``
        (censored). Without a hearing, a judgment ends the phase from filing to hearing. A case that ended before a
        phase began does not enter it.

    Raises
    ------
    ContractError, InsufficientDataError
        When a column is missing, dates lie in an impossible order, or no case was filed by the reporting date.
    """
    date = pd.Timestamp(reporting_date)
    cases = read_court(court, date)
    parts = []
    for phase, (begin, goal, name) in PHASES.items():
        # a hearing that was set for a day after the settlement never began
        entered = cases[cases[begin].notna() & ~(cases["end_date"] < cases[begin])]
        # The first of these wins a tie: a case settled on the day of its judgment is settled, as in ``win_rates``.
        ends = _OTHER_ENDS | {goal: name} if name == "judgment" else {goal: name} | _OTHER_ENDS
        if phase == "filing_to_hearing":
            ends |= {"judgment_date": "judgment"}
        dates = entered[list(ends)]
        first = dates.min(axis=1)
        outcome = pd.Series("open", index=entered.index)
        for column in reversed(ends):
            outcome = outcome.mask(dates[column].notna() & (dates[column] == first), ends[column])
        end = first.fillna(date)
        if phase == "judgment_to_enforcement":
            lost = entered["judgment"] == "lost"
            outcome, end = outcome.mask(lost, "no_claim"), end.mask(lost, entered[begin])
        kept = entered[["case_id", "court", "unit", "package_complete"]]
        days = (end - entered[begin]).dt.days
        parts.append(kept.assign(phase=phase, start_date=entered[begin], days=days, outcome=outcome))
    return pd.concat(parts, ignore_index=True)


def phase_durations(
    phases: pd.DataFrame,
    *,
    phase: str = "filing_to_judgment",
    by: str | Sequence[str] = "court",
    horizons: Sequence[int] = (180, 365, 730),
    level: float = 0.95,
) -> PhaseDurations:
    """Estimate how long a phase takes while its ends compete, for each group.

    Parameters
    ----------
    phases : DataFrame
        From ``court_phases``.
    phase : str
        One of ``PHASES``.
    by : str or sequence of str
        Columns of the groups, such as ``court`` or ``unit``; empty for all cases.
    horizons : sequence of int
        Days.
    level : float
        Of the intervals.

    Returns
    -------
    PhaseDurations

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When a column is missing, no case entered the phase, or an option is not allowed.

    Notes
    -----
    Aalen-Johansen, from ``aalen_johansen_by``. The interval of the median holds the days at which the pointwise band
    of the curve holds one half (Brookmeyer & Crowley 1982).
    """
    check_level(level)
    if phase not in PHASES or any(day <= 0 for day in horizons):
        raise ValueError(f"phase is {phase!r}, one of {', '.join(PHASES)}; horizons must be days above 0")
    check_columns(phases, ["phase", "days", "outcome"], table="phases")
    columns = [by] if isinstance(by, str) else list(by)
    rows = phases[phases["phase"] == phase]
    curves = aalen_johansen_by(rows, by=columns, duration_col="days", outcome_col="outcome", level=level)
    names = (
        rows[columns].astype(str).agg(list, axis=1).map(segment_name) if columns else pd.Series(WHOLE_BOOK, rows.index)
    )
    counts = pd.crosstab(names, rows["outcome"])
    table = []
    for group, own in curves.items():
        size = int(counts.loc[group].sum())
        n_open = int(counts.loc[group].get("open", 0))
        for outcome, curve in own.items():
            row = {
                "group": group,
                "outcome": outcome,
                "n_cases": size,
                "n_events": int(counts.loc[group].get(outcome, 0)),
            }
            table.append(row | {"n_open": n_open} | _half(curve) | _by_horizons(curve, own, horizons))
    return PhaseDurations(phase, _durations(table, horizons), curves, level)


def win_rates(
    court: pd.DataFrame,
    *,
    reporting_date: pd.Timestamp | str,
    by: str | Sequence[str] = "court",
    level: float = 0.95,
    mid_p: bool = False,
) -> pd.DataFrame:
    """Count how cases ended, with settled and withdrawn as classes of their own, and the share won of those decided.

    Parameters
    ----------
    court : DataFrame
        As in ``court_phases``.
    reporting_date : date-like
    by : str or sequence of str
        Columns of the groups; empty for all cases.
    level, mid_p
        Of the exact intervals.

    Returns
    -------
    DataFrame
        One row per group: n_cases, n_won, n_partly_won, n_lost, n_settled, n_withdrawn, n_open (together all cases),
        n_decided, win_rate (won outright / decided), lower, upper, partly_win_rate (won at least partly / decided) and
        settled_rate (settled / closed). A case that was settled on or before the day of its judgment is settled.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``court_phases``.

    Notes
    -----
    A unit that settles its doubtful cases wins more of the rest; look at ``settled_rate`` beside it. Open cases are out
    of the rate, so that it favours courts and units whose easy cases end first: compare cases filed long ago.
    """
    check_level(level)
    columns = [by] if isinstance(by, str) else list(by)
    cases = read_court(court, pd.Timestamp(reporting_date), by=columns)
    keys = [cases[name] for name in columns] or [pd.Series(WHOLE_BOOK, index=cases.index, name="group")]
    flags = pd.DataFrame({f"n_{name}": (cases["ending"] == name).astype(np.int64) for name in _ENDINGS})
    table = flags.groupby(keys, sort=True).sum()
    table.insert(0, "n_cases", table.sum(axis=1))
    table["n_decided"] = table["n_won"] + table["n_partly_won"] + table["n_lost"]
    decided = table["n_decided"].where(table["n_decided"] > 0)
    table["win_rate"] = table["n_won"] / decided
    table["lower"], table["upper"] = binomial_interval(table["n_won"], table["n_decided"], level=level, mid_p=mid_p)
    table["partly_win_rate"] = (table["n_won"] + table["n_partly_won"]) / decided
    closed = table["n_cases"] - table["n_open"]
    table["settled_rate"] = table["n_settled"] / closed.where(closed > 0)
    return table.reset_index()


def _durations(rows: list[dict[str, Any]], horizons: Sequence[int]) -> pd.DataFrame:
    """Return rows as a table that has its columns and their types also where no case has ended."""
    texts, counts = ["group", "outcome"], ["n_cases", "n_events", "n_open"]
    numbers = ["median_days", "lower", "upper"]
    numbers += [f"{name}_{day}" for day in dict.fromkeys(horizons) for name in ("prob", "lower", "upper", "n_at_risk")]
    types: dict[str, Any] = dict.fromkeys(counts, np.int64) | dict.fromkeys(numbers, float)
    return pd.DataFrame(rows, columns=[*texts, *counts, *numbers]).astype(types)


def _half(curve: StepCurve) -> dict[str, float]:
    """Return the first day at which a curve, and its band, reach one half."""

    def first(values: np.ndarray) -> float:
        reached = np.flatnonzero(values >= 0.5 - 1e-12)
        return float(curve.times[reached[0]]) if len(reached) else float("nan")

    return {"median_days": first(curve.values), "lower": first(curve.upper), "upper": first(curve.lower)}


def _by_horizons(curve: StepCurve, own: dict[str, StepCurve], horizons: Sequence[int]) -> dict[str, float]:
    """Return probability, limits and number at risk by each horizon; missing where nobody was observed as long."""
    facts: dict[str, float] = {}
    all_ended = sum(float(other.values[-1]) for other in own.values()) > 1.0 - 1e-12
    at_risk = np.append(curve.n_at_risk if curve.n_at_risk is not None else np.full(len(curve.times), np.nan), 0.0)
    for day in horizons:
        known = day <= curve.times[-1] or all_ended
        place = int(np.searchsorted(curve.times, day, side="right")) - 1
        values = (curve.values[place], curve.lower[place], curve.upper[place]) if known else (np.nan,) * 3
        facts |= {f"{name}_{day}": float(v) for name, v in zip(("prob", "lower", "upper"), values, strict=True)}
        facts[f"n_at_risk_{day}"] = float(at_risk[int(np.searchsorted(curve.times, day, side="left"))])
    return facts
