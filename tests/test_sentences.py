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
    text = sentences.sentence_episodes(n_episodes=1525, n_open=0, ead=100, **told)
    assert text.endswith("; none of them is still open.")


def test_of_a_few_episodes_neither_number_nor_exposure_is_told():
    told = {"currency": "USD", "reporting_date": "2026-09-30"}
    for n in (1, 9):
        text = sentences.sentence_episodes(n_episodes=n, n_open=1, ead=123_456, **told)
        assert plain(text) == (
            "Fewer than 10 default episodes are known at 30 September 2026; fewer than 10 of them are still open."
        )


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


def test_what_was_watched_of_too_few_is_not_told():
    told = sentences.sentence_competing_outcomes({"cured": 0.5}, month=0)
    assert told == "Too few loans have been watched for long enough to say what has become of them."
    for median in (NAN, 5):
        told = sentences.sentence_median_resolution(median, last_month=0)
        assert told.startswith("Too few episodes have been watched for long enough")


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
    for name, words in (("gamma", "gamma"), ("loglogistic", "log-logistic")):
        text = sentences.sentence_model(event="cure", never_share=0.5, model=name)
        assert text.startswith(f"The event of this {words} mixture cure model is the cure")


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
    assert higher.endswith(". As a rule the open ones are the long workouts, and long workouts recover less.")
    assert "because" not in higher  # nothing here has shown the cause
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
    none = sentences.sentence_closed_only_bias(closed_only=NAN, all_in=0.6, n_open=5)
    assert plain(none) == (
        "No episode is closed yet; the loss of 60.0 % counts what open ones have recovered so far and may still expect."
    )


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


def ultimate(**shares):
    return pd.DataFrame(
        [(name, value, value - 0.02, value + 0.02) for name, value in shares.items()],
        columns=["outcome", "value", "lower", "upper"],
    )


def test_how_loans_end_is_told_with_or_without_a_share_that_never_does():
    text = sentences.sentence_ultimate_outcomes(ultimate(cured=0.5, written_off=0.5), segment="all", basis="all")
    assert plain(text) == (
        "Once all are resolved, by the model, 50.0 % are cured and 50.0 % are written off; the data show no share that "
        "never is."
    )
    text = sentences.sentence_ultimate_outcomes(ultimate(cured=0.5, sold=0.3, never_resolves=0.2), basis="all")
    assert plain(text) == (
        "In the end, by the model of the whole book, 50.0 % are cured and 30.0 % are sold; 20.0 % (18.0 % to 22.0 %) "
        "are estimated never to be resolved."
    )
    text = sentences.sentence_ultimate_outcomes(ultimate(cured=1.0), segment="card | west", basis="card")
    assert "by the model of card, 100.0 % are cured" in plain(text)
    rare = sentences.sentence_ultimate_outcomes(ultimate(cured=1.0), too_rare=("sold", "written_off"))
    assert rare.endswith("the data show no share that never is. Too rare to be modelled: sold and written off.")
    none = sentences.sentence_ultimate_outcomes(ultimate(), note="there are no closed episodes")
    assert none == "How the open loans will end could not be estimated: there are no closed episodes."
    assert sentences.sentence_ultimate_outcomes(ultimate()) == "How the open loans will end could not be estimated."


ANSWERS = ("n_beyond", "alpha_n", "alpha_n_cures", "q_n", "shen", "receus", "likelihood_ratio")


@pytest.mark.parametrize(
    ("doubting", "n_beyond", "text"),
    [
        (
            (),
            784,
            "The follow-up supports a share that never cures: the last cure came in month 26 and 784 loans were "
            "watched beyond it, up to month 61, and every answer in the table agrees.",
        ),
        (
            ("shen", "receus"),
            12,
            "The data do not settle whether some loans never cure: the last cure came in month 26 and 12 loans were "
            "watched beyond it, up to month 61, and the answers disagree. The number of loans watched beyond the last "
            "cure, \u03b1 of all loans, \u03b1 of cures alone, q and the likelihood ratio speak for it, Shen's \u03b1 "
            "and RECeUS against. The share that never cures rests on the model as much as on what was seen.",
        ),
        (
            ANSWERS[:-1],
            7,
            "The data do not settle whether some loans never cure: the last cure came in month 26 and fewer than 10 "
            "loans were watched beyond it, up to month 61, and the answers disagree. The likelihood ratio speaks for "
            "it, the number of loans watched beyond the last cure, \u03b1 of all loans, \u03b1 of cures alone, q, "
            "Shen's \u03b1 and RECeUS against. The share that never cures rests on the model as much as on what was "
            "seen.",
        ),
        (
            ANSWERS,
            0,
            "The data do not yet tell loans that never cure from loans that cure late: the last cure came in month 26 "
            "and no loan was watched beyond it, and no answer in the table supports a plateau. The share that never "
            "cures is what the model extrapolates; do not rely on it.",
        ),
    ],
)
def test_the_plateau_is_judged_by_all_answers_and_never_by_one(doubting, n_beyond, text):
    verdicts = {name: "doubts" if name in doubting else "supports" for name in ANSWERS} | {"last_cure": "describes"}
    told = sentences.sentence_plateau(verdicts, last_cure=26, last_watched=61, n_beyond=n_beyond)
    assert told == text


def test_an_answer_that_could_not_be_had_is_not_counted_as_agreeing():
    verdicts = {"n_beyond": "supports", "receus": "no answer"}
    told = sentences.sentence_plateau(verdicts, last_cure=26, last_watched=61, n_beyond=20)
    assert told.endswith("up to month 61, and every answer that could be had agrees.")


def test_without_a_model_there_is_no_plateau_to_judge():
    told = sentences.sentence_plateau({}, last_cure=NAN, last_watched=NAN, n_beyond=NAN)
    assert told == "Without a model of cure there is no plateau to judge."


def candidates(**changes):
    table = pd.DataFrame(
        {
            "distribution": ["weibull", "gamma", "lognormal"],
            "aic": [100.0, 103.25, 150.0],
            "bic": [110.0, 113.25, 160.0],
            "never": [0.5, 0.505, 0.49],
            "distance": [0.0046, 0.005, 0.01],
            "boundary": ["none", "none", "none"],
        }
    )
    return table.assign(**changes)


def test_the_model_is_chosen_for_a_reason_and_what_hangs_on_it_is_told():
    assert plain(sentences.sentence_model_choice(candidates())) == (
        "The Weibull distribution is used: its AIC is 3.2 below that of the gamma, the next best. The fitted curve "
        "leaves the observed one by 0.5 percentage points at most. Over all three candidates the share that never "
        "cures runs from 49.0 % to 50.5 %: the choice decides little."
    )
    assert sentences.sentence_model_choice(candidates().iloc[:0]) == ""


def test_a_choice_that_is_close_matters_or_lies_on_a_boundary_is_said_so():
    told = plain(
        sentences.sentence_model_choice(candidates(aic=[100, 101, 102], bic=[112, 111, 113], never=[0.5, 0.4, 0]))
    )
    assert told.startswith("The Weibull distribution is used for its smallest AIC, though the gamma does as well. ")
    assert "The BIC would choose the gamma." in told
    assert told.endswith("runs from 0.0 % to 50.0 %: the choice decides part of the answer.")
    on_it = candidates(boundary=["the share is at 0", "none", "none"])
    assert "It lies on a boundary: the share is at 0." in sentences.sentence_model_choice(on_it)


def test_candidates_that_did_not_converge_are_named():
    told = sentences.sentence_model_choice(candidates(aic=[100.0, NAN, NAN], bic=[110.0, NAN, NAN]))
    assert told == (
        "The Weibull distribution is used, the only one to choose from. The fitted curve leaves the observed one by "
        "0.5 percentage points at most. The gamma and log-normal did not converge."
    )


def drivers(rows):
    columns = ["part", "estimate", "lower", "upper", "driver", "level", "reference", "label"]
    return pd.DataFrame(
        [(*row, *("", "")[: 7 - len(row)], row[4] + (row[5] if len(row) > 5 else "")) for row in rows], columns=columns
    )


def test_drivers_that_are_clear_are_read_in_both_directions_and_the_others_left_open():
    frame = drivers(
        [
            ("incidence", 1.24, 1.1, 1.4, "credit_score"),
            ("incidence", 0.54, 0.4, 0.75, "ltv_ratio"),
            ("incidence", 0.94, 0.8, 1.1, "unemployment_rate"),
            ("latency", 0.8, 0.7, 0.9, "credit_score"),
            ("latency", 1.0, 0.9, 1.1, "ltv_ratio"),
            ("latency", 1.0, 0.9, 1.1, "unemployment_rate"),
        ]
    )
    assert plain(sentences.sentence_cure_drivers(frame)) == (
        "More loans ever cure with a higher credit score (odds \u00d7 1.24), fewer with a higher loan to value (odds "
        "\u00d7 0.54). Those that cure do so faster with a higher credit score (speed \u00d7 1.25). For unemployment "
        "rate the direction is open."
    )


def test_what_only_lowers_has_a_sentence_of_its_own():
    frame = drivers([("incidence", 0.5, 0.4, 0.6, "ltv_ratio"), ("latency", 2.0, 1.5, 2.5, "ltv_ratio")])
    assert plain(sentences.sentence_cure_drivers(frame)) == (
        "Fewer loans ever cure with a higher loan to value (odds \u00d7 0.50). Those that cure do so more slowly with "
        "a higher loan to value (speed \u00d7 0.50)."
    )


def test_categories_are_read_against_their_reference():
    frame = drivers(
        [
            ("incidence", 1.5, 1.2, 2.0, "product", "mortgage", "auto_loan"),
            ("incidence", 0.2, 0.1, 0.4, "product", "credit_card", "auto_loan"),
            ("latency", 1.6, 1.4, 1.9, "product", "mortgage", "auto_loan"),
            ("latency", 1.0, 0.7, 1.4, "product", "credit_card", "auto_loan"),
        ]
    )
    assert plain(sentences.sentence_cure_drivers(frame)) == (
        "Compared with auto loan, more ever cure of mortgage (odds \u00d7 1.50), fewer of credit card (odds \u00d7 "
        "0.20). Compared with auto loan, cures come more slowly in mortgage (speed \u00d7 0.62)."
    )


def test_nothing_clear_and_nothing_there_are_told_apart():
    frame = drivers([("incidence", 1.0, 0.9, 1.1, "ltv_ratio"), ("latency", 1.0, 0.9, 1.1, "ltv_ratio")])
    assert sentences.sentence_cure_drivers(frame) == (
        "No driver is clear of chance: none has an interval that leaves the ratio 1 out."
    )
    assert sentences.sentence_cure_drivers(frame.iloc[:0]) == ""


def test_a_second_opinion_agrees_keeps_silent_or_contradicts():
    frame = drivers(
        [
            ("incidence", 1.24, 1.1, 1.4, "credit_score"),
            ("incidence", 0.54, 0.4, 0.75, "ltv_ratio"),
            ("incidence", 0.94, 0.8, 1.1, "unemployment_rate"),
            ("incidence", 1.5, 1.2, 2.0, "product", "mortgage", "auto_loan"),
        ]
    )
    cox = pd.DataFrame(
        {
            "label": ["unemployment_rate", "ltv_ratio", "credit_score", "productmortgage"],
            "lower": [0.5, 1.1, 1.05, 0.9],
            "upper": [0.6, 1.3, 1.2, 1.1],
        }
    )
    start = "A Cox regression of the hazard of cure, which does not tell chance from speed, "
    told = sentences.sentence_second_opinion(frame, cox)
    assert told == f"{start}agrees on credit score, leaves mortgage open and points the other way for loan to value."
    assert sentences.sentence_second_opinion(frame.iloc[:1], cox) == f"{start}agrees on credit score."
    assert sentences.sentence_second_opinion(frame.iloc[2:3], cox) == ""
    assert sentences.sentence_second_opinion(frame, cox.iloc[:0]) == ""


@pytest.mark.parametrize(("inside", "word"), [(0.95, "follow"), (0.7, "mostly follow"), (0.3, "leave")])
def test_residuals_follow_the_diagonal_or_leave_it(inside, word):
    told = plain(sentences.sentence_residuals(largest_gap=0.086, at=1.1, share_inside=inside))
    assert told == (
        f"The residuals {word} the diagonal: they leave it by at most 0.09, at a risk of 1.10, and the band holds it "
        f"at {100 * inside:.0f} % of the points."
    )
    assert sentences.sentence_residuals(largest_gap=NAN, at=NAN, share_inside=NAN) == ""


def test_predicted_shares_are_compared_and_small_groups_kept_out():
    table = pd.DataFrame(
        {
            "months": [6.0, 12.0, 24.0],
            "group": ["lower half", "upper half", "all loans"],
            "n_episodes": [100, 100, 9],
            "predicted": [0.3, 0.5, 0.9],
            "lower": [0.25, 0.52, 0.1],
            "upper": [0.35, 0.6, 0.2],
            "difference": [0.01, 0.06, -0.7],
        }
    )
    assert sentences.sentence_cure_calibration(table) == (
        "The interval of the observed share holds the predicted one in 1 of 2 comparisons; the largest difference is "
        "6.0 percentage points (upper half, by month 12)."
    )
    assert "in 1 of 1 comparison;" in sentences.sentence_cure_calibration(table.iloc[:1])
    assert sentences.sentence_cure_calibration(table.iloc[2:]).startswith("Predicted and observed shares could not be")
