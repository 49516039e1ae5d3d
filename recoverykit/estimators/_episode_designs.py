"""Episodes made ready for a regression: compressed rows, and the design matrices of formulas on as few rows as will do.

The one road from a frame with checked times to what a likelihood reads, shared by the models with formulas. Private.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError
from recoverykit.estimators._cell_designs import CellDesign
from recoverykit.estimators._compression import Codes, combine, encode, is_continuous, tally
from recoverykit.estimators._event_times import EpisodeRows, EventTimes, compress_rows, uncompressed
from recoverykit.estimators._formulas import (
    Design,
    check_variables,
    design_matrix,
    is_number,
    is_plain,
    is_stateful,
    learn_design,
    learn_indicators,
    learn_plain_design,
    parse_formula,
)

Array = NDArray[np.float64]

#: Designs are those of cells where a cell has this many rows or more on average; else there is nothing to share.
_ROWS_PER_CELL = 200
#: More products of numbers than these are better written out as columns.
_MOST_NUMBERS = 8


def design_episodes(
    formulas: Sequence[str],
    frame: pd.DataFrame,
    times: EventTimes,
    *,
    beside: tuple[str, ...] = (),
    want_inverse: bool,
) -> tuple[EpisodeRows, list[tuple[Design, Array]]]:
    """Compress the rows of a frame by what formulas read, and build the formulas' matrices on the compressed rows.

    Parameters
    ----------
    formulas : sequence of str
        Formulas that ``parse_formula`` accepted.
    frame : DataFrame
        Holds their columns; never modified.
    times : EventTimes
        Of the frame's rows.
    beside : tuple of str
        Columns that rows must share too before they become one, such as an outcome; without missing values.
    want_inverse : bool
        Whether to say where each row of the frame went.

    Returns
    -------
    rows : EpisodeRows
    designs : list of (Design, ndarray of shape (n_patterns, n_terms))
        One for each formula, with one row for each of ``rows.representatives``; equal formulas share one object.

    Raises
    ------
    ContractError
        Columns that are absent or have missing or infinite values, all at once; a formula that cannot be evaluated.
    """
    variables = _variables(formulas)
    _check(frame, variables)
    rows = compress_rows(times, frame, (*variables, *beside), want_inverse=want_inverse)
    learnt = {text: learn_on_few_rows(text, frame, rows) for text in dict.fromkeys(formulas)}
    return rows, [learnt[text] for text in formulas]


def cell_episodes(
    formulas: Sequence[str], frame: pd.DataFrame, times: EventTimes
) -> tuple[EpisodeRows, list[tuple[Design, CellDesign]]] | None:
    """Keep the rows of a frame, and build the formulas' matrices without writing them out.

    Parameters
    ----------
    formulas, frame, times
        As in ``design_episodes``, with its errors.

    Returns
    -------
    rows : EpisodeRows
        Sorted by kind of event, then by cell: by combination of the categories of all formulas.
    designs : list of (Design, CellDesign)
        One for each formula, of the same rows; equal formulas share one object. None instead of both where formulas
        read no numbers of many values, call functions, have too many cells, or a column is absent.
    """
    variables = _variables(formulas)
    if not all(is_plain(text) for text in formulas) or not set(variables) <= set(frame.columns):
        return None
    numeric = [name for name in variables if is_number(frame[name])]
    if not any(is_continuous(frame[name]) for name in numeric):
        return None
    _check(frame, variables)
    columns = [encode(frame[name]) for name in variables if name not in numeric]
    if math.prod(column.size for column in columns) * _ROWS_PER_CELL > len(frame):
        return None
    cells = tally(combine(columns, len(frame)), None, want_inverse=True)
    learnt = {text: learn_indicators(text, frame, cells.first) for text in dict.fromkeys(formulas)}
    products = list(dict.fromkeys([(), *(product for _, _, found in learnt.values() for product in found)]))
    if len(products) > _MOST_NUMBERS:
        return None
    rows = uncompressed(times, within=Codes(cells.places, len(cells.first)))
    cell = cells.places.astype(np.int32)[rows.representatives]
    numbers = np.ones((len(products), len(cell)))
    for number, product in zip(numbers, products, strict=True):
        for name in product:
            number *= frame[name].to_numpy(dtype=float)[rows.representatives]
    designs = {
        text: (design, CellDesign(indicators, np.array([products.index(p) for p in found]), cell, numbers))
        for text, (design, indicators, found) in learnt.items()
    }
    return rows, [designs[text] for text in formulas]


def _variables(formulas: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({name for text in formulas for name in parse_formula("a", text)}))


def _check(frame: pd.DataFrame, variables: tuple[str, ...]) -> None:
    faults = check_variables(frame, variables)
    if faults:
        raise ContractError(faults)


def learn_on_few_rows(text: str, frame: pd.DataFrame, rows: EpisodeRows) -> tuple[Design, Array]:
    """Learn a formula on as few rows as will do, and return its matrix on the representatives of the patterns.

    A transform that learns from the whole column sees every row. Otherwise one row of each pattern has all there is to
    learn; and where rows are not compressed, one row of each combination of categories has, because a formula without
    functions only multiplies the numbers on.

    Parameters
    ----------
    text : str
        A formula that ``parse_formula`` accepted.
    frame : DataFrame
        Holds its columns, without missing values.
    rows : EpisodeRows
        Compressed by all columns of the formula.

    Returns
    -------
    design : Design
    matrix : ndarray of shape (n_patterns, n_terms)

    Raises
    ------
    ContractError
        If the formula cannot be evaluated on this frame.
    """
    if is_stateful(text) or (rows.pattern is None and not is_plain(text)):
        design, _ = learn_design(text, frame)
        return design, design_matrix(design, frame, rows.representatives)
    if rows.pattern is not None:
        return learn_design(text, frame.take(rows.representatives))
    names = [name for name in parse_formula("a", text) if not is_number(frame[name])]
    cells = tally(combine([encode(frame[name]) for name in names], len(frame)), None, want_inverse=True)
    return learn_plain_design(text, frame, cells, rows.representatives)
