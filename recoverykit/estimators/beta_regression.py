"""Beta regression: losses inside (0, 1) with a mean on the logit scale and a precision that may vary.

LGD ~ Beta(mu phi, (1 - mu) phi), logit mu = x'b, log phi = z'g (Ferrari & Cribari-Neto 2004, J. Appl. Stat. 31:799;
Simas, Barreto-Souza & Rocha 2010, CSDA 54:348). Losses of exactly 0 and 1 have no density here: they are refused, or
moved inside when that is asked for by name; the zero-and-one-inflated model takes them as they are.

The fit is Newton's method with the exact Hessian on patterns or in blocks of rows; the routine of statsmodels, which
serves as oracle in the tests, knows no weights and stops at a loose gradient.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError
from recoverykit.estimators._lgd_fitting import make_fit, pose_losses
from recoverykit.estimators._lgd_rows import OUTSIDE, LossRows, Request, check_drivers
from recoverykit.estimators._lgd_stages import Posed, fit_beta
from recoverykit.estimators._rows import BoolArray, broken, check_choice
from recoverykit.estimators.lgd_regression import LgdRegressionFit

__all__ = ["BetaRegressionModel"]

ON_BOUNDARY = ("refuse", "squeeze")


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaRegressionModel:
    """Choose a beta regression.

    Attributes
    ----------
    formula : str
        Right side of a formula of the mean loss on the logit scale.
    precision : str
        Right side of a formula of the log precision: larger means losses closer to their mean.
    on_boundary : str
        Losses of exactly 0 or 1: ``refuse`` them, or ``squeeze`` every loss y to (y (n - 1) + 1/2) / n, n the number of
        episodes (Smithson & Verkuilen 2006, Psychological Methods 11:54-71). Squeezed estimates depend on n, and are
        driven by how many losses stand on the boundary.
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
    >>> loans = pd.DataFrame({"realised_lgd": [0.1, 0.3, 0.4, 0.6, 0.9]})
    >>> fit = BetaRegressionModel().fit(loans)
    >>> round(float(fit.predict(loans).iloc[0]), 2)  # near the plain mean of 0.46, not equal to it
    0.47
    """

    formula: str = "~ 1"
    precision: str = "~ 1"
    on_boundary: str = "refuse"
    outside: str = "refuse"

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("on_boundary", self.on_boundary, ON_BOUNDARY)
        check_choice("outside", self.outside, OUTSIDE)
        check_drivers({"loss": self.formula, "precision": self.precision})

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
        """Fit mean and precision by maximum likelihood.

        Parameters, returns and errors are those of ``FractionalLogitModel.fit``; ContractError too for losses of
        exactly 0 or 1 when they are refused. Predictions are the mean mu.
        """
        request = Request(loss_col, weights_col, cluster_col, macro, default_month_col, level, self.outside)
        formulas = {"mean": self.formula, "precision": self.precision}
        posed = pose_losses(frame, formulas, request)
        rows = posed.rows
        squeezed = self.on_boundary == "squeeze"
        if not squeezed:
            check_inside(frame, rows, request)
        used = squeeze(rows) if squeezed else rows
        stage = fit_beta(Posed(used, posed.designs), "mean", (self.formula, self.precision), used.loss)
        note = f"every loss was squeezed towards 1/2 by {0.5 / rows.count():.2g} at the most" if squeezed else None
        return make_fit(
            posed,
            [stage],
            model="beta regression",
            combination="mean",
            request=request,
            is_quasi=False,
            variables=check_drivers(formulas),
            boundary=note,
        )


def check_inside(frame: pd.DataFrame, rows: LossRows, request: Request, chosen: BoolArray | None = None) -> None:
    """Refuse losses of exactly 0 or 1; or, where they are one stage of a model, among those chosen.

    Raises
    ------
    ContractError
        With their number and first rows.
    """
    if rows.loss.min() > 0 and rows.loss.max() < 1:
        return
    on_boundary = (rows.loss <= 0) | (rows.loss >= 1)
    other = "FractionalLogitModel, or ask for on_boundary='squeeze'" if chosen is None else "severity='fractional'"
    rule = (
        f"{request.loss_col} must lie inside 0 and 1, both excluded, for a beta density; use "
        f"ZeroOneInflatedBetaModel or {other}"
    )
    faults = broken(frame, rule, on_boundary if chosen is None else on_boundary & chosen)
    if faults:
        raise ContractError(faults)


def squeeze(rows: LossRows) -> LossRows:
    """Return the rows with every loss y at (y (n - 1) + 1/2) / n."""
    n_episodes = rows.count()
    return replace(rows, loss=np.asarray((rows.loss * (n_episodes - 1.0) + 0.5) / n_episodes, dtype=float))
