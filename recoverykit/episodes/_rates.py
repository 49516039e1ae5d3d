"""The discount rate of each episode: one for all, the facility's own, a quote of its default date, or its segment's.

r = max(floor, base + add-on). Knows rates and dates, and nothing of cash flows.
"""

import ibis
import ibis.expr.types as ir
import pandas as pd

from recoverykit.episodes._side_tables import RATE, checked, refuse_unmatched
from recoverykit.episodes._tables import Frame, check_columns
from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.errors import ContractError, Violation

#: What a ledger reads of an episode. The facility's own columns may have any name, and stay behind, so that none is
#: taken for one of the ledger's.
_FACTS = (
    *("episode_id", "facility_id", "obligor_id", "default_date", "outcome", "outcome_date", "ead"),
    *("outcome_balance_amount", "months_in_default", "observed_months", "entry_months"),
)


def with_rate(
    episodes: ir.Table, policy: LedgerPolicy, *, reference_rates: Frame | None, segment_rates: Frame | None
) -> ir.Table:
    """Return episodes with ``base_rate`` and ``rate``, per year and decimal; null where a facility's own rate is.

    Raises
    ------
    ValueError
        When the episodes lack a column that the policy discounts by.
    ContractError
        When the table that the policy needs is missing or broken, or has no rate for an episode.
    """
    facts = [name for name in _FACTS if name in episodes.columns]
    if policy.discount_rate == "eir":
        check_columns(episodes, ["eir"], argument="discount_rate")
        rated = episodes.select(*facts, base_rate=episodes.eir.cast("float64"))
    elif policy.discount_rate == "reference":
        rated = _quoted(episodes.select(*facts), _given(reference_rates, "reference_rates", "date and rate"), policy)
    elif policy.discount_rate == "segment":
        given = _given(segment_rates, "segment_rates", "the segment columns and rate")
        rated = _by_segment(episodes, facts, given)
    else:
        rated = episodes.select(*facts, base_rate=ibis.literal(float(policy.discount_rate)))
    rate = rated.base_rate + policy.discount_add_on
    if policy.discount_floor is not None:
        # Not `greatest`, which would make a floor of a rate that nobody knows.
        rate = ibis.ifelse(rate < policy.discount_floor, policy.discount_floor, rate)
    return rated.mutate(rate=rate)


def _given(frame: Frame | None, table: str, columns: str) -> Frame:
    if frame is None:
        raise ContractError([Violation(table, f"the policy discounts by it; give a table with the columns {columns}")])
    return frame


def _quoted(episodes: ir.Table, reference_rates: Frame, policy: LedgerPolicy) -> ir.Table:
    """Join the latest quote on or before the default date, unless it is too old."""
    days = policy.reference_rate_maximum_age_days
    quotes = checked(reference_rates, table="reference_rates", dates=["date"], numbers={"rate": RATE}, key=["date"])
    if quotes.empty:
        raise ContractError([Violation("reference_rates", "the table is empty")])
    by_day = quotes.set_index("date")["rate"].sort_index()
    # One row per day, so that the join is one of equal dates, which a million episodes pass in no time.
    every_day = pd.date_range(by_day.index[0], by_day.index[-1] + pd.Timedelta(days=days), name="quoted_on")
    daily = by_day.reindex(every_day).ffill(limit=days) if days else by_day.rename_axis("quoted_on")
    table = ibis.memtable(daily.dropna().rename("base_rate").reset_index()).cast({"quoted_on": "date"})
    rated = episodes.left_join(table, episodes.default_date == table.quoted_on).drop("quoted_on")
    rule = f"needs a quote at most {days} days before each default date"
    refuse_unmatched(rated.filter(rated.base_rate.isnull()), table="reference_rates", rule=rule)
    return rated


def _by_segment(episodes: ir.Table, facts: list[str], segment_rates: Frame) -> ir.Table:
    """Join the rate of an episode's segment; every column of the table but ``rate`` tells segments apart."""
    names = [str(name) for name in segment_rates.columns if name != "rate"]
    if not names:
        raise ContractError([Violation("segment_rates", "needs a column of the episodes that tells segments apart")])
    check_columns(episodes, names, argument="segment_rates")
    rates = checked(segment_rates, table="segment_rates", texts=names, numbers={"rate": RATE}, key=names)
    rates[names] = rates[names].astype(str)
    # Names of our own on both sides, whatever the segment columns are called.
    told = {name: f"told_{place}" for place, name in enumerate(names)}
    of_rate = {name: f"of_rate_{place}" for place, name in enumerate(names)}
    table = ibis.memtable(rates.rename(columns={"rate": "base_rate", **of_rate}))
    segments = {told[name]: episodes[name].cast("string") for name in names}
    apart = episodes.select(*facts, **segments)
    rated = apart.left_join(table, [apart[told[name]] == table[of_rate[name]] for name in names])
    rated = rated.select(*facts, "base_rate")
    rule = f"needs a rate for every {' and '.join(names)} that the episodes have"
    refuse_unmatched(rated.filter(rated.base_rate.isnull()), table="segment_rates", rule=rule)
    return rated
