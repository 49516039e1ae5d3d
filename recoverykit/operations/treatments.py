"""Whether a treatment helped: one door to the designs, and the refusal of the comparison that fools.

The comparison that comes to mind first, treated against untreated, answers the question only where lots were drawn.
A field visit after three missed calls goes to those who were still open after three calls; a call that staff chose to
make goes to those whom staff thought worth it. This module sends such questions to the design that can answer them.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, UnsoundComparisonError, Violation
from recoverykit.estimators._rows import broken, check_columns, event_flags, number_column
from recoverykit.operations.discontinuity_result import RegressionDiscontinuity
from recoverykit.operations.effects import TreatmentEffect
from recoverykit.operations.message_variants import VariantComparison
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
_EFFECT_COLUMNS = (
    *("question", "design", "measure", "effect", "lower", "upper", "p_value"),
    *("n_treated", "n_control"),
)
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
    ContractError
        When ``treated_col`` holds something else than True or False, or a time of treatment is no number; and as in
        ``intention_to_treat``.
    InsufficientDataError, ValueError
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
    is_treated, found = event_flags(frame, treated_col)
    found += _time_faults(frame, treated_at_col)
    if found:
        raise ContractError(found)
    kinds = _kinds(frame, assignment_col)
    reasons = _reasons(frame, kinds, treated_at_col)
    if reasons:
        counts = ", ".join(f"{n:,} {kind}" for kind, n in kinds.value_counts().sort_index().items())
        raise UnsoundComparisonError(
            f"{treated_col} against not {treated_col} says nothing of its effect: {'; '.join(reasons)} "
            f"(assignment: {counts})"
        )
    arms = np.where(is_treated, TREATED, UNTREATED)
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

    Raises
    ------
    ContractError, InsufficientDataError
        When a column is missing, a time of treatment is no number, or there is no row.
    """
    check_columns(frame, [assignment_col, treated_at_col])
    found = _time_faults(frame, treated_at_col)
    if found:
        raise ContractError(found)
    return _reasons(frame, _kinds(frame, assignment_col), treated_at_col)


def _time_faults(frame: pd.DataFrame, treated_at_col: str | None) -> list[Violation]:
    """Return a violation where a time of treatment is no number: a date or a span would pass as no treatment."""
    if treated_at_col is None:
        return []
    text = frame[treated_at_col].notna().to_numpy() & np.isnan(number_column(frame, treated_at_col, np.nan))
    return broken(frame, f"{treated_at_col} must be a number, or missing where there was no treatment", text)


def _kinds(frame: pd.DataFrame, assignment_col: str) -> pd.Series:
    return frame[assignment_col].astype(object).where(frame[assignment_col].notna(), "unknown").astype(str)


def _reasons(frame: pd.DataFrame, kinds: pd.Series, treated_at_col: str | None) -> list[str]:
    reasons = [_REASONS.get(kind, _UNKNOWN) for kind in sorted(set(kinds) - {RANDOM})]
    if treated_at_col is not None and np.any(number_column(frame, treated_at_col, 0.0) > 0):
        reasons.insert(0, _IMMORTAL)
    return list(dict.fromkeys(reasons))


def effects_table(effects: Mapping[str, TreatmentEffect | RegressionDiscontinuity | VariantComparison]) -> pd.DataFrame:
    """Return several answers as rows of one table, for a forest plot.

    Parameters
    ----------
    effects : mapping of str to TreatmentEffect, RegressionDiscontinuity or VariantComparison
        Name of the question to its answer. Differences must be those of shares: the forest draws percentage points.

    Returns
    -------
    DataFrame
        question, design, measure, effect, lower, upper, p_value, n_treated, n_control and is_shown, which is false
        where an arm has fewer units than a page may show. A comparison of variants has a row for each comparison, with
        its adjusted p-value.
    """
    rows = [row for name, answer in effects.items() for row in _rows_of(name, answer)]
    table = pd.DataFrame(rows, columns=list(_EFFECT_COLUMNS))
    return table.assign(is_shown=table[["n_treated", "n_control"]].min(axis=1) >= MINIMUM_CELL_COUNT)


def _rows_of(
    name: str, answer: TreatmentEffect | RegressionDiscontinuity | VariantComparison
) -> list[tuple[object, ...]]:
    """Return the answer to a question in the order of the columns."""
    if isinstance(answer, VariantComparison):
        sizes = answer.variants.set_index("variant")["n_units"]
        return [
            (
                f"{name}: {row['variant']} against {row['against']}",
                f"randomised variants, {answer.adjustment}",
                "risk_difference",
                *(float(row[key]) for key in ("difference", "lower", "upper", "adjusted_p_value")),
                int(sizes[row["variant"]]),
                int(sizes[row["against"]]),
            )
            for row in answer.comparisons.to_dict("records")
        ]
    numbers = (answer.effect, answer.lower, answer.upper, answer.p_value)
    if isinstance(answer, RegressionDiscontinuity):
        sides = (answer.n_left, answer.n_right)
        n_treated, n_control = sides if answer.treated_side == "left" else sides[::-1]
        return [(name, "regression discontinuity", "mean_difference", *numbers, n_treated, n_control)]
    return [(name, answer.design, answer.measure, *numbers, answer.n_treated, answer.n_control)]
