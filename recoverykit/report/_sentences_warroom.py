"""Sentences of the war room: the morning in words, without anybody's name."""

import pandas as pd

from recoverykit.report._small_cells import bridge_for_page, format_total, is_small
from recoverykit.report.formats import capital, format_cell, format_count, format_date, format_money
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

_FEW = f"fewer than {MINIMUM_CELL_COUNT}"
_STEPS = {
    "entered": ("entered", "entered"),
    "cured": ("was cured", "were cured"),
    "paid": ("was paid off", "were paid off"),
    "closed": ("was closed", "were closed"),
    "left": ("left", "left"),
}


def sentence_morning(changes: pd.DataFrame, *, as_of: object, currency: str = "") -> str:
    r"""Say how many cases there are and how they changed since the day before.

    Parameters
    ----------
    changes : DataFrame
        what, n_cases, overdue_amount, as ``WarRoom.changes``; steps of too few cases are told together.
    as_of : date-like
        The day.
    currency : str
        Code of the currency.

    Examples
    --------
    >>> rows = {"yesterday": 100, "entered": 20, "cured": -12, "paid": 0, "closed": -15,
    ...         "change of those that stayed": 0, "today": 93}
    >>> table = pd.DataFrame({"what": rows, "n_cases": rows}).assign(what=list(rows), overdue_amount=1000.0)
    >>> text = sentence_morning(table, as_of="2026-09-30", currency="USD")
    >>> print(text.replace("\u00a0", " "))  # doctest: +NORMALIZE_WHITESPACE
    At the end of 30 September 2026 there are 93 cases with USD 1,000 overdue, 100 the day before: 20 entered, 12 were
    cured, 15 were closed.
    """
    table = bridge_for_page(changes)
    n_cases = {str(what): int(count) for what, count in zip(table["what"], table["n_cases"], strict=True)}
    today = n_cases["today"]
    overdue = f" with {format_money(float(table['overdue_amount'].iloc[-1]), currency)} overdue"
    if is_small(today):
        overdue = ""
    steps = {what: count for what, count in n_cases.items() if what in (*_STEPS, "net change")}
    told = [f"{format_count(abs(n))} {_STEPS[what][abs(n) != 1]}" for what, n in steps.items() if n and what in _STEPS]
    if "net change" in steps:
        told = ["too few entered or left to be told apart"]
    before = format_cell(n_cases["yesterday"], words=True)
    cases = f"{format_cell(today, words=True) if today else 'no'} cases"
    return (
        f"At the end of {format_date(as_of)} there are {cases}{overdue}, "
        f"{before} the day before: {', '.join(told) or 'nobody entered or left'}."
    )


def sentence_follow_ups(follow_ups: pd.DataFrame) -> str:
    """Say how many steps are overdue and due today, and which rule has most overdue.

    Parameters
    ----------
    follow_ups : DataFrame
        rule, n_overdue, n_due, n_new, as ``WarRoom.follow_ups``.
    """
    late, today, new = (int(follow_ups[f"n_{state}"].sum()) for state in ("overdue", "due", "new"))
    if not late and not today:
        return "No step is overdue or due today."
    worst = follow_ups.loc[follow_ups["n_overdue"].idxmax()]
    most = f", the most by the rule \u201c{str(worst['rule']).replace('_', ' ')}\u201d" if late else ""
    total = {state: format_total(follow_ups[f"n_{state}"]).replace("<10", _FEW) for state in ("overdue", "due", "new")}
    due = f"{total['due']} are" if today else "none is"
    # One step reads as a few do: a singular would tell the number that is withheld.
    return (
        f"{capital(total['overdue']) if late else 'No'} steps are overdue{most}; "
        f"{due} due today. "
        f"{capital(total['new']) if new else 'No'} steps were not open the day before."
    )


def sentence_promises_due(promises: pd.DataFrame, *, currency: str = "") -> str:
    """Say how many unkept promises fall due today and this week, and how many turned out broken.

    Parameters
    ----------
    promises : DataFrame
        what, n_promises, promised_amount, as ``WarRoom.promises``; amounts of too few promises are withheld.
    currency : str
        Code of the currency.
    """
    counts = dict(zip(promises["what"], promises["n_promises"], strict=True))
    amounts = dict(zip(promises["what"], promises["promised_amount"], strict=True))

    def told(what: str) -> str:
        n = int(counts[what])
        if n == 0:
            return "none"
        amount = f" over {format_money(amounts[what], currency)}" if n >= MINIMUM_CELL_COUNT else ""
        return f"{format_cell(n, words=True)}{amount}"

    return (
        f"Promises that are not kept yet: {told('due today')} falling due today, {told('due later this week')} later "
        f"this week, {told('in their days of grace')} in the days of grace. Since the day before "
        f"{told('broken since yesterday')} turned out broken."
    )
