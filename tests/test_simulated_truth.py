"""The true parameters of the simulator lie in the intervals of the estimator about as often as these promise.

Five hundred portfolios are drawn, the mixture cure model is fitted to the episodes of each, and every parameter is held
against the truth that the simulator states under the same name.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from recoverykit.data.synthetic import simulate_episodes, simulate_portfolio
from recoverykit.estimators.mixture_cure import MixtureCureFit, MixtureCureModel

N_SEEDS = 500
LEVEL = 0.95
#: Three binomial standard errors of a share of 0.95 over 500 seeds.
COVERAGE_MARGIN = 3 * np.sqrt(LEVEL * (1 - LEVEL) / N_SEEDS)
#: The intervals as a whole: between 93 and 97 in a hundred, as for every regression of the kit.
POOLED_MARGIN = 0.02
#: Mean error over 500 seeds in units of its own standard error: 16 parameters, none beyond 4 by chance.
LARGEST_MEAN_ERROR = 4.0


@pytest.fixture(scope="module")
def truth() -> dict:
    """The cure model as the simulator states it: formulas and coefficients, the same for every seed."""
    return simulate_portfolio(seed=0, n_facilities=60, n_obligors=40).truth["cure_model"]


def true_parameters(truth: dict) -> pd.Series:
    parts = {("incidence", term): value for term, value in truth["incidence"].items()}
    parts |= {("latency", term): value for term, value in truth["latency"].items()}
    parts[("ancillary", "log_sigma")] = np.log(truth["sigma"])
    return pd.Series(parts)


def fitted(truth: dict, seed: int) -> MixtureCureFit:
    """Fit the cure model, with the simulator's own formulas, to the episodes of one portfolio."""
    episodes = simulate_episodes(seed=seed)
    punctual = episodes[episodes["entry_months"] == 0]
    formulas = {"incidence": truth["incidence_formula"], "latency": truth["latency_formula"]}
    model = MixtureCureModel(distribution="weibull", **formulas)
    return model.fit(punctual, lower_col="cure_lower_months", upper_col="cure_upper_months", event_name="cured")


def test_the_fit_gives_its_parameters_the_names_of_the_truth(truth):
    fit, true = fitted(truth, 0), true_parameters(truth)
    assert set(fit.params.index) == set(true.index)
    distance = (fit.params - true) / fit.standard_errors
    assert distance.abs().max() < 4  # of 16 parameters, in standard errors


@pytest.mark.slow
def test_true_parameters_lie_in_their_intervals_about_as_often_as_promised(truth):
    true = true_parameters(truth)
    fits = [fitted(truth, seed) for seed in range(N_SEEDS)]
    estimates = pd.DataFrame([fit.params[true.index] for fit in fits])
    errors = pd.DataFrame([fit.standard_errors[true.index] for fit in fits])
    distance = (estimates - true).to_numpy() / errors.to_numpy()
    covered = pd.Series((np.abs(distance) <= ndtri(0.5 + LEVEL / 2)).mean(axis=0), index=true.index)
    off = covered[(covered - LEVEL).abs() > COVERAGE_MARGIN]
    assert off.empty, f"share of {N_SEEDS} intervals that hold the truth:\n{off}"
    assert covered.mean() == pytest.approx(LEVEL, abs=POOLED_MARGIN)
    bias = distance.mean(axis=0) * np.sqrt(N_SEEDS)
    assert np.abs(bias).max() < LARGEST_MEAN_ERROR
