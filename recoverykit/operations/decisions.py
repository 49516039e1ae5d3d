"""Which decisions the kit supports, on which condition, and which it does not: a register, so that nobody has to guess.

It is about the use of numbers, not about law: what a place forbids stays forbidden whatever stands here.
"""

from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

__all__ = ["DECISIONS", "Decision", "Support", "decision_register"]


class Support(StrEnum):
    """How far the kit supports a decision."""

    YES = "supported"
    ON_CONDITION = "on a condition"
    NO = "not supported"


@dataclass(frozen=True, slots=True)
class Decision:
    """One kind of decision.

    Attributes
    ----------
    decision : str
        What is to be decided.
    support : Support
        Whether the kit's numbers may carry it.
    because : str
        Why, and the condition where there is one.
    """

    decision: str
    support: Support
    because: str


_YES, _IF, _NO = Support.YES, Support.ON_CONDITION, Support.NO
DECISIONS = (
    Decision("allowance and expected recovery of the book and its segments", _YES,
             "estimated from outcomes, checked against a frozen past, with intervals"),
    Decision("staffing, capacity and cost of units and courts", _YES,
             "counts and durations of the unit's own work"),
    Decision("which step of a payment reminder is due for which facility", _YES,
             "follows from due dates and payments alone, the same for everybody in the same state"),
    Decision("which wording, step or protocol is used from now on", _IF,
             "only where it was drawn at random or set by a cut-off stated beforehand, and on the effect's interval"),
    Decision("the order in which facilities are worked", _IF,
             "from loan and payment behaviour; a person may decide otherwise, and every override is kept"),
    Decision("comparing units, courts or outside collectors", _IF,
             "with their mix of cases taken into account, thirty cases and more, and limits of chance beside them"),
    Decision("pay of a unit by its results", _IF,
             "only beside the share of units that chance alone would have paid"),
    Decision("court, settlement or field visit in a single case", _IF,
             "the estimate informs a person who knows the case and answers for the decision"),
    Decision("effect of a treatment from treated against untreated facilities", _NO,
             "where behaviour triggers the treatment, the comparison misleads; use a design that the log supports"),
    Decision("ranking or dismissing single agents", _NO,
             "agents are codes, and their cases are too few to tell them from chance"),
    Decision("refusing a single debtor a restructuring, or more credit, by a model alone", _NO,
             "the book is selected by default, and a model does not know the person"),
    Decision("treatment by sex, age, family, health, belief, language or neighbourhood", _NO,
             "such columns are refused, and so is what stands for them"),
    Decision("pressure through relatives, employers, neighbours or publicity", _NO,
             "the data for it are refused; in the sample, a threatening message lowers payment"),
    Decision("reading mood, stress or honesty from voice or text", _NO,
             "the data for it are refused; a promise is judged by payments alone"),
)  # fmt: skip


def decision_register() -> pd.DataFrame:
    """Return the decisions that the kit supports, supports on a condition, or does not support.

    Returns
    -------
    DataFrame
        Columns decision, support, because; those supported first.

    Examples
    --------
    >>> decision_register()["support"].unique().tolist()
    ['supported', 'on a condition', 'not supported']
    """
    rows = [(entry.decision, entry.support.value, entry.because) for entry in DECISIONS]
    return pd.DataFrame(rows, columns=["decision", "support", "because"])
