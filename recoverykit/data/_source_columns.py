"""What became of every column that the sources carry: taken in, taken in as a hash, or left where it was."""

from collections.abc import Iterable, Mapping

import pandas as pd
import pyarrow as arrow

from recoverykit.data._columns import TableContract
from recoverykit.data._spec_models import TableSpec
from recoverykit.refused_columns import RefusalClass, matching_rule

TAKEN, HASHED, LEFT = "taken in", "hashed", "not taken in"
COLUMNS = ("table", "column", "treatment", "refusal_class", "what")
Row = tuple[str, str, str, str, str]


def source_column_rows(
    contract: TableContract, table: TableSpec, parts: Mapping[str, arrow.Table], result: arrow.Table
) -> list[Row]:
    """Return one row per column of a source that was examined and not refused.

    Parameters
    ----------
    contract : TableContract
        The table of the contract.
    table : TableSpec
        Its entry in the spec.
    parts : mapping of str to Table
        What the source carries: files of a query by name, one table otherwise.
    result : Table
        What the contract's columns are read from.

    Returns
    -------
    list of (table, column, treatment, refusal_class, what)
        In the order of the source. A hashed column names the rule of class D that its name falls under, or that the
        spec declared it.
    """
    used = {table.columns.get(name, name) for name in contract.column_names if name not in table.constants}
    taken = used & set(result.column_names)
    names = dict.fromkeys([*(name for part in parts.values() for name in part.column_names), *result.column_names])
    return [(contract.name, name, *_treatment(name, table.hashed, taken)) for name in names]


def _treatment(name: str, hashed: Iterable[str], taken: Iterable[str]) -> tuple[str, str, str]:
    if name in hashed:
        rule = matching_rule(name, (RefusalClass.HASHED,))
        return HASHED, RefusalClass.HASHED.value, rule.what if rule else "declared in the data spec"
    return (TAKEN if name in taken else LEFT), "", ""


def source_columns_frame(rows: Iterable[Row] = ()) -> pd.DataFrame:
    """Return the register of source columns.

    Parameters
    ----------
    rows : iterable of (table, column, treatment, refusal_class, what)
        From `source_column_rows`.

    Returns
    -------
    DataFrame
        Columns table, column, treatment (``taken in``, ``hashed``, ``not taken in``), refusal_class and what, text.

    Examples
    --------
    >>> source_columns_frame([("actions", "agent_name", "hashed", "D", "name of a person")])["treatment"].tolist()
    ['hashed']
    """
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(object)
