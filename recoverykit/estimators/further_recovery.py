"""What open episodes will recover in the months to come, and how sure that is.

A forecast for given episodes errs twice: the curve is estimated from a limited number of obligors, and even with the
true curve some loans do better and others worse. ``further_recovery`` keeps both apart and adds them up. It looks a
given number of months ahead, so that a forecast made at an earlier date can be held against what came since, without
waiting for the last workout to end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.special import ndtri

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._clusters import check_bootstrap, check_cells, draw_counts, sum_by_cluster, totals_by_month
from recoverykit.estimators._recovery_kernels import monthly_shares, months_known, totals_after
from recoverykit.estimators._rows import Array, check_level
from recoverykit.estimators.recovery_curve import MINIMUM_OPEN

_CLUSTER = "obligor_id"
_CURVE_COLUMNS = ("present_value_amount_open", "ead_open_at_start", "ead_resolved")
_COUNT = "n_open_at_start"


@dataclass(frozen=True, slots=True, eq=False)
class OpenEpisodes:
    """Open episodes that share a curve.

    Attributes
    ----------
    ages : ndarray of shape (n_episodes,)
        Months in default, 0 or more; fractions allowed.
    weights : ndarray of shape (n_episodes, n_means)
        What a share of EAD recovered by each adds to each mean: 1 / N in a column for the plain mean over N of them.
    cells : DataFrame
        Sums by obligor and month from which their curve is estimated, as for ``remaining_recovery``.
    """

    ages: Array
    weights: Array
    cells: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class FurtherRecovery:
    """What open episodes are expected to recover within a horizon.

    Attributes
    ----------
    by_episode : dict of str to ndarray
        Expected recovery of each episode, share of EAD, in the order given, by name of the curve.
    means : ndarray of shape (n_means,)
        Weighted sums over all of them.
    se_curve, se_chance, se_calendar : ndarray of shape (n_means,)
        Standard errors of ``means`` from the estimated curves, of what chance adds for so many episodes, and of what
        calendar years add. The second takes episodes as independent, the third the years to come as all alike.
    level : float
    """

    by_episode: dict[str, Array]
    means: Array
    se_curve: Array
    se_chance: Array
    se_calendar: Array
    level: float

    @property
    def standard_errors(self) -> Array:
        """Of the difference between what comes and ``means``, of shape (n_means,)."""
        return np.sqrt(self.se_curve**2 + self.se_chance**2 + self.se_calendar**2)

    @property
    def half_width(self) -> Array:
        """Half of the normal prediction interval around each mean, of shape (n_means,)."""
        return np.asarray(ndtri(0.5 + self.level / 2) * self.standard_errors, dtype=float)


def expected_within(
    groups: Mapping[str, OpenEpisodes], *, horizon_months: int | None = None, minimum_at_risk: int = MINIMUM_OPEN
) -> dict[str, Array]:
    """Return what each open episode is expected to recover within a horizon.

    Parameters
    ----------
    groups, horizon_months, minimum_at_risk
        As for ``further_recovery``; weights are not looked at.

    Returns
    -------
    dict of str to ndarray
        By name of the curve, shares of EAD in the order given.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As ``further_recovery``.
    """
    if horizon_months is not None and horizon_months < 1:
        raise ValueError(f"horizon_months is {horizon_months}; it must be 1 or more, or None for no limit")
    curves = {name: _curve(group, minimum_at_risk) for name, group in groups.items()}
    return {
        name: _within(group.ages, horizon_months, *(c[None] for c in curves[name]))[0] for name, group in groups.items()
    }


def further_recovery(
    groups: Mapping[str, OpenEpisodes],
    *,
    horizon_months: int | None = None,
    minimum_at_risk: int = MINIMUM_OPEN,
    calendar_spread: float = 0.0,
    n_bootstrap: int = 200,
    rng: np.random.Generator,
    level: float = 0.90,
) -> FurtherRecovery:
    """Forecast what open episodes recover within a horizon, with a prediction interval for their mean.

    Parameters
    ----------
    groups : mapping of str to OpenEpisodes
        Open episodes by the curve that they share.
    horizon_months : int, optional
        How far ahead; to the end of the curve when absent.
    minimum_at_risk : int
        As given to ``remaining_recovery``.
    calendar_spread : float
        Standard deviation of a calendar year's recoveries around those of the curve, as a share of them; from
        ``calendar_effect.calendar_spread``. 0 takes the world as steady.
    n_bootstrap : int
        Draws of obligors for the error of the curve, at least 2.
    rng : numpy.random.Generator
        Source of randomness.
    level : float
        Level of the prediction interval in (0, 1).

    Returns
    -------
    FurtherRecovery

    Raises
    ------
    ContractError, InsufficientDataError
        As ``remaining_recovery``; InsufficientDataError also when there is no group.
    ValueError
        When an option is not allowed.

    Notes
    -----
    With R_a what is still to come at age a and S_a the share still open, the next H months bring
    R_a - S_(a+H) / S_a R_(a+H). The variance of chance follows, month by month from the horizon back, from
    v_m = Var(r_m + s_m mu_m) + (1 - h_m) v_(m+1): r_m the recovery of an obligor in month m, s_m whether it stays open,
    mu_m what then is still expected, h_m the share that ends; moments over obligors, weighted by EAD.
    """
    check_level(level)
    check_bootstrap(n_bootstrap, rng)
    if not groups:
        raise InsufficientDataError("there is no group of open episodes, so there is nothing to forecast")
    if not calendar_spread >= 0:
        raise ValueError(f"calendar_spread is {calendar_spread}; it must be 0 or more")
    if n_bootstrap < 2:
        raise ValueError(f"n_bootstrap is {n_bootstrap}; the error of a curve needs 2 draws or more")
    by_episode = expected_within(groups, horizon_months=horizon_months, minimum_at_risk=minimum_at_risk)
    curves = {name: _curve(group, minimum_at_risk) for name, group in groups.items()}
    means = np.sum([values @ groups[name].weights for name, values in by_episode.items()], axis=0)
    draws = _drawn_means(groups, curves, horizon_months, n_bootstrap, rng)
    variance = np.sum([_chance(group, curves[name], horizon_months) for name, group in groups.items()], axis=0)
    return FurtherRecovery(
        by_episode, means, draws.std(axis=0, ddof=1), np.sqrt(variance), calendar_spread * np.abs(means), level
    )


def _curve(group: OpenEpisodes, minimum_at_risk: int) -> tuple[Array, Array]:
    """Return share recovered and share resolved by month, for the months that are known."""
    check_cells(group.cells, [*_CURVE_COLUMNS, _COUNT], cluster_col=_CLUSTER)
    amount, exposure, resolved, count = totals_by_month(group.cells, [*_CURVE_COLUMNS, _COUNT])
    known = slice(months_known(exposure, count, minimum_at_risk))
    return monthly_shares(amount[known], exposure[known], resolved[known])


def _within(ages: Array, horizon: int | None, shares: Array, resolved: Array) -> Array:
    """Return what comes within the horizon at each age, of shape (n_curves, n_ages)."""
    distinct, where = np.unique(ages, return_inverse=True)
    total = totals_after(distinct, shares, resolved)
    if horizon is not None:
        later = totals_after(distinct + horizon, shares, resolved)
        reached = np.array([_still_open(float(age), horizon, resolved) for age in distinct]).T
        total = total - reached * later
    return np.asarray(total[:, where], dtype=float)


def _still_open(age: float, horizon: int, resolved: Array) -> Array:
    """Return the share of those open at an age that are open ``horizon`` months later, of shape (n_curves,)."""
    month, part = int(age), age % 1.0
    passed = 1.0 - resolved[:, month + 1 : month + horizon + 1]
    share = passed.prod(axis=1)
    if part and month + 1 < resolved.shape[1]:
        share = share / (1.0 - part * resolved[:, month + 1])
    if part and month + horizon + 1 < resolved.shape[1]:
        share = share * (1.0 - part * resolved[:, month + horizon + 1])
    return np.asarray(share, dtype=float)


def _drawn_means(
    groups: Mapping[str, OpenEpisodes],
    curves: Mapping[str, tuple[Array, Array]],
    horizon: int | None,
    n_draws: int,
    rng: np.random.Generator,
) -> Array:
    """Return the means under curves estimated again from drawn obligors, of shape (n_draws, n_means)."""
    sums = {name: sum_by_cluster(group.cells, _CURVE_COLUMNS, cluster_col=_CLUSTER) for name, group in groups.items()}
    clusters = pd.Index(np.unique(np.concatenate([own.clusters for own in sums.values()])))
    places = {name: clusters.get_indexer(own.clusters) for name, own in sums.items()}
    n_means = next(iter(groups.values())).weights.shape[1]
    blocks = []
    for counts in draw_counts(rng, n_clusters=len(clusters), n_draws=n_draws):
        means = np.zeros((len(counts), n_means))
        for name, group in groups.items():
            drawn = sums[name].drawn(counts[:, places[name]])[:, :, : len(curves[name][0])]
            amount, exposure, resolved = np.moveaxis(drawn, 1, 0)
            means += _within(group.ages, horizon, *monthly_shares(amount, exposure, resolved)) @ group.weights
        blocks.append(means)
    return np.concatenate(blocks)


def _chance(group: OpenEpisodes, curve: tuple[Array, Array], horizon: int | None) -> Array:
    """Return the variance of each weighted sum given the curve, of shape (n_means,)."""
    n_months = len(curve[0])
    rows = group.cells[group.cells["ead_open_at_start"] > 0]
    columns = [rows[c].to_numpy(dtype=float) for c in _CURVE_COLUMNS]
    order = np.argsort(rows["month"].to_numpy(), kind="stable")
    ends = np.searchsorted(rows["month"].to_numpy()[order], np.arange(n_months + 1))
    by_month = [tuple(c[order[a:b]] for c in columns) for a, b in pairwise(ends)]
    started = np.minimum(group.ages.astype(np.int64), n_months - 1)
    total = np.zeros(group.weights.shape[1])
    for age in np.unique(started):
        last = n_months - 1 if horizon is None else min(int(age) + horizon, n_months - 1)
        total += _variance_from(int(age), last, by_month, curve) * (group.weights[started == age] ** 2).sum(axis=0)
    return total


def _variance_from(age: int, last: int, by_month: Sequence[tuple[Array, ...]], curve: tuple[Array, Array]) -> float:
    """Return the variance of what one episode open after month ``age`` recovers up to month ``last``."""
    shares, resolved = curve
    expected = variance = 0.0  # of what comes after the month at hand
    for month in range(last, age, -1):
        amount, exposure, ended = by_month[month]
        outcome = (amount + (exposure - ended) * expected) / exposure
        mean = float(outcome @ exposure / exposure.sum())
        spread = float((outcome - mean) ** 2 @ exposure / exposure.sum())
        variance = spread + (1.0 - resolved[month]) * variance
        expected = float(shares[month] + (1.0 - resolved[month]) * expected)
    return variance
