"""Standardised latency distributions and incidence links against scipy and against finite differences."""

import numpy as np
import pytest
from scipy import stats

from recoverykit.estimators._links import LINKS
from recoverykit.estimators.distributions import (
    DISTRIBUTIONS,
    LATENCY_DISTRIBUTIONS,
    Shape,
    StandardDistribution,
    standard_distribution,
)

PEERS = {
    "exponential": stats.gumbel_l(),
    "weibull": stats.gumbel_l(),
    "lognormal": stats.norm(),
    "loglogistic": stats.logistic(),
}
#: Two double-precision codes of one formula.
ROUNDING = 1e-12
#: Central differences with step 1e-5 carry an error of about 1e-10 times the third derivative.
DIFFERENCES = 1e-7
STEP = 1e-5
GRID = np.linspace(-8.0, 4.0, 121)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
class TestStandardDistribution:
    def test_survival_and_density_are_those_of_scipy(self, name):
        ours, peer = DISTRIBUTIONS[name], PEERS[name]
        np.testing.assert_allclose(ours.log_survival(GRID).value, peer.logsf(GRID), rtol=ROUNDING, atol=1e-15)
        np.testing.assert_allclose(ours.log_density(GRID).value, peer.logpdf(GRID), rtol=ROUNDING)

    @pytest.mark.parametrize("function", ["log_survival", "log_density"])
    def test_derivatives_are_those_of_the_function(self, name, function):
        f = getattr(DISTRIBUTIONS[name], function)
        up, down, here = f(GRID + STEP), f(GRID - STEP), f(GRID)
        np.testing.assert_allclose(here.first, (up.value - down.value) / (2 * STEP), rtol=DIFFERENCES, atol=DIFFERENCES)
        np.testing.assert_allclose(
            here.second, (up.first - down.first) / (2 * STEP), rtol=DIFFERENCES, atol=DIFFERENCES
        )

    def test_quantile_turns_the_survival_function_round(self, name):
        shares = np.array([0.001, 0.2, 0.5, 0.9, 0.999])
        survival = np.exp(DISTRIBUTIONS[name].log_survival(DISTRIBUTIONS[name].quantile(shares)).value)
        np.testing.assert_allclose(survival, 1 - shares, rtol=ROUNDING)

    def test_moments_are_those_of_scipy(self, name):
        assert DISTRIBUTIONS[name].mean == pytest.approx(PEERS[name].mean(), abs=ROUNDING)
        assert DISTRIBUTIONS[name].standard_deviation == pytest.approx(PEERS[name].std(), rel=ROUNDING)

    def test_the_far_left_tail_keeps_its_relative_precision(self, name):
        # S = 1 - F there, so log S must be -F to all digits, not 0.
        u = np.array([-30.0])
        np.testing.assert_allclose(DISTRIBUTIONS[name].log_survival(u).value, -PEERS[name].cdf(u), rtol=1e-10)

    def test_extreme_residuals_give_finite_numbers_without_warning(self, name, recwarn):
        for u in (np.array([-1e4]), np.array([300.0])):
            terms = DISTRIBUTIONS[name].log_survival(u)
            assert np.isfinite([terms.value, terms.first, terms.second]).all()
        assert not recwarn.list


#: Differences of fourth order in Q with step 0.01: truncation and rounding are each about 1e-10, in second derivatives
#: times the third derivative of a tail.
SHAPE_DIFFERENCES = 2e-6
SHAPES = [-2.5, -1.0, -0.31, -0.29, -0.021, -0.019, -1e-7, 0.0, 1e-3, 0.019, 0.021, 0.29, 0.31, 1.0, 2.0]


def generalized_gamma(shape: float) -> StandardDistribution:
    return LATENCY_DISTRIBUTIONS["generalized_gamma"].settled(0.0, shape)


class TestGeneralizedGamma:
    @pytest.mark.parametrize(("shape", "peer"), [(1.0, "weibull"), (0.0, "lognormal")])
    def test_at_one_it_is_the_weibull_and_at_zero_the_log_normal(self, shape, peer):
        ours, theirs = generalized_gamma(shape), DISTRIBUTIONS[peer]
        for function in ("log_survival", "log_density"):
            for part in ("value", "first", "second"):
                mine, other = (getattr(getattr(d, function)(GRID), part) for d in (ours, theirs))
                # The second derivative of log S is a difference of near numbers in its left tail.
                np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)
        assert ours.mean == pytest.approx(theirs.mean, abs=ROUNDING)
        assert ours.standard_deviation == pytest.approx(theirs.standard_deviation, rel=ROUNDING)

    @pytest.mark.parametrize("sigma", [0.05, 0.4, 1.0, 1.7])
    def test_where_the_shape_is_sigma_time_is_gamma_distributed(self, sigma):
        # T = exp(eta + sigma eps) is gamma with shape 1 / sigma^2 and mean exp(eta).
        eps = LATENCY_DISTRIBUTIONS["gamma"].settled(np.log(sigma), 0.0)
        peer = stats.gamma(sigma**-2, scale=sigma**2)
        u = np.linspace(-3, 3, 41)
        times = np.exp(sigma * u)
        np.testing.assert_allclose(eps.log_survival(u).value, peer.logsf(times), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(eps.log_density(u).value, peer.logpdf(times) + np.log(sigma * times), atol=1e-10)

    @pytest.mark.parametrize("shape", [-1.5, -0.4, 0.4, 1.5])
    def test_any_other_shape_is_the_transformed_gamma_of_scipy(self, shape):
        # eps = log(G / a) / Q with G gamma of shape a = 1 / Q^2: exp(eps) is gengamma(a, c = Q) at scale a^(-1 / Q).
        u, a = np.linspace(-2.5, 2.5, 31), shape**-2
        peer = stats.gengamma(a, shape, scale=a ** (-1 / shape))
        np.testing.assert_allclose(generalized_gamma(shape).log_survival(u).value, peer.logsf(np.exp(u)), rtol=1e-9)
        np.testing.assert_allclose(generalized_gamma(shape).log_density(u).value, peer.logpdf(np.exp(u)) + u, atol=1e-9)

    @pytest.mark.parametrize("function", ["log_survival", "log_density"])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_derivatives_in_u_and_in_the_shape_are_those_of_the_function(self, shape, function):
        u = np.linspace(-5.0, 2.5, 61)

        def at(move_u: float, move_shape: float):
            return getattr(generalized_gamma(shape + move_shape), function)(u + move_u)

        here, step = at(0.0, 0.0), 1e-4
        up, down, more, less = at(STEP, 0.0), at(-STEP, 0.0), at(0.0, step), at(0.0, -step)
        expected = {
            "first": (up.value - down.value) / (2 * STEP),
            "second": (up.first - down.first) / (2 * STEP),
            "shape_first": (more.value - less.value) / (2 * step),
            "shape_cross": (more.first - less.first) / (2 * step),
            "shape_second": (more.shape_first - less.shape_first) / (2 * step),
        }
        for part, slope in expected.items():
            np.testing.assert_allclose(
                getattr(here, part), slope, rtol=SHAPE_DIFFERENCES, atol=SHAPE_DIFFERENCES, err_msg=part
            )

    def test_the_survival_function_is_continuous_where_its_formula_changes(self):
        # Expansion about the normal distribution up to |Q| = 0.02, incomplete gamma beyond; log S moves by dQ times its
        # slope, which is below 40 on this grid.
        u = np.linspace(-6.0, 6.0, 61)
        for edge in (-0.02, 0.02):
            below, above = (generalized_gamma(edge + d).log_survival(u).value for d in (-1e-12, 1e-12))
            np.testing.assert_allclose(below, above, rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("shape", [-1.5, -1e-7, 0.0, 0.3, 2.0])
    def test_quantile_turns_the_survival_function_round(self, shape):
        shares = np.array([0.001, 0.2, 0.5, 0.9, 0.999])
        eps = generalized_gamma(shape)
        np.testing.assert_allclose(np.exp(eps.log_survival(eps.quantile(shares)).value), 1 - shares, rtol=1e-6)

    def test_quantiles_far_in_the_tail_are_numbers_where_the_gamma_quantile_itself_is_0(self, recwarn):
        # Near 0 the distribution function of G is x^a / Gamma(a + 1): a tenth of the share moves eps by log(10) Q.
        quantiles = generalized_gamma(5.0).quantile(np.array([1e-12, 1e-13, 1e-14, 1e-15]))
        np.testing.assert_allclose(-np.diff(quantiles), 5.0 * np.log(10.0), rtol=1e-9)
        assert not recwarn.list

    @pytest.mark.parametrize("shape", [-5.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 5.0])
    def test_extreme_residuals_give_finite_numbers_without_warning(self, shape, recwarn):
        for u in (np.array([-1e4]), np.array([-30.0]), np.array([30.0]), np.array([300.0])):
            for terms in (generalized_gamma(shape).log_survival(u), generalized_gamma(shape).log_density(u)):
                assert np.isfinite([getattr(terms, name) for name in terms.__slots__]).all()
        assert not recwarn.list

    def test_ancillary_parameters_are_split_into_log_sigma_and_shape(self):
        families = LATENCY_DISTRIBUTIONS
        assert families["exponential"].split(np.array([])) == (0.0, 0.0)
        assert families["gamma"].split(np.array([-0.5])) == (-0.5, 0.0)
        assert families["generalized_gamma"].split(np.array([-0.5, 2.0])) == (-0.5, 2.0)
        assert families["generalized_gamma"].ancillary_terms == ("log_sigma", "Q")
        assert families["gamma"].shape is Shape.SIGMA


def test_an_unknown_distribution_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"'gompertz'.*exponential, .*, gamma, generalized_gamma"):
        standard_distribution("gompertz")


@pytest.mark.parametrize("name", LINKS)
class TestLink:
    def test_probabilities_of_having_and_never_having_the_event_add_up_to_one(self, name):
        terms = LINKS[name].terms(np.linspace(-6, 3, 91))
        np.testing.assert_allclose(np.exp(terms.log_p) + np.exp(terms.log_q), 1.0, rtol=ROUNDING)

    def test_derivatives_are_those_of_the_log_probabilities(self, name):
        a = np.linspace(-6.0, 3.0, 91)
        up, down, here = (LINKS[name].terms(a + step) for step in (STEP, -STEP, 0.0))
        for which in ("log_p", "log_q"):
            slope = (getattr(up, which) - getattr(down, which)) / (2 * STEP)
            bend = (getattr(up, f"{which}_first") - getattr(down, f"{which}_first")) / (2 * STEP)
            np.testing.assert_allclose(getattr(here, f"{which}_first"), slope, rtol=DIFFERENCES, atol=DIFFERENCES)
            np.testing.assert_allclose(getattr(here, f"{which}_second"), bend, rtol=DIFFERENCES, atol=DIFFERENCES)

    def test_the_predictor_of_a_probability_leads_back_to_it(self, name):
        shares = np.array([0.01, 0.3, 0.97])
        np.testing.assert_allclose(
            np.exp(LINKS[name].terms(LINKS[name].predictor(shares)).log_p), shares, rtol=ROUNDING
        )

    def test_predictors_far_out_give_finite_derivatives(self, name, recwarn):
        terms = LINKS[name].terms(np.array([-40.0, 40.0]))
        assert np.isfinite([terms.log_p_first, terms.log_p_second]).all()
        assert not recwarn.list
