"""Local polynomial estimation at a cut-off: smoothers as weights, neighbour variances, bandwidths.

Every estimate here is a weighted sum of the outcomes, so that its bias correction and its variance are sums over the
same weights. The running variable comes centred at the cut-off, one side at a time. This module knows no frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoverykit.errors import InsufficientDataError

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Constants of the pilot bandwidth, constant x spread x n^(-1/5), by kernel (Calonico, Cattaneo & Titiunik 2014).
PILOT = {"triangular": 2.576, "epanechnikov": 2.34, "uniform": 1.843}
KERNELS = tuple(PILOT)
#: Neighbours on the same side from which the variance of an outcome is taken.
N_NEIGHBOURS = 3
#: Distinct places in a window through which a cubic can be drawn, the steepest that a bandwidth needs.
_LEAST_PLACES = 4
#: The interquartile range of a normal variable in standard deviations.
_NORMAL_IQR = 1.349
#: Gaps that differ by less than this share are equal; scores on a lattice have gaps that differ by rounding alone.
_GAP_SLACK = 1.5e-8
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Observations on one side of the cut-off, sorted by distance of the running variable.

    Attributes
    ----------
    distance : ndarray of shape (n,)
        Running variable less cut-off, ascending.
    outcome : ndarray of shape (n,)
        Outcome of each observation.
    """

    distance: Array
    outcome: Array


@dataclass(frozen=True, slots=True)
class Bandwidths:
    """Half widths of the window of the estimate and of the one in which its bias is estimated."""

    main: float
    bias: float


@dataclass(frozen=True, slots=True, eq=False)
class Jump:
    """A jump at the cut-off, right less left.

    Attributes
    ----------
    conventional, corrected : float
        Local linear estimate, and the same less its estimated bias.
    conventional_error, robust_error : float
        Standard errors of the two; the second counts what the bias estimate adds.
    left, right : float
        Conventional limits of the outcome on the two sides.
    slope_left, slope_right : float
        Slopes of the two lines.
    """

    conventional: float
    corrected: float
    conventional_error: float
    robust_error: float
    left: float
    right: float
    slope_left: float
    slope_right: float


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Variance, bias and its regularisation of one side, as the bandwidth formula needs them."""

    variance: float
    bias: float
    regularisation: float


def kernel_weights(distance: Array, bandwidth: float, kernel: str) -> Array:
    """Return kernel weights, 0 outside the bandwidth.

    Parameters
    ----------
    distance : ndarray of shape (n,)
        Running variable less cut-off.
    bandwidth : float
        Half width, > 0.
    kernel : {"triangular", "epanechnikov", "uniform"}
        Shape.
    """
    u = distance / bandwidth
    inside = np.abs(u) <= 1
    if kernel == "triangular":
        shape = 1 - np.abs(u)
    elif kernel == "epanechnikov":
        shape = 0.75 * (1 - u**2)
    else:
        shape = np.full_like(u, 0.5)
    return np.where(inside, shape, 0.0) / bandwidth


def smoother(distance: Array, weights: Array, order: int) -> Array:
    """Return the weights that turn outcomes into the coefficients of a local polynomial.

    Parameters
    ----------
    distance, weights : ndarray of shape (n,)
        Running variable less cut-off, kernel weights.
    order : int
        Order of the polynomial.

    Returns
    -------
    ndarray of shape (order + 1, n)
        Row j times the outcomes is the coefficient of distance to the power j.
    """
    scale = float(np.abs(distance).max()) or 1.0  # powers of a large distance would lose digits
    root = np.sqrt(weights)
    basis = np.vander(distance / scale, order + 1, increasing=True)
    rows = np.linalg.pinv(basis * root[:, None]) * root
    return rows / scale ** np.arange(order + 1.0)[:, None]


def neighbour_variances(distance: Array, outcome: Array, n_neighbours: int = N_NEIGHBOURS) -> Array:
    """Estimate the variance of each outcome from its nearest neighbours.

    With J neighbours it is J / (J + 1) times the squared gap to their mean (Abadie & Imbens 2006, as used by Calonico,
    Cattaneo & Titiunik 2014). Neighbours at the same distance come in together, so J may exceed the number asked for.

    Parameters
    ----------
    distance, outcome : ndarray of shape (n,)
        Sorted by distance.
    n_neighbours : int
        Least number of neighbours.
    """
    outcome = outcome - outcome[0]  # so that equal outcomes differ by nothing at all, not by rounding
    places, first, counts = np.unique(distance, return_index=True, return_counts=True)
    sums = np.add.reduceat(outcome, first)
    group = np.repeat(np.arange(len(places)), counts)
    left, right = np.arange(len(places)) - 1, np.arange(len(places)) + 1
    total, number = sums.copy(), counts.astype(float)
    wanted = min(n_neighbours, len(distance) - 1) + 1  # the observation itself is still among them
    padded = np.concatenate([[-np.inf], places, [np.inf]])
    while np.any(number < wanted):
        short = number < wanted
        gap_left, gap_right = places - padded[left + 1], padded[right + 1] - places
        closest = np.minimum(gap_left, gap_right) * (1 + _GAP_SLACK)
        go_left, go_right = short & (gap_left <= closest), short & (gap_right <= closest)
        for go, pointer, step in ((go_left, left, -1), (go_right, right, 1)):
            total[go] += sums[pointer[go]]
            number[go] += counts[pointer[go]]
            pointer[go] += step
    neighbours = number[group] - 1
    mean = (total[group] - outcome) / neighbours
    return neighbours / (neighbours + 1) * (outcome - mean) ** 2


def select_bandwidths(left: Side, right: Side, *, kernel: str) -> Bandwidths:
    """Choose the bandwidths that minimise the estimated mean squared error of the jump and of its bias.

    Three plug-in steps, each h = [(V_l + V_r) / ((B_r - B_l)^2 + R_l + R_r)]^(1 / (2 p + 3)): a pilot for the third
    derivative, the bandwidth of the bias, the bandwidth of the estimate (Calonico, Cattaneo & Titiunik 2014,
    Econometrica 82:2295-2326, section 2.6 and supplement; regularised as there, R = 3 times the variance of B).

    Parameters
    ----------
    left, right : Side
        The two sides.
    kernel : {"triangular", "epanechnikov", "uniform"}
        Kernel.

    Returns
    -------
    Bandwidths
        The widest there are where the outcome does not vary in the pilot window, as a rare one may not: nothing is
        gained by leaving units out.

    Raises
    ------
    InsufficientDataError
        When a side has too few places in one of the windows, as where the running variable has a gap at the cut-off.
    """
    x = np.concatenate([left.distance, right.distance])
    quartiles = np.quantile(x, [0.25, 0.75], method="averaged_inverted_cdf")
    spread = min(float(np.std(x, ddof=1)), float(quartiles[1] - quartiles[0]) / _NORMAL_IQR) or float(np.std(x, ddof=1))
    widest = float(np.abs(x).max())
    n_places = len(np.unique(x))
    pilot = min(PILOT[kernel] * spread * n_places ** (-1 / 5), widest)

    def best(order: int, derivative: int, width: tuple[float, float], *, regularise: bool) -> float:
        one, other = (
            _pieces(side, order, derivative, pilot, bias_width, kernel, regularise)
            for side, bias_width in zip((left, right), width, strict=True)
        )
        variance = one.variance + other.variance
        if variance == 0:
            return widest
        # The running variable is not mirrored, so derivatives of both sides have the same sign.
        bias = (other.bias - one.bias) ** 2 + one.regularisation + other.regularisation
        return min((variance / max(bias, _TINY)) ** (1 / (2 * order + 3)), widest)

    reach = (float(np.abs(left.distance).max()), float(np.abs(right.distance).max()))
    third = best(3, 3, reach, regularise=False)
    bias = best(2, 2, (third, third), regularise=True)
    return Bandwidths(main=best(1, 0, (bias, bias), regularise=True), bias=bias)


def jump_at_cutoff(left: Side, right: Side, bandwidths: Bandwidths, *, kernel: str) -> Jump:
    """Estimate the jump with its bias correction (Calonico, Cattaneo & Titiunik 2014, theorem 1).

    Parameters
    ----------
    left, right : Side
        The two sides.
    bandwidths : Bandwidths
        Of the estimate and of its bias.
    kernel : {"triangular", "epanechnikov", "uniform"}
        Kernel.
    """
    origin = float(left.outcome[-1])  # measured from there an outcome that does not vary jumps by nothing at all
    moved = (Side(side.distance, side.outcome - origin) for side in (left, right))
    parts = [_side_estimate(side, bandwidths, kernel) for side in moved]
    (line_l, corrected_l, plain_l, robust_l), (line_r, corrected_r, plain_r, robust_r) = parts
    return Jump(
        conventional=line_r[0] - line_l[0],
        corrected=corrected_r - corrected_l,
        conventional_error=float(np.sqrt(plain_l + plain_r)),
        robust_error=float(np.sqrt(robust_l + robust_r)),
        left=origin + line_l[0],
        right=origin + line_r[0],
        slope_left=line_l[1],
        slope_right=line_r[1],
    )


def _side_estimate(side: Side, bandwidths: Bandwidths, kernel: str) -> tuple[Array, float, float, float]:
    """Return line, corrected limit and the variances of the limit without and with correction."""
    near = kernel_weights(side.distance, max(bandwidths.main, bandwidths.bias), kernel) > 0
    x, y = side.distance[near], side.outcome[near]
    line = smoother(x, kernel_weights(x, bandwidths.main, kernel), 1)
    curve = smoother(x, kernel_weights(x, bandwidths.bias, kernel), 2)
    corrected = line[0] - (line[0] @ x**2) * curve[2]
    variances = neighbour_variances(x, y)
    return line @ y, float(corrected @ y), float(line[0] ** 2 @ variances), float(corrected**2 @ variances)


def _pieces(
    side: Side, order: int, derivative: int, width: float, bias_width: float, kernel: str, regularise: bool
) -> _Pieces:
    """Return what one side gives to the bandwidth of a derivative estimated by a polynomial of an order."""
    x, y, weights = _within(side, width, kernel)
    rows = smoother(x, weights, order)
    variance = float(rows[derivative] ** 2 @ neighbour_variances(x, y))
    constant = width**derivative * float(rows[derivative] @ (x / width) ** (order + 1))
    x, y, weights = _within(side, bias_width, kernel)
    higher = smoother(x, weights, order + 1)[order + 1]
    gain = 2.0 * (order + 1 - derivative)
    spread = 3 * constant**2 * float(higher**2 @ neighbour_variances(x, y)) if regularise else 0.0
    return _Pieces(
        variance=(2 * derivative + 1) * width ** (2 * derivative + 1) * variance,
        bias=float(np.sqrt(gain)) * constant * float(higher @ y),
        regularisation=gain * spread,
    )


def _within(side: Side, width: float, kernel: str) -> tuple[Array, Array, Array]:
    """Return distances, outcomes and weights of the observations that count; refuse a window with too few places."""
    weights = kernel_weights(side.distance, width, kernel)
    near = weights > 0
    n_places = len(np.unique(side.distance[near]))
    if n_places < _LEAST_PLACES:
        where = "left" if side.distance[0] < 0 else "right"
        raise InsufficientDataError(
            f"units lie at {n_places} different places {where} of the cut-off within {width:.4g}, too few to choose a "
            f"bandwidth from ({_LEAST_PLACES} are needed): give a window, or take another cut-off"
        )
    return side.distance[near], side.outcome[near], weights[near]
