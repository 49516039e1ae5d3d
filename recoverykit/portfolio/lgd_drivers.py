"""What goes with a high or a low loss: a fractional logit of the losses of all episodes, open ones as expected.

Closed episodes alone are the quick ones, and of a young vintage only the quickest, so that a driver which moves with
the calendar would seem to lower the loss. So every episode is in, an open one with the loss that the average of the
page expects of it, and the fitted mean is that average. What is still expected of an open episode knows its age and its
segment and no driver: the more episodes are open, the more the drivers are understated. Coefficients are told in points
of loss. They are associations, not effects of an action.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators.fractional_logit import FractionalLogitModel
from recoverykit.estimators.lgd_regression import LgdRegressionFit
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.cure_model import formula_of, named_terms, varies
from recoverykit.portfolio.loss import MINIMUM_AT_RISK, averaged, expected_losses
from recoverykit.portfolio.segments import ancestry
from recoverykit.portfolio.workout import workout
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, WHOLE_BOOK

COLUMNS = ["term", "estimate", "lower", "upper", "label", "driver", "level", "reference", "spread"]


@dataclass(frozen=True, slots=True, eq=False)
class LgdDrivers:
    """What goes with the loss of a segment's episodes.

    Attributes
    ----------
    table : DataFrame
        One row per term: term, estimate with lower and upper (change of the loss, share of EAD, at the average slope of
        the logit), label, driver, level and reference (of a category), spread (the standard deviation that a change is
        per, of a number). Without a model it has no row.
    basis : str or None
        The segment or parent whose episodes the regression rests on.
    n_episodes, n_closed : int
        Episodes in the average, and those of them that are closed.
    drivers_left_out : tuple of str
        Columns that the episodes lack, or that do not differ between them.
    note : str
        Why there is no model; empty when there is one.
    fit : LgdRegressionFit or None
    """

    table: pd.DataFrame
    basis: str | None
    n_episodes: int
    n_closed: int
    drivers_left_out: tuple[str, ...]
    note: str
    fit: LgdRegressionFit | None

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept; nothing without a model."""
        return {"lgd_drivers": self.table} if len(self.table) else {}

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        fit = self.fit.to_record() if self.fit else None
        return {"drivers_basis": self.basis, "drivers_note": self.note, "drivers_model": fit}


def estimate_lgd_drivers(
    book: Book,
    segment: str,
    *,
    policy: LedgerPolicy,
    drivers: Sequence[str],
    minimum_closed: int = 100,
    minimum_at_risk: int = MINIMUM_AT_RISK,
    level: float = 0.95,
) -> LgdDrivers:
    """Estimate what goes with the loss of a segment's episodes.

    Parameters
    ----------
    book : Book
        The whole book; a segment with too few closed episodes takes its parent's regression.
    segment : str
        Name of the segment.
    policy : LedgerPolicy
        Discounting and treatment of flows.
    drivers : sequence of str
        Columns of the episodes, known at default; numbers per standard deviation. What is known only after the outcome
        is refused.
    minimum_closed : int
        Closed episodes that the regression needs.
    minimum_at_risk : int
        As in ``estimate_loss``.
    level : float
        Confidence level in (0, 1); errors are robust over obligors.

    Returns
    -------
    LgdDrivers
        Without a model, and with the reason in ``note``, where there are too few episodes or no driver varies.

    Raises
    ------
    InsufficientDataError
        When the segment holds no default episode.
    RefusedColumnError
        When a driver is known only after the outcome, or is refused by another rule.

    Notes
    -----
    E(loss | x) = 1 / (1 + exp(-x'b)), losses outside 0 to 1 clipped (Papke & Wooldridge 1996). The change told is
    b_j mean(mu (1 - mu)), with mu the fitted losses: for a number the average effect of a standard deviation, for a
    category close to the average difference from its reference.
    """
    FractionalLogitModel(formula=formula_of(drivers))  # refuses before anything is read
    whole, note, left_out = workout(book, policy), "", tuple(drivers)
    for name in ancestry(segment):
        case = book.restricted(name)
        losses, _, _ = expected_losses(case, book, whole, minimum_at_risk=minimum_at_risk)
        frame = with_columns(averaged(losses), case)
        used = [driver for driver in drivers if varies(frame, driver)]
        left_out = tuple(driver for driver in drivers if driver not in used)
        terms = [*_controls(frame, name, book.segment_by), *used]
        n_closed = int(frame["is_closed"].sum())
        if n_closed < minimum_closed or not terms:
            few = f"a regression of the loss needs {minimum_closed} closed episodes"
            note = few if terms else "no driver differs between the episodes"
            continue
        try:
            fit = _fit(frame, terms, level)
        except (InsufficientDataError, ConvergenceError) as error:
            note = str(error)
            continue
        return LgdDrivers(_points(fit, frame), name, len(frame), n_closed, left_out, "", fit)
    return LgdDrivers(pd.DataFrame(columns=COLUMNS), None, 0, 0, left_out, note, None)


def with_columns(losses: pd.DataFrame, case: Book) -> pd.DataFrame:
    """Return the losses with every column of their episodes that they do not have."""
    further = case.episodes.columns.difference(losses.columns.drop("episode_id"), sort=False)
    return losses.merge(case.episodes[list(further)], on="episode_id", validate="one_to_one")


def _controls(frame: pd.DataFrame, segment: str, segment_by: tuple[str, ...]) -> list[str]:
    """Return the first segment column over the whole book: else a driver would stand for the product that has it."""
    if segment != WHOLE_BOOK or not segment_by:
        return []
    counts = frame[segment_by[0]].value_counts()
    return [segment_by[0]] if len(counts) > 1 and counts.min() >= MINIMUM_CELL_COUNT else []


def _fit(frame: pd.DataFrame, terms: list[str], level: float) -> LgdRegressionFit:
    model = FractionalLogitModel(formula=formula_of(terms, frame), outside="clip")
    return model.fit(frame, loss_col="expected_lgd", cluster_col="obligor_id", level=level)


def _points(fit: LgdRegressionFit, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the terms in points of loss, with their words."""
    fitted = fit.predict(frame).to_numpy(float)
    slope = float(np.mean(fitted * (1.0 - fitted)))
    table = fit.to_frame()
    table = table[table["term"] != "Intercept"].reset_index(drop=True)
    table[["estimate", "lower", "upper"]] *= slope
    return named_terms(table[COLUMNS[:4]], frame)
