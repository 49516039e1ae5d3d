"""What is true of the recovery unit in the synthetic portfolio: every effect that an analysis may look for.

Only constants stand here, so that the whole truth can be read in one place and is written into ``truth.json`` from the
same numbers that the simulator draws with. Months are counted from the month of the reporting date, which is 0.
"""

from recoverykit.vocabulary import ActionKind

#: Months in which an instalment falls due; the last two lie ahead.
INSTALMENT_MONTHS = tuple(range(-13, 3))
#: Remaining months over which a balance is paid back, by product; lines pay a share of the balance.
REMAINING_MONTHS = {"auto_loan": 48, "mortgage": 280, "personal_loan": 36, "small_business": 72}
LINE_SHARE, SMALLEST_INSTALMENT = 0.03, 25.0
LARGE_INSTALMENT = 1500.0

#: How much a facility's propensity to pay late differs: log-odds per standard deviation of the score, and the rest.
LATE_PER_SCORE, LATE_SPREAD = -0.5, 0.6
#: Log-odds of an instalment unpaid thirty days after its due date, at the mean propensity.
LATE_LOG_ODDS = -1.85
#: Of the others: paid by the due date, one to five days late, six to thirty days late.
PUNCTUAL_SHARES = (0.80, 0.12, 0.08)
PARTLY_PAID_SHARE = 0.05

#: The randomised pre-due experiment: reminders 30, 15 and 7 days before an instalment falls due.
PRE_DUE, PRE_DUE_ASSIGNED, PRE_DUE_MONTHS = "pre_due_reminders", -6, (-4, -3, -2)
CONTROL, REMINDER = "control", "reminder_30_15_7"
REMINDER_DAYS = (30, 15, 7)
REMINDER_LOG_ODDS, REACHED_SHARE = -0.60, 0.93

#: The treatment that a score below a cut-off brings: a call, and a meeting for large instalments.
CUT_OFF_RULE, CUT_OFF_ASSIGNED, CUT_OFF_MONTHS = "early_warning_cut_off", -9, (-8, -7, -6)
CUT_OFF, SCORE_SPREAD = 600.0, 60.0
INTENSIVE, USUAL = "intensive", "usual"
CUT_OFF_LOG_ODDS, CUT_OFF_EFFECT, CUT_OFF_PER_POINT = -1.35, -0.80, -0.008

#: Three wordings of the message five days after a missed due date, and the chance that it is paid within 14 days.
WORDING, WORDING_ASSIGNED, WORDING_MONTHS = "message_wording", -14, (-13, -12, -11, -10, -9)
WORDING_PAID = {"helpful": 0.60, "plain": 0.50, "threat": 0.38}
WORDING_DAY, WORDING_DAYS = 5, 14
WORDING_LOG_ODDS = -1.0

#: Units that work defaulted facilities, and the desk that works the others.
UNITS = ("agency", "central", "east", "north", "south", "west")
EARLY_DESK = "early"
AGENTS_PER_UNIT = 5
#: Share of the cases of a product that goes to the outside agency; the units share the rest equally.
AGENCY_SHARE = {"credit_card": 0.55, "personal_loan": 0.55, "auto_loan": 0.20}
AGENCY_SHARE_OTHERWISE = 0.04
#: What a unit adds to the log-odds that an episode ever cures, beside its mix of cases.
UNIT_CURE = {"agency": 0.0, "central": 0.0, "east": 0.6, "north": 0.0, "south": -0.6, "west": 0.0}
#: Chance that whoever answers is the debtor.
UNIT_RIGHT_PARTY = {"agency": 0.85, "central": 0.85, "east": 0.85, "north": 0.95, "south": 0.85, "west": 0.62}
#: What a unit adds to the log-odds that a promise is kept, and to those that its agents state.
UNIT_PROMISE = {"agency": 0.0, "central": 0.0, "east": 0.7, "north": 0.0, "south": -0.7, "west": 0.0}
UNIT_OVERSTATES = {"agency": 0.8, "central": 0.0, "east": 0.0, "north": 0.0, "south": 1.2, "west": 0.0}
#: What a unit adds to the log-odds that a judgment is won, against partly won or lost.
UNIT_WINS = {"agency": 0.0, "central": 0.0, "east": 0.0, "north": 0.8, "south": 0.0, "west": 0.0}

#: Calls from default to the first repayment, at most so many days; a call is answered by chance alone.
CALL_MONTHS, CALL_DAYS, CALL_ROUNDS = 24, 90, 30
ANSWERED, INVALID_AMONG_MISSED, REFUSED_SHARE = 0.45, 0.05, 0.30
MISSED_FOR_VISIT = 3
VISIT_RULE = "three_missed_calls"

#: Promises: log-odds of being kept, per standard deviation of the score, spread between facilities.
PROMISE_LOG_ODDS, PROMISE_PER_SCORE, PROMISE_SPREAD = 0.55, 0.40, 0.80
#: Share of the kept promises that were paid at 80 % and more of the amount, yet not in full.
PARTLY_KEPT_SHARE = 0.10
STATED_NOISE, STATED_STEP = 0.50, 0.05
GRACE_DAYS = 5
#: Days without a repayment that leave room for a promise, whether it is going to be kept or not.
PROMISE_ROOM_DAYS = 16

#: Court cases: courts by the region, log of the hazard of a judgment against the first of them.
COURT_MONTHS = 48
COURTS = {"hill_court": 0.0, "harbour_court": -0.40, "valley_court": 0.30}
COURT_OF_REGION = {
    "midwest": "hill_court",
    "mountain": "hill_court",
    "northeast": "harbour_court",
    "pacific": "harbour_court",
    "southeast": "valley_court",
    "southwest": "valley_court",
}
FILED_SHARE, SMALLEST_CLAIM = 0.85, 2000.0
#: Mean days of exponential waiting times at the first court without a complete package.
JUDGMENT_DAYS, SETTLEMENT_DAYS, WITHDRAWAL_DAYS = 420.0, 700.0, 1100.0
HEARING_DAYS, ENFORCEMENT_DAYS = 120.0, 150.0
COMPLETE_LOG_HAZARD = 0.60
#: Log-odds of winning without and with a complete package; a third of the rest is partly won, the others are lost.
WIN_LOG_ODDS, WIN_COMPLETE = 0.0, 0.80
PARTLY_OF_REST = 0.40
#: The experiment: a checklist before filing, drawn at random, and how often the package is complete in its arms.
CHECKLIST, CHECKLIST_DAYS = "court_checklist", 30
CHECKLIST_COMPLETE = {"checklist": 0.92, "usual": 0.45}

#: Breaches put into the log on purpose: nine calls in a week, a call three days after a conversation, night calls.
BURSTS = {"agency": 12, "west": 4}
BURST_CALLS = 9
SOON_AFTER = {"agency": 8, "south": 5}
SOON_DAYS = 3
NIGHT_SHARE = {"agency": 0.020, "west": 0.015}
EARLY_SHARE = {"agency": 0.008}

#: What an action costs, in USD.
ACTION_COST = {
    ActionKind.SMS: 0.05,
    ActionKind.CALL: 2.5,
    ActionKind.LETTER: 1.2,
    ActionKind.MEETING: 60.0,
    ActionKind.FIELD_VISIT: 85.0,
    ActionKind.LEGAL_NOTICE: 35.0,
    ActionKind.FILING: 250.0,
    ActionKind.JUDGMENT: 0.0,
    ActionKind.ENFORCEMENT: 400.0,
}
FILING_COST, CLAIM_COST_SHARE, HEARING_COST, ENFORCEMENT_COST = 250.0, 0.012, 150.0, 400.0

#: Accounts that the lender holds: how many, and what comes in against the instalment.
TURNOVER_FACILITIES = 700
INFLOW_LOG_MEAN, INFLOW_LOG_SPREAD, INFLOW_WHEN_LATE = 1.0, 0.35, 0.55
