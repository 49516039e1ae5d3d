"""The best estimate of the loss of loans in default, against what came: the two-sided test. Private to ``backtest``.

The back-test of the loss asks one-sided whether losses were underestimated. A best estimate (ELBE) may err to neither
side: what it has too much is missing from the capital charge, which is the gap between it and the LGD in-default.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators.conditional_recovery import ConditionalRecovery, conditional_recovery
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.segments import ancestry
from recoverykit.portfolio.workout import Workout

Array = NDArray[np.float64]

#: Outstanding share of EAD below which a loan is not compared: a share of next to nothing says nothing.
MINIMUM_OUTSTANDING = 0.05


@dataclass(frozen=True, slots=True)
class ElbeTest:
    """Best estimates of the loss of open episodes on an earlier date, and what came.

    Attributes
    ----------
    predicted, realised : float
        Mean share of the outstanding amount that was not expected between the dates, and that did not come; NaN where
        no episode is compared.
    t_statistic, p_value : float
        T = sqrt(n) mean(realised - predicted) / s, two-sided, unweighted; above 0 the estimate was too low. NaN where
        the differences do not vary.
    n_episodes, n_left_out : int
        Episodes compared, and those of which less than 5 % was outstanding.
    """

    predicted: float
    realised: float
    t_statistic: float
    p_value: float
    n_episodes: int
    n_left_out: int

    def told(self) -> dict[str, float]:
        """Return what a sentence tells."""
        names = ("predicted", "realised", "p_value", "n_episodes", "n_left_out")
        return {name: getattr(self, name) for name in names}


def elbe_test(
    then: Book, whole: Workout, still_open: pd.DataFrame, realised_rate: Array, horizon: int, minimum_at_risk: int
) -> ElbeTest:
    """Test the best estimates of the episodes open on an earlier date by what came in the months after it.

    Parameters
    ----------
    then : Book
        The whole book as known then.
    whole : Workout
        Of that book.
    still_open : DataFrame
        Its open episodes: segment, age_months, recovered_rate.
    realised_rate : ndarray of shape (n_episodes,)
        Recovered between the dates, share of EAD.
    horizon : int
        Completed months between the dates: as far as the best estimate is tested.
    minimum_at_risk : int
        As in ``estimate_in_default``: each episode takes the curve of its own segment, carried on by its parents'.
    """
    curves = _curves(then, whole, still_open["segment"].unique(), minimum_at_risk)
    to_come = np.empty(len(still_open))
    for name, rows in still_open.groupby("segment", sort=True).indices.items():
        ages = still_open["age_months"].to_numpy(float)[rows]
        to_come[rows] = share_within(curves[str(name)], ages, horizon)
    return compare_elbe(to_come, still_open["recovered_rate"].to_numpy(float), realised_rate)


def share_within(curve: ConditionalRecovery, months: Array, horizon: int) -> Array:
    """Return the share of the outstanding amount that a curve expects within a horizon after some months in default.

    Months may have fractions. Within a month payments and closures are taken as evenly spread, as
    ``RemainingRecovery.total_after`` does: after a fraction f of it, 1 - f of what it brings is left, and 1 - f (1 - q)
    of what was outstanding, q being the share after the month.
    """
    # A month in which nothing happens stands for all that lies beyond the curve.
    paid, still_open = np.append(curve.paid_share, 0.0), np.append(curve.still_open_share, 1.0)
    found = np.zeros(len(months))
    for age in np.unique(months):
        running, part = min(int(age) + 1, len(paid) - 1), age % 1.0
        end = running + horizon
        share = float(part * paid[end]) if end < len(paid) else 0.0
        for month in range(min(end, len(paid)) - 1, running, -1):
            share = float(paid[month] + still_open[month] * share)
        left = (1.0 - part) * paid[running] + still_open[running] * share
        found[months == age] = left / (1.0 - part * (1.0 - still_open[running]))
    return found


def compare_elbe(to_come: Array, recovered_rate: Array, realised_rate: Array) -> ElbeTest:
    """Compare what was expected of the outstanding amounts with what came of them.

    Parameters
    ----------
    to_come : ndarray of shape (n_episodes,)
        Expected between the dates, share of the outstanding amount.
    recovered_rate, realised_rate : ndarray of shape (n_episodes,)
        Recovered before the earlier date, and between the dates, shares of EAD.
    """
    outstanding = 1.0 - recovered_rate
    is_compared = outstanding >= MINIMUM_OUTSTANDING
    predicted = 1.0 - to_come[is_compared]
    realised = 1.0 - realised_rate[is_compared] / outstanding[is_compared]
    n_compared, gap = int(is_compared.sum()), realised - predicted
    t_statistic = p_value = float("nan")
    if n_compared > 1 and np.ptp(gap) > 0:
        test = stats.ttest_1samp(gap, 0.0)
        t_statistic, p_value = float(test.statistic), float(test.pvalue)
    mean_predicted, mean_realised = (float(v.mean()) if n_compared else float("nan") for v in (predicted, realised))
    return ElbeTest(mean_predicted, mean_realised, t_statistic, p_value, n_compared, len(outstanding) - n_compared)


def _curves(
    then: Book, whole: Workout, segments: Iterable[str], minimum_at_risk: int
) -> dict[str, ConditionalRecovery]:
    """Return the curve of each segment and its parents, each carried on by its parent's, which stands in for it."""
    curves: dict[str, ConditionalRecovery] = {}
    for segment in segments:
        parent: ConditionalRecovery | None = None
        for name in reversed(ancestry(segment)):
            if name not in curves:
                case = then.restricted(name)
                ledger = whole.restricted(case).ledger
                try:
                    curve = conditional_recovery(case.episodes, ledger, tail=parent, minimum_at_risk=minimum_at_risk)
                except InsufficientDataError:
                    if parent is None:
                        raise
                    curve = parent
                curves[name] = curve
            parent = curves[name]
    return curves
