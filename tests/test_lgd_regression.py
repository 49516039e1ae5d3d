"""Fractional logit and beta regression of losses: by hand, against other programs, identities, refusals."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import zeta
from statsmodels.othermod.betareg import BetaModel

from recoverykit import refused_columns
from recoverykit.data import refusals
from recoverykit.errors import (
    ContractError,
    ConvergenceError,
    ExtrapolationError,
    InsufficientDataError,
    RefusedColumnError,
)
from recoverykit.estimators import _lgd_kernels as kernels
from recoverykit.estimators import _lgd_rows
from recoverykit.estimators.beta_regression import BetaRegressionModel
from recoverykit.estimators.fractional_logit import FractionalLogitModel
from recoverykit.estimators.segment_mean_lgd import SegmentMeanLgdModel
from recoverykit.estimators.two_stage_lgd import TwoStageLgdModel
from recoverykit.estimators.zero_one_inflated_beta import ZeroOneInflatedBetaModel

#: The mark of the task: the same estimates as the plain statsmodels call.
SAME = 1e-8
#: Sums in another order, through another compression.
ROUNDING = 1e-9
#: Central differences of step 1e-5 lose about ten digits of sixteen, on values of some hundreds.
FINITE_DIFFERENCE = 1e-5
#: R and betareg print 15 digits; their optimisers stop at a gradient of about 1e-8.
OTHER_PROGRAM = 1e-6

#: Prater (1956), Petroleum Refiner 35(5): batch, temperature, percent of crude oil turned into gasoline; 32 runs.
GASOLINE = (
    "A 205 12.2 A 275 22.3 A 345 34.7 A 407 45.7 B 218 8.0 B 273 13.1 B 347 26.6 C 212 7.4 C 272 18.2 C 340 30.4 D "
    "235 6.9 D 300 15.2 D 365 26.0 D 410 33.6 E 307 14.4 E 367 26.8 E 395 34.9 F 267 10.0 F 360 24.8 F 402 31.7 G "
    "235 2.8 G 275 6.4 G 358 16.1 G 416 27.8 H 285 5.0 H 365 17.6 H 444 32.1 I 351 14.0 I 424 23.2 J 365 8.5 J 379 "
    "14.7 J 428 18.0 "
)
GASOLINE_RUNS = GASOLINE.split()


def gasoline(*, first="A"):
    """Return the 32 runs; the batch named first is the one that the others are compared with."""
    batches = [first, *(b for b in "ABCDEFGHIJ" if b != first)]
    return pd.DataFrame(
        {
            "batch": pd.Categorical(GASOLINE_RUNS[::3], categories=batches),
            "temp": np.array(GASOLINE_RUNS[1::3], dtype=float),
            "realised_lgd": np.array(GASOLINE_RUNS[2::3], dtype=float) / 100,
        }
    )


def episodes(n=600, *, seed=0, monthly=False):
    """Simulate beta losses with a factor and a number; obligors of three episodes share an effect."""
    rng = np.random.default_rng(seed)
    product = rng.choice(["card", "loan", "mortgage"], n)
    ltv = rng.normal(size=n).round(1 if monthly else 12)
    obligor = np.arange(n) // 3
    eta = (
        0.4 * (product == "card")
        - 0.8 * (product == "mortgage")
        + 0.5 * ltv
        + 0.3 * rng.normal(size=n // 3 + 1)[obligor]
    )
    mu = 1 / (1 + np.exp(-eta))
    loss = np.clip(rng.beta(3 * mu, 3 * (1 - mu)), 1e-6, 1 - 1e-6)
    return pd.DataFrame({"product": product, "ltv": ltv, "obligor": obligor, "realised_lgd": loss})


MODELS = {
    "fractional": FractionalLogitModel(formula="~ product + ltv"),
    "beta": BetaRegressionModel(formula="~ product + ltv", precision="~ ltv"),
    "two-stage": TwoStageLgdModel(any_loss="~ ltv", loss_given_loss="~ product"),
    "inflated": ZeroOneInflatedBetaModel(formula="~ product", zero="~ ltv", one="~ product", precision="~ product"),
    "segment mean": SegmentMeanLgdModel(segment_by=("product",)),
}


def losses_for(name, frame):
    """Return the frame with losses of exactly 0 and 1 where the model takes them."""
    if name == "beta":
        return frame
    loss = frame["realised_lgd"].to_numpy().copy()
    loss[::5], loss[3::7] = 0.0, 1.0
    return frame.assign(realised_lgd=loss)


class TestByHand:
    def test_one_factor_gives_the_means_of_its_levels(self):
        # car: (0 + 0.2 + 0.4) / 3 = 0.2; card: (0.5 + 1.0) / 2 = 0.75
        loans = pd.DataFrame({"product": ["car"] * 3 + ["card"] * 2, "realised_lgd": [0.0, 0.2, 0.4, 0.5, 1.0]})
        fit = FractionalLogitModel(formula="~ product").fit(loans)
        np.testing.assert_allclose(fit.predict(loans), [0.2, 0.2, 0.2, 0.75, 0.75], rtol=ROUNDING)
        # the robust error of a mean: root of the sum of squares 0.08 over n = 3
        error = fit.predict(loans, interval=True)["standard_error"].iloc[0]
        assert error == pytest.approx(np.sqrt(0.08) / 3, rel=ROUNDING)

    def test_a_loss_of_nothing_and_of_all_is_counted(self):
        loans = pd.DataFrame({"realised_lgd": [0.0, 0.0, 1.0, 0.4]})
        fit = FractionalLogitModel().fit(loans)
        assert (fit.n_zero, fit.n_one, fit.n_episodes, fit.mean_loss) == (2.0, 1.0, 4.0, 0.35)

    def test_the_interval_is_symmetric_on_the_logit_scale_and_stays_inside(self):
        loans = pd.DataFrame({"realised_lgd": [0.0, 0.0, 0.0, 0.02]})
        band = FractionalLogitModel().fit(loans).predict(loans, interval=True).iloc[0]
        odds = [np.log(p / (1 - p)) for p in (band["lower"], band["value"], band["upper"])]
        assert odds[1] - odds[0] == pytest.approx(odds[2] - odds[1])
        assert 0 < band["lower"] < 0.005 < band["upper"] < 1

    def test_squeezing_is_the_transform_of_smithson_and_verkuilen(self):
        # n = 4: (y * 3 + 0.5) / 4 moves 0 to 0.125, 1 to 0.875, 0.5 to itself
        loans = pd.DataFrame({"realised_lgd": [0.0, 1.0, 0.5, 0.5]})
        asked = BetaRegressionModel(on_boundary="squeeze").fit(loans)
        by_hand = BetaRegressionModel().fit(pd.DataFrame({"realised_lgd": [0.125, 0.875, 0.5, 0.5]}))
        np.testing.assert_allclose(asked.params, by_hand.params, rtol=ROUNDING)
        assert "squeezed" in asked.boundary
        assert asked.n_zero == 1.0


class TestOtherPrograms:
    def test_quasibinomial_regression_of_r_with_a_sandwich(self):
        # R 4: glm(y ~ batch + temp, family = quasibinomial), sandwich without correction, written out in base R
        fit = FractionalLogitModel(formula="~ batch + temp").fit(gasoline())
        expected = [-4.409916718968278, -0.4145645949037323, -0.1579682275638451, -0.6713824777884655]
        errors = [0.1671522833206427, 0.08327385108371251, 0.09828969170053414, 0.0941376424083749]
        np.testing.assert_allclose(fit.params.iloc[:4], expected, rtol=OTHER_PROGRAM)
        np.testing.assert_allclose(fit.standard_errors.iloc[:4], errors, rtol=OTHER_PROGRAM)
        assert fit.params["mean", "temp"] == pytest.approx(0.01090600302285083, rel=OTHER_PROGRAM)

    def test_quasibinomial_regression_of_r_with_clusters(self):
        fit = FractionalLogitModel(formula="~ temp").fit(gasoline(), cluster_col="batch")
        np.testing.assert_allclose(fit.params, [-3.992949966341344, 0.007545481729623926], rtol=OTHER_PROGRAM)
        np.testing.assert_allclose(fit.standard_errors, [0.4321543934089952, 0.001188987444205445], rtol=OTHER_PROGRAM)

    def test_gasoline_yield_of_ferrari_and_cribari_neto_table_1(self):
        # betareg(yield ~ batch + temp), batch 10 as base: phi 440.2783885611994, log-likelihood 84.79755796201518
        fit = BetaRegressionModel(formula="~ batch + temp").fit(gasoline(first="J"))
        mean = [
            *(-6.159571047010208, 1.727728875069054, 1.322596915621213, 1.572309886594047, 1.059714112762823),
            *(1.133751781080070, 1.040161812360569, 0.543692226082664, 0.495900661509114, 0.385792958032884),
            0.010966874176797,
        ]
        np.testing.assert_allclose(fit.params["mean"], mean, rtol=OTHER_PROGRAM)
        assert np.exp(fit.params["precision", "Intercept"]) == pytest.approx(440.2783885611994, rel=OTHER_PROGRAM)
        assert fit.loglik == pytest.approx(84.79755796201518, rel=ROUNDING)

    def test_gasoline_yield_with_a_precision_that_varies(self):
        # betareg(yield ~ batch + temp | temp): Simas et al. (2010), supplement, table 19
        fit = BetaRegressionModel(formula="~ batch + temp", precision="~ temp").fit(gasoline(first="J"))
        assert fit.params["mean", "Intercept"] == pytest.approx(-5.923236136239194, rel=OTHER_PROGRAM)
        np.testing.assert_allclose(fit.params["precision"], [1.364088821346420, 0.014570318309691], rtol=OTHER_PROGRAM)
        assert fit.loglik == pytest.approx(86.97706518350222, rel=ROUNDING)

    @pytest.mark.parametrize("formula", ["product", "product + ltv", "product * ltv", "bs(ltv, df=4)"])
    def test_statsmodels_glm_to_the_eighth_digit(self, formula):
        frame = episodes()
        plain = smf.glm(f"realised_lgd ~ {formula}", frame, family=sm.families.Binomial())
        fit = FractionalLogitModel(formula=f"~ {formula}").fit(frame)
        robust = plain.fit(cov_type="HC0", tol=1e-14)
        if "bs(" in formula:  # another basis of the same space
            np.testing.assert_allclose(fit.predict(frame), robust.fittedvalues, atol=SAME)
            return
        np.testing.assert_allclose(fit.params, robust.params, atol=SAME)
        np.testing.assert_allclose(fit.standard_errors, robust.bse, rtol=SAME)

    def test_statsmodels_glm_with_clusters(self):
        frame = episodes()
        plain = smf.glm("realised_lgd ~ product + ltv", frame, family=sm.families.Binomial())
        robust = plain.fit(
            cov_type="cluster", cov_kwds={"groups": frame["obligor"], "use_correction": False}, tol=1e-14
        )
        fit = FractionalLogitModel(formula="~ product + ltv").fit(frame, cluster_col="obligor")
        np.testing.assert_allclose(fit.standard_errors, robust.bse, rtol=SAME)
        assert fit.n_clusters == 200
        assert "200 clusters" in fit.sentence()

    def test_statsmodels_beta_model_to_the_eighth_digit(self):
        frame = episodes()
        precision = sm.add_constant(frame["ltv"]).to_numpy()
        plain = BetaModel.from_formula("realised_lgd ~ product + ltv", frame, exog_precision=precision)
        other = plain.fit(method="newton", disp=0)
        fit = BetaRegressionModel(formula="~ product + ltv", precision="~ ltv").fit(frame)
        np.testing.assert_allclose(fit.params, other.params, atol=SAME)
        np.testing.assert_allclose(fit.standard_errors, other.bse, rtol=SAME)
        assert fit.loglik == pytest.approx(other.llf, rel=ROUNDING)
        assert (fit.aic, fit.bic) == (pytest.approx(other.aic), pytest.approx(other.bic))

    def test_statsmodels_beta_model_with_clusters(self):
        frame = episodes()
        plain = BetaModel.from_formula("realised_lgd ~ product + ltv", frame)
        options = {"groups": frame["obligor"].to_numpy(), "use_correction": False}
        other = plain.fit(method="newton", disp=0, cov_type="cluster", cov_kwds=options)
        fit = BetaRegressionModel(formula="~ product + ltv").fit(frame, cluster_col="obligor")
        np.testing.assert_allclose(fit.standard_errors, other.bse, rtol=1e-6)


class TestKernels:
    @staticmethod
    def differences(value, theta, step=1e-5):
        steps = np.eye(len(theta)) * step
        return np.array([(value(theta + one) - value(theta - one)) / (2 * step) for one in steps])

    def test_slopes_and_curvature_of_the_logit_are_those_of_its_value(self):
        rng = np.random.default_rng(3)
        x, n, theta = rng.normal(size=(50, 3)), rng.uniform(1, 4, 50), rng.normal(size=3)
        total = n * rng.uniform(size=50)
        at = kernels.logit_point(theta, x, n, total)
        slope = self.differences(lambda t: kernels.logit_point(t, x, n, total).value, theta)
        curvature = self.differences(lambda t: kernels.logit_point(t, x, n, total).gradient, theta)
        np.testing.assert_allclose(at.gradient, slope, atol=FINITE_DIFFERENCE)
        np.testing.assert_allclose(at.hessian, curvature, atol=FINITE_DIFFERENCE)

    @pytest.mark.parametrize("constant", [True, False])
    def test_slopes_and_curvature_of_the_beta_density_are_those_of_its_value(self, constant):
        rng = np.random.default_rng(4)
        x = np.column_stack([np.ones(40), rng.normal(size=40)])
        z = np.ones((40, 1)) if constant else x
        y, n = rng.uniform(0.05, 0.95, 40), rng.uniform(1, 3, 40)
        rows = kernels.BetaRows(x, z, n, n * np.log(y), n * np.log1p(-y), constant)
        theta = np.array([0.3, -0.5, 1.1, 0.2])[: 2 + z.shape[1]]
        at = kernels.beta_point(theta, rows)
        slope = self.differences(lambda t: kernels.beta_point(t, rows).value, theta)
        curvature = self.differences(lambda t: kernels.beta_point(t, rows).gradient, theta)
        np.testing.assert_allclose(at.gradient, slope, atol=FINITE_DIFFERENCE)
        np.testing.assert_allclose(at.hessian, curvature, atol=FINITE_DIFFERENCE)
        slopes = kernels.beta_slopes(x @ theta[:2], z @ theta[2:], np.log(y), np.log1p(-y))
        by_row = np.concatenate([(n * slopes[0]) @ x, (n * slopes[1]) @ z])
        np.testing.assert_allclose(by_row, at.gradient, rtol=ROUNDING)

    def test_trigamma_is_the_zeta_function_of_scipy(self):
        x = np.geomspace(1e-6, 1e6, 2001)
        np.testing.assert_allclose(kernels.trigamma(x), zeta(2.0, x), rtol=1e-14)  # both have 16 digits


@pytest.mark.parametrize("name", list(MODELS))
class TestEveryModel:
    def test_weight_two_is_the_row_twice(self, name):
        frame = losses_for(name, episodes(400, monthly=True))
        twice = pd.concat([frame, frame[::2]], ignore_index=True)
        weighted = frame.assign(n=np.where(np.arange(len(frame)) % 2 == 0, 2.0, 1.0))
        for clusters in (None, "obligor"):
            one = MODELS[name].fit(weighted, weights_col="n", cluster_col=clusters)
            two = MODELS[name].fit(twice, cluster_col=clusters)
            np.testing.assert_allclose(one.params, two.params, rtol=ROUNDING, atol=ROUNDING)
            np.testing.assert_allclose(one.cov, two.cov, rtol=1e-7, atol=ROUNDING)
            assert one.n_episodes == two.n_episodes == 600

    def test_patterns_say_what_single_rows_say(self, name, monkeypatch):
        frame = losses_for(name, episodes(400, monthly=True))
        gathered = MODELS[name].fit(frame, cluster_col="obligor")
        assert gathered.n_patterns < len(frame)
        if name == "segment mean":
            return
        monkeypatch.setattr(_lgd_rows, "is_continuous", lambda _: True)
        by_row = MODELS[name].fit(frame, cluster_col="obligor")
        assert by_row.n_patterns == len(frame)
        np.testing.assert_allclose(gathered.params, by_row.params, rtol=ROUNDING, atol=ROUNDING)
        np.testing.assert_allclose(gathered.cov, by_row.cov, rtol=1e-7, atol=ROUNDING)
        pd.testing.assert_frame_equal(
            gathered.predict(frame, interval=True), by_row.predict(frame, interval=True), rtol=1e-7
        )

    def test_the_scale_of_the_weights_does_not_move_the_estimates(self, name):
        frame = losses_for(name, episodes(300)).assign(n=1e-7)
        one, two = MODELS[name].fit(frame), MODELS[name].fit(frame, weights_col="n")
        np.testing.assert_allclose(one.params, two.params, rtol=ROUNDING, atol=ROUNDING)
        assert two.standard_errors.notna().all()

    def test_no_row_has_no_prediction(self, name):
        frame = losses_for(name, episodes(300))
        fit = MODELS[name].fit(frame)
        assert len(fit.predict(frame.head(0))) == len(fit.predict(frame.head(0), interval=True)) == 0

    def test_the_order_of_rows_and_their_labels_do_not_matter(self, name):
        frame = losses_for(name, episodes(300))
        mixed = frame.sample(frac=1.0, random_state=1)
        one, two = MODELS[name].fit(frame), MODELS[name].fit(mixed)
        np.testing.assert_allclose(one.params, two.params, rtol=ROUNDING, atol=ROUNDING)
        pd.testing.assert_series_equal(one.predict(frame), two.predict(mixed).sort_index(), rtol=1e-7)

    def test_the_frame_is_not_changed(self, name):
        frame = losses_for(name, episodes(300))
        before = frame.copy()
        MODELS[name].fit(frame, cluster_col="obligor").predict(frame)
        pd.testing.assert_frame_equal(frame, before)

    def test_clusters_of_one_episode_give_robust_errors(self, name):
        frame = losses_for(name, episodes(300)).assign(own=np.arange(300))
        if name in ("fractional", "segment mean"):
            one, two = MODELS[name].fit(frame), MODELS[name].fit(frame, cluster_col="own")
            np.testing.assert_allclose(one.standard_errors, two.standard_errors, rtol=1e-7)

    def test_the_record_is_json_and_the_page_has_the_sentence(self, name):
        fit = MODELS[name].fit(losses_for(name, episodes(300)))
        record = json.loads(json.dumps(fit.to_record(), allow_nan=False))
        assert record["sentence"] == fit.sentence()
        assert len(record["params"]) == fit.n_params == len(fit.to_frame())
        assert "<table" in fit._repr_html_()
        assert list(fit.summary().columns) == ["estimate", "standard_error", "z", "p_value", "lower", "upper"]

    def test_a_level_that_the_fit_did_not_see_is_refused(self, name):
        frame = losses_for(name, episodes(300))
        with pytest.raises(ExtrapolationError, match="boat"):
            MODELS[name].fit(frame).predict(frame.assign(product="boat"))

    def test_a_missing_driver_is_refused_at_prediction(self, name):
        frame = losses_for(name, episodes(300))
        with pytest.raises(ContractError, match="product"):
            MODELS[name].fit(frame).predict(frame.drop(columns="product"))

    def test_all_faults_are_listed_at_once(self, name):
        frame = losses_for(name, episodes(300)).assign(n=1.0)
        frame.loc[3, "realised_lgd"], frame.loc[5, "realised_lgd"], frame.loc[7, "n"] = np.nan, 1.3, 0.0
        frame.loc[9, "product"] = None
        with pytest.raises(ContractError) as raised:
            MODELS[name].fit(frame, weights_col="n")
        text = str(raised.value)
        for part in ("row 3", "row 5", "row 7", "row 9", "outside='clip'", "not known"):
            assert part in text

    def test_drivers_known_only_after_the_outcome_are_refused(self, name):
        model = MODELS[name]
        driver = "recovered_amount"
        changes = {"segment_by": ("product", driver)} if name == "segment mean" else {"formula": f"~ ltv + {driver}"}
        if name == "two-stage":
            changes = {"loss_given_loss": f"~ {driver}"}
        with pytest.raises(RefusedColumnError, match=r"class C, recoveries.*known only after the default"):
            type(model)(**changes)


class TestIdentities:
    def test_the_loss_and_what_is_kept_mirror_each_other(self):
        frame = episodes()
        kept = frame.assign(realised_lgd=1 - frame["realised_lgd"])
        for model in (FractionalLogitModel(formula="~ product + ltv"), BetaRegressionModel(formula="~ product + ltv")):
            one, two = model.fit(frame), model.fit(kept)
            np.testing.assert_allclose(one.params["mean"], -two.params["mean"], rtol=1e-7)
            np.testing.assert_allclose(one.standard_errors, two.standard_errors, rtol=1e-7)

    def test_the_unit_of_a_driver_does_not_matter(self):
        frame = episodes()
        for model in (FractionalLogitModel(formula="~ ltv"), BetaRegressionModel(formula="~ ltv", precision="~ ltv")):
            one = model.fit(frame).predict(frame, interval=True)
            moved = frame.assign(ltv=1e6 * frame["ltv"] - 3e7)
            two = model.fit(moved).predict(moved, interval=True)
            pd.testing.assert_frame_equal(one, two, rtol=1e-6)  # a driver of 1e7 costs seven digits of sixteen

    def test_a_saturated_fractional_logit_is_the_segment_mean(self):
        frame = losses_for("fractional", episodes())
        one = FractionalLogitModel(formula="~ product").fit(frame).predict(frame, interval=True)
        two = SegmentMeanLgdModel(segment_by=("product",)).fit(frame).predict(frame, interval=True)
        pd.testing.assert_frame_equal(one, two, rtol=1e-7)

    def test_the_mean_prediction_of_a_fractional_logit_is_the_mean_loss(self):
        frame = losses_for("fractional", episodes())
        fit = FractionalLogitModel(formula="~ product + ltv").fit(frame)
        assert fit.predict(frame).mean() == pytest.approx(fit.mean_loss, rel=ROUNDING)

    @settings(deadline=None, max_examples=15)
    @given(seed=st.integers(0, 10_000))
    def test_predictions_lie_within_zero_and_one_and_inside_their_intervals(self, seed):
        frame = losses_for("fractional", episodes(400, seed=seed))
        far = frame.assign(ltv=50 * frame["ltv"])
        for name in ("fractional", "two-stage", "inflated"):
            band = MODELS[name].fit(frame).predict(far, interval=True)
            assert band["value"].between(0, 1).all()
            assert (band["lower"] <= band["value"]).all()
            assert (band["value"] <= band["upper"]).all()


class TestMacro:
    PATH = pd.DataFrame({"unemployment": [4.0, 6.0, 9.0]}, index=pd.period_range("2024-01", periods=3, freq="M"))

    def loans(self):
        frame = episodes(300)
        frame["default_date"] = pd.to_datetime(["2024-01-15", "2024-02-03", "2024-03-31"] * 100)
        return frame

    def test_a_macro_driver_is_the_value_of_the_month_of_default(self):
        loans = self.loans()
        model = FractionalLogitModel(formula="~ product + unemployment")
        read = model.fit(loans, macro=self.PATH, default_month_col="default_date")
        merged = loans.assign(unemployment=[4.0, 6.0, 9.0] * 100)
        np.testing.assert_allclose(read.params, model.fit(merged).params, rtol=ROUNDING)
        worse = self.PATH + 3.0
        scenario = read.predict(loans, macro=worse, default_month_col="default_date")
        expected = read.predict(merged.assign(unemployment=merged["unemployment"] + 3.0))
        pd.testing.assert_series_equal(scenario, expected)

    def test_a_month_that_the_path_lacks_is_named(self):
        loans = self.loans()
        model = FractionalLogitModel(formula="~ unemployment")
        with pytest.raises(ContractError, match="2024-03"):
            model.fit(loans, macro=self.PATH[:2], default_month_col="default_date")

    def test_a_month_of_default_must_be_named(self):
        with pytest.raises(ValueError, match="default_month_col"):
            FractionalLogitModel(formula="~ unemployment").fit(self.loans(), macro=self.PATH)

    def test_a_column_may_not_stand_in_both_frames(self):
        loans = self.loans().assign(unemployment=1.0)
        with pytest.raises(ContractError, match="stands in the frame and in macro"):
            FractionalLogitModel(formula="~ unemployment").fit(loans, macro=self.PATH, default_month_col="default_date")


class TestRefusals:
    @pytest.mark.parametrize(
        "driver",
        [
            *(
                "recovered_amount",
                "write_off_flag",
                "settlement_status",
                "outcome",
                "months_in_default",
                "realised_lgd",
            ),
            *("collection_fees", "last_payment_date", "hardship_flag", "gender", "marital_status", "resolution_months"),
        ],
    )
    def test_outcomes_and_fairness_columns_drive_no_loss(self, driver):
        with pytest.raises(RefusedColumnError, match=driver):
            FractionalLogitModel(formula=f"~ product + np.log({driver})")

    def test_every_refused_driver_is_listed_with_its_rule(self):
        with pytest.raises(
            RefusedColumnError, match=r"(?s)2 drivers.*gender.*fairness file.*settled.*after the default"
        ):
            BetaRegressionModel(formula="~ settled", precision="~ gender")

    def test_the_loader_and_the_regressions_share_their_rules(self):
        assert refusals.matching_rule is refused_columns.matching_rule

    def test_innocent_names_come_through(self):
        FractionalLogitModel(formula="~ product + ltv + loan_age + unemployment + collateral_kind + eir")


class TestOutside:
    LOANS = pd.DataFrame({"realised_lgd": [-0.1, 0.2, 0.5, 0.7, 1.2], "n": [1.0, 1.0, 1.0, 1.0, 3.0]})

    def test_losses_outside_are_refused_unless_clipping_is_asked_for(self):
        with pytest.raises(ContractError, match=r"between 0 and 1.*2 rows, first row 0; row 4"):
            FractionalLogitModel().fit(self.LOANS)

    def test_clipped_losses_are_counted_and_named(self):
        fit = FractionalLogitModel(outside="clip").fit(self.LOANS, weights_col="n")
        assert (fit.n_below, fit.n_above, fit.n_zero, fit.n_one) == (1.0, 3.0, 1.0, 3.0)
        assert fit.predict(self.LOANS).iloc[0] == pytest.approx((0 + 0.2 + 0.5 + 0.7 + 3) / 7)
        assert "1 below 0 and 3 above 1 clipped" in fit.sentence()

    def test_beta_refuses_the_boundary_in_words(self):
        loans = pd.DataFrame({"realised_lgd": [0.0, 0.2, 0.5, 1.0]})
        with pytest.raises(ContractError, match=r"ZeroOneInflatedBetaModel.*2 rows, first row 0; row 3"):
            BetaRegressionModel().fit(loans)


class TestTooLittle:
    def test_a_level_without_loss_has_no_finite_estimate(self):
        loans = pd.DataFrame({"product": ["a"] * 5 + ["b"] * 5, "realised_lgd": [0.0] * 5 + [0.2, 0.3, 0.4, 0.5, 0.6]})
        with pytest.raises(InsufficientDataError, match=r"product\[T\.b\].*separation"):
            FractionalLogitModel(formula="~ product").fit(loans)

    @pytest.mark.parametrize("loss", [0.0, 1.0])
    def test_losses_that_are_all_at_one_end_have_no_estimate(self, loss):
        with pytest.raises(InsufficientDataError, match="in every episode"):
            FractionalLogitModel().fit(pd.DataFrame({"realised_lgd": [loss] * 5}))

    def test_a_beta_density_needs_a_spread(self):
        with pytest.raises(InsufficientDataError, match="exactly"):
            BetaRegressionModel().fit(pd.DataFrame({"realised_lgd": [0.3] * 5}))

    def test_columns_that_determine_each_other_are_named(self):
        frame = episodes(100).assign(twice=lambda f: 2 * f["ltv"])
        with pytest.raises(InsufficientDataError, match="ltv, twice"):
            FractionalLogitModel(formula="~ ltv + twice").fit(frame)

    def test_more_terms_than_episodes(self):
        frame = pd.DataFrame({"ltv": [0.1, 0.5], "realised_lgd": [0.2, 0.4]})
        with pytest.raises(InsufficientDataError, match="cannot carry"):
            FractionalLogitModel(formula="~ ltv").fit(frame)

    def test_an_empty_frame(self):
        with pytest.raises(InsufficientDataError, match="no row"):
            FractionalLogitModel().fit(episodes(3).head(0))

    def test_a_segment_of_one_episode_has_no_error(self):
        loans = pd.DataFrame({"product": ["a", "a", "b"], "realised_lgd": [0.1, 0.3, 0.9]})
        fit = SegmentMeanLgdModel(segment_by=("product",)).fit(loans)
        band = fit.predict(loans, interval=True)
        assert band["standard_error"].isna().tolist() == [False, False, True]
        assert fit.standard_errors.isna().tolist() == [False, True]
        json.dumps(fit.to_record(), allow_nan=False)

    def test_a_segment_column_that_hardly_repeats_makes_no_segments(self):
        frame = episodes(5000).assign(amount=np.random.default_rng(0).normal(size=5000))
        with pytest.raises(InsufficientDataError, match="amount hardly repeat"):
            SegmentMeanLgdModel(segment_by=("amount",)).fit(frame)


class TestChoices:
    def test_options_are_checked(self):
        for words, wrong in (
            ("outside is 'drop'", lambda: FractionalLogitModel(outside="drop")),
            ("left side", lambda: FractionalLogitModel(formula="lgd ~ ltv")),
            ("on_boundary is 'drop'", lambda: BetaRegressionModel(on_boundary="drop")),
            ("severity is 'normal'", lambda: TwoStageLgdModel(severity="normal")),
            ("tuple of columns", lambda: SegmentMeanLgdModel(segment_by="product")),
            ("level is 1.0", lambda: FractionalLogitModel().fit(episodes(30), level=1.0)),
        ):
            with pytest.raises(ValueError, match=words):
                wrong()

    def test_a_likelihood_without_maximum_is_said_so(self):
        # two losses a hair apart: the precision runs off
        loans = pd.DataFrame({"realised_lgd": [0.5, 0.5 + 1e-13, 0.5, 0.5]})
        with pytest.raises((ConvergenceError, InsufficientDataError)):
            BetaRegressionModel().fit(loans)


@pytest.mark.slow
class TestSimulatedTruth:
    #: 400 draws: the coverage of a 95 % interval has a standard error of 1.1 points; four of them.
    COVERED = (0.906, 0.994)

    @pytest.mark.parametrize("name", ["fractional", "beta"])
    def test_intervals_cover_the_truth(self, name):
        rng = np.random.default_rng(11)
        truth, inside = np.array([-0.3, 0.6]), np.zeros(2)
        model = {"fractional": FractionalLogitModel, "beta": BetaRegressionModel}[name](formula="~ ltv")
        for _ in range(400):
            ltv = rng.normal(size=400)
            mu = 1 / (1 + np.exp(-(truth[0] + truth[1] * ltv)))
            loss = np.clip(rng.beta(2.5 * mu, 2.5 * (1 - mu)), 1e-9, 1 - 1e-9)
            table = model.fit(pd.DataFrame({"ltv": ltv, "realised_lgd": loss})).summary().loc["mean"]
            inside += (table["lower"].to_numpy() <= truth) & (truth <= table["upper"].to_numpy())
        assert ((self.COVERED[0] <= inside / 400) & (inside / 400 <= self.COVERED[1])).all()

    def test_clustered_intervals_cover_where_plain_ones_do_not(self):
        rng = np.random.default_rng(12)
        inside = {None: 0, "obligor": 0}
        for _ in range(400):
            obligor = np.repeat(np.arange(100), 6)
            mu = rng.beta(2.0, 3.0, 100)[obligor]  # mean 0.4, the same for all facilities of an obligor
            frame = pd.DataFrame({"obligor": obligor, "realised_lgd": rng.beta(4 * mu, 4 * (1 - mu) + 1e-3)})
            for cluster in inside:
                band = FractionalLogitModel().fit(frame, cluster_col=cluster).predict(frame, interval=True).iloc[0]
                inside[cluster] += band["lower"] <= 0.4 <= band["upper"]
        assert self.COVERED[0] <= inside["obligor"] / 400 <= self.COVERED[1]
        assert inside[None] / 400 < 0.8
