"""Sentences are tested word for word, with what happens when a number is missing or zero."""

import inspect

import pandas as pd
import pytest

from recoverykit.report import sentences

NAN = float("nan")


def plain(text):
    """Return a text with ordinary spaces."""
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def test_episodes_are_counted_with_their_exposure():
    told = {"currency": "USD", "reporting_date": "2026-09-30"}
    text = sentences.sentence_episodes(n_episodes=1525, n_open=365, ead=2.5e9, **told)
    assert plain(text) == (
        "1,525 default episodes with an exposure at default of USD 2.50 bn are known at 30 September 2026; "
        "365 of them are still open."
    )
    text = sentences.sentence_episodes(n_episodes=1, n_open=0, ead=100, **told)
    assert plain(text).startswith("1 default episode with an exposure at default of USD 100 is known")
    assert "none of them is still open" in text


def test_follow_up_says_how_far_the_data_reach():
    text = sentences.sentence_follow_up(median_follow_up_months=31, longest_months=60)
    assert plain(text).startswith("Half of the episodes have been watched for at least 31 months, the longest for 60")
    text = sentences.sentence_follow_up(median_follow_up_months=None, longest_months=1)
    assert plain(text).startswith("The longest for 1 month;")
    assert "No episode" in sentences.sentence_follow_up(median_follow_up_months=NAN, longest_months=NAN)


def test_shares_of_outcomes_and_of_open_ones_add_up():
    text = plain(sentences.sentence_competing_outcomes({"sold": 0.1, "cured": 0.4, "repaid": 0.0}, month=12))
    assert text == "By month 12 after default, 40.0 % are cured and 10.0 % are sold; 50.0 % are still open."


def test_no_outcome_yet_is_said_in_words():
    text = sentences.sentence_competing_outcomes({"cured": 0.0, "sold": NAN}, month=3)
    assert text == "By month 3 after default no loan has left default."


def test_a_median_is_told_in_months_and_quarters_or_not_at_all():
    assert "21 months (7 quarters)" in plain(sentences.sentence_median_resolution(21, last_month=60, in_quarters=True))
    assert "(1 quarter)" in sentences.sentence_median_resolution(3, last_month=60, in_quarters=True)
    text = plain(sentences.sentence_median_resolution(NAN, last_month=60))
    assert text == "Fewer than half of the episodes are resolved within the 60 months observed."


def test_the_probability_of_cure_is_told_with_its_interval():
    text = sentences.sentence_time_to_cure(probability=0.41, month=24, lower=0.39, upper=0.43)
    assert plain(text) == "41.0 % (39.0 % to 43.0 %) of defaulted loans are cured within 24 months."
    assert "No loan of this segment was cured" in sentences.sentence_time_to_cure(probability=0.0, month=24)
    assert "could not be estimated" in sentences.sentence_time_to_cure(probability=NAN, month=24)


def test_a_model_names_its_event_and_who_never_has_it():
    text = plain(
        sentences.sentence_model(event="cure", never_share=0.575, lower=0.55, upper=0.6, model="Weibull model")
    )
    assert text == (
        "The event of this Weibull model is the cure of a loan; 57.5 % (55.0 % to 60.0 %) of defaulted loans "
        "are estimated never to reach it."
    )
    assert "could not be estimated" in sentences.sentence_model(event="cure", never_share=None)


def test_recovery_that_does_not_cover_its_costs_is_said_so():
    assert plain(sentences.sentence_recovery(rate=-0.02, month=12)) == (
        "Nothing net of costs has come back within 12 months of default."
    )
    assert "66.8 % of the exposure" in plain(sentences.sentence_recovery(rate=0.668, month=60))


def test_the_loss_by_number_stands_before_the_one_by_exposure():
    text = plain(sentences.sentence_lgd(all_in=0.6, lower=None, upper=None, ead_weighted=0.57))
    assert text == ("The average loss given default over all episodes is 60.0 %; weighted by exposure it is 57.0 %.")


def test_the_reason_follows_the_sign_of_the_difference():
    higher = plain(sentences.sentence_closed_only_bias(closed_only=0.592, all_in=0.641, n_open=365))
    assert "long workouts recover less" in higher
    assert "59.2 %" in higher
    assert "64.1 %" in higher
    lower = sentences.sentence_closed_only_bias(closed_only=0.6, all_in=0.5, n_open=1)
    assert "already recovered much" in lower
    assert "the few open ones it is" in lower
    own = sentences.sentence_closed_only_bias(closed_only=0.6, all_in=0.7, n_open=3, reason="of the courts")
    assert own.endswith("because of the courts.")


def test_no_difference_gets_no_reason():
    assert "the same" in sentences.sentence_closed_only_bias(closed_only=0.6, all_in=0.6002, n_open=5)
    assert "Every episode is closed" in sentences.sentence_closed_only_bias(closed_only=0.6, all_in=0.6, n_open=0)
    assert "No episode is closed" in sentences.sentence_closed_only_bias(closed_only=NAN, all_in=0.6, n_open=5)


def test_a_fallback_names_the_parent_and_the_reason():
    text = sentences.sentence_fallback(segment="card | west", parent="all", reason="too few episodes are closed")
    assert text == "The estimate for card · west is that of the whole book, because too few episodes are closed."


def test_the_allowance_stands_against_its_amount():
    text = sentences.sentence_allowance_total(
        allowance=72.34e6, gross_carrying_amount=195e6, n_facilities=1834, currency="USD"
    )
    assert plain(text) == (
        "The allowance for credit losses is USD 72.3 m against a gross carrying amount of USD 195 m "
        "in 1,834 defaulted facilities."
    )
    none = sentences.sentence_allowance_total(allowance=0, gross_carrying_amount=0, n_facilities=0, currency="USD")
    assert "there is no allowance" in none


def test_coverage_names_both_ends():
    text = sentences.sentence_coverage(coverage_ratio=0.371, highest=("card", 0.6), lowest=("auto", 0.2))
    assert plain(text).endswith("37.1 % of the gross carrying amount: most in card (60.0 %), least in auto (20.0 %).")
    assert plain(sentences.sentence_coverage(coverage_ratio=0.371)).endswith("gross carrying amount.")
    assert "nothing to cover" in sentences.sentence_coverage(coverage_ratio=NAN)


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (0.0, "add up to the total to the cent"),
        (0.004, "add up to the total to the cent"),
        (0.01, "they are USD 0.01 more"),
        (-1234.5, "they are USD 1,234.50 less"),
        (NAN, "could not be compared"),
    ],
)
def test_a_total_reconciles_to_the_cent_or_the_gap_is_named(difference, text):
    told = sentences.sentence_reconciliation(what="The allowances", difference=difference, currency="USD")
    assert text in plain(told)


def test_data_quality_counts_what_was_checked_and_broken():
    good = sentences.sentence_data_quality(n_tables=5, n_rows=480_000, n_violations=0)
    assert good == "480,000 rows in 5 tables were checked; every rule of the data contract holds."
    assert "1 rule of the contract is broken" in sentences.sentence_data_quality(n_tables=5, n_rows=9, n_violations=1)


def test_exclusions_name_the_commonest_reason():
    frame = pd.DataFrame(
        {
            "table": ["status", "cash_flows", "facilities"],
            "reason": ["after the reporting date", "before default", "never used"],
            "n_rows": [10, 32, 0],
            "amount": [0.0, 1.5e6, 0.0],
        }
    )
    text = plain(sentences.sentence_exclusions(frame, currency="USD"))
    assert text == "42 rows with USD 1.50 m were set apart; most often: before default."
    one = sentences.sentence_exclusions(frame.assign(n_rows=[1, 0, 0], amount=0.0))
    assert one == "1 row was set apart; the reason: after the reporting date."
    assert sentences.sentence_exclusions(frame.iloc[:0]) == "No row was set apart."


def test_every_sentence_is_documented():
    for name in sentences.__all__:
        assert inspect.getdoc(getattr(sentences, name))
