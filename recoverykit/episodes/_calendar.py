"""Month arithmetic on dates as Ibis expressions.

Months are counted by the calendar, never by dividing days: a month end to a later month end is a whole number of
months whatever the months' lengths. Closed episodes round up (an event is known to lie inside its last month), open
ones round down (only completed months were observed). This module knows dates and nothing of loans.
"""

import datetime

import ibis
import ibis.expr.types as ir
import pandas as pd

from recoverykit.vocabulary import MONTHS_PER_YEAR

#: Later than any date in a book: stands in for "no next default", so that a join needs no test for null.
END_OF_TIME = datetime.date(9999, 12, 31)


def as_date(moment: str | datetime.date | pd.Timestamp) -> datetime.date:
    """Return the calendar day of a reporting date given as ISO text, date or Timestamp.

    Raises
    ------
    ValueError
        If it is missing or is not a date.

    Examples
    --------
    >>> as_date("2026-06-30")
    datetime.date(2026, 6, 30)
    """
    stamp = pd.Timestamp(moment)
    if stamp is pd.NaT:
        raise ValueError(f"reporting_date is {moment!r}; give a date, for example '2026-06-30'")
    return stamp.date()


def month_index(date: ir.DateValue) -> ir.IntegerValue:
    """Return the month of a date as a running number, 12 * year + month - 1; the next month is one more."""
    return date.year().cast("int64") * MONTHS_PER_YEAR + date.month().cast("int64") - 1


def month_end(index: ir.IntegerValue) -> ir.DateValue:
    """Return the last day of the month with a running number of :func:`month_index`."""
    following = index + 1
    year = (following // MONTHS_PER_YEAR).cast("int32")
    month = (following % MONTHS_PER_YEAR + 1).cast("int32")
    return (ibis.date(year, month, 1) - ibis.interval(days=1)).cast("date")


def is_month_end(date: ir.DateValue) -> ir.BooleanValue:
    """Return whether a date is the last day of its month."""
    return (date + ibis.interval(days=1)).day() == 1


def floor_months(start: ir.DateValue, end: ir.DateValue) -> ir.IntegerValue:
    """Return the completed months from a date to a later one; a month end completes every month."""
    unfinished = (end.day() < start.day()) & ~is_month_end(end)
    return month_index(end) - month_index(start) - unfinished.cast("int64")


def ceil_months(start: ir.DateValue, end: ir.DateValue) -> ir.IntegerValue:
    """Return the months from a date to a later one, a month begun counted as whole; 0 only on the same day."""
    begun = (end.day() > start.day()) & ~is_month_end(start)
    return month_index(end) - month_index(start) + begun.cast("int64")


def days_between(start: ir.DateValue, end: ir.DateValue) -> ir.IntegerValue:
    """Return the days from one date to another."""
    return end.delta(start, unit="day")


def quarter_name(date: ir.DateValue) -> ir.StringValue:
    """Return the calendar quarter of a date, for example ``2023Q2``."""
    return date.year().cast("string") + "Q" + date.quarter().cast("string")
