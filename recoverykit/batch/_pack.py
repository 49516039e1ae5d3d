"""What the pages and the index of a pack say about the run: made from the manifest and the records alone."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from recoverykit.batch._files import PAGES, SEAL_PLACE
from recoverykit.batch._tasks import CellError, Scope, TaskStatus
from recoverykit.batch.manifest import RunStatus
from recoverykit.batch.results import read_records
from recoverykit.vocabulary import WHOLE_BOOK

NOT_RENDERED = "not_rendered"
_SHOWN_DIGITS = 12
_LABELS = {
    TaskStatus.DONE: "done",
    TaskStatus.FAILED: "failed",
    TaskStatus.KERNEL_DIED: "kernel died",
    TaskStatus.OUT_OF_MEMORY: "out of memory",
    TaskStatus.TIMED_OUT: "timed out",
    TaskStatus.NOT_RUN: "not run",
    NOT_RENDERED: "not rendered",
}


@dataclass(slots=True)
class Page:
    """One page of the pack; status and error change when it cannot be rendered."""

    key: str
    notebook: str
    segment: str
    scope: str
    title: str
    status: str
    error: dict[str, Any] | None
    context: dict[str, Any]

    @property
    def href(self) -> str:
        """Address of the page, relative to the index."""
        return f"{PAGES}/{self.key}.html"


def pages(manifest: Mapping[str, Any]) -> list[Page]:
    """Return the pages of a run in the order of reading: stage by stage, within a stage segment by segment."""
    scope_of = {stage["name"]: stage["scope"] for stage in manifest["stages"]}
    titles = _titles(manifest)
    listed = []
    for key, task in manifest["tasks"].items():
        context = {
            "title": titles[task["notebook"]],
            "subtitle": task["segment"],
            "reporting_date": manifest["reporting_date"],
            "run_id": manifest["run_id"],
            "provenance": _provenance(manifest, task["notebook"]),
            "home": "../../index.html",
        }
        listed.append(
            Page(
                key=key,
                notebook=task["notebook"],
                segment=task["segment"],
                scope=scope_of[task["stage"]],
                title=titles[task["notebook"]],
                status=task["status"],
                error=task["error"],
                context=context,
            )
        )
    _link_neighbours(listed)
    return listed


def index_context(manifest: Mapping[str, Any], listed: Sequence[Page], results_folder: Path) -> dict[str, Any]:
    """Return what the template of the index needs beside the manifest."""
    titles = _titles(manifest)
    columns = {scope: _notebooks_of(manifest, scope) for scope in (Scope.GROUP, Scope.SEGMENT)}
    missing = [page for page in listed if page.status != TaskStatus.DONE]
    cover = _cover_record(listed, results_folder)
    return {
        "title": manifest["plan"]["title"],
        "reporting_date": manifest["reporting_date"],
        "run_id": manifest["run_id"],
        "gate": _gate(manifest, n_pages=len(listed), n_missing=len(missing)),
        "key_figures": cover.get("key_figures", []),
        "sentences": cover.get("sentences", []),
        "portfolio_pages": [
            {"title": p.title, "href": p.href, "status": str(p.status)} for p in listed if p.scope == Scope.PORTFOLIO
        ],
        "groups": _segment_rows(listed, columns[Scope.GROUP], Scope.GROUP),
        "group_titles": [titles[name] for name in columns[Scope.GROUP]],
        "segments": _segment_rows(listed, columns[Scope.SEGMENT], Scope.SEGMENT),
        "notebook_titles": [titles[name] for name in columns[Scope.SEGMENT]],
        "left_out": manifest["data"].get("left_out", []),
        "failures": [{"title": p.title, "segment": p.segment, "error": _why(p), "href": p.href} for p in missing],
        "provenance": [*_provenance(manifest, None), ["Entry in the record", SEAL_PLACE]],
    }


def _titles(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {name: notebook["title"] for name, notebook in manifest["notebooks"].items()}


def _link_neighbours(listed: Sequence[Page]) -> None:
    """Link each page to the ones before and behind it of the same notebook."""
    for notebook in {page.notebook for page in listed}:
        of_notebook = [page for page in listed if page.notebook == notebook]
        for page, following in pairwise(of_notebook):
            page.context["next"] = _link(page, following)
            following.context["previous"] = _link(following, page)


def _link(origin: Page, target: Page) -> dict[str, str]:
    href = os.path.relpath(target.href, os.path.dirname(origin.href)).replace(os.sep, "/")
    return {"href": href, "title": target.segment or target.title}


def _notebooks_of(manifest: Mapping[str, Any], scope: Scope) -> list[str]:
    """Return the notebooks of a scope that were asked for, in the order of the plan."""
    planned = [name for stage in manifest["stages"] if stage["scope"] == scope for name in stage["notebooks"]]
    return [name for name in planned if name in manifest["notebooks"]]


def _segment_rows(listed: Sequence[Page], columns: Sequence[str], scope: Scope) -> list[dict[str, Any]]:
    by_place = {(page.segment, page.notebook): page for page in listed if page.scope == scope}
    names = sorted({segment for segment, _ in by_place})
    rows = []
    for name in names:
        row = [by_place.get((name, column)) for column in columns]
        cells = [
            {"href": p.href, "status": str(p.status), "label": _LABELS.get(p.status, str(p.status))}
            if p
            else {"href": "", "status": str(TaskStatus.NOT_RUN), "label": "not selected"}
            for p in row
        ]
        rows.append({"name": name, "cells": cells})
    return rows


def _cover_record(listed: Sequence[Page], results_folder: Path) -> dict[str, Any]:
    """Return the record that fills the cover: of the last notebook for the whole book that has key figures."""
    done = [page for page in listed if page.scope == Scope.PORTFOLIO and page.status == TaskStatus.DONE]
    records = [read_records(str(results_folder), page.notebook).get(WHOLE_BOOK, {}) for page in done]
    return next((record for record in reversed(records) if "key_figures" in record), {})


def _gate(manifest: Mapping[str, Any], *, n_pages: int, n_missing: int) -> dict[str, str]:
    if manifest["status"] == RunStatus.FAILED:
        return {"status": "failed", "text": f"Failed: {manifest['reason'] or 'no notebook came to its end'}."}
    if manifest["status"] in (RunStatus.INTERRUPTED, RunStatus.KILLED):
        text = f"Incomplete: the run was {manifest['status']}; {n_missing} of {n_pages} pages are not available."
        return {"status": "incomplete", "text": text}
    if n_missing:
        return {"status": "incomplete", "text": f"Incomplete: {n_missing} of {n_pages} pages are not available."}
    if manifest["selection"]:
        chosen = [name for names in manifest["selection"].values() for name in names]
        return {"status": "partial", "text": f"Part of the plan only: {', '.join(chosen)}."}
    return {"status": "complete", "text": f"Complete: all {n_pages} pages are available."}


def _why(page: Page) -> str:
    if page.error is None:
        return _LABELS.get(page.status, str(page.status))
    return str(CellError(page.error["name"], page.error["message"]))


def _provenance(manifest: Mapping[str, Any], notebook: str | None) -> list[list[str]]:
    """Return label and value of what a page rests on, hashes cut to their first digits."""
    code, data = manifest["code"], manifest["data"]
    rows = [
        ["Run", manifest["run_id"]],
        ["Reporting date", manifest["reporting_date"]],
        ["Data", f"{data.get('name', '')} {_data_digits(data.get('hashes', {}))}".strip()],
        ["Code", f"recoverykit {code['version']}, {code['sha256'][:_SHOWN_DIGITS]}"],
    ]
    if notebook is not None:
        rows.append(["Notebook", f"{notebook}, {manifest['notebooks'][notebook]['sha256'][:_SHOWN_DIGITS]}"])
    return [*rows, ["Generated", manifest["ended_at"] or manifest["started_at"]]]


def _data_digits(hashes: Mapping[str, str]) -> str:
    shown = [digits[:_SHOWN_DIGITS] for _, digits in sorted(hashes.items())]
    more = f" and {len(shown) - 1} more" if len(shown) > 1 else ""
    return f"{shown[0]}{more}" if shown else ""
