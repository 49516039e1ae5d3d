"""Pages are rendered through nbconvert and Jinja as the batch does it, and read as a browser and a reader would."""

import re
from pathlib import Path

import nbformat.v4 as v4
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbconvert.exporters import HTMLExporter

import recoverykit.report
from recoverykit.report.blocks import callout, key_figures, prose
from recoverykit.report.tables import show_table

TEMPLATES = Path(recoverykit.report.__file__).parent / "template"
#: A page without figures: far below the 400 kB that a page may weigh beside its figures.
MOST_BYTES = 40_000
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CONTEXT = {
    "title": "How much is lost?",
    "subtitle": "auto_loan | west",
    "reporting_date": "2026-09-30",
    "run_id": "run-1",
    "provenance": [["Code", "recoverykit 0.1.0"], ["Data", "sample <1>"]],
    "home": "../index.html",
    "next": {"href": "b.html", "title": "card | west"},
}
INDEX = {
    "run": {},
    "title": "Quarterly pack",
    "reporting_date": "2026-09-30",
    "run_id": "run-1",
    "gate": {"status": "incomplete", "text": "Incomplete: 1 of 4 pages is not available."},
    "key_figures": [{"label": "Coverage", "value": "37 %"}],
    "sentences": ["One idea.", "A <second> one.", "A third."],
    "portfolio_pages": [{"title": "Can the data be trusted?", "href": "pages/a.html", "status": "done"}],
    "segments": [
        {
            "name": "card | west",
            "cells": [
                {"href": "pages/b.html", "status": "done", "label": "done"},
                {"href": "pages/c.html", "status": "kernel_died", "label": "kernel died"},
            ],
        }
    ],
    "notebook_titles": ["When do loans cure?", "How much is lost?"],
    "failures": [
        {"title": "How much is lost?", "segment": "card | west", "error": "KernelDied: no memory", "href": "c"}
    ],
    "provenance": [["Run", "run-1"]],
}


def code(*outputs):
    return v4.new_code_cell("secret_source = 1", execution_count=7, outputs=list(outputs))


def shown(data, metadata=None):
    return v4.new_output("display_data", data=data, metadata=metadata or {})


def sample_notebook():
    frame = pd.DataFrame({"segment": ["card"], "n_episodes": [120]})
    marker = v4.new_markdown_cell(
        "<span>An Exception was encountered</span>", metadata={"tags": ["papermill-error-cell-tag"]}
    )
    return v4.new_notebook(
        cells=[
            marker,
            v4.new_markdown_cell("# What is lost & why?\n\nEvery episode counts."),
            code(shown(key_figures([("Episodes", "120")])._repr_mimebundle_())),
            v4.new_markdown_cell("## First *question*\n\nText.\n\n### A detail\n\n## First *question*"),
            code(shown(show_table(frame, caption="Losses")._repr_mimebundle_())),
            v4.new_markdown_cell("## Second question"),
            code(
                v4.new_output("stream", name="stderr", text="a warning"),
                v4.new_output("stream", name="stdout", text="printed <words>"),
                shown({"image/png": PNG}, {"image/png": {"alt": "A <dot>"}}),
                shown({"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>"}),
                shown(prose("One idea.")._repr_mimebundle_()),
                shown(callout("Mind this.", kind="warning")._repr_mimebundle_()),
                shown({"application/javascript": "alert(1)"}),
                v4.new_output("execute_result", data={"text/plain": "a plain result"}, execution_count=7),
            ),
            code(
                v4.new_output("error", ename="InsufficientDataError", evalue="only 4 cures", traceback=["/home/x.py"])
            ),
            v4.new_raw_cell("raw secret"),
        ]
    )


def render(notebook, context=CONTEXT, **options):
    exporter = HTMLExporter(template_name="recoverykit", extra_template_basedirs=[str(TEMPLATES)], **options)
    resources = {} if context is None else {"recoverykit": context}
    return exporter.from_notebook_node(notebook, resources=resources)[0]


def render_pack(name, context):
    environment = Environment(loader=FileSystemLoader(TEMPLATES / "pack"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(name).render(context)


@pytest.fixture(scope="module")
def html():
    return render(sample_notebook())


@pytest.fixture(scope="module")
def page(html):
    return BeautifulSoup(html, "html.parser")


@pytest.fixture(scope="module")
def cover():
    return BeautifulSoup(render_pack("index.html.j2", INDEX), "html.parser")


def test_no_code_prompt_warning_or_traceback_reaches_the_page(html):
    for hidden in (
        "secret_source",
        "In [",
        "Out[",
        "a warning",
        "/home/x.py",
        "raw secret",
        "alert(1)",
        "An Exception",
    ):
        assert hidden not in html


@pytest.mark.parametrize("options", [{}, {"exclude_anchor_links": True}, {"exclude_input": True}])
def test_the_contents_lead_to_every_section_however_the_exporter_is_set(options):
    page = BeautifulSoup(render(sample_notebook(), **options), "html.parser")
    links = [(link.get_text(), link["href"]) for link in page.select("nav.contents a")]
    assert links == [
        ("First question", "#section-1"),
        ("First question", "#section-2"),
        ("Second question", "#section-3"),
    ]
    assert not page.select("a.anchor-link")
    assert [heading["id"] for heading in page.select("main h2")] == ["section-1", "section-2", "section-3"]


def test_the_page_is_complete_in_itself_and_light(html):
    assert "<script" not in html
    assert "<link" not in html
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", html)
    assert "url(" not in html
    assert len(html.encode()) < MOST_BYTES


def test_the_head_tells_title_segment_date_and_way_home(page):
    assert page.html["lang"] == "en"
    assert page.title.get_text() == "How much is lost? · auto loan · west · 2026-09-30"
    assert [heading.get_text() for heading in page.select("h1")] == ["What is lost & why?"]
    head = page.select_one("header").get_text()
    assert "auto loan · west" in head
    assert "30\u00a0September\u00a02026" in head
    assert page.select_one("a.way-home")["href"] == "../index.html"
    assert page.select_one("a[rel=next]")["href"] == "b.html"


def test_landmarks_and_skip_link_are_there(page):
    for landmark in ("header", "nav", "main#content", "footer"):
        assert page.select_one(landmark), landmark
    assert page.select_one("a.skip")["href"] == "#content"


def test_every_picture_keeps_its_alternative_text(page):
    assert [picture["alt"] for picture in page.select("main img")] == ["A <dot>", "Figure without description"]


def test_an_error_is_told_calmly_and_printed_text_is_escaped(html, page):
    box = page.select_one(".rk-callout-bad").get_text()
    assert "InsufficientDataError: only 4 cures" in box
    assert "printed &lt;words&gt;" in html
    assert "a plain result" in html


def test_provenance_stands_in_the_footer(page):
    assert "recoverykit 0.1.0" in page.select_one("footer").get_text()
    assert "sample <1>" in page.select_one("footer").get_text()


def test_a_page_without_context_or_title_is_still_a_page():
    bare = BeautifulSoup(render(v4.new_notebook(cells=[v4.new_markdown_cell("Words.")]), context=None), "html.parser")
    assert bare.select_one("h1").get_text() == "Recovery analytics"
    assert not bare.select("nav")


def test_the_cover_leads_with_date_gate_and_failures(cover):
    head = cover.select_one("header").get_text()
    assert "30\u00a0September\u00a02026" in head
    assert "Incomplete: 1 of 4" in head
    first = cover.select_one("main > *")
    assert "failures" in first["class"]
    assert "card · west" in first.get_text()
    assert "KernelDied: no memory" in first.get_text()


def test_a_status_is_told_by_mark_and_word(cover):
    marks = [
        (m.select_one(".sign").get_text(), m.get_text(strip=True)[1:].strip()) for m in cover.select("table .mark")
    ]
    assert marks == [("✓", "done"), ("✗", "kernel died")]


def test_the_cover_escapes_words_and_shows_six_figures_at_most():
    figures = [{"label": f"label {place}", "value": "1", "note": ""} for place in range(8)]
    cover = render_pack("index.html.j2", {**INDEX, "key_figures": figures})
    assert "A &lt;second&gt; one." in cover
    assert cover.count('class="rk-tile"') == 6


def test_an_empty_run_still_has_a_cover():
    lists = ("key_figures", "sentences", "portfolio_pages", "segments", "notebook_titles", "failures", "provenance")
    cover = render_pack("index.html.j2", {**INDEX, **{name: [] for name in lists}})
    assert "Quarterly pack" in cover
    assert "Not available in this pack" not in cover


def test_a_page_that_is_not_available_says_why_and_hides_the_traceback_in_a_fold():
    error = {
        "name": "KernelDied",
        "message": "no memory",
        "cell_index": 3,
        "cell_source": "fit()",
        "traceback": "<frame>",
    }
    page = BeautifulSoup(
        render_pack("unavailable.html.j2", {**CONTEXT, "status": "kernel_died", "error": error}), "html.parser"
    )
    box = page.select_one(".rk-callout-bad").get_text()
    assert "was stopped by the system" in box
    assert "KernelDied: no memory" in box
    assert "cell 3" in box
    assert "<frame>" in page.select_one("details").get_text()


def test_a_page_that_was_not_run_needs_neither_error_nor_home():
    page = render_pack("unavailable.html.j2", {"title": "T", "status": "not_run", "error": None})
    assert "was not run" in page


def luminance(colour):
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"), ("muted", "paper"), ("muted", "ground"), ("accent", "paper"), ("accent", "ground"),
        ("on-brand", "brand"), ("on-brand-quiet", "brand"), ("good", "good-ground"), ("warning", "warning-ground"),
        ("bad", "bad-ground"), ("bad", "paper"), ("accent", "bad-ground"), ("muted", "none-ground"),
    ],
)  # fmt: skip
def test_text_and_ground_differ_enough_for_weak_eyes(text, ground):
    style = (TEMPLATES / "pack" / "style.css").read_text()
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", style))
    full = {name: c if len(c) == 7 else "#" + "".join(2 * digit for digit in c[1:]) for name, c in colours.items()}
    light, dark = sorted((luminance(full[text]), luminance(full[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # level AA for text of normal size
