"""Every figure of the kit under one name; each answers one question and comes with its words.

A plot takes results (curves and frames) and returns a :class:`~recoverykit.report.figures.ReportFigure`. It computes
nothing but what is drawn.
"""

from recoverykit.report._plots_book import plot_allowance_by_segment, plot_coverage_by_age, plot_episodes_by_vintage
from recoverykit.report._plots_recovery import (
    plot_lgd_comparison,
    plot_lgd_distribution,
    plot_recovery_curve,
    plot_vintages,
)
from recoverykit.report._plots_survival import (
    plot_coefficients,
    plot_cumulative_incidence,
    plot_time_to_cure,
    plot_time_to_resolution,
)

__all__ = [
    "plot_allowance_by_segment",
    "plot_coefficients",
    "plot_coverage_by_age",
    "plot_cumulative_incidence",
    "plot_episodes_by_vintage",
    "plot_lgd_comparison",
    "plot_lgd_distribution",
    "plot_recovery_curve",
    "plot_time_to_cure",
    "plot_time_to_resolution",
    "plot_vintages",
]
