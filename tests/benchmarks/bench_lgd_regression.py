"""How fast fractional logit and beta regressions of losses are fitted, beside the plain statsmodels call.

Run by ``make bench``. ``RECOVERYKIT_BENCH_LGD_ROWS`` sets the number of episodes (default 1,000,000). Everybody gets
the same frame, with factors as categories, as a dictionary-coded Parquet file is read, and is charged for the design,
the fit and its errors; ours also checks every row. Memory is what each allocates at its peak beyond that frame. Both
reach the same estimates: statsmodels' beta regression stops at a loose gradient, so the estimates compared are those
that its own Newton method leaves unmoved.
"""

import os

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.othermod.betareg import BetaModel

from recoverykit.estimators.beta_regression import BetaRegressionModel
from recoverykit.estimators.fractional_logit import FractionalLogitModel
from recoverykit.estimators.lgd_comparison import compare_lgd_models
from recoverykit.estimators.two_stage_lgd import TwoStageLgdModel
from recoverykit.estimators.zero_one_inflated_beta import ZeroOneInflatedBetaModel

N_ROWS = int(os.environ.get("RECOVERYKIT_BENCH_LGD_ROWS", "1000000"))
FACTORS = "product + region + collateral"
NUMBERS = f"{FACTORS} + ltv + rate + size + age_of_loan"
#: The mark of the task.
SAME = 1e-8
MARK = {FACTORS: "100", NUMBERS: "3 and under 300 MB"}


@pytest.fixture(scope="module")
def episodes():
    """Simulate losses inside (0, 1) with three factors and four numbers."""
    rng = np.random.default_rng(20260930)
    levels = {"product": 6, "region": 5, "collateral": 4}
    codes = {name: rng.integers(0, size, N_ROWS) for name, size in levels.items()}
    columns = {
        name: pd.Categorical.from_codes(code, [f"{name}{i}" for i in range(levels[name])])
        for name, code in codes.items()
    }
    numbers = {name: rng.normal(size=N_ROWS) for name in ("ltv", "rate", "size", "age_of_loan")}
    eta = -0.3 + 0.15 * codes["product"] - 0.1 * codes["region"] + 0.3 * numbers["ltv"] - 0.1 * numbers["rate"]
    mu = 1 / (1 + np.exp(-eta))
    loss = np.clip(rng.beta(3 * mu, 3 * (1 - mu)), 1e-6, 1 - 1e-6)
    return pd.DataFrame({**columns, **numbers, "realised_lgd": loss, "obligor": rng.integers(0, N_ROWS // 2, N_ROWS)})


def report(benchmark, speed, name, formula, fit_ours, fit_theirs, spent):
    ours, theirs = speed.megabytes(fit_ours), speed.megabytes(fit_theirs)
    benchmark.extra_info |= {"megabytes": round(ours), "megabytes of statsmodels": round(theirs)}
    kind = "3 factors" if formula == FACTORS else "3 factors and 4 numbers"
    speed.record(
        f"{name}, {kind}",
        rows=N_ROWS,
        peers={"statsmodels": spent},
        mark=MARK[formula],
        memory=f"{ours:,.0f} MB, peer {theirs:,.0f} MB",
    )


@pytest.mark.parametrize("formula", [FACTORS, NUMBERS], ids=["factors", "factors and numbers"])
def test_fractional_logit_beside_statsmodels(benchmark, speed, episodes, formula):
    def theirs():
        family = sm.families.Binomial()
        return smf.glm(f"realised_lgd ~ {formula}", episodes, family=family).fit(cov_type="HC0")

    def ours():
        return FractionalLogitModel(formula=f"~ {formula}").fit(episodes)

    fit = benchmark.pedantic(ours, rounds=5, warmup_rounds=1)
    spent, other = speed.seconds(theirs)
    np.testing.assert_allclose(fit.params, other.params, atol=SAME)
    np.testing.assert_allclose(fit.standard_errors, other.bse, rtol=1e-6)
    report(benchmark, speed, "fractional logit", formula, ours, theirs, spent)


@pytest.mark.parametrize("formula", [FACTORS, NUMBERS], ids=["factors", "factors and numbers"])
def test_beta_regression_beside_statsmodels(benchmark, speed, episodes, formula):
    def theirs(**options):
        return BetaModel.from_formula(f"realised_lgd ~ {formula}", episodes).fit(disp=0, **options)

    def ours():
        return BetaRegressionModel(formula=f"~ {formula}").fit(episodes)

    fit = benchmark.pedantic(ours, rounds=5, warmup_rounds=1)
    spent, other = speed.seconds(theirs)
    assert fit.loglik >= other.llf - 1e-6
    polished = theirs(start_params=fit.params.to_numpy(), method="newton")
    np.testing.assert_allclose(fit.params, polished.params, atol=SAME)
    np.testing.assert_allclose(fit.standard_errors, polished.bse, rtol=1e-6)
    report(benchmark, speed, "beta regression", formula, ours, theirs, spent)


def test_fractional_logit_with_errors_robust_over_obligors(benchmark, speed, episodes):
    model = FractionalLogitModel(formula=f"~ {FACTORS}")
    fit = benchmark.pedantic(model.fit, (episodes,), {"cluster_col": "obligor"}, rounds=3, warmup_rounds=1)
    speed.record(f"fractional logit, 3 factors, robust over {fit.n_clusters:,} obligors", rows=N_ROWS)


def test_a_comparison_of_four_models(benchmark, speed, episodes):
    rng = np.random.default_rng(1)
    kind = rng.random(N_ROWS)
    loss = np.where(kind < 0.3, 0.0, np.where(kind > 0.9, 1.0, episodes["realised_lgd"]))
    frame = episodes.assign(realised_lgd=loss)
    models = {
        "fractional logit": FractionalLogitModel(formula=f"~ {FACTORS}"),
        "beta, squeezed": BetaRegressionModel(formula=f"~ {FACTORS}", on_boundary="squeeze"),
        "inflated beta": ZeroOneInflatedBetaModel(formula=f"~ {FACTORS}", zero="~ product", one="~ product"),
        "two-stage": TwoStageLgdModel(any_loss=f"~ {FACTORS}", loss_given_loss=f"~ {FACTORS}"),
    }
    half = N_ROWS // 2
    benchmark.pedantic(compare_lgd_models, (models, frame[:half], frame[half:]), {"segment_by": ["product"]}, rounds=1)
    speed.record("comparison of four LGD models and the segment mean", rows=N_ROWS)
