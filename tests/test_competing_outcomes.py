"""Competing outcomes: by hand, against an independent likelihood and other programs, at its limits and edges."""

import json
import pickle
from functools import cache
from itertools import pairwise

import lifelines
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from recoverykit.errors import ContractError, ConvergenceError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators import _competing_estimation, _competing_prediction, _mixture_thinning, _simulation
from recoverykit.estimators._competing_data import make_problem, read_outcomes
from recoverykit.estimators._competing_kernels import evaluate
from recoverykit.estimators._event_times import compress_rows
from recoverykit.estimators.competing_outcomes import CompetingOutcomesModel
from recoverykit.estimators.distributions import LATENCY_DISTRIBUTIONS, standard_distribution
from recoverykit.estimators.mixture_cure import MixtureCureModel, compare_fits, compare_nested
from recoverykit.estimators.nonparametric import aalen_johansen

#: Two codes of one likelihood, summed in another order.
ROUNDING = 1e-9
#: Newton's method stops within 1e-9 of the top in log-likelihood, about 1e-5 standard errors off and mostly far less.
SAME_MAXIMUM = 1e-5
#: One outcome is climbed by other code on the same rows.
SAME_MODEL = 1e-6
#: lifelines stops when its gradient is about 1e-5 to 1e-4 per row.
PEER_STOPS = 1e-3
#: Central differences of a log-likelihood of some hundreds, relative to its largest derivative.
DIFFERENCES = 1e-6
#: Quadrature with 40 nodes of a smooth function between 0 and 1.
QUADRATURE = 1e-6
#: Percentiles of 1,000 draws against the delta method, in widths of the interval; they differ in their skewness too.
MONTE_CARLO = 0.15

OUTCOMES = ("cured", "repaid", "liquidated", "sold", "written_off")
STANDARD = {
    "exponential": stats.gumbel_l,
    "weibull": stats.gumbel_l,
    "lognormal": stats.norm,
    "loglogistic": stats.logistic,
}
#: True incidence (intercept, x, mortgage) against never resolving, and latency (intercept, x, log sigma), by outcome.
INCIDENCE = np.array([[1.0, 0.5, 0.3], [0.2, 0.2, 0.0], [0.0, -0.4, 0.8], [-0.5, 0.0, -0.2], [0.4, -0.6, -0.5]])
LATENCY = np.array([[1.8, 0.2, -0.2], [2.3, -0.1, -0.5], [3.2, 0.3, -0.7], [2.9, 0.0, -0.7], [3.0, 0.1, -0.4]])
INTERVAL = {"lower_col": "lower", "upper_col": "upper"}


def portfolio(seed, n=900, *, n_outcomes=3, never=True, observed=(24, 72), late=False):
    """Simulate episodes with Weibull latencies; months are ceilings, entry is late for some."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, n) / 2.0 - 0.75
    product = rng.choice(["card", "mortgage"], n)
    design = np.column_stack([np.ones(n), x, product == "mortgage"])
    odds = np.column_stack([design @ INCIDENCE[:n_outcomes].T, np.zeros(n) if never else np.full(n, -np.inf)])
    share = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    kind = (share.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    b0, b1, log_sigma = np.vstack([LATENCY[:n_outcomes], [np.inf, 0.0, 0.0]])[kind].T
    time = np.exp(b0 + b1 * x + np.exp(log_sigma) * np.log(-np.log(rng.random(n))))
    entry = np.where(rng.random(n) < 0.3, rng.integers(1, 6, n), 0) if late else np.zeros(n, dtype=int)
    end = entry + rng.integers(*observed, n)
    ended = time <= end
    frame = pd.DataFrame(
        {
            "product": product,
            "x": x,
            "entry": entry.astype(float),
            "duration": np.minimum(time, end),
            "month": np.minimum(np.ceil(time), end),
            "outcome": np.where(ended, np.array([*OUTCOMES[:n_outcomes], "open"])[kind], "open"),
            "lower": np.where(ended, np.ceil(time) - 1, end),
            "upper": np.where(ended, np.ceil(time), np.inf),
            "n": rng.integers(1, 4, n).astype(float),
            "obligor": rng.integers(0, n // 2, n),
        }
    )
    return frame[time > entry].reset_index(drop=True)


def brute_force_rows(params, distribution, frame, *, exact, never=True):
    """Log-likelihood of each row with scipy's distributions, outcome by outcome and without any trick."""
    columns = {"Intercept": np.ones(len(frame)), "x": frame["x"], "product[T.mortgage]": frame["product"] == "mortgage"}

    def predictor(part, outcome):
        chosen = [(term, b) for (p, o, term), b in params.items() if (p, o) == (part, outcome)]
        return sum(b * np.asarray(columns[term], dtype=float) for term, b in chosen)

    outcomes = list(dict.fromkeys(o for p, o, _ in params.index if p == "latency"))
    odds = {k: np.exp(predictor("incidence", k)) * np.ones(len(frame)) for k in outcomes}
    total = sum(odds.values()) + (1.0 if never else 0.0)

    def latency(k, function, time):
        sigma = np.exp(params.get(("ancillary", k, "log_sigma"), 0.0))
        with np.errstate(divide="ignore"):
            return getattr(STANDARD[distribution[k]], function)(np.log(time), loc=predictor("latency", k), scale=sigma)

    def still_open(time):
        stay = 1.0 if never else 0.0
        return (stay + sum(odds[k] * latency(k, "sf", time) for k in outcomes)) / total

    chance = still_open(frame["duration"] if exact else frame["lower"])
    for k in outcomes:
        if exact:
            ends = latency(k, "pdf", frame["duration"]) / frame["duration"]
        else:
            ends = latency(k, "sf", np.maximum(frame["lower"], frame["entry"])) - latency(k, "sf", frame["upper"])
        chance = np.where(frame["outcome"] == k, odds[k] / total * ends, chance)
    return np.log(chance) - np.log(still_open(frame["entry"]))


def same_parts(frame, **options):
    return CompetingOutcomesModel(incidence="~ product + x", latency="~ x", **options)


@cache
def fitted(seed=1, n_outcomes=3, **options):
    frame = portfolio(seed, n_outcomes=n_outcomes, late=True)
    model = CompetingOutcomesModel(incidence="~ product + x", latency="~ x")
    return frame, model.fit(frame, outcome_col="outcome", entry_col="entry", **INTERVAL, **options)


class TestByHand:
    def test_twenty_loans_in_two_intervals_have_a_closed_solution(self):
        # Exponential latencies with hazards h_c, h_s. Cured: 4 in (0, 1], 2 in (1, 2]: e^-h_c = 2/4 and
        # pi_c (1 - 1/2) = 4/20, so pi_c = 0.4. Sold: 3 and 1: e^-h_s = 1/3 and pi_s (1 - 1/3) = 3/20, pi_s = 0.225.
        # Never: 0.375; open at 2: 0.375 + 0.4 / 4 + 0.225 / 9 = 0.5 = 10 of 20.
        loans = pd.DataFrame(
            {
                "lower": [0, 1, 0, 1, 2],
                "upper": [1, 2, 1, 2, np.inf],
                "outcome": ["cured", "cured", "sold", "sold", "open"],
                "n": [4, 2, 3, 1, 10],
            }
        )
        model = CompetingOutcomesModel(distribution="exponential")
        fit = model.fit(loans, outcome_col="outcome", weights_col="n", **INTERVAL)
        expected = [np.log(0.4 / 0.375), np.log(0.225 / 0.375), -np.log(np.log(2)), -np.log(np.log(3))]
        assert fit.params.to_list() == pytest.approx(expected, abs=SAME_MAXIMUM)
        counts = np.array([4, 2, 3, 1, 10])
        assert fit.loglik == pytest.approx(counts @ np.log(counts / 20), abs=1e-7)
        assert (fit.n_episodes, fit.n_events) == (20, 10)
        assert fit.n_by_outcome == {"cured": 6, "sold": 4}
        assert fit.never.value == pytest.approx(0.375, abs=SAME_MAXIMUM)

    def test_when_every_loan_has_ended_shares_and_mean_times_are_the_estimate(self):
        # Cured at 1, 2, 3: share 3/5, mean 2. Sold at 4, 6: share 2/5, mean 5. Log odds of sold against cured
        # log(2/3) with error sqrt(1/2 + 1/3); a log mean of n times has the error 1 / sqrt(n).
        loans = pd.DataFrame({"month": [1, 2, 3, 4, 6], "outcome": ["cured"] * 3 + ["sold"] * 2})
        model = CompetingOutcomesModel(distribution="exponential", never_resolves=False)
        fit = model.fit(loans, duration_col="month", outcome_col="outcome")
        assert list(fit.params.index) == [
            ("incidence", "sold", "Intercept"),
            ("latency", "cured", "Intercept"),
            ("latency", "sold", "Intercept"),
        ]
        assert fit.params.to_list() == pytest.approx([np.log(2 / 3), np.log(2), np.log(5)], abs=SAME_MAXIMUM)
        errors = [np.sqrt(1 / 2 + 1 / 3), 1 / np.sqrt(3), 1 / np.sqrt(2)]
        assert fit.standard_errors.to_list() == pytest.approx(errors, rel=SAME_MAXIMUM)
        loglik = 3 * np.log(3 / 5) + 2 * np.log(2 / 5) - 3 * np.log(2) - 3 - 2 * np.log(5) - 2
        assert fit.loglik == pytest.approx(loglik, abs=1e-8)
        assert fit.never is None


class TestOneOutcomeIsTheMixtureCureModel:
    @pytest.mark.parametrize("form", ["exact", "interval"])
    @pytest.mark.parametrize("distribution", ["weibull", "exponential", "lognormal", "loglogistic", "gamma"])
    def test_with_late_entry_weights_and_clusters(self, distribution, form):
        frame = portfolio(2, n_outcomes=1, late=True)
        frame["cured"] = frame["outcome"] == "cured"
        columns = {"weights_col": "n", "entry_col": "entry", "cluster_col": "obligor"}
        columns |= INTERVAL if form == "interval" else {"duration_col": "duration"}
        choices = {"distribution": distribution, "incidence": "~ product + x", "latency": "~ x"}
        ours = CompetingOutcomesModel(**choices).fit(frame, outcome_col="outcome", **columns)
        event = {} if form == "interval" else {"event_col": "cured"}
        one = MixtureCureModel(**choices).fit(frame, **columns, **event)
        assert ours.loglik == pytest.approx(one.loglik, abs=SAME_MODEL)
        assert list(ours.params.droplevel("outcome").index) == list(one.params.index)
        np.testing.assert_allclose(ours.params, one.params, atol=SAME_MODEL)
        np.testing.assert_allclose(ours.standard_errors, one.standard_errors, rtol=SAME_MODEL)
        assert ours.never.lower == pytest.approx(one.never.lower, abs=SAME_MODEL)
        asked, times = frame.head(5), [0.0, 3.0, 24.0]
        np.testing.assert_allclose(ours.predict_susceptible(asked), one.predict_susceptible(asked), atol=SAME_MODEL)
        for method in ("predict_survival", "predict_cumulative_incidence"):
            left = getattr(ours, method)(asked, times, interval=True)
            right = getattr(one, method)(asked, times, interval=True)
            np.testing.assert_allclose(left, right, atol=SAME_MODEL)


class TestBackground:
    @pytest.mark.parametrize("form", ["exact", "interval"])
    def test_with_one_outcome_it_is_that_of_the_mixture_cure_model(self, form):
        frame = portfolio(31, n_outcomes=1, late=True).assign(known=lambda f: 0.002 * f["n"])
        frame["cured"] = frame["outcome"] == "cured"
        columns = {"entry_col": "entry"} | (INTERVAL if form == "interval" else {"duration_col": "duration"})
        choices = {"incidence": "~ product", "latency": "~ x"}
        ours = CompetingOutcomesModel(**choices).fit(
            frame, outcome_col="outcome", background_cols={"cured": "known"}, **columns
        )
        event = {} if form == "interval" else {"event_col": "cured"}
        one = MixtureCureModel(**choices).fit(frame, background_col="known", **columns, **event)
        assert ours.loglik == pytest.approx(one.loglik, abs=SAME_MODEL)
        np.testing.assert_allclose(ours.params, one.params, atol=SAME_MAXIMUM)
        np.testing.assert_allclose(ours.standard_errors, one.standard_errors, rtol=SAME_MAXIMUM)

    @pytest.mark.parametrize("form", ["exact", "interval"])
    def test_the_likelihood_of_several_is_that_added_up_row_by_row(self, form):
        frame = portfolio(32, 300, n_outcomes=2).assign(known=lambda f: 0.01 * f["n"], other=0.004)
        exact, known = form == "exact", {"cured": "known", "repaid": "other"}
        columns = {"duration_col": "duration"} if exact else INTERVAL
        fit = CompetingOutcomesModel(incidence="~ x").fit(
            frame, outcome_col="outcome", background_cols=known, **columns
        )
        end = frame["duration"] if exact else frame["upper"].where(frame["upper"] < np.inf, frame["lower"])
        times, place = np.unique(end, return_inverse=True)
        still_open = fit.predict_survival(frame, times).to_numpy()[np.arange(len(frame)), place]
        own = np.exp(brute_force_rows(fit.params, dict.fromkeys(OUTCOMES, "weibull"), frame, exact=exact))
        hazard = np.select([frame["outcome"] == "cured", frame["outcome"] == "repaid"], [frame["known"], 0.004], 0.0)
        total = frame["known"] + 0.004
        added = hazard if exact else hazard / total * -np.expm1(-total * (frame["upper"] - frame["lower"]))
        rows = np.where(frame["outcome"] == "open", own, own + still_open * added)
        assert fit.loglik == pytest.approx(np.log(rows).sum(), abs=1e-7)

    def test_within_an_interval_what_may_happen_adds_up_to_one(self):
        # An episode in (3, 4]: ended by either outcome, its own or the background's, or open having escaped both.
        frame = portfolio(33, n_outcomes=2).assign(a=0.03, b=0.05)
        known = {"cured": "a", "repaid": "b"}
        fit = CompetingOutcomesModel().fit(frame, outcome_col="outcome", background_cols=known, **INTERVAL)
        curve = fit.predict_cumulative_incidence(frame.head(1), [3.0, 4.0]).iloc[0]
        left = fit.predict_survival(frame.head(1), [3.0, 4.0]).iloc[0].to_numpy()
        ends = [
            curve[k, 4.0] - curve[k, 3.0] + left[1] * h / 0.08 * -np.expm1(-0.08)
            for k, h in (("cured", 0.03), ("repaid", 0.05))
        ]
        assert sum(ends) + left[1] * np.exp(-0.08) == pytest.approx(left[0], abs=ROUNDING)

    def test_a_hazard_of_zero_changes_nothing_and_a_known_one_is_taken_out(self):
        frame = portfolio(34, 3000, n_outcomes=2).assign(none=0.0, known=0.01)
        model = CompetingOutcomesModel()
        plain = model.fit(frame, outcome_col="outcome", **INTERVAL)
        zero = model.fit(frame, outcome_col="outcome", background_cols={"repaid": "none"}, **INTERVAL)
        assert zero.loglik == pytest.approx(plain.loglik, abs=SAME_MODEL)
        # A background of repayments, at 1 % a month, is added; knowing of it the fit finds its way back.
        rng = np.random.default_rng(0)
        early = np.ceil(rng.exponential(100.0, len(frame)))
        taken = early < np.where(np.isfinite(frame["upper"]), frame["upper"], frame["lower"])
        more = frame.assign(
            outcome=frame["outcome"].where(~taken, "repaid"),
            lower=frame["lower"].where(~taken, early - 1),
            upper=frame["upper"].where(~taken, early),
        )
        ignored = model.fit(more, outcome_col="outcome", **INTERVAL)
        known = model.fit(more, outcome_col="outcome", background_cols={"repaid": "known"}, **INTERVAL)
        truth, one = plain.predict_incidence(frame.head(1)).iloc[0], frame.head(1)
        off = [abs(fit.predict_incidence(one).iloc[0] - truth).max() for fit in (ignored, known)]
        assert off[1] < 0.03 < 0.1 < off[0]

    def test_what_is_no_hazard_and_no_outcome_is_named(self):
        frame = portfolio(35, 200).assign(known=-0.1)
        model = CompetingOutcomesModel()
        with pytest.raises(ContractError, match="known must be a hazard"):
            model.fit(frame, outcome_col="outcome", background_cols={"cured": "known"}, **INTERVAL)
        with pytest.raises(ContractError, match="column 'nowhere' is missing"):
            model.fit(frame, outcome_col="outcome", background_cols={"cured": "nowhere"}, **INTERVAL)
        with pytest.raises(ValueError, match="background_cols names sold; the outcomes are cured, repaid, liquidated"):
            model.fit(frame, outcome_col="outcome", background_cols={"sold": "known"}, **INTERVAL)


class TestAgainstOtherCode:
    @pytest.mark.parametrize("never", [True, False])
    @pytest.mark.parametrize("form", ["exact", "interval"])
    def test_the_log_likelihood_is_that_added_up_with_scipy_and_stands_at_its_top(self, form, never):
        frame = portfolio(3, 300, never=never, late=True)
        distribution = {"cured": "lognormal", "repaid": "exponential", "liquidated": "loglogistic"}
        columns = INTERVAL if form == "interval" else {"duration_col": "duration"}
        fit = same_parts(frame, distribution=distribution, never_resolves=never).fit(
            frame, outcome_col="outcome", weights_col="n", entry_col="entry", **columns
        )

        def loglik(values):
            moved = pd.Series(values, index=fit.params.index)
            rows = brute_force_rows(moved, distribution, frame, exact=form == "exact", never=never)
            return float(frame["n"] @ rows)

        best = fit.params.to_numpy()
        assert fit.loglik == pytest.approx(loglik(best), abs=1e-7)
        step = 1e-4
        score = np.array([(loglik(best + d) - loglik(best - d)) / (2 * step) for d in step * np.eye(len(best))])
        # In units of standard errors the score is 0 up to the third derivative that central differences leave.
        np.testing.assert_allclose(score * fit.standard_errors, 0.0, atol=1e-4)

    def test_when_every_episode_has_ended_it_is_multinomial_logit_times_accelerated_failure_times(self):
        frame = portfolio(4, never=False, observed=(500, 501))
        assert not (frame["outcome"] == "open").any()
        fit = same_parts(frame, never_resolves=False).fit(frame, duration_col="duration", outcome_col="outcome")
        codes = frame["outcome"].map({outcome: k for k, outcome in enumerate(fit.outcomes)})
        design = np.column_stack([np.ones(len(frame)), frame["product"] == "mortgage", frame["x"]]).astype(float)
        logit = sm.MNLogit(codes, design).fit(disp=False, method="newton")
        ours = fit.params["incidence"].to_numpy()
        np.testing.assert_allclose(ours, logit.params.to_numpy().T.ravel(), atol=SAME_MAXIMUM)
        errors = fit.standard_errors["incidence"].to_numpy()
        np.testing.assert_allclose(errors, np.asarray(logit.bse).T.ravel(), rtol=SAME_MAXIMUM)
        loglik = logit.llf
        for outcome, group in frame.groupby("outcome"):
            peer = lifelines.WeibullAFTFitter().fit(group[["duration", "x"]], "duration", formula="x")
            mine = fit.params["latency", outcome]
            assert mine["x"] == pytest.approx(peer.params_["lambda_", "x"], abs=PEER_STOPS)
            loglik += peer.log_likelihood_
        assert fit.loglik == pytest.approx(loglik, abs=PEER_STOPS)

    def test_cluster_robust_errors_are_those_of_scores_taken_by_differences(self):
        frame = portfolio(5, 250, n_outcomes=2)
        fit = CompetingOutcomesModel(incidence="~ x").fit(
            frame, outcome_col="outcome", weights_col="n", cluster_col="obligor", **INTERVAL
        )
        plain = CompetingOutcomesModel(incidence="~ x").fit(frame, outcome_col="outcome", weights_col="n", **INTERVAL)
        distribution = dict.fromkeys(OUTCOMES, "weibull")

        def rows(values):
            return brute_force_rows(pd.Series(values, index=fit.params.index), distribution, frame, exact=False)

        best, step = fit.params.to_numpy(), 1e-4
        scores = np.column_stack([(rows(best + d) - rows(best - d)) / (2 * step) for d in step * np.eye(len(best))])
        sums = pd.DataFrame(scores * frame[["n"]].to_numpy()).groupby(frame["obligor"]).sum().to_numpy()
        bread = plain.cov.to_numpy()
        np.testing.assert_allclose(fit.cov, bread @ sums.T @ sums @ bread, rtol=1e-4, atol=1e-8)
        assert fit.n_clusters == frame["obligor"].nunique()

    def test_the_mean_curves_lie_on_the_aalen_johansen_curves_of_simulated_data(self):
        frame = portfolio(6, 6000, n_outcomes=5)
        fit = same_parts(frame).fit(frame, outcome_col="outcome", **INTERVAL)
        months = [3, 6, 12, 24, 60]
        fitted_curves = fit.mean_curves(frame, months)
        counted = aalen_johansen(frame, duration_col="month", outcome_col="outcome")
        assert list(fitted_curves) == list(counted) == list(OUTCOMES)
        for outcome in OUTCOMES:
            gap = fitted_curves[outcome](months) - counted[outcome](months)
            error = counted[outcome].standard_errors[np.searchsorted(counted[outcome].times, months)]
            assert (np.abs(gap) < 2.5 * error).all()  # both see the same data, so they differ by less than their error


class TestDerivatives:
    @pytest.mark.parametrize("seed", range(12))
    def test_gradient_and_hessian_are_those_of_differences(self, seed):
        rng = np.random.default_rng(seed)
        frame = portfolio(seed, 60, late=True)
        frame["kept"] = frame["outcome"].where(frame["outcome"] != "liquidated", "sold")
        exact = seed % 2 == 1
        columns = {"duration_col": "duration", "lower_col": None, "upper_col": None}
        columns = columns if exact else {"duration_col": None, **INTERVAL}
        frame["known"] = 0.02 * frame["n"]
        known = {"background_cols": {"repaid": "known", "cured": "n"}} if seed % 4 > 1 else {}
        outcomes, times = read_outcomes(
            frame, outcome_col="outcome", censored="open", weights_col="n", entry_col="entry", **columns, **known
        )
        rows = compress_rows(times, frame, ("x", "outcome"), want_inverse=False)
        codes = outcomes.codes[rows.representatives][rows.pattern]
        x = frame["x"].to_numpy()[rows.representatives]
        both, one = np.column_stack([np.ones(len(x)), x]), np.ones((len(x), 1))
        names = rng.choice(list(LATENCY_DISTRIBUTIONS), len(outcomes.names))
        designs = [(both, ("I", "x")), (one, ("I",))] + [(both, ("I", "x"))] * (len(outcomes.names) - 1)
        distributions = tuple(standard_distribution(name) for name in names)
        data = make_problem(rows, codes, outcomes.names, designs, distributions, never=seed % 3 != 0).data
        theta, h = 0.3 * rng.normal(size=data.layout.n_params), 1e-5
        for part in data.layout.parts:
            if part.design is None:
                theta[part.slice] = rng.uniform(-0.5, 0.5)
        at = evaluate(theta, data)
        steps = [(evaluate(theta + d, data), evaluate(theta - d, data)) for d in h * np.eye(len(theta))]
        gradient = np.array([(up.value - down.value) / (2 * h) for up, down in steps])
        hessian = np.array([(up.gradient - down.gradient) / (2 * h) for up, down in steps])
        size = max(np.abs(gradient).max(), 1.0), np.abs(hessian).max()
        np.testing.assert_allclose(at.gradient / size[0], gradient / size[0], atol=DIFFERENCES)
        np.testing.assert_allclose(at.hessian / size[1], hessian / size[1], atol=DIFFERENCES)


class TestIdentities:
    @pytest.mark.parametrize("seed", range(4))
    def test_all_outcomes_and_staying_open_add_up_to_one_at_every_time(self, seed):
        frame = portfolio(10 + seed, n_outcomes=2 + seed % 2)
        fit = CompetingOutcomesModel(incidence="~ x").fit(frame, outcome_col="outcome", **INTERVAL)
        times = [0.0, 1.0, 7.5, 48.0, 600.0]
        asked = frame.head(6)
        for given in (None, 5.0, np.arange(6.0)):
            incidence = fit.predict_cumulative_incidence(asked, times, given_open_at=given)
            total = incidence.T.groupby("time").sum().T + fit.predict_survival(asked, times, given_open_at=given)
            np.testing.assert_allclose(total, 1.0, atol=ROUNDING)
            ever = fit.predict_incidence(asked, given_open_at=given)
            np.testing.assert_allclose(ever.sum(axis=1), 1.0, atol=ROUNDING)
            assert list(ever.columns) == [*fit.outcomes, "never_resolves"]

    def test_weight_two_is_the_row_twice(self):
        frame = portfolio(14, 400)
        model = CompetingOutcomesModel(incidence="~ x")
        counted = model.fit(frame, outcome_col="outcome", weights_col="n", **INTERVAL)
        repeated = frame.loc[frame.index.repeat(frame["n"].astype(int))].reset_index(drop=True)
        again = model.fit(repeated, outcome_col="outcome", **INTERVAL)
        assert counted.loglik == pytest.approx(again.loglik, abs=1e-8)
        np.testing.assert_allclose(counted.params, again.params, atol=SAME_MAXIMUM)
        np.testing.assert_allclose(counted.standard_errors, again.standard_errors, rtol=SAME_MAXIMUM)
        assert counted.n_episodes == again.n_episodes == len(repeated)

    def test_the_order_of_rows_does_not_matter(self):
        frame, fit = fitted()
        shuffled = frame.sample(frac=1.0, random_state=0)
        again = same_parts(frame).fit(shuffled, outcome_col="outcome", entry_col="entry", **INTERVAL)
        assert fit.loglik == pytest.approx(again.loglik, abs=1e-8)
        np.testing.assert_allclose(fit.params, again.params, atol=SAME_MAXIMUM)

    def test_the_unit_of_time_shifts_intercepts_and_nothing_else(self):
        frame, fit = fitted()
        days = frame.assign(**{c: 30.0 * frame[c] for c in ("lower", "upper", "entry")})
        again = same_parts(frame).fit(days, outcome_col="outcome", entry_col="entry", **INTERVAL)
        shift = pd.Series(0.0, index=fit.params.index)
        shift[[i for i in shift.index if i[0] == "latency" and i[2] == "Intercept"]] = np.log(30)
        np.testing.assert_allclose(again.params - shift, fit.params, atol=SAME_MAXIMUM)
        np.testing.assert_allclose(again.standard_errors, fit.standard_errors, rtol=SAME_MAXIMUM)
        assert again.loglik == pytest.approx(fit.loglik, abs=1e-8)

    def test_a_continuous_covariate_that_cannot_be_compressed_has_the_same_likelihood(self):
        frame = portfolio(15, 4600, n_outcomes=2)
        frame["x"] = np.random.default_rng(0).normal(size=len(frame))
        model = CompetingOutcomesModel(incidence="~ x", latency="~ x")
        fit = model.fit(frame, outcome_col="outcome", **INTERVAL)
        assert fit.n_compressed_rows == len(frame)
        rows = brute_force_rows(fit.params, dict.fromkeys(OUTCOMES, "weibull"), frame, exact=False)
        assert fit.loglik == pytest.approx(rows.sum(), rel=ROUNDING)

    def test_the_same_distribution_and_formula_by_outcome_is_the_text_for_all(self):
        frame, fit = fitted()
        by_outcome = CompetingOutcomesModel(
            distribution=dict.fromkeys(OUTCOMES, "weibull"),
            incidence="~ product + x",
            latency=dict.fromkeys(OUTCOMES, "~ x"),
        ).fit(frame, outcome_col="outcome", entry_col="entry", **INTERVAL)
        pd.testing.assert_series_equal(fit.params, by_outcome.params)

    def test_a_frame_is_never_modified(self):
        frame = portfolio(16)
        before = frame.copy()
        CompetingOutcomesModel().fit(frame, outcome_col="outcome", **INTERVAL)
        pd.testing.assert_frame_equal(frame, before)


def moved(fit, values):
    fields = {name: getattr(fit, name) for name in fit.__slots__}
    return type(fit)(**fields | {"params": pd.Series(values, index=fit.params.index)})


def delta_errors(fit, function):
    """Standard errors of a vector function of the parameters, by differences."""
    best, h = fit.params.to_numpy(), 1e-5
    slopes = np.array(
        [(function(moved(fit, best + d)) - function(moved(fit, best - d))) / (2 * h) for d in h * np.eye(len(best))]
    )
    return np.sqrt(np.einsum("ir,ij,jr->r", slopes, fit.cov.to_numpy(), slopes))


class TestPredictions:
    @pytest.fixture
    def asked(self):
        return pd.DataFrame({"product": ["card", "mortgage", "card"], "x": [0.0, 1.0, -1.0]}, index=["u", "v", "w"])

    def test_cumulative_incidence_follows_the_formula(self, asked):
        _, fit = fitted()
        design = np.array([[1, 0, 0.0], [1, 1, 1.0], [1, 0, -1.0]])
        odds = {k: np.exp(design @ fit.params["incidence", k].to_numpy()) for k in fit.outcomes}
        total = 1 + sum(odds.values())
        times = np.array([0.0, 3.0, 12.5])
        table = fit.predict_cumulative_incidence(asked, times)
        assert list(table.index) == ["u", "v", "w"]
        for k in fit.outcomes:
            scale = np.exp(design[:, [0, 2]] @ fit.params["latency", k].to_numpy())
            power = np.exp(-fit.params["ancillary", k, "log_sigma"])
            expected = (odds[k] / total)[:, None] * -np.expm1(-((times / scale[:, None]) ** power))
            np.testing.assert_allclose(table[k], expected, atol=1e-12)
            assert list(table[k].columns) == list(times)

    @pytest.mark.parametrize("given", [None, 4.0])
    def test_bands_are_those_of_the_delta_method_by_differences(self, asked, given):
        _, fit = fitted()

        def cloglog(f):
            table = f.predict_cumulative_incidence(asked, [9.0], given_open_at=given)
            return np.log(-np.log1p(-table.to_numpy().T.ravel()))

        half = stats.norm.ppf(0.975) * delta_errors(fit, cloglog)
        band = fit.predict_cumulative_incidence(asked, [9.0], given_open_at=given, interval=True)
        band = band.unstack(["outcome", "time"])
        centre = np.log(-np.log1p(-band["value"].to_numpy().T.ravel()))
        for side, sign in (("upper", 1.0), ("lower", -1.0)):
            limit = np.log(-np.log1p(-band[side].to_numpy().T.ravel()))
            np.testing.assert_allclose(sign * (limit - centre), half, rtol=1e-5)

    @pytest.mark.parametrize("given", [None, 4.0])
    def test_bands_of_survival_and_of_the_final_shares_are_those_of_the_delta_method(self, asked, given):
        _, fit = fitted()
        quantile = stats.norm.ppf(0.975)

        def log_log(f):
            return np.log(-np.log(f.predict_survival(asked, [9.0], given_open_at=given).to_numpy()[:, 0]))

        def logit(f):
            return stats.logistic.ppf(f.predict_incidence(asked, given_open_at=given).to_numpy().ravel())

        band = fit.predict_survival(asked, [9.0], given_open_at=given, interval=True)
        gap = np.log(-np.log(band["lower"])) - np.log(-np.log(band["value"]))
        np.testing.assert_allclose(gap, quantile * delta_errors(fit, log_log), rtol=1e-5)
        share = fit.predict_incidence(asked, given_open_at=given, interval=True)
        assert share.index.names == ["row", "outcome"]
        gap = stats.logistic.ppf(share["upper"]) - stats.logistic.ppf(share["value"])
        np.testing.assert_allclose(gap, quantile * delta_errors(fit, logit), rtol=1e-5)

    def test_what_is_known_to_be_open_is_conditioned_on(self, asked):
        _, fit = fitted()
        months = np.array([2.0, 6.0, 10.0])
        later = fit.predict_cumulative_incidence(asked, [24.0], given_open_at=months)
        for row, month in enumerate(months):
            one = asked.iloc[[row]]
            curve = fit.predict_cumulative_incidence(one, [month, 24.0])
            still_open = fit.predict_survival(one, [month]).iloc[0, 0]
            for k in fit.outcomes:
                expected = (curve[k, 24.0].iloc[0] - curve[k, month].iloc[0]) / still_open
                assert later[k, 24.0].iloc[row] == pytest.approx(expected, abs=1e-12)
        before = fit.predict_cumulative_incidence(asked, [1.0, 2.0], given_open_at=3.0, interval=True)
        assert (before.to_numpy() == 0).all()
        assert (fit.predict_survival(asked, [1.0, 3.0], given_open_at=3.0).to_numpy() == 1).all()

    def test_waiting_makes_it_likelier_that_an_episode_never_resolves(self, asked):
        _, fit = fitted()
        shares = [fit.predict_incidence(asked, given_open_at=t)["never_resolves"] for t in (0, 6, 24, 72)]
        assert all((later > earlier).all() for earlier, later in pairwise(shares))

    def test_the_mean_curves_are_weighted_means_with_their_own_bands(self, asked):
        _, fit = fitted()
        weights = np.array([1.0, 2.0, 5.0])
        curves = fit.mean_curves(asked, [3, 9], weights)

        def mean(f):
            return weights @ f.predict_cumulative_incidence(asked, [9.0])["repaid"].to_numpy() / 8

        rows = fit.predict_cumulative_incidence(asked, [9.0])["repaid"][9.0]
        assert curves["repaid"](9).item() == pytest.approx(np.average(rows, weights=weights), abs=1e-12)
        assert curves["repaid"].standard_errors[2] == pytest.approx(delta_errors(fit, mean)[0], rel=1e-5)
        assert (curves["repaid"].times[0], curves["repaid"].upper[0]) == (0.0, 0.0)
        total = sum(curve.values for curve in curves.values()) + fit.mean_survival(asked, [3, 9], weights).values
        np.testing.assert_allclose(total, 1.0, atol=ROUNDING)
        for curve in (*curves.values(), fit.mean_survival(asked, [3, 9], weights)):
            assert (curve.lower <= curve.values).all()
            assert (curve.values <= curve.upper).all()

    def test_rows_that_are_alike_are_predicted_once_and_weigh_as_often_as_they_stand(self, asked):
        _, fit = fitted()
        again = asked.iloc[[0, 1, 2, 0, 0]].set_axis(list("abcde"))
        given = [0.0, 0.0, 3.0, 0.0, 3.0]
        table = fit.predict_cumulative_incidence(again, [9.0], given_open_at=given, interval=True)
        for label, month in zip("abcde", given, strict=True):
            one = fit.predict_cumulative_incidence(again.loc[[label]], [9.0], given_open_at=month, interval=True)
            pd.testing.assert_frame_equal(table.loc[[label]], one)
        repeated, weighted = fit.mean_curves(again, [9]), fit.mean_curves(asked, [9], [3.0, 1.0, 1.0])
        np.testing.assert_allclose(repeated["cured"].upper, weighted["cured"].upper, atol=1e-12)

    def test_the_share_never_resolving_averages_over_the_episodes_fitted(self):
        frame, fit = fitted()
        assert fit.never.value == pytest.approx(fit.predict_incidence(frame)["never_resolves"].mean(), abs=1e-12)
        assert fit.never.lower < fit.never.value < fit.never.upper

    def test_levels_columns_and_times_that_the_fit_does_not_know_are_refused(self, asked):
        _, fit = fitted()
        with pytest.raises(ExtrapolationError, match="product has the levels lease"):
            fit.predict_incidence(asked.assign(product="lease"))
        with pytest.raises(ContractError, match="column 'x' of the formula is missing"):
            fit.predict_survival(asked[["product"]], [1.0])
        with pytest.raises(ValueError, match="times must be"):
            fit.predict_cumulative_incidence(asked, [-1.0])
        for given in (-1.0, [1.0, 2.0], np.nan):
            with pytest.raises(ValueError, match="given_open_at must be one time"):
                fit.predict_incidence(asked, given_open_at=given)

    def test_the_values_are_the_same_with_and_without_bands(self, asked):
        _, fit = fitted()
        for given in (None, [0.0, 2.0, 30.0]):
            options = {"given_open_at": given}
            plain = fit.predict_cumulative_incidence(asked, [1.0, 9.0, 60.0], **options)
            band = fit.predict_cumulative_incidence(asked, [1.0, 9.0, 60.0], interval=True, **options)
            stacked = plain.stack(["outcome", "time"], future_stack=True)
            np.testing.assert_allclose(stacked.to_numpy(), band["value"].to_numpy(), atol=1e-12)
            left = fit.predict_survival(asked, [1.0, 9.0], interval=True, **options)["value"].unstack("time")
            np.testing.assert_allclose(left, fit.predict_survival(asked, [1.0, 9.0], **options), atol=1e-12)

    def test_rows_are_predicted_in_blocks_and_far_out_without_warnings(self, asked, monkeypatch):
        _, fit = fitted()
        whole = fit.predict_cumulative_incidence(asked, [3.0, 1e6])
        monkeypatch.setattr(_competing_prediction, "_BLOCK_SIZE", 1)
        pd.testing.assert_frame_equal(fit.predict_cumulative_incidence(asked, [3.0, 1e6]), whole)
        shares = fit.predict_incidence(asked, given_open_at=1e6)
        np.testing.assert_allclose(shares["never_resolves"], 1.0)


class TestSimulation:
    asked = pd.DataFrame({"product": ["card", "mortgage"], "x": [0.0, 0.5]})

    @pytest.mark.parametrize("given", [None, 4.0])
    def test_percentiles_of_draws_lie_where_the_delta_method_puts_them(self, given):
        _, fit = fitted()
        how = {"interval": True, "given_open_at": given}
        drawn = {"method": "simulation", "rng": np.random.default_rng(1), "n_draws": 1000}
        for table in (
            lambda **o: fit.predict_cumulative_incidence(self.asked, [3.0, 24.0], **how, **o),
            lambda **o: fit.predict_survival(self.asked, [3.0, 24.0], **how, **o),
            lambda **o: fit.predict_incidence(self.asked, **how, **o),
        ):
            delta, simulated = table(), table(**drawn)
            width = (delta["upper"] - delta["lower"]).to_numpy()
            wide = width > 0
            for side in ("value", "lower", "upper"):
                gap = np.abs(simulated[side] - delta[side]).to_numpy()
                assert (gap[wide] < MONTE_CARLO * width[wide]).all()
            assert (simulated["lower"] <= simulated["upper"]).all()

    def test_mean_curves_are_simulated_too(self):
        frame, fit = fitted()
        drawn = {"method": "simulation", "rng": np.random.default_rng(2), "n_draws": 500}
        delta, simulated = (fit.mean_curves(frame.head(50), [6, 24], **o)["cured"] for o in ({}, drawn))
        np.testing.assert_allclose(simulated.values, delta.values, atol=ROUNDING)
        np.testing.assert_allclose(simulated.standard_errors[1:], delta.standard_errors[1:], rtol=MONTE_CARLO)
        left = fit.mean_survival(frame.head(50), [6], method="simulation", rng=np.random.default_rng(3))
        assert left.lower[1] < left.values[1] < left.upper[1]

    def test_a_seed_repeats_the_draws_whatever_the_blocks(self, monkeypatch):
        _, fit = fitted()
        options = {"interval": True, "method": "simulation", "n_draws": 100}
        one = fit.predict_survival(self.asked, [6.0], rng=np.random.default_rng(5), **options)
        monkeypatch.setattr(_simulation, "_HELD", 1)
        two = fit.predict_survival(self.asked, [6.0], rng=np.random.default_rng(5), **options)
        pd.testing.assert_frame_equal(one, two)

    def test_it_needs_a_generator_and_enough_draws(self):
        _, fit = fitted()
        with pytest.raises(ValueError, match="simulation needs rng"):
            fit.predict_survival(self.asked, [6.0], interval=True, method="simulation")
        with pytest.raises(ValueError, match="n_draws of 100 or more"):
            fit.mean_curves(self.asked, [6.0], method="simulation", rng=np.random.default_rng(0), n_draws=10)
        with pytest.raises(ValueError, match="method is 'bootstrap'"):
            fit.predict_incidence(self.asked, interval=True, method="bootstrap")


class TestResiduals:
    def test_the_hazard_of_any_outcome_is_minus_the_log_of_staying_open_since_entry(self):
        frame, fit = fitted()
        found = fit.residuals(frame)
        row = frame.index[(frame["entry"] > 0) & (frame["outcome"] == "open")][0]
        one = frame.loc[[row]]
        start, end = fit.predict_survival(one, [one["entry"].iloc[0], one["lower"].iloc[0]]).iloc[0]
        assert found.loc[row, "residual"] == pytest.approx(np.log(start / end), abs=ROUNDING)
        assert np.isinf(found.loc[row, "upper"])
        assert list(found["event"]) == list(frame["outcome"] != "open")

    def test_the_hazard_of_one_outcome_is_the_integral_of_its_density_over_staying_open(self):
        frame = portfolio(41, 400, late=True)
        fit = CompetingOutcomesModel(
            distribution={"cured": "lognormal", "repaid": "gamma", "liquidated": "weibull"}
        ).fit(frame, duration_col="duration", outcome_col="outcome", entry_col="entry")
        one = frame.iloc[[frame["duration"].argmax()]].assign(entry=0.0)
        times = np.concatenate([[0.0], np.geomspace(1e-4, one["duration"].iloc[0], 4000)])
        curves, still_open = (
            fit.predict_cumulative_incidence(one, times),
            fit.predict_survival(one, times).to_numpy()[0],
        )
        for outcome in fit.outcomes:
            growth = np.diff(curves[outcome].to_numpy()[0])
            expected = np.sum(growth / np.sqrt(still_open[1:] * still_open[:-1]))
            found = fit.residuals(one, outcome=outcome)["lower"].iloc[0]
            assert found == pytest.approx(expected, abs=1e-5)  # the square of a step of a quarter of a percent

    def test_over_the_outcomes_they_add_up_to_the_hazard_of_any(self):
        frame = portfolio(42, 500, late=True)
        forms = ({"duration_col": "duration"}, INTERVAL)
        for never, form in zip((True, False), forms, strict=True):
            model = CompetingOutcomesModel(incidence="~ x", never_resolves=never)
            fit = model.fit(frame, outcome_col="outcome", entry_col="entry", **form)
            parts = sum(fit.residuals(frame, outcome=k)["residual"] for k in fit.outcomes)
            np.testing.assert_allclose(parts, fit.residuals(frame)["residual"], atol=QUADRATURE)

    def test_of_simulated_episodes_they_are_a_censored_sample_of_the_unit_exponential(self):
        frame = portfolio(43, 4000, late=True)
        fit = same_parts(frame).fit(frame, outcome_col="outcome", entry_col="entry", **INTERVAL)
        for outcome in (None, *fit.outcomes):
            found = fit.residuals(frame, outcome=outcome)
            # As many events as hazard lived through: the maximum of the likelihood makes it so up to sampling.
            ratio = found["event"].sum() / found["residual"].sum()
            assert ratio == pytest.approx(1.0, abs=4 / np.sqrt(found["event"].sum()))

    def test_unknown_outcomes_and_known_backgrounds_are_refused(self):
        frame, fit = fitted()
        with pytest.raises(ValueError, match="outcome is 'sold'"):
            fit.residuals(frame, outcome="sold")
        with pytest.raises(ValueError, match="knows nothing of the outcomes sold"):
            fit.residuals(frame.assign(outcome=frame["outcome"].replace("cured", "sold")))
        known = frame.assign(known=0.001)
        fit = CompetingOutcomesModel().fit(known, outcome_col="outcome", background_cols={"cured": "known"}, **INTERVAL)
        with pytest.raises(InsufficientDataError, match="without background_cols"):
            fit.residuals(known)


class TestComparisons:
    def test_a_covariate_and_a_shape_more_are_nested_comparisons(self):
        frame, large = fitted()
        columns = {"outcome_col": "outcome", "entry_col": "entry", **INTERVAL}
        small = CompetingOutcomesModel(incidence="~ product", latency="~ x").fit(frame, **columns)
        found = compare_nested(small, large)
        assert found.n_extra == 3
        assert found.statistic == pytest.approx(2 * (large.loglik - small.loglik), rel=ROUNDING)
        assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 3), rel=1e-9)
        mixed = {"cured": "exponential", "repaid": "weibull", "liquidated": "weibull"}
        narrow = CompetingOutcomesModel(distribution=mixed, incidence="~ product + x", latency="~ x").fit(
            frame, **columns
        )
        assert compare_nested(narrow, large).n_extra == 1
        table = compare_fits({"small": small, "large": large})
        assert list(table.columns) == ["loglik", "n_params", "aic", "bic", "never", "boundary"]

    def test_what_is_not_nested_or_rests_on_other_data_is_refused(self):
        frame, large = fitted()
        columns = {"outcome_col": "outcome", "entry_col": "entry", **INTERVAL}
        without = CompetingOutcomesModel(incidence="~ x", never_resolves=False).fit(frame, **columns)
        with pytest.raises(ValueError, match="without a never-share is not held by a model of competing outcomes with"):
            compare_nested(without, large)
        normal = CompetingOutcomesModel(distribution="lognormal", incidence="~ x").fit(frame, **columns)
        with pytest.raises(ValueError, match=r"weibull latency does not hold a lognormal one \(of 'cured'\)"):
            compare_nested(normal, large)
        fewer = CompetingOutcomesModel().fit(frame.head(700), **columns)
        with pytest.raises(ValueError, match="different data"):
            compare_nested(fewer, large)
        any_outcome = frame.assign(outcome=frame["outcome"].where(frame["outcome"] == "open", "cured"))
        ended = CompetingOutcomesModel().fit(any_outcome, **columns)
        with pytest.raises(ValueError, match="different data"):  # the same episodes end, but how is not told
            compare_fits({"how": large, "whether": ended})


class TestWhatAFitSays:
    def test_the_sentence_counts_the_outcomes_and_the_share_never_resolving(self):
        _, fit = fitted()
        text = fit.sentence()
        assert text.startswith(f"Outcomes: {fit.n_by_outcome['cured']:,.0f} cured, ")
        assert f"{fit.never.value:.1%}" in text
        assert "never to resolve" in text

    def test_the_record_goes_through_json_and_holds_every_parameter(self):
        _, fit = fitted()
        record = json.loads(json.dumps(fit.to_record(), allow_nan=False))
        assert [row["outcome"] for row in record["params"]] == list(fit.params.index.get_level_values("outcome"))
        assert record["loglik"] == fit.loglik
        assert record["distribution"]["cured"] == "weibull"

    def test_the_summary_has_estimate_error_and_interval(self):
        _, fit = fitted()
        table = fit.summary()
        np.testing.assert_allclose(table["upper"] - table["lower"], 2 * stats.norm.ppf(0.975) * fit.standard_errors)
        assert list(fit.to_frame().columns[:4]) == ["part", "outcome", "term", "estimate"]
        assert fit.params.index.names == ["part", "outcome", "term"]
        assert "never to resolve" in fit._repr_html_()
        assert fit.aic == pytest.approx(2 * fit.n_params - 2 * fit.loglik)
        assert fit.bic == pytest.approx(np.log(fit.n_episodes) * fit.n_params - 2 * fit.loglik)

    def test_a_fit_survives_pickling(self):
        frame, fit = fitted()
        again = pickle.loads(pickle.dumps(fit))
        pd.testing.assert_frame_equal(again.predict_incidence(frame), fit.predict_incidence(frame))


class TestTooLittle:
    def test_all_open(self):
        frame = portfolio(20).assign(outcome="open", upper=np.inf)
        with pytest.raises(InsufficientDataError, match="are open, so neither how they end nor when"):
            CompetingOutcomesModel().fit(frame, outcome_col="outcome", **INTERVAL)

    def test_an_outcome_with_too_few_episodes_is_named(self):
        frame = portfolio(21)
        rare = frame.index[frame["outcome"] == "repaid"][2:]
        with pytest.raises(
            InsufficientDataError, match=r"outcome 'repaid': 2 events cannot carry 3 parameters.*another"
        ):
            CompetingOutcomesModel().fit(frame.drop(rare), outcome_col="outcome", **INTERVAL)

    def test_an_outcome_that_never_occurs_in_a_level_is_named(self):
        frame = portfolio(22)
        frame = frame[(frame["outcome"] != "repaid") | (frame["product"] == "card")]
        with pytest.raises(InsufficientDataError, match=r"outcome 'repaid': .*product\[T.mortgage\] has the event"):
            CompetingOutcomesModel(incidence="~ product").fit(frame, outcome_col="outcome", **INTERVAL)

    def test_a_baseline_level_without_an_outcome_is_found_by_the_climb(self):
        frame = portfolio(23)
        frame = frame[(frame["outcome"] != "repaid") | (frame["product"] == "mortgage")]
        with pytest.raises(InsufficientDataError, match=r"incidence of outcome 'repaid' runs to 0.*separate"):
            CompetingOutcomesModel(incidence="~ product").fit(frame, outcome_col="outcome", **INTERVAL)

    def test_columns_that_repeat_each_other_are_named(self):
        frame = portfolio(24).assign(twin=lambda f: f["product"].str.upper())
        with pytest.raises(InsufficientDataError, match="determine each other"):
            CompetingOutcomesModel(latency="~ product + twin").fit(frame, outcome_col="outcome", **INTERVAL)

    def test_when_no_start_converges_the_error_says_what_was_tried(self, monkeypatch):
        monkeypatch.setattr(_competing_estimation, "_ITERATIONS", 0)
        with pytest.raises(ConvergenceError, match=r"3 competing outcomes.*Try fewer covariates"):
            CompetingOutcomesModel().fit(portfolio(25, 300), outcome_col="outcome", **INTERVAL)


class TestBoundary:
    def test_without_a_plateau_the_never_resolving_share_stands_at_zero_and_says_so(self):
        frame = portfolio(26, never=False, observed=(400, 401))
        fit = CompetingOutcomesModel(incidence="~ x").fit(frame, outcome_col="outcome", **INTERVAL)
        assert "never resolves is at its lower bound of 0" in fit.boundary
        assert "never_resolves=False" in fit.sentence()
        assert fit.standard_errors["incidence"].isna().any()
        assert fit.never.value == pytest.approx(0.0, abs=1e-3)
        assert np.isnan(fit.never.lower)
        without = CompetingOutcomesModel(incidence="~ x", never_resolves=False)
        other = without.fit(frame, outcome_col="outcome", **INTERVAL)
        assert fit.loglik == pytest.approx(other.loglik, abs=1e-2)
        assert other.boundary is None
        assert other.standard_errors.notna().all()
        assert "every episode is resolved in the end" in other.sentence()

    def test_a_shape_that_runs_away_is_named_with_its_outcome_and_has_no_standard_error(self):
        # Log times from an exponential distribution begin sharply and tail off long: Q runs towards minus infinity.
        rng = np.random.default_rng(0)
        cured = pd.DataFrame({"duration": np.exp(rng.exponential(0.5, 800)), "outcome": "cured"})
        sold = pd.DataFrame({"duration": 8 * rng.weibull(1.5, 300), "outcome": "sold"})
        still = pd.DataFrame({"duration": np.full(400, 60.0), "outcome": "open"})
        fit = CompetingOutcomesModel(distribution={"cured": "generalized_gamma", "sold": "weibull"}).fit(
            pd.concat([cured, sold, still], ignore_index=True), duration_col="duration", outcome_col="outcome"
        )
        assert "the shape Q of outcome 'cured' is at its limit of -30" in fit.sentence()
        assert list(fit.standard_errors.index[fit.standard_errors.isna()]) == [("ancillary", "cured", "Q")]
        # Cured are 800 and open 400 of 1,500, all seen clearly: their log odds is log 2, its error that of the counts.
        error = fit.standard_errors["incidence", "cured", "Intercept"]
        assert error == pytest.approx(np.sqrt(1 / 800 + 1 / 400), rel=0.05)
        # So heavy a tail reaches far out, but not beyond for ever.
        ever = fit.predict_incidence(cured.head(1))
        assert ever.to_numpy().sum() == pytest.approx(1.0, abs=ROUNDING)
        assert fit.predict_incidence(cured.head(1), interval=True)["value"].to_list() == pytest.approx(
            ever.iloc[0].to_list(), abs=ROUNDING
        )


class TestSearch:
    def test_a_search_on_a_thinned_sample_ends_at_the_same_maximum(self, monkeypatch):
        frame, fit = fitted()
        monkeypatch.setattr(_competing_estimation, "_EXPLORED_TERMS", 150)
        monkeypatch.setattr(_mixture_thinning, "_LEAST_TERMS", 10)
        again = same_parts(frame).fit(frame, outcome_col="outcome", entry_col="entry", **INTERVAL)
        assert again.loglik == pytest.approx(fit.loglik, abs=1e-7)

    def test_a_rare_outcome_is_not_thinned_away(self, monkeypatch):
        # 8,000 exact times are searched on a twentieth of them, where ten sales would be one or none.
        rng = np.random.default_rng(0)
        time, observed = 10 * rng.weibull(1.2, 8_000), rng.uniform(1, 60, 8_000)
        cured = (rng.random(8_000) < 0.3) & (time < observed)
        frame = pd.DataFrame({"duration": np.where(cured, time, observed), "outcome": np.where(cured, "cured", "open")})
        sold = rng.choice(np.flatnonzero(~cured), 10, replace=False)
        frame.loc[sold, "outcome"], frame.loc[sold, "duration"] = "sold", rng.uniform(20, 30, 10)
        model, columns = CompetingOutcomesModel(), {"duration_col": "duration", "outcome_col": "outcome"}
        whole = model.fit(frame, **columns)
        monkeypatch.setattr(_competing_estimation, "_EXPLORED_TERMS", 400)
        thinned = model.fit(frame, **columns)
        assert thinned.loglik == pytest.approx(whole.loglik, abs=1e-7)
        assert thinned.standard_errors.notna().all()

    def test_the_search_is_reported(self):
        _, fit = fitted()
        assert fit.n_starts >= 4
        assert 1 <= fit.n_agreed <= fit.n_starts


class TestBorder:
    def test_open_rows_with_an_end_and_ended_rows_without_are_named(self):
        frame = portfolio(30, 50)
        frame.loc[0, "outcome"] = "open" if frame.loc[0, "outcome"] != "open" else "cured"
        with pytest.raises(ContractError, match=r"upper must be infinite where outcome is 'open'.*row 0"):
            CompetingOutcomesModel().fit(frame, outcome_col="outcome", **INTERVAL)

    def test_what_is_wrong_with_outcomes_times_and_covariates_is_said_at_once(self):
        frame = portfolio(31, 50)
        frame.loc[0, "outcome"], frame.loc[1, "lower"], frame.loc[2, "x"] = None, -1.0, np.nan
        with pytest.raises(ContractError, match=r"3 rules") as caught:
            CompetingOutcomesModel(latency="~ x").fit(frame, outcome_col="outcome", **INTERVAL)
        rules = " ".join(violation.rule for violation in caught.value.violations)
        assert "outcome must not be missing" in rules
        assert "lower must be a number, 0 or more" in rules
        assert "x must be there and finite" in rules

    def test_missing_outcomes_and_columns_are_named(self):
        frame = portfolio(30, 50)
        with pytest.raises(ContractError, match="column 'ending' is missing"):
            CompetingOutcomesModel().fit(frame, outcome_col="ending", **INTERVAL)
        frame.loc[3, "outcome"] = None
        with pytest.raises(ContractError, match="outcome must not be missing"):
            CompetingOutcomesModel().fit(frame, outcome_col="outcome", **INTERVAL)

    def test_outcomes_that_a_mapping_leaves_out_are_named(self):
        frame = portfolio(30, 200)
        model = CompetingOutcomesModel(distribution={"cured": "weibull"})
        with pytest.raises(ValueError, match="distribution says nothing of 'repaid', 'liquidated'"):
            model.fit(frame, outcome_col="outcome", **INTERVAL)

    def test_the_outcome_is_no_covariate_of_itself(self):
        frame = portfolio(30, 200)
        with pytest.raises(ValueError, match="a formula reads outcome"):
            CompetingOutcomesModel(incidence="~ outcome").fit(frame, outcome_col="outcome", **INTERVAL)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"distribution": "gompertz"}, "distribution is 'gompertz'"),
            ({"distribution": {"cured": "gompertz"}}, "distribution is 'gompertz'"),
            ({"incidence": "y ~ x"}, "incidence formula 'y ~ x' has a left side"),
            ({"latency": {"cured": "~ 0"}}, "has no term"),
            ({"never_resolves": "yes"}, "never_resolves is 'yes'"),
        ],
    )
    def test_choices_are_checked_when_they_are_made(self, options, message):
        with pytest.raises(ValueError, match=message):
            CompetingOutcomesModel(**options)


@pytest.mark.slow
class TestSimulatedTruth:
    """Intervals cover the truth as often as they say, pooled over parameters and over predicted probabilities."""

    def test_intervals_of_parameters_and_of_conditional_incidences_cover_in_93_to_97_percent(self):
        incidence, latency = INCIDENCE[:2, [0, 1]], LATENCY[:2]
        truth = np.concatenate([incidence.ravel(), latency[:, :2].ravel(), latency[:, 2]])
        model = CompetingOutcomesModel(incidence="~ x", latency="~ x")
        asked = pd.DataFrame({"x": [-0.5, 0.5]})
        covered, curves = [], []
        for seed in range(500):
            frame = portfolio(1000 + seed, 1600, n_outcomes=2)
            fit = model.fit(frame[frame["product"] == "card"], outcome_col="outcome", **INTERVAL)
            table = fit.summary()
            covered.append((table["lower"] <= truth) & (truth <= table["upper"]))
            exact = moved(fit, truth).predict_cumulative_incidence(asked, [6.0, 24.0], given_open_at=3.0)
            exact = exact.to_numpy().ravel()
            band = fit.predict_cumulative_incidence(asked, [6.0, 24.0], given_open_at=3.0, interval=True)
            curves.append((band["lower"] <= exact) & (exact <= band["upper"]))
        assert 0.93 < np.mean(covered) < 0.97
        assert 0.93 < np.mean(curves) < 0.97
