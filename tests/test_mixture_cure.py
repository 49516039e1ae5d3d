"""The mixture cure model: by hand, against other programs, against an independent likelihood, and at its edges."""

import dataclasses
import json
import os
import pickle
from pathlib import Path
from typing import ClassVar

import lifelines
import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix
from scipy import optimize, stats

from recoverykit.errors import ContractError, ConvergenceError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators import _mixture_estimation
from recoverykit.estimators._cell_designs import CellDesign
from recoverykit.estimators._episode_designs import cell_episodes
from recoverykit.estimators._event_times import compress_rows, read_event_times
from recoverykit.estimators._links import LINKS
from recoverykit.estimators._mixture_data import mixture_data
from recoverykit.estimators._mixture_kernels import Evaluation, evaluate, row_scores
from recoverykit.estimators._mixture_thinning import thinned
from recoverykit.estimators._optimise import climb
from recoverykit.estimators.distributions import LATENCY_DISTRIBUTIONS
from recoverykit.estimators.mixture_cure import MixtureCureModel, compare_fits, compare_nested

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE", Path(__file__).parents[2] / "shared" / "reference"))
#: Digits that the reference programs print.
PRINTED = 1e-4
#: Two codes of one likelihood, summed in another order.
ROUNDING = 1e-9
#: Newton's method stops within 1e-9 of the top in log-likelihood, about 1e-5 standard errors off and mostly far less.
SAME_MAXIMUM = 1e-5
#: lifelines and scipy stop when their gradient is about 1e-5 to 1e-4 per row.
PEER_STOPS = 1e-3
#: Central differences of a log-likelihood of some hundreds.
DIFFERENCES = 1e-5

STANDARD = {
    "exponential": stats.gumbel_l,
    "weibull": stats.gumbel_l,
    "lognormal": stats.norm,
    "loglogistic": stats.logistic,
}


class GammaLogTime:
    """Log time of the generalised gamma by scipy's gamma: (G / a)^(1 / Q) with a = 1 / Q^2, to the power sigma."""

    def __init__(self, loc, scale, shape):
        self.loc, self.scale, self.shape, self.gamma = loc, scale, shape, stats.gamma(shape**-2)

    def argument(self, log_time):
        return np.exp(self.shape * (log_time - self.loc) / self.scale) / self.shape**2

    def sf(self, log_time):
        return (self.gamma.sf if self.shape > 0 else self.gamma.cdf)(self.argument(log_time))

    def pdf(self, log_time):
        x = self.argument(log_time)
        return self.gamma.pdf(x) * x * abs(self.shape) / self.scale


def log_time(fit, eta):
    """Return the distribution of log time of a fit, by scipy."""
    sigma = np.exp(fit.params.get(("ancillary", "log_sigma"), 0.0))
    if fit.distribution in STANDARD:
        return STANDARD[fit.distribution](loc=eta, scale=sigma)
    return GammaLogTime(eta, sigma, fit.params.get(("ancillary", "Q"), sigma))


INCIDENCE = {
    "logit": lambda a: 1 / (1 + np.exp(-a)),
    "probit": stats.norm.cdf,
    "cloglog": lambda a: -np.expm1(-np.exp(a)),
}


@pytest.fixture
def breast_cancer():
    path = REFERENCE / "survival" / "bc_design.csv"
    if not path.exists():
        pytest.skip(f"reference data {path} are not here; set RECOVERYKIT_REFERENCE")
    return pd.read_csv(path)


def portfolio(seed, n=600, *, beta=(0.2, 0.5), gamma=(0.3, -0.8), sigma=0.7, distribution="weibull"):
    """Simulate episodes with one two-level and one numeric covariate; months are ceilings, entry is late for some."""
    rng = np.random.default_rng(seed)
    product = rng.choice(["card", "mortgage"], n)
    ltv = rng.normal(0.0, 1.0, n)
    a = gamma[0] + gamma[1] * (product == "mortgage") + 0.4 * ltv
    eta = 2.0 + beta[0] * (product == "mortgage") + beta[1] * ltv
    eps = STANDARD[distribution].rvs(size=n, random_state=rng)
    ever = rng.random(n) < 1 / (1 + np.exp(-a))
    time = np.where(ever, np.exp(eta + (1.0 if distribution == "exponential" else sigma) * eps), np.inf)
    entry = np.where(rng.random(n) < 0.3, rng.integers(1, 5, n), 0)
    end = entry + rng.integers(3, 40, n)
    observed = np.minimum(time, end)
    frame = pd.DataFrame(
        {
            "product": product,
            "ltv": ltv,
            "entry": entry.astype(float),
            "duration": observed,
            "cured": time <= end,
            "lower": np.where(time <= end, np.ceil(observed) - 1, end),
            "upper": np.where(time <= end, np.ceil(observed), np.inf),
            "n": rng.integers(1, 4, n).astype(float),
            "obligor": rng.integers(0, n // 2, n),
        }
    )
    return frame[time > entry].reset_index(drop=True)


def brute_force(fit, frame, *, lower, upper, entry=0.0, weights=1.0, background=0.0):
    """Add up the log-likelihood with scipy's distributions, row by row and without any trick."""
    params = fit.params
    design = np.column_stack([np.ones(len(frame)), frame["product"] == "mortgage", frame["ltv"]]).astype(float)
    p = INCIDENCE[fit.link](design @ params["incidence"].to_numpy())
    eps = log_time(fit, design @ params["latency"].to_numpy())
    with np.errstate(divide="ignore", invalid="ignore"):
        population = 1 - p + p * eps.sf(np.log(entry))
        last = 1 - p + p * eps.sf(np.log(lower))
        at_end = np.where(np.isinf(upper), 0.0, 1 - p + p * eps.sf(np.log(upper)))
        between = last - np.exp(-background * np.where(np.isinf(upper), 0.0, upper - lower)) * at_end
        density = p * eps.pdf(np.log(lower)) / np.where(lower > 0, lower, 1.0) + background * last
        share = np.where(np.isinf(upper), last, np.where(upper > lower, between, density))
        return float(np.sum(weights * (np.log(share) - np.log(population))))


def both(**options):
    return MixtureCureModel(incidence="~ product + ltv", latency="~ product + ltv", **options)


class TestByHand:
    def test_eight_loans_in_two_intervals_have_a_closed_solution(self):
        # (0, 1]: 2 events; (1, 2]: 1 event; 5 still open at 2. Exponential latency with hazard h: p (1 - e^-h) = 2/8
        # and p e^-h (1 - e^-h) = 1/8, so e^-h = 1/2, p = 1/2, eta = -log h = -log(log 2).
        # Log-likelihood: 2 log(2/8) + 1 log(1/8) + 5 log(5/8) = -2.772589 - 2.079442 - 2.350018 = -7.202049.
        loans = pd.DataFrame({"lower": [0, 0, 1] + [2] * 5, "upper": [1, 1, 2] + [np.inf] * 5})
        fit = MixtureCureModel(distribution="exponential").fit(loans, lower_col="lower", upper_col="upper")
        assert fit.params["incidence", "Intercept"] == pytest.approx(0.0, abs=SAME_MAXIMUM)
        assert fit.params["latency", "Intercept"] == pytest.approx(-np.log(np.log(2)), abs=SAME_MAXIMUM)
        assert fit.loglik == pytest.approx(-7.202049, abs=1e-6)
        assert (fit.n_episodes, fit.n_events, fit.never.value) == (8, 3, pytest.approx(0.5, abs=SAME_MAXIMUM))

    def test_when_all_six_loans_cure_the_exponential_is_the_mean_time_and_the_incidence_stands_at_one(self):
        # 1 + 2 + ... + 6 = 21 months over 6 events: mean 3.5, log-likelihood -6 log 3.5 - 6 = -13.516578;
        # the standard error of a log mean is 1 / sqrt(6).
        loans = pd.DataFrame({"months": [1, 2, 3, 4, 5, 6], "cured": [1] * 6})
        fit = MixtureCureModel(distribution="exponential").fit(loans, duration_col="months", event_col="cured")
        assert fit.params["latency", "Intercept"] == pytest.approx(np.log(3.5), abs=SAME_MAXIMUM)
        assert fit.standard_errors["latency", "Intercept"] == pytest.approx(1 / np.sqrt(6), rel=SAME_MAXIMUM)
        assert fit.loglik == pytest.approx(-13.516578, abs=1e-6)
        assert np.isnan(fit.standard_errors["incidence", "Intercept"])
        assert "upper bound of 1" in fit.boundary
        assert "no plateau" in fit.sentence()

    def test_an_exact_event_inside_interval_data_counts_with_its_density(self):
        # Exponential with all six loans curing, one of them exactly at 2: the other five in (0, 1] to (4, 5]. At hazard
        # h the log-likelihood is log h - 2 h + sum over k = 0..4 of (log(1 - e^-h) - k h).
        loans = pd.DataFrame({"lower": [2, 0, 1, 2, 3, 4], "upper": [2, 1, 2, 3, 4, 5]})
        fit = MixtureCureModel(distribution="exponential").fit(loans, lower_col="lower", upper_col="upper")
        h = np.exp(-fit.params["latency", "Intercept"])
        assert fit.loglik == pytest.approx(np.log(h) - 2 * h + 5 * np.log(-np.expm1(-h)) - 10 * h, abs=1e-7)


class TestReferenceCaseA:
    """Stata's strsmix and flexsurvcure on bc; their incidence is logit P(never), the sign is ours turned round."""

    def test_weibull(self, breast_cancer):
        fit = MixtureCureModel(distribution="weibull").fit(breast_cancer, duration_col="rectime", event_col="censrec")
        # Proportional-hazards letters: ln_gamma = -log_sigma, ln_lambda = -eta / sigma; errors by the delta method.
        a, eta, log_sigma = fit.params
        slope = np.array([0.0, -np.exp(-log_sigma), eta * np.exp(-log_sigma)])
        assert (-a, fit.standard_errors.iloc[0]) == pytest.approx((-0.4731367, 0.1641441), abs=PRINTED)
        assert (-log_sigma, fit.standard_errors.iloc[2]) == pytest.approx((0.448163, 0.0576425), abs=PRINTED)
        assert -eta * np.exp(-log_sigma) == pytest.approx(-11.10519, abs=PRINTED)
        assert np.sqrt(slope @ fit.cov.to_numpy() @ slope) == pytest.approx(0.5901206, abs=PRINTED)
        assert fit.loglik == pytest.approx(-2628.2351, abs=PRINTED)

    def test_lognormal(self, breast_cancer):
        fit = MixtureCureModel(distribution="lognormal").fit(breast_cancer, duration_col="rectime", event_col="censrec")
        never = fit.never.value
        assert never == pytest.approx(0.2774585, abs=PRINTED)
        assert fit.standard_errors.iloc[0] * never * (1 - never) == pytest.approx(0.0703503, abs=PRINTED)
        assert fit.params.iloc[1:].to_list() == pytest.approx([6.982433, -0.093395], abs=PRINTED)
        assert fit.standard_errors.iloc[1:].to_list() == pytest.approx([0.1304159, 0.0800746], abs=PRINTED)
        assert fit.loglik == pytest.approx(-2615.9160, abs=PRINTED)

    def test_loglogistic(self, breast_cancer):
        fit = MixtureCureModel(distribution="loglogistic").fit(
            breast_cancer, duration_col="rectime", event_col="censrec"
        )
        never = fit.never.value
        assert never == pytest.approx(0.323527, abs=PRINTED)
        assert fit.standard_errors.iloc[0] * never * (1 - never) == pytest.approx(0.050120, abs=PRINTED)
        assert fit.loglik == pytest.approx(-2621.1221, abs=PRINTED)

    @pytest.mark.parametrize("time", ["rectime", "recyrs"])
    def test_the_vignette_that_stops_at_a_wrong_optimum_is_climbed_to_the_top_in_days_and_in_years(
        self, breast_cancer, time
    ):
        # flexsurvcure's vignette prints -2571.857 for the Weibull with `group` in both parts; -2569.650 is reachable.
        model = MixtureCureModel(incidence="~ group", latency="~ group")
        fit = model.fit(breast_cancer, duration_col=time, event_col="censrec")
        in_days = fit.loglik - (fit.n_events * np.log(365) if time == "recyrs" else 0.0)
        assert in_days == pytest.approx(-2569.650, abs=1e-3)
        assert fit.boundary is None


class TestAgainstOtherCode:
    def test_without_covariates_it_is_lifelines_mixture_cure_fitter(self):
        frame = portfolio(1)
        ours = MixtureCureModel().fit(frame, duration_col="duration", event_col="cured")
        peer = lifelines.MixtureCureFitter(base_fitter=lifelines.WeibullFitter())
        peer.fit(frame["duration"], frame["cured"])
        assert ours.loglik == pytest.approx(peer.log_likelihood_, abs=PEER_STOPS)
        assert ours.never.value == pytest.approx(peer.cured_fraction_, abs=PEER_STOPS)
        assert np.exp(ours.params["latency", "Intercept"]) == pytest.approx(peer.lambda_, rel=PEER_STOPS)

    def test_when_everyone_has_the_event_it_is_the_plain_accelerated_failure_time_model(self):
        frame = portfolio(2, gamma=(30.0, 0.0)).query("cured")
        frame = frame[["product", "ltv", "duration", "cured"]]
        fit = MixtureCureModel(latency="~ product + ltv").fit(frame, duration_col="duration", event_col="cured")
        peer = lifelines.WeibullAFTFitter().fit(frame, "duration", "cured", formula="product + ltv")
        assert fit.loglik == pytest.approx(peer.log_likelihood_, abs=PEER_STOPS)
        assert fit.params["latency"].to_list() == pytest.approx(
            peer.params_["lambda_"][["Intercept", "product[T.mortgage]", "ltv"]].to_list(), abs=PEER_STOPS
        )
        assert fit.standard_errors["latency", "ltv"] == pytest.approx(peer.standard_errors_["lambda_", "ltv"], rel=1e-2)
        assert fit.predict_susceptible(frame).to_list() == pytest.approx([1.0] * len(frame), abs=1e-6)

    @pytest.mark.parametrize(
        ("distribution", "link"),
        [(name, link) for name in STANDARD for link in LINKS] + [("gamma", "logit"), ("generalized_gamma", "logit")],
    )
    @pytest.mark.parametrize("form", ["exact", "interval"])
    def test_the_log_likelihood_with_weights_and_late_entry_is_that_added_up_with_scipy(self, distribution, link, form):
        frame = portfolio(3, n=300, distribution=distribution if distribution in STANDARD else "weibull")
        exact = {"duration_col": "duration", "event_col": "cured"}
        interval = {"lower_col": "lower", "upper_col": "upper"}
        model = both(distribution=distribution, link=link)
        fit = model.fit(frame, weights_col="n", entry_col="entry", **(exact if form == "exact" else interval))
        lower = frame["duration"] if form == "exact" else np.maximum(frame["lower"], frame["entry"])
        upper = np.where(frame["cured"], frame["duration"], np.inf) if form == "exact" else frame["upper"]
        expected = brute_force(fit, frame, lower=lower, upper=upper, entry=frame["entry"], weights=frame["n"])
        assert fit.loglik == pytest.approx(expected, rel=ROUNDING)

    @pytest.mark.parametrize("form", ["exact", "interval"])
    def test_a_background_hazard_enters_as_scipy_adds_it(self, form):
        frame = portfolio(3).assign(background=lambda f: 0.002 + 0.003 * (f["product"] == "card"))
        exact = {"duration_col": "duration", "event_col": "cured"}
        columns = exact if form == "exact" else {"lower_col": "lower", "upper_col": "upper"}
        fit = both().fit(frame, background_col="background", entry_col="entry", **columns)
        lower = frame["duration"] if form == "exact" else np.maximum(frame["lower"], frame["entry"])
        upper = np.where(frame["cured"], frame["duration"], np.inf) if form == "exact" else frame["upper"]
        known = frame["background"]
        expected = brute_force(fit, frame, lower=lower, upper=upper, entry=frame["entry"], background=known)
        assert fit.loglik == pytest.approx(expected, rel=ROUNDING)

    @pytest.mark.parametrize("columns", [("lo", "hi"), ("lo2", "hi")])
    def test_no_neighbour_of_the_interval_fit_is_likelier(self, breast_cancer, columns):
        # An interval likelihood added up with scipy, at the fit and at 200 points around it.
        fit = MixtureCureModel().fit(breast_cancer, lower_col=columns[0], upper_col=columns[1], weights_col="w")
        lower, upper = breast_cancer[columns[0]].to_numpy(), breast_cancer[columns[1]].to_numpy()

        def loglik(a, eta, log_sigma):
            p, eps = 1 / (1 + np.exp(-a)), stats.gumbel_l(loc=eta, scale=np.exp(log_sigma))
            with np.errstate(divide="ignore"):
                s_lower, s_upper = eps.sf(np.log(lower)), eps.sf(np.log(upper))
            share = np.where(np.isinf(upper), 1 - p + p * s_lower, p * (s_lower - s_upper))
            return float(breast_cancer["w"] @ np.log(share))

        best = loglik(*fit.params)
        assert fit.loglik == pytest.approx(best, rel=ROUNDING)
        around = fit.params.to_numpy() + np.random.default_rng(0).normal(0, 0.05, (200, 3))
        assert max(loglik(*point) for point in around) < best


def likelihood(frame, distribution, link, columns):
    """Return the kernel's data for both designs on `product` and `ltv`, as the fit builds them."""
    background_col = "background" if "background" in frame else None
    times = read_event_times(frame, weights_col="n", entry_col="entry", background_col=background_col, **columns)
    rows = compress_rows(times, frame, ("product", "ltv"), want_inverse=False)
    taken = frame.take(rows.representatives)
    design = np.column_stack([np.ones(len(taken)), taken["product"] == "mortgage", taken["ltv"]]).astype(float)
    return mixture_data(rows, design, design, LATENCY_DISTRIBUTIONS[distribution], LINKS[link], 0.3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("distribution", LATENCY_DISTRIBUTIONS)
def test_gradient_and_hessian_are_the_differences_of_the_log_likelihood(distribution, link, seed):
    frame = portfolio(seed, n=80, distribution=distribution if distribution in STANDARD else "lognormal")
    frame["background"] = 0.004 * (frame["product"] == "card")
    frame.loc[:20, "lower"] = frame.loc[:20, "upper"] = frame.loc[:20, "duration"]  # exact times among the intervals
    frame["upper"] = np.where(frame["cured"], frame["upper"], np.inf)
    data = likelihood(
        frame,
        distribution,
        link,
        dict.fromkeys(("duration_col", "event_col")) | {"lower_col": "lower", "upper_col": "upper"},
    )
    theta = np.random.default_rng(seed).normal(0, 0.4, data.n_params)
    step = 1e-5
    here = evaluate(theta, data)
    for i in range(data.n_params):
        shift = step * np.eye(data.n_params)[i]
        up, down = evaluate(theta + shift, data), evaluate(theta - shift, data)
        assert here.gradient[i] == pytest.approx((up.value - down.value) / (2 * step), rel=DIFFERENCES, abs=1e-4)
        slope = (up.gradient - down.gradient) / (2 * step)
        np.testing.assert_allclose(here.hessian[i], slope, rtol=DIFFERENCES, atol=1e-4)


def test_sums_over_a_design_of_cells_are_those_over_the_matrix_it_stands_for():
    rng = np.random.default_rng(0)
    cell = np.repeat([0, 2, 1, 2], [30, 1, 40, 29]).astype(np.int32)  # a cell may come in several runs
    numbers = np.vstack([np.ones(100), rng.normal(size=(2, 100)) * (rng.random((2, 100)) < 0.7)])
    design = CellDesign(rng.integers(0, 2, (3, 5)).astype(float), np.array([0, 0, 1, 2, 1]), cell, numbers)
    matrix = design.take(np.arange(100))
    np.testing.assert_allclose(matrix, design.indicators[cell] * numbers[design.factor].T)
    theta, weight = rng.normal(size=5), rng.integers(0, 3, 100).astype(float)
    np.testing.assert_allclose(design @ theta, matrix @ theta, atol=1e-12)
    np.testing.assert_allclose(weight @ design, weight @ matrix, atol=1e-12)
    np.testing.assert_allclose(design.gram(weight), matrix.T @ (weight[:, None] * matrix), atol=1e-12)
    np.testing.assert_array_equal(design.occurs(weight), weight @ (matrix != 0))
    assert (design.shape, len(design)) == ((100, 5), 100)


class TestIdentities:
    def fit(self, frame, **options):
        return both().fit(frame, **({"duration_col": "duration", "event_col": "cured"} | options))

    def test_a_row_of_weight_two_is_the_row_twice(self):
        frame = portfolio(4, n=300)
        weighted = self.fit(frame, weights_col="n")
        repeated = self.fit(frame.loc[frame.index.repeat(frame["n"].astype(int))])
        assert weighted.loglik == pytest.approx(repeated.loglik, rel=ROUNDING)
        assert weighted.n_episodes == repeated.n_episodes
        pd.testing.assert_series_equal(weighted.params, repeated.params, atol=SAME_MAXIMUM)
        pd.testing.assert_series_equal(weighted.standard_errors, repeated.standard_errors, rtol=SAME_MAXIMUM)

    def test_the_order_of_the_rows_does_not_matter(self):
        frame = portfolio(5)
        shuffled = frame.sample(frac=1.0, random_state=1)
        pd.testing.assert_series_equal(self.fit(frame).params, self.fit(shuffled).params, atol=SAME_MAXIMUM)

    def test_the_unit_of_time_moves_the_intercept_only(self):
        # f(t) dt: each of the exact events brings a factor 30.4, whichever the parameters.
        frame = portfolio(6)
        months, days = self.fit(frame), self.fit(frame.assign(duration=30.4 * frame["duration"]))
        moved = days.params - months.params
        assert moved["latency", "Intercept"] == pytest.approx(np.log(30.4), abs=SAME_MAXIMUM)
        assert moved.drop(("latency", "Intercept")).abs().max() < SAME_MAXIMUM
        assert days.loglik == pytest.approx(months.loglik - months.n_events * np.log(30.4), rel=ROUNDING)
        pd.testing.assert_series_equal(days.standard_errors, months.standard_errors, rtol=SAME_MAXIMUM)

    def test_without_an_intercept_the_same_model_has_the_same_likelihood(self):
        frame = portfolio(6)
        cells = MixtureCureModel(incidence="~ 0 + product", latency="~ 0 + product")
        columns = {"duration_col": "duration", "event_col": "cured"}
        plain = MixtureCureModel(incidence="~ product", latency="~ product").fit(frame, **columns)
        assert cells.fit(frame, **columns).loglik == pytest.approx(plain.loglik, rel=ROUNDING)

    def test_compressed_counts_and_single_episodes_give_the_same_fit(self):
        frame = portfolio(7, n=3000)
        model = MixtureCureModel(incidence="~ product", latency="~ product")
        single = model.fit(frame, lower_col="lower", upper_col="upper", entry_col="entry")
        by = ["product", "lower", "upper", "entry"]
        counts = frame.groupby(by, as_index=False).size()
        counted = model.fit(counts, lower_col="lower", upper_col="upper", entry_col="entry", weights_col="size")
        assert single.n_compressed_rows == len(counts) < single.n_rows
        assert single.loglik == pytest.approx(counted.loglik, rel=ROUNDING)
        pd.testing.assert_series_equal(single.standard_errors, counted.standard_errors, rtol=SAME_MAXIMUM)

    @pytest.mark.parametrize("half_width", [1e-4, 1e-8])
    def test_narrow_intervals_tend_to_exact_times(self, half_width):
        # The probability of (t - h, t + h] is f(t) 2 h, so the log-likelihoods differ by sum(log 2 h) over the events;
        # 1e-8 is taken for exact by the kernel, 1e-4 is not.
        frame = portfolio(8)
        exact = self.fit(frame)
        widths = half_width * frame["duration"]
        narrow = frame.assign(
            lower=np.where(frame["cured"], frame["duration"] - widths, frame["duration"]),
            upper=np.where(frame["cured"], frame["duration"] + widths, np.inf),
        )
        fit = both().fit(narrow, lower_col="lower", upper_col="upper")
        expected = exact.loglik + np.log(2 * widths[frame["cured"]]).sum()
        assert fit.loglik == pytest.approx(expected, abs=1e-4)
        pd.testing.assert_series_equal(fit.params, exact.params, atol=1e-4)

    def test_rows_without_information_are_counted_and_change_nothing_else(self):
        frame = portfolio(9)
        nothing = pd.concat([frame, frame.head(5).assign(lower=0.0, upper=np.inf)], ignore_index=True)
        columns = {"lower_col": "lower", "upper_col": "upper"}
        one, two = both().fit(frame, **columns), both().fit(nothing, **columns)
        assert two.loglik == pytest.approx(one.loglik, rel=ROUNDING)
        assert two.n_episodes == one.n_episodes + 5

    def test_many_rows_with_continuous_covariates_reach_the_top_of_the_likelihood_added_up_with_scipy(self):
        # More rows than are explored at once, none equal to another: the path without compression, in several blocks.
        frame = portfolio(10, n=30_000)
        fit = both().fit(frame, duration_col="duration", event_col="cured", entry_col="entry")
        upper = np.where(frame["cured"], frame["duration"], np.inf)
        expected = brute_force(fit, frame, lower=frame["duration"], upper=upper, entry=frame["entry"])
        assert fit.n_compressed_rows == len(frame)
        assert fit.loglik == pytest.approx(expected, rel=ROUNDING)
        data = likelihood(
            frame.assign(n=1.0),
            "weibull",
            "logit",
            {"duration_col": "duration", "event_col": "cured", "lower_col": None, "upper_col": None},
        )
        theta = fit.params.to_numpy() - 0.3 * np.eye(len(fit.params))[3]  # the kernel's unit of time is exp(0.3)
        gain = evaluate(theta, data).gradient @ fit.cov.to_numpy() @ evaluate(theta, data).gradient
        assert gain < 1e-9  # squared distance from the top in standard errors

    @pytest.mark.parametrize("text", ["~ product + ltv", "~ product * ltv + score:ltv", "~ 0 + ltv"])
    def test_a_design_that_is_not_written_out_gives_the_likelihood_of_the_one_that_is(self, text):
        # The same rows with the same formula, once as cells times numbers and once as a matrix; entries and intervals.
        frame = portfolio(10, n=5_000).assign(score=lambda f: f["ltv"] ** 2)
        columns = dict.fromkeys(("duration_col", "event_col")) | {"lower_col": "lower", "upper_col": "upper"}
        times = read_event_times(frame, weights_col="n", entry_col="entry", **columns)
        formulas = (text, "~ product + ltv")
        rows, designs = cell_episodes(formulas, frame, times)
        matrices = [np.asarray(model_matrix(f, frame), dtype=float)[rows.representatives] for f in formulas]
        choice = (LATENCY_DISTRIBUTIONS["weibull"], LINKS["logit"], 0.3)
        one = mixture_data(rows, *(design for _, design in designs), *choice)
        other = mixture_data(rows, *matrices, *choice)
        theta = np.random.default_rng(0).normal(0, 0.4, other.n_params)
        here, there = evaluate(theta, one), evaluate(theta, other)
        assert here.value == pytest.approx(there.value, rel=ROUNDING)
        np.testing.assert_allclose(here.gradient, there.gradient, rtol=ROUNDING, atol=1e-6)
        np.testing.assert_allclose(here.hessian, there.hessian, rtol=ROUNDING, atol=1e-6)
        np.testing.assert_allclose(row_scores(theta, one), row_scores(theta, other), rtol=ROUNDING, atol=1e-12)

    def test_a_power_of_a_number_is_not_taken_for_the_number(self):
        frame = portfolio(12, n=6_000)
        columns = {"duration_col": "duration", "event_col": "cured"}
        inside = MixtureCureModel(incidence="~ ltv + {ltv ** 2}").fit(frame, **columns)
        beside = MixtureCureModel(incidence="~ ltv + square").fit(frame.assign(square=frame["ltv"] ** 2), **columns)
        assert inside.loglik == pytest.approx(beside.loglik, rel=ROUNDING)

    def test_monthly_counts_by_many_patterns_reach_the_top_though_the_search_merges_months(self):
        # 60 patterns x some 40 months x 2: more terms than are explored as they are.
        frame = portfolio(16, n=40_000)
        frame["band"] = pd.qcut(frame["ltv"], 30, labels=False).astype(str)
        frame = frame.assign(duration=np.ceil(frame["duration"]))
        columns = dict.fromkeys(("lower_col", "upper_col")) | {"duration_col": "duration", "event_col": "cured"}
        fit = MixtureCureModel(incidence="~ product", latency="~ product + band").fit(frame, **columns)
        times = read_event_times(frame, weights_col=None, entry_col=None, **columns)
        rows = compress_rows(times, frame, ("product", "band"), want_inverse=False)
        taken = frame.take(rows.representatives)
        matrices = [np.asarray(model_matrix(f, taken), dtype=float) for f in (fit.incidence, fit.latency)]
        data = mixture_data(rows, *matrices, LATENCY_DISTRIBUTIONS["weibull"], LINKS["logit"], 0.0)
        fewer = thinned(data)
        assert sum(len(g.weight) for g in fewer.groups) < 0.5 * sum(len(g.weight) for g in data.groups)
        for merged, group in zip(fewer.groups, data.groups, strict=True):
            assert merged.weight.sum() == pytest.approx(group.weight.sum(), rel=ROUNDING)
            mean, expected = (np.average(g.log_lower, weights=g.weight) for g in (merged, group))
            assert mean == pytest.approx(expected, rel=ROUNDING)
        slope = evaluate(fit.params.to_numpy(), data).gradient
        assert slope @ fit.cov.to_numpy() @ slope < 1e-9  # squared distance from the top in standard errors
        assert fit.loglik == pytest.approx(evaluate(fit.params.to_numpy(), data).value, rel=ROUNDING)

    def test_a_transform_learns_its_mean_from_all_rows(self):
        frame = portfolio(11).round({"ltv": 0})
        columns = {"duration_col": "duration", "event_col": "cured"}
        plain = MixtureCureModel(incidence="~ ltv").fit(frame, **columns)
        centred = MixtureCureModel(incidence="~ center(ltv)").fit(frame, **columns)
        assert centred.loglik == pytest.approx(plain.loglik, rel=ROUNDING)
        gap = centred.params.iloc[0] - plain.params.iloc[0]
        assert gap == pytest.approx(plain.params.iloc[1] * frame["ltv"].mean(), abs=SAME_MAXIMUM)

    def test_the_input_is_not_modified(self):
        frame = portfolio(12)
        before = frame.copy(deep=True)
        self.fit(frame, weights_col="n", entry_col="entry", cluster_col="obligor")
        pd.testing.assert_frame_equal(frame, before)


class TestClusters:
    columns: ClassVar = {"duration_col": "duration", "event_col": "cured"}

    def test_copies_of_an_episode_inside_its_obligor_do_not_shrink_the_robust_errors(self):
        frame = portfolio(13, n=400)
        frame["obligor"] = np.arange(len(frame))
        twice = pd.concat([frame, frame], ignore_index=True)
        once = both().fit(frame, cluster_col="obligor", **self.columns)
        copies = both().fit(twice, cluster_col="obligor", **self.columns)
        pd.testing.assert_series_equal(once.standard_errors, copies.standard_errors, rtol=SAME_MAXIMUM)
        assert copies.n_clusters == len(frame)

    def test_the_sandwich_is_that_of_scores_by_differences(self):
        # Scores by central differences of each obligor's own log-likelihood, added up with scipy.
        frame = portfolio(14, n=200)
        fit = both().fit(frame, cluster_col="obligor", entry_col="entry", **self.columns)
        bread = both().fit(frame, entry_col="entry", **self.columns).cov.to_numpy()

        def scores(part):
            upper = np.where(part["cured"], part["duration"], np.inf)
            values = []
            for i in range(len(fit.params)):
                pair = []
                for step in (1e-5, -1e-5):
                    params = fit.params.copy()
                    params.iloc[i] += step
                    moved = Moved(params, fit.link, fit.distribution)
                    pair.append(brute_force(moved, part, lower=part["duration"], upper=upper, entry=part["entry"]))
                values.append((pair[0] - pair[1]) / 2e-5)
            return np.array(values)

        sums = np.array([scores(part) for _, part in frame.groupby("obligor")])
        np.testing.assert_allclose(fit.cov.to_numpy(), bread @ sums.T @ sums @ bread, rtol=1e-4, atol=1e-8)

    def test_one_cluster_is_refused(self):
        with pytest.raises(InsufficientDataError, match="one value only"):
            both().fit(portfolio(15).assign(obligor=1), cluster_col="obligor", **self.columns)


class Moved:
    """Parameters beside a fit, for likelihoods by brute force."""

    def __init__(self, params, link, distribution):
        self.params, self.link, self.distribution = params, link, distribution


class TestPredictions:
    @pytest.fixture
    def fit(self):
        return both().fit(portfolio(20), duration_col="duration", event_col="cured")

    @pytest.fixture
    def asked(self):
        return pd.DataFrame({"product": ["card", "mortgage", "card"], "ltv": [0.0, 1.0, -1.0]}, index=["x", "y", "z"])

    def test_survival_follows_the_formula_of_the_mixture(self, fit, asked):
        # 1 - p + p exp(-(t / e^eta)^(1/sigma)) for the Weibull.
        design = np.array([[1, 0, 0.0], [1, 1, 1.0], [1, 0, -1.0]])
        p = 1 / (1 + np.exp(-design @ fit.params["incidence"].to_numpy()))
        scale, sigma = np.exp(design @ fit.params["latency"].to_numpy()), np.exp(fit.params["ancillary", "log_sigma"])
        times = [0, 3, 12.5, 1000]
        expected = 1 - p[:, None] + p[:, None] * np.exp(-((np.array(times) / scale[:, None]) ** (1 / sigma)))
        survival = fit.predict_survival(asked, times)
        np.testing.assert_allclose(survival, expected, rtol=1e-10)
        np.testing.assert_allclose(fit.predict_cumulative_incidence(asked, times), 1 - expected, atol=1e-12)
        assert list(survival.index) == ["x", "y", "z"]
        assert list(survival.columns) == times
        pd.testing.assert_series_equal(
            fit.predict_susceptible(asked), pd.Series(p, asked.index, name="prob_susceptible")
        )

    def test_intervals_are_those_of_the_delta_method_by_differences(self, fit, asked):
        def log_minus_log(params):
            moved = replace_params(fit, params)
            return np.log(-np.log(moved.predict_survival(asked, [6.0]).to_numpy()[:, 0]))

        base = fit.params
        slopes = np.array(
            [(log_minus_log(base + d) - log_minus_log(base - d)) / 2e-5 for d in 1e-5 * np.eye(len(base))]
        )
        half = stats.norm.ppf(0.975) * np.sqrt(np.einsum("ir,ij,jr->r", slopes, fit.cov.to_numpy(), slopes))
        band = fit.predict_survival(asked, [6.0], interval=True)
        centre = np.log(-np.log(band["value"].to_numpy()))
        np.testing.assert_allclose(np.log(-np.log(band["lower"])) - centre, half, rtol=1e-5)
        np.testing.assert_allclose(centre - np.log(-np.log(band["upper"])), half, rtol=1e-5)

    def test_the_mean_curve_is_the_weighted_mean_of_the_rows_with_its_own_band(self, fit, asked):
        weights = [1.0, 2.0, 5.0]
        curve = fit.mean_curve(asked, [3, 6, 24], weights)
        rows = fit.predict_cumulative_incidence(asked, [3, 6, 24]).to_numpy()
        np.testing.assert_allclose(curve([3, 6, 24]), np.average(rows, axis=0, weights=weights), rtol=1e-10)

        def mean(params):
            moved = replace_params(fit, params).predict_survival(asked, [6.0]).to_numpy()[:, 0]
            return np.average(moved, weights=weights)

        slopes = np.array(
            [(mean(fit.params + d) - mean(fit.params - d)) / 2e-5 for d in 1e-5 * np.eye(len(fit.params))]
        )
        error = np.sqrt(slopes @ fit.cov.to_numpy() @ slopes)
        assert curve.standard_errors[2] == pytest.approx(error, rel=1e-5)
        assert (curve.lower <= curve.values).all()
        assert (curve.values <= curve.upper).all()
        assert (curve.times[0], curve.values[0], curve.upper[0]) == (0.0, 0.0, 0.0)

    def test_the_mean_survival_curve_is_one_minus_the_incidence_curve(self, fit, asked):
        incidence, survival = (fit.mean_curve(asked, [3, 6], quantity=q) for q in ("cumulative_incidence", "survival"))
        np.testing.assert_allclose(survival.values, 1 - incidence.values)
        np.testing.assert_allclose(survival.lower, 1 - incidence.upper)

    def test_the_share_never_having_the_event_averages_over_the_episodes_fitted(self, fit):
        frame = portfolio(20)
        assert fit.never.value == pytest.approx(1 - fit.predict_susceptible(frame).mean(), abs=1e-12)
        assert fit.never.lower < fit.never.value < fit.never.upper

    def test_a_level_that_the_fit_did_not_see_is_refused(self, fit, asked):
        with pytest.raises(ExtrapolationError, match=r"product has the levels lease.*saw"):
            fit.predict_susceptible(asked.replace({"product": {"mortgage": "lease"}}))

    def test_missing_columns_values_and_times_are_refused(self, fit, asked):
        with pytest.raises(ContractError, match="column 'ltv' of the formula is missing"):
            fit.predict_survival(asked[["product"]], [1])
        with pytest.raises(ContractError, match="ltv must be there and finite"):
            fit.predict_susceptible(asked.assign(ltv=[1.0, np.nan, 2.0]))
        for times in ([-1.0], [np.nan], []):
            with pytest.raises(ValueError, match="times"):
                fit.predict_survival(asked, times)

    def test_a_frame_of_one_episode_can_be_predicted(self, fit, asked):
        assert fit.predict_survival(asked.head(1), 5.0).shape == (1, 1)


def replace_params(fit, params):
    return type(fit)(**{f.name: getattr(fit, f.name) for f in dataclasses.fields(fit)} | {"params": params})


class TestWhatAFitSays:
    @pytest.fixture
    def fit(self):
        return MixtureCureModel(incidence="~ product").fit(
            portfolio(21), duration_col="duration", event_col="cured", event_name="cured (returned to performing)"
        )

    def test_the_sentence_names_the_event_and_the_share_never_having_it(self, fit):
        text = fit.sentence()
        assert text.startswith("Event: cured (returned to performing). Of ")
        assert f"{fit.never.value:.1%}" in text
        assert "never to have it" in text

    def test_the_record_goes_through_json_and_holds_every_parameter(self, fit):
        record = json.loads(json.dumps(fit.to_record(), allow_nan=False))
        assert [row["term"] for row in record["params"]] == list(fit.params.index.get_level_values("term"))
        assert record["loglik"] == fit.loglik
        assert record["never"]["value"] == fit.never.value

    def test_summary_and_frame_carry_estimate_error_and_interval(self, fit):
        summary = fit.summary()
        half = stats.norm.ppf(0.975) * fit.standard_errors
        np.testing.assert_allclose(summary["upper"] - summary["lower"], 2 * half)
        np.testing.assert_allclose(summary["p_value"], 2 * stats.norm.sf(summary["z"].abs()), atol=1e-12)
        assert list(fit.to_frame().columns[:3]) == ["part", "term", "estimate"]
        assert "never to have it" in fit._repr_html_()

    def test_information_criteria_count_parameters_and_episodes(self, fit):
        assert fit.aic == pytest.approx(2 * 4 - 2 * fit.loglik)
        assert fit.bic == pytest.approx(4 * np.log(fit.n_episodes) - 2 * fit.loglik)

    def test_a_fit_survives_pickling(self, fit):
        again = pickle.loads(pickle.dumps(fit))
        frame = portfolio(21)
        pd.testing.assert_series_equal(again.predict_susceptible(frame), fit.predict_susceptible(frame))

    def test_the_search_is_reported(self, fit):
        assert fit.n_starts >= 5
        assert 1 <= fit.n_agreed <= fit.n_starts

    def test_fits_are_compared_best_first(self, fit):
        frame = portfolio(21)
        other = MixtureCureModel(distribution="exponential").fit(frame, duration_col="duration", event_col="cured")
        table = compare_fits({"plain": other, "by product": fit})
        assert list(table.index) == ["by product", "plain"]
        assert table["aic"].is_monotonic_increasing

    def test_fits_of_different_episodes_are_not_compared(self, fit):
        other = MixtureCureModel().fit(portfolio(22), duration_col="duration", event_col="cured")
        with pytest.raises(ValueError, match="different data"):
            compare_fits({"one": fit, "two": other})

    def test_a_likelihood_given_late_entry_is_not_compared_with_one_that_knows_nothing_of_it(self, fit):
        late = MixtureCureModel().fit(portfolio(21), duration_col="duration", event_col="cured", entry_col="entry")
        with pytest.raises(ValueError, match="form, entry and background"):
            compare_fits({"from default": fit, "from entry": late})


class TestGammaFamilies:
    columns: ClassVar = {"duration_col": "duration", "event_col": "cured"}

    @pytest.fixture(scope="class")
    @classmethod
    def fits(cls):
        frame = portfolio(25, n=1500)
        names = ("exponential", "weibull", "lognormal", "gamma", "generalized_gamma")
        return {name: MixtureCureModel(distribution=name).fit(frame, **cls.columns) for name in names}

    def test_the_generalised_gamma_is_at_least_as_likely_as_all_that_it_holds(self, fits):
        largest = fits["generalized_gamma"].loglik
        assert all(fit.loglik <= largest + 1e-6 for fit in fits.values())

    def test_data_from_a_weibull_have_a_shape_near_one(self, fits):
        fit = fits["generalized_gamma"]
        shape = fit.params["ancillary", "Q"]
        assert abs(shape - 1.0) < 3 * fit.standard_errors["ancillary", "Q"]
        assert fit.loglik == pytest.approx(fits["weibull"].loglik, abs=4.0)

    @pytest.mark.parametrize("distribution", ["gamma", "generalized_gamma"])
    def test_the_unit_of_time_moves_the_intercept_only(self, distribution):
        frame = portfolio(26, n=900)
        model = MixtureCureModel(distribution=distribution, incidence="~ product")
        months, days = (model.fit(frame.assign(duration=k * frame["duration"]), **self.columns) for k in (1.0, 30.4))
        moved = days.params - months.params
        assert moved["latency", "Intercept"] == pytest.approx(np.log(30.4), abs=1e-4)
        assert moved.drop(("latency", "Intercept")).abs().max() < 1e-4
        assert days.loglik == pytest.approx(months.loglik - months.n_events * np.log(30.4), rel=ROUNDING)
        pd.testing.assert_series_equal(days.standard_errors, months.standard_errors, rtol=1e-4)

    def test_a_gamma_row_of_weight_two_is_the_row_twice(self):
        frame = portfolio(27, n=300)
        model = MixtureCureModel(distribution="gamma", incidence="~ product")
        weighted = model.fit(frame, weights_col="n", **self.columns)
        repeated = model.fit(frame.loc[frame.index.repeat(frame["n"].astype(int))], **self.columns)
        assert weighted.loglik == pytest.approx(repeated.loglik, rel=ROUNDING)
        pd.testing.assert_series_equal(weighted.params, repeated.params, atol=SAME_MAXIMUM)

    def test_when_everyone_has_the_event_the_gamma_fit_is_that_of_scipy(self):
        # A gamma sample without censoring: scipy's shape is 1 / sigma^2 and its mean shape x scale is exp(eta).
        months = stats.gamma(2.5, scale=4.0).rvs(400, random_state=np.random.default_rng(1))
        fit = MixtureCureModel(distribution="gamma").fit(
            pd.DataFrame({"duration": months, "cured": True}), duration_col="duration", event_col="cured"
        )
        shape, _, scale = stats.gamma.fit(months, floc=0)
        assert np.exp(-2 * fit.params["ancillary", "log_sigma"]) == pytest.approx(shape, rel=PEER_STOPS)
        assert np.exp(fit.params["latency", "Intercept"]) == pytest.approx(shape * scale, rel=PEER_STOPS)
        assert fit.loglik == pytest.approx(stats.gamma(shape, scale=scale).logpdf(months).sum(), abs=PEER_STOPS)

    def test_nested_fits_are_compared_by_the_likelihood_ratio(self, fits):
        found = compare_nested(fits["exponential"], fits["weibull"])
        gain = 2 * (fits["weibull"].loglik - fits["exponential"].loglik)
        assert found.statistic == pytest.approx(gain, rel=ROUNDING)
        assert found.n_extra == 1
        assert found.p_value == pytest.approx(stats.chi2.sf(gain, 1), rel=1e-9)
        assert found.caution is None
        assert "1 further parameter raises twice" in found.sentence()

    def test_a_covariate_more_is_a_nested_comparison_too(self):
        frame = portfolio(28)
        small = MixtureCureModel(incidence="~ product").fit(frame, **self.columns)
        found = compare_nested(small, both().fit(frame, **self.columns))
        assert found.n_extra == 3
        assert found.p_value < 1e-6  # ltv moves both parts of this portfolio

    def test_what_is_not_nested_is_refused_in_words(self, fits):
        frame = portfolio(25, n=1500)
        with pytest.raises(ValueError, match="lognormal latency does not hold a weibull one"):
            compare_nested(fits["weibull"], fits["lognormal"])
        by_product = MixtureCureModel(incidence="~ product").fit(frame, **self.columns)
        with pytest.raises(ValueError, match=r"the larger model lacks product\[T.mortgage\]"):
            compare_nested(by_product, fits["generalized_gamma"])
        with pytest.raises(ValueError, match="different data"):
            compare_nested(fits["exponential"], MixtureCureModel().fit(portfolio(29), **self.columns))
        with pytest.raises(ValueError, match="not held by a mixture model with link probit"):
            compare_nested(fits["exponential"], MixtureCureModel(link="probit").fit(frame, **self.columns))
        clustered = MixtureCureModel().fit(frame, cluster_col="obligor", **self.columns)
        with pytest.raises(ValueError, match="cluster-robust"):
            compare_nested(fits["exponential"], clustered)
        with pytest.raises(ValueError, match="3 parameters and the smaller one 3"):
            compare_nested(fits["weibull"], fits["weibull"])

    def test_a_comparison_on_a_boundary_comes_with_a_caution(self):
        loans = pd.DataFrame({"duration": [1.0, 2, 3, 4, 5, 6], "cured": True})
        small, large = (MixtureCureModel(distribution=d).fit(loans, **self.columns) for d in ("exponential", "weibull"))
        found = compare_nested(small, large)
        assert "smaller and the larger model stands on a boundary" in found.caution
        assert "a guide only" in found.sentence()


class TestBackground:
    columns: ClassVar = {"duration_col": "duration", "event_col": "cured"}

    def test_a_background_of_zero_changes_nothing(self):
        frame = portfolio(50).assign(background=0.0)
        plain, zero = both().fit(frame, **self.columns), both().fit(frame, background_col="background", **self.columns)
        assert zero.loglik == pytest.approx(plain.loglik, rel=ROUNDING)
        pd.testing.assert_series_equal(zero.params, plain.params, atol=SAME_MAXIMUM)

    @pytest.mark.parametrize("form", ["exact", "interval"])
    def test_a_known_background_is_told_from_the_event_beyond_it(self, form):
        # 40 % have the event at exponential times of mean 4; all are exposed to other events of hazard .01 a month.
        # With the background the share is found again; without it the others are taken for the event.
        rng = np.random.default_rng(2)
        own = np.where(rng.random(20_000) < 0.4, rng.exponential(4.0, 20_000), np.inf)
        time = np.minimum(own, rng.exponential(100.0, 20_000))
        frame = pd.DataFrame({"duration": np.minimum(time, 60.0), "cured": time <= 60, "known": 0.01})
        frame["lower"] = np.where(frame["cured"], np.ceil(frame["duration"]) - 1, 60)
        frame["upper"] = np.where(frame["cured"], np.ceil(frame["duration"]), np.inf)
        columns = self.columns if form == "exact" else {"lower_col": "lower", "upper_col": "upper"}
        fit = MixtureCureModel(distribution="exponential").fit(frame, background_col="known", **columns)
        assert fit.never.value == pytest.approx(0.6, abs=4 * 0.005)  # four standard errors
        assert np.exp(fit.params["latency", "Intercept"]) == pytest.approx(4.0, rel=0.06)
        blind = MixtureCureModel(distribution="exponential").fit(frame, **columns)
        assert blind.never.value < 0.5

    def test_negative_and_missing_hazards_are_refused(self):
        frame = portfolio(51).head(6).assign(background=[0.1, -0.1, np.nan, 0, 0, 0])
        with pytest.raises(ContractError, match=r"background must be a hazard.*2 rows"):
            MixtureCureModel().fit(frame, background_col="background", **self.columns)


class TestResiduals:
    columns: ClassVar = {"duration_col": "duration", "event_col": "cured"}

    def test_they_are_the_cumulative_hazard_since_entry(self):
        frame = portfolio(60)
        fit = both().fit(frame, entry_col="entry", **self.columns)
        found = fit.residuals(frame)
        hazard = [
            -np.log(
                fit.predict_survival(frame.iloc[[i]], [frame[c].iloc[i] for c in ("entry", "duration")]).to_numpy()[0]
            )
            for i in range(8)
        ]
        np.testing.assert_allclose(found["residual"].head(8), [end - start for start, end in hazard], rtol=1e-9)
        assert found["event"].equals(frame["cured"].rename("event"))
        assert found.index.equals(frame.index)

    @pytest.mark.parametrize("form", ["exact", "interval"])
    def test_they_add_up_to_the_number_of_events_when_the_model_holds(self, form):
        # A censored unit exponential sample: the sum of hazards lived through is the number of events (a martingale),
        # with a standard deviation of about the root of that number.
        frame = portfolio(61, n=3000)
        columns = self.columns if form == "exact" else {"lower_col": "lower", "upper_col": "upper"}
        found = both().fit(frame, entry_col="entry", **columns).residuals(frame)
        assert found["residual"].sum() == pytest.approx(found["event"].sum(), abs=3 * np.sqrt(found["event"].sum()))

    def test_the_residual_of_an_interval_is_the_mean_of_the_exponential_inside_it(self):
        frame = portfolio(62)
        found = both().fit(frame, lower_col="lower", upper_col="upper").residuals(frame)
        events = found[found["event"]]
        low, high = events["lower"].to_numpy(), events["upper"].to_numpy()
        # Integral of x e^-x between the ends, over the probability of lying there.
        mean = ((1 + low) * np.exp(-low) - (1 + high) * np.exp(-high)) / (np.exp(-low) - np.exp(-high))
        np.testing.assert_allclose(events["residual"], mean, rtol=1e-6)
        assert (found.loc[~found["event"], "residual"] == found.loc[~found["event"], "lower"]).all()

    def test_they_need_the_time_columns_and_no_background(self):
        frame = portfolio(63).assign(background=0.001)
        with pytest.raises(ContractError, match="column 'duration' is missing"):
            both().fit(frame, **self.columns).residuals(frame[["product", "ltv", "cured"]])
        with pytest.raises(InsufficientDataError, match="background hazard is known at the events only"):
            both().fit(frame, background_col="background", **self.columns).residuals(frame)


class TestSimulatedIntervals:
    @pytest.fixture
    def fit(self):
        return both().fit(portfolio(70, n=2000), duration_col="duration", event_col="cured")

    @pytest.fixture
    def asked(self):
        return pd.DataFrame({"product": ["card", "mortgage"], "ltv": [0.0, 1.0]}, index=["x", "y"])

    @pytest.mark.parametrize("what", ["susceptible", "survival", "cumulative_incidence"])
    def test_they_agree_with_the_delta_method_in_a_large_portfolio(self, fit, asked, what):
        times = [] if what == "susceptible" else [[3.0, 12.0]]
        predict = getattr(fit, f"predict_{what}")
        delta = predict(asked, *times, interval=True)
        drawn = predict(asked, *times, interval=True, method="simulation", rng=np.random.default_rng(0), n_draws=4000)
        np.testing.assert_allclose(drawn["value"], delta["value"], rtol=1e-12)
        width = (delta["upper"] - delta["lower"]).to_numpy()
        # Percentiles of 4,000 draws have an error of about 2 % of the width; curvature adds about as much.
        assert (np.abs(drawn["lower"] - delta["lower"]) < 0.08 * width).all()
        assert (np.abs(drawn["upper"] - delta["upper"]) < 0.08 * width).all()

    def test_the_mean_curve_can_be_simulated_too(self, fit, asked):
        delta = fit.mean_curve(asked, [3, 12])
        drawn = fit.mean_curve(asked, [3, 12], method="simulation", rng=np.random.default_rng(0), n_draws=2000)
        np.testing.assert_allclose(drawn.values, delta.values, rtol=1e-12)
        np.testing.assert_allclose(drawn.standard_errors[1:], delta.standard_errors[1:], rtol=0.1)

    def test_the_same_generator_gives_the_same_interval(self, fit, asked):
        one, other = (
            fit.predict_survival(asked, [5.0], interval=True, method="simulation", rng=np.random.default_rng(7))
            for _ in range(2)
        )
        pd.testing.assert_frame_equal(one, other)

    def test_without_a_generator_or_with_an_unknown_method_they_are_refused(self, fit, asked):
        with pytest.raises(ValueError, match="simulation needs rng"):
            fit.predict_susceptible(asked, interval=True, method="simulation")
        with pytest.raises(ValueError, match="method is 'bootstrap'"):
            fit.predict_survival(asked, [1.0], interval=True, method="bootstrap")


class TestTooLittle:
    columns: ClassVar = {"lower_col": "lower", "upper_col": "upper"}

    def test_no_event(self):
        with pytest.raises(InsufficientDataError, match="none of the 4 episodes has the event"):
            MixtureCureModel().fit(pd.DataFrame({"lower": [1, 2, 3, 4], "upper": [np.inf] * 4}), **self.columns)

    def test_all_events_in_the_first_interval(self):
        frame = pd.DataFrame({"lower": [0] * 6 + [3] * 4, "upper": [1] * 6 + [np.inf] * 4})
        with pytest.raises(InsufficientDataError, match="all 6 events fall between times 0 and 1, in one interval"):
            MixtureCureModel().fit(frame, **self.columns)

    def test_all_events_at_one_time(self):
        frame = pd.DataFrame({"t": [2.0] * 6 + [3.0] * 4, "e": [1] * 6 + [0] * 4})
        with pytest.raises(InsufficientDataError, match="all 6 events"):
            MixtureCureModel().fit(frame, duration_col="t", event_col="e")

    def test_fewer_events_than_parameters(self):
        frame = pd.DataFrame({"lower": [0, 1, 5, 5], "upper": [1, 2, np.inf, np.inf]})
        with pytest.raises(InsufficientDataError, match="2 events cannot carry 3 parameters"):
            MixtureCureModel().fit(frame, **self.columns)

    def test_a_level_without_event_is_named(self):
        frame = portfolio(30).assign(
            product=lambda f: np.where(~f["cured"] & (f.index % 5 == 0), "lease", f["product"])
        )
        with pytest.raises(InsufficientDataError, match=r"no episode with product\[T.lease\] has the event"):
            MixtureCureModel(incidence="~ product").fit(frame, **self.columns)

    def test_a_baseline_level_without_event_is_found_by_the_climb(self):
        frame = portfolio(30).assign(
            product=lambda f: np.where(~f["cured"] & (f.index % 5 == 0), "a lease", f["product"])
        )
        with pytest.raises(InsufficientDataError, match=r"runs to 0.*separate"):
            MixtureCureModel(incidence="~ product").fit(frame, **self.columns)

    def test_columns_that_repeat_each_other_are_named(self):
        frame = portfolio(31).assign(twin=lambda f: f["product"].str.upper())
        with pytest.raises(InsufficientDataError, match="determine each other"):
            MixtureCureModel(latency="~ product + twin").fit(frame, **self.columns)

    def test_an_empty_frame(self):
        with pytest.raises(InsufficientDataError, match="no row"):
            MixtureCureModel().fit(portfolio(30).head(0), **self.columns)


class TestSearch:
    def test_a_climb_walks_off_a_saddle(self):
        # -(x^2 - 1)^2 - y^2 has a saddle at (0, 0) and its tops, of height 0, at (1, 0) and (-1, 0).
        def hills(point):
            x, y = point
            gradient = np.array([-4 * x * (x**2 - 1), -2 * y])
            return Evaluation(-((x**2 - 1) ** 2) - y**2, gradient, np.diag([4 - 12 * x**2, -2.0]))

        top = climb(hills, np.zeros(2))
        assert top.converged
        np.testing.assert_allclose(np.abs(top.position), [1.0, 0.0], atol=SAME_MAXIMUM)

    def test_a_climb_steps_back_from_where_the_function_is_not_finite(self):
        # log x - x on x > 0 has its top at 1; a Newton step from 0.1 within a radius of 8 is safe, from 3 it is not.
        def cliff(point):
            (x,) = point
            value = np.log(x) - x if x > 0 else np.nan
            return Evaluation(value, np.array([1 / x - 1]), np.array([[-1 / x**2]]))

        top = climb(cliff, np.array([3.0]), radius=8.0)
        assert top.converged
        assert top.position[0] == pytest.approx(1.0, abs=SAME_MAXIMUM)

    def test_a_climb_that_comes_to_a_known_maximum_stops_there_and_one_to_another_hill_does_not(self):
        # -(x^2 - 1)^2 again, on one line: its tops are 1 and -1, of the same height.
        def hills(point):
            (x,) = point
            return Evaluation(-((x**2 - 1) ** 2), np.array([-4 * x * (x**2 - 1)]), np.array([[4 - 12 * x**2]]))

        calls = []

        def watched(point):
            calls.append(point)
            return hills(point)

        right = climb(hills, np.array([1.4]))
        again = climb(watched, np.array([1.3]), known=[right])
        n_calls = len(calls)
        alone = climb(watched, np.array([1.3]))
        assert again.at is right.at
        assert again.converged
        assert n_calls < len(calls) - n_calls
        left = climb(hills, np.array([-1.3]), known=[right])
        assert left.position[0] == pytest.approx(-1.0, abs=SAME_MAXIMUM)
        assert alone.position[0] == pytest.approx(1.0, abs=SAME_MAXIMUM)

    def test_a_climb_whose_slopes_promise_what_the_values_do_not_keep_has_not_converged(self):
        # -x^2 with slopes of ten times its size: every step gains a tenth of what was promised, so steps shrink to 0.
        def clipped(point):
            (x,) = point
            return Evaluation(-(x**2), np.array([-20 * x]), np.array([[-2.0]]))

        assert not climb(clipped, np.array([50.0])).converged

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_handful_of_events_among_thousands_is_found_by_the_search(self, seed):
        # An even sample of these episodes, from which to begin, would hold one event or none.
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"duration": rng.uniform(1, 60, 5000), "cured": False})
        early = rng.choice(5000, 5, replace=False)
        frame.loc[early, "cured"], frame.loc[early, "duration"] = True, 12 * rng.weibull(1.3, 5)
        fit = MixtureCureModel().fit(frame, duration_col="duration", event_col="cured")
        seen, time = frame["cured"].to_numpy(), frame["duration"].to_numpy()

        def minus_loglik(theta):
            p, eps = INCIDENCE["logit"](theta[0]), stats.gumbel_l(loc=theta[1], scale=np.exp(theta[2]))
            events = np.log(p) + eps.logpdf(np.log(time[seen])) - np.log(time[seen])
            return -events.sum() - np.log(1 - p + p * eps.sf(np.log(time[~seen]))).sum()

        top = optimize.minimize(minus_loglik, [-6.9, np.log(12), -np.log(1.3)], method="Nelder-Mead")
        assert fit.loglik == pytest.approx(-top.fun, abs=PEER_STOPS)

    def test_when_no_start_converges_the_error_says_what_was_tried(self, monkeypatch):
        monkeypatch.setattr(_mixture_estimation, "_ITERATIONS", 0)
        with pytest.raises(ConvergenceError, match=r"starts of a weibull mixture cure model.*Try fewer covariates"):
            MixtureCureModel().fit(portfolio(33), duration_col="duration", event_col="cured")


class TestBoundary:
    def test_a_group_in_which_everyone_cures_has_no_standard_error_and_the_others_keep_theirs(self):
        frame = portfolio(32, n=800)
        sure = frame["product"] == "mortgage"
        frame = frame[~sure | frame["cured"]]
        fit = MixtureCureModel(incidence="~ product", latency="~ product").fit(
            frame, duration_col="duration", event_col="cured"
        )
        term = ("incidence", "product[T.mortgage]")
        assert list(fit.standard_errors.index[fit.standard_errors.isna()]) == [term]
        assert fit.cov.loc[term].isna().all()
        assert "upper bound of 1 for" in fit.boundary
        assert "product[T.mortgage]" in fit.boundary
        cards = frame[frame["product"] == "card"]
        alone = MixtureCureModel().fit(cards, duration_col="duration", event_col="cured")
        interval = fit.predict_susceptible(frame.drop_duplicates("product"), interval=True)
        assert interval["lower"].isna().sum() == 1
        assert fit.standard_errors["incidence", "Intercept"] == pytest.approx(alone.standard_errors.iloc[0], rel=0.1)

    def test_a_shape_that_runs_away_is_named_and_has_no_standard_error(self):
        # Log times from an exponential distribution begin sharply and tail off long: Q runs towards minus infinity.
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"duration": np.exp(rng.exponential(0.5, 800)), "cured": True})
        never = pd.DataFrame({"duration": np.full(400, 60.0), "cured": False})
        fit = MixtureCureModel(distribution="generalized_gamma").fit(
            pd.concat([frame, never], ignore_index=True), duration_col="duration", event_col="cured"
        )
        assert "shape Q is at its limit of -30" in fit.boundary
        assert list(fit.standard_errors.index[fit.standard_errors.isna()]) == [("ancillary", "Q")]
        # A third never has the event, seen clearly: the error of its logit is 1 / sqrt(n p (1 - p)).
        assert fit.never.value == pytest.approx(1 / 3, abs=0.01)
        assert fit.standard_errors["incidence", "Intercept"] == pytest.approx(1 / np.sqrt(1200 * 2 / 9), rel=0.05)

    def test_events_in_two_neighbouring_intervals_leave_the_spread_at_zero(self):
        frame = pd.DataFrame({"lower": [4] * 10 + [5] * 10 + [30] * 10, "upper": [5] * 10 + [6] * 10 + [np.inf] * 10})
        fit = MixtureCureModel(distribution="lognormal").fit(frame, lower_col="lower", upper_col="upper")
        # Two intervals and a plateau: shares 1/3 each are fitted exactly.
        assert fit.loglik == pytest.approx(30 * np.log(1 / 3), abs=1e-4)
        assert fit.never.value == pytest.approx(1 / 3, abs=1e-4)
        assert "sigma is at its lower bound of 0" in fit.boundary
        assert np.isnan(fit.standard_errors["ancillary", "log_sigma"])
        assert np.isfinite(fit.mean_curve(pd.DataFrame(index=[0]), [4, 5, 6]).standard_errors).all()


class TestBorder:
    def test_every_fault_of_the_rows_is_named_at_once(self):
        frame = portfolio(40).head(6).assign(duration=[1.0, -2, 3, 0, 2, np.nan], cured=[1, 0, 2, 1, 0, 1])
        frame["n"] = [1, 1, 1, 1, 0, 1]
        frame.loc[frame.index[2], "ltv"] = np.nan
        with pytest.raises(ContractError) as caught:
            MixtureCureModel(latency="~ ltv").fit(frame, duration_col="duration", event_col="cured", weights_col="n")
        rules = [violation.rule for violation in caught.value.violations]
        assert any("n must be a number above 0" in rule for rule in rules)
        assert any("cured must be True or False" in rule for rule in rules)
        assert any("duration must be a number, 0 or more" in rule for rule in rules)
        assert any("an event at duration 0" in rule and "(0, 1]" in rule for rule in rules)
        assert any("ltv must be there and finite" in rule for rule in rules)

    def test_rows_that_are_alike_are_counted_in_messages_and_in_the_fit_as_rows(self):
        # The fit reads rows that are alike once; what is wrong with them is still said of the frame as it was given.
        frame = portfolio(43).assign(duration=lambda f: np.ceil(f["duration"])).drop(columns=["ltv", "obligor"])
        thrice = pd.concat([frame] * 3, ignore_index=True)
        model = MixtureCureModel(incidence="~ product")
        fit = model.fit(thrice, duration_col="duration", event_col="cured")
        assert (fit.n_rows, fit.n_episodes) == (len(thrice), len(thrice))
        thrice.loc[[5, 5 + len(frame), 5 + 2 * len(frame)], "duration"] = -1.0
        with pytest.raises(ContractError, match=r"duration must be a number, 0 or more: 3 rows, first row 5; row"):
            model.fit(thrice, duration_col="duration", event_col="cured")

    def test_intervals_that_end_before_they_begin_and_late_entries_are_named(self):
        frame = pd.DataFrame({"lower": [3, 0, 1], "upper": [2, 0, np.nan], "entry": [0, 0, 0]})
        with pytest.raises(ContractError, match=r"upper must be lower or more and above 0.*3 rows"):
            MixtureCureModel().fit(frame, lower_col="lower", upper_col="upper")
        late = pd.DataFrame({"t": [3.0, 4.0], "e": [1, 0], "entry": [3.0, 5.0]})
        with pytest.raises(ContractError, match=r"must not end before entry.*2 rows"):
            MixtureCureModel().fit(late, duration_col="t", event_col="e", entry_col="entry")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"distribution": "gompertz"}, "distribution is 'gompertz'"),
            ({"link": "cauchit"}, "link is 'cauchit'"),
            ({"incidence": "y ~ x"}, "incidence formula 'y ~ x' has a left side"),
            ({"latency": "~ x +"}, "latency formula '~ x .' cannot be read"),
            ({"latency": "~ 0"}, "has no term"),
        ],
    )
    def test_choices_are_checked_when_they_are_made(self, options, message):
        with pytest.raises(ValueError, match=message):
            MixtureCureModel(**options)

    @pytest.mark.parametrize(
        "columns",
        [
            {},
            {"duration_col": "duration"},
            {"duration_col": "duration", "event_col": "cured", "lower_col": "lower"},
            {"duration_col": "duration", "event_col": "cured", "lower_col": "lower", "upper_col": "upper"},
        ],
    )
    def test_exactly_one_form_of_time_must_be_given(self, columns):
        with pytest.raises(ValueError, match="give either duration_col and event_col"):
            MixtureCureModel().fit(portfolio(41), **columns)

    def test_covariates_must_be_there_and_finite(self):
        frame = portfolio(42)
        frame.loc[3, "ltv"] = np.nan
        with pytest.raises(ContractError, match="ltv must be there and finite in every row: 1 row, first row 3"):
            both().fit(frame, duration_col="duration", event_col="cured")
        with pytest.raises(ContractError, match="column 'region' of the formula is missing"):
            MixtureCureModel(incidence="~ region").fit(frame, duration_col="duration", event_col="cured")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["exact", "interval"])
def test_intervals_cover_the_truth_at_about_their_level(form):
    # 200 portfolios of 1,000 episodes; the binomial error of a share of 95 % in 200 is 1.5 points, three are allowed.
    truth = np.array([0.3, -0.8, 0.4, 2.0, 0.2, 0.5, np.log(0.7)])
    exact = {"duration_col": "duration", "event_col": "cured"}
    interval = {"lower_col": "lower", "upper_col": "upper"}
    covered = []
    for seed in range(200):
        frame = portfolio(1000 + seed, n=1000)
        fit = both().fit(frame, entry_col="entry", **(exact if form == "exact" else interval))
        covered.append(np.abs(fit.params.to_numpy() - truth) < 1.96 * fit.standard_errors.to_numpy())
    assert np.mean(covered, axis=0) == pytest.approx(np.full(7, 0.95), abs=0.045)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
