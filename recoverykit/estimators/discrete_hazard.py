"""Monthly hazards of competing outcomes, regressed on months in default, covariates and the economy.

In whole months every episode is a row of trials, one a month: stay open, or end in one of the outcomes. Regressing
these trials lets hazards move with the calendar, as unemployment or house prices do, and carries a macro scenario to a
cumulative incidence. The table of one row per episode and month is never made: the model is fitted on cells of pattern
and month with their counts, which give the same likelihood, coefficients and standard errors.

The maximum is found by Newton's method on the cells: the general regression routines of statsmodels, which serve as
oracle in the tests, take five to ten times as long there, and their multinomial one knows no counts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from recoverykit.estimators._discrete_cells import cell_position, weight_never_at_risk
from recoverykit.estimators._discrete_design import offset_formula
from recoverykit.estimators._discrete_kernels import (
    Maximum,
    joint_covariance,
    maximise,
    row_scores,
)
from recoverykit.estimators._discrete_problem import (
    ColumnNames,
    Problem,
    check_separation,
    pose_problem,
    starting_values,
)
from recoverykit.estimators._formulas import parse_formula
from recoverykit.estimators._maximum import clustered_covariance
from recoverykit.estimators._mixture_sandwich import ClusterIndex, cluster_index
from recoverykit.estimators._rows import Array, check_choice, check_level
from recoverykit.estimators.discrete_hazard_fit import DiscreteHazardFit
from recoverykit.vocabulary import Outcome

__all__ = ["DiscreteHazardFit", "DiscreteHazardModel"]

HAZARD_LINKS = ("cloglog", "multinomial")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteHazardModel:
    """Choose a discrete-time hazard model: its covariates and its link.

    Attributes
    ----------
    formula : str
        Right side of a formula. ``month`` in it is the running month in default; other names are columns of the
        episodes, or of the macro path: the value of the calendar month in which the month in default falls. The same
        formula serves every outcome. The columns of a spline such as ``cr(month, df=4)`` add up to one: it carries
        the level, and what it repeats (the intercept, terms it interacts with) is left out.
    link : str
        ``cloglog``: each outcome's hazard is 1 - exp(-exp(x'b)), the monthly form of proportional hazards, fitted apart
        from the others. ``multinomial``: log odds of each outcome against staying open, all fitted together, so that
        hazards never add up to more than 1.
    offset : str or mapping of str to str, optional
        What is known already: a number in each cell, added to the linear predictor of every outcome, or by outcome,
        with coefficient 1. It reads columns of the episodes, ``month`` and the macro path as the formula does, such as
        ``log_known``, or ``{log_known - 0.1 * month}``. Where it is the log of a known cumulative hazard of the month
        (``cloglog``) or of known odds against staying open (``multinomial``), the coefficients are log ratios to that
        background.

    Raises
    ------
    ValueError
        If a choice is not allowed or the formula cannot be read.

    Examples
    --------
    >>> counts = pd.DataFrame({"months": [1, 2, 3, 3], "outcome": ["cured", "cured", "cured", "open"],
    ...                       "n": [20, 16, 10, 54]})
    >>> model = DiscreteHazardModel(formula="~ C(month)")
    >>> fit = model.fit(counts, duration_col="months", outcome_col="outcome", weights_col="n")
    >>> fit.predict_hazard(counts.head(1), [1, 2, 3])["cured"].iloc[0].round(3).tolist()  # 20/100, 16/80, 10/64
    [0.2, 0.2, 0.156]
    """

    formula: str = "~ cr(month, df=4)"
    link: str = "cloglog"
    offset: str | Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("link", self.link, HAZARD_LINKS)
        parse_formula("hazard", self.formula)
        expressions = (
            [] if self.offset is None else [self.offset] if isinstance(self.offset, str) else self.offset.values()
        )
        for expression in expressions:
            parse_formula("offset", offset_formula(expression))

    def fit(
        self,
        frame: pd.DataFrame,
        *,
        duration_col: str,
        outcome_col: str,
        censored: str = Outcome.OPEN,
        weights_col: str | None = None,
        entry_col: str | None = None,
        cluster_col: str | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        level: float = 0.95,
    ) -> DiscreteHazardFit:
        """Fit by maximum likelihood on exactly compressed cells.

        Parameters
        ----------
        frame : DataFrame
            One row per episode, or per group of equal episodes when ``weights_col`` is given. Not changed.
        duration_col : str
            Whole months to the outcome (rounded up: an outcome of month m fell in (m - 1, m]) or to censoring (rounded
            down: completed months), at least 0; so every month is an interval already, and wider ones cannot be used.
            Month 0 is a month at risk of its own when any outcome fell in it, and none otherwise; with few outcomes
            there give it its own term, such as ``{month == 0}``.
        outcome_col : str
            Outcome of each row; none may be missing.
        censored : str
            The value of ``outcome_col`` that means censored.
        weights_col : str, optional
            Case weights, > 0: weight 2 is the row twice.
        entry_col : str, optional
            Whole months in default when observation began; a row with entry e > 0 is at risk in the months after e.
        cluster_col : str, optional
            Obligor or other cluster: standard errors become cluster-robust.
        macro : DataFrame, optional
            Macro values by calendar month, which stands in the index (periods, dates or text such as "2024-03") or in a
            column ``month_end``. Lags are made in this frame. Every calendar month at risk must be there.
        default_month_col : str, optional
            Date or month of default; needed when the formula reads a macro column.
        level : float
            Confidence level of every interval, in (0, 1).

        Returns
        -------
        DiscreteHazardFit

        Raises
        ------
        ValueError
            If an option is not allowed, a month of default is needed and not named, or an offset is that of an outcome
            that does not occur or not one number in each cell.
        ContractError
            If columns are absent or rows break a rule; all at once.
        InsufficientDataError
            If no row has an outcome, an outcome is rarer than the terms, a term has no outcome (separation), or columns
            determine each other.
        ConvergenceError
            If the likelihood has no maximum.

        Notes
        -----
        Allison (1982), Sociological Methodology 13, 61-98, equations (9) to (13); Tutz & Schmid (2016), Modeling
        Discrete Time-to-Event Data, sections 3.1, 3.3 and 8. With a dummy for every month the hazards are d/Y, their
        incidences those of Kaplan-Meier and Aalen-Johansen, and the standard errors Greenwood's.
        """
        check_level(level)
        names = ColumnNames(duration_col, outcome_col, str(censored), weights_col, entry_col, cluster_col)
        problem = pose_problem(
            self.formula, frame, names, offset=self.offset, macro=macro, default_month_col=default_month_col
        )
        maximum = maximise(
            self.link,
            design=problem.scaled,
            n_at_risk=problem.cells.n_at_risk,
            n_events=problem.cells.n_events,
            start=starting_values(problem),
            offset=problem.offset,
            gram=problem.gram,
        )
        check_separation(problem, maximum)
        weights = None if weights_col is None else frame[weights_col].to_numpy(dtype=float)
        clusters = None if cluster_col is None else cluster_index(frame, cluster_col, weights)
        columns = {**asdict(names), "cluster": None, "default_month": default_month_col}
        return _assemble(self, problem, maximum, clusters, columns=columns, level=level)


def _assemble(
    model: DiscreteHazardModel,
    problem: Problem,
    maximum: Maximum,
    clusters: ClusterIndex | None,
    *,
    columns: Mapping[str, str | None],
    level: float,
) -> DiscreteHazardFit:
    """Turn arrays into the labelled fit, coefficients back in the units of the covariates."""
    cells, rows, scaling = problem.cells, problem.rows, problem.scaling
    covariance = _covariance(model.link, problem, maximum, clusters)
    labels = pd.MultiIndex.from_product([problem.outcomes, problem.design.terms], names=["outcome", "term"])
    counts = {name: float(n) for name, n in zip(problem.outcomes, cells.n_events.sum(axis=0), strict=True)}
    return DiscreteHazardFit(
        formula=model.formula,
        link=model.link,
        offset=model.offset,
        outcomes=tuple(problem.outcomes),
        params=pd.Series((maximum.coefficients @ scaling.map.T).ravel(), index=labels, name="estimate"),
        standard_errors=pd.Series(np.sqrt(np.diag(covariance)), index=labels, name="standard_error"),
        cov=pd.DataFrame(covariance, index=labels, columns=labels),
        loglik=maximum.loglik,
        n_episodes=float(rows.weight.sum()),
        n_events=float(sum(counts.values())),
        n_events_by_outcome=counts,
        n_never_at_risk=weight_never_at_risk(rows),
        n_rows=rows.n_input_rows,
        n_compressed_rows=len(rows.weight),
        n_cells=len(cells.month),
        n_clusters=None if clusters is None else clusters.n_clusters,
        n_iterations=maximum.n_iterations,
        first_month=rows.first_month,
        last_month=int(cells.month.max()),
        level=level,
        columns=columns,
        design=problem.design,
    )


def _covariance(link: str, problem: Problem, maximum: Maximum, clusters: ClusterIndex | None) -> Array:
    """Return the covariance of the coefficients in the units of the covariates, robust where there are clusters."""
    n_at_risk, design, offset = problem.cells.n_at_risk, problem.scaled, problem.offset
    covariance = joint_covariance(link, maximum, n_at_risk=n_at_risk, gram=problem.gram, design=design, offset=offset)
    if clusters is not None:
        first, last, at_risk = cell_position(problem.rows, problem.cells)
        scores = row_scores(
            link,
            maximum.coefficients,
            design=design,
            offset=offset,
            outcome=problem.rows.outcome,
            first=first,
            last=last,
            seen=at_risk,
        )
        covariance = clustered_covariance(
            maximum.bread,
            scores,
            clusters=clusters.codes,
            rows=problem.rows.places,
            weights=clusters.weights,
            n_clusters=clusters.n_clusters,
        )
    back = np.kron(np.eye(len(problem.outcomes)), problem.scaling.map)
    return np.asarray(back @ covariance @ back.T, dtype=float)
