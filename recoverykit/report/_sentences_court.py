"""Sentences about court work: how long it takes, how it ends, what it costs, and whether complete files help."""

import pandas as pd

from recoverykit.report._sentences_scorecards import p_words
from recoverykit.report.formats import (
    format_cell,
    format_count,
    format_money,
    format_months,
    format_ratio,
    format_share,
    interval_words,
    is_missing,
    listed,
)
from recoverykit.report.labels import segment_words
from recoverykit.vocabulary import MINIMUM_CELL_COUNT


def sentence_court_days(table: pd.DataFrame) -> str:
    r"""Say by which day half of the cases have a judgment, over all cases and open ones included.

    Parameters
    ----------
    table : DataFrame
        Rows of one phase for all cases: outcome, n_cases, n_open, median_days, lower, upper, from ``phase_durations``.

    Examples
    --------
    >>> rows = {"outcome": ["judgment", "settled"], "n_cases": 300, "n_open": 80, "median_days": [420, None],
    ...         "lower": [390, None], "upper": [455, None], "n_events": [150, 70]}
    >>> print(sentence_court_days(pd.DataFrame(rows)).replace("; ", ";\n"))
    Of 300 cases half have a judgment by day 420 (390 to 455);
    80 are still open and count as long as they were observed.
    """
    rows = table[table["outcome"] == "judgment"]
    if rows.empty or rows["n_cases"].iloc[0] < MINIMUM_CELL_COUNT:
        return "Too few cases were decided to say how long it takes."
    row = rows.iloc[0]
    start = f"Of {format_count(row['n_cases'])} cases"
    still = f"{format_cell(row['n_open'], words=True)} are still open and count as long as they were observed"
    if is_missing(row["median_days"]):
        return f"{start} fewer than half have come to a judgment within the time observed; {still}."
    limits = [row["lower"], row["upper"]]
    known = "" if any(is_missing(limit) for limit in limits) else f" ({limits[0]:.0f} to {limits[1]:.0f})"
    return f"{start} half have a judgment by day {row['median_days']:.0f}{known}; {still}."


def sentence_endings(row: pd.Series) -> str:
    r"""Say how many of the decided cases were won, and how many were never decided.

    Parameters
    ----------
    row : Series
        n_cases, n_decided, n_settled, n_withdrawn, n_open, win_rate, lower, upper, from ``win_rates``.

    Examples
    --------
    >>> row = pd.Series({"n_cases": 300, "n_decided": 150, "n_settled": 60, "n_withdrawn": 20, "n_open": 70,
    ...                  "win_rate": 0.8, "lower": 0.73, "upper": 0.86})
    >>> print(sentence_endings(row).replace("\u202f", " ").replace("; ", ";\n"))
    Of 150 cases decided 80.0 % (73.0 % to 86.0 %) were won outright;
    60 were settled, 20 withdrawn, and 70 are open.
    """
    if row["n_decided"] < MINIMUM_CELL_COUNT:
        return "Too few cases were decided to show a win rate."
    rate = f"{format_share(row['win_rate'])}{interval_words(row['lower'], row['upper'])}"
    settled, withdrawn, still = (format_cell(row[f"n_{name}"], words=True) for name in ("settled", "withdrawn", "open"))
    return (
        f"Of {format_count(row['n_decided'])} cases decided {rate} were won outright; {settled} were settled, "
        f"{withdrawn} withdrawn, and {still} are open."
    )


def sentence_packages(
    estimates: pd.DataFrame, *, overlap_rate: float, n_young: int, outcome: str, days: int, n_unknown: int = 0
) -> str:
    r"""Say what complete packages change among like cases, and how far off the naive contrast is.

    Parameters
    ----------
    estimates : DataFrame
        design, difference, lower, upper, p_value, n_cases, from ``package_effect``.
    overlap_rate : float
        Share of the cases that can be compared.
    n_young : int
        Cases filed too late.
    outcome : str
        What the difference is of.
    days : int
        Within how many days of filing. A recovery carries no date: it is told as of the reporting date.
    n_unknown : int
        Cases of which the outcome is not known.

    Examples
    --------
    >>> rows = {"design": ["standardised", "naive"], "difference": [0.12, 0.3], "lower": [0.06, 0.24],
    ...         "upper": [0.18, 0.36], "p_value": [0.0002, 0.0], "n_cases": [900, 950]}
    >>> text = sentence_packages(pd.DataFrame(rows), overlap_rate=0.947, n_young=200, outcome="won", days=365)
    >>> print(text.replace("\u202f", " ").replace("; ", ";\n").replace(". ", ".\n").replace(" (", "\n("))
    Among cases of the same court and size a complete package goes with 12.0 points more won within 365 days
    (6.0 to 18.0, p below 0.001);
    94.7 % of the cases can be so compared.
    200 cases were filed too late to be judged.
    Taken as they are, cases differ by 30.0 points, which also holds that complete packages have other cases.
    """
    by = estimates.set_index("design")
    sound, naive = by.loc["standardised"], by.loc["naive"]
    points = f"{abs(100 * sound['difference']):.1f} points {'more' if sound['difference'] >= 0 else 'fewer'}"
    if sound["n_cases"] < MINIMUM_CELL_COUNT:
        return "Too few cases can be compared to say what complete packages change."
    sign = 1 if sound["difference"] >= 0 else -1
    limits = sorted(sign * 100 * sound[name] for name in ("lower", "upper"))
    span = f"{limits[0]:.1f} to {limits[1]:.1f}, {p_words(float(sound['p_value']))}".replace("-", "\u2212")
    young = (
        f" {format_cell(n_young, words=True).capitalize()} cases were filed too late to be judged." if n_young else ""
    )
    unknown = f" Of {format_cell(n_unknown, words=True)} more the outcome is not known." if n_unknown else ""
    is_dated = outcome != "recovered"
    when = f"within {days} days" if is_dated else "by the reporting date"
    unequal = "" if is_dated else " Cases filed earlier have had longer to recover."
    return (
        f"Among cases of the same court and size a complete package goes with {points} {outcome} {when} ({span}); "
        f"{format_share(overlap_rate)} of the cases can be so compared.{young}{unknown}{unequal} Taken as they are, "
        f"cases differ by {abs(100 * naive['difference']):.1f} points, which also holds that complete packages have "
        "other cases."
    )


def sentence_court_load(load: pd.DataFrame, *, by: str = "court") -> str:
    r"""Say which courts finish less than comes in, over the last four whole periods.

    Parameters
    ----------
    load : DataFrame
        The column of the groups, period, n_filed, n_finished, n_pending, backlog_months, is_complete, from
        ``court_capacity``.
    by : str
        Name of the groups' column.

    Examples
    --------
    >>> load = pd.DataFrame({"court": ["a"] * 2 + ["b"] * 2, "n_filed": [30, 40, 20, 20],
    ...                      "n_finished": [20, 25, 20, 30], "n_pending": [50, 65, 40, 30], "is_complete": True})
    >>> load["backlog_months"] = [5.0, 8.7, 4.8, 3.6]
    >>> print(sentence_court_load(load).replace("\u00a0", " ").replace(": ", ":\n"))
    Over the last periods more came in than was finished in 1 of 2 courts:
    a, where 65 cases wait (8.7 months of work).
    """
    whole = load[load["is_complete"]].groupby(by, sort=True).tail(4)
    sums = whole.groupby(by, sort=True).agg(filed=("n_filed", "sum"), finished=("n_finished", "sum"))
    # the last row as it stands: an aggregate "last" would pass over a backlog that is missing, for an older one
    last = whole.groupby(by).tail(1).set_index(by)
    sums = sums.assign(pending=last["n_pending"], backlog=last["backlog_months"])
    sums = sums[sums["filed"] >= MINIMUM_CELL_COUNT]
    if sums.empty:
        return "Too few cases were filed in the last periods to judge what waits."
    grows = sums[sums["filed"] > sums["finished"]]
    places = f"{len(grows)} of {len(sums)} {'court' if len(sums) == 1 else 'courts'}"
    if grows.empty:
        return f"Over the last periods no more came in than was finished, in all of {len(sums)} courts."
    named = []
    for name, row in grows.iterrows():
        waits = f"{format_cell(row['pending'], words=True)} cases wait"
        if row["pending"] >= MINIMUM_CELL_COUNT and not is_missing(row["backlog"]):
            waits += f" ({format_months(round(float(row['backlog']), 1))} of work)"
        named.append(f"{segment_words(str(name))}, where {waits}")
    return f"Over the last periods more came in than was finished in {places}: {listed(named)}."


def sentence_court_costs(costs: pd.DataFrame, *, currency: str) -> str:
    r"""Say what a unit of money recovered in court has cost.

    Parameters
    ----------
    costs : DataFrame
        Last row the total: n_cases, recovered_amount, cost_amount, cost_per_recovered and n_unknown, from
        ``court_costs``.
    currency : str
        Its code.

    Examples
    --------
    >>> costs = pd.DataFrame({"n_cases": [300], "recovered_amount": [2e6], "cost_amount": [3e5],
    ...                       "cost_per_recovered": [0.15], "n_unknown": [0]})
    >>> print(sentence_court_costs(costs, currency="USD").replace("\u202f", " ").replace("\u00a0", " "))
    Court has brought USD 2.00 m and cost USD 300,000, 0.15 for each unit recovered.
    """
    total = costs.iloc[-1]
    n_unknown = total.get("n_unknown", 0)
    if n_unknown == total["n_cases"] >= MINIMUM_CELL_COUNT:
        return "Of no case is it known what it has brought and what it has cost."
    if total["n_cases"] < MINIMUM_CELL_COUNT or is_missing(total["cost_per_recovered"]):
        return "Nothing has been recovered in court yet, or too few cases were filed to show it."
    rest = f" Of {format_cell(n_unknown, words=True)} cases one or the other is not known." if n_unknown else ""
    return (
        f"Court has brought {format_money(total['recovered_amount'], currency)} and cost "
        f"{format_money(total['cost_amount'], currency)}, {format_ratio(total['cost_per_recovered'])} for each unit "
        f"recovered.{rest}"
    )
