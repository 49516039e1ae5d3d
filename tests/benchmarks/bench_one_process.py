"""From a Parquet file of ten million episodes to curves and cure models in one process: seconds and peak memory.

A fresh process imports the kit, counts the file with DuckDB, and estimates from the counts Kaplan-Meier and
Aalen-Johansen curves of 60 segments and a Weibull, a log-normal and a log-logistic mixture cure model by product in
monthly intervals, all with standard errors. It is run twice, counting through ``compress_episodes`` (Ibis) and by the
same query in plain DuckDB SQL, which spares the import of Ibis. Python's start and imports are part of the seconds.

The peer does the same with pandas and lifelines on a tenth of the rows: curves segment by segment on counts, the
Aalen-Johansen ones without standard errors (which take it minutes), and a univariate cure model for each product.

``RECOVERYKIT_BENCH_FILE_ROWS`` sets the number of episodes.
"""

import os

import duckdb
import pytest

N_EPISODES = int(os.environ.get("RECOVERYKIT_BENCH_FILE_ROWS", "10000000"))
MARK = "1.5 s, 250 MB"

EPISODES = """
    with drawn as (
        select hash(n) % 10 as product, hash(3 * n + 1) % 6 as region, 6 + hash(7 * n + 2) % 55 as observed,
            (1 + hash(11 * n + 3) % 1000000) / 1000001.0 as first,
            (1 + hash(13 * n + 4) % 1000000) / 1000001.0 as second,
            hash(17 * n + 5) % 100 < 55 + 3 * (hash(n) % 10) as cures, (1 + hash(19 * n + 6) % 4)::int as other
        from range({n_episodes}) as numbers(n)
    ), timed as (
        select *, case when cures then ceil((8 + region) * pow(-ln(first), 0.8)) else 1000 end as cured,
            ceil(-40 * ln(second)) as ended
        from drawn
    )
    select 'product ' || product as product, 'region ' || region as region, 0 as entry_months,
        least(cured, ended, observed)::int as months_in_default,
        case when cured <= least(ended, observed) then 'cured'
            when ended <= observed then ['repaid', 'liquidated', 'sold', 'written_off'][other]
            else 'open' end as outcome,
        round(1000 + first * 9000, 2)::double as ead
    from timed
"""

COUNT_BY_IBIS = """
import sys
import ibis
import numpy as np
import recoverykit as rk
counts = rk.compress_episodes(ibis.read_parquet(sys.argv[1]), by=["product", "region"]).drop("ead").to_pandas()
"""
COUNT_BY_SQL = """
import sys
import duckdb
import numpy as np
import recoverykit as rk
keys = "product, region, entry_months, months_in_default, outcome"
counts = duckdb.sql(f"select {keys}, count(*) as n_episodes from '{sys.argv[1]}' group by all order by all").df()
"""
ESTIMATE = """
month, cured, closed = counts["months_in_default"], counts["outcome"] == "cured", counts["outcome"] != "open"
counts["lower"], counts["upper"] = np.where(cured, month - 1, month), np.where(cured, month, np.inf)
counts["closed"] = closed
options = {"by": ["product", "region"], "duration_col": "months_in_default", "weights_col": "n_episodes"}
survival = rk.kaplan_meier_by(counts, event_col="closed", **options)
incidence = rk.aalen_johansen_by(counts, outcome_col="outcome", **options)
fits = [
    rk.MixtureCureModel(distribution=name, incidence="~ product", latency="~ product").fit(
        counts, lower_col="lower", upper_col="upper", weights_col="n_episodes"
    )
    for name in ("weibull", "lognormal", "loglogistic")
]
assert all(fit.standard_errors.notna().all() for fit in fits)
found = {"n_episodes": int(counts["n_episodes"].sum()), "n_rows": len(counts), "n_segments": len(survival)}
found["cured"] = incidence["product 3 | region 2"]["cured"](24).item()
found["loglik"] = fits[0].loglik
"""
PEER = """
import sys
import warnings
import numpy as np
import pandas as pd
from lifelines import (
    AalenJohansenFitter, KaplanMeierFitter, LogLogisticFitter, LogNormalFitter, MixtureCureFitter, WeibullFitter
)
warnings.simplefilter("ignore")  # of the ties that it breaks at random
book = pd.read_parquet(sys.argv[1])
keys = ["product", "region", "entry_months", "months_in_default", "outcome"]
counts = book.groupby(keys, as_index=False).size()
counts["code"] = pd.Categorical(
    counts["outcome"], ["open", "cured", "repaid", "liquidated", "sold", "written_off"]
).codes.astype(int)
for name, part in counts.groupby(["product", "region"]):
    data = {"weights": part["size"]}
    KaplanMeierFitter().fit(part["months_in_default"], part["code"] > 0, **data)
    for code in range(1, 6):
        fitter = AalenJohansenFitter(seed=1, calculate_variance=False)
        fitter.fit(part["months_in_default"], part["code"], event_of_interest=code, **data)
for name, part in counts.groupby("product"):
    month, cured = part["months_in_default"], part["outcome"] == "cured"
    lower, upper = np.where(cured, month - 1, month), np.where(cured, month, np.inf)
    for base in (WeibullFitter, LogNormalFitter, LogLogisticFitter):
        MixtureCureFitter(base_fitter=base()).fit_interval_censoring(lower, upper, weights=part["size"])
found = {"n_episodes": int(counts["size"].sum())}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Write the episodes, and a tenth of them for the peer."""
    folder = tmp_path_factory.mktemp("episodes")
    with duckdb.connect() as con:
        for name, n_episodes in {"all": N_EPISODES, "tenth": N_EPISODES // 10}.items():
            con.execute(
                f"copy ({EPISODES.format(n_episodes=n_episodes)}) to '{folder / name}.parquet' (format parquet)"
            )
    return folder


@pytest.fixture(scope="module")
def peer(file, fresh_process):
    return fresh_process(PEER, file / "tenth.parquet")


@pytest.mark.parametrize("count", [COUNT_BY_IBIS, COUNT_BY_SQL], ids=["ibis", "sql"])
def test_from_a_file_to_curves_and_cure_models(benchmark, speed, fresh_process, file, peer, count, request):
    runs = []
    benchmark.pedantic(lambda: runs.append(fresh_process(count + ESTIMATE, file / "all.parquet")), rounds=3)
    best = min(runs, key=lambda run: run["process_seconds"])
    assert best["n_episodes"] == N_EPISODES
    assert best["n_segments"] == 60
    ours, theirs = best["megabytes"], peer["megabytes"]
    benchmark.extra_info |= best
    print(f"\n{request.node.callspec.id}: {best}")
    speed.record(
        f"file to KM, AJ and three cure models, counted by {request.node.callspec.id}",
        rows=N_EPISODES,
        peers={"pandas and lifelines on a tenth": peer["process_seconds"]},
        mark=MARK,
        memory=f"{ours:.0f} MB, peer {theirs:.0f} MB",
        seconds=best["process_seconds"],
    )
