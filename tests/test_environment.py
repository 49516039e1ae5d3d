"""The three lists of dependencies say the same: pyproject.toml, environment.yml and requirements.lock."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# Where conda-forge calls a package by another name than PyPI.
PYPI_NAMES = {"ibis-duckdb": "ibis-framework", "python-duckdb": "duckdb"}
CONDA_ONLY = {"python", "pip"}


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["dev"]
    return {canonicalize_name(r.name): str(r.specifier) for r in map(Requirement, lines)}


def in_conda():
    entries = map(Requirement, yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"])
    named = {PYPI_NAMES.get(e.name, canonicalize_name(e.name)): str(e.specifier) for e in entries}
    return {name: bounds for name, bounds in named.items() if name not in CONDA_ONLY}


def locked():
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    versions = {}
    for name, version in pins:
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def test_conda_and_pip_name_the_same_packages_with_the_same_bounds():
    assert in_conda() == declared()


def test_every_declared_package_is_locked_within_its_bounds():
    pins = locked()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in map(Requirement, project["dependencies"] + project["optional-dependencies"]["dev"]):
        versions = pins.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not in requirements.lock"
        assert all(v in requirement.specifier for v in versions), (requirement, versions)


def test_every_locked_package_carries_hashes_and_no_index_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    blocks = re.split(r"\n(?=\S)", lock)
    assert not [b.splitlines()[0] for b in blocks if "==" in b.splitlines()[0] and "--hash=sha256:" not in b]


def test_python_has_the_same_lower_bound_in_both_files():
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f"python{python}" in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
