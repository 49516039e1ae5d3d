"""Between frames and the arrays of competing-outcomes predictions. Private to the competing-outcomes model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.curves import StepCurve
from recoverykit.estimators._competing_data import read_outcomes
from recoverykit.estimators._competing_layout import OPEN, make_layout
from recoverykit.estimators._competing_prediction import (
    Predictor,
    Quantity,
    cumulative_hazard,
    incidence_band,
    mean_shares,
    mean_values,
    never,
    outcome_by,
    row_values,
    share_band,
    shares,
    still_open,
)
from recoverykit.estimators._compression import Tally, combine, encode, is_continuous, tally
from recoverykit.estimators._fit_tables import checked_weights, from_zero, step_curve
from recoverykit.estimators._formulas import Design, check_prediction_frame, design_matrix
from recoverykit.estimators._mixture_prediction import Band, log_log_band
from recoverykit.estimators._residuals import outcome_part, residual_table
from recoverykit.estimators._rows import check_choice
from recoverykit.estimators._simulation import drawn_parameters, percentile_band, simulated_rows
from recoverykit.estimators.distributions import StandardDistribution

Array = NDArray[np.float64]


def read_predictor(
    frame: pd.DataFrame,
    given_open_at: ArrayLike | None,
    *,
    designs: tuple[Design, ...],
    distributions: tuple[StandardDistribution, ...],
    never: bool,
    theta: Array,
    covariance: Array,
    level: float,
) -> Predictor:
    """Check a frame to predict for, and put its design matrices beside the parameters.

    Raises
    ------
    ContractError
        If a column is absent or has missing values.
    ExtrapolationError
        If a categorical column has a level that the fit did not see.
    ValueError
        If ``given_open_at`` is negative, not finite or of another length.
    """
    distinct = {id(design): design for design in designs}
    check_prediction_frame(frame, tuple(distinct.values()))
    given = np.zeros(len(frame)) if given_open_at is None else np.asarray(given_open_at, dtype=float)
    if given.shape not in {(), (len(frame),)} or not (np.isfinite(given).all() and (given >= 0).all()):
        raise ValueError(f"given_open_at must be one time of 0 or more, or one for each of the {len(frame)} rows")
    given = np.broadcast_to(given, (len(frame),))
    rows = _alike([*(frame[name] for name in sorted({v for d in designs for v in d.variables})), given], len(frame))
    matrices = {key: design_matrix(design, frame, rows.first) for key, design in distinct.items()}
    own = tuple(matrices[id(design)] for design in designs)
    return Predictor(
        theta=theta,
        covariance=covariance,
        designs=own,
        layout=make_layout(own, distributions, never),
        given=given[rows.first],
        level=level,
        inverse=rows.places,
    )


def _alike(columns: Sequence[pd.Series | Array], n_rows: int) -> Tally:
    """Find the rows that are alike in all columns, where that is worth the trouble."""
    if n_rows == 0 or any(is_continuous(column) for column in columns):
        every = np.arange(n_rows)
        return Tally(every, np.ones(n_rows), every)
    return tally(combine([encode(column) for column in columns], n_rows), None, want_inverse=True)


def row_shares(predictor: Predictor, wanted: Sequence[int], times: Array) -> list[Array]:
    """Return shares of every row of the frame at each time, of outcomes by position, or last of being open."""
    found = shares(predictor, times)
    return [np.ascontiguousarray(found[:, :, k])[predictor.inverse] for k in wanted]


def draws_of(predictor: Predictor, method: str, rng: np.random.Generator | None, n_draws: int) -> Array | None:
    """Draw parameters about the estimate; None for the delta method."""
    return drawn_parameters(predictor.theta, predictor.covariance, method=method, rng=rng, n_draws=n_draws)


def row_bands(predictor: Predictor, wanted: Sequence[int], times: Array, draws: Array | None) -> list[Band]:
    """Return bands of shares by row and time: of outcomes by position, or of being open by the number of outcomes.

    Parameters
    ----------
    predictor : Predictor
    wanted : sequence of int
        Positions on the last axis of ``shares``.
    times : ndarray of shape (n_times,)
        Finite, or a single infinite one for ever.
    draws : ndarray of shape (n_draws, n_params) or None
        Drawn parameters; None for the delta method.
    """
    if draws is None:
        quantities = [_quantity(predictor, k, times) for k in wanted]
        found = [
            _delta_band(predictor, k, times, *row_values(predictor, q, times))
            for k, q in zip(wanted, quantities, strict=True)
        ]
        return [Band(*(getattr(band, name)[predictor.inverse] for name in Band.__slots__)) for band in found]
    band = simulated_rows(
        lambda theta, rows: shares(predictor.cut(rows, theta), times),
        predictor.theta,
        draws,
        predictor.level,
        n_rows=len(predictor.given),
        width=len(times) * (predictor.layout.n_outcomes + 1),
    )
    return [Band(*(getattr(band, name)[predictor.inverse, :, k] for name in Band.__slots__)) for k in wanted]


def mean_bands(
    predictor: Predictor, wanted: Sequence[int], times: Array, weight: Array, draws: Array | None = None
) -> list[Band]:
    """Return bands of shares averaged over the rows with weights; arguments as in ``row_bands``, shape (n_times,)."""
    if draws is not None:
        drawn = np.array([mean_shares(predictor.cut(slice(None), theta), times, weight) for theta in draws])
        value = mean_shares(predictor, times, weight)
        return [percentile_band(value[:, k], drawn[:, :, k], predictor.level) for k in wanted]
    found = []
    for k in wanted:
        value, error = mean_values(predictor, _quantity(predictor, k, times), times, weight)
        with np.errstate(divide="ignore"):
            log_value = np.log(value)
        found.append(_delta_band(predictor, k, times, log_value, error / np.where(value > 0, value, 1.0)))
    return found


def mean_curves(
    predictor: Predictor, wanted: Sequence[int], times: ArrayLike, weights: ArrayLike | None, draws: Array | None
) -> list[StepCurve]:
    """Return curves of shares averaged over the rows, from 0 on; arguments as in ``mean_bands``."""
    asked, weight = from_zero(times), checked_weights(weights, len(predictor.inverse))
    weight = np.bincount(predictor.inverse, weights=weight, minlength=len(predictor.given)).astype(float)
    return [step_curve(band, asked, predictor.level) for band in mean_bands(predictor, wanted, asked, weight, draws)]


def _quantity(predictor: Predictor, k: int, times: Array) -> Quantity:
    if k < predictor.layout.n_outcomes:
        return outcome_by(k)
    return never if np.isinf(times[0]) else still_open


def _delta_band(predictor: Predictor, k: int, times: Array, log_value: Array, relative_error: Array) -> Band:
    """Return the band on the scale of the quantity: logit for ever, log(-log) of what is left until a time."""
    value, quantile = np.exp(log_value), predictor.quantile
    if np.isinf(times[0]):
        return share_band(value, value * relative_error, quantile)
    if k < predictor.layout.n_outcomes:
        return incidence_band(value, value * relative_error, quantile)
    return log_log_band(log_value, relative_error, quantile)


def residuals(
    predictor: Predictor,
    frame: pd.DataFrame,
    columns: Mapping[str, Any],
    outcomes: tuple[str, ...],
    outcome: str | None,
) -> pd.DataFrame:
    """Return Cox-Snell residuals of the rows of a frame for an outcome of the fit, or with None for any.

    Raises
    ------
    ContractError
        If columns are absent or rows break a rule.
    ValueError
        If the outcome, or one in the frame, is none of the fit's.
    """
    if outcome is not None:
        check_choice("outcome", outcome, outcomes)
    found, times = read_outcomes(frame, **columns)
    predictor = predictor.cut(predictor.inverse)
    unknown = sorted(set(found.names) - set(outcomes))
    if unknown:
        raise ValueError(f"the fit knows nothing of the outcomes {', '.join(unknown)}; it saw {', '.join(outcomes)}")
    entry = np.zeros(len(frame)) if times.entry is None else times.entry
    marks = (entry, times.lower, np.where(np.isfinite(times.upper), times.upper, times.lower))
    has_ended = found.codes != OPEN
    start, lower, upper = (cumulative_hazard(predictor, t, None) for t in marks)
    total = residual_table(start, lower, upper, has_ended, frame.index)
    if outcome is None:
        return total
    k, places = outcomes.index(outcome), np.array([*(outcomes.index(name) for name in found.names), OPEN])
    start, lower, upper = (cumulative_hazard(predictor, t, k) for t in marks)
    return outcome_part(total, start, lower, upper, places[found.codes] == k)
