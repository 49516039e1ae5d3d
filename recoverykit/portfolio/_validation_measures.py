"""How well predictions of cure held on a sample: order, size and both at once, as rows of tables.

Where a sample holds no cure, or was not followed so far, a row stays without numbers; nothing here fails for want of
data.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ExtrapolationError, InsufficientDataError
from recoverykit.estimators.evaluation import (
    brier_score,
    calibration_by_horizon,
    concordance,
    cure_discrimination,
    integrated_brier_score,
    time_dependent_auc,
)
from recoverykit.estimators.mixture_cure import MixtureCureFit
from recoverykit.portfolio._validation_samples import NEW, OUT_OF_TIME, Forecast, Sample
from recoverykit.portfolio._validation_stability import standard_error_of
from recoverykit.portfolio.cure_model import time_to_cure_frame
from recoverykit.vocabulary import Outcome

Array = NDArray[np.float64]

ENDS: dict[str, Any] = {"duration_col": "months", "outcome_col": "outcome", "outcome": Outcome.CURED}
#: Groups of predictions are deciles where they hold enough episodes, fewer groups where they do not.
MOST_GROUPS, EPISODES_PER_GROUP = 10, 40
INTERVAL = ["value", "standard_error", "lower", "upper"]


def with_predictions(
    sample: Sample, forecast: Forecast, reference: MixtureCureFit | None, months: list[int]
) -> pd.DataFrame:
    """Return the sample's frame with columns ``p<month>`` and, of the model without drivers, ``r<month>``."""
    columns = _named("p", months, forecast.predict(sample, months))
    if reference is not None:
        columns |= _named("r", months, forecast.predict(sample, months, reference))
    return sample.frame.assign(**columns)


def discrimination(sample: Sample, forecast: Forecast, month: int, level: float) -> pd.DataFrame:
    """Return concordance and AUC at a month and, from default on, the two halves of a cure model's discrimination."""
    scored = sample.frame.assign(score=forecast.predict(sample, [month])[:, 0])
    options: dict[str, Any] = {**ENDS, "score_col": "score", "level": level}
    asked: dict[str, Callable[[], dict[str, Any]]] = {
        "auc": lambda: _first(time_dependent_auc(scored, times=[month], **options), "auc"),
        "concordance": lambda: concordance(scored, method="uno", until=month, **options).to_record(),
    }
    rows = [{"measure": name, **_or_nothing(measure)} for name, measure in asked.items()]
    rows += _halves(sample, forecast) if sample.population == NEW else []
    table = pd.DataFrame(rows).reindex(columns=["measure", *INTERVAL])
    return _identified(table.assign(months=month), sample, month)


def calibration_rows(
    sample: Sample, frame: pd.DataFrame, months: list[int], level: float, *, n_groups: int = 1
) -> pd.DataFrame:
    """Return predicted and observed probabilities of cure by each month, of all or by groups of predictions."""
    predicted = {float(month): f"p{month}" for month in months}
    try:
        table = calibration_by_horizon(frame, predicted_cols=predicted, n_groups=n_groups, level=level, **ENDS)
    except (InsufficientDataError, ExtrapolationError):
        # Without any cure the observed share is 0, and there is no interval to give.
        means = [float(frame[name].mean()) for name in predicted.values()]
        table = pd.DataFrame({"months": months, "group": 1, "n_episodes": float(len(frame)), "predicted": means})
        seen = np.nan if sample.n_cures() else 0.0
        table = table.assign(observed=seen, standard_error=np.nan, lower=np.nan, upper=np.nan)
    kept = ["months", "group", "n_episodes", "predicted", "observed", "standard_error", "lower", "upper"]
    table = table[kept].assign(
        population=sample.population,
        period=sample.period,
        expected_cures=table["predicted"] * table["n_episodes"],
        observed_cures=table["observed"] * table["n_episodes"],
    )
    table["n_cures"] = [sample.n_cures(month) for month in table["months"]]
    table["n_followed"] = [int((sample.frame["followed_months"] >= month).sum()) for month in table["months"]]
    return table.astype({"months": int, "n_episodes": int})


def number_of_groups(n_episodes: int) -> int:
    """Return the number of groups of predictions that so many episodes allow."""
    return int(np.clip(n_episodes // EPISODES_PER_GROUP, 1, MOST_GROUPS))


def accuracy(sample: Sample, frame: pd.DataFrame, months: list[int], level: float) -> pd.DataFrame:
    """Return Brier scores of the model and of the one without drivers, at the last month and over all of them."""
    rows = []
    for measure, asked in (("brier_score", months[-1:]), ("integrated_brier_score", months)):
        if f"r{months[0]}" not in frame or (measure == "integrated_brier_score" and len(asked) == 1):
            continue
        with_drivers, without = (_or_nothing(partial(_brier, frame, letter, asked, level)) for letter in "pr")
        rows.append({"measure": measure, **with_drivers, "reference": without.get("value", np.nan)})
    table = pd.DataFrame(rows).reindex(columns=["measure", *INTERVAL, "reference"])
    ratio = table["value"] / table["reference"]
    table = table.assign(months=months[-1], brier_ratio=ratio, prediction_accuracy_index=1.0 - ratio)
    return _identified(table, sample, months[-1])


def calibration_test(sample: Sample, forecast: Forecast, row: pd.Series) -> dict[str, float]:
    """Return observed less predicted share of cures, its standard error and their ratio z.

    The error of the observed share comes from the sample, or where nobody cured from the predicted share and the loans
    followed so far; that of the predicted share comes from the fit; out of time the two are independent. In
    development, where the sample made the fit, the prediction is taken as given, and so it is where a fit on its
    boundary has no errors.
    """
    month, predicted = int(row["months"]), float(row["predicted"])
    error = 0.0
    if sample.period == OUT_OF_TIME:
        error = standard_error_of(forecast.fit, lambda fit: float(forecast.predict(sample, [month], fit).mean()))
    seen = float(row["standard_error"])
    if not seen > 0:
        seen = float(np.sqrt(predicted * (1.0 - predicted) / row["n_followed"]))
    spread = float(np.hypot(seen, np.nan_to_num(error)))
    difference = float(row["observed"]) - predicted
    z = difference / spread if spread > 0 else np.nan
    return {"difference": difference, "standard_error_of_difference": spread, "z": z}


def _brier(frame: pd.DataFrame, letter: str, months: list[int], level: float) -> dict[str, Any]:
    columns = {float(month): f"{letter}{month}" for month in months}
    if len(months) > 1:
        return integrated_brier_score(frame, predicted_cols=columns, times=months, level=level, **ENDS).to_record()
    return _first(brier_score(frame, predicted_cols=columns, times=months, level=level, **ENDS), "brier_score")


def _halves(sample: Sample, forecast: Forecast) -> list[dict[str, Any]]:
    """Return both halves of a cure model's discrimination, on the time and follow-up that the model knows."""
    frame = time_to_cure_frame(sample.frame, dead_months=forecast.dead_months)
    months = np.where(frame["has_cured"], frame["upper_months"], frame["lower_months"])
    fit: Any = forecast.fit  # its predictions come as a Series where no interval is asked for
    ends = {"duration_col": "watched", "event_col": "has_cured"}
    try:
        found = cure_discrimination(fit, frame.assign(watched=months), **ends).set_index("measure")["value"]
    except InsufficientDataError:
        found = pd.Series(dtype=float)
    return [{"measure": name, "value": found.get(name, np.nan)} for name in ("cure_auc", "cure_k_index")]


def _identified(table: pd.DataFrame, sample: Sample, month: int) -> pd.DataFrame:
    return table.assign(
        population=sample.population,
        period=sample.period,
        n_episodes=len(sample.frame),
        n_cures=sample.n_cures(month),
    )


def _named(letter: str, months: list[int], values: Array) -> dict[str, Array]:
    return {f"{letter}{month}": values[:, place] for place, month in enumerate(months)}


def _first(table: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return the first row of a table as the fields of a measure."""
    row = table.rename(columns={name: "value"}).iloc[0]
    return {field: row[field] for field in INTERVAL}


def _or_nothing(measure: Callable[[], dict[str, Any]]) -> dict[str, float]:
    """Return a measure's fields, or none where the sample cannot carry it."""
    try:
        record = measure()
    except (InsufficientDataError, ExtrapolationError):
        return {}
    return {name: float(record[name]) for name in INTERVAL if name in record}
