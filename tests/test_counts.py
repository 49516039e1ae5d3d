"""Life-table counts and compression, by hand on a few loans and against counting straight from the definition."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoverykit.episodes.counts import compress_episodes, life_table
from recoverykit.vocabulary import Outcome

LEAVING = ["n_cured", "n_repaid", "n_liquidated", "n_sold", "n_written_off", "n_censored"]


def episodes_of(rows):
    """Return episodes from (entry month, months in default, outcome, segment)."""
    columns = ["entry_months", "months_in_default", "outcome", "region"]
    return pd.DataFrame(rows, columns=columns).assign(ead=100.0)


SEVEN = [
    (0, 2, "cured", "west"),
    (0, 2, "cured", "west"),
    (0, 3, "open", "west"),
    (0, 0, "repaid", "west"),
    (2, 4, "sold", "west"),  # under observation from the end of month 2, so at risk from month 3
    (1, 3, "open", "west"),
    (3, 3, "written_off", "west"),  # ended in the month in which observation began: never at risk
]


class TestLifeTable:
    def test_it_counts_seven_loans_as_by_hand(self):
        table = life_table(episodes_of(SEVEN)).to_pandas()
        expected = {
            # At risk: the four from the start; three; those and the entry of 1; the open two and the entry of 2; it.
            "n_at_risk": [4, 3, 4, 3, 1],
            "n_entered": [0, 1, 1, 0, 0],
            "n_cured": [0, 0, 2, 0, 0],
            "n_repaid": [1, 0, 0, 0, 0],
            "n_liquidated": [0, 0, 0, 0, 0],
            "n_sold": [0, 0, 0, 0, 1],
            "n_written_off": [0, 0, 0, 0, 0],
            "n_censored": [0, 0, 0, 2, 0],
        }
        pd.testing.assert_frame_equal(table, pd.DataFrame({"month": range(5)} | expected))

    def test_segments_are_counted_apart_and_months_without_any_event_have_rows(self):
        rows = [(0, 3, "cured", "west"), (0, 1, "open", "east"), (0, 0, "sold", "east")]
        table = life_table(episodes_of(rows), by=["region"]).to_pandas()
        assert table[["region", "month", "n_at_risk"]].to_numpy().tolist() == [
            ["east", 0, 2],
            ["east", 1, 1],
            ["west", 0, 1],
            ["west", 1, 1],
            ["west", 2, 1],
            ["west", 3, 1],
        ]

    def test_a_segment_of_late_entries_only_has_nobody_at_risk_at_first(self):
        table = life_table(episodes_of([(2, 4, "cured", "west")])).to_pandas()
        assert table["n_at_risk"].tolist() == [0, 0, 0, 1, 1]

    def test_two_columns_of_segments_and_a_single_name_are_taken(self):
        episodes = episodes_of(SEVEN).assign(product="loan")
        two = life_table(episodes, by=("region", "product")).to_pandas()
        one = life_table(episodes, by="region").to_pandas()
        assert two["n_at_risk"].tolist() == one["n_at_risk"].tolist()

    def test_no_episodes_give_no_rows(self):
        assert len(life_table(episodes_of(SEVEN).head(0)).to_pandas()) == 0

    def test_an_unknown_column_is_refused_with_those_that_exist(self):
        with pytest.raises(ValueError, match=r"\['regoin'\].*'region'"):
            life_table(episodes_of(SEVEN), by=["regoin"])


ROWS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 3]),
        st.integers(0, 9),
        st.sampled_from([outcome.value for outcome in Outcome]),
        st.sampled_from(["east", "west"]),
    ).map(lambda r: (min(r[0], r[1]), *r[1:])),
    min_size=1,
    max_size=40,
)


def counted(episodes):
    """Count one segment month by month, from the definition of being at risk."""
    began = episodes["entry_months"]
    lines = []
    for month in range(episodes["months_in_default"].max() + 1):
        under_observation = (began < month) | ((began == 0) & (month == 0))
        at_risk = episodes[under_observation & (episodes["months_in_default"] >= month)]
        ends = at_risk.loc[at_risk["months_in_default"] == month, "outcome"].replace("open", "censored")
        enters = (began == month) & (began > 0) & (episodes["months_in_default"] > month)
        lines.append([month, len(at_risk), enters.sum(), *((ends == name[2:]).sum() for name in LEAVING)])
    return lines


@settings(max_examples=25, deadline=None)
@given(rows=ROWS)
def test_the_life_table_agrees_with_counting_from_the_definition(rows):
    episodes = episodes_of(rows)
    table = life_table(episodes, by=["region"]).to_pandas()
    for region, part in episodes.groupby("region"):
        lines = counted(part)
        # The grid ends with the last month at risk; the definition's months after it count nobody.
        last = max((line[0] for line in lines if line[1] > 0), default=-1)
        got = table.loc[table["region"] == region].drop(columns="region").to_numpy().tolist()
        assert got == lines[: last + 1]


class TestCompression:
    def test_alike_episodes_become_one_row_with_their_number_and_exposure(self):
        table = compress_episodes(episodes_of(SEVEN)).to_pandas()
        assert table.to_numpy().tolist() == [
            [0, 0, "repaid", 1, 100.0],
            [0, 2, "cured", 2, 200.0],
            [0, 3, "open", 1, 100.0],
            [1, 3, "open", 1, 100.0],
            [2, 4, "sold", 1, 100.0],
            [3, 3, "written_off", 1, 100.0],
        ]

    def test_segments_stay_apart_and_add_up_to_the_book(self):
        episodes = pd.concat([episodes_of(SEVEN), episodes_of(SEVEN).assign(region="east")])
        table = compress_episodes(episodes, by=["region"]).to_pandas()
        assert len(table) == 12
        assert (table["n_episodes"].sum(), table["ead"].sum()) == (14, 1400.0)

    def test_the_outcome_may_be_a_segment_as_well(self):
        table = compress_episodes(episodes_of(SEVEN), by=["outcome"]).to_pandas()
        assert list(table.columns) == ["outcome", "entry_months", "months_in_default", "n_episodes", "ead"]
        assert table["n_episodes"].sum() == 7

    def test_the_order_of_the_rows_does_not_matter(self):
        episodes = episodes_of(SEVEN).assign(ead=[0.1, 0.2, 0.3, 1e6, 7.7, 0.7, 3.3])
        shuffled = episodes.sample(frac=1, random_state=3)
        pd.testing.assert_frame_equal(compress_episodes(episodes).to_pandas(), compress_episodes(shuffled).to_pandas())
