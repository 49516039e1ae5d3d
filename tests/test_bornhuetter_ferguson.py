"""Bornhuetter-Ferguson and Benktander: by hand, against chainladder-python, identities, bands, and in simulation."""

import json

import numpy as np
import pandas as pd
import pytest

from recoverykit.curves import StepCurve
from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators.bornhuetter_ferguson import BornhuetterFergusonModel
from recoverykit.estimators.chain_ladder import ChainLadderModel
from recoverykit.estimators.recovery_curve import recovery_curve

EXACT = 1e-12  # a few sums and products of numbers of order 1
PEER = 1e-9  # relative: the same formulas in another order of summation

# RAA triangle, Mack (1994), Casualty Actuarial Society Forum, Spring 1994, vol. 1, pp. 101-182.
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
# chainladder-python 0.10.1: Benktander(apriori=0.75, n_iters=1, 2) on the RAA triangle with exposure 40,000 a year.
FERGUSON = [18834.0, 16977.972602739726, 24235.04216494598, 28777.065909271067, 29028.64802321207, 21465.68731230194]
FERGUSON += [21500.787868387095, 26735.096411575912, 25307.7354078888, 28699.85948740404]
BENKTANDER = [18834.0, 16859.04997810721, 24087.25897646957, 28707.355979343036, 28936.413360261402, 19868.721883830338]
BENKTANDER += [18898.1059050021, 25252.493199589193, 22193.20796500494, 27545.470815807366]
# The same, CapeCod().
CAPE_COD_PRIOR = 0.5502572283299029
CAPE_COD = [18834.0, 16905.007206695856, 24030.228013536005, 28321.6348366626, 28269.985554320174, 19970.629361570675]
CAPE_COD += [19054.12857295128, 23106.943030273076, 20004.50212534881, 21605.832630602697]


def triangle_of(increments, ead=None):
    """Write rows of monthly recoveries from month 0 as a triangle."""
    ead = [100.0] * len(increments) if ead is None else ead
    rows = [
        (f"V{v:02d}", month, float(amount), float(ead[v]), 20, True)
        for v, amounts in enumerate(increments)
        for month, amount in enumerate(amounts)
    ]
    columns = ["default_vintage", "month", "present_value_amount", "ead_at_risk", "n_at_risk", "is_complete"]
    return pd.DataFrame(rows, columns=columns)


RAA_TRIANGLE = triangle_of([[0.0, *np.diff([0.0, *row])] for row in RAA], [4.0e4] * 10)
# Three vintages of EAD 100, 300 and 200, observed to month 3, 2 and 1. Additive curve:
#   month 1: (10 + 60 + 5) / 600 = 12.5 %; month 2: (20 + 30) / 400 = 12.5 %; month 3: 25 / 100 = 25 %; in all 50 %.
#   Due by month 1: 25 %, by month 2: 50 %.
BY_HAND = triangle_of([[0, 10, 20, 25], [0, 60, 30], [0, 5]], [100, 300, 200])


def fitted(triangle=BY_HAND, *, pattern=None, **choices):
    return BornhuetterFergusonModel(**{"minimum_at_risk": 1, **choices}).fit(triangle, pattern=pattern)


class TestByHand:
    def test_what_came_in_stands_and_the_rest_is_prior_times_what_is_not_due_yet(self):
        table = fitted(prior_rate=0.6).vintages
        np.testing.assert_allclose(table["share_due"], [1, 0.5, 0.25], atol=EXACT)
        # 55; 90 + 0.5 x 0.6 x 300 = 180; 5 + 0.75 x 0.6 x 200 = 95.
        np.testing.assert_allclose(table["ultimate_amount"], [55, 180, 95], atol=1e-10)
        np.testing.assert_allclose(table["remaining_amount"], [0, 90, 90], atol=1e-10)
        np.testing.assert_allclose(table["chain_ladder_rate"], [0.55, 0.6, 0.1], atol=EXACT)

    def test_the_prior_of_older_vintages_is_weighted_by_exposure_that_is_due(self):
        fit = fitted(prior_from_months=2)
        # (55 + 90) / (100 x 1 + 300 x 0.5)
        assert fit.prior_rate == pytest.approx(145 / 250, abs=EXACT)
        assert fit.prior_vintages == ("V00", "V01")
        assert not fit.prior_is_given

    def test_benktander_takes_the_first_answer_as_prior(self):
        table = fitted(prior_rate=0.6, n_iterations=2).vintages
        np.testing.assert_allclose(table["ultimate_amount"], [55, 90 + 0.5 * 180, 5 + 0.75 * 95], atol=1e-10)

    def test_the_total_is_the_sum(self):
        total = fitted(prior_rate=0.6).total
        assert total["ultimate_amount"] == pytest.approx(330)
        assert total["ultimate_rate"] == pytest.approx(330 / 600)
        assert total["remaining_rate"] == pytest.approx(180 / 600)

    def test_a_vintage_that_recovered_nothing_has_an_estimate(self):
        triangle = triangle_of([[0, 10, 20, 25], [0, 60, 30], [0, 0]], [100, 300, 200])
        assert fitted(triangle, prior_rate=0.6).vintages["ultimate_rate"].iloc[2] > 0.4

    def test_a_pattern_known_at_some_months_reads_a_vintage_at_the_month_before(self):
        nothing = np.full(3, np.nan)
        quarters = StepCurve([0, 2, 4], [0.0, 0.4, 1.0], nothing, nothing)
        table = fitted(pattern=quarters, prior_rate=0.5).vintages
        assert table["month"].tolist() == [2, 2, 0]
        np.testing.assert_allclose(table["recovered_amount"], [30, 90, 0], atol=EXACT)
        np.testing.assert_allclose(table["ultimate_amount"], [30 + 0.6 * 50, 90 + 0.6 * 150, 100], atol=1e-10)

    def test_record_and_sentence_say_where_prior_and_pattern_come_from(self):
        record = json.loads(json.dumps(fitted(prior_rate=0.6).to_record()))
        assert record["prior_is_given"]
        assert "prior of 60.0% of EAD (as stated)" in record["sentence"]
        assert "estimated from 2 older vintages" in fitted(prior_from_months=2).sentence()
        assert fitted(prior_rate=0.6, n_iterations=2).sentence().startswith("Benktander")
        assert fitted(prior_rate=0.6).summary().loc["total", "ultimate_rate"] == pytest.approx(0.55)
        assert "<table" in fitted(prior_rate=0.6)._repr_html_()


class TestChainladderPython:
    pattern = ChainLadderModel().fit(RAA_TRIANGLE).pattern()

    @pytest.mark.parametrize(("n_iterations", "expected"), [(1, FERGUSON), (2, BENKTANDER)])
    def test_ultimates_agree_on_the_raa_triangle(self, n_iterations, expected):
        fit = fitted(RAA_TRIANGLE, pattern=self.pattern, prior_rate=0.75, n_iterations=n_iterations)
        np.testing.assert_allclose(fit.vintages["ultimate_amount"], expected, rtol=PEER)

    def test_the_prior_of_all_vintages_is_that_of_cape_cod(self):
        fit = fitted(RAA_TRIANGLE, pattern=self.pattern, prior_from_months=0)
        assert fit.prior_rate == pytest.approx(CAPE_COD_PRIOR, rel=PEER)
        np.testing.assert_allclose(fit.vintages["ultimate_amount"], CAPE_COD, rtol=PEER)


class TestProperties:
    def test_with_the_additive_curve_as_prior_the_rest_is_what_the_curve_still_gives(self):
        curve = recovery_curve(BY_HAND)
        table = fitted(prior_rate=float(curve.values[-1])).vintages
        later = curve.values[-1] - curve(table["month"].to_numpy())
        np.testing.assert_allclose(table["ultimate_rate"], table["recovered_rate"] + later, atol=EXACT)

    def test_iterated_for_long_it_is_the_chain_ladder(self):
        # (1 - 0.25)^200 is 1e-25.
        table = fitted(prior_rate=0.6, n_iterations=200).vintages
        np.testing.assert_allclose(table["ultimate_rate"], table["chain_ladder_rate"], atol=EXACT)
        ladder = ChainLadderModel().fit(RAA_TRIANGLE)
        again = fitted(RAA_TRIANGLE, pattern=ladder.pattern(), prior_rate=0.5, n_iterations=2000).vintages
        np.testing.assert_allclose(again["ultimate_amount"], ladder.vintages["ultimate_amount"], rtol=PEER)

    def test_vintages_that_are_all_developed_are_what_was_observed(self):
        whole = triangle_of([[0, 10, 20], [0, 30, 5]])
        fit = fitted(whole, prior_from_months=2)
        np.testing.assert_allclose(fit.vintages["ultimate_rate"], [0.3, 0.35], atol=EXACT)

    def test_the_unit_of_money_and_the_order_of_rows_change_no_rate(self):
        cents = BY_HAND.assign(
            ead_at_risk=BY_HAND["ead_at_risk"] * 100, present_value_amount=BY_HAND["present_value_amount"] * 100
        )
        left, right = (fitted(t, prior_from_months=2).vintages for t in (BY_HAND, cents.iloc[::-1]))
        np.testing.assert_allclose(left["ultimate_rate"], right["ultimate_rate"], atol=EXACT)


def simulated(rng, n_per_vintage, n_vintages=24):
    """Cells of monthly vintages: each loan pays in months 1 to 24 a random share, falling by 10 % a month."""
    n = n_per_vintage * n_vintages
    vintage = np.repeat(np.arange(n_vintages), n_per_vintage)
    ead, pace = rng.lognormal(8, 0.8, n), rng.gamma(2.0, 0.5, n)
    paid = np.zeros((n, 25))
    paid[:, 1:] = 0.06 * 0.9 ** np.arange(24) * rng.exponential(1.0, (n, 24)) * pace[:, None]
    loan, month = np.nonzero(np.arange(25) <= (n_vintages - 1 - vintage)[:, None])
    return pd.DataFrame(
        {
            "default_vintage": np.array([f"V{v:02d}" for v in range(n_vintages)])[vintage[loan]],
            "obligor_id": loan,
            "month": month,
            "n_at_risk": 1,
            "ead_at_risk": ead[loan],
            "present_value_amount": paid[loan, month] * ead[loan],
        }
    )


def summed(cells):
    money = ["present_value_amount", "ead_at_risk", "n_at_risk"]
    return cells.groupby(["default_vintage", "month"], as_index=False)[money].sum().assign(is_complete=True)


#: The last month of the pattern has one vintage of an age of 23 months: the truth within it.
TRUE_RATE = 0.06 * (0.9 ** np.arange(23)).sum()


class TestBand:
    model = BornhuetterFergusonModel(prior_from_months=6, minimum_at_risk=5)

    def test_the_same_seed_gives_the_same_band_around_the_estimate(self):
        cells = simulated(np.random.default_rng(1), 30, 12)
        fits = [
            self.model.fit(summed(cells), cells=cells, n_bootstrap=300, rng=np.random.default_rng(2)).vintages
            for _ in range(2)
        ]
        pd.testing.assert_frame_equal(*fits)
        young = fits[0].tail(6)
        assert ((young["lower"] < young["ultimate_rate"]) & (young["ultimate_rate"] < young["upper"])).all()

    @pytest.mark.parametrize("stated", [True, False])
    def test_the_band_is_that_of_resampled_rows(self, stated):
        cells = simulated(np.random.default_rng(4), 12, 10)
        triangle = summed(cells)
        pattern = None
        if stated:
            nothing = np.full(10, np.nan)
            pattern = StepCurve(np.arange(10.0), np.linspace(0, 1, 10), nothing, nothing)
        model = BornhuetterFergusonModel(prior_from_months=4, minimum_at_risk=5)
        fit = model.fit(triangle, pattern=pattern, cells=cells, n_bootstrap=2000, rng=np.random.default_rng(2))
        rng, slow = np.random.default_rng(3), []
        n_obligors = cells["obligor_id"].nunique()
        rows_of = cells.groupby("obligor_id").indices
        for _ in range(200):
            picks = rng.integers(0, n_obligors, n_obligors)
            drawn = summed(cells.iloc[np.concatenate([rows_of[p] for p in picks])])
            one = BornhuetterFergusonModel(prior_from_months=4, minimum_at_risk=1).fit(drawn, pattern=pattern)
            slow.append(one.vintages.set_index("default_vintage")["ultimate_rate"].reindex(["V05", "V07"]))
        ours = fit.vintages.set_index("default_vintage")["standard_error_rate"].loc[["V05", "V07"]]
        # 200 copies: 5 % noise in a standard deviation, three times.
        np.testing.assert_allclose(ours, np.nanstd(slow, axis=0), rtol=0.16)

    @pytest.mark.parametrize("column", ["present_value_amount", "ead_at_risk"])
    def test_cells_of_other_episodes_than_the_triangles_are_refused(self, column):
        cells = simulated(np.random.default_rng(1), 30, 12)
        other = cells.assign(**{column: cells[column].where(cells["default_vintage"] != "V03", 1.0)})
        with pytest.raises(ValueError, match=r"cells do not add up .* in 1 of 12 vintages, V03 the first"):
            self.model.fit(summed(cells), cells=other, n_bootstrap=2, rng=np.random.default_rng(2))

    def test_without_cells_there_is_no_band_and_a_bootstrap_is_refused(self):
        assert fitted(prior_rate=0.5).vintages["lower"].isna().all()
        with pytest.raises(ValueError, match="needs cells"):
            self.model.fit(RAA_TRIANGLE, n_bootstrap=10, rng=np.random.default_rng(1))
        with pytest.raises(ValueError, match="rng="):
            self.model.fit(RAA_TRIANGLE, n_bootstrap=10)
        without = BY_HAND.drop(columns="default_vintage")
        model = BornhuetterFergusonModel(prior_rate=0.5, minimum_at_risk=1)
        with pytest.raises(ContractError, match="cells: column 'default_vintage' is missing"):
            model.fit(BY_HAND, cells=without, n_bootstrap=1, rng=np.random.default_rng(1))


class TestSimulation:
    def test_young_vintages_are_right_on_average_and_steadier_than_multiplied(self):
        rng = np.random.default_rng(9)
        ours, multiplied = [], []
        for _ in range(40):
            table = BornhuetterFergusonModel().fit(summed(simulated(rng, 15))).vintages
            ours.append(table["ultimate_rate"].iloc[-6:-1].mean())
            multiplied.append(table["chain_ladder_rate"].iloc[-6:-1].mean())
        assert abs(np.mean(ours) - TRUE_RATE) < 3 * np.std(ours) / np.sqrt(40)
        assert np.std(ours) < 0.6 * np.std(multiplied)

    @pytest.mark.slow
    def test_the_band_covers_about_as_often_as_it_says(self):
        rng = np.random.default_rng(10)
        hits = 0
        for _ in range(200):
            cells = simulated(rng, 25)
            model = BornhuetterFergusonModel()
            table = model.fit(summed(cells), cells=cells, n_bootstrap=200, rng=rng).vintages
            hits += table["lower"].iloc[-4] <= TRUE_RATE <= table["upper"].iloc[-4]
        # 200 trials: 95 % within 4.6 points at three standard errors, and percentile bands run a little short.
        assert 0.88 <= hits / 200 <= 0.995


class TestRefusals:
    def test_without_an_older_vintage_there_is_no_prior(self):
        with pytest.raises(InsufficientDataError, match="no vintage is 12 months old"):
            fitted()

    def test_without_recoveries_there_is_no_pattern(self):
        with pytest.raises(InsufficientDataError, match=r"ends at 0\.00% of EAD"):
            fitted(triangle_of([[0, 0, 0], [0, 0]]), prior_rate=0.5)

    def test_a_pattern_must_begin_at_default_and_rise(self):
        nothing = np.full(2, np.nan)
        for times, values in (([1, 2], [0.5, 1.0]), ([0, 2], [0.5, 0.0])):
            with pytest.raises(ValueError, match="a pattern must begin at month 0"):
                fitted(pattern=StepCurve(times, values, nothing, nothing), prior_rate=0.5)

    @pytest.mark.parametrize("choice", [{"prior_rate": np.nan}, {"n_iterations": 0}, {"prior_from_months": -1}])
    def test_choices_that_do_not_exist_are_refused(self, choice):
        with pytest.raises(ValueError, match=next(iter(choice))):
            BornhuetterFergusonModel(**choice)
