"""Losses of defaulted exposures: by hand on two loans, the rules of downturn and margins, and the spliced curve."""

import numpy as np
import pytest

from recoverykit.errors import InsufficientDataError
from recoverykit.portfolio.downturn import Downturn, DownturnMethod
from recoverykit.portfolio.in_default import estimate_in_default
from recoverykit.portfolio.loss import estimate_loss
from recoverykit.portfolio.regulatory import Margin, RegulatoryLgd, regulatory_loss
from recoverykit.portfolio.workout import discount_policy

UNDISCOUNTED, AT_EIR = discount_policy("0"), discount_policy("eir")
EXACT = 1e-9  # sums of a few floats of order 1

# Two loans of 100. A pays 50 in month 1, then 20 when it is sold in month 2; B pays nothing, written off in month 2.
#   Outstanding before month 1: 200, of which 50 comes. Before month 2: 50 + 100 = 150, of which 20 comes.
#   g_1 = 20 / 150, g_0 = 50 / 200 + 150 / 200 x 20 / 150 = 0.35. So the best estimate is 0.65, then 0.8667.
LOANS = [
    {"default_date": "2023-01-31", "outcome": "sold", "outcome_date": "2023-03-31"},
    {"default_date": "2023-01-31", "outcome": "written_off", "outcome_date": "2023-03-31"},
]
FLOWS = [("A", "2023-02-28", 50.0), ("A", "2023-03-31", 20.0, "sale")]
ELBE = [0.65, 1 - 20 / 150]


def rule(method="add_on", *, long_run=0.6, downturn=0.75, margins=()):
    return RegulatoryLgd(
        steps=None,
        margins=tuple(Margin(category, "why", amount, "how") for category, amount in margins),
        downturn=Downturn(downturn, float("nan"), (), DownturnMethod(method)),
        floor=None,
        long_run=long_run,
    )


@pytest.fixture(scope="module")
def book(small_book):
    return small_book(LOANS, FLOWS)


def table_of(book, final, **options):
    chosen = {"policy": UNDISCOUNTED, "minimum_at_risk": 1, "n_bootstrap": 0} | options
    return estimate_in_default(book, "all", final, **chosen).table


class TestByHand:
    def test_the_best_estimate_is_what_of_the_outstanding_does_not_come(self, book):
        table = table_of(book, rule())
        assert table["elbe"].tolist() == pytest.approx(ELBE, abs=EXACT)
        assert table["months"].tolist() == [0, 1]
        assert table["n_open"].tolist() == [2, 2]

    def test_the_last_resort_adds_fifteen_points_up_to_105_per_cent(self, book):
        # 0.65 + 0.15; 0.8667 + 0.15; and where 0.95 were lost, 0.10 only
        table = table_of(book, rule())
        assert table["downturn"].tolist() == pytest.approx([0.15, 0.15], abs=EXACT)
        assert table["lgd_in_default"].tolist() == pytest.approx([0.80, ELBE[1] + 0.15], abs=EXACT)
        lost = table_of(book, rule(), policy=discount_policy("0.9"))
        # at 90 % a year, 2 months: 20 x 1.9^-(59/365) = 18.03 on 150 - what is discounted off; at most 1.05 in any case
        assert (lost["elbe"] + lost["downturn"] <= 1.05 + EXACT).all()

    def test_an_observed_downturn_takes_the_same_part_of_what_still_comes(self, book):
        # it takes (0.7 - 0.6) / (1 - 0.6) = a quarter: of 0.35 and of 0.1333
        table = table_of(book, rule("observed", long_run=0.6, downturn=0.7))
        assert table["downturn"].tolist() == pytest.approx([0.25 * 0.35, 0.25 * 20 / 150], abs=EXACT)

    def test_margins_of_the_register_are_added_and_that_of_the_average_is_not(self, book):
        # A and B 0.01 and 0.02; C of the average gives way to the band of this curve, and there is none without draws
        table = table_of(book, rule(margins=[("A", 0.01), ("B", 0.02), ("C", 0.5)]))
        assert table["margin"].tolist() == pytest.approx([0.03, 0.03], abs=EXACT)

    def test_the_capital_charge_is_the_gap(self, book):
        table = table_of(book, rule(margins=[("A", 0.01)]))
        assert table["k"].tolist() == pytest.approx([0.16, 0.16], abs=EXACT)
        assert (table["lgd_in_default"] - table["elbe"]).tolist() == pytest.approx(table["k"].tolist(), abs=EXACT)

    def test_a_loan_that_has_paid_half_and_will_pay_the_rest_loses_nothing(self, small_book):
        paid = [("A", "2023-02-28", 50.0), ("A", "2023-03-31", 50.0, "sale")]
        table = table_of(small_book(LOANS[:1], paid), rule())
        assert table["elbe"].tolist() == pytest.approx([0.0, 0.0], abs=EXACT)

    def test_scaling_all_money_changes_no_rate(self, small_book):
        large = small_book([{**loan, "ead": 700.0} for loan in LOANS], [(f[0], f[1], 7 * f[2], *f[3:]) for f in FLOWS])
        assert table_of(large, rule())["elbe"].tolist() == pytest.approx(ELBE, abs=EXACT)


@pytest.fixture(scope="module")
def mortgages(prepared_book):
    loss = estimate_loss(prepared_book, "mortgage", policy=AT_EIR, n_bootstrap=50)
    final = regulatory_loss(loss, prepared_book.restricted("mortgage"), margins=["A; 0.01; why; how"])
    return final, estimate_in_default(prepared_book, "mortgage", final, policy=AT_EIR, n_bootstrap=100)


class TestSample:
    def test_the_longer_in_default_the_more_is_lost_and_the_band_holds_the_estimate(self, mortgages):
        table = mortgages[1].read()
        assert (np.diff(table["elbe"]) > 0).all()
        assert ((table["lower"] < table["elbe"]) & (table["elbe"] < table["upper"])).all()
        assert (table["lgd_in_default"] > table["elbe"]).all()
        assert table["k"].tolist() == pytest.approx((table["downturn"] + table["margin"]).tolist())

    def test_the_parents_curve_carries_on_where_few_are_open(self, mortgages):
        basis = mortgages[1].basis
        assert [name for name, _, _ in basis.stretches] == ["mortgage", "all"]
        assert basis.stretches[0][2] + 1 == basis.stretches[1][1]
        assert len(mortgages[1].table) == basis.stretches[1][2]

    def test_carried_on_a_segment_does_not_seem_to_lose_all_where_its_own_months_end(self, prepared_book, mortgages):
        final, carried = mortgages
        last_own = carried.basis.stretches[0][2]
        whole = estimate_in_default(prepared_book, "all", final, policy=AT_EIR, n_bootstrap=0).table
        here = carried.table.set_index("months").loc[last_own, "elbe"]
        assert here == pytest.approx(whole.set_index("months").loc[last_own, "elbe"], abs=EXACT)
        assert here < 0.95

    def test_the_expectation_of_a_new_default_is_near_the_loss_weighted_by_exposure(self, prepared_book, mortgages):
        loss = estimate_loss(prepared_book, "mortgage", policy=AT_EIR, n_bootstrap=0).estimate
        first = mortgages[1].table["elbe"].iloc[0]
        assert first == pytest.approx(loss.all_in_lgd_ead_weighted, abs=0.04)  # two standard errors of the average

    def test_the_same_seed_gives_the_same_numbers(self, prepared_book, mortgages):
        again = estimate_in_default(prepared_book, "mortgage", mortgages[0], policy=AT_EIR, n_bootstrap=100)
        assert again.table.equals(mortgages[1].table)

    def test_a_small_segment_rests_on_its_parents_altogether(self, prepared_book, mortgages):
        small = min(prepared_book.segments(), key=lambda name: len(prepared_book.restricted(name).episodes))
        found = estimate_in_default(
            prepared_book, small, mortgages[0], policy=AT_EIR, minimum_at_risk=60, n_bootstrap=0
        )
        assert small not in [name for name, _, _ in found.basis.stretches]
        assert found.basis.stretches[-1][0] == "all"


def test_a_book_without_enough_open_loans_and_an_unknown_segment_are_refused(book):
    with pytest.raises(InsufficientDataError, match="99"):
        table_of(book, rule(), minimum_at_risk=99)
    with pytest.raises(InsufficientDataError, match="no default episode in segment 'boat'"):
        estimate_in_default(book, "boat", rule(), policy=UNDISCOUNTED)
