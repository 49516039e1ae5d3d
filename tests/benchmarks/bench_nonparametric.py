"""Curves with standard errors of 60 segments at a million episodes, beside peers on the same rows in the same run.

Everybody gets the frame as a dictionary-coded Parquet file is read, with segment and outcome as categories, and the
same job: a curve for each segment. The peers split the frame and go one segment at a time; R takes its formula, and is
charged its CPU seconds without reading. lifelines on counts, its strongest form, is charged neither for counting nor
for splitting. lifelines' AalenJohansenFitter is run on one segment, once per outcome, and its time taken times 60.
``RECOVERYKIT_BENCH_CURVE_ROWS`` sets the number of episodes.
"""

import os
import warnings

import numpy as np
import pandas as pd
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from recoverykit.estimators.nonparametric import aalen_johansen_by, kaplan_meier_by
from recoverykit.vocabulary import CLOSED_OUTCOMES, Outcome

N_EPISODES = int(os.environ.get("RECOVERYKIT_BENCH_CURVE_ROWS", "1000000"))
N_SEGMENTS = 60
SEGMENTS = [f"segment {number:02d}" for number in range(N_SEGMENTS)]
MONTH = 12  # at which R's answers are compared
AGREEMENT = 1e-9  # products of at most 60 factors
ROUNDS = {"rounds": 10, "warmup_rounds": 2}
KM = {"by": "segment", "duration_col": "months", "event_col": "resolved"}
AJ = {"by": "segment", "duration_col": "months", "outcome_col": "outcome"}

#: Prints for each of three peers its seconds, and values and standard errors of the first outcome at a month.
IN_R = """
suppressMessages({library(survival); library(cmprsk)})
given <- commandArgs(TRUE); n <- as.integer(given[2]); file <- file(given[1], "rb")
column <- function() readBin(file, "integer", n)
segment <- factor(column()); months <- column(); code <- column(); month <- as.numeric(given[3])
tell <- function(taken, ...) cat(sprintf("%.15g", c(sum(taken[1:2]), ...)), "")
taken <- system.time(fit <- survfit(Surv(months, code > 0) ~ segment))
told <- summary(fit, times = month)
tell(taken, told$surv, told$std.err)
taken <- system.time(fit <- survfit(Surv(months, factor(code)) ~ segment))
told <- summary(fit, times = month)
tell(taken, told$pstate[, 2], told$std.err[, 2])
taken <- system.time(fit <- cuminc(months, code, segment))
told <- timepoints(fit, month)
first <- paste(levels(segment), 1)
tell(taken, told$est[first, 1], sqrt(told$var[first, 1]))
"""


@pytest.fixture(scope="module")
def book():
    rng = np.random.default_rng(20260930)
    outcomes = [*map(str, CLOSED_OUTCOMES), str(Outcome.OPEN)]
    codes = rng.choice(len(outcomes), N_EPISODES, p=[0.3, 0.1, 0.1, 0.05, 0.15, 0.3])
    code = np.where(codes == len(outcomes) - 1, 0, codes + 1)
    return pd.DataFrame(
        {
            "segment": pd.Categorical.from_codes(rng.integers(0, N_SEGMENTS, N_EPISODES), SEGMENTS),
            "months": np.minimum(rng.exponential(15, N_EPISODES).astype(int), 60),
            "outcome": pd.Categorical.from_codes(codes, outcomes),
            "code": code,
            "resolved": code > 0,
        }
    )


@pytest.fixture(scope="module")
def in_r(book, run_r, tmp_path_factory):
    """Return for each peer in R its seconds, and values and standard errors of 60 segments at the month."""
    path = tmp_path_factory.mktemp("r") / "book.bin"
    columns = book["segment"].cat.codes, book["months"], book["code"]
    np.concatenate([column.to_numpy(dtype=np.int32) for column in columns]).tofile(path)
    told = run_r(IN_R, path, N_EPISODES, MONTH, packages=("survival", "cmprsk"))
    answers = np.reshape(told, (3, 1 + 2 * N_SEGMENTS))
    peers = ("survfit", "survfit of outcomes", "cuminc")
    return {peer: (row[0], row[1:].reshape(2, N_SEGMENTS)) for peer, row in zip(peers, answers, strict=True)}


def each(book, fit, **options):
    """Fit one segment at a time."""
    return {name: fit(part) for name, part in book.groupby("segment", observed=True, **options)}


def at_month(curves):
    """Return values and standard errors of all segments at the month, as R tells them."""
    where = [np.searchsorted(curve.times, MONTH, side="right") - 1 for curve in curves]
    return [
        [getattr(curve, name)[at] for curve, at in zip(curves, where, strict=True)]
        for name in ("values", "standard_errors")
    ]


def counted(book):
    return book.groupby(["segment", "months", "resolved"], observed=True).size().rename("n").reset_index()


def lifelines_on_counts(parts):
    return {name: KaplanMeierFitter().fit(p["months"], p["resolved"], weights=p["n"]) for name, p in parts.items()}


def test_kaplan_meier_beside_statsmodels_and_lifelines(benchmark, speed, book):
    curves = benchmark.pedantic(kaplan_meier_by, (book,), KM, **ROUNDS)
    statsmodels, theirs = speed.seconds(
        lambda: each(book, lambda part: SurvfuncRight(part["months"], part["resolved"])), repeats=3
    )
    lifelines, _ = speed.seconds(
        lambda: each(book, lambda part: KaplanMeierFitter().fit(part["months"], part["resolved"])), repeats=3
    )
    parts = dict(list(counted(book).groupby("segment", observed=True)))
    on_counts, _ = speed.seconds(lambda: lifelines_on_counts(parts), repeats=3)
    for name, peer in theirs.items():
        np.testing.assert_allclose(curves[name](peer.surv_times), peer.surv_prob, atol=AGREEMENT)
        at = np.searchsorted(curves[name].times, peer.surv_times)
        np.testing.assert_allclose(curves[name].standard_errors[at], peer.surv_prob_se, atol=AGREEMENT)
    speed.record(
        "Kaplan-Meier, 60 segments",
        rows=N_EPISODES,
        peers={"statsmodels": statsmodels, "lifelines": lifelines, "lifelines on counts": on_counts},
        mark={"statsmodels": "3", "lifelines": "15"},
    )


def test_kaplan_meier_from_counts(benchmark, speed, book):
    small = counted(book)
    benchmark.pedantic(kaplan_meier_by, (small,), KM | {"weights_col": "n"}, **ROUNDS)
    parts = dict(list(small.groupby("segment", observed=True)))
    on_counts, _ = speed.seconds(lambda: lifelines_on_counts(parts), repeats=3)
    speed.record("Kaplan-Meier, 60 segments, from counts", rows=len(small), peers={"lifelines on counts": on_counts})


def test_kaplan_meier_beside_scikit_survival(benchmark, speed, book):
    peer = pytest.importorskip("sksurv.nonparametric", reason="scikit-survival is not installed, so it is no peer here")
    curves = benchmark.pedantic(kaplan_meier_by, (book,), KM, **ROUNDS)
    spent, theirs = speed.seconds(
        lambda: each(
            book,
            lambda part: peer.kaplan_meier_estimator(
                part["resolved"].to_numpy(), part["months"].to_numpy(), conf_type="log-log"
            ),
        )
    )
    for name, (times, values, _) in theirs.items():
        np.testing.assert_allclose(curves[name](times), values, atol=AGREEMENT)
    speed.record("Kaplan-Meier, 60 segments", rows=N_EPISODES, peers={"scikit-survival": spent}, mark="40")


def test_kaplan_meier_beside_r(benchmark, speed, book, in_r):
    curves = benchmark.pedantic(kaplan_meier_by, (book,), KM, **ROUNDS)
    spent, told = in_r["survfit"]
    np.testing.assert_allclose(at_month(list(curves.values())), told, atol=AGREEMENT)
    speed.record("Kaplan-Meier, 60 segments", rows=N_EPISODES, peers={"R survival": spent})


def test_aalen_johansen_beside_statsmodels_and_lifelines(benchmark, speed, book):
    curves = benchmark.pedantic(aalen_johansen_by, (book,), AJ, **ROUNDS)
    statsmodels, theirs = speed.seconds(
        lambda: each(book, lambda part: CumIncidenceRight(part["months"], part["code"])), repeats=3
    )
    one = book[book["segment"] == SEGMENTS[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the ties that it breaks at random
        lifelines, _ = speed.seconds(
            lambda: [
                AalenJohansenFitter(seed=1).fit(one["months"], one["code"], event_of_interest=number)
                for number in range(1, 1 + len(CLOSED_OUTCOMES))
            ]
        )
    for name, peer in theirs.items():
        for number, outcome in enumerate(CLOSED_OUTCOMES):
            np.testing.assert_allclose(curves[name][outcome](peer.times), peer.cinc[number], atol=AGREEMENT)
    one_of_60 = "lifelines, one segment times 60"
    speed.record(
        "Aalen-Johansen, 60 segments, 5 outcomes",
        rows=N_EPISODES,
        peers={"statsmodels": statsmodels, one_of_60: N_SEGMENTS * lifelines},
        mark={"statsmodels": "3", one_of_60: "1,000"},
    )


@pytest.mark.parametrize(
    ("peer", "named", "variance"),
    [("survfit of outcomes", "R survival", "greenwood"), ("cuminc", "R cmprsk, its tests included", "aalen")],
)
def test_aalen_johansen_beside_r(benchmark, speed, book, in_r, peer, named, variance):
    curves = benchmark.pedantic(aalen_johansen_by, (book,), AJ | {"variance": variance}, **ROUNDS)
    spent, told = in_r[peer]
    cured = [parts[CLOSED_OUTCOMES[0]] for parts in curves.values()]
    np.testing.assert_allclose(at_month(cured), told, atol=AGREEMENT)
    speed.record("Aalen-Johansen, 60 segments, 5 outcomes", rows=N_EPISODES, peers={named: spent})
