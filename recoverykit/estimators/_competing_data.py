"""From compressed rows and designs to the likelihood of competing outcomes, with the checks that need no fit.

Private to the competing-outcomes model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, InsufficientDataError, Violation
from recoverykit.estimators._competing_layout import OPEN, CompetingData, cut_blocks, make_layout
from recoverykit.estimators._event_times import EpisodeRows, EventTimes, read_event_times
from recoverykit.estimators._mixture_data import Scaling, check_events, log_time_unit, scale_design, term_groups
from recoverykit.estimators._mixture_kernels import TermGroup
from recoverykit.estimators._rows import broken, check_columns, number_column, outcome_codes
from recoverykit.estimators.distributions import StandardDistribution

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The outcomes of a frame.

    Attributes
    ----------
    names : tuple of str
        Those that occur, in the order of the legend.
    codes : ndarray of int of shape (n_rows,)
        Outcome of each row, ``OPEN`` where it is censored.
    """

    names: tuple[str, ...]
    codes: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A likelihood with the scaling of its parameters.

    Attributes
    ----------
    data : CompetingData
    scalings : tuple of Scaling
        Of each design, in the order of ``data.designs``.
    outcomes : tuple of str
    terms : tuple of tuple of str
        Column names of each design.
    rows : EpisodeRows
    codes : ndarray of int of shape (n_rows,)
        Outcome of each compressed row.
    shift : float
        Log of the unit of time in which the likelihood is climbed.
    """

    data: CompetingData
    scalings: tuple[Scaling, ...]
    outcomes: tuple[str, ...]
    terms: tuple[tuple[str, ...], ...]
    rows: EpisodeRows
    codes: IntArray
    shift: float

    @property
    def map(self) -> Array:
        """Parameters = map @ z, part by part; ancillary parameters are their own unit."""
        full = np.eye(self.data.layout.n_params)
        for part in self.data.layout.parts:
            if part.design is not None:
                full[part.slice, part.slice] = self.scalings[part.design].map
        return full

    @property
    def names(self) -> list[tuple[str, str, str]]:
        """Part, outcome and term of each parameter."""
        layout = self.data.layout
        found = []
        for part in layout.parts:
            if part.design is None:
                continue
            found += [(part.name, self.outcomes[part.outcome], term) for term in self.terms[part.design]]
        for k, distribution in enumerate(layout.distributions):
            found += [("ancillary", self.outcomes[k], term) for term in distribution.ancillary_terms]
        return found

    def moved(self, theta: Array, shift: float) -> Array:
        """Return parameters after log time is shifted, for every latency."""
        shifted = theta.copy()
        for part in self.data.layout.parts:
            if part.name == "latency" and part.design is not None:
                shifted[part.slice] += shift * self.scalings[part.design].constant
        return shifted


def read_outcomes(
    frame: pd.DataFrame,
    *,
    outcome_col: str,
    censored: str,
    duration_col: str | None,
    lower_col: str | None,
    upper_col: str | None,
    weights_col: str | None,
    entry_col: str | None,
    background_cols: Mapping[str, str] | None = None,
) -> tuple[Outcomes, EventTimes]:
    """Check the outcome and time columns of a frame and return them as arrays.

    Raises
    ------
    ValueError
        If not exactly one form of time is given, or a background is that of an outcome that does not occur.
    ContractError
        Columns that are absent; outcomes that are missing; times, entries, weights and background hazards that break a
        rule; open episodes with a finite upper limit, and ended ones without.
    InsufficientDataError
        If the frame has no row.
    """
    time_columns = (duration_col, lower_col, upper_col, weights_col, entry_col)
    check_columns(frame, [outcome_col, *time_columns])
    names, codes, faults = outcome_codes(frame, outcome_col, censored)
    held = frame[[c for c in dict.fromkeys(time_columns) if c is not None]]
    has_ended = codes != OPEN
    if duration_col is not None:
        held = held.assign(**{outcome_col: has_ended})
    try:
        times = read_event_times(
            held,
            duration_col=duration_col,
            event_col=None if duration_col is None else outcome_col,
            lower_col=lower_col,
            upper_col=upper_col,
            weights_col=weights_col,
            entry_col=entry_col,
        )
    except ContractError as error:
        raise ContractError([*faults, *error.violations]) from None
    if faults:
        raise ContractError(faults)
    rule = f"{upper_col} must be infinite where {outcome_col} is {str(censored)!r}, and finite where it is an outcome"
    torn: list[Violation] = broken(frame, rule, np.isfinite(times.upper) != has_ended)
    if torn:
        raise ContractError(torn)
    if background_cols:
        times = replace(times, background=_background(frame, background_cols, names, codes, times))
    return Outcomes(tuple(names), codes), times


def _background(
    frame: pd.DataFrame, columns: Mapping[str, str], names: Sequence[str], codes: IntArray, times: EventTimes
) -> Array:
    """Return the background hazard of each row's own outcome: at its time, or such that it has its part of an interval.

    In an interval of width w the backgrounds together end 1 - exp(-h w) of the episodes that the model leaves open, h
    their sum; the outcome's own hazard has its share of these.
    """
    strangers = [str(outcome) for outcome in columns if outcome not in names]
    if strangers:
        raise ValueError(f"background_cols names {', '.join(strangers)}; the outcomes are {', '.join(names)}")
    check_columns(frame, list(columns.values()))
    hazards = np.zeros((len(codes), len(names)))
    faults: list[Violation] = []
    for outcome, column in columns.items():
        hazards[:, names.index(outcome)] = values = number_column(frame, column, 0.0)
        rule = f"{column} must be a hazard, a number of 0 or more"
        faults += broken(frame, rule, (codes != OPEN) & ~(np.isfinite(values) & (values >= 0)))
    if faults:
        raise ContractError(faults)
    own, total = hazards[np.arange(len(codes)), codes], hazards.sum(axis=1)
    width = np.where(codes == OPEN, 0.0, times.upper - times.lower)
    taken = (codes != OPEN) & (width > 0) & (total > 0)
    share = np.where(taken, own, 0.0) / np.where(taken, total, 1.0)
    spread = -np.log1p(share * np.expm1(-np.where(taken, total * width, 0.0))) / np.where(taken, width, 1.0)
    return np.where(codes == OPEN, 0.0, np.where(taken, spread, own))


def check_outcomes(
    rows: EpisodeRows,
    codes: IntArray,
    outcomes: Sequence[str],
    designs: Sequence[tuple[Array, tuple[str, ...]]],
    distributions: Sequence[StandardDistribution],
) -> None:
    """Refuse outcomes that are too rare for the model, naming them.

    Parameters
    ----------
    rows : EpisodeRows
    codes : ndarray of int of shape (n_rows,)
        Outcome of each compressed row.
    outcomes : sequence of str
    designs : sequence of (matrix, terms)
        Incidence first, then the latency of each outcome.
    distributions : sequence of StandardDistribution

    Raises
    ------
    InsufficientDataError
        Without any outcome; with fewer episodes of an outcome than its parameters, all of them in one interval, or a
        level in which it never occurs.
    """
    if not outcomes:
        raise InsufficientDataError(
            f"all {rows.weight.sum():,.0f} episodes are open, so neither how they end nor when can be estimated; use a "
            "wider segment or a longer observation window"
        )
    for k, outcome in enumerate(outcomes):
        parts = {"incidence": designs[0], "latency": designs[1 + k]}
        n_params = sum(len(terms) for _, terms in parts.values()) + len(distributions[k].ancillary_terms)
        own = replace(rows, upper=np.where(codes == k, rows.upper, np.inf))
        try:
            check_events(own, parts, n_params, has_scale=distributions[k].has_scale)
        except InsufficientDataError as error:
            raise InsufficientDataError(
                f"outcome {outcome!r}: {error}; or put the outcome together with another"
            ) from error


def make_problem(
    rows: EpisodeRows,
    codes: IntArray,
    outcomes: tuple[str, ...],
    designs: Sequence[tuple[Array, tuple[str, ...]]],
    distributions: tuple[StandardDistribution, ...],
    *,
    never: bool,
) -> Problem:
    """Build the likelihood.

    Parameters
    ----------
    rows, codes, outcomes, designs, distributions
        As in ``check_outcomes``.
    never : bool
        Whether there is a class that never resolves.

    Raises
    ------
    InsufficientDataError
        If columns of a design repeat each other.
    """
    matrices, terms = tuple(m for m, _ in designs), tuple(t for _, t in designs)
    weight = rows.pattern_weight
    known: dict[int, Scaling] = {}
    for place, matrix in enumerate(matrices):
        if id(matrix) not in known:
            part = "incidence" if place == 0 else f"latency of {outcomes[place - 1]!r}"
            known[id(matrix)] = scale_design(part, matrix, terms[place], weight)
    scalings = tuple(known[id(matrix)] for matrix in matrices)
    shift = log_time_unit(rows) if all(s.has_constant for s in scalings[1:]) else 0.0
    data = competing_data(rows, codes, matrices, distributions, never=never, shift=shift)
    return Problem(data, scalings, outcomes, terms, rows, codes, shift)


def competing_data(
    rows: EpisodeRows,
    codes: IntArray,
    designs: tuple[Array, ...],
    distributions: tuple[StandardDistribution, ...],
    *,
    never: bool,
    shift: float,
) -> CompetingData:
    """Sort the rows into groups of terms by kind and outcome."""
    kinds, constant = term_groups(rows, shift)
    groups: list[tuple[int, TermGroup]] = []
    for group in kinds:
        code = np.full(len(group.row), OPEN) if group.kind.name == "SURVIVAL" else codes[group.row]
        groups += [(int(k), group.take(np.flatnonzero(code == k))) for k in np.unique(code)]
    layout = make_layout(designs, distributions, never)
    held = tuple(groups)
    return CompetingData(designs, layout, held, cut_blocks(held, designs), len(rows.lower), constant)
