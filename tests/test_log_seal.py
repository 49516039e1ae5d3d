"""The seal of a growing log: rows that were altered, removed, inserted or moved are told by position and key."""

import datetime
import hashlib
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit import cli
from recoverykit.batch._canonical_rows import row_hashes
from recoverykit.errors import RecoverykitError

ZEROS = "0" * 64


@pytest.fixture
def log():
    return pd.DataFrame(
        {
            "action_id": [101, 102, 103, 104, 105],
            "done_at": pd.to_datetime(
                ["2026-01-05", "2026-01-05 09:30", "2026-01-07", "2026-01-08 17:00:00.250", "2026-01-09"],
                format="ISO8601",
            ),
            "action": ["letter", "call", "call", "visit", "légal – notice"],
            "promised_amount": [np.nan, 120.5, 80.0, np.nan, 0.0],
            "reached": [False, True, True, False, True],
        }
    )


@pytest.fixture
def seal(tmp_path):
    return tmp_path / "actions.seal"


def said(log, seal, **options):
    return [str(finding) for finding in rk.verify_log(log, seal=seal, **options).findings]


def sealed(log, seal):
    return rk.seal_log(log, key=["action_id"], seal=seal)


class TestALogThatGrows:
    def test_stands_when_nothing_has_changed(self, log, seal):
        found = sealed(log, seal)
        assert (found.n_sealed, found.n_appended, found.stands) == (5, 0, True)
        assert rk.verify_log(log, seal=seal) == found

    def test_appended_rows_are_accepted_and_sealed_the_next_time(self, log, seal):
        sealed(log.iloc[:3], seal)
        found = rk.verify_log(log, seal=seal)
        assert (found.n_sealed, found.n_appended, found.stands) == (3, 2, True)
        first = seal.read_bytes()
        found = rk.seal_log(log, seal=seal)
        assert (found.n_sealed, found.n_appended) == (5, 0)
        assert seal.read_bytes().startswith(first)

    def test_sealing_twice_writes_nothing_new_and_equals_sealing_at_once(self, log, seal, tmp_path):
        sealed(log.iloc[:2], seal)
        sealed(log, seal)
        sealed(log, seal)
        sealed(log, tmp_path / "at_once.seal")
        assert seal.read_bytes() == (tmp_path / "at_once.seal").read_bytes()


class TestRows:
    def test_an_altered_row_is_named_by_position_and_key(self, log, seal):
        sealed(log, seal)
        log.loc[2, "promised_amount"] = 80.01
        assert said(log, seal) == ["altered: row 3, 103"]

    def test_a_removed_row_is_named_by_the_position_that_it_had(self, log, seal):
        sealed(log, seal)
        assert said(log.drop(index=1), seal) == ["removed: row 2, 102"]

    def test_removed_last_rows_are_named_although_the_chain_would_not_miss_them(self, log, seal):
        sealed(log, seal)
        assert said(log.iloc[:3], seal) == ["removed: row 4, 104", "removed: row 5, 105"]

    def test_an_inserted_row_is_named_and_one_behind_the_last_is_appended(self, log, seal):
        sealed(log, seal)
        new = log.iloc[[0]].assign(action_id=999)
        between = pd.concat([log.iloc[:2], new, log.iloc[2:]], ignore_index=True)
        assert said(between, seal) == ["inserted: row 3, 999 (rows behind it were sealed without it)"]
        assert said(pd.concat([log, new], ignore_index=True), seal) == []

    def test_a_row_that_stands_twice_is_inserted_wherever_it_stands(self, log, seal):
        sealed(log, seal)
        twice = pd.concat([log, log.iloc[[1]]], ignore_index=True)
        assert said(twice, seal) == ["inserted: row 6, 102 (its key stands already in row 2)"]

    def test_a_moved_row_is_named_and_no_other(self, log, seal):
        sealed(log, seal)
        assert said(log.iloc[[0, 2, 3, 1, 4]], seal) == ["reordered: row 4, 102 (it was sealed as row 2)"]

    def test_a_changed_key_is_a_row_removed_and_a_row_inserted(self, log, seal):
        sealed(log, seal)
        log.loc[1, "action_id"] = 202
        assert said(log, seal) == [
            "inserted: row 2, 202 (rows behind it were sealed without it)",
            "removed: row 2, 102",
        ]

    def test_everything_at_once_is_told_apart(self, log, seal):
        sealed(log, seal)
        other = log.iloc[[3, 0, 1, 4]].copy()
        other.loc[1, "action"] = "sms"
        assert said(other, seal) == [
            "reordered: row 1, 104 (it was sealed as row 4)",
            "altered: row 3, 102",
            "removed: row 3, 103",
        ]

    def test_a_missing_or_added_column_is_named(self, log, seal):
        sealed(log, seal)
        assert said(log.drop(columns="reached"), seal) == ["missing: column reached"]
        assert said(log.assign(note=""), seal) == ["added: column note"]

    def test_nothing_is_sealed_on_top_of_an_altered_row(self, log, seal):
        sealed(log.iloc[:3], seal)
        before = seal.read_bytes()
        log.loc[0, "action"] = "visit"
        with pytest.raises(RecoverykitError, match=r"nothing was sealed, since .*altered: row 1, 101"):
            rk.seal_log(log, seal=seal)
        assert seal.read_bytes() == before


class TestTheSeal:
    def test_an_altered_removed_or_moved_line_is_named(self, log, seal):
        sealed(log, seal)
        lines = seal.read_text().splitlines(keepends=True)
        seal.write_text("".join([*lines[:2], lines[2].replace('"102"', '"112"'), *lines[3:]]))
        assert said(log, seal)[0].startswith("altered: line 3 of the seal")
        seal.write_text("".join([*lines[:2], *lines[3:]]))
        assert said(log, seal)[0].startswith("removed: line 3 of the seal")
        seal.write_text("".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
        assert said(log, seal)[0].startswith("reordered: line 3 of the seal")

    def test_a_line_whose_number_is_none_is_named(self, log, seal):
        sealed(log, seal)
        seal.write_text(seal.read_text().replace('"number":3,', '"number":"3",'))
        assert said(log, seal)[0] == "altered: line 3 of the seal (no entry can be read here)"

    def test_lines_cut_off_at_the_end_are_found_by_the_noted_head_only(self, log, seal):
        head = sealed(log, seal).head_hash
        seal.write_text("".join(seal.read_text().splitlines(keepends=True)[:-1]))
        assert said(log, seal) == []
        assert said(log, seal, expected=head) == [f"removed: the noted head {head[:12]}... (the seal does not hold it)"]

    def test_a_head_noted_before_the_seal_grew_is_found_in_it(self, log, seal):
        head = sealed(log.iloc[:3], seal).head_hash
        sealed(log, seal)
        assert said(log, seal, expected=head) == []

    def test_a_key_tells_a_seal_that_was_made_anew(self, log, seal, monkeypatch):
        monkeypatch.setenv("SEAL_KEY", "planted-secret")
        assert rk.seal_log(log, key=["action_id"], seal=seal, key_variable="SEAL_KEY").signed
        assert b"planted-secret" not in seal.read_bytes()
        seal.unlink()
        sealed(log, seal)
        found = rk.verify_log(log, seal=seal, key_variable="SEAL_KEY").findings
        assert {str(f.fault) for f in found} == {"not signed"}
        assert len(found) == 6  # the first line and five rows

    def test_the_key_must_tell_rows_apart_and_stay_the_same(self, log, seal):
        with pytest.raises(RecoverykitError, match=r"the key action stands for more than one row: call \(1 keys\)"):
            rk.seal_log(log, key=["action"], seal=seal)
        with pytest.raises(RecoverykitError, match="no column 'action_i'; did you mean 'action_id'"):
            rk.seal_log(log, key=["action_i"], seal=seal)
        with pytest.raises(RecoverykitError, match="name the columns"):
            rk.seal_log(log, seal=seal)
        assert not seal.exists()
        sealed(log, seal)
        with pytest.raises(RecoverykitError, match="was begun with the key action_id"):
            rk.seal_log(log, key=["action", "done_at"], seal=seal)

    def test_what_no_log_holds_is_refused_with_its_column(self, log, seal):
        with pytest.raises(RecoverykitError, match=r"not so: tags \(list\), took \(Timedelta\)"):
            sealed(log.assign(tags=[["a"]] * 5, took=pd.Timedelta("1h")), seal)


def plain_hashes(rows):
    """Hash rows given as lists of (column, kind, text) by the words of the definition alone."""
    found = []
    for row in rows:
        parts = []
        for column, kind, text in sorted(row):
            escaped = "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\u{ord(c):04x}" for c in text)
            parts.append(f'["{column}","{kind}","{escaped}"]')
        found.append(hashlib.sha256(f"[{','.join(parts)}]".encode()).hexdigest())
    return found


class TestTheDefinition:
    def test_rows_and_chain_are_what_a_second_implementation_makes_of_its_words(self, log, seal):
        sealed(log, seal)
        done_at = ["2026-01-05", "2026-01-05T09:30:00", "2026-01-07", "2026-01-08T17:00:00.25", "2026-01-09"]
        promised = [("-", ""), ("n", "120.5"), ("n", "80"), ("-", ""), ("n", "0")]
        actions = ["letter", "call", "call", "visit", "légal – notice"]
        reached = ["false", "true", "true", "false", "true"]
        rows = [
            [
                ("action_id", "n", str(101 + i)),
                ("done_at", "d", done_at[i]),
                ("action", "t", actions[i]),
                ("promised_amount", *promised[i]),
                ("reached", "b", reached[i]),
            ]
            for i in range(5)
        ]
        columns = '["action","action_id","done_at","promised_amount","reached"]'
        previous = ZEROS
        contents = [("", f'"columns":{columns},"format":1,', '"key":["action_id"],"kind":"log"')]
        contents += [(digits, "", f'"key":["{101 + i}"],"kind":"row"') for i, digits in enumerate(plain_hashes(rows))]
        lines = seal.read_text().splitlines()
        for number, ((row, head, middle), line) in enumerate(zip(contents, lines, strict=True), 1):
            tail = f',"row":"{row}"' if row else ""
            body = f'{{{head}{middle},"number":{number},"previous":"{previous}"{tail}}}'
            previous = hashlib.sha256(body.encode()).hexdigest()
            assert json.loads(line)["hash"] == previous, number

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (pd.Series([5, 6], dtype="int8"), pd.Series([5.0, 6.0])),
            (pd.Series([5, 6], dtype="Int64"), pd.Series([Decimal("5.00"), Decimal(6)])),
            (pd.Series([5, None], dtype="Int64"), pd.Series([5.0, np.nan])),
            (pd.Series([0.1, 12.3]), pd.Series([Decimal("0.1"), Decimal("12.30")])),
            (pd.Series([-0.0, 1e21]), pd.Series([0, 10**21], dtype=object)),
            (pd.Series(["a", None]), pd.Series(["a", None], dtype="category")),
            (pd.Series(["a", None]), pd.Series(["a", pd.NA], dtype="string")),
            (pd.Series([True, False]), pd.Series([True, False], dtype="boolean")),
            (pd.Series([True, False]), pd.Series(np.array([True, False]), dtype=object)),
            (pd.Series(pd.to_datetime(["2026-01-05"])), pd.Series([np.datetime64("2026-01-05", "ns")], dtype=object)),
            (
                pd.to_datetime(pd.Series(["2026-01-05", None])),
                pd.Series([datetime.date(2026, 1, 5), None], dtype=object),
            ),
            (
                pd.Series(pd.to_datetime(["2026-01-05 09:30"])).astype("datetime64[s]"),
                pd.Series(pd.to_datetime(["2026-01-05 09:30"])).astype("datetime64[ns]"),
            ),
            (
                pd.Series(pd.to_datetime(["2026-01-05 09:30+02:00"])),
                pd.Series(pd.to_datetime(["2026-01-05 07:30+00:00"])),
            ),
        ],
    )
    def test_the_same_values_have_the_same_hash_whatever_their_dtype(self, one, other):
        assert row_hashes(one.to_frame("x"), ["x"]) == row_hashes(other.to_frame("x"), ["x"])

    @pytest.mark.parametrize(
        ("one", "other"),
        [(5, "5"), (True, 1), (True, "true"), (None, ""), (0.1, float(np.float32(0.1))), ("a", "a "), ("é", "e\u0301")],
    )
    def test_different_values_have_different_hashes(self, one, other):
        frames = [pd.DataFrame({"x": pd.Series([value], dtype=object)}) for value in (one, other)]
        assert row_hashes(frames[0], ["x"]) != row_hashes(frames[1], ["x"])

    def test_the_order_of_columns_and_the_index_do_not_matter(self, log):
        columns = list(log.columns)
        other = log[columns[::-1]].set_index(pd.Index(list("vwxyz")))
        assert row_hashes(log, columns) == row_hashes(other, columns)

    def test_known_digits_stay_the_same_on_every_system(self):
        # printf '%s' '[["a","n","1.5"],["b","t","x"]]' | sha256sum
        frame = pd.DataFrame({"b": ["x"], "a": [1.5]})
        assert row_hashes(frame, ["a", "b"]) == ["f15f6ec62fc9b6598186936adaf3222785e5ec54f4d83bfd256b9000c62145ef"]


class TestTheCommand:
    def test_seals_and_verifies_a_csv_file_beside_its_seal(self, log, tmp_path, capsys):
        path = tmp_path / "actions.csv"
        log.to_csv(path, index=False)
        assert cli.main(["seal", str(path), "--key", "action_id"]) == 0
        assert "5 rows are sealed. Note the head elsewhere: " in capsys.readouterr().out
        with path.open("a") as file:
            file.write("106,2026-01-10,call,,True\n")
        assert cli.main(["verify", str(path)]) == 0
        assert "1 rows were appended since and are not sealed yet." in capsys.readouterr().out
        path.write_text(path.read_text().replace("120.5", "120.50"))
        assert cli.main(["verify", str(path)]) == 1
        assert "  altered: row 2, 102\n" in capsys.readouterr().out

    def test_a_log_without_seal_cannot_be_told(self, log, tmp_path, capsys):
        log.to_parquet(tmp_path / "actions.parquet")
        assert cli.main(["verify", str(tmp_path / "actions.parquet")]) == 2
        assert "no seal actions.parquet.seal beside the log" in capsys.readouterr().err
