"""Validation of the cure model on what was not yet known when it was estimated.

The clock is set back by a holdout period. The whole procedure of the time-to-cure page, its choice of distribution and
of the data that a thin segment borrows included, is repeated on what was known then; what became known since is the
test. Discrimination, calibration, accuracy and stability are held against limits that were set before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators.mixture_cure import MixtureCureFit
from recoverykit.portfolio._validation_lights import LIMITS, ValidationLimit, lights_of, read_limits
from recoverykit.portfolio._validation_measures import (
    accuracy,
    calibration_rows,
    calibration_test,
    discrimination,
    number_of_groups,
    with_predictions,
)
from recoverykit.portfolio._validation_result import MEASURED, NOTHING, Validation
from recoverykit.portfolio._validation_samples import (
    DEVELOPMENT,
    NEW,
    OPEN,
    OUT_OF_TIME,
    Forecast,
    Sample,
    book_as_of,
    months_before,
    new_defaults,
    open_loans,
    open_shares,
)
from recoverykit.portfolio._validation_stability import (
    REFUSALS,
    Recipe,
    drift,
    halves_test,
    population_stability_index,
    refitted,
)
from recoverykit.portfolio.book import Book, rows_of
from recoverykit.portfolio.cure_model import (
    DISTRIBUTIONS,
    controls,
    cure_basis,
    dead_months_of,
    fit_candidates,
    time_to_cure_frame,
    varies,
)
from recoverykit.portfolio.segments import Basis
from recoverykit.vocabulary import WHOLE_BOOK, Outcome

__all__ = [
    "LIMITS",
    "Validation",
    "ValidationLimit",
    "book_as_of",
    "months_before",
    "population_stability_index",
    "validate_time_to_cure",
]

#: Months between two horizons at which predictions are held against what happened.
STEP_MONTHS = {NEW: 1, OPEN: 3}
#: Cut-offs, one holdout period apart, at which the parameters are estimated again; the reporting date is the last.
N_CUT_OFFS = 4


def validate_time_to_cure(
    book: Book,
    segment: str,
    *,
    drivers: list[str],
    distributions: Sequence[str] = DISTRIBUTIONS,
    minimum_cures: int = 60,
    holdout_months: int = 12,
    judged_month: int = 6,
    minimum_holdout_cures: int = 30,
    limits: Sequence[str] = (),
    level: float = 0.95,
) -> Validation:
    """Set the clock back, estimate the cure model on what was known then, and try it on what became known since.

    Parameters
    ----------
    book : Book
        The whole book; a segment with too few cures borrows its parent's model, as on the time-to-cure page.
    segment : str
        Name of the segment or parent that is validated.
    drivers, distributions, minimum_cures, level
        As in ``estimate_time_to_cure``.
    holdout_months : int
        Months from the cut-off to the reporting date, at least 1.
    judged_month : int
        Month in default at which loans that defaulted after the cut-off are judged; loans open then are judged at the
        end of the holdout.
    minimum_holdout_cures : int
        Cures out of time that a light needs; expected ones for the number of cures, seen ones for their ranking.
    limits : sequence of str
        Limits that differ from those of the house, as in ``read_limits``.

    Returns
    -------
    Validation
        Without numbers, and with the reason in ``note``, where no model could be estimated at the cut-off.

    Raises
    ------
    InsufficientDataError
        When the segment holds no default episode.
    PlanError
        When a limit cannot be read.
    ValueError
        When a number of months is below 1.
    """
    chosen = read_limits(limits)
    if min(holdout_months, judged_month) < 1:
        raise ValueError(f"holdout_months is {holdout_months} and judged_month {judged_month}; both must be 1 or more")
    case, cut_off = book.restricted(segment), months_before(book.reporting_date, holdout_months)
    options = {"drivers": drivers, "distributions": distributions, "minimum_cures": minimum_cures, "level": level}
    try:
        then = _estimated_at(book, segment, cut_off, **options)
    except REFUSALS as error:
        return _nothing(segment, book.reporting_date, cut_off, str(error), chosen)
    samples, n_unpredictable = _samples(case, then, months_before(cut_off, holdout_months))
    judged = {NEW: min(judged_month, holdout_months), OPEN: holdout_months}
    months = {key: _months(sample, then.recipe, judged[key[0]]) for key, sample in samples.items()}
    tables = _measured(samples, then, months, level)
    counts = _counts(samples, months)
    stability = _drift(samples, then, judged[NEW])
    dates = [months_before(book.reporting_date, holdout_months * back) for back in reversed(range(N_CUT_OFFS))]
    parameters, not_fitted = refitted(then.recipe, {f"{date:%Y-%m-%d}": _known(book, date) for date in dates})
    halves = halves_test(then.recipe, book)
    return Validation(
        segment=segment,
        reporting_date=book.reporting_date,
        cut_off=cut_off,
        basis=then.basis,
        choice=then.recipe.distribution,
        choice_today=_choice_today(book, segment, **options),
        drivers=tuple(d for d in drivers if d in {*then.recipe.centre.index, *then.recipe.categories}),
        samples=counts,
        stability=stability,
        parameters=parameters,
        halves=halves,
        lights=_judged(tables, counts, stability, halves, chosen, minimum_holdout_cures),
        facts={
            "n_unpredictable": n_unpredictable,
            "n_provisional_cures": _n_provisional(case, cut_off),
            "merge_months": book.definition.merge_months,
            "dates_not_fitted": not_fitted,
        },
        note="",
        **tables,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Then:
    """What was known and estimated at the cut-off: the segment's book, the basis, and the models of it."""

    case: Book
    basis: Basis
    recipe: Recipe
    forecast: Forecast
    reference: MixtureCureFit | None


def _estimated_at(book: Book, segment: str, cut_off: pd.Timestamp, **options: Any) -> _Then:
    """Estimate the model, and the one without drivers, on what was known at the cut-off."""
    known = book_as_of(book, cut_off)
    case = known.restricted(segment)
    basis, chosen = _choose(known, segment, **options)
    recipe = Recipe.of(chosen, known, basis=basis.used, dead_months=dead_months_of(known))
    column = book.segment_by[0] if segment == WHOLE_BOOK and book.segment_by else None
    forecast = Forecast(recipe.fit(known), recipe.dead_months, open_shares(case, column), column)
    try:
        return _Then(case, basis, recipe, forecast, recipe.without_drivers.fit(known))
    except REFUSALS:
        return _Then(case, basis, recipe, forecast, None)


def _choose(
    book: Book, segment: str, *, drivers: list[str], distributions: Sequence[str], minimum_cures: int, level: float
) -> tuple[Basis, MixtureCureFit]:
    """Choose basis, terms and distribution as the time-to-cure page does."""
    basis = cure_basis(book, segment, minimum_cures)
    episodes = rows_of(book.episodes, basis.used, book.segment_by).reset_index(drop=True)
    frame = time_to_cure_frame(episodes, dead_months=dead_months_of(book))
    terms = [d for d in drivers if varies(frame, d)] + controls(frame, basis, book.segment_by)
    fits = fit_candidates(frame, terms, distributions, level)
    return basis, min(fits.values(), key=lambda fit: fit.aic)


def _choice_today(book: Book, segment: str, **options: Any) -> str:
    try:
        return _choose(book, segment, **options)[1].distribution
    except REFUSALS:
        return ""


def _known(book: Book, date: pd.Timestamp) -> Book | None:
    try:
        return book_as_of(book, date)
    except InsufficientDataError:
        return None


def _samples(case: Book, then: _Then, earlier: pd.Timestamp) -> tuple[dict[tuple[str, str], Sample], int]:
    """Return the samples by population and period, drivers in the recipe's units, and how many could not be used."""
    made = [new_defaults(then.case, DEVELOPMENT), new_defaults(case, OUT_OF_TIME, after=then.case.reporting_date)]
    before = _known(case, earlier)
    made += [open_loans(before, then.case, DEVELOPMENT)] if before is not None else []
    made.append(open_loans(then.case, case, OUT_OF_TIME))
    samples, n_unpredictable = {}, 0
    for sample in made:
        usable = then.recipe.predictable(sample.frame)
        n_unpredictable += int((~usable).sum()) if sample.period == OUT_OF_TIME else 0
        frame = then.recipe.scaled(sample.frame[usable]).reset_index(drop=True)
        samples[sample.population, sample.period] = Sample(sample.population, sample.period, frame)
    return samples, n_unpredictable


def _months(sample: Sample, recipe: Recipe, reading: int) -> list[int]:
    """Return the months told of a sample; the last is the one at which it is judged."""
    beginning = recipe.dead_months if sample.population == NEW else 0
    followed = {*sample.horizons(STEP_MONTHS[sample.population], reading), *sample.horizons(reading, reading)}
    return sorted(month for month in followed if month > beginning)


def _measured(
    samples: dict[tuple[str, str], Sample],
    then: _Then,
    months: dict[tuple[str, str], list[int]],
    level: float,
) -> dict[str, pd.DataFrame]:
    """Return the tables of discrimination, calibration and accuracy over all samples that were followed."""
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in MEASURED}
    for key, sample in samples.items():
        if not (told := months[key]):
            continue
        frame = with_predictions(sample, then.forecast, then.reference, told)
        tables["discrimination"].append(discrimination(sample, then.forecast, told[-1], level))
        rows = calibration_rows(sample, frame, told, level)
        test = calibration_test(sample, then.forecast, rows.iloc[-1])
        tables["calibration"].append(rows.assign(**{n: [*[np.nan] * (len(rows) - 1), v] for n, v in test.items()}))
        tables["accuracy"].append(accuracy(sample, frame, told, level))
        if sample.period == OUT_OF_TIME:
            n_groups = number_of_groups(len(frame))
            tables["calibration_groups"].append(calibration_rows(sample, frame, told[-1:], level, n_groups=n_groups))
    return {name: pd.concat(parts, ignore_index=True) if parts else NOTHING[name] for name, parts in tables.items()}


def _drift(samples: dict[tuple[str, str], Sample], then: _Then, month: int) -> pd.DataFrame:
    """Compare the drivers and the predictions of new defaults with those of the development sample."""
    development, later = (
        sample.frame.assign(prediction=then.forecast.predict(sample, [month])[:, 0])
        if len(sample.frame)
        else sample.frame
        for sample in (samples[NEW, DEVELOPMENT], samples[NEW, OUT_OF_TIME])
    )
    names = dict.fromkeys([*then.recipe.centre.index, *then.recipe.categories], "driver")
    names |= {"prediction": "prediction"} if month > then.recipe.dead_months else {}  # all 0 as long as none can cure
    return drift(development, later, names) if len(development) and len(later) else NOTHING["stability"]


def _counts(samples: dict[tuple[str, str], Sample], months: dict[tuple[str, str], list[int]]) -> pd.DataFrame:
    rows = [
        {
            "population": population,
            "period": period,
            "n_episodes": len(sample.frame),
            "n_cures": sample.n_cures(),
            "months": months[population, period][-1] if months[population, period] else 0,
            "n_cures_read": sample.n_cures(months[population, period][-1]) if months[population, period] else 0,
        }
        for (population, period), sample in samples.items()
    ]
    return pd.DataFrame(rows)


def _judged(
    tables: dict[str, pd.DataFrame],
    counts: pd.DataFrame,
    stability: pd.DataFrame,
    halves: dict[str, float],
    limits: dict[str, ValidationLimit],
    minimum_cures: int,
) -> pd.DataFrame:
    """Hold the findings against the limits, with the cures seen and expected of the loans that were followed."""
    later = counts[counts["period"] == OUT_OF_TIME].set_index("population")
    told = tables["calibration"]
    last = told[told["period"] == OUT_OF_TIME].groupby("population").tail(1).set_index("population")
    expected = last["predicted"] * last["n_followed"]
    return lights_of(
        **{name: tables[name] for name in ("discrimination", "calibration", "accuracy")},
        stability=stability,
        halves=halves,
        n_cures={name: int(later["n_cures_read"].get(name, 0)) for name in (NEW, OPEN)},
        n_expected={name: float(expected.get(name, 0.0)) for name in (NEW, OPEN)},
        n_new_defaults=int(later["n_episodes"].get(NEW, 0)),
        limits=limits,
        minimum_cures=minimum_cures,
    )


def _n_provisional(case: Book, cut_off: pd.Timestamp) -> int:
    """Return the cures after the cut-off that a default within the merge window could still undo.

    A bank that brings its own episodes has none merged: its cures are final.
    """
    if (case.episodes["n_triggers_spells"] == 1).all():
        return 0
    since = max(months_before(case.reporting_date, case.definition.merge_months), cut_off)
    cured = case.episodes["outcome"] == Outcome.CURED
    return int((cured & (case.episodes["outcome_date"] > since)).sum())


def _nothing(
    segment: str, reporting_date: pd.Timestamp, cut_off: pd.Timestamp, note: str, limits: dict[str, ValidationLimit]
) -> Validation:
    """Return a validation without numbers, every check not judged."""
    nan = float("nan")
    halves = dict.fromkeys(("parameters_z", "never_z", "never_earlier", "never_later"), nan)
    tables = {name: NOTHING[name] for name in MEASURED}
    lights = _judged(tables, NOTHING["samples"], NOTHING["stability"], halves, limits, 1)
    return Validation(
        segment=segment,
        reporting_date=reporting_date,
        cut_off=cut_off,
        basis=None,
        choice="",
        choice_today="",
        drivers=(),
        samples=NOTHING["samples"],
        stability=NOTHING["stability"],
        parameters=NOTHING["parameters"],
        halves=halves,
        lights=lights,
        facts={"n_unpredictable": 0, "n_provisional_cures": 0, "merge_months": 0, "dates_not_fitted": []},
        note=note,
        **tables,
    )
