"""From a bank's files and tables to contract frames: strict reading, refusals, and one report of what is wrong."""

import hashlib
import hmac

import duckdb
import keyring
import numpy as np
import pandas as pd
import pytest
import yaml

from recoverykit.data.mapping import read_spec
from recoverykit.data.sources import load_checked, load_tables
from recoverykit.errors import ContractError, RefusedColumnError, SpecError

FACILITIES = """\
LOAN_NO,OBLIGOR,product,region,KIND,VALUE,RATE,BEGAN
F1,B1,mortgage,west,HOUSE,200000.00,5.25,15/01/2020
F2,B1,card,west,NONE,,19.9,01/05/2021
F3,B2,card,south,NONE,,0,02/01/2022
"""
EPISODES = """\
facility_id,default_date,ead,outcome,outcome_date
F1,2024-01-31,100.00,R,2024-03-31
F2,2022-03-31,60.00,C,2022-09-30
F2,2023-06-30,70.00,O,
"""
CASH_FLOWS = """\
facility_id,cash_flow_date,amount,kind
F1,2024-02-10,40.00,repayment
F1,2024-02-10,40.00,repayment
F2,2023-12-01,5.00,direct_cost
"""
FILES = {"facilities.csv": FACILITIES, "episodes.csv": EPISODES, "cash_flows.csv": CASH_FLOWS}


def plain_spec():
    """The spec of the three files, as a dictionary that a test may change."""
    return {
        "version": 1,
        "name": "a bank",
        "currency": "USD",
        "reporting_date": "2024-06-30",
        "tables": {
            "facilities": {
                "source": {"csv": "facilities.csv"},
                "columns": {
                    "facility_id": "LOAN_NO",
                    "obligor_id": "OBLIGOR",
                    "collateral_kind": "KIND",
                    "collateral_value_amount": "VALUE",
                    "eir": "RATE",
                    "origination_date": "BEGAN",
                },
                "values": {"collateral_kind": {"HOUSE": "residential_property", "NONE": "none"}},
                "date_formats": {"origination_date": "%d/%m/%Y"},
                "percent": ["eir"],
            },
            "episodes": {
                "source": {"csv": "episodes.csv"},
                "values": {"outcome": {"R": "repaid", "C": "cured", "O": "open"}},
            },
            "cash_flows": {"source": {"csv": "cash_flows.csv"}},
        },
    }


def spec_in(folder, spec=None, **files):
    """Write a spec and its files (name without ending: text) and read the spec."""
    for name, text in (FILES | {f"{name}.csv": text for name, text in files.items()}).items():
        if not (folder / name).exists():
            (folder / name).write_text(text, encoding="utf-8")
    path = folder / "spec.yml"
    path.write_text(yaml.safe_dump(spec or plain_spec(), allow_unicode=True), encoding="utf-8")
    return read_spec(path)


def violations_of(spec):
    with pytest.raises(ContractError) as error:
        load_checked(spec)
    return error.value.violations


def only(violations):
    """Return the one violation that there must be."""
    assert len(violations) == 1, [str(violation) for violation in violations]
    return violations[0]


class TestAWellKeptBank:
    @pytest.fixture
    def loaded(self, tmp_path):
        return load_checked(spec_in(tmp_path))

    def test_names_values_dates_and_percent_become_those_of_the_contract(self, loaded):
        expected = pd.DataFrame(
            {
                "facility_id": ["F1", "F2", "F3"],
                "obligor_id": ["B1", "B1", "B2"],
                "product": ["mortgage", "card", "card"],
                "region": ["west", "west", "south"],
                "collateral_kind": ["residential_property", "none", "none"],
                "collateral_value_amount": [200_000.0, np.nan, np.nan],
                "eir": [5.25 / 100, 19.9 / 100, 0.0],
                "origination_date": pd.to_datetime(["2020-01-15", "2021-05-01", "2022-01-02"]),
            }
        )
        pd.testing.assert_frame_equal(loaded.tables["facilities"], expected)

    def test_an_empty_date_is_missing(self, loaded):
        assert loaded.tables["episodes"]["outcome_date"].isna().tolist() == [False, False, True]

    def test_the_files_are_named_by_their_hash_and_their_path_beside_the_spec(self, loaded):
        assert list(loaded.file_hashes) == ["cash_flows.csv", "episodes.csv", "facilities.csv"]
        assert loaded.file_hashes["episodes.csv"] == hashlib.sha256(EPISODES.encode()).hexdigest()

    def test_what_a_run_must_know_comes_along(self, loaded):
        assert loaded.reporting_date == pd.Timestamp("2024-06-30")
        assert loaded.currency == "USD"
        assert loaded.exclusions.empty


class TestStrictReading:
    @pytest.mark.parametrize(
        ("file", "old", "new", "words"),
        [
            ("episodes", "2024-01-31", "01/02/2026", "default_date must be an ISO date such as 2026-09-30; declare"),
            ("episodes", "2024-01-31", "20240131", "default_date must be an ISO date"),
            ("episodes", "2024-01-31", "2024-02-30", "found 2024-02-30"),
            ("episodes", "2024-01-31", "2024-01-31 13:00:00", "default_date must be an ISO date"),
            ("facilities", "15/01/2020", "2020-01-15", "a date in the declared format %d/%m/%Y; found 2020-01-15"),
            ("facilities", "15/01/2020", "01/15/2020", "a date in the declared format %d/%m/%Y; found 01/15/2020"),
            ("cash_flows", "5.00", '"1,234.50"', "amount must be a number such as 1234.5, without thousands marks"),
            ("cash_flows", "5.00", "5 USD", "found 5 USD"),
            ("cash_flows", "5.00", "NA", "found NA"),
            ("cash_flows", "5.00", "inf", "found inf"),
            ("episodes", "F1,2024-01-31,100.00,R", "F1,2024-01-31,100.00,X", "value map lacks: X; mapped are C, O, R"),
            ("facilities", "HOUSE", "BOAT", "collateral_kind holds values that the value map lacks: BOAT"),
            ("cash_flows", "direct_cost", "DC", "kind must be one of repayment, collateral, guarantee"),
            ("facilities", "19.9", "1990", "an annual share from 0 to below 1 (0.07 for 7 %), found 19.9"),
            ("facilities", "19.9", "", "eir must not be missing"),
            ("episodes", "60.00", "-60.00", "ead must be an amount above zero, found -60"),
        ],
    )
    def test_what_is_not_clearly_meant_is_told_with_its_row(self, tmp_path, file, old, new, words):
        text = FILES[f"{file}.csv"]
        assert text.count(old) == 1
        found = only(violations_of(spec_in(tmp_path, **{file: text.replace(old, new)})))
        assert found.table == file
        assert words in found.rule
        assert found.n_rows == 1
        assert found.first_keys

    def test_a_share_in_percent_must_be_declared(self, tmp_path):
        spec = plain_spec()
        del spec["tables"]["facilities"]["percent"]
        found = only(violations_of(spec_in(tmp_path, spec)))
        assert "eir must be an annual share from 0 to below 1 (0.07 for 7 %), found 5.25 to 19.9" in found.rule

    def test_flags_take_six_words_and_no_other(self, tmp_path):
        spec = plain_spec()
        spec["tables"]["status"] = {"source": {"csv": "status.csv"}}
        head = "facility_id,month_end,days_past_due,balance_amount,forborne,unlikely_to_pay,status\n"
        rows = "F1,2024-01-31,91,100,YES,0,active\nF1,2024-02-29,122,100,true,False,active\n"
        status = load_checked(spec_in(tmp_path, spec, status=head + rows)).tables["status"]
        assert status["forborne"].tolist() == [True, True]
        assert status["unlikely_to_pay"].tolist() == [False, False]
        assert status["days_past_due"].dtype == np.int64
        (tmp_path / "status.csv").write_text(head + rows.replace("YES", "maybe").replace("122", "122.5"))
        told = [violation.rule for violation in violations_of(spec_in(tmp_path, spec))]
        assert told == [
            "days_past_due must be a whole number; found 122.5",
            "forborne must be one of true, yes, 1, false, no, 0; found maybe",
        ]

    def test_a_missing_whole_number_is_told_as_missing(self, tmp_path):
        spec = plain_spec()
        spec["tables"]["status"] = {"source": {"csv": "status.csv"}}
        head = "facility_id,month_end,days_past_due,balance_amount,forborne,unlikely_to_pay,status\n"
        found = only(violations_of(spec_in(tmp_path, spec, status=f"{head}F1,2024-01-31,,100,0,0,active\n")))
        assert (found.rule, found.n_rows) == ("days_past_due must not be missing", 1)

    def test_a_declared_dialect_of_csv_is_read(self, tmp_path):
        spec = plain_spec()
        source = {"csv": "flows.csv", "delimiter": ";", "decimal": ",", "encoding": "gb18030", "null_values": ["无"]}
        spec["tables"]["cash_flows"] = {"source": source, "columns": {"amount": "金额"}, "ignore": ["备注"]}
        text = "facility_id;cash_flow_date;金额;kind;备注\nF1; 2024-02-10 ;1234,50;repayment;无\n"
        (tmp_path / "flows.csv").write_bytes(text.encode("gb18030"))
        flows = load_checked(spec_in(tmp_path, spec)).tables["cash_flows"]
        assert flows["amount"].tolist() == [1234.5]
        assert flows["cash_flow_date"].tolist() == [pd.Timestamp("2024-02-10")]

    def test_a_point_is_no_decimal_mark_where_a_comma_is_declared(self, tmp_path):
        spec = plain_spec()
        spec["tables"]["cash_flows"]["source"]["decimal"] = ","
        assert "1234,5 (decimal mark declared as comma)" in only(violations_of(spec_in(tmp_path, spec))).rule

    def test_several_files_of_a_glob_are_read_in_order_and_must_have_the_same_columns(self, tmp_path):
        spec = plain_spec()
        spec["tables"]["cash_flows"]["source"]["csv"] = "flows_*.csv"
        head, first, second, third = CASH_FLOWS.splitlines()
        (tmp_path / "flows_2.csv").write_text(f"{head}\n{third}\n")
        (tmp_path / "flows_1.csv").write_text(f"{head}\n{first}\n{second}\n")
        loaded = load_checked(spec_in(tmp_path, spec))
        assert loaded.tables["cash_flows"]["facility_id"].tolist() == ["F1", "F1", "F2"]
        assert {"flows_1.csv", "flows_2.csv"} <= set(loaded.file_hashes)
        (tmp_path / "flows_3.csv").write_text("facility_id,amount\nF1,3\n")
        found = only(violations_of(spec_in(tmp_path, spec)))
        assert "not in both: cash_flow_date, kind" in found.rule


class TestBadFiles:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "cash_flows.csv is empty; not even a header line was found"),
            ("facility_id,cash_flow_date,amount,kind\n", "the source holds no rows; at least one is needed"),
            (CASH_FLOWS + "F1,2024-02-11\n", "has 1 lines without 4 values, first line 5"),
            (CASH_FLOWS.replace("kind", "amount"), "columns of the same name: amount"),
        ],
    )
    def test_a_file_without_a_table_is_told_once(self, tmp_path, text, words):
        assert words in only(violations_of(spec_in(tmp_path, cash_flows=text))).rule

    def test_a_missing_file_is_told(self, tmp_path):
        spec = plain_spec()
        spec["tables"]["cash_flows"]["source"]["csv"] = "none_*.csv"
        with pytest.raises(SpecError, match=r"no file matches 'none_\*\.csv'"):
            load_checked(spec_in(tmp_path, spec))

    def test_a_file_in_another_encoding_is_told(self, tmp_path):
        spec = spec_in(tmp_path)
        (tmp_path / "facilities.csv").write_bytes(FACILITIES.replace("west", "wést").encode("latin-1"))
        assert "is no CSV in utf-8" in only(violations_of(spec)).rule

    def test_a_file_that_is_no_parquet_is_told(self, tmp_path):
        spec = plain_spec()
        spec["tables"]["cash_flows"]["source"] = {"parquet": "cash_flows.csv"}
        with pytest.raises(SpecError, match=r"cannot read cash_flows\.csv as Parquet"):
            load_checked(spec_in(tmp_path, spec))

    def test_a_missing_column_names_the_nearest_of_the_source(self, tmp_path):
        found = violations_of(spec_in(tmp_path, facilities=FACILITIES.replace("RATE", "RATES")))
        rules = [violation.rule for violation in found]
        assert "column eir is missing: the source has no column 'RATE', nearest valid name: RATES" in rules
        assert any("the source has columns that the spec does not name: RATES" in rule for rule in rules)
        assert len(rules) == 2

    def test_an_unknown_column_is_told_unless_it_is_ignored(self, tmp_path):
        wide = (
            CASH_FLOWS.replace("kind", "kind,NOTE_1,NOTE_2").replace("ment\n", "ment,x,y\n").replace("cost", "cost,x,y")
        )
        found = only(violations_of(spec_in(tmp_path, cash_flows=wide)))
        assert "does not name: NOTE_1, NOTE_2" in found.rule
        spec = plain_spec()
        spec["tables"]["cash_flows"]["ignore"] = ["NOTE_*"]
        assert "NOTE_1" not in load_checked(spec_in(tmp_path, spec)).tables["cash_flows"]

    def test_two_currencies_are_told(self, tmp_path):
        mixed = CASH_FLOWS.replace("kind\n", "kind,currency\n").replace("repayment\n", "repayment,USD\n")
        mixed = mixed.replace("direct_cost\n", "direct_cost,CAD\n")
        found = only(violations_of(spec_in(tmp_path, cash_flows=mixed)))
        assert "currency must be USD in every row, found CAD, USD" in found.rule
        assert found.n_rows == 1

    def test_a_currency_may_have_a_code_and_a_constant_one_is_checked_as_well(self, tmp_path):
        spec = plain_spec()
        spec["tables"]["cash_flows"]["values"] = {"currency": {"840": "USD"}}
        text = CASH_FLOWS.replace("kind\n", "kind,currency\n").replace("ment\n", "ment,840\n")
        coded = spec_in(tmp_path, spec, cash_flows=text.replace("direct_cost\n", "direct_cost, 840\n"))
        assert len(load_checked(coded).tables["cash_flows"]) == 3
        spec = plain_spec()
        spec["tables"]["episodes"]["constants"] = {"currency": "CAD"}
        spec["tables"]["cash_flows"]["ignore"] = ["currency"]
        found = violations_of(spec_in(tmp_path, spec))
        assert found[0].table == "episodes"
        assert "currency must be USD in every row, found CAD" in found[0].rule
        assert found[0].n_rows == 3

    def test_one_currency_that_is_the_declared_one_is_let_in_and_left_out(self, tmp_path):
        text = (
            CASH_FLOWS.replace("kind\n", "kind,currency\n")
            .replace("ment\n", "ment,USD\n")
            .replace("cost\n", "cost,USD\n")
        )
        assert "currency" not in load_checked(spec_in(tmp_path, cash_flows=text)).tables["cash_flows"]

    def test_reading_and_contract_are_told_in_one_report(self, tmp_path):
        flows = CASH_FLOWS.replace("5.00", "five").replace("F1,2024-02-10,40.00", "F9,2024-02-10,40.00")
        episodes = EPISODES.replace("60.00", "0")
        found = violations_of(spec_in(tmp_path, cash_flows=flows, episodes=episodes))
        assert [(violation.table, violation.n_rows) for violation in found] == [
            ("cash_flows", 1),  # five is no number
            ("episodes", 1),  # an exposure of zero
            ("cash_flows", 2),  # two flows of an unknown facility
        ]

    def test_load_tables_tells_what_cannot_be_read_but_not_the_contract(self, tmp_path):
        spec = spec_in(tmp_path, episodes=EPISODES.replace("60.00", "0"))
        assert load_tables(spec).tables["episodes"]["ead"].tolist() == [100.0, 0.0, 70.0]
        (tmp_path / "episodes.csv").write_text(EPISODES.replace("60.00", "sixty"))
        with pytest.raises(ContractError, match="found sixty"):
            load_tables(spec)


class TestReportingDate:
    def test_the_argument_goes_before_the_spec(self, tmp_path):
        spec = spec_in(tmp_path)
        assert load_checked(spec, reporting_date="2024-07-31").reporting_date == pd.Timestamp("2024-07-31")
        stamp = pd.Timestamp("2024-08-31")
        assert load_checked(spec, reporting_date=stamp).reporting_date == stamp

    @pytest.mark.parametrize("given", ["30.06.2024", "2024-6", "", "2024-02-30"])
    def test_anything_but_an_iso_date_is_told(self, tmp_path, given):
        with pytest.raises(SpecError, match="must be an ISO date"):
            load_checked(spec_in(tmp_path), reporting_date=given)

    def test_none_at_all_is_told(self, tmp_path):
        spec = plain_spec()
        del spec["reporting_date"]
        with pytest.raises(SpecError, match="there is no reporting date"):
            load_checked(spec_in(tmp_path, spec))

    def test_later_rows_are_refused_or_cut_as_the_spec_says(self, tmp_path):
        found = violations_of(spec_in(tmp_path, plain_spec() | {"reporting_date": "2024-01-31"}))
        assert [(violation.table, violation.n_rows) for violation in found] == [("episodes", 1), ("cash_flows", 2)]
        spec = plain_spec() | {"reporting_date": "2024-01-31", "after_reporting_date": "cut"}
        loaded = load_checked(spec_in(tmp_path, spec))
        assert loaded.tables["episodes"]["outcome"].tolist() == ["open", "cured", "open"]
        assert loaded.exclusions[["table", "n_rows", "amount"]].to_numpy().tolist() == [
            ["cash_flows", 2, 80.0],
            ["episodes", 1, 100.0],
        ]

    @pytest.mark.parametrize("later", ["refuse", "cut"])
    def test_a_date_before_every_default_is_told(self, tmp_path, later):
        spec = plain_spec() | {"reporting_date": "2022-02-28", "after_reporting_date": later}
        rules = [violation.rule for violation in violations_of(spec_in(tmp_path, spec))]
        assert any("2022-02-28 lies before every default, the first is 2022-03-31" in rule for rule in rules)


class TestRefusedColumns:
    def widened(self, name, values):
        """Add a column to the facilities."""
        lines = FACILITIES.splitlines()
        return "\n".join(f"{line},{value}" for line, value in zip(lines, [name, *values], strict=True)) + "\n"

    def refusal(self, spec):
        with pytest.raises(RefusedColumnError) as error:
            load_checked(spec)
        return str(error.value)

    def test_an_unmapped_column_with_a_refused_name_stops_the_load_even_when_ignored(self, tmp_path):
        spec = plain_spec()
        spec["tables"]["facilities"]["ignore"] = ["*"]
        message = self.refusal(spec_in(tmp_path, spec, facilities=self.widened("spouse_phone", "123")))
        assert "facilities: column 'spouse_phone' (class A" in message

    def test_refused_columns_of_all_tables_come_at_once(self, tmp_path):
        flows = CASH_FLOWS.replace("kind", "kind,微信号").replace("ment\n", "ment,x\n").replace("cost", "cost,x")
        message = self.refusal(spec_in(tmp_path, facilities=self.widened("gender", "fmf"), cash_flows=flows))
        assert "2 columns refused" in message
        assert "class B, sex" in message
        assert "'微信号' (class A" in message

    def test_contents_are_looked_into_whatever_the_name_says(self, tmp_path):
        text = self.widened("remark", ["", "call 416-555-0123", ""])
        spec = plain_spec()
        spec["tables"]["facilities"]["ignore"] = ["remark"]
        message = self.refusal(spec_in(tmp_path, spec, facilities=text))
        assert "'remark' (class D, phone number in 1 distinct value, by its content)" in message
        assert "416" not in message

    def test_an_identifier_declared_as_hashed_comes_in_as_its_keyed_hash(self, tmp_path, monkeypatch):
        monkeypatch.setenv("BANK_KEY", "a secret")
        text = FACILITIES.replace("OBLIGOR", "SSN").replace("B1", "123-45-6789").replace("B2", "234-56-7890")
        spec = plain_spec() | {"hash_key_env": "BANK_KEY"}
        spec["tables"]["facilities"]["columns"]["obligor_id"] = "SSN"
        spec["tables"]["facilities"]["hashed"] = ["SSN"]
        loaded = load_checked(spec_in(tmp_path, spec, facilities=text))
        expected = hmac.new(b"a secret", b"123-45-6789", hashlib.sha256).hexdigest()
        obligors = loaded.tables["facilities"]["obligor_id"].tolist()
        assert obligors[:2] == [expected, expected]
        assert obligors[2] != expected
        del spec["tables"]["facilities"]["hashed"]
        assert "'SSN' (class D, national id" in self.refusal(spec_in(tmp_path, spec))

    def test_hashing_without_its_key_is_told(self, tmp_path, monkeypatch):
        monkeypatch.delenv("BANK_KEY", raising=False)
        spec = plain_spec() | {"hash_key_env": "BANK_KEY"}
        spec["tables"]["facilities"]["hashed"] = ["LOAN_NO"]
        with pytest.raises(SpecError, match="BANK_KEY"):
            load_checked(spec_in(tmp_path, spec))

    @pytest.mark.parametrize(
        "source",
        [{"csv": "facilities.csv"}, {"sql": "SELECT * FROM loans", "files": {"loans": {"csv": "facilities.csv"}}}],
    )
    def test_a_column_to_be_hashed_that_is_not_there_is_told_lest_it_comes_in_as_it_is(
        self, tmp_path, monkeypatch, source
    ):
        monkeypatch.setenv("BANK_KEY", "a secret")
        spec = plain_spec() | {"hash_key_env": "BANK_KEY"}
        spec["tables"]["facilities"] |= {"source": source, "hashed": ["OBLIGR"]}
        with pytest.raises(SpecError, match=r"'OBLIGR' is to be hashed, but .*nearest valid name: OBLIGOR"):
            load_checked(spec_in(tmp_path, spec))

    def test_an_outcome_is_no_segment_even_under_another_name(self, tmp_path):
        spec = plain_spec() | {"segment_columns": ["channel"]}
        spec["tables"]["facilities"]["columns"]["channel"] = "settlement_status"
        message = self.refusal(spec_in(tmp_path, spec, facilities=self.widened("settlement_status", "abc")))
        assert "'settlement_status' (class C, settlement" in message

    def test_a_query_cannot_bring_a_refused_column_in_under_another_name(self, tmp_path):
        spec = plain_spec()
        files = {"loans": {"csv": "facilities.csv"}}
        spec["tables"]["facilities"]["source"] = {"sql": "SELECT * EXCLUDE (g), g AS s FROM loans", "files": files}
        assert "'gender'" in self.refusal(spec_in(tmp_path, spec, facilities=self.widened("gender", "fmf")))


class TestTypedSources:
    @pytest.fixture
    def frames(self):
        """The contract tables as a careful warehouse holds them, with ids as numbers."""
        facilities = pd.DataFrame(
            {
                "facility_id": [1, 2],
                "obligor_id": [7.0, 8.0],
                "product": pd.Categorical(["mortgage", "card"]),
                "region": ["west", "south"],
                "collateral_kind": ["none", "none"],
                "collateral_value_amount": [np.nan, np.nan],
                "eir": np.array([0.0625, 0.125], dtype=np.float32),
                "origination_date": pd.to_datetime(["2020-01-15", "2021-05-01"]),
            }
        )
        episodes = pd.DataFrame(
            {
                "facility_id": [2, 1],
                "default_date": pd.to_datetime(["2024-01-31", "2022-03-31"]),
                "ead": [100, 60],
                "outcome": [0, 1],
                "outcome_date": pd.to_datetime(pd.Series([None, "2022-09-30"])),
            }
        )
        flows = pd.DataFrame(
            {"facility_id": [2], "cash_flow_date": [20240210], "amount": [40.5], "kind": ["repayment"]}
        )
        return {"facilities": facilities, "episodes": episodes, "cash_flows": flows}

    def settings(self, source):
        tables = {name: {"source": source(name)} for name in ("facilities", "episodes", "cash_flows")}
        tables["episodes"]["values"] = {"outcome": {"0": "open", "1": "cured"}}
        tables["cash_flows"]["date_formats"] = {"cash_flow_date": "%Y%m%d"}
        return plain_spec() | {"tables": tables}

    def check(self, tables):
        assert tables["facilities"]["facility_id"].tolist() == ["1", "2"]
        assert tables["facilities"]["obligor_id"].tolist() == ["7", "8"]
        assert tables["facilities"]["eir"].tolist() == [0.0625, 0.125]
        assert tables["cash_flows"]["cash_flow_date"].tolist() == [pd.Timestamp("2024-02-10")]
        assert tables["episodes"].set_index("facility_id")["outcome"].to_dict() == {"2": "open", "1": "cured"}

    def test_parquet_keeps_its_types_and_codes_are_mapped(self, tmp_path, frames):
        for name, frame in frames.items():
            frame.to_parquet(tmp_path / f"{name}.parquet")
        spec = spec_in(tmp_path, self.settings(lambda name: {"parquet": f"{name}.parquet"}))
        self.check(load_checked(spec).tables)

    @pytest.mark.parametrize("through", ["file", "url_env", "url_keyring", "query"])
    def test_a_database_is_read_through_ibis_in_the_order_of_the_keys(self, tmp_path, frames, monkeypatch, through):
        path = tmp_path / "bank.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute("CREATE SCHEMA mart")
            for name, frame in frames.items():
                connection.register("frame", frame)
                connection.execute(f"CREATE TABLE mart.{name} AS SELECT * FROM frame")
        monkeypatch.setenv("BANK_DB_URL", f"duckdb://{path}?read_only=1")
        monkeypatch.setattr(keyring, "get_password", lambda *entry: {("bank", "batch"): f"duckdb://{path}"}.get(entry))
        declared = {
            "url_env": {"url_env": "BANK_DB_URL"},
            "url_keyring": {"url_keyring": {"service": "bank", "user": "batch"}},
        }.get(through, {"backend": "duckdb", "path": "bank.duckdb"})

        def source(name):
            query = {"sql": f"SELECT * FROM mart.{name}"} if through == "query" else {"table": f"mart.{name}"}
            return {"connection": "warehouse"} | query

        spec = self.settings(source) | {"connections": {"warehouse": declared}}
        loaded = load_checked(spec_in(tmp_path, spec))
        self.check(loaded.tables)
        assert loaded.tables["episodes"]["facility_id"].tolist() == ["1", "2"]
        assert ("bank.duckdb" in loaded.file_hashes) == (not through.startswith("url"))

    def test_a_table_that_is_not_in_the_database_is_told(self, tmp_path):
        with duckdb.connect(str(tmp_path / "bank.duckdb")):
            pass
        spec = self.settings(lambda name: {"connection": "warehouse", "table": name})
        spec["connections"] = {"warehouse": {"backend": "duckdb", "path": "bank.duckdb"}}
        with pytest.raises(SpecError, match="connection warehouse: cannot read facilities"):
            load_checked(spec_in(tmp_path, spec))

    def test_a_keyring_without_the_entry_is_told_without_a_guess(self, tmp_path, monkeypatch):
        monkeypatch.setattr(keyring, "get_password", lambda *entry: None)
        spec = self.settings(lambda name: {"connection": "mart", "table": name})
        spec["connections"] = {"mart": {"url_keyring": {"service": "bank", "user": "batch"}}}
        with pytest.raises(SpecError, match="connection mart: the keyring holds nothing for 'batch' of 'bank'"):
            load_checked(spec_in(tmp_path, spec))

    def test_a_url_with_its_password_never_reaches_a_message(self, tmp_path, monkeypatch):
        monkeypatch.setenv("BANK_DB_URL", "nosuchdatabase://me:hunter2@host/db")
        spec = self.settings(lambda name: {"connection": "mart", "table": name})
        spec["connections"] = {"mart": {"url_env": "BANK_DB_URL"}}
        with pytest.raises(SpecError) as error:
            load_checked(spec_in(tmp_path, spec))
        assert "hunter2" not in str(error.value)
        assert error.value.__cause__ is None

    @pytest.mark.parametrize(
        ("table", "column", "values", "words"),
        [
            ("facilities", "facility_id", [1.5, 2.5], "facility_id must be text or a whole number, the source holds"),
            ("episodes", "default_date", pd.to_datetime(["2024-01-31", "2022-03-31"], utc=True), "the time zone"),
            ("episodes", "default_date", [45322, 44651], "default_date must be an ISO date"),
            ("episodes", "ead", [True, False], "ead must be a number"),
            ("facilities", "origination_date", [pd.Timestamp("2020-01-15 08:00")] * 2, "without a time of day"),
        ],
    )
    def test_a_type_that_does_not_say_what_is_meant_is_told(self, tmp_path, frames, table, column, values, words):
        frames[table][column] = values
        for name, frame in frames.items():
            frame.to_parquet(tmp_path / f"{name}.parquet")
        found = violations_of(spec_in(tmp_path, self.settings(lambda name: {"parquet": f"{name}.parquet"})))
        assert any(words in violation.rule for violation in found if violation.table == table)

    def test_a_date_that_stands_for_never_is_told(self, tmp_path, frames):
        episodes = frames["episodes"].astype({"outcome_date": "datetime64[us]"})
        episodes["outcome_date"] = np.array(["9999-12-31", "2022-09-30"], dtype="datetime64[us]")
        frames["episodes"] = episodes
        for name, frame in frames.items():
            frame.to_parquet(tmp_path / f"{name}.parquet")
        found = violations_of(spec_in(tmp_path, self.settings(lambda name: {"parquet": f"{name}.parquet"})))
        assert "must lie between 1700 and 2260, found 9999-12-31" in only(found).rule


class TestQueriesOverFiles:
    def with_query(self, sql):
        spec = plain_spec()
        spec["tables"]["cash_flows"]["source"] = {"sql": sql, "files": {"flows": {"csv": "cash_flows.csv"}}}
        return spec

    def test_a_query_sees_the_values_as_text_and_its_result_is_sorted_by_the_key(self, tmp_path):
        sql = "SELECT * REPLACE (CAST(amount AS DOUBLE) * 2 AS amount) FROM flows ORDER BY facility_id DESC"
        loaded = load_checked(spec_in(tmp_path, self.with_query(sql)))
        assert loaded.tables["cash_flows"]["amount"].tolist() == [80.0, 80.0, 10.0]
        assert "cash_flows.csv" in loaded.file_hashes

    def test_a_query_cannot_read_a_file_that_is_not_declared(self, tmp_path):
        sql = f"SELECT f.* FROM flows AS f, read_csv('{tmp_path / 'episodes.csv'}')"
        with pytest.raises(SpecError, match="the query over flows failed: Permission Error"):
            load_checked(spec_in(tmp_path, self.with_query(sql)))

    def test_a_query_that_fails_says_why(self, tmp_path):
        with pytest.raises(SpecError, match=r"the query over flows failed: .*nothing"):
            load_checked(spec_in(tmp_path, self.with_query("SELECT nothing FROM flows")))

    def test_a_query_that_fails_on_a_value_does_not_show_it(self, tmp_path):
        with pytest.raises(SpecError, match="the query over flows failed: Conversion Error") as error:
            load_checked(spec_in(tmp_path, self.with_query("SELECT CAST(kind AS INTEGER) AS amount FROM flows")))
        assert "repayment" not in str(error.value)

    def test_two_columns_of_one_name_are_told(self, tmp_path):
        sql = "SELECT f.*, g.amount FROM flows AS f JOIN flows AS g ON f.facility_id = g.facility_id"
        with pytest.raises(SpecError, match="the query over flows has columns of the same name: amount; give each"):
            load_checked(spec_in(tmp_path, self.with_query(sql)))


def test_a_constant_stands_in_every_row(tmp_path):
    spec = plain_spec()
    spec["tables"]["facilities"]["constants"] = {"exposure_class": "other"}
    facilities = load_checked(spec_in(tmp_path, spec)).tables["facilities"]
    assert facilities["exposure_class"].tolist() == ["other"] * 3
