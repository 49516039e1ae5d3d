"""Results of notebooks: written alike every time, gathered whole."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from recoverykit.batch.results import collect_results, gather_tables, read_records, write_result
from recoverykit.errors import InsufficientDataError, RecoverykitError


def curve(n=2):
    return pd.DataFrame({"month": range(n), "rate": [0.1] * n, "note": ["x"] * n})


def write(folder, segment, table=None, **record):
    tables = {"curve": curve() if table is None else table}
    return write_result(str(folder), notebook="03_curves", segment=segment, tables=tables, record=record)


class TestWriting:
    def test_nothing_is_written_without_a_folder_and_the_sentence_says_so(self):
        assert "Nothing was written" in write("", "a", n=1)

    def test_the_sentence_names_segment_and_tables(self, tmp_path):
        assert write(tmp_path, "auto | west") == "Written for segment 'auto | west': the record and 1 table (curve)."

    def test_the_sentence_is_shown_as_prose_and_not_as_a_python_string(self):
        note = write("", "a")
        assert repr(note) == str(note)
        assert note._repr_html_() == f'<p class="rk-prose">{note}</p>'

    def test_the_same_content_gives_the_same_bytes(self, tmp_path):
        # Order of the record's keys and of the calls does not matter; nor does the time.
        for folder, record in ((tmp_path / "1", {"a": 1, "b": 2}), (tmp_path / "2", {"b": 2, "a": 1})):
            write(folder, "auto | west", **record)
        for name in ("curve.parquet", "record.json"):
            first, second = (tmp_path / n / "03_curves" / "auto__west" / name for n in ("1", "2"))
            assert first.read_bytes() == second.read_bytes()

    def test_numpy_and_missing_numbers_become_plain_json(self, tmp_path):
        write(
            tmp_path,
            "a",
            lgd=np.float64(0.4),
            n=np.int64(3),
            gap=float("nan"),
            limit=np.inf,
            flag=np.bool_(True),
            date=pd.Timestamp("2026-09-30"),
            day=np.datetime64("2026-09-30", "ns"),  # numpy would make a number of nanoseconds of it
            days=np.array(["2026-09-30", "NaT"], dtype="datetime64[ns]"),
            none=pd.NaT,
            path=np.array([1.0, np.nan]),
            nested={"x": (1, 2)},
        )
        text = (tmp_path / "03_curves" / "a" / "record.json").read_text()
        assert json.loads(text) == {
            "notebook": "03_curves",
            "segment": "a",
            "lgd": 0.4,
            "n": 3,
            "gap": None,
            "limit": None,
            "flag": True,
            "date": "2026-09-30T00:00:00",
            "day": "2026-09-30T00:00:00",
            "days": ["2026-09-30T00:00:00", None],
            "none": None,
            "path": [1.0, None],
            "nested": {"x": [1, 2]},
        }
        assert "NaN" not in text

    def test_a_value_that_json_cannot_hold_is_an_error_with_its_place(self, tmp_path):
        with pytest.raises(RecoverykitError, match=r"record\.fit\.model: a record cannot hold a set"):
            write(tmp_path, "a", fit={"model": {1}})

    def test_an_index_that_would_be_lost_is_an_error(self, tmp_path):
        with pytest.raises(RecoverykitError, match="'curve' has an index of its own"):
            write(tmp_path, "a", table=curve().set_index("month"))

    def test_a_name_that_leaves_the_folder_is_an_error(self, tmp_path):
        with pytest.raises(RecoverykitError, match="no fit name for a file"):
            write_result(str(tmp_path), notebook="../03", record={})

    def test_an_error_leaves_nothing_half_written(self, tmp_path):
        with pytest.raises(RecoverykitError):
            write(tmp_path, "a", bad=object())
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_a_folder_that_cannot_be_written_is_an_error_in_words(self, tmp_path):
        (tmp_path / "results").write_text("a file in the way")
        with pytest.raises(RecoverykitError, match=r"cannot write .*results.*choose another folder"):
            write(tmp_path / "results", "a")

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="file modes do not bind this user")
    def test_a_folder_without_right_to_write_is_an_error_in_words(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(RecoverykitError, match="Permission denied"):
            write(tmp_path / "results", "a")


class TestCollecting:
    def test_the_segments_stand_first_and_sorted_by_name_with_rows_in_their_order(self, tmp_path):
        write(tmp_path, "b", table=pd.DataFrame({"month": [3, 1]}))
        write(tmp_path, "a | Z", table=pd.DataFrame({"month": [2]}))  # its folder bears a hash, its name does not
        frame = collect_results(str(tmp_path), "03_curves", "curve")
        assert list(frame.columns) == ["segment", "month"]
        assert frame.to_dict("list") == {"segment": ["a | Z", "b", "b"], "month": [2, 3, 1]}

    def test_a_segment_column_of_the_table_itself_is_kept(self, tmp_path):
        write(tmp_path, "all", table=pd.DataFrame({"allowance": [1.0], "segment": ["auto | west"]}))
        frame = collect_results(str(tmp_path), "03_curves", "curve")
        assert frame.to_dict("list") == {"segment": ["auto | west"], "allowance": [1.0]}

    def test_empty_and_all_missing_tables_do_not_change_the_type_of_the_others(self, tmp_path, recwarn):
        write(tmp_path, "a", table=pd.DataFrame({"rate": pd.Series(dtype=float), "note": pd.Series(dtype=object)}))
        write(tmp_path, "b", table=pd.DataFrame({"rate": [np.nan], "note": [None]}))
        write(tmp_path, "c", table=pd.DataFrame({"rate": [1], "note": ["x"]}))
        frame = collect_results(str(tmp_path), "03_curves", "curve")
        assert frame["rate"].dtype == "float64"
        assert list(frame["segment"]) == ["b", "c"]
        assert not recwarn.list

    def test_what_is_missing_is_named_with_the_nearest_that_is_there(self, tmp_path):
        write(tmp_path, "a")
        with pytest.raises(InsufficientDataError, match="left no table 'curves'; did you mean 'curve'"):
            collect_results(str(tmp_path), "03_curves", "curves")
        with pytest.raises(
            InsufficientDataError, match=r"notebook '03_curve' left no results.*did you mean '03_curves'"
        ):
            collect_results(str(tmp_path), "03_curve", "curve")

    def test_records_come_back_by_segment(self, tmp_path):
        write(tmp_path, "b", n=2)
        write(tmp_path, "a", n=1)
        records = read_records(str(tmp_path), "03_curves")
        assert [(segment, record["n"]) for segment, record in records.items()] == [("a", 1), ("b", 2)]
        assert read_records(str(tmp_path), "04_none") == {}


def test_gathered_tables_hold_every_row_of_every_segment(tmp_path):
    results, tables = tmp_path / "results", tmp_path / "tables"
    write(results, "a", table=curve(2))
    write(results, "b", table=curve(3))
    written = gather_tables(results, tables)
    assert [path.name for path in written] == ["03_curves.curve.csv", "03_curves.curve.parquet"]
    for frame in (pd.read_csv(written[0]), pd.read_parquet(written[1])):
        assert frame["segment"].value_counts().to_dict() == {"b": 3, "a": 2}


def test_results_of_executions_that_do_not_count_are_not_gathered(tmp_path):
    results = tmp_path / "results"
    write(results, "a | Z", table=curve(2))  # its folder bears a hash
    write(results, "b", table=curve(3))
    written = gather_tables(results, tmp_path / "tables", keys={"03_curves/b"})
    assert [pd.read_csv(path)["segment"].tolist() for path in written if path.suffix == ".csv"] == [["b"] * 3]
    assert gather_tables(results, tmp_path / "none", keys=()) == []
