"""Whose data an estimate rests on, by hand on a book of twelve episodes."""

import pandas as pd
import pytest

from recoverykit.episodes.definition import DefaultDefinition
from recoverykit.errors import InsufficientDataError, PlanError, SpecError
from recoverykit.portfolio.book import Book, read_book
from recoverykit.portfolio.segments import ancestry, choose_basis, spliced_cells

BY = ("product", "region")
# product, region, outcome, number of episodes
CONTENT = [
    ("card", "east", "cured", 1),
    ("card", "east", "open", 3),
    ("card", "west", "written_off", 3),
    ("loan", "east", "cured", 4),
    ("loan", "west", "open", 1),
]


def make_book(content=CONTENT):
    rows = [(p, r, o) for p, r, o, n in content for _ in range(n)]
    episodes = pd.DataFrame(rows, columns=["product", "region", "outcome"])
    episodes["facility_id"] = [f"F{i}" for i in range(len(rows))]
    episodes["episode_id"] = episodes["facility_id"] + "#1"
    facilities = episodes[["facility_id", "product", "region"]]
    extra = pd.DataFrame({"facility_id": ["F90"], "product": ["loan"], "region": ["north"]})
    empty = pd.DataFrame()
    return Book(
        name="hand",
        currency="USD",
        reporting_date=pd.Timestamp("2026-09-30"),
        segment_by=BY,
        segment="all",
        facilities=pd.concat([facilities, extra], ignore_index=True),
        episodes=episodes,
        cash_flows=pd.DataFrame({"facility_id": ["F0", "F4"], "amount": [1.0, 2.0]}),
        scenarios=empty,
        exclusions=empty,
        inventory=empty,
        definition=DefaultDefinition(),
        data_hashes={},
    )


class TestBook:
    def test_segments_are_those_with_a_default_and_the_others_are_named(self):
        book = make_book()
        assert book.segments() == ["card | east", "card | west", "loan | east", "loan | west"]
        assert book.segments_without_default() == ["loan | north"]

    def test_segments_and_parents_partition_the_book(self):
        book = make_book()
        assert sum(len(book.restricted(s).episodes) for s in book.segments()) == len(book.episodes)
        assert len(book.restricted("card").episodes) == 7
        assert book.restricted("all") is book

    def test_a_segment_holds_its_own_facilities_and_cash_flows_only(self):
        case = make_book().restricted("card | west")
        assert case.facilities["facility_id"].tolist() == ["F4", "F5", "F6"]
        assert case.cash_flows["facility_id"].tolist() == ["F4"]

    def test_a_segment_without_default_is_refused_by_name(self):
        with pytest.raises(
            InsufficientDataError, match=r"no default episode in segment 'loan \| north' as of 2026-09-30"
        ):
            make_book().restricted("loan | north")

    def test_an_unknown_segment_column_is_named_with_those_there_are(self):
        with pytest.raises(PlanError, match="segment_by names colour, but facilities has no such column; it has"):
            make_book().segments(["colour"])

    def test_a_folder_without_a_book_is_refused(self, tmp_path):
        with pytest.raises(SpecError, match=r"holds no prepared book: book\.json is missing"):
            read_book(tmp_path)


class TestBasis:
    def test_parents_are_found_by_dropping_columns_from_the_right(self):
        assert ancestry("card | east") == ["card | east", "card", "all"]
        assert ancestry("all") == ["all"]

    @pytest.mark.parametrize(
        ("segment", "minimum", "used", "found"),
        [
            ("loan | east", 4, "loan | east", 4),  # four closed: enough
            ("card | east", 4, "card", 1),  # one closed here, 1 + 3 in card
            ("card | east", 5, "all", 1),  # card has four, the book eight
            ("loan | west", 99, "all", 0),  # nobody has enough: the whole book is the last resort
        ],
    )
    def test_the_nearest_with_enough_events_is_used(self, segment, minimum, used, found):
        basis = choose_basis(make_book(), segment, minimum_events=minimum)
        assert (basis.used, basis.n_events) == (used, found)
        assert bool(basis.reason) is (used != segment)

    def test_only_the_outcome_asked_for_counts(self):
        assert choose_basis(make_book(), "card | west", minimum_events=1, outcome="cured").used == "card"

    def test_a_book_without_the_event_gives_no_estimate(self):
        with pytest.raises(InsufficientDataError, match="no sold episodes in the whole book of 12 episodes"):
            choose_basis(make_book(), "card | east", minimum_events=1, outcome="sold")


def cells(counts):
    """Cells with open episodes at the start of months 0, 1, 2, ... of each segment."""
    rows = [(p, r, m, n) for (p, r), by_month in counts.items() for m, n in enumerate(by_month)]
    return pd.DataFrame(rows, columns=["product", "region", "month", "n_open_at_start"])


class TestSplicedCells:
    # minimum 3: card | east has enough in months 0 and 1, card (both regions) to month 2, the book to month 4.
    CELLS = cells({("card", "east"): [5, 3, 1], ("card", "west"): [4, 4, 2, 1], ("loan", "east"): [9, 9, 9, 9, 3, 1]})

    def test_each_month_rests_on_the_nearest_with_enough_open_episodes(self):
        spliced, basis = spliced_cells(self.CELLS, "card | east", BY, minimum_at_risk=3)
        assert basis.stretches == (("card | east", 0, 1), ("card", 2, 2), ("all", 3, 4))
        assert basis.own_months == 2
        assert spliced.groupby("month")["n_open_at_start"].sum().tolist() == [5, 3, 3, 10, 3]

    def test_a_segment_with_enough_throughout_stands_on_its_own(self):
        spliced, basis = spliced_cells(self.CELLS, "all", BY, minimum_at_risk=1)
        assert basis.stretches == (("all", 0, 5),)
        assert len(spliced) == len(self.CELLS)

    def test_a_month_that_went_to_a_parent_does_not_come_back(self):
        # Late entries let the number grow again in month 2; the curve stays with the parent.
        grown = cells({("card", "east"): [3, 2, 3], ("card", "west"): [9, 9, 9]})
        _, basis = spliced_cells(grown, "card | east", BY, minimum_at_risk=3)
        assert basis.stretches == (("card | east", 0, 0), ("card", 1, 2))

    def test_a_book_that_is_too_small_is_refused(self):
        with pytest.raises(InsufficientDataError, match="the whole book has no month with 99 open episodes"):
            spliced_cells(self.CELLS, "card | east", BY, minimum_at_risk=99)
