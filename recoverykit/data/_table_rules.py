"""The rules between rows and between tables: orphans, dates after the reporting date, overlaps, gaps, weights."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data._columns import OPERATION_TABLES, TABLES
from recoverykit.data._row_rules import AFTER_FILING
from recoverykit.data._wording import row_violation, shown, shown_values
from recoverykit.errors import Violation
from recoverykit.vocabulary import FacilityStatus, Outcome

#: How far the weights of the scenarios may add up beside 1: six decimals, as weights are written.
WEIGHT_TOLERANCE = 1e-6
#: The dates of which none may lie after the reporting date. Scenario months may, and days on which something falls due.
DATED = (
    ("facilities", "origination_date"),
    ("status", "month_end"),
    ("episodes", "default_date"),
    ("episodes", "outcome_date"),
    ("cash_flows", "cash_flow_date"),
    ("collateral", "valuation_date"),
    ("instalments", "paid_date"),
    ("assignments", "assigned_date"),
    ("actions", "action_time"),
    ("promises", "promise_date"),
    ("promises", "paid_date"),
    ("court", "filing_date"),
    *(("court", name) for name in AFTER_FILING),
    ("turnover", "month_end"),
)
ORPHANS = ("status", "episodes", "cash_flows", "collateral", *OPERATION_TABLES, "cure_arrears", "indirect_costs")
ONE_DAY = pd.Timedelta(days=1)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Checked:
    """The tables with only the columns that further rules may read.

    Attributes
    ----------
    tables : mapping of str to DataFrame
        Columns that are missing or of the wrong type are left out; so are empty tables.
    reporting_date : Timestamp
        The date as of which everything is known.
    """

    tables: Mapping[str, pd.DataFrame]
    reporting_date: pd.Timestamp

    def has(self, table: str, *columns: str) -> bool:
        """Tell whether a table has all of these columns in a usable state."""
        return table in self.tables and set(columns) <= set(self.tables[table].columns)


def _violation(checked: Checked, table: str, words: str, broken: Mask) -> Iterator[Violation]:
    found = row_violation(table, words, checked.tables[table], TABLES[table].key, broken)
    if found is not None:
        yield found


def orphans(checked: Checked) -> Iterator[Violation]:
    """Find rows of a facility that the table ``facilities`` does not have."""
    if not checked.has("facilities", "facility_id"):
        return
    known = checked.tables["facilities"]["facility_id"]
    for table in ORPHANS:
        if checked.has(table, "facility_id"):
            column = checked.tables[table]["facility_id"]
            broken = (column.notna() & ~column.isin(known)).to_numpy()
            yield from _violation(checked, table, "facility_id must stand in facilities", broken)


def before_everything(checked: Checked) -> Iterator[Violation]:
    """Find a reporting date that lies before every default, or before every month of status."""
    for table, column, what in (("episodes", "default_date", "default"), ("status", "month_end", "month of status")):
        if checked.has(table, column):
            first = checked.tables[table][column].min()
            if pd.notna(first) and first > checked.reporting_date:
                date = shown(checked.reporting_date)
                words = f"the reporting date {date} lies before every {what}, the first is {shown(first)}"
                yield Violation(table, f"{words}; give a later reporting date", len(checked.tables[table]))


def after_reporting_date(checked: Checked) -> Iterator[Violation]:
    """Find rows dated after the reporting date, scenarios excepted."""
    told = {violation.table for violation in before_everything(checked)}
    for table, column in DATED:
        if not checked.has(table, column) or table in told:
            continue
        dates = checked.tables[table][column]
        broken = dates.ge(checked.reporting_date + ONE_DAY).to_numpy()
        words = (
            f"{column} must not lie after the reporting date {shown(checked.reporting_date)}, "
            f"the last is {shown(dates.max())}; cut later rows with `after_reporting_date: cut` or give a later date"
        )
        yield from _violation(checked, table, words, broken)


def late_origination(checked: Checked) -> Iterator[Violation]:
    """Find facilities originated after their first month of status or their first default."""
    if not checked.has("facilities", "facility_id", "origination_date"):
        return
    facilities = checked.tables["facilities"]
    starts = (
        ("status", "month_end", "first month of status"),
        ("episodes", "default_date", "first default"),
        ("instalments", "due_date", "first instalment"),
    )
    for table, column, what in starts:
        if checked.has(table, "facility_id", column):
            first = checked.tables[table].groupby("facility_id", sort=False)[column].min()
            broken = facilities["origination_date"].gt(facilities["facility_id"].map(first)).to_numpy()
            words = f"origination_date must not lie after the {what} of the facility"
            yield from _violation(checked, "facilities", words, broken)


def flows_before_default(checked: Checked) -> Iterator[Violation]:
    """Find cash flows before the first default of a bank-held episode."""
    if checked.has("episodes", "facility_id", "default_date") and checked.has(
        "cash_flows", "facility_id", "cash_flow_date"
    ):
        first = checked.tables["episodes"].groupby("facility_id", sort=False)["default_date"].min()
        flows = checked.tables["cash_flows"]
        broken = flows["cash_flow_date"].lt(flows["facility_id"].map(first)).to_numpy()
        words = "cash_flow_date must not lie before the first default_date of the facility"
        yield from _violation(checked, "cash_flows", words, broken)


def overlaps(checked: Checked) -> Iterator[Violation]:
    """Find episodes that begin before the earlier episode of the same facility has ended."""
    if not checked.has("episodes", "facility_id", "default_date", "outcome", "outcome_date"):
        return
    episodes = checked.tables["episodes"]
    ordered = episodes.sort_values(["facility_id", "default_date"], kind="stable")
    same = ordered["facility_id"].eq(ordered["facility_id"].shift())
    open_before = ordered["outcome"].shift().eq(Outcome.OPEN.value)
    early = ordered["default_date"].lt(ordered["outcome_date"].shift())
    duplicate = ordered["default_date"].eq(ordered["default_date"].shift())
    broken = (same & ~duplicate & (open_before | early)).reindex(episodes.index).to_numpy()
    words = "an episode must not begin before the earlier one of the facility has ended"
    yield from _violation(checked, "episodes", words, broken)


def status_runs(checked: Checked) -> Iterator[Violation]:
    """Find gaps between the months of a facility, and months after its account was closed."""
    if not checked.has("status", "facility_id", "month_end"):
        return
    status = checked.tables["status"]
    facility = pd.factorize(status["facility_id"])[0]
    month = (status["month_end"].dt.year * 12 + status["month_end"].dt.month).to_numpy()
    order = np.lexsort((month, facility))
    same = facility[order][1:] == facility[order][:-1]
    gap = np.zeros(len(status), dtype=bool)
    gap[order[1:]] = same & (np.diff(month[order]) > 1)
    words = "the months of a facility must have no gap; shown are the first months after one"
    yield from _violation(checked, "status", words, gap)
    if checked.has("status", "status"):
        closed = status["status"].ne(FacilityStatus.ACTIVE.value).to_numpy()[order]
        after = np.zeros(len(status), dtype=bool)
        after[order[1:]] = same & closed[:-1] & (np.diff(month[order]) > 0)
        yield from _violation(checked, "status", "no month may follow a status that closes the account", after)


def scenario_weights(checked: Checked) -> Iterator[Violation]:
    """Find scenario weights that change within a scenario or do not add up to 1, and unequal months."""
    if not checked.has("scenarios", "scenario", "weight"):
        return
    scenarios = checked.tables["scenarios"]
    first = scenarios.groupby("scenario")["weight"].transform("first")
    moving = (scenarios["weight"] - first).abs().gt(WEIGHT_TOLERANCE).to_numpy()
    yield from _violation(checked, "scenarios", "weight must be the same in every month of a scenario", moving)
    weights = scenarios.groupby("scenario")["weight"].first()
    if abs(weights.sum() - 1.0) > WEIGHT_TOLERANCE:
        found = " + ".join(f"{weight:g}" for weight in weights)
        words = f"the weights of the scenarios must add up to 1, found {found} = {weights.sum():g}"
        yield Violation("scenarios", words, 0, tuple(f"scenario={shown(name)}" for name in weights.index[:5]))
    yield from _unequal_months(checked)


def segment_rate_keys(checked: Checked) -> Iterator[Violation]:
    """Find rates by segment that no column tells apart, and segments with two rates."""
    if not checked.has("segment_rates", "rate"):
        return
    rates = checked.tables["segment_rates"]
    names = [str(name) for name in rates.columns if name != "rate"]
    if not names:
        yield Violation("segment_rates", "needs a segment column, such as product, that tells the rates apart")
        return
    words = f"each {', '.join(names)} may stand once, found the same in several rows"
    found = row_violation("segment_rates", words, rates, names, rates.duplicated(names, keep=False).to_numpy())
    if found is not None:
        yield found


def _unequal_months(checked: Checked) -> Iterator[Violation]:
    if not checked.has("scenarios", "scenario", "month_end"):
        return
    scenarios = checked.tables["scenarios"].dropna(subset=["scenario", "month_end"])
    month = scenarios["month_end"].dt.to_period("M")
    months = month.groupby(scenarios["scenario"]).agg(["min", "max", "nunique"])
    span = [(last - first).n + 1 for first, last in zip(months["min"], months["max"], strict=True)]
    if len(months.drop_duplicates()) > 1 or months["nunique"].tolist() != span:
        found = shown_values(
            f"{row.Index} {row.min} to {row.max} in {row.nunique} months" for row in months.itertuples()
        )
        yield Violation("scenarios", f"all scenarios must cover the same months without a gap, found {found}")


TableRule = Callable[[Checked], Iterator[Violation]]
#: In the order of the report.
TABLE_RULES: tuple[TableRule, ...] = (
    before_everything,
    after_reporting_date,
    orphans,
    late_origination,
    status_runs,
    overlaps,
    flows_before_default,
    scenario_weights,
    segment_rate_keys,
)


def check_tables_together(checked: Checked) -> list[Violation]:
    """Check every rule between rows and between tables.

    Parameters
    ----------
    checked : Checked
        The usable columns and the reporting date.

    Returns
    -------
    list of Violation
        In the order of the rules.
    """
    return [violation for rule in TABLE_RULES for violation in rule(checked)]
