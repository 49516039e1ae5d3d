"""Regression discontinuity: the plain window regression exactly, local lines as rdrobust has them, and the checks."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.sandbox.regression.gmm import IV2SLS

import recoverykit as rk
from recoverykit.operations._discontinuity_kernels import neighbour_variances, smoother

#: Two libraries solve the same least squares by different decompositions.
LINEAR_ALGEBRA = 1e-9
#: rdrobust adds 1e-8 to the width of its widest window; bandwidths carry that on.
REFERENCE = 1e-6
COLUMNS = {"outcome_col": "paid", "running_col": "score"}


def made(digits=6):
    """Return 400 units without a random number, so that the reference can be recomputed anywhere."""
    i = np.arange(1, 401)
    x = np.round(2 * ((i * 0.6180339887498949) % 1) - 1.1, digits)
    noise = 0.4 * np.sin(12.9898 * i) + 0.3 * np.cos(78.233 * i)
    y = np.round(0.5 * x + 0.8 * x**2 * (x >= 0) - 0.4 * x**3 + 0.6 * (x >= 0) + noise, 6)
    t = ((np.sin(3.7 * i) + 1) / 2 < np.where(x >= 0, 0.85, 0.25)).astype(float)
    return pd.DataFrame({"score": x, "paid": y, "visited": t, "ltv_ratio": np.cos(1.3 * i), "obligor": i // 3})


#: Printed by rdrobust 2.1.1 (Python) on made(digits), cut-off 0, three nearest neighbours: conventional and
#: bias-corrected estimate, conventional and robust error, bandwidths of estimate and bias, units left and right.
RDROBUST = {
    (6, "triangular"): (1.05686324, 1.11078938, 0.12036673, 0.13292488, 0.17849626, 0.37100577, 36, 37),
    (6, "epanechnikov"): (0.94096782, 0.98747036, 0.11184753, 0.12519579, 0.19281813, 0.38801942, 38, 40),
    (6, "uniform"): (0.74340651, 0.77477732, 0.10441114, 0.12056952, 0.19995372, 0.37554798, 40, 41),
    (2, "triangular"): (0.78504436, 0.82418566, 0.11133522, 0.12775557, 0.31167276, 0.55787060, 61, 65),
    (2, "epanechnikov"): (0.74842892, 0.78466131, 0.10775870, 0.12408974, 0.30171781, 0.55352422, 59, 63),
    (2, "uniform"): (0.70158335, 0.74960214, 0.12792288, 0.14165983, 0.19864954, 0.42745669, 38, 41),
}


class TestPlainWindowRegression:
    def test_is_least_squares_on_running_variable_and_dummy_with_both_ends_inside(self):
        frame = made(1)  # many units exactly at -0.5 and 0.5
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0.0, window=0.5, method="window")
        kept = frame[(frame.score >= -0.5) & (frame.score <= 0.5)].assign(dummy=lambda f: (f.score >= 0) * 1.0)
        plain = smf.ols("paid ~ score + dummy", kept).fit()
        assert found.effect == pytest.approx(plain.params["dummy"], rel=LINEAR_ALGEBRA)
        assert found.params["score"] == pytest.approx(plain.params["score"], rel=LINEAR_ALGEBRA)
        assert found.params["Intercept"] == pytest.approx(plain.params["Intercept"], rel=LINEAR_ALGEBRA)
        assert found.standard_error == pytest.approx(plain.bse["dummy"], rel=LINEAR_ALGEBRA)
        assert (found.lower, found.upper) == pytest.approx(tuple(plain.conf_int().loc["dummy"]), rel=LINEAR_ALGEBRA)
        assert found.p_value == pytest.approx(plain.pvalues["dummy"], rel=LINEAR_ALGEBRA)
        assert (found.n_left, found.n_right) == ((kept.score < 0).sum(), (kept.score >= 0).sum())
        assert kept.score.isin([-0.5, 0.5]).sum() > 0

    def test_on_eight_loans_by_hand(self):
        # Running variable symmetric within each side, so with one slope b and jump d:
        # within-side slopes: left (x -4..-1): y 1, 2, 3, 4 -> slope 1; right (x 1..4): y 15, 16, 17, 18 -> slope 1.
        # b = 1; side means: left y 2.5 at x -2.5, right y 16.5 at x 2.5 -> d = 16.5 - 2.5 - 1 * 5 = 9.
        frame = pd.DataFrame({"score": [-4, -3, -2, -1, 1, 2, 3, 4], "paid": [1, 2, 3, 4, 15, 16, 17, 18]})
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, method="window")
        assert found.effect == pytest.approx(9)
        assert found.params["score"] == pytest.approx(1)

    def test_robust_errors_are_hc1_and_stand_in_the_table_anyway(self):
        frame = made()
        kept = frame[frame.score.abs() <= 0.4].assign(dummy=lambda f: (f.score >= 0) * 1.0)
        hc1 = smf.ols("paid ~ score + dummy", kept).fit(cov_type="HC1").bse["dummy"]
        robust = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.4, method="window", errors="robust")
        plain = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.4, method="window")
        assert robust.standard_error == pytest.approx(hc1, rel=LINEAR_ALGEBRA)
        assert plain.estimates.set_index("kind").loc["robust", "standard_error"] == pytest.approx(hc1)

    def test_cluster_errors_are_those_of_statsmodels(self):
        frame = made()
        kept = frame[frame.score.abs() <= 0.4].assign(dummy=lambda f: (f.score >= 0) * 1.0)
        outside = smf.ols("paid ~ score + dummy", kept).fit(cov_type="cluster", cov_kwds={"groups": kept.obligor})
        options = {"window": 0.4, "method": "window", "errors": "cluster", "cluster_col": "obligor"}
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, **options)
        assert found.standard_error == pytest.approx(outside.bse["dummy"], rel=LINEAR_ALGEBRA)

    def test_interaction_gives_each_side_its_own_line(self):
        frame = made()
        kept = frame[frame.score.abs() <= 0.4].assign(dummy=lambda f: (f.score >= 0) * 1.0)
        outside = smf.ols("paid ~ score * dummy", kept).fit()
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.4, method="window", interaction=True)
        assert found.effect == pytest.approx(outside.params["dummy"], rel=LINEAR_ALGEBRA)

    def test_a_cut_off_far_from_zero_changes_nothing_but_the_intercept(self):
        frame = made()
        moved = frame.assign(score=frame.score + 1000)
        here = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.4, method="window")
        there = rk.regression_discontinuity(moved, **COLUMNS, cutoff=1000, window=0.4, method="window")
        assert there.effect == pytest.approx(here.effect, rel=1e-6)
        assert there.params["score"] == pytest.approx(here.params["score"], rel=1e-6)

    @pytest.mark.parametrize(("closed", "n_left", "n_right"), [("both", 3, 4), ("left", 3, 3), ("neither", 2, 3)])
    def test_which_ends_belong_to_the_window_can_be_said(self, closed, n_left, n_right):
        frame = pd.DataFrame({"score": [-4, -3, -2, -1, 0, 1, 2, 3, 4], "paid": [1, 2, 4, 3, 7, 9, 8, 12, 11]})
        choices = {"window": 3, "method": "window", "closed": closed}
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, **choices)
        assert (found.n_left, found.n_right) == (n_left, n_right)

    def test_a_side_that_is_one_obligor_has_no_robust_error(self):
        frame = made()
        one_side = frame.assign(obligor=np.where(frame.score < 0, -1, frame.obligor))
        options = {"window": 0.4, "method": "window", "errors": "cluster", "cluster_col": "obligor"}
        for clustered in (one_side, frame.assign(obligor=0)):
            with pytest.raises(rk.InsufficientDataError, match="two clusters on each side are the least"):
                rk.regression_discontinuity(clustered, **COLUMNS, cutoff=0, **options)

    def test_both_ends_of_a_window_can_be_given(self):
        frame = made()
        half = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.4, method="window")
        ends = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=(-0.4, 0.4), method="window")
        assert ends.effect == half.effect

    def test_fuzzy_effect_is_two_stage_least_squares(self):
        frame = made()
        kept = frame[frame.score.abs() <= 0.6].assign(one=1.0, dummy=lambda f: (f.score >= 0) * 1.0)
        outside = IV2SLS(kept.paid, kept[["one", "score", "visited"]], kept[["one", "score", "dummy"]]).fit()
        choices = {"window": 0.6, "method": "window", "takeup_col": "visited"}
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, **choices)
        assert found.effect == pytest.approx(outside.params["visited"], rel=1e-8)
        assert found.standard_error == pytest.approx(outside.bse["visited"], rel=1e-8)


class TestLocalLines:
    @pytest.mark.parametrize(("digits", "kernel"), list(RDROBUST))
    def test_agree_with_rdrobust(self, digits, kernel):
        found = rk.regression_discontinuity(made(digits), **COLUMNS, cutoff=0, kernel=kernel)
        own = found.estimates.set_index("kind")
        numbers = (
            found.effect,
            own.loc["bias-corrected", "effect"],
            own.loc["conventional", "standard_error"],
            found.standard_error,
            found.window_right,
            found.bias_bandwidth,
            found.n_left,
            found.n_right,
        )
        assert numbers == pytest.approx(RDROBUST[digits, kernel], rel=REFERENCE)

    def test_agree_with_rdrobust_in_a_given_window(self):
        # rdrobust 2.1.1: h = b = 0.5.
        found = rk.regression_discontinuity(made(), **COLUMNS, cutoff=0, window=0.5)
        expected = [0.7386034588514945, 0.895963375319359]
        assert [found.effect, found.estimates["effect"].iloc[-1]] == pytest.approx(expected, rel=REFERENCE)
        assert found.standard_error == pytest.approx(0.10512850289877278, rel=REFERENCE)

    def test_a_fuzzy_design_agrees_with_rdrobust(self):
        # rdrobust 2.1.1: fuzzy = visited, h = b = 0.5.
        found = rk.regression_discontinuity(made(), **COLUMNS, cutoff=0, window=0.5, takeup_col="visited")
        expected = [1.9018792446961188, 2.396541917144875]
        assert [found.effect, found.estimates["effect"].iloc[-1]] == pytest.approx(expected, rel=REFERENCE)
        assert found.standard_error == pytest.approx(1.0646896408565523, rel=REFERENCE)

    def test_a_uniform_kernel_is_two_ordinary_lines(self):
        frame = made()
        kept = frame[frame.score.abs() <= 0.5].assign(dummy=lambda f: (f.score >= 0) * 1.0)
        outside = smf.ols("paid ~ score * dummy", kept).fit().params["dummy"]
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.5, kernel="uniform")
        assert found.effect == pytest.approx(outside, rel=LINEAR_ALGEBRA)

    def test_units_at_the_very_end_of_the_window_count_where_they_weigh(self):
        frame = made(1)  # many units exactly at -0.5 and 0.5, where a triangle is 0
        inner, both = frame.score.abs() < 0.5, frame.score.abs() <= 0.5
        assert inner.sum() < both.sum()
        for kernel, kept in (("triangular", inner), ("epanechnikov", inner), ("uniform", both)):
            found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.5, kernel=kernel)
            assert found.n_left + found.n_right == kept.sum()
            assert found.bins["n_units"].sum() == kept.sum()

    def test_a_rare_outcome_far_from_the_cut_off_takes_the_widest_window(self):
        frame = made().assign(paid=lambda f: (f.score < -0.9) * 1.0)
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0)
        assert (found.window_right, found.bias_bandwidth) == (frame.score.abs().max(), frame.score.abs().max())
        assert np.isfinite([found.effect, found.lower, found.upper]).all()

    @pytest.mark.parametrize("method", ["local_linear", "window"])
    def test_an_outcome_that_does_not_vary_does_not_jump(self, method):
        found = rk.regression_discontinuity(made().assign(paid=0.1), **COLUMNS, cutoff=0, method=method)
        assert (found.effect, found.standard_error, found.p_value) == (0.0, 0.0, 1.0)
        assert found.lines["value"].tolist() == pytest.approx([0.1] * 4)

    def test_a_straight_line_with_a_jump_is_found_exactly(self):
        x = np.linspace(-1, 1, 200)
        frame = pd.DataFrame({"score": x, "paid": 2 + 3 * x + 5 * (x >= 0)})
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.5)
        assert found.estimates["effect"].to_numpy() == pytest.approx(5)

    @pytest.mark.parametrize("method", ["local_linear", "window"])
    def test_neither_unit_of_measurement_nor_order_of_rows_matters(self, method):
        frame = made()
        shuffled = frame.sample(frac=1, random_state=3).assign(score=lambda f: 7 * f.score, paid=lambda f: 100 * f.paid)
        one = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, method=method)
        other = rk.regression_discontinuity(shuffled, **COLUMNS, cutoff=0, method=method)
        assert other.effect == pytest.approx(100 * one.effect, rel=REFERENCE)
        assert other.standard_error == pytest.approx(100 * one.standard_error, rel=REFERENCE)

    def test_the_robust_interval_belongs_to_the_corrected_estimate(self):
        found = rk.regression_discontinuity(made(), **COLUMNS, cutoff=0)
        assert (found.lower + found.upper) / 2 == pytest.approx(found.estimates["effect"].iloc[-1])
        assert found.standard_error > found.estimates["standard_error"].iloc[0]

    def test_variances_of_neighbours_by_hand(self):
        # Places 0, 1, 3: with two neighbours each, J / (J + 1) = 2/3. Outcomes 0, 3, 9:
        # 0 against (3 + 9) / 2 = 6 -> 24; 3 against 4.5 -> 1.5; 9 against 1.5 -> 37.5.
        variances = neighbour_variances(np.array([0.0, 1.0, 3.0]), np.array([0.0, 3.0, 9.0]), 2)
        assert variances == pytest.approx([24.0, 1.5, 37.5])

    def test_units_at_one_place_are_neighbours_together(self):
        # At place 0 three units with outcomes 0, 3, 6: each has the two others, 2/3 x squared gap to their mean.
        variances = neighbour_variances(np.array([0.0, 0.0, 0.0, 5.0]), np.array([0.0, 3.0, 6.0, 100.0]), 2)
        assert variances[:3] == pytest.approx([2 / 3 * 4.5**2, 0.0, 2 / 3 * 4.5**2])

    def test_a_smoother_reproduces_polynomials_of_its_order(self):
        x = np.array([0.3, 1.0, 2.5, 4.0])
        rows = smoother(x, np.array([0.2, 1.0, 0.5, 0.7]), 2)
        assert rows @ (1 - 2 * x + 3 * x**2) == pytest.approx([1, -2, 3])


class TestSides:
    def test_treatment_on_the_left_turns_the_sign(self):
        right = rk.regression_discontinuity(made(), **COLUMNS, cutoff=0, window=0.5, cutoff_is_treated=True)
        left = rk.regression_discontinuity(
            made(), **COLUMNS, cutoff=0, window=0.5, treated_side="left", cutoff_is_treated=False
        )
        assert left.effect == pytest.approx(-right.effect)
        assert (left.lower, left.upper) == pytest.approx((-right.upper, -right.lower))

    @pytest.mark.parametrize(
        ("side", "is_treated", "n_left", "n_right"),
        [("right", True, 5, 6), ("right", False, 6, 5), ("left", True, 6, 5)],
    )
    def test_a_unit_at_the_cut_off_goes_where_it_is_said_to(self, side, is_treated, n_left, n_right):
        frame = pd.DataFrame({"score": np.arange(-5, 6), "paid": np.arange(11) ** 2 % 7})
        found = rk.regression_discontinuity(
            frame, **COLUMNS, cutoff=0, method="window", treated_side=side, cutoff_is_treated=is_treated
        )
        assert (found.n_left, found.n_right) == (n_left, n_right)

    def test_window_dummy_is_one_on_the_treated_side(self):
        frame = made()
        right = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.5, method="window")
        left = rk.regression_discontinuity(
            frame, **COLUMNS, cutoff=0, window=0.5, method="window", treated_side="left", cutoff_is_treated=False
        )
        assert left.effect == pytest.approx(-right.effect)


class TestChecks:
    def test_density_is_quiet_where_nobody_sorts_and_loud_where_somebody_does(self):
        rng = np.random.default_rng(8)
        smooth = rng.normal(600, 50, 3000)
        sorted_ = np.where((smooth > 610) & (smooth < 620) & (rng.random(3000) < 0.5), smooth + 10, smooth)
        assert rk.density_check(smooth, cutoff=620).p_value > 0.05
        assert rk.density_check(sorted_, cutoff=620).p_value < 1e-4
        assert rk.density_check(sorted_, cutoff=620).log_jump > 0

    def test_bins_count_every_unit_and_never_straddle_the_cut_off(self):
        rng = np.random.default_rng(9)
        for scores in (rng.normal(600, 50, 1000), np.round(rng.normal(600, 50, 1000))):
            bins = rk.density_check(scores, cutoff=620).bins
            assert bins["n_units"].sum() == 1000
            assert bins.loc[bins["side"] == "right", "n_units"].sum() == (scores >= 620).sum()

    def test_density_holds_its_level(self):
        # 300 samples without sorting: at 5 % between 6 and 26 alarms (binomial, 99.5 % limits).
        rng = np.random.default_rng(10)
        alarms = sum(rk.density_check(rng.normal(size=1500), cutoff=0.3).p_value < 0.05 for _ in range(300))
        assert 6 <= alarms <= 26

    def test_sorting_is_cautioned(self):
        rng = np.random.default_rng(8)
        smooth = rng.normal(0, 1, 3000)
        score = np.where((smooth > -0.3) & (smooth < 0) & (rng.random(3000) < 0.6), smooth + 0.3, smooth)
        frame = pd.DataFrame({"score": score, "paid": rng.normal(size=3000)})
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0)
        assert any("density" in caution for caution in found.cautions)

    def test_a_covariate_that_jumps_is_named(self):
        rng = np.random.default_rng(5)
        score = rng.uniform(-1, 1, 2000)
        frame = pd.DataFrame({"score": score, "paid": rng.normal(size=2000)})
        frame["ltv_ratio"] = rng.normal(size=2000)
        frame["ead"] = rng.normal(size=2000) + 2 * (score >= 0)
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, balance_cols=["ltv_ratio", "ead"])
        assert found.balance["covariate"].tolist() == ["ltv_ratio", "ead"]
        assert [c for c in found.cautions if "ead also jump" in c]
        assert not [c for c in found.cautions if "ltv_ratio" in c]

    @pytest.mark.parametrize("method", ["local_linear", "window"])
    def test_a_covariate_that_jumps_without_any_error_is_named_and_a_constant_one_is_not(self, method):
        frame = made().assign(ead=lambda f: 1.0 + (f.score >= 0), eir=0.07)
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, method=method, balance_cols=["ead", "eir"])
        assert found.balance["p_value"].tolist() == pytest.approx([0.0, 1.0], abs=1e-12)
        assert [c for c in found.cautions if c.startswith("ead also jump")]

    def test_sensitivity_holds_the_window_in_use_as_it_is(self):
        for method in ("local_linear", "window"):
            window = 0.4 if method == "window" else None
            found = rk.regression_discontinuity(made(), **COLUMNS, cutoff=0, method=method, window=window)
            own = found.sensitivity[np.isclose(found.sensitivity["window"], found.window_right)].iloc[0]
            assert own[["effect", "lower", "upper"]].tolist() == pytest.approx([found.effect, found.lower, found.upper])
            assert found.sensitivity["n_left"].is_monotonic_increasing

    def test_bins_and_exclusions_add_up_to_all_rows(self):
        frame = made()
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.4, method="window")
        assert found.bins["n_units"].sum() == found.n_left + found.n_right
        assert found.n_left + found.n_right + found.exclusions["n_units"].sum() == len(frame)


class TestRefusals:
    @pytest.mark.parametrize("column", ["age", "borrower_sex", "recovery_amount", "vacation_days", "postcode"])
    def test_a_running_variable_that_may_not_drive_a_treatment_is_refused(self, column):
        frame = made().rename(columns={"score": column})
        with pytest.raises(rk.RefusedColumnError, match=column):
            rk.regression_discontinuity(frame, outcome_col="paid", running_col=column, cutoff=0)

    def test_a_forecast_made_beforehand_is_no_outcome(self):
        frame = made().rename(columns={"score": "expected_recovery_amount", "paid": "actual_recovery_amount"})
        found = rk.regression_discontinuity(
            frame, outcome_col="actual_recovery_amount", running_col="expected_recovery_amount", cutoff=0
        )
        assert np.isfinite(found.effect)

    def test_balance_of_a_class_b_column_may_be_checked_but_not_of_an_outcome(self):
        frame = made().assign(age=1.0 * np.arange(400), settled=0.0)
        rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, balance_cols=["age"])
        with pytest.raises(rk.RefusedColumnError, match="settled"):
            rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, balance_cols=["settled"])

    def test_missing_values_are_refused_by_row_or_left_out_and_counted(self):
        frame = made()
        frame.loc[[3, 5], "paid"] = np.nan
        with pytest.raises(rk.ContractError, match=r"missing='exclude'.*row 3; row 5"):
            rk.regression_discontinuity(frame, **COLUMNS, cutoff=0)
        found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, method="window", missing="exclude")
        assert found.exclusions["n_units"].tolist() == [2]
        whole = rk.regression_discontinuity(frame.dropna(), **COLUMNS, cutoff=0, method="window")
        assert found.effect == whole.effect

    def test_a_take_up_that_does_not_jump_is_refused(self):
        frame = made().assign(visited=(np.arange(400) % 2).astype(float))
        with pytest.raises(rk.InsufficientDataError, match="take-up"):
            rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, window=0.5, takeup_col="visited")

    def test_too_few_units_on_a_side_are_refused(self):
        with pytest.raises(rk.InsufficientDataError, match="right of the cut-off"):
            rk.regression_discontinuity(made(), **COLUMNS, cutoff=0.89)
        with pytest.raises(rk.InsufficientDataError, match="wider window"):
            rk.regression_discontinuity(made(), **COLUMNS, cutoff=0, window=0.001, method="window")

    def test_a_gap_at_the_cut_off_is_refused_in_words(self):
        rng = np.random.default_rng(4)
        score = np.concatenate([rng.uniform(-100, -60, 200), rng.uniform(0, 40, 200)])
        frame = pd.DataFrame({"score": score, "paid": rng.normal(size=400)})
        with pytest.raises(rk.InsufficientDataError, match=r"0 different places left of the cut-off within .* window"):
            rk.regression_discontinuity(frame, **COLUMNS, cutoff=0)

    def test_all_faults_are_listed_at_once(self):
        frame = made().astype({"obligor": object, "paid": object})
        frame.loc[0, "obligor"], frame.loc[1, "paid"] = None, "yes"
        options = {"method": "window", "errors": "cluster", "cluster_col": "obligor"}
        with pytest.raises(rk.ContractError, match=r"(?s)obligor must not be missing.*paid must be a number"):
            rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, **options)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"method": "global"},
            {"kernel": "gaussian"},
            {"window": -1.0},
            {"window": (1.0, 2.0), "method": "window"},
            {"errors": "cluster"},
            {"interaction": True},
            {"level": 95},
            {"treated_side": "above"},
            {"cutoff": float("nan")},
        ],
    )
    def test_options_that_are_not_allowed_are_refused(self, wrong):
        with pytest.raises(ValueError, match=r"is|belong|give"):
            rk.regression_discontinuity(made(), **COLUMNS, **({"cutoff": 0} | wrong))


def test_a_result_speaks_and_is_json_and_leaves_the_frame_alone():
    frame = made()
    before = frame.copy()
    found = rk.regression_discontinuity(frame, **COLUMNS, cutoff=0, balance_cols=["ltv_ratio"])
    pd.testing.assert_frame_equal(frame, before)
    record = json.loads(json.dumps(found.to_record()))
    assert record["effect"] == found.effect
    assert record["density"]["p_value"] == found.density.p_value
    assert "treated less untreated" in found.summary()
    assert "<table" in found._repr_html_()
    assert found.to_frame().shape[0] == 1


#: 400 seeds: a coverage of 95 % is seen between 92.5 and 97.5 % (98 % of the time).
N_SEEDS, COVERAGE = 400, (0.925, 0.975)


def simulated(rng, *, is_fuzzy=False, is_straight=False, n=1000):
    """Return units treated at a score of 0 and above, with an effect of 0.3."""
    score = rng.uniform(-1, 1, n)
    treated = rng.random(n) < np.where(score >= 0, 0.85, 0.15) if is_fuzzy else score >= 0
    trend = 0.5 * score + (0.0 if is_straight else 0.6 * score**2 - 0.4 * score**3)
    return pd.DataFrame(
        {"score": score, "paid": trend + 0.3 * treated + rng.normal(0, 0.4, n), "visited": 1.0 * treated}
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truth", "choices"),
    [
        ({}, {}),
        ({"is_fuzzy": True}, {"takeup_col": "visited"}),
        ({"is_straight": True}, {"method": "window", "window": 0.5}),
        ({"is_straight": True}, {"method": "window", "window": 0.5, "errors": "robust"}),
        ({"is_straight": True, "is_fuzzy": True}, {"method": "window", "window": 0.5, "takeup_col": "visited"}),
    ],
    ids=["local lines", "local lines, fuzzy", "window", "window, robust", "window, fuzzy"],
)
def test_intervals_cover_a_known_effect(truth, choices):
    found = [
        rk.regression_discontinuity(simulated(np.random.default_rng(seed), **truth), **COLUMNS, cutoff=0, **choices)
        for seed in range(N_SEEDS)
    ]
    share = np.mean([r.lower <= 0.3 <= r.upper for r in found])
    corrected = np.array([r.estimates["effect"].iloc[-1] for r in found])
    assert COVERAGE[0] <= share <= COVERAGE[1] + 0.015 * ("takeup_col" in choices)
    assert abs(corrected.mean() - 0.3) < 3 * corrected.std() / np.sqrt(N_SEEDS)
