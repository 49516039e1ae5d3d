"""How fast a mixture cure regression is fitted, beside lifelines' custom regression fitter.

Run by ``make bench``. ``RECOVERYKIT_BENCH_ROWS`` sets the number of episodes (default 100,000) of all cases. Both are
handed the frame with categorical columns, as a dictionary-coded Parquet file is read; with text in these three columns
we take half as long again at 100,000 episodes and four times as long at a million, to tell the texts apart. We are
charged for checking, counting, the design, the search from several starts and the standard errors. The peer is fitted
on rows and, as its honest best, on the rows counted, for which it is charged too. All reach one log-likelihood. Memory
is what a fit allocates at its peak beyond the frame.
"""

import os

import autograd.numpy as anp
import numpy as np
import pandas as pd
import pytest
from lifelines.fitters import ParametricRegressionFitter

from recoverykit.estimators.mixture_cure import MixtureCureModel

N_ROWS = int(os.environ.get("RECOVERYKIT_BENCH_ROWS", "100000"))
FAMILIES = ("weibull", "lognormal", "loglogistic")
FACTORS = "~ product + region + collateral"
TIMES = {"duration_col": "month", "event_col": "cured"}
#: The peer's optimiser stops at a gradient tolerance, so its maximum lies a little lower.
SAME_MAXIMUM = 1e-6
BY = ["product", "region", "collateral", "month", "cured"]


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
    frame = frame.assign(ltv=ltv, age=age, month=month, cured=time_to_cure <= observed)
    return frame.astype(dict.fromkeys(levels, "category"))


def fit_peer(frame, formula, weights_col=None):
    regressors = {"a_": formula, "eta_": formula, "s_": "~ 1"}
    regressors = {name: text.removeprefix("~ ") for name, text in regressors.items()}
    return PeerMixture().fit(frame, "month", "cured", regressors=regressors, weights_col=weights_col)


def fit_peer_on_counts(frame, formula):
    counts = frame.groupby(BY, as_index=False, observed=True).size().rename(columns={"size": "n"})
    return fit_peer(counts, formula, weights_col="n")


def compare(benchmark, speed, ours, peers, what, mark):
    """Time our fit, then each peer once, and record the ratios and our memory."""
    fit = benchmark.pedantic(ours, rounds=25, warmup_rounds=1)
    spent = {}
    for name, peer in peers.items():
        spent[name], other = speed.seconds(peer)
        assert other.log_likelihood_ == pytest.approx(fit.loglik, rel=SAME_MAXIMUM)
    memory = f"{speed.megabytes(ours):,.0f} MB"
    speed.record(what, rows=N_ROWS, peers=spent, mark=mark, memory=memory)


def test_three_factors_beside_lifelines_on_rows_and_on_counts(benchmark, speed):
    frame = episodes(N_ROWS)
    model = MixtureCureModel(incidence=FACTORS, latency=FACTORS)
    peers = {
        "lifelines on rows": lambda: fit_peer(frame[BY], FACTORS),
        "lifelines on counts": lambda: fit_peer_on_counts(frame, FACTORS),
    }
    mark = {"lifelines on rows": "25 ms at 100,000, 500 at 1,000,000", "lifelines on counts": "10 at 1,000,000"}
    compare(benchmark, speed, lambda: model.fit(frame, **TIMES), peers, "mixture cure, 3 factors", mark)


def test_three_factors_and_two_numbers_beside_lifelines_on_rows(benchmark, speed):
    frame = episodes(N_ROWS)
    formula = f"{FACTORS} + ltv + age"
    model = MixtureCureModel(incidence=formula, latency=formula)
    peers = {"lifelines on rows": lambda: fit_peer(frame, formula)}
    mark = "25 and 200 MB at 1,000,000"
    compare(benchmark, speed, lambda: model.fit(frame, **TIMES), peers, "mixture cure, 3 factors and 2 numbers", mark)


@pytest.mark.parametrize("form", ["exact times", "monthly intervals"])
def test_three_families(benchmark, speed, form):
    frame = episodes(N_ROWS)
    columns = TIMES
    if form == "monthly intervals":
        frame["upper"] = np.where(frame["cured"], frame["month"], np.inf)
        frame["lower"] = np.where(frame["cured"], frame["month"] - 1, frame["month"])
        columns = {"lower_col": "lower", "upper_col": "upper"}
    models = [MixtureCureModel(distribution=name, incidence=FACTORS, latency=FACTORS) for name in FAMILIES]
    fits = benchmark.pedantic(lambda: [model.fit(frame, **columns) for model in models], rounds=9, warmup_rounds=1)
    benchmark.extra_info["rows after compression"] = fits[0].n_compressed_rows
    speed.record(f"mixture cure, {len(fits)} families one after the other, {form}", rows=N_ROWS)
