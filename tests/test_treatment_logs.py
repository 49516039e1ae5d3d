"""From the unit's log to units with outcomes: by hand on a few loans, and on the sample, whose truth is known."""

import json
from pathlib import Path

import pandas as pd
import pytest

import recoverykit as rk

ROOT = Path(__file__).parents[1]
FOLLOW = {"duration_col": "days", "outcome_col": "first_outcome", "outcome": "repayment"}


def dated(**columns):
    return pd.DataFrame({k: pd.to_datetime(v) if k.endswith(("_date", "_time")) else v for k, v in columns.items()})


ASSIGNED = dated(
    experiment=["sms", "sms", "other"],
    facility_id=["A", "B", "A"],
    assigned_date=["2026-01-31"] * 3,
    arm=["control", "reminder", "control"],
    assignment=["random"] * 3,
    score=[None] * 3,
)
DUE = dated(
    facility_id=["A", "A", "A", "B", "B", "C"],
    due_date=["2026-01-31", "2026-02-28", "2026-03-31", "2026-02-28", "2026-03-31", "2026-02-28"],
    due_amount=[100.0] * 6,
    paid_date=["2026-01-31", "2026-03-30", "2026-05-15", "2026-03-31", "2026-04-10", "2026-02-28"],
    paid_amount=[100.0, 100.0, 100.0, 100.0, 60.0, 100.0],
)


class TestLateInstalments:
    def rows(self, reporting_date="2026-06-30", **more):
        window = {"from_days": 1, "to_days": 60, "reporting_date": reporting_date}
        return rk.late_instalments(ASSIGNED, DUE, experiment="sms", **window, **more)

    def test_late_means_not_paid_in_full_after_thirty_days(self):
        # A: due 28 February, paid on the 30th day after it, in time; due 31 March, paid on the 45th. B: paid on the
        # 31st day, late; due 31 March, paid in part only, late. A's instalment of 31 January fell due on day 0.
        rows = self.rows().sort_values(["facility_id", "due_date"])
        assert rows["is_late"].tolist() == [0.0, 1.0, 1.0, 1.0]

    def test_what_is_not_known_yet_is_not_followed(self):
        rows = self.rows("2026-04-15").sort_values(["facility_id", "due_date"])
        assert rows["is_followed"].tolist() == [True, False, True, False]
        assert rows["is_late"].isna().tolist() == [False, True, False, True]

    def test_by_facility_is_the_mean_of_its_instalments(self):
        rows = self.rows(by_facility=True)
        assert rows.set_index("facility_id")["late_rate"].to_dict() == {"A": 0.5, "B": 1.0}

    def test_columns_of_the_facilities_come_along_and_change_no_row(self):
        more = pd.DataFrame({"facility_id": ["A", "B", "C"], "obligor_id": ["x", "x", "y"], "score": [1, 2, 3]})
        rows = self.rows(facilities=more)
        assert rows["obligor_id"].tolist() == ["x"] * 4
        assert rows["score"].isna().all()

    def test_an_experiment_that_is_not_there_names_those_that_are(self):
        with pytest.raises(rk.InsufficientDataError, match="other, sms"):
            rk.late_instalments(ASSIGNED, DUE, experiment="letter", from_days=1, to_days=2, reporting_date="2026-06-30")


def test_a_message_is_about_the_last_instalment_before_it():
    sent = dated(
        facility_id=["A", "B", "B", "C"],
        action_time=["2026-03-16 09:00", "2026-03-20 10:00", "2026-04-05 10:00", "2026-02-01 10:00"],
        message_variant=["plain", "offer", None, "plain"],
        assignment=["random"] * 4,
    )
    # A: message on 16 March about 28 February, paid on 30 March, the 14th day. B: paid on 31 March, the 11th. C: no
    # instalment fell due before it. The message without a variant is none of the experiment.
    found = rk.message_outcomes(sent, DUE, within_days=14, reporting_date="2026-06-30").sort_values("facility_id")
    assert found["is_paid"].tolist()[:2] == [1.0, 1.0]
    assert found["is_followed"].tolist() == [True, True, False]
    short = rk.message_outcomes(sent, DUE, within_days=13, reporting_date="2026-06-30").sort_values("facility_id")
    assert short["is_paid"].tolist()[:2] == [0.0, 1.0]


def test_a_message_has_no_share_in_what_was_paid_before_it():
    sent = dated(
        facility_id=["A", "B", "C", "B"],
        action_time=["2026-03-31 09:00", "2026-03-31 09:00", "2026-02-28 09:00", "2026-04-15 09:00"],
        message_variant=["plain"] * 4,
        assignment=["random"] * 4,
    )
    # What falls due on the day of the message did not fall due before it: A and B are told of 28 February. A had paid
    # on 30 March; B pays on the day itself; C has no earlier instalment. On 15 April B is told of 31 March, of which it
    # had paid a part: that is no payment in full.
    found = rk.message_outcomes(sent, DUE, within_days=14, reporting_date="2026-06-30")
    found = found.sort_values(["facility_id", "message_date"])
    assert found["is_paid_before"].tolist() == [True, False, False, False]
    assert found["is_followed"].tolist() == [False, True, True, False]
    assert found["is_paid"].dropna().tolist() == [1.0, 0.0]


def test_first_repayments_by_hand():
    episodes = dated(
        facility_id=["A", "B", "C", "D", "A"],
        default_date=["2026-01-01", "2026-01-01", "2026-01-01", "2026-01-01", "2025-06-01"],
        outcome_date=[None, "2026-03-01", None, "2026-02-01", "2025-07-01"],
    )
    flows = dated(
        facility_id=["A", "A", "B", "C", "D"],
        cash_flow_date=["2026-01-31", "2026-01-11", "2026-02-10", "2026-01-05", "2026-04-01"],
        kind=["repayment", "direct_cost", "repayment", "interest", "repayment"],
    )
    actions = dated(
        facility_id=["A", "B", "C", "A"],
        action_time=["2026-01-16 11:00", "2026-02-10 12:00", "2026-01-21 09:00", "2025-01-01 09:00"],
        kind=["field_visit", "field_visit", "field_visit", "call"],
        assignment=["rule", "rule", "rule", "discretion"],
    )
    found = rk.first_repayments(episodes, flows, actions, reporting_date="2026-06-30").set_index("facility_id")
    # A: repaid after 30 days, visited on day 15. B: repaid on day 40, the day of its visit, which came too late to
    # count. C: neither repaid nor closed, 180 days. D: closed after 31 days, its repayment later.
    assert found["days"].to_dict() == {"A": 30, "B": 40, "C": 180, "D": 31}
    assert found["first_outcome"].to_dict() == {"A": "repayment", "B": "repayment", "C": "open", "D": "closed"}
    assert found["treated_day"].dropna().to_dict() == {"A": 15, "C": 20}
    assert (found["follow_up_days"] == 180).all()


class TestHowVisitsWereDecidedOn:
    def visited(self, kinds, times=None, **options):
        episodes = dated(facility_id=["A"], default_date=["2026-01-01"], outcome_date=[None])
        flows = dated(facility_id=["A"], cash_flow_date=["2026-02-01"], kind=["repayment"])
        actions = dated(
            facility_id=["A"] * len(kinds),
            action_time=times or ["2026-01-10 09:00"] * len(kinds),
            kind=["field_visit"] * len(kinds),
            assignment=kinds,
        )
        return rk.first_repayments(episodes, flows, actions, reporting_date="2026-06-30", **options)

    @pytest.mark.parametrize(
        ("kinds", "told"),
        [
            (["random", "random", "discretion"], "discretion"),
            (["random", "random", "rule"], "rule"),
            (["rule", "discretion", "rule"], "discretion"),
            (["random", "habit", "discretion"], "habit"),
            (["random", "random", None], None),
            ([None, None], None),
            (["random", "random"], "random"),
        ],
    )
    def test_the_least_sound_way_is_told_and_not_the_most_frequent(self, kinds, told):
        found = self.visited(kinds, since="2026-01-01")
        assert found["assignment"].tolist() == [told]
        assert bool(rk.why_refused(found)) == (told != "random")

    def test_visits_after_the_reporting_date_are_not_read(self):
        times = ["2026-06-30 09:00", "2026-07-01 09:00"]
        assert self.visited(["random", "discretion"], times, since="2026-01-01")["assignment"].item() == "random"
        with pytest.raises(rk.InsufficientDataError, match="0 actions of kind field_visit up to 2026-06-30"):
            self.visited(["random"], ["2026-07-01 09:00"], since="2026-01-01")

    def test_a_log_without_a_call_needs_a_date_from_which_on_it_is_read(self):
        with pytest.raises(rk.InsufficientDataError, match="give since"):
            self.visited(["rule"])


@pytest.fixture(scope="module")
def truth():
    return json.loads((ROOT / "data_samples" / "truth.json").read_text())["operations"]


class TestSample:
    """The designs on the log of the sample, against what its simulator drew."""

    def late(self, book, experiment, from_days, to_days, **more):
        log = book.operations
        window = {"from_days": from_days, "to_days": to_days, "reporting_date": book.reporting_date}
        return rk.late_instalments(log["assignments"], log["instalments"], experiment=experiment, **window, **more)

    def test_reminders_have_their_effect(self, sample_book, truth):
        true = truth["pre_due_reminders"]
        due = self.late(sample_book, "pre_due_reminders", 31, 122)
        found = rk.intention_to_treat(
            due, outcome_col="is_late", followed_col="is_followed", cluster_col="facility_id", planned_n_units=7000
        )
        assert found.lower < true["effect_per_instalment"] < found.upper < 0
        control = found.arms.set_index("arm").loc["control"]
        assert control["lower"] < true["prob_per_instalment"]["control"] < control["upper"]

    @pytest.mark.parametrize("method", ["local_linear", "window"])
    def test_the_cut_off_has_its_effect(self, sample_book, truth, method):
        ruled = self.late(sample_book, "early_warning_cut_off", 1, 90, by_facility=True)
        options = {"method": method, "window": 50.0 if method == "window" else None, "treated_side": "left"}
        found = rk.regression_discontinuity(
            ruled, outcome_col="late_rate", running_col="score", cutoff=600, cutoff_is_treated=False, **options
        )
        assert found.lower < truth["early_warning_cut_off"]["effect_at_cut_off"] < found.upper < 0

    def test_arms_of_a_rule_are_refused_as_an_experiment(self, sample_book):
        ruled = self.late(sample_book, "early_warning_cut_off", 1, 90, by_facility=True)
        with pytest.raises(rk.UnsoundComparisonError, match="regression_discontinuity"):
            rk.intention_to_treat(ruled, outcome_col="late_rate", control="usual")

    def test_wordings_have_their_effects(self, sample_book, truth):
        log = sample_book.operations
        sent = rk.message_outcomes(
            log["actions"], log["instalments"], within_days=14, reporting_date=sample_book.reporting_date
        )
        kept = sent[sent["is_followed"]]
        found = rk.compare_variants(kept, outcome_col="is_paid", control="plain", cluster_col="facility_id")
        true = truth["message_wording"]["prob_paid"]
        for row in found.comparisons.itertuples():
            assert row.lower < true[row.variant] - true["plain"] < row.upper
        assert found.comparisons["is_found"].all()

    def test_visits_after_three_missed_calls_have_none_and_the_naive_contrast_is_wrong(self, sample_book):
        book = sample_book
        loans = rk.first_repayments(
            book.episodes, book.cash_flows, book.operations["actions"], reporting_date=book.reporting_date
        )
        treatment = {"treated_at_col": "treated_day"}
        paced = rk.time_dependent_effect(loans, cluster_col="obligor_id", **FOLLOW, **treatment)
        landmark = rk.landmark_effect(loans, landmark=30, horizon=120, **FOLLOW, **treatment).effect
        assert paced.lower < 1 < paced.upper
        assert landmark.lower < 0 < landmark.upper
        # What nobody should compute: repaid within 60 days, visited loans less the others.
        visited, repaid = loans["treated_day"].notna(), (loans["first_outcome"] == "repayment") & (loans["days"] <= 60)
        assert repaid[visited].mean() - repaid[~visited].mean() < -0.1
        with pytest.raises(rk.UnsoundComparisonError, match="immortal time"):
            rk.treated_against_untreated(
                loans.assign(visited=visited, repaid=repaid), treated_col="visited", outcome_col="repaid", **treatment
            )
