"""The tables of the cure page in a reader's words: the follow-up's answers, the candidates, predicted against observed.

Each takes a frame of plain values, as the portfolio keeps it, and gives every row the words and the unit it needs.
"""

import pandas as pd

from recoverykit.report.blocks import HtmlBlock
from recoverykit.report.formats import NOT_AVAILABLE, THIN_SPACE, format_cell, format_count, format_share, is_missing
from recoverykit.report.labels import distribution_words, driver_words, segment_words
from recoverykit.report.tables import show_table

#: Answer -> what is asked, in words. ``{family}`` is the latency distribution behind it.
QUESTIONS = {
    "last_cure": "Month in default of the last cure",
    "last_watched": "Month up to which loans were watched",
    "n_beyond": "Loans watched beyond the last cure",
    "alpha_n": "Maller and Zhou's \u03b1, of all loans that ended near the last cure",
    "alpha_n_cures": "Maller and Zhou's \u03b1, of cures alone",
    "q_n": "Share of loans cured near the last cure (q)",
    "shen": "Shen's \u03b1, nearer to the last cure",
    "receus": "RECeUS: uncured at the end, share still to cure ({family})",
    "likelihood_ratio": "Likelihood ratio: p-value of a curve without plateau ({family})",
}
_AT_LEAST = ("n_beyond", "q_n")
_SHARES = ("q_n", "receus")
_MONTHS = ("last_cure", "last_watched")
_TINY = 1e-4
#: What stands in the column of boundaries as it is; any other text is a reason, too long for a cell.
_PLAIN_STATES = ("none", "did not converge")


def show_follow_up(answers: pd.DataFrame, *, segment: str) -> HtmlBlock:
    r"""Show whether loans were watched long enough, as several answers side by side.

    Parameters
    ----------
    answers : DataFrame
        One row per answer: answer (a key of ``QUESTIONS``), value, threshold, verdict, detail (a latency distribution).
    segment : str
        Segment whose loans were asked; empty where there is no model.

    Returns
    -------
    HtmlBlock
        A table with one row per question: its answer, what would support a plateau, and the verdict.

    Examples
    --------
    >>> answers = pd.DataFrame(
    ...     {"answer": ["n_beyond"], "value": [784.0], "threshold": [10.0], "verdict": ["supports"], "detail": [""]}
    ... )
    >>> print(show_follow_up(answers, segment="all"))
    Is the plateau real? Several answers (whole book)
    Asked | Answer | Supports it if | Verdict
    Loans watched beyond the last cure | 784 | at least 10 | supports
    """
    whose = f" ({driver_words('', segment_words(segment))})" if segment else ""
    caption = f"Is the plateau real? Several answers{whose}"
    if answers.empty:
        return show_table(pd.DataFrame(), caption=caption)
    keys, families = answers["answer"], answers["detail"].map(distribution_words)
    told = pd.DataFrame(
        {
            "asked": [QUESTIONS[key].format(family=words) for key, words in zip(keys, families, strict=True)],
            "answer": [_value(key, value) for key, value in zip(keys, answers["value"], strict=True)],
            "supports_it_if": [_limit(key, limit) for key, limit in zip(keys, answers["threshold"], strict=True)],
            "verdict": ["" if verdict == "describes" else verdict for verdict in answers["verdict"]],
        }
    )
    return show_table(told, caption=caption)


def show_cure_candidates(comparison: pd.DataFrame) -> HtmlBlock:
    """Show the candidates for the time to cure side by side, best AIC first.

    Parameters
    ----------
    comparison : DataFrame
        One row per latency distribution: distribution, aic, bic, never (share), distance (share) and boundary; without
        numbers where one did not converge. Without rows it says that there is nothing to show.
    """
    caption = "Candidates for the time to cure; the one with the smallest AIC is used"
    if comparison.empty:
        return show_table(pd.DataFrame(), caption=caption)
    boundary = comparison["boundary"]
    told = comparison[["distribution", "aic", "bic", "never", "distance", "boundary"]].assign(
        distribution=comparison["distribution"].map(distribution_words),
        boundary=boundary.where(boundary.isin(_PLAIN_STATES), "yes"),
    )
    return show_table(
        told,
        caption=caption,
        formats={"never": "share", "distance": "share"},
        labels={"distance": "Largest gap to the observed curve", "boundary": "On a boundary"},
    )


def show_cure_calibration(table: pd.DataFrame, *, level: float | None = None) -> HtmlBlock:
    """Show predicted against observed shares of cured loans.

    Parameters
    ----------
    table : DataFrame
        One row per month and group: months, group, n_episodes, predicted, observed, lower, upper and difference, shares
        of the group. Rows of fewer than ten episodes are withheld; without any it says that there is nothing to show.
    level : float, optional
        Confidence level of the interval.
    """
    caption = "Predicted against observed share of cured loans in this segment"
    if table.empty:
        return show_table(pd.DataFrame(), caption=caption)
    shares = ("predicted", "observed", "difference")
    return show_table(
        table,
        caption=caption,
        formats=dict.fromkeys(shares, "share"),
        labels={"months": "By month", "group": "Chance of cure by the model", "difference": "Observed less predicted"},
        count_col="n_episodes",
        level=level,
    )


def _value(answer: str, value: float) -> str:
    if is_missing(value):
        return NOT_AVAILABLE
    if answer in _MONTHS:
        return format_count(value)
    if answer == "n_beyond":
        return format_cell(value)
    if answer in _SHARES:
        return format_share(value)
    return f"below {_TINY:.4f}" if value < _TINY else f"{value:.4f}"


def _limit(answer: str, threshold: float) -> str:
    if is_missing(threshold):
        return ""
    if answer == "n_beyond":
        return f"at least {format_count(threshold)}"
    number = f"{100 * threshold:.2g}{THIN_SPACE}%" if answer in _SHARES else f"{threshold:g}"
    return f"{'at least' if answer in _AT_LEAST else 'below'} {number}"
