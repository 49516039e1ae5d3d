"""Cox regression of the time to an event of a default episode, such as its cure.

lifelines maximises Efron's partial likelihood, which is the right one of the usual two when whole months tie many
events; Breslow's is there beside it. This module brings what a book needs around it: rows that count for many episodes
and give exactly what the repeated rows give, late entry, errors robust to several facilities of one obligor that keep
the ties, and refusals in words. It fits no baseline and predicts no probability: when outcomes compete, a hazard ratio
speaks of the hazard of this event only, not of the share that ever has it (for that see ``fine_gray``).
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError as LifelinesConvergenceError

from recoverykit.errors import ConvergenceError, Violation
from recoverykit.estimators._breslow_kernels import breslow_point, inverse_information, maximise, plain_risk_sets
from recoverykit.estimators._cox_checks import check_clusters, check_maximum, check_sufficient, covariates_of
from recoverykit.estimators._cox_kernels import sandwich, score_residuals
from recoverykit.estimators._formulas import Design, check_variables, learn_design, parse_formula
from recoverykit.estimators._rows import (
    Array,
    BoolArray,
    IntArray,
    broken,
    check_choice,
    check_columns,
    check_level,
    check_rows,
    event_flags,
    number_column,
)
from recoverykit.estimators.cox_fit import CoxFit

__all__ = ["CoxFit", "CoxModel"]

WEIGHT_KINDS = ("counts", "sampling")
TIE_RULES = ("efron", "breslow")
#: lifelines stops when half the squared Newton step, in standard errors, is below this; its own relative change of the
#: log-likelihood would stop it at an error of 1e-6, and at once where the log-likelihood is above 0.
PRECISION = {"precision": 1e-16, "r_precision": -np.inf}
#: The first step as a share of Newton's, and how many steps: lifelines' own share, which does in ten or never, then one
#: that does not overshoot where a value lies far out.
ATTEMPTS = ({"step_size": 0.95, "max_steps": 50}, {"step_size": 0.1, "max_steps": 500})
#: Months are summed as blocks where there are fewer distinct ones than this share of the rows.
BATCH_SHARE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """Rows as they enter the likelihood, events of weight 1 each where weights are counts."""

    design: Array
    durations: Array
    entries: Array
    is_event: BoolArray
    weights: Array
    clusters: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class _Estimate:
    coefficients: Array
    covariance: Array
    loglik: float
    loglik_null: float
    is_robust: bool


@dataclass(frozen=True, slots=True)
class CoxModel:
    """Choose a Cox model: the covariates of the log hazard.

    Attributes
    ----------
    formula : str
        Right side of a formula, with at least one covariate. The intercept goes into the baseline.
    ties : {"efron", "breslow"}
        How tied events enter. Whole months tie many, where Breslow's rule pulls hazard ratios towards 1; it is there
        for comparison with software that knows no other.

    Raises
    ------
    ValueError
        When the formula cannot be read or the rule is not known.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 4, 4, 6, 7, 9, 9, 12], "cured": [1, 1, 1, 0, 1, 1, 0, 0],
    ...                       "secured": [1, 1, 0, 1, 0, 1, 0, 0]})
    >>> fit = CoxModel(formula="~ secured").fit(frame, duration_col="months", event_col="cured")
    >>> fit.to_frame()["hazard_ratio"].round(2).item()
    2.46

    Secured loans cure at about 2.5 times the hazard of the others, on five cures.
    """

    formula: str
    ties: str = "efron"

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("ties", self.ties, TIE_RULES)
        parse_formula("Cox", self.formula)

    def fit(
        self,
        frame: pd.DataFrame,
        *,
        duration_col: str,
        event_col: str,
        weights_col: str | None = None,
        entry_col: str | None = None,
        cluster_col: str | None = None,
        weights_are: str = "counts",
        level: float = 0.95,
    ) -> CoxFit:
        """Fit by maximum partial likelihood.

        Parameters
        ----------
        frame : DataFrame
            One row per episode, or per group of equal episodes when ``weights_col`` is given. Not changed.
        duration_col : str
            Months to the event or to censoring, at least 0.
        event_col : str
            True (or 1) where the event was seen, False (or 0) where the episode was censored.
        weights_col : str, optional
            Weight of each row, above 0.
        entry_col : str, optional
            Months in default when observation began; a row with entry e > 0 is at risk in the months after e.
        cluster_col : str, optional
            Obligor or other cluster: standard errors become those of Lin & Wei, summed by cluster, ties kept (the
            robust errors of lifelines leave ties out and come out about 2 % low on weekly data).
        weights_are : {"counts", "sampling"}
            "counts": a row of weight 2 is the row twice, exactly, tied events included; weights of events are whole
            numbers. "sampling": case weights as in R's ``coxph``, for which a tied row of weight 2 is not quite two
            rows; standard errors are then robust, by row unless ``cluster_col`` says otherwise.
        level : float
            Confidence level of the intervals in (0, 1).

        Returns
        -------
        CoxFit

        Raises
        ------
        ValueError
            When an option is not allowed.
        ContractError
            When columns are missing or rows break a rule; all at once.
        InsufficientDataError
            When there is no covariate, no event, fewer events than covariates, a constant covariate, one that
            repeats others, or a single cluster.
        ConvergenceError
            When the partial likelihood has no maximum, as when a covariate separates those with the event.
        """
        check_choice("weights_are", weights_are, WEIGHT_KINDS)
        check_level(level)
        check_columns(frame, [duration_col, event_col, weights_col, entry_col, cluster_col])
        is_event, faults = event_flags(frame, event_col)
        rows = check_rows(
            frame,
            by=(),
            is_event=is_event,
            faults=faults + self._faults(frame, is_event, weights_col, cluster_col, weights_are),
            duration_col=duration_col,
            weights_col=weights_col,
            entry_col=entry_col,
        )
        design, matrix = learn_design(self.formula, frame)
        terms, covariates = covariates_of(design, matrix)
        clusters = np.arange(len(frame)) if cluster_col is None else pd.factorize(frame[cluster_col])[0]
        every = _Data(covariates, rows.durations, rows.entries, is_event, rows.weights, clusters)
        data = _at_risk(every, repeat_events=weights_are == "counts")
        check_sufficient(data.design, int(data.is_event.sum()), terms)
        if cluster_col is not None:
            check_clusters(cluster_col, data.clusters)
        is_robust = cluster_col is not None or (weights_are == "sampling" and weights_col is not None)
        return self._fit_of(
            data, terms, design, _maximise(data, terms, self.ties, is_robust=is_robust), event_col, level
        )

    def _fit_of(
        self, data: _Data, terms: list[str], design: Design, estimate: _Estimate, event_col: str, level: float
    ) -> CoxFit:
        return CoxFit(
            formula=self.formula,
            event_name=event_col,
            params=pd.Series(estimate.coefficients, index=terms, name="coefficient"),
            cov=pd.DataFrame(estimate.covariance, index=terms, columns=terms),
            loglik=estimate.loglik,
            loglik_null=estimate.loglik_null,
            n_episodes=float(data.weights.sum()),
            n_events=float(data.weights[data.is_event].sum()),
            n_clusters=len(np.unique(data.clusters)) if estimate.is_robust else None,
            level=level,
            means=pd.Series(np.average(data.design, axis=0, weights=data.weights), index=terms),
            design=design,
        )

    def _faults(
        self,
        frame: pd.DataFrame,
        is_event: BoolArray,
        weights_col: str | None,
        cluster_col: str | None,
        weights_are: str,
    ) -> list[Violation]:
        """Return what is wrong with covariates, clusters and the weights of events."""
        faults = check_variables(frame, parse_formula("Cox", self.formula))
        if cluster_col is not None:
            faults += broken(frame, f"{cluster_col} must not be missing", frame[cluster_col].isna().to_numpy())
        if weights_are == "counts":
            weights = number_column(frame, weights_col, 1.0)
            rule = f"{weights_col} of an event must be a whole number where weights are counts"
            faults += broken(frame, rule, is_event & (np.isfinite(weights) & (weights != np.round(weights))))
        return faults


def _at_risk(rows: _Data, *, repeat_events: bool) -> _Data:
    """Leave out rows that were never at risk, and write counted events out one by one."""
    # Efron's steps go through tied events one at a time, so that only single rows give what repeated rows give;
    # rows without the event enter through sums and may stay together.
    seen = (rows.entries == 0) | (rows.durations > rows.entries)
    times = np.where(rows.is_event & repeat_events, rows.weights, 1.0).astype(np.int64)
    take = np.repeat(np.flatnonzero(seen), times[seen])
    return _Data(
        design=rows.design[take],
        durations=rows.durations[take],
        # Who was seen from the start is at risk at month 0 too.
        entries=np.where(rows.entries[take] > 0, rows.entries[take], -1.0),
        is_event=rows.is_event[take],
        weights=np.where(rows.is_event[take] & repeat_events, 1.0, rows.weights[take]),
        clusters=rows.clusters[take],
    )


def _maximise(data: _Data, terms: list[str], ties: str, *, is_robust: bool) -> _Estimate:
    coefficients, covariance, loglik, loglik_null = (_efron if ties == "efron" else _breslow)(data, terms)
    check_maximum(terms, covariance, data.design, data.weights)
    if is_robust:
        residuals = score_residuals(
            design=data.design,
            durations=data.durations,
            entries=data.entries,
            is_event=data.is_event,
            weights=data.weights,
            coefficients=coefficients,
            ties=ties,
        )
        covariance = sandwich(covariance, residuals, data.weights, data.clusters)
    return _Estimate(coefficients, covariance, loglik, loglik_null, is_robust)


def _breslow(data: _Data, terms: list[str]) -> tuple[Array, Array, float, float]:
    """Return coefficients, covariance and log-likelihoods, fitted and null, by Breslow's rule."""
    sets = plain_risk_sets(data.durations, data.entries, data.is_event)
    found = maximise(sets, data.design, data.weights, what=", ".join(terms))
    null = breslow_point(np.zeros(len(terms)), sets, data.design, data.weights)
    return found.position, inverse_information(found), found.at.value, null.value


def _efron(data: _Data, terms: list[str]) -> tuple[Array, Array, float, float]:
    """Return coefficients, covariance and log-likelihoods, fitted and null, by Efron's rule."""
    # Bounds on steps are absolute, so that weights which are small shares are raised for the search.
    scale = min(1.0, float(data.weights.mean()))
    fitted = _newton(data, data.weights / scale, terms)
    loglik = scale * float(fitted.log_likelihood_) - float(data.weights[data.is_event].sum()) * float(np.log(scale))
    gain = scale * float(fitted.log_likelihood_ratio_test().test_statistic) / 2
    coefficients, covariance = fitted.params_.to_numpy(dtype=float), fitted.variance_matrix_.to_numpy(dtype=float)
    return coefficients, covariance / scale, loglik, loglik - gain


def _newton(data: _Data, weights: Array, terms: list[str]) -> CoxPHFitter:
    """Run lifelines on plain columns, and turn what it says into our words."""
    columns = [f"x{i}" for i in range(len(terms))]
    frame = pd.DataFrame(data.design, columns=columns)
    frame = frame.assign(duration=data.durations, event=data.is_event, weight=weights)
    options: dict[str, Any] = {"weights_col": "weight"}
    if np.any(data.entries > 0):
        frame["entry"], options["entry_col"] = data.entries, "entry"
    else:
        # Its own choice goes through the rows one by one where months hold thousands of them.
        options["batch_mode"] = bool(len(np.unique(data.durations)) < BATCH_SHARE * len(frame))
    failure: Exception | None = None
    for steps in ATTEMPTS:
        try:
            return _attempt(frame, {**options, "fit_options": {**PRECISION, **steps}})
        except (LifelinesConvergenceError, np.linalg.LinAlgError, ValueError) as error:
            failure = error
    raise ConvergenceError(
        f"Newton's method found no maximum of the partial likelihood of {', '.join(terms)} on "
        f"{int(data.is_event.sum())} events ({type(failure).__name__}); leave covariates out, merge rare levels, or "
        "scale those of very different size"
    ) from failure


def _attempt(frame: pd.DataFrame, options: dict[str, Any]) -> CoxPHFitter:
    """Run lifelines once; its error where the steps do not shrink."""
    with warnings.catch_warnings(record=True) as said:
        # Other warnings of its guess at what is checked here, of separation and of weights that are not whole.
        warnings.simplefilter("always")
        fitted = CoxPHFitter().fit(frame, "duration", "event", **options)
    if any("failed to converge" in str(warning.message) for warning in said):
        raise LifelinesConvergenceError("Newton steps do not shrink")
    return fitted
