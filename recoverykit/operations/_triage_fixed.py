"""Lights by fixed shares of the book, to compare with: so many green, so many red, whatever they cost or bring."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoverykit.operations._triage_treatments import RED, YELLOW

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Green, yellow and red shares of the split that the project was described with.
FIXED_SHARES = (0.15, 0.70, 0.15)


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """Treatments by fixed shares, as wished and as far as the capacities go."""

    treatment: IntArray
    within_capacity: IntArray


def fixed_shares(
    gains: Array,
    prob: Array,
    light: list[str],
    shares: tuple[float, float, float],
    *,
    units: Array,
    resource: IntArray,
    capacity: Array,
) -> Fixed:
    """Return the treatments of the fixed split: the likeliest to cure are green, the least likely red.

    Of several treatments with a light, a case gets the one that gains most for it, even where that is a loss: the split
    does not ask. Within the capacities, the least likely to cure are served first; who finds no room, is not treated.
    """
    n = len(prob)
    order = np.argsort(prob, kind="stable")
    n_green, n_red = round(shares[0] * n), round(shares[2] * n)
    colour = np.full(n, YELLOW, dtype=object)
    colour[order[:n_red]] = RED
    treatment = np.full(n, -1, dtype=np.int64)
    for name in (YELLOW, RED):
        places = np.array([place for place, its in enumerate(light) if its == name], dtype=np.int64)
        if len(places):
            rows = colour == name
            treatment[rows] = places[np.argmax(gains[rows][:, places], axis=1)]
    treatment[order[n - n_green :]] = -1
    served, left = np.full(n, -1, dtype=np.int64), capacity.astype(float).copy()
    for case in order:
        place = treatment[case]
        if place >= 0 and left[resource[place]] >= units[place] - 1e-9:
            served[case] = place
            left[resource[place]] -= units[place]
    return Fixed(treatment, served)
