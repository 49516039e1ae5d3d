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
