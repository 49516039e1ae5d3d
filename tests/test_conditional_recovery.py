"""Remaining recovery given what was recovered so far: by hand, against sums from the definition, and in simulation."""

import json

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators.conditional_recovery import conditional_recovery, remaining_by_recovered
from recoverykit.estimators.remaining_recovery import remaining_recovery

EXACT = 1e-12  # a few sums and products of numbers of order 1

# Three loans of EAD 100, 200 and 100; A sold in month 3, B open and observed for 2 months, C written off in month 1.
#   A pays 20 in month 1 and 30 in month 3; B 50 in month 2; C 10 in month 0.
#   Outstanding before month 0: 400. Recovered 10. After it, still open: A 100, B 200, C 90.
#   Before month 1: 390. Recovered 20. After it, still open: A 80, B 200.
#   Before month 2: 280. Recovered 50. After it, still open: A 80, B 150.
#   Before month 3: A 80. Recovered 30. Nothing open.
EPISODES = pd.DataFrame(
    {
        "episode_id": ["A", "B", "C"],
        "obligor_id": ["a", "b", "c"],
        "ead": [100.0, 200.0, 100.0],
        "outcome": ["sold", "open", "written_off"],
        "months_in_default": [3, 2, 1],
        "observed_months": [5, 2, 4],
        "entry_months": 0,
    }
)
LEDGER = pd.DataFrame(
    {
        "episode_id": ["A", "A", "B", "C"],
        "month": [1, 3, 2, 0],
        "recovery_month": [1, 3, 2, 0],
        "present_value_amount": [20.0, 30.0, 50.0, 10.0],
    }
)


def fitted(episodes=EPISODES, ledger=LEDGER, **options):
    return conditional_recovery(episodes, ledger, **{"minimum_at_risk": 1, **options})


class TestByHand:
    curve = fitted()

    def test_what_is_paid_and_what_stays_is_divided_by_what_was_outstanding(self):
        np.testing.assert_allclose(self.curve.paid_share, [10 / 400, 20 / 390, 50 / 280, 30 / 80], atol=EXACT)
        np.testing.assert_allclose(self.curve.still_open_share, [390 / 400, 280 / 390, 230 / 280, 0], atol=EXACT)
        np.testing.assert_array_equal(self.curve.n_open_at_start, [3, 3, 2, 1])

    def test_what_remains_is_the_next_payment_and_what_remains_after_it(self):
        after_2 = 30 / 80
        after_1 = 50 / 280 + 230 / 280 * after_2
        np.testing.assert_allclose(self.curve.remaining_share[1:], [after_1, after_2, 0], atol=EXACT)

    def test_it_applies_to_the_outstanding_part(self):
        np.testing.assert_allclose(self.curve.remaining_after(2, [0.0, 0.6, 1.0, 1.2]), [0.375, 0.15, 0, 0], atol=EXACT)
        np.testing.assert_allclose(self.curve.remaining_after([2, 9], 0.6), [0.15, 0], atol=EXACT)

    def test_recoveries_after_an_outcome_count_in_its_month(self):
        late = pd.concat([LEDGER, pd.DataFrame([("C", 4, 1, 39.0)], columns=LEDGER.columns)])
        assert fitted(ledger=late).paid_share[1] == pytest.approx(59 / 390, abs=EXACT)

    def test_what_is_paid_in_the_running_month_does_not_count(self):
        late = pd.concat([LEDGER, pd.DataFrame([("B", 3, 3, 99.0)], columns=LEDGER.columns)])
        pd.testing.assert_frame_equal(fitted(ledger=late).to_frame(), self.curve.to_frame())

    def test_an_outcome_in_the_running_month_leaves_the_episode_open_in_the_months_observed(self):
        # B ends in month 3, of which only two have been observed in full: so far it is as open as before.
        ends = EPISODES.assign(outcome=["sold", "sold", "written_off"], months_in_default=[3, 3, 1])
        late = pd.concat([LEDGER, pd.DataFrame([("B", 3, 3, 99.0)], columns=LEDGER.columns)])
        pd.testing.assert_frame_equal(fitted(ends, late).to_frame(), self.curve.to_frame())
        left, right = (remaining_by_recovered(e, late, months=(2,), minimum_at_risk=1) for e in (ends, EPISODES))
        pd.testing.assert_frame_equal(left, right)

    def test_more_than_all_leaves_nothing_outstanding(self):
        rich = pd.concat([LEDGER, pd.DataFrame([("A", 1, 1, 100.0)], columns=LEDGER.columns)])
        # A has recovered 120 of 100 by month 1: nothing, not minus 20, is outstanding beside B's 200.
        assert fitted(ledger=rich).still_open_share[1] == pytest.approx(200 / 390, abs=EXACT)

    def test_where_all_is_paid_back_nothing_is_expected(self):
        # Three flows of a third each leave a remainder of rounding, which must not be divided by.
        thirds = pd.DataFrame({"episode_id": "A", "month": [1, 2, 3], "recovery_month": [1, 2, 3]})
        whole = EPISODES.head(1).assign(months_in_default=9, observed_months=9, outcome="open", ead=0.3)
        curve = fitted(whole, thirds.assign(present_value_amount=[0.1, 0.1, 0.1]))
        np.testing.assert_allclose(curve.remaining_share[:3], [1, 1, 1], atol=1e-9)
        np.testing.assert_array_equal(curve.remaining_share[3:], 0)

    def test_late_entries_are_left_out_and_counted(self):
        late = EPISODES.assign(episode_id=["X", "Y", "Z"], entry_months=1)
        curve = fitted(episodes=pd.concat([EPISODES, late]))
        assert curve.n_late_entry == 3
        np.testing.assert_array_equal(curve.remaining_share, self.curve.remaining_share)

    def test_the_record_is_json_without_numbers_that_it_does_not_know(self):
        record = json.loads(json.dumps(self.curve.to_record()))
        assert record["remaining_share"][2] == pytest.approx(0.375)
        assert record["lower"] == [None] * 4


def simulated(rng, n, *, history_matters=False):
    """Loans observed for 6 to 60 months, and what each recovers in all; and what is left of it after month 6.

    In the first three months each pays a random part, 0 to 30 % a month, of what is outstanding; later between 0 and
    8 %. It closes with 4 % a month, paying half of the rest. Where the history matters, one that paid more early goes
    on to pay more of the rest.
    """
    pace = rng.uniform(0, 1, n)
    outstanding, is_open = np.ones(n), np.ones(n, bool)
    observed, length = rng.integers(6, 61, n), np.full(n, 120)
    ead = rng.lognormal(9, 0.7, n)
    rows, after_6 = [], np.zeros(n)
    for month in range(1, 121):
        level = 0.3 if month <= 3 else 0.08
        own = pace if (history_matters or month <= 3) else rng.uniform(0, 1, n)
        paid = np.where(is_open, level * own * outstanding, 0.0)
        outstanding = outstanding - paid
        ends = is_open & (rng.random(n) < 0.04)
        final = np.where(ends, 0.5 * outstanding, 0.0)
        outstanding = outstanding - final
        length[ends] = month
        is_open &= ~ends
        after_6 += (paid + final) * (month > 6)
        some = np.flatnonzero(paid + final > 0)
        rows.append(pd.DataFrame({"episode_id": some, "month": month, "amount": (paid + final)[some] * ead[some]}))
    ledger = pd.concat(rows)
    episodes = pd.DataFrame(
        {
            "episode_id": np.arange(n),
            "obligor_id": np.arange(n),
            "ead": ead,
            "outcome": np.where(length <= observed, "sold", "open"),
            "months_in_default": np.minimum(length, observed),
            "observed_months": observed,
            "entry_months": 0,
        }
    )
    ledger = ledger.assign(recovery_month=ledger["month"]).rename(columns={"amount": "present_value_amount"})
    early = ledger[ledger["month"] <= 6].groupby("episode_id")["present_value_amount"].sum()
    recovered = early.reindex(np.arange(n), fill_value=0.0).to_numpy() / ead
    return episodes, ledger, recovered, after_6, length > 6


class TestAgainstTheDefinition:
    @pytest.mark.parametrize("seed", range(2))
    def test_sums_are_those_of_episodes_written_out_month_by_month(self, seed):
        rng = np.random.default_rng(seed)
        episodes, ledger, *_ = simulated(rng, 60)
        curve = fitted(episodes, ledger)
        seen = ledger.merge(episodes, on="episode_id").query("month <= observed_months")
        for month in range(1, 30):
            paid = before = after = 0.0
            for episode in episodes.itertuples():
                if episode.months_in_default < month:
                    continue
                flows = seen[seen["episode_id"] == episode.episode_id]
                so_far = [flows.loc[flows["month"] <= m, "present_value_amount"].sum() for m in (month - 1, month)]
                stays = episode.outcome == "open" or episode.months_in_default > month
                paid += so_far[1] - so_far[0]
                before += max(episode.ead - so_far[0], 0)
                after += max(episode.ead - so_far[1], 0) * stays
            assert curve.paid_share[month] == pytest.approx(paid / before, abs=1e-10)
            assert curve.still_open_share[month] == pytest.approx(after / before, abs=1e-10)


class TestProperties:
    def test_splitting_a_cash_flow_in_two_changes_nothing(self):
        halves = LEDGER.assign(present_value_amount=LEDGER["present_value_amount"] / 2)
        split = fitted(ledger=pd.concat([halves, halves]))
        pd.testing.assert_frame_equal(split.to_frame(), fitted().to_frame(), rtol=EXACT)

    def test_the_unit_of_money_and_the_order_of_rows_change_nothing(self):
        cents = LEDGER.assign(present_value_amount=LEDGER["present_value_amount"] * 100)
        again = fitted(EPISODES.assign(ead=EPISODES["ead"] * 100).iloc[::-1], cents.iloc[::-1])
        pd.testing.assert_frame_equal(again.to_frame(), fitted().to_frame(), rtol=EXACT)

    def test_with_no_open_case_what_is_expected_at_default_is_what_came_in(self):
        rng = np.random.default_rng(2)
        episodes, ledger, *_ = simulated(rng, 200)
        closed = episodes[episodes["outcome"] == "sold"]
        flows = ledger[ledger["episode_id"].isin(set(closed["episode_id"]))]
        curve = fitted(closed, flows)
        plain = flows["present_value_amount"].sum() / closed["ead"].sum()
        assert curve.remaining_after(0, 0.0) == pytest.approx(plain, abs=1e-10)

    def test_the_same_seed_gives_the_same_band_around_the_estimate(self):
        episodes, ledger, *_ = simulated(np.random.default_rng(3), 300)
        options = {"n_bootstrap": 200, "minimum_at_risk": 20}
        left, right = (fitted(episodes, ledger, rng=np.random.default_rng(4), **options) for _ in range(2))
        pd.testing.assert_frame_equal(left.to_frame(), right.to_frame())
        assert ((left.lower <= left.remaining_share) & (left.remaining_share <= left.upper))[:-1].all()
        lower, upper = left.limits_after(6, 0.5)
        assert lower == pytest.approx(0.5 * left.lower[6])
        assert upper == pytest.approx(0.5 * left.upper[6])

    def test_the_band_is_that_of_resampled_episodes(self):
        episodes, ledger, *_ = simulated(np.random.default_rng(5), 60)
        curve = fitted(episodes, ledger, n_bootstrap=2000, rng=np.random.default_rng(1), minimum_at_risk=15)
        last = len(curve.months) - 1
        rng, slow = np.random.default_rng(2), []
        by_episode = dict(tuple(ledger.groupby("episode_id")))
        for _ in range(150):
            picks = rng.choice(60, 60)
            drawn = episodes.iloc[picks].assign(episode_id=np.arange(60), obligor_id=np.arange(60))
            flows = pd.concat([by_episode[p].assign(episode_id=k) for k, p in enumerate(picks) if p in by_episode])
            one, share = fitted(drawn, flows), 0.0
            for month in range(last, 2, -1):  # up to the month where the curve ends
                share = one.paid_share[month] + one.still_open_share[month] * share
            slow.append(share)
        # 150 copies: 5.8 % noise in their standard deviation, three times.
        assert curve.standard_errors[2] == pytest.approx(np.std(slow), rel=0.18)


class TestSimulation:
    def test_by_class_of_recoveries_it_is_right_where_age_alone_is_not(self):
        rng = np.random.default_rng(20261124)
        episodes, ledger, recovered, after, was_open = simulated(rng, 20000)
        curve = fitted(episodes, ledger, minimum_at_risk=100)
        by_age = remaining_recovery(open_cells(episodes, ledger), minimum_at_risk=100).total_after(6)
        for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.7)):
            mine = was_open & (recovered >= low) & (recovered < high)
            weights = episodes["ead"].to_numpy()[mine]
            left = after[mine] - curve.remaining_after(6, recovered[mine])
            error = np.std(left) / np.sqrt(mine.sum() * np.mean(weights) ** 2 / np.mean(weights**2))
            bias = np.average(left, weights=weights)
            # Recoveries after month 60 are beyond the data: 0.96^54 x 0.96^54 of them, under half a point of EAD.
            assert abs(bias) < 3 * error + 0.005
            if not 0.2 <= low < 0.4:
                assert abs(np.average(after[mine] - by_age, weights=weights)) > 0.02

    def test_the_check_by_class_agrees_where_the_history_does_not_matter_and_shows_where_it_does(self):
        largest = {}
        for matters in (False, True):
            episodes, ledger, *_ = simulated(np.random.default_rng(11), 6000, history_matters=matters)
            table = remaining_by_recovered(episodes, ledger, months=(6,), bounds=(0.2, 0.4), minimum_at_risk=50)
            assert table["horizon"].notna().all()
            largest[matters] = table["difference"].abs().max()
        assert largest[False] < 0.02
        assert largest[True] > 0.05

    @pytest.mark.slow
    def test_the_band_covers_about_as_often_as_it_says(self):
        # After month 6 each month brings 4 % of what is outstanding, and from the 4 % that close half of the rest;
        # 96 % of 96 % stays outstanding on open ones. Within the curve, which ends where too few are open:
        paid, stays, hits = 0.04 + 0.04 * 0.5 * 0.96, 0.96 * 0.96, 0
        for seed in range(200):
            rng = np.random.default_rng(1000 + seed)
            episodes, ledger, *_ = simulated(rng, 500)
            curve = fitted(episodes, ledger, n_bootstrap=200, rng=rng, minimum_at_risk=10)
            truth = paid * (1 - stays ** (curve.months[-1] - 6)) / (1 - stays)
            hits += curve.lower[6] <= truth <= curve.upper[6]
        # 200 trials: 95 % within 4.6 points at three standard errors, and percentile bands run a little short.
        assert 0.88 <= hits / 200 <= 0.995


def open_cells(episodes, ledger):
    """Cells of ``remaining_recovery`` written out from episodes and flows."""
    rows = episodes.loc[episodes.index.repeat(episodes["months_in_default"] + 1)]
    month = rows.groupby(level=0).cumcount()
    paid = ledger.groupby(["episode_id", "month"])["present_value_amount"].sum()
    keys = pd.MultiIndex.from_arrays([rows["episode_id"], month])
    ends = (month == rows["months_in_default"]) & (rows["outcome"] != "open")
    return pd.DataFrame(
        {
            "month": month.to_numpy(),
            "present_value_amount_open": paid.reindex(keys, fill_value=0.0).to_numpy(),
            "ead_open_at_start": rows["ead"].to_numpy(),
            "ead_resolved": np.where(ends, rows["ead"], 0.0),
            "n_open_at_start": 1,
        }
    )


class TestClasses:
    def test_a_class_is_followed_from_its_month_on_by_hand(self):
        # Open after month 1: A with 20 % recovered and B with nothing. A recovers 30 of 100 later, B 50 of 200.
        table = remaining_by_recovered(EPISODES, LEDGER, months=(1,), bounds=(0.1,), minimum_at_risk=1)
        assert table["n_episodes"].tolist() == [1, 1]
        assert table["horizon"].tolist() == [2, 5]
        np.testing.assert_allclose(table["followed_rate"], [0.25, 0.3], atol=EXACT)
        # B up to month 2: 50/280 of all; A up to the end of the curve: 80 % of what remains after month 1.
        expected = [50 / 280, 0.8 * (50 / 280 + 230 / 280 * 30 / 80)]
        np.testing.assert_allclose(table["expected_rate"], expected, atol=EXACT)

    def test_a_class_with_too_few_episodes_has_no_numbers(self):
        episodes, ledger, *_ = simulated(np.random.default_rng(1), 300)
        table = remaining_by_recovered(episodes, ledger, months=(6,), bounds=(0.99,), minimum_at_risk=20)
        assert table["n_episodes"].iloc[1] < 20
        assert np.isnan(table["followed_rate"].iloc[1])
        assert np.isfinite(table["followed_rate"].iloc[0])


class TestRefusals:
    def test_everything_wrong_is_listed_at_once(self):
        broken = EPISODES.assign(ead=[100.0, 0.0, np.nan], episode_id=["A", "A", "C"])
        with pytest.raises(ContractError, match=r"(?s)must not be repeated.*ead must be a number above 0"):
            fitted(broken)

    def test_a_flow_without_episode_is_refused(self):
        with pytest.raises(ContractError, match="episode_id must be one of the episodes: 1 row"):
            fitted(ledger=LEDGER.assign(episode_id=["A", "A", "B", "nobody"]))

    def test_missing_columns_and_no_rows(self):
        with pytest.raises(ContractError, match="ledger: column 'recovery_month' is missing"):
            fitted(ledger=LEDGER.drop(columns="recovery_month"))
        with pytest.raises(InsufficientDataError, match="episodes has no row"):
            fitted(EPISODES.head(0))
        with pytest.raises(InsufficientDataError, match="all 3 episodes were in default when observation began"):
            fitted(EPISODES.assign(entry_months=1))

    def test_no_cash_flow_at_all_means_nothing_to_expect(self):
        np.testing.assert_array_equal(fitted(ledger=LEDGER.head(0)).remaining_share, 0.0)

    def test_half_months_and_bounds_out_of_order_are_refused(self):
        with pytest.raises(ValueError, match="whole and 0 or more"):
            fitted().remaining_after(1.5, 0.1)
        with pytest.raises(ValueError, match="must increase"):
            remaining_by_recovered(EPISODES, LEDGER, bounds=(0.5, 0.1))
        with pytest.raises(ValueError, match="rng="):
            fitted(n_bootstrap=5)
