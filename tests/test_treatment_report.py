"""Figures and sentences of treatments, tested by the data drawn and the words said."""

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk


def effects():
    frame = pd.DataFrame({"arm": ["visit"] * 70 + ["control"] * 80, "assignment": "random"})
    frame["cured"] = [1] * 56 + [0] * 14 + [1] * 48 + [0] * 32
    large = rk.intention_to_treat(frame, outcome_col="cured")
    small = rk.intention_to_treat(frame.iloc[[0, 1, 2, 70, 71, 149]], outcome_col="cured")
    return large, small


def jump():
    x = np.linspace(-1, 1, 400)
    frame = pd.DataFrame({"score": x, "late_rate": 0.2 - 0.1 * (x >= 0) + 0.05 * np.sin(40 * x)})
    return rk.regression_discontinuity(frame, outcome_col="late_rate", running_col="score", cutoff=0, window=0.5)


class TestFigures:
    def test_forest_draws_what_may_be_shown(self):
        large, small = effects()
        figure = rk.plot_treatment_effects(rk.effects_table({"Visit": large, "Few": small}))
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Visit"]
        assert figure.axes[0].lines[0].get_xdata().tolist() == [large.effect]
        assert "+20.0 (+5.2 to +33.4)" in figure.alt
        assert "Few" not in figure.alt

    def test_a_ratio_of_shares_is_not_called_one_of_hazards(self):
        rows = {"question": ["a"], "effect": [1.2], "lower": [1.0], "upper": [1.5], "n_treated": 40, "n_control": 40}
        frame = pd.DataFrame(rows).assign(is_shown=True)
        labels = [
            rk.plot_treatment_effects(frame.assign(measure=measure)).axes[0].get_xlabel()
            for measure in ("hazard_ratio", "risk_ratio")
        ]
        assert labels == ["Hazard ratio, logarithmic scale", "Ratio, treated to control, logarithmic scale"]

    def test_discontinuity_draws_bins_and_both_lines_to_the_cut_off(self):
        found = jump()
        figure = rk.plot_discontinuity(
            found.bins, found.lines, cutoff=0, running="Score", outcome="Late", is_share=True
        )
        left, right = figure.axes[0].lines[0].get_xydata()[-1], figure.axes[0].lines[2].get_xydata()[0]
        assert (left[0], right[0]) == (0, 0)
        assert right[1] - left[1] == pytest.approx(found.effect)
        assert len(figure.axes[0].collections[0].get_offsets()) == (found.bins["n_units"] >= 10).sum()

    def test_sensitivity_draws_every_window(self):
        found = jump()
        figure = rk.plot_window_sensitivity(found.sensitivity, used=0.5, is_share=True)
        assert figure.axes[0].collections[1].get_offsets()[:, 1].tolist() == found.sensitivity["effect"].tolist()

    def test_density_says_whether_it_jumps(self):
        bins = rk.density_check(np.random.default_rng(1).normal(size=900), cutoff=0.0).bins
        figure = rk.plot_density_check(bins, cutoff=0, running="Score", p_value=0.6)
        assert "shows no jump" in figure.alt
        assert len(figure.axes[0].collections[0].get_offsets()) == (bins["n_units"] >= 10).sum()

    def test_overlap_withholds_small_bins(self):
        table = pd.DataFrame({"lower": [0.2, 0.4], "upper": [0.4, 0.6], "treated": [9, 30], "not_treated": [40, 0]})
        figure = rk.plot_overlap(table)
        assert [bar.get_height() for bar in figure.axes[0].patches] == [0, 30, -40, 0]
        assert "23.1" in figure.alt  # 9 of 39 treated units have others in their bin

    def test_power_names_the_size_that_is_needed(self):
        curve = rk.ExperimentDesign(control_rate=0.3).power_curve(0.05, [1000, 2000, 3000, 4000])
        assert "from 3,000 units" in rk.plot_power(curve).alt

    def test_nothing_to_show_is_said(self):
        assert rk.plot_treatment_effects(rk.effects_table({})).alt
        assert rk.plot_overlap(pd.DataFrame({"lower": [0.0], "upper": [1.0], "treated": [3], "not_treated": [4]})).alt


class TestSentences:
    def test_small_counts_are_withheld(self):
        text = rk.sentence_treatment_effect(
            what="Cures", effect=0.1, lower=-0.2, upper=0.4, treated=0.5, control=0.4, n_treated=6, n_control=20
        )
        assert "fewer than 10 and 20 units" in text
        assert "may well" in text

    def test_an_effect_of_nought_has_no_sign(self):
        text = rk.sentence_treatment_effect(
            what="Cures", effect=-0.0001, lower=-0.2, upper=0.2, treated=0.5, control=0.5, n_treated=60, n_control=60
        )
        assert "a difference of 0.0 points" in text

    def test_a_jump_of_the_density_is_a_warning(self):
        words = {"what": "Late", "effect": -0.1, "lower": -0.2, "upper": -0.05, "half_width": 40.0, "n_units": 900}
        assert "may have been moved" in rk.sentence_discontinuity(**words, density_p=0.001)
        assert "Too few" in rk.sentence_discontinuity(**words, density_p=None)

    def test_wordings_that_cannot_be_told_apart(self):
        text = rk.sentence_variants(better=[], worse=[], control="plain", n_variants=3)
        assert "none can be told from plain" in text

    def test_a_comparison_that_may_be_made_is_not_refused(self):
        assert "lots were drawn" in rk.sentence_refused([], treated=40, untreated=50, what="Calls")

    def test_a_hazard_ratio_that_differs_is_said_to(self):
        assert "tell it from no effect" in rk.sentence_hazard_ratio(what="a cure", ratio=1.5, lower=1.2, upper=1.9)
