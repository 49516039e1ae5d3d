"""The interval of a loss that is the sum of its endings: by hand, identities, and coverage of a simulated truth."""

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit.estimators.outcome_draws import LossPart, draw_incidence, draw_mean_losses, sum_limits
from recoverykit.portfolio.outcome_loss import estimate_outcome_losses
from recoverykit.portfolio.workout import discount_policy

UNDISCOUNTED = discount_policy("0")
EXACT = 1e-12


def simulated(small_book, *, n, seed):
    """Loans of 100: half are repaid at 95 within some months, half written off at 30 to 70, by obligor."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2019-01-31", "2023-12-31", freq="ME")
    loans, flows = [], []
    for number in range(n):
        start, is_good = dates[rng.integers(len(dates))], rng.random() < 0.5
        end = start + pd.offsets.MonthEnd(int(np.ceil((6 if is_good else 18) * rng.weibull(1.6))))
        name = f"L{number:04d}"
        loan = {"facility_id": name, "obligor_id": f"o{number}", "default_date": f"{start:%Y-%m-%d}"}
        paid = 95.0 if is_good else round(float(rng.uniform(30, 70)), 2)
        if end <= pd.Timestamp("2024-06-30"):
            date = f"{end:%Y-%m-%d}"
            loan |= {"outcome": "repaid" if is_good else "written_off", "outcome_date": date}
            flows.append((name, date, paid))
        else:
            loan |= {"outstanding": 100.0}
        loans.append(loan)
    return small_book(loans, flows)


#: 0.5 x 5 % + 0.5 x 50 %: when a loan ends says nothing of what it loses.
TRUE_LOSS = 0.275


class TestByHand:
    # Obligor a has two losses of the first part and one of the second, b one of the first.
    FIRST = LossPart(["a", "a", "b"], np.array([0.2, 0.4, 0.9]), np.array([1.0, 1.0, 2.0]))
    SECOND = LossPart(["a"], np.array([0.5]), np.array([3.0]))

    def test_each_draw_is_one_of_three_mixtures_of_two_obligors(self):
        drawn = draw_mean_losses([self.FIRST, self.SECOND], rng=np.random.default_rng(1), n_draws=200)
        # twice a: (0.2 + 0.4) / 2 = 0.3; a and b: (0.6 + 1.8) / 4 = 0.6; twice b: 0.9, and nobody of the second part
        first, second = drawn.T
        assert set(first.round(12)) == {0.3, 0.6, 0.9}
        assert np.isnan(second[first.round(12) == 0.9]).all()
        assert second[first.round(12) < 0.9] == pytest.approx(0.5, abs=EXACT)

    def test_the_sum_is_taken_draw_by_draw(self):
        # draws of two outcomes: 0.4 x 0.1 + 0.6 x 0.5 = 0.34 and 0.2 x 0.2 + 0.8 x 0.6 = 0.52
        chances = np.array([[[0.4, 0.6]], [[0.2, 0.8]]])
        losses = np.array([[[0.1, 0.5]], [[0.2, 0.6]]])
        lower, upper = sum_limits(chances, losses, level=0.5)  # a quarter of the way from either end
        assert (lower[0], upper[0]) == pytest.approx((0.385, 0.475), abs=EXACT)


@pytest.fixture(scope="module")
def book(small_book):
    return simulated(small_book, n=500, seed=1)


@pytest.fixture(scope="module")
def found(book):
    return estimate_outcome_losses(book, "all", policy=UNDISCOUNTED, n_bootstrap=400, seed=2)


class TestBook:
    def test_the_interval_holds_the_sum_and_the_draws_do_not_move_it(self, book, found):
        plain = estimate_outcome_losses(book, "all", policy=UNDISCOUNTED)
        assert plain.lgd == found.lgd
        assert np.isnan(plain.interval).all()
        lower, upper = found.interval
        assert lower < found.lgd < upper
        known = found.by_month.dropna()
        assert ((known["lower"] < known["lgd"]) & (known["lgd"] < known["upper"])).all()

    def test_it_is_about_as_wide_as_the_spread_of_single_losses_over_the_root_of_their_number(self, found):
        # Variance of a loss: between the endings (0.45 / 2)^2 = 0.0506, within them (0.4^2 / 12) / 2 = 0.0067;
        # together 0.0573, the square of 0.239.
        # 500 loans: 2 x 1.96 x 0.239 / sqrt 500 = 0.042; censoring widens it a little.
        lower, upper = found.interval
        assert upper - lower == pytest.approx(0.044, abs=0.006)

    def test_the_same_seed_gives_the_same_interval(self, book, found):
        again = estimate_outcome_losses(book, "all", policy=UNDISCOUNTED, n_bootstrap=400, seed=2)
        pd.testing.assert_frame_equal(again.by_month, found.by_month)

    def test_the_sentence_tells_it(self, found):
        words = rk.sentence_outcome_losses(found.of_new_defaults(), all_in=found.lgd, interval=found.interval)
        assert rk.format_share(found.interval[0]) in words


def test_drawn_probabilities_add_up_to_one_and_centre_on_the_model():
    rng = np.random.default_rng(3)
    is_good = rng.random(600) < 0.5
    months = np.ceil(np.where(is_good, 6, 18) * rng.weibull(1.6, 600))
    frame = pd.DataFrame({"months": months, "outcome": np.where(is_good, "repaid", "written_off")})
    fit = rk.CompetingOutcomesModel(distribution="weibull").fit(frame, duration_col="months", outcome_col="outcome")
    drawn = draw_incidence(fit, frame.head(1), given_open_at=np.array([0.0]), rng=rng, n_draws=400)
    assert drawn.sum(axis=2) == pytest.approx(1.0, abs=1e-9)
    told = fit.predict_incidence(frame.head(1)).to_numpy()[0]
    # the standard error of a share of 600 is 0.02; of the mean of 400 draws a twentieth of it, times four
    assert drawn.mean(axis=0)[0] == pytest.approx(told, abs=0.004)


@pytest.mark.slow
def test_ninety_per_cent_intervals_cover_the_true_loss_of_simulated_books(small_book):
    n_books, held = 80, 0
    for seed in range(n_books):
        book = simulated(small_book, n=300, seed=100 + seed)
        found = estimate_outcome_losses(
            book, "all", policy=UNDISCOUNTED, months=(), n_bootstrap=200, seed=seed, level=0.90
        )
        held += found.interval[0] <= TRUE_LOSS <= found.interval[1]
    # 80 books at 90 %: a standard error of 3.4 points; two and a half of them on either side
    assert 0.815 <= held / n_books <= 0.985
