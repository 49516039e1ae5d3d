"""Recovery cells and the vintage triangle, by hand and against summing straight from the definition."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.backends.sql.compilers import PostgresCompiler

from recoverykit.episodes.counts import life_table
from recoverykit.episodes.ledger import LedgerPolicy, build_ledger
from recoverykit.episodes.spells import build_episodes
from recoverykit.episodes.triangle import recovery_cells, vintage_triangle


def episodes_of(rows):
    """Return episodes from (id, obligor, ead, outcome, months in default, observed months, entry, vintage)."""
    columns = ["episode_id", "obligor_id", "ead", "outcome", "months_in_default", "observed_months", "entry_months"]
    return pd.DataFrame(rows, columns=[*columns, "default_vintage"]).assign(region="west")


def ledger_of(rows):
    """Return a ledger from (episode, month, recovery month, amount); half of an amount is its present value."""
    frame = pd.DataFrame(rows, columns=["episode_id", "month", "recovery_month", "net_amount"])
    frame = frame.astype({"net_amount": float, "month": int, "recovery_month": int})
    gross = frame["net_amount"].clip(lower=0)
    return frame.assign(gross_amount=gross, present_value_amount=frame["net_amount"] / 2, discount_factor=0.5)


# P has two episodes: a written off in month 1 and seen to month 3, and b open in month 2. Q has a late entry, c, seen
# from the end of month 1 and sold in month 3.
EPISODES = episodes_of(
    [
        ("a", "P", 100.0, "written_off", 1, 3, 0, "2023Q1"),
        ("b", "P", 50.0, "open", 2, 2, 0, "2023Q2"),
        ("c", "Q", 10.0, "sold", 3, 4, 1, "2023Q1"),
    ]
)
LEDGER = ledger_of(
    [
        ("a", 0, 0, -4),
        ("a", 1, 1, 20),
        ("a", 3, 1, 8),  # after the write-off: paid in month 3, counted with the outcome's month 1
        ("a", 4, 1, 99),  # in the month that was still running at the reporting date
        ("b", 2, 2, 6),
        ("b", 3, 3, 99),  # the same
        ("c", 3, 3, 5),
    ]
)


@pytest.fixture(scope="module")
def cells():
    return recovery_cells(EPISODES, LEDGER).to_pandas().set_index(["obligor_id", "month"])


class TestCells:
    def test_there_is_a_row_for_every_month_observed_through(self, cells):
        assert cells.index.tolist() == [("P", 0), ("P", 1), ("P", 2), ("P", 3), ("Q", 2), ("Q", 3), ("Q", 4)]

    def test_the_flows_of_a_month_count_where_it_was_observed_whole(self, cells):
        assert cells.loc["P", "net_amount"].tolist() == [-4.0, 20.0, 6.0, 8.0]
        assert cells.loc["P", "gross_amount"].tolist() == [0.0, 20.0, 6.0, 8.0]
        assert cells.loc["P", "present_value_amount"].tolist() == [-2.0, 10.0, 3.0, 4.0]
        assert cells.loc["Q", "net_amount"].tolist() == [0.0, 5.0, 0.0]

    def test_exposure_is_at_risk_as_long_as_it_is_observed_whatever_the_outcome(self, cells):
        # a and b to month 2, a alone in month 3.
        assert cells.loc["P", "ead_at_risk"].tolist() == [150.0, 150.0, 150.0, 100.0]
        assert cells.loc["P", "n_at_risk"].tolist() == [2, 2, 2, 1]

    def test_open_at_the_start_of_a_month_are_those_that_end_in_it_or_later(self, cells):
        # a ends in month 1, b is open to the end of its observation in month 2.
        assert cells.loc["P", "ead_open_at_start"].tolist() == [150.0, 150.0, 50.0, 0.0]
        assert cells.loc["P", "n_open_at_start"].tolist() == [2, 2, 1, 0]

    def test_what_came_after_the_outcome_counts_in_its_month(self, cells):
        assert cells.loc["P", "net_amount_open"].tolist() == [-4.0, 28.0, 6.0, 0.0]
        assert cells.loc["P", "present_value_amount_open"].tolist() == [-2.0, 14.0, 3.0, 0.0]

    def test_an_episode_is_resolved_in_the_month_of_its_outcome_and_an_open_one_never(self, cells):
        assert cells.loc["P", "n_resolved"].tolist() == [0, 1, 0, 0]
        assert cells.loc["P", "ead_resolved"].tolist() == [0.0, 100.0, 0.0, 0.0]
        assert cells.loc["Q", "ead_resolved"].tolist() == [0.0, 10.0, 0.0]

    def test_segments_add_up_to_the_book(self, cells):
        split = recovery_cells(EPISODES.assign(region=["east", "west", "west"]), LEDGER, by=["region"]).to_pandas()
        whole = cells.reset_index()
        numbers = whole.columns.drop("obligor_id")
        again = split.groupby(["obligor_id", "month"], as_index=False)[[*numbers.drop("month")]].sum()
        pd.testing.assert_frame_equal(again, whole)

    def test_gross_flows_are_discounted_like_net_ones(self, cells):
        # a pays a cost of 4 in month 0, discounted by a half; gross it is nothing.
        assert cells.loc["P", "present_value_gross_amount"].tolist() == [0.0, 10.0, 3.0, 4.0]

    def test_sums_over_obligors_are_those_of_the_cells(self, cells):
        totals = recovery_cells(EPISODES, LEDGER, per_obligor=False).to_pandas()
        again = cells.reset_index().drop(columns="obligor_id").groupby("month", as_index=False).sum()
        pd.testing.assert_frame_equal(totals, again)

    def test_vintages_and_outcomes_are_segments_like_others(self, cells):
        split = recovery_cells(EPISODES, LEDGER, by=["default_vintage", "outcome"], per_obligor=False).to_pandas()
        assert sorted(split["outcome"].unique()) == ["open", "sold", "written_off"]
        totals = split.groupby("month")["net_amount"].sum()
        assert totals.tolist() == cells.groupby("month")["net_amount"].sum().tolist()


class TestTriangle:
    def test_a_vintage_has_its_episodes_and_their_flows_month_by_month(self):
        triangle = vintage_triangle(EPISODES, LEDGER, by=["region"]).to_pandas()
        other = ["gross_amount", "present_value_amount", "present_value_gross_amount"]
        assert triangle.drop(columns=other).to_numpy().tolist() == [
            # c is under observation from month 2 on, a to month 3
            ["west", "2023Q1", 0, 1, 100.0, -4.0, False],
            ["west", "2023Q1", 1, 1, 100.0, 20.0, False],
            ["west", "2023Q1", 2, 2, 110.0, 0.0, True],
            ["west", "2023Q1", 3, 2, 110.0, 13.0, True],
            ["west", "2023Q1", 4, 1, 10.0, 0.0, False],
            ["west", "2023Q2", 0, 1, 50.0, 0.0, True],
            ["west", "2023Q2", 1, 1, 50.0, 0.0, True],
            ["west", "2023Q2", 2, 1, 50.0, 6.0, True],
        ]

    def test_an_episode_first_seen_in_the_last_month_has_no_months_at_all(self):
        late = episodes_of([("a", "P", 100.0, "open", 5, 5, 5, "2023Q1")])
        assert len(vintage_triangle(late, LEDGER).to_pandas()) == 0

    def test_an_unknown_column_is_refused(self):
        with pytest.raises(ValueError, match="regoin"):
            vintage_triangle(EPISODES, LEDGER, by=["regoin"])


EPISODE = st.builds(
    lambda number, ead, outcome, length, more, late: (
        f"e{number}",
        f"O{number % 3}",
        float(ead),
        outcome,
        length,
        length if outcome == "open" else length + more,
        min(late, length),
        f"2023Q{number % 2 + 1}",
    ),
    *(st.integers(0, 9), st.integers(1, 500), st.sampled_from(["open", "cured", "sold"])),
    *(st.integers(0, 6), st.integers(0, 4), st.sampled_from([0, 0, 0, 2])),
)
FLOW = st.tuples(st.integers(0, 9), st.integers(0, 12), st.integers(-300, 300))


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(EPISODE, min_size=1, max_size=10, unique_by=lambda e: e[0]), flows=st.lists(FLOW, max_size=30))
def test_cells_and_triangle_agree_with_summing_from_the_definition(rows, flows):
    episodes = episodes_of(rows)
    length = dict(zip(episodes["episode_id"], episodes["months_in_default"], strict=True))
    known = [(f"e{number}", month, amount) for number, month, amount in flows if f"e{number}" in length]
    ledger = ledger_of([(name, month, min(month, length[name]), amount) for name, month, amount in known])
    cells, triangle = recovery_cells(episodes, ledger).to_pandas(), vintage_triangle(episodes, ledger).to_pandas()
    for key, table in (("obligor_id", cells), ("default_vintage", triangle)):
        for line in table.itertuples():
            mine = episodes[episodes[key] == getattr(line, key)]
            began = (mine["entry_months"] == 0) | (mine["entry_months"] < line.month)
            seen = mine[began & (mine["observed_months"] >= line.month)]
            paid = ledger[ledger["episode_id"].isin(seen["episode_id"]) & (ledger["month"] == line.month)]
            assert (line.n_at_risk, line.ead_at_risk) == (len(seen), seen["ead"].sum())
            assert line.net_amount == paid["net_amount"].sum()
            if key == "default_vintage":
                assert line.is_complete == (len(seen) == len(mine))
                continue
            still = seen[seen["months_in_default"] >= line.month]
            ended = seen[(seen["months_in_default"] == line.month) & (seen["outcome"] != "open")]
            assert (line.n_open_at_start, line.ead_open_at_start) == (len(still), still["ead"].sum())
            assert (line.n_resolved, line.ead_resolved) == (len(ended), ended["ead"].sum())
    totals = recovery_cells(episodes, ledger, per_obligor=False).to_pandas()
    numbers = totals.columns.drop("month")
    again = cells.groupby("month", as_index=False)[[*numbers]].sum()
    pd.testing.assert_frame_equal(totals, again, rtol=0, atol=1e-6)  # each sum is rounded to 6 decimals
    # No month is missing, and no flow is lost on the way to either dating of it.
    spans = {
        e.episode_id: range(e.entry_months + 1 if e.entry_months else 0, e.observed_months + 1)
        for e in episodes.itertuples()
    }
    in_time = [(name, min(month, length[name]), amount) for name, month, amount in known if month in spans[name]]
    for table in (cells, triangle):
        assert table["n_at_risk"].sum() == sum(map(len, spans.values()))
        assert table["net_amount"].sum() == sum(amount for _, _, amount in in_time)
    assert cells["net_amount_open"].sum() == sum(amount for name, month, amount in in_time if month in spans[name])


def test_status_to_triangle_reconciles_and_also_compiles_for_postgresql():
    # One definition, many databases: the same expressions must be expressible elsewhere than in DuckDB.
    months = pd.date_range("2022-01-31", periods=24, freq="ME")
    status = pd.DataFrame(
        {
            "facility_id": np.repeat(["A", "B"], 24),
            "month_end": np.tile(months, 2),
            "days_past_due": np.tile(np.where(np.arange(24) == 3, 95, 0), 2),
            "balance_amount": 500.0,
            "forborne": False,
            "unlikely_to_pay": np.repeat([False, True], 24),
            "status": "active",
        }
    )
    facilities = pd.DataFrame({"facility_id": ["A", "B"], "obligor_id": ["O", "O"], "eir": 0.05, "region": "west"})
    facilities["origination_date"] = months[0]
    flows = pd.DataFrame({"facility_id": ["A", "B"], "cash_flow_date": months[[5, 9]], "amount": [40.0, 60.0]})
    flows["kind"] = "repayment"
    today = months[-1]
    built = build_episodes(status, facilities, reporting_date=today)
    tables = build_ledger(built.episodes, flows, reporting_date=today, policy=LedgerPolicy(cure_cash_flow=False))
    results = {
        "exclusions": built.exclusions,
        "ledger": tables.ledger,
        "worksheet": tables.worksheet,
        "ledger exclusions": tables.exclusions,
        "cells": recovery_cells(built.episodes, tables.ledger, by=["region"]),
        "triangle": vintage_triangle(built.episodes, tables.ledger, by=["region"]),
        "life table": life_table(built.episodes, by=["region"]),
    }
    for name, table in results.items():
        assert "SELECT" in PostgresCompiler().to_sqlglot(table).sql("postgres"), name
    totals = {name: results[name].to_pandas()["net_amount"].sum() for name in ("ledger", "cells", "triangle")}
    assert totals == {"ledger": 100.0, "cells": 100.0, "triangle": 100.0}
