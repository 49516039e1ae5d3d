"""Policies as values: every preset's choice beside its source, overrides, and a name that cannot lie."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from recoverykit.episodes.policy import PRESET_SOURCES, PRESETS, LedgerPolicy

EBA = "EBA/GL/2017/16"
UK = "PRA SS4/24, chapters 13 and 14"
IFRS = "IFRS 9 stage 3, original EIR"
ASC = "ASC 326, discounted cash flows at the EIR"
US = "US advanced approaches, economic loss"
OURS = "no rule of the regulator: the kit's choice, the bank's to override"

#: preset, field, value, where the value comes from. Whatever is not here is the default of the kit.
CHOICES = [
    ("eba", "discount_rate", "reference", EBA),  # interbank rate at the default date
    ("eba", "discount_add_on", 0.05, EBA),  # plus five percentage points
    ("eba", "discount_floor", None, EBA),
    ("eba", "include_indirect_costs", True, EBA),
    ("eba", "drawings", "numerator", EBA),
    ("eba", "cure_cash_flow", True, EBA),
    ("eba", "cure_discounting", "balance", EBA),
    ("eba", "include_post_write_off_recoveries", True, EBA),
    ("eba", "realised_lgd_floor", 0.0, EBA),
    ("uk", "discount_rate", "reference", UK),
    ("uk", "discount_add_on", 0.05, UK),
    ("uk", "discount_floor", 0.09, UK),  # downturn and in-default
    ("uk", "include_indirect_costs", True, UK),
    ("uk", "cure_cash_flow", True, UK),
    ("uk", "cure_discounting", "arrears", UK),
    ("uk", "realised_lgd_floor", 0.0, UK),
    ("ifrs9", "discount_rate", "eir", IFRS),
    ("ifrs9", "discount_add_on", 0.0, IFRS),
    ("ifrs9", "discount_floor", None, IFRS),
    ("ifrs9", "include_indirect_costs", False, IFRS),
    ("ifrs9", "realised_lgd_floor", None, IFRS),
    ("cecl", "discount_rate", "eir", ASC),
    ("cecl", "discount_add_on", 0.0, ASC),
    ("cecl", "discount_floor", None, ASC),
    ("cecl", "include_indirect_costs", False, ASC),
    ("cecl", "realised_lgd_floor", None, ASC),
    ("us_economic", "discount_rate", "segment", US),  # a rate that suits the risk of the exposure
    ("us_economic", "include_indirect_costs", True, US),
    ("us_economic", "drawings", "both", US),
    ("us_economic", "realised_lgd_floor", None, US),  # its floor is one of the estimate
    *[(preset, "maximum_recovery_months", None, OURS) for preset in PRESETS],
    *[(preset, "indirect_cost_allocation", "none", OURS) for preset in PRESETS],
    *[(preset, "reference_rate_maximum_age_days", 31, OURS) for preset in PRESETS],
]
RULES = [rule.name for rule in fields(LedgerPolicy) if rule.name != "based_on"]


@pytest.mark.parametrize(("preset", "rule", "value", "source"), CHOICES)
def test_a_preset_chooses_what_its_source_says(preset, rule, value, source):
    assert getattr(LedgerPolicy.named(preset), rule) == value, source


@pytest.mark.parametrize("preset", PRESETS)
def test_what_the_table_above_does_not_pin_is_the_kits_default(preset):
    pinned = {rule for name, rule, *_ in CHOICES if name == preset}
    left = {rule: getattr(PRESETS[preset], rule) for rule in RULES if rule not in pinned}
    assert left == {rule: getattr(LedgerPolicy(), rule) for rule in left}


def test_every_preset_names_its_document():
    documents = {"eba": "EBA/GL/2017/16", "uk": "SS4/24", "ifrs9": "IFRS 9", "cecl": "ASC 326", "us_economic": "US"}
    assert list(PRESET_SOURCES) == list(PRESETS) == list(documents)
    assert all(documents[name] in source for name, source in PRESET_SOURCES.items())


def test_the_defaults_are_the_rules_of_the_kit_before_there_were_presets():
    # Own EIR, all costs that are booked, drawings in the loss only, a cure as its whole balance, no time limit.
    policy = LedgerPolicy()
    assert (policy.discount_rate, policy.discount_add_on, policy.discount_floor) == ("eir", 0.0, None)
    assert (policy.include_indirect_costs, policy.indirect_cost_allocation) == (True, "none")
    assert (policy.drawings, policy.cure_cash_flow, policy.cure_discounting) == ("numerator", True, "balance")
    assert (policy.include_post_write_off_recoveries, policy.maximum_recovery_months) == (True, None)


class TestOverrides:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_every_field_of_a_preset_can_be_overridden(self, preset):
        other = {
            "discount_rate": 0.03,
            "discount_add_on": 0.01,
            "discount_floor": 0.02,
            "reference_rate_maximum_age_days": 7,
            "include_indirect_costs": not PRESETS[preset].include_indirect_costs,
            "indirect_cost_allocation": "ead",
            "drawings": "numerator" if PRESETS[preset].drawings == "both" else "both",
            "cure_cash_flow": False,
            "cure_discounting": "balance" if preset == "uk" else "arrears",
            "include_post_write_off_recoveries": False,
            "maximum_recovery_months": 84,
            "realised_lgd_floor": 0.05,
        }
        assert list(other) == RULES
        policy = LedgerPolicy.named(preset, **other)
        assert {rule: getattr(policy, rule) for rule in RULES} == other

    def test_a_preset_itself_stays_as_it_is(self):
        LedgerPolicy.named("eba", discount_add_on=0.01)
        assert PRESETS["eba"].discount_add_on == 0.05
        with pytest.raises(FrozenInstanceError):
            PRESETS["eba"].discount_add_on = 0.01
        with pytest.raises(TypeError):
            PRESETS["eba"] = LedgerPolicy()

    def test_an_unknown_preset_or_field_is_refused_with_what_there_is(self):
        with pytest.raises(ValueError, match="no preset 'basel'; choose 'eba', 'uk', 'ifrs9', 'cecl', 'us_economic'"):
            LedgerPolicy.named("basel")
        with pytest.raises(ValueError, match="a policy has no discount, floor; its fields are discount_rate"):
            LedgerPolicy.named("eba", floor=0.1, discount=0.1)


class TestName:
    def test_it_says_what_differs_from_the_preset(self):
        assert LedgerPolicy.named("eba").name == "eba"
        changed = LedgerPolicy.named("uk", discount_floor=None, maximum_recovery_months=60)
        assert changed.name == "uk with discount_floor None, maximum_recovery_months 60"

    def test_it_stays_true_however_the_policy_was_changed(self):
        assert replace(PRESETS["eba"], drawings="both").name == "eba with drawings both"
        assert replace(LedgerPolicy.named("eba", drawings="both"), drawings="numerator").name == "eba"

    def test_a_policy_without_preset_is_the_banks_own(self):
        assert LedgerPolicy().name == "own"
        assert LedgerPolicy(discount_rate=0.07).name == "own with discount_rate 0.07"

    def test_policies_with_the_same_rules_are_equal_whatever_they_are_called(self):
        assert LedgerPolicy.named("ifrs9") == LedgerPolicy(include_indirect_costs=False, realised_lgd_floor=None)
        assert LedgerPolicy.named("eba") != LedgerPolicy.named("uk")


def test_the_record_holds_every_rule_once_with_its_value():
    record = LedgerPolicy.named("uk").to_frame()
    assert record["rule"].tolist() == RULES
    assert record.set_index("rule")["value"].to_dict() == {rule: getattr(PRESETS["uk"], rule) for rule in RULES}
    assert record["meaning"].str.len().gt(0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discount_rate": "EIR"}, "discount_rate is 'EIR'; give 'eir', 'reference', 'segment' or an annual decimal"),
        ({"discount_rate": 5.0}, "discount_rate is 5.0"),
        ({"discount_rate": -1.0}, "discount_rate is -1.0"),
        ({"discount_add_on": 5}, "discount_add_on is 5; give a decimal from 0 to below 1"),
        ({"discount_add_on": -0.01}, "discount_add_on is -0.01"),
        ({"discount_floor": 9}, "discount_floor is 9"),
        ({"discount_floor": float("nan")}, "discount_floor is nan"),
        ({"reference_rate_maximum_age_days": -1}, "reference_rate_maximum_age_days is -1"),
        ({"include_indirect_costs": "none"}, "include_indirect_costs is 'none'; give True or False"),
        ({"cure_cash_flow": 1}, "cure_cash_flow is 1; give True or False"),
        ({"include_post_write_off_recoveries": None}, "include_post_write_off_recoveries is None"),
        ({"indirect_cost_allocation": "EAD"}, "choose 'none' or 'ead' or 'episode' or 'table'"),
        ({"cure_discounting": "half"}, "choose 'balance' or 'arrears'"),
        ({"maximum_recovery_months": 1.5}, "maximum_recovery_months is 1.5"),
        ({"realised_lgd_floor": float("inf")}, "realised_lgd_floor is inf"),
        ({"based_on": "basel"}, "based_on is 'basel'"),
    ],
)
def test_a_choice_out_of_range_is_refused_with_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        LedgerPolicy(**options)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ValueError, match=r"discount_rate is 5.*drawings is 'none'.*maximum_recovery_months is 0"):
        LedgerPolicy(discount_rate=5, drawings="none", maximum_recovery_months=0)
