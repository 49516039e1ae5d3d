"""What a column and a table of the contract are: types, ranges, and short ways to write them down.

This module knows no table.
"""

from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    CATEGORY = "category"
    NUMBER = "number"
    INTEGER = "whole number"
    FLAG = "flag"
    DATE = "date"
    TIME = "time of day with its date"


@dataclass(frozen=True, slots=True)
class Range:
    """The values that a number may take.

    Attributes
    ----------
    lower, upper : float or None
        Bounds; None where there is none.
    lower_open, upper_open : bool
        Whether the bound itself is excluded.
    words : str
        The range in plain words, as it stands in a message.
    """

    lower: float | None = None
    upper: float | None = None
    lower_open: bool = False
    upper_open: bool = False
    words: str = "a finite number"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a contract table.

    Attributes
    ----------
    name : str
        Contract name.
    type : ColumnType
        What its values are.
    meaning : str
        Description with the unit, for the data dictionary.
    required : bool
        Whether the table must have it.
    nullable : bool
        Whether single values may be missing.
    choices : tuple of str
        The words allowed in a category.
    range : Range
        The values allowed in a number.
    """

    name: str
    type: ColumnType
    meaning: str
    required: bool = True
    nullable: bool = False
    choices: tuple[str, ...] = ()
    range: Range = Range()


@dataclass(frozen=True, slots=True)
class TableContract:
    """One contract table: its columns and the columns that together name a row.

    Attributes
    ----------
    name, meaning : str
        Name and description.
    key : tuple of str
        Columns that name a row; shown in messages.
    columns : tuple of Column
        All columns, in order.
    repeats : bool
        Whether several rows may have the same key.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    repeats: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises
        ------
        KeyError
            When the table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"the table {self.name} has no column {name!r}; it has {', '.join(self.column_names)}")


NOT_NEGATIVE = Range(lower=0.0, words="an amount of zero or more")
POSITIVE = Range(lower=0.0, lower_open=True, words="an amount above zero")
SHARE = Range(lower=0.0, upper=1.0, words="a share from 0 to 1 (0.35, never 35)")
ANNUAL_RATE = Range(lower=0.0, upper=1.0, upper_open=True, words="an annual share from 0 to below 1 (0.07 for 7 %)")
COUNT = Range(lower=0.0, words="a whole number of zero or more")

#: What a declared driver or macro column may hold, by the ending of its name. A loan-to-value ratio may well exceed 1,
#: but 35 where .35 is meant never passes.
RANGE_BY_SUFFIX = {
    "_rate": Range(lower=-1.0, upper=1.0, words="a share from -1 to 1 (0.35, never 35)"),
    "_share": SHARE,
    "_ratio": Range(lower=0.0, upper=5.0, words="a ratio from 0 to 5 (0.8 for 80 %, never 80)"),
    "_index": Range(lower=0.0, lower_open=True, words="an index above zero"),
    "_months": Range(lower=0.0, words="a number of months of zero or more"),
}


def text(name: str, meaning: str, nullable: bool = False) -> Column:
    """Return a column of free text or of names."""
    return Column(name, ColumnType.TEXT, meaning, nullable=nullable)


def category(name: str, meaning: str, words: type[StrEnum], required: bool = True, nullable: bool = False) -> Column:
    """Return a column that holds the words of an enumeration."""
    choices = tuple(word.value for word in words)
    return Column(name, ColumnType.CATEGORY, meaning, required=required, nullable=nullable, choices=choices)


def number(name: str, meaning: str, allowed: Range, required: bool = True, nullable: bool = False) -> Column:
    """Return a column of numbers inside a range."""
    return Column(name, ColumnType.NUMBER, meaning, required=required, nullable=nullable, range=allowed)


def date(name: str, meaning: str, nullable: bool = False) -> Column:
    """Return a column of days."""
    return Column(name, ColumnType.DATE, meaning, nullable=nullable)


def flag(name: str, meaning: str) -> Column:
    """Return a column of true or false."""
    return Column(name, ColumnType.FLAG, meaning)


def time(name: str, meaning: str) -> Column:
    """Return a column of days with the time of day on the clock of the place, without a time zone."""
    return Column(name, ColumnType.TIME, meaning)
