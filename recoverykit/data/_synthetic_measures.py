"""What each episode really costs, and the truth about the portfolio that an estimate can be held against.

The loss given default follows the kit's definition: exposure plus costs and drawings less recoveries, with an
artificial cash flow of the remaining balance at a cure, discounted to the default date at the effective interest rate
over actual days / 365. It is computed here a second time, apart from the ledger, from the uncensored cash flows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.data import _synthetic_truth as truth
from recoverykit.data._synthetic_book import Array, Codes, Facilities, days, facility_ids, month_ends, obligor_ids
from recoverykit.data._synthetic_episodes import Episodes, incidence_and_latency
from recoverykit.data._synthetic_macro import Economy
from recoverykit.data._synthetic_paths import Paths
from recoverykit.data._synthetic_workout import KINDS, MONTH_END, Flows
from recoverykit.vocabulary import COST_KINDS, DAYS_PER_YEAR, RECOVERY_KINDS, CashFlowKind, Outcome, segment_name

_CURE_HORIZONS = (6, 12, 24, 36)
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Money:
    """Exposure and balances of all episodes, in cents, and their cash flows."""

    ead: Codes
    balance_at_cure: Codes
    flows: Flows


def flow_dates(flows: Flows, episodes: Episodes, economy: Economy) -> np.ndarray:
    """Return the date of each cash flow."""
    month = episodes.default_month[flows.episode] + flows.month
    first = economy.first_month_end
    inside = days(first, month, np.minimum(flows.day, 28))
    return np.where(flows.day == MONTH_END, month_ends(first, month), inside)


def loss_given_default(
    episodes: Episodes, money: Money, rate: Array, economy: Economy, *, until_reporting_date: bool
) -> Array:
    """Return the loss of each episode as a share of its exposure.

    Parameters
    ----------
    episodes, money, economy
        The episodes, what was paid, and the calendar.
    rate : ndarray of shape (n_episodes,)
        Annual discount rate; zeros for an undiscounted loss.
    until_reporting_date : bool
        Count only what is known on the reporting date, or everything that ever comes.
    """
    flows, first = money.flows, economy.first_month_end
    signs = [1.0 if k in RECOVERY_KINDS else -1.0 if k in (*COST_KINDS, CashFlowKind.DRAWING) else 0.0 for k in KINDS]
    default = month_ends(first, episodes.default_month)
    elapsed = (flow_dates(flows, episodes, economy) - default[flows.episode]) / np.timedelta64(1, "D")
    counted = flows.month <= episodes.observed_months[flows.episode] if until_reporting_date else True
    value = np.array(signs)[flows.kind] * flows.cents * (1 + rate[flows.episode]) ** -(elapsed / DAYS_PER_YEAR)
    net = np.bincount(flows.episode, weights=value * counted, minlength=len(episodes))
    cured = episodes.outcome == truth.CURED
    if until_reporting_date:
        cured &= episodes.is_closed
    returned = (month_ends(first, episodes.default_month + episodes.months) - default) / np.timedelta64(1, "D")
    net = net + np.where(cured, money.balance_at_cure * (1 + rate) ** -(returned / DAYS_PER_YEAR), 0.0)
    return 1 - net / money.ead


def episodes_frame(
    episodes: Episodes, facilities: Facilities, economy: Economy, paths: Paths | None = None, money: Money | None = None
) -> pd.DataFrame:
    """Return the true episodes: what is known on the reporting date, and how each one ends.

    The default of a late entry is dated back; its exposure is the first balance seen.
    """
    known = _identity(episodes, facilities, economy).assign(**_outcomes(episodes, economy))
    return known if paths is None or money is None else _with_losses(known, episodes, economy, paths, money)


def _identity(episodes: Episodes, facilities: Facilities, economy: Economy) -> pd.DataFrame:
    at = episodes.facility
    number = pd.Series(at).groupby(at).cumcount().to_numpy() + 1
    identity = facility_ids(at)
    return pd.DataFrame(
        {
            "episode_id": [f"{f}#{n}" for f, n in zip(identity, number, strict=True)],
            "facility_id": identity,
            "obligor_id": obligor_ids(facilities.obligor[at]),
            "product": np.array(truth.PRODUCT_NAMES, dtype=object)[facilities.product[at]],
            "region": np.array(truth.REGIONS, dtype=object)[facilities.region[at]],
            "ltv_ratio": facilities.ltv_ratio[at],
            "credit_score": facilities.credit_score[at],
            "eir": facilities.eir[at],
            "unemployment_rate_at_default": episodes.unemployment_rate,
            "default_date": month_ends(economy.first_month_end, episodes.default_month - episodes.late_entry_months),
        }
    )


def _outcomes(episodes: Episodes, economy: Economy) -> dict[str, np.ndarray]:
    """Return what is known on the reporting date, the interval of the time to cure, and how each episode ends."""
    closed, cured = episodes.is_closed, episodes.outcome == truth.CURED
    names = np.array([outcome.value for outcome in truth.OUTCOMES], dtype=object)
    end = month_ends(economy.first_month_end, episodes.default_month + episodes.months)
    months = episodes.months + episodes.late_entry_months
    observed = episodes.observed_months + episodes.late_entry_months
    followed = np.maximum(observed - truth.DEAD_MONTHS, 0).astype(float)
    cure_time = (months - truth.DEAD_MONTHS).astype(float)
    return {
        "entry_months": episodes.late_entry_months,
        "observed_months": observed,
        "outcome": np.where(closed, names[episodes.outcome], Outcome.OPEN.value).astype(object),
        "outcome_date": np.where(closed, end, np.datetime64("NaT", "ns")),
        "months_in_default": np.where(closed, months, observed),
        "cure_lower_months": np.where(closed & cured, cure_time - 1, followed),
        "cure_upper_months": np.where(closed & cured, cure_time, np.inf),
        "prob_ever_cures": episodes.prob_ever_cures,
        "ever_cures": cured,
        "ultimate_outcome": names[episodes.outcome],
        "ultimate_months": months,
    }


def _with_losses(frame: pd.DataFrame, episodes: Episodes, economy: Economy, paths: Paths, money: Money) -> pd.DataFrame:
    eir, nothing = frame["eir"].to_numpy(), np.zeros(len(frame))
    losses = {
        f"{when}_{how}": loss_given_default(episodes, money, rate, economy, until_reporting_date=when == "lgd_to_date")
        for when in ("lgd_to_date", "ultimate_lgd")
        for how, rate in (("discounted", eir), ("undiscounted", nothing))
    }
    return frame.assign(n_spells=paths.n_spells, ead=money.ead / 100, **losses)


def describe_truth(frame: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """Return everything that is true of the portfolio, ready for JSON."""
    return {
        "seed": seed,
        "definition_of_default": {
            "days_past_due": 90,
            "materiality_retail_amount": 100.0,
            "materiality_other_amount": 500.0,
            "materiality_share": 0.01,
            "probation_months": 3,
            "forborne_probation_months": 12,
            "merge_months": 9,
        },
        "cure_model": _cure_model(),
        "other_outcomes": _other_outcomes(),
        "episodes": _episode_counts(frame),
        "cumulative_cure_probability": _cure_curve(frame),
        "lgd": {
            "definition": "1 - (recoveries - costs - drawings + balance at cure) / EAD; mean weighted by number of "
            "defaults unless named ead_weighted; late entries left out; discounted at the EIR over actual days / 365; "
            "not floored",
            "portfolio": _lgd(frame),
            "by_product": {key: _lgd(part) for key, part in frame.groupby("product")},
            "by_product_and_region": {
                segment_name(list(map(str, key))): _lgd(part) for key, part in frame.groupby(["product", "region"])
            },
        },
    }


def _cure_model() -> dict[str, Any]:
    return {
        "event": "cured",
        "population": "episodes with entry_months of 0; an episode with another outcome counts as not cured up "
        "to its observed_months",
        "time": "W with months_in_default - 3 < W <= months_in_default - 2 for a cure; W > observed_months - 2 else",
        "distribution": "weibull, log W = location + sigma * e with e smallest extreme value",
        "dead_months": truth.DEAD_MONTHS,
        "incidence_formula": truth.INCIDENCE_FORMULA,
        "latency_formula": truth.LATENCY_FORMULA,
        "incidence": dict(truth.INCIDENCE),
        "latency": dict(truth.LATENCY),
        "sigma": truth.LATENCY_SIGMA,
    }


def _other_outcomes() -> dict[str, Any]:
    """Return the multinomial logit of the other outcomes and their log-normal times."""

    def per_product(values: tuple[float, ...]) -> dict[str, float | None]:
        pairs = zip(truth.PRODUCT_NAMES, values, strict=True)
        return {name: None if value == float("-inf") else float(value) for name, value in pairs}

    return {
        "model": "multinomial logit against written_off given that the episode never cures (null: impossible), and a "
        "log-normal time in default; sold is moved to the end of its quarter",
        "outcomes": {
            truth.OUTCOMES[code].value: {
                "logit": per_product(other.logit),
                "logit_per_100_points_of_credit_score": other.per_score,
                "logit_per_ltv_ratio": other.per_ltv,
                "logit_per_point_of_unemployment": other.per_unemployment,
                "logit_default_in_last_30_months": other.per_late_default,
                "median_months": per_product(other.median_months),
                "sigma": other.sigma,
                "log_median_per_point_of_unemployment": other.log_median_per_unemployment,
                "log_median_judicial_region": other.log_median_judicial,
            }
            for code, other in truth.OTHER_OUTCOMES.items()
        },
    }


def _episode_counts(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "n_episodes": len(frame),
        "n_facilities": int(frame["facility_id"].nunique()),
        "n_late_entries": int((frame["entry_months"] > 0).sum()),
        "n_merged": int((frame["n_spells"] > 1).sum()),
        "open_share": _rounded((frame["outcome"] == Outcome.OPEN).mean()),
        "outcomes": {str(k): int(v) for k, v in frame["outcome"].value_counts().sort_index().items()},
        "ultimate_outcomes": {str(k): int(v) for k, v in frame["ultimate_outcome"].value_counts().sort_index().items()},
        "ultimate_cure_probability": _rounded(frame["prob_ever_cures"].mean()),
    }


def _cure_curve(frame: pd.DataFrame) -> dict[str, float | None]:
    """Return the mean probability of having cured by some months in default, punctual entries only."""
    part = frame[frame["entry_months"] == 0]
    codes = np.array([truth.PRODUCT_NAMES.index(name) for name in part["product"]], dtype=np.int64)
    drivers = [part[c].to_numpy() for c in ("ltv_ratio", "credit_score", "unemployment_rate_at_default")]
    incidence, location = incidence_and_latency(codes, *drivers)
    curve = {}
    for month in _CURE_HORIZONS:
        waiting = (month - truth.DEAD_MONTHS) / np.exp(location)
        cured = incidence * -np.expm1(-(waiting ** (1 / truth.LATENCY_SIGMA)))
        curve[str(month)] = _rounded(pd.Series(cured).mean())
    return curve


def _lgd(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the mean losses of a group; late entries are left out, since nobody saw their first months."""
    frame = frame[frame["entry_months"] == 0]
    closed = frame[frame["outcome"] != Outcome.OPEN]
    return {
        "n_episodes": len(frame),
        "n_closed": len(closed),
        "all_in_discounted": _rounded(frame["ultimate_lgd_discounted"].mean()),
        "all_in_undiscounted": _rounded(frame["ultimate_lgd_undiscounted"].mean()),
        "all_in_discounted_ead_weighted": _weighted(frame, "ultimate_lgd_discounted"),
        "closed_only_discounted": _rounded(closed["lgd_to_date_discounted"].mean()),
        "closed_only_undiscounted": _rounded(closed["lgd_to_date_undiscounted"].mean()),
        "closed_only_discounted_ead_weighted": _weighted(closed, "lgd_to_date_discounted"),
    }


def _weighted(frame: pd.DataFrame, column: str) -> float | None:
    return _rounded((frame[column] * frame["ead"]).sum() / frame["ead"].sum()) if len(frame) else None


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), _DIGITS)
