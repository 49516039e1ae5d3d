"""Randomised arms: effects by hand and against statsmodels, guarded looks, sizes, outcomes over a horizon."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal, ttest_ind
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

import recoverykit as rk

#: Least squares solved by different decompositions.
LINEAR_ALGEBRA = 1e-9
#: The published boundaries were computed on a grid with steps of a twentieth of a standard deviation.
GRID = 2e-4
#: Randomised quasi-Monte Carlo of scipy's multivariate normal distribution function.
MONTE_CARLO = 2e-5


def two_arms(treated=(56, 14), control=(48, 32)):
    """Return arms with (cured, not cured) loans."""
    cured = [1] * treated[0] + [0] * treated[1] + [1] * control[0] + [0] * control[1]
    arm = ["visit"] * sum(treated) + ["control"] * sum(control)
    return pd.DataFrame({"arm": arm, "cured": cured, "assignment": "random"})


def cash(seed=1, n=400):
    rng = np.random.default_rng(seed)
    obligor = np.repeat(np.arange(n // 2), 2)
    arm = np.repeat(rng.permutation(np.tile(["visit", "control"], n // 4)), 2)
    paid = 0.3 + 0.1 * (arm == "visit") + np.repeat(rng.normal(0, 0.2, n // 2), 2) + rng.normal(0, 0.1, n)
    return pd.DataFrame({"arm": arm, "obligor": obligor, "paid_rate": paid, "assignment": "random"})


class TestIntentionToTreat:
    def test_shares_of_eight_loans_by_hand(self):
        # 3 of 4 visited and 1 of 4 others cured: difference 3/4 - 1/4 = 0.5, ratio 3; error
        # sqrt(.75 * .25 / 4 + .25 * .75 / 4) = sqrt(0.09375) = 0.30619.
        found = rk.intention_to_treat(two_arms((3, 1), (1, 3)), outcome_col="cured", planned_n_units=8)
        assert found.effect == 0.5
        assert found.standard_error == pytest.approx(0.306186, abs=1e-6)
        assert found.measures.set_index("measure").loc["risk_ratio", "effect"] == pytest.approx(3.0)
        assert (found.n_treated, found.n_control) == (4, 4)

    def test_newcombe_interval_is_that_of_his_example(self):
        # Newcombe (1998), Statistics in Medicine 17:873-890, example 56/70 - 48/80, method 10: 0.0524 to 0.3339.
        found = rk.intention_to_treat(two_arms(), outcome_col="cured", planned_n_units=150)
        assert (found.lower, found.upper) == pytest.approx((0.0524, 0.3339), abs=5e-5)

    def test_newcombe_interval_by_hand_from_the_two_wilson_intervals(self):
        # Wilson for p of n: (p + z2/2n -+ z sqrt(p q / n + z2 / 4n2)) / (1 + z2/n); limits of the difference:
        # d - sqrt((p1 - l1)^2 + (u2 - p2)^2), d + sqrt((u1 - p1)^2 + (p2 - l2)^2).
        def wilson(p, n, z=1.959963984540054):
            middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
            return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)

        (l1, u1), (l2, u2) = wilson(0.8, 70), wilson(0.6, 80)
        lower = 0.2 - np.hypot(0.8 - l1, u2 - 0.6)
        upper = 0.2 + np.hypot(u1 - 0.8, 0.6 - l2)
        found = rk.intention_to_treat(two_arms(), outcome_col="cured", planned_n_units=150)
        assert (found.lower, found.upper) == pytest.approx((lower, upper), rel=LINEAR_ALGEBRA)

    @pytest.mark.parametrize("counts", [(56, 70, 48, 80), (9, 10, 3, 10), (20, 400, 31, 390)])
    def test_score_limits_are_where_the_score_test_at_the_likeliest_shares_just_rejects(self, counts):
        # The likeliest shares with a given difference, or ratio, by a numerical search instead of the closed form.
        x1, n1, x2, n2 = counts

        def z_squared(limit, first_of, gap_of, slope):
            def loss(p):
                q = first_of(p, limit)
                return -(x1 * np.log(q) + (n1 - x1) * np.log1p(-q) + x2 * np.log(p) + (n2 - x2) * np.log1p(-p))

            ends = [p for p in np.linspace(1e-6, 1 - 1e-6, 20001) if 0 < first_of(p, limit) < 1]
            p = minimize_scalar(loss, bounds=(ends[0], ends[-1]), method="bounded", options={"xatol": 1e-12}).x
            q = first_of(p, limit)
            variance = (q * (1 - q) / n1 + slope(limit) ** 2 * p * (1 - p) / n2) * (n1 + n2) / (n1 + n2 - 1)
            return gap_of(limit) ** 2 / variance

        frame = two_arms((x1, n1 - x1), (x2, n2 - x2))
        found = rk.intention_to_treat(frame, outcome_col="cured", interval="score")
        for limit in (found.lower, found.upper):
            squared = z_squared(limit, lambda p, d: p + d, lambda d: x1 / n1 - x2 / n2 - d, lambda d: 1.0)
            assert squared == pytest.approx(1.959964**2, rel=1e-5)
        for limit in found.measures.set_index("measure").loc["risk_ratio", ["lower", "upper"]]:
            squared = z_squared(limit, lambda p, r: r * p, lambda r: x1 / n1 - r * x2 / n2, lambda r: r)
            assert squared == pytest.approx(1.959964**2, rel=1e-5)

    def test_score_interval_of_the_example_of_newcombe(self):
        # Newcombe (1998), 56/70 - 48/80, method 6 (Miettinen & Nurminen), known from memory: 0.0528 to 0.3382.
        found = rk.intention_to_treat(two_arms(), outcome_col="cured", interval="score")
        assert (found.lower, found.upper) == pytest.approx((0.0528, 0.3382), abs=5e-5)

    @pytest.mark.parametrize("counts", [(0, 5, 0, 5), (5, 5, 0, 5), (5, 5, 5, 5), (1, 1000, 999, 1000), (1, 2, 1, 2)])
    def test_score_interval_holds_its_estimate_at_the_edges(self, counts):
        x1, n1, x2, n2 = counts
        found = rk.intention_to_treat(two_arms((x1, n1 - x1), (x2, n2 - x2)), outcome_col="cured", interval="score")
        assert -1 <= found.lower <= found.effect <= found.upper <= 1
        assert found.upper - found.lower > 0.001

    def test_means_are_compared_by_welch(self):
        frame = cash()
        found = rk.intention_to_treat(frame, outcome_col="paid_rate")
        parts = [frame.loc[frame.arm == arm, "paid_rate"] for arm in ("visit", "control")]
        outside = ttest_ind(*parts, equal_var=False)
        assert found.measure == "mean_difference"
        assert found.p_value == pytest.approx(outside.pvalue, rel=LINEAR_ALGEBRA)
        assert (found.lower, found.upper) == pytest.approx(tuple(outside.confidence_interval(0.95)), rel=LINEAR_ALGEBRA)

    def test_errors_over_obligors_are_those_of_statsmodels_and_wider(self):
        frame = cash().assign(dummy=lambda f: (f.arm == "visit") * 1.0)
        found = rk.intention_to_treat(frame, outcome_col="paid_rate", cluster_col="obligor")
        outside = smf.ols("paid_rate ~ dummy", frame).fit(cov_type="cluster", cov_kwds={"groups": frame.obligor})
        assert found.effect == pytest.approx(outside.params["dummy"], rel=LINEAR_ALGEBRA)
        assert found.standard_error == pytest.approx(outside.bse["dummy"], rel=1e-6)
        assert found.standard_error > 1.2 * rk.intention_to_treat(frame, outcome_col="paid_rate").standard_error

    @pytest.mark.parametrize(
        "obligors", [["A"] * 10 + ["B"] * 10, ["A"] * 20, ["A"] * 10 + list("BCDEFGHIJK")], ids=["two", "one", "eleven"]
    )
    def test_an_arm_that_is_one_obligor_has_no_robust_error(self, obligors):
        # The residuals of an arm sum to 0; as one cluster it would have a variance of 0 whatever its loans did.
        frame = two_arms((5, 5), (3, 7)).assign(obligor=obligors)
        with pytest.raises(rk.InsufficientDataError, match="two clusters in each arm are the least"):
            rk.intention_to_treat(frame, outcome_col="cured", cluster_col="obligor")

    def test_two_obligors_in_each_arm_are_enough(self):
        frame = two_arms((5, 5), (3, 7)).assign(obligor=np.repeat(list("ABCD"), 5))
        assert rk.intention_to_treat(frame, outcome_col="cured", cluster_col="obligor").standard_error > 0

    @pytest.mark.parametrize(
        ("treated", "control", "ratio"),
        [((10, 0), (5, 5), 2.0), ((5, 5), (10, 0), 0.5), ((0, 10), (5, 5), 0.0), ((10, 0), (10, 0), 1.0)],
    )
    def test_a_ratio_needs_the_outcome_in_the_control_only(self, treated, control, ratio):
        found = rk.intention_to_treat(two_arms(treated, control), outcome_col="cured")
        row = found.measures.set_index("measure").loc["risk_ratio"]
        assert row["effect"] == ratio
        assert row["lower"] <= ratio < row["upper"]
        swapped = rk.intention_to_treat(two_arms(treated, control), outcome_col="cured", control="visit")
        turned = swapped.measures.set_index("measure").loc["risk_ratio"]
        if ratio == 0:  # the control of the swapped comparison has none
            assert turned[["effect", "lower", "upper"]].isna().all()
        else:
            assert turned["upper"] == pytest.approx(1 / row["lower"])

    def test_swapping_the_arms_turns_the_sign(self):
        one = rk.intention_to_treat(two_arms(), outcome_col="cured")
        other = rk.intention_to_treat(two_arms(), outcome_col="cured", control="visit")
        assert (other.effect, other.lower) == pytest.approx((-one.effect, -one.upper))

    def test_units_are_compared_or_counted_as_left_out(self):
        frame = pd.concat([two_arms(), two_arms((5, 5), (0, 0)).replace({"visit": "letter"})], ignore_index=True)
        frame["is_followed"] = np.arange(len(frame)) % 5 > 0
        found = rk.intention_to_treat(frame, outcome_col="cured", treated="visit", followed_col="is_followed")
        assert found.n_treated + found.n_control + found.exclusions["n_units"].sum() == len(frame)

    def test_flags_that_are_text_are_refused_not_taken_for_true(self):
        frame = two_arms().assign(is_followed="False")
        with pytest.raises(rk.ContractError, match="is_followed must be True or False"):
            rk.intention_to_treat(frame, outcome_col="cured", followed_col="is_followed")

    def test_all_faults_are_listed_at_once(self):
        columns = {"obligor": np.arange(150), "is_followed": True, "weight": 1.0}
        frame = two_arms().assign(**columns).astype({"obligor": object, "cured": object, "is_followed": object})
        frame.loc[0, "obligor"], frame.loc[1, "cured"] = None, "yes"
        frame.loc[2, "is_followed"], frame.loc[3, "weight"] = None, 0.0
        named = {"cluster_col": "obligor", "followed_col": "is_followed", "weights_col": "weight"}
        with pytest.raises(rk.ContractError, match=r"(?s)obligor.*is_followed.*weight.*cured") as caught:
            rk.intention_to_treat(frame, outcome_col="cured", **named)
        assert [violation.first_keys for violation in caught.value.violations] == [
            ("row 0",),
            ("row 2",),
            ("row 3",),
            ("row 1",),
        ]

    @pytest.mark.parametrize("kind", ["rule", "discretion"])
    def test_arms_that_were_not_drawn_by_lot_are_refused(self, kind):
        frame = two_arms()
        frame.loc[[2, 9], "assignment"] = kind
        with pytest.raises(rk.UnsoundComparisonError, match=rf"2 {kind} of 150 units"):
            rk.intention_to_treat(frame, outcome_col="cured")

    def test_nobody_cured_in_either_arm_has_an_interval_and_no_finding(self):
        found = rk.intention_to_treat(two_arms((0, 40), (0, 50)), outcome_col="cured")
        assert (found.effect, found.p_value) == (0.0, 1.0)
        assert found.lower < 0 < found.upper

    def test_a_split_that_chance_does_not_explain_is_cautioned(self):
        lopsided = two_arms((60, 60), (20, 20))
        found = rk.intention_to_treat(lopsided, outcome_col="cured", treated_share=0.5)
        assert any("faulty" in caution for caution in found.cautions)
        fair = rk.intention_to_treat(two_arms((40, 40), (40, 42)), outcome_col="cured", treated_share=0.5)
        assert not any("faulty" in caution for caution in fair.cautions)

    def test_an_effect_is_json_and_speaks(self):
        found = rk.intention_to_treat(two_arms(), outcome_col="cured")
        assert json.loads(json.dumps(found.to_record()))["effect"] == found.effect
        assert "visit against control" in found.summary()
        assert "<table" in found._repr_html_()


class TestBalance:
    def test_standardised_differences_by_hand(self):
        # visit: 1, 3 (mean 2, variance 2); control: 2, 6 (mean 4, variance 8): -2 / sqrt(5).
        frame = pd.DataFrame(
            {"arm": ["visit"] * 2 + ["control"] * 2, "ltv_ratio": [1, 3, 2, 6], "product": list("aaab")}
        )
        table = rk.balance_table(frame, columns=["ltv_ratio", "product"]).set_index("covariate")
        assert table.loc["ltv_ratio", "standardised_difference"] == pytest.approx(-2 / np.sqrt(5))
        assert table.loc["product: b", ["treated", "control"]].tolist() == [0.0, 0.5]

    def test_a_difference_without_any_spread_is_infinite_and_keeps_its_sign(self):
        frame = pd.DataFrame({"arm": ["visit"] * 2 + ["control"] * 2, "ltv_ratio": [1, 1, 2, 2]})
        assert rk.balance_table(frame, columns=["ltv_ratio"])["standardised_difference"].item() == -np.inf
        swapped = rk.balance_table(frame, columns=["ltv_ratio"], control="visit")
        assert swapped["standardised_difference"].item() == np.inf

    @pytest.mark.parametrize("weight", [np.nan, 0.0, -1.0, np.inf, "two"])
    def test_faults_of_weights_arms_and_columns_are_listed_at_once(self, weight):
        frame = pd.DataFrame({"arm": ["visit"] * 3 + ["control"] * 3, "ltv_ratio": [1.0, 3, 2, 6, 4, np.nan]})
        frame["weight"] = pd.Series([1.0, weight, 1, 1, 1, 1], dtype=object)
        frame.loc[0, "arm"] = None
        with pytest.raises(rk.ContractError) as caught:
            rk.balance_table(frame, columns=["ltv_ratio"], weights_col="weight")
        rules = {violation.rule: violation.first_keys for violation in caught.value.violations}
        assert rules == {
            "arm must not be missing": ("row 0",),
            "weight must be a number above 0": ("row 1",),
            "ltv_ratio must not be missing": ("row 5",),
        }

    def test_an_arm_of_one_unit_is_refused(self):
        frame = pd.DataFrame({"arm": ["visit", "control", "control"], "ltv_ratio": [1.0, 2.0, 3.0]})
        with pytest.raises(rk.InsufficientDataError, match="visit has 1 units"):
            rk.balance_table(frame, columns=["ltv_ratio"])

    def test_outcomes_are_no_baseline(self):
        with pytest.raises(rk.RefusedColumnError, match="recovery"):
            rk.balance_table(two_arms().assign(recovery_amount=1.0), columns=["recovery_amount"])


class TestSequentialLooks:
    def test_boundaries_of_four_looks_are_the_published_ones(self):
        # SeqBounds.jl, README (github.com/PharmCat/SeqBounds.jl): one-sided 5 %, O'Brien-Fleming spending.
        found = rk.sequential_boundaries([0.25, 0.5, 0.75, 1.0], alpha=0.10)
        assert found["z_bound"].tolist() == pytest.approx([3.74955, 2.53993, 2.01604, 1.72014], abs=GRID)
        assert (found["alpha_spent"] / 2).tolist() == pytest.approx([8.85754e-5, 0.0055746, 0.0236251, 0.05], rel=1e-5)

    def test_boundaries_of_five_looks_are_those_of_the_fortran_program(self):
        # Reboussin, DeMets, Kim & Lan (2000), Controlled Clinical Trials 21:190-207, two-sided 5 %; the numbers are
        # known from memory of the program's output, and proved independently by the next test.
        looks = [0.2, 0.4, 0.6, 0.8, 1.0]
        fleming = rk.sequential_boundaries(looks)["z_bound"].tolist()
        pocock = rk.sequential_boundaries(looks, spending="pocock")["z_bound"].tolist()
        assert fleming == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=GRID)
        assert pocock == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=GRID)

    @pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
    def test_looks_together_err_as_often_as_planned_by_another_integration(self, spending):
        looks = np.array([0.3, 0.55, 1.0])
        bounds = rk.sequential_boundaries(looks, spending=spending)["z_bound"].to_numpy()
        cov = np.sqrt(np.minimum.outer(looks, looks) / np.maximum.outer(looks, looks))
        inside = multivariate_normal(cov=cov).cdf(bounds, lower_limit=-bounds, rng=np.random.default_rng(1))
        assert 1 - inside == pytest.approx(0.05, abs=MONTE_CARLO)

    def test_one_look_at_the_end_is_a_single_test(self):
        assert rk.sequential_boundaries([1.0])["z_bound"].item() == pytest.approx(1.959964, abs=1e-6)

    @pytest.mark.parametrize("first", [0.003, 0.001, 1e-6])
    def test_a_very_early_look_spends_nothing_and_leaves_a_single_test(self, first):
        found = rk.sequential_boundaries([first, 1.0])["z_bound"]
        assert found.tolist() == [pytest.approx(30.0), pytest.approx(1.959964, abs=1e-5)]

    def test_daily_looks_over_a_year_hold_the_error_that_was_planned(self):
        # 20,000 experiments without effect; 4 standard errors of 5 % are 0.0062.
        days = np.arange(1, 366)
        bounds = rk.sequential_boundaries(days / 365)["z_bound"].to_numpy()
        z = np.cumsum(np.random.default_rng(7).normal(size=(20_000, 365)), axis=1) / np.sqrt(days)
        assert np.all(np.diff(bounds) <= 0)
        assert np.mean((np.abs(z) >= bounds).any(axis=1)) == pytest.approx(0.05, abs=0.0062)

    @pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
    def test_type_one_error_of_five_looks_is_held_while_naive_peeking_errs_in_14_percent(self, spending):
        # 40,000 experiments without effect as sums of independent normal increments; 4 standard errors are 0.0044.
        rng = np.random.default_rng(6)
        z = np.cumsum(rng.normal(size=(40_000, 5)), axis=1) / np.sqrt(np.arange(1, 6))
        bounds = rk.sequential_boundaries(np.arange(1, 6) / 5, spending=spending)["z_bound"].to_numpy()
        assert np.mean((np.abs(z) >= bounds).any(axis=1)) == pytest.approx(0.05, abs=0.0044)
        assert np.mean((np.abs(z) >= 1.96).any(axis=1)) == pytest.approx(0.142, abs=0.008)

    def test_a_look_before_the_end_without_a_plan_is_refused(self):
        with pytest.raises(rk.UnsoundComparisonError, match="150 of 600 planned units"):
            rk.intention_to_treat(two_arms(), outcome_col="cured", planned_n_units=600)

    def test_no_plan_at_all_is_cautioned(self):
        found = rk.intention_to_treat(two_arms(), outcome_col="cured")
        assert "planned_n_units" in found.cautions[0]

    def test_a_planned_look_needs_more_than_a_single_test(self):
        whole = rk.intention_to_treat(two_arms(), outcome_col="cured", planned_n_units=150)
        options = {"outcome_col": "cured", "planned_n_units": 300, "spending": "obrien_fleming"}
        look = rk.intention_to_treat(two_arms(), **options)
        assert look.p_value == whole.p_value
        assert look.lower < 0 < whole.lower
        bound = rk.sequential_boundaries([0.5])["nominal_alpha"].item()
        assert look.level == pytest.approx(1 - bound)

    def test_earlier_looks_count(self):
        options = {"outcome_col": "cured", "planned_n_units": 150, "spending": "pocock"}
        only = rk.intention_to_treat(two_arms(), **options)
        third = rk.intention_to_treat(two_arms(), **options, earlier_looks=(50, 100))
        assert only.level == pytest.approx(0.95)
        assert third.level > 0.95
        with pytest.raises(rk.UnsoundComparisonError, match="earlier looks"):
            rk.intention_to_treat(two_arms(), outcome_col="cured", planned_n_units=150, earlier_looks=(50,))

    @pytest.mark.parametrize("looks", [[], [0.5, 0.4], [0.0, 1.0], [0.5, 1.1]])
    def test_looks_that_do_not_increase_are_refused(self, looks):
        with pytest.raises(ValueError, match="looks must increase"):
            rk.sequential_boundaries(looks)


class TestExperimentDesign:
    def test_sample_size_has_the_power_asked_for_and_one_less_has_not(self):
        design = rk.ExperimentDesign(control_rate=0.3)
        n = design.sample_size(0.05)
        assert design.power(0.05, n) >= 0.8 > design.power(0.05, n - 2)

    def test_agrees_with_the_arcsine_formula_up_to_its_approximation(self):
        n = NormalIndPower().solve_power(proportion_effectsize(0.35, 0.30), power=0.8, alpha=0.05) * 2
        assert rk.ExperimentDesign(control_rate=0.3).sample_size(0.05) == pytest.approx(n, rel=0.005)

    def test_by_hand_with_the_textbook_formula(self):
        # Fleiss: n = (1.959964 sqrt(2 * .325 * .675) + .841621 sqrt(.35 * .65 + .3 * .7))^2 / .05^2 = 1376.3 per arm.
        n = (1.959964 * np.sqrt(2 * 0.325 * 0.675) + 0.841621 * np.sqrt(0.35 * 0.65 + 0.3 * 0.7)) ** 2 / 0.05**2
        assert rk.ExperimentDesign(control_rate=0.3).sample_size(0.05) == pytest.approx(2 * n, abs=2)

    def test_minimum_detectable_difference_is_the_inverse_of_the_sample_size(self):
        design = rk.ExperimentDesign(control_rate=0.4, treated_share=0.3)
        assert design.minimum_detectable_difference(design.sample_size(0.08)) == pytest.approx(0.08, rel=1e-3)

    def test_clusters_enlarge_the_sample_by_the_design_effect(self):
        plain = rk.ExperimentDesign(control_rate=0.3).sample_size(0.05)
        clustered = rk.ExperimentDesign(control_rate=0.3, cluster_size=3, intracluster_correlation=0.2)
        assert clustered.sample_size(0.05) == pytest.approx(1.4 * plain, rel=0.002)

    def test_power_for_means_is_simulated_power(self):
        design = rk.ExperimentDesign(control_rate=0.3, outcome_sd=0.4)
        rng = np.random.default_rng(2)
        a, b = rng.normal(0.4, 0.4, (4000, 150)), rng.normal(0.3, 0.4, (4000, 150))
        simulated = np.mean(ttest_ind(a, b, axis=1).pvalue < 0.05)
        assert design.power(0.1, 300) == pytest.approx(simulated, abs=0.03)  # four binomial standard errors

    def test_power_rises_with_size(self):
        curve = rk.ExperimentDesign(control_rate=0.3).power_curve(0.05, [200, 800, 3200])
        assert curve["power"].is_monotonic_increasing

    def test_choices_that_are_not_allowed_are_listed_together(self):
        with pytest.raises(ValueError, match=r"control_rate.*alpha.*cluster_size"):
            rk.ExperimentDesign(control_rate=1.2, alpha=0, cluster_size=0.5)


class TestCashWithinHorizon:
    def test_cash_counts_from_the_day_after_the_start_to_the_last_day_inclusive(self):
        start = pd.Timestamp("2026-01-10")
        units = pd.DataFrame({"facility_id": ["A"], "assigned_date": [start], "ead": [100.0]})
        days = [-1, 0, 1, 30, 31]
        flows = pd.DataFrame({"facility_id": "A", "amount": [1.0, 2.0, 4.0, 8.01, 16.0]})
        flows["cash_flow_date"] = [start + pd.Timedelta(days=d) for d in days]
        found = rk.cash_within_horizon(units, flows, horizon_days=30, reporting_date="2026-02-09", base_col="ead")
        assert found["cash_amount"].item() == 12.01  # 4.00 + 8.01
        assert found["cash_share"].item() == pytest.approx(0.1201)

    def test_the_parts_add_up_to_the_cent(self):
        rng = np.random.default_rng(3)
        units = pd.DataFrame({"facility_id": [f"F{i}" for i in range(50)], "assigned_date": pd.Timestamp("2025-01-01")})
        flows = pd.DataFrame(
            {"facility_id": rng.choice(units.facility_id, 999), "amount": rng.integers(1, 9999, 999) / 100}
        )
        flows["cash_flow_date"] = pd.Timestamp("2025-01-02") + pd.to_timedelta(rng.integers(0, 90, 999), unit="D")
        found = rk.cash_within_horizon(units, flows, horizon_days=365, reporting_date="2026-06-30")
        assert round(100 * found["cash_amount"].sum()) == round(100 * flows["amount"].sum())

    def test_a_unit_that_was_not_followed_has_no_outcome_even_if_it_paid(self):
        units = pd.DataFrame({"facility_id": ["A", "B"], "assigned_date": pd.to_datetime(["2026-01-01", "2026-01-02"])})
        flows = pd.DataFrame({"facility_id": ["B"], "amount": [5.0], "cash_flow_date": pd.to_datetime(["2026-01-03"])})
        found = rk.cash_within_horizon(units, flows, horizon_days=30, reporting_date="2026-01-31")
        assert found["is_followed"].tolist() == [True, False]
        assert found["cash_amount"].isna().tolist() == [False, True]

    def test_all_faults_are_listed(self):
        units = pd.DataFrame({"facility_id": ["A", "A"], "assigned_date": [pd.NaT, pd.NaT], "ead": [0.0, 1.0]})
        with pytest.raises(rk.ContractError, match=r"(?s)assigned_date.*stand twice.*above 0"):
            rk.cash_within_horizon(units, pd.DataFrame(), horizon_days=1, reporting_date="2026-01-01", base_col="ead")

    def test_faults_of_units_and_cash_flows_are_told_together(self):
        units = pd.DataFrame({"facility_id": ["A"], "assigned_date": pd.to_datetime(["2026-01-01"]), "ead": [0.0]})
        flows = pd.DataFrame(
            {"facility_id": "A", "amount": ["ten", 5.0], "cash_flow_date": [pd.Timestamp("2026-01-03"), pd.NaT]}
        )
        with pytest.raises(rk.ContractError) as error:
            rk.cash_within_horizon(units, flows, horizon_days=1, reporting_date="2026-01-31", base_col="ead")
        assert [(v.table, v.first_keys) for v in error.value.violations] == [
            ("units", ("row 0",)),
            ("cash_flows", ("row 1",)),
            ("cash_flows", ("row 0",)),
        ]


class TestEventWithinHorizon:
    FRAME = pd.DataFrame(
        {
            "months": [2, 4, 5, 6, 8, 8],
            "outcome": ["cured", "open", "sold", "open", "cured", "open"],
            "follow_up": [9, 4, 9, 6, 9, 8],
        }
    )
    CHOICES = {"duration_col": "months", "outcome_col": "outcome", "outcome": "cured", "horizon": 6}  # noqa: RUF012

    def test_only_units_followed_so_long_count_whatever_became_of_them(self):
        found = rk.event_within_horizon(self.FRAME, **self.CHOICES, follow_up_col="follow_up")
        assert found["is_followed"].tolist() == [True, False, True, True, True, True]
        assert found["had_event"].dropna().tolist() == [1, 0, 0, 0, 0]

    def test_weights_for_censoring_by_hand(self):
        # Horizon 6; the only censoring before it is at 4, among the five loans still open then: G just before 5 and 6
        # is 4/5, before 2 it is 1. Known: 2 (weight 1), 5, 6, 8, 8 (weight 1.25 each); together 6, all loans.
        found = rk.event_within_horizon(self.FRAME, **self.CHOICES, follow_up="ipcw")
        assert found["horizon_weight"].dropna().tolist() == pytest.approx([1, 1.25, 1.25, 1.25, 1.25])
        assert found["horizon_weight"].sum() == pytest.approx(len(self.FRAME))

    def test_weighted_share_is_the_cumulative_incidence(self):
        rng = np.random.default_rng(4)
        months, censored = rng.integers(1, 20, 500), rng.integers(1, 25, 500)
        outcome = np.where(months <= censored, rng.choice(["cured", "sold"], 500), "open")
        frame = pd.DataFrame({"months": np.minimum(months, censored), "outcome": outcome})
        choices = {"duration_col": "months", "outcome_col": "outcome"}
        found = rk.event_within_horizon(frame, **choices, outcome="cured", horizon=10, follow_up="ipcw").dropna()
        weighted = (found["had_event"] * found["horizon_weight"]).sum() / len(frame)
        incidence = rk.aalen_johansen(frame, **choices)["cured"](10).item()
        assert weighted == pytest.approx(incidence, rel=LINEAR_ALGEBRA)

    def test_keeping_young_units_that_already_cured_is_not_possible(self):
        with pytest.raises(ValueError, match="follow_up_col"):
            rk.event_within_horizon(self.FRAME, **self.CHOICES)


class TestIncidenceEffect:
    def frame(self):
        arm = ["visit"] * 4 + ["control"] * 4
        outcome = ["cured", "cured", "sold", "open", "cured", "sold", "sold", "open"]
        return pd.DataFrame({"arm": arm, "months": [1, 2, 3, 9] * 2, "outcome": outcome, "assignment": "random"})

    def test_by_hand_without_censoring_before_the_horizon(self):
        # Cured by month 6: 2 of 4 against 1 of 4; sold 1 of 4 against 2 of 4.
        choices = {"duration_col": "months", "outcome_col": "outcome", "outcome": "cured", "horizon": 6}
        found = rk.incidence_effect(self.frame(), **choices)
        assert found.effect.effect == pytest.approx(0.25)
        assert found.by_outcome.set_index("outcome")["difference"].to_dict() == pytest.approx(
            {"cured": 0.25, "sold": -0.25}
        )

    def test_gray_test_is_that_of_the_estimators(self):
        choices = {"duration_col": "months", "outcome_col": "outcome"}
        found = rk.incidence_effect(self.frame(), **choices, outcome="cured", horizon=6)
        test = rk.gray_test(self.frame(), **choices, by="arm")["cured"]
        assert found.by_outcome.set_index("outcome").loc["cured", "gray_p_value"] == test.p_value

    def test_an_outcome_that_cannot_be_tested_does_not_cost_the_answer(self):
        # Sold in month 20, when only the visited were still followed. Cured by month 3: 2 of 4 against 1 of 4.
        frame = self.frame().assign(months=[1, 2, 3, 20, 1, 3, 3, 9])
        frame["outcome"] = ["cured", "cured", "open", "sold", "cured", "open", "open", "open"]
        choices = {"duration_col": "months", "outcome_col": "outcome", "outcome": "cured", "horizon": 3}
        found = rk.incidence_effect(frame, **choices)
        assert found.effect.effect == pytest.approx(0.25)
        p_values = found.by_outcome.set_index("outcome")["gray_p_value"]
        assert 0 < p_values["cured"] < 1
        assert np.isnan(p_values["sold"])
        nobody_together = frame.assign(months=[20] * 4 + [9] * 4, outcome=["cured"] * 4 + ["open"] * 4)
        found = rk.incidence_effect(nobody_together, **choices)
        assert found.by_outcome["gray_p_value"].isna().all()

    def test_units_without_an_arm_are_no_units_of_another_arm(self):
        frame = self.frame()
        frame.loc[1, "arm"], frame.loc[2, "outcome"] = None, None
        choices = {"duration_col": "months", "outcome_col": "outcome", "outcome": "cured", "horizon": 6}
        with pytest.raises(rk.ContractError, match=r"(?s)arm must not be missing.*outcome must not be missing"):
            rk.incidence_effect(frame, **choices)

    def test_a_horizon_that_an_arm_did_not_reach_is_refused(self):
        with pytest.raises(rk.InsufficientDataError, match="followed only"):
            rk.incidence_effect(self.frame(), duration_col="months", outcome_col="outcome", outcome="cured", horizon=12)

    def test_arms_that_were_not_drawn_by_lot_are_refused(self):
        choices = {"duration_col": "months", "outcome_col": "outcome", "outcome": "cured", "horizon": 6}
        with pytest.raises(rk.UnsoundComparisonError, match="8 rule of 8"):
            rk.incidence_effect(self.frame().assign(assignment="rule"), **choices)


#: 400 seeds: a coverage of 95 % is seen between 92.5 and 97.5 % (98 % of the time).
N_SEEDS, COVERAGE = 400, (0.925, 0.975)


def covered(estimate, truth):
    found = [estimate(np.random.default_rng(seed)) for seed in range(N_SEEDS)]
    effects = np.array([effect.effect for effect in found])
    assert abs(effects.mean() - truth) < 3 * effects.std() / np.sqrt(N_SEEDS)
    return np.mean([effect.lower <= truth <= effect.upper for effect in found])


def logged(rng, n=500, *, treated=0.08, control=0.05):
    """Return randomised loans cured at two hazards a month, sold at 0.03, followed for 6 to 24 months."""
    arm = rng.permutation(np.tile(["visit", "control"], n // 2))
    cured = rng.exponential(1 / np.where(arm == "visit", treated, control))
    sold, follow_up = rng.exponential(1 / 0.03, n), rng.uniform(6, 24, n)
    end = np.minimum.reduce([cured, sold, follow_up])
    outcome = np.select([end == cured, end == sold], ["cured", "sold"], "open")
    return pd.DataFrame({"arm": arm, "months": end, "outcome": outcome, "follow_up": follow_up, "assignment": "random"})


def true_incidence(hazard, horizon=12, other=0.03):
    return hazard / (hazard + other) * (1 - np.exp(-(hazard + other) * horizon))


TRUE_DIFFERENCE = true_incidence(0.08) - true_incidence(0.05)
CURED = {"duration_col": "months", "outcome_col": "outcome", "outcome": "cured", "horizon": 12}


def by_shares(rng, **choices):
    frame = pd.DataFrame({"arm": np.repeat(["visit", "control"], [90, 60])})
    frame["cured"] = (rng.random(150) < np.where(frame.arm == "visit", 0.25, 0.10)) * 1.0
    return rk.intention_to_treat(frame, outcome_col="cured", assignment_col=None, **choices)


def by_cash(rng):
    return rk.intention_to_treat(cash(rng.integers(1 << 30), 300), outcome_col="paid_rate", cluster_col="obligor")


def by_incidence(rng):
    return rk.incidence_effect(logged(rng), **CURED).effect


def by_followed(rng):
    frame = rk.event_within_horizon(logged(rng), **CURED, follow_up_col="follow_up")
    return rk.intention_to_treat(frame, outcome_col="had_event", followed_col="is_followed")


def by_weights(rng):
    frame = rk.event_within_horizon(logged(rng), **CURED, follow_up="ipcw", arm_col="arm")
    columns = {"followed_col": "is_followed", "weights_col": "horizon_weight"}
    return rk.intention_to_treat(frame, outcome_col="had_event", **columns)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimate", "truth"),
    [
        (by_shares, 0.15),
        (by_cash, 0.10),
        (by_incidence, TRUE_DIFFERENCE),
        (by_followed, TRUE_DIFFERENCE),
        (by_weights, TRUE_DIFFERENCE),
    ],
)
def test_randomised_effects_cover_their_truth(estimate, truth):
    assert COVERAGE[0] <= covered(estimate, truth) <= COVERAGE[1]


@pytest.mark.slow
def test_score_interval_covers_too():
    assert COVERAGE[0] <= covered(lambda rng: by_shares(rng, interval="score"), 0.15) <= COVERAGE[1]
