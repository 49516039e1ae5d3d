"""Fine and Gray's model: against cmprsk, its limits, a likelihood by double loop, and what every row moves."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from recoverykit.errors import ContractError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators._breslow_kernels import inverse_information, maximise
from recoverykit.estimators._fine_gray_kernels import scores, subdistribution_risk_sets
from recoverykit.estimators.cox import CoxModel
from recoverykit.estimators.fine_gray import FineGrayModel

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE") or Path(__file__).parents[2] / "shared" / "reference")
CONVERGED = 1e-7  # two searches of one maximum, each to 1e-9 and better
EXACT = 1e-9  # the same sums in another order
FIRST_ORDER = 3e-3  # the errors take -log(1 - d/n) of censoring for d/n, a difference of order 1/n
MODEL = FineGrayModel(outcome="cured", formula="~ ltv + secured")
COLUMNS = {"duration_col": "months", "outcome_col": "outcome"}


def simulated(n_rows, seed=1, *, censored=True):
    """Return episodes with two outcomes whose pace depends on covariates, in whole months."""
    rng = np.random.default_rng(seed)
    ltv, secured = rng.normal(size=n_rows), rng.integers(0, 2, n_rows)
    cure, loss = rng.exponential(12 / np.exp(0.5 * secured - 0.4 * ltv)), rng.exponential(20, n_rows)
    ended, seen = np.ceil(np.minimum(cure, loss)), rng.integers(1, 40, n_rows) if censored else np.inf
    outcome = np.where(cure < loss, "cured", "sold").astype(object)
    outcome[ended > seen] = "open"
    return pd.DataFrame(
        {
            "months": np.minimum(ended, seen),
            "outcome": outcome,
            "ltv": ltv,
            "secured": secured,
            "obligor": rng.integers(0, n_rows // 2, n_rows),
        }
    )


class TestAgainstR:
    """R package cmprsk, ``crr`` on the mgus2 data (case G of the reference folder)."""

    def test_estimates_errors_and_likelihood_of_the_first_outcome(self):
        path = REFERENCE / "survival" / "mgus2_cr.csv"
        if not path.is_file():
            pytest.skip(f"no reference data at {path}; set RECOVERYKIT_REFERENCE")
        frame = pd.read_csv(path).assign(male=lambda f: (f["sex"] == "M") * 1)
        frame["outcome"] = frame["event"].map({0: "open", 1: "pcm", 2: "death"})
        model = FineGrayModel(outcome="pcm", formula="~ age + male")
        fit = model.fit(frame, duration_col="etime", outcome_col="outcome")
        np.testing.assert_allclose(fit.params, [-0.0173381534946792, -0.260038237884128], atol=1e-8)
        np.testing.assert_allclose(fit.standard_errors, [0.00573710323023716, 0.185681034792167], atol=1e-9)
        assert fit.loglik == pytest.approx(-790.121315169541, abs=1e-8)


class TestLimits:
    def test_without_other_outcomes_it_is_cox_regression_by_breslows_rule(self):
        frame = simulated(300)
        frame = frame[frame["outcome"] != "sold"].assign(cured=lambda f: f["outcome"] == "cured")
        fit = MODEL.fit(frame, **COLUMNS)
        cox = CoxModel(formula="~ ltv + secured", ties="breslow")
        cox = cox.fit(frame.assign(row=frame.index), duration_col="months", event_col="cured", cluster_col="row")
        np.testing.assert_allclose(fit.params, cox.params, atol=CONVERGED)
        np.testing.assert_allclose(fit.cov, cox.cov, atol=CONVERGED)
        assert fit.loglik == pytest.approx(cox.loglik, abs=CONVERGED)

    def test_without_censoring_those_that_ended_otherwise_are_simply_never_cured(self):
        frame = simulated(300, censored=False)
        fit = MODEL.fit(frame, **COLUMNS)
        forever = frame.assign(
            cured=frame["outcome"] == "cured",
            months=frame["months"].where(frame["outcome"] == "cured", frame["months"].max() + 1),
        )
        cox = CoxModel(formula="~ ltv + secured", ties="breslow")
        cox = cox.fit(forever, duration_col="months", event_col="cured")
        np.testing.assert_allclose(fit.params, cox.params, atol=CONVERGED)

    def test_the_incidence_of_a_book_without_effects_is_that_of_the_last_month_over_all(self):
        # One covariate that halves the book at random: with b = 0 the baseline is -log(1 - share cured).
        frame = pd.DataFrame({"months": [1, 1, 2, 2, 3, 3], "outcome": ["cured"] * 4 + ["sold"] * 2, "x": [0, 1] * 3})
        fit = FineGrayModel(outcome="cured", formula="~ x").fit(frame, **COLUMNS)
        assert fit.params["x"] == pytest.approx(0, abs=CONVERGED)
        # At risk 6, then 4; two cures each: L = 2/6 + 2/4 (the two sold ones stay at risk).
        incidence = fit.predict_cumulative_incidence(frame.head(1), [0, 1, 2, 3]).iloc[0]
        np.testing.assert_allclose(incidence, 1 - np.exp(-np.array([0, 2 / 6, 5 / 6, 5 / 6])), atol=CONVERGED)


def test_the_maximum_is_that_of_the_likelihood_by_double_loop():
    frame = simulated(60, seed=4)
    months, design = frame["months"].to_numpy(), frame[["ltv", "secured"]].to_numpy(float)
    is_open, is_sold = (frame["outcome"] == "open").to_numpy(), (frame["outcome"] == "sold").to_numpy()

    def censoring_before(time):
        left = 1.0
        for at in np.unique(months[is_open & (months < time)]):
            left *= 1 - (is_open & (months == at)).sum() / (months >= at).sum()
        return left

    def minus_loglik(b):
        total = 0.0
        for i in np.flatnonzero(frame["outcome"] == "cured"):
            at_risk = 0.0
            for j in range(len(frame)):
                if months[j] >= months[i]:
                    at_risk += np.exp(design[j] @ b)
                elif is_sold[j]:
                    at_risk += np.exp(design[j] @ b) * censoring_before(months[i]) / censoring_before(months[j])
            total += design[i] @ b - np.log(at_risk)
        return -total

    fit = MODEL.fit(frame, **COLUMNS)
    assert fit.loglik == pytest.approx(-minus_loglik(fit.params.to_numpy()), abs=EXACT)
    best = minimize(minus_loglik, fit.params.to_numpy() + 0.05, method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(fit.params, best.x, atol=1e-5)  # BFGS by differences of the function


@pytest.mark.parametrize("seed", range(3))
def test_a_row_moves_the_estimate_by_its_score_censoring_included(seed):
    """The influence of a row is the slope of the estimate in its weight, the curve of censoring moving with it."""
    frame = simulated(400, seed=seed).assign(n=1.0)
    frame["months"] -= np.random.default_rng(seed).random(len(frame))  # no ties, where both steps are nearly one
    design, months = frame[["ltv", "secured"]].to_numpy(float), frame["months"].to_numpy()
    is_event, is_other = (frame["outcome"] == "cured").to_numpy(), (frame["outcome"] == "sold").to_numpy()
    weights, step = np.ones(len(frame)), 1e-4
    sets = subdistribution_risk_sets(months, is_event, is_other, weights)
    found = maximise(sets, design, weights, what="cures")
    score = scores(sets, design, months, weights, is_other, found.position)
    np.testing.assert_allclose(score.sum(axis=0), 0, atol=1e-7)
    influence = score @ inverse_information(found)
    for row in range(0, len(frame), 41):
        up, down = (weights + sign * step * (np.arange(len(frame)) == row) for sign in (1, -1))
        moved = [
            maximise(subdistribution_risk_sets(months, is_event, is_other, w), design, w, what="cures").position
            for w in (up, down)
        ]
        slope = (moved[0] - moved[1]) / (2 * step)
        np.testing.assert_allclose(slope, influence[row], atol=FIRST_ORDER * np.abs(influence).max())


class TestIdentities:
    def test_the_baseline_at_terms_of_0_is_that_at_their_means_moved(self):
        fit = MODEL.fit(simulated(200), **COLUMNS)
        ratio = fit.baseline["at_means"] / fit.baseline["cumulative_hazard"]
        np.testing.assert_allclose(ratio, np.exp(fit.means @ fit.params), rtol=EXACT)

    def test_a_row_of_weight_two_is_the_row_twice(self):
        frame = simulated(200).assign(n=lambda f: 1 + f.index % 3)
        repeated = frame.loc[frame.index.repeat(frame["n"])].reset_index(drop=True)
        for cluster in (None, "obligor"):
            weighted = MODEL.fit(frame, weights_col="n", cluster_col=cluster, **COLUMNS)
            twice = MODEL.fit(repeated, cluster_col=cluster, **COLUMNS)
            np.testing.assert_allclose(weighted.params, twice.params, atol=CONVERGED)
            np.testing.assert_allclose(weighted.cov, twice.cov, atol=CONVERGED)
            assert (weighted.n_episodes, weighted.n_events) == (twice.n_episodes, twice.n_events)

    def test_the_level_of_the_weights_scales_the_information_only(self):
        frame = simulated(200).assign(n=lambda f: 1 + f.index % 3, share=lambda f: 1e-6 * f["n"])
        whole, shares = (MODEL.fit(frame, weights_col=name, **COLUMNS) for name in ("n", "share"))
        np.testing.assert_allclose(whole.params, shares.params, atol=CONVERGED)
        np.testing.assert_allclose(whole.cov, 1e-6 * shares.cov, atol=CONVERGED)
        assert shares.loglik == pytest.approx(1e-6 * (whole.loglik - whole.n_events * np.log(1e-6)), rel=1e-9)

    def test_ten_episodes_in_one_row_carry_as_many_covariates_as_ten_rows(self):
        open_at = [(1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (0, 1), (-1, 0), (0, -1)]
        frame = pd.DataFrame([(0, 0), *open_at], columns=["ltv", "secured"]).assign(
            months=[2] + [5] * 8, outcome=["cured"] + ["open"] * 8, n=[10] + [5] * 8
        )
        weighted = MODEL.fit(frame, weights_col="n", **COLUMNS)
        repeated = MODEL.fit(frame.loc[frame.index.repeat(frame["n"])], **COLUMNS)
        np.testing.assert_allclose(weighted.params, repeated.params, atol=CONVERGED)
        np.testing.assert_allclose(weighted.cov, repeated.cov, atol=CONVERGED)

    def test_a_covariate_far_from_0_predicts_what_it_does_when_it_is_shifted(self):
        # Months since year 0: at vintage 0 the hazard is exp(-960) of that at the mean, which is no number.
        rng = np.random.default_rng(1)
        vintage = 24_120 + rng.integers(0, 60, 400)
        cure, sale = rng.exponential(12 / np.exp(0.06 * (vintage - 24_150))), rng.exponential(20, 400)
        frame = pd.DataFrame({"months": np.ceil(np.minimum(cure, sale)), "vintage": vintage})
        frame["outcome"] = np.where(cure < sale, "cured", "sold")
        model = FineGrayModel(outcome="cured", formula="~ vintage")
        for sign in (1, -1):
            far, near = (frame.assign(vintage=sign * (vintage - shift)) for shift in (0, 24_150))
            fits = [model.fit(one, **COLUMNS) for one in (far, near)]
            assert abs(fits[0].params["vintage"]) * 24_150 > 710  # beyond what exp() takes
            one, two = (fit.predict_cumulative_incidence(f, [1, 12]) for fit, f in zip(fits, (far, near), strict=True))
            np.testing.assert_allclose(one, two, atol=CONVERGED)

    def test_row_order_and_unit_of_time_do_not_matter(self):
        frame = simulated(200)
        first, turned = MODEL.fit(frame, **COLUMNS), MODEL.fit(frame[::-1], **COLUMNS)
        days = MODEL.fit(frame.assign(months=frame["months"] * 30.4375), **COLUMNS)
        for other in (turned, days):
            np.testing.assert_allclose(first.params, other.params, atol=CONVERGED)
            np.testing.assert_allclose(first.cov, other.cov, atol=CONVERGED)

    def test_the_frame_is_not_changed(self):
        frame = simulated(60)
        before = frame.copy(deep=True)
        MODEL.fit(frame, **COLUMNS)
        pd.testing.assert_frame_equal(frame, before)

    def test_the_incidence_rises_with_time_and_stays_a_probability(self):
        frame = simulated(200)
        values = MODEL.fit(frame, **COLUMNS).predict_cumulative_incidence(frame, np.arange(30)).to_numpy()
        assert (np.diff(values, axis=1) >= 0).all()
        assert values.min() == 0
        assert values.max() < 1


class TestWhatAFitSays:
    def test_the_headline_names_the_outcome_and_the_record_goes_through_json(self):
        fit = MODEL.fit(simulated(200), cluster_col="obligor", **COLUMNS)
        assert fit.summary().startswith(
            "Cumulative incidence of cured, others competing, by covariates (Fine and Gray)"
        )
        assert "errors robust over" in fit.summary()
        assert json.loads(json.dumps(fit.to_record()))["event_name"] == "cured"

    def test_times_after_the_last_and_unknown_outcomes_are_refused(self):
        frame = simulated(100)
        fit = MODEL.fit(frame, **COLUMNS)
        with pytest.raises(ExtrapolationError, match="known up to"):
            fit.predict_cumulative_incidence(frame, [fit.last_time + 1])
        with pytest.raises(InsufficientDataError, match="no row has the outcome 'repaid'; there are cured, sold"):
            FineGrayModel(outcome="repaid", formula="~ ltv").fit(frame, **COLUMNS)

    def test_a_single_cluster_is_refused(self):
        with pytest.raises(InsufficientDataError, match="book has one value only"):
            MODEL.fit(simulated(50).assign(book="A"), cluster_col="book", **COLUMNS)

    def test_all_faults_are_named_at_once(self):
        frame = simulated(50)
        frame.loc[3, "months"], frame.loc[7, "outcome"] = -1.0, None
        with pytest.raises(ContractError) as caught:
            MODEL.fit(frame, **COLUMNS)
        assert len(caught.value.violations) == 2


@pytest.mark.slow
def test_intervals_cover_the_truth_at_about_their_level():
    """Times drawn from the subdistribution itself: P(cured by t | x) = 1 - (1 - p (1 - exp(-t)))^exp(x b)."""
    n_rows, n_books, beta, share = 300, 400, 0.5, 0.6
    held = 0
    for seed in range(n_books):
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 2, n_rows)
        power = np.exp(beta * x)
        ever = 1 - (1 - share) ** power
        is_cure, u = rng.random(n_rows) < ever, rng.random(n_rows)
        time = -np.log1p(-(1 - (1 - u * ever) ** (1 / power)) / share)
        time, seen = np.where(is_cure, time, rng.exponential(1, n_rows)), rng.uniform(0.2, 3, n_rows)
        outcome = np.where(time > seen, "open", np.where(is_cure, "cured", "sold"))
        frame = pd.DataFrame({"months": np.minimum(time, seen), "outcome": outcome, "x": x})
        row = FineGrayModel(outcome="cured", formula="~ x").fit(frame, **COLUMNS).to_frame().iloc[0]
        held += row["lower"] <= np.exp(beta) <= row["upper"]
    assert 0.93 <= held / n_books <= 0.97  # two and a half binomial errors about 95 %
