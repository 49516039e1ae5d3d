"""What `import recoverykit` promises: names that resolve, and a start that costs nothing."""

import subprocess
import sys

import pytest

import recoverykit as rk

HEAVY = {"pandas", "numpy", "ibis", "duckdb", "lifelines", "statsmodels", "matplotlib", "papermill", "pandera", "scipy"}
READING = "import recoverykit as rk, sys; rk.open_book; print(*sys.modules)"


@pytest.mark.parametrize("name", rk.__all__)
def test_every_public_name_resolves_and_says_what_it_is(name):
    assert getattr(rk, name).__doc__


@pytest.mark.parametrize(
    "name",
    ["MixtureCureModel", "CoxModel", "kaplan_meier", "aalen_johansen", "recovery_curve", "open_book", "provide"],
)
def test_the_names_that_others_rely_on_stay(name):
    assert name in rk.__all__


def loaded_by(code):
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_importing_the_kit_imports_nothing_heavy():
    assert not loaded_by("import recoverykit, sys; print(*sys.modules)") & HEAVY


def test_whoever_reads_a_prepared_book_does_not_pay_for_what_prepared_it():
    assert not loaded_by(READING) & {"ibis", "duckdb", "pandera", "papermill", "lifelines", "matplotlib"}
