"""Risk sets, scores and errors of Fine and Gray's model of one competing outcome.

An episode that ended otherwise stays at risk, with a weight that falls as censoring would have taken it: G(t-) / G(T-),
where G is the Kaplan-Meier curve of censoring (Fine and Gray 1999, J. Am. Stat. Assoc. 94:496-509). That G is estimated
adds a part to every score. Private to ``fine_gray``; arrays in, arrays out.
"""

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._breslow_kernels import RiskSets, at_risk, sum_by

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def subdistribution_risk_sets(durations: Array, is_event: BoolArray, is_other: BoolArray, weights: Array) -> RiskSets:
    """Return the risk sets at the times of the outcome.

    Parameters
    ----------
    durations : ndarray of shape (n_rows,)
    is_event, is_other : ndarray of bool of shape (n_rows,)
        Rows with the outcome, and with another; the rest are censored.
    weights : ndarray of shape (n_rows,)
        Case weights, above 0.
    """
    times, place = np.unique(durations[is_event], return_inverse=True)
    fading = np.flatnonzero(is_other)
    censored, left = _censoring_before(durations, ~is_event & ~is_other, weights)
    return RiskSets(
        times=times,
        place=place,
        is_event=is_event,
        first=np.zeros(len(durations), dtype=np.int64),
        beyond=np.searchsorted(times, durations, side="right"),
        fading=fading,
        factor=1.0 / left[np.searchsorted(censored, durations[fading], side="left")],
        remaining=left[np.searchsorted(censored, times, side="left")],
    )


def scores(
    sets: RiskSets, design: Array, durations: Array, weights: Array, is_other: BoolArray, coefficients: Array
) -> Array:
    """Return each row's influence on the score, for case weight 1, the estimate of censoring included.

    Parameters
    ----------
    sets : RiskSets
    design : ndarray of shape (n_rows, n_terms)
    durations, weights : ndarray of shape (n_rows,)
    is_other : ndarray of bool of shape (n_rows,)
    coefficients : ndarray of shape (n_terms,)

    Returns
    -------
    ndarray of shape (n_rows, n_terms)
        eta + psi of Fine and Gray (1999), eq. (8); the sum with the weights is 0 at the maximum.
    """
    linear = design @ coefficients
    risk = np.exp(linear - linear.max())
    sums = at_risk(sets, (weights * risk)[:, None] * np.column_stack([np.ones(len(design)), design]))
    mean = sums[:, 1:] / sums[:, :1]
    events = np.bincount(sets.place, weights=weights[sets.is_event], minlength=len(sets.times))
    jump = events / sums[:, 0]
    # Exposure of a row to the jumps of the baseline, plain up to its end and fading after it: sums of (x - mean) jump.
    plain = _from_start(jump), _from_start(jump[:, None] * mean)
    faded = _from_start(sets.remaining * jump), _from_start((sets.remaining * jump)[:, None] * mean)
    own = risk[:, None] * (design * plain[0][sets.beyond, None] - plain[1][sets.beyond])
    late = np.zeros_like(own)
    after = sets.beyond[sets.fading]
    rest = design[sets.fading] * (faded[0][-1] - faded[0][after])[:, None] - (faded[1][-1] - faded[1][after])
    late[sets.fading] = (risk[sets.fading] * sets.factor)[:, None] * rest
    eta = -own - late
    eta[sets.is_event] += design[sets.is_event] - mean[sets.place]
    return eta + _of_censoring(sets, design, durations, weights, is_other, risk, faded)


def _of_censoring(
    sets: RiskSets,
    design: Array,
    durations: Array,
    weights: Array,
    is_other: BoolArray,
    risk: Array,
    faded: tuple[Array, Array],
) -> Array:
    """Return psi: what a row adds through the curve of censoring, integral of q / pi against its martingale."""
    is_censored = ~sets.is_event & ~is_other
    at, code = np.unique(durations[is_censored], return_inverse=True)
    if not len(at) or not len(sets.fading):
        return np.zeros_like(design)
    # q(u) = sum over rows that ended otherwise before u of risk factor (x H(u) - M(u)), with H and M what the baseline
    # adds from u on.
    onwards = np.searchsorted(sets.times, at, side="left")
    hazard, moment = faded[0][-1] - faded[0][onwards], faded[1][-1] - faded[1][onwards]
    share = weights[sets.fading] * risk[sets.fading] * sets.factor
    before = np.searchsorted(at, durations[sets.fading], side="right")
    held = sum_by(before, share[:, None] * np.column_stack([np.ones(len(share)), design[sets.fading]]), len(at) + 1)
    held = np.cumsum(held, axis=0)[: len(at)]
    q = held[:, 1:] * hazard[:, None] - held[:, :1] * moment
    start = np.zeros(len(durations), dtype=np.int64)
    beyond = np.searchsorted(at, durations, side="right")
    present = sum_by(start, weights[:, None], len(at) + 1) - sum_by(beyond, weights[:, None], len(at) + 1)
    n_at_risk = np.cumsum(present, axis=0)[: len(at), 0]
    slope = q / n_at_risk[:, None]
    hazard_of_censoring = np.bincount(code, weights=weights[is_censored], minlength=len(at)) / n_at_risk
    psi = -_from_start(slope * hazard_of_censoring[:, None])[beyond]
    psi[is_censored] += slope[code]
    return np.asarray(psi, dtype=float)


def _censoring_before(durations: Array, is_censored: BoolArray, weights: Array) -> tuple[Array, Array]:
    """Return the times of censoring, and the Kaplan-Meier curve of censoring just before each and after the last."""
    at, code = np.unique(durations[is_censored], return_inverse=True)
    order = np.argsort(durations)
    ahead = np.concatenate([[0.0], np.cumsum(weights[order])])
    n_at_risk = ahead[-1] - ahead[np.searchsorted(durations[order], at, side="left")]
    n_censored = np.bincount(code, weights=weights[is_censored], minlength=len(at))
    return at, np.concatenate([[1.0], np.cumprod(1.0 - n_censored / n_at_risk)])


def _from_start(values: Array) -> Array:
    """Return the sums of the first 0, 1, ..., n values along the first axis."""
    return np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
