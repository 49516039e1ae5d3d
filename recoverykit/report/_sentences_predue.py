"""Sentences about the protocol before the due date."""

import pandas as pd

from recoverykit.report._small_cells import format_total
from recoverykit.report.formats import (
    format_cell,
    format_count,
    format_date,
    format_share,
    interval_words,
    is_missing,
    number_of,
)
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_FEW = f"fewer than {MINIMUM_CELL_COUNT}"


def sentence_worklist(counts: pd.DataFrame, *, as_of: object, outlook: pd.DataFrame) -> str:
    r"""Say how many steps fall on the day, how many of earlier days are open, and what becomes of the others.

    Parameters
    ----------
    counts : DataFrame
        n_due and n_overdue by step, as ``PreDueWorklist.counts``.
    as_of : date-like
        The day.
    outlook : DataFrame
        outlook and n_instalments, as ``PreDueWorklist.outlook``.

    Examples
    --------
    >>> steps = pd.DataFrame({"step": ["call", "sms"], "n_due": [15, 10], "n_overdue": [100, 15]})
    >>> rows = pd.DataFrame({"outlook": ["listed", "step already done"], "n_instalments": [140, 60]})
    >>> text = sentence_worklist(steps, as_of="2026-09-30", outlook=rows)
    >>> print(text.replace("\u00a0", " "))  # doctest: +NORMALIZE_WHITESPACE
    On 30 September 2026, 25 steps fall due and 115 of earlier days have reached nobody yet. The list accounts for all
    200 unpaid instalments that fall due later; for 60 of them the step of the day is done.
    """
    n_due, n_overdue = int(counts["n_due"].sum()), int(counts["n_overdue"].sum())
    total = {name: format_total(counts[name]).replace("<10", _FEW) for name in ("n_due", "n_overdue")}
    others = dict(zip(outlook["outlook"], outlook["n_instalments"], strict=True))
    done = int(others.get("step already done", 0))
    steps = f"{total['n_due']} steps fall" if n_due else "no step falls"
    earlier = f"{total['n_overdue']} of earlier days have" if n_overdue else "none of an earlier day has"
    text = (
        f"On {format_date(as_of)}, {steps} due and {earlier} reached nobody yet. The "
        f"list accounts for all {format_count(outlook['n_instalments'].sum())} unpaid instalments that fall due later"
    )
    return f"{text}; for {format_cell(done, words=True) if done else 'none'} of them the step of the day is done."


def sentence_pre_due_effect(line: pd.Series, arms: pd.DataFrame, *, control: str, days: int) -> str:
    """Say by how much the protocol changed delinquency, and whether chance explains it.

    Parameters
    ----------
    line : Series
        difference, lower, upper, line and arm, as ``PreDueEffect.line``.
    arms : DataFrame
        arm, delinquency_rate, n_delinquent.
    control : str
        Name of the control arm.
    days : int
        Days past due that make an instalment delinquent.
    """
    table = dict(zip(arms["arm"], arms["delinquency_rate"], strict=True))
    if arms["n_delinquent"].between(1, MINIMUM_CELL_COUNT - 1).any():
        return "An arm has too few delinquent instalments for its share to be shown."
    rates = [format_share(table[a]) for a in (line["arm"], control)]
    points = f"{abs(100 * line['difference']):.1f}"
    ends = sorted([100 * line["lower"], 100 * line["upper"]])
    way = "fewer" if line["difference"] < 0 else "more"
    sure = "Chance does not explain it." if ends[0] * ends[1] > 0 else "Chance may explain it."
    hang = ", with the instalments of one obligor hanging together" if line["line"] == "clustered" else ""
    interval = f"{ends[0]:.1f} to {ends[1]:.1f}".replace("-", "\u2212")
    return (
        f"Of the instalments assigned to the protocol {rates[0]} were not paid in full {days} days after their due "
        f"date, of the control's {rates[1]}: {points} percentage points {way} (interval of the difference "
        f"{interval}{hang}). {sure}"
    )


def sentence_claim(claim: pd.DataFrame, line: pd.Series) -> str:
    """Say whether a claimed reduction is compatible with what was observed.

    Parameters
    ----------
    claim : DataFrame
        claimed_reduction and verdict, as ``PreDueEffect.claim``; may be empty.
    line : Series
        relative_reduction, reduction_lower, reduction_upper.
    """
    if claim.empty:
        return ""
    row = claim.iloc[0]
    claimed = format_share(row["claimed_reduction"], digits=0)
    if row["verdict"] == "cannot be judged" or is_missing(line["relative_reduction"]):
        return f"Whether delinquency falls by {claimed}, as is claimed, cannot be judged."
    found = (
        f"{format_share(line['relative_reduction'])}{interval_words(line['reduction_lower'], line['reduction_upper'])}"
    )
    verdict = {
        "not excluded": f"The data do not exclude a reduction of {claimed}, as is claimed.",
        "too high": f"A reduction of {claimed}, as is claimed, is more than the data allow.",
        "too low": f"A reduction of {claimed}, as is claimed, is less than the data show.",
    }[str(row["verdict"])]
    return f"The protocol prevented {found} of the control's delinquency. {verdict}"


def sentence_sample_size(sizes: pd.DataFrame, *, power: float = 0.8) -> str:
    """Say how many instalments it takes to see a reduction by a tenth and by a quarter.

    Parameters
    ----------
    sizes : DataFrame
        relative_reduction and n_per_arm_clustered, as ``PreDueEffect.sample_sizes``.
    power : float
        The power that they were worked out for.
    """
    known = sizes[sizes["n_per_arm_clustered"].notna()]
    if known.empty:
        return "Without any delinquent instalment in the control, no sample size can be told."
    parts = [
        f"{format_share(row['relative_reduction'], digits=0)} takes {format_count(row['n_per_arm_clustered'])}"
        for _, row in known.iterrows()
    ]
    return (
        f"To be seen with a probability of {format_share(power, digits=0)}, a reduction by {', by '.join(parts)} "
        "instalments an arm."
    )


def sentence_counted(counted: pd.DataFrame) -> str:
    """Say how many instalments count and why the others do not.

    Parameters
    ----------
    counted : DataFrame
        what and n_instalments; the first row are those that count.
    """
    first, others = counted.iloc[0], counted.iloc[1:]
    left = [
        f"{format_cell(row['n_instalments'], words=True)} {_OUT.get(row['what'], row['what'])}"
        for _, row in others[others["n_instalments"] > 0].iterrows()
    ]
    rest = f" Left out of every arm: {'; '.join(left)}." if left else ""
    return f"{number_of(int(first['n_instalments']), 'instalment counts', 'instalments count')}.{rest}"


_OUT = {
    "window not over at the reporting date": "whose days are not over yet",
    "fell due before the protocol could act": "that fell due before the protocol could act",
    "fell due after the experiment": "that fell due after the experiment",
    "further instalment of the facility": "that were not the first of their facility",
}
