"""Boundaries for looking at an experiment before it is complete, so that looking does not make effects appear.

Whoever tests at 5 % after every month and stops at the first success finds an effect of nothing far more often than in
5 % of experiments. A spending function says how much of the 5 % each look may use; the boundaries follow from the
information at the looks that were taken. This module knows no data.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from recoverykit.estimators._rows import check_choice

Array = NDArray[np.float64]

SPENDING = ("obrien_fleming", "pocock")
#: Points of the quadrature over the interval in which a trial goes on.
_N_NODES = 400
#: No test statistic is asked to be larger; a wider interval would leave the quadrature too few points where it counts.
_LARGEST_Z = 30.0


def alpha_spent(information: Array, *, alpha: float, spending: str) -> Array:
    """Return how much of the error probability may be used up to each look.

    Parameters
    ----------
    information : ndarray of shape (n_looks,)
        Share of the planned information at each look, in (0, 1].
    alpha : float
        Probability of a false success of one tail.
    spending : {"obrien_fleming", "pocock"}
        2 - 2 Phi(z(1 - alpha / 2) / sqrt(t)), or alpha log(1 + (e - 1) t) (Lan & DeMets 1983, Biometrika 70:659-663).
    """
    if spending == "obrien_fleming":
        return 2 * ndtr(ndtri(alpha / 2) / np.sqrt(information))
    return alpha * np.log1p((np.e - 1) * information)


def sequential_boundaries(
    information: Sequence[float], *, alpha: float = 0.05, spending: str = "obrien_fleming"
) -> pd.DataFrame:
    """Return the boundaries of a two-sided test at several looks.

    Parameters
    ----------
    information : sequence of float
        Share of the planned units (or events) at each look taken or planned, increasing, in (0, 1].
    alpha : float
        Two-sided probability of a false success over all looks; half of it is spent in each tail.
    spending : {"obrien_fleming", "pocock"}
        How it is spread over the looks: hardly anything at first, or nearly alike at each look.

    Returns
    -------
    DataFrame
        One row per look: look, information, alpha_spent (up to it, both tails), z_bound (success where the statistic is
        as large; 30 at most), nominal_alpha (two-sided level of this look alone).

    Raises
    ------
    ValueError
        When the looks do not increase inside (0, 1], or an option is not allowed.

    Notes
    -----
    Lan & DeMets (1983), by the recursion of Armitage, McPherson & Rowe (1969) with Gauss-Legendre quadrature. The looks
    need not be planned, but they must not depend on the results seen. Other than the boundaries of O'Brien & Fleming
    and of Pocock themselves, those of spending functions hold for any times of looking.

    Examples
    --------
    >>> sequential_boundaries([0.2, 0.4, 0.6, 0.8, 1.0])["z_bound"].round(3).tolist()
    [4.877, 3.357, 2.68, 2.29, 2.031]

    At a first look after a fifth of the units only an overwhelming difference (z 4.88) stops the experiment; the last
    look is hardly stricter than a single test (z 1.96).
    """
    looks = np.asarray(information, dtype=float)
    check_choice("spending", spending, SPENDING)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha!r}; it must lie between 0 and 1")
    if looks.ndim != 1 or len(looks) == 0 or not (looks[0] > 0 and looks[-1] <= 1 and np.all(np.diff(looks) > 0)):
        raise ValueError(f"information is {list(information)}; looks must increase, from above 0 to 1 at most")
    spent = alpha_spent(looks, alpha=alpha / 2, spending=spending)
    bounds = _bounds(looks, np.diff(spent, prepend=0.0))
    columns = {"look": np.arange(1, len(looks) + 1), "information": looks, "alpha_spent": 2 * spent}
    return pd.DataFrame(columns | {"z_bound": bounds, "nominal_alpha": 2 * ndtr(-bounds)})


def _bounds(looks: Array, increments: Array) -> Array:
    """Return the bound of each look such that each tail is first crossed there with the probability given."""
    roots, weights = np.polynomial.legendre.leggauss(_N_NODES)
    bounds = np.empty(len(looks))
    nodes, density = np.zeros(1), np.ones(1)  # the score process starts at 0
    for k, (gap, increment) in enumerate(zip(np.diff(looks, prepend=0.0), increments, strict=True)):
        spread = np.sqrt(gap)

        def excess(
            bound: float, mass: Array = density, at: Array = nodes, sd: float = spread, p: float = increment
        ) -> float:
            return float(mass @ ndtr((at - bound) / sd)) - p

        largest = _LARGEST_Z * np.sqrt(looks[k])
        # A very early look may err so seldom that no bound would do; the largest stands for it.
        limit = largest if excess(largest) >= 0 else brentq(excess, -largest, largest, xtol=1e-13)
        bounds[k] = limit / np.sqrt(looks[k])
        new = limit * roots
        step = np.exp(-0.5 * ((new[:, None] - nodes) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
        nodes, density = new, (step @ density) * weights * limit
    return bounds
