"""How fast a Cox regression with tied months is fitted, beside lifelines' own call and R's ``coxph`` on the same rows.

Run by ``make bench``. ``RECOVERYKIT_BENCH_ROWS`` sets the number of episodes (default 100,000). R is charged its CPU
seconds without reading; all reach the same coefficients by Efron's method.
"""

import os

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from recoverykit.estimators.cox import CoxModel

N_ROWS = int(os.environ.get("RECOVERYKIT_BENCH_ROWS", "100000"))
COVARIATES = "product + region + ltv"
WHAT = "Cox, 2 factors and a number in 9 classes"
TIMES = {"duration_col": "month", "event_col": "cured"}
#: All stop at a gradient tolerance.
SAME_MAXIMUM = 1e-5
IN_R = """
suppressMessages(library(survival))
frame <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = TRUE)
frame$cured <- frame$cured == "True"
taken <- system.time(fit <- coxph(Surv(month, cured) ~ product + region + ltv, data = frame, ties = "efron"))
cat(sprintf("%.15g", c(sum(taken[1:2]), coef(fit), sqrt(diag(vcov(fit))))))
"""


@pytest.fixture(scope="module")
def frame():
    """Simulate monthly episodes with two factors and a number in nine classes."""
    rng = np.random.default_rng(0)
    product, region, ltv = rng.integers(0, 6, N_ROWS), rng.integers(0, 5, N_ROWS), rng.integers(-4, 5, N_ROWS) / 4
    months = np.ceil(rng.exponential(20 * np.exp(0.1 * product - 0.1 * region + 0.3 * ltv)))
    observed = rng.integers(6, 61, N_ROWS)
    frame = pd.DataFrame({"product": np.char.add("p", product.astype(str)).astype(object)})
    frame["region"] = np.char.add("r", region.astype(str)).astype(object)
    return frame.assign(ltv=ltv, month=np.minimum(months, observed), cured=months <= observed)


def fit_ours(benchmark, frame):
    return benchmark.pedantic(CoxModel(f"~ {COVARIATES}").fit, (frame,), TIMES, rounds=3, warmup_rounds=1)


def test_cox_beside_lifelines(benchmark, speed, frame):
    fit = fit_ours(benchmark, frame)
    spent, peer = speed.seconds(lambda: CoxPHFitter().fit(frame, "month", "cured", formula=COVARIATES))
    np.testing.assert_allclose(fit.params, peer.params_, atol=SAME_MAXIMUM)
    speed.record(WHAT, rows=N_ROWS, peers={"lifelines": spent})


def test_cox_beside_r(benchmark, speed, run_r, frame, tmp_path):
    fit = fit_ours(benchmark, frame)
    frame.to_csv(tmp_path / "frame.csv", index=False)
    spent, *told = run_r(IN_R, tmp_path / "frame.csv", packages=["survival"])
    np.testing.assert_allclose([*fit.params, *fit.standard_errors], told, atol=SAME_MAXIMUM)
    speed.record(WHAT, rows=N_ROWS, peers={"R survival": spent})
