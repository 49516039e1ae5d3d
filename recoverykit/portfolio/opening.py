"""Open a book: from a bank's data spec, checked and prepared on the spot, or from a folder prepared before.

A notebook opens its book with the same call in JupyterLab and in the batch. What checks files and builds episodes loads
only where it is needed: reading a prepared book takes a fraction of a second.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recoverykit import data as incoming
from recoverykit import episodes as history
from recoverykit.episodes.definition import DefaultDefinition
from recoverykit.errors import InsufficientDataError, SpecError
from recoverykit.portfolio.book import Book, read_book, with_plain_dates
from recoverykit.vocabulary import WHOLE_BOOK

if TYPE_CHECKING:
    from recoverykit.data.sources import LoadedTables
    from recoverykit.episodes.spells import EpisodeTables

DEFAULT_SEGMENT_BY = ("product", "region")


def open_book(
    data: str | Path,
    *,
    reporting_date: str | pd.Timestamp = "",
    segment: str = WHOLE_BOOK,
    segment_by: tuple[str, ...] | list[str] = DEFAULT_SEGMENT_BY,
    definition: DefaultDefinition | None = None,
    freeze: bool = False,
) -> Book:
    """Open the book from a data spec or from a prepared folder.

    Parameters
    ----------
    data : path
        A data spec (YAML), or a folder written by ``Book.write``.
    reporting_date : str or Timestamp
        The date as of which everything is known; empty for the date of the spec or of the prepared book.
    segment : str
        Restrict to one segment; ``"all"`` for the whole book.
    segment_by : sequence of str
        Segment columns, for a spec; a prepared book brings its own.
    definition : DefaultDefinition, optional
        Rules of default and cure, for a spec; the house rules when absent.
    freeze : bool
        Set the clock back to the reporting date: what is dated later is cut and counted, whatever the spec says of it.
        A prepared folder holds the frozen books that its run asked for.

    Raises
    ------
    SpecError
        When there is nothing at ``data``, a prepared book is of another reporting date, or a frozen one is asked for
        without a date.
    ContractError, RefusedColumnError
        When the bank's data break the contract or hold what the kit does not take in.
    InsufficientDataError
        When the segment, or the whole book, holds no default episode.
    """
    path = Path(data)
    if path.is_dir():
        book = read_book(frozen_folder(path, reporting_date) if freeze else path)
        if reporting_date and pd.to_datetime(reporting_date, format="%Y-%m-%d", errors="coerce") != book.reporting_date:
            raise SpecError(
                f"the book in {path.name} was prepared as of {book.reporting_date:%Y-%m-%d}, not {reporting_date}; "
                "prepare it again with the date that is wanted"
            )
    elif path.is_file():
        spec = incoming.mapping.read_spec(path)
        if freeze:
            spec = spec.model_copy(update={"after_reporting_date": "cut"})
        loaded = incoming.sources.load_checked(spec, reporting_date=reporting_date or None)
        book = build_book(loaded, name=spec.name, segment_by=segment_by, definition=definition)
    else:
        raise SpecError(f"no data spec and no prepared book at {path}")
    return book.restricted(segment)


def frozen_folder(folder: str | Path, as_of: str | pd.Timestamp) -> Path:
    """Return where a prepared folder keeps its book as of an earlier date.

    Raises
    ------
    SpecError
        When the date is none.
    """
    date = pd.to_datetime(as_of, format="%Y-%m-%d", errors="coerce")
    if pd.isna(date):
        raise SpecError(f"the date of a frozen book is {as_of!r}; it must be an ISO date, such as 2024-09-30")
    return Path(folder) / "frozen" / f"{date:%Y-%m-%d}"


def build_book(
    loaded: "LoadedTables",
    *,
    name: str,
    segment_by: tuple[str, ...] | list[str] = DEFAULT_SEGMENT_BY,
    definition: DefaultDefinition | None = None,
) -> Book:
    """Build the default episodes of checked tables and gather them into a book.

    Raises
    ------
    InsufficientDataError
        When no facility is in default on or before the reporting date.
    """
    rules = definition or DefaultDefinition()
    built = _episodes_of(loaded, rules)
    episodes = _with_macro_at_default(with_plain_dates(built.episodes.to_pandas()), loaded)
    if episodes.empty:
        raise InsufficientDataError(
            f"no default episode on or before the reporting date {loaded.reporting_date:%Y-%m-%d}; "
            "check the date and the definition of default"
        )
    exclusions = pd.concat([loaded.exclusions, built.exclusions.to_pandas()], ignore_index=True)
    book = Book(
        name=name,
        currency=loaded.currency,
        reporting_date=loaded.reporting_date,
        segment_by=tuple(segment_by),
        segment=WHOLE_BOOK,
        facilities=loaded.tables["facilities"],
        episodes=episodes,
        cash_flows=loaded.tables["cash_flows"],
        scenarios=loaded.tables.get("scenarios", pd.DataFrame({"scenario": pd.Series(dtype=object)})),
        exclusions=exclusions,
        inventory=_inventory(loaded.tables),
        definition=rules,
        data_hashes=dict(loaded.file_hashes),
        source_columns=loaded.source_columns,
        operations={n: loaded.tables[n] for n in incoming.contracts.OPERATION_TABLES if n in loaded.tables},
        ledger_tables={n: loaded.tables[n] for n in incoming.contracts.LEDGER_TABLES if n in loaded.tables},
    )
    book.check_columns(book.segment_by)
    return book


def _episodes_of(loaded: "LoadedTables", rules: DefaultDefinition) -> "EpisodeTables":
    tables = loaded.tables
    if "episodes" in tables:
        return history.spells.complete_episodes(
            tables["episodes"], tables["facilities"], reporting_date=loaded.reporting_date
        )
    return history.spells.build_episodes(
        tables["status"], tables["facilities"], reporting_date=loaded.reporting_date, definition=rules
    )


def _with_macro_at_default(episodes: pd.DataFrame, loaded: "LoadedTables") -> pd.DataFrame:
    """Add each macro series as it stood in the month of default, where the paths reach back that far."""
    paths = loaded.tables.get("scenarios")
    if paths is None or paths.empty or episodes.empty:
        return episodes
    likeliest = paths.loc[paths["weight"].idxmax(), "scenario"]
    path = paths[paths["scenario"] == likeliest]
    by_month = path.set_index(path["month_end"].dt.to_period("M"))
    months = episodes["default_date"].dt.to_period("M")
    covered = {c: months.map(by_month[c]) for c in loaded.macro_columns}
    return episodes.assign(**{f"{c}_at_default": v.astype(float) for c, v in covered.items() if v.notna().all()})


def _inventory(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    rows = []
    for name, frame in sorted(tables.items()):
        dates = frame.select_dtypes("datetime")
        first, last = (dates.min().min(), dates.max().max()) if dates.size else (pd.NaT, pd.NaT)
        rows.append({"table": name, "n_rows": len(frame), "first_date": first, "last_date": last})
    inventory = pd.DataFrame(rows)
    days = {name: pd.to_datetime(inventory[name]).dt.normalize() for name in ("first_date", "last_date")}
    return inventory.assign(**days)
