"""What goes with a loss: a difference that is known, the calendar kept out, words for terms, and who borrows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit.errors import InsufficientDataError
from recoverykit.portfolio.lgd_drivers import estimate_lgd_drivers
from recoverykit.portfolio.loss import estimate_loss
from recoverykit.portfolio.workout import discount_policy

UNDISCOUNTED, AT_EIR = discount_policy("0"), discount_policy("eir")
DRIVERS = ["ltv_ratio", "credit_score", "unemployment_rate_at_default"]
# A regression with an intercept reproduces the mean; the score is zero to the solver's tolerance.
SCORE = 1e-6


def simulated(small_book, *, n=1500, seed=5, share_open=0.0):
    """Loans of 100 that recover 60 less 10 for each standard deviation of a driver; a calendar driver does nothing."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2019-01-31", "2023-12-31", freq="ME")
    loans, flows = [], []
    for number in range(n):
        start = dates[rng.integers(len(dates))]
        driver = float(rng.standard_normal())
        end = start + pd.offsets.MonthEnd(int(rng.integers(2, 10)))
        paid = float(np.clip(60 - 10 * driver + 5 * rng.standard_normal(), 0, 100))
        name = f"L{number:04d}"
        loan = {"facility_id": name, "default_date": f"{start:%Y-%m-%d}", "ltv_ratio": driver}
        loan |= {"calendar": float(start.year), "constant": 1.0}
        if rng.random() >= share_open:
            loan |= {"outcome": "liquidated", "outcome_date": f"{end:%Y-%m-%d}"}
            flows.append((name, f"{end:%Y-%m-%d}", round(paid, 2)))
        else:
            loan |= {"outstanding": 100.0}
        loans.append(loan)
    return small_book(loans, flows)


@pytest.fixture(scope="module")
def found(small_book):
    drivers = ["ltv_ratio", "calendar", "constant"]
    return estimate_lgd_drivers(simulated(small_book), "all", policy=UNDISCOUNTED, drivers=drivers)


class TestTruth:
    def test_a_driver_raises_the_loss_by_what_was_put_in_and_another_by_nothing(self, found):
        table = found.table.set_index("driver")
        # 10 points less recovered per standard deviation; the logit is nearly straight between losses of 10 and 70 %
        assert table.loc["ltv_ratio", "estimate"] == pytest.approx(0.10, abs=0.005)
        assert table.loc["calendar", "lower"] < 0 < table.loc["calendar", "upper"]
        assert table.loc["ltv_ratio", "spread"] == pytest.approx(1.0, abs=0.06)

    def test_a_column_that_does_not_differ_is_left_out_and_named(self, found):
        assert found.drivers_left_out == ("constant",)

    def test_open_loans_understate_a_driver_and_turn_no_sign(self, small_book, found):
        half = estimate_lgd_drivers(
            simulated(small_book, share_open=0.5), "all", policy=UNDISCOUNTED, drivers=["ltv_ratio"]
        )
        assert half.n_closed < half.n_episodes
        row = half.table.iloc[0]
        assert 0 < row["lower"] < row["estimate"] < found.table.set_index("driver").loc["ltv_ratio", "estimate"]


class TestSample:
    def test_the_fitted_mean_is_the_average_of_the_page(self, prepared_book):
        drivers = estimate_lgd_drivers(prepared_book, "mortgage", policy=AT_EIR, drivers=DRIVERS)
        used = estimate_loss(prepared_book, "mortgage", policy=AT_EIR, n_bootstrap=0).in_average()
        assert drivers.n_episodes == len(used)
        assert drivers.n_closed == used["is_closed"].sum()
        assert drivers.fit.mean_loss == pytest.approx(used["lgd"].clip(0, 1).mean(), abs=SCORE)

    def test_a_driver_that_goes_with_the_calendar_does_not_seem_to_lower_the_loss(self, prepared_book):
        # Of young vintages only quick workouts are closed: over closed ones alone high unemployment seems to help.
        table = estimate_lgd_drivers(prepared_book, "mortgage", policy=AT_EIR, drivers=DRIVERS).table
        row = table.set_index("driver").loc["unemployment_rate_at_default"]
        assert row["upper"] > 0

    def test_over_the_whole_book_the_products_stand_beside_the_drivers(self, prepared_book):
        whole = estimate_lgd_drivers(prepared_book, "all", policy=AT_EIR, drivers=DRIVERS).table
        levels = whole[whole["level"] != ""]
        assert set(levels["driver"]) == {"product"}
        assert levels["reference"].unique().tolist() == ["auto_loan"]
        assert len(levels) == prepared_book.facilities["product"].nunique() - 1

    def test_a_small_segment_takes_its_parents_regression(self, prepared_book):
        small = min(prepared_book.segments(), key=lambda name: len(prepared_book.restricted(name).episodes))
        found = estimate_lgd_drivers(prepared_book, small, policy=AT_EIR, drivers=DRIVERS)
        assert found.basis == small.split(" | ")[0] or found.basis == "all"
        assert found.n_closed >= 100

    def test_without_drivers_or_episodes_there_is_a_reason(self, prepared_book, small_book):
        nothing = estimate_lgd_drivers(prepared_book, "mortgage", policy=AT_EIR, drivers=["no_such_column"])
        assert nothing.basis == "all"  # where the products are left to tell losses apart
        one = replace(prepared_book, segment_by=())
        nothing = estimate_lgd_drivers(one, "all", policy=AT_EIR, drivers=["no_such_column"])
        assert nothing.note == "no driver differs between the episodes"
        assert nothing.drivers_left_out == ("no_such_column",)
        few = estimate_lgd_drivers(simulated(small_book, n=40), "all", policy=UNDISCOUNTED, drivers=["ltv_ratio"])
        assert few.tables() == {}
        assert few.note == "a regression of the loss needs 100 closed episodes"
        assert rk.plot_lgd_drivers(few.table).alt
        assert "needs 100 closed episodes" in rk.sentence_lgd_drivers(few.table, note=few.note)
        with pytest.raises(InsufficientDataError, match="no default episode in segment 'boat'"):
            estimate_lgd_drivers(prepared_book, "boat", policy=AT_EIR, drivers=DRIVERS)


class TestFigures:
    TABLE = pd.DataFrame(
        {
            "term": ["scale(ltv_ratio)", "product[T.card]", "scale(credit_score)"],
            "estimate": [0.05, 0.30, -0.01],
            "lower": [0.02, 0.20, -0.03],
            "upper": [0.08, 0.40, 0.01],
            "driver": ["ltv_ratio", "product", "credit_score"],
            "level": ["", "card", ""],
            "reference": ["", "auto_loan", ""],
            "spread": [0.12, np.nan, 50.0],
        }
    )

    def test_terms_are_drawn_in_points_numbers_first_and_hollow_where_open(self):
        figure = rk.plot_lgd_drivers(self.TABLE)
        labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
        assert labels == ["Loan to value (per 0.12)", "Credit score (per 50)", "Card, against auto loan"]
        clear, hollow = figure.axes[0].lines[1:]
        assert sorted(clear.get_xdata()) == pytest.approx([5, 30])
        assert list(hollow.get_xdata()) == pytest.approx([-1])
        assert figure.alt == "Points of loss, clear of 0: loan to value +5.0 and card +30.0."

    def test_averages_are_drawn_with_their_intervals(self):
        rows = {"estimate": ["All episodes", "Closed only"], "lgd": [0.3, np.nan], "lower": [0.28, np.nan]}
        frame = pd.DataFrame(rows | {"upper": [0.32, np.nan], "lgd_ead_weighted": [0.2, np.nan]})
        figure = rk.plot_lgd_averages(frame)
        assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["All episodes"]
        assert "all episodes 30.0" in figure.alt
        assert rk.plot_lgd_averages(frame.iloc[1:]).alt

    def test_each_ending_is_as_wide_as_likely_and_as_high_as_its_loss(self):
        rows = {"outcome": ["cured", "never_resolves"], "probability": [0.7, 0.3], "loss_given_outcome": [0.1, 0.8]}
        figure = rk.plot_outcome_losses(pd.DataFrame(rows | {"contribution": [0.07, 0.24]}))
        areas = [patch for patch in figure.axes[0].patches if str(patch.get_gid()).startswith("outcome-")]
        assert [(a.get_x(), a.get_width(), a.get_height()) for a in areas] == [(0, 0.7, 0.1), (0.7, 0.3, 0.8)]
        assert "31.0" in figure.alt.replace("\u202f", " ")
        assert "never resolved" in figure.alt

    def test_the_gap_between_the_lines_is_the_capital_charge_and_few_are_not_drawn(self):
        rows = {"months": [0, 1, 2], "n_open": [40, 20, 9], "elbe": [0.3, 0.5, 0.9], "lower": 0.2, "upper": 0.6}
        figure = rk.plot_in_default(pd.DataFrame(rows | {"lgd_in_default": [0.45, 0.7, 1.1]}))
        high, low = figure.axes[0].lines
        assert list(low.get_ydata()) == [0.3, 0.5]
        assert list(high.get_ydata()) == [0.45, 0.7]
