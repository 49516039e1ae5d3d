"""Sentences about conduct: what became of the columns of the sources, and what the log shows against contact rules."""

import pandas as pd

from recoverykit.report._small_cells import format_total, is_small
from recoverykit.report.formats import SUPPRESSED, WORD_SPACE, format_count, format_share, listed, number_of
from recoverykit.report.labels import label_of
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_FEW = f"fewer than {MINIMUM_CELL_COUNT}"


def sentence_source_columns(columns: pd.DataFrame) -> str:
    """Say how many columns of the sources were taken in, hashed and left, and that none was of a refused kind.

    Parameters
    ----------
    columns : DataFrame
        One row per column of a source: table, column and treatment (``taken in``, ``hashed``, ``not taken in``).
    """
    if columns.empty:
        return "This book was not opened from a data spec, so that nothing is known of the columns of its sources."
    counts = columns["treatment"].value_counts()
    n_hashed, n_left = int(counts.get("hashed", 0)), int(counts.get("not taken in", 0))
    examined = number_of(len(columns), "column", "columns")
    tables = number_of(columns["table"].nunique(), "table", "tables")
    taken = format_count(int(counts.get("taken in", 0)))
    hashed = f"{format_count(n_hashed)} only as a keyed hash" if n_hashed else "none needed a hash"
    left = f"{number_of(n_left, 'other', 'others')} stayed where they were" if n_left else "none was left"
    return (
        f"All {examined} that the sources of {tables} carry were examined by name and content: {taken} were taken in, "
        f"{hashed}, and {left}. None was refused: one refused column would have stopped the run before anything was "
        "loaded."
    )


def sentence_contact_breaches(by_unit: pd.DataFrame, *, title: str) -> str:
    """Say how many contacts break which rule, and what a breach in a log is.

    Parameters
    ----------
    by_unit : DataFrame
        One row per rule and unit: rule, n_contacts, n_breaches.
    title : str
        Name of the rule set.
    """
    if by_unit.empty:
        return f"The log holds no contact that {title} is about."
    parts = [_rule_words(str(rule), rows) for rule, rows in by_unit.groupby("rule", sort=False)]
    return (
        f"Held against {title}: {listed(parts)}. That is what the log shows; consent, and calls that the debtor made, "
        "are not in it."
    )


def _rule_words(rule: str, rows: pd.DataFrame) -> str:
    """Say how many contacts break a rule; no total gives away a single number that the table withholds."""
    words = label_of(rule)
    name = f"{words[:1].lower()}{words[1:]}"
    n_breaches, n_contacts = int(rows["n_breaches"].sum()), int(rows["n_contacts"].sum())
    contacts = f"{format_total(rows['n_contacts']).replace(SUPPRESSED, _FEW)} contacts"
    if rows["n_contacts"].map(is_small).sum() == 1:
        n_contacts = 10 * round(n_contacts / 10)  # the share must not tell what the words round
    small = rows["n_breaches"].between(1, MINIMUM_CELL_COUNT - 1)
    if n_breaches == 0:
        return f"{name}, none of {contacts}"
    if n_breaches < MINIMUM_CELL_COUNT:
        return f"{name}, fewer than {MINIMUM_CELL_COUNT} of {contacts}"
    if small.sum() == 1:
        return f"{name}, more than {format_count(int(rows.loc[~small, 'n_breaches'].sum()))} of {contacts}"
    share = format_share(n_breaches / n_contacts, digits=2)
    return f"{name}, {format_count(n_breaches)} of {contacts}{WORD_SPACE}({share})"
