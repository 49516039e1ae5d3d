"""Tables of the recovery unit in words: a scorecard in one table, and accuracy, packages and court work."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recoverykit.report._small_cells import merge_small
from recoverykit.report.blocks import HtmlBlock
from recoverykit.report.formats import WORD_SPACE, Kind, format_count, format_value, is_missing
from recoverykit.report.tables import WITHHELD, show_table
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

#: Measure -> heading, and how its values are written.
MEASURES: dict[str, tuple[str, Kind]] = {
    "recovery_rate": ("Cash recovered", "share"),
    "target_met_rate": ("Cases at target", "share"),
    "days_to_judgment": ("Days to judgment", "count"),
    "win_rate": ("Won of decided", "share"),
    "promise_kept_rate": ("Promises kept", "share"),
    "brier_score": ("Brier score", "ratio"),
    "calibration_gap": ("Kept less stated", "share"),
    "right_party_rate": ("Right party reached", "share"),
}
_OTHERS = "others"
#: Marks a value on too few cases to compare the unit with others.
_FEW = "*"


def show_scorecards(
    measures: pd.DataFrame, *, caption: str = "What each unit achieved", only: Sequence[str] = tuple(MEASURES)
) -> HtmlBlock:
    r"""Show all measures of all units in one table, each with its interval and the number of cases behind it.

    Parameters
    ----------
    measures : DataFrame
        unit, measure, n_cases, value, lower, upper and is_ranked, from ``UnitScorecards``.
    caption : str
        What the table shows.
    only : sequence of str
        The measures shown, in this order.

    Returns
    -------
    HtmlBlock
        Units by name, never by merit. A value on fewer than ten cases is withheld; one on too few to compare carries a
        star.

    Raises
    ------
    ValueError
        If a measure is unknown.

    Examples
    --------
    >>> rows = {"unit": ["a", "b"], "measure": "win_rate", "n_cases": [40, 5], "value": [0.8, 1.0],
    ...         "lower": [0.64, 0.5], "upper": [0.91, 1.0], "is_ranked": [True, False]}
    >>> print(show_scorecards(pd.DataFrame(rows)).text.replace("\u202f", " ").replace("\u00a0", " "))
    What each unit achieved (* too few cases to compare)
    Unit | Won of decided
    a | 80.0 % (64.0 % to 91.0 %), n 40
    b | –
    """
    if not {*only} <= {*MEASURES}:
        raise ValueError(f"only is {[*only]}; the measures are {', '.join(MEASURES)}")
    names = [name for name in only if (measures["measure"] == name).any()]
    units = sorted(measures.loc[measures["measure"].isin(names), "unit"].unique(), key=str)
    table = pd.DataFrame({"unit": [str(unit) for unit in units]})
    for name in names:
        rows = measures[measures["measure"] == name].set_index("unit")
        table[name] = [_cell(rows.loc[unit], MEASURES[name][1]) if unit in rows.index else WITHHELD for unit in units]
    labels = {"unit": "Unit"} | {name: MEASURES[name][0] for name in names}
    return show_table(table, caption=f"{caption} ({_FEW} too few cases to compare)", labels=labels)


def court_cost_table(costs: pd.DataFrame, *, by: str = "court") -> pd.DataFrame:
    """Return the costs of courts as they may stand on a page beside their total: courts of few cases are merged.

    Parameters
    ----------
    costs : DataFrame
        The column of the groups, n_cases, claim_amount, recovered_amount, cost_amount, net_amount, cost_per_recovered
        and n_unknown, last row the total, from ``court_costs``.
    by : str
        Name of the groups' column.

    Returns
    -------
    DataFrame
        The same columns without n_unknown. A single court of few cases, withheld, would be the total less the others;
        the row ``others`` stands for it and for the next larger ones until it has enough. Its cost_per_recovered is
        missing where an amount of its cases is not known.

    Examples
    --------
    >>> frame = pd.DataFrame({"court": ["a", "b", "c", "all"], "n_cases": [50, 20, 3, 73], "n_unknown": 0})
    >>> money = {"claim_amount": 9.0, "recovered_amount": 4.0, "cost_amount": 1.0, "net_amount": 3.0}
    >>> court_cost_table(frame.assign(**money, cost_per_recovered=0.25))[["court", "n_cases"]].to_numpy().tolist()
    [['a', 50], ['others', 23], ['all', 73]]
    """
    sums = ["n_cases", "claim_amount", "recovered_amount", "cost_amount", "net_amount"]
    whole = costs.iloc[:-1]
    n_known = whole["n_cases"] - whole["n_unknown"]
    # sums rest on the cases of which they are known, a row without any on all its cases
    parts = whole[[by, *sums, "n_unknown"]].assign(rests_on=n_known.where(n_known > 0, whole["n_cases"]))
    merged = merge_small(parts, name_col=by, count_col="rests_on", rest=_OTHERS)
    is_known = merged["n_unknown"] == 0
    ratio = merged["cost_amount"] / merged["recovered_amount"].where(is_known & (merged["recovered_amount"] > 0))
    own = merged[by].map(whole.set_index(by)["cost_per_recovered"])
    merged = merged.assign(cost_per_recovered=own.fillna(ratio))
    # a sum over amounts of which none is known is not nought
    none = (merged[by] == _OTHERS) & (merged["n_unknown"] == merged["n_cases"])
    merged.loc[none, sums[2:]] = np.nan
    shown = [by, *sums, "cost_per_recovered"]
    return pd.concat([merged[shown], costs[shown].tail(1)], ignore_index=True)


def _cell(row: pd.Series, kind: Kind) -> str:
    """Write a value with its interval and its number of cases."""
    if row["n_cases"] < MINIMUM_CELL_COUNT or is_missing(row["value"]):
        return WITHHELD
    limits = [row["lower"], row["upper"]]
    lower, upper = (format_value(limit, kind) for limit in limits)
    interval = f" ({lower} to {upper})" if not any(map(is_missing, limits)) else ""
    if not is_missing(limits[0]) and is_missing(limits[1]):
        interval = f" ({lower} or more)"
    star = "" if row["is_ranked"] else _FEW
    return f"{format_value(row['value'], kind)}{star}{interval}, n{WORD_SPACE}{format_count(row['n_cases'])}"
