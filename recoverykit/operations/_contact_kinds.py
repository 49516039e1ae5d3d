"""Kinds of contact rules: each tells which actions it is about, and which of them break it.

A rule reads a log in the order of facilities and time, with a plain range index.
"""

import datetime
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.vocabulary import CONVERSATION_RESULTS, ActionKind

Mask = NDArray[np.bool_]
#: Position of each breach: positions of the actions that make it one, itself included.
Found = dict[int, NDArray[np.int64]]
#: More days than any log spans, so that days of two facilities are never near each other.
_FACILITY_SPAN = 1_000_000


@dataclass(frozen=True, slots=True)
class CallFrequency:
    """So many calls within so many consecutive days and no more.

    Attributes
    ----------
    name : str
        Short name of the rule.
    words : str
        The rule in words.
    source : str
        Where it stands.
    maximum : int
        Calls allowed within the days; the next one is a breach.
    days : int
        Consecutive calendar days, that of the call counted as the last.
    not_counted : tuple of str
        Results of calls that do not count.
    """

    name: str
    words: str
    source: str
    maximum: int
    days: int
    not_counted: tuple[str, ...] = ()

    def concerned(self, log: pd.DataFrame) -> Mask:
        """Tell which actions of a log the rule is about."""
        return _calls(log, self.not_counted)

    def breaches(self, log: pd.DataFrame) -> Found:
        """Return the breaches among the actions that the rule is about, each with those that it counts together."""
        position, keys = np.arange(len(log)), _day_keys(log)
        first = np.searchsorted(keys, keys - (self.days - 1), side="left")
        broken = np.flatnonzero(position - first + 1 > self.maximum)
        return {int(call): np.arange(first[call], call + 1) for call in broken}


@dataclass(frozen=True, slots=True)
class CallAfterConversation:
    """No call for so many days after a conversation by telephone.

    Attributes
    ----------
    name, words, source : str
        As in `CallFrequency`.
    days : int
        Consecutive calendar days without a call, that of the conversation counted as the first.
    conversations : tuple of str
        Results of calls that are conversations.
    not_counted : tuple of str
        Results of calls that do not count.
    """

    name: str
    words: str
    source: str
    days: int
    conversations: tuple[str, ...] = tuple(result.value for result in CONVERSATION_RESULTS)
    not_counted: tuple[str, ...] = ()

    def concerned(self, log: pd.DataFrame) -> Mask:
        """Tell which actions of a log the rule is about."""
        return _calls(log, self.not_counted)

    def breaches(self, log: pd.DataFrame) -> Found:
        """Return the breaches among the actions that the rule is about, each with the conversation before it."""
        talked = np.where(log["result"].isin(self.conversations), np.arange(len(log)), -1)
        before = np.concatenate([[-1], np.maximum.accumulate(talked)])[: len(log)]
        keys = _day_keys(log)
        soon = (before >= 0) & (keys - keys[np.maximum(before, 0)] < self.days)
        return {int(call): np.array([before[call], call]) for call in np.flatnonzero(soon)}


@dataclass(frozen=True, slots=True)
class ContactHours:
    """Contacts within these hours of the debtor's day only; both ends are allowed.

    Attributes
    ----------
    name, words, source : str
        As in `CallFrequency`.
    first, last : time
        First and last moment of the day that is allowed.
    kinds : tuple of str
        Kinds of action that the rule is about.
    """

    name: str
    words: str
    source: str
    first: datetime.time
    last: datetime.time
    kinds: tuple[str, ...]

    def concerned(self, log: pd.DataFrame) -> Mask:
        """Tell which actions of a log the rule is about."""
        return log["kind"].isin(self.kinds).to_numpy()

    def breaches(self, log: pd.DataFrame) -> Found:
        """Return the breaches among the actions that the rule is about, each by itself."""
        time = log["action_time"] - log["action_time"].dt.normalize()
        odd = (time < _since_midnight(self.first)) | (time > _since_midnight(self.last))
        return {int(contact): np.array([contact]) for contact in np.flatnonzero(odd.to_numpy())}


ContactRule = CallFrequency | CallAfterConversation | ContactHours


def _calls(log: pd.DataFrame, not_counted: tuple[str, ...]) -> Mask:
    return (log["kind"].eq(ActionKind.CALL.value) & ~log["result"].isin(not_counted)).to_numpy()


def _day_keys(log: pd.DataFrame) -> NDArray[np.int64]:
    """Return a number for facility and day: days of one facility are consecutive, and none is near another's."""
    day = log["action_time"].dt.normalize().to_numpy(dtype="datetime64[D]").astype(np.int64)
    facility, _ = pd.factorize(log["facility_id"])
    return np.asarray(facility.astype(np.int64) * _FACILITY_SPAN + day)


def _since_midnight(time: datetime.time) -> pd.Timedelta:
    return pd.Timedelta(hours=time.hour, minutes=time.minute, seconds=time.second)
