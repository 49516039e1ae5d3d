"""Tails of recovery curves: exact decays recovered, noisy ones bounded, and fits without meaning refused."""

import json

import numpy as np
import pytest
from scipy.optimize import curve_fit

from recoverykit.curves import StepCurve
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators.recovery_tail import RecoveryTailModel

FITTED = 1e-6  # relative: an exact decay, found by an optimiser that stops at 1e-12 of the squares
MONTHS = np.arange(1.0, 121.0)
DECAYS = {
    "exponential": 0.04 * np.exp(-0.06 * MONTHS),
    "inverse_power": 0.1 * MONTHS**-1.6,
    "weibull": 0.7 * (np.exp(-(((MONTHS - 1) / 15) ** 1.3)) - np.exp(-((MONTHS / 15) ** 1.3))),
}


def curve_of(increments, at_risk=100.0):
    n = len(increments) + 1
    nothing = np.full(n, np.nan)
    values = np.concatenate([[0.0], np.cumsum(increments)])
    return StepCurve(np.arange(n, dtype=float), values, nothing, nothing, n_at_risk=np.broadcast_to(at_risk, n))


def noisy(seed, *, n=48, noise=0.002):
    rng = np.random.default_rng(seed)
    return DECAYS["exponential"][:n] + noise * rng.normal(size=n)


class TestExactDecays:
    @pytest.mark.parametrize("form", DECAYS)
    def test_the_tail_of_a_decay_is_found(self, form):
        fit = RecoveryTailModel(maximum_recovery_months=120, form=form).fit(curve_of(DECAYS[form][:36]))
        assert fit.tail_rate == pytest.approx(DECAYS[form][36:].sum(), rel=FITTED)
        assert fit.r_squared == pytest.approx(1.0, abs=FITTED)

    def test_parameters_are_those_of_the_decay(self):
        fit = RecoveryTailModel(maximum_recovery_months=120, first_month=3).fit(curve_of(DECAYS["exponential"][:36]))
        # The level is that of the first month of the window.
        np.testing.assert_allclose(fit.params, [0.04 * np.exp(-0.18), 0.06], rtol=FITTED)
        fit = RecoveryTailModel(maximum_recovery_months=120, form="weibull").fit(curve_of(DECAYS["weibull"][:36]))
        np.testing.assert_allclose(fit.params, [0.7, 15, 1.3], rtol=1e-4)  # a flat valley: the tail is exact above

    def test_nothing_comes_after_the_bound(self):
        fits = [
            RecoveryTailModel(maximum_recovery_months=m).fit(curve_of(DECAYS["exponential"][:36])) for m in (40, 60)
        ]
        assert fits[0].tail_rate == pytest.approx(DECAYS["exponential"][36:40].sum(), rel=FITTED)
        assert fits[0].tail_rate < fits[1].tail_rate
        assert fits[1].curve.times[-1] == 60

    def test_parts_add_up(self):
        fit = RecoveryTailModel(maximum_recovery_months=60).fit(curve_of(DECAYS["exponential"][:36]))
        assert fit.ultimate_rate == pytest.approx(fit.observed_rate + fit.tail_rate)
        assert fit.share_of_ultimate == pytest.approx(fit.tail_rate / fit.ultimate_rate)
        assert fit.tail_factor == pytest.approx(1 / (1 - fit.share_of_ultimate))
        assert fit.curve.values[-1] == pytest.approx(fit.ultimate_rate)
        assert fit.pattern().values[-1] == pytest.approx(1.0)
        tail = fit.table[fit.table["is_extrapolated"]]
        assert tail["fitted"].sum() == pytest.approx(fit.tail_rate)
        assert tail["increment"].isna().all()

    def test_the_tail_is_flagged_by_nobody_at_risk_and_no_band(self):
        fit = RecoveryTailModel(maximum_recovery_months=60).fit(curve_of(DECAYS["exponential"][:36]))
        np.testing.assert_array_equal(fit.curve.n_at_risk[37:], 0)
        assert np.isnan(fit.curve.lower[37:]).all()
        np.testing.assert_array_equal(fit.curve.values[:37], curve_of(DECAYS["exponential"][:36]).values)


class TestNoise:
    def test_parameters_and_errors_are_those_of_scipy(self):
        increments = noisy(1)
        at_risk = np.concatenate([[300.0], np.linspace(300, 40, 48)])
        fit = RecoveryTailModel(maximum_recovery_months=90, minimum_at_risk=1).fit(curve_of(increments, at_risk))
        months = np.arange(1.0, 49.0)
        params, cov = curve_fit(
            lambda m, a, b: a * np.exp(-b * (m - 1)), months, increments, (0.03, 0.1), sigma=at_risk[1:] ** -0.5
        )
        np.testing.assert_allclose(fit.params, params, rtol=1e-5)
        np.testing.assert_allclose(fit.standard_errors, np.sqrt(np.diag(cov)), rtol=1e-4)

    def test_the_tail_is_right_on_average_and_its_error_covers(self):
        truth = DECAYS["exponential"][48:90].sum()
        tails, errors = [], []
        for seed in range(120):
            fit = RecoveryTailModel(maximum_recovery_months=90).fit(curve_of(noisy(seed)))
            tails.append(fit.tail_rate)
            errors.append(fit.tail_standard_error)
        # The tail bends with the decay: a bias of a tenth of its spread is its curvature.
        assert abs(np.mean(tails) - truth) < 0.25 * np.std(tails)
        assert np.mean(errors) == pytest.approx(np.std(tails), rel=0.2)

    def test_money_that_goes_back_in_some_months_is_no_obstacle(self):
        increments = noisy(3, noise=0.004)
        assert (increments < 0).any()
        assert RecoveryTailModel(maximum_recovery_months=90).fit(curve_of(increments)).tail_rate > 0

    def test_the_window_ends_where_too_few_are_at_risk(self):
        at_risk = np.concatenate([np.full(31, 100.0), np.full(18, 5.0)])
        fit = RecoveryTailModel(maximum_recovery_months=90).fit(curve_of(noisy(1), at_risk))
        assert fit.last_month == 30
        assert fit.observed_rate == pytest.approx(noisy(1)[:30].sum())


class TestRefusals:
    def test_increments_that_do_not_fall_are_refused(self):
        with pytest.raises(InsufficientDataError, match="do not fall with 95% confidence"):
            RecoveryTailModel(maximum_recovery_months=90).fit(curve_of(np.full(24, 0.01)))

    def test_increments_that_rise_are_refused(self):
        with pytest.raises(InsufficientDataError, match="do not fall"):
            RecoveryTailModel(maximum_recovery_months=90).fit(curve_of(np.linspace(0.001, 0.02, 24)))

    def test_a_curve_that_does_not_rise_is_refused(self):
        with pytest.raises(InsufficientDataError, match="does not rise"):
            RecoveryTailModel(maximum_recovery_months=90).fit(curve_of(-DECAYS["exponential"][:24]))

    def test_a_tail_that_would_make_most_of_the_ultimate_is_refused(self):
        with pytest.raises(InsufficientDataError, match="more than 25% of the ultimate would rest on no data"):
            RecoveryTailModel(maximum_recovery_months=120).fit(curve_of(DECAYS["exponential"][:12]))

    def test_a_form_that_misses_the_end_of_its_window_is_refused(self):
        # Recoveries that stop after month 20: an exponential decay fitted to all of it goes on for long.
        stops = np.where(np.arange(1, 49) <= 20, 0.03, 0.0) + 0.0005 * np.random.default_rng(1).normal(size=48)
        with pytest.raises(InsufficientDataError, match="in the last third of its window, from month 33 on"):
            RecoveryTailModel(maximum_recovery_months=90).fit(curve_of(stops))

    def test_a_short_window_is_refused(self):
        with pytest.raises(InsufficientDataError, match="needs 6 months"):
            RecoveryTailModel(maximum_recovery_months=120, first_month=20).fit(curve_of(DECAYS["exponential"][:24]))

    def test_a_bound_inside_the_data_is_refused(self):
        with pytest.raises(ValueError, match="must lie behind the window"):
            RecoveryTailModel(maximum_recovery_months=24).fit(curve_of(DECAYS["exponential"][:36]))

    def test_a_curve_without_months_or_numbers_at_risk_is_refused(self):
        nothing = np.full(2, np.nan)
        with pytest.raises(ValueError, match="whole months from 0"):
            RecoveryTailModel(maximum_recovery_months=90).fit(StepCurve([0, 3], [0.0, 0.1], nothing, nothing))

    @pytest.mark.parametrize(
        "choice",
        [{"form": "cubic"}, {"first_month": 0}, {"maximum_share": 1.0}, {"maximum_recovery_months": 90.5}],
    )
    def test_choices_that_do_not_exist_are_refused(self, choice):
        with pytest.raises(ValueError, match=next(iter(choice))):
            RecoveryTailModel(**{"maximum_recovery_months": 90, **choice})


class TestWords:
    def test_the_sentence_says_what_rests_on_no_data(self):
        fit = RecoveryTailModel(maximum_recovery_months=90).fit(curve_of(DECAYS["exponential"][:36]))
        assert "up to month 90" in fit.sentence()
        assert "rests on no data" in fit.sentence()
        assert json.loads(json.dumps(fit.to_record()))["maximum_recovery_months"] == 90
        assert fit.summary().index.tolist() == ["level", "decay"]

    def test_a_tail_without_an_end_is_told(self):
        slow = 0.05 * MONTHS**-0.9
        model = RecoveryTailModel(maximum_recovery_months=60, form="inverse_power", maximum_share=0.5)
        assert "without its bound this tail has no end" in model.fit(curve_of(slow[:36])).sentence()
