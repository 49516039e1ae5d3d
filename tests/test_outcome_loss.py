"""A loss as the sum of its endings: identities, one ending, simulated truth, and whose loans each part rests on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import InsufficientDataError
from recoverykit.portfolio.loss import estimate_loss
from recoverykit.portfolio.outcome_loss import ALL_ENDINGS, estimate_outcome_losses
from recoverykit.portfolio.workout import discount_policy

UNDISCOUNTED, AT_EIR = discount_policy("0"), discount_policy("eir")
SUM = 1e-9  # probabilities that add up to 1, through exponentials and logarithms
TWO_POINTS = 0.02
# The mean loss of some 2,000 episodes has a standard error of 0.8 points; twice that.
SAMPLING = 0.016


def simulated(small_book, *, n=800, seed=1, outcomes=("cured", "written_off"), never=0.0):
    """Loans of 100 that end in month 1 to 40; a cure brings 95, a write-off 60 less 1 for each month that it took."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2019-01-31", "2023-12-31", freq="ME")
    last = pd.Timestamp("2024-06-30")
    loans, flows, losses = [], [], []
    for number in range(n):
        start = dates[rng.integers(len(dates))]
        outcome = outcomes[rng.integers(len(outcomes))]
        months = int(np.ceil((6 if outcome == "cured" else 18) * rng.weibull(1.6))) if rng.random() >= never else 999
        end = start + pd.offsets.MonthEnd(months)
        paid = 95.0 if outcome == "cured" else max(60.0 - months, 0.0)
        losses.append(1 - paid / 100 if months < 999 else 1.0)
        name = f"L{number:04d}"
        loan = {"facility_id": name, "obligor_id": f"o{number}", "default_date": f"{start:%Y-%m-%d}"}
        if end <= last:
            # no artificial cash flow at cure: what a cure brings is written out
            loan |= {"outcome": "repaid" if outcome == "cured" else outcome, "outcome_date": f"{end:%Y-%m-%d}"}
            flows.append((name, f"{end:%Y-%m-%d}", paid))
        else:
            loan |= {"outstanding": 100.0}
        loans.append(loan)
    return small_book(loans, flows), float(np.mean(losses))


@pytest.fixture(scope="module")
def two_endings(small_book):
    return simulated(small_book, n=2000)


@pytest.fixture(scope="module")
def found(two_endings):
    return estimate_outcome_losses(two_endings[0], "all", policy=UNDISCOUNTED)


class TestIdentities:
    def test_probabilities_add_up_to_one_and_contributions_to_the_loss_in_every_month(self, found):
        for months, rows in found.table.groupby("months"):
            assert rows["probability"].sum() == pytest.approx(1, abs=SUM)
            product = rows["probability"] * rows["loss_given_outcome"]
            assert rows["contribution"].tolist() == pytest.approx(product.tolist(), abs=SUM)
            told = found.by_month.set_index("months").loc[months, "lgd"]
            assert told == pytest.approx(rows["contribution"].sum(), abs=SUM)
        assert found.lgd == found.by_month["lgd"].iloc[0]

    def test_with_one_ending_the_loss_is_the_loss_given_it(self, small_book):
        book, _ = simulated(small_book, outcomes=("written_off",))
        alone = estimate_outcome_losses(book, "all", policy=UNDISCOUNTED)
        new = alone.of_new_defaults().set_index("outcome")
        assert new.loc["written_off", "probability"] == pytest.approx(1, abs=SUM)
        assert alone.lgd == pytest.approx(new.loc["written_off", "loss_given_outcome"], abs=SUM)

    def test_where_every_loan_is_closed_the_sum_is_the_closed_only_average(self, small_book):
        book, _ = simulated(small_book, n=600)
        closed = book.episodes[book.episodes["outcome"] != "open"]
        book = replace(book, episodes=closed.reset_index(drop=True))
        endings = estimate_outcome_losses(book, "all", policy=UNDISCOUNTED)
        shares = closed["outcome"].value_counts(normalize=True)
        probability = endings.of_new_defaults().set_index("outcome")["probability"]
        # the model's shares are those observed, but for the shape of its distribution
        assert probability.to_dict() == pytest.approx(shares[probability.index].to_dict(), abs=1e-3)
        plain = estimate_loss(book, "all", policy=UNDISCOUNTED, minimum_at_risk=1, n_bootstrap=0).estimate
        assert endings.lgd == pytest.approx(plain.closed_only_lgd, abs=1e-3)

    def test_told_months_end_with_the_sum_of_their_endings(self, found):
        told = found.told((0, 12))
        sums = told[told["outcome"] == ALL_ENDINGS].set_index("months")
        assert sums["contribution"].to_dict() == found.by_month.set_index("months")["lgd"].loc[[0, 12]].to_dict()
        assert sums["probability"].tolist() == pytest.approx([1, 1], abs=SUM)
        assert told["outcome"].iloc[2] == ALL_ENDINGS


class TestTruth:
    def test_the_sum_is_near_the_loss_that_the_simulator_knows_and_closed_only_is_not(self, two_endings, found):
        book, truth = two_endings
        assert found.lgd == pytest.approx(truth, abs=SAMPLING)
        closed = estimate_loss(book, "all", policy=UNDISCOUNTED, n_bootstrap=0).estimate.closed_only_lgd
        assert truth - closed > TWO_POINTS

    def test_a_loan_that_has_been_open_for_longer_loses_more(self, found):
        lgd = found.by_month.set_index("months")["lgd"]
        assert lgd[0] < lgd[12] < lgd[24]
        # a write-off after t months brings less than 60 - t
        late = found.table[(found.table["months"] == 24) & (found.table["outcome"] == "written_off")]
        assert late["loss_given_outcome"].item() > 0.4 + 0.24

    def test_loans_that_are_never_resolved_lose_what_they_have_lost_so_far(self, small_book):
        book, truth = simulated(small_book, n=2000, never=0.2)
        endings = estimate_outcome_losses(book, "all", policy=UNDISCOUNTED)
        never = endings.of_new_defaults().set_index("outcome").loc["never_resolves"]
        assert never["probability"] == pytest.approx(0.2, abs=3 * (0.16 / 2000) ** 0.5)
        assert never["loss_given_outcome"] == pytest.approx(1, abs=SUM)  # nothing has come back
        assert endings.lgd == pytest.approx(truth, abs=SAMPLING)


class TestWhose:
    def test_a_segment_with_few_such_endings_takes_its_parents_loss_and_says_so(self, prepared_book):
        endings = estimate_outcome_losses(prepared_book, "mortgage", policy=AT_EIR)
        new = endings.of_new_defaults().set_index("outcome")
        assert new.loc["cured", "basis"] == "mortgage"
        assert new.loc["written_off", "basis"] == "all"
        assert (new["n_episodes"] >= 10).all()
        assert endings.basis == "mortgage"

    def test_endings_too_rare_after_so_many_months_are_those_of_the_latest_months_with_enough(self, prepared_book):
        table = estimate_outcome_losses(prepared_book, "all", policy=AT_EIR).table
        assert (table["closed_after"] <= table["months"]).all()
        late = table[(table["outcome"] == "liquidated") & (table["months"] > 24)]
        # never back to the closings of all months, whose losses are much lower
        assert (late["closed_after"] >= 24).all()

    def test_on_the_sample_it_agrees_with_the_average_from_the_curve(self, prepared_book):
        endings = estimate_outcome_losses(prepared_book, "all", policy=AT_EIR)
        all_in = estimate_loss(prepared_book, "all", policy=AT_EIR, n_bootstrap=0).estimate.all_in_lgd
        assert endings.lgd == pytest.approx(all_in, abs=SAMPLING)

    def test_without_a_model_there_is_a_reason_and_no_number(self, small_book):
        book, _ = simulated(small_book, n=30)
        endings = estimate_outcome_losses(book, "all", policy=UNDISCOUNTED, minimum_closed=60)
        assert np.isnan(endings.lgd)
        assert endings.tables() == {}
        assert endings.record()["outcome_lgd"] is None
        assert "closed episodes" in endings.note
        assert endings.told().empty
        assert endings.of_new_defaults().empty

    def test_an_unknown_segment_is_refused(self, prepared_book):
        with pytest.raises(InsufficientDataError, match="no default episode in segment 'boat'"):
            estimate_outcome_losses(prepared_book, "boat", policy=AT_EIR)
