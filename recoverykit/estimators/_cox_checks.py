"""What a Cox-type regression needs of its covariates and clusters, before the climb and after it. Private."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.estimators._formulas import Design

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: The term that goes into the baseline.
INTERCEPT = "Intercept"
#: A coefficient per standard deviation whose standard error is larger tells of a likelihood without a maximum.
_LARGEST_STANDARD_ERROR = 20.0
#: A column that keeps less of its length after the others are taken out repeats them.
_SMALLEST_OWN_PART = 1e-8


def covariates_of(design: Design, matrix: Array) -> tuple[list[str], Array]:
    """Return the terms of a learnt formula and their columns, without the intercept."""
    kept = [term != INTERCEPT for term in design.terms]
    return [term for term in design.terms if term != INTERCEPT], matrix[:, kept]


def check_sufficient(design: Array, n_events: int, terms: list[str]) -> None:
    """Raise InsufficientDataError for covariates that the rows cannot tell apart, or too few events.

    Parameters
    ----------
    design : ndarray of shape (n_rows, n_terms)
    n_events : int
        Events, or rows with the event where weights are no counts.
    terms : list of str
        Names of the columns.
    """
    if not terms:
        raise InsufficientDataError("the formula has no covariate, so there is no hazard ratio to estimate; name one")
    if n_events == 0:
        raise InsufficientDataError(
            f"none of {len(design)} rows has the event, so no hazard can be compared; take a larger segment"
        )
    constant = [term for term, spread in zip(terms, np.ptp(design, axis=0), strict=True) if spread == 0]
    if constant:
        raise InsufficientDataError(
            f"{', '.join(constant)} has the same value in every row; leave it out of the formula"
        )
    if n_events < len(terms):
        raise InsufficientDataError(
            f"{n_events} events cannot carry {len(terms)} covariates ({', '.join(terms)}); take fewer covariates or a "
            "larger segment"
        )
    centred = design - design.mean(axis=0)
    _, triangle, order = qr(centred / np.linalg.norm(centred, axis=0), mode="economic", pivoting=True)
    repeated = [terms[i] for i in order[np.abs(np.diag(triangle)) < _SMALLEST_OWN_PART]]
    if repeated:
        raise InsufficientDataError(f"{', '.join(repeated)} repeats other covariates; leave one of them out")


def check_clusters(cluster_col: str, clusters: IntArray) -> None:
    """Raise InsufficientDataError for a single cluster: its scores sum to 0, and every error would be 0 with them."""
    if clusters.min() == clusters.max():
        raise InsufficientDataError(
            f"{cluster_col} has one value only among the rows at risk; robust errors need two clusters at the least"
        )


def check_maximum(terms: list[str], covariance: Array, design: Array, weights: Array) -> None:
    """Raise ConvergenceError where a standard error tells that the likelihood rises without end.

    Small weights carry little information each: the errors are judged as if weights were 1 on average.
    """
    per_weight = np.diag(covariance) * min(1.0, float(weights.mean()))
    standardised = np.sqrt(per_weight) * design.std(axis=0)
    without_maximum = [t for t, s in zip(terms, standardised, strict=True) if not s < _LARGEST_STANDARD_ERROR]
    if without_maximum:
        raise ConvergenceError(
            f"the partial likelihood has no maximum in {', '.join(without_maximum)}: it separates the rows with the "
            "event from those without; leave it out, or merge its rare levels"
        )
