"""Array arithmetic of recovery curves: shares of a month, how far a curve is known, what is still to come.

Everything works on one curve or, along the first axis, on many draws of it. This module knows no frames.
"""

import numpy as np
from numpy.typing import ArrayLike

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._rows import Array


def cumulative_rates(sums: Array) -> Array:
    """Return recoveries as shares of the exposure at risk, summed over months; NaN from a month without exposure on.

    Parameters
    ----------
    sums : ndarray of shape (n_draws, n_amounts + 1, n_months)
        Amounts of the months, and exposure at risk last; currency.

    Returns
    -------
    ndarray of shape (n_draws, n_amounts, n_months)
    """
    exposure = sums[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = sums[:, :-1] / np.where(exposure > 0, exposure, np.nan)
    return np.cumsum(shares, axis=2)


def monthly_shares(amount: Array, exposure: Array, resolved: Array) -> tuple[Array, Array]:
    """Return recovery and closures of a month as shares of the exposure open at its start; 0 without exposure.

    Parameters
    ----------
    amount, exposure, resolved : ndarray of one shape
        Currency.
    """
    there = exposure > 0
    share_of_ead = np.divide(amount, exposure, out=np.zeros(amount.shape), where=there)
    share_resolved = np.divide(resolved, exposure, out=np.zeros(amount.shape), where=there)
    return share_of_ead, np.clip(share_resolved, 0.0, 1.0)


def totals_after(ages: ArrayLike, share_of_ead: Array, share_resolved: Array) -> Array:
    """Return what is still to come at each age, for several curves at once.

    Parameters
    ----------
    ages : array of shape (n_ages,)
        Months in default, 0 or more; fractions allowed.
    share_of_ead, share_resolved : ndarray of shape (n_curves, n_months)
        As in ``RemainingRecovery``, months from 0.

    Returns
    -------
    ndarray of shape (n_curves, n_ages)
        Shares of EAD. With R_m the total after whole month m, R_m = rho_{m+1} + (1 - h_{m+1}) R_{m+1}; after m + f it
        is [(1 - f) rho_{m+1} + (1 - h_{m+1}) R_{m+1}] / (1 - f h_{m+1}).
    """
    asked = np.asarray(ages, dtype=float)
    if np.any(~(asked >= 0)):
        raise ValueError("ages must be months in default, 0 or more")
    n_curves, n_months = share_of_ead.shape
    # One more month in which nothing happens stands for all that lies beyond the curve.
    nothing = np.zeros((n_curves, 1))
    rho, hazard = np.hstack([share_of_ead, nothing]), np.hstack([share_resolved, nothing])
    total = np.zeros((n_curves, n_months + 1))
    for month in range(n_months - 2, -1, -1):
        total[:, month] = rho[:, month + 1] + (1 - hazard[:, month + 1]) * total[:, month + 1]
    month = np.minimum(asked, n_months - 1).astype(np.int64)
    part = np.where(asked < n_months - 1, asked - month, 0.0)
    following = (1 - hazard[:, month + 1]) * total[:, month + 1]
    return ((1 - part) * rho[:, month + 1] + following) / (1 - part * hazard[:, month + 1])


def months_known(exposure: Array, count: Array, minimum_at_risk: int) -> int:
    """Return the number of months, from 0, before the first without exposure and with enough at risk.

    Parameters
    ----------
    exposure, count : ndarray of shape (n_months,)
        EAD (currency) and number of episodes at risk by month.
    minimum_at_risk : int
        The last month has at least this many.

    Raises
    ------
    InsufficientDataError
        When no month has.
    ValueError
        When the minimum is below 1.
    """
    if minimum_at_risk < 1:
        raise ValueError(f"minimum_at_risk is {minimum_at_risk}; it must be 1 or more")
    gaps = np.flatnonzero(exposure <= 0)
    known = count[: gaps[0] if len(gaps) else len(exposure)]
    enough = np.flatnonzero(known >= minimum_at_risk)
    if len(enough) == 0:
        most = int(known.max()) if len(known) else 0
        raise InsufficientDataError(
            f"a recovery curve needs {minimum_at_risk} episodes at risk in a month; the most found is {most}, "
            "counted from month 0 to the first month without exposure. Take a larger segment or a smaller minimum"
        )
    return int(enough[-1]) + 1
