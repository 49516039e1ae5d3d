"""How many units an experiment needs, and what one of a given size could have found.

Asked before an experiment, the answer decides whether to run it; asked after one without a finding, it tells whether
silence means anything. This module knows no data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from statsmodels.stats.power import tt_ind_solve_power
from statsmodels.stats.proportion import power_proportions_2indep

from recoverykit.errors import InsufficientDataError

_MOST_UNITS = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentDesign:
    """Choose an experiment with two arms and an outcome per unit.

    Attributes
    ----------
    control_rate : float
        Share (or mean) of the outcome without the treatment; a share in (0, 1) unless ``outcome_sd`` is given.
    outcome_sd : float or None
        Standard deviation of an outcome that is an amount or a share recovered; None for yes or no.
    alpha : float
        Two-sided level of the test in (0, 1).
    treated_share : float
        Share of the units that are treated, in (0, 1).
    cluster_size : float
        Mean units per obligor, where obligors are randomised; 1 where units are.
    intracluster_correlation : float
        Correlation of the outcome within an obligor, in [0, 1].

    Raises
    ------
    ValueError
        With every choice that is not allowed.

    Notes
    -----
    Shares: normal approximation with the null variance of the pooled share, statsmodels' ``power_proportions_2indep``
    (Fleiss, Levin & Paik 2003, section 4.2). Means: Student's t, ``tt_ind_solve_power``. Clusters enlarge the sample by
    1 + (m - 1) rho (Donner & Klar 2000, section 5.2).

    Examples
    --------
    >>> design = ExperimentDesign(control_rate=0.30)
    >>> design.sample_size(0.05), round(design.minimum_detectable_difference(1000), 3)
    (2753, 0.084)

    To see five points more than 30 % with 80 % power takes 2,753 units in both arms together; with 1,000 units only a
    difference of 8.4 points would be likely to be seen.
    """

    control_rate: float
    outcome_sd: float | None = None
    alpha: float = 0.05
    treated_share: float = 0.5
    cluster_size: float = 1.0
    intracluster_correlation: float = 0.0

    def __post_init__(self) -> None:
        """Check all choices at once."""
        wrong = []
        if self.outcome_sd is None and not 0 < self.control_rate < 1:
            wrong.append(f"control_rate is {self.control_rate!r}; a share must lie between 0 and 1")
        if self.outcome_sd is not None and not self.outcome_sd > 0:
            wrong.append(f"outcome_sd is {self.outcome_sd!r}; it must be above 0")
        for name in ("alpha", "treated_share"):
            if not 0 < getattr(self, name) < 1:
                wrong.append(f"{name} is {getattr(self, name)!r}; it must lie between 0 and 1")
        if not self.cluster_size >= 1:
            wrong.append(f"cluster_size is {self.cluster_size!r}; it must be 1 or more")
        if not 0 <= self.intracluster_correlation <= 1:
            wrong.append(f"intracluster_correlation is {self.intracluster_correlation!r}; it must lie in [0, 1]")
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def design_effect(self) -> float:
        """Factor by which clusters enlarge the sample."""
        return 1 + (self.cluster_size - 1) * self.intracluster_correlation

    def power(self, difference: float, n_units: float) -> float:
        """Return the probability of a significant result.

        Parameters
        ----------
        difference : float
            True effect, treated less control.
        n_units : float
            Units in both arms together, above 4.
        """
        effective = n_units / self.design_effect
        n_treated = effective * self.treated_share
        ratio = (1 - self.treated_share) / self.treated_share
        if self.outcome_sd is not None:
            size = abs(difference) / self.outcome_sd
            return float(
                tt_ind_solve_power(size, nobs1=n_treated, alpha=self.alpha, ratio=ratio) if size else self.alpha
            )
        if not 0 < self.control_rate + difference < 1:
            raise ValueError(f"a difference of {difference!r} leaves the share outside 0 to 1")
        found = power_proportions_2indep(
            difference, self.control_rate, n_treated, ratio=ratio, alpha=self.alpha, return_results=False
        )
        return float(found)

    def sample_size(self, difference: float, *, power: float = 0.80) -> int:
        """Return the units in both arms together that see a difference with a given probability.

        Raises
        ------
        ValueError
            When the difference is 0 or the power not inside (alpha, 1).
        """
        if difference == 0 or not self.alpha < power < 1:
            raise ValueError(f"difference is {difference!r} and power {power!r}; give a difference and a power below 1")
        low = 5 * self.design_effect
        if self.power(difference, low) >= power:
            return int(np.ceil(low))
        return int(np.ceil(brentq(lambda n: self.power(difference, n) - power, low, _MOST_UNITS, xtol=0.01)))

    def minimum_detectable_difference(self, n_units: float, *, power: float = 0.80) -> float:
        """Return the smallest increase that an experiment would see with a given probability.

        Raises
        ------
        InsufficientDataError
            When even the largest increase would be missed.
        """
        largest = 20 * self.outcome_sd if self.outcome_sd is not None else (1 - self.control_rate) * (1 - 1e-9)
        if self.power(largest, n_units) < power:
            raise InsufficientDataError(f"{n_units:g} units see no increase with a probability of {power:.0%}")
        return float(brentq(lambda d: self.power(d, n_units) - power, 1e-9 * largest, largest))

    def power_curve(self, difference: float, n_units: Sequence[float]) -> pd.DataFrame:
        """Return the power by size of the experiment: n_units, difference, power."""
        rows = [(float(n), difference, self.power(difference, float(n))) for n in n_units]
        return pd.DataFrame(rows, columns=["n_units", "difference", "power"])
