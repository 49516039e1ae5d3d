"""The book of defaulted facilities as of one reporting date, prepared once and read by every notebook.

A segment of a book is again a book. This module knows nothing of a bank's files: ``opening.py`` makes a book of them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.episodes.definition import DefaultDefinition
from recoverykit.errors import InsufficientDataError, PlanError, SpecError
from recoverykit.vocabulary import SEGMENT_SEPARATOR, WHOLE_BOOK, Outcome, segment_name

FRAMES = ("facilities", "episodes", "cash_flows", "scenarios", "exclusions", "inventory", "source_columns")
FACTS = "book.json"
#: Columns of the register of what became of each column of the sources.
SOURCE_COLUMNS = ("table", "column", "treatment", "refusal_class", "what")
#: Folder of the tables of the recovery unit in a prepared book.
OPERATIONS = "operations"
#: Folder of the tables of the ledger in a prepared book.
LEDGER = "ledger_tables"


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """All default episodes of a bank as known on the reporting date, and what belongs to them.

    Attributes
    ----------
    name, currency : str
        From the data spec.
    reporting_date : pandas.Timestamp
        The date as of which everything is known.
    segment_by : tuple of str
        Columns of ``facilities`` whose combinations are the segments; dropping them from the right gives the parents.
    segment : str
        The segment that this book is; ``"all"`` for the whole.
    facilities, episodes, cash_flows, scenarios : DataFrame
        Contract tables; ``episodes`` with the columns of ``recoverykit.episodes``, one row per default episode.
    exclusions : DataFrame
        Rows left out on the way, with columns table, reason, n_rows and amount. Kept for the whole book only.
    inventory : DataFrame
        One row per source table: table, n_rows, first_date, last_date.
    definition : DefaultDefinition
        The definition of default that built the episodes.
    data_hashes : dict
        SHA-256 of each source file.
    operations : mapping of str to DataFrame
        The tables of the recovery unit that the bank gave, by name: ``instalments``, ``assignments``, ``actions``,
        ``promises``, ``court``, ``turnover``. Empty where there are none.
    source_columns : DataFrame
        One row per column that a source carries: table, column, treatment (``taken in``, ``hashed``, ``not taken in``),
        refusal_class, what. Empty for a book that was not opened from a data spec.
    ledger_tables : mapping of str to DataFrame
        The tables that a ledger policy may need, by name, as far as the bank gave them: ``reference_rates``,
        ``segment_rates``, ``cure_arrears``, ``indirect_costs``.
    folder : Path or None
        Where the book was prepared; None for one opened from a data spec.
    """

    name: str
    currency: str
    reporting_date: pd.Timestamp
    segment_by: tuple[str, ...]
    segment: str
    facilities: pd.DataFrame
    episodes: pd.DataFrame
    cash_flows: pd.DataFrame
    scenarios: pd.DataFrame
    exclusions: pd.DataFrame
    inventory: pd.DataFrame
    definition: DefaultDefinition
    data_hashes: dict[str, str]
    operations: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    source_columns: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=[*SOURCE_COLUMNS], dtype=object))
    ledger_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def obligor_ids(self) -> pd.Series:
        """Obligor of each episode: the cluster of every interval."""
        return self.episodes["obligor_id"]

    @property
    def open_episodes(self) -> pd.DataFrame:
        """Episodes still open at the reporting date."""
        return self.episodes[self.episodes["outcome"] == Outcome.OPEN]

    def segments(self, segment_by: tuple[str, ...] | list[str] | None = None) -> list[str]:
        """Return the names of the segments that hold at least one default episode, sorted."""
        by = tuple(segment_by or self.segment_by)
        self.check_columns(by)
        return sorted(segment_labels(self.episodes, by).unique())

    def segments_without_default(self) -> list[str]:
        """Return the names of the segments in which no facility ever defaulted, sorted."""
        everywhere = set(segment_labels(self.facilities, self.segment_by))
        return sorted(everywhere - set(self.segments()))

    def restricted(self, segment: str) -> "Book":
        """Return the book of one segment or of one parent of segments.

        Parameters
        ----------
        segment : str
            Values of the first columns of ``segment_by``, joined as in ``segments()``; ``"all"`` for the whole book.

        Raises
        ------
        InsufficientDataError
            When no default episode lies in the segment.
        """
        if segment == WHOLE_BOOK:
            return self
        by = self.segment_by[: len(segment.split(SEGMENT_SEPARATOR))]
        episodes = self.episodes[segment_labels(self.episodes, by) == segment]
        if episodes.empty:
            raise InsufficientDataError(
                f"no default episode in segment {segment!r} as of {self.reporting_date:%Y-%m-%d}; "
                f"segments are named by {' and '.join(self.segment_by)}: {', '.join(self.segments()[:5])}, ..."
            )
        keep = self.facilities["facility_id"].isin(set(episodes["facility_id"]))
        flows = self.cash_flows["facility_id"].isin(set(episodes["facility_id"]))
        facilities = self.facilities[keep | (segment_labels(self.facilities, by) == segment)]
        worked = set(facilities["facility_id"])
        return replace(
            self,
            segment=segment,
            episodes=episodes.reset_index(drop=True),
            facilities=facilities.reset_index(drop=True),
            cash_flows=self.cash_flows[flows].reset_index(drop=True),
            operations={
                name: frame[frame["facility_id"].isin(worked)].reset_index(drop=True)
                for name, frame in self.operations.items()
            },
        )

    def write(self, folder: str | Path) -> Path:
        """Write the book as Parquet files, to be read again by ``open_book``; return the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in FRAMES:
            getattr(self, name).to_parquet(folder / f"{name}.parquet", index=False)
        for part, tables in ((OPERATIONS, self.operations), (LEDGER, self.ledger_tables)):
            for name, frame in tables.items():
                (folder / part).mkdir(exist_ok=True)
                frame.to_parquet(folder / part / f"{name}.parquet", index=False)
        facts = {
            "name": self.name,
            "currency": self.currency,
            "reporting_date": f"{self.reporting_date:%Y-%m-%d}",
            "segment_by": list(self.segment_by),
            "segment": self.segment,
            "definition": asdict(self.definition),
            "data_hashes": self.data_hashes,
            "operations": list(self.operations),
            "ledger_tables": list(self.ledger_tables),
        }
        (folder / FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
        return folder

    def check_columns(self, segment_by: tuple[str, ...]) -> None:
        """Raise a PlanError when a segment column is not a column of the facilities."""
        unknown = [c for c in segment_by if c not in self.facilities.columns]
        if unknown:
            raise PlanError(
                f"segment_by names {', '.join(unknown)}, but facilities has no such column; "
                f"it has {', '.join(sorted(self.facilities.columns))}"
            )


def segment_labels(frame: pd.DataFrame, segment_by: tuple[str, ...] | list[str]) -> pd.Series:
    """Return the segment name of each row of a frame that has the segment columns; a missing value reads ``None``."""
    if not segment_by:
        return pd.Series(WHOLE_BOOK, index=frame.index, dtype=object)
    rows = frame.groupby(list(segment_by), sort=False, dropna=False)
    cells = frame[list(segment_by)].drop_duplicates()
    # Engines and files differ in how they write a missing value; the name must not.
    cells = cells.astype(str).mask(cells.isna(), "None")
    names = np.array([segment_name(values) for values in cells.itertuples(index=False, name=None)], dtype=object)
    # Both number the combinations in the order in which they first appear.
    return pd.Series(names[rows.ngroup().to_numpy()], index=frame.index, name="segment", dtype=object)


def rows_of(frame: pd.DataFrame, segment: str, segment_by: tuple[str, ...]) -> pd.DataFrame:
    """Return the rows of a frame with segment columns that lie in a segment or parent."""
    if segment == WHOLE_BOOK:
        return frame
    depth = len(segment.split(SEGMENT_SEPARATOR))
    return frame[segment_labels(frame, segment_by[:depth]) == segment]


def with_plain_dates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with every date in the one unit of the kit, whatever engine or file it came from."""
    dates = frame.select_dtypes("datetime").columns
    return frame.astype(dict.fromkeys(dates, "datetime64[ns]"))


def read_book(folder: str | Path) -> Book:
    """Read a book that ``Book.write`` prepared.

    Raises
    ------
    SpecError
        When the folder holds none.
    """
    folder = Path(folder)
    facts_file = folder / FACTS
    if not facts_file.is_file():
        raise SpecError(f"{folder} holds no prepared book: {FACTS} is missing")
    facts: dict[str, Any] = json.loads(facts_file.read_text())
    facts["reporting_date"] = pd.Timestamp(facts["reporting_date"])
    facts["segment_by"] = tuple(facts["segment_by"])
    facts["definition"] = DefaultDefinition(**facts["definition"])
    for part in (OPERATIONS, LEDGER):
        files = {name: folder / part / f"{name}.parquet" for name in facts.get(part, [])}
        facts[part] = {name: with_plain_dates(pd.read_parquet(file)) for name, file in files.items()}
    facts |= {name: with_plain_dates(pd.read_parquet(folder / f"{name}.parquet")) for name in FRAMES}
    return Book(**facts, folder=folder)
