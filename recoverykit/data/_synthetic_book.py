"""Facilities and obligors of the synthetic portfolio, before anything happens to them.

Everything that the facilities table says is drawn here, on the rounding that the table has, so that whatever is
simulated from it can be recomputed from the files. It knows nothing about defaults.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.data._synthetic_truth import (
    CHANNELS,
    COLLATERAL_KINDS,
    PRODUCT_NAMES,
    PRODUCTS,
    REGION_SHARES,
    REGIONS,
    SMALL_BUSINESS,
)
from recoverykit.vocabulary import CollateralKind, ExposureClass

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
#: Share of the facilities that stood on the books when the window begins.
_ORIGINATED_BEFORE = 0.72
#: Last months of the window in which nothing new is lent, so that every facility has a history.
_QUIET_MONTHS = 4
#: Borrowers pay the last instalments of a loan in one sum.
_INSTALMENTS_PAID_EARLY = 6
#: Facilities that are in default when first seen, as a share, and how long they may have been.
_LATE_ENTRY_SHARE, _LONGEST_LATE_ENTRY = 0.005, 15


@dataclass(frozen=True, slots=True, eq=False)
class Facilities:
    """All facilities as arrays of shape (n_facilities,); months are counted from the first month end of the window.

    Attributes
    ----------
    obligor, product, region, channel, collateral_kind : ndarray of int
        Codes, into the sorted names of ``_synthetic_truth``.
    credit_score, ltv_ratio, eir : ndarray of float
        Points; share; per year.
    amount, collateral_value : ndarray of int
        At origination, in cents; 0 collateral value where there is none.
    origination_month, origination_day, first_month, term_months : ndarray of int
        Origination before the window is negative; ``first_month`` is the first month end seen.
    close_month : ndarray of int
        Month end at which a facility that performs is paid off; beyond the window when it is not.
    late_entry_months : ndarray of int
        Months already in default at the first month end; 0 for those first seen performing.
    """

    obligor: Codes
    product: Codes
    region: Codes
    channel: Codes
    collateral_kind: Codes
    credit_score: Array
    ltv_ratio: Array
    eir: Array
    amount: Codes
    collateral_value: Codes
    origination_month: Codes
    origination_day: Codes
    first_month: Codes
    term_months: Codes
    close_month: Codes
    late_entry_months: Codes

    def __len__(self) -> int:
        return len(self.product)

    @property
    def revolving(self) -> NDArray[np.bool_]:
        """Whether each facility is a line that can be drawn."""
        return by_product("revolving")[self.product].astype(bool)


def by_product(attribute: str) -> Array:
    """Return one attribute of all products, in the order of their codes."""
    return np.array([getattr(product, attribute) for product in PRODUCTS], dtype=float)


def pick(uniform: Array, shares: Array) -> Codes:
    """Turn uniform numbers into codes with the given shares, of shape (n_codes,) or (n, n_codes)."""
    cumulative = np.cumsum(np.atleast_2d(shares), axis=1)
    return (uniform[:, None] >= cumulative[:, :-1] / cumulative[:, -1:]).sum(axis=1)


def simulate_facilities(rng: np.random.Generator, *, n_facilities: int, n_obligors: int, n_months: int) -> Facilities:
    """Draw the facilities; every obligor has one at least, and lives in one region."""
    obligor = np.sort(np.concatenate([np.arange(n_obligors), rng.integers(0, n_obligors, n_facilities - n_obligors)]))
    product = pick(rng.random(n_facilities), by_product("share"))
    channel = pick(rng.random(n_facilities), np.array([p.channels for p in PRODUCTS])[product])
    kind = pick(
        rng.random(n_facilities),
        np.array([[p.collateral.get(k, 0.0) for k in COLLATERAL_KINDS] for p in PRODUCTS])[product],
    )
    region = pick(rng.random(n_obligors), np.array(REGION_SHARES))[obligor]
    score = _scores(rng, obligor, product, n_obligors)
    ltv = _ltv_ratios(rng, product)
    usual = by_product("eir")[product] + by_product("eir_per_score")[product] * (score - 680) / 100
    eir = (usual + 0.006 * rng.standard_normal(n_facilities)).clip(0.029, 0.299).round(4)
    amount = _amounts(rng, product)
    value = np.where(ltv > 0, 100 * np.round(amount / np.where(ltv > 0, ltv, 1.0) / 100), 0).astype(np.int64)
    dates = _dates(rng, product, n_months)
    return Facilities(
        obligor=obligor,
        product=product,
        region=region,
        channel=channel,
        collateral_kind=kind,
        credit_score=score,
        ltv_ratio=ltv,
        eir=eir,
        amount=amount,
        collateral_value=value,
        **dates,
    )


def _scores(rng: np.random.Generator, obligor: Codes, product: Codes, n_obligors: int) -> Array:
    shared = rng.standard_normal(n_obligors)[obligor]
    own = rng.standard_normal(len(obligor))
    return np.clip(np.round(by_product("mean_score")[product] + 45 * shared + 25 * own), 480, 830)


def _ltv_ratios(rng: np.random.Generator, product: Codes) -> Array:
    mean, spread = by_product("mean_ltv")[product], by_product("sd_ltv")[product]
    drawn = np.clip(mean + spread * rng.standard_normal(len(product)), 0.25, 1.30)
    return np.where(mean > 0, np.round(drawn, 4), 0.0)


def _amounts(rng: np.random.Generator, product: Codes) -> Codes:
    """Draw amounts at origination in whole hundreds of dollars, returned in cents."""
    spread = by_product("amount_sigma")[product] * rng.standard_normal(len(product))
    dollars = np.maximum(by_product("median_amount")[product] * np.exp(spread), by_product("smallest_amount")[product])
    return (np.round(dollars / 100) * 10_000).astype(np.int64)


def _dates(rng: np.random.Generator, product: Codes, n_months: int) -> dict[str, Codes]:
    n = len(product)
    before = rng.random(n) < _ORIGINATED_BEFORE
    age = 1 + np.floor(rng.random(n) * by_product("oldest_months")[product]).astype(np.int64)
    inside = np.floor(rng.random(n) * max(n_months - _QUIET_MONTHS, 1)).astype(np.int64)
    origination = np.where(before, -age, inside)
    late_entry = np.zeros(n, dtype=np.int64)
    candidates = np.flatnonzero(origination <= -_LONGEST_LATE_ENTRY - 6)
    n_late = min(round(_LATE_ENTRY_SHARE * n), len(candidates))
    chosen = rng.choice(candidates, size=n_late, replace=False)
    late_entry[chosen] = 1 + np.floor(rng.random(n_late) * _LONGEST_LATE_ENTRY).astype(np.int64)
    first = np.maximum(origination, 0)
    term = by_product("term_months")[product].astype(np.int64)
    prepaid = first + 6 + np.floor(-np.log1p(-rng.random(n)) / 0.0035).astype(np.int64)
    return {
        "origination_month": origination,
        "origination_day": rng.integers(1, 29, n),
        "first_month": first,
        "term_months": term,
        "close_month": np.minimum(prepaid, origination + term - _INSTALMENTS_PAID_EARLY),
        "late_entry_months": late_entry,
    }


def facility_ids(number: Codes) -> NDArray[np.object_]:
    """Return the keys of facilities, by their position."""
    return np.array([f"F{i + 1:05d}" for i in number], dtype=object)


def obligor_ids(number: Codes) -> NDArray[np.object_]:
    """Return the keys of obligors, by their position."""
    return np.array([f"B{i + 1:05d}" for i in number], dtype=object)


def facilities_frame(facilities: Facilities, first_month_end: pd.Timestamp) -> pd.DataFrame:
    """Return the contract table ``facilities``."""
    names = np.array([kind.value for kind in COLLATERAL_KINDS], dtype=object)
    secured = facilities.collateral_kind != COLLATERAL_KINDS.index(CollateralKind.NONE)
    is_business = facilities.product == SMALL_BUSINESS
    return pd.DataFrame(
        {
            "facility_id": facility_ids(np.arange(len(facilities))),
            "obligor_id": obligor_ids(facilities.obligor),
            "product": np.array(PRODUCT_NAMES, dtype=object)[facilities.product],
            "region": np.array(REGIONS, dtype=object)[facilities.region],
            "collateral_kind": names[facilities.collateral_kind],
            "collateral_value_amount": np.where(secured, facilities.collateral_value / 100, np.nan),
            "eir": facilities.eir,
            "origination_date": days(first_month_end, facilities.origination_month, facilities.origination_day),
            "exposure_class": np.where(is_business, ExposureClass.OTHER.value, ExposureClass.RETAIL.value).astype(
                object
            ),
            "channel": np.array(CHANNELS, dtype=object)[facilities.channel],
            "ltv_ratio": facilities.ltv_ratio,
            "credit_score": facilities.credit_score,
        }
    )


def days(first_month_end: pd.Timestamp, month: Codes, day: Codes) -> NDArray[np.datetime64]:
    """Return the dates of a day of the month, counting months from the first month end."""
    months = np.datetime64(first_month_end, "M") + month.astype("timedelta64[M]")
    return (months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")).astype("datetime64[ns]")


def month_ends(first_month_end: pd.Timestamp, month: Codes) -> NDArray[np.datetime64]:
    """Return the last days of months, counting months from the first month end."""
    following = np.datetime64(first_month_end, "M") + (month + 1).astype("timedelta64[M]")
    return (following.astype("datetime64[D]") - np.timedelta64(1, "D")).astype("datetime64[ns]")
