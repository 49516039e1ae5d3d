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
    assert "from loans that are never resolved: 30.0 % of all, at an average loss of 80.0 %." in near
    assert near.endswith("The probabilities are those of auto loan.")
    assert "so the two ways differ by more than a point" in rk.sentence_outcome_losses(ENDINGS, all_in=0.2)


def test_the_largest_of_many_endings_is_not_called_most_of_the_loss():
    many = pd.DataFrame({"outcome": ["cured", "sold", "written_off"], "probability": [0.4, 0.3, 0.3]})
    many = many.assign(loss_given_outcome=[0.3, 0.4, 0.5], contribution=[0.12, 0.12, 0.15])
    text = plain(rk.sentence_outcome_losses(many, all_in=0.39, basis="all"))
    assert "The largest part, 15.0 points, comes from loans written off" in text  # of 39
    assert text.endswith("The probabilities are those of the whole book.")
    assert "the largest part, 15.0 %, comes from the outcome \u201cwritten off\u201d" in plain(
        rk.plot_outcome_losses(many).alt
    )


def test_endings_without_an_average_to_compare_with_are_told_alone():
    text = plain(rk.sentence_outcome_losses(ENDINGS, all_in=np.nan))
    assert text.startswith("The endings of a new default add up to a loss of 31.0 %. Most of it, 24.0 points,")
    assert "nan" not in text


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
    assert text.endswith("The curve rests on the loans of mortgage up to month 6 and of the whole book up to month 20.")
    assert "open for 1 month 50.0 %" in plain(rk.sentence_in_default(TABLE.assign(months=[0, 1])))
    alone = plain(rk.sentence_in_default(TABLE.iloc[:1], stretches=[("all", 0, 1)]))
    assert alone.endswith("with downturn and margins 40.0 %. The capital charge is 20.0 %.")


def test_drivers_say_how_many_loans_are_open_and_whose_they_are():
    text = plain(rk.sentence_lgd_drivers(DRIVER, basis="mortgage", n_episodes=100, n_closed=75))
    assert text.startswith("A lower loss goes with credit score. Of the loans behind it, those of mortgage, 25.0 % are")
    whole = plain(rk.sentence_lgd_drivers(DRIVER, basis="all", n_episodes=100, n_closed=75))
    assert "those of the whole book, 25.0 %" in whole
    assert rk.sentence_lgd_drivers(DRIVER, n_episodes=75, n_closed=75) == "A lower loss goes with credit score."
    assert rk.sentence_lgd_drivers(DRIVER.iloc[:0]) == ""


def test_vintages_of_which_none_is_large_enough():
    nothing = {"recovered": None, "ultimate": None, "youngest": "", "n_vintages": 0}
    assert rk.sentence_vintages(**nothing) == "No vintage is large enough to be told."


def test_a_single_vintage_is_told_as_one():
    one = {"recovered": 0.2, "ultimate": 0.6, "youngest": "2026", "n_vintages": 1}
    assert plain(rk.sentence_vintages(**one)) == (
        "The one vintage, 2026, has brought in 20.0 % of its exposure and is expected to bring 60.0 % in all."
    )


def test_a_split_with_few_defaults_is_told_in_words():
    counts = {"n_development": 40, "n_development_open": 1, "n_holdout": 12, "n_holdout_open": 0}
    text = plain(rk.sentence_lgd_split(split_date=pd.Timestamp("2024-06-30"), **counts))
    assert "of which fewer than 10 are open" in text
    assert "<" not in text
