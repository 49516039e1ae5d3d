"""Are the curves of several segments the same? The log-rank test for one event, Gray's test where outcomes compete.

Both compare what happened in each segment with what would have happened under one common curve. A small p-value says
that the curves differ, not by how much nor why; a large one says only that these episodes do not show it. This module
does not know what the segments are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._curve_rows import OutcomeRows, columns_of, read_events, read_outcomes
from recoverykit.estimators._curve_test_kernels import Comparison, GroupCounts, count_groups, gray, log_rank
from recoverykit.vocabulary import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class EqualityTest:
    """The answer of a test that several segments share one curve.

    Attributes
    ----------
    method : str
        ``log-rank`` or ``Gray``.
    event_name : str
        The event or outcome compared.
    statistic : float
        Chi-square under the hypothesis that the curves are the same. It and the p-value are NaN where no two segments
        were at risk together when the event happened.
    degrees_of_freedom : int
        Number of segments that were ever at risk together with others, less 1.
    p_value : float
        Probability of such a statistic, or a larger one, under the hypothesis.
    table : DataFrame
        One row per segment: segment, n_episodes, observed (events), expected (events under one common curve).
    """

    method: str
    event_name: str
    statistic: float
    degrees_of_freedom: int
    p_value: float
    table: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return one row per segment: segment, n_episodes, observed, expected."""
        return self.table.copy()

    def to_record(self) -> dict[str, Any]:
        """Return the test as JSON can hold it."""
        return {
            "method": self.method,
            "event_name": self.event_name,
            "statistic": self.statistic if self.degrees_of_freedom else None,
            "degrees_of_freedom": self.degrees_of_freedom,
            "p_value": self.p_value if self.degrees_of_freedom else None,
            "segments": self.table.to_dict(orient="records"),
        }

    def sentence(self) -> str:
        """Say what was compared, and how surprising the differences are if there are none in truth."""
        if self.degrees_of_freedom == 0:
            return (
                f"Event: {self.event_name}. {self.method} test over {len(self.table)} segments: whenever it happened "
                "all episodes at risk were of one segment, or all ended at once, so they cannot be compared."
            )
        chance = "below 0.0001" if self.p_value < 1e-4 else f"{self.p_value:.4f}"
        return (
            f"Event: {self.event_name}. {self.method} test over {len(self.table)} segments: chi-square "
            f"{self.statistic:.2f} on {self.degrees_of_freedom} degrees of freedom, p {chance}."
        )

    def _repr_html_(self) -> str:
        shown = self.table.to_html(index=False, float_format=lambda number: f"{number:,.1f}")
        return f"<p>{escape(self.sentence())}</p>{shown}"


def logrank_test(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    event_col: str,
    by: str | Sequence[str],
    weights_col: str | None = None,
    entry_col: str | None = None,
) -> EqualityTest:
    """Test whether segments share one survival curve.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, or per group of equal episodes when ``weights_col`` is given. Not changed.
    duration_col : str
        Months to the event or to censoring, at least 0.
    event_col : str
        True (or 1) where the event was seen.
    by : str or sequence of str
        Segment columns, with at least two different values.
    weights_col : str, optional
        Number of episodes for which a row stands: a row of weight 2 is the row twice.
    entry_col : str, optional
        Months in default when observation began (left truncation), as in ``kaplan_meier``.

    Returns
    -------
    EqualityTest

    Raises
    ------
    ContractError
        When a column is missing or rows have no valid time, event, entry, weight or segment; names them all.
    InsufficientDataError
        When there is one segment only, no event, or no time at which two segments were at risk and could differ.

    Notes
    -----
    Mantel (1966); Kalbfleisch & Prentice (2002), section 1.5; as R's ``survival::survdiff``. Most able to see hazards
    that differ by a factor throughout; curves that cross may escape it. Where outcomes compete and the question is how
    many will end in one of them, ask ``gray_test``.

    Examples
    --------
    >>> frame = pd.DataFrame({"product": ["card"] * 3 + ["auto"] * 3, "months": [1, 2, 3, 7, 8, 9], "cured": [1] * 6})
    >>> test = logrank_test(frame, duration_col="months", event_col="cured", by="product")
    >>> test.table.set_index("segment")["expected"].round(2).to_dict()
    {'auto': 4.85, 'card': 1.15}

    Cards had 3 cures where 1.15 would be expected if both products were cured at the same pace.
    """
    read = read_events(
        frame, by=by, duration_col=duration_col, event_col=event_col, weights_col=weights_col, entry_col=entry_col
    )
    counts = _counts(read, by)
    found = log_rank(n_at_risk=counts.n_at_risk, n_events=counts.n_events[:, :, 0])
    if found.degrees_of_freedom == 0:
        raise _not_comparable(event_col)
    return _answer("log-rank", event_col, read, found)


def gray_test(
    frame: pd.DataFrame,
    *,
    duration_col: str,
    outcome_col: str,
    by: str | Sequence[str],
    censored: str = Outcome.OPEN,
    weights_col: str | None = None,
) -> dict[str, EqualityTest]:
    """Test for each outcome whether segments share one cumulative incidence.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, or per group of equal episodes when ``weights_col`` is given. Not changed.
    duration_col : str
        Months to the outcome or to censoring, at least 0.
    outcome_col : str
        Outcome of each row; none may be missing.
    by : str or sequence of str
        Segment columns, with at least two different values.
    censored : str
        The value of ``outcome_col`` that means censored.
    weights_col : str, optional
        Number of episodes for which a row stands: a row of weight 2 is the row twice.

    Returns
    -------
    dict of str to EqualityTest
        By outcome, in the order of ``aalen_johansen``. An outcome at which no two segments were at risk together
        has no statistic and no p-value (NaN, 0 degrees of freedom). Late entry is not provided for: the statistic needs
        the incidence of each segment from its first month on.

    Raises
    ------
    ContractError, InsufficientDataError
        As in ``logrank_test``; the latter when no outcome at all can be compared.

    Notes
    -----
    Gray (1988), Annals of Statistics 16:1141-1154, with weight 1 at all times (rho = 0); as R's ``cmprsk::cuminc``. It
    compares how many end in an outcome, while a log-rank test with the other outcomes censored compares the pace among
    those still open; the two may point in different directions. Several outcomes are several tests.

    Examples
    --------
    >>> frame = pd.DataFrame({"product": ["card"] * 3 + ["auto"] * 3, "months": [1, 2, 3, 7, 8, 9]})
    >>> frame["outcome"] = ["cured", "sold", "cured", "sold", "cured", "open"]
    >>> tests = gray_test(frame, duration_col="months", outcome_col="outcome", by="product")
    >>> list(tests), tests["cured"].degrees_of_freedom
    (['cured', 'sold'], 1)
    """
    read = read_outcomes(
        frame,
        by=by,
        duration_col=duration_col,
        outcome_col=outcome_col,
        censored=censored,
        weights_col=weights_col,
        entry_col=None,
    )
    counts = _counts(read, by)
    found = [gray(n_at_risk=counts.n_at_risk, n_events=counts.n_events, outcome=k) for k in range(len(read.outcomes))]
    if not any(comparison.degrees_of_freedom for comparison in found):
        raise _not_comparable(" or ".join(read.outcomes))
    return {name: _answer("Gray", name, read, one) for name, one in zip(read.outcomes, found, strict=True)}


def _counts(read: OutcomeRows, by: str | Sequence[str]) -> GroupCounts:
    """Count by segment, and refuse what leaves nothing to compare."""
    names, columns = read.rows.names, ", ".join(columns_of(by)) or "nothing"
    if len(names) < 2:
        raise InsufficientDataError(
            f"there is one segment by {columns}: {names[0]}; give a column that takes at least two values"
        )
    if not read.outcomes or np.all(read.codes < 0):
        raise InsufficientDataError("no row has an event, so there is nothing in which the segments could differ")
    return count_groups(
        groups=read.rows.segments,
        durations=read.rows.durations,
        outcomes=read.codes,
        entries=read.rows.entries,
        weights=read.rows.weights,
        n_groups=len(names),
        n_outcomes=len(read.outcomes),
    )


def _not_comparable(event_name: str) -> InsufficientDataError:
    return InsufficientDataError(
        f"whenever {event_name} happened all episodes at risk were of one segment, or all ended at once: the "
        "segments cannot be compared; use segments that were observed over the same months in default"
    )


def _answer(method: str, event_name: str, read: OutcomeRows, found: Comparison) -> EqualityTest:
    """Return a test; without degrees of freedom it has no statistic and no p-value."""
    n_episodes = np.bincount(read.rows.segments, weights=read.rows.weights, minlength=len(read.rows.names))
    columns = {
        "segment": read.rows.names,
        "n_episodes": n_episodes,
        "observed": found.observed,
        "expected": found.expected,
    }
    freedom = found.degrees_of_freedom
    statistic = found.statistic if freedom else float("nan")
    p_value = float(chdtrc(freedom, statistic)) if freedom else float("nan")
    return EqualityTest(method, event_name, statistic, freedom, p_value, pd.DataFrame(columns))
