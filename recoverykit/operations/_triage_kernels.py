"""Who gets which treatment: what brings most within the capacities, and what a unit of capacity is worth.

The letters: g[i, k] is the gain of treatment k for case i over doing nothing, u[k] the units that it takes of resource
r(k), c[r] the capacity. Maximise the sum of g[i, k] x[i, k] over x in {0, 1} with at most one treatment a case and
the units within each capacity.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array, vstack

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: The search stops when no better assignment can gain more than this share; one case in a million cases' worth.
RELATIVE_GAP = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Assigned:
    """An assignment of treatments.

    Attributes
    ----------
    treatment : ndarray of int of shape (n_cases,)
        Place of the treatment, -1 for none.
    gain : float
        Its gain over doing nothing, in the unit of ``gains``.
    bound : float
        No assignment gains more than this.
    """

    treatment: IntArray
    gain: float
    bound: float


def assign(gains: Array, *, units: Array, resource: IntArray, capacity: Array) -> Assigned:
    """Return the best assignment.

    Parameters
    ----------
    gains : ndarray of shape (n_cases, n_treatments)
        Gain over doing nothing; a treatment that gains nothing is never given.
    units : ndarray of shape (n_treatments,)
        Units per case, > 0.
    resource : ndarray of int of shape (n_treatments,)
        Place of its resource in ``capacity``.
    capacity : ndarray of shape (n_resources,)
        Units at hand, infinite where not scarce.
    """
    if gains.shape[1] == 1:
        return _sorted_by_gain(gains[:, 0], units[0], capacity[resource[0]])
    return _integer_programme(gains, units, resource, capacity)


def _sorted_by_gain(gain: Array, units: float, capacity: float) -> Assigned:
    """Serve the greatest gains first: with one treatment that takes the same of every case, nothing is better."""
    order = np.argsort(-gain, kind="stable")
    n_served = int(min(np.floor(capacity / units + 1e-9), np.sum(gain > 0)))
    treatment = np.full(len(gain), -1, dtype=np.int64)
    treatment[order[:n_served]] = 0
    total = float(gain[order[:n_served]].sum())
    return Assigned(treatment, total, total)


def _integer_programme(gains: Array, units: Array, resource: IntArray, capacity: Array) -> Assigned:
    case, place = np.nonzero(gains > 0)
    treatment = np.full(len(gains), -1, dtype=np.int64)
    if len(case) == 0:
        return Assigned(treatment, 0.0, 0.0)
    matrix, limit = _constraints(case, place, len(gains), units, resource, capacity)
    value = gains[case, place]
    found = milp(
        -value,
        integrality=np.ones(len(value)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix.tocsr(), ub=limit),
        options={"mip_rel_gap": RELATIVE_GAP},
    )
    taken = found.x > 0.5
    treatment[case[taken]] = place[taken]
    return Assigned(treatment, float(value[taken].sum()), float(-found.mip_dual_bound))


def prices(gains: Array, *, units: Array, resource: IntArray, capacity: Array) -> Array:
    """Return what one more unit of each resource would gain: the dual of the linear programme, 0 where not scarce."""
    case, place = np.nonzero(gains > 0)
    if len(case) == 0:
        return np.zeros(len(capacity))
    matrix, limit = _constraints(case, place, len(gains), units, resource, capacity)
    found = linprog(-gains[case, place], A_ub=matrix.tocsr(), b_ub=limit, bounds=(0, 1), method="highs")
    worth = np.zeros(len(capacity))
    worth[np.isfinite(capacity)] = -found.ineqlin.marginals[len(gains) :]
    return np.maximum(worth, 0.0)


def assign_by_price(
    gains: Array, price: Array, *, units: Array, resource: IntArray, capacity: Array
) -> tuple[IntArray, Array]:
    """Give each case the treatment with the greatest gain beyond the price of its units, within the capacities.

    This is the rule by thresholds. Where more cases pass them than there is room for, those with the smallest surplus
    go without; where fewer do, because the price is too high for the day, the room goes to the next cases in the order
    of the surplus that still gain more than their cost.

    Returns
    -------
    treatment : ndarray of int of shape (n_cases,)
        Place of the treatment, -1 for none.
    surplus : ndarray of shape (n_cases,)
        Gain beyond the price of the treatment chosen.
    """
    beyond = np.where(gains > 0, gains - price[resource] * units, -np.inf)
    left = capacity.astype(float).copy()
    treatment = np.full(len(gains), -1, dtype=np.int64)
    surplus = np.zeros(len(gains))
    pairs = np.argwhere(np.isfinite(beyond))
    order = np.lexsort((pairs[:, 0], -beyond[pairs[:, 0], pairs[:, 1]]))
    for case, place in pairs[order]:
        if treatment[case] < 0 and left[resource[place]] >= units[place] - 1e-9:
            treatment[case], surplus[case] = place, beyond[case, place]
            left[resource[place]] -= units[place]
    return treatment, surplus


def _constraints(
    case: IntArray, place: IntArray, n_cases: int, units: Array, resource: IntArray, capacity: Array
) -> tuple[coo_array, Array]:
    """Return one row per case (one treatment at most), then one per scarce resource, and their limits."""
    columns = np.arange(len(case))
    once = coo_array((np.ones(len(case)), (case, columns)), shape=(n_cases, len(case)))
    scarce = np.flatnonzero(np.isfinite(capacity))
    row = np.full(len(capacity), -1)
    row[scarce] = np.arange(len(scarce))
    kept = row[resource[place]] >= 0
    used = coo_array((units[place][kept], (row[resource[place]][kept], columns[kept])), shape=(len(scarce), len(case)))
    return vstack([once, used]), np.concatenate([np.ones(n_cases), capacity[scarce]])
