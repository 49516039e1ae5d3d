"""Sums over pairs of episodes without ever writing the pairs down.

A concordance asks for every pair which of the two ended first and which was scored higher: n^2 / 2 questions. Both
orders are known after two sorts, so that one walk through the bits of the rank in time answers all of them with running
sums, in n log n steps and memory for n. Ties in the score count half, exactly. No frames, no months here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Width of a panel of scores in the smooth pair sum, in units of the log hazard ratio.
PANEL_WIDTH = 2.0
#: Nodes per panel: interpolating 1 / (1 + exp(-d)), whose nearest poles lie pi away from the real axis, converges like
#: (pi + sqrt(1 + pi^2))^-nodes = 6.4^-nodes for a panel of width 2, which is below 1e-16 at 20.
N_NODES = 20
#: Scores further apart than this are ordered with certainty: 1 - 1 / (1 + exp(-38)) is below 1e-16.
CERTAIN_DISTANCE = 38.0
#: Rows worked on at once in the smooth pair sum, so that its memory does not grow with the book.
BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True, eq=False)
class PairSums:
    """For each row the weight of its partners, as the earlier and as the later of a pair.

    Attributes
    ----------
    concordant_later, later : ndarray of shape (n_rows,)
        Over partners that end later than the row: late weight where the row's score is higher (half where it is equal),
        and late weight of all of them.
    concordant_earlier, earlier : ndarray of shape (n_rows,)
        Over partners that end earlier: early weight where the partner's score is higher (half where it is equal), and
        early weight of all of them.
    """

    concordant_later: Array
    later: Array
    concordant_earlier: Array
    earlier: Array


@dataclass(frozen=True, slots=True, eq=False)
class ScoreOrder:
    """Rows in increasing order of the score, with the runs of equal scores.

    Attributes
    ----------
    order : ndarray of int of shape (n_rows,)
        Positions of the rows from the lowest score to the highest.
    first, last : ndarray of int of shape (n_rows,)
        For each place in the order the first place of its run and the place after its last.
    """

    order: IntArray
    first: IntArray
    last: IntArray


def dot(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Return the sum of products of two arrays of shape (n_rows,), on one thread.

    BLAS would start its threads for every one of the many short products, and on a busy machine wait for them.
    """
    return float(np.einsum("i,i->", left, right))


def score_order(scores: Array) -> ScoreOrder:
    """Sort scores of shape (n_rows,) and find the runs of equal ones."""
    order = np.argsort(scores, kind="stable")
    sorted_scores = scores[order]
    first, last = _runs(sorted_scores[1:] != sorted_scores[:-1])
    return ScoreOrder(order=order, first=first, last=last)


def weight_below(weights: Array, ranks: ScoreOrder) -> Array:
    """Return for each place in the order the weight of lower scores and half the weight of equal ones.

    Parameters
    ----------
    weights : ndarray of shape (n_rows,)
        In the order of the scores.
    ranks : ScoreOrder
        Order and runs.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    running = _running(weights)
    return 0.5 * (running[ranks.first] + running[ranks.last])


def pair_sums(*, time_ranks: IntArray, scores: Array, early: Array, late: Array) -> PairSums:
    """Sum over all pairs of rows with different ranks in time.

    Parameters
    ----------
    time_ranks : ndarray of int of shape (n_rows,)
        Not negative; rows of equal rank are not a pair.
    scores : ndarray of shape (n_rows,)
        A pair is concordant where the score of the earlier row is higher.
    early, late : ndarray of shape (n_rows,)
        Weight of a row when it is the earlier, and when it is the later, of a pair; 0 keeps it out.

    Returns
    -------
    PairSums

    Notes
    -----
    Two different ranks agree in their leading bits up to the first in which they differ, and there the earlier rank has
    0 and the later 1. So every pair is met exactly once: at that bit, inside the group of rows that share the leading
    bits. There the rows lie in order of the score, and running sums give the weight below and above each.
    """
    ranks = np.unique(scores, return_inverse=True)[1]
    order = np.argsort(ranks, kind="stable")
    concordant_later, concordant_earlier = np.zeros(len(scores)), np.zeros(len(scores))
    n_bits = int(time_ranks.max(initial=0)).bit_length()
    for bit in range(n_bits - 1, -1, -1):
        code, rank = time_ranks[order], ranks[order]
        group = code >> (bit + 1)
        new_group = group[1:] != group[:-1]
        first, last = _runs(new_group | (rank[1:] != rank[:-1]))
        group_first, group_last = _runs(new_group)
        is_late = (code >> bit) & 1 == 1
        running = _running(np.where(is_late, late[order], 0.0))
        below = 0.5 * (running[first] + running[last]) - running[group_first]
        concordant_later[order] += np.where(is_late, 0.0, below)
        running = _running(np.where(is_late, 0.0, early[order]))
        above = running[group_last] - 0.5 * (running[first] + running[last])
        concordant_earlier[order] += np.where(is_late, above, 0.0)
        order = _split_groups(order, is_late, group_first)
    by_rank = _running(np.bincount(time_ranks, weights=late))
    later = by_rank[-1] - by_rank[time_ranks + 1]
    earlier = _running(np.bincount(time_ranks, weights=early))[time_ranks]
    return PairSums(concordant_later, later, concordant_earlier, earlier)


def weighted_auc(*, scores: Array, cases: Array, controls: Array, counts: Array) -> float:
    """Compute the probability that a case is scored above a control, when each row is partly both.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Higher for cases.
    cases, controls : ndarray of shape (n_rows,)
        Weight of one episode of the row as a case and as a control.
    counts : ndarray of shape (n_rows,)
        Episodes for which the row stands; an episode is never paired with itself.

    Returns
    -------
    float
        NaN where there is no pair.
    """
    ranks = score_order(scores)
    n, case, control = (a[ranks.order] for a in (counts, cases, controls))
    with_itself = dot(n, case * control)
    pairs = dot(n, case) * dot(n, control) - with_itself
    concordant = dot(n * case, weight_below(n * control, ranks)) - 0.5 * with_itself
    return concordant / pairs if pairs > 0 else float("nan")


def logistic_pair_mean(*, scores: Array, weights: Array, counts: Array) -> float:
    """Compute the mean of 1 / (1 + exp(-|difference of scores|)) over pairs, weighted by the product of the weights.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Log hazard ratios.
    weights : ndarray of shape (n_rows,)
        Weight of one episode of the row, 0 or more.
    counts : ndarray of shape (n_rows,)
        Episodes for which the row stands; an episode is never paired with itself.

    Returns
    -------
    float
        Between 0.5 and 1; NaN where there is no pair.

    Notes
    -----
    The sum is not one of running sums, since every difference has its own value. But the kernel is smooth on either
    side of its kink, so that it may be replaced by its polynomial interpolation in panels of scores: pairs in different
    panels meet through the nodes of their panels, pairs in the same panel through running sums at the nodes. The error
    is that of rounding (see ``N_NODES``), the work proportional to the rows.
    """
    order = np.argsort(scores, kind="stable")
    x, mass = scores[order] - scores.min(initial=0.0), (weights * counts)[order]
    cell = np.floor(x / PANEL_WIDTH)
    panels, panel = np.unique(cell, return_inverse=True)
    place = 2.0 * (x / PANEL_WIDTH - cell) - 1.0
    nodes = np.cos((np.arange(N_NODES) + 0.5) * np.pi / N_NODES)
    near, moments = _within_panels(place, mass, panel, nodes, len(panels))
    ordered = near + _between_panels(panels, moments, nodes)
    with_itself = dot(counts, weights**2)
    # Within a panel each unordered pair was met once, and each row never with itself: what its copies do is added.
    copies = 0.25 * float(((counts * weights) ** 2).sum() - with_itself)
    pairs = 0.5 * (mass.sum() ** 2 - with_itself)
    return float((ordered + copies) / pairs) if pairs > 0 else float("nan")


def _within_panels(place: Array, mass: Array, panel: IntArray, nodes: Array, n_panels: int) -> tuple[float, Array]:
    """Return the sum over pairs of rows in the same panel, and the mass at the nodes of each panel."""
    kernel = _logistic(0.5 * PANEL_WIDTH * (nodes[:, None] - nodes))
    total, moments = 0.0, np.zeros((n_panels, len(nodes)))
    starts = np.searchsorted(panel, panel)  # first row of each row's panel
    for begin in range(0, len(place), BLOCK_ROWS):
        rows = slice(begin, begin + BLOCK_ROWS)
        basis = _lagrange(place[rows], nodes)
        spread = basis * mass[rows, None]
        running = np.vstack([np.zeros(len(nodes)), np.cumsum(spread, axis=0)])
        inside = starts[rows] - begin
        below = (
            running[:-1]
            - running[np.maximum(inside, 0)]
            + np.where(inside < 0, 1.0, 0.0)[:, None] * moments[panel[begin]]
        )
        total += float(np.einsum("rk,kl,rl->", spread, kernel, below, optimize=True))
        np.add.at(moments, panel[rows], spread)
    return total, moments


def _between_panels(panels: Array, moments: Array, nodes: Array) -> float:
    """Return the sum over pairs of rows in different panels."""
    total, reach = 0.0, int(CERTAIN_DISTANCE / PANEL_WIDTH) + 1
    positions = 0.5 * PANEL_WIDTH * nodes
    for step in range(1, reach + 1):
        partner = np.searchsorted(panels, panels - step)
        met = panels[partner] == panels - step
        kernel = _logistic(positions[:, None] - positions + step * PANEL_WIDTH)
        total += float(np.einsum("pk,kl,pl->", moments[met], kernel, moments[partner[met]], optimize=True))
    mass = moments.sum(axis=1)
    far = _running(mass)[np.searchsorted(panels, panels - reach)]
    return total + dot(mass, far)


def _lagrange(x: Array, nodes: Array) -> Array:
    """Return the Lagrange polynomials of the Chebyshev nodes at x, of shape (len(x), len(nodes))."""
    degrees = np.arange(len(nodes))
    scale = np.where(degrees == 0, 1.0, 2.0) / len(nodes)
    at_nodes = np.polynomial.chebyshev.chebvander(nodes, len(nodes) - 1) * scale
    values: Array = np.polynomial.chebyshev.chebvander(x, len(nodes) - 1) @ at_nodes.T
    return values


def _logistic(distance: Array) -> Array:
    values: Array = 1.0 / (1.0 + np.exp(-distance))
    return values


def _running(values: NDArray[Any]) -> Array:
    """Return running sums beginning with 0, one longer than the values."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums


def _runs(is_new: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """Return for each place the first place of its run and the place after its last."""
    edges = np.flatnonzero(np.concatenate([[True], is_new, [True]]))
    lengths = np.diff(edges)
    return np.repeat(edges[:-1], lengths), np.repeat(edges[1:], lengths)


def _split_groups(order: IntArray, is_late: NDArray[np.bool_], group_first: IntArray) -> IntArray:
    """Move the early rows of each group before its late ones and leave everything else in order."""
    key = 2 * group_first + is_late
    return order[np.argsort(key, kind="stable")]
