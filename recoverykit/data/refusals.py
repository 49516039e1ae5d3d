"""Columns about people that the kit does not take in: the loader fails closed and names the rule.

Four classes: A never, B in a separate fairness file only, C outcomes that are no predictors, D identifiers that are
hashed on load. A column is told by its name, in English and in Chinese, and by what it holds. Every column that a
source carries is examined, also those that nobody asked for. This module knows nothing about files or specs; it never
shows a value.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as arrow

from recoverykit.data._identifiers import identifier_in
from recoverykit.errors import RefusedColumnError
from recoverykit.refused_columns import CLASS_RULES, REFUSAL_RULES, RefusalClass, RefusalRule, matching_rule

__all__ = [
    "REFUSAL_RULES",
    "Refusal",
    "RefusalClass",
    "RefusalRule",
    "matching_rule",
    "raise_refusals",
    "refusal_register",
    "refuse_contents",
    "refuse_names",
    "refuse_predictors",
    "sql_names",
]

_ANY_TABLE_CLASSES = (RefusalClass.NEVER, RefusalClass.FAIRNESS_ONLY, RefusalClass.HASHED)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One column that is not taken in.

    Attributes
    ----------
    table : str
        The contract table whose source holds it.
    column : str
        Its name in the source.
    refusal_class : RefusalClass
        A, B, C or D.
    what : str
        What it is about, and whether its name or its content tells.
    """

    table: str
    column: str
    refusal_class: RefusalClass
    what: str

    def __str__(self) -> str:
        """Return the refusal as one line of the message."""
        rule = CLASS_RULES[self.refusal_class]
        return f"{self.table}: column {self.column!r} (class {self.refusal_class}, {self.what}) {rule}"


def refuse_names(table: str, names: Iterable[str], *, hashed: Collection[str] = ()) -> list[Refusal]:
    """Return the columns of a source that their names refuse, classes A, B and D.

    Parameters
    ----------
    table : str
        The contract table.
    names : iterable of str
        Every column that the source carries.
    hashed : collection of str, optional
        Columns declared to be hashed on load; class D among them may come in.

    Returns
    -------
    list of Refusal
        In the order of the names.

    Examples
    --------
    >>> [refusal.column for refusal in refuse_names("facilities", ["LOAN_NO", "SSN", "gender"], hashed=["SSN"])]
    ['gender']
    """
    refusals = []
    for name in names:
        rule = matching_rule(name, _ANY_TABLE_CLASSES)
        if rule is not None and not (rule.refusal_class is RefusalClass.HASHED and name in hashed):
            refusals.append(Refusal(table, name, rule.refusal_class, f"{rule.what}, by its name"))
    return refusals


def refuse_contents(
    table: str, columns: Mapping[str, arrow.ChunkedArray], *, hashed: Collection[str] = ()
) -> list[Refusal]:
    """Return the columns of a source that their contents refuse: ids, phones and e-mail addresses.

    Parameters
    ----------
    table : str
        The contract table.
    columns : mapping of str to ChunkedArray
        Column name to values; text and whole numbers are looked at.
    hashed : collection of str, optional
        Columns declared to be hashed on load, which may hold identifiers.

    Returns
    -------
    list of Refusal
        In the order of the columns, class D; counts only, never a value.
    """
    refusals = []
    for name, values in columns.items():
        found = None if name in hashed else identifier_in(values)
        if found is not None:
            what, n_values = found
            text = f"{what} in {n_values:,} distinct value{'s' if n_values != 1 else ''}, by its content"
            refusals.append(Refusal(table, name, RefusalClass.HASHED, text))
    return refusals


def refuse_predictors(table: str, names: Iterable[str]) -> list[Refusal]:
    """Return the declared segment, driver or macro columns that may not be predictors, by any class.

    Parameters
    ----------
    table : str
        The contract table.
    names : iterable of str
        The declared columns.

    Returns
    -------
    list of Refusal
        Outcomes (class C) among them: on public charged-off loans the settlement flag lifts the explained variance of
        recovery from 0 to .25, because it is known only afterwards.

    Examples
    --------
    >>> [str(refusal.refusal_class) for refusal in refuse_predictors("facilities", ["channel", "settlement_status"])]
    ['C']
    """
    rules = ((name, matching_rule(name)) for name in names)
    return [Refusal(table, name, rule.refusal_class, f"{rule.what}, by its name") for name, rule in rules if rule]


def sql_names(sql: str) -> list[str]:
    """Return the names that a query mentions, so that a refused column cannot come in under another name.

    Parameters
    ----------
    sql : str
        The query. Comments, text in single quotes, names of functions and names inside ``EXCLUDE (...)`` or
        ``EXCEPT (...)`` are left out.

    Returns
    -------
    list of str
        Distinct names in the order of appearance.

    Examples
    --------
    >>> sql_names("SELECT * EXCLUDE (ssn), gender AS g FROM loans -- age")
    ['SELECT', 'EXCLUDE', 'gender', 'AS', 'g', 'FROM', 'loans']
    """
    # a quoted name goes first: what looks like a comment or a text inside it hides nothing that follows
    text = re.sub(r"(\"[^\"]*\")|--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", r"\1 ", sql, flags=re.DOTALL)
    text = re.sub(r"\b(EXCLUDE|EXCEPT)\s*\([^)]*\)", r"\1 ", text, flags=re.IGNORECASE)
    quoted = re.findall(r'"([^"]+)"', text)
    plain = re.findall(r"\b[^\W\d]\w*\b(?!\s*\()", re.sub(r'"[^"]*"', " ", text))
    return list(dict.fromkeys([*plain, *quoted]))


def raise_refusals(refusals: Sequence[Refusal]) -> None:
    """Raise for every refused column at once; do nothing when there is none.

    Parameters
    ----------
    refusals : sequence of Refusal
        What was found in all tables.

    Raises
    ------
    RefusedColumnError
        Lists each column with its table, class and rule.
    """
    if refusals:
        lines = "\n".join(f"  {number}. {refusal}" for number, refusal in enumerate(refusals, 1))
        count = f"{len(refusals)} column{'s' if len(refusals) != 1 else ''}"
        raise RefusedColumnError(f"{count} refused, nothing was loaded:\n{lines}")


def refusal_register() -> pd.DataFrame:
    """Return every rule of refusal as a table, for the governance page of the pack.

    Returns
    -------
    DataFrame
        Columns refusal_class, what, rule; in the order in which names are tried.

    Examples
    --------
    >>> refusal_register()["refusal_class"].unique().tolist()
    ['A', 'B', 'D', 'C']
    """
    rows = [(rule.refusal_class.value, rule.what, rule.rule) for rule in REFUSAL_RULES]
    return pd.DataFrame(rows, columns=["refusal_class", "what", "rule"])
