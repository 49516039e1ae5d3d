"""Columns about people: told by their names and by their contents, and innocent names left alone."""

import pyarrow as arrow
import pytest

from recoverykit.data import contracts, refusals
from recoverykit.errors import RefusedColumnError

NAMES = {
    "A": "children_count childName school_class spouse_phone spousePhone spousephone mother_workplace next_of_kin "
    "emergency_contact_phone relatives address_book call_log parents_phone vacation_days travel_plan gps_lat latitude "
    "license_plate wechat_id facebookUrl social_media_score fingerprint_hash voice_emotion_score deception_score "
    "health_status pregnancy disability_flag is_disabled religion religiousAffiliation ethnicity race applicant_race "
    "political_party trade_union_member sexual_orientation nationality sms_content password otp PIN shame_flag "
    "pressure_level 微信号 子女学校 配偶电话 健康状况 宗教 民族 车牌号 人脸 通讯录 密码 親屬電話 政治面貌 施压",
    "B": "sex gender Gender age Age ageYears CustomerAge customer_age borrower_age_at_default age_bucket dob "
    "date_of_birth birthdate marital_status married n_dependents dependants education_level language languageCode "
    "zip_code zip zip5 postcode postal_code public_assistance welfare_flag surname_origin 性别 年龄 出生日期 婚姻状况 "
    "学历 语言 邮编 低保",
    "C": "recoveries recovery_amount total_recovered collection_recovery_fee collection_fee settlement_status "
    "settlement_amount hardship_flag last_payment_date last_pymnt_d write_off_flag charge_off_date chargedOff "
    "resolution_time res_time lgd_time months_in_default outcome 回收金额 核销日期",
    "D": "ssn SSN ssn_hash sin_number tax_id national_id passport_no drivers_license phone phone2 Phone1 homePhone "
    "mobile cell_phone telephone téléphone tel email e_mail emailAddress customerEmail address homeAddress street "
    "account_number accountno IBAN card_number name last_name borrowerName 身份证号 身份證 手机 手機號碼 住址 邮箱 "
    "银行卡号 借款人姓名 agent_name collectorName officer_name 催收员",
}
INNOCENT = (
    "product agency_fee race_to_default manager page mortgage average_balance sussex months_on_book_age loan_age "
    "account_age age_of_debt age_of_loan vehicle_age property_age single_family parent_company payment_holiday "
    "credit_union mobile_home exposure_class asset_class asset_class_name product_name branch_name LOAN_NO account_id "
    "student_loan education_loan region state state_orig_time FICO_orig_time REtype_CO_orig_time channel ltv_ratio "
    "credit_score unemployment_rate house_price_index consumer_sentiment_index business_name person_type usage storage "
    "coverage package stage advantage zip3 n_phone_calls emails_sent promotion denomination vintage engagement_score "
    "agent_hash agent_code collector_type message_variant sms_sent court unit 收款日期 账龄 产品 地区"
)


@pytest.mark.parametrize(
    ("name", "refusal_class"), [(name, key) for key, names in NAMES.items() for name in names.split()]
)
def test_a_refused_name_is_told_with_its_class(name, refusal_class):
    rule = refusals.matching_rule(name)
    assert rule is not None
    assert rule.refusal_class == refusal_class


@pytest.mark.parametrize("name", INNOCENT.split())
def test_an_innocent_name_is_left_alone(name):
    assert refusals.matching_rule(name) is None


def test_no_column_of_the_contract_is_refused_in_a_table():
    names = [(table.name, column) for table in contracts.TABLES.values() for column in table.column_names]
    assert [refusal for table, name in names for refusal in refusals.refuse_names(table, [name])] == []


@pytest.mark.parametrize(
    "values",
    [
        ["ann.lee@bank.example"],
        ["paid by ann.lee@bank.example on Monday", "nothing"],
        ["123-45-6789"],
        ["046-454-286"],  # the Canadian test number, its Luhn sum is 50
        ["046454286", "123456782", "130692544", "193456787", "000000018"],
        ["11010519491231002X"],  # the example of GB 11643-1999
        ["(416) 555-0123"],
        ["call 212-555-0199 after six"],
        ["+86 138 1234 5678"],
        ["+442071838750"],
        ["13812345678", "13912345678", "15012345678"],
        ["010-12345678"],
    ],
)
def test_contents_that_name_a_person_are_refused_whatever_the_column_is_called(values):
    found = refusals.refuse_contents("facilities", {"note": arrow.chunked_array([values])})
    assert [refusal.refusal_class for refusal in found] == ["D"]
    assert not [value for value in values if value in str(found[0])]


@pytest.mark.parametrize(
    "values",
    [
        ["F000001", "F000002"],
        ["2024-01-31", "01/02/2026", "20260930"],
        ["1234.50", "-17.00", "1,234,567.00"],
        ["900000001", "900000002", "900000003", "900000004", "900000005", "900000006"],  # nine digits that count up
        ["046-454-287"],  # the Luhn sum is 51
        ["110105194912310021"],  # the check character of the resident id is wrong
        ["3000000001", "3000000002", "3000000003"],
        ["666-45-6789", "000-45-6789"],  # areas that were never given out
        ["west", None],
        [],
    ],
)
def test_plain_ids_dates_and_amounts_are_let_in(values):
    column = arrow.chunked_array([arrow.array(values, type=arrow.string())])
    assert refusals.refuse_contents("facilities", {"facility_id": column}) == []


def test_whole_numbers_are_looked_at_too_because_phones_are_stored_as_numbers():
    phones = arrow.chunked_array([[13_812_345_678, 13_912_345_678, 15_012_345_678]])
    assert len(refusals.refuse_contents("facilities", {"x": phones})) == 1


def test_a_branch_date_counter_number_is_not_taken_for_a_resident_id():
    # one in eleven passes the check by chance; a column of real ids passes everywhere
    numbers = [f"11010820190315{counter:04d}" for counter in range(300)]
    assert refusals.refuse_contents("facilities", {"facility_id": arrow.chunked_array([numbers])}) == []


def test_class_d_comes_in_when_it_is_declared_as_hashed_and_the_others_never():
    names = ["ssn", "gender", "children_count"]
    found = refusals.refuse_names("facilities", names, hashed=names)
    assert [refusal.column for refusal in found] == ["gender", "children_count"]


def test_an_outcome_is_refused_as_a_predictor_but_not_as_a_column():
    assert refusals.refuse_names("facilities", ["settlement_status"]) == []
    assert len(refusals.refuse_predictors("facilities", ["settlement_status"])) == 1


def test_the_error_lists_every_column_with_class_and_rule_at_once():
    found = refusals.refuse_names("facilities", ["wechat_id", "gender", "手机"])
    with pytest.raises(RefusedColumnError) as error:
        refusals.raise_refusals(found)
    message = str(error.value)
    assert message.startswith("3 columns refused, nothing was loaded")
    for words in ("'wechat_id' (class A, social-media", "'gender' (class B, sex", "'手机' (class D, phone", "`hashed`"):
        assert words in message


def test_no_refusal_raises_nothing():
    refusals.raise_refusals([])


def test_the_names_in_a_query_are_told_without_text_comments_functions_and_excluded_columns():
    sql = """
        SELECT l.LOAN_NO, "home address", age(d), 'gender' AS x -- ssn
        /* religion */ FROM loans AS l, (SELECT * EXCLUDE (email) FROM t)
    """
    names = refusals.sql_names(sql)
    assert {"LOAN_NO", "home address", "loans"} <= set(names)
    assert not {"age", "gender", "ssn", "religion", "email"} & set(names)
    assert [refusal.column for refusal in refusals.refuse_names("facilities", names)] == ["home address"]


@pytest.mark.parametrize("quoted", ['"loan--no"', '"loan/*no"', '"borrower\'s"'])
def test_a_quoted_name_with_a_mark_in_it_hides_nothing_of_a_query(quoted):
    names = refusals.sql_names(f"SELECT {quoted}, gender AS g, 'x' AS y FROM loans /* all */")
    assert {quoted.strip('"'), "gender", "loans"} <= set(names)


def test_the_register_lists_every_class():
    register = refusals.refusal_register()
    assert set(register["refusal_class"]) == {"A", "B", "C", "D"}
    assert register.notna().all(axis=None)
