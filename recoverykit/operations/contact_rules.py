"""Hold the log of the recovery unit against rules of contact: how often, how soon after a talk, at what hours.

Rules are data with their source and date. A breach is what the log shows; whether it is one in law depends on consent
and on facts that no log holds, and each rule set says which. This module knows the action log as a frame, nothing of
where it came from.
"""

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from recoverykit.errors import ContractError, InsufficientDataError, Violation
from recoverykit.estimators._rows import broken
from recoverykit.operations._contact_kinds import CallAfterConversation, CallFrequency, ContactHours, ContactRule
from recoverykit.operations._contact_rule_sets import CHINA, RULE_SETS, US_REG_F, RuleSet

__all__ = [
    "CHINA",
    "RULE_SETS",
    "US_REG_F",
    "CallAfterConversation",
    "CallFrequency",
    "ContactHours",
    "RuleSet",
    "breaches_by_unit",
    "check_contacts",
    "contact_rule_register",
    "contact_rule_set",
]

COLUMNS = ("action_id", "facility_id", "action_time", "kind", "result", "unit")
#: Without one of these an action could be held against no rule, or against that of another facility. A result may be
#: missing: then it is none of those that a rule leaves out.
_NEEDED = ("action_id", "facility_id", "action_time", "kind", "unit")
BREACH_COLUMNS = ("rule", "facility_id", "action_time", "unit", "action_id", "n_actions", "actions")


def check_contacts(actions: pd.DataFrame, rules: str | RuleSet = "us_reg_f") -> pd.DataFrame:
    """Return every action that breaks a rule of contact, with the actions that make it a breach.

    Days are calendar days on the debtor's clock, which is the clock of ``action_time``. Of calls at the very same
    moment, the order of ``action_id`` decides which came first.

    Parameters
    ----------
    actions : DataFrame of n_actions
        The action log: action_id, facility_id, action_time, kind, result and unit. It is not changed.
    rules : str or RuleSet
        Name of a rule set, ``"us_reg_f"`` or ``"china"``, or a rule set of the house.

    Returns
    -------
    DataFrame
        One row per rule and action that breaks it, in the order of rules, facilities and time: rule, facility_id,
        action_time, unit, action_id, n_actions (the actions that the rule counts together, the breach included) and
        actions (their ids in the order of time, separated by blanks).

    Raises
    ------
    ValueError
        If there is no rule set of that name.
    ContractError
        If the log lacks columns, moments, facilities, kinds, units or names of actions; all of them at once.
    InsufficientDataError
        If hours are to be checked and every moment of the log is midnight: then it holds days, not times.

    Notes
    -----
    Counted by `CallFrequency` at a call on day d: calls about the facility on the days d - days + 1 to d, up to and
    with that call. `CallAfterConversation` compares a call with the latest earlier conversation about the facility.
    At exactly 9 p.m. a contact keeps the hours of ``us_reg_f``, a second later it does not.

    Examples
    --------
    >>> calls = pd.DataFrame(
    ...     {
    ...         "action_id": ["A1", "A2"],
    ...         "facility_id": "F1",
    ...         "action_time": pd.to_datetime(["2024-03-04 10:00", "2024-03-10 10:00"]),
    ...         "kind": "call",
    ...         "result": ["right_party", "no_answer"],
    ...         "unit": "north",
    ...     }
    ... )
    >>> check_contacts(calls)[["rule", "action_id", "actions"]].values.tolist()
    [['call_after_conversation', 'A2', 'A1 A2']]
    """
    chosen = contact_rule_set(rules)
    log = _prepared(actions, chosen)
    found = [_breaches(rule, log) for rule in chosen.rules]
    columns = list(BREACH_COLUMNS)
    filled = [part for part in found if len(part)]
    return pd.concat(filled, ignore_index=True)[columns] if filled else found[0][columns]


def breaches_by_unit(actions: pd.DataFrame, rules: str | RuleSet = "us_reg_f", *, level: float = 0.95) -> pd.DataFrame:
    """Return how many contacts of each unit break each rule, with exact intervals.

    Parameters
    ----------
    actions, rules
        As in `check_contacts`.
    level : float
        Level of the intervals, in (0, 1).

    Returns
    -------
    DataFrame
        One row per rule and unit that had contacts under it: rule, unit, n_contacts, n_breaches, breach_rate, lower,
        upper (Clopper and Pearson). The intervals take contacts as independent; breaches of one facility come in
        clusters, so they are the narrowest that can be defended.

    Raises
    ------
    ValueError
        If there is no rule set of that name, or the level lies outside its range.
    ContractError, InsufficientDataError
        As in `check_contacts`.

    Examples
    --------
    >>> calls = pd.DataFrame(
    ...     {
    ...         "action_id": ["A1", "A2"],
    ...         "facility_id": ["F1", "F2"],
    ...         "action_time": pd.to_datetime(["2024-03-04 21:00", "2024-03-04 21:01"]),
    ...         "kind": "call",
    ...         "result": "no_answer",
    ...         "unit": "north",
    ...     }
    ... )
    >>> by_unit = breaches_by_unit(calls)
    >>> by_unit[["rule", "n_contacts", "n_breaches"]].values.tolist()[-1]
    ['contact_hours', 2, 1]
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, such as 0.95")
    chosen = contact_rule_set(rules)
    log = _prepared(actions, chosen)
    parts = []
    for rule in chosen.rules:
        contacts = log[rule.concerned(log)].groupby("unit").size()
        breaches = _breaches(rule, log).groupby("unit").size().reindex(contacts.index, fill_value=0)
        counts = pd.DataFrame({"n_contacts": contacts, "n_breaches": breaches}).reset_index()
        parts.append(counts.assign(rule=rule.name))
    table = pd.concat(parts, ignore_index=True)
    lower, upper = proportion_confint(table["n_breaches"], table["n_contacts"], alpha=1.0 - level, method="beta")
    return pd.DataFrame(
        {
            **{name: table[name] for name in ("rule", "unit", "n_contacts", "n_breaches")},
            "breach_rate": table["n_breaches"] / table["n_contacts"],
            "lower": np.asarray(lower, dtype=np.float64),
            "upper": np.asarray(upper, dtype=np.float64),
        }
    )


def contact_rule_set(rules: str | RuleSet) -> RuleSet:
    """Return a rule set by its name, or the one given.

    Parameters
    ----------
    rules : str or RuleSet
        As in `check_contacts`.

    Returns
    -------
    RuleSet
        With its title, its rules and what a log cannot show of them.

    Raises
    ------
    ValueError
        If there is no rule set of that name.

    Examples
    --------
    >>> contact_rule_set("us_reg_f").title
    'United States, Regulation F'
    """
    if isinstance(rules, RuleSet):
        return rules
    if rules not in RULE_SETS:
        raise ValueError(f"no rule set {rules!r}; known are {', '.join(RULE_SETS)}, or give a RuleSet")
    return RULE_SETS[rules]


def contact_rule_register(rules: str | RuleSet = "us_reg_f") -> pd.DataFrame:
    """Return the rules of a set with their sources, for the governance page.

    Parameters
    ----------
    rules : str or RuleSet
        As in `check_contacts`.

    Returns
    -------
    DataFrame
        One row per rule: rule, words, source, since, stated_on.

    Examples
    --------
    >>> contact_rule_register("china")["words"].tolist()
    ["no contact before 8 or after 22 o'clock at the place of the debtor"]
    """
    chosen = contact_rule_set(rules)
    rows = [(rule.name, rule.words, rule.source, chosen.since, chosen.stated_on) for rule in chosen.rules]
    return pd.DataFrame(rows, columns=["rule", "words", "source", "since", "stated_on"])


def _prepared(actions: pd.DataFrame, rules: RuleSet) -> pd.DataFrame:
    """Return the log in the order of facilities and time, from the day on which the rules apply."""
    _check_log(actions)
    log = actions[list(COLUMNS)]
    if any(isinstance(rule, ContactHours) for rule in rules.rules) and len(log):
        midnight = log["action_time"].dt.normalize().eq(log["action_time"])
        if midnight.all():
            raise InsufficientDataError(
                "every action of the log stands at midnight: it holds days, not times, and hours cannot be checked; "
                "give the time of day, or a rule set without hours"
            )
    if rules.since:
        log = log[log["action_time"] >= pd.Timestamp(rules.since)]
    return log.sort_values(["facility_id", "action_time", "action_id"], kind="stable", ignore_index=True)


def _check_log(actions: pd.DataFrame) -> None:
    found = [Violation("actions", f"column {name} is missing") for name in COLUMNS if name not in actions]
    if "action_time" in actions and not pd.api.types.is_datetime64_dtype(actions["action_time"]):
        words = "action_time must be a moment on the debtor's clock (datetime64 without a time zone)"
        found.append(Violation("actions", f"{words}, found {actions['action_time'].dtype}"))
    for name in _NEEDED:
        if name in actions:
            found += broken(actions, f"{name} must not be missing", actions[name].isna().to_numpy(), table="actions")
    if found:
        raise ContractError(found)


def _breaches(rule: ContactRule, log: pd.DataFrame) -> pd.DataFrame:
    """Return the breaches of one rule: which actions, and from which action on they count together."""
    concerned = log[rule.concerned(log)].reset_index(drop=True)
    together = rule.breaches(concerned)
    rows = concerned.loc[sorted(together)]
    ids = concerned["action_id"].astype(str).to_numpy()
    groups = [ids[together[position]] for position in rows.index]
    return rows.assign(
        rule=rule.name,
        n_actions=np.array([len(group) for group in groups], dtype=np.int64),
        actions=pd.Series([" ".join(group) for group in groups], index=rows.index, dtype=object),
    ).reset_index(drop=True)
