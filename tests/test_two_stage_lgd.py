"""Losses in several parts: inflated beta, two stages, cures of closed episodes, and cures from a survival model."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.optimize import minimize
from scipy.stats import beta

from recoverykit.errors import ContractError, InsufficientDataError, RefusedColumnError
from recoverykit.estimators._lgd_cure import cure_probability
from recoverykit.estimators.beta_regression import BetaRegressionModel
from recoverykit.estimators.fractional_logit import FractionalLogitModel
from recoverykit.estimators.mixture_cure import MixtureCureModel
from recoverykit.estimators.survival_lgd import SurvivalLgdModel
from recoverykit.estimators.two_stage_lgd import CureLgdModel, TwoStageLgdModel
from recoverykit.estimators.zero_one_inflated_beta import ZeroOneInflatedBetaModel

#: Sums in another order.
ROUNDING = 1e-9
#: A general optimiser on the whole likelihood, which stops at a gradient of 1e-6 or so.
OPTIMISER = 1e-4
#: Central differences of step 1e-5 of a probability.
FINITE_DIFFERENCE = 1e-7


def episodes(n=1200, *, seed=0):
    """Simulate losses of 0, of 1 and between, with cures; obligors of four episodes share an effect."""
    rng = np.random.default_rng(seed)
    product, ltv = rng.choice(["card", "loan"], n), rng.normal(size=n)
    effect = 0.5 * rng.normal(size=n // 4)[np.arange(n) // 4]
    cured = rng.random(n) < 1 / (1 + np.exp(-(0.3 - 0.6 * ltv + effect)))
    mu = 1 / (1 + np.exp(-(0.2 + 0.5 * (product == "card") + 0.4 * ltv + effect)))
    loss = np.clip(rng.beta(4 * mu, 4 * (1 - mu)), 1e-6, 1 - 1e-6)
    loss = np.where(rng.random(n) < 0.1, 1.0, loss)
    frame = pd.DataFrame({"product": product, "ltv": ltv, "obligor": np.arange(n) // 4, "is_cured": cured})
    frame["realised_lgd"] = np.where(cured, np.where(rng.random(n) < 0.5, 0.0, 0.02), loss)
    months = np.ceil(np.where(cured, rng.weibull(1.3, n) * 8, rng.weibull(1.5, n) * 30) + 1e-9)
    age = rng.integers(6, 61, n)
    frame["month"] = np.minimum(months, age)
    frame["outcome"] = np.where(months > age, "open", np.where(cured, "cured", "written_off"))
    return frame.assign(had_cure=frame["outcome"] == "cured")


class TestInflatedBeta:
    def test_the_parts_are_the_shares_and_the_expectation_their_combination(self):
        # 3 of 8 without loss; 2 of 5 lost in full; 0.2, 0.5, 0.8 between, symmetric about 0.5
        loans = pd.DataFrame({"realised_lgd": [0.0, 0.0, 0.0, 0.2, 0.5, 0.8, 1.0, 1.0]})
        parts = ZeroOneInflatedBetaModel().fit(loans).predict_parts(loans).iloc[0]
        np.testing.assert_allclose(parts[["zero", "one", "mean"]], [3 / 8, 2 / 5, 0.5], rtol=ROUNDING)
        assert parts["expected_lgd"] == pytest.approx(5 / 8 * (2 / 5 + 3 / 5 * 0.5))

    def test_one_likelihood_maximised_as_a_whole_gives_the_same(self):
        frame = episodes()
        fit = ZeroOneInflatedBetaModel(formula="~ ltv", zero="~ ltv").fit(frame)
        x, y = frame["ltv"].to_numpy(), frame["realised_lgd"].to_numpy()

        def minus_loglik(t):
            zero, mu = (1 / (1 + np.exp(-(a + b * x))) for a, b in (t[:2], t[3:5]))
            one, phi = 1 / (1 + np.exp(-t[2])), np.exp(t[5])
            inside = np.clip(y, 1e-9, 1 - 1e-9)
            between = np.log((1 - zero) * (1 - one)) + beta.logpdf(inside, mu * phi, (1 - mu) * phi)
            return -np.where(y == 0, np.log(zero), np.where(y == 1, np.log((1 - zero) * one), between)).sum()

        found = minimize(minus_loglik, np.zeros(6), method="BFGS")
        np.testing.assert_allclose(fit.params, found.x, rtol=OPTIMISER, atol=OPTIMISER)
        assert fit.loglik == pytest.approx(-found.fun, rel=1e-9)
        assert fit.aic == pytest.approx(2 * 6 + 2 * found.fun)

    def test_without_losses_of_0_and_1_it_is_the_beta_regression(self):
        frame = episodes().query("0 < realised_lgd < 1")
        inflated = ZeroOneInflatedBetaModel(formula="~ ltv", zero="~ product", one="~ product").fit(frame)
        plain = BetaRegressionModel(formula="~ ltv").fit(frame)
        np.testing.assert_allclose(inflated.params, plain.params, rtol=ROUNDING)
        assert (inflated.loglik, inflated.n_params) == (pytest.approx(plain.loglik), plain.n_params)
        pd.testing.assert_frame_equal(inflated.predict(frame, interval=True), plain.predict(frame, interval=True))
        assert "exactly 0" in inflated.boundary
        assert "exactly 1" in inflated.boundary
        inflated.predict(frame[["ltv"]])  # drivers of parts that were not estimated are not asked for

    def test_losses_of_0_and_1_alone_have_no_density(self):
        with pytest.raises(InsufficientDataError, match="0 or 1"):
            ZeroOneInflatedBetaModel().fit(pd.DataFrame({"realised_lgd": [0.0, 1.0, 1.0]}))


class TestTwoStages:
    def test_the_stages_are_those_of_statsmodels(self):
        frame = episodes()
        fit = TwoStageLgdModel(any_loss="~ ltv", loss_given_loss="~ product").fit(frame)
        frame["any"] = (frame["realised_lgd"] > 0).astype(float)
        binomial = sm.families.Binomial
        first = smf.glm("any ~ ltv", frame, family=binomial()).fit(cov_type="HC0", tol=1e-14)
        second = smf.glm("realised_lgd ~ product", frame[frame["any"] > 0], family=binomial())
        second = second.fit(cov_type="HC0", tol=1e-14)
        np.testing.assert_allclose(fit.params["any_loss"], first.params, atol=1e-8)
        np.testing.assert_allclose(fit.standard_errors["any_loss"], first.bse, rtol=1e-7)
        np.testing.assert_allclose(fit.params["loss_given_loss"], second.params, atol=1e-8)
        np.testing.assert_allclose(fit.standard_errors["loss_given_loss"], second.bse, rtol=1e-7)
        np.testing.assert_allclose(fit.predict(frame), first.predict(frame) * second.predict(frame), atol=1e-8)

    @pytest.mark.parametrize("severity", ["fractional", "beta"])
    def test_where_all_lose_it_is_the_plain_model(self, severity):
        frame = episodes().query("0 < realised_lgd < 1")
        plain = {"fractional": FractionalLogitModel, "beta": BetaRegressionModel}[severity](formula="~ ltv").fit(frame)
        staged = TwoStageLgdModel(any_loss="~ product", loss_given_loss="~ ltv", severity=severity).fit(frame)
        np.testing.assert_allclose(staged.cov, plain.cov, rtol=ROUNDING)
        pd.testing.assert_frame_equal(staged.predict(frame, interval=True), plain.predict(frame, interval=True))
        assert "set to 1" in staged.boundary

    def test_constant_stages_multiply_to_the_mean_loss(self):
        frame = episodes()
        fit = TwoStageLgdModel().fit(frame)
        assert fit.predict(frame).iloc[0] == pytest.approx(frame["realised_lgd"].mean(), rel=ROUNDING)

    def test_with_clusters_the_product_has_the_error_of_the_clustered_mean(self):
        # Both stages constant: their product is the plain mean, so its robust error is that of the mean, by the delta
        # method exactly, only if the stages are tied together.
        frame = episodes()
        band = TwoStageLgdModel().fit(frame, cluster_col="obligor").predict(frame, interval=True).iloc[0]
        gap = (frame["realised_lgd"] - frame["realised_lgd"].mean()).groupby(frame["obligor"]).sum()
        assert band["standard_error"] == pytest.approx(np.sqrt((gap**2).sum()) / len(frame), rel=1e-7)

    def test_a_beta_severity_takes_no_total_loss(self):
        with pytest.raises(ContractError, match="ZeroOneInflatedBetaModel or severity='fractional'"):
            TwoStageLgdModel(severity="beta").fit(episodes())

    def test_with_a_beta_severity_it_is_the_inflated_beta_without_total_losses(self):
        frame = episodes().query("realised_lgd < 1")
        staged = TwoStageLgdModel(any_loss="~ ltv", loss_given_loss="~ product", severity="beta").fit(frame)
        inflated = ZeroOneInflatedBetaModel(formula="~ product", zero="~ ltv").fit(frame)
        assert staged.loglik == pytest.approx(inflated.loglik, rel=ROUNDING)
        assert staged.aic == pytest.approx(inflated.aic, rel=ROUNDING)
        pd.testing.assert_frame_equal(
            staged.predict(frame, interval=True), inflated.predict(frame, interval=True), rtol=1e-7
        )

    def test_no_loss_at_all_is_said_so(self):
        with pytest.raises(InsufficientDataError, match="no loss to model"):
            TwoStageLgdModel().fit(pd.DataFrame({"realised_lgd": [0.0, 0.0]}))


class TestCureOfClosedEpisodes:
    def test_by_hand(self):
        # P(cure) 3/5; loss given cure 0.01; given none 0.8: 0.6 * 0.01 + 0.4 * 0.8 = 0.326
        loans = pd.DataFrame(
            {"outcome": ["cured"] * 3 + ["written_off", "sold"], "realised_lgd": [0.0, 0.0, 0.03, 0.7, 0.9]}
        )
        parts = CureLgdModel().fit(loans).predict_parts(loans).iloc[0]
        np.testing.assert_allclose(parts, [0.6, 0.8, 0.01, 0.326], rtol=ROUNDING)

    def test_constant_parts_have_the_error_of_the_clustered_mean(self):
        frame = episodes().query("outcome != 'open'")
        band = CureLgdModel().fit(frame, cluster_col="obligor").predict(frame, interval=True).iloc[0]
        gap = (frame["realised_lgd"] - frame["realised_lgd"].mean()).groupby(frame["obligor"]).sum()
        assert band["value"] == pytest.approx(frame["realised_lgd"].mean())
        assert band["standard_error"] == pytest.approx(np.sqrt((gap**2).sum()) / len(frame), rel=1e-7)

    def test_open_and_missing_outcomes_are_refused(self):
        with pytest.raises(ContractError, match=r"must not be 'open'.*SurvivalLgdModel"):
            CureLgdModel().fit(episodes())
        with pytest.raises(ContractError, match="outcome must not be missing"):
            CureLgdModel().fit(episodes().assign(outcome=None))

    def test_someone_must_have_cured_and_someone_not(self):
        frame = episodes().query("outcome == 'cured'")
        with pytest.raises(InsufficientDataError, match="in every episode"):
            CureLgdModel().fit(frame)

    def test_the_outcome_is_no_driver(self):
        with pytest.raises(RefusedColumnError, match="outcome"):
            CureLgdModel(cure="~ outcome")


class TestSurvivalBased:
    @staticmethod
    def fitted(frame, **choices):
        columns = {"duration_col": "month", "event_col": "had_cure"}
        cures = MixtureCureModel(incidence="~ ltv", latency="~ product", **choices).fit(frame, **columns)
        return cures, SurvivalLgdModel(cure_fit=cures, loss_given_no_cure="~ product", months_open_col="month")

    def test_the_expectation_is_made_of_the_cure_model_and_the_losses(self):
        frame = episodes()
        cures, _ = self.fitted(frame)
        fit = SurvivalLgdModel(cure_fit=cures, loss_given_no_cure="~ product").fit(frame)
        lost = FractionalLogitModel(formula="~ product").fit(frame.query("outcome == 'written_off'")).predict(frame)
        kept = frame.query("outcome == 'cured'")["realised_lgd"].mean()
        p = cures.predict_susceptible(frame)
        np.testing.assert_allclose(fit.predict(frame), p * kept + (1 - p) * lost, rtol=ROUNDING)
        assert fit.n_open == (frame["outcome"] == "open").sum()
        assert fit.n_episodes + fit.n_open == len(frame)
        assert "open episodes count in the cure model only. Event: had_cure." in fit.sentence()
        assert json.loads(json.dumps(fit.to_record(), allow_nan=False))["n_open"] == fit.n_open

    def test_an_open_episode_is_less_likely_to_cure_the_longer_it_is_open(self):
        frame = episodes()
        cures, model = self.fitted(frame)
        fit = model.fit(frame)
        later = pd.concat([frame.head(1)] * 4).assign(month=[0.0, 6.0, 24.0, 60.0])
        parts = fit.predict_parts(later)
        p, survival = cures.predict_susceptible(later).to_numpy(), cures.predict_survival(later, [6.0]).to_numpy()[1, 0]
        assert parts["cure"].iloc[0] == pytest.approx(p[0])
        # P(ever cures | open at 6) = 1 - (1 - p) / P(open at 6)
        assert parts["cure"].iloc[1] == pytest.approx(1 - (1 - p[0]) / survival)
        assert (np.diff(parts["cure"]) < 0).all()
        assert (np.diff(parts["expected_lgd"]) > 0).all()

    @pytest.mark.parametrize("distribution", ["exponential", "weibull", "gamma", "generalized_gamma"])
    def test_the_variance_of_the_probability_is_that_of_its_slopes(self, distribution):
        frame = episodes(800)
        cures, _ = self.fitted(frame, distribution=distribution)
        rows, months = frame.head(6), np.array([0.0, 1.0, 5.0, 12.0, 30.0, 60.0])
        found = cure_probability(cures, rows, months)
        theta = cures.params.to_numpy()

        def value(t):
            moved = type(cures)(
                **{
                    name: (pd.Series(t, index=cures.params.index) if name == "params" else getattr(cures, name))
                    for name in [f for c in type(cures).__mro__ for f in getattr(c, "__slots__", ())]
                }
            )
            return cure_probability(moved, rows, months).value

        steps = 1e-5 * np.eye(len(theta))
        jacobian = np.column_stack([(value(theta + s) - value(theta - s)) / 2e-5 for s in steps])
        expected = ((jacobian @ cures.covariance) * jacobian).sum(axis=1)
        np.testing.assert_allclose(found.variance, expected, rtol=1e-5, atol=FINITE_DIFFERENCE**2)

    def test_losses_of_open_episodes_are_not_read(self):
        frame = episodes()
        frame.loc[frame["outcome"] == "open", "realised_lgd"] = np.nan
        _, model = self.fitted(frame)
        assert model.fit(frame).predict(frame).between(0, 1).all()

    def test_refusals(self):
        frame = episodes()
        cures, model = self.fitted(frame)
        fit = model.fit(frame)
        with pytest.raises(ContractError, match="month must be 0 or more"):
            fit.predict(frame.assign(month=-1.0))
        with pytest.raises(InsufficientDataError, match="all 1,200 episodes are open"):
            model.fit(frame.assign(outcome="open"))
        columns = {"duration_col": "month", "event_col": "had_cure"}
        trap = frame.assign(settled=np.where(frame["ltv"] > 0, "y", "n"))
        leaking = MixtureCureModel(incidence="~ settled").fit(trap, **columns)
        with pytest.raises(RefusedColumnError, match="settled"):
            SurvivalLgdModel(cure_fit=leaking)
        assert cures.n_episodes == len(frame)

    def test_closed_episodes_alone_find_too_many_cures_and_the_survival_model_the_truth(self):
        # Cures are quick and write-offs slow; of 40,000 episodes seen for 6 to 18 months
        rng = np.random.default_rng(22)
        n = 40_000
        cured, age = rng.random(n) < 0.5, rng.uniform(6, 18, n)
        months = np.where(cured, 4 * rng.weibull(1.2, n), 40 * rng.weibull(1.5, n))
        frame = pd.DataFrame(
            {"month": np.minimum(months, age), "realised_lgd": np.where(cured, 0.0, rng.beta(6, 2, n))}
        )
        frame["outcome"] = np.where(months > age, "open", np.where(cured, "cured", "written_off"))
        truth = 0.5 * 0.75
        closed = CureLgdModel().fit(frame.query("outcome != 'open'")).predict(frame).iloc[0]
        event = frame.assign(had_cure=frame["outcome"] == "cured")
        # An episode with another outcome can cure no more: it stays in view to its age, as the credit layer has it.
        event["month"] = np.where(frame["outcome"] == "written_off", age, frame["month"])
        cures = MixtureCureModel().fit(event, duration_col="month", event_col="had_cure")
        band = SurvivalLgdModel(cure_fit=cures).fit(frame).predict(frame, interval=True).iloc[0]
        assert closed < truth - 0.10
        assert band["value"] == pytest.approx(truth, abs=0.01)
        assert band["lower"] < truth < band["upper"]


@pytest.mark.slow
class TestSimulatedTruth:
    #: 400 draws: the coverage of a 95 % interval has a standard error of 1.1 points; four of them.
    COVERED = (0.906, 0.994)

    @pytest.mark.parametrize("clusters", [None, "obligor"])
    @pytest.mark.parametrize("model", ["inflated", "two-stage"])
    def test_intervals_of_the_expected_loss_cover_it(self, model, clusters):
        rng = np.random.default_rng(21)
        chosen = {
            "inflated": ZeroOneInflatedBetaModel(formula="~ ltv", zero="~ ltv", one="~ 1"),
            "two-stage": TwoStageLgdModel(any_loss="~ ltv", loss_given_loss="~ ltv"),
        }[model]
        total = 0.15 if model == "inflated" else 0.0  # a mean of total and other losses would be no logit in ltv
        inside = 0
        for _ in range(400):
            ltv = rng.normal(size=600)
            zero, mu = 1 / (1 + np.exp(0.5 + 0.7 * ltv)), 1 / (1 + np.exp(0.2 - 0.5 * ltv))
            loss = np.clip(rng.beta(3 * mu, 3 * (1 - mu)), 1e-9, 1 - 1e-9)
            loss = np.where(rng.random(600) < total, 1.0, loss)
            loss = np.where(rng.random(600) < zero, 0.0, loss)
            frame = pd.DataFrame({"ltv": ltv, "realised_lgd": loss, "obligor": np.arange(600)})
            point = pd.DataFrame({"ltv": [1.0]})
            band = chosen.fit(frame, cluster_col=clusters).predict(point, interval=True).iloc[0]
            zero, mu = 1 / (1 + np.exp(1.2)), 1 / (1 + np.exp(-0.3))
            truth = (1 - zero) * (total + (1 - total) * mu)
            inside += band["lower"] <= truth <= band["upper"]
        assert self.COVERED[0] <= inside / 400 <= self.COVERED[1]
