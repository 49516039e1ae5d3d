"""How sure a loss is that is the sum of its endings: probabilities and losses drawn, and multiplied draw by draw.

The probabilities are drawn from the normal approximation of the model of all outcomes, the losses given outcome by
drawing obligors, all outcomes from the same drawn obligors. The two are drawn apart: how often loans end in a way and
what each ending costs are taken as estimated independently.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.estimators._clusters import draw_counts, percentile_limits
from recoverykit.estimators._competing_prediction import shares
from recoverykit.estimators._competing_tables import draws_of, read_predictor
from recoverykit.estimators._rows import Array
from recoverykit.estimators.competing_outcomes_fit import CompetingOutcomesFit
from recoverykit.estimators.distributions import standard_distribution

__all__ = ["LossPart", "draw_incidence", "draw_mean_losses", "sum_limits"]


@dataclass(frozen=True, slots=True, eq=False)
class LossPart:
    """The episodes behind one mean loss.

    Attributes
    ----------
    clusters : array_like of shape (n_episodes,)
        Obligor of each.
    losses, weights : ndarray of shape (n_episodes,)
        Shares of EAD, and what each counts.
    """

    clusters: ArrayLike
    losses: Array
    weights: Array


def draw_incidence(
    fit: CompetingOutcomesFit,
    frame: pd.DataFrame,
    *,
    given_open_at: ArrayLike,
    rng: np.random.Generator,
    n_draws: int,
) -> Array:
    """Draw how rows end: the probabilities of ``predict_incidence`` at drawn parameters.

    Parameters
    ----------
    fit : CompetingOutcomesFit
        The model of all outcomes.
    frame : DataFrame
        Holds the columns of the formulas.
    given_open_at : array_like of shape (n_rows,)
        Time at which each row is known to be open.
    rng : numpy.random.Generator
        Source of the draws.
    n_draws : int
        100 or more.

    Returns
    -------
    ndarray of shape (n_draws, n_rows, n_outcomes)
        In the order of the columns of ``predict_incidence``.
    """
    predictor = read_predictor(
        frame,
        given_open_at,
        designs=fit.designs,
        distributions=tuple(standard_distribution(fit.distribution[outcome]) for outcome in fit.outcomes),
        never=fit.never_resolves,
        theta=fit.params.to_numpy(dtype=float),
        covariance=fit.covariance,
        level=fit.level,
    )
    drawn = draws_of(predictor, "simulation", rng, n_draws)
    if drawn is None:  # never: only the delta method has no draws
        raise ValueError("simulation has no draws")
    n_told = len(fit.outcomes) + int(fit.never_resolves)
    ever, everyone = np.array([np.inf]), slice(None)
    found = np.array([shares(predictor.cut(everyone, theta), ever)[:, 0, :n_told] for theta in drawn])
    return found[:, predictor.inverse]


def draw_mean_losses(parts: Sequence[LossPart], *, rng: np.random.Generator, n_draws: int) -> Array:
    """Draw weighted mean losses by drawing obligors, the same ones for every part.

    Parameters
    ----------
    parts : sequence of LossPart
        One for each mean.
    rng : numpy.random.Generator
        Source of the draws.
    n_draws : int

    Returns
    -------
    ndarray of shape (n_draws, n_parts)
        NaN in a draw that holds nobody of the part.

    Examples
    --------
    >>> one = LossPart(["a", "a"], np.array([0.2, 0.8]), np.array([1.0, 2.0]))
    >>> draw_mean_losses([one], rng=np.random.default_rng(1), n_draws=2).round(3).tolist()
    [[0.6], [0.6]]
    """
    known = pd.Index(pd.unique(pd.Series(np.concatenate([np.asarray(p.clusters, dtype=object) for p in parts]))))
    columns = []
    for part in parts:
        codes = known.get_indexer(pd.Index(np.asarray(part.clusters, dtype=object)))
        for values in (part.weights * part.losses, part.weights):
            columns.append(np.bincount(codes, weights=values, minlength=len(known)))
    sums = np.column_stack(columns)
    drawn = np.concatenate([counts @ sums for counts in draw_counts(rng, n_clusters=len(known), n_draws=n_draws)])
    total, weight = drawn[:, 0::2], drawn[:, 1::2]
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)


def sum_limits(probabilities: Array, losses: Array, *, level: float) -> tuple[Array, Array]:
    """Return the percentile limits of the sum over outcomes of probability times loss.

    Parameters
    ----------
    probabilities, losses : ndarray of shape (n_draws, n_rows, n_outcomes)
        Draw by draw; what is NaN in any draw has no limits.
    level : float
        In (0, 1).

    Returns
    -------
    lower, upper : ndarray of shape (n_rows,)
    """
    return percentile_limits((probabilities * losses).sum(axis=2), level)
