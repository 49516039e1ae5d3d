"""What each vintage of default has brought in, and what it will: the triangle completed to the last month known.

Loans that defaulted together are followed together. Where a vintage's observation ends, the rest of its row is
extrapolated: by the pattern of recoveries of the segment's own loans or its parents', and by a prior that the older
vintages give (Bornhuetter-Ferguson). A reader sees which cells are which. This module prices no single loan.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators.bornhuetter_ferguson import BornhuetterFergusonFit, BornhuetterFergusonModel
from recoverykit.estimators.remaining_recovery import RemainingRecovery
from recoverykit.portfolio.loss import SegmentRecovery
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

#: Rows that a picture of quarters may have; with more, or with quarters of few episodes, vintages are years.
MOST_QUARTERS = 24
#: Columns that a picture may have, and the lengths of a column in months.
MOST_COLUMNS, COLUMN_MONTHS = 24, (3, 6, 12, 24)
CELL_COLUMNS = ["vintage", "n_episodes", "month", "value", "is_extrapolated"]
VINTAGE_COLUMNS = ["vintage", "n_episodes", "month", "recovered_rate", "ultimate_rate", "lower", "upper"]


@dataclass(frozen=True, slots=True, eq=False)
class VintageForecast:
    """The completed triangle of a segment.

    Attributes
    ----------
    cells : DataFrame
        One row per vintage and column: vintage, n_episodes, month (end of the column), value (cumulative net recovery,
        share of EAD) and is_extrapolated. Without an estimate it has no row.
    vintages : DataFrame
        One row per vintage: vintage, n_episodes, month (last one observed for all of it), recovered_rate (by then),
        ultimate_rate with lower and upper (over obligors), shares of EAD.
    exclusions : DataFrame
        Vintages left out: vintage, reason, n_episodes, ead.
    fit : BornhuetterFergusonFit or None
    note : str
        Why there is no estimate; empty when there is one.
    """

    cells: pd.DataFrame
    vintages: pd.DataFrame
    exclusions: pd.DataFrame
    fit: BornhuetterFergusonFit | None
    note: str

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept; nothing without an estimate."""
        return {"vintages": self.vintages} if len(self.vintages) else {}

    def facts(self) -> dict[str, Any]:
        """Return what a sentence needs: rates of all vintages together, and of the youngest with enough episodes."""
        told = self.vintages[self.vintages["n_episodes"] >= MINIMUM_CELL_COUNT]
        if self.fit is None or told.empty:
            return {"recovered": None, "ultimate": None, "youngest": "", "n_vintages": 0}
        total = self.fit.total
        youngest = told.iloc[-1]
        return {
            "recovered": float(total["recovered_rate"]),
            "ultimate": float(total["ultimate_rate"]),
            "youngest": str(youngest["vintage"]),
            "youngest_recovered": float(youngest["recovered_rate"]),
            "youngest_ultimate": float(youngest["ultimate_rate"]),
            "n_vintages": len(self.vintages),
        }


def forecast_vintages(
    recovery: SegmentRecovery, *, n_bootstrap: int = 200, seed: int = 1, level: float = 0.95
) -> VintageForecast:
    """Complete the triangle of a segment by Bornhuetter-Ferguson.

    Parameters
    ----------
    recovery : SegmentRecovery
        Of the segment: its own vintages, and the curve of what remains with its parents' months.
    n_bootstrap, seed : int
        Draws of obligors for the band, and the seed of the generator; the pattern is taken as known.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    VintageForecast
        Without an estimate, and with the reason in ``note``, where nothing is known to come in or no vintage was
        observed from its default on.

    Notes
    -----
    A vintage read at month a with the rate R has at a later month m the rate R + (U - R) (C_m - C_a) / (C_T - C_a),
    with U its ultimate rate, C the cumulative recovery of a new default by the curve, and T the curve's last month.
    After T nothing more is expected.
    """
    own = recovery.workout
    names = _vintage_names(own.triangle)
    triangle = _merged(own.triangle, names)
    pattern = pattern_of(recovery.remaining)
    cells = own.cells.assign(default_vintage=own.cells["default_vintage"].astype(str).map(names))
    try:
        fit = _fit(triangle, pattern, cells, n_bootstrap, seed, level)
    except InsufficientDataError as error:
        nothing = (pd.DataFrame(columns=CELL_COLUMNS), pd.DataFrame(columns=VINTAGE_COLUMNS))
        return VintageForecast(*nothing, pd.DataFrame(columns=["default_vintage", "reason"]), None, str(error))
    vintages = fit.vintages.rename(columns={"default_vintage": "vintage"})[VINTAGE_COLUMNS]
    return VintageForecast(_completed(triangle, vintages, pattern), vintages, fit.exclusions, fit, "")


def pattern_of(remaining: RemainingRecovery) -> StepCurve:
    """Return the cumulative recovery of a new default by each month, as a share of what it recovers in the end.

    Where nothing, or less, is recovered in the end, it is 0 throughout.
    """
    reached = np.concatenate([[1.0], remaining.still_open[:-1]])
    cumulative = np.cumsum(reached * remaining.share_of_ead)
    unknown = np.full(len(cumulative), np.nan)
    if not cumulative[-1] > 0:
        return StepCurve(remaining.months, np.zeros(len(cumulative)), unknown, unknown)
    return StepCurve(remaining.months, cumulative / cumulative[-1], unknown, unknown)


def _vintage_names(triangle: pd.DataFrame) -> dict[str, str]:
    """Return quarter -> vintage: the quarter itself, or its year where quarters are many or most hold few episodes."""
    # A triangle of a parent has a row for each of its segments, whose episodes belong together.
    by_month = triangle.groupby([triangle["default_vintage"].astype(str), "month"])["n_at_risk"].sum()
    sizes = by_month.groupby(level=0).max()
    few = (sizes < MINIMUM_CELL_COUNT).mean() > 0.5
    return {name: name[:4] if few or len(sizes) > MOST_QUARTERS else name for name in sizes.index}


def _merged(triangle: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Sum the rows of quarters, and of segments, that make a vintage; where one has ended the estimate sees it."""
    vintage = triangle["default_vintage"].astype(str).map(names).rename("default_vintage")
    sums = dict.fromkeys(["n_at_risk", "ead_at_risk", "present_value_amount"], "sum")
    return triangle.groupby([vintage, "month"]).agg({**sums, "is_complete": "all"}).reset_index()


def _fit(
    triangle: pd.DataFrame, pattern: StepCurve, cells: pd.DataFrame, n_bootstrap: int, seed: int, level: float
) -> BornhuetterFergusonFit:
    if not pattern.values[-1] > 0:
        raise InsufficientDataError("nothing is known to come back of these loans, so no vintage can be carried on")
    options: dict[str, Any] = {"pattern": pattern, "cells": cells, "level": level}
    options |= {"n_bootstrap": n_bootstrap, "rng": np.random.default_rng(seed)}
    return BornhuetterFergusonModel().fit(triangle, **options)


def _completed(triangle: pd.DataFrame, vintages: pd.DataFrame, pattern: StepCurve) -> pd.DataFrame:
    """Return the cells of the picture: observed as far as all of a vintage was, and extrapolated after that."""
    last = int(pattern.times[-1])
    step = next((months for months in COLUMN_MONTHS if last / months <= MOST_COLUMNS), COLUMN_MONTHS[-1])
    ends = np.arange(step, last + 1, step)
    rows = []
    for vintage in vintages.to_dict("records"):
        mine = triangle[triangle["default_vintage"] == vintage["vintage"]].sort_values("month")
        ead = float(mine["ead_at_risk"].iloc[0])
        observed = pd.Series(mine["present_value_amount"].to_numpy().cumsum() / ead, index=mine["month"])
        reached = pattern(min(vintage["month"], last)).item()
        left = pattern.values[-1] - reached
        for end in ends:
            share = (pattern(end).item() - reached) / left if left > 0 else 1.0
            later = vintage["recovered_rate"] + share * (vintage["ultimate_rate"] - vintage["recovered_rate"])
            is_later = bool(end > vintage["month"])
            value = later if is_later else float(observed[end])
            rows.append((vintage["vintage"], int(vintage["n_episodes"]), int(end), value, is_later))
    return pd.DataFrame(rows, columns=CELL_COLUMNS)
