"""The war room: cases, rules that fire, promises that fall due, and a bridge from yesterday to today that foots."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recoverykit as rk
from recoverykit.errors import ContractError, SpecError

#: A Thursday.
DAY = pd.Timestamp("2026-10-01")


def instalments(*rows):
    """Rows of (facility, due, amount[, paid on, paid amount])."""
    full = [(*row, None, 0.0)[:5] if len(row) == 3 else row for row in rows]
    frame = pd.DataFrame(full, columns=["facility_id", "due_date", "due_amount", "paid_date", "paid_amount"])
    dates = {c: pd.to_datetime(frame[c]) for c in ("due_date", "paid_date")}
    return frame.assign(**dates).astype({"due_amount": float, "paid_amount": float})


def actions(*rows):
    frame = pd.DataFrame(rows, columns=["facility_id", "action_time", "kind", "result"])
    times = pd.to_datetime(frame["action_time"])
    return frame.assign(action_time=times, action_id=[f"a{n}" for n in range(len(frame))])


def promises(*rows):
    """Rows of (facility, promised on, due, amount[, paid on, paid amount])."""
    full = [(*row, None, 0.0)[:6] if len(row) == 4 else row for row in rows]
    columns = ["facility_id", "promise_date", "due_date", "promised_amount", "paid_date", "paid_amount"]
    frame = pd.DataFrame(full, columns=columns)
    dates = {c: pd.to_datetime(frame[c]) for c in ("promise_date", "due_date", "paid_date")}
    return frame.assign(**dates).astype({"promised_amount": float, "paid_amount": float})


def episodes(*rows):
    """Rows of (facility, default on, ead, outcome, outcome on, outstanding)."""
    columns = ["facility_id", "default_date", "ead", "outcome", "outcome_date", "outstanding"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(**{c: pd.to_datetime(frame[c]) for c in ("default_date", "outcome_date")})


def facilities(names="ABCDEFGH", **secured):
    kinds = [secured.get(name, "none") for name in names]
    return pd.DataFrame({"facility_id": list(names), "collateral_kind": kinds, "product": ["card"] * len(names)})


def room(due, log=None, given=None, *, about=None, as_of=DAY, **options):
    log, given = (actions() if log is None else log), (promises() if given is None else given)
    about = facilities() if about is None else about
    return rk.war_room(due, log, given, about, as_of=as_of, **options)


def rules(*entries, **options):
    made = [
        {"name": f"r{n}", "when": when, "then": then, "within_days": days}
        for n, (when, then, days) in enumerate(entries)
    ]
    return rk.EscalationRules(rules=made, **options)


def fired(found):
    return found.triggers.set_index("facility_id")[["deadline", "status"]].to_dict("index")


class TestCases:
    def test_a_case_is_a_facility_with_an_instalment_past_due(self):
        found = room(
            instalments(
                ("A", "2026-09-30", 100.0),  # one day past due
                ("B", "2026-10-01", 100.0),  # falls due today: not past due
                ("C", "2026-08-01", 100.0, "2026-09-15", 60.0),  # 61 days past due, 40 left
                ("C", "2026-09-01", 100.0),
                ("C", "2026-11-01", 100.0),
                ("D", "2026-08-01", 100.0, "2026-10-02", 100.0),  # paid tomorrow: a case today
            )
        ).cases.set_index("facility_id")
        assert found["days_past_due"].to_dict() == {"A": 1, "C": 61, "D": 61}
        assert found["overdue_amount"].to_dict() == {"A": 100.0, "C": 140.0, "D": 100.0}
        assert found.loc["C", "balance_amount"] == 240.0  # the unpaid rest of the plan
        assert found.loc["C", "n_past_due"] == 2

    def test_closed_facilities_are_no_cases_and_balances_replace_the_plan(self):
        due = instalments(("A", "2026-09-01", 100.0), ("B", "2026-09-01", 100.0))
        gone = pd.DataFrame({"facility_id": ["A"], "closed_date": [DAY]})
        balances = pd.DataFrame({"facility_id": ["B"], "balance_amount": [777.0]})
        found = room(due, closures=gone, balances=balances)
        assert found.cases[["facility_id", "balance_amount"]].to_numpy().tolist() == [["B", 777.0]]
        assert found.count("closed") == 1

    def test_a_loan_whose_default_ended_otherwise_than_by_cure_is_no_case_whatever_its_plan_owes(self):
        due = instalments(*((name, "2026-07-03", 100.0) for name in "ABCDE"))
        book = episodes(
            ("A", "2026-08-01", 500.0, "cured", "2026-10-01", 0.0),  # goes on, and is past due
            ("B", "2026-08-01", 500.0, "repaid", "2026-10-02", 0.0),  # tomorrow
            ("C", "2025-08-01", 500.0, "written_off", "2025-12-31", 0.0),  # long over: a case on neither day
            ("D", "2026-08-01", 500.0, "sold", "2026-10-01", 0.0),
            ("E", "2025-08-01", 500.0, "liquidated", "2025-12-31", 0.0),
            ("E", "2026-09-01", 300.0, "open", None, 300.0),  # in default again
        )
        found = room(due, defaults=book)
        assert found.moves.set_index("facility_id")["change"].to_dict() == {
            "A": "stayed", "B": "stayed", "D": "closed", "E": "stayed",
        }  # fmt: skip
        assert found.cases.set_index("facility_id")["overdue_amount"].to_dict() == {"A": 100.0, "B": 500.0, "E": 300.0}
        table = found.changes.set_index("what")
        assert table.loc["closed"].tolist() == [-1, -500.0]
        # Yesterday A, B and D with 500 each and E with 300.
        assert table.loc["yesterday"].tolist() == [4, 1800.0]

    def test_new_delinquencies_are_up_to_thirty_days_past_due_and_their_parts_make_the_total(self):
        due = instalments(
            ("A", "2026-09-01", 100.10),  # 30 days past due: new
            ("B", "2026-08-31", 100.20),  # 31 days: not new
            ("C", "2026-09-30", 100.30),  # entered since yesterday
        )
        about = facilities("ABC").assign(product=["card", "card", "loan"])
        found = room(due, about=about, segment_by=["product"]).new_delinquencies
        assert found.to_dict("records") == [
            {"segment": "card", "n_cases": 1, "n_entered": 0, "overdue_amount": 100.10, "balance_amount": 100.10},
            {"segment": "loan", "n_cases": 1, "n_entered": 1, "overdue_amount": 100.30, "balance_amount": 100.30},
            {"segment": "total", "n_cases": 2, "n_entered": 1, "overdue_amount": 200.40, "balance_amount": 200.40},
        ]


class TestRules:
    def test_three_missed_calls_since_the_last_conversation_call_for_a_visit(self):
        due = instalments(*((name, "2026-09-01", 100.0) for name in "ABCDE"))
        log = actions(
            *((name, f"2026-09-2{n} 10:00", "call", "no_answer") for name in "ABCD" for n in (1, 2, 3)),
            ("B", "2026-09-22 18:00", "call", "right_party"),  # a conversation: only one miss since
            ("C", "2026-09-24 09:00", "field_visit", "done"),  # carried out
            ("D", "2026-09-22 09:00", "field_visit", "done"),  # a visit before the third miss does not count
            ("E", "2026-08-20 10:00", "call", "no_answer"),  # before the spell of arrears
            ("E", "2026-09-21 10:00", "call", "no_answer"),
            ("E", "2026-09-22 10:00", "call", "no_answer"),
        )
        found = room(due, log, rules=rules(({"missed_calls_at_least": 3}, "field_visit", 3)))
        # The third miss is on Wednesday the 23rd; three days later is Saturday the 26th, so Monday the 28th.
        monday = pd.Timestamp("2026-09-28")
        assert fired(found) == {
            "A": {"deadline": monday, "status": "overdue"},
            "C": {"deadline": monday, "status": "done"},
            "D": {"deadline": monday, "status": "overdue"},
        }
        assert found.cases.set_index("facility_id")["n_missed_calls"].tolist() == [3, 1, 3, 3, 2]

    def test_a_broken_promise_calls_for_a_call_the_next_day(self):
        due = instalments(*((name, "2026-09-01", 100.0) for name in "ABCD"))
        given = promises(
            ("A", "2026-09-10", "2026-09-25", 100.0),  # five days of grace: broken on 1 October
            ("B", "2026-09-10", "2026-09-25", 100.0, "2026-09-28", 100.0),  # kept within grace
            ("C", "2026-09-10", "2026-09-26", 100.0),  # broken tomorrow
            ("D", "2026-09-10", "2026-09-20", 100.0, "2026-09-21", 99.99),  # a cent short: broken on the 26th
        )
        table = rules(({"broken_promises_at_least": 1}, "call", 1))
        log = actions(("D", "2026-09-25 10:00", "call", "right_party"))  # before the promise was broken
        found = room(due, log, given, rules=table)
        assert fired(found) == {
            "A": {"deadline": pd.Timestamp("2026-10-02"), "status": "coming"},
            "D": {"deadline": pd.Timestamp("2026-09-28"), "status": "overdue"},  # the 27th is a Sunday
        }
        assert found.cases.set_index("facility_id")["n_broken_promises"].tolist() == [1, 0, 0, 1]

    def test_a_promise_paid_after_its_days_of_grace_was_broken(self):
        due = instalments(("A", "2026-09-01", 100.0), ("B", "2026-09-01", 100.0))
        given = promises(
            ("A", "2026-09-10", "2026-09-25", 60.0, "2026-10-01", 60.0),  # grace ended on the 30th: a day late
            ("B", "2026-09-10", "2026-09-25", 60.0, "2026-09-30", 60.0),
        )
        for day, n_new in ((DAY, 1), (DAY + pd.Timedelta(days=1), 0)):
            found = room(due, given=given, as_of=day)
            assert found.cases["n_broken_promises"].tolist() == [1, 0], day
            assert found.promises.set_index("what").loc["broken since yesterday", "n_promises"] == n_new, day

    def test_a_further_broken_promise_does_not_put_off_a_step_that_is_neglected(self):
        due = instalments(("A", "2026-08-01", 100.0))
        given = promises(
            ("A", "2026-08-20", "2026-09-01", 50.0),  # broken on 7 September
            ("A", "2026-09-10", "2026-09-25", 50.0),  # broken on 1 October
        )
        table = rules(({"broken_promises_at_least": 1}, "call", 1))
        overdue = {"A": {"deadline": pd.Timestamp("2026-09-08"), "status": "overdue"}}
        for day in ("2026-09-30", DAY):
            assert fired(room(due, given=given, rules=table, as_of=day)) == overdue
        called = actions(("A", "2026-09-15 10:00", "call", "right_party"))
        assert fired(room(due, called, given, rules=table, as_of="2026-09-30"))["A"]["status"] == "done"
        again = {"A": {"deadline": pd.Timestamp("2026-10-02"), "status": "coming"}}
        assert fired(room(due, called, given, rules=table)) == again

    def test_a_step_between_two_broken_promises_does_not_answer_a_rule_that_asks_for_two(self):
        due = instalments(("A", "2026-08-01", 100.0))
        given = promises(
            ("A", "2026-08-20", "2026-09-01", 50.0),  # broken on 7 September
            ("A", "2026-08-25", "2026-09-05", 50.0),  # broken on 11 September, a Friday
            ("A", "2026-09-10", "2026-09-25", 50.0),  # broken on 1 October
        )
        visit = actions(("A", "2026-09-08 10:00", "field_visit", "done"))
        table = rules(({"broken_promises_at_least": 2}, "field_visit", 1))
        for day in ("2026-09-30", DAY):
            found = fired(room(due, visit, given, rules=table, as_of=day))
            assert found == {"A": {"deadline": pd.Timestamp("2026-09-14"), "status": "overdue"}}

    def test_sixty_days_past_due_and_secured_call_for_a_legal_notice(self):
        due = instalments(("A", "2026-08-02", 100.0), ("B", "2026-08-02", 100.0), ("C", "2026-08-03", 100.0))
        about = facilities(A="vehicle", C="vehicle")
        table = rules(({"days_past_due_at_least": 60, "is_secured": True}, "legal_notice", 0))
        found = room(due, about=about, rules=table)
        assert fired(found) == {"A": {"deadline": DAY, "status": "due"}}  # 60 days today; C has 59, B no collateral

    def test_silence_counts_from_the_last_action_or_else_from_the_due_date(self):
        due = instalments(("A", "2026-09-15", 100.0), ("B", "2026-09-15", 100.0), ("C", "2026-09-17", 100.0))
        log = actions(("B", "2026-09-18 12:00", "sms", "delivered"))
        table = rules(({"days_without_contact_at_least": 14}, "call", 2))
        found = room(due, log, rules=table)
        assert fired(found) == {
            "A": {"deadline": DAY, "status": "due"},  # silent since the 15th: 29 September, and two days more
            "C": {"deadline": pd.Timestamp("2026-10-05"), "status": "coming"},  # 1 October; the 3rd is a Saturday
        }

    def test_all_conditions_of_a_rule_must_hold_and_the_last_one_sets_the_clock(self):
        due = instalments(("A", "2026-09-01", 100.0), ("B", "2026-09-01", 40.0))
        log = actions(*((name, "2026-09-29 10:00", "call", "no_answer") for name in "AB"))
        when = {"missed_calls_at_least": 1, "overdue_amount_at_least": 50.0, "days_past_due_at_least": 10}
        found = room(due, log, rules=rules((when, "letter", 2)))
        assert fired(found) == {"A": {"deadline": DAY, "status": "due"}}  # the 29th and two days

    def test_the_missed_call_itself_does_not_answer_a_rule_that_asks_for_a_call(self):
        due = instalments(("A", "2026-09-01", 100.0))
        log = actions(("A", "2026-09-30 10:00", "call", "no_answer"))
        table = rules(({"missed_calls_at_least": 1}, "call", 1))
        assert fired(room(due, log, rules=table))["A"]["status"] == "due"
        again = actions(*(("A", f"{day} 10:00", "call", "no_answer") for day in ("2026-09-30", "2026-10-01")))
        assert fired(room(due, again, rules=table))["A"]["status"] == "done"

    def test_an_upper_bound_ends_a_rule(self):
        due = instalments(("A", "2026-09-01", 100.0), ("B", "2026-08-31", 100.0))
        when = {"days_past_due_at_least": 1, "days_past_due_at_most": 30}
        assert set(fired(room(due, rules=rules((when, "call", 1))))) == {"A"}

    def test_a_file_tells_all_its_problems_at_once(self, tmp_path):
        path = tmp_path / "rules.yml"
        path.write_text(
            "version: 1\nrules:\n"
            "  - {name: a, when: {missed_call_at_least: 3}, then: field_visit, within_days: 3}\n"
            "  - {name: a, when: {days_past_due_at_least: 60}, then: fax, within_days: -1}\n"
            "  - {name: b, when: {}, then: call, within_days: 1}\n"
        )
        with pytest.raises(SpecError) as error:
            rk.read_escalation_rules(path)
        said = str(error.value)
        assert said.startswith("5 problems in the rule file rules.yml")
        for part in ("nearest valid key: missed_calls_at_least", "'a' stands twice", "then", "within_days", "asks for"):
            assert part in said, part
        assert "line 4" in said

    def test_names_that_repeat_are_told_once(self, tmp_path):
        path = tmp_path / "rules.yml"
        entry = "  - {name: a, when: {is_secured: true}, then: call, within_days: 1}\n"
        path.write_text("version: 1\nrules:\n" + entry * 2)
        with pytest.raises(SpecError, match=r"^1 problem in"):
            rk.read_escalation_rules(path)

    def test_entries_without_a_name_do_not_share_one(self, tmp_path):
        path = tmp_path / "rules.yml"
        entry = "  - {when: {is_secured: true}, then: call, within_days: 1}\n"
        path.write_text("version: 1\nrules:\n" + entry * 2)
        with pytest.raises(SpecError, match=r"^2 problems in") as error:
            rk.read_escalation_rules(path)
        assert "None" not in str(error.value)


class TestPromises:
    def test_promises_are_told_by_when_they_fall_due(self):
        given = promises(
            ("A", "2026-09-10", "2026-10-01", 100.10, "2026-09-20", 50.05),  # due today, half paid
            ("B", "2026-09-10", "2026-10-04", 200.0),  # Sunday: this week
            ("C", "2026-09-10", "2026-10-05", 300.0),  # Monday: next week
            ("D", "2026-09-10", "2026-10-01", 400.0, "2026-09-30", 400.0),  # kept already
            ("E", "2026-09-10", "2026-09-26", 500.0),  # in grace until today
            ("F", "2026-09-10", "2026-09-25", 600.0),  # broken today
            ("G", "2026-10-02", "2026-10-03", 700.0),  # given tomorrow
        )
        found = room(instalments(("A", "2026-09-01", 100.0)), given=given).promises
        rows = found.set_index("what")
        assert rows["n_promises"].tolist() == [1, 1, 1, 1]
        assert rows["promised_amount"].tolist() == [100.10, 200.0, 500.0, 600.0]
        assert rows.loc["due today", "paid_amount"] == 50.05


class TestChanges:
    def test_every_way_from_yesterday_to_today(self):
        due = instalments(
            ("A", "2026-09-30", 100.0),  # entered: due yesterday, unpaid
            ("B", "2026-09-01", 100.0, "2026-10-01", 100.0),  # paid today, and more of the plan to come: cured
            ("B", "2026-11-01", 100.0),
            ("C", "2026-09-01", 100.0, "2026-10-01", 100.0),  # paid today, the last of the plan: paid
            ("D", "2026-09-01", 100.0),  # closed today
            ("E", "2026-08-31", 100.0),  # stayed, and came into the bucket from 31 days
            ("F", "2026-07-01", 100.0, "2026-10-01", 100.0),  # stayed: one of two instalments paid
            ("F", "2026-08-01", 100.0),
        )
        gone = pd.DataFrame({"facility_id": ["D"], "closed_date": [DAY]})
        found = room(due, closures=gone)
        assert found.moves.set_index("facility_id")["change"].to_dict() == {
            "A": "entered", "B": "cured", "C": "paid", "D": "closed", "E": "stayed", "F": "stayed",
        }  # fmt: skip
        assert found.moves.set_index("facility_id")["is_worse"].to_dict()["E"]
        assert found.n_worse == 1
        # Yesterday B, C, D, E with 100 each and F with 200: 600. Today A, E, F with 100 each: 300.
        assert found.changes[["n_cases", "overdue_amount"]].to_numpy().tolist() == [
            [5, 600.0], [1, 100.0], [-1, -100.0], [-1, -100.0], [-1, -100.0], [0, -100.0], [3, 300.0],
        ]  # fmt: skip

    def test_facilities_in_default_are_cases_until_their_outcome_which_tells_how_they_left(self):
        book = episodes(
            ("A", "2026-08-01", 500.0, "open", None, 450.0),
            ("B", "2026-08-01", 500.0, "cured", "2026-10-01", 0.0),
            ("C", "2026-08-01", 500.0, "repaid", "2026-10-01", 0.0),
            ("D", "2026-08-01", 500.0, "sold", "2026-10-01", 0.0),
            ("E", "2026-10-01", 500.0, "open", None, 500.0),
            ("F", "2026-10-02", 500.0, "open", None, 500.0),  # tomorrow
            ("G", "2025-08-01", 500.0, "cured", "2025-12-31", 0.0),  # long over
        )
        found = room(instalments(("G", "2026-09-30", 70.0)), defaults=book)
        changes = found.moves.set_index("facility_id")["change"].to_dict()
        assert changes == {"A": "stayed", "B": "cured", "C": "paid", "D": "closed", "E": "entered", "G": "entered"}
        # 90 days past due on 1 August, 61 days more until 1 October.
        assert found.cases.set_index("facility_id")["days_past_due"].to_dict() == {"A": 151, "E": 90, "G": 1}
        # Yesterday A owed 450 and B, C, D stood with 500 each; today A 450, E 500, G 70.
        table = found.changes.set_index("what")["overdue_amount"]
        assert (table["yesterday"], table["today"]) == (1950.0, 1020.0)

    def test_a_step_is_new_when_it_was_not_open_yesterday(self):
        due = instalments(("A", "2026-09-30", 100.0), ("B", "2026-09-20", 100.0))
        found = room(due, rules=rules(({"days_past_due_at_least": 1}, "call", 2)))
        assert found.follow_ups.iloc[0][["n_new", "n_coming", "n_overdue"]].tolist() == [1, 1, 1]

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 10_000), st.integers(1, 10))
    def test_yesterday_and_what_entered_less_what_left_is_today(self, seed, days_back):
        """Invariant: the bridge foots in cases and to the cent, its ends are the two days by themselves."""
        due, log, given, about, gone = simulated_unit(seed)
        found = room(due, log, given, about=about, closures=gone, days_back=days_back)
        table = found.changes.set_index("what")
        parts = table.drop(index="today")
        assert parts["n_cases"].sum() == table.loc["today", "n_cases"] == len(found.cases)
        cents = (parts["overdue_amount"] * 100).round().astype(int).sum()
        assert cents == round(table.loc["today", "overdue_amount"] * 100)
        before = room(due, log, given, about=about, closures=gone, as_of=DAY - pd.Timedelta(days=days_back))
        assert table.loc["yesterday", "n_cases"] == len(before.cases)
        assert round(table.loc["yesterday", "overdue_amount"] * 100) == cents_of(before.cases["overdue_amount"])
        assert table.loc["yesterday", "n_cases"] + found.count("entered") - found.n_left == len(found.cases)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000))
    def test_nothing_dated_after_the_day_is_read(self, seed):
        """Invariant: cutting what came later from the tables changes nothing."""
        due, log, given, about, gone = simulated_unit(seed)
        later = due["paid_date"] > DAY
        cut = due.assign(paid_date=due["paid_date"].mask(later), paid_amount=due["paid_amount"].mask(later, 0.0))
        late = given["paid_date"] > DAY
        kept = given.assign(paid_date=given["paid_date"].mask(late), paid_amount=given["paid_amount"].mask(late, 0.0))
        whole = room(due, log, given, about=about, closures=gone)
        known = room(
            cut,
            log[log["action_time"] < DAY + pd.Timedelta(days=1)],
            kept[kept["promise_date"] <= DAY],
            about=about,
            closures=gone[gone["closed_date"] <= DAY],
        )
        for name, table in whole.tables().items():
            pd.testing.assert_frame_equal(table, known.tables()[name])


class TestBorder:
    def test_missing_columns_of_all_tables_are_told_at_once(self):
        due = instalments(("A", "2026-09-01", 100.0)).drop(columns="due_amount")
        with pytest.raises(ContractError) as error:
            room(due, actions().drop(columns="kind"))
        assert [v.table for v in error.value.violations] == ["instalments", "actions"]

    def test_a_day_that_is_none_and_days_back_below_one_are_refused(self):
        due = instalments(("A", "2026-09-01", 100.0))
        with pytest.raises(SpecError, match="as_of is 'soon'"):
            room(due, as_of="soon")
        with pytest.raises(ValueError, match="days_back is 0"):
            room(due, days_back=0)

    def test_a_morning_without_any_case_is_a_morning(self):
        found = room(instalments(("A", "2026-11-01", 100.0)))
        assert found.record()["n_cases"] == 0
        assert found.case_list().empty

    def test_a_morning_without_promises_and_without_any_case_is_a_morning(self):
        due = instalments(("A", "2026-11-01", 100.0))
        found = rk.war_room(due, actions(), None, facilities(), as_of=DAY)
        assert found.record()["n_cases"] == 0
        assert found.promises["n_promises"].sum() == 0

    def test_a_facility_with_two_balances_is_refused(self):
        balances = pd.DataFrame({"facility_id": ["A", "A"], "balance_amount": [1.0, 2.0]})
        with pytest.raises(ContractError, match="balances: facility_id must name one row"):
            room(instalments(("A", "2026-09-01", 100.0)), balances=balances)

    def test_the_record_names_nobody_and_the_list_of_cases_does(self):
        found = room(instalments(("A1234567", "2026-09-29", 100.0)), about=facilities(["A1234567"]))
        assert "A1234567" not in str(found.record())
        assert found.case_list()["facility_id"].tolist() == ["A1234567"]


def cents_of(amount):
    return int((amount * 100).round().astype(int).sum())


def simulated_unit(seed):
    """A unit's tables with payments, calls, promises and closures before and after the day."""
    rng = np.random.default_rng(seed)
    names = [f"F{i}" for i in range(25)]
    starts = DAY - pd.Timedelta(days=120)
    rows = [
        (name, starts + pd.Timedelta(days=int(offset) + 30 * k), float(rng.integers(5_000, 90_000)) / 100)
        for name, offset in zip(names, rng.integers(0, 30, len(names)), strict=True)
        for k in range(6)
    ]
    due = pd.DataFrame(rows, columns=["facility_id", "due_date", "due_amount"])
    paid = due["due_date"] + pd.to_timedelta(rng.exponential(25, len(due)).astype(int), unit="D")
    share = rng.choice([0.0, 0.5, 1.0], len(due), p=[0.2, 0.1, 0.7])
    due["paid_amount"] = (due["due_amount"] * share).round(2)
    due["paid_date"] = paid.where(due["paid_amount"] > 0)
    n = 150
    log = pd.DataFrame(
        {
            "action_id": range(n),
            "facility_id": rng.choice(names, n),
            "action_time": starts + pd.to_timedelta(rng.integers(0, 24 * 130, n), unit="h"),
            "kind": rng.choice(["call", "sms", "field_visit", "legal_notice"], n, p=[0.7, 0.1, 0.1, 0.1]),
            "result": rng.choice(["no_answer", "right_party", "promise", "done"], n, p=[0.6, 0.2, 0.1, 0.1]),
        }
    )
    given = pd.DataFrame(
        {
            "facility_id": rng.choice(names, 30),
            "promise_date": starts + pd.to_timedelta(rng.integers(60, 130, 30), unit="D"),
            "promised_amount": rng.integers(1_000, 90_000, 30) / 100,
        }
    ).drop_duplicates(["facility_id", "promise_date"], ignore_index=True)
    given["due_date"] = given["promise_date"] + pd.to_timedelta(rng.integers(0, 15, len(given)), unit="D")
    kept = rng.random(len(given)) < 0.5
    given["paid_amount"] = np.where(kept, given["promised_amount"], 0.0)
    given["paid_date"] = given["due_date"].where(kept)
    about = pd.DataFrame(
        {
            "facility_id": names,
            "collateral_kind": rng.choice(["none", "vehicle"], len(names)),
            "product": rng.choice(["card", "loan"], len(names)),
        }
    )
    gone = pd.DataFrame({"facility_id": names[:4], "closed_date": DAY + pd.to_timedelta([-3, -1, 0, 2], unit="D")})
    return due, log, given, about, gone
