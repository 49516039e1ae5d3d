"""Randomised arms: the intention-to-treat effect, with looks before the end guarded.

Units are compared as they were drawn, whatever was done to them afterwards: that is what chance has made alike. Whoever
compares the units that were treated in fact compares those who could be reached with those who could not.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import bdtr

from recoverykit.errors import UnsoundComparisonError, Violation
from recoverykit.estimators._rows import broken, check_choice, check_columns, check_level, event_flags
from recoverykit.operations._arm_contrasts import INTERVALS, Contrast, compare_means, compare_robust, compare_shares
from recoverykit.operations._treatment_columns import check_numbers, check_sizes, read_weights, two_arms
from recoverykit.operations.effects import TreatmentEffect, exclusion_rows, measure_rows
from recoverykit.operations.sequential import sequential_boundaries

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: The value of an assignment column that lets arms be compared as they are.
RANDOM = "random"
_REASONS = {
    "rule": "a rule chose who was treated, so the arms differ in what the rule looks at; at its cut-off "
    "regression_discontinuity compares like with like",
    "discretion": "staff chose who was treated, so the arms differ in what staff saw (confounding by indication); "
    "aipw_effect or ipw_effect can adjust for what is recorded",
}
_UNPLANNED = (
    "no size was fixed beforehand (planned_n_units): interval and p-value hold only if this is the one look, at a date "
    "chosen without knowing the result"
)
#: A split of the arms that chance gives this rarely tells of a fault in the drawing of lots.
_RATIO_ALARM = 0.001
_MEASURES = {"risk_difference": "risk_ratio", "mean_difference": "ratio_of_means"}


def intention_to_treat(
    frame: pd.DataFrame,
    *,
    outcome_col: str,
    arm_col: str = "arm",
    control: str | None = None,
    treated: str | None = None,
    assignment_col: str | None = "assignment",
    followed_col: str | None = None,
    weights_col: str | None = None,
    cluster_col: str | None = None,
    interval: str = "newcombe",
    planned_n_units: int | None = None,
    spending: str | None = None,
    earlier_looks: Sequence[int] = (),
    treated_share: float | None = None,
    level: float = 0.95,
) -> TreatmentEffect:
    """Estimate the effect of being assigned to an arm by chance.

    Parameters
    ----------
    frame : DataFrame
        One row per unit that was assigned, treated or not. Not changed.
    outcome_col : str
        Outcome over a horizon that was fixed beforehand: 1 and 0 (cured or not), or an amount or share.
    arm_col : str
        Arm of each unit. Units of arms other than the two compared are left out and counted.
    control, treated : str, optional
        The arms; ``control`` may be left out where an arm has that name, ``treated`` where there are two arms.
    assignment_col : str or None
        How each unit came to its arm; all must be ``random``. None asserts that all were.
    followed_col : str, optional
        True (or 1) where the unit was followed for the whole horizon; others are left out and counted. Being followed
        must not depend on the outcome: see ``cash_within_horizon`` and ``event_within_horizon``.
    weights_col : str, optional
        Weights for censoring from ``event_within_horizon``, above 0.
    cluster_col : str, optional
        Obligor: errors are then robust over clusters, with Student's t on their number less 1.
    interval : {"newcombe", "score", "wald"}
        For shares without clusters or weights; "score" is Miettinen & Nurminen's. Means have Welch's.
    planned_n_units : int, optional
        Units with an outcome that the experiment was planned for. With fewer the result is a look before the end.
    spending : {"obrien_fleming", "pocock"}, optional
        Spending function planned for looks before the end; see ``sequential_boundaries``.
    earlier_looks : sequence of int
        Units with an outcome at the looks already taken, increasing.
    treated_share : float, optional
        Share of the units that was to be treated; a split that chance does not explain is cautioned.
    level : float
        Confidence level in (0, 1); with ``spending`` 1 - level is what all looks together may err.

    Returns
    -------
    TreatmentEffect
        ``risk_difference`` for outcomes of 0 and 1, ``mean_difference`` otherwise, with the ratio in ``measures``. At a
        look with ``spending`` the interval is the repeated one, its level that of the boundary: an effect is found when
        it leaves 0 out.

    Raises
    ------
    UnsoundComparisonError
        When units were not assigned at random; or fewer units than planned have an outcome and no spending function
        was planned.
    ContractError, InsufficientDataError, ValueError
        When columns or values are missing (all at once), an arm has fewer than two units or clusters, or an option is
        not allowed.

    Notes
    -----
    Newcombe (1998), Statistics in Medicine 17:873-890, method 10; Miettinen & Nurminen (1985), Statistics in Medicine
    4:213-226, whose test gives the p-value. Repeated intervals: Jennison & Turnbull (1989), JRSS B 51:305-361.

    Examples
    --------
    >>> frame = pd.DataFrame({"arm": ["visit"] * 70 + ["control"] * 80, "assignment": "random"})
    >>> frame["cured"] = [1] * 56 + [0] * 14 + [1] * 48 + [0] * 32
    >>> found = intention_to_treat(frame, outcome_col="cured", planned_n_units=150)
    >>> round(found.effect, 2), round(found.lower, 4), round(found.upper, 4)
    (0.2, 0.0524, 0.3339)

    A visit raised the share that cures by 20 points, and by 5 points at the least (Newcombe's example, his table II).
    """
    check_choice("interval", interval, INTERVALS)
    check_level(level)
    check_columns(frame, [arm_col, outcome_col, assignment_col, followed_col, weights_col, cluster_col])
    check_random(frame, assignment_col)
    needed = [arm_col, *([cluster_col] if cluster_col else [])]
    faults = [v for c in needed for v in broken(frame, f"{c} must not be missing", frame[c].isna().to_numpy())]
    names = two_arms(frame, arm_col, control, treated)
    compared, excluded, found = _compared(frame, arm_col, names, followed_col)
    weights, unfit = read_weights(compared, weights_col)
    outcome = check_numbers(compared, [outcome_col], faults=faults + found + unfit)[outcome_col]
    is_treated = (compared[arm_col].astype(str) == names[0]).to_numpy()
    check_sizes(is_treated, names)
    alpha, look_words, cautions = _look(len(compared), 1 - level, planned_n_units, spending, earlier_looks)
    clusters = None if cluster_col is None else pd.factorize(compared[cluster_col])[0].astype(np.int64)
    known = None if weights_col is None else weights
    contrast = _contrast(outcome, is_treated, names, interval, 1 - alpha, known, clusters)
    everyone = (frame[arm_col].astype(str) == names[0]).to_numpy()[frame[arm_col].astype(str).isin(names).to_numpy()]
    cautions += _split_caution(everyone, treated_share)
    if cluster_col is None:
        cautions += ("units count as independent: where obligors have several, give cluster_col",)
    return effect_of(
        contrast,
        design=f"randomised, intention to treat{look_words}",
        outcome=outcome_col,
        names=names,
        level=1 - alpha,
        exclusions=excluded,
        cautions=cautions,
    )


def effect_of(
    contrast: Contrast,
    *,
    design: str,
    outcome: str,
    names: tuple[str, str],
    level: float,
    exclusions: dict[str, int],
    cautions: tuple[str, ...],
) -> TreatmentEffect:
    """Return a contrast of two arms as an effect, with the ratio beside it."""
    measures = [(contrast.measure, contrast.effect, contrast.lower, contrast.upper)]
    measures.append((_MEASURES[contrast.measure], *contrast.ratio))
    return TreatmentEffect(
        design=design,
        outcome=outcome,
        treated=names[0],
        control=names[1],
        measure=contrast.measure,
        effect=contrast.effect,
        standard_error=contrast.standard_error,
        lower=contrast.lower,
        upper=contrast.upper,
        p_value=contrast.p_value,
        level=level,
        n_treated=int(contrast.arms["n_units"].iloc[0]),
        n_control=int(contrast.arms["n_units"].iloc[1]),
        errors=contrast.errors,
        arms=contrast.arms,
        measures=measure_rows(measures),
        exclusions=exclusion_rows(exclusions),
        cautions=cautions,
    )


def check_random(frame: pd.DataFrame, assignment_col: str | None) -> None:
    """Raise UnsoundComparisonError when the arm of any unit was not drawn by lot."""
    if assignment_col is None:
        return
    kinds = frame[assignment_col].astype(str)
    others = sorted(set(kinds) - {RANDOM})
    if others:
        counts = ", ".join(f"{int((kinds == kind).sum()):,} {kind}" for kind in others)
        why = "; ".join(dict.fromkeys(_REASONS.get(kind, _REASONS["discretion"]) for kind in others))
        raise UnsoundComparisonError(
            f"{counts} of {len(frame):,} units were not assigned at random, so their arms cannot be compared as they "
            f"are: {why}; keep the randomised units alone for an intention-to-treat effect"
        )


def _compared(
    frame: pd.DataFrame, arm_col: str, names: tuple[str, str], followed_col: str | None
) -> tuple[pd.DataFrame, dict[str, int], list[Violation]]:
    """Return the units of both arms that were followed, how many are left out, and what is wrong with the flags."""
    in_arms = frame[arm_col].astype(str).isin(names).to_numpy()
    followed: BoolArray = np.ones(len(frame), dtype=bool)
    found: list[Violation] = []
    if followed_col is not None:
        followed, found = event_flags(frame, followed_col)
    excluded = {
        "in another arm": int((~in_arms).sum()),
        "not followed for the horizon": int((in_arms & ~followed).sum()),
    }
    return frame[in_arms & followed], excluded, found


def _look(
    n_units: int, alpha: float, planned: int | None, spending: str | None, earlier: Sequence[int]
) -> tuple[float, str, tuple[str, ...]]:
    """Return the level of this look, words for it, and cautions; refuse a look that was not planned."""
    if planned is None:
        if spending is not None or len(earlier):
            raise ValueError("spending and earlier_looks need planned_n_units, of which a look has a share")
        return alpha, "", (_UNPLANNED,)
    if planned < 1:
        raise ValueError(f"planned_n_units is {planned!r}; it must be 1 or more")
    if spending is None:
        if n_units < planned or len(earlier):
            after = " after earlier looks" if len(earlier) else ""
            raise UnsoundComparisonError(
                f"{n_units:,} of {planned:,} planned units have an outcome{after}: testing before the end at the level "
                "of a single test finds effects where there are none (five looks at 5 % err in 14 %); wait for the "
                "end, or name the spending function that was planned, spending='obrien_fleming', with the earlier_looks"
            )
        return alpha, "", ()
    looks = [*(n / planned for n in earlier), min(n_units / planned, 1.0)]
    row = sequential_boundaries(looks, alpha=alpha, spending=spending).iloc[-1]
    words = f", look {len(looks)} at {looks[-1]:.0%} of the plan"
    said = f"a success needs a z of {row['z_bound']:.3f} at this look; the interval is the repeated one"
    return float(row["nominal_alpha"]), words, (said,)


def _contrast(
    outcome: Array,
    is_treated: BoolArray,
    names: tuple[str, str],
    interval: str,
    level: float,
    weights: Array | None,
    clusters: NDArray[np.int64] | None,
) -> Contrast:
    is_binary = bool(np.isin(outcome, (0.0, 1.0)).all())
    if weights is not None or clusters is not None:
        return compare_robust(
            outcome=outcome,
            is_treated=is_treated,
            names=names,
            level=level,
            measure="risk_difference" if is_binary else "mean_difference",
            weights=weights,
            clusters=clusters,
        )
    if is_binary:
        return compare_shares(outcome=outcome, is_treated=is_treated, names=names, interval=interval, level=level)
    return compare_means(outcome=outcome, is_treated=is_treated, names=names, level=level)


def _split_caution(is_treated: BoolArray, share: float | None) -> tuple[str, ...]:
    """Caution a split of the arms that drawing lots does not explain."""
    if share is None:
        return ()
    if not 0 < share < 1:
        raise ValueError(f"treated_share is {share!r}; it must lie between 0 and 1")
    k, n = int(is_treated.sum()), len(is_treated)
    tail = min(float(bdtr(k, n, share)), 1 - float(bdtr(k - 1, n, share)) if k else 1.0)
    if 2 * tail >= _RATIO_ALARM:
        return ()
    return (
        f"{k:,} of {n:,} units are in the treated arm where {share:.0%} was planned: the draw, or the log, is faulty",
    )
