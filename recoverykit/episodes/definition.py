"""The definition of default as a value: every number that a regulator sets is a named parameter."""

import math
from dataclasses import dataclass
from numbers import Real


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultDefinition:
    """Say when a facility is in default and when it has returned to performing.

    The defaults are the European ones: 90 days past due above a materiality threshold, or unlikely to pay (CRR
    article 178 and its technical standard on materiality); return to performing after a probation of three months
    without a trigger, one year after a forbearance measure (EBA/GL/2016/07, kept by EBA/GL/2026/05); a default
    within nine months of the return belongs to the same default.

    Attributes
    ----------
    days_past_due : int
        Days past due from which a material exposure is in default; at least 1.
    materiality_retail_amount, materiality_other_amount : float
        Absolute threshold, in the book's currency, which the amount past due must exceed; retail and other
        exposures; at least 0.
    materiality_share : float
        Relative threshold: the amount past due must exceed this share of the balance too; in [0, 1). Judged only
        where the amount past due is known.
    probation_months : int
        Months without a trigger before the facility has returned to performing; at least 1.
    forborne_probation_months : int
        Months from the later of default and last forbearance grant, where there was forbearance; at least
        ``probation_months``.
    merge_months : int
        A default at most so many months after the return to performing continues the earlier one; at least 0.

    Raises
    ------
    ValueError
        If a number lies outside its range.

    Examples
    --------
    >>> DefaultDefinition(probation_months=6).forborne_probation_months
    12
    """

    days_past_due: int = 90
    materiality_retail_amount: float = 100.0
    materiality_other_amount: float = 500.0
    materiality_share: float = 0.01
    probation_months: int = 3
    forborne_probation_months: int = 12
    merge_months: int = 9

    def __post_init__(self) -> None:
        lowest = {
            "days_past_due": 1,
            "materiality_retail_amount": 0,
            "materiality_other_amount": 0,
            "materiality_share": 0,
            "probation_months": 1,
            "forborne_probation_months": self.probation_months,
            "merge_months": 0,
        }
        for name, least in lowest.items():
            value = getattr(self, name)
            number = float(value) if isinstance(value, Real) else math.nan
            if not (math.isfinite(number) and number >= least):
                raise ValueError(f"{name} is {value!r}; it must be a number of at least {least}")
            if name.endswith(("_due", "_months")) and not number.is_integer():
                raise ValueError(f"{name} is {value!r}; it must be a whole number")
        if self.materiality_share >= 1:
            raise ValueError(f"materiality_share is {self.materiality_share!r}; it is a share below 1 (0.01 is 1 %)")
