"""The quarterly job as a person runs it: the whole plan over three segments of the sample, and what the pack says."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from recoverykit import cli
from recoverykit.batch.plan import read_plan
from recoverykit.batch.render import outside_references

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data_samples" / "specs" / "sample.yml"
PHONE_WIDTH = 500  # pixels: the narrowest window that headless Chromium opens
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER = [
    *(CHROMIUM or "", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update"),
    *("--disable-background-networking", "--disable-sync", "--virtual-time-budget=2000", "--dump-dom"),
]


def write_plan(folder, **changes):
    """The shipped plan with few segments, so that the test takes half a minute."""
    text = (ROOT / "notebooks" / "plans" / "quarterly.yml").read_text()
    text = text.replace("segment_by: [product, region]", "segment_by: [channel]")
    text = text.replace("notebooks_folder: ..", f"notebooks_folder: {json.dumps(str(ROOT / 'notebooks'))}")
    path = folder / "plan.yml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quarterly")
    plan = write_plan(folder)
    code = cli.main(["run", str(plan), "--data", str(SAMPLE), "--out", str(folder / "run"), "--quiet"])
    assert code == 0, (folder / "run" / "manifest.json").read_text()[-3000:]
    return folder / "run"


def table(run, name):
    return pd.read_parquet(run / "tables" / f"{name}.parquet")


def cents(values):
    return int((values * 100).round().astype("int64").sum())


class TestPack:
    def test_every_notebook_has_its_page_and_the_manifest_says_complete(self, run):
        manifest = json.loads((run / "manifest.json").read_text())
        assert manifest["status"] == "complete"
        runs = {"portfolio": 1, "segment_group": 3, "segment": 3}  # three channels, which are groups and segments
        stages = read_plan(ROOT / "notebooks" / "plans" / "quarterly.yml").stages
        assert len(manifest["tasks"]) == sum(runs[stage.scope] * len(stage.notebooks) for stage in stages)
        pages = {p.relative_to(run / "pages").with_suffix("").as_posix() for p in run.glob("pages/*/*.html")}
        assert pages == set(manifest["tasks"])

    def test_the_cover_shows_six_figures_and_links_every_page(self, run):
        index = (run / "index.html").read_text()
        links = set(re.findall(r'href="(pages/[^"]+)"', index))
        assert links == {p.relative_to(run).as_posix() for p in run.glob("pages/*/*.html")}
        record = json.loads((run / "results" / "05_provision" / "all" / "record.json").read_text())
        assert len(record["key_figures"]) == 6
        assert all(figure["value"] in index for figure in record["key_figures"])

    def test_no_page_shows_code_or_a_facility_or_fetches_anything(self, run):
        ids = pd.read_parquet(run / "book" / "facilities.parquet")
        some = set(ids["facility_id"].head(50)) | set(ids["obligor_id"].head(50))
        for page in [*run.glob("pages/*/*.html"), run / "index.html"]:
            html = page.read_text()
            assert not outside_references(html), page
            text = re.sub(r"data:image/svg\+xml;base64,[^\"]+", "", html)
            assert "import recoverykit" not in text, page
            assert not [name for name in some if name in text], page

    def test_every_figure_has_words_for_those_who_cannot_see_it(self, run):
        figures = re.findall(r"<img[^>]*>", "".join(p.read_text() for p in run.glob("pages/*/*.html")))
        assert len(figures) > 20
        assert all(re.search(r'alt="[^"]{20,}"', figure) for figure in figures)

    @pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to lay pages out")
    @pytest.mark.parametrize(
        "name",
        [
            "index.html",
            "pages/05_provision/all.html",
            "pages/02_time_to_cure/all.html",
            "pages/06_model_validation/all.html",
        ],
    )
    def test_no_page_is_wider_than_a_narrow_window(self, run, name, tmp_path):
        measure = "<script>document.title = 'width ' + document.documentElement.scrollWidth</script></body>"
        page = tmp_path / "page.html"
        page.write_text((run / name).read_text().replace("</body>", measure))
        size = [f"--window-size={PHONE_WIDTH},900", f"--user-data-dir={tmp_path / 'profile'}"]
        shown = subprocess.run([*BROWSER, *size, page.as_uri()], capture_output=True, text=True, timeout=60)
        width = re.search(r"<title>width (\d+)</title>", shown.stdout)
        assert width, shown.stderr[-500:]
        assert int(width[1]) <= PHONE_WIDTH


class TestTotals:
    def test_episodes_exposure_and_recoveries_of_the_segments_equal_the_book(self, run):
        summary = table(run, "04_loss_given_default.summary")
        book, segments = summary[summary["segment"] == "all"], summary[summary["segment"] != "all"]
        assert len(segments) == 3
        for column in ("n_episodes_in_worksheet", "ead_in_worksheet", "net_recovery_amount"):
            assert cents(segments[column]) == cents(book[column]), column
        episodes = pd.read_parquet(run / "book" / "episodes.parquet")
        assert segments["n_episodes_in_worksheet"].sum() == len(episodes)
        assert cents(segments["ead_in_worksheet"]) == cents(episodes["ead"])

    def test_the_allowance_foots_to_the_cent_by_facility_segment_age_and_book(self, run):
        facilities = table(run, "05_provision.allowance")
        for column in ("allowance", "gross_carrying_amount"):
            total = cents(facilities[column])
            assert cents(table(run, "05_provision.allowance_by_segment")[column]) == total
            assert cents(table(run, "05_provision.allowance_by_age")[column]) == total
        episodes = pd.read_parquet(run / "book" / "episodes.parquet")
        still_open = episodes[episodes["outcome"] == "open"]
        assert len(facilities) == len(still_open)
        assert cents(facilities["gross_carrying_amount"]) == cents(still_open["outstanding"])

    def test_the_page_reports_that_all_controls_agree(self, run):
        record = json.loads((run / "results" / "05_provision" / "all" / "record.json").read_text())
        assert record["sentences"][-1] == "All 7 control totals agree to the cent."

    def test_tables_are_there_as_parquet_and_as_csv_with_the_same_rows(self, run):
        names = {p.stem for p in run.glob("tables/*.parquet")}
        assert names == {p.stem for p in run.glob("tables/*.csv")}
        for name in names:
            assert pq.read_metadata(run / "tables" / f"{name}.parquet").num_rows == len(
                pd.read_csv(run / "tables" / f"{name}.csv", low_memory=False)
            )


def test_the_same_data_parameters_and_code_give_the_same_bytes(run, tmp_path):
    plan = write_plan(tmp_path)
    more = ["--only", "03_recovery_curves", "04_loss_given_default", "--segment", "broker", "--quiet"]
    assert cli.main(["run", str(plan), "--data", str(SAMPLE), "--out", str(tmp_path / "again"), *more]) == 0
    again = sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").glob("results/*/*/*"))
    folders = [run / "results" / name / segment for name in more[1:3] for segment in ("all", "broker")]
    assert again == sorted(p.relative_to(run) for folder in folders for p in folder.iterdir())
    assert [p for p in again if (tmp_path / "again" / p).read_bytes() != (run / p).read_bytes()] == []


def test_data_that_break_the_contract_leave_no_pack_behind(tmp_path, capsys):
    shutil.copytree(ROOT / "data_samples", tmp_path / "data")
    flows = pd.read_parquet(tmp_path / "data" / "cash_flows.parquet")
    flows.loc[[3, 5], "facility_id"] = "nobody"
    flows.loc[9, "amount"] = -1.0
    flows.to_parquet(tmp_path / "data" / "cash_flows.parquet", index=False)
    spec = tmp_path / "data" / "specs" / "sample.yml"
    out = tmp_path / "run"
    assert cli.main(["run", str(write_plan(tmp_path)), "--data", str(spec), "--out", str(out), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "2 rules of the data contract broken" in said
    assert "nobody" in said
    assert not out.exists()
