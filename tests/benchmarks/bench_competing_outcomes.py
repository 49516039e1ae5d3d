"""How fast all outcomes of default are fitted at once, beside scipy's optimiser on the same likelihood.

Run by ``make bench``. ``RECOVERYKIT_BENCH_ROWS`` sets the number of episodes (default 100,000). No maintained package
fits this model, so the peer is what one writes instead: the likelihood in numpy, climbed by scipy from one start with
numerical gradients, on rows already counted. Both reach one log-likelihood; standard errors come with ours only.
"""

import os

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from recoverykit.estimators.competing_outcomes import CompetingOutcomesModel

N_ROWS = int(os.environ.get("RECOVERYKIT_BENCH_ROWS", "100000"))
OUTCOMES = ("cured", "sold", "written_off")
#: The peer stops at a gradient tolerance, so its maximum lies a little lower.
SAME_MAXIMUM = 1e-6


def episodes(n, *, seed=0):
    """Simulate monthly episodes of three outcomes with one factor; about a sixth never resolves."""
    rng = np.random.default_rng(seed)
    product = rng.integers(0, 4, n)
    odds = np.exp(np.column_stack([0.9 - 0.2 * product, -0.4 + 0.1 * product, 0.1 * product - 0.2, np.zeros(n)]))
    kind = ((odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    eta, sigma = np.array([1.8, 2.8, 3.0, np.inf])[kind], np.array([0.8, 0.5, 0.6, 1.0])[kind]
    end = np.ceil(np.exp(eta + sigma * np.log(-np.log(rng.random(n)))))
    observed = rng.integers(12, 73, n)
    ended = end <= observed
    month = np.minimum(end, observed)
    return pd.DataFrame(
        {
            "product": np.char.add("p", product.astype(str)).astype(object),
            "outcome": np.where(ended, np.array([*OUTCOMES, "open"])[kind], "open"),
            "lower": np.where(ended, month - 1, month),
            "upper": np.where(ended, month, np.inf),
        }
    )


def fit_peer(counts):
    """Climb the likelihood on counted rows with scipy, from one sensible start."""
    design = pd.get_dummies(counts["product"], drop_first=True).assign(constant=1).to_numpy(dtype=float)
    code = counts["outcome"].map({outcome: k for k, outcome in enumerate(OUTCOMES)}).fillna(-1).to_numpy(dtype=int)
    weight, p = counts["n"].to_numpy(dtype=float), design.shape[1]
    with np.errstate(divide="ignore"):
        log_lower, log_upper = np.log(counts["lower"].to_numpy()), np.log(counts["upper"].to_numpy())

    def minus_loglik(theta):
        odds = np.exp(design @ theta[: 3 * p].reshape(3, p).T)
        eta, sigma = theta[3 * p : 3 * p + 3], np.exp(theta[3 * p + 3 :])
        below = np.exp(-np.exp((log_lower[:, None] - eta) / sigma))
        above = np.exp(-np.exp(np.minimum((log_upper[:, None] - eta) / sigma, 300.0)))
        chance = np.where(code < 0, 1.0 + (odds * below).sum(axis=1), 0.0)
        for k in range(3):
            chance = np.where(code == k, odds[:, k] * (below - above)[:, k], chance)
        return -weight @ (np.log(np.maximum(chance, 1e-300)) - np.log1p(odds.sum(axis=1))) / weight.sum()

    start = np.concatenate([np.zeros(3 * p), np.full(3, 2.5), np.full(3, -0.3)])
    return -minimize(minus_loglik, start, method="BFGS", options={"gtol": 1e-6}).fun * weight.sum()


def test_three_outcomes_with_one_factor_beside_scipy_on_counts(benchmark, speed):
    frame = episodes(N_ROWS)
    counts = frame.groupby(list(frame.columns), as_index=False).size().rename(columns={"size": "n"})
    model = CompetingOutcomesModel(incidence="~ product")
    fit = benchmark(lambda: model.fit(frame, outcome_col="outcome", lower_col="lower", upper_col="upper"))
    spent, other = speed.seconds(lambda: fit_peer(counts))
    assert other == pytest.approx(fit.loglik, rel=SAME_MAXIMUM)
    benchmark.extra_info["rows after compression"] = fit.n_compressed_rows
    peers = {"scipy's BFGS on counts, no errors": spent}
    speed.record("competing outcomes, 3 outcomes, 1 factor", rows=N_ROWS, peers=peers)
