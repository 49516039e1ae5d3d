"""Recovery and loss of a segment: the curve, what open episodes may still expect, and LGD with them as censored.

A segment's LGD is what its episodes have recovered so far plus what the curve still gives to those that are open. The
curve rests on the segment's own episodes for as many months as enough of them are open, and on its parents' after that.
Closed episodes alone always stand beside it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.estimators.lgd import LgdEstimate, expected_lgd, lgd_by, lgd_summary
from recoverykit.estimators.recovery_curve import RemainingRecovery, recovery_curve, remaining_recovery
from recoverykit.portfolio.book import Book, segment_labels
from recoverykit.portfolio.money import exact_sum
from recoverykit.portfolio.segments import CurveBasis, spliced_cells
from recoverykit.portfolio.workout import Workout, workout
from recoverykit.vocabulary import CLOSED_OUTCOMES, MINIMUM_CELL_COUNT, Outcome

#: Open episodes that a month of a curve needs: a month of fewer moves the whole tail with a single loan.
MINIMUM_AT_RISK = 20
#: The averages that stand side by side, and what they are called.
AVERAGES = {
    "all_in_lgd": "All episodes",
    "closed_only_lgd": "Closed only",
    "as_recorded_lgd": "As recorded, open taken as they stand",
}
#: Ages at which tables read a curve, in months.
READING_MONTHS = (6, 12, 18, 24, 36, 48, 60, 84, 120)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRecovery:
    """How the exposure of a segment comes back.

    Attributes
    ----------
    basis : CurveBasis
        Whose episodes each month of ``remaining`` rests on.
    curve : StepCurve
        Cumulative net recovery of the segment's own episodes, present value as a share of EAD; band by resampling
        obligors. It ends at the last month with enough of them observed.
    closed_curve : DataFrame
        months and value: what closed episodes alone had recovered, a share of their EAD; for comparison.
    remaining : RemainingRecovery
        What an episode open at a month still recovers.
    workout : Workout
        Of the segment.
    """

    basis: CurveBasis
    curve: StepCurve
    closed_curve: pd.DataFrame
    remaining: RemainingRecovery
    workout: Workout

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what the portfolio keeps of a segment: the curve, what remains, and the segment's own triangle."""
        return {
            "curve": self.curve.to_frame(),
            "remaining": self.remaining.to_frame(),
            "triangle": self.workout.triangle,
        }


@dataclass(frozen=True, slots=True, eq=False)
class SegmentLoss:
    """The loss given default of a segment.

    Attributes
    ----------
    bases : tuple of CurveBasis
        Whose episodes say, month by month, what open ones still recover: one curve for each segment in the case.
    estimate : LgdEstimate
        Averages over the segment's own episodes, with intervals over obligors.
    per_episode : DataFrame
        One row per episode: realised LGD where closed, expected where open.
    by_outcome : DataFrame
        outcome, n_episodes, ead, lgd (mean over the averaged episodes with that outcome; expected for open ones).
        Weighted by n_episodes they add up to the all-in average.
    workout : Workout
        Ledger and worksheet of the segment.
    """

    bases: tuple[CurveBasis, ...]
    estimate: LgdEstimate
    per_episode: pd.DataFrame
    by_outcome: pd.DataFrame
    workout: Workout

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what the portfolio keeps of a segment: the summary with its controls, episodes and worksheet."""
        worksheet = self.workout.worksheet
        controls: dict[str, Any] = {
            "basis": "; ".join(map(str, self.bases)),
            "n_episodes_in_worksheet": len(worksheet),
            "ead_in_worksheet": exact_sum(worksheet["ead"]),
            "net_recovery_amount": exact_sum(worksheet["net_recovery_amount"]),
        }
        return {
            "summary": self.estimate.to_frame().assign(**controls),
            "episodes": self.per_episode,
            "worksheet": worksheet,
        }

    def in_average(self) -> pd.DataFrame:
        """Return the episodes that the averages rest on, with their loss as ``lgd``."""
        return averaged(self.per_episode).rename(columns={"expected_lgd": "lgd"})

    def averages(self) -> pd.DataFrame:
        """Return the averages side by side: all episodes, closed only, open ones as recorded."""
        lgd = self.estimate
        rows = []
        for name, words in AVERAGES.items():
            lower, upper = lgd.intervals.get(name, (np.nan, np.nan))
            rows.append(
                {
                    "estimate": words,
                    "lgd": getattr(lgd, name),
                    "lower": lower,
                    "upper": upper,
                    "lgd_floored": getattr(lgd, f"{name}_floored"),
                    "lgd_ead_weighted": getattr(lgd, f"{name}_ead_weighted"),
                }
            )
        return pd.DataFrame(rows)

    def open_rates(self) -> dict[str, float]:
        """Return what open episodes have recovered on average and may still expect, and closed ones recovered."""
        used = averaged(self.per_episode)
        still_open = used[~used["is_closed"]]
        return {
            "recovered_open": float(still_open["recovered_rate"].mean()),
            "remaining_open": float(still_open["expected_remaining_rate"].mean()),
            "recovered_closed": float(used.loc[used["is_closed"], "recovered_rate"].mean()),
        }

    def left_out(self) -> pd.DataFrame:
        """Return the episodes outside the average, and those beyond the curve: what, n_episodes."""
        lgd = self.estimate
        counts = {
            "In default when observation began: not averaged": lgd.n_late_entry,
            "No discount rate: not averaged": lgd.n_unknown,
            "Open longer than the curve is known: nothing more expected": lgd.n_beyond_curve,
            "Gain on the loan: counted as a loss of zero where floored": lgd.n_floored,
        }
        return pd.DataFrame({"what": list(counts), "n_episodes": list(counts.values())})


def estimate_recovery(
    book: Book,
    segment: str,
    *,
    policy: LedgerPolicy,
    minimum_at_risk: int = MINIMUM_AT_RISK,
    n_bootstrap: int = 500,
    seed: int = 1,
    level: float = 0.95,
) -> SegmentRecovery:
    """Estimate the recovery curves of a segment.

    Parameters
    ----------
    book : Book
        The whole book.
    segment : str
        Name of the segment.
    policy : LedgerPolicy
        Discounting and treatment of flows.
    minimum_at_risk : int
        Open episodes that a month of the remaining recovery needs to rest on the segment; with fewer it rests on the
        segment's parent, and it ends where the whole book has fewer.
    n_bootstrap, seed : int
        Draws of obligors for the band, and the seed of the generator.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    SegmentRecovery

    Raises
    ------
    InsufficientDataError
        When the segment holds no default episode, or the whole book has too few open ones in its first month.
    """
    case = book.restricted(segment)
    whole = workout(book, policy)
    own = whole.restricted(case)
    cells, basis = spliced_cells(whole.cells, segment, book.segment_by, minimum_at_risk=minimum_at_risk)
    curve = recovery_curve(own.cells, n_bootstrap=n_bootstrap, rng=np.random.default_rng(seed), level=level)
    remaining = remaining_recovery(cells, minimum_at_risk=minimum_at_risk)
    return SegmentRecovery(basis, curve, _closed_curve(own), remaining, own)


def estimate_loss(
    book: Book,
    segment: str,
    *,
    policy: LedgerPolicy,
    minimum_at_risk: int = MINIMUM_AT_RISK,
    n_bootstrap: int = 500,
    seed: int = 1,
    level: float = 0.95,
) -> SegmentLoss:
    """Estimate the loss given default of a segment, closed-only and with open episodes as censored.

    A parent, and the whole book, is the sum of its segments: each open episode expects what its own segment's curve
    gives. One curve over unlike segments would lend to small loans what large ones recover.

    Parameters
    ----------
    book, segment, policy, minimum_at_risk, n_bootstrap, seed, level
        As in ``estimate_recovery``. Each bootstrap draw estimates every curve again from the same drawn obligors.

    Returns
    -------
    SegmentLoss

    Raises
    ------
    InsufficientDataError
        When the segment holds no default episode, or the whole book has too few open ones in its first month.
    """
    whole = workout(book, policy)
    case = book.restricted(segment)
    per_episode, cells, bases = expected_losses(case, book, whole, minimum_at_risk=minimum_at_risk)
    estimate = lgd_summary(
        per_episode,
        cells=cells,
        curve_col="segment",
        minimum_at_risk=minimum_at_risk,
        n_bootstrap=n_bootstrap,
        rng=np.random.default_rng(seed),
        level=level,
    )
    return SegmentLoss(
        tuple(bases.values()), estimate, per_episode, _by_outcome(averaged(per_episode)), whole.restricted(case)
    )


def losses_by_segment(book: Book, *, policy: LedgerPolicy, minimum_at_risk: int = MINIMUM_AT_RISK) -> pd.DataFrame:
    """Return the LGD of every segment from one pass over the book, without intervals.

    Returns
    -------
    DataFrame
        One row per segment, sorted: segment, own_months (months of the curve that rest on the segment's own episodes)
        and the numbers of ``LgdEstimate``.
    """
    per_episode, _, bases = expected_losses(book, book, workout(book, policy), minimum_at_risk=minimum_at_risk)
    losses = lgd_by(per_episode, "segment")
    losses.insert(1, "own_months", [bases[segment].own_months for segment in losses["segment"]])
    return losses


def expected_losses(
    case: Book, book: Book, whole: Workout, *, minimum_at_risk: int
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame], dict[str, CurveBasis]]:
    """Return the loss of each episode of a case, and the cells and basis of the curve of each of its segments.

    Parameters
    ----------
    case, book : Book
        The segment, and the whole book that it belongs to.
    whole : Workout
        Of the whole book.
    minimum_at_risk : int
        As in ``estimate_loss``.

    Returns
    -------
    per_episode : DataFrame
        From ``expected_lgd``, with the segment.
    cells, bases : dict
        By name of the segment.
    """
    labels = segment_labels(case.episodes, book.segment_by)
    worksheet = whole.worksheet.set_index("episode_id", drop=False)
    parts, cells, bases = [], {}, {}
    for segment, episodes in case.episodes.groupby(labels, sort=True):
        name = str(segment)
        cells[name], bases[name] = spliced_cells(whole.cells, name, book.segment_by, minimum_at_risk=minimum_at_risk)
        remaining = remaining_recovery(cells[name], minimum_at_risk=minimum_at_risk)
        lines = worksheet.loc[episodes["episode_id"]].reset_index(drop=True)
        expected = expected_lgd(episodes, lines, remaining, reporting_date=book.reporting_date)
        parts.append(expected.assign(segment=name))
    return pd.concat(parts, ignore_index=True), cells, bases


def read_curve(curve: StepCurve) -> pd.DataFrame:
    """Return a curve at round ages within its domain: months, value, lower, upper and n_at_risk.

    The ages end with the last month in which enough episodes are at risk to be told; a curve that never has enough is
    read in its first month, without a value.
    """
    at_risk = curve.n_at_risk if curve.n_at_risk is not None else np.full(len(curve.times), MINIMUM_CELL_COUNT)
    told = curve.times[at_risk >= MINIMUM_CELL_COUNT]
    if not len(told):
        nothing = {"months": [0], "value": [np.nan], "lower": [np.nan], "upper": [np.nan]}
        return pd.DataFrame({**nothing, "n_at_risk": [int(at_risk[0])]})
    months = sorted({*(m for m in READING_MONTHS if m <= told[-1]), int(told[-1])})
    table = curve.at(months).reset_index()
    table["n_at_risk"] = at_risk[np.searchsorted(curve.times, months, side="right") - 1].astype(int)
    return table


def read_remaining(remaining: RemainingRecovery) -> pd.DataFrame:
    """Return what open episodes still recover at round ages: months, remaining_recovery_rate, n_open_at_start."""
    ages = [m for m in (0, *READING_MONTHS) if m <= remaining.months[-1]]
    return pd.DataFrame(
        {
            "months": ages,
            "remaining_recovery_rate": remaining.total_after(ages),
            "n_open_at_start": remaining.n_open_at_start[ages].astype(int),
        }
    )


def _closed_curve(own: Workout) -> pd.DataFrame:
    """Return what closed episodes alone had recovered by each month after default: months, value.

    The common shortcut, shown for comparison: it follows the selection of those that are closed, and only them.
    """
    closed = own.worksheet[own.worksheet["realised_lgd"].notna()]  # closed, watched from default on, with a rate
    flows = own.ledger[own.ledger["episode_id"].isin(set(closed["episode_id"]))]
    by_month = flows.groupby("month")["present_value_amount"].sum()
    months = range(int(by_month.index.max()) + 1 if len(by_month) else 1)
    value = by_month.reindex(months, fill_value=0.0).cumsum() / closed["denominator_amount"].sum()
    return value.rename("value").rename_axis("months").reset_index()


def averaged(per_episode: pd.DataFrame) -> pd.DataFrame:
    """Return the episodes that the averages rest on: no late entries, and none without a loss."""
    return per_episode[~per_episode["is_late_entry"] & per_episode["expected_lgd"].notna()]


def _by_outcome(averaged: pd.DataFrame) -> pd.DataFrame:
    grouped = averaged.groupby("outcome")
    table = pd.DataFrame(
        {"n_episodes": grouped.size(), "ead": grouped["ead"].sum(), "lgd": grouped["expected_lgd"].mean()}
    )
    order = [str(o) for o in (*CLOSED_OUTCOMES, Outcome.OPEN) if o in table.index]
    return table.loc[order].rename_axis("outcome").reset_index()
