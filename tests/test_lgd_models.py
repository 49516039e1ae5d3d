"""Models of the loss against the plain segment mean: a better one wins, a useless one does not, a thin book says so."""

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit.errors import RefusedColumnError, SpecError
from recoverykit.estimators import lgd_challenger
from recoverykit.estimators.lgd_comparison import SEGMENT_MEAN, compare_lgd_models, rmse_saved_limits
from recoverykit.portfolio.lgd_models import CHALLENGER, CURE_OF_CLOSED, SURVIVAL, try_lgd_models
from recoverykit.portfolio.loss import averaged, expected_losses
from recoverykit.portfolio.workout import discount_policy, workout

UNDISCOUNTED, AT_EIR = discount_policy("0"), discount_policy("eir")
DRIVERS = ["ltv_ratio", "credit_score", "unemployment_rate_at_default"]
NAMES = {SEGMENT_MEAN, "fractional logit", "beta", "zero-and-one-inflated beta", "two-stage", CURE_OF_CLOSED, SURVIVAL}
# Sums of the same numbers in another order.
EXACT = 1e-12
FEW = {"n_bootstrap": 100}


def simulated(small_book, *, effect, n=800, seed=7, later=1.0):
    """Closed loans of 100: half cure at once, the others lose 50 plus an effect per standard deviation of a driver.

    A loan is lost for a larger part, and cures less often, the higher its driver; one in ten pays all or nothing.
    ``later`` scales what loans that defaulted from 2022 on recover.
    """
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2020-01-31", "2023-12-31", freq="ME")
    loans, flows = [], []
    for number in range(n):
        start, driver, chance, noise = dates[rng.integers(len(dates))], *rng.standard_normal(1), *rng.random(2)
        end = f"{start + pd.offsets.MonthEnd(int(rng.integers(4, 12))):%Y-%m-%d}"
        cures = chance < 1 / (1 + np.exp(effect * driver / 10))
        lost = 5 * noise if cures else np.clip(45 + effect * driver + 10 * noise, 0, 100)
        name = f"L{number:04d}"
        loan = {"facility_id": name, "default_date": f"{start:%Y-%m-%d}", "ltv_ratio": float(driver), "same": 1.0}
        loan |= {"outcome": "cured" if cures else "liquidated", "outcome_date": end}
        lost = (0.0, 100.0, lost)[min(number % 20, 2)]  # one in twenty loses nothing, and one all
        flows.append((name, end, round((100 - lost) * (later if start.year >= 2022 else 1.0), 2)))
        loans.append(loan)
    return small_book(loans, flows)


@pytest.fixture(scope="module")
def strong(small_book):
    book = simulated(small_book, effect=20.0)
    return try_lgd_models(book, policy=UNDISCOUNTED, drivers=["ltv_ratio", "same"], split="2021-12-31", **FEW)


@pytest.fixture(scope="module")
def sample(prepared_book):
    return try_lgd_models(prepared_book, policy=AT_EIR, drivers=DRIVERS, **FEW)


class TestTruth:
    def test_models_that_know_what_drives_the_loss_clearly_beat_the_segment_mean(self, strong):
        table = strong.table.set_index("model")
        assert set(table.index) - {CHALLENGER} == NAMES
        better = table.drop(SEGMENT_MEAN)
        assert (better["lower"] > 0.10).all()
        assert (better["rmse_saved"].between(better["lower"], better["upper"])).all()
        assert table.index[-1] == SEGMENT_MEAN
        assert strong.best == table.index[0]
        assert "is clearly beaten by" in rk.sentence_lgd_models(strong.table)
        assert strong.drivers_left_out == ("same",)

    def test_a_driver_that_does_nothing_saves_nothing(self, small_book):
        book = simulated(small_book, effect=0.0)
        found = try_lgd_models(book, policy=UNDISCOUNTED, drivers=["ltv_ratio"], **FEW).table
        models = found[found["model"] != SEGMENT_MEAN]
        assert (models["lower"] <= 0).all()
        assert (models["rmse_saved"] < 0.01).all()
        assert "is not clearly beaten by any model" in rk.sentence_lgd_models(found)

    def test_what_later_defaults_lose_changes_no_prediction(self, small_book, strong):
        book = simulated(small_book, effect=20.0, later=0.3)
        other = try_lgd_models(book, policy=UNDISCOUNTED, drivers=["ltv_ratio"], split="2021-12-31", **FEW).table
        before, after = (t.set_index("model")[["mean_predicted", "mean_realised"]] for t in (strong.table, other))
        after = after.loc[before.index]
        assert after["mean_predicted"].to_numpy() == pytest.approx(before["mean_predicted"].to_numpy(), abs=EXACT)
        assert (after["mean_realised"] > before["mean_realised"] + 0.05).all()


class TestInterval:
    # Two loans each of two obligors, realised 0 and 1; the mean of 0.5 is 0.5 off everywhere, squared 0.25.
    # The model is 0.3 off on obligor a (squared 0.09) and 0.4 off on obligor b (0.16).
    PREDICTED = pd.DataFrame({SEGMENT_MEAN: [0.5] * 4, "model": [0.3, 0.7, 0.4, 0.6]})
    REALISED = (0.0, 1.0, 0.0, 1.0)

    def test_by_hand_the_draws_lie_between_the_two_obligors(self):
        found = rmse_saved_limits(
            self.PREDICTED, self.REALISED, clusters=["a", "a", "b", "b"], n_bootstrap=400, rng=np.random.default_rng(1)
        )
        # drawn a twice: 1 - 0.3 / 0.5 = 0.4; b twice: 1 - 0.4 / 0.5 = 0.2; each has a chance of a quarter
        assert found.loc["model"].tolist() == pytest.approx([0.2, 0.4], abs=EXACT)
        assert found.loc[SEGMENT_MEAN].tolist() == [0.0, 0.0]

    def test_one_obligor_is_drawn_as_it_is(self):
        one = {"clusters": ["a"] * 4, "n_bootstrap": 5, "rng": np.random.default_rng(1)}
        found = rmse_saved_limits(self.PREDICTED, self.REALISED, **one)
        # mean squared error (0.09 + 0.16) / 2 = 0.125 against 0.25
        assert found.loc["model"].tolist() == pytest.approx([1 - np.sqrt(0.5)] * 2, abs=EXACT)


class TestSample:
    def test_the_two_parts_are_the_episodes_of_the_average_and_do_not_overlap(self, prepared_book, sample):
        losses, _, _ = expected_losses(prepared_book, prepared_book, workout(prepared_book, AT_EIR), minimum_at_risk=20)
        used = averaged(losses)
        assert sample.n_development + sample.n_holdout == len(used)
        assert sample.n_development_open + sample.n_holdout_open == (~used["is_closed"]).sum()
        assert (sample.table["n_holdout"] == sample.n_holdout).all()
        assert (sample.table["n_closed"] == sample.n_holdout - sample.n_holdout_open).all()

    def test_the_measures_are_those_of_the_comparison_of_models(self, prepared_book, sample):
        losses, _, _ = expected_losses(prepared_book, prepared_book, workout(prepared_book, AT_EIR), minimum_at_risk=20)
        further = ["episode_id", "default_date", "product", "region", *DRIVERS]
        frame = averaged(losses).merge(prepared_book.episodes[further], on="episode_id")
        early = frame["default_date"] <= sample.split_date
        formula = "~ product + region + " + " + ".join(f"scale({name})" for name in DRIVERS)
        models = {"fractional logit": rk.FractionalLogitModel(formula=formula, outside="clip")}
        columns = {"loss_col": "expected_lgd", "cluster_col": "obligor_id", "default_month_col": "default_date"}
        expected = compare_lgd_models(models, frame[early], frame[~early], segment_by=sample.segment_by, **columns)
        found = sample.table.set_index("model").loc[expected.index]
        for name in ("mae", "rmse", "r2", "generalised_auc", "spearman", "calibration_slope", "z", "rmse_saved"):
            assert found[name].to_numpy() == pytest.approx(expected[name].to_numpy(), abs=1e-8), name  # order of rows

    def test_the_groups_of_the_best_model_add_up_to_all_later_episodes(self, sample):
        groups, row = sample.deciles, sample.table.set_index("model").loc[sample.best]
        assert groups["n_episodes"].sum() == sample.n_holdout
        for name in ("predicted", "realised"):
            mean = np.average(groups[name], weights=groups["n_episodes"])
            assert mean == pytest.approx(row[f"mean_{name}"], abs=EXACT)

    def test_without_scikit_learn_the_challenger_is_left_out_and_the_page_says_so(
        self, prepared_book, sample, monkeypatch
    ):
        monkeypatch.setattr(lgd_challenger, "HistGradientBoostingRegressor", None)
        found = try_lgd_models(prepared_book, policy=AT_EIR, drivers=DRIVERS, **FEW)
        assert set(found.table["model"]) == NAMES
        words = rk.sentence_models_left_out(found.left_out)
        assert words.startswith("Not in the comparison: gradient boosting (the challenger needs scikit-learn")
        rest = sample.table[sample.table["model"] != CHALLENGER].reset_index(drop=True)
        pd.testing.assert_frame_equal(found.table, rest)


class TestRefusals:
    def test_a_book_too_thin_says_so_in_words(self, small_book):
        book = simulated(small_book, effect=20.0, n=150)
        found = try_lgd_models(book, policy=UNDISCOUNTED, drivers=["ltv_ratio"], **FEW)
        assert found.note == "a comparison needs 100 closed episodes before the split and as many after it"
        assert "needs 100 closed episodes" in rk.sentence_lgd_models(found.table, note=found.note)
        assert found.best == ""
        assert rk.plot_lgd_models(found.table).alt
        assert rk.plot_lgd_calibration(found.deciles).alt
        assert rk.show_table(found.shown(), caption="Models", count_col="n_holdout").text

    def test_without_anything_to_tell_losses_apart_there_is_a_reason(self, small_book):
        book = simulated(small_book, effect=20.0, n=500)
        found = try_lgd_models(book, policy=UNDISCOUNTED, drivers=["same", "absent"], **FEW)
        assert found.note == "no driver differs between the episodes"
        assert found.drivers_left_out == ("same", "absent")

    def test_a_split_beyond_the_defaults_leaves_nobody_to_judge(self, prepared_book):
        found = try_lgd_models(prepared_book, policy=AT_EIR, drivers=DRIVERS, split="2030-12-31", **FEW)
        assert found.n_holdout == 0
        assert found.note

    def test_what_is_known_only_afterwards_and_a_split_that_is_no_date_are_refused(self, prepared_book):
        with pytest.raises(RefusedColumnError):
            try_lgd_models(prepared_book, policy=AT_EIR, drivers=["outcome"])
        with pytest.raises(SpecError, match="split is '31/12/2024'"):
            try_lgd_models(prepared_book, policy=AT_EIR, drivers=DRIVERS, split="31/12/2024")


class TestFigures:
    def test_each_model_stands_with_both_judgements_and_the_row_to_beat_is_the_line(self, sample):
        axes = rk.plot_lgd_models(sample.table).axes[0]
        line, everyone, closed = axes.lines
        models = sample.table[sample.table["model"] != SEGMENT_MEAN]
        assert list(line.get_xdata()) == [0, 0]
        assert list(everyone.get_xdata()) == pytest.approx((100 * models["rmse_saved"]).tolist())
        assert list(closed.get_xdata()) == pytest.approx((100 * models["rmse_saved_closed"]).tolist())
        assert [t.get_text().lower() for t in axes.get_yticklabels()] == models["model"].tolist()

    def test_the_groups_are_drawn_as_predicted_against_what_came(self, sample):
        figure = rk.plot_lgd_calibration(sample.deciles)
        _, dots = figure.axes[0].lines
        assert list(dots.get_xdata()) == pytest.approx(sample.deciles["predicted"].tolist())
        assert list(dots.get_ydata()) == pytest.approx(sample.deciles["realised"].tolist())
        assert f"of {len(sample.deciles)} groups" in figure.alt
