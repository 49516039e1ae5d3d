"""The tables of the recovery unit, as data: what falls due, what the unit did, what was promised, what courts said.

All of them are optional. They say what was done about a facility, never anything about a person: what the kit refuses
to take in is refused here as well.
"""

from recoverykit.data._column_types import (
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Range,
    TableContract,
    category,
    date,
    flag,
    number,
    text,
    time,
)
from recoverykit.vocabulary import ActionKind, ActionResult, Assignment, Judgment

_FACILITY = text("facility_id", "Names the facility.")
_UNIT = text("unit", "Unit of the lender, or outside collector, that works the facility.")
_AGENT = text("agent_hash", "Code of the agent, never a name; empty where nobody in person acted.", nullable=True)
_ASSIGNMENT = category(
    "assignment", "Why: drawn at random, by a rule stated beforehand, or at somebody's discretion.", Assignment
)

INSTALMENTS = TableContract(
    name="instalments",
    meaning="One row per instalment of a facility; instalments due after the reporting date belong to it.",
    key=("facility_id", "due_date"),
    columns=(
        _FACILITY,
        date("due_date", "Day on which it falls due, by the payment plan; may lie after the reporting date."),
        number("due_amount", "Amount due.", POSITIVE),
        date("paid_date", "Day on which it was paid in full or, if in part, last paid; empty while nothing is paid.",
             nullable=True),
        number("paid_amount", "Paid towards it up to the reporting date, at most what is due.", NOT_NEGATIVE),
    ),
)  # fmt: skip

ASSIGNMENTS = TableContract(
    name="assignments",
    meaning="One row per facility that entered an experiment or came under a rule.",
    key=("experiment", "facility_id"),
    columns=(
        text("experiment", "Names the experiment or the rule."),
        _FACILITY,
        date("assigned_date", "Day of the assignment, before anything was done because of it."),
        text("arm", "What was to be done: the arm of the experiment, or the side of the rule."),
        _ASSIGNMENT,
        number("score", "Score that the rule read on that day; empty where there is none.", Range(), nullable=True),
    ),
)

ACTIONS = TableContract(
    name="actions",
    meaning="One row per action of the unit.",
    key=("action_id",),
    columns=(
        text("action_id", "Names the action."),
        _FACILITY,
        time("action_time", "Day and time of day, on the clock of the place where the debtor lives."),
        category("kind", "What was done.", ActionKind),
        category("result", "What came of it; promise and refused are talks with the right party.", ActionResult),
        _UNIT,
        _AGENT,
        text("message_variant", "Which of the wordings under test was used; empty where none was.", nullable=True),
        _ASSIGNMENT,
        number("cost_amount", "Cost of the action.", NOT_NEGATIVE, required=False, nullable=True),
    ),
)

PROMISES = TableContract(
    name="promises",
    meaning="One row per promise to pay.",
    key=("facility_id", "promise_date"),
    columns=(
        _FACILITY,
        date("promise_date", "Day on which it was given."),
        date("due_date", "Day on which it falls due; may lie after the reporting date."),
        number("promised_amount", "Amount promised.", POSITIVE),
        number("paid_amount", "Paid from the promise to its due date and the days of grace, as far as known.",
               NOT_NEGATIVE),
        date("paid_date", "Day of the last of these payments; empty where nothing was paid.", nullable=True),
        _UNIT,
        _AGENT,
        number("predicted_prob", "Probability that it is kept, as the agent stated it on the day.", SHARE,
               required=False, nullable=True),
    ),
)  # fmt: skip

COURT = TableContract(
    name="court",
    meaning="One row per court case.",
    key=("case_id",),
    columns=(
        text("case_id", "Names the case."),
        _FACILITY,
        text("court", "Names the court."),
        _UNIT,
        date("filing_date", "Day of filing."),
        date("hearing_date", "Day of the first hearing; empty while there was none.", nullable=True),
        date("judgment_date", "Day of the judgment; empty while there is none.", nullable=True),
        date("settlement_date", "Day on which the parties settled; empty where they have not.", nullable=True),
        date("withdrawal_date", "Day on which the case was withdrawn; empty where it was not.", nullable=True),
        date("enforcement_date", "Day on which enforcement was completed; empty where it was not.", nullable=True),
        category("judgment", "What the court decided; empty while there is no judgment.", Judgment, nullable=True),
        flag("package_complete", "Whether the package of documents was complete before filing."),
        number("claim_amount", "Amount claimed.", POSITIVE),
        number("recovered_amount", "Recovered through the case up to the reporting date; empty where not known.",
               NOT_NEGATIVE, nullable=True),
        number("cost_amount", "Cost of the case up to the reporting date; empty where not known.", NOT_NEGATIVE,
               nullable=True),
    ),
)  # fmt: skip

TURNOVER = TableContract(
    name="turnover",
    meaning="One row per facility and month end, where the lender holds the account.",
    key=("facility_id", "month_end"),
    columns=(
        _FACILITY,
        date("month_end", "Last day of the month."),
        number("inflow_amount", "What came into the account in the month.", NOT_NEGATIVE),
    ),
)

#: The tables of the recovery unit by name, in the order of reports.
OPERATION_TABLES = {table.name: table for table in (INSTALMENTS, ASSIGNMENTS, ACTIONS, PROMISES, COURT, TURNOVER)}
