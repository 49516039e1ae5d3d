"""The border of the treatment designs: which columns may drive a treatment, predict or be checked for balance.

Names are held against the refused columns here, once, with one message that lists them all.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, InsufficientDataError, RefusedColumnError, Violation
from recoverykit.estimators._rows import broken, number_column
from recoverykit.refused_columns import RefusalClass, matching_rule

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: A forecast made beforehand is no outcome, whatever it forecasts.
_FORECAST = re.compile(r"(^|_)(expected|predicted|forecast|estimated|prior)_", re.IGNORECASE)
_NEVER_DRIVERS = (RefusalClass.NEVER, RefusalClass.FAIRNESS_ONLY, RefusalClass.HASHED)
_NEVER_BALANCE = (RefusalClass.NEVER, RefusalClass.HASHED)
_LEAST_PER_ARM = 2


def refuse_drivers(columns: Iterable[str | None], use: str) -> None:
    """Refuse columns that may neither drive a treatment nor predict its outcome.

    Parameters
    ----------
    columns : iterable of str or None
        Column names; None stands for an option that was not taken.
    use : str
        What they would do, in words.

    Raises
    ------
    RefusedColumnError
        When a column is of class A, B or D, or of class C and not a forecast made beforehand.
    """
    _refuse(columns, use, _NEVER_DRIVERS)


def refuse_balance(columns: Iterable[str]) -> None:
    """Refuse columns whose balance cannot be checked: of class A or D, or known only afterwards.

    A balance check neither predicts nor decides, so columns of class B, joined from the fairness file, may be in it.
    """
    _refuse(columns, "a check of balance", _NEVER_BALANCE)


def _refuse(columns: Iterable[str | None], use: str, classes: tuple[RefusalClass, ...]) -> None:
    found = []
    for column in dict.fromkeys(c for c in columns if c is not None):
        rule = matching_rule(str(column), classes)
        if rule is None and not _FORECAST.search(str(column)):
            rule = matching_rule(str(column), (RefusalClass.OUTCOME,))
        if rule is not None:
            found.append(f"{column!r} (class {rule.refusal_class}, {rule.what}, by its name)")
    if found:
        raise RefusedColumnError(
            f"{', '.join(found)} cannot be {use}: classes A, B and D never drive a treatment or predict, and class C "
            "is known only afterwards; take columns that were known when the treatment was chosen"
        )


def check_numbers(
    frame: pd.DataFrame, columns: Sequence[str], *, advice: str = "", faults: Sequence[Violation] = ()
) -> dict[str, Array]:
    """Return columns as finite floats.

    Parameters
    ----------
    frame : DataFrame
        Holds the columns.
    columns : sequence of str
        Their names.
    advice : str
        What to do, behind the rule in the message.
    faults : sequence of Violation
        What was already found wrong; raised together with what is found here.

    Raises
    ------
    ContractError
        With every column that holds something else.
    """
    values = {column: number_column(frame, column, 0.0) for column in dict.fromkeys(columns)}
    found = list(faults)
    for column, numbers in values.items():
        found += broken(frame, f"{column} must be a number in every row{advice}", ~np.isfinite(numbers))
    if found:
        raise ContractError(found)
    return values


def read_weights(frame: pd.DataFrame, weights_col: str | None) -> tuple[Array, list[Violation]]:
    """Return weights, 1 where no column is named, and a violation where one is no finite number above 0."""
    weights = number_column(frame, weights_col, 1.0)
    return weights, broken(frame, f"{weights_col} must be a number above 0", ~(np.isfinite(weights) & (weights > 0)))


def two_arms(frame: pd.DataFrame, arm_col: str, control: str | None, treated: str | None) -> tuple[str, str]:
    """Return the names of the treated and the control arm.

    Parameters
    ----------
    frame : DataFrame
        Holds the column, without missing values.
    arm_col : str
        Arm of each unit.
    control, treated : str or None
        Their names; ``treated`` may be left out where there are two arms, ``control`` where one is called so.

    Raises
    ------
    ValueError
        When an arm is not there, or has to be named.
    """
    arms = sorted(str(arm) for arm in frame[arm_col].dropna().unique())
    named = control if control is not None else ("control" if "control" in arms else None)
    if named is None or named not in arms:
        raise ValueError(f"control is {control!r}; {arm_col} has the arms {', '.join(arms)}: name one of them")
    others = [arm for arm in arms if arm != named]
    chosen = treated if treated is not None else (others[0] if len(others) == 1 else None)
    if chosen is None or chosen not in others:
        there = ", ".join(others) or "no other arm"
        raise ValueError(f"treated is {treated!r}; beside {named!r} {arm_col} has {there}: name one of them")
    return chosen, named


def check_sizes(is_treated: BoolArray, names: tuple[str, str]) -> None:
    """Raise InsufficientDataError when an arm, treated first, has too few units for a spread."""
    sizes = (int(is_treated.sum()), int((~is_treated).sum()))
    if min(sizes) < _LEAST_PER_ARM:
        raise InsufficientDataError(
            f"{names[0]} has {sizes[0]} units to compare and {names[1]} {sizes[1]}; two in each arm are the least"
        )
