"""The audit page: what became of each column, which decisions are supported, breaches by unit, small ones withheld."""

import pandas as pd
import pytest

from recoverykit.data._source_columns import source_columns_frame
from recoverykit.operations.decisions import decision_register
from recoverykit.report import plots, sentences
from recoverykit.report.conduct import contact_breach_table


def plain(text):
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def by_unit(**changes):
    frame = pd.DataFrame(
        {
            "rule": ["calls_in_seven_days", "calls_in_seven_days", "contact_hours", "contact_hours", "contact_hours"],
            "unit": ["north", "south", "north", "south", "tiny"],
            "n_contacts": [1000, 500, 2000, 800, 9],
            "n_breaches": [20, 0, 4, 0, 9],
            "breach_rate": [0.02, 0.0, 0.002, 0.0, 1.0],
            "lower": [0.012, 0.0, 0.0005, 0.0, 0.66],
            "upper": [0.031, 0.007, 0.005, 0.005, 1.0],
        }
    )
    return frame.assign(**changes)


class TestSourceColumns:
    def test_they_are_counted_in_a_sentence(self):
        rows = [("actions", name, "taken in", "", "") for name in ("action_id", "kind")]
        told = sentences.sentence_source_columns(source_columns_frame(rows))
        assert plain(told).startswith(
            "All 2 columns that the sources of 1 table carry were examined by name and content: 2 were taken in, none "
            "needed a hash, and none was left."
        )
        rows += [("court", "judge_name", "hashed", "D", "name of a person"), ("court", "room", "not taken in", "", "")]
        told = sentences.sentence_source_columns(source_columns_frame(rows))
        assert "2 were taken in, 1 only as a keyed hash, and 1 other stayed where they were." in plain(told)
        assert "not opened from a data spec" in sentences.sentence_source_columns(source_columns_frame())


def test_the_decisions_say_what_is_not_supported_and_why():
    register = decision_register()
    assert register["decision"].is_unique
    assert register["because"].str.len().min() > 20
    refused = register.loc[register["support"] == "not supported", "decision"].str.cat(sep="; ")
    for words in ("treated against untreated", "single agents", "by a model alone", "relatives", "mood"):
        assert words in refused


class TestBreaches:
    def test_a_small_number_is_withheld_with_the_rate_that_would_tell_it(self):
        table = contact_breach_table(by_unit())
        assert table["breach_rate"].isna().tolist() == [False, False, True, False, True]
        assert table[["lower", "upper"]].isna().all(axis=1).tolist() == [False, False, True, False, True]
        assert table["rule"].iloc[0] == "Calls beyond seven in seven days"

    def test_each_rule_is_told_with_its_contacts_and_small_numbers_are_not(self):
        # hours: 4 of north and 9 of tiny are both withheld, so their sum tells neither; of contacts tiny's 9 alone are,
        # so that 2,809 would tell them
        told = plain(sentences.sentence_contact_breaches(by_unit(), title="the house's rules"))
        assert told == (
            "Held against the house's rules: calls beyond seven in seven days, 20 of 1,500 contacts (1.33 %) and "
            "contacts outside the hours, 13 of about 2,810 contacts (0.46 %). That is what the log shows; consent, "
            "and calls that the debtor made, are not in it."
        )
        few = by_unit(n_breaches=[3, 0, 0, 0, 0])
        told = plain(sentences.sentence_contact_breaches(few, title="the rules"))
        assert "fewer than 10 of 1,500 contacts and contacts outside the hours, none of about 2,810 contacts" in told
        assert "no contact" in sentences.sentence_contact_breaches(by_unit().head(0), title="the rules")

    def test_a_total_does_not_give_away_the_one_number_that_is_withheld(self):
        one = by_unit(n_breaches=[20, 8, 0, 0, 0])
        told = plain(sentences.sentence_contact_breaches(one, title="the rules"))
        assert "calls beyond seven in seven days, more than 20 of 1,500 contacts and" in told
        assert "28" not in told

    def test_the_figure_draws_shares_with_intervals_and_hides_what_is_small(self):
        figure = plots.plot_contact_breaches(by_unit())
        calls, hours = figure.axes
        assert calls.lines[0].get_xdata().tolist() == [0.02, 0.0]
        assert hours.lines[0].get_xdata().tolist() == [0.0]  # south; the four of north are words, tiny is not drawn
        assert [text.get_text().strip() for text in hours.texts] == ["1 to 9"]
        assert [label.get_text() for label in calls.get_yticklabels()] == ["north", "south"]
        assert all(ax.get_xlabel() for ax in figure.axes)
        assert "of units with 10 breaches or more, most often north, 2.0 % of its contacts" in plain(figure.alt)
        assert "no unit with 10 breaches or more" in figure.alt
        assert figure.to_svg() == plots.plot_contact_breaches(by_unit()).to_svg()

    @pytest.mark.parametrize("rows", [0, 1])
    def test_a_log_with_hardly_a_contact_gives_words(self, rows):
        figure = plots.plot_contact_breaches(by_unit().tail(rows))
        assert "Fewer than 10 contacts" in figure.alt
