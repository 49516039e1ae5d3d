"""How a workout is counted and discounted, as a value: a frozen policy, told apart by its name in a run's record."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPolicy:
    """Say what counts in a realised LGD and how it is discounted.

    Attributes
    ----------
    discount_rate : float or "eir"
        Annual effective rate, decimal (0.05), above -1; or each facility's own ``eir``.
    include_indirect_costs : bool
        Whether indirect costs reduce the recovery (regulatory LGD) or are left out (IFRS 9).
    drawings : {"numerator", "both"}
        Whether drawings after default raise the loss only, or the exposure that it is divided by too.
    cure_cash_flow : bool
        Whether a cure counts as an artificial cash flow of the balance at the return to performing.
    maximum_recovery_months : int or None
        Cash flows in later months are left out, and an episode open longer counts as closed with nothing more to
        come; None for no limit.

    Raises
    ------
    ValueError
        If a choice is none of the above.

    Examples
    --------
    >>> LedgerPolicy(discount_rate=0.09, maximum_recovery_months=60).drawings
    'numerator'
    """

    discount_rate: float | str = "eir"
    include_indirect_costs: bool = True
    drawings: str = "numerator"
    cure_cash_flow: bool = True
    maximum_recovery_months: int | None = None

    def __post_init__(self) -> None:
        rate, months = self.discount_rate, self.maximum_recovery_months
        is_named = rate == "eir"
        is_rate = is_named if isinstance(rate, str | bool) else math.isfinite(rate) and -1 < rate < 1
        if not is_rate:
            raise ValueError(f"discount_rate is {rate!r}; give 'eir' or an annual decimal between -1 and 1 (0.05)")
        if self.drawings not in ("numerator", "both"):
            raise ValueError(f"drawings is {self.drawings!r}; choose 'numerator' or 'both'")
        if months is not None and (isinstance(months, bool) or months != int(months) or months < 1):
            raise ValueError(f"maximum_recovery_months is {months!r}; give a whole number of at least 1, or None")
