"""The effect of randomised arms on how units end, while the outcomes compete.

A treatment may bring more cures by bringing fewer sales, or faster cures but not more of them. The difference of
cumulative incidences at a horizon says how many; Gray's test says whether the curves differ at all. A hazard ratio
would say neither.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from recoverykit.curves import StepCurve
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._rows import broken, check_columns, check_level, check_rows, outcome_codes
from recoverykit.estimators.curve_tests import gray_test
from recoverykit.estimators.nonparametric import aalen_johansen_by
from recoverykit.operations._treatment_columns import two_arms
from recoverykit.operations.effects import TreatmentEffect, exclusion_rows, measure_rows, plain_rows
from recoverykit.operations.randomised import check_random
from recoverykit.vocabulary import Outcome

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class CompetingEffect:
    """The effect on one outcome at a horizon, with the other outcomes and the test of the whole curves.

    Attributes
    ----------
    effect : TreatmentEffect
        Difference of cumulative incidences at the horizon.
    horizon : float
        In the unit of the durations.
    by_outcome : DataFrame
        outcome, treated, control, difference, lower, upper and gray_p_value of every outcome; the p-value is NaN where
        the arms were never at risk together when it happened.
    curves : dict of str to StepCurve
        Cumulative incidence of the outcome by arm.
    """

    effect: TreatmentEffect
    horizon: float
    by_outcome: pd.DataFrame = field(repr=False)
    curves: dict[str, StepCurve] = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per outcome."""
        return self.by_outcome.copy()

    def to_record(self) -> dict[str, Any]:
        """Return the effect as JSON can hold it."""
        return self.effect.to_record() | {"horizon": self.horizon, "by_outcome": plain_rows(self.by_outcome)}

    def summary(self) -> str:
        """Return the finding and the table of outcomes as text."""
        return f"{self.effect.summary()}\n{self.by_outcome.to_string(index=False, float_format='{:.4g}'.format)}"

    def _repr_html_(self) -> str:
        return self.effect._repr_html_() + self.by_outcome.to_html(index=False, float_format="{:.4g}".format)


def incidence_effect(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    outcome_col: str,
    outcome: str,
    horizon: float,
    arm_col: str = "arm",
    control: str | None = None,
    treated: str | None = None,
    assignment_col: str | None = "assignment",
    censored: str = Outcome.OPEN,
    level: float = 0.95,
) -> CompetingEffect:
    """Compare the cumulative incidence of an outcome in randomised arms at a horizon.

    Parameters
    ----------
    frame : DataFrame
        One row per unit. Not changed.
    duration_col : str
        Time from assignment to the outcome or to censoring, at least 0.
    outcome_col, censored : str
        Outcome of each unit and the value that means censored.
    outcome : str
        The outcome in question.
    horizon : float
        Time at which the incidences are compared; both arms must have been followed so long.
    arm_col, control, treated, assignment_col
        As in ``intention_to_treat``.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    CompetingEffect

    Raises
    ------
    UnsoundComparisonError
        When units were not assigned at random.
    InsufficientDataError
        When an arm was not followed to the horizon, or the outcome never occurs.
    ContractError, ValueError
        When columns or values are missing (all at once) or an option is not allowed.

    Notes
    -----
    Aalen-Johansen by arm; the variance of the difference is the sum of those of the arms. Units count as independent.
    Gray (1988) tests the curves over all times.
    """
    check_level(level)
    check_columns(frame, [duration_col, outcome_col, arm_col, assignment_col])
    check_random(frame, assignment_col)
    faults = broken(frame, f"{arm_col} must not be missing", frame[arm_col].isna().to_numpy())
    names = two_arms(frame, arm_col, control, treated)
    in_arms = frame[arm_col].astype(str).isin(names)
    kept = frame[in_arms].assign(**{arm_col: frame.loc[in_arms, arm_col].astype(str)})
    _, codes, found = outcome_codes(kept, outcome_col, censored)
    check_rows(
        kept,
        by=(),
        is_event=codes >= 0,
        faults=faults + found,
        duration_col=duration_col,
        weights_col=None,
        entry_col=None,
    )
    return compare_incidence(
        kept,
        names=names,
        arm_col=arm_col,
        duration_col=duration_col,
        outcome_col=outcome_col,
        outcome=outcome,
        horizon=horizon,
        censored=censored,
        level=level,
        design="randomised, intention to treat",
        exclusions={"in another arm": int((~in_arms).sum())},
    )


def compare_incidence(
    kept: pd.DataFrame,
    *,
    names: tuple[str, str],
    arm_col: str,
    duration_col: str,
    outcome_col: str,
    outcome: str,
    horizon: float,
    censored: str,
    level: float,
    design: str,
    exclusions: dict[str, int],
    cautions: tuple[str, ...] = (),
) -> CompetingEffect:
    """Compare cumulative incidences of two groups that a design has made comparable; see ``incidence_effect``."""
    options = {"duration_col": duration_col, "outcome_col": outcome_col, "censored": censored}
    curves = aalen_johansen_by(kept, by=arm_col, level=level, **options)
    seen = list(next(iter(curves.values())))
    if outcome not in seen:
        raise InsufficientDataError(f"no unit has the outcome {outcome!r}; there are {', '.join(seen) or 'none'}")
    short = {name: by[outcome].times[-1] for name, by in curves.items() if _ends_before(by, horizon)}
    if short:
        told = ", ".join(f"{name} to {last:g}" for name, last in short.items())
        raise InsufficientDataError(
            f"the horizon is {horizon:g}, but units were followed only {told}; take a shorter one"
        )
    p_values = _gray_p_values(kept, arm_col, options)
    rows = [(*_difference(curves, name, names, horizon, level), p_values.get(name, np.nan)) for name in seen]
    table = pd.DataFrame(
        rows,
        columns=["outcome", "treated", "control", "difference", "standard_error", "lower", "upper", "gray_p_value"],
    )
    own = table[table["outcome"] == outcome].iloc[0]
    error, effect = float(own["standard_error"]), float(own["difference"])
    sizes = [int((kept[arm_col] == name).sum()) for name in names]
    at = [curve.at(min(horizon, curve.times[-1])).iloc[0] for curve in (curves[name][outcome] for name in names)]
    limits = {key: [float(row[key]) for row in at] for key in ("value", "lower", "upper")}
    arms = pd.DataFrame({"arm": list(names), "n_units": sizes} | limits)
    ratio = float(own["treated"]) / float(own["control"]) if own["control"] > 0 else float("nan")
    result = TreatmentEffect(
        design=f"{design}, at {horizon:g}",
        outcome=outcome,
        treated=names[0],
        control=names[1],
        measure="incidence_difference",
        effect=effect,
        standard_error=error,
        lower=float(own["lower"]),
        upper=float(own["upper"]),
        p_value=2 * float(ndtr(-abs(effect) / error)) if error > 0 else float("nan"),
        level=level,
        n_treated=sizes[0],
        n_control=sizes[1],
        errors="Aalen-Johansen, Greenwood-type errors",
        arms=arms,
        measures=measure_rows(
            [
                ("incidence_difference", effect, float(own["lower"]), float(own["upper"])),
                ("risk_ratio", ratio, float("nan"), float("nan")),
            ]
        ),
        exclusions=exclusion_rows(exclusions),
        cautions=cautions,
    )
    return CompetingEffect(result, horizon, table, {name: curves[name][outcome] for name in names})


def _ends_before(curves: dict[str, StepCurve], horizon: float) -> bool:
    """Tell whether a group was not followed to the horizon; one of which all units ended is known for ever."""
    parts = list(curves.values())
    return bool(parts[0].times[-1] < horizon and sum(curve.values[-1] for curve in parts) < 1 - _ROUNDING)


def _gray_p_values(kept: pd.DataFrame, arm_col: str, options: dict[str, str]) -> dict[str, float]:
    """Return the p-value of each outcome that can be tested; the difference at the horizon does not need the test."""
    try:
        return {name: test.p_value for name, test in gray_test(kept, by=arm_col, **options).items()}
    except InsufficientDataError:  # none can
        return {}


def _difference(
    curves: dict[str, dict[str, StepCurve]],
    outcome: str,
    names: tuple[str, str],
    horizon: float,
    level: float,
) -> tuple[str, float, float, float, float, float, float]:
    """Return one row of the table of outcomes, without the test."""
    values, variance = [], 0.0
    for name in names:
        curve = curves[name][outcome]
        place = int(np.searchsorted(curve.times, horizon, side="right")) - 1
        values.append(float(curve.values[place]))
        variance += float(curve.standard_errors[place]) ** 2 if curve.standard_errors is not None else 0.0
    error, gap = float(np.sqrt(variance)), values[0] - values[1]
    spread = float(ndtri(0.5 + level / 2)) * error
    return outcome, values[0], values[1], gap, error, gap - spread, gap + spread
