"""The tables that a ledger policy needs, named in a data spec: by hand for each preset, in a run, and refused."""

import pandas as pd
import pytest

from recoverykit.data.mapping import read_spec
from recoverykit.errors import ContractError, SpecError
from recoverykit.portfolio.opening import open_book
from recoverykit.portfolio.workout import audit_worksheet, discount_policy, prepare_book, workout

EXACT = 1e-7  # the worksheet keeps six decimals of amounts, here on an exposure of 100

# Three loans of 100, each in default on 31 January 2023, as of 30 June 2024:
#   A, mortgage: 60 is paid after exactly a year, when it is liquidated
#   B, card: nothing comes, written off after a year
#   C, mortgage: cured after exactly a year with a balance of 90, of which 20 was overdue
FACILITIES = """facility_id,obligor_id,product,region,collateral_kind,collateral_value_amount,eir,origination_date
A,a,mortgage,west,none,,0.08,2020-01-31
B,b,card,west,none,,0.20,2020-01-31
C,c,mortgage,west,none,,0.08,2020-01-31
"""
EPISODES = """facility_id,default_date,ead,outcome,outcome_date,outcome_balance_amount,outstanding
A,2023-01-31,100,liquidated,2024-01-31,,
B,2023-01-31,100,written_off,2024-01-31,,
C,2023-01-31,100,cured,2024-01-31,90,
"""
CASH_FLOWS = """facility_id,cash_flow_date,amount,kind
A,2024-01-31,60,collateral
C,2024-06-30,1,repayment
"""
SPEC = """version: 1
name: hand
currency: USD
reporting_date: 2024-06-30
tables:
  facilities: {source: {csv: facilities.csv}}
  episodes: {source: {csv: episodes.csv}}
  cash_flows: {source: {csv: cash_flows.csv}}
"""
# 3 % quoted on 15 January 2023 holds on 31 January; the later quote does not count for these defaults
REFERENCE = """
  reference_rates:
    source: {rows: [{date: 2022-12-15, rate: 0.9}, {date: 2023-01-15, rate: 3}, {date: 2024-01-15, rate: 4}]}
    percent: [rate]
"""
SEGMENT = """
  segment_rates: {source: {rows: [{product: mortgage, rate: 0.10}, {product: card, rate: 0.25}]}}
"""
ARREARS = """
  cure_arrears: {source: {csv: arrears.csv}, columns: {arrears_amount: OVERDUE}}
"""
INDIRECT = """
  indirect_costs: {source: {rows: [{cash_flow_date: 2024-01-31, amount: 6}]}}
"""


@pytest.fixture
def spec(tmp_path):
    def write(more="", arrears="facility_id,outcome_date,OVERDUE\nC,2024-01-31,20\n"):
        files = {"facilities": FACILITIES, "episodes": EPISODES, "cash_flows": CASH_FLOWS, "arrears": arrears}
        for name, text in files.items():
            (tmp_path / f"{name}.csv").write_text(text)
        (tmp_path / "spec.yml").write_text(SPEC + more)
        return tmp_path / "spec.yml"

    return write


def lgd_of(path, discount):
    book = open_book(path)
    return workout(book, discount_policy(discount)).worksheet.set_index("episode_id")["realised_lgd"]


class TestByHand:
    def test_eba_discounts_at_the_quote_of_the_default_date_and_five_points(self, spec):
        lgd = lgd_of(spec(REFERENCE), "eba")
        # 3 % + 5 % = 8 %: A loses 1 - 0.60 / 1.08, C 1 - 0.90 / 1.08
        expected = {"A#1": 1 - 0.60 / 1.08, "B#1": 1.0, "C#1": 1 - 0.90 / 1.08}
        assert lgd.to_dict() == pytest.approx(expected, abs=EXACT)

    def test_uk_floors_the_rate_at_nine_per_cent_and_discounts_the_arrears_of_a_cure_only(self, spec):
        lgd = lgd_of(spec(REFERENCE + ARREARS), "uk")
        expected = {"A#1": 1 - 0.60 / 1.09, "B#1": 1.0, "C#1": 1 - 0.70 - 0.20 / 1.09}
        assert lgd.to_dict() == pytest.approx(expected, abs=EXACT)

    def test_us_economic_discounts_at_the_rate_of_the_segment(self, spec):
        lgd = lgd_of(spec(SEGMENT), "us_economic")
        expected = {"A#1": 1 - 0.60 / 1.10, "B#1": 1.0, "C#1": 1 - 0.90 / 1.10}
        assert lgd.to_dict() == pytest.approx(expected, abs=EXACT)

    def test_ifrs9_and_cecl_discount_at_the_loans_own_rate_and_need_no_table(self, spec):
        for preset in ("ifrs9", "cecl"):
            assert lgd_of(spec(), preset)["A#1"] == pytest.approx(1 - 0.60 / 1.08, abs=EXACT)

    def test_totals_of_indirect_costs_are_spread_as_the_rule_says_and_counted_where_it_does_not(self, spec):
        path = spec(REFERENCE + INDIRECT)
        # 6 over three episodes in default on the day: 2 each, discounted for a year at 8 %
        spread = lgd_of(path, "eba: indirect_cost_allocation=episode")
        assert spread["A#1"] == pytest.approx(1 - (0.60 - 0.02) / 1.08, abs=EXACT)
        left = workout(open_book(path), discount_policy("eba")).exclusions
        row = left[left["table"] == "indirect_costs"].iloc[0]
        assert (row["n_rows"], row["amount"]) == (1, 6.0)

    def test_arrears_of_no_cured_episode_are_counted(self, spec):
        path = spec(REFERENCE + ARREARS)
        policy = discount_policy("uk")
        assert "cure_arrears" not in set(workout(open_book(path), policy).exclusions["table"])
        arrears = path.with_name("arrears.csv")
        facility, _, overdue = arrears.read_text().splitlines()[1].split(",")
        arrears.write_text(arrears.read_text().rstrip() + f"\nA,2023-05-31,7\n{facility},2023-05-31,{overdue}\n")
        left = workout(open_book(path), policy).exclusions.set_index("table").loc["cure_arrears"]
        assert (left["n_rows"], left["amount"]) == (2, 7.0 + float(overdue))
        assert lgd_of(path, "uk")["A#1"] == pytest.approx(1 - 0.60 / 1.09, abs=EXACT)

    def test_fields_are_overridden_after_the_colon(self, spec):
        lgd = lgd_of(spec(REFERENCE), "eba: maximum_recovery_months=6, cure_cash_flow=false")
        assert lgd.tolist() == pytest.approx([1.0, 1.0, 1.0], abs=EXACT)

    def test_an_auditor_recomputes_an_episode_from_the_same_tables(self, spec):
        sheet = audit_worksheet(open_book(spec(REFERENCE)), ["A#1"], policy=discount_policy("eba"))
        lines = sheet.lines if hasattr(sheet, "lines") else sheet.cash_flows
        assert len(lines) == 1


class TestThroughARun:
    def test_a_prepared_book_keeps_the_tables_and_gives_the_same_worksheet(self, spec, tmp_path):
        path = spec(REFERENCE + ARREARS + SEGMENT + INDIRECT)
        rules = ("eba", "eba: maximum_recovery_months=6")  # two policies of one preset are kept apart
        prepare_book(open_book(path), tmp_path / "prepared", discounts=rules)
        prepared, fresh = open_book(tmp_path / "prepared"), open_book(path)
        assert set(prepared.ledger_tables) == {"reference_rates", "segment_rates", "cure_arrears", "indirect_costs"}
        for rule in (*rules, "uk"):  # the last was not prepared, and is computed
            policy = discount_policy(rule)
            pd.testing.assert_frame_equal(workout(prepared, policy).worksheet, workout(fresh, policy).worksheet)

    def test_a_book_prepared_again_without_tables_leaves_none_behind(self, spec, tmp_path):
        prepare_book(open_book(spec(REFERENCE)), tmp_path / "prepared", discounts=())
        assert (tmp_path / "prepared" / "ledger_tables" / "reference_rates.parquet").is_file()
        prepare_book(open_book(spec()), tmp_path / "prepared", discounts=())
        assert not (tmp_path / "prepared" / "ledger_tables").exists()
        assert open_book(tmp_path / "prepared").ledger_tables == {}

    def test_a_segment_and_a_frozen_book_have_the_same_rates(self, spec):
        path = spec(REFERENCE)
        segment = open_book(path, segment="mortgage")
        assert workout(segment, discount_policy("eba")).worksheet["discount_rate"].tolist() == pytest.approx([0.08] * 2)
        frozen = open_book(path, reporting_date="2024-02-29", freeze=True)
        assert workout(frozen, discount_policy("eba")).worksheet["discount_rate"].tolist() == pytest.approx([0.08] * 3)


class TestRefusals:
    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            ("eba", "reference_rates.*the policy discounts by it; give a table with the columns date and rate"),
            ("us_economic", "segment_rates.*the policy discounts by it"),
            ("uk: discount_rate=0.05", "arrears.*the policy discounts the arrears part of a cure"),
            ("eba: discount_rate=0.05, indirect_cost_allocation=ead", "indirect_costs.*give their table"),
        ],
    )
    def test_a_rule_without_its_table_says_which_is_missing(self, spec, rule, message):
        with pytest.raises(ContractError, match=message):
            lgd_of(spec(), rule)

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (
                "\n  segment_rates: {source: {rows: [{product: card, rate: 0.1}, {product: card, rate: 0.2}]}}\n",
                "each product may stand once",
            ),
            ("\n  segment_rates: {source: {rows: [{rate: 0.1}]}}\n", "needs a segment column, such as product"),
            ("\n  segment_rates: {source: {rows: [{product: card, rate: 10}]}}\n", "rate must be an annual decimal"),
            (
                "\n  reference_rates: {source: {rows: [{date: 2023-01-15, rate: 0.1}, {date: 2023-01-15, rate: 0.2}]}}",
                "each date may stand once",
            ),
            (
                "\n  cure_arrears: {source: {rows: [{facility_id: Z, outcome_date: 2024-01-31, arrears_amount: 1}]}}\n",
                "facility_id must stand in facilities",
            ),
            (
                "\n  segment_rates: {source: {rows: [{product: card, rate: 0.1}, {region: west, rate: 0.2}]}}\n",
                "row 2 and row 1 must have the same columns",
            ),
        ],
    )
    def test_a_broken_table_is_told_when_it_is_loaded(self, spec, more, message):
        with pytest.raises(ContractError, match=message):
            open_book(spec(more))

    def test_a_segment_or_a_date_without_a_rate_is_told_with_its_episodes(self, spec):
        with pytest.raises(ContractError, match=r"needs a rate for every product.*B#1"):
            lgd_of(spec("\n  segment_rates: {source: {rows: [{product: mortgage, rate: 0.1}]}}\n"), "us_economic")
        with pytest.raises(ContractError, match="needs a quote at most 31 days before each default date"):
            lgd_of(spec("\n  reference_rates: {source: {rows: [{date: 2022-11-15, rate: 0.1}]}}\n"), "eba")

    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            ("eba: no_such_field=1", "a policy has no no_such_field"),
            ("eba: drawings=never", "drawings is 'never'; choose 'numerator' or 'both'"),
            ("basel", "allowed are 'eir' and an annual rate written as a share, such as '0.05', or a preset: eba, uk"),
            ("eba: maximum_recovery_months=none, realised_lgd_floor=low", "realised_lgd_floor is 'low'"),
        ],
    )
    def test_a_rule_that_is_none_is_refused_in_words(self, rule, message):
        with pytest.raises(SpecError, match=message):
            discount_policy(rule)

    def test_rows_without_a_row_are_refused_with_their_line(self, spec):
        with pytest.raises(SpecError, match="line 9"):
            read_spec(spec("  segment_rates: {source: {rows: []}}\n"))
