"""The figures and sentences of back-test and regulatory LGD draw and say what they are given."""

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit.portfolio.downturn import DownturnMethod, read_downturn
from recoverykit.portfolio.regulatory import read_margin


def plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u00a0", " ")


@pytest.fixture
def groups() -> pd.DataFrame:
    rows = [
        ("all", "all", 60, 0.40, 0.35, 0.45, 0.42, True),
        ("vintage", "2023", 30, 0.30, 0.25, 0.35, 0.31, True),
        ("vintage", "2024", 30, 0.50, 0.45, 0.55, 0.60, False),
        ("decile", "1", 60, 0.40, 0.35, 0.45, 0.42, True),
    ]
    columns = ["kind", "group", "n_episodes", "predicted", "lower", "upper", "realised", "is_inside"]
    return pd.DataFrame(rows, columns=columns)


class TestBackTestFigure:
    def test_it_draws_what_was_expected_and_what_came_of_each_group(self, groups):
        figure = rk.plot_back_test(groups)
        assert len(figure.axes) == 2
        expected, came = figure.axes[0].lines
        assert list(expected.get_xdata()) == [0.30, 0.50]
        assert list(came.get_xdata()) == [0.31, 0.60]
        assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["2023", "2024"]

    def test_its_words_count_the_groups_inside(self, groups):
        assert plain(rk.plot_back_test(groups).alt) == (
            "Over all episodes 40.0 % of the exposure was expected on average (35.0 % to 45.0 %) and 42.0 % came; 2 of "
            "3 groups lie inside their interval."
        )

    def test_without_groups_it_says_that_there_is_nothing_to_show(self, groups):
        assert rk.plot_back_test(groups.iloc[:1]).alt == "No group of at least 10 episodes: nothing to show."


class TestStepsFigure:
    STEPS = pd.DataFrame(
        {
            "step": ["Closed cases only", "Open workouts at what they still bring", "Downturn"],
            "change": [0.26, 0.05, 0.15],
            "lgd": [0.26, 0.31, 0.46],
        }
    )

    def test_each_bar_begins_where_the_one_before_ended(self):
        bars = rk.plot_lgd_steps(self.STEPS).axes[0].patches
        assert [bar.get_x() for bar in bars] == pytest.approx([0, 0.26, 0.31, 0])
        assert [bar.get_width() for bar in bars] == pytest.approx([0.26, 0.05, 0.15, 0.46])

    def test_its_words_name_the_largest_step(self):
        assert plain(rk.plot_lgd_steps(self.STEPS).alt) == (
            "The loss goes from 26.0 % to 46.0 %; the largest step is downturn, +15.0 points."
        )

    def test_a_margin_keeps_the_letter_of_its_category(self):
        margin = self.STEPS.assign(step=["Closed cases only", "Open workouts", "Margin of conservatism A"])
        assert "the largest step is margin of conservatism A, +15.0 points." in plain(rk.plot_lgd_steps(margin).alt)

    def test_a_step_down_is_drawn_to_the_left_of_where_it_began(self):
        down = self.STEPS.assign(change=[0.26, -0.05, 0.15], lgd=[0.26, 0.21, 0.36])
        bar = rk.plot_lgd_steps(down).axes[0].patches[1]
        assert (bar.get_x() + bar.get_width(), bar.get_x()) == pytest.approx((0.21, 0.26))


class TestSentences:
    def test_hindsight_in_which_everything_is_closed_and_no_closed_case_then(self):
        rows = {"lgd": [np.nan, 0.5, 0.55, 0.55], "lower": np.nan, "upper": np.nan, "n_episodes": 1, "n_open": 0}
        text = rk.sentence_back_test(pd.DataFrame(rows), as_of="2024-09-30", reporting_date="2026-09-30")
        assert plain(text) == (
            "At 30 September 2024 all cases 50.0 %; the same 1 default stands at 55.0 % as known at 30 September 2026."
        )

    def test_what_came_as_expected_has_no_direction(self):
        text = rk.sentence_forecast(predicted=0.4, realised=0.4001, months=12, n_episodes=20)
        assert plain(text) == (
            "The 20 episodes open then were expected to recover 40.0 % of their exposure on average within 12 months; "
            "40.0 % came, as expected."
        )
        one = rk.sentence_forecast(predicted=0.4, realised=0.3, months=1, n_episodes=20)
        assert plain(one).endswith("within 1 month; 30.0 % came, 10.0 points less.")

    @pytest.mark.parametrize(
        ("lights", "words"),
        [
            (["green", "green"], "All measures lie within the limits set before."),
            (["red", "amber"], "Red: loss, share of EAD; amber: coverage."),
        ],
    )
    def test_the_verdict_is_the_worst_light_and_names_what_is_not_green(self, lights, words):
        table = {"measure": ["Loss, share of EAD", "Coverage"], "light": lights}
        assert rk.sentence_lights(pd.DataFrame(table)).endswith(words)

    def test_a_measure_that_could_not_be_judged_is_not_within_its_limits(self):
        table = pd.DataFrame({"measure": ["Bias", "Coverage"], "light": ["green", "not judged"]})
        assert rk.sentence_lights(table) == (
            "All measures that could be judged lie within the limits set before. Not judged: coverage."
        )
        nothing = rk.sentence_lights(table.assign(light="not judged"))
        assert nothing == "No measure could be judged. Not judged: bias and coverage."

    def test_a_few_loans_left_aside_are_told_in_words(self):
        facts = {"predicted": 0.6, "realised": 0.6, "p_value": 0.5, "n_episodes": 40}
        text = rk.sentence_elbe_test(**facts, n_left_out=1)
        assert text.endswith(" Fewer than 10 with next to nothing outstanding are left aside.")

    def test_years_since_that_were_better_and_worse_and_no_different(self):
        rows = {"lgd": [0.40, 0.50, 0.60, 0.55], "n_episodes": 10, "n_open": 0}
        worse = rk.sentence_drift(pd.DataFrame(rows), predicted=0.4, realised=0.3)
        assert "moved by 20.0 points; counting open workouts, as they were known then, accounts for 10.0." in worse
        assert "The other 10.0 lay in the years since: open loans brought 0.75" in worse
        better = rk.sentence_drift(pd.DataFrame({**rows, "lgd": [0.40, 0.50, 0.45, 0.45]}), predicted=0.4, realised=0.5)
        assert (
            "In the years since the loss has turned out 5.0 points lower than that: open loans brought 1.25" in better
        )
        same = rk.sentence_drift(pd.DataFrame({**rows, "lgd": [0.4, 0.5, 0.505, 0.5]}), predicted=0.4, realised=0.4)
        assert same.endswith("What the years since have added to that is less than a point.")
        none = rk.sentence_drift(pd.DataFrame({**rows, "lgd": [np.nan, 0.5, 0.6, 0.6]}), predicted=0.0, realised=0.0)
        assert none.startswith(
            "No case was closed then. Hindsight lies 10.0 points above the estimate. They lay in the years since: the "
            "curve gave open loans nothing."
        )

    def test_years_that_do_not_differ_are_called_steady(self):
        assert rk.sentence_calendar(0.0) == (
            "The years are not seen to differ by more than chance; the intervals take the world as steady."
        )

    def test_a_downturn_below_its_reference_and_one_without(self):
        text = rk.sentence_steps(long_run=0.3, final=0.4, downturn=0.35, reference_value=0.38)
        assert "falls short of its reference value of 38.0 %" in plain(text)
        text = rk.sentence_steps(long_run=0.3, final=0.4, downturn=0.35, reference_value=np.nan)
        assert text.endswith("There are not two years with enough defaults for a reference value of the downturn.")


class TestRulesAsText:
    def test_a_margin_and_the_three_kinds_of_downturn_are_read(self):
        assert read_margin("B; 0.02; new collection unit; judgement").amount == 0.02
        assert read_downturn("add_on").method is DownturnMethod.ADD_ON
        assert read_downturn("estimated: 0.08").impact == 0.08
        assert read_downturn("observed: 2008, 2009").years == (2008, 2009)

    @pytest.mark.parametrize("text", ["", "A; 0.01", "D; 0.01; why; how", "A; much; why; how", "A; -0.1; why; how"])
    def test_a_margin_of_another_form_is_refused(self, text):
        with pytest.raises(rk.SpecError, match="is not of the form 'A; 0\\.01; reason; basis'"):
            read_margin(text)

    @pytest.mark.parametrize("text", ["", "worst", "observed", "observed: last", "estimated", "estimated: -0.1"])
    def test_a_downturn_of_another_form_is_refused(self, text):
        with pytest.raises(rk.SpecError, match="allowed are 'add_on'"):
            read_downturn(text)
