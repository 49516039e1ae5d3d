"""From open episodes to the cases of the traffic light: what the model of their outcomes must know."""

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit.errors import InsufficientDataError


def test_a_model_that_knows_no_cure_is_refused_with_what_it_knows():
    rng = np.random.default_rng(3)
    n = 400
    paid, sale = rng.weibull(1.3, n) * 14, rng.exponential(30, n)
    ends = np.minimum(paid, sale)
    months = np.ceil(np.minimum(ends, rng.uniform(6, 48, n))).astype(int)
    frame = pd.DataFrame(
        {
            "facility_id": [f"F{i}" for i in range(n)],
            "months_in_default": months,
            "outcome": np.where(months < np.ceil(ends), "open", np.where(paid < sale, "repaid", "sold")),
            "ead": 100.0,
            "outstanding": 80.0,
        }
    )
    model = rk.CompetingOutcomesModel(never_resolves=False)
    fit = model.fit(frame, duration_col="months_in_default", outcome_col="outcome")
    still = frame[frame["outcome"] == "open"]
    with pytest.raises(InsufficientDataError, match="the model knows no cure, only repaid, sold"):
        rk.triage_cases(still, fit, horizon_months=6, recovered_if_cured=1.0, recovered_if_not=0.4)
