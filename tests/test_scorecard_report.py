"""What pages say of units, promises and courts: figures by what they draw, sentences by word, small cells withheld."""

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit.curves import StepCurve
from recoverykit.report import plots, sentences
from recoverykit.report.tables import WITHHELD


def plain(text):
    """Return a text with ordinary spaces."""
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def days(values, at_risk=(200.0, 150.0, 80.0, 12.0)):
    values = np.asarray(values, dtype=float)
    return StepCurve(
        times=[0, 60, 120, 240], values=values, lower=values - 0.02, upper=values + 0.02, n_at_risk=np.array(at_risk)
    )


@pytest.fixture(scope="module")
def units():
    return pd.DataFrame(
        {"unit": ["alpha", "beta", "gamma", "delta"], "n_events": [90, 40, 9, 3], "n_cases": [100, 80, 20, 5]}
    )


@pytest.fixture(scope="module")
def measures():
    return pd.DataFrame(
        {
            "unit": ["alpha", "beta", "gamma", "delta"],
            "measure": "win_rate",
            "n_cases": [100, 80, 20, 5],
            "value": [0.9, 0.5, 0.45, 0.6],
            "lower": [0.82, 0.39, 0.23, 0.15],
            "upper": [0.95, 0.61, 0.68, 0.95],
            "is_ranked": [True, True, False, False],
            "against_target": ["undecided", "below", "below", "undecided"],
        }
    )


@pytest.fixture(scope="module")
def figures(units, measures):
    return drawn(units, measures)


def drawn(units, measures):
    funnel = rk.funnel_limits(units, events_col="n_events", size_col="n_cases")
    ranks = rk.shrunken_ranks(units, events_col="n_events", size_col="n_cases", rng=np.random.default_rng(1))
    luck = rk.bonus_luck(rng=np.random.default_rng(1), n_draws=10)
    ends = {"judgment": days([0, 0.2, 0.4, 0.5]), "settled": days([0, 0.1, 0.15, 0.2])}
    effect = pd.DataFrame(
        {
            "design": ["standardised", "naive"],
            "difference": [0.12, 0.3],
            "lower": [0.06, 0.24],
            "upper": [0.18, 0.36],
            "n_cases": [400, 410],
            "is_sound": [True, False],
        }
    )
    load = pd.DataFrame(
        {
            "court": "north",
            "period": ["2026Q1", "2026Q2", "2026Q3"],
            "n_filed": [30, 40, 9],
            "n_finished": [20, 30, 5],
            "n_pending": [10, 20, 24],
            "is_complete": [True, True, False],
        }
    )
    return {
        "units": plots.plot_units(measures, title="Who wins?", axis="Share won", target=0.9),
        "funnel": plots.plot_funnel(funnel.units, funnel.curves, target=funnel.target),
        "own limits": plots.plot_funnel(funnel.units, pd.DataFrame(), target=funnel.target),
        "ranks": plots.plot_shrunken_ranks(ranks.units),
        "bonus": plots.plot_bonus_luck(luck.chances, threshold=0.9),
        "kept": plots.plot_time_to_kept({"kept": days([0, 0.3, 0.5, 0.6]), "broken": days([0, 0, 0.1, 0.3])}),
        "phases": plots.plot_court_phases({"north": ends, "small": {"judgment": days([0, 0, 0, 0], [5, 4, 3, 2])}}),
        "packages": plots.plot_package_effect(effect),
        "load": plots.plot_court_load(load),
    }


NAMES = ["units", "funnel", "own limits", "ranks", "bonus", "kept", "phases", "packages", "load"]


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_labels_its_axes_and_tells_its_key_number(figures, name):
    figure = figures[name]
    assert figure.axes[0].get_xlabel() or name == "load"
    assert any(letter.isdigit() for letter in figure.alt)


def test_every_figure_is_the_same_bytes_for_the_same_data(units, measures):
    first, again = ({name: figure.to_svg() for name, figure in drawn(units, measures).items()} for _ in range(2))
    assert first == again


@pytest.mark.parametrize("name", ["units", "funnel", "own limits", "ranks"])
def test_a_unit_of_five_cases_is_nowhere_drawn(figures, name):
    figure = figures[name]
    assert "delta" not in figure.to_svg()
    assert "gamma" in figure.to_svg()


def test_unit_outside_the_limits_is_named_and_the_small_one_is_not_judged(figures):
    # 142 of 205 kept: 0.693; alpha's 0.9 and beta's 0.5 lie far outside for 100 and 80 cases
    assert plain(figures["funnel"].alt) == (
        "Funnel of 3 units: outside the limits: beta below 99.8 % and alpha above 99.8 %."
    )


def test_interval_that_holds_the_target_is_counted(figures):
    assert (
        plain(figures["units"].alt)
        == "3 units, from 45.0 % to 90.0 %; 1 of their intervals holds the target of 90.0 %."
    )


def test_areas_of_a_phase_add_up_to_all_cases(figures):
    ax = figures["phases"].axes[0]
    tops = [max(path.vertices[:, 1].max() for path in area.get_paths()) for area in ax.collections]
    assert tops == pytest.approx([0.5, 0.7, 1.0])
    assert "Groups with few cases are not drawn: 1." in plain(figures["phases"].caption)


def test_a_period_cut_short_is_not_drawn(figures):
    filed = next(line for line in figures["load"].axes[0].lines if line.get_label() == "filed")
    assert filed.get_ydata().tolist() == [30, 40]


def test_unsound_contrast_is_hollow_and_says_so(figures):
    marks = [line for line in figures["packages"].axes[0].lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [False, True]
    assert "unsound" in figures["packages"].alt


def test_figures_of_nothing_say_so(measures):
    assert "No unit has 10 cases" in plots.plot_units(measures.tail(1), title="Who?", axis="Share").alt
    few = {"kept": days([0, 0, 0, 0], [5, 4, 3, 2])}
    assert "Fewer than 10" in plots.plot_time_to_kept(few).alt


def test_scorecard_withholds_small_cells_stars_few_cases_and_sorts_by_name(measures):
    lines = [plain(line) for line in rk.show_scorecards(measures).text.splitlines()[2:]]
    assert lines == [
        "alpha | 90.0 % (82.0 % to 95.0 %), n 100",
        "beta | 50.0 % (39.0 % to 61.0 %), n 80",
        f"delta | {WITHHELD}",
        "gamma | 45.0 %* (23.0 % to 68.0 %), n 20",
    ]


def test_interval_without_an_end_is_told_as_such(measures):
    row = measures.head(1).assign(measure="days_to_judgment", value=300.0, lower=200.0, upper=np.nan)
    assert plain(rk.show_scorecards(row).text).endswith("alpha | 300 (200 or more), n 100")


def test_unknown_measure_is_named(measures):
    with pytest.raises(ValueError, match="speed"):
        rk.show_scorecards(measures, only=["speed"])


def test_sentences_on_too_little_say_so(measures):
    row = pd.Series({"n_due": 7, "n_kept": 3, "kept_rate": 0.4, "n_open": 0})
    assert sentences.sentence_promises(row) == "Fewer than 10 promises have fallen due: no rate is shown."
    few = measures.assign(is_ranked=False)
    assert "No unit has enough cases" in sentences.sentence_against_target(few, target=0.9)
    assert "Too few cases" in sentences.sentence_endings(pd.Series({"n_decided": 4}))
    table = pd.DataFrame({"outcome": ["judgment"], "n_cases": [4]})
    assert "Too few cases" in sentences.sentence_court_days(table)
    nothing = pd.DataFrame({"n_cases": [300], "recovered_amount": [0.0], "cost_per_recovered": [np.nan]})
    assert "Nothing has been recovered" in sentences.sentence_court_costs(nothing, currency="USD")
    units = pd.DataFrame({"unit": ["a"], "rank": [np.nan]})
    assert "No unit has enough cases" in sentences.sentence_ranks(units, standard_deviation=0.1)


def test_units_that_do_not_differ_have_no_order():
    units = pd.DataFrame({"unit": ["a", "b"], "rank": [1.5, 1.5]})
    assert "no order among them" in sentences.sentence_ranks(units, standard_deviation=0.0)


def test_median_beyond_what_was_observed_is_said_so():
    table = pd.DataFrame({"outcome": ["judgment"], "n_cases": [50], "n_open": [30], "median_days": [np.nan]})
    assert sentences.sentence_court_days(table) == (
        "Of 50 cases fewer than half have come to a judgment within the time observed; 30 are still open and count as "
        "long as they were observed."
    )


def test_claim_that_is_not_contradicted_is_not_called_proven():
    measures = pd.DataFrame(
        {"measure": ["auc", "accuracy", "trivial_accuracy"], "value": [0.9, 0.88, 0.6], "lower": 0.5, "upper": 0.95}
    )
    text = sentences.sentence_promise_score(measures, n_promises=90, claimed_accuracy=0.89, p_value=0.4)
    assert plain(text).endswith("An accuracy of 89 % is not contradicted by these promises (p = 0.400).")


def test_a_score_tried_on_few_promises_tells_no_share():
    names = ["auc", "accuracy", "trivial_accuracy"]
    measures = pd.DataFrame({"measure": names, "value": 0.5, "lower": 0.1, "upper": 0.9})
    text = sentences.sentence_promise_score(measures, n_promises=6, claimed_accuracy=None, p_value=np.nan)
    assert text == "Too few promises made later have fallen due to try the score."


def test_units_that_could_not_be_tested_are_not_said_to_agree():
    told = pd.DataFrame(
        {"unit": ["a", "b"], "n_predictions": 50, "predicted": 0.8, "observed": 0.8, "p_value": [0.5, np.nan]}
    )
    assert plain(sentences.sentence_predictions(told)) == (
        "Probabilities stated by 1 unit agree with what came as far as chance lets one tell. Those of b could not be "
        "tested."
    )
    text = sentences.sentence_predictions(told.tail(1))
    assert text == "No unit's stated probabilities can be held against what came. Those of b could not be tested."


def test_a_recovery_is_told_as_of_the_reporting_date_and_not_within_days_of_filing():
    rows = pd.DataFrame({"design": ["standardised", "naive"], "difference": [0.12, 0.3], "lower": [0.06, 0.24]})
    rows = rows.assign(upper=[0.18, 0.36], p_value=0.01, n_cases=900)
    common = {"overlap_rate": 0.9, "n_young": 0, "days": 365}
    text = plain(sentences.sentence_packages(rows, outcome="recovered", n_unknown=30, **common))
    assert "12.0 points more recovered by the reporting date" in text
    assert "Of 30 more the outcome is not known. Cases filed earlier have had longer to recover." in text
    assert "365" not in text
    assert "within 365 days" in plain(sentences.sentence_packages(rows, outcome="won", **common))


def test_work_that_waits_stands_beside_no_older_pace():
    load = pd.DataFrame({"court": "a", "n_filed": [30, 40], "n_finished": [20, 0], "n_pending": [90, 130]})
    load = load.assign(backlog_months=[60.0, np.nan], is_complete=True)
    text = sentences.sentence_court_load(load)
    assert text.endswith("in 1 of 1 court: a, where 130 cases wait.")


def test_costs_that_are_not_known_are_said_so():
    total = pd.DataFrame({"n_cases": [300], "recovered_amount": 2e6, "cost_amount": 3e5, "cost_per_recovered": 0.15})
    part = plain(sentences.sentence_court_costs(total.assign(n_unknown=40), currency="USD"))
    assert part.endswith("0.15 for each unit recovered. Of 40 cases one or the other is not known.")
    none = total.assign(n_unknown=300, recovered_amount=np.nan, cost_amount=np.nan, cost_per_recovered=np.nan)
    assert sentences.sentence_court_costs(none, currency="USD").startswith("Of no case is it known")


def costs(n_cases, n_unknown=(0, 0, 0)):
    n_cases, n_unknown = list(n_cases), list(n_unknown)
    frame = pd.DataFrame(
        {
            "court": ["a", "b", "c", "all"],
            "n_cases": [*n_cases, sum(n_cases)],
            "claim_amount": [900.0, 500.0, 90.0, 1490.0],
            "recovered_amount": [400.0, 200.0, 50.0, 650.0],
            "cost_amount": [40.0, 30.0, 20.0, 90.0],
            "net_amount": [360.0, 170.0, 30.0, 560.0],
            "n_unknown": [*n_unknown, sum(n_unknown)],
        }
    )
    return frame.assign(cost_per_recovered=frame["cost_amount"] / frame["recovered_amount"])


def test_the_costs_of_one_small_court_are_not_the_total_less_the_others():
    page = rk.court_cost_table(costs([50, 20, 3]))
    assert page["court"].tolist() == ["a", "others", "all"]
    assert page["n_cases"].tolist() == [50, 23, 73]
    assert page["cost_per_recovered"].tolist() == pytest.approx([0.1, 50 / 250, 90 / 650])
    assert page.columns.tolist() == [*costs([1, 1, 1]).columns.drop("n_unknown")]
    large = rk.court_cost_table(costs([50, 20, 13]))
    pd.testing.assert_frame_equal(large, costs([50, 20, 13]).drop(columns="n_unknown"))
    shown = rk.show_table(page, caption="Costs", count_col="n_cases", total_row=True).text
    assert "<10" not in shown


def test_costs_known_of_few_cases_are_merged_and_those_known_of_none_are_not_nought():
    few = rk.court_cost_table(costs([50, 20, 30], [0, 0, 27]))
    assert few["court"].tolist() == ["a", "others", "all"]
    assert np.isnan(few["cost_per_recovered"].iloc[1])
    frame = costs([50, 3, 8], [50, 3, 8])
    money = ["recovered_amount", "cost_amount", "net_amount"]
    none = rk.court_cost_table(frame.assign(**dict.fromkeys(money, np.nan), cost_per_recovered=np.nan))
    assert none["court"].tolist() == ["a", "others", "all"]
    assert none[money].isna().all(None)
