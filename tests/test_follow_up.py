"""Is the plateau real: by hand, against npcure and published formulas, and what must always hold."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import LogLogisticFitter, LogNormalFitter, WeibullFitter

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._follow_up_families import boundary_p_value, choose_receus, compare_families, plain_loglik
from recoverykit.estimators.follow_up import FollowUp, follow_up
from recoverykit.estimators.mixture_cure import MixtureCureModel

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE") or Path(__file__).parents[2] / "shared" / "reference")
EXACT = 1e-12  # powers and quotients of small whole numbers
NPCURE_TOLERANCE = 1e-10  # the file holds 15 digits of numbers up to 1e-5; relative rounding of a 686th power
PRINTED = 5e-8  # the reference prints seven digits
LOGLIK_TOLERANCE = 1e-6  # what is asked of every log-likelihood

# Eight loans, events at 1, 2, 4 and 6, open at 5, 9, 10 and 10. Plateau from 6 to 10, window from 2 on.
EIGHT = pd.DataFrame({"months": [1, 2, 4, 6, 5, 9, 10, 10], "cured": [1, 1, 1, 1, 0, 0, 0, 0]})


@pytest.fixture(scope="module")
def reference():
    folder = REFERENCE / "survival"
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; set RECOVERYKIT_REFERENCE")
    return folder


@pytest.fixture(scope="module")
def books(reference):
    """The four data sets of the reference file, by the name they have there."""
    bc = pd.read_csv(reference / "bc_flexsurv.csv").rename(columns={"rectime": "time", "censrec": "event"})
    e1684 = pd.read_csv(reference / "e1684.csv").dropna().rename(columns={"FAILTIME": "time", "FAILCENS": "event"})
    small = pd.read_csv(reference / "bmt_smcure.csv").rename(columns={"Time": "time", "Status": "event"})
    bmt = pd.read_csv(reference / "bmt_KMsurv.csv").rename(columns={"t2": "time", "d3": "event"})
    return {"e1684": e1684, "bmt_smcure": small, "bc": bc, "bmt_KMsurv(t2,d3)": bmt}


def judge(frame, **options) -> FollowUp:
    return follow_up(frame, **{"duration_col": "months", "event_col": "cured", **options})


def judge_reference(frame, **options) -> FollowUp:
    return follow_up(frame, duration_col="time", event_col="event", **options)


def verdicts(result) -> dict[str, str]:
    return result.to_frame().set_index("criterion")["verdict"].to_dict()


def simulated(seed, *, never, last, n=400, scale=5.0):
    """Weibull times with shape 1.3 of those that have the event, watched up to a time between half of last and last."""
    rng = np.random.default_rng(seed)
    time = np.where(rng.random(n) < never, np.inf, scale * rng.weibull(1.3, n))
    watched = rng.uniform(last / 2, last, n)
    return pd.DataFrame({"months": np.minimum(time, watched), "cured": time <= watched})


class TestByHand:
    def test_counts_and_tests_of_eight_loans(self):
        result = judge(EIGHT)
        assert (result.last_event_time, result.last_time, result.plateau_length) == (6, 10, 4)
        assert result.n_at_risk_plateau == 3
        # From 2 * 6 - 10 = 2 to 6 end the loans at 2, 4, 5, 6, three of them with the event.
        assert (result.n_in_window, result.n_events_in_window) == (4, 3)
        assert result.alpha_n == pytest.approx((1 - 4 / 8) ** 8, abs=EXACT)
        assert result.q_n == pytest.approx(3 / 8, abs=EXACT)
        assert result.alpha_n_events == pytest.approx((1 - 3 / 8) ** 8, abs=EXACT)
        # Shen: w = 0.4, tau = 0.4 * 6 + 0.6 * 10 = 8.4, window from 8.4 * 6 / 10 = 5.04: only the event at 6.
        assert result.n_events_shen == 1
        assert result.alpha_shen == pytest.approx((1 - 1 / 8) ** 8, abs=EXACT)

    def test_plateau_of_eight_loans_is_the_end_of_the_curve(self):
        # 7/8 * 6/7 * 5/6 = 5/8, one leaves at 5, then 3/4 of it: 15/32.
        plateau = judge(EIGHT).plateau
        assert plateau.value == pytest.approx(15 / 32, abs=EXACT)
        assert plateau.lower < 15 / 32 < plateau.upper

    def test_few_on_the_plateau_are_a_doubt_and_many_are_none(self):
        assert verdicts(judge(EIGHT))["at risk on the plateau"] == "doubts"
        assert verdicts(judge(EIGHT.assign(n=10), weights_col="n"))["at risk on the plateau"] == "supports"

    def test_when_the_longest_time_is_an_event_there_is_no_plateau(self):
        result = judge(EIGHT.assign(cured=[1, 1, 1, 1, 0, 0, 0, 1]).query("months != 10 or cured == 1"))
        assert result.n_at_risk_plateau == 0
        assert np.isnan(result.alpha_n)
        assert np.isnan(result.alpha_shen)
        frame = result.to_frame().set_index("criterion")
        assert (frame.loc[["alpha_n", "q_n", "Shen", "at risk on the plateau"], "verdict"] == "doubts").all()
        assert "nobody was watched beyond the last event" in frame.loc["Shen", "says"]

    def test_half_of_the_chi_square_is_the_boundary_p_value(self):
        # 2.705543 is the 90 % point of chi-square(1): half of 10 %.
        assert boundary_p_value(2.705543454095404) == pytest.approx(0.05, abs=1e-9)  # the point has 16 digits
        assert boundary_p_value(0.0) == 1.0

    def test_receus_takes_the_family_with_the_smallest_aic_with_or_without_a_share(self):
        columns = ["distribution", "aic_plain", "aic_mixture", "never", "ratio", "note"]
        rows = [
            ("weibull", 100.0, 95.0, 0.3, 0.02, ""),
            ("lognormal", 94.0, 96.0, 0.2, 0.4, ""),
            ("x", 1, 1, 1, 1, "bad"),
        ]
        plain = choose_receus(pd.DataFrame(rows, columns=columns))
        assert (plain.distribution, plain.has_never_share, plain.never, plain.ratio) == ("lognormal", False, 0.0, 1.0)
        mixed = choose_receus(pd.DataFrame(rows[:1], columns=columns))
        assert (mixed.distribution, mixed.has_never_share, mixed.never, mixed.ratio) == ("weibull", True, 0.3, 0.02)


class TestAgainstReferences:
    def test_alpha_n_is_that_of_npcure(self, reference, books):
        # R npcure::testmz counts every episode of the window; bmt t2/d3: N = 11, p = 1.047242e-05.
        expected = pd.read_csv(reference / "expected" / "maller_zhou_npcure.csv")
        assert len(expected) == len(books)
        for row in expected.itertuples():
            result = judge_reference(books[row.data], distributions=())
            assert (result.n_in_window, result.n_episodes) == (row.N, row.n)
            assert result.alpha_n == pytest.approx(row.alpha, rel=NPCURE_TOLERANCE)

    def test_the_plateaus_of_the_bone_marrow_data(self, books):
        # Klein & Moeschberger's data, by z3 and z10; values of R survival::survfit.
        expected = {"z3": (0.1899671, 0.4065833), "z10": (0.3679977, 0.3482143)}
        for column, values in expected.items():
            for group, value in enumerate(values):
                part = books["bmt_KMsurv(t2,d3)"].query(f"{column} == {group}")
                assert judge_reference(part, distributions=()).plateau.value == pytest.approx(value, abs=PRINTED)

    def test_log_likelihoods_without_a_share_are_those_of_lifelines(self, books):
        frame = books["bc"]
        result = judge_reference(frame).families.set_index("distribution")
        peers = {"weibull": WeibullFitter, "lognormal": LogNormalFitter, "loglogistic": LogLogisticFitter}
        for name, peer in peers.items():
            fitted = peer().fit(frame["time"], frame["event"])
            assert result.loc[name, "loglik_plain"] == pytest.approx(fitted.log_likelihood_, abs=LOGLIK_TOLERANCE)

    def test_log_likelihoods_with_a_share_are_those_of_stata(self, books):
        # Stata strsmix on bc: Weibull -2628.2351, log-normal -2615.9160, P(never) .2774585; log-logistic -2621.1221.
        result = judge_reference(books["bc"]).families.set_index("distribution")
        expected = {"weibull": -2628.2351, "lognormal": -2615.9160, "loglogistic": -2621.1221}
        for name, value in expected.items():
            assert result.loc[name, "loglik_mixture"] == pytest.approx(value, abs=5e-5)  # four decimals are printed
        assert result.loc["lognormal", "never"] == pytest.approx(0.2774585, abs=1e-6)  # seven digits are printed

    def test_the_ratio_of_receus_is_the_one_published_for_the_breast_cancer_data(self, books):
        # R cureAssess prints r_hat 0.31 for the log-logistic family on these data.
        result = judge_reference(books["bc"], distributions=("loglogistic",))
        assert result.receus.ratio == pytest.approx(0.31, abs=0.005)


class TestDisagreement:
    def test_alpha_n_alone_calls_a_curve_without_plateau_sufficient(self, books):
        result = judge_reference(books["bc"])
        said = verdicts(result)
        assert result.alpha_n < 1e-7
        assert said["alpha_n"] == "supports"
        assert said["Shen"] == said["RECeUS"] == said["at risk on the plateau"] == "doubts"
        assert result.disagree
        sentence = result.sentence()
        assert "The criteria disagree" in sentence
        for name in (*result.supporting, *result.doubting):
            assert name in sentence

    def test_events_alone_are_far_fewer_than_what_ended_in_the_window(self, books):
        # Melanoma: 31 episodes end in the window, one of them with the event.
        result = judge_reference(books["e1684"], distributions=())
        assert (result.n_in_window, result.n_events_in_window) == (31, 1)
        assert verdicts(result)["alpha_n"] == "supports"
        assert verdicts(result)["q_n"] == "doubts"

    def test_no_criterion_is_left_out_of_the_frame(self, books):
        frame = judge_reference(books["bc"]).to_frame()
        tests = ["alpha_n", "q_n", "Shen", "RECeUS", "likelihood ratio (weibull)", "likelihood ratio (lognormal)"]
        facts = ["last event", "last time", "plateau length", "plateau height", "at risk on the plateau"]
        assert set(tests + facts) <= set(frame["criterion"])
        assert set(frame["verdict"]) <= {"supports", "doubts", "no answer", "describes"}
        assert (frame["says"].str.len() > 10).all()


class TestSimulatedTruth:
    def test_a_long_watched_plateau_is_supported_by_all(self):
        # Seven times the scale of the event times: no event is left to come.
        result = judge(simulated(1, never=0.4, last=35), distributions=("weibull",))
        assert result.doubting == ()
        assert "All criteria that have an answer support a plateau" in result.sentence()
        assert result.receus.never == pytest.approx(0.4, abs=0.08)  # three standard errors of 400 draws

    def test_where_everyone_has_it_in_the_end_the_likelihood_ratio_says_so(self):
        result = judge(simulated(2, never=0.0, last=6), distributions=("weibull",))
        assert verdicts(result)["likelihood ratio (weibull)"] == "doubts"
        assert verdicts(result)["RECeUS"] == "doubts"

    @pytest.mark.slow
    def test_the_likelihood_ratio_keeps_its_level_on_the_boundary(self):
        # 250 books in which everyone has the event; at 5 % the share of rejections has standard error 1.4 %.
        books = [simulated(seed, never=0.0, last=12, n=300) for seed in range(250)]
        found = [judge(book, distributions=("weibull",)).families for book in books]
        p_values = np.array([table["p_value"].iloc[0] for table in found])
        assert np.mean(p_values < 0.05) == pytest.approx(0.05, abs=0.042)  # three standard errors
        assert np.mean(p_values == 1.0) > 0.3  # about half stands on the boundary itself


class TestInvariants:
    def test_a_row_of_weight_two_is_the_row_twice(self):
        book = simulated(3, never=0.3, last=20, n=100).assign(n=lambda f: 1 + f.index % 3)
        weighted = judge(book, weights_col="n", distributions=("weibull",))
        repeated = judge(book.loc[book.index.repeat(book["n"])], distributions=("weibull",))
        assert_same(weighted, repeated)

    @pytest.mark.parametrize("unit", [1 / 12, 1 / 7, 30.4375])
    def test_whoever_ends_where_a_window_begins_belongs_to_it_in_every_unit_of_time(self, unit):
        for last in range(11, 20):
            # Plateau from 10 to last. Window from 20 - last on; Shen's from 10^2 (2 last - 10) / last^2 on.
            begins = [20 - last, 100 * (2 * last - 10) / last**2]
            book = pd.DataFrame({"months": [*begins, 10, last, last], "cured": [1, 1, 1, 0, 0]})
            result = judge(book.assign(months=book["months"] * unit), distributions=())
            assert result.n_events_in_window == sum(month >= begins[0] for month in [*begins, 10])
            assert result.n_events_shen == sum(month >= begins[1] for month in [*begins, 10])

    def test_row_order_and_unit_of_time_do_not_matter(self):
        book = simulated(4, never=0.3, last=20, n=100)
        days = book.sample(frac=1, random_state=1).assign(months=lambda f: f["months"] * 30.4375)
        one, other = judge(book, distributions=("weibull",)), judge(days, distributions=("weibull",))
        assert other.last_time == pytest.approx(one.last_time * 30.4375)
        kept = ["alpha_n", "q_n", "Shen", "RECeUS", "likelihood ratio (weibull)"]
        left, right = (result.to_frame().set_index("criterion")["value"][kept] for result in (one, other))
        np.testing.assert_allclose(left, right, rtol=1e-6)  # maxima are found to 1e-9 in log-likelihood

    def test_the_frame_is_not_changed(self):
        before = EIGHT.copy(deep=True)
        judge(EIGHT)
        pd.testing.assert_frame_equal(EIGHT, before)

    def test_the_record_is_json(self):
        record = json.loads(json.dumps(judge(EIGHT).to_record(), allow_nan=False))
        assert record["criteria"][0]["criterion"] == "last event"
        assert "<table" in judge(EIGHT)._repr_html_()


class TestWholeMonths:
    def test_monthly_events_are_read_as_intervals_and_those_of_month_zero_have_a_place(self):
        months = [0] * 3 + [1] * 20 + [2] * 15 + [3] * 8 + [5] * 4 + [24] * 50
        book = pd.DataFrame({"months": months, "cured": [m < 24 for m in months]})
        result = judge(book, event_width=1)
        assert (result.families["note"] == "").all()
        assert result.doubting == ()

    def test_the_ratio_of_receus_is_that_of_the_last_month_when_it_is_an_event_too(self):
        cells = pd.DataFrame({"lower": [0.0, 1, 2, 3, 5, 9, 11], "weight": [30.0, 25, 14, 8, 4, 90, 1]})
        cells["upper"] = cells["lower"].add(1).where(cells["lower"] != 9, np.inf)
        found = compare_families(cells, ["weibull"], level=0.95).iloc[0]
        fit = MixtureCureModel(distribution="weibull").fit(
            cells, lower_col="lower", upper_col="upper", weights_col="weight"
        )
        survival = fit.predict_survival(pd.DataFrame(index=[0]), [12.0]).iloc[0, 0]
        latency = (survival - found["never"]) / (1 - found["never"])
        assert 0.1 < found["never"] < 0.9
        assert found["ratio"] == pytest.approx(latency / survival, rel=1e-9)  # a quotient of differences

    def test_an_exact_event_at_month_zero_leaves_the_families_without_an_answer_and_says_why(self):
        result = judge(EIGHT.assign(months=[0, 2, 4, 6, 5, 9, 10, 10]))
        said = result.to_frame().set_index("criterion")
        assert said.loc["likelihood ratio (weibull)", "verdict"] == "no answer"
        assert "above 0" in said.loc["likelihood ratio (weibull)", "says"]
        assert said.loc["RECeUS", "verdict"] == "no answer"
        assert np.isfinite(result.alpha_n)


class TestRefusals:
    def test_without_an_event_there_is_no_last_one(self):
        with pytest.raises(InsufficientDataError, match="none of the 8 episodes has the event cured"):
            judge(EIGHT.assign(cured=0))

    def test_a_single_event_time_leaves_the_families_without_an_answer(self):
        result = judge(EIGHT.assign(cured=[0, 0, 0, 1, 0, 0, 0, 0]))
        assert verdicts(result)["likelihood ratio (weibull)"] == "no answer"
        assert result.receus is None

    def test_bad_rows_are_named(self):
        with pytest.raises(ContractError, match="months must be a number of months"):
            judge(EIGHT.assign(months=[-1, 2, 4, 6, 5, 9, 10, 10]))

    @pytest.mark.parametrize(
        ("option", "said"),
        [
            ({"level": 1.5}, "level"),
            ({"significance": 0}, "significance"),
            ({"event_width": -1}, "event_width"),
            ({"distributions": ("normal",)}, "distributions is 'normal'"),
        ],
    )
    def test_an_option_outside_its_choices_is_refused(self, option, said):
        with pytest.raises(ValueError, match=said):
            judge(EIGHT, **option)

    def test_a_plain_family_without_events_is_refused(self):
        cells = pd.DataFrame({"lower": [1.0, 2.0], "upper": [np.inf, np.inf], "weight": [1.0, 1.0]})
        with pytest.raises(InsufficientDataError):
            plain_loglik(cells, "weibull")


def assert_same(left, right):
    np.testing.assert_allclose(left.to_frame()["value"], right.to_frame()["value"], rtol=1e-6)
    assert left.to_frame()["says"].tolist() == right.to_frame()["says"].tolist()
