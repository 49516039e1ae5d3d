"""Ten million monthly status rows to default episodes and their counts: seconds, memory, and a peer in pandas.

Each run is a fresh process that reads Parquet and reports its own seconds and peak memory, imports included in the
memory and not in the seconds. Two books: in one every tenth facility defaults, in the other, as in a unit that holds
nothing but non-performing loans, all of them do. The peer counts trigger months per facility in pandas, which is far
less than building episodes.
"""

import duckdb
import pytest

N_FACILITIES = 166_667
N_MONTHS = 60  # 166,667 facilities x 60 months: ten million rows

STATUS = """
    with facility as (
        select n, hash(n) % 1000 < {per_mille} as defaults,
            hash(7 * n + 1) % 50 as start, hash(13 * n + 2) % 24 as length, hash(17 * n + 3) % 10 as fate
        from range({n_facilities}) as numbers(n)
    ), history as (select facility.*, month::bigint as month from facility, range({n_months}) as months(month))
    select 'F' || lpad(n::varchar, 8, '0') as facility_id,
        last_day(date '2019-01-01' + to_months(month::int)) as month_end,
        case when defaults and month between start and start + length then 90 + 30 * (month - start::bigint) else 0 end
            as days_past_due,
        round(1000 + (hash(n) % 10000) / 3.0 - 10 * month, 2)::double as balance_amount,
        defaults and fate = 0 and month > start + 2 as forborne,
        defaults and fate = 1 and month between start + length + 6 and start + length + 7 as unlikely_to_pay,
        'active' as status
    from history order by n, month
"""
FACILITIES = """
    select 'F' || lpad(n::varchar, 8, '0') as facility_id, 'O' || (n // 2)::varchar as obligor_id, 0.05 as eir,
        case n % 3 when 0 then 'mortgage' when 1 then 'card' else 'auto' end as product,
        'retail' as exposure_class, date '2015-01-01' as origination_date
    from range({n_facilities}) as numbers(n)
"""

START = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
"""
KIT = f"""
import ibis
from recoverykit.episodes.counts import compress_episodes
from recoverykit.episodes.spells import build_episodes
{START}
start = time.perf_counter()
status, facilities = (ibis.read_parquet(folder / f"{{name}}.parquet") for name in ("status", "facilities"))
built = build_episodes(status, facilities, reporting_date="2023-12-31")
counts = compress_episodes(built.episodes, by=["product"]).to_pandas()
found = {{"seconds": time.perf_counter() - start, "n_episodes": int(counts["n_episodes"].sum())}}
"""
PANDAS = f"""
import pandas as pd
{START}
start = time.perf_counter()
status = pd.read_parquet(folder / "status.parquet")
trigger = ((status["days_past_due"] >= 90) & (status["balance_amount"] > 100)) | status["unlikely_to_pay"]
counts = trigger.groupby(status["facility_id"]).sum()
found = {{"seconds": time.perf_counter() - start, "n_defaulted": int((counts > 0).sum())}}
"""


@pytest.fixture(scope="module", params=[100, 1000], ids=["a_tenth_defaults", "all_default"])
def folder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("book")
    sizes = {"n_facilities": N_FACILITIES, "n_months": N_MONTHS, "per_mille": request.param}
    with duckdb.connect() as con:
        for name, query in {"status": STATUS, "facilities": FACILITIES}.items():
            con.execute(f"copy ({query.format(**sizes)}) to '{place / name}.parquet' (format parquet)")
    return place


def test_episodes_and_counts_from_ten_million_status_rows(benchmark, speed, fresh_process, folder, request):
    runs = []
    benchmark.pedantic(lambda: runs.append(fresh_process(KIT, folder)), rounds=1)
    ours, peer = runs[0], fresh_process(PANDAS, folder)
    benchmark.extra_info |= ours | {f"pandas {name}": value for name, value in peer.items()}
    # A facility that ever triggered has an episode, and may have several.
    assert ours["n_episodes"] >= peer["n_defaulted"] > 0
    kind = request.node.callspec.id.replace("_", " ")
    speed.record(
        f"status rows to episodes and counts, {kind}",
        rows=N_FACILITIES * N_MONTHS,
        peers={"pandas, trigger months only": peer["seconds"]},
        memory=f"{ours['megabytes']:,.0f} MB, peer {peer['megabytes']:,.0f} MB",
        seconds=ours["seconds"],
    )
