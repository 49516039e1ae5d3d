"""The trial of a promise score on promises made after it was learnt, beside the trivial rule and a claim.

Public through ``promises``.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._rows import check_level
from recoverykit.operations._exact_intervals import binomial_interval
from recoverykit.operations._predictive_accuracy import brier_parts
from recoverykit.operations._promise_score import PromiseScoreFit

Array = NDArray[np.float64]
_N_GROUPS = 10
MEASURES = ("auc", "brier_score", "accuracy", "trivial_accuracy", "accuracy_gain")


@dataclass(frozen=True, slots=True, eq=False)
class PromiseScoreEvaluation:
    """How a score did on promises made after it was learnt.

    Attributes
    ----------
    measures : DataFrame
        measure (auc, brier_score, accuracy, trivial_accuracy, accuracy_gain), value, lower, upper.
    brier : dict of str to float
        The Brier score and its parts.
    n_promises, n_facilities, n_correct : int
        Of the trial.
    n_straddling : int
        Promises made by the cut-off whose window was over only later: neither learnt from nor tried on.
    n_open : int
        Promises made after the cut-off that had not fallen due by the reporting date.
    claimed_accuracy : float or None
    p_value : float
        One-sided exact binomial test of "the accuracy is at least as claimed"; small: the claim does not hold here.
    upper_one_sided : float
        Exact upper confidence limit of the accuracy, one-sided.
    level : float
    """

    measures: pd.DataFrame
    brier: dict[str, float]
    n_promises: int
    n_facilities: int
    n_correct: int
    n_straddling: int
    n_open: int
    claimed_accuracy: float | None
    p_value: float
    upper_one_sided: float
    level: float

    def value(self, measure: str) -> pd.Series:
        """Return the row of a measure."""
        return self.measures[self.measures["measure"] == measure].iloc[0]


def evaluate_promise_score(
    fit: PromiseScoreFit,
    history: pd.DataFrame,
    *,
    rng: np.random.Generator,
    claimed_accuracy: float | None = None,
    threshold: float = 0.5,
    n_bootstrap: int = 500,
    level: float = 0.95,
) -> PromiseScoreEvaluation:
    """Try a score on the promises made after its cut-off that have fallen due since.

    Parameters
    ----------
    fit : PromiseScoreFit
    history : DataFrame
        From ``promise_history``, with promises made after the cut-off.
    rng : numpy.random.Generator
        Of the bootstrap over facilities.
    claimed_accuracy : float, optional
        Share of right predictions that somebody claims, in (0, 1).
    threshold : float
        Probability from which a promise is predicted to be kept.
    n_bootstrap : int
        Draws of facilities for the intervals, so that several promises of one debtor count as what they are.
    level : float
        Of the intervals.

    Returns
    -------
    PromiseScoreEvaluation
        The interval of the accuracy is the exact binomial one; those of the other measures come from the bootstrap.
        The trivial rule predicts for every promise what most promises did before the cut-off.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When columns are missing, all promises of the trial ended alike, or an option is not allowed.
    """
    check_level(level)
    if claimed_accuracy is not None and not 0 < claimed_accuracy < 1:
        raise ValueError(f"claimed_accuracy is {claimed_accuracy:g}; it must lie between 0 and 1")
    later = history[history["promise_date"] > fit.cut_off]
    tried = later[later["is_due"]]
    came: Array = tried["is_kept"].to_numpy(dtype=float)
    if len(came) == 0 or came.min() == came.max():
        raise InsufficientDataError(
            f"{len(came)} promises made after {fit.cut_off:%Y-%m-%d} fell due, and not both kept and broken ones are "
            "among them; take an earlier cut-off"
        )
    predicted = np.asarray(fit.predict(tried), dtype=float)
    right = ((predicted >= threshold) == (came == 1)).astype(float)
    trivial = ((fit.kept_rate >= 0.5) == (came == 1)).astype(float)
    clusters, names = pd.factorize(tried["facility_id"])
    n, n_right = len(came), int(right.sum())
    measures = _with_intervals(
        predicted, came, np.column_stack([(predicted - came) ** 2, right, trivial, right - trivial]),
        np.asarray(clusters, dtype=np.int64), n_bootstrap, rng, level,
    )  # fmt: skip
    exact = ["lower", "upper"]
    measures.loc[measures["measure"] == "accuracy", exact] = np.array(binomial_interval(n_right, n, level=level))
    straddling = history["is_due"] & (history["promise_date"] <= fit.cut_off) & (history["window_end"] > fit.cut_off)
    p_value = float(stats.binom.cdf(n_right, n, claimed_accuracy)) if claimed_accuracy is not None else float("nan")
    return PromiseScoreEvaluation(
        measures=measures,
        brier=brier_parts(predicted, came, _N_GROUPS),
        n_promises=n,
        n_facilities=len(names),
        n_correct=n_right,
        n_straddling=int(straddling.sum()),
        n_open=int((~later["is_due"]).sum()),
        claimed_accuracy=claimed_accuracy,
        p_value=p_value,
        upper_one_sided=float(binomial_interval(n_right, n, level=2.0 * level - 1.0)[1]) if level > 0.5 else np.nan,
        level=level,
    )


def _measures(predicted: Array, came: Array, parts: Array, weights: Array) -> Array:
    """Return AUC and the weighted means of the parts."""
    total = weights.sum()
    return np.array([auc(predicted, came, weights), *(weights @ parts / total)])


def _with_intervals(
    predicted: Array,
    came: Array,
    parts: Array,
    clusters: NDArray[np.int64],
    n_bootstrap: int,
    rng: np.random.Generator,
    level: float,
) -> pd.DataFrame:
    """Return each measure with its percentile interval over draws of facilities."""
    n_facilities = int(clusters.max()) + 1
    weights = rng.multinomial(n_facilities, np.full(n_facilities, 1.0 / n_facilities), n_bootstrap).astype(float)
    drawn = np.array([_measures(predicted, came, parts, own[clusters]) for own in weights])
    tail = (1.0 - level) / 2.0
    lower, upper = np.nanquantile(drawn, [tail, 1.0 - tail], axis=0)
    value = _measures(predicted, came, parts, np.ones(len(came)))
    return pd.DataFrame({"measure": list(MEASURES), "value": value, "lower": lower, "upper": upper})


def auc(predicted: Array, came: Array, weights: Array) -> float:
    """Return the weighted share of pairs, one kept and one broken, in which the kept one has the higher prediction."""
    distinct, codes = np.unique(predicted, return_inverse=True)
    kept = np.bincount(codes, weights=weights * came, minlength=len(distinct))
    broken = np.bincount(codes, weights=weights * (1.0 - came), minlength=len(distinct))
    pairs = kept.sum() * broken.sum()
    below = np.cumsum(broken) - broken
    return float(np.sum(kept * (below + 0.5 * broken)) / pairs) if pairs > 0 else float("nan")
