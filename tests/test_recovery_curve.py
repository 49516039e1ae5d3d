"""Cumulative and remaining recovery: six loans by hand, what must always hold, and whether it is right on average."""

import json

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators.recovery_curve import (
    RemainingRecovery,
    recovery_curve,
    recovery_curve_by,
    recovery_curve_parts,
    remaining_recovery,
)

EXACT = 1e-12  # a few sums and products of numbers of order 1

# Six loans of five obligors, A and B of the same one; months observed and in default, flows by month:
#   loan  EAD  observed  in default  outcome     flows
#   A     100      4         2       liquidated  20 in month 1, 50 in month 2
#   B     100      3         3       sold        a cost of 10 in month 1, 40 in month 3
#   C     100      2         2       open        10 in month 1
#   D     200      4         4       liquidated  60 in month 4
#   E     100      1         1       open        nothing
#   F     100      0         0       open        nothing, defaulted this month
LOANS = pd.DataFrame(
    {
        "episode_id": list("ABCDEF"),
        "obligor_id": ["a", "a", "b", "c", "d", "e"],
        "ead": [100.0, 100.0, 100.0, 200.0, 100.0, 100.0],
        "observed_months": [4, 3, 2, 4, 1, 0],
        "months_in_default": [2, 3, 2, 4, 1, 0],
        "outcome": ["liquidated", "sold", "open", "liquidated", "open", "open"],
    }
)
FLOWS = {("A", 1): 20.0, ("A", 2): 50.0, ("B", 1): -10.0, ("B", 3): 40.0, ("C", 1): 10.0, ("D", 4): 60.0}


def cells_of(loans, flows):
    """One row per obligor, loan and whole month observed; loans of an obligor need not be summed for the curves."""
    rows = loans.loc[loans.index.repeat(loans["observed_months"] + 1)]
    month = rows.groupby(level=0).cumcount().to_numpy()
    is_open = rows["months_in_default"].to_numpy() >= month
    ends = (rows["months_in_default"].to_numpy() == month) & (rows["outcome"] != "open").to_numpy()
    keys = list(zip(rows["episode_id"], month, strict=True))
    amount = np.array([flows.get(key, 0.0) for key in keys])
    ead = rows["ead"].to_numpy()
    return pd.DataFrame(
        {
            "obligor_id": rows["obligor_id"].to_numpy(),
            "month": month,
            "present_value_amount": amount,
            "ead_at_risk": ead,
            "n_at_risk": 1,
            "present_value_amount_open": np.where(is_open, amount, 0.0),
            "ead_open_at_start": np.where(is_open, ead, 0.0),
            "n_open_at_start": is_open.astype(int),
            "ead_resolved": np.where(ends, ead, 0.0),
        }
    )


CELLS = cells_of(LOANS, FLOWS)


def simulated(rng, n_obligors):
    """Loans with one lump at closure that is smaller the later it comes, observed for 0 to 60 months; and the flows.

    Closed with probability 6 % a month; 90 % comes back at once, 4 % less a month (of what is left), nothing after
    month 36. Obligors have one or two loans that close in the same month.
    """
    months = rng.geometric(0.06, n_obligors)
    observed = rng.integers(0, 61, n_obligors)
    size = rng.lognormal(10, 0.5, n_obligors)
    n_loans = rng.integers(1, 3, n_obligors)
    obligor = np.repeat(np.arange(n_obligors), n_loans)
    closed = (months <= observed)[obligor]
    loans = pd.DataFrame(
        {
            "episode_id": np.arange(len(obligor)),
            "obligor_id": obligor,
            "ead": size[obligor],
            "observed_months": observed[obligor],
            "months_in_default": np.minimum(months, observed)[obligor],
            "outcome": np.where(closed, "liquidated", "open"),
        }
    )
    loans["ultimate_rate"] = ultimate_rate(months)[obligor]
    done = loans[closed]
    flows = dict(
        zip(zip(done.index, done["months_in_default"], strict=True), done["ultimate_rate"] * done["ead"], strict=True)
    )
    return loans, flows


def ultimate_rate(months):
    return np.where(months <= 36, 0.9 * 0.96**months, 0.0)


def true_cumulative_rate(horizon):
    months = np.arange(1, horizon + 1)
    return float(np.sum(0.06 * 0.94 ** (months - 1) * ultimate_rate(months)))


class TestRecoveryCurveByHand:
    def test_each_month_is_divided_by_the_exposure_observed_to_it(self):
        curve = recovery_curve(CELLS)
        # EAD observed to month 0..4: 700, 600, 500, 400, 300; net flows 0, 20, 50, 40, 60.
        increments = [0, 20 / 600, 50 / 500, 40 / 400, 60 / 300]
        np.testing.assert_allclose(curve.values, np.cumsum(increments), atol=EXACT)
        np.testing.assert_array_equal(curve.times, [0, 1, 2, 3, 4])
        np.testing.assert_array_equal(curve.n_at_risk, [6, 5, 4, 3, 2])

    def test_without_a_bootstrap_there_is_no_interval(self):
        curve = recovery_curve(CELLS)
        assert np.isnan(curve.lower).all()
        assert np.isnan(curve.standard_errors).all()

    def test_the_curve_ends_where_too_few_are_at_risk(self):
        assert recovery_curve(CELLS, minimum_at_risk=4).times[-1] == 2

    def test_a_month_without_exposure_ends_the_curve(self):
        assert recovery_curve(CELLS[CELLS["month"] != 3]).times[-1] == 2

    def test_costs_make_the_curve_fall(self):
        cells = CELLS.assign(present_value_amount=np.where(CELLS["month"] == 4, -60.0, CELLS["present_value_amount"]))
        assert recovery_curve(cells).values[4] < recovery_curve(cells).values[3]


class TestRemainingRecoveryByHand:
    def test_only_loans_open_at_the_start_of_a_month_count_in_it(self):
        curve = remaining_recovery(CELLS, minimum_at_risk=1)
        # Open at the start and observed to the end of month 1..4: A-E 600, A-D 500, B D 300, D 200.
        np.testing.assert_allclose(curve.ead_open_at_start, [700, 600, 500, 300, 200])
        np.testing.assert_allclose(curve.share_of_ead, [0, 20 / 600, 50 / 500, 40 / 300, 60 / 200], atol=EXACT)
        # A closes in month 2, B in 3, D in 4.
        np.testing.assert_allclose(curve.share_resolved, [0, 0, 100 / 500, 100 / 300, 1], atol=EXACT)
        np.testing.assert_allclose(curve.still_open, [1, 1, 0.8, 0.8 * 2 / 3, 0], atol=EXACT)

    def test_an_open_loan_expects_what_loans_of_its_age_went_on_to_recover(self):
        curve = remaining_recovery(CELLS, minimum_at_risk=1)
        # After month 2: 40/300 in month 3, then 2/3 still open and 60/200 in month 4.
        np.testing.assert_allclose(curve.increments_after(2), [4 / 30, 2 / 3 * 0.3], atol=EXACT)
        assert curve.total_after(2) == pytest.approx(1 / 3, abs=EXACT)
        # After month 1: 50/500 more in month 2, with a fifth closing.
        assert curve.total_after(1) == pytest.approx(0.1 + 0.8 / 3, abs=EXACT)

    def test_increments_are_the_ratios_of_those_still_open(self):
        curve = remaining_recovery(CELLS, minimum_at_risk=1)
        by_definition = curve.still_open[1:4] / curve.still_open[1] * curve.share_of_ead[2:5]
        np.testing.assert_allclose(curve.increments_after(1), by_definition, atol=EXACT)

    def test_beyond_the_last_month_nothing_more_is_expected(self):
        curve = remaining_recovery(CELLS, minimum_at_risk=1)
        assert curve.total_after(4) == 0
        assert curve.total_after(99.5) == 0
        assert len(curve.increments_after(4)) == len(curve.increments_after(99)) == 0

    def test_half_a_month_in_half_of_its_recovery_is_still_to_come(self):
        curve = remaining_recovery(CELLS, minimum_at_risk=1)
        # After 2.5 months: half of 4/30, then 2/3 of 0.3, over the 1 - 1/6 still open.
        assert curve.total_after(2.5) == pytest.approx((2 / 30 + 0.2) / (5 / 6), abs=EXACT)

    def test_totals_do_not_jump_at_whole_months(self):
        curve = remaining_recovery(CELLS, minimum_at_risk=1)
        np.testing.assert_allclose(
            curve.total_after(np.array([1.0, 2.0, 3.0]) - 1e-9), curve.total_after([1, 2, 3]), atol=1e-7
        )

    def test_totals_are_the_sums_of_increments(self):
        curve = remaining_recovery(CELLS, minimum_at_risk=1)
        sums = [curve.increments_after(m).sum() for m in range(5)]
        np.testing.assert_allclose(curve.total_after(np.arange(5)), sums, atol=EXACT)
        np.testing.assert_allclose(curve.to_frame()["total_after"], sums, atol=EXACT)

    def test_a_record_survives_json(self):
        curve = remaining_recovery(CELLS, minimum_at_risk=1)
        again = RemainingRecovery.from_record(json.loads(json.dumps(curve.to_record())))
        pd.testing.assert_frame_equal(again.to_frame(), curve.to_frame())

    def test_unless_told_otherwise_a_month_needs_ten_open_episodes(self):
        with pytest.raises(InsufficientDataError, match="needs 10 episodes at risk in a month; the most found is 6"):
            remaining_recovery(CELLS)


class TestIdentities:
    def test_when_nothing_is_censored_the_parts_add_up_to_the_plain_recovery_rate(self):
        loans, _ = simulated(np.random.default_rng(3), 200)
        loans = loans.assign(observed_months=80, months_in_default=np.minimum(loans["months_in_default"] + 1, 70))
        loans["outcome"] = "sold"
        paid = loans["ead"] * np.random.default_rng(4).random(len(loans))
        flows = dict(zip(zip(loans.index, loans["months_in_default"], strict=True), paid, strict=True))
        plain = paid.sum() / loans["ead"].sum()
        cells = cells_of(loans, flows)
        curve = remaining_recovery(cells, minimum_at_risk=1)
        before = np.concatenate([[1.0], curve.still_open[:-1]])
        assert np.sum(before * curve.share_of_ead) == pytest.approx(plain, abs=1e-10)  # 200 loans, 80 months
        assert recovery_curve(cells).values[-1] == pytest.approx(plain, abs=1e-10)

    def test_row_order_and_summing_by_obligor_do_not_matter(self):
        options = {"n_bootstrap": 50, "minimum_at_risk": 2}
        summed = CELLS.groupby(["obligor_id", "month"], as_index=False).sum()
        curves = [
            recovery_curve(cells, rng=np.random.default_rng(1), **options)
            for cells in (CELLS, CELLS.sample(frac=1, random_state=2), summed)
        ]
        for curve in curves[1:]:
            pd.testing.assert_frame_equal(curve.to_frame(), curves[0].to_frame(), rtol=0, atol=EXACT)

    def test_the_currency_does_not_matter(self):
        money = [c for c in CELLS if "ead" in c or "amount" in c]
        in_cents = CELLS.assign(**{c: CELLS[c] * 100 for c in money})
        left, right = (remaining_recovery(c, minimum_at_risk=1).total_after([0, 1, 2]) for c in (CELLS, in_cents))
        np.testing.assert_allclose(left, right, atol=EXACT)

    def test_cells_are_not_changed(self):
        before = CELLS.copy(deep=True)
        recovery_curve(CELLS, n_bootstrap=5, rng=np.random.default_rng(1))
        remaining_recovery(CELLS, minimum_at_risk=1)
        pd.testing.assert_frame_equal(CELLS, before)


class TestBootstrap:
    def test_the_same_seed_gives_the_same_band(self):
        left, right = (recovery_curve(CELLS, n_bootstrap=40, rng=np.random.default_rng(9)) for _ in range(2))
        np.testing.assert_array_equal(left.lower, right.lower)

    def test_the_band_is_that_of_resampled_rows(self):
        # The slow way, copying rows; both estimate the same percentiles, each from 4,000 draws.
        loans, flows = simulated(np.random.default_rng(8), 60)
        cells = cells_of(loans, flows)
        cells = cells[cells["month"] <= 12]
        curve = recovery_curve(cells, n_bootstrap=4000, rng=np.random.default_rng(1))
        sums = cells.groupby(["obligor_id", "month"])[["present_value_amount", "ead_at_risk"]].sum()
        amount, ead = (sums[c].unstack(fill_value=0.0).to_numpy() for c in sums)
        rng = np.random.default_rng(2)
        picks = [rng.choice(len(amount), len(amount)) for _ in range(4000)]
        ends = [np.sum(amount[p].sum(axis=0) / ead[p].sum(axis=0)) for p in picks]
        monte_carlo = 4 * np.std(ends) / np.sqrt(4000)
        assert curve.standard_errors[12] == pytest.approx(np.std(ends), rel=0.06)  # 4 standard errors of both
        np.testing.assert_allclose(
            [curve.lower[12], curve.upper[12]], np.quantile(ends, [0.025, 0.975]), atol=3 * monte_carlo
        )

    def test_facilities_of_one_obligor_move_together(self):
        # Ten pairs of identical loans: as pairs the band is wider by about sqrt(2) than as twenty obligors.
        loans, flows = simulated(np.random.default_rng(6), 400)
        cells = cells_of(loans, flows)
        cells = cells[cells["month"] <= 6]
        doubled = pd.concat([cells, cells])
        apart = pd.concat([cells, cells.assign(obligor_id=cells["obligor_id"] + 100_000)])
        together, separate = (
            recovery_curve(c, n_bootstrap=1000, rng=np.random.default_rng(1)).standard_errors[6]
            for c in (doubled, apart)
        )
        assert together / separate == pytest.approx(np.sqrt(2), rel=0.1)  # 1,000 draws: 2.2 % noise in each

    def test_months_that_some_draws_do_not_reach_have_no_band(self):
        curve = recovery_curve(CELLS, n_bootstrap=200, rng=np.random.default_rng(1))
        assert np.isfinite(curve.lower[0])
        assert np.isnan(curve.lower[4])  # two obligors there: (3/5)^5 = 8 % of the draws hold neither

    @pytest.mark.slow
    def test_on_average_the_curve_is_right_where_closed_cases_alone_are_not(self):
        rng = np.random.default_rng(20260930)
        ours, naive = [], []
        for _ in range(60):
            loans, flows = simulated(rng, 1500)
            ours.append(recovery_curve(cells_of(loans, flows))(36).item())
            closed = loans[loans["outcome"] != "open"]
            naive.append(np.average(closed["ultimate_rate"], weights=closed["ead"]))
        truth, error = true_cumulative_rate(36), np.std(ours) / np.sqrt(60)
        assert abs(np.mean(ours) - truth) < 3 * error
        assert np.mean(naive) - truth > 10 * error

    @pytest.mark.slow
    def test_the_band_covers_the_truth_about_as_often_as_it_says(self):
        rng = np.random.default_rng(7)
        truth = true_cumulative_rate(24)
        hits = 0
        for _ in range(300):
            loans, flows = simulated(rng, 400)
            curve = recovery_curve(cells_of(loans, flows), n_bootstrap=300, rng=rng)
            hits += curve.lower[24] <= truth <= curve.upper[24]
        # 300 trials: 95 % within 3.8 points either way at three standard errors; percentile bands run a little short.
        assert 0.90 <= hits / 300 <= 0.99


# Obligors a and b in the east, the others in the west; gross before the cost of 10 of loan B.
SEGMENTED = CELLS.assign(
    region=np.where(CELLS["obligor_id"].isin(["a", "b"]), "east", "west"),
    present_value_gross_amount=CELLS["present_value_amount"].clip(lower=0),
)


class TestCurvesBySegment:
    def test_each_segment_has_its_own_exposure_net_and_gross(self):
        curves = recovery_curve_by(SEGMENTED, by="region")
        assert list(curves) == ["east", "west"]
        # East: A, B and C, EAD 300, 300, 300, 200, 100; net 0, 20, 50, 40, 0; gross 30 in month 1.
        net, gross = curves["east"]["present_value_amount"], curves["east"]["present_value_gross_amount"]
        np.testing.assert_allclose(net.values, np.cumsum([0, 20 / 300, 50 / 300, 40 / 200, 0]), atol=EXACT)
        np.testing.assert_allclose(gross.values, np.cumsum([0, 30 / 300, 50 / 300, 40 / 200, 0]), atol=EXACT)
        # West: D, E, F, EAD 400, 300, 200, 200, 200; 60 in month 4.
        np.testing.assert_allclose(curves["west"]["present_value_amount"].values[-1], 0.3, atol=EXACT)
        np.testing.assert_array_equal(net.n_at_risk, [3, 3, 3, 2, 1])

    def test_a_curve_is_that_of_the_segment_alone_draws_included(self):
        columns = ("present_value_amount",)
        options = {"n_bootstrap": 30, "minimum_at_risk": 2}
        curves = recovery_curve_by(
            SEGMENTED, by=["region"], amount_cols=columns, rng=np.random.default_rng(3), **options
        )
        alone = recovery_curve(SEGMENTED.query("region == 'east'"), rng=np.random.default_rng(3), **options)
        pd.testing.assert_frame_equal(curves["east"]["present_value_amount"].to_frame(), alone.to_frame())

    def test_no_segment_columns_is_the_whole_book(self):
        curves = recovery_curve_by(SEGMENTED, by=(), amount_cols=["present_value_amount"])
        pd.testing.assert_frame_equal(
            curves["all"]["present_value_amount"].to_frame(), recovery_curve(CELLS).to_frame()
        )

    def test_without_a_bootstrap_the_obligor_need_not_be_there(self):
        totals = SEGMENTED.groupby(["region", "month"], as_index=False).sum(numeric_only=True)
        for name, curve in recovery_curve_by(totals, by="region").items():
            expected = recovery_curve_by(SEGMENTED, by="region")[name]
            for column in curve:
                np.testing.assert_allclose(curve[column].values, expected[column].values, atol=EXACT)

    def test_values_that_read_the_same_are_one_segment(self):
        mixed = SEGMENTED.assign(region=pd.Series([1, "1"] * len(SEGMENTED))[: len(SEGMENTED)].to_numpy())
        curve = recovery_curve_by(mixed, by="region")["1"]["present_value_amount"]
        np.testing.assert_allclose(curve.values, recovery_curve(CELLS).values, atol=EXACT)

    def test_a_missing_segment_is_refused_and_so_is_a_bare_name_of_amounts(self):
        with pytest.raises(ContractError, match="region must not be missing"):
            recovery_curve_by(SEGMENTED.assign(region=None), by="region")
        with pytest.raises(ContractError, match="column 'regoin' is missing"):
            recovery_curve_by(SEGMENTED, by="regoin")
        with pytest.raises(ValueError, match="give a sequence"):
            recovery_curve_by(SEGMENTED, by="region", amount_cols="present_value_amount")


class TestParts:
    cells = CELLS.assign(outcome=LOANS.loc[LOANS.index.repeat(LOANS["observed_months"] + 1), "outcome"].to_numpy())

    def test_parts_by_outcome_add_up_to_the_curve(self):
        parts = recovery_curve_parts(self.cells, part_col="outcome")
        assert list(parts) == ["liquidated", "open", "sold"]
        together = sum(part.values for part in parts.values())
        np.testing.assert_allclose(together, recovery_curve(CELLS).values, atol=EXACT)

    def test_a_part_is_divided_by_the_exposure_of_all(self):
        # Sold: B with a cost of 10 in month 1 and 40 in month 3, over EAD 600 and 400 of all loans observed.
        sold = recovery_curve_parts(self.cells, part_col="outcome")["sold"]
        np.testing.assert_allclose(sold.values, np.cumsum([0, -10 / 600, 0, 40 / 400, 0]), atol=EXACT)
        np.testing.assert_array_equal(sold.n_at_risk, [6, 5, 4, 3, 2])

    def test_a_part_that_is_the_whole_has_its_band(self):
        options = {"n_bootstrap": 60, "rng": np.random.default_rng(5)}
        part = recovery_curve_parts(CELLS.assign(kind="all"), part_col="kind", **options)["all"]
        whole = recovery_curve(CELLS, n_bootstrap=60, rng=np.random.default_rng(5))
        pd.testing.assert_frame_equal(part.to_frame(), whole.to_frame())

    def test_with_no_open_case_the_curve_of_all_is_that_of_closed_ones(self):
        closed = self.cells[self.cells["outcome"] != "open"]
        parts = recovery_curve_parts(closed, part_col="outcome")
        assert "open" not in parts
        np.testing.assert_allclose(
            sum(part.values for part in parts.values()), recovery_curve(closed).values, atol=EXACT
        )

    def test_scaling_all_money_changes_no_rate_and_no_band(self):
        money = ["present_value_amount", "ead_at_risk"]
        cents = CELLS.assign(**{c: CELLS[c] * 100 for c in money})
        left, right = (
            recovery_curve(c, n_bootstrap=40, rng=np.random.default_rng(1)).to_frame() for c in (CELLS, cents)
        )
        pd.testing.assert_frame_equal(left, right, rtol=EXACT)

    def test_splitting_a_cash_flow_in_two_changes_nothing(self):
        halves = CELLS.assign(present_value_amount=CELLS["present_value_amount"] / 2)
        nobody = halves.assign(ead_at_risk=0.0, n_at_risk=0)
        split = recovery_curve(pd.concat([halves, nobody]))
        np.testing.assert_allclose(split.values, recovery_curve(CELLS).values, atol=EXACT)


class TestRefusals:
    def test_a_bootstrap_without_a_generator_is_refused(self):
        with pytest.raises(ValueError, match=r"rng=numpy\.random\.default_rng"):
            recovery_curve(CELLS, n_bootstrap=10)

    def test_a_missing_column_is_named(self):
        with pytest.raises(ContractError, match="cells: column 'ead_at_risk' is missing"):
            recovery_curve(CELLS.drop(columns="ead_at_risk"))

    def test_missing_money_and_half_months_are_refused_together(self):
        cells = CELLS.assign(present_value_amount=np.nan, month=CELLS["month"] + 0.5)
        with pytest.raises(
            ContractError, match=r"(?s)month must be a whole number.*present_value_amount must be a number"
        ):
            recovery_curve(cells)

    def test_no_cells_at_all(self):
        with pytest.raises(InsufficientDataError, match="cells has no row"):
            recovery_curve(CELLS.head(0))

    @pytest.mark.parametrize("month", [-1, 0.5])
    def test_increments_are_asked_for_after_whole_months(self, month):
        with pytest.raises(ValueError, match="completed months"):
            remaining_recovery(CELLS, minimum_at_risk=1).increments_after(month)
