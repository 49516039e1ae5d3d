"""From a frame to a fitted cure model of any family: checks, compression, designs, search and labels.

Private to the cure models, which differ in their family, in the links they offer and in nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from recoverykit.errors import ContractError
from recoverykit.estimators._cell_designs import DesignMatrix
from recoverykit.estimators._distinct_rows import distinct_rows
from recoverykit.estimators._episode_designs import cell_episodes, design_episodes
from recoverykit.estimators._event_times import EpisodeRows, EventTimes, read_event_times
from recoverykit.estimators._fit_tables import ShareInterval
from recoverykit.estimators._formulas import Design, check_variables, is_stateful, parse_formula
from recoverykit.estimators._mixture_data import Problem, check_events, log_time_unit, mixture_data, scale_design
from recoverykit.estimators._mixture_estimation import Estimate, estimate
from recoverykit.estimators._mixture_prediction import mean_never
from recoverykit.estimators._mixture_sandwich import cluster_index, sandwich
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
    episodes = _few_episodes(choices, frame, columns) if cluster_col is None else None
    if episodes is None:
        episodes = _read(choices, frame, columns, want_inverse=cluster_col is not None)
    clusters = None if cluster_col is None else cluster_index(frame, cluster_col, episodes.times.weights)
    designs = (episodes.designs[0][0], episodes.designs[1][0])
    problem = _problem(choices, replace(episodes.rows, n_input_rows=len(frame)), episodes.designs)
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
        form=episodes.times.form,
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


@dataclass(frozen=True, slots=True, eq=False)
class _Episodes:
    """What is read from a frame: checked times, compressed rows, and the designs of incidence and latency."""

    times: EventTimes
    rows: EpisodeRows
    designs: Sequence[tuple[Design, DesignMatrix]]


def _read(choices: Choices, frame: pd.DataFrame, columns: Mapping[str, str | None], *, want_inverse: bool) -> _Episodes:
    formulas = (choices.incidence, choices.latency)
    try:
        times = read_event_times(frame, **columns)
    except ContractError as error:
        raise with_covariates(error, frame, formulas) from None
    found = None if want_inverse else cell_episodes(formulas, frame, times)
    if found is not None:
        return _Episodes(times, *found)
    return _Episodes(times, *design_episodes(formulas, frame, times, want_inverse=want_inverse))


def with_covariates(error: ContractError, frame: pd.DataFrame, formulas: Sequence[str]) -> ContractError:
    """Add to what is wrong with times what is wrong with the columns of formulas, so that all is said at once."""
    variables = sorted({name for text in formulas for name in parse_formula("a", text)})
    return ContractError([*error.violations, *check_variables(frame, tuple(variables))])


def _few_episodes(choices: Choices, frame: pd.DataFrame, columns: Mapping[str, str | None]) -> _Episodes | None:
    """Count rows that are alike before anything is read; None where that does not help, or what is read is wrong."""
    formulas = (choices.incidence, choices.latency)
    if any(is_stateful(text) for text in formulas):
        return None
    named = [name for role, name in columns.items() if name is not None and role != "weights_col"]
    named += sorted({name for text in formulas for name in parse_formula("a", text)})
    weights_col = columns["weights_col"]
    needed = named if weights_col is None else [*named, weights_col]
    if frame.empty or not named or not set(needed) <= set(frame.columns):
        return None
    counted = distinct_rows(frame, named, weights_col)
    if counted is None:
        return None
    few, count_col = counted
    try:
        return _read(choices, few, {**columns, "weights_col": count_col}, want_inverse=False)
    except ContractError:
        return None  # the whole frame will say which of its rows are wrong, and how many


def _problem(choices: Choices, rows: EpisodeRows, designs: Sequence[tuple[Design, DesignMatrix]]) -> Problem:
    """Refuse what cannot be fitted, and arrange the rest for the likelihood."""
    (incidence, incidence_matrix), (latency, latency_matrix) = designs
    distribution = standard_distribution(choices.distribution)
    parts = {"incidence": (incidence_matrix, incidence.terms), "latency": (latency_matrix, latency.terms)}
    names = [(part, term) for part, (_, terms) in parts.items() for term in terms]
    names += [("ancillary", term) for term in distribution.ancillary_terms]
    check_events(rows, parts, len(names), has_scale=distribution.has_scale)
    weight = rows.pattern_weight
    scalings = [scale_design("incidence", incidence_matrix, incidence.terms, weight)]
    same = latency_matrix is incidence_matrix
    scalings.append(scalings[0] if same else scale_design("latency", latency_matrix, latency.terms, weight))
    shift = log_time_unit(rows) if scalings[1].has_constant else 0.0
    link = choices.family.links[choices.link]
    data = mixture_data(rows, incidence_matrix, latency_matrix, distribution, link, shift, choices.family)
    return Problem(data=data, incidence=scalings[0], latency=scalings[1], names=tuple(names), rows=rows, shift=shift)


def _estimates(problem: Problem, found: Estimate, covariance: Array) -> dict[str, Any]:
    """Label estimates and covariance; what is not identified has no standard error."""
    terms = list(dict.fromkeys(term for _, term in problem.names))
    parts = ["incidence", "latency", "ancillary"]
    codes = [[parts.index(part) for part, _ in problem.names], [terms.index(term) for _, term in problem.names]]
    labels = pd.MultiIndex(levels=[parts, terms], codes=codes, names=["part", "term"])
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
    data, weight = problem.data, problem.rows.pattern_weight
    n_incidence = data.incidence.shape[1]
    beta, block = found.theta[:n_incidence], covariance[:n_incidence, :n_incidence]
    band = mean_never(data.incidence, beta, block, data.link, weight, float(ndtri(0.5 + 0.5 * level)))
    known = bool(found.identified[:n_incidence].all())
    lower, upper = (float(limit[0]) if known else float("nan") for limit in (band.lower, band.upper))
    return ShareInterval(float(band.value[0]), lower, upper, level)
