"""What collateral, guarantees and the sale of claims bring at the end of a default episode.

Proceeds follow the value at origination, the price index at the outcome, the time in default, unemployment and a
region: a workout that takes long brings less. It knows nothing about payments before the end.
"""

from dataclasses import dataclass, fields

import numpy as np

from recoverykit.data._synthetic_book import Array, Codes, Facilities, pick
from recoverykit.data._synthetic_episodes import Episodes
from recoverykit.data._synthetic_macro import Economy
from recoverykit.data._synthetic_truth import (
    COLLATERAL_KINDS,
    DEPRECIATION,
    GUARANTEE_COVER,
    GUARANTEED_SHARE,
    LIQUIDATED,
    PROCEEDS_NOISE,
    PROCEEDS_PER_MONTH,
    PROCEEDS_PER_UNEMPLOYMENT,
    PROCEEDS_SOUTHWEST,
    PROPERTY_KINDS,
    REGIONS,
    SALE_PRICE_PER_MONTH,
    SALE_PRICE_SECURED,
    SALE_PRICE_UNSECURED,
    SALE_SHARE,
    SMALL_BUSINESS,
    SOLD,
    WRITTEN_OFF,
)
from recoverykit.vocabulary import CollateralKind

_EARLY_SHARE = 0.25
_HIGHEST_SALE_SHARE = 0.92


@dataclass(frozen=True, slots=True, eq=False)
class Proceeds:
    """What the end of each episode brings, of shape (n_episodes,).

    Attributes
    ----------
    collateral, collateral_early : ndarray of int
        Cents in the month of the outcome and in the month before; never more than the balance is taken.
    sale_share, guarantee_share : ndarray of float
        Shares of the balance at the end.
    """

    collateral: Codes
    collateral_early: Codes
    sale_share: Array
    guarantee_share: Array

    def take(self, where: Codes) -> "Proceeds":
        """Return the proceeds of the episodes at some positions."""
        return Proceeds(**{field.name: getattr(self, field.name)[where] for field in fields(self)})


def draw_proceeds(
    rng: np.random.Generator, *, episodes: Episodes, facilities: Facilities, economy: Economy
) -> Proceeds:
    """Draw the proceeds of every episode, whatever its outcome."""
    n = len(episodes)
    at = episodes.facility
    end = episodes.default_month + episodes.months
    stress = 100 * (economy.unemployment_at(end) - 0.05)
    kind = facilities.collateral_kind[at]
    value = facilities.collateral_value[at] * indexed_share(kind, facilities.origination_month[at], end, economy)
    log_share = (
        PROCEEDS_PER_MONTH * episodes.months
        + PROCEEDS_PER_UNEMPLOYMENT * stress
        + PROCEEDS_SOUTHWEST * (facilities.region[at] == REGIONS.index("southwest"))
        + PROCEEDS_NOISE * rng.standard_normal(n)
    )
    share = np.array([SALE_SHARE[k] for k in COLLATERAL_KINDS])[kind] * np.exp(log_share)
    total = np.where(episodes.outcome == LIQUIDATED, np.round(value * np.minimum(share, 1.0)), 0)
    splits = is_property(kind) & (rng.random(n) < 0.5) & (episodes.months > 1)
    early = np.where(splits, np.round(_EARLY_SHARE * total), 0)
    guaranteed = (facilities.product[at] == SMALL_BUSINESS) & (rng.random(n) < GUARANTEED_SHARE)
    guaranteed &= np.isin(episodes.outcome, [LIQUIDATED, WRITTEN_OFF])
    return Proceeds(
        collateral=(total - early).astype(np.int64),
        collateral_early=early.astype(np.int64),
        sale_share=_sale_share(rng, episodes, kind, stress),
        guarantee_share=np.where(guaranteed, GUARANTEE_COVER, 0.0),
    )


def is_property(kind: Codes) -> np.ndarray:
    """Return whether each code is a kind of real property."""
    return np.isin(kind, [COLLATERAL_KINDS.index(k) for k in PROPERTY_KINDS])


def indexed_share(kind: Codes, origination: Codes, month: Codes, economy: Economy) -> Array:
    """Return collateral value in a month as a share of the value at origination."""
    loss = np.array([DEPRECIATION.get(k, 0.0) for k in COLLATERAL_KINDS])[kind]
    ageing = np.exp(-loss * np.maximum(month - origination, 0))
    prices = economy.house_prices_at(month) / economy.house_prices_at(origination)
    return np.where(is_property(kind), prices, ageing)


def _sale_share(rng: np.random.Generator, episodes: Episodes, kind: Codes, stress: Array) -> Array:
    secured = kind != COLLATERAL_KINDS.index(CollateralKind.NONE)
    share = np.where(secured, SALE_PRICE_SECURED, SALE_PRICE_UNSECURED)
    noise = 0.20 * rng.standard_normal(len(episodes))
    share = share * np.exp(SALE_PRICE_PER_MONTH * episodes.months - 0.04 * stress + noise)
    return np.where(episodes.outcome == SOLD, np.minimum(share, _HIGHEST_SALE_SHARE), 0.0)


def draw_valuations(
    rng: np.random.Generator, *, facilities: Facilities, economy: Economy, last_month: Codes
) -> tuple[Codes, Codes, Codes]:
    """Draw the latest valuation of each secured facility: facility, month and cents.

    Valuations are up to a year old, but not older than the facility, and miss the indexed value by some percent.
    """
    secured = np.flatnonzero(facilities.collateral_value > 0)
    age = pick(rng.random(len(secured)), np.full(12, 1.0))
    month = np.maximum(last_month[secured] - age, facilities.first_month[secured])
    share = indexed_share(facilities.collateral_kind[secured], facilities.origination_month[secured], month, economy)
    noise = np.exp(0.05 * rng.standard_normal(len(secured)))
    cents = 10_000 * np.round(facilities.collateral_value[secured] * share * noise / 10_000)
    return secured, month, np.maximum(cents, 10_000).astype(np.int64)
