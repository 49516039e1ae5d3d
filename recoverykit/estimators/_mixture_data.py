"""From compressed rows and designs to what the likelihood reads, with the checks that need no fit.

Time is measured from its median on the log scale, and coefficients in units of their linear predictor, so that the
optimiser never sees whether a bank counts in days or in years. Private to the mixture models.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._cell_designs import CellDesign, DesignMatrix
from recoverykit.estimators._event_times import EpisodeRows
from recoverykit.estimators._grid_designs import GridDesign
from recoverykit.estimators._links import Link
from recoverykit.estimators._mixture_batches import cut_batches
from recoverykit.estimators._mixture_kernels import Kind, MixtureData, TermGroup
from recoverykit.estimators._mixture_terms import MIXTURE, Family
from recoverykit.estimators._products import cross
from recoverykit.estimators.distributions import StandardDistribution

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Narrower intervals, relative to their time, are exact events to the precision of the likelihood.
_NARROW = 1e-6
#: A column of which those before it leave less than this share of variance repeats them; how much of it names it.
_COLLINEAR, _NAMED = 1e-10, 0.1
_BLOCK_ROWS = 8_192
#: The unit of time is the median of at most this many event times.
_TIMED_EVENTS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """A linear map of the parameters of one part.

    Attributes
    ----------
    map : ndarray of shape (n_terms, n_terms)
        Coefficients = map @ z, where z of length 1 moves the linear predictor by 1 (root mean square over episodes).
    constant : ndarray of shape (n_terms,)
        Coefficients whose linear predictor is closest to 1 everywhere.
    has_constant : bool
        Whether it is 1 everywhere, so that a shift of the predictor is a shift of coefficients.
    """

    map: Array
    constant: Array
    has_constant: bool


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A likelihood with the scaling of its parameters.

    Attributes
    ----------
    data : MixtureData
    incidence, latency : Scaling
    names : tuple of (str, str)
        Part and term of each parameter.
    rows : EpisodeRows
    shift : float
        Log of the unit of time in which the likelihood is climbed.
    """

    data: MixtureData
    incidence: Scaling
    latency: Scaling
    names: tuple[tuple[str, str], ...]
    rows: EpisodeRows
    shift: float

    @property
    def map(self) -> Array:
        """Parameters = map @ z, block by block; ancillary parameters are their own unit."""
        n_incidence, n_latency = len(self.incidence.map), len(self.latency.map)
        full = np.eye(self.data.n_params)
        full[:n_incidence, :n_incidence] = self.incidence.map
        full[n_incidence : n_incidence + n_latency, n_incidence : n_incidence + n_latency] = self.latency.map
        return full


def mixture_data(
    rows: EpisodeRows,
    incidence: DesignMatrix,
    latency: DesignMatrix,
    distribution: StandardDistribution,
    link: Link,
    shift: float,
    family: Family = MIXTURE,
) -> MixtureData:
    """Sort the rows into groups of terms, cut into blocks.

    Parameters
    ----------
    rows : EpisodeRows
        Compressed rows.
    incidence, latency : ndarray or CellDesign of shape (n_patterns, n_terms)
        Designs; one row per pattern, or per row where the rows are not compressed.
    distribution, link
        Of the model.
    shift : float
        Log of the unit of time in which the likelihood is climbed.
    """
    groups, constant = term_groups(rows, shift)
    batches = cut_batches(groups, incidence, latency)
    return MixtureData(incidence, latency, groups, batches, len(rows.lower), constant, distribution, link, family)


def term_groups(rows: EpisodeRows, shift: float) -> tuple[tuple[TermGroup, ...], float]:
    """Sort the rows into groups of terms of one kind.

    Parameters
    ----------
    rows : EpisodeRows
        Compressed rows.
    shift : float
        Log of the unit of time in which the likelihood is climbed.

    Returns
    -------
    groups : tuple of TermGroup
    constant : float
        What the log-likelihood holds beside the terms, in the unit of time of the data.
    """
    is_density = rows.is_event
    is_interval = np.zeros(len(is_density), dtype=bool)
    if (rows.upper[is_density] > rows.lower[is_density]).any():
        with np.errstate(divide="ignore"):
            wide = np.log(rows.upper) - np.log(rows.lower) >= _NARROW
        is_interval, is_density = is_density & wide, is_density & ~wide
    is_free = np.isinf(rows.upper)
    counts = is_free & (rows.lower > rows.entry)  # event-free at entry and no longer: no information
    entered = (rows.entry > 0) & (~is_free | counts)
    specification = [
        (Kind.DENSITY, 1.0, is_density, rows.lower, rows.upper),
        (Kind.INTERVAL, 1.0, is_interval, rows.lower, rows.upper),
        (Kind.SURVIVAL, 1.0, counts, rows.lower, None),
        (Kind.SURVIVAL, -1.0, entered, rows.entry, None),
    ]
    groups = tuple(
        _group(rows, kind, sign, chosen, lower, upper, shift)
        for kind, sign, chosen, lower, upper in specification
        if chosen.any()
    )
    return groups, _constant(rows, is_density)


def _constant(rows: EpisodeRows, is_density: BoolArray) -> float:
    """Return what does not depend on parameters: f(t) = f(log t) / t at an exact event, f(log t) dlog t if narrow."""
    lower, upper, weight = rows.lower[is_density], rows.upper[is_density], rows.weight[is_density]
    narrow = upper > lower
    each = -np.log(lower)
    if narrow.any():
        each[narrow] = np.log(np.log(upper[narrow]) - np.log(lower[narrow]))
    return float(weight @ each)


def _log_background(rows: EpisodeRows, kind: Kind, row: IntArray, log_time: Array) -> Array | None:
    """Return what the background hazard adds to an event: its density of log time, or its chance in the interval."""
    if rows.background is None or kind is Kind.SURVIVAL:
        return None
    known = rows.background[row]
    with np.errstate(divide="ignore"):
        if kind is Kind.DENSITY:
            return np.asarray(np.log(known) + log_time, dtype=float)
        return np.asarray(np.log(-np.expm1(-known * (rows.upper[row] - rows.lower[row]))), dtype=float)


def _group(
    rows: EpisodeRows,
    kind: Kind,
    sign: float,
    chosen: BoolArray,
    lower: Array,
    upper: Array | None,
    shift: float,
) -> TermGroup:
    row = np.flatnonzero(chosen)
    pattern, start = None, 0
    if rows.pattern is not None:
        pattern = rows.pattern[row]
        if (pattern[1:] < pattern[:-1]).any():  # compressed rows come sorted
            row = row[np.argsort(pattern, kind="stable")]
            pattern = rows.pattern[row]
    elif row[-1] - row[0] == len(row) - 1:
        start = int(row[0])
    else:
        pattern = row
    with np.errstate(divide="ignore"):
        log_lower = np.log(lower[row])
        log_upper = log_lower if upper is None else np.log(upper[row])
    if kind is Kind.DENSITY and log_upper is not log_lower:
        log_lower = 0.5 * (log_lower + log_upper)  # the middle of a narrow interval
    known = _log_background(rows, kind, row, log_lower)
    log_lower -= shift
    log_upper = log_lower if log_upper is log_lower or kind is Kind.DENSITY else log_upper - shift
    return TermGroup(kind, sign, row, pattern, start, log_lower, log_upper, sign * rows.weight[row], known)


def log_time_unit(rows: EpisodeRows) -> float:
    """Return the log of about the median event time, from which log time is measured while climbing."""
    event = np.flatnonzero(rows.is_event)
    event = event[:: -(-len(event) // _TIMED_EVENTS)]  # an even sample is near enough for a unit
    times = 0.5 * (rows.lower[event] + rows.upper[event])
    order = np.argsort(times)
    share = np.cumsum(rows.weight[event][order])
    return float(np.log(times[order][np.searchsorted(share, 0.5 * share[-1])]))


def scale_design(part: str, design: DesignMatrix | GridDesign, terms: tuple[str, ...], weight: Array) -> Scaling:
    """Find the scaling of a design, and refuse columns that repeat each other.

    Parameters
    ----------
    part : str
        Named in messages.
    design : ndarray, CellDesign or GridDesign of shape (n_patterns, n_terms)
    terms : tuple of str
        Names of the columns.
    weight : ndarray of shape (n_patterns,)
        Episodes of each pattern.

    Raises
    ------
    InsufficientDataError
        If columns are linearly dependent, naming them.
    """
    totals = np.asarray(weight @ design, dtype=float)
    gram = _gram(design, weight) if isinstance(design, np.ndarray) else design.gram(weight)
    total = float(weight.sum())
    size = np.sqrt(np.maximum(np.diag(gram) / total, 0.0))
    empty = [term for term, s in zip(terms, size, strict=True) if s == 0]
    if empty:
        raise InsufficientDataError(f"{part}: {', '.join(empty)} is 0 in every episode; leave it out of the formula")
    scaled = gram / total / np.outer(size, size)
    upper = _factor(part, scaled, terms)
    constant = np.linalg.solve(scaled, totals / total / size) / size
    residual = 1.0 - float(constant @ totals) / total
    return Scaling(np.linalg.inv(upper) / size[:, None], constant, abs(residual) < 1e-10)


def _gram(design: Array, weight: Array) -> Array:
    gram = np.zeros((design.shape[1], design.shape[1]))
    for begin in range(0, len(design), _BLOCK_ROWS):
        cut = slice(begin, begin + _BLOCK_ROWS)
        gram += cross(design[cut], weight[cut], design[cut])
    return gram


def _factor(part: str, scaled: Array, terms: tuple[str, ...]) -> Array:
    """Return the upper Cholesky factor of a cross-product with unit diagonal, or name the columns that forbid it."""
    try:
        upper = np.asarray(np.linalg.cholesky(scaled), dtype=float).T
        if np.diag(upper).min() ** 2 > _COLLINEAR:  # the share of a column that those before it do not explain
            return upper
    except np.linalg.LinAlgError:
        pass
    weakest = np.linalg.eigh(scaled)[1][:, 0]
    involved = np.abs(weakest) > _NAMED * np.abs(weakest).max()
    names = ", ".join(term for term, used in zip(terms, involved, strict=True) if used)
    raise InsufficientDataError(
        f"{part}: the columns {names} determine each other in these data, so their effects cannot be told apart; "
        "leave one of them out of the formula or merge levels"
    )


def check_events(
    rows: EpisodeRows, designs: Mapping[str, tuple[DesignMatrix, tuple[str, ...]]], n_params: int, *, has_scale: bool
) -> None:
    """Refuse data from which the model cannot be estimated whatever the optimiser does.

    Parameters
    ----------
    rows : EpisodeRows
    designs : mapping of part to (matrix, terms)
    n_params : int
        Number of parameters of the model.
    has_scale : bool
        Whether the spread of event times is estimated.

    Raises
    ------
    InsufficientDataError
        Without events, with fewer events than parameters, with all events in one interval or at one time, or with a
        level that has no event.
    """
    event = rows.is_event
    n_events, n_episodes = float(rows.weight[event].sum()), float(rows.weight.sum())
    if not event.any():
        raise InsufficientDataError(
            f"none of the {n_episodes:,.0f} episodes has the event, so neither how many will have it nor when can be "
            "estimated; use a wider segment or a longer observation window"
        )
    if rows.weight.mean() >= 1.0 and n_events < n_params:
        raise InsufficientDataError(
            f"{n_events:,.0f} events cannot carry {n_params} parameters; use fewer covariates or a wider segment"
        )
    lower, upper = rows.lower[event], rows.upper[event]
    share_a_time = lower.max() < upper.min() or lower.min() == upper.max()
    if share_a_time and (has_scale or lower.max() == 0):
        raise InsufficientDataError(
            f"all {n_events:,.0f} events fall between times {lower.min():g} and {upper.max():g}, in one interval: "
            "the spread of event times cannot be estimated; use finer times, or report the share alone"
        )
    event_weight = np.where(event, rows.weight, 0.0)
    if rows.pattern is not None:
        event_weight = np.bincount(rows.pattern, weights=event_weight, minlength=len(rows.representatives))
    for part, (matrix, terms) in designs.items():
        seen = matrix.occurs(event_weight) if isinstance(matrix, CellDesign) else _occurs(matrix, event_weight)
        barren = [term for term, count in zip(terms, seen, strict=True) if count == 0]
        if barren:
            raise InsufficientDataError(
                f"{part}: no episode with {', '.join(barren)} has the event, so its effect has no finite estimate "
                "(separation); merge the level with another or leave the covariate out"
            )


def _occurs(matrix: Array, weight: Array) -> Array:
    """Return the weight of the rows in which each column is not 0."""
    seen = np.zeros(matrix.shape[1])
    for begin in range(0, len(matrix), _BLOCK_ROWS):
        cut = slice(begin, begin + _BLOCK_ROWS)
        seen += weight[cut] @ (matrix[cut] != 0)
    return seen
