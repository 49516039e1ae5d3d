"""Default episodes from monthly status, by hand and against a month-by-month state machine.

A loan is a string, a letter a month, the first one being January 2020 (month 0):

    .  performing            x  90 days past due, material       u  unlikely to pay
    f  forborne, no trigger  X  90 days past due and forborne    m  90 days past due on an immaterial balance
    R  repaid   S  sold   L  liquidated   W  written off (the last month of the account)

The balance of month k is 1,000 + k, so that a balance says which month it was taken from; m has 50, a closing 0.
"""

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoverykit.episodes._calendar import ceil_months, floor_months, is_month_end, month_end, month_index
from recoverykit.episodes.spells import EPISODE_COLUMNS, DefaultDefinition, build_episodes, complete_episodes
from recoverykit.errors import ContractError

FIRST = pd.Timestamp("2020-01-31")
CLOSING = {"R": "repaid", "S": "sold", "L": "liquidated", "W": "written_off"}


def month(k):
    """Return the k-th month end of the calendar of these tests."""
    return FIRST + pd.offsets.MonthEnd(k)


def position(date):
    """Return the month of a date as a number, None where there is none."""
    return None if pd.isna(date) else (date.year - FIRST.year) * 12 + date.month - FIRST.month


def status_of(loans):
    """Return the status table of loans given as {facility: letters}."""
    rows = [
        {
            "facility_id": name,
            "month_end": month(k),
            "days_past_due": 95 if letter in "xXm" else 0,
            "balance_amount": 0.0 if letter in CLOSING else 50.0 if letter == "m" else 1000.0 + k,
            "forborne": letter in "fX",
            "unlikely_to_pay": letter == "u",
            "status": CLOSING.get(letter, "active"),
        }
        for name, letters in loans.items()
        for k, letter in enumerate(letters)
    ]
    return pd.DataFrame(rows)


def facilities_of(names, **columns):
    names = list(names)
    plain = {"facility_id": names, "obligor_id": "O", "origination_date": pd.Timestamp("2015-06-15")}
    return pd.DataFrame(plain | columns)


def tables_of(loans, *, until=None, definition=None, **columns):
    """Build the episodes of loans; the reporting date is the last month of the longest one, or given."""
    loans = {"A": loans} if isinstance(loans, str) else loans
    last = max(map(len, loans.values())) - 1 if until is None else until
    return build_episodes(
        status_of(loans), facilities_of(loans, **columns), reporting_date=month(last), definition=definition
    )


def built(loans, **options):
    """Return (episodes, exclusions) of loans."""
    tables = tables_of(loans, **options)
    return tables.episodes.to_pandas(), tables.exclusions.to_pandas()


def short(loans, **options):
    """Return the episodes of loans as (default month, outcome, outcome month, spells)."""
    episodes = tables_of(loans, **options).episodes.to_pandas()
    return [
        (position(e.default_date), e.outcome, position(e.outcome_date), e.n_triggers_spells)
        for e in episodes.itertuples()
    ]


class TestTriggers:
    def test_ninety_days_past_due_is_a_default_and_eighty_nine_are_not(self):
        status = status_of({"A": "..x", "B": "..x"})
        status["days_past_due"] = [0, 0, 90, 0, 0, 89]
        tables = build_episodes(status, facilities_of("AB"), reporting_date=month(2))
        assert tables.episodes.to_pandas()["facility_id"].tolist() == ["A"]

    def test_unlikely_to_pay_is_a_default_without_any_arrears(self):
        assert short("..u") == [(2, "open", None, 1)]

    def test_arrears_on_an_immaterial_balance_are_no_default(self):
        assert short("..mmm") == []

    def test_the_retail_threshold_must_be_exceeded_not_reached(self):
        status = status_of({"A": "x", "B": "x"}).assign(balance_amount=[100.0, 100.01])
        tables = build_episodes(status, facilities_of("AB"), reporting_date=month(0))
        assert tables.episodes.to_pandas()["facility_id"].tolist() == ["B"]

    def test_the_threshold_follows_the_exposure_class(self):
        # 300 past due are above 100 (retail) and below 500 (other); a class that is not given is retail.
        status = status_of({"A": "x", "B": "x", "C": "x"}).assign(balance_amount=300.0)
        facilities = facilities_of("ABC", exposure_class=["retail", "other", None])
        tables = build_episodes(status, facilities, reporting_date=month(0))
        assert tables.episodes.to_pandas()["facility_id"].tolist() == ["A", "C"]

    def test_the_relative_threshold_counts_where_the_amount_past_due_is_known(self):
        # Balance 100,000: 1 % is 1,000. 900 past due exceed 100 but not 1,000; 1,001 exceed both; unknown: balance.
        status = status_of({"A": "x", "B": "x", "C": "x"}).assign(
            balance_amount=100_000.0, past_due_amount=[900.0, 1001.0, np.nan]
        )
        tables = build_episodes(status, facilities_of("ABC"), reporting_date=month(0))
        assert tables.episodes.to_pandas()["facility_id"].tolist() == ["B", "C"]

    def test_a_write_off_and_a_liquidation_are_defaults_and_a_sale_or_repayment_is_none(self):
        got = short({"A": "..W", "B": "..L", "C": "..S", "D": "..R"})
        assert got == [(2, "written_off", 2, 1), (2, "liquidated", 2, 1)]


class TestProbation:
    def test_three_quiet_months_end_the_default(self):
        assert short(".x...") == [(1, "cured", 4, 1)]

    def test_a_trigger_in_the_third_month_starts_the_probation_again(self):
        # Triggers in 1 and 4: two quiet months between them; the probation ends in 4 + 3.
        assert short(".x..x...") == [(1, "cured", 7, 1)]

    def test_a_probation_still_running_at_the_reporting_date_is_open(self):
        assert short(".x..") == [(1, "open", None, 1)]

    def test_a_probation_that_ends_on_the_reporting_date_is_a_cure(self):
        assert short(".x.......", until=4) == [(1, "cured", 4, 1)]

    def test_a_default_in_the_last_month_is_open_with_month_zero(self):
        episodes, _ = built("....x")
        assert episodes[["outcome", "months_in_default", "observed_months"]].to_numpy().tolist() == [["open", 0, 0]]

    def test_repayment_during_the_probation_is_a_repayment(self):
        assert short(".x..R") == [(1, "repaid", 4, 1)]
        assert short(".x.R") == [(1, "repaid", 3, 1)]

    def test_repayment_after_the_probation_leaves_the_cure(self):
        assert short(".x...R") == [(1, "cured", 4, 1)]

    def test_the_length_of_the_probation_is_a_parameter(self):
        assert short(".x......", definition=DefaultDefinition(probation_months=6)) == [(1, "cured", 7, 1)]


class TestForbearance:
    def test_a_forborne_default_needs_a_year_from_the_grant(self):
        # Default 1, grant 3: performing in 3 + 12 = 15, not in 1 + 3.
        assert short(".x.ffffffffffffffff") == [(1, "cured", 15, 1)]

    def test_a_default_of_a_facility_forborne_before_needs_a_year_from_the_default(self):
        # Grant 0, default 2: the later of both counts, 2 + 12 = 14.
        assert short("ffXfffffffffffffff") == [(2, "cured", 14, 1)]

    def test_a_second_grant_starts_the_year_again(self):
        # Grants in 2 and 6: 6 + 12 = 18.
        assert short(".xff..fff...........") == [(1, "cured", 18, 1)]

    def test_a_grant_in_the_probation_holds_the_return_back(self):
        # Without the grant of 3 the probation of the trigger in 1 would end in 4.
        assert short(".x.f............") == [(1, "cured", 15, 1)]

    def test_a_grant_after_the_return_to_performing_changes_nothing(self):
        assert short(".x....ffff") == [(1, "cured", 4, 1)]

    def test_a_flag_taken_away_before_the_default_does_not_count(self):
        assert short({"A": ".ff.x...", "B": ".fx....."}) == [(4, "cured", 7, 1), (2, "cured", 5, 1)]

    def test_a_grant_outlives_its_flag_where_a_new_trigger_falls_into_its_year(self):
        # Grant 2 holds the default back to 14. The trigger in 8 opens no new default; 8 + 3 = 11 is too early still.
        assert short(".xff....x.......") == [(1, "cured", 14, 1)]

    def test_a_forbearance_older_than_the_default_outlives_its_flag_as_well(self):
        # Forborne before the default in 2: 2 + 12 = 14. The trigger in 8, without the flag, makes it no earlier.
        assert short("ffXffff.x..........") == [(2, "cured", 14, 1)]

    def test_a_trigger_before_three_quiet_months_does_not_start_the_year_again(self):
        # Default and grant in 1, trigger in 4: two quiet months between them, so still 1 + 12 = 13.
        assert short(".XffXfffffffffff") == [(1, "cured", 13, 1)]

    def test_a_trigger_within_the_year_while_still_forborne_starts_the_year_again(self):
        # Forborne from 2 on, trigger in 8, four quiet months before it: 8 + 12 = 20.
        assert short(".xffffffXfffffffffffff") == [(1, "cured", 20, 1)]


class TestMerging:
    def test_a_redefault_nine_months_after_the_return_belongs_to_the_same_episode(self):
        # Return in 4; trigger in 4 + 9 = 13; second return in 16.
        assert short(".x...........x...") == [(1, "cured", 16, 2)]

    def test_a_redefault_ten_months_after_the_return_is_an_episode_of_its_own(self):
        assert short(".x............x...") == [(1, "cured", 4, 1), (14, "cured", 17, 1)]

    def test_three_spells_in_a_chain_are_one_episode(self):
        # Returns in 4 and 14, defaults in 11 and 20: each within nine months of the return before it.
        assert short(".x.........x........x...") == [(1, "cured", 23, 3)]

    def test_a_chain_can_break_in_the_middle(self):
        # Returns in 4 and 10; default in 7 merges (3 months), in 20 does not (10 months), in 26 does (after 23).
        assert short(".x.....x............x.....x...") == [(1, "cured", 10, 2), (20, "cured", 29, 2)]

    def test_spells_never_left_are_one_spell(self):
        # The forbearance holds the default of 1 until 14; the trigger of 6 falls inside it, so nothing was left.
        assert short(".xf...x...........") == [(1, "cured", 14, 1)]

    def test_a_redefault_that_is_still_open_reopens_the_whole_episode(self):
        assert short(".x......x") == [(1, "open", None, 2)]

    def test_an_account_written_off_within_the_merge_window_ends_the_merged_episode(self):
        assert short(".x........W") == [(1, "written_off", 10, 2)]

    def test_an_account_repaid_within_the_merge_window_stays_cured(self):
        assert short(".x........R") == [(1, "cured", 4, 1)]

    def test_without_a_merge_window_each_return_ends_an_episode(self):
        got = short(".x....x...", definition=DefaultDefinition(merge_months=0))
        assert got == [(1, "cured", 4, 1), (6, "cured", 9, 1)]

    def test_two_facilities_of_one_obligor_keep_their_own_episodes(self):
        episodes, _ = built({"A": ".x...", "B": "..x..R"})
        assert episodes["obligor_id"].tolist() == ["O", "O"]
        assert episodes["episode_id"].tolist() == ["A#1", "B#1"]
        assert episodes["outcome"].tolist() == ["cured", "repaid"]


class TestAmounts:
    def test_exposure_is_the_balance_of_the_default_month_also_of_a_merged_episode(self):
        episodes, _ = built({"A": "..x......x..", "B": "...u"})
        assert episodes["ead"].tolist() == [1002.0, 1003.0]

    def test_a_facility_closed_in_the_month_of_its_default_owes_what_it_owed_a_month_before(self):
        episodes, _ = built("...W")
        assert episodes["ead"].tolist() == [1002.0]
        assert episodes["months_in_default"].tolist() == [0]

    def test_a_written_off_balance_that_is_still_there_is_the_exposure(self):
        status = status_of({"A": "...W"})
        status.loc[3, "balance_amount"] = 800.0
        tables = build_episodes(status, facilities_of("A"), reporting_date=month(3))
        episode = tables.episodes.to_pandas().iloc[0]
        assert (episode["ead"], episode["outcome_balance_amount"]) == (800.0, 800.0)

    def test_a_cure_keeps_the_balance_of_its_month_and_an_open_one_the_last_balance(self):
        episodes, _ = built({"A": ".x......", "B": ".x.xxxxx", "C": ".x...R"})
        assert episodes["outcome_balance_amount"].fillna(-1).tolist() == [1004.0, -1, 1004.0]
        assert episodes["outstanding"].tolist() == [0.0, 1007.0, 0.0]

    def test_an_episode_without_exposure_is_excluded_and_counted(self):
        # The account is first seen in the month of its write-off: no balance then, and none before.
        episodes, exclusions = built({"A": "W", "B": "..x"})
        assert episodes["facility_id"].tolist() == ["B"]
        row = exclusions.set_index("reason").loc["exposure at default is zero or missing"]
        assert (row["table"], row["n_rows"], row["amount"]) == ("status", 1, 0.0)


class TestReportingDate:
    def test_rows_after_it_are_not_read_and_are_counted(self):
        episodes, exclusions = built(".x...xx", until=2)
        assert episodes["outcome"].tolist() == ["open"]
        assert exclusions.to_numpy().tolist() == [["status", "after the reporting date", 4, 0.0]]

    def test_a_reporting_date_before_every_default_gives_no_episodes_and_no_error(self):
        episodes, _ = built("...x", until=1)
        assert len(episodes) == 0
        assert list(episodes.columns[: len(EPISODE_COLUMNS)]) == list(EPISODE_COLUMNS)

    def test_within_a_month_only_completed_months_count(self):
        # Default 29 February; on 15 May two months are complete (29 April), the third is not.
        tables = build_episodes(status_of({"A": ".xxxx"}), facilities_of("A"), reporting_date="2020-05-15")
        assert tables.episodes.to_pandas()["months_in_default"].tolist() == [2]

    def test_a_history_that_stops_early_is_kept_open_and_noted(self):
        _, exclusions = built({"A": ".x", "B": "....."})
        assert exclusions["reason"].tolist() == [
            "status history ends before the reporting date without a closing status (kept, open)"
        ]
        assert exclusions["amount"].tolist() == [1001.0]

    def test_no_date_is_refused(self):
        with pytest.raises(ValueError, match="give a date"):
            build_episodes(status_of({"A": ".x"}), facilities_of("A"), reporting_date=None)


class TestLateEntry:
    @staticmethod
    def first_seen(days_past_due, letters="xx", **columns):
        status = status_of({"A": letters})
        status.loc[0, "days_past_due"] = days_past_due
        tables = build_episodes(status, facilities_of("A", **columns), reporting_date=month(len(letters) - 1))
        episode = tables.episodes.to_pandas().iloc[0]
        return position(episode["default_date"]), episode["entry_months"], tables.exclusions.to_pandas()

    def test_a_facility_first_seen_past_due_is_dated_back_by_thirty_days_a_month(self):
        days = [90, 119, 120, 149, 150, 455]
        names = [f"{day:03d}" for day in days]
        status = status_of(dict.fromkeys(names, "x")).assign(days_past_due=days)
        episodes = build_episodes(status, facilities_of(names), reporting_date=month(0)).episodes.to_pandas()
        assert episodes["entry_months"].tolist() == [0, 0, 1, 1, 2, 12]
        assert [position(date) for date in episodes["default_date"]] == [0, 0, -1, -1, -2, -12]

    def test_it_is_kept_and_noted(self):
        _, _, exclusions = self.first_seen(150)
        assert exclusions.to_numpy().tolist() == [
            ["status", "in default when observation began (kept, late entry)", 1, 1000.0]
        ]

    def test_a_late_entry_whose_history_stops_early_is_noted_for_both(self):
        status = status_of({"A": "xx", "B": "....."})
        status.loc[0, "days_past_due"] = 150
        exclusions = build_episodes(status, facilities_of("AB"), reporting_date=month(4)).exclusions.to_pandas()
        assert exclusions["n_rows"].tolist() == [1, 1]
        assert exclusions["reason"].str.contains("late entry|kept, open").all()

    def test_the_months_in_default_count_from_the_earlier_date(self):
        status = status_of({"A": "x..."})
        status.loc[0, "days_past_due"] = 150
        tables = build_episodes(status, facilities_of("A"), reporting_date=month(3))
        # Default in -2, cured in 3.
        assert tables.episodes.to_pandas()["months_in_default"].tolist() == [5]

    def test_it_is_never_dated_before_the_origination(self):
        default, entry, _ = self.first_seen(455, origination_date=pd.Timestamp("2019-09-10"))
        assert (default, entry) == (-4, 4)

    def test_a_facility_originated_in_its_first_month_is_no_late_entry(self):
        default, entry, exclusions = self.first_seen(150, origination_date=pd.Timestamp("2020-01-02"))
        assert (default, entry, len(exclusions)) == (0, 0, 0)

    def test_unlikely_to_pay_from_the_start_is_dated_to_the_first_month_and_noted(self):
        _, exclusions = built("uu")
        assert exclusions["reason"].tolist() == [
            "unlikely to pay when observation began, dated to the first month observed (kept)"
        ]

    def test_a_facility_seen_performing_first_is_no_late_entry_whatever_its_days_past_due(self):
        status = status_of({"A": ".x"})
        status.loc[1, "days_past_due"] = 400
        tables = build_episodes(status, facilities_of("A"), reporting_date=month(1))
        assert tables.episodes.to_pandas()["entry_months"].tolist() == [0]


class TestTables:
    def test_the_columns_stand_in_the_agreed_order_and_the_facilitys_own_follow(self):
        episodes, _ = built(".x", region="west", eir=0.05)
        assert list(episodes.columns) == [*EPISODE_COLUMNS, "origination_date", "region", "eir"]
        assert episodes["default_vintage"].tolist() == ["2020Q1"]

    def test_the_order_of_the_rows_does_not_matter(self):
        status = status_of({"B": ".x..xf....x...", "A": "..u.....xR", "C": "x............x"})
        facilities = facilities_of("CAB")
        forward = build_episodes(status, facilities, reporting_date=month(13))
        shuffled = status.sample(frac=1, random_state=4)
        backward = build_episodes(shuffled, facilities.iloc[::-1], reporting_date=month(13))
        pd.testing.assert_frame_equal(forward.episodes.to_pandas(), backward.episodes.to_pandas())
        assert forward.episodes.to_pandas()["facility_id"].is_monotonic_increasing

    def test_the_inputs_are_not_changed(self):
        status, facilities = status_of({"A": ".x..."}), facilities_of("A")
        before = status.copy(), facilities.copy()
        build_episodes(status, facilities, reporting_date=month(4)).episodes.to_pandas()
        pd.testing.assert_frame_equal(status, before[0])
        pd.testing.assert_frame_equal(facilities, before[1])

    def test_an_episode_of_an_unknown_facility_is_excluded_and_counted(self):
        tables = build_episodes(status_of({"A": ".x", "B": ".x"}), facilities_of("A"), reporting_date=month(1))
        assert tables.episodes.to_pandas()["facility_id"].tolist() == ["A"]
        assert tables.exclusions.to_pandas().to_numpy().tolist() == [
            ["status", "facility is not in facilities", 1, 1001.0]
        ]

    def test_a_facility_column_named_like_an_episode_column_is_refused(self):
        with pytest.raises(ContractError, match=r"\['ead'\] carry names of episode columns"):
            built(".x", ead=5.0)

    def test_a_facility_column_may_have_any_other_name_and_keeps_its_values(self):
        names = (
            "days_past_due",
            "overdue",
            "number",
            "start",
            "closing",
            "last_month",
            "reason",
            "is_known",
            "is_late",
        )
        own = {name: f"own {name}" for name in names}
        episodes, _ = built(".x....", **own)
        assert episodes[list(own)].iloc[0].to_dict() == own
        held = pd.DataFrame({"facility_id": ["A"], "default_date": [month(1)], "ead": 1.0, "outcome": "open"})
        held = held.assign(outcome_date=pd.NaT)
        completed = complete_episodes(held, facilities_of("A", **own), reporting_date=month(4)).episodes.to_pandas()
        assert completed[list(own)].iloc[0].to_dict() == own

    def test_tables_of_a_database_give_the_same_as_frames(self):
        status, facilities = status_of({"A": ".x..xf....x..."}), facilities_of("A")
        con = ibis.duckdb.connect()
        held = [con.create_table(n, f) for n, f in {"status": status, "facilities": facilities}.items()]
        from_database = build_episodes(*held, reporting_date=month(13)).episodes.to_pandas()
        from_frames = build_episodes(status, facilities, reporting_date=month(13)).episodes.to_pandas()
        pd.testing.assert_frame_equal(from_database, from_frames)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"probation_months": 0}, "probation_months is 0"),
            ({"probation_months": 2.5}, "whole number"),
            ({"days_past_due": "90"}, "days_past_due is '90'"),
            ({"forborne_probation_months": 2}, "at least 3"),
            ({"materiality_share": 1}, "share below 1"),
            ({"materiality_retail_amount": float("nan")}, "materiality_retail_amount is nan"),
        ],
    )
    def test_a_definition_out_of_range_is_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            DefaultDefinition(**options)


class TestHeldEpisodes:
    @staticmethod
    def held(**columns):
        plain = {
            "facility_id": ["A", "A", "B"],
            "default_date": pd.to_datetime(["2020-01-10", "2021-03-31", "2020-05-05"]),
            "ead": [100.0, 200.0, 300.0],
            "outcome": ["cured", "open", "liquidated"],
            "outcome_date": pd.to_datetime(["2020-04-15", None, "2021-02-01"]),
        }
        return pd.DataFrame(plain | columns)

    def complete(self, reporting_date="2021-06-30", **columns):
        tables = complete_episodes(self.held(**columns), facilities_of("AB"), reporting_date=reporting_date)
        return tables.episodes.to_pandas(), tables.exclusions.to_pandas()

    def test_they_get_the_same_columns(self):
        from_status, _ = built(".x")
        episodes, exclusions = self.complete()
        assert list(episodes.columns) == list(from_status.columns)
        assert episodes["episode_id"].tolist() == ["A#1", "A#2", "B#1"]
        assert len(exclusions) == 0

    def test_months_round_up_when_closed_and_down_when_open(self):
        # 10 January to 15 April: 3 months and 5 days, up to 4. 31 March to 30 June: 3. 5 May to 1 February: up to 9.
        episodes, _ = self.complete()
        assert episodes["months_in_default"].tolist() == [4, 3, 9]
        # To 30 June 2021: 17 months and 20 days; 3; 13 months and 25 days.
        assert episodes["observed_months"].tolist() == [17, 3, 13]

    def test_what_came_after_the_reporting_date_is_not_known_yet(self):
        episodes, exclusions = self.complete("2020-12-31", outstanding=[0.0, 0.0, 0.0])
        assert episodes["episode_id"].tolist() == ["A#1", "B#1"]
        assert episodes["outcome"].tolist() == ["cured", "open"]
        assert episodes["outcome_date"].isna().tolist() == [False, True]
        assert episodes["outstanding"].isna().tolist() == [False, True]
        assert exclusions[["reason", "n_rows", "amount"]].to_numpy().tolist() == [
            ["after the reporting date", 1, 200.0],
            ["outcome after the reporting date (kept, open)", 1, 300.0],
        ]

    def test_balances_are_taken_over_where_the_bank_gives_them(self):
        episodes, _ = self.complete(outcome_balance_amount=[90.0, None, 0.0], outstanding=[5.0, 150.0, 0.0])
        assert episodes["outcome_balance_amount"].fillna(-1).tolist() == [90.0, -1, 0.0]
        assert episodes["outstanding"].tolist() == [0.0, 150.0, 0.0]

    def test_an_episode_without_exposure_is_excluded(self):
        episodes, exclusions = self.complete(ead=[100.0, 0.0, np.nan])
        assert episodes["episode_id"].tolist() == ["A#1"]
        assert exclusions["n_rows"].tolist() == [2]


@dataclass
class Machine:
    """A facility followed month by month, straight from the rules, as the peer of the windowed expressions."""

    probation: int = 3
    forborne_probation: int = 12
    merge: int = 9

    def run(self, letters):
        done, episode = [], None  # [default, outcome, outcome month, spells]
        in_default = False
        last_trigger = last_grant = None
        was_forborne = ever = False
        for k, letter in enumerate(letters):
            trigger = letter in "xXuWL"
            forborne = letter in "fX"
            ever = ever or trigger
            begins = trigger and (not in_default or k - last_trigger > self.probation)
            if trigger and not in_default:
                if episode is not None and k - episode[2] <= self.merge:
                    episode = [episode[0], "open", None, episode[3] + 1]
                else:
                    done += [episode] if episode is not None else []
                    episode = [k, "open", None, 1]
                in_default = True
            last_trigger = k if trigger else last_trigger
            if forborne and ever and (begins or not was_forborne):
                last_grant = k
            was_forborne = forborne
            if in_default and letter in CLOSING:
                episode[1:3], in_default = [CLOSING[letter], k], False
            elif in_default and self.is_over(k, last_trigger, last_grant):
                episode[1:3], in_default = ["cured", k], False
        return [tuple(e) for e in [*done, episode] if e is not None]

    def is_over(self, k, last_trigger, last_grant):
        year_over = last_grant is None or k - last_grant >= self.forborne_probation
        return year_over and k - last_trigger >= self.probation


LOANS = st.builds(
    lambda parts, end: "." + "".join(letter * length for letter, length in parts) + end,
    st.lists(st.tuples(st.sampled_from("...xXfum"), st.integers(1, 7)), min_size=1, max_size=14),
    st.sampled_from(["", "", "R", "S", "L", "W"]),
)


# Compiling the expressions takes longer than running them, so an example holds many loans.
@settings(max_examples=16, deadline=None)
@given(loans=st.lists(LOANS, min_size=60, max_size=60), shorter=st.booleans())
def test_the_expressions_agree_with_a_state_machine_on_random_histories(loans, shorter):
    if shorter:
        machine = Machine(probation=2, forborne_probation=5, merge=3)
        definition = DefaultDefinition(probation_months=2, forborne_probation_months=5, merge_months=3)
    else:
        machine, definition = Machine(), DefaultDefinition()
    named = {f"{number:02d}": letters for number, letters in enumerate(loans)}
    expected = [episode for letters in named.values() for episode in machine.run(letters)]
    assert short(named, definition=definition) == expected


ANY_DATE = st.dates(min_value=pd.Timestamp("1999-01-01").date(), max_value=pd.Timestamp("2032-12-31").date())
# Month ends are where the arithmetic is delicate, and where a book's dates are.
DATES = st.one_of(ANY_DATE, ANY_DATE.map(lambda date: (pd.Timestamp(date) + pd.offsets.MonthEnd(0)).date()))


def reference_months(start, end, *, up):
    """Return months by walking the calendar: the day of the month is kept, or cut to the length of the month."""
    sticks_to_end = up and start.is_month_end
    count = max(0, 12 * (end.year - start.year) + end.month - start.month - 2)
    while True:
        step = count if up else count + 1
        reached = start + (pd.offsets.MonthEnd(step) if sticks_to_end else pd.DateOffset(months=step))
        if (up and reached >= end) or (not up and reached > end):
            return count
        count += 1


class TestCalendar:
    @settings(max_examples=15, deadline=None)
    @given(pairs=st.lists(st.tuples(DATES, DATES), min_size=80, max_size=80))
    def test_months_between_dates_agree_with_walking_the_calendar(self, pairs):
        frame = pd.DataFrame([sorted(pair) for pair in pairs], columns=["a", "b"]).apply(pd.to_datetime)
        table = ibis.memtable(frame).mutate(a=ibis._.a.cast("date"), b=ibis._.b.cast("date"))
        got = table.select("a", "b", low=floor_months(table.a, table.b), high=ceil_months(table.a, table.b))
        for row in got.to_pandas().itertuples():
            assert row.low == reference_months(row.a, row.b, up=False), row
            assert row.high == reference_months(row.a, row.b, up=True), row

    def test_a_month_index_and_its_month_end_are_inverse(self):
        ends = pd.DataFrame({"end": pd.date_range("1999-12-31", periods=400, freq="ME")})
        table = ibis.memtable(ends).mutate(end=ibis._.end.cast("date"))
        got = table.select(
            "end", index=month_index(table.end), back=month_end(month_index(table.end)), is_end=is_month_end(table.end)
        ).to_pandas()
        assert (got["end"] == got["back"]).all()
        assert got["is_end"].all()
        assert (got["index"].diff().dropna() == 1).all()
