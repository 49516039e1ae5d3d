"""The promotion-time model: a never-share without a mixture.

P(T > t) = exp(-theta(x) F(t | z)): causes of the event lie in wait, theta of them on average, and the first to ripen
brings it; an episode without any never has the event (Yakovlev and Tsodikov 1996; Chen, Ibrahim and Sinha 1999, JASA
94:909-919). Covariates of theta then act on the hazard at every time proportionally, which a mixture does not have. The
never-share is exp(-theta), and incidence is P(ever has the event) = 1 - exp(-theta), as in the mixture model. This
module knows nothing of months, loans or money.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from recoverykit.estimators._mixture_fitting import Choices, fit_cure
from recoverykit.estimators._mixture_terms import Family
from recoverykit.estimators._promotion_terms import PROMOTION
from recoverykit.estimators.mixture_cure_fit import CureFit

__all__ = ["PromotionTimeFit", "PromotionTimeModel"]


@dataclass(frozen=True, slots=True, eq=False)
class PromotionTimeFit(CureFit):
    """A converged promotion-time model: P(T > t) = exp(-theta F(t)). Attributes are those of ``CureFit``."""

    family: ClassVar[Family] = PROMOTION


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionTimeModel:
    """Choose a promotion-time model: the distribution F and the covariates of its two parts.

    Attributes
    ----------
    distribution : str
        Of the time at which a cause ripens, log T = z'beta + sigma eps; the names of ``MixtureCureModel``.
    incidence : str
        Formula of the long-term part.
    latency : str
        Formula of log time; positive coefficients mean later.
    link : str
        ``logit``: the long-term part is logit P(ever has the event), as in flexsurvcure and Stata with the sign turned
        round; ``log``: it is log theta, so that coefficients are log ratios of hazards.

    Raises
    ------
    ValueError
        If a choice is not allowed or a formula cannot be read.

    Examples
    --------
    >>> import pandas as pd
    >>> counts = pd.DataFrame({"month": [1, 2, 3, 4, 6, 12], "cured": [1, 1, 1, 1, 1, 0], "n": [9, 8, 5, 3, 2, 73]})
    >>> fit = PromotionTimeModel(link="log").fit(counts, duration_col="month", event_col="cured", weights_col="n")
    >>> round(fit.never.value, 2)  # the plateau again: 73 of 100 stay
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
    ) -> PromotionTimeFit:
        """Fit by maximum likelihood, from several starts, with the exact Hessian.

        Parameters and errors are those of ``MixtureCureModel.fit``.

        Returns
        -------
        PromotionTimeFit
            The best maximum found, converged; it says where it stands on a boundary.
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
            PromotionTimeFit,
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
            family=PROMOTION,
        )
