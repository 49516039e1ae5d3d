"""Cox regression: by hand, against R, against lifelines, and what must always hold."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from scipy.optimize import brentq
from statsmodels.duration.hazard_regression import PHReg

from recoverykit.errors import ContractError, ConvergenceError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators._cox_kernels import score_residuals
from recoverykit.estimators.cox import CoxModel

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE") or Path(__file__).parents[2] / "shared" / "reference")
CONVERGED = 1e-7  # R stops when the log-likelihood changes by less than 1e-9 of itself
EXACT = 1e-10  # the same likelihood reached by the same steps

LOANS = pd.DataFrame(
    {
        "months": [3, 4, 4, 6, 7, 9, 9, 12],
        "cured": [True, True, True, False, True, True, False, False],
        "secured": [1, 1, 0, 1, 0, 1, 0, 0],
        "product": ["card", "auto", "card", "auto", "card", "auto", "card", "auto"],
        "obligor": ["a", "a", "b", "c", "d", "d", "e", "f"],
    }
)
MONTHLY = {"duration_col": "months", "event_col": "cured"}


def simulated(n_rows, seed=1):
    rng = np.random.default_rng(seed)
    ltv, secured = rng.normal(size=n_rows), rng.integers(0, 2, n_rows)
    months = np.ceil(rng.exponential(12 / np.exp(0.5 * secured - 0.4 * ltv))).astype(int)
    censoring = rng.integers(1, 30, n_rows)
    return pd.DataFrame(
        {
            "months": np.minimum(months, censoring),
            "cured": months <= censoring,
            "ltv": ltv,
            "secured": secured,
            "obligor": rng.integers(0, n_rows // 2, n_rows),
        }
    )


@pytest.fixture(scope="module")
def expected():
    source = REFERENCE / "survival" / "expected" / "survival_regressions.csv"
    if not source.is_file():
        pytest.skip(f"no reference data at {source}; set RECOVERYKIT_REFERENCE")
    return pd.read_csv(source).set_index("case")


def read(name):
    return pd.read_csv(REFERENCE / "survival" / name)


def assert_matches(fit, expected):
    expected = expected.set_index("param")
    np.testing.assert_allclose(fit.params[expected.index], expected["coef"], rtol=0, atol=CONVERGED)
    np.testing.assert_allclose(fit.standard_errors[expected.index], expected["se"], rtol=0, atol=CONVERGED)
    assert fit.loglik == pytest.approx(expected["loglik"].iloc[0], abs=1e-6)


class TestByHand:
    def test_eight_loans_solve_efrons_equation(self):
        # Risk sets (secured s, others o) before each cure, x = hazard ratio:
        #   month 3: 4s 4o, secured cures; month 4: 3s 4o, one of each (second step: half of each already gone);
        #   month 7: 1s 3o, other cures; month 9: 1s 2o, secured cures.
        def score(b):
            x = np.exp(b)
            shares = [4 * x / (4 * x + 4), 3 * x / (3 * x + 4), 2.5 * x / (2.5 * x + 3.5), x / (x + 3), x / (x + 2)]
            return 3 - sum(shares)  # three of the five cures are secured

        fit = CoxModel(formula="~ secured").fit(LOANS, **MONTHLY)
        assert fit.params["secured"] == pytest.approx(brentq(score, -5, 5), abs=CONVERGED)
        assert (fit.n_episodes, fit.n_events) == (8, 5)
        # Without covariates: -log(8 * 7 * 6 * 4 * 3)
        assert fit.loglik_null == pytest.approx(-np.log(8 * 7 * 6 * 4 * 3), abs=CONVERGED)

    def test_a_cure_in_month_0_counts(self):
        earlier = CoxModel(formula="~ secured").fit(LOANS.assign(months=LOANS["months"] - 3), **MONTHLY)
        assert earlier.params["secured"] == pytest.approx(
            CoxModel(formula="~ secured").fit(LOANS, **MONTHLY).params["secured"], abs=EXACT
        )

    def test_a_cure_in_month_0_counts_beside_late_entries(self):
        frame = LOANS.assign(months=LOANS["months"] - 3, entry=[0, 0, 0, 1, 2, 0, 0, 0])
        fit = CoxModel(formula="~ secured").fit(frame, entry_col="entry", **MONTHLY)

        # At risk, secured and others: month 0: 3s 3o; month 1: 2s 3o (entries 1 and 2 come after); month 4: 1s 3o;
        # month 6: 1s 2o.
        def score(b):
            x = np.exp(b)
            shares = [3 * x / (3 * x + 3), 2 * x / (2 * x + 3), 1.5 * x / (1.5 * x + 2.5), x / (x + 3), x / (x + 2)]
            return 3 - sum(shares)

        assert fit.params["secured"] == pytest.approx(brentq(score, -5, 5), abs=CONVERGED)

    def test_a_level_of_a_category_is_compared_with_the_first(self):
        fit = CoxModel(formula="~ product").fit(LOANS, **MONTHLY)
        dummy = CoxModel(formula="~ is_card").fit(LOANS.assign(is_card=(LOANS["product"] == "card") * 1.0), **MONTHLY)
        assert list(fit.params.index) == ["product[T.card]"]
        assert fit.params.iloc[0] == pytest.approx(dummy.params.iloc[0], abs=EXACT)


class TestAgainstR:
    """R survival 3.x ``coxph``, case H of the reference folder."""

    def test_plain_fit_with_ties(self, expected):
        formula = "~ fin + age + race + wexp + mar + paro + prio"
        fit = CoxModel(formula=formula).fit(read("rossi_lifelines.csv"), duration_col="week", event_col="arrest")
        assert_matches(fit, expected.loc["rossi Cox efron"])

    def test_ties_by_breslows_rule(self, expected):
        formula = "~ fin + age + race + wexp + mar + paro + prio"
        model = CoxModel(formula=formula, ties="breslow")
        fit = model.fit(read("rossi_lifelines.csv"), duration_col="week", event_col="arrest")
        assert_matches(fit, expected.loc["rossi Cox breslow"])

    def test_left_truncation(self, expected):
        lung = read("lung_entry.csv")
        fit = CoxModel(formula="~ age + sex").fit(lung, duration_col="time", event_col="status", entry_col="entry")
        assert_matches(fit, expected.loc["lung left-trunc entry=min(time-1,floor(age/2)) Cox efron age+sex"])

    def test_sampling_weights_with_robust_errors_that_keep_the_ties(self, expected):
        fit = CoxModel(formula="~ fin + age + prio").fit(
            read("rossi_weighted.csv"), duration_col="week", event_col="arrest", weights_col="w", weights_are="sampling"
        )
        assert_matches(fit, expected.loc["rossi Cox efron weights w=1+(row%%3) robust"])

    def test_errors_robust_to_clusters(self, expected):
        lung = read("lung_entry.csv")
        lung = lung[lung["inst"].notna()]
        options = {"duration_col": "time", "event_col": "status", "cluster_col": "inst"}
        fit = CoxModel(formula="~ age + sex").fit(lung, **options)
        assert_matches(fit, expected.loc["lung Cox efron age+sex cluster(inst) robust"])

    @pytest.mark.parametrize(("code", "name"), [(1, "pcm"), (2, "death")])
    def test_hazard_of_one_competing_outcome(self, expected, code, name):
        frame = read("mgus2_cr.csv").assign(ended=lambda f: f["event"] == code, sexM=lambda f: (f["sex"] == "M") * 1)
        fit = CoxModel(formula="~ age + sexM").fit(frame, duration_col="etime", event_col="ended")
        assert_matches(fit, expected.loc[f"mgus2 cause-specific Cox {name} (efron)"])


class TestBreslow:
    def test_eight_loans_solve_breslows_equation(self):
        # As by hand below, but at the tie in month 4 both cures meet the whole risk set of 3s 4o, twice 3x / (3x + 4).
        def score(b):
            x = np.exp(b)
            shares = [4 * x / (4 * x + 4), 2 * 3 * x / (3 * x + 4), x / (x + 3), x / (x + 2)]
            return 3 - sum(shares)

        fit = CoxModel(formula="~ secured", ties="breslow").fit(LOANS, **MONTHLY)
        assert fit.params["secured"] == pytest.approx(brentq(score, -5, 5), abs=CONVERGED)
        # Without covariates: -log(8 * 7 * 7 * 4 * 3)
        assert fit.loglik_null == pytest.approx(-np.log(8 * 7 * 7 * 4 * 3), abs=CONVERGED)

    def test_it_is_that_of_statsmodels_with_late_entries(self):
        frame = simulated(200).assign(entry=lambda f: np.where(f.index % 4 == 0, f["months"] // 2, 0))
        fit = CoxModel(formula="~ ltv + secured", ties="breslow").fit(frame, entry_col="entry", **MONTHLY)
        design = frame[["ltv", "secured"]].to_numpy(float)
        entry = frame["entry"] + 0.5  # it takes a loan for at risk in its month of entry already
        peer = PHReg(frame["months"], design, status=frame["cured"], entry=entry, ties="breslow").fit()
        np.testing.assert_allclose(fit.params, peer.params, atol=CONVERGED)
        np.testing.assert_allclose(fit.standard_errors, peer.bse, atol=CONVERGED)

    def test_a_row_of_weight_two_is_the_row_twice_for_robust_errors_too(self):
        frame = simulated(200).assign(n=lambda f: 1 + f.index % 3)
        repeated = frame.loc[frame.index.repeat(frame["n"])].reset_index(drop=True)
        model, options = CoxModel(formula="~ ltv + secured", ties="breslow"), {**MONTHLY, "cluster_col": "obligor"}
        weighted, twice = model.fit(frame, weights_col="n", **options), model.fit(repeated, **options)
        np.testing.assert_allclose(weighted.params, twice.params, atol=CONVERGED)
        np.testing.assert_allclose(weighted.cov, twice.cov, atol=CONVERGED)

    def test_an_unknown_rule_is_refused(self):
        with pytest.raises(ValueError, match="ties is 'exact'; allowed are 'efron', 'breslow'"):
            CoxModel(formula="~ ltv", ties="exact")


class TestIdentities:
    def test_a_row_of_weight_two_is_the_row_twice_tied_events_included(self):
        frame = simulated(200).assign(n=lambda f: 1 + f.index % 3)
        frame["entry"] = np.where(frame.index % 4 == 0, frame["months"] // 2, 0)
        repeated = frame.loc[frame.index.repeat(frame["n"])].reset_index(drop=True)
        options = {**MONTHLY, "entry_col": "entry", "cluster_col": "obligor"}
        model = CoxModel(formula="~ ltv + secured")
        weighted, twice = model.fit(frame, weights_col="n", **options), model.fit(repeated, **options)
        np.testing.assert_allclose(weighted.params, twice.params, atol=EXACT)
        np.testing.assert_allclose(weighted.cov, twice.cov, atol=EXACT)
        assert weighted.loglik == pytest.approx(twice.loglik, abs=1e-7)  # a sum of 400 logs
        assert weighted.n_events == twice.n_events

    def test_the_score_is_zero_at_the_estimate(self):
        frame = simulated(300)
        fit = CoxModel(formula="~ ltv + secured").fit(frame, **MONTHLY)
        residuals = score_residuals(
            design=frame[["ltv", "secured"]].to_numpy(float),
            durations=frame["months"].to_numpy(float),
            entries=np.full(300, -1.0),
            is_event=frame["cured"].to_numpy(),
            weights=np.ones(300),
            coefficients=fit.params.to_numpy(),
        )
        np.testing.assert_allclose(
            residuals.sum(axis=0), 0.0, atol=1e-6
        )  # information of some hundreds x steps of 1e-9

    def test_the_score_is_the_gradient_of_lifelines_log_likelihood(self):
        frame = simulated(80)
        at, step = np.array([0.3, -0.2]), 1e-5
        fitter = CoxPHFitter().fit(frame[["months", "cured", "ltv", "secured"]], "months", "cured")
        x = frame[["ltv", "secured"]].to_numpy(float)

        def loglik(b):
            total, risk = 0.0, np.exp(x @ b)
            for month in np.unique(frame.loc[frame["cured"], "months"]):
                tied = (frame["months"] == month).to_numpy() & frame["cured"].to_numpy()
                left = risk[(frame["months"] >= month).to_numpy()].sum()
                total += (x[tied] @ b).sum() - sum(
                    np.log(left - k / tied.sum() * risk[tied].sum()) for k in range(tied.sum())
                )
            return total

        assert loglik(fitter.params_.to_numpy()) == pytest.approx(fitter.log_likelihood_, abs=1e-8)
        numeric = [(loglik(at + step * e) - loglik(at - step * e)) / (2 * step) for e in np.eye(2)]
        residuals = score_residuals(
            design=x,
            durations=frame["months"].to_numpy(float),
            entries=np.full(80, -1.0),
            is_event=frame["cured"].to_numpy(),
            weights=np.ones(80),
            coefficients=at,
        )
        np.testing.assert_allclose(residuals.sum(axis=0), numeric, atol=1e-6)  # central differences of step 1e-5

    def test_row_order_and_unit_of_time_do_not_matter(self):
        frame = simulated(200)
        model = CoxModel(formula="~ ltv + secured")
        first = model.fit(frame, cluster_col="obligor", **MONTHLY)
        days = frame.sample(frac=1, random_state=3).assign(months=lambda f: f["months"] * 30.4375)
        second = model.fit(days, cluster_col="obligor", **MONTHLY)
        np.testing.assert_allclose(first.params, second.params, atol=EXACT)
        np.testing.assert_allclose(first.cov, second.cov, atol=EXACT)

    def test_the_same_facility_twice_with_one_obligor_is_no_more_information(self):
        frame = simulated(200).assign(obligor=range(200))
        doubled = pd.concat([frame, frame], ignore_index=True)
        model = CoxModel(formula="~ ltv")
        robust = model.fit(doubled, cluster_col="obligor", **MONTHLY).standard_errors["ltv"]
        naive = model.fit(doubled, **MONTHLY).standard_errors["ltv"]
        assert robust / naive == pytest.approx(np.sqrt(2), rel=0.15)  # a sandwich on 200 clusters is itself uncertain

    def test_the_frame_is_not_changed(self):
        before = LOANS.copy(deep=True)
        CoxModel(formula="~ secured").fit(LOANS, **MONTHLY)
        pd.testing.assert_frame_equal(LOANS, before)

    @pytest.mark.slow
    def test_intervals_cover_the_truth_about_as_often_as_they_say(self):
        hits = np.zeros(2)
        for seed in range(200):
            fit = CoxModel(formula="~ ltv + secured").fit(simulated(1500, seed), **MONTHLY)
            off = np.abs(fit.params - [-0.4, 0.5])
            hits += off < 1.96 * fit.standard_errors
        # 200 trials: 95 % within 4.6 points at three standard errors. Months rounded up pull the ratios a little to 1.
        assert (hits / 200 > 0.90).all()


class TestFarFromTheMiddle:
    """Covariates whose hazards differ by many powers of ten, and weights that are shares."""

    @pytest.mark.parametrize("ties", ["efron", "breslow"])
    def test_the_last_risk_sets_are_not_lost_beside_the_first(self, ties):
        # Hazards spread over exp(-21) ... exp(21): those at risk at the end are far less than a 1e-16th of the first.
        rng = np.random.default_rng(5)
        ltv = rng.normal(size=4000)
        frame = pd.DataFrame({"months": rng.exponential(20 * np.exp(-6 * ltv)), "cured": True, "ltv": ltv})
        fit = CoxModel(formula="~ ltv", ties=ties).fit(frame.assign(row=frame.index), cluster_col="row", **MONTHLY)
        # Without ties, each cure against those that last as long, summed from the longest back.
        ordered = frame.sort_values("months", ascending=False)["ltv"].to_numpy()
        risk = np.exp(ordered * fit.params["ltv"])
        left, moment = np.cumsum(risk), np.cumsum(risk * ordered)
        assert fit.loglik == pytest.approx(float(np.log(risk / left).sum()), rel=EXACT)
        exposed = [np.cumsum((part / left)[::-1])[::-1] for part in (np.ones(len(risk)), moment / left)]
        scores = ordered - moment / left - risk * (ordered * exposed[0] - exposed[1])
        information = np.sum(np.cumsum(risk * ordered**2) / left - (moment / left) ** 2)
        assert fit.standard_errors["ltv"] == pytest.approx(np.sqrt((scores**2).sum()) / information, rel=1e-6)

    def test_one_value_far_out_does_not_stop_efron(self):
        rng = np.random.default_rng(1)
        ltv = rng.normal(size=400)
        ltv[0] = 120.0
        months = np.ceil(rng.exponential(20 * np.exp(-0.6 * np.minimum(ltv, 4))))
        months[0] = 1
        frame = pd.DataFrame({"months": months, "cured": True, "ltv": ltv})
        fit = CoxModel(formula="~ ltv").fit(frame, **MONTHLY)
        residuals = score_residuals(
            design=ltv[:, None],
            durations=months,
            entries=np.full(400, -1.0),
            is_event=np.ones(400, dtype=bool),
            weights=np.ones(400),
            coefficients=fit.params.to_numpy(),
        )
        assert abs(residuals.sum()) * fit.standard_errors["ltv"] < 1e-6

    @pytest.mark.parametrize("ties", ["efron", "breslow"])
    def test_the_level_of_sampling_weights_does_not_matter(self, ties):
        frame = simulated(200).assign(n=lambda f: 1 + f.index % 3, share=lambda f: 1e-6 * f["n"])
        model, options = CoxModel(formula="~ ltv + secured", ties=ties), {**MONTHLY, "weights_are": "sampling"}
        whole, shares = (model.fit(frame, weights_col=name, **options) for name in ("n", "share"))
        np.testing.assert_allclose(whole.params, shares.params, atol=CONVERGED)
        np.testing.assert_allclose(whole.cov, shares.cov, atol=CONVERGED)
        n_cured = frame.loc[frame["cured"], "n"].sum()
        for one, other in ((whole.loglik, shares.loglik), (whole.loglik_null, shares.loglik_null)):
            assert other == pytest.approx(1e-6 * (one - n_cured * np.log(1e-6)), rel=1e-9)


class TestResult:
    def test_hazard_ratios_come_with_interval_and_p_value(self):
        fit = CoxModel(formula="~ ltv + secured").fit(simulated(300), **MONTHLY)
        row = fit.to_frame().set_index("term").loc["ltv"]
        assert row["hazard_ratio"] == pytest.approx(np.exp(fit.params["ltv"]))
        assert row["lower"] == pytest.approx(
            np.exp(fit.params["ltv"] - 1.959964 * fit.standard_errors["ltv"]), rel=1e-6
        )
        assert 0 <= row["p_value"] < 0.05

    def test_summary_names_the_event_and_the_record_is_json(self):
        fit = CoxModel(formula="~ secured").fit(LOANS, cluster_col="obligor", **MONTHLY)
        assert fit.summary().startswith("Hazard of cured in proportion to covariates: 5 events in 8 episodes")
        assert "robust over 6 clusters" in fit.summary()
        assert json.loads(json.dumps(fit.to_record(), allow_nan=False))["terms"][0]["term"] == "secured"
        assert "<table" in fit._repr_html_()

    def test_relative_hazard_is_one_at_the_average(self):
        frame = simulated(300)
        fit = CoxModel(formula="~ ltv").fit(frame, **MONTHLY)
        one = fit.relative_hazard(pd.DataFrame({"ltv": [frame["ltv"].mean(), frame["ltv"].mean() + 1]}))
        np.testing.assert_allclose(one.iloc[0], 1.0, atol=EXACT)
        assert one["value"].iloc[1] == pytest.approx(np.exp(fit.params["ltv"]))

    def test_a_level_that_the_fit_did_not_see_is_refused(self):
        fit = CoxModel(formula="~ product").fit(LOANS, **MONTHLY)
        with pytest.raises(ExtrapolationError, match="boat"):
            fit.relative_hazard(pd.DataFrame({"product": ["boat"]}))

    def test_a_category_made_from_a_number_takes_numbers_that_the_fit_did_not_see(self):
        frame = LOANS.assign(ltv=[0.1, 0.9, 0.5, 0.85, 0.95, 0.3, 0.7, 0.2])
        fit = CoxModel(formula="~ C(ltv > 0.8)").fit(frame, **MONTHLY)
        new = fit.relative_hazard(pd.DataFrame({"ltv": [0.11, 0.99]}))["value"]
        assert new.iloc[1] / new.iloc[0] == pytest.approx(np.exp(fit.params.iloc[0]))

    def test_a_category_that_an_expression_makes_and_the_fit_did_not_see_is_refused(self):
        frame = LOANS.assign(ltv=[0.1, 0.9, 0.5, 0.85, 0.95, 0.3, 0.7, 0.2])
        fit = CoxModel(formula="~ C(np.floor(2 * ltv))").fit(frame, **MONTHLY)
        with pytest.raises(ExtrapolationError, match=r"makes a category that the fit did not see.*0\.0, 1\.0"):
            fit.relative_hazard(pd.DataFrame({"ltv": [0.4, 7.0]}))

    def test_levels_that_a_formula_leaves_out_are_no_baseline(self):
        with pytest.raises(ContractError, match=r"outside of the nominated levels.*'card'"):
            CoxModel(formula="~ C(product, levels=['auto', 'boat'])").fit(LOANS, **MONTHLY)

    def test_texts_where_the_fit_saw_numbers_are_refused(self):
        fit = CoxModel(formula="~ secured").fit(LOANS, **MONTHLY)
        with pytest.raises(ContractError, match="formula '~ secured' cannot be evaluated"):
            fit.relative_hazard(pd.DataFrame({"secured": ["yes", "no"]}))


class TestRefusals:
    @pytest.mark.parametrize(
        ("formula", "change", "said"),
        [
            ("~ secured", {"cured": False}, "none of 8 rows has the event"),
            ("~ secured", {"secured": 1}, "secured has the same value in every row"),
            ("~ 1", {}, "no covariate"),
            ("~ secured + half", {"half": LOANS["secured"] / 2}, "repeats other covariates"),
            ("~ secured + months", {"cured": [True] + [False] * 7}, "1 events cannot carry 2 covariates"),
        ],
    )
    def test_too_little_to_estimate_is_said_in_words(self, formula, change, said):
        with pytest.raises(InsufficientDataError, match=said):
            CoxModel(formula=formula).fit(LOANS.assign(**change), **MONTHLY)

    def test_a_covariate_that_separates_the_cured_has_no_maximum(self):
        frame = simulated(200)
        with pytest.raises(ConvergenceError, match="always"):
            CoxModel(formula="~ ltv + always").fit(frame.assign(always=frame["cured"] * 1.0), **MONTHLY)

    def test_missing_covariates_and_bad_times_are_named_at_once(self):
        bad = LOANS.assign(secured=LOANS["secured"].where(LOANS.index != 2), months=[-3, *LOANS["months"][1:]])
        with pytest.raises(ContractError, match=r"(?s)secured must be there.*row 2.*months must be a number"):
            CoxModel(formula="~ secured").fit(bad, **MONTHLY)

    def test_half_an_event_is_no_count(self):
        with pytest.raises(
            ContractError, match="n of an event must be a whole number where weights are counts: 5 rows"
        ):
            CoxModel(formula="~ secured").fit(LOANS.assign(n=0.5), weights_col="n", **MONTHLY)

    def test_a_single_cluster_is_refused(self):
        with pytest.raises(InsufficientDataError, match="book has one value only"):
            CoxModel(formula="~ secured").fit(LOANS.assign(book=1), cluster_col="book", **MONTHLY)
        # The other cluster was never at risk: it ends as it enters.
        frame = LOANS.assign(book=[1] * 7 + [2], entry=[0] * 7 + [12])
        with pytest.raises(InsufficientDataError, match="among the rows at risk"):
            CoxModel(formula="~ secured").fit(frame, cluster_col="book", entry_col="entry", **MONTHLY)

    @pytest.mark.parametrize("unit", ["D", "s"])
    def test_spans_of_time_and_dates_are_no_months(self, unit):
        spans = pd.to_timedelta(LOANS["months"], unit=unit)
        for months in (spans, pd.Timestamp("2024-01-31") + spans):
            with pytest.raises(ContractError, match="months must be a number of months, 0 or more: 8 rows"):
                CoxModel(formula="~ secured").fit(LOANS.assign(months=months), **MONTHLY)

    def test_a_formula_that_cannot_be_read_is_refused_at_once(self):
        with pytest.raises(ValueError, match=r"cannot be read|left side"):
            CoxModel(formula="cured ~ ~ x")
