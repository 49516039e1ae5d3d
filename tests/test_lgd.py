"""Loss given default of open and closed loans: by hand, on real defaults, and whether it is right on average."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators.lgd import expected_lgd, lgd_by, lgd_summary
from recoverykit.estimators.nonparametric import kaplan_meier
from recoverykit.estimators.recovery_curve import RemainingRecovery, remaining_recovery

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE") or Path(__file__).parents[2] / "shared" / "reference")
EXACT = 1e-12  # a few sums and products of numbers of order 1
PRINTED = 5e-4  # published to a tenth of a percent

# After month 1 a third of EAD is still to come: 10 % in month 2 with a fifth closing, then 7/24 in month 3.
REMAINING = RemainingRecovery(
    months=[0, 1, 2, 3],
    share_of_ead=[0, 0.05, 0.1, 7 / 24],
    share_resolved=[0, 0, 0.2, 1],
    still_open=[1, 1, 0.8, 0],
    n_open_at_start=[6, 6, 5, 4],
    ead_open_at_start=[600, 600, 500, 400],
)
# Six loans, three closed with LGD 0.3, 0.7 and -0.1, three open that have lost 0.9, 1 and 1 so far.
EPISODES = pd.DataFrame(
    {
        "episode_id": [f"{letter}#1" for letter in "ABCDEF"],
        "obligor_id": ["a", "a", "b", "c", "d", "e"],
        "product": ["card", "card", "card", "auto", "auto", "boat"],
        "ead": [100.0, 100.0, 200.0, 100.0, 300.0, 200.0],
        "outcome": ["liquidated", "sold", "cured", "open", "open", "open"],
        "months_in_default": [2, 3, 1, 1, 2, 3],
    }
)
WORKSHEET = pd.DataFrame(
    {
        "episode_id": EPISODES["episode_id"],
        "denominator_amount": EPISODES["ead"],
        "lgd_to_date": [0.3, 0.7, -0.1, 0.9, 1.0, 1.0],
        "is_closed": [True, True, True, False, False, False],
        "is_late_entry": False,
    }
)


def per_episode(**changes):
    worksheet = WORKSHEET.assign(**changes)
    return expected_lgd(EPISODES, worksheet, REMAINING, keep=["product"])


class TestEpisodesByHand:
    def test_an_open_loan_is_what_it_lost_so_far_less_what_is_still_to_come(self):
        frame = per_episode()
        # D after month 1: 0.1 + 0.8 * 7/24 = 1/3; E after month 2: 7/24; F after month 3: nothing.
        still_to_come = [0, 0, 0, 1 / 3, 7 / 24, 0]
        np.testing.assert_allclose(frame["expected_remaining_rate"], still_to_come, atol=EXACT)
        np.testing.assert_allclose(frame["expected_lgd"], [0.3, 0.7, -0.1, 0.9 - 1 / 3, 1 - 7 / 24, 1.0], atol=EXACT)
        assert frame["is_beyond_curve"].tolist() == [False] * 5 + [True]
        np.testing.assert_allclose(frame["recovered_rate"], [0.7, 0.3, 1.1, 0.1, 0, 0], atol=EXACT)

    def test_rates_are_shares_of_a_denominator_that_may_hold_drawings(self):
        frame = per_episode(denominator_amount=[100.0, 100.0, 200.0, 125.0, 300.0, 200.0])
        assert frame["expected_remaining_rate"][3] == pytest.approx(1 / 3 * 100 / 125, abs=EXACT)

    def test_days_of_the_running_month_are_not_expected_once_more(self):
        # Defaulted on 10 January; on 25 February 15 of the 28 days to 10 March have passed: 1 + 15/28 months.
        dated = EPISODES.assign(default_date=pd.Timestamp("2026-01-10"))
        frame = expected_lgd(dated, WORKSHEET, REMAINING, reporting_date="2026-02-25")
        assert frame["age_months"][3] == pytest.approx(1 + 15 / 28)
        assert frame["expected_remaining_rate"][3] == pytest.approx(REMAINING.total_after(1 + 15 / 28))
        assert frame["age_months"][:3].tolist() == [2, 3, 1]

    def test_an_episode_past_the_maximum_recovery_period_counts_as_closed(self):
        frame = per_episode(is_closed=[True, True, True, True, False, False])
        assert frame["outcome"][3] == "open"
        assert frame["expected_remaining_rate"][3] == 0

    def test_rows_come_sorted_whatever_their_order(self):
        shuffled = expected_lgd(
            EPISODES.iloc[::-1], WORKSHEET.sample(frac=1, random_state=1), REMAINING, keep=["product"]
        )
        pd.testing.assert_frame_equal(shuffled, per_episode())

    def test_episodes_and_worksheet_must_hold_the_same_episodes(self):
        with pytest.raises(ContractError, match=r"(?s)episodes: every episode must be in both.*row 5"):
            expected_lgd(EPISODES, WORKSHEET.head(5), REMAINING)
        with pytest.raises(ContractError, match="worksheet: episode_id must not be repeated"):
            expected_lgd(EPISODES, pd.concat([WORKSHEET, WORKSHEET.head(1)]), REMAINING)


LOANS = st.lists(
    st.tuples(st.integers(1, 10**9), st.floats(-0.5, 1.5), st.integers(0, 3), st.booleans()), min_size=1, max_size=20
)


def drawn_losses(drawn, *, factor=1.0, every_one_closed=False):
    ids = [f"{number}#1" for number in range(len(drawn))]
    closed = [every_one_closed or is_closed for *_, is_closed in drawn]
    ead = [factor * cents / 100 for cents, *_ in drawn]
    outcome = np.where(closed, "sold", "open")
    months = [month for _, _, month, _ in drawn]
    columns = {"episode_id": ids, "obligor_id": ids, "ead": ead, "outcome": outcome, "months_in_default": months}
    worksheet = pd.DataFrame({"episode_id": ids, "lgd_to_date": [lgd for _, lgd, _, _ in drawn], "is_closed": closed})
    return expected_lgd(pd.DataFrame(columns), worksheet, REMAINING)


class TestProperties:
    @settings(deadline=None, max_examples=60)
    @given(drawn=LOANS)
    def test_with_no_open_case_the_all_in_average_is_the_closed_only_one(self, drawn):
        estimate = lgd_summary(drawn_losses(drawn, every_one_closed=True))
        assert estimate.all_in_lgd == estimate.closed_only_lgd == estimate.as_recorded_lgd
        assert estimate.all_in_lgd_ead_weighted == estimate.closed_only_lgd_ead_weighted
        assert estimate.all_in_lgd_floored == estimate.closed_only_lgd_floored

    @settings(deadline=None, max_examples=60)
    @given(drawn=LOANS, factor=st.sampled_from([1000.0, 0.25, 7.3]))
    def test_scaling_all_money_changes_no_average(self, drawn, factor):
        plain, scaled = (lgd_summary(drawn_losses(drawn, factor=f)).to_record() for f in (1.0, factor))
        for name in ("all_in_lgd", "all_in_lgd_ead_weighted", "closed_only_lgd", "as_recorded_lgd_floored"):
            assert scaled[name] == (None if plain[name] is None else pytest.approx(plain[name], abs=1e-9))

    @settings(deadline=None, max_examples=60)
    @given(drawn=LOANS)
    def test_the_average_lies_between_as_recorded_and_all_that_could_still_come(self, drawn):
        estimate = lgd_summary(drawn_losses(drawn))
        most = REMAINING.total_after(0)
        share_open = estimate.n_open / estimate.n_episodes
        assert estimate.as_recorded_lgd - most * share_open - EXACT <= estimate.all_in_lgd
        assert estimate.all_in_lgd <= estimate.as_recorded_lgd + EXACT

    @settings(deadline=None, max_examples=40)
    @given(drawn=LOANS)
    def test_groups_weighted_by_number_add_up_to_the_whole(self, drawn):
        losses = drawn_losses(drawn)
        by = lgd_by(losses.assign(group=np.arange(len(losses)) % 3), "group")
        whole = lgd_summary(losses)
        assert by["n_episodes"].sum() == whole.n_episodes
        assert np.average(by["all_in_lgd"], weights=by["n_episodes"]) == pytest.approx(whole.all_in_lgd, abs=1e-9)


class TestAveragesByHand:
    def test_each_default_counts_once_and_exposure_stands_beside(self):
        estimate = lgd_summary(per_episode())
        assert (estimate.n_episodes, estimate.n_closed, estimate.n_open, estimate.n_beyond_curve) == (6, 3, 3, 1)
        # closed: (0.3 + 0.7 - 0.1) / 3; by EAD (30 + 70 - 20) / 400
        assert estimate.closed_only_lgd == pytest.approx(0.3, abs=EXACT)
        assert estimate.closed_only_lgd_ead_weighted == pytest.approx(0.2, abs=EXACT)
        # as recorded: (0.9 + 0.9 + 1 + 1) / 6; all in: less 1/3 and 7/24
        assert estimate.as_recorded_lgd == pytest.approx(3.8 / 6, abs=EXACT)
        assert estimate.all_in_lgd == pytest.approx((3.8 - 1 / 3 - 7 / 24) / 6, abs=EXACT)
        # by EAD: (80 + 90 + 300 + 200 - 100/3 - 300 * 7/24) / 1000
        assert estimate.all_in_lgd_ead_weighted == pytest.approx((670 - 100 / 3 - 87.5) / 1000, abs=EXACT)

    def test_the_floor_is_laid_under_each_episode_and_its_use_counted(self):
        estimate = lgd_summary(per_episode())
        assert estimate.closed_only_lgd_floored == pytest.approx(1.0 / 3, abs=EXACT)  # (0.3 + 0.7 + 0) / 3
        assert estimate.all_in_lgd_floored == pytest.approx(estimate.all_in_lgd + 0.1 / 6, abs=EXACT)
        assert (estimate.n_floored, estimate.n_floored_closed) == (1, 1)

    def test_late_entries_are_left_out_and_counted(self):
        frame = per_episode(is_late_entry=[True] + [False] * 5)
        estimate = lgd_summary(frame)
        assert (estimate.n_late_entry, estimate.n_episodes) == (1, 5)
        assert estimate.closed_only_lgd == pytest.approx((0.7 - 0.1) / 2, abs=EXACT)

    def test_an_episode_without_a_discount_rate_is_left_out_and_counted(self):
        estimate = lgd_summary(per_episode(lgd_to_date=[np.nan, 0.7, -0.1, 0.9, 1, 1]))
        assert (estimate.n_unknown, estimate.n_episodes) == (1, 5)
        assert estimate.closed_only_lgd == pytest.approx(0.3, abs=EXACT)

    def test_with_nobody_closed_the_closed_only_lgd_is_nan_and_says_so(self):
        frame = per_episode()
        estimate = lgd_summary(frame[~frame["is_closed"]])
        assert np.isnan(estimate.closed_only_lgd)
        assert not estimate.has_closed
        assert estimate.to_record()["closed_only_lgd"] is None
        assert np.isfinite(estimate.all_in_lgd)

    def test_with_nobody_open_all_in_is_closed_only_exactly(self):
        frame = per_episode()
        estimate = lgd_summary(frame[frame["is_closed"]], n_bootstrap=20, rng=np.random.default_rng(1))
        assert estimate.all_in_lgd == estimate.closed_only_lgd
        assert estimate.all_in_lgd_ead_weighted == estimate.closed_only_lgd_ead_weighted
        assert estimate.intervals["all_in_lgd"] == pytest.approx(estimate.intervals["closed_only_lgd"], abs=EXACT)

    def test_groups_are_averaged_alone_and_add_up(self):
        groups = lgd_by(per_episode(), "product").set_index("product")
        assert groups.index.tolist() == ["auto", "boat", "card"]
        assert groups.loc["card", "all_in_lgd"] == pytest.approx(0.3, abs=EXACT)
        assert np.isnan(groups.loc["boat", "closed_only_lgd"])
        whole = lgd_summary(per_episode())
        assert np.average(groups["all_in_lgd"], weights=groups["n_episodes"]) == pytest.approx(whole.all_in_lgd)
        by_ead = np.average(groups["all_in_lgd_ead_weighted"], weights=groups["ead"])
        assert by_ead == pytest.approx(whole.all_in_lgd_ead_weighted)

    def test_records_are_json_and_frames_hold_one_row(self):
        estimate = lgd_summary(per_episode(), n_bootstrap=20, rng=np.random.default_rng(1))
        record = json.loads(json.dumps(estimate.to_record(), allow_nan=False))
        assert record["n_open"] == 3
        assert len(estimate.to_frame()) == 1
        assert estimate.to_frame()["all_in_lgd_lower"].item() == estimate.intervals["all_in_lgd"][0]

    def test_no_episode_left_is_an_error_that_says_why(self):
        with pytest.raises(
            InsufficientDataError, match="none of 6 episodes can be averaged: 6 were already in default"
        ):
            lgd_summary(per_episode(is_late_entry=True))

    def test_a_missing_group_value_is_refused(self):
        frame = per_episode().assign(product=["card", None, "card", "auto", "auto", "boat"])
        with pytest.raises(ContractError, match="group column product must not be missing: 1 row"):
            lgd_by(frame, ["product"])


def cells_of(loans, paid):
    """Cells of loans that pay one lump at closure: one row per loan and whole month observed."""
    rows = loans.index.repeat(loans["observed_months"] + 1)
    month = np.concatenate([np.arange(n + 1) for n in loans["observed_months"]])
    all_loans, amount = loans.loc[rows], paid.loc[rows].to_numpy()
    in_default, ead = all_loans["months_in_default"].to_numpy(), all_loans["ead"].to_numpy()
    ends = (in_default == month) & (all_loans["outcome"] != "open").to_numpy()
    return pd.DataFrame(
        {
            "obligor_id": all_loans["obligor_id"].to_numpy(),
            "month": month,
            "present_value_amount_open": np.where(ends, amount, 0.0),
            "ead_open_at_start": np.where(in_default >= month, ead, 0.0),
            "n_open_at_start": (in_default >= month).astype(int),
            "ead_resolved": np.where(ends, ead, 0.0),
        }
    )


def simulated(rng, n_loans):
    """Loans that close with probability 6 % a month and lose more the later; observed for 0 to 60 months."""
    months, observed = rng.geometric(0.06, n_loans), rng.integers(0, 61, n_loans)
    rate = np.where(months <= 36, 0.9 * 0.96**months, 0.0)
    loans = pd.DataFrame(
        {
            "episode_id": np.arange(n_loans),
            "obligor_id": np.arange(n_loans) // 2,
            "ead": rng.lognormal(10, 0.5, n_loans),
            "observed_months": observed,
            "months_in_default": np.minimum(months, observed),
            "outcome": np.where(months <= observed, "liquidated", "open"),
        }
    )
    rate = pd.Series(rate).where(loans["outcome"] != "open", 0.0)
    worksheet = pd.DataFrame({"episode_id": loans["episode_id"], "lgd_to_date": 1.0 - rate})
    return loans, worksheet, cells_of(loans, rate * loans["ead"])


MONTHS = np.arange(1, 37)
TRUE_LGD = 1.0 - float(np.sum(0.06 * 0.94 ** (MONTHS - 1) * 0.9 * 0.96**MONTHS))


class TestInterval:
    def test_a_curve_estimated_again_in_each_draw_widens_the_all_in_interval_only(self):
        loans, worksheet, cells = simulated(np.random.default_rng(3), 300)
        frame = expected_lgd(loans, worksheet, remaining_recovery(cells))
        fixed = lgd_summary(frame, n_bootstrap=400, rng=np.random.default_rng(1)).intervals
        again = lgd_summary(frame, cells=cells, n_bootstrap=400, rng=np.random.default_rng(1)).intervals
        assert again["closed_only_lgd"] == pytest.approx(fixed["closed_only_lgd"], abs=EXACT)
        widths = [np.ptp(i["all_in_lgd"]) for i in (fixed, again)]
        assert widths[1] > 1.1 * widths[0]

    def test_a_draw_does_what_the_whole_calculation_does_on_copied_rows(self):
        loans, worksheet, cells = simulated(np.random.default_rng(3), 60)
        frame = expected_lgd(loans, worksheet, remaining_recovery(cells, minimum_at_risk=5))
        estimate = lgd_summary(frame, cells=cells, minimum_at_risk=5, n_bootstrap=1, rng=np.random.default_rng(4))
        picks = np.random.default_rng(4).integers(0, 30, size=30)  # obligors, in the order of their names
        rows = pd.concat([loans[loans["obligor_id"] == p].assign(obligor_id=i) for i, p in enumerate(picks)])
        last = int(remaining_recovery(cells, minimum_at_risk=5).months[-1])
        drawn = pd.concat([cells[cells["obligor_id"] == p] for p in picks])
        curve = remaining_recovery(drawn[drawn["month"] <= last], minimum_at_risk=1)
        lines = worksheet.set_index("episode_id").loc[rows["episode_id"]].reset_index()
        names = [f"{i}" for i in range(len(rows))]
        copied = expected_lgd(rows.assign(episode_id=names), lines.assign(episode_id=names), curve)
        by_rows = lgd_summary(copied)
        for name, (lower, _) in estimate.intervals.items():
            assert lower == pytest.approx(getattr(by_rows, name), abs=1e-10), name  # sums of 60 loans

    def test_a_small_segment_may_rest_on_the_cells_of_its_parent(self):
        loans, worksheet, cells = simulated(np.random.default_rng(3), 400)
        frame = expected_lgd(loans, worksheet, remaining_recovery(cells)).head(60)
        interval = lgd_summary(frame, cells=cells, n_bootstrap=200, rng=np.random.default_rng(1)).intervals[
            "all_in_lgd"
        ]
        assert interval[0] < lgd_summary(frame).all_in_lgd < interval[1]

    @pytest.mark.slow
    def test_all_in_is_right_on_average_where_closed_only_is_not(self):
        rng = np.random.default_rng(5)
        all_in, closed = [], []
        for _ in range(60):
            loans, worksheet, cells = simulated(rng, 2000)
            estimate = lgd_summary(expected_lgd(loans, worksheet, remaining_recovery(cells)))
            all_in.append(estimate.all_in_lgd)
            closed.append(estimate.closed_only_lgd)
        error = np.std(all_in) / np.sqrt(60)
        assert abs(np.mean(all_in) - TRUE_LGD) < 3 * error
        assert TRUE_LGD - np.mean(closed) > 10 * error

    @pytest.mark.slow
    def test_the_all_in_interval_covers_the_truth_about_as_often_as_it_says(self):
        rng = np.random.default_rng(6)
        hits = 0
        for _ in range(300):
            loans, worksheet, cells = simulated(rng, 800)
            frame = expected_lgd(loans, worksheet, remaining_recovery(cells))
            estimate = lgd_summary(frame, cells=cells, n_bootstrap=300, rng=rng)
            lower, upper = estimate.intervals["all_in_lgd"]
            hits += lower <= TRUE_LGD <= upper
        # 300 trials: 95 % within 3.8 points either way at three standard errors; percentile limits run a little short.
        assert 0.90 <= hits / 300 <= 0.99


def mortgage_defaults(as_of=60):
    """1,525 US mortgage defaults of the reference folder as known at the end of a quarter."""
    source = REFERENCE / "lgd" / "dcr.csv"
    if not source.is_file():
        pytest.skip(f"no reference data at {source}; set RECOVERYKIT_REFERENCE")
    rows = pd.read_csv(source)
    rows = rows[(rows["default_time"] == 1) & (rows["time"] <= as_of)].reset_index(drop=True)
    is_open = rows["res_time"].isna() | (rows["res_time"] > as_of)
    loans = pd.DataFrame(
        {
            "episode_id": rows["id"],
            "obligor_id": rows["id"],
            "ead": rows["balance_time"],
            "outcome": np.where(is_open, "open", "liquidated"),
            "months_in_default": (3 * (rows["res_time"].where(~is_open, as_of) - rows["time"])).astype(int),
            "observed_months": 3 * (as_of - rows["time"]),
        }
    )
    paid = rows["recovery_res"].where(~is_open, 0.0)
    worksheet = pd.DataFrame({"episode_id": rows["id"], "lgd_to_date": 1.0 - paid / rows["balance_time"]})
    return rows, loans, worksheet, cells_of(loans, paid)


class TestMortgageDefaults:
    """Roesch & Scheule, Deep Credit Risk; the file's own numbers."""

    def test_what_is_known_on_the_file_and_all_in_lies_above_closed_only(self):
        _, loans, worksheet, cells = mortgage_defaults()
        frame = expected_lgd(loans, worksheet, remaining_recovery(cells))
        estimate = lgd_summary(frame, cells=cells, n_bootstrap=200, rng=np.random.default_rng(1))
        assert (estimate.n_episodes, estimate.n_open) == (1525, 365)
        assert estimate.closed_only_lgd == pytest.approx(0.592, abs=PRINTED)
        assert estimate.closed_only_lgd_ead_weighted == pytest.approx(0.566, abs=PRINTED)
        # Late closures lose more, and the open ones are late: between closed-only and nothing more to come.
        assert estimate.closed_only_lgd < estimate.all_in_lgd < estimate.as_recorded_lgd
        lower, upper = estimate.intervals["all_in_lgd"]
        assert lower < estimate.all_in_lgd < upper
        print(f"all-in LGD {estimate.all_in_lgd:.4f} ({lower:.4f} to {upper:.4f})")

    def test_taking_the_files_lgd_of_open_loans_as_realised_is_far_too_low(self):
        rows, loans, worksheet, cells = mortgage_defaults()
        as_written = worksheet.assign(lgd_to_date=rows["lgd_time"])
        estimate = lgd_summary(expected_lgd(loans, as_written, remaining_recovery(cells)))
        assert estimate.as_recorded_lgd == pytest.approx(0.496, abs=PRINTED)

    def test_median_time_to_resolution_is_seven_quarters_and_five_among_closed(self):
        _, loans, _, _ = mortgage_defaults()
        loans = loans.assign(resolved=loans["outcome"] != "open")
        curve = kaplan_meier(loans, duration_col="months_in_default", event_col="resolved")
        assert curve.first_time_at_or_below(0.5) == 21
        assert loans.loc[loans["resolved"], "months_in_default"].median() == 15

    def test_frozen_at_quarter_36_all_in_is_nearer_to_what_came_later_than_closed_only(self):
        _, loans, worksheet, cells = mortgage_defaults(as_of=36)
        estimate = lgd_summary(expected_lgd(loans, worksheet, remaining_recovery(cells, minimum_at_risk=20)))
        later = 0.588  # of the same defaults, those resolved by quarter 60; closed-only at the time 41.1 %
        assert estimate.closed_only_lgd == pytest.approx(0.411, abs=PRINTED)
        assert abs(estimate.all_in_lgd - later) < 0.5 * abs(estimate.closed_only_lgd - later)
