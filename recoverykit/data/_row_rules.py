"""The rules between columns of one row, as data: which columns they read, what they demand, which rows break them."""

import re
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

#: What stands for an agent: names have no digits, and names of two words have a blank.
AGENT_CODE = re.compile(r"(?=.*[0-9])[A-Za-z0-9_.:-]+")
#: Dates of a court case, all of them on or after the filing.
AFTER_FILING = ("hearing_date", "judgment_date", "settlement_date", "withdrawal_date", "enforcement_date")


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


def _before(later: str, earlier: str) -> Callable[[pd.DataFrame], Mask]:
    """Return which rows have the later date before the earlier one; an empty date breaks nothing."""
    return lambda frame: frame[later].lt(frame[earlier]).to_numpy()


def _paid_without_date(frame: pd.DataFrame) -> Mask:
    return (frame["paid_amount"].gt(0) & frame["paid_date"].isna()).to_numpy()


def _date_without_paid(frame: pd.DataFrame) -> Mask:
    return (frame["paid_amount"].eq(0) & frame["paid_date"].notna()).to_numpy()


def _paid_too_much(frame: pd.DataFrame) -> Mask:
    return frame["paid_amount"].gt(frame["due_amount"]).to_numpy()


def _judgment_without_date(frame: pd.DataFrame) -> Mask:
    return (frame["judgment"].notna() & frame["judgment_date"].isna()).to_numpy()


def _date_without_judgment(frame: pd.DataFrame) -> Mask:
    return (frame["judgment"].isna() & frame["judgment_date"].notna()).to_numpy()


def _no_code(frame: pd.DataFrame) -> Mask:
    given = frame["agent_hash"].dropna().unique()
    named = [value for value in given if not AGENT_CODE.fullmatch(value)]
    return frame["agent_hash"].isin(named).to_numpy()


def _paid_rules(table: str) -> Iterator[RowRule]:
    columns = ("paid_date", "paid_amount")
    yield RowRule(table, columns, "paid_date must be given where paid_amount is above zero", _paid_without_date)
    yield RowRule(table, columns, "paid_date must be empty where paid_amount is zero", _date_without_paid)


def _ordered(table: str, *pairs: tuple[str, str]) -> Iterator[RowRule]:
    for later, earlier in pairs:
        yield RowRule(table, (later, earlier), f"{later} must not lie before {earlier}", _before(later, earlier))


def _agent_rule(table: str) -> RowRule:
    words = (
        "agent_hash must be a code with a digit in it and without blanks, never a name; "
        "list the source column under `hashed` of its table"
    )
    return RowRule(table, ("agent_hash",), words, _no_code)


OPERATION_ROW_RULES = (
    *_paid_rules("instalments"),
    RowRule(
        "instalments",
        ("paid_amount", "due_amount"),
        "paid_amount must not exceed due_amount: what is paid beyond it belongs to the next instalment",
        _paid_too_much,
    ),
    _agent_rule("actions"),
    *_ordered("promises", ("due_date", "promise_date"), ("paid_date", "promise_date")),
    *_paid_rules("promises"),
    _agent_rule("promises"),
    *_ordered("court", *((name, "filing_date") for name in AFTER_FILING), ("judgment_date", "hearing_date")),
    *_ordered("court", ("enforcement_date", "judgment_date")),
    RowRule(
        "court",
        ("judgment", "judgment_date"),
        "judgment_date must be given where there is a judgment",
        _judgment_without_date,
    ),
    RowRule(
        "court",
        ("judgment", "judgment_date"),
        "judgment must be given where there is a judgment_date",
        _date_without_judgment,
    ),
    RowRule("turnover", ("month_end",), "month_end must be the last day of its month", _not_month_end),
)

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
    *OPERATION_ROW_RULES,
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
