"""Discrete-time hazards: by hand, against the exploded person-period table, and what must always hold."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from formulaic import model_matrix
from scipy.optimize import approx_fprime

from recoverykit.errors import ContractError, ConvergenceError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators import _discrete_design, _discrete_problem, _simulation
from recoverykit.estimators import _discrete_kernels as kernels
from recoverykit.estimators._compression import encode
from recoverykit.estimators._discrete_cells import compress_months, count_cells
from recoverykit.estimators._grid_designs import GridDesign
from recoverykit.estimators._sparse_gram import sparse_gram
from recoverykit.estimators.discrete_hazard import DiscreteHazardModel
from recoverykit.estimators.mixture_cure import MixtureCureModel, compare_fits, compare_nested
from recoverykit.estimators.nonparametric import aalen_johansen, kaplan_meier

SAME = 1e-8  # the same likelihood maximised on cells and, by statsmodels, on one row per episode and month
EXACT = 1e-9  # the same cells, or Newton's last step
DIFFERENCE = 1e-5  # finite differences of a function of some hundreds
#: Percentiles of 1,000 draws against the delta method, in widths of the interval; they differ in their skewness too.
MONTE_CARLO = 0.15

MONTHLY = {"duration_col": "months", "outcome_col": "outcome"}
LOANS = pd.DataFrame(
    {
        "months": [1, 1, 2, 2, 3, 3, 3, 3],
        "outcome": ["cured", "sold", "cured", "open", "cured", "sold", "open", "open"],
    }
)


def simulated(n_rows, seed=1, *, month_0=False):
    """Episodes with two outcomes, a category, a few values of a number, weights, late entries and obligors."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "product": rng.choice(["auto", "card", "mortgage"], n_rows),
            "ltv": rng.integers(0, 4, n_rows) / 2,
            "n": rng.integers(1, 4, n_rows),
            "obligor": rng.integers(0, max(n_rows // 3, 2), n_rows),
            "default_date": pd.Timestamp("2020-01-15") + pd.to_timedelta(rng.integers(0, 24, n_rows) * 30.4, unit="D"),
        }
    )
    speed = 8 * np.exp(0.4 * (frame["product"] == "card") - 0.3 * frame["ltv"])
    months = np.ceil(rng.exponential(speed)).astype(int) - (1 if month_0 else 0)
    observed = rng.integers(1, 13, n_rows)
    outcome = rng.choice(["cured", "sold"], n_rows, p=[0.7, 0.3])
    frame["months"] = np.minimum(months, observed)
    frame["outcome"] = np.where(months <= observed, outcome, "open")
    frame["entry"] = np.where(rng.random(n_rows) < 0.3, np.maximum(frame["months"] - 1, 0) // 2, 0)
    return frame


def exploded(frame, *, first_month=1, entry=False):
    """One row per episode and month at risk, the way it is not done."""
    parts = []
    for _, row in frame.iterrows():
        start = row["entry"] + 1 if entry and row["entry"] > 0 else first_month
        for month in range(start, row["months"] + 1):
            ended = month == row["months"] and row["outcome"] != "open"
            parts.append({**row, "month": month, "now": row["outcome"] if ended else "open"})
    return pd.DataFrame(parts)


def macro_path(columns=("unemployment",), seed=5):
    months = pd.period_range("2019-12", periods=48, freq="M")
    rng = np.random.default_rng(seed)
    return pd.DataFrame({c: np.round(rng.normal(size=len(months)).cumsum() / 3, 3) for c in columns}, index=months)


def exploded_design(table, formula):
    """Formulaic's matrix; the columns of cr() add up to 1, so that the constant beside them goes."""
    design = model_matrix(formula, table)
    return np.asarray(design.drop(columns="Intercept") if "cr(" in formula else design, dtype=float)


def binomial(table, formula, outcome, weights=None):
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    design = exploded_design(table, formula)
    now = (table["now"] == outcome).to_numpy(dtype=float)
    return sm.GLM(now, design, family=family, freq_weights=weights).fit(tol=1e-13, maxiter=200)


class TestByHand:
    """At risk 8, 6, 4 in months 1, 2, 3 (one is censored after month 2)."""

    def test_month_dummies_give_events_over_number_at_risk(self):
        ended = LOANS.assign(outcome=LOANS["outcome"].replace("sold", "cured"))
        fit = DiscreteHazardModel(formula="~ C(month)").fit(ended, **MONTHLY)
        hazard = fit.predict_hazard(LOANS.head(1), [1, 2, 3])["cured"].iloc[0]
        np.testing.assert_allclose(hazard, [2 / 8, 1 / 6, 2 / 4], atol=EXACT)

    def test_without_covariates_a_hazard_is_events_over_months_at_risk(self):
        fit = DiscreteHazardModel(formula="~ 1").fit(LOANS, **MONTHLY)
        # One hazard for all months: 3 cures and 2 sales in 8 + 6 + 4 = 18 episode-months.
        hazard = fit.predict_hazard(LOANS.head(1), [2])
        assert hazard["cured"].iloc[0, 0] == pytest.approx(3 / 18, abs=EXACT)
        assert hazard["sold"].iloc[0, 0] == pytest.approx(2 / 18, abs=EXACT)
        assert fit.params["cured", "Intercept"] == pytest.approx(np.log(-np.log(15 / 18)), abs=EXACT)
        expected = 3 * np.log(3 / 18) + 15 * np.log(15 / 18) + 2 * np.log(2 / 18) + 16 * np.log(16 / 18)
        assert fit.loglik == pytest.approx(expected, abs=EXACT)
        assert (fit.n_episodes, fit.n_events, fit.n_events_by_outcome) == (8, 5, {"cured": 3, "sold": 2})

    def test_the_multinomial_likelihood_is_that_of_the_rows(self):
        fit = DiscreteHazardModel(formula="~ 1", link="multinomial").fit(LOANS, **MONTHLY)
        # 13 of 18 episode-months end open.
        assert fit.params["cured", "Intercept"] == pytest.approx(np.log(3 / 13), abs=EXACT)
        assert fit.loglik == pytest.approx(3 * np.log(3 / 18) + 2 * np.log(2 / 18) + 13 * np.log(13 / 18), abs=EXACT)

    def test_incidences_follow_month_by_month(self):
        fit = DiscreteHazardModel(formula="~ 1", link="multinomial").fit(LOANS, **MONTHLY)
        shares = fit.predict_cumulative_incidence(LOANS.head(1), [0, 1, 2, 2.9])
        # Open after one month: 13/18; cured by month 2: 3/18 (1 + 13/18). Month 2.9 is month 2 completed.
        expected = [0, 3 / 18, 3 / 18 * (1 + 13 / 18), 3 / 18 * (1 + 13 / 18)]
        np.testing.assert_allclose(shares["cured"].iloc[0], expected, atol=EXACT)
        assert fit.predict_survival(LOANS.head(1), [2]).iloc[0, 0] == pytest.approx((13 / 18) ** 2, abs=EXACT)

    def test_being_open_at_a_month_starts_the_count_there(self):
        fit = DiscreteHazardModel(formula="~ 1", link="multinomial").fit(LOANS, **MONTHLY)
        later = fit.predict_cumulative_incidence(LOANS.head(1), [1, 2, 3], given_open_at=2)
        np.testing.assert_allclose(later["cured"].iloc[0], [0, 0, 3 / 18], atol=EXACT)
        each = fit.predict_survival(LOANS.head(2), [3], given_open_at=[0, 2])
        np.testing.assert_allclose(each[3.0], [(13 / 18) ** 3, 13 / 18], atol=EXACT)

    def test_month_0_is_a_month_at_risk_only_where_an_outcome_fell_in_it(self):
        assert DiscreteHazardModel(formula="~ 1").fit(LOANS, **MONTHLY).first_month == 1
        at_once = pd.concat([LOANS, pd.DataFrame({"months": [0, 0], "outcome": ["cured", "open"]})])
        fit = DiscreteHazardModel(formula="~ 1").fit(at_once, **MONTHLY)
        # All ten are at risk in month 0, one cures there: 4 cures in 18 + 10 episode-months.
        assert (fit.first_month, fit.n_never_at_risk) == (0, 0)
        assert fit.predict_hazard(LOANS.head(1), [0])["cured"].iloc[0, 0] == pytest.approx(4 / 28, abs=EXACT)

    def test_episodes_censored_in_month_0_are_counted_as_never_at_risk(self):
        more = pd.concat([LOANS, pd.DataFrame({"months": [0, 0], "outcome": ["open", "open"]})])
        fit = DiscreteHazardModel(formula="~ 1").fit(more, **MONTHLY)
        assert (fit.n_episodes, fit.n_never_at_risk) == (10, 2)
        assert fit.predict_hazard(LOANS.head(1), [1])["cured"].iloc[0, 0] == pytest.approx(3 / 18, abs=EXACT)

    def test_a_late_entry_is_at_risk_in_the_months_after_it(self):
        late = pd.concat([LOANS.assign(entry=0), pd.DataFrame({"months": [3], "outcome": ["open"], "entry": [1]})])
        fit = DiscreteHazardModel(formula="~ 1").fit(late, entry_col="entry", **MONTHLY)
        # Months 2 and 3 of the ninth loan: 20 episode-months.
        assert fit.predict_hazard(LOANS.head(1), [1])["cured"].iloc[0, 0] == pytest.approx(3 / 20, abs=EXACT)

    def test_a_macro_value_is_that_of_the_default_month_plus_the_month_in_default(self):
        # Defaults in January; a shock in March only is month 2 of all of them.
        frame = LOANS.assign(default_date=pd.Timestamp("2024-01-20"))
        macro = pd.DataFrame({"shock": [0, 1, 0]}, index=pd.PeriodIndex(["2024-02", "2024-03", "2024-04"], freq="M"))
        options = {"macro": macro, "default_month_col": "default_date"}
        fit = DiscreteHazardModel(formula="~ shock").fit(
            frame.assign(outcome=frame["outcome"].replace("sold", "cured")), **options, **MONTHLY
        )
        hazard = fit.predict_hazard(frame.head(1), [1, 2, 3], **options)["cured"].iloc[0]
        # Month 2: 1 of 6. Months 1 and 3 together: 2 + 2 of 8 + 4.
        np.testing.assert_allclose(hazard, [4 / 12, 1 / 6, 4 / 12], atol=EXACT)


class TestAgainstTheExplodedTable:
    @pytest.mark.parametrize("formula", ["~ cr(month, df=4) + product + ltv", "~ month * product + ltv"])
    def test_cloglog_equals_statsmodels_on_one_row_per_episode_and_month(self, formula):
        frame = simulated(300)
        fit = DiscreteHazardModel(formula=formula).fit(frame, **MONTHLY)
        table = exploded(frame)
        peers = {outcome: binomial(table, formula, outcome) for outcome in ("cured", "sold")}
        for outcome, peer in peers.items():
            np.testing.assert_allclose(fit.params[outcome], peer.params, rtol=SAME, atol=SAME)
            np.testing.assert_allclose(fit.standard_errors[outcome], peer.bse, rtol=SAME, atol=SAME)
        assert fit.loglik == pytest.approx(sum(peer.llf for peer in peers.values()), abs=SAME)
        assert fit.n_cells < len(table)

    def test_multinomial_equals_statsmodels_on_one_row_per_episode_and_month(self):
        frame, formula = simulated(300), "~ cr(month, df=4) + product + ltv"
        fit = DiscreteHazardModel(formula=formula, link="multinomial").fit(frame, **MONTHLY)
        table = exploded(frame)
        codes = table["now"].map({"open": 0, "cured": 1, "sold": 2}).to_numpy()
        peer = sm.MNLogit(codes, exploded_design(table, formula)).fit(method="newton", tol=1e-13, disp=False)
        for k, outcome in enumerate(("cured", "sold")):
            np.testing.assert_allclose(fit.params[outcome], peer.params[:, k], rtol=SAME, atol=SAME)
            np.testing.assert_allclose(fit.standard_errors[outcome], peer.bse[:, k], rtol=SAME, atol=SAME)
        np.testing.assert_allclose(fit.cov, peer.cov_params(), atol=SAME)
        assert fit.loglik == pytest.approx(peer.llf, abs=SAME)

    def test_macro_values_late_entry_weights_and_month_0_together(self):
        frame, formula = simulated(300, month_0=True), "~ {month == 0} + month + product + unemployment"
        macro = macro_path()
        options = {"weights_col": "n", "entry_col": "entry", "macro": macro, "default_month_col": "default_date"}
        fit = DiscreteHazardModel(formula=formula).fit(frame, **options, **MONTHLY)
        table = exploded(frame, first_month=0, entry=True)
        calendar = table["default_date"].dt.to_period("M") + table["month"].to_numpy()
        table["unemployment"] = macro["unemployment"].loc[calendar].to_numpy()
        peers = [binomial(table, formula, outcome, table["n"].to_numpy()) for outcome in ("cured", "sold")]
        for outcome, peer in zip(("cured", "sold"), peers, strict=True):
            np.testing.assert_allclose(fit.params[outcome], peer.params, rtol=SAME, atol=SAME)
            np.testing.assert_allclose(fit.standard_errors[outcome], peer.bse, rtol=SAME, atol=SAME)
        assert fit.loglik == pytest.approx(sum(peer.llf for peer in peers), abs=SAME)

    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    def test_errors_robust_to_clusters_equal_those_of_summed_person_period_scores(self, link):
        frame, formula = simulated(200), "~ month + product"
        fit = DiscreteHazardModel(formula=formula, link=link).fit(frame, cluster_col="obligor", **MONTHLY)
        plain = DiscreteHazardModel(formula=formula, link=link).fit(frame, **MONTHLY)
        table = exploded(frame)
        design = exploded_design(table, formula)
        eta = design @ fit.params.to_numpy().reshape(2, -1).T
        hazard = kernels.hazards(link, eta)
        event = np.column_stack([table["now"] == "cured", table["now"] == "sold"]).astype(float)
        weight = np.exp(eta) / hazard if link == "cloglog" else np.ones_like(eta)
        residual = weight * (event - hazard)
        scores = np.hstack([residual[:, [k]] * design for k in range(2)])
        bread = plain.cov.to_numpy().copy()
        if link == "cloglog":  # the outcomes were fitted apart
            bread[:4, 4:] = bread[4:, :4] = 0
        sums = pd.DataFrame(scores).groupby(table["obligor"].to_numpy()).sum().to_numpy()
        np.testing.assert_allclose(fit.cov, bread @ sums.T @ sums @ bread, rtol=1e-7, atol=SAME)
        assert fit.n_clusters == frame["obligor"].nunique()


class TestSaturatedMonths:
    """With a dummy for every month nothing is modelled: the hazards are events over number at risk."""

    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    def test_month_dummies_reproduce_aalen_johansen_with_its_errors_and_intervals(self, link):
        frame = simulated(2_000, seed=3)
        frame = frame[(frame["months"] < 9) | (frame["outcome"] == "open")]
        frame = frame.assign(months=frame["months"].clip(upper=8))
        fit = DiscreteHazardModel(formula="~ C(month)", link=link).fit(frame, entry_col="entry", **MONTHLY)
        curves = fit.mean_curves(frame.head(1))
        expected = aalen_johansen(frame, entry_col="entry", **MONTHLY)
        for outcome in ("cured", "sold"):
            ours, theirs = curves[outcome].to_frame(), expected[outcome].to_frame().drop(columns="n_at_risk")
            np.testing.assert_allclose(ours, theirs[ours.columns], atol=SAME)

    def test_one_outcome_reproduces_kaplan_meier_with_greenwoods_errors(self):
        frame = simulated(1_000, seed=4, month_0=True).assign(
            outcome=lambda f: f["outcome"].replace("sold", "cured"), ended=lambda f: f["outcome"] != "open"
        )
        frame = frame[frame["months"] < 8]
        fit = DiscreteHazardModel(formula="~ C(month)").fit(frame, weights_col="n", **MONTHLY)
        theirs = kaplan_meier(frame, duration_col="months", event_col="ended", weights_col="n").to_frame()
        ours = fit.mean_survival(frame.head(1)).to_frame()
        np.testing.assert_allclose(ours, theirs[ours.columns], atol=SAME)


class TestIdentities:
    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    def test_a_row_of_weight_two_is_the_row_twice(self, link):
        frame = simulated(200)
        repeated = frame.loc[frame.index.repeat(frame["n"])].reset_index(drop=True)
        model = DiscreteHazardModel(formula="~ cr(month, df=3) + product", link=link)
        options = {**MONTHLY, "entry_col": "entry", "cluster_col": "obligor"}
        weighted, twice = model.fit(frame, weights_col="n", **options), model.fit(repeated, **options)
        np.testing.assert_allclose(weighted.params, twice.params, atol=EXACT)
        np.testing.assert_allclose(weighted.cov, twice.cov, rtol=1e-8, atol=EXACT)
        assert weighted.loglik == pytest.approx(twice.loglik, abs=EXACT)
        assert (weighted.n_episodes, weighted.n_events) == (twice.n_episodes, twice.n_events)

    def test_the_order_of_rows_does_not_matter_and_the_frame_is_left_alone(self):
        frame = simulated(200)
        before = frame.copy()
        model = DiscreteHazardModel(formula="~ bs(month, df=4) + product + unemployment")
        options = {**MONTHLY, "macro": macro_path(), "default_month_col": "default_date", "cluster_col": "obligor"}
        shuffled = frame.sample(frac=1, random_state=1).reset_index(drop=True)
        one, other = model.fit(frame, **options), model.fit(shuffled, **options)
        np.testing.assert_allclose(one.params, other.params, atol=EXACT)
        np.testing.assert_allclose(one.standard_errors, other.standard_errors, atol=EXACT)
        pd.testing.assert_frame_equal(frame, before)

    def test_categories_give_what_their_texts_give_and_unused_ones_are_no_outcome(self):
        frame = simulated(300)
        kinds = pd.CategoricalDtype(["sold", "liquidated", "open", "cured"])
        coded = frame.astype({"product": "category", "outcome": kinds})
        model = DiscreteHazardModel(formula="~ cr(month, df=3) + product")
        one, other = model.fit(frame, **MONTHLY), model.fit(coded, **MONTHLY)
        assert other.outcomes == ("cured", "sold")
        np.testing.assert_allclose(one.params, other.params, atol=EXACT)
        pd.testing.assert_frame_equal(one.predict_survival(frame, [4]), other.predict_survival(coded, [4]))

    def test_a_prediction_of_one_row_is_its_row_among_many(self):
        # 3,000 rows with a number each go through several blocks.
        frame = simulated(3_000).assign(score=np.random.default_rng(8).normal(size=3_000))
        fit = DiscreteHazardModel(formula="~ month + score + product").fit(frame, **MONTHLY)
        many = fit.predict_cumulative_incidence(frame, np.arange(13), interval=True)
        one = fit.predict_cumulative_incidence(frame.loc[[2_999]], np.arange(13), interval=True)
        pd.testing.assert_frame_equal(many.loc[[2_999]], one)

    def test_shares_of_the_outcomes_and_of_those_still_open_add_up_to_one(self):
        frame = simulated(300)
        for link in ("cloglog", "multinomial"):
            fit = DiscreteHazardModel(formula="~ cr(month, df=4) + product", link=link).fit(frame, **MONTHLY)
            curves = [
                *fit.mean_curves(frame, weights=frame["n"]).values(),
                fit.mean_survival(frame, weights=frame["n"]),
            ]
            np.testing.assert_allclose(sum(curve.values for curve in curves), 1.0, atol=EXACT)
            open_now = fit.predict_survival(frame, [3, 7])
            each = fit.predict_cumulative_incidence(frame, [3, 7])
            ended = each["cured"] + each["sold"]
            np.testing.assert_allclose(open_now + ended, 1.0, atol=EXACT)

    def test_open_at_t_is_the_unconditional_course_divided_by_the_share_open(self):
        frame = simulated(300)
        fit = DiscreteHazardModel(formula="~ cr(month, df=4) + product").fit(frame, **MONTHLY)
        whole = fit.predict_cumulative_incidence(frame, [4, 9])["cured"]
        share = fit.predict_survival(frame, [4])[4.0]
        later = fit.predict_cumulative_incidence(frame, [9], given_open_at=4)["cured"]
        np.testing.assert_allclose(later[9.0], (whole[9.0] - whole[4.0]) / share, atol=EXACT)

    def test_a_shift_of_the_macro_path_moves_the_hazard_by_its_coefficient(self):
        frame = simulated(300)
        months = pd.date_range("2019-12-31", periods=48, freq="ME")
        macro = pd.DataFrame({"month_end": months, "unemployment": np.linspace(0.03, 0.07, 48)})
        options = {"macro": macro, "default_month_col": "default_date"}
        fit = DiscreteHazardModel(formula="~ month + unemployment").fit(frame, **options, **MONTHLY)
        worse = macro.assign(unemployment=macro["unemployment"] + 0.01)
        base = fit.predict_hazard(frame.head(1), [5], **options)["cured"].iloc[0, 0]
        shocked = fit.predict_hazard(frame.head(1), [5], macro=worse, default_month_col="default_date")["cured"].iloc[
            0, 0
        ]
        # On the complementary log-log scale a shift of the path is its coefficient times the shift.
        shift = np.log(-np.log1p(-shocked)) - np.log(-np.log1p(-base))
        assert shift == pytest.approx(0.01 * fit.params["cured", "unemployment"], abs=EXACT)

    def test_a_scenario_path_may_begin_where_the_episode_stands(self):
        frame = simulated(300)
        macro = macro_path()
        fit = DiscreteHazardModel(formula="~ month + unemployment").fit(
            frame, macro=macro, default_month_col="default_date", **MONTHLY
        )
        one = frame.head(1).assign(default_date=pd.Timestamp("2021-03-10"))
        scenario = macro.loc["2021-08":]  # five months after the default
        options = {"default_month_col": "default_date", "given_open_at": 4}
        short = fit.predict_cumulative_incidence(one, [8], macro=scenario, **options)
        whole = fit.predict_cumulative_incidence(one, [8], macro=macro, **options)
        pd.testing.assert_frame_equal(short, whole)
        with pytest.raises(ContractError, match="2021-07"):
            fit.predict_cumulative_incidence(
                one, [8], macro=scenario, default_month_col="default_date", given_open_at=3
            )


class TestDerivatives:
    @pytest.mark.parametrize("evaluate", ["cloglog", "multinomial"])
    def test_gradient_and_hessian_agree_with_differences(self, evaluate):
        rng = np.random.default_rng(2)
        design = np.column_stack([np.ones(30), rng.normal(size=(30, 2))])
        n, events = np.full(30, 20.0), rng.multinomial(20, [0.2, 0.1, 0.7], 30)[:, :2].astype(float)
        if evaluate == "cloglog":
            point, start = (lambda z: kernels.cloglog_point(z, design, n, events[:, 0])), rng.normal(size=3) / 3 - 1
        else:
            point, start = (lambda z: kernels.multinomial_point(z, design, n, events)), rng.normal(size=6) / 3 - 1
        at = point(start)
        np.testing.assert_allclose(at.gradient, approx_fprime(start, lambda z: point(z).value, 1e-6), atol=1e-2)
        slopes = np.array([approx_fprime(start, lambda z, i=i: point(z).gradient[i], 1e-7) for i in range(len(start))])
        np.testing.assert_allclose(at.hessian, slopes, rtol=1e-4, atol=1e-2)

    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    def test_standard_errors_of_predictions_follow_from_differences_in_the_coefficients(self, link):
        frame = simulated(300)
        fit = DiscreteHazardModel(formula="~ month + product", link=link).fit(frame, **MONTHLY)
        rows = frame.drop_duplicates("product")
        given = fit.predict_cumulative_incidence(rows, [3, 8], given_open_at=1, interval=True)

        def shares(theta):
            moved = type(fit)(**{f: getattr(fit, f) for f in fit.__slots__} | {"params": fit.params * 0 + theta})
            return moved.predict_cumulative_incidence(rows, [3, 8], given_open_at=1).to_numpy().ravel()

        theta = fit.params.to_numpy()
        gradient = np.array([(shares(theta + e) - shares(theta - e)) / 2e-5 for e in 1e-5 * np.eye(len(theta))]).T
        errors = np.sqrt(np.diag(gradient @ fit.cov.to_numpy() @ gradient.T))
        np.testing.assert_allclose(given["standard_error"], errors, atol=DIFFERENCE)
        mean = fit.mean_curves(rows, [8], given_open_at=1)["cured"]
        averaged = gradient.reshape(len(rows), 2, 2, -1)[:, 0, 1].mean(axis=0)  # rows, outcomes, times, coefficients
        assert mean.standard_errors[-1] == pytest.approx(np.sqrt(averaged @ fit.cov.to_numpy() @ averaged), abs=1e-7)


class TestCells:
    @pytest.mark.parametrize(
        "formula",
        ["~ cr(month, df=3) * product", "~ cr(month, df=3) + cr(ltv, df=3)", "~ C(month) + cr(ltv, df=3)"],
    )
    def test_splines_that_add_up_to_one_leave_out_what_they_repeat(self, formula):
        frame = simulated(600)
        frame = frame[frame["months"] < 8]
        fit = DiscreteHazardModel(formula=formula).fit(frame, **MONTHLY)
        table = exploded(frame)
        design = np.asarray(model_matrix(formula, table), dtype=float)
        rank = np.linalg.matrix_rank(design)
        assert fit.n_params == 2 * rank
        # The same space of columns, whatever stands for it, has the same maximum.
        space = np.linalg.svd(design, full_matrices=False)[0][:, :rank]
        family = sm.families.Binomial(link=sm.families.links.CLogLog())
        events = [(table["now"] == outcome).to_numpy(dtype=float) for outcome in ("cured", "sold")]
        peers = [sm.GLM(event, space, family=family).fit(tol=1e-13).llf for event in events]
        assert fit.loglik == pytest.approx(sum(peers), abs=SAME)

    def test_cells_equal_the_counts_of_the_exploded_table(self):
        frame = simulated(200, month_0=True)
        rows = compress_months(
            covariates=[encode(frame["product"]), encode(frame["ltv"])],
            durations=frame["months"].to_numpy(dtype=float),
            entries=frame["entry"].to_numpy(dtype=float),
            outcomes=frame["outcome"].map({"open": -1, "cured": 0, "sold": 1}).to_numpy(),
            weights=frame["n"].to_numpy(dtype=float),
            n_outcomes=2,
            want_inverse=False,
        )
        cells = count_cells(rows)
        table = exploded(frame, first_month=0, entry=True)
        counts = table.groupby(["product", "ltv", "month"])["n"].sum()
        taken = frame.take(rows.representatives)
        index = pd.MultiIndex.from_arrays(
            [taken["product"].to_numpy()[cells.pattern], taken["ltv"].to_numpy()[cells.pattern], cells.month]
        )
        assert len(index) == len(counts)
        np.testing.assert_allclose(cells.n_at_risk, counts.loc[index], atol=EXACT)
        np.testing.assert_allclose(
            cells.n_events.sum(axis=0), [table.loc[table["now"] == o, "n"].sum() for o in ("cured", "sold")]
        )

    def test_a_number_with_a_value_for_each_episode_is_fitted_all_the_same(self):
        frame = simulated(400).assign(score=np.random.default_rng(8).normal(size=400))
        formula = "~ month + score"
        fit = DiscreteHazardModel(formula=formula).fit(frame, **MONTHLY)
        peer = binomial(exploded(frame), formula, "cured")
        np.testing.assert_allclose(fit.params["cured"], peer.params, rtol=SAME, atol=SAME)


class TestGridDesign:
    def test_every_product_is_that_of_the_design_written_out(self):
        rng = np.random.default_rng(4)
        pattern, month = np.nonzero(rng.random((7, 5)) < 0.6)
        patterns, months = rng.normal(size=(7, 4)), rng.normal(size=(5, 4))
        grid, weight = GridDesign(patterns, months, pattern, month), rng.random((2, len(pattern)))
        dense = patterns[pattern] + months[month]
        right = rng.normal(size=(4, 3))
        np.testing.assert_allclose(grid.rows(), dense, atol=EXACT)
        for vector in (right, right[:, 0]):
            np.testing.assert_allclose(grid @ vector, dense @ vector, atol=EXACT)
        for vector in (weight, weight[0]):
            np.testing.assert_allclose(vector @ grid, vector @ dense, atol=EXACT)
        np.testing.assert_allclose(grid.gram(weight[0]), dense.T @ (weight[0][:, None] * dense), atol=EXACT)
        np.testing.assert_allclose(grid.columns(np.array([0, 3])).rows(), dense[:, [0, 3]], atol=EXACT)
        np.testing.assert_allclose(grid.times(right).rows(), dense @ right, atol=EXACT)
        assert grid.shape == dense.shape

    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    @pytest.mark.parametrize("formula", ["~ cr(month, df=3) + product", "~ C(month) + ltv + product"])
    def test_a_fit_is_the_same_with_the_design_written_out(self, link, formula, monkeypatch):
        frame = simulated(800)
        frame = frame[frame["months"] < 8]
        model = DiscreteHazardModel(formula=formula, link=link)
        options = {**MONTHLY, "weights_col": "n", "entry_col": "entry", "cluster_col": "obligor"}
        grid = model.fit(frame, **options)
        monkeypatch.setattr(_discrete_design, "_MOST_PLACES", 0)
        written = model.fit(frame, **options)
        np.testing.assert_allclose(grid.params, written.params, rtol=SAME, atol=SAME)
        np.testing.assert_allclose(grid.cov, written.cov, rtol=SAME, atol=SAME)
        assert grid.loglik == pytest.approx(written.loglik, rel=SAME)


class TestResult:
    def test_record_is_plain_json_and_tables_name_outcome_and_term(self):
        fit = DiscreteHazardModel(formula="~ month").fit(LOANS, **MONTHLY)
        record = json.loads(json.dumps(fit.to_record()))
        assert [row["term"] for row in record["params"]] == ["Intercept", "month"] * 2
        assert fit.aic == pytest.approx(2 * 4 - 2 * fit.loglik)
        assert fit.bic == pytest.approx(4 * np.log(8) - 2 * fit.loglik)
        assert "what share never ends is not estimated" in fit.sentence()
        assert "<table" in fit._repr_html_()

    def test_intervals_hold_the_value_and_stay_within_0_and_1(self):
        frame = simulated(300)
        fit = DiscreteHazardModel(formula="~ cr(month, df=3) + product").fit(frame, **MONTHLY)
        for table in (
            fit.predict_hazard(frame, [1, 5], interval=True),
            fit.predict_cumulative_incidence(frame, [2, 9], interval=True),
            fit.predict_survival(frame, [2, 9], interval=True),
        ):
            assert (table["lower"] < table["value"]).all()
            assert (table["value"] < table["upper"]).all()
            assert table[["lower", "upper"]].to_numpy().min() > 0
            assert table[["lower", "upper"]].to_numpy().max() < 1


class TestOffset:
    """What is known is added to the linear predictor with coefficient one."""

    def test_by_hand_one_coefficient_is_the_log_ratio_of_ended_to_expected(self):
        # Known cumulative hazards 0.1, 0.2, 0.1 in months 1, 2, 3 of every loan. With one coefficient b the cloglog
        # likelihood is that of a proportional hazards model with known baseline; its maximum solves
        # sum of d H / (exp(b H) - 1) = sum of (n - d) H with theta = exp(b): found here by bisection.
        ended = LOANS.assign(outcome=LOANS["outcome"].replace("sold", "cured"))
        offset = "{log(0.1) + log(2) * (month == 2)}"
        fit = DiscreteHazardModel(formula="~ 1", offset=offset).fit(ended, **MONTHLY)
        known, n, d = np.array([0.1, 0.2, 0.1]), np.array([8, 6, 4]), np.array([2, 1, 2])

        def slope(theta):
            return np.sum(d * known / np.expm1(theta * known) - (n - d) * known)

        low, high = 0.01, 50.0
        for _ in range(100):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if slope(middle) > 0 else (low, middle)
        assert np.exp(fit.params["cured", "Intercept"]) == pytest.approx(middle, rel=EXACT)
        hazard = fit.predict_hazard(LOANS.head(1), [1, 2, 3])["cured"].iloc[0]
        np.testing.assert_allclose(hazard, -np.expm1(-middle * known), atol=EXACT)

    def test_cloglog_equals_statsmodels_with_its_offset_on_the_exploded_table(self):
        frame, formula = simulated(300).assign(known=lambda f: 0.3 * f["ltv"] - 1), "~ month + product"
        offset = {"cured": "{known + 0.02 * month}"}
        fit = DiscreteHazardModel(formula=formula, offset=offset).fit(frame, cluster_col="obligor", **MONTHLY)
        plain = DiscreteHazardModel(formula=formula).fit(frame, **MONTHLY)
        table = exploded(frame)
        family = sm.families.Binomial(link=sm.families.links.CLogLog())
        now, design = (table["now"] == "cured").to_numpy(dtype=float), exploded_design(table, formula)
        peer = sm.GLM(now, design, family=family, offset=(table["known"] + 0.02 * table["month"]).to_numpy())
        peer = peer.fit(tol=1e-13, maxiter=200)
        np.testing.assert_allclose(fit.params["cured"], peer.params, rtol=SAME, atol=SAME)
        np.testing.assert_allclose(fit.params["sold"], plain.params["sold"], atol=SAME)
        robust = DiscreteHazardModel(formula=formula, offset=offset).fit(frame, **MONTHLY)
        np.testing.assert_allclose(robust.standard_errors["cured"], peer.bse, rtol=SAME)
        assert not np.allclose(fit.standard_errors, robust.standard_errors)

    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    def test_an_offset_in_the_span_of_the_formula_moves_its_coefficients_and_nothing_else(self, link):
        frame, formula = simulated(300), "~ month + ltv + unemployment"
        options = {"macro": macro_path(), "default_month_col": "default_date"}
        fitted = {"cluster_col": "obligor", **options, **MONTHLY}
        plain = DiscreteHazardModel(formula=formula, link=link).fit(frame, **fitted)
        moved = DiscreteHazardModel(formula=formula, link=link, offset="{0.5 * ltv - 0.1 * unemployment}")
        moved = moved.fit(frame, **fitted)
        shift = moved.params - plain.params
        expected = np.tile([0.0, 0.0, -0.5, 0.1], 2)
        np.testing.assert_allclose(shift, expected, atol=1e-7)
        np.testing.assert_allclose(moved.cov, plain.cov, rtol=1e-6, atol=1e-10)
        assert moved.loglik == pytest.approx(plain.loglik, abs=SAME)
        one, other = (f.predict_survival(frame, [3, 9], interval=True, **options) for f in (plain, moved))
        pd.testing.assert_frame_equal(one, other, rtol=1e-6)

    def test_what_is_no_number_no_outcome_or_not_finite_is_refused(self):
        frame = simulated(100).assign(zero=0.0)
        with pytest.raises(ValueError, match="must be one number"):
            DiscreteHazardModel(formula="~ month", offset="product").fit(frame, **MONTHLY)
        with pytest.raises(ValueError, match="must be one number"):
            DiscreteHazardModel(formula="~ month", offset="ltv + zero").fit(frame, **MONTHLY)
        with pytest.raises(ValueError, match="offset names repaid; the outcomes are cured, sold"):
            DiscreteHazardModel(formula="~ month", offset={"repaid": "ltv"}).fit(frame, **MONTHLY)
        with np.errstate(divide="ignore"), pytest.raises(ContractError, match="not finite"):
            DiscreteHazardModel(formula="~ month", offset="log(zero)").fit(frame, **MONTHLY)
        with pytest.raises(ContractError, match="known"):
            DiscreteHazardModel(formula="~ month", offset="known").fit(frame, **MONTHLY)
        with pytest.raises(ValueError, match="offset formula"):
            DiscreteHazardModel(offset="ltv +")
        fit = DiscreteHazardModel(formula="~ month", offset="zero").fit(frame, **MONTHLY)
        with pytest.raises(ContractError, match="zero"):
            fit.predict_survival(frame.drop(columns="zero"), [3])
        assert json.loads(json.dumps(fit.to_record()))["offset"] == "zero"


class TestSimulation:
    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    def test_percentiles_of_draws_lie_where_the_delta_method_puts_them(self, link):
        frame = simulated(600)
        fit = DiscreteHazardModel(formula="~ month + product", link=link).fit(frame, **MONTHLY)
        rows = frame.drop_duplicates("product")
        drawn = {"method": "simulation", "rng": np.random.default_rng(1), "n_draws": 1000}
        for table in (
            lambda **o: fit.predict_hazard(rows, [1, 5], interval=True, **o),
            lambda **o: fit.predict_cumulative_incidence(rows, [2, 9], interval=True, given_open_at=1, **o),
            lambda **o: fit.predict_survival(rows, [2, 9], interval=True, **o),
        ):
            delta, simulation = table(), table(**drawn)
            width = delta["upper"] - delta["lower"]
            for side in ("value", "lower", "upper"):
                assert ((simulation[side] - delta[side]).abs() < MONTE_CARLO * width).all()
            np.testing.assert_allclose(simulation["standard_error"], delta["standard_error"], rtol=MONTE_CARLO)

    def test_mean_curves_are_simulated_too_and_a_seed_repeats_them(self, monkeypatch):
        frame = simulated(600)
        fit = DiscreteHazardModel(formula="~ month + product").fit(frame, **MONTHLY)

        def drawn():
            return {"method": "simulation", "rng": np.random.default_rng(2), "n_draws": 500}

        delta, simulation = fit.mean_curves(frame)["cured"], fit.mean_curves(frame, **drawn())["cured"]
        np.testing.assert_allclose(simulation.values, delta.values, atol=EXACT)
        np.testing.assert_allclose(simulation.standard_errors[1:], delta.standard_errors[1:], rtol=MONTE_CARLO)
        assert (simulation.lower[0], simulation.upper[0]) == (0.0, 0.0)
        left = fit.mean_survival(frame, [6], **drawn())
        assert left.lower[1] < left.values[1] < left.upper[1]
        one = fit.predict_survival(frame, [6], interval=True, **drawn())
        monkeypatch.setattr(_simulation, "_HELD", 1)
        pd.testing.assert_frame_equal(one, fit.predict_survival(frame, [6], interval=True, **drawn()))
        with pytest.raises(ValueError, match="simulation needs rng"):
            fit.mean_curves(frame, method="simulation")


class TestResiduals:
    def test_by_hand_they_add_up_the_intensities_of_the_months_at_risk(self):
        late = pd.concat([LOANS.assign(entry=0), pd.DataFrame({"months": [3], "outcome": ["open"], "entry": [1]})])
        late = late.reset_index(drop=True)
        fit = DiscreteHazardModel(formula="~ 1", link="multinomial").fit(late, entry_col="entry", **MONTHLY)
        # 20 episode-months, 3 cures and 2 sales: 15 of 20 stay open, intensity log(4/3) a month.
        month = np.log(4 / 3)
        found = fit.residuals(late)
        np.testing.assert_allclose(found["lower"], month * np.array([0, 0, 1, 2, 2, 2, 3, 3, 2]), atol=EXACT)
        # Ended somewhere in the month: the mean of the unit exponential in an interval of this width.
        inside = 1 - month / np.expm1(month)
        np.testing.assert_allclose(found["residual"].head(2), inside, atol=EXACT)
        assert list(np.isinf(found["upper"])) == [False, False, False, True, False, False, True, True, True]
        # Of the intensity 3/5 are the cure's, until the end whichever it was.
        cured = fit.residuals(late, outcome="cured")
        np.testing.assert_allclose(cured["residual"], 0.6 * found["residual"], atol=EXACT)
        assert list(cured["event"]) == [True, False, True, False, True, False, False, False, False]

    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    def test_without_ends_they_are_minus_the_log_of_staying_open_and_add_up_over_outcomes(self, link):
        frame = simulated(300)
        options = {"macro": macro_path(), "default_month_col": "default_date"}
        fit = DiscreteHazardModel(formula="~ month + product + unemployment", link=link).fit(
            frame, **options, **MONTHLY
        )
        found = fit.residuals(frame, macro=options["macro"])
        still_open = frame["outcome"] == "open"
        expected = [
            -np.log(fit.predict_survival(frame.loc[[i]], [frame.loc[i, "months"]], **options).iloc[0, 0])
            for i in frame.index[still_open][:20]
        ]
        np.testing.assert_allclose(found["residual"][still_open][:20], expected, atol=EXACT)
        parts = [fit.residuals(frame, outcome=k, macro=options["macro"])["residual"] for k in fit.outcomes]
        np.testing.assert_allclose(sum(parts), found["residual"], atol=EXACT)
        with pytest.raises(ValueError, match="give macro="):
            fit.residuals(frame)

    def test_with_month_dummies_there_are_as_many_events_as_hazard_lived_through(self):
        frame = simulated(2_000, seed=3)
        frame = frame[(frame["months"] < 9) | (frame["outcome"] == "open")]
        frame = frame.assign(months=frame["months"].clip(upper=8))
        fit = DiscreteHazardModel(formula="~ C(month)").fit(frame, entry_col="entry", weights_col="n", **MONTHLY)
        for outcome in (None, "cured", "sold"):
            found = fit.residuals(frame, outcome=outcome)
            # Saturated months: (n - d) L + d (1 - L / (exp(L) - 1)) = d with L = -log(1 - d / n), also by outcome.
            ended = frame["n"] @ found["event"]
            assert frame["n"] @ found["residual"] == pytest.approx(ended, rel=EXACT * len(frame))

    def test_what_the_fit_does_not_know_is_refused(self):
        frame = simulated(300)
        fit = DiscreteHazardModel(formula="~ month").fit(frame, **MONTHLY)
        with pytest.raises(ValueError, match="outcome is 'repaid'"):
            fit.residuals(frame, outcome="repaid")
        with pytest.raises(ValueError, match="knows nothing of the outcomes repaid"):
            fit.residuals(frame.assign(outcome=frame["outcome"].replace("sold", "repaid")))
        with pytest.raises(ExtrapolationError, match="followed to month 12"):
            fit.residuals(frame.assign(months=frame["months"] + 10))
        with pytest.raises(ExtrapolationError, match="month 0"):
            fit.residuals(frame.assign(months=0))


class TestComparisons:
    def test_a_spline_more_is_a_nested_comparison_although_it_carries_the_level(self):
        frame = simulated(600).assign(outcome=lambda f: f["outcome"].replace("sold", "cured"))
        small, large = (DiscreteHazardModel(formula=f).fit(frame, **MONTHLY) for f in ("~ 1", "~ cr(month, df=4)"))
        found = compare_nested(small, large)
        assert (found.n_extra, found.caution) == (3, None)
        assert found.statistic == pytest.approx(2 * (large.loglik - small.loglik), rel=1e-12)
        assert set(compare_fits({"one hazard": small, "spline": large}).index) == {"one hazard", "spline"}

    def test_the_economy_is_a_nested_comparison_too(self):
        frame = simulated(600)
        options = {"macro": macro_path(), "default_month_col": "default_date"}
        small = DiscreteHazardModel(formula="~ month", link="multinomial").fit(frame, **MONTHLY)
        large = DiscreteHazardModel(formula="~ month + unemployment", link="multinomial")
        assert compare_nested(small, large.fit(frame, **options, **MONTHLY)).n_extra == 2

    def test_outcomes_fitted_apart_come_with_a_caution(self):
        frame = simulated(600)
        small, large = (DiscreteHazardModel(formula=f).fit(frame, **MONTHLY) for f in ("~ 1", "~ month"))
        assert "fitted apart" in compare_nested(small, large).caution
        small, large = (
            DiscreteHazardModel(formula=f, link="multinomial").fit(frame, **MONTHLY) for f in ("~ 1", "~ month")
        )
        assert compare_nested(small, large).caution is None

    def test_what_does_not_compare_is_refused(self):
        frame = simulated(600)
        one = DiscreteHazardModel(formula="~ 1").fit(frame, **MONTHLY)
        other = DiscreteHazardModel(formula="~ month", link="multinomial").fit(frame, **MONTHLY)
        with pytest.raises(ValueError, match="link cloglog is not held by a model of monthly hazards with link multi"):
            compare_nested(one, other)
        with pytest.raises(ValueError, match="different data"):
            compare_fits({"apart": one, "together": other})
        known = DiscreteHazardModel(formula="~ month", offset="ltv").fit(frame, **MONTHLY)
        with pytest.raises(ValueError, match="with link cloglog and offset ltv"):
            compare_nested(one, known)
        robust = DiscreteHazardModel(formula="~ month").fit(frame, cluster_col="obligor", **MONTHLY)
        with pytest.raises(ValueError, match="cluster-robust"):
            compare_nested(one, robust)
        cure = MixtureCureModel().fit(
            frame.assign(cured=frame["outcome"] != "open"), duration_col="months", event_col="cured"
        )
        with pytest.raises(ValueError, match="different data"):
            compare_fits({"hazards": one, "cure": cure})


class TestRefusals:
    def test_who_ever_ends_is_not_known(self):
        fit = DiscreteHazardModel(formula="~ 1").fit(LOANS, **MONTHLY)
        with pytest.raises(InsufficientDataError, match=r"up to month 3.*predict_cumulative_incidence\(frame, \[3\]\)"):
            fit.predict_susceptible(LOANS)
        assert (fit.never, fit.boundary) == (None, None)

    def test_no_outcome_at_all(self):
        with pytest.raises(InsufficientDataError, match="all 8 episodes are open"):
            DiscreteHazardModel().fit(LOANS.assign(outcome="open"), **MONTHLY)

    def test_an_outcome_rarer_than_the_terms(self):
        with pytest.raises(InsufficientDataError, match=r"sold \(2\)"):
            DiscreteHazardModel(formula="~ C(month)").fit(LOANS, **MONTHLY)

    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    def test_a_level_without_the_outcome_is_named(self, link):
        frame = simulated(300)
        frame.loc[(frame["product"] == "card") & (frame["outcome"] == "sold"), "outcome"] = "cured"
        with pytest.raises(ConvergenceError, match=r"hazard of sold.*product\[T.card\]"):
            DiscreteHazardModel(formula="~ month + product", link=link).fit(frame, **MONTHLY)

    def test_a_month_without_the_outcome_under_month_dummies(self):
        frame = simulated(300)
        frame = frame[(frame["months"] != 2) | (frame["outcome"] != "sold")]
        with pytest.raises(ConvergenceError, match=r"hazard of sold.*C\(month\)\[T.2\].*spline"):
            DiscreteHazardModel(formula="~ C(month)").fit(frame[frame["months"] < 9], **MONTHLY)

    def test_a_month_in_which_everybody_ends_under_month_dummies(self):
        ended = LOANS.assign(outcome="cured")
        with pytest.raises(ConvergenceError, match=r"C\(month\)\[T.3\].*or everybody"):
            DiscreteHazardModel(formula="~ C(month)").fit(ended, **MONTHLY)

    def test_columns_that_repeat_each_other(self):
        frame = simulated(300).assign(twice=lambda f: 2 * f["ltv"])
        with pytest.raises(InsufficientDataError, match="ltv, twice determine each other"):
            DiscreteHazardModel(formula="~ month + ltv + twice").fit(frame, **MONTHLY)

    def test_faults_of_rows_are_named_all_at_once(self):
        frame = LOANS.assign(months=[1.5, *LOANS["months"].iloc[1:]], x=[np.nan, *[1.0] * 7])
        frame.loc[3, "outcome"] = None
        with pytest.raises(ContractError, match="whole number of months") as caught:
            DiscreteHazardModel(formula="~ x").fit(frame, **MONTHLY)
        assert len(caught.value.violations) == 3

    def test_a_column_month_that_is_not_the_duration_is_not_mistaken_for_it(self):
        with pytest.raises(ContractError, match="running month in default"):
            DiscreteHazardModel(formula="~ month").fit(LOANS.assign(month=1), **MONTHLY)

    def test_a_macro_path_with_a_hole_names_the_month(self):
        frame = simulated(50)
        macro = macro_path().drop(pd.Period("2020-07", freq="M"))
        with pytest.raises(ContractError, match="2020-07"):
            DiscreteHazardModel(formula="~ month + unemployment").fit(
                frame, macro=macro, default_month_col="default_date", **MONTHLY
            )

    def test_a_macro_month_that_occurs_twice(self):
        macro = pd.concat([macro_path(), macro_path().head(1)])
        with pytest.raises(ContractError, match="must occur once"):
            DiscreteHazardModel(formula="~ unemployment").fit(
                simulated(50), macro=macro, default_month_col="default_date", **MONTHLY
            )

    def test_a_prediction_beyond_the_months_followed_or_of_an_unseen_level(self):
        frame = simulated(300)
        fit = DiscreteHazardModel(formula="~ month + product").fit(frame, **MONTHLY)
        with pytest.raises(ExtrapolationError, match="followed to month 12"):
            fit.predict_survival(frame, [13])
        with pytest.raises(ExtrapolationError, match="boat"):
            fit.predict_survival(frame.head(1).assign(product="boat"), [3])

    def test_a_macro_model_asks_for_its_path(self):
        frame = simulated(300)
        fit = DiscreteHazardModel(formula="~ month + unemployment").fit(
            frame, macro=macro_path(), default_month_col="default_date", **MONTHLY
        )
        with pytest.raises(ValueError, match="give macro="):
            fit.predict_survival(frame, [3])

    def test_hazards_that_add_up_to_more_than_one_point_to_the_multinomial_link(self):
        # Beyond the covariate seen, outcomes fitted apart may both become likely.
        frame = simulated(2_000)
        frame = frame.assign(ltv=np.where(frame["months"] < 3, 1.0, 0.0) + frame["ltv"])
        fit = DiscreteHazardModel(formula="~ month + ltv").fit(frame, **MONTHLY)
        with pytest.raises(ExtrapolationError, match="multinomial"):
            fit.predict_survival(frame.head(1).assign(ltv=40.0), [3])

    def test_choices_are_checked(self):
        with pytest.raises(ValueError, match="'cloglog', 'multinomial'"):
            DiscreteHazardModel(link="probit")


@pytest.mark.slow
class TestSimulatedTruth:
    @pytest.mark.parametrize("link", ["cloglog", "multinomial"])
    def test_intervals_cover_the_truth_about_as_often_as_they_say(self, link):
        truth = {"cured": np.array([-2.0, -0.05, 0.6]), "sold": np.array([-3.5, 0.04, -0.5])}
        coefficients = np.array(list(truth.values()))
        rng = np.random.default_rng(20260401)
        n_books, n_rows, horizon = 500, 1_500, 24
        months = np.arange(1, horizon + 1)
        covered = []
        for _ in range(n_books):
            secured = rng.integers(0, 2, n_rows)
            design = np.stack(np.broadcast_arrays(1.0, months[None, :], secured[:, None]), axis=-1)
            hazard = kernels.hazards(link, design @ coefficients.T)
            drawn = rng.random((n_rows, horizon))
            cured, sold = drawn < hazard[..., 0], (drawn >= hazard[..., 0]) & (drawn < hazard.sum(axis=-1))
            ends = cured | sold
            first = np.where(ends.any(axis=1), ends.argmax(axis=1), horizon)
            observed = rng.integers(6, horizon + 1, n_rows)
            month = np.minimum(first + 1, observed)
            is_event = first + 1 <= observed
            chosen = np.where(cured[np.arange(n_rows), month - 1], "cured", "sold")
            frame = pd.DataFrame({"months": month, "outcome": np.where(is_event, chosen, "open"), "secured": secured})
            fit = DiscreteHazardModel(formula="~ month + secured", link=link).fit(frame, **MONTHLY)
            summary = fit.summary()
            inside = (summary["lower"] < coefficients.ravel()) & (coefficients.ravel() < summary["upper"])
            one = pd.DataFrame({"secured": [1]})
            table = fit.predict_cumulative_incidence(one, [18], interval=True)
            exact = kernels.hazards(link, np.column_stack([np.ones(18), months[:18], np.ones(18)]) @ coefficients.T)
            before = np.concatenate([[1.0], np.cumprod(1 - exact.sum(axis=1))[:-1]])
            share = (before[:, None] * exact).sum(axis=0)
            hit = (table["lower"].to_numpy() < share) & (share < table["upper"].to_numpy())
            covered.append(np.concatenate([inside.to_numpy(), hit]))
        coverage = np.mean(covered, axis=0)
        assert coverage.min() > 0.92  # 95 % less three standard errors of 500 books
        assert coverage.max() < 0.98


class TestSparseProducts:
    def design(self, *, n_dense: int = 0) -> np.ndarray:
        """Return a constant and the indicators of two factors of 30 and 20 levels, and some numbers."""
        rng = np.random.default_rng(4)
        factors = [np.eye(size)[rng.integers(0, size, 500)][:, 1:] for size in (30, 20)]
        return np.hstack([np.ones((500, 1)), *factors, rng.normal(size=(500, n_dense))])

    def test_they_equal_the_dense_product_for_any_weights(self):
        matrix, rng = self.design(n_dense=1), np.random.default_rng(5)
        scaling = rng.normal(size=(matrix.shape[1], matrix.shape[1]))
        gram = sparse_gram(matrix, scaling)
        assert gram is not None
        for _ in range(3):
            weight = rng.normal(size=len(matrix))  # curvature may have either sign
            scaled = matrix @ scaling
            assert gram(weight) == pytest.approx(scaled.T @ (weight[:, None] * scaled), abs=1e-9)

    def test_a_design_that_is_mostly_full_has_none(self):
        assert sparse_gram(np.random.default_rng(1).normal(size=(50, 8)), np.eye(8)) is None
        assert sparse_gram(self.design(n_dense=12), np.eye(61)) is None
        assert sparse_gram(np.zeros((5, 3)), np.eye(3)) is None

    def test_a_class_for_each_month_gives_the_same_fit_either_way(self, monkeypatch):
        frame = simulated(4_000, seed=3)
        model = DiscreteHazardModel(formula="~ C(month) + product")
        sparse = model.fit(frame, **MONTHLY)
        monkeypatch.setattr(_discrete_problem, "sparse_gram", lambda *_: None)
        dense = model.fit(frame, **MONTHLY)
        assert sparse.params.to_numpy() == pytest.approx(dense.params.to_numpy(), abs=1e-9)
        assert sparse.cov.to_numpy() == pytest.approx(dense.cov.to_numpy(), rel=1e-8, abs=1e-12)
