"""Every rule of the data contract, broken once on a small book of three facilities."""

import numpy as np
import pandas as pd
import pytest

from recoverykit.data import contracts
from recoverykit.errors import ContractError
from recoverykit.vocabulary import SEGMENT_SEPARATOR

REPORTING_DATE = pd.Timestamp("2024-06-30")
DECLARED = {
    "segment_columns": ["channel"],
    "driver_columns": ["ltv_ratio"],
    "macro_columns": ["unemployment_rate", "house_price_index"],
}


def dates(*texts):
    return pd.to_datetime(pd.Series(texts, dtype=object))


def small_book():
    """F1 and F2 defaulted, F3 never did; two scenarios over two months."""
    facilities = pd.DataFrame(
        {
            "facility_id": ["F1", "F2", "F3"],
            "obligor_id": ["B1", "B1", "B2"],
            "product": ["mortgage", "card", "card"],
            "region": ["west", "west", "south"],
            "collateral_kind": ["residential_property", "none", "none"],
            "collateral_value_amount": [200_000.0, np.nan, np.nan],
            "eir": [0.05, 0.19, 0.0],
            "origination_date": dates("2020-01-15", "2021-05-01", "2022-01-01"),
            "channel": ["branch", "online", "online"],
            "ltv_ratio": [1.2, 0.0, 0.0],
        }
    )
    status = pd.DataFrame(
        {
            "facility_id": ["F1", "F1", "F1", "F3"],
            "month_end": dates("2024-01-31", "2024-02-29", "2024-03-31", "2024-06-30"),
            "days_past_due": [91, 122, 0, 0],
            "balance_amount": [100.0, 100.0, 0.0, 50.0],
            "forborne": [False, False, False, False],
            "unlikely_to_pay": [True, False, False, False],
            "status": ["active", "active", "repaid", "active"],
        }
    )
    episodes = pd.DataFrame(
        {
            "facility_id": ["F1", "F2", "F2"],
            "default_date": dates("2024-01-31", "2022-03-31", "2023-06-30"),
            "ead": [100.0, 60.0, 70.0],
            "outcome": ["repaid", "cured", "open"],
            "outcome_date": dates("2024-03-31", "2022-09-30", None),
        }
    )
    cash_flows = pd.DataFrame(
        {
            "facility_id": ["F1", "F1", "F2"],
            "cash_flow_date": dates("2024-02-10", "2024-02-10", "2023-12-01"),
            "amount": [40.0, 40.0, 5.0],
            "kind": ["repayment", "repayment", "direct_cost"],
        }
    )
    collateral = pd.DataFrame(
        {
            "facility_id": ["F1"],
            "collateral_id": ["C1"],
            "collateral_kind": ["residential_property"],
            "value_amount": [200_000.0],
            "valuation_date": dates("2024-05-31"),
        }
    )
    scenarios = pd.DataFrame(
        {
            "scenario": ["base", "base", "adverse", "adverse"],
            "month_end": dates("2024-06-30", "2024-07-31", "2024-06-30", "2024-07-31"),
            "weight": [0.7, 0.7, 0.3, 0.3],
            "unemployment_rate": [0.04, 0.04, 0.05, 0.06],
            "house_price_index": [100.0, 100.5, 100.0, 97.0],
        }
    )
    names = ("facilities", "status", "episodes", "cash_flows", "collateral", "scenarios")
    return dict(zip(names, (facilities, status, episodes, cash_flows, collateral, scenarios), strict=True))


def violations_of(tables, **changes):
    return contracts.find_violations(tables, **({"reporting_date": REPORTING_DATE} | DECLARED | changes))


def changed(table, column, row, value):
    """Return the small book with one value changed."""
    tables = small_book()
    values = tables[table][column].tolist()
    values[row] = value
    tables[table][column] = pd.Series(values)
    return tables


def only(violations):
    """Return the one violation that there must be."""
    assert len(violations) == 1, [str(violation) for violation in violations]
    return violations[0]


def test_a_book_that_keeps_every_rule_has_no_violation():
    assert violations_of(small_book()) == []
    contracts.check_tables(small_book(), reporting_date=REPORTING_DATE, **DECLARED)


def test_status_alone_and_episodes_alone_are_enough():
    for left_out in ("status", "episodes"):
        tables = small_book()
        del tables[left_out]
        assert violations_of(tables) == []


@pytest.mark.parametrize(
    ("table", "column", "row", "value", "words"),
    [
        ("facilities", "eir", 1, np.nan, "eir must not be missing"),
        ("facilities", "eir", 1, 35.0, "eir must be an annual share from 0 to below 1 (0.07 for 7 %), found 35"),
        ("facilities", "eir", 1, 1.0, "below 1"),
        ("facilities", "eir", 1, -0.01, "found -0.01"),
        ("facilities", "eir", 1, np.inf, "found inf"),
        (
            "facilities",
            "ltv_ratio",
            0,
            80.0,
            "ltv_ratio must be a ratio from 0 to 5 (0.8 for 80 %, never 80), found 80",
        ),
        ("facilities", "channel", 0, None, "channel must not be missing"),
        ("facilities", "product", 0, "", "product must be text that is not empty"),
        ("facilities", "product", 0, f"a{SEGMENT_SEPARATOR}b", "separates the parts of a segment's name"),
        ("facilities", "collateral_kind", 0, "boat", "must be one of none, residential_property"),
        ("facilities", "collateral_value_amount", 0, 0.0, "an amount above zero, found 0"),
        ("facilities", "collateral_value_amount", 0, np.nan, "must be given where collateral_kind is not none"),
        ("facilities", "collateral_value_amount", 1, 10.0, "must be empty where collateral_kind is none"),
        ("status", "days_past_due", 0, -1, "days_past_due must be a whole number of zero or more, found -1"),
        ("status", "balance_amount", 0, -5.0, "balance_amount must be an amount of zero or more, found -5"),
        ("status", "status", 3, "dormant", "status must be one of active, repaid"),
        ("status", "month_end", 3, pd.Timestamp("2024-06-29"), "last day of its month"),
        ("episodes", "ead", 0, 0.0, "ead must be an amount above zero, found 0"),
        ("episodes", "ead", 0, -7.5, "ead must be an amount above zero, found -7.5"),
        ("episodes", "outcome_date", 0, pd.NaT, "must be given where the outcome is not open"),
        ("episodes", "outcome_date", 2, pd.Timestamp("2024-05-31"), "must be empty where the outcome is open"),
        ("episodes", "outcome_date", 0, pd.Timestamp("2024-01-30"), "must not lie before default_date"),
        ("cash_flows", "amount", 0, -1.0, "amount must be an amount of zero or more, found -1"),
        ("cash_flows", "kind", 0, "REP", "kind must be one of repayment, collateral"),
        ("cash_flows", "cash_flow_date", 0, pd.Timestamp("2024-02-10 13:45"), "a date without a time of day"),
        ("collateral", "value_amount", 0, -1.0, "value_amount must be an amount of zero or more"),
        ("scenarios", "month_end", 3, pd.Timestamp("2024-07-30"), "last day of its month"),
        ("scenarios", "unemployment_rate", 0, 4.0, "a share from -1 to 1 (0.35, never 35), found 4"),
        ("scenarios", "house_price_index", 0, 0.0, "an index above zero"),
    ],
)
def test_one_wrong_value_is_one_violation_with_its_key(table, column, row, value, words):
    tables = changed(table, column, row, value)
    found = only(violations_of(tables))
    assert found.table == table
    assert words in found.rule
    assert found.n_rows == 1
    key = contracts.TABLES[table].key[0]
    assert found.first_keys[0].startswith(f"{key}={tables[table][key].iloc[row]}")


@pytest.mark.parametrize("table", ["status", "episodes", "cash_flows", "collateral"])
def test_a_row_of_an_unknown_facility_is_an_orphan(table):
    found = only(violations_of(changed(table, "facility_id", len(small_book()[table]) - 1, "F9")))
    assert (found.table, found.rule) == (table, "facility_id must stand in facilities")
    assert "facility_id=F9" in found.first_keys[0]


@pytest.mark.parametrize(
    ("table", "column", "row"),
    [("cash_flows", "cash_flow_date", 2), ("collateral", "valuation_date", 0), ("status", "month_end", 3)],
)
def test_nothing_may_be_dated_after_the_reporting_date(table, column, row):
    found = only(violations_of(changed(table, column, row, pd.Timestamp("2024-07-31"))))
    assert f"{column} must not lie after the reporting date 2024-06-30, the last is 2024-07-31" in found.rule


def test_an_outcome_after_the_reporting_date_is_told():
    # 2024-03-31 lies after 2024-02-29, and so do the last months of status, while the flows lie before
    found = violations_of(small_book(), reporting_date=pd.Timestamp("2024-02-29"))
    told = {(violation.table, violation.rule.split()[0], violation.n_rows) for violation in found}
    assert ("episodes", "outcome_date", 1) in told
    assert ("status", "month_end", 2) in told
    assert ("collateral", "valuation_date", 1) in told
    assert not [violation for violation in found if violation.table in ("cash_flows", "scenarios")]


def test_a_reporting_date_before_every_default_is_told_once_and_plainly():
    found = violations_of(small_book(), reporting_date=pd.Timestamp("2022-02-28"))
    episodes = [violation for violation in found if violation.table == "episodes"]
    assert "the reporting date 2022-02-28 lies before every default, the first is 2022-03-31" in only(episodes).rule


def test_an_origination_after_the_default_is_told():
    found = violations_of(changed("facilities", "origination_date", 0, pd.Timestamp("2024-02-01")))
    rules = [violation.rule for violation in found]
    assert rules == [
        "origination_date must not lie after the first month of status of the facility",
        "origination_date must not lie after the first default of the facility",
    ]


def test_a_cash_flow_before_the_first_default_of_its_facility_is_told():
    found = only(violations_of(changed("cash_flows", "cash_flow_date", 2, pd.Timestamp("2022-03-30"))))
    assert "must not lie before the first default_date" in found.rule
    assert found.first_keys == ("facility_id=F2, cash_flow_date=2022-03-30",)


def test_an_episode_that_begins_before_the_earlier_one_ended_overlaps():
    # the first episode of F2 ends 2022-09-30; the second may begin on that day, but not the day before
    assert violations_of(changed("episodes", "default_date", 2, pd.Timestamp("2022-09-30"))) == []
    found = only(violations_of(changed("episodes", "default_date", 2, pd.Timestamp("2022-09-29"))))
    assert "must not begin before the earlier one" in found.rule
    assert found.first_keys == ("facility_id=F2, default_date=2022-09-29",)


def test_an_episode_after_an_open_one_overlaps():
    tables = small_book()
    tables["episodes"].loc[1, ["outcome", "outcome_date"]] = ["open", pd.NaT]
    found = only(violations_of(tables))
    assert found.first_keys == ("facility_id=F2, default_date=2023-06-30",)


@pytest.mark.parametrize("table", ["facilities", "status", "episodes", "collateral", "scenarios"])
def test_a_repeated_row_is_a_duplicate_key(table):
    tables = small_book()
    tables[table] = pd.concat([tables[table], tables[table].head(1)], ignore_index=True)
    found = [violation for violation in violations_of(tables) if "may stand once" in violation.rule]
    assert only(found).n_rows == 2  # both rows of the pair are shown


def test_a_repeated_cash_flow_is_allowed_because_two_payments_may_fall_on_one_day():
    assert small_book()["cash_flows"].duplicated().any()
    assert violations_of(small_book()) == []


def test_a_gap_in_the_months_of_a_facility_is_told_with_the_month_after_it():
    tables = small_book()
    tables["status"] = tables["status"].drop(index=1).reset_index(drop=True)
    found = only(violations_of(tables))
    assert "must have no gap" in found.rule
    assert found.first_keys == ("facility_id=F1, month_end=2024-03-31",)


def test_a_month_after_a_closing_status_is_told_whatever_the_order_of_rows():
    tables = changed("status", "status", 0, "written_off")
    tables["status"] = tables["status"].iloc[::-1]
    found = only(violations_of(tables))
    assert found.rule == "no month may follow a status that closes the account"
    assert found.first_keys == ("facility_id=F1, month_end=2024-02-29",)


def test_the_weights_of_the_scenarios_must_be_constant_and_add_up_to_one():
    moving = only(violations_of(changed("scenarios", "weight", 1, 0.6)))
    assert "the same in every month" in moving.rule
    tables = small_book()
    tables["scenarios"]["weight"] = [0.7, 0.7, 0.4, 0.4]
    assert "must add up to 1, found 0.4 + 0.7 = 1.1" in only(violations_of(tables)).rule


def test_all_scenarios_must_cover_the_same_months():
    tables = small_book()
    tables["scenarios"] = tables["scenarios"].drop(index=3)
    found = only(violations_of(tables))
    assert "adverse 2024-06 to 2024-06 in 1 months, base 2024-06 to 2024-07 in 2 months" in found.rule


def test_an_empty_table_is_told():
    tables = small_book()
    tables["collateral"] = tables["collateral"].head(0)
    assert only(violations_of(tables)).rule == "the table is empty; at least one row is needed"


def test_a_missing_table_is_told_and_an_unknown_one_names_the_nearest():
    tables = small_book()
    tables["cashflows"] = tables.pop("cash_flows")
    found = [str(violation) for violation in violations_of(tables)]
    assert "cash_flows: the table is missing" in found
    assert "cashflows: the table is unknown; nearest valid name: cash_flows" in found


def test_neither_status_nor_episodes_is_told():
    tables = small_book()
    del tables["status"], tables["episodes"]
    assert "or episodes where the bank holds them" in only(violations_of(tables)).rule


def test_a_missing_column_is_told_and_rules_that_read_it_are_passed_over():
    tables = small_book()
    tables["episodes"] = tables["episodes"].drop(columns="outcome_date")
    assert "column outcome_date is missing" in only(violations_of(tables)).rule


def test_a_declared_segment_column_that_is_not_there_is_told():
    tables = small_book()
    tables["facilities"] = tables["facilities"].drop(columns="channel")
    assert "column channel is missing" in only(violations_of(tables)).rule


def test_an_unknown_column_names_the_nearest_valid_one():
    tables = small_book()
    tables["cash_flows"]["amont"] = 1.0
    assert "column 'amont' is unknown; nearest valid name: amount" in only(violations_of(tables)).rule


@pytest.mark.parametrize(
    ("table", "column", "values", "words"),
    [
        ("facilities", "eir", ["5 %", "19 %", "0"], "eir must be a number, found object, for example 5 %"),
        ("facilities", "facility_id", [1, 2, 3], "facility_id must be text, found int64, for example 1"),
        ("episodes", "default_date", ["2024-01-31", "2022-03-31", "2023-06-30"], "default_date must be a date"),
        ("status", "forborne", [0, 0, 0, 0], "forborne must be true or false"),
        ("status", "days_past_due", [91.5, 1.0, 0.0, 0.0], "days_past_due must be a whole number"),
    ],
)
def test_a_wrong_type_is_told_once_with_an_example(table, column, values, words):
    tables = small_book()
    tables[table][column] = values
    found = [violation for violation in violations_of(tables) if violation.table == table]
    assert words in only(found).rule


def test_a_column_that_stands_twice_is_told():
    tables = small_book()
    tables["collateral"] = pd.concat([tables["collateral"], tables["collateral"][["collateral_id"]]], axis=1)
    assert "found twice: collateral_id" in only(violations_of(tables)).rule


def test_an_outcome_cannot_be_declared_as_a_segment_or_driver():
    tables = small_book()
    tables["facilities"]["settlement_status"] = "none"
    found = only(violations_of(tables, segment_columns=["channel", "settlement_status"]))
    assert "class C, settlement, by its name" in found.rule


def test_macro_columns_need_scenarios():
    tables = small_book()
    del tables["scenarios"]
    assert "macro columns are declared" in only(violations_of(tables)).rule


def test_all_violations_come_in_one_error_with_the_first_five_keys():
    tables = small_book()
    many = pd.concat([tables["cash_flows"].head(1)] * 7, ignore_index=True).assign(
        facility_id=[f"X{n}" for n in range(7)]
    )
    tables["cash_flows"] = many
    tables["episodes"]["ead"] = [0.0, -1.0, 5.0]
    with pytest.raises(ContractError) as error:
        contracts.check_tables(tables, reporting_date=REPORTING_DATE, **DECLARED)
    orphans, exposure = sorted(error.value.violations, key=lambda violation: violation.table)
    assert orphans.n_rows == 7
    assert len(orphans.first_keys) == 5
    assert "found -1 to 0" in exposure.rule
    assert "2 rules of the data contract broken" in str(error.value)


def test_a_key_that_looks_like_a_person_is_never_shown():
    # 416-555-0123 has the shape of a phone number
    found = only(violations_of(changed("cash_flows", "facility_id", 0, "416-555-0123")))
    assert "416" not in str(found)
    assert "row 1" in found.first_keys[0]


CELLS = [(table, column) for table, frame in small_book().items() for column in frame.columns]


@pytest.mark.parametrize("nonsense", [None, "?", -1e12], ids=str)
@pytest.mark.parametrize(("table", "column"), CELLS)
def test_no_value_whatever_makes_the_check_itself_fail(table, column, nonsense):
    tables = small_book()
    values = tables[table][column].tolist()
    for everywhere in ([nonsense, *values[1:]], [nonsense] * len(values)):
        tables[table][column] = pd.Series(everywhere, dtype=object).infer_objects()
        assert isinstance(violations_of(tables), list)


def test_the_input_is_not_changed_and_its_index_does_not_matter():
    tables, untouched = small_book(), small_book()
    for name in tables:
        tables[name].index = tables[name].index + 10
        untouched[name].index = untouched[name].index + 10
    assert violations_of(tables) == []
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, untouched[name])


class TestFreeze:
    """The clock set back to 2024-02-29, when F1 was still in default."""

    frozen, exclusions = contracts.freeze(small_book(), pd.Timestamp("2024-02-29"))

    def test_a_later_outcome_becomes_open(self):
        first = self.frozen["episodes"].iloc[0]
        assert first["outcome"] == "open"
        assert pd.isna(first["outcome_date"])

    def test_later_rows_are_cut_and_counted(self):
        # status loses March of F1 and June of F3, collateral its only valuation; the EAD of the opened episode is 100
        told = {
            (row.table, row.reason.split(" after")[0]): (row.n_rows, row.amount) for row in self.exclusions.itertuples()
        }
        assert told == {
            ("status", "month_end"): (2, 0.0),
            ("collateral", "valuation_date"): (1, 200_000.0),
            ("episodes", "outcome"): (1, 100.0),
        }

    def test_scenarios_stay(self):
        assert len(self.frozen["scenarios"]) == 4

    def test_a_later_balance_is_emptied_because_it_is_not_known_yet(self):
        tables = small_book()
        tables["episodes"]["outstanding"] = [0.0, 0.0, 65.0]
        frozen, _ = contracts.freeze(tables, pd.Timestamp("2024-02-29"))
        assert frozen["episodes"]["outstanding"].isna().all()
        kept, exclusions = contracts.freeze(tables, REPORTING_DATE)
        assert kept["episodes"]["outstanding"].tolist() == [0.0, 0.0, 65.0]
        assert exclusions.empty

    def test_what_optional_tables_say_of_a_facility_that_was_cut_goes_with_it(self):
        # F3 was lent in 2022; as of 2021-12-31 its collateral had been valued already, and nothing else is left.
        tables = small_book()
        tables["collateral"] = tables["collateral"].assign(facility_id="F3", valuation_date=pd.Timestamp("2021-12-01"))
        arrears = {"facility_id": ["F3"], "outcome_date": dates("2023-05-31"), "arrears_amount": [7.0]}
        tables["cure_arrears"] = pd.DataFrame(arrears)
        frozen, exclusions = contracts.freeze(tables, pd.Timestamp("2021-12-31"))
        assert {"collateral", "cure_arrears"}.isdisjoint(frozen)
        unborn = exclusions[exclusions["reason"] == "facility originated after the reporting date"]
        assert unborn[["table", "n_rows", "amount"]].to_numpy().tolist() == [
            ["collateral", 1, 200_000.0],
            ["cure_arrears", 1, 7.0],
        ]

    def test_the_input_is_not_changed(self):
        tables = small_book()
        contracts.freeze(tables, pd.Timestamp("2023-01-31"))
        for name, table in small_book().items():
            pd.testing.assert_frame_equal(tables[name], table)
