"""Log-rank and Gray's test: by hand, against R, lifelines and statsmodels, and what must always hold."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.statistics import multivariate_logrank_test
from scipy.stats import chi2, kstest
from statsmodels.duration.survfunc import survdiff

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators.curve_tests import gray_test, logrank_test

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE") or Path(__file__).parents[2] / "shared" / "reference")
EXACT = 1e-12  # sums and products of a few dozen numbers of order 1
PEER_TOLERANCE = 1e-9  # sums of a thousand terms in another order
REFERENCE_TOLERANCE = 1e-9  # the file holds 15 digits; asked for was 1e-5

SIX = pd.DataFrame(
    {
        "months": [1, 2, 4, 2, 5, 6],
        "outcome": ["cured", "cured", "open", "sold", "cured", "open"],
        "product": ["card", "card", "card", "auto", "auto", "auto"],
    }
).assign(resolved=lambda f: f["outcome"] != "open")


def logrank(frame, **options):
    return logrank_test(frame, **{"duration_col": "months", "event_col": "resolved", "by": "product", **options})


def gray(frame, **options):
    return gray_test(frame, **{"duration_col": "months", "outcome_col": "outcome", "by": "product", **options})


def random_book(seed, n=400, groups="abc"):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "months": rng.integers(0, 25, n),
            "outcome": rng.choice(["cured", "sold", "open"], n, p=[0.5, 0.2, 0.3]),
            "product": rng.choice(list(groups), n),
            "weight": rng.integers(1, 4, n),
        }
    )
    frame["entry"] = np.where(rng.random(n) < 0.3, np.maximum(frame["months"] - rng.integers(1, 9, n), 0), 0)
    return frame.assign(resolved=lambda f: f["outcome"] != "open")


class TestLogrank:
    def test_six_loans_by_hand(self):
        # Month 1: 1 event, 3 cards of 6.  Month 2: 2 events, 2 cards of 5.  Month 5: 1 event, no card of 2.
        # Expected of cards: 1/2 + 2 * 2/5 = 1.3; observed 2.
        # Variance: 1/2 * 1/2 + 2 * (5-2)/(5-1) * 2/5 * 3/5 = 0.25 + 0.36 = 0.61.
        test = logrank(SIX)
        np.testing.assert_allclose(test.table["expected"], [4 - 1.3, 1.3], atol=EXACT)
        np.testing.assert_allclose(test.table["observed"], [2, 2])
        assert test.statistic == pytest.approx(0.7**2 / 0.61, abs=EXACT)
        assert test.degrees_of_freedom == 1
        assert test.p_value == pytest.approx(chi2.sf(0.7**2 / 0.61, 1), abs=EXACT)

    def test_three_groups_agree_with_lifelines_and_statsmodels(self):
        book = random_book(1)
        test = logrank(book)
        peer = multivariate_logrank_test(book["months"], book["product"], book["resolved"])
        other = survdiff(book["months"], book["resolved"].astype(int), book["product"])
        assert test.degrees_of_freedom == 2
        assert test.statistic == pytest.approx(peer.test_statistic, abs=PEER_TOLERANCE)
        assert test.statistic == pytest.approx(other[0], abs=PEER_TOLERANCE)
        assert test.p_value == pytest.approx(peer.p_value, abs=PEER_TOLERANCE)

    def test_late_entries_agree_with_statsmodels(self):
        book = random_book(2)
        book = book[book["months"] > book["entry"]]
        # A peer that counts an entry at 0 as present at events of month 0 is asked only about later months.
        book = book[book["months"] > 0]
        peer = survdiff(book["months"], book["resolved"].astype(int), book["product"], entry=book["entry"])
        assert logrank(book, entry_col="entry").statistic == pytest.approx(peer[0], abs=PEER_TOLERANCE)

    def test_without_ties_it_is_the_score_test_of_a_cox_model(self):
        rng = np.random.default_rng(3)
        book = random_book(3, groups="ab").assign(months=rng.exponential(9, 400))
        # The score of the partial likelihood at 0 is observed less expected, its information the log-rank variance.
        x = (book["product"] == "b").to_numpy(dtype=float)
        order = np.argsort(book["months"].to_numpy())
        x, d = x[order], book["resolved"].to_numpy()[order]
        mean = np.cumsum(x[::-1])[::-1] / np.arange(len(x), 0, -1)
        score, information = np.sum((x - mean)[d]), np.sum((mean * (1 - mean))[d])
        assert logrank(book).statistic == pytest.approx(score**2 / information, abs=PEER_TOLERANCE)
        # and close to the likelihood ratio of the fitted model, as both are for small effects
        fitted = CoxPHFitter().fit(book[["months", "resolved"]].assign(x=book["product"] == "b"), "months", "resolved")
        assert logrank(book).statistic == pytest.approx(fitted.log_likelihood_ratio_test().test_statistic, rel=0.02)

    def test_expected_events_add_up_to_those_observed(self):
        table = logrank(random_book(4)).table
        assert table["expected"].sum() == pytest.approx(table["observed"].sum(), abs=PEER_TOLERANCE)

    def test_a_segment_never_at_risk_with_an_event_costs_no_degree_of_freedom(self):
        early = pd.DataFrame({"months": [0.5], "outcome": ["open"], "product": ["loan"], "resolved": [False]})
        test = logrank(pd.concat([SIX, early], ignore_index=True))
        assert test.degrees_of_freedom == 1
        assert test.statistic == pytest.approx(logrank(SIX).statistic, abs=EXACT)

    def test_two_segment_columns_make_one_segment_each(self):
        book = random_book(5).assign(region=lambda f: np.where(f.index % 2, "e", "w"))
        assert logrank(book, by=["product", "region"]).degrees_of_freedom == 5


class TestGray:
    def test_mgus_by_sex_agrees_with_cmprsk(self):
        folder = REFERENCE / "survival"
        if not folder.is_dir():
            pytest.skip(f"no reference data at {folder}; set RECOVERYKIT_REFERENCE")
        frame = pd.read_csv(folder / "mgus2_cr.csv")
        tests = gray_test(frame, duration_col="etime", outcome_col="event", by="sex", censored="0")
        # R cmprsk::cuminc on survival::mgus2: 1.194508 and 11.651259, in full in the file.
        for row in pd.read_csv(folder / "expected" / "gray_mgus2.csv", dtype={"cause": str}).itertuples():
            assert tests[row.cause].statistic == pytest.approx(row.stat, abs=REFERENCE_TOLERANCE)
            assert tests[row.cause].p_value == pytest.approx(row.pv, abs=REFERENCE_TOLERANCE)
            assert tests[row.cause].degrees_of_freedom == row.df

    def test_expected_cures_of_six_loans_by_hand(self):
        # Month 1: R = 3 and 3, a card is cured: expected 1/2 each. Cards: F = 1/3, S = 2/3.
        # Month 2: cards Y 2, S 2/3, F 1/3: R = 2 * (2/3) / (2/3) = 2. Autos Y 3: R = 3. Cured 1: expected 2/5 of cards.
        #   Cards: F = 1/3 + 2/3 * 1/2 = 2/3, S = 1/3. Autos (one sold): F = 0, S = 2/3.
        # Month 5: no card is left. Autos Y 2, R = 2 * 1 / (2/3) = 3: expected 1 of autos.
        table = gray(SIX)["cured"].table.set_index("segment")
        assert table.loc["card", "expected"] == pytest.approx(1 / 2 + 2 / 5, abs=EXACT)
        assert table.loc["auto", "expected"] == pytest.approx(1 / 2 + 3 / 5 + 1, abs=EXACT)

    def test_an_outcome_that_only_one_segment_could_have_costs_the_others_no_test(self):
        # Sold in month 20, when no auto was followed any more.
        late = pd.DataFrame({"months": [20], "outcome": ["sold"], "product": ["card"], "resolved": [True]})
        book = pd.concat([SIX.replace({"outcome": {"sold": "open"}}), late], ignore_index=True)
        tests = gray(book)
        assert 0 < tests["cured"].p_value < 1
        assert (tests["sold"].degrees_of_freedom, tests["sold"].to_record()["p_value"]) == (0, None)
        assert np.isnan([tests["sold"].statistic, tests["sold"].p_value]).all()
        assert "cannot be compared" in tests["sold"].sentence()
        with pytest.raises(InsufficientDataError, match="whenever sold happened"):
            gray(book.replace({"outcome": {"cured": "open"}}))

    def test_an_only_outcome_without_ties_gives_the_score_of_the_log_rank_test(self):
        rng = np.random.default_rng(6)
        book = random_book(6).assign(months=rng.exponential(9, 400))
        book["outcome"] = np.where(book["resolved"], "cured", "open")
        ours, plain = gray(book)["cured"], logrank(book)
        np.testing.assert_allclose(ours.table["expected"], plain.table["expected"], atol=PEER_TOLERANCE)
        # Its variance takes the pooled curve instead of hypergeometric margins: near, not equal.
        assert ours.statistic == pytest.approx(plain.statistic, rel=0.05)

    def test_it_sees_more_cures_where_the_pace_of_cure_is_the_same(self):
        # In b many are sold early; those still open are cured at the same monthly pace as in a, yet fewer ever are.
        rng = np.random.default_rng(7)
        n = 2000
        cure, sale = rng.exponential(10, (2, n)), rng.exponential([[30], [5]], (2, n))
        months, outcome = np.minimum(cure, sale), np.where(cure < sale, "cured", "sold")
        book = pd.DataFrame({"months": months.ravel(), "outcome": outcome.ravel(), "product": np.repeat(["a", "b"], n)})
        book["resolved"] = book["outcome"] == "cured"
        assert gray(book)["cured"].p_value < 1e-6
        assert logrank(book).p_value > 0.01

    @pytest.mark.slow
    def test_p_values_are_uniform_when_the_segments_do_not_differ(self):
        # 600 books of 150 loans; of a right p-value Kolmogorov-Smirnov rejects uniformity at 1e-3 once in a thousand.
        p_values = [
            (gray(book)["cured"].p_value, logrank(book).p_value)
            for book in (random_book(seed, n=150) for seed in range(600))
        ]
        for column in np.array(p_values).T:
            assert kstest(column, "uniform").pvalue > 1e-3


class TestBoth:
    @pytest.mark.parametrize("seed", range(5))
    def test_a_row_of_weight_two_is_the_row_twice(self, seed):
        book = random_book(seed, n=60)
        repeated = book.loc[book.index.repeat(book["weight"])].reset_index(drop=True)
        assert logrank(book, weights_col="weight").statistic == pytest.approx(logrank(repeated).statistic, rel=1e-10)
        weighted, twice = gray(book, weights_col="weight"), gray(repeated)
        for outcome, test in weighted.items():
            assert test.statistic == pytest.approx(twice[outcome].statistic, rel=1e-10)
            np.testing.assert_allclose(test.table["n_episodes"], twice[outcome].table["n_episodes"])

    @pytest.mark.parametrize("seed", range(5))
    def test_row_order_names_and_unit_of_time_do_not_matter(self, seed):
        book = random_book(seed, n=60)
        other = book.sample(frac=1, random_state=seed).assign(months=lambda f: f["months"] * 30.4375)
        other["product"] = other["product"].map({"a": "z", "b": "y", "c": "x"})
        assert logrank(book).statistic == pytest.approx(logrank(other).statistic, rel=1e-10)
        for outcome, test in gray(book).items():
            assert test.statistic == pytest.approx(gray(other)[outcome].statistic, rel=1e-10)

    def test_the_frame_is_not_changed(self):
        before = SIX.copy(deep=True)
        logrank(SIX)
        gray(SIX)
        pd.testing.assert_frame_equal(SIX, before)

    def test_the_record_and_the_sentence_name_the_event(self):
        test = gray(SIX)["cured"]
        assert test.to_record()["segments"][1]["segment"] == "card"
        assert "Event: cured. Gray test over 2 segments" in test.sentence()
        assert "<table" in test._repr_html_()

    def test_one_segment_is_refused(self):
        with pytest.raises(InsufficientDataError, match="one segment by product: card"):
            logrank(SIX.head(3))

    def test_no_event_is_refused(self):
        with pytest.raises(InsufficientDataError, match="no row has an event"):
            logrank(SIX.assign(resolved=False))
        with pytest.raises(InsufficientDataError, match="no row has an event"):
            gray(SIX.assign(outcome="open"))

    def test_segments_that_were_never_at_risk_together_are_refused(self):
        apart = SIX.assign(months=[1, 2, 4, 12, 15, 16], entry=[0, 0, 0, 11, 11, 11])
        with pytest.raises(InsufficientDataError, match="one segment"):
            logrank(apart, entry_col="entry")

    def test_all_faults_are_named_at_once(self):
        bad = SIX.assign(months=[-1, 2, 4, 2, 5, 6], product=["card", None, "card", "auto", "auto", "auto"])
        with pytest.raises(ContractError) as caught:
            gray(bad)
        assert "months must be a number of months" in str(caught.value)
        assert "segment column product must not be missing" in str(caught.value)
