"""The completed triangle: by hand on three vintages, identities, and whose cells are observed."""

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit.estimators.remaining_recovery import RemainingRecovery
from recoverykit.portfolio.loss import estimate_recovery
from recoverykit.portfolio.vintages import _vintage_names, forecast_vintages, pattern_of
from recoverykit.portfolio.workout import discount_policy

UNDISCOUNTED, AT_EIR = discount_policy("0"), discount_policy("eir")
EXACT = 1e-9  # sums of a few floats of order 1

NOTHING_BACK = [
    {"default_date": "2023-01-31", "outcome": "written_off", "outcome_date": "2023-06-30"},
    {"default_date": "2023-05-31", "outstanding": 100.0},
]


class TestPattern:
    def test_it_is_the_cumulative_recovery_of_a_new_default_as_a_share_of_the_whole(self):
        # month 1: 0.2 of all; half are closed, so month 2 brings 0.5 x 0.3: 0.35 in all
        curve = RemainingRecovery([0, 1, 2], [0, 0.2, 0.3], [0, 0.5, 1.0], [1, 0.5, 0], [4, 4, 2], [400, 400, 200])
        assert pattern_of(curve).values.tolist() == pytest.approx([0, 0.2 / 0.35, 1.0], abs=EXACT)

    def test_where_nothing_comes_it_is_nothing(self):
        curve = RemainingRecovery([0, 1], [0, 0.0], [0, 0.5], [1, 0.5], [4, 4], [400, 400])
        assert pattern_of(curve).values.tolist() == [0, 0]


@pytest.fixture(scope="module")
def recovery(prepared_book):
    return estimate_recovery(prepared_book, "all", policy=AT_EIR, n_bootstrap=20)


@pytest.fixture(scope="module")
def forecast(recovery):
    return forecast_vintages(recovery, n_bootstrap=100, seed=3)


class TestSample:
    def test_observed_cells_are_the_sums_of_the_ledger(self, prepared_book, recovery, forecast):
        # all flows of the vintage up to the month, over its EAD
        cells = forecast.cells.set_index(["vintage", "month"])
        episodes = prepared_book.episodes.set_index("episode_id")
        ledger = recovery.workout.ledger
        vintage = ledger["episode_id"].map(episodes["default_vintage"].astype(str))
        for name, month in [("2023Q1", 12), ("2024Q1", 24)]:
            paid = ledger.loc[(vintage == name) & (ledger["month"] <= month), "present_value_amount"].sum()
            ead = episodes.loc[episodes["default_vintage"].astype(str) == name, "ead"].sum()
            assert not cells.loc[(name, month), "is_extrapolated"]
            assert cells.loc[(name, month), "value"] == pytest.approx(paid / ead, abs=EXACT)

    def test_a_cell_is_extrapolated_exactly_where_the_vintage_was_not_observed_in_whole(self, forecast):
        last = forecast.cells["vintage"].map(forecast.vintages.set_index("vintage")["month"])
        assert (forecast.cells["is_extrapolated"] == (forecast.cells["month"] > last)).all()

    def test_each_row_goes_on_from_what_was_observed_to_what_is_expected_in_all(self, forecast):
        ends = forecast.vintages.set_index("vintage")
        for name, row in forecast.cells[forecast.cells["is_extrapolated"]].groupby("vintage"):
            assert (np.diff(row["value"]) >= -0.01).all()  # a month of costs may take back a point, no more
            low, high = sorted([ends.loc[name, "recovered_rate"], ends.loc[name, "ultimate_rate"]])
            assert row["value"].between(low - 0.01, high + 0.01).all()

    def test_an_old_vintage_is_what_it_has_brought_and_the_band_holds_every_estimate(self, forecast):
        oldest = forecast.vintages.iloc[0]
        assert oldest["ultimate_rate"] == pytest.approx(oldest["recovered_rate"], abs=EXACT)
        inside = forecast.vintages["ultimate_rate"].between(forecast.vintages["lower"], forecast.vintages["upper"])
        assert inside.all()

    def test_what_all_vintages_are_expected_to_reach_is_near_the_curve_of_new_defaults(self, recovery, forecast):
        assert forecast.facts()["ultimate"] == pytest.approx(recovery.remaining.total_after(0), abs=0.02)

    def test_the_whole_book_is_shown_by_quarter_and_a_small_segment_by_year(self, prepared_book, forecast):
        assert forecast.vintages["vintage"].str.len().unique().tolist() == [6]
        small = estimate_recovery(prepared_book, "auto_loan | pacific", policy=AT_EIR, n_bootstrap=2)
        assert forecast_vintages(small, n_bootstrap=0).vintages["vintage"].str.len().unique().tolist() == [4]

    def test_a_year_counts_the_episodes_of_its_quarters(self, prepared_book):
        case = prepared_book.restricted("auto_loan | pacific")
        small = estimate_recovery(prepared_book, "auto_loan | pacific", policy=AT_EIR, n_bootstrap=2)
        found = forecast_vintages(small, n_bootstrap=0).vintages.set_index("vintage")["n_episodes"]
        years = case.episodes["default_date"].dt.year.astype(str).value_counts()
        assert found.to_dict() == pytest.approx(years[found.index].to_dict())

    def test_a_quarter_counts_the_episodes_of_all_its_segments(self):
        # Six in the west and six in the east make twelve a quarter, which is enough to be told.
        rows = [(r, q, m, 6) for r in ("west", "east") for q in ("2023Q1", "2023Q2") for m in range(3)]
        triangle = pd.DataFrame(rows, columns=["region", "default_vintage", "month", "n_at_risk"])
        assert _vintage_names(triangle) == {"2023Q1": "2023Q1", "2023Q2": "2023Q2"}
        assert _vintage_names(triangle[triangle["region"] == "west"]) == {"2023Q1": "2023", "2023Q2": "2023"}

    def test_excluded_vintages_have_a_reason(self, forecast):
        assert forecast.exclusions["reason"].str.len().gt(0).all()
        assert not set(forecast.exclusions["default_vintage"]) & set(forecast.vintages["vintage"])

    def test_the_figure_hatches_the_extrapolated_cells_and_no_other(self, forecast):
        figure = rk.plot_triangle(forecast.cells)
        hatched = [patch for patch in figure.axes[0].patches if patch.get_gid() == "extrapolated"]
        assert len(hatched) == forecast.cells["is_extrapolated"].sum()
        assert all(patch.get_hatch() for patch in hatched)
        assert f"{len(hatched)} of {len(forecast.cells)} cells are extrapolated" in figure.alt


class TestEdges:
    def test_where_nothing_comes_back_there_is_a_reason_and_no_cell(self, small_book):
        nothing = estimate_recovery(
            small_book(NOTHING_BACK), "all", policy=UNDISCOUNTED, minimum_at_risk=1, n_bootstrap=0
        )
        forecast = forecast_vintages(nothing, n_bootstrap=0)
        assert "nothing is known to come back" in forecast.note
        assert forecast.tables() == {}
        assert forecast.facts()["recovered"] is None
        assert rk.plot_triangle(forecast.cells).alt
        assert "cannot be carried on" in rk.sentence_vintages(**forecast.facts(), note=forecast.note)

    def test_vintages_of_fewer_than_ten_are_named_and_not_drawn(self):
        rows = [("2023", 30, 3, 0.1, False), ("2024", 9, 3, 0.2, True)]
        cells = pd.DataFrame(rows, columns=["vintage", "n_episodes", "month", "value", "is_extrapolated"])
        figure = rk.plot_triangle(cells)
        assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["2023"]
        assert "2024" in figure.caption
