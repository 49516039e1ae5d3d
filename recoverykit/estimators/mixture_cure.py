"""The mixture cure model: who ever has the event, and when those do.

P(T > t) = 1 - p(x) + p(x) S(t | x): incidence p is the probability of ever having the event, latency S the survival of
those that do (Boag 1949; Farewell 1982, Biometrics 38:1041-1046). The event may be the return to performing: then the
share that never has it is what recovery must come from. This module knows nothing of months, loans or money: it is
given columns, and speaks of the event by the name it is given.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, InsufficientDataError
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
from recoverykit.estimators._links import LINKS
from recoverykit.estimators._mixture_data import Problem, check_events, log_time_unit, mixture_data, scale_design
from recoverykit.estimators._mixture_estimation import Estimate, estimate
from recoverykit.estimators._mixture_prediction import Predictor, mean_never
from recoverykit.estimators._mixture_sandwich import ClusterIndex, cluster_index, sandwich
from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.estimators.distributions import DISTRIBUTIONS, standard_distribution
from recoverykit.estimators.mixture_cure_fit import MixtureCureFit, ShareInterval

__all__ = ["MixtureCureFit", "MixtureCureModel", "ShareInterval", "compare_fits"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureCureModel:
    """Choose a mixture cure model: its latency distribution and the covariates of its two parts.

    Attributes
    ----------
    distribution : str
        Latency log T = x'beta + sigma eps: ``weibull``, ``exponential`` (sigma = 1), ``lognormal``, ``loglogistic``.
    incidence : str
        Formula of P(ever has the event) on the link scale.
    latency : str
        Formula of log time to the event among those that have it; positive coefficients mean later.
    link : str
        ``logit``, ``probit`` or ``cloglog``.

    Raises
    ------
    ValueError
        If a choice is not allowed or a formula cannot be read.

    Examples
    --------
    >>> import pandas as pd
    >>> counts = pd.DataFrame({"month": [1, 2, 3, 4, 6, 12], "cured": [1, 1, 1, 1, 1, 0], "n": [9, 8, 5, 3, 2, 73]})
    >>> model = MixtureCureModel(distribution="weibull")
    >>> fit = model.fit(counts, duration_col="month", event_col="cured", weights_col="n")
    >>> round(fit.never.value, 2)  # nearly all that are still open at the plateau
    0.73
    """

    distribution: str = "weibull"
    incidence: str = "~ 1"
    latency: str = "~ 1"
    link: str = "logit"

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("distribution", self.distribution, tuple(DISTRIBUTIONS))
        check_choice("link", self.link, tuple(LINKS))
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
    ) -> MixtureCureFit:
        """Fit by maximum likelihood, from several starts, with the exact Hessian.

        Parameters
        ----------
        frame : DataFrame
            One row per episode, or per group of equal episodes with their number as weight; never modified.
        duration_col, event_col : str, optional
            Exact times: time of the event or of censoring, and whether the event was seen.
        lower_col, upper_col : str, optional
            Interval times, instead: the event lies in (lower, upper]; upper infinite where none was seen, equal to
            lower for an exact time. A month m of a monthly count is (m - 1, m].
        weights_col : str, optional
            Case weights, > 0: weight 2 is the row twice.
        entry_col : str, optional
            Time at which observation began; the likelihood is conditional on no event until then.
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
        MixtureCureFit
            The best maximum found, converged; it says where it stands on a boundary.

        Raises
        ------
        ValueError
            If an option is not allowed, or not exactly one form of time is given.
        ContractError
            If columns are absent or rows break a rule; all at once.
        InsufficientDataError
            If the data cannot carry the model: no event, all events in one interval, separation, columns that repeat
            each other.
        ConvergenceError
            If no start reaches a maximum.
        """
        check_level(level)
        times = read_event_times(
            frame,
            duration_col=duration_col,
            event_col=event_col,
            lower_col=lower_col,
            upper_col=upper_col,
            weights_col=weights_col,
            entry_col=entry_col,
        )
        clusters = None if cluster_col is None else cluster_index(frame, cluster_col, times.weights)
        designs, problem = _prepare(self, frame, times, want_inverse=clusters is not None)
        found = estimate(problem, progress=progress)
        name = event_name or event_col or "the event"
        return _assemble(self, problem, designs, found, clusters, event_name=name, form=times.form, level=level)


def compare_fits(fits: Mapping[str, MixtureCureFit]) -> pd.DataFrame:
    """Lay fits of the same episodes side by side, best AIC first.

    Parameters
    ----------
    fits : mapping of str to MixtureCureFit
        By the name under which each is shown.

    Returns
    -------
    DataFrame
        Indexed by name: loglik, n_params, aic, bic, never (share), boundary.

    Raises
    ------
    InsufficientDataError
        If there is no fit.
    ValueError
        If the fits rest on different episodes or on different forms of time, so that their likelihoods do not compare.
    """
    if not fits:
        raise InsufficientDataError("there is no fit to compare")
    grounds = {(round(f.n_episodes, 6), round(f.n_events, 6), f.form) for f in fits.values()}
    if len(grounds) > 1:
        raise ValueError(
            f"fits rest on different data (episodes, events, form): {sorted(grounds)}; fit them on the same"
        )
    rows = [(n, f.loglik, f.n_params, f.aic, f.bic, f.never.value, f.boundary) for n, f in fits.items()]
    columns = ["name", "loglik", "n_params", "aic", "bic", "never", "boundary"]
    return pd.DataFrame(rows, columns=columns).sort_values(["aic", "name"]).set_index("name")


def _prepare(
    model: MixtureCureModel, frame: pd.DataFrame, times: EventTimes, *, want_inverse: bool
) -> tuple[tuple[Design, Design], Problem]:
    """Compress the rows, build the designs on them and refuse what cannot be fitted."""
    formulas = (model.incidence, model.latency)
    variables = tuple(sorted({name for text in formulas for name in parse_formula("a", text)}))
    faults = check_variables(frame, variables)
    if faults:
        raise ContractError(faults)
    rows = compress_rows(times, frame, variables, want_inverse=want_inverse)
    incidence, incidence_matrix = _design(model.incidence, frame, rows)
    latency, latency_matrix = incidence, incidence_matrix
    if model.latency != model.incidence:
        latency, latency_matrix = _design(model.latency, frame, rows)
    distribution = standard_distribution(model.distribution)
    parts = {"incidence": (incidence_matrix, incidence.terms), "latency": (latency_matrix, latency.terms)}
    names = [(part, term) for part, (_, terms) in parts.items() for term in terms]
    names += [("ancillary", term) for term in distribution.ancillary_terms]
    check_events(rows, parts, len(names), has_scale=distribution.has_scale)
    weight = rows.pattern_weight
    scalings = [scale_design(part, matrix, terms, weight) for part, (matrix, terms) in parts.items()]
    shift = log_time_unit(rows) if scalings[1].has_constant else 0.0
    data = mixture_data(rows, incidence_matrix, latency_matrix, distribution, LINKS[model.link], shift)
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


def _assemble(
    model: MixtureCureModel,
    problem: Problem,
    designs: tuple[Design, Design],
    found: Estimate,
    clusters: ClusterIndex | None,
    *,
    event_name: str,
    form: str,
    level: float,
) -> MixtureCureFit:
    """Turn arrays into the labelled fit."""
    covariance = found.covariance
    if clusters is not None:
        covariance = sandwich(problem, found.theta, covariance, clusters)
    labels = pd.MultiIndex.from_tuples(problem.names, names=["part", "term"])
    masked = np.where(np.outer(found.identified, found.identified), covariance, np.nan)
    rows, event = problem.rows, problem.rows.is_event
    return MixtureCureFit(
        **asdict(model),
        event_name=event_name,
        params=pd.Series(found.theta, index=labels, name="estimate"),
        standard_errors=pd.Series(np.sqrt(np.diag(masked)), index=labels, name="standard_error"),
        cov=pd.DataFrame(masked, index=labels, columns=labels),
        loglik=found.loglik,
        n_episodes=float(rows.weight.sum()),
        n_events=float(rows.weight[event].sum()),
        n_rows=rows.n_input_rows,
        n_compressed_rows=len(rows.weight),
        form=form,
        n_clusters=None if clusters is None else clusters.n_clusters,
        boundary=found.boundary,
        n_starts=found.n_starts,
        n_agreed=found.n_agreed,
        n_iterations=found.n_iterations,
        never=_never(problem, found, covariance, level),
        last_time=float(np.where(event, rows.upper, rows.lower).max()),
        level=level,
        designs=designs,
        covariance=covariance,
    )


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
    )
    band = mean_never(predictor, problem.rows.pattern_weight)
    n_incidence = data.incidence.shape[1]
    known = bool(found.identified[:n_incidence].all())
    lower, upper = (float(limit[0]) if known else float("nan") for limit in (band.lower, band.upper))
    return ShareInterval(float(band.value[0]), lower, upper, level)
