"""Loss given default of a book: by hand on five loans, and against the known truth of the sample."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import InsufficientDataError
from recoverykit.portfolio.loss import (
    _closed_curve,
    estimate_loss,
    estimate_recovery,
    losses_by_segment,
    read_curve,
    read_remaining,
)
from recoverykit.portfolio.opening import open_book
from recoverykit.portfolio.workout import discount_policy, prepare_book, workout

TRUTH = json.loads((Path(__file__).parents[1] / "data_samples" / "truth.json").read_text())["lgd"]
UNDISCOUNTED, AT_EIR = discount_policy("0"), discount_policy("eir")
ROUNDING = 1e-12  # sums of a few floats in another order
# The standard error of the all-in average, over draws of obligors, is 0.8 points; twice that.
ALL_IN_TOLERANCE = 0.016
# truth.json gives six digits
PRINTED = 5e-7

# EAD of 100 each, as of 30 June 2024, nothing discounted:
#   A liquidated after 2 months, 60 came back            B liquidated after 1 month, 100 came back
#   C open for 2 months, 10 came back in the first       D open for 1 month, nothing yet
LOANS = [
    {"default_date": "2024-01-31", "outcome": "liquidated", "outcome_date": "2024-03-31"},
    {"default_date": "2024-01-31", "outcome": "liquidated", "outcome_date": "2024-02-29"},
    {"default_date": "2024-04-30", "outstanding": 90.0},
    {"default_date": "2024-05-31", "outstanding": 100.0},
]
FLOWS = [("A", "2024-03-31", 60.0, "collateral"), ("B", "2024-02-29", 100.0), ("C", "2024-05-31", 10.0)]
# Month 1: four open, 110 of 400 came back, one of four closed. Month 2: A and C open, 60 of 200 came back. Nobody was
# open in month 3, so the curve ends with month 2. Still to come after month 1: 0.30; after month 2: nothing.
# Loss of A 0.4, of B 0, of C 1 - 0.1 = 0.9, of D 1 - 0.30 = 0.7.


@pytest.fixture(scope="module")
def book(small_book, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hand")
    prepare_book(small_book(LOANS, FLOWS), folder, discounts=("0",))
    return open_book(folder)


@pytest.fixture(scope="module")
def loss(book):
    return estimate_loss(book, "all", policy=UNDISCOUNTED, minimum_at_risk=1, n_bootstrap=0)


class TestByHand:
    def test_open_loans_count_with_what_came_back_and_what_the_curve_still_gives(self, loss):
        lgd = dict(zip(loss.per_episode["episode_id"], loss.per_episode["expected_lgd"], strict=True))
        assert lgd == pytest.approx({"A#1": 0.4, "B#1": 0.0, "C#1": 0.9, "D#1": 0.7}, abs=ROUNDING)

    def test_the_averages_stand_side_by_side(self, loss):
        # all (0.4 + 0 + 0.9 + 0.7) / 4, closed (0.4 + 0) / 2, as recorded (0.4 + 0 + 0.9 + 1) / 4
        table = loss.averages()
        assert table["estimate"].tolist() == ["All episodes", "Closed only", "As recorded, open taken as they stand"]
        assert table["lgd"].tolist() == pytest.approx([0.5, 0.2, 0.575], abs=ROUNDING)
        assert table["lgd_ead_weighted"].tolist() == pytest.approx([0.5, 0.2, 0.575], abs=ROUNDING)
        assert table[["lower", "upper"]].isna().all().all()

    def test_what_open_and_closed_loans_recovered_adds_up_with_their_loss(self, loss):
        # open: (0.1 + 0) / 2 so far and (0 + 0.3) / 2 to come; closed: (0.6 + 1) / 2
        expected = {"recovered_open": 0.05, "remaining_open": 0.15, "recovered_closed": 0.8}
        assert loss.open_rates() == pytest.approx(expected, abs=ROUNDING)

    def test_what_the_averages_leave_out_is_counted(self, loss):
        counts = loss.left_out().set_index("what")["n_episodes"]
        assert counts["Open longer than the curve is known: nothing more expected"] == 1  # C, open for two months
        assert counts.sum() == 1

    def test_the_outcomes_weighted_by_number_give_the_average(self, loss):
        table = loss.by_outcome
        assert table["outcome"].tolist() == ["liquidated", "open"]
        assert table["n_episodes"].tolist() == [2, 2]
        assert table["lgd"].tolist() == pytest.approx([0.2, 0.8], abs=ROUNDING)
        assert np.average(table["lgd"], weights=table["n_episodes"]) == pytest.approx(loss.estimate.all_in_lgd)

    def test_the_control_totals_are_those_of_the_worksheet(self, loss):
        summary = loss.tables()["summary"].iloc[0]
        assert summary["n_episodes_in_worksheet"] == 4
        assert summary["ead_in_worksheet"] == 400.00
        assert summary["net_recovery_amount"] == 170.00  # 60 + 100 + 10

    def test_the_curve_divides_what_came_by_all_that_were_observed(self, book):
        # month 1: 110 of 400; month 2: 60 of the 300 of A, B and C, which is D too young for
        recovery = estimate_recovery(book, "all", policy=UNDISCOUNTED, minimum_at_risk=1, n_bootstrap=0)
        assert recovery.curve([0, 1, 2]).tolist() == pytest.approx([0.0, 0.275, 0.475], abs=ROUNDING)
        # closed loans alone: 100 and then 160 of 200
        assert recovery.closed_curve["value"].tolist() == pytest.approx([0.0, 0.5, 0.8], abs=ROUNDING)
        assert recovery.remaining.total_after([0, 1, 2]).tolist() == pytest.approx([0.275 + 0.75 * 0.3, 0.3, 0.0])
        assert str(recovery.basis) == "all: 0 to 2"
        assert sorted(recovery.tables()) == ["curve", "remaining", "triangle"]

    def test_a_closed_loan_without_a_rate_is_not_in_the_curve_of_closed_loans(self, book):
        # Of E nothing is known but its exposure: it must not stand among what the recoveries are divided by.
        own = workout(book, UNDISCOUNTED)
        more = own.worksheet.iloc[[0]].assign(episode_id="E#1", lgd_to_date=np.nan, realised_lgd=np.nan)
        known, with_more = (
            _closed_curve(replace(own, worksheet=w)) for w in (own.worksheet, pd.concat([own.worksheet, more]))
        )
        assert with_more["value"].tolist() == known["value"].tolist()


class TestEdges:
    def test_a_segment_whose_loans_are_all_open_has_no_closed_average_and_borrows_the_curve(self, small_book):
        # E is alone in the east: with two open loans needed in a month it takes the curve of all loans, in which it
        # is the fifth in month 1 and too young for month 2. So 0.30 is still to come, as for D.
        book = small_book([*LOANS, {"default_date": "2024-05-31", "region": "east"}], FLOWS)
        loss = estimate_loss(book, "loan | east", policy=UNDISCOUNTED, minimum_at_risk=2, n_bootstrap=20, seed=1)
        assert loss.estimate.all_in_lgd == pytest.approx(0.7, abs=ROUNDING)
        assert np.isnan(loss.estimate.closed_only_lgd)
        assert not loss.estimate.has_closed
        assert loss.bases[0].own_months == 0
        assert np.isnan(loss.open_rates()["recovered_closed"])
        assert loss.by_outcome["outcome"].tolist() == ["open"]

    def test_where_every_loan_is_closed_all_in_is_closed_only(self, small_book):
        book = small_book(LOANS[:2], FLOWS[:2])
        loss = estimate_loss(book, "all", policy=UNDISCOUNTED, minimum_at_risk=1, n_bootstrap=50, seed=3)
        assert loss.estimate.all_in_lgd == loss.estimate.closed_only_lgd == pytest.approx(0.2)
        assert loss.estimate.intervals["all_in_lgd"] == loss.estimate.intervals["closed_only_lgd"]
        assert np.isnan(loss.open_rates()["recovered_open"])
        assert loss.open_rates()["recovered_closed"] == pytest.approx(0.8)

    def test_a_late_entry_is_in_no_average_and_in_no_outcome(self, book):
        # C was two months in default when first seen: what it recovered before is not known. A, B and D remain:
        # month 1 is 100 of 300, month 2 is A alone, 60 of 100; D expects 0.6 and loses 0.4.
        late = book.episodes.assign(entry_months=[0, 0, 2, 0])
        loss = estimate_loss(
            replace(book, episodes=late, folder=None), "all", policy=UNDISCOUNTED, minimum_at_risk=1, n_bootstrap=0
        )
        assert loss.estimate.n_episodes == 3
        assert loss.estimate.all_in_lgd == pytest.approx((0.4 + 0.0 + 0.4) / 3, abs=ROUNDING)
        assert loss.by_outcome["n_episodes"].tolist() == [2, 1]
        assert loss.left_out()["n_episodes"].tolist() == [1, 0, 0, 0]
        assert set(loss.in_average()["episode_id"]) == {"A#1", "B#1", "D#1"}
        assert len(loss.per_episode) == 4

    def test_a_gain_is_told_and_floored_beside_the_raw_average(self, small_book):
        # B pays 130 of 100: its loss is -0.3, floored 0; closed-only (0.4 - 0.3) / 2 raw and 0.2 floored
        book = small_book(LOANS[:2], [FLOWS[0], ("B", "2024-02-29", 130.0)])
        loss = estimate_loss(book, "all", policy=UNDISCOUNTED, minimum_at_risk=1, n_bootstrap=0)
        row = loss.averages().iloc[1]
        assert (row["lgd"], row["lgd_floored"]) == pytest.approx((0.05, 0.2))
        assert loss.left_out()["n_episodes"].tolist() == [0, 0, 0, 1]

    def test_a_book_without_enough_open_loans_is_refused(self, book):
        with pytest.raises(InsufficientDataError, match="no month with 99 open episodes"):
            estimate_loss(book, "all", policy=UNDISCOUNTED, minimum_at_risk=99)

    def test_an_unknown_segment_is_refused_by_name(self, book):
        with pytest.raises(InsufficientDataError, match="no default episode in segment 'card'"):
            estimate_recovery(book, "card", policy=UNDISCOUNTED)


class TestReading:
    def test_a_curve_is_read_at_round_ages_up_to_the_last_that_enough_were_observed_to(self, prepared_book):
        recovery = estimate_recovery(prepared_book, "mortgage", policy=AT_EIR, n_bootstrap=20)
        table = read_curve(recovery.curve)
        at_risk = recovery.curve.n_at_risk
        assert table["months"].tolist()[:5] == [6, 12, 18, 24, 36]
        assert table["months"].iloc[-1] == recovery.curve.times[at_risk >= 10][-1]
        assert (table["n_at_risk"] == at_risk[table["months"]]).all()

    def test_a_curve_of_a_handful_is_not_read(self, book):
        recovery = estimate_recovery(book, "all", policy=UNDISCOUNTED, minimum_at_risk=1, n_bootstrap=0)
        table = read_curve(recovery.curve)
        assert table["value"].isna().tolist() == [True]

    def test_what_remains_is_read_within_the_curve_only(self, book):
        recovery = estimate_recovery(book, "all", policy=UNDISCOUNTED, minimum_at_risk=1, n_bootstrap=0)
        assert read_remaining(recovery.remaining)["months"].tolist() == [0]


@pytest.fixture(scope="module")
def whole(prepared_book):
    return estimate_loss(prepared_book, "all", policy=AT_EIR, n_bootstrap=0)


class TestSample:
    def test_all_in_is_near_the_truth_and_closed_only_is_not(self, whole):
        truth = TRUTH["portfolio"]
        assert whole.estimate.n_episodes == truth["n_episodes"]
        assert whole.estimate.all_in_lgd == pytest.approx(truth["all_in_discounted"], abs=ALL_IN_TOLERANCE)
        assert truth["all_in_discounted"] - whole.estimate.closed_only_lgd > 3 * ALL_IN_TOLERANCE

    def test_closed_only_is_that_of_the_simulator(self, whole):
        truth = TRUTH["portfolio"]
        assert whole.estimate.closed_only_lgd == pytest.approx(truth["closed_only_discounted"], abs=PRINTED)
        weighted = whole.estimate.closed_only_lgd_ead_weighted
        assert weighted == pytest.approx(truth["closed_only_discounted_ead_weighted"], abs=PRINTED)

    def test_the_whole_book_is_the_number_weighted_sum_of_its_segments(self, prepared_book, whole):
        losses = losses_by_segment(prepared_book, policy=AT_EIR)
        assert losses["segment"].tolist() == prepared_book.segments()
        assert losses["n_episodes"].sum() == whole.estimate.n_episodes
        counted = losses["n_episodes"] + losses["n_late_entry"] + losses["n_unknown"]
        assert counted.sum() == len(prepared_book.episodes)
        mean = np.average(losses["all_in_lgd"], weights=losses["n_episodes"])
        assert mean == pytest.approx(whole.estimate.all_in_lgd, abs=ROUNDING)

    def test_every_segment_has_the_loss_that_its_own_page_shows(self, prepared_book):
        losses = losses_by_segment(prepared_book, policy=AT_EIR).set_index("segment")
        for segment in prepared_book.segments()[::12]:
            alone = estimate_loss(prepared_book, segment, policy=AT_EIR, n_bootstrap=0)
            for name in ("n_episodes", "n_open", "all_in_lgd", "closed_only_lgd", "all_in_lgd_ead_weighted"):
                assert losses.loc[segment, name] == pytest.approx(getattr(alone.estimate, name), abs=ROUNDING)
            assert losses.loc[segment, "own_months"] == alone.bases[0].own_months

    def test_the_seed_decides_the_interval(self, prepared_book):
        def limits(seed):
            loss = estimate_loss(prepared_book, "auto_loan | pacific", policy=AT_EIR, n_bootstrap=30, seed=seed)
            return loss.estimate.intervals["all_in_lgd"]

        assert limits(5) == limits(5)
        assert limits(5) != limits(6)
        lower, upper = limits(5)
        assert lower < upper
