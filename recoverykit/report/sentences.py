"""Sentences made from results: one idea each, in plain British English, every number written from the result itself.

A sentence is a function of plain numbers, so that the same words come out wherever the same result is told. Where a
number is missing or zero, the sentence says so in words instead of printing a gap.
"""

from recoverykit.report._sentences_book import (
    sentence_allowance_total,
    sentence_coverage,
    sentence_data_quality,
    sentence_exclusions,
    sentence_fallback,
    sentence_reconciliation,
)
from recoverykit.report._sentences_cases import (
    sentence_closed_only_bias,
    sentence_competing_outcomes,
    sentence_episodes,
    sentence_follow_up,
    sentence_lgd,
    sentence_median_resolution,
    sentence_model,
    sentence_recovery,
    sentence_time_to_cure,
)
from recoverykit.report._sentences_conduct import sentence_contact_breaches, sentence_source_columns
from recoverykit.report._sentences_court import (
    sentence_court_costs,
    sentence_court_days,
    sentence_court_load,
    sentence_endings,
    sentence_packages,
)
from recoverykit.report._sentences_cure import (
    sentence_cure_calibration,
    sentence_cure_drivers,
    sentence_model_choice,
    sentence_plateau,
    sentence_residuals,
    sentence_second_opinion,
    sentence_ultimate_outcomes,
)
from recoverykit.report._sentences_lgd import (
    sentence_in_default,
    sentence_lgd_drivers,
    sentence_outcome_losses,
    sentence_vintages,
)
from recoverykit.report._sentences_loss import (
    sentence_back_test,
    sentence_calendar,
    sentence_drift,
    sentence_forecast,
    sentence_lights,
    sentence_steps,
)
from recoverykit.report._sentences_predue import (
    sentence_claim,
    sentence_counted,
    sentence_pre_due_effect,
    sentence_sample_size,
    sentence_worklist,
)
from recoverykit.report._sentences_scorecards import (
    sentence_against_target,
    sentence_bonus,
    sentence_equal_age,
    sentence_funnel,
    sentence_predictions,
    sentence_promise_score,
    sentence_promises,
    sentence_ranks,
)
from recoverykit.report._sentences_triage import (
    sentence_fixed_shares,
    sentence_light_shares,
    sentence_lights_back_test,
    sentence_overrides,
)
from recoverykit.report._sentences_validation import (
    sentence_calibration,
    sentence_discrimination,
    sentence_hindsight,
    sentence_holdout,
    sentence_stability,
    sentence_validation,
)
from recoverykit.report._sentences_warroom import sentence_follow_ups, sentence_morning, sentence_promises_due

__all__ = [
    "sentence_against_target",
    "sentence_allowance_total",
    "sentence_back_test",
    "sentence_bonus",
    "sentence_calendar",
    "sentence_calibration",
    "sentence_claim",
    "sentence_closed_only_bias",
    "sentence_competing_outcomes",
    "sentence_contact_breaches",
    "sentence_counted",
    "sentence_court_costs",
    "sentence_court_days",
    "sentence_court_load",
    "sentence_coverage",
    "sentence_cure_calibration",
    "sentence_cure_drivers",
    "sentence_data_quality",
    "sentence_discrimination",
    "sentence_drift",
    "sentence_endings",
    "sentence_episodes",
    "sentence_equal_age",
    "sentence_exclusions",
    "sentence_fallback",
    "sentence_fixed_shares",
    "sentence_follow_up",
    "sentence_follow_ups",
    "sentence_forecast",
    "sentence_funnel",
    "sentence_hindsight",
    "sentence_holdout",
    "sentence_in_default",
    "sentence_lgd",
    "sentence_lgd_drivers",
    "sentence_light_shares",
    "sentence_lights",
    "sentence_lights_back_test",
    "sentence_median_resolution",
    "sentence_model",
    "sentence_model_choice",
    "sentence_morning",
    "sentence_outcome_losses",
    "sentence_overrides",
    "sentence_packages",
    "sentence_plateau",
    "sentence_pre_due_effect",
    "sentence_predictions",
    "sentence_promise_score",
    "sentence_promises",
    "sentence_promises_due",
    "sentence_ranks",
    "sentence_reconciliation",
    "sentence_recovery",
    "sentence_residuals",
    "sentence_sample_size",
    "sentence_second_opinion",
    "sentence_source_columns",
    "sentence_stability",
    "sentence_steps",
    "sentence_time_to_cure",
    "sentence_ultimate_outcomes",
    "sentence_validation",
    "sentence_vintages",
    "sentence_worklist",
]
