"""The words that a reader sees for columns, outcomes and segments, and how a column is written.

There is one dictionary, so that a heading, an axis and a sentence call the same thing by the same words.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from recoverykit.report.formats import Kind, capital, is_missing, within
from recoverykit.vocabulary import SEGMENT_SEPARATOR, WHOLE_BOOK, Outcome

#: Column names and terms -> the words that a reader sees.
LABELS = {
    "all_endings": "All endings together",
    "age_band": "Months in default",
    "aic": "AIC",
    "all_in_lgd": "LGD, all episodes",
    "all_in_lgd_ead_weighted": "LGD, all episodes, EAD-weighted",
    "allowance": "Allowance",
    "amount": "Amount",
    "as_recorded_lgd": "LGD as recorded",
    "auc": "AUC at that month",
    "auc_drop": "Loss of AUC",
    "basis": "Estimated from",
    "bic": "BIC",
    "brier_ratio": "Brier score against no drivers",
    "brier_score": "Brier score",
    "by_chance": "By chance alone",
    "calibration_slope": "Slope",
    "calibration_z": "Calibration, z",
    "call_after_conversation": "Calls within seven days of a talk",
    "calls_in_seven_days": "Calls beyond seven in seven days",
    "change_z": "Change, z",
    "closed_only_lgd": "LGD, closed only",
    "closed_only_lgd_ead_weighted": "LGD, closed only, EAD-weighted",
    "collateral_kind": "Collateral",
    "closed_after": "Of loans that closed after month",
    "concordance": "Concordance (Uno)",
    "contact_hours": "Contacts outside the hours",
    "contribution": "Contribution",
    "cost_amount": "Costs",
    "coverage_ratio": "Coverage",
    "cure_auc": "AUC of ever curing, by the model",
    "cure_k_index": "K-index of when, by the model",
    "default_date": "Default date",
    "default_vintage": "Quarter of default",
    "discount_factor": "Discount factor",
    "drawing_amount": "Drawings",
    "ead": "EAD",
    "ead_at_risk": "EAD at risk",
    "eir": "Effective interest rate",
    "elbe": "Best estimate (ELBE)",
    "episode_id": "Episode",
    "expected_lgd": "Expected LGD",
    "expected_recovery_amount": "Expected recovery",
    "expected_recovery_present_value_amount": "Its present value",
    "facility_id": "Facility",
    "generalised_auc": "Generalised AUC",
    "gini": "Gini",
    "gross_carrying_amount": "Gross carrying amount",
    "gross_recovery_amount": "Gross recoveries",
    "integrated_brier_score": "Integrated Brier score",
    "k": "Capital charge K",
    "lgd": "LGD",
    "lgd_ead_weighted": "LGD, EAD-weighted",
    "lgd_floored": "LGD, floored",
    "lgd_in_default": "LGD in-default",
    "loglik": "Log-likelihood",
    "loss_given_outcome": "Loss given it",
    "lower": "Lower",
    "ltv_ratio": "Loan to value",
    "mae": "Mean absolute error",
    "mean_predicted": "Mean predicted",
    "mean_realised": "Mean that came",
    "model": "Model",
    "month": "Month",
    "months": "Months",
    "months_in_default": "Months in default",
    "n_at_risk": "At risk",
    "n_holdout": "Later episodes",
    "never_resolves": "never resolved",
    "n_cures": "Cures",
    "never": "Share that never cures",
    "outside_share": "Outside development's range",
    "own_months": "Months of the curve on own loans",
    "n_beyond_curve": "Beyond the curve",
    "n_closed": "Closed",
    "n_episodes": "Episodes",
    "n_facilities": "Facilities",
    "n_floored": "Floored at zero",
    "n_obligors": "Obligors",
    "n_open": "Open",
    "n_params": "Parameters",
    "n_rows": "Rows",
    "net_recovery_amount": "Net recoveries",
    "outcome": "Outcome",
    "outstanding": "Outstanding",
    "p_value": "p-value",
    "probability": "Probability",
    "r2": "R2",
    "recovered_rate": "Recovered",
    "population_stability_index": "Stability index",
    "prediction_accuracy_index": "Index of prediction accuracy",
    "present_value_amount": "Present value",
    "realised_lgd": "Realised LGD",
    "rmse": "Root mean squared error",
    "spearman": "Rank correlation",
    "standard_error": "Standard error",
    "ultimate_rate": "Expected in all",
    "upper": "Upper",
    "z": "z",
}
#: Names without a telling suffix -> how their values are written.
_KINDS: dict[str, Kind] = {
    "ead": "money",
    "ead_at_risk": "money",
    "outstanding": "money",
    "allowance": "money",
    "amount": "money",
    "eir": "share",
    "coverage_ratio": "share",
    "elbe": "share",
    "probability": "share",
    "loss_given_outcome": "share",
    "contribution": "share",
    "k": "share",
    "weight": "share",
    "month": "count",
    "months": "months",
    "months_in_default": "months",
}
#: Latency distributions as a reader knows them.
DISTRIBUTION_WORDS = {
    "weibull": "Weibull",
    "exponential": "exponential",
    "lognormal": "log-normal",
    "loglogistic": "log-logistic",
    "gamma": "gamma",
    "generalized_gamma": "generalised gamma",
}
_OUTCOME_WORDS = {Outcome.WRITTEN_OFF: "written off", Outcome.OPEN: "still open"}


def label_of(name: str) -> str:
    """Return the words that a reader sees for a column or term.

    Examples
    --------
    >>> label_of("coverage_ratio"), label_of("loan_purpose")
    ('Coverage', 'Loan purpose')
    """
    if name in LABELS:
        return LABELS[name]
    words = name.removeprefix("n_").removesuffix("_amount").replace("_", " ").strip()
    return capital(words)


def kind_of(name: str, values: pd.Series) -> Kind:
    """Tell from a column's name and type how its values are written.

    The house names carry their unit as a suffix (``_rate``, ``_amount``, ``_date``, ``n_``), so that most tables need
    no formats at all. Numbers that nothing tells about are ratios, anything else is text.
    """
    if name in _KINDS:
        return _KINDS[name]
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return "date" if pd.api.types.is_datetime64_any_dtype(values) or name.endswith("_date") else "text"
    if name.startswith("n_"):
        return "count"
    if name.endswith("_amount"):
        return "money"
    if name.startswith("prob_") or name.endswith(("_rate", "share")) or "lgd" in name:
        return "share"
    if name.endswith("p_value"):
        return "p_value"
    return "months" if name.endswith("_months") else "ratio"


def outcome_words(outcome: str) -> str:
    """Return an outcome as it stands in a sentence: ``written off``, ``still open``.

    Examples
    --------
    >>> outcome_words("written_off")
    'written off'
    """
    return _OUTCOME_WORDS.get(Outcome(outcome), str(outcome))


def distribution_words(name: str) -> str:
    """Return a latency distribution as a reader knows it; any other text as it is.

    Examples
    --------
    >>> distribution_words("lognormal")
    'log-normal'
    """
    return DISTRIBUTION_WORDS.get(name, name)


def driver_words(driver: str, level: str = "") -> str:
    """Return a driver, or a level of one, as it stands within a sentence.

    Examples
    --------
    >>> driver_words("ltv_ratio"), driver_words("product", "credit_card"), driver_words("ead")
    ('loan to value', 'credit card', 'EAD')
    """
    return within(level.replace("_", " ") if level else label_of(driver))


def term_name(row: Mapping[Any, Any] | pd.Series) -> str:
    """Return the words for a term of a model within a sentence: its driver or level where told, else its own name.

    Examples
    --------
    >>> term_name({"term": "scale(ltv_ratio)", "driver": "ltv_ratio"}), term_name({"term": "ltv_ratio"})
    ('loan to value', 'Loan to value')
    """
    driver = row.get("driver")
    return label_of(str(row["term"])) if is_missing(driver) else driver_words(str(driver), str(row.get("level") or ""))


def segment_words(segment: str) -> str:
    """Return a segment's name for a reader; the whole book is called so.

    Examples
    --------
    >>> segment_words("all"), segment_words("auto_loan | west")
    ('Whole book', 'auto loan · west')
    """
    return "Whole book" if segment == WHOLE_BOOK else segment.replace(SEGMENT_SEPARATOR, " · ").replace("_", " ")


def segment_within(segment: str) -> str:
    """Return a segment's name as it stands within a sentence.

    Examples
    --------
    >>> segment_within("all"), segment_within("auto_loan | west")
    ('the whole book', 'auto loan · west')
    """
    return "the whole book" if segment == WHOLE_BOOK else segment_words(segment)
