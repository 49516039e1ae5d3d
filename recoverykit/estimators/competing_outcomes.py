"""All outcomes of a default episode at once: which will end it, if any, and when.

P(outcome k by t) = pi_k(x) (1 - S_k(t | x)): a multinomial-logit incidence says how an episode ends, one class may
never resolve, and each outcome has a latency of its own (Larson and Dinse 1985, Applied Statistics 34:201-211). So the
probabilities of all outcomes and of staying open add up to 1 at every time, which separate models of cause-specific
times do not promise. With a single outcome it is the mixture cure model. This module knows nothing of money.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError
from recoverykit.estimators._competing_data import Outcomes, Problem, check_outcomes, make_problem, read_outcomes
from recoverykit.estimators._competing_estimation import estimate, sandwich
from recoverykit.estimators._competing_prediction import Predictor
from recoverykit.estimators._competing_tables import mean_bands
from recoverykit.estimators._episode_designs import design_episodes
from recoverykit.estimators._event_times import EventTimes
from recoverykit.estimators._fit_tables import ShareInterval
from recoverykit.estimators._formulas import Design, parse_formula
from recoverykit.estimators._mixture_estimation import Estimate
from recoverykit.estimators._mixture_fitting import with_covariates
from recoverykit.estimators._mixture_sandwich import ClusterIndex, cluster_index
from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.estimators.competing_outcomes_fit import NEVER, CompetingOutcomesFit
from recoverykit.estimators.distributions import LATENCY_DISTRIBUTIONS, standard_distribution
from recoverykit.vocabulary import Outcome

__all__ = ["CompetingOutcomesFit", "CompetingOutcomesModel"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompetingOutcomesModel:
    """Choose a competing-outcomes model: latency distributions, covariates, and whether some never resolve.

    Attributes
    ----------
    distribution : str or mapping of str to str
        Latency log T = x'beta + sigma eps of every outcome, or by outcome: ``weibull``, ``exponential``,
        ``lognormal``, ``loglogistic``, ``gamma``, ``generalized_gamma``.
    incidence : str
        Formula of the log odds of each outcome against the reference: never resolving, or without that class the first
        outcome in the order of the legend (cured, repaid, liquidated, sold, written_off).
    latency : str or mapping of str to str
        Formula of log time to each outcome among the episodes that it ends; positive coefficients mean later.
    never_resolves : bool
        Whether there is a class of episodes that no outcome ever ends.

    Raises
    ------
    ValueError
        If a choice is not allowed or a formula cannot be read.

    Examples
    --------
    >>> import pandas as pd
    >>> months = list(range(1, 9))
    >>> cured = pd.DataFrame({"month": months, "outcome": "cured", "n": [2, 6, 9, 8, 6, 4, 2, 1]})
    >>> sold = pd.DataFrame({"month": months, "outcome": "sold", "n": [1, 1, 2, 3, 4, 3, 2, 1]})
    >>> still = pd.DataFrame({"month": [24], "outcome": "open", "n": [45]})
    >>> counts = pd.concat([cured, sold, still])
    >>> fit = CompetingOutcomesModel().fit(counts, duration_col="month", outcome_col="outcome", weights_col="n")
    >>> fit.predict_incidence(counts.head(1)).round(2).iloc[0].to_dict()  # 38, 17 and 45 of 100 episodes
    {'cured': 0.38, 'sold': 0.17, 'never_resolves': 0.45}
    """

    distribution: str | Mapping[str, str] = "weibull"
    incidence: str = "~ 1"
    latency: str | Mapping[str, str] = "~ 1"
    never_resolves: bool = True

    def __post_init__(self) -> None:
        """Check the choices."""
        for name in _values(self.distribution):
            check_choice("distribution", name, tuple(LATENCY_DISTRIBUTIONS))
        parse_formula("incidence", self.incidence)
        for text in _values(self.latency):
            parse_formula("latency", text)
        if not isinstance(self.never_resolves, bool):
            raise ValueError(f"never_resolves is {self.never_resolves!r}; it must be True or False")

    def fit(
        self,
        frame: pd.DataFrame,
        *,
        duration_col: str | None = None,
        outcome_col: str,
        censored: str = Outcome.OPEN,
        lower_col: str | None = None,
        upper_col: str | None = None,
        weights_col: str | None = None,
        entry_col: str | None = None,
        background_cols: Mapping[str, str] | None = None,
        cluster_col: str | None = None,
        level: float = 0.95,
        progress: bool = False,
    ) -> CompetingOutcomesFit:
        """Fit by maximum likelihood, from several starts, with the exact Hessian.

        Parameters
        ----------
        frame : DataFrame
            One row per episode, or per group of equal episodes with their number as weight; never modified.
        duration_col : str, optional
            Exact times: time of the outcome or of censoring.
        outcome_col : str
            Outcome of each row, or ``censored``; the model is of the outcomes that occur.
        censored : str
            The value of ``outcome_col`` that means no outcome yet.
        lower_col, upper_col : str, optional
            Interval times, instead: the outcome lies in (lower, upper]; upper infinite for the open ones, equal to
            lower for an exact time. A month m of a monthly count is (m - 1, m].
        weights_col : str, optional
            Case weights, > 0: weight 2 is the row twice.
        entry_col : str, optional
            Time at which observation began; the likelihood is conditional on being open then.
        background_cols : mapping of str to str, optional
            Outcome -> column of the hazard, per unit of time, at which it comes to every open episode for reasons that
            are not the model's, never-resolving ones included: known from elsewhere, such as statutory write-offs. It
            is read at the time of an outcome or throughout its interval, and the model then speaks of the outcomes
            beyond it (see Notes).
        cluster_col : str, optional
            Obligor or other cluster: standard errors become cluster-robust.
        level : float
            Confidence level of every interval, in (0, 1).
        progress : bool
            Whether to show a progress bar over the starts.

        Returns
        -------
        CompetingOutcomesFit
            The best maximum found, converged; it says where it stands on a boundary.

        Raises
        ------
        ValueError
            If an option is not allowed, an outcome has no distribution or latency formula in a mapping, a background is
            that of an outcome that does not occur, or not exactly one form of time is given.
        ContractError
            If columns are absent or rows break a rule; all at once.
        InsufficientDataError
            If the data cannot carry the model; names the outcome: too few episodes, all in one interval, separation.
        ConvergenceError
            If no start reaches a maximum.

        Notes
        -----
        With S(t) the model's chance of being open and h_k the background hazard of outcome k, an episode that ends in k
        at t adds log(pi_k f_k(t) + h_k S(t)), the extension of the cure model's background (de Angelis et al. 1999,
        Stat. Med. 18:441) to several outcomes: background ends come independently of the model's own and compete with
        them. The chance of having escaped all backgrounds is left out, because it depends on no parameter. In an
        interval (l, r] of width w, where h is the sum of all backgrounds, it adds log(pi_k (S_k(l) - S_k(r)) +
        S(r) (1 - exp(-h w)) h_k / h): of two ends in one interval the model's own counts.
        """
        check_level(level)
        columns: dict[str, Any] = {
            "outcome_col": outcome_col,
            "censored": str(censored),
            "duration_col": duration_col,
            "lower_col": lower_col,
            "upper_col": upper_col,
            "weights_col": weights_col,
            "entry_col": entry_col,
        }
        try:
            outcomes, times = read_outcomes(frame, **columns, background_cols=background_cols)
        except ContractError as error:
            raise with_covariates(error, frame, (self.incidence, *_values(self.latency))) from None
        clusters = None if cluster_col is None else cluster_index(frame, cluster_col, times.weights)
        designs, problem = _prepare(self, frame, outcome_col, outcomes, times, want_inverse=clusters is not None)
        found = estimate(problem, progress=progress)
        kept = {**columns, "background_cols": dict(background_cols or {})}
        return _assemble(self, problem, designs, found, clusters, columns=kept, form=times.form, level=level)


def _values(choice: str | Mapping[str, str]) -> list[str]:
    return [choice] if isinstance(choice, str) else list(choice.values())


def _by_outcome(name: str, choice: str | Mapping[str, str], outcomes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the choice for each outcome; ValueError where a mapping leaves one out."""
    if isinstance(choice, str):
        return (choice,) * len(outcomes)
    missing = [outcome for outcome in outcomes if outcome not in choice]
    if missing:
        raise ValueError(
            f"{name} says nothing of {', '.join(repr(m) for m in missing)}, which the frame has; it names "
            f"{', '.join(repr(str(k)) for k in choice)}. Give one for each outcome, or one text for all"
        )
    return tuple(choice[outcome] for outcome in outcomes)


def _prepare(
    model: CompetingOutcomesModel,
    frame: pd.DataFrame,
    outcome_col: str,
    outcomes: Outcomes,
    times: EventTimes,
    *,
    want_inverse: bool,
) -> tuple[tuple[Design, ...], Problem]:
    """Compress the rows, build the designs on them and refuse what cannot be fitted."""
    if model.never_resolves and NEVER in outcomes.names:
        raise ValueError(f"{NEVER!r} is the class that no outcome ends; call the outcome of {outcome_col} otherwise")
    latency = _by_outcome("latency", model.latency, outcomes.names)
    names = _by_outcome("distribution", model.distribution, outcomes.names)
    distributions = tuple(standard_distribution(name) for name in names)
    texts = (model.incidence, *latency)
    if any(outcome_col in parse_formula("a", text) for text in texts):
        raise ValueError(f"a formula reads {outcome_col}, which is what the model predicts")
    # The outcome takes part in the compression like a covariate: rows of one pattern then share it.
    rows, learnt = design_episodes(texts, frame, times, beside=(outcome_col,), want_inverse=want_inverse)
    codes = outcomes.codes[rows.representatives]
    codes = codes if rows.pattern is None else codes[rows.pattern]
    parts = [(matrix, design.terms) for design, matrix in learnt]
    check_outcomes(rows, codes, outcomes.names, parts, distributions)
    problem = make_problem(rows, codes, outcomes.names, parts, distributions, never=model.never_resolves)
    return tuple(design for design, _ in learnt), problem


def _assemble(
    model: CompetingOutcomesModel,
    problem: Problem,
    designs: tuple[Design, ...],
    found: Estimate,
    clusters: ClusterIndex | None,
    *,
    columns: Mapping[str, object],
    form: str,
    level: float,
) -> CompetingOutcomesFit:
    """Turn arrays into the labelled fit."""
    covariance = found.covariance
    if clusters is not None:
        covariance = sandwich(problem, found.theta, covariance, clusters)
    labels = _labels(problem)
    masked = np.where(np.outer(found.identified, found.identified), covariance, np.nan)
    rows, layout = problem.rows, problem.data.layout
    n_by_outcome = np.bincount(problem.codes + 1, weights=rows.weight, minlength=layout.n_outcomes + 1)[1:]
    ends = np.where(rows.is_event, rows.upper, rows.lower)
    return CompetingOutcomesFit(
        outcomes=problem.outcomes,
        distribution=dict(zip(problem.outcomes, (d.name for d in layout.distributions), strict=True)),
        incidence=model.incidence,
        latency=dict(zip(problem.outcomes, (d.formula for d in designs[1:]), strict=True)),
        never_resolves=model.never_resolves,
        params=pd.Series(found.theta, index=labels, name="estimate"),
        standard_errors=pd.Series(np.sqrt(np.diag(masked)), index=labels, name="standard_error"),
        cov=pd.DataFrame(masked, index=labels, columns=labels),
        loglik=found.loglik,
        n_episodes=float(rows.weight.sum()),
        n_events=float(n_by_outcome.sum()),
        n_by_outcome=dict(zip(problem.outcomes, (float(n) for n in n_by_outcome), strict=True)),
        n_rows=rows.n_input_rows,
        n_compressed_rows=len(rows.weight),
        form=form,
        n_clusters=None if clusters is None else clusters.n_clusters,
        boundary=found.boundary,
        n_starts=found.n_starts,
        n_agreed=found.n_agreed,
        n_iterations=found.n_iterations,
        never=_never(problem, found, covariance, level),
        last_time=float(ends.max()),
        level=level,
        columns=columns,
        designs=designs,
        covariance=covariance,
    )


def _labels(problem: Problem) -> pd.MultiIndex:
    """Return the index of parameters; levels in order of appearance, so that it counts as sorted when it is read."""
    parts, outcomes, terms = zip(*problem.names, strict=True)
    orders = (("incidence", "latency", "ancillary"), problem.outcomes, tuple(dict.fromkeys(terms)))
    codes = [
        [order.index(name) for name in column] for column, order in zip((parts, outcomes, terms), orders, strict=True)
    ]
    return pd.MultiIndex(levels=[list(order) for order in orders], codes=codes, names=["part", "outcome", "term"])


def _never(problem: Problem, found: Estimate, covariance: Array, level: float) -> ShareInterval | None:
    """Average the chance of never resolving over the episodes of the fit; no interval where it is not identified."""
    layout, weight = problem.data.layout, problem.rows.pattern_weight
    if not layout.has_never:
        return None
    predictor = Predictor(
        theta=found.theta,
        covariance=covariance,
        designs=problem.data.designs,
        layout=layout,
        given=np.zeros(len(weight)),
        level=level,
        inverse=np.arange(len(weight)),
    )
    (band,) = mean_bands(predictor, [layout.n_outcomes], np.array([np.inf]), weight)
    known = all(bool(found.identified[part.slice].all()) for part in layout.parts if part.name == "incidence")
    lower, upper = (float(limit[0]) if known else float("nan") for limit in (band.lower, band.upper))
    return ShareInterval(float(band.value[0]), lower, upper, level)
