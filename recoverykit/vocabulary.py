"""The field's standard terms, one name for one thing.

Every part of the kit takes its outcome names, cash-flow kinds and units of time from here, so that code, columns,
notebooks and pages say the same word for the same thing. This module knows nothing about data or models.
"""

from enum import StrEnum

#: Days in a year for discounting: Actual/365 Fixed, the market convention of loan contracts.
DAYS_PER_YEAR = 365.0
MONTHS_PER_YEAR = 12


class Outcome(StrEnum):
    """How a default episode ended; ``open`` means right-censored at the reporting date."""

    CURED = "cured"
    REPAID = "repaid"
    LIQUIDATED = "liquidated"
    SOLD = "sold"
    WRITTEN_OFF = "written_off"
    OPEN = "open"


#: The outcomes that end an episode, in the order of the legend and of every table.
CLOSED_OUTCOMES = (Outcome.CURED, Outcome.REPAID, Outcome.LIQUIDATED, Outcome.SOLD, Outcome.WRITTEN_OFF)


class FacilityStatus(StrEnum):
    """Month-end state of a facility's account: active, or how it was closed."""

    ACTIVE = "active"
    REPAID = "repaid"
    LIQUIDATED = "liquidated"
    SOLD = "sold"
    WRITTEN_OFF = "written_off"


class CashFlowKind(StrEnum):
    """What a dated cash flow is; its sign follows from the kind, amounts are never negative."""

    REPAYMENT = "repayment"
    COLLATERAL = "collateral"
    GUARANTEE = "guarantee"
    SALE = "sale"
    DIRECT_COST = "direct_cost"
    INDIRECT_COST = "indirect_cost"
    DRAWING = "drawing"
    LATE_FEE = "late_fee"
    INTEREST = "interest"


#: Kinds that bring money in, take money out, lend more, or only raise what is owed.
RECOVERY_KINDS = (CashFlowKind.REPAYMENT, CashFlowKind.COLLATERAL, CashFlowKind.GUARANTEE, CashFlowKind.SALE)
COST_KINDS = (CashFlowKind.DIRECT_COST, CashFlowKind.INDIRECT_COST)
NEUTRAL_KINDS = (CashFlowKind.LATE_FEE, CashFlowKind.INTEREST)


class CollateralKind(StrEnum):
    """What secures a facility."""

    NONE = "none"
    RESIDENTIAL_PROPERTY = "residential_property"
    COMMERCIAL_PROPERTY = "commercial_property"
    VEHICLE = "vehicle"
    EQUIPMENT = "equipment"
    FINANCIAL = "financial"
    OTHER = "other"


class ExposureClass(StrEnum):
    """Which materiality threshold of the definition of default applies."""

    RETAIL = "retail"
    OTHER = "other"


class OperationTable(StrEnum):
    """Tables of the recovery unit that a bank may give or not."""

    INSTALMENTS = "instalments"
    ASSIGNMENTS = "assignments"
    ACTIONS = "actions"
    PROMISES = "promises"
    COURT = "court"
    TURNOVER = "turnover"


class ActionKind(StrEnum):
    """What a recovery unit does about a facility."""

    SMS = "sms"
    CALL = "call"
    LETTER = "letter"
    MEETING = "meeting"
    FIELD_VISIT = "field_visit"
    LEGAL_NOTICE = "legal_notice"
    FILING = "filing"
    JUDGMENT = "judgment"
    ENFORCEMENT = "enforcement"


class ActionResult(StrEnum):
    """What came of an action; ``promise`` and ``refused`` are conversations with the right party."""

    RIGHT_PARTY = "right_party"
    WRONG_PARTY = "wrong_party"
    NO_ANSWER = "no_answer"
    INVALID_NUMBER = "invalid_number"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    PROMISE = "promise"
    REFUSED = "refused"
    DONE = "done"
    NONE = "none"


#: Results that mean that somebody spoke with the debtor.
CONVERSATION_RESULTS = (ActionResult.RIGHT_PARTY, ActionResult.PROMISE, ActionResult.REFUSED)


class Assignment(StrEnum):
    """Why a facility was treated as it was: what an effect may be read from depends on it."""

    RANDOM = "random"
    RULE = "rule"
    DISCRETION = "discretion"


class Judgment(StrEnum):
    """What a court decided, from the lender's side."""

    WON = "won"
    PARTLY_WON = "partly_won"
    LOST = "lost"


#: The segment that holds the whole book.
WHOLE_BOOK = "all"
#: Joins the values of the segment columns into one segment name.
SEGMENT_SEPARATOR = " | "
#: Cells with fewer episodes are suppressed in rendered pages.
MINIMUM_CELL_COUNT = 10


def segment_name(values: list[str] | tuple[str, ...]) -> str:
    """Join the values of the segment columns into the name of one segment.

    Parameters
    ----------
    values : sequence of str
        One value per segment column, in the order of ``segment_by``.

    Returns
    -------
    str
        The name; the whole book when there is no segment column.

    Examples
    --------
    >>> segment_name(["mortgage", "west"])
    'mortgage | west'
    >>> segment_name([])
    'all'
    """
    return SEGMENT_SEPARATOR.join(values) if values else WHOLE_BOOK
