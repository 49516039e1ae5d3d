"""Figures, sentences and pages of the recovery unit's morning: what is drawn, what is said, what is withheld."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit import cli
from recoverykit.report.formats import THIN_SPACE, WORD_SPACE

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data_samples" / "specs" / "sample.yml"
STEPS = ["yesterday", "entered", "cured", "paid", "closed", "change of those that stayed", "today"]


def plain(text):
    return text.replace(THIN_SPACE, " ").replace(WORD_SPACE, " ").replace("\u2212", "-")


def changes(yesterday, entered, cured, paid, closed):
    today = yesterday + entered - cured - paid - closed
    n = [yesterday, entered, -cured, -paid, -closed, 0, today]
    return pd.DataFrame({"what": STEPS, "n_cases": n, "overdue_amount": 100.0 * np.array(n)})


class TestSmallCells:
    def test_ways_out_that_are_large_enough_stand_by_themselves(self):
        shown = rk.bridge_for_page(changes(200, 30, 12, 11, 10))
        assert shown["what"].tolist() == STEPS

    def test_one_small_way_out_merges_all_of_them_because_it_could_be_subtracted(self):
        shown = rk.bridge_for_page(changes(200, 30, 12, 3, 10)).set_index("what")["n_cases"]
        assert shown.to_dict() == {
            "yesterday": 200, "entered": 30, "left": -25, "change of those that stayed": 0, "today": 205,
        }  # fmt: skip

    def test_few_entered_or_few_left_leave_the_net_change_only(self):
        for table in (changes(200, 4, 12, 11, 10), changes(200, 40, 2, 3, 1)):
            shown = rk.bridge_for_page(table)
            assert shown["what"].tolist() == ["yesterday", "net change", "change of those that stayed", "today"]
            assert shown["n_cases"].sum() - shown["n_cases"].iloc[-1] == shown["n_cases"].iloc[-1]

    def test_the_merged_bridge_foots_as_the_whole_one_does(self):
        for table in (changes(200, 30, 12, 3, 10), changes(200, 4, 12, 11, 10), changes(200, 30, 0, 0, 12)):
            shown = rk.bridge_for_page(table)
            assert shown["overdue_amount"].iloc[:-1].sum() == pytest.approx(shown["overdue_amount"].iloc[-1])

    def test_small_segments_are_merged_until_the_merged_one_is_large_enough(self):
        parts = pd.DataFrame({"segment": list("abcd"), "n": [50, 20, 3, 4], "amount": [1.0, 2.0, 3.0, 4.0]})
        shown = rk.merge_small(parts, name_col="segment", count_col="n", rest="others")
        assert shown.to_dict("records") == [
            {"segment": "a", "n": 50, "amount": 1.0},
            {"segment": "others", "n": 27, "amount": 9.0},
        ]
        alone = rk.merge_small(parts.head(2), name_col="segment", count_col="n", rest="others")
        assert alone["segment"].tolist() == ["a", "b"]


class TestWarRoom:
    FOLLOW_UPS = pd.DataFrame(
        {
            "rule": ["first_call", "visit"],
            "action": ["call", "field_visit"],
            "n_overdue": [40, 3],
            "n_due": [12, 0],
            "n_coming": [0, 25],
            "n_done": [7, 7],
            "n_new": [15, 0],
        }
    )

    def test_the_bridge_draws_each_step_from_where_the_last_one_ended(self):
        figure = rk.plot_case_bridge(changes(200, 30, 12, 11, 10))
        bars = [(bar.get_y(), bar.get_height()) for bar in figure.axes[0].patches]
        assert bars == [(0, 200), (0, 197), (200, 30), (218, 12), (207, 11), (197, 10)]
        assert plain(figure.alt) == (
            "From 200 cases the day before to 197: entered +30, cured -12, paid -11, closed -10."
        )

    def test_steps_are_drawn_by_state_and_small_ones_are_not(self):
        figure = rk.plot_follow_ups(self.FOLLOW_UPS)
        widths = [bar.get_width() for bar in figure.axes[0].patches]
        assert widths == [40, 0, 12, 0, 0, 25]  # overdue, due, coming of both rules; the 3 are not drawn
        assert "visit <10 overdue" in figure.alt

    def test_sentences_withhold_what_is_small(self):
        assert "were cured" in rk.sentence_morning(changes(200, 30, 12, 11, 10), as_of="2026-09-30")
        few = rk.sentence_morning(changes(200, 4, 12, 11, 10), as_of="2026-09-30")
        assert "4 entered" not in few
        assert "too few entered or left" in few
        said = rk.sentence_follow_ups(self.FOLLOW_UPS.assign(n_due=[3, 0]))
        assert "About 40 steps are overdue" in said  # 43, of which 40 are shown and 3 withheld
        assert "fewer than 10 are due today" in said
        assert (
            rk.sentence_follow_ups(self.FOLLOW_UPS.assign(n_due=0, n_overdue=0)) == "No step is overdue or due today."
        )

    def test_one_case_or_step_reads_as_a_few_do(self):
        def told(n):
            few = self.FOLLOW_UPS.assign(n_overdue=[n, 0], n_due=[n, 0], n_new=[n, 0])
            steps = pd.DataFrame({"step": ["call"], "n_due": [n], "n_overdue": [n]})
            outlook = pd.DataFrame({"outlook": ["listed"], "n_instalments": [40]})
            return [
                rk.sentence_follow_ups(few),
                rk.sentence_morning(changes(n, 0, 0, 0, 0), as_of="2026-09-30"),
                rk.sentence_worklist(steps, as_of="2026-09-30", outlook=outlook),
            ]

        assert told(1) == told(7)  # a singular would tell the number that is withheld
        assert "there are fewer than 10 cases, fewer than 10 the day before" in told(1)[1]
        assert rk.plot_case_bridge(changes(4, 11, 0, 0, 0)).alt == "Too few cases to show."

    def test_promises_in_words(self):
        rows = ["due today", "due later this week", "in their days of grace", "broken since yesterday"]
        table = pd.DataFrame({"what": rows, "n_promises": [12, 3, 0, 1], "promised_amount": [5e3, 7.0, 0.0, 9.0]})
        said = plain(rk.sentence_promises_due(table, currency="USD"))
        assert "12 over USD 5,000 falling due today, fewer than 10 later this week, none in the days of grace" in said


def effect(n_control=563, n_reminder=367):
    arms = pd.DataFrame(
        {
            "arm": ["control", "reminder_30_15_7"],
            "n_instalments": [3645, 3642],
            "n_delinquent": [n_control, n_reminder],
            "delinquency_rate": [n_control / 3645, n_reminder / 3642],
            "lower": [0.143, 0.091],
            "upper": [0.167, 0.111],
        }
    )
    lines = {"arm": "reminder_30_15_7", "line": ["independent", "clustered"], "difference": -0.0537}
    lines |= {"lower": [-0.069, -0.070], "upper": [-0.038, -0.037], "relative_reduction": 0.348}
    effects = pd.DataFrame({**lines, "reduction_lower": [0.262, 0.257], "reduction_upper": [0.423, 0.428]})
    return arms, effects


class TestPreDue:
    def test_arms_are_drawn_with_their_intervals_and_named_as_people_say(self):
        arms, _ = effect()
        figure = rk.plot_pre_due_arms(arms, days=30)
        drawn = [line.get_xdata() for line in figure.axes[0].lines]
        assert [x[0] for x in drawn[1::2]] == pytest.approx([563 / 3645, 367 / 3642])
        assert list(drawn[0]) == [0.143, 0.167]
        assert "reminder 30/15/7 10.1 %" in plain(figure.alt)

    def test_an_arm_of_few_delinquent_instalments_shows_no_share_that_would_tell_their_number(self):
        arms, _ = effect(n_reminder=7)
        figure = rk.plot_pre_due_arms(arms, days=30)
        dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
        assert [dot.get_xdata()[0] for dot in dots] == pytest.approx([563 / 3645])
        assert [text.get_text().strip() for text in figure.axes[0].texts] == ["fewer than 10 delinquent"]
        assert "reminder 30/15/7 fewer than 10." in plain(figure.alt)
        assert "0.2" not in plain(figure.alt)
        none, _ = effect(n_control=3, n_reminder=7)
        assert rk.plot_pre_due_arms(none, days=30).alt == "Too few delinquent instalments to show."

    def test_the_claim_stands_beside_the_interval(self):
        _, effects = effect()
        claim = pd.DataFrame({"arm": ["reminder_30_15_7"], "claimed_reduction": [0.63], "verdict": ["too high"]})
        figure = rk.plot_claimed_reduction(effects, claim)
        at = [line.get_xdata()[0] for line in figure.axes[0].lines if len(set(line.get_xdata())) == 1]
        assert 0.63 in at
        assert plain(rk.sentence_claim(claim, effects.iloc[1])) == (
            "The protocol prevented 34.8 % (25.7 % to 42.8 %) of the control's delinquency. A reduction of 63 %, as is "
            "claimed, is more than the data allow."
        )
        assert rk.plot_claimed_reduction(effects, claim.iloc[:0]).alt.endswith("42.8\u202f%).")

    def test_the_effect_in_words_and_too_few_delinquent_withheld(self):
        arms, effects = effect()
        said = plain(rk.sentence_pre_due_effect(effects.iloc[1], arms, control="control", days=30))
        assert "5.4 percentage points fewer (interval of the difference -7.0 to -3.7" in said
        few, _ = effect(n_reminder=7)
        assert "too few" in rk.sentence_pre_due_effect(effects.iloc[1], few, control="control", days=30)

    def test_roll_rates_are_drawn_as_shares_and_small_cells_as_a_dash(self):
        counts = pd.DataFrame([[90, 10], [5, 45]], index=["current", "1 to 30"], columns=["current", "1 to 30"])
        rates = counts.div(counts.sum(axis=1), axis=0)
        figure = rk.plot_roll_rates(counts, rates, rates)
        texts = [text.get_text().replace(THIN_SPACE, " ") for text in figure.axes[0].texts]
        assert texts == ["90 %", "10 %", "\u2013", "90 %"]
        assert "current to 1 to 30 10.0 %" in plain(figure.alt)

    def test_sample_sizes_and_what_counts_in_words(self):
        sizes = pd.DataFrame({"relative_reduction": [0.1, 0.63], "n_per_arm_clustered": [9108.0, 173.0]})
        assert "by 10 % takes 9,108, by 63 % takes 173 instalments" in plain(rk.sentence_sample_size(sizes))
        counted = pd.DataFrame(
            {"what": ["counted", "window not over at the reporting date"], "n_instalments": [700, 4]}
        )
        assert rk.sentence_counted(counted) == (
            "700 instalments count. Left out of every arm: fewer than 10 whose days are not over yet."
        )


class TestTriage:
    def test_the_map_shades_what_the_thresholds_say(self):
        rows = [
            {"treatment": "call", "light": "yellow", "uplift": 0.5, "full_cost_amount": 100.0,
             "at_stake_quantile": q, "at_stake_amount": s, "threshold": max(0.0, 1 - 100 / (0.5 * s))}
            for q, s in ((0.05, 100.0), (0.5, 1000.0), (0.99, 10_000.0))
        ]  # fmt: skip
        figure = rk.plot_light_map(pd.DataFrame(rows), currency="USD")
        (mesh,) = figure.axes[0].collections
        shade = np.asarray(mesh.get_array()).reshape(240, 240)
        stake, prob = np.geomspace(100, 10_000, 240), np.linspace(0, 1, 240)
        i, j = 60, 200
        assert (shade == np.where((1 - prob)[:, None] * 0.5 * stake[None, :] > 100, 1, 0)).all()
        assert shade[i, j] == 1
        assert "call pays below 80.0 %" in plain(figure.alt)

    def test_strategies_are_drawn_as_gains_over_doing_nothing(self):
        table = pd.DataFrame(
            {
                "strategy": ["nothing", "fixed shares", "fixed shares, within capacity", "thresholds", "optimum"],
                "net_recovery_amount": [1e6, 1.5e6, 1.2e6, 1.39e6, 1.4e6],
                "within_capacity": [True, False, True, True, True],
            }
        )
        figure = rk.plot_strategies(table, currency="USD")
        assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([5e5, 2e5, 3.9e5, 4e5])
        said = plain(rk.sentence_fixed_shares(table, shares=(0.15, 0.7, 0.15), currency="USD"))
        assert "15 / 70 / 15 per cent, which it does not keep to by itself, would forgo USD 200,000" in said
        assert "reach 97.5 % of its gain" in said

    def test_calibration_draws_groups_that_are_large_enough(self):
        groups = pd.DataFrame(
            {"n_cases": [40, 5], "predicted": [0.2, 0.4], "cured_rate": [0.25, 0.2], "lower": [0.1, 0.0],
             "upper": [0.4, 0.7]}
        )  # fmt: skip
        figure = rk.plot_light_calibration(groups, horizon_months=6)
        assert list(figure.axes[0].lines[1].get_xdata()) == [0.2]
        assert "1 of 1 groups" in figure.alt

    def test_words_about_lights_overrides_and_the_back_test(self):
        by_light = pd.DataFrame({"light": ["green", "yellow", "red"], "n_cases": [60, 30, 10]})
        assert "60 % green, 30 % yellow and 10 % red" in plain(rk.sentence_light_shares(by_light, n_waiting=20))
        few = rk.sentence_light_shares(by_light.assign(n_cases=[60, 30, 3]), n_waiting=0)
        assert "too few" in few
        facts = {"n_cases": 700, "predicted": 0.2, "cured_rate": 0.19, "p_value": 0.5, "brier_score": 0.1}
        facts |= {"reference_score": 0.15, "is_upper_bound": True}
        said = rk.sentence_lights_back_test(facts, horizon_months=6)
        assert "upper bounds" in said
        assert "chance explains" in said
        rare = rk.sentence_lights_back_test({**facts, "n_cases": 40, "cured_rate": 0.1}, horizon_months=6)
        assert rare.startswith("Too few")
        untested = rk.sentence_lights_back_test({**facts, "p_value": np.nan}, horizon_months=6)
        assert "did: whether chance explains the difference cannot be told." in untested
        judged = pd.DataFrame(
            {"direction": ["all"], "n_overrides": [40], "n_right": [30], "expected_right": [18.0],
             "verdict": ["beat the model"]}
        )  # fmt: skip
        told = plain(rk.sentence_overrides(judged, n_lights=500, n_overrides=50, override_rate=0.1))
        assert "75 % were right" in told
        assert "people knew more than the model" in told
        assert "was changed" in rk.sentence_overrides(judged, n_lights=500, n_overrides=0, override_rate=0.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("daily") / "run"
    plan = str(ROOT / "notebooks" / "plans" / "daily.yml")
    assert cli.main(["run", plan, "--data", str(SAMPLE), "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.mark.slow
class TestMorning:
    def test_pages_name_nobody_and_the_lists_of_the_run_do(self, run):
        ids = set(pd.read_parquet(run / "book" / "facilities.parquet")["facility_id"])
        for name in ("10_pre_due", "11_war_room"):
            html = (run / "pages" / name / "all.html").read_text()
            text = re.sub(r"data:image/svg\+xml;base64,[^\"]+", "", html)
            assert not ids & set(re.findall(r"\bF\d{5}\b", text)), name
        for name in ("10_pre_due/all/worklist", "11_war_room/all/case_list", "11_war_room/all/light_list"):
            listed = pd.read_csv(run / "results" / f"{name}.csv")
            assert len(listed) > 100
            assert set(listed["facility_id"]) <= ids

    def test_the_bridge_of_the_page_foots_with_the_cases_that_were_kept(self, run):
        table = pd.read_parquet(run / "results" / "11_war_room" / "all" / "changes.parquet")
        cases = pd.read_parquet(run / "results" / "11_war_room" / "all" / "cases.parquet")
        assert table["n_cases"].iloc[:-1].sum() == table["n_cases"].iloc[-1] == len(cases)
        cents = (table["overdue_amount"] * 100).round().astype("int64")
        assert cents.iloc[:-1].sum() == cents.iloc[-1] == (cases["overdue_amount"] * 100).round().astype("int64").sum()

    def test_the_experiment_of_the_sample_covers_its_truth_and_excludes_the_claim(self, run):
        truth = json.loads((ROOT / "data_samples" / "truth.json").read_text())["operations"]["pre_due_reminders"]
        record = json.loads((run / "results" / "10_pre_due" / "all" / "record.json").read_text())
        line = record["effects"][1]
        assert line["line"] == "clustered"
        assert line["lower"] <= truth["effect_per_instalment"] <= line["upper"]
        assert record["claim"][0]["verdict"] == "too high"
