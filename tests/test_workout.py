"""The workouts of a book: prepared and computed are the same, and segments add up to the whole in whole cents."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest

from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.errors import SpecError
from recoverykit.portfolio.money import to_cents
from recoverykit.portfolio.opening import open_book
from recoverykit.portfolio.workout import (
    FRAMES,
    PROVISION_POLICY,
    all_exclusions,
    audit_worksheet,
    discount_policy,
    prepare_book,
    workout,
)

AT_EIR = discount_policy("eir")
UNDISCOUNTED = discount_policy("0")
LOANS = [
    {"default_date": "2024-01-31", "outcome": "liquidated", "outcome_date": "2024-03-31"},
    {"default_date": "2024-01-31", "region": "east", "outcome": "cured", "outcome_date": "2024-04-30"},
]


def assert_same(left, right):
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(left, name), getattr(right, name))


@pytest.fixture(scope="module")
def hand(small_book):
    return small_book(LOANS, [("A", "2024-03-31", 60.0), ("B", "2024-02-29", 5.0)])


@pytest.fixture(scope="module")
def folder(hand, tmp_path_factory):
    path = tmp_path_factory.mktemp("hand")
    prepare_book(hand, path, discounts=("0",))
    return path


class TestPrepared:
    def test_a_prepared_workout_is_the_one_computed(self, sample_book, prepared_book):
        for policy in (AT_EIR, PROVISION_POLICY):
            assert_same(workout(prepared_book, policy), workout(sample_book, policy))

    def test_a_policy_that_was_not_prepared_is_computed(self, hand, folder):
        policy = LedgerPolicy(discount_rate=0.1)
        assert_same(workout(open_book(folder), policy), workout(hand, policy))

    def test_a_segment_of_a_prepared_book_holds_its_own_flows_only(self, hand, folder):
        opened = workout(open_book(folder, segment="loan | east"), UNDISCOUNTED)
        assert set(opened.worksheet["episode_id"]) == {"B#1"}
        assert_same(opened, workout(hand.restricted("loan | east"), UNDISCOUNTED))

    def test_preparing_again_leaves_nothing_of_the_book_before(self, folder, tmp_path):
        # Loan A recovers 60 in the first book and 70 in the second; a workout left over from the first would say 60.
        again = shutil.copytree(folder, tmp_path / "again")
        book = open_book(again)
        assert workout(book, UNDISCOUNTED).worksheet["net_recovery_amount"].tolist()[0] == 60.00
        prepare_book(replace(book, cash_flows=book.cash_flows.assign(amount=[70.0, 5.0])), again, discounts=())
        assert workout(open_book(again), UNDISCOUNTED).worksheet["net_recovery_amount"].tolist()[0] == 70.00


class TestSegments:
    def test_the_segments_add_up_to_the_whole_in_cents(self, prepared_book):
        whole = workout(prepared_book, AT_EIR)
        parts = [whole.restricted(prepared_book.restricted(s)) for s in prepared_book.segments()]
        assert sum(len(p.ledger) for p in parts) == len(whole.ledger)
        assert sum(len(p.worksheet) for p in parts) == len(whole.worksheet)
        for frame, column in [
            ("worksheet", "ead"),
            ("worksheet", "net_recovery_amount"),
            ("ledger", "amount"),
            ("ledger", "net_amount"),
            ("cells", "net_amount"),
            ("cells", "ead_at_risk"),
            ("triangle", "net_amount"),
        ]:
            cents = [int(to_cents(getattr(part, frame)[column]).sum()) for part in parts]
            assert sum(cents) == int(to_cents(getattr(whole, frame)[column]).sum()), (frame, column)
        assert sum(int(p.cells["n_at_risk"].sum()) for p in parts) == int(whole.cells["n_at_risk"].sum())

    def test_a_parent_is_the_sum_of_its_segments(self, prepared_book):
        whole = workout(prepared_book, AT_EIR)
        parent = whole.restricted(prepared_book.restricted("heloc"))
        children = [s for s in prepared_book.segments() if s.startswith("heloc | ")]
        ids = [i for s in children for i in whole.restricted(prepared_book.restricted(s)).worksheet["episode_id"]]
        assert sorted(ids) == parent.worksheet["episode_id"].tolist()

    def test_a_segment_does_not_bear_the_indirect_costs_of_all(self, small_book):
        # 40 over two loans of 100 are 20 each; the segment of one of them alone would bear all 40.
        totals = pd.DataFrame({"cash_flow_date": [pd.Timestamp("2024-02-29")], "amount": [40.0]})
        book = replace(small_book(LOANS), ledger_tables={"indirect_costs": totals})
        policy = LedgerPolicy(discount_rate=0.0, indirect_cost_allocation="ead")
        assert workout(book, policy).worksheet["cost_amount"].tolist() == [20.0, 20.0]
        case = book.restricted("loan | east")
        with pytest.raises(SpecError, match=r"the book is the segment 'loan \| east', which would bear them alone"):
            workout(case, policy)
        with pytest.raises(SpecError, match="take the whole book"):
            audit_worksheet(case, ["B#1"], policy=policy)
        assert workout(book, policy).restricted(case).worksheet["cost_amount"].tolist() == [20.0]
        assert workout(case, UNDISCOUNTED).worksheet["cost_amount"].tolist() == [0.0]  # where nothing is spread


class TestExclusions:
    def test_every_flow_is_in_the_ledger_or_counted_as_left_out(self, small_book):
        # In: 60. Out: 7 before the default of A, 11 after the cure of B, 13 of indirect cost under the provision.
        flows = [
            ("A", "2024-03-31", 60.0, "collateral"),
            ("A", "2024-01-30", 7.0),
            ("A", "2024-02-29", 13.0, "indirect_cost"),
            ("B", "2024-05-31", 11.0),
        ]
        cut = pd.DataFrame({"table": ["status"], "reason": ["cut while reading"], "n_rows": [3], "amount": [0.0]})
        book = replace(small_book(LOANS, flows), exclusions=cut)
        left_out = all_exclusions(book, PROVISION_POLICY)
        assert left_out["table"].tolist() == ["status", *["cash_flows"] * 3]
        assert sorted(left_out["amount"]) == [0.0, 7.0, 11.0, 13.0]
        assert left_out["n_rows"].tolist() == [3, 1, 1, 1]
        paid = workout(book, PROVISION_POLICY).ledger.query("kind != 'cure'")
        assert to_cents(paid["amount"]).sum() + to_cents(left_out["amount"]).sum() == 91_00


class TestDiscount:
    def test_a_rate_is_written_as_a_share(self):
        assert discount_policy("0.09").discount_rate == 0.09
        assert discount_policy("eir").discount_rate == "eir"

    @pytest.mark.parametrize("text", ["", "EIR", "five", "5 %", "5", "-1", "nan", "inf"])
    def test_anything_else_is_refused_with_what_is_allowed(self, text):
        with pytest.raises(SpecError, match="allowed are 'eir' and an annual rate written as a share"):
            discount_policy(text)
