"""The loss that counts open workouts as censored, against the ultimate loss that the simulator knows.

Each simulated book is cut at the reporting date with about a quarter of its episodes open; the truth lets every one of
them run to its end. One book takes about four seconds.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

import recoverykit as rk

SPEC = Path(__file__).parents[1] / "data_samples" / "specs" / "sample.yml"
SEEDS = range(2, 12)
ONE_POINT, FIVE_POINTS = 0.01, 0.05
# Of 10 intervals that cover with probability 0.95, fewer than 8 do in about 1 case of 100.
FEWEST_COVERED = 8

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    made = []
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"seed{seed}")
        (folder / "specs").mkdir()
        shutil.copy(SPEC, folder / "specs")
        truth = rk.simulate_portfolio(seed=seed).truth["lgd"]
        rk.write_sample(folder, seed)
        book = rk.open_book(folder / "specs" / "sample.yml")
        policy = rk.discount_policy("eir")
        estimate = rk.estimate_loss(book, "all", policy=policy, n_bootstrap=200, seed=seed).estimate
        made.append((truth, estimate, rk.losses_by_segment(book, policy=policy)))
    return made


def test_the_all_in_loss_is_within_a_point_of_the_truth_where_closed_only_is_five_points_off(studies):
    bias = [e.all_in_lgd - t["portfolio"]["all_in_discounted"] for t, e, _ in studies]
    closed_bias = [e.closed_only_lgd - t["portfolio"]["all_in_discounted"] for t, e, _ in studies]
    assert abs(np.mean(bias)) < ONE_POINT
    assert np.mean(closed_bias) < -FIVE_POINTS


def test_its_intervals_hold_the_truth(studies):
    limits = [(e.intervals["all_in_lgd"], t["portfolio"]["all_in_discounted"]) for t, e, _ in studies]
    assert sum(lower <= truth <= upper for (lower, upper), truth in limits) >= FEWEST_COVERED


def test_segment_by_segment_its_error_is_less_than_half_of_that_of_closed_only(studies):
    ours, closed = [], []
    for truth, _, losses in studies:
        known = losses["segment"].map({s: v["all_in_discounted"] for s, v in truth["by_product_and_region"].items()})
        ours += ((losses["all_in_lgd"] - known) ** 2).tolist()
        closed += ((losses["closed_only_lgd"] - known) ** 2).tolist()
    assert np.sqrt(np.nanmean(ours)) < 0.5 * np.sqrt(np.nanmean(closed))


def test_the_whole_book_is_the_sum_of_its_segments(studies):
    for _, estimate, losses in studies:
        summed = (losses["all_in_lgd"] * losses["n_episodes"]).sum() / losses["n_episodes"].sum()
        assert summed == pytest.approx(estimate.all_in_lgd, abs=1e-12)  # sums of the same numbers in another order
