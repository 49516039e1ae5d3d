"""Cox regression with a treatment that begins during follow-up: a unit is untreated before it, treated after it.

Each unit becomes one or two rows of a counting process, so that no unit is credited with the time that it had to stay
open in order to be treated. Ties have Efron's treatment, errors are robust over obligors where they are given.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, Violation
from recoverykit.estimators._formulas import parse_formula
from recoverykit.estimators._rows import check_columns, check_level, check_rows, outcome_codes
from recoverykit.estimators.cox import CoxModel
from recoverykit.operations._treatment_columns import refuse_drivers
from recoverykit.operations.effects import TreatmentEffect, exclusion_rows
from recoverykit.operations.landmark import free_name, hazard_effect, treatment_times, with_treatment
from recoverykit.vocabulary import Outcome

Array = NDArray[np.float64]

#: The columns of a counting process.
_MADE = ("unit", "entry", "exit", "treatment", "had_event")
_CAUTION = "what changed during follow-up and made staff treat is not adjusted for, nor whatever is not in the formula"


def counting_process_rows(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    outcome_col: str,
    outcome: str,
    treated_at_col: str,
    censored: str = Outcome.OPEN,
) -> pd.DataFrame:
    """Split each unit at the time of its treatment.

    Parameters
    ----------
    frame : DataFrame
        One row per unit. Not changed.
    duration_col : str
        Time from the start to outcome or censoring, at least 0.
    outcome_col, outcome, censored : str
        Outcome of each unit, the one in question, and the value that means censored.
    treated_at_col : str
        Time from the start to the treatment; missing where there was none. A treatment at the time of the outcome
        itself did not bring it about: the unit stays untreated.

    Returns
    -------
    DataFrame
        The columns of the frame with unit (row of the unit), entry, exit, treatment (0 or 1) and had_event; a unit that
        is treated at time s > 0 has rows (0, s] and (s, end].

    Raises
    ------
    ContractError
        When columns or values are missing, a column of the frame has the name of one that is made here, or a treatment
        lies outside its unit's time.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [5, 3], "outcome": ["cured", "open"], "visit_month": [2, None]})
    >>> rows = counting_process_rows(
    ...     frame, duration_col="months", outcome_col="outcome", outcome="cured", treated_at_col="visit_month"
    ... )
    >>> rows[["unit", "entry", "exit", "treatment", "had_event"]].values.tolist()
    [[0, 0.0, 2.0, 0.0, False], [0, 2.0, 5.0, 1.0, True], [1, 0.0, 3.0, 0.0, False]]
    """
    taken = [c for c in _MADE if c in frame.columns]
    if taken:
        raise ContractError(
            [Violation("frame", f"column {c!r} has the name of one that is made here; rename it") for c in taken]
        )
    choices = {"outcome_col": outcome_col, "outcome": outcome, "treated_at_col": treated_at_col, "censored": censored}
    return _split(frame, dict(zip(_MADE, _MADE, strict=True)), duration_col=duration_col, **choices)


def _split(
    frame: pd.DataFrame,
    names: dict[str, str],
    *,
    duration_col: str,
    outcome_col: str,
    outcome: str,
    treated_at_col: str,
    censored: str,
) -> pd.DataFrame:
    """Return the rows of a counting process, its columns under the names given, which the frame does not have."""
    check_columns(frame, [duration_col, outcome_col, treated_at_col])
    _, codes, faults = outcome_codes(frame, outcome_col, censored)
    checked = check_rows(
        frame, by=(), is_event=codes >= 0, faults=faults, duration_col=duration_col, weights_col=None, entry_col=None
    )
    durations = checked.durations
    at = treatment_times(frame, treated_at_col, durations)
    is_event = (codes >= 0) & (frame[outcome_col].astype(str) == str(outcome)).to_numpy()
    at = np.where(at >= durations, np.inf, at)
    unit = np.arange(len(frame))
    from_start, is_split = at <= 0, (at > 0) & np.isfinite(at)
    first = pd.DataFrame(
        {
            "unit": unit,
            "entry": 0.0,
            "exit": np.where(is_split, at, durations),
            "treatment": from_start.astype(float),
            "had_event": is_event & ~is_split,
        }
    )
    second = pd.DataFrame({"unit": unit, "entry": at, "exit": durations, "treatment": 1.0, "had_event": is_event})[
        is_split
    ]
    rows = pd.concat([first, second], ignore_index=True).sort_values(["unit", "entry"], ignore_index=True)
    return rows.rename(columns=names).join(frame.reset_index(drop=True), on=names["unit"])


def time_dependent_effect(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    outcome_col: str,
    outcome: str,
    treated_at_col: str,
    formula: str = "~ 1",
    cluster_col: str | None = None,
    censored: str = Outcome.OPEN,
    level: float = 0.95,
) -> TreatmentEffect:
    """Estimate the hazard ratio of a treatment that begins during follow-up.

    Parameters
    ----------
    frame, duration_col, outcome_col, outcome, treated_at_col, censored
        As in ``counting_process_rows``.
    formula : str
        Right side of a formula of what was known at the start and made staff treat.
    cluster_col : str, optional
        Obligor: robust errors over clusters. Not given, errors are model-based: the rows of one unit do not overlap.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    TreatmentEffect
        Hazard ratio of the outcome after the treatment against before or without it; other outcomes censor
        (cause-specific hazard), so it says how the pace changes, not how many will end so.

    Raises
    ------
    RefusedColumnError
        When a column of the formula may not predict.
    ContractError, InsufficientDataError, ConvergenceError, ValueError
        As ``counting_process_rows`` and ``CoxModel.fit``.

    Notes
    -----
    Andersen & Gill (1982), Annals of Statistics 10:1100-1120; ties by Efron. Treatment is taken to act at once and to
    last; what changes during follow-up and drives the treatment (a promise, a payment) is not adjusted for.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [4, 6, 7, 9, 9, 12], "visit_month": [None, 2, None, 3, None, None]})
    >>> frame["outcome"] = ["cured", "cured", "open", "cured", "cured", "open"]
    >>> found = time_dependent_effect(
    ...     frame, duration_col="months", outcome_col="outcome", outcome="cured", treated_at_col="visit_month"
    ... )
    >>> found.measure, found.arms["n_events"].tolist()
    ('hazard_ratio', [2, 2])
    """
    check_level(level)
    variables = parse_formula("adjustment", formula)
    refuse_drivers(variables, "a covariate of an adjustment")
    check_columns(frame, [duration_col, outcome_col, treated_at_col, cluster_col, *variables])
    names = {made: free_name(frame, made) for made in _MADE}
    choices = {"outcome_col": outcome_col, "outcome": outcome, "treated_at_col": treated_at_col, "censored": censored}
    rows = _split(frame, names, duration_col=duration_col, **choices)
    fit = CoxModel(formula=with_treatment(formula, names["treatment"])).fit(
        rows,
        duration_col=names["exit"],
        event_col=names["had_event"],
        entry_col=names["entry"],
        cluster_col=cluster_col,
        level=level,
    )
    ever = rows.groupby(names["unit"])[names["treatment"]].max().to_numpy() == 1
    found = hazard_effect(
        fit.to_frame(),
        treatment=names["treatment"],
        design=f"time-dependent Cox, adjusted for {formula}",
        outcome=outcome,
        is_treated=ever,
        is_event=np.zeros(len(ever), dtype=bool),
        level=level,
        errors="model-based errors" if fit.n_clusters is None else f"errors robust over {fit.n_clusters:,} clusters",
        exclusions=exclusion_rows({}),
        cautions=(_CAUTION,),
    )
    made = rows[list(names.values())].set_axis(list(names), axis=1)
    return _with_time_at_risk(found, made)


def _with_time_at_risk(found: TreatmentEffect, rows: pd.DataFrame) -> TreatmentEffect:
    """Return the effect with events and time at risk counted where they fell: before or after the treatment."""
    length = rows["exit"] - rows["entry"]
    parts = [rows["treatment"] == 1, rows["treatment"] == 0]
    arms = found.arms.assign(
        n_events=[int(rows.loc[part, "had_event"].sum()) for part in parts],
        time_at_risk=[float(length[part].sum()) for part in parts],
    )
    return replace(found, arms=arms)
