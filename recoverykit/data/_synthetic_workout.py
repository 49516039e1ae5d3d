"""Payments, proceeds and costs of the default episodes, and the balance that follows from them.

Money is whole cents, so that every balance is the sum of its cash flows without a remainder. Flows run on to the end of
each episode and beyond the reporting date: the ultimate loss is known, and the tables are cut afterwards. It knows
nothing about the tables.
"""

from dataclasses import dataclass, fields

import numpy as np

from recoverykit.data._synthetic_book import Array, Codes, Facilities, by_product
from recoverykit.data._synthetic_episodes import Episodes
from recoverykit.data._synthetic_macro import Economy
from recoverykit.data._synthetic_paths import Flags, Paths
from recoverykit.data._synthetic_proceeds import Proceeds
from recoverykit.data._synthetic_truth import (
    COST_TO_SELL,
    CURED,
    LEGAL_COST_SHARE,
    LIQUIDATED,
    PAYING_DECLINE,
    PAYING_OTHERWISE,
    PAYING_WHEN_CURING,
    PRODUCT_NAMES,
    PRODUCTS,
    REPAID,
    SMALL_BUSINESS,
    TRICKLE_CHANCE,
    TRICKLE_MONTHS,
    WRITTEN_OFF,
)
from recoverykit.vocabulary import CashFlowKind

KINDS = tuple(CashFlowKind)
#: Payment days within a month; month ends stand for the last day.
MONTH_END, _COST_DAY, _FEE_DAY = 99, 15, 16
#: Instalments that count as past due at most, and the part of the balance that partial payments leave.
_MOST_INSTALMENTS, _LEFT_BY_PAYMENTS = 18, 0.3
_SMALLEST_INSTALMENT = {"retail": 4_000, "other": 20_000}
_MATERIAL_AMOUNT = {"retail": 10_000, "other": 50_000}
_LATE_FEE_MONTHS, _DRAWING_MONTHS, _DRAWING_CHANCE = 3, 3, 0.10
_HIGHEST_LEGAL_COST = 600_000


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """Cash flows as arrays of shape (n_flows,): episode, month since default, day of the month, kind, cents."""

    episode: Codes
    month: Codes
    day: Codes
    kind: Codes
    cents: Codes


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What was agreed for each episode's facility: cents, monthly interest and thresholds, of shape (n_episodes,)."""

    ead: Codes
    instalment: Codes
    monthly_rate: Array
    material: Codes
    late_fee: Codes
    monthly_cost: Codes
    draws: Flags

    def take(self, where: Codes) -> "Terms":
        """Return the terms at some positions, which may repeat."""
        return Terms(**{field.name: getattr(self, field.name)[where] for field in fields(self)})


class FlowList:
    """Collects cash flows month by month; amounts of zero are left out."""

    def __init__(self) -> None:
        self._parts: list[tuple[Codes, ...]] = []

    def add(self, episode: Codes, month: int | Codes, day: int | Codes, kind: CashFlowKind, cents: Codes) -> None:
        """Add one flow per episode where the amount is positive."""
        where = np.flatnonzero(cents > 0)
        columns = (episode, month, day, np.int64(KINDS.index(kind)), cents)
        self._parts.append(tuple(np.broadcast_to(c, cents.shape)[where].astype(np.int64) for c in columns))

    def flows(self) -> Flows:
        """Return all flows, in the order in which they were added."""
        if not self._parts:
            return Flows(*(np.zeros(0, dtype=np.int64) for _ in range(5)))
        return Flows(*(np.concatenate(column) for column in zip(*self._parts, strict=True)))


def agree_terms(episodes: Episodes, facilities: Facilities, ead: Codes) -> Terms:
    """Return instalment, interest and thresholds of each episode."""
    product = facilities.product[episodes.facility]
    eir = facilities.eir[episodes.facility]
    rate = (1 + eir) ** (1 / 12) - 1
    age = episodes.default_month - facilities.origination_month[episodes.facility]
    left = np.maximum(facilities.term_months[episodes.facility] - age, 12)
    annuity = rate / (1 - (1 + rate) ** -left)
    share = np.where(facilities.revolving[episodes.facility], np.where(eir > 0.15, 0.03, rate + 0.002), annuity)
    business = product == SMALL_BUSINESS
    smallest = np.where(business, _SMALLEST_INSTALMENT["other"], _SMALLEST_INSTALMENT["retail"])
    return Terms(
        ead=ead,
        instalment=np.maximum(np.round(share * ead).astype(np.int64), smallest),
        monthly_rate=rate,
        material=np.where(business, _MATERIAL_AMOUNT["other"], _MATERIAL_AMOUNT["retail"]),
        late_fee=np.where(business, 7_500, 3_500),
        monthly_cost=np.round(100 * by_product("monthly_cost")[product]).astype(np.int64),
        draws=np.isin(product, [PRODUCT_NAMES.index(p.name) for p in PRODUCTS if p.revolving]),
    )


def past_due_amount(terms: Terms, days: Codes, balance: Codes, *, material: bool) -> Codes:
    """Return the amount past due in cents; above both thresholds from 90 days on where it must be material."""
    instalments = np.minimum(np.where(days > 0, np.maximum(days // 30, 1), 0), _MOST_INSTALMENTS)
    due = np.minimum(terms.instalment * instalments, balance * 6 // 10)
    if material:
        threshold = np.maximum(terms.material + 100, np.ceil(balance * 0.0105).astype(np.int64))
        due = np.where(days >= 90, np.maximum(due, threshold), due)
    return np.minimum(due, balance)


def simulate_workout(
    rng: np.random.Generator,
    *,
    episodes: Episodes,
    paths: Paths,
    terms: Terms,
    proceeds: Proceeds,
    economy: Economy,
) -> tuple[Codes, Flows]:
    """Run all episodes month by month to their ultimate outcome.

    Returns
    -------
    balance : ndarray of int, shape (n_episodes, longest + 1)
        Cents at each month end since default; 0 from a closing outcome on, constant after a cure.
    flows : Flows
        All cash flows, after the outcome and after the reporting date too.
    """
    longest = int(episodes.months.max(initial=0))
    balance = np.repeat(terms.ead[:, None], longest + 1, axis=1)
    owed = terms.ead.copy()
    lost = np.zeros(len(episodes), dtype=np.int64)
    collected = FlowList()
    first_calendar_month = int(economy.first_month_end.month)
    for month in range(1, longest + 1):
        running = np.flatnonzero(episodes.months >= month)
        state = _Month(running, month, owed[running], rng.random((len(running), 5)), np.zeros_like(running))
        quarter = (first_calendar_month + episodes.default_month[running] + month) % 3 == 0
        _charge(state, terms, paths, collected)
        _receive(state, terms, paths, episodes, collected)
        _close(state, proceeds, episodes, collected)
        _spend(state, terms, paths, quarter, collected)
        owed[running] = state.owed
        balance[:, month] = owed
        lost[running] += state.lost
    _trickle(rng, episodes, terms, lost, collected)
    return balance, collected.flows()


@dataclass(slots=True, eq=False)
class _Month:
    """The running episodes in one month since default: positions, balance, random numbers, amount charged off."""

    running: Codes
    month: int
    owed: Codes
    uniform: Array
    lost: Codes

    @property
    def day(self) -> Codes:
        """Day of the month of a payment, 1 to 28."""
        return 1 + np.floor(self.uniform[:, 0] * 28).astype(np.int64)


def _charge(state: _Month, terms: Terms, paths: Paths, collected: FlowList) -> None:
    """Add interest, late fees and drawings to the balance."""
    at, month = state.running, state.month
    trigger = paths.is_trigger(np.full(len(paths.last_trigger), month))[at]
    interest = np.round(state.owed * terms.monthly_rate[at]).astype(np.int64)
    fee = np.where(trigger & (month <= _LATE_FEE_MONTHS), terms.late_fee[at], 0)
    drawn = terms.draws[at] & (month <= _DRAWING_MONTHS) & (state.uniform[:, 1] < _DRAWING_CHANCE)
    drawing = np.where(drawn, np.round(terms.ead[at] * (0.005 + 0.03 * state.uniform[:, 2])), 0).astype(np.int64)
    collected.add(at, month, MONTH_END, CashFlowKind.INTEREST, interest)
    collected.add(at, month, _FEE_DAY, CashFlowKind.LATE_FEE, fee)
    collected.add(at, month, state.day, CashFlowKind.DRAWING, drawing)
    state.owed = state.owed + interest + fee + drawing


def _receive(state: _Month, terms: Terms, paths: Paths, episodes: Episodes, collected: FlowList) -> None:
    """Take in instalments, arrears and partial payments, but not what ends the episode."""
    at, month = state.running, state.month
    every = np.full(len(paths.last_trigger), month)
    trigger, cleared = paths.is_trigger(every)[at], paths.is_first_after_stop(every)[at]
    forgiven = paths.grant[at] == month
    cures = episodes.outcome[at] == CURED
    chance = np.where(cures, PAYING_WHEN_CURING, PAYING_OTHERWISE) * PAYING_DECLINE ** (month - 1)
    part = np.where(state.uniform[:, 3] < chance, 0.25 + 0.75 * state.uniform[:, 4], 0.0)
    days_before = paths.days_past_due(every - 1)[at]
    arrears = np.minimum(terms.instalment[at] * np.minimum(days_before // 30, _MOST_INSTALMENTS), state.owed * 4 // 10)
    payment = np.where(trigger, np.round(part * terms.instalment[at]), terms.instalment[at]).astype(np.int64)
    payment = payment + np.where(cleared & ~forgiven, arrears, 0)
    floor = np.maximum(np.round(terms.ead[at] * _LEFT_BY_PAYMENTS).astype(np.int64), 2 * terms.material[at])
    payment = np.clip(payment, 0, np.maximum(state.owed - floor, 0))
    ends = (episodes.months[at] == month) & ~cures
    payment = np.where(ends, np.where(episodes.outcome[at] == REPAID, state.owed, 0), payment)
    collected.add(at, month, state.day, CashFlowKind.REPAYMENT, payment)
    state.owed = state.owed - payment


def _close(state: _Month, proceeds: Proceeds, episodes: Episodes, collected: FlowList) -> None:
    """Take in proceeds of collateral, guarantees and sales, and charge off what is left."""
    at, month = state.running, state.month
    outcome, to_go = episodes.outcome[at], episodes.months[at] - month
    early = (to_go == 1) & (outcome == LIQUIDATED)
    due = np.where(early, proceeds.collateral_early[at], np.where(to_go == 0, proceeds.collateral[at], 0))
    collateral = np.minimum(due, np.where(early, state.owed * 3 // 10, state.owed))
    collected.add(at, month, state.day, CashFlowKind.COLLATERAL, collateral)
    to_sell = np.round(COST_TO_SELL * collateral).astype(np.int64)
    collected.add(at, month, state.day, CashFlowKind.DIRECT_COST, to_sell)
    owed = state.owed - collateral
    ends = (to_go == 0) & (outcome != CURED)
    guarantee = np.where(ends, np.round(proceeds.guarantee_share[at] * owed), 0).astype(np.int64)
    sale = np.where(ends, np.round(proceeds.sale_share[at] * owed), 0).astype(np.int64)
    collected.add(at, month, state.day, CashFlowKind.GUARANTEE, guarantee)
    collected.add(at, month, state.day, CashFlowKind.SALE, sale)
    state.lost = np.where(ends, owed - guarantee - sale, 0)
    state.owed = np.where(ends, 0, owed)


def _spend(state: _Month, terms: Terms, paths: Paths, quarter: Flags, collected: FlowList) -> None:
    """Book direct costs in trigger months, legal costs once, and indirect costs at quarter ends."""
    at, month = state.running, state.month
    trigger = paths.is_trigger(np.full(len(paths.last_trigger), month))[at]
    cost = terms.monthly_cost[at]
    collected.add(at, month, _COST_DAY, CashFlowKind.DIRECT_COST, np.where(trigger, cost, 0))
    legal = np.minimum(np.round(LEGAL_COST_SHARE * terms.ead[at]), _HIGHEST_LEGAL_COST).astype(np.int64)
    files_suit = trigger & (month % 12 == 6)
    collected.add(at, month, state.day, CashFlowKind.DIRECT_COST, np.where(files_suit, legal, 0))
    collected.add(at, month, MONTH_END, CashFlowKind.INDIRECT_COST, np.where(quarter, cost, 0))


def _trickle(rng: np.random.Generator, episodes: Episodes, terms: Terms, lost: Codes, collected: FlowList) -> None:
    """Add small repayments after write-offs and liquidations that left much unpaid."""
    uniform = rng.random((len(episodes), TRICKLE_MONTHS, 3))
    owes = np.isin(episodes.outcome, [WRITTEN_OFF, LIQUIDATED]) & (lost > terms.ead // 5)
    for later in range(TRICKLE_MONTHS):
        pays = owes & (uniform[:, later, 0] < TRICKLE_CHANCE * 0.93**later)
        cents = np.where(pays, np.round(terms.ead * (0.002 + 0.010 * uniform[:, later, 1])), 0).astype(np.int64)
        day = 1 + np.floor(uniform[:, later, 2] * 28).astype(np.int64)
        collected.add(np.arange(len(episodes)), episodes.months + later + 1, day, CashFlowKind.REPAYMENT, cents)
