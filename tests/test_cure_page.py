"""The notebook on time to cure, cell by cell on books with little in them: it says so, and it never stops."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "02_time_to_cure.ipynb"
PLAIN = str.maketrans({"\u202f": " ", "\u00a0": " "})

OPEN = {"default_date": "2023-01-31", "outstanding": 100.0, "ltv_ratio": 0.5}
SOLD = {"default_date": "2023-01-31", "outcome": "sold", "outcome_date": "2023-06-30", "ltv_ratio": 0.7}
CURED = {"default_date": "2023-01-31", "outcome": "cured", "outcome_date": "2023-06-30", "ltv_ratio": 0.6}


def read_page(folder, **parameters):
    """Run the code cells as a kernel does, and return the text that a reader of the page sees."""
    names, shown = {}, []
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"])).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), cell["id"], "exec"), names)
        if cell["id"] == "parameters":
            names |= {"data": str(folder), **parameters}
        if last is not None:
            value = eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)
            html = (
                value._repr_mimebundle_()["text/html"] if hasattr(value, "_repr_mimebundle_") else value._repr_html_()
            )
            shown.append(re.sub(r"<style>.*?</style>|<[^>]+>", " ", re.sub(r'alt="([^"]*)"', r">\1<", html)))
    return re.sub(r"\s+", " ", " ".join(shown).translate(PLAIN))


def page_of(book, tmp_path, **parameters):
    return read_page(book.write(tmp_path / "book"), **parameters)


def test_a_book_without_any_outcome(small_book, tmp_path):
    page = page_of(small_book([OPEN] * 12), tmp_path)
    assert "No model: no cured episodes in the whole book of 12 episodes." in page
    assert "No loan has left default yet: nothing to show" in page
    assert "By month 17 after default no loan has left default." in page
    assert "Without a model of cure there is no plateau to judge." in page
    assert "No loan of this segment has cured" in page


def test_a_book_of_three_loans_withholds_what_is_too_small(small_book, tmp_path):
    page = page_of(small_book([OPEN, SOLD, CURED]), tmp_path)
    assert "the whole book holds fewer than 10 cured episodes, and a model needs 60" in page
    assert "How the open loans will end could not be estimated: there are fewer than 10 closed episodes" in page
    assert "Fewer than 10 episodes at risk: not shown" in page
    assert "Too few loans have been watched for long enough to say what has become of them." in page
    assert "Too few episodes have been watched for long enough to say when half of them are resolved." in page


def test_a_book_without_cures_still_tells_how_its_loans_end(small_book, tmp_path):
    sold = [{**SOLD, "outcome_date": f"2023-{month:02d}-28"} for month in (5, 6, 7, 8, 9, 10) for _ in range(15)]
    page = page_of(small_book([*sold, *[OPEN] * 60]), tmp_path)
    # 90 of 150 sold, and nobody after month 9 though all were watched to month 17
    assert "60.0 % are sold; 40.0 %" in page
    assert "are estimated never to be resolved" in page
    assert "No model with drivers: nothing to show" in page


def test_a_segment_without_a_cure_borrows_a_model_and_shows_no_curve(prepared_book, tmp_path):
    episodes = prepared_book.episodes
    barren = (episodes["product"] == "mortgage") & (episodes["region"] == "mountain")
    hidden = episodes.assign(outcome=episodes["outcome"].mask(barren & (episodes["outcome"] == "cured"), "open"))
    page = page_of(replace(prepared_book, episodes=hidden), tmp_path, segment="mortgage | mountain")
    assert "that of mortgage, because there are no cured episodes" in page
    assert "No loan of this segment has cured, so there is no curve of cures to draw." in page
    assert "Is the plateau real? Several answers (mortgage)" in page
    assert "Predicted and observed shares could not be compared" in page


def test_a_book_whose_loans_all_cure_stands_on_a_boundary_and_says_so(small_book, tmp_path):
    loans = [
        {**CURED, "outcome_date": f"2023-{5 + number % 7:02d}-28", "ltv_ratio": 0.3 + (number * 37 % 50) / 100}
        for number in range(140)
    ]
    page = page_of(small_book(loans), tmp_path, drivers=["ltv_ratio"])
    assert "0.0 % of defaulted loans are estimated never to reach it." in page
    assert "no loan was watched beyond it" in page
    assert "The data do not" in page
    assert "It lies on a boundary:" in page


def test_a_book_without_the_drivers_has_a_model_without_them(prepared_book, tmp_path):
    page = page_of(prepared_book, tmp_path, segment="mortgage", drivers=["no_such_driver"])
    assert "No model with drivers: nothing to show" in page
    assert "or it is the same for every loan: no_such_driver." in page
    assert "The follow-up supports a share that never cures" in page


@pytest.mark.parametrize("segment", [pytest.param("all", marks=pytest.mark.slow), "personal_loan | mountain"])
def test_a_page_of_the_sample_reads_through(prepared_book, tmp_path, segment):
    page = page_of(prepared_book, tmp_path, segment=segment, results_folder=str(tmp_path / "results"))
    assert "nan" not in page.replace("finance", "")
    assert "None" not in page
    for words in (
        "Dark lines: edges of the areas by the model of all outcomes",
        "Once all are resolved, by the model",
        "distribution is used",
        "Raises the chance of ever curing",
        "The residuals follow the diagonal",
        "of the observed share holds the predicted one in",
        "Written for segment",
    ):
        assert words in page
