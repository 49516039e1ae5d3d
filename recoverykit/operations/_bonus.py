"""How often luck alone pays a bonus: the compensation rule as a what-if. Public through ``scorecards``.

A rule such as "a bonus of 20 % to units above 90 %" pays on what was seen, not on what is true. With few cases the two
differ much.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]
#: Sizes of units and true shares at which the rule is tried where nobody says.
SIZES = (30, 50, 100, 200, 500)
TRUE_RATES = (0.80, 0.85, 0.88, 0.90, 0.92, 0.95)
#: Cases simulated in one go, so that many draws of large units need little memory.
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class BonusLuck:
    """What a bonus rule pays for.

    Attributes
    ----------
    chances : DataFrame
        n_cases, true_rate, prob_paid (exact binomial), expected_bonus_rate (prob_paid times the bonus).
    errors : DataFrame
        By n_cases, over units whose true shares follow a beta law: prob_paid; below_paid (of the units truly not above
        the threshold, the share paid), above_unpaid (of those truly above it, the share not paid), paid_below (of the
        units paid, the share truly not above it); the same of a simulation with a trailing ``_simulated``; and, where
        amounts were given, ``below_paid_by_amount`` and ``above_unpaid_by_amount``: the rule on money instead of cases.
    threshold, bonus, mean_rate, sd_rate : float
    n_draws : int
    """

    chances: pd.DataFrame
    errors: pd.DataFrame
    threshold: float
    bonus: float
    mean_rate: float
    sd_rate: float
    n_draws: int


def bonus_luck(
    *,
    rng: np.random.Generator,
    n_cases: Sequence[int] = SIZES,
    true_rates: Sequence[float] = TRUE_RATES,
    mean_rate: float = 0.90,
    sd_rate: float = 0.03,
    threshold: float = 0.90,
    bonus: float = 0.20,
    amounts: Sequence[float] | Array | None = None,
    n_draws: int = 20_000,
) -> BonusLuck:
    """Find how often a bonus above a threshold is paid by luck, and how often it is missed by bad luck.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the simulation.
    n_cases : sequence of int
        Sizes of units, cases, each 1 or more.
    true_rates : sequence of float
        True shares at which the exact chance of being paid is told.
    mean_rate, sd_rate : float
        Mean and standard deviation of the units' true shares, a beta law; take them from ``shrunken_ranks``.
    threshold : float
        Share that must be exceeded, in (0, 1).
    bonus : float
        Share of pay.
    amounts : sequence of float, optional
        Amounts owed of typical cases, above 0, drawn with replacement: money is concentrated in few cases, so that luck
        weighs more when the rule is on money.
    n_draws : int
        Units simulated for each size.

    Returns
    -------
    BonusLuck

    Raises
    ------
    ValueError
        When an option is not allowed, or no beta law has such a mean and standard deviation.

    Notes
    -----
    P(paid | rate) = P(X > threshold n), X binomial. Over a beta(a, b) law of true rates X is beta-binomial, and given
    X = k the true rate is beta(a + k, b + n - k), so that
    P(paid, rate <= threshold) = sum over k > threshold n of P(X = k) I_threshold(a + k, b + n - k): no simulation is
    needed. The simulated columns come from drawing units, rates and cases, as a check that needs no formula.

    Examples
    --------
    >>> luck = bonus_luck(rng=np.random.default_rng(1), n_cases=[10, 30], true_rates=[0.9], n_draws=100)
    >>> luck.chances[["n_cases", "true_rate", "prob_paid"]].round(3).values.tolist()
    [[10.0, 0.9, 0.349], [30.0, 0.9, 0.411]]

    A unit of ten cases that truly stands at the threshold is paid when all ten succeed: 0.9 ** 10.
    """
    sizes, first, second = _checked(n_cases, true_rates, mean_rate, sd_rate, threshold, bonus, n_draws)
    money = None if amounts is None else np.asarray(amounts, dtype=float)
    if money is not None and not (len(money) and np.all(np.isfinite(money) & (money > 0))):
        raise ValueError("amounts must be finite and above 0, and there must be one at least")
    grid = pd.MultiIndex.from_product([sizes, list(true_rates)], names=["n_cases", "true_rate"]).to_frame(index=False)
    least = needed(grid["n_cases"].to_numpy(), threshold)
    grid["prob_paid"] = stats.binom.sf(least - 1, grid["n_cases"], grid["true_rate"])
    rows = []
    for size in sizes:
        exact = _shares(*_exact(size, first, second, threshold))
        drawn = _simulated(size, first, second, threshold, n_draws, rng, None)
        row = {"n_cases": size} | exact | {f"{name}_simulated": value for name, value in _shares(*drawn).items()}
        if money is not None:
            by_amount = _shares(*_simulated(size, first, second, threshold, n_draws, rng, money))
            row |= {f"{name}_by_amount": by_amount[name] for name in ("below_paid", "above_unpaid")}
        rows.append(row)
    grid["expected_bonus_rate"] = bonus * grid["prob_paid"]
    return BonusLuck(grid, pd.DataFrame(rows), threshold, bonus, mean_rate, sd_rate, n_draws)


def needed(n_cases: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """Return the smallest number of successes whose share exceeds the threshold; 90 of 100 do not exceed 90 %."""
    return np.floor(threshold * n_cases + 1e-9).astype(np.int64) + 1


def _checked(
    n_cases: Sequence[int],
    true_rates: Sequence[float],
    mean_rate: float,
    sd_rate: float,
    threshold: float,
    bonus: float,
    n_draws: int,
) -> tuple[list[int], float, float]:
    """Return sizes and the parameters of the beta law, or raise with everything that is wrong."""
    wrong = []
    if not len(n_cases) or any(size < 1 for size in n_cases):
        wrong.append("n_cases must be 1 or more")
    if any(not 0 <= rate <= 1 for rate in true_rates):
        wrong.append("true_rates must lie between 0 and 1")
    if not 0 < mean_rate < 1 or not 0 < sd_rate < np.sqrt(mean_rate * (1 - mean_rate)):
        wrong.append(f"mean_rate {mean_rate:g} with sd_rate {sd_rate:g} is no beta law")
    if not 0 < threshold < 1 or bonus < 0 or n_draws < 1:
        wrong.append("threshold must lie between 0 and 1, bonus be 0 or more, n_draws 1 or more")
    if wrong:
        raise ValueError("; ".join(wrong))
    total = mean_rate * (1.0 - mean_rate) / sd_rate**2 - 1.0
    return [int(size) for size in n_cases], mean_rate * total, (1.0 - mean_rate) * total


def _exact(size: int, first: float, second: float, threshold: float) -> tuple[float, float, float]:
    """Return P(paid), P(truly not above the threshold) and P(both)."""
    wins = np.arange(int(needed(np.array([size]), threshold)[0]), size + 1)
    law = stats.betabinom.pmf(wins, size, first, second)
    both = float(np.sum(law * special.betainc(first + wins, second + size - wins, threshold)))
    return float(law.sum()), float(special.betainc(first, second, threshold)), both


def _simulated(
    size: int,
    first: float,
    second: float,
    threshold: float,
    n_draws: int,
    rng: np.random.Generator,
    money: Array | None,
) -> tuple[float, float, float]:
    """Return the same three shares of simulated units; with amounts the rule is on money."""
    rates = rng.beta(first, second, n_draws)
    if money is None:
        paid = rng.binomial(size, rates) >= needed(np.array([size]), threshold)[0]
    else:
        block = max(_BLOCK // size, 1)
        parts = []
        for begin in range(0, n_draws, block):
            own = rates[begin : begin + block]
            owed = money[rng.integers(0, len(money), (len(own), size))]
            came = np.where(rng.random((len(own), size)) < own[:, None], owed, 0.0).sum(axis=1)
            parts.append(came > threshold * owed.sum(axis=1) * (1.0 + 1e-12))
        paid = np.concatenate(parts)
    below = rates <= threshold
    return float(paid.mean()), float(below.mean()), float((paid & below).mean())


def _shares(paid: float, below: float, both: float) -> dict[str, float]:
    """Return the chance of being paid and the three errors; NaN where nobody could commit one."""
    return {
        "prob_paid": paid,
        "below_paid": _ratio(both, below),
        "above_unpaid": _ratio(1.0 - below - (paid - both), 1.0 - below),
        "paid_below": _ratio(both, paid),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")
