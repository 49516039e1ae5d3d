"""Between frames and the arrays of competing-outcomes predictions. Private to the competing-outcomes model."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.curves import StepCurve
from recoverykit.estimators._competing_layout import make_layout
from recoverykit.estimators._competing_prediction import (
    Predictor,
    Quantity,
    incidence_band,
    mean_bands,
    still_open,
    survival_band,
)
from recoverykit.estimators._formulas import Design, check_prediction_frame, design_matrix
from recoverykit.estimators._mixture_prediction import Band
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
    matrices = {key: design_matrix(design, frame) for key, design in distinct.items()}
    given = np.zeros(len(frame)) if given_open_at is None else np.asarray(given_open_at, dtype=float)
    if given.shape not in {(), (len(frame),)} or not (np.isfinite(given).all() and (given >= 0).all()):
        raise ValueError(f"given_open_at must be one time of 0 or more, or one for each of the {len(frame)} rows")
    own = tuple(matrices[id(design)] for design in designs)
    return Predictor(
        theta=theta,
        covariance=covariance,
        designs=own,
        layout=make_layout(own, distributions, never),
        given=np.broadcast_to(given, (len(frame),)),
        level=level,
    )


def outcome_table(bands: Mapping[str, Band], index: pd.Index, times: Array) -> pd.DataFrame:
    """Return value, lower and upper of bands of shape (n_rows, n_times), one row per row, outcome and time."""
    n_outcomes, n_times = len(bands), len(times)
    columns = {
        name: np.hstack([getattr(band, name) for band in bands.values()]).ravel()
        for name in ("value", "lower", "upper")
    }
    names = ["row" if name is None else str(name) for name in index.names]
    rows = np.repeat(np.arange(len(index)), n_outcomes * n_times)
    arrays: list[pd.Index] = [index.get_level_values(i).take(rows) for i in range(index.nlevels)]
    arrays.append(pd.Index(np.tile(np.repeat(np.array(list(bands), dtype=object), n_times), len(index))))
    arrays.append(pd.Index(np.tile(times, len(index) * n_outcomes)))
    return pd.DataFrame(columns, index=pd.MultiIndex.from_arrays(arrays, names=[*names, "outcome", "time"]))


def mean_curve(predictor: Predictor, quantity: Quantity | None, times: Array, weight: Array) -> StepCurve:
    """Average an incidence, or with None the chance of being open, over rows as a curve from 0 on."""
    asked = times if times[0] == 0 else np.concatenate([[0.0], times])
    value, error = mean_bands(predictor, quantity or still_open, asked, weight)
    if quantity is None:
        band = survival_band(np.log(value), error / value, predictor.quantile)
    else:
        band = incidence_band(value, error, predictor.quantile)
    return StepCurve(asked, band.value, band.lower, band.upper, predictor.level, standard_errors=band.standard_error)
