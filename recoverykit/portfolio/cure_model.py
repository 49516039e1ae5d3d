"""The cure model of a segment: its data, its candidates side by side, and its drivers in the credit reading.

An episode that was repaid, sold, liquidated or written off will never cure; one that is open may still. Both are
therefore followed to their administrative age, the months from default to the reporting date: the likelihood then
speaks of the probability of having cured by a month while other outcomes compete, which is what the book needs. Cures
are recorded at month ends, so a cure in month m happened between m - 1 and m: the interval form of the likelihood.
No cure can be recorded before the probation is over, so time is counted from the month before the first possible one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from recoverykit.curves import StepCurve
from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators.cox import CoxModel
from recoverykit.estimators.mixture_cure import MixtureCureFit, MixtureCureModel, compare_fits
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.outcomes import last_told_month
from recoverykit.portfolio.segments import Basis, choose_basis
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, WHOLE_BOOK, Outcome

DISTRIBUTIONS = ("weibull", "lognormal", "loglogistic", "gamma")

DRIVER_COLUMNS = ["part", "term", "estimate", "lower", "upper", "label", "driver", "level", "reference", "spread"]


def time_to_cure_frame(episodes: pd.DataFrame, *, dead_months: int) -> pd.DataFrame:
    """Add the interval in which each episode cured, in months after the dead time.

    Parameters
    ----------
    episodes : DataFrame
        Default episodes with outcome, months_in_default, observed_months and entry_months.
    dead_months : int
        Months after default in which no cure can be recorded: probation months less one.

    Returns
    -------
    DataFrame
        The episodes with ``has_cured``, ``lower_months`` and ``upper_months`` (infinite where no cure was seen) and
        ``cure_entry_months``, all counted from ``dead_months`` after the default.
    """
    has_cured = (episodes["outcome"] == Outcome.CURED).to_numpy()
    cure_month = np.maximum(episodes["months_in_default"].to_numpy(float) - dead_months, 1.0)
    followed = np.maximum(episodes["observed_months"].to_numpy(float) - dead_months, 0.0)
    return episodes.assign(
        has_cured=has_cured,
        lower_months=np.where(has_cured, cure_month - 1, followed),
        upper_months=np.where(has_cured, cure_month, np.inf),
        cure_entry_months=np.maximum(episodes["entry_months"].to_numpy(float) - dead_months, 0.0),
    )


def dead_months_of(book: Book) -> int:
    """Return the months in which no cure can be recorded: less than the probation where a bank records cures sooner."""
    cures = book.episodes.loc[book.episodes["outcome"] == Outcome.CURED, "months_in_default"]
    earliest = int(cures.min()) if len(cures) else book.definition.probation_months
    return max(min(book.definition.probation_months, earliest) - 1, 0)


def cure_basis(book: Book, segment: str, minimum_cures: int) -> Basis:
    """Return whose cures a model rests on; refuse where even the whole book has too few."""
    basis = choose_basis(book, segment, minimum_events=minimum_cures, outcome=Outcome.CURED)
    n_cures = int((book.episodes["outcome"] == Outcome.CURED).sum())
    if n_cures < minimum_cures:
        held = f"{n_cures}" if n_cures >= MINIMUM_CELL_COUNT else f"fewer than {MINIMUM_CELL_COUNT}"
        raise InsufficientDataError(f"the whole book holds {held} cured episodes, and a model needs {minimum_cures}")
    return basis


def varies(frame: pd.DataFrame, driver: str) -> bool:
    """Tell whether a column is there, complete, and not the same for every episode."""
    if driver not in frame or frame[driver].isna().any():
        return False
    return bool((frame[driver] != frame[driver].iloc[0]).any())


def controls(frame: pd.DataFrame, basis: Basis, segment_by: tuple[str, ...]) -> list[str]:
    """Return the first segment column as a control over the whole book, where each value holds enough cures.

    Over unlike products a driver would otherwise stand for the product: unsecured loans have no loan-to-value.
    """
    if basis.used != WHOLE_BOOK or not segment_by:
        return []
    cures = frame.groupby(segment_by[0])["has_cured"].sum()
    return [segment_by[0]] if len(cures) > 1 and cures.min() >= MINIMUM_CELL_COUNT else []


def fit_candidates(
    frame: pd.DataFrame, terms: list[str], distributions: Sequence[str], level: float
) -> dict[str, MixtureCureFit]:
    """Fit each distribution; raise what went wrong only where none converges."""
    fits: dict[str, MixtureCureFit] = {}
    failed: list[ConvergenceError] = []
    for name in distributions:
        try:
            fits[name] = fit_one(frame, terms, name, level)
        except ConvergenceError as error:
            failed.append(error)
    if failed and not fits:
        raise failed[0]
    return fits


def formula_of(terms: Sequence[str], frame: pd.DataFrame | None = None) -> str:
    """Return the formula of some terms; with the frame that holds them, numbers are per standard deviation."""
    if frame is not None:
        terms = [f"scale({term})" if is_numeric_dtype(frame[term]) else term for term in terms]
    return f"~ {' + '.join(terms) or '1'}"


def fit_one(frame: pd.DataFrame, terms: list[str], distribution: str, level: float) -> MixtureCureFit:
    """Fit one distribution with the same terms in both parts, numbers per standard deviation."""
    formula = formula_of(terms, frame)
    model = MixtureCureModel(distribution=distribution, incidence=formula, latency=formula)
    return model.fit(
        frame,
        lower_col="lower_months",
        upper_col="upper_months",
        entry_col="cure_entry_months",
        cluster_col="obligor_id",
        event_name="cure",
        level=level,
    )


def compare_candidates(
    fits: Mapping[str, MixtureCureFit],
    distributions: Sequence[str],
    frame: pd.DataFrame,
    observed: StepCurve,
    dead_months: int,
) -> pd.DataFrame:
    """Lay the candidates side by side, best AIC first, with their distance from the observed curve.

    Parameters
    ----------
    fits : mapping of str to MixtureCureFit
        Those that converged, by distribution.
    distributions : sequence of str
        Those that were tried.
    frame : DataFrame
        The episodes that they were fitted to.
    observed : StepCurve
        Cumulative incidence of cure of these episodes, months in default.
    dead_months : int
        Months after default in which no cure can be recorded.

    Returns
    -------
    DataFrame
        One row per distribution: distribution, loglik, n_params, aic, bic, never, boundary and distance, the largest
        gap between fitted and observed share of cured loans over the months with enough episodes at risk.
    """
    last = max(last_told_month(observed), dead_months + 1.0)
    months = np.arange(0.0, min(last, observed.times[-1]) + 1)
    months = months[months <= observed.times[-1]]
    distances = {
        name: float(np.abs(mean_cure_curve(fit, frame, dead_months, last)(months) - observed(months)).max())
        for name, fit in fits.items()
    }
    table = compare_fits(fits).reset_index(names="distribution").fillna({"boundary": "none"})
    table["distance"] = table["distribution"].map(distances)
    failed = [name for name in distributions if name not in fits]
    if failed:
        table = table.set_index("distribution").reindex([*table["distribution"], *failed]).reset_index()
        table["boundary"] = table["boundary"].fillna("did not converge")
    return table


def mean_cure_curve(fit: MixtureCureFit, episodes: pd.DataFrame, dead_months: int, last: float) -> StepCurve:
    """Average the fitted probability of cure over episodes, on whole months since default up to ``last``."""
    months = np.arange(1, max(int(last) - dead_months, 1) + 1)
    curve = fit.mean_curve(episodes, months)
    dead = np.arange(dead_months)
    return StepCurve(
        times=np.concatenate([dead, curve.times + dead_months]),
        values=np.concatenate([np.zeros(len(dead)), curve.values]),
        lower=np.concatenate([np.zeros(len(dead)), curve.lower]),
        upper=np.concatenate([np.zeros(len(dead)), curve.upper]),
        level=curve.level,
    )


def driver_ratios(fit: MixtureCureFit | None, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the drivers on the ratio scale: odds ratios of ever curing, time ratios of curing.

    Parameters
    ----------
    fit : MixtureCureFit or None
        None gives a frame without rows.
    frame : DataFrame
        The episodes that it was fitted to.

    Returns
    -------
    DataFrame
        One row per part and term: part (``incidence``, ``latency``), term, estimate, lower, upper, label, driver (its
        column), level and reference (of a category), spread (the standard deviation that a ratio is per, of a number).
    """
    if fit is None:
        return pd.DataFrame(columns=DRIVER_COLUMNS)
    table = fit.to_frame()
    is_driver = table["part"].isin(["incidence", "latency"]) & (table["term"] != "Intercept")
    table = table.loc[is_driver, DRIVER_COLUMNS[:5]].reset_index(drop=True)
    table[["estimate", "lower", "upper"]] = np.exp(table[["estimate", "lower", "upper"]])
    return named_terms(table, frame)


def cox_ratios(frame: pd.DataFrame, terms: list[str], level: float) -> pd.DataFrame:
    """Return hazard ratios of cure per standard deviation of each driver; empty where Cox cannot be fitted."""
    if not terms:
        return pd.DataFrame()
    numeric = [t for t in terms if is_numeric_dtype(frame[t])]
    scaled = frame.assign(**{t: (frame[t] - frame[t].mean()) / frame[t].std() for t in numeric})
    model = CoxModel("~ " + " + ".join(terms))
    times = {"duration_col": "months_in_default", "event_col": "has_cured", "entry_col": "entry_months"}
    try:
        return named_terms(model.fit(scaled, level=level, **times).to_frame(), frame)
    except (InsufficientDataError, ConvergenceError):
        return pd.DataFrame()


def named_terms(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Take terms apart: ``scale(ltv_ratio)`` is a number, ``product[T.heloc]`` a level against a reference."""
    words = table["term"].str.replace(r"scale\((.*)\)", r"\1", regex=True)
    parts = words.str.extract(r"^(?P<driver>\w+)(?:\[T\.(?P<level>.*)\])?$")
    level = parts["level"].fillna("")
    held = {name: set(parts.loc[parts["driver"] == name, "level"]) for name in parts.loc[level != "", "driver"]}
    references = {name: min(set(frame[name].astype(str)) - levels) for name, levels in held.items()}
    spreads = {name: float(frame[name].std()) for name in parts["driver"].unique() if name not in held}
    return table.assign(
        label=words.str.replace(r"(\w+)\[T\.(.*)\]", r"\2 (\1)", regex=True),
        driver=parts["driver"],
        level=level,
        reference=parts["driver"].map(references).fillna(""),
        spread=parts["driver"].map(spreads),
    )
