"""Two arms as numbers to an effect with its interval: shares, means, with weights or clusters.

statsmodels does the work: score and Newcombe intervals of two shares, Welch's difference of means, least squares with
robust or cluster-robust errors. This module knows no assignment and no design.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr, stdtrit
from statsmodels.regression.linear_model import WLS
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    test_proportions_2indep,
)

from recoverykit.errors import InsufficientDataError

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

INTERVALS = ("newcombe", "score", "wald")
#: The search for a limit of a ratio begins so far from the estimate on the log scale, doubles, and ends there.
_FIRST_STEP, _WIDEST_LOG_RATIO = 1e-3, 14.0
#: A difference that is told from the estimate.
_NEXT_TO = 1e-9
_STATSMODELS = {"newcombe": "newcomb", "wald": "wald"}
_WORDS = {
    "newcombe": "interval by Newcombe's method 10 (1998), score test",
    "score": "score interval of Miettinen & Nurminen (1985), score test",
    "wald": "Wald interval, score test",
}


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """A comparison of two arms.

    Attributes
    ----------
    measure : str
        ``risk_difference`` or ``mean_difference``.
    effect, standard_error, lower, upper, p_value : float
        Treated less control.
    ratio : tuple of float
        Ratio of the two with its interval; NaN where the control has none of the outcome and, with weights or clusters
        and for means, where either is not above 0.
    arms : DataFrame
        arm, n_units, value, lower, upper; treated first.
    errors : str
        How interval and error were made.
    """

    measure: str
    effect: float
    standard_error: float
    lower: float
    upper: float
    p_value: float
    ratio: tuple[float, float, float]
    arms: pd.DataFrame
    errors: str


def compare_shares(
    *,
    outcome: Array,
    is_treated: BoolArray,
    names: tuple[str, str],
    interval: str,
    level: float,
    with_ratio: bool = True,
) -> Contrast:
    """Compare the shares of two arms of independent units.

    Parameters
    ----------
    outcome : ndarray of shape (n,)
        1 or 0.
    is_treated : ndarray of bool of shape (n,)
        Arm.
    names : tuple of str
        Treated and control.
    interval : {"newcombe", "score", "wald"}
        Kind of interval of the difference; the ratio has the score interval.
    level : float
        Confidence level.
    with_ratio : bool
        Whether the ratio is wanted too, whose interval takes a search.
    """
    hits = [int(outcome[side].sum()) for side in (is_treated, ~is_treated)]
    sizes = [int(is_treated.sum()), int((~is_treated).sum())]
    alpha = 1 - level
    shares = [h / n for h, n in zip(hits, sizes, strict=True)]
    counts = (hits[0], sizes[0], hits[1], sizes[1])
    if interval == "score":
        lower, upper = _difference_limits(counts, alpha)
    else:
        lower, upper = confint_proportions_2indep(*counts, method=_STATSMODELS[interval], compare="diff", alpha=alpha)
    pooled = sum(hits)
    # With nobody or everybody in both arms there is nothing to test, and the score statistic is 0 / 0.
    has_test = 0 < pooled < sum(sizes)
    p_value = 1.0
    if has_test:
        z = (shares[0] - shares[1]) / np.sqrt(_restricted_variance(counts, 0.0))
        p_value = 2 * float(ndtr(-abs(z)))
    ratio = (float("nan"),) * 3
    if with_ratio and hits[1] > 0:
        limits = _ratio_limits(counts, shares[0] / shares[1], alpha)
        ratio = (shares[0] / shares[1], float(limits[0]), float(limits[1]))
    single = [proportion_confint(h, n, alpha=alpha, method="wilson") for h, n in zip(hits, sizes, strict=True)]
    return Contrast(
        measure="risk_difference",
        effect=shares[0] - shares[1],
        standard_error=float(np.sqrt(sum(p * (1 - p) / n for p, n in zip(shares, sizes, strict=True)))),
        lower=float(lower),
        upper=float(upper),
        p_value=p_value,
        ratio=ratio,
        arms=_arms(names, sizes, shares, [(float(a), float(b)) for a, b in single]),
        errors=_WORDS[interval],
    )


def compare_means(*, outcome: Array, is_treated: BoolArray, names: tuple[str, str], level: float) -> Contrast:
    """Compare the means of two arms of independent units, variances not taken as equal (Welch).

    Parameters
    ----------
    outcome, is_treated, names, level
        As in ``compare_shares``; outcomes are any numbers.
    """
    parts = [outcome[is_treated], outcome[~is_treated]]
    sizes, means = [len(part) for part in parts], [float(part.mean()) for part in parts]
    variances = [float(part.var(ddof=1)) / len(part) for part in parts]
    error = float(np.sqrt(sum(variances)))
    squares = sum(v**2 / (n - 1) for v, n in zip(variances, sizes, strict=True))
    freedom = error**4 / squares if squares > 0 else float(sum(sizes) - 2)
    effect, spread = means[0] - means[1], float(stdtrit(freedom, 0.5 + level / 2)) * error
    single = [
        (m - t * np.sqrt(v), m + t * np.sqrt(v))
        for m, v, t in zip(means, variances, [float(stdtrit(n - 1, 0.5 + level / 2)) for n in sizes], strict=True)
    ]
    return Contrast(
        measure="mean_difference",
        effect=effect,
        standard_error=error,
        lower=effect - spread,
        upper=effect + spread,
        p_value=two_sided_p_value(effect, error, freedom),
        ratio=_ratio(means, np.diag(variances), float(ndtri(0.5 + level / 2))),
        arms=_arms(names, sizes, means, single),
        errors="Welch's t",
    )


def compare_robust(
    *,
    outcome: Array,
    is_treated: BoolArray,
    names: tuple[str, str],
    level: float,
    measure: str,
    weights: Array | None = None,
    clusters: NDArray[np.int64] | None = None,
) -> Contrast:
    """Compare two arms by least squares on the arms with robust errors, for weights and clusters.

    Parameters
    ----------
    outcome, is_treated, names, level
        As in ``compare_shares``.
    measure : str
        ``risk_difference`` or ``mean_difference``.
    weights : ndarray of shape (n,) or None
        Weight of each unit; taken as known.
    clusters : ndarray of int of shape (n,) or None
        Obligor of each unit; None gives HC1.

    Raises
    ------
    InsufficientDataError
        When an arm has fewer than two clusters.
    """
    arms = np.column_stack([is_treated, ~is_treated]).astype(float)
    model = WLS(outcome, arms, weights=np.ones(len(outcome)) if weights is None else weights)
    if clusters is None:
        fitted, freedom = model.fit(cov_type="HC1"), float(len(outcome) - 2)
        words = "heteroskedasticity-robust errors (HC1)"
    else:
        check_clusters(clusters, is_treated, names)
        fitted = model.fit(cov_type="cluster", cov_kwds={"groups": clusters})
        n_clusters = len(np.unique(clusters))
        freedom, words = float(n_clusters - 1), f"errors robust over {n_clusters:,} clusters"
    means, cov = [float(m) for m in fitted.params], np.asarray(fitted.cov_params(), dtype=float)
    effect = means[0] - means[1]
    error = float(np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]))
    t = float(stdtrit(freedom, 0.5 + level / 2))
    sizes = [int(is_treated.sum()), int((~is_treated).sum())]
    single = [(m - t * np.sqrt(cov[j, j]), m + t * np.sqrt(cov[j, j])) for j, m in enumerate(means)]
    return Contrast(
        measure=measure,
        effect=effect,
        standard_error=error,
        lower=effect - t * error,
        upper=effect + t * error,
        p_value=two_sided_p_value(effect, error, freedom),
        ratio=_ratio(means, cov, t),
        arms=_arms(names, sizes, means, single),
        errors=words + ("" if weights is None else ", weights taken as known"),
    )


def check_clusters(
    clusters: NDArray[np.int64], is_treated: BoolArray, names: tuple[str, str], *, where: str = "in each arm"
) -> None:
    """Raise InsufficientDataError where a group is a single cluster: its scores sum to 0, as if nothing varied in it.

    Parameters
    ----------
    clusters : ndarray of int of shape (n,)
        Cluster of each unit.
    is_treated : ndarray of bool of shape (n,)
        Whether it belongs to the first group.
    names : tuple of str
        The two groups, for the message.
    where : str
        What a group is, for the message.
    """
    counts = [len(np.unique(clusters[side])) for side in (is_treated, ~is_treated)]
    if min(counts) < 2:
        raise InsufficientDataError(
            f"{names[0]} has {counts[0]} and {names[1]} {counts[1]} of the clusters over which errors are robust; two "
            f"clusters {where} are the least"
        )


def _difference_limits(counts: tuple[int, int, int, int], alpha: float) -> tuple[float, float]:
    """Return the least and the largest difference that the score test does not reject.

    statsmodels (0.15) has such an interval too, but takes its variance at shares that are not the likeliest ones with
    the difference, and looks for its limits between bounds that do not always enclose them.
    """
    x1, n1, x2, n2 = counts
    estimate, quantile = x1 / n1 - x2 / n2, float(ndtri(1 - alpha / 2))

    def excess(difference: float, bound: float) -> float:
        # Zero where the squared statistic is the bound's, without dividing by a variance that may be 0.
        gap = estimate - difference
        return gap * abs(gap) - np.sign(bound) * bound**2 * _restricted_variance(counts, difference)

    lower, upper = -1.0, 1.0
    below, above = estimate - _NEXT_TO, estimate + _NEXT_TO  # at the estimate itself the variance may be 0
    if below > -1 and excess(-1.0, quantile) > 0 > excess(below, quantile):
        lower = float(brentq(excess, -1.0, below, args=(quantile,)))
    if above < 1 and excess(1.0, -quantile) < 0 < excess(above, -quantile):
        upper = float(brentq(excess, above, 1.0, args=(-quantile,)))
    return lower, upper


def _restricted_variance(counts: tuple[int, int, int, int], difference: float) -> float:
    """Return the variance of a difference of shares at the likeliest shares with that difference.

    The likelihood equation is a cubic in the second share (Miettinen & Nurminen 1985, appendix; Farrington & Manning
    1990, Statistics in Medicine 9:1447-1454), with their factor n / (n - 1).
    """
    x1, n1, x2, n2 = counts
    n, d = n1 + n2, difference
    c2 = (n1 + 2 * n2) * d - n - x1 - x2
    c1 = (n2 * d - n - 2 * x2) * d + x1 + x2
    c0 = x2 * d * (1 - d)
    q = c2**3 / (27 * n**3) - c1 * c2 / (6 * n**2) + c0 / (2 * n)
    p = np.copysign(np.sqrt(max(c2**2 / (9 * n**2) - c1 / (3 * n), 0.0)), q)
    angle = (np.pi + np.arccos(np.clip(q / p**3, -1.0, 1.0))) / 3 if p else np.pi / 2
    second = float(np.clip(2 * p * np.cos(angle) - c2 / (3 * n), max(0.0, -d), min(1.0, 1.0 - d)))
    first = second + d
    return (first * (1 - first) / n1 + second * (1 - second) / n2) * n / (n - 1)


def _ratio_limits(counts: tuple[int, int, int, int], estimate: float, alpha: float) -> tuple[float, float]:
    """Return the least and the largest ratio that statsmodels' score test does not reject, sought on the log scale."""
    quantile = float(ndtri(1 - alpha / 2))

    def excess(log_ratio: float) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):  # it gives the odds ratio too, which may be infinite
            tested = test_proportions_2indep(*counts, value=np.exp(log_ratio), compare="ratio", method="score")
        return abs(float(tested.statistic)) - quantile

    def limit(side: float) -> float:
        start = float(np.log(estimate)) if estimate > 0 else -_WIDEST_LOG_RATIO
        near, step = start + side * _NEXT_TO, _FIRST_STEP  # at the estimate itself the variance may be 0
        while (far := start + side * step) * side < _WIDEST_LOG_RATIO:
            if excess(far) > 0:
                return float(np.exp(brentq(excess, near, far)))
            near, step = far, 2 * step
        return float("inf") if side > 0 else 0.0

    return limit(-1.0), limit(1.0)


def _ratio(means: list[float], cov: Array, quantile: float) -> tuple[float, float, float]:
    """Return the ratio of two positive means, its interval on the log scale by the delta method."""
    if min(means) <= 0:
        return (float("nan"),) * 3
    gradient = np.array([1 / means[0], -1 / means[1]])
    spread = quantile * float(np.sqrt(gradient @ cov @ gradient))
    value = means[0] / means[1]
    return value, value * float(np.exp(-spread)), value * float(np.exp(spread))


def two_sided_p_value(effect: float, error: float, freedom: float) -> float:
    """Return the p-value of no effect by Student's t, or the normal for infinite degrees of freedom.

    Where the error is 0 an effect is certain, and so is that there is none.
    """
    if error <= 0:
        return 1.0 if effect == 0 else 0.0
    z = -abs(effect) / error
    return 2 * float(stdtr(freedom, z) if np.isfinite(freedom) else ndtr(z))


def _arms(
    names: tuple[str, str], sizes: list[int], values: list[float], limits: list[tuple[float, float]]
) -> pd.DataFrame:
    rows = [(name, n, value, *pair) for name, n, value, pair in zip(names, sizes, values, limits, strict=True)]
    return pd.DataFrame(rows, columns=["arm", "n_units", "value", "lower", "upper"])
