"""Contact rules held against small logs, every edge by hand, and against a second count on random logs."""

import datetime

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.operations.contact_rules import (
    CallFrequency,
    ContactHours,
    RuleSet,
    breaches_by_unit,
    check_contacts,
    contact_rule_register,
)

#: Bounds of an interval come from the same quantile function by another way; only rounding parts them.
BOUND_TOLERANCE = 1e-9


def log(*rows, **common):
    """Rows are (time, result) with further columns by keyword; ids in the order given."""
    frame = pd.DataFrame(
        {
            "action_id": [f"A{number}" for number in range(1, len(rows) + 1)],
            "facility_id": "F1",
            "action_time": pd.to_datetime([row[0] for row in rows], format="ISO8601"),
            "kind": "call",
            "result": [row[1] if len(row) > 1 else "no_answer" for row in rows],
            "unit": "north",
        }
    )
    return frame.assign(**common)


def told(actions, rules="us_reg_f"):
    return [(row.rule, row.action_id, row.actions) for row in check_contacts(actions, rules).itertuples()]


def daily(*days, hour=10):
    return [(f"2024-03-{day:02d} {hour:02d}:{minute:02d}",) for minute, day in enumerate(days)]


class TestCallsInSevenDays:
    def test_the_seventh_call_in_seven_days_keeps_the_rule(self):
        assert told(log(*daily(4, 5, 6, 7, 8, 9, 10))) == []

    def test_the_eighth_call_in_seven_days_breaks_it_and_the_others_do_not(self):
        # eight calls on the seven days 4 to 10 March, two of them on the 10th
        assert told(log(*daily(4, 5, 6, 7, 8, 9, 10, 10))) == [("calls_in_seven_days", "A8", "A1 A2 A3 A4 A5 A6 A7 A8")]

    def test_an_eighth_call_on_the_eighth_day_keeps_it(self):
        # on 11 March the seven days are 5 to 11: seven calls
        assert told(log(*daily(4, 5, 6, 7, 8, 9, 10, 11))) == []

    def test_days_are_calendar_days_whatever_the_hour(self):
        # from 4 March 20:00 to 11 March 08:00 are less than 7 x 24 hours, yet the 4th is not among the seven days
        assert told(log(("2024-03-04 20:00",), *daily(5, 6, 7, 8, 9, 10), ("2024-03-11 08:00",))) == []
        # 4 March 08:00 to 10 March 20:59 are seven days
        late = log(("2024-03-04 08:00",), *daily(5, 6, 7, 8, 9), ("2024-03-10 20:58",), ("2024-03-10 20:59",))
        assert [row[1] for row in told(late)] == ["A8"]

    def test_every_further_call_is_a_breach_of_its_own(self):
        assert [row[1] for row in told(log(*daily(4, 4, 4, 4, 4, 4, 4, 4, 4, 4)))] == ["A8", "A9", "A10"]

    def test_a_call_that_was_not_connected_does_not_count(self):
        calls = log(*daily(4, 5, 6, 7, 8, 9, 10, 10))
        assert told(calls.assign(result=["invalid_number", *["no_answer"] * 7])) == []
        assert len(told(calls.assign(result=["wrong_party", *["no_answer"] * 7]))) == 1

    def test_messages_letters_and_visits_are_no_calls(self):
        for kind in ("sms", "letter", "meeting", "field_visit"):
            assert told(log(*daily(4, 5, 6, 7, 8, 9, 10, 10)).assign(kind=[kind, *["call"] * 7])) == []

    def test_each_facility_counts_by_itself_whatever_the_unit(self):
        calls = log(*daily(4, 5, 6, 7, 8, 9, 10, 10))
        assert told(calls.assign(facility_id=["F1"] * 4 + ["F2"] * 4)) == []
        (breach,) = check_contacts(calls.assign(unit=["north"] * 7 + ["south"])).itertuples()
        assert (breach.unit, breach.n_actions) == ("south", 8)

    def test_the_order_of_rows_does_not_matter(self):
        calls = log(*daily(4, 5, 6, 7, 8, 9, 10, 10))
        pd.testing.assert_frame_equal(check_contacts(calls), check_contacts(calls.iloc[::-1]))


class TestCallAfterConversation:
    @pytest.mark.parametrize("result", ["right_party", "promise", "refused"])
    def test_the_day_of_the_conversation_is_the_first_of_the_seven(self, result):
        talk = ("2024-03-04 10:00", result)
        # the seven days are 4 to 10 March
        assert told(log(talk, ("2024-03-10 20:00",))) == [("call_after_conversation", "A2", "A1 A2")]
        assert told(log(talk, ("2024-03-11 08:00",))) == []
        assert told(log(talk, ("2024-03-04 10:01",))) == [("call_after_conversation", "A2", "A1 A2")]

    def test_a_call_before_the_conversation_on_the_same_day_is_none(self):
        assert told(log(("2024-03-04 09:00",), ("2024-03-04 10:00", "right_party"))) == []

    @pytest.mark.parametrize("result", ["wrong_party", "no_answer", "invalid_number"])
    def test_whatever_is_no_conversation_starts_nothing(self, result):
        assert told(log(("2024-03-04 10:00", result), ("2024-03-05 10:00",))) == []

    def test_a_conversation_at_a_visit_is_none_by_telephone(self):
        rows = log(("2024-03-04 10:00", "right_party"), ("2024-03-05 10:00",))
        assert told(rows.assign(kind=["field_visit", "call"])) == []

    def test_the_latest_conversation_counts_and_a_talk_may_itself_come_too_soon(self):
        calls = log(("2024-03-04 10:00", "promise"), ("2024-03-09 10:00", "refused"), ("2024-03-14 10:00",))
        assert told(calls) == [("call_after_conversation", "A2", "A1 A2"), ("call_after_conversation", "A3", "A2 A3")]

    def test_a_conversation_about_another_facility_starts_nothing(self):
        calls = log(("2024-03-04 10:00", "promise"), ("2024-03-05 10:00",))
        assert told(calls.assign(facility_id=["F1", "F2"])) == []


class TestHours:
    @pytest.mark.parametrize(
        ("time", "breaks"),
        [
            ("08:00:00", False),
            ("07:59:59", True),
            ("21:00:00", False),
            ("21:00:01", True),
            ("00:00:00", True),
            ("23:59:59", True),
            ("12:00:00", False),
        ],
    )
    def test_eight_and_nine_themselves_are_allowed(self, time, breaks):
        rows = log((f"2024-03-04 {time}",), ("2024-03-20 12:00",))
        assert told(rows) == ([("contact_hours", "A1", "A1")] if breaks else [])

    def test_in_china_the_day_is_an_hour_longer(self):
        rows = log(("2024-03-04 22:00:00",), ("2024-03-05 22:00:01",), ("2024-03-06 07:59:59",))
        assert told(rows, "china") == [("contact_hours", "A2", "A2"), ("contact_hours", "A3", "A3")]

    @pytest.mark.parametrize(("kind", "n"), [("sms", 1), ("call", 1), ("meeting", 1), ("field_visit", 1), ("letter", 0),
                                             ("legal_notice", 0), ("filing", 0)])  # fmt: skip
    def test_the_rule_is_about_what_disturbs(self, kind, n):
        assert len(told(log(("2024-03-04 22:30",)).assign(kind=kind))) == n

    def test_a_log_of_days_without_times_is_refused_for_hours_and_taken_without(self):
        days = log(("2024-03-04",), ("2024-03-05",))
        with pytest.raises(InsufficientDataError, match="holds days, not times"):
            check_contacts(days)
        frequency = CallFrequency("one_call", "one call a week", "house", maximum=1, days=7)
        house = RuleSet("house", "House", "", "2024-01-01", (frequency,), ())
        assert told(days, house) == [("one_call", "A2", "A1 A2")]


def test_what_happened_before_the_rules_applied_is_not_held_against_them():
    before = [(f"2021-11-{day} 23:00",) for day in (28, 29)]
    assert [row[1] for row in told(log(*before, ("2021-11-30 23:00",)))] == ["A3"]


def test_a_log_without_a_breach_and_an_empty_log_give_an_empty_frame_with_its_columns():
    kept = check_contacts(log(("2024-03-04 10:00",)))
    assert kept.empty
    assert kept.columns.tolist() == check_contacts(log(("2024-03-04 10:00",)).head(0)).columns.tolist()


def test_the_log_is_not_changed():
    calls = log(*daily(10, 9, 8, 7, 6, 5, 4, 4))
    before = calls.copy()
    check_contacts(calls)
    pd.testing.assert_frame_equal(calls, before)


def test_everything_that_is_wrong_with_a_log_is_told_at_once():
    with pytest.raises(ContractError) as error:
        check_contacts(pd.DataFrame({"action_id": ["A1"], "action_time": ["2024-03-04"], "kind": ["call"]}))
    for words in ("facility_id is missing", "result is missing", "unit is missing", "must be a moment"):
        assert words in str(error.value)
    with pytest.raises(ContractError, match="action_time must not be missing: 1 row"):
        check_contacts(log(("2024-03-04 10:00",), (None,)))


def test_actions_without_facility_unit_kind_or_name_are_refused_together():
    calls = log(*daily(4, 5, 6, 7, 8, 9, 10, 10))
    gaps = calls.astype(object).mask(pd.DataFrame(np.eye(8, 6, dtype=bool), columns=calls.columns))
    gaps = gaps.assign(action_time=pd.to_datetime(gaps["action_time"]))
    with pytest.raises(ContractError, match="5 rules") as error:
        breaches_by_unit(gaps)
    for name in ("action_id", "facility_id", "action_time", "kind", "unit"):
        assert f"{name} must not be missing: 1 row" in str(error.value)
    # without a facility eight calls would be one debtor's, or nobody's
    with pytest.raises(ContractError, match="facility_id must not be missing: 8 rows"):
        check_contacts(calls.assign(facility_id=None))


def test_an_unknown_rule_set_names_the_known_ones():
    with pytest.raises(ValueError, match="no rule set 'uk'; known are us_reg_f, china"):
        check_contacts(log(("2024-03-04 10:00",)), "uk")


def test_a_rule_set_must_have_rules_of_different_names():
    hours = ContactHours("contact_hours", "by day", "house", datetime.time(9), datetime.time(18), ("call",))
    with pytest.raises(ValueError, match="each name once"):
        RuleSet("house", "House", "", "2024-01-01", (hours, hours), ())
    with pytest.raises(ValueError, match="must have rules"):
        RuleSet("house", "House", "", "2024-01-01", (), ())


class TestByUnit:
    def test_counts_and_exact_intervals_by_hand(self):
        # north: 8 calls, the last one too many; south: 2 calls, one at night; one message of south by day
        north = log(*daily(4, 5, 6, 7, 8, 9, 10, 10))
        south = log(("2024-03-04 10:00",), ("2024-03-20 22:00",), ("2024-03-21 10:00",), facility_id="F2", unit="south")
        south = south.assign(kind=["call", "call", "sms"], action_id=["B1", "B2", "B3"])
        table = breaches_by_unit(pd.concat([north, south], ignore_index=True)).set_index(["rule", "unit"])
        counts = table[["n_contacts", "n_breaches"]].to_dict("index")
        assert counts == {
            ("calls_in_seven_days", "north"): {"n_contacts": 8, "n_breaches": 1},
            ("calls_in_seven_days", "south"): {"n_contacts": 2, "n_breaches": 0},
            ("call_after_conversation", "north"): {"n_contacts": 8, "n_breaches": 0},
            ("call_after_conversation", "south"): {"n_contacts": 2, "n_breaches": 0},
            ("contact_hours", "north"): {"n_contacts": 8, "n_breaches": 0},
            ("contact_hours", "south"): {"n_contacts": 3, "n_breaches": 1},
        }
        row = table.loc[("calls_in_seven_days", "north")]
        # Clopper and Pearson: quantiles of beta distributions (k, n - k + 1) and (k + 1, n - k)
        assert row["lower"] == pytest.approx(beta.ppf(0.025, 1, 8), abs=BOUND_TOLERANCE)
        assert row["upper"] == pytest.approx(beta.ppf(0.975, 2, 7), abs=BOUND_TOLERANCE)
        none = table.loc[("contact_hours", "north")]
        # none in eight: the upper bound solves (1 - p)^8 = .025
        assert (none["lower"], none["upper"]) == (0.0, pytest.approx(1 - 0.025 ** (1 / 8), abs=BOUND_TOLERANCE))

    def test_breaches_add_up_to_those_of_the_log(self):
        actions = random_log(3)
        found = check_contacts(actions).groupby("rule").size()
        by_unit = breaches_by_unit(actions).groupby("rule")["n_breaches"].sum()
        assert by_unit[by_unit > 0].to_dict() == found.to_dict()

    @pytest.mark.parametrize("level", [0.0, 1.0, 95])
    def test_a_level_outside_its_range_is_named(self, level):
        with pytest.raises(ValueError, match=f"level is {level}"):
            breaches_by_unit(log(("2024-03-04 10:00",)), level=level)


def test_the_register_names_every_rule_with_its_source_and_no_paragraph_that_was_not_checked():
    american, chinese = contact_rule_register(), contact_rule_register("china")
    assert american["rule"].tolist() == ["calls_in_seven_days", "call_after_conversation", "contact_hours"]
    assert american["source"].str.startswith("12 CFR 1006.").all()
    assert not chinese["source"].str.contains(r"\d").any()


def random_log(seed):
    rng = np.random.default_rng(seed)
    n = 400
    minutes = rng.integers(0, 40 * 24 * 60, n)
    return pd.DataFrame(
        {
            "action_id": [f"A{number:03d}" for number in range(n)],
            "facility_id": rng.choice(["F1", "F2", "F3", "F4", "F5"], n),
            "action_time": pd.Timestamp("2024-03-01") + pd.to_timedelta(minutes, unit="min"),
            "kind": rng.choice(["call", "sms", "letter"], n, p=[0.7, 0.2, 0.1]),
            "result": rng.choice(
                ["no_answer", "invalid_number", "right_party", "wrong_party"], n, p=[0.6, 0.1, 0.1, 0.2]
            ),
            "unit": rng.choice(["north", "south"], n),
        }
    )


def breaches_by_a_walk(actions):
    """A second implementation: action by action, looking back over everything before it."""
    found = set()
    ordered = list(actions.sort_values(["action_time", "action_id"]).itertuples())
    for number, row in enumerate(ordered):
        clock = row.action_time.time()
        if row.kind in ("call", "sms") and not datetime.time(8) <= clock <= datetime.time(21):
            found.add(("contact_hours", row.action_id))
        if row.kind != "call" or row.result == "invalid_number":
            continue
        same = [r for r in ordered[: number + 1] if r.facility_id == row.facility_id and r.kind == "call"]
        near = [r for r in same if (row.action_time.date() - r.action_time.date()).days <= 6]
        if sum(r.result != "invalid_number" for r in near) > 7:
            found.add(("calls_in_seven_days", row.action_id))
        if any(r.result == "right_party" for r in near if r is not row):
            found.add(("call_after_conversation", row.action_id))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_walk_through_a_random_log_finds_the_same_breaches(seed):
    actions = random_log(seed)
    found = check_contacts(actions)
    assert set(zip(found["rule"], found["action_id"], strict=True)) == breaches_by_a_walk(actions)
    assert found["rule"].nunique() == 3
