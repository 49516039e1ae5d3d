"""The columns that this kit does not take in, as data: class, what it is, the rule, and the names it goes by.

English names are matched on whole words of the column name, brought to the form ``_word_word_`` (camelCase and digits
split, lower case), so that ``average_balance`` holds no age and ``sussex`` no sex. Chinese names are matched anywhere
in the name, and some longer pieces inside a run without separators. Where a word has an innocent meaning in lending,
the pattern leaves that out: the age of a loan, a credit union, a payment holiday, a single-family house, a mobile home.
What stays doubtful is refused. The loader reads these rules for every column of a source, and regressions for every
column of a formula: ground, because both need them and neither knows the other.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class RefusalClass(StrEnum):
    """How strictly a column is refused."""

    NEVER = "A"
    FAIRNESS_ONLY = "B"
    OUTCOME = "C"
    HASHED = "D"


#: What each class means, as it stands in messages and in the register of the pack.
CLASS_RULES = {
    RefusalClass.NEVER: "is never taken in; remove it at the source",
    RefusalClass.FAIRNESS_ONLY: "belongs in a separate fairness file, never beside the loans; remove it at the source",
    RefusalClass.OUTCOME: "is known only after the default: an outcome can be neither a segment nor a driver column",
    RefusalClass.HASHED: "names a person: list the source column under `hashed` of its table, or remove it",
}
#: A regular expression that fits nothing.
_NOTHING = r"(?!)"


@dataclass(frozen=True, slots=True)
class RefusalRule:
    """One family of refused columns.

    Attributes
    ----------
    refusal_class : RefusalClass
        A never, B in a fairness file only, C an outcome, D hashed on load.
    what : str
        What the column is about.
    words : str
        Regular expression on the name in the form ``_word_word_``.
    characters : str
        Regular expression on Chinese names; by default one that fits nothing.
    inside : str
        Regular expression on a single word, for names written without separators; by default one that fits nothing.
    """

    refusal_class: RefusalClass
    what: str
    words: str
    characters: str = _NOTHING
    inside: str = _NOTHING

    @property
    def rule(self) -> str:
        """What the class demands."""
        return CLASS_RULES[self.refusal_class]


_RELATIVE = (
    "spouse|spouses|husband|wife|father|mother|sibling|siblings|brother|sister|relatives|uncle|aunt|grandmother|"
    "grandfather|fiance|fiancee"
)
_REACH = (
    "phone|phones|mobile|tel|telephone|cell|contact|contacts|employer|workplace|work|job|name|address|email|call|calls"
)
_THINGS = (
    "account|acct|loan|facility|debt|balance|book|vintage|default|episode|delinquency|arrears|invoice|claim|case|"
    "vehicle|car|collateral|asset|property|building|house|equipment|valuation|appraisal|score|file|relationship"
)
_A, _B, _C, _D = RefusalClass.NEVER, RefusalClass.FAIRNESS_ONLY, RefusalClass.OUTCOME, RefusalClass.HASHED

NEVER_RULES = (
    RefusalRule(
        _A,
        "children, their schools and classes",
        r"_(child|children|childs|childrens|kid|kids|son|sons|daughter|daughters|baby|infant|minors|school|schools"
        r"|kindergarten|classmates?|schoolmates?|class_teacher)_",
        "子女|孩子|小孩|儿子|兒子|女儿|女兒|学校|學校|班级|班級|幼儿园|幼兒園",
        inside=r"children|schoolname",
    ),
    RefusalRule(
        _A,
        "relatives and third parties: phones, workplaces, address books, call logs",
        rf"_({_RELATIVE}|next_of_kin|kin|emergency_contacts?|address_books?|phone_?books?|contacts?_lists?|call_logs?"
        rf"|call_history|third_party_(calls?|phones?|contacts?)|friends?|neighbou?rs?|colleagues?|coworkers?)_"
        rf"|_(relative|parent|parents|family|reference|referee|guardian)s?_(members?|{_REACH})_",
        "配偶|丈夫|妻子|父亲|父親|母亲|母親|父母|亲属|親屬|亲戚|家属|家屬|联系人|聯繫人|通讯录|通訊錄|通话|通話|朋友|同事|邻居",
        inside=r"spouse|addressbook|calllog|phonebook|emergencycontact",
    ),
    RefusalRule(
        _A,
        "vacation, travel, geolocation, licence plates",
        r"_(vacations?|travel(?!_loan)|travels|trips?|itinerary|geo_?locations?|geo_?hash|gps|latitude|longitude|lat"
        r"|lng|lon|licen[sc]e_plates?|number_plates?|plate_(no|num|number))_|(?<!_payment)(?<!_bank)_holidays?_"
        r"|_location_(history|track|tracks|log)_",
        "旅游|旅遊|旅行|度假|休假|定位|经纬度|經緯度|经度|纬度|行程|轨迹|軌跡|车牌|車牌",
        inside=r"vacation|geoloc|licen[sc]eplate|latitude|longitude",
    ),
    RefusalRule(
        _A,
        "social-media content or monitoring",
        r"_(we_?chat|weixin|wei_?bo|qq|face_?book|instagram|tik_?tok|douyin|twitter|linked_?in|whats_?app|telegram"
        r"|snap_?chat|social_(media|network|graph|profile|score)|friends?_circle)_",
        "微信|微博|抖音|朋友圈|社交|[Qq]{2}号",
        inside=r"wechat|weixin|facebook|instagram|whatsapp|socialmedia",
    ),
    RefusalRule(
        _A,
        "biometrics, emotion or deception scores",
        r"_(biometrics?|finger_?prints?|face_(id|print|scan|image|photo|template|recognition)|face_?prints?|selfie"
        r"|voice_?prints?|voice_(sample|recording|score|stress|emotion|features?)|iris|retina|emotions?|emotional"
        r"|deception|lie_(score|detection|detector)|(voice|call|text)_sentiment)_",
        "人脸|人臉|指纹|指紋|声纹|聲紋|虹膜|情绪|情緒|测谎|測謊|生物特征|生物識別|生物识别",
        inside=r"biometr|fingerprint|faceprint|voiceprint",
    ),
    RefusalRule(
        _A,
        "health, pregnancy, disability",
        r"(?<!_loan)(?<!_account)(?<!_portfolio)(?<!_facility)(?<!_collateral)_health_"
        r"|_(medical|illness|illnesses|disease|diseases|diagnosis|hospital|hospitalised|hospitalized|hiv|cancer"
        r"|pregnant|pregnancy|maternity|disability|disabilities|handicap|handicapped|mental|psychiatric)_"
        r"|^_(is_)?disabled_$|_(borrower|customer|client|obligor|debtor|applicant)_disabled_",
        "健康|疾病|病史|病历|病歷|医疗|醫療|怀孕|懷孕|孕妇|孕婦|残疾|殘疾|残障",
        inside=r"pregnan|disabilit|healthstat|healthcond|medicalhist",
    ),
    RefusalRule(
        _A,
        "religion, ethnicity, race, politics, union, orientation",
        r"_(religion|religions|religious|creed|church|mosque|caste|ethnic|ethnicity|ethnicities|race(?!_to_)|racial"
        r"|tribe|national_origin|nationality|citizenship|immigration|politics|political|party_member(ship)?|voter|vote"
        r"|(trade|labou?r|workers)_union|union_(member|membership|dues)|sexual|sexuality|orientation)_|^_union_$",
        "宗教|信仰|民族|种族|種族|族裔|国籍|國籍|籍贯|政治|党派|黨派|党员|黨員|工会|工會|性取向",
        inside=r"religio|ethnic|nationalit|sexualorient",
    ),
    RefusalRule(
        _A,
        "private messages, passwords, one-time codes",
        r"_(pass_?words?|passwd|pwd|pass_?codes?|pin|pin_?codes?|otp|one_time_(code|password|pin)|verification_code"
        r"|security_(question|answer)|cvv|cvc|(sms|message|messages|chat|mail|email)_(text|body|content|contents|log"
        r"|history)|private_messages?|chats?|inbox)_",
        "密码|密碼|验证码|驗證碼|口令|短信内容|短信內容|聊天|私信",
        inside=r"passw|passcode",
    ),
    RefusalRule(
        _A,
        "shaming or pressure",
        r"_(shame|shaming|shamed|humiliation|humiliate|pressure|pressured|threat|threats|threatened|intimidation"
        r"|intimidate|harass|harassment|blackmail|public_exposure|weakness|weaknesses|pain_points?)_",
        "羞辱|施压|施壓|曝光|威胁|威脅|恐吓|恐嚇|骚扰|騷擾|软肋|軟肋|把柄",
        inside=r"shaming|humiliat|harass",
    ),
)

FAIRNESS_RULES = (
    RefusalRule(
        _B, "sex", r"_(sex|gender|male|female|salutation|honorific)_", "性别|性別|称谓|稱謂", inside=r"gender(?!ed)"
    ),
    RefusalRule(
        _B,
        "age",
        rf"_(borrower|obligor|debtor|customer|client|applicant|person)_(current_)?age_"
        rf"|(?<!_{')(?<!_'.join(_THINGS.split('|'))})_age_(?!of_(the_)?({_THINGS})_)"
        r"|_(birth|birthday|birth_?date|dob|yob|senior_citizen|elderly|retiree)_",
        "年龄|年齡|生日|出生|周岁|周歲",
        inside=r"birthda|birthyear|ofbirth|(?:borrower|customer|client|applicant)age$",
    ),
    RefusalRule(
        _B,
        "marital status",
        r"_(marital|marriage|married|unmarried|divorced?|widow|widowed|widower|maiden)_",
        "婚姻|婚否|已婚|未婚|离异|離異|离婚|丧偶",
        inside=r"marital|maidenname",
    ),
    RefusalRule(
        _B,
        "dependants",
        r"_(dependants?|dependents|dependent_(count|number|children)|(n|no|num|number|count)_(of_)?dependent"
        r"|household_size|family_size)_",
        "抚养|撫養|赡养|家庭人口",
    ),
    RefusalRule(
        _B,
        "education",
        r"_(education(?!_loan)|educational|schooling|diploma|academic_degree|degree_level|university|college)_",
        "学历|學歷|教育程度|文化程度|学位|學位",
        inside=r"educationlevel",
    ),
    RefusalRule(_B, "language", r"_((mother|native)_tongue|accent)_", "语言|語言|母语|方言|口音", inside=r"language"),
    RefusalRule(
        _B,
        "fine postcode",
        r"_(zip(?!_3_)|zip_?codes?|post_?codes?|postal(?!_order)|postal_?codes?|census_(tract|block))_",
        "邮编|郵編|邮政编码|郵政編碼",
        inside=r"postcode|zipcode|postalcode",
    ),
    RefusalRule(
        _B,
        "public assistance",
        r"_(public_(assistance|benefits?)|welfare|food_stamps?|social_assistance|benefits_recipient|medicaid)_",
        "低保|救济|救濟|社会救助|社會救助",
    ),
    RefusalRule(
        _B,
        "features derived from a name",
        r"_(sur_?name|first_?name|last_?name|full_?name|given_?name|name)_(origin|score|gender|ethnic|probability"
        r"|features?|encoded|embedding)_",
        "姓氏来源|姓氏來源",
    ),
)

HASHED_RULES = (
    RefusalRule(
        _D,
        "national id",
        r"_(ssns?|sin|itin|tin|social_(security|insurance)|(tax|national)_?(id|no|number)|id_?cards?|id_(no|number)"
        r"|identity_(no|number|card)|passports?|drivers?_licen[sc]e|resident_?id|sfz|shenfenzheng)_",
        "身份证|身份證|证件号|證件號|证件号码|护照|護照|社保号|社会保险号|驾驶证|驾照",
        inside=r"passport|socialsecurity|socialinsurance|nationalid|idnumber|idcard",
    ),
    RefusalRule(
        _D,
        "phone",
        r"_(phones?(?!_(calls?|contacts?|attempts?|channel|campaign)_)|tele?_?phones?|tel|mobile(?!_home)|fax|msisdn"
        r"|(phone|tel|cell|mobile|fax)_?(no|num|numbers?)|(cell|mobile)_?phones?)_",
        "手机|手機|电话|電話|座机|传真",
        inside=r"phonen(?:o|um)|mobilen(?:o|um)|mobilephone|cellphone|(?:home|work|contact|customer|borrower)(?:tele)?phone",
    ),
    RefusalRule(
        _D,
        "e-mail",
        r"_(e_?mails?(?!_(sent|opened|count|attempts?|channel|campaign)_)|e_?mail_?(address|addr|id)s?)_",
        "邮箱|郵箱|电子邮件|電子郵件|电邮",
        inside=r"emailad|(?:home|work|contact|customer|borrower)email",
    ),
    RefusalRule(
        _D,
        "address",
        r"_(address|addresses|addr|street|street(no|name|number)|house_?(no|number))_",
        "住址|地址|门牌|門牌|街道",
        inside=r"(?:home|mail|mailing|billing|work|street|postal|customer|borrower|residential)addr",
    ),
    RefusalRule(
        _D,
        "account number",
        r"_((account|acct|card|iban|bank_account|credit_card|debit_card)_?(no|num|number|numbers|nr)|iban|bank_account"
        r"|pan|routing_number|swift_?account)_",
        "账号|帳號|账户号|帳戶號|卡号|卡號|银行卡|銀行卡",
        inside=r"account(?:no|num)|card(?:no|num)",
    ),
    RefusalRule(
        _D,
        "name of a person",
        r"_(sur|first|last|full|given|family|middle|borrower|obligor|debtor|customer|client|applicant|guarantor|person"
        r"|owner|holder|cust|agent|collector|officer|employee|staff|handler|caller)_?names?_|^_name_$",
        "姓名|名字|客户名|客戶名|借款人名|催收员|催收員",
        inside=r"(?:first|last|full|family|customer|borrower|debtor|agent|collector)name|surname",
    ),
)

OUTCOME_RULES = (
    RefusalRule(
        _C,
        "recoveries",
        r"_(recovery|recoveries|recovered|recoverable|recov|lgd|loss_given_default|realised_loss|realized_loss"
        r"|loss_amount|net_loss)_",
        "回收|追回|损失率|損失率",
        inside=r"recover(?:y|ies|ed)",
    ),
    RefusalRule(_C, "collection fees", r"_collections?_(fees?|costs?|recovery_fee)_", "催收费|催收費"),
    RefusalRule(_C, "settlement", r"_(settlements?|settled|settle)_", "和解|结清|結清", inside=r"settlement"),
    RefusalRule(_C, "hardship after default", r"_hardship_", "困难减免|困難減免"),
    RefusalRule(_C, "last payment", r"_(last|latest)_(payment|pymnt|pmt|paid)_", "最后还款|最後還款|最近还款|最近還款"),
    RefusalRule(
        _C,
        "write-off",
        r"_(write_?offs?|written_off|charge_?offs?|charged_off)_",
        "核销|核銷|呆账|壞賬",
        inside=r"writeoff|chargeoff|chargedoff",
    ),
    RefusalRule(
        _C,
        "outcome or resolution time",
        r"_(outcomes?|resolution|resolved|res_time|time_to_(resolution|cure|recovery|sale)|months_in_default"
        r"|days_in_default|cured?|cure_(date|flag)|liquidated|liquidation|foreclosed|repossessed)_",
        "处置|處置|结案|結案",
    ),
)

#: All rules in the order in which a name is tried: the strictest class that fits decides.
REFUSAL_RULES = (*NEVER_RULES, *FAIRNESS_RULES, *HASHED_RULES, *OUTCOME_RULES)

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


_COMPILED = tuple(
    (rule, re.compile(rule.words), re.compile(rule.characters), re.compile(rule.inside)) for rule in REFUSAL_RULES
)


def _words(name: str) -> list[str]:
    """Return the words of a column name in lower case: cut at separators, capitals and digits, accents left out."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return [word.lower() for word in _WORDS.findall(plain)]


@cache
def matching_rule(name: str, classes: tuple[RefusalClass, ...] = tuple(RefusalClass)) -> RefusalRule | None:
    """Return the rule that refuses a column by its name.

    Parameters
    ----------
    name : str
        Name of the column in its source.
    classes : tuple of RefusalClass, optional
        The classes that count; all by default.

    Returns
    -------
    RefusalRule or None
        The strictest rule that fits; None for a column that may come in.

    Examples
    --------
    >>> matching_rule("spousePhone").refusal_class.value
    'A'
    >>> matching_rule("手机号码").what
    'phone'
    >>> matching_rule("average_balance") is None
    True
    """
    normal = unicodedata.normalize("NFKC", name)
    words = _words(name)
    joined = f"_{'_'.join(words)}_"
    for rule, whole, characters, inside in _COMPILED:
        if rule.refusal_class not in classes:
            continue
        if whole.search(joined) or characters.search(normal) or any(inside.search(word) for word in words):
            return rule
    return None
