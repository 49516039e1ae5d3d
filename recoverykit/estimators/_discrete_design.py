"""The design of a monthly hazard: covariates of the episode, its running month in default, and the macro path.

A formula is materialised on cells of pattern and month. Transforms that learn from a column (knots, centres) learn from
the distinct cells, so that a design depends neither on how many episodes stand in a cell nor on how they were counted.
Private to the discrete-time hazard model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, InsufficientDataError, Violation
from recoverykit.estimators._discrete_kernels import NOTHING
from recoverykit.estimators._discrete_macro import MacroPath
from recoverykit.estimators._formulas import Design, design_matrix, is_number, learn_design, parse_formula, term_columns
from recoverykit.estimators._grid_designs import GridDesign
from recoverykit.estimators._rows import Array, IntArray

#: What a formula calls the running month in default.
MONTH = "month"
#: Numbers in the design of the cells: 1 GB. Beyond, covariates were not meant as they are.
_LARGEST_DESIGN = 128_000_000
_SUMS_TO_ONE = 1e-9
#: Patterns times months for each cell that occurs: beyond, the table between them would be mostly empty.
_MOST_PLACES = 4
#: Transforms whose knots or centres follow the number of cells, not the distinct values only as those of cr() do.
_LEARNS_FROM_COUNTS = re.compile(r"\b(bs|center|poly|scale|standardize|lag)\s*\(")


@dataclass(frozen=True, slots=True, eq=False)
class HazardDesign:
    """A learnt formula, and which of its columns are used.

    Attributes
    ----------
    design : Design
    covariates : tuple of str
        Columns of the episodes that the formula reads.
    macro_columns : tuple of str
        Columns of the macro path that it reads.
    kept : ndarray of int of shape (n_terms,)
        Positions of the columns used: a spline whose columns add up to one carries the level, and what it repeats is
        left out.
    offsets : tuple of Design or None
        What is added to the linear predictor of each outcome; empty without any.
    """

    design: Design
    covariates: tuple[str, ...]
    macro_columns: tuple[str, ...]
    kept: IntArray
    offsets: tuple[Design | None, ...] = ()

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the columns used."""
        return tuple(self.design.terms[i] for i in self.kept)

    def matrix(self, cells: pd.DataFrame) -> Array:
        """Return the matrix of checked cells, shape (n_cells, n_terms)."""
        full = design_matrix(self.design, cells)
        return full if len(self.kept) == full.shape[1] else full[:, self.kept]

    def offset(self, cells: pd.DataFrame) -> Array:
        """Return what is added to the linear predictors, of shape (n_cells, n_outcomes) or broadcasting to it."""
        if not self.offsets:
            return NOTHING
        known = [np.zeros(len(cells)) if d is None else design_matrix(d, cells)[:, 0] for d in self.offsets]
        return np.column_stack(known)

    @property
    def all(self) -> tuple[Design, ...]:
        """The formula and the offsets, whose columns and levels a frame to predict for must have."""
        return (self.design, *(design for design in self.offsets if design is not None))


def offset_formula(expression: str) -> str:
    """Return the formula of an offset, which must be one number in each cell."""
    return f"~ 0 + {expression}"


def learn_offsets(
    hazard: HazardDesign, expressions: Sequence[str | None], cells: pd.DataFrame
) -> tuple[HazardDesign, Array]:
    """Learn the offsets of the outcomes on cells, and return their values there too.

    Raises
    ------
    ValueError
        If an offset is not one number in each cell.
    ContractError
        If it cannot be evaluated, or is not finite everywhere.
    """
    learnt = {text: learn_design(offset_formula(text), cells)[0] for text in dict.fromkeys(expressions) if text}
    for text, design in learnt.items():
        if len(design.terms) != 1 or design.levels:
            raise ValueError(
                f"offset {text!r} has the columns {', '.join(design.terms)}; it must be one number, such as log_known "
                "or {log_known - 0.1 * month}"
            )
    with_offsets = replace(hazard, offsets=tuple(learnt[text] if text else None for text in expressions))
    return with_offsets, with_offsets.offset(cells)


def read_variables(
    formulas: Sequence[str], frame: pd.DataFrame, macro: pd.DataFrame | None, duration_col: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide the columns that formulas read into those of the episodes and those of the macro path.

    Raises
    ------
    ContractError
        If a column stands in both, or the frame has a column ``month`` that is not the duration.
    """
    read = sorted({name for formula in formulas for name in parse_formula("hazard", formula)})
    variables = [name for name in read if name != MONTH]
    known = set() if macro is None else {str(column) for column in macro.columns}
    both = sorted(known & set(variables) & {str(column) for column in frame.columns})
    found = [Violation("macro", f"column {c!r} stands in the frame and in macro; rename one of them") for c in both]
    if MONTH in frame.columns and duration_col != MONTH and MONTH in read:
        rule = (
            f"the formula's {MONTH!r} is the running month in default, but the frame has another column of this name; "
            "rename it"
        )
        found.append(Violation("frame", rule))
    if found:
        raise ContractError(found)
    macro_columns = tuple(name for name in variables if name in known)
    return tuple(name for name in variables if name not in known), macro_columns


def cell_frame(
    patterns: pd.DataFrame,
    *,
    pattern: IntArray,
    month: IntArray,
    path: MacroPath | None,
    default_month: IntArray | None,
    macro_month: IntArray | None = None,
) -> pd.DataFrame:
    """Return the frame of cells that a formula reads.

    Parameters
    ----------
    patterns : DataFrame
        Covariates, one row per pattern.
    pattern, month : ndarray of int of shape (n_cells,)
        Pattern and month in default of each cell.
    path : MacroPath or None
        Macro values.
    default_month : ndarray of int of shape (n_patterns,) or None
        Calendar month of default of each pattern, where there is a path.
    macro_month : ndarray of int of shape (n_cells,), optional
        Month in default of which the macro values are taken; ``month`` when not given.
    """
    # Text is compared as codes: a cell frame repeats few values many times.
    texts = [name for name in patterns.columns if not is_number(patterns[name])]
    coded = patterns.assign(**{name: patterns[name].astype("category") for name in texts})
    cells = coded.take(pattern).reset_index(drop=True)
    cells[MONTH] = month
    if path is not None and default_month is not None:
        cells = cells.assign(**path.at(default_month[pattern] + (month if macro_month is None else macro_month)))
    return cells


def learn_hazard_design(
    formula: str,
    patterns: pd.DataFrame,
    *,
    pattern: IntArray,
    month: IntArray,
    macro_columns: tuple[str, ...],
    path: MacroPath | None,
    default_month: IntArray | None,
) -> tuple[HazardDesign, Array | GridDesign]:
    """Learn a formula on cells, and return its matrix there, shape (n_cells, n_terms).

    Parameters
    ----------
    formula : str
    patterns : DataFrame
        Covariates, one row per pattern.
    pattern, month : ndarray of int of shape (n_cells,)
        Pattern and month in default of each cell.
    macro_columns : tuple of str
        Columns of the path that the formula reads.
    path, default_month
        As in ``cell_frame``.

    Raises
    ------
    InsufficientDataError
        If the cells are too many to be held, because a covariate hardly repeats.
    ContractError
        If the formula cannot be evaluated.
    """
    _refuse_large(len(pattern), len(term_columns(formula)))
    if path is None and _is_separable(formula):
        design, distinct, matrix = _learn_apart(formula, patterns, pattern, month)
    else:
        cells = cell_frame(patterns, pattern=pattern, month=month, path=path, default_month=default_month)
        design, matrix = learn_design(formula, cells)
        distinct = matrix
    superfluous = _superfluous(design, distinct)
    kept = np.setdiff1d(np.arange(len(design.terms)), superfluous)
    if len(superfluous):
        matrix = matrix.columns(kept) if isinstance(matrix, GridDesign) else matrix[:, kept]
    return HazardDesign(design, tuple(patterns.columns), macro_columns, kept), matrix


def _is_separable(formula: str) -> bool:
    """Tell whether every term reads either the month or covariates, and none learns from how often values occur."""
    mixed = any(MONTH in columns and len(columns) > 1 for columns in term_columns(formula))
    return not mixed and _LEARNS_FROM_COUNTS.search(formula) is None


def _learn_apart(
    formula: str, patterns: pd.DataFrame, pattern: IntArray, month: IntArray
) -> tuple[Design, Array, Array | GridDesign]:
    """Materialise a separable formula on as many rows as there are patterns and months, and lay these out as cells.

    Returned are the design, its matrix on those few rows, and its matrix on the cells.
    """
    months, place = np.unique(month, return_inverse=True)
    n_patterns = len(patterns)
    few = cell_frame(
        patterns,
        pattern=np.concatenate([np.arange(n_patterns), np.zeros(len(months), dtype=np.int64)]),
        month=np.concatenate([np.full(n_patterns, months[0]), months]),
        path=None,
        default_month=None,
    )
    design, small = learn_design(formula, few)
    _refuse_large(len(pattern), small.shape[1])
    of_month = np.zeros(small.shape[1], dtype=bool)
    for columns, where in zip(term_columns(formula), design.spec.term_slices.values(), strict=True):
        of_month[where] = MONTH in columns
    by_pattern, by_month = np.where(of_month, 0.0, small[:n_patterns]), np.where(of_month, small[n_patterns:], 0.0)
    grid = GridDesign(by_pattern, by_month, pattern, place)
    return design, small, grid if n_patterns * len(months) <= _MOST_PLACES * len(pattern) else grid.rows()


def _superfluous(design: Design, matrix: Array) -> list[int]:
    """Return the columns that others repeat because the columns of a spline such as ``cr(month, df=4)`` add up to 1.

    The first such spline carries the level: the constant goes, and so does every term with which the spline interacts.
    Further ones lose their first column.
    """
    slices = {frozenset(factor.expr for factor in term.factors): at for term, at in design.spec.term_slices.items()}
    constants = [at for factors, at in slices.items() if factors <= {"1"}]
    splines = [
        (next(iter(factors)), at)
        for factors, at in slices.items()
        if len(factors) == 1
        and at.stop - at.start > 1
        and "(" in next(iter(factors))
        and bool(np.all(np.abs(matrix[:, at].sum(axis=1) - 1.0) < _SUMS_TO_ONE))
    ]
    if not splines or not constants:
        return []
    first = splines[0][0]
    repeated = constants + [slices[f - {first}] for f in slices if first in f and len(f) > 1 and f - {first} in slices]
    return [i for at in repeated for i in range(at.start, at.stop)] + [at.start for _, at in splines[1:]]


def _refuse_large(n_cells: int, n_terms: int) -> None:
    if n_cells * n_terms > _LARGEST_DESIGN:
        raise InsufficientDataError(
            f"the covariates hardly repeat: {n_cells:,} cells of pattern and month times {n_terms} terms are too many "
            "to hold; round continuous covariates or take them in bands, so that episodes share a pattern"
        )
