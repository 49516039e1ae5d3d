"""From a frame to what the likelihood of monthly hazards reads, and the refusals that go with it.

Private to the discrete-time hazard model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators._compression import encode
from recoverykit.estimators._discrete_cells import (
    Cells,
    MonthlyRows,
    compress_months,
    count_cells,
    encode_covariates,
    whole_months,
)
from recoverykit.estimators._discrete_design import (
    HazardDesign,
    cell_frame,
    learn_hazard_design,
    learn_offsets,
    offset_formula,
    read_variables,
)
from recoverykit.estimators._discrete_kernels import NOTHING, Maximum
from recoverykit.estimators._discrete_macro import MacroPath, default_months, read_macro
from recoverykit.estimators._grid_designs import GridDesign
from recoverykit.estimators._mixture_data import Scaling, scale_design
from recoverykit.estimators._rows import Array, IntArray, check_columns, check_rows, outcome_codes
from recoverykit.estimators._sparse_gram import Gram, sparse_gram

#: A coefficient in units of its linear predictor with a larger standard error tells of a likelihood without maximum.
_LARGEST_STANDARD_ERROR = 50.0
_N_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """Columns of a frame of episodes, and the outcome that means censored."""

    duration: str
    outcome: str
    censored: str
    weights: str | None
    entry: str | None
    cluster: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Cells with their design, as the likelihood reads them.

    Attributes
    ----------
    outcomes : list of str
    rows : MonthlyRows
    cells : Cells
    design : HazardDesign
    scaling : Scaling
    scaled : ndarray or GridDesign of shape (n_cells, n_terms)
        The design times ``scaling.map``.
    offset : ndarray of shape (n_cells, n_outcomes), or that broadcasts to it
    gram : callable or None
        Weights -> cross-product of ``scaled``, where it is to be had faster than by rows.
    """

    outcomes: list[str]
    rows: MonthlyRows
    cells: Cells
    design: HazardDesign
    scaling: Scaling
    scaled: Array | GridDesign
    offset: Array
    gram: Gram | None


def pose_problem(
    formula: str,
    frame: pd.DataFrame,
    names: ColumnNames,
    *,
    offset: str | Mapping[str, str] | None = None,
    macro: pd.DataFrame | None,
    default_month_col: str | None,
) -> Problem:
    """Check the rows, compress them to cells and build the design there.

    Raises
    ------
    ContractError
        If columns are absent or rows break a rule; all at once.
    InsufficientDataError
        If the data cannot carry the model.
    ValueError
        If the formula reads macro columns and no month of default is named, or an offset is that of an outcome that
        does not occur or not one number in each cell.
    """
    check_columns(frame, [names.duration, names.outcome, names.weights, names.entry, names.cluster])
    texts = [] if offset is None else [offset] if isinstance(offset, str) else list(offset.values())
    read = (formula, *map(offset_formula, texts))
    covariates, macro_columns = read_variables(read, frame, macro, names.duration)
    path, default_month = calendar(frame, macro, macro_columns, default_month_col)
    rows, outcomes = compress_episodes(frame, names, covariates, default_month)
    if not outcomes:
        raise InsufficientDataError(
            f"all {rows.weight.sum():,.0f} episodes are {names.censored}, so no hazard can be estimated; use a wider "
            "segment or a longer observation window"
        )
    cells = count_cells(rows)
    patterns = frame.loc[:, list(covariates)].take(rows.representatives)
    month = None if default_month is None else default_month[rows.representatives]
    where = {"pattern": cells.pattern, "month": cells.month}
    design, matrix = learn_hazard_design(
        formula, patterns, **where, macro_columns=macro_columns, path=path, default_month=month
    )
    known = NOTHING
    if offset is not None:
        expressions = [offset] * len(outcomes) if isinstance(offset, str) else _offset_by_outcome(offset, outcomes)
        design, known = learn_offsets(
            design, expressions, cell_frame(patterns, **where, path=path, default_month=month)
        )
    _check_sufficient(outcomes, rows, cells, len(design.terms))
    scaling = scale_design("hazard", matrix, design.terms, cells.n_at_risk)
    if isinstance(matrix, GridDesign):
        return Problem(outcomes, rows, cells, design, scaling, matrix.times(scaling.map), known, None)
    gram = sparse_gram(matrix, scaling.map)
    return Problem(outcomes, rows, cells, design, scaling, matrix @ scaling.map, known, gram)


def _offset_by_outcome(offset: Mapping[str, str], outcomes: list[str]) -> list[str | None]:
    strangers = [str(outcome) for outcome in offset if outcome not in outcomes]
    if strangers:
        raise ValueError(f"offset names {', '.join(strangers)}; the outcomes are {', '.join(outcomes)}")
    return [offset.get(outcome) for outcome in outcomes]


def calendar(
    frame: pd.DataFrame, macro: pd.DataFrame | None, macro_columns: tuple[str, ...], default_month_col: str | None
) -> tuple[MacroPath | None, IntArray | None]:
    """Return the macro path and the month of default of each row, where the formula reads the path."""
    if macro is None or not macro_columns:
        return None, None
    if default_month_col is None:
        raise ValueError(f"the formula reads {', '.join(macro_columns)} of macro: name default_month_col too")
    return read_macro(macro, macro_columns), default_months(frame, default_month_col)


def compress_episodes(
    frame: pd.DataFrame,
    names: ColumnNames,
    covariates: tuple[str, ...],
    default_month: IntArray | None,
    *,
    want_inverse: bool = False,
) -> tuple[MonthlyRows, list[str]]:
    """Check the rows of a frame and collapse equal ones; return them with their outcomes."""
    outcomes, codes, faults = outcome_codes(frame, names.outcome, names.censored)
    encoded, covariate_faults = encode_covariates(frame, covariates)
    checked = check_rows(
        frame,
        by=(),
        is_event=codes >= 0,
        faults=faults + whole_months(frame, [names.duration, names.entry]) + covariate_faults,
        duration_col=names.duration,
        weights_col=names.weights,
        entry_col=names.entry,
    )
    rows = compress_months(
        covariates=encoded if default_month is None else [*encoded, encode(default_month.astype(float))],
        durations=checked.durations,
        entries=checked.entries,
        outcomes=codes,
        weights=None if names.weights is None else checked.weights,
        n_outcomes=len(outcomes),
        want_inverse=want_inverse or names.cluster is not None,
    )
    return rows, outcomes


def _check_sufficient(outcomes: list[str], rows: MonthlyRows, cells: Cells, n_terms: int) -> None:
    """Refuse outcomes that are too rare for the terms."""
    counts = dict(zip(outcomes, cells.n_events.sum(axis=0), strict=True))
    rare = [f"{name} ({count:,.0f})" for name, count in counts.items() if count < n_terms]
    if rare and rows.weight.mean() >= 1.0:
        raise InsufficientDataError(
            f"too few outcomes for {n_terms} terms each: {', '.join(rare)}; merge rare outcomes, take fewer terms or a "
            "wider segment"
        )


def starting_values(problem: Problem) -> Array:
    """Start from one hazard for all cells, as near as the columns come to a constant."""
    cells, scaling = problem.cells, problem.scaling
    share = cells.n_events.sum(axis=0) / cells.n_at_risk.sum()
    constant = np.linalg.solve(scaling.map, scaling.constant)
    known = (cells.n_at_risk @ np.broadcast_to(problem.offset, cells.n_events.shape)) / cells.n_at_risk.sum()
    return np.outer(np.log(share) - known, constant)


def check_separation(problem: Problem, maximum: Maximum) -> None:
    """Refuse a maximum that runs off to infinity, naming what drives it."""
    n_terms = len(problem.design.terms)
    errors = np.sqrt(np.diag(maximum.bread)).reshape(-1, n_terms)
    if errors.max() < _LARGEST_STANDARD_ERROR:
        return
    worst = int(errors.max(axis=1).argmax())
    block = slice(worst * n_terms, (worst + 1) * n_terms)
    _, vectors = np.linalg.eigh(maximum.bread[block, block])
    direction = np.abs(problem.scaling.map @ vectors[:, -1])
    terms = [problem.design.terms[i] for i in np.argsort(-direction) if direction[i] > 0.3 * direction.max()]
    raise ConvergenceError(
        f"the hazard of {problem.outcomes[worst]} has no finite estimate along {', '.join(terms[:_N_SHOWN])}: there "
        "the covariates separate episodes with this outcome from those without (a level or month in which nobody has "
        "it, or everybody); merge levels, use a spline instead of month dummies, or leave the covariate out"
    )
