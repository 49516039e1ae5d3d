"""How often luck alone pays a bonus: closed forms, by hand and by simulation."""

import numpy as np
import pytest
from scipy import stats

import recoverykit as rk
from recoverykit.operations._bonus import needed

#: Standard errors of a simulated share that a test allows.
N_ERRORS = 4.5
CLOSE = 1e-9


def luck(**options):
    return rk.bonus_luck(rng=np.random.default_rng(1), **{"n_draws": 100} | options)


def test_ninety_of_a_hundred_do_not_exceed_ninety_per_cent():
    assert needed(np.array([10, 100, 30, 31]), 0.9).tolist() == [10, 91, 28, 28]


def test_chance_of_ten_in_ten_by_hand():
    # above 90 % of ten cases means all ten: 0.9 ** 10 = 0.34868
    chances = luck(n_cases=[10], true_rates=[0.9, 0.8]).chances
    assert chances["prob_paid"].tolist() == pytest.approx([0.9**10, 0.8**10])
    assert chances["expected_bonus_rate"].tolist() == pytest.approx([0.2 * 0.9**10, 0.2 * 0.8**10])


def test_with_equally_likely_true_rates_every_count_is_equally_likely():
    # a uniform law is beta(1, 1): mean 1/2, standard deviation sqrt(1/12). Of 0 ... 10 successes only 10 is paid: 1/11.
    # Paid and truly not above 0.9: integral of p^10 to 0.9 = 0.9^11 / 11, of the 0.9 that are below: 0.9^10 / 11.
    row = luck(n_cases=[10], mean_rate=0.5, sd_rate=np.sqrt(1 / 12)).errors.iloc[0]
    assert row["prob_paid"] == pytest.approx(1 / 11)
    assert row["below_paid"] == pytest.approx(0.9**11 / 11 / 0.9)
    assert row["paid_below"] == pytest.approx(0.9**11)
    assert row["above_unpaid"] == pytest.approx((0.1 - (1 - 0.9**11) / 11) / 0.1)


def test_closed_form_agrees_with_numerical_integration():
    row = luck(n_cases=[75], mean_rate=0.88, sd_rate=0.04).errors.iloc[0]
    total = 0.88 * 0.12 / 0.04**2 - 1
    law = stats.beta(0.88 * total, 0.12 * total)
    grid, weights = np.polynomial.legendre.leggauss(400)
    below = (grid + 1) / 2 * 0.9
    paid = stats.binom.sf(67, 75, below)  # 0.9 * 75 = 67.5: 68 are needed
    both = np.sum(weights * 0.45 * law.pdf(below) * paid)
    assert row["below_paid"] == pytest.approx(both / law.cdf(0.9), rel=1e-6)


def test_simulation_agrees_with_the_closed_form():
    errors = luck(n_cases=[30, 200], n_draws=200_000).errors
    for name in ("prob_paid", "below_paid", "above_unpaid", "paid_below"):
        share = errors[name]
        error = np.sqrt(share * (1 - share) / (0.3 * 200_000))  # at least 0.3 of the draws stand behind each
        assert (np.abs(share - errors[f"{name}_simulated"]) < N_ERRORS * error).all()


def test_luck_weighs_less_in_larger_units():
    errors = luck(n_cases=[30, 100, 1000, 10_000]).errors
    assert errors["below_paid"].is_monotonic_decreasing
    assert errors["above_unpaid"].is_monotonic_decreasing


def test_concentrated_money_makes_luck_weigh_more():
    amounts = np.random.default_rng(2).lognormal(0, 1.5, 500)
    errors = luck(n_cases=[500], amounts=amounts, n_draws=4000).errors.iloc[0]
    even = luck(n_cases=[500], amounts=[7.0], n_draws=4000).errors.iloc[0]
    assert errors["below_paid_by_amount"] > errors["below_paid_simulated"] + 0.05
    assert even["below_paid_by_amount"] == pytest.approx(even["below_paid"], abs=0.03)


def test_what_is_wrong_is_said_at_once():
    with pytest.raises(ValueError, match=r"no beta law.*threshold"):
        luck(mean_rate=0.9, sd_rate=0.5, threshold=1.0)
