"""A public panel of US mortgages that this project did not make, brought into the contract by its spec.

The panel may not be copied into the project. Name its folder in RECOVERYKIT_REFERENCE to run these tests.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recoverykit.data.mapping import read_spec
from recoverykit.data.sources import load_checked

ROOT = Path(__file__).parents[1]
REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE", ROOT.parent / "shared" / "reference")).resolve()
PANEL = REFERENCE / "lgd" / "dcr.csv"
pytestmark = pytest.mark.skipif(not PANEL.is_file(), reason=f"the reference data are not there: {PANEL}")

#: Half a unit of the last digit to which the known results are published.
PRINTED = 0.0005


@pytest.fixture(scope="module")
def tables():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOVERYKIT_REFERENCE", str(REFERENCE))
        return load_checked(read_spec(ROOT / "data_samples" / "specs" / "dcr.yml")).tables


@pytest.fixture(scope="module")
def panel():
    return pd.read_csv(PANEL, low_memory=False)


@pytest.fixture(scope="module")
def closed(tables):
    """Closed episodes with their net undiscounted recovery."""
    flows = tables["cash_flows"]
    net = flows["amount"].where(flows["kind"] == "collateral", -flows["amount"])
    recovered = net.groupby(flows["facility_id"]).sum()
    episodes = tables["episodes"].query("outcome != 'open'")
    return episodes.assign(recovered=episodes["facility_id"].map(recovered))


def test_there_are_1525_episodes_of_which_365_are_open(tables):
    episodes = tables["episodes"]
    assert len(episodes) == episodes["facility_id"].nunique() == 1525
    assert (episodes["outcome"] == "open").sum() == 365
    assert set(episodes["outcome"]) == {"open", "liquidated"}


def test_the_closed_only_lgd_is_the_published_one(closed):
    lgd = 1 - closed["recovered"] / closed["ead"]
    assert lgd.mean() == pytest.approx(0.592, abs=PRINTED)
    assert np.average(lgd, weights=closed["ead"]) == pytest.approx(0.566, abs=PRINTED)


def test_an_open_loan_has_no_recovery_whatever_the_file_says(tables):
    episodes = tables["episodes"]
    still_open = episodes.loc[episodes["outcome"] == "open", "facility_id"]
    assert not tables["cash_flows"]["facility_id"].isin(still_open).any()


def test_quarters_become_their_last_month_end(tables, panel):
    # quarter 1 is 2000-03-31 and quarter 60, fifteen years on, 2014-12-31
    defaults = panel[panel["default_time"] == 1]
    time = dict(zip(defaults["id"].astype(str), defaults["time"], strict=True))
    episodes = tables["episodes"]
    quarter = (episodes["default_date"].dt.year - 2000) * 4 + episodes["default_date"].dt.quarter
    assert quarter.tolist() == [time[facility] for facility in episodes["facility_id"]]
    assert episodes["default_date"].dt.is_quarter_end.all()
    assert episodes["default_date"].max() == pd.Timestamp("2014-12-31")
    assert tables["facilities"]["origination_date"].min() < pd.Timestamp("2000-01-01")


def test_the_median_time_to_resolution_of_closed_cases_is_five_quarters(closed):
    ended, began = closed["outcome_date"].dt, closed["default_date"].dt
    months = 12 * (ended.year - began.year) + ended.month - began.month
    assert (months % 3 == 0).all()
    assert months.median() == 15


def test_negative_recoveries_are_costs_and_nothing_is_clipped(tables, panel):
    resolved = panel[(panel["default_time"] == 1) & panel["res_time"].notna()]
    flows = tables["cash_flows"]
    assert (flows["kind"] == "direct_cost").sum() == (resolved["recovery_res"] < 0).sum() == 130
    signed = flows["amount"].where(flows["kind"] == "collateral", -flows["amount"])
    assert signed.sum() == pytest.approx(resolved["recovery_res"].sum())
    # six recoveries exceed the exposure and stay as they are
    ead = tables["episodes"].set_index("facility_id")["ead"]
    assert (signed > flows["facility_id"].map(ead)).sum() == 6


def test_rates_and_ratios_are_shares(tables):
    facilities = tables["facilities"]
    assert facilities["eir"].between(0.01, 0.2).all()
    assert facilities["ltv_ratio"].between(0.1, 1.6).all()
    assert facilities["credit_score"].between(300, 850).all()


def test_products_and_regions_cover_every_loan(tables, panel):
    facilities = tables["facilities"]
    known = {"condominium": 78, "planned_urban": 201, "single_family": 967, "other_residential": 279}
    assert facilities["product"].value_counts().to_dict() == known
    # the five loans without a state and those of Puerto Rico
    states = panel.loc[panel["default_time"] == 1, "state_orig_time"]
    assert (facilities["region"] == "other").sum() == (states.isna() | states.eq("PR")).sum()
    assert set(facilities["region"]) == {"northeast", "midwest", "south", "west", "other"}
