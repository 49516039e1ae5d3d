"""The executive page in words and tiles, and the notes that say whose data an estimate rests on."""

from collections.abc import Mapping
from typing import Any, Protocol

import pandas as pd

from recoverykit.report._sentences_book import (
    sentence_allowance_total,
    sentence_coverage,
    sentence_fallback,
)
from recoverykit.report._sentences_cases import sentence_closed_only_bias
from recoverykit.report.blocks import HtmlBlock, callout, key_figures, prose
from recoverykit.report.formats import format_count, format_money, format_share, is_missing, listed, within
from recoverykit.report.labels import segment_within
from recoverykit.vocabulary import WHOLE_BOOK

#: Half a cent: what is less is rounding.
#: Said where an average rests on fewer episodes than the page counts.
_LEFT_OUT = (
    " Episodes that were in default before observation began, or whose loss is not known, are not in these averages; "
    "the allowance covers those that are open."
)
_HALF_A_CENT = 0.005


class BasisFacts(Protocol):
    """Whose data an estimate rests on: the segment asked for, the one used, and why."""

    @property
    def requested(self) -> str:
        """Segment asked for."""

    @property
    def used(self) -> str:
        """Segment whose data are used."""

    @property
    def reason(self) -> str:
        """Why another segment's data are used; empty for the segment's own."""


def basis_note(basis: BasisFacts | None, *, note: str = "") -> HtmlBlock:
    """Say whose data an estimate rests on, or why there is none.

    Parameters
    ----------
    basis : object with requested, used and reason, or None
        None where nothing could be estimated.
    note : str
        Why there is no estimate.

    Returns
    -------
    HtmlBlock
        A note where the segment stands on its own data, a warning where it does not.
    """
    if basis is None:
        why = note.removesuffix(".") or "there is too little to estimate it from"
        return callout(f"No model: {why}.", kind="warning")
    if not basis.reason:
        return prose("The estimates on this page rest on this segment's own loans.")
    return callout(
        sentence_fallback(segment=basis.requested, parent=basis.used, reason=f"there are {basis.reason}"),
        kind="warning",
    )


class CurveBasisFacts(Protocol):
    """Whose episodes each stretch of months of a curve rests on."""

    @property
    def requested(self) -> str:
        """Segment asked for."""

    @property
    def stretches(self) -> tuple[tuple[str, int, int], ...]:
        """Segment or parent, first and last month."""

    @property
    def minimum_at_risk(self) -> int:
        """Open episodes that a month needs."""


def curve_basis_note(*bases: CurveBasisFacts) -> HtmlBlock:
    """Say on whose episodes the expected remainder rests, month by month.

    Parameters
    ----------
    *bases : object with requested, stretches and minimum_at_risk
        As made with the curves: one for a segment, several for a parent or the book, which is the sum of its segments.

    Returns
    -------
    HtmlBlock
        Plain where a segment stands on its own data throughout, a warning where it borrows.
    """
    first = bases[0]
    last = max(basis.stretches[-1][2] for basis in bases)
    end = f"Beyond month {last} nothing more is expected."
    if len(bases) > 1:
        own = sum(_is_own(basis) for basis in bases)
        alone = f"{own} of them need{'s' if own == 1 else ''} no parent" if own else "all of them need one"
        return prose(
            f"The numbers of this page are the sum of {len(bases)} segments, each with a curve of its own as long as "
            f"{first.minimum_at_risk} of its loans were open, and its parents' after that; {alone}. {end}"
        )
    if _is_own(first):
        owner = "the whole book's" if first.requested == WHOLE_BOOK else "this segment's own"
        return prose(f"What open loans still recover rests on {owner} loans, up to month {last}. {end}")
    rests = [
        f"{_months(a, b)} on {'its own loans' if name == first.requested else segment_within(name)}"
        for name, a, b in first.stretches
    ]
    return callout(
        f"With fewer than {first.minimum_at_risk} loans still open in a month, this segment borrows from its parents: "
        f"what open loans still recover rests in {listed(rests)}. {end}",
        kind="warning",
    )


def _is_own(basis: CurveBasisFacts) -> bool:
    """Whether a curve rests on the segment asked for throughout."""
    return [name for name, _, _ in basis.stretches] == [basis.requested]


def _months(first: int, last: int) -> str:
    return f"month {first}" if first == last else f"months {first} to {last}"


def sentence_left_out(drivers: tuple[str, ...] | list[str]) -> str:
    """Say which drivers were asked for but could not be used; empty when none was.

    Examples
    --------
    >>> sentence_left_out(["ltv_ratio"])
    'Not used, because these data do not hold it or it is the same for every loan: ltv_ratio.'
    """
    if not drivers:
        return ""
    pronoun = "it or it is" if len(drivers) == 1 else "them or they are"
    return f"Not used, because these data do not hold {pronoun} the same for every loan: {listed(list(drivers))}."


def reason_open_differs(
    *, recovered_open: float | None, remaining_open: float | None, recovered_closed: float | None
) -> str:
    """Say, as half a sentence, what open episodes have recovered and may expect, against closed ones.

    Parameters
    ----------
    recovered_open, remaining_open, recovered_closed : float or None
        Mean shares of EAD.
    """
    if is_missing(recovered_open) or is_missing(recovered_closed):
        return ""
    return (
        f"the open ones have recovered {format_share(recovered_open)} so far and may expect another "
        f"{format_share(remaining_open)}, while closed ones recovered {format_share(recovered_closed)}"
    )


def executive_summary(
    *,
    facts: Mapping[str, float],
    total: Mapping[str, float],
    losses: pd.DataFrame,
    checks: pd.DataFrame,
    currency: str,
) -> dict[str, Any]:
    """Make the six numbers and the sentences of the pack's first page.

    Parameters
    ----------
    facts : mapping
        Counts of the book: n_episodes, n_open, open_share.
    total : mapping
        Totals of the provision: n_open, gross_carrying_amount, allowance, coverage_ratio, n_beyond_curve.
    losses : DataFrame
        One row per segment with n_episodes, n_closed, n_open, closed_only_lgd, all_in_lgd.
    checks : DataFrame
        Control totals with control and difference.
    currency : str
        Code of the currency.

    Returns
    -------
    dict
        ``key_figures`` (list of label, value, note) and ``sentences`` (list of str).
    """
    all_in = _mean(losses, "all_in_lgd", "n_episodes")
    closed = _mean(losses, "closed_only_lgd", "n_closed")
    episodes = (format_count(facts["n_episodes"]), f"of which open: {format_count(facts['n_open'])}")
    figures = [
        ("Allowance for credit losses", format_money(total["allowance"], currency), "open defaulted loans"),
        ("Gross carrying amount", format_money(total["gross_carrying_amount"], currency), "owed at the reporting date"),
        ("Coverage", format_share(total["coverage_ratio"]), "allowance / gross carrying amount"),
        ("Default episodes", *episodes),
        ("LGD, all episodes", format_share(all_in), "number-weighted, open ones as censored"),
        ("LGD, closed only", format_share(closed), "for comparison"),
    ]
    left_out = _LEFT_OUT if losses["n_episodes"].sum() < facts["n_episodes"] else ""
    sentences = [
        sentence_allowance_total(
            allowance=total["allowance"],
            gross_carrying_amount=total["gross_carrying_amount"],
            n_facilities=int(total["n_open"]),
            currency=currency,
        ),
        sentence_coverage(coverage_ratio=total["coverage_ratio"]),
        sentence_closed_only_bias(closed_only=closed, all_in=all_in, n_open=int(losses["n_open"].sum())) + left_out,
        sentence_checks(checks),
    ]
    return {
        "key_figures": [{"label": label, "value": value, "note": note} for label, value, note in figures],
        "sentences": sentences,
    }


def summary_tiles(summary: Mapping[str, Any]) -> HtmlBlock:
    """Show the key figures of an executive summary as tiles."""
    return key_figures([(f["label"], f["value"], f["note"]) for f in summary["key_figures"]])


def sentence_checks(checks: pd.DataFrame) -> str:
    """Say whether every control total agrees to the cent, or which do not; one that is missing does not."""
    if checks.empty:
        return "No control total was compared."
    wrong = checks.loc[~(checks["difference"].abs() < _HALF_A_CENT), "control"].tolist()
    if not wrong:
        return f"All {len(checks)} control totals agree to the cent."
    return f"{len(wrong)} of {len(checks)} control totals do not agree: {listed([within(name) for name in wrong])}."


def _mean(losses: pd.DataFrame, value: str, weight: str) -> float:
    """Return a weighted mean over the rows that weigh something; NaN where one of them is not known."""
    known = losses[losses[weight] > 0]
    n = known[weight].sum()
    return float((known[value] * known[weight]).sum(skipna=False) / n) if n else float("nan")
