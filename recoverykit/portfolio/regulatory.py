"""From the long-run average to the LGD of a regulatory model, one named step after the other.

The average over all defaults is the best estimate. A regulator asks for more: margins of conservatism for what is
deficient in data and method (A), for changed practice (B) and for estimation error (C), a downturn, and an input floor.
Each step has its reason beside it, so that a reader sees how much of the final figure is loss and how much is caution.
None of this belongs into an accounting number. Every figure that a regulator sets is a named constant with its source.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.errors import InsufficientDataError, SpecError
from recoverykit.estimators.lgd import LgdEstimate
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.downturn import Downturn, DownturnRule, downturn_lgd, losses_by_default_year, read_downturn
from recoverykit.portfolio.loss import SegmentLoss
from recoverykit.vocabulary import CollateralKind, ExposureClass

#: BCBS d424 (Basel III: Finalising post-crisis reforms, 2017), LGD parameter floors of the IRB approach by what
#: secures an exposure; retail differs where unsecured (other retail) and where residential property secures it.
SECURED_FLOORS = {
    CollateralKind.FINANCIAL: 0.0,
    CollateralKind.RESIDENTIAL_PROPERTY: 0.10,
    CollateralKind.COMMERCIAL_PROPERTY: 0.10,
    CollateralKind.VEHICLE: 0.15,
    CollateralKind.EQUIPMENT: 0.15,
    CollateralKind.OTHER: 0.15,
}
UNSECURED_FLOORS = {ExposureClass.RETAIL: 0.30, ExposureClass.OTHER: 0.25}
RETAIL_MORTGAGE_FLOOR = 0.05


class MarginCategory(StrEnum):
    """What a margin of conservatism answers (EBA/GL/2017/16)."""

    DATA_AND_METHOD = "A"
    CHANGED_PRACTICE = "B"
    ESTIMATION_ERROR = "C"


@dataclass(frozen=True, slots=True)
class Margin:
    """One entry of the register of margins of conservatism.

    Attributes
    ----------
    category : MarginCategory
    reason : str
        What is deficient, changed or uncertain.
    amount : float
        Added to the LGD, share of EAD, from 0 to 1.
    basis : str
        How the amount was found.
    """

    category: MarginCategory
    reason: str
    amount: float
    basis: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "category", MarginCategory(self.category))
        if not 0 <= self.amount <= 1:
            raise ValueError(
                f"a margin is {self.amount}; it raises the LGD or leaves it, so at least 0 is allowed, and at most 1: "
                "a share of EAD, 0.01 for one point"
            )


@dataclass(frozen=True, slots=True, eq=False)
class RegulatoryLgd:
    """The steps from closed cases to the final LGD.

    Attributes
    ----------
    steps : DataFrame
        step, change and lgd (after the step), shares of EAD; the first row is where it starts, and the changes add up
        to the final LGD.
    margins : tuple of Margin
    downturn : Downturn
    floor : float or None
        Input floor, share of EAD; None where none is known.
    long_run : float
        Average over all defaults, each loss floored at 0, share of EAD: what downturn and margins are added to.
    """

    steps: pd.DataFrame
    margins: tuple[Margin, ...]
    downturn: Downturn
    floor: float | None
    long_run: float

    @property
    def lgd(self) -> float:
        """The final LGD, share of EAD."""
        return float(self.steps["lgd"].iloc[-1])

    def register(self) -> pd.DataFrame:
        """Return the register of margins: category, reason, amount, basis."""
        return pd.DataFrame([asdict(m) for m in self.margins], columns=["category", "reason", "amount", "basis"])

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept: the steps and the register."""
        return {"steps": self.steps, "margins": self.register()}

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        reference = self.downturn.reference_value
        return {
            "final_lgd": self.lgd,
            "downturn_lgd": self.downturn.lgd,
            "downturn_method": str(self.downturn.method),
            "reference_value": float(reference) if np.isfinite(reference) else None,
            "reference_years": list(self.downturn.reference_years),
            "floor": self.floor,
        }


def read_margin(text: str) -> Margin:
    """Return a margin written as one line, as notebooks state it.

    Parameters
    ----------
    text : str
        Category, amount (share of EAD), reason and basis, divided by semicolons.

    Raises
    ------
    SpecError
        When it does not have this form.

    Examples
    --------
    >>> margin = read_margin("A; 0.01; collateral values are out of date; benchmark")
    >>> str(margin.category), margin.amount, margin.reason
    ('A', 0.01, 'collateral values are out of date')
    """
    parts = [part.strip() for part in text.split(";")]
    try:
        category, amount, reason, basis = parts
        return Margin(MarginCategory(category), reason, float(amount), basis)
    except ValueError as error:
        raise SpecError(
            f"the margin {text!r} is not of the form 'A; 0.01; reason; basis' with category A, B or C ({error})"
        ) from None


def estimation_error(estimate: LgdEstimate) -> Margin:
    """Return the margin of category C: from the all-in average to the upper end of its interval over obligors.

    Raises
    ------
    InsufficientDataError
        When the estimate was made without a bootstrap.
    """
    if "all_in_lgd" not in estimate.intervals:
        raise InsufficientDataError("a margin for estimation error needs an interval: estimate with n_bootstrap")
    _, upper = estimate.intervals["all_in_lgd"]
    if not np.isfinite(upper):
        return Margin(
            category=MarginCategory.ESTIMATION_ERROR,
            reason="the average rests on too few obligors to tell its error",
            amount=0.0,
            basis="none: in some bootstrap draws of obligors nothing was left to average",
        )
    one_sided = 0.5 + estimate.level / 2
    return Margin(
        category=MarginCategory.ESTIMATION_ERROR,
        reason="the average rests on a limited number of obligors",
        amount=max(upper - estimate.all_in_lgd, 0.0),
        basis=f"one-sided {one_sided:.1%} limit over {estimate.n_bootstrap:,} bootstrap draws of obligors",
    )


def input_floors(facilities: pd.DataFrame) -> pd.Series:
    """Return the LGD input floor of each facility by exposure class and collateral.

    Parameters
    ----------
    facilities : DataFrame
        With exposure_class and collateral_kind.

    Returns
    -------
    Series
        Share of EAD. A facility counts as secured in full or not at all: partial cover and haircuts are not looked at,
        nor are revolving retail exposures told apart, whose floor is higher.
    """
    retail = facilities["exposure_class"] == ExposureClass.RETAIL
    floors = facilities["collateral_kind"].map(dict(SECURED_FLOORS))
    floors = floors.mask(
        retail & (facilities["collateral_kind"] == CollateralKind.RESIDENTIAL_PROPERTY), RETAIL_MORTGAGE_FLOOR
    )
    return floors.fillna(facilities["exposure_class"].map(dict(UNSECURED_FLOORS))).astype(float).rename("lgd_floor")


def regulatory_loss(
    loss: SegmentLoss, case: Book, *, margins: Sequence[str] = (), downturn: str = "add_on"
) -> RegulatoryLgd:
    """Carry a segment's loss to the LGD of a regulatory model, with the input floor of its facilities.

    Parameters
    ----------
    loss : SegmentLoss
        With intervals, from which the margin for estimation error is taken.
    case : Book
        The segment.
    margins : sequence of str
        Entries of the register beside estimation error, as in ``read_margin``.
    downturn : str
        As in ``read_downturn``.

    Returns
    -------
    RegulatoryLgd
        The floor is the mean over the segment's defaulted facilities, one weight each, as in the average; there is none
        where exposure class or collateral are not known.

    Raises
    ------
    SpecError, InsufficientDataError
        As ``read_margin``, ``read_downturn``, ``estimation_error`` and ``downturn_lgd``.
    """
    register = [*map(read_margin, margins), estimation_error(loss.estimate)]
    by_year = losses_by_default_year(loss.per_episode, case.episodes)
    defaulted = case.facilities[case.facilities["facility_id"].isin(set(case.episodes["facility_id"]))]
    return regulatory_lgd(
        loss.estimate,
        by_year,
        margins=register,
        downturn=read_downturn(downturn),
        floor=float(input_floors(defaulted).mean()) if {"exposure_class", "collateral_kind"} <= {*defaulted} else None,
    )


def regulatory_lgd(
    estimate: LgdEstimate,
    by_year: pd.DataFrame,
    *,
    margins: Sequence[Margin] = (),
    downturn: DownturnRule | None = None,
    floor: float | None = None,
) -> RegulatoryLgd:
    """Carry the average of closed cases, step by step, to the final LGD.

    Parameters
    ----------
    estimate : LgdEstimate
        With closed-only and all-in averages.
    by_year : DataFrame
        From ``losses_by_default_year``.
    margins : sequence of Margin
        The register; several entries of a category add up.
    downturn : DownturnRule, optional
        The add-on of the last resort when absent.
    floor : float, optional
        Input floor, share of EAD.

    Returns
    -------
    RegulatoryLgd

    Notes
    -----
    final = max(floor, downturn + A + B + C), where downturn >= long-run average over all defaults, each floored at 0.
    """
    long_run = estimate.all_in_lgd_floored
    stressed = downturn_lgd(long_run, by_year, downturn or DownturnRule())
    levels = [
        ("Closed cases only", estimate.closed_only_lgd),
        ("Open workouts at what they still bring", estimate.all_in_lgd),
        ("Gains counted as a loss of zero", long_run),
        ("Downturn", stressed.lgd),
    ]
    if not estimate.has_closed:
        levels = levels[1:]
    reached = stressed.lgd
    for category in MarginCategory:
        reached += sum(m.amount for m in margins if m.category is category)
        levels.append((f"Margin of conservatism {category}", reached))
    if floor is not None:
        levels.append(("Input floor", max(reached, floor)))
    steps = pd.DataFrame(levels, columns=["step", "lgd"])
    steps.insert(1, "change", steps["lgd"].diff().fillna(steps["lgd"]))
    return RegulatoryLgd(steps, tuple(margins), stressed, floor, long_run)
