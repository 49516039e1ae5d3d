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
from recoverykit.portfolio.loss import SegmentLoss
from recoverykit.vocabulary import CollateralKind, ExposureClass

#: EBA/GL/2019/03: downturn LGD where neither an observed nor an estimated impact is to be had: the long-run average
#: plus 15 percentage points, and no more than 105 %.
DOWNTURN_ADD_ON, DOWNTURN_CAP = 0.15, 1.05
#: EBA/GL/2019/03: the reference value is the mean of the two individual years with the highest average loss.
REFERENCE_YEARS = 2
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


class DownturnMethod(StrEnum):
    """How the downturn LGD is found (EBA/GL/2019/03): type 1, type 2 and type 3."""

    OBSERVED = "observed"
    ESTIMATED = "estimated"
    ADD_ON = "add_on"


@dataclass(frozen=True, slots=True)
class Margin:
    """One entry of the register of margins of conservatism.

    Attributes
    ----------
    category : MarginCategory
    reason : str
        What is deficient, changed or uncertain.
    amount : float
        Added to the LGD, share of EAD, at least 0.
    basis : str
        How the amount was found.
    """

    category: MarginCategory
    reason: str
    amount: float
    basis: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "category", MarginCategory(self.category))
        if not (np.isfinite(self.amount) and self.amount >= 0):
            raise ValueError(f"a margin is {self.amount}; it raises the LGD or leaves it, so at least 0 is allowed")


@dataclass(frozen=True, slots=True)
class DownturnRule:
    """How a downturn LGD is to be found.

    Attributes
    ----------
    method : DownturnMethod
    years : tuple of int
        For the observed impact: the years of default of the downturn period.
    impact : float or None
        For the estimated impact: what a downturn adds to the LGD, share of EAD, from an analysis outside this kit.
    basis : str
        Where the years or the impact come from.
    """

    method: DownturnMethod = DownturnMethod.ADD_ON
    years: tuple[int, ...] = ()
    impact: float | None = None
    basis: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", DownturnMethod(self.method))
        if self.method is DownturnMethod.OBSERVED and not self.years:
            raise ValueError("an observed downturn impact needs the years of the downturn period")
        if self.method is DownturnMethod.ESTIMATED and not (self.impact is not None and self.impact >= 0):
            raise ValueError(f"an estimated downturn impact needs an impact of at least 0, found {self.impact}")


@dataclass(frozen=True, slots=True, eq=False)
class Downturn:
    """A downturn LGD beside its reference value, shares of EAD.

    Attributes
    ----------
    lgd : float
        Never below the long-run average.
    reference_value : float
        Mean of the two years of default with the highest average loss; NaN where there are not two such years.
    reference_years : tuple of int
    method : DownturnMethod
    """

    lgd: float
    reference_value: float
    reference_years: tuple[int, ...]
    method: DownturnMethod

    @property
    def falls_short(self) -> bool:
        """Whether the downturn LGD lies below its reference value, which then needs a justification."""
        return bool(self.lgd < self.reference_value)


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
    floor : float
        Input floor, share of EAD; 0 for none.
    """

    steps: pd.DataFrame
    margins: tuple[Margin, ...]
    downturn: Downturn
    floor: float

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


def read_downturn(text: str) -> DownturnRule:
    """Return a downturn rule written as text, as notebooks state it.

    Parameters
    ----------
    text : str
        ``"add_on"``; ``"observed: 2008, 2009"`` with the years of default; or ``"estimated: 0.08"`` with the impact.

    Raises
    ------
    SpecError
        When it is none of these.

    Examples
    --------
    >>> read_downturn("observed: 2008, 2009").years
    (2008, 2009)
    """
    method, _, value = (part.strip() for part in text.partition(":"))
    try:
        if method == DownturnMethod.OBSERVED:
            return DownturnRule(DownturnMethod.OBSERVED, years=tuple(int(year) for year in value.split(",")))
        impact = float(value) if method == DownturnMethod.ESTIMATED else None
        return DownturnRule(DownturnMethod(method), impact=impact)
    except ValueError as error:
        raise SpecError(
            f"downturn is {text!r}; allowed are 'add_on', 'observed: 2008, 2009' and 'estimated: 0.08' ({error})"
        ) from None


def losses_by_default_year(per_episode: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    """Average the LGD of episodes by the calendar year of their default.

    Parameters
    ----------
    per_episode : DataFrame
        Episodes in the average with episode_id, ead, is_closed and expected_lgd, as in ``SegmentLoss.per_episode``.
    episodes : DataFrame
        With episode_id and default_date.

    Returns
    -------
    DataFrame
        One row per year: default_year, n_episodes, n_open, lgd (number-weighted, raw), lgd_floored, lgd_ead_weighted.
        The mean of these rows is not the long-run average, which counts every default once.
    """
    used = per_episode[~per_episode["is_late_entry"] & per_episode["expected_lgd"].notna()]
    years = used["episode_id"].map(episodes.set_index("episode_id")["default_date"]).dt.year
    used = used.assign(
        default_year=years,
        lgd_floored=used["expected_lgd"].clip(lower=0),
        loss=used["expected_lgd"] * used["ead"],
        is_open=~used["is_closed"],
    )
    grouped = used.groupby("default_year")
    table = pd.DataFrame(
        {
            "n_episodes": grouped.size(),
            "n_open": grouped["is_open"].sum(),
            "lgd": grouped["expected_lgd"].mean(),
            "lgd_floored": grouped["lgd_floored"].mean(),
            "lgd_ead_weighted": grouped["loss"].sum() / grouped["ead"].sum(),
        }
    )
    return table.reset_index()


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
    one_sided = 0.5 + estimate.level / 2
    return Margin(
        category=MarginCategory.ESTIMATION_ERROR,
        reason="the average rests on a limited number of obligors",
        amount=max(upper - estimate.all_in_lgd, 0.0),
        basis=f"one-sided {one_sided:.1%} limit over {estimate.n_bootstrap:,} bootstrap draws of obligors",
    )


def downturn_lgd(long_run: float, by_year: pd.DataFrame, rule: DownturnRule, *, minimum_episodes: int = 20) -> Downturn:
    """Return the downturn LGD of a rule, with the reference value to hold it against.

    Parameters
    ----------
    long_run : float
        Long-run average LGD, floored at 0 per episode, share of EAD.
    by_year : DataFrame
        From ``losses_by_default_year``.
    rule : DownturnRule
    minimum_episodes : int
        Defaults that a year needs to count as one of the worst.

    Raises
    ------
    InsufficientDataError
        When an observed impact is asked for and no default fell into the downturn years.
    """
    full = by_year[by_year["n_episodes"] >= minimum_episodes]
    worst = full.nlargest(REFERENCE_YEARS, "lgd_floored") if len(full) >= REFERENCE_YEARS else full.iloc[:0]
    reference = float(worst["lgd_floored"].mean()) if len(worst) else float("nan")
    if rule.method is DownturnMethod.OBSERVED:
        period = by_year[by_year["default_year"].isin(rule.years)]
        if period.empty:
            raise InsufficientDataError(
                f"no default in the downturn years {', '.join(map(str, rule.years))}; "
                f"defaults lie in {', '.join(map(str, by_year['default_year']))}"
            )
        found = float(np.average(period["lgd_floored"], weights=period["n_episodes"]))
    elif rule.method is DownturnMethod.ESTIMATED:
        found = long_run + float(rule.impact or 0.0)
    else:
        found = min(long_run + DOWNTURN_ADD_ON, DOWNTURN_CAP)
    years = tuple(sorted(int(y) for y in worst["default_year"]))
    return Downturn(max(found, long_run), reference, years, rule.method)


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
        The floor is the mean over the segment's defaulted facilities, one weight each, as in the average.

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
        floor=float(input_floors(defaulted).mean()),
    )


def regulatory_lgd(
    estimate: LgdEstimate,
    by_year: pd.DataFrame,
    *,
    margins: Sequence[Margin] = (),
    downturn: DownturnRule | None = None,
    floor: float = 0.0,
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
    floor : float
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
    levels.append(("Input floor", max(reached, floor)))
    steps = pd.DataFrame(levels, columns=["step", "lgd"])
    steps.insert(1, "change", steps["lgd"].diff().fillna(steps["lgd"]))
    return RegulatoryLgd(steps, tuple(margins), stressed, floor)
