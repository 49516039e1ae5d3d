"""Sentences about the parts of a loss say what they are given, whose loans it rests on, and what is missing."""

import numpy as np
import pandas as pd

import recoverykit as rk

ENDINGS = pd.DataFrame(
    {
        "outcome": ["cured", "never_resolves"],
        "probability": [0.7, 0.3],
        "loss_given_outcome": [0.1, 0.8],
        "contribution": [0.07, 0.24],
    }
)
TABLE = pd.DataFrame({"months": [0, 12], "elbe": [0.2, 0.5], "lgd_in_default": [0.4, 0.7], "k": [0.2, 0.2]})
DRIVER = pd.DataFrame(
    {"term": ["x"], "estimate": [-0.1], "lower": [-0.2], "upper": [-0.05], "driver": ["credit_score"], "level": [""]}
)


def plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def test_endings_that_agree_with_the_average_and_endings_that_do_not():
    near = plain(rk.sentence_outcome_losses(ENDINGS, all_in=0.315, basis="auto_loan"))
    assert "31.0 %, 0.5 points below the average over all episodes, so two ways" in near
    assert "from loans that are never resolved: 30.0 % of all, at a loss of 80.0 % each." in near
    assert near.endswith("The probabilities are those of: auto loan.")
    assert "so the two ways differ by more than a point" in rk.sentence_outcome_losses(ENDINGS, all_in=0.2)


def test_endings_without_a_model_or_with_an_unknown_part_say_so():
    assert (
        rk.sentence_outcome_losses(ENDINGS.iloc[:0], all_in=0.3, note="why")
        == "There is no model of all outcomes: why."
    )
    unknown = ENDINGS.assign(contribution=[0.07, np.nan])
    assert "are not added up" in rk.sentence_outcome_losses(unknown, all_in=0.3)


def test_losses_of_defaulted_exposures_name_the_loans_of_a_curve_that_is_carried_on():
    text = plain(rk.sentence_in_default(TABLE, stretches=[("mortgage", 0, 6), ("all", 7, 20)]))
    assert "one that has been open for 12 months 50.0 % and 70.0 %" in text
    assert text.endswith("The curve rests on the loans of mortgage up to month 6 and whole book up to month 20.")
    alone = plain(rk.sentence_in_default(TABLE.iloc[:1], stretches=[("all", 0, 1)]))
    assert alone.endswith("with downturn and margins 40.0 %. The capital charge is 20.0 %.")


def test_drivers_say_how_many_loans_are_open_and_whose_they_are():
    text = plain(rk.sentence_lgd_drivers(DRIVER, basis="mortgage", n_episodes=100, n_closed=75))
    assert text.startswith("A lower loss goes with credit score. Of the loans behind it, those of mortgage, 25.0 % are")
    assert rk.sentence_lgd_drivers(DRIVER, n_episodes=75, n_closed=75) == "A lower loss goes with credit score."
    assert rk.sentence_lgd_drivers(DRIVER.iloc[:0]) == ""


def test_vintages_of_which_none_is_large_enough():
    nothing = {"recovered": None, "ultimate": None, "youngest": "", "n_vintages": 0}
    assert rk.sentence_vintages(**nothing) == "No vintage is large enough to be told."
