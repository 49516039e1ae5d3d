"""Measures of performance on large books, beside peers and beside the same measure by pairs, in the same run.

lifelines counts concordant pairs with a tree in Python. Nobody installed here computes a time-dependent AUC, so its
peer is the definition as a block of n x n comparisons per horizon, on as many rows as memory bears.
"""

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index

from recoverykit.estimators.evaluation import (
    brier_score,
    calibration,
    concordance,
    cure_k_index,
    integrated_auc,
    time_dependent_auc,
)

N_EPISODES = 100_000
N_PAIRED = 4_000
MONTHS = list(range(1, 61))
AGREEMENT = 1e-12  # sums of 16 million products of order 1, divided by their total


def simulate(n):
    rng = np.random.default_rng(20260930)
    score = rng.standard_normal(n)
    months = np.ceil(np.minimum(rng.exponential(20 * np.exp(-0.7 * score)), rng.uniform(6, 90, n)))
    months = np.minimum(months, 72.0)
    outcome = rng.choice(["cured", "sold", "open"], n, p=[0.5, 0.2, 0.3]).astype(object)
    outcome[months == 72.0] = "open"
    frame = pd.DataFrame({"months": months, "outcome": outcome, "score": score})
    return frame.assign(cured=frame["outcome"] == "cured", p=1 / (1 + np.exp(-score)))


@pytest.fixture(scope="module")
def book():
    return simulate(N_EPISODES)


def auc_options(controls="open"):
    return {
        "duration_col": "months", "outcome_col": "outcome", "outcome": "cured", "score_col": "score",
        "times": MONTHS, "controls": controls,
    }  # fmt: skip


def paired_auc(frame):
    """Return the AUC at every month from all pairs at once."""
    months, score = frame["months"].to_numpy(), frame["score"].to_numpy()
    is_open, is_cured = (frame["outcome"] == "open").to_numpy(), frame["cured"].to_numpy()
    grid = np.unique(months)
    stays = [
        1 - np.sum(is_open & (months == u)) / max(np.sum((months > u) | (is_open & (months == u))), 1) for u in grid
    ]
    before = np.concatenate([[1.0], np.cumprod(stays)])[np.searchsorted(grid, months)]
    higher = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    values = []
    for month in MONTHS:
        case = (is_cured & (months <= month)) / before
        control = (months > month) | (is_open & (months == month))
        weights = np.outer(case, control)
        values.append((weights * higher).sum() / weights.sum())
    return values


def test_auc_curve_with_standard_errors_at_60_months(benchmark, speed, book):
    curve = benchmark.pedantic(time_dependent_auc, (book,), auc_options(), rounds=3, warmup_rounds=1)
    assert curve["standard_error"].between(0, 0.1).all()
    speed.record("AUC at 60 months with errors", rows=N_EPISODES)
    small = book.iloc[:N_PAIRED]
    spent, paired = speed.seconds(lambda: paired_auc(small))
    own, curve = speed.seconds(lambda: time_dependent_auc(small, **auc_options()), repeats=3)
    np.testing.assert_allclose(curve["auc"], paired, atol=AGREEMENT)
    peers = {"all pairs, no errors": spent}
    speed.record("AUC at 60 months with errors", rows=N_PAIRED, peers=peers, seconds=own)


def test_memory_of_the_auc_curve_does_not_depend_on_the_number_of_months(benchmark, speed, book):
    one, all_months = (
        speed.megabytes(lambda times=times: time_dependent_auc(book, **(auc_options() | {"times": times})))
        for times in (MONTHS[11:12], MONTHS)
    )
    benchmark.pedantic(time_dependent_auc, (book,), auc_options() | {"times": MONTHS[11:12]}, rounds=3)
    memory = f"{one:.0f} MB, {all_months:.0f} MB for {len(MONTHS)} months"
    speed.record("AUC at one month with error", rows=N_EPISODES, memory=memory)
    assert all_months < 1.2 * one


def test_integrated_auc_with_competing_controls(benchmark, speed, book):
    benchmark.pedantic(integrated_auc, (book,), auc_options("others"), rounds=3, warmup_rounds=1)
    speed.record("integrated AUC, other outcomes as controls", rows=N_EPISODES)


def test_brier_score_at_60_months(benchmark, speed, book):
    options = {
        "duration_col": "months", "outcome_col": "outcome", "outcome": "cured", "times": MONTHS,
        "predicted_cols": dict.fromkeys(MONTHS, "p"),
    }  # fmt: skip
    benchmark.pedantic(brier_score, (book,), options, rounds=3, warmup_rounds=1)
    speed.record("Brier score at 60 months", rows=N_EPISODES)


@pytest.mark.parametrize("method", ["harrell", "uno"])
def test_concordance_with_its_standard_error(benchmark, speed, book, method):
    options = {"duration_col": "months", "event_col": "cured", "score_col": "score", "method": method}
    measure = benchmark.pedantic(concordance, (book,), options, rounds=3, warmup_rounds=1)
    peers = {}
    if method == "harrell":
        spent, peer = speed.seconds(lambda: concordance_index(book["months"], -book["score"], book["cured"]))
        assert measure.value == pytest.approx(peer, abs=AGREEMENT)
        peers = {"lifelines, no error": spent}
    speed.record(f"concordance with error, {method}", rows=N_EPISODES, peers=peers)


def test_k_index(benchmark, speed, book):
    options = {"score_col": "score", "susceptible_col": "p"}
    value = benchmark.pedantic(cure_k_index, (book,), options, rounds=3, warmup_rounds=1)
    assert 0.5 < value < 1
    speed.record("K-index", rows=N_EPISODES)


def test_calibration_by_decile(benchmark, speed, book):
    options = {
        "predicted_col": "p", "horizon": 24, "duration_col": "months", "outcome_col": "outcome", "outcome": "cured"
    }  # fmt: skip
    benchmark.pedantic(calibration, (book,), options, rounds=3, warmup_rounds=1)
    speed.record("calibration by decile", rows=N_EPISODES)
