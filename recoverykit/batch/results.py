"""Result tables and records of the notebooks: written by each, gathered by the notebooks that speak of the whole book.

A notebook hands over what it computed in its last cell. The files of one notebook and segment lie in one folder
``<results>/<notebook>/<segment>``: a Parquet file for each table and ``record.json``. The bytes depend on the content
alone, so that two runs can be compared.
"""

import html
import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recoverykit.batch._files import write_text, written_aside
from recoverykit.batch._names import nearest, slug
from recoverykit.errors import InsufficientDataError, RecoverykitError
from recoverykit.vocabulary import WHOLE_BOOK

RECORD = "record.json"
_SEGMENT = "segment"


class Note(str):
    """A sentence that a notebook shows as prose: without quotation marks, in a page as a paragraph."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the sentence as it is."""
        return str(self)

    def _repr_html_(self) -> str:
        return f'<p class="rk-prose">{html.escape(self)}</p>'


def write_result(
    results_folder: str,
    *,
    notebook: str,
    segment: str = WHOLE_BOOK,
    tables: Mapping[str, pd.DataFrame] | None = None,
    record: Mapping[str, Any] | None = None,
    worklists: Mapping[str, pd.DataFrame] | None = None,
) -> Note:
    """Write what a notebook found and say so in one sentence.

    Parameters
    ----------
    results_folder : str
        The notebook's parameter of this name; empty in JupyterLab, where nothing is written.
    notebook : str
        Name of the notebook, as in the plan.
    segment : str
        Name of the segment; ``"all"`` for the whole book.
    tables : mapping of str to DataFrame, optional
        Frames by name. Their index must be the plain running number, since it is not written.
    record : mapping, optional
        Numbers, text, lists and mappings; NaN and infinite numbers are written as null. The keys ``notebook`` and
        ``segment`` are set from the arguments.
    worklists : mapping of str to DataFrame, optional
        Frames that people work from, by name: each is written as one CSV file beside the others and is not gathered
        with the tables of the run.

    Returns
    -------
    Note
        A sentence for the last cell.

    Raises
    ------
    RecoverykitError
        When a name is not fit for a file, a frame has an index of its own, a value cannot be written, the folder is
        not writable or the disk is full.

    Examples
    --------
    >>> write_result("", notebook="02_time_to_cure", record={"n_episodes": 8})
    Nothing was written: results_folder is empty, as in JupyterLab.
    """
    if not results_folder:
        return Note("Nothing was written: results_folder is empty, as in JupyterLab.")
    tables = tables or {}
    worklists = worklists or {}
    for name in [notebook, *tables, *worklists]:
        if slug(name) != name:
            raise RecoverykitError(f"{name!r} is no fit name for a file; use lower-case letters, digits, _ and -")
    arrow = {name: _to_arrow(name, frame) for name, frame in tables.items()}
    identity = {"notebook": notebook, _SEGMENT: segment}
    content = json.dumps(
        _json_safe({**(record or {}), **identity}, "record"),
        indent=1,
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
    )
    folder = Path(results_folder) / notebook / slug(segment)
    for name, table in arrow.items():
        tagged = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), b"recoverykit.segment": segment.encode()}
        )
        with written_aside(folder / f"{name}.parquet") as partial:
            pq.write_table(tagged, partial, compression="zstd")
    for name, frame in worklists.items():
        write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    write_text(folder / RECORD, content + "\n")
    names = f" and {len(tables)} table{'s' if len(tables) != 1 else ''} ({', '.join(tables)})" if tables else ""
    lists = f"; as CSV: {', '.join(worklists)}" if worklists else ""
    return Note(f"Written for segment {segment!r}: the record{names}{lists}.")


def collect_results(results_folder: str, notebook: str, table: str, *, required: bool = True) -> pd.DataFrame:
    """Return one table of all segments in one frame.

    Parameters
    ----------
    results_folder : str
        Where the notebooks wrote.
    notebook, table : str
        Names given to ``write_result``.
    required : bool
        Whether it is an error that no segment has the table; otherwise the frame is empty.

    Returns
    -------
    DataFrame
        The rows of each segment in their own order, segments sorted by name, with the column ``segment`` first. A
        table that brings such a column of its own keeps that one.

    Raises
    ------
    InsufficientDataError
        When no segment has such a table, and it is required; the message names what there is.
    """
    folder = Path(results_folder) / notebook
    paths = sorted(folder.glob(f"*/{table}.parquet"))
    if not paths and not required:
        return pd.DataFrame({_SEGMENT: pd.Series(dtype=object)})
    if not paths:
        raise InsufficientDataError(_nothing_there(Path(results_folder), notebook, table))
    return _joined(paths)


def read_records(results_folder: str, notebook: str) -> dict[str, dict[str, Any]]:
    """Return the record of each segment for which a notebook has written one.

    Parameters
    ----------
    results_folder : str
        Where the notebooks wrote.
    notebook : str
        Name given to ``write_result``.

    Returns
    -------
    dict of str to dict
        By the name of the segment, sorted; empty when the notebook wrote nothing. Each record has the keys
        ``notebook`` and ``segment`` beside its own.
    """
    paths = (Path(results_folder) / notebook).glob(f"*/{RECORD}")
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return {record[_SEGMENT]: record for record in sorted(records, key=lambda r: r[_SEGMENT])}


def gather_tables(
    results_folder: str | Path, tables_folder: str | Path, *, keys: Collection[str] | None = None
) -> list[Path]:
    """Write each table of each notebook, all segments together, as Parquet and as CSV.

    Parameters
    ----------
    results_folder : path
        Where the notebooks wrote.
    tables_folder : path
        Where ``<notebook>.<table>.parquet`` and ``.csv`` are written.
    keys : collection of str, optional
        Executions whose results count, as ``<notebook>/<folder of the segment>``; all that are there by default.

    Returns
    -------
    list of Path
        What was written, sorted.

    Raises
    ------
    RecoverykitError
        When the folder is not writable or the disk is full.
    """
    written = []
    parts: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(Path(results_folder).glob("*/*/*.parquet")):
        notebook = path.parents[1].name
        if keys is None or f"{notebook}/{path.parent.name}" in keys:
            parts.setdefault((notebook, path.stem), []).append(path)
    for (notebook, table), paths in sorted(parts.items()):
        frame = _joined(paths)
        stem = Path(tables_folder) / f"{notebook}.{table}"
        parquet, csv = stem.with_name(f"{stem.name}.parquet"), stem.with_name(f"{stem.name}.csv")
        with written_aside(parquet) as partial:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), partial, compression="zstd")
        with written_aside(csv) as partial:
            frame.to_csv(partial, index=False, lineterminator="\n", date_format="%Y-%m-%d")
        written += [csv, parquet]
    return written


def _joined(paths: Iterable[Path]) -> pd.DataFrame:
    """Return one table of several segments, sorted by the name of the segment."""
    parts = []
    for path in paths:
        part = pq.read_table(path)
        segment = (part.schema.metadata or {}).get(b"recoverykit.segment", path.parent.name.encode()).decode()
        if _SEGMENT not in part.column_names:
            part = part.add_column(0, _SEGMENT, pa.array([segment] * part.num_rows, pa.string()))
        parts.append((segment, part.replace_schema_metadata(None)))
    joined = pa.concat_tables([part for _, part in sorted(parts, key=lambda p: p[0])], promote_options="permissive")
    frame = joined.to_pandas()
    return frame[[_SEGMENT, *[column for column in frame.columns if column != _SEGMENT]]]


def _to_arrow(name: str, frame: pd.DataFrame) -> pa.Table:
    if not isinstance(frame.index, pd.RangeIndex):
        raise RecoverykitError(
            f"table {name!r} has an index of its own, which is not written; call reset_index() first"
        )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError) as error:
        raise RecoverykitError(f"table {name!r} cannot be written as Parquet: {error}") from error


def _json_safe(value: Any, place: str) -> Any:
    """Return a value as JSON can hold it: plain numbers, ISO dates, null for what is not a number."""
    if isinstance(value, np.ndarray | np.datetime64) and value.dtype == "datetime64[ns]":
        value = value.astype("datetime64[us]")  # which numpy makes a date of, where nanoseconds become a number
    if hasattr(value, "item") and not isinstance(value, pd.Series | pd.Index) and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if value is None or value is pd.NaT or isinstance(value, str | bool | int):
        return None if value is pd.NaT else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _json_safe(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        items = value if isinstance(value, list | tuple) else value.tolist()
        return [_json_safe(item, f"{place}[{index}]") for index, item in enumerate(items)]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise RecoverykitError(f"{place}: a record cannot hold a {type(value).__name__}; give numbers or text")


def _nothing_there(results_folder: Path, notebook: str, table: str) -> str:
    notebooks = {path.parent.name for path in results_folder.glob("*/*") if path.is_dir()}
    if notebook not in notebooks:
        return f"notebook {notebook!r} left no results in {results_folder.name}; {nearest(notebook, notebooks)}"
    names = {path.stem for path in (results_folder / notebook).glob("*/*.parquet")}
    return f"notebook {notebook!r} left no table {table!r}; {nearest(table, names)}"
