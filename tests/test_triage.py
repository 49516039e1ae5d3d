"""Green, yellow, red: the best assignment, its thresholds, fixed shares, yesterday's lights and overrides."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

import recoverykit as rk
from recoverykit.errors import ContractError, InsufficientDataError, SpecError
from recoverykit.operations._triage_kernels import _integer_programme, assign
from recoverykit.operations._triage_overrides import right_by_chance

#: HiGHS stops at a relative gap of 1e-7; sums of a thousand amounts add rounding far below it.
GAP = 1e-6
#: The proof that is asked for: thresholds reach the optimum within 2 %, of what treatment gains at all.
WITHIN = 0.98


def cases(*rows):
    """Rows of (facility, probability of self-cure, recovery if cured[, if not])."""
    full = [(*row, 0.0)[:4] for row in rows]
    return pd.DataFrame(
        full, columns=["facility_id", "prob_self_cure", "cured_recovery_amount", "uncured_recovery_amount"]
    )


def menu(*treatments, **capacities):
    """Treatments of (name, light, uplift, cost, resource, units)."""
    fields = ("name", "light", "uplift", "cost_amount", "resource", "units")
    made = [dict(zip(fields, t, strict=True)) for t in treatments]
    return rk.TreatmentMenu(treatments=made, capacities=capacities)


#: A unit that can treat about a fifth of a thousand cases.
UNIT = menu(
    ("standard_calls", "yellow", 0.05, 60, "caller_hours", 1.5),
    ("field_work", "red", 0.14, 450, "field_days", 1),
    ("legal_action", "red", 0.20, 2500, "legal_files", 1),
    caller_hours=240,
    field_days=45,
    legal_files=15,
)


def triage(frame, table=UNIT, **options):
    return rk.triage(frame, table, **options)


def simulated(seed, n=600):
    rng = np.random.default_rng(seed)
    ead = rng.lognormal(9, 1, n).round(2)
    return pd.DataFrame(
        {
            "facility_id": [f"F{i}" for i in range(n)],
            "prob_self_cure": rng.beta(1.2, 2.0, n),
            "cured_recovery_amount": ead,
            "uncured_recovery_amount": (ead * rng.uniform(0.1, 0.5, n)).round(2),
        }
    )


CALL = ("call", "yellow", 0.5, 60, "calls", 1)
VISIT = ("visit", "red", 0.8, 200, "days", 1)


class TestAssignment:
    def test_by_hand_each_case_gets_what_gains_most_for_it(self):
        # Gains of call and visit: (1 - p) * uplift * stake - cost.
        # A: 0.1 * 0.5 * 1000 - 60 = -10 and 0.1 * 0.8 * 1000 - 200 = -120: green, it cures by itself.
        # B: 0.8 * 0.5 * 1000 - 60 = 340 and 0.8 * 0.8 * 1000 - 200 = 440: visit.
        # C: 0.8 * 0.5 * 400 - 60 = 100 and 0.8 * 0.8 * 400 - 200 = 56: call.
        # D: 0.8 * 0.5 * 100 - 60 = -20: green, too little is at stake.
        found = triage(
            cases(("A", 0.9, 1000.0), ("B", 0.2, 1000.0), ("C", 0.2, 400.0), ("D", 0.2, 100.0)), menu(CALL, VISIT)
        )
        assert found.lights["light"].tolist() == ["green", "red", "yellow", "green"]
        assert found.lights["gain_amount"].tolist() == pytest.approx([0.0, 440.0, 100.0, 0.0])
        # Doing nothing brings 900 + 200 + 80 + 20 = 1200.
        assert found.net_recovery("nothing") == pytest.approx(1200.0)
        assert found.net_recovery() == pytest.approx(1740.0)
        assert found.n_waiting == 0

    def test_scarce_capacity_goes_where_it_gains_most_over_the_next_best(self):
        # One visit only. B gains 440 by visit and 340 by call; E = (0, 800): 440 by visit, 340 by call; F = (0, 2000)
        # gains 1400 by visit and 940 by call. The visit adds 100 for B and E and 460 for F.
        found = triage(
            cases(("B", 0.2, 1000.0), ("E", 0.0, 800.0), ("F", 0.0, 2000.0)), menu(CALL, VISIT, days=1, calls=1)
        )
        assert found.lights["treatment"].tolist() == ["call", "none", "visit"]
        assert found.n_waiting == 1
        assert found.use.set_index("resource")["used"].to_dict() == {"calls": 1.0, "days": 1.0}

    def test_an_uplift_of_the_case_itself_replaces_that_of_the_menu(self):
        frame = cases(("A", 0.5, 1000.0), ("B", 0.5, 1000.0)).assign(uplift_call=[0.0, 1.0])
        found = triage(frame, menu(CALL))
        assert found.lights["gain_amount"].tolist() == [0.0, 440.0]

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 10_000))
    def test_no_enumerated_assignment_is_better(self, seed):
        """Second implementation: all 3^6 assignments of six cases, with a resource that both treatments share."""
        rng = np.random.default_rng(seed)
        gains = rng.normal(50, 80, (6, 2))
        limits = {
            "units": np.array([1.0, 2.5]),
            "resource": np.array([0, 0]),
            "capacity": np.array([float(rng.integers(1, 9))]),
        }
        best = 0.0
        for choice in itertools.product((-1, 0, 1), repeat=6):
            used = sum(limits["units"][k] for k in choice if k >= 0)
            if used <= limits["capacity"][0] + 1e-9:
                best = max(best, sum(gains[i, k] for i, k in enumerate(choice) if k >= 0))
        found = assign(gains, **limits)
        assert found.gain == pytest.approx(best)
        assert found.bound == pytest.approx(best)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10_000))
    def test_sorting_and_the_integer_programme_agree_for_one_treatment(self, seed):
        rng = np.random.default_rng(seed)
        gains = rng.normal(20, 50, (40, 1))
        limits = {
            "units": np.array([1.5]),
            "resource": np.array([0]),
            "capacity": np.array([float(rng.integers(0, 40))]),
        }
        assert assign(gains, **limits).gain == pytest.approx(_integer_programme(gains, **limits).gain)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10_000))
    def test_capacities_hold_and_nothing_within_them_beats_the_optimum(self, seed):
        """Invariants: feasibility, optimality against the other strategies, the proven bound, order of rows."""
        frame = simulated(seed, 200)
        found = triage(frame)
        assert (found.use["used"] <= found.use["capacity"] + 1e-9).all()
        feasible = found.strategies[found.strategies["within_capacity"]]
        assert (feasible["net_recovery_amount"] <= found.net_recovery() * (1 + GAP)).all()
        assert found.net_recovery() <= found.bound_amount * (1 + GAP)
        assert found.bound_amount - found.net_recovery() < GAP * found.bound_amount
        assert found.lights["net_recovery_amount"].sum() == pytest.approx(found.net_recovery())
        assert sum(found.shares.values()) == pytest.approx(1.0)
        turned = triage(frame.iloc[::-1].reset_index(drop=True))
        assert turned.net_recovery() == pytest.approx(found.net_recovery())

    def test_a_price_lies_between_what_the_last_unit_brought_and_what_the_next_would_bring(self):
        frame = simulated(3, 150)
        nets = [triage(frame, menu(CALL, VISIT, days=d, calls=40)).net_recovery() for d in (19, 20, 21)]
        price = triage(frame, menu(CALL, VISIT, days=20, calls=40)).prices["days"]
        assert nets[2] - nets[1] <= price + 1e-6
        assert price <= nets[1] - nets[0] + 1e-6

    def test_a_capacity_of_zero_and_cases_that_nothing_helps_are_left_alone(self):
        frame = simulated(4, 30)
        assert set(triage(frame, menu(CALL, calls=0)).lights["light"]) == {"green"}
        found = triage(frame.assign(prob_self_cure=1.0))
        assert set(found.lights["light"]) == {"green"}
        assert found.n_waiting == 0

    def test_gains_of_less_than_a_cent_are_added_before_they_are_rounded(self):
        # 0.8 * 0.5 * 150.01 - 60 = 0.004 for each of 200 cases: 0.80 together.
        found = triage(cases(*((f"F{i}", 0.2, 150.01) for i in range(200))), menu(CALL))
        assert found.by_light().set_index("light").loc["yellow", "gain_amount"] == 0.8

    def test_groups_of_equal_probabilities_do_not_depend_on_the_order_of_rows(self):
        frame = simulated(2, 40).assign(prob_self_cure=[0.25, 0.5, 0.25, 0.5] * 10)
        found, turned = (triage(f, menu(CALL)).by_decile() for f in (frame, frame.iloc[::-1].reset_index(drop=True)))
        pd.testing.assert_frame_equal(found, turned)
        assert found["n_cases"].tolist() == [20, 20]


class TestThresholds:
    def test_by_hand_a_threshold_is_where_the_gain_pays_cost_and_price(self):
        # Stakes 1000 throughout. One call: gains 0.5 * (1 - p) * 1000 - 60 are 440, 340, 240 at p = 0, 0.2, 0.4; the
        # price of a call lies between the second gain, 340, and the first, 440.
        found = triage(cases(("A", 0.0, 1000.0), ("B", 0.2, 1000.0), ("C", 0.4, 1000.0)), menu(CALL, calls=1))
        price = found.prices["calls"]
        assert 340 - 1e-9 <= price <= 440 + 1e-9
        # Treat below 1 - (60 + price) / 500: with 340 it is 0.2.
        assert found.thresholds["threshold"].tolist() == pytest.approx([1 - (60 + price) / 500] * 5)

    def test_without_scarcity_the_threshold_is_where_the_gain_is_nothing(self):
        found = triage(simulated(1), menu(CALL))
        row = found.thresholds.iloc[2]
        assert row["threshold"] == pytest.approx(1 - 60 / (0.5 * row["at_stake_amount"]))
        treated = found.lights["light"] == "yellow"
        at_zero = 1 - 60 / (0.5 * found.lights["at_stake_amount"])
        assert (treated == (found.lights["prob_self_cure"] < at_zero)).all()

    @pytest.mark.parametrize("seed", range(8))
    def test_they_reach_the_optimum_within_two_percent_of_all_that_treatment_gains(self, seed):
        # Effects are known. A day's thresholds serve that day; yesterday's serve today, when a tenth of them is new.
        yesterday = simulated(seed, 1000)
        today = pd.concat([yesterday.iloc[100:], simulated(1000 + seed, 100)], ignore_index=True)
        today["facility_id"] = [f"F{i}" for i in range(len(today))]
        optimum = triage(today)
        gain = optimum.net_recovery() - optimum.net_recovery("nothing")
        own = optimum.net_recovery("thresholds") - optimum.net_recovery("nothing")
        assert own >= WITHIN * gain
        of_yesterday = rk.light_by_price(today, UNIT, triage(yesterday).prices)
        assert of_yesterday["gain_amount"].sum() >= WITHIN * gain
        fixed = optimum.net_recovery("fixed shares, within capacity") - optimum.net_recovery("nothing")
        assert fixed < WITHIN * gain  # the split is no optimum by accident

    @pytest.mark.parametrize("seed", range(4))
    def test_on_cases_that_are_all_new_they_lose_a_tenth_at_most_where_the_fixed_split_loses_half(self, seed):
        # Fifteen files for the largest of a thousand skewed amounts: what a file is worth differs much between samples.
        today = simulated(1000 + seed, 1000)
        optimum = triage(today)
        gain = optimum.net_recovery() - optimum.net_recovery("nothing")
        lights = rk.light_by_price(today, UNIT, triage(simulated(seed, 1000)).prices)
        assert lights["gain_amount"].sum() >= 0.9 * gain
        fixed = optimum.net_recovery("fixed shares, within capacity") - optimum.net_recovery("nothing")
        assert fixed < 0.5 * gain

    def test_lights_by_price_keep_within_the_capacities_even_when_the_price_is_too_low(self):
        lights = rk.light_by_price(simulated(5), UNIT, {})
        used = lights["treatment"].value_counts()
        assert used["standard_calls"] * 1.5 <= 240
        assert used["field_work"] <= 45
        assert used["legal_action"] <= 15


@pytest.mark.slow
def test_cash_that_comes_in_equals_what_the_lights_expect_and_beats_the_fixed_shares():
    """Simulated truth: cases cure with their own probability and with the known uplift of their treatment."""
    rng = np.random.default_rng(11)
    frame, table = simulated(21, 1000), UNIT
    found = triage(frame, table)
    uplift = {t.name: t.uplift for t in table.treatments} | {"none": 0.0}
    cost = {t.name: t.cost_amount for t in table.treatments} | {"none": 0.0}
    own = found.lights["prob_self_cure"].to_numpy()
    lift, paid = (found.lights["treatment"].map(values).to_numpy() for values in (uplift, cost))
    cured, uncured = (frame[f"{name}_recovery_amount"].to_numpy() for name in ("cured", "uncured"))
    cash = []
    for _ in range(4000):
        cures = (rng.random(len(frame)) < own) | (rng.random(len(frame)) < lift)
        cash.append((np.where(cures, cured, uncured) - paid).sum())
    error = np.std(cash) / np.sqrt(len(cash))
    assert abs(np.mean(cash) - found.net_recovery()) < 4 * error
    assert np.mean(cash) - 4 * error > found.net_recovery("fixed shares, within capacity")


class TestFixedShares:
    def test_by_hand_the_likeliest_are_green_and_the_least_likely_red(self):
        # Ten cases, shares 0.2, 0.6, 0.2: the two highest probabilities are green, the two lowest red.
        frame = cases(*((f"F{i}", i / 10, 100.0) for i in range(10)))
        found = triage(frame, menu(CALL, VISIT, calls=3), shares=(0.2, 0.6, 0.2))
        row = found.strategies.set_index("strategy").loc["fixed shares"]
        assert row[["n_green", "n_yellow", "n_red"]].tolist() == [2, 6, 2]
        assert not row["within_capacity"]
        # Visits of p = 0 and 0.1: 0.8 * 100 * (1 + 0.9) - 400 = -248. Calls of p = 0.2 to 0.7:
        # 0.5 * 100 * (0.8 + 0.7 + 0.6 + 0.5 + 0.4 + 0.3) - 360 = -195. Nothing: 100 * 4.5 = 450.
        assert row["net_recovery_amount"] == pytest.approx(450 - 248 - 195)
        within = found.strategies.set_index("strategy").loc["fixed shares, within capacity"]
        # Three calls only, the least likely first: 0.5 * 100 * (0.8 + 0.7 + 0.6) - 180 = -75.
        assert within["net_recovery_amount"] == pytest.approx(450 - 248 - 75)
        assert found.cost_of_fixed_shares == pytest.approx(248 + 75)  # the optimum leaves all of them alone

    def test_shares_that_do_not_add_to_one_are_refused(self):
        with pytest.raises(ValueError, match="add to 1"):
            triage(simulated(1, 10), shares=(0.2, 0.7, 0.2))


class TestBorder:
    def test_all_faults_of_the_cases_are_told_at_once(self):
        frame = cases(("A", 1.2, 100.0), ("B", 0.5, 100.0, 200.0), ("C", 0.5, 100.0)).assign(
            uplift_call=[0.1, 0.1, 2.0]
        )
        with pytest.raises(ContractError) as error:
            triage(frame, menu(CALL))
        assert len(error.value.violations) == 3

    def test_a_missing_value_hides_no_wrong_one_and_rows_are_named(self):
        frame = cases(("A", 1.2, 100.0), ("B", np.nan, 100.0), ("C", 0.5, 100.0, 200.0))
        with pytest.raises(ContractError) as error:
            triage(frame, menu(CALL))
        assert [(v.rule, v.first_keys) for v in error.value.violations] == [
            ("prob_self_cure must not be empty", ("row 1",)),
            ("prob_self_cure must lie in [0, 1]", ("row 0",)),
            ("cured_recovery_amount must be at least uncured_recovery_amount", ("row 2",)),
        ]

    def test_a_file_of_treatments_tells_all_its_problems_at_once(self, tmp_path):
        path = tmp_path / "t.yml"
        path.write_text(
            "version: 1\ntreatments:\n"
            "  - {name: call, light: green, uplift: 1.5, cost_amount: -1, resource: calls}\n"
            "  - {name: call, light: red, uplift: 0.5, cost_amount: 1, resorce: calls}\n"
        )
        with pytest.raises(SpecError) as error:
            rk.read_treatments(path)
        said = str(error.value)
        assert said.startswith("6 problems")  # light, uplift, cost, name twice, resorce, resource missing
        assert "nearest valid key: resource" in said

    def test_a_capacity_that_nothing_takes_and_the_name_none_are_refused(self):
        with pytest.raises(ValueError, match="no treatment takes hours"):
            menu(CALL, hours=3)
        with pytest.raises(ValueError, match="'none' is what green cases get"):
            menu(("none", "red", 0.1, 1, "x", 1))


def frozen(probs, light="green", as_of="2026-01-31"):
    names = [f"F{i}" for i in range(len(probs))]
    return pd.DataFrame({"facility_id": names, "as_of": pd.Timestamp(as_of), "prob_self_cure": probs, "light": light})


def outcomes(days, as_of="2026-01-31"):
    """Cure so many days after the light; None where the case has not cured."""
    cured = [pd.NaT if d is None else pd.Timestamp(as_of) + pd.Timedelta(days=d) for d in days]
    return pd.DataFrame({"facility_id": [f"F{i}" for i in range(len(days))], "cured_date": pd.to_datetime(cured)})


class TestBackTest:
    def test_by_hand(self):
        lights = frozen([0.9, 0.7, 0.4, 0.2], ["green", "green", "yellow", "red"])
        known = outcomes([10, 200, 90, None])  # six months end on 31 July: day 181
        found = rk.back_test_lights(lights, known, reporting_date="2026-09-30", horizon_months=6)
        assert found.by_light["n_cured"].tolist() == [1, 1, 0]
        # (0.1^2 + 0.7^2 + 0.6^2 + 0.2^2) / 4 = (0.01 + 0.49 + 0.36 + 0.04) / 4 = 0.225; reference 0.5 * 0.5.
        assert found.brier_score == pytest.approx(0.225)
        assert found.brier_score == pytest.approx(brier_score_loss([1, 0, 1, 0], lights["prob_self_cure"]))
        assert found.reference_score == 0.25
        assert (found.predicted, found.cured_rate) == (pytest.approx(0.55), 0.5)
        assert found.is_upper_bound

    def test_every_light_is_counted_once(self):
        lights = pd.concat([frozen([0.5] * 4), frozen([0.5] * 4, as_of="2026-06-30")], ignore_index=True)
        known = outcomes([10, None, None])  # the fourth is not known any more
        found = rk.back_test_lights(lights, known, reporting_date="2026-09-30", horizon_months=6, holdout={"F0", "F1"})
        counted = dict(zip(found.counted["what"], found.counted["n_cases"], strict=True))
        assert counted == {
            "counted": 2,
            "horizon not over at the reporting date": 3,
            "case not known any more": 2,
            "treated, and there is a holdout": 1,
        }
        assert not found.is_upper_bound

    def test_a_cure_before_the_light_or_after_the_horizon_is_none(self):
        found = rk.back_test_lights(
            frozen([0.5] * 3), outcomes([0, 181, 182]), reporting_date="2026-12-31", horizon_months=6
        )
        assert found.by_light["n_cured"].item() == 1

    def test_groups_are_tenths_and_hold_every_case(self):
        rng = np.random.default_rng(0)
        probs = rng.random(400)
        found = rk.back_test_lights(
            frozen(probs), outcomes([5 if u < p else None for u, p in zip(rng.random(400), probs, strict=True)]),
            reporting_date="2026-12-31", horizon_months=6,
        )  # fmt: skip
        assert found.groups["n_cases"].tolist() == [40] * 10
        assert found.groups["predicted"].is_monotonic_increasing

    def test_equal_predictions_stay_in_one_group_whatever_the_order_of_rows(self):
        # 60 cases give three groups. Mean ranks: 15.5 of the 30 at 0.2, 40.5 of the 20 at 0.5, 55.5 of the 10 at 0.8;
        # times 3 / 60 and rounded up they are groups 1, 3 and 3.
        lights = frozen([0.2] * 30 + [0.5] * 20 + [0.8] * 10)
        known = outcomes([5 if i % 3 == 0 else None for i in range(60)])
        options = {"reporting_date": "2026-12-31", "horizon_months": 6}
        found, turned = (rk.back_test_lights(f, known, **options).groups for f in (lights, lights.iloc[::-1]))
        assert found["group"].tolist() == [1, 3]
        assert found["n_cases"].tolist() == [30, 30]
        pd.testing.assert_frame_equal(found, turned)

    @pytest.mark.parametrize(
        ("wrong", "sees_level", "sees_spread"),
        [
            (lambda p: p, (0.0, 0.1), (0.0, 0.1)),
            (lambda p: np.minimum(p + 0.15, 1.0), (0.9, 1.0), (0.0, 1.0)),  # too high throughout
            (lambda p: np.where(p > 0.5, 0.9, 0.05) + 0 * p, (0.0, 1.0), (0.9, 1.0)),  # too bold
        ],
    )
    def test_the_tests_of_calibration_keep_their_level_and_see_what_is_wrong(self, wrong, sees_level, sees_spread):
        level = spread = 0
        for seed in range(100):
            rng = np.random.default_rng(seed)
            true = rng.beta(1.5, 3.0, 300)
            known = outcomes(np.where(rng.random(300) < true, 5, 999).tolist())
            found = rk.back_test_lights(frozen(wrong(true)), known, reporting_date="2026-12-31", horizon_months=6)
            level += found.p_value < 0.05
            spread += found.spiegelhalter_p_value < 0.05
        assert sees_level[0] <= level / 100 <= sees_level[1]
        assert sees_spread[0] <= spread / 100 <= sees_spread[1]

    def test_nothing_that_counts_and_bad_lights_are_refused(self):
        with pytest.raises(InsufficientDataError, match="no light counts"):
            rk.back_test_lights(frozen([0.5]), outcomes([1]), reporting_date="2026-02-28", horizon_months=6)
        with pytest.raises(ContractError) as error:
            rk.back_test_lights(
                frozen([0.5, 1.5], ["blue", "red"]), outcomes([1]), reporting_date="2026-12-31", horizon_months=6
            )
        assert len(error.value.violations) == 2

    def test_a_facility_that_stands_twice_in_the_outcomes_is_refused(self):
        twice = pd.concat([outcomes([1]), outcomes([9])], ignore_index=True)
        with pytest.raises(ContractError, match=r"outcomes: facility_id must name one row: 1 row, first row 1"):
            rk.back_test_lights(frozen([0.5]), twice, reporting_date="2026-12-31", horizon_months=6)


def override_log(*rows, agent="a1b2c3d4"):
    """Rows of (facility, time, from, to[, reason])."""
    full = [(*row, "employer_confirmed")[:5] for row in rows]
    frame = pd.DataFrame(full, columns=["facility_id", "override_time", "from_light", "to_light", "reason"])
    return frame.assign(override_time=pd.to_datetime(frame["override_time"]), agent_hash=agent)


def review(lights, log, known, **options):
    return rk.review_overrides(lights, log, known, reporting_date="2026-12-31", horizon_months=6, **options)


class TestOverrides:
    def test_by_hand(self):
        lights = frozen([0.3, 0.8, 0.5, 0.6], ["red", "green", "yellow", "green"])
        log = override_log(
            ("F0", "2026-02-01 09:00", "red", "green"),  # cured: right, by chance 0.3
            ("F1", "2026-02-01 09:00", "green", "yellow"),  # not cured: right, by chance 0.2
            ("F2", "2026-02-01 09:00", "yellow", "red"),  # changed again, the last counts:
            ("F2", "2026-02-02 09:00", "yellow", "green", "paid_in_part"),  # not cured: wrong, by chance 0.5
            ("F9", "2026-02-01 09:00", "red", "green"),  # no light was given
        )
        found = review(lights, log, outcomes([10, None, None, 20]))
        assert (found.n_overrides, found.n_without_light, found.override_rate) == (3, 1, 0.75)
        assert found.by_reason["n_overrides"].tolist() == [2, 1]
        rows = found.judged.set_index("direction")
        assert rows["n_right"].tolist() == [1, 1, 2]
        assert rows["expected_right"].tolist() == pytest.approx([0.8, 0.2, 1.0])
        # At least 2 of chances 0.3, 0.2, 0.5 right: 0.3*0.2*0.5 + 0.3*0.2*0.5 + 0.3*0.8*0.5 + 0.7*0.2*0.5 = 0.25.
        assert rows.loc["all", "p_better"] == pytest.approx(0.25)
        assert rows.loc["all", "verdict"] == "no difference shown"

    def test_chances_add_to_one_and_equal_ones_are_binomial(self):
        pmf = right_by_chance(np.full(12, 0.3))
        assert pmf.sum() == pytest.approx(1.0)
        assert pmf[3] == pytest.approx(0.2397, abs=5e-5)  # 220 * 0.3^3 * 0.7^9

    def test_people_who_know_more_beat_the_model_and_people_who_guess_do_not(self):
        rng = np.random.default_rng(1)
        n = 150
        lights = frozen([0.3] * n, "red")
        log = override_log(*((f"F{i}", "2026-02-01", "red", "green") for i in range(n)))
        informed = outcomes([5 if u < 0.5 else None for u in rng.random(n)])
        assert review(lights, log, informed).judged.iloc[0]["verdict"] == "beat the model"
        wrong = outcomes([5 if u < 0.1 else None for u in rng.random(n)])
        assert review(lights, log, wrong).judged.iloc[0]["verdict"] == "worse than the model"
        beats = 0
        for seed in range(400):
            draws = np.random.default_rng(seed).random(n)
            guess = review(lights, log, outcomes([5 if u < 0.3 else None for u in draws]))
            beats += guess.judged.iloc[0]["verdict"] == "beat the model"
        assert beats / 400 <= 0.072  # level 5 %, and two standard errors above

    def test_a_name_in_the_log_is_refused_and_not_repeated(self):
        log = override_log(("F0", "2026-02-01", "red", "green", "Called Mr Smith"), agent="Jane Smith")
        with pytest.raises(ContractError) as error:
            review(frozen([0.3], "red"), log, outcomes([1]))
        assert len(error.value.violations) == 2
        assert "Smith" not in str(error.value)

    def test_an_empty_log_is_a_log(self):
        empty = override_log(("F0", "2026-02-01", "red", "green")).iloc[:0]
        found = review(frozen([0.3], "red"), empty, outcomes([1]))
        assert found.override_rate == 0.0
        assert found.judged["n_overrides"].tolist() == [0, 0, 0]

    def test_an_override_made_with_hindsight_counts_for_nothing(self):
        # F0 and F1 cured on 10 February: changed in April, and on the day itself. The horizon of F2 ends on 31 July. F3
        # was changed on the eve of its cure: right.
        log = override_log(
            ("F0", "2026-04-01 09:00", "red", "green"),
            ("F1", "2026-02-10 09:00", "red", "green"),
            ("F2", "2026-07-31 09:00", "red", "yellow"),
            ("F3", "2026-02-09 18:00", "red", "green"),
        )
        found = review(frozen([0.3] * 4, "red"), log, outcomes([10, 10, None, 10]))
        assert (found.n_overrides, found.n_too_late) == (1, 3)
        assert found.judged.set_index("direction").loc["all", ["n_overrides", "n_right"]].tolist() == [1, 1]

    def test_what_was_said_in_time_stands_when_hindsight_changes_it(self):
        log = override_log(("F0", "2026-02-01", "red", "green"), ("F0", "2026-04-01", "green", "red"))
        found = review(frozen([0.3], "red"), log, outcomes([10]))
        assert (found.n_overrides, found.n_too_late, found.n_taken_back) == (1, 1, 0)
        assert found.judged["n_right"].tolist() == [1, 0, 1]

    def test_nothing_after_the_reporting_date_is_read(self):
        log = override_log(
            ("F0", "2026-02-15 18:00", "red", "yellow"),
            ("F0", "2026-02-16 09:00", "yellow", "green"),
        )
        found = rk.review_overrides(
            frozen([0.3], "red"), log, outcomes([None]), reporting_date="2026-02-15", horizon_months=6
        )
        assert found.by_change["to_light"].tolist() == ["yellow"]

    def test_a_change_is_that_from_the_light_of_the_model_to_the_last(self):
        # Red to green, then green to yellow: towards green on the whole; it cures, right by chance 0.3.
        log = override_log(("F0", "2026-02-01", "red", "green"), ("F0", "2026-02-02", "green", "yellow"))
        found = review(frozen([0.3], "red"), log, outcomes([30]))
        assert found.by_change.to_numpy().tolist() == [["red", "yellow", 1]]
        rows = found.judged.set_index("direction")
        assert rows["n_overrides"].tolist() == [1, 0, 1]
        assert rows["n_right"].tolist() == [1, 0, 1]
        assert rows.loc["all", "expected_right"] == pytest.approx(0.3)

    def test_a_change_taken_back_is_none_and_entries_without_a_light_are_counted_one_by_one(self):
        log = override_log(
            ("F0", "2026-02-01", "red", "green"),
            ("F0", "2026-02-02", "green", "red"),
            ("F9", "2026-02-01", "red", "green"),
            ("F9", "2026-02-02", "green", "red"),
        )
        found = review(frozen([0.3], "red"), log, outcomes([None]))
        assert (found.n_overrides, found.n_taken_back, found.n_without_light) == (0, 1, 2)

    def test_faults_of_lights_log_and_outcomes_are_told_at_once(self):
        log, twice = override_log(("F0", "2026-02-01", "red", "red")), pd.concat([outcomes([1])] * 2)
        with pytest.raises(ContractError) as error:
            review(frozen([1.5], "red"), log, twice)
        assert [v.table for v in error.value.violations] == ["lights", "overrides", "outcomes"]
        assert all(v.first_keys == ("row 0",) for v in error.value.violations)


class TestCases:
    def episodes(self):
        rng = np.random.default_rng(3)
        n = 900
        cure, sale = rng.weibull(1.3, n) * 14, rng.exponential(30, n)
        ends = np.minimum(cure, sale)
        months = np.ceil(np.minimum(ends, rng.uniform(6, 48, n))).astype(int)
        outcome = np.where(months < np.ceil(ends), "open", np.where(cure < sale, "cured", "sold"))
        return pd.DataFrame(
            {
                "facility_id": [f"F{i}" for i in range(n)],
                "months_in_default": months,
                "outcome": outcome,
                "ead": 100.0,
                "outstanding": np.where(outcome == "open", 80.0, np.nan),
            }
        )

    def test_the_probability_is_that_of_curing_within_the_horizon_given_still_open(self):
        frame = self.episodes()
        fit = rk.CompetingOutcomesModel(never_resolves=False).fit(
            frame, duration_col="months_in_default", outcome_col="outcome"
        )
        still = frame[frame["outcome"] == "open"]
        shares = {"recovered_if_cured": 1.0, "recovered_if_not": 0.4}
        found = rk.triage_cases(still, fit, horizon_months=6, **shares)
        row, age = still.head(1), float(still["months_in_default"].iloc[0])
        by_hand = fit.predict_cumulative_incidence(row, times=[age, age + 6])["cured"].to_numpy()[0]
        left = fit.predict_survival(row, times=[age]).to_numpy()[0, 0]
        assert found["prob_self_cure"].iloc[0] == pytest.approx((by_hand[1] - by_hand[0]) / left)
        assert found.iloc[0][["cured_recovery_amount", "uncured_recovery_amount"]].tolist() == [80.0, 32.0]
        assert triage(found).lights["facility_id"].tolist() == still["facility_id"].tolist()

    def test_no_model_no_open_case_and_shares_out_of_range_are_refused(self):
        frame = self.episodes()
        with pytest.raises(InsufficientDataError, match="needs open episodes and a model"):
            rk.triage_cases(frame, None, horizon_months=6, recovered_if_cured=1.0, recovered_if_not=0.4)
        with pytest.raises(ValueError, match=r"recovered_if_cured is 1.2.*horizon_months is 0"):
            rk.triage_cases(frame, None, horizon_months=0, recovered_if_cured=1.2, recovered_if_not=0.4)

    def test_the_cure_of_the_episode_that_was_open_then_counts(self):
        days = {"default_date": ["2025-01-31", "2026-03-31", "2026-05-31"]}
        episodes = pd.DataFrame(
            {
                "facility_id": ["A", "A", "B"],
                "default_date": pd.to_datetime(days["default_date"]),
                "outcome": ["cured", "cured", "open"],
                "outcome_date": pd.to_datetime(["2025-08-31", "2026-09-30", None]),
            }
        )
        lights = pd.DataFrame({"facility_id": ["A", "B"], "as_of": pd.Timestamp("2026-04-30")})
        found = rk.cures_since(lights, episodes)
        # B defaulted after the light: its case of then is not known any more.
        assert found.to_dict("records") == [{"facility_id": "A", "cured_date": pd.Timestamp("2026-09-30")}]


def test_a_log_of_overrides_is_read_and_checked(tmp_path):
    path = tmp_path / "log.csv"
    override_log(("F0", "2026-02-01 09:00", "red", "green")).to_csv(path, index=False)
    found = review(frozen([0.3], "red"), rk.read_overrides(path), outcomes([2]))
    assert found.n_overrides == 1
    with pytest.raises(SpecError, match="no log of overrides"):
        rk.read_overrides(tmp_path / "none.csv")
    path.write_text("facility_id,reason\nF0,x\n")
    with pytest.raises(ContractError, match="override_time"):
        rk.read_overrides(path)
