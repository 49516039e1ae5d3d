"""Allowance for credit losses on open defaulted facilities, to the cent.

For each open facility the expected recoveries, month by month, are its exposure at default times what its segment's
curve still gives to an episode that is open so long; discounted at the original effective interest rate they are the
IFRS 9 stage 3 present value, and the same discounted expected cash flows are the DCF method of CECL (ASC 326). Direct
costs are netted; floors, downturn, margins of conservatism and indirect costs have no place in an accounting number.
One central path is used: no macroeconomic scenario moves the recoveries here.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators.lgd import age_in_months
from recoverykit.estimators.recovery_curve import RemainingRecovery, remaining_recovery
from recoverykit.portfolio.book import Book, segment_labels
from recoverykit.portfolio.loss import MINIMUM_AT_RISK
from recoverykit.portfolio.money import exact_sum, to_cents
from recoverykit.portfolio.segments import spliced_cells
from recoverykit.portfolio.workout import PROVISION_POLICY, workout
from recoverykit.vocabulary import MONTHS_PER_YEAR

AGE_EDGES = (-1, 6, 12, 24, 36, 10_000)
AGE_LABELS = ("0 to 6", "7 to 12", "13 to 24", "25 to 36", "over 36")
MONEY = (
    "ead",
    "gross_carrying_amount",
    "expected_recovery_amount",
    "expected_recovery_present_value_amount",
    "allowance",
)


@dataclass(frozen=True, slots=True, eq=False)
class Provision:
    """The allowance of every open defaulted facility and its totals.

    Attributes
    ----------
    facilities : DataFrame
        One row per open episode: segment, own_months (months of its curve that rest on the segment's own episodes),
        facility_id, months_in_default, ead, gross_carrying_amount, expected_recovery_amount (undiscounted),
        expected_recovery_present_value_amount, allowance (currency, whole cents) and is_beyond_curve (open longer than
        the curve is known).
    segments, ages : DataFrame
        Totals by segment and by band of months in default, with coverage_ratio.
    total : dict
        The same for the book.
    """

    facilities: pd.DataFrame
    segments: pd.DataFrame
    ages: pd.DataFrame
    total: dict[str, float]

    def with_total(self) -> pd.DataFrame:
        """Return the segments with the total of the book as last row."""
        total = pd.DataFrame([{"segment": "Total", **self.total}])
        return pd.concat([self.segments, total], ignore_index=True) if len(self.segments) else total

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept: the allowance of every facility, of every segment and of every age band."""
        return {"allowance": self.facilities, "allowance_by_segment": self.segments, "allowance_by_age": self.ages}


def provide(book: Book, *, minimum_at_risk: int = MINIMUM_AT_RISK) -> Provision:
    """Compute the allowance for every open defaulted facility of a book.

    Parameters
    ----------
    book : Book
        The whole book.
    minimum_at_risk : int
        Open episodes that a month of a curve needs to rest on the segment; with fewer it rests on the parent, and the
        curve ends where the whole book has fewer.

    Returns
    -------
    Provision

    Raises
    ------
    InsufficientDataError
        When the whole book has too few open episodes in its first month, or an open facility has no balance.
    """
    # One central path has no use for single obligors, and each segment looks through all cells.
    # A segment column without a value is a segment as well.
    by_month = workout(book, PROVISION_POLICY).cells.groupby([*book.segment_by, "month"], dropna=False)
    cells = by_month[["net_amount_open", "ead_open_at_start", "ead_resolved", "n_open_at_start"]].sum().reset_index()
    open_episodes = book.open_episodes
    labels = segment_labels(open_episodes, book.segment_by)
    parts = []
    for segment, group in open_episodes.groupby(labels, sort=True):
        spliced, basis = spliced_cells(cells, str(segment), book.segment_by, minimum_at_risk=minimum_at_risk)
        curve = remaining_recovery(spliced, amount_col="net_amount_open", minimum_at_risk=minimum_at_risk)
        amounts = allowance(group, curve, reporting_date=book.reporting_date)
        parts.append(amounts.assign(segment=segment, own_months=basis.own_months))
    facilities = pd.concat(parts, ignore_index=True) if parts else _no_facility(open_episodes)
    bands = pd.cut(facilities["months_in_default"], AGE_EDGES, labels=AGE_LABELS).astype(str)
    ages = _totals(facilities.assign(age_band=bands), "age_band").set_index("age_band")
    ages = ages.reindex([label for label in AGE_LABELS if label in ages.index]).reset_index()
    return Provision(facilities, _totals(facilities, "segment"), ages, _total(facilities))


def allowance(
    open_episodes: pd.DataFrame, curve: RemainingRecovery, *, reporting_date: pd.Timestamp | str | None = None
) -> pd.DataFrame:
    """Return the allowance of open episodes from one curve of remaining recovery.

    Parameters
    ----------
    open_episodes : DataFrame of shape (n_open, ...)
        With facility_id, outcome, months_in_default, ead, outstanding and eir (per year), and default_date where a
        reporting date is given.
    curve : RemainingRecovery
        Undiscounted net recovery by month in default, as a share of EAD, of episodes open at its start.
    reporting_date : date, optional
        With it, of the running month in default only the days to come are expected.

    Returns
    -------
    DataFrame of shape (n_open, 8)
        Money in whole cents. Expected recoveries never exceed what is owed, and the allowance lies between zero and
        the gross carrying amount.

    Raises
    ------
    InsufficientDataError
        When an open facility has no balance at the reporting date.

    Notes
    -----
    allowance = gross carrying amount - sum over k of E[net recovery in month k from now] / (1 + eir)^(k / 12); IFRS 9
    B5.5.33. What has been recovered so far stands in ``outstanding``.
    """
    frame = open_episodes.reset_index(drop=True)
    unknown = frame.loc[frame["outstanding"].isna(), "facility_id"]
    if len(unknown):
        raise InsufficientDataError(
            f"{len(unknown):,} open facilities have no balance at the reporting date, first {', '.join(unknown[:5])}; "
            "give it as `outstanding` in the table episodes"
        )
    ages = age_in_months(frame, reporting_date)
    expected = np.zeros(len(frame))
    present_value = np.zeros(len(frame))
    for age in np.unique(ages):
        rows = np.flatnonzero(ages == age)
        shares, years = _still_to_come(curve, float(age))
        owed_now = frame["outstanding"].to_numpy()[rows]
        flows = _capped(np.outer(frame["ead"].to_numpy()[rows], shares), owed_now)
        expected[rows] = flows.sum(axis=1)
        present_value[rows] = (flows * (1 + frame["eir"].to_numpy()[rows, None]) ** -years).sum(axis=1)
    owed = to_cents(frame["outstanding"])
    value = np.clip(to_cents(present_value), 0, owed)
    return pd.DataFrame(
        {
            "facility_id": frame["facility_id"],
            "months_in_default": frame["months_in_default"],
            "ead": to_cents(frame["ead"]) / 100,
            "gross_carrying_amount": owed / 100,
            "expected_recovery_amount": to_cents(expected) / 100,
            "expected_recovery_present_value_amount": value / 100,
            "allowance": (owed - value) / 100,
            "is_beyond_curve": ages >= curve.months[-1],
        }
    )


def _still_to_come(curve: RemainingRecovery, age: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the expected recovery of each month to come, as shares of EAD, and the years until its end.

    In the running month recoveries and closures are taken as evenly spread, as ``RemainingRecovery.total_after`` does:
    after a fraction f of it, 1 - f of its recovery is left, and 1 - f h of the episodes are still open.
    """
    month, passed = int(age), age % 1.0
    shares = curve.increments_after(month)
    months_ahead = np.arange(1, len(shares) + 1) - passed
    if passed and len(shares):
        shares = shares / (1.0 - passed * curve.share_resolved[month + 1])
        shares[0] *= 1.0 - passed
    return shares, months_ahead / MONTHS_PER_YEAR


def _capped(flows: NDArray[np.float64], owed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale down the expected flows of a facility that would bring in more than is owed."""
    total = flows.sum(axis=1)
    factor = np.divide(owed, total, out=np.ones_like(total), where=total > owed)
    return flows * factor[:, None]


def _totals(facilities: pd.DataFrame, by: str) -> pd.DataFrame:
    grouped = facilities.groupby(by, sort=True)
    totals = grouped[list(MONEY)].agg(exact_sum)
    totals.insert(0, "n_open", grouped.size())
    if by == "segment":
        totals.insert(1, "own_months", grouped["own_months"].first())
    totals["n_beyond_curve"] = grouped["is_beyond_curve"].sum()
    totals["coverage_ratio"] = totals["allowance"] / totals["gross_carrying_amount"].where(lambda owed: owed > 0)
    return totals.reset_index()


def _total(facilities: pd.DataFrame) -> dict[str, float]:
    total = {"n_open": len(facilities), **{column: exact_sum(facilities[column]) for column in MONEY}}
    owed = total["gross_carrying_amount"]
    total["n_beyond_curve"] = int(facilities["is_beyond_curve"].sum())
    total["coverage_ratio"] = total["allowance"] / owed if owed else float("nan")
    return total


def _no_facility(open_episodes: pd.DataFrame) -> pd.DataFrame:
    money = pd.DataFrame(columns=list(MONEY), dtype=float)
    text = pd.DataFrame(columns=["segment", "facility_id"], dtype=object)
    months = open_episodes[["months_in_default"]].iloc[:0].reset_index(drop=True)
    return pd.concat([text, months, money], axis=1).assign(
        own_months=pd.Series(dtype=int), is_beyond_curve=pd.Series(dtype=bool)
    )
