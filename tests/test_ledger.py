"""The cash-flow ledger and realised LGD, by hand; every flow is found again in the ledger or under one reason."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoverykit.episodes.ledger import LEDGER_COLUMNS, WORKSHEET_COLUMNS, LedgerPolicy, build_ledger
from recoverykit.vocabulary import CashFlowKind, Outcome

#: A few roundings of doubles of size 1; the sums themselves are exact to a ten-thousandth of a cent.
ROUNDING = 1e-9
UNDISCOUNTED = LedgerPolicy(discount_rate=0.0)


def episode(facility="A", default="2022-01-31", outcome="open", end=None, *, number=1, ead=1000.0, **columns):
    start, stop = pd.Timestamp(default), pd.Timestamp(end)
    today = pd.Timestamp("2024-01-31")
    until = today if end is None else stop
    row = {
        "episode_id": f"{facility}#{number}",
        "facility_id": facility,
        "obligor_id": f"O{facility}",
        "default_date": start,
        "outcome": outcome,
        "outcome_date": stop,
        "ead": ead,
        "outcome_balance_amount": np.nan,
        "months_in_default": (until.year - start.year) * 12 + until.month - start.month,
        "observed_months": (today.year - start.year) * 12 + today.month - start.month,
        "entry_months": 0,
        "eir": 0.05,
    }
    return row | columns


def flow(facility, date, amount, kind="repayment"):
    return {"facility_id": facility, "cash_flow_date": pd.Timestamp(date), "amount": float(amount), "kind": kind}


def ledger_of(episodes, flows, *, policy=UNDISCOUNTED, reporting_date="2024-01-31"):
    columns = ["facility_id", "cash_flow_date", "amount", "kind"]
    flows = pd.DataFrame(flows, columns=columns).astype({"cash_flow_date": "datetime64[ns]", "amount": float})
    tables = build_ledger(pd.DataFrame(episodes), flows, reporting_date=reporting_date, policy=policy)
    return tables.ledger.to_pandas(), tables.worksheet.to_pandas(), tables.exclusions.to_pandas()


def realised(episodes, flows, **options):
    return ledger_of(episodes, flows, **options)[1]["realised_lgd"].tolist()


class TestRealisedLgd:
    def test_it_is_what_costs_and_recoveries_leave_of_the_exposure_discounted_to_default(self):
        # 31 January 2022 to 31 January 2023: 365 days, factor 1 / 1.05; to 2024: 730 days, 1 / 1.05**2.
        # LGD = (1000 + 21 / 1.05 - 630 / 1.05 - 220.5 / 1.1025) / 1000 = (1000 + 20 - 600 - 200) / 1000 = 0.22
        flows = [
            flow("A", "2023-01-31", 630, "collateral"),
            flow("A", "2023-01-31", 21, "direct_cost"),
            flow("A", "2024-01-31", 220.5, "guarantee"),
        ]
        _, worksheet, _ = ledger_of([episode(outcome="liquidated", end="2024-01-31")], flows, policy=LedgerPolicy())
        line = worksheet.iloc[0]
        assert line["realised_lgd"] == pytest.approx(0.22, abs=ROUNDING)
        assert line["present_value_amount"] == pytest.approx(780, abs=ROUNDING * 1000)
        assert (line["gross_recovery_amount"], line["cost_amount"]) == (850.5, 21.0)
        assert line["net_recovery_amount"] == 829.5

    def test_the_discount_factor_counts_the_days_of_a_leap_year_over_365(self):
        # 31 January 2024 to 31 January 2025: 366 days.
        closed = episode(default="2024-01-31", outcome="repaid", end="2025-01-31")
        ledger, _, _ = ledger_of(
            [closed],
            [flow("A", "2025-01-31", 500)],
            policy=LedgerPolicy(discount_rate=0.1),
            reporting_date="2025-01-31",
        )
        assert ledger["discount_factor"].tolist() == pytest.approx([1.1 ** -(366 / 365)], abs=ROUNDING)

    def test_the_policys_rate_goes_before_the_facilitys(self):
        flows = [flow("A", "2023-01-31", 545)]
        closed = [episode(outcome="liquidated", end="2023-01-31")]
        # 1 - 545 / 1.09 / 1000 = 0.5
        assert realised(closed, flows, policy=LedgerPolicy(discount_rate=0.09)) == pytest.approx([0.5], abs=ROUNDING)

    def test_late_fees_and_interest_change_nothing_and_stand_in_the_ledger(self):
        closed = [episode(outcome="sold", end="2023-01-31")]
        flows = [flow("A", "2022-06-30", 400)]
        neutral = [flow("A", "2022-07-31", 33, "late_fee"), flow("A", "2022-08-31", 44, "interest")]
        assert realised(closed, flows + neutral) == realised(closed, flows)
        ledger, _, _ = ledger_of(closed, flows + neutral)
        assert ledger["net_amount"].tolist() == [400.0, 0.0, 0.0]

    def test_drawings_raise_the_loss_and_on_request_the_denominator(self):
        # (1000 + 250 - 500) / 1000 = 0.75; / 1250 = 0.6
        closed = [episode(outcome="sold", end="2023-01-31")]
        flows = [flow("A", "2022-03-31", 250, "drawing"), flow("A", "2023-01-31", 500, "sale")]
        both = LedgerPolicy(discount_rate=0.0, drawings="both")
        assert realised(closed, flows) == pytest.approx([0.75], abs=ROUNDING)
        assert realised(closed, flows, policy=both) == pytest.approx([0.6], abs=ROUNDING)

    def test_the_denominator_takes_the_present_value_of_drawings(self):
        # Drawing of 262.5 a year after default at 5 %: 250. (1000 + 250) / 1250 = 1.
        closed = [episode(outcome="written_off", end="2023-01-31")]
        flows = [flow("A", "2023-01-31", 262.5, "drawing")]
        _, worksheet, _ = ledger_of(closed, flows, policy=LedgerPolicy(drawings="both"))
        assert worksheet["denominator_amount"].tolist() == pytest.approx([1250], abs=ROUNDING * 1000)
        assert worksheet["realised_lgd"].tolist() == pytest.approx([1.0], abs=ROUNDING)

    def test_it_may_be_negative_and_above_one(self):
        closed = [episode("A", outcome="sold", end="2023-01-31"), episode("B", outcome="written_off", end="2023-01-31")]
        flows = [flow("A", "2022-12-31", 1100), flow("B", "2022-12-31", 80, "direct_cost")]
        assert realised(closed, flows) == pytest.approx([-0.1, 1.08], abs=ROUNDING)

    def test_an_open_episode_has_one_to_date_only(self):
        _, worksheet, _ = ledger_of([episode()], [flow("A", "2022-12-31", 300)])
        assert worksheet["lgd_to_date"].tolist() == pytest.approx([0.7], abs=ROUNDING)
        assert worksheet["realised_lgd"].isna().tolist() == [True]
        assert worksheet["is_closed"].tolist() == [False]

    def test_an_episode_without_any_cash_is_a_whole_loss(self):
        assert realised([episode(outcome="written_off", end="2022-09-30")], []) == [1.0]

    def test_a_late_entry_has_none_because_its_earlier_flows_are_not_known(self):
        closed = [episode(outcome="sold", end="2023-01-31", entry_months=4)]
        _, worksheet, _ = ledger_of(closed, [flow("A", "2022-12-31", 300)])
        assert worksheet[["is_closed", "is_late_entry"]].to_numpy().tolist() == [[True, True]]
        assert worksheet["realised_lgd"].isna().tolist() == [True]
        assert worksheet["lgd_to_date"].tolist() == pytest.approx([0.7], abs=ROUNDING)

    def test_it_is_null_and_not_one_where_the_interest_rate_is_missing(self):
        closed = [episode(outcome="sold", end="2023-01-31", eir=np.nan)]
        assert np.isnan(realised(closed, [flow("A", "2022-12-31", 300)], policy=LedgerPolicy())).all()


class TestCure:
    def cured(self, **columns):
        return [episode(outcome="cured", end="2023-01-31", **columns)]

    def test_it_brings_the_balance_at_the_return_to_performing(self):
        # 630 / 1.05 = 600 of 1,000 after a year.
        ledger, worksheet, _ = ledger_of(self.cured(outcome_balance_amount=630.0), [], policy=LedgerPolicy())
        assert ledger[["kind", "amount", "month"]].to_numpy().tolist() == [["cure", 630.0, 12]]
        assert worksheet["realised_lgd"].tolist() == pytest.approx([0.4], abs=ROUNDING)

    def test_without_a_known_balance_it_brings_what_is_left_of_exposure_and_drawings(self):
        # 1000 + 50 - 300 = 750; costs and fees are no part of the balance.
        flows = [
            flow("A", "2022-04-30", 300),
            flow("A", "2022-05-31", 50, "drawing"),
            flow("A", "2022-05-31", 20, "direct_cost"),
            flow("A", "2022-05-31", 7, "late_fee"),
        ]
        ledger, worksheet, _ = ledger_of(self.cured(), flows)
        assert ledger.loc[ledger["kind"] == "cure", "amount"].tolist() == [750.0]
        # (1000 + 50 + 20 - 300 - 750) / 1000 = 0.02
        assert worksheet["realised_lgd"].tolist() == pytest.approx([0.02], abs=ROUNDING)

    def test_what_is_left_is_never_negative(self):
        ledger, _, _ = ledger_of(self.cured(), [flow("A", "2022-04-30", 1200)])
        assert ledger.loc[ledger["kind"] == "cure", "amount"].tolist() == [0.0]

    def test_it_can_be_switched_off(self):
        policy = LedgerPolicy(discount_rate=0.0, cure_cash_flow=False)
        assert realised(self.cured(), [flow("A", "2022-04-30", 300)], policy=policy) == pytest.approx([0.7])

    def test_only_a_cure_has_one(self):
        others = [
            episode(f"{number}", outcome=outcome.value, end="2023-01-31")
            for number, outcome in enumerate(Outcome)
            if outcome not in (Outcome.CURED, Outcome.OPEN)
        ]
        ledger, _, _ = ledger_of([*others, episode("Z")], [])
        assert len(ledger) == 0


class TestAssignment:
    def test_a_flow_belongs_to_the_latest_default_at_or_before_its_date(self):
        two = [
            episode(outcome="cured", end="2022-06-30"),
            episode(number=2, default="2023-05-31"),
        ]
        flows = [flow("A", date, 10) for date in ("2022-01-31", "2022-06-30", "2023-05-31", "2023-09-15")]
        ledger, _, exclusions = ledger_of(two, flows)
        ordinary = ledger[ledger["kind"] == "repayment"]
        assert ordinary["episode_id"].tolist() == ["A#1", "A#1", "A#2", "A#2"]
        # 31 May to 15 September: three months and 15 days count as four.
        assert ordinary["month"].tolist() == [0, 5, 0, 4]
        assert len(exclusions) == 0

    @pytest.mark.parametrize(
        ("date", "facility", "reason"),
        [
            ("2024-02-01", "A", "after the reporting date"),
            ("2022-06-30", "Z", "facility has no default episode"),
            ("2022-01-30", "A", "before the facility's first default"),
            ("2022-07-01", "A", "after a cure or full repayment, ordinary payments of a performing facility"),
        ],
    )
    def test_a_flow_that_does_not_count_is_excluded_for_one_reason(self, date, facility, reason):
        _, _, exclusions = ledger_of([episode(outcome="cured", end="2022-06-30")], [flow(facility, date, 12.34)])
        assert exclusions.to_numpy().tolist() == [["cash_flows", reason, 1, 12.34]]

    @pytest.mark.parametrize("outcome", ["sold", "liquidated", "written_off"])
    def test_what_comes_after_a_loss_counts_and_its_recovery_month_is_the_outcomes(self, outcome):
        ledger, worksheet, _ = ledger_of([episode(outcome=outcome, end="2022-06-30")], [flow("A", "2023-03-31", 100)])
        assert ledger[["month", "recovery_month"]].to_numpy().tolist() == [[14, 5]]
        assert worksheet["realised_lgd"].tolist() == pytest.approx([0.9], abs=ROUNDING)

    def test_what_comes_after_a_repayment_does_not_count(self):
        ledger, _, exclusions = ledger_of([episode(outcome="repaid", end="2022-06-30")], [flow("A", "2023-03-31", 9)])
        assert len(ledger) == 0
        assert exclusions["amount"].tolist() == [9.0]

    def test_indirect_costs_are_left_out_by_choice_and_counted(self):
        closed = [episode(outcome="sold", end="2022-06-30")]
        flows = [flow("A", "2022-03-31", 100), flow("A", "2022-03-31", 40, "indirect_cost")]
        without = LedgerPolicy(discount_rate=0.0, include_indirect_costs=False)
        assert realised(closed, flows) == pytest.approx([0.94], abs=ROUNDING)
        assert realised(closed, flows, policy=without) == pytest.approx([0.9], abs=ROUNDING)
        exclusions = ledger_of(closed, flows, policy=without)[2]
        assert exclusions["reason"].tolist() == ["indirect costs are left out by the policy"]


class TestMaximumRecoveryPeriod:
    POLICY = LedgerPolicy(discount_rate=0.0, maximum_recovery_months=12)

    def test_later_flows_do_not_count_and_the_month_itself_does(self):
        closed = [episode(outcome="written_off", end="2022-06-30")]
        flows = [flow("A", "2023-01-31", 100), flow("A", "2023-02-01", 70)]
        _, worksheet, exclusions = ledger_of(closed, flows, policy=self.POLICY)
        assert worksheet["realised_lgd"].tolist() == pytest.approx([0.9], abs=ROUNDING)
        assert exclusions.to_numpy().tolist() == [["cash_flows", "later than the maximum recovery period", 1, 70.0]]

    def test_an_episode_open_as_long_is_closed_with_nothing_more_to_come(self):
        # Open for 12 months and for 11 at the reporting date.
        two = [episode("A", default="2023-01-31"), episode("B", default="2023-02-28")]
        _, worksheet, _ = ledger_of(two, [flow("A", "2023-05-31", 250)], policy=self.POLICY)
        assert worksheet["is_closed"].tolist() == [True, False]
        assert worksheet["realised_lgd"].fillna(-1).tolist() == pytest.approx([0.75, -1], abs=ROUNDING)

    def test_a_later_cure_brings_no_cash_and_is_counted(self):
        cured = [episode(outcome="cured", end="2023-06-30", outcome_balance_amount=600.0)]
        ledger, worksheet, exclusions = ledger_of(cured, [], policy=self.POLICY)
        assert len(ledger) == 0
        assert worksheet["realised_lgd"].tolist() == [1.0]
        assert exclusions[["table", "n_rows", "amount"]].to_numpy().tolist() == [["episodes", 1, 600.0]]


class TestTables:
    def test_the_columns_stand_in_the_agreed_order(self):
        ledger, worksheet, _ = ledger_of([episode()], [flow("A", "2022-12-31", 300)])
        assert list(ledger.columns) == list(LEDGER_COLUMNS)
        assert list(worksheet.columns) == list(WORKSHEET_COLUMNS)

    def test_an_auditor_recomputes_the_worksheet_from_the_ledger(self):
        some = [episode("A", outcome="sold", end="2023-03-31"), episode("B", outcome="cured", end="2022-09-30")]
        flows = [flow(f, d, 111.11) for f in "AB" for d in ("2022-03-17", "2022-08-31", "2023-03-31")]
        ledger, worksheet, _ = ledger_of(some, flows, policy=LedgerPolicy())
        value = (ledger["net_amount"] * ledger["discount_factor"]).groupby(ledger["episode_id"]).sum()
        expected = 1 - value / 1000
        assert worksheet.set_index("episode_id")["realised_lgd"].to_numpy() == pytest.approx(
            expected.to_numpy(), abs=ROUNDING
        )

    def test_the_order_of_the_rows_does_not_matter(self):
        some = pd.DataFrame([episode(f, outcome="sold", end="2023-03-31") for f in "DBCA"])
        flows = pd.DataFrame([flow(f, "2022-05-05", a) for f in "ABCD" for a in (5, 3, 3.5)])
        one = build_ledger(some, flows, reporting_date="2024-01-31")
        other = build_ledger(some.iloc[::-1], flows.sample(frac=1, random_state=1), reporting_date="2024-01-31")
        pd.testing.assert_frame_equal(one.ledger.to_pandas(), other.ledger.to_pandas())
        pd.testing.assert_frame_equal(one.worksheet.to_pandas(), other.worksheet.to_pandas())

    def test_the_inputs_are_not_changed(self):
        some, flows = pd.DataFrame([episode()]), pd.DataFrame([flow("A", "2022-05-05", 5)])
        before = some.copy(), flows.copy()
        build_ledger(some, flows, reporting_date="2024-01-31").worksheet.to_pandas()
        pd.testing.assert_frame_equal(some, before[0])
        pd.testing.assert_frame_equal(flows, before[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discount_rate": "EIR"}, "discount_rate is 'EIR'"),
        ({"discount_rate": 5.0}, "annual decimal"),
        ({"discount_rate": True}, "discount_rate is True"),
        ({"discount_rate": float("nan")}, "discount_rate is nan"),
        ({"drawings": "none"}, "'numerator' or 'both'"),
        ({"maximum_recovery_months": 0}, "at least 1"),
        ({"maximum_recovery_months": float("inf")}, "maximum_recovery_months is inf; .* or None"),
        ({"reference_rate_maximum_age_days": None}, "reference_rate_maximum_age_days is None"),
    ],
)
def test_a_policy_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LedgerPolicy(**options)


def test_discounting_at_the_interest_rate_needs_the_column():
    with pytest.raises(ValueError, match=r"\['eir'\]"):
        build_ledger(
            pd.DataFrame([episode()]).drop(columns="eir"),
            pd.DataFrame([flow("A", "2022-05-05", 5)]),
            reporting_date="2024-01-31",
        )


FLOWS = st.lists(
    st.tuples(
        st.sampled_from("ABCZ"),
        st.integers(0, 1100),
        st.integers(0, 10**7),
        st.sampled_from([kind.value for kind in CashFlowKind]),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=20, deadline=None)
@given(drawn=FLOWS, limit=st.sampled_from([None, 6]), indirect=st.booleans())
def test_every_cash_flow_is_in_the_ledger_or_excluded_to_the_cent(drawn, limit, indirect):
    # What comes in goes out: no row is dropped or doubled, whatever the dates, kinds and policy.
    episodes = [
        episode("A", outcome="cured", end="2022-06-30", outcome_balance_amount=1.0),
        episode("A", number=2, default="2023-05-31"),
        episode("B", outcome="written_off", end="2022-09-30"),
        episode("C", default="2022-11-30", outcome="repaid", end="2023-02-28"),
    ]
    flows = [
        flow(facility, pd.Timestamp("2021-10-01") + pd.Timedelta(days=day), cents / 100, kind)
        for facility, day, cents, kind in drawn
    ]
    policy = LedgerPolicy(maximum_recovery_months=limit, include_indirect_costs=indirect, cure_cash_flow=False)
    ledger, worksheet, exclusions = ledger_of(episodes, flows, policy=policy)
    assert len(ledger) + exclusions["n_rows"].sum() == len(flows)
    cents_out = round(100 * ledger["amount"]).sum() + round(100 * exclusions["amount"]).sum()
    assert cents_out == sum(cents for _, _, cents, _ in drawn)
    assert len(worksheet) == len(episodes)
