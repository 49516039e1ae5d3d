"""What a run rests on, in versions and hashes: library, lock, packages, notebooks, plan."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from recoverykit.batch._files import sha256_of

#: Where a run lies says nothing about what it computes.
PLACES = ("data", "results_folder")
_PACKAGE = Path(__file__).parents[1]
_LOCK = _PACKAGE.parent / "requirements.lock"
#: What decides what the package computes and how it looks: modules, rules, templates, styles.
_SOURCES = frozenset({".py", ".yml", ".j2", ".css", ".json"})
_MAIN_PACKAGES = (
    "duckdb",
    "formulaic",
    "ibis-framework",
    "ipykernel",
    "lifelines",
    "matplotlib",
    "nbclient",
    "nbconvert",
    "nbformat",
    "numpy",
    "openpyxl",
    "pandas",
    "pandera",
    "papermill",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "scikit-learn",
    "scipy",
    "seaborn",
    "sqlglot",
    "statsmodels",
)


@cache
def library_hash() -> str:
    """Return one SHA-256 over the sources of the package, rules and templates among them, names included."""
    digest = hashlib.sha256()
    for path in sorted(path for path in _PACKAGE.rglob("*") if path.suffix in _SOURCES and path.is_file()):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0")
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")  # the same on every system
    return digest.hexdigest()


def named_files(notebook: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return by parameter the path of the file that it names, as a kernel in the folder of its notebook finds it."""
    named = {}
    for name, value in parameters.items():
        path = os.path.join(os.path.dirname(notebook), value) if isinstance(value, str) else ""
        if name not in PLACES and os.path.isfile(path) and os.access(path, os.R_OK):
            named[name] = path
    return named


def code_facts() -> dict[str, Any]:
    """Return version, commit and hash of the library."""
    return {"version": metadata.version("recoverykit"), "git_commit": _git_commit(), "sha256": library_hash()}


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers and pages depend on."""
    return {"python": platform.python_version()} | dict(_installed(_MAIN_PACKAGES))


def lock_hash() -> str:
    """Return the SHA-256 of the lock file of the checkout that the package runs from; empty without one."""
    return sha256_of(_LOCK) if _LOCK.is_file() else ""


def notebook_facts(path: Path) -> dict[str, str]:
    """Return hash and title of a notebook; the title is its first heading, or its name when it has none."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = [line for c in cells if c["cell_type"] == "markdown" for line in "".join(c["source"]).splitlines()]
    heading = next((line.lstrip("#").strip() for line in lines if line.startswith("#")), "")
    return {"sha256": sha256_of(path), "title": heading or path.stem}


def _installed(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _git_commit() -> str | None:
    """Return the commit of the checkout that the package runs from, if it runs from one."""
    command = ["git", "-C", str(_PACKAGE.parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
