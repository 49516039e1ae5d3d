"""Survival-based LGD: P(cure) from a cure model that counts open episodes as censored, and losses given the outcome.

E(LGD) = p LGC + (1 - p) LGN, p the ultimate probability of cure, from the default on or given that the episode has been
open for so many months. The model of closed episodes alone gets p from a selection; this one gets it from all. Loss
given no cure still rests on closed episodes: where the long workouts that are still open lose more, it is too low.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._lgd_cure import cure_probability
from recoverykit.estimators._lgd_fitting import assemble, pose_losses
from recoverykit.estimators._lgd_prediction import External
from recoverykit.estimators._lgd_rows import OUTSIDE, Request, check_drivers
from recoverykit.estimators._rows import broken, check_choice, number_column
from recoverykit.estimators.beta_regression import check_inside
from recoverykit.estimators.lgd_regression import LgdRegressionFit
from recoverykit.estimators.mixture_cure_fit import MixtureCureFit
from recoverykit.estimators.two_stage_lgd import CONSTANT, SEVERITIES, fit_given_outcome, read_outcomes
from recoverykit.vocabulary import Outcome

__all__ = ["SurvivalLgdFit", "SurvivalLgdModel"]


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalLgdFit(LgdRegressionFit):
    """A fitted survival-based LGD model: an ``LgdRegressionFit`` of the losses given outcome, with a cure model.

    Attributes
    ----------
    cure_fit : MixtureCureFit
        Where P(cure) comes from. Its estimates are taken as independent of those of the losses, as they are where the
        loss given an outcome does not depend on how long that took.
    months_open_col : str or None
        Time after which a row is known not to have cured; None predicts from the default on.
    n_open : float
        Episodes that were open, and so in no loss.
    """

    cure_fit: MixtureCureFit = field(repr=False)
    months_open_col: str | None
    n_open: float

    def sentence(self) -> str:
        """Say what was fitted, on what, what is not known, and where P(cure) comes from."""
        beside = f"{self.n_open:,.0f} open episodes count in the cure model only"
        return f"{LgdRegressionFit.sentence(self)} {beside}. {self.cure_fit.sentence()}"

    def to_record(self) -> dict[str, object]:
        """Return the fit as plain numbers and texts that JSON takes; None where there is no number."""
        return LgdRegressionFit.to_record(self) | {"n_open": self.n_open, "months_open_col": self.months_open_col}

    def _external(self, frame: pd.DataFrame, /) -> Mapping[str, External]:
        """Return P(cure) of each row."""
        months = None
        if self.months_open_col is not None:
            months = number_column(frame, self.months_open_col, 0.0)
            faults = broken(frame, f"{self.months_open_col} must be 0 or more", ~(months >= 0))
            if faults:
                raise ContractError(faults)
        return {"cure": cure_probability(self.cure_fit, frame, months)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivalLgdModel:
    """Choose a survival-based LGD model.

    Attributes
    ----------
    cure_fit : MixtureCureFit
        A mixture cure model with cure as its event, fitted on all episodes, open ones among them; those with another
        outcome followed to the age at which they would be seen today, since they could not cure any more.
    loss_given_no_cure : str
        Formula of the mean loss of those that closed without cure, on the logit scale.
    severity : str
        ``fractional`` or ``beta`` for that mean, as in ``TwoStageLgdModel``.
    months_open_col : str, optional
        Column of the frames to predict for: time, in the unit of the cure model, after which the episode is known to be
        open. Without it the prediction is made as of the default. The cure model knows of an open episode only that it
        has not cured: where many others ended otherwise by then, it is likelier to cure than this says, and the
        competing-outcomes model is the one to ask.
    outcome_col, cured, still_open : str
        The column of outcomes and its values. Open episodes enter through ``cure_fit`` only; their losses are not read.
    outside : str
        Losses below 0 or above 1: ``refuse`` them, or ``clip`` them to the nearer limit and count them.

    Raises
    ------
    ValueError
        If a choice is not allowed or the formula cannot be read.
    RefusedColumnError
        If a driver, of the cure model too, is known only after the outcome, or is refused by another rule.

    Examples
    --------
    >>> from recoverykit.estimators.mixture_cure import MixtureCureModel
    >>> loans = pd.DataFrame({"month": [1, 3, 6, 30, 24], "is_cured": [True, True, True, False, False],
    ...                       "outcome": ["cured", "cured", "cured", "written_off", "open"],
    ...                       "realised_lgd": [0.0, 0.01, 0.02, 0.8, None], "n": [20, 20, 20, 20, 20]})
    >>> cures = MixtureCureModel().fit(loans, duration_col="month", event_col="is_cured", weights_col="n")
    >>> fit = SurvivalLgdModel(cure_fit=cures).fit(loans, weights_col="n")
    >>> round(float(fit.predict(loans).iloc[0]), 2)  # 0.6 x 0.01 + 0.4 x 0.8: the open ones will hardly cure any more
    0.33
    """

    cure_fit: MixtureCureFit
    loss_given_no_cure: str = CONSTANT
    severity: str = "fractional"
    months_open_col: str | None = None
    outcome_col: str = "outcome"
    cured: str = Outcome.CURED
    still_open: str = Outcome.OPEN
    outside: str = "refuse"

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("severity", self.severity, SEVERITIES)
        check_choice("outside", self.outside, OUTSIDE)
        check_drivers({"loss_given_no_cure": self.loss_given_no_cure}, self._cure_drivers)

    @property
    def _cure_drivers(self) -> tuple[str, ...]:
        return tuple(sorted({name for design in self.cure_fit.designs for name in design.variables}))

    def fit(
        self,
        frame: pd.DataFrame,
        *,
        loss_col: str = "realised_lgd",
        weights_col: str | None = None,
        cluster_col: str | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        level: float = 0.95,
    ) -> SurvivalLgdFit:
        """Fit the losses given outcome on closed episodes; the cure model is taken as it was fitted.

        Parameters, returns and errors are those of ``FractionalLogitModel.fit``; ContractError too for missing
        outcomes. Clusters tie the losses together, not the losses with the cures.
        """
        request = Request(loss_col, weights_col, cluster_col, macro, default_month_col, level, self.outside)
        is_cured, is_open = read_outcomes(frame, self.outcome_col, self.cured, self.still_open)
        if is_open.all():
            raise InsufficientDataError(f"all {len(frame):,} episodes are open, so no loss is known")
        closed, is_cured = frame[~is_open], is_cured[~is_open]
        formulas = {"loss_given_no_cure": self.loss_given_no_cure, "loss_given_cure": CONSTANT}
        posed = pose_losses(closed, formulas, request)
        if self.severity == "beta":
            check_inside(closed, posed.rows, request, ~is_cured)
        beside = () if self.months_open_col is None else (self.months_open_col,)
        fields = assemble(
            posed,
            fit_given_outcome(posed, self.loss_given_no_cure, is_cured, self.severity),
            model=f"survival-based model ({self.cure_fit.distribution} cure model, {self.severity} severity)",
            combination="cure",
            request=request,
            is_quasi=True,
            variables=tuple(sorted({*check_drivers(formulas), *self._cure_drivers, *beside})),
            boundary=self.cure_fit.boundary,
        )
        n_open = float(number_column(frame, weights_col, 1.0)[is_open].sum())
        return SurvivalLgdFit(**fields, cure_fit=self.cure_fit, months_open_col=self.months_open_col, n_open=n_open)
