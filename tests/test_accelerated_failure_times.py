"""One outcome without a never-share is the plain accelerated failure time model: R survival's ``survreg``, case H."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recoverykit.estimators.competing_outcomes import CompetingOutcomesModel

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE") or Path(__file__).parents[2] / "shared" / "reference")
CONVERGED = 1e-5  # survreg stops at a relative change of 1e-9 of its log-likelihood
LOGLIK = 1e-6
#: Case -> file, time, event, weights and formula of log time.
CASES = {
    "rossi survreg": ("rossi_lifelines.csv", "week", "arrest", None, "~ fin + age + race + wexp + mar + paro + prio"),
    "lung survreg": ("lung_entry.csv", "time", "status", None, "~ age + sex"),
    "rossi survreg weighted": ("rossi_weighted.csv", "week", "arrest", "w", "~ fin + age + prio"),
}
TAILS = {"lung survreg": " age+sex", "rossi survreg weighted": " fin+age+prio"}


@pytest.fixture(scope="module")
def expected():
    source = REFERENCE / "survival" / "expected" / "survival_regressions.csv"
    if not source.is_file():
        pytest.skip(f"no reference data at {source}; set RECOVERYKIT_REFERENCE")
    return pd.read_csv(source).set_index("case")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("distribution", ["exponential", "weibull", "lognormal", "loglogistic"])
def test_estimates_errors_and_likelihood_of_survreg(expected, case, distribution):
    file, duration, event, weights, formula = CASES[case]
    frame = pd.read_csv(REFERENCE / "survival" / file)
    frame["outcome"] = np.where(frame[event] == 1, event, "open")
    model = CompetingOutcomesModel(distribution=distribution, latency=formula, never_resolves=False)
    fit = model.fit(frame, duration_col=duration, outcome_col="outcome", weights_col=weights)
    table = expected.loc[f"{case} {distribution}{TAILS.get(case, '')}"].set_index("param")
    names = ["Log(scale)" if term == "log_sigma" else term for term in fit.params.index.get_level_values("term")]
    ours = pd.DataFrame({"coef": fit.params.to_numpy(), "se": fit.standard_errors.to_numpy()}, index=names)
    theirs = table[["coef", "se"]].rename(index={"(Intercept)": "Intercept"})
    pd.testing.assert_frame_equal(ours.sort_index(), theirs.sort_index(), check_names=False, rtol=0, atol=CONVERGED)
    assert fit.loglik == pytest.approx(table["loglik"].iloc[0], abs=LOGLIK)
