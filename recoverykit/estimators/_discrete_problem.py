"""From a frame to what the likelihood of monthly hazards reads, and the refusals that go with it.

Private to the discrete-time hazard model.
"""

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
from recoverykit.estimators._discrete_design import HazardDesign, learn_hazard_design, read_variables
from recoverykit.estimators._discrete_kernels import Maximum
from recoverykit.estimators._discrete_macro import MacroPath, default_months, read_macro
from recoverykit.estimators._mixture_data import Scaling, scale_design
from recoverykit.estimators._rows import Array, IntArray, check_columns, check_rows, outcome_codes

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
    scaled : ndarray of shape (n_cells, n_terms)
        The design times ``scaling.map``.
    """

    outcomes: list[str]
    rows: MonthlyRows
    cells: Cells
    design: HazardDesign
    scaling: Scaling
    scaled: Array


def pose_problem(
    formula: str, frame: pd.DataFrame, names: ColumnNames, *, macro: pd.DataFrame | None, default_month_col: str | None
) -> Problem:
    """Check the rows, compress them to cells and build the design there.

    Raises
    ------
    ContractError
        If columns are absent or rows break a rule; all at once.
    InsufficientDataError
        If the data cannot carry the model.
    ValueError
        If the formula reads macro columns and no month of default is named.
    """
    check_columns(frame, [names.duration, names.outcome, names.weights, names.entry, names.cluster])
    covariates, macro_columns = read_variables(formula, frame, macro, names.duration)
    path, default_month = _calendar(frame, macro, macro_columns, default_month_col)
    rows, outcomes = _compress(frame, names, covariates, default_month)
    cells = count_cells(rows)
    design, matrix = learn_hazard_design(
        formula,
        frame.loc[:, list(covariates)].take(rows.representatives),
        pattern=cells.pattern,
        month=cells.month,
        macro_columns=macro_columns,
        path=path,
        default_month=None if default_month is None else default_month[rows.representatives],
    )
    _check_sufficient(outcomes, rows, cells, len(design.terms))
    scaling = scale_design("hazard", matrix, design.terms, cells.n_at_risk)
    return Problem(outcomes, rows, cells, design, scaling, matrix @ scaling.map)


def _calendar(
    frame: pd.DataFrame, macro: pd.DataFrame | None, macro_columns: tuple[str, ...], default_month_col: str | None
) -> tuple[MacroPath | None, IntArray | None]:
    """Return the macro path and the month of default of each row, where the formula reads the path."""
    if macro is None or not macro_columns:
        return None, None
    if default_month_col is None:
        raise ValueError(f"the formula reads {', '.join(macro_columns)} of macro: name default_month_col too")
    return read_macro(macro, macro_columns), default_months(frame, default_month_col)


def _compress(
    frame: pd.DataFrame, names: ColumnNames, covariates: tuple[str, ...], default_month: IntArray | None
) -> tuple[MonthlyRows, list[str]]:
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
    if not outcomes:
        raise InsufficientDataError(
            f"all {checked.weights.sum():,.0f} episodes are {names.censored}, so no hazard can be estimated; use a "
            "wider segment or a longer observation window"
        )
    rows = compress_months(
        covariates=encoded if default_month is None else [*encoded, encode(default_month.astype(float))],
        durations=checked.durations,
        entries=checked.entries,
        outcomes=codes,
        weights=None if names.weights is None else checked.weights,
        n_outcomes=len(outcomes),
        want_inverse=names.cluster is not None,
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
    return np.outer(np.log(share), constant)


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
