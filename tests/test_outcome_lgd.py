"""Loss given outcome: by hand on seven loans, against Aalen-Johansen, identities, and a simulated truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators.nonparametric import aalen_johansen
from recoverykit.estimators.outcome_lgd import closing_weights, loss_given_outcome, loss_never_resolved

EXACT = 1e-12  # a few sums and products of numbers of order 1
# Three standard errors of a mean loss of 4,000 episodes with a standard deviation of a third.
SAMPLING = 3 * (1 / 3) / 4000**0.5
FIVE_POINTS = 0.05

# Seven loans; the months are those to the outcome, or completed months where open.
#   month 1: seven at risk, A is cured, B open and no longer watched   S(1-) = 1,   weight 7 x 1 / 7 = 1
#   month 2: five at risk, C is sold, D is cured                       S(2-) = 6/7, weight 7 x 6/7 / 5 = 6/5
#   month 3: three at risk, E open                                     nothing happens
#   month 4: two at risk, F is sold, G open                            S(4-) = 6/7 x 3/5 = 18/35, weight 7 x 18/35 / 2
SEVEN = pd.DataFrame(
    {
        "obligor_id": list("abcdefg"),
        "outcome": ["cured", "open", "sold", "cured", "open", "sold", "open"],
        "months_in_default": [1, 1, 2, 2, 3, 4, 4],
        "entry_months": 0,
        "realised_lgd": [0.0, None, 0.3, 0.1, None, 0.9, None],
    }
).astype({"realised_lgd": float})


class TestByHand:
    def test_each_closed_loan_stands_for_those_whose_observation_ended_before(self):
        assert closing_weights(SEVEN).tolist() == pytest.approx([1, 0, 1.2, 1.2, 0, 1.8, 0], abs=EXACT)

    def test_the_loss_of_an_outcome_weighs_late_closings_more(self):
        table = loss_given_outcome(SEVEN).set_index("outcome")
        # cured: (1 x 0 + 1.2 x 0.1) / 2.2; sold: (1.2 x 0.3 + 1.8 x 0.9) / 3
        assert table.loc["cured", "loss_given_outcome"] == pytest.approx(0.12 / 2.2, abs=EXACT)
        assert table.loc["sold", "loss_given_outcome"] == pytest.approx(1.98 / 3, abs=EXACT)
        assert table["observed_share"].tolist() == pytest.approx([2.2 / 7, 3.0 / 7], abs=EXACT)
        assert table["n_episodes"].tolist() == [2, 2]
        assert list(table.index) == ["cured", "sold"]

    def test_among_those_still_open_after_two_months_only_the_late_sale_is_left(self):
        table = loss_given_outcome(SEVEN, after=2)
        # still open after two months: 7 - 1 - 1.2 - 1.2 = 3.6; the sale of month 4 is 1.8 of them
        assert table["outcome"].tolist() == ["sold"]
        assert table[["observed_share", "loss_given_outcome"]].iloc[0].tolist() == pytest.approx([0.5, 0.9], abs=EXACT)

    def test_the_error_sums_the_loans_of_an_obligor(self):
        # sold: mean 0.66, scores 1.2 x -0.36 = -0.432 and 1.8 x 0.24 = 0.432; of one obligor they cancel
        table = loss_given_outcome(SEVEN).set_index("outcome")
        assert table.loc["sold", "standard_error"] == pytest.approx(0.432 * 2**0.5 / 3, abs=EXACT)
        one = SEVEN.assign(obligor_id=list("abcdecg"))
        assert loss_given_outcome(one).set_index("outcome").loc["sold", "standard_error"] == pytest.approx(0, abs=EXACT)

    def test_a_late_entry_is_at_risk_only_after_its_own_beginning(self):
        # A two months in default when first seen: it is not at risk in months 1 and 2, and its cure was never watched
        late = SEVEN.assign(entry_months=[2, 0, 0, 0, 0, 0, 0])
        # month 2: five at risk, two close, weight 7 x 1 / 5; month 4: two, 7 x 3/5 / 2
        assert closing_weights(late).tolist() == pytest.approx([0, 0, 1.4, 1.4, 0, 2.1, 0], abs=EXACT)

    def test_never_resolved_is_weighted_by_how_likely_that_is(self):
        mean, error = loss_never_resolved(np.array([0.9, 0.5, np.nan]), np.array([0.75, 0.25, 0.5]))
        assert mean == pytest.approx(0.8, abs=EXACT)
        # scores 0.75 x 0.1 and 0.25 x -0.3
        assert error == pytest.approx(0.075 * 2**0.5, abs=EXACT)
        assert np.isnan(loss_never_resolved(np.array([]), np.array([]))[0])


EPISODES = st.lists(
    st.tuples(
        st.sampled_from(["cured", "sold", "written_off", "open"]),
        st.integers(0, 8),
        st.integers(0, 3),
        st.floats(-0.2, 1.2),
    ),
    min_size=1,
    max_size=25,
)


def as_frame(drawn):
    frame = pd.DataFrame(drawn, columns=["outcome", "months_in_default", "entry_months", "realised_lgd"])
    frame["months_in_default"] += np.where(frame["entry_months"] > 0, frame["entry_months"], 0)
    frame["realised_lgd"] = frame["realised_lgd"].where(frame["outcome"] != "open")
    return frame.assign(obligor_id=np.arange(len(frame)))


class TestIdentities:
    @settings(deadline=None, max_examples=60)
    @given(drawn=EPISODES)
    def test_the_shares_are_those_of_aalen_and_johansen(self, drawn):
        frame = as_frame(drawn)
        watched = frame[(frame["entry_months"] == 0) | (frame["months_in_default"] > frame["entry_months"])]
        if watched.empty or (watched["outcome"] == "open").all():
            return
        curves = aalen_johansen(
            watched,
            duration_col="months_in_default",
            outcome_col="outcome",
            entry_col="entry_months",
            censored="open",
        )
        share = closing_weights(watched).groupby(watched["outcome"]).sum() / len(watched)
        for outcome, curve in curves.items():
            assert share[outcome] == pytest.approx(curve.values[-1], abs=1e-9)  # products in another order

    @settings(deadline=None, max_examples=60)
    @given(drawn=EPISODES)
    def test_with_no_open_episode_shares_times_losses_are_the_plain_mean(self, drawn):
        frame = as_frame([(o, m, 0, loss) for o, m, _, loss in drawn if o != "open"])
        if frame.empty:
            return
        table = loss_given_outcome(frame)
        assert closing_weights(frame).tolist() == pytest.approx([1.0] * len(frame), abs=1e-9)
        total = (table["observed_share"] * table["loss_given_outcome"]).sum()
        assert total == pytest.approx(frame["realised_lgd"].mean(), abs=1e-9)

    @settings(deadline=None, max_examples=40)
    @given(drawn=EPISODES, seed=st.integers(0, 99))
    def test_the_order_of_rows_does_not_matter(self, drawn, seed):
        frame = as_frame(drawn)
        mixed = frame.sample(frac=1, random_state=seed)
        pd.testing.assert_frame_equal(loss_given_outcome(frame), loss_given_outcome(mixed), rtol=1e-9)


def simulated(n, seed, last=36):
    """Cures after some 8 months that lose little, write-offs after some 24 that lose the more the later they come."""
    rng = np.random.default_rng(seed)
    cured = rng.random(n) < 0.4
    month = np.ceil(np.where(cured, 8, 24) * rng.weibull(1.5, n))
    loss = np.where(cured, 0.05, np.minimum(0.2 + 0.02 * month, 1.0)) + 0.05 * rng.standard_normal(n)
    observed = rng.integers(1, last, n)
    frame = pd.DataFrame({"obligor_id": np.arange(n), "entry_months": 0})
    outcome = np.where(cured, "cured", "written_off")
    whole = frame.assign(outcome=outcome, months_in_default=month, realised_lgd=loss)
    is_open = month > observed
    cut = whole.assign(
        outcome=whole["outcome"].mask(is_open, "open"),
        months_in_default=whole["months_in_default"].where(~is_open, observed),
        realised_lgd=whole["realised_lgd"].mask(is_open),
    )
    return whole, cut


def test_late_write_offs_that_lose_more_are_given_their_weight():
    whole, cut = simulated(10_000, seed=3)
    horizon = cut.loc[cut["outcome"] != "open", "months_in_default"].max()
    late = whole["months_in_default"] > horizon  # beyond what anybody has seen
    truth = whole[~late].groupby("outcome")["realised_lgd"].mean()
    found = loss_given_outcome(cut).set_index("outcome")["loss_given_outcome"]
    plain = cut.groupby("outcome")["realised_lgd"].mean()
    assert found["written_off"] == pytest.approx(truth["written_off"], abs=2 * SAMPLING)
    assert truth["written_off"] - plain["written_off"] > FIVE_POINTS
    assert found["cured"] == pytest.approx(0.05, abs=SAMPLING)


@pytest.mark.slow
def test_the_error_is_that_of_repeated_books():
    found = [loss_given_outcome(simulated(800, seed)[1]).set_index("outcome").loc["cured"] for seed in range(200)]
    spread = np.std([row["loss_given_outcome"] for row in found], ddof=1)
    assert np.mean([row["standard_error"] for row in found]) == pytest.approx(spread, rel=0.15)  # 5 % of 200 draws, x3


class TestBorder:
    def test_a_missing_column_and_a_month_that_is_none_are_named(self):
        with pytest.raises(ContractError, match="realised_lgd"):
            loss_given_outcome(SEVEN.drop(columns="realised_lgd"))
        with pytest.raises(ContractError, match="months_in_default and entry_months must be months of 0 or more"):
            closing_weights(SEVEN.assign(months_in_default=[1, -1, 2, 2, 3, 4, 4]))

    def test_missing_outcomes_and_obligors_are_refused(self):
        with pytest.raises(ContractError, match="outcome must not be missing: 1 row, first row 4"):
            closing_weights(SEVEN.assign(outcome=["cured", "open", "sold", "cured", None, "sold", "open"]))
        with pytest.raises(ContractError, match="obligor_id must not be missing: 1 row"):
            loss_given_outcome(SEVEN.assign(obligor_id=[None, *"bcdefg"]))

    def test_an_outcome_that_is_not_in_the_legend_has_its_row_too(self):
        own = SEVEN.assign(outcome=SEVEN["outcome"].replace("cured", "refinanced"))
        table = loss_given_outcome(own).set_index("outcome")
        assert list(table.index) == ["sold", "refinanced"]
        assert table.loc["refinanced", "loss_given_outcome"] == pytest.approx(0.12 / 2.2, abs=EXACT)

    def test_a_frame_without_rows_is_refused(self):
        with pytest.raises(InsufficientDataError):
            closing_weights(SEVEN.iloc[:0])

    def test_inputs_are_not_changed(self):
        before = SEVEN.copy()
        loss_given_outcome(SEVEN)
        pd.testing.assert_frame_equal(SEVEN, before)
