"""Promises: kept among those that fell due, time to kept, and a score tried out of time against a claim."""

import lifelines
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from sklearn.metrics import brier_score_loss, roc_auc_score

import recoverykit as rk
from recoverykit.data.contracts import freeze
from recoverykit.operations._promise_trial import auc

DATE = "2026-06-30"
#: Sums of the same numbers in another order.
EXACT = 1e-12
#: Two Newton solvers, each stopped by its own rule.
SOLVERS = 1e-5


def made(rows):
    columns = ["facility_id", "promise_date", "due_date", "promised_amount", "paid_amount", "paid_date", "unit"]
    frame = pd.DataFrame(rows, columns=columns)
    dates = ["promise_date", "due_date", "paid_date"]
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name in dates})


@pytest.fixture
def promises():
    """Eight promises; with five days of grace those due by 25 June have fallen due on 30 June."""
    return made(
        [
            ("F1", "2026-05-01", "2026-05-10", 100.00, 100.00, "2026-05-09", "alpha"),  # kept
            ("F2", "2026-05-01", "2026-05-10", 100.00, 99.99, "2026-05-09", "alpha"),  # a cent short: mostly kept
            ("F3", "2026-05-01", "2026-05-10", 100.00, 80.00, "2026-05-15", "alpha"),  # 80 % on the last day of grace
            ("F4", "2026-05-01", "2026-05-10", 100.00, 0.00, None, "beta"),  # broken
            ("F5", "2026-05-01", "2026-05-10", 100.00, 100.00, "2026-05-16", "beta"),  # a day too late: broken
            ("F6", "2026-06-20", "2026-06-25", 50.00, 50.00, "2026-06-30", "beta"),  # due and kept on the last day
            ("F7", "2026-06-20", "2026-06-26", 50.00, 0.00, None, "beta"),  # grace ends 1 July: open
            ("F8", "2026-06-20", "2026-06-28", 50.00, 50.00, "2026-06-22", "beta"),  # open, paid early
        ]
    )


def test_kept_by_hand(promises):
    told = rk.promise_outcomes(promises, reporting_date=DATE)
    assert told["is_due"].tolist() == [True] * 6 + [False] * 2
    assert told["is_kept"].tolist()[:6] == [True, False, False, False, False, True]
    assert told["is_mostly_kept"].tolist()[:6] == [True, True, True, False, False, True]
    assert told["is_kept"].isna().tolist() == [False] * 6 + [True] * 2
    assert told["is_paid_late"].tolist() == [False] * 4 + [True] + [False] * 3
    assert told["is_paid_early"].tolist() == [False] * 7 + [True]


def test_rates_by_hand_and_open_promises_are_out_and_counted(promises):
    told = rk.promise_outcomes(promises, reporting_date=DATE)
    rates = rk.promise_kept_rates(told, by="unit").set_index("unit")
    # alpha: 1 of 3 that fell due; beta: 1 of 3, with two open, one of them paid
    assert rates["n_due"].to_dict() == {"alpha": 3, "beta": 3}
    assert rates["n_open"].to_dict() == {"alpha": 0, "beta": 2}
    assert rates["n_paid_early"].to_dict() == {"alpha": 0, "beta": 1}
    assert rates["kept_rate"].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert rates["mostly_kept_rate"].tolist() == pytest.approx([1.0, 1 / 3])
    theirs = stats.binomtest(1, 3).proportion_ci(0.95, method="exact")
    assert rates.loc["alpha", ["lower", "upper"]].tolist() == pytest.approx([theirs.low, theirs.high])
    assert (rates["n_promises"] == rates["n_open"] + rates["n_due"]).all()


def test_parts_add_up_to_the_whole_in_counts_and_to_the_cent(promises):
    rng = np.random.default_rng(1)
    many = pd.concat([promises] * 200, ignore_index=True)
    many["promised_amount"] = np.round(rng.uniform(1, 1e5, len(many)), 2)
    told = rk.promise_outcomes(many, reporting_date=DATE)
    parts, whole = rk.promise_kept_rates(told, by="unit"), rk.promise_kept_rates(told)
    for name in ("n_promises", "n_open", "n_due", "n_kept", "n_mostly_kept"):
        assert parts[name].sum() == whole[name].iloc[0]
    cents = np.rint(parts["promised_amount"] * 100).astype(int).sum()
    assert cents == round(whole["promised_amount"].iloc[0] * 100)


def test_what_is_paid_after_the_reporting_date_is_not_read(promises):
    then = rk.promise_outcomes(promises, reporting_date="2026-05-15").set_index("facility_id")
    assert len(then) == 5  # promises made later are not there yet
    assert then["is_kept"].to_dict() == {"F1": True, "F2": False, "F3": False, "F4": False, "F5": False}
    sooner = rk.promise_outcomes(promises, reporting_date="2026-05-12").set_index("facility_id")
    assert not sooner["is_due"].any()
    assert sooner["is_paid_early"].to_dict() == {"F1": True, "F2": False, "F3": False, "F4": False, "F5": False}


def test_a_last_payment_after_the_reporting_date_reads_as_none_as_when_the_clock_is_set_back(promises):
    date = pd.Timestamp("2026-05-15")
    then = rk.promise_outcomes(promises, reporting_date=date)
    frozen, _ = freeze({"promises": promises}, date)
    columns = ["facility_id", "paid_amount", "is_due", "is_kept", "is_mostly_kept", "is_paid_late", "is_paid_early"]
    pd.testing.assert_frame_equal(
        then[columns].reset_index(drop=True), rk.promise_outcomes(frozen["promises"], reporting_date=date)[columns]
    )
    # F5 pays on 16 May: on the 15th nobody knows of its 100
    assert rk.promise_kept_rates(then)["paid_amount"].iloc[0] == 279.99


def test_time_to_kept_is_the_aalen_johansen_curve_with_open_promises_censored(promises):
    told = rk.promise_outcomes(promises, reporting_date=DATE)
    curves = rk.time_to_kept(told, reporting_date=DATE)["all"]
    # days: F8 kept 2, F1 kept 8, F7 censored 10, F6 kept 10; F2 to F5 broken 14 (grace ends on 15 May)
    # day 2: 1/8; day 8: 7/8 * 1/7 = 1/8; day 10: 6/8 * 1/6 = 1/8; day 14: all four left of 6 - 1 - 1 are broken
    assert curves["kept"]([2, 8, 10, 14]).tolist() == pytest.approx([1 / 8, 2 / 8, 3 / 8, 3 / 8])
    assert curves["broken"]([10, 14]).tolist() == pytest.approx([0.0, 5 / 8])


def test_without_competition_time_to_kept_is_that_of_lifelines():
    rng = np.random.default_rng(3)
    days = rng.integers(1, 40, 80)
    rows = [
        (f"F{i}", "2026-06-01", "2026-07-15", 10.0, 10.0 if d < 29 else 0.0,
         pd.Timestamp("2026-06-01") + pd.Timedelta(days=int(d)) if d < 29 else None, "alpha")
        for i, d in enumerate(days)
    ]  # fmt: skip
    told = rk.promise_outcomes(made(rows), reporting_date=DATE)
    kept = rk.time_to_kept(told, reporting_date=DATE)["all"]["kept"]
    fitter = lifelines.KaplanMeierFitter().fit(np.minimum(days, 29), days < 29)
    expected = 1 - fitter.survival_function_at_times(kept.times).to_numpy()
    assert kept.values == pytest.approx(expected, abs=1e-9)


def test_history_knows_only_what_was_over_on_the_day():
    told = rk.promise_outcomes(
        made(
            [
                ("F1", "2026-01-01", "2026-01-10", 100.0, 100.0, "2026-01-10", "a"),  # over on 15 January
                ("F1", "2026-01-15", "2026-01-20", 100.0, 50.0, "2026-01-20", "a"),  # on the day itself: not known
                ("F1", "2026-01-16", "2026-01-20", 100.0, 0.0, None, "a"),  # the first is known: 1 of 1
                ("F1", "2026-03-01", "2026-03-08", 100.0, 0.0, None, "a"),  # all three: 1 of 3, paid (1 + .5 + 0) / 3
                ("F2", "2026-03-01", "2026-03-08", 100.0, 0.0, None, "a"),  # another debtor
            ]
        ),
        reporting_date=DATE,
    )
    history = rk.promise_history(told)
    assert history["n_before"].tolist() == [0, 0, 1, 3, 0]
    assert history["n_kept_before"].tolist() == [0, 0, 1, 1, 0]
    assert history["paid_share_before"].tolist()[2:4] == [1.0, 0.5]
    assert history["paid_share_before"].isna().tolist() == [True, True, False, False, True]


def test_what_came_too_late_is_no_share_paid():
    rows = [
        ("F1", "2026-01-01", "2026-01-10", 100.0, 100.0, "2026-01-16", "a"),  # a day after the days of grace
        ("F1", "2026-03-01", "2026-03-08", 100.0, 0.0, None, "a"),
    ]
    history = rk.promise_history(rk.promise_outcomes(made(rows), reporting_date=DATE))
    assert history[["n_before", "n_kept_before", "paid_share_before"]].iloc[1].tolist() == [1, 0, 0.0]


def test_arrears_and_usual_instalment_by_hand():
    told = rk.promise_outcomes(
        made([("F1", "2026-03-11", "2026-03-20", 200.0, 0.0, None, "a"), ("F9", "2026-03-11", "2026-03-20", 1.0, 0.0,
              None, "a")]), reporting_date=DATE)  # fmt: skip
    instalments = pd.DataFrame(
        {
            "facility_id": "F1",
            "due_date": ["2026-01-10", "2026-02-10", "2026-03-10", "2026-04-10"],
            "due_amount": [100.0, 100.0, 120.0, 100.0],
            "paid_date": ["2026-01-10", "2026-03-20", None, None],  # the second was paid after the promise
            "paid_amount": [100.0, 100.0, 0.0, 0.0],
        }
    )
    history = rk.promise_history(told, instalments=instalments)
    # oldest unpaid on 11 March: 10 February, 29 days; latest due: 120 of 10 March
    assert history["months_past_due"].tolist() == pytest.approx([29 / (365 / 12), 0.0])
    assert history["amount_log_ratio"].tolist() == pytest.approx([np.log(200 / 120), 0.0])
    assert history["has_instalment"].tolist() == [True, False]


def simulated(seed, n_debtors=600, n_each=6):
    """Debtors with lasting reliability: logit of being kept = 0.4 + debtor's own deviation of 1.2."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0.4, 1.2, n_debtors)
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 800, n_debtors * n_each), "D")
    frame = pd.DataFrame(
        {
            "facility_id": np.repeat([f"F{i}" for i in range(n_debtors)], n_each),
            "promise_date": start,
            "unit": "alpha",
            "promised_amount": np.round(rng.uniform(50, 500, n_debtors * n_each), 2),
        }
    )
    chance = 1 / (1 + np.exp(-np.repeat(own, n_each)))
    kept = rng.random(len(frame)) < chance
    part = np.where(kept, 1.0, rng.uniform(0, 0.9, len(frame)))
    frame["due_date"] = frame["promise_date"] + pd.to_timedelta(rng.integers(5, 20, len(frame)), "D")
    frame["paid_amount"] = np.round(frame["promised_amount"] * part, 2)
    frame["paid_date"] = frame["due_date"]
    history = rk.promise_history(rk.promise_outcomes(frame, reporting_date="2026-06-30"))
    return history, chance


@pytest.fixture(scope="module")
def history():
    return simulated(1)[0]


@pytest.fixture(scope="module")
def score(history):
    return rk.PromiseScoreModel().fit(history, cut_off="2025-06-30")


@pytest.fixture(scope="module")
def trial(history, score):
    return rk.evaluate_promise_score(score, history, rng=np.random.default_rng(1), claimed_accuracy=0.89)


def test_score_is_the_logit_of_statsmodels_on_what_was_known_by_the_cut_off(history, score):
    learnt = history[history["window_end"] <= "2025-06-30"].copy()
    a, b = score.prior.first, score.prior.second
    share = (a + learnt["n_kept_before"]) / (a + b + learnt["n_before"])
    learnt["own_kept_logit"] = np.log(share / (1 - share))
    learnt["paid_share_before"] = learnt["paid_share_before"].fillna(score.prior.mean)
    learnt["kept"] = learnt["is_kept"].astype(int)
    narrow = rk.PromiseScoreModel(formula="~ own_kept_logit + paid_share_before").fit(history, cut_off="2025-06-30")
    theirs = smf.logit("kept ~ own_kept_logit + paid_share_before", learnt).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": pd.factorize(learnt["facility_id"])[0]}
    )
    assert narrow.params.to_numpy() == pytest.approx(theirs.params.to_numpy(), abs=SOLVERS)
    assert narrow.standard_errors.to_numpy() == pytest.approx(theirs.bse.to_numpy(), abs=SOLVERS)
    assert narrow.n_promises == len(learnt)


def test_measures_are_those_of_scikit_learn_on_promises_made_later(history, score, trial):
    later = history[(history["promise_date"] > "2025-06-30") & history["is_due"]]
    said, came = score.predict(later), later["is_kept"].astype(int)
    assert trial.n_promises == len(later)
    assert trial.value("auc")["value"] == pytest.approx(roc_auc_score(came, said))
    assert trial.value("brier_score")["value"] == pytest.approx(brier_score_loss(came, said))
    assert trial.value("accuracy")["value"] == pytest.approx(((said >= 0.5) == came).mean())
    assert trial.value("trivial_accuracy")["value"] == pytest.approx(came.mean())  # most were kept before
    parts = trial.brier
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within_groups"]
    assert total == pytest.approx(parts["brier_score"], abs=EXACT)


def test_a_weighted_pair_counts_as_often_as_it_is_drawn():
    rng = np.random.default_rng(2)
    said, came = rng.integers(0, 5, 40) / 5, rng.integers(0, 2, 40).astype(float)
    weights = rng.integers(0, 4, 40)
    assert auc(said, came, weights.astype(float)) == pytest.approx(
        roc_auc_score(np.repeat(came, weights), np.repeat(said, weights))
    )


def test_claim_is_tested_exactly_and_stands_beside_the_trivial_rule(trial):
    theirs = stats.binomtest(trial.n_correct, trial.n_promises, 0.89, alternative="less")
    assert trial.p_value == pytest.approx(theirs.pvalue)
    assert trial.p_value < 0.001  # debtors as these cannot be foretold so well
    assert trial.upper_one_sided == pytest.approx(theirs.proportion_ci(0.95, method="exact").high)
    assert trial.value("accuracy_gain")["value"] == pytest.approx(
        trial.value("accuracy")["value"] - trial.value("trivial_accuracy")["value"]
    )


def test_no_promise_is_lost_between_learning_and_trial(history, score, trial):
    n_later_open = int(((history["promise_date"] > "2025-06-30") & ~history["is_due"]).sum())
    assert score.n_promises + trial.n_straddling + trial.n_promises + n_later_open == len(history)
    assert trial.n_straddling > 0


def test_score_learns_nothing_from_what_came_after_the_cut_off(history, score):
    changed = history.copy()
    after = changed["window_end"] > "2025-06-30"
    changed.loc[after, "is_kept"] = ~changed.loc[after, "is_kept"].astype(bool)
    again = rk.PromiseScoreModel().fit(changed, cut_off="2025-06-30")
    pd.testing.assert_series_equal(again.params, score.params)


@pytest.mark.parametrize("column", ["gender", "marital_status", "borrower_age", "education_level", "spouse_phone"])
def test_a_score_never_reads_who_the_debtor_is(column):
    with pytest.raises(rk.RefusedColumnError, match=column):
        rk.PromiseScoreModel(formula=f"~ own_kept_logit + {column}")


@pytest.mark.parametrize(
    "column", ["paid_amount", "paid_date", "is_due", "is_kept", "is_mostly_kept", "is_paid_late", "is_paid_early"]
)
def test_a_score_never_reads_what_became_of_the_promise(column):
    with pytest.raises(rk.RefusedColumnError, match=f"{column}: known only afterwards"):
        rk.PromiseScoreModel(formula=f"~ own_kept_logit + {column}")


def test_too_few_promises_are_said_to_be_too_few(history):
    with pytest.raises(rk.InsufficientDataError, match="30 promises kept and 30 broken"):
        rk.PromiseScoreModel().fit(history, cut_off="2024-01-20")


def test_faults_of_the_log_are_all_named(promises):
    wrong = promises.assign(promised_amount=[0.0] + [1.0] * 7, paid_amount=[-1.0] + [1.0] * 7)
    with pytest.raises(rk.ContractError, match="2 rules"):
        rk.promise_outcomes(wrong, reporting_date=DATE)
    wrong.loc[2, "due_date"] = pd.Timestamp("2026-04-30")
    with pytest.raises(rk.ContractError, match="3 rules") as error:
        rk.promise_outcomes(wrong, reporting_date=DATE)
    assert "due_date must not lie before promise_date: 1 row, first row 2" in str(error.value)


def test_a_promise_without_its_group_is_named_and_none_at_all_too(promises):
    told = rk.promise_outcomes(promises.assign(unit=[None] + ["alpha"] * 7), reporting_date=DATE)
    assert rk.promise_kept_rates(told)["n_promises"].iloc[0] == 8
    with pytest.raises(rk.ContractError, match="unit must not be missing: 1 row, first row 0"):
        rk.promise_kept_rates(told, by="unit")
    with pytest.raises(rk.InsufficientDataError, match="no promise was made by 2026-04-30"):
        rk.promise_outcomes(promises, reporting_date="2026-04-30")


@pytest.mark.slow
def test_probabilities_of_the_score_are_calibrated_and_its_intervals_hold_the_truth():
    reliable, held_auc, held_accuracy = [], 0, 0
    big_history, big_chance = simulated(999, n_debtors=6000)
    n_seeds = 60
    for seed in range(n_seeds):
        history, _ = simulated(seed, n_debtors=300)
        fit = rk.PromiseScoreModel().fit(history, cut_off="2025-06-30")
        trial = rk.evaluate_promise_score(fit, history, rng=np.random.default_rng(seed), n_bootstrap=200)
        # what this very score does on so many promises that chance is gone
        later = big_history[big_history["promise_date"] > "2025-06-30"]
        said = fit.predict(later).to_numpy()
        chance = big_chance[later.index]
        true_accuracy = np.where(said >= 0.5, chance, 1 - chance).mean()
        true_auc = auc(np.tile(said, 2), np.repeat([1.0, 0.0], len(said)), np.concatenate([chance, 1 - chance]))
        held_auc += trial.value("auc")["lower"] <= true_auc <= trial.value("auc")["upper"]
        row = trial.value("accuracy")
        held_accuracy += row["lower"] <= true_accuracy <= row["upper"]
        reliable.append(np.mean(said) - chance.mean())
    assert abs(np.mean(reliable)) < 0.01
    assert held_auc / n_seeds > 0.86  # 95 % less two and a half standard errors of 60 trials
    assert held_accuracy / n_seeds > 0.86
