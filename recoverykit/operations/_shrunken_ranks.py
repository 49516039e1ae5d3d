"""Where each unit probably stands, once luck is taken out: shrunken values and ranks with intervals.

Public through ``scorecards``. A rank without its interval says more than the data do; most units of like size cannot be
told apart, and the intervals of their ranks say so (Goldstein & Spiegelhalter 1996, J. Royal Statistical Society A
159:385-443).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.operations._funnel import KINDS, MINIMUM_CASES, unit_counts
from recoverykit.operations._shrinkage_kernels import (
    Prior,
    beta_prior,
    common_law,
    draw_values,
    gamma_prior,
    posterior,
    posterior_law,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ShrunkenRanks:
    """Units with their shrunken values and ranks.

    Attributes
    ----------
    units : DataFrame
        One row per unit, best first, those without enough cases last: unit, n_cases, size, value (as observed),
        shrunken, lower, upper (posterior interval), rank (posterior mean, 1 is best), rank_lower, rank_upper,
        prob_best, prob_beyond_target. Ranks and prob_best are missing for units without enough cases.
    prior : Prior
        The law of the units' true values.
    kind : str
    target : float
    higher_is_better : bool
    n_ranked : int
    level : float
    """

    units: pd.DataFrame
    prior: Prior
    kind: str
    target: float
    higher_is_better: bool
    n_ranked: int
    level: float


def shrunken_ranks(
    frame: pd.DataFrame,
    *,
    events_col: str,
    size_col: str,
    rng: np.random.Generator,
    unit_col: str = "unit",
    cases_col: str | None = None,
    kind: str = "share",
    target: float | None = None,
    higher_is_better: bool = True,
    minimum_cases: int = MINIMUM_CASES,
    n_draws: int = 20_000,
    level: float = 0.95,
) -> ShrunkenRanks:
    """Shrink each unit's share or ratio towards all units as far as its size demands, and rank what is left.

    Parameters
    ----------
    frame, events_col, size_col, unit_col, cases_col, kind, minimum_cases
        As in ``funnel_limits``: beta-binomial for a share, gamma-Poisson for observed / expected.
    rng : numpy.random.Generator
        Of the draws from which ranks are formed.
    target : float, optional
        Value whose probability of being beaten is given; the mean of all units when absent.
    higher_is_better : bool
        Whether rank 1 has the highest value; "beyond the target" is above it then, below it otherwise.
    n_draws : int
        Draws of all units' true values.
    level : float
        Of the posterior intervals.

    Returns
    -------
    ShrunkenRanks
        All units, small ones too, tell how much units differ; only those with enough cases are ranked.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``funnel_limits``.
    ConvergenceError
        When no maximum of the likelihood is found.

    Notes
    -----
    Empirical Bayes takes the fitted law of the units as known, so that intervals are a little too short where there are
    few units. Where units do not differ as far as can be told, all are shrunken to one value. Interval and
    prob_beyond_target are then those of a value common to all, from the law beta(sum O + 1/2, sum n - sum O + 1/2) or
    gamma(sum O + 1/2, rate sum E), and a rank means nothing: its interval spans all places.

    Examples
    --------
    >>> units = pd.DataFrame({"unit": list("abcd"), "n_kept": [45, 30, 24, 3], "n_due": [50, 50, 50, 3]})
    >>> ranks = shrunken_ranks(units, events_col="n_kept", size_col="n_due", rng=np.random.default_rng(1))
    >>> ranks.units[["unit", "value", "shrunken"]].round(2).values.tolist()
    [['a', 0.9, 0.88], ['b', 0.6, 0.61], ['c', 0.48, 0.5], ['d', 1.0, 0.8]]

    Unit d kept all of its three promises and is shown last, without a rank.
    """
    check_choice("kind", kind, KINDS)
    check_level(level)
    events, size, cases = unit_counts(frame, unit_col, events_col, size_col, cases_col, kind)
    prior = beta_prior(events, size) if kind == "share" else gamma_prior(events, size)
    first, second = posterior(prior, events, size)
    shrunken = posterior_law(prior, first, second).mean()
    law = posterior_law(prior, first, second) if prior.standard_deviation > 0 else common_law(prior, events, size)
    goal = prior.mean if target is None else float(target)
    tail = (1.0 - level) / 2.0
    units = pd.DataFrame(
        {
            "unit": frame[unit_col].to_numpy(),
            "n_cases": cases,
            "size": size,
            "value": events / size,
            "shrunken": shrunken,
            # Without any event, or any failure, a quantile of the common law lies beyond the pooled value.
            "lower": np.minimum(law.ppf(tail), shrunken),
            "upper": np.maximum(law.ppf(1.0 - tail), shrunken),
            "prob_beyond_target": law.sf(goal) if higher_is_better else law.cdf(goal),
        }
    )
    ranked = np.flatnonzero(cases >= minimum_cases)
    columns = ["rank", "rank_lower", "rank_upper", "prob_best"]
    units[columns] = np.nan
    if len(ranked):
        drawn = draw_values(prior, first[ranked], second[ranked], n_draws, rng)
        units.loc[ranked, columns] = _ranks(drawn if not higher_is_better else -drawn, tail)
    ordered = units.sort_values(["rank", "n_cases"], ascending=[True, False], na_position="last", kind="stable")
    kept = ["unit", "n_cases", "size", "value", "shrunken", "lower", "upper", *columns, "prob_beyond_target"]
    return ShrunkenRanks(ordered[kept].reset_index(drop=True), prior, kind, goal, higher_is_better, len(ranked), level)


def _ranks(drawn: Array, tail: float) -> Array:
    """Return mean rank, its limits and the chance of being first, by unit; the lowest draw is first."""
    ranks = np.argsort(np.argsort(drawn, axis=1), axis=1) + 1
    limits = np.quantile(ranks, [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    return np.column_stack([ranks.mean(axis=0), limits[0], limits[1], (ranks == 1).mean(axis=0)])
