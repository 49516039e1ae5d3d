"""Tables and blocks are tested by the text that a reader gets."""

import numpy as np
import pandas as pd
import pytest

from recoverykit.report.blocks import callout, key_figures, prose
from recoverykit.report.formats import (
    format_count,
    format_date,
    format_money,
    format_months,
    format_points,
    format_ratio,
    format_share,
    format_value,
    is_missing,
)
from recoverykit.report.labels import label_of, segment_words
from recoverykit.report.tables import WITHHELD, show_table


def plain(text):
    """Return a text with ordinary spaces."""
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def rows(block):
    return [plain(line).split(" | ") for line in block.text.splitlines()[2:]]


@pytest.fixture
def losses():
    return pd.DataFrame(
        {
            "segment": ["mortgage | west", "card", "all"],
            "n_episodes": [120, 9, 129],
            "ead": [1_234_567.4, 1000.0, 1_235_567.4],
            "all_in_lgd": [0.3125, 0.8, np.nan],
            "lower": [0.28, 0.5, np.nan],
        }
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0.592, "59.2 %"), (1.2, "120.0 %"), (-0.051, "−5.1 %"), (-0.0001, "0.0 %"), (None, "n/a")]
)
def test_a_share_is_written_as_a_percentage(value, text):
    assert plain(format_share(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567.8, "USD 1.23 m"),
        (72_340_000, "USD 72.3 m"),
        (195_000_000, "USD 195 m"),
        (999_999, "USD 1.00 m"),
        (999_600_000, "USD 1.00 bn"),
        (12_345, "USD 12,345"),
        (-2_500_000, "USD −2.50 m"),
        (0, "USD 0"),
        (float("nan"), "n/a"),
    ],
)
def test_money_is_written_with_three_digits_and_its_power(value, text):
    assert plain(format_money(value, "USD")) == text


def test_points_have_no_sign_where_they_round_to_nought():
    assert [format_points(x) for x in (0.054, -0.054, -0.0001, None)] == ["5.4", "\u22125.4", "0.0", "n/a"]
    assert [format_points(x, signed=True) for x in (0.054, 0.0001, -0.0001)] == ["+5.4", "0.0", "0.0"]


def test_money_to_the_cent_keeps_every_cent():
    assert plain(format_money(1234567.891, "USD", style="cents")) == "USD 1,234,567.89"
    assert format_money(1234567.891, style="full") == "1,234,568"


def test_counts_months_ratios_and_dates_are_written_in_words():
    assert format_count(1525) == "1,525"
    assert [plain(format_months(value)) for value in (1, 7, 6.5)] == ["1 month", "7 months", "6.5 months"]
    assert format_ratio(0.456) == "0.46"
    assert plain(format_date("2026-09-30")) == "30 September 2026"
    assert plain(format_date(pd.NaT)) == "n/a"


@pytest.mark.parametrize("value", [None, np.nan, pd.NaT, np.inf, -np.inf])
def test_what_is_missing_reads_not_available_in_every_kind(value):
    assert is_missing(value)
    for kind in ("share", "money", "cents", "count", "months", "ratio", "date", "text"):
        assert format_value(value, kind) == "n/a"


def test_names_are_turned_into_words():
    assert label_of("gross_carrying_amount") == "Gross carrying amount"
    assert label_of("n_new_things") == "New things"
    assert segment_words("auto_loan | west") == "auto loan · west"
    assert segment_words("all") == "Whole book"


def test_columns_are_written_as_their_names_tell(losses):
    block = show_table(losses, caption="Losses", currency="USD")
    assert block.text.splitlines()[1] == "Segment | Episodes | EAD, USD | LGD, all episodes | Lower"
    assert rows(block) == [
        ["mortgage · west", "120", "1,234,567", "31.2 %", "28.0 %"],
        ["card", "9", "1,000", "80.0 %", "50.0 %"],
        ["Whole book", "129", "1,235,567", "n/a", "n/a"],
    ]


def test_a_row_that_rests_on_fewer_than_ten_is_withheld(losses):
    block = show_table(losses, caption="Losses", count_col="n_episodes")
    assert rows(block)[1] == ["card", "<10", WITHHELD, WITHHELD, WITHHELD]
    assert "80.0" not in plain(block.html)
    assert "1,000" not in block.html
    assert "&lt;10" in block.html


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (1, "<10"), (9, "<10"), (10, "10")])
def test_only_counts_from_one_to_nine_are_withheld(count, text):
    block = show_table(pd.DataFrame({"segment": ["a"], "n_open": [count]}), caption="Open", small_counts=["n_open"])
    assert rows(block) == [["a", text]]


def test_the_total_is_set_off_and_never_withheld():
    frame = pd.DataFrame({"segment": ["a", "Total"], "n_episodes": [4, 4], "ead": [5.0, 5.0]})
    block = show_table(frame, caption="Few", count_col="n_episodes", total_row=True)
    assert rows(block) == [["a", "<10", WITHHELD], ["Total", "4", "5"]]
    assert block.html.count('class="rk-total"') == 1


def test_the_table_says_what_its_headings_head(losses):
    html = show_table(losses, caption="Losses <of> all").html
    assert "<caption>Losses &lt;of&gt; all</caption>" in html
    assert html.count('scope="col"') == len(losses.columns)
    assert html.count('scope="row"') == len(losses)


def test_formats_and_labels_overrule_what_names_tell(losses):
    block = show_table(losses, caption="Losses", formats={"ead": "cents"}, labels={"ead": "Exposure"})
    assert "Exposure" in block.text.splitlines()[1]
    assert rows(block)[0][2] == "1,234,567.40"


def test_a_p_value_is_never_written_as_nought():
    block = show_table(pd.DataFrame({"model": ["a", "b"], "p_value": [1e-9, 0.0341]}), caption="Tests")
    assert rows(block) == [["a", "below 0.001"], ["b", "0.034"]]
    assert block.html.count('<td class="rk-number">') == 2


def test_limits_state_their_level_where_it_is_given(losses):
    block = show_table(losses.assign(upper=0.4), caption="Losses", level=0.9)
    assert plain(block.text.splitlines()[1]).endswith("| LGD, all episodes | Lower, 90 % | Upper, 90 %")


def test_a_column_that_is_not_there_and_an_unknown_kind_are_named(losses):
    with pytest.raises(ValueError, match="no column lgd"):
        show_table(losses, caption="x", formats={"lgd": "share"})
    with pytest.raises(ValueError, match="unknown kind percent"):
        show_table(losses, caption="x", formats={"ead": "percent"})


def test_an_empty_table_says_so_and_the_input_stays_as_it_was(losses):
    before = losses.copy()
    assert "Nothing to show" in show_table(losses.iloc[:0], caption="None", count_col="n_episodes").html
    show_table(losses, caption="x", count_col="n_episodes", small_counts=["n_episodes"])
    pd.testing.assert_frame_equal(losses, before)


def test_key_figures_are_a_list_of_labels_and_values():
    block = key_figures([("Coverage", "37 %"), ("Open <now>", "365", "of 1,525")])
    assert block.html.count("<dt>") == 2
    assert "Open &lt;now&gt;" in block.html
    assert str(block) == "Coverage: 37 %\nOpen <now>: 365 (of 1,525)"
    with pytest.raises(ValueError, match="incomplete"):
        key_figures([("Coverage", "")])
    with pytest.raises(ValueError, match="no key figure"):
        key_figures([])


def test_prose_skips_what_is_empty_and_escapes_the_rest():
    assert prose("One.", None, " ", "A & B.").html == '<p class="rk-prose">One. A &amp; B.</p>'
    assert prose(None).html == ""


def test_a_callout_says_in_words_what_it_is():
    assert "Please note:" in callout("Nine only.", kind="warning").html
    with pytest.raises(ValueError, match="must be one of"):
        callout("x", kind="loud")
