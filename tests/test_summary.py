"""The executive page and the notes on whose data an estimate rests, by hand."""

import numpy as np
import pandas as pd
import pytest

from recoverykit.portfolio.segments import Basis, CurveBasis
from recoverykit.report.formats import THIN_SPACE, WORD_SPACE
from recoverykit.report.summary import (
    basis_note,
    curve_basis_note,
    executive_summary,
    reason_open_differs,
    sentence_checks,
    sentence_left_out,
    summary_tiles,
)

CHECKS = pd.DataFrame({"control": ["Allowance", "Gross carrying amount"], "difference": [0.0, 0.0]})
FACTS = {"n_episodes": 1200, "n_open": 300, "open_share": 0.25}
TOTAL = {
    "n_open": 300,
    "gross_carrying_amount": 2_000_000.0,
    "allowance": 500_000.0,
    "coverage_ratio": 0.25,
    "n_beyond_curve": 0,
}
LOSSES = pd.DataFrame(
    {
        "segment": ["a", "b"],
        "n_episodes": [900, 300],
        "n_closed": [800, 100],
        "n_open": [100, 200],
        "closed_only_lgd": [0.1, 0.4],
        "all_in_lgd": [0.2, 0.6],
    }
)


def plain(text):
    return text.replace(THIN_SPACE, " ").replace(WORD_SPACE, " ")


def summarise(**changes):
    given = {"facts": FACTS, "total": TOTAL, "losses": LOSSES, "checks": CHECKS, "currency": "USD", **changes}
    summary = executive_summary(**given)
    values = {figure["label"]: plain(figure["value"]) for figure in summary["key_figures"]}
    return values, [plain(s) for s in summary["sentences"]]


class TestExecutiveSummary:
    def test_six_numbers_weighted_by_number_of_episodes(self):
        # all: (900 x 0.2 + 300 x 0.6) / 1,200 = 0.3; closed: (800 x 0.1 + 100 x 0.4) / 900 = 0.1333
        values, _ = summarise()
        assert values == {
            "Allowance for credit losses": "USD 500,000",
            "Gross carrying amount": "USD 2.00 m",
            "Coverage": "25.0 %",
            "Default episodes": "1,200",
            "LGD, all episodes": "30.0 %",
            "LGD, closed only": "13.3 %",
        }

    def test_the_sentences_say_the_numbers_of_the_tiles(self):
        _, sentences = summarise()
        assert "USD 500,000 against a gross carrying amount of USD 2.00 m in 300 defaulted facilities" in sentences[0]
        assert sentences[1] == "The allowance covers 25.0 % of the gross carrying amount."
        assert "Closed episodes alone show a loss of 13.3 %; with the 300 open ones it is 30.0 %" in sentences[2]
        assert sentences[3] == "All 2 control totals agree to the cent."

    def test_averages_over_fewer_episodes_than_the_tile_counts_say_so(self):
        _, whole = summarise()
        _, fewer = summarise(facts={**FACTS, "n_episodes": 1240, "n_open": 301})
        assert "not in these averages" not in whole[2]
        assert fewer[2] == whole[2] + (
            " Episodes that were in default before observation began, or whose loss is not known, are not in these "
            "averages; the allowance covers those that are open."
        )

    def test_a_segment_without_closed_episodes_does_not_spoil_the_average(self):
        losses = LOSSES.assign(n_closed=[800, 0], closed_only_lgd=[0.1, np.nan])
        values, _ = summarise(losses=losses)
        assert values["LGD, closed only"] == "10.0 %"

    def test_a_segment_without_averaged_episodes_does_not_spoil_the_average(self):
        losses = LOSSES.assign(n_episodes=[900, 0], n_closed=[800, 0], all_in_lgd=[0.2, np.nan])
        values, _ = summarise(losses=losses)
        assert values["LGD, all episodes"] == "20.0 %"

    def test_a_book_without_closed_episodes_says_so(self):
        losses = LOSSES.assign(n_closed=0, closed_only_lgd=np.nan)
        values, sentences = summarise(losses=losses)
        assert values["LGD, closed only"] == "n/a"
        assert sentences[2].startswith("No episode is closed yet")

    def test_a_book_without_open_loans_has_nothing_to_cover(self):
        nothing = {"n_open": 0, "gross_carrying_amount": 0.0, "allowance": 0.0, "coverage_ratio": np.nan}
        values, sentences = summarise(total=nothing, losses=LOSSES.assign(n_open=0))
        assert values["Coverage"] == "n/a"
        assert sentences[0] == "No facility is in default at the reporting date, so there is no allowance."
        assert sentences[1] == "There is nothing to cover at the reporting date."
        assert sentences[2].startswith("Every episode is closed")

    def test_missing_numbers_read_as_such_and_never_as_nan(self):
        unknown = dict.fromkeys(("gross_carrying_amount", "allowance", "coverage_ratio"), np.nan)
        values, sentences = summarise(
            total={"n_open": 300, **unknown},
            losses=LOSSES.assign(all_in_lgd=np.nan, closed_only_lgd=np.nan),
            checks=CHECKS.assign(difference=[np.nan, 0.0]),
        )
        assert values["Allowance for credit losses"] == values["LGD, all episodes"] == "n/a"
        assert "nan" not in " ".join([*values.values(), *sentences]).lower()
        assert sentences[3] == "1 of 2 control totals do not agree: allowance."

    def test_the_tiles_show_every_figure(self):
        summary = executive_summary(facts=FACTS, total=TOTAL, losses=LOSSES, checks=CHECKS, currency="USD")
        tiles = summary_tiles(summary)
        assert tiles.html.count("<dt>") == 6
        assert "Coverage: 25.0" in plain(str(tiles))


class TestChecks:
    def test_every_control_that_is_off_by_a_cent_is_named(self):
        checks = CHECKS.assign(difference=[0.01, -0.01])
        assert sentence_checks(checks) == "2 of 2 control totals do not agree: allowance and gross carrying amount."

    def test_less_than_half_a_cent_is_rounding(self):
        assert sentence_checks(CHECKS.assign(difference=[0.004, 0.0])) == "All 2 control totals agree to the cent."

    def test_where_nothing_was_compared_nothing_agrees(self):
        assert sentence_checks(CHECKS.iloc[:0]) == "No control total was compared."


class TestBasisNote:
    def test_a_segment_on_its_own_data_is_not_a_warning(self):
        note = basis_note(Basis("card | east", "card | east", 80, 60, "cured episodes"))
        assert str(note) == "The estimates on this page rest on this segment's own loans."
        assert "callout" not in note.html

    def test_a_borrowed_model_names_its_owner_and_the_reason(self):
        note = basis_note(Basis("card | east", "card", 34, 60, "cured episodes"))
        assert str(note).endswith(
            "The estimate for card · east is that of card, because there are only 34 cured episodes, and an estimate "
            "needs 60."
        )

    @pytest.mark.parametrize(("n", "words"), [(0, "there are no cured"), (7, "there are fewer than 10 cured")])
    def test_a_handful_is_not_counted_out_on_a_page(self, n, words):
        note = str(basis_note(Basis("card | east", "all", n, 60, "cured episodes")))
        assert words in note
        assert "7" not in note

    def test_without_a_model_the_reason_stands_there(self):
        assert str(basis_note(None, note="no start converged.")).endswith("No model: no start converged.")
        assert str(basis_note(None)).endswith("No model: there is too little to estimate it from.")


class TestCurveBasisNote:
    def test_a_segment_on_its_own_loans(self):
        note = curve_basis_note(CurveBasis("card", (("card", 0, 40),), 20))
        assert "rests on this segment's own loans, up to month 40" in str(note)
        assert "the whole book's loans" in str(curve_basis_note(CurveBasis("all", (("all", 0, 40),), 20)))

    def test_a_segment_that_borrows_says_from_which_month_and_from_whom(self):
        basis = CurveBasis("card | east", (("card | east", 0, 9), ("card", 10, 10), ("all", 11, 40)), 20)
        text = str(curve_basis_note(basis))
        assert "months 0 to 9 on its own loans, month 10 on card and months 11 to 40 on the whole book" in text
        assert text.endswith("Beyond month 40 nothing more is expected.")

    def test_a_parent_is_the_sum_of_its_segments_and_a_borrowed_curve_is_not_its_own(self):
        own = CurveBasis("card | east", (("card | east", 0, 40),), 20)
        lent = CurveBasis("card | west", (("all", 0, 40),), 20)
        assert "the sum of 2 segments" in str(curve_basis_note(own, lent))
        assert "; 1 of them needs no parent." in str(curve_basis_note(own, lent))
        assert "; all of them need one." in str(curve_basis_note(lent, lent))
        assert "; 2 of them need no parent." in str(curve_basis_note(own, own))


class TestWords:
    def test_drivers_left_out_are_named(self):
        assert sentence_left_out([]) == ""
        assert sentence_left_out(("a", "b")).endswith("hold them or they are the same for every loan: a and b.")

    def test_why_open_loans_differ_is_said_only_where_it_is_known(self):
        known = {"recovered_open": 0.1, "remaining_open": 0.35, "recovered_closed": 0.8}
        words = plain(reason_open_differs(**known))
        assert words.startswith("the open ones have recovered 10.0 % so far and may expect another 35.0 %")
        assert words.endswith(", while closed ones recovered 80.0 %")
        assert reason_open_differs(**{**known, "recovered_open": np.nan}) == ""
        assert reason_open_differs(**{**known, "recovered_closed": None}) == ""
