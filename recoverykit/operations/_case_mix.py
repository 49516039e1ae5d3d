"""Observed against expected: what each unit achieved beside what its cases let expect. Public through ``scorecards``.

Units do not choose their cases. A regression on the features of the cases, over all units and without the unit, says
what an average unit would have made of them (indirect standardisation).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.genmod import families
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools.sm_exceptions import PerfectSeparationError

from recoverykit.errors import ContractError, ConvergenceError, InsufficientDataError
from recoverykit.estimators._formulas import check_variables, learn_design
from recoverykit.estimators._rows import broken, check_choice, check_columns, check_level, event_flags, number_column
from recoverykit.operations._exact_intervals import binomial_interval, poisson_interval, sum_of_chances
from recoverykit.operations._funnel import (
    LIMIT_LEVELS,
    MINIMUM_CASES,
    OVER_DISPERSION,
    Funnel,
    column,
    funnel_limits,
    normal_scores,
    positions,
)
from recoverykit.operations._funnel_kernels import law_limits, winsorised_spread
from recoverykit.operations._log_border import check_score_formula
from recoverykit.operations._shrunken_ranks import ShrunkenRanks, shrunken_ranks

Array = NDArray[np.float64]
FAMILIES = ("logit", "poisson")
#: An expected share this near to 0 or 1, or a count this near to 0, is where a search for an infinite estimate stopped.
_NEVER = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class CaseMix:
    """What units achieved against what their cases let expect.

    Attributes
    ----------
    units : DataFrame
        unit, n_cases, n_observed, n_expected, ratio (observed / expected), lower, upper (exact), adjusted (ratio times
        the overall share or rate), p_value (two-sided mid-P against the expectation), is_ranked.
    coefficients : DataFrame
        term, estimate, standard_error of the expectation, on the scale of the logit or the logarithm.
    expected : Series
        Expected share or count of each case, on the index of the frame.
    overall : float
        Observed share of all cases, or events per unit of exposure.
    family : str
    minimum_cases : int
    """

    units: pd.DataFrame
    coefficients: pd.DataFrame
    expected: pd.Series
    overall: float
    family: str
    minimum_cases: int
    laws: tuple[Array, ...]

    def funnel(self, *, over_dispersion: str = "none", winsorise: float = 0.10) -> Funnel:
        """Return observed / expected of each unit with its limits around 1.

        With a logit each unit has limits of its own, from the exact law of the number of events among its cases; with
        counts they are those of ``funnel_limits``, from which the options are; ValueError where one is not allowed.
        """
        check_choice("over_dispersion", over_dispersion, OVER_DISPERSION)
        if not 0 <= winsorise < 0.5:
            raise ValueError(f"winsorise is {winsorise}; give a share of units in [0, 0.5)")
        if self.family == "poisson":
            return funnel_limits(
                self.units,
                events_col="n_observed",
                size_col="n_expected",
                cases_col="n_cases",
                kind="ratio",
                over_dispersion=over_dispersion,
                winsorise=winsorise,
                minimum_cases=self.minimum_cases,
            )
        events = self.units["n_observed"].to_numpy(int)
        expected, cases = (self.units[name].to_numpy(float) for name in ("n_expected", "n_cases"))
        parts = [(law[:count].sum(), law[count]) for law, count in zip(self.laws, events, strict=True)]
        z = normal_scores(*(np.array(part, dtype=float) for part in zip(*parts, strict=True)))
        enough = cases >= self.minimum_cases
        spread = winsorised_spread(z[enough] if enough.any() else z, share=winsorise)
        factor = spread.factor if over_dispersion == "winsorised" else 1.0
        kept = self.units[["unit", "n_cases"]].assign(size=expected, value=self.units["ratio"])
        for level in LIMIT_LEVELS:
            limits = np.array([law_limits(law, (1.0 - level) / 2.0) for law in self.laws])
            kept[column("lower", level)] = np.maximum(1.0 + factor * (limits[:, 0] / expected - 1.0), 0.0)
            kept[column("upper", level)] = 1.0 + factor * (limits[:, 1] / expected - 1.0)
        kept["z"], kept["position"] = z / factor, positions(kept, enough)
        return Funnel("ratio", 1.0, kept, pd.DataFrame(), spread, factor > 1.0, self.minimum_cases)

    def ranks(self, *, rng: np.random.Generator, n_draws: int = 20_000, level: float = 0.95) -> ShrunkenRanks:
        """Return gamma-Poisson shrunken ratios and ranks, of events or of failures, whichever is rarer.

        A Poisson law is too wide for an event that most cases have. Where more than half have it, the failures are
        counted, and the unit with the lowest ratio of failures is best.
        """
        count_failures = self.family == "logit" and self.overall > 0.5
        shown = self.units
        if count_failures:
            shown = shown.assign(
                n_observed=shown["n_cases"] - shown["n_observed"], n_expected=shown["n_cases"] - shown["n_expected"]
            )
        return shrunken_ranks(
            shown,
            events_col="n_observed",
            size_col="n_expected",
            cases_col="n_cases",
            kind="ratio",
            target=1.0,
            higher_is_better=not count_failures,
            minimum_cases=self.minimum_cases,
            rng=rng,
            n_draws=n_draws,
            level=level,
        )


def observed_expected(
    frame: pd.DataFrame,
    *,
    event_col: str,
    formula: str,
    unit_col: str = "unit",
    family: str = "logit",
    exposure_col: str | None = None,
    minimum_cases: int = MINIMUM_CASES,
    level: float = 0.95,
    mid_p: bool = False,
) -> CaseMix:
    """Compare each unit's events with the number that its cases let expect.

    Parameters
    ----------
    frame : DataFrame
        One row per case whose outcome is known. Not changed.
    event_col : str
        Whether the event came (logit), or a count of events (poisson).
    formula : str
        Right side of a formula on features of the case as it was taken on. Columns about the person and outcomes are
        refused; so is the unit itself.
    unit_col : str
    family : {"logit", "poisson"}
        Regression of statsmodels for the expectation.
    exposure_col : str, optional
        Exposure of each case for counts, > 0.
    minimum_cases : int
        Units with fewer are shown, not ranked.
    level, mid_p
        Of the exact intervals: binomial with a logit, Poisson with counts.

    Returns
    -------
    CaseMix

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When columns are missing, rows break a rule, all cases end alike, or an option is not allowed.
    RefusedColumnError
        When the formula reads a column that may not drive an expectation.
    ConvergenceError
        When the regression has no finite estimate, as where all cases of a level ended alike.

    Notes
    -----
    The expectation is fitted to all units together, so that observed and expected agree in total (an intercept is in
    every formula): 1 is the average unit, and a large unit pulls the average towards itself. The binomial interval is
    that of a share, divided by the expected share; with unequal chances the number of events varies less (Hoeffding
    1956), so it is safe rather than short. What the formula does not hold, the unit is blamed for.

    Examples
    --------
    >>> cases = pd.DataFrame({"unit": list("aaaabbbb"), "secured": [1, 1, 0, 0] * 2, "won": [1, 1, 1, 0, 1, 0, 0, 0]})
    >>> mix = observed_expected(cases, event_col="won", formula="~ secured", minimum_cases=4)
    >>> mix.units[["unit", "n_observed", "n_expected", "ratio"]].round(2).values.tolist()
    [['a', 3, 2.0, 1.5], ['b', 1, 2.0, 0.5]]

    Both had cases that let two wins expect.
    """
    check_choice("family", family, FAMILIES)
    check_level(level)
    variables = check_score_formula(formula)
    if unit_col in variables:
        raise ValueError(f"the formula reads {unit_col!r}: a unit's own level cannot be part of what is expected of it")
    check_columns(frame, [event_col, unit_col, exposure_col, *variables])
    events, exposure = _read(frame, event_col, unit_col, exposure_col, variables, family)
    design, matrix = learn_design(formula, frame)
    if "Intercept" not in design.terms:
        raise ValueError(
            f"formula {formula!r} has no intercept, so that observed and expected would not agree in total"
        )
    estimates, errors, expected = _fit(matrix, events, exposure, family)
    codes, names = pd.factorize(frame[unit_col], sort=True)
    cases, observed, hoped = (
        np.bincount(codes, weights=values).astype(float) for values in (np.ones(len(events)), events, expected)
    )
    laws = tuple(sum_of_chances(expected[codes == place]) for place in range(len(names))) if family == "logit" else ()
    units = _units(names, cases, observed, hoped, laws, level=level, mid_p=mid_p)
    overall = float(events.sum() / (len(events) if family == "logit" else exposure.sum()))
    units.insert(7, "adjusted", units["ratio"] * overall)
    terms = pd.DataFrame({"term": design.terms, "estimate": estimates, "standard_error": errors})
    series = pd.Series(expected, index=frame.index, name="expected")
    return CaseMix(
        units.assign(is_ranked=units["n_cases"] >= minimum_cases), terms, series, overall, family, minimum_cases, laws
    )


def _read(
    frame: pd.DataFrame,
    event_col: str,
    unit_col: str,
    exposure_col: str | None,
    variables: tuple[str, ...],
    family: str,
) -> tuple[Array, Array]:
    """Return events and exposures, having checked all columns."""
    found = check_variables(frame, variables)
    found += broken(frame, f"{unit_col} must not be missing", frame[unit_col].isna().to_numpy())
    exposure = number_column(frame, exposure_col, 1.0)
    found += broken(frame, f"{exposure_col} must be above 0", ~(np.isfinite(exposure) & (exposure > 0)))
    if family == "logit":
        came, faults = event_flags(frame, event_col)
        found, events = found + faults, came.astype(float)
    else:
        events = number_column(frame, event_col, 0.0)
        whole = np.isfinite(events) & (events >= 0) & (events == np.round(events))
        found += broken(frame, f"{event_col} must be a whole number, 0 or more", ~whole)
    if found:
        raise ContractError(found)
    if events.sum() == 0 or (family == "logit" and events.all()):
        raise InsufficientDataError(f"{event_col} is the same in all {len(events)} cases, so nothing can be expected")
    return events, exposure


def _fit(matrix: Array, events: Array, exposure: Array, family: str) -> tuple[Array, Array, Array]:
    """Return estimates, standard errors and the expected value of each case."""
    law = families.Binomial() if family == "logit" else families.Poisson()
    offset = None if family == "logit" else np.log(exposure)
    try:
        fit = GLM(events, matrix, family=law, offset=offset).fit(maxiter=100)
    except (PerfectSeparationError, np.linalg.LinAlgError) as error:
        raise ConvergenceError(f"the expectation has no finite estimate ({error}); take fewer features") from error
    errors, expected = np.asarray(fit.bse, dtype=float), np.asarray(fit.fittedvalues, dtype=float)
    if not fit.converged or not np.isfinite(errors).all() or np.abs(fit.params).max() > 1e3:
        raise ConvergenceError("the expectation has no finite estimate; take fewer features, or join rare levels")
    # Without a finite estimate the search creeps on until it stops by its own rule, and says that it has converged.
    certain = expected < _NEVER if family == "poisson" else np.minimum(expected, 1.0 - expected) < _NEVER
    if certain.any():
        raise ConvergenceError(
            f"the expectation has no finite estimate: {int(certain.sum()):,} of {len(expected):,} cases have features "
            "with which all ended alike, or values far from those of all others; take fewer features, join rare "
            "levels, or draw in such values"
        )
    return np.asarray(fit.params, dtype=float), errors, expected


def _units(
    names: pd.Index,
    cases: Array,
    observed: Array,
    expected: Array,
    laws: tuple[Array, ...],
    *,
    level: float,
    mid_p: bool,
) -> pd.DataFrame:
    """Return one row per unit with the exact interval of observed / expected and the mid-P value."""
    if laws:
        shares = binomial_interval(observed, cases, level=level, mid_p=mid_p)
        lower, upper = (share * cases / expected for share in shares)
        parts = [(law[: int(k)].sum(), law[int(k)]) for law, k in zip(laws, observed, strict=True)]
        z = normal_scores(*(np.array(part, dtype=float) for part in zip(*parts, strict=True)))
    else:
        lower, upper = (limit / expected for limit in poisson_interval(observed, level=level, mid_p=mid_p))
        law = stats.poisson(expected)
        z = normal_scores(law.cdf(observed - 1.0), law.pmf(observed))
    return pd.DataFrame(
        {
            "unit": names,
            "n_cases": cases.astype(np.int64),
            "n_observed": observed.astype(np.int64),
            "n_expected": expected,
            "ratio": observed / expected,
            "lower": lower,
            "upper": upper,
            "p_value": 2.0 * stats.norm.sf(np.abs(z)),
        }
    )
