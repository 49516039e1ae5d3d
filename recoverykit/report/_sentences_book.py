"""Sentences about the book and the run: what is provided for, whether it adds up, what was checked and left out."""

import pandas as pd

from recoverykit.report.formats import format_money, format_share, is_missing, number_of
from recoverykit.report.labels import segment_within, segment_words

#: Half a cent: what is less is rounding.
_HALF_A_CENT = 0.005


def sentence_fallback(*, segment: str, parent: str, reason: str) -> str:
    """Say that a segment is too small for an estimate of its own and borrows its parent's.

    Parameters
    ----------
    segment, parent : str
        Names of the segment and of the one whose estimate is used.
    reason : str
        Why, as half a sentence: ``only 12 episodes are closed``.
    """
    return f"The estimate for {segment_words(segment)} is that of {segment_within(parent)}, because {reason}."


def sentence_allowance_total(
    *, allowance: float | None, gross_carrying_amount: float | None, n_facilities: int, currency: str
) -> str:
    """Say what is provided for, against what amount, for how many facilities.

    Parameters
    ----------
    allowance, gross_carrying_amount : float or None
        In the currency.
    n_facilities : int
        Open defaulted facilities.
    currency : str
        Its code.
    """
    if n_facilities == 0:
        return "No facility is in default at the reporting date, so there is no allowance."
    if is_missing(allowance):
        return "The allowance could not be computed."
    facilities = number_of(n_facilities, "defaulted facility", "defaulted facilities")
    return (
        f"The allowance for credit losses is {format_money(allowance, currency)} against a gross carrying amount of "
        f"{format_money(gross_carrying_amount, currency)} in {facilities}."
    )


def sentence_coverage(
    *, coverage_ratio: float | None, highest: tuple[str, float] | None = None, lowest: tuple[str, float] | None = None
) -> str:
    """Say how much of the gross carrying amount is covered, and where most and least.

    Parameters
    ----------
    coverage_ratio : float or None
        Allowance / gross carrying amount, a share; missing where nothing is in default.
    highest, lowest : (str, float), optional
        Segment and its coverage.
    """
    if is_missing(coverage_ratio):
        return "There is nothing to cover at the reporting date."
    start = f"The allowance covers {format_share(coverage_ratio)} of the gross carrying amount"
    if highest is None or lowest is None or highest[0] == lowest[0]:
        return f"{start}."
    return (
        f"{start}: most in {segment_words(highest[0])} ({format_share(highest[1])}), "
        f"least in {segment_words(lowest[0])} ({format_share(lowest[1])})."
    )


def sentence_reconciliation(*, what: str, difference: float | None, currency: str = "") -> str:
    """Say whether the parts add up to the whole, to the cent.

    Parameters
    ----------
    what : str
        The parts and the whole, such as ``The allowances of the segments``.
    difference : float or None
        Sum of the parts less the total, in the currency.
    currency : str
        Its code.

    Examples
    --------
    >>> sentence_reconciliation(what="The allowances of the segments", difference=0.0)
    'The allowances of the segments add up to the total to the cent.'
    """
    if is_missing(difference):
        return f"{what} could not be compared with the total."
    if abs(float(difference or 0)) < _HALF_A_CENT:
        return f"{what} add up to the total to the cent."
    gap = format_money(abs(float(difference or 0)), currency, style="cents")
    return f"{what} do not add up to the total: they are {gap} {'more' if float(difference or 0) > 0 else 'less'}."


def sentence_data_quality(*, n_tables: int, n_rows: int, n_violations: int) -> str:
    """Say how much was checked and what was found.

    Parameters
    ----------
    n_tables, n_rows : int
        Tables and rows checked.
    n_violations : int
        Rules that are broken.
    """
    checked = f"{number_of(n_rows, 'row', 'rows')} in {number_of(n_tables, 'table', 'tables')} were checked"
    if n_violations == 0:
        return f"{checked}; every rule of the data contract holds."
    return f"{checked}; {number_of(n_violations, 'rule of the contract is', 'rules of the contract are')} broken."


def sentence_exclusions(exclusions: pd.DataFrame, *, currency: str = "") -> str:
    """Say how many rows were set apart, and for which reason most.

    Parameters
    ----------
    exclusions : DataFrame
        Columns ``table``, ``reason``, ``n_rows`` and ``amount`` (in the currency, 0 where none is concerned).
    currency : str
        Its code.
    """
    told = exclusions[exclusions["n_rows"] > 0]
    if told.empty:
        return "No row was set apart."
    n_rows, amount = int(told["n_rows"].sum()), float(told["amount"].sum())
    most = told.sort_values(["n_rows", "reason"], ascending=[False, True]).to_dict("records")[0]
    money = f" with {format_money(amount, currency)}" if amount else ""
    reason = f"the reason: {most['reason']}" if len(told) == 1 else f"most often: {most['reason']}"
    return f"{number_of(n_rows, 'row', 'rows')}{money} {'was' if n_rows == 1 else 'were'} set apart; {reason}."
