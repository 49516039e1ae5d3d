"""Real input that this project did not make: a public mortgage panel, from its file to the pack.

Data: Roesch and Scheule, deepcreditrisk.com, a textbook set; read from the reference folder, never kept here.
"""

import json
import os
from pathlib import Path

import pytest

import recoverykit as rk
from recoverykit import cli

ROOT = Path(__file__).parents[1]
REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE", ROOT.parent / "shared" / "reference")).resolve()
SPEC = ROOT / "data_samples" / "specs" / "dcr.yml"
TENTH_OF_A_POINT = 0.0005  # the figures are quoted to 0.1 %

pytestmark = pytest.mark.skipif(
    not (REFERENCE / "lgd" / "dcr.csv").is_file(), reason=f"no lgd/dcr.csv in {REFERENCE} (RECOVERYKIT_REFERENCE)"
)


@pytest.fixture(scope="module", autouse=True)
def reference():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOVERYKIT_REFERENCE", str(REFERENCE))
        yield


@pytest.fixture(scope="module")
def book(reference):
    return rk.open_book(SPEC)


@pytest.fixture(scope="module")
def loss(book):
    return rk.estimate_loss(book, "all", policy=rk.discount_policy("0"), n_bootstrap=200, seed=1)


def test_the_panel_holds_1525_defaults_of_which_365_are_open(book):
    facts = rk.book_overview(book)
    assert (facts["n_episodes"], facts["n_open"]) == (1525, 365)


def test_closed_only_losses_are_those_known_of_the_panel(loss):
    # Known: 59.2 % by number and 56.6 % by exposure, undiscounted and unfloored.
    assert loss.estimate.closed_only_lgd == pytest.approx(0.592, abs=TENTH_OF_A_POINT)
    assert loss.estimate.closed_only_lgd_ead_weighted == pytest.approx(0.566, abs=TENTH_OF_A_POINT)


def test_with_open_workouts_the_loss_is_higher_because_long_workouts_recover_less(loss):
    lower, upper = loss.estimate.intervals["all_in_lgd"]
    assert loss.estimate.closed_only_lgd < lower < loss.estimate.all_in_lgd < upper
    assert loss.estimate.all_in_lgd < loss.estimate.as_recorded_lgd  # nothing more at all would be too dark
    rates = loss.open_rates()
    assert rates["recovered_open"] + rates["remaining_open"] < rates["recovered_closed"]


def test_half_are_resolved_within_seven_quarters_not_five(book):
    cure = rk.estimate_time_to_cure(book, "all", drivers=["ltv_ratio"])
    assert cure.resolution.first_time_at_or_below(0.5) == 3 * 7
    closed = book.episodes[book.episodes["outcome"] != "open"]
    assert closed["months_in_default"].median() == 3 * 5  # what closed cases alone would say
    assert cure.fit is None
    assert "no cured episodes" in cure.note


def test_without_cures_there_is_no_model_to_validate_and_nothing_is_judged(book):
    tried = rk.validate_time_to_cure(book, "all", drivers=["ltv_ratio"])
    assert "no cured episodes" in tried.note
    assert tried.light == "not judged"
    # The file holds defaults up to the last quarter, and they stay in the book when the clock is set back.
    assert len(rk.book_as_of(book, tried.cut_off).episodes) == (book.episodes["default_date"] <= tried.cut_off).sum()


@pytest.mark.slow
def test_the_whole_plan_runs_on_it_and_the_page_gives_the_reason(tmp_path):
    plan = ROOT / "notebooks" / "plans" / "dcr.yml"
    assert cli.main(["run", str(plan), "--data", str(SPEC), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    page = (tmp_path / "run" / "pages" / "04_loss_given_default" / "all.html").read_text().replace("\u202f", " ")
    for words in ("59.2 %", "56.6 %", "1,525", "of which open: 365", "because the open ones have recovered"):
        assert words in page
    page = (tmp_path / "run" / "pages" / "02_time_to_cure" / "all.html").read_text().replace("\u00a0", " ")
    assert "resolved within 21 months (7 quarters) of default" in page
    page = (tmp_path / "run" / "pages" / "06_model_validation" / "all.html").read_text()
    assert "There is no model to validate here: no cured episodes" in page
    record = json.loads((tmp_path / "run" / "results" / "05_provision" / "all" / "record.json").read_text())
    assert record["sentences"][-1] == "All 7 control totals agree to the cent."
