"""The worksheet of single episodes, for an auditor who recomputes a realised LGD by hand.

It lists every cash flow of an episode, those that do not count with the reason why, and adds up the parts of the loss a
second time, from the listed rows and apart from the ledger's own sums, so that the two can be compared. It holds no
name and no number of a person: an episode is told by its key alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.episodes._allocation import TABLE as INDIRECT_COSTS
from recoverykit.episodes._cures import CURE_KIND
from recoverykit.episodes.ledger import LedgerTables
from recoverykit.errors import ContractError, InsufficientDataError, Violation
from recoverykit.vocabulary import COST_KINDS, DAYS_PER_YEAR, NEUTRAL_KINDS, RECOVERY_KINDS, CashFlowKind

__all__ = ["LINE_COLUMNS", "TOTAL_COLUMNS", "EpisodeWorksheet", "episode_worksheet"]

LINE_COLUMNS = (
    *("episode_id", "cash_flow_date", "kind", "part", "amount", "is_counted", "remark", "days_since_default"),
    *("is_discounted", "discount_years", "discount_rate", "discount_factor", "present_value_amount"),
)
TOTAL_COLUMNS = (
    *("episode_id", "default_date", "outcome", "outcome_date", "is_closed", "is_late_entry", "ead", "base_rate"),
    *("discount_rate", "cost_present_value_amount", "drawing_present_value_amount"),
    *("recovery_present_value_amount", "cure_present_value_amount", "loss_amount", "denominator_amount"),
    *("raw_lgd", "floored_lgd", "ledger_loss_amount", "ledger_lgd"),
)
#: What each kind of cash flow is a part of; a neutral one is owed, and neither paid nor lost.
_PARTS = {
    **{kind.value: "recovery" for kind in RECOVERY_KINDS},
    **{kind.value: "cost" for kind in COST_KINDS},
    **{kind.value: "neutral" for kind in NEUTRAL_KINDS},
    CashFlowKind.DRAWING.value: "drawing",
    CURE_KIND: "cure",
}
_IN_FULL = "not in arrears: counts in full"
_SHARE = "share of a total of indirect costs"
_NEUTRAL = "raises what is owed, neither exposure nor loss"
_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeWorksheet:
    """What an auditor needs to recompute the LGD of some episodes.

    Attributes
    ----------
    totals : DataFrame
        One row per episode in the order asked for; columns ``TOTAL_COLUMNS``. Present values in currency, none
        negative; loss_amount = ead + costs + drawings - recoveries - cure; raw_lgd = loss_amount /
        denominator_amount, floored_lgd not below the policy's floor. ``ledger_loss_amount`` and ``ledger_lgd`` are the
        ledger's own figures. An open episode, and one known from a later day than its default, has an LGD to date only.
    lines : DataFrame
        One row per cash flow, whether it counts or not, by episode and date; columns ``LINE_COLUMNS``.
        ``present_value_amount`` is amount x discount factor, without a sign, and 0 where the flow does not count.
    rules : DataFrame
        The policy: rule, value, meaning.
    policy_name : str
        Its name.
    reporting_date : Timestamp
        The date as of which everything is known.
    """

    totals: pd.DataFrame
    lines: pd.DataFrame
    rules: pd.DataFrame
    policy_name: str
    reporting_date: pd.Timestamp


def episode_worksheet(tables: LedgerTables, episode_ids: Sequence[str]) -> EpisodeWorksheet:
    """Return the worksheet of some episodes.

    Parameters
    ----------
    tables : LedgerTables
        As from :func:`recoverykit.episodes.ledger.build_ledger`, of the whole book: indirect costs are spread over all.
    episode_ids : sequence of str
        The episodes, each once.

    Returns
    -------
    EpisodeWorksheet
        Totals, lines and rules.

    Raises
    ------
    ContractError
        When an episode is not in the ledger, or is named twice.
    InsufficientDataError
        When no episode is named, or one of them has no discount rate, so that its LGD is not known.

    Examples
    --------
    >>> from recoverykit.episodes.ledger import LedgerPolicy, build_ledger
    >>> episodes = pd.DataFrame({"episode_id": ["A#1"], "facility_id": ["A"], "obligor_id": ["O"],
    ...     "default_date": [pd.Timestamp("2023-01-31")], "outcome": ["liquidated"], "ead": [1000.0],
    ...     "outcome_date": [pd.Timestamp("2024-01-31")], "outcome_balance_amount": [None],
    ...     "months_in_default": [12], "observed_months": [24], "entry_months": [0]})
    >>> flows = pd.DataFrame({"facility_id": ["A", "A"], "cash_flow_date": pd.to_datetime(["2024-01-31", "2022-06-30"]),
    ...     "amount": [900.0, 20.0], "kind": ["collateral", "repayment"]})
    >>> policy = LedgerPolicy(discount_rate=0.05)
    >>> sheet = episode_worksheet(build_ledger(episodes, flows, reporting_date="2025-01-31", policy=policy), ["A#1"])
    >>> sheet.totals[["ead", "recovery_present_value_amount", "raw_lgd"]].round(4).to_numpy().tolist()
    [[1000.0, 857.1429, 0.1429]]
    """
    ids = list(episode_ids)
    if not ids:
        raise InsufficientDataError("no episode is named; give the episode_id of those to recompute")
    figures = tables.worksheet.filter(tables.worksheet.episode_id.isin(ids)).to_pandas()
    _check(ids, figures)
    facts = tables.episodes.filter(tables.episodes.episode_id.isin(ids))
    facts = facts.select("episode_id", "default_date", "outcome", "outcome_date").to_pandas()
    episodes = figures.merge(facts, on="episode_id").set_index("episode_id").loc[ids].reset_index()
    drafts = tables.lines.filter(tables.lines.episode_id.isin(ids)).to_pandas()
    lines = _lines(drafts, episodes)
    rules = tables.policy.to_frame()
    totals = _totals(episodes, lines, tables.policy.drawings, tables.policy.realised_lgd_floor)
    return EpisodeWorksheet(totals, lines, rules, tables.policy.name, pd.Timestamp(tables.reporting_date))


def _check(ids: list[str], figures: pd.DataFrame) -> None:
    """Refuse episodes that are not there, named twice, or without a discount rate."""
    unknown = sorted(set(ids) - set(figures["episode_id"]))
    twice = sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else []
    found = [
        Violation("worksheet", rule, len(names), tuple(map(str, names[:_SHOWN])))
        for rule, names in (
            ("every episode_id must be one of the ledger's", unknown),
            ("an episode_id must not be repeated", twice),
        )
        if names
    ]
    if found:
        raise ContractError(found)
    unrated = figures.loc[figures["discount_rate"].isna(), "episode_id"]
    if len(unrated):
        raise InsufficientDataError(
            f"{len(unrated)} of the episodes have no discount rate, so that their LGD is not known: "
            f"{', '.join(unrated.head(_SHOWN))}; leave them out or give their rate"
        )


def _lines(drafts: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    """Return every cash flow in the auditor's columns, and discount it a second time."""
    place = pd.Series(np.arange(len(episodes)), index=episodes["episode_id"])
    lines = drafts.assign(place=drafts["episode_id"].map(place), is_counted=drafts["reason"] == "")
    order = ["place", "cash_flow_date", "kind", "amount", "is_discounted", "source"]
    lines = lines.sort_values(order, ascending=[True] * 4 + [False, True], ignore_index=True)
    dates = ["cash_flow_date", "default_date"]
    lines = lines.astype(dict.fromkeys(dates, "datetime64[ns]"))
    lines["part"] = lines["kind"].map(_PARTS)
    lines["remark"] = np.select(
        [~lines["is_counted"], ~lines["is_discounted"], lines["source"] == INDIRECT_COSTS, lines["part"] == "neutral"],
        [lines["reason"], _IN_FULL, _SHARE, _NEUTRAL],
        "",
    )
    lines["days_since_default"] = (lines["cash_flow_date"] - lines["default_date"]).dt.days
    lines["discount_years"] = np.where(lines["is_discounted"], lines["days_since_default"] / DAYS_PER_YEAR, 0.0)
    lines["discount_rate"] = lines["episode_id"].map(episodes.set_index("episode_id")["discount_rate"])
    lines["discount_factor"] = (1.0 + lines["discount_rate"]) ** -lines["discount_years"]
    has_effect = lines["is_counted"] & (lines["part"] != "neutral")
    lines["present_value_amount"] = (lines["amount"] * lines["discount_factor"]).where(has_effect, 0.0)
    return lines[list(LINE_COLUMNS)]


def _totals(episodes: pd.DataFrame, lines: pd.DataFrame, drawings: str, floor: float | None) -> pd.DataFrame:
    """Add up the parts of each episode's loss from its lines, beside the ledger's own figures."""
    sums = lines.pivot_table(index="episode_id", columns="part", values="present_value_amount", aggfunc="sum")
    sums = sums.reindex(index=episodes["episode_id"], columns=["cost", "drawing", "recovery", "cure"]).fillna(0.0)
    parts = {part: sums[part].to_numpy(dtype=float) for part in sums.columns}
    totals = episodes.astype({"default_date": "datetime64[ns]", "outcome_date": "datetime64[ns]"})
    loss = totals["ead"] + parts["cost"] + parts["drawing"] - parts["recovery"] - parts["cure"]
    exposure = totals["ead"] + (parts["drawing"] if drawings == "both" else 0.0)
    raw = loss / exposure
    totals = totals.assign(
        **{f"{part}_present_value_amount": amounts for part, amounts in parts.items()},
        ledger_loss_amount=totals["ead"] - totals["present_value_amount"],
        ledger_lgd=totals["lgd_to_date"],
        loss_amount=loss,
        denominator_amount=exposure,
        raw_lgd=raw,
        floored_lgd=raw if floor is None else raw.clip(lower=floor),
    )
    return totals[list(TOTAL_COLUMNS)]
