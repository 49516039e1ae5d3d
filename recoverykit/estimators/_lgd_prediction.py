"""Expected losses of rows from the parts of a model, with delta-method intervals. Private to the LGD regressions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from recoverykit.estimators._formulas import design_matrix
from recoverykit.estimators._lgd_kernels import inverse_logit
from recoverykit.estimators._lgd_stages import Part
from recoverykit.estimators._rows import Array

_BLOCK_ROWS = 65_536

#: Values of the parts -> expected loss, and its slope in each of them.
Combination = Callable[[Mapping[str, Array]], tuple[Array, dict[str, Array]]]


@dataclass(frozen=True, slots=True, eq=False)
class External:
    """The value of a part that another fit estimated, of shape (n_rows,), with its variance."""

    value: Array
    variance: Array


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Expected losses of shape (n_rows,), their standard errors, and the values of the parts by name."""

    value: Array
    standard_error: Array
    parts: dict[str, Array]


def _plain(v: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    return v["mean"], {"mean": np.ones_like(v["mean"])}


def _inflated(v: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    """E = (1 - P(0)) (P(1 | not 0) + P(between | not 0) mean)."""
    given_loss = v["one"] + (1.0 - v["one"]) * v["mean"]
    any_loss = 1.0 - v["zero"]
    slopes = {"zero": -given_loss, "one": any_loss * (1.0 - v["mean"]), "mean": any_loss * (1.0 - v["one"])}
    return any_loss * given_loss, slopes


def _two_stage(v: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    slopes = {"any_loss": v["loss_given_loss"], "loss_given_loss": v["any_loss"]}
    return v["any_loss"] * v["loss_given_loss"], slopes


def _cure(v: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    cure, kept, lost = v["cure"], v["loss_given_cure"], v["loss_given_no_cure"]
    slopes = {"cure": kept - lost, "loss_given_cure": cure, "loss_given_no_cure": 1.0 - cure}
    return cure * kept + (1.0 - cure) * lost, slopes


COMBINATIONS: Mapping[str, Combination] = {
    "mean": _plain,
    "inflated": _inflated,
    "two_stage": _two_stage,
    "cure": _cure,
}


def expected(
    combination: str,
    parts: tuple[Part, ...],
    theta: Array,
    covariance: Array,
    frame: pd.DataFrame,
    external: Mapping[str, External],
) -> Expected:
    """Evaluate the expected loss of rows.

    Parameters
    ----------
    combination : str
        How the parts make a loss: one of ``COMBINATIONS``.
    parts : tuple of Part
    theta : ndarray of shape (n_params,)
    covariance : ndarray of shape (n_params, n_params)
    frame : DataFrame
        Checked; holds the columns of the designs.
    external : mapping of str to External
        Parts that another fit estimated, independent of this one.
    """
    blocks = [
        _block(combination, parts, theta, covariance, frame.iloc[begin : begin + _BLOCK_ROWS], external, begin)
        for begin in range(0, max(len(frame), 1), _BLOCK_ROWS)
    ]
    names = blocks[0].parts
    return Expected(
        np.concatenate([b.value for b in blocks]),
        np.concatenate([b.standard_error for b in blocks]),
        {name: np.concatenate([b.parts[name] for b in blocks]) for name in names},
    )


def _block(
    combination: str,
    parts: tuple[Part, ...],
    theta: Array,
    covariance: Array,
    frame: pd.DataFrame,
    external: Mapping[str, External],
    begin: int,
) -> Expected:
    values: dict[str, Array] = {}
    gradients: dict[str, tuple[slice, Array]] = {}
    matrices: dict[str, Array] = {}
    for part in parts:
        if part.design is None:
            values[part.name] = np.full(len(frame), part.given)
            continue
        text = part.design.formula
        matrix = matrices[text] if text in matrices else design_matrix(part.design, frame)
        matrices[text] = matrix
        value, slope = _scaled(part.scale, matrix @ theta[part.where])
        values[part.name], gradients[part.name] = value, (part.where, slope[:, None] * matrix)
    here = slice(begin, begin + len(frame))
    values |= {name: other.value[here] for name, other in external.items()}
    loss, slopes = COMBINATIONS[combination](values)
    jacobian = np.zeros((len(frame), len(theta)))
    for name in slopes.keys() & gradients.keys():
        where, gradient = gradients[name]
        jacobian[:, where] = slopes[name][:, None] * gradient
    variance = _variance(jacobian, covariance)
    for name, other in external.items():
        variance = variance + slopes[name] ** 2 * other.variance[here]
    return Expected(loss, np.sqrt(variance), values)


def _variance(jacobian: Array, covariance: Array) -> Array:
    """Return the variance of each row; NaN where it rests on a parameter whose error is not known."""
    unknown = np.isnan(np.diag(covariance))
    variance = ((jacobian @ np.where(np.isnan(covariance), 0.0, covariance)) * jacobian).sum(axis=1)
    return np.where((jacobian[:, unknown] != 0).any(axis=1), np.nan, np.maximum(variance, 0.0))


def limits(value: Array, standard_error: Array, level: float) -> tuple[Array, Array]:
    """Return limits that are symmetric on the logit scale for losses inside (0, 1), on their own scale for others."""
    half = float(ndtri(0.5 + 0.5 * level)) * standard_error
    inside = (value > 0) & (value < 1)
    spread = np.where(inside, value * (1.0 - value), 1.0)
    odds = np.log(np.where(inside, value / np.where(inside, 1.0 - value, 1.0), 1.0))
    lower, upper = (np.where(inside, inverse_logit(odds + s * half / spread), value + s * half) for s in (-1.0, 1.0))
    return lower, upper


def _scaled(scale: str, eta: Array) -> tuple[Array, Array]:
    """Return the value of a linear predictor and its slope."""
    if scale == "logit":
        value = inverse_logit(eta)
        return value, value * (1.0 - value)
    if scale == "log":
        value = np.exp(eta)
        return value, value
    return eta, np.ones_like(eta)
