"""How a workout is counted and discounted, as a value: a frozen policy, told apart by its name in a run's record.

Every choice is a field with one meaning, and every number that a regulator sets is a field too. The presets are the
usual sets of choices, with the document that each follows. Paragraphs are not cited where the primary text was not at
hand. This module knows rules and no data.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from types import MappingProxyType
from typing import Any

import pandas as pd

__all__ = ["PRESETS", "PRESET_SOURCES", "LedgerPolicy"]

#: Percentage points over the reference rate. EBA/GL/2017/16, and its UK twin PRA SS4/24.
REFERENCE_RATE_ADD_ON = 0.05
#: Lowest discount rate of downturn and in-default estimates. PRA SS4/24.
UK_RATE_FLOOR = 0.09
#: What :class:`LedgerPolicy` may be told for each field that is a choice of words.
_CHOICES = {
    "drawings": ("numerator", "both"),
    "indirect_cost_allocation": ("none", "ead", "episode", "table"),
    "cure_discounting": ("balance", "arrears"),
}
_RATE_RULES = ("eir", "reference", "segment")
#: Each field in words, for the record and for the auditor's workbook.
_MEANINGS = {
    "discount_rate": "Annual discount rate before add-on and floor, or whose: eir, reference or segment",
    "discount_add_on": "Added to that rate",
    "discount_floor": "Lowest discount rate after the add-on",
    "reference_rate_maximum_age_days": "Oldest quote of a reference rate that still serves, in days before default",
    "include_indirect_costs": "Indirect costs count",
    "indirect_cost_allocation": "How totals of indirect costs are spread over episodes",
    "drawings": "Drawings after default raise the loss only (numerator), or what it is divided by as well (both)",
    "cure_cash_flow": "A cure counts as a cash flow of the balance that returned to performing",
    "cure_discounting": "What of that cash flow is discounted: the whole balance or its arrears part",
    "include_post_write_off_recoveries": "Cash flows after a write-off count",
    "maximum_recovery_months": "Last month after default that counts",
    "realised_lgd_floor": "Lowest realised LGD in an average",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPolicy:
    """Say what counts in a realised LGD and how it is discounted.

    The discount rate of an episode is r = max(floor, base + add-on), the discount factor of a cash flow
    (1 + r)^-(days since default / 365). Late fees and interest that are capitalised after default are no choice: they
    raise neither the exposure nor the loss, and recoveries paid on them count.

    Attributes
    ----------
    discount_rate : float or {"eir", "reference", "segment"}
        The base rate: one annual effective rate for all, decimal (0.05), between -1 and 1; each facility's own
        ``eir``; the latest quote of a table of reference rates at the default date; or a table of rates by segment.
    discount_add_on : float
        Added to the base rate, decimal, in [0, 1); 0.05 is five percentage points.
    discount_floor : float or None
        Lowest discount rate, decimal, applied after the add-on; None for none.
    reference_rate_maximum_age_days : int
        Days before the default date that a quote may lie at most, at least 0; an older one is no rate of that date.
    include_indirect_costs : bool
        Whether indirect costs reduce the recovery (regulatory LGD) or are left out (IFRS 9).
    indirect_cost_allocation : {"none", "ead", "episode", "table"}
        How totals of indirect costs, which no facility was charged with, come to episodes: not at all; over the
        episodes in default on the date of the total, in proportion to EAD or in equal shares; or as the bank has
        spread them itself. Indirect costs among the cash flows are the facility's in any case.
    drawings : {"numerator", "both"}
        Whether drawings after default raise the loss only, or the exposure that it is divided by too.
    cure_cash_flow : bool
        Whether a cure counts as an artificial cash flow of the balance at the return to performing.
    cure_discounting : {"balance", "arrears"}
        Whether all of that balance is discounted from the date of return (EBA/GL/2017/16), or its arrears part only
        and the rest counts in full (UK).
    include_post_write_off_recoveries : bool
        Whether cash flows after a write-off, recoveries and the costs of collecting them alike, count.
    maximum_recovery_months : int or None
        Cash flows in later months are left out, and an episode open longer counts as closed with nothing more to
        come; None for no limit.
    realised_lgd_floor : float or None
        Lowest realised LGD of an episode where episodes are averaged; None for none. The ledger's own figures are
        never floored; the auditor's worksheet shows both.
    based_on : str
        The preset that the policy started from, or empty. Two policies with the same rules are equal whatever they
        started from.

    Raises
    ------
    ValueError
        If a choice is none of the above.

    Examples
    --------
    >>> LedgerPolicy(discount_rate=0.09, maximum_recovery_months=60).drawings
    'numerator'
    >>> LedgerPolicy.named("uk", maximum_recovery_months=60).name
    'uk with maximum_recovery_months 60'
    """

    discount_rate: float | str = "eir"
    discount_add_on: float = 0.0
    discount_floor: float | None = None
    reference_rate_maximum_age_days: int = 31
    include_indirect_costs: bool = True
    indirect_cost_allocation: str = "none"
    drawings: str = "numerator"
    cure_cash_flow: bool = True
    cure_discounting: str = "balance"
    include_post_write_off_recoveries: bool = True
    maximum_recovery_months: int | None = None
    realised_lgd_floor: float | None = 0.0
    based_on: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        wrong = [*_wrong_rates(self), *_wrong_choices(self), *_wrong_counts(self)]
        if wrong:
            raise ValueError("; ".join(wrong))

    @classmethod
    def named(cls, name: str, **overrides: Any) -> "LedgerPolicy":
        """Return a preset, with some of its fields overridden.

        Parameters
        ----------
        name : {"eba", "uk", "ifrs9", "cecl", "us_economic"}
            The preset; :data:`PRESET_SOURCES` says what each follows.
        **overrides
            Fields of the policy and their values instead.

        Raises
        ------
        ValueError
            If there is no such preset or field, or a value is out of range.

        Examples
        --------
        >>> policy = LedgerPolicy.named("eba", discount_rate=0.03)
        >>> policy.discount_add_on, policy.name
        (0.05, 'eba with discount_rate 0.03')
        """
        if name not in PRESETS:
            raise ValueError(f"no preset {name!r}; choose {', '.join(map(repr, PRESETS))}")
        unknown = sorted(overrides.keys() - _MEANINGS.keys())
        if unknown:
            raise ValueError(f"a policy has no {', '.join(unknown)}; its fields are {', '.join(_MEANINGS)}")
        return replace(PRESETS[name], **overrides)

    @property
    def name(self) -> str:
        """Name of the preset that the policy started from, else ``own``, with every field that differs from it."""
        start = PRESETS[self.based_on] if self.based_on else LedgerPolicy()
        changes = [f"{rule} {getattr(self, rule)}" for rule in _MEANINGS if getattr(self, rule) != getattr(start, rule)]
        return (self.based_on or "own") + (f" with {', '.join(changes)}" if changes else "")

    def to_frame(self) -> pd.DataFrame:
        """Return every rule with its value and its meaning: columns rule, value, meaning."""
        rows = [(rule, getattr(self, rule), meaning) for rule, meaning in _MEANINGS.items()]
        return pd.DataFrame(rows, columns=["rule", "value", "meaning"]).astype(object)


def _wrong_rates(policy: LedgerPolicy) -> list[str]:
    base, floor, lowest = policy.discount_rate, policy.discount_floor, policy.realised_lgd_floor
    wrong = []
    if base not in _RATE_RULES and not _is_between(base, -1, 1):
        wrong.append(
            f"discount_rate is {base!r}; give 'eir', 'reference', 'segment' or an annual decimal between -1 and 1, "
            "such as 0.05"
        )
    if policy.discount_add_on != 0 and not _is_between(policy.discount_add_on, 0, 1):
        wrong.append(f"discount_add_on is {policy.discount_add_on!r}; give a decimal from 0 to below 1 (0.05)")
    if floor is not None and not _is_between(floor, -1, 1):
        wrong.append(f"discount_floor is {floor!r}; give an annual decimal between -1 and 1 (0.09), or None")
    if lowest is not None and not _is_between(lowest, -math.inf, math.inf):
        wrong.append(f"realised_lgd_floor is {lowest!r}; give a share (0.0), or None")
    return wrong


def _is_between(value: object, lower: float, upper: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and lower < value < upper


def _is_whole(value: object, *, least: int) -> bool:
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    return number.is_integer() and number >= least


def _wrong_choices(policy: LedgerPolicy) -> list[str]:
    wrong = [
        f"{rule} is {getattr(policy, rule)!r}; choose {' or '.join(map(repr, words))}"
        for rule, words in _CHOICES.items()
        if getattr(policy, rule) not in words
    ]
    switches = [rule.name for rule in fields(policy) if isinstance(rule.default, bool)]
    wrong += [
        f"{rule} is {getattr(policy, rule)!r}; give True or False"
        for rule in switches
        if not isinstance(getattr(policy, rule), bool)
    ]
    if policy.based_on not in ("", *PRESET_SOURCES):
        wrong.append(f"based_on is {policy.based_on!r}; choose {', '.join(map(repr, PRESET_SOURCES))}, or ''")
    return wrong


def _wrong_counts(policy: LedgerPolicy) -> list[str]:
    months, days = policy.maximum_recovery_months, policy.reference_rate_maximum_age_days
    wrong = []
    if months is not None and not _is_whole(months, least=1):
        wrong.append(f"maximum_recovery_months is {months!r}; give a whole number of at least 1, or None")
    if not _is_whole(days, least=0):
        wrong.append(f"reference_rate_maximum_age_days is {days!r}; give a whole number of at least 0")
    return wrong


#: What each preset follows, and what it leaves to the bank.
PRESET_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "eba": "EBA/GL/2017/16: interbank reference rate at default plus five percentage points, direct and indirect "
        "costs, the whole balance at cure discounted, realised LGD floored at 0 for the average. The maximum recovery "
        "period is the bank's own",
        "uk": "PRA SS4/24, chapters 13 and 14: as the EBA's, with the floor of 9 % of downturn and in-default "
        "estimates (discount_floor=None for the others) and only the arrears part of the balance at cure discounted",
        "ifrs9": "IFRS 9 stage 3: original effective interest rate, no indirect costs, no floors",
        "cecl": "ASC 326, discounted cash flows at the effective interest rate: the ledger counts as for IFRS 9; "
        "what differs between the standards, horizon and stages, is no matter of a ledger",
        "us_economic": "US advanced approaches, economic loss: all direct and indirect costs, drawings in the "
        "exposure, a rate that suits the risk of the exposure, which the bank sets by segment. Its floor of zero is "
        "one of the estimate, not of an episode",
    }
)
_ACCOUNTING = LedgerPolicy(discount_rate="eir", include_indirect_costs=False, realised_lgd_floor=None)
_REGULATORY = LedgerPolicy(discount_rate="reference", discount_add_on=REFERENCE_RATE_ADD_ON)
#: The usual sets of rules by name.
PRESETS: Mapping[str, LedgerPolicy] = MappingProxyType(
    {
        "eba": replace(_REGULATORY, based_on="eba"),
        "uk": replace(_REGULATORY, discount_floor=UK_RATE_FLOOR, cure_discounting="arrears", based_on="uk"),
        "ifrs9": replace(_ACCOUNTING, based_on="ifrs9"),
        "cecl": replace(_ACCOUNTING, based_on="cecl"),
        "us_economic": LedgerPolicy(
            discount_rate="segment", drawings="both", realised_lgd_floor=None, based_on="us_economic"
        ),
    }
)
