"""Counts of the book: how many facilities, episodes and outcomes, by segment and by vintage."""

import pandas as pd

from recoverykit.portfolio.book import Book, segment_labels
from recoverykit.portfolio.money import exact_sum
from recoverykit.vocabulary import CLOSED_OUTCOMES, Outcome


def book_overview(book: Book) -> dict[str, float]:
    """Return the counts and amounts of a book or segment.

    Returns
    -------
    dict
        n_facilities, n_obligors (of defaulted facilities), n_episodes, n_closed, n_open, n_cured, ead, outstanding
        (currency, of open episodes) and open_share (of episodes, by number).
    """
    episodes = book.episodes
    is_open = episodes["outcome"] == Outcome.OPEN
    return {
        "n_facilities": len(book.facilities),
        "n_obligors": int(episodes["obligor_id"].nunique()),
        "n_episodes": len(episodes),
        "n_closed": int((~is_open).sum()),
        "n_open": int(is_open.sum()),
        "n_cured": int((episodes["outcome"] == Outcome.CURED).sum()),
        "ead": exact_sum(episodes["ead"]),
        "outstanding": exact_sum(episodes.loc[is_open, "outstanding"]),
        "open_share": float(is_open.mean()),
    }


def segment_overview(book: Book) -> pd.DataFrame:
    """Return one row per segment: segment, n_episodes, one count per outcome and ead, sorted by segment."""
    labels = segment_labels(book.episodes, book.segment_by)
    counts = _outcome_counts(book.episodes, labels.rename("segment"))
    counts.insert(0, "n_episodes", counts.sum(axis=1))
    counts["ead"] = book.episodes.groupby(labels)["ead"].agg(exact_sum)
    return counts.reset_index()


def outcomes_by_vintage(book: Book) -> pd.DataFrame:
    """Return one row per default vintage and outcome: default_vintage, outcome, n_episodes, sorted."""
    counts = book.episodes.groupby(["default_vintage", "outcome"]).size()
    return counts.rename("n_episodes").sort_index().reset_index()


def _outcome_counts(episodes: pd.DataFrame, by: pd.Series) -> pd.DataFrame:
    outcomes = [str(outcome) for outcome in (*CLOSED_OUTCOMES, Outcome.OPEN)]
    counts = pd.crosstab(by, episodes["outcome"]).reindex(columns=outcomes, fill_value=0)
    return counts.rename(columns={outcome: f"n_{outcome}" for outcome in outcomes}).rename_axis(columns=None)
