"""Predictions of a discrete-time hazard model as labelled tables and curves. Private to it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.estimators._nonparametric_kernels import probability_interval
from recoverykit.estimators._rows import Array


def wide_table(values: Array, index: pd.Index, times: Array, outcomes: Sequence[str]) -> pd.DataFrame:
    """Return one row per row, columns by outcome and time; values of shape (n_rows, n_times, n_outcomes)."""
    columns = pd.MultiIndex.from_product([list(outcomes), list(times)], names=["outcome", "time"])
    return pd.DataFrame(values.swapaxes(1, 2).reshape(len(index), -1), index=index, columns=columns)


def long_table(
    values: Array,
    errors: Array,
    index: pd.Index,
    times: Array,
    outcomes: Sequence[str],
    *,
    level: float,
    is_survival: bool,
) -> pd.DataFrame:
    """Return one row per row, outcome and time: value, lower, upper, standard_error."""
    lower, upper = _limits(values, errors, level=level, is_survival=is_survival)
    columns = {"value": values, "lower": lower, "upper": upper, "standard_error": errors}
    names = ["row" if name is None else str(name) for name in index.names]
    n_outcomes, n_times = len(outcomes), len(times)
    rows = np.repeat(np.arange(len(index)), n_outcomes * n_times)
    arrays: list[pd.Index] = [index.get_level_values(i).take(rows) for i in range(index.nlevels)]
    arrays.append(pd.Index(np.tile(np.repeat(np.array(outcomes, dtype=object), n_times), len(index))))
    arrays.append(pd.Index(np.tile(times, len(index) * n_outcomes)))
    both = pd.MultiIndex.from_arrays(arrays, names=[*names, "outcome", "time"])
    return pd.DataFrame({name: array.swapaxes(1, 2).ravel() for name, array in columns.items()}, index=both)


def curve(times: Array, values: Array, errors: Array, *, level: float, is_survival: bool) -> StepCurve:
    """Return values and standard errors at times as a curve."""
    lower, upper = _limits(values, errors, level=level, is_survival=is_survival)
    return StepCurve(times=times, values=values, lower=lower, upper=upper, level=level, standard_errors=errors)


def _limits(values: Array, errors: Array, *, level: float, is_survival: bool) -> tuple[Array, Array]:
    return probability_interval(
        values=values, standard_errors=errors, level=level, interval="log-log", is_survival=is_survival
    )
