"""Default episodes of the synthetic portfolio: when each begins, how it would end and after how many months.

This is the part whose parameters an estimator can look for. Outcomes are drawn uncensored; what is known on the
reporting date follows from them. It knows nothing about balances or payments, so a coverage study can draw episodes
alone.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from recoverykit.data._synthetic_book import Array, Codes, Facilities, by_product, pick
from recoverykit.data._synthetic_macro import Economy
from recoverykit.data._synthetic_truth import (
    CURED,
    DEAD_MONTHS,
    DEFAULT_PER_SCORE,
    DEFAULT_PER_UNEMPLOYMENT,
    INCIDENCE,
    JUDICIAL_REGIONS,
    LATENCY,
    LATENCY_SIGMA,
    LONGEST_WORKOUT_MONTHS,
    OTHER_OUTCOMES,
    PRODUCT_NAMES,
    REGIONS,
    REPEAT_DEFAULT_FACTOR,
    SCORE_TERM,
    SOLD,
    UNEMPLOYMENT_TERM,
)

#: A default follows at least this many month ends that are seen performing.
_PERFORMING_MONTHS = 3
#: A later default is a new episode when it begins more than nine months after the return to performing.
MERGE_MONTHS = 9
#: Draws from which a facility that is in default when first seen takes one that lasted long enough.
_LATE_ENTRY_DRAWS = 64
_LATE_DEFAULT_MONTHS = 30


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """All default episodes as arrays of shape (n_episodes,), sorted by facility and default month.

    Attributes
    ----------
    facility : ndarray of int
        Position of the facility.
    default_month : ndarray of int
        Month end of the default (of the first month end seen, for a late entry), from the first one of the window.
    late_entry_months : ndarray of int
        Months in default before the facility was first seen.
    unemployment_rate : ndarray of float
        In the month of the default, share.
    prob_ever_cures : ndarray of float
        The true incidence.
    outcome : ndarray of int
        Code of the ultimate outcome, in ``OUTCOMES``.
    months : ndarray of int
        Months from ``default_month`` to the ultimate outcome, however late that is.
    observed_months : ndarray of int
        Months from ``default_month`` to the reporting date.
    """

    facility: Codes
    default_month: Codes
    late_entry_months: Codes
    unemployment_rate: Array
    prob_ever_cures: Array
    outcome: Codes
    months: Codes
    observed_months: Codes

    def __len__(self) -> int:
        return len(self.facility)

    @property
    def is_closed(self) -> NDArray[np.bool_]:
        """Whether the outcome is known on the reporting date."""
        return self.months <= self.observed_months

    def take(self, where: NDArray[np.int64] | NDArray[np.bool_]) -> "Episodes":
        """Return the episodes at some positions."""
        return Episodes(**{field.name: getattr(self, field.name)[where] for field in fields(self)})


def incidence_and_latency(product: Codes, ltv_ratio: Array, score: Array, unemployment: Array) -> tuple[Array, Array]:
    """Return the probability of ever curing and the location of the log time to cure.

    The two formulas of ``_synthetic_truth``: treatment coding of the products, the first one as reference.
    """
    dummies = [f"product[T.{name}]" for name in PRODUCT_NAMES]
    linear = (
        INCIDENCE["Intercept"]
        + np.array([INCIDENCE.get(name, 0.0) for name in dummies])[product]
        + INCIDENCE["ltv_ratio"] * ltv_ratio
        + INCIDENCE[SCORE_TERM] * (score - 680) / 100
        + INCIDENCE[UNEMPLOYMENT_TERM] * (unemployment - 0.05) * 100
    )
    location = LATENCY["Intercept"] + np.array([LATENCY.get(name, 0.0) for name in dummies])[product]
    return 1 / (1 + np.exp(-linear)), location


def simulate_default_episodes(
    rng_default: np.random.Generator, rng_outcome: np.random.Generator, *, facilities: Facilities, economy: Economy
) -> Episodes:
    """Draw first defaults, their outcomes, and the defaults that follow a cure."""
    intensity = _cumulative_intensity(facilities, economy)
    late = np.flatnonzero(facilities.late_entry_months > 0)
    punctual = np.flatnonzero(facilities.late_entry_months == 0)
    month = _next_default(rng_default, intensity[punctual], facilities.first_month[punctual] + _PERFORMING_MONTHS, 1.0)
    happens = month < np.minimum(facilities.close_month[punctual], economy.n_months)
    rounds = [
        _draw_late_entries(rng_outcome, late, facilities, economy),
        _draw_outcomes(rng_outcome, punctual[happens], month[happens], facilities, economy),
    ]
    current = _joined(rounds)
    while len(current):
        earliest = current.default_month + current.months + MERGE_MONTHS + 1
        back = (current.outcome == CURED) & (earliest < economy.n_months)
        again, earliest = current.facility[back], earliest[back]
        month = _next_default(rng_default, intensity[again], earliest, REPEAT_DEFAULT_FACTOR)
        happens = month < economy.n_months
        current = _draw_outcomes(rng_outcome, again[happens], month[happens], facilities, economy)
        rounds.append(current)
    drawn = _joined(rounds)
    return drawn.take(np.lexsort((drawn.default_month, drawn.facility)))


def _joined(rounds: list[Episodes]) -> Episodes:
    return Episodes(
        **{field.name: np.concatenate([getattr(r, field.name) for r in rounds]) for field in fields(Episodes)}
    )


def _cumulative_intensity(facilities: Facilities, economy: Economy) -> Array:
    """Return the default intensity summed up to each month, of shape (n_facilities, n_months)."""
    unemployment = economy.unemployment_at(np.arange(economy.n_months))
    over_time = np.exp(DEFAULT_PER_UNEMPLOYMENT * (unemployment - 0.05) * 100)
    level = by_product("monthly_default")[facilities.product]
    level = level * np.exp(DEFAULT_PER_SCORE * (facilities.credit_score - 680) / 100)
    return level[:, None] * np.cumsum(over_time)[None, :]


def _next_default(rng: np.random.Generator, cumulative: Array, earliest: Codes, factor: float) -> Codes:
    """Return the first month, from ``earliest`` on, in which the intensity has used up a unit exponential.

    Months beyond the window stand for no default.
    """
    n_rows, n_months = cumulative.shape
    patience = -np.log1p(-rng.random(n_rows)) / factor
    before = np.where(earliest > 0, cumulative[np.arange(n_rows), np.clip(earliest - 1, 0, n_months - 1)], 0.0)
    reached = cumulative >= (before + patience)[:, None]
    reached &= np.arange(n_months)[None, :] >= earliest[:, None]
    return np.where(reached.any(axis=1), reached.argmax(axis=1), n_months)


def _draw_outcomes(
    rng: np.random.Generator, facility: Codes, default_month: Codes, facilities: Facilities, economy: Economy
) -> Episodes:
    """Draw ultimate outcome and its month for episodes that begin in given months."""
    product, region = facilities.product[facility], facilities.region[facility]
    ltv, score = facilities.ltv_ratio[facility], facilities.credit_score[facility]
    unemployment = economy.unemployment_at(default_month)
    incidence, location = incidence_and_latency(product, ltv, score, unemployment)
    uniform = rng.random((len(facility), 3))
    normal = rng.standard_normal(len(facility))
    cures = uniform[:, 0] < incidence
    waiting = np.exp(location) * (-np.log1p(-uniform[:, 1])) ** LATENCY_SIGMA
    cure_month = DEAD_MONTHS + np.maximum(np.ceil(waiting), 1.0)
    judicial = np.isin(region, [REGIONS.index(name) for name in JUDICIAL_REGIONS])
    late = default_month >= economy.n_months - _LATE_DEFAULT_MONTHS
    other = _other_outcome(uniform[:, 2], product, ltv, score, unemployment, late)
    other_month = _other_month(normal, other, product, unemployment, judicial)
    outcome = np.where(cures, CURED, other)
    months = np.where(cures, cure_month, other_month).astype(np.int64)
    first_month = int(economy.first_month_end.month)
    past_quarter_end = (default_month + months + first_month) % 3
    months = np.where(outcome == SOLD, months + (-past_quarter_end) % 3, months)
    return Episodes(
        facility=facility,
        default_month=default_month,
        late_entry_months=np.zeros(len(facility), dtype=np.int64),
        unemployment_rate=unemployment,
        prob_ever_cures=incidence,
        outcome=outcome,
        months=months,
        observed_months=economy.n_months - 1 - default_month,
    )


def _other_outcome(
    uniform: Array, product: Codes, ltv: Array, score: Array, unemployment: Array, late: NDArray[np.bool_]
) -> Codes:
    codes = list(OTHER_OUTCOMES)
    logits = [
        np.array(OTHER_OUTCOMES[code].logit)[product]
        + OTHER_OUTCOMES[code].per_score * (score - 680) / 100
        + OTHER_OUTCOMES[code].per_ltv * ltv
        + OTHER_OUTCOMES[code].per_unemployment * (unemployment - 0.05) * 100
        + OTHER_OUTCOMES[code].per_late_default * late
        for code in codes
    ]
    return np.array(codes)[pick(uniform, np.exp(np.stack(logits, axis=1)))]


def _other_month(
    normal: Array, outcome: Codes, product: Codes, unemployment: Array, judicial: NDArray[np.bool_]
) -> Array:
    months = np.ones(len(outcome))
    for code, other in OTHER_OUTCOMES.items():
        location = (
            np.log(np.array(other.median_months, dtype=float))[product]
            + other.log_median_per_unemployment * (unemployment - 0.05) * 100
            + other.log_median_judicial * judicial
        )
        drawn = np.ceil(np.exp(location + other.sigma * normal))
        months = np.where(outcome == code, np.clip(drawn, 1, LONGEST_WORKOUT_MONTHS - 2), months)
    return months


def _draw_late_entries(rng: np.random.Generator, facility: Codes, facilities: Facilities, economy: Economy) -> Episodes:
    """Draw episodes that began before the window and were still running when first seen.

    Of many draws the first that lasted beyond the entry (and the probation) is taken: the population that is left.
    """
    entry = facilities.late_entry_months[facility]
    tiled, began = np.tile(facility, _LATE_ENTRY_DRAWS), np.tile(-entry, _LATE_ENTRY_DRAWS)
    drawn = _draw_outcomes(rng, tiled, began, facilities, economy)
    months = drawn.months.reshape(_LATE_ENTRY_DRAWS, len(facility))
    lasted = months >= entry + DEAD_MONTHS + 2
    row = np.where(lasted.any(axis=0), lasted.argmax(axis=0), months.argmax(axis=0))
    chosen = drawn.take(row * len(facility) + np.arange(len(facility)))
    entry = np.minimum(entry, np.maximum(chosen.months - DEAD_MONTHS - 2, 0))
    return Episodes(
        **{
            **{field.name: getattr(chosen, field.name) for field in fields(Episodes)},
            "default_month": np.zeros_like(entry),
            "late_entry_months": entry,
            "months": chosen.months - entry,
            "observed_months": np.full_like(entry, economy.n_months - 1),
        }
    )
