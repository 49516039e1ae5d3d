"""How fast a Cox cure model is fitted, standard errors included, beside the EM algorithm it replaces.

Run by ``make bench``. ``RECOVERYKIT_BENCH_ROWS`` sets the number of episodes (default 100,000). The peer is a round of
that EM: a weighted logistic regression by statsmodels and a Cox regression by lifelines. A fit by EM takes tens of
rounds, and hundreds more in a bootstrap for its standard errors.
"""

import os

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import CoxPHFitter

from recoverykit.estimators.cox_cure import CoxCureModel

N_ROWS = int(os.environ.get("RECOVERYKIT_BENCH_ROWS", "100000"))
N_ROUNDS = 3
FORMULA = "~ ltv + age"
TIMES = {"duration_col": "month", "event_col": "cured"}


def episodes(n, *, monthly, seed=0):
    """Simulate episodes with two covariates, continuous or in five classes, a share of which never cures."""
    rng = np.random.default_rng(seed)
    ltv, age = rng.normal(size=n), rng.normal(size=n)
    if monthly:
        ltv, age = np.clip(np.round(ltv), -2, 2), np.clip(np.round(age), -2, 2)
    ever = rng.random(n) < 1 / (1 + np.exp(-0.5 - 0.4 * ltv + 0.3 * age))
    hazard = np.exp(-0.5 * ltv + 0.2 * age)
    time_to_cure = np.where(ever, 10 * (rng.exponential(size=n) / hazard) ** 0.8, np.inf)
    observed = rng.uniform(5, 60, n)
    month = np.minimum(time_to_cure, observed)
    return pd.DataFrame(
        {"ltv": ltv, "age": age, "month": np.ceil(month) if monthly else month, "cured": time_to_cure <= observed}
    )


def em_rounds(frame, n_rounds):
    """Run rounds of the EM of smcure: expectation, weighted logistic regression, weighted Cox regression, baseline."""
    design = sm.add_constant(frame[["ltv", "age"]])
    w, last = frame["cured"].astype(float), frame.loc[frame["cured"], "month"].max()
    for _ in range(n_rounds):
        logit = sm.GLM(w, design, family=sm.families.Binomial()).fit()
        data = frame.assign(w=np.maximum(w, 1e-8))
        cox = CoxPHFitter().fit(data[["ltv", "age", "month", "cured", "w"]], "month", "cured", weights_col="w")
        p, hazard = logit.fittedvalues, cox.predict_partial_hazard(data)
        cumulative = cox.baseline_cumulative_hazard_["baseline cumulative hazard"]
        place = np.searchsorted(cumulative.index, frame["month"], side="right") - 1
        survival = np.exp(-cumulative.to_numpy()[place] * hazard)
        survival = np.where(frame["month"] > last, 0.0, survival)
        w = np.where(frame["cured"], 1.0, p * survival / (1 - p + p * survival))
    return logit, cox


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("monthly", [False, True], ids=["continuous", "monthly"])
def test_cox_cure_with_standard_errors(benchmark, speed, monthly, ties):
    frame = episodes(N_ROWS, monthly=monthly)
    model = CoxCureModel(incidence=FORMULA, latency=FORMULA, ties=ties)
    fit = benchmark(lambda: model.fit(frame, **TIMES))
    assert fit.standard_errors.notna().all()
    benchmark.extra_info["rows after compression"] = fit.n_compressed_rows
    kind = "months, 5 classes" if monthly else "continuous"
    speed.record(f"Cox cure with errors, {kind}, {ties}", rows=N_ROWS, mark="500 ms")


def test_a_whole_fit_beside_one_round_of_em(benchmark, speed):
    frame = episodes(N_ROWS, monthly=False)
    model = CoxCureModel(incidence=FORMULA, latency=FORMULA)
    benchmark(lambda: model.fit(frame, **TIMES))
    spent, _ = speed.seconds(lambda: em_rounds(frame, N_ROUNDS))
    peers = {"one round of EM, no errors": spent / N_ROUNDS}
    speed.record("Cox cure with errors, continuous", rows=N_ROWS, peers=peers)
