"""The record of runs: what was made is told from what was altered, to the file and to the entry."""

import hashlib
import hmac
import json
import shutil
import threading

import pytest

from recoverykit import cli
from recoverykit.batch._files import SEAL_PLACE
from recoverykit.batch._ledger import append_link, read_links
from recoverykit.batch._tasks import Task, TaskResult, TaskStatus
from recoverykit.batch.manifest import RunStatus, start_manifest
from recoverykit.batch.plan import Plan
from recoverykit.batch.record import record_run, recorded
from recoverykit.batch.verification import verify_run
from recoverykit.errors import RecoverykitError

PLAN = {
    "version": 1,
    "name": "small",
    "title": "Small pack",
    "stages": [{"name": "segments", "scope": "segment", "notebooks": ["02_cure"]}],
}
ZEROS = "0" * 64


@pytest.fixture
def make_run(tmp_path, write_notebook):
    """Return a function that leaves a recorded run of one task behind, without running anything."""
    notebook = write_notebook(tmp_path / "notebooks_in", "02_cure")
    (tmp_path / "flows.csv").write_text("facility_id,amount\nA,1\n")

    def make(name, *, key_variable="", number=1):
        folder = tmp_path / "runs" / name
        for path, text in {
            "notebooks/02_cure/a.ipynb": "{}",
            "results/02_cure/a/counts.parquet": f"PAR1 {name} {number}",
            "results/02_cure/a/record.json": "{}",
            "tables/02_cure.counts.csv": f"n\n{number}\n",
            "index.html": f"<html><p>{SEAL_PLACE}</p></html>",
            ".recoverykit-run": "",
        }.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        plan = Plan.model_validate({**PLAN, "notebooks_folder": str(notebook.parent)})
        (tmp_path / "rules.yml").write_text("limit: 5")
        parameters = {"level": 0.95, "segment": "a", "rules": "../rules.yml"}
        tasks = [Task("02_cure", str(notebook), "segments", "a", parameters)]
        hashes = {"flows.csv": sha256(tmp_path / "flows.csv")}
        data = {"name": "hand", "spec": str(tmp_path / "spec.yml"), "hashes": hashes}
        manifest = start_manifest(folder, plan=plan, tasks=tasks, reporting_date="2026-09-30", data=data)
        made = [path for path in folder.rglob("02_cure/a*") if path.is_file()] + list(folder.rglob("a/*"))
        outputs = {path.relative_to(folder).as_posix(): sha256(path) for path in made}
        manifest.record(TaskResult("02_cure/a", TaskStatus.DONE, "2026-10-01T00:00:00+00:00", 1.5, None, outputs))
        manifest.finish()
        record_run(manifest, plan, key_variable=key_variable)
        return folder

    return make


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def said(folder, **options):
    return [f"{f.fault}: {f.name}" for f in verify_run(folder, **options).findings]


def lines_of(folder):
    return (folder.parent / "record.jsonl").read_text().splitlines()


def write_lines(folder, lines):
    (folder.parent / "record.jsonl").write_text("".join(f"{line}\n" for line in lines))


class TestARunThatIsAsRecorded:
    def test_stands_and_nothing_has_changed_since(self, make_run):
        found = verify_run(make_run("first"))
        assert (found.findings, found.since) == ((), ())
        assert (found.number, found.n_entries) == (1, 1)
        # Notebook, two results, one table, manifest, cover and the mark of a run folder.
        assert found.n_files == 7

    def test_its_cover_prints_the_hash_of_its_entry(self, make_run):
        folder = make_run("first")
        entry = json.loads((folder / "record.json").read_text())
        assert (folder / "index.html").read_text() == f"<html><p>{entry['hash']}</p></html>"
        assert entry == json.loads(lines_of(folder)[0])

    def test_every_entry_carries_the_hash_of_the_one_before(self, make_run):
        folders = [make_run(name) for name in ("first", "second", "third")]
        entries = [json.loads(line) for line in lines_of(folders[0])]
        assert [entry["number"] for entry in entries] == [1, 2, 3]
        assert [entry["previous"] for entry in entries] == [ZEROS, entries[0]["hash"], entries[1]["hash"]]
        assert [said(folder) for folder in folders] == [[], [], []]

    def test_its_hash_is_what_the_description_says_by_other_means(self, make_run):
        # A second implementation: the digits stand in the line itself; take the hash out of the text, not out of the
        # object. "hash" sorts between "format", "folder" and "inputs".
        (line,) = lines_of(make_run("first"))
        before, _, after = line.partition('"hash":"')
        digits, rest = after[:64], after[66:]
        assert hashlib.sha256((before + rest).encode("ascii")).hexdigest() == digits
        assert rest.startswith('"inputs"')

    def test_names_inputs_parameters_code_environment_and_every_output(self, make_run, tmp_path):
        folder = make_run("first")
        entry = json.loads(lines_of(folder)[0])
        assert entry["inputs"]["hashes"] == {"flows.csv": sha256(tmp_path / "flows.csv")}
        assert entry["inputs"]["files"] == {str(tmp_path / "rules.yml"): sha256(tmp_path / "rules.yml")}
        parameters = '{"02_cure/a":{"level":0.95,"rules":"../rules.yml","segment":"a"}}'
        assert entry["parameters_sha256"] == hashlib.sha256(parameters.encode()).hexdigest()
        assert entry["notebooks"] == {"02_cure": sha256(tmp_path / "notebooks_in" / "02_cure.ipynb")}
        assert len(entry["code"]["sha256"]) == len(entry["environment"]["packages_sha256"]) == 64
        on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"record.json"}
        assert set(entry["outputs"]) == on_disk

    def test_stands_also_after_it_was_moved_with_the_record(self, make_run, tmp_path):
        folder = make_run("first")
        shutil.copytree(folder.parent, tmp_path / "archive")
        assert said(tmp_path / "archive" / "first") == []
        (tmp_path / "archive" / "first").rename(tmp_path / "archive" / "renamed")
        assert said(tmp_path / "archive" / "renamed") == []

    def test_a_folder_that_is_run_again_is_held_against_its_last_entry(self, make_run):
        make_run("first")
        folder = make_run("first", number=2)
        found = verify_run(folder)
        assert (found.findings, found.number, found.n_entries) == ((), 2, 2)


class TestFilesOfARun:
    RESULT = "results/02_cure/a/counts.parquet"

    def test_a_truncated_output_is_named(self, make_run):
        folder = make_run("first")
        (folder / self.RESULT).write_bytes((folder / self.RESULT).read_bytes()[:-1])
        assert said(folder) == [f"altered: {self.RESULT}"]

    def test_one_changed_byte_is_named(self, make_run):
        folder = make_run("first")
        content = bytearray((folder / self.RESULT).read_bytes())
        content[5] ^= 1
        (folder / self.RESULT).write_bytes(content)
        assert said(folder) == [f"altered: {self.RESULT}"]

    def test_a_removed_and_an_added_file_are_named(self, make_run):
        folder = make_run("first")
        (folder / "tables" / "02_cure.counts.csv").rename(folder / "tables" / "02_cure.counts.csv.partial")
        assert said(folder) == ["missing: tables/02_cure.counts.csv", "added: tables/02_cure.counts.csv.partial"]

    def test_a_link_in_place_of_a_file_is_named(self, make_run, tmp_path):
        folder = make_run("first")
        shutil.move(folder / self.RESULT, tmp_path / "elsewhere")
        (folder / self.RESULT).symlink_to(tmp_path / "elsewhere")
        assert said(folder) == [f"altered: {self.RESULT}"]

    def test_an_altered_manifest_is_named_with_what_it_tells_otherwise(self, make_run):
        folder = make_run("first")
        text = (folder / "manifest.json").read_text()
        (folder / "manifest.json").write_text(text.replace('"level": 0.95', '"level": 0.9'))
        (finding,) = verify_run(folder).findings
        assert str(finding) == "altered: manifest.json (what it says of parameters is not what was recorded)"

    def test_another_hash_on_the_cover_is_named_and_so_is_none(self, make_run):
        folder = make_run("first")
        text = (folder / "index.html").read_text()
        entry = json.loads((folder / "record.json").read_text())
        (folder / "index.html").write_text(text.replace(entry["hash"], "f" * 64))
        assert said(folder) == ["altered: index.html"]
        (folder / "index.html").write_text(text.replace(entry["hash"], SEAL_PLACE))
        assert [str(f) for f in verify_run(folder).findings] == [
            "altered: index.html (it does not print the hash of its entry)"
        ]

    def test_an_output_that_was_altered_between_its_task_and_the_record_is_named(self, make_run, monkeypatch):
        write, altered = "recoverykit.batch.record._entry", []

        def late(manifest, plan, real=record_run.__globals__["_entry"]):
            path = manifest.run_folder / self.RESULT
            path.write_text("other")
            altered.append(path)
            return real(manifest, plan)

        monkeypatch.setattr(write, late)
        assert said(make_run("first")) == [f"altered: {self.RESULT}"]
        assert altered


class TestTheChain:
    @pytest.fixture
    def runs(self, make_run):
        return [make_run(name) for name in ("first", "second", "third", "fourth")]

    def test_an_edited_entry_is_named(self, runs):
        lines = lines_of(runs[0])
        lines[1] = lines[1].replace('"reporting_date":"2026-09-30"', '"reporting_date":"2026-06-30"')
        write_lines(runs[0], lines)
        assert said(runs[3]) == ["altered: entry 2, line 2 of record.jsonl"]
        assert said(runs[1]) == ["altered: entry 2, line 2 of record.jsonl", "altered: record.json"]

    def test_an_edited_entry_with_a_hash_made_anew_is_named(self, runs):
        lines = lines_of(runs[0])
        entry = json.loads(lines[1])
        entry["outputs"]["index.html"] = "0" * 64
        del entry["hash"]
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        entry["hash"] = hashlib.sha256(text.encode()).hexdigest()
        lines[1] = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        write_lines(runs[0], lines)
        assert said(runs[3]) == ["altered: entry 2, line 2 of record.jsonl"]

    def test_an_entry_without_its_form_is_named_and_stops_nothing(self, runs):
        lines = lines_of(runs[0])
        entry = json.loads(lines[3])
        del entry["environment"]
        write_lines(runs[0], [*lines[:3], json.dumps(entry, sort_keys=True, separators=(",", ":"))])
        assert said(runs[3]) == ["altered: entry 4, line 4 of record.jsonl", "removed: entry 4"]
        (runs[0] / "record.json").write_text(json.dumps({"hash": ZEROS, "outputs": {}}))
        assert said(runs[0])[-1] == "altered: record.json"

    def test_a_removed_entry_is_named(self, runs):
        lines = lines_of(runs[0])
        write_lines(runs[0], [lines[0], *lines[2:]])
        assert said(runs[3]) == ["removed: entry 2, line 2 of record.jsonl"]
        assert said(runs[1]) == ["removed: entry 2, line 2 of record.jsonl", "removed: entry 2"]

    def test_entries_cut_off_at_the_end_are_found_by_their_run(self, runs):
        write_lines(runs[0], lines_of(runs[0])[:2])
        assert said(runs[3]) == ["removed: entry 4"]
        assert said(runs[0]) == []  # a whole chain is left: only a head noted elsewhere tells

    def test_an_inserted_entry_is_named(self, runs):
        lines = lines_of(runs[0])
        forged = json.loads(lines[1])
        forged["status"] = "failed"
        write_lines(runs[0], [*lines[:2], json.dumps(forged, sort_keys=True, separators=(",", ":")), *lines[2:]])
        assert said(runs[3]) == ["inserted: entry 2, line 3 of record.jsonl"]
        write_lines(runs[0], [*lines[:2], lines[0], *lines[2:]])
        assert said(runs[3]) == ["inserted: entry 1, line 3 of record.jsonl"]

    def test_a_moved_entry_is_named(self, runs):
        lines = lines_of(runs[0])
        write_lines(runs[0], [lines[0], lines[2], lines[3], lines[1]])
        assert said(runs[3]) == ["reordered: entry 2, line 4 of record.jsonl"]

    def test_a_line_that_cannot_be_read_is_named_and_counts_for_one(self, runs):
        lines = lines_of(runs[0])
        write_lines(runs[0], [lines[0], lines[1][:-9], *lines[2:]])
        assert said(runs[3]) == ["altered: entry, line 2 of record.jsonl"]
        write_lines(runs[0], [lines[0], lines[1].replace(",", ", ", 1), *lines[2:]])  # the same to a JSON reader
        assert said(runs[3]) == ["altered: entry, line 2 of record.jsonl"]

    def test_without_the_record_the_run_is_held_against_its_own_entry(self, runs):
        (runs[0].parent / "record.jsonl").unlink()
        assert said(runs[1]) == ["missing: record.jsonl", "removed: entry 2"]
        (runs[1] / "record.json").unlink()
        with pytest.raises(RecoverykitError, match="is in no record"):
            verify_run(runs[1])

    def test_a_missing_or_altered_own_entry_is_named(self, runs):
        (runs[0] / "record.json").unlink()
        assert said(runs[0]) == ["missing: record.json"]
        (runs[1] / "record.json").write_text(
            (runs[1] / "record.json").read_text().replace('"status": "complete"', '"status": "failed"')
        )
        assert said(runs[1]) == ["altered: record.json"]

    def test_who_makes_everything_anew_is_found_by_the_hash_noted_elsewhere_only(self, runs, make_run):
        noted = verify_run(runs[0]).entry_hash
        shutil.rmtree(runs[0].parent)
        forged = make_run("first", number=9)
        assert said(forged) == []
        assert said(forged, expected=noted) == ["altered: entry 1"]
        with pytest.raises(RecoverykitError, match="give 12 digits"):
            verify_run(forged, expected=noted[:8])


class TestTheKey:
    def test_entries_made_without_the_key_are_named(self, make_run, monkeypatch):
        monkeypatch.setenv("RECORD_KEY", "planted-secret")
        signed = make_run("first", key_variable="RECORD_KEY")
        entry = json.loads(lines_of(signed)[0])
        assert entry["mac"] == hmac.new(b"planted-secret", entry["hash"].encode(), "sha256").hexdigest()
        assert verify_run(signed, key_variable="RECORD_KEY").signed
        assert not verify_run(signed).signed
        make_run("second")
        assert said(signed, key_variable="RECORD_KEY") == ["not signed: entry 2, line 2 of record.jsonl"]

    def test_the_key_stands_nowhere_and_a_missing_one_is_an_error(self, make_run, monkeypatch):
        monkeypatch.setenv("RECORD_KEY", "planted-secret")
        folder = make_run("first", key_variable="RECORD_KEY")
        assert not [p for p in folder.parent.rglob("*") if p.is_file() and b"planted-secret" in p.read_bytes()]
        monkeypatch.delenv("RECORD_KEY")
        with pytest.raises(RecoverykitError, match=r"the environment variable RECORD_KEY.*is not set"):
            verify_run(folder, key_variable="RECORD_KEY")


class TestSinceTheRun:
    def test_changed_data_and_notebooks_are_told_apart_from_a_broken_record(self, make_run, tmp_path):
        folder = make_run("first")
        (tmp_path / "flows.csv").write_text("facility_id,amount\nA,2\n")
        (tmp_path / "rules.yml").write_text("limit: 6")
        (tmp_path / "notebooks_in" / "02_cure.ipynb").unlink()
        found = verify_run(folder)
        assert found.stands
        since = ["missing: notebook 02_cure", "altered: data flows.csv", "altered: file rules.yml"]
        assert [str(f) for f in found.since] == since

    def test_another_package_or_environment_is_named(self, make_run, monkeypatch):
        folder = make_run("first")
        monkeypatch.setattr("recoverykit.batch.verification.library_hash", lambda: "0" * 64)
        monkeypatch.setattr("recoverykit.batch.record.platform.python_version", lambda: "2.7.18")
        code, environment = verify_run(folder).since
        assert code.name == "code"
        assert str(environment) == "altered: environment (python)"


class TestARunThatDoesNotComeToItsEnd:
    def test_is_recorded_with_its_status_and_its_own_error_goes_on(self, tmp_path):
        manifest = begun(tmp_path / "runs" / "first")
        with pytest.raises(KeyboardInterrupt), recorded(manifest, Plan.model_validate(PLAN)):
            raise interruption(manifest)
        (entry,) = read_links(tmp_path / "runs" / "record.jsonl")
        assert entry["status"] == "interrupted"
        assert said(tmp_path / "runs" / "first") == []

    def test_goes_without_an_entry_where_none_can_be_written(self, tmp_path):
        (tmp_path / "runs" / "record.jsonl").mkdir(parents=True)
        manifest = begun(tmp_path / "runs" / "first")
        with pytest.raises(KeyboardInterrupt), recorded(manifest, Plan.model_validate(PLAN)):
            raise interruption(manifest)
        with recorded(manifest, Plan.model_validate(PLAN)):
            manifest.finish(RunStatus.FAILED, reason="the disk was full")


def begun(folder):
    folder.mkdir(parents=True)
    return start_manifest(folder, plan=Plan.model_validate(PLAN), tasks=[], reporting_date="2026-09-30", data={})


def interruption(manifest):
    manifest.finish(RunStatus.INTERRUPTED, reason="interrupted by a signal")
    return KeyboardInterrupt()


class TestWritingTheRecord:
    def test_a_torn_last_line_is_named_and_cut_off_by_the_next_entry(self, tmp_path):
        path = tmp_path / "record.jsonl"
        append_link(path, {"kind": "run"})
        whole = path.read_bytes()
        path.write_bytes(whole + b'{"format":1,"fol')
        assert read_links(path)[1] is None
        assert append_link(path, {"kind": "run"})["number"] == 2
        assert path.read_bytes().startswith(whole + b'{"hash"')

    def test_entries_appended_at_the_same_time_make_one_chain(self, tmp_path):
        path = tmp_path / "record.jsonl"
        threads = [threading.Thread(target=append_link, args=(path, {"from": n})) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        links = read_links(path)
        assert [link["number"] for link in links] == list(range(1, 9))
        assert [link["previous"] for link in links] == [ZEROS, *(link["hash"] for link in links[:-1])]

    def test_a_run_that_came_to_its_end_but_cannot_be_recorded_says_so(self, make_run, tmp_path):
        (tmp_path / "runs" / "record.jsonl").mkdir(parents=True)
        with pytest.raises(RecoverykitError, match="has ended, but could not be recorded"):
            make_run("first")


class TestTheCommand:
    def test_says_what_it_found_and_returns_0_1_or_2(self, make_run, capsys, tmp_path):
        folder = make_run("first")
        assert cli.main(["verify", str(folder)]) == 0
        assert "As recorded: 7 files and 1 entries." in capsys.readouterr().out
        (folder / "tables" / "02_cure.counts.csv").unlink()
        assert cli.main(["verify", str(folder)]) == 1
        assert "  missing: tables/02_cure.counts.csv\n" in capsys.readouterr().out
        assert cli.main(["verify", str(tmp_path / "notebooks_in")]) == 2
        assert "is in no record" in capsys.readouterr().err

    def test_changed_data_count_when_asked_for(self, make_run, tmp_path, capsys):
        folder = make_run("first")
        (tmp_path / "flows.csv").write_text("other")
        assert cli.main(["verify", str(folder)]) == 0
        assert cli.main(["verify", str(folder), "--strict"]) == 1
        assert "  altered: data flows.csv\n" in capsys.readouterr().out
