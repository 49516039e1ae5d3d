"""From episodes to cells of pattern and month: how many are at risk, and how many end in each outcome.

The likelihood of a monthly hazard is that of a table with one row per episode and month. That table is never made:
equal episodes are counted once, and cumulative sums over the months of the counts give every cell of it exactly.
Private to the discrete-time hazard model; it knows no names of outcomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.errors import Violation
from recoverykit.estimators._compression import Codes, combine, encode, tally
from recoverykit.estimators._formulas import check_variables
from recoverykit.estimators._rows import Array, BoolArray, IntArray, broken, number_column

#: Numbers held at a time while counting: 32 MB.
_BLOCK_SIZE = 4_000_000
#: Case weights need not be whole: less than this share of the largest cell is a rounding remnant of nobody at risk.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class MonthlyRows:
    """Distinct episodes, sorted by pattern.

    Attributes
    ----------
    pattern, month, entry, outcome : ndarray of int of shape (n_rows,)
        Covariate pattern; month of the outcome or of censoring; month at which observation began; outcome code, -1 for
        censored.
    weight : ndarray of shape (n_rows,)
        Episodes for which the row stands.
    representatives : ndarray of int of shape (n_patterns,)
        Position in the frame of an episode that bears each pattern.
    inverse : ndarray of int of shape (n_input_rows,) or None
        Row of each row of the frame, where asked for.
    n_input_rows : int
        Rows of the frame.
    n_outcomes : int
    first_month : int
        0 where episodes may end in month 0 itself, otherwise 1.
    """

    pattern: IntArray
    month: IntArray
    entry: IntArray
    outcome: IntArray
    weight: Array
    representatives: IntArray
    inverse: IntArray | None
    n_input_rows: int
    n_outcomes: int
    first_month: int

    @property
    def n_months(self) -> int:
        """Last month of any row, and one for month 0."""
        return int(self.month.max()) + 1

    @property
    def places(self) -> IntArray:
        """Row of each row of the frame; the rows must have been compressed with their inverse."""
        if self.inverse is None:
            raise ValueError("rows were compressed without their inverse")
        return self.inverse


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Everybody at risk, by pattern and month, in ascending order of both.

    Attributes
    ----------
    pattern, month : ndarray of int of shape (n_cells,)
    n_at_risk : ndarray of shape (n_cells,)
        Weight under observation and open just before the month's outcomes, above 0.
    n_events : ndarray of shape (n_cells, n_outcomes)
        Weight of each outcome in the month.
    """

    pattern: IntArray
    month: IntArray
    n_at_risk: Array
    n_events: Array


def whole_months(frame: pd.DataFrame, columns: Sequence[str | None]) -> list[Violation]:
    """Return what is wrong with columns that must hold whole months."""
    found = []
    for column in columns:
        if column is None:
            continue
        values = number_column(frame, column, 0.0)
        rule = f"{column} must be a whole number of months; round events up and censoring down"
        found += broken(frame, rule, np.isfinite(values) & (values != np.floor(values)))
    return found


def encode_covariates(frame: pd.DataFrame, names: Sequence[str]) -> tuple[list[Codes], list[Violation]]:
    """Return covariates as codes, and what is wrong with them: absent, missing or infinite values.

    Text is read once: coding it finds what is missing.
    """
    texts = [name for name in names if name in frame.columns and frame[name].dtype == object]
    found = check_variables(frame, tuple(name for name in names if name not in texts))
    codes = [encode(frame[name]) for name in names if name in frame.columns]
    for name in texts:
        missing = codes[list(names).index(name)].codes < 0 if not found else frame[name].isna().to_numpy()
        found += broken(frame, f"{name} must be there and finite in every row", missing)
    return codes, found


def compress_months(
    *,
    covariates: Sequence[Codes],
    durations: Array,
    entries: Array,
    outcomes: IntArray,
    weights: Array | None,
    n_outcomes: int,
    want_inverse: bool,
) -> MonthlyRows:
    """Collapse rows with the same covariates, entry, month and outcome into one weighted row.

    Parameters
    ----------
    covariates : sequence of Codes
        What makes a pattern, without missing values.
    durations, entries : ndarray of shape (n_input_rows,)
        Whole months.
    outcomes : ndarray of int of shape (n_input_rows,)
        Outcome codes, -1 for censored.
    weights : ndarray of shape (n_input_rows,) or None
        Case weights; None counts each row once.
    n_outcomes : int
        Number of outcome codes.
    want_inverse : bool
        Whether to say where each row of the frame went.
    """
    n_rows = len(durations)
    patterns = combine(covariates, n_rows)
    late = bool((entries > 0).any())
    marks = [encode(durations), *([encode(entries)] if late else []), Codes(outcomes + 1, n_outcomes + 1)]
    distinct = tally(combine([patterns, *marks], n_rows), weights, want_inverse=want_inverse)
    taken = distinct.first
    _, first, pattern = np.unique(patterns.codes[taken], return_index=True, return_inverse=True)
    month, outcome = durations[taken].astype(np.int64), outcomes[taken]
    ends_at_once = (month == 0) & (outcome >= 0)
    return MonthlyRows(
        pattern=pattern,
        month=month,
        entry=entries[taken].astype(np.int64),
        outcome=outcome,
        weight=distinct.weight,
        representatives=taken[first],
        inverse=distinct.inverse,
        n_input_rows=n_rows,
        n_outcomes=n_outcomes,
        first_month=0 if ends_at_once.any() else 1,
    )


def count_cells(rows: MonthlyRows) -> Cells:
    """Count who is at risk in every pattern and month by cumulative sums, some patterns at a time.

    An episode seen from its default on is at risk from ``first_month`` to its last month; one that entered at e > 0 in
    the months after e.
    """
    n_months, n_patterns = rows.n_months, len(rows.representatives)
    at_a_time = max(1, _BLOCK_SIZE // (n_months * (rows.n_outcomes + 2)))
    parts: list[Cells] = []
    for begin in range(0, n_patterns, at_a_time):
        end = min(begin + at_a_time, n_patterns)
        low, high = np.searchsorted(rows.pattern, [begin, end])
        parts.append(_count_block(rows, slice(int(low), int(high)), begin, end - begin))
    return Cells(
        pattern=np.concatenate([part.pattern for part in parts]),
        month=np.concatenate([part.month for part in parts]),
        n_at_risk=np.concatenate([part.n_at_risk for part in parts]),
        n_events=np.concatenate([part.n_events for part in parts]),
    )


def cell_position(rows: MonthlyRows, cells: Cells) -> tuple[IntArray, IntArray, BoolArray]:
    """Return the first and last cell of each row's months at risk, and which rows have any.

    The cells between them are those of the row's pattern, without gap, since the row itself was at risk in them.
    """
    n_months = rows.n_months
    keys = cells.pattern * n_months + cells.month
    begin = _first_months(rows)
    first = np.searchsorted(keys, rows.pattern * n_months + begin)
    last = np.searchsorted(keys, rows.pattern * n_months + rows.month)
    return first, last, rows.month >= begin


def weight_never_at_risk(rows: MonthlyRows) -> float:
    """Return the weight of the rows that left before their first month at risk."""
    return float(rows.weight[rows.month < _first_months(rows)].sum())


def _first_months(rows: MonthlyRows) -> IntArray:
    return np.where(rows.entry > 0, rows.entry + 1, rows.first_month)


def _count_block(rows: MonthlyRows, chosen: slice, begin: int, n_patterns: int) -> Cells:
    n_months, width = rows.n_months, rows.n_outcomes + 1
    pattern, month, weight = rows.pattern[chosen] - begin, rows.month[chosen], rows.weight[chosen]
    keys = (pattern * n_months + month) * width + rows.outcome[chosen] + 1
    leaving: Array = np.bincount(keys, weights=weight, minlength=n_patterns * n_months * width).astype(float)
    leaving = leaving.reshape(n_patterns, n_months, width)
    n_at_risk = _sum_from_right(leaving.sum(axis=2))
    late = rows.entry[chosen] > 0
    if late.any():
        not_yet = pattern[late] * n_months + rows.entry[chosen][late]
        entering: Array = np.bincount(not_yet, weights=weight[late], minlength=n_patterns * n_months).astype(float)
        n_at_risk = n_at_risk - _sum_from_right(entering.reshape(n_patterns, n_months))
    n_at_risk[:, : rows.first_month] = 0.0
    row, column = np.nonzero(n_at_risk > _ROUNDING * n_at_risk.max(initial=0.0))
    return Cells(
        pattern=(row + begin).astype(np.int64),
        month=column.astype(np.int64),
        n_at_risk=n_at_risk[row, column],
        n_events=leaving[row, column, 1:],
    )


def _sum_from_right(array: Array) -> Array:
    return np.cumsum(array[:, ::-1], axis=1)[:, ::-1]
