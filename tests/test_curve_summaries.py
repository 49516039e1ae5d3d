"""Restricted mean time and conditional curves: by hand, against re-estimation, and what must always hold."""

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time

from recoverykit.curves import StepCurve
from recoverykit.errors import ExtrapolationError, InsufficientDataError
from recoverykit.estimators.curve_summaries import conditional_on_open, restricted_mean
from recoverykit.estimators.nonparametric import aalen_johansen, kaplan_meier, nelson_aalen

EXACT = 1e-12  # sums and products of a few dozen numbers of order 1
VARIANCE_ROUNDING = 1e-7  # square root of a rounding of 1e-14 in a variance

SIX = pd.DataFrame(
    {"months": [2, 4, 4, 6, 8, 10], "outcome": ["cured", "cured", "sold", "open", "sold", "open"]}
).assign(resolved=lambda f: f["outcome"] != "open")


def km(frame, **options):
    return kaplan_meier(frame, duration_col="months", event_col="resolved", **options)


def aj(frame, **options):
    return aalen_johansen(frame, duration_col="months", outcome_col="outcome", **options)


def random_book(seed, n=200):
    rng = np.random.default_rng(seed)
    outcome = rng.choice(["cured", "sold", "open"], n, p=[0.5, 0.2, 0.3])
    return pd.DataFrame({"months": rng.integers(0, 25, n), "outcome": outcome, "weight": rng.integers(1, 4, n)}).assign(
        resolved=lambda f: f["outcome"] != "open"
    )


class TestRestrictedMean:
    def test_area_and_error_of_six_loans_by_hand(self):
        # S: 1 to month 2, 5/6 to 4, 5/6 * 3/5 = 1/2 to 8, 1/4 after. Horizon 9:
        # 2 + 2 * 5/6 + 4 * 1/2 + 1 * 1/4 = 5.91667
        got = restricted_mean(km(SIX), 9)
        assert got.value == pytest.approx(2 + 10 / 6 + 2 + 1 / 4, abs=EXACT)
        # A_i after each event: month 2: 3.91667, month 4: 2.25, month 8: 0.25
        # d/(Y(Y-d)): 1/(6*5), 2/(5*3), 1/(2*1)
        variance = (10 / 6 + 2.25) ** 2 / 30 + 2.25**2 * 2 / 15 + 0.25**2 / 2
        assert got.standard_error == pytest.approx(np.sqrt(variance), abs=EXACT)
        assert got.lower == pytest.approx(got.value - 1.959963984540054 * got.standard_error, abs=EXACT)

    def test_without_censoring_it_is_the_mean_of_the_shortened_times(self):
        frame = random_book(1).assign(resolved=True)
        shortened = frame["months"].clip(upper=15)
        got = restricted_mean(km(frame), 15)
        assert got.value == pytest.approx(shortened.mean(), abs=1e-10)  # 200 terms up to 15
        # Without censoring Greenwood's area variance is the variance of the mean, with divisor n.
        assert got.standard_error == pytest.approx(np.sqrt(shortened.var(ddof=0) / len(frame)), abs=1e-10)

    def test_value_agrees_with_lifelines(self):
        frame = random_book(2)
        peer = restricted_mean_survival_time(KaplanMeierFitter().fit(frame["months"], frame["resolved"]), t=18)
        assert restricted_mean(km(frame), 18).value == pytest.approx(peer, abs=1e-10)

    def test_a_curve_that_ends_at_zero_has_an_error_all_the_same(self):
        got = restricted_mean(km(SIX.assign(resolved=True)), 10)
        assert got.value == pytest.approx(SIX["months"].mean(), abs=EXACT)
        assert got.standard_error == pytest.approx(SIX["months"].std(ddof=0) / np.sqrt(6), abs=EXACT)

    def test_a_longer_horizon_never_takes_time_away(self):
        curve = km(random_book(3))
        values = [restricted_mean(curve, horizon).value for horizon in range(1, 24)]
        assert np.all(np.diff(values) >= 0)
        assert all(value <= horizon for value, horizon in zip(values, range(1, 24), strict=True))

    def test_a_curve_without_errors_gives_a_value_and_none_in_the_record(self):
        curve = StepCurve(times=[0, 5], values=[1, 0.5], lower=[1, 0.5], upper=[1, 0.5])
        record = restricted_mean(curve, 5).to_record()
        assert record["value"] == 5.0
        assert record["standard_error"] is None

    @pytest.mark.parametrize(("horizon", "error"), [(0, ValueError), (-3, ValueError), (11, ExtrapolationError)])
    def test_a_horizon_outside_the_curve_is_refused(self, horizon, error):
        with pytest.raises(error, match="horizon"):
            restricted_mean(km(SIX), horizon)

    def test_a_horizon_that_an_open_episode_has_behind_it_is_refused(self):
        curve = conditional_on_open(km(SIX), 5)
        with pytest.raises(ExtrapolationError, match="known from month 5 to 10"):
            restricted_mean(curve, 3)
        # Half of those open at month 5 go at month 8: 8 + 2 * 1/2. Nobody's mean lies below the months gone by.
        got = restricted_mean(curve, 10)
        assert got.value == pytest.approx(9, abs=EXACT)
        assert restricted_mean(km(SIX.assign(weight=0.01), weights_col="weight"), 10).lower == 0
        assert restricted_mean(conditional_on_open(km(SIX.assign(weight=0.01), weights_col="weight"), 5), 10).lower == 5

    def test_a_rising_curve_is_refused(self):
        with pytest.raises(ValueError, match="rises"):
            restricted_mean(aj(SIX)["cured"], 8)

    def test_a_curve_on_a_reporting_grid_is_refused(self):
        with pytest.raises(ValueError, match="reporting grid"):
            restricted_mean(km(SIX, at=[5, 10]), 8)


class TestConditionalOnOpen:
    def test_survival_of_six_loans_given_open_at_month_five(self):
        # S(5) = 1/2, S(8) = 1/4.
        curve = conditional_on_open(km(SIX), 5)
        np.testing.assert_allclose(curve.times, [5, 6, 8, 10])
        np.testing.assert_allclose(curve.values, [1, 1, 1 / 2, 1 / 2], atol=EXACT)
        # Of the two at risk at month 8 one goes: 1/2 * sqrt(1 / (2 * 1)).
        np.testing.assert_allclose(curve.standard_errors, [0, 0, np.sqrt(1 / 8), np.sqrt(1 / 8)], atol=EXACT)
        np.testing.assert_allclose(curve.n_at_risk, [3, 3, 2, 1])

    def test_incidence_of_six_loans_given_open_at_month_two(self):
        # S(2) = 5/6; cured at 4: 1/6 of all, so 1/5 of the open; sold 1/5 at 4, then half of 3/5 at 8.
        curves = conditional_on_open(aj(SIX), 2)
        assert curves["cured"](10).item() == pytest.approx(1 / 5, abs=EXACT)
        assert curves["sold"](10).item() == pytest.approx(1 / 5 + 3 / 10, abs=EXACT)

    @pytest.mark.parametrize("month", [0, 3, 7.5, 12])
    def test_it_is_the_curve_of_the_episodes_open_then(self, month):
        # Only episodes that outlast the month, entering at it. Month 0 as an entry would admit events at 0, so they
        # enter just after.
        book = random_book(4)
        left = book[book["months"] > month].assign(entry=max(month, 1e-9))
        options = {"weights_col": "weight"}
        got, want = conditional_on_open(km(book, **options), month), km(left, entry_col="entry", **options)
        later = want.times > month
        assert_same(got, want, later)
        many, wanted = conditional_on_open(aj(book, **options), month), aj(left, entry_col="entry", **options)
        assert list(many) == list(wanted)
        for outcome, curve in many.items():
            assert_same(curve, wanted[outcome], later)

    def test_the_parts_add_up_to_one(self):
        book = random_book(5)
        still = conditional_on_open(km(book), 6)
        parts = sum(curve.values for curve in conditional_on_open(aj(book), 6).values())
        np.testing.assert_allclose(parts + still.values, 1.0, atol=EXACT)

    def test_the_last_of_a_large_closed_book_is_certain_as_in_a_curve_of_its_own(self):
        # 1 - F is 1e-5 before the last month, with the rounding of a sum of order 1.
        weight = np.round(1e5 * np.exp(-np.arange(60) / 6) * (1 - np.exp(-1 / 6)))
        book = pd.DataFrame({"months": np.arange(1, 61), "outcome": "cured", "weight": weight}).query("weight > 0")
        month = book["months"].max() - 2
        left = book[book["months"] > month].assign(entry=month)
        got = conditional_on_open(aj(book, weights_col="weight"), month)["cured"]
        want = aj(left, weights_col="weight", entry_col="entry")["cured"]
        assert got.values[-1] == 1
        np.testing.assert_array_equal(np.isnan(got.standard_errors[1:]), np.isnan(want.standard_errors[-2:]))

    def test_conditioning_twice_is_conditioning_on_the_later_month(self):
        curve = km(random_book(6))
        twice, once = conditional_on_open(conditional_on_open(curve, 4), 9), conditional_on_open(curve, 9)
        np.testing.assert_allclose(twice.values, once.values, atol=EXACT)
        np.testing.assert_allclose(twice.standard_errors, once.standard_errors, atol=EXACT)

    def test_at_the_last_month_nothing_more_is_known(self):
        curve = conditional_on_open(km(SIX), 10)
        np.testing.assert_allclose(curve.times, [10])
        np.testing.assert_allclose(curve.values, [1])

    def test_the_months_before_are_outside_its_domain(self):
        with pytest.raises(ExtrapolationError, match="month 5"):
            conditional_on_open(km(SIX), 5)(4)

    def test_a_month_when_nobody_is_open_is_refused(self):
        with pytest.raises(InsufficientDataError, match="still open after month 10"):
            conditional_on_open(km(SIX.assign(resolved=True)), 10)

    def test_a_month_beyond_the_curve_is_refused(self):
        with pytest.raises(ExtrapolationError):
            conditional_on_open(km(SIX), 11)

    def test_a_curve_on_a_reporting_grid_is_refused(self):
        with pytest.raises(ValueError, match="reporting grid"):
            conditional_on_open(aj(SIX, at=[5, 10]), 5)

    def test_curves_of_different_segments_are_refused(self):
        with pytest.raises(ValueError, match="different times"):
            conditional_on_open({"cured": aj(SIX)["cured"], "sold": aj(SIX.head(5))["sold"]}, 3)

    def test_a_book_without_outcomes_has_no_curve(self):
        with pytest.raises(InsufficientDataError, match="no curve"):
            conditional_on_open({}, 3)

    def test_an_unknown_interval_is_refused(self):
        with pytest.raises(ValueError, match="interval"):
            conditional_on_open(km(SIX), 3, interval="wald")

    def test_a_cumulative_hazard_is_no_share(self):
        with pytest.raises(ValueError, match="rises"):
            restricted_mean(nelson_aalen(SIX, duration_col="months", event_col="resolved"), 8)
        with pytest.raises(ValueError, match="survival curve that falls"):
            conditional_on_open(nelson_aalen(SIX, duration_col="months", event_col="resolved"), 3)


def assert_same(got, want, later):
    np.testing.assert_allclose(got.times[1:], want.times[later], atol=EXACT)
    np.testing.assert_allclose(got.values[1:], want.values[later], atol=EXACT)
    np.testing.assert_allclose(got.n_at_risk[1:], want.n_at_risk[later], atol=EXACT)
    np.testing.assert_allclose(got.standard_errors[1:], want.standard_errors[later], atol=VARIANCE_ROUNDING)
    np.testing.assert_allclose(got.lower[1:], want.lower[later], atol=10 * VARIANCE_ROUNDING)
