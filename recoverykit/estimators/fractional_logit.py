"""Fractional logit: the mean loss on the logit scale, whatever the distribution of losses around it.

E(LGD | x) = 1 / (1 + exp(-x'b)), fitted by the Bernoulli quasi-likelihood with robust errors (Papke & Wooldridge 1996,
J. Appl. Econometrics 11:619-632). Losses of exactly 0 and 1 belong in it, and predictions lie between them.

The fit is Newton's method on patterns or in blocks of rows. The general routine of statsmodels, which serves as oracle
in the tests, holds several copies of the design and cannot take its robust errors from patterns.
"""

from dataclasses import dataclass

import pandas as pd

from recoverykit.estimators._lgd_fitting import make_fit, pose_losses
from recoverykit.estimators._lgd_rows import OUTSIDE, Request, check_drivers
from recoverykit.estimators._lgd_stages import fit_share
from recoverykit.estimators._rows import check_choice
from recoverykit.estimators.lgd_regression import LgdRegressionFit

__all__ = ["FractionalLogitModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FractionalLogitModel:
    """Choose a fractional logit model.

    Attributes
    ----------
    formula : str
        Right side of a formula of the mean loss on the logit scale.
    outside : str
        Losses below 0 or above 1: ``refuse`` them, or ``clip`` them to the nearer limit and count them.

    Raises
    ------
    ValueError
        If a choice is not allowed or the formula cannot be read.
    RefusedColumnError
        If a driver is known only after the outcome, or is refused by another rule.

    Examples
    --------
    >>> loans = pd.DataFrame({"product": ["car"] * 3 + ["card"] * 3, "realised_lgd": [0.0, 0.2, 0.4, 0.5, 0.7, 0.9]})
    >>> fit = FractionalLogitModel(formula="~ product").fit(loans)
    >>> fit.predict(loans.iloc[[0, 3]]).round(3).tolist()  # one driver with two levels: the means of the levels
    [0.2, 0.7]
    """

    formula: str = "~ 1"
    outside: str = "refuse"

    def __post_init__(self) -> None:
        """Check the choices."""
        check_choice("outside", self.outside, OUTSIDE)
        check_drivers({"loss": self.formula})

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
        """Fit the mean loss by maximum quasi-likelihood.

        Parameters
        ----------
        frame : DataFrame
            One row per episode whose loss is known, or per group of equal episodes with their number as weight. Not
            changed.
        loss_col : str
            Losses as shares of EAD.
        weights_col : str, optional
            Case weights, > 0: weight 2 is the row twice.
        cluster_col : str, optional
            Obligor or other cluster: standard errors become cluster-robust.
        macro : DataFrame, optional
            Macro values by calendar month, which stands in the index (periods, dates or text such as "2024-03") or in a
            column ``month_end``. A formula reads the value of the month of default; lags are made in this frame.
        default_month_col : str, optional
            Date or month of default; needed when a formula reads a macro column.
        level : float
            Confidence level of every interval, in (0, 1).

        Returns
        -------
        LgdRegressionFit

        Raises
        ------
        ValueError
            If an option is not allowed, or a month of default is needed and not named.
        ContractError
            If columns are absent or rows break a rule; all at once.
        InsufficientDataError
            If the data cannot carry the model: too few episodes, columns that determine each other, a level whose
            losses are all 0 or all 1.
        ConvergenceError
            If no maximum is reached.
        """
        request = Request(loss_col, weights_col, cluster_col, macro, default_month_col, level, self.outside)
        formulas = {"mean": self.formula}
        posed = pose_losses(frame, formulas, request)
        stage = fit_share(posed, "mean", self.formula, posed.rows.loss, robust=True)
        return make_fit(
            posed,
            [stage],
            model="fractional logit",
            combination="mean",
            request=request,
            is_quasi=True,
            variables=check_drivers(formulas),
        )
