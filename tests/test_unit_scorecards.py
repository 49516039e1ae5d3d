"""Scorecards: cases at equal age, measures by hand, expectation by case-mix, accuracy in its parts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import recoverykit as rk
from recoverykit.operations._unit_measures import _ratio_of_sums

DATE = "2026-06-30"
#: Sums of the same numbers in another order.
EXACT = 1e-12
#: Two Newton solvers, each stopped by its own rule.
SOLVERS = 1e-6


@pytest.fixture
def log():
    """Six episodes: A1 and A2 of unit alpha, B1 to B3 of unit beta, N1 that nobody worked."""
    episodes = pd.DataFrame(
        {
            "episode_id": ["A1", "A2", "B1", "B2", "B3", "N1"],
            "facility_id": ["FA1", "FA2", "FB1", "FB2", "FB3", "FN1"],
            "default_date": pd.to_datetime(
                ["2025-01-10", "2025-02-01", "2025-01-10", "2026-03-01", "2025-01-05", "2025-01-01"]
            ),
            "outcome": ["repaid", "open", "cured", "open", "open", "open"],
            "outcome_date": pd.to_datetime(["2026-01-15", None, "2026-01-16", None, None, None]),
            "ead": [1000.0, 500.0, 2000.0, 100.0, 300.0, 50.0],
        }
    )
    flows = pd.DataFrame(
        [
            ("FA1", "2025-01-12", "repayment", 100.0),  # before alpha began: 900 are owed
            ("FA1", "2025-03-20", "repayment", 450.0),  # month 3 since 15 January
            ("FA1", "2025-03-21", "direct_cost", 99.0),  # a cost is no cash that came in
            ("FA1", "2026-01-16", "repayment", 300.0),  # a day beyond twelve months
            ("FA2", "2025-02-10", "collateral", 480.0),  # month 1
            ("FB1", "2026-01-15", "repayment", 1000.0),  # the last day of month 12
            ("FB2", "2026-03-20", "repayment", 40.0),  # a young case
            ("FB2", "2026-06-20", "repayment", 10.0),  # in its fourth month, which is not over
            ("FB3", "2025-01-08", "repayment", 300.0),  # all paid before beta began
        ],
        columns=["facility_id", "cash_flow_date", "kind", "amount"],
    )
    actions = pd.DataFrame(
        [
            ("FA1", "2025-01-15 10:00", "alpha"),
            ("FA1", "2025-06-15 10:00", "beta"),  # handed on: the case stays alpha's
            ("FA2", "2025-02-01 09:00", "alpha"),
            ("FB1", "2024-12-31 09:00", "alpha"),  # before the default
            ("FB1", "2025-01-15 09:00", "beta"),
            ("FB2", "2026-03-10 09:00", "beta"),
            ("FB3", "2025-01-15 09:00", "beta"),
            ("FN1", "2026-07-01 09:00", "beta"),  # after the reporting date
            ("FN1", "2025-01-01 09:00", "early"),  # sends reminders, takes on no case
        ],
        columns=["facility_id", "action_time", "unit"],
    )
    return episodes, flows, actions


@pytest.fixture
def recovery(log):
    return rk.recovery_cases(*log, reporting_date=DATE, horizon_months=12, target_rate=0.9, not_units=["early"])


def test_cases_by_hand(recovery):
    cases = recovery.cases.set_index("episode_id")
    assert cases["unit"].to_dict() == {"A1": "alpha", "A2": "alpha", "B1": "beta", "B2": "beta"}
    assert cases["owed_amount"].tolist() == [900.0, 500.0, 2000.0, 100.0]
    assert cases["recovered_amount"].tolist() == [450.0, 480.0, 1000.0, 50.0]
    assert cases["months_observed"].tolist() == [17, 16, 17, 3]
    assert cases["is_old_enough"].tolist() == [True, True, True, False]
    # 480 of 500 is 96 %: the only one above 90 %; the young case is not judged
    assert cases["has_met_target"].tolist()[:3] == [False, True, False]
    # 15 January 2026 is the last day of month 12, the 16th is a day too late
    assert cases["has_returned"].tolist()[:3] == [True, False, False]
    assert cases["has_met_target"].isna().tolist() == [False, False, False, True]


def test_no_episode_is_left_out_in_silence(recovery, log):
    left = recovery.exclusions.set_index("reason")
    assert left["n_rows"].sum() + len(recovery.cases) == len(log[0])
    assert left["amount"].to_dict() == {
        "everything was paid before a unit acted": 300.0,
        "no unit acted on the case between default and outcome": 50.0,
    }


def test_curve_by_month_uses_young_cases_for_the_months_that_they_were_observed(recovery):
    beta = recovery.by_month[recovery.by_month["unit"] == "beta"].set_index("month")
    # months 1 to 3: 2,000 + 100 owed; month 1 brings 40 of the young case; month 12: 1,000 of 2,000
    assert beta.loc[1, "owed_amount"] == 2100.0
    assert beta.loc[4, ["owed_amount", "recovered_amount"]].tolist() == [2000.0, 0.0]
    assert beta.loc[11, "recovery_rate"] == pytest.approx(40 / 2100)
    assert beta.loc[12, "recovery_rate"] == pytest.approx(40 / 2100 + 0.5)


def test_recovery_rate_by_hand(recovery):
    card = rk.unit_scorecards(reporting_date=DATE, recovery=recovery, minimum_cases=2)
    rates = card.measure("recovery_rate").set_index("unit")
    # alpha: 930 of 1,400; residuals 450 - 900 r and 480 - 500 r with r = 0.6642857 are -147.857 and 147.857;
    # variance of the sum 2 * (2 * 147.857^2) / 1; over 1,400: 0.21122; t with one degree 12.7062
    assert rates.loc["alpha", "value"] == pytest.approx(930 / 1400)
    error = np.sqrt(2 * 2 * 147.857142857**2) / 1400
    assert rates.loc["alpha", "upper"] - rates.loc["alpha", "value"] == pytest.approx(12.7062047362 * error)
    assert rates.loc["beta", "value"] == 0.5
    assert rates.loc["beta", ["n_cases", "n_left_out"]].tolist() == [1, 1]
    assert rates["is_ranked"].to_dict() == {"alpha": True, "beta": False}
    assert np.isnan(card.table().set_index("unit").loc["beta", "recovery_rate"])
    assert card.record()["n_undecided"] == 2


def test_cases_that_all_brought_the_same_share_have_no_interval_and_no_verdict(recovery):
    nothing = recovery.cases.assign(recovered_amount=0.0, has_met_target=False)
    card = rk.unit_scorecards(reporting_date=DATE, recovery=replace(recovery, cases=nothing), minimum_cases=2)
    alpha = card.measure("recovery_rate").set_index("unit").loc["alpha"]
    assert alpha["value"] == 0.0
    assert alpha[["lower", "upper"]].isna().all()
    assert alpha["against_target"] == "undecided"
    assert card.record()["n_below"] == 0


def test_a_unit_with_few_cases_is_not_counted_as_beyond_the_target(recovery):
    # alpha: 9.00 of 900 and 5.01 of 500, about 1 % of either: far below 90 %, on two cases.
    little = recovery.cases.assign(recovered_amount=[9.0, 5.01, 0.0, 0.0])
    records = [
        rk.unit_scorecards(reporting_date=DATE, recovery=replace(recovery, cases=little), minimum_cases=least).record()
        for least in (2, 30)
    ]
    assert [record["n_below"] for record in records] == [1, 0]
    assert [record["n_undecided"] for record in records] == [1, 2]


def test_what_comes_after_the_reporting_date_changes_nothing(log, recovery):
    episodes, flows, actions = log
    later = pd.DataFrame([("FA2", "2026-07-01", "repayment", 999.0)], columns=flows.columns)
    again = rk.recovery_cases(episodes, pd.concat([flows, later]), actions, reporting_date=DATE, not_units=["early"])
    pd.testing.assert_frame_equal(again.cases, recovery.cases)


def test_cash_of_a_second_default_is_not_that_of_the_first(log):
    episodes, flows, actions = log
    second = episodes.iloc[[0]].assign(episode_id="A1b", default_date=pd.Timestamp("2025-03-01"))
    first = episodes.assign(outcome_date=episodes["outcome_date"].where(episodes["episode_id"] != "A1", "2025-02-20"))
    more = pd.DataFrame([("FA1", "2025-03-02 10:00", "beta")], columns=actions.columns)
    cases = rk.recovery_cases(pd.concat([first, second]), flows, pd.concat([actions, more]), reporting_date=DATE).cases
    found = cases.set_index("episode_id")["recovered_amount"]
    assert found["A1"] == 0.0
    assert found["A1b"] == 750.0  # 450 and, within twelve months of 2 March, 300


def test_right_party_contacts_by_hand():
    results = ["right_party", "promise", "refused", "wrong_party", "no_answer", "invalid_number", "none", "delivered"]
    actions = pd.DataFrame(
        {"unit": "alpha", "kind": ["call"] * 7 + ["sms"], "result": results, "action_time": "2026-05-01 10:00"}
    )
    row = rk.right_party_contacts(actions, reporting_date=DATE).iloc[0]
    # seven calls: one number not in use, one without a result; of five dials three were conversations
    assert row[["n_calls", "n_invalid", "n_unknown", "n_dials", "n_conversations"]].tolist() == [7, 1, 1, 5, 3]
    assert row["right_party_rate"] == 0.6


def test_calls_without_a_column_of_results_are_refused_in_words():
    actions = pd.DataFrame({"unit": ["alpha"], "kind": ["call"], "action_time": ["2026-05-01 10:00"]})
    with pytest.raises(rk.ContractError, match="actions: column 'result' is missing"):
        rk.right_party_contacts(actions, reporting_date=DATE)


def test_promises_of_no_unit_do_not_vanish():
    promises = pd.DataFrame(
        {
            "facility_id": ["FA1", "FA2"],
            "unit": ["alpha", None],
            "promise_date": "2026-01-10",
            "due_date": "2026-01-20",
            "promised_amount": 100.0,
            "paid_amount": [100.0, 0.0],
        }
    )
    with pytest.raises(rk.ContractError, match="promises: unit must not be missing: 1 row, first row 1"):
        rk.unit_scorecards(reporting_date=DATE, promises=promises)


def mixed(n_cases, seed, effects=(0.0, 0.0, 0.0)):
    """Units with unlike cases: the first takes mostly secured ones, the last hardly any."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, len(effects), n_cases)
    secured = rng.random(n_cases) < np.linspace(0.9, 0.1, len(effects))[unit]
    size = rng.normal(0, 1, n_cases)
    logit = -0.8 + 2.0 * secured - 0.5 * size + np.asarray(effects)[unit]
    won = rng.random(n_cases) < 1 / (1 + np.exp(-logit))
    return pd.DataFrame({"unit": [f"u{u}" for u in unit], "secured": secured, "size": size, "won": won})


def test_expected_by_hand_is_the_rate_of_like_cases():
    # secured: 3 of 4 won; not secured: 1 of 4. Unit a has three secured and one not: 3 * 0.75 + 0.25 = 2.5
    cases = pd.DataFrame(
        {"unit": list("aaab") + list("abbb"), "secured": [1] * 4 + [0] * 4, "won": [1, 1, 1, 0, 1, 0, 0, 0]}
    )
    mix = rk.observed_expected(cases, event_col="won", formula="~ secured", minimum_cases=1)
    assert mix.units["n_expected"].tolist() == pytest.approx([2.5, 1.5], abs=SOLVERS)
    assert mix.units["ratio"].tolist() == pytest.approx([4 / 2.5, 0.0], abs=SOLVERS)
    assert mix.units["adjusted"].tolist() == pytest.approx([0.5 * 4 / 2.5, 0.0], abs=SOLVERS)


def test_expectation_is_that_of_statsmodels_and_agrees_with_observed_in_total():
    cases = mixed(900, 1)
    mix = rk.observed_expected(cases, event_col="won", formula="~ secured + size")
    theirs = smf.logit("won ~ secured + size", cases.assign(won=cases["won"].astype(int))).fit(disp=0)
    assert mix.coefficients["estimate"].to_numpy() == pytest.approx(theirs.params.to_numpy(), abs=SOLVERS)
    assert mix.units["n_expected"].sum() == pytest.approx(mix.units["n_observed"].sum(), abs=1e-5)
    assert mix.units["n_observed"].sum() == cases["won"].sum()


def test_counts_take_their_exposure_and_have_poisson_intervals():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"unit": np.repeat(list("ab"), 200), "months": rng.uniform(1, 12, 400)})
    frame["calls"] = rng.poisson(0.5 * frame["months"])
    options = {"formula": "~ 1", "family": "poisson"}
    mix = rk.observed_expected(frame, event_col="calls", exposure_col="months", **options)
    rate = frame["calls"].sum() / frame["months"].sum()
    own = frame.groupby("unit")["months"].sum().to_numpy() * rate
    assert mix.units["n_expected"].to_numpy() == pytest.approx(own)
    assert mix.overall == pytest.approx(rate)
    assert mix.funnel().kind == "ratio"


def test_case_mix_takes_away_what_cases_explain_and_leaves_what_units_do():
    cases = mixed(6000, 2)
    crude = cases.groupby("unit")["won"].mean()
    mix = rk.observed_expected(cases, event_col="won", formula="~ secured + size")
    assert crude["u0"] - crude["u2"] > 0.3
    assert (mix.units["lower"] < 1).all()
    assert (mix.units["upper"] > 1).all()
    helped = rk.observed_expected(mixed(6000, 2, (0.0, 0.0, 1.0)), event_col="won", formula="~ secured + size")
    last = helped.units.set_index("unit").loc["u2"]
    assert last["lower"] > 1
    assert helped.funnel().units.set_index("unit").loc["u2", "position"] == "above 99.8"


def test_units_without_effect_cross_their_own_limits_no_more_often_than_said():
    outside = total = 0
    for seed in range(150):
        funnel = rk.observed_expected(
            mixed(700, seed, (0.0,) * 7), event_col="won", formula="~ secured + size"
        ).funnel()
        outside += (funnel.units["position"] != "inside").sum()
        total += 7
    # the expectation is fitted to the same cases, which draws units a little towards it
    assert 0.015 < outside / total < 0.055


def test_ranks_count_what_is_rarer():
    cases = mixed(3000, 5, (3.0, 3.0, 4.5))
    mix = rk.observed_expected(cases, event_col="won", formula="~ secured + size")
    ranks = mix.ranks(rng=np.random.default_rng(1), n_draws=2000)
    assert mix.overall > 0.5
    assert not ranks.higher_is_better
    assert ranks.units["unit"].iloc[0] == "u2"


@pytest.mark.parametrize("family", ["logit", "poisson"])
def test_a_level_of_which_no_case_came_has_no_expectation(family):
    # Product y never returned and is unit c's alone: its coefficient has no finite estimate, and c would be held
    # against an expectation of nothing.
    cases = pd.DataFrame({"unit": np.repeat(list("abc"), 40), "product": np.repeat(list("xxy"), 40)})
    cases["returned"] = np.where(cases["product"] == "x", np.arange(120) % 2, 0)
    with pytest.raises(rk.ConvergenceError, match="no finite estimate: 40 of 120 cases"):
        rk.observed_expected(cases, event_col="returned", formula="~ product", family=family)


def test_a_level_of_which_every_case_came_has_none_either():
    cases = pd.DataFrame({"unit": list("ab") * 40, "product": np.repeat(list("xy"), 40), "returned": [1, 0, 0, 1] * 20})
    cases.loc[cases["product"] == "y", "returned"] = 1
    with pytest.raises(rk.ConvergenceError, match="no finite estimate: 40 of 80 cases"):
        rk.observed_expected(cases, event_col="returned", formula="~ product")


@pytest.mark.parametrize("share", [0.5, -0.1])
def test_a_funnel_draws_in_less_than_half_of_the_units_at_each_end(share):
    mix = rk.observed_expected(mixed(400, 1, (0.0, 0.0)), event_col="won", formula="~ secured")
    with pytest.raises(ValueError, match="winsorise"):
        mix.funnel(over_dispersion="winsorised", winsorise=share)


@pytest.mark.parametrize("formula", ["~ marital_status", "~ borrower_age", "~ recovered_amount"])
def test_columns_about_the_person_and_outcomes_are_refused(formula):
    with pytest.raises(rk.RefusedColumnError, match=formula[2:]):
        rk.observed_expected(mixed(50, 1), event_col="won", formula=formula)


def test_what_is_expected_of_a_unit_cannot_depend_on_the_unit():
    with pytest.raises(ValueError, match="own level"):
        rk.observed_expected(mixed(50, 1), event_col="won", formula="~ unit")


def test_parts_of_the_brier_score_add_up_with_equal_and_with_unequal_predictions():
    rng = np.random.default_rng(9)
    said = np.concatenate([rng.choice([0.2, 0.5, 0.8], 150), rng.random(150)])
    frame = pd.DataFrame({"unit": np.repeat(["few", "many"], 150), "predicted_prob": said})
    frame["is_kept"] = rng.random(300) < said
    table = rk.predictive_accuracy(frame)
    parts = table["reliability"] - table["resolution"] + table["uncertainty"] + table["within_groups"]
    assert parts.to_numpy() == pytest.approx(table["brier_score"].to_numpy(), abs=EXACT)
    assert table.set_index("unit").loc["few", "within_groups"] == pytest.approx(0, abs=EXACT)


def test_brier_score_by_hand():
    # 0.9 kept, 0.9 broken, 0.1 broken, 0.1 broken: squares 0.01, 0.81, 0.01, 0.01; mean 0.21
    # groups: said 0.9, came 0.5 and said 0.1, came 0: reliability (0.16 + 0.01) / 2 = 0.085; overall 0.25;
    # resolution (0.0625 + 0.0625) / 2 = 0.0625; uncertainty 0.1875; 0.085 - 0.0625 + 0.1875 = 0.21
    frame = pd.DataFrame({"unit": "a", "predicted_prob": [0.9, 0.9, 0.1, 0.1], "is_kept": [1, 0, 0, 0]})
    row = rk.predictive_accuracy(frame).iloc[0]
    found = row[["brier_score", "reliability", "resolution", "uncertainty"]].tolist()
    assert found == pytest.approx([0.21, 0.085, 0.0625, 0.1875])


@pytest.mark.parametrize(
    ("said", "came", "p_value"),
    [
        ([1.0] * 20, [1] * 19 + [0], 0.0),  # what was certain did not come
        ([0.0] * 20, [0] * 19 + [1], 0.0),  # what was impossible came
        ([1.0] * 10 + [0.0] * 10, [1] * 10 + [0] * 10, 1.0),
        ([0.5] * 6 + [1.0] * 4, [1] * 10, 2 * 0.5**6),  # six heads of six tosses, both sides
        ([0.5] * 6, [1, 1, 1, 0, 0, 0], 1.0),
    ],
)
def test_calibration_without_variance_is_tested_exactly(said, came, p_value):
    row = rk.predictive_accuracy(pd.DataFrame({"unit": "a", "predicted_prob": said, "is_kept": came})).iloc[0]
    assert row["p_value"] == pytest.approx(p_value, abs=EXACT)
    assert np.isnan(row["z"])


def test_a_unit_that_predicts_nothing_has_its_columns_all_the_same():
    none = pd.DataFrame({"unit": list("ab"), "predicted_prob": np.nan, "is_kept": [True, False]})
    table = rk.predictive_accuracy(none)
    assert table[["unit", "n_predictions", "n_without"]].to_numpy().tolist() == [["a", 0, 1], ["b", 0, 1]]
    some = rk.predictive_accuracy(none.assign(predicted_prob=0.8))
    assert table.columns.tolist() == some.columns.tolist()
    assert table[some.columns[3:]].isna().all(None)


def test_a_prediction_without_its_unit_is_named():
    frame = pd.DataFrame({"unit": ["a", None], "predicted_prob": 0.8, "is_kept": [True, False]})
    with pytest.raises(rk.ContractError, match="unit must not be missing: 1 row, first row 1"):
        rk.predictive_accuracy(frame)
    assert rk.predictive_accuracy(frame, unit_col=None)["n_predictions"].tolist() == [2]


def test_test_of_calibration_holds_its_level_and_sees_boasting():
    rng = np.random.default_rng(13)
    rejected = boasted = 0
    for _ in range(400):
        truth = rng.beta(4, 2, 120)
        frame = pd.DataFrame({"unit": "a", "predicted_prob": truth, "is_kept": rng.random(120) < truth})
        rejected += rk.predictive_accuracy(frame)["p_value"].iloc[0] < 0.05
        frame["predicted_prob"] = truth + 0.6 * (1 - truth)
        boasted += rk.predictive_accuracy(frame)["p_value"].iloc[0] < 0.05
    assert rejected / 400 == pytest.approx(0.05, abs=0.035)
    assert boasted / 400 > 0.95


def test_without_any_log_there_is_no_scorecard():
    with pytest.raises(rk.InsufficientDataError, match="no log"):
        rk.unit_scorecards(reporting_date=DATE)


def test_interval_of_the_recovery_rate_holds_the_truth():
    rng = np.random.default_rng(20260930)
    held = 0
    for _ in range(3000):
        owed = rng.lognormal(8, 0.8, 60)
        came = owed * rng.beta(2, 1, 60)
        rate, reach = _ratio_of_sums(came, owed, 0.95)
        held += abs(rate - 2 / 3) <= reach
    assert held / 3000 == pytest.approx(0.95, abs=0.025)
