"""Counts of a book, by hand on five loans."""

import numpy as np
import pandas as pd
import pytest

from recoverykit.portfolio.overview import book_overview, outcomes_by_vintage, segment_overview

# Obligor a owes the first two.
LOANS = [
    {"default_date": "2023-01-31", "outcome": "cured", "outcome_date": "2023-05-31", "obligor_id": "a", "ead": 100.10},
    {"default_date": "2023-02-28", "outstanding": 150.20, "obligor_id": "a", "ead": 200.20},
    {"default_date": "2023-05-31", "outcome": "sold", "outcome_date": "2024-01-31", "region": "east", "ead": 300.30},
    {"default_date": "2024-01-31", "outstanding": 390.10, "region": "east", "ead": 400.40},
    {"default_date": "2024-03-31", "outcome": "cured", "outcome_date": "2024-06-30", "region": "east", "ead": 500.50},
]


@pytest.fixture(scope="module")
def book(small_book):
    return small_book(LOANS)


def test_the_book_is_counted(book):
    assert book_overview(book) == {
        "n_facilities": 5,
        "n_obligors": 4,
        "n_episodes": 5,
        "n_closed": 3,
        "n_open": 2,
        "n_cured": 2,
        "ead": 1501.50,
        "outstanding": 540.30,  # 150.20 + 390.10
        "open_share": 0.4,
    }


def test_a_segment_is_counted_by_itself(book):
    facts = book_overview(book.restricted("loan | east"))
    assert (facts["n_facilities"], facts["n_episodes"], facts["n_open"], facts["ead"]) == (3, 3, 1, 1201.20)


def test_what_is_owed_is_not_told_where_a_balance_is_missing(small_book):
    # Nothing but the truth: 150.20 of one loan are known, the other's balance is not.
    facts = book_overview(small_book([LOANS[1], {"default_date": "2024-01-31"}]))
    assert np.isnan(facts["outstanding"])
    assert facts["ead"] == 300.20


def test_segments_are_counted_by_outcome_and_add_up_to_the_book(book):
    table = segment_overview(book)
    assert table["segment"].tolist() == ["loan | east", "loan | west"]
    assert table.columns.tolist() == [
        *("segment", "n_episodes", "n_cured", "n_repaid", "n_liquidated", "n_sold", "n_written_off", "n_open", "ead")
    ]
    assert table["n_episodes"].tolist() == [3, 2]
    assert table["n_cured"].tolist() == [1, 1]
    assert table["n_sold"].tolist() == [1, 0]
    assert table["n_liquidated"].tolist() == [0, 0]
    assert table["n_open"].tolist() == [1, 1]
    assert table["ead"].tolist() == [1201.20, 300.30]


def test_vintages_are_quarters_of_default_in_order(book):
    table = outcomes_by_vintage(book)
    rows = [
        ("2023Q1", "cured", 1),
        ("2023Q1", "open", 1),
        ("2023Q2", "sold", 1),
        ("2024Q1", "cured", 1),
        ("2024Q1", "open", 1),
    ]
    expected = pd.DataFrame(rows, columns=["default_vintage", "outcome", "n_episodes"])
    pd.testing.assert_frame_equal(table, expected)


def test_the_sample_is_counted_as_its_simulator_counted_it(sample_book):
    facts, table = book_overview(sample_book), segment_overview(sample_book)
    assert (facts["n_facilities"], facts["n_episodes"], facts["n_cured"], facts["n_open"]) == (8000, 2815, 1101, 717)
    assert table["n_episodes"].sum() == 2815
    assert round(table["ead"].sum(), 2) == facts["ead"]
    assert outcomes_by_vintage(sample_book)["n_episodes"].sum() == 2815
