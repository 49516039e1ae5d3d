"""Chain ladder and Mack's errors: published triangles to the printed digit, by hand, and where the method must refuse.

The published figures stand beside their source; each triangle was also run through chainladder-python 0.10.1 (PyPI),
whose figures, with all their digits, stand where no print has them.
"""

import json

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators.chain_ladder import ChainLadderModel

EXACT = 1e-12  # a few sums and products of numbers of order 1
PEER = 1e-9  # relative: the same formulas in another order of summation

# Reinsurance Association of America, automatic facultative general liability, 1981-1990, incurred losses in 1,000
# dollars; Mack (1994), Measuring the variability of chain ladder reserve estimates, Casualty Actuarial Society Forum,
# Spring 1994, vol. 1, pp. 101-182.
RAA = [
    [5012, 8269, 10907, 11805, 13539, 16181, 18009, 18608, 18662, 18834],
    [106, 4285, 5396, 10666, 13782, 15599, 15496, 16169, 16704],
    [3410, 8992, 13873, 16141, 18735, 22214, 22863, 23466],
    [5655, 11555, 15766, 21266, 23425, 26083, 27067],
    [1092, 9565, 15836, 22169, 25955, 26180],
    [1513, 6445, 11702, 12935, 15852],
    [557, 4020, 10946, 12314],
    [1351, 6947, 13112],
    [3133, 5395],
    [2063],
]
# Taylor & Ashe (1983), as in Mack (1993), Distribution-free calculation of the standard error of chain ladder reserve
# estimates, ASTIN Bulletin 23(2), pp. 213-225. Its tables 2 and 3 are also printed by the demo of R's ChainLadder.
TAYLOR_ASHE = [
    [357848, 1124788, 1735330, 2218270, 2745596, 3319994, 3466336, 3606286, 3833515, 3901463],
    [352118, 1236139, 2170033, 3353322, 3799067, 4120063, 4647867, 4914039, 5339085],
    [290507, 1292306, 2218525, 3235179, 3985995, 4132918, 4628910, 4909315],
    [310608, 1418858, 2195047, 3757447, 4029929, 4381982, 4588268],
    [443160, 1136350, 2128333, 2897821, 3402672, 3873311],
    [396132, 1333217, 2180715, 2985752, 3691712],
    [440832, 1288463, 2419861, 3483130],
    [359480, 1421128, 2864498],
    [376686, 1363294],
    [344014],
]
# Mortgage guarantee business; Mack (1999), The standard error of chain ladder reserve estimates: recursive calculation
# and inclusion of a tail factor, ASTIN Bulletin 29(2), pp. 361-366.
MORTGAGE = [
    [58046, 127970, 476599, 1027692, 1360489, 1647310, 1819179, 1906852, 1950105],
    [24492, 141767, 984288, 2142656, 2961978, 3683940, 4048898, 4115760],
    [32848, 274682, 1522637, 3203427, 4445927, 5158781, 5342585],
    [21439, 529828, 2900301, 4999019, 6460112, 6853904],
    [40397, 763394, 2920745, 4989572, 5648563],
    [90748, 951994, 4210640, 5866482],
    [62096, 868480, 1954797],
    [24983, 284441],
    [13121],
]


def triangle_of(cumulative, *, ead=1.0e6, start=1):
    """Write rows of cumulative amounts as a triangle with months from 0; the first amount stands in month ``start``."""
    rows = []
    for number, amounts in enumerate(cumulative):
        increments = [0.0] * start + np.diff([0.0, *amounts]).tolist()
        for month, amount in enumerate(increments):
            rows.append((f"V{number:02d}", month, amount, ead, 100, True))
    columns = ["default_vintage", "month", "present_value_amount", "ead_at_risk", "n_at_risk", "is_complete"]
    return pd.DataFrame(rows, columns=columns)


def fitted(cumulative, **choices):
    return ChainLadderModel(**choices).fit(triangle_of(cumulative))


class TestPublishedTriangles:
    def test_factors_and_sigmas_of_taylor_ashe_are_those_of_mack_1993(self):
        table = fitted(TAYLOR_ASHE).development
        # f and sigma^2 / 1000, rounded as in the paper.
        factors = [3.49, 1.75, 1.46, 1.174, 1.104, 1.086, 1.054, 1.077, 1.018]
        thousands = [160, 37.7, 42.0, 15.2, 13.7, 8.19, 0.447, 1.15, 0.447]
        np.testing.assert_allclose(table["factor"], factors, rtol=0.0025)  # three digits printed
        np.testing.assert_allclose(table["sigma"] ** 2 / 1000, thousands, rtol=0.005)

    def test_reserves_and_errors_of_taylor_ashe_are_those_of_mack_1993(self):
        fit = fitted(TAYLOR_ASHE)
        # Chain ladder reserves and their standard errors, in units.
        reserves = [94634, 469511, 709638, 984889, 1419459, 2177641, 3920301, 4278972, 4625811]
        errors = [75535, 121699, 133549, 261406, 411010, 558317, 875328, 971258, 1363155]
        np.testing.assert_array_equal(fit.vintages["remaining_amount"].round()[1:], reserves)
        np.testing.assert_array_equal(fit.vintages["standard_error"].round()[1:], errors)
        assert round(fit.total["remaining_amount"]) == 18680856
        assert round(fit.total["standard_error"]) == 2447095

    def test_reserves_and_errors_of_the_raa_triangle_are_those_of_mack_1994(self):
        fit = fitted(RAA)
        reserves = [154, 617, 1636, 2747, 3649, 5435, 10907, 10650, 16339]
        errors = [206, 623, 747, 1469, 2002, 2209, 5358, 6333, 24566]
        np.testing.assert_array_equal(fit.vintages["remaining_amount"].round()[1:], reserves)
        np.testing.assert_array_equal(fit.vintages["standard_error"].round()[1:], errors)
        assert round(fit.total["remaining_amount"]) == 52135
        assert round(fit.total["standard_error"]) == 26909

    def test_factors_of_the_mortgage_triangle_with_a_tail_are_those_of_mack_1999(self):
        # Table 1, tail factor 1.05 with error 0.02 and sigma 71; also in the unit tests of R's ChainLadder.
        table = fitted(MORTGAGE, tail_factor=1.05, tail_standard_error=0.02, tail_sigma=71.0).development
        factors = [11.10, 4.092, 1.708, 1.276, 1.139, 1.069, 1.026, 1.023, 1.05]
        errors = [2.24, 0.517, 0.122, 0.051, 0.042, 0.023, 0.015, 0.012, 0.02]
        sigmas = [1337, 988.5, 440.1, 207.0, 164.2, 74.60, 35.49, 16.89, 71]
        np.testing.assert_allclose(table["factor"], factors, rtol=5e-4)
        np.testing.assert_allclose(table["standard_error"], errors, atol=0.005)
        np.testing.assert_allclose(table["sigma"], sigmas, rtol=5e-4)
        # sigma_k / sqrt(C_3k) of the third vintage, known to its seventh column and extrapolated after it.
        completed = fitted(MORTGAGE).triangle(rates=False).to_numpy()[2]
        own = table["sigma"].to_numpy() / np.sqrt(completed)
        np.testing.assert_allclose(own, [7.38, 1.89, 0.357, 0.116, 0.078, 0.033, 0.015, 0.007, 0.03], atol=0.005)


class TestChainladderPython:
    """Figures of chainladder-python 0.10.1: Development(average=, sigma_interpolation=) and MackChainladder."""

    @pytest.mark.parametrize(
        ("triangle", "choices", "total", "youngest", "sigma"),
        [
            (RAA, {"average": "simple"}, 92549.21762089983, 91316.32074609371, 0.0502458298543977),
            (RAA, {"average": "regression"}, 15741.201569726181, 12336.033605563049, 813.0382167331712),
            (RAA, {"last_sigma": "log_linear"}, 26880.740329891385, 24565.775708785455, 6.38904239186815),
            (TAYLOR_ASHE, {"average": "simple"}, 2547153.726793876, 1363261.539320326, 0.0454475820362675),
            (TAYLOR_ASHE, {"average": "regression"}, 2370623.330547407, 1378460.1428362038, 180922.87569208618),
            (TAYLOR_ASHE, {"last_sigma": "log_linear"}, 2441364.128054218, 1362981.0697892713, 90.47525418593544),
        ],
    )
    def test_errors_of_other_averages_and_of_the_log_linear_sigma_agree(
        self, triangle, choices, total, youngest, sigma
    ):
        fit = fitted(triangle, **choices)
        assert fit.total["standard_error"] == pytest.approx(total, rel=PEER)
        assert fit.vintages["standard_error"].iloc[-1] == pytest.approx(youngest, rel=PEER)
        assert fit.development["sigma"].iloc[5] == pytest.approx(sigma, rel=PEER)

    def test_process_and_parameter_parts_agree(self):
        total = fitted(RAA).total
        assert total["process_error"] == pytest.approx(24919.962231, rel=1e-9)
        assert total["parameter_error"] == pytest.approx(10153.342492, rel=1e-9)
        total = fitted(TAYLOR_ASHE).total
        assert total["process_error"] == pytest.approx(1878291.797907, rel=1e-9)
        assert total["parameter_error"] == pytest.approx(1568532.17367, rel=1e-9)

    def test_the_package_itself_agrees_where_it_is_installed(self):
        peer = pytest.importorskip("chainladder")
        sample = peer.load_sample("raa")
        other = peer.MackChainladder().fit(peer.Development(sigma_interpolation="mack").fit_transform(sample))
        errors = other.summary_.to_frame()["Mack Std Err"].to_numpy()[1:]
        np.testing.assert_allclose(fitted(RAA).vintages["standard_error"][1:], errors, rtol=PEER)


# Three vintages of EAD 1,000, 2,000 and 500, by quarter; cumulative 100, 150, 165 and 200, 350, and 60.
#   f1 = (150 + 350) / (100 + 200) = 5/3, f2 = 165/150 = 1.1
#   F of the first step: 1.5 and 1.75; sigma^2 = 100 (1.5 - 5/3)^2 + 200 (1.75 - 5/3)^2 = 100/36 + 200/144 = 25/6
BY_HAND = [[100.0, 150.0, 165.0], [200.0, 350.0], [60.0]]


def by_quarter(cumulative):
    """Write columns as quarters: a third of the increment in each month of it, nothing in month 0."""
    months = [np.repeat(np.diff([0.0, *amounts]) / 3, 3).cumsum() for amounts in cumulative]
    triangle = triangle_of(months)
    ead = dict(zip(["V00", "V01", "V02"], [1000.0, 2000.0, 500.0], strict=True))
    return triangle.assign(ead_at_risk=triangle["default_vintage"].map(ead))


class TestByHand:
    fit = ChainLadderModel(development_months=3).fit(by_quarter(BY_HAND))

    def test_factors_are_ratios_of_sums_over_vintages_known_at_both_ends(self):
        np.testing.assert_allclose(self.fit.development["factor"], [5 / 3, 1.1], atol=EXACT)
        np.testing.assert_allclose(self.fit.development["sigma"][0] ** 2, 25 / 6, rtol=EXACT)
        assert self.fit.development[["from_month", "to_month", "n_vintages"]].to_numpy().tolist() == [
            [3, 6, 2],
            [6, 9, 1],
        ]

    def test_ultimates_are_the_latest_amounts_times_the_factors(self):
        table = self.fit.vintages
        np.testing.assert_allclose(table["ultimate_amount"], [165, 385, 110], rtol=EXACT)
        np.testing.assert_allclose(table["ultimate_rate"], [0.165, 0.1925, 0.22], rtol=EXACT)
        np.testing.assert_allclose(table["remaining_amount"], [0, 35, 50], atol=1e-10)
        assert table["month"].tolist() == [9, 6, 3]
        assert self.fit.total["ultimate_rate"] == pytest.approx(660 / 3500, rel=EXACT)

    def test_extrapolated_cells_are_flagged_and_known_ones_unchanged(self):
        cells = self.fit.cells.set_index(["default_vintage", "month"])
        extrapolated = cells.index[cells["is_extrapolated"]].tolist()
        assert extrapolated == [("V01", 9), ("V02", 6), ("V02", 9)]
        assert cells.loc[("V01", 6), "cumulative_amount"] == pytest.approx(350)
        assert cells.loc[("V02", 6), "cumulative_amount"] == pytest.approx(100)
        assert (cells.loc[~cells["is_extrapolated"], "standard_error"] == 0).all()
        assert self.fit.triangle().loc["V02", 9] == pytest.approx(0.22)

    def test_one_variance_alone_gives_no_standard_errors_and_says_so(self):
        # The second factor rests on one vintage, and Mack's rule needs two variances before it.
        assert np.isnan(self.fit.vintages["standard_error"].iloc[1:]).all()
        assert np.isnan(self.fit.total["lower"])
        assert any("no standard errors" in caution for caution in self.fit.cautions)

    def test_the_pattern_is_the_share_of_the_ultimate_by_each_column(self):
        pattern = self.fit.pattern()
        np.testing.assert_allclose(pattern.times, [0, 3, 6, 9])
        np.testing.assert_allclose(pattern.values, [0, 1 / (5 / 3 * 1.1), 1 / 1.1, 1], rtol=EXACT)

    def test_a_tail_moves_every_vintage_and_its_error_follows_by_hand(self):
        model = ChainLadderModel(development_months=3, tail_factor=1.05, tail_standard_error=0.02, tail_sigma=0.5)
        fit = model.fit(by_quarter(BY_HAND))
        assert fit.vintages["ultimate_rate"].iloc[0] == pytest.approx(0.165 * 1.05, rel=EXACT)
        # Oldest: 165^2 x 0.02^2 parameter, 0.5^2 x 165 process.
        assert fit.vintages["parameter_error"].iloc[0] == pytest.approx(165 * 0.02, rel=EXACT)
        assert fit.vintages["process_error"].iloc[0] == pytest.approx(np.sqrt(0.25 * 165), rel=EXACT)
        assert fit.pattern().values[-1] == pytest.approx(1 / 1.05, rel=EXACT)

    def test_a_first_column_of_more_months_takes_their_sum(self):
        fit = ChainLadderModel(development_months=3, first_month=6).fit(by_quarter(BY_HAND))
        np.testing.assert_allclose(fit.development["factor"], [1.1], rtol=EXACT)
        assert np.isnan(fit.vintages["ultimate_rate"].iloc[2])
        assert "V02" in fit.cautions[0]

    def test_segments_of_a_vintage_are_summed(self):
        triangle = by_quarter(BY_HAND)
        money = ["present_value_amount", "ead_at_risk", "n_at_risk"]
        split = pd.concat([triangle.assign(**{c: triangle[c] * share for c in money}) for share in (0.25, 0.75)])
        again = ChainLadderModel(development_months=3).fit(split)
        pd.testing.assert_frame_equal(again.vintages, self.fit.vintages, rtol=EXACT)

    def test_a_month_in_which_a_segment_is_missing_is_not_complete(self):
        triangle = by_quarter(BY_HAND)
        longer = triangle.assign(segment="a")
        shorter = triangle[triangle["month"] <= 6].assign(segment="b")
        fit = ChainLadderModel(development_months=3).fit(pd.concat([longer, shorter]))
        assert fit.vintages["month"].tolist() == [6, 6, 3]

    def test_the_record_is_json_and_the_sentence_names_total_and_interval(self):
        record = json.loads(json.dumps(fitted(RAA).to_record()))
        assert record["development"][0]["from_month"] == 1
        assert fitted(RAA).sentence().startswith("Chain ladder over 10 vintages: 1.6% of EAD has come in, 2.1% is")
        assert "total" in fitted(RAA).summary().index
        assert "<table" in fitted(RAA)._repr_html_()


class TestProperties:
    def test_a_fully_developed_triangle_is_what_was_observed(self):
        whole = [[10.0, 30.0, 36.0], [20.0, 50.0, 66.0], [5.0, 20.0, 21.0]]
        fit = fitted(whole)
        np.testing.assert_allclose(fit.vintages["ultimate_amount"], [36, 66, 21], rtol=EXACT)
        assert not fit.cells["is_extrapolated"].any()
        np.testing.assert_array_equal(fit.vintages["standard_error"], 0)

    def test_the_unit_of_money_changes_no_rate_and_no_error_of_a_rate(self):
        cents = [[100.0 * amount for amount in row] for row in RAA]
        for average in ("volume", "simple", "regression"):
            model = ChainLadderModel(average=average)
            left, right = model.fit(triangle_of(RAA)), model.fit(triangle_of(cents, ead=1.0e8))
            rates = ["recovered_rate", "ultimate_rate", "standard_error_rate", "lower", "upper"]
            np.testing.assert_allclose(left.vintages[rates], right.vintages[rates], rtol=1e-9, atol=1e-15)

    def test_row_order_does_not_matter_and_the_frame_is_not_changed(self):
        triangle = triangle_of(RAA)
        before = triangle.copy(deep=True)
        shuffled = triangle.sample(frac=1, random_state=1)
        pd.testing.assert_frame_equal(
            ChainLadderModel().fit(shuffled).vintages, ChainLadderModel().fit(triangle).vintages
        )
        pd.testing.assert_frame_equal(triangle, before)

    def test_process_and_parameter_errors_make_the_standard_error_and_the_interval_holds_the_estimate(self):
        table = fitted(TAYLOR_ASHE).vintages
        np.testing.assert_allclose(
            np.hypot(table["process_error"], table["parameter_error"]), table["standard_error"], rtol=EXACT
        )
        inside = table.iloc[1:]
        assert ((inside["lower"] < inside["ultimate_rate"]) & (inside["ultimate_rate"] < inside["upper"])).all()
        # A log-normal interval of what is left never says that money will go back.
        assert (table["lower"] >= table["recovered_rate"] - EXACT).all()

    def test_on_average_the_ultimate_is_right_and_the_error_covers(self):
        # Mack's own model: C_{k+1} = f C_k + sigma sqrt(C_k) noise, 12 vintages and 8 columns, 150 triangles.
        rng = np.random.default_rng(5)
        factors, sigma = np.array([2.0, 1.5, 1.2, 1.1, 1.05, 1.02, 1.01]), 2.0
        errors, scaled = [], []
        for _ in range(150):
            columns = [rng.uniform(800, 1200, 12)]
            for factor in factors:
                base = columns[-1]
                columns.append(factor * base + sigma * np.sqrt(base) * rng.normal(size=12))
            whole = np.column_stack(columns)
            known = [row[: 8 - max(0, i - 4)].tolist() for i, row in enumerate(whole)]
            fit = fitted(known)
            errors.append(fit.total["ultimate_amount"] - whole[:, -1].sum())
            scaled.append(errors[-1] / fit.total["standard_error"])
        assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(150)
        # A standard error in the mean is right when scaled errors spread like 1: 150 of them, 5.8 % noise, 3 times.
        assert np.std(scaled) == pytest.approx(1.0, abs=0.18)


class TestWhereItBreaks:
    def test_a_vintage_without_recoveries_in_an_early_column_is_refused_with_the_alternative(self):
        with pytest.raises(InsufficientDataError, match=r"V01 by month 1: 0\.00.*additive curve \(recovery_curve\)"):
            fitted([[10.0, 20.0, 30.0], [0.0, 20.0, 25.0], [5.0, 8.0], [4.0]])

    def test_a_negative_amount_is_refused_too(self):
        with pytest.raises(InsufficientDataError, match=r"V00 by month 2: -3\.00"):
            fitted([[10.0, -3.0, 30.0], [5.0, 20.0], [5.0]])

    @pytest.mark.parametrize("last", [-5.0, 0.0])
    def test_costs_that_use_up_all_that_came_in_are_no_factor(self, last):
        # 20 became nothing, or less: times that, the 17 and 9 of the younger vintages would be nothing, or less, too.
        with pytest.raises(InsufficientDataError, match=r"between month 2 and 3 costs used up all .*recovery_curve"):
            fitted([[10.0, 20.0, last], [8.0, 17.0], [9.0]])

    def test_all_broken_cells_are_counted(self):
        with pytest.raises(InsufficientDataError, match="and 2 cells of the triangle"):
            fitted([[0.0, 20.0, 30.0], [0.0, 20.0, 25.0], [5.0, 8.0]])

    def test_a_young_vintage_without_recoveries_has_no_estimate_and_is_not_in_the_total(self):
        fit = fitted([*RAA[:9], [0.0]])
        youngest = fit.vintages.iloc[-1]
        assert np.isnan(youngest["ultimate_rate"])
        assert np.isnan(youngest["standard_error"])
        assert fit.total["n_vintages"] == 9
        assert fit.total["ead"] == 9.0e6
        assert "V09 recovered nothing yet" in fit.cautions[0]
        assert "BornhuetterFergusonModel" in fit.cautions[0]

    def test_costs_that_make_the_amount_fall_are_told(self):
        fit = fitted([[10.0, 20.0, 18.0, 18.5], [8.0, 17.0, 16.0], [9.0, 21.0], [8.0]])
        assert any("after month 2 the cumulative amount falls" in caution for caution in fit.cautions)

    def test_a_vintage_multiplied_by_much_is_told(self):
        assert any("V09 are multiplied by more than 4" in caution for caution in fitted(RAA).cautions)

    def test_late_entries_set_their_vintage_apart_in_number_and_money(self):
        triangle = triangle_of(RAA)
        late = (triangle["default_vintage"] == "V00") & (triangle["month"] < 2)
        fit = ChainLadderModel().fit(triangle.assign(is_complete=~late))
        assert fit.exclusions["default_vintage"].tolist() == ["V00"]
        assert fit.exclusions[["n_episodes", "ead"]].to_numpy().tolist() == [[100.0, 1.0e6]]
        assert "late entries" in fit.exclusions["reason"].item()
        assert "V00" not in fit.vintages["default_vintage"].tolist()

    def test_late_entries_everywhere_leave_nothing(self):
        with pytest.raises(InsufficientDataError, match="none of the 10 vintages"):
            ChainLadderModel().fit(triangle_of(RAA).query("month > 0"))

    def test_a_month_that_is_not_complete_ends_the_vintage(self):
        triangle = triangle_of(RAA)
        open_end = (triangle["default_vintage"] == "V00") & (triangle["month"] > 8)
        fit = ChainLadderModel().fit(triangle.assign(is_complete=~open_end))
        assert fit.vintages["month"].tolist()[:2] == [8, 9]

    def test_one_column_is_not_enough(self):
        with pytest.raises(InsufficientDataError, match="needs two columns"):
            ChainLadderModel(development_months=6).fit(triangle_of(RAA))

    def test_missing_columns_and_numbers_are_refused(self):
        triangle = triangle_of(RAA)
        with pytest.raises(ContractError, match="column 'ead_at_risk' is missing"):
            ChainLadderModel().fit(triangle.drop(columns="ead_at_risk"))
        with pytest.raises(ContractError, match=r"(?s)present_value_amount must be.*ead_at_risk must be"):
            ChainLadderModel().fit(triangle.assign(present_value_amount=np.nan, ead_at_risk=0.0))

    def test_a_gap_in_what_is_complete_is_refused(self):
        triangle = triangle_of(RAA)
        gap = triangle["is_complete"].astype(object).where(triangle["month"] != 3, None)
        with pytest.raises(ContractError, match="is_complete must be True or False: 8 rows"):
            ChainLadderModel().fit(triangle.assign(is_complete=gap))

    @pytest.mark.parametrize(
        "choice",
        [
            {"average": "median"},
            {"development_months": 0},
            {"first_month": -1},
            {"tail_factor": 0.0},
            {"tail_sigma": -1.0},
            {"last_sigma": "guess"},
        ],
    )
    def test_choices_that_do_not_exist_are_refused(self, choice):
        with pytest.raises(ValueError, match=next(iter(choice))):
            ChainLadderModel(**choice)
