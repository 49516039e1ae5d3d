"""The pack: every executed notebook as a page without code, linked from one index, each page complete in itself.

Pages are made in this process through nbconvert and hold nothing that a browser would fetch from elsewhere. How they
look is settled by the templates of ``report``; what is said about the run comes from the manifest alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from nbconvert.exporters import HTMLExporter

from recoverykit.batch import _pack
from recoverykit.batch._files import INDEX, NOTEBOOKS, PAGES, RESULTS, write_text
from recoverykit.batch._tasks import TaskStatus
from recoverykit.batch.manifest import RunStatus
from recoverykit.batch.state import run_state
from recoverykit.errors import NotebookError, RecoverykitError

_OUTSIDE = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\s(?:src|data)\s*=\s*["']?\s*(?P<src>(?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b[^>]*?\shref\s*=\s*["']?\s*(?P<link>(?:https?:)?//[^"'\s>]+)"""
    r"""|@import\s+(?:url\()?\s*["']?(?P<style>(?:https?:)?//[^"')\s]+)"""
    r"""|url\(\s*["']?(?P<url>(?:https?:)?//[^"')\s]+)"""
    r"""|\bimport\b[^;\n]*?["'](?P<module>https?://[^"']+)["']""",
    re.IGNORECASE,
)


def template_folder() -> Path:
    """Return the folder of the page and pack templates."""
    return Path(str(files("recoverykit.report") / "template"))


def render_page(
    executed_notebook: str | Path, html_path: str | Path, *, context: Mapping[str, Any], templates: Path | None = None
) -> None:
    """Render one executed notebook, without its code, to a self-contained page.

    Parameters
    ----------
    executed_notebook : path
        The notebook with its outputs.
    html_path : path
        The page.
    context : mapping
        For the template as ``resources["recoverykit"]``: title, subtitle, reporting_date, run_id, provenance, home.
    templates : path, optional
        Folder that holds the nbconvert template ``recoverykit``; that of ``report`` by default.

    Raises
    ------
    NotebookError
        When the notebook cannot be read or rendered, or the page would fetch something from elsewhere.
    RecoverykitError
        When the page cannot be written.
    """
    path = Path(executed_notebook)
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as error:
        raise NotebookError(f"the executed notebook {path.name} cannot be read: {error}") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":  # warnings belong to the notebook, which is kept, not before the management
            cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
    resources = {"recoverykit": dict(context), "metadata": {"name": context["title"], "path": str(path.parent)}}
    try:
        html, _ = _exporter(templates or template_folder()).from_notebook_node(notebook, resources=resources)
    except (TemplateError, ValueError, KeyError) as error:
        raise NotebookError(f"{path.name} cannot be rendered: {type(error).__name__}: {error}") from error
    outside = outside_references(html)
    if outside:
        raise NotebookError(
            f"{path.name} would fetch {outside[0]} from elsewhere; pages must be complete in themselves"
        )
    write_text(Path(html_path), html)


def render_unavailable(html_path: str | Path, *, context: Mapping[str, Any], templates: Path | None = None) -> None:
    """Write the page that stands for a notebook without result and says why.

    Parameters
    ----------
    html_path : path
        The page.
    context : mapping
        As for ``render_page``, and ``status`` and ``error`` (name, message, cell_index, cell_source, traceback).
    templates : path, optional
        Folder that holds ``pack/unavailable.html.j2``; that of ``report`` by default.
    """
    write_text(Path(html_path), _pack_page("unavailable.html.j2", context, templates))


def render_index(
    manifest: Mapping[str, Any], html_path: str | Path, *, context: Mapping[str, Any], templates: Path | None = None
) -> None:
    """Write the cover of the pack: gate, key figures, and links to all pages.

    Parameters
    ----------
    manifest : mapping
        The manifest of the run; ``run`` in the template.
    html_path : path
        ``index.html``.
    context : mapping
        From the run: title, reporting_date, run_id, gate, key_figures, sentences, portfolio_pages, segments,
        notebook_titles, failures, provenance.
    templates : path, optional
        Folder that holds ``pack/index.html.j2``; that of ``report`` by default.
    """
    write_text(Path(html_path), _pack_page("index.html.j2", {"run": manifest, **context}, templates), durable=True)


@dataclass(frozen=True, slots=True)
class Pack:
    """A rendered pack.

    Attributes
    ----------
    index : Path
        ``index.html``.
    not_rendered : tuple of str
        Keys of the tasks that were done but whose page could not be made.
    """

    index: Path
    not_rendered: tuple[str, ...]


def render_pack(run_folder: str | Path, *, templates: Path | None = None) -> Pack:
    """Render all pages of a run that has ended and, when they stand, its index.

    Of a run that was interrupted or killed, the pages that it did not come to say so.

    Parameters
    ----------
    run_folder : path
        Folder of a run that has ended, in whatever way.
    templates : path, optional
        Folder of the templates; that of ``report`` by default.

    Returns
    -------
    Pack
        A page that could not be rendered is replaced by one that says why, and the index counts it as not available.

    Raises
    ------
    RecoverykitError
        When the run goes on, or a page cannot be written; then there is no index.
    """
    folder = Path(run_folder).resolve()
    manifest, owner = run_state(folder)
    if manifest["status"] == RunStatus.RUNNING:
        raise RecoverykitError(f"the run in {folder} goes on, by {owner}; wait for its end before rendering it")
    index = folder / INDEX
    index.unlink(missing_ok=True)  # a failure on the way must not leave an older index above newer pages
    pages = _pack.pages(manifest)
    for page in pages:
        _render_task(folder, page, templates)
    context = _pack.index_context(manifest, pages, folder / RESULTS)
    render_index(manifest, index, context=context, templates=templates)
    return Pack(index, tuple(page.key for page in pages if page.status == _pack.NOT_RENDERED))


def outside_references(html: str) -> list[str]:
    """Return the addresses that a browser would fetch by itself when it opens a page; plain links are none.

    Examples
    --------
    >>> outside_references('<a href="https://a.org">source</a> <img src="https://b.org/x.png">')
    ['https://b.org/x.png']
    """
    return [next(found for found in match.groups() if found) for match in _OUTSIDE.finditer(html)]


def _render_task(folder: Path, page: "_pack.Page", templates: Path | None) -> None:
    html_path = folder / PAGES / f"{page.key}.html"
    if page.status == TaskStatus.DONE:
        try:
            render_page(folder / NOTEBOOKS / f"{page.key}.ipynb", html_path, context=page.context, templates=templates)
            return
        except NotebookError as error:
            page.status = _pack.NOT_RENDERED
            page.error = {
                "name": "NotebookError",
                "message": str(error),
                "cell_index": None,
                "cell_source": "",
                "traceback": "",
            }
    context = {**page.context, "status": page.status, "error": page.error, "title": page.title}
    render_unavailable(html_path, context=context, templates=templates)


@cache
def _exporter(templates: Path) -> HTMLExporter:
    return HTMLExporter(
        template_name="recoverykit",
        extra_template_basedirs=[str(templates)],
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        mathjax_url="",
        require_js_url="",
        jquery_url="",
        mermaid_js_url="",
        mermaid_layout_elk_js_url="",
        jupyter_widgets_base_url="",
    )


def _pack_page(name: str, context: Mapping[str, Any], templates: Path | None) -> str:
    folder = (templates or template_folder()) / "pack"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        return environment.get_template(name).render(context)
    except TemplateError as error:
        raise RecoverykitError(f"the template pack/{name} cannot be filled: {error}") from error
