"""Set the clock of a book back, and make the samples on which a cure model is tried.

What was known at the cut-off is the development sample. What became known after it falls into two populations: loans
that defaulted after the cut-off, predicted from their default on, and loans that were open at the cut-off, predicted
given that they were still open at their age. Either one is built in the same way one holdout period earlier, so that
each measure out of time stands beside the same measure in development.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit import data as incoming
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators.lgd import age_in_months
from recoverykit.estimators.mixture_cure import MixtureCureFit
from recoverykit.estimators.nonparametric import aalen_johansen_by
from recoverykit.portfolio.book import Book
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, MONTHS_PER_YEAR, WHOLE_BOOK, Outcome

Array = NDArray[np.float64]

#: The two populations and the two periods in which each is tried.
NEW, OPEN = "new_defaults", "open_loans"
DEVELOPMENT, OUT_OF_TIME = "development", "out_of_time"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Episodes on which predictions are held against what happened.

    Attributes
    ----------
    population, period : str
        ``new_defaults`` or ``open_loans``; ``development`` or ``out_of_time``.
    frame : DataFrame
        The episodes with ``months`` (from default, or from the cut-off where they were open then, to outcome or end of
        observation), ``followed_months`` (the same to the end of observation), ``outcome`` and, of open loans,
        ``age_months`` completed at the cut-off and ``month_passed``, the part of the running month that had passed.
    """

    population: str
    period: str
    frame: pd.DataFrame

    def n_cures(self, month: float = np.inf) -> int:
        """Return the number of cures seen by a month."""
        cured = self.frame["outcome"] == Outcome.CURED
        return int((cured & (self.frame["months"] <= month)).sum())

    def horizons(self, step: int, last: int) -> list[int]:
        """Return every so many months up to the last one to which enough episodes were followed."""
        followed = self.frame["followed_months"]
        months = range(step, last + 1, step)
        return [month for month in months if int((followed >= month).sum()) >= MINIMUM_CELL_COUNT]


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """A fitted cure model that predicts from the default on, or from an age at which a loan was still open.

    Attributes
    ----------
    fit : MixtureCureFit
        Its time counts from the end of the dead months.
    dead_months : int
        Months after default in which no cure can be recorded.
    still_open : mapping of str to ndarray
        Share of the episodes not cured by month 0, 1, 2, ... that were still open then, by value of ``column``.
    column : str or None
        Column whose values tell the shares apart; None where there is one for all.
    """

    fit: MixtureCureFit
    dead_months: int
    still_open: dict[str, Array]
    column: str | None

    def predict(self, sample: Sample, months: list[int], fit: MixtureCureFit | None = None) -> Array:
        """Return P(cured by each month) of each episode, of shape (n_episodes, n_months), with this or another fit."""
        model, frame = fit or self.fit, sample.frame
        if sample.population == NEW:
            times = np.maximum(np.array(months, dtype=float) - self.dead_months, 0.0)
            distinct, place = np.unique(times, return_inverse=True)
            return np.clip(_incidence(model, frame, distinct)[:, place], 0.0, 1.0)
        ages, part = (frame[name].to_numpy(dtype=float) for name in ("age_months", "month_passed"))
        own = np.maximum(ages[:, None] + np.array([0, 1, *months], dtype=float) - self.dead_months, 0.0)
        distinct, place = np.unique(own, return_inverse=True)
        by_time = np.take_along_axis(_incidence(model, frame, distinct), place.reshape(own.shape), axis=1)
        # Within the running month cures and endings are taken as evenly spread.
        already = (1.0 - part) * by_time[:, 0] + part * by_time[:, 1]
        share = (1.0 - part) * self._open_share(frame, ages) + part * self._open_share(frame, ages + 1.0)
        waiting = (1.0 - already) * share
        return np.clip((by_time[:, 2:] - already[:, None]) / waiting[:, None], 0.0, 1.0)

    def _open_share(self, frame: pd.DataFrame, ages: Array) -> Array:
        groups = frame[self.column].astype(str) if self.column else pd.Series(WHOLE_BOOK, index=frame.index)
        known = [self.still_open.get(name, self.still_open[WHOLE_BOOK]) for name in groups]
        return np.array([share[min(int(age), len(share) - 1)] for share, age in zip(known, ages, strict=True)])


def months_before(date: pd.Timestamp, months: int) -> pd.Timestamp:
    """Return the date so many months earlier; the month end of a month end.

    Examples
    --------
    >>> months_before(pd.Timestamp("2026-06-30"), 4).date().isoformat()
    '2026-02-28'
    """
    earlier = date - pd.DateOffset(months=months)
    return earlier + pd.offsets.MonthEnd(0) if date.is_month_end else earlier


def book_as_of(book: Book, date: pd.Timestamp) -> Book:
    """Return a book as it was known at an earlier date, from the episodes known today.

    Defaults and cash flows after the date are cut, outcomes after it become open, and months are counted to the date.
    An episode into which a later default was merged is seen with today's knowledge: a cure that was recorded by the
    date and undone since counts as open.

    Parameters
    ----------
    book : Book
        The whole book or a segment; it is not changed.
    date : Timestamp
        On or before its reporting date.

    Returns
    -------
    Book
        With the earlier reporting date; it belongs to no prepared folder.

    Raises
    ------
    ValueError
        When the date lies after the reporting date.
    InsufficientDataError
        When no default episode was known at the date.
    """
    if date > book.reporting_date:
        raise ValueError(f"{date:%Y-%m-%d} lies after the reporting date {book.reporting_date:%Y-%m-%d}")
    tables = {name: getattr(book, name) for name in ("facilities", "episodes", "cash_flows")}
    frozen, exclusions = incoming.contracts.freeze(tables, date)
    episodes = frozen["episodes"]
    observed = completed_months(episodes["default_date"], date)
    is_open = (episodes["outcome"] == Outcome.OPEN).to_numpy()
    months = np.where(is_open, observed, episodes["months_in_default"])
    episodes = episodes.assign(observed_months=observed, months_in_default=months)
    # A late entry is known from the month in which it was first seen.
    episodes = episodes[observed >= episodes["entry_months"]].reset_index(drop=True)
    if episodes.empty:
        raise InsufficientDataError(f"no default episode was known on {date:%Y-%m-%d}")
    return replace(
        book,
        reporting_date=date,
        facilities=frozen["facilities"],
        episodes=episodes,
        cash_flows=frozen["cash_flows"],
        exclusions=pd.concat([book.exclusions, exclusions], ignore_index=True) if len(exclusions) else book.exclusions,
        folder=None,
    )


def completed_months(start: pd.Series, end: pd.Timestamp) -> NDArray[np.int64]:
    """Return the completed months from each date to a later one; a month end completes every month."""
    begun = (end.year - start.dt.year) * MONTHS_PER_YEAR + end.month - start.dt.month
    unfinished = (start.dt.day > end.day) & (not end.is_month_end)
    return (begun - unfinished).to_numpy(dtype=np.int64)


def new_defaults(case: Book, period: str, *, after: pd.Timestamp | None = None) -> Sample:
    """Return the episodes of a book that were watched from their default on, all or those after a date."""
    episodes = case.episodes[case.episodes["entry_months"] == 0]
    if after is not None:
        episodes = episodes[episodes["default_date"] > after]
    frame = episodes.assign(months=episodes["months_in_default"], followed_months=episodes["observed_months"])
    return Sample(NEW, period, frame.reset_index(drop=True))


def open_loans(then: Book, now: Book, period: str) -> Sample:
    """Return the episodes that were open at the date of one book, with what the later book knows of them."""
    were_open = then.open_episodes.set_index("episode_id")
    ages = were_open["observed_months"]
    passed = pd.Series(age_in_months(were_open, then.reporting_date) - ages, index=ages.index)
    frame = now.episodes[now.episodes["episode_id"].isin(ages.index)].reset_index(drop=True)
    age = ages.reindex(frame["episode_id"]).to_numpy(dtype=np.int64)
    months = frame["months_in_default"].to_numpy() - age
    # A loan whose outcome falls into the month of the cut-off itself left default in the first month after it.
    months = np.where(frame["outcome"] == Outcome.OPEN, months, np.maximum(months, 1))
    part = passed.reindex(frame["episode_id"]).to_numpy()
    followed = frame["observed_months"] - age
    frame = frame.assign(age_months=age, month_passed=part, months=months, followed_months=followed)
    return Sample(OPEN, period, frame)


def open_shares(case: Book, column: str | None) -> dict[str, Array]:
    """Return, by value of a column, the share of not yet cured episodes that were still open at each month.

    A cure model counts loans that were repaid, sold or written off among those that never cure. Of a loan that is still
    open more is known: P(cured by t | open at a) = [F(t) - F(a)] / ([1 - F(a)] x this share).
    """
    together = _open_share_by(case, [])
    return together | (_open_share_by(case, [column]) if column else {})


def _open_share_by(case: Book, by: list[str]) -> dict[str, Array]:
    observed = aalen_johansen_by(
        case.episodes, by=by, duration_col="months_in_default", outcome_col="outcome", entry_col="entry_months"
    )
    shares = {}
    for name, curves in observed.items():
        ended = [curve for curve in curves.values() if curve.n_at_risk is not None]
        if not ended:
            shares[name] = np.ones(1)
            continue
        first = ended[0]
        enough = first.times[np.asarray(first.n_at_risk) >= MINIMUM_CELL_COUNT]
        if not len(enough):
            continue
        months = np.arange(int(enough[-1]) + 1)
        still_open = 1.0 - np.sum([curve(months) for curve in ended], axis=0)
        not_cured = 1.0 - curves[Outcome.CURED](months) if Outcome.CURED in curves else np.ones(len(months))
        usable = still_open > 0
        if usable.any():
            shares[name] = (still_open / np.where(usable, not_cured, 1.0))[usable]
    return shares if by else {WHOLE_BOOK: shares.get(WHOLE_BOOK, np.ones(1))}


def _incidence(fit: MixtureCureFit, frame: pd.DataFrame, times: Array) -> Array:
    table: Array = fit.predict_cumulative_incidence(frame, times).to_numpy(dtype=float)
    return table
