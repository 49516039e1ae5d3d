"""What several test files share: small notebooks written on the spot."""

from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PARAMETERS = """data: str = ""  # the book
reporting_date: str = ""  # ISO date
results_folder: str = ""  # empty for none"""
SEGMENT = '\nsegment: str = ""  # name of the segment'


@pytest.fixture(scope="session")
def write_notebook() -> Callable[..., Path]:
    """Return a function that writes a notebook: title, parameters cell, code cells."""

    def write(
        folder: Path, name: str, code: Sequence[str] = (), *, title: str = "", more: str = "", segment: bool = True
    ) -> Path:
        parameters = PARAMETERS + (SEGMENT if segment else "") + (f"\n{more}" if more else "")
        cells = [
            new_markdown_cell(f"# {title or name}"),
            new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *[new_code_cell(source) for source in code],
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = folder / f"{name}.ipynb"
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
        return path

    return write
