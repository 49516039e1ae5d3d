"""Pages and index: complete in themselves, without code, and honest about what is missing."""

import base64
import os
import re
import shutil
import time
from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from recoverykit.batch._owner import owned
from recoverykit.batch._tasks import CellError, Task, TaskResult, TaskStatus
from recoverykit.batch.manifest import RunStatus, start_manifest
from recoverykit.batch.plan import Plan
from recoverykit.batch.render import outside_references, render_index, render_pack, render_page, template_folder
from recoverykit.batch.results import write_result
from recoverykit.errors import NotebookError, RecoverykitError

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 40).decode()
SECRET_OF_THE_ANALYST = "internal_function_name"
CONTEXT = {
    "title": "How long until a loan cures?",
    "subtitle": "auto | west",
    "reporting_date": "2026-09-30",
    "run_id": "small-2026-09-30-x",
    "provenance": [["Run", "small-2026-09-30-x"], ["Data", "ab12cd34"]],
    "home": "../../index.html",
}
PLAN = Plan.model_validate(
    {
        "version": 1,
        "name": "small",
        "title": "Small <pack>",
        "stages": [
            {"name": "data", "scope": "portfolio", "notebooks": ["01_look"]},
            {"name": "segments", "scope": "segment", "notebooks": ["02_cure", "03_curve"]},
            {"name": "book", "scope": "portfolio", "notebooks": ["05_provision"]},
        ],
    }
)
SEGMENTS = ("auto | west", "card | east")


class Fetched(HTMLParser):
    """Collects every attribute value by which a browser fetches something, and every link."""

    def __init__(self):
        super().__init__()
        self.fetched, self.links, self.alts = [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.fetched += [attributes[name] for name in ("src", "srcset", "data", "poster") if attributes.get(name)]
        if tag == "link":
            self.fetched.append(attributes.get("href", ""))
        if tag == "a":
            self.links.append(attributes.get("href", ""))
        if tag == "img":
            self.alts.append(attributes.get("alt"))


def parsed(text):
    reader = Fetched()
    reader.feed(text)
    return reader


def executed(title, *outputs):
    figure = new_output(
        "display_data", {"image/png": PIXEL, "text/plain": "<Figure>"}, metadata={"image/png": {"alt": "a curve"}}
    )
    noise = new_output("stream", name="stderr", text="FutureWarning: a library grumbles")
    code = new_code_cell(f"{SECRET_OF_THE_ANALYST}(data)", outputs=[figure, noise, *outputs], execution_count=7)
    source = new_markdown_cell("## Where from\nSee [the paper](https://example.org/paper).")
    return new_notebook(cells=[new_markdown_cell(f"# {title}"), code, source])


def page(tmp_path, notebook):
    nbformat.write(notebook, tmp_path / "x.ipynb")
    render_page(tmp_path / "x.ipynb", tmp_path / "pages" / "x.html", context=CONTEXT)
    return (tmp_path / "pages" / "x.html").read_text(encoding="utf-8")


class TestPage:
    def test_nothing_is_fetched_from_elsewhere(self, tmp_path):
        text = page(tmp_path, executed("How long?"))
        reader = parsed(text)
        assert reader.fetched
        assert all(address.startswith("data:") for address in reader.fetched)
        assert "https://example.org/paper" in reader.links  # a link is followed by people only
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//|import .* from ['\"]http|cdnjs|unpkg", text)

    def test_code_prompts_and_warnings_are_left_out(self, tmp_path):
        text = page(tmp_path, executed("How long?"))
        assert SECRET_OF_THE_ANALYST not in text
        assert "In [7]" not in text.replace("&nbsp;", " ")
        assert "grumbles" not in text

    def test_alternative_text_of_figures_is_kept(self, tmp_path):
        assert parsed(page(tmp_path, executed("How long?"))).alts == ["a curve"]

    def test_title_segment_and_provenance_stand_on_the_page(self, tmp_path):
        text = page(tmp_path, executed("How long?"))
        assert re.search(r"<title>How long until a loan cures\?.*</title>", text)
        assert re.search(r"auto\W+west", text)
        for words in ("ab12cd34", "small-2026-09-30-x"):
            assert words in text

    def test_an_output_that_would_fetch_from_elsewhere_is_refused(self, tmp_path):
        tracker = new_output("display_data", {"text/html": '<img src="https://example.org/pixel.png" alt="">'})
        with pytest.raises(NotebookError, match=r"would fetch https://example\.org/pixel\.png"):
            page(tmp_path, executed("How long?", tracker))
        assert not (tmp_path / "pages").exists()

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"nbformat": 4, "nbformat_minor": 5}'])
    def test_a_broken_notebook_is_an_error_in_words(self, tmp_path, text):
        (tmp_path / "x.ipynb").write_text(text)
        with pytest.raises(NotebookError, match=r"x\.ipynb cannot be read"):
            render_page(tmp_path / "x.ipynb", tmp_path / "x.html", context=CONTEXT)

    def test_a_page_is_made_in_this_process_within_a_second(self, tmp_path):
        page(tmp_path, executed("How long?"))  # the templates are read once
        begin = time.perf_counter()
        page(tmp_path, executed("How long?"))
        assert time.perf_counter() - begin < 1.0  # a new process of nbconvert would take twice this alone


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://a.org/x.js"></script>', ["https://a.org/x.js"]),
        ("<script type='module'>import m from 'https://a.org/m.mjs';</script>", ["https://a.org/m.mjs"]),
        ('<link rel="stylesheet" href="//a.org/x.css">', ["//a.org/x.css"]),
        ("<style>@import url(https://a.org/x.css);</style>", ["https://a.org/x.css"]),
        ("<style>body {background: url('http://a.org/x.png')}</style>", ["http://a.org/x.png"]),
        ('<img alt="x" src=http://a.org/x.png>', ["http://a.org/x.png"]),
        ('<a href="https://a.org">words</a> and https://b.org in the text', []),
        ('<img src="data:image/png;base64,AAAA"><svg xmlns="http://www.w3.org/2000/svg"></svg>', []),
    ],
)
def test_outside_references_are_what_a_browser_fetches_by_itself(html, found):
    assert outside_references(html) == found


def made_run(folder, *, failing=(), status=None, selection=None, records=True, left_out=()):
    """Write a run folder as a run of two segments leaves it, without starting a kernel."""
    sources = folder.parent / "sources"
    sources.mkdir(exist_ok=True)
    tasks = []
    for stage in PLAN.stages:
        for segment in {"segment": SEGMENTS, "segment_group": ("auto", "card")}.get(stage.scope, [""]):
            for name in stage.notebooks:
                nbformat.write(executed(f"What of {name}?"), sources / f"{name}.ipynb")
                tasks.append(Task(name, str(sources / f"{name}.ipynb"), stage.name, segment, {}))
    folder.mkdir()
    data = {"name": "hand", "hashes": {"flows.csv": "ab" * 32}, "left_out": left_out}
    manifest = start_manifest(
        folder, plan=PLAN, tasks=tasks, reporting_date="2026-09-30", data=data, selection=selection
    )
    for task in tasks:
        target = folder / "notebooks" / f"{task.key}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(task.path, target)
        error = CellError("ValueError", "no <cash> flow", 4, "x = 1", "Traceback of code")
        failed = task.key in failing
        manifest.record(
            TaskResult(task.key, TaskStatus.FAILED if failed else TaskStatus.DONE, "", 1.0, error if failed else None)
        )
    figures = [{"label": "Allowance", "value": "1.2 m", "note": "stage 3"}]
    record = {"key_figures": figures, "sentences": ["Half of the book is covered."]} if records else {}
    write_result(str(folder / "results"), notebook="05_provision", record=record)
    manifest.finish(status)
    return folder


def index_of(folder):
    return render_pack(folder).index.read_text(encoding="utf-8")


class TestPack:
    def test_the_cover_says_what_the_data_could_not_fill_and_else_nothing_of_it(self, tmp_path):
        words = "units: the data hold no table actions, so 13_units did not run"
        assert "Left out" not in index_of(made_run(tmp_path / "whole"))
        text = index_of(made_run(tmp_path / "run", left_out=[words]))
        assert "Left out of this pack" in text
        assert words in text

    def test_every_page_is_linked_from_the_index_and_stands_where_the_link_says(self, tmp_path):
        folder = made_run(tmp_path / "run")
        links = [link for link in parsed(index_of(folder)).links if link.startswith("pages/")]
        assert sorted(set(links)) == sorted(
            ["pages/01_look/all.html", "pages/05_provision/all.html"]
            + [f"pages/{n}/{s}.html" for n in ("02_cure", "03_curve") for s in ("auto__west", "card__east")]
        )
        assert all((folder / link).is_file() for link in links)

    def test_pages_by_group_of_segments_stand_in_a_table_of_their_own(self, tmp_path, monkeypatch):
        groups = {"name": "groups", "scope": "segment_group", "notebooks": ["06_check"]}
        stages = [*PLAN.model_dump(mode="json")["stages"], groups]
        monkeypatch.setattr(__name__ + ".PLAN", PLAN.model_validate({**PLAN.model_dump(mode="json"), "stages": stages}))
        text = index_of(made_run(tmp_path / "run"))
        table = text[text.index("By group of segments") : text.index("By segment")]
        links = [link for link in parsed(table).links if link.startswith("pages/")]
        assert links == ["pages/06_check/auto.html", "pages/06_check/card.html"]
        assert "06_check" not in text[text.index("By segment") : text.index("Sign-off")]

    def test_links_between_pages_lead_to_pages(self, tmp_path):
        folder = made_run(tmp_path / "run")
        render_pack(folder)
        for path in (folder / "pages").rglob("*.html"):
            inner = [x for x in parsed(path.read_text()).links if not x.startswith(("#", "http"))]
            assert "../../index.html" in inner
            assert all((path.parent / link).resolve().is_file() for link in inner), (path, inner)

    def test_the_cover_shows_the_gate_key_figures_and_sentences(self, tmp_path):
        text = index_of(made_run(tmp_path / "run"))
        for words in ("Complete: all 6 pages are available.", "Allowance", "1.2 m", "Half of the book is covered."):
            assert words in text
        assert "Small &lt;pack&gt;" in text

    def test_the_index_fetches_nothing_from_elsewhere(self, tmp_path):
        text = index_of(made_run(tmp_path / "run"))
        assert not [address for address in parsed(text).fetched if not address.startswith("data:")]
        assert outside_references(text) == []

    def test_a_failed_task_makes_the_pack_incomplete_and_its_page_says_why(self, tmp_path):
        folder = made_run(tmp_path / "run", failing=["02_cure/card__east"])
        text = index_of(folder)
        assert "Incomplete: 1 of 6 pages" in text
        assert "ValueError: no &lt;cash&gt; flow" in text
        instead = (folder / "pages" / "02_cure" / "card__east.html").read_text()
        assert "not available" in instead
        assert re.search(r"<details>.*Traceback of code.*</details>", instead, re.DOTALL)  # folded away
        assert outside_references(instead) == []

    def test_a_failed_provision_leaves_no_key_figures(self, tmp_path):
        # Its record may stand there from a cell before the failing one.
        text = index_of(made_run(tmp_path / "run", failing=["05_provision/all"]))
        assert "1.2 m" not in text

    def test_a_pack_without_key_figures_is_still_a_pack(self, tmp_path):
        assert "Complete: all 6 pages" in index_of(made_run(tmp_path / "run", records=False))

    def test_a_part_of_the_plan_does_not_look_whole(self, tmp_path):
        text = index_of(made_run(tmp_path / "run", selection={"segments": ["auto | west"]}))
        assert "Part of the plan only: auto | west." in text
        assert "Complete:" not in text

    def test_a_page_that_cannot_be_rendered_is_replaced_and_counted(self, tmp_path):
        folder = made_run(tmp_path / "run")
        (folder / "notebooks" / "03_curve" / "auto__west.ipynb").write_text("{")
        pack = render_pack(folder)
        assert pack.not_rendered == ("03_curve/auto__west",)
        assert "Incomplete: 1 of 6 pages" in pack.index.read_text()
        assert "cannot be read" in (folder / "pages" / "03_curve" / "auto__west.html").read_text()

    def test_a_run_that_goes_on_gets_no_index(self, tmp_path):
        folder = made_run(tmp_path / "run", status=RunStatus.RUNNING)
        with owned(folder), pytest.raises(RecoverykitError, match=f"goes on, by process {os.getpid()} on"):
            render_pack(folder)
        assert not (folder / "index.html").exists()

    @pytest.mark.parametrize(
        ("status", "word"), [(RunStatus.INTERRUPTED, "interrupted"), (RunStatus.RUNNING, "killed")]
    )
    def test_the_pack_of_a_run_that_was_cut_off_says_so(self, tmp_path, status, word):
        # A manifest that says "running" while no process holds the folder is that of a killed run.
        text = index_of(made_run(tmp_path / "run", status=status))
        assert f"Incomplete: the run was {word}; 0 of 6 pages are not available." in text

    def test_an_older_index_is_gone_when_rendering_fails_on_the_way(self, tmp_path):
        folder = made_run(tmp_path / "run")
        render_pack(folder)
        shutil.rmtree(folder / "pages")
        (folder / "pages").write_text("a file in the way")
        with pytest.raises(RecoverykitError, match="cannot write"):
            render_pack(folder)
        assert not (folder / "index.html").exists()

    def test_rendering_again_gives_the_same_bytes(self, tmp_path):
        folder = made_run(tmp_path / "run")
        first = index_of(folder)
        pages = {path: path.read_bytes() for path in (folder / "pages").rglob("*.html")}
        assert index_of(folder) == first
        assert all(path.read_bytes() == content for path, content in pages.items())

    def test_a_template_that_asks_for_what_there_is_not_is_an_error(self, tmp_path):
        (tmp_path / "pack").mkdir()
        (tmp_path / "pack" / "index.html.j2").write_text("{{ nothing_of_this_name }}")
        with pytest.raises(RecoverykitError, match="nothing_of_this_name"):
            render_index({}, tmp_path / "index.html", context={}, templates=tmp_path)


def test_the_templates_are_part_of_the_package():
    for name in (
        "recoverykit/conf.json",
        "recoverykit/index.html.j2",
        "pack/index.html.j2",
        "pack/unavailable.html.j2",
    ):
        assert (template_folder() / name).is_file()
