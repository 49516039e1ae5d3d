"""From compressed rows and designs to what the profile likelihood of a Cox cure model reads.

Event times become places 1 .. K, event-free rows the place of the last event time they outlived; rows beyond the last
event time are the tail in which nobody is left to have the event. Private to the Cox cure model.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._cox_cure_kernels import CoxCureData
from recoverykit.estimators._cox_cure_ties import TIE_RULES
from recoverykit.estimators._event_times import EpisodeRows, EventTimes
from recoverykit.estimators._mixture_data import Scaling
from recoverykit.estimators._rows import check_columns, check_rows, event_flags

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_LEAST_SHARE = 0.05
#: Of the rows in the tail this share counts as never at risk when the first baseline is guessed.
_TAIL_NEVER = 0.95
#: Events that are kept, if there are as many, however few of the other rows are.
_LEAST_EVENTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class CoxCureProblem:
    """A likelihood with the scaling of its parameters.

    Attributes
    ----------
    data : CoxCureData
    incidence, latency : Scaling
        Of the two designs.
    names : tuple of (str, str)
        Part and term of each parameter.
    rows : EpisodeRows
    event_times : ndarray of shape (n_times,)
        Ascending.
    jumps : ndarray of shape (n_times,)
        A first guess of the baseline.
    plateau : float
        Kaplan-Meier's share that is left after the last event, kept away from 0 and 1.
    n_tail : float
        Episodes seen event-free after the last event time.
    """

    data: CoxCureData
    incidence: Scaling
    latency: Scaling
    names: tuple[tuple[str, str], ...]
    rows: EpisodeRows
    event_times: Array
    jumps: Array
    plateau: float
    n_tail: float

    @property
    def map(self) -> Array:
        """Parameters = map @ z, block by block."""
        n_incidence, n_params = len(self.incidence.map), self.data.n_params
        full = np.zeros((n_params, n_params))
        full[:n_incidence, :n_incidence] = self.incidence.map
        full[n_incidence:, n_incidence:] = self.latency.map
        return full


def read_times(
    frame: pd.DataFrame, duration_col: str, event_col: str, weights_col: str | None, entry_col: str | None
) -> EventTimes:
    """Check the columns of a frame and return exact times."""
    check_columns(frame, [duration_col, event_col, weights_col, entry_col])
    is_event, faults = event_flags(frame, event_col)
    rows = check_rows(
        frame,
        by=(),
        is_event=is_event,
        faults=faults,
        duration_col=duration_col,
        weights_col=weights_col,
        entry_col=entry_col,
    )
    return EventTimes(
        lower=rows.durations,
        upper=np.where(is_event, rows.durations, np.inf),
        entry=None if entry_col is None else rows.entries,
        weights=None if weights_col is None else rows.weights,
        form="exact",
    )


def cox_cure_problem(
    rows: EpisodeRows,
    designs: tuple[Array, Array],
    scalings: tuple[Scaling, Scaling],
    names: tuple[tuple[str, str], ...],
    ties: str,
) -> CoxCureProblem:
    """Arrange rows and designs for the likelihood.

    Parameters
    ----------
    rows : EpisodeRows
        Compressed rows with exact times.
    designs : tuple of ndarray of shape (n_patterns, n_terms)
        Incidence; latency without constant, centred.
    scalings : tuple of Scaling
        Of the two designs.
    names : tuple of (str, str)
        Part and term of each parameter.
    ties : str
        A key of ``TIE_RULES``.
    """
    event = rows.is_event
    event_times, place = np.unique(rows.lower[event], return_inverse=True)
    n_times, n_patterns = len(event_times), len(designs[0])
    pattern = row_patterns(rows)
    outlived, entered = row_places(rows, event_times)
    in_tail = ~event & (rows.lower > event_times[-1])
    # Who entered in the tail cannot have the event; who is event-free before the first event says nothing.
    free = ~event & ~in_tail & (outlived > 0)
    late = (entered > 0) & (rows.entry <= event_times[-1])
    places = np.concatenate([outlived[free], entered[late]]) - 1
    weight = np.concatenate([rows.weight[free], -rows.weight[late]])
    patterns = np.concatenate([pattern[free], pattern[late]])
    order = np.argsort(places, kind="stable")
    based = rows.weight * ((event | in_tail | free).astype(float) - (entered > 0))
    weights = rows.weight[event]
    data = CoxCureData(
        incidence=designs[0],
        latency=designs[1],
        event_counts=np.bincount(place, weights=weights, minlength=n_times).astype(float),
        events=csr_matrix((weights, (place, pattern[event])), shape=(n_times, n_patterns)),
        event_weight=np.bincount(pattern[event], weights=weights, minlength=n_patterns).astype(float),
        base_weight=np.bincount(pattern, weights=based, minlength=n_patterns).astype(float),
        place=places[order],
        pattern=patterns[order],
        weight=weight[order],
        starts=np.searchsorted(places[order], np.arange(n_times + 1)),
        ties=TIE_RULES[ties],
    )
    jumps, plateau = _guess(rows, data.event_counts, outlived, entered, in_tail)
    n_tail = float(rows.weight[in_tail].sum())
    return CoxCureProblem(data, *scalings, names, rows, event_times, jumps, plateau, n_tail)


def row_patterns(rows: EpisodeRows) -> IntArray:
    """Return the design row of each compressed row."""
    return np.arange(len(rows.lower)) if rows.pattern is None else rows.pattern


def row_places(rows: EpisodeRows, event_times: Array) -> tuple[IntArray, IntArray]:
    """Return how many event times lie at or before the end of each row, and at or before its entry."""
    outlived = np.searchsorted(event_times, rows.lower, side="right")
    entered = np.zeros(len(outlived), dtype=np.int64)
    late = np.flatnonzero(rows.entry > 0)  # who was seen from the start is at risk at time 0 too
    entered[late] = np.searchsorted(event_times, rows.entry[late], side="right")
    return outlived, entered


def thin_rows(rows: EpisodeRows, designs: tuple[Array, Array], step: int) -> tuple[EpisodeRows, tuple[Array, Array]]:
    """Keep every k-th row with its weight raised, and the rows of the designs that these need.

    Among a million episodes that stay open a few hundred events must not be lost: they are thinned apart, and less.
    """
    event = rows.is_event
    weight, kept = rows.weight.copy(), []
    for kind, every in ((event, max(min(step, int(event.sum()) // _LEAST_EVENTS), 1)), (~event, step)):
        chosen = np.flatnonzero(kind)[::every]
        weight[chosen] *= rows.weight[kind].sum() / max(rows.weight[chosen].sum(), np.finfo(float).tiny)
        kept.append(chosen)
    taken = np.sort(np.concatenate(kept))
    used, pattern = np.unique(row_patterns(rows)[taken], return_inverse=True)
    thin = replace(
        rows,
        lower=rows.lower[taken],
        upper=rows.upper[taken],
        entry=rows.entry[taken],
        weight=weight[taken],
        pattern=pattern,
        representatives=rows.representatives[used],
        inverse=None,
    )
    return thin, (designs[0][used], designs[1][used])


def centred(part: str, design: Array, terms: tuple[str, ...], weight: Array) -> tuple[Array, Array]:
    """Take the mean of each column out: a constant is part of the baseline.

    Returns
    -------
    matrix : ndarray of shape (n_patterns, n_terms)
    means : ndarray of shape (n_terms,)

    Raises
    ------
    InsufficientDataError
        If a column has one value only.
    """
    constant = [term for term, column in zip(terms, design.T, strict=True) if column.max() == column.min()]
    if constant:
        raise InsufficientDataError(
            f"{part}: {', '.join(constant)} has the same value in every episode; leave it out of the formula"
        )
    means = weight @ design / weight.sum()
    return design - means, means


def _guess(
    rows: EpisodeRows, counts: Array, outlived: IntArray, entered: IntArray, in_tail: NDArray[np.bool_]
) -> tuple[Array, float]:
    """Return baseline jumps as if the tail were never at risk, and the plateau of the Kaplan-Meier curve."""
    at_risk = _at_risk(outlived, entered, rows.weight, len(counts))
    tail = _at_risk(outlived[in_tail], entered[in_tail], rows.weight[in_tail], len(counts))
    plateau = float(np.prod(1.0 - np.minimum(counts / at_risk, 1.0)))
    jumps = counts / np.maximum(at_risk - _TAIL_NEVER * tail, counts)
    return jumps, float(np.clip(plateau, _LEAST_SHARE, 1.0 - _LEAST_SHARE))


def _at_risk(outlived: IntArray, entered: IntArray, weight: Array, n_times: int) -> Array:
    """Return the weight at risk at each event time."""
    gone = np.bincount(outlived, weights=weight, minlength=n_times + 1)
    come = np.bincount(entered, weights=weight, minlength=n_times + 1)
    return np.asarray(np.cumsum(come - gone)[:n_times], dtype=float)
