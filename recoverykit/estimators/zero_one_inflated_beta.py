"""Zero-and-one-inflated beta regression: no loss, total loss, and a beta density for the losses between.

P(LGD = 0) and P(LGD = 1 | LGD > 0) are logits of their own drivers; between, LGD ~ Beta(mu phi, (1 - mu) phi). The
distribution is that of Ospina & Ferrari (2010, Statistical Papers 51:111-126; regression: 2012, CSDA 56:1609-1623),
written as the questions are asked of a workout: any loss, then a total one, then how much. The likelihood falls into
three, each fitted by itself, and the expected loss is (1 - P0) (P1 + (1 - P1) mu).
"""

from dataclasses import dataclass

import pandas as pd

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._lgd_fitting import make_fit, pose_losses
from recoverykit.estimators._lgd_rows import OUTSIDE, Request, check_drivers
from recoverykit.estimators._lgd_stages import Posed, Stage, fit_beta, fit_share
from recoverykit.estimators._rows import BoolArray, check_choice
from recoverykit.estimators.lgd_regression import LgdRegressionFit

__all__ = ["ZeroOneInflatedBetaModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroOneInflatedBetaModel:
    """Choose a zero-and-one-inflated beta regression.

    Attributes
    ----------
    formula : str
        Right side of a formula of the mean of the losses between 0 and 1, on the logit scale.
    zero, one : str
        Formulas of P(LGD = 0) and of P(LGD = 1 | LGD > 0), on the logit scale.
    precision : str
        Formula of the log precision of the losses between.
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
    >>> loans = pd.DataFrame({"realised_lgd": [0.0, 0.0, 0.0, 0.2, 0.5, 0.8, 1.0, 1.0]})
    >>> fit = ZeroOneInflatedBetaModel().fit(loans)
    >>> fit.predict_parts(loans.head(1))[["zero", "one", "mean"]].round(3).values.tolist()  # 3 of 8, 2 of 5, the rest
    [[0.375, 0.4, 0.5]]
    """

    formula: str = "~ 1"
    zero: str = "~ 1"
    one: str = "~ 1"
    precision: str = "~ 1"
    outside: str = "refuse"

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("outside", self.outside, OUTSIDE)
        check_drivers(self._formulas)

    @property
    def _formulas(self) -> dict[str, str]:
        return {"zero": self.zero, "one": self.one, "mean": self.formula, "precision": self.precision}

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
        """Fit the three parts by maximum likelihood.

        Parameters, returns and errors are those of ``FractionalLogitModel.fit``. A part without a case (no loss of
        exactly 0, or none of exactly 1) has probability 0, is not estimated, and is named in ``boundary``.
        """
        request = Request(loss_col, weights_col, cluster_col, macro, default_month_col, level, self.outside)
        formulas = self._formulas
        posed = pose_losses(frame, formulas, request)
        is_zero, is_one = posed.rows.loss == 0.0, posed.rows.loss == 1.0
        between = ~(is_zero | is_one)
        if not between.any():
            raise InsufficientDataError(
                f"every {loss_col} is 0 or 1, so no density between them can be estimated; use FractionalLogitModel"
            )
        stages, absent = self._boundary_stages(posed, is_zero, is_one)
        stages.append(fit_beta(posed, "mean", (self.formula, self.precision), posed.rows.loss, between))
        where = {"zero": "exactly 0", "one": "exactly 1"}
        notes = [f"no {loss_col} is {where[name]}, so that probability is set to 0" for name in absent]
        return make_fit(
            posed,
            stages,
            model="zero-and-one-inflated beta regression",
            combination="inflated",
            request=request,
            is_quasi=False,
            variables=check_drivers({name: text for name, text in formulas.items() if name not in absent}),
            boundary="; ".join(notes) or None,
            given=dict.fromkeys(absent, 0.0),
        )

    def _boundary_stages(self, posed: Posed, is_zero: BoolArray, is_one: BoolArray) -> tuple[list[Stage], list[str]]:
        """Fit the shares on the boundary, and name those without a case."""
        stages, absent = [], []
        for name, text, flags, chosen in (
            ("zero", self.zero, is_zero, None),
            ("one", self.one, is_one, ~is_zero),
        ):
            if flags.any():
                stages.append(fit_share(posed, name, text, flags.astype(float), chosen, robust=False))
            else:
                absent.append(name)
        return stages, absent
