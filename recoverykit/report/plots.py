"""Every figure of the kit under one name; each answers one question and comes with its words.

A plot takes results (curves and frames) and returns a :class:`~recoverykit.report.figures.ReportFigure`. It computes
nothing but what is drawn.
"""

from recoverykit.report._plots_book import plot_allowance_by_segment, plot_coverage_by_age, plot_episodes_by_vintage
from recoverykit.report._plots_conduct import plot_contact_breaches
from recoverykit.report._plots_court import plot_court_load, plot_court_phases, plot_package_effect
from recoverykit.report._plots_cure import plot_coefficients, plot_cox_snell
from recoverykit.report._plots_lgd import plot_lgd_averages, plot_lgd_calibration, plot_lgd_drivers, plot_lgd_models
from recoverykit.report._plots_loss import plot_back_test, plot_lgd_steps
from recoverykit.report._plots_outcomes import plot_in_default, plot_outcome_losses
from recoverykit.report._plots_predue import plot_claimed_reduction, plot_pre_due_arms, plot_roll_rates
from recoverykit.report._plots_promises import plot_time_to_kept
from recoverykit.report._plots_recovery import (
    plot_lgd_comparison,
    plot_lgd_distribution,
    plot_recovery_curve,
    plot_vintages,
)
from recoverykit.report._plots_scorecards import plot_bonus_luck, plot_funnel, plot_shrunken_ranks, plot_units
from recoverykit.report._plots_survival import plot_cumulative_incidence, plot_time_to_cure, plot_time_to_resolution
from recoverykit.report._plots_treatments import (
    plot_density_check,
    plot_discontinuity,
    plot_overlap,
    plot_power,
    plot_treatment_effects,
    plot_window_sensitivity,
)
from recoverykit.report._plots_triage import plot_light_calibration, plot_light_map, plot_strategies
from recoverykit.report._plots_triangle import plot_triangle
from recoverykit.report._plots_validation import (
    plot_calibration,
    plot_calibration_by_month,
    plot_discrimination,
    plot_never_cured,
    plot_parameter_stability,
)
from recoverykit.report._plots_warroom import plot_case_bridge, plot_follow_ups

__all__ = [
    "plot_allowance_by_segment",
    "plot_back_test",
    "plot_bonus_luck",
    "plot_calibration",
    "plot_calibration_by_month",
    "plot_case_bridge",
    "plot_claimed_reduction",
    "plot_coefficients",
    "plot_contact_breaches",
    "plot_court_load",
    "plot_court_phases",
    "plot_coverage_by_age",
    "plot_cox_snell",
    "plot_cumulative_incidence",
    "plot_density_check",
    "plot_discontinuity",
    "plot_discrimination",
    "plot_episodes_by_vintage",
    "plot_follow_ups",
    "plot_funnel",
    "plot_in_default",
    "plot_lgd_averages",
    "plot_lgd_calibration",
    "plot_lgd_comparison",
    "plot_lgd_distribution",
    "plot_lgd_drivers",
    "plot_lgd_models",
    "plot_lgd_steps",
    "plot_light_calibration",
    "plot_light_map",
    "plot_never_cured",
    "plot_outcome_losses",
    "plot_overlap",
    "plot_package_effect",
    "plot_parameter_stability",
    "plot_power",
    "plot_pre_due_arms",
    "plot_recovery_curve",
    "plot_roll_rates",
    "plot_shrunken_ranks",
    "plot_strategies",
    "plot_time_to_cure",
    "plot_time_to_kept",
    "plot_time_to_resolution",
    "plot_treatment_effects",
    "plot_triangle",
    "plot_units",
    "plot_vintages",
    "plot_window_sensitivity",
]
