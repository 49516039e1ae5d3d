"""How fast monthly hazards are fitted on cells, beside statsmodels on one row per episode and month.

Run by ``make bench``. ``RECOVERYKIT_BENCH_HAZARD_ROWS`` sets the number of episodes (default 20,000; the exploded table
of 100,000 takes minutes and gigabytes). The peer is charged for exploding, building its design and one fit per outcome,
we for checking, counting, the design and all fits with the covariance between outcomes; both reach one log-likelihood.
Memory is what each allocates at its peak, Python's and numpy's, beyond the frame that both are given.
"""

import gc
import os

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from formulaic import model_matrix

from recoverykit.estimators.discrete_hazard import DiscreteHazardModel
from recoverykit.vocabulary import CLOSED_OUTCOMES, Outcome

N_ROWS = int(os.environ.get("RECOVERYKIT_BENCH_HAZARD_ROWS", "20000"))
FORMULA = "~ cr(month, df=4) + product + region + collateral"
BASELINES = {"a spline": FORMULA, "a class for each month": FORMULA.replace("cr(month, df=4)", "C(month)")}
#: An exploded table with a column for each month takes all the memory of a small machine beyond that.
MOST_ROWS = {"a spline": 1_000_000, "a class for each month": 100_000}
#: Months followed: a month without any of the outcomes would have no estimate of its own.
LONGEST = {"a spline": 120, "a class for each month": 18}
TIMES = {"duration_col": "months", "outcome_col": "outcome"}
#: statsmodels stops at a relative change of its deviance, so its maximum lies a little lower.
SAME_MAXIMUM = 1e-9


def episodes(n_rows, outcomes, *, longest=120, seed=0):
    """Simulate monthly episodes with three factors and competing outcomes."""
    rng = np.random.default_rng(seed)
    levels = {"product": 6, "region": 5, "collateral": 4}
    codes = {name: rng.integers(0, size, n_rows) for name, size in levels.items()}
    pace = 60 * np.exp(-0.1 * codes["product"] + 0.1 * codes["region"] - 0.05 * codes["collateral"])
    ended, observed = np.ceil(rng.exponential(pace)).astype(int), rng.integers(12, longest + 1, n_rows)
    kinds = np.array([str(outcome) for outcome in outcomes], dtype=object)
    outcome = np.where(ended <= observed, kinds[rng.integers(0, len(kinds), n_rows)], str(Outcome.OPEN))
    frame = pd.DataFrame({name: np.char.add(name, code.astype(str)).astype(object) for name, code in codes.items()})
    frame = frame.assign(months=np.minimum(ended, observed), outcome=outcome)
    return frame.astype(dict.fromkeys([*levels, "outcome"], "category"))  # as a dictionary-coded Parquet file is read


def exploded_fits(frame, outcomes, formula):
    """Fit the usual way, and return the sum of the log-likelihoods."""
    place = np.repeat(np.arange(len(frame)), frame["months"])
    starts = np.cumsum(frame["months"].to_numpy()) - frame["months"].to_numpy()
    table = frame.take(place).reset_index(drop=True)
    table["month"] = np.arange(len(table)) - starts[place] + 1
    last = table["month"] == table["months"]
    design = model_matrix(formula, table)
    if "cr(" in formula:  # its columns add up to 1 and carry the level
        design = design.drop(columns="Intercept")
    design = np.asarray(design, dtype=float)
    loglik = 0.0
    for outcome in outcomes:
        family = sm.families.Binomial(link=sm.families.links.CLogLog())
        event = (last & (table["outcome"] == str(outcome))).to_numpy(dtype=float)
        loglik += sm.GLM(event, design, family=family).fit().llf
        gc.collect()  # a fit refers to itself, and several of them would not fit into memory
    return loglik


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("outcomes", [CLOSED_OUTCOMES[:1], CLOSED_OUTCOMES], ids=["one outcome", "five outcomes"])
def test_cells_beside_the_exploded_table(benchmark, speed, outcomes, baseline):
    n_rows = min(N_ROWS, MOST_ROWS[baseline])
    frame = episodes(n_rows, outcomes, longest=LONGEST[baseline])
    formula = BASELINES[baseline]
    model = DiscreteHazardModel(formula=formula)
    fit = benchmark(lambda: model.fit(frame, **TIMES))
    spent, peer = speed.seconds(lambda: exploded_fits(frame, outcomes, formula))
    assert peer == pytest.approx(fit.loglik, rel=SAME_MAXIMUM)
    ours = speed.megabytes(lambda: model.fit(frame, **TIMES))
    theirs = speed.megabytes(lambda: exploded_fits(frame, outcomes[:1], formula))
    benchmark.extra_info |= {"megabytes": round(ours), "megabytes of the exploded table": round(theirs)}
    speed.record(
        f"discrete hazard, 3 factors and {baseline}, {len(outcomes)} outcome{'s' * (len(outcomes) > 1)}",
        rows=n_rows,
        peers={"statsmodels GLM, exploded": spent},
        mark="3,000 and 40 MB at 100,000",
        memory=f"{ours:,.0f} MB, peer {theirs:,.0f} MB",
    )


@pytest.mark.parametrize("link", ["cloglog", "multinomial"])
def test_five_outcomes_under_a_macro_path(benchmark, speed, link):
    frame = episodes(N_ROWS, CLOSED_OUTCOMES)
    rng = np.random.default_rng(1)
    frame["default_date"] = pd.Timestamp("2018-01-15") + pd.to_timedelta(rng.integers(0, 48, N_ROWS) * 30.4, unit="D")
    months = pd.period_range("2018-01", "2032-12", freq="M")
    macro = pd.DataFrame({"unemployment": rng.normal(size=len(months)).cumsum() / 10}, index=months)
    model = DiscreteHazardModel(formula=f"{FORMULA} + unemployment", link=link)
    options = {"macro": macro, "default_month_col": "default_date", **TIMES}
    fit = benchmark.pedantic(model.fit, (frame,), options, rounds=2)
    benchmark.extra_info["cells"] = fit.n_cells
    speed.record(f"discrete hazard, 5 outcomes, macro path, {link}, {fit.n_cells:,} cells", rows=N_ROWS)
