"""Loss given default of closed and open episodes together: what came back so far and what may still be expected.

Closed episodes alone are a selection: quick workouts close first, and quick ones recover more. The all-in estimate
takes every episode, an open one with its recoveries so far and the expected remainder given its months in default
(EBA/GL/2017/16 on incomplete recovery processes). The average is weighted by number of defaults; the EAD-weighted one,
the closed-only one and the one that takes open episodes as they stand are shown beside it. This module computes no
sentence and adds no margin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, InsufficientDataError, Violation
from recoverykit.estimators._clusters import check_bootstrap, check_cells, percentile_limits, totals_by_month
from recoverykit.estimators._lgd_bootstrap import CLUSTER, CURVE_COLUMNS, DRAWN, CurveGroup, average, draw_averages
from recoverykit.estimators._lgd_episodes import PER_EPISODE_COLUMNS, age_in_months, expected_lgd
from recoverykit.estimators._recovery_kernels import months_known
from recoverykit.estimators._rows import broken, check_columns, check_level
from recoverykit.estimators.recovery_curve import MINIMUM_OPEN
from recoverykit.vocabulary import segment_name

__all__ = ["LgdEstimate", "age_in_months", "expected_lgd", "lgd_by", "lgd_summary"]

COUNT_COLUMN = "n_open_at_start"


@dataclass(frozen=True, slots=True)
class LgdEstimate:
    """Average loss given default of a set of episodes, as shares of EAD, with what it rests on.

    Attributes
    ----------
    n_episodes, n_closed, n_open : int
        Episodes in the averages.
    n_late_entry : int
        Episodes left out because observation began after default, so that their early recoveries are not known.
    n_unknown : int
        Episodes left out because no LGD can be computed for them (no discount rate).
    n_beyond_curve : int
        Open episodes older than the remaining curve, from which nothing more is expected.
    ead, ead_open : float
        EAD of the episodes in the averages and of the open ones among them, currency.
    closed_only_lgd, closed_only_lgd_ead_weighted : float
        Over closed episodes; NaN when there is none.
    as_recorded_lgd, as_recorded_lgd_ead_weighted : float
        Over all, open ones taken as if nothing more came.
    all_in_lgd, all_in_lgd_ead_weighted : float
        Over all, open ones with what is still expected.
    closed_only_lgd_floored, as_recorded_lgd_floored, all_in_lgd_floored : float
        Number-weighted, each episode's LGD floored at 0.
    n_floored, n_floored_closed : int
        Episodes whose LGD is below 0, of all and of the closed ones.
    intervals : dict
        Estimate to (lower, upper) for closed-only and all-in, number- and EAD-weighted; empty without a bootstrap.
    level : float
        Confidence level of the intervals.
    n_bootstrap : int
        Number of draws.
    """

    n_episodes: int
    n_closed: int
    n_open: int
    n_late_entry: int
    n_unknown: int
    n_beyond_curve: int
    ead: float
    ead_open: float
    closed_only_lgd: float
    closed_only_lgd_ead_weighted: float
    as_recorded_lgd: float
    as_recorded_lgd_ead_weighted: float
    all_in_lgd: float
    all_in_lgd_ead_weighted: float
    closed_only_lgd_floored: float
    as_recorded_lgd_floored: float
    all_in_lgd_floored: float
    n_floored: int
    n_floored_closed: int
    intervals: dict[str, tuple[float, float]]
    level: float
    n_bootstrap: int

    @property
    def has_closed(self) -> bool:
        """Whether any episode is closed; without one the closed-only LGD is NaN."""
        return self.n_closed > 0

    def to_record(self) -> dict[str, Any]:
        """Return all fields as JSON can hold them, NaN as None, with ``has_closed``."""
        values = {**asdict(self), "has_closed": self.has_closed}
        values["intervals"] = {name: [_finite(v) for v in limits] for name, limits in self.intervals.items()}
        return {k: _finite(v) if isinstance(v, float) else v for k, v in values.items()}

    def to_frame(self) -> pd.DataFrame:
        """Return one row with every number, limits in columns that end in ``_lower`` and ``_upper``."""
        numbers = {k: v for k, v in asdict(self).items() if k != "intervals"}
        for name in DRAWN:
            lower, upper = self.intervals.get(name, (np.nan, np.nan))
            numbers |= {f"{name}_lower": lower, f"{name}_upper": upper}
        return pd.DataFrame([{**numbers, "has_closed": self.has_closed}])


def lgd_summary(
    per_episode: pd.DataFrame,
    *,
    cells: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    curve_col: str | None = None,
    minimum_at_risk: int = MINIMUM_OPEN,
    n_bootstrap: int = 0,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
) -> LgdEstimate:
    """Average the LGD of episodes, closed-only and all-in, with intervals over obligors.

    Parameters
    ----------
    per_episode : DataFrame
        From ``expected_lgd``.
    cells : DataFrame or mapping of str to DataFrame, optional
        The sums by obligor and month from which the remaining curve was estimated; where episodes have different
        curves, the sums of each by its name. With them each draw estimates the
        curve again from the drawn obligors, so that the all-in interval holds the curve's own uncertainty; without
        them the curve is taken as known and that interval is too narrow. They may hold more obligors than
        ``per_episode``, when a small segment rests on its parent's curve.
    curve_col : str, optional
        With a mapping of cells: the column that names the curve of each episode.
    minimum_at_risk : int
        As given to ``remaining_recovery``.
    n_bootstrap : int
        Number of draws of obligors with replacement; 0 for no interval.
    rng : numpy.random.Generator, optional
        Needed for a bootstrap.
    level : float
        Confidence level in (0, 1), for percentile limits.

    Returns
    -------
    LgdEstimate
        Late entries and episodes without an LGD are left out of every average and counted. Intervals are of the raw,
        not of the floored averages; NaN where some draw holds no closed episode.

    Raises
    ------
    ContractError
        When columns are missing.
    InsufficientDataError
        When no episode is left.
    ValueError
        When an option is not allowed, or a bootstrap has no ``rng``.
    """
    check_level(level)
    check_bootstrap(n_bootstrap, rng)
    check_columns(per_episode, PER_EPISODE_COLUMNS, table="per_episode")
    is_late = per_episode["is_late_entry"].to_numpy(dtype=bool)
    is_unknown = per_episode["expected_lgd"].isna().to_numpy() & ~is_late
    used = per_episode[~(is_late | is_unknown)]
    if used.empty:
        raise InsufficientDataError(
            f"none of {len(per_episode)} episodes can be averaged: {is_late.sum()} were already in default when "
            f"observation began, {is_unknown.sum()} have no LGD"
        )
    intervals: dict[str, tuple[float, float]] = {}
    if n_bootstrap and rng is not None:
        groups = _curve_groups(used, cells, curve_col, minimum_at_risk)
        draws = draw_averages(used, groups=groups, n_draws=n_bootstrap, rng=rng)
        lower, upper = percentile_limits(draws, level)
        intervals = {name: (float(a), float(b)) for name, a, b in zip(DRAWN, lower, upper, strict=True)}
    return LgdEstimate(
        **_averages(used),
        n_late_entry=int(is_late.sum()),
        n_unknown=int(is_unknown.sum()),
        intervals=intervals,
        level=level,
        n_bootstrap=n_bootstrap,
    )


def lgd_by(per_episode: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """Average the LGD of episodes by group, without intervals.

    Parameters
    ----------
    per_episode : DataFrame
        From ``expected_lgd``, with the columns of ``by`` kept.
    by : str or sequence of str
        Columns whose combinations are the groups.

    Returns
    -------
    DataFrame
        One row per group, sorted: the ``by`` columns, ``segment`` (their values joined) and the numbers of
        ``LgdEstimate``. A group all of whose episodes are left out has n_episodes 0 and NaN averages.

    Raises
    ------
    ContractError
        When columns are missing or a group value is.
    InsufficientDataError
        When there is no episode.
    """
    columns = [by] if isinstance(by, str) else list(by)
    check_columns(per_episode, [*PER_EPISODE_COLUMNS, *columns], table="per_episode")
    found: list[Violation] = []
    for column in columns:
        rule = f"group column {column} must not be missing"
        found += broken(per_episode, rule, per_episode[column].isna().to_numpy(), table="per_episode")
    if found:
        raise ContractError(found)
    rows = []
    for values, group in per_episode.groupby(columns, sort=True, observed=True):
        left_out = group["is_late_entry"].to_numpy(dtype=bool)
        unknown = group["expected_lgd"].isna().to_numpy() & ~left_out
        left = {"n_late_entry": int(left_out.sum()), "n_unknown": int(unknown.sum())}
        numbers = {**_averages(group[~(left_out | unknown)]), **left}
        name = segment_name([str(v) for v in values])
        rows.append({**dict(zip(columns, values, strict=True)), "segment": name, **numbers})
    return pd.DataFrame(rows)


def _averages(used: pd.DataFrame) -> dict[str, Any]:
    lgd, ead = used["expected_lgd"].to_numpy(dtype=float), used["ead"].to_numpy(dtype=float)
    is_closed = used["is_closed"].to_numpy(dtype=bool)
    recorded = lgd + used["expected_remaining_rate"].to_numpy(dtype=float)
    return {
        "n_episodes": len(used),
        "n_closed": int(is_closed.sum()),
        "n_open": int((~is_closed).sum()),
        "n_beyond_curve": int(used["is_beyond_curve"].sum()),
        "ead": float(ead.sum()),
        "ead_open": float(ead[~is_closed].sum()),
        "closed_only_lgd": average(lgd[is_closed]),
        "closed_only_lgd_ead_weighted": average(lgd[is_closed], ead[is_closed]),
        "as_recorded_lgd": average(recorded),
        "as_recorded_lgd_ead_weighted": average(recorded, ead),
        "all_in_lgd": average(lgd),
        "all_in_lgd_ead_weighted": average(lgd, ead),
        "closed_only_lgd_floored": average(np.maximum(lgd[is_closed], 0.0)),
        "as_recorded_lgd_floored": average(np.maximum(recorded, 0.0)),
        "all_in_lgd_floored": average(np.maximum(lgd, 0.0)),
        "n_floored": int((lgd < 0).sum()),
        "n_floored_closed": int((lgd[is_closed] < 0).sum()),
    }


def _curve_groups(
    used: pd.DataFrame,
    cells: pd.DataFrame | Mapping[str, pd.DataFrame] | None,
    curve_col: str | None,
    minimum_at_risk: int,
) -> list[CurveGroup]:
    """Return the episodes by the curve that they share."""
    if cells is None:
        return []
    if isinstance(cells, pd.DataFrame):
        return [CurveGroup(used, cells, _months_of_curve(cells, minimum_at_risk))]
    if curve_col is None:
        raise ValueError("cells by name need curve_col, the column that names the curve of each episode")
    check_columns(used, [curve_col], table="per_episode")
    unknown = sorted(set(used[curve_col]) - set(cells))
    if unknown:
        raise ValueError(f"no cells for the curves {', '.join(unknown)}; there are {', '.join(sorted(cells))}")
    return [
        CurveGroup(group, cells[str(name)], _months_of_curve(cells[str(name)], minimum_at_risk))
        for name, group in used.groupby(curve_col, sort=True)
    ]


def _months_of_curve(cells: pd.DataFrame, minimum_at_risk: int) -> int:
    check_cells(cells, [*CURVE_COLUMNS, COUNT_COLUMN], cluster_col=CLUSTER)
    exposure, count = totals_by_month(cells, [CURVE_COLUMNS[1], COUNT_COLUMN])
    return months_known(exposure, count, minimum_at_risk)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
