"""The rules between columns of one row, as data: which columns they read, what they demand, which rows break them."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data._columns import ColumnType, TableContract
from recoverykit.data._wording import row_violation
from recoverykit.errors import Violation
from recoverykit.vocabulary import SEGMENT_SEPARATOR, CollateralKind, Outcome

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RowRule:
    """One rule that each row keeps or breaks.

    Attributes
    ----------
    table : str
        The contract table.
    columns : tuple of str
        Columns that the rule reads; it is passed over where one of them is missing or of the wrong type.
    words : str
        The rule in words.
    broken : callable
        Takes the table and returns which rows break the rule.
    """

    table: str
    columns: tuple[str, ...]
    words: str
    broken: Callable[[pd.DataFrame], Mask]


def _not_month_end(frame: pd.DataFrame) -> Mask:
    return (frame["month_end"].notna() & ~frame["month_end"].dt.is_month_end).to_numpy()


def _value_missing(frame: pd.DataFrame) -> Mask:
    secured = frame["collateral_kind"].notna() & frame["collateral_kind"].ne(CollateralKind.NONE.value)
    return (secured & frame["collateral_value_amount"].isna()).to_numpy()


def _value_without_collateral(frame: pd.DataFrame) -> Mask:
    unsecured = frame["collateral_kind"].eq(CollateralKind.NONE.value)
    return (unsecured & frame["collateral_value_amount"].notna()).to_numpy()


def _open_with_date(frame: pd.DataFrame) -> Mask:
    return (frame["outcome"].eq(Outcome.OPEN.value) & frame["outcome_date"].notna()).to_numpy()


def _closed_without_date(frame: pd.DataFrame) -> Mask:
    closed = frame["outcome"].notna() & frame["outcome"].ne(Outcome.OPEN.value)
    return (closed & frame["outcome_date"].isna()).to_numpy()


def _outcome_before_default(frame: pd.DataFrame) -> Mask:
    return frame["outcome_date"].lt(frame["default_date"]).to_numpy()


ROW_RULES = (
    RowRule(
        "facilities",
        ("collateral_kind", "collateral_value_amount"),
        "collateral_value_amount must be given where collateral_kind is not none",
        _value_missing,
    ),
    RowRule(
        "facilities",
        ("collateral_kind", "collateral_value_amount"),
        "collateral_value_amount must be empty where collateral_kind is none",
        _value_without_collateral,
    ),
    RowRule("status", ("month_end",), "month_end must be the last day of its month", _not_month_end),
    RowRule(
        "episodes",
        ("outcome", "outcome_date"),
        "outcome_date must be empty where the outcome is open",
        _open_with_date,
    ),
    RowRule(
        "episodes",
        ("outcome", "outcome_date"),
        "outcome_date must be given where the outcome is not open",
        _closed_without_date,
    ),
    RowRule(
        "episodes",
        ("outcome_date", "default_date"),
        "outcome_date must not lie before default_date",
        _outcome_before_default,
    ),
    RowRule("scenarios", ("month_end",), "month_end must be the last day of its month", _not_month_end),
)


def check_rows(contract: TableContract, frame: pd.DataFrame, unusable: Collection[str]) -> Iterator[Violation]:
    """Check the rules between columns of one table.

    Parameters
    ----------
    contract : TableContract
        The table with its declared further columns.
    frame : DataFrame of n_rows
        The table.
    unusable : collection of str
        Columns that are missing or of the wrong type.

    Yields
    ------
    Violation
        One per broken rule.
    """
    for rule in ROW_RULES:
        if rule.table != contract.name or set(rule.columns) & set(unusable):
            continue
        found = row_violation(contract.name, rule.words, frame, contract.key, rule.broken(frame))
        if found is not None:
            yield found
    if contract.name == "facilities":
        yield from _check_segment_values(contract, frame, unusable)


def _check_segment_values(
    contract: TableContract, frame: pd.DataFrame, unusable: Collection[str]
) -> Iterator[Violation]:
    """Refuse values that hold the separator of segment names: two segments would get one name."""
    for column in contract.columns:
        if column.type is not ColumnType.TEXT or column.name in {"facility_id", "obligor_id", *unusable}:
            continue
        values = frame[column.name]
        bad = [value for value in values.dropna().unique() if SEGMENT_SEPARATOR in value]
        words = f"{column.name} must not hold {SEGMENT_SEPARATOR!r}, which separates the parts of a segment's name"
        found = row_violation(contract.name, words, frame, contract.key, values.isin(bad).to_numpy())
        if found is not None:
            yield found
