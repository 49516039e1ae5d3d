"""The one-way flow of the package, read from its source.

A part imports only from the rows above its own: the ground first, the roof last.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "recoverykit"

ROWS = [
    {"vocabulary", "errors", "refused_columns"},
    {"curves"},
    {"data"},
    {"episodes"},
    {"estimators"},
    {"portfolio", "operations"},
    {"report"},
    {"batch"},
    {"_cli_show", "_cli_record"},
    {"cli"},
    {"__main__"},
]
STRANGERS = {  # part -> parts above it in the list which it must not know all the same
    "estimators": {"data"},
    "report": {"data", "episodes", "estimators"},
    "batch": {"data", "episodes", "estimators", "portfolio", "operations"},
}
HOMES = {  # third-party package -> the only parts which may import it
    "papermill": {"batch"},
    "nbconvert": {"batch"},
    "matplotlib": {"report"},
    "seaborn": {"report"},
    "lifelines": {"estimators", "operations"},
    "statsmodels": {"estimators", "operations"},
    "ibis": {"data", "episodes", "portfolio"},
    "duckdb": {"data", "episodes"},
    "openpyxl": {"report"},
    "sklearn": {"estimators"},
}
PLACE = {part: row for row, parts in enumerate(ROWS) for part in parts}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def part_of(path):
    """Return the top-level part of the package in which a module lives."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """Return the dotted names which a module imports, at any depth of its code."""
    here = ["recoverykit", *path.relative_to(PACKAGE).with_suffix("").parts[:-1]]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def parts_met(path):
    dotted = (n.split(".") for n in imported(path))
    return {n[1] for n in dotted if n[0] == "recoverykit" and len(n) > 1 and n[1] in PLACE} - {part_of(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
class TestModule:
    def test_has_a_place(self, path):
        assert part_of(path) in PLACE

    def test_imports_only_from_the_rows_above(self, path):
        part = part_of(path)
        assert not {m for m in parts_met(path) if PLACE[m] >= PLACE[part]}
        assert not parts_met(path) & STRANGERS.get(part, set())

    def test_keeps_third_parties_at_home(self, path):
        met = {n.split(".")[0] for n in imported(path)} & HOMES.keys()
        assert not {m for m in met if part_of(path) not in HOMES[m]}

    def test_imports_nothing_inside_a_function(self, path):
        tree = ast.parse(path.read_text())
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        assert not [f.name for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)]
