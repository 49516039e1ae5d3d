"""The two-sided test of best estimates: by hand, by simulation, and on the sample with the clock set back."""

from pathlib import Path

import numpy as np
import pytest

import recoverykit as rk
from recoverykit.estimators.conditional_recovery import ConditionalRecovery
from recoverykit.portfolio._backtest_elbe import compare_elbe, share_within

SPEC = Path(__file__).parents[1] / "data_samples" / "specs" / "sample.yml"
# Sums of a few numbers in another order.
EXACT = 1e-12
# Share of 90 % two-sided tests of a true estimate that reject: 0.1, with 4 standard errors of 400 books.
NOMINAL, FOUR_ERRORS = 0.10, 0.06


@pytest.fixture(scope="module")
def halves():
    """Each month half of what is outstanding comes and the rest stays open, for three months."""
    half, nothing = np.array([0.0, 0.5, 0.5, 0.5]), np.full(4, np.nan)
    remaining = np.array([0.875, 0.75, 0.5, 0.0])
    return ConditionalRecovery(np.arange(4.0), half, 1 - half, remaining, *[nothing] * 3, np.full(4, 20.0), 0, 0.95)


def test_by_hand_what_a_curve_expects_within_some_months(halves):
    # From default: one month 1/2; two 1/2 + 1/4. From month 1 on, five months reach to the end of the curve, month 3.
    assert share_within(halves, np.array([0.0, 1.0, 3.0, 9.0]), 1).tolist() == [0.5, 0.5, 0.0, 0.0]
    assert share_within(halves, np.array([0.0, 1.0]), 2).tolist() == [0.75, 0.75]
    assert share_within(halves, np.array([0.0, 1.0, 2.0]), 50).tolist() == halves.remaining_share[:3].tolist()


def test_by_hand_of_a_running_month_only_the_days_to_come_count(halves):
    # Halfway through month 1, 1 - 0.5 x 0.5 = 0.75 of the exposure is outstanding. In the half of month 1 that is left
    # 0.25 comes, in the first half of month 2 0.5 x 0.25: 0.375 of 0.75. To the end: 0.25 + 0.5 x 0.75 = 0.625 of 0.75.
    assert share_within(halves, np.array([0.5]), 1).tolist() == pytest.approx([0.5], abs=EXACT)
    assert share_within(halves, np.array([0.5]), 50).tolist() == pytest.approx([0.625 / 0.75], abs=EXACT)
    # Halfway through the last month 0.25 of 0.75, and nothing after it.
    assert share_within(halves, np.array([2.5, 3.5]), 2).tolist() == pytest.approx([1 / 3, 0.0], abs=EXACT)


def test_by_hand_the_test_statistic_and_its_two_sided_p_value():
    to_come = np.array([0.6, 0.6, 0.3, 0.3, 0.9])
    recovered = np.array([0.0, 0.5, 0.0, 0.5, 0.97])  # of the last one 3 % is outstanding: not compared
    realised = np.array([0.5, 0.2, 0.3, 0.0, 0.03])
    found = compare_elbe(to_come, recovered, realised)
    # expected loss 0.4, 0.4, 0.7, 0.7; came 0.5, 0.2 / 0.5 = 0.4, 0.3, 0.0 of the outstanding: lost 0.5, 0.6, 0.7, 1.0
    assert found.predicted == pytest.approx(0.55, abs=EXACT)
    assert found.realised == pytest.approx(0.70, abs=EXACT)
    # differences 0.1, 0.2, 0.0, 0.3: mean 0.15, s = sqrt(0.05 / 3) = 0.12910, T = 2 x 0.15 / 0.12910 = 2.3238
    assert found.t_statistic == pytest.approx(2.3238, abs=5e-5)
    # Student's t with 3 degrees: F(t) = 1/2 + (x / (1 + x^2) + arctan x) / pi, x = t / sqrt 3 = 1.34164
    # F = 0.5 + (0.479157 + 0.930274) / pi = 0.948636; two-sided 2 x 0.051364
    assert found.p_value == pytest.approx(0.10273, abs=2e-5)
    assert (found.n_episodes, found.n_left_out) == (4, 1)


def test_an_estimate_too_high_is_found_as_one_too_low():
    rng = np.random.default_rng(3)
    came = rng.beta(2, 2, 200)
    nothing = np.zeros(200)
    low, high = (compare_elbe(np.full(200, 0.5 + d), nothing, came) for d in (0.1, -0.1))
    assert low.t_statistic > 0 > high.t_statistic  # expecting too much to come is a best estimate too low
    assert max(low.p_value, high.p_value) < 0.01


def test_a_true_estimate_is_rejected_as_often_as_the_level_says():
    rng = np.random.default_rng(11)
    books = [compare_elbe(np.full(60, 0.5), np.zeros(60), rng.beta(2, 2, 60)) for _ in range(400)]
    assert np.mean([book.p_value < NOMINAL for book in books]) == pytest.approx(NOMINAL, abs=FOUR_ERRORS)


def test_without_differences_or_loans_there_is_no_test_and_the_sentence_says_so():
    same = compare_elbe(np.full(20, 0.5), np.zeros(20), np.full(20, 0.5))
    assert np.isnan(same.t_statistic)
    paid = compare_elbe(np.full(20, 0.5), np.ones(20), np.zeros(20))
    assert paid.n_left_out == 20
    for found in (same, paid):
        assert rk.sentence_elbe_test(**found.told()).startswith("Too few open loans")


def test_on_the_sample_it_is_of_the_loans_open_then():
    now = rk.open_book(SPEC)
    then = rk.open_book(SPEC, reporting_date="2024-09-30", freeze=True)
    test = rk.back_test(then, now, "all", policy=rk.discount_policy("eir"), n_bootstrap=2)
    elbe = test.elbe
    assert elbe.n_episodes + elbe.n_left_out == len(test.episodes)
    assert 0 < elbe.predicted < 1
    assert abs(elbe.realised - elbe.predicted) < 0.05  # the sample's recoveries are steady: five points at the most
    assert test.record()["elbe_p_value"] == elbe.p_value
    assert "the t-test has a p-value" in rk.sentence_elbe_test(**elbe.told())
