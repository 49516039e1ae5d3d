"""Design matrices through formulaic, learnt once and kept, so that predictions use the design of the fit.

A formula is materialised on distinct rows only, or in blocks, never as a wide frame of all episodes. Levels that the
fit did not see are refused: a dummy coding that is silently zero would predict the baseline for them. Private to the
models.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec, SimpleFormula
from formulaic.errors import DataMismatchWarning, FormulaicError
from numpy.typing import NDArray

from recoverykit.errors import ContractError, ExtrapolationError, Violation
from recoverykit.estimators._compression import Tally
from recoverykit.estimators._formula_columns import coded_column, columns_read

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Rows materialised at a time, which bounds the memory beside the matrix itself.
_BLOCK_ROWS = 65_536
#: Transforms that learn from the whole column (its mean, its knots), so distinct rows alone would mislead them.
_STATEFUL = re.compile(r"\b(bs|cc|cr|cs|center|poly|scale|standardize|lag)\s*\(")
_N_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A formula with what it learnt from the data of the fit.

    Attributes
    ----------
    formula : str
        The formula as given.
    spec : ModelSpec
        formulaic's record of levels and transforms.
    terms : tuple of str
        Column names of the matrix.
    variables : tuple of str
        Columns of the frame that the formula reads, sorted.
    levels : mapping of str to tuple
        For each categorical variable the values seen in the fit; for categories made from columns, such as
        ``C(ltv > 0.8)``, those seen under the text of the expression.
    """

    formula: str
    spec: ModelSpec
    terms: tuple[str, ...]
    variables: tuple[str, ...]
    levels: Mapping[str, tuple[object, ...]]


def parse_formula(part: str, text: str) -> tuple[str, ...]:
    """Check a one-sided formula and return the columns it reads.

    Parameters
    ----------
    part : str
        What the formula is for, named in messages.
    text : str
        Such as ``"~ product + ltv"``.

    Raises
    ------
    ValueError
        If the text is no formula, has a left side or several parts, or no term at all.
    """
    try:
        formula = _parsed(text)
    except (FormulaicError, ValueError, SyntaxError) as error:
        reason = re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error)).split("\n")[0]
        raise ValueError(f"{part} formula {text!r} cannot be read: {reason}") from error
    if not isinstance(formula, SimpleFormula):
        raise ValueError(f"{part} formula {text!r} has a left side or several parts; give one right side: '~ product'")
    if len(formula) == 0:
        raise ValueError(f"{part} formula {text!r} has no term; '~ 1' is the formula without covariates")
    return tuple(sorted({name for term in formula for factor in term.factors for name in columns_read(factor)}))


def term_columns(text: str) -> tuple[tuple[str, ...], ...]:
    """Return the columns that each term of a formula reads, in the order of its terms."""
    return tuple(
        tuple(sorted({name for factor in term.factors for name in columns_read(factor)})) for term in _parsed(text)
    )


def is_stateful(text: str) -> bool:
    """Tell whether a formula has a transform that must see every row to learn."""
    return _STATEFUL.search(text) is not None


def is_plain(text: str) -> bool:
    """Tell whether a formula reads its columns as they are, without calling any function or Python expression."""
    return not set(text) & set("({[")


def learn_design(text: str, frame: pd.DataFrame) -> tuple[Design, Array]:
    """Learn a formula from a frame, and return its matrix there too.

    Parameters
    ----------
    text : str
        A formula that ``parse_formula`` accepted.
    frame : DataFrame
        Every level of every categorical variable occurs; no missing values.

    Returns
    -------
    design : Design
        The formula with what it learnt.
    matrix : ndarray of shape (n_rows, n_terms)
        The design matrix of the frame.

    Raises
    ------
    ContractError
        If formulaic cannot evaluate it on this frame, it names levels but not all of them, or a value is not finite.
    """
    variables = parse_formula("a", text)
    held = _without_unused_levels(frame.loc[:, list(variables)])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)  # levels given in the formula that leave some out
            matrix = _parsed(text).get_model_matrix(held, na_action="raise", output="numpy")
    except (DataMismatchWarning, FormulaicError, ValueError, TypeError) as error:
        raise _not_evaluated(text, error) from error
    spec = matrix.model_spec
    design = Design(text, spec, tuple(str(c) for c in spec.column_names), variables, _levels(spec, held))
    return design, _checked(design, np.asarray(matrix))


def design_matrix(design: Design, frame: pd.DataFrame, positions: IntArray | None = None) -> Array:
    """Materialise a learnt design on rows of a frame, in blocks.

    Parameters
    ----------
    design : Design
        From ``learn_design``.
    frame : DataFrame
        Holds the variables, without missing values; its levels were checked.
    positions : ndarray of int of shape (n,) or None
        Which rows, in which order; None takes all.

    Returns
    -------
    ndarray of shape (n, n_terms)
        Row-major float64.

    Raises
    ------
    ContractError
        If the formula cannot be evaluated on this frame, or a value is not finite.
    ExtrapolationError
        If an expression makes a category that the fit did not see.
    """
    held = frame.loc[:, list(design.variables)]
    n_rows = len(held) if positions is None else len(positions)
    matrix = np.empty((n_rows, len(design.terms)))
    for begin in range(0, n_rows, _BLOCK_ROWS):
        end = min(begin + _BLOCK_ROWS, n_rows)
        block = held.iloc[begin:end] if positions is None else held.take(positions[begin:end])
        matrix[begin:end] = _materialised(design, block)
    return _checked(design, matrix)


def _materialised(design: Design, block: pd.DataFrame) -> Array:
    """Return the matrix of some rows; formulaic would only warn of a category that it does not know and leave it 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)
        try:
            return np.asarray(design.spec.get_model_matrix(block), dtype=float)
        except DataMismatchWarning as unseen:
            made = "; ".join(f"{name}: {', '.join(map(str, seen))}" for name, seen in design.levels.items())
            raise ExtrapolationError(
                f"formula {design.formula!r} makes a category that the fit did not see; it saw {made}. Predict for "
                "those, or fit again with the new ones"
            ) from unseen
        except (FormulaicError, ValueError, TypeError) as error:
            raise _not_evaluated(design.formula, error) from error


def learn_plain_design(text: str, frame: pd.DataFrame, cells: Tally, positions: IntArray) -> tuple[Design, Array]:
    """Learn a formula without functions, and build its matrix on many rows from few.

    Parameters
    ----------
    text : str
        A formula for which ``is_plain`` holds.
    frame : DataFrame
        Holds the variables, without missing values.
    cells : Tally
        Combinations of the categorical columns, with the inverse.
    positions : ndarray of int of shape (n,)
        Rows of the matrix, in order.

    Returns
    -------
    design : Design
    matrix : ndarray of shape (n, n_terms)
    """
    design, indicators, products = learn_indicators(text, frame, cells.first)
    columns = {name: frame[name].to_numpy(dtype=float) for name in {name for product in products for name in product}}
    multiplied = [(k, name) for k, product in enumerate(products) for name in product]
    matrix = np.empty((len(positions), len(design.terms)))
    for begin in range(0, len(positions), _BLOCK_ROWS):
        taken = positions[begin : begin + _BLOCK_ROWS]
        block = indicators.take(cells.places[taken], axis=0)
        for k, name in multiplied:
            block[:, k] *= columns[name][taken]
        matrix[begin : begin + len(taken)] = block
    return design, matrix


def learn_indicators(text: str, frame: pd.DataFrame, rows: IntArray) -> tuple[Design, Array, list[tuple[str, ...]]]:
    """Learn a formula without functions from one row of each combination of categories.

    Each column of such a design is the product of an indicator of categories and of numbers. The indicators are
    materialised with every number set to 1, and are to be multiplied by the numbers after.

    Parameters
    ----------
    text : str
        A formula for which ``is_plain`` holds.
    frame : DataFrame
        Holds the variables, without missing values.
    rows : ndarray of int of shape (n_cells,)
        A row of each combination of the categorical columns.

    Returns
    -------
    design : Design
    indicators : ndarray of shape (n_cells, n_terms)
    numbers : list of tuple of str
        For each column the numbers by which it is multiplied, a number twice for its square.
    """
    held = frame.loc[:, list(parse_formula("a", text))]
    is_numeric = {name: is_number(held[name]) for name in held.columns}
    taught = held.take(rows).assign(**{name: 1.0 for name, numeric in is_numeric.items() if numeric})
    design, indicators = learn_design(text, taught)
    numbers: list[tuple[str, ...]] = [()] * len(design.terms)
    for term, where in design.spec.term_slices.items():
        factors = tuple(sorted(factor.expr for factor in term.factors if is_numeric.get(factor.expr, False)))
        numbers[where] = [factors] * len(numbers[where])
    return design, indicators, numbers


def is_number(column: pd.Series) -> bool:
    """Tell whether formulaic reads a column as numbers rather than as categories."""
    return column.dtype.kind in "bifu"


def check_variables(frame: pd.DataFrame, variables: tuple[str, ...]) -> list[Violation]:
    """Return what is wrong with the columns that formulas read: absent, missing or infinite values."""
    found = []
    for name in variables:
        if name not in frame.columns:
            there = ", ".join(str(c) for c in frame.columns)
            found.append(Violation("frame", f"column {name!r} of the formula is missing; there are {there}"))
            continue
        column = frame[name]
        bad = column.isna().to_numpy()
        if column.dtype.kind == "f":
            bad = bad | np.isinf(column.to_numpy())
        if bad.any():
            keys = tuple(f"row {label}" for label in frame.index[bad][:_N_SHOWN])
            found.append(Violation("frame", f"{name} must be there and finite in every row", int(bad.sum()), keys))
    return found


def check_prediction_frame(frame: pd.DataFrame, designs: tuple[Design, ...]) -> None:
    """Refuse a frame that lacks a column, has missing values, or has levels that the fit did not see.

    Categories that an expression makes are known, and refused, when ``design_matrix`` evaluates it.

    Raises
    ------
    ContractError
        For columns and missing values.
    ExtrapolationError
        For levels outside the fit.
    """
    variables = tuple(sorted({name for design in designs for name in design.variables}))
    found = check_variables(frame, variables)
    if found:
        raise ContractError(found)
    for design in designs:
        for name in (name for name in design.variables if name in design.levels):
            levels = design.levels[name]
            unseen = sorted({str(v) for v in frame[name].unique() if v not in levels})
            if unseen:
                raise ExtrapolationError(
                    f"{name} has the levels {', '.join(unseen[:_N_SHOWN])}, which the fit did not see; it saw "
                    f"{', '.join(str(v) for v in levels)}. Predict for those, or fit again with the new ones"
                )


@lru_cache(maxsize=256)
def _parsed(text: str) -> Formula:
    """Parse a formula once: models, designs and predictions ask for the same few texts again and again."""
    return Formula(text)


def _without_unused_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop categories that do not occur: each would be a column of zeros."""
    categorical = [name for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    unused = [name for name in categorical if frame[name].nunique() < len(frame[name].cat.categories)]
    return frame.assign(**{name: frame[name].cat.remove_unused_categories() for name in unused})


def _levels(spec: ModelSpec, frame: pd.DataFrame) -> dict[str, tuple[object, ...]]:
    levels: dict[str, tuple[object, ...]] = {}
    for factor in spec.factors:
        state = spec.encoder_state.get(factor.expr)
        if state is None or state[0].value != "categorical":
            continue
        column = coded_column(factor)
        if column in frame.columns:
            levels[column] = tuple(frame[column].unique())
        else:
            levels[factor.expr] = tuple(state[1].get("categories", ()))
    return levels


def _not_evaluated(text: str, error: Exception) -> ContractError:
    return ContractError([Violation("frame", f"formula {text!r} cannot be evaluated: {error}")])


def _checked(design: Design, matrix: Array) -> Array:
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
    if len(bad):
        names = ", ".join(design.terms[i] for i in bad)
        rule = f"formula {design.formula!r} gives values that are not finite in {names}; check the transform"
        raise ContractError([Violation("frame", rule)])
    return np.ascontiguousarray(matrix, dtype=float)
