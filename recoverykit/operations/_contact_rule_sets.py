"""Contact rules as data: what each counts or forbids, where it stands, since when, and what a log cannot show of it.

A house adds a rule set of its own by building a `RuleSet`; nothing else of the check has to change.
"""

import datetime
from dataclasses import dataclass

from recoverykit.operations._contact_kinds import CallAfterConversation, CallFrequency, ContactHours, ContactRule
from recoverykit.vocabulary import ActionKind, ActionResult


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The contact rules of one place.

    Attributes
    ----------
    name, title : str
        Name in calls, and as it stands on pages.
    since : str
        ISO date from which it applies; empty where that is not known. Earlier actions are not held against it.
    stated_on : str
        ISO date on which it was written down here.
    rules : tuple of CallFrequency, CallAfterConversation or ContactHours
        In the order of reports; each name stands once.
    limits : tuple of str
        What a log cannot show, in sentences: whoever reads a breach must know it.
    """

    name: str
    title: str
    since: str
    stated_on: str
    rules: tuple[ContactRule, ...]
    limits: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"the rule set {self.name!r} must have rules, each name once, found {names}")


#: Kinds with a moment at which the debtor is disturbed: a letter is read when its reader likes.
_DISTURBING = tuple(
    kind.value for kind in (ActionKind.SMS, ActionKind.CALL, ActionKind.MEETING, ActionKind.FIELD_VISIT)
)
#: A call that was not connected to the number dialled does not count, 12 CFR 1006.14(b)(3).
_NOT_CONNECTED = (ActionResult.INVALID_NUMBER.value,)

US_REG_F = RuleSet(
    name="us_reg_f",
    title="United States, Regulation F",
    since="2021-11-30",
    stated_on="2026-11-25",
    rules=(
        CallFrequency(
            name="calls_in_seven_days",
            words="no more than seven calls about a debt within seven consecutive days",
            source="12 CFR 1006.14(b)(2)(i)(A)",
            maximum=7,
            days=7,
            not_counted=_NOT_CONNECTED,
        ),
        CallAfterConversation(
            name="call_after_conversation",
            words="no call about a debt within seven consecutive days after a telephone conversation, whose day is the "
            "first of them",
            source="12 CFR 1006.14(b)(2)(i)(B)",
            days=7,
            not_counted=_NOT_CONNECTED,
        ),
        ContactHours(
            name="contact_hours",
            words="no contact before 8 a.m. or after 9 p.m. at the place of the debtor",
            source="12 CFR 1006.6(b)(1)(i)",
            first=datetime.time(8, 0),
            last=datetime.time(21, 0),
            kinds=_DISTURBING,
        ),
    ),
    limits=(
        "The two call frequencies are presumptions, not limits: a call beyond them is presumed to break the rule and "
        "one within them to keep it, and either presumption can be rebutted by facts that are not in a log.",
        "Calls do not count within seven days of the debtor's own consent to more of them, nor when they were not "
        "connected to the number dialled; the log shows the second (result invalid_number), not the first.",
        "Calls that the debtor made are not in the log, yet a conversation in one of them starts the seven days.",
        "The frequencies count per person and debt; the log knows facilities, so that calls to another person about "
        "the same facility count together, and student loans, which count as one debt, are counted apart.",
        "The hours yield to what the debtor has said of times and places, and to prior consent.",
        "The regulation is about debt collectors; a lender that collects its own claims may be outside of it and use "
        "it as a measure all the same.",
    ),
)

CHINA = RuleSet(
    name="china",
    title="China, hours of contact",
    since="",
    stated_on="2026-11-25",
    rules=(
        ContactHours(
            name="contact_hours",
            words="no contact before 8 or after 22 o'clock at the place of the debtor",
            source="rule stated from memory, its paragraph not checked",
            first=datetime.time(8, 0),
            last=datetime.time(22, 0),
            kinds=_DISTURBING,
        ),
    ),
    limits=(
        "Consent of the debtor to other hours is not in the log.",
        "Rules on how often a debtor may be called differ by lender and place; none of them is checked here.",
    ),
)

#: The named rule sets.
RULE_SETS = {rules.name: rules for rules in (US_REG_F, CHINA)}
