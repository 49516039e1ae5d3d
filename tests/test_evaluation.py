"""Measures of performance: by hand, against published numbers, against double loops, and what must always hold."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.utils import concordance_index
from scipy.special import expit

from recoverykit.errors import ContractError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators import _evaluation_fits as fits
from recoverykit.estimators import _evaluation_kernels as kernels
from recoverykit.estimators import _evaluation_pairs as pairs
from recoverykit.estimators.evaluation import (
    brier_score,
    calibration,
    calibration_by_horizon,
    concordance,
    cure_auc,
    cure_concordance,
    cure_discrimination,
    cure_k_index,
    integrated_auc,
    integrated_brier_score,
    predictions_of,
    susceptible_weights,
    time_dependent_auc,
)
from recoverykit.estimators.mixture_cure import MixtureCureModel
from recoverykit.estimators.nonparametric import aalen_johansen, kaplan_meier

REFERENCE = Path(os.environ.get("RECOVERYKIT_REFERENCE") or Path(__file__).parents[2] / "shared" / "reference")
EXACT = 1e-12  # ratios of sums of at most a few hundred numbers of order 1
REFERENCE_TOLERANCE = 1e-10  # the files hold 15 digits; the reference EM stopped at 1e-14
SLOPE_TOLERANCE = 1e-7  # central differences with a step of 1e-5: truncation 1e-10, rounding 1e-11 / 1e-5
JACKKNIFE_TOLERANCE = 0.05  # infinitesimal and delete-one jackknife differ by terms of order 1 / n at n = 150

# Eight loans. Cured: at 2, 4, 4 and 7. Sold at 3 and 6. Open: seen for 4 and for 8 months.
EIGHT = pd.DataFrame(
    {
        "months": [2, 4, 4, 7, 3, 6, 4, 8],
        "outcome": ["cured", "cured", "cured", "cured", "sold", "sold", "open", "open"],
        "score": [0.9, 0.8, 0.3, 0.5, 0.4, 0.6, 0.5, 0.1],
    }
).assign(cured=lambda f: f["outcome"] == "cured")


def c_index(frame, **options):
    return concordance(frame, duration_col="months", score_col="score", event_col="cured", **options)


def c_index_competing(frame, **options):
    return concordance(
        frame, duration_col="months", score_col="score", outcome_col="outcome", outcome="cured", **options
    )


def auc(frame, times, **options):
    given = {"outcome_col": "outcome", "outcome": "cured", "score_col": "score"} | options
    return time_dependent_auc(frame, duration_col="months", times=times, **given)


def brier(frame, times, **options):
    given = {"outcome_col": "outcome", "outcome": "cured"} | options
    return brier_score(frame, duration_col="months", times=times, **given)


def random_frame(seed, n, *, n_scores=6, n_months=9, shares=(0.4, 0.25, 0.35)):
    """Return episodes full of ties in months and scores, with weights 1 to 3."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "months": rng.integers(0, n_months + 1, n),
            "outcome": rng.choice(["cured", "sold", "open"], n, p=shares),
            "score": rng.integers(0, n_scores, n) / n_scores,
            "n": rng.integers(1, 4, n),
            "w": rng.random(n),
        }
    )
    frame.loc[0, ["months", "outcome"]] = [1, "cured"]  # never without a case
    frame.loc[1, ["months", "outcome"]] = [n_months, "open"]  # nor without a control
    return frame.assign(cured=frame["outcome"] == "cured")


def repeat_rows(frame):
    return frame.loc[frame.index.repeat(frame["n"])].reset_index(drop=True)


def half(a, b):
    return 1.0 if a > b else 0.5 if a == b else 0.0


def uncensored_before(frame, month):
    """Return the product-limit probability of not being censored before a month, by a loop."""
    stay = 1.0
    for u in sorted(set(frame["months"])):
        if u >= month:
            break
        censored = ((frame["months"] == u) & (frame["outcome"] == "open")).sum()
        could_be = (frame["months"] > u).sum() + censored
        stay *= 1.0 - censored / could_be if could_be else 1.0
    return stay


class BruteForce:
    """The definitions as double loops over unweighted rows."""

    def __init__(self, frame):
        self.rows = list(zip(frame["months"], frame["outcome"], frame["score"], strict=True))
        self.g = {t: uncensored_before(frame, t) for t in range(int(frame["months"].max()) + 1)}

    def concordance(self, weigh, *, until=np.inf, competing=False):
        top = bottom = 0.0
        for t, kind, score in self.rows:
            if kind != "cured" or t > until:
                continue
            for other_t, other, other_score in self.rows:
                later = other_t > t or (other_t == t and other == "open")
                never = competing and other == "sold" and not later
                if later or never:
                    weight = weigh(t, other_t if never else t)
                    top += weight * half(score, other_score)
                    bottom += weight
        return top / bottom

    def uno(self, **options):
        return self.concordance(lambda t, u: 1 / (self.g[t] * self.g[u]), **options)

    def auc(self, month, controls):
        top = bottom = 0.0
        for t, kind, score in self.rows:
            if kind != "cured" or t > month:
                continue
            for u, other, other_score in self.rows:
                if u > month or (u == month and other == "open"):
                    weight = 1 / (self.g[t] * self.g[month])
                elif other == "sold" and controls == "others":
                    weight = 1 / (self.g[t] * self.g[u])
                else:
                    continue
                top += weight * half(score, other_score)
                bottom += weight
        return top / bottom if bottom else np.nan

    def brier(self, month):
        total = 0.0
        for t, kind, probability in self.rows:
            if t > month or (t == month and kind == "open"):
                total += probability**2 / self.g[month]
            elif kind != "open":
                total += ((kind == "cured") - probability) ** 2 / self.g[t]
        return total / len(self.rows)


@pytest.fixture(scope="module")
def melanoma():
    """Return the e1684 trial with the published estimates of smcure (EM to 1e-14, Breslow ties, zero tail)."""
    folder = REFERENCE / "survival"
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; set RECOVERYKIT_REFERENCE")
    frame = pd.read_csv(folder / "e1684.csv").dropna().reset_index(drop=True)
    estimates = pd.read_csv(folder / "expected" / "smcure_e1684_ph.csv").set_index(["part", "param"])["est_converged"]
    baseline = pd.read_csv(folder / "expected" / "smcure_e1684_ph_baseline.csv").drop_duplicates("time")
    covariates = frame[["TRT", "SEX", "AGE"]]
    frame["log_hazard_ratio"] = covariates @ estimates["latency"][covariates.columns]
    linear = estimates["incidence"]["Intercept"] + covariates @ estimates["incidence"][covariates.columns]
    frame["linear_incidence"] = linear
    frame["incidence"] = expit(linear)
    s0 = baseline.set_index("time")["s0_uncured"].loc[frame["FAILTIME"]].to_numpy()
    frame["latency_survival"] = s0 ** np.exp(frame["log_hazard_ratio"])
    frame["w"] = susceptible_weights(
        frame, event_col="FAILCENS", susceptible_col="incidence", latency_survival_col="latency_survival"
    )
    metrics = pd.read_csv(folder / "expected" / "cure_metrics_e1684.csv").set_index("metric")["value"]
    return frame, metrics


class TestAgainstPublishedNumbers:
    """e1684 at the estimates of smcure: metrics of R's evacure and intsurv, kept in cure_metrics_e1684.csv."""

    def test_sum_of_the_weights_is_the_sum_of_the_incidences(self, melanoma):
        frame, metrics = melanoma
        assert frame["w"].sum() == pytest.approx(207.49185, abs=1e-5)
        assert frame["w"].sum() == pytest.approx(metrics["sum_w_uncured"], abs=REFERENCE_TOLERANCE * 284)
        # At the maximum the score of the intercept of the incidence is 0: the two sums agree, as far as the EM went.
        assert frame["w"].sum() == pytest.approx(frame["incidence"].sum(), abs=1e-5)

    def test_cure_auc(self, melanoma):
        frame, metrics = melanoma
        value = cure_auc(frame, score_col="linear_incidence", susceptible_weight_col="w")
        assert value == pytest.approx(0.605055, abs=1e-6)
        assert value == pytest.approx(metrics["metric.AUC"], abs=REFERENCE_TOLERANCE)

    def test_k_index(self, melanoma):
        frame, metrics = melanoma
        value = cure_k_index(frame, score_col="log_hazard_ratio", susceptible_col="incidence")
        assert value == pytest.approx(0.539965, abs=1e-6)
        assert value == pytest.approx(metrics["metric.K"], abs=REFERENCE_TOLERANCE)

    def test_weighted_concordance(self, melanoma):
        frame, metrics = melanoma
        options = {"duration_col": "FAILTIME", "event_col": "FAILCENS", "score_col": "log_hazard_ratio"}
        value = cure_concordance(frame, susceptible_weight_col="w", **options)
        assert value == pytest.approx(0.544849, abs=1e-6)
        assert value == pytest.approx(metrics["metric.C"], abs=REFERENCE_TOLERANCE)
        assert value == pytest.approx(metrics["intsurv_cIndex_w_index"], abs=REFERENCE_TOLERANCE)

    def test_harrell_agrees_with_lifelines(self, melanoma):
        frame, _ = melanoma
        value = concordance(frame, duration_col="FAILTIME", event_col="FAILCENS", score_col="linear_incidence").value
        peer = concordance_index(frame["FAILTIME"], -frame["linear_incidence"], frame["FAILCENS"])
        assert value == pytest.approx(peer, abs=EXACT)

    def test_all_of_it_from_a_fit(self, melanoma):
        frame, metrics = melanoma
        baseline = frame.assign(s0=frame["latency_survival"] ** np.exp(-frame["log_hazard_ratio"]))
        steps = baseline.drop_duplicates("FAILTIME").set_index("FAILTIME")["s0"].sort_index()

        class Fit:
            def predict_susceptible(self, rows):
                return rows["incidence"]

            def predict_survival(self, rows, times):
                s0 = steps.to_numpy()[np.searchsorted(steps.index, times, side="right") - 1]
                latency = s0 ** np.exp(rows["log_hazard_ratio"].to_numpy())[:, None]
                p = rows["incidence"].to_numpy()[:, None]
                return pd.DataFrame(1 - p + p * latency, index=rows.index, columns=times)

        table = cure_discrimination(Fit(), frame, duration_col="FAILTIME", event_col="FAILCENS")
        expected = metrics[["metric.AUC", "metric.K", "metric.C", "sum_w_uncured"]]
        np.testing.assert_allclose(table["value"], expected, rtol=1e-9)


class TestByHand:
    def test_harrell_of_eight_loans(self):
        # Cured at 2 (.9): ahead of 7, all scored lower: 7 of 7.
        # Cured at 4 (.8): ahead of 7, 6, open at 4, 8 (.5 .6 .5 .1): 4 of 4. The sale at 3 is censored here, before.
        # Cured at 4 (.3): ahead of the same: 1 of 4.  Cured at 7 (.5): ahead of 8: 1 of 1.
        assert c_index(EIGHT).value == pytest.approx(13 / 16, abs=EXACT)

    def test_harrell_with_a_sale_as_an_outcome_that_competes(self):
        # A sold loan is never cured: .8 and .3 at 4 also meet the sale at 3 (.4): 1 and 0; .5 at 7 meets the sales
        # at 3 (.4) and 6 (.6): 1 and 0. Pairs 16 + 4, concordant 13 + 2.
        assert c_index_competing(EIGHT).value == pytest.approx(15 / 20, abs=EXACT)

    def test_auc_by_month_four(self):
        # No loan was censored before month 4, so all weigh 1. Cases .9 .8 .3; open at 4 or later .5 .6 .5 .1.
        # .9: 4, .8: 4, .3: 1 of 4. With the sale at 3 (.4): 5, 5, 1 of 5.
        only_open = auc(EIGHT, [4], controls="open")
        assert only_open["auc"].item() == pytest.approx(9 / 12, abs=EXACT)
        assert only_open["n_controls"].item() == 4
        assert auc(EIGHT, [4])["auc"].item() == pytest.approx(11 / 15, abs=EXACT)

    def test_brier_score_by_month_seven_weighs_up_for_the_censored_loan(self):
        # One of four who could be is censored at 4 (after the cures), so 7, 6 and 8 weigh 4/3; 2, 4, 4, 3 weigh 1.
        # Squares: .1^2 .2^2 .7^2 | .5^2 (7) | sold .4^2 (3), .6^2 (6) | open .1^2 (8).
        by_hand = (0.01 + 0.04 + 0.49 + 0.16 + 4 / 3 * (0.25 + 0.36 + 0.01)) / 8
        table = brier(EIGHT, [7], predicted_cols={7: "score"})
        assert table["brier_score"].item() == pytest.approx(by_hand, abs=EXACT)
        # Aalen-Johansen: 3 of 8 by month 4, then S(6) = 4/8 * 2/3, of which half: 3/8 + 1/6 = 13/24.
        assert table["reference_score"].item() == pytest.approx(13 / 24 * 11 / 24, abs=EXACT)

    def test_uno_weighs_a_late_pair_by_the_square(self):
        # With one kind of event sales are censorings: one of seven at 3, so G(4-) = 6/7; one of four at 4 and one of
        # three at 6, so G(7-) = 6/7 * 3/4 * 2/3 = 3/7. Pairs as in Harrell's C: 7 from month 2, 8 from 4, 1 from 7.
        w4, w7 = (7 / 6) ** 2, (7 / 3) ** 2
        by_hand = (7 + 5 * w4 + w7) / (7 + 8 * w4 + w7)
        assert c_index(EIGHT, method="uno").value == pytest.approx(by_hand, abs=EXACT)

    def test_only_pairs_up_to_a_month_count(self):
        assert c_index(EIGHT, until=4).value == pytest.approx(12 / 15, abs=EXACT)

    def test_calibration_in_two_halves(self):
        table = calibration(
            EIGHT, predicted_col="score", horizon=4, duration_col="months", outcome_col="outcome", outcome="cured",
            n_groups=2,
        )  # fmt: skip
        # Scores .1 .3 .4 | .5 .5 .6 .8 .9: the tied .5 are kept together (their middle lies at 4/8).
        assert table["n_episodes"].tolist() == [3, 5]
        np.testing.assert_allclose(table["predicted"], [0.8 / 3, 3.3 / 5], atol=EXACT)
        np.testing.assert_allclose(table["observed"], [1 / 3, 2 / 5], atol=EXACT)
        # Just before month 4: of the low ones the sale at 3 is gone, of the high ones the cure at 2.
        assert table["n_at_risk"].tolist() == [2, 4]
        np.testing.assert_allclose(table["difference"], table["observed"] - table["predicted"])


SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
class TestAgainstDoubleLoops:
    def test_concordance(self, seed):
        frame = random_frame(seed, 60)
        brute = BruteForce(frame)
        one = BruteForce(frame.assign(outcome=frame["outcome"].replace("sold", "open")))
        for until in (None, 5):
            limit = {} if until is None else {"until": until}
            harrell = brute.concordance(lambda t, u: 1.0, competing=True, **limit)
            assert c_index_competing(frame, until=until).value == pytest.approx(harrell, abs=EXACT)
            uno = brute.uno(competing=True, **limit)
            assert c_index_competing(frame, until=until, method="uno").value == pytest.approx(uno, abs=EXACT)
            assert c_index(frame, until=until).value == pytest.approx(
                one.concordance(lambda t, u: 1.0, **limit), abs=EXACT
            )
            assert c_index(frame, until=until, method="uno").value == pytest.approx(one.uno(**limit), abs=EXACT)

    def test_concordance_of_lifelines(self, seed):
        frame = random_frame(seed, 80)
        peer = concordance_index(frame["months"], -frame["score"], frame["cured"])
        assert c_index(frame).value == pytest.approx(peer, abs=EXACT)

    def test_auc_curve(self, seed):
        frame = random_frame(seed, 60)
        brute = BruteForce(frame)
        months = list(range(10))
        for controls in ("open", "others"):
            expected = [brute.auc(month, controls) for month in months]
            np.testing.assert_allclose(auc(frame, months, controls=controls)["auc"], expected, atol=EXACT)

    def test_brier_score(self, seed):
        frame = random_frame(seed, 60)
        brute = BruteForce(frame)
        table = brier(frame, range(10), predicted_cols=dict.fromkeys(range(10), "score"))
        np.testing.assert_allclose(table["brier_score"], [brute.brier(month) for month in range(10)], atol=EXACT)

    def test_cure_measures(self, seed):
        frame = random_frame(seed, 40)
        x, w, t, event = (frame[c].to_numpy() for c in ("score", "w", "months", "cured"))
        auc_sums, k_sums, c_sums = np.zeros(2), np.zeros(2), np.zeros(2)
        for i in range(len(x)):
            for j in range(len(x)):
                if i != j:
                    auc_sums += w[i] * (1 - w[j]) * np.array([half(x[i], x[j]), 1])
                    k_sums += w[i] * w[j] * np.array([1 / (1 + np.exp(-abs(x[i] - x[j]))), 1])
                if event[i] and (t[i] < t[j] or (t[i] == t[j] and not event[j])):
                    c_sums += w[i] * w[j] * np.array([half(x[i], x[j]), 1])
        auc_value = cure_auc(frame, score_col="score", susceptible_weight_col="w")
        assert auc_value == pytest.approx(auc_sums[0] / auc_sums[1], abs=EXACT)
        k_value = cure_k_index(frame, score_col="score", susceptible_col="w")
        assert k_value == pytest.approx(k_sums[0] / k_sums[1], abs=EXACT)
        columns = {"duration_col": "months", "event_col": "cured", "score_col": "score"}
        c_value = cure_concordance(frame, susceptible_weight_col="w", **columns)
        assert c_value == pytest.approx(c_sums[0] / c_sums[1], abs=EXACT)


@pytest.mark.parametrize("spread", [0.01, 1.0, 8.0, 300.0, 1e6])
def test_k_index_is_exact_for_narrow_and_for_wide_scores(spread):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"score": spread * rng.standard_normal(1500), "w": rng.random(1500)})
    products = np.outer(frame["w"], frame["w"])
    np.fill_diagonal(products, 0.0)
    apart = np.abs(frame["score"].to_numpy()[:, None] - frame["score"].to_numpy())
    expected = (products * expit(apart)).sum() / products.sum()
    assert cure_k_index(frame, score_col="score", susceptible_col="w") == pytest.approx(expected, abs=EXACT)


def test_k_index_does_not_depend_on_the_size_of_its_blocks(monkeypatch):
    frame = pd.DataFrame({"score": np.random.default_rng(5).normal(0, 3, 500), "w": 1.0})
    whole = cure_k_index(frame, score_col="score", susceptible_col="w")
    monkeypatch.setattr(pairs, "BLOCK_ROWS", 7)
    assert cure_k_index(frame, score_col="score", susceptible_col="w") == pytest.approx(whole, abs=EXACT)


def all_measures(frame, weights_col=None):
    """Return every measure and standard error of a frame as one flat array."""
    months, by_month = [2, 4, 6, 8], dict.fromkeys([2, 4, 6, 8], "score")
    competing = {"duration_col": "months", "outcome_col": "outcome", "outcome": "cured", "weights_col": weights_col}
    scalars = [concordance(frame, score_col="score", method=method, **competing) for method in ("harrell", "uno")] + [
        integrated_auc(frame, score_col="score", times=months, **competing),
        integrated_brier_score(frame, predicted_cols=by_month, times=months, **competing),
    ]
    groups = calibration_by_horizon(frame, predicted_cols=by_month, n_groups=3, **competing)
    tables = [auc(frame, months, weights_col=weights_col), auc(frame, months, controls="open", weights_col=weights_col)]
    tables += [brier(frame, months, predicted_cols=by_month, weights_col=weights_col), groups]
    cure = [
        cure_auc(frame, score_col="score", susceptible_weight_col="w", weights_col=weights_col),
        cure_k_index(frame, score_col="score", susceptible_col="w", weights_col=weights_col),
        cure_concordance(
            frame, duration_col="months", event_col="cured", score_col="score", susceptible_weight_col="w",
            weights_col=weights_col,
        ),
    ]  # fmt: skip
    flat = [np.array([m.value, m.standard_error, m.lower, m.upper]) for m in scalars]
    return np.concatenate([*flat, *(t.to_numpy(float).ravel() for t in tables), np.array(cure)])


class TestWhatMustAlwaysHold:
    @settings(max_examples=8, deadline=None)
    @given(st.integers(0, 10_000))
    def test_a_row_of_weight_two_is_the_row_twice(self, seed):
        frame = random_frame(seed, 40)
        weighted, repeated = all_measures(frame, "n"), all_measures(repeat_rows(frame))
        np.testing.assert_allclose(weighted, repeated, rtol=1e-9, atol=1e-9)  # square roots of sums near 0

    @settings(max_examples=8, deadline=None)
    @given(st.integers(0, 10_000))
    def test_the_order_of_the_rows_does_not_matter(self, seed):
        frame = random_frame(seed, 40)
        shuffled = frame.sample(frac=1.0, random_state=seed)
        np.testing.assert_allclose(all_measures(frame), all_measures(shuffled), rtol=1e-9, atol=1e-9)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000))
    def test_only_the_order_of_the_scores_matters(self, seed):
        frame = random_frame(seed, 50)
        stretched = frame.assign(score=np.exp(5 * frame["score"]) - 3)
        for measure in (c_index, c_index_competing):
            for method in ("harrell", "uno"):
                assert measure(frame, method=method).value == measure(stretched, method=method).value
        pd.testing.assert_frame_equal(auc(frame, [3, 6]), auc(stretched, [3, 6]))

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000))
    def test_the_score_turned_round_gives_one_minus_the_measure(self, seed):
        frame = random_frame(seed, 50)
        turned = frame.assign(score=-frame["score"])
        for method in ("harrell", "uno"):
            total = c_index_competing(frame, method=method).value + c_index_competing(turned, method=method).value
            assert total == pytest.approx(1.0, abs=EXACT)
        np.testing.assert_allclose(auc(frame, [3, 6])["auc"] + auc(turned, [3, 6])["auc"], 1.0, atol=EXACT)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000))
    def test_the_unit_of_time_does_not_matter(self, seed):
        frame = random_frame(seed, 50)
        days = frame.assign(months=frame["months"] * 30.5)
        np.testing.assert_array_equal(auc(frame, [3, 6])["auc"], auc(days, [91.5, 183.0])["auc"])
        assert c_index(frame, method="uno").value == c_index(days, method="uno").value

    @pytest.mark.parametrize("method", ["harrell", "uno"])
    def test_a_perfect_score_reaches_one_and_a_constant_one_half(self, method):
        frame = random_frame(3, 80).assign(score=lambda f: -f["months"] + 0.5 * f["cured"])
        assert c_index(frame, method=method).value == pytest.approx(1.0, abs=EXACT)
        constant = frame.assign(score=1.0)
        assert c_index(constant, method=method).value == pytest.approx(0.5, abs=EXACT)
        assert c_index(constant, method=method).standard_error == pytest.approx(0.0, abs=EXACT)
        assert auc(constant, [4])["auc"].item() == pytest.approx(0.5, abs=EXACT)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_at_its_ends_a_measure_has_limits_without_width(self, sign):
        frame = random_frame(3, 80).assign(score=lambda f: sign * (0.5 * f["cured"] - f["months"]))
        end = 1.0 if sign == 1 else 0.0
        row = auc(frame, [4], outcome_col=None, outcome=None, event_col="cured").iloc[0]
        for method in ("harrell", "uno"):
            measure = c_index(frame, method=method)
            assert (measure.value, measure.lower, measure.upper) == pytest.approx((end, end, end), abs=EXACT)
        assert (row["auc"], row["lower"], row["upper"]) == pytest.approx((end, end, end), abs=EXACT)

    def test_the_brier_score_of_the_incidence_for_all_is_the_reference(self):
        frame = random_frame(8, 200)
        curve = aalen_johansen(frame, duration_col="months", outcome_col="outcome")["cured"]
        table = brier(frame, [2, 5, 9], predict=lambda month: np.full(len(frame), curve(month).item()))
        np.testing.assert_allclose(table["brier_score"], table["reference_score"], atol=EXACT)
        np.testing.assert_allclose(table["skill"], 0.0, atol=1e-9)

    def test_censoring_weights_add_up_to_kaplan_meier(self):
        # Predicting 0 for all, the Brier score is the weighted share of cases, which is 1 - KM.
        frame = random_frame(9, 200, shares=(0.6, 0.0, 0.4)).assign(zero=0.0)
        curve = kaplan_meier(frame, duration_col="months", event_col="cured")
        options = {"outcome_col": None, "outcome": None, "event_col": "cured"}
        table = brier(frame, range(10), predicted_cols=dict.fromkeys(range(10), "zero"), **options)
        np.testing.assert_allclose(table["brier_score"], 1.0 - curve(range(10)), atol=EXACT)

    def test_one_kind_of_event_is_the_case_without_competing_outcomes(self):
        frame = random_frame(10, 100, shares=(0.6, 0.0, 0.4))
        as_event = auc(frame, [3, 7], outcome_col=None, outcome=None, event_col="cured")
        pd.testing.assert_frame_equal(as_event, auc(frame, [3, 7]))
        pd.testing.assert_frame_equal(as_event, auc(frame, [3, 7], controls="open"))
        assert c_index(frame, method="uno") == c_index_competing(frame, method="uno")

    def test_without_censoring_uno_is_harrell(self):
        frame = random_frame(11, 100)
        frame = frame[frame["outcome"] != "open"]
        uno, harrell = (c_index_competing(frame, method=m) for m in ("uno", "harrell"))
        assert uno.value == pytest.approx(harrell.value, abs=EXACT)
        assert uno.standard_error == pytest.approx(harrell.standard_error, abs=EXACT)

    def test_inputs_are_not_changed(self):
        frame = random_frame(12, 40)
        before = frame.copy(deep=True)
        all_measures(frame, "n")
        pd.testing.assert_frame_equal(frame, before)


def measured(frame, weights, which):
    ends = frame["outcome"].map({"cured": kernels.CAUSE, "sold": kernels.COMPETING, "open": kernels.CENSORED})
    episodes = kernels.Episodes(frame["months"].to_numpy(float), ends.to_numpy(), weights)
    scores, censoring = frame["score"].to_numpy(), kernels.censoring_of(episodes)
    if which == "harrell":
        return kernels.harrell(episodes, scores, 7.0)
    if which == "uno":
        return kernels.uno(episodes, scores, 7.0, censoring)
    if which == "brier":
        return kernels.brier_at(episodes, scores, 5.0, censoring)
    ranks = pairs.score_order(scores)
    return kernels.auc_at(episodes, ranks, 5.0, censoring, others_are_controls=which == "auc, others")


KINDS = ["harrell", "uno", "brier", "auc, others", "auc, open"]


class TestStandardErrors:
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("which", KINDS)
    def test_the_influence_of_a_row_is_the_slope_in_its_weight(self, which, seed):
        frame = random_frame(seed, 30)
        weights = np.random.default_rng(seed).uniform(0.5, 2.0, 30)
        influence = measured(frame, weights, which).influence
        step = 1e-5
        for row in range(30):
            moved = np.zeros(30)
            moved[row] = step
            up, down = (measured(frame, weights + sign * moved, which).value for sign in (1, -1))
            assert influence[row] == pytest.approx((up - down) / (2 * step), abs=SLOPE_TOLERANCE)

    @pytest.mark.parametrize("which", KINDS)
    def test_the_standard_error_is_close_to_that_of_the_jackknife(self, which):
        frame = random_frame(5, 150, n_scores=50)
        whole = measured(frame, np.ones(150), which)
        without = [measured(frame.drop(index=row), np.ones(149), which).value for row in range(150)]
        jackknife = np.sqrt(149 / 150 * np.sum((np.array(without) - np.mean(without)) ** 2))
        assert whole.standard_error(np.ones(150)) == pytest.approx(jackknife, rel=JACKKNIFE_TOLERANCE)

    def test_the_mean_over_one_horizon_is_that_horizon(self):
        frame = random_frame(6, 100)
        row = auc(frame, [5]).iloc[0]
        mean = integrated_auc(
            frame, duration_col="months", outcome_col="outcome", outcome="cured", score_col="score", times=[5]
        )
        assert (mean.value, mean.standard_error) == pytest.approx((row["auc"], row["standard_error"]), abs=EXACT)
        assert (mean.lower, mean.upper) == pytest.approx((row["lower"], row["upper"]), abs=EXACT)

    def test_means_over_horizons_weigh_as_documented(self):
        frame = random_frame(6, 100)
        months, shared = [2, 3, 6], {"duration_col": "months", "outcome_col": "outcome", "outcome": "cured"}
        incidence = aalen_johansen(frame, duration_col="months", outcome_col="outcome")["cured"]([0, *months])
        steps = np.diff(np.append(0.0, incidence[1:]))
        expected = (auc(frame, months)["auc"] * steps).sum() / steps.sum()
        mean = integrated_auc(frame, score_col="score", times=months, **shared)
        assert mean.value == pytest.approx(expected, abs=EXACT)
        by_month = dict.fromkeys(months, "score")
        score = integrated_brier_score(frame, predicted_cols=by_month, times=months, **shared)
        curve = brier(frame, months, predicted_cols=by_month)["brier_score"].to_numpy()
        assert score.value == pytest.approx(np.trapezoid(curve, months) / 4, abs=EXACT)

    @pytest.mark.slow
    def test_intervals_cover_the_truth(self):
        # Hazard exp(x), censoring uniform; the truth comes from 400,000 uncensored episodes of the same law.
        def simulate(rng, n, *, censored):
            x = rng.standard_normal(n)
            event = rng.exponential(np.exp(-x) * 12)
            limit = rng.uniform(2, 30, n) if censored else np.full(n, 1e9)
            months = np.ceil(np.minimum(event, limit))
            return pd.DataFrame({"months": months, "cured": event <= limit, "score": x})

        options = {"outcome_col": None, "outcome": None, "event_col": "cured"}
        large = simulate(np.random.default_rng(1), 400_000, censored=False)
        truths = np.array([auc(large, [10], **options)["auc"].item(), c_index(large, until=20).value])
        hits, rng = np.zeros(2), np.random.default_rng(2)
        for _ in range(500):
            frame = simulate(rng, 400, censored=True)
            row = auc(frame, [10], **options).iloc[0]
            c = c_index(frame, method="uno", until=20)
            hits += [row["lower"] <= truths[0] <= row["upper"], c.lower <= truths[1] <= c.upper]
        assert np.all((hits / 500 >= 0.93) & (hits / 500 <= 0.97))  # 95 % +- 2 binomial standard errors of 1 %


class TestCalibration:
    def frame(self, n=4000):
        rng = np.random.default_rng(13)
        p = rng.uniform(0.05, 0.6, n)
        kind = rng.random(n)
        outcome = np.where(kind < p, "cured", np.where(kind < p + 0.3, "sold", "open"))
        months = np.where(outcome == "open", 24, rng.integers(1, 13, n))
        early = rng.random(n) < 0.3
        months = np.where(early, np.minimum(months, rng.integers(1, 13, n)), months)
        changed = early & (months < 12)
        return pd.DataFrame({"months": months, "outcome": np.where(changed, "open", outcome), "p": p})

    options = {"duration_col": "months", "outcome_col": "outcome", "outcome": "cured"}  # noqa: RUF012

    def test_groups_are_deciles_in_the_order_of_the_prediction(self):
        table = calibration(self.frame(), predicted_col="p", horizon=12, **self.options)
        assert table["group"].tolist() == list(range(1, 11))
        assert table["n_episodes"].tolist() == [400] * 10
        assert all(a <= b for a, b in pairwise(table["predicted"]))
        assert (table["predicted_max"].to_numpy()[:-1] <= table["predicted_min"].to_numpy()[1:]).all()
        assert ((table["lower"] <= table["observed"]) & (table["observed"] <= table["upper"])).all()

    def test_one_group_is_the_curve_of_the_whole_book(self):
        frame = self.frame()
        curve = aalen_johansen(frame, duration_col="months", outcome_col="outcome")["cured"]
        table = calibration_by_horizon(frame, predicted_cols={12: "p", 6: "p"}, n_groups=1, **self.options)
        assert table["months"].tolist() == [6, 12]
        np.testing.assert_allclose(table["observed"], curve([6, 12]), atol=EXACT)
        np.testing.assert_allclose(table[["lower", "upper"]], curve.at([6, 12])[["lower", "upper"]], atol=EXACT)
        np.testing.assert_allclose(table["predicted"], frame["p"].mean(), atol=EXACT)

    def test_equal_predictions_stay_together(self):
        frame = self.frame(300).assign(p=lambda f: np.where(f["p"] < 0.3, 0.2, 0.4))
        table = calibration(frame, predicted_col="p", horizon=6, **self.options)
        assert table["group"].tolist() == [1, 2]
        np.testing.assert_array_equal(table["predicted_min"], table["predicted_max"])

    def test_a_group_that_was_not_observed_so_long_has_no_answer(self):
        frame = pd.DataFrame(
            {"months": [2, 3, 9, 9], "outcome": ["cured", "open", "cured", "open"], "p": [0.1, 0.1, 0.9, 0.9]}
        )
        table = calibration(frame, predicted_col="p", horizon=6, n_groups=2, **self.options)
        assert table["observed"].isna().tolist() == [True, False]
        ended = frame.assign(outcome=["cured", "sold", "cured", "open"])  # by month 3 all of the low group had ended
        table = calibration(ended, predicted_col="p", horizon=6, n_groups=2, **self.options)
        assert table["observed"].tolist() == [0.5, 0.0]
        assert table["n_at_risk"].tolist() == [0, 2]


@pytest.fixture(scope="module")
def cured():
    rng = np.random.default_rng(21)
    n = 600
    frame = pd.DataFrame({"x": rng.choice([-1.0, 0.0, 1.0], n), "z": rng.choice([0.0, 1.0], n)})
    months = np.where(rng.random(n) < expit(frame["x"]), rng.exponential(6 * np.exp(-0.8 * frame["z"])), np.inf)
    limit = rng.uniform(5, 40, n)
    return frame.assign(months=np.minimum(months, limit), cured=months <= limit)


@pytest.fixture(scope="module")
def fit(cured):
    model = MixtureCureModel(distribution="weibull", incidence="~ x", latency="~ z")
    return model.fit(cured, duration_col="months", event_col="cured")


class TestFits:
    def test_the_latency_score_is_the_log_hazard_ratio_of_a_weibull_latency(self, cured, fit):
        table = cure_discrimination(fit, cured, duration_col="months", event_col="cured").set_index("measure")["value"]
        shape = np.exp(-fit.params["ancillary"].iloc[0])  # 1 / sigma, of log T = z'beta + sigma eps
        scored = cured.assign(score=-fit.params["latency"]["z"] * shape * cured["z"], p=fit.predict_susceptible(cured))
        expected = cure_k_index(scored, score_col="score", susceptible_col="p")
        assert table["cure_k_index"] == pytest.approx(expected, abs=1e-9)  # a double log of rounded survival
        # At the maximum the expected number that ever has the event is the sum of the incidences.
        assert table["susceptible_episodes"] == pytest.approx(scored["p"].sum(), rel=1e-5)
        assert 0.5 < table["cure_concordance"] < 1
        assert 0.5 < table["cure_auc"] < 1

    def test_a_row_of_weight_two_is_the_row_twice_in_both_halves(self):
        # A log-normal latency: how far apart it sets the episodes depends on the month, the median of the events.
        book = random_frame(22, 150, shares=(0.6, 0.0, 0.4)).assign(months=lambda f: f["months"] + 1)
        book["n"] = np.where(book["months"] <= 3, 7, 1)
        options = {"duration_col": "months", "event_col": "cured"}
        fit = MixtureCureModel(distribution="lognormal", incidence="~ score", latency="~ w").fit(book, **options)
        weighted = cure_discrimination(fit, book, weights_col="n", **options)
        pd.testing.assert_frame_equal(weighted, cure_discrimination(fit, repeat_rows(book), **options), rtol=1e-9)

    @pytest.mark.parametrize(("weights", "median"), [([1, 1, 1, 1], 4.5), ([3, 1, 1, 1], 3), ([5, 1, 1, 1], 2)])
    def test_the_median_is_that_of_the_episodes_for_which_the_rows_stand(self, weights, median):
        values = np.array([2.0, 5.0, 4.0, 9.0])
        assert fits._weighted_median(values, np.array(weights, dtype=float)) == median
        assert np.median(np.repeat(values, weights)) == median

    def test_the_size_of_the_blocks_does_not_matter(self, cured, fit, monkeypatch):
        options = {"duration_col": "months", "event_col": "cured"}
        whole = cure_discrimination(fit, cured, **options)
        monkeypatch.setattr(fits, "BLOCK_TIMES", 3)
        monkeypatch.setattr(fits, "BLOCK_ROWS", 7)
        pd.testing.assert_frame_equal(cure_discrimination(fit, cured, **options), whole, rtol=EXACT)

    def test_predictions_of_a_fit_are_its_cumulative_incidence(self, cured, fit):
        options = {"duration_col": "months", "event_col": "cured", "times": [6, 12]}
        table = brier_score(cured, predict=predictions_of(fit, cured), **options)
        columns = fit.predict_cumulative_incidence(cured, [6, 12]).set_axis(["by_6", "by_12"], axis=1)
        named = brier_score(cured.join(columns), predicted_cols={6: "by_6", 12: "by_12"}, **options)
        pd.testing.assert_frame_equal(table, named)
        assert (table["skill"] > 0).all()

    def test_one_of_several_outcomes_is_named(self):
        class Fit:
            def predict_cumulative_incidence(self, frame, times):
                columns = pd.MultiIndex.from_product([["cured", "sold"], times], names=["outcome", "time"])
                return pd.DataFrame([[0.2, 0.1]] * len(frame), index=frame.index, columns=columns)

        assert predictions_of(Fit(), EIGHT, outcome="sold")(4.0).tolist() == [0.1] * 8
        with pytest.raises(ValueError, match="several outcomes; name one of"):
            predictions_of(Fit(), EIGHT)(4.0)
        with pytest.raises(ValueError, match=r"does not predict outcome 'liquidated'; name one of \['cured', 'sold'\]"):
            predictions_of(Fit(), EIGHT, outcome="liquidated")(4.0)

    def test_an_outcome_is_not_named_for_a_fit_of_one_event(self, cured, fit):
        with pytest.raises(ValueError, match="outcome 'cured'; it predicts one event only"):
            predictions_of(fit, cured, outcome="cured")(4.0)


class TestEdges:
    def test_a_book_that_was_seen_for_exactly_the_horizon_has_an_auc(self):
        frame = pd.DataFrame({"months": [3, 12, 12, 12], "cured": [1, 1, 0, 0], "score": [0.9, 0.2, 0.5, 0.1]})
        options = {"outcome_col": None, "outcome": None, "event_col": "cured"}
        # Cases .9 and .2; open through month 12: .5 and .1. Three of four pairs.
        assert auc(frame, [12], **options)["auc"].item() == 0.75

    def test_a_month_without_cases_is_not_a_number(self):
        table = auc(EIGHT, [1, 4])
        assert table["n_cases"].tolist() == [0, 3]
        assert table[["auc", "standard_error", "lower", "upper"]].iloc[0].isna().all()

    def test_an_event_in_month_zero_is_a_case(self):
        frame = pd.DataFrame({"months": [0, 5], "outcome": ["cured", "open"], "score": [1.0, 0.0]})
        assert auc(frame, [0])["auc"].item() == 1.0

    def test_scores_may_change_with_the_horizon(self):
        frame = random_frame(14, 60).assign(late=lambda f: f["w"])
        both = auc(frame, [3, 6], score_col={3: "score", 6: "late"})
        called = auc(frame, [3, 6], score_col=None, predict=lambda month: frame["score" if month == 3 else "late"])
        pd.testing.assert_frame_equal(both, called)
        assert both["auc"].iloc[0] == auc(frame, [3])["auc"].item()
        assert both["auc"].iloc[1] == auc(frame, [6], score_col="late")["auc"].item()

    def test_an_open_episode_that_the_model_excludes_still_has_a_weight(self):
        frame = pd.DataFrame({"cured": [0, 0], "p": [1.0, 0.0], "s": [0.0, 0.5]})
        options = {"event_col": "cured", "susceptible_col": "p", "latency_survival_col": "s"}
        assert susceptible_weights(frame, **options).tolist() == [1.0, 0.0]

    def test_measures_can_be_written_down(self):
        measure = c_index(EIGHT)
        assert float(measure) == measure.value
        assert measure.to_record()["measure"] == "harrell concordance"
        assert measure.to_frame().columns.tolist() == ["measure", "value", "standard_error", "lower", "upper"]


class TestMessages:
    def test_all_broken_rules_are_named_at_once(self):
        frame = pd.DataFrame({"months": [-1.0, 2.0, 3.0], "cured": [1, 2, 0], "score": [0.1, 0.2, np.inf]})
        with pytest.raises(ContractError) as caught:
            c_index(frame)
        assert len(caught.value.violations) == 3
        assert "score must be a finite number" in str(caught.value)

    def test_a_missing_column_is_named(self):
        with pytest.raises(ContractError, match="'marks' is missing"):
            concordance(EIGHT, duration_col="months", event_col="cured", score_col="marks")

    def test_probabilities_must_be_probabilities(self):
        with pytest.raises(ContractError, match="score must be a probability"):
            brier(EIGHT.assign(score=2.0), [4], predicted_cols={4: "score"})
        with pytest.raises(ContractError, match=r"predict\(4\) must be a probability"):
            brier(EIGHT, [4], predict=lambda month: np.full(8, -0.1))
        with pytest.raises(ValueError, match="one number for each of the 8 rows"):
            brier(EIGHT, [4], predict=lambda month: np.zeros(3))

    def test_what_was_never_seen_cannot_be_judged(self):
        with pytest.raises(InsufficientDataError, match="none of the 8 rows ended in outcome 'liquidated'"):
            auc(EIGHT, [4], outcome="liquidated")
        with pytest.raises(InsufficientDataError, match="no order can be judged"):
            c_index(EIGHT[EIGHT["months"] == 4].assign(cured=True))
        with pytest.raises(InsufficientDataError, match="leaves no pair"):
            cure_auc(EIGHT.assign(w=1.0), score_col="score", susceptible_weight_col="w")

    def test_beyond_the_data_there_is_no_answer(self):
        with pytest.raises(ExtrapolationError, match="observed from month 0 to 8"):
            auc(EIGHT, [4, 9])

    def test_options_are_checked(self):
        with pytest.raises(ValueError, match="allowed are 'harrell', 'uno'"):
            c_index(EIGHT, method="somers")
        with pytest.raises(ValueError, match="either event_col"):
            concordance(EIGHT, duration_col="months", score_col="score")
        with pytest.raises(ValueError, match="outcome names the outcome"):
            concordance(EIGHT, duration_col="months", score_col="score", outcome_col="outcome")
        with pytest.raises(ValueError, match="increasing"):
            auc(EIGHT, [4, 2])
        with pytest.raises(ValueError, match="either as columns or as predict"):
            auc(EIGHT, [4], score_col=None)
        with pytest.raises(ValueError, match="allowed are 'others', 'open'"):
            auc(EIGHT, [4], controls="healthy")
        with pytest.raises(ValueError, match="no prediction column is named for month 4"):
            brier(EIGHT, [4], predicted_cols={5: "score"})
        for n_groups in (0, 2.5):
            with pytest.raises(ValueError, match="n_groups"):
                calibration(
                    EIGHT,
                    predicted_col="score",
                    horizon=4,
                    duration_col="months",
                    event_col="cured",
                    n_groups=n_groups,
                )
