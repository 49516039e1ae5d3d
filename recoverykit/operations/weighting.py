"""Weighting by the propensity to be treated (IPW), and with an outcome model beside it (AIPW).

Where staff chose whom to treat by what is on record, units with the same record can be compared. Both methods rest on
the claim that everything that moved staff and matters for the outcome is in the formulas; no check can prove it. Where
some units were sure to be treated, or sure not to be, there is nothing to compare them with, and the answer is refused.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from recoverykit.errors import InsufficientDataError, UnsoundComparisonError
from recoverykit.estimators._formulas import check_variables, learn_design, parse_formula
from recoverykit.estimators._rows import broken, check_columns, check_level, event_flags, number_column
from recoverykit.operations._arm_contrasts import check_clusters
from recoverykit.operations._propensity import INTERCEPT, Propensity, fit_propensity, outcome_predictions
from recoverykit.operations._treatment_columns import check_numbers, refuse_drivers
from recoverykit.operations.balance import standardised_gap
from recoverykit.operations.effects import TreatmentEffect, exclusion_rows, measure_rows
from recoverykit.operations.weighted_result import WeightedEffect

__all__ = ["WeightedEffect", "aipw_effect", "ipw_effect"]

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TREATED, UNTREATED = "treated", "not treated"
_CAUTION = "whatever moved staff to treat and is not in the formulas is not adjusted for"
#: More units than this share outside the bounds of the propensity leave too little in common.
MOST_TRIMMED = 0.10


def ipw_effect(
    frame: pd.DataFrame,
    *,
    treated_col: str,
    outcome_col: str,
    propensity: str,
    treated_at_col: str | None = None,
    cluster_col: str | None = None,
    bounds: tuple[float, float] = (0.01, 0.99),
    level: float = 0.95,
) -> WeightedEffect:
    """Estimate the average effect of a treatment by weighting with the inverse of its propensity.

    Parameters
    ----------
    frame : DataFrame
        One row per unit, all open when the treatment was decided on. Not changed.
    treated_col : str
        True (or 1) where the unit was treated at the start of its follow-up.
    outcome_col : str
        Outcome over a horizon fixed beforehand, a number in every row.
    propensity : str
        Right side of a formula of what moved staff to treat, known then: ``"~ score + product"``.
    treated_at_col : str, optional
        Time from the start to the treatment, a number for every treated unit. One that began later is refused: its unit
        had to stay open until then.
    cluster_col : str, optional
        Obligor, for errors robust over clusters.
    bounds : (float, float)
        Units with a propensity outside are left out and counted; the effect is then that of the others. Not more than
        a tenth of all units may be.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    WeightedEffect

    Raises
    ------
    UnsoundComparisonError
        When the treatment began after the start, or too few units have a counterpart (positivity).
    RefusedColumnError
        When a column of a formula may not drive a treatment.
    ContractError, InsufficientDataError, ValueError
        When columns or values are missing (all at once), a group has too few units or a single cluster, or an option is
        not allowed.

    Notes
    -----
    Hajek's weighted means with logistic propensity e(x) by maximum likelihood: weights 1 / e for the treated and
    1 / (1 - e) for the others, scaled to mean 1 in each group (Hernan & Robins 2020, chapter 12, stabilised weights).
    Errors by the influence function with the part that estimating e takes away (Lunceford & Davidian 2004, Statistics
    in Medicine 23:2937-2960, equation 19 and below).

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> frame = pd.DataFrame({"score": rng.normal(size=4000)})
    >>> frame["visited"] = rng.random(4000) < 1 / (1 + np.exp(-frame["score"]))
    >>> frame["paid"] = 0.2 * frame["visited"] - 0.3 * frame["score"] + rng.normal(0, 0.5, 4000)
    >>> found = ipw_effect(frame, treated_col="visited", outcome_col="paid", propensity="~ score")
    >>> found.effect.lower < 0.2 < found.effect.upper
    True
    """
    units = _read(frame, treated_col, outcome_col, propensity, None, treated_at_col, cluster_col, bounds, level)
    model, units = _propensity(units, propensity, bounds)
    weights = np.where(units.is_treated, 1 / model.values, 1 / (1 - model.values))
    means, influence = [], []
    for side in (units.is_treated, ~units.is_treated):
        w = weights * side
        mean = float(w @ units.outcome / w.sum())
        means.append(mean)
        influence.append(w * (units.outcome - mean) * len(w) / w.sum())
    raw = influence[0] - influence[1]
    # The scores of the propensity model predict part of the influence; estimating e takes that part away.
    scores = model.scores(units.is_treated)
    projected = raw - scores @ np.linalg.lstsq(scores, raw, rcond=None)[0]
    return _answer(units, model, weights, means, projected, design=f"IPW, propensity {propensity}", level=level)


def aipw_effect(
    frame: pd.DataFrame,
    *,
    treated_col: str,
    outcome_col: str,
    propensity: str,
    outcome_formula: str | None = None,
    treated_at_col: str | None = None,
    cluster_col: str | None = None,
    bounds: tuple[float, float] = (0.01, 0.99),
    level: float = 0.95,
) -> WeightedEffect:
    """Estimate the average effect of a treatment by weighting and an outcome model; either may be wrong.

    Parameters
    ----------
    frame, treated_col, outcome_col, propensity, treated_at_col, cluster_col, bounds, level
        As in ``ipw_effect``.
    outcome_formula : str, optional
        Right side of a formula of the outcome, fitted apart in each group: logistic for outcomes of 0 and 1, linear
        otherwise. Not given: that of the propensity.

    Returns
    -------
    WeightedEffect

    Raises
    ------
    UnsoundComparisonError, RefusedColumnError, ContractError, InsufficientDataError, ValueError
        As in ``ipw_effect``; also when the units of a group cannot tell the terms of the outcome apart.
    ConvergenceError
        When the terms of the outcome tell all events of a group from the others.

    Notes
    -----
    Robins, Rotnitzky & Zhao (1994), JASA 89:846-866: the mean of m1 - m0 + T (Y - m1) / e - (1 - T)(Y - m0) / (1 - e),
    whose values less the effect are its influence function; the error is their spread, summed by cluster. With one
    model wrong the estimate still holds, while the error is that of two right models and may be somewhat too small.
    """
    formula = outcome_formula or propensity
    units = _read(frame, treated_col, outcome_col, propensity, formula, treated_at_col, cluster_col, bounds, level)
    model, units = _propensity(units, propensity, bounds)
    weights = np.where(units.is_treated, 1 / model.values, 1 / (1 - model.values))
    design = learn_design(formula, units.frame)[1]
    values = []
    for name, side in ((TREATED, units.is_treated), (UNTREATED, ~units.is_treated)):
        predicted = outcome_predictions(design, units.outcome, side, f"{name} units")
        values.append(predicted + side * weights * (units.outcome - predicted))
    means = [float(part.mean()) for part in values]
    influence = values[0] - values[1] - (means[0] - means[1])
    words = f"AIPW, propensity {propensity}, outcome {formula}"
    return _answer(units, model, weights, means, influence, design=words, level=level)


@dataclass(frozen=True, slots=True, eq=False)
class _Units:
    frame: pd.DataFrame
    outcome: Array
    is_treated: BoolArray
    clusters: NDArray[np.int64] | None
    outcome_name: str
    n_trimmed: int = 0
    bounds: tuple[float, float] = (0.0, 1.0)


def _read(
    frame: pd.DataFrame,
    treated_col: str,
    outcome_col: str,
    propensity: str,
    outcome_formula: str | None,
    treated_at_col: str | None,
    cluster_col: str | None,
    bounds: tuple[float, float],
    level: float,
) -> _Units:
    """Check columns, rows and options, and return the units."""
    check_level(level)
    if not 0 <= bounds[0] < bounds[1] <= 1:
        raise ValueError(f"bounds are {bounds!r}; they must increase inside [0, 1]")
    variables = set(parse_formula("propensity", propensity))
    variables |= set(parse_formula("outcome", outcome_formula)) if outcome_formula else set()
    refuse_drivers(sorted(variables), "a covariate of an adjustment")
    check_columns(frame, [treated_col, outcome_col, treated_at_col, cluster_col, *sorted(variables)])
    is_treated, faults = event_flags(frame, treated_col)
    faults += check_variables(frame, tuple(sorted(variables)))
    if cluster_col is not None:
        faults += broken(frame, f"{cluster_col} must not be missing", frame[cluster_col].isna().to_numpy())
    at = number_column(frame, treated_at_col, 0.0)
    # Not a number is not after the start either, and would pass for a treatment at the start.
    faults += broken(
        frame, f"{treated_at_col} must be a number where the unit was treated", is_treated & ~np.isfinite(at)
    )
    outcome = check_numbers(frame, [outcome_col], faults=faults)[outcome_col]
    late = is_treated & (at > 0)
    if late.any():
        raise UnsoundComparisonError(
            f"{int(late.sum()):,} units were treated after the start of their follow-up and had to stay open until "
            "then (immortal time), which weights cannot mend: use time_dependent_effect, or landmark_frame first and "
            "its groups here"
        )
    clusters = None if cluster_col is None else pd.factorize(frame[cluster_col])[0].astype(np.int64)
    return _Units(frame.reset_index(drop=True), outcome, is_treated, clusters, outcome_col)


def _propensity(units: _Units, formula: str, bounds: tuple[float, float]) -> tuple[Propensity, _Units]:
    """Fit the propensity, trim units without a counterpart, and fit again among the others."""
    n_arms = (int(units.is_treated.sum()), int((~units.is_treated).sum()))
    design, matrix = learn_design(formula, units.frame)
    if min(n_arms) < matrix.shape[1] + 1:
        raise InsufficientDataError(
            f"{n_arms[0]} treated and {n_arms[1]} other units cannot carry a propensity with {matrix.shape[1]} terms"
        )
    model = fit_propensity(matrix, units.is_treated, design.terms)
    kept = (model.values >= bounds[0]) & (model.values <= bounds[1])
    n_trimmed = int((~kept).sum())
    if n_trimmed > MOST_TRIMMED * len(kept) or min(units.is_treated[kept].sum(), (~units.is_treated[kept]).sum()) == 0:
        raise UnsoundComparisonError(
            f"{n_trimmed:,} of {len(kept):,} units were all but sure to be treated or not (propensity outside "
            f"{bounds[0]:g} to {bounds[1]:g}), so they have no counterpart to be compared with (positivity): a rule "
            "seems to have decided; at its cut-off use regression_discontinuity, or ask about the units in between"
        )
    if n_trimmed:
        clusters = None if units.clusters is None else units.clusters[kept]
        frame = units.frame[kept].reset_index(drop=True)
        units = replace(
            units, frame=frame, outcome=units.outcome[kept], is_treated=units.is_treated[kept], clusters=clusters
        )
        design, matrix = learn_design(formula, frame)
        model = fit_propensity(matrix, units.is_treated, design.terms)
    return model, replace(units, n_trimmed=n_trimmed, bounds=bounds)


def _answer(
    units: _Units, model: Propensity, weights: Array, means: list[float], influence: Array, *, design: str, level: float
) -> WeightedEffect:
    """Return effect, overlap and balance."""
    if units.clusters is None:
        sums, words = influence, "errors by the influence function"
    else:
        check_clusters(units.clusters, units.is_treated, (TREATED, UNTREATED), where="in each group")
        sums = np.bincount(pd.factorize(units.clusters)[0], weights=influence).astype(float)
        words = f"errors by the influence function, robust over {len(sums):,} clusters"
    n_units, n_sums = len(influence), len(sums)
    error = float(np.sqrt(n_sums / (n_sums - 1) * np.sum((sums - sums.mean()) ** 2))) / n_units
    effect = means[0] - means[1]
    spread = float(ndtri(0.5 + level / 2)) * error
    sizes = [int(units.is_treated.sum()), int((~units.is_treated).sum())]
    is_binary = bool(np.isin(units.outcome, (0.0, 1.0)).all())
    measure = "risk_difference" if is_binary else "mean_difference"
    found = TreatmentEffect(
        design=design,
        outcome=units.outcome_name,
        treated=TREATED,
        control=UNTREATED,
        measure=measure,
        effect=effect,
        standard_error=error,
        lower=effect - spread,
        upper=effect + spread,
        p_value=2 * float(ndtr(-abs(effect) / error)) if error > 0 else float("nan"),
        level=level,
        n_treated=sizes[0],
        n_control=sizes[1],
        errors=words,
        arms=pd.DataFrame({"arm": [TREATED, UNTREATED], "n_units": sizes, "value": means}),
        measures=measure_rows([(measure, effect, effect - spread, effect + spread)]),
        exclusions=exclusion_rows({"without a counterpart (propensity outside the bounds)": units.n_trimmed}),
        cautions=(_CAUTION,),
    )
    stable = np.empty(n_units)
    effective = {}
    for name, side in ((TREATED, units.is_treated), (UNTREATED, ~units.is_treated)):
        stable[side] = weights[side] / weights[side].mean()
        effective[name] = float(weights[side].sum() ** 2 / np.sum(weights[side] ** 2))
    return WeightedEffect(
        effect=found,
        overlap=_histogram(model.values, units.is_treated),
        balance=_balance(model, units.is_treated, weights),
        propensity_params=model.params,
        effective_sample_size=effective,
        largest_weight=float(stable.max()),
        bounds=units.bounds,
    )


def _histogram(values: Array, is_treated: BoolArray) -> pd.DataFrame:
    edges = np.linspace(0, 1, 21)
    counts = [np.histogram(values[side], bins=edges)[0] for side in (is_treated, ~is_treated)]
    return pd.DataFrame({"lower": edges[:-1], "upper": edges[1:], "treated": counts[0], "not_treated": counts[1]})


def _balance(model: Propensity, is_treated: BoolArray, weights: Array) -> pd.DataFrame:
    rows = []
    for term, values in zip(model.params.index, model.design.T, strict=True):
        if term != INTERCEPT:
            gaps = [standardised_gap(values, is_treated, w)[2] for w in (np.ones(len(weights)), weights)]
            rows.append((term, *gaps))
    return pd.DataFrame(rows, columns=["covariate", "before", "after"])
