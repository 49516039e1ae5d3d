"""The mixture cure model: who ever has the event, and when those do.

P(T > t) = 1 - p(x) + p(x) S(t | x): incidence p is the probability of ever having the event, latency S the survival of
those that do (Boag 1949; Farewell 1982, Biometrics 38:1041-1046). The event may be the return to performing: then the
share that never has it is what recovery must come from. This module knows nothing of months, loans or money: it is
given columns, and speaks of the event by the name it is given.
"""

from dataclasses import dataclass

import pandas as pd

from recoverykit.estimators._mixture_fitting import Choices, fit_cure
from recoverykit.estimators._mixture_terms import MIXTURE
from recoverykit.estimators.mixture_comparison import NestedComparison, compare_fits, compare_nested
from recoverykit.estimators.mixture_cure_fit import MixtureCureFit, ShareInterval

__all__ = [
    "MixtureCureFit",
    "MixtureCureModel",
    "NestedComparison",
    "ShareInterval",
    "compare_fits",
    "compare_nested",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureCureModel:
    """Choose a mixture cure model: its latency distribution and the covariates of its two parts.

    Attributes
    ----------
    distribution : str
        Latency log T = x'beta + sigma eps: ``weibull``, ``exponential`` (sigma = 1), ``lognormal``, ``loglogistic``,
        ``gamma`` (exp(x'beta) is its mean and sigma its coefficient of variation) or ``generalized_gamma`` in
        Prentice's (mu, sigma, Q), which is the Weibull at Q = 1, the log-normal at 0 and the gamma at Q = sigma.
    incidence : str
        Formula of P(ever has the event) on the link scale.
    latency : str
        Formula of log time to the event among those that have it; positive coefficients mean later.
    link : str
        ``logit``, ``probit`` or ``cloglog``.

    Raises
    ------
    ValueError
        If a choice is not allowed or a formula cannot be read.

    Examples
    --------
    >>> import pandas as pd
    >>> counts = pd.DataFrame({"month": [1, 2, 3, 4, 6, 12], "cured": [1, 1, 1, 1, 1, 0], "n": [9, 8, 5, 3, 2, 73]})
    >>> model = MixtureCureModel(distribution="weibull")
    >>> fit = model.fit(counts, duration_col="month", event_col="cured", weights_col="n")
    >>> round(fit.never.value, 2)  # nearly all that are still open at the plateau
    0.73
    """

    distribution: str = "weibull"
    incidence: str = "~ 1"
    latency: str = "~ 1"
    link: str = "logit"

    def __post_init__(self) -> None:
        """Check the choices."""
        self._choices().check()

    def fit(
        self,
        frame: pd.DataFrame,
        *,
        duration_col: str | None = None,
        event_col: str | None = None,
        weights_col: str | None = None,
        entry_col: str | None = None,
        background_col: str | None = None,
        lower_col: str | None = None,
        upper_col: str | None = None,
        cluster_col: str | None = None,
        event_name: str | None = None,
        level: float = 0.95,
        progress: bool = False,
    ) -> MixtureCureFit:
        """Fit by maximum likelihood, from several starts, with the exact Hessian.

        Parameters
        ----------
        frame : DataFrame
            One row per episode, or per group of equal episodes with their number as weight; never modified.
        duration_col, event_col : str, optional
            Exact times: time of the event or of censoring, and whether the event was seen.
        lower_col, upper_col : str, optional
            Interval times, instead: the event lies in (lower, upper]; upper infinite where none was seen, equal to
            lower for an exact time. A month m of a monthly count is (m - 1, m].
        weights_col : str, optional
            Case weights, > 0: weight 2 is the row twice.
        entry_col : str, optional
            Time at which observation began; the likelihood is conditional on no event until then.
        background_col : str, optional
            Hazard, per unit of time, at which events come that are not the model's own: known from elsewhere, at the
            event or throughout its interval. The model then speaks of the events beyond it, and the part of the
            likelihood that is the background's alone is left out (de Angelis et al. 1999, Stat. Med. 18:441).
        cluster_col : str, optional
            Obligor or other cluster: standard errors become cluster-robust.
        event_name : str, optional
            What the event is called in sentences; ``event_col`` when not given.
        level : float
            Confidence level of every interval, in (0, 1).
        progress : bool
            Whether to show a progress bar over the starts.

        Returns
        -------
        MixtureCureFit
            The best maximum found, converged; it says where it stands on a boundary.

        Raises
        ------
        ValueError
            If an option is not allowed, or not exactly one form of time is given.
        ContractError
            If columns are absent or rows break a rule; all at once.
        InsufficientDataError
            If the data cannot carry the model: no event, all events in one interval, separation, columns that repeat
            each other.
        ConvergenceError
            If no start reaches a maximum.
        """
        columns = {
            "duration_col": duration_col,
            "event_col": event_col,
            "lower_col": lower_col,
            "upper_col": upper_col,
            "weights_col": weights_col,
            "entry_col": entry_col,
            "background_col": background_col,
        }
        return fit_cure(
            MixtureCureFit,
            self._choices(),
            frame,
            columns,
            cluster_col=cluster_col,
            event_name=event_name,
            level=level,
            progress=progress,
        )

    def _choices(self) -> Choices:
        return Choices(
            distribution=self.distribution,
            incidence=self.incidence,
            latency=self.latency,
            link=self.link,
            family=MIXTURE,
        )
