"""Array arithmetic of the chain ladder and of Mack's standard errors; knows no frames, no months and no money.

A triangle is an array of shape (n_vintages, n_periods) of cumulative amounts, NaN where not yet known; what is known of
a vintage comes first. A factor leads from one period to the next.
"""

from dataclasses import dataclass

import numpy as np

from recoverykit.estimators._rows import Array, BoolArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """Age-to-age factors and their errors, all of shape (n_factors,).

    Attributes
    ----------
    factors, standard_errors : ndarray
        f_k and its standard error; the error of a factor known from one vintage rests on an extrapolated sigma.
    sigma_squared : ndarray
        Mack's variance parameter: Var(C_{k+1} | C_k) = sigma_k^2 C_k^(2 - alpha). NaN where it cannot be told.
    n_vintages : ndarray of int
        Vintages from which the factor is estimated; 0 for a tail factor.
    """

    factors: Array
    standard_errors: Array
    sigma_squared: Array
    n_vintages: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Development:
    """A completed triangle with the variances of its extrapolated cells.

    Attributes
    ----------
    completed, process, parameter : ndarray of shape (n_vintages, n_factors + 1)
        Cumulative amounts, and their process and parameter variances; variances are 0 where the cell is known, and
        everything NaN in a vintage that is not projected.
    total_process, total_parameter : ndarray of shape (n_factors + 1,)
        The same variances of the sum over all projected vintages.
    """

    completed: Array
    process: Array
    parameter: Array
    total_process: Array
    total_parameter: Array


def age_to_age(triangle: Array, *, alpha: int, last_sigma: str) -> Factors:
    """Estimate the factors from all pairs of neighbouring cells that are known.

    Parameters
    ----------
    triangle : ndarray of shape (n_vintages, n_periods)
        Above 0 in every cell from which a known cell follows.
    alpha : {0, 1, 2}
        A vintage's own factor F weighs C^alpha: 0 simple mean, 1 volume-weighted, 2 regression through the origin.
    last_sigma : {"mack", "log_linear"}
        How sigma^2 is continued where one vintage only is left.

    Notes
    -----
    Mack (1993, 1999), with w = C_k^alpha: f = sum w F / sum w, sigma^2 = sum w (F - f)^2 / (n - 1), se(f)^2 = sigma^2 /
    sum w, where n is the number of pairs.
    """
    before, after = triangle[:, :-1], triangle[:, 1:]
    known = np.isfinite(after)
    base = np.where(known, before, 1.0)
    ratio = np.where(known, after, 1.0) / base
    weight = np.where(known, base**alpha, 0.0)
    total = weight.sum(axis=0)
    factors = (weight * ratio).sum(axis=0) / total
    n_vintages = known.sum(axis=0)
    squares = (weight * (ratio - factors) ** 2).sum(axis=0)
    sigma_squared = np.full(len(factors), np.nan)
    np.divide(squares, n_vintages - 1, out=sigma_squared, where=n_vintages > 1)
    sigma_squared = continued(sigma_squared, rule=last_sigma)
    return Factors(factors, np.sqrt(sigma_squared / total), sigma_squared, n_vintages)


def continued(sigma_squared: Array, *, rule: str) -> Array:
    """Return sigma^2 with its last entries, NaN so far, extrapolated; they stay NaN where fewer than two are known.

    Mack (1993): min(s_{k-1}^4 / s_{k-2}^2, s_{k-2}^2, s_{k-1}^2). "log_linear" continues a straight line through
    log sigma.
    """
    result = sigma_squared.copy()
    known = np.flatnonzero(np.isfinite(sigma_squared))
    if len(known) < 2:
        return result
    if rule == "log_linear":
        usable = known[sigma_squared[known] > 0]
        line = np.polyfit(usable, np.log(sigma_squared[usable]), 1) if len(usable) > 1 else None
        for k in range(known[-1] + 1, len(result)):
            result[k] = np.nan if line is None else np.exp(np.polyval(line, k))
        return result
    for k in range(known[-1] + 1, len(result)):
        older, newer = result[k - 2], result[k - 1]
        result[k] = min(newer**2 / older, older, newer) if older > 0 else 0.0
    return result


def with_tail(factors: Factors, *, factor: float, standard_error: float, sigma_squared: float) -> Factors:
    """Return the factors with one more, which leads from the last period to the ultimate."""
    return Factors(
        np.append(factors.factors, factor),
        np.append(factors.standard_errors, standard_error),
        np.append(factors.sigma_squared, sigma_squared),
        np.append(factors.n_vintages, 0),
    )


def develop(triangle: Array, factors: Factors, *, alpha: int, is_projected: BoolArray) -> Development:
    """Complete a triangle and carry the variances of Mack along.

    Parameters
    ----------
    triangle : ndarray of shape (n_vintages, n_periods)
        NaN where not known.
    factors : Factors
        One for each step between periods, and maybe a tail.
    alpha : {0, 1, 2}
        As in ``age_to_age``.
    is_projected : ndarray of bool of shape (n_vintages,)
        Vintages whose latest amount is above 0.

    Notes
    -----
    Mack (1999), recursively: Var(C_{k+1}) = C_k^2 [se(F_k)^2 + se(f_k)^2] + f_k^2 Var(C_k), the first part being the
    process, the second the parameter variance; se(F_k)^2 = sigma_k^2 / C_k^alpha. The total: the process parts of
    vintages add up, the parameter part takes (sum of C_k)^2 se(f_k)^2, for all vintages share the factor.
    """
    n_vintages, n_known = triangle.shape
    n_periods = len(factors.factors) + 1
    completed = np.full((n_vintages, n_periods), np.nan)
    completed[:, :n_known] = triangle
    process, parameter = np.zeros((2, n_vintages, n_periods))
    total_process, total_parameter = np.zeros((2, n_periods))
    for k, factor in enumerate(factors.factors):
        is_next = np.isnan(completed[:, k + 1]) & is_projected
        base = np.where(is_next, completed[:, k], 0.0)
        own = np.zeros(n_vintages)
        if is_next.any():
            own[is_next] = factors.sigma_squared[k] * completed[is_next, k] ** (2 - alpha)
        shared = factors.standard_errors[k] ** 2 if is_next.any() else 0.0
        completed[is_next, k + 1] = factor * completed[is_next, k]
        process[:, k + 1] = factor**2 * process[:, k] + own
        parameter[:, k + 1] = factor**2 * parameter[:, k] + np.where(is_next, base**2 * shared, 0.0)
        total_process[k + 1] = factor**2 * total_process[k] + own.sum()
        total_parameter[k + 1] = factor**2 * total_parameter[k] + base.sum() ** 2 * shared
    nothing = np.where(is_projected, 0.0, np.nan)[:, None]
    return Development(completed, process + nothing, parameter + nothing, total_process, total_parameter)
