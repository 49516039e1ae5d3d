"""The monthly status of every facility: a grid of facilities by months, written in layers.

First every facility performs; then each round of default episodes is written over it, with the arrears that lead up to
it and the balance that its workout leaves; last come arrears that mean nothing. It knows the rules of default only as
far as it must not break the episodes that were drawn.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data._synthetic_book import Array, Codes, Facilities, facility_ids, month_ends
from recoverykit.data._synthetic_episodes import Episodes
from recoverykit.data._synthetic_paths import NEVER, Paths
from recoverykit.data._synthetic_truth import CURED, OUTCOMES, SMALL_BUSINESS
from recoverykit.data._synthetic_workout import Terms, past_due_amount
from recoverykit.vocabulary import FacilityStatus

STATUSES = tuple(FacilityStatus)
_REPAID = STATUSES.index(FacilityStatus.REPAID)
#: Month ends before a default at which the arrears already show, and from which the balance no longer falls.
_RISING_MONTHS, _FROZEN_MONTHS = 2, 3
#: A cured loan is not paid off inside the window: what is left of its term reaches at least this far beyond it.
_MONTHS_BEYOND_WINDOW = 6
#: Instalment as a share of the balance, by product, for arrears that lead nowhere.
_INSTALMENT_SHARE = (0.020, 0.030, 0.009, 0.0065, 0.024, 0.014)
_BLIP_CHANCE = 0.010
_BLIPS = np.array([[30, 0, 0], [30, 60, 30], [30, 60, 0], [30, 30, 0]])
_IMMATERIAL_SHARE, _IMMATERIAL_DAYS = 0.012, np.array([30, 60, 90, 120, 150, 180, 0])


@dataclass(slots=True, eq=False)
class Grid:
    """Status of all facilities, arrays of shape (n_facilities, n_months); money in cents.

    Attributes
    ----------
    balance, past_due : ndarray of int
    days_past_due : ndarray of int
    forborne, flagged : ndarray of bool
    status : ndarray of int
        Codes in the order of ``FacilityStatus``.
    present : ndarray of bool
        The facility is on the books (or was closed in this month).
    busy : ndarray of bool
        Belongs to a default episode or to the months that lead to it.
    """

    balance: Codes
    past_due: Codes
    days_past_due: Codes
    forborne: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    status: Codes
    present: NDArray[np.bool_]
    busy: NDArray[np.bool_]

    @property
    def last_month(self) -> Codes:
        """Last month in which each facility is present."""
        return self.present.shape[1] - 1 - self.present[:, ::-1].argmax(axis=1)


def start_grid(rng: np.random.Generator, facilities: Facilities, defaulting: Codes, n_months: int) -> Grid:
    """Return the grid of facilities that all perform until they are paid off (those that never default)."""
    shape = (len(facilities), n_months)
    months = np.arange(n_months)[None, :]
    close = np.where(np.isin(np.arange(len(facilities)), defaulting), n_months, facilities.close_month)[:, None]
    grid = Grid(
        balance=np.zeros(shape, dtype=np.int64),
        past_due=np.zeros(shape, dtype=np.int64),
        days_past_due=np.zeros(shape, dtype=np.int64),
        forborne=np.zeros(shape, dtype=bool),
        flagged=np.zeros(shape, dtype=bool),
        status=np.where(months == close, _REPAID, 0),
        present=(months >= facilities.first_month[:, None]) & (months <= close),
        busy=np.zeros(shape, dtype=bool),
    )
    every = np.arange(len(facilities))
    amortise(rng, grid, facilities, every, facilities.origination_month, facilities.amount, facilities.term_months)
    grid.balance[~grid.present | (months == close)] = 0
    return grid


def amortise(
    rng: np.random.Generator,
    grid: Grid,
    facilities: Facilities,
    which: Codes,
    since: Codes,
    amount: Codes,
    term: Codes,
) -> None:
    """Write the balance of performing facilities for all months after ``since``: annuities, or lines that wander."""
    n_months = grid.balance.shape[1]
    elapsed = np.arange(n_months)[None, :] - since[:, None]
    growth = (1 + facilities.eir[which]) ** (1 / 12)
    paid = np.clip(elapsed, 0, term[:, None])
    left = 1 - (growth[:, None] ** paid - 1) / (growth**term - 1)[:, None]
    noise = rng.standard_normal(elapsed.shape)
    wandering = np.exp(0.002 * np.maximum(elapsed, 0) + 0.04 * noise)
    path = np.where(facilities.revolving[which][:, None], wandering, left)
    cents = np.round(amount[:, None] * path).astype(np.int64)
    grid.balance[which] = np.where(elapsed > 0, cents, np.where(elapsed == 0, amount[:, None], grid.balance[which]))


def freeze_balance(grid: Grid, facilities: Facilities, episodes: Episodes) -> Codes:
    """Stop amortising three months before each default, add the interest, and return the exposure at default."""
    punctual = episodes.late_entry_months == 0
    at, month = episodes.facility[punctual], episodes.default_month[punctual]
    rate = (1 + facilities.eir[at]) ** (1 / 12)
    start = grid.balance[at, month - _FROZEN_MONTHS]
    for later in range(1, _FROZEN_MONTHS + 1):
        grid.balance[at, month - _FROZEN_MONTHS + later] = np.round(start * rate**later).astype(np.int64)
    return grid.balance[episodes.facility, episodes.default_month]


def write_episodes(
    rng: np.random.Generator,
    grid: Grid,
    facilities: Facilities,
    episodes: Episodes,
    paths: Paths,
    terms: Terms,
    balance: Codes,
) -> None:
    """Write episodes over the grid, from the months that lead to the default up to what follows the outcome."""
    n_months = grid.balance.shape[1]
    before = np.where(episodes.late_entry_months == 0, _RISING_MONTHS, 0)
    last = np.minimum(episodes.months, episodes.observed_months)
    which, month = _expanded(-before, last)
    at, column = episodes.facility[which], episodes.default_month[which] + month
    chosen, inside = paths.take(which), month >= 0
    owed = np.where(inside, balance[which, np.maximum(month, 0)], grid.balance[at, column])
    days = chosen.days_past_due(month)
    closing = (month == episodes.months[which]) & (episodes.outcome[which] != CURED)
    days = np.where(closing, 0, days)
    grid.balance[at, column] = owed
    grid.days_past_due[at, column] = days
    grid.past_due[at, column] = past_due_amount(terms.take(which), days, owed, material=True)
    grid.flagged[at, column] = chosen.is_flagged(month) & ~closing
    codes = np.array([STATUSES.index(FacilityStatus(o)) if o in set(FacilityStatus) else 0 for o in OUTCOMES])
    grid.status[at, column] = np.where(closing, codes[episodes.outcome[which]], 0)
    _write_forbearance(grid, facilities, episodes, paths, last)
    which, month = _expanded(-np.minimum(_FROZEN_MONTHS, episodes.default_month), last)
    grid.busy[episodes.facility[which], episodes.default_month[which] + month] = True
    closed = episodes.is_closed & (episodes.outcome != CURED)
    end = episodes.default_month + episodes.months
    gone = np.arange(n_months)[None, :] > end[closed][:, None]
    grid.present[episodes.facility[closed]] &= ~gone
    _resume(rng, grid, facilities, episodes, balance)


def _expanded(first: Codes, last: Codes) -> tuple[Codes, Codes]:
    """Return one entry per month of each episode: its position, and the month from first to last."""
    length = last - first + 1
    which = np.repeat(np.arange(len(first)), length)
    start = np.repeat(np.cumsum(length) - length, length)
    return which, np.arange(len(which)) - start + first[which]


def _write_forbearance(grid: Grid, facilities: Facilities, episodes: Episodes, paths: Paths, last: Codes) -> None:
    forborne = np.flatnonzero((paths.grant < NEVER) & (paths.grant <= last))
    which, month = _expanded(paths.grant[forborne], last[forborne])
    at = episodes.facility[forborne][which]
    column = episodes.default_month[forborne][which] + month
    seen = column >= facilities.first_month[at]
    grid.forborne[at[seen], column[seen]] = True


def _resume(rng: np.random.Generator, grid: Grid, facilities: Facilities, episodes: Episodes, balance: Codes) -> None:
    """Let cured facilities perform on from the balance at their return."""
    cured = np.flatnonzero(episodes.is_closed & (episodes.outcome == CURED))
    which = episodes.facility[cured]
    since = episodes.default_month[cured] + episodes.months[cured]
    amount = balance[cured, episodes.months[cured]]
    left = facilities.term_months[which] - (since - facilities.origination_month[which])
    amortise(
        rng, grid, facilities, which, since, amount, np.maximum(left, grid.balance.shape[1] + _MONTHS_BEYOND_WINDOW)
    )


def add_harmless_arrears(rng: np.random.Generator, grid: Grid, facilities: Facilities) -> None:
    """Add arrears that are no default: a month or two late, or long overdue but of no weight."""
    free = grid.present & ~grid.busy & (grid.status == 0)
    share = np.array(_INSTALMENT_SHARE)[facilities.product]
    start = free[:, :-3] & free[:, 1:-2] & free[:, 2:-1] & free[:, 3:]
    start &= rng.random(start.shape) < _BLIP_CHANCE
    at, month = np.nonzero(start)
    shape = rng.integers(0, len(_BLIPS), len(at))
    odd = rng.integers(0, 15, len(at))
    for later in range(_BLIPS.shape[1]):
        days = _BLIPS[shape, later]
        column = month + later + 1
        cents = np.round(share[at] * grid.balance[at, column]) * (days // 30)
        grid.days_past_due[at, column] = np.where(days > 0, days + odd, 0)
        grid.past_due[at, column] = cents.astype(np.int64)
    _add_immaterial_arrears(rng, grid, facilities, free)


def _add_immaterial_arrears(
    rng: np.random.Generator, grid: Grid, facilities: Facilities, free: NDArray[np.bool_]
) -> None:
    length = len(_IMMATERIAL_DAYS)
    calm = np.flatnonzero((grid.present & free).sum(axis=1) >= 2 * length)
    calm = calm[~grid.busy[calm].any(axis=1) & (facilities.product[calm] != SMALL_BUSINESS)]
    chosen = calm[rng.random(len(calm)) < _IMMATERIAL_SHARE]
    first = facilities.first_month[chosen]
    room = free[chosen].sum(axis=1) - length
    start = first + 1 + np.floor(rng.random(len(chosen)) * (room - 1)).astype(np.int64)
    small = rng.random(len(chosen)) < 0.5
    dollars = 15 + np.floor(rng.random(len(chosen)) * 80)
    part = 0.004 + 0.005 * rng.random(len(chosen))
    for later, days in enumerate(_IMMATERIAL_DAYS):
        column = start + later
        owed = grid.balance[chosen, column]
        cents = np.where(small, 100 * dollars, np.floor(part * owed))
        grid.days_past_due[chosen, column] = days
        grid.past_due[chosen, column] = np.where(days > 0, np.minimum(cents, owed), 0).astype(np.int64)


def status_frame(grid: Grid, first_month_end: pd.Timestamp) -> pd.DataFrame:
    """Return the contract table ``status``, sorted by facility and month."""
    at, column = np.nonzero(grid.present)
    names = np.array([status.value for status in STATUSES], dtype=object)
    cents: Array = grid.balance[at, column] / 100
    return pd.DataFrame(
        {
            "facility_id": facility_ids(np.arange(len(grid.present)))[at],
            "month_end": month_ends(first_month_end, column),
            "days_past_due": grid.days_past_due[at, column],
            "balance_amount": cents,
            "past_due_amount": grid.past_due[at, column] / 100,
            "forborne": grid.forborne[at, column],
            "unlikely_to_pay": grid.flagged[at, column],
            "status": names[grid.status[at, column]],
        }
    )
