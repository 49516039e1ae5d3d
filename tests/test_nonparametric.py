"""Kaplan-Meier and Aalen-Johansen curves: by hand, against R, against lifelines, and what must always hold."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import AalenJohansenFitter, KaplanMeierFitter, NelsonAalenFitter

from recoverykit.errors import ContractError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators import _curve_rows
from recoverykit.estimators import _nonparametric_kernels as kernels
from recoverykit.estimators._distinct_rows import distinct_rows
from recoverykit.estimators.nonparametric import (
    aalen_johansen,
    aalen_johansen_by,
    kaplan_meier,
    kaplan_meier_by,
    nelson_aalen,
    nelson_aalen_by,
)

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE") or Path(__file__).parents[2] / "shared" / "reference")
EXACT = 1e-12  # sums and products of a few dozen numbers of order 1
REFERENCE_TOLERANCE = 1e-7  # what was asked for; the files hold 15 digits
VARIANCE_ROUNDING = 1e-7  # square root of a rounding of 1e-14 in a variance

# Seven loans. Month 0: one resolves on the day of default. Month 3: two cured, one sold, of six. Month 5: one is open
# and leaves. Month 6: one of two is cured. Month 9: the last is open.
SEVEN = pd.DataFrame(
    {
        "months": [0, 3, 3, 3, 5, 6, 9],
        "outcome": ["repaid", "cured", "cured", "sold", "open", "cured", "open"],
        "product": ["card", "card", "card", "auto", "auto", "auto", "auto"],
    }
).assign(resolved=lambda f: f["outcome"] != "open")


@pytest.fixture(scope="module")
def reference():
    folder = REFERENCE / "survival"
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; set RECOVERYKIT_REFERENCE")
    return folder


def km(frame, **options):
    return kaplan_meier(frame, duration_col="months", event_col="resolved", **options)


def aj(frame, **options):
    return aalen_johansen(frame, duration_col="months", outcome_col="outcome", **options)


def na(frame, **options):
    return nelson_aalen(frame, duration_col="months", event_col="resolved", **options)


def assert_same_curve(left, right, atol=EXACT):
    for name in ("times", "values", "lower", "upper", "standard_errors", "n_at_risk"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=0, atol=atol, err_msg=name)


class TestByHand:
    def test_survival_of_seven_loans(self):
        curve = km(SEVEN)
        # 6/7, then 3 of 6 go: 6/7 * 1/2 = 3/7, month 5 nothing, then 1 of 2: 3/14.
        np.testing.assert_allclose(curve.times, [0, 3, 5, 6, 9])
        np.testing.assert_allclose(curve.n_at_risk, [7, 6, 3, 2, 1])
        np.testing.assert_allclose(curve.values, [6 / 7, 3 / 7, 3 / 7, 3 / 14, 3 / 14], atol=EXACT)
        # Greenwood: 1/(7*6) + 3/(6*3) + 1/(2*1)
        greenwood = [1 / 42, 1 / 42 + 1 / 6, 1 / 42 + 1 / 6, 1 / 42 + 1 / 6 + 1 / 2, 1 / 42 + 1 / 6 + 1 / 2]
        np.testing.assert_allclose(curve.standard_errors, curve.values * np.sqrt(greenwood), atol=EXACT)

    def test_each_outcome_gets_its_share_of_what_was_left(self):
        curves = aj(SEVEN)
        assert list(curves) == ["cured", "repaid", "sold"]
        # cured: 6/7 * 2/6 = 2/7 at month 3, + 3/7 * 1/2 = 3/14 at month 6; repaid 1/7 at 0; sold 6/7 * 1/6 = 1/7.
        np.testing.assert_allclose(curves["cured"].values, [0, 2 / 7, 2 / 7, 1 / 2, 1 / 2], atol=EXACT)
        np.testing.assert_allclose(curves["repaid"].values, [1 / 7] * 5, atol=EXACT)
        np.testing.assert_allclose(curves["sold"].values, [0, 1 / 7, 1 / 7, 1 / 7, 1 / 7], atol=EXACT)

    def test_standard_error_before_any_censoring_is_binomial(self):
        # Up to month 3 nobody is censored: 2 of 7 cured, so sqrt(2/7 * 5/7 / 7).
        assert aj(SEVEN)["cured"].standard_errors[1] == pytest.approx(np.sqrt(2 / 7 * 5 / 7 / 7), abs=EXACT)

    def test_log_log_interval_is_the_one_of_the_textbook(self):
        curve = km(SEVEN)
        survival, error, z = 3 / 7, curve.standard_errors[1], 1.959963984540054
        spread = np.exp(z * error / (survival * np.log(survival)))
        assert curve.lower[1] == pytest.approx(survival ** (1 / spread), abs=EXACT)
        assert curve.upper[1] == pytest.approx(survival**spread, abs=EXACT)

    def test_plain_interval_is_value_plus_and_minus_and_stays_a_probability(self):
        curve = km(SEVEN, interval="plain", level=0.9)
        assert curve.lower[1] == pytest.approx(3 / 7 - 1.6448536269514722 * curve.standard_errors[1], abs=EXACT)
        assert curve.upper[0] == 1.0

    def test_an_episode_seen_late_joins_the_risk_set_after_its_entry(self):
        frame = SEVEN.assign(entry=[0, 0, 0, 0, 3, 4, 0])
        # Entries at 3 and 4: at month 0 five are at risk, at month 3 four (one left at 0), at month 5 three.
        curve = km(frame, entry_col="entry")
        np.testing.assert_allclose(curve.n_at_risk, [5, 4, 3, 2, 1])
        np.testing.assert_allclose(curve.values, [4 / 5, 1 / 5, 1 / 5, 1 / 10, 1 / 10], atol=EXACT)

    def test_a_late_open_episode_that_leaves_in_its_month_of_entry_changes_nothing(self):
        late = SEVEN.assign(entry=0)
        more = pd.concat([late, late.tail(1).assign(months=4, entry=4)], ignore_index=True)
        assert_same_curve(km(more, entry_col="entry"), km(late, entry_col="entry"))

    def test_after_the_last_loan_has_gone_there_is_no_standard_error(self):
        curve = km(SEVEN.assign(resolved=True))
        assert curve.values[-1] == 0
        assert np.isnan(curve.standard_errors[-1])
        assert np.isnan(curve.upper[-1])

    def test_before_the_first_event_the_interval_has_no_width(self):
        curve = km(SEVEN.iloc[3:])
        np.testing.assert_allclose([curve.lower[0], curve.values[0], curve.upper[0]], 1.0)
        sold = aj(SEVEN)["sold"]
        np.testing.assert_allclose([sold.lower[0], sold.values[0], sold.upper[0]], 0.0)

    def test_one_open_loan_is_a_flat_line_that_ends_with_it(self):
        curve = km(SEVEN.tail(1))
        np.testing.assert_allclose(curve.values, [1, 1])
        with pytest.raises(ExtrapolationError, match="month 10"):
            curve(10)

    def test_a_book_in_which_all_are_open_has_no_outcome(self):
        assert aj(SEVEN.assign(outcome="open")) == {}


class TestCumulativeHazard:
    def test_hazards_of_seven_loans_add_up(self):
        # 1/7 at month 0, 3/6 at month 3, 1/2 at month 6.
        curve = na(SEVEN)
        np.testing.assert_allclose(curve.values, np.cumsum([1 / 7, 1 / 2, 0, 1 / 2, 0]), atol=EXACT)
        # Aalen: d/Y^2 = 1/49, 3/36, 1/4. Binomial: d (Y - d)/Y^3 = 6/343, 9/216, 1/8.
        aalen, binomial = [1 / 49, 3 / 36, 0, 1 / 4, 0], [6 / 343, 9 / 216, 0, 1 / 8, 0]
        np.testing.assert_allclose(curve.standard_errors, np.sqrt(np.cumsum(aalen)), atol=EXACT)
        np.testing.assert_allclose(
            na(SEVEN, variance="binomial").standard_errors, np.sqrt(np.cumsum(binomial)), atol=EXACT
        )

    def test_the_log_interval_multiplies_and_the_plain_one_adds(self):
        log, plain, z = na(SEVEN), na(SEVEN, interval="plain"), 1.959963984540054
        factor = np.exp(z * log.standard_errors / log.values)
        np.testing.assert_allclose(log.lower, log.values / factor, atol=EXACT)
        np.testing.assert_allclose(log.upper, log.values * factor, atol=EXACT)
        np.testing.assert_allclose(plain.upper, plain.values + z * plain.standard_errors, atol=EXACT)
        assert plain.lower[0] == 0  # a hazard is never below 0

    def test_before_the_first_event_nothing_has_been_gone_through(self):
        curve = na(SEVEN.tail(1))
        np.testing.assert_allclose([curve.values, curve.lower, curve.upper], 0.0)

    def test_it_goes_on_where_the_last_loan_has_gone(self):
        curve = na(SEVEN.assign(resolved=True))
        assert curve.values[-1] == pytest.approx(1 / 7 + 3 / 6 + 1 / 3 + 1 / 2 + 1, abs=EXACT)
        assert np.isfinite(curve.upper[-1])

    def test_it_agrees_with_lifelines(self):
        rng = np.random.default_rng(13)
        frame = pd.DataFrame({"months": rng.integers(1, 40, 500), "resolved": rng.random(500) < 0.5})
        frame["entry"] = np.where(rng.random(500) < 0.3, frame["months"] - 1, 0)
        peer = NelsonAalenFitter(nelson_aalen_smoothing=False)
        peer.fit(frame["months"], frame["resolved"], entry=frame["entry"])
        curve = na(frame, entry_col="entry", variance="binomial")
        theirs = peer.cumulative_hazard_.iloc[:, 0].reindex(curve.times, method="ffill")
        np.testing.assert_allclose(curve.values, theirs, atol=EXACT)
        limits = peer.confidence_interval_.reindex(curve.times, method="ffill").to_numpy()
        ours = np.column_stack([curve.lower, curve.upper])
        np.testing.assert_allclose(ours[curve.values > 0], limits[curve.values > 0], atol=1e-9)

    def test_the_melanoma_hazard_is_the_sum_of_the_published_counts(self, reference):
        expected = pd.read_csv(reference / "expected" / "km_e1684.csv")
        frame = pd.read_csv(reference / "e1684.csv").dropna()
        curve = nelson_aalen(frame, duration_col="FAILTIME", event_col="FAILCENS")
        got = curve.to_frame().set_index("months").loc[expected["time"]]
        np.testing.assert_allclose(got["value"], (expected["n.event"] / expected["n.risk"]).cumsum(), atol=EXACT)
        variance = (expected["n.event"] / expected["n.risk"] ** 2).cumsum()
        np.testing.assert_allclose(got["standard_error"], np.sqrt(variance), atol=EXACT)

    def test_each_segment_gets_the_hazard_of_its_own_rows(self):
        together = nelson_aalen_by(SEVEN, by="product", duration_col="months", event_col="resolved")
        for name, curve in together.items():
            assert_same_curve(curve, na(SEVEN[SEVEN["product"] == name]))

    @pytest.mark.parametrize("option", [{"interval": "log-log"}, {"variance": "greenwood"}])
    def test_an_option_of_the_other_curves_is_refused(self, option):
        with pytest.raises(ValueError, match="allowed are"):
            na(SEVEN, **option)


class TestReportingGrid:
    def test_the_curve_is_told_at_the_months_asked_for(self):
        curve = km(SEVEN, at=[1, 3, 6, 8])
        np.testing.assert_allclose(curve.times, [0, 1, 3, 6, 8])
        np.testing.assert_allclose(curve.values, [6 / 7, 6 / 7, 3 / 7, 3 / 14, 3 / 14], atol=EXACT)
        # just before 1: all but the one of month 0; before 8: the last one
        np.testing.assert_allclose(curve.n_at_risk, [7, 6, 6, 2, 1])
        assert curve.on_grid

    @pytest.mark.parametrize("estimate", [km, na])
    def test_values_errors_and_limits_are_those_of_the_whole_curve(self, estimate):
        rng = np.random.default_rng(14)
        frame = pd.DataFrame({"months": rng.exponential(9, 300), "resolved": rng.random(300) < 0.6})
        frame["entry"] = np.where(rng.random(300) < 0.4, frame["months"] * rng.random(300), 0.0)
        months = np.array([0.0, 2.5, 7.0, 12.0])
        whole, told = estimate(frame, entry_col="entry"), estimate(frame, entry_col="entry", at=months)
        where = np.searchsorted(whole.times, months, side="right") - 1
        for name in ("values", "lower", "upper", "standard_errors"):
            np.testing.assert_allclose(getattr(told, name), getattr(whole, name)[where], atol=EXACT)
        open_then = (frame["months"].to_numpy()[:, None] >= months) & (frame["entry"].to_numpy()[:, None] < months)
        np.testing.assert_allclose(told.n_at_risk[1:], open_then.sum(axis=0)[1:])

    def test_outcomes_on_a_grid_still_add_up(self):
        parts = sum(curve.values for curve in aj(SEVEN, at=[2, 4, 6]).values())
        np.testing.assert_allclose(parts + km(SEVEN, at=[2, 4, 6]).values, 1.0, atol=EXACT)

    def test_a_segment_has_the_months_for_which_it_was_watched(self):
        options = {"by": "product", "duration_col": "months", "at": [2, 4, 8]}
        curves = kaplan_meier_by(SEVEN, event_col="resolved", **options)
        np.testing.assert_allclose(curves["card"].times, [0, 2])  # the last card left at month 3
        np.testing.assert_allclose(curves["auto"].times, [0, 2, 4, 8])
        both = aalen_johansen_by(SEVEN, outcome_col="outcome", **options)
        np.testing.assert_allclose(both["card"]["cured"].times, [0, 2])

    @pytest.mark.parametrize("estimate", [km, na, aj])
    def test_a_month_beyond_the_data_is_refused(self, estimate):
        with pytest.raises(ExtrapolationError, match="month 12, 24, but the longest duration is 9"):
            estimate(SEVEN, at=[6, 12, 24])

    @pytest.mark.parametrize("estimate", [km, na, aj])
    def test_a_month_for_which_only_those_never_at_risk_would_speak_is_refused_by_name(self, estimate):
        late = pd.concat([SEVEN.assign(entry=0), SEVEN.tail(1).assign(months=20, entry=20)], ignore_index=True)
        with pytest.raises(ExtrapolationError, match="month 12, but the longest duration is 9"):
            estimate(late, entry_col="entry", at=[6, 12])

    def test_a_month_beyond_months_that_are_text_is_refused_too(self):
        with pytest.raises(ExtrapolationError, match="month 12, but the longest duration is 9"):
            km(SEVEN.assign(months=SEVEN["months"].astype(str)), at=[12])

    @pytest.mark.parametrize("at", [[], [-1, 3], [3, 2], [1, np.nan], [[1, 2]]])
    def test_a_grid_that_is_no_list_of_months_is_refused(self, at):
        with pytest.raises(ValueError, match="at must be"):
            km(SEVEN, at=at)


class TestSegments:
    def test_each_segment_gets_the_curve_of_its_own_rows(self):
        together = kaplan_meier_by(SEVEN, by="product", duration_col="months", event_col="resolved")
        assert list(together) == ["auto", "card"]
        for name, curve in together.items():
            assert_same_curve(curve, km(SEVEN[SEVEN["product"] == name]))

    def test_every_segment_has_every_outcome(self):
        curves = aalen_johansen_by(SEVEN, by=["product"], duration_col="months", outcome_col="outcome")
        assert list(curves["auto"]) == ["cured", "repaid", "sold"]
        np.testing.assert_allclose(curves["auto"]["repaid"].values, 0.0)
        assert_same_curve(curves["auto"]["sold"], aj(SEVEN[SEVEN["product"] == "auto"])["sold"])

    def test_two_segment_columns_are_joined_into_one_name(self):
        frame = SEVEN.assign(region=["w", "e", "w", "e", "w", "e", "w"])
        curves = kaplan_meier_by(frame, by=["product", "region"], duration_col="months", event_col="resolved")
        assert list(curves) == ["auto | e", "auto | w", "card | e", "card | w"]
        assert_same_curve(curves["card | w"], km(frame.iloc[[0, 2]]))

    def test_many_segments_with_days_as_unit_match_one_at_a_time(self):
        rng = np.random.default_rng(5)
        frame = pd.DataFrame({"months": rng.exponential(8, 400), "resolved": rng.random(400) < 0.6})
        frame["product"] = rng.choice(["a", "b", "c"], 400)
        frame["entry"] = np.where(rng.random(400) < 0.3, frame["months"] * rng.random(400), 0.0)
        options = {"duration_col": "months", "event_col": "resolved", "entry_col": "entry"}
        for name, curve in kaplan_meier_by(frame, by="product", **options).items():
            assert_same_curve(curve, kaplan_meier(frame[frame["product"] == name], **options))

    def test_counting_by_sorted_keys_gives_what_the_dense_table_gives(self, monkeypatch):
        dense = aj(SEVEN)
        monkeypatch.setattr(kernels, "LARGEST_DENSE_TABLE", 0)
        monkeypatch.setattr(kernels, "LARGEST_DIRECT_CODE", 0)
        for outcome, curve in aj(SEVEN).items():
            assert_same_curve(curve, dense[outcome])


@st.composite
def columns_of_one_kind(draw):
    """A column of segments or months in one of the types in which frames hold them, with few values."""
    n = draw(st.integers(5, 40))
    values = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    kind = draw(st.sampled_from(["int64", "uint8", "float64", "infinite", "Int64", "category", "object", "string"]))
    if kind == "infinite":
        return pd.Series(values, dtype=float).replace(3.0, np.inf)
    return pd.Series(values).astype(kind)


class TestCountingFirst:
    """Rows that are alike are counted before they are checked; nothing but the time that it takes may show."""

    @settings(max_examples=60, deadline=None)
    @given(columns_of_one_kind(), st.randoms(use_true_random=False))
    def test_the_distinct_rows_have_the_weights_of_a_grouping(self, segment, random):
        frame = pd.DataFrame({"segment": segment, "month": [random.randint(0, 2) for _ in range(len(segment))]})
        frame["weight"] = [random.choice([0.5, 1.0, 2.0]) for _ in range(len(frame))]
        for weights_col, expected in (("weight", frame["weight"]), (None, pd.Series(1.0, index=frame.index))):
            distinct, count_col = distinct_rows(frame, ["segment", "month"], weights_col)
            assert distinct["segment"].dtype == frame["segment"].dtype
            sums = expected.groupby([frame["segment"].astype(str), frame["month"]]).sum()
            got = distinct.set_index([distinct["segment"].astype(str), "month"])[count_col]
            assert got.sort_index().tolist() == sums.tolist()  # halves add up without rounding

    @pytest.mark.parametrize("size", [1, 2, 127, 128, 129, 181, 182, 255, 256, 257])
    @pytest.mark.parametrize(
        ("kind", "lowest"),
        [
            ("int8", -128), ("int8", -1), ("uint8", 0), ("uint8", 1), ("int16", -300), ("int16", 32_500),
            ("uint16", 65_200), ("int64", -(2**62)), ("int64", 2**62), ("float32", -100), ("float64", 3),
        ],
    )  # fmt: skip
    def test_keys_fit_their_integers_at_every_size(self, size, kind, lowest):
        size = min(size, np.iinfo(kind).max - lowest + 1) if kind[0] in "iu" else size
        values = (np.arange(40_000) % size + lowest).astype(kind)
        frame = pd.DataFrame({"one": 1, "month": values, "again": values[::-1], "b": np.arange(40_000) % 3 == 0})
        for names in (["one", "month"], ["month", "again", "b"]):
            distinct, count_col = distinct_rows(frame, names, None)
            assert distinct["month"].dtype == kind
            assert distinct.set_index(names)[count_col].sort_index().tolist() == frame.groupby(names).size().tolist()

    @settings(max_examples=30, deadline=None)
    @given(columns_of_one_kind())
    def test_curves_are_those_of_the_rows_one_by_one(self, segment):
        book = pd.DataFrame({"product": segment, "months": np.arange(len(segment)) % 4, "weight": 2})
        book["resolved"] = np.arange(len(book)) % 3 != 0
        options = {"by": "product", "duration_col": "months", "event_col": "resolved", "weights_col": "weight"}
        counted = kaplan_meier_by(book, **options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_curve_rows, "distinct_rows", lambda *_: None)
            row_by_row = kaplan_meier_by(book, **options)
        assert list(counted) == list(row_by_row)
        for name, curve in counted.items():
            assert_same_curve(curve, row_by_row[name])

    def test_blocks_of_rows_and_late_entries_are_put_together(self):
        rng = np.random.default_rng(15)
        book = pd.DataFrame({"months": rng.integers(1, 12, 200_000), "resolved": rng.random(200_000) < 0.5})
        book["entry"] = np.where(rng.random(200_000) < 0.2, book["months"] - 1, 0)
        book["weight"] = np.arange(200_000) % 5 + 1
        distinct, count_col = distinct_rows(book, ["months", "resolved", "entry"], "weight")
        assert len(distinct) < 60
        sums = book.groupby(["months", "resolved", "entry"])["weight"].sum()
        assert distinct.set_index(["months", "resolved", "entry"])[count_col].sort_index().tolist() == sums.tolist()
        at_risk = [
            book.loc[(book["months"] >= m) & ((book["entry"] < m) | (book["entry"] == 0)), "weight"].sum()
            for m in range(1, 12)
        ]
        curve = km(book, entry_col="entry", weights_col="weight")
        np.testing.assert_array_equal(curve.n_at_risk[1:], at_risk)

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("months", np.nan),
            ("months", np.inf),
            ("category", None),
            ("product", None),
            ("number", np.nan),
            ("weight", -1.0),
            ("weight", np.nan),
        ],
    )
    def test_what_cannot_be_counted_is_refused_by_its_row(self, column, value):
        frame = pd.concat([SEVEN] * 20, ignore_index=True)  # enough rows to be counted, were it not for one
        frame = frame.assign(months=frame["months"].astype(float), weight=1.0)
        frame["category"] = frame["product"].astype("category")
        frame["number"] = frame["months"].where(frame["resolved"], np.inf)  # infinity is a value, missing is none
        options = {"duration_col": "months", "event_col": "resolved", "weights_col": "weight"}
        by = column if column in ("category", "number") else "product"
        assert distinct_rows(frame, ["months", "resolved", by], "weight") is not None
        frame.loc[95, column] = value
        with pytest.raises(ContractError, match="1 row, first row 95"):
            kaplan_meier_by(frame, by=by, **options)

    def test_a_fault_that_only_two_columns_show_together_names_every_row(self):
        frame = pd.concat([SEVEN.assign(entry=0)] * 100, ignore_index=True)
        frame.loc[[6, 13], "entry"] = 10
        assert distinct_rows(frame, ["months", "resolved", "entry"], None) is not None
        with pytest.raises(ContractError, match=r"must not end before entry.*2 rows, first row 6; row 13"):
            km(frame, entry_col="entry")

    def test_a_weight_that_is_also_a_time_is_still_a_weight(self):
        frame = pd.DataFrame({"months": [1, 2, 2, 3] * 5, "resolved": [1, 1, 0, 1] * 5})
        assert_same_curve(km(frame, weights_col="months"), km(frame.assign(w=frame["months"]), weights_col="w"))

    def test_unused_categories_make_no_outcome_and_no_segment(self):
        frame = SEVEN.assign(
            outcome=pd.Categorical(SEVEN["outcome"], ["sold", "cured", "open", "repaid", "written_off"]),
            product=pd.Categorical(SEVEN["product"], ["card", "boat", "auto"]),
        )
        curves = aalen_johansen_by(frame, by="product", duration_col="months", outcome_col="outcome")
        assert list(curves) == ["auto", "card"]
        assert list(curves["auto"]) == list(curves["card"]) == ["cured", "repaid", "sold"]


class TestAgainstR:
    """R survival 3.x ``survfit`` and cmprsk ``cuminc``; data and output in the reference folder."""

    def test_melanoma_survival_standard_errors_and_log_interval(self, reference):
        frame = pd.read_csv(reference / "e1684.csv").dropna()
        expected = pd.read_csv(reference / "expected" / "km_e1684.csv")
        curve = kaplan_meier(frame, duration_col="FAILTIME", event_col="FAILCENS", interval="log")
        got = curve.to_frame().set_index("months").loc[expected["time"]]
        pairs = {
            "value": "surv",
            "standard_error": "se_surv",
            "lower": "lo_log",
            "upper": "hi_log",
            "n_at_risk": "n.risk",
        }
        for ours, theirs in pairs.items():
            np.testing.assert_allclose(got[ours], expected[theirs], rtol=0, atol=REFERENCE_TOLERANCE)

    def test_weights_are_counts(self, reference):
        frame = pd.read_csv(reference / "rossi_weighted.csv")
        expected = pd.read_csv(reference / "expected" / "km_rossi_weighted.csv")
        curve = kaplan_meier(frame, duration_col="week", event_col="arrest", weights_col="w")
        got = curve.to_frame().set_index("months").loc[expected["time"]]
        for ours, theirs in {"value": "surv", "standard_error": "se", "n_at_risk": "n.risk"}.items():
            np.testing.assert_allclose(got[ours], expected[theirs], rtol=0, atol=REFERENCE_TOLERANCE)

    def test_left_truncation_with_a_first_risk_set_of_one(self, reference):
        frame = pd.read_csv(reference / "lung_entry.csv")
        expected = pd.read_csv(reference / "expected" / "km_lung_lefttrunc.csv")
        is_event = frame["status"].to_numpy() == (2 if frame["status"].max() == 2 else 1)
        options = {"duration_col": "time", "event_col": "died", "entry_col": "entry"}
        curve = kaplan_meier(frame.assign(died=is_event), **options)
        got = curve.to_frame().set_index("months").loc[expected["time"]]
        for ours, theirs in {"value": "surv", "standard_error": "se", "n_at_risk": "n.risk"}.items():
            np.testing.assert_allclose(got[ours], expected[theirs].astype(float), rtol=0, atol=REFERENCE_TOLERANCE)

    def test_competing_outcomes_with_the_standard_errors_of_survfit(self, reference):
        expected = pd.read_csv(reference / "expected" / "aj_mgus2.csv").set_index("time")
        curves = mgus2_curves(reference)
        for outcome in ("pcm", "death"):
            got = curves["all"][outcome].to_frame().set_index("months").loc[expected.index]
            for ours, theirs in {"value": "cif_", "standard_error": "se_"}.items():
                np.testing.assert_allclose(got[ours], expected[theirs + outcome], rtol=0, atol=REFERENCE_TOLERANCE)
            np.testing.assert_array_equal(got["n_at_risk"], expected["n.risk"])

    def test_competing_outcomes_by_sex_with_the_log_interval_of_survfit(self, reference):
        expected = pd.read_csv(reference / "expected" / "aj_mgus2_sex.csv")
        curves = mgus2_curves(reference, by="sex", interval="log")
        for row in expected.itertuples():
            part = curves[row.strata.removeprefix("sex=")]
            at = np.searchsorted(part["pcm"].times, row.time, side="right") - 1
            got = [
                part["pcm"].values[at],
                part["pcm"].standard_errors[at],
                part["pcm"].lower[at],
                part["pcm"].upper[at],
            ]
            np.testing.assert_allclose(got, [row.pcm, row.se_pcm, row.lo_pcm, row.hi_pcm], atol=REFERENCE_TOLERANCE)
            got = [part["death"].values[at], part["death"].standard_errors[at]]
            np.testing.assert_allclose(got, [row.death, row.se_death], atol=REFERENCE_TOLERANCE)

    def test_competing_outcomes_with_the_variance_of_cmprsk(self, reference):
        expected = pd.read_csv(reference / "expected" / "cuminc_mgus2.csv")
        curves = mgus2_curves(reference, variance="aalen")["all"]
        months = np.arange(60, 361, 60)
        for outcome, row in zip(("pcm", "death"), expected.itertuples(index=False), strict=True):
            at = np.searchsorted(curves[outcome].times, months, side="right") - 1
            np.testing.assert_allclose(curves[outcome].values[at], row[1:7], atol=REFERENCE_TOLERANCE)
            np.testing.assert_allclose(
                curves[outcome].standard_errors[at], np.sqrt(row[7:13]), atol=REFERENCE_TOLERANCE
            )


def mgus2_curves(reference, by=(), **options):
    frame = pd.read_csv(reference / "mgus2_cr.csv")
    frame["end"] = frame["event"].map({0: "open", 1: "pcm", 2: "death"})
    return aalen_johansen_by(frame, by=by, duration_col="etime", outcome_col="end", **options)


@st.composite
def books(draw):
    """Between 1 and 30 loans with months 0 to 8 and many ties."""
    n = draw(st.integers(1, 30))
    months = draw(st.lists(st.integers(0, 8), min_size=n, max_size=n))
    outcomes = draw(st.lists(st.sampled_from(["cured", "sold", "written_off", "open"]), min_size=n, max_size=n))
    weights = draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))
    return pd.DataFrame({"months": months, "outcome": outcomes, "weight": weights}).assign(
        resolved=lambda f: f["outcome"] != "open"
    )


class TestIdentities:
    @settings(max_examples=60, deadline=None)
    @given(books())
    def test_what_has_ended_and_what_is_open_add_up_to_one(self, book):
        parts = sum(curve.values for curve in aj(book).values())
        np.testing.assert_allclose(parts + km(book).values, 1.0, atol=EXACT)

    @settings(max_examples=60, deadline=None)
    @given(books())
    def test_a_row_of_weight_two_is_the_row_twice(self, book):
        repeated = book.loc[book.index.repeat(book["weight"])].reset_index(drop=True)
        assert_same_curve(km(book, weights_col="weight"), km(repeated))
        weighted, twice = aj(book, weights_col="weight"), aj(repeated)
        for outcome, curve in weighted.items():
            assert_same_curve(curve, twice[outcome], atol=VARIANCE_ROUNDING)

    @settings(max_examples=60, deadline=None)
    @given(books())
    def test_an_only_outcome_is_one_minus_its_survival_curve(self, book):
        book = book.assign(outcome=np.where(book["resolved"], "cured", "open"))
        if not book["resolved"].any():
            return
        cured, alive = aj(book)["cured"], km(book)
        np.testing.assert_allclose(cured.values, 1 - alive.values, atol=EXACT)
        np.testing.assert_allclose(cured.standard_errors, alive.standard_errors, atol=VARIANCE_ROUNDING)
        np.testing.assert_allclose(cured.lower, 1 - alive.upper, atol=1e-6)  # the interval multiplies that rounding
        np.testing.assert_allclose(cured.upper, 1 - alive.lower, atol=1e-6)

    @settings(max_examples=30, deadline=None)
    @given(books(), st.randoms(use_true_random=False))
    def test_row_order_does_not_matter(self, book, random):
        order = list(range(len(book)))
        random.shuffle(order)
        assert_same_curve(km(book), km(book.iloc[order]))

    @settings(max_examples=30, deadline=None)
    @given(books())
    def test_the_unit_of_time_only_stretches_the_axis(self, book):
        days = km(book.assign(months=book["months"] * 30.4375))
        months = km(book)
        np.testing.assert_allclose(days.times, months.times * 30.4375)
        np.testing.assert_allclose(days.values, months.values, atol=EXACT)

    @settings(max_examples=60, deadline=None)
    @given(books())
    def test_limits_enclose_the_value_and_stay_probabilities(self, book):
        for interval in ("log-log", "log", "plain"):
            for curve in [km(book, interval=interval), *aj(book, interval=interval).values()]:
                known = np.isfinite(curve.lower)
                assert np.all(curve.lower[known] <= curve.values[known] + EXACT)
                assert np.all(curve.upper[known] >= curve.values[known] - EXACT)
                assert np.all((curve.lower[known] >= 0) & (curve.upper[known] <= 1))

    def test_the_frame_is_not_changed(self):
        before = SEVEN.copy(deep=True)
        aj(SEVEN)
        pd.testing.assert_frame_equal(SEVEN, before)


class TestAgainstLifelines:
    def test_kaplan_meier_agrees_where_lifelines_is_exact(self):
        rng = np.random.default_rng(11)
        frame = pd.DataFrame({"months": rng.integers(1, 40, 500), "resolved": rng.random(500) < 0.5})
        peer = KaplanMeierFitter().fit(frame["months"], frame["resolved"])
        curve = km(frame)
        known = curve.values > 0
        theirs = peer.survival_function_.loc[curve.times].to_numpy().ravel()
        np.testing.assert_allclose(curve.values, theirs, atol=EXACT)
        limits = peer.confidence_interval_.loc[curve.times].to_numpy()[known & (curve.values < 1)]
        ours = np.column_stack([curve.lower, curve.upper])[known & (curve.values < 1)]
        np.testing.assert_allclose(ours, limits, atol=1e-9)  # they go through cumulative logs

    def test_aalen_johansen_agrees_where_no_ties_make_lifelines_jitter(self):
        rng = np.random.default_rng(12)
        frame = pd.DataFrame({"months": rng.exponential(12, 300) + 0.1, "code": rng.integers(0, 3, 300)})
        frame["outcome"] = frame["code"].map({0: "open", 1: "cured", 2: "sold"})
        peer = AalenJohansenFitter(calculate_variance=False).fit(frame["months"], frame["code"], event_of_interest=1)
        theirs = peer.cumulative_density_.iloc[:, 0]
        curve = aj(frame)["cured"]
        np.testing.assert_allclose(curve.values, theirs.reindex(curve.times, method="ffill"), atol=EXACT)


class TestRefusals:
    def test_all_faults_are_named_at_once(self):
        bad = SEVEN.assign(months=[-1, 3, np.nan, 3, 5, 6, 9], weight=[1, 1, 0, 1, 1, 1, 1])
        bad["outcome"] = bad["outcome"].where(bad.index != 4)
        with pytest.raises(ContractError) as caught:
            aj(bad, weights_col="weight")
        message = str(caught.value)
        assert "months must be a number of months, 0 or more: 2 rows, first row 0; row 2" in message
        assert "weight must be a number above 0: 1 row, first row 2" in message
        assert "outcome must not be missing: 1 row, first row 4" in message

    def test_a_missing_column_is_named_with_those_there(self):
        with pytest.raises(ContractError, match="column 'month' is missing; there are months, outcome"):
            kaplan_meier(SEVEN, duration_col="month", event_col="resolved")

    def test_an_event_that_is_neither_true_nor_false_is_refused(self):
        with pytest.raises(ContractError, match="resolved must be True or False"):
            km(SEVEN.assign(resolved=[0, 1, 2, 1, 0, 1, 0]))

    def test_an_event_before_observation_began_is_refused(self):
        with pytest.raises(ContractError, match="must not end before entry"):
            km(SEVEN.assign(entry=[0, 3, 0, 0, 0, 0, 0]), entry_col="entry")

    def test_a_missing_segment_value_is_refused(self):
        frame = SEVEN.assign(product=["card", None, "card", "auto", "auto", "auto", "auto"])
        with pytest.raises(ContractError, match="segment column product must not be missing: 1 row"):
            kaplan_meier_by(frame, by="product", duration_col="months", event_col="resolved")

    def test_an_empty_frame_has_nothing_to_estimate(self):
        with pytest.raises(InsufficientDataError, match="no row"):
            km(SEVEN.head(0))

    @pytest.mark.parametrize(
        ("option", "said"), [({"level": 1.0}, "level is 1.0"), ({"interval": "wald"}, "allowed are 'log-log'")]
    )
    def test_an_option_outside_its_choices_is_refused(self, option, said):
        with pytest.raises(ValueError, match=said):
            km(SEVEN, **option)
