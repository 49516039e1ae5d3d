"""Every switch of the ledger on the same six loans, by hand, and what no switch may change."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoverykit.episodes.ledger import build_ledger
from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.errors import ContractError
from recoverykit.vocabulary import CashFlowKind

#: A few roundings of doubles of size 1; the sums themselves are rounded to a ten-thousandth of a cent.
ROUNDING = 1e-9
TODAY = "2024-01-31"
DEFAULT, ONE_YEAR, TWO_YEARS = pd.Timestamp("2022-01-31"), "2023-01-31", "2024-01-31"  # 365 and 730 days
AT_TEN = LedgerPolicy(discount_rate=0.10)

# All default on 31 January 2022; a year later the factor at 10 % is 1 / 1.1, two years later 1 / 1.21.
LOANS = pd.DataFrame(
    [
        ("A", "cured", ONE_YEAR, 1000.0, 660.0, "mortgage"),
        ("B", "repaid", ONE_YEAR, 1000.0, np.nan, "card"),
        ("C", "liquidated", TWO_YEARS, 1000.0, np.nan, "mortgage"),
        ("D", "sold", ONE_YEAR, 1000.0, np.nan, "card"),
        ("E", "written_off", ONE_YEAR, 1000.0, np.nan, "mortgage"),
        ("F", "open", None, 5000.0, np.nan, "card"),
    ],
    columns=["facility_id", "outcome", "outcome_date", "ead", "outcome_balance_amount", "product"],
)
FLOWS = pd.DataFrame(
    [
        ("A", ONE_YEAR, 110.0, "repayment"),
        ("B", ONE_YEAR, 1100.0, "repayment"),
        ("C", ONE_YEAR, 55.0, "direct_cost"),
        ("C", TWO_YEARS, 605.0, "collateral"),
        ("D", ONE_YEAR, 440.0, "sale"),
        ("D", ONE_YEAR, 22.0, "indirect_cost"),
        ("E", TWO_YEARS, 121.0, "repayment"),
        ("F", ONE_YEAR, 275.0, "drawing"),
        ("F", ONE_YEAR, 330.0, "repayment"),
    ],
    columns=["facility_id", "cash_flow_date", "amount", "kind"],
)
# A: 1 - (110 + 660) / 1.1 / 1000 = 1 - .1 - .6 = .30      B: 1 - 1100 / 1.1 / 1000 = 0
# C: 1 + 55 / 1.1 / 1000 - 605 / 1.21 / 1000 = 1 + .05 - .5 = .55
# D: 1 + 22 / 1.1 / 1000 - 440 / 1.1 / 1000 = 1 + .02 - .4 = .62
# E: 1 - 121 / 1.21 / 1000 = .90                           F: (5000 + 275 / 1.1 - 330 / 1.1) / 5000 = .99
BY_HAND = {"A": 0.30, "B": 0.0, "C": 0.55, "D": 0.62, "E": 0.90, "F": 0.99}


def episodes_of(loans):
    loans = loans.assign(outcome_date=pd.to_datetime(loans["outcome_date"]))
    ended = loans["outcome_date"].fillna(pd.Timestamp(TODAY))
    months = (ended.dt.year - DEFAULT.year) * 12 + ended.dt.month - DEFAULT.month
    return loans.assign(
        episode_id=loans["facility_id"] + "#1",
        obligor_id="o" + loans["facility_id"],
        default_date=DEFAULT,
        months_in_default=months,
        observed_months=24,
        entry_months=0,
        eir=0.10,
    )


def built(policy=AT_TEN, *, loans=LOANS, flows=FLOWS, more=(), **tables):
    """Build the ledger of the six loans, with more cash flows on top."""
    more = pd.DataFrame(more, columns=FLOWS.columns)
    flows = pd.concat([flows, more], ignore_index=True) if len(more) else flows
    flows = flows.assign(cash_flow_date=pd.to_datetime(flows["cash_flow_date"]), amount=flows["amount"].astype(float))
    return build_ledger(episodes_of(loans), flows, reporting_date=TODAY, policy=policy, **tables)


def lgd(policy=AT_TEN, **options):
    sheet = built(policy, **options).worksheet.to_pandas()
    return dict(zip(sheet["episode_id"].str[0], sheet["lgd_to_date"], strict=True))


def left_out(policy=AT_TEN, **options):
    return built(policy, **options).exclusions.to_pandas().to_numpy().tolist()


def changed(**values):
    """Return what the six loans lose where a switch changes some of them."""
    return pytest.approx(BY_HAND | values, abs=ROUNDING)


def table(**columns):
    frame = pd.DataFrame(columns)
    dates = [name for name in ("date", "cash_flow_date") if name in frame]
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name in dates})


def test_without_a_switch_the_six_loans_lose_what_the_arithmetic_above_says():
    assert lgd() == changed()
    assert left_out() == []


def test_a_column_of_the_episodes_is_never_taken_for_one_of_the_ledgers():
    names = ["base_rate", "change", "balance", "cost_amount", "drawn_value", "arrears_amount"]
    quotes = table(date=[DEFAULT], rate=[0.10])
    arrears = table(episode_id=["A#1"], arrears_amount=[660.0])
    policy = LedgerPolicy(discount_rate="reference", cure_discounting="arrears")
    own = LOANS.assign(outcome_balance_amount=np.nan, **dict.fromkeys(names, 123.0))
    without = built(
        policy, loans=own.drop(columns=names), reference_rates=quotes, arrears=arrears
    ).worksheet.to_pandas()
    sheet = built(policy, loans=own, reference_rates=quotes, arrears=arrears).worksheet.to_pandas()
    pd.testing.assert_frame_equal(sheet, without)


def test_rates_may_be_told_apart_by_columns_of_any_name():
    names = ["base_rate", "told_0", "of_rate_0"]
    loans = LOANS.assign(**dict.fromkeys(names, LOANS["product"]))
    rates = table(**{name: ["mortgage", "card"] for name in names}, rate=[0.10, 0.0])
    policy = LedgerPolicy(discount_rate="segment")
    assert lgd(policy, loans=loans, segment_rates=rates) == changed(B=-0.10, D=0.582, F=0.989)


class TestDiscountRate:
    def test_at_zero_nothing_is_discounted(self):
        # A: 1 - .110 - .660; B: 1 - 1.1; C: 1 + .055 - .605; D: 1 + .022 - .44; E: 1 - .121; F: (5000 - 55) / 5000
        zero = LedgerPolicy(discount_rate=0.0)
        assert lgd(zero) == changed(A=0.23, B=-0.10, C=0.45, D=0.582, E=0.879, F=0.989)

    def test_the_facilitys_own_rate(self):
        assert lgd(LedgerPolicy(discount_rate="eir")) == changed()

    def test_the_add_on_is_added_to_any_base(self):
        assert lgd(LedgerPolicy(discount_rate=0.04, discount_add_on=0.06)) == changed()
        assert lgd(LedgerPolicy(discount_rate="eir", discount_add_on=0.0)) == changed()

    def test_the_floor_comes_after_the_add_on(self):
        # 0.02 + 0.05 = 0.07 is below the floor of 0.10; 0.08 + 0.02 = 0.10 is not below 0.09.
        assert lgd(LedgerPolicy(discount_rate=0.02, discount_add_on=0.05, discount_floor=0.10)) == changed()
        assert lgd(LedgerPolicy(discount_rate=0.08, discount_add_on=0.02, discount_floor=0.09)) == changed()

    def test_a_floor_makes_no_rate_of_one_that_is_not_known(self):
        loans = episodes_of(LOANS).assign(eir=[np.nan, *[0.1] * 5])
        policy = LedgerPolicy(discount_rate="eir", discount_floor=0.1)
        sheet = build_ledger(loans, FLOWS, reporting_date=TODAY, policy=policy).worksheet.to_pandas()
        assert sheet["lgd_to_date"].isna().tolist() == [True, *[False] * 5]

    def test_the_worksheet_tells_the_base_rate_and_the_rate_that_was_used(self):
        policy = LedgerPolicy(discount_rate=0.02, discount_add_on=0.05, discount_floor=0.09)
        sheet = built(policy).worksheet.to_pandas()
        assert sheet["base_rate"].unique().tolist() == [0.02]
        assert sheet["discount_rate"].unique().tolist() == [0.09]


class TestReferenceRate:
    POLICY = LedgerPolicy(discount_rate="reference", discount_add_on=0.05)

    def test_it_is_the_latest_quote_at_the_default_date_and_no_later_one(self):
        # 0.05 stood from 3 January; the quote of the day after default is not known on the day of default.
        quotes = table(date=["2021-12-31", "2022-01-03", "2022-02-01"], rate=[0.01, 0.05, 0.20])
        assert lgd(self.POLICY, reference_rates=quotes) == changed()

    def test_a_quote_of_the_default_date_itself_holds(self):
        quotes = table(date=["2022-01-31", "2022-01-30"], rate=[0.05, 0.20])
        assert lgd(self.POLICY, reference_rates=quotes) == changed()

    def test_each_episode_has_the_rate_of_its_own_default_date(self):
        loans = episodes_of(LOANS)
        loans["default_date"] = pd.to_datetime(["2022-01-31", "2022-01-10", "2022-01-09", *["2022-01-31"] * 3])
        quotes = table(date=["2022-01-01", "2022-01-10", "2022-01-31"], rate=[0.01, 0.02, 0.03])
        tables = build_ledger(loans, FLOWS, reporting_date=TODAY, policy=self.POLICY, reference_rates=quotes)
        rates = tables.worksheet.to_pandas()["discount_rate"].tolist()
        assert rates == pytest.approx([0.08, 0.07, 0.06, 0.08, 0.08, 0.08])

    def test_a_quote_that_is_too_old_is_no_rate(self):
        # 31 December to 31 January are 31 days.
        quotes = table(date=["2021-12-31"], rate=[0.05])
        assert lgd(self.POLICY, reference_rates=quotes) == changed()
        policy = LedgerPolicy(discount_rate="reference", reference_rate_maximum_age_days=30)
        with pytest.raises(ContractError, match=r"at most 30 days before each default date: 6 rows, first A#1; B#1"):
            built(policy, reference_rates=quotes)

    def test_without_the_table_the_policy_is_refused(self):
        with pytest.raises(ContractError, match="reference_rates: the policy discounts by it"):
            built(LedgerPolicy.named("eba"))

    def test_all_that_is_wrong_with_the_table_is_told_at_once(self):
        quotes = table(date=["2022-01-03", "2022-01-03", None], rate=[5.0, 0.02, None])
        with pytest.raises(ContractError) as error:
            built(self.POLICY, reference_rates=quotes)
        message = str(error.value)
        assert "date must be a date: 1 row" in message
        assert "rate must be an annual decimal between -1 and 1 (0.05): 2 rows, first 2022-01-03" in message
        assert "date must not be repeated: 1 row" in message
        with pytest.raises(ContractError, match="needs the columns rate; it has date"):
            built(self.POLICY, reference_rates=quotes[["date"]])
        with pytest.raises(ContractError, match="reference_rates: the table is empty"):
            built(self.POLICY, reference_rates=quotes.iloc[:0])


class TestSegmentRate:
    POLICY = LedgerPolicy(discount_rate="segment")

    def test_each_segment_has_its_own_rate(self):
        # Mortgages A, C, E at 10 % as above, cards B, D, F at 0 %.
        rates = table(product=["mortgage", "card"], rate=[0.10, 0.0])
        assert lgd(self.POLICY, segment_rates=rates) == changed(B=-0.10, D=0.582, F=0.989)

    def test_it_is_told_apart_by_as_many_columns_as_the_table_has(self):
        rates = table(product=["mortgage", "card", "card"], outcome=["cured", "sold", "cured"], rate=[0.10, 0.0, 0.3])
        rule = "needs a rate for every product and outcome that the episodes have: 4 rows, first B#1; C#1; E#1; F#1"
        with pytest.raises(ContractError, match=rule):
            built(self.POLICY, segment_rates=rates)

    def test_a_table_without_a_segment_or_with_an_unknown_one_is_refused(self):
        with pytest.raises(ContractError, match="needs a column of the episodes that tells segments apart"):
            built(self.POLICY, segment_rates=table(rate=[0.1]))
        with pytest.raises(ValueError, match=r"segment_rates names \['channel'\]"):
            built(self.POLICY, segment_rates=table(channel=["web"], rate=[0.1]))


class TestIndirectCosts:
    def test_they_count_or_are_left_out_and_counted(self):
        policy = LedgerPolicy(discount_rate=0.10, include_indirect_costs=False)
        assert lgd(policy) == changed(D=0.60)
        assert left_out(policy) == [["cash_flows", "indirect costs are left out by the policy", 1, 22.0]]

    def test_a_total_is_spread_in_equal_shares(self):
        # 660 over six loans: 110 each, 100 at the default date: .10 of 1,000 and .02 of 5,000.
        policy = LedgerPolicy(discount_rate=0.10, indirect_cost_allocation="episode")
        spread = lgd(policy, indirect_costs=table(cash_flow_date=[ONE_YEAR], amount=[660.0]))
        assert spread == changed(A=0.40, B=0.10, C=0.65, D=0.72, E=1.00, F=1.01)

    def test_a_total_is_spread_by_exposure(self):
        # 1,100 over 10,000 of exposure: 110 on each 1,000 and 550 on 5,000; 100 and 500 at the default date.
        policy = LedgerPolicy(discount_rate=0.10, indirect_cost_allocation="ead")
        spread = lgd(policy, indirect_costs=table(cash_flow_date=[ONE_YEAR], amount=[1100.0]))
        assert spread == changed(A=0.40, B=0.10, C=0.65, D=0.72, E=1.00, F=1.09)

    def test_only_episodes_in_default_on_the_date_bear_it(self):
        # A day after the year only C and F are in default still: 4,400 / 6,000 x 1,000 and x 5,000, undiscounted.
        policy = LedgerPolicy(discount_rate=0.0, indirect_cost_allocation="ead")
        spread = lgd(policy, indirect_costs=table(cash_flow_date=["2023-02-01"], amount=[4400.0]))
        plain = lgd(LedgerPolicy(discount_rate=0.0))
        share = 4400 / 6000
        expected = plain | {"C": plain["C"] + share, "F": plain["F"] + share}
        assert spread == pytest.approx(expected, abs=ROUNDING)

    def test_the_banks_own_allocation_is_taken_as_it_stands(self):
        policy = LedgerPolicy(discount_rate=0.10, indirect_cost_allocation="table")
        costs = table(facility_id=["C", "Z"], cash_flow_date=[ONE_YEAR] * 2, amount=[11.0, 7.0])
        assert lgd(policy, indirect_costs=costs) == changed(C=0.56)
        reason = "facility has no default episode"
        assert left_out(policy, indirect_costs=costs) == [["indirect_costs", reason, 1, 7.0]]

    def test_what_is_not_spread_is_counted_under_its_reason(self):
        costs = table(cash_flow_date=["2024-02-29", "2022-01-30", ONE_YEAR], amount=[5.0, 7.0, 60.0])
        spread = LedgerPolicy(discount_rate=0.10, indirect_cost_allocation="episode")
        assert left_out(spread, indirect_costs=costs) == [
            ["indirect_costs", "after the reporting date", 1, 5.0],
            ["indirect_costs", "no episode was in default on the date", 1, 7.0],
        ]
        reason = "totals of indirect costs are not allocated by the policy"
        assert left_out(indirect_costs=costs) == [["indirect_costs", reason, 3, 72.0]]

    def test_shares_that_a_further_rule_leaves_out_are_counted_too(self):
        policy = LedgerPolicy(indirect_cost_allocation="episode", include_indirect_costs=False)
        rows = left_out(policy, indirect_costs=table(cash_flow_date=[ONE_YEAR], amount=[60.0]))
        reason = "indirect costs are left out by the policy"
        assert rows == [["cash_flows", reason, 1, 22.0], ["indirect_costs", reason, 6, 60.0]]

    @pytest.mark.parametrize("rule", ["ead", "episode", "table"])
    def test_no_total_changes_nothing(self, rule):
        nothing = table(facility_id=[], cash_flow_date=[], amount=[])
        policy = LedgerPolicy(discount_rate=0.10, indirect_cost_allocation=rule)
        assert lgd(policy, indirect_costs=nothing) == changed()

    def test_a_policy_that_spreads_needs_totals_and_a_table_that_keeps_the_rules(self):
        policy = LedgerPolicy(indirect_cost_allocation="ead")
        with pytest.raises(ContractError, match="the policy allocates indirect costs by 'ead'; give their table"):
            built(policy)
        with pytest.raises(ContractError, match="amount must be an amount of zero or more: 1 row, first 2023-01-31"):
            built(policy, indirect_costs=table(cash_flow_date=[ONE_YEAR], amount=[-1.0]))


class TestDrawings:
    def test_they_raise_the_loss_only_or_what_it_is_divided_by_too(self):
        # F: (5000 + 250 - 300) / 5000 = .99; / 5250 = .942857...
        assert lgd(LedgerPolicy(discount_rate=0.10, drawings="numerator")) == changed()
        assert lgd(LedgerPolicy(discount_rate=0.10, drawings="both")) == changed(F=4950 / 5250)


class TestCashFlowAtCure:
    ARREARS = table(episode_id=["A#1"], arrears_amount=[220.0])
    UK = LedgerPolicy(discount_rate=0.10, cure_discounting="arrears")

    def test_none_at_all(self):
        # A: 1 - 110 / 1.1 / 1000
        assert lgd(LedgerPolicy(discount_rate=0.10, cure_cash_flow=False)) == changed(A=0.90)

    def test_only_its_arrears_part_is_discounted_in_the_uk(self):
        # 660 = 220 in arrears and 440 not: 220 / 1.1 + 440 = 640; A: 1 - .1 - .64 = .26
        assert lgd(self.UK, arrears=self.ARREARS) == changed(A=0.26)
        ledger = built(self.UK, arrears=self.ARREARS).ledger.to_pandas()
        rows = ledger.loc[ledger["kind"] == "cure", ["amount", "discount_factor"]].to_numpy().tolist()
        assert sorted(rows) == [pytest.approx([220.0, 1 / 1.1]), [440.0, 1.0]]

    def test_without_arrears_it_counts_in_full_and_all_in_arrears_is_the_other_variant(self):
        nothing = table(episode_id=["A#1"], arrears_amount=[0.0])
        assert lgd(self.UK, arrears=nothing) == changed(A=0.24)
        assert lgd(self.UK, arrears=nothing.assign(arrears_amount=660.0)) == changed()

    def test_more_cannot_be_in_arrears_than_is_owed(self):
        assert lgd(self.UK, arrears=self.ARREARS.assign(arrears_amount=9000.0)) == changed()

    def test_a_cured_episode_without_arrears_in_the_table_is_refused(self):
        with pytest.raises(ContractError, match="arrears: needs every episode that was cured: 1 row, first A#1"):
            built(self.UK, arrears=self.ARREARS.assign(episode_id="B#1"))
        with pytest.raises(ContractError, match="give a table with the columns episode_id and arrears_amount"):
            built(self.UK)

    def test_a_book_without_a_cure_needs_no_arrears_in_the_table(self):
        plain = lgd(self.UK, loans=LOANS.drop(index=0), arrears=table(episode_id=[], arrears_amount=[]))
        assert plain == pytest.approx({loan: loss for loan, loss in BY_HAND.items() if loan != "A"}, abs=ROUNDING)

    def test_a_cure_after_the_maximum_recovery_period_is_counted_once_in_either_variant(self):
        early = self.ARREARS
        policy = LedgerPolicy(discount_rate=0.10, cure_discounting="arrears", maximum_recovery_months=11)
        cure = [row for row in left_out(policy, arrears=early) if row[0] == "episodes"]
        assert cure == [["episodes", "cure later than the maximum recovery period, no cash flow at cure", 1, 660.0]]


class TestAfterTheWriteOff:
    def test_recoveries_count_or_are_left_out_and_counted(self):
        policy = LedgerPolicy(discount_rate=0.10, include_post_write_off_recoveries=False)
        assert lgd(policy) == changed(E=1.00)
        assert left_out(policy) == [["cash_flows", "after a write-off, left out by the policy", 1, 121.0]]

    def test_what_came_on_the_day_itself_or_after_another_outcome_stays(self):
        policy = LedgerPolicy(discount_rate=0.10, include_post_write_off_recoveries=False)
        more = [("E", ONE_YEAR, 11.0, "repayment"), ("D", TWO_YEARS, 12.1, "sale")]
        assert lgd(policy, more=more) == changed(E=0.99, D=0.61)


class TestMaximumRecoveryPeriod:
    def test_what_comes_later_is_left_out_and_an_open_episode_is_closed(self):
        # Month 24 is beyond 12: C keeps its cost only, E loses its recovery, F counts as closed.
        policy = LedgerPolicy(discount_rate=0.10, maximum_recovery_months=12)
        assert lgd(policy) == changed(C=1.05, E=1.00)
        assert left_out(policy) == [["cash_flows", "later than the maximum recovery period", 2, 726.0]]
        assert built(policy).worksheet.to_pandas()["realised_lgd"].notna().all()
        assert built().worksheet.to_pandas()["realised_lgd"].isna().sum() == 1


class TestSalesAndCollateral:
    @pytest.mark.parametrize("kind", ["sale", "collateral", "guarantee", "repayment"])
    def test_their_proceeds_are_recoveries_on_the_day_they_are_paid(self, kind):
        # D: 440 after one year and 484 after two are both worth 400 at default.
        sale = FLOWS["kind"] == "sale"
        later = FLOWS.assign(
            cash_flow_date=FLOWS["cash_flow_date"].mask(sale, TWO_YEARS),
            amount=FLOWS["amount"].mask(sale, 484.0),
            kind=FLOWS["kind"].mask(sale, kind),
        )
        assert lgd(flows=later) == changed()


class TestPresets:
    QUOTES = table(date=["2022-01-03"], rate=[0.02])

    def test_eba(self):
        # 2 % + 5 % = 7 %: A: 1 - 770 / 1.07 / 1000; D: 1 - (440 - 22) / 1.07 / 1000; F: (5000 - 55 / 1.07) / 5000
        sheet = lgd(LedgerPolicy.named("eba"), reference_rates=self.QUOTES)
        assert sheet["A"] == pytest.approx(1 - 0.770 / 1.07, abs=ROUNDING)
        assert sheet["D"] == pytest.approx(1 - 0.418 / 1.07, abs=ROUNDING)
        assert sheet["F"] == pytest.approx(1 - 0.011 / 1.07, abs=ROUNDING)

    def test_uk(self):
        # 7 % is below the floor: 9 %. A: 1 - (110 + 220) / 1.09 / 1000 - 440 / 1000
        arrears = TestCashFlowAtCure.ARREARS
        sheet = lgd(LedgerPolicy.named("uk"), reference_rates=self.QUOTES, arrears=arrears)
        assert sheet["A"] == pytest.approx(1 - 0.330 / 1.09 - 0.440, abs=ROUNDING)
        assert sheet["E"] == pytest.approx(1 - 0.121 / 1.09**2, abs=ROUNDING)

    @pytest.mark.parametrize("name", ["ifrs9", "cecl"])
    def test_ifrs9_and_cecl(self, name):
        # Own rate of 10 %, no indirect costs.
        assert lgd(LedgerPolicy.named(name)) == changed(D=0.60)

    def test_us_economic(self):
        # The bank's rate of the segment, drawings in the exposure.
        rates = table(product=["mortgage", "card"], rate=[0.10, 0.10])
        assert lgd(LedgerPolicy.named("us_economic"), segment_rates=rates) == changed(F=4950 / 5250)


AMOUNTS = st.integers(0, 10**6).map(lambda cents: cents / 100)
DAYS = st.integers(0, 730)
KINDS = st.sampled_from([kind.value for kind in CashFlowKind])
DRAWN_FLOWS = st.lists(st.tuples(st.sampled_from("ABCDEF"), DAYS, AMOUNTS, KINDS), max_size=12)
POLICIES = st.builds(
    LedgerPolicy,
    discount_rate=st.sampled_from([0.0, 0.03, 0.1, "eir"]),
    discount_add_on=st.sampled_from([0.0, 0.05]),
    discount_floor=st.sampled_from([None, 0.09]),
    include_indirect_costs=st.booleans(),
    drawings=st.sampled_from(["numerator", "both"]),
    cure_cash_flow=st.booleans(),
    cure_discounting=st.sampled_from(["balance", "arrears"]),
    include_post_write_off_recoveries=st.booleans(),
    maximum_recovery_months=st.sampled_from([None, 6, 15]),
)


def flows_of(drawn, name="{}"):
    rows = [(name.format(f), DEFAULT + pd.Timedelta(days=day), amount, kind) for f, day, amount, kind in drawn]
    return pd.DataFrame(rows, columns=FLOWS.columns).astype(
        {"cash_flow_date": "datetime64[ns]", "amount": float, "facility_id": object, "kind": object}
    )


@settings(max_examples=10, deadline=None)
@given(drawn=DRAWN_FLOWS, policy=POLICIES, share=st.floats(0, 1), factor=st.sampled_from([1000.0, 0.25, 7.3]))
def test_what_must_not_change_a_rate_does_not(drawn, policy, share, factor):
    # Four copies of the six loans in one book: as drawn; with late fees and interest on top, which are owed but never
    # paid; every cash flow paid in two parts on the same day; and all money in another unit.
    fees = [(f, day, amount, "late_fee") for f, day, amount, _ in drawn]
    interest = [(f, day, amount, "interest") for f, day, amount, _ in drawn]
    parts = [(f, day, a * part, kind) for f, day, a, kind in drawn for part in (share, 1 - share)]
    scaled = [(f, day, amount * factor, kind) for f, day, amount, kind in drawn]
    money = {"ead": LOANS["ead"] * factor, "outcome_balance_amount": LOANS["outcome_balance_amount"] * factor}
    copies = {"{}": drawn, "{}f": [*drawn, *fees, *interest], "{}p": parts, "{}s": scaled}
    loans = [
        (LOANS.assign(**money) if name == "{}s" else LOANS).assign(facility_id=LOANS["facility_id"].map(name.format))
        for name in copies
    ]
    flows = pd.concat([flows_of(rows, name) for name, rows in copies.items()], ignore_index=True)
    arrears = table(episode_id=[name.format("A") + "#1" for name in copies], arrears_amount=[50.0, 50.0, 50.0, 50.0])
    arrears["arrears_amount"] *= [1, 1, 1, factor]
    tables = built(policy, loans=pd.concat(loans, ignore_index=True), flows=flows, arrears=arrears)
    sheet = tables.worksheet.to_pandas()
    rates = sheet.set_index("episode_id")["lgd_to_date"]
    plain = rates[[f"{loan}#1" for loan in "ABCDEF"]].to_numpy()
    # The kit rounds sums of money to a millionth; that of a loan of 250 is 4e-9 of it.
    for copy in ("f", "p", "s"):
        assert rates[[f"{loan}{copy}#1" for loan in "ABCDEF"]].to_numpy() == pytest.approx(plain, abs=1e-8)


@settings(max_examples=4, deadline=None)
@given(drawn=DRAWN_FLOWS, total=AMOUNTS, rule=st.sampled_from(["none", "ead", "episode"]), policy=POLICIES)
def test_every_amount_is_found_again_and_the_parts_add_up(drawn, total, rule, policy):
    policy = replace(policy, indirect_cost_allocation=rule)
    costs = table(cash_flow_date=[ONE_YEAR, "2030-01-31"], amount=[total, 1.0])
    arrears = TestCashFlowAtCure.ARREARS
    tables = built(policy, flows=flows_of(drawn), indirect_costs=costs, arrears=arrears)
    ledger, sheet = tables.ledger.to_pandas(), tables.worksheet.to_pandas()
    out = tables.exclusions.to_pandas()
    paid_in = sum(amount for _, _, amount, _ in drawn) + total + 1.0
    own = ledger.loc[ledger["kind"] != "cure", "amount"].sum() + out.loc[out["table"] != "episodes", "amount"].sum()
    assert round(100 * own) == round(100 * paid_in)
    lines = tables.lines.to_pandas()
    assert (lines["source"] == "cash_flows").sum() == len(drawn)
    assert (lines["reason"] == "").sum() == len(ledger)
    # Net = gross - costs - drawings, and present values add up to the loss.
    parts = sheet["gross_recovery_amount"] - sheet["cost_amount"] - sheet["drawing_amount"]
    assert sheet["net_recovery_amount"].to_numpy() == pytest.approx(parts.to_numpy(), abs=1e-5)
    value = ledger.groupby("episode_id")["present_value_amount"].sum().reindex(sheet["episode_id"], fill_value=0.0)
    loss = (sheet["ead"] - value.to_numpy()) / sheet["denominator_amount"]
    assert sheet["lgd_to_date"].to_numpy() == pytest.approx(loss.to_numpy(), abs=1e-8)


@settings(max_examples=3, deadline=None)
@given(drawn=DRAWN_FLOWS)
def test_at_zero_per_cent_the_present_value_is_the_plain_sum(drawn):
    tables = built(LedgerPolicy(discount_rate=0.0), flows=flows_of(drawn))
    ledger, sheet = tables.ledger.to_pandas(), tables.worksheet.to_pandas()
    assert (ledger["discount_factor"] == 1).all()
    assert sheet["present_value_amount"].tolist() == sheet["net_recovery_amount"].tolist()


@settings(max_examples=6, deadline=None)
@given(
    rate=st.floats(-0.5, 0.9),
    cents=st.integers(1, 10**8),
    cost=AMOUNTS,
    day=DAYS,
    kind=st.sampled_from(["repayment", "collateral", "guarantee", "sale"]),
)
def test_all_back_at_once_loses_nothing_and_nothing_back_loses_all_and_the_costs(rate, cents, cost, day, kind):
    # B gets all on the day of default; D gets nothing and costs something: 1 + cost x (1 + r)^-(days / 365) / EAD.
    loans = LOANS.assign(ead=cents / 100)
    sheet = lgd(
        LedgerPolicy(discount_rate=rate),
        loans=loans,
        flows=flows_of([("B", 0, cents / 100, kind), ("D", day, cost, "direct_cost")]),
    )
    whole = 1 + cost * (1 + rate) ** (-day / 365) / (cents / 100)
    assert sheet["B"] == pytest.approx(0, abs=ROUNDING)
    # Sums of money are rounded to a millionth, which is 1e-4 of a loan of one cent.
    assert sheet["D"] == pytest.approx(whole, abs=ROUNDING + 1e-6 / (cents / 100))
