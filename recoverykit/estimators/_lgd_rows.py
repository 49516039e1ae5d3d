"""The border of the LGD regressions: drivers that are refused, losses checked once, rows gathered by covariate pattern.

The likelihoods of these models read a row only through sums over the rows with the same covariates, so where drivers
repeat a million episodes become a few hundred patterns without loss. A row that has no loss, or one outside 0 to 1, is
never left out in silence. Private to the LGD regressions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, RefusedColumnError, Violation
from recoverykit.estimators._compression import Tally, combine, is_continuous, tally
from recoverykit.estimators._discrete_cells import encode_covariates
from recoverykit.estimators._discrete_macro import default_months, read_macro
from recoverykit.estimators._formulas import check_variables, parse_formula
from recoverykit.estimators._mixture_sandwich import ClusterIndex, cluster_index
from recoverykit.estimators._rows import TABLE, Array, BoolArray, IntArray, broken, check_columns, number_column
from recoverykit.refused_columns import matching_rule
from recoverykit.vocabulary import segment_name

#: What becomes of a loss below 0 (more came back than was owed) or above 1 (costs).
OUTSIDE = ("refuse", "clip")
#: Column that the names of segments are put into.
SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of a fit: names of columns, macro path, confidence level; and the model's choice for outside."""

    loss_col: str
    weights_col: str | None
    cluster_col: str | None
    macro: pd.DataFrame | None
    default_month_col: str | None
    level: float
    outside: str


@dataclass(frozen=True, slots=True, eq=False)
class LossRows:
    """Checked rows of a fit.

    Attributes
    ----------
    loss : ndarray of shape (n_rows,)
        In [0, 1], clipped where that was asked for.
    weights : ndarray of shape (n_rows,) or None
        Case weights; None counts each row once.
    covariates : DataFrame
        Holds the columns that the formulas read, macro values among them.
    cells : Tally or None
        The covariate pattern of each row; None where drivers hardly repeat and each row is a pattern of its own.
    clusters : ClusterIndex or None
    n_below, n_above : float
        Weight of the losses clipped at 0 and at 1.
    """

    loss: Array
    weights: Array | None
    covariates: pd.DataFrame
    cells: Tally | None
    clusters: ClusterIndex | None
    n_below: float
    n_above: float

    def count(self, chosen: BoolArray | None = None) -> float:
        """Return the weight of the rows, or of those chosen."""
        if self.weights is None:
            return float(len(self.loss) if chosen is None else chosen.sum())
        return float(self.weights.sum() if chosen is None else self.weights[chosen].sum())


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The rows of one part of a model, gathered by pattern.

    Attributes
    ----------
    chosen : ndarray of int of shape (n_chosen,) or None
        Rows of the frame; None for all.
    place : ndarray of int of shape (n_chosen,) or None
        Pattern of each, among those used; None where each row is its own.
    used : ndarray of int of shape (n_patterns,) or None
        Which patterns (or rows) of the design are used; None for all.
    weights : ndarray of shape (n_chosen,) or None
    weight : ndarray of shape (n_patterns,)
        Sum of the weights, above 0.
    """

    chosen: IntArray | None
    place: IntArray | None
    used: IntArray | None
    weights: Array | None
    weight: Array

    @property
    def n_rows(self) -> int:
        """Number of chosen rows."""
        return len(self.weight) if self.place is None else len(self.place)

    def take(self, values: Array) -> Array:
        """Return the chosen ones of values of shape (n_rows,)."""
        return values if self.chosen is None else values[self.chosen]

    def sums(self, values: Array) -> Array:
        """Return weighted sums by pattern of values of shape (n_chosen,)."""
        product = values if self.weights is None else values * self.weights
        if self.place is None:
            return product
        return np.asarray(np.bincount(self.place, weights=product, minlength=len(self.weight)), dtype=float)

    def at_rows(self, values: Array) -> Array:
        """Return for each chosen row the value of its pattern."""
        return values if self.place is None else values[self.place]


def gather(rows: LossRows, chosen: BoolArray | None = None) -> Pool:
    """Gather rows by pattern, or the chosen ones of them."""
    picked = None if chosen is None or chosen.all() else np.flatnonzero(chosen)
    weights = rows.weights if picked is None or rows.weights is None else rows.weights[picked]
    if rows.cells is None:
        n_rows = len(rows.loss) if picked is None else len(picked)
        return Pool(picked, None, picked, weights, np.ones(n_rows) if weights is None else weights)
    if picked is None:
        return Pool(None, rows.cells.places, None, weights, rows.cells.weight)
    place = rows.cells.places[picked]
    weight: Array = np.bincount(place, weights=weights, minlength=len(rows.cells.first)).astype(float)
    there = weight > 0
    return Pool(picked, (np.cumsum(there) - 1)[place], np.flatnonzero(there), weights, weight[there])


def check_drivers(formulas: Mapping[str, str], columns: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the columns that formulas read, having refused those that may not drive a loss.

    Parameters
    ----------
    formulas : mapping of str to str
        Part of the model -> formula.
    columns : iterable of str
        Further drivers.

    Raises
    ------
    ValueError
        If a formula cannot be read.
    RefusedColumnError
        Lists every driver that is known only after the outcome (class C), or is of class A, B or D.
    """
    read = {name for part, text in formulas.items() for name in parse_formula(part, text)}
    names = tuple(sorted(read | set(columns)))
    rules = [(name, matching_rule(name)) for name in names]
    lines = [
        f"{name!r} (class {rule.refusal_class}, {rule.what}, by its name) {rule.rule}" for name, rule in rules if rule
    ]
    if lines:
        count = f"{len(lines)} driver{'s' if len(lines) != 1 else ''} of a loss refused"
        raise RefusedColumnError(f"{count}:\n" + "\n".join(f"  {i}. {line}" for i, line in enumerate(lines, 1)))
    return names


def read_losses(frame: pd.DataFrame, variables: tuple[str, ...], request: Request) -> LossRows:
    """Check a frame of episodes and gather its patterns.

    Raises
    ------
    ContractError
        Every rule that is broken, with count and first rows.
    InsufficientDataError
        If the frame has no row, or only one cluster.
    """
    check_columns(frame, [request.loss_col, request.weights_col, request.cluster_col])
    covariates = with_macro(frame, variables, request.macro, request.default_month_col)
    loss = number_column(frame, request.loss_col, 0.0)
    weights = None if request.weights_col is None else number_column(frame, request.weights_col, 1.0)
    faults = _loss_faults(frame, request, loss)
    if weights is not None:
        is_weight = np.isfinite(weights) & (weights > 0)
        faults += broken(frame, f"{request.weights_col} must be a number above 0", ~is_weight)
    cells, found = find_patterns(covariates, variables, weights)
    if faults + found:
        raise ContractError(faults + found)
    clusters = None if request.cluster_col is None else cluster_index(frame, request.cluster_col, weights)
    weight = np.ones(1) if weights is None else weights
    below, above = (float(np.where(far, weight, 0.0).sum()) for far in (loss < 0, loss > 1))
    bounded = np.clip(loss, 0.0, 1.0) if below or above else loss
    return LossRows(bounded, weights, covariates, cells, clusters, below, above)


def find_patterns(
    frame: pd.DataFrame, variables: Sequence[str], weights: Array | None = None
) -> tuple[Tally | None, list[Violation]]:
    """Return the distinct combinations of columns, None where they hardly repeat, and what is wrong with them."""
    there = [name for name in variables if name in frame.columns]
    if frame.empty or len(there) < len(variables) or any(is_continuous(frame[name]) for name in there):
        return None, check_variables(frame, tuple(variables))
    codes, faults = encode_covariates(frame, variables)
    return None if faults else tally(combine(codes, len(frame)), weights, want_inverse=True), faults


def with_macro(
    frame: pd.DataFrame, variables: Sequence[str], macro: pd.DataFrame | None, default_month_col: str | None
) -> pd.DataFrame:
    """Return the columns that formulas read, with macro values of the calendar month of default.

    Raises
    ------
    ValueError
        If macro columns are read and no month of default is named.
    ContractError
        If a column stands in both frames, or the macro path lacks a month.
    """
    taken = () if macro is None else tuple(name for name in variables if name in macro.columns)
    if macro is None or not taken:
        return frame
    both = [Violation("macro", f"column {c!r} stands in the frame and in macro") for c in taken if c in frame.columns]
    if both:
        raise ContractError(both)
    if default_month_col is None:
        raise ValueError(f"{', '.join(taken)} of macro is read at the month of default: name it in default_month_col")
    values = read_macro(macro, taken).at(default_months(frame, default_month_col))
    return frame[[name for name in variables if name in frame.columns]].assign(**values)


def with_segment(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the frame with the name of each row's segment."""
    columns = [frame[name].astype(str) for name in by]
    names = [segment_name(values) for values in zip(*columns, strict=True)] if by else [segment_name([])] * len(frame)
    return frame.assign(**{SEGMENT: names})


def _loss_faults(frame: pd.DataFrame, request: Request, loss: Array) -> list[Violation]:
    """Return what is wrong with the losses."""
    low, high = float(loss.min()), float(loss.max())
    if low >= 0 and high <= 1:  # false for NaN, too
        return []
    name = request.loss_col
    rule = (
        f"{name} must be a number in every row; the loss of an open episode is not known: take closed ones, or an "
        "estimate that counts what is still expected"
    )
    known = np.isfinite(loss)
    found = broken(frame, rule, ~known)
    if request.outside == "refuse":
        rule = f"{name} must lie between 0 and 1 (recoveries above the EAD and costs take it out); outside='clip' moves"
        outside = known & ((loss < 0) | (loss > 1))
        found += broken(frame, f"{rule} such losses to the nearer limit and counts them", outside, table=TABLE)
    return found
