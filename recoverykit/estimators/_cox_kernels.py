"""Score residuals of the Cox model with its ties, for robust standard errors.

lifelines fits the model, but the residuals behind its robust errors leave the ties out, which monthly data are full of.
Arrays in, arrays out; at risk at t are the rows with entry < t <= duration.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._breslow_kernels import sum_by, sum_present

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _TiedSums:
    """Sums over the Efron steps of each event time.

    ``hazard`` and ``moment`` (with the mean covariates as factor) are what every row at risk is exposed to, of shape
    (n_times,) and (n_times, n_terms); ``own_hazard`` and ``own_moment`` the part of it that rows with the event at
    that time are spared; ``mean`` the average over the steps of the mean covariates.
    """

    hazard: Array
    moment: Array
    own_hazard: Array
    own_moment: Array
    mean: Array


def score_residuals(
    *,
    design: Array,
    durations: Array,
    entries: Array,
    is_event: BoolArray,
    weights: Array,
    coefficients: Array,
    ties: str = "efron",
) -> Array:
    """Compute each row's part of the score of the partial likelihood.

    Parameters
    ----------
    design : ndarray of shape (n_rows, n_terms)
        Covariates, without intercept.
    durations, entries : ndarray of shape (n_rows,)
        End and beginning of observation.
    is_event : ndarray of bool of shape (n_rows,)
        Whether the row ends in the event. There is at least one.
    weights : ndarray of shape (n_rows,)
        Case weights, above 0.
    coefficients : ndarray of shape (n_terms,)
        At which to evaluate.
    ties : {"efron", "breslow"}
        By Breslow's rule no tied row is gone at any step.

    Returns
    -------
    ndarray of shape (n_rows, n_terms)
        Residuals U_i; the weighted sum of them is the score, zero at the maximum.

    Notes
    -----
    With d events at time t, Efron's likelihood takes them one after the other, at step k = 0, ..., d - 1 with the
    share k/d of the tied rows already gone from the risk set. U_i is x_i minus the average mean covariate over these
    steps, for a row with the event, less the row's exposure to all steps of all event times at which it is at risk,
    in which it counts 1 - k/d at its own event time. Lin & Wei (1989), extended to ties as in Therneau & Grambsch
    (2000), section 4.6 and chapter 7.
    """
    linear = design @ coefficients
    risk = np.exp(linear - linear.max())
    times, place = np.unique(durations[is_event], return_inverse=True)
    first = np.searchsorted(times, entries, side="right")
    beyond = np.searchsorted(times, durations, side="right")
    sums = _tied_sums(design, risk * weights, weights, is_event, place, first, beyond, len(times), ties)
    exposed = [np.concatenate([np.zeros((1, *s.shape[1:])), np.cumsum(s, axis=0)]) for s in (sums.hazard, sums.moment)]
    hazard, moment = (e[np.maximum(beyond, first)] - e[first] for e in exposed)
    residuals = risk[:, None] * (moment - design * hazard[:, None])
    tied = design[is_event]
    spared = tied * sums.own_hazard[place][:, None] - sums.own_moment[place]
    residuals[is_event] += tied - sums.mean[place] + risk[is_event][:, None] * spared
    return residuals


def sandwich(covariance: Array, residuals: Array, weights: Array, clusters: IntArray) -> Array:
    """Return the cluster-robust covariance V (sum over clusters of u u') V.

    Parameters
    ----------
    covariance : ndarray of shape (n_terms, n_terms)
        Inverse information V.
    residuals : ndarray of shape (n_rows, n_terms)
        From ``score_residuals``.
    weights : ndarray of shape (n_rows,)
        Case weights.
    clusters : ndarray of int of shape (n_rows,)
        Cluster codes from 0.
    """
    weighted = residuals * weights[:, None]
    scores = np.column_stack([np.bincount(clusters, weights=column) for column in weighted.T])
    return covariance @ (scores.T @ scores) @ covariance


def _tied_sums(
    design: Array,
    risk: Array,
    weights: Array,
    is_event: BoolArray,
    place: IntArray,
    first: IntArray,
    beyond: IntArray,
    n_times: int,
    ties: str,
) -> _TiedSums:
    with_one = np.column_stack([np.ones(len(design)), design]) * risk[:, None]
    at_risk = sum_present(first, beyond, with_one, n_times)
    tied = sum_by(place, with_one[is_event], n_times)
    n_events = np.bincount(place, minlength=n_times)
    mean_weight = np.bincount(place, weights=weights[is_event], minlength=n_times) / n_events
    step_time = np.repeat(np.arange(n_times), n_events)
    step = np.arange(len(step_time)) - np.repeat(np.cumsum(n_events) - n_events, n_events)
    gone = step / n_events[step_time] * (ties == "efron")
    left = at_risk[step_time] - gone[:, None] * tied[step_time]
    hazard = mean_weight[step_time] / left[:, 0]
    mean = left[:, 1:] / left[:, :1]
    moment = hazard[:, None] * mean
    return _TiedSums(
        hazard=sum_by(step_time, hazard[:, None], n_times)[:, 0],
        moment=sum_by(step_time, moment, n_times),
        own_hazard=sum_by(step_time, (gone * hazard)[:, None], n_times)[:, 0],
        own_moment=sum_by(step_time, gone[:, None] * moment, n_times),
        mean=sum_by(step_time, mean, n_times) / n_events[:, None],
    )
