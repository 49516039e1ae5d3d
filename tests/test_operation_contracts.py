"""The tables of the recovery unit: every rule broken once, strict times, refused columns, the clock set back."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from recoverykit.data import contracts
from recoverykit.data.mapping import read_spec
from recoverykit.data.sources import load_checked
from recoverykit.errors import ContractError, RefusedColumnError
from recoverykit.portfolio.book import read_book
from recoverykit.portfolio.opening import open_book
from recoverykit.portfolio.workout import prepare_book

REPORTING_DATE = pd.Timestamp("2024-06-30")
LOANS = {
    "facilities": "facility_id,obligor_id,product,region,collateral_kind,collateral_value_amount,eir,origination_date\n"
    "F1,B1,loan,west,none,,0.05,2020-01-31\nF2,B2,loan,east,none,,0.05,2020-01-31\nF3,B3,loan,east,none,,0.05,"
    "2024-05-31\n",
    "episodes": "facility_id,default_date,ead,outcome,outcome_date,outstanding\n"
    "F1,2023-11-30,100.00,open,,90.00\nF2,2023-12-31,200.00,open,,150.00\n",
    "cash_flows": "facility_id,cash_flow_date,amount,kind\nF1,2024-02-10,10.00,repayment\n",
}
UNIT = {
    # F1 paid its April in two parts and still owes 20 of it; nothing is due after the reporting date but July
    "instalments": "facility_id,due_date,due_amount,paid_date,paid_amount\n"
    "F1,2024-03-31,50.00,2024-03-29,50.00\nF1,2024-04-30,50.00,2024-05-20,30.00\nF1,2024-07-31,50.00,,0\n"
    "F3,2024-06-30,40.00,,0\n",
    "assignments": "experiment,facility_id,assigned_date,arm,assignment,score\n"
    "reminders,F1,2024-03-01,control,random,\nreminders,F2,2024-03-01,reminder,random,\n"
    "cut_off,F1,2024-05-15,intensive,rule,612.5\n",
    "actions": "action_id,facility_id,action_time,kind,result,unit,agent_hash,message_variant,assignment,cost_amount\n"
    "A1,F1,2024-03-02 08:00,sms,delivered,north,,plain,random,0.05\n"
    "A2,F1,2024-06-30T23:59:59,call,promise,north,ag07,,discretion,2.50\n"
    "A3,F2,2024-04-01 20:59:30.25,call,no_answer,south,ag11,,rule,\n",
    "promises": "facility_id,promise_date,due_date,promised_amount,paid_amount,paid_date,unit,agent_hash,"
    "predicted_prob\n"
    "F1,2024-05-10,2024-05-24,30.00,30.00,2024-05-20,north,ag07,0.8\n"
    "F2,2024-06-20,2024-07-04,90.00,0,,south,,\n",
    "court": "case_id,facility_id,court,unit,filing_date,hearing_date,judgment_date,settlement_date,withdrawal_date,"
    "enforcement_date,judgment,package_complete,claim_amount,recovered_amount,cost_amount\n"
    "K1,F1,district,north,2024-01-10,2024-03-05,2024-04-02,,,2024-06-01,partly_won,yes,90.00,40.00,12.00\n"
    "K2,F2,district,south,2024-02-10,,,2024-05-15,,,,no,200.00,0,3.00\n",
    "turnover": "facility_id,month_end,inflow_amount\nF1,2024-04-30,1200.00\nF1,2024-05-31,0\n",
}


def spec_in(folder, *, after="refuse", date="2024-06-30", settings=None, **texts):
    """Write the files and their spec; ``texts`` replaces files, ``settings`` adds to the entries of a table."""
    files = LOANS | UNIT | texts
    tables = {name: {"source": {"csv": f"{name}.csv"}} for name in files}
    for name, more in (settings or {}).items():
        tables[name] |= more
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    spec = {"version": 1, "name": "unit", "currency": "USD", "reporting_date": date, "after_reporting_date": after}
    (folder / "spec.yml").write_text(yaml.safe_dump(spec | {"hash_key_env": "KEY", "tables": tables}))
    return folder / "spec.yml"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unit")
    return load_checked(read_spec(spec_in(folder))).tables


def violations_of(tables):
    return contracts.find_violations(tables, reporting_date=REPORTING_DATE)


def changed(tables, table, column, row, value):
    frame = tables[table].copy()
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return tables | {table: frame.astype({column: tables[table][column].dtype})}


def test_tables_that_keep_every_rule_have_no_violation_and_their_types(tables):
    assert [str(v) for v in violations_of(tables)] == []
    assert tables["actions"]["action_time"].tolist()[1:] == [
        pd.Timestamp("2024-06-30 23:59:59"),
        pd.Timestamp("2024-04-01 20:59:30.25"),
    ]
    assert tables["court"]["package_complete"].tolist() == [True, False]
    assert tables["court"]["judgment"].tolist() == ["partly_won", None]
    assert tables["promises"]["predicted_prob"].isna().tolist() == [False, True]


def test_none_of_the_tables_is_needed(tables):
    loans = {name: frame for name, frame in tables.items() if name not in contracts.OPERATION_TABLES}
    assert violations_of(loans) == []


@pytest.mark.parametrize(
    ("table", "column", "row", "value", "words"),
    [
        ("instalments", "due_amount", 2, 0.0, "due_amount must be an amount above zero"),
        ("instalments", "paid_amount", 0, 50.01, "paid_amount must not exceed due_amount"),
        ("instalments", "paid_amount", 2, 1.0, "paid_date must be given where paid_amount is above zero"),
        ("instalments", "paid_date", 2, pd.Timestamp("2024-06-01"), "paid_date must be empty where"),
        ("assignments", "assignment", 0, "chance", "one of random, rule, discretion"),
        ("assignments", "score", 2, np.inf, "score must be a finite number"),
        ("actions", "kind", 0, "fax", "kind must be one of sms, call, letter"),
        ("actions", "result", 0, "maybe", "result must be one of right_party"),
        ("actions", "action_time", 0, pd.NaT, "action_time must not be missing"),
        ("actions", "cost_amount", 0, -1.0, "cost_amount must be an amount of zero or more"),
        ("actions", "agent_hash", 1, "Jane Doe", "agent_hash must be a code with a digit"),
        ("actions", "agent_hash", 1, "JaneDoe", "agent_hash must be a code with a digit"),
        ("actions", "agent_hash", 1, "王小明1", "agent_hash must be a code with a digit"),
        ("promises", "agent_hash", 0, "jane", "agent_hash must be a code with a digit"),
        ("promises", "due_date", 0, pd.Timestamp("2024-05-09"), "due_date must not lie before promise_date"),
        ("promises", "paid_date", 0, pd.Timestamp("2024-05-09"), "paid_date must not lie before promise_date"),
        ("promises", "paid_amount", 1, 5.0, "paid_date must be given where paid_amount is above zero"),
        ("promises", "predicted_prob", 0, 80.0, "predicted_prob must be a share from 0 to 1"),
        ("court", "hearing_date", 0, pd.Timestamp("2024-01-09"), "hearing_date must not lie before filing_date"),
        ("court", "settlement_date", 1, pd.Timestamp("2024-02-09"), "settlement_date must not lie before filing_date"),
        ("court", "enforcement_date", 0, pd.Timestamp("2024-04-01"), "must not lie before judgment_date"),
        ("court", "judgment_date", 0, pd.Timestamp("2024-03-01"), "judgment_date must not lie before hearing_date"),
        ("court", "judgment", 0, None, "judgment must be given where there is a judgment_date"),
        ("court", "judgment", 1, "won", "judgment_date must be given where there is a judgment"),
        ("turnover", "month_end", 0, pd.Timestamp("2024-04-29"), "month_end must be the last day of its month"),
        ("turnover", "inflow_amount", 0, -0.01, "inflow_amount must be an amount of zero or more"),
    ],
)  # fmt: skip
def test_one_wrong_value_is_one_violation_with_its_key(tables, table, column, row, value, words):
    found = violations_of(changed(tables, table, column, row, value))
    assert len(found) == 1, [str(v) for v in found]
    assert found[0].table == table
    assert words in found[0].rule
    key = contracts.TABLES[table].key[0]
    assert found[0].first_keys[0].startswith(f"{key}=")


@pytest.mark.parametrize("table", sorted(contracts.OPERATION_TABLES))
def test_a_row_of_an_unknown_facility_is_an_orphan(tables, table):
    found = violations_of(changed(tables, table, "facility_id", 0, "F9"))
    assert [v.rule for v in found] == ["facility_id must stand in facilities"]


@pytest.mark.parametrize("table", sorted(contracts.OPERATION_TABLES))
def test_a_repeated_row_is_a_duplicate_key(tables, table):
    twice = pd.concat([tables[table], tables[table].head(1)], ignore_index=True)
    found = violations_of(tables | {table: twice})
    assert [(v.table, v.n_rows) for v in found] == [(table, 2)]
    assert "may stand once" in found[0].rule


@pytest.mark.parametrize(
    ("table", "column", "row"),
    [
        ("instalments", "paid_date", 1),
        ("assignments", "assigned_date", 0),
        ("actions", "action_time", 1),
        ("promises", "paid_date", 0),
        ("court", "enforcement_date", 0),
        ("court", "settlement_date", 1),
    ],
)
def test_nothing_that_happened_may_be_dated_after_the_reporting_date(tables, table, column, row):
    found = violations_of(changed(tables, table, column, row, pd.Timestamp("2024-07-01")))
    assert [v.rule.partition(" the last")[0] for v in found] == [
        f"{column} must not lie after the reporting date 2024-06-30,"
    ]


def test_what_falls_due_later_and_the_last_second_of_the_reporting_date_are_allowed(tables):
    assert tables["instalments"]["due_date"].max() > REPORTING_DATE
    assert tables["promises"]["due_date"].max() > REPORTING_DATE
    assert tables["actions"]["action_time"].max() == pd.Timestamp("2024-06-30 23:59:59")
    assert violations_of(tables) == []


class TestStrictTimes:
    @pytest.mark.parametrize(
        "time",
        ["2024-03-02", "8:00", "2024-03-02 8:00", "02/03/2024 08:00", "2024-03-02 08:00+01:00", "2024-03-02T25:00"],
    )
    def test_a_moment_needs_its_day_and_its_time_and_no_zone(self, tmp_path, time):
        spec = spec_in(tmp_path, actions=UNIT["actions"].replace("2024-03-02 08:00", time))
        with pytest.raises(ContractError, match="action_time must be an ISO date with its time of day"):
            load_checked(read_spec(spec))

    def test_a_declared_format_is_read(self, tmp_path):
        text = (
            UNIT["actions"]
            .replace("2024-03-02 08:00", "02.03.2024 08:00")
            .replace("2024-06-30T23:59:59", "30.06.2024 23:59")
        )
        text = text.replace("2024-04-01 20:59:30.25", "01.04.2024 20:59")
        spec = spec_in(
            tmp_path, actions=text, settings={"actions": {"date_formats": {"action_time": "%d.%m.%Y %H:%M"}}}
        )
        assert load_checked(read_spec(spec)).tables["actions"]["action_time"].iloc[0] == pd.Timestamp(
            "2024-03-02 08:00"
        )

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            (
                pd.to_datetime(["2024-03-02 08:00"] * 3).tz_localize("UTC"),
                "convert it to the local time of each debtor",
            ),
            (pd.to_datetime(["2024-03-02"] * 3).date, "the source holds date32"),
        ],
    )
    def test_a_typed_column_with_a_zone_or_without_a_time_is_told(self, tmp_path, tables, values, words):
        tables["actions"].assign(action_time=values).to_parquet(tmp_path / "actions.parquet")
        spec = spec_in(tmp_path, settings={"actions": {"source": {"parquet": "actions.parquet"}}})
        with pytest.raises(ContractError, match=words):
            load_checked(read_spec(spec))


class TestRefusedColumns:
    """Refused are the columns of every table, whatever the spec says of them."""

    def widened(self, table, **columns):
        lines = UNIT[table].splitlines()
        wide = [",".join([lines[0], *columns])]
        wide += [",".join([line, *columns.values()]) for line in lines[1:]]
        return "\n".join(wide) + "\n"

    @pytest.mark.parametrize(
        ("column", "rule"),
        [
            ("voice_stress", "class A, biometrics, emotion or deception scores"),
            ("relative_phone", "class A, relatives and third parties"),
            ("gps_lat", "class A, vacation, travel, geolocation"),
            ("children_school", "class A, children, their schools and classes"),
            ("pressure_level", "class A, shaming or pressure"),
            ("sms_text", "class A, private messages"),
            ("debtor_gender", "class B, sex"),
            ("language", "class B, language"),
            ("dialled_phone_number", "class D, phone"),
            ("agent_name", "class D, name of a person"),
            ("collectorName", "class D, name of a person"),
            ("催收员", "class D, name of a person"),
        ],
    )
    @pytest.mark.parametrize("table", ["actions", "promises"])
    def test_a_refused_column_stops_the_load_with_its_rule_even_when_ignored(self, tmp_path, table, column, rule):
        text = self.widened(table, **{column: "x"})
        spec = spec_in(tmp_path, **{table: text}, settings={table: {"ignore": [column]}})
        with pytest.raises(RefusedColumnError, match=rule) as error:
            load_checked(read_spec(spec))
        assert f"{table}: column {column!r}" in str(error.value)
        assert "nothing was loaded" in str(error.value)

    def test_refused_columns_of_several_tables_come_at_once(self, tmp_path):
        texts = {
            "actions": self.widened("actions", gps_lat="1", voice_stress="2"),
            "court": self.widened("court", race="x"),
        }
        with pytest.raises(RefusedColumnError, match="3 columns refused"):
            load_checked(read_spec(spec_in(tmp_path, **texts)))

    def test_a_phone_number_in_a_text_column_is_refused_by_its_content_and_not_shown(self, tmp_path):
        text = UNIT["actions"].replace(",plain,", ",(416) 555-0100,")
        with pytest.raises(
            RefusedColumnError, match=r"column 'message_variant' .*phone number in 1 distinct value"
        ) as error:
            load_checked(read_spec(spec_in(tmp_path, actions=text)))
        assert "555" not in str(error.value)

    def test_a_name_of_an_agent_comes_in_as_its_keyed_hash_only(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KEY", "of the bank")
        text = UNIT["actions"].replace("agent_hash", "agent_name").replace("ag07", "Jane Doe")
        settings = {"actions": {"columns": {"agent_hash": "agent_name"}, "hashed": ["agent_name"]}}
        agents = load_checked(read_spec(spec_in(tmp_path, actions=text, settings=settings))).tables["actions"][
            "agent_hash"
        ]
        assert agents.dropna().str.fullmatch(r"[0-9a-f]{64}").all()
        assert agents.isna().tolist() == [True, False, False]


@pytest.fixture(scope="module")
def frozen(tables):
    return contracts.freeze(tables, pd.Timestamp("2024-04-15"))


class TestTheClockSetBack:
    """As of 2024-04-15: what was known then, by hand."""

    def test_rows_of_later_days_are_cut(self, frozen):
        tables, _ = frozen
        assert tables["assignments"]["experiment"].tolist() == ["reminders", "reminders"]
        assert tables["actions"]["action_id"].tolist() == ["A1", "A3"]
        assert tables["court"]["case_id"].tolist() == ["K1", "K2"]

    def test_what_became_known_later_is_emptied(self, frozen):
        tables, _ = frozen
        # the April instalment was paid on 20 May; F3 and its instalment did not exist yet
        assert tables["instalments"]["paid_amount"].tolist() == [50.0, 0.0, 0.0]
        assert tables["instalments"]["paid_date"].isna().tolist() == [False, True, True]
        court = tables["court"].set_index("case_id")
        assert court.loc["K1", "judgment"] == "partly_won"
        assert pd.isna(court.loc["K1", "enforcement_date"])
        assert pd.isna(court.loc["K2", "settlement_date"])
        assert court[["recovered_amount", "cost_amount"]].isna().all(axis=None)

    def test_a_judgment_goes_with_its_date(self, tables):
        frozen, _ = contracts.freeze(tables, pd.Timestamp("2024-03-31"))
        assert frozen["court"]["judgment"].isna().all()
        assert frozen["court"]["judgment_date"].isna().all()

    def test_everything_left_out_is_counted_with_its_reason_and_money(self, frozen):
        _, exclusions = frozen
        told = {(row.table, row.reason): (row.n_rows, row.amount) for row in exclusions.itertuples()}
        date = "2024-04-15"
        assert told["actions", f"action_time after the reporting date {date}"] == (1, 0.0)
        assert told["promises", f"promise_date after the reporting date {date}"] == (2, 120.0)
        assert told["turnover", f"month_end after the reporting date {date}"] == (2, 0.0)
        assert told["instalments", f"paid_date after the reporting date {date}, taken as not paid yet"] == (1, 50.0)
        assert told["instalments", "facility originated after the reporting date"] == (1, 40.0)
        assert told["court", f"settlement_date after the reporting date {date}, emptied"] == (1, 0.0)

    def test_a_table_of_which_nothing_is_left_is_left_out_and_the_rest_keeps_the_contract(self, frozen):
        tables, _ = frozen
        assert {"promises", "turnover"}.isdisjoint(tables)
        assert contracts.find_violations(tables, reporting_date=pd.Timestamp("2024-04-15")) == []

    def test_at_the_reporting_date_nothing_changes(self, tables):
        frozen, exclusions = contracts.freeze(tables, REPORTING_DATE)
        assert exclusions.empty
        for name, frame in tables.items():
            pd.testing.assert_frame_equal(frozen[name], frame)

    def test_the_input_is_not_changed(self, tables):
        before = {name: frame.copy() for name, frame in tables.items()}
        contracts.freeze(tables, pd.Timestamp("2024-04-15"))
        for name, frame in before.items():
            pd.testing.assert_frame_equal(tables[name], frame)


class TestTheBook:
    def test_a_book_opens_with_the_tables_that_the_bank_gave_and_keeps_them_when_prepared(self, tmp_path):
        book = open_book(spec_in(tmp_path))
        assert list(book.operations) == ["instalments", "assignments", "actions", "promises", "court", "turnover"]
        read = read_book(book.write(tmp_path / "prepared"))
        assert list(read.operations) == list(book.operations)
        for name, frame in book.operations.items():
            pd.testing.assert_frame_equal(read.operations[name], frame)

    def test_a_book_prepared_again_without_a_table_keeps_nothing_of_it(self, tmp_path):
        book = open_book(spec_in(tmp_path))
        prepare_book(book, tmp_path / "prepared")
        prepare_book(replace(book, operations={"court": book.operations["court"]}), tmp_path / "prepared")
        assert list(read_book(tmp_path / "prepared").operations) == ["court"]
        assert [path.name for path in (tmp_path / "prepared" / "operations").iterdir()] == ["court.parquet"]

    def test_a_segment_holds_the_work_on_its_own_facilities(self, tmp_path):
        book = open_book(spec_in(tmp_path)).restricted("loan | east")
        assert {n: frame["facility_id"].unique().tolist() for n, frame in book.operations.items()} == {
            "instalments": ["F3"],
            "assignments": ["F2"],
            "actions": ["F2"],
            "promises": ["F2"],
            "court": ["F2"],
            "turnover": [],
        }

    def test_a_bank_without_a_log_has_an_empty_mapping(self, small_book):
        assert small_book([{"default_date": "2024-01-31"}]).operations == {}

    def test_the_inventory_names_days_and_not_moments(self, tmp_path):
        inventory = open_book(spec_in(tmp_path)).inventory.set_index("table")
        assert inventory.loc["actions", "last_date"] == pd.Timestamp("2024-06-30")
        assert inventory.loc["actions", "n_rows"] == 3


class TestTheRegisterOfSourceColumns:
    def test_every_column_is_told_with_what_became_of_it(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KEY", "of the bank")
        lines = UNIT["actions"].replace("agent_hash", "agent_name").replace("ag07", "Jane Doe").splitlines()
        text = "\n".join([f"{lines[0]},queue", *(f"{line},7" for line in lines[1:])]) + "\n"
        settings = {"columns": {"agent_hash": "agent_name"}, "hashed": ["agent_name"], "ignore": ["queue"]}
        spec = spec_in(tmp_path, actions=text, settings={"actions": settings})
        columns = open_book(spec).source_columns
        rows = columns[columns["table"] == "actions"].set_index("column")
        assert rows.loc["agent_name"].tolist() == ["actions", "hashed", "D", "name of a person"]
        assert rows.loc["queue", "treatment"] == "not taken in"
        assert (rows["treatment"] == "taken in").sum() == 9  # ten columns of the contract, one of them hashed
        assert set(columns["table"]) == {"facilities", "episodes", "cash_flows", *UNIT}
