"""Control totals: they agree to the cent, and a falsified cent or a missing segment is found."""

import pandas as pd
import pytest

from recoverykit.portfolio.money import exact_sum
from recoverykit.portfolio.opening import open_book
from recoverykit.portfolio.provision import provide
from recoverykit.portfolio.reconciliation import reconcile
from recoverykit.portfolio.workout import discount_policy, prepare_book, workout
from recoverykit.report.summary import sentence_checks

POLICY = discount_policy("0")
# Two segments; EAD 100.01 + 200.02 in the west and 300.03 in the east, of which 80.05 and 300.03 are open and owed.
LOANS = [
    {"default_date": "2024-01-31", "outcome": "liquidated", "outcome_date": "2024-03-31", "ead": 100.01},
    {"default_date": "2024-04-30", "outstanding": 80.05, "ead": 200.02},
    {"default_date": "2024-05-31", "outstanding": 300.03, "ead": 300.03, "region": "east"},
]
FLOWS = [("A", "2024-03-31", 60.10, "collateral"), ("B", "2024-05-31", 119.97)]


@pytest.fixture(scope="module")
def book(small_book, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hand")
    prepare_book(small_book(LOANS, FLOWS), folder, discounts=("0",))
    return open_book(folder)


@pytest.fixture(scope="module")
def provision(book):
    return provide(book, minimum_at_risk=1)


@pytest.fixture
def recorded(book):
    """What the pages of the segments recorded, as they record it."""
    whole = workout(book, POLICY)
    rows = []
    for segment in book.segments():
        worksheet = whole.restricted(book.restricted(segment)).worksheet
        rows.append((segment, len(worksheet), exact_sum(worksheet["ead"]), exact_sum(worksheet["net_recovery_amount"])))
    return pd.DataFrame(rows, columns=["segment", "n_episodes_in_worksheet", "ead_in_worksheet", "net_recovery_amount"])


def wrong(checks):
    return checks.loc[checks["difference"] != 0, ["control", "difference"]].set_index("control")["difference"].to_dict()


def test_totals_and_segments_agree_to_the_cent(book, provision, recorded):
    checks = reconcile(book, provision, recorded, policy=POLICY)
    assert checks["difference"].tolist() == [0.0] * 7
    totals = checks.set_index("control")["book"]
    assert totals["Open defaulted facilities"] == 2
    assert totals["Gross carrying amount"] == 380.08  # 80.05 + 300.03
    assert totals["Default episodes, from the segment pages"] == 3
    assert totals["Exposure at default, from the segment pages"] == 600.06
    assert totals["Net recoveries, from the segment pages"] == 180.07  # 60.10 + 119.97
    assert sentence_checks(checks) == "All 7 control totals agree to the cent."


@pytest.mark.parametrize(
    ("column", "control"),
    [
        ("ead_in_worksheet", "Exposure at default, from the segment pages"),
        ("net_recovery_amount", "Net recoveries, from the segment pages"),
    ],
)
def test_one_falsified_cent_is_found(book, provision, recorded, column, control):
    recorded.loc[0, column] += 0.01
    checks = reconcile(book, provision, recorded, policy=POLICY)
    assert wrong(checks) == {control: 0.01}
    assert sentence_checks(checks) == f"1 of 7 control totals do not agree: {control.lower()}."


def test_one_falsified_cent_in_the_allowance_of_a_segment_is_found(book, provision, recorded):
    provision.segments.loc[0, "allowance"] -= 0.01
    try:
        checks = reconcile(book, provision, recorded, policy=POLICY)
    finally:
        provision.segments.loc[0, "allowance"] += 0.01
    assert wrong(checks) == {"Allowance": -0.01}


def test_a_missing_segment_is_found(book, provision, recorded):
    # the east, one episode of 300.03 that brought in nothing
    checks = reconcile(book, provision, recorded[recorded["segment"] != "loan | east"], policy=POLICY)
    assert wrong(checks) == {
        "Default episodes, from the segment pages": -1,
        "Exposure at default, from the segment pages": -300.03,
    }


def test_a_segment_told_twice_is_found(book, provision, recorded):
    twice = pd.concat([recorded, recorded.iloc[[1]]], ignore_index=True)
    assert wrong(reconcile(book, provision, twice, policy=POLICY))["Default episodes, from the segment pages"] == 2


def test_a_number_that_is_missing_does_not_pass_for_agreement(book, provision, recorded):
    recorded.loc[0, "net_recovery_amount"] = float("nan")
    checks = reconcile(book, provision, recorded, policy=POLICY)
    assert sentence_checks(checks).startswith("1 of 7 control totals do not agree: net recoveries")


def test_the_row_of_the_whole_book_is_no_segment(book, provision, recorded):
    whole = recorded.iloc[[0]].assign(segment="all")
    checks = reconcile(book, provision, pd.concat([recorded, whole], ignore_index=True), policy=POLICY)
    assert wrong(checks) == {}


def test_a_group_beside_its_segments_is_not_counted_twice(book, provision, recorded):
    # "loan" holds the west and the east; recorded alone it stands for both.
    columns = ["n_episodes_in_worksheet", "ead_in_worksheet", "net_recovery_amount"]
    group = pd.DataFrame([{"segment": "loan", **recorded[columns].sum()}])
    both = pd.concat([recorded, group], ignore_index=True)
    for told in (both, group):
        checks = reconcile(book, provision, told, policy=POLICY)
        assert len(checks) == 7
        assert wrong(checks) == {}


def test_without_segment_pages_the_provision_alone_is_compared(book, provision):
    nothing = pd.DataFrame({"segment": pd.Series(dtype=object)})
    checks = reconcile(book, provision, nothing, policy=POLICY)
    assert len(checks) == 4
    assert wrong(checks) == {}


def test_the_sample_agrees_to_the_cent(prepared_book):
    provision = provide(prepared_book)
    nothing = pd.DataFrame({"segment": pd.Series(dtype=object)})
    checks = reconcile(prepared_book, provision, nothing, policy=discount_policy("eir"))
    assert wrong(checks) == {}
    assert provision.segments["segment"].tolist() == sorted(provision.segments["segment"])


class TestProvisionEdges:
    def test_a_segment_column_without_a_value_is_a_segment_with_a_curve_of_its_own(self, small_book):
        # A brought 60 in its second month; B, of no team as well, has been open for one: 60 more are expected of it.
        loans = [{**LOANS[0], "team": None}, {**LOANS[2], "team": None}, {**LOANS[2], "team": "x"}]
        book = small_book(loans, FLOWS[:1], segment_by=("product", "team"))
        assert book.segments() == ["loan | None", "loan | x"]
        segments = provide(book, minimum_at_risk=1).segments.set_index("segment")
        assert segments.loc["loan | None", "own_months"] == 3
        assert segments.loc["loan | None", "expected_recovery_amount"] == round(300.03 * 60.10 / 100.01, 2)

    def test_a_book_without_open_loans_has_an_allowance_of_nothing(self, small_book):
        book = small_book(LOANS[:1], FLOWS[:1])
        provision = provide(book, minimum_at_risk=1)
        assert provision.total["allowance"] == 0.0
        assert provision.total["n_open"] == 0
        assert provision.with_total()["segment"].tolist() == ["Total"]
        checks = reconcile(book, provision, pd.DataFrame({"segment": pd.Series(dtype=object)}), policy=POLICY)
        assert checks["difference"].tolist() == [0.0] * 4

    def test_all_loans_open_longer_than_the_curve_are_provided_for_in_full(self, small_book):
        # B and C are open for two months, and nobody was seen open in the third: nothing more is expected of them.
        loans = [LOANS[0], LOANS[1], {**LOANS[2], "default_date": "2024-04-30"}]
        provision = provide(small_book(loans, FLOWS), minimum_at_risk=1)
        assert provision.total["allowance"] == provision.total["gross_carrying_amount"] == 380.08
        assert provision.total["n_beyond_curve"] == 2
        assert provision.total["coverage_ratio"] == 1.0
        assert provision.ages["age_band"].tolist() == ["0 to 6"]
