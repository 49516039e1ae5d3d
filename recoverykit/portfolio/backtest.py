"""Set the clock back, estimate with what was known then, and hold it against what came since.

An estimate of loss that rests on open workouts is a forecast, and a forecast can be checked. The book is opened twice:
as it was known on an earlier date, built afresh from the files with everything later cut off, and as it is known now.
What the earlier book expected its open episodes to recover in the months between is compared with what they did
recover; its average loss with the average that hindsight gives for the same defaults. Limits are set before, not after.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit import episodes as history
from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.errors import InsufficientDataError, SpecError
from recoverykit.estimators.calendar_effect import calendar_effects, calendar_spread
from recoverykit.estimators.further_recovery import further_recovery
from recoverykit.estimators.recovery_curve import remaining_recovery
from recoverykit.portfolio._backtest_elbe import ElbeTest, elbe_test
from recoverykit.portfolio._backtest_groups import by_curve, compare
from recoverykit.portfolio._backtest_lights import BackTestLimits, Light, lights_of, t_test
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.loss import MINIMUM_AT_RISK, averaged, expected_losses
from recoverykit.portfolio.workout import Workout, workout
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

Array = NDArray[np.float64]

#: How far the clock is set back where nobody says.
MONTHS_BACK = 24


@dataclass(frozen=True, slots=True, eq=False)
class BackTest:
    """What an earlier estimate said, and what came of it.

    Attributes
    ----------
    as_of, reporting_date : pandas.Timestamp
        The date that the clock was set back to, and the date of hindsight.
    estimates : DataFrame
        what, lgd, lower, upper, n_episodes: the average loss of the defaults known then, closed-only and all-in as of
        then, and as hindsight has it.
    episodes : DataFrame
        One row per episode open then: episode_id, obligor_id, segment, default_year, age_months, predicted_rate and
        realised_rate (recovered between the dates, share of EAD), error (of the loss: predicted less realised).
    groups : DataFrame
        kind ("all", "vintage" or "decile" of the prediction), group, n_episodes, predicted, lower, upper, realised,
        is_inside: means over the episodes of a group, with the prediction interval of the earlier book.
    years : DataFrame
        From ``calendar_effects``: how far the recoveries of single years strayed from the curve, as known then.
    calendar_spread : float
        By how much beyond chance; it widens the intervals.
    t_statistic, p_value : float
        One-sided t-test that losses were not underestimated, T = sqrt(n) mean(error) / s, unweighted; NaN below two.
    n_unmatched : int
        Episodes known then that hindsight does not know, left out of the comparison.
    lights : DataFrame
        measure, value, amber, red, light ("not judged" where there is no value).
    elbe : ElbeTest
        Two-sided t-test of the best estimates of the episodes open then, shares of what was outstanding.
    """

    as_of: pd.Timestamp
    reporting_date: pd.Timestamp
    estimates: pd.DataFrame
    episodes: pd.DataFrame
    groups: pd.DataFrame
    years: pd.DataFrame
    calendar_spread: float
    t_statistic: float
    p_value: float
    n_unmatched: int
    lights: pd.DataFrame
    elbe: ElbeTest

    @property
    def light(self) -> Light:
        """The worst of the lights that were judged; the mean loss always is."""
        shown = set(self.lights["light"])
        return next(light for light in (Light.RED, Light.AMBER, Light.GREEN) if light in shown or light is Light.GREEN)

    @property
    def kind_of_callout(self) -> str:
        """How a page sets the verdict off: good, note or warning."""
        return {Light.GREEN: "good", Light.AMBER: "note", Light.RED: "warning"}[self.light]

    @property
    def months(self) -> int:
        """Completed months between the dates."""
        return months_between(self.as_of, self.reporting_date)

    @property
    def bias(self) -> float:
        """Mean loss underestimated over the episodes open then, share of EAD."""
        return float(self.episodes["error"].mean())

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept."""
        return {
            "estimates": self.estimates,
            "groups": self.groups,
            "years": self.years,
            "lights": self.lights,
            "episodes": self.episodes,
        }

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        values = {"bias": self.bias, "t_statistic": self.t_statistic, "p_value": self.p_value}
        values |= {f"elbe_{name}": getattr(self.elbe, name) for name in ("t_statistic", "p_value")}
        return {
            "as_of": f"{self.as_of:%Y-%m-%d}",
            "reporting_date": f"{self.reporting_date:%Y-%m-%d}",
            "n_open_then": len(self.episodes),
            "n_unmatched": self.n_unmatched,
            "light": str(self.light),
            **{name: float(v) if np.isfinite(v) else None for name, v in values.items()},
        }


def months_between(earlier: pd.Timestamp, later: pd.Timestamp) -> int:
    """Return the completed months from one date to another; the end of a month completes it.

    Examples
    --------
    >>> months_between(pd.Timestamp("2024-02-29"), pd.Timestamp("2024-05-31"))
    3
    """
    months = 12 * (later.year - earlier.year) + later.month - earlier.month
    return months if later.day >= earlier.day or later.is_month_end else months - 1


def back_test_date(now: Book, as_of: str = "") -> str:
    """Return the date to which the clock is set back.

    Parameters
    ----------
    now : Book
        The whole book as known now.
    as_of : str
        ISO date; empty for the month end ``MONTHS_BACK`` months before the reporting date, or half-way through the
        history of defaults where that is shorter.

    Raises
    ------
    SpecError
        When the date is none, or not before the reporting date.
    """
    if as_of:
        date = pd.to_datetime(as_of, format="%Y-%m-%d", errors="coerce")
        if not date < now.reporting_date:
            raise SpecError(f"as_of is {as_of!r}; it must be an ISO date before {now.reporting_date:%Y-%m-%d}")
        return f"{date:%Y-%m-%d}"
    history = months_between(now.episodes["default_date"].min(), now.reporting_date)
    back = now.reporting_date - pd.DateOffset(months=max(min(MONTHS_BACK, history // 2), 1))
    return f"{back + pd.offsets.MonthEnd(0):%Y-%m-%d}"


def back_test(
    then: Book,
    now: Book,
    segment: str,
    *,
    policy: LedgerPolicy,
    limits: BackTestLimits | None = None,
    minimum_at_risk: int = MINIMUM_AT_RISK,
    n_bootstrap: int = 200,
    seed: int = 1,
    level: float = 0.90,
) -> BackTest:
    """Hold the loss that an earlier book expected against what came since.

    Parameters
    ----------
    then, now : Book
        The whole book as known on an earlier date and as known now, with the same segments and definition of default.
    segment : str
        Name of the segment; ``"all"`` for the whole book.
    policy : LedgerPolicy
        Discounting and treatment of flows.
    limits : BackTestLimits, optional
        The house limits when absent.
    minimum_at_risk, n_bootstrap, seed
        As in ``estimate_loss``.
    level : float
        Level of the prediction intervals in (0, 1).

    Returns
    -------
    BackTest

    Raises
    ------
    InsufficientDataError
        When the dates are less than a month apart, or no episode of the segment was open at the earlier one.
    """
    horizon = months_between(then.reporting_date, now.reporting_date)
    if horizon < 1:
        raise InsufficientDataError(
            f"from {then.reporting_date:%Y-%m-%d} to {now.reporting_date:%Y-%m-%d} no month has passed; "
            "set the clock back further"
        )
    whole = workout(then, policy)
    before, cells = _losses(then, whole, segment, minimum_at_risk)
    after, _ = _losses(now, workout(now, policy), segment, minimum_at_risk)
    known = before.index.intersection(after.index)
    still_open = before.loc[known][~before.loc[known, "is_closed"]]
    if len(still_open) < MINIMUM_CELL_COUNT:
        raise InsufficientDataError(
            f"fewer than {MINIMUM_CELL_COUNT} episodes of {segment!r} were open on {then.reporting_date:%Y-%m-%d}; "
            "take a larger segment or another date"
        )
    years = years_of_recovery(then.restricted(segment), whole, minimum_at_risk=minimum_at_risk)
    options: dict[str, Any] = {
        "minimum_at_risk": minimum_at_risk,
        "calendar_spread": calendar_spread(years),
        "n_bootstrap": n_bootstrap,
        "level": level,
    }
    share = (still_open["ead"] / still_open["denominator_amount"]).to_numpy()
    to_the_end = further_recovery(
        by_curve(still_open, cells, (share / len(known))[:, None]), rng=np.random.default_rng(seed), **options
    )
    episodes, groups = compare(still_open, after, then, cells, horizon, np.random.default_rng(seed), options)
    t_statistic, p_value = t_test(episodes["error"].to_numpy())
    return BackTest(
        as_of=then.reporting_date,
        reporting_date=now.reporting_date,
        estimates=_estimates(before.loc[known], after.loc[known], float(to_the_end.half_width[0])),
        episodes=episodes,
        groups=groups,
        years=years,
        calendar_spread=options["calendar_spread"],
        t_statistic=t_statistic,
        p_value=p_value,
        n_unmatched=len(before) - len(known),
        lights=lights_of(episodes, p_value, groups, limits or BackTestLimits()),
        elbe=elbe_test(then, whole, still_open, episodes["realised_rate"].to_numpy(float), horizon, minimum_at_risk),
    )


def years_of_recovery(case: Book, whole: Workout, *, minimum_at_risk: int) -> pd.DataFrame:
    """Hold each calendar year's recoveries of a segment against the segment's curve over all years.

    Parameters
    ----------
    case : Book
        The segment.
    whole : Workout
        Of the whole book.
    minimum_at_risk : int
        As in ``estimate_loss``.

    Returns
    -------
    DataFrame
        From ``calendar_effects``; empty where the segment has too few open episodes for a curve.
    """
    cells = history.triangle.recovery_cells(
        case.episodes, whole.restricted(case).ledger, by=["default_vintage"]
    ).to_pandas()
    try:
        return calendar_effects(cells, remaining_recovery(cells, minimum_at_risk=minimum_at_risk))
    except InsufficientDataError:
        return pd.DataFrame(columns=["year", "n_obligors", "actual_amount", "expected_amount", "ratio", "se_ratio"])


def _losses(
    book: Book, whole: Workout, segment: str, minimum_at_risk: int
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return the episodes in the average, indexed by episode, and the cells of each segment's curve."""
    case = book.restricted(segment)
    losses, cells, _ = expected_losses(case, book, whole, minimum_at_risk=minimum_at_risk)
    return averaged(losses).set_index("episode_id"), cells


def _estimates(before: pd.DataFrame, after: pd.DataFrame, half_width: float) -> pd.DataFrame:
    """Return the average loss as it was seen then and as hindsight sees it, of the same defaults."""
    all_then = float(before["expected_lgd"].mean())
    rows = [
        ("Closed cases only, as known then", before[before["is_closed"]], np.nan, np.nan),
        ("All defaults, as known then", before, all_then - half_width, all_then + half_width),
        ("The same defaults, as known now", after, np.nan, np.nan),
        ("Those of them closed by now", after[after["is_closed"]], np.nan, np.nan),
    ]
    return pd.DataFrame(
        [
            {
                "what": what,
                "lgd": float(frame["expected_lgd"].mean()),
                "lower": lower,
                "upper": upper,
                "n_episodes": len(frame),
                "n_open": int((~frame["is_closed"]).sum()),
            }
            for what, frame, lower, upper in rows
        ]
    )
