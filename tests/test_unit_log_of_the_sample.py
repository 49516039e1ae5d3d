"""The units of the embedded sample: what was built into its log is found, and what was not is not."""

import json
from pathlib import Path

import numpy as np
import pytest

import recoverykit as rk

TRUTH = json.loads((Path(__file__).parents[1] / "data_samples" / "truth.json").read_text())["operations"]
#: Standard errors by which one sample may stray from its truth, several comparisons being made.
N_ERRORS = 3.3


@pytest.fixture(scope="module")
def log(sample_book):
    return sample_book.operations, {"reporting_date": sample_book.reporting_date}


@pytest.fixture(scope="module")
def recovery(sample_book, log):
    tables, as_of = log
    return rk.recovery_cases(
        sample_book.episodes,
        sample_book.cash_flows,
        tables["actions"],
        feature_cols=["product", "credit_score", "ltv_ratio"],
        not_units=["early"],
        **as_of,
    )


@pytest.fixture(scope="module")
def promises(log):
    tables, as_of = log
    return rk.promise_outcomes(tables["promises"], **as_of)


def test_each_unit_has_the_cases_that_it_was_given(recovery, sample_book):
    counted = recovery.cases.groupby("unit").size().to_dict()
    assert counted == TRUTH["units"]["n_cases"]
    assert sum(counted.values()) + recovery.exclusions["n_rows"].sum() == len(sample_book.episodes)


def test_units_that_differ_in_truth_stand_out_at_equal_age_and_the_others_do_not(recovery):
    old = recovery.cases[recovery.cases["is_old_enough"]]
    mix = rk.observed_expected(old, event_col="has_returned", formula="~ product + credit_score + ltv_ratio")
    place = mix.funnel().units.set_index("unit")["position"]
    assert place["east"].startswith("above")
    assert place["south"].startswith("below")
    assert (place.drop(["east", "south"]) == "inside").all()
    ranks = mix.ranks(rng=np.random.default_rng(1)).units
    assert ranks["unit"].iloc[0] == "east"
    assert ranks["unit"].iloc[-1] == "south"


def test_promises_are_kept_as_often_as_in_truth_and_boasting_units_are_found(promises):
    told = promises[promises["is_due"]]
    accuracy = rk.predictive_accuracy(told, event_col="is_mostly_kept").set_index("unit")
    for unit, truth in TRUTH["promises"]["by_unit"].items():
        row = accuracy.loc[unit]
        error = np.sqrt(truth["prob"] * (1 - truth["prob"]) / row["n_predictions"])
        assert abs(row["observed"] - truth["prob"]) < N_ERRORS * error
        assert row["brier_score"] == pytest.approx(truth["brier"], abs=0.05)
        boasts = TRUTH["promises"]["stated_log_odds_too_high"][unit] > 0
        assert (row["p_value"] < 0.001) == boasts


def test_right_parties_are_reached_as_often_as_in_truth(log):
    tables, as_of = log
    contacts = rk.right_party_contacts(tables["actions"], **as_of).set_index("unit")
    rates = contacts["right_party_rate"].drop("early")
    assert rates.idxmin() == "west"
    assert rates.idxmax() == "north"
    assert (contacts["n_calls"] == contacts["n_invalid"] + contacts["n_unknown"] + contacts["n_dials"]).all()


def test_complete_packages_speed_judgments_as_built_in_and_north_wins_most(log):
    tables, as_of = log
    found = rk.package_effect(tables["court"], outcome="judgment", **as_of)
    law = TRUTH["court"]["hazards_per_day"]
    other = law["settlement"] + law["withdrawal"]
    effects = []
    for log_hazard in TRUTH["court"]["log_hazard_of_judgment"]["court"].values():
        chance = []
        for complete in (1, 0):
            slope = TRUTH["court"]["log_hazard_of_judgment"]["package_complete"]
            hazard = law["judgment"] * np.exp(log_hazard + slope * complete)
            chance.append(hazard / (hazard + other) * (1 - np.exp(-365 * (hazard + other))))
        effects.append(chance[0] - chance[1])
    row = found.estimates.set_index("design").loc["standardised"]
    assert abs(row["difference"] - np.mean(effects)) < N_ERRORS * row["standard_error"]
    wins = rk.win_rates(tables["court"], by="unit", **as_of).set_index("unit")
    assert wins["win_rate"].idxmax() == "north"


def test_a_claim_of_89_per_cent_does_not_hold_where_promises_cannot_be_foretold_so_well(promises, sample_book):
    history = rk.promise_history(promises, episodes=sample_book.episodes)
    score = rk.PromiseScoreModel().fit(history, cut_off="2025-12-31")
    trial = rk.evaluate_promise_score(score, history, rng=np.random.default_rng(1), claimed_accuracy=0.89)
    assert trial.p_value < 0.001
    assert trial.value("accuracy")["upper"] < 0.89
    assert trial.n_promises + trial.n_straddling + trial.n_open + score.n_promises == len(promises)


def test_money_of_the_court_adds_up_to_the_cent(log):
    tables, as_of = log
    costs = rk.court_costs(tables["court"], **as_of).set_index("court")
    for name in ("claim_amount", "recovered_amount", "cost_amount"):
        whole = int(np.rint(tables["court"][name] * 100).sum())
        assert round(costs.loc["all", name] * 100) == whole
        assert int(np.rint(costs[name].drop("all") * 100).sum()) == whole
