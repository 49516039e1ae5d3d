"""Sentences about defaulted loans: what becomes of them, when, and what is lost."""

from collections.abc import Mapping

from recoverykit.report.formats import (
    capital,
    format_cell,
    format_count,
    format_date,
    format_money,
    format_months,
    format_share,
    interval_words,
    is_missing,
    listed,
)
from recoverykit.report.labels import DISTRIBUTION_WORDS, outcome_words
from recoverykit.vocabulary import CLOSED_OUTCOMES, MINIMUM_CELL_COUNT

#: Difference of two LGDs that is not worth a sentence: a twentieth of a percentage point.
_SAME_LGD = 0.0005
_MONTHS_PER_QUARTER = 3
_ENDINGS = {
    "cured": ("is cured", "are cured"),
    "repaid": ("is repaid", "are repaid"),
    "liquidated": ("is liquidated", "are liquidated"),
    "sold": ("is sold", "are sold"),
    "written_off": ("is written off", "are written off"),
}


def sentence_episodes(*, n_episodes: int, n_open: int, ead: float, currency: str, reporting_date: object) -> str:
    r"""Say how much is looked at: number of episodes, their exposure (not of a few), and how many are open.

    Parameters
    ----------
    n_episodes, n_open : int
        Default episodes, and those still open at the reporting date.
    ead : float
        Their exposure at default, in the currency.
    currency : str
        Its code.
    reporting_date : date-like
        The date as of which everything is known.

    Examples
    --------
    >>> text = sentence_episodes(n_episodes=0, n_open=0, ead=0.0, currency="USD", reporting_date="2026-09-30")
    >>> text.replace("\u00a0", " ")
    'No loan of this segment had defaulted by 30 September 2026.'
    """
    if n_episodes == 0:
        return f"No loan of this segment had defaulted by {format_date(reporting_date)}."
    opened = "none" if n_open == 0 else format_cell(n_open, words=True)
    still_open = f"{opened} of them {'is' if n_open == 0 else 'are'} still open"
    exposure = f" with an exposure at default of {format_money(ead, currency)}"
    if n_episodes < MINIMUM_CELL_COUNT:
        exposure = ""
    return (
        f"{capital(format_cell(n_episodes, words=True))} default episodes{exposure} are known at "
        f"{format_date(reporting_date)}; {still_open}."
    )


def sentence_follow_up(*, median_follow_up_months: float | None, longest_months: float | None) -> str:
    """Say how long episodes have been watched, and that nothing is claimed beyond.

    Parameters
    ----------
    median_follow_up_months, longest_months : float or None
        Median and longest time observed, in months.
    """
    if is_missing(longest_months):
        return "No episode has been followed for any time yet."
    half = (
        ""
        if is_missing(median_follow_up_months)
        else f"Half of the episodes have been watched for at least {format_months(median_follow_up_months)}, "
    )
    start = f"{half}the longest for {format_months(longest_months)}"
    return f"{capital(start)}; nothing is said about later months without a model."


def sentence_competing_outcomes(shares: Mapping[str, float], *, month: float) -> str:
    r"""Say what has become of the loans by a month after default.

    Parameters
    ----------
    shares : mapping of str to float
        Cumulative incidence of each closed outcome at that month, shares of all episodes.
    month : float
        Months since default; 0 where no later month is observed of enough loans.

    Examples
    --------
    >>> text = sentence_competing_outcomes({"cured": 0.41, "written_off": 0.2}, month=24)
    >>> text.replace("\u202f", " ").replace("\u00a0", " ")
    'By month 24 after default, 41.0 % are cured and 20.0 % are written off; 39.0 % are still open.'
    """
    if not month > 0:
        return "Too few loans have been watched for long enough to say what has become of them."
    known = {name: shares[name] for name in CLOSED_OUTCOMES if not is_missing(shares.get(name))}
    seen = [f"{format_share(value)} {_ENDINGS[name][1]}" for name, value in known.items() if value > 0]
    still_open = format_share(max(0.0, 1 - sum(known.values())))
    if not seen:
        return f"By month {month:.0f} after default no loan has left default."
    return f"By month {month:.0f} after default, {listed(seen)}; {still_open} are {outcome_words('open')}."


def sentence_median_resolution(median_months: float | None, *, last_month: float, in_quarters: bool = False) -> str:
    r"""Say when half of the episodes are resolved, or that the data do not reach so far.

    Parameters
    ----------
    median_months : float or None
        Kaplan-Meier median of the time to resolution, in months; missing where it is not reached.
    last_month : float
        Last month observed of enough episodes to be told; 0 where there is none.
    in_quarters : bool
        Whether the source counts in quarters; then they are named beside the months.

    Examples
    --------
    >>> sentence_median_resolution(21, last_month=60, in_quarters=True).replace("\u00a0", " ")
    'Half of the episodes are resolved within 21 months (7 quarters) of default.'
    """
    if not last_month > 0:
        return "Too few episodes have been watched for long enough to say when half of them are resolved."
    if is_missing(median_months):
        return f"Fewer than half of the episodes are resolved within the {format_months(last_month)} observed."
    quarters = float(median_months or 0) / _MONTHS_PER_QUARTER
    beside = f" ({quarters:g} quarter{'' if quarters == 1 else 's'})" if in_quarters else ""
    return f"Half of the episodes are resolved within {format_months(median_months)}{beside} of default."


def sentence_time_to_cure(
    *, probability: float | None, month: float, lower: float | None = None, upper: float | None = None
) -> str:
    """Say what share of defaulted loans is cured by a month, with its interval.

    Parameters
    ----------
    probability : float or None
        Cumulative incidence of cure at that month, other outcomes competing; a share.
    month : float
        Months since default.
    lower, upper : float, optional
        Interval of the share.
    """
    if is_missing(probability):
        return "The probability of cure could not be estimated here."
    if probability == 0:
        return f"No loan of this segment was cured within {format_months(month)} of default."
    share = f"{format_share(probability)}{interval_words(lower, upper)}"
    return f"{share} of defaulted loans are cured within {format_months(month)}."


def sentence_model(
    *, event: str, never_share: float | None, lower: float | None = None, upper: float | None = None, model: str = ""
) -> str:
    r"""Say which event a model is about, and what share is estimated never to have it.

    Parameters
    ----------
    event : str
        The event in words, such as ``cure``.
    never_share : float or None
        Estimated share that never has the event.
    lower, upper : float, optional
        Interval of that share.
    model : str
        Name of the model, or of the latency distribution of a mixture cure model, such as ``lognormal``.

    Examples
    --------
    >>> text = sentence_model(event="cure", never_share=0.575, model="log-normal model").replace("\u202f", " ")
    >>> text.split("; ")[1]
    '57.5 % of defaulted loans are estimated never to reach it.'
    """
    name = f"{DISTRIBUTION_WORDS[model]} mixture cure model" if model in DISTRIBUTION_WORDS else model or "model"
    what = f"The event of this {name} is the {event} of a loan"
    if is_missing(never_share):
        return f"{what}; the share that never reaches it could not be estimated."
    share = f"{format_share(never_share)}{interval_words(lower, upper)}"
    return f"{what}; {share} of defaulted loans are estimated never to reach it."


def sentence_recovery(
    *, rate: float | None, month: float, lower: float | None = None, upper: float | None = None
) -> str:
    """Say what share of the exposure has come back by a month after default.

    Parameters
    ----------
    rate : float or None
        Cumulative net recovery, a share of EAD; negative where costs exceed recoveries.
    month : float
        Months since default.
    lower, upper : float, optional
        Its interval.
    """
    if is_missing(rate):
        return "The recovery curve could not be estimated here."
    if float(rate or 0) <= 0:
        return f"Nothing net of costs has come back within {format_months(month)} of default."
    share = f"{format_share(rate)}{interval_words(lower, upper)}"
    return f"Net of costs, {share} of the exposure has come back within {format_months(month)} of default."


def sentence_lgd(*, all_in: float | None, lower: float | None, upper: float | None, ead_weighted: float | None) -> str:
    """Say the LGD over all episodes, by number, and beside it by exposure.

    Parameters
    ----------
    all_in, lower, upper : float or None
        Mean LGD over all episodes weighted by their number, with its interval; shares of EAD.
    ead_weighted : float or None
        The same weighted by EAD.
    """
    if is_missing(all_in):
        return "The loss given default could not be estimated here."
    beside = "" if is_missing(ead_weighted) else f"; weighted by exposure it is {format_share(ead_weighted)}"
    average = f"{format_share(all_in)}{interval_words(lower, upper)}"
    return f"The average loss given default over all episodes is {average}{beside}."


def sentence_closed_only_bias(*, closed_only: float | None, all_in: float | None, n_open: int, reason: str = "") -> str:
    r"""Say why the LGD over all episodes differs from the one over closed episodes.

    Parameters
    ----------
    closed_only, all_in : float or None
        Mean LGD of closed episodes, and of all episodes, open ones with what they are still expected to recover.
    n_open : int
        Episodes still open.
    reason : str
        Why open episodes differ here, as half a sentence; without it, the usual one is named as no more than that.

    Examples
    --------
    >>> text = sentence_closed_only_bias(closed_only=0.592, all_in=0.641, n_open=365)
    >>> text.replace("\u202f", " ").replace("\u00a0", " ")[:94]
    'Closed episodes alone show a loss of 59.2 %; with the 365 open ones it is 64.1 %. As a rule th'
    """
    if is_missing(all_in):
        return "The loss over all episodes could not be estimated, so closed episodes have nothing to be compared with."
    if is_missing(closed_only):
        return (
            f"No episode is closed yet; the loss of {format_share(all_in)} counts what open ones have recovered so far "
            "and may still expect."
        )
    if n_open == 0:
        return f"Every episode is closed, so the loss of {format_share(all_in)} holds nothing expected."
    difference = float(all_in or 0) - float(closed_only or 0)
    opened = f"the {format_count(n_open)}" if format_cell(n_open) == format_count(n_open) else "the few"
    start = f"Closed episodes alone show a loss of {format_share(closed_only)}; with {opened} open ones it is"
    if abs(difference) < _SAME_LGD:
        return f"{start} the same, {format_share(all_in)}."
    usual = (
        "the open ones are the long workouts, and long workouts recover less"
        if difference > 0
        else "open ones then have already recovered much, or sit in segments that recover more"
    )
    why = f", because {reason}" if reason else f". As a rule {usual}"
    return f"{start} {format_share(all_in)}{why}."
