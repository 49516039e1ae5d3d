"""From a frame to a fitted cure model of any family: checks, compression, designs, search and labels.

Private to the cure models, which differ in their family, in the links they offer and in nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError
from recoverykit.estimators._compression import combine, encode, tally
from recoverykit.estimators._event_times import EpisodeRows, EventTimes, compress_rows, read_event_times
from recoverykit.estimators._formulas import (
    Design,
    check_variables,
    design_matrix,
    is_number,
    is_plain,
    is_stateful,
    learn_design,
    learn_plain_design,
    parse_formula,
)
from recoverykit.estimators._mixture_data import Problem, check_events, log_time_unit, mixture_data, scale_design
from recoverykit.estimators._mixture_estimation import Estimate, estimate
from recoverykit.estimators._mixture_prediction import Predictor, mean_never
from recoverykit.estimators._mixture_sandwich import cluster_index, sandwich
from recoverykit.estimators._mixture_tables import ShareInterval
from recoverykit.estimators._mixture_terms import Family
from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.estimators.distributions import LATENCY_DISTRIBUTIONS, standard_distribution
from recoverykit.estimators.mixture_cure_fit import CureFit

Array = NDArray[np.float64]
Fit = TypeVar("Fit", bound=CureFit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a cure model chooses: the attributes of ``MixtureCureModel`` and the family."""

    distribution: str
    incidence: str
    latency: str
    link: str
    family: Family

    def check(self) -> None:
        """Refuse what is not allowed, with ValueError."""
        check_choice("distribution", self.distribution, tuple(LATENCY_DISTRIBUTIONS))
        check_choice("link", self.link, tuple(self.family.links))
        parse_formula("incidence", self.incidence)
        parse_formula("latency", self.latency)


def fit_cure(
    fit_type: type[Fit],
    choices: Choices,
    frame: pd.DataFrame,
    columns: Mapping[str, str | None],
    *,
    cluster_col: str | None,
    event_name: str | None,
    level: float,
    progress: bool,
) -> Fit:
    """Fit a cure model by maximum likelihood.

    Parameters
    ----------
    fit_type : type
        Class of the result.
    choices : Choices
    frame : DataFrame
    columns : mapping of str to str or None
        Column arguments of ``read_event_times``.
    cluster_col, event_name, level, progress
        As in ``MixtureCureModel.fit``, with its errors.
    """
    check_level(level)
    times = read_event_times(frame, **columns)
    clusters = None if cluster_col is None else cluster_index(frame, cluster_col, times.weights)
    designs, problem = _prepare(choices, frame, times, want_inverse=clusters is not None)
    found = estimate(problem, progress=progress)
    covariance = found.covariance
    if clusters is not None:
        covariance = sandwich(problem, found.theta, covariance, clusters)
    event = problem.rows.is_event
    return fit_type(
        distribution=choices.distribution,
        incidence=choices.incidence,
        latency=choices.latency,
        link=choices.link,
        event_name=event_name or columns["event_col"] or "the event",
        **_estimates(problem, found, covariance),
        loglik=found.loglik,
        **_counts(problem),
        form=times.form,
        n_clusters=None if clusters is None else clusters.n_clusters,
        boundary=found.boundary,
        n_starts=found.n_starts,
        n_agreed=found.n_agreed,
        n_iterations=found.n_iterations,
        never=_never(problem, found, covariance, level),
        last_time=float(np.where(event, problem.rows.upper, problem.rows.lower).max()),
        level=level,
        columns=dict(columns),
        designs=designs,
        covariance=covariance,
    )


def _prepare(
    choices: Choices, frame: pd.DataFrame, times: EventTimes, *, want_inverse: bool
) -> tuple[tuple[Design, Design], Problem]:
    """Compress the rows, build the designs on them and refuse what cannot be fitted."""
    formulas = (choices.incidence, choices.latency)
    variables = tuple(sorted({name for text in formulas for name in parse_formula("a", text)}))
    faults = check_variables(frame, variables)
    if faults:
        raise ContractError(faults)
    rows = compress_rows(times, frame, variables, want_inverse=want_inverse)
    incidence, incidence_matrix = _design(choices.incidence, frame, rows)
    latency, latency_matrix = incidence, incidence_matrix
    if choices.latency != choices.incidence:
        latency, latency_matrix = _design(choices.latency, frame, rows)
    distribution = standard_distribution(choices.distribution)
    parts = {"incidence": (incidence_matrix, incidence.terms), "latency": (latency_matrix, latency.terms)}
    names = [(part, term) for part, (_, terms) in parts.items() for term in terms]
    names += [("ancillary", term) for term in distribution.ancillary_terms]
    check_events(rows, parts, len(names), has_scale=distribution.has_scale)
    weight = rows.pattern_weight
    scalings = [scale_design(part, matrix, terms, weight) for part, (matrix, terms) in parts.items()]
    shift = log_time_unit(rows) if scalings[1].has_constant else 0.0
    link = choices.family.links[choices.link]
    data = mixture_data(rows, incidence_matrix, latency_matrix, distribution, link, shift, choices.family)
    problem = Problem(data=data, incidence=scalings[0], latency=scalings[1], names=tuple(names), rows=rows, shift=shift)
    return (incidence, latency), problem


def _design(text: str, frame: pd.DataFrame, rows: EpisodeRows) -> tuple[Design, Array]:
    """Learn a formula on as few rows as will do, and return its matrix on the representatives of the patterns."""
    if is_stateful(text) or (rows.pattern is None and not is_plain(text)):
        design, _ = learn_design(text, frame)
        return design, design_matrix(design, frame, rows.representatives)
    if rows.pattern is not None:
        return learn_design(text, frame.take(rows.representatives))
    names = [name for name in parse_formula("a", text) if not is_number(frame[name])]
    cells = tally(combine([encode(frame[name]) for name in names], len(frame)), None, want_inverse=True)
    return learn_plain_design(text, frame, cells, rows.representatives)


def _estimates(problem: Problem, found: Estimate, covariance: Array) -> dict[str, Any]:
    """Label estimates and covariance; what is not identified has no standard error."""
    labels = pd.MultiIndex.from_tuples(problem.names, names=["part", "term"])
    masked = np.where(np.outer(found.identified, found.identified), covariance, np.nan)
    return {
        "params": pd.Series(found.theta, index=labels, name="estimate"),
        "standard_errors": pd.Series(np.sqrt(np.diag(masked)), index=labels, name="standard_error"),
        "cov": pd.DataFrame(masked, index=labels, columns=labels),
    }


def _counts(problem: Problem) -> dict[str, Any]:
    rows = problem.rows
    return {
        "n_episodes": float(rows.weight.sum()),
        "n_events": float(rows.weight[rows.is_event].sum()),
        "n_rows": rows.n_input_rows,
        "n_compressed_rows": len(rows.weight),
    }


def _never(problem: Problem, found: Estimate, covariance: Array, level: float) -> ShareInterval:
    """Average 1 - incidence over the episodes of the fit; without interval where the incidence is not identified."""
    data = problem.data
    predictor = Predictor(
        theta=found.theta,
        covariance=covariance,
        incidence=data.incidence,
        latency=data.latency,
        distribution=data.distribution,
        link=data.link,
        level=level,
        family=data.family,
    )
    band = mean_never(predictor, problem.rows.pattern_weight)
    n_incidence = data.incidence.shape[1]
    known = bool(found.identified[:n_incidence].all())
    lower, upper = (float(limit[0]) if known else float("nan") for limit in (band.lower, band.upper))
    return ShareInterval(float(band.value[0]), lower, upper, level)
