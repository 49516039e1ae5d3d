"""What is true in the synthetic portfolio: products, regions and every coefficient that an estimator may look for.

Only constants stand here, so that the whole truth can be read in one place and is written into ``truth.json`` from the
same numbers that the simulator draws with. It knows nothing about how the tables are made.
"""

from dataclasses import dataclass

from recoverykit.vocabulary import CollateralKind, Outcome

REGIONS = ("midwest", "mountain", "northeast", "pacific", "southeast", "southwest")
REGION_SHARES = (0.19, 0.09, 0.20, 0.19, 0.20, 0.13)
#: Regions whose courts must order a foreclosure: property is sold later there.
JUDICIAL_REGIONS = ("midwest", "northeast")
CHANNELS = ("branch", "broker", "online")
SCENARIO_WEIGHTS = {"adverse": 0.3, "baseline": 0.5, "upside": 0.2}
#: Months of macro history before the window, so that defaults that began before it are covered; months of forecast.
HISTORY_MONTHS = 24
FORECAST_MONTHS = 36
#: A workout that would last longer ends at this age, so that the ultimate loss is a finite sum.
LONGEST_WORKOUT_MONTHS = 120


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the lender.

    Attributes
    ----------
    name : str
        As in the column ``product``.
    share : float
        Share of the facilities.
    median_amount, amount_sigma, smallest_amount : float
        Log-normal amount at origination (limit drawn, for lines), in USD, and its lower end.
    term_months, oldest_months : int
        Contractual term, and age at the start of the window at most.
    revolving : bool
        A line that can be drawn and does not amortise.
    mean_ltv, sd_ltv : float
        Loan amount over collateral value at origination; 0 where nothing secures the product.
    eir, eir_per_score : float
        Effective interest rate at a credit score of 680, and its change per 100 points.
    mean_score : float
        Mean credit score of the borrowers.
    monthly_default : float
        Default intensity per month at score 680 and 5 % unemployment.
    channels : tuple of float
        Shares of ``CHANNELS``.
    collateral : dict of CollateralKind to float
        Kinds of collateral and their shares.
    monthly_cost : float
        Direct cost of a month of collection, in USD.
    """

    name: str
    share: float
    median_amount: float
    amount_sigma: float
    smallest_amount: float
    term_months: int
    oldest_months: int
    revolving: bool
    mean_ltv: float
    sd_ltv: float
    eir: float
    eir_per_score: float
    mean_score: float
    monthly_default: float
    channels: tuple[float, float, float]
    collateral: dict[CollateralKind, float]
    monthly_cost: float


_VEHICLE = {CollateralKind.VEHICLE: 1.0}
_HOME = {CollateralKind.RESIDENTIAL_PROPERTY: 1.0}
_UNSECURED = {CollateralKind.NONE: 1.0}
_BUSINESS = {
    CollateralKind.COMMERCIAL_PROPERTY: 0.45,
    CollateralKind.EQUIPMENT: 0.40,
    CollateralKind.FINANCIAL: 0.05,
    CollateralKind.OTHER: 0.10,
}
#: In alphabetical order, which is the order of the treatment coding: the first is the reference level.
PRODUCTS = (
    Product("auto_loan", 0.21, 24e3, 0.35, 6e3, 72, 48, False, 0.92, 0.12, 0.082, -0.020, 685, 0.0105,
            (0.30, 0.55, 0.15), _VEHICLE, 14.5),
    Product("credit_card", 0.20, 6.5e3, 0.55, 1.2e3, 120, 100, True, 0.0, 0.0, 0.225, -0.018, 680, 0.0110,
            (0.30, 0.05, 0.65), _UNSECURED, 9.0),
    Product("heloc", 0.11, 58e3, 0.50, 1.5e4, 240, 96, True, 0.72, 0.14, 0.085, -0.008, 705, 0.0102,
            (0.70, 0.20, 0.10), _HOME, 22.0),
    Product("mortgage", 0.24, 255e3, 0.45, 6e4, 360, 110, False, 0.80, 0.12, 0.058, -0.006, 705, 0.0092,
            (0.45, 0.45, 0.10), _HOME, 48.0),
    Product("personal_loan", 0.13, 12.5e3, 0.45, 3e3, 60, 40, False, 0.0, 0.0, 0.142, -0.024, 675, 0.0110,
            (0.25, 0.15, 0.60), _UNSECURED, 11.0),
    Product("small_business", 0.11, 140e3, 0.60, 3e4, 120, 84, False, 0.74, 0.15, 0.095, -0.010, 695, 0.0102,
            (0.75, 0.20, 0.05), _BUSINESS, 85.0),
)  # fmt: skip
PRODUCT_NAMES = tuple(product.name for product in PRODUCTS)
SMALL_BUSINESS = PRODUCT_NAMES.index("small_business")
#: Order of the codes of collateral kinds.
COLLATERAL_KINDS = tuple(CollateralKind)

#: Log of the default intensity per 100 points of score (from 680) and per percentage point of unemployment (from 5 %).
DEFAULT_PER_SCORE = -0.45
DEFAULT_PER_UNEMPLOYMENT = 0.16
#: A cured facility defaults again with this multiple of its first intensity.
REPEAT_DEFAULT_FACTOR = 2.0

SCORE_TERM = "I((credit_score - 680) / 100)"
UNEMPLOYMENT_TERM = "I((unemployment_rate_at_default - 0.05) * 100)"
INCIDENCE_FORMULA = f"~ product + ltv_ratio + {SCORE_TERM} + {UNEMPLOYMENT_TERM}"
LATENCY_FORMULA = "~ product"
#: Log-odds of ever curing, under the names that the formula gives to its terms.
INCIDENCE = {
    "Intercept": 0.55,
    "product[T.credit_card]": -1.45,
    "product[T.heloc]": 0.15,
    "product[T.mortgage]": 0.45,
    "product[T.personal_loan]": -1.15,
    "product[T.small_business]": -0.35,
    "ltv_ratio": -0.90,
    SCORE_TERM: 0.45,
    UNEMPLOYMENT_TERM: -0.14,
}
#: Accelerated failure time of the cures: log W = location + sigma * smallest extreme value.
LATENCY = {
    "Intercept": 1.35,
    "product[T.credit_card]": -0.30,
    "product[T.heloc]": 0.35,
    "product[T.mortgage]": 0.45,
    "product[T.personal_loan]": -0.15,
    "product[T.small_business]": 0.50,
}
LATENCY_SIGMA = 0.80
#: Months after default in which no cure can be recorded: probation of three month ends less one.
DEAD_MONTHS = 2

#: Codes of outcomes in the simulator's arrays.
OUTCOMES = (Outcome.CURED, Outcome.REPAID, Outcome.LIQUIDATED, Outcome.SOLD, Outcome.WRITTEN_OFF)
CURED, REPAID, LIQUIDATED, SOLD, WRITTEN_OFF = range(5)


@dataclass(frozen=True, slots=True)
class OtherOutcome:
    """An outcome other than cure: multinomial logit against written_off, and a log-normal time in default.

    ``logit`` and ``median_months`` follow the order of ``PRODUCTS``; a logit of minus infinity means never.
    ``per_late_default`` counts for defaults in the last 30 months of the window (the lender sells more of them).
    """

    logit: tuple[float, ...]
    per_score: float
    per_ltv: float
    per_unemployment: float
    per_late_default: float
    median_months: tuple[float, ...]
    sigma: float
    log_median_per_unemployment: float
    log_median_judicial: float


_NEVER = float("-inf")
#: auto_loan, credit_card, heloc, mortgage, personal_loan, small_business
OTHER_OUTCOMES = {
    REPAID: OtherOutcome(
        (-0.2, -1.6, 0.7, 1.1, -1.5, 0.3), 0.40, -0.6, -0.08, 0.0, (6, 7, 9, 9, 7, 10), 0.65, 0.03, 0.0
    ),
    LIQUIDATED: OtherOutcome(
        (1.0, _NEVER, 0.2, 1.2, _NEVER, 0.7), 0.0, 0.6, 0.06, 0.0, (8, 1, 26, 25, 1, 23), 0.55, 0.05, 0.45
    ),
    SOLD: OtherOutcome(
        (-1.3, -0.5, -0.4, -0.1, -0.7, -0.6), 0.0, 0.0, 0.02, 0.6, (16, 15, 24, 26, 16, 24), 0.50, 0.02, 0.0
    ),
    WRITTEN_OFF: OtherOutcome((0.0,) * 6, 0.0, 0.0, 0.0, 0.0, (15, 12, 29, 34, 14, 29), 0.50, 0.02, 0.0),
}

#: Share of the collateral's indexed value that a sale brings at the default, by kind of collateral.
SALE_SHARE = {
    CollateralKind.NONE: 0.0,
    CollateralKind.RESIDENTIAL_PROPERTY: 0.76,
    CollateralKind.COMMERCIAL_PROPERTY: 0.66,
    CollateralKind.VEHICLE: 0.66,
    CollateralKind.EQUIPMENT: 0.54,
    CollateralKind.FINANCIAL: 0.80,
    CollateralKind.OTHER: 0.45,
}
#: Monthly loss of value of what is not property.
DEPRECIATION = {CollateralKind.VEHICLE: 0.014, CollateralKind.EQUIPMENT: 0.011, CollateralKind.OTHER: 0.008}
PROPERTY_KINDS = (CollateralKind.RESIDENTIAL_PROPERTY, CollateralKind.COMMERCIAL_PROPERTY)
#: Log of the proceeds per month in default, per percentage point of unemployment (from 5 %), and in the southwest.
PROCEEDS_PER_MONTH = -0.022
PROCEEDS_PER_UNEMPLOYMENT = -0.035
PROCEEDS_SOUTHWEST = -0.10
PROCEEDS_NOISE = 0.14
#: Sale of a non-performing claim: share of the balance when secured and when not; log decline per month in default.
SALE_PRICE_SECURED, SALE_PRICE_UNSECURED = 0.52, 0.15
SALE_PRICE_PER_MONTH = -0.022
#: Share of small-business loans with a public guarantee, and the part of the remaining balance that it pays.
GUARANTEED_SHARE, GUARANTEE_COVER = 0.35, 0.50
#: Partial payments while in default: chance per month at the start and its monthly decline, for later cures and others.
PAYING_WHEN_CURING, PAYING_OTHERWISE, PAYING_DECLINE = 0.45, 0.30, 0.95
#: After a write-off or a liquidation: months in which something may still come, and the chance per month.
TRICKLE_MONTHS, TRICKLE_CHANCE = 18, 0.22
COST_TO_SELL = 0.07
LEGAL_COST_SHARE = 0.012
