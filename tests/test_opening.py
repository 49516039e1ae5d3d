"""Opening a book: from a data spec, from a prepared folder and from the episodes that a bank holds."""

from dataclasses import replace

import pandas as pd
import pytest

from recoverykit.episodes.definition import DefaultDefinition
from recoverykit.errors import InsufficientDataError, PlanError, SpecError
from recoverykit.portfolio.book import FACTS, FRAMES, read_book, segment_labels
from recoverykit.portfolio.opening import open_book

CURED = {"default_date": "2024-01-31", "outcome": "cured", "outcome_date": "2024-04-30"}
OPEN = {"default_date": "2024-03-15", "outstanding": 90.0, "region": "east"}
SPEC = """
version: 1
name: our_bank
currency: EUR
reporting_date: {date}
after_reporting_date: {after}
tables:
  facilities: {{source: {{csv: facilities.csv}}}}
  episodes: {{source: {{csv: episodes.csv}}}}
  cash_flows: {{source: {{csv: cash_flows.csv}}}}
"""


def write_bank(folder, *, date="2024-06-30", after="refuse"):
    """The files of a bank that holds its episodes, and their spec."""
    (folder / "facilities.csv").write_text(
        "facility_id,obligor_id,product,region,collateral_kind,collateral_value_amount,eir,origination_date\n"
        "A,a,loan,west,none,,0.05,2020-01-31\n"
        "B,b,loan,east,none,,0.05,2020-01-31\n"
    )
    (folder / "episodes.csv").write_text(
        "facility_id,default_date,ead,outcome,outcome_date,outstanding\n"
        "A,2024-01-31,100.00,cured,2024-04-30,\n"
        "B,2024-03-15,200.00,open,,150.00\n"
    )
    (folder / "cash_flows.csv").write_text(
        "facility_id,cash_flow_date,amount,kind\nA,2024-02-10,10.00,repayment\nB,2024-05-02,50.00,repayment\n"
    )
    spec = folder / "spec.yml"
    spec.write_text(SPEC.format(date=date, after=after))
    return spec


def assert_same_book(left, right):
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(left, name), getattr(right, name))
    for fact in ("name", "currency", "reporting_date", "segment_by", "segment", "definition", "data_hashes"):
        assert getattr(left, fact) == getattr(right, fact), fact


class TestPreparedFolder:
    def test_a_spec_and_a_prepared_folder_give_the_same_book(self, sample_book, prepared_book):
        assert_same_book(sample_book, prepared_book)
        assert (sample_book.folder, prepared_book.folder is None) == (None, False)

    def test_dates_have_one_unit_wherever_they_come_from(self, sample_book, prepared_book):
        for book in (sample_book, prepared_book):
            for name in FRAMES:
                dates = getattr(book, name).select_dtypes("datetime")
                assert set(dates.dtypes.astype(str)) <= {"datetime64[ns]"}, name

    def test_writing_and_reading_keeps_types_and_missing_values(self, small_book, tmp_path):
        definition = DefaultDefinition(probation_months=6)
        book = small_book([CURED, {"default_date": "2024-03-15"}], [("A", "2024-02-29", 12.34)], definition=definition)
        left_out = pd.DataFrame({"table": ["status"], "reason": ["cut"], "n_rows": [3], "amount": [1.5]})
        book = replace(book, exclusions=left_out)
        assert book.episodes["outstanding"].isna().tolist() == [False, True]
        assert book.episodes["outcome_date"].isna().tolist() == [False, True]
        read = read_book(book.write(tmp_path / "new" / "folder"))
        assert_same_book(book, read)
        assert read.definition == definition

    def test_a_book_of_another_date_is_refused_with_both_dates(self, small_book, tmp_path):
        small_book([CURED]).write(tmp_path)
        with pytest.raises(SpecError, match="was prepared as of 2024-06-30, not 2024-03-31; prepare it again"):
            open_book(tmp_path, reporting_date="2024-03-31")
        with pytest.raises(SpecError, match="not 30 June"):
            open_book(tmp_path, reporting_date="30 June")

    def test_a_book_of_the_same_date_is_opened(self, small_book, tmp_path):
        small_book([CURED]).write(tmp_path)
        for date in ("2024-06-30", pd.Timestamp("2024-06-30"), ""):
            assert open_book(tmp_path, reporting_date=date).reporting_date == pd.Timestamp("2024-06-30")

    @pytest.mark.parametrize("date", ["", "soon", "2024-13-01"])
    def test_a_frozen_book_of_no_date_is_refused(self, small_book, tmp_path, date):
        small_book([CURED]).write(tmp_path)
        with pytest.raises(SpecError, match=f"the date of a frozen book is '{date}'; it must be an ISO date"):
            open_book(tmp_path, reporting_date=date, freeze=True)

    def test_one_segment_of_a_prepared_book(self, prepared_book):
        case = open_book(prepared_book.folder, segment="mortgage | pacific")
        pd.testing.assert_frame_equal(case.episodes, prepared_book.restricted("mortgage | pacific").episodes)
        assert case.segment == "mortgage | pacific"

    def test_a_folder_without_facts_is_no_book(self, small_book, tmp_path):
        (small_book([CURED]).write(tmp_path) / FACTS).unlink()
        with pytest.raises(SpecError, match=r"holds no prepared book: book\.json is missing"):
            open_book(tmp_path)


class TestSpec:
    def test_nothing_at_the_path_is_refused_by_name(self, tmp_path):
        with pytest.raises(SpecError, match=r"no data spec and no prepared book at .*nowhere\.yml"):
            open_book(tmp_path / "nowhere.yml")

    def test_the_episodes_that_a_bank_holds_are_brought_to_the_same_columns(self, tmp_path, sample_book):
        # A: defaulted and cured at month ends, three months. B: 15 March to 30 June, three completed months.
        book = open_book(write_bank(tmp_path))
        rows = book.episodes.set_index("episode_id")
        assert rows["months_in_default"].to_dict() == {"A#1": 3, "B#1": 3}
        assert rows["observed_months"].to_dict() == {"A#1": 5, "B#1": 3}
        assert rows["outstanding"].to_dict() == {"A#1": 0.0, "B#1": 150.0}
        assert rows["default_vintage"].unique().tolist() == ["2024Q1"]
        assert (book.name, book.currency, book.folder) == ("our_bank", "EUR", None)
        assert sorted(book.data_hashes) == ["cash_flows.csv", "episodes.csv", "facilities.csv"]
        shared = [c for c in sample_book.episodes.columns if c in book.episodes.columns]
        assert book.episodes[shared].dtypes.astype(str).to_dict() == {
            column: str(kind) for column, kind in sample_book.episodes[shared].dtypes.items()
        }

    def test_an_earlier_date_opens_what_ended_later_and_counts_what_was_cut(self, tmp_path):
        # On 31 March the cure of A on 30 April and the payment of B on 2 May have not happened.
        book = open_book(write_bank(tmp_path, after="cut"), reporting_date="2024-03-31")
        assert book.episodes["outcome"].tolist() == ["open", "open"]
        assert book.episodes["months_in_default"].tolist() == [2, 0]
        assert book.cash_flows["amount"].tolist() == [10.00]
        assert set(book.exclusions["table"]) == {"episodes", "cash_flows"}
        assert book.exclusions.set_index("table").loc["cash_flows", "amount"] == 50.00

    def test_a_date_before_every_default_is_refused_and_said(self, sample_book, small_book):
        with pytest.raises(
            InsufficientDataError, match="no default episode on or before the reporting date 2023-12-31; check the date"
        ):
            small_book([CURED, OPEN], reporting_date="2023-12-31")

    def test_an_unknown_segment_column_is_refused_with_those_there_are(self, small_book):
        with pytest.raises(PlanError, match="segment_by names colour"):
            small_book([CURED], segment_by=("product", "colour"))

    def test_the_inventory_has_one_row_for_each_table_with_its_dates(self, tmp_path):
        table = open_book(write_bank(tmp_path)).inventory.set_index("table")
        assert table["n_rows"].to_dict() == {"cash_flows": 2, "episodes": 2, "facilities": 2}
        assert table.loc["episodes", "first_date"] == pd.Timestamp("2024-01-31")
        assert table.loc["cash_flows", "last_date"] == pd.Timestamp("2024-05-02")


class TestMacroAtDefault:
    @staticmethod
    def scenarios(first="2024-01-31"):
        months = pd.date_range(first, "2024-12-31", freq="ME")
        rates = {"baseline": 0.05, "adverse": 0.50}
        parts = [
            pd.DataFrame(
                {"scenario": name, "month_end": months, "weight": weight, "rate": rates[name] + months.month / 1000}
            )
            for name, weight in (("adverse", 0.4), ("baseline", 0.6))
        ]
        return pd.concat(parts, ignore_index=True)

    def test_the_likeliest_path_says_what_stood_in_the_month_of_default(self, small_book):
        # January 0.05 + 0.001, and March, though the default came in the middle of the month, 0.05 + 0.003
        book = small_book([CURED, OPEN], scenarios=self.scenarios(), macro_columns=("rate",))
        assert book.episodes["rate_at_default"].tolist() == pytest.approx([0.051, 0.053])

    def test_a_path_that_begins_later_than_a_default_is_not_joined(self, small_book):
        book = small_book([CURED, OPEN], scenarios=self.scenarios("2024-02-29"), macro_columns=("rate",))
        assert "rate_at_default" not in book.episodes

    def test_without_paths_there_is_nothing_to_join(self, small_book):
        nothing = small_book([CURED], scenarios=self.scenarios().iloc[:0], macro_columns=("rate",))
        assert "rate_at_default" not in nothing.episodes
        book = small_book([CURED])
        assert book.scenarios.empty
        assert not [c for c in book.episodes if c.endswith("_at_default")]


class TestSegmentNames:
    def test_a_bank_may_call_a_column_segment(self, small_book):
        loans = [{**CURED, "segment": "retail"}, {**OPEN, "segment": "retail"}, {**OPEN, "segment": "corporate"}]
        book = small_book(loans, segment_by=("segment", "region"))
        assert book.segments() == ["corporate | east", "retail | east", "retail | west"]
        assert segment_labels(book.episodes, book.segment_by).notna().all()

    def test_labels_keep_the_order_and_the_index_of_the_rows(self):
        frame = pd.DataFrame({"product": ["b", "a", "b"], "region": ["x", "y", "x"]}, index=[7, 3, 5])
        labels = segment_labels(frame, ("product", "region"))
        assert labels.to_dict() == {7: "b | x", 3: "a | y", 5: "b | x"}
        assert segment_labels(frame.iloc[:0], ("product",)).empty
        assert segment_labels(frame, ()).unique().tolist() == ["all"]

    def test_a_missing_value_has_one_name_however_it_is_written(self):
        frame = pd.DataFrame({"team": ["x", None, "y", float("nan")], "region": ["e", "e", None, "e"]}, dtype=object)
        assert segment_labels(frame, ("team", "region")).tolist() == ["x | e", "None | e", "y | None", "None | e"]
