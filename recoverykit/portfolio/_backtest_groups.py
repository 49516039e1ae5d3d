"""Predicted and realised recovery between two dates, by episode and by group. Private to ``backtest``."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.estimators.further_recovery import FurtherRecovery, OpenEpisodes, expected_within, further_recovery
from recoverykit.portfolio.book import Book
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

Array = NDArray[np.float64]

N_DECILES = 10


def by_curve(still_open: pd.DataFrame, cells: dict[str, pd.DataFrame], weights: Array) -> dict[str, OpenEpisodes]:
    """Return the open episodes by segment, with the rows of ``weights`` that are theirs."""
    ages = still_open["age_months"].to_numpy(dtype=float)
    places = still_open.groupby("segment", sort=True).indices
    return {str(name): OpenEpisodes(ages[rows], weights[rows], cells[str(name)]) for name, rows in places.items()}


def compare(
    still_open: pd.DataFrame,
    after: pd.DataFrame,
    then: Book,
    cells: dict[str, pd.DataFrame],
    horizon: int,
    rng: np.random.Generator,
    options: dict[str, Any],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return predicted and realised recovery between the dates, by episode and by group."""
    share = (still_open["ead"] / still_open["denominator_amount"]).to_numpy()
    at_risk = options["minimum_at_risk"]
    unweighted = by_curve(still_open, cells, np.ones((len(still_open), 1)))
    expected = expected_within(unweighted, horizon_months=horizon, minimum_at_risk=at_risk)
    predicted = np.empty(len(still_open))
    for name, rows in still_open.groupby("segment", sort=True).indices.items():
        predicted[rows] = expected[str(name)] * share[rows]
    realised = (after.loc[still_open.index, "recovered_rate"] - still_open["recovered_rate"]).to_numpy()
    dates = then.episodes.set_index("episode_id")["default_date"]
    episodes = still_open[["obligor_id", "segment", "age_months"]].assign(
        default_year=dates.loc[still_open.index].dt.year,
        predicted_rate=predicted,
        realised_rate=realised,
        error=predicted - realised,
    )
    members = _members(episodes)
    weights = np.column_stack([share * (m / m.sum()) for m in members.values()])
    forecast = further_recovery(by_curve(still_open, cells, weights), rng=rng, horizon_months=horizon, **options)
    return episodes.reset_index(), _groups(episodes, members, forecast)


def _members(episodes: pd.DataFrame) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Return who belongs to each group that is large enough to be told: all, each year of default, each decile."""
    ranks = episodes["predicted_rate"].rank(method="first", pct=True)
    decile = np.ceil(ranks * N_DECILES).astype(int)
    members = {("all", "all"): np.ones(len(episodes), dtype=bool)}
    for kind, values in (("vintage", episodes["default_year"]), ("decile", decile)):
        members |= {(kind, str(v)): (values == v).to_numpy() for v in np.unique(values)}
    return {name: m for name, m in members.items() if m.sum() >= MINIMUM_CELL_COUNT}


def _groups(
    episodes: pd.DataFrame, members: dict[tuple[str, str], NDArray[np.bool_]], forecast: FurtherRecovery
) -> pd.DataFrame:
    rows = []
    for (kind, group), m, mean, half in zip(
        members, members.values(), forecast.means, forecast.half_width, strict=True
    ):
        realised = float(episodes.loc[m, "realised_rate"].mean())
        rows.append(
            {
                "kind": kind,
                "group": group,
                "n_episodes": int(m.sum()),
                "predicted": float(mean),
                "lower": float(mean - half),
                "upper": float(mean + half),
                "realised": realised,
                "is_inside": bool(abs(realised - mean) <= half),
            }
        )
    return pd.DataFrame(rows)
