"""The Cox cure model: who ever has the event, and how covariates speed it up among those that do.

P(T > t) = 1 - p(x) + p(x) S(t)^exp(x'b): incidence p by logistic regression, latency by proportional hazards with a
baseline S that takes whatever shape the events have (Kuk and Chen 1992, Biometrika 79:531; Sy and Taylor 2000; Peng and
Dear 2000). Nothing is assumed about when the event happens, so that what comes after the last one cannot be estimated:
those seen event-free beyond it are taken never to have the event (zero tail, Taylor 1995), and the fit says how many
that are. This module knows nothing of months, loans or money.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, Violation
from recoverykit.estimators._cox_checks import covariates_of
from recoverykit.estimators._cox_cure_data import CoxCureProblem, centred, cox_cure_problem, read_times
from recoverykit.estimators._cox_cure_estimation import CoxCureEstimate, estimate
from recoverykit.estimators._cox_cure_kernels import inverse_diagonal
from recoverykit.estimators._cox_cure_prediction import BaselineHazard, CoxCurePredictor, mean_never
from recoverykit.estimators._cox_cure_sandwich import cluster_covariance
from recoverykit.estimators._cox_cure_ties import TIE_RULES
from recoverykit.estimators._episode_designs import design_episodes
from recoverykit.estimators._event_times import EventTimes
from recoverykit.estimators._fit_tables import ShareInterval
from recoverykit.estimators._formulas import Design, parse_formula
from recoverykit.estimators._mixture_data import Scaling, check_events, scale_design
from recoverykit.estimators._mixture_sandwich import ClusterIndex, cluster_index
from recoverykit.estimators._rows import TABLE, check_choice, check_level
from recoverykit.estimators.cox_cure_fit import CoxCureFit

__all__ = ["CoxCureFit", "CoxCureModel"]

Array = NDArray[np.float64]

#: A mean of 1, with room for rounding.
_LEAST_MEAN_WEIGHT = 1.0 - 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxCureModel:
    """Choose a Cox cure model: the covariates of its two parts, and the rule for tied events.

    Attributes
    ----------
    incidence : str
        Formula of P(ever has the event) on the logit scale.
    latency : str
        Formula of the log hazard of those that have it; positive coefficients mean sooner. The intercept goes into the
        baseline.
    ties : str
        ``breslow`` or ``efron``. Whole months tie many events, where Breslow's rule pulls hazard ratios towards 1 and
        may move an incidence with them; Efron's is the better one there.

    Raises
    ------
    ValueError
        If a choice is not allowed or a formula cannot be read.

    Examples
    --------
    >>> import pandas as pd
    >>> counts = pd.DataFrame({"month": [1, 2, 3, 4, 6, 12], "cured": [1, 1, 1, 1, 1, 0], "n": [9, 8, 5, 3, 2, 73]})
    >>> fit = CoxCureModel(ties="efron").fit(counts, duration_col="month", event_col="cured", weights_col="n")
    >>> round(fit.never.value, 2)  # all that are still open after the last cure
    0.73
    """

    incidence: str = "~ 1"
    latency: str = "~ 1"
    ties: str = "breslow"

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("ties", self.ties, tuple(TIE_RULES))
        parse_formula("incidence", self.incidence)
        parse_formula("latency", self.latency)

    def fit(
        self,
        frame: pd.DataFrame,
        *,
        duration_col: str | None = None,
        event_col: str | None = None,
        weights_col: str | None = None,
        entry_col: str | None = None,
        lower_col: str | None = None,
        upper_col: str | None = None,
        cluster_col: str | None = None,
        event_name: str | None = None,
        level: float = 0.95,
        progress: bool = False,
    ) -> CoxCureFit:
        """Fit by maximum profile likelihood, from several starts, with the exact information.

        Parameters
        ----------
        frame : DataFrame
            One row per episode, or per group of equal episodes with their number as weight; never modified.
        duration_col, event_col : str
            Time of the event or of censoring, 0 or more, and whether the event was seen.
        weights_col : str, optional
            Case weights, > 0: weight 2 is the row twice, ties included. Efron's rule takes events one by one, so that
            it needs weights of 1 or more on average; shares are for Breslow's.
        entry_col : str, optional
            Time at which observation began; the likelihood is conditional on no event until then. An episode seen from
            0 is at risk at time 0 too.
        lower_col, upper_col : str, optional
            Refused: the baseline jumps at event times, so an event must have one (see Raises). For the same reason
            there is no background hazard: beside a jump a hazard per unit of time counts for nothing.
        cluster_col : str, optional
            Obligor or other cluster: standard errors become cluster-robust.
        event_name : str, optional
            What the event is called in sentences; ``event_col`` when not given.
        level : float
            Confidence level of every interval, in (0, 1).
        progress : bool
            Whether to show a progress bar over the starts.

        Returns
        -------
        CoxCureFit
            The best maximum found, converged; it says where it stands on a boundary.

        Raises
        ------
        ValueError
            If an option is not allowed, or event times are given as intervals. For months take the month of the event
            as its time, with ``ties="efron"``; for wider intervals a parametric latency, as in ``MixtureCureModel``.
        ContractError
            If columns are absent or rows break a rule; all at once.
        InsufficientDataError
            If the data cannot carry the model: no event, all events at one time, separation, columns that repeat each
            other or have one value.
        ConvergenceError
            If no start reaches a maximum.
        """
        check_level(level)
        if duration_col is None or event_col is None or lower_col is not None or upper_col is not None:
            raise ValueError(
                "a Cox cure model needs duration_col and event_col: its baseline jumps at event times, so it cannot "
                "take events known to lie in (lower, upper] only. For months give the month of the event as its time "
                "and ties='efron'; for wider intervals use MixtureCureModel or PromotionTimeModel"
            )
        times = read_times(frame, duration_col, event_col, weights_col, entry_col)
        if self.ties == "efron" and times.weights is not None and times.weights.mean() < _LEAST_MEAN_WEIGHT:
            rule = (
                f"{weights_col} must be 1 or more on average where ties are Efron's; count episodes, or take Breslow's"
            )
            raise ContractError([Violation(TABLE, rule)])
        columns = {
            "duration_col": duration_col,
            "event_col": event_col,
            "weights_col": weights_col,
            "entry_col": entry_col,
        }
        clusters = None if cluster_col is None else cluster_index(frame, cluster_col, times.weights)
        designs, problem, means = _prepare(self, frame, times, want_inverse=clusters is not None)
        found = estimate(problem, progress=progress)
        name = event_name or event_col
        return _assemble(
            self, problem, designs, found, clusters, means=means, columns=columns, event_name=name, level=level
        )


def _prepare(
    model: CoxCureModel, frame: pd.DataFrame, times: EventTimes, *, want_inverse: bool
) -> tuple[tuple[Design, Design], CoxCureProblem, Array]:
    """Compress the rows, build the designs on them and refuse what cannot be fitted."""
    rows, ((incidence, incidence_matrix), (latency, latency_matrix)) = design_episodes(
        (model.incidence, model.latency), frame, times, want_inverse=want_inverse
    )
    found_terms, covariates = covariates_of(latency, latency_matrix)
    terms = tuple(found_terms)
    parts = {"incidence": (incidence_matrix, incidence.terms), "latency": (covariates, terms)}
    names = tuple((part, term) for part, (_, part_terms) in parts.items() for term in part_terms)
    check_events(rows, parts, len(names), has_scale=True)
    weight = rows.pattern_weight
    within, means = centred("latency", covariates, terms, weight)
    scaling = scale_design("incidence", incidence_matrix, incidence.terms, weight)
    empty = Scaling(np.zeros((0, 0)), np.zeros(0), has_constant=False)
    other = scale_design("latency", within, terms, weight) if terms else empty
    problem = cox_cure_problem(rows, (incidence_matrix, within), (scaling, other), names, model.ties)
    return (incidence, latency), problem, means


def _assemble(
    model: CoxCureModel,
    problem: CoxCureProblem,
    designs: tuple[Design, Design],
    found: CoxCureEstimate,
    clusters: ClusterIndex | None,
    *,
    means: Array,
    columns: Mapping[str, str | None],
    event_name: str,
    level: float,
) -> CoxCureFit:
    """Turn arrays into the labelled fit."""
    covariance = found.covariance
    if clusters is not None:
        covariance = cluster_covariance(problem, found.theta, found.at, covariance, clusters)
    labels = pd.MultiIndex.from_tuples(problem.names, names=["part", "term"])
    masked = np.where(np.outer(found.identified, found.identified), covariance, np.nan)
    rows, event = problem.rows, problem.rows.is_event
    hazard = BaselineHazard(
        times=problem.event_times,
        cumulative=found.at.baseline.cumulative,
        path=found.at.path,
        variance=inverse_diagonal(found.at.precision),
        means=means,
        has_tail=problem.n_tail > 0,
    )
    return CoxCureFit(
        **asdict(model),
        event_name=event_name,
        params=pd.Series(found.theta, index=labels, name="estimate"),
        standard_errors=pd.Series(np.sqrt(np.diag(masked)), index=labels, name="standard_error"),
        cov=pd.DataFrame(masked, index=labels, columns=labels),
        loglik=found.at.value,
        n_episodes=float(rows.weight.sum()),
        n_events=float(rows.weight[event].sum()),
        n_tail=problem.n_tail,
        n_rows=rows.n_input_rows,
        n_compressed_rows=len(rows.weight),
        n_clusters=None if clusters is None else clusters.n_clusters,
        boundary=found.boundary,
        n_starts=found.n_starts,
        n_agreed=found.n_agreed,
        n_iterations=found.n_iterations,
        never=_never(problem, found, covariance, hazard, level),
        last_event_time=float(problem.event_times[-1]),
        last_time=float(rows.lower.max()),
        level=level,
        baseline=_baseline_frame(problem, found, means),
        columns=columns,
        designs=designs,
        covariance=covariance,
        hazard=hazard,
    )


def _baseline_frame(problem: CoxCureProblem, found: CoxCureEstimate, means: Array) -> pd.DataFrame:
    """Return the baseline at latency terms of 0, where the likelihood knows it at their means."""
    with np.errstate(over="ignore"):
        factor = float(np.exp(-means @ found.theta[problem.data.incidence.shape[1] :]))
        cumulative = factor * found.at.baseline.cumulative
    return pd.DataFrame(
        {
            "n_events": problem.data.event_counts,
            "jump": factor * found.at.baseline.jumps,
            "cumulative_hazard": cumulative,
            "survival": np.exp(-cumulative),
        },
        index=pd.Index(problem.event_times, name="time"),
    )


def _never(
    problem: CoxCureProblem, found: CoxCureEstimate, covariance: Array, hazard: BaselineHazard, level: float
) -> ShareInterval:
    """Average 1 - incidence over the episodes of the fit; without interval where the incidence is not identified."""
    data = problem.data
    predictor = CoxCurePredictor(found.theta, covariance, data.incidence, data.latency, hazard, level)
    band = mean_never(predictor, problem.rows.pattern_weight)
    known = bool(found.identified[: data.incidence.shape[1]].all())
    lower, upper = (float(limit[0]) if known else float("nan") for limit in (band.lower, band.upper))
    return ShareInterval(float(band.value[0]), lower, upper, level)
