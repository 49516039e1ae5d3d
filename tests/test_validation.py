"""Validation of the cure model: the clock set back, by hand and without a leak; and lights on books of known truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import ConvergenceError, InsufficientDataError, PlanError
from recoverykit.portfolio._validation_lights import AMBER, GREEN, LIMITS, NOT_JUDGED, RED, read_limits, worst_light
from recoverykit.portfolio._validation_measures import calibration_rows
from recoverykit.portfolio._validation_samples import (
    DEVELOPMENT,
    NEW,
    OPEN,
    OUT_OF_TIME,
    Forecast,
    Sample,
    new_defaults,
    open_loans,
    open_shares,
)
from recoverykit.portfolio._validation_stability import Recipe, bins_for, drift
from recoverykit.portfolio.validation import book_as_of, population_stability_index, validate_time_to_cure
from recoverykit.report.plots import (
    plot_calibration,
    plot_calibration_by_month,
    plot_discrimination,
    plot_never_cured,
    plot_parameter_stability,
)
from recoverykit.report.sentences import (
    sentence_calibration,
    sentence_discrimination,
    sentence_hindsight,
    sentence_holdout,
    sentence_stability,
    sentence_validation,
)
from recoverykit.report.validation import show_accuracy, show_calibration, show_discrimination, show_drift, show_lights

DRIVERS = ["ltv_ratio", "credit_score", "unemployment_rate_at_default"]
CUT_OFF = pd.Timestamp("2023-06-30")  # of the simulated books, a year before their reporting date
EXACT = 1e-12  # the same sums in another order
# Three standard errors of the share of some 20 % cured among some 400 loans of a population of a simulated book.
SAMPLING = 3 * (0.2 * 0.8 / 400) ** 0.5


def plain(text):
    return text.replace("\u202f", " ").replace("\u00a0", " ").replace("\u2212", "-")


@pytest.fixture
def hand_book(small_book):
    """Five loans, reporting date 2024-06-30."""
    return small_book(
        [
            {"default_date": "2023-01-31", "outcome": "cured", "outcome_date": "2023-06-30"},
            {"default_date": "2023-03-31", "outcome": "cured", "outcome_date": "2024-02-29"},
            {"default_date": "2024-01-31", "outstanding": 100.0},
            {"default_date": "2023-10-15", "outstanding": 100.0},
            {"default_date": "2023-11-30", "outcome": "sold", "outcome_date": "2024-01-10"},
        ],
        [("A", "2023-05-31", 5.0), ("B", "2024-01-31", 7.0)],
    )


class TestClockSetBack:
    def test_five_loans_as_known_half_a_year_earlier(self, hand_book):
        known = book_as_of(hand_book, pd.Timestamp("2023-12-31"))
        episodes = known.episodes.set_index("facility_id")
        # A had cured after 5 months and is 11 old; B, D and E are open: 9 months, 2 completed ones, 1; C is to come.
        assert episodes["outcome"].to_dict() == {"A": "cured", "B": "open", "D": "open", "E": "open"}
        assert episodes["months_in_default"].to_dict() == {"A": 5, "B": 9, "D": 2, "E": 1}
        assert episodes["observed_months"].to_dict() == {"A": 11, "B": 9, "D": 2, "E": 1}
        assert episodes["outcome_date"].notna().to_dict() == {"A": True, "B": False, "D": False, "E": False}
        assert known.cash_flows["amount"].tolist() == [5.0]
        assert known.reporting_date == pd.Timestamp("2023-12-31")
        assert known.exclusions["reason"].str.contains("2023-12-31").sum() == 3

    def test_a_late_entry_is_unknown_before_it_was_first_seen(self, hand_book):
        # E was first seen three months after its default, at the end of February.
        entry = hand_book.episodes["facility_id"].map({"E": 3}).fillna(0).astype(int)
        book = replace(hand_book, episodes=hand_book.episodes.assign(entry_months=entry))
        assert "E" not in set(book_as_of(book, pd.Timestamp("2023-12-31")).episodes["facility_id"])
        assert "E" in set(book_as_of(book, pd.Timestamp("2024-02-29")).episodes["facility_id"])

    def test_set_back_to_its_own_reporting_date_a_book_stays_what_it_is(self, sample_book):
        same = book_as_of(sample_book, sample_book.reporting_date)
        pd.testing.assert_frame_equal(same.episodes, sample_book.episodes)

    def test_a_later_date_and_a_date_before_the_first_default_are_refused(self, hand_book):
        with pytest.raises(ValueError, match="2024-07-31 lies after the reporting date 2024-06-30"):
            book_as_of(hand_book, pd.Timestamp("2024-07-31"))
        with pytest.raises(InsufficientDataError, match="no default episode was known on 2022-12-31"):
            book_as_of(hand_book, pd.Timestamp("2022-12-31"))

    def test_both_populations_by_hand(self, hand_book):
        known = book_as_of(hand_book, pd.Timestamp("2023-12-31"))
        new = new_defaults(hand_book, OUT_OF_TIME, after=known.reporting_date).frame.set_index("facility_id")
        assert new[["months", "followed_months", "outcome"]].to_dict("index") == {
            "C": {"months": 5, "followed_months": 5, "outcome": "open"}
        }
        later = open_loans(known, hand_book, OUT_OF_TIME).frame.set_index("facility_id")
        # B was 9 months old and cured in its 11th; D 2 months old and still open 6 later; E 1, sold in its second.
        assert later["age_months"].to_dict() == {"B": 9, "D": 2, "E": 1}
        assert later["months"].to_dict() == {"B": 2, "D": 6, "E": 1}
        # of the month from 15 December to 15 January D had lived 16 of 31 days
        assert later["month_passed"].to_dict() == pytest.approx({"B": 0, "D": 16 / 31, "E": 0}, abs=EXACT)
        assert later["followed_months"].tolist() == [6, 6, 6]

    def test_what_happened_after_the_cut_off_changes_neither_the_data_nor_the_model(self, simulated, judged):
        after = simulated.episodes["outcome_date"] > CUT_OFF
        later = simulated.episodes["default_date"] > CUT_OFF
        other = simulated.episodes.assign(
            outcome=simulated.episodes["outcome"].mask(after, "written_off"),
            outcome_date=simulated.episodes["outcome_date"].mask(after, simulated.reporting_date),
        )[~later].reset_index(drop=True)
        changed = replace(simulated, episodes=other)
        pd.testing.assert_frame_equal(book_as_of(changed, CUT_OFF).episodes, book_as_of(simulated, CUT_OFF).episodes)
        again = validate(changed)
        for name, query in (("calibration", "period == 'development'"), ("parameters", "known_at == '2023-06-30'")):
            before, now = (getattr(v, name).query(query).reset_index(drop=True) for v in (judged, again))
            pd.testing.assert_frame_equal(now[before.columns], before)
        assert again.choice == judged.choice


class TestPredictions:
    class Line:
        """P(cured by t) = t / 10, up to a half."""

        def predict_cumulative_incidence(self, frame, times):
            values = np.minimum(np.array(times) / 10.0, 0.5)
            return pd.DataFrame(np.tile(values, (len(frame), 1)), index=frame.index, columns=times)

    def test_an_open_loan_is_predicted_given_that_it_is_still_open(self):
        # Age 3 with one dead month: F(2) = .2 has cured, F(4) = .4 will have two months later. Of the .8 not cured half
        # were still open: (.4 - .2) / (.8 x .5) = .5. At age 9 beyond the shares known, the last one holds: F(8) = .5,
        # nothing more comes.
        forecast = Forecast(self.Line(), 1, {"all": np.array([1.0, 1.0, 0.8, 0.5])}, None)
        sample = Sample(OPEN, OUT_OF_TIME, pd.DataFrame({"age_months": [3, 9], "month_passed": 0.0}))
        assert forecast.predict(sample, [2])[:, 0] == pytest.approx([0.5, 0.0], abs=EXACT)
        # Halfway through its third month .15 has cured and .65 of the others are open; F(3) = .3 by month 4.
        half = Sample(OPEN, OUT_OF_TIME, pd.DataFrame({"age_months": [2], "month_passed": [0.5]}))
        assert forecast.predict(half, [2]).item() == pytest.approx((0.3 - 0.15) / (0.85 * 0.65), abs=EXACT)
        new = Sample(NEW, OUT_OF_TIME, pd.DataFrame({"age": [0]}))
        assert forecast.predict(new, [1, 3, 6]).tolist() == [[0.0, 0.2, 0.5]]

    def test_the_share_still_open_among_those_not_cured_by_hand(self, small_book):
        # Of twenty loans five cured and five were sold in the second month: of the fifteen not cured ten are open.
        loans = [{"default_date": "2024-02-29", "outcome": "cured", "outcome_date": "2024-04-30"}] * 5
        loans += [{"default_date": "2024-02-29", "outcome": "sold", "outcome_date": "2024-04-30"}] * 5
        loans += [{"default_date": "2024-02-29", "outstanding": 100.0}] * 10
        shares = open_shares(small_book(loans), "product")
        assert shares["all"] == pytest.approx([1, 1, 2 / 3, 2 / 3, 2 / 3], abs=EXACT)
        assert shares["loan"] == pytest.approx(shares["all"], abs=EXACT)

    def test_a_book_that_is_all_open_needs_no_share(self, small_book):
        book = small_book([{"default_date": "2024-02-29", "outstanding": 100.0}] * 12)
        assert open_shares(book, None)["all"].tolist() == [1.0]

    def test_a_month_that_no_loan_reached_is_not_told_and_not_read_as_no_cure(self):
        frame = pd.DataFrame(
            {"months": [2, 3], "followed_months": [8, 8], "outcome": ["cured", "sold"], "p6": [0.5, 0.5]}
        )
        row = calibration_rows(Sample(NEW, OUT_OF_TIME, frame), frame, [6], 0.95).iloc[0]
        assert (row["predicted"], row["n_cures"], row["n_followed"]) == (0.5, 1, 2)
        assert np.isnan(row["observed"])
        none = frame.assign(outcome="sold")
        assert calibration_rows(Sample(NEW, OUT_OF_TIME, none), none, [6], 0.95)["observed"].item() == 0.0


class TestStabilityIndex:
    def test_six_loans_of_two_kinds(self):
        # 4 of 6 against 3 of 6: (3/6 - 4/6) log(3/4) + (3/6 - 2/6) log(3/2) = .0479 + .0676
        value = population_stability_index(list("aaaabb"), list("aaabbb"))
        assert value == pytest.approx((1 / 6) * (np.log(4 / 3) + np.log(3 / 2)), abs=EXACT)

    def test_an_empty_bin_counts_half_a_loan(self):
        # 3 of 6 in each half before; all above later: (1/12 - 1/2) log(1/6) + (1 - 1/2) log 2
        value = population_stability_index([1, 2, 3, 4, 5, 6], [4, 4, 5, 5, 6, 6], n_bins=2)
        assert value == pytest.approx((1 / 12 - 1 / 2) * np.log(1 / 6) + 0.5 * np.log(2), abs=EXACT)

    def test_it_is_zero_for_the_same_sample_and_does_not_mind_the_unit(self):
        rng = np.random.default_rng(3)
        before, after = rng.normal(size=500), rng.normal(0.3, 1.0, size=400)
        assert population_stability_index(before, before) == pytest.approx(0, abs=EXACT)
        in_cents = population_stability_index(100 * before, 100 * after)
        assert in_cents == pytest.approx(population_stability_index(before, after), abs=EXACT)

    def test_its_value_by_chance_is_the_one_that_stands_beside_it(self):
        # Mean of 200 pairs of samples of one distribution; its own standard error is some 4 % of it.
        rng = np.random.default_rng(5)
        made = [population_stability_index(rng.normal(size=1000), rng.normal(size=300)) for _ in range(200)]
        frames = [
            pd.DataFrame({"x": rng.normal(size=n), "default_date": pd.Timestamp("2024-01-31")}) for n in (1000, 300)
        ]
        beside = drift(*frames, {"x": "driver"})["by_chance"].item()
        assert np.mean(made) == pytest.approx(beside, rel=0.15)

    def test_by_chance_counts_the_kinds_of_a_category(self):
        dates = pd.to_datetime(["2024-01-31"] * 60)
        frame = pd.DataFrame({"default_date": dates, "kind": list("abc") * 20, "flag": [0.0, 1.0] * 30})
        table = drift(frame, frame, {"kind": "driver", "flag": "driver"}).set_index("item")
        # two bins apart from one, and one apart from one: 2 (1/60 + 1/60) and 1 (1/60 + 1/60)
        assert table["by_chance"].tolist() == pytest.approx([2 / 30, 1 / 30], abs=EXACT)

    def test_few_loans_get_few_bins(self):
        assert [bins_for(n) for n in (0, 39, 60, 1000)] == [2, 2, 3, 10]

    def test_what_is_missing_empty_or_of_one_bin_is_refused(self):
        with pytest.raises(ValueError, match="a value is missing"):
            population_stability_index([1.0, np.nan], [1.0])
        with pytest.raises(InsufficientDataError, match="nothing to compare"):
            population_stability_index([1.0], [])
        with pytest.raises(ValueError, match="n_bins is 1"):
            population_stability_index([1.0], [1.0], n_bins=1)

    def test_a_driver_of_the_calendar_is_told_from_a_driver_of_the_loan(self):
        dates = pd.to_datetime(["2024-01-31"] * 3 + ["2024-02-29"] * 3)
        frame = pd.DataFrame({"default_date": dates, "rate": [1.0] * 3 + [2.0] * 3, "score": [1.0, 2, 3, 1, 2, 3]})
        later = frame.assign(rate=3.0, score=[1.0, 2, 3, 4, 5, 6])
        table = drift(frame, later, {"rate": "driver", "score": "driver"})
        assert table["role"].tolist() == ["calendar", "driver"]
        assert table["outside_share"].tolist() == [1.0, 0.5]


class TestLights:
    @pytest.mark.parametrize(
        ("value", "light"), [(0.05, GREEN), (0.051, AMBER), (0.10, AMBER), (0.11, RED), (np.nan, NOT_JUDGED)]
    )
    def test_a_value_above_a_limit_changes_the_light(self, value, light):
        assert LIMITS["auc_drop"].light(value) == light

    def test_every_limit_says_who_says_so(self):
        assert all(limit.source and 0 <= limit.amber < limit.red for limit in LIMITS.values())

    def test_a_run_sets_its_own_limits_and_they_say_so(self):
        limits = read_limits(["auc_drop 0.03 0.06"])
        assert (limits["auc_drop"].amber, limits["auc_drop"].red) == (0.03, 0.06)
        assert limits["auc_drop"].source == "set in the parameters of this run"
        assert limits["change_z"] == LIMITS["change_z"]

    def test_all_that_is_wrong_with_limits_is_said_at_once(self):
        with pytest.raises(PlanError) as caught:
            read_limits(["auc_drop 0.03", "acu_drop 0.1 0.2", "change_z 3 2", ""])
        for said in ("'auc_drop 0.03' is no limit", "no limit 'acu_drop'", "red at least as much", "'' is no limit"):
            assert said in str(caught.value)

    def test_the_overall_light_is_green_only_where_the_holdout_was_judged(self):
        lights = pd.DataFrame({"population": [NEW, ""], "light": [GREEN, GREEN]})
        assert worst_light(lights) == GREEN
        assert worst_light(lights.assign(light=[NOT_JUDGED, GREEN])) == NOT_JUDGED
        assert worst_light(lights.assign(light=[NOT_JUDGED, AMBER])) == AMBER
        assert worst_light(lights.assign(light=[AMBER, RED])) == RED


def simulate(rng, *, n_loans=1600, slowed=1.0):
    """Loans of a known cure model with a competing write-off, reporting date 2024-06-30, cut-off a year before.

    A loan with score x cures some day with odds exp(.2 + .9 x), 2 + W months after default, W Weibull of shape 1.3 and
    scale 6 exp(-.3 x), rounded up; any other is written off after an exponential time of mean 25 months. What would
    still take a month after the cut-off takes ``slowed`` months there.
    """
    age = rng.integers(0, 48, n_loans)
    x = rng.normal(size=n_loans)
    cures = rng.random(n_loans) < 1 / (1 + np.exp(-(0.2 + 0.9 * x)))
    waiting = 2 + np.ceil(6 * np.exp(-0.3 * x) * rng.weibull(1.3, n_loans))
    written_off = np.ceil(rng.exponential(25, n_loans))
    before = np.maximum(age - 12, 0)  # months in default at the cut-off
    late = cures & (waiting > before)
    waiting = np.where(late, before + np.ceil((waiting - before) * slowed), waiting)
    months = np.where(cures, waiting, np.maximum(written_off, 1)).astype(int)
    is_open = months > age
    dates = pd.DatetimeIndex([pd.Timestamp("2024-06-30") - pd.offsets.MonthEnd(int(a)) for a in age])
    ends = [d + pd.offsets.MonthEnd(int(m)) for d, m in zip(dates, months, strict=True)]
    return [
        {
            "facility_id": f"F{k:05d}",
            "obligor_id": f"o{k:05d}",
            "default_date": dates[k],
            "outcome": "open" if is_open[k] else "cured" if cures[k] else "written_off",
            "outcome_date": None if is_open[k] else ends[k],
            "outstanding": 100.0 if is_open[k] else None,
            "score": x[k],
        }
        for k in range(n_loans)
    ]


@pytest.fixture(scope="module")
def simulated(small_book):
    return small_book(simulate(np.random.default_rng(20240630)))


@pytest.fixture(scope="module")
def judged(simulated):
    return validate(simulated)


@pytest.fixture(scope="module")
def slowed(small_book):
    book = small_book(simulate(np.random.default_rng(20240630), slowed=2.5))
    return validate(book)


def validate(book, drivers=("score",), **options):
    """Validate the whole of a simulated book, whose latency is known to be Weibull."""
    return validate_time_to_cure(book, "all", drivers=[*drivers], distributions=["weibull"], **options)


def later(table, population):
    return table[(table["population"] == population) & (table["period"] == OUT_OF_TIME)].iloc[-1]


class TestKnownTruth:
    def test_as_many_cure_as_predicted_in_both_populations_where_the_model_is_true(self, judged):
        for population in (NEW, OPEN):
            row = later(judged.calibration, population)
            assert row["observed"] == pytest.approx(row["predicted"], abs=SAMPLING)
            assert row["n_cures"] > 50
        assert (judged.lights.loc[judged.lights["check"] == "calibration", "light"] == GREEN).all()
        assert RED not in set(judged.lights["light"])

    def test_predictions_of_a_month_in_which_nobody_can_have_cured_do_not_pass_for_stable(self, simulated):
        # After two months of three of probation every prediction is 0, then as now.
        lights = validate(simulated, judged_month=2).lights.set_index("check")["light"]
        assert lights["predictions"] == NOT_JUDGED
        assert lights["drivers"] == GREEN

    def test_cures_slowed_after_the_cut_off_turn_the_light_red(self, judged, slowed):
        light = slowed.lights.set_index(["check", "population"])["light"]
        assert light["calibration", NEW] == RED
        assert light["calibration", OPEN] == RED
        assert slowed.light == RED
        for population in (NEW, OPEN):
            row = later(slowed.calibration, population)
            assert row["observed"] < row["lower"] + SAMPLING < row["predicted"] + SAMPLING
            assert row["z"] < 0
        # The past is the same, so that the model is.
        at_cut_off = [v.parameters.query("known_at == '2023-06-30'") for v in (judged, slowed)]
        pd.testing.assert_frame_equal(*at_cut_off)

    @pytest.mark.slow
    def test_over_twenty_books_of_the_true_model_z_is_standard_normal_and_no_light_is_red(self, small_book):
        made = [validate(small_book(simulate(np.random.default_rng(seed)))) for seed in range(20)]
        assert RED not in {light for found in made for light in found.lights["light"]}
        for population in (NEW, OPEN):
            z = np.array([later(found.calibration, population)["z"] for found in made])
            assert abs(z.mean()) < 3 / 20**0.5  # three standard errors of a mean of twenty
            assert 0.6 < z.std(ddof=1) < 1.5  # 99 % of a chi distribution with 19 degrees of freedom

    def test_a_true_driver_ranks_loans_and_takes_part_of_the_brier_score_away(self, judged):
        for population in (NEW, OPEN):
            auc = judged.discrimination.query("measure == 'auc'")
            assert later(auc, population)["lower"] > 0.5
            assert later(judged.accuracy, population)["prediction_accuracy_index"] > 0

    def test_expected_and_observed_cures_are_shares_times_loans(self, judged):
        table = judged.calibration
        assert (table["expected_cures"] == table["predicted"] * table["n_episodes"]).all()
        # Every open loan was followed for the whole holdout, so that its cures are counted, not estimated.
        counted = table[table["population"] == OPEN]
        assert counted["observed_cures"].to_numpy() == pytest.approx(counted["n_cures"].to_numpy(float), abs=1e-6)

    def test_the_groups_hold_all_loans_and_the_mean_prediction(self, judged):
        groups = judged.calibration_groups
        for population in (NEW, OPEN):
            part, whole = groups[groups["population"] == population], later(judged.calibration, population)
            assert part["n_episodes"].sum() == whole["n_episodes"]
            assert part["expected_cures"].sum() == pytest.approx(whole["expected_cures"])
            assert part["predicted"].is_monotonic_increasing

    def test_parameters_are_told_at_four_dates_and_their_intervals_narrow(self, judged):
        never = judged.parameters[judged.parameters["part"] == "never"].sort_values("known_at")
        assert never["known_at"].tolist() == ["2021-06-30", "2022-06-30", "2023-06-30", "2024-06-30"]
        width = (never["upper"] - never["lower"]).to_numpy()
        assert width[-1] < width[0]
        assert never["n_cures"].is_monotonic_increasing

    def test_a_driver_that_moves_shows_in_its_stability_index(self, simulated):
        is_new = simulated.episodes["default_date"] > CUT_OFF
        moved = simulated.episodes.assign(score=simulated.episodes["score"] + 1.0 * is_new)
        found = validate(replace(simulated, episodes=moved))
        light = found.lights.set_index("check")["light"]
        assert light["drivers"] == RED
        assert light["predictions"] == RED


@pytest.fixture(scope="module")
def found(sample_book):
    return validate_time_to_cure(sample_book, "mortgage", drivers=[*DRIVERS, "colour"])


class TestSample:
    def test_the_model_is_the_segments_own_and_a_driver_the_data_lack_is_left_out(self, found, sample_book):
        assert found.basis.is_own
        assert found.drivers == ("ltv_ratio", "credit_score", "unemployment_rate_at_default")
        assert found.cut_off == pd.Timestamp("2025-09-30")
        mortgages = sample_book.restricted("mortgage").episodes
        assert found.count("n_episodes", NEW) == (mortgages["default_date"] > found.cut_off).sum()

    def test_the_rate_of_the_calendar_is_not_judged(self, found):
        assert found.stability.set_index("item")["role"]["unemployment_rate_at_default"] == "calendar"

    def test_young_cures_are_provisional_only_where_defaults_are_merged(self, found, judged, sample_book):
        own = sample_book.restricted("mortgage").episodes
        young = (own["outcome"] == "cured") & (own["outcome_date"] > pd.Timestamp("2025-12-31"))
        assert found.hindsight() == {"n_provisional_cures": young.sum(), "merge_months": 9, "n_unpredictable": 0}
        assert judged.hindsight()["n_provisional_cures"] == 0  # episodes that a bank brings are final

    def test_tables_can_be_written_and_the_record_holds_the_lights(self, found):
        tables = found.tables()
        assert {"discrimination", "calibration", "stability", "limits"} <= set(tables)
        assert all(isinstance(table.index, pd.RangeIndex) for table in tables.values())
        record = found.record()
        assert record["cut_off"] == "2025-09-30"
        assert len(record["lights"]) == len(found.lights) == 10

    def test_a_long_holdout_says_at_which_dates_too_little_was_known(self, sample_book):
        found = validate_time_to_cure(sample_book, "all", drivers=[], distributions=["weibull"], holdout_months=24)
        assert found.facts["dates_not_fitted"][0] == "2020-09-30"
        assert found.parameters["known_at"].nunique() == 4 - len(found.facts["dates_not_fitted"])

    def test_without_any_driver_the_reference_is_the_model_itself(self, sample_book):
        found = validate_time_to_cure(sample_book, "credit_card", drivers=[], distributions=["weibull"])
        assert later(found.accuracy, OPEN)["brier_ratio"] == 1.0
        assert found.lights.set_index("check").loc["drivers", "light"] == NOT_JUDGED


class TestTooLittle:
    def test_a_book_without_cure_has_nothing_to_validate_and_says_why(self, hand_book):
        episodes = hand_book.episodes.assign(outcome=hand_book.episodes["outcome"].replace("cured", "sold"))
        found = validate_time_to_cure(replace(hand_book, episodes=episodes), "all", drivers=["ltv_ratio"])
        assert "no cured episodes in the whole book" in found.note
        assert found.light == NOT_JUDGED
        assert set(found.lights["light"]) == {NOT_JUDGED}
        assert [*found.tables()] == ["limits"]
        assert found.record()["basis"] is None
        assert np.isnan(found.count("n_episodes", OPEN))  # not known to be none
        figures = [
            plot_discrimination(found.discrimination),
            plot_calibration(found.calibration_groups),
            plot_calibration_by_month(found.calibration),
            plot_parameter_stability(found.parameters),
            plot_never_cured(found.parameters),
        ]
        assert all("show" in figure.alt for figure in figures)
        for show, table in (
            (show_discrimination, found.discrimination),
            (show_calibration, found.calibration),
            (show_accuracy, found.accuracy),
            (show_drift, found.stability),
        ):
            assert len(show(table).text.splitlines()) <= 2
        said = sentence_validation(found.lights, n_cures=0, minimum_cures=30, note=found.note)
        assert said.startswith("There is no model to validate here: no cured episodes")
        assert sentence_holdout(found.samples, cut_off=found.cut_off, reporting_date="2024-06-30", holdout_months=12)

    def test_that_none_came_where_many_cures_were_expected_is_red_and_not_unjudged(self, simulated):
        since = (simulated.episodes["outcome_date"] > CUT_OFF) & (simulated.episodes["outcome"] == "cured")
        none = simulated.episodes.assign(outcome=simulated.episodes["outcome"].mask(since, "written_off"))
        found = validate(replace(simulated, episodes=none))
        assert (found.count("n_cures", NEW), found.count("n_cures", OPEN)) == (0, 0)
        light = found.lights.set_index(["check", "population"])["light"]
        for population in (NEW, OPEN):
            assert later(found.calibration, population)["observed"] == 0.0
            assert light["calibration", population] == RED
            assert light["discrimination", population] == NOT_JUDGED
        assert "0.0 % were: a difference that chance does not explain" in plain(
            sentence_calibration(found.calibration, found.lights)
        )

    def test_a_holdout_with_few_cures_expected_and_seen_is_not_judged(self, simulated):
        few = simulated.episodes[(simulated.episodes["default_date"] <= CUT_OFF)]
        is_open = (few["outcome"] == "open") | (few["outcome_date"] > CUT_OFF)
        few = few[~is_open | (np.arange(len(few)) % 12 == 0)].reset_index(drop=True)
        found = validate(replace(simulated, episodes=few))
        assert 0 < found.count("n_episodes", OPEN) < 60
        assert set(found.lights.loc[found.lights["population"] != "", "light"]) == {NOT_JUDGED}
        said = sentence_validation(found.lights, n_cures=found.count("n_cures", OPEN), minimum_cures=30)
        assert "cannot be judged" in said or "could not be judged" in said

    def test_a_segment_that_was_not_there_at_the_cut_off_says_so(self, simulated):
        is_new = simulated.episodes["default_date"] > CUT_OFF
        episodes = simulated.episodes.assign(product=np.where(is_new, "leasing", "loan"))
        found = validate_time_to_cure(replace(simulated, episodes=episodes), "leasing", drivers=["score"])
        assert "no default episode in segment 'leasing' as of 2023-06-30" in found.note

    def test_loans_that_the_model_cannot_predict_are_left_out_and_counted(self, simulated):
        is_new = simulated.episodes["default_date"] > CUT_OFF
        kind = np.where(np.arange(len(is_new)) % 2, "a", "b").astype(object)
        kind[np.flatnonzero(is_new)[:12]] = "c"
        found = validate(replace(simulated, episodes=simulated.episodes.assign(kind=kind)), drivers=("score", "kind"))
        assert found.facts["n_unpredictable"] == 12
        assert found.count("n_episodes", NEW) == is_new.sum() - 12

    def test_without_a_reference_model_the_drivers_are_not_judged_and_the_rest_is(self, simulated, monkeypatch):
        def failing(self):
            raise ConvergenceError("no start converged")

        monkeypatch.setattr(Recipe, "without_drivers", property(failing))
        found = validate(simulated)
        light = found.lights.set_index(["check", "population"])["light"]
        assert light["accuracy", OPEN] == NOT_JUDGED
        assert light["calibration", OPEN] == GREEN
        assert "Nothing to show" in show_accuracy(found.accuracy).html

    def test_a_holdout_of_no_month_is_refused(self, simulated):
        with pytest.raises(ValueError, match="holdout_months is 0"):
            validate_time_to_cure(simulated, "all", drivers=[], holdout_months=0)


LIGHTS = pd.DataFrame(
    [
        ("discrimination", NEW, "auc_drop", 0.02, GREEN),
        ("calibration", NEW, "calibration_z", 2.2, AMBER),
        ("calibration", OPEN, "calibration_z", 3.1, RED),
        ("accuracy", OPEN, "brier_ratio", np.nan, NOT_JUDGED),
        ("never_cured", "", "change_z", 0.3, GREEN),
    ],
    columns=["check", "population", "limit", "value", "light"],
).assign(amber=0.05, red=0.10, source="house convention")
HALVES = {"never_earlier": 0.5, "never_later": 0.625}


class TestSentences:
    def test_a_red_light_comes_first_and_carries_the_verdict(self):
        said = sentence_validation(LIGHTS, n_cures=80, minimum_cures=30)
        assert said == (
            "Of 4 checks 2 lie within limits; beyond the red limit lies the number of cures among loans already open; "
            "between amber and red lies the number of cures among new defaults. The model should not be relied on for "
            "these loans before this is explained. 1 check could not be judged, mostly for want of cures: 80 loans "
            "cured since the cut-off, and a light needs 30 in either population."
        )

    def test_loans_that_have_changed_are_no_failure_of_the_model(self):
        lights = LIGHTS.assign(check=["predictions", "drivers", *LIGHTS["check"][2:]], population="", light=GREEN)
        said = sentence_validation(lights.assign(light=[RED, AMBER, *[GREEN] * 3]), n_cures=80, minimum_cures=30)
        assert "beyond the red limit lies the mix of the predictions" in said
        assert "The loans have changed" in said
        assert "should not be relied on" not in said

    def test_amber_alone_is_a_reservation(self):
        said = sentence_validation(LIGHTS[LIGHTS["light"] != RED], n_cures=80, minimum_cures=30)
        assert "may be used with this reservation" in said
        assert "red" not in said.split(";")[0]

    def test_green_lights_that_needed_no_cure_are_no_proof(self):
        lights = LIGHTS.assign(light=[NOT_JUDGED] * 4 + [GREEN])
        said = sentence_validation(lights, n_cures=7, minimum_cures=30)
        assert said.startswith("What came since the cut-off cannot be judged: fewer than 10 loans cured")
        assert "no proof" in said

    def test_what_was_set_apart_withholds_small_counts(self):
        rows = [(NEW, DEVELOPMENT, 900, 300), (NEW, OUT_OF_TIME, 40, 4), (OPEN, OUT_OF_TIME, 60, 0)]
        samples = pd.DataFrame(rows, columns=["population", "period", "n_episodes", "n_cures"])
        said = sentence_holdout(samples, cut_off="2025-09-30", reporting_date="2026-09-30", holdout_months=12)
        assert plain(said) == (
            "The clock was set back by 12 months, to 30 September 2025. The model was estimated on what was known "
            "then: 900 loans watched from default on, of which 300 had cured. It is tried on 60 loans that were open "
            "then, of which none had cured by 30 September 2026, and on 40 loans that defaulted since, of which fewer "
            "than 10 had."
        )

    def test_one_loan_reads_as_a_few_do(self):
        def told(n):
            rows = [(NEW, DEVELOPMENT, n, n), (NEW, OUT_OF_TIME, n, n), (OPEN, OUT_OF_TIME, n, n)]
            samples = pd.DataFrame(rows, columns=["population", "period", "n_episodes", "n_cures"])
            dates = {"cut_off": "2025-09-30", "reporting_date": "2026-09-30", "holdout_months": 12}
            return sentence_holdout(samples, **dates), sentence_validation(LIGHTS, n_cures=n, minimum_cures=30)

        assert told(1) == told(7)  # a singular would tell the number that is withheld

    def test_the_only_check_beyond_its_limit_is_not_one_of_several(self):
        said = sentence_validation(LIGHTS.iloc[1:2], n_cures=80, minimum_cures=30)
        assert said.startswith("Between amber and red lies the number of cures among new defaults. ")

    def test_hindsight_is_owned_up_to_only_where_there_is_any(self):
        assert sentence_hindsight(n_provisional_cures=0, merge_months=9, n_unpredictable=0) == ""
        said = plain(sentence_hindsight(n_provisional_cures=25, merge_months=9, n_unpredictable=3))
        assert "A default within 9 months of a cure undoes it" in said
        assert "25 are so young" in said
        assert "Left out: fewer than 10 loans" in said

    def test_calibration_is_told_with_its_light(self):
        table = pd.DataFrame(
            {
                "population": [NEW, OPEN],
                "period": OUT_OF_TIME,
                "months": [6, 12],
                "n_episodes": [40, 200],
                "n_cures": [4, 50],
                "predicted": [0.2, 0.3],
                "observed": [0.1, 0.25],
                "lower": [0.05, 0.2],
                "upper": [0.2, 0.31],
                "z": [-1.0, -3.1],
            }
        )
        said = plain(sentence_calibration(table, LIGHTS))
        assert "fewer than 10 of 40 loans were: a difference at the edge of chance." in said
        assert (
            "Of loans already open, 30.0 % were expected to be cured by month 12 after the cut-off, and 25.0 % (20.0 % "
            "to 31.0 %) were: a difference that chance does not explain (z -3.10)." in said
        )

    def test_a_share_that_could_not_be_observed_is_said_so(self):
        row = {"population": OPEN, "period": OUT_OF_TIME, "months": 12, "n_episodes": 40, "n_cures": 12}
        unknown = dict.fromkeys(("observed", "lower", "upper", "z"), np.nan)
        said = plain(sentence_calibration(pd.DataFrame([row | {"predicted": 0.3} | unknown]), LIGHTS.iloc[:0]))
        assert "by month 12 after the cut-off, and how many were cannot be told: too few cures to judge." in said
        assert "n/a" not in said

    def test_ranking_is_told_against_development(self):
        rows = [(NEW, OUT_OF_TIME, 0.6, 0.55, 0.65), (NEW, DEVELOPMENT, 0.62, 0.6, 0.64)]
        table = pd.DataFrame(rows, columns=["population", "period", "value", "lower", "upper"])
        said = plain(sentence_discrimination(table.assign(measure="auc", months=6), LIGHTS))
        assert said == (
            "Among new defaults, a loan that cures by month 6 has the higher prediction in 60.0 % (55.0 % to 65.0 %) "
            "of pairs out of time, against 62.0 % in development: the loss, if any, lies within its limit. The ranking "
            "of loans already open cannot be judged."
        )

    def test_stability_names_what_changed_and_when_too_little_was_known(self):
        said = plain(
            sentence_stability(
                lights=LIGHTS,
                halves=HALVES,
                choice="weibull",
                choice_today="lognormal",
                dates_not_fitted=["2020-09-30"],
            )
        )
        assert "Within limits: the share that never cures in earlier and later vintages." in said
        assert (
            "By the earlier half of the vintages 50.0 % of the same loans never cure, by the later half 62.5 %." in said
        )
        assert "chosen at the cut-off was Weibull, today it is log-normal" in said
        assert said.endswith("Too little was known for an estimate at 30 September 2020.")


class TestFigures:
    def test_ranking_draws_each_measure_in_both_periods(self, judged):
        figure = plot_discrimination(judged.discrimination)
        drawn = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
        shown = judged.discrimination[judged.discrimination["measure"].isin(["auc", "concordance"])]
        assert sorted(x for line in drawn for x in line.get_xdata()) == pytest.approx(sorted(shown["value"]))
        assert f"{later(shown[shown['measure'] == 'auc'], OPEN)['value']:.2f}" in figure.alt

    def test_calibration_draws_the_groups_of_both_populations(self, judged):
        figure = plot_calibration(judged.calibration_groups)
        for ax, population in zip(figure.axes, (NEW, OPEN), strict=True):
            part = judged.calibration_groups[judged.calibration_groups["population"] == population]
            dots = next(line for line in ax.lines if line.get_label() == "observed")
            assert dots.get_xdata().tolist() == part["predicted"].tolist()
            assert dots.get_ydata().tolist() == part["observed"].tolist()

    def test_calibration_by_month_draws_predicted_from_nought_and_observed(self, judged):
        figure = plot_calibration_by_month(judged.calibration)
        part = judged.calibration[judged.calibration["population"] == OPEN].query("period == 'out_of_time'")
        line, dots = (
            next(x for x in figure.axes[1].lines if x.get_label() == name) for name in ("predicted", "observed")
        )
        assert line.get_ydata().tolist() == [0.0, *part["predicted"]]
        assert dots.get_xdata().tolist() == part["months"].tolist()

    def test_groups_of_a_population_with_few_cures_are_not_drawn(self, judged):
        few = judged.calibration_groups.assign(n_cures=7)
        assert plot_calibration(few).alt == "Too few cures to show."
        by_month = judged.calibration.assign(n_cures=7)
        assert plot_calibration_by_month(by_month).alt == "Too few cures to show."

    def test_drivers_stand_as_ratios_for_every_date(self, judged):
        figure = plot_parameter_stability(judged.parameters)
        drawn = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
        told = judged.parameters.query("part == 'incidence' and term == 'score'").sort_values("known_at")
        assert [line.get_xdata().item() for line in drawn] == pytest.approx(np.exp(told["estimate"]).tolist())
        assert "Moved most" in figure.alt

    def test_the_share_that_never_cures_is_drawn_with_its_interval(self, judged):
        figure = plot_never_cured(judged.parameters)
        dots = next(line for line in figure.axes[0].lines if line.get_label() == "never cured")
        never = judged.parameters.query("part == 'never'")["estimate"]
        assert sorted(dots.get_ydata()) == pytest.approx(sorted(never))


class TestTables:
    def test_lights_are_told_by_word_and_mark_not_by_colour_alone(self):
        block = show_lights(LIGHTS)
        for words in ("✗ red", "! amber", "✓ green", "– not judged"):
            assert words in block.text
            assert words in block.html
        assert "The number of cures among loans already open | Calibration, z | 3.100 | 0.05 | 0.10" in block.text

    def test_rows_on_few_cures_are_withheld_but_say_their_month(self, judged):
        text = show_calibration(judged.calibration.assign(n_cures=4)).text.splitlines()
        assert all("<10" in line and "%" not in line for line in text[2:])
        assert " | 6 | " in text[-1] or " | 12 | " in text[-1]
        accuracy = show_accuracy(judged.accuracy.assign(n_cures=4)).text
        assert "0." not in accuracy

    def test_each_table_shows_every_row(self, judged):
        for show, table in (
            (show_discrimination, judged.discrimination),
            (show_calibration, judged.calibration),
            (show_accuracy, judged.accuracy),
            (show_drift, judged.stability),
        ):
            assert len(show(table).text.splitlines()) == 2 + len(table)
