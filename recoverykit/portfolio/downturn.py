"""What a downturn adds to the long-run average: observed, estimated, or the add-on of the last resort.

Whatever the method, the downturn LGD is never below the long-run average, and a reference value from the two worst
years of default stands beside it. Every figure that a regulator sets is a named constant with its source.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from recoverykit.errors import InsufficientDataError, SpecError
from recoverykit.portfolio.loss import averaged

#: EBA/GL/2019/03: downturn LGD where neither an observed nor an estimated impact is to be had: the long-run average
#: plus 15 percentage points, and no more than 105 %.
DOWNTURN_ADD_ON, DOWNTURN_CAP = 0.15, 1.05
#: EBA/GL/2019/03: the reference value is the mean of the two individual years with the highest average loss.
REFERENCE_YEARS = 2


class DownturnMethod(StrEnum):
    """How the downturn LGD is found (EBA/GL/2019/03): type 1, type 2 and type 3."""

    OBSERVED = "observed"
    ESTIMATED = "estimated"
    ADD_ON = "add_on"


@dataclass(frozen=True, slots=True)
class DownturnRule:
    """How a downturn LGD is to be found.

    Attributes
    ----------
    method : DownturnMethod
    years : tuple of int
        For the observed impact: the years of default of the downturn period.
    impact : float or None
        For the estimated impact: what a downturn adds to the LGD, share of EAD from 0 to 1, from an analysis outside
        this kit.
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
        if self.method is DownturnMethod.ESTIMATED and not (self.impact is not None and 0 <= self.impact <= 1):
            raise ValueError(
                "an estimated downturn impact needs an impact of at least 0 and at most 1, a share of EAD; "
                f"found {self.impact}"
            )


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
    name, _, value = (part.strip() for part in text.partition(":"))
    try:
        method = DownturnMethod(name)
        if method is DownturnMethod.OBSERVED:
            return DownturnRule(method, years=tuple(int(year) for year in value.split(",")))
        if method is DownturnMethod.ESTIMATED:
            return DownturnRule(method, impact=float(value))
        if value:
            raise ValueError(f"the add-on is {DOWNTURN_ADD_ON:.0%} and takes no value")
        return DownturnRule(method)
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
    used = averaged(per_episode)
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
