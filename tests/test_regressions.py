"""What every regression must do alike: say in words what cannot be estimated, and offer the same few things."""

import inspect

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators.competing_outcomes import CompetingOutcomesModel
from recoverykit.estimators.cox_cure import CoxCureModel
from recoverykit.estimators.discrete_hazard import DiscreteHazardModel
from recoverykit.estimators.mixture_cure import MixtureCureModel
from recoverykit.estimators.promotion_time import PromotionTimeModel

EVENT = {"duration_col": "months", "event_col": "cured"}
OUTCOME = {"duration_col": "months", "outcome_col": "outcome"}
#: Model with its covariate in the part that says who ever has the event, and its columns.
MODELS = {
    "mixture cure": (MixtureCureModel, "incidence", EVENT),
    "promotion time": (PromotionTimeModel, "incidence", EVENT),
    "Cox cure": (CoxCureModel, "incidence", EVENT),
    "competing outcomes": (CompetingOutcomesModel, "incidence", OUTCOME),
    "discrete hazard": (DiscreteHazardModel, "formula", OUTCOME),
}
EVERY = pytest.mark.parametrize("name", list(MODELS))
HAS_NEVER_SHARE = pytest.mark.parametrize("name", [name for name in MODELS if name != "discrete hazard"])
TIMES = [0.0, 3.0, 12.0]


def loans(seed=1, n=400, *, ever=0.6, observed=(18, 36)):
    """Episodes that cure in months of a Weibull distribution, or never; one covariate that says a little."""
    rng = np.random.default_rng(seed)
    product = rng.choice(["card", "mortgage"], n)
    cures = rng.random(n) < ever
    month = np.ceil(8 * (-np.log(rng.random(n))) ** 0.7)
    end = rng.integers(*observed, n)
    cured = cures & (month <= end)
    return pd.DataFrame(
        {
            "months": np.where(cured, month, end),
            "cured": cured,
            "outcome": np.where(cured, "cured", "open"),
            "product": product,
            "n": rng.integers(1, 3, n).astype(float),
            "obligor": rng.integers(0, n // 2, n),
        }
    )


def model_of(name, formula="~ 1", **options):
    kind, part, columns = MODELS[name]
    return kind(**{part: formula}, **options), columns


@EVERY
class TestTooLittle:
    def test_no_event(self, name):
        model, columns = model_of(name)
        with pytest.raises(
            InsufficientDataError, match=r"none of the 400 episodes has the event|all 400 episodes are open"
        ):
            model.fit(loans().assign(cured=False, outcome="open"), **columns)

    def test_no_row(self, name):
        model, columns = model_of(name)
        with pytest.raises(InsufficientDataError, match="has no row"):
            model.fit(loans().head(0), **columns)

    @pytest.mark.parametrize("level", ["card", "mortgage"])  # the baseline, and a level with a term of its own
    def test_a_level_in_which_nobody_has_the_event_is_named(self, name, level):
        frame = loans()
        barren = frame["product"] == level
        frame = frame.assign(
            cured=frame["cured"] & ~barren,
            outcome=frame["outcome"].mask(barren, "open"),
        )
        model, columns = model_of(name, "~ product")
        with pytest.raises(
            (InsufficientDataError, ConvergenceError),
            match=r"product\[T.mortgage\].*separat|separat.*product\[T.mortgage\]|product\[T.mortgage\].*finite",
        ):
            model.fit(frame, **columns)

    def test_columns_that_repeat_each_other(self, name):
        model, columns = model_of(name, "~ product + twin")
        with pytest.raises(InsufficientDataError, match="determine each other"):
            model.fit(loans().assign(twin=lambda f: f["product"].str.upper()), **columns)


@HAS_NEVER_SHARE
class TestNoPlateau:
    def test_when_everybody_has_the_event_the_never_share_is_at_its_bound_or_its_interval_says_nothing(self, name):
        frame = loans(2, ever=1.0, observed=(400, 401))
        assert frame["cured"].all()
        model, columns = model_of(name)
        fit = model.fit(frame, **columns)
        assert fit.never.value == pytest.approx(0.0, abs=1e-3)
        if name == "promotion time":  # theta is in the hazard at all times, so it has an estimate, of no precision
            assert fit.never.upper > 0.9
            return
        assert "bound" in fit.boundary
        assert fit.boundary in fit.sentence()
        assert np.isnan(fit.never.lower)
        assert fit.standard_errors["incidence"].isna().all()

    def test_when_follow_up_ends_in_the_middle_the_interval_is_wide_or_the_boundary_is_named(self, name):
        # Nine in ten have the event, but everybody is censored at 6 months: what comes after is not seen.
        if name == "Cox cure":
            pytest.skip("its zero tail takes the last event as the end of all events, and says so")
        frame = loans(3, ever=0.9, observed=(6, 7))
        model, columns = model_of(name)
        fit = model.fit(frame, **columns)
        assert fit.boundary is not None or fit.never.upper - fit.never.lower > 0.2


def test_monthly_hazards_do_not_say_who_never_ends():
    model, columns = model_of("discrete hazard")
    fit = model.fit(loans(2, ever=1.0, observed=(400, 401)), **columns)
    assert fit.never is None
    assert "what share never ends is not estimated" in fit.sentence()
    with pytest.raises(InsufficientDataError, match="never-resolving class"):
        fit.predict_susceptible(loans())


@EVERY
class TestTheSameShape:
    def test_a_fit_has_estimates_errors_criteria_and_predictions(self, name):
        frame = loans()
        model, columns = model_of(name, "~ product")
        fit = model.fit(frame, weights_col="n", cluster_col="obligor", **columns)
        assert fit.params.index.equals(fit.standard_errors.index)
        np.testing.assert_allclose(np.sqrt(np.diag(fit.cov)), fit.standard_errors)
        assert fit.aic == pytest.approx(2 * fit.n_params - 2 * fit.loglik)
        assert fit.bic == pytest.approx(np.log(frame["n"].sum()) * fit.n_params - 2 * fit.loglik)
        assert (fit.n_episodes, fit.n_clusters) == (frame["n"].sum(), frame["obligor"].nunique())
        survival = fit.predict_survival(frame, TIMES)
        assert survival.shape == (len(frame), len(TIMES))
        assert (survival[0.0] == 1).all()
        assert (np.diff(survival, axis=1) <= 0).all()
        if name != "discrete hazard":
            ever = fit.predict_susceptible(frame)
            assert ((ever > 0) & (ever < 1)).all()
            assert (survival[12.0] >= 1 - ever - 1e-12).all()

    def test_intervals_come_by_delta_method_and_by_simulation_and_hold_the_value(self, name):
        frame = loans()
        model, columns = model_of(name, "~ product")
        fit = model.fit(frame, **columns)
        for how in ({}, {"method": "simulation", "rng": np.random.default_rng(0), "n_draws": 200}):
            band = fit.predict_survival(frame.head(3), [3.0], interval=True, **how)
            assert (band["lower"] < band["value"]).all()
            assert (band["value"] < band["upper"]).all()
            if name != "discrete hazard":
                ever = fit.predict_susceptible(frame.head(3), interval=True, **how)
                np.testing.assert_allclose(ever["value"], fit.predict_susceptible(frame.head(3)))
                assert (ever["lower"] < ever["value"]).all()
                assert (ever["value"] < ever["upper"]).all()

    def test_residuals_have_one_row_for_each_episode(self, name):
        frame = loans().iloc[::-1]
        model, columns = model_of(name, "~ product")
        found = model.fit(frame, **columns).residuals(frame)
        assert list(found.columns) == ["residual", "lower", "upper", "event"]
        assert found.index.equals(frame.index)
        assert (found["event"] == frame["cured"]).all()
        assert found["event"].sum() / found["residual"].sum() == pytest.approx(1.0, abs=0.05)

    def test_fit_takes_the_columns_that_every_model_names_alike(self, name):
        names = set(inspect.signature(MODELS[name][0].fit).parameters)
        assert {"frame", "duration_col", "weights_col", "entry_col", "cluster_col", "level"} <= names
        if name != "discrete hazard":  # whose months are intervals already
            assert {"lower_col", "upper_col"} <= names
