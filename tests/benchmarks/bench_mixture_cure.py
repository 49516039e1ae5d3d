"""How fast a Weibull mixture cure regression is fitted, beside lifelines' custom regression fitter.

Run by ``make bench``. ``RECOVERYKIT_BENCH_ROWS`` sets the number of episodes (default 100,000) of the larger cases; the
peer is fitted on rows and, as its honest best, on the same rows compressed and weighted. All reach one log-likelihood.
"""

import os
import time

import autograd.numpy as anp
import numpy as np
import pandas as pd
import pytest
from lifelines.fitters import ParametricRegressionFitter

from recoverykit.estimators.mixture_cure import MixtureCureModel

N_ROWS = int(os.environ.get("RECOVERYKIT_BENCH_ROWS", "100000"))
FACTORS = "~ product + region + collateral"
TIMES = {"duration_col": "month", "event_col": "cured"}
#: The peer's optimiser stops at a gradient tolerance, so its maximum lies a little lower.
SAME_MAXIMUM = 1e-6


class PeerMixture(ParametricRegressionFitter):
    """The same likelihood written for lifelines; parameters in alphabetical order, as its standard errors demand."""

    _fitted_parameter_names = ("a_", "eta_", "s_")

    def _create_initial_point(self, times, events, entries, weights, xs):
        start = {name: np.zeros(len(xs[name].columns)) for name in self._fitted_parameter_names}
        start["eta_"][0] = np.log(np.median(times[0]))
        return [start]

    def _cumulative_hazard(self, params, times, xs):
        p = 1 / (1 + anp.exp(-anp.dot(xs["a_"], params["a_"])))
        u = (anp.log(times) - anp.dot(xs["eta_"], params["eta_"])) * anp.exp(-anp.dot(xs["s_"], params["s_"]))
        return -anp.log(1 - p + p * anp.exp(-anp.exp(u)))


def episodes(n, *, seed=0):
    """Simulate monthly episodes with three factors and two numbers, a share of which never cures."""
    rng = np.random.default_rng(seed)
    levels = {"product": 6, "region": 5, "collateral": 4}
    codes = {name: rng.integers(0, size, n) for name, size in levels.items()}
    ltv, age = rng.normal(size=n), rng.normal(size=n)
    a = 0.3 + 0.15 * codes["product"] - 0.2 * codes["region"] + 0.1 * codes["collateral"] + 0.3 * ltv
    eta = 2.3 + 0.05 * codes["product"] + 0.1 * codes["region"] - 0.1 * age
    ever = rng.random(n) < 1 / (1 + np.exp(-a))
    time_to_cure = np.where(ever, np.exp(eta + 0.7 * np.log(-np.log(rng.random(n)))), np.inf)
    observed = rng.integers(6, 61, n)
    frame = pd.DataFrame({name: np.char.add(name, code.astype(str)).astype(object) for name, code in codes.items()})
    month = np.minimum(np.ceil(time_to_cure), observed)
    return frame.assign(ltv=ltv, age=age, month=month, cured=time_to_cure <= observed)


def fit_peer(frame, formula, weights_col=None):
    regressors = {"a_": formula, "eta_": formula, "s_": "~ 1"}
    regressors = {name: text.removeprefix("~ ") for name, text in regressors.items()}
    return PeerMixture().fit(frame, "month", "cured", regressors=regressors, weights_col=weights_col)


def seconds(function):
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def compare(benchmark, ours, peers):
    """Time our fit, then each peer once, and report the ratios."""
    fit = benchmark(ours)
    mine = benchmark.stats.stats.min
    for name, peer in peers.items():
        took, other = seconds(peer)
        assert other.log_likelihood_ == pytest.approx(fit.loglik, rel=SAME_MAXIMUM)
        benchmark.extra_info[f"times faster than {name}"] = round(took / mine, 1)
    print(f"\n{benchmark.name}: {1000 * mine:,.0f} ms, {benchmark.extra_info}")


def test_three_factors_beside_lifelines_on_rows_and_on_counts(benchmark):
    frame = episodes(N_ROWS)
    by = ["product", "region", "collateral", "month", "cured"]
    counts = frame.groupby(by, as_index=False).size().rename(columns={"size": "n"})
    model = MixtureCureModel(incidence=FACTORS, latency=FACTORS)
    compare(
        benchmark,
        lambda: model.fit(frame, **TIMES),
        {
            "lifelines on rows": lambda: fit_peer(frame[by], FACTORS),
            "lifelines on counts": lambda: fit_peer(counts, FACTORS, weights_col="n"),
        },
    )


def test_three_factors_and_two_numbers_beside_lifelines_on_rows(benchmark):
    frame = episodes(N_ROWS)
    formula = f"{FACTORS} + ltv + age"
    model = MixtureCureModel(incidence=formula, latency=formula)
    peers = {"lifelines on rows": lambda: fit_peer(frame, formula)}
    compare(benchmark, lambda: model.fit(frame, **TIMES), peers)


@pytest.mark.parametrize("distribution", ["weibull", "lognormal", "loglogistic"])
def test_three_factors_in_monthly_intervals(benchmark, distribution):
    frame = episodes(N_ROWS)
    frame["upper"] = np.where(frame["cured"], frame["month"], np.inf)
    frame["lower"] = np.where(frame["cured"], frame["month"] - 1, frame["month"])
    model = MixtureCureModel(distribution=distribution, incidence=FACTORS, latency=FACTORS)
    fit = benchmark(lambda: model.fit(frame, lower_col="lower", upper_col="upper"))
    benchmark.extra_info["rows after compression"] = fit.n_compressed_rows
