"""The propensity to be treated and the outcome by group, on design matrices: statsmodels' logit and least squares."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationError, PerfectSeparationWarning

from recoverykit.errors import ConvergenceError, UnsoundComparisonError

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

INTERCEPT = "Intercept"


@dataclass(frozen=True, slots=True, eq=False)
class Propensity:
    """A fitted logistic propensity.

    Attributes
    ----------
    params : Series
        Coefficients by term.
    values : ndarray of shape (n,)
        Probability of being treated.
    design : ndarray of shape (n, n_terms)
        The design matrix.
    """

    params: pd.Series
    values: Array
    design: Array

    def scores(self, is_treated: BoolArray) -> Array:
        """Return the score of each unit, of shape (n, n_terms)."""
        return (is_treated - self.values)[:, None] * self.design


def fit_propensity(design: Array, is_treated: BoolArray, terms: tuple[str, ...]) -> Propensity:
    """Fit the propensity by maximum likelihood.

    Raises
    ------
    UnsoundComparisonError
        When a combination of covariates separates the treated from the others.
    ConvergenceError
        When there is no maximum for another reason.
    """
    try:
        fitted = _logit(is_treated.astype(float), design)
    except _NoMaximumError as error:
        if error.is_separated:
            raise UnsoundComparisonError(
                f"{', '.join(terms)} tell the treated units from the others without fail, so no unit has a counterpart "
                "(positivity): a rule decided; at its cut-off use regression_discontinuity"
            ) from error
        raise ConvergenceError(
            f"the propensity in {', '.join(terms)} has no maximum; leave out terms that repeat others, or merge rare "
            "levels"
        ) from error
    values = np.asarray(1 / (1 + np.exp(-(design @ fitted))))
    return Propensity(pd.Series(fitted, index=list(terms)), values, design)


def outcome_predictions(design: Array, outcome: Array, side: BoolArray) -> Array:
    """Predict the outcome of every unit from those of one group: logistic for 0 and 1, linear otherwise.

    Parameters
    ----------
    design : ndarray of shape (n, n_terms)
        Design matrix of all units.
    outcome : ndarray of shape (n,)
        Outcomes.
    side : ndarray of bool of shape (n,)
        The group.
    """
    if np.isin(outcome, (0.0, 1.0)).all() and 0 < outcome[side].sum() < side.sum():
        try:
            return np.asarray(1 / (1 + np.exp(-(design @ _logit(outcome[side], design[side])))))
        except _NoMaximumError as error:
            raise ConvergenceError(
                "the outcome model has no maximum in a group: its terms tell all events from the others; take fewer"
            ) from error
    return design @ np.linalg.lstsq(design[side], outcome[side], rcond=None)[0]


class _NoMaximumError(Exception):
    def __init__(self, *, is_separated: bool) -> None:
        super().__init__()
        self.is_separated = is_separated


def _logit(outcome: Array, design: Array) -> Array:
    """Return the coefficients of a logistic regression."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            warnings.simplefilter("error", PerfectSeparationWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            fitted = Logit(outcome, design).fit(method="newton", maxiter=100, disp=0)
    except (PerfectSeparationError, PerfectSeparationWarning) as error:
        raise _NoMaximumError(is_separated=True) from error
    except (ConvergenceWarning, np.linalg.LinAlgError) as error:
        raise _NoMaximumError(is_separated=False) from error
    return np.asarray(fitted.params, dtype=float)
