"""The log of the recovery unit in the sample: its effects can be found again by counting, and it fits the loans."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recoverykit.data import synthetic
from recoverykit.data._synthetic_early import describe_early, draw_early
from recoverykit.data._synthetic_log import UnitLog
from recoverykit.data.synthetic import simulate_portfolio

REPORTING_DATE = pd.Timestamp("2026-09-30")
SAMPLE = Path(__file__).parents[1] / "data_samples"
#: A count lies within four of its standard errors of the truth; the sample is one draw, fixed by its seed.
STANDARD_ERRORS = 4.0
#: Money is whole cents; a sum of some of them in floats is off by far less than a tenth of one.
CENT_TOLERANCE = 1e-3
DAY = pd.Timedelta(days=1)
CONVERSATIONS = {"right_party", "promise", "refused"}


@pytest.fixture(scope="module")
def portfolio():
    return simulate_portfolio(seed=synthetic.SAMPLE_SEED)


@pytest.fixture(scope="module")
def tables(portfolio):
    return portfolio.tables


@pytest.fixture(scope="module")
def truth(portfolio):
    return portfolio.truth["operations"]


@pytest.fixture(scope="module")
def instalments(tables):
    """Instalments with the month counted from that of the reporting date, and whether they were 30 days late."""
    frame = tables["instalments"]
    in_full = frame["paid_amount"] >= frame["due_amount"]
    month = (frame["due_date"].dt.year - 2026) * 12 + frame["due_date"].dt.month - 9
    return frame.assign(month=month, late=~(in_full & (frame["paid_date"] <= frame["due_date"] + 30 * DAY)))


def by_facility(instalments, tables, truth, experiment):
    """Share of late instalments of each facility in the months of a design, with its arm and score."""
    chosen = instalments[instalments["month"].isin(truth[experiment]["months"])]
    arms = tables["assignments"].query("experiment == @experiment").set_index("facility_id")[["arm", "score"]]
    return arms.join(chosen.groupby("facility_id")["late"].mean())


def assert_close(estimate, truth, standard_error):
    assert abs(estimate - truth) < STANDARD_ERRORS * standard_error, (estimate, truth, standard_error)


def share_error(prob, n):
    return np.sqrt(prob * (1 - prob) / n)


class TestDesigns:
    def test_the_difference_between_the_arms_is_the_effect_of_the_reminders(self, instalments, tables, truth):
        stated = truth["pre_due_reminders"]
        arms = by_facility(instalments, tables, truth, "pre_due_reminders").groupby("arm")["late"].agg(["mean", "sem"])
        difference = arms.loc["reminder_30_15_7", "mean"] - arms.loc["control", "mean"]
        assert_close(difference, stated["effect_per_instalment"], np.hypot(*arms["sem"]))
        assert difference < -2 * np.hypot(*arms["sem"])  # there is something to be found
        assert arms.loc["control", "mean"] == pytest.approx(stated["prob_per_instalment"]["control"], abs=0.03)

    def test_the_jump_at_the_cut_off_is_the_effect_of_the_treatment(self, instalments, tables, truth):
        stated = truth["early_warning_cut_off"]
        rows = by_facility(instalments, tables, truth, "early_warning_cut_off")
        assert (rows["arm"].eq("intensive") == (rows["score"] < stated["cut_off"])).all()
        near = rows[(rows["score"] - stated["cut_off"]).abs() < 40]
        points = (near["score"] - stated["cut_off"]).to_numpy()
        below = (points < 0).astype(float)
        # two straight lines by least squares; the second coefficient is the jump
        design = np.column_stack([np.ones_like(points), below, points, points * below])
        solved, residual, *_ = np.linalg.lstsq(design, near["late"].to_numpy(), rcond=None)
        error = np.sqrt(np.linalg.inv(design.T @ design)[1, 1] * residual[0] / (len(near) - 4))
        assert_close(solved[1], stated["effect_at_cut_off"], error)
        assert solved[1] < -2 * error

    def test_a_threat_lowers_payment_and_help_raises_it(self, tables, truth):
        sent = tables["actions"][tables["actions"]["message_variant"].notna()]
        day = sent["action_time"].dt.normalize()
        rows = sent.assign(day=day, due_date=day - 5 * DAY).merge(tables["instalments"], on=["facility_id", "due_date"])
        assert len(rows) == len(sent)
        assert (rows["paid_date"].isna() | (rows["paid_date"] > rows["day"])).all()
        paid = (rows["paid_date"] <= rows["day"] + 14 * DAY).groupby(rows["message_variant"]).agg(["mean", "size"])
        for variant, prob in truth["message_wording"]["prob_paid"].items():
            assert_close(paid.loc[variant, "mean"], prob, share_error(prob, paid.loc[variant, "size"]))
        assert paid.loc["threat", "mean"] < paid.loc["plain", "mean"] < paid.loc["helpful", "mean"]

    def test_arms_are_balanced_and_every_facility_has_one(self, tables):
        sizes = tables["assignments"].query("assignment == 'random'").groupby(["experiment", "arm"]).size()
        for _, arms in sizes.groupby(level=0):
            assert arms.max() - arms.min() <= 1


class TestMissedCalls:
    @pytest.fixture(scope="class")
    @staticmethod
    def cases(portfolio):
        """Days from default to the first repayment and to the visit, by a join."""
        latest = portfolio.episodes.drop_duplicates("facility_id", keep="last").set_index("facility_id")
        recent = latest[latest["default_date"] > REPORTING_DATE - pd.DateOffset(months=24)]
        flows = (
            portfolio.tables["cash_flows"].query("kind == 'repayment'").join(recent["default_date"], on="facility_id")
        )
        first = flows[flows["cash_flow_date"] > flows["default_date"]].groupby("facility_id")["cash_flow_date"].min()
        visits = portfolio.tables["actions"].query("kind == 'field_visit'").set_index("facility_id")["action_time"]
        return recent.assign(
            paid=(first - recent["default_date"]).dt.days,
            visited=(visits.dt.normalize() - recent["default_date"]).dt.days,
            seen=(REPORTING_DATE - recent["default_date"]).dt.days,
        )

    def test_visited_against_not_visited_misleads_and_the_landmark_finds_nothing(self, cases):
        whole = cases[cases["seen"] >= 60]
        naive = (whole["paid"] <= 60).groupby(whole["visited"].notna()).mean()
        assert naive[True] < naive[False] - 0.25
        # alive at day 20: not paid yet, and visited by then or not
        landmark = whole[~(whole["paid"] <= 20)]
        groups = (landmark["paid"] <= 60).groupby(landmark["visited"] <= 20).agg(["mean", "size"])
        error = np.sqrt(sum(share_error(row["mean"], row["size"]) ** 2 for _, row in groups.iterrows()))
        assert groups["size"].min() > 100
        assert_close(groups.loc[True, "mean"], groups.loc[False, "mean"], error)

    def test_a_visit_follows_three_missed_calls_in_a_row_and_nothing_follows_a_repayment(self, cases, tables):
        log = tables["actions"].query("kind in ['call', 'field_visit']")
        visited = cases[cases["visited"].notna()]
        for facility, rows in log[log["facility_id"].isin(visited.index)].groupby("facility_id"):
            before = rows[rows["action_time"].dt.normalize() <= visited.loc[facility, "default_date"] + 90 * DAY]
            missed = 0
            for row in before.itertuples():
                if row.kind == "field_visit":
                    assert missed == 3
                    break
                missed = missed + 1 if row.result in ("no_answer", "invalid_number") else 0
            else:
                raise AssertionError(f"no visit found for {facility}")
        assert not (visited["paid"] <= visited["visited"]).any()


class TestUnits:
    def test_units_differ_in_cures_beside_their_mix_as_stated(self, portfolio, tables, truth):
        unit = tables["actions"].query("unit != 'early'").groupby("facility_id")["unit"].first()
        latest = portfolio.episodes.drop_duplicates("facility_id", keep="last").set_index("facility_id")
        rows = latest.join(unit, how="inner")
        by_unit = rows.groupby("unit").agg(
            n=("ever_cures", "size"), cured=("ever_cures", "sum"), p=("prob_ever_cures", "sum")
        )
        ratio = by_unit["cured"] / by_unit["p"]
        error = np.sqrt(by_unit["p"] * 0.5) / by_unit["p"]  # at least half of a Poisson's variance
        for name, stated in truth["units"]["ever_cures_over_expected"].items():
            assert_close(ratio[name], stated, error[name])
        assert len(rows) == sum(truth["units"]["n_cases"].values())
        assert ratio["east"] > 1.1
        assert ratio["south"] < 0.9
        # the bare league table puts the agency near the end, for its mix alone
        assert (by_unit["cured"] / by_unit["n"]).drop("south").idxmin() == "agency"

    def test_the_right_party_is_reached_as_often_as_stated(self, tables, truth):
        calls = tables["actions"].query("kind == 'call' and unit != 'early' and assignment == 'discretion'")
        answered = calls[calls["result"].isin(["right_party", "refused", "wrong_party"])]
        right = answered["result"].ne("wrong_party").groupby(answered["unit"]).agg(["mean", "size"])
        for unit, prob in truth["units"]["prob_right_party_given_answered"].items():
            assert_close(right.loc[unit, "mean"], prob, share_error(prob, right.loc[unit, "size"]))


class TestPromises:
    def test_they_are_kept_as_often_as_stated_in_every_unit(self, tables, truth):
        promises = tables["promises"]
        fell_due = promises[promises["due_date"] + 5 * DAY <= REPORTING_DATE]
        kept = fell_due["paid_amount"] >= 0.8 * fell_due["promised_amount"]
        shares = kept.groupby(fell_due["unit"]).agg(["mean", "size"])
        for unit, stated in truth["promises"]["by_unit"].items():
            # a promise is kept by a trait of its facility: few facilities have more than two
            assert_close(
                shares.loc[unit, "mean"], stated["prob"], share_error(stated["prob"], shares.loc[unit, "size"])
            )
        in_full = (fell_due["paid_amount"] >= fell_due["promised_amount"]).sum() / kept.sum()
        assert_close(in_full, truth["promises"]["share_of_kept_paid_in_full"], share_error(0.9, kept.sum()))

    def test_two_units_overstate_and_the_score_of_the_rest_is_what_it_should_be(self, tables, truth):
        promises = tables["promises"]
        fell_due = promises[promises["due_date"] + 5 * DAY <= REPORTING_DATE]
        kept = (fell_due["paid_amount"] >= 0.8 * fell_due["promised_amount"]).astype(float)
        gap = (fell_due["predicted_prob"] - kept).groupby(fell_due["unit"]).mean()
        assert gap[["agency", "south"]].min() > 0.08
        assert gap.drop(["agency", "south"]).abs().max() < 0.08
        brier = (fell_due["predicted_prob"] - kept) ** 2
        assert_close(brier.mean(), truth["promises"]["expected_brier_of_stated"], brier.sem())

    def test_paid_is_what_the_cash_flows_show_and_each_was_given_in_a_call(self, tables):
        flows = dict(iter(tables["cash_flows"].query("kind == 'repayment'").groupby("facility_id")))
        given = tables["actions"].query("result == 'promise'")
        calls = set(zip(given["facility_id"], given["action_time"].dt.normalize(), strict=True))
        nothing = tables["cash_flows"].head(0)
        for row in tables["promises"].itertuples():
            paid = flows.get(row.facility_id, nothing)
            inside = (paid["cash_flow_date"] > row.promise_date) & (paid["cash_flow_date"] <= row.due_date + 5 * DAY)
            assert row.paid_amount == pytest.approx(paid.loc[inside, "amount"].sum(), abs=CENT_TOLERANCE)
            assert (row.facility_id, row.promise_date) in calls
        assert len(calls) == len(tables["promises"])


class TestCourt:
    def test_events_over_days_at_risk_are_the_stated_hazards(self, tables, truth):
        court, stated = tables["court"], truth["court"]
        ended = court[["judgment_date", "settlement_date", "withdrawal_date"]].min(axis=1)
        at_risk = (ended.fillna(REPORTING_DATE) - court["filing_date"]).dt.days
        for event in ("settlement", "withdrawal"):
            expected = stated["hazards_per_day"][event] * at_risk.sum()
            assert_close(court[f"{event}_date"].notna().sum(), expected, np.sqrt(expected))
        effect = stated["log_hazard_of_judgment"]
        log_hazard = court["court"].map(effect["court"]) + effect["package_complete"] * court["package_complete"]
        expected = stated["hazards_per_day"]["judgment"] * np.exp(log_hazard) * at_risk
        for _, part in expected.groupby([court["court"], court["package_complete"]]):
            observed = court.loc[part.index, "judgment_date"].notna().sum()
            assert_close(observed, part.sum(), np.sqrt(part.sum()))

    def test_a_complete_package_wins_more_and_the_checklist_makes_it_complete(self, tables, truth):
        court = tables["court"]
        arms = tables["assignments"].query("experiment == 'court_checklist'").set_index("facility_id")["arm"]
        complete = court["package_complete"].groupby(court["facility_id"].map(arms)).agg(["mean", "size"])
        for arm, prob in truth["court"]["court_checklist"]["prob_package_complete"].items():
            assert_close(complete.loc[arm, "mean"], prob, share_error(prob, complete.loc[arm, "size"]))
        judged = court[court["judgment"].notna() & court["unit"].ne("north")]
        won = judged["judgment"].eq("won").groupby(judged["package_complete"]).agg(["mean", "size"])
        for flag, odds in ((False, 0.0), (True, 0.8)):
            prob = 1 / (1 + np.exp(-odds))
            assert_close(won.loc[flag, "mean"], prob, share_error(prob, won.loc[flag, "size"]))

    def test_what_was_recovered_is_what_the_cash_flows_show_after_the_filing(self, tables):
        kinds = ["repayment", "collateral", "guarantee", "sale"]
        flows = tables["cash_flows"][tables["cash_flows"]["kind"].isin(kinds)]
        for row in tables["court"].itertuples():
            after = flows[(flows["facility_id"] == row.facility_id) & (flows["cash_flow_date"] > row.filing_date)]
            assert row.recovered_amount == pytest.approx(after["amount"].sum(), abs=CENT_TOLERANCE)


def test_the_contact_rules_are_broken_exactly_as_stated(tables, truth):
    # A second count, call by call: earlier calls of the last seven days, and conversations of the six days before.
    broken = {name: Counter() for name in truth["contact_rules"] if name != "note"}
    calls = tables["actions"].query("kind == 'call'")
    for _, rows in calls.groupby("facility_id"):
        seen, talks = [], []
        for row in rows.sort_values("action_time").itertuples():
            day = row.action_time.normalize()
            seen.append(day)
            if sum(day - other < 7 * DAY for other in seen) > 7:
                broken["calls_beyond_seven_in_seven_days"][row.unit] += 1
            if any(day - other < 7 * DAY for other in talks):
                broken["calls_within_seven_days_of_a_conversation"][row.unit] += 1
            if row.action_time > day + pd.Timedelta(hours=21):
                broken["calls_after_nine_in_the_evening"][row.unit] += 1
            if row.action_time < day + pd.Timedelta(hours=8):
                broken["calls_before_eight_in_the_morning"][row.unit] += 1
            if row.result in CONVERSATIONS:
                talks.append(day)
    assert {name: dict(sorted(counts.items())) for name, counts in broken.items()} == {
        name: counts for name, counts in truth["contact_rules"].items() if name != "note"
    }


def test_the_data_dictionary_tells_the_effects_that_the_truth_states(tables, truth):
    text = (SAMPLE / "README.md").read_text(encoding="utf-8")
    reminders, cut_off = truth["pre_due_reminders"], truth["early_warning_cut_off"]
    probs = [*reminders["prob_per_instalment"].values(), *cut_off["prob_at_cut_off"].values()]
    effects = [reminders["effect_per_instalment"], cut_off["effect_at_cut_off"]]
    wording = [f"{truth['message_wording']['prob_paid'][arm]:.2f}" for arm in ("plain", "helpful", "threat")]
    for number in (*(f"{value:.3f}" for value in (*probs, *effects)), "{}, {} and {}".format(*wording)):
        assert number in text
    assert f"{truth['promises']['expected_brier_of_stated']:.3f}" in text
    assert f"{reminders['n_facilities']:,} facilities" in text
    assert f"{len(tables['court']):,} court cases" in text


def test_the_log_changes_nothing_of_the_loans(tables, monkeypatch):
    monkeypatch.setattr(synthetic, "simulate_log", lambda *_, **__: UnitLog({}, {}))
    alone = simulate_portfolio(seed=synthetic.SAMPLE_SEED).tables
    assert list(alone) == ["facilities", "status", "cash_flows", "collateral", "scenarios"]
    for name, frame in alone.items():
        pd.testing.assert_frame_equal(frame, tables[name])


def test_inflow_falls_in_months_of_a_late_instalment(instalments, tables):
    turnover = tables["turnover"].merge(
        instalments.assign(month_end=instalments["due_date"] + pd.offsets.MonthEnd(0)), on=["facility_id", "month_end"]
    )
    settled = turnover[turnover["due_date"] + 30 * DAY <= REPORTING_DATE]
    worded = settled["month"] <= -9  # there a message came before the thirty days were over
    ratio = np.log(settled["inflow_amount"] / settled["due_amount"])[~worded].groupby(settled["late"]).mean()
    assert ratio[True] - ratio[False] == pytest.approx(np.log(0.55), abs=0.08)


@pytest.mark.slow
def test_over_many_logs_the_designs_of_the_early_desk_have_exactly_the_stated_effects(portfolio, tables):
    """Forty logs around the same loans: the errors of plain estimates, in their own standard errors, are standard."""
    known = {"tables": tables, "episodes": portfolio.episodes, "reporting_date": REPORTING_DATE}
    scores = []
    for seed in range(40):
        early = draw_early(np.random.default_rng(seed), **known)
        stated = describe_early(early)["pre_due_reminders"]
        frame = early.instalments
        month = (frame["due_date"].dt.year - 2026) * 12 + frame["due_date"].dt.month - 9
        paid = (frame["paid_amount"] >= frame["due_amount"]) & (frame["paid_date"] <= frame["due_date"] + 30 * DAY)
        late = (~paid)[month.isin(stated["months"])].groupby(frame["facility_id"]).mean()
        arms = late.groupby(early.facilities.set_index("facility_id")["reminder"]).agg(["mean", "sem"])
        difference = arms.loc["reminder_30_15_7", "mean"] - arms.loc["control", "mean"]
        scores.append((difference - stated["effect_per_instalment"]) / np.hypot(*arms["sem"]))
    # mean and spread of forty standard normal scores: standard errors 0.16 and about 0.11
    assert abs(np.mean(scores)) < 4 * 0.16
    assert 1 - 4 * 0.11 < np.std(scores) < 1 + 4 * 0.11
