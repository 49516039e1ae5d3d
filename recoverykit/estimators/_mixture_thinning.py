"""Data that are a little less, for a search from many starts: the same hills at a fraction of the work.

Where terms share covariates, those at neighbouring times become one at their mean time; else every k-th is kept, with
its weight raised. What is found here is always climbed to the end on all data. Private to the mixture models.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._cell_designs import design_rows
from recoverykit.estimators._mixture_batches import cut_batches
from recoverykit.estimators._mixture_kernels import Kind, MixtureData, TermGroup

IntArray = NDArray[np.int64]

#: At most this many terms are explored as they are, and at most about that many after merging.
_FEW_TERMS, _EXPLORED_TERMS = 2_000, 6_000
#: Terms of one kind that thinning leaves: to one or two events a latency without any spread would fit best.
_LEAST_TERMS = 100
#: Neighbouring times lie within one such step of log time: that adds 0.02 to the variance of log time.
_LOG_STEP = 0.5


def thinned(data: MixtureData) -> MixtureData:
    """Return data of at most some thousands of terms; the data themselves where nothing is gained."""
    n_terms = _n_terms(data.groups)
    if n_terms <= _FEW_TERMS:
        return data
    groups = tuple(_merged(group) for group in data.groups)
    step = -(-_n_terms(groups) // _EXPLORED_TERMS)
    if step > 1:
        groups = tuple(every_kth(group, step) for group in groups)
    return data if _n_terms(groups) == n_terms else _cut(data, groups)


def _n_terms(groups: tuple[TermGroup, ...]) -> int:
    return sum(len(group.weight) for group in groups)


def _merged(group: TermGroup) -> TermGroup:
    """Merge terms that share a design row and follow each other in one step of log time."""
    if group.pattern is None or group.log_background is not None:
        return group
    is_interval = group.kind is Kind.INTERVAL
    step = np.floor((group.log_upper if is_interval else group.log_lower) / _LOG_STEP)
    is_new = (group.pattern[1:] != group.pattern[:-1]) | (step[1:] != step[:-1])
    starts = np.flatnonzero(np.concatenate([[True], is_new]))
    weight = np.add.reduceat(group.weight, starts)
    if is_interval:
        lower = np.minimum.reduceat(group.log_lower, starts)
        upper = np.maximum.reduceat(group.log_upper, starts)
    else:
        lower = upper = np.add.reduceat(group.weight * group.log_lower, starts) / weight
    return replace(
        group,
        row=group.row[starts],
        pattern=group.pattern[starts],
        log_lower=lower,
        log_upper=upper,
        weight=weight,
    )


def every_kth(group: TermGroup, step: int) -> TermGroup:
    """Keep every k-th term, with the weight of all; more of them in a group that would be left with too few."""
    step = max(min(step, len(group.weight) // _LEAST_TERMS), 1)
    kept = group.take(np.arange(0, len(group.weight), step))
    return replace(kept, weight=group.weight.sum() / kept.weight.sum() * kept.weight)


def _cut(data: MixtureData, groups: tuple[TermGroup, ...]) -> MixtureData:
    """Leave the rows of the designs that no term needs behind."""
    places = [_places(group) for group in groups]
    used = np.unique(np.concatenate(places))
    groups = tuple(
        replace(group, pattern=np.searchsorted(used, place), start=0)
        for group, place in zip(groups, places, strict=True)
    )
    incidence = design_rows(data.incidence, used)
    latency = incidence if data.latency is data.incidence else design_rows(data.latency, used)
    batches = cut_batches(groups, incidence, latency)
    return replace(data, incidence=incidence, latency=latency, groups=groups, batches=batches)


def _places(group: TermGroup) -> IntArray:
    return group.start + np.arange(len(group.weight)) if group.pattern is None else group.pattern
