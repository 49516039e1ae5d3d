"""Breslow's partial likelihood, with or without episodes that stay at risk after a competing outcome.

lifelines knows Efron's rule for ties only, and neither it nor statsmodels knows weights that fall while an episode is
at risk, which Fine and Gray's model has. Sums over risk sets are cumulative sums, so that a likelihood costs one pass
over the rows, whatever the number of event times. Arrays in, arrays out. Private to ``cox`` and ``fine_gray``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoverykit.errors import ConvergenceError
from recoverykit.estimators._maximum import with_last_step
from recoverykit.estimators._optimise import Climb, climb

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

_TOLERANCE, _MOST_ITERATIONS = 1e-10, 60


@dataclass(frozen=True, slots=True, eq=False)
class RiskSets:
    """Who is at risk at each event time.

    Attributes
    ----------
    times : ndarray of shape (n_times,)
        Distinct event times, ascending.
    place : ndarray of int of shape (n_events,)
        Event time of each row with the event.
    is_event : ndarray of bool of shape (n_rows,)
    first, beyond : ndarray of int of shape (n_rows,)
        A row is at risk at the event times first, ..., beyond - 1.
    fading : ndarray of int of shape (n_fading,)
        Rows that stay at risk from ``beyond`` on with the weight ``factor`` x ``remaining`` of the time; none in a Cox
        model.
    factor : ndarray of shape (n_fading,)
    remaining : ndarray of shape (n_times,)
    """

    times: Array
    place: IntArray
    is_event: BoolArray
    first: IntArray
    beyond: IntArray
    fading: IntArray
    factor: Array
    remaining: Array


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Value, gradient and Hessian of a log-likelihood."""

    value: float
    gradient: Array
    hessian: Array


def plain_risk_sets(durations: Array, entries: Array, is_event: BoolArray) -> RiskSets:
    """Return the risk sets of a Cox model: at risk at t are the rows with entry < t <= duration."""
    times, place = np.unique(durations[is_event], return_inverse=True)
    first = np.searchsorted(times, entries, side="right")
    beyond = np.searchsorted(times, durations, side="right")
    nobody = np.zeros(0, dtype=np.int64)
    return RiskSets(times, place, is_event, first, np.maximum(beyond, first), nobody, np.zeros(0), np.ones(len(times)))


def maximise(sets: RiskSets, design: Array, weights: Array, *, what: str) -> Climb:
    """Climb to the maximum of the partial likelihood from 0.

    Parameters
    ----------
    sets : RiskSets
    design : ndarray of shape (n_rows, n_terms)
        Covariates, none of them constant.
    weights : ndarray of shape (n_rows,)
        Case weights, above 0.
    what : str
        What is fitted, in words, for the message.

    Returns
    -------
    Climb
        In the units of the design and of the weights.

    Raises
    ------
    ConvergenceError
        When Newton's method finds no maximum.
    """
    scale = design.std(axis=0)
    scaled = (design - design.mean(axis=0)) / scale
    level = min(1.0, float(weights.mean()))  # the tolerance is absolute: weights that are small shares are raised
    raised = weights / level

    def objective(z: Array) -> Point:
        return breslow_point(z, sets, scaled, raised)

    found = climb(objective, np.zeros(design.shape[1]), tolerance=_TOLERANCE, max_iterations=_MOST_ITERATIONS)
    found = with_last_step(objective, found)
    if not found.converged:
        raise ConvergenceError(
            f"Newton's method found no maximum of the partial likelihood of {what} in {found.n_iterations} steps; "
            "leave covariates out, merge rare levels, or scale those of very different size"
        )
    value = level * found.at.value - float(weights[sets.is_event].sum()) * float(np.log(level))
    at = Point(value, level * found.at.gradient * scale, level * found.at.hessian * np.outer(scale, scale))
    return Climb(found.position / scale, at, found.n_iterations, True)


def inverse_information(found: Climb) -> Array:
    """Return the covariance that the curvature at a maximum tells of."""
    return np.asarray(np.linalg.inv(-found.at.hessian), dtype=float)


def breslow_point(coefficients: Array, sets: RiskSets, design: Array, weights: Array) -> Point:
    """Evaluate sum over events of w (x'b - log of the sum over the risk set of w exp(x'b)).

    Breslow (1974), Biometrics 30:89; with fading weights Fine and Gray (1999), J. Am. Stat. Assoc. 94:496, eq. (7).
    """
    n_terms = design.shape[1]
    linear = design @ coefficients
    top = linear.max()
    risk = weights * np.exp(linear - top)
    upper = np.triu_indices(n_terms)
    columns = np.column_stack([np.ones(len(design)), design, design[:, upper[0]] * design[:, upper[1]]])
    sums = at_risk(sets, risk[:, None] * columns)
    mean = sums[:, 1 : n_terms + 1] / sums[:, :1]
    square = np.empty((len(sums), n_terms, n_terms))
    square[:, upper[0], upper[1]] = square[:, upper[1], upper[0]] = sums[:, n_terms + 1 :] / sums[:, :1]
    own = weights[sets.is_event]
    n_events = np.bincount(sets.place, weights=own, minlength=len(sets.times))
    value = float(own @ linear[sets.is_event] - n_events @ (np.log(sums[:, 0]) + top))
    gradient = own @ design[sets.is_event] - n_events @ mean
    spread = np.einsum("t,tij->ij", n_events, square) - (n_events[:, None] * mean).T @ mean
    return Point(value, gradient, -spread)


def at_risk(sets: RiskSets, columns: Array) -> Array:
    """Sum the columns, of shape (n_rows, n_columns), over the rows at risk at each event time."""
    n_times = len(sets.times)
    sums = sum_present(sets.first, sets.beyond, columns, n_times)
    if len(sets.fading):
        added = sum_by(sets.beyond[sets.fading], sets.factor[:, None] * columns[sets.fading], n_times + 1)
        sums = sums + sets.remaining[:, None] * np.cumsum(added, axis=0)[:n_times]
    return np.asarray(sums, dtype=float)


def sum_present(first: IntArray, beyond: IntArray, columns: Array, n_times: int) -> Array:
    """Sum columns over the rows with first <= k < beyond, for k = 0, ..., n_times - 1; shape (n_times, n_columns).

    Sums run from the last time back. Those at risk at the end may have a millionth of the hazard of those that left
    early: as the difference of two sums over everybody it would be lost in rounding.
    """
    moved = sum_by(beyond, columns, n_times + 1) - sum_by(first, columns, n_times + 1)
    return np.asarray(np.cumsum(moved[:0:-1], axis=0)[::-1], dtype=float)


def sum_by(codes: IntArray, rows: Array, n_codes: int) -> Array:
    """Sum rows of the same code; shape (n_codes, n_columns)."""
    return np.column_stack([np.bincount(codes, weights=column, minlength=n_codes) for column in rows.T])
