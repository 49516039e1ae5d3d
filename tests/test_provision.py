"""The allowance, by hand on six facilities and to the cent."""

import numpy as np
import pandas as pd
import pytest

from recoverykit.estimators.lgd import age_in_months
from recoverykit.estimators.recovery_curve import RemainingRecovery
from recoverykit.portfolio.money import exact_sum, to_cents
from recoverykit.portfolio.provision import allowance

# An episode open after month 1 expects 30 % of its EAD in month 2; half are closed by then, and those still open
# expect 10 % in month 3: 0.3 and 0.5 x 0.1 = 0.05.
CURVE = RemainingRecovery(
    months=[0, 1, 2, 3],
    share_of_ead=[0.0, 0.2, 0.3, 0.1],
    share_resolved=[0.0, 0.5, 0.5, 1.0],
    still_open=[1.0, 0.5, 0.25, 0.0],
    n_open_at_start=[9, 9, 5, 2],
    ead_open_at_start=[900, 900, 500, 200],
)


def facilities(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"facility_id": [f"F{i}" for i in range(n)], "outcome": "open", **columns})


def test_the_allowance_is_the_carrying_amount_less_the_discounted_expected_recoveries():
    # 1,000 x (0.3, 0.05) = 300 and 50, one and two months ahead at 12 %:
    # 300 / 1.12^(1/12) + 50 / 1.12^(2/12) = 297.180 + 49.064 = 346.245 -> 900.00 - 346.24 = 553.76
    row = allowance(facilities(months_in_default=[1], ead=[1000.0], outstanding=[900.0], eir=[0.12]), CURVE).iloc[0]
    assert row["expected_recovery_amount"] == 350.00
    assert row["expected_recovery_present_value_amount"] == 346.24
    assert row["allowance"] == 553.76


def test_at_a_rate_of_zero_nothing_is_lost_to_time():
    row = allowance(facilities(months_in_default=[2], ead=[1000.0], outstanding=[500.0], eir=[0.0]), CURVE).iloc[0]
    assert (row["expected_recovery_present_value_amount"], row["allowance"]) == (100.00, 400.00)


def test_of_the_running_month_only_the_days_to_come_count():
    # Default on 15 April, reporting on 31 May: one completed month and 16 of the 31 days of the second, f = 16/31.
    # In month 2 a loan recovers 0.3 and half close, then 0.1 of the rest: after f of it
    # [(1 - f) 0.3 + 0.5 x 0.1] / (1 - 0.5 f), which is what total_after gives.
    frame = facilities(months_in_default=[1], ead=[1000.0], outstanding=[900.0], eir=[0.0])
    frame["default_date"] = pd.Timestamp("2026-04-15")
    row = allowance(frame, CURVE, reporting_date="2026-05-31").iloc[0]
    f = 16 / 31
    assert row["expected_recovery_amount"] == round(1000 * ((1 - f) * 0.3 + 0.05) / (1 - 0.5 * f), 2)
    assert row["expected_recovery_amount"] == round(1000 * CURVE.total_after(1 + f), 2)


@pytest.mark.parametrize(
    ("default", "reporting", "months"),
    [("2026-04-30", "2026-12-31", 8), ("2024-02-29", "2024-12-31", 10), ("2026-01-31", "2026-02-28", 1)],
)
def test_from_month_end_to_month_end_there_is_no_running_month(default, reporting, months):
    frame = facilities(months_in_default=[months])
    frame["default_date"] = pd.Timestamp(default)
    assert age_in_months(frame, reporting).tolist() == [months]


def test_no_more_is_expected_than_is_owed():
    # The curve gives 350, but 200 are owed: the flows shrink to 200 x (300, 50) / 350, and at 0 % nothing is set aside.
    row = allowance(facilities(months_in_default=[1], ead=[1000.0], outstanding=[200.0], eir=[0.0]), CURVE).iloc[0]
    assert (row["expected_recovery_amount"], row["allowance"]) == (200.00, 0.00)


@pytest.mark.parametrize("month", [3, 4, 60])
def test_beyond_the_curve_all_that_is_owed_is_set_aside_and_it_is_said(month):
    rows = allowance(facilities(months_in_default=[month], ead=[100.0], outstanding=[80.0], eir=[0.05]), CURVE)
    assert rows["allowance"].tolist() == [80.00]
    assert rows["is_beyond_curve"].tolist() == [True]


def test_when_costs_exceed_recoveries_the_allowance_stops_at_the_carrying_amount():
    costly = RemainingRecovery([0, 1], [0.0, -0.2], [0.0, 1.0], [1.0, 0.0], [5, 5], [500, 500])
    row = allowance(facilities(months_in_default=[0], ead=[100.0], outstanding=[80.0], eir=[0.05]), costly).iloc[0]
    assert row["allowance"] == 80.00


@pytest.mark.parametrize("seed", range(20))
def test_parts_add_up_to_the_cent_in_any_order(seed):
    # Whole cents are summed, so neither the order nor the grouping of a million small amounts can matter.
    rng = np.random.default_rng(seed)
    n = 500
    frame = facilities(
        months_in_default=rng.integers(0, 5, n),
        ead=rng.lognormal(9, 2, n),
        outstanding=rng.lognormal(9, 2, n),
        eir=rng.uniform(0, 0.3, n),
    )
    rows = allowance(frame, CURVE)
    groups = rows.groupby(rng.integers(0, 7, n))
    for column in ("gross_carrying_amount", "expected_recovery_present_value_amount", "allowance"):
        by_group = sum(int(to_cents(group[column]).sum()) for _, group in groups)
        assert by_group == int(to_cents(rows[column].sample(frac=1, random_state=seed)).sum())
    split = to_cents(rows["allowance"]) + to_cents(rows["expected_recovery_present_value_amount"])
    assert (split == to_cents(rows["gross_carrying_amount"])).all()
    assert rows["allowance"].between(0, rows["gross_carrying_amount"]).all()


def test_a_sum_of_cents_is_exact_where_floats_are_not():
    assert 0.1 + 0.1 + 0.1 != 0.3
    assert exact_sum(pd.Series([0.1] * 3)) == 0.3
