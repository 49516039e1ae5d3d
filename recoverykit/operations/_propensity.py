"""The propensity to be treated and the outcome by group, on design matrices: statsmodels' logit and least squares."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationError, PerfectSeparationWarning

from recoverykit.errors import ConvergenceError, InsufficientDataError, UnsoundComparisonError

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
        When a combination of covariates separates some treated units from the others.
    InsufficientDataError
        When terms repeat each other.
    """
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise InsufficientDataError(
            f"terms of the propensity ({', '.join(terms)}) repeat each other; leave one of them out"
        )
    try:
        fitted = _logit(is_treated.astype(float), design)
    except _NoMaximumError as error:  # of a design without repeated terms only separation takes the maximum away
        raise UnsoundComparisonError(
            f"{', '.join(terms)} tell treated units from others without fail, so those have no counterpart "
            "(positivity): a rule decided; at its cut-off use regression_discontinuity"
        ) from error
    values = np.asarray(1 / (1 + np.exp(-(design @ fitted))))
    return Propensity(pd.Series(fitted, index=list(terms)), values, design)


def outcome_predictions(design: Array, outcome: Array, side: BoolArray, group: str) -> Array:
    """Predict the outcome of every unit from those of one group: logistic for 0 and 1, linear otherwise.

    Parameters
    ----------
    design : ndarray of shape (n, n_terms)
        Design matrix of all units.
    outcome : ndarray of shape (n,)
        Outcomes.
    side : ndarray of bool of shape (n,)
        The group.
    group : str
        Its units in words, for messages.

    Raises
    ------
    InsufficientDataError
        When its units cannot tell the terms apart: least squares would then choose one of many answers unasked.
    ConvergenceError
        When the logistic model has no maximum.
    """
    n_terms = design.shape[1]
    if np.linalg.matrix_rank(design[side]) < n_terms:
        raise InsufficientDataError(
            f"the outcome model has {n_terms} terms, which the {int(side.sum()):,} {group} cannot tell apart (a level "
            "that none of them has, or too few units); take fewer terms, or merge rare levels"
        )
    if np.isin(outcome, (0.0, 1.0)).all() and 0 < outcome[side].sum() < side.sum():
        try:
            return np.asarray(1 / (1 + np.exp(-(design @ _logit(outcome[side], design[side])))))
        except _NoMaximumError as error:
            raise ConvergenceError(
                f"the outcome model has no maximum among the {group}: its terms tell all events from the others; take "
                "fewer"
            ) from error
    return design @ np.linalg.lstsq(design[side], outcome[side], rcond=None)[0]


class _NoMaximumError(Exception):
    pass


def _logit(outcome: Array, design: Array) -> Array:
    """Return the coefficients of a logistic regression."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            warnings.simplefilter("error", PerfectSeparationWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            fitted = Logit(outcome, design).fit(method="newton", maxiter=100, disp=0)
    except (ConvergenceWarning, PerfectSeparationError, PerfectSeparationWarning, np.linalg.LinAlgError) as error:
        raise _NoMaximumError from error
    return np.asarray(fitted.params, dtype=float)
