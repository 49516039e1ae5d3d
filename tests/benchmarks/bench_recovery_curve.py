"""Recovery curves by segment from ten million cash flows in Parquet, and a thousand bootstraps of fifty segments.

The curves run in a fresh process that reads Parquet and reports its own seconds and peak memory, imports included in
the memory and not in the seconds; so does the peer, which does the same in pandas with no more columns than it needs.
``RECOVERYKIT_BENCH_FLOWS`` sets the number of cash flows (default 10,000,000); beyond fifty million the peer, which
would need more memory than most machines have, is left out. From raw cash flows to ledger, triangle and curves is a
benchmark of its own, of ``RECOVERYKIT_BENCH_EPISODES`` episodes (default 1,000,000) with four cash flows each. The
bootstrap draws obligors, net and gross from the same draws.
"""

import os

import duckdb
import numpy as np
import pandas as pd
import pytest

from recoverykit.estimators.recovery_curve import recovery_curve_by

N_FLOWS = int(os.environ.get("RECOVERYKIT_BENCH_FLOWS", "10000000"))
N_EPISODES = N_FLOWS // 20
MOST_FLOWS_OF_THE_PEER = 50_000_000
N_LEDGER_EPISODES = int(os.environ.get("RECOVERYKIT_BENCH_EPISODES", "1000000"))
N_OBLIGORS = 100_000
N_SEGMENTS = 50

EPISODES = """
    with episode as (
        select n, 12 + (hash(5 * n) % 48)::bigint as observed, 1 + (hash(7 * n) % 60)::bigint as length
        from range({n_episodes}) as numbers(n)
    )
    select 'F' || lpad(n::varchar, 8, '0') || '#1' as episode_id, 'O' || (n // 2)::varchar as obligor_id,
        'segment ' || lpad((hash(n) % {n_segments})::varchar, 2, '0') as segment,
        (1000 + hash(3 * n) % 9000)::double as ead, observed as observed_months, 0::bigint as entry_months,
        least(observed, length) as months_in_default, if(length <= observed, 'liquidated', 'open') as outcome
    from episode
"""
LEDGER = """
    select 'F' || lpad((n // ({n_flows} // {n_episodes}))::varchar, 8, '0') || '#1' as episode_id,
        1 + (hash(n) % 50)::bigint as month, month as recovery_month,
        round((hash(11 * n) % 20000) / 100.0, 2)::double as net_amount, net_amount as gross_amount,
        0.9::double as discount_factor, 0.9 * net_amount as present_value_amount, 'repayment' as kind
    from range({n_flows}) as numbers(n)
"""
#: Episodes and cash flows as a bank has them: dates, amounts, kinds.
RAW_EPISODES = """
    with episode as (
        select n, 1 + (hash(7 * n) % 60)::bigint as length, date '2018-01-01' + (hash(5 * n) % 2400)::int as started
        from range({n_episodes}) as numbers(n)
    ), dated as (
        select *, date_diff('month', started, date '2025-12-31') as observed from episode
    )
    select 'F' || lpad(n::varchar, 8, '0') || '#1' as episode_id, 'F' || lpad(n::varchar, 8, '0') as facility_id,
        'O' || (n // 2)::varchar as obligor_id,
        'segment ' || lpad((hash(n) % {n_segments})::varchar, 2, '0') as segment,
        started::timestamp as default_date, (1000 + hash(3 * n) % 9000)::double as ead, 0.05 as eir,
        year(started)::varchar || 'Q' || quarter(started)::varchar as default_vintage,
        if(length <= observed, case hash(n) % 3 when 0 then 'cured' when 1 then 'liquidated' else 'written_off' end,
           'open') as outcome,
        if(length <= observed, started + to_months(length::int), null)::timestamp as outcome_date,
        null::double as outcome_balance_amount, least(length, observed) as months_in_default,
        observed as observed_months, 0::bigint as entry_months
    from dated
"""
RAW_FLOWS = """
    select 'F' || lpad((n // 4)::varchar, 8, '0') as facility_id,
        (date '2018-01-01' + (hash(5 * (n // 4)) % 2400)::int + (30 * (n % 4) + hash(n) % 400)::int)::timestamp
            as cash_flow_date,
        round((hash(11 * n) % 100000) / 100.0, 2)::double as amount,
        case n % 4 when 3 then 'direct_cost' else 'repayment' end as kind
    from range(4 * {n_episodes}) as numbers(n)
"""
START = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
"""
KIT = f"""
import ibis
from recoverykit.episodes.triangle import recovery_cells
from recoverykit.estimators.recovery_curve import recovery_curve_by
{START}
start = time.perf_counter()
episodes, ledger = (ibis.read_parquet(folder / f"{{name}}.parquet") for name in ("episodes", "ledger"))
cells = recovery_cells(episodes, ledger, by=["segment"], per_obligor=False).to_pandas()
curves = recovery_curve_by(cells, by="segment")
seconds = time.perf_counter() - start
ends = {{name: float(curve["present_value_amount"].values[-1]) for name, curve in curves.items()}}
found = {{"seconds": seconds, "ends": ends}}
"""
LEDGER_TO_CURVES = f"""
import ibis
from recoverykit.episodes.ledger import LedgerPolicy, build_ledger
from recoverykit.episodes.triangle import recovery_cells, vintage_triangle
from recoverykit.estimators.recovery_curve import recovery_curve_by
{START}
start = time.perf_counter()
episodes, flows = (ibis.read_parquet(folder / f"{{name}}.parquet") for name in ("raw_episodes", "raw_flows"))
built = build_ledger(episodes, flows, reporting_date="2025-12-31", policy=LedgerPolicy(discount_rate=0.05))
built.ledger.to_parquet(folder / "ledger.parquet")
ledger = ibis.read_parquet(folder / "ledger.parquet")
worksheet = built.worksheet.to_pyarrow()
triangle = vintage_triangle(episodes, ledger, by=["segment"]).to_pandas()
cells = recovery_cells(episodes, ledger, by=["segment"], per_obligor=False).to_pandas()
curves = recovery_curve_by(cells, by="segment")
seconds = time.perf_counter() - start
found = {{"seconds": seconds, "n_episodes": worksheet.num_rows, "n_curves": len(curves), "n_cells": len(triangle)}}
"""
PANDAS = f"""
import pandas as pd
{START}
start = time.perf_counter()
episodes = pd.read_parquet(folder / "episodes.parquet", columns=["episode_id", "segment", "ead", "observed_months"])
ledger = pd.read_parquet(folder / "ledger.parquet", columns=["episode_id", "month", "present_value_amount"])
flows = ledger.merge(episodes[["episode_id", "segment", "observed_months"]], on="episode_id")
flows = flows[flows["month"] <= flows["observed_months"]]
amount = flows.groupby(["segment", "month"])["present_value_amount"].sum().unstack(fill_value=0.0)
ending = episodes.groupby(["segment", "observed_months"])["ead"].sum().unstack(fill_value=0.0)
every = range(int(ending.columns.max()) + 1)
at_risk = ending.reindex(columns=every, fill_value=0.0).iloc[:, ::-1].cumsum(axis=1).iloc[:, ::-1]
curves = (amount.reindex(columns=every, fill_value=0.0) / at_risk).cumsum(axis=1)
found = {{"seconds": time.perf_counter() - start, "ends": curves.iloc[:, -1].to_dict()}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("flows")
    sizes = {"n_episodes": N_EPISODES, "n_flows": N_FLOWS, "n_segments": N_SEGMENTS}
    with duckdb.connect() as con:
        for name, query in {"episodes": EPISODES, "ledger": LEDGER}.items():
            con.execute(f"copy ({query.format(**sizes)}) to '{place / name}.parquet' (format parquet)")
    return place


def test_curves_of_fifty_segments_from_ten_million_cash_flows(benchmark, folder, fresh_process, speed):
    ours = benchmark.pedantic(fresh_process, args=(KIT, folder), rounds=1)
    benchmark.extra_info.update(cpu_seconds=ours["cpu_seconds"])
    what, memory = "recovery curves of 50 segments from Parquet", f"{ours['megabytes']:,.0f} MB"
    if N_FLOWS > MOST_FLOWS_OF_THE_PEER:
        speed.record(what, rows=N_FLOWS, seconds=ours["seconds"], mark="100 million in 6 s and 1.2 GB", memory=memory)
        return
    peer = fresh_process(PANDAS, folder)
    speed.record(
        what,
        rows=N_FLOWS,
        seconds=ours["seconds"],
        peers={"pandas": peer["seconds"]},
        mark="3 times pandas in a quarter of its memory",
        memory=f"{memory} against {peer['megabytes']:,.0f} MB",
    )
    benchmark.extra_info.update(pandas_cpu_seconds=peer["cpu_seconds"])
    assert ours["ends"] == pytest.approx(peer["ends"], rel=1e-9)  # sums in another order


def test_ledger_triangle_and_curves_of_a_million_episodes(benchmark, tmp_path, fresh_process, speed):
    sizes = {"n_episodes": N_LEDGER_EPISODES, "n_segments": N_SEGMENTS}
    with duckdb.connect() as con:
        for name, query in {"raw_episodes": RAW_EPISODES, "raw_flows": RAW_FLOWS}.items():
            con.execute(f"copy ({query.format(**sizes)}) to '{tmp_path / name}.parquet' (format parquet)")
    ours = benchmark.pedantic(fresh_process, args=(LEDGER_TO_CURVES, tmp_path), rounds=1)
    benchmark.extra_info.update(cpu_seconds=ours["cpu_seconds"])
    speed.record(
        "ledger, worksheet, triangle and curves of 50 segments",
        rows=N_LEDGER_EPISODES,
        seconds=ours["seconds"],
        mark="10 s and 2 GB",
        memory=f"{ours['megabytes']:,.0f} MB",
    )
    assert (ours["n_episodes"], ours["n_curves"]) == (N_LEDGER_EPISODES, N_SEGMENTS)


def test_a_thousand_bootstraps_of_fifty_segments(benchmark, speed):
    rng = np.random.default_rng(1)
    observed, segment = rng.integers(6, 61, N_OBLIGORS), rng.integers(0, N_SEGMENTS, N_OBLIGORS)
    ead = rng.lognormal(9, 1, N_OBLIGORS)
    obligor = np.repeat(np.arange(N_OBLIGORS), observed + 1)
    month = np.arange(len(obligor)) - np.repeat(np.cumsum(observed + 1) - observed - 1, observed + 1)
    gross = (rng.random(len(obligor)) < 0.3) * rng.random(len(obligor)) * 0.05 * ead[obligor]
    cells = pd.DataFrame(
        {
            "segment": segment[obligor],
            "obligor_id": obligor,
            "month": month,
            "n_at_risk": 1,
            "ead_at_risk": ead[obligor],
            "present_value_gross_amount": gross,
            "present_value_amount": 0.97 * gross,
        }
    )
    options = {"by": "segment", "n_bootstrap": 1000, "rng": rng}
    curves = benchmark.pedantic(recovery_curve_by, args=(cells,), kwargs=options, rounds=1)
    speed.record("1,000 bootstraps of the curves of 50 segments, net and gross", rows=len(cells), mark="20 s")
    assert len(curves) == N_SEGMENTS
