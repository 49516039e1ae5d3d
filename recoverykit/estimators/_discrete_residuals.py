"""Cox-Snell residuals of monthly hazards. Private to the discrete-time hazard model.

A month's hazard h is what a constant intensity -log(1 - h) over the month brings about, of which each outcome has the
share of its own hazard. These intensities add up over the months that an episode was at risk, exactly those cells of
pattern and month on which the likelihood would be evaluated.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from recoverykit.errors import ExtrapolationError
from recoverykit.estimators._discrete_cells import cell_position, count_cells
from recoverykit.estimators._discrete_design import cell_frame
from recoverykit.estimators._discrete_forecast import Forecaster
from recoverykit.estimators._discrete_kernels import hazards
from recoverykit.estimators._discrete_problem import ColumnNames, calendar, compress_episodes
from recoverykit.estimators._formulas import check_prediction_frame
from recoverykit.estimators._residuals import outcome_part, residual_table
from recoverykit.estimators._rows import Array, BoolArray, IntArray, check_columns

_LARGEST_HAZARD, _LEAST_HAZARD = 1.0 - 1e-15, 1e-300


def monthly_residuals(
    forecaster: Forecaster,
    frame: pd.DataFrame,
    names: ColumnNames,
    outcomes: tuple[str, ...],
    outcome: str | None,
    *,
    macro: pd.DataFrame | None,
    default_month_col: str | None,
) -> pd.DataFrame:
    """Return the residuals of an outcome, or with None of being ended by any; parameters as in ``residuals`` of a fit.

    Raises
    ------
    ContractError, ExtrapolationError, ValueError
        As there.
    """
    check_columns(frame, [names.duration, names.outcome, names.entry])
    design = forecaster.design
    if design.macro_columns and macro is None:
        raise ValueError(f"the hazards depend on {', '.join(design.macro_columns)}: give macro=")
    path, default_month = calendar(frame, macro, design.macro_columns, default_month_col)
    names = replace(names, weights=None, cluster=None)
    rows, seen = compress_episodes(frame, names, design.covariates, default_month, want_inverse=True)
    unknown = sorted(set(seen) - set(outcomes))
    if unknown:
        raise ValueError(f"the fit knows nothing of the outcomes {', '.join(unknown)}; it saw {', '.join(outcomes)}")
    if rows.first_month < forecaster.first_month:
        raise ExtrapolationError("an outcome fell in month 0, in which no episode of the fit was at risk")
    forecaster.months_to(rows.month.astype(float))
    rows = replace(rows, first_month=forecaster.first_month)
    cells = count_cells(rows)
    held = cell_frame(
        frame.loc[:, list(design.covariates)].take(rows.representatives),
        pattern=cells.pattern,
        month=cells.month,
        path=path,
        default_month=None if default_month is None else default_month[rows.representatives],
    )
    check_prediction_frame(held, design.all)
    hazard = hazards(forecaster.link, design.matrix(held) @ forecaster.coefficients.T + design.offset(held))
    first, last, at_risk = cell_position(rows, cells)
    has_ended, row = at_risk & (rows.outcome >= 0), rows.places
    place = (np.where(at_risk, first, 0), np.where(at_risk, last, -1), has_ended, row)
    intensity = -np.log1p(-np.minimum(hazard.sum(axis=1), _LARGEST_HAZARD))
    total = residual_table(*_passed(intensity, *place), has_ended[row], frame.index)
    if outcome is None:
        return total
    k, codes = outcomes.index(outcome), np.array([*(outcomes.index(name) for name in seen), -1])
    share = hazard[:, k] / np.maximum(hazard.sum(axis=1), _LEAST_HAZARD)
    is_own = has_ended & (codes[rows.outcome] == k)
    return outcome_part(total, *_passed(share * intensity, *place), is_own[row])


def _passed(
    intensity: Array, first: IntArray, last: IntArray, has_ended: BoolArray, row: IntArray
) -> tuple[Array, Array, Array]:
    """Return the cumulative hazard of each row at entry and at both ends of its last month, or of all its months."""
    passed = np.concatenate([[0.0], np.cumsum(intensity)])
    start, end = passed[first], passed[last + 1]
    begin = np.where(has_ended, passed[np.maximum(last, 0)], end)
    return start[row], begin[row], end[row]
