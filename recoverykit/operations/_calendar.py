"""Working days: which day a step falls on when its own day is a weekend or a holiday."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _iso_date(value: object) -> object:
    """Bring a date to ISO text; anything that is no day is refused."""
    day = pd.to_datetime(str(value), format="%Y-%m-%d", errors="coerce")
    if pd.isna(day):
        raise ValueError(f"{value!r} is no day; write it as 2026-12-25")
    return f"{day:%Y-%m-%d}"


IsoDate = Annotated[str, BeforeValidator(_iso_date)]


class WorkCalendar(BaseModel):
    """The days on which a recovery unit works.

    Attributes
    ----------
    weekend : tuple of str
        Days of the week without work, in lower case; fewer than seven.
    holidays : tuple of str
        Further days without work, ISO dates.

    Examples
    --------
    >>> calendar = WorkCalendar(holidays=["2026-12-25"])
    >>> calendar.on_or_before(pd.Series(pd.to_datetime(["2026-12-27"])))[0].date().isoformat()
    '2026-12-24'

    The 27th is a Sunday, the day before a Saturday, and Friday is the holiday: Thursday it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekend: tuple[Weekday, ...] = Field(default=("saturday", "sunday"), max_length=6)
    holidays: tuple[IsoDate, ...] = ()

    def on_or_before(self, days: pd.Series) -> pd.Series:
        """Return each day, or the last working day before it."""
        return self._rolled(days, "backward")

    def on_or_after(self, days: pd.Series) -> pd.Series:
        """Return each day, or the first working day after it."""
        return self._rolled(days, "forward")

    def _rolled(self, days: pd.Series, roll: Literal["backward", "forward"]) -> pd.Series:
        dates = days.to_numpy().astype("datetime64[D]")
        known = ~np.isnat(dates)
        rolled = dates.copy()
        rolled[known] = np.busday_offset(
            dates[known], 0, roll=roll, weekmask=self._week_mask(), holidays=_days(self.holidays)
        )
        return pd.Series(rolled.astype("datetime64[ns]"), index=days.index, name=days.name)

    def _week_mask(self) -> list[bool]:
        return [day not in self.weekend for day in _WEEK]


def _days(texts: Sequence[str]) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")
