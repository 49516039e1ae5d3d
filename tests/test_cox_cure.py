"""The Cox cure model: by hand, against R, against an independent likelihood, at its limits and at its edges."""

import json
import os
import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.optimize import brentq

from recoverykit.errors import ContractError, ConvergenceError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators import _cox_cure_estimation, cox_cure
from recoverykit.estimators._cox_cure_data import cox_cure_problem, read_times
from recoverykit.estimators._cox_cure_kernels import profile
from recoverykit.estimators._cox_cure_sandwich import row_scores
from recoverykit.estimators._cox_cure_ties import TIE_RULES, efron_terms
from recoverykit.estimators._episode_designs import design_episodes
from recoverykit.estimators._mixture_data import Scaling
from recoverykit.estimators._residuals import residual_table
from recoverykit.estimators.cox import CoxModel
from recoverykit.estimators.cox_cure import CoxCureModel
from recoverykit.estimators.mixture_cure import MixtureCureModel, compare_fits, compare_nested

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE", Path(__file__).parents[2] / "shared" / "reference"))
#: Two codes of one likelihood, summed in another order.
ROUNDING = 1e-9
#: Newton's method stops within 1e-9 of the top in log-likelihood, about 1e-5 standard errors off and mostly far less.
SAME_MAXIMUM = 1e-6
#: smcure's EM was run until its parameters moved by 1e-14 in a step; its steps are small long before it has arrived.
EM_STOPS = 1e-6
#: Central differences of a log-likelihood of some hundreds.
DIFFERENCES = 1e-5
#: Percentiles of 1,000 draws against the delta method, in widths of the interval; they differ in their skewness too.
MONTE_CARLO = 0.15
BOTH = pytest.mark.parametrize("ties", list(TIE_RULES))
COLUMNS = {"duration_col": "duration", "event_col": "cured"}


def portfolio(seed, n=500, *, monthly=True, late=True, gamma=(0.4, -0.8, 0.5), beta=(0.5, -0.4)):
    """Simulate episodes with a two-level and a numeric covariate; months are ceilings, some are seen late."""
    rng = np.random.default_rng(seed)
    product, ltv = rng.choice(["card", "mortgage"], n), rng.normal(0.0, 1.0, n)
    mortgage = product == "mortgage"
    ever = rng.random(n) < 1 / (1 + np.exp(-gamma[0] - gamma[1] * mortgage - gamma[2] * ltv))
    # S(t) = (1 - t / 30)^(3 exp(x'b)): proportional hazards, and all that ever have the event have had it by 30.
    relative = np.exp(beta[0] * mortgage + beta[1] * ltv)
    time = np.where(ever, 30 * (1 - rng.random(n) ** (1 / (3 * relative))), np.inf)
    entry = np.where(rng.random(n) < 0.3, rng.integers(1, 5, n), 0) if late else np.zeros(n)
    end = entry + rng.integers(3, 60, n)
    seen = np.minimum(time, end)
    frame = pd.DataFrame(
        {
            "product": product,
            "ltv": ltv,
            "entry": entry.astype(float),
            "duration": np.ceil(seen) if monthly else seen,
            "cured": time <= end,
            "n": rng.integers(1, 4, n).astype(float),
            "obligor": rng.integers(0, n // 2, n),
        }
    )
    return frame[time > entry].reset_index(drop=True)


def both(**options):
    return CoxCureModel(incidence="~ product + ltv", latency="~ product + ltv", **options)


def split_jump(jump, n_events, tied):
    """Split a jump into Efron's steps 1 / (m + T k/d), k = d, ..., 1, by a root search."""
    shares = np.arange(n_events, 0, -1) / n_events
    m = brentq(lambda m: np.sum(1 / (m + tied * shares)) - jump, -tied / n_events * (1 - 1e-13), 1e9, xtol=1e-14)
    return 1 / (m + tied * shares), shares


def brute_force(gamma, beta, jumps, frame, ties, *, weights=None):
    """Add up the log-likelihood time by time and row by row, without any trick; whole weights."""
    weight = np.ones(len(frame)) if weights is None else frame[weights].to_numpy()
    design = np.column_stack([np.ones(len(frame)), frame["product"] == "mortgage", frame["ltv"]]).astype(float)
    p, e = 1 / (1 + np.exp(-design @ gamma)), np.exp(design[:, 1:] @ beta)
    times = np.unique(frame.loc[frame["cured"], "duration"])
    cumulative = np.concatenate([[0.0], np.cumsum(jumps)])
    duration, entry = frame["duration"].to_numpy(), frame["entry"].to_numpy()
    cured = frame["cured"].to_numpy()

    def population(t):
        passed = cumulative[np.searchsorted(times, t, side="right")] * e
        return np.where(t > times[-1], 1 - p, 1 - p + p * np.exp(-passed))

    total = np.sum(weight * ~cured * np.log(population(duration)))
    total -= np.sum(weight * (entry > 0) * np.log(population(np.where(entry > 0, entry, 1))))
    for k, t in enumerate(times):
        here = cured & (duration == t)
        tied, n_events = np.sum(weight[here] * e[here]), round(weight[here].sum())
        total += np.sum(weight[here] * (np.log(p[here] * e[here]) - e[here] * cumulative[k]))
        if ties == "breslow":
            total += n_events * np.log(jumps[k]) - tied * jumps[k]
        else:
            steps, shares = split_jump(jumps[k], n_events, tied)
            total += np.sum(np.log(steps) - tied * shares * steps)
    return float(total)


def at_zero(fit):
    """Return gamma, beta and the jumps at latency terms of 0."""
    return fit.params["incidence"].to_numpy(), fit.params["latency"].to_numpy(), fit.baseline["jump"].to_numpy()


def problem_of(frame, ties, **columns):
    """Return the problem that a fit of both designs climbs."""
    times = read_times(frame, "duration", "cured", columns.get("weights_col"), columns.get("entry_col"))
    return cox_cure._prepare(both(ties=ties), frame, times, want_inverse=True)[1]


@pytest.fixture
def melanoma():
    path = REFERENCE / "survival" / "e1684.csv"
    if not path.exists():
        pytest.skip(f"reference data {path} are not here; set RECOVERYKIT_REFERENCE")
    return pd.read_csv(path).dropna()


def expected(name):
    return pd.read_csv(REFERENCE / "survival" / "expected" / name)


class TestByHand:
    loans = pd.DataFrame({"months": [1, 1, 2, 3, 3, 3, 3, 3], "cured": [1, 1, 1, 0, 0, 0, 0, 0]})

    def test_eight_loans_without_covariates_by_breslow(self):
        # Five loans are open after the last cure, so 3 of 8 ever cure: log odds log(3/5), error sqrt(1/3 + 1/5).
        # Of the three, 2 of 3 cure in month 1 and 1 of 1 in month 2: jumps 2/3 and 1. Log-likelihood 3 log(3/8) +
        # 5 log(5/8) + 2 log(2/3) + log 1 - 3 (each of three cures bears a hazard of 1 on average) = -9.103436.
        fit = CoxCureModel().fit(self.loans, duration_col="months", event_col="cured")
        assert fit.params["incidence", "Intercept"] == pytest.approx(np.log(3 / 5), abs=SAME_MAXIMUM)
        assert fit.standard_errors.iloc[0] == pytest.approx(np.sqrt(1 / 3 + 1 / 5), abs=SAME_MAXIMUM)
        assert fit.baseline["jump"].to_list() == pytest.approx([2 / 3, 1.0], abs=SAME_MAXIMUM)
        assert fit.loglik == pytest.approx(-9.103436, abs=1e-6)
        assert (fit.n_episodes, fit.n_events, fit.n_tail) == (8, 3, 5)
        # P(open after month 1) = 5/8 + 3/8 exp(-2/3), after month 2 5/8 + 3/8 exp(-5/3), later 5/8: the zero tail.
        survival = fit.predict_survival(pd.DataFrame(index=[0]), [0, 1, 2, 3]).to_numpy()[0]
        assert survival == pytest.approx([1.0, 0.8175314, 0.6958279, 0.625], abs=SAME_MAXIMUM)

    def test_the_same_loans_by_efron(self):
        # In month 1 the first of two tied cures leaves three at risk, the second 3 - 1/2 * 2 = 2: jump 1/3 + 1/2; the
        # log-likelihood is 3 log(3/8) + 5 log(5/8) + log(1/3) + log(1/2) + log 1 - 3 = -10.084266.
        fit = CoxCureModel(ties="efron").fit(self.loans, duration_col="months", event_col="cured")
        assert fit.baseline["jump"].to_list() == pytest.approx([5 / 6, 1.0], abs=SAME_MAXIMUM)
        assert fit.loglik == pytest.approx(-10.084266, abs=1e-6)
        assert fit.never.value == pytest.approx(5 / 8, abs=SAME_MAXIMUM)

    def test_a_cure_in_month_0_counts_like_any_other(self):
        months_later = self.loans.assign(months=self.loans["months"] - 1)
        fit = CoxCureModel().fit(months_later, duration_col="months", event_col="cured")
        assert fit.loglik == pytest.approx(-9.103436, abs=1e-6)
        assert fit.predict_survival(pd.DataFrame(index=[0]), 0).iloc[0, 0] == pytest.approx(0.8175314, abs=SAME_MAXIMUM)

    def test_one_open_loan_between_the_cures_is_shared_out_as_em_does(self):
        # Cures at 1 and 3, one open at 2, two open at 4. With w the chance that the open one will still cure:
        # p = (2 + w) / 5, jumps 1/(2 + w) and 1, w = p S / (1 - p + p S) with S = exp(-1/(2 + w)).
        loans = pd.DataFrame({"months": [1, 3, 2, 4, 4], "cured": [1, 1, 0, 0, 0]})
        w = 0.5
        for _ in range(200):
            p, s = (2 + w) / 5, np.exp(-1 / (2 + w))
            w = p * s / (1 - p + p * s)
        fit = CoxCureModel().fit(loans, duration_col="months", event_col="cured")
        assert fit.predict_susceptible(loans).iloc[0] == pytest.approx((2 + w) / 5, abs=SAME_MAXIMUM)
        assert fit.baseline["jump"].to_list() == pytest.approx([1 / (2 + w), 1.0], abs=SAME_MAXIMUM)


class TestReferenceCaseC:
    """R's smcure and curephEM on the melanoma trial e1684, treatment, sex and age in both parts."""

    @pytest.fixture
    def fit(self, melanoma):
        formula = "~ TRT + SEX + AGE"
        return CoxCureModel(incidence=formula, latency=formula).fit(
            melanoma, duration_col="FAILTIME", event_col="FAILCENS"
        )

    def test_the_em_of_smcure_run_to_the_end_ends_here(self, fit):
        table = expected("smcure_e1684_ph.csv")
        assert list(fit.params.index) == list(zip(table["part"], table["param"], strict=True))
        assert fit.params.to_list() == pytest.approx(table["est_converged"].to_list(), abs=EM_STOPS)

    def test_the_baseline_is_that_of_smcure_with_its_zero_tail(self, fit, melanoma):
        table = expected("smcure_e1684_ph_baseline.csv")
        events = table[table["status"] == 1].drop_duplicates("time")
        assert fit.baseline.index.to_list() == pytest.approx(events["time"].to_list())
        assert fit.baseline["survival"].to_list() == pytest.approx(events["s0_uncured"].to_list(), abs=EM_STOPS)
        assert (table.loc[table["time"] > fit.last_event_time, "s0_uncured"] == 0).all()
        asked = melanoma.head(3)
        after = fit.predict_survival(asked, [fit.last_event_time + 1e-6, 100.0])
        never = 1 - fit.predict_susceptible(asked).to_numpy()
        np.testing.assert_allclose(after, np.column_stack([never, never]), rtol=ROUNDING)

    def test_estimates_and_louis_errors_agree_with_curephem_to_a_thousandth(self, fit):
        # curephEM's M-step takes Efron's rule, its likelihood Breslow's: so its estimates end a little beside the top.
        table = expected("curephEM_e1684.csv")
        assert fit.params.to_list() == pytest.approx(table["est"].to_list(), abs=1e-3)
        assert fit.standard_errors.to_list() == pytest.approx(table["se"].to_list(), abs=1e-4)
        assert fit.loglik == pytest.approx(table["loglik"].iloc[0], abs=1e-4)
        assert fit.loglik > table["loglik"].iloc[0]

    def test_at_its_own_estimates_the_likelihood_and_the_errors_of_curephem_are_met(self, melanoma):
        table = expected("curephEM_e1684.csv")
        formula = "~ TRT + SEX + AGE"
        model = CoxCureModel(incidence=formula, latency=formula)
        times = read_times(melanoma, "FAILTIME", "FAILCENS", None, None)
        problem = cox_cure._prepare(model, melanoma, times, want_inverse=False)[1]
        at = profile(table["est"].to_numpy(), problem.data, problem.jumps)
        errors = np.sqrt(np.diag(np.linalg.inv(-at.hessian)))
        assert at.value == pytest.approx(-1151.83305050458, abs=1e-9)
        assert errors == pytest.approx(table["se"].to_numpy(), rel=1e-4)

    def test_the_uncured_weights_sum_to_the_episodes_times_their_mean_incidence(self, fit, melanoma):
        # Reference case C': 207.49185 = 284 x mean incidence.
        assert fit.predict_susceptible(melanoma).sum() == pytest.approx(207.49185, abs=1e-4)
        assert fit.never.value == pytest.approx(1 - 207.49185 / 284, abs=1e-6)


class TestAgainstOtherCode:
    @BOTH
    def test_on_left_truncated_data_no_neighbour_is_likelier_than_the_fit(self, ties):
        # The simulated data of the left-truncation example of R's curephEM: 200 rows, 37 events, all entered late.
        path = REFERENCE / "survival" / "sim_cureph_lefttrunc.csv"
        if not path.exists():
            pytest.skip(f"reference data {path} are not here; set RECOVERYKIT_REFERENCE")
        data = pd.read_csv(path).rename(columns={"time": "entry", "time2": "duration", "Z1": "ltv"})
        product = np.where(data["Z2"] == 1, "mortgage", "card")
        frame = data.assign(product=product, cured=data["event"] == 1)
        fit = both(ties=ties).fit(frame, entry_col="entry", **COLUMNS)
        gamma, beta, jumps = at_zero(fit)
        assert (fit.n_events, (frame["entry"] > 0).all()) == (37, True)
        assert fit.loglik == pytest.approx(brute_force(gamma, beta, jumps, frame, ties), rel=ROUNDING)
        rng = np.random.default_rng(0)
        near = [
            brute_force(gamma + move[:3], beta + move[3:5], jumps * np.exp(move[5:]), frame, ties)
            for move in rng.normal(0, 0.02, (60, 5 + len(jumps)))
        ]
        assert max(near) < fit.loglik

    @BOTH
    @pytest.mark.parametrize("monthly", [True, False])
    def test_the_log_likelihood_with_weights_and_late_entry_is_that_added_up_by_hand(self, ties, monthly):
        frame = portfolio(1, n=150, monthly=monthly)
        fit = both(ties=ties).fit(frame, weights_col="n", entry_col="entry", **COLUMNS)
        assert fit.loglik == pytest.approx(brute_force(*at_zero(fit), frame, ties, weights="n"), rel=ROUNDING)

    @BOTH
    def test_no_neighbour_is_likelier(self, ties):
        frame = portfolio(2, n=120)
        fit = both(ties=ties).fit(frame, entry_col="entry", **COLUMNS)
        gamma, beta, jumps = at_zero(fit)
        rng = np.random.default_rng(0)
        values = [
            brute_force(
                gamma + rng.normal(0, 0.05, 3),
                beta + rng.normal(0, 0.05, 2),
                jumps * np.exp(rng.normal(0, 0.05, len(jumps))),
                frame,
                ties,
            )
            for _ in range(60)
        ]
        assert max(values) < fit.loglik

    @BOTH
    def test_a_step_of_em_through_statsmodels_stays_where_the_fit_is(self, ties):
        frame = portfolio(3, late=False)
        fit = both(ties=ties).fit(frame, **COLUMNS)
        design = np.column_stack([np.ones(len(frame)), frame["product"] == "mortgage", frame["ltv"]]).astype(float)
        gamma, beta, _ = at_zero(fit)
        p, e = 1 / (1 + np.exp(-design @ gamma)), np.exp(design[:, 1:] @ beta)
        place = np.searchsorted(fit.baseline.index, frame["duration"], side="right")
        passed = np.concatenate([[0.0], fit.baseline["cumulative_hazard"]])[place] * e
        s = np.where(frame["duration"] > fit.last_event_time, 0.0, np.exp(-passed))
        w = np.where(frame["cured"], 1.0, p * s / (1 - p + p * s))
        logit = sm.GLM(w, design, family=sm.families.Binomial()).fit(tol=1e-12)
        at_risk = w > 0
        cox = sm.PHReg(
            frame["duration"][at_risk],
            design[at_risk, 1:],
            status=frame["cured"][at_risk].astype(int),
            offset=np.log(w[at_risk]),
            ties=ties,
        ).fit(method="newton", tol=1e-12, disp=False)
        assert logit.params == pytest.approx(gamma, abs=SAME_MAXIMUM)
        assert cox.params == pytest.approx(beta, abs=SAME_MAXIMUM)

    def test_when_all_loans_cure_it_is_the_plain_cox_model(self):
        frame = portfolio(4, gamma=(30.0, 0.0, 0.0)).query("cured")
        fit = CoxCureModel(latency="~ product + ltv", ties="efron").fit(frame, entry_col="entry", **COLUMNS)
        plain = CoxModel(formula="~ product + ltv").fit(frame, entry_col="entry", **COLUMNS)
        assert fit.params["latency"].to_list() == pytest.approx(plain.params.to_list(), abs=1e-5)
        assert fit.standard_errors["latency"].to_list() == pytest.approx(plain.standard_errors.to_list(), rel=1e-5)
        assert "upper bound of 1" in fit.boundary
        assert fit.standard_errors["incidence"].isna().all()

    @BOTH
    def test_when_nobody_leaves_before_the_last_cure_it_is_a_logistic_and_a_cox_regression(self, ties):
        frame = portfolio(5, late=False)
        frame = frame.assign(duration=np.where(frame["cured"], frame["duration"], 100.0))
        fit = both(ties=ties).fit(frame, **COLUMNS)
        design = np.column_stack([np.ones(len(frame)), frame["product"] == "mortgage", frame["ltv"]]).astype(float)
        logit = sm.Logit(frame["cured"].astype(int), design).fit(disp=False, tol=1e-12)
        cured = frame["cured"].to_numpy()
        cox = sm.PHReg(frame["duration"][cured], design[cured, 1:], ties=ties).fit(disp=False)
        assert fit.params.to_list() == pytest.approx([*logit.params, *cox.params], abs=1e-5)
        assert fit.standard_errors.to_list() == pytest.approx([*logit.bse, *cox.bse], rel=1e-4)


class TestTies:
    @pytest.mark.parametrize("seed", range(3))
    def test_efrons_sums_are_those_taken_event_by_event(self, seed):
        rng = np.random.default_rng(seed)
        counts = rng.integers(1, 300, 60).astype(float)
        tied = counts * rng.uniform(0.2, 3, 60)
        at_risk = tied * rng.uniform(1.0, 1000, 60)
        steps = [1 / (r - np.arange(d) / d * t) for d, t, r in zip(counts, tied, at_risk, strict=True)]
        terms = efron_terms(counts, np.array([s.sum() for s in steps]), tied)
        value = [
            np.log(s).sum() - t * np.sum((1 - np.arange(d) / d) * s)
            for s, d, t in zip(steps, counts, tied, strict=True)
        ]
        np.testing.assert_allclose(terms.slope + tied, at_risk, rtol=1e-12)
        np.testing.assert_allclose(terms.value, value, rtol=1e-12)
        np.testing.assert_allclose(terms.curvature, [1 / np.sum(s**2) for s in steps], rtol=1e-10)

    def test_derivatives_of_efrons_terms_are_differences(self):
        counts, tied = np.array([1.0, 2.0, 7.0, 50.0, 2.5]), np.array([1.3, 1.1, 9.0, 40.0, 3.0])
        jumps = counts / np.array([5.0, 1.2, 30.0, 41.0, 300.0])

        def slope_of(name, in_jumps):
            up, down = (
                getattr(efron_terms(counts, jumps * (1 + h * in_jumps), tied * (1 + h * (1 - in_jumps))), name)
                for h in (1e-5, -1e-5)
            )
            return (up - down) / (2e-5 * (jumps if in_jumps else tied))

        terms = efron_terms(counts, jumps, tied)
        np.testing.assert_allclose(terms.slope, slope_of("value", True), rtol=1e-6)
        np.testing.assert_allclose(-terms.exposure, slope_of("value", False), rtol=1e-6)
        np.testing.assert_allclose(-terms.curvature, slope_of("slope", True), rtol=1e-6)
        np.testing.assert_allclose(terms.mixed, slope_of("slope", False), rtol=1e-6)
        np.testing.assert_allclose(-terms.bend, slope_of("exposure", False), rtol=1e-4, atol=1e-9)

    def test_without_ties_both_rules_are_one(self):
        frame = portfolio(6, monthly=False)
        one, two = (both(ties=ties).fit(frame, **COLUMNS) for ties in TIE_RULES)
        assert one.loglik == pytest.approx(two.loglik, rel=ROUNDING)
        pd.testing.assert_series_equal(one.standard_errors, two.standard_errors, rtol=SAME_MAXIMUM)

    def test_on_whole_months_efron_stays_closer_to_the_fit_on_exact_times(self):
        exact = portfolio(7, n=4000, monthly=False, late=False)
        monthly = exact.assign(duration=np.ceil(exact["duration"]))
        truth = both().fit(exact, **COLUMNS).params["latency"]
        efron, breslow = (both(ties=t).fit(monthly, **COLUMNS).params["latency"] for t in ("efron", "breslow"))
        assert ((efron - truth).abs() < (breslow - truth).abs()).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("monthly", [True, False])
@BOTH
def test_gradient_and_hessian_of_the_profile_are_its_differences(ties, monthly, seed):
    problem = problem_of(portfolio(seed, n=100, monthly=monthly), ties, weights_col="n", entry_col="entry")
    here = np.random.default_rng(seed).normal(0, 0.4, 5)
    at = profile(here, problem.data, problem.jumps)
    step = 1e-4
    moved = [
        [profile(here + sign * step * unit, problem.data, at.baseline.jumps) for sign in (1, -1)] for unit in np.eye(5)
    ]
    gradient = [(up.value - down.value) / (2 * step) for up, down in moved]
    hessian = [(up.gradient - down.gradient) / (2 * step) for up, down in moved]
    path = [(up.baseline.cumulative - down.baseline.cumulative) / (2 * step) for up, down in moved]
    scale = np.abs(at.hessian).max()
    np.testing.assert_allclose(at.gradient, gradient, atol=DIFFERENCES * scale)
    np.testing.assert_allclose(at.hessian, hessian, atol=DIFFERENCES * scale)
    np.testing.assert_allclose(at.path, np.transpose(path), rtol=1e-4, atol=DIFFERENCES * np.abs(at.path).max())


class TestIdentities:
    @BOTH
    def test_weight_2_is_the_row_twice(self, ties):
        frame = portfolio(10)
        rows = frame.loc[frame.index.repeat(frame["n"].astype(int))]
        weighted = both(ties=ties).fit(frame, weights_col="n", entry_col="entry", **COLUMNS)
        repeated = both(ties=ties).fit(rows, entry_col="entry", **COLUMNS)
        assert weighted.loglik == pytest.approx(repeated.loglik, rel=ROUNDING)
        assert (weighted.n_episodes, weighted.n_events) == (repeated.n_episodes, repeated.n_events)
        pd.testing.assert_series_equal(weighted.params, repeated.params, atol=SAME_MAXIMUM)
        pd.testing.assert_series_equal(weighted.standard_errors, repeated.standard_errors, rtol=SAME_MAXIMUM)

    @BOTH
    def test_the_order_of_the_rows_does_not_matter(self, ties):
        frame = portfolio(11)
        one = both(ties=ties).fit(frame, **COLUMNS)
        two = both(ties=ties).fit(frame.sample(frac=1.0, random_state=1), **COLUMNS)
        pd.testing.assert_series_equal(one.params, two.params, atol=SAME_MAXIMUM)
        assert one.loglik == pytest.approx(two.loglik, rel=ROUNDING)

    @BOTH
    def test_the_unit_of_time_does_not_matter(self, ties):
        frame = portfolio(12)
        in_days = frame.assign(duration=30.4 * frame["duration"], entry=30.4 * frame["entry"])
        one, two = (both(ties=ties).fit(f, entry_col="entry", **COLUMNS) for f in (frame, in_days))
        pd.testing.assert_series_equal(one.params, two.params, atol=SAME_MAXIMUM)
        assert one.loglik == pytest.approx(two.loglik, rel=ROUNDING)

    def test_a_shift_of_a_covariate_moves_the_incidence_intercept_and_the_baseline_only(self):
        frame = portfolio(13)
        one, two = (both().fit(f, **COLUMNS) for f in (frame, frame.assign(ltv=frame["ltv"] + 3)))
        assert one.params.iloc[1:].to_list() == pytest.approx(two.params.iloc[1:].to_list(), abs=SAME_MAXIMUM)
        ratio = one.baseline["jump"] / two.baseline["jump"]
        assert ratio.to_numpy() == pytest.approx(np.exp(3 * one.params["latency", "ltv"]), rel=1e-5)

    def test_compressed_counts_and_single_episodes_give_the_same_fit(self):
        frame = portfolio(14, n=3000)
        model = CoxCureModel(incidence="~ product", latency="~ product", ties="efron")
        single = model.fit(frame, entry_col="entry", **COLUMNS)
        counts = frame.groupby(["product", "duration", "cured", "entry"], as_index=False).size()
        counted = model.fit(counts, entry_col="entry", weights_col="size", **COLUMNS)
        assert single.n_compressed_rows == len(counts) < single.n_rows
        assert single.loglik == pytest.approx(counted.loglik, rel=ROUNDING)
        pd.testing.assert_series_equal(single.standard_errors, counted.standard_errors, rtol=SAME_MAXIMUM)

    def test_the_level_of_the_weights_scales_the_information_only(self):
        frame = portfolio(15).assign(half=0.5)
        one, half = both().fit(frame, **COLUMNS), both().fit(frame, weights_col="half", **COLUMNS)
        pd.testing.assert_series_equal(one.params, half.params, atol=SAME_MAXIMUM)
        np.testing.assert_allclose(half.cov, 2 * one.cov, rtol=1e-5)

    def test_shares_as_weights_are_refused_where_events_are_taken_one_by_one(self):
        # A hundredth of every row is no hundredth of a tie: coefficients would move by 0.2.
        frame = portfolio(15).assign(share=lambda f: 0.01 * f["n"], even=lambda f: f["n"] / f["n"].mean())
        with pytest.raises(ContractError, match="share must be 1 or more on average where ties are Efron's"):
            both(ties="efron").fit(frame, weights_col="share", **COLUMNS)
        assert both(ties="efron").fit(frame, weights_col="even", **COLUMNS).n_episodes == pytest.approx(len(frame))

    def test_rows_that_say_nothing_are_counted_and_change_nothing_else(self):
        frame = portfolio(16)
        first = frame.loc[frame["cured"], "duration"].min()
        too_short = frame.head(5).assign(cured=False, duration=first / 2, entry=0.0)
        too_late = frame.head(5).assign(cured=False, duration=90.0, entry=80.0)
        more = pd.concat([frame, too_short, too_late])
        one, two = (both().fit(f, entry_col="entry", **COLUMNS) for f in (frame, more))
        assert two.n_episodes == one.n_episodes + 10
        # Only where the latency is centred moves, and with it the last digits.
        assert two.loglik == pytest.approx(one.loglik, rel=ROUNDING)
        pd.testing.assert_series_equal(one.params, two.params, atol=SAME_MAXIMUM)

    def test_many_rows_that_are_explored_on_a_part_reach_the_top(self):
        frame = portfolio(17, n=12_000, monthly=False)
        fit = both().fit(frame, entry_col="entry", **COLUMNS)
        assert fit.n_compressed_rows == len(frame) > _cox_cure_estimation._EXPLORED_ROWS
        assert fit.loglik == pytest.approx(brute_force(*at_zero(fit), frame, "breslow"), rel=ROUNDING)
        problem = problem_of(frame, "breslow", entry_col="entry")
        gradient = profile(fit.params.to_numpy(), problem.data, problem.jumps).gradient
        assert gradient @ fit.cov.to_numpy() @ gradient < 1e-9  # squared distance from the top in standard errors

    @pytest.mark.parametrize("seed", [2, 5])  # of whose events every eighth row holds none, or one
    def test_a_few_events_among_many_rows_are_not_lost_in_the_part(self, seed, monkeypatch):
        rng, n = np.random.default_rng(seed), 60_000
        product, duration = rng.choice(["card", "mortgage"], n), rng.uniform(1, 60, n)
        cured = np.zeros(n, bool)
        cured[rng.choice(n, 25, replace=False)] = True
        duration[cured] = rng.uniform(1, 40, 25)
        frame = pd.DataFrame({"duration": duration, "cured": cured, "product": product})
        fit = CoxCureModel(incidence="~ product").fit(frame, **COLUMNS)
        assert (fit.n_events, fit.n_compressed_rows) == (25, n)
        monkeypatch.setattr(_cox_cure_estimation, "_EXPLORED_ROWS", n)
        on_all = CoxCureModel(incidence="~ product").fit(frame, **COLUMNS)
        assert fit.loglik == pytest.approx(on_all.loglik, rel=ROUNDING)

    @pytest.mark.filterwarnings("error::RuntimeWarning")
    def test_many_rows_that_all_have_the_event_are_explored_on_a_part_too(self):
        frame = portfolio(4, n=9000, monthly=False, late=False, gamma=(30.0, 0.0, 0.0)).query("cured")
        assert len(frame) > _cox_cure_estimation._EXPLORED_ROWS
        fit = CoxCureModel(latency="~ ltv").fit(frame, **COLUMNS)
        assert fit.params["latency", "ltv"] == pytest.approx(-0.4, abs=0.1)

    def test_one_event_time_alone_has_a_baseline(self):
        # A part of the rows may hold one time only: of 8 at risk 2 cure, none is event-free without being in the tail.
        loans = pd.DataFrame({"months": [1, 1, *[3] * 6], "cured": [1, 1, *[0] * 6]})
        times = read_times(loans, "months", "cured", None, None)
        rows = design_episodes(("~ 1", "~ 1"), loans, times, want_inverse=False)[0]
        empty = Scaling(np.zeros((0, 0)), np.zeros(0), has_constant=False)
        whole = Scaling(np.eye(1), np.ones(1), has_constant=True)
        n = len(rows.representatives)
        problem = cox_cure_problem(rows, (np.ones((n, 1)), np.zeros((n, 0))), (whole, empty), (), "breslow")
        at = profile(np.array([np.log(2 / 6)]), problem.data, problem.jumps)
        assert at.gradient == pytest.approx([0.0], abs=ROUNDING)
        assert at.baseline.jumps == pytest.approx([1.0], abs=SAME_MAXIMUM)

    def test_the_input_is_not_modified(self):
        frame = portfolio(18)
        before = frame.copy(deep=True)
        both(ties="efron").fit(frame, weights_col="n", entry_col="entry", cluster_col="obligor", **COLUMNS)
        pd.testing.assert_frame_equal(frame, before)


class TestClusters:
    @pytest.mark.parametrize("monthly", [True, False])
    @BOTH
    def test_row_scores_sum_to_zero_at_the_top(self, ties, monthly):
        frame = portfolio(20, monthly=monthly)
        beyond = frame.head(3).assign(entry=200.0, duration=250.0, cured=False)  # seen in the tail only
        frame = pd.concat([frame, beyond], ignore_index=True)
        fit = both(ties=ties).fit(frame, weights_col="n", entry_col="entry", **COLUMNS)
        problem = problem_of(frame, ties, weights_col="n", entry_col="entry")
        theta = fit.params.to_numpy()
        scores = row_scores(problem, theta, profile(theta, problem.data, problem.jumps))
        total = problem.rows.weight @ scores
        assert np.abs(total * fit.standard_errors.to_numpy()).max() < 1e-6
        assert np.abs(scores).max() > 0.1

    @pytest.mark.parametrize("monthly", [True, False])
    def test_a_row_score_is_what_the_estimate_moves_by_when_the_row_weighs_more(self, monthly):
        # d(estimate) / d(weight of a row) = covariance x score: for events, event-free, late and tail rows alike.
        frame = portfolio(21, n=150, monthly=monthly).assign(n=1.0)
        fit = both().fit(frame, weights_col="n", entry_col="entry", **COLUMNS)
        problem = problem_of(frame, "breslow", weights_col="n", entry_col="entry")
        theta = fit.params.to_numpy()
        scores = row_scores(problem, theta, profile(theta, problem.data, problem.jumps))[problem.rows.inverse]
        late, cured = frame["entry"] > 0, frame["cured"]
        tail = frame["duration"] > fit.last_event_time
        kinds = [cured & ~late, cured & late, ~cured & ~tail & ~late, ~cured & ~tail & late, tail & ~late, tail & late]
        for row in [kind.to_numpy().argmax() for kind in kinds if kind.any()]:
            ends = []
            for weight in (1.001, 0.999):
                moved = frame.assign(n=np.where(np.arange(len(frame)) == row, weight, 1.0))
                ends.append(both().fit(moved, weights_col="n", entry_col="entry", **COLUMNS).params.to_numpy())
            influence = (ends[0] - ends[1]) / 0.002
            np.testing.assert_allclose(influence, fit.cov.to_numpy() @ scores[row], rtol=1e-3, atol=1e-5)

    @BOTH
    def test_copies_of_an_episode_inside_its_obligor_do_not_shrink_the_robust_errors(self, ties):
        # Breslow's and, for many rows, Efron's estimates stay nearly where they are when every row is doubled.
        frame = portfolio(22, monthly=False)
        frame["obligor"] = np.arange(len(frame))
        once = both(ties="breslow").fit(frame, cluster_col="obligor", **COLUMNS)
        twice = pd.concat([frame, frame], ignore_index=True)
        copies = both(ties=ties).fit(twice, cluster_col="obligor", **COLUMNS)
        np.testing.assert_allclose(once.standard_errors, copies.standard_errors, rtol=0.02)
        assert copies.n_clusters == len(frame)

    def test_one_cluster_is_refused(self):
        with pytest.raises(InsufficientDataError, match="one value only"):
            both().fit(portfolio(23).assign(obligor=1), cluster_col="obligor", **COLUMNS)


class TestPredictions:
    @pytest.fixture
    def fit(self):
        return both().fit(portfolio(30, n=200), entry_col="entry", **COLUMNS)

    @pytest.fixture
    def asked(self):
        return pd.DataFrame({"product": ["card", "mortgage", "card"], "ltv": [0.0, 1.0, -1.0]}, index=["x", "y", "z"])

    def test_survival_follows_the_formula_of_the_mixture(self, fit, asked):
        gamma, beta, _ = at_zero(fit)
        design = np.array([[1, 0, 0.0], [1, 1, 1.0], [1, 0, -1.0]])
        p, e = 1 / (1 + np.exp(-design @ gamma)), np.exp(design[:, 1:] @ beta)
        hazard = fit.baseline["cumulative_hazard"]
        passed = np.array([0.0, hazard[hazard.index <= 3].iloc[-1], hazard[hazard.index <= 12.5].iloc[-1], np.inf])
        expected = 1 - p[:, None] + p[:, None] * np.exp(-passed * e[:, None])
        times = [0, 3, 12.5, 1000]
        survival = fit.predict_survival(asked, times)
        np.testing.assert_allclose(survival, expected, rtol=1e-9)
        np.testing.assert_allclose(fit.predict_cumulative_incidence(asked, times), 1 - expected, atol=1e-12)
        assert list(survival.index) == ["x", "y", "z"]
        assert list(survival.columns) == times
        pd.testing.assert_series_equal(
            fit.predict_susceptible(asked), pd.Series(p, asked.index, name="prob_susceptible")
        )

    @BOTH
    def test_intervals_are_those_of_the_whole_information_matrix_by_differences(self, ties, asked):
        # The likelihood of all parameters and jumps, added up by hand and differenced twice, then the delta method.
        frame = portfolio(31, n=100).assign(duration=lambda f: np.ceil(f["duration"] / 6), entry=0.0)
        fit = both(ties=ties).fit(frame, **COLUMNS)
        gamma, beta, jumps = at_zero(fit)
        centre, n = np.concatenate([gamma, beta, np.log(jumps)]), 5 + len(jumps)

        def loglik(x):
            return brute_force(x[:3], x[3:5], np.exp(x[5:]), frame, ties)

        step = 1e-3 * np.eye(n)
        lower = np.zeros((n, n))
        for i, j in zip(*np.tril_indices(n), strict=True):
            corners = [s * t * loglik(centre + s * step[i] + t * step[j]) for s in (1, -1) for t in (1, -1)]
            lower[i, j] = sum(corners) / 4e-6
        covariance = np.linalg.inv(-(lower + np.tril(lower, -1).T))
        assert fit.standard_errors.to_numpy() == pytest.approx(np.sqrt(np.diag(covariance))[:5], rel=1e-3)
        times = [1.0, 3.0]
        design = np.array([[1, 0, 0.0], [1, 1, 1.0], [1, 0, -1.0]])

        def log_minus_log(x, time):
            p, e = 1 / (1 + np.exp(-design @ x[:3])), np.exp(design[:, 1:] @ x[3:5])
            passed = np.exp(x[5:])[fit.baseline.index <= time].sum()
            return np.log(-np.log(1 - p + p * np.exp(-passed * e)))

        band = fit.predict_survival(asked, times, interval=True)
        for time in times:
            slopes = np.array(
                [(log_minus_log(centre + d, time) - log_minus_log(centre - d, time)) / 2e-3 for d in step]
            )
            half = stats.norm.ppf(0.975) * np.sqrt(np.einsum("ir,ij,jr->r", slopes, covariance, slopes))
            here = band.xs(time, level="time")
            middle = np.log(-np.log(here["value"]))
            np.testing.assert_allclose(np.log(-np.log(here["lower"])) - middle, half, rtol=2e-3)
            np.testing.assert_allclose(middle - np.log(-np.log(here["upper"])), half, rtol=2e-3)

    def test_the_mean_curve_is_the_weighted_mean_of_the_rows_and_its_band_that_of_one_row_for_equal_rows(
        self, fit, asked
    ):
        weights = [1.0, 2.0, 5.0]
        curve = fit.mean_curve(asked, [3, 6, 50], weights)
        rows = fit.predict_cumulative_incidence(asked, [3, 6, 50]).to_numpy()
        np.testing.assert_allclose(curve([3, 6, 50]), np.average(rows, axis=0, weights=weights), rtol=1e-10)
        assert (curve.times[0], curve.values[0], curve.upper[0]) == (0.0, 0.0, 0.0)
        same = asked.iloc[[1, 1]]
        single = fit.predict_survival(asked.iloc[[1]], [3, 50], interval=True)
        mean = fit.mean_curve(same, [3, 50], quantity="survival")
        np.testing.assert_allclose(mean.lower[1:], single["lower"], rtol=1e-9)
        np.testing.assert_allclose(mean.upper[1:], single["upper"], rtol=1e-9)

    def test_the_share_never_having_the_event_averages_over_the_episodes_fitted(self, fit):
        frame = portfolio(30, n=200)
        assert fit.never.value == pytest.approx(1 - fit.predict_susceptible(frame).mean(), abs=1e-12)
        assert fit.never.lower < fit.never.value < fit.never.upper

    def test_beyond_the_last_event_only_the_zero_tail_may_speak(self):
        frame = portfolio(32, late=False)
        cut = frame["duration"].quantile(0.4)
        stopped = frame[frame["duration"] <= cut]
        stopped = pd.concat([stopped, stopped[stopped["cured"]].head(1).assign(duration=cut + 1)])
        fit = both().fit(stopped, **COLUMNS)
        assert fit.n_tail == 0
        assert fit.predict_survival(frame.head(2), cut + 1).shape == (2, 1)
        with pytest.raises(ExtrapolationError, match=r"the last event is at .* no episode was seen event-free after"):
            fit.predict_survival(frame.head(2), [1, cut + 2])
        with pytest.raises(ExtrapolationError, match="the last event"):
            fit.mean_curve(frame, [1, cut + 2])

    def test_unseen_levels_missing_values_and_times_are_refused(self, fit, asked):
        with pytest.raises(ExtrapolationError, match=r"product has the levels lease.*saw"):
            fit.predict_susceptible(asked.replace({"product": {"mortgage": "lease"}}))
        with pytest.raises(ContractError, match="column 'ltv' of the formula is missing"):
            fit.predict_survival(asked[["product"]], [1])
        for times in ([-1.0], [np.nan], []):
            with pytest.raises(ValueError, match="times"):
                fit.predict_survival(asked, times)
        with pytest.raises(ValueError, match="weights must be 3 numbers"):
            fit.mean_curve(asked, [1], [1.0, -1.0, 1.0])


class TestSimulation:
    @pytest.fixture
    def fit(self):
        return both(ties="efron").fit(portfolio(30, n=400), entry_col="entry", **COLUMNS)

    asked = pd.DataFrame({"product": ["card", "mortgage"], "ltv": [0.0, 1.0]})

    def test_percentiles_of_draws_lie_where_the_delta_method_puts_them(self, fit):
        drawn = {"method": "simulation", "rng": np.random.default_rng(1), "n_draws": 1000}
        for table in (
            lambda **o: fit.predict_susceptible(self.asked, interval=True, **o),
            lambda **o: fit.predict_survival(self.asked, [3, 12, 100], interval=True, **o),
            lambda **o: fit.predict_cumulative_incidence(self.asked, [3, 12, 100], interval=True, **o),
        ):
            delta, simulated = table(), table(**drawn)
            width = delta["upper"] - delta["lower"]
            for side in ("value", "lower", "upper"):
                assert ((simulated[side] - delta[side]).abs() < MONTE_CARLO * width).all()

    def test_the_error_of_the_baseline_is_drawn_with_that_of_the_coefficients(self):
        # Without covariates the coefficients say nothing of the time: before the last event it is the baseline's error.
        frame = portfolio(33, n=300, late=False)
        fit = CoxCureModel().fit(frame, **COLUMNS)
        drawn = {"method": "simulation", "rng": np.random.default_rng(2), "n_draws": 2000}
        delta, simulated = (fit.mean_curve(frame, [6.0, 15.0], **o) for o in ({}, drawn))
        np.testing.assert_allclose(simulated.values, delta.values, atol=ROUNDING)
        np.testing.assert_allclose(simulated.standard_errors[1:], delta.standard_errors[1:], rtol=0.1)
        share = fit.standard_errors.iloc[0] * fit.never.value * (1 - fit.never.value)
        assert delta.standard_errors[1] > 1.2 * share * delta.values[1] / (1 - fit.never.value)

    def test_a_seed_repeats_the_draws_and_a_generator_is_needed(self, fit):
        options = {"interval": True, "method": "simulation", "n_draws": 100}
        one, two = (fit.predict_survival(self.asked, [6], rng=np.random.default_rng(3), **options) for _ in range(2))
        pd.testing.assert_frame_equal(one, two)
        with pytest.raises(ValueError, match="simulation needs rng"):
            fit.predict_survival(self.asked, [6], **options)
        with pytest.raises(ValueError, match="method is 'bootstrap'"):
            fit.mean_curve(self.asked, [6], method="bootstrap")


class TestResiduals:
    def test_by_hand_on_eight_loans(self):
        # P(open) after month 1, 2 and later 0.8175314, 0.6958279, 0.625 (see TestByHand): minus their logs.
        loans = TestByHand.loans
        fit = CoxCureModel().fit(loans, duration_col="months", event_col="cured")
        found = fit.residuals(loans)
        hazard = -np.log([0.8175314, 0.6958279, 0.625])
        assert found["upper"].head(3).to_list() == pytest.approx([hazard[0], hazard[0], hazard[1]], abs=1e-6)
        assert found["lower"].to_list() == pytest.approx([0, 0, hazard[0], *[hazard[2]] * 5], abs=1e-6)
        assert found["residual"].iloc[3:].to_list() == pytest.approx([hazard[2]] * 5, abs=1e-6)
        width = hazard[1] - hazard[0]
        assert found["residual"].iloc[2] == pytest.approx(hazard[0] + 1 - width / np.expm1(width), abs=1e-6)
        assert list(found["event"]) == [True] * 3 + [False] * 5

    def test_an_interval_without_end_has_the_mean_of_the_exponential_beyond_it(self):
        lower, upper = np.array([0.0, 1.5, 1.5]), np.array([np.inf, np.inf, 900.0])
        found = residual_table(0.0, lower, upper, np.ones(3, dtype=bool), pd.RangeIndex(3))
        assert found["residual"].to_list() == pytest.approx([1.0, 2.5, 2.5], abs=ROUNDING)

    def test_they_are_minus_the_log_of_what_is_left_since_entry(self):
        frame = portfolio(34, n=300)
        fit = both().fit(frame, entry_col="entry", weights_col="n", **COLUMNS)
        found = fit.residuals(frame)
        for row in [*frame.index[frame["cured"]][:5], *frame.index[~frame["cured"]][:5]]:
            times = [frame.loc[row, "entry"], frame.loc[row, "duration"]]
            left = fit.predict_survival(frame.loc[[row]], times).to_numpy()[0]
            start = 1.0 if times[0] == 0 else left[0]  # who was seen from 0 is at risk at time 0 too
            end = found.loc[row, "upper" if frame.loc[row, "cured"] else "lower"]
            assert end == pytest.approx(np.log(start / left[1]), abs=ROUNDING)

    @BOTH
    def test_there_are_about_as_many_events_as_hazard_lived_through(self, ties):
        frame = portfolio(35, n=2000)
        found = both(ties=ties).fit(frame, entry_col="entry", **COLUMNS).residuals(frame)
        assert found["event"].sum() / found["residual"].sum() == pytest.approx(1.0, abs=0.03)


class TestComparisons:
    def test_a_covariate_more_is_a_nested_comparison_of_profile_likelihoods(self):
        frame = portfolio(36)
        small = CoxCureModel(incidence="~ product", latency="~ product").fit(frame, **COLUMNS)
        found = compare_nested(small, both().fit(frame, **COLUMNS))
        assert (found.n_extra, found.caution) == (2, None)
        assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 2), rel=1e-9)
        assert found.p_value < 1e-4  # ltv moves both parts of this portfolio

    @pytest.mark.slow
    def test_when_a_covariate_moves_nothing_p_values_are_uniform(self):
        p_values = []
        for seed in range(120):
            frame = portfolio(3000 + seed, n=200, gamma=(0.4, -0.8, 0.0), beta=(0.5, 0.0))
            small = CoxCureModel(incidence="~ product", latency="~ product", ties="efron").fit(frame, **COLUMNS)
            p_values.append(compare_nested(small, both(ties="efron").fit(frame, **COLUMNS)).p_value)
        assert stats.kstest(p_values, "uniform").pvalue > 0.01

    def test_other_ties_other_rows_and_other_models_do_not_compare(self):
        frame = portfolio(37)
        fit = both().fit(frame, **COLUMNS)
        with pytest.raises(
            ValueError, match="Cox cure model with breslow ties is not held by a Cox cure model with ef"
        ):
            compare_nested(fit, both(ties="efron").fit(frame, **COLUMNS))
        with pytest.raises(ValueError, match="different data"):
            compare_nested(CoxCureModel().fit(frame.head(400), **COLUMNS), fit)
        with pytest.raises(ValueError, match="different data"):
            compare_fits({"cox": fit, "weibull": MixtureCureModel().fit(frame, **COLUMNS)})


class TestWhatAFitSays:
    @pytest.fixture
    def fit(self):
        return CoxCureModel(incidence="~ product", latency="~ ltv").fit(
            portfolio(40), event_name="cured (returned to performing)", **COLUMNS
        )

    def test_the_sentence_names_the_event_the_share_never_having_it_and_what_it_rests_on(self, fit):
        text = fit.sentence()
        assert text.startswith("Event: cured (returned to performing). Of ")
        assert f"{fit.never.value:.1%}" in text
        assert f"{fit.n_tail:,.0f} episodes were still without it after the last event" in text

    def test_the_record_goes_through_json_and_holds_every_parameter(self, fit):
        record = json.loads(json.dumps(fit.to_record(), allow_nan=False))
        assert [row["term"] for row in record["params"]] == list(fit.params.index.get_level_values("term"))
        assert (record["loglik"], record["never"]["value"]) == (fit.loglik, fit.never.value)

    def test_summary_and_frame_carry_estimate_error_and_interval(self, fit):
        summary = fit.summary()
        np.testing.assert_allclose(summary["upper"] - summary["lower"], 2 * stats.norm.ppf(0.975) * fit.standard_errors)
        np.testing.assert_allclose(summary["p_value"], 2 * stats.norm.sf(summary["z"].abs()), atol=1e-12)
        assert list(fit.to_frame().columns[:3]) == ["part", "term", "estimate"]
        assert "never to have it" in fit._repr_html_()

    def test_criteria_count_coefficients_and_episodes(self, fit):
        assert fit.aic == pytest.approx(2 * 3 - 2 * fit.loglik)
        assert fit.bic == pytest.approx(3 * np.log(fit.n_episodes) - 2 * fit.loglik)

    def test_a_fit_survives_pickling(self, fit):
        again = pickle.loads(pickle.dumps(fit))
        pd.testing.assert_frame_equal(
            again.predict_survival(portfolio(40), [5.0]), fit.predict_survival(portfolio(40), [5.0])
        )

    def test_the_search_is_reported(self, fit):
        assert 1 <= fit.n_agreed <= fit.n_starts
        assert fit.n_iterations >= 1


class TestTooLittle:
    columns: ClassVar = {"duration_col": "t", "event_col": "e"}

    def test_no_event(self):
        with pytest.raises(InsufficientDataError, match="none of the 4 episodes has the event"):
            CoxCureModel().fit(pd.DataFrame({"t": [1, 2, 3, 4], "e": [0] * 4}), **self.columns)

    def test_all_events_at_one_time(self):
        with pytest.raises(InsufficientDataError, match="all 6 events"):
            CoxCureModel().fit(pd.DataFrame({"t": [2.0] * 6 + [3.0] * 4, "e": [1] * 6 + [0] * 4}), **self.columns)

    def test_fewer_events_than_coefficients(self):
        frame = pd.DataFrame({"t": [1, 2, 5, 5], "e": [1, 1, 0, 0], "x": [1.0, 2, 3, 5]})
        with pytest.raises(InsufficientDataError, match="2 events cannot carry 3 parameters"):
            CoxCureModel(incidence="~ x", latency="~ x").fit(frame, **self.columns)

    def test_a_level_without_event_is_named(self):
        frame = portfolio(50)
        lease = ~frame["cured"] & (frame.index % 5 == 0)
        frame = frame.assign(product=np.where(lease, "lease", frame["product"]))
        with pytest.raises(InsufficientDataError, match=r"no episode with product\[T.lease\] has the event"):
            CoxCureModel(incidence="~ product").fit(frame, **COLUMNS)
        baseline = frame.replace({"product": {"lease": "a lease"}})
        with pytest.raises(InsufficientDataError, match=r"runs to 0.*separate"):
            CoxCureModel(incidence="~ product").fit(baseline, **COLUMNS)

    def test_a_level_whose_events_all_come_last_has_no_hazard_ratio(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"g": ["a"] * 60 + ["b"] * 60, "e": ([1] * 40 + [0] * 20) * 2})
        frame["t"] = np.where(frame["g"] == "a", rng.integers(1, 10, 120), rng.integers(12, 20, 120))
        frame["t"] = np.where(frame["e"] == 1, frame["t"], 30)
        with pytest.raises(InsufficientDataError, match=r"latency: .*g\[T.b\] separates the order of the events"):
            CoxCureModel(incidence="~ g", latency="~ g").fit(frame, **self.columns)

    def test_columns_that_repeat_each_other_or_the_baseline_are_named(self):
        frame = portfolio(51).assign(twin=lambda f: f["product"].str.upper(), same=1.0)
        with pytest.raises(InsufficientDataError, match="determine each other"):
            CoxCureModel(latency="~ product + twin").fit(frame, **COLUMNS)
        with pytest.raises(InsufficientDataError, match=r"product\[card\], product\[mortgage\] determine each other"):
            CoxCureModel(latency="~ 0 + product").fit(frame, **COLUMNS)
        with pytest.raises(InsufficientDataError, match="same has the same value in every episode"):
            CoxCureModel(latency="~ same").fit(frame, **COLUMNS)

    def test_a_group_in_which_everyone_cures_has_no_standard_error_and_the_others_keep_theirs(self):
        frame = portfolio(52, n=800, late=False)
        frame = frame[(frame["product"] == "card") | frame["cured"]]
        fit = CoxCureModel(incidence="~ product", latency="~ product").fit(frame, **COLUMNS)
        term = ("incidence", "product[T.mortgage]")
        assert list(fit.standard_errors.index[fit.standard_errors.isna()]) == [term]
        assert fit.cov.loc[term].isna().all()
        assert "upper bound of 1 for" in fit.boundary
        assert "note that incidence is at its upper bound" in fit.sentence()
        interval = fit.predict_susceptible(frame.drop_duplicates("product"), interval=True)
        assert interval["lower"].isna().sum() == 1

    def test_when_no_start_converges_the_error_says_what_was_tried(self, monkeypatch):
        monkeypatch.setattr(_cox_cure_estimation, "_ITERATIONS", 0)
        with pytest.raises(ConvergenceError, match=r"climbs of a Cox cure model with 5 coefficients.*Try fewer"):
            both().fit(portfolio(53), **COLUMNS)


class TestBorder:
    def test_events_known_as_intervals_are_refused_in_words(self):
        frame = portfolio(62).assign(lower=1.0, upper=2.0)
        for columns in ({"lower_col": "lower", "upper_col": "upper"}, {**COLUMNS, "upper_col": "upper"}, {}):
            with pytest.raises(
                ValueError, match=r"needs duration_col and event_col.*wider intervals use MixtureCureModel"
            ):
                CoxCureModel().fit(frame, **columns)

    def test_every_fault_of_the_rows_is_named_at_once(self):
        frame = portfolio(60).head(6).assign(duration=[1.0, -2, 3, 0, 2, np.nan], cured=[1, 0, 2, 1, 0, 1])
        frame["n"] = [1, 1, 1, 1, 0, 1]
        with pytest.raises(ContractError) as caught:
            CoxCureModel().fit(frame, weights_col="n", **COLUMNS)
        rules = [violation.rule for violation in caught.value.violations]
        assert any("n must be a number above 0" in rule for rule in rules)
        assert any("cured must be True or False" in rule for rule in rules)
        assert any("duration must be a number of months, 0 or more" in rule for rule in rules)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"ties": "exact"}, "ties is 'exact'; allowed are 'breslow', 'efron'"),
            ({"incidence": "y ~ x"}, "incidence formula 'y ~ x' has a left side"),
            ({"latency": "~ x +"}, "latency formula '~ x .' cannot be read"),
        ],
    )
    def test_choices_are_checked_when_they_are_made(self, options, message):
        with pytest.raises(ValueError, match=message):
            CoxCureModel(**options)

    def test_covariates_must_be_there_and_finite_and_the_level_a_share(self):
        frame = portfolio(61)
        with pytest.raises(ContractError, match="column 'region' of the formula is missing"):
            CoxCureModel(incidence="~ region").fit(frame, **COLUMNS)
        with pytest.raises(ContractError, match="column 'when' is missing"):
            CoxCureModel().fit(frame, duration_col="when", event_col="cured")
        with pytest.raises(ValueError, match="level is 95"):
            CoxCureModel().fit(frame, level=95, **COLUMNS)
        frame.loc[3, "ltv"] = np.nan
        with pytest.raises(ContractError, match="ltv must be there and finite in every row: 1 row, first row 3"):
            both().fit(frame, **COLUMNS)


@pytest.mark.slow
@pytest.mark.parametrize(("ties", "monthly"), [("efron", True), ("breslow", False)])
def test_intervals_cover_the_truth_at_about_their_level(ties, monthly):
    # 500 portfolios of 700 episodes, late entry included; the binomial error of a share of 95 % in 500 is 1 point.
    truth = np.array([0.4, -0.8, 0.5, 0.5, -0.4])
    asked = pd.DataFrame({"product": ["card"], "ltv": [0.0]})
    # P(open at 6) of a card at ltv 0: 1 - p + p (1 - 6 / 30)^3.
    p = 1 / (1 + np.exp(-0.4))
    open_at_6 = 1 - p + p * 0.8**3
    covered, curve = [], []
    for seed in range(500):
        frame = portfolio(1000 + seed, n=700, monthly=monthly)
        fit = both(ties=ties).fit(frame, entry_col="entry", **COLUMNS)
        covered.append(np.abs(fit.params.to_numpy() - truth) < 1.96 * fit.standard_errors.to_numpy())
        band = fit.predict_survival(asked, [6.0], interval=True).iloc[0]
        curve.append(band["lower"] < open_at_6 < band["upper"])
    assert np.mean(covered, axis=0) == pytest.approx(np.full(5, 0.95), abs=0.03)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
    assert np.mean(curve) == pytest.approx(0.95, abs=0.03)
