"""Whether a treatment helped: one door to the designs, and the refusal of the comparison that fools.

The comparison that comes to mind first, treated against untreated, answers the question only where lots were drawn.
A field visit after three missed calls goes to those who were still open after three calls; a call that staff chose to
make goes to those whom staff thought worth it. This module sends such questions to the design that can answer them.
"""

import numpy as np
import pandas as pd

from recoverykit.errors import UnsoundComparisonError
from recoverykit.estimators._rows import check_columns, number_column
from recoverykit.operations.effects import TreatmentEffect
from recoverykit.operations.randomised import RANDOM, intention_to_treat
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

TREATED, UNTREATED = "treated", "not treated"
_IMMORTAL = (
    "immortal time: a unit treated during follow-up had to stay open until then, and that time is counted for the "
    "treatment; call time_dependent_effect (treated_at_col) or landmark_effect (a landmark fixed beforehand)"
)
_RULE = (
    "confounding by the rule: what the rule looks at decides on the outcome too; where the rule is a cut-off of a "
    "score call regression_discontinuity (running_col, cutoff), where it is triggered by behaviour, such as three "
    "missed calls, call time_dependent_effect or landmark_effect"
)
_DISCRETION = (
    "confounding by indication: staff treated those whom they thought worth it; call aipw_effect (propensity with all "
    "that moved staff) on units open when the choice was made"
)
_UNKNOWN = "it is not known how units came to be treated; say so in a column assignment: random, rule or discretion"
_REASONS = {"rule": _RULE, "discretion": _DISCRETION}


def treated_against_untreated(
    frame: pd.DataFrame,
    *,
    treated_col: str,
    outcome_col: str,
    assignment_col: str = "assignment",
    treated_at_col: str | None = None,
    cluster_col: str | None = None,
    planned_n_units: int | None = None,
    level: float = 0.95,
) -> TreatmentEffect:
    """Compare treated with untreated units where lots were drawn; refuse it, with the reason, everywhere else.

    Parameters
    ----------
    frame : DataFrame
        One row per unit. Not changed.
    treated_col : str
        True (or 1) where the unit was treated.
    outcome_col : str
        Outcome over a horizon fixed beforehand.
    assignment_col : str
        How it was decided whether the unit is treated: ``random``, ``rule`` or ``discretion``, of untreated units too.
    treated_at_col : str, optional
        Time from the start to the treatment; missing where there was none.
    cluster_col, planned_n_units, level
        As in ``intention_to_treat``.

    Returns
    -------
    TreatmentEffect
        That of ``intention_to_treat``; only where all units were assigned at random and treated at the start.

    Raises
    ------
    UnsoundComparisonError
        When any unit was assigned by rule or at discretion, or treated after the start; it names the call to make.
    ContractError, InsufficientDataError, ValueError
        As in ``intention_to_treat``.

    Examples
    --------
    >>> frame = pd.DataFrame({"visited": [1, 0], "cured": [1, 0], "assignment": ["rule", "rule"]})
    >>> treated_against_untreated(frame, treated_col="visited", outcome_col="cured")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    recoverykit.errors.UnsoundComparisonError: visited against not visited says nothing of its effect: ...
    """
    check_columns(frame, [treated_col, outcome_col, assignment_col, treated_at_col, cluster_col])
    kinds = _kinds(frame, assignment_col)
    reasons = _reasons(frame, kinds, treated_at_col)
    if reasons:
        counts = ", ".join(f"{n:,} {kind}" for kind, n in kinds.value_counts().sort_index().items())
        raise UnsoundComparisonError(
            f"{treated_col} against not {treated_col} says nothing of its effect: {'; '.join(reasons)} "
            f"(assignment: {counts})"
        )
    arms = np.where(number_column(frame, treated_col, 0.0) == 1, TREATED, UNTREATED)
    return intention_to_treat(
        frame.assign(arm=arms),
        outcome_col=outcome_col,
        control=UNTREATED,
        treated=TREATED,
        assignment_col=assignment_col,
        cluster_col=cluster_col,
        planned_n_units=planned_n_units,
        level=level,
    )


def why_refused(
    frame: pd.DataFrame, *, assignment_col: str = "assignment", treated_at_col: str | None = None
) -> list[str]:
    """Say why treated and untreated units cannot be compared as they are.

    Parameters
    ----------
    frame, assignment_col, treated_at_col
        As in ``treated_against_untreated``.

    Returns
    -------
    list of str
        The reasons, each with the call to make; empty where nothing speaks against it.
    """
    check_columns(frame, [assignment_col, treated_at_col])
    return _reasons(frame, _kinds(frame, assignment_col), treated_at_col)


def _kinds(frame: pd.DataFrame, assignment_col: str) -> pd.Series:
    return frame[assignment_col].astype(object).where(frame[assignment_col].notna(), "unknown").astype(str)


def _reasons(frame: pd.DataFrame, kinds: pd.Series, treated_at_col: str | None) -> list[str]:
    reasons = [_REASONS.get(kind, _UNKNOWN) for kind in sorted(set(kinds) - {RANDOM})]
    if treated_at_col is not None and np.any(number_column(frame, treated_at_col, 0.0) > 0):
        reasons.insert(0, _IMMORTAL)
    return list(dict.fromkeys(reasons))


def effects_table(effects: dict[str, TreatmentEffect]) -> pd.DataFrame:
    """Return several effects as rows of one table, for a forest plot.

    Parameters
    ----------
    effects : dict of str to TreatmentEffect
        Name of the question to its answer.

    Returns
    -------
    DataFrame
        question, and the columns of ``TreatmentEffect.to_frame``; is_shown is false where an arm has fewer units than a
        page may show.
    """
    rows = [effect.to_frame().assign(question=name) for name, effect in effects.items()]
    if not rows:
        return pd.DataFrame(columns=["question", "is_shown"])
    table = pd.concat(rows, ignore_index=True)
    shown = table[["n_treated", "n_control"]].min(axis=1) >= MINIMUM_CELL_COUNT
    return table[["question", *(c for c in table.columns if c != "question")]].assign(is_shown=shown)
