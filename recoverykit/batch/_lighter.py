"""Work that papermill and the libraries behind it do for every message or cell, and that a batch can do without."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

from jupyter_client import session
from nbformat.v4 import nbbase
from papermill import engines


def lighten() -> None:
    """Leave that work out, in a worker process, which does nothing but execute notebooks.

    * nbformat holds every output against its schema as it comes; the notebook is held against it when it is written.
    * jupyter_client makes dates of the texts in the headers of messages; nobody asks for them.
    * papermill reads the times that it wrote itself as dates of any form; they are of ISO 8601.
    """
    libraries: tuple[Any, ...] = nbbase, session, engines
    libraries[0].validate = _accept
    libraries[1].extract_dates = _as_it_is
    libraries[2].dateutil = SimpleNamespace(parser=SimpleNamespace(parse=datetime.fromisoformat))


def _accept(node: object, ref: str | None = None) -> None:
    """Take an output as it is."""


def _as_it_is(header: object) -> object:
    return header
