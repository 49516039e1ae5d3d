"""What a fit states of itself so that it can be held against others. Private; ``mixture_comparison`` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from recoverykit.estimators._fit_tables import ShareInterval


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a comparison must know of a fit.

    Attributes
    ----------
    likelihood : str
        What the likelihood is of, in words; the same for fits of which one may hold the other.
    form : str
        What it counts: fits of another form have likelihoods of another unit.
    n_by_outcome : tuple of float
        Episodes with the event, or with each outcome.
    columns : mapping of str to object
        The columns of time, weights, entry and background.
    last_time : float
        Last time observed.
    terms : frozenset of tuple of str
        Terms of all formulas, as (term, part or outcome ...).
    distributions : mapping of str to str
        Latency distribution by outcome, "" where there is one event only; empty without distributions.
    caution : str or None
        Why the likelihood ratio is only a guide, wherever the fit stands.
    """

    likelihood: str
    form: str
    n_by_outcome: tuple[float, ...]
    columns: Mapping[str, object]
    last_time: float
    terms: frozenset[tuple[str, ...]]
    distributions: Mapping[str, str]
    caution: str | None = None


class ComparedFit(Protocol):
    """A fit that states its grounds, as those of all regressions here do."""

    @property
    def grounds(self) -> Grounds: ...
    @property
    def n_episodes(self) -> float: ...
    @property
    def n_params(self) -> int: ...
    @property
    def loglik(self) -> float: ...
    @property
    def aic(self) -> float: ...
    @property
    def bic(self) -> float: ...
    @property
    def boundary(self) -> str | None: ...
    @property
    def never(self) -> ShareInterval | None: ...
    @property
    def n_clusters(self) -> int | None: ...


def terms_of(params: pd.Series) -> frozenset[tuple[str, ...]]:
    """Return the terms of the formulas in an index of parameters, the term first; ancillary parameters are none."""
    return frozenset((str(k[-1]), *map(str, k[:-1])) for k in params.index if k[0] != "ancillary")
