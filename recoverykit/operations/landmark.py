"""Landmark analysis: units still open at a fixed time, by whether they had been treated until then.

A unit that was treated in month four had to be open for four months to be treated; counting those months for the
treatment makes it immortal in them. At a landmark nobody's future decides on the group: only what had happened until
then. What made staff, or a rule, treat some units and not others must still be adjusted for.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._formulas import parse_formula
from recoverykit.estimators._rows import broken, check_columns, check_level, check_rows, number_column, outcome_codes
from recoverykit.estimators.cox import CoxModel
from recoverykit.operations._treatment_columns import refuse_drivers
from recoverykit.operations.competing_effect import CompetingEffect, compare_incidence
from recoverykit.operations.effects import TreatmentEffect, exclusion_rows, measure_rows
from recoverykit.vocabulary import Outcome

Array = NDArray[np.float64]

TREATED, UNTREATED = "treated", "not treated"
#: Names of the columns that a landmark frame has beside its own.
GROUP, REMAINING = "landmark_group", "time_from_landmark"
_UNADJUSTED = (
    "groups are compared as they were at the landmark: what made some be treated by then is not adjusted for; give "
    "landmark_hazard_ratio a formula, or weigh the landmark frame with aipw_effect"
)
_LATER = "units treated after the landmark stay in the group of those not treated, which pulls the effect towards none"


def landmark_frame(
    frame: pd.DataFrame, *, duration_col: str, treated_at_col: str, landmark: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the units still open at a landmark, with their group and the time since then.

    Parameters
    ----------
    frame : DataFrame
        One row per unit. Not changed.
    duration_col : str
        Time from the start to outcome or censoring, at least 0.
    treated_at_col : str
        Time from the start to the treatment; missing where there was none.
    landmark : float
        Time fixed beforehand, >= 0.

    Returns
    -------
    rows : DataFrame
        Units whose duration is beyond the landmark, with landmark_group (``treated`` where treated at or before it) and
        time_from_landmark.
    exclusions : DataFrame
        reason, n_units.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When columns or values are missing, or no unit of a group is open at the landmark.
    """
    if not landmark >= 0:
        raise ValueError(f"landmark is {landmark!r}; it must be 0 or more")
    check_columns(frame, [duration_col, treated_at_col])
    durations = number_column(frame, duration_col, 0.0)
    at = treatment_times(frame, treated_at_col, durations)
    is_open = durations > landmark
    group = np.where(at[is_open] <= landmark, TREATED, UNTREATED)
    rows = frame[is_open].assign(**{GROUP: group, REMAINING: durations[is_open] - landmark})
    sizes = {name: int((group == name).sum()) for name in (TREATED, UNTREATED)}
    if min(sizes.values()) == 0:
        raise InsufficientDataError(
            f"at the landmark {landmark:g} {sizes[TREATED]} open units had been treated and {sizes[UNTREATED]} had "
            "not; take another landmark"
        )
    return rows, exclusion_rows({"ended or censored by the landmark": int((~is_open).sum())})


def treatment_times(frame: pd.DataFrame, treated_at_col: str, durations: Array) -> Array:
    """Return the time of treatment of each unit, infinite where there was none.

    Raises
    ------
    ContractError
        When a duration is no number, or a treatment lies before the start or after the end.
    """
    at = number_column(frame, treated_at_col, np.nan)
    text = frame[treated_at_col].notna().to_numpy() & np.isnan(at)
    found = broken(frame, "durations must be numbers of 0 or more", ~(np.isfinite(durations) & (durations >= 0)))
    found += broken(frame, f"{treated_at_col} must be a number, or missing where there was no treatment", text)
    found += broken(frame, f"{treated_at_col} must not lie before the start", at < 0)
    found += broken(frame, f"{treated_at_col} must not lie after the end of the unit", at > durations)
    if found:
        raise ContractError(found)
    return np.where(np.isnan(at), np.inf, at)


def landmark_effect(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    outcome_col: str,
    outcome: str,
    treated_at_col: str,
    landmark: float,
    horizon: float,
    censored: str = Outcome.OPEN,
    level: float = 0.95,
) -> CompetingEffect:
    """Compare how units open at a landmark end, by whether they had been treated by then.

    Parameters
    ----------
    frame : DataFrame
        One row per unit. Not changed.
    duration_col, treated_at_col, landmark
        As in ``landmark_frame``.
    outcome_col, censored : str
        Outcome of each unit and the value that means censored.
    outcome : str
        The outcome in question.
    horizon : float
        Time from the start (not from the landmark) at which incidences are compared, beyond the landmark.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    CompetingEffect
        Difference of the cumulative incidence among those open at the landmark.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As ``landmark_frame``, and when the horizon does not lie beyond the landmark.

    Notes
    -----
    Anderson, Cain & Gelber (1983), Journal of Clinical Oncology 1:710-719.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [2, 5, 6, 8, 9, 9], "visit_month": [None, 1, 2, None, 6, None]})
    >>> frame["outcome"] = ["cured", "cured", "cured", "cured", "cured", "open"]
    >>> choices = {"duration_col": "months", "treated_at_col": "visit_month", "landmark": 3, "horizon": 8}
    >>> landmark_effect(frame, outcome_col="outcome", outcome="cured", **choices).effect.arms["n_units"].tolist()
    [2, 3]

    Of the five loans open after three months two had been visited; the one visited in month six counts as not.
    """
    check_level(level)
    check_columns(frame, [duration_col, outcome_col, treated_at_col])
    if not horizon > landmark:
        raise ValueError(f"horizon is {horizon!r}; it must lie beyond the landmark {landmark!r}")
    _check_outcomes(frame, duration_col, outcome_col, censored)
    rows, exclusions = landmark_frame(
        frame, duration_col=duration_col, treated_at_col=treated_at_col, landmark=landmark
    )
    return compare_incidence(
        rows,
        names=(TREATED, UNTREATED),
        arm_col=GROUP,
        duration_col=REMAINING,
        outcome_col=outcome_col,
        outcome=outcome,
        horizon=horizon - landmark,
        censored=censored,
        level=level,
        design=f"landmark at {landmark:g}, time from there",
        exclusions=dict(zip(exclusions["reason"], exclusions["n_units"], strict=True)),
        cautions=(_UNADJUSTED, _LATER),
    )


def landmark_hazard_ratio(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    outcome_col: str,
    outcome: str,
    treated_at_col: str,
    landmark: float,
    formula: str = "~ 1",
    cluster_col: str | None = None,
    censored: str = Outcome.OPEN,
    level: float = 0.95,
) -> TreatmentEffect:
    """Estimate the hazard ratio of treatment among units open at a landmark, adjusted for covariates.

    Parameters
    ----------
    frame, duration_col, outcome_col, outcome, treated_at_col, landmark, censored, level
        As in ``landmark_effect``.
    formula : str
        Right side of a formula of what was known at the landmark and made staff treat: score, product, missed calls.
    cluster_col : str, optional
        Obligor, for robust errors.

    Returns
    -------
    TreatmentEffect
        Hazard ratio of the outcome; other outcomes censor (cause-specific hazard).

    Raises
    ------
    RefusedColumnError
        When a column of the formula may not predict.
    ContractError, InsufficientDataError, ConvergenceError, ValueError
        As ``landmark_frame`` and ``CoxModel.fit``, and when an outcome is missing.
    """
    variables = parse_formula("adjustment", formula)
    refuse_drivers(variables, "a covariate of an adjustment")
    check_columns(frame, [duration_col, outcome_col, treated_at_col, cluster_col, *variables])
    _check_outcomes(frame, duration_col, outcome_col, censored)
    rows, exclusions = landmark_frame(
        frame, duration_col=duration_col, treated_at_col=treated_at_col, landmark=landmark
    )
    is_event = (rows[outcome_col].astype(str) == str(outcome)) & (rows[outcome_col].astype(str) != str(censored))
    treatment, had_event = free_name(rows, "treatment"), free_name(rows, "had_event")
    is_treated = rows[GROUP] == TREATED
    made: dict[str, pd.Series] = {treatment: is_treated.astype(float), had_event: is_event}
    fit = CoxModel(formula=with_treatment(formula, treatment)).fit(
        rows.assign(**made), duration_col=REMAINING, event_col=had_event, cluster_col=cluster_col, level=level
    )
    return hazard_effect(
        fit.to_frame(),
        treatment=treatment,
        design=f"landmark at {landmark:g}, Cox, adjusted for {formula}",
        outcome=outcome,
        is_treated=is_treated.to_numpy(),
        is_event=is_event.to_numpy(),
        level=level,
        errors="model-based errors" if fit.n_clusters is None else f"errors robust over {fit.n_clusters:,} clusters",
        exclusions=exclusions,
        cautions=(_LATER, "whatever is not in the formula is not adjusted for"),
    )


def _check_outcomes(frame: pd.DataFrame, duration_col: str, outcome_col: str, censored: str) -> None:
    """Raise ContractError where an outcome is missing, which would pass for censored, or a duration is no number."""
    _, codes, faults = outcome_codes(frame, outcome_col, censored)
    check_rows(
        frame, by=(), is_event=codes >= 0, faults=faults, duration_col=duration_col, weights_col=None, entry_col=None
    )


def free_name(frame: pd.DataFrame, name: str) -> str:
    """Return a name that no column of the frame has, so that a formula reads the frame's own columns."""
    while name in frame.columns:
        name += "_"
    return name


def with_treatment(formula: str, treatment: str) -> str:
    """Return a one-sided formula with the column of the treatment put in front."""
    return f"~ {treatment} + {formula.strip().lstrip('~').strip()}"


def hazard_effect(
    table: pd.DataFrame,
    *,
    treatment: str,
    design: str,
    outcome: str,
    is_treated: NDArray[np.bool_],
    is_event: NDArray[np.bool_],
    level: float,
    errors: str,
    exclusions: pd.DataFrame,
    cautions: tuple[str, ...],
) -> TreatmentEffect:
    """Return the row of the treatment in a Cox table as an effect; the standard error is that of its logarithm."""
    own = table[table["term"] == treatment].iloc[0]
    sizes = [int(is_treated.sum()), int((~is_treated).sum())]
    events = [int((is_event & is_treated).sum()), int((is_event & ~is_treated).sum())]
    ratio, lower, upper = float(own["hazard_ratio"]), float(own["lower"]), float(own["upper"])
    return TreatmentEffect(
        design=design,
        outcome=outcome,
        treated=TREATED,
        control=UNTREATED,
        measure="hazard_ratio",
        effect=ratio,
        standard_error=float(own["standard_error"]),
        lower=lower,
        upper=upper,
        p_value=float(own["p_value"]),
        level=level,
        n_treated=sizes[0],
        n_control=sizes[1],
        errors=errors,
        arms=pd.DataFrame({"arm": [TREATED, UNTREATED], "n_units": sizes, "n_events": events}),
        measures=measure_rows([("hazard_ratio", ratio, lower, upper)]),
        exclusions=exclusions,
        cautions=cautions,
    )
