"""What a flat top of the competing-outcomes likelihood means, in words.

Private to the competing-outcomes model.
"""

import numpy as np
from numpy.typing import NDArray

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._competing_data import Problem
from recoverykit.estimators._competing_kernels import log_classes
from recoverykit.estimators._mixture_boundary import at_limit
from recoverykit.estimators.distributions import Shape

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_NEAR = 1e-3
_NAMED = 1e-2
_EVERYONE = 0.999
#: Sigmas that run to 0 stop being seen about here, where whole intervals lie in the tails.
_SMALL_SIGMA = 0.3


def shape_limits(problem: Problem, theta: Array) -> tuple[BoolArray, list[str]]:
    """Return which parameters are shapes that have run to the limit of what is climbed, and say so of each."""
    layout = problem.data.layout
    fixed, texts = np.zeros(layout.n_params, dtype=bool), []
    for k, outcome in enumerate(problem.outcomes):
        if layout.distributions[k].shape is not Shape.FREE:
            continue
        place = layout.parts[layout.ancillary[k][-1]].slice  # the shape is the last parameter of a latency
        text = at_limit(f"the shape Q of outcome {outcome!r}", float(theta[place][0]))
        if text is not None:
            fixed[place] = True
            texts.append(text)
    return fixed, texts


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
        If the incidence of an outcome runs to 0 for some episodes: they separate from those that end in it.
    """
    layout = problem.data.layout
    touched = dict.fromkeys(("incidence", "latency", "ancillary"), False)
    for part in layout.parts:
        touched[part.name] |= float(np.abs(flat[part.slice]).max()) > _NAMED
    texts = [_incidence_text(problem, theta, flat)] if touched["incidence"] else []
    for k, outcome in enumerate(problem.outcomes):
        places = [layout.parts[place].slice for place in layout.ancillary[k][:1]]
        moved = any(float(np.abs(flat[place]).max()) > _NAMED for place in places)
        if moved and np.exp(theta[places[0]][0]) < _SMALL_SIGMA:
            texts.append(
                f"sigma of outcome {outcome!r} is at its lower bound of 0: its episodes crowd into neighbouring "
                "intervals, and how they spread within them cannot be seen"
            )
    if not texts:
        names = ", ".join(_terms(problem, flat, ("latency", "ancillary")))
        texts.append(f"the likelihood is flat in the latency terms {names}: the data do not identify them")
    return "; ".join(texts)


def _incidence_text(problem: Problem, theta: Array, flat: Array) -> str:
    """Tell which class vanishes, for whom."""
    layout, design, weight = problem.data.layout, problem.data.designs[0], problem.rows.pattern_weight
    shares = np.exp(log_classes(theta, problem.data.designs, layout))
    moved = np.zeros(shares.shape)
    for direction in (problem.map @ flat).T:
        predictors = np.zeros(shares.shape)
        for k, place in enumerate(layout.incidence):
            if place is not None:
                predictors[k] = design @ direction[layout.parts[place].slice]
        moved = np.maximum(moved, np.abs(predictors - (shares * predictors).sum(axis=0)))
    moved_classes = moved > 0.1 * max(float(moved.max()), _NAMED)
    names = ", ".join(_terms(problem, flat, ("incidence",)))
    for k, outcome in enumerate(problem.outcomes):
        vanishing = moved_classes[k] & (shares[k] < _NEAR)
        if vanishing.any():
            raise InsufficientDataError(
                f"the incidence of outcome {outcome!r} runs to 0 for {weight[vanishing].sum():,.0f} episodes: by "
                f"{names} they separate from the episodes that end in it, so there is no finite estimate; merge "
                "levels, leave a covariate out, or put the outcome together with another"
            )
    none_never = moved_classes[-1] & (shares[-1] < _NEAR)
    if not layout.has_never or not none_never.any():
        return f"the likelihood is flat in the incidence terms {names}: the data do not identify them"
    share = float(weight[none_never].sum() / weight.sum())
    whom = "" if share > _EVERYONE else f" for {share:.1%} of the episodes"
    return (
        f"the share that never resolves is at its lower bound of 0{whom}: the data show no plateau, so incidences "
        "relative to that class have no standard error; never_resolves=False compares the outcomes with each other"
    )


def _terms(problem: Problem, flat: Array, parts: tuple[str, ...]) -> list[str]:
    """Name the terms of some parts that move along flat directions."""
    moved = np.abs(problem.map @ flat).max(axis=1)
    touched = moved > _NAMED * np.linalg.norm(problem.map, axis=1)
    named = zip(problem.names, touched, strict=True)
    return [f"{term} of {outcome!r}" for (part, outcome, term), used in named if used and part in parts]
