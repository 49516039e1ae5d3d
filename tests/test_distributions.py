"""Standardised latency distributions and incidence links against scipy and against finite differences."""

import numpy as np
import pytest
from scipy import stats

from recoverykit.estimators._links import LINKS
from recoverykit.estimators.distributions import DISTRIBUTIONS, standard_distribution

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


def test_an_unknown_distribution_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"'gompertz'.*exponential, weibull, lognormal, loglogistic"):
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
