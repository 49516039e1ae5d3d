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

__all__ = [
    "sentence_allowance_total",
    "sentence_closed_only_bias",
    "sentence_competing_outcomes",
    "sentence_coverage",
    "sentence_data_quality",
    "sentence_episodes",
    "sentence_exclusions",
    "sentence_fallback",
    "sentence_follow_up",
    "sentence_lgd",
    "sentence_median_resolution",
    "sentence_model",
    "sentence_reconciliation",
    "sentence_recovery",
    "sentence_time_to_cure",
]
