"""Which data a segment's estimate rests on: its own, or its parent's where its own are too few.

Segments are the combinations of the ``segment_by`` columns. Dropping these columns from the right gives a segment's
parents up to the whole book. A model is borrowed whole; a recovery curve is borrowed month by month, because a small
segment knows its first months well and its late ones hardly. Either way the segment says so; it never gives a
confident number from a handful of cases.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.errors import InsufficientDataError
from recoverykit.portfolio.book import Book, rows_of
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, SEGMENT_SEPARATOR, WHOLE_BOOK, Outcome


@dataclass(frozen=True, slots=True)
class Basis:
    """The segment that an estimate rests on, and why.

    Attributes
    ----------
    requested, used : str
        The segment asked for and the segment whose data are used.
    n_events, minimum_events : int
        Events found in the requested segment, and how many an estimate needs.
    event : str
        What counts as an event, in words, such as "closed episodes".
    """

    requested: str
    used: str
    n_events: int
    minimum_events: int
    event: str

    @property
    def is_own(self) -> bool:
        """Whether the segment stands on its own data."""
        return self.requested == self.used

    @property
    def reason(self) -> str:
        """Why a parent is used, with a small number withheld; empty when the segment stands on its own data."""
        if self.is_own:
            return ""
        small = f"fewer than {MINIMUM_CELL_COUNT}" if self.n_events else "no"
        found = f"only {self.n_events}" if self.n_events >= MINIMUM_CELL_COUNT else small
        return f"{found} {self.event}, and an estimate needs {self.minimum_events}"


@dataclass(frozen=True, slots=True)
class CurveBasis:
    """Whose episodes each month of a spliced curve rests on.

    Attributes
    ----------
    requested : str
        The segment asked for.
    stretches : tuple of (str, int, int)
        Segment or parent, first and last month, in order of time.
    minimum_at_risk : int
        Open episodes at the start of a month that it needs to rest on a segment.
    """

    requested: str
    stretches: tuple[tuple[str, int, int], ...]
    minimum_at_risk: int

    @property
    def own_months(self) -> int:
        """Months of the curve that rest on the segment's own episodes."""
        return sum(last - first + 1 for name, first, last in self.stretches if name == self.requested)

    def __str__(self) -> str:
        return ", ".join(f"{name}: {first} to {last}" for name, first, last in self.stretches)


def spliced_cells(
    cells: pd.DataFrame, segment: str, segment_by: tuple[str, ...], *, minimum_at_risk: int
) -> tuple[pd.DataFrame, CurveBasis]:
    """Take each month's cells from the nearest of a segment and its parents that has enough open episodes.

    Parameters
    ----------
    cells : DataFrame
        Recovery cells of the whole book with the ``segment_by`` columns, month and n_open_at_start.
    segment : str
        Name of the segment.
    segment_by : tuple of str
        Segment columns.
    minimum_at_risk : int
        Open episodes at the start of a month that it needs to rest on a segment. Once a month has gone to a parent,
        the later ones stay there or go further up.

    Returns
    -------
    cells : DataFrame
        Rows of the segment for its first months, of the parents for later ones; up to the last month in which the
        whole book has enough. Every estimate from cells, and every bootstrap, takes them as they are.
    basis : CurveBasis

    Raises
    ------
    InsufficientDataError
        When the whole book has no month with enough open episodes.
    """
    levels = ancestry(segment)
    rows = [rows_of(cells, name, segment_by) for name in levels]
    at_risk = pd.concat([r.groupby("month")["n_open_at_start"].sum() for r in rows], axis=1).fillna(0).sort_index()
    enough = at_risk.to_numpy() >= minimum_at_risk
    # A parent holds its segments, so where the book has too few, all have; and up the tree the numbers only grow.
    known = np.logical_and.accumulate(enough[:, -1])
    if not known.any():
        raise InsufficientDataError(
            f"the whole book has no month with {minimum_at_risk} open episodes; lower the minimum"
        )
    level = np.maximum.accumulate(enough.argmax(axis=1))
    months = [at_risk.index[known & (level == i)] for i in range(len(levels))]
    taken = [r[r["month"].isin(m)] for r, m in zip(rows, months, strict=True)]
    stretches = tuple((name, int(m[0]), int(m[-1])) for name, m in zip(levels, months, strict=True) if len(m))
    return pd.concat(taken, ignore_index=True), CurveBasis(segment, stretches, minimum_at_risk)


def ancestry(segment: str) -> list[str]:
    """Return a segment and its parents, nearest first, the whole book last.

    Examples
    --------
    >>> ancestry("mortgage | west")
    ['mortgage | west', 'mortgage', 'all']
    """
    if segment == WHOLE_BOOK:
        return [WHOLE_BOOK]
    parts = segment.split(SEGMENT_SEPARATOR)
    return [SEGMENT_SEPARATOR.join(parts[:size]) for size in range(len(parts), 0, -1)] + [WHOLE_BOOK]


def choose_basis(book: Book, segment: str, *, minimum_events: int, outcome: str | None = None) -> Basis:
    """Choose the nearest of a segment and its parents that holds enough events.

    Parameters
    ----------
    book : Book
        The whole book.
    segment : str
        The segment asked for.
    minimum_events : int
        Events needed, at least 1.
    outcome : str, optional
        Count episodes with this outcome; all closed episodes when absent.

    Returns
    -------
    Basis
        With the whole book as the last resort, provided that it holds one event at least.

    Raises
    ------
    InsufficientDataError
        When even the whole book holds no event.
    """
    if minimum_events < 1:
        raise ValueError(f"minimum_events is {minimum_events}, at least 1 is needed")
    happened = book.episodes["outcome"] == outcome if outcome else book.episodes["outcome"] != Outcome.OPEN
    event = f"{outcome} episodes" if outcome else "closed episodes"
    events = book.episodes[happened]
    counts = {name: _count(events, book.segment_by, name) for name in ancestry(segment)}
    if counts[WHOLE_BOOK] == 0:
        n_episodes = len(book.episodes)
        size = f"{n_episodes:,}" if n_episodes >= MINIMUM_CELL_COUNT else f"fewer than {MINIMUM_CELL_COUNT}"
        raise InsufficientDataError(f"no {event} in the whole book of {size} episodes")
    used = next((name for name, n in counts.items() if n >= minimum_events), WHOLE_BOOK)
    return Basis(segment, used, counts[segment], minimum_events, event)


def _count(events: pd.DataFrame, segment_by: tuple[str, ...], segment: str) -> int:
    return len(rows_of(events, segment, segment_by))
