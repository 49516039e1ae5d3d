"""Which unit a case belongs to, whatever the order of the log."""

import pandas as pd

import recoverykit as rk


def test_where_two_units_acted_at_the_same_moment_the_order_of_the_log_decides_nothing():
    episodes = pd.DataFrame(
        {
            "episode_id": ["E1", "E2"],
            "facility_id": ["F1", "F2"],
            "default_date": pd.to_datetime(["2025-01-10", "2025-01-10"]),
            "outcome": "open",
            "outcome_date": pd.NaT,
            "ead": 100.0,
        }
    )
    columns = ["facility_id", "cash_flow_date", "kind", "amount"]
    flows = pd.DataFrame([("F1", "2025-02-01", "repayment", 40.0)], columns=columns)
    actions = pd.DataFrame(
        [
            ("F1", "2025-01-15 00:00", "north"),  # the log knows the day only
            ("F1", "2025-01-15 00:00", "east"),
            ("F2", "2025-01-15 09:00", "north"),
            ("F2", "2025-01-15 10:00", "east"),
        ],
        columns=["facility_id", "action_time", "unit"],
    )
    found, again = (
        rk.recovery_cases(episodes, flows, log, reporting_date="2026-06-30") for log in (actions, actions[::-1])
    )
    assert found.cases["unit"].tolist() == ["east", "north"]  # the first by name, and the first by time
    pd.testing.assert_frame_equal(found.cases, again.cases)
    pd.testing.assert_frame_equal(found.by_month, again.by_month)
