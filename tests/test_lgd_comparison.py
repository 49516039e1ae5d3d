"""The comparison of LGD models on one split: measures by hand and against other programs, and what it refuses."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import somersd, spearmanr

from recoverykit.errors import ContractError, ExtrapolationError, InsufficientDataError, RefusedColumnError
from recoverykit.estimators.beta_regression import BetaRegressionModel
from recoverykit.estimators.fractional_logit import FractionalLogitModel
from recoverykit.estimators.lgd_challenger import BoostedLgdModel
from recoverykit.estimators.lgd_comparison import SEGMENT_MEAN, compare_lgd_models, lgd_accuracy, rmse_saved_limits
from recoverykit.estimators.mixture_cure import MixtureCureModel
from recoverykit.estimators.survival_lgd import SurvivalLgdModel
from recoverykit.estimators.two_stage_lgd import CureLgdModel, TwoStageLgdModel
from recoverykit.estimators.zero_one_inflated_beta import ZeroOneInflatedBetaModel

DCR = (
    Path(os.environ.get("RECOVERYKIT_REFERENCE") or Path(__file__).parents[2] / "shared" / "reference") / "lgd/dcr.csv"
)
#: Sums in another order.
ROUNDING = 1e-9

MODELS = {
    "fractional": FractionalLogitModel(formula="~ product + ltv"),
    "squeezed beta": BetaRegressionModel(formula="~ product + ltv", on_boundary="squeeze"),
    "inflated": ZeroOneInflatedBetaModel(formula="~ product + ltv", zero="~ ltv", one="~ product"),
    "two-stage": TwoStageLgdModel(any_loss="~ ltv", loss_given_loss="~ product + ltv"),
}


def episodes(n=2000, *, seed=0):
    """Simulate losses over two years of defaults, with some of exactly 0 and 1."""
    rng = np.random.default_rng(seed)
    product, ltv = rng.choice(["card", "loan"], n), rng.normal(size=n)
    mu = 1 / (1 + np.exp(-(0.6 * (product == "card") + 0.9 * ltv)))
    loss = rng.beta(3 * mu, 3 * (1 - mu))
    loss = np.where(rng.random(n) < 0.2 * (1 - mu), 0.0, np.where(rng.random(n) < 0.1, 1.0, loss))
    month = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 730, n)), unit="D")
    return pd.DataFrame(
        {"product": product, "ltv": ltv, "default_date": month, "realised_lgd": loss, "obligor": np.arange(n) // 2}
    )


def split(frame, date="2024-01-01"):
    return frame[frame["default_date"] < date], frame[frame["default_date"] >= date]


class TestMeasures:
    def test_by_hand(self):
        # errors -.1 -.1 +.4 +.2: MAE .8/4, MSE .22/4; variance of 0 .2 .6 1 about .45: .59/4
        found = lgd_accuracy([0.0, 0.2, 0.6, 1.0], [0.1, 0.3, 0.2, 0.8])
        assert found["mae"] == pytest.approx(0.2)
        assert found["rmse"] == pytest.approx(np.sqrt(0.055))
        assert found["r2"] == pytest.approx(1 - 0.22 / 0.59)
        # six pairs, one of them (0.2 and 0.6) in the wrong order
        assert found["generalised_auc"] == pytest.approx(5 / 6)
        assert found["gini"] == pytest.approx(4 / 6)
        # ranks 1 2 3 4 and 1 3 2 4: 1 - 6 * 2 / (4 * 15)
        assert found["spearman"] == pytest.approx(0.8)
        assert (found["mean_realised"], found["mean_predicted"]) == (pytest.approx(0.45), pytest.approx(0.35))
        # z: mean gap .1; gaps about it -.2 -.2 .3 .1, root of .18 over 4
        assert found["z"] == pytest.approx(0.1 / (np.sqrt(0.18) / 4))

    def test_other_programs_with_ties(self):
        rng = np.random.default_rng(5)
        realised, predicted = rng.integers(0, 6, 300) / 5, rng.integers(0, 8, 300) / 7
        found = lgd_accuracy(realised, predicted)
        # scipy's D of y given x does not count pairs tied in x; ours does not count pairs of equal losses
        assert found["gini"] == pytest.approx(somersd(realised, predicted).statistic, rel=ROUNDING)
        assert found["spearman"] == pytest.approx(spearmanr(realised, predicted).statistic, rel=ROUNDING)
        line = sm.OLS(realised, sm.add_constant(predicted)).fit()
        assert [found["calibration_intercept"], found["calibration_slope"]] == pytest.approx(list(line.params))

    def test_weight_two_is_the_episode_twice(self):
        rng = np.random.default_rng(6)
        realised, predicted = rng.integers(0, 9, 60) / 8, rng.random(60)
        weights = np.where(np.arange(60) % 3 == 0, 2.0, 1.0)
        obligor = np.arange(60)
        again = np.repeat(obligor, weights.astype(int))
        one = lgd_accuracy(realised, predicted, weights=weights, clusters=obligor)
        two = lgd_accuracy(realised[again], predicted[again], clusters=again)
        assert one == pytest.approx(two, rel=ROUNDING)
        # Without clusters the two are independent, as two rows are.
        single = lgd_accuracy(realised, predicted, weights=weights)
        assert single == pytest.approx(lgd_accuracy(realised[again], predicted[again]), rel=ROUNDING)

    def test_a_perfect_prediction(self):
        found = lgd_accuracy([0.0, 0.3, 1.0], [0.0, 0.3, 1.0])
        assert (found["rmse"], found["r2"], found["gini"]) == (0.0, 1.0, 1.0)
        assert (found["spearman"], found["calibration_slope"]) == (pytest.approx(1.0), pytest.approx(1.0))
        assert np.isnan(found["z"])

    def test_predictions_that_are_all_the_same_rank_nothing(self):
        found = lgd_accuracy([0.0, 0.3, 1.0], [0.4, 0.4, 0.4])
        assert np.isnan([found[name] for name in ("generalised_auc", "gini", "spearman", "calibration_slope")]).all()
        assert found["mae"] == pytest.approx((0.4 + 0.1 + 0.6) / 3)

    def test_clusters_widen_the_test_of_the_level(self):
        realised = np.repeat([0.1, 0.5, 0.9, 0.3], 25)
        plain = lgd_accuracy(realised, np.full(100, 0.4))
        tied = lgd_accuracy(realised, np.full(100, 0.4), clusters=np.repeat(np.arange(4), 25))
        assert tied["z"] == pytest.approx(plain["z"] / 5)  # 25 copies: an error 5 times as large

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (([0.1], [0.1, 0.2]), "one length"),
            (([0.1, np.nan], [0.1, 0.2]), "finite"),
            (([], []), "not empty"),
        ],
    )
    def test_arrays_that_do_not_fit_are_refused(self, arguments, words):
        with pytest.raises(ValueError, match=words):
            lgd_accuracy(*arguments)

    def test_clusters_that_are_missing_are_refused(self):
        with pytest.raises(ValueError, match="clusters must not be missing"):
            lgd_accuracy([0.1, 0.2], [0.1, 0.3], clusters=["a", None])
        predicted = pd.DataFrame({SEGMENT_MEAN: [0.5, 0.5]})
        with pytest.raises(ValueError, match="clusters must not be missing"):
            rmse_saved_limits(predicted, [0.1, 0.2], clusters=["a", None], n_bootstrap=2, rng=np.random.default_rng(1))


class TestComparison:
    def test_the_table_has_every_model_and_the_row_to_beat(self):
        development, holdout = split(episodes())
        table = compare_lgd_models(
            MODELS, development, holdout, segment_by=["product"], default_month_col="default_date"
        )
        assert set(table.index) == {*MODELS, SEGMENT_MEAN}
        assert table["rmse"].is_monotonic_increasing
        assert table.loc[SEGMENT_MEAN, "rmse_saved"] == 0.0
        assert (table.drop(index=SEGMENT_MEAN)["rmse_saved"] > 0.05).all()
        assert (table["n_holdout"] == len(holdout)).all()
        assert table.index[-1] == SEGMENT_MEAN

    def test_a_row_is_the_measure_of_that_fit_on_the_holdout(self):
        development, holdout = split(episodes())
        table = compare_lgd_models({"one": MODELS["fractional"]}, development, holdout, cluster_col="obligor")
        predicted = MODELS["fractional"].fit(development).predict(holdout)
        found = lgd_accuracy(holdout["realised_lgd"], predicted, clusters=holdout["obligor"])
        assert table.loc["one", list(found)].to_dict() == pytest.approx(found)

    def test_the_plain_mean_is_the_mean_of_the_development_segment(self):
        development, holdout = split(episodes())
        table = compare_lgd_models(MODELS, development, holdout, segment_by=["product"])
        means = development.groupby("product")["realised_lgd"].mean()
        gap = holdout["realised_lgd"] - holdout["product"].map(means)
        assert table.loc[SEGMENT_MEAN, "mae"] == pytest.approx(gap.abs().mean())

    def test_drivers_without_information_do_not_beat_the_mean(self):
        frame = episodes(4000).assign(noise=np.random.default_rng(9).normal(size=4000))
        table = compare_lgd_models({"noise": FractionalLogitModel(formula="~ bs(noise, df=20)")}, *split(frame))
        assert table.loc["noise", "rmse_saved"] < 0.002

    def test_neither_frame_is_changed(self):
        frames = split(episodes())
        before = [f.copy() for f in frames]
        compare_lgd_models(MODELS, *frames)
        for one, two in zip(frames, before, strict=True):
            pd.testing.assert_frame_equal(one, two)

    def test_a_split_that_is_not_out_of_time_is_refused(self):
        frame = episodes()
        with pytest.raises(ContractError, match="out of time"):
            compare_lgd_models(MODELS, frame[::2], frame[1::2], default_month_col="default_date")

    def test_faults_of_the_holdout_are_named(self):
        development, holdout = split(episodes())
        holdout = holdout.assign(n=1.0)
        holdout.iloc[0, holdout.columns.get_loc("realised_lgd")] = np.nan
        with pytest.raises(ContractError, match=r"holdout: realised_lgd must be a number"):
            compare_lgd_models(MODELS, development.assign(n=1.0), holdout, weights_col="n")
        with pytest.raises(ContractError, match=r"development: column 'n' is missing"):
            compare_lgd_models(MODELS, development, holdout, weights_col="n")
        with pytest.raises(InsufficientDataError, match="one episode only"):
            compare_lgd_models(MODELS, development, holdout.tail(1))

    def test_the_error_of_a_model_bears_its_name(self):
        development, holdout = split(episodes())
        with pytest.raises(ExtrapolationError) as raised:
            compare_lgd_models({"mine": MODELS["fractional"]}, development, holdout.assign(product="boat"))
        assert any("'mine'" in note for note in raised.value.__notes__)

    def test_models_are_named_and_the_row_to_beat_is_taken(self):
        frames = split(episodes())
        for models in ({}, {SEGMENT_MEAN: MODELS["fractional"]}):
            with pytest.raises(ValueError, match="segment mean"):
                compare_lgd_models(models, *frames)

    def test_cure_models_enter_the_same_table(self):
        frame = episodes()
        frame["outcome"] = np.where(frame["realised_lgd"] == 0, "cured", "sold")
        frame["month"] = np.where(frame["outcome"] == "cured", 1.0 + np.arange(len(frame)) % 7, 30.0)
        frame["had_cure"] = frame["outcome"] == "cured"
        development, holdout = split(frame)
        columns = {"duration_col": "month", "event_col": "had_cure"}
        cures = MixtureCureModel(incidence="~ ltv").fit(development, **columns)
        models = {
            "closed": CureLgdModel(cure="~ ltv", loss_given_no_cure="~ product + ltv"),
            "survival": SurvivalLgdModel(cure_fit=cures, loss_given_no_cure="~ product + ltv"),
        }
        table = compare_lgd_models(models, development, holdout, segment_by=["product"])
        assert set(table.index) == {"closed", "survival", SEGMENT_MEAN}
        assert (table["rmse"] > 0).all()


@pytest.mark.skipif(not DCR.is_file(), reason=f"no {DCR} (RECOVERYKIT_REFERENCE)")
def test_on_public_mortgages_every_regression_beats_the_plain_mean_out_of_time():
    # Roesch & Scheule: defaults to quarter 32 resolved by quarter 40, against the defaults after quarter 32
    panel = pd.read_csv(DCR)
    closed = panel[(panel["default_time"] == 1) & panel["res_time"].notna()].rename(
        columns={"lgd_time": "realised_lgd", "LTV_time": "ltv", "FICO_orig_time": "score", "balance_time": "balance"}
    )
    occupancy = np.where(closed["investor_orig_time"] == 1, "investor", "owner")
    closed = closed.assign(occupancy=occupancy, size=np.log(closed["balance"]))
    development = closed[(closed["time"] <= 32) & (closed["res_time"] <= 40)]
    holdout = closed[closed["time"] > 32]
    assert (len(development), len(holdout)) == (403, 690)
    formula = "~ ltv + score + occupancy + size"
    models = {
        "fractional": FractionalLogitModel(formula=formula, outside="clip"),
        "squeezed beta": BetaRegressionModel(formula=formula, on_boundary="squeeze", outside="clip"),
        "inflated": ZeroOneInflatedBetaModel(formula=formula, zero="~ ltv + size", one="~ ltv", outside="clip"),
        "two-stage": TwoStageLgdModel(any_loss="~ ltv + size", loss_given_loss=formula, outside="clip"),
    }
    table = compare_lgd_models(models, development, holdout, segment_by=["occupancy"])
    assert table.index[-1] == SEGMENT_MEAN
    assert (table["rmse_saved"].drop(SEGMENT_MEAN) > 0.05).all()
    # the plain mean of the quiet years is 16 points too low for the crisis, and its z says so
    assert table.loc[SEGMENT_MEAN, "z"] > 10


class TestChallenger:
    def test_choices_are_checked_without_scikit_learn_too(self):
        with pytest.raises(RefusedColumnError, match="settlement_flag"):
            BoostedLgdModel(features=("ltv", "settlement_flag"))
        with pytest.raises(ValueError, match="tuple of columns"):
            BoostedLgdModel(features="ltv")
        with pytest.raises(ValueError, match="max_leaves"):
            BoostedLgdModel(features=("ltv",), max_leaves=1)

    def test_it_finds_the_interaction_that_the_regression_was_not_given(self):
        pytest.importorskip("sklearn")
        rng = np.random.default_rng(8)
        frame = episodes(2000)
        sign = np.where(frame["product"] == "card", 1.0, -1.0)
        frame["realised_lgd"] = np.clip(0.5 + 0.2 * sign * frame["ltv"] + 0.05 * rng.normal(size=2000), 0, 1)
        models = {
            "regression": FractionalLogitModel(formula="~ product + ltv"),
            "trees": BoostedLgdModel(features=("product", "ltv"), n_trees=30, learning_rate=0.2),
        }
        table = compare_lgd_models(models, *split(frame), segment_by=["product"])
        assert table.index[0] == "trees"
        assert table.loc["trees", "rmse"] < 0.5 * table.loc["regression", "rmse"]

    def test_the_same_data_give_the_same_trees_and_weights_count(self):
        pytest.importorskip("sklearn")
        frame = episodes(1000)
        model = BoostedLgdModel(features=("product", "ltv"), n_trees=10, learning_rate=0.3)
        one, two = model.fit(frame).predict(frame), model.fit(frame).predict(frame)
        pd.testing.assert_series_equal(one, two)
        assert one.between(0, 1).all()
        heavy = frame.assign(n=np.where(frame["realised_lgd"] > 0.5, 5.0, 1.0))
        assert model.fit(heavy, weights_col="n").predict(frame).mean() > one.mean() + 0.05

    def test_a_level_that_the_fit_did_not_see_is_refused(self):
        pytest.importorskip("sklearn")
        frame = episodes(500).astype({"product": "category"})
        fit = BoostedLgdModel(features=("product",), n_trees=5).fit(frame)
        assert "challenger" in fit.sentence()
        with pytest.raises(ExtrapolationError, match="boat"):
            fit.predict(frame.assign(product="boat"))
        with pytest.raises(InsufficientDataError, match="two leaves"):
            BoostedLgdModel(features=("ltv",)).fit(frame.head(20))
