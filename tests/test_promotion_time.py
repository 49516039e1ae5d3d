"""The promotion-time model: by hand, against Stata's numbers, against an independent likelihood, and at its edges."""

import dataclasses
import json
import os
import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._event_times import compress_rows, read_event_times
from recoverykit.estimators._mixture_data import mixture_data
from recoverykit.estimators._mixture_kernels import evaluate
from recoverykit.estimators._promotion_terms import PROMOTION
from recoverykit.estimators.distributions import LATENCY_DISTRIBUTIONS
from recoverykit.estimators.mixture_cure import MixtureCureModel, compare_fits, compare_nested
from recoverykit.estimators.promotion_time import PromotionTimeModel

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE", Path(__file__).parents[2] / "shared" / "reference"))
#: Digits that the reference programs print.
PRINTED = 1e-4
#: Two codes of one likelihood, summed in another order.
ROUNDING = 1e-9
#: Newton's method stops within 1e-9 of the top in log-likelihood, about 1e-5 standard errors off and mostly far less.
SAME_MAXIMUM = 1e-5
#: Central differences of a log-likelihood of some hundreds.
DIFFERENCES = 1e-5

EXACT = {"duration_col": "duration", "event_col": "cured"}
INTERVAL = {"lower_col": "lower", "upper_col": "upper"}
THETA = {"logit": lambda a: np.log1p(np.exp(a)), "log": np.exp}


def simulate(seed, n=500, *, incidence=(0.2, -0.6, 0.4), latency=(2.0, 0.2, 0.3), sigma=0.7, link="log"):
    """Draw episodes: a Poisson number of causes, the first of which brings the event at a Weibull time."""
    rng = np.random.default_rng(seed)
    product, ltv = rng.choice(["card", "mortgage"], n), rng.normal(0.0, 1.0, n)
    design = np.column_stack([np.ones(n), product == "mortgage", ltv]).astype(float)
    theta, scale = THETA[link](design @ np.array(incidence)), np.exp(design @ np.array(latency))
    # P(T > t) = exp(-theta F(t)) = u gives F(t) = -log(u) / theta; there is no event where that is 1 or more.
    below = -np.log(rng.random(n)) / theta
    time = np.where(below < 1, scale * (-np.log1p(-np.minimum(below, 1 - 1e-12))) ** sigma, np.inf)
    entry = np.where(rng.random(n) < 0.3, rng.integers(1, 4, n), 0)
    end = entry + rng.integers(6, 40, n)
    cured = time <= end
    observed = np.minimum(time, end)
    frame = pd.DataFrame(
        {
            "product": product,
            "ltv": ltv,
            "entry": entry.astype(float),
            "duration": observed,
            "cured": cured,
            "lower": np.where(cured, np.ceil(observed) - 1, end),
            "upper": np.where(cured, np.ceil(observed), np.inf),
            "n": rng.integers(1, 4, n).astype(float),
            "obligor": rng.integers(0, n // 2, n),
        }
    )
    return frame[time > entry].reset_index(drop=True)


def both(**options):
    return PromotionTimeModel(incidence="~ product + ltv", latency="~ product + ltv", **options)


def log_time_distribution(name, eta, ancillary):
    """Return survival function and density of log time by scipy."""
    sigma = np.exp(ancillary[0]) if len(ancillary) else 1.0
    plain = {"exponential": stats.gumbel_l, "weibull": stats.gumbel_l, "lognormal": stats.norm}
    if name in plain or name == "loglogistic":
        eps = plain.get(name, stats.logistic)(loc=eta, scale=sigma)
        return eps.sf, eps.pdf
    shape = sigma if name == "gamma" else ancillary[1]
    a = shape**-2
    gamma = stats.gamma(a)

    def argument(log_time):
        return a * np.exp(shape * (log_time - eta) / sigma)

    survival = gamma.sf if shape > 0 else gamma.cdf
    return (lambda y: survival(argument(y))), (lambda y: gamma.pdf(argument(y)) * argument(y) * abs(shape) / sigma)


def brute_force(params, frame, *, distribution, link, form, weights, entry, background=0.0):
    """Add up the log-likelihood with scipy's distributions, row by row and without any trick."""
    design = np.column_stack([np.ones(len(frame)), frame["product"] == "mortgage", frame["ltv"]]).astype(float)
    theta = THETA[link](design @ params[:3])
    sf, pdf = log_time_distribution(distribution, design @ params[3:6], params[6:])
    with np.errstate(divide="ignore", invalid="ignore"):

        def population(time):
            return np.exp(-theta * (1 - sf(np.log(time))))

        if form == "exact":
            time = frame["duration"].to_numpy()
            hazard = theta * pdf(np.log(time)) / time + background
            terms = np.where(frame["cured"], np.log(hazard), 0.0) + np.log(population(time))
        else:
            lower = np.maximum(frame["lower"], entry).to_numpy()
            upper = frame["upper"].to_numpy()
            fraction = np.exp(-background * np.where(np.isinf(upper), 0.0, upper - lower))
            at_end = np.where(np.isinf(upper), 0.0, fraction * population(np.where(np.isinf(upper), 1.0, upper)))
            terms = np.log(population(lower) - at_end)
        return float(np.sum(weights * (terms - np.log(population(np.asarray(entry, dtype=float))))))


class TestByHand:
    def test_eight_loans_in_two_intervals_have_a_closed_solution(self):
        # (0, 1]: 3 events; (1, 2]: 1 event; 4 still open at 2. The fit is exact: P(T > 1) = 5/8 and P(T > 2) = 4/8.
        # Exponential F with hazard h and x = e^-h: theta (1 - x) = log(8/5) = .470004 and theta (1 - x^2) = log 2 =
        # .693147, so 1 + x = .693147 / .470004 = 1.474769: x = .474769, theta = .470004 / .525231 = .894851.
        # Never-share e^-theta = .408668; log-likelihood 3 log(3/8) + log(1/8) + 4 log(4/8) = -7.794518.
        loans = pd.DataFrame({"lower": [0, 0, 0, 1] + [2] * 4, "upper": [1, 1, 1, 2] + [np.inf] * 4})
        fit = PromotionTimeModel(distribution="exponential", link="log").fit(loans, **INTERVAL)
        assert np.exp(fit.params["incidence", "Intercept"]) == pytest.approx(0.894851, abs=1e-5)
        assert np.exp(-np.exp(-fit.params["latency", "Intercept"])) == pytest.approx(0.474769, abs=1e-5)
        assert fit.never.value == pytest.approx(0.408668, abs=1e-5)
        assert fit.loglik == pytest.approx(-7.794518, abs=1e-6)
        assert (fit.n_episodes, fit.n_events) == (8, 4)

    def test_survival_is_the_never_share_to_the_power_of_the_distribution_function(self):
        frame = simulate(1)
        fit = both(link="log").fit(frame, **EXACT)
        asked = pd.DataFrame({"product": ["card", "mortgage"], "ltv": [0.5, -1.0]}, index=["x", "y"])
        design = np.array([[1, 0, 0.5], [1, 1, -1.0]])
        theta = np.exp(design @ fit.params["incidence"].to_numpy())
        scale, sigma = np.exp(design @ fit.params["latency"].to_numpy()), np.exp(fit.params["ancillary", "log_sigma"])
        times = np.array([0, 3, 12.5, 1000])
        expected = np.exp(-theta[:, None] * -np.expm1(-((times / scale[:, None]) ** (1 / sigma))))
        np.testing.assert_allclose(fit.predict_survival(asked, times), expected, rtol=1e-10)
        np.testing.assert_allclose(fit.predict_susceptible(asked), -np.expm1(-theta), rtol=1e-12)


class TestReferenceCaseA:
    """Stata's strsnmix and flexsurvcure on bc; their logit is that of the never-share: the sign is turned round."""

    @pytest.fixture
    def breast_cancer(self):
        path = REFERENCE / "survival" / "bc_design.csv"
        if not path.exists():
            pytest.skip(f"reference data {path} are not here; set RECOVERYKIT_REFERENCE")
        return pd.read_csv(path)

    def test_weibull_with_logit_link(self, breast_cancer):
        fit = PromotionTimeModel(distribution="weibull").fit(breast_cancer, duration_col="rectime", event_col="censrec")
        assert -fit.params["incidence", "Intercept"] == pytest.approx(-0.5151878, abs=PRINTED)
        assert fit.standard_errors["incidence", "Intercept"] == pytest.approx(0.1806544, abs=PRINTED)
        assert fit.loglik == pytest.approx(-2625.7238, abs=PRINTED)

    def test_the_unit_of_time_moves_intercept_and_likelihood_as_it_must(self, breast_cancer):
        # log-likelihood in days = log-likelihood in years - events x ln 365.
        days, years = (
            PromotionTimeModel(distribution="weibull").fit(breast_cancer, duration_col=time, event_col="censrec")
            for time in ("rectime", "recyrs")
        )
        assert days.loglik == pytest.approx(years.loglik - days.n_events * np.log(365), abs=PRINTED)
        assert days.params["latency", "Intercept"] - years.params["latency", "Intercept"] == pytest.approx(
            np.log(365), abs=PRINTED
        )

    def test_without_covariates_of_incidence_both_links_are_one_model(self, breast_cancer):
        one, other = (
            PromotionTimeModel(link=link, latency="~ group").fit(
                breast_cancer, duration_col="rectime", event_col="censrec"
            )
            for link in ("logit", "log")
        )
        assert one.loglik == pytest.approx(other.loglik, abs=1e-6)
        assert one.never.value == pytest.approx(other.never.value, abs=SAME_MAXIMUM)
        pd.testing.assert_series_equal(one.params["latency"], other.params["latency"], atol=1e-4)


class TestAgainstOtherCode:
    @pytest.mark.parametrize("link", ["logit", "log"])
    @pytest.mark.parametrize("distribution", LATENCY_DISTRIBUTIONS)
    @pytest.mark.parametrize("form", ["exact", "interval"])
    def test_the_log_likelihood_with_weights_and_late_entry_is_that_added_up_with_scipy(self, distribution, link, form):
        frame = simulate(3, n=400)
        fit = both(distribution=distribution, link=link).fit(
            frame, weights_col="n", entry_col="entry", **(EXACT if form == "exact" else INTERVAL)
        )
        expected = brute_force(
            fit.params.to_numpy(),
            frame,
            distribution=distribution,
            link=link,
            form=form,
            weights=frame["n"],
            entry=frame["entry"],
        )
        assert fit.loglik == pytest.approx(expected, rel=1e-8)

    def test_a_search_by_scipy_on_the_likelihood_added_up_with_scipy_ends_at_the_same_top(self):
        frame = simulate(4, n=200)
        fit = both(link="log").fit(frame, **EXACT)

        def minus(params):
            return -brute_force(
                params, frame, distribution="weibull", link="log", form="exact", weights=1.0, entry=np.zeros(len(frame))
            )

        rng = np.random.default_rng(0)
        found = min(
            (
                optimize.minimize(minus, fit.params + rng.normal(0, 0.1, 7), method="BFGS", options={"gtol": 1e-6})
                for _ in range(3)
            ),
            key=lambda result: result.fun,
        )
        assert -found.fun <= fit.loglik + 1e-6
        assert -found.fun == pytest.approx(fit.loglik, abs=1e-4)
        np.testing.assert_allclose(found.x, fit.params, atol=1e-2)

    @pytest.mark.parametrize("form", ["exact", "interval"])
    def test_a_background_hazard_enters_as_scipy_adds_it(self, form):
        frame = simulate(5, n=400).assign(background=lambda f: 0.002 + 0.003 * (f["product"] == "card"))
        columns = EXACT if form == "exact" else INTERVAL
        fit = both().fit(frame, background_col="background", entry_col="entry", **columns)
        expected = brute_force(
            fit.params.to_numpy(),
            frame,
            distribution="weibull",
            link="logit",
            form=form,
            weights=1.0,
            entry=frame["entry"],
            background=frame["background"],
        )
        assert fit.loglik == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("link", PROMOTION.links)
@pytest.mark.parametrize("distribution", LATENCY_DISTRIBUTIONS)
def test_gradient_and_hessian_are_the_differences_of_the_log_likelihood(distribution, link, seed):
    frame = simulate(seed, n=80).assign(background=lambda f: 0.004 * (f["product"] == "card"))
    frame.loc[:20, "lower"] = frame.loc[:20, "upper"] = frame.loc[:20, "duration"]  # exact times among the intervals
    frame["upper"] = np.where(frame["cured"], frame["upper"], np.inf)
    times = read_event_times(
        frame,
        duration_col=None,
        event_col=None,
        weights_col="n",
        entry_col="entry",
        background_col="background",
        **INTERVAL,
    )
    rows = compress_rows(times, frame, ("product", "ltv"), want_inverse=False)
    taken = frame.take(rows.representatives)
    design = np.column_stack([np.ones(len(taken)), taken["product"] == "mortgage", taken["ltv"]]).astype(float)
    eps = LATENCY_DISTRIBUTIONS[distribution]
    data = mixture_data(rows, design, design, eps, PROMOTION.links[link], 0.3, PROMOTION)
    theta = np.random.default_rng(seed).normal(0, 0.4, data.n_params)
    step = 1e-5
    here = evaluate(theta, data)
    for i in range(data.n_params):
        shift = step * np.eye(data.n_params)[i]
        up, down = evaluate(theta + shift, data), evaluate(theta - shift, data)
        assert here.gradient[i] == pytest.approx((up.value - down.value) / (2 * step), rel=DIFFERENCES, abs=1e-4)
        slope = (up.gradient - down.gradient) / (2 * step)
        np.testing.assert_allclose(here.hessian[i], slope, rtol=DIFFERENCES, atol=1e-4)


class TestIdentities:
    def test_a_row_of_weight_two_is_the_row_twice(self):
        frame = simulate(6, n=300)
        weighted = both().fit(frame, weights_col="n", **EXACT)
        repeated = both().fit(frame.loc[frame.index.repeat(frame["n"].astype(int))], **EXACT)
        assert weighted.loglik == pytest.approx(repeated.loglik, rel=ROUNDING)
        pd.testing.assert_series_equal(weighted.params, repeated.params, atol=SAME_MAXIMUM)
        pd.testing.assert_series_equal(weighted.standard_errors, repeated.standard_errors, rtol=SAME_MAXIMUM)

    @pytest.mark.parametrize("distribution", ["weibull", "gamma", "generalized_gamma"])
    def test_the_unit_of_time_moves_the_intercept_only(self, distribution):
        frame = simulate(7)
        model = PromotionTimeModel(distribution=distribution, incidence="~ product", latency="~ ltv")
        months, days = (model.fit(frame.assign(duration=k * frame["duration"]), **EXACT) for k in (1.0, 30.4))
        moved = days.params - months.params
        assert moved["latency", "Intercept"] == pytest.approx(np.log(30.4), abs=1e-4)
        assert moved.drop(("latency", "Intercept")).abs().max() < 1e-4
        assert days.loglik == pytest.approx(months.loglik - months.n_events * np.log(30.4), rel=ROUNDING)

    def test_the_order_of_the_rows_does_not_matter(self):
        frame = simulate(8)
        one, other = both().fit(frame, **EXACT), both().fit(frame.sample(frac=1.0, random_state=1), **EXACT)
        pd.testing.assert_series_equal(one.params, other.params, atol=SAME_MAXIMUM)

    @pytest.mark.parametrize("half_width", [1e-4, 1e-8])
    def test_narrow_intervals_tend_to_exact_times(self, half_width):
        # The probability of (t - h, t + h] is f(t) 2 h; 1e-8 is taken for exact by the kernel, 1e-4 is not.
        frame = simulate(9)
        widths = half_width * frame["duration"]
        narrow = frame.assign(
            lower=np.where(frame["cured"], frame["duration"] - widths, frame["duration"]),
            upper=np.where(frame["cured"], frame["duration"] + widths, np.inf),
        )
        exact, fit = both().fit(frame, **EXACT), both().fit(narrow, **INTERVAL)
        assert fit.loglik == pytest.approx(exact.loglik + np.log(2 * widths[frame["cured"]]).sum(), abs=1e-4)
        pd.testing.assert_series_equal(fit.params, exact.params, atol=1e-4)

    def test_the_generalised_gamma_holds_gamma_weibull_and_log_normal(self):
        frame = simulate(10, n=800)
        fits = {
            name: PromotionTimeModel(distribution=name).fit(frame, **EXACT)
            for name in ("weibull", "lognormal", "gamma", "generalized_gamma")
        }
        largest = fits.pop("generalized_gamma").loglik
        assert all(fit.loglik <= largest + 1e-6 for fit in fits.values())

    def test_with_the_log_link_and_no_latency_covariate_hazards_are_proportional(self):
        # h(t | x) = theta(x) f(t): the ratio of cumulative hazards of two episodes is theta ratio at every time.
        fit = PromotionTimeModel(incidence="~ product", link="log").fit(simulate(11), **EXACT)
        asked = pd.DataFrame({"product": ["card", "mortgage"]})
        hazards = -np.log(fit.predict_survival(asked, [1.0, 5.0, 20.0, 60.0]).to_numpy())
        ratio = np.exp(fit.params["incidence", "product[T.mortgage]"])
        np.testing.assert_allclose(hazards[1] / hazards[0], ratio, rtol=1e-9)

    def test_copies_inside_an_obligor_do_not_shrink_the_robust_errors(self):
        frame = simulate(12, n=300).assign(obligor=lambda f: np.arange(len(f)))
        once = both().fit(frame, cluster_col="obligor", **EXACT)
        copies = both().fit(pd.concat([frame, frame], ignore_index=True), cluster_col="obligor", **EXACT)
        pd.testing.assert_series_equal(once.standard_errors, copies.standard_errors, rtol=SAME_MAXIMUM)


class TestPredictions:
    @pytest.fixture
    def fit(self):
        return both(distribution="gamma").fit(simulate(20), **EXACT)

    @pytest.fixture
    def asked(self):
        return pd.DataFrame({"product": ["card", "mortgage"], "ltv": [0.5, -1.0]}, index=["x", "y"])

    def test_intervals_are_those_of_the_delta_method_by_differences(self, fit, asked):
        def log_minus_log(params):
            moved = type(fit)(**{f.name: getattr(fit, f.name) for f in dataclasses.fields(fit)} | {"params": params})
            return np.log(-np.log(moved.predict_survival(asked, [6.0]).to_numpy()[:, 0]))

        base = fit.params
        moves = 1e-5 * np.eye(len(base))
        slopes = np.array([(log_minus_log(base + d) - log_minus_log(base - d)) / 2e-5 for d in moves])
        half = stats.norm.ppf(0.975) * np.sqrt(np.einsum("ir,ij,jr->r", slopes, fit.cov.to_numpy(), slopes))
        band = fit.predict_survival(asked, [6.0], interval=True)
        centre = np.log(-np.log(band["value"].to_numpy()))
        np.testing.assert_allclose(np.log(-np.log(band["lower"])) - centre, half, rtol=1e-4)

    def test_curve_levels_off_at_the_never_share(self, fit, asked):
        far = fit.predict_survival(asked, [1e6]).to_numpy()[:, 0]
        np.testing.assert_allclose(far, 1 - fit.predict_susceptible(asked), rtol=1e-9)

    def test_record_sentence_and_pickle_name_the_family(self, fit, asked):
        record = json.loads(json.dumps(fit.to_record(), allow_nan=False))
        assert record["family"] == "promotion time"
        assert "promotion time model, gamma latency" in fit.sentence()
        again = pickle.loads(pickle.dumps(fit))
        pd.testing.assert_series_equal(again.predict_susceptible(asked), fit.predict_susceptible(asked))

    def test_it_stands_beside_a_mixture_but_is_not_nested_with_it(self, fit):
        mixture = MixtureCureModel(distribution="gamma").fit(simulate(20), **EXACT)
        assert set(compare_fits({"mixture": mixture, "promotion": fit}).index) == {"mixture", "promotion"}
        with pytest.raises(ValueError, match="not held by"):
            compare_nested(mixture, fit)


class TestEdges:
    columns: ClassVar = EXACT

    @pytest.mark.parametrize("link", ["logit", "log"])
    def test_when_all_cure_the_never_share_is_zero_and_has_no_standard_error(self, link):
        # 40 exponential times without censoring: no plateau; exp(-theta F) tends to the plain exponential, whose top is
        # -n log(mean) - n.
        months = stats.expon(scale=5).ppf((np.arange(40) + 0.5) / 40)
        fit = PromotionTimeModel(distribution="exponential", link=link).fit(
            pd.DataFrame({"duration": months, "cured": True}), **EXACT
        )
        assert "upper bound of 1" in fit.boundary
        assert np.isnan(fit.standard_errors["incidence", "Intercept"])
        assert fit.never.value < 1e-3
        assert np.isnan(fit.never.upper)
        assert fit.loglik == pytest.approx(-40 * np.log(months.mean()) - 40, abs=0.05)

    def test_no_event_is_refused_in_words(self):
        with pytest.raises(InsufficientDataError, match="none of the 4 episodes has the event"):
            PromotionTimeModel().fit(pd.DataFrame({"duration": [1.0, 2, 3, 4], "cured": [0] * 4}), **EXACT)

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"link": "probit"}, "link is 'probit'"), ({"distribution": "gompertz"}, "distribution is 'gompertz'")],
    )
    def test_choices_are_checked_when_they_are_made(self, options, message):
        with pytest.raises(ValueError, match=message):
            PromotionTimeModel(**options)

    def test_the_input_is_not_modified(self):
        frame = simulate(30)
        before = frame.copy(deep=True)
        both().fit(frame, weights_col="n", entry_col="entry", cluster_col="obligor", **EXACT)
        pd.testing.assert_frame_equal(frame, before)


@pytest.mark.slow
def test_intervals_cover_the_truth_at_about_their_level():
    # 200 portfolios of 1,000 episodes; the binomial error of a share of 95 % in 200 is 1.5 points, three are allowed.
    truth = np.array([0.2, -0.6, 0.4, 2.0, 0.2, 0.3, np.log(0.7)])
    covered = []
    for seed in range(200):
        fit = both(link="log").fit(simulate(1000 + seed, n=1000), entry_col="entry", **EXACT)
        covered.append(np.abs(fit.params.to_numpy() - truth) < 1.96 * fit.standard_errors.to_numpy())
    assert np.mean(covered, axis=0) == pytest.approx(np.full(7, 0.95), abs=0.045)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
