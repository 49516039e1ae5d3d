"""What a flat top of the likelihood means, in words.

Private to the mixture models.
"""

import numpy as np
from numpy.typing import NDArray

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._mixture_data import Problem
from recoverykit.estimators._mixture_kernels import LARGEST_SHAPE
from recoverykit.estimators.distributions import Shape

Array = NDArray[np.float64]

_NEAR = 1e-3
_NAMED = 1e-2
_EVERYONE = 0.999
#: Sigmas that run to 0 stop being seen about here, where whole intervals lie in the tails.
_SMALL_SIGMA = 0.3
#: From this share of its limit a shape is at the limit.
_AT_LIMIT = 0.99


def shape_limit(problem: Problem, theta: Array) -> str | None:
    """Say that the shape Q has run to the limit of what is climbed; None where it has not, or there is none."""
    if problem.data.distribution.shape is not Shape.FREE:
        return None
    return at_limit("the shape Q", float(theta[-1]))


def at_limit(what: str, shape: float) -> str | None:
    """Say that a shape is at the limit of what is climbed; None where it is not."""
    if abs(shape) < _AT_LIMIT * LARGEST_SHAPE:
        return None
    return (
        f"{what} is at its limit of {np.copysign(LARGEST_SHAPE, shape):g}: no generalised gamma distribution "
        "bends as these times do, and the other standard errors are those at this Q; try another distribution"
    )


def describe_boundary(problem: Problem, theta: Array, flat: Array) -> str:
    """Name the boundary on which a fit stands.

    Parameters
    ----------
    problem : Problem
    theta : ndarray of shape (n_params,)
        The maximum, in the time unit of the climb.
    flat : ndarray of shape (n_params, n_directions)
        Scaled directions in which the likelihood does not change.

    Returns
    -------
    str
        What is not identified and why.

    Raises
    ------
    InsufficientDataError
        If the incidence of some episodes runs to 0: they separate from those with the event.
    """
    data = problem.data
    n_incidence, n_latency = data.incidence.shape[1], data.latency.shape[1]
    directions = problem.map @ flat
    in_incidence = float(np.abs(flat[:n_incidence]).max()) > _NAMED
    ancillary = n_incidence + n_latency
    in_sigma = data.distribution.has_scale and float(np.abs(flat[ancillary:]).max()) > _NAMED
    in_latency = float(np.abs(flat[n_incidence:ancillary]).max()) > _NAMED
    texts = []
    if in_incidence:
        texts.append(_incidence_text(problem, theta, directions, _terms(problem, flat, "incidence")))
    if in_sigma and np.exp(theta[ancillary]) < _SMALL_SIGMA:
        texts.append(
            "sigma is at its lower bound of 0: the events crowd into neighbouring intervals, and how they spread "
            "within them cannot be seen"
        )
    elif (in_latency or in_sigma) and not in_incidence:
        names = ", ".join(_terms(problem, flat, "latency") + _terms(problem, flat, "ancillary"))
        texts.append(f"the likelihood is flat in the latency terms {names}: the data do not identify them")
    return "; ".join(texts) or "the likelihood is flat at its maximum: not every parameter is identified"


def _incidence_text(problem: Problem, theta: Array, directions: Array, terms: list[str]) -> str:
    n_incidence = problem.data.incidence.shape[1]
    design, weight = problem.data.incidence, problem.rows.pattern_weight
    moves = np.zeros(len(design))
    for direction in directions[:n_incidence].T:
        moves = np.maximum(moves, np.abs(design @ direction))
    moved = moves > _NAMED * moves.max()
    incidence = np.exp(problem.data.link.terms(design @ theta[:n_incidence]).log_p)
    share = float(weight[moved].sum() / weight.sum())
    names = ", ".join(terms)
    if (incidence[moved] < _NEAR).any():
        lowest = float(weight[moved & (incidence < _NEAR)].sum())
        raise InsufficientDataError(
            f"the incidence of {lowest:,.0f} episodes runs to 0: by {names} they separate from the episodes with the "
            "event, so there is no finite estimate; merge levels or leave a covariate out"
        )
    if not (incidence[moved] > 1.0 - _NEAR).all():
        return f"the likelihood is flat in the incidence terms {names}: the data do not identify them"
    if share > _EVERYONE:
        return (
            "incidence is at its upper bound of 1: the data show no plateau, so no share is estimated never to have "
            "the event, and the incidence has no standard error"
        )
    return (
        f"incidence is at its upper bound of 1 for {share:.1%} of the episodes: among them no share is estimated never "
        f"to have the event, and {names} has no standard error"
    )


def _terms(problem: Problem, flat: Array, part: str) -> list[str]:
    """Name the terms of a part that move along flat directions."""
    moved = np.abs(problem.map @ flat).max(axis=1)
    unit = np.linalg.norm(problem.map, axis=1)
    touched = moved > _NAMED * unit
    return [term for (where, term), used in zip(problem.names, touched, strict=True) if used and where == part]
