"""The columns of every contract table, as data.

The contract checks, the strict parser of the loader and the data spec all read this one list, so that a column has one
type, one range and one description. This module knows nothing about frames, files or rules between columns.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from recoverykit.vocabulary import CashFlowKind, CollateralKind, ExposureClass, FacilityStatus, Outcome


class ColumnType(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    CATEGORY = "category"
    NUMBER = "number"
    INTEGER = "whole number"
    FLAG = "flag"
    DATE = "date"


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


def _text(name: str, meaning: str) -> Column:
    return Column(name, ColumnType.TEXT, meaning)


def _category(name: str, meaning: str, words: type[StrEnum], required: bool = True) -> Column:
    return Column(name, ColumnType.CATEGORY, meaning, required=required, choices=tuple(word.value for word in words))


def _number(name: str, meaning: str, allowed: Range, required: bool = True, nullable: bool = False) -> Column:
    return Column(name, ColumnType.NUMBER, meaning, required=required, nullable=nullable, range=allowed)


def _date(name: str, meaning: str, nullable: bool = False) -> Column:
    return Column(name, ColumnType.DATE, meaning, nullable=nullable)


def _flag(name: str, meaning: str) -> Column:
    return Column(name, ColumnType.FLAG, meaning)


FACILITIES = TableContract(
    name="facilities",
    meaning="One row per facility (one loan or credit line).",
    key=("facility_id",),
    columns=(
        _text("facility_id", "Names the facility."),
        _text("obligor_id", "Names the obligor; facilities of one obligor are resampled together."),
        _text("product", "Product of the lender."),
        _text("region", "Region of the obligor or of the collateral."),
        _category("collateral_kind", "What secures the facility.", CollateralKind),
        _number("collateral_value_amount", "Latest value of the collateral; empty without collateral.", POSITIVE,
                nullable=True),
        _number("eir", "Original effective interest rate, per year.", ANNUAL_RATE),
        _date("origination_date", "Date of origination."),
        _category("exposure_class", "Which materiality threshold applies; retail when absent.", ExposureClass, False),
    ),
)  # fmt: skip

STATUS = TableContract(
    name="status",
    meaning="One row per facility and month end.",
    key=("facility_id", "month_end"),
    columns=(
        _text("facility_id", "Names the facility."),
        _date("month_end", "Last day of the month."),
        Column("days_past_due", ColumnType.INTEGER, "Days past due at the month end.", range=COUNT),
        _number("balance_amount", "Drawn balance with interest and fees at the month end.", NOT_NEGATIVE),
        _flag("forborne", "Whether a forbearance measure is in force."),
        _flag("unlikely_to_pay", "Whether the obligor is flagged as unlikely to pay."),
        _category("status", "State of the account at the month end.", FacilityStatus),
        _number("past_due_amount", "Amount past due at the month end.", NOT_NEGATIVE, required=False),
    ),
)

EPISODES = TableContract(
    name="episodes",
    meaning="One row per default episode, for banks that already hold them.",
    key=("facility_id", "default_date"),
    columns=(
        _text("facility_id", "Names the facility."),
        _date("default_date", "First day in default."),
        _number("ead", "Exposure at default: drawn principal, interest and fees at the default date.", POSITIVE),
        _category("outcome", "How the episode ended; open at the reporting date otherwise.", Outcome),
        _date("outcome_date", "Date of the outcome; empty exactly when open.", nullable=True),
        _number("outcome_balance_amount", "Balance when the episode ended.", NOT_NEGATIVE, False, True),
        _number("outstanding", "Balance owed at the reporting date.", NOT_NEGATIVE, False, True),
    ),
)

CASH_FLOWS = TableContract(
    name="cash_flows",
    meaning="One row per dated cash flow; the sign follows from the kind.",
    key=("facility_id", "cash_flow_date"),
    repeats=True,
    columns=(
        _text("facility_id", "Names the facility."),
        _date("cash_flow_date", "Date of payment."),
        _number("amount", "Amount, never negative.", NOT_NEGATIVE),
        _category("kind", "What the cash flow is.", CashFlowKind),
    ),
)

COLLATERAL = TableContract(
    name="collateral",
    meaning="One row per facility and piece of collateral.",
    key=("facility_id", "collateral_id"),
    columns=(
        _text("facility_id", "Names the facility."),
        _text("collateral_id", "Names the piece of collateral."),
        _category("collateral_kind", "What it is.", CollateralKind),
        _number("value_amount", "Latest value.", NOT_NEGATIVE),
        _date("valuation_date", "Date of that value."),
    ),
)

SCENARIOS = TableContract(
    name="scenarios",
    meaning="One row per macro scenario and month end; months may lie after the reporting date.",
    key=("scenario", "month_end"),
    columns=(
        _text("scenario", "Names the scenario."),
        _date("month_end", "Last day of the month."),
        _number("weight", "Probability weight, the same in every month of a scenario.", SHARE),
    ),
)

#: Every contract table by name, in the order of reports.
TABLES = {table.name: table for table in (FACILITIES, STATUS, EPISODES, CASH_FLOWS, COLLATERAL, SCENARIOS)}


def range_for(name: str) -> Range:
    """Return the values that a declared driver or macro column may take, by the ending of its name.

    Parameters
    ----------
    name : str
        Name of the column.

    Returns
    -------
    Range
        That of the ending, or any finite number.

    Examples
    --------
    >>> range_for("ltv_ratio").words
    'a ratio from 0 to 5 (0.8 for 80 %, never 80)'
    >>> range_for("credit_score").words
    'a finite number'
    """
    for suffix, allowed in RANGE_BY_SUFFIX.items():
        if name.endswith(suffix):
            return allowed
    return Range()


def contracts_for(
    segment_columns: Iterable[str] = (), driver_columns: Iterable[str] = (), macro_columns: Iterable[str] = ()
) -> dict[str, TableContract]:
    """Return the contract tables with the declared further columns added.

    Parameters
    ----------
    segment_columns, driver_columns : iterable of str
        Further columns of ``facilities``: text to segment by, numbers to model with. A name that ``facilities`` has
        anyway changes nothing.
    macro_columns : iterable of str
        Numeric columns of ``scenarios``.

    Returns
    -------
    dict of str to TableContract
        All six tables, in the order of reports.

    Examples
    --------
    >>> contracts_for(segment_columns=["channel"])["facilities"].column("channel").type.value
    'text'
    """
    segments = [Column(name, ColumnType.TEXT, "Declared segment column.") for name in segment_columns]
    drivers = [_number(name, "Declared driver column.", range_for(name)) for name in driver_columns]
    macros = [_number(name, "Declared macro column.", range_for(name)) for name in macro_columns]
    extended = dict(TABLES)
    for table, further in (("facilities", [*segments, *drivers]), ("scenarios", macros)):
        known = {column.name: column for column in TABLES[table].columns}
        merged = {column.name: column for column in further} | known
        ordered = [*known.values(), *(merged[name] for name in merged if name not in known)]
        extended[table] = replace(TABLES[table], columns=tuple(ordered))
    return extended
