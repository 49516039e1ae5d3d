"""What open episodes will recover: by hand, against simulation, and against the years that strayed."""

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators.calendar_effect import calendar_effects, calendar_spread
from recoverykit.estimators.further_recovery import OpenEpisodes, expected_within, further_recovery
from recoverykit.estimators.recovery_curve import RemainingRecovery

#: Sums of a few rates in floating point.
EXACT = 1e-12
LEVEL = 0.90


def cells_of(paths: list[list[tuple[float, bool]]]) -> pd.DataFrame:
    """Return the cells of loans of 100, one obligor each: per month what came in, and whether the loan ended."""
    rows = []
    for number, path in enumerate(paths):
        rows.append((f"B{number}", 0, 0.0, 100.0, 0.0, 1))
        for month, (amount, ended) in enumerate(path, start=1):
            rows.append((f"B{number}", month, amount, 100.0, 100.0 * ended, 1))
    columns = [
        "obligor_id",
        "month",
        "present_value_amount_open",
        "ead_open_at_start",
        "ead_resolved",
        "n_open_at_start",
    ]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def four_loans() -> pd.DataFrame:
    """In month 1 all pay 10 and two end with 30 more; in month 2 the two that are left pay 20 and 40 and end."""
    return cells_of([[(40.0, True)], [(40.0, True)], [(10.0, False), (20.0, True)], [(10.0, False), (40.0, True)]])


def one_group(cells: pd.DataFrame, ages: list[float], n: int | None = None) -> dict[str, OpenEpisodes]:
    weights = np.full((len(ages), 1), 1.0 / (n or len(ages)))
    return {"all": OpenEpisodes(np.array(ages), weights, cells)}


def test_the_next_month_and_all_months_by_hand(four_loans):
    # Month 1: 100 of 400 = 0.25, half end. Month 2: 60 of 200 = 0.30.
    groups = one_group(four_loans, [0.0, 1.0])
    next_month = expected_within(groups, horizon_months=1, minimum_at_risk=1)["all"]
    assert next_month.tolist() == pytest.approx([0.25, 0.30], abs=EXACT)
    to_the_end = expected_within(groups, minimum_at_risk=1)["all"]
    assert to_the_end.tolist() == pytest.approx([0.25 + 0.5 * 0.30, 0.30], abs=EXACT)
    # A horizon beyond the curve is the end of it.
    assert expected_within(groups, horizon_months=50, minimum_at_risk=1)["all"].tolist() == to_the_end.tolist()


def test_within_a_month_only_its_rest_is_expected_and_the_horizon_ends_within_a_month(four_loans):
    groups = one_group(four_loans, [0.5])
    # Half way through month 1, of which half end evenly spread: open there 1 - 0.5 * 0.5 = 0.75 of all.
    # Until month 1.5: the rest of month 1, 0.5 * 0.25, then half of month 2 of the half that goes on, 0.5 * 0.5 * 0.30.
    within = expected_within(groups, horizon_months=1, minimum_at_risk=1)["all"]
    assert within.tolist() == pytest.approx([(0.125 + 0.075) / 0.75], abs=EXACT)


def test_chance_is_the_variance_of_what_one_loan_brings(four_loans):
    # After month 1 a loan brings 0.20 or 0.40: variance 0.01. Of two such loans the mean has half of that.
    found = further_recovery(one_group(four_loans, [1.0, 1.0]), minimum_at_risk=1, rng=np.random.default_rng(1))
    assert found.means[0] == pytest.approx(0.30, abs=EXACT)
    assert found.se_chance[0] ** 2 == pytest.approx(0.01 / 2, abs=EXACT)
    # From default: two bring 0.40 and end, two bring 0.10 and then 0.30 on average: month 1 alone has no variance,
    # and half of the loans meet the variance 0.01 of month 2.
    found = further_recovery(one_group(four_loans, [0.0]), minimum_at_risk=1, rng=np.random.default_rng(1))
    assert found.se_chance[0] ** 2 == pytest.approx(0.5 * 0.01, abs=EXACT)


def test_calendar_years_widen_the_interval_in_proportion(four_loans):
    groups = one_group(four_loans, [1.0])
    steady = further_recovery(groups, minimum_at_risk=1, rng=np.random.default_rng(1))
    moving = further_recovery(groups, minimum_at_risk=1, rng=np.random.default_rng(1), calendar_spread=0.2)
    assert steady.se_calendar[0] == 0
    assert moving.se_calendar[0] == pytest.approx(0.2 * 0.30, abs=EXACT)
    assert moving.half_width[0] > steady.half_width[0]


def test_options_that_make_no_sense_are_refused(four_loans):
    groups, rng = one_group(four_loans, [1.0]), np.random.default_rng(1)
    with pytest.raises(ValueError, match="horizon_months is 0"):
        further_recovery(groups, horizon_months=0, rng=rng)
    with pytest.raises(ValueError, match="needs 2 draws or more"):
        further_recovery(groups, n_bootstrap=1, rng=rng)
    with pytest.raises(ValueError, match="calendar_spread is -1"):
        further_recovery(groups, calendar_spread=-1.0, rng=rng)
    with pytest.raises(InsufficientDataError, match="needs 100 episodes"):
        further_recovery(groups, minimum_at_risk=100, rng=rng)


def test_a_curve_without_open_episodes_adds_nothing_and_no_curve_at_all_is_refused(four_loans):
    groups = one_group(four_loans, [1.0]) | {"none": OpenEpisodes(np.zeros(0), np.zeros((0, 1)), four_loans)}
    options = {"horizon_months": 1, "minimum_at_risk": 1}
    found = further_recovery(groups, rng=np.random.default_rng(1), **options)
    assert found.means[0] == pytest.approx(0.30, abs=EXACT)
    assert found.by_episode["none"].tolist() == []
    with pytest.raises(InsufficientDataError, match="no group of open episodes"):
        further_recovery({}, rng=np.random.default_rng(1), **options)


def simulated(rng: np.random.Generator, n: int) -> list[list[tuple[float, bool]]]:
    """Draw loans that pay a little every month and end, one in ten a month, with a payment between nothing and all."""
    paths = []
    for _ in range(n):
        ended = int(min(rng.geometric(0.10), 40))
        flows = [(float(100 * rng.uniform(0, 0.01)), False) for _ in range(ended - 1)]
        paths.append([*flows, (float(100 * rng.beta(0.5, 0.7)), True)])
    return paths


def test_intervals_hold_what_comes_about_as_often_as_they_promise():
    # 200 books of 300 known loans; 60 others open for three months; 24 months ahead.
    inside = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        cells = cells_of(simulated(rng, 300))
        future = [path for path in simulated(rng, 120) if len(path) > 3][:60]
        came = np.mean([sum(amount for amount, _ in path[3:27]) / 100 for path in future])
        groups = one_group(cells, [3.0] * len(future))
        found = further_recovery(groups, horizon_months=24, minimum_at_risk=5, n_bootstrap=50, rng=rng, level=LEVEL)
        inside.append(abs(came - found.means[0]) <= found.half_width[0])
    # Three standard errors of a share of 0.90 over 200 books are 6.4 points.
    assert np.mean(inside) == pytest.approx(LEVEL, abs=0.064)


class TestCalendarYears:
    CURVE = RemainingRecovery(
        months=[0, 1, 2],
        share_of_ead=[0.0, 0.2, 0.1],
        share_resolved=[0.0, 0.0, 1.0],
        still_open=[1.0, 1.0, 0.0],
        n_open_at_start=[4, 4, 4],
        ead_open_at_start=[400.0, 400.0, 400.0],
    )

    def cells(self, amounts: list[float], vintage: str = "2008Q4") -> pd.DataFrame:
        """Return loans of 100 of one vintage, their month 1 with the given recoveries."""
        ids = [f"{vintage}-{i}" for i in range(len(amounts))]
        return pd.DataFrame(
            {
                "obligor_id": ids,
                "default_vintage": vintage,
                "month": 1,
                "ead_open_at_start": 100.0,
                "present_value_amount_open": amounts,
            }
        )

    def test_a_month_lies_in_the_year_of_the_middle_of_its_vintage_plus_its_age(self):
        cells = self.cells([20.0])
        cells = pd.concat([cells, cells.assign(month=2)], ignore_index=True)
        # The middle of 2008Q4 is November: month 1 is December 2008, month 2 January 2009.
        assert calendar_effects(cells, self.CURVE)["year"].tolist() == [2008, 2009]

    def test_ratio_and_error_by_hand(self):
        effects = calendar_effects(self.cells([10.0, 30.0, 50.0]), self.CURVE)
        # Expected 20 each; came 90 of 60. At 1.5 times 20 the errors are -20, 0 and 20: squares of 800.
        assert effects["ratio"].tolist() == pytest.approx([1.5], abs=EXACT)
        assert effects["se_ratio"].tolist() == pytest.approx([np.sqrt(800) / 60], abs=EXACT)

    def test_months_beyond_the_curve_are_not_looked_at(self):
        cells = self.cells([20.0]).assign(month=3)
        assert calendar_effects(cells, self.CURVE).empty

    def test_years_that_differ_by_chance_have_no_spread_and_others_have_theirs(self):
        rng = np.random.default_rng(5)
        found = {}
        for true in (0.0, 0.4):
            spreads = []
            for _ in range(30):
                years = []
                for year in range(1990, 2020):
                    ratio = 1 + true * rng.normal()
                    years.append(self.cells(list(20 * ratio + 5 * rng.normal(size=50)), f"{year}Q1"))
                spreads.append(calendar_spread(calendar_effects(pd.concat(years), self.CURVE)))
            found[true] = np.mean(spreads)
        assert found[0.0] < 0.02
        assert found[0.4] == pytest.approx(0.4, abs=0.05)  # of 30 years, over 30 draws

    def test_one_year_says_nothing_about_spread(self):
        assert calendar_spread(calendar_effects(self.cells([50.0] * 20), self.CURVE)) == 0.0
