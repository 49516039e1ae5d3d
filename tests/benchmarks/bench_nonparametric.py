"""Curves with standard errors of 60 segments at a million episodes, beside peers on the same rows in the same run.

Everybody gets the same frame and the same job, a curve for each product and region: statsmodels (``SurvfuncRight``,
``CumIncidenceRight`` on outcome numbers made for it) and lifelines split the frame and go one segment at a time, and
the strong peer, lifelines on rows already compressed to counts, is charged neither for the compression nor for reading.
"""

import time

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from recoverykit.estimators.nonparametric import aalen_johansen_by, kaplan_meier_by
from recoverykit.vocabulary import CLOSED_OUTCOMES, Outcome, segment_name

N_EPISODES = 1_000_000
SEGMENT = ["product", "region"]
AGREEMENT = 1e-9  # products of at most 60 factors


@pytest.fixture(scope="module")
def book():
    rng = np.random.default_rng(20260930)
    outcomes = np.array([*map(str, CLOSED_OUTCOMES), str(Outcome.OPEN)], dtype=object)
    codes = rng.choice(len(outcomes), N_EPISODES, p=[0.3, 0.1, 0.1, 0.05, 0.15, 0.3])
    frame = pd.DataFrame(
        {
            "product": np.array([f"product {i}" for i in range(10)], dtype=object)[rng.integers(0, 10, N_EPISODES)],
            "region": np.array([f"region {i}" for i in range(6)], dtype=object)[rng.integers(0, 6, N_EPISODES)],
            "months": np.minimum(rng.exponential(15, N_EPISODES).astype(int), 60),
            "outcome": outcomes[codes],
            "code": np.where(codes == len(outcomes) - 1, 0, codes + 1),
        }
    )
    return frame.assign(resolved=frame["code"] > 0)


def seconds(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def report(benchmark, peers):
    own = benchmark.stats.stats.min
    for name, spent in peers.items():
        benchmark.extra_info[f"times faster than {name}"] = round(spent / own, 1)
        print(f"{benchmark.name}: {own:.2f} s, {name} {spent:.2f} s, ratio {spent / own:.1f}")


def test_kaplan_meier_of_60_segments(benchmark, book):
    options = {"by": SEGMENT, "duration_col": "months", "event_col": "resolved"}
    curves = benchmark.pedantic(kaplan_meier_by, (book,), options, rounds=3, warmup_rounds=1)
    statsmodels, theirs = seconds(
        lambda: {name: SurvfuncRight(part["months"], part["resolved"]) for name, part in book.groupby(SEGMENT)}
    )
    lifelines, _ = seconds(
        lambda: {
            name: KaplanMeierFitter().fit(part["months"], part["resolved"]) for name, part in book.groupby(SEGMENT)
        }
    )
    small = book.groupby([*SEGMENT, "months", "resolved"]).size().rename("n").reset_index()
    small_parts = dict(list(small.groupby(SEGMENT)))
    compressed, _ = seconds(
        lambda: {
            name: KaplanMeierFitter().fit(part["months"], part["resolved"], weights=part["n"])
            for name, part in small_parts.items()
        }
    )
    for name, peer in theirs.items():
        np.testing.assert_allclose(curves[segment_name(name)](peer.surv_times), peer.surv_prob, atol=AGREEMENT)
        at = np.searchsorted(curves[segment_name(name)].times, peer.surv_times)
        np.testing.assert_allclose(curves[segment_name(name)].standard_errors[at], peer.surv_prob_se, atol=AGREEMENT)
    report(benchmark, {"statsmodels": statsmodels, "lifelines": lifelines, "lifelines on counts": compressed})


def test_kaplan_meier_of_60_segments_from_counts(benchmark, book):
    small = book.groupby([*SEGMENT, "months", "resolved"]).size().rename("n").reset_index()
    options = {"by": SEGMENT, "duration_col": "months", "event_col": "resolved", "weights_col": "n"}
    benchmark.pedantic(kaplan_meier_by, (small,), options, rounds=3, warmup_rounds=1)
    parts = dict(list(small.groupby(SEGMENT)))
    compressed, _ = seconds(
        lambda: {
            name: KaplanMeierFitter().fit(part["months"], part["resolved"], weights=part["n"])
            for name, part in parts.items()
        }
    )
    report(benchmark, {"lifelines on counts": compressed})


def test_aalen_johansen_of_60_segments_and_five_outcomes(benchmark, book):
    options = {"by": SEGMENT, "duration_col": "months", "outcome_col": "outcome"}
    curves = benchmark.pedantic(aalen_johansen_by, (book,), options, rounds=3, warmup_rounds=1)
    spent, theirs = seconds(
        lambda: {name: CumIncidenceRight(part["months"], part["code"]) for name, part in book.groupby(SEGMENT)}
    )
    for name, peer in theirs.items():
        for number, outcome in enumerate(CLOSED_OUTCOMES):
            np.testing.assert_allclose(
                curves[segment_name(name)][outcome](peer.times), peer.cinc[number], atol=AGREEMENT
            )
    report(benchmark, {"statsmodels": spent})
