"""Whether drivers, parameters and the share that never cures stay what they were.

Parameters are estimated again on what was known at successive dates, and apart on the earlier and the later half of the
vintages: the halves share no episode, so that their difference can be tested. Drivers are standardised once, by the
development sample; parameters of different dates are then in the same unit.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas.api.types import is_numeric_dtype
from scipy.special import chdtrc, ndtri

from recoverykit.errors import ContractError, ConvergenceError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators.mixture_cure import MixtureCureFit, MixtureCureModel
from recoverykit.portfolio.book import Book, rows_of
from recoverykit.portfolio.cure_model import time_to_cure_frame

Array = NDArray[np.float64]

#: Bins of the population stability index: ten by convention, fewer where a bin would hold less than this by chance.
MOST_BINS, EPISODES_PER_BIN = 10, 20
#: What an empty bin counts, in episodes, so that its logarithm exists.
EMPTY_BIN = 0.5
#: Step of a numerical derivative, in standard errors of the parameter.
STEP = 1e-3
#: A smaller probability has no finite normal quantile.
SMALLEST_TAIL = 1e-300
_SCALED = re.compile(r"scale\((\w+)\)")
_NAME = re.compile(r"\w+")
REFUSALS = (InsufficientDataError, ConvergenceError, ExtrapolationError, ContractError)


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How the model under validation is fitted, so that it can be fitted again on other data.

    Attributes
    ----------
    distribution, incidence, latency, link : str
        Choices of the model; drivers stand in the formulas in units of ``spread`` around ``centre``.
    centre, spread : Series
        Mean and standard deviation of each numeric driver in the development sample.
    categories : dict of str to frozenset
        Values of each text column of the formulas that the development sample holds.
    basis : str
        Segment whose episodes are fitted.
    dead_months : int
        Months after default in which no cure can be recorded.
    level : float
        Confidence level.
    """

    distribution: str
    incidence: str
    latency: str
    link: str
    centre: pd.Series
    spread: pd.Series
    categories: dict[str, frozenset[str]]
    basis: str
    dead_months: int
    level: float

    @classmethod
    def of(cls, fit: MixtureCureFit, book: Book, *, basis: str, dead_months: int) -> "Recipe":
        """Take the choices of a fit and the units of its drivers in the basis that it rests on."""
        scaled = sorted({*_SCALED.findall(fit.incidence), *_SCALED.findall(fit.latency)})
        episodes = rows_of(book.episodes, basis, book.segment_by)
        drivers = episodes[scaled].astype(float)
        named = {*_NAME.findall(fit.incidence), *_NAME.findall(fit.latency)} & {*episodes.columns}
        texts = sorted(name for name in named if not is_numeric_dtype(episodes[name]))
        return cls(
            distribution=fit.distribution,
            incidence=_SCALED.sub(r"\1", fit.incidence),
            latency=_SCALED.sub(r"\1", fit.latency),
            link=fit.link,
            centre=drivers.mean(),
            spread=drivers.std(),
            categories={name: frozenset(episodes[name].dropna()) for name in texts},
            basis=basis,
            dead_months=dead_months,
            level=fit.level,
        )

    @property
    def without_drivers(self) -> "Recipe":
        """The same model without any driver, the reference that a model with drivers has to beat."""
        return replace(self, incidence="~ 1", latency="~ 1")

    def predictable(self, episodes: pd.DataFrame) -> pd.Series:
        """Tell of each episode whether it has every driver, with no category that development did not know."""
        known = episodes[[*self.centre.index]].notna().all(axis=1)
        for name, values in self.categories.items():
            known &= episodes[name].isin(values)
        return known

    def scaled(self, episodes: pd.DataFrame) -> pd.DataFrame:
        """Return episodes with the drivers in the units of the formulas."""
        names = [*self.centre.index]
        return episodes.assign(**{n: (episodes[n].astype(float) - self.centre[n]) / self.spread[n] for n in names})

    def fit(self, book: Book, episodes: pd.DataFrame | None = None) -> MixtureCureFit:
        """Fit on the basis's episodes of a book, or on some of them."""
        rows = rows_of(book.episodes if episodes is None else episodes, self.basis, book.segment_by)
        rows = rows[self.predictable(rows)]
        frame = time_to_cure_frame(self.scaled(rows.reset_index(drop=True)), dead_months=self.dead_months)
        model = MixtureCureModel(
            distribution=self.distribution, incidence=self.incidence, latency=self.latency, link=self.link
        )
        return model.fit(
            frame,
            lower_col="lower_months",
            upper_col="upper_months",
            entry_col="cure_entry_months",
            cluster_col="obligor_id",
            event_name="cure",
            level=self.level,
        )


def population_stability_index(development: ArrayLike, later: ArrayLike, *, n_bins: int = MOST_BINS) -> float:
    """Measure how far a distribution has moved from the one in development.

    Parameters
    ----------
    development, later : array_like
        Values of one driver or score, none missing: numbers, cut into bins by the quantiles of development, or
        categories.
    n_bins : int
        Bins of about equal size in development, at least 2; equal numbers stay in one bin.

    Returns
    -------
    float
        0 where the shares are the same, without an upper limit. An empty bin counts as half an episode. By chance
        alone it is about (bins - 1) (1 / n_development + 1 / n_later).

    Raises
    ------
    InsufficientDataError
        When one of the two is empty.
    ValueError
        When ``n_bins`` is below 2 or a value is missing.

    Notes
    -----
    The sum over bins of (a - e) log(a / e) with e the share in development and a the share later: Siddiqi (2006),
    Credit Risk Scorecards; its value by chance: Yurdakul (2018), Statistical Properties of Population Stability Index.

    Examples
    --------
    >>> round(population_stability_index(["a", "a", "a", "a", "b", "b"], ["a", "a", "a", "b", "b", "b"]), 4)
    0.1155

    Two thirds to one half: (1/2 - 2/3) log(3/4) + (1/2 - 1/3) log(3/2).
    """
    if n_bins < 2:
        raise ValueError(f"n_bins is {n_bins}; at least 2 are needed")
    before, after = pd.Series(development), pd.Series(later)
    if before.isna().any() or after.isna().any():
        raise ValueError("a value is missing; leave such episodes out and count them")
    if before.empty or after.empty:
        raise InsufficientDataError("there is nothing to compare: one of the two samples is empty")
    if is_numeric_dtype(before) and is_numeric_dtype(after):
        edges = np.unique(np.quantile(before.astype(float), np.arange(1, n_bins) / n_bins))
        before, after = (pd.Series(np.searchsorted(edges, x.astype(float), side="left")) for x in (before, after))
    levels = sorted({*before.unique(), *after.unique()}, key=str)
    e, a = (_shares(x, levels) for x in (before, after))
    return float(((a - e) * np.log(a / e)).sum())


def bins_for(n_later: int) -> int:
    """Return the number of bins that a later sample of so many episodes allows."""
    return int(np.clip(n_later // EPISODES_PER_BIN, 2, MOST_BINS))


def drift(development: pd.DataFrame, later: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per driver or score: its stability index and how many later values development never saw.

    Parameters
    ----------
    development, later : DataFrame
        Episodes with ``default_date``.
    columns : mapping of str to str
        What a column is, ``driver`` or ``prediction``, by its name; the column names its row.
    """
    n_bins = bins_for(len(later))
    per_bin = 1 / max(len(development), 1) + 1 / max(len(later), 1)
    rows = []
    for name, role in columns.items():
        before, after = development[name], later[name]
        outside, n_kinds = np.nan, len({*before, *after})
        if is_numeric_dtype(before) and len(after):
            n_kinds = min(n_bins, before.nunique())
            outside = float(((after < before.min()) | (after > before.max())).mean())
        index = population_stability_index(before, after, n_bins=n_bins) if len(after) and len(before) else np.nan
        rows.append(
            {
                "item": name,
                "role": "calendar" if role == "driver" and _moves_with_the_calendar(development, name) else role,
                "population_stability_index": index,
                "by_chance": (n_kinds - 1) * per_bin,
                "outside_share": outside,
                "n_development": len(before),
                "n_later": len(after),
            }
        )
    return pd.DataFrame(rows)


def refitted(recipe: Recipe, books: Mapping[str, Book | None]) -> tuple[pd.DataFrame, list[str]]:
    """Fit the same model on what was known at several dates.

    Parameters
    ----------
    recipe : Recipe
        The model.
    books : mapping of str to Book or None
        By ISO date; None where nothing was known yet.

    Returns
    -------
    DataFrame
        One row per date and parameter: known_at, part, term, estimate, standard_error, lower, upper, n_cures; the
        share that never cures has part ``never``.
    list of str
        Dates at which the model could not be fitted.
    """
    tables, failed = [], []
    for date, book in books.items():
        try:
            if book is None:
                raise InsufficientDataError("nothing was known yet")
            fit = recipe.fit(book)
        except REFUSALS:
            failed.append(date)
            continue
        table = fit.to_frame()[["part", "term", "estimate", "standard_error", "lower", "upper"]]
        never = {"part": "never", "term": "never", "estimate": fit.never.value}
        limits = {"lower": fit.never.lower, "upper": fit.never.upper}
        table = pd.DataFrame([*table.to_dict("records"), {**never, **limits}])
        tables.append(table.assign(known_at=date, n_cures=int(fit.n_events)))
    columns = ["known_at", "part", "term", "estimate", "standard_error", "lower", "upper", "n_cures"]
    parameters = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    return parameters[columns], failed


def halves_test(recipe: Recipe, book: Book) -> dict[str, float]:
    """Fit the earlier and the later half of the vintages apart and test whether they differ.

    Returns
    -------
    dict
        ``parameters_z``: Wald's chi-square of all parameters, its tail probability written as a two-sided normal z;
        ``never_z``: difference of the shares that never cure, later less earlier half, both averaged over the same
        episodes, in standard errors; ``never_earlier`` and ``never_later``: the two shares. NaN where a half cannot be
        fitted.
    """
    nothing = dict.fromkeys(("parameters_z", "never_z", "never_earlier", "never_later"), np.nan)
    episodes = rows_of(book.episodes, recipe.basis, book.segment_by)
    dates = episodes["default_date"].to_numpy()
    is_early = dates <= np.sort(dates)[(len(dates) - 1) // 2]
    try:
        early, late = (recipe.fit(book, episodes[half]) for half in (is_early, ~is_early))
        same = recipe.scaled(episodes[recipe.predictable(episodes)])
        never = [1.0 - float(fit.predict_susceptible(same).mean()) for fit in (early, late)]
        errors = [standard_error_of(f, lambda x: float(x.predict_susceptible(same).mean())) for f in (early, late)]
    except REFUSALS:
        return nothing
    spread = float(np.sqrt(errors[0] ** 2 + errors[1] ** 2))
    never_z = (never[1] - never[0]) / spread if spread > 0 else np.nan
    parts = {"never_z": never_z, "never_earlier": never[0], "never_later": never[1]}
    return {"parameters_z": _wald(early, late), **parts}


def standard_error_of(fit: MixtureCureFit, quantity: Callable[[MixtureCureFit], float]) -> float:
    """Return the standard error of a function of a fit's parameters, by the delta method with numerical slopes."""
    steps = STEP * fit.standard_errors.to_numpy(dtype=float)
    if not (steps > 0).all():  # not identified, on a boundary
        return float("nan")
    start = quantity(fit)
    slopes = np.zeros(len(steps))
    for place, step in enumerate(steps):
        moved = fit.params.to_numpy(dtype=float, copy=True)
        moved[place] += step
        slopes[place] = (quantity(replace(fit, params=pd.Series(moved, index=fit.params.index))) - start) / step
    return float(np.sqrt(max(float(slopes @ fit.covariance @ slopes), 0.0)))


def _wald(early: MixtureCureFit, late: MixtureCureFit) -> float:
    if not early.params.index.equals(late.params.index):
        return float("nan")
    difference = (late.params - early.params).to_numpy(dtype=float)
    covariance = early.covariance + late.covariance
    if not (np.isfinite(covariance).all() and np.linalg.matrix_rank(covariance) == len(difference)):
        return float("nan")
    statistic = float(difference @ np.linalg.solve(covariance, difference))
    tail = float(chdtrc(len(difference), statistic)) / 2.0
    return float(-ndtri(min(max(tail, SMALLEST_TAIL), 0.5)))


def _shares(values: pd.Series, levels: list[object]) -> Array:
    counts = values.value_counts().reindex(levels).fillna(0.0).to_numpy(dtype=float)
    return np.where(counts == 0, EMPTY_BIN, counts) / len(values)


def _moves_with_the_calendar(episodes: pd.DataFrame, name: str) -> bool:
    """Tell whether a driver is the same for every loan that defaulted on a day, as an unemployment rate is."""
    if not is_numeric_dtype(episodes[name]) or episodes["default_date"].is_unique:
        return False
    by_day = episodes.groupby("default_date")[name]
    return bool((by_day.max() == by_day.min()).all())
