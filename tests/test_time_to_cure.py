"""Time to cure: the intervals by hand on eight loans, the fallbacks, and the curve against the truth of the sample."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recoverykit.episodes.definition import DefaultDefinition
from recoverykit.errors import ConvergenceError
from recoverykit.portfolio import cure_model
from recoverykit.portfolio.time_to_cure import estimate_time_to_cure, time_to_cure_frame

TRUTH = json.loads((Path(__file__).parents[1] / "data_samples" / "truth.json").read_text())
PROBABILITIES = {int(month): p for month, p in TRUTH["cumulative_cure_probability"].items()}
# Two and a half standard errors of a share of 43 % among the 2,815 episodes of the sample: one draw of a portfolio
# whose cures are themselves random.
SAMPLING = 2.5 * (0.43 * 0.57 / 2815) ** 0.5
ROUNDING = 1e-12  # one less a survival of one
# The model and the curve that it is drawn over rest on the same episodes.
SAME_DATA = 0.01
DRIVERS = ["ltv_ratio", "credit_score", "unemployment_rate_at_default"]


# Nobody cures: one sold, one repaid, two open.
LOANS = [
    {"default_date": "2023-01-31", "outcome": "sold", "outcome_date": "2023-06-30", "ltv_ratio": 0.5},
    {"default_date": "2023-01-31", "outcome": "repaid", "outcome_date": "2023-04-30", "ltv_ratio": 0.7},
    {"default_date": "2023-01-31", "outstanding": 100.0, "ltv_ratio": 0.9},
    {"default_date": "2023-01-31", "outstanding": 100.0, "ltv_ratio": 0.8},
]


class TestFrame:
    # outcome, months_in_default, observed_months, entry_months
    EPISODES = pd.DataFrame(
        [
            ("cured", 3, 20, 0),
            ("cured", 7, 20, 0),
            ("cured", 0, 9, 0),
            ("cured", 1, 9, 0),
            ("open", 12, 12, 0),
            ("sold", 5, 30, 0),
            ("open", 1, 1, 0),
            ("cured", 9, 24, 5),
        ],
        columns=["outcome", "months_in_default", "observed_months", "entry_months"],
    )

    def test_eight_loans_with_two_dead_months(self):
        # Two months in which no cure can be recorded, so month 3 is the first:
        # cured in 3 -> (0, 1]; cured in 7 -> (4, 5]; a cure in month 0 or 1, sooner than the rule allows, counts in the
        # first possible month (0, 1]; open for 12 -> beyond 10; sold in month 5 and 30 months old -> never cured, and
        # known not to have in 30 - 2 = 28; open for 1 -> beyond 0; a late entry first seen in month 5 -> from 3 on.
        frame = time_to_cure_frame(self.EPISODES, dead_months=2)
        assert frame["has_cured"].tolist() == [True, True, True, True, False, False, False, True]
        assert frame["lower_months"].tolist() == [0, 4, 0, 0, 10, 28, 0, 6]
        assert frame["upper_months"].tolist() == [1, 5, 1, 1, np.inf, np.inf, np.inf, 7]
        assert frame["cure_entry_months"].tolist() == [0, 0, 0, 0, 0, 0, 0, 3]

    def test_without_dead_months_a_cure_in_month_nought_lies_in_the_first_month(self):
        frame = time_to_cure_frame(self.EPISODES, dead_months=0)
        assert frame["lower_months"].tolist() == [2, 6, 0, 0, 12, 30, 1, 8]
        assert frame["upper_months"].tolist() == [3, 7, 1, 1, np.inf, np.inf, np.inf, 9]
        assert frame["cure_entry_months"].tolist() == [0, 0, 0, 0, 0, 0, 0, 5]

    def test_the_episodes_are_kept_as_they_were(self):
        before = self.EPISODES.copy()
        frame = time_to_cure_frame(self.EPISODES, dead_months=2)
        pd.testing.assert_frame_equal(self.EPISODES, before)
        pd.testing.assert_frame_equal(frame[list(before.columns)], before)


@pytest.fixture(scope="module")
def plain(prepared_book):
    return estimate_time_to_cure(prepared_book, "all", drivers=[])


@pytest.fixture(scope="module")
def driven(prepared_book):
    return estimate_time_to_cure(prepared_book, "all", drivers=[*DRIVERS, "no_such_driver"])


class TestSample:
    def test_the_model_follows_the_true_probability_of_cure(self, driven):
        for month, probability in PROBABILITIES.items():
            assert driven.model_curve(month).item() == pytest.approx(probability, abs=SAMPLING)
        ultimate = TRUTH["episodes"]["ultimate_cure_probability"]
        assert driven.ultimate_cure_probability == pytest.approx(ultimate, abs=SAMPLING)

    def test_the_model_follows_what_was_observed(self, plain, driven):
        for month in PROBABILITIES:
            assert plain.model_curve(month).item() == pytest.approx(plain.observed_cure(month).item(), abs=SAME_DATA)
            assert driven.model_curve(month).item() == pytest.approx(plain.observed_cure(month).item(), abs=SAME_DATA)

    def test_no_cure_is_expected_before_the_probation_is_over(self, driven):
        assert driven.model_curve.times[:4].tolist() == [0, 1, 2, 3]
        assert driven.model_curve([0, 1, 2]) == pytest.approx([0, 0, 0], abs=ROUNDING)
        assert driven.model_curve(3).item() > 0
        assert (np.diff(driven.model_curve.values) >= 0).all()

    def test_the_best_of_the_candidates_is_used_and_all_are_shown(self, plain):
        table = plain.comparison
        assert sorted(table["distribution"]) == ["gamma", "loglogistic", "lognormal", "weibull"]
        assert table["distribution"].iloc[0] == plain.fit.distribution
        assert table["aic"].is_monotonic_increasing

    def test_the_distance_of_a_candidate_is_its_largest_gap_from_the_observed_curve(self, plain):
        # by another way: month by month over those with ten at risk
        told = plain.observed_cure.times[plain.observed_cure.n_at_risk >= 10]
        gap = np.abs(plain.model_curve(told) - plain.observed_cure(told)).max()
        assert plain.comparison["distance"].iloc[0] == pytest.approx(gap, abs=ROUNDING)
        assert (plain.comparison["distance"] < 0.03).all()

    def test_drivers_the_data_do_not_hold_or_that_do_not_vary_are_left_out_by_name(self, prepared_book, driven):
        assert driven.drivers_left_out == ("no_such_driver",)
        assert set(DRIVERS) <= set(driven.drivers["label"])
        assert "no_such_driver" not in set(driven.drivers["label"])
        # credit cards are unsecured, so all have a ratio of 0
        cards = estimate_time_to_cure(
            prepared_book, "credit_card", drivers=["ltv_ratio", "credit_score"], distributions=["weibull"]
        )
        assert cards.drivers_left_out == ("ltv_ratio",)
        assert cards.drivers["label"].unique().tolist() == ["credit_score"]

    def test_a_higher_score_cures_more_often_in_the_model_and_in_the_second_opinion(self, driven):
        odds = driven.drivers.query("part == 'incidence'").set_index("label")
        assert odds.loc["credit_score", "lower"] > 1
        assert odds.loc["ltv_ratio", "estimate"] != 1
        assert driven.cox.set_index("term").loc["credit_score", "hazard_ratio"] > 1

    def test_over_the_whole_book_the_products_stand_beside_the_drivers(self, driven):
        # one is the reference: five of six, in both parts of the model
        products = driven.drivers[driven.drivers["label"].str.endswith("(product)")]
        assert products["part"].value_counts().to_dict() == {"incidence": 5, "latency": 5}

    def test_a_ratio_says_what_it_is_per(self, prepared_book, driven):
        rows = driven.drivers[driven.drivers["part"] == "latency"].set_index("label")
        assert rows.loc["credit_score", "spread"] == pytest.approx(prepared_book.episodes["credit_score"].std())
        assert rows.loc["credit_score", ["driver", "level", "reference"]].tolist() == ["credit_score", "", ""]
        heloc = rows.loc["heloc (product)"]
        assert heloc[["driver", "level", "reference"]].tolist() == ["product", "heloc", "auto_loan"]
        assert np.isnan(heloc["spread"])

    def test_the_second_opinion_carries_the_labels_of_the_drivers(self, driven):
        assert set(driven.cox["label"]) == set(driven.drivers["label"])

    def test_a_segment_with_too_few_cures_borrows_its_parents_model(self, prepared_book):
        n = (prepared_book.restricted("mortgage | mountain").episodes["outcome"] == "cured").sum()
        assert 0 < n < 60
        cure = estimate_time_to_cure(prepared_book, "mortgage | mountain", drivers=[], distributions=["weibull"])
        assert (cure.basis.used, cure.basis.is_own) == ("mortgage", False)
        assert cure.fit.n_events == (prepared_book.restricted("mortgage").episodes["outcome"] == "cured").sum()
        # what was observed is the segment's own; late entries are not at risk in month 0
        own = prepared_book.restricted("mortgage | mountain").episodes
        assert cure.resolution.n_at_risk[0] == (own["entry_months"] == 0).sum()

    def test_the_record_and_the_tables_hold_what_is_kept(self, plain):
        record = plain.record()
        assert record["ultimate_cure_probability"] == 1 - plain.never()["never_share"]
        assert plain.never()["model"] == plain.fit.distribution
        assert set(plain.tables()) == {"drivers", "models", "plateau", "calibration"}
        assert record["follow_up"]["n_events"] > 1000
        json.dumps(record)


class TestTooLittle:
    def test_a_book_without_cure_has_no_model_and_says_why(self, small_book):
        cure = estimate_time_to_cure(small_book(LOANS), "all", drivers=["ltv_ratio", "colour"])
        assert cure.fit is None
        assert cure.model_curve is None
        assert cure.note == "no cured episodes in the whole book of fewer than 10 episodes"
        # the ratio is there and varies: it is not the data that left it out
        assert cure.drivers_left_out == ("colour",)
        assert np.isnan(cure.ultimate_cure_probability)
        assert cure.never()["never_share"] is None
        assert cure.observed_cure.values.max() == 0
        assert cure.tables() == {}
        assert cure.record()["basis"] is None
        # nothing is told of what there is not
        assert (cure.basis_segment, cure.follow_up, cure.residuals) == ("", None, None)
        assert np.isnan(cure.residual_gap()["largest_gap"])
        assert np.isnan(cure.plateau_facts()["last_cure"])
        assert cure.calibration.empty

    def test_a_whole_book_with_fewer_cures_than_needed_has_no_model(self, prepared_book):
        cure = estimate_time_to_cure(prepared_book, "all", drivers=[], minimum_cures=5000)
        assert cure.fit is None
        assert cure.note == "the whole book holds 1101 cured episodes, and a model needs 5000"

    def test_a_few_cures_are_not_counted_out_on_a_page(self, small_book):
        cured = {"default_date": "2023-01-31", "outcome": "cured", "outcome_date": "2023-06-30", "ltv_ratio": 0.5}
        cure = estimate_time_to_cure(small_book([cured, *LOANS]), "all", drivers=[])
        assert cure.note == "the whole book holds fewer than 10 cured episodes, and a model needs 60"


class TestSoonerThanProbation:
    def test_a_bank_that_records_cures_sooner_has_fewer_dead_months(self, prepared_book):
        # The rule's probation is three months, but this bank records cures two months sooner: no month is dead.
        episodes = prepared_book.episodes
        sooner = episodes.assign(
            months_in_default=episodes["months_in_default"].mask(
                episodes["outcome"] == "cured", episodes["months_in_default"] - 2
            )
        )
        book = replace(prepared_book, episodes=sooner[sooner["entry_months"] == 0].reset_index(drop=True))
        cure = estimate_time_to_cure(book, "all", drivers=[], distributions=["weibull"])
        assert cure.model_curve(1).item() > 0
        for month in (6, 12, 24):
            assert cure.model_curve(month).item() == pytest.approx(cure.observed_cure(month).item(), abs=2 * SAME_DATA)

    def test_a_longer_probation_has_more_dead_months_only_where_no_cure_came_sooner(self, prepared_book):
        book = replace(prepared_book, definition=DefaultDefinition(probation_months=6))
        cure = estimate_time_to_cure(book, "all", drivers=[], distributions=["weibull"])
        assert cure.model_curve(3).item() > 0


class TestConvergence:
    def test_a_distribution_that_does_not_converge_does_not_cost_the_others(self, prepared_book, monkeypatch):
        fit = cure_model.fit_one

        def failing(frame, drivers, distribution, level):
            if distribution == "lognormal":
                raise ConvergenceError("no start converged")
            return fit(frame, drivers, distribution, level)

        monkeypatch.setattr(cure_model, "fit_one", failing)
        cure = estimate_time_to_cure(prepared_book, "all", drivers=[], distributions=["lognormal", "weibull"])
        assert cure.fit.distribution == "weibull"
        assert cure.comparison["distribution"].tolist() == ["weibull", "lognormal"]
        assert cure.comparison["boundary"].tolist() == ["none", "did not converge"]
        assert cure.comparison["distance"].isna().tolist() == [False, True]
        alone = estimate_time_to_cure(prepared_book, "all", drivers=[], distributions=["lognormal"])
        assert (alone.fit, alone.note) == (None, "no start converged")

    def test_a_second_opinion_that_cannot_be_had_does_not_cost_the_first(self, prepared_book, monkeypatch):
        class Failing:
            def __init__(self, formula):
                pass

            def fit(self, *args, **options):
                raise ConvergenceError("one driver tells cures apart without error")

        monkeypatch.setattr(cure_model, "CoxModel", Failing)
        cure = estimate_time_to_cure(prepared_book, "all", drivers=["credit_score"], distributions=["weibull"])
        assert cure.fit is not None
        assert cure.cox.empty
