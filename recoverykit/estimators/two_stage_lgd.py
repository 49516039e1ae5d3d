"""Losses in two stages: any loss and then how much; or cured or not, and then the loss given no cure.

The first question of a workout is not how much is lost but whether anything is. Each stage has drivers of its own, and
the expected loss is their product, with its error by the delta method; with clusters the errors of the stages are tied
together. For open episodes, whose cure is not known yet, there is the survival-based model.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._lgd_fitting import make_fit, pose_losses
from recoverykit.estimators._lgd_rows import OUTSIDE, Request, check_drivers
from recoverykit.estimators._lgd_stages import Posed, Stage, fit_beta, fit_level, fit_share
from recoverykit.estimators._rows import BoolArray, broken, check_choice, check_columns
from recoverykit.estimators.beta_regression import check_inside
from recoverykit.estimators.lgd_regression import LgdRegressionFit
from recoverykit.vocabulary import Outcome

__all__ = ["CureLgdModel", "TwoStageLgdModel"]

SEVERITIES = ("fractional", "beta")
#: The constant mean, and the constant precision of a beta density.
CONSTANT = "~ 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoStageLgdModel:
    """Choose a two-stage model: P(any loss) times the mean loss given one.

    Attributes
    ----------
    any_loss : str
        Formula of P(LGD > 0), on the logit scale.
    loss_given_loss : str
        Formula of the mean loss of those with one, on the logit scale.
    severity : str
        ``fractional``: quasi-likelihood of that mean; ``beta``: beta density with constant precision, for which no loss
        may be exactly 1.
    outside : str
        Losses below 0 or above 1: ``refuse`` them, or ``clip`` them to the nearer limit and count them.

    Raises
    ------
    ValueError
        If a choice is not allowed or a formula cannot be read.
    RefusedColumnError
        If a driver is known only after the outcome, or is refused by another rule.

    Examples
    --------
    >>> loans = pd.DataFrame({"realised_lgd": [0.0, 0.0, 0.0, 0.4, 0.6]})
    >>> fit = TwoStageLgdModel().fit(loans)
    >>> fit.predict_parts(loans.head(1)).round(3).values.tolist()  # 2 of 5 lose, a half on average
    [[0.4, 0.5, 0.2]]
    """

    any_loss: str = CONSTANT
    loss_given_loss: str = CONSTANT
    severity: str = "fractional"
    outside: str = "refuse"

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("severity", self.severity, SEVERITIES)
        check_choice("outside", self.outside, OUTSIDE)
        check_drivers({"any_loss": self.any_loss, "loss_given_loss": self.loss_given_loss})

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
    ) -> LgdRegressionFit:
        """Fit both stages.

        Parameters, returns and errors are those of ``FractionalLogitModel.fit``. Where every episode has a loss, P(any
        loss) is 1, not estimated, and named in ``boundary``.
        """
        request = Request(loss_col, weights_col, cluster_col, macro, default_month_col, level, self.outside)
        formulas = {"any_loss": self.any_loss, "loss_given_loss": self.loss_given_loss, "precision": CONSTANT}
        posed = pose_losses(frame, formulas, request)
        has_loss = posed.rows.loss > 0.0
        if not has_loss.any():
            raise InsufficientDataError(f"no episode has a {loss_col} above 0, so there is no loss to model")
        always = bool(has_loss.all())
        stages: list[Stage] = []
        if not always:
            robust = self.severity == "fractional"
            stages.append(fit_share(posed, "any_loss", self.any_loss, has_loss.astype(float), robust=robust))
        if self.severity == "beta":
            check_inside(frame, posed.rows, request, has_loss)
        stages.append(fit_severity(posed, "loss_given_loss", self.loss_given_loss, has_loss, self.severity))
        return make_fit(
            posed,
            stages,
            model=f"two-stage model (any loss, then {self.severity} severity)",
            combination="two_stage",
            request=request,
            is_quasi=self.severity == "fractional",
            variables=check_drivers(formulas if not always else {"loss_given_loss": self.loss_given_loss}),
            boundary=f"every {loss_col} is above 0, so the probability of a loss is set to 1" if always else None,
            given={"any_loss": 1.0} if always else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CureLgdModel:
    """Choose a cure model of closed episodes: P(cure) times loss given cure, plus P(no cure) times loss given none.

    Attributes
    ----------
    cure : str
        Formula of P(cure) on the logit scale.
    loss_given_no_cure : str
        Formula of the mean loss of those that did not cure, on the logit scale.
    severity : str
        ``fractional`` or ``beta`` for that mean, as in ``TwoStageLgdModel``.
    outcome_col, cured : str
        The column of outcomes, and the value in it that means cured. Loss given cure is the plain mean of those.
    still_open : str
        The value that means open: such an episode is refused here, since whether it cures is not known;
        ``SurvivalLgdModel`` takes it.
    outside : str
        Losses below 0 or above 1: ``refuse`` them, or ``clip`` them to the nearer limit and count them.

    Raises
    ------
    ValueError
        If a choice is not allowed or a formula cannot be read.
    RefusedColumnError
        If a driver is known only after the outcome, or is refused by another rule.

    Examples
    --------
    >>> loans = pd.DataFrame({"outcome": ["cured"] * 3 + ["written_off"] * 2,
    ...                       "realised_lgd": [0.0, 0.0, 0.03, 0.7, 0.9]})
    >>> fit = CureLgdModel().fit(loans)
    >>> round(float(fit.predict(loans).iloc[0]), 3)  # 0.6 x 0.01 + 0.4 x 0.8
    0.326
    """

    cure: str = CONSTANT
    loss_given_no_cure: str = CONSTANT
    severity: str = "fractional"
    outcome_col: str = "outcome"
    cured: str = Outcome.CURED
    still_open: str = Outcome.OPEN
    outside: str = "refuse"

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("severity", self.severity, SEVERITIES)
        check_choice("outside", self.outside, OUTSIDE)
        check_drivers({"cure": self.cure, "loss_given_no_cure": self.loss_given_no_cure})

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
    ) -> LgdRegressionFit:
        """Fit cure, loss given cure and loss given no cure on closed episodes.

        Parameters, returns and errors are those of ``FractionalLogitModel.fit``; ContractError too for missing or
        open outcomes. Closed episodes are a selection: quick workouts close first, and cures are quick.
        """
        request = Request(loss_col, weights_col, cluster_col, macro, default_month_col, level, self.outside)
        is_cured, is_open = read_outcomes(frame, self.outcome_col, self.cured, self.still_open)
        rule = f"{self.outcome_col} must not be '{self.still_open}': its cure is not known yet; use SurvivalLgdModel"
        faults = broken(frame, rule, is_open)
        if faults:
            raise ContractError(faults)
        formulas = {"cure": self.cure, "loss_given_no_cure": self.loss_given_no_cure, "loss_given_cure": CONSTANT}
        posed = pose_losses(frame, formulas, request)
        if self.severity == "beta":
            check_inside(frame, posed.rows, request, ~is_cured)
        stages = [
            fit_share(posed, "cure", self.cure, is_cured.astype(float), robust=True),
            *fit_given_outcome(posed, self.loss_given_no_cure, is_cured, self.severity),
        ]
        return make_fit(
            posed,
            stages,
            model=f"cure model of closed episodes ({self.severity} severity)",
            combination="cure",
            request=request,
            is_quasi=True,
            variables=check_drivers(formulas),
        )


def fit_severity(posed: Posed, name: str, formula: str, chosen: BoolArray, severity: str) -> Stage:
    """Fit the mean loss of the chosen episodes, by quasi-likelihood or with a beta density of constant precision."""
    if severity == "beta":
        return fit_beta(posed, name, (formula, CONSTANT), posed.rows.loss, chosen)
    return fit_share(posed, name, formula, posed.rows.loss, chosen, robust=True)


def fit_given_outcome(posed: Posed, formula: str, is_cured: BoolArray, severity: str) -> list[Stage]:
    """Fit the loss given no cure, and the plain mean of the loss given cure.

    Raises
    ------
    InsufficientDataError
        If no episode cured, or all did.
    """
    for flags, what in ((is_cured, "cured"), (~is_cured, "closed without cure")):
        if not flags.any():
            raise InsufficientDataError(f"no episode {what}, so the loss of such an episode cannot be estimated")
    return [
        fit_severity(posed, "loss_given_no_cure", formula, ~is_cured, severity),
        fit_level(posed, "loss_given_cure", CONSTANT, posed.rows.loss, is_cured),
    ]


def read_outcomes(frame: pd.DataFrame, outcome_col: str, cured: str, still_open: str) -> tuple[BoolArray, BoolArray]:
    """Return which episodes cured and which are open.

    Raises
    ------
    ContractError
        If the column is absent or an outcome is missing.
    """
    check_columns(frame, [outcome_col])
    column = frame[outcome_col]
    faults = broken(frame, f"{outcome_col} must not be missing", column.isna().to_numpy())
    if faults:
        raise ContractError(faults)
    flags = (np.asarray(column == str(value), dtype=bool) for value in (cured, still_open))
    is_cured, is_open = flags
    return is_cured, is_open
