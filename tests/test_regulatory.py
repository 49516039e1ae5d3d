"""The way from the long-run average to a regulator's LGD, by hand on six loans."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import InsufficientDataError, SpecError
from recoverykit.estimators.lgd import lgd_summary
from recoverykit.portfolio.downturn import (
    DownturnMethod,
    DownturnRule,
    downturn_lgd,
    losses_by_default_year,
    read_downturn,
)
from recoverykit.portfolio.regulatory import (
    Margin,
    MarginCategory,
    estimation_error,
    input_floors,
    regulatory_lgd,
)

#: Sums of a few rates in floating point.
EXACT = 1e-12


@pytest.fixture
def six_loans() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two defaults a year; one gain, one late entry more, and one open loan that expects 0.3 more."""
    lgd = [0.2, 0.4, 0.9, 0.7, -0.1, 0.5]
    is_closed = [True, True, True, True, True, False]
    per_episode = pd.DataFrame(
        {
            "episode_id": [f"F{i}#1" for i in range(6)],
            "obligor_id": [f"B{i}" for i in range(6)],
            "ead": [100.0, 300.0, 100.0, 100.0, 200.0, 200.0],
            "denominator_amount": [100.0, 300.0, 100.0, 100.0, 200.0, 200.0],
            "outcome": ["sold", "sold", "written_off", "sold", "cured", "open"],
            "is_closed": is_closed,
            "is_late_entry": [False] * 6,
            "age_months": [12.0] * 6,
            "recovered_rate": [0.8, 0.6, 0.1, 0.3, 1.1, 0.2],
            "expected_remaining_rate": [0.0, 0.0, 0.0, 0.0, 0.0, 0.3],
            "expected_lgd": lgd,
            "is_beyond_curve": [False] * 6,
        }
    )
    late = per_episode.iloc[[0]].assign(episode_id="L#1", is_late_entry=True, expected_lgd=1.0)
    per_episode = pd.concat([per_episode, late], ignore_index=True)
    dates = pd.to_datetime(["2008-03-31", "2008-09-30", "2009-01-31", "2009-12-31", "2010-06-30", "2010-07-31"])
    episodes = pd.DataFrame({"episode_id": per_episode["episode_id"], "default_date": [*dates, dates[0]]})
    return per_episode, episodes


def test_years_average_their_own_defaults_and_leave_late_entries_out(six_loans):
    years = losses_by_default_year(*six_loans)
    assert years["default_year"].tolist() == [2008, 2009, 2010]
    assert years["n_episodes"].tolist() == [2, 2, 2]
    assert years["n_open"].tolist() == [0, 0, 1]
    assert years["lgd"].tolist() == pytest.approx([0.3, 0.8, 0.2], abs=EXACT)
    # 2010: the gain counts as 0, so (0 + 0.5) / 2.
    assert years["lgd_floored"].tolist() == pytest.approx([0.3, 0.8, 0.25], abs=EXACT)
    # 2008: (0.2 * 100 + 0.4 * 300) / 400.
    assert years["lgd_ead_weighted"].iloc[0] == pytest.approx(0.35, abs=EXACT)


def test_the_reference_value_is_the_mean_of_the_two_worst_years(six_loans):
    years = losses_by_default_year(*six_loans)
    found = downturn_lgd(0.45, years, DownturnRule(), minimum_episodes=2)
    assert found.reference_value == pytest.approx((0.8 + 0.3) / 2, abs=EXACT)
    assert found.reference_years == (2008, 2009)


def test_a_year_of_few_defaults_is_not_one_of_the_worst(six_loans):
    years = losses_by_default_year(*six_loans)
    years.loc[years["default_year"] == 2009, "n_episodes"] = 1
    found = downturn_lgd(0.45, years, DownturnRule(), minimum_episodes=2)
    assert found.reference_years == (2008, 2010)
    nothing = downturn_lgd(0.45, years, DownturnRule(), minimum_episodes=3)
    assert np.isnan(nothing.reference_value)
    assert not nothing.falls_short


@pytest.mark.parametrize(
    ("long_run", "expected"),
    [(0.40, 0.55), (0.88, 1.03), (0.95, 1.05), (1.10, 1.10)],
    ids=["15 points", "15 points above 1", "capped at 105 %", "never below the average"],
)
def test_the_last_resort_adds_fifteen_points_and_is_capped(six_loans, long_run, expected):
    found = downturn_lgd(long_run, losses_by_default_year(*six_loans), DownturnRule())
    assert found.lgd == pytest.approx(expected, abs=EXACT)


def test_an_observed_downturn_is_the_average_of_its_years_weighted_by_number(six_loans):
    years = losses_by_default_year(*six_loans)
    rule = DownturnRule(DownturnMethod.OBSERVED, years=(2008, 2009))
    assert downturn_lgd(0.45, years, rule).lgd == pytest.approx((0.2 + 0.4 + 0.9 + 0.7) / 4, abs=EXACT)
    mild = DownturnRule(DownturnMethod.OBSERVED, years=(2010,))
    assert downturn_lgd(0.45, years, mild).lgd == 0.45  # never below the long-run average


def test_an_estimated_downturn_adds_the_impact_and_may_fall_short_of_the_reference(six_loans):
    years = losses_by_default_year(*six_loans)
    rule = DownturnRule(DownturnMethod.ESTIMATED, impact=0.05, basis="haircut on house prices")
    found = downturn_lgd(0.45, years, rule, minimum_episodes=2)
    assert found.lgd == pytest.approx(0.50, abs=EXACT)
    assert found.falls_short  # of 0.55


def test_rules_without_what_they_need_are_refused(six_loans):
    with pytest.raises(ValueError, match="needs the years"):
        DownturnRule(DownturnMethod.OBSERVED)
    for amount in (-0.01, 5.0, float("nan"), float("inf")):  # 5 is a typing error for 0.05
        with pytest.raises(ValueError, match="at least 0 is allowed, and at most 1"):
            Margin("A", "old data", amount, "judgement")
        with pytest.raises(ValueError, match="an impact of at least 0 and at most 1"):
            DownturnRule(DownturnMethod.ESTIMATED, impact=amount)
    with pytest.raises(ValueError, match="'D' is not a valid MarginCategory"):
        Margin("D", "no such category", 0.01, "judgement")
    years = losses_by_default_year(*six_loans)
    with pytest.raises(InsufficientDataError, match="no default in the downturn years 1990; defaults lie in 2008"):
        downturn_lgd(0.45, years, DownturnRule(DownturnMethod.OBSERVED, years=(1990,)))


@pytest.mark.parametrize("text", ["add_on: 0.2", "estimated: 8", "estimated: inf", "worst: 0.1"])
def test_a_downturn_that_would_not_be_what_was_written_is_refused(text):
    with pytest.raises(SpecError, match=f"downturn is '{text}'; allowed are 'add_on'"):
        read_downturn(text)


def test_the_steps_lead_from_closed_cases_to_the_final_figure_and_add_up(six_loans):
    per_episode, episodes = six_loans
    estimate = lgd_summary(per_episode)
    margins = [
        Margin("A", "collateral values are out of date", 0.02, "benchmark"),
        Margin("A", "costs of 2008 are estimated", 0.01, "judgement"),
        Margin("C", "few defaults", 0.03, "bootstrap"),
    ]
    final = regulatory_lgd(estimate, losses_by_default_year(per_episode, episodes), margins=margins, floor=0.70)
    # Closed: (0.2 + 0.4 + 0.9 + 0.7 - 0.1) / 5 = 0.42; all: 2.6 / 6; floored: 2.7 / 6 = 0.45; + 0.15; + 0.03; + 0.03.
    expected = [0.42, 2.6 / 6, 0.45, 0.60, 0.63, 0.63, 0.66, 0.70]
    assert final.steps["lgd"].tolist() == pytest.approx(expected, abs=EXACT)
    assert final.steps["change"].sum() == pytest.approx(final.lgd, abs=EXACT)
    assert final.register()["amount"].sum() == pytest.approx(0.06, abs=EXACT)
    assert final.record()["final_lgd"] == pytest.approx(0.70, abs=EXACT)


def test_without_closed_cases_the_steps_begin_with_all_of_them(six_loans):
    per_episode, episodes = six_loans
    only_open = per_episode[per_episode["outcome"] == "open"]
    final = regulatory_lgd(lgd_summary(only_open), losses_by_default_year(only_open, episodes))
    assert final.steps["step"].iloc[0] == "Open workouts at what they still bring"
    assert final.steps["lgd"].notna().all()


def test_the_margin_for_estimation_error_reaches_to_the_upper_limit(six_loans):
    per_episode, _ = six_loans
    with pytest.raises(InsufficientDataError, match="estimate with n_bootstrap"):
        estimation_error(lgd_summary(per_episode))
    estimate = lgd_summary(per_episode, n_bootstrap=200, rng=np.random.default_rng(1), level=0.90)
    margin = estimation_error(estimate)
    assert margin.category is MarginCategory.ESTIMATION_ERROR
    assert margin.amount == pytest.approx(estimate.intervals["all_in_lgd"][1] - estimate.all_in_lgd, abs=EXACT)
    assert margin.basis == "one-sided 95.0% limit over 200 bootstrap draws of obligors"


def test_input_floors_follow_exposure_class_and_collateral():
    # BCBS d424 (2017), LGD parameter floors: unsecured 25 % and 30 % (other retail), retail mortgages 5 %,
    # financial collateral 0 %, property 10 %, other physical 15 %.
    facilities = pd.DataFrame(
        [
            ("retail", "none", 0.30),
            ("other", "none", 0.25),
            ("retail", "residential_property", 0.05),
            ("other", "residential_property", 0.10),
            ("other", "commercial_property", 0.10),
            ("retail", "vehicle", 0.15),
            ("other", "equipment", 0.15),
            ("retail", "financial", 0.0),
        ],
        columns=["exposure_class", "collateral_kind", "expected"],
    )
    assert input_floors(facilities).tolist() == facilities["expected"].tolist()


def test_an_error_that_cannot_be_told_adds_nothing_and_says_so(six_loans):
    per_episode, _ = six_loans
    estimate = replace(lgd_summary(per_episode), intervals={"all_in_lgd": (np.nan, np.nan)}, n_bootstrap=200)
    margin = estimation_error(estimate)
    assert margin.amount == 0.0
    assert margin.basis.startswith("none: ")


def test_without_a_known_floor_there_is_no_such_step(six_loans):
    per_episode, episodes = six_loans
    final = regulatory_lgd(lgd_summary(per_episode), losses_by_default_year(per_episode, episodes))
    assert "Input floor" not in set(final.steps["step"])
    assert final.floor is None
