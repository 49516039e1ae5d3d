"""Arrears, flags and forbearance of each default episode, written so that the drawn outcome follows from the rules.

The outcome and its month are given. The path is chosen afterwards: a cure in month m needs the last trigger in month
m - 3, or a forbearance grant twelve months before m; an interruption must be too short for probation, or be followed by
a new trigger inside the merge window, and both only where the reporting date already shows it. The path therefore adds
every feature that a definition of default has to cope with and changes no outcome.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from recoverykit.data._synthetic_book import Array, Codes
from recoverykit.data._synthetic_episodes import MERGE_MONTHS, Episodes
from recoverykit.data._synthetic_truth import CURED, REPAID

Flags = NDArray[np.bool_]
PROBATION_MONTHS, FORBORNE_PROBATION_MONTHS = 3, 12
TRIGGER_DAYS = 90
#: Stands for "never" where a month is expected.
NEVER = 10_000
_MERGED_SHARE, _INTERRUPTED_SHARE = 0.18, 0.25
_FORBORNE_CURE_SHARE, _FORBORNE_OTHER_SHARE = 0.40, 0.15
_UNLIKELY_TO_PAY_LED_SHARE, _UNLIKELY_TO_PAY_LATER_SHARE = 0.14, 0.30
_STEPS_DOWN_SHARE = 0.40


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The path of each episode, in months since its default; arrays of shape (n_episodes,).

    Attributes
    ----------
    last_trigger : ndarray of int
        Last month with a default trigger.
    first_stop, restart : ndarray of int
        Last month of the first spell and first month of the second one, where two spells merge; else 0 and 1.
    pause_start, pause_end : ndarray of int
        Trigger-free months ``pause_start <= month < pause_end``, too few for probation.
    grant : ndarray of int
        Month in which forbearance is granted (negative: before the default); ``NEVER`` without.
    led_by_flag : ndarray of bool
        The default began with the unlikely-to-pay flag, not with days past due.
    flag_from : ndarray of int
        Month from which the flag stands in trigger months; ``NEVER`` without.
    first_days : ndarray of int
        Days past due at the default.
    odd_days : ndarray of int
        Days past due beyond whole months, 0 to 14.
    steps_down : ndarray of bool
        Whether days past due fall in steps after the last trigger, or to zero at once.
    late_entry_months : ndarray of int
        Months in default before the first month seen.
    """

    last_trigger: Codes
    first_stop: Codes
    restart: Codes
    pause_start: Codes
    pause_end: Codes
    grant: Codes
    led_by_flag: Flags
    flag_from: Codes
    first_days: Codes
    odd_days: Codes
    steps_down: Flags
    late_entry_months: Codes

    def take(self, where: NDArray[np.int64] | Flags) -> "Paths":
        """Return the paths at some positions."""
        return Paths(**{field.name: getattr(self, field.name)[where] for field in fields(self)})

    @property
    def n_spells(self) -> Codes:
        """Number of default spells that the path consists of."""
        return 1 + (self.restart > 1)

    def is_trigger(self, month: Codes) -> Flags:
        """Return whether each path shows a default trigger in a month."""
        between = (month > self.first_stop) & (month < self.restart)
        paused = (month >= self.pause_start) & (month < self.pause_end)
        return (month >= 0) & (month <= self.last_trigger) & ~between & ~paused

    def is_first_after_stop(self, month: Codes) -> Flags:
        """Return whether a month is the first one after arrears were cleared."""
        return (month == self.last_trigger + 1) | ((month == self.first_stop + 1) & (self.restart > 1))

    def is_flagged(self, month: Codes) -> Flags:
        """Return whether the unlikely-to-pay flag stands in a month."""
        return self.is_trigger(month) & (month >= self.flag_from)

    def days_past_due(self, month: Codes) -> Codes:
        """Return the days past due in a month, before the default too."""
        run = np.where((self.restart > 1) & (month >= self.restart), self.restart, 0)
        run = np.where((self.pause_end > 0) & (month >= self.pause_end), self.pause_end, run)
        start = self.first_days + np.where(run == 0, 30 * self.late_entry_months, 0)
        rising = np.maximum(start + 30 * (month - run), 0)
        return np.where(self.is_trigger(month) | (month < 0), rising, self._days_between(month))

    def _days_between(self, month: Codes) -> Codes:
        stop = np.where((self.restart > 1) & (month < self.restart), self.first_stop, self.last_trigger)
        falling = np.where(self.steps_down & (month == stop + 1), 30 + self.odd_days, 0)
        ahead = self.restart - month
        again = (self.restart > 1) & (ahead >= 1) & (ahead <= 2) & ~self.led_by_flag
        rising = np.where(again, TRIGGER_DAYS - 30 * ahead + self.odd_days, 0)
        paused = (month >= self.pause_start) & (month < self.pause_end)
        return np.where(paused, np.where(self.led_by_flag, 0, 60 + self.odd_days), np.maximum(falling, rising))


def choose_paths(rng: np.random.Generator, episodes: Episodes) -> Paths:
    """Choose a path for each episode that leads to its outcome in its month."""
    n = len(episodes)
    uniform = rng.random((n, 14))
    cures = episodes.outcome == CURED
    last = episodes.months - np.where(cures, PROBATION_MONTHS, 1)
    last = np.where((episodes.outcome == REPAID) & (uniform[:, 0] < 0.5), np.maximum(last - 1, 0), last)
    first_stop, restart = _merged_spells(uniform[:, 1:4], last, episodes)
    free = (restart == 1) & (episodes.late_entry_months == 0)
    grant, last = _forbearance(uniform[:, 4:7], last, episodes.months, cures, free)
    pause_start, pause_end = _interruption(uniform[:, 7:10], last, free)
    led_by_flag = (uniform[:, 10] < _UNLIKELY_TO_PAY_LED_SHARE) & (episodes.late_entry_months == 0)
    odd = np.floor(uniform[:, 11] * 15).astype(np.int64)
    later = np.where(uniform[:, 12] < _UNLIKELY_TO_PAY_LATER_SHARE, 6, NEVER)
    first_days = np.where(led_by_flag, 30 * np.floor(uniform[:, 12] * 3).astype(np.int64), TRIGGER_DAYS) + odd
    return Paths(
        last_trigger=last,
        first_stop=first_stop,
        restart=restart,
        pause_start=pause_start,
        pause_end=pause_end,
        grant=grant,
        led_by_flag=led_by_flag,
        flag_from=np.where(led_by_flag, 0, later),
        first_days=first_days,
        odd_days=odd,
        steps_down=(uniform[:, 13] < _STEPS_DOWN_SHARE) & ~led_by_flag & (grant == NEVER),
        late_entry_months=episodes.late_entry_months,
    )


def _whole(uniform: Array, count: Codes) -> Codes:
    """Return whole numbers in [0, count)."""
    return np.floor(uniform * np.maximum(count, 1)).astype(np.int64)


def _merged_spells(uniform: Array, last: Codes, episodes: Episodes) -> tuple[Codes, Codes]:
    """Split some long episodes into two spells: an exit in the middle and a re-default inside the merge window."""
    latest = np.minimum(last, episodes.observed_months)
    shortest_gap = PROBATION_MONTHS + 1
    eligible = (latest >= shortest_gap) & (episodes.late_entry_months == 0)
    chosen = eligible & (uniform[:, 0] < _MERGED_SHARE)
    stop = _whole(uniform[:, 1], latest - shortest_gap + 1)
    restart = stop + shortest_gap + _whole(uniform[:, 2], np.minimum(MERGE_MONTHS, latest - stop - PROBATION_MONTHS))
    return np.where(chosen, stop, 0), np.where(chosen, restart, 1)


def _forbearance(uniform: Array, last: Codes, months: Codes, cures: Flags, free: Flags) -> tuple[Codes, Codes]:
    """Grant forbearance where the month of the outcome allows it; return grant and last trigger.

    Of the forborne cures some stop missing payments with the grant, exactly twelve months before the cure; some are
    granted it earlier and have a trigger until probation, and a few were forborne before the default.
    """
    allowed = cures & free & (months >= FORBORNE_PROBATION_MONTHS) & (uniform[:, 0] < _FORBORNE_CURE_SHARE)
    spare = months - FORBORNE_PROBATION_MONTHS
    decides = allowed & (uniform[:, 1] < 0.60)
    earlier = allowed & (uniform[:, 1] >= 0.60) & (uniform[:, 1] < 0.88)
    before = allowed & (uniform[:, 1] >= 0.88)
    other = ~cures & free & (uniform[:, 0] < _FORBORNE_OTHER_SHARE)
    grant = np.full(len(months), NEVER)
    grant = np.where(decides, spare, grant)
    grant = np.where(earlier, _whole(uniform[:, 2], spare + 1), grant)
    grant = np.where(before, -1 - _whole(uniform[:, 2], np.full(len(months), 6)), grant)
    grant = np.where(other, _whole(uniform[:, 2], months), grant)
    return grant, np.where(decides, np.maximum(spare - 1, 0), last)


def _interruption(uniform: Array, last: Codes, free: Flags) -> tuple[Codes, Codes]:
    """Put one or two trigger-free months into some spells: too few for probation."""
    length = 1 + (uniform[:, 2] < 0.4)
    chosen = free & (last >= 4) & (uniform[:, 0] < _INTERRUPTED_SHARE)
    start = 1 + _whole(uniform[:, 1], last - length)
    return np.where(chosen, start, 0), np.where(chosen, start + length, 0)
