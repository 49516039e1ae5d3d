"""The synthetic portfolio: its tables keep the contract, its truth can be found again from the files, by hand rules."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recoverykit.data import synthetic
from recoverykit.data._synthetic_truth import INCIDENCE_FORMULA, LATENCY_FORMULA, PRODUCT_NAMES, REGIONS
from recoverykit.data.contracts import find_violations
from recoverykit.data.refusals import refuse_contents, refuse_names, refuse_predictors
from recoverykit.data.synthetic import SyntheticPortfolio, simulate_episodes, simulate_portfolio, write_sample
from recoverykit.episodes.ledger import build_ledger
from recoverykit.episodes.spells import build_episodes
from recoverykit.vocabulary import CashFlowKind, FacilityStatus, Outcome

REPORTING_DATE = pd.Timestamp("2026-09-30")
SAMPLE = Path(__file__).parents[1] / "data_samples"
SMALL = {"n_facilities": 700, "n_obligors": 520}
MEGABYTE = 1e6
#: Money is whole cents; sums of some hundred flows in floats are off by far less than a tenth of one.
CENT_TOLERANCE = 1e-3
#: Discounting the same cents in another order of operations.
LGD_TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def portfolio() -> SyntheticPortfolio:
    """The portfolio of the shipped sample."""
    return simulate_portfolio(seed=synthetic.SAMPLE_SEED)


@pytest.fixture(scope="module")
def built(portfolio) -> pd.DataFrame:
    """The episodes that the kit builds from the monthly status."""
    tables = portfolio.tables
    return build_episodes(tables["status"], tables["facilities"], reporting_date=REPORTING_DATE).episodes.to_pandas()


def month_number(dates: pd.Series) -> np.ndarray:
    return (dates.dt.year * 12 + dates.dt.month).to_numpy()


def is_trigger(row, threshold: float) -> bool:
    """The three triggers of the definition of default, for one month of one facility."""
    due = row.past_due_amount
    material = due > threshold and due > 0.01 * row.balance_amount
    return (row.days_past_due >= 90 and material) or row.unlikely_to_pay or row.status in ("written_off", "liquidated")


def episodes_by_hand(rows: list, threshold: float) -> list[dict]:
    """Walk through the months of one facility and write down its default episodes, one rule after the other."""
    episodes: list[dict] = []
    in_default, grant, was_forborne, last_trigger = False, None, False, None
    for month, row in enumerate(rows):
        if row.forborne and not was_forborne:
            grant = month
        was_forborne = row.forborne
        trigger = is_trigger(row, threshold)
        if not in_default and trigger:
            in_default, spell_start, forborne_in_spell = True, month, False
            if episodes and month - episodes[-1]["end"] <= 9:
                episodes[-1].update(outcome="open", end=None, n_spells=episodes[-1]["n_spells"] + 1)
            else:
                episodes.append({"start": month, "outcome": "open", "end": None, "n_spells": 1})
        if not in_default:
            continue
        last_trigger = month if trigger else last_trigger
        forborne_in_spell = forborne_in_spell or row.forborne
        exit_month = last_trigger + 3
        if forborne_in_spell:
            exit_month = max(exit_month, max(grant, spell_start) + 12)
        if row.status != "active":
            episodes[-1].update(outcome=row.status, end=month)
            break
        if month >= exit_month:
            episodes[-1].update(outcome="cured", end=month)
            in_default = False
    return episodes


def all_episodes_by_hand(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    classes = tables["facilities"].set_index("facility_id")["exposure_class"]
    found = []
    for facility, part in tables["status"].groupby("facility_id"):
        rows = list(part.itertuples())
        for episode in episodes_by_hand(rows, 500.0 if classes[facility] == "other" else 100.0):
            overdue = (rows[0].days_past_due - 90) // 30 if episode["start"] == 0 else 0
            end = episode["end"]
            found.append(
                {
                    "facility_id": facility,
                    "default_month": rows[episode["start"]].month_end.to_period("M").ordinal - overdue,
                    "outcome": episode["outcome"],
                    "outcome_month": None if end is None else rows[end].month_end.to_period("M").ordinal,
                    "n_spells": episode["n_spells"],
                    "ead": rows[episode["start"]].balance_amount,
                }
            )
    return pd.DataFrame(found)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_walk_through_the_months_finds_exactly_the_episodes_that_were_drawn(seed):
    small = simulate_portfolio(seed=seed, **SMALL)
    found = all_episodes_by_hand(small.tables)
    true = small.episodes
    assert found["facility_id"].tolist() == true["facility_id"].tolist()
    assert found["default_month"].tolist() == true["default_date"].dt.to_period("M").astype("int64").tolist()
    assert found["outcome"].tolist() == true["outcome"].tolist()
    closed = true["outcome"] != "open"
    ends = true.loc[closed, "outcome_date"].dt.to_period("M").astype("int64")
    assert found.loc[closed, "outcome_month"].astype(int).tolist() == ends.tolist()
    assert found["n_spells"].tolist() == true["n_spells"].tolist()
    assert found["ead"].to_numpy() == pytest.approx(true["ead"].to_numpy(), abs=CENT_TOLERANCE)
    # Without these the test would say little about the rules.
    assert (true["n_spells"] > 1).any()
    assert (true["entry_months"] > 0).any()
    assert true["episode_id"].str.endswith("#2").any()


def test_the_episode_builder_of_the_kit_finds_exactly_the_episodes_that_were_drawn(portfolio, built):
    true = portfolio.episodes
    same = ["episode_id", "obligor_id", "default_date", "outcome", "outcome_date", "months_in_default"]
    same += ["observed_months", "entry_months", "product", "region", "credit_score"]
    dates = {"default_date": "datetime64[ns]", "outcome_date": "datetime64[ns]"}
    pd.testing.assert_frame_equal(built[same].astype(dates), true[same], check_dtype=False)
    assert built["n_triggers_spells"].tolist() == true["n_spells"].tolist()
    assert built["ead"].to_numpy() == pytest.approx(true["ead"].to_numpy(), abs=CENT_TOLERANCE)


def test_the_ledger_of_the_kit_finds_the_losses_that_were_computed_apart_from_it(portfolio, built):
    ledger = build_ledger(built, portfolio.tables["cash_flows"], reporting_date=REPORTING_DATE)
    worksheet = ledger.worksheet.to_pandas().set_index("episode_id")
    true = portfolio.episodes[(portfolio.episodes["outcome"] != "open") & (portfolio.episodes["entry_months"] == 0)]
    realised = worksheet.loc[true["episode_id"], "realised_lgd"].to_numpy()
    assert realised == pytest.approx(true["lgd_to_date_discounted"].to_numpy(), abs=LGD_TOLERANCE)
    stated = portfolio.truth["lgd"]["portfolio"]["closed_only_discounted"]
    assert realised.mean() == pytest.approx(stated, abs=1e-6)  # truth.json is rounded to six digits


def broken_rules(portfolio: SyntheticPortfolio) -> list:
    return find_violations(
        portfolio.tables,
        reporting_date=portfolio.reporting_date,
        segment_columns=("channel",),
        driver_columns=("ltv_ratio", "credit_score"),
        macro_columns=("unemployment_rate", "house_price_index"),
    )


def test_the_tables_keep_the_data_contract(portfolio):
    assert [str(v) for v in broken_rules(portfolio)] == []


def test_counts_and_shares_lie_where_the_data_dictionary_says(portfolio):
    tables, true = portfolio.tables, portfolio.episodes
    assert len(tables["facilities"]) == 8000
    assert tables["facilities"]["obligor_id"].nunique() == 6000
    assert set(tables["facilities"]["product"]) == set(PRODUCT_NAMES)
    assert set(tables["facilities"]["region"]) == set(REGIONS)
    assert 2500 <= len(true) <= 3200
    assert 0.20 <= (true["outcome"] == "open").mean() <= 0.30
    assert set(true["outcome"]) == {outcome.value for outcome in Outcome}
    assert set(tables["cash_flows"]["kind"]) == {kind.value for kind in CashFlowKind}
    assert set(tables["status"]["status"]) == {status.value for status in FacilityStatus}
    assert (true["entry_months"] > 0).sum() == 40
    assert true.groupby(["product", "region"]).size().min() >= 10
    assert tables["status"]["month_end"].nunique() == 60


def test_closed_cases_alone_understate_the_loss_by_more_than_five_points(portfolio):
    lgd = portfolio.truth["lgd"]["portfolio"]
    for how in ("discounted", "undiscounted"):
        assert lgd[f"all_in_{how}"] - lgd[f"closed_only_{how}"] > 0.05


def test_a_workout_that_takes_longer_recovers_less(portfolio):
    sold = portfolio.episodes[portfolio.episodes["ultimate_outcome"] == "liquidated"]
    early, late = sold["ultimate_months"] <= 24, sold["ultimate_months"] > 36
    assert (
        sold.loc[late, "ultimate_lgd_undiscounted"].mean() > sold.loc[early, "ultimate_lgd_undiscounted"].mean() + 0.1
    )


def test_the_balance_moves_by_the_cash_flows_and_nothing_else(portfolio):
    # Within an episode: balance - balance a month before = interest + fees + drawings - money received, unless the
    # month closes the account, when what is left is charged off.
    tables = portfolio.tables
    flows = tables["cash_flows"].assign(month=month_number(tables["cash_flows"]["cash_flow_date"]))
    raises = flows["kind"].isin(["interest", "late_fee", "drawing"])
    lowers = flows["kind"].isin(["repayment", "collateral", "sale", "guarantee"])
    flows["change"] = flows["amount"] * (raises.astype(int) - lowers.astype(int))
    change = flows.groupby(["facility_id", "month"])["change"].sum()
    status = tables["status"].assign(month=month_number(tables["status"]["month_end"]))
    status["before"] = status.groupby("facility_id")["balance_amount"].shift()
    status = status.set_index(["facility_id", "month"])
    moved = status.join(change, how="inner")
    charged_off = moved["status"].isin(["written_off", "liquidated", "sold"])
    gap = (moved["balance_amount"] - moved["before"] - moved["change"]).where(~charged_off, 0.0)
    assert gap.abs().max() < CENT_TOLERANCE
    assert (moved.loc[charged_off, "before"] + moved.loc[charged_off, "change"]).min() > -CENT_TOLERANCE
    closing = status["status"] != "active"
    assert (status.loc[closing, "balance_amount"] == 0).all()


def test_every_cash_flow_lies_after_a_default_and_not_after_the_reporting_date(portfolio):
    flows = portfolio.tables["cash_flows"]
    first = portfolio.episodes.groupby("facility_id")["default_date"].min()
    assert (flows["cash_flow_date"] > flows["facility_id"].map(first)).all()
    assert flows["cash_flow_date"].max() <= REPORTING_DATE
    assert (flows["amount"] > 0).all()


def test_arrears_that_are_not_material_are_there_and_are_no_default(portfolio, built):
    status = portfolio.tables["status"]
    overdue = set(status.loc[status["days_past_due"] >= 90, "facility_id"])
    harmless = overdue - set(built["facility_id"])
    assert len(harmless) >= 20


def test_the_macro_history_is_one_and_the_forecasts_part(portfolio):
    paths = portfolio.tables["scenarios"].pivot(index="month_end", columns="scenario", values="unemployment_rate")
    past = paths[paths.index <= REPORTING_DATE]
    assert len(past) == 24 + 60  # two years before the window, so that every default has its month
    assert past.eq(past["baseline"], axis=0).all(axis=None)
    ahead = paths[paths.index > REPORTING_DATE]
    assert len(ahead) == 36
    assert (ahead["adverse"] > ahead["baseline"]).all()
    assert (ahead["baseline"] > ahead["upside"]).all()


def test_no_column_is_of_a_refused_kind(portfolio):
    for name, frame in portfolio.tables.items():
        assert refuse_names(name, frame.columns) == []
        columns = {column: pa.chunked_array([pa.array(values)]) for column, values in frame.items()}
        assert refuse_contents(name, columns) == []
    assert refuse_predictors("facilities", ["channel", "ltv_ratio", "credit_score"]) == []


def test_episodes_alone_are_the_episodes_of_the_portfolio():
    alone = simulate_episodes(seed=3, **SMALL)
    whole = simulate_portfolio(seed=3, **SMALL).episodes
    pd.testing.assert_frame_equal(alone, whole[alone.columns])


def test_no_two_seeds_give_the_same_portfolio():
    loans = [simulate_portfolio(seed=seed, n_facilities=60, n_obligors=40) for seed in range(6)]
    prints = {tuple(p.tables["facilities"]["eir"]) + tuple(p.tables["status"]["balance_amount"]) for p in loans}
    assert len(prints) == len(loans)


def test_the_sample_is_written_byte_for_byte_the_same(tmp_path):
    first, second = write_sample(tmp_path / "a", seed=11), write_sample(tmp_path / "b", seed=11)
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_shipped_sample_is_what_the_simulator_writes(portfolio):
    files = sorted(SAMPLE.glob("*.parquet"))
    assert [path.stem for path in files] == sorted(portfolio.tables)
    for path in files:
        shipped = pq.read_table(path).to_pandas(date_as_object=False)
        made = portfolio.tables[path.stem]
        dated = {c: shipped[c].astype("datetime64[ns]") for c in made if made[c].dtype.kind == "M"}
        pd.testing.assert_frame_equal(shipped.assign(**dated), made, check_dtype=False, check_exact=True)
    assert json.loads((SAMPLE / "truth.json").read_text()) == json.loads(json.dumps(portfolio.truth))
    assert sum(path.stat().st_size for path in files) < 5 * MEGABYTE


def test_the_data_dictionary_names_every_column_and_the_number_of_rows(portfolio):
    text = (SAMPLE / "README.md").read_text(encoding="utf-8")
    for name, frame in portfolio.tables.items():
        assert f"| `{name}.parquet` | {len(frame):,} |" in text
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert [column for column in frame if f"| `{column}` |" not in section] == []


def test_dates_are_stored_as_days_and_money_in_whole_cents(portfolio):
    schema = pq.read_schema(SAMPLE / "cash_flows.parquet")
    assert str(schema.field("cash_flow_date").type) == "date32[day]"
    amounts = portfolio.tables["cash_flows"]["amount"].to_numpy()
    assert np.abs(amounts * 100 - np.round(amounts * 100)).max() < CENT_TOLERANCE


def test_the_truth_is_stated_under_the_names_of_its_formulas(portfolio):
    model = portfolio.truth["cure_model"]
    others = {f"product[T.{name}]" for name in PRODUCT_NAMES[1:]}
    assert model["incidence_formula"] == INCIDENCE_FORMULA
    assert model["latency_formula"] == LATENCY_FORMULA
    assert set(model["latency"]) == {"Intercept"} | others
    assert others < set(model["incidence"])
    assert len(model["incidence"]) == len(others) + 4


def test_the_share_that_cures_is_what_the_incidence_says():
    episodes = pd.concat([simulate_episodes(seed=seed) for seed in range(8)])
    punctual = episodes[episodes["entry_months"] == 0]
    p = punctual["prob_ever_cures"]
    z = (punctual["ever_cures"].sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())
    assert abs(z) < 3  # a sum of some 20,000 independent draws, in its own standard errors


@pytest.mark.parametrize("seed", range(4))
def test_a_portfolio_of_one_facility_has_all_tables_whether_it_defaults_or_not(seed):
    one = simulate_portfolio(seed=seed, n_facilities=1, n_obligors=1)
    assert len(one.tables["facilities"]) == 1
    assert one.truth["episodes"]["n_episodes"] == len(one.episodes)
    json.dumps(one.truth, allow_nan=False)


def test_a_long_window_keeps_the_contract_and_every_exposure_above_zero():
    # Over ten years loans mature, default again and again and are late in many ways.
    long = simulate_portfolio(seed=15, n_facilities=900, n_obligors=300, n_months=120, reporting_date="2024-02-29")
    assert (long.episodes["ead"] > 0).all()
    assert broken_rules(long) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1, "n_facilities": 10, "n_obligors": 20}, "every obligor needs a facility"),
        ({"seed": 1, "n_months": 6}, "at least 24"),
        ({"seed": 1, "reporting_date": "2026-09-15"}, "month end"),
        ({"seed": 1, "reporting_date": "30/09/2026"}, "ISO date"),
    ],
)
def test_an_argument_outside_its_range_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        simulate_portfolio(**wrong)
