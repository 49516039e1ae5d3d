"""The columns of every contract table, as data.

The contract checks, the strict parser of the loader and the data spec all read this one list, so that a column has one
type, one range and one description. This module knows nothing about frames, files or rules between columns.
"""

from collections.abc import Iterable
from dataclasses import replace

from recoverykit.data._column_types import (
    ANNUAL_RATE,
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    RANGE_BY_SUFFIX,
    SHARE,
    Column,
    ColumnType,
    Range,
    TableContract,
    category,
    date,
    flag,
    number,
    text,
)
from recoverykit.data._ledger_columns import LEDGER_TABLES, with_segments
from recoverykit.data._operation_columns import OPERATION_TABLES
from recoverykit.vocabulary import CashFlowKind, CollateralKind, ExposureClass, FacilityStatus, Outcome

__all__ = [
    "LEDGER_TABLES",
    "OPERATION_TABLES",
    "TABLES",
    "Column",
    "ColumnType",
    "Range",
    "TableContract",
    "contracts_for",
    "range_for",
]

FACILITIES = TableContract(
    name="facilities",
    meaning="One row per facility (one loan or credit line).",
    key=("facility_id",),
    columns=(
        text("facility_id", "Names the facility."),
        text("obligor_id", "Names the obligor; facilities of one obligor are resampled together."),
        text("product", "Product of the lender."),
        text("region", "Region of the obligor or of the collateral."),
        category("collateral_kind", "What secures the facility.", CollateralKind),
        number("collateral_value_amount", "Latest value of the collateral; empty without collateral.", POSITIVE,
                nullable=True),
        number("eir", "Original effective interest rate, per year.", ANNUAL_RATE),
        date("origination_date", "Date of origination."),
        category("exposure_class", "Which materiality threshold applies; retail when absent.", ExposureClass, False),
    ),
)  # fmt: skip

STATUS = TableContract(
    name="status",
    meaning="One row per facility and month end.",
    key=("facility_id", "month_end"),
    columns=(
        text("facility_id", "Names the facility."),
        date("month_end", "Last day of the month."),
        Column("days_past_due", ColumnType.INTEGER, "Days past due at the month end.", range=COUNT),
        number("balance_amount", "Drawn balance with interest and fees at the month end.", NOT_NEGATIVE),
        flag("forborne", "Whether a forbearance measure is in force."),
        flag("unlikely_to_pay", "Whether the obligor is flagged as unlikely to pay."),
        category("status", "State of the account at the month end.", FacilityStatus),
        number("past_due_amount", "Amount past due at the month end.", NOT_NEGATIVE, required=False),
    ),
)

EPISODES = TableContract(
    name="episodes",
    meaning="One row per default episode, for banks that already hold them.",
    key=("facility_id", "default_date"),
    columns=(
        text("facility_id", "Names the facility."),
        date("default_date", "First day in default."),
        number("ead", "Exposure at default: drawn principal, interest and fees at the default date.", POSITIVE),
        category("outcome", "How the episode ended; open at the reporting date otherwise.", Outcome),
        date("outcome_date", "Date of the outcome; empty exactly when open.", nullable=True),
        number("outcome_balance_amount", "Balance when the episode ended.", NOT_NEGATIVE, False, True),
        number("outstanding", "Balance owed at the reporting date.", NOT_NEGATIVE, False, True),
    ),
)

CASH_FLOWS = TableContract(
    name="cash_flows",
    meaning="One row per dated cash flow; the sign follows from the kind.",
    key=("facility_id", "cash_flow_date"),
    repeats=True,
    columns=(
        text("facility_id", "Names the facility."),
        date("cash_flow_date", "Date of payment."),
        number("amount", "Amount, never negative.", NOT_NEGATIVE),
        category("kind", "What the cash flow is.", CashFlowKind),
    ),
)

COLLATERAL = TableContract(
    name="collateral",
    meaning="One row per facility and piece of collateral.",
    key=("facility_id", "collateral_id"),
    columns=(
        text("facility_id", "Names the facility."),
        text("collateral_id", "Names the piece of collateral."),
        category("collateral_kind", "What it is.", CollateralKind),
        number("value_amount", "Latest value.", NOT_NEGATIVE),
        date("valuation_date", "Date of that value."),
    ),
)

SCENARIOS = TableContract(
    name="scenarios",
    meaning="One row per macro scenario and month end; months may lie after the reporting date.",
    key=("scenario", "month_end"),
    columns=(
        text("scenario", "Names the scenario."),
        date("month_end", "Last day of the month."),
        number("weight", "Probability weight, the same in every month of a scenario.", SHARE),
    ),
)

_LOANS = (FACILITIES, STATUS, EPISODES, CASH_FLOWS, COLLATERAL, SCENARIOS)
#: Every contract table by name, in the order of reports.
TABLES = {table.name: table for table in _LOANS} | OPERATION_TABLES | LEDGER_TABLES


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
        anyway changes nothing. Rates may be given by segment columns, too.
    macro_columns : iterable of str
        Numeric columns of ``scenarios``.

    Returns
    -------
    dict of str to TableContract
        All tables, in the order of reports.

    Examples
    --------
    >>> contracts_for(segment_columns=["channel"])["facilities"].column("channel").type.value
    'text'
    """
    segments = [Column(name, ColumnType.TEXT, "Declared segment column.") for name in segment_columns]
    drivers = [number(name, "Declared driver column.", range_for(name)) for name in driver_columns]
    macros = [number(name, "Declared macro column.", range_for(name)) for name in macro_columns]
    extended = dict(TABLES)
    for table, further in (("facilities", [*segments, *drivers]), ("scenarios", macros)):
        known = {column.name: column for column in TABLES[table].columns}
        merged = {column.name: column for column in further} | known
        ordered = [*known.values(), *(merged[name] for name in merged if name not in known)]
        extended[table] = replace(TABLES[table], columns=tuple(ordered))
    return extended | {"segment_rates": with_segments(segment_columns)}
