"""Write the synthetic portfolio to files, byte for byte the same for a seed.

Parquet with fixed options and without the time of writing; strings as dictionaries, dates as days, moments to the
millisecond. It knows nothing about what the tables mean.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

_COMPRESSION_LEVEL = 12
#: Columns of distinct amounts: their bytes are split by place, which compresses better than a dictionary.
_SPLIT_SUFFIX = "_amount"
#: Columns of moments, not of days.
_TIME_SUFFIX = "_time"


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write one contract table as Parquet: dates as date32, text as string, one row group."""
    arrays, schema = [], []
    for name, column in frame.items():
        kind = _arrow_type(column)
        arrays.append(pa.array(column, type=kind, from_pandas=True))
        schema.append(pa.field(str(name), kind, nullable=bool(column.isna().any())))
    table = pa.Table.from_arrays(arrays, schema=pa.schema(schema))
    money = [str(c) for c in frame if pa.types.is_floating(table.schema.field(str(c)).type) and _is_money(str(c))]
    pq.write_table(
        table,
        path,
        version="2.6",
        compression="zstd",
        compression_level=_COMPRESSION_LEVEL,
        use_dictionary=[c for c in table.column_names if c not in money],
        column_encoding=dict.fromkeys(money, "BYTE_STREAM_SPLIT") or None,
        row_group_size=max(table.num_rows, 1),
        store_schema=False,
    )


def write_truth(truth: Mapping[str, Any], path: Path) -> None:
    """Write the truth as JSON with sorted keys."""
    path.write_text(json.dumps(truth, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8", newline="\n")


def _is_money(name: str) -> bool:
    return name.endswith(_SPLIT_SUFFIX) or name == "amount"


def _arrow_type(column: pd.Series) -> pa.DataType:
    if pd.api.types.is_datetime64_any_dtype(column):
        return pa.timestamp("ms") if str(column.name).endswith(_TIME_SUFFIX) else pa.date32()
    if pd.api.types.is_bool_dtype(column):
        return pa.bool_()
    if pd.api.types.is_integer_dtype(column):
        return pa.int32()
    return pa.float64() if pd.api.types.is_float_dtype(column) else pa.string()
