"""The protocol before the due date: who is due, whether the account covers it, whether it helps, how accounts roll."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import power_proportions_2indep

import recoverykit as rk
from recoverykit.errors import ContractError, InsufficientDataError, SpecError
from recoverykit.operations._calendar import WorkCalendar

#: Rates are sums of a few quotients; they add to 1 up to rounding in the last place.
ROUNDING = 1e-12
#: Twice the binomial standard error of a coverage of 95 % over the simulated experiments.
COVERAGE_SLACK = 2.0


def instalments(*rows):
    """Rows of (facility, due, amount[, paid on, paid amount])."""
    full = [(*row, None, 0.0)[:5] if len(row) == 3 else row for row in rows]
    frame = pd.DataFrame(full, columns=["facility_id", "due_date", "due_amount", "paid_date", "paid_amount"])
    dates = {c: pd.to_datetime(frame[c]) for c in ("due_date", "paid_date")}
    return frame.assign(**dates).astype({"due_amount": float, "paid_amount": float})


def actions(*rows):
    """Rows of (facility, time, kind, result)."""
    frame = pd.DataFrame(rows, columns=["facility_id", "action_time", "kind", "result"])
    times = pd.to_datetime(frame["action_time"])
    return frame.assign(action_time=times, action_id=[f"a{n}" for n in range(len(frame))])


def schedule(**options):
    steps = [
        {"name": "sms_30", "days_before_due": 30, "channel": "sms", "message": "early"},
        {"name": "call_7", "days_before_due": 7, "channel": "call", "message": "late"},
    ]
    return rk.PreDueSchedule(**{"steps": steps, "large_by": "due_amount", **options})


def outlook_of(worklist):
    return dict(zip(worklist.outlook["outlook"], worklist.outlook["n_instalments"], strict=True))


class TestWorklist:
    # Thursday 1 October 2026. Weekdays: 31 October is a Saturday, 1 November a Sunday.
    DAY = "2026-10-01"

    def test_each_instalment_has_the_step_whose_day_has_come_last(self):
        due = instalments(
            ("A", "2026-10-31", 100.0),  # 30 days before: 1 October, today
            ("B", "2026-10-20", 100.0),  # 30 days before: 20 September, Sunday, so the 18th; 7 days before: the 13th
            ("C", "2026-10-08", 100.0),  # 7 days before: 1 October, today
            ("D", "2026-11-05", 100.0),  # 30 days before: 6 October, still to come
            ("E", "2026-10-01", 100.0),  # falls due today: nothing is before the due date any more
            ("F", "2026-10-20", 100.0, "2026-09-30", 100.0),  # paid already
        )
        found = rk.pre_due_worklist(due, actions(), as_of=self.DAY, schedule=schedule())
        got = found.rows.set_index("facility_id")[["step", "status"]].to_dict("index")
        assert got == {
            "A": {"step": "sms_30", "status": "due"},
            "B": {"step": "sms_30", "status": "overdue"},
            "C": {"step": "call_7", "status": "due"},
        }
        assert found.rows.set_index("facility_id")["step_date"]["B"] == pd.Timestamp("2026-09-18")
        assert outlook_of(found)["first step comes later"] == 1
        assert (found.n_due, found.n_overdue) == (2, 1)

    def test_a_step_that_reached_the_debtor_is_not_listed_again_and_one_that_did_not_is(self):
        due = instalments(*((name, "2026-10-08", 100.0) for name in "ABCDE"))
        log = actions(
            ("A", "2026-10-01 09:00", "call", "right_party"),
            ("B", "2026-10-01 09:00", "call", "no_answer"),
            ("B", "2026-10-01 10:00", "call", "wrong_party"),
            ("C", "2026-09-30 09:00", "call", "right_party"),  # before the step's day: it was about something else
            ("D", "2026-10-01 09:00", "sms", "delivered"),  # another channel
            ("E", "2026-10-02 09:00", "call", "right_party"),  # tomorrow is not known today
        )
        found = rk.pre_due_worklist(due, log, as_of=self.DAY, schedule=schedule())
        assert found.rows["facility_id"].tolist() == ["B", "C", "D", "E"]
        assert found.rows.set_index("facility_id")["n_attempts"].to_dict() == {"B": 2, "C": 0, "D": 0, "E": 0}
        assert outlook_of(found)["step already done"] == 1

    def test_of_the_steps_of_one_day_the_first_whose_condition_holds_is_taken(self):
        due = instalments(("A", "2026-10-31", 900.0), ("B", "2026-10-31", 100.0), ("C", "2026-10-31", 100.0))
        balances = pd.DataFrame({"facility_id": ["A", "B"], "balance_amount": [250_000.0, 249_999.99]})
        by_balance = {"large_by": "balance_amount", "large_from_amount": 250_000.0}
        house = rk.read_pre_due_schedule().model_copy(update=by_balance)
        found = rk.pre_due_worklist(due, actions(), as_of=self.DAY, balances=balances, schedule=house)
        assert found.rows.set_index("facility_id")["channel"].to_dict() == {"A": "meeting", "B": "sms", "C": "sms"}

    def test_a_condition_that_holds_for_nobody_leaves_no_step(self):
        steps = [
            {"name": "x", "days_before_due": 7, "channel": "call", "message": "m", "condition": condition}
            for condition in ("large",)
        ]
        due = instalments(("A", "2026-10-08", 100.0), ("B", "2026-10-08", 300_000.0))
        found = rk.pre_due_worklist(due, actions(), as_of=self.DAY, schedule=schedule(steps=steps))
        assert found.rows["facility_id"].tolist() == ["B"]
        assert outlook_of(found)["no step's condition holds"] == 1

    def test_cover_and_arrears_decide_where_the_schedule_asks_for_them(self):
        steps = [
            {"name": "a", "days_before_due": 7, "channel": "meeting", "message": "m", "condition": "in_arrears"},
            {"name": "b", "days_before_due": 7, "channel": "call", "message": "m", "condition": "not_covered"},
            {"name": "c", "days_before_due": 7, "channel": "sms", "message": "m", "condition": "always"},
        ]
        due = instalments(
            ("A", "2026-10-08", 100.0),
            ("A", "2026-09-08", 100.0),  # unpaid: A is in arrears
            ("B", "2026-10-08", 100.0),
            ("C", "2026-10-08", 100.0),
            ("D", "2026-10-08", 100.0),
        )
        cover = pd.DataFrame(
            {
                "facility_id": ["B", "C"],
                "due_date": pd.to_datetime(["2026-10-08"] * 2),
                "cover": ["not covered", "covered"],
            }
        )
        found = rk.pre_due_worklist(due, actions(), as_of=self.DAY, schedule=schedule(steps=steps), cover=cover)
        assert found.rows.set_index("facility_id")["step"].to_dict() == {"A": "a", "B": "b", "C": "c", "D": "c"}
        assert found.cover_counts()["n_instalments"].tolist() == [1, 1, 2]

    def test_the_control_arm_is_left_alone(self):
        due = instalments(("A", "2026-10-08", 100.0), ("B", "2026-10-08", 100.0))
        found = rk.pre_due_worklist(due, actions(), as_of=self.DAY, schedule=schedule(), held_back={"A"})
        assert found.rows["facility_id"].tolist() == ["B"]
        assert outlook_of(found)["held back, as a control"] == 1

    def test_the_page_sees_counts_only(self):
        due = instalments(("A", "2026-10-08", 100.0), ("B", "2026-10-08", 100.0))
        found = rk.pre_due_worklist(due, actions(), as_of=self.DAY, schedule=schedule())
        assert found.counts().to_dict("records") == [{"step": "call_7", "channel": "call", "n_due": 2, "n_overdue": 0}]
        assert "A" not in str(found.record())

    def test_large_loans_need_balances_or_another_rule(self):
        with pytest.raises(InsufficientDataError, match="give balances, or set large_by"):
            rk.pre_due_worklist(
                instalments(("A", "2026-10-08", 100.0)),
                actions(),
                as_of=self.DAY,
                schedule=rk.read_pre_due_schedule().model_copy(update={"large_by": "balance_amount"}),
            )

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 10_000))
    def test_every_unpaid_instalment_has_exactly_one_outlook(self, seed):
        """Invariant: nothing is dropped, whatever the dates, payments and actions."""
        rng = np.random.default_rng(seed)
        n, first = int(rng.integers(1, 40)), pd.Timestamp("2026-09-15")
        paid = np.where(rng.random(n) < 0.3, 100.0, 0.0)
        due = pd.DataFrame(
            {
                "facility_id": [f"F{i}" for i in range(n)],
                "due_date": first + pd.to_timedelta(rng.integers(0, 70, n), unit="D"),
                "due_amount": 100.0,
                "paid_date": pd.Series(first + pd.to_timedelta(rng.integers(0, 40, n), unit="D")).where(paid > 0),
                "paid_amount": paid,
            }
        )
        log = pd.DataFrame(
            {
                "action_id": range(n),
                "facility_id": rng.choice(due["facility_id"], n),
                "action_time": first + pd.to_timedelta(rng.integers(0, 1000, n), unit="h"),
                "kind": rng.choice(["sms", "call"], n),
                "result": rng.choice(["delivered", "no_answer", "right_party"], n),
            }
        )
        day = pd.Timestamp(self.DAY)
        found = rk.pre_due_worklist(due, log, as_of=day, schedule=schedule(), held_back={"F0"})
        unpaid = (due["due_date"] > day) & ~((due["paid_amount"] >= 100) & (due["paid_date"] <= day))
        assert found.outlook["n_instalments"].sum() == unpaid.sum()
        assert outlook_of(found)["listed"] == len(found.rows)
        assert (found.rows["step_date"] <= day).all()

    def test_two_rows_of_a_facility_in_the_balances_and_in_the_cover_are_told_at_once(self):
        due = instalments(("A", "2026-10-08", 100.0))
        balances = pd.DataFrame({"facility_id": ["A", "A"], "balance_amount": [1.0, 2.0]})
        day = pd.to_datetime(["2026-10-08"] * 2)
        cover = pd.DataFrame({"facility_id": "A", "due_date": day, "cover": ["covered", "not covered"]})
        with pytest.raises(ContractError) as error:
            rk.pre_due_worklist(due, actions(), as_of=self.DAY, schedule=schedule(), balances=balances, cover=cover)
        assert [v.table for v in error.value.violations] == ["balances", "cover"]


class TestCalendar:
    def test_a_holiday_before_a_weekend_goes_back_to_the_last_working_day(self):
        calendar = WorkCalendar(holidays=["2026-12-25"])
        days = pd.Series(pd.to_datetime(["2026-12-27", "2026-12-23"]))
        assert calendar.on_or_before(days).dt.day.tolist() == [24, 23]
        assert calendar.on_or_after(days).dt.day.tolist() == [28, 23]

    def test_a_weekend_on_friday_and_saturday_is_possible(self):
        day = pd.Series(pd.to_datetime(["2026-10-02"]))  # a Friday
        assert WorkCalendar(weekend=["friday", "saturday"]).on_or_after(day)[0].day == 4


class TestSchedule:
    def test_a_file_tells_all_its_problems_at_once_with_their_lines(self, tmp_path):
        path = tmp_path / "steps.yml"
        path.write_text(
            "version: 1\nlarge_amount: 5\nsteps:\n  - {name: A b, days_before_due: 0, channel: pigeon, mesage: x}\n"
            "calendar: {holidays: [25.12.2026]}\n"
        )
        with pytest.raises(SpecError) as error:
            rk.read_pre_due_schedule(path)
        said = str(error.value)
        for part in ("large_from_amount", "line 4", "days_before_due", "channel", "nearest valid key: message"):
            assert part in said, part
        assert "'25.12.2026' is no day" in said
        assert said.startswith("7 problems")  # large_amount, name, days, channel, mesage, message missing, holiday

    def test_two_steps_cannot_share_a_name(self):
        step = {"name": "x", "days_before_due": 7, "channel": "call", "message": "m"}
        with pytest.raises(ValueError, match="x stands twice"):
            schedule(steps=[step, step])


class TestCover:
    ENDS = ("2026-06-30", "2026-07-31", "2026-08-31")

    def cover(self, inflows, *, ends=ENDS, **options):
        turnover = pd.DataFrame({"facility_id": "A", "month_end": pd.to_datetime(ends), "inflow_amount": inflows})
        due = instalments(("A", "2026-10-08", 500.0))
        return rk.verify_cover(due, turnover, as_of="2026-09-15", **options).iloc[0]

    def test_the_mean_of_the_last_whole_months_is_held_against_the_instalment(self):
        # (400 + 500 + 600) / 3 = 500 covers 500; one cent less does not.
        assert self.cover([400.0, 500.0, 600.0])["cover"] == "covered"
        assert self.cover([400.0, 500.0, 599.97])["cover"] == "not covered"
        assert self.cover([400.0, 500.0, 600.0], minimum_ratio=1.01)["cover"] == "not covered"

    def test_a_missing_month_or_no_account_is_unknown(self):
        row = self.cover([900.0, 900.0], ends=self.ENDS[1:])
        assert (row["cover"], row["n_months"]) == ("unknown", 2)
        assert np.isnan(row["mean_inflow_amount"])

    def test_a_month_that_is_not_over_is_not_read(self):
        row = self.cover([400.0, 400.0, 400.0, 9999.0], ends=(*self.ENDS, "2026-09-30"))
        assert row["mean_inflow_amount"] == 400.0

    def test_an_inflow_that_just_covers_at_a_ratio_covers(self):
        # Of 10,000.00, 1.1 times is 11,000.00; in floating point 1.1 * 3 is a little above 3.3.
        turnover = pd.DataFrame(
            {"facility_id": "A", "month_end": pd.to_datetime(list(self.ENDS)), "inflow_amount": [11_000.0] * 3}
        )
        due = instalments(("A", "2026-10-08", 10_000.0))
        options = {"as_of": "2026-09-15", "minimum_ratio": 1.1}
        assert rk.verify_cover(due, turnover, **options)["cover"].item() == "covered"
        turnover.loc[0, "inflow_amount"] = 10_999.99
        assert rk.verify_cover(due, turnover, **options)["cover"].item() == "not covered"

    def test_two_rows_of_turnover_in_a_month_are_refused(self):
        with pytest.raises(ContractError, match=r"turnover: facility_id and the month .*: 1 row, first row 2"):
            self.cover([400.0, 500.0, 600.0], ends=("2026-07-31", "2026-08-30", "2026-08-31"))

    def test_options_out_of_range_are_all_told(self):
        with pytest.raises(ValueError, match=r"months is 0.*minimum_ratio is 0"):
            self.cover([1.0, 1.0, 1.0], months=0, minimum_ratio=0)


def experiment(rows, *, assignment="random"):
    """Rows of (facility, arm); all assigned on 1 January 2026."""
    frame = pd.DataFrame(rows, columns=["facility_id", "arm"])
    return frame.assign(
        experiment="pre_due", assigned_date=pd.Timestamp("2026-01-01"), assignment=assignment, score=np.nan
    )


def arms_of(n, n_bad, n_control, n_bad_control):
    """One instalment a facility, due 1 March; the bad ones never paid, the others on the day."""
    sizes = {"reminder": (n, n_bad), "control": (n_control, n_bad_control)}
    rows, members = [], []
    for arm, (size, bad) in sizes.items():
        for i in range(size):
            paid = (None, 0.0) if i < bad else ("2026-03-01", 100.0)
            rows.append((f"{arm}{i}", "2026-03-01", 100.0, *paid))
            members.append((f"{arm}{i}", arm))
    return instalments(*rows), experiment(members)


def effect(due, members, **options):
    return rk.pre_due_effect(due, members, experiment="pre_due", **{"reporting_date": "2026-06-30", **options})


class TestEffect:
    def test_an_instalment_is_delinquent_when_its_thirty_days_end_without_full_payment(self):
        # Due 1 March, so the thirty days end on 31 March.
        due = instalments(
            ("A", "2026-03-01", 100.0, "2026-03-31", 100.0),  # on the last day: not delinquent
            ("B", "2026-03-01", 100.0, "2026-04-01", 100.0),  # a day late: delinquent
            ("C", "2026-03-01", 100.0, "2026-03-05", 99.99),  # a cent short: delinquent
            ("D", "2026-03-01", 100.0),  # delinquent
            ("D", "2026-06-15", 100.0, "2026-06-15", 100.0),  # thirty days not over on 30 June, though paid
            ("A", "2025-12-31", 100.0),  # before the assignment
        )
        members = experiment([("A", "reminder"), ("B", "reminder"), ("C", "control"), ("D", "control")])
        found = effect(due, members)
        table = found.arms.set_index("arm")
        assert table.loc["reminder", ["n_instalments", "n_delinquent"]].tolist() == [2, 1]
        assert table.loc["control", ["n_instalments", "n_delinquent"]].tolist() == [2, 2]
        counted = dict(zip(found.counted["what"], found.counted["n_instalments"], strict=True))
        assert counted["window not over at the reporting date"] == 1
        assert sum(counted.values()) == 5  # the one before the assignment belongs to no arm

    def test_instalments_outside_the_window_of_the_experiment_are_left_out_of_every_arm_and_counted(self):
        due, members = arms_of(20, 2, 20, 4)
        later = due.assign(due_date=pd.Timestamp("2026-04-01"))
        both = pd.concat([due, later], ignore_index=True)
        found = effect(both, members, due_until="2026-03-31")
        assert found.counted.set_index("what")["n_instalments"]["fell due after the experiment"] == 40
        early = effect(both, members, lead_days=70)  # 1 January and 70 days: 12 March
        assert early.counted.set_index("what")["n_instalments"]["fell due before the protocol could act"] == 40

    def test_the_interval_is_newcombes(self):
        # Newcombe (1998), table II (a): 56/70 - 48/80 = 0.2, method 10: 0.0524 to 0.3339.
        found = effect(*arms_of(70, 56, 80, 48)).effects.iloc[0]
        assert found["difference"] == pytest.approx(0.2)
        assert (found["lower"], found["upper"]) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))

    def test_clusters_of_one_give_the_plain_robust_error(self):
        # With one instalment per obligor, the robust variance is n/(n-1)-corrected p(1-p)/n per arm:
        # 0.1 * 0.9 / 200 + 0.2 * 0.8 / 200 = 0.00125, times 400/399 * 399/398.
        line = effect(*arms_of(200, 20, 200, 40)).effects.set_index("line").loc["clustered"]
        assert line["design_effect"] == pytest.approx(400 / 398)
        assert line["difference"] == pytest.approx(-0.1)
        assert line["lower"] < -0.1 < line["upper"]

    def test_every_instalment_four_times_makes_a_design_effect_of_four(self):
        due, members = arms_of(200, 20, 200, 40)
        copies = [due.assign(facility_id=due["facility_id"] + f"-{k}") for k in range(4)]
        more = [members.assign(facility_id=members["facility_id"] + f"-{k}") for k in range(4)]
        due, members = pd.concat(copies, ignore_index=True), pd.concat(more, ignore_index=True)
        obligors = pd.DataFrame({"facility_id": members["facility_id"]})
        obligors["obligor_id"] = obligors["facility_id"].str.split("-").str[0]
        lines = effect(due, members, obligors=obligors).effects.set_index("line")
        # Four copies say nothing new, so the clustered error is that of the 400 originals: 4 times the variance, with
        # statsmodels' correction for 400 clusters of 1600 rows: 400/399 * 1599/1598.
        assert lines.loc["clustered", "design_effect"] == pytest.approx(4 * 400 / 399 * 1599 / 1598)

    def test_a_claim_is_excluded_when_it_lies_outside_the_interval(self):
        due, members = arms_of(2000, 150, 2000, 200)  # a reduction of 25 %
        assert effect(due, members, claimed_reduction=0.63).claim.iloc[0]["verdict"] == "too high"
        assert effect(due, members, claimed_reduction=0.05).claim.iloc[0]["verdict"] == "too low"
        claim = effect(due, members, claimed_reduction=0.25).claim.iloc[0]
        assert claim["verdict"] == "not excluded"
        assert claim["p_value"] == pytest.approx(1.0)

    def test_the_score_interval_of_the_reduction_and_the_p_value_of_the_claim_agree(self):
        due, members = arms_of(9, 2, 9, 5)  # too few clusters for the robust line
        found = effect(due, members, claimed_reduction=0.63)
        upper = found.effects.iloc[0]["reduction_upper"]
        at_the_end = effect(due, members, claimed_reduction=upper).claim.iloc[0]["p_value"]
        assert at_the_end == pytest.approx(0.05, abs=1e-3)

    def test_no_delinquency_in_an_arm_still_has_an_interval(self):
        line = effect(*arms_of(50, 0, 50, 10)).line()
        assert line["relative_reduction"] == 1.0
        assert 0 < line["reduction_lower"] < line["reduction_upper"] <= 1
        none = effect(*arms_of(50, 0, 50, 0)).line()
        assert np.isnan(none["relative_reduction"])
        assert none["lower"] < 0 < none["upper"]

    def test_where_both_arms_are_delinquent_as_a_whole_the_reduction_has_an_interval(self):
        # Wilson's lower limit of 3 of 3 is 3 / (3 + z^2) = 0.4385 with z^2 = 3.8415; the ratio lies between it and its
        # inverse, the reduction between 1 - 1 / 0.4385 = -z^2 / 3 and 1 - 0.4385.
        line = effect(*arms_of(3, 3, 3, 3)).line()
        z2 = 3.8414588
        assert line["relative_reduction"] == 0.0
        assert line["reduction_lower"] == pytest.approx(-z2 / 3, abs=1e-6)
        assert line["reduction_upper"] == pytest.approx(z2 / (3 + z2), abs=1e-6)

    def test_where_one_arm_is_delinquent_as_a_whole_its_own_uncertainty_counts(self):
        one = effect(*arms_of(1, 1, 10, 5)).line()
        # Wilson: 1 of 1 from 0.20654 to 1, 5 of 10 from 0.23659 to 0.76341. The product of the rates is 0.5; with
        # 0.20654 * 1.79346 = 0.37042 and 0.23659 * 0.76341 = 0.18062 the ratio lies between
        # 0.37042 / (0.5 + sqrt(0.25 - 0.37042 * 0.18062)) = 0.3991 and (0.5 + sqrt(0.25 - 0.18062)) / 0.18062 = 4.2266.
        assert one["reduction_lower"] == pytest.approx(1 - 4.2266, abs=1e-3)
        assert one["reduction_upper"] == pytest.approx(1 - 0.3991, abs=1e-3)
        assert one["reduction_lower"] < one["relative_reduction"] < 0 < one["reduction_upper"]
        # With the arms exchanged, the ratio and its limits are the inverse ones.
        turned = effect(*arms_of(10, 5, 1, 1)).line()
        assert (1 - one["reduction_lower"]) * (1 - turned["reduction_upper"]) == pytest.approx(1.0)
        assert (1 - one["reduction_upper"]) * (1 - turned["reduction_lower"]) == pytest.approx(1.0)

    def test_a_small_arm_takes_the_clustered_line_from_itself_only(self):
        due, members = arms_of(200, 20, 200, 40)
        few, of_few = arms_of(3, 1, 0, 0)
        few, of_few = (frame.assign(facility_id="letter" + frame["facility_id"]) for frame in (few, of_few))
        both = pd.concat([due, few], ignore_index=True), pd.concat([members, of_few.assign(arm="letter")])
        found = effect(*both)
        assert found.line("letter")["line"] == "independent"
        pd.testing.assert_series_equal(found.line("reminder"), effect(due, members).line(), check_names=False)

    def test_an_obligor_for_a_facility_twice_is_refused(self):
        due, members = arms_of(2, 1, 2, 1)
        obligors = pd.DataFrame({"facility_id": ["control0"] * 2, "obligor_id": ["O1", "O2"]})
        with pytest.raises(ContractError, match="obligors: facility_id must name one row"):
            effect(due, members, obligors=obligors)

    def test_the_needed_sample_reaches_its_power(self):
        n = rk.pre_due_sample_size(0.1, 0.5)
        assert power_proportions_2indep(-0.05, 0.1, n).power == pytest.approx(0.8, abs=0.002)
        assert rk.pre_due_sample_size(0.1, 0.5, design_effect=2.0) == pytest.approx(2 * n, abs=1)
        assert np.isnan(rk.pre_due_sample_size(0.0, 0.5))

    def test_arms_that_a_rule_or_a_person_assigned_are_refused_with_the_right_call(self):
        due, members = arms_of(20, 2, 20, 4)
        for how in ("rule", "discretion"):
            with pytest.raises(InsufficientDataError, match=rf"assigned by {how}.*regression discontinuity"):
                effect(due, members.assign(assignment=how))

    def test_an_unknown_experiment_and_a_missing_control_are_named(self):
        due, members = arms_of(20, 2, 20, 4)
        with pytest.raises(InsufficientDataError, match="there are: pre_due"):
            rk.pre_due_effect(due, members, experiment="other", reporting_date="2026-06-30")
        with pytest.raises(InsufficientDataError, match="needs the control 'none'"):
            effect(due, members, control="none")
        with pytest.raises(InsufficientDataError, match="no instalment counts in control, reminder"):
            effect(due, members, reporting_date="2026-03-15")

    def test_missing_columns_of_both_tables_are_told_at_once(self):
        due, members = arms_of(2, 1, 2, 1)
        with pytest.raises(ContractError) as error:
            effect(due.drop(columns="due_amount"), members.drop(columns="arm"))
        assert len(error.value.violations) == 2

    def test_only_the_first_instalment_counts_where_that_is_asked(self):
        due, members = arms_of(20, 2, 20, 4)
        second = due.assign(due_date=pd.Timestamp("2026-04-01"))
        found = effect(pd.concat([due, second], ignore_index=True), members, first_only=True)
        assert found.arms["n_instalments"].tolist() == [20, 20]
        assert found.counted.set_index("what")["n_instalments"]["further instalment of the facility"] == 40


def simulated_experiment(rng, *, n_obligors, reduction, base=0.12, spread=1.0):
    """Obligors with one to three facilities, each with four instalments and a risk of its own."""
    n_facilities = rng.integers(1, 4, n_obligors)
    obligor = np.repeat(np.arange(n_obligors), n_facilities)
    arm = np.where(rng.random(n_obligors) < 0.5, "reminder", "control")[obligor]
    risk = base * rng.gamma(1 / spread, spread, n_obligors)[obligor]
    facility = np.repeat(np.arange(len(obligor)), 4)
    prob = np.minimum(risk * np.where(arm == "reminder", 1 - reduction, 1.0), 0.95)[facility]
    bad = rng.random(len(facility)) < prob
    due = pd.Timestamp("2026-02-01") + pd.to_timedelta(np.tile([0, 31, 61, 92], len(obligor)), unit="D")
    names = [f"F{i}" for i in range(len(obligor))]
    frame = pd.DataFrame(
        {
            "facility_id": np.array(names)[facility],
            "due_date": due,
            "due_amount": 100.0,
            "paid_date": pd.Series(due).where(~bad),
            "paid_amount": np.where(bad, 0.0, 100.0),
        }
    )
    obligors = pd.DataFrame({"facility_id": names, "obligor_id": [f"O{i}" for i in obligor]})
    true = {a: np.minimum(base * (1 - r), 0.95) for a, r in (("reminder", reduction), ("control", 0.0))}
    return frame, experiment(list(zip(names, arm, strict=True))), obligors, true


@pytest.mark.slow
@pytest.mark.parametrize("reduction", [0.0, 0.3])
def test_the_clustered_interval_covers_a_known_effect_and_the_independent_one_does_not(reduction):
    n_runs, covered = 400, {"independent": 0, "clustered": 0}
    relative = 0
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        due, members, obligors, _ = simulated_experiment(rng, n_obligors=400, reduction=reduction, spread=1.0)
        found = rk.pre_due_effect(
            due, members, experiment="pre_due", reporting_date="2026-12-31", obligors=obligors, claimed_reduction=0.63
        )
        # The cap at 0.95 binds for risks eight times the mean only; the mean risk is 0.12 up to a thousandth.
        true = -0.12 * reduction
        for line, row in found.effects.set_index("line").iterrows():
            covered[line] += row["lower"] <= true <= row["upper"]
        clustered = found.line()
        relative += clustered["reduction_lower"] <= reduction <= clustered["reduction_upper"]
    slack = COVERAGE_SLACK * np.sqrt(0.95 * 0.05 / n_runs)
    assert abs(covered["clustered"] / n_runs - 0.95) < slack + 0.005
    assert abs(relative / n_runs - 0.95) < slack + 0.01
    assert covered["independent"] / n_runs < 0.95 - slack


class TestRollRates:
    def panel(self):
        # Month ends July, August, September of five accounts (days past due; balances).
        rows = [
            ("A", 0, 0, 40), ("B", 0, 20, 20), ("C", 10, 45, 70), ("D", 95, 120, None), ("E", 0, None, 0),
        ]  # fmt: skip
        balance = {"A": 100.10, "B": 200.20, "C": 300.30, "D": 400.40, "E": 500.50}
        ends = pd.to_datetime(["2026-07-31", "2026-08-31", "2026-09-30"])
        frame = [
            (name, end, days, balance[name])
            for name, *path in rows
            for end, days in zip(ends, path, strict=True)
            if days is not None
        ]
        return pd.DataFrame(frame, columns=["facility_id", "month_end", "days_past_due", "balance_amount"])

    def test_by_hand(self):
        found = rk.roll_rates(self.panel())
        counts = found.matrix("count")
        # July: A stays current, B rolls to 1-30, C 1-30 to 31-60, D stays over 90, E is not reported in August.
        # August: A rolls to 31-60, B stays in 1-30, C 31-60 to 61-90, D is not reported in September.
        assert counts.loc["current"].tolist() == [1, 1, 1, 0, 0, 1]
        assert counts.loc["1 to 30"].tolist() == [0, 1, 1, 0, 0, 0]
        assert counts.loc["31 to 60"].tolist() == [0, 0, 0, 1, 0, 0]
        assert counts.loc["over 90"].tolist() == [0, 0, 0, 0, 1, 1]
        # By balance, from current: A 100.10 stays, B 200.20 rolls, A 100.10 rolls to 31-60, E 500.50 is gone: 900.90.
        assert found.matrix("balance").loc["current"].sum() == 900.90
        assert found.rates("balance").loc["current", "1 to 30"] == pytest.approx(200.20 / 900.90)
        assert found.n_last == 4  # September: A, B, C, E
        assert found.by_month("current", "1 to 30")["rate"].tolist() == [pytest.approx(1 / 3), 0.0]

    def test_rows_add_to_one_and_totals_equal_the_book(self):
        panel = self.panel()
        found = rk.roll_rates(panel)
        for by in ("count", "balance"):
            sums = found.rates(by).sum(axis=1)
            assert np.abs(sums[found.matrix(by).sum(axis=1) > 0] - 1).max() < ROUNDING
        for month, part in found.transitions.groupby("month_end"):
            book = panel[panel["month_end"] == month]
            assert part["n_facilities"].sum() == len(book)
            assert round(part["balance_amount"].sum() * 100) == round(book["balance_amount"].sum() * 100)
        assert found.n_last + found.transitions["n_facilities"].sum() == len(panel)

    def test_rows_that_fit_no_cell_are_refused_together(self):
        panel = self.panel().assign(status="active")
        panel.loc[0, "status"] = "closed"
        panel.loc[1, "status"] = None
        panel.loc[2, "status"] = "Active"
        panel.loc[3, "balance_amount"] = np.nan
        panel.loc[4, "balance_amount"] = -0.01
        panel.loc[5, "balance_amount"] = np.inf
        with pytest.raises(ContractError) as error:
            rk.roll_rates(panel)
        told = {v.rule: (v.n_rows, v.first_keys) for v in error.value.violations}
        assert told == {
            "balance_amount must be an amount of 0 or more": (3, ("row 3", "row 4", "row 5")),
            "status must be one of active, repaid, liquidated, sold, written_off": (3, ("row 0", "row 1", "row 2")),
        }

    def test_two_rows_of_an_account_in_a_month_are_refused(self):
        panel = self.panel()
        again = panel.iloc[[0]].assign(month_end=pd.Timestamp("2026-07-30"))
        with pytest.raises(ContractError, match=r"panel: facility_id and the month of month_end .*: 1 row"):
            rk.roll_rates(pd.concat([panel, again], ignore_index=True))

    def test_a_bucket_that_there_is_not_has_no_rate(self):
        found = rk.roll_rates(self.panel())
        with pytest.raises(ValueError, match=r"to_bucket is '1-30'; it must be one of current, 1 to 30"):
            found.by_month("current", "1-30")
        with pytest.raises(ValueError, match=r"from_bucket is 'sold'"):
            found.by_month("sold", "current")
        assert found.by_month("current", "sold")["rate"].tolist() == [0.0, 0.0]  # an exit to which nobody came

    def test_an_account_that_was_closed_is_told_by_how(self):
        panel = self.panel().assign(status="active")
        panel.loc[(panel["facility_id"] == "A") & (panel["month_end"] == "2026-09-30"), "status"] = "sold"
        found = rk.roll_rates(panel)
        assert found.exits == ("sold", "not reported")
        assert found.matrix("count").loc["current", "sold"] == 1
        assert found.n_last == 3

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10_000))
    def test_totals_hold_for_any_panel(self, seed):
        """Invariant: from-totals are the book's, to the cent, for any panel with gaps."""
        rng = np.random.default_rng(seed)
        ends = pd.date_range("2026-01-31", periods=5, freq="ME")
        frame = pd.DataFrame([(f"F{i}", end) for i in range(30) for end in ends], columns=["facility_id", "month_end"])
        frame = frame[rng.random(len(frame)) < 0.8].reset_index(drop=True)
        frame["days_past_due"] = rng.integers(0, 150, len(frame))
        frame["balance_amount"] = rng.integers(0, 10**8, len(frame)) / 100
        found = rk.roll_rates(frame)
        months = frame["month_end"].dt.to_period("M")
        book = (frame.loc[months < months.max(), "balance_amount"] * 100).round().astype(int).sum()
        assert round(found.matrix("balance").to_numpy().sum() * 100) == book

    def test_one_month_end_and_buckets_that_do_not_rise_are_refused(self):
        panel = self.panel()
        with pytest.raises(InsufficientDataError, match="two month ends"):
            rk.roll_rates(panel[panel["month_end"] == "2026-07-31"])
        with pytest.raises(ValueError, match="rising upper ends"):
            rk.roll_rates(panel, buckets=(30, 0))


class TestPanel:
    def test_instalments_that_all_fall_due_later_make_no_panel(self):
        due = instalments(("A", "2026-09-10", 100.0))
        with pytest.raises(InsufficientDataError, match="no instalment fell due by the last month end, 2026-08-31"):
            rk.delinquency_panel(due, reporting_date="2026-09-15")
