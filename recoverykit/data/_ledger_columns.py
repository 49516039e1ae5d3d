"""The small tables that a ledger policy may need, as data: rates, arrears at cure, totals of indirect costs.

All of them are optional. Which policy needs which is the ledger's business.
"""

from collections.abc import Iterable
from dataclasses import replace

from recoverykit.data._column_types import NOT_NEGATIVE, Column, ColumnType, Range, TableContract, date, number, text

RATE = Range(lower=-1.0, upper=1.0, lower_open=True, upper_open=True, words="an annual decimal between -1 and 1 (0.05)")
_RATE = number("rate", "Annual rate, before any add-on and floor.", RATE)

REFERENCE_RATES = TableContract(
    name="reference_rates",
    meaning="One row per quote of the reference rate that losses are discounted at; a quote holds until the next one.",
    key=("date",),
    columns=(date("date", "Day of the quote; days after the reporting date are not read."), _RATE),
)

SEGMENT_RATES = TableContract(
    name="segment_rates",
    meaning="One row per segment: the rate that its losses are discounted at, by any of the segment columns.",
    key=("rate",),
    repeats=True,
    columns=(
        replace(text("product", "Product of the lender."), required=False),
        replace(text("region", "Region of the obligor or of the collateral."), required=False),
        _RATE,
    ),
)

CURE_ARREARS = TableContract(
    name="cure_arrears",
    meaning="One row per facility that returned to performing: the part of its balance that was overdue then.",
    key=("facility_id", "outcome_date"),
    columns=(
        text("facility_id", "Names the facility."),
        date("outcome_date", "Day of the return to performing, as the episode has it."),
        number("arrears_amount", "Overdue part of the balance on that day.", NOT_NEGATIVE),
    ),
)

INDIRECT_COSTS = TableContract(
    name="indirect_costs",
    meaning="One row per total of indirect costs that no facility was charged with, for a policy that spreads them.",
    key=("cash_flow_date",),
    repeats=True,
    columns=(
        date("cash_flow_date", "Day of the total; it is spread over the episodes in default on it."),
        number("amount", "Total.", NOT_NEGATIVE),
        replace(text("facility_id", "Facility, where the bank has spread the totals itself."), required=False),
    ),
)

#: The tables of the ledger by name, in the order of reports.
LEDGER_TABLES = {table.name: table for table in (REFERENCE_RATES, SEGMENT_RATES, CURE_ARREARS, INDIRECT_COSTS)}


def with_segments(names: Iterable[str]) -> TableContract:
    """Return the contract of rates by segment with the declared segment columns, none of which must be there."""
    known = set(SEGMENT_RATES.column_names)
    further = [
        Column(name, ColumnType.TEXT, "Declared segment column.", required=False) for name in names if name not in known
    ]
    return replace(SEGMENT_RATES, columns=(*further, *SEGMENT_RATES.columns))
