"""Green, yellow, red: who cures without help, whom a call helps, and where field work or the court pays.

A light is not a share of the book. It follows from what each treatment gains for a case beyond its cost, and from how
much of each the unit can do: green is a case for which nothing gains enough, because it is likely to cure by itself or
little is at stake. The probability of self-cure comes from a model of the kit and is held against what followed.

The gain of a treatment for a case is

    gain = (1 - p) * uplift * (recovery if cured - recovery if not cured) - cost,

with p the probability that the case cures by itself within the horizon, and the uplift the share of those that would
not and do with the treatment.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.operations._cents import total
from recoverykit.operations._self_cure import cures_since, triage_cases
from recoverykit.operations._triage_backtest import LightsBackTest, back_test_lights
from recoverykit.operations._triage_fixed import FIXED_SHARES, fixed_shares
from recoverykit.operations._triage_kernels import assign, assign_by_price, prices
from recoverykit.operations._triage_overrides import OverrideReview, read_overrides, review_overrides
from recoverykit.operations._triage_problem import Problem, read_problem
from recoverykit.operations._triage_treatments import (
    GREEN,
    LIGHTS,
    NO_TREATMENT,
    Treatment,
    TreatmentMenu,
    read_treatments,
)

__all__ = [
    "LightsBackTest",
    "OverrideReview",
    "Treatment",
    "TreatmentMenu",
    "Triage",
    "back_test_lights",
    "cures_since",
    "light_by_price",
    "read_overrides",
    "read_treatments",
    "review_overrides",
    "triage",
    "triage_cases",
]

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.99)


@dataclass(frozen=True, slots=True, eq=False)
class Triage:
    """The lights of all open cases and what they rest on.

    Attributes
    ----------
    lights : DataFrame
        One row per case, in the order given: facility_id, prob_self_cure, at_stake_amount (recovery if cured less if
        not), light, treatment, gain_amount (over doing nothing, after cost), net_recovery_amount (expected), is_waiting
        (green only because capacity ran out: a treatment would gain something).
    use : DataFrame
        One row per resource: resource, capacity, used, price_amount (what one more unit would gain).
    thresholds : DataFrame
        One row per treatment and quantile of the amount at stake: treatment, light, uplift, full_cost_amount (cost and
        the price of its units), at_stake_quantile, at_stake_amount, threshold: the treatment gains more than its full
        cost where the probability of self-cure lies below 1 - full cost / (uplift * amount at stake); 0 where it never
        does.
    strategies : DataFrame
        strategy (``nothing``, ``fixed shares``, ``fixed shares, within capacity``, ``thresholds``, ``optimum``),
        net_recovery_amount (expected), n_green, n_yellow, n_red, within_capacity.
    bound_amount : float
        No assignment within the capacities can bring more than this; that of the optimum lies below it by the gap of
        the search, which is stated.
    """

    lights: pd.DataFrame
    use: pd.DataFrame
    thresholds: pd.DataFrame
    strategies: pd.DataFrame
    bound_amount: float

    @property
    def shares(self) -> dict[str, float]:
        """Share of the cases with each light."""
        found = self.lights["light"].value_counts(normalize=True)
        return {light: float(found.get(light, 0.0)) for light in LIGHTS}

    @property
    def n_waiting(self) -> int:
        """Cases that are green only because capacity ran out."""
        return int(self.lights["is_waiting"].sum())

    @property
    def prices(self) -> dict[str, float]:
        """What one more unit of each resource would gain; ``light_by_price`` takes them."""
        return dict(zip(self.use["resource"], self.use["price_amount"], strict=True))

    def net_recovery(self, strategy: str = "optimum") -> float:
        """Return the expected net recovery of a strategy."""
        return float(self.strategies.set_index("strategy")["net_recovery_amount"][strategy])

    @property
    def cost_of_fixed_shares(self) -> float:
        """Expected net recovery that fixed shares forgo, within the same capacity."""
        return self.net_recovery() - self.net_recovery("fixed shares, within capacity")

    def by_light(self) -> pd.DataFrame:
        """Return light, n_cases, share, mean prob_self_cure, at_stake_amount, gain_amount: counts that name nobody.

        Gains are expectations in fractions of a cent; they are rounded once they are added, so that they foot.
        """
        rows = []
        for light in LIGHTS:
            part = self.lights[self.lights["light"] == light]
            rows.append(
                {
                    "light": light,
                    "n_cases": len(part),
                    "share": len(part) / max(len(self.lights), 1),
                    "prob_self_cure": float(part["prob_self_cure"].mean()) if len(part) else np.nan,
                    "at_stake_amount": total(part["at_stake_amount"]),
                    "gain_amount": round(math.fsum(part["gain_amount"]), 2),
                }
            )
        return pd.DataFrame(rows)

    def by_decile(self) -> pd.DataFrame:
        """Return cases by tenth of the probability of self-cure: group, n_green, n_yellow, n_red, n_cases, its mean.

        Equal probabilities stay in one group, so that a number may be left out.
        """
        rank = self.lights["prob_self_cure"].rank()  # ties share a rank: the order of rows tells nothing
        n_groups = max(min(10, len(self.lights) // 10), 1)
        group = np.ceil(rank * n_groups / max(len(self.lights), 1)).astype(int)
        counts = pd.crosstab(group, self.lights["light"]).reindex(columns=LIGHTS, fill_value=0)
        counts.columns = [f"n_{light}" for light in LIGHTS]
        mean = self.lights.groupby(group)["prob_self_cure"].mean()
        table = counts.assign(n_cases=counts.sum(axis=1), prob_self_cure=mean)
        return table.rename_axis("group").reset_index()

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept; ``lights`` are tomorrow's yesterday."""
        return {
            "lights": self.lights,
            "resources": self.use,
            "thresholds": self.thresholds,
            "strategies": self.strategies,
        }

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return {
            "n_cases": len(self.lights),
            "n_waiting": self.n_waiting,
            "shares": self.shares,
            "net_recovery_amount": self.net_recovery(),
            "bound_amount": self.bound_amount,
            "cost_of_fixed_shares_amount": self.cost_of_fixed_shares,
            "prices": self.prices,
        }


def triage(
    cases: pd.DataFrame,
    menu: TreatmentMenu | None = None,
    *,
    shares: tuple[float, float, float] = FIXED_SHARES,
) -> Triage:
    """Give every open case its light: the treatments that bring most within the capacities.

    Parameters
    ----------
    cases : DataFrame
        One row per open case: facility_id; prob_self_cure, the probability of curing within the horizon given that it
        is still open, in [0, 1]; cured_recovery_amount and uncured_recovery_amount, expected recoveries in either case,
        the first at least the second. A column ``uplift_<treatment>`` replaces the treatment's uplift case by case.
    menu : TreatmentMenu, optional
        Treatments and capacities; the placeholders of the kit when absent.
    shares : (float, float, float)
        Green, yellow and red shares to compare with, by probability alone; they add to 1.

    Returns
    -------
    Triage

    Raises
    ------
    ContractError
        When a column is missing or a value lies outside its range; all at once.
    ValueError
        When the shares do not add to 1.

    Notes
    -----
    With one treatment the greatest gains are served first, which is exact. With several it is a binary programme, which
    HiGHS solves to a relative gap of 1e-7; ``bound_amount`` proves it. Prices are the duals of its linear relaxation.

    Examples
    --------
    >>> cases = pd.DataFrame({"facility_id": ["A", "B", "C"], "prob_self_cure": [0.9, 0.2, 0.2],
    ...                       "cured_recovery_amount": [1000.0, 1000.0, 400.0], "uncured_recovery_amount": 0.0})
    >>> call = Treatment(name="call", light="yellow", uplift=0.5, cost_amount=60, resource="calls", units=1)
    >>> found = triage(cases, TreatmentMenu(treatments=[call], capacities={"calls": 1}))
    >>> found.lights[["light", "gain_amount"]].to_numpy().tolist()
    [['green', 0.0], ['yellow', 340.0], ['green', 0.0]]

    A gains 0.1 * 0.5 * 1000 - 60 < 0, B 0.8 * 0.5 * 1000 - 60 = 340 and C 0.8 * 0.5 * 400 - 60 = 100, but there is
    one call only.
    """
    menu = menu or TreatmentMenu.house()
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares are {shares}; give green, yellow and red shares that add to 1")
    problem = read_problem(cases, menu)
    found = assign(problem.gains, **problem.limits)
    price = prices(problem.gains, **problem.limits)
    by_price, _ = assign_by_price(problem.gains, price, **problem.limits)
    fixed = fixed_shares(problem.gains, problem.prob, problem.light, shares, **problem.limits)
    strategies = {
        "nothing": np.full(len(cases), -1),
        "fixed shares": fixed.treatment,
        "fixed shares, within capacity": fixed.within_capacity,
        "thresholds": by_price,
        "optimum": found.treatment,
    }
    return Triage(
        lights=_lights(cases, problem, found.treatment),
        use=_use(problem, found.treatment, price),
        thresholds=_thresholds(problem, price),
        strategies=pd.DataFrame([_strategy(name, problem, given) for name, given in strategies.items()]),
        bound_amount=problem.baseline + found.bound,
    )


def light_by_price(cases: pd.DataFrame, menu: TreatmentMenu, prices: Mapping[str, float]) -> pd.DataFrame:
    """Give cases their light by the thresholds of an earlier day, without solving anything again.

    Parameters
    ----------
    cases, menu
        As in ``triage``.
    prices : mapping of str to float
        What a unit of each resource is worth, from ``Triage.prices`` of the earlier day.

    Returns
    -------
    DataFrame
        As ``Triage.lights``. Capacities hold and are used: cases are served in the order of their gain beyond the
        price, as long as there is room and a gain.
    """
    problem = read_problem(cases, menu)
    price = np.array([float(prices.get(name, 0.0)) for name in problem.resources])
    treatment, _ = assign_by_price(problem.gains, price, **problem.limits)
    return _lights(cases, problem, treatment)


def _lights(cases: pd.DataFrame, problem: Problem, treatment: NDArray[np.int64]) -> pd.DataFrame:
    gain = problem.gain_of(treatment)
    return pd.DataFrame(
        {
            "facility_id": cases["facility_id"].to_numpy(object),
            "prob_self_cure": problem.prob,
            "at_stake_amount": problem.stake,
            "light": np.array([*problem.light, GREEN], dtype=object)[treatment],
            "treatment": np.array([*problem.names, NO_TREATMENT], dtype=object)[treatment],
            "gain_amount": gain,
            "net_recovery_amount": problem.untreated + gain,
            "is_waiting": (treatment < 0) & (problem.gains > 0).any(axis=1),
        }
    )


def _use(problem: Problem, treatment: NDArray[np.int64], price: NDArray[np.float64]) -> pd.DataFrame:
    columns = {"capacity": problem.limits["capacity"], "used": problem.used(treatment), "price_amount": price}
    return pd.DataFrame({"resource": problem.resources, **columns})


def _thresholds(problem: Problem, price: NDArray[np.float64]) -> pd.DataFrame:
    """Return below which probability of self-cure a treatment pays, by the amount at stake."""
    stakes = np.quantile(problem.stake, _QUANTILES) if len(problem.stake) else np.full(len(_QUANTILES), np.nan)
    rows = []
    for place, name in enumerate(problem.names):
        full = problem.cost[place] + price[problem.limits["resource"][place]] * problem.limits["units"][place]
        uplift = float(np.mean(problem.uplift[:, place])) if len(problem.stake) else np.nan
        for quantile, stake in zip(_QUANTILES, stakes, strict=True):
            reach = uplift * stake
            rows.append(
                {
                    "treatment": name,
                    "light": problem.light[place],
                    "uplift": uplift,
                    "full_cost_amount": float(full),
                    "at_stake_quantile": quantile,
                    "at_stake_amount": float(stake),
                    "threshold": float(np.clip(1 - full / reach, 0.0, 1.0)) if reach > 0 else 0.0,
                }
            )
    return pd.DataFrame(rows)


def _strategy(name: str, problem: Problem, treatment: NDArray[np.int64]) -> dict[str, Any]:
    light = np.array([*problem.light, GREEN], dtype=object)[treatment]
    return {
        "strategy": name,
        "net_recovery_amount": problem.baseline + float(problem.gain_of(treatment).sum()),
        **{f"n_{colour}": int((light == colour).sum()) for colour in LIGHTS},
        "within_capacity": bool((problem.used(treatment) <= problem.limits["capacity"] + 1e-9).all()),
    }
