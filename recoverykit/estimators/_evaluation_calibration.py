"""Predicted against observed shares, by horizon and by how high the prediction was. Public through ``evaluation``."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.curves import StepCurve
from recoverykit.estimators._evaluation_border import Ends, check_times, read_episodes
from recoverykit.estimators._evaluation_kernels import CAUSE, CENSORED, Episodes
from recoverykit.estimators._rows import check_level
from recoverykit.estimators.nonparametric import aalen_johansen_by
from recoverykit.vocabulary import Outcome

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
#: Names that the outcomes are given for the curve.
NAMES = np.array(["open", "event", "other"], dtype=object)
#: Shares this close are equal up to the rounding of a running sum.
ROUNDING = 1e-12


def calibration(
    frame: pd.DataFrame,
    *,
    predicted_col: str,
    horizon: float,
    duration_col: str,
    event_col: str | None = None,
    outcome_col: str | None = None,
    outcome: str | None = None,
    censored: str = Outcome.OPEN,
    n_groups: int = 10,
    weights_col: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare predicted with observed probabilities of the event by a horizon, from low predictions to high ones.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, observed from its default on. Not changed.
    predicted_col : str
        Predicted probability, in [0, 1], of having had the event by the horizon.
    horizon : float
        In months, not beyond the longest duration.
    duration_col : str
        Months to the event or to censoring, at least 0.
    event_col, outcome_col, outcome, censored, weights_col, level
        As in ``concordance``.
    n_groups : int
        Groups of about equal size, by the quantiles of the prediction: 10 for deciles, 1 for the book as a whole. Equal
        predictions stay in one group, so that there may be fewer groups.

    Returns
    -------
    DataFrame
        One row per group, lowest predictions first: months, group (from 1), n_episodes, predicted_min, predicted
        (mean), predicted_max, observed (Aalen-Johansen, so that open episodes and competing outcomes are accounted
        for), standard_error, lower, upper, n_at_risk (under observation and still open just before the horizon) and
        difference (observed - predicted). NaN where a group was not observed up to the horizon; no standard
        error nor interval (NaN) where all of it had the event. An interval without width, where nobody in the group had
        it, is not certainty.

    Raises
    ------
    ContractError, InsufficientDataError, ExtrapolationError, ValueError
        As in ``time_dependent_auc``.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 5, 6, 9], "cured": [1, 1, 0, 1], "by_6": [0.9, 0.8, 0.4, 0.1]})
    >>> table = calibration(
    ...     frame, predicted_col="by_6", horizon=6, duration_col="months", event_col="cured", n_groups=2
    ... )
    >>> table[["group", "predicted", "observed"]].round(2).values.tolist()
    [[1.0, 0.25, 0.0], [2.0, 0.85, 1.0]]

    Where 25 % were expected nobody was cured by month 6; where 85 % were expected, all.
    """
    return calibration_by_horizon(
        frame,
        predicted_cols={horizon: predicted_col},
        duration_col=duration_col,
        event_col=event_col,
        outcome_col=outcome_col,
        outcome=outcome,
        censored=censored,
        n_groups=n_groups,
        weights_col=weights_col,
        level=level,
    )


def calibration_by_horizon(
    frame: pd.DataFrame,
    *,
    predicted_cols: Mapping[float, str],
    duration_col: str,
    event_col: str | None = None,
    outcome_col: str | None = None,
    outcome: str | None = None,
    censored: str = Outcome.OPEN,
    n_groups: int = 10,
    weights_col: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare predicted with observed probabilities of the event by several horizons.

    Parameters
    ----------
    frame, duration_col, event_col, outcome_col, outcome, censored, n_groups, weights_col, level
        As in ``calibration``.
    predicted_cols : mapping of float to str
        Horizon in months to the column with the predicted probability of having had the event by then.

    Returns
    -------
    DataFrame
        The tables of ``calibration`` below each other, by horizon. Groups are formed anew at each horizon.

    Raises
    ------
    ContractError, InsufficientDataError, ExtrapolationError, ValueError
        As in ``calibration``.

    Examples
    --------
    >>> frame = pd.DataFrame({"months": [3, 5, 6, 9], "cured": [1, 1, 0, 1], "a": [0.4] * 4, "b": [0.5] * 4})
    >>> table = calibration_by_horizon(
    ...     frame, predicted_cols={3: "a", 6: "b"}, duration_col="months", event_col="cured", n_groups=1
    ... )
    >>> table[["months", "predicted", "observed"]].values.tolist()
    [[3.0, 0.4, 0.25], [6.0, 0.5, 0.5]]
    """
    check_level(level)
    if n_groups < 1 or n_groups != int(n_groups):
        raise ValueError(f"n_groups is {n_groups!r}; it must be a whole number of 1 or more")
    ends = Ends(duration_col, event_col, outcome_col, outcome, censored, weights_col)
    columns = {float(month): name for month, name in sorted(predicted_cols.items())}
    episodes, values = read_episodes(frame, ends, share_cols=list(columns.values()))
    months = check_times(list(columns), episodes)
    tables = [_one_horizon(episodes, values[columns[month]], month, n_groups, level) for month in months.tolist()]
    return pd.concat(tables, ignore_index=True)


def _one_horizon(episodes: Episodes, predicted: Array, month: float, n_groups: int, level: float) -> pd.DataFrame:
    group = _quantile_groups(predicted, episodes.weights, n_groups)
    kinds = np.select([episodes.ends == CENSORED, episodes.ends == CAUSE], [0, 1], default=2)
    rows = pd.DataFrame(
        {
            "group": group,
            "months": episodes.durations,
            "outcome": NAMES[kinds],
            "weight": episodes.weights,
            "predicted": predicted,
            "mass": episodes.weights * predicted,
        }
    )
    curves = aalen_johansen_by(
        rows, by="group", duration_col="months", outcome_col="outcome", weights_col="weight", level=level
    )
    by_group = rows.groupby("group")
    table = by_group.agg(
        n_episodes=("weight", "sum"),
        predicted_min=("predicted", "min"),
        predicted=("mass", "sum"),
        predicted_max=("predicted", "max"),
    )
    table["predicted"] /= table["n_episodes"]
    observed = [_observed(curves[str(name)], month) for name in table.index]
    table[["observed", "standard_error", "lower", "upper", "n_at_risk"]] = observed
    table["difference"] = table["observed"] - table["predicted"]
    table = table.reset_index()
    table.insert(0, "months", month)
    return table


def _observed(curves: dict[str, StepCurve], month: float) -> tuple[float, float, float, float, float]:
    """Return value, standard error, limits and number at risk of the event at a month."""
    curve = curves["event"]
    last = float(curve.times[-1])
    if month > last and sum(float(c.values[-1]) for c in curves.values()) < 1.0 - ROUNDING:
        return (float("nan"),) * 4 + (0.0,)  # some were open when the group was last observed
    place = int(np.searchsorted(curve.times, month, side="right")) - 1
    # The next distinct time has the same risk set as the horizon, unless the horizon is such a time itself.
    ahead = int(np.searchsorted(curve.times, month, side="left"))
    at_risk = float(curve.n_at_risk[ahead]) if curve.n_at_risk is not None and ahead < len(curve.times) else 0.0
    errors = curve.standard_errors if curve.standard_errors is not None else np.full(len(curve.times), np.nan)
    return (
        float(curve.values[place]),
        float(errors[place]),
        float(curve.lower[place]),
        float(curve.upper[place]),
        at_risk,
    )


def _quantile_groups(predicted: Array, weights: Array, n_groups: int) -> IntArray:
    """Return for each row its group from 1: by the middle of the weight that shares its prediction."""
    distinct, codes = np.unique(predicted, return_inverse=True)
    sums = np.bincount(codes, weights=weights)
    middle = (np.cumsum(sums) - 0.5 * sums) / sums.sum()
    groups = np.minimum((middle * n_groups + ROUNDING).astype(np.int64), n_groups - 1)
    return np.unique(groups, return_inverse=True)[1].reshape(len(distinct))[codes] + 1
