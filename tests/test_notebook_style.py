"""The house style of the notebooks, read from their JSON."""

import ast
import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MAX_LINES, MAX_CODE_CELLS = 12, 20
# The shapes that papermill's own reader of a parameters cell understands.
PARAMETER = re.compile(r"^[a-z]\w*: (str|int|float|bool|list\[str\]) = [^#=]+  # \S.*$")


def cells(path, kind):
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == kind:
            yield "".join(cell["source"]), cell


def tagged(path, tag):
    return [s for s, c in cells(path, "code") if tag in c["metadata"].get("tags", [])]


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request):
    return request.param


def test_one_parameters_cell_of_typed_literals_with_help(notebook):
    (source,) = tagged(notebook, "parameters")
    for line in source.splitlines():
        assert PARAMETER.match(line), line
    for node in ast.parse(source).body:
        ast.literal_eval(node.value)


def test_code_cells_are_short_and_few(notebook):
    sources = [s for s, _ in cells(notebook, "code")]
    assert len(sources) <= MAX_CODE_CELLS
    for source in sources:
        lines = [x for x in source.splitlines() if x.strip()]
        assert len(lines) <= MAX_LINES, lines[0]


def test_logic_lives_in_the_library(notebook):
    banned = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.Try)
    for source, _ in cells(notebook, "code"):
        found = [type(n).__name__ for n in ast.walk(ast.parse(source)) if isinstance(n, banned)]
        assert not found, f"{found} in: {source.splitlines()[0]}"


def test_narrative_states_no_numbers_that_depend_on_the_segment(notebook):
    for source, _ in cells(notebook, "markdown"):
        prose = re.sub(r"\$[^$]*\$|`[^`]*`|\[[^\]]*\]\([^)]*\)|\b(19|20)\d\d\b", "", source)
        assert not re.search(r"\d+([.,]\d+)?\s?%", prose), source


def test_committed_without_outputs(notebook):
    for source, cell in cells(notebook, "code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None), source
