"""The two ways in which a jump at a cut-off is estimated: local lines with bias correction, ordinary regression.

Both return the same small value, so that sensitivity and balance are loops over one function. Fuzzy designs divide the
jump of the outcome by that of the take-up.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit
from statsmodels.regression.linear_model import OLS

from recoverykit.errors import InsufficientDataError
from recoverykit.operations._arm_contrasts import check_clusters, two_sided_p_value
from recoverykit.operations._discontinuity_data import Observations, check_enough, inside
from recoverykit.operations._discontinuity_kernels import Bandwidths, jump_at_cutoff, kernel_weights, select_bandwidths

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: A take-up that jumps by less than this many standard errors cannot carry a ratio.
LEAST_TAKEUP_Z = 1.96
#: First-stage F below which the interval of a ratio is known to be unreliable (Staiger & Stock 1997).
WEAK_F = 10.0
_BINS_PER_SIDE = 10
_COVARIANCES = {"classical": "nonrobust", "robust": "HC1"}


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One estimate of the effect.

    Attributes
    ----------
    rows : list of tuple
        (kind, estimate, standard_error, degrees of freedom or infinity); the last is the headline.
    effect : float
        The point estimate shown.
    params : Series
        Coefficients, or limits and slopes.
    lines : DataFrame
        side, place, value.
    near : ndarray of bool
        Rows inside the window that weigh in.
    ends : tuple of float
        Ends of the window.
    bias_bandwidth : float or None
        For local lines.
    takeup_z : float or None
        Jump of the take-up over its error.
    """

    rows: list[tuple[str, float, float, float]]
    effect: float
    params: pd.Series
    lines: pd.DataFrame
    near: BoolArray
    ends: tuple[float, float]
    bias_bandwidth: float | None
    takeup_z: float | None


def estimate_rows(found: Found, level: float) -> pd.DataFrame:
    """Return the estimates by kind of error, with intervals and p-values."""
    rows = []
    for kind, estimate, error, freedom in found.rows:
        quantile = stdtrit(freedom, 0.5 + level / 2) if np.isfinite(freedom) else ndtri(0.5 + level / 2)
        spread, p_value = error * float(quantile), two_sided_p_value(estimate, error, freedom)
        rows.append((kind, estimate, error, estimate - spread, estimate + spread, p_value))
    return pd.DataFrame(rows, columns=["kind", "effect", "standard_error", "lower", "upper", "p_value"])


def local_lines(data: Observations, values: Array, *, sign: float, kernel: str, bandwidths: Bandwidths | None) -> Found:
    """Estimate the jump by local lines.

    Parameters
    ----------
    data : Observations
        Rows of the design.
    values : ndarray of shape (n,)
        Outcome, or the covariate whose balance is checked.
    sign : float
        1 where units right of the cut-off are treated, -1 where those on the left are.
    kernel : str
        Kernel.
    bandwidths : Bandwidths or None
        None chooses them from the data.
    """
    everyone = np.ones(len(values), dtype=bool)
    check_enough(data, everyone, "in the data")
    chosen = bandwidths or select_bandwidths(*data.sides(values), kernel=kernel)
    ends = (data.cutoff - chosen.main, data.cutoff + chosen.main)
    near = kernel_weights(data.running - data.cutoff, chosen.main, kernel) > 0  # one at the end may weigh nothing
    check_enough(data, near, f"within {chosen.main:.4g}")
    jump = jump_at_cutoff(*data.sides(values), chosen, kernel=kernel)
    conventional, corrected, scale, takeup_z = jump.conventional, jump.corrected, sign, None
    plain, robust = jump.conventional_error, jump.robust_error
    if data.takeup is not None:
        first = jump_at_cutoff(*data.sides(data.takeup), chosen, kernel=kernel)
        takeup_z = _checked_takeup(first.conventional, first.conventional_error)
        ratio = jump.conventional / first.conventional
        rest = jump_at_cutoff(*data.sides((values - ratio * data.takeup) / first.conventional), chosen, kernel=kernel)
        # The ratio's own linear expansion, so that errors and bias of both jumps enter (delta method).
        conventional, corrected, scale = ratio, ratio + rest.corrected, 1.0
        plain, robust = rest.conventional_error, rest.robust_error
    rows = [
        ("conventional", scale * conventional, plain, np.inf),
        ("bias-corrected", scale * corrected, plain, np.inf),
        ("robust bias-corrected", scale * corrected, robust, np.inf),
    ]
    names = ("limit_left", "slope_left", "limit_right", "slope_right")
    params = pd.Series(dict(zip(names, (jump.left, jump.slope_left, jump.right, jump.slope_right), strict=True)))
    sides = (
        ("left", (-chosen.main, 0.0), jump.left, jump.slope_left),
        ("right", (0.0, chosen.main), jump.right, jump.slope_right),
    )
    lines = [(name, data.cutoff + u, limit + slope * u) for name, places, limit, slope in sides for u in places]
    table = pd.DataFrame(lines, columns=["side", "place", "value"])
    return Found(rows, scale * conventional, params, table, near, ends, chosen.bias, takeup_z)


def ordinary(
    data: Observations,
    values: Array,
    *,
    sign: float,
    ends: tuple[float, float],
    closed: str,
    interaction: bool,
    errors: str,
    running_name: str,
) -> Found:
    """Estimate the jump by ordinary least squares on intercept, running variable and threshold dummy.

    Parameters
    ----------
    data, values, sign
        As in ``local_lines``.
    ends : tuple of float
        Ends of the window.
    closed : {"both", "left", "right", "neither"}
        Which ends belong to it.
    interaction : bool
        Whether each side has its own slope; the running variable is then centred at the cut-off.
    errors : {"classical", "robust", "cluster"}
        Kind of the headline error.
    running_name : str
        Name of the running variable's coefficient.
    """
    near = inside(data.running, ends, closed)
    _check_regression(data, near, interaction=interaction)
    if data.clusters is not None:
        names = ("the right of the cut-off", "the left")
        check_clusters(data.clusters[near], data.is_right[near], names, where="on each side")
    x, dummy = data.running[near], (data.is_right[near] == (sign > 0)).astype(float)
    columns = {"Intercept": np.ones(len(x)), running_name: x - data.cutoff if interaction else x, "threshold": dummy}
    if interaction:
        columns[f"{running_name}:threshold"] = columns[running_name] * dummy
    design = pd.DataFrame(columns)
    origin, takeup_z, divisor = float(values[near][0]), None, 1.0
    y = values[near] - origin  # measured from there an outcome that does not vary jumps by nothing, not by rounding
    shown = OLS(y, design).fit()
    params = shown.params + origin * (shown.params.index == "Intercept")
    if data.takeup is not None:
        first = OLS(data.takeup[near], design).fit(cov_type="HC1")
        takeup_z = _checked_takeup(float(first.params["threshold"]), float(first.bse["threshold"]))
        divisor = float(first.params["threshold"])
    effect = float(shown.params["threshold"]) / divisor
    # Just identified, two-stage least squares is this ratio; its errors are those of the structural residual.
    structural = y if data.takeup is None else y - effect * data.takeup[near]
    kinds = [kind for kind in ("classical", "robust", "cluster") if kind != "cluster" or data.clusters is not None]
    rows = []
    for kind in sorted(kinds, key=lambda kind: kind == errors):
        fitted = OLS(structural, design).fit(**_covariance(kind, data.clusters, near))
        freedom = (
            float(len(np.unique(data.clusters[near])) - 1) if kind == "cluster" and data.clusters is not None else 0.0
        )
        error = float(fitted.bse["threshold"]) / abs(divisor)
        rows.append((kind, effect, error, freedom or float(shown.df_resid)))
    lines = _ordinary_lines(data, params, ends, sign=sign, interaction=interaction, running_name=running_name)
    return Found(rows, effect, params, lines, near, ends, None, takeup_z)


def _covariance(kind: str, clusters: NDArray[np.int64] | None, near: BoolArray) -> dict[str, object]:
    if kind == "cluster" and clusters is not None:
        return {"cov_type": "cluster", "cov_kwds": {"groups": clusters[near]}}
    return {"cov_type": _COVARIANCES[kind]}


def _check_regression(data: Observations, near: BoolArray, *, interaction: bool) -> None:
    counts = [int((near & side).sum()) for side in (~data.is_right, data.is_right)]
    places = [len(np.unique(data.running[near & side])) for side in (~data.is_right, data.is_right)]
    has_slopes = min(places) >= 2 if interaction else max(places) >= 2
    if min(counts) < 2 or not has_slopes or sum(counts) < 5 + interaction:
        raise InsufficientDataError(
            f"{counts[0]} units left and {counts[1]} right of the cut-off {data.cutoff:g} lie in the window, too few "
            "for a regression on the running variable and a threshold: take a wider window"
        )


def _checked_takeup(jump: float, error: float) -> float:
    """Return the jump of the take-up over its error; refuse a jump that is not there."""
    if error == 0 and jump != 0:
        return float("inf")
    z = abs(jump) / error if error > 0 else 0.0
    if z < LEAST_TAKEUP_Z:
        raise InsufficientDataError(
            f"the take-up jumps by {jump:.3g} at the cut-off, {z:.2g} standard errors: the rule did not move the "
            "treatment, so its effect cannot be told here; leave takeup_col out for the effect of the rule itself"
        )
    return z


def _ordinary_lines(
    data: Observations,
    params: pd.Series,
    ends: tuple[float, float],
    *,
    sign: float,
    interaction: bool,
    running_name: str,
) -> pd.DataFrame:
    """Return the regression as two lines that end at the cut-off."""
    rows = []
    for name, places in (("left", (ends[0], data.cutoff)), ("right", (data.cutoff, ends[1]))):
        dummy = float((name == "right") == (sign > 0))
        for place in places:
            x = place - data.cutoff if interaction else place
            slope = params[running_name] + (dummy * params[f"{running_name}:threshold"] if interaction else 0.0)
            rows.append((name, place, params["Intercept"] + dummy * params["threshold"] + slope * x))
    return pd.DataFrame(rows, columns=["side", "place", "value"])


def sensitivity_rows(estimates: dict[float, Callable[[], Found]], data: Observations, level: float) -> pd.DataFrame:
    """Return the headline of each window, those with too few units left out.

    Parameters
    ----------
    estimates : dict of float to callable
        Half width to a function that estimates there.
    data : Observations
        Rows of the design.
    level : float
        Confidence level.
    """
    rows = []
    for half_width, estimate in estimates.items():
        try:
            found = estimate()
        except InsufficientDataError:
            continue
        last = estimate_rows(found, level).iloc[-1]
        n_left, n_right = int((found.near & ~data.is_right).sum()), int((found.near & data.is_right).sum())
        rows.append((half_width, n_left, n_right, found.effect, last["standard_error"], last["lower"], last["upper"]))
    return pd.DataFrame(
        rows, columns=["window", "n_left", "n_right", "effect", "standard_error", "lower", "upper"]
    ).astype({"n_left": int, "n_right": int})


def outcome_bins(data: Observations, found: Found) -> pd.DataFrame:
    """Return means of the outcome by bin; no bin straddles the cut-off."""
    low, high = found.ends
    edges = {
        "left": np.linspace(low, data.cutoff, _BINS_PER_SIDE + 1),
        "right": np.linspace(data.cutoff, high, _BINS_PER_SIDE + 1),
    }
    tables = []
    for name, side in (("left", ~data.is_right), ("right", data.is_right)):
        kept = found.near & side
        codes = np.clip(np.searchsorted(edges[name], data.running[kept], side="right") - 1, 0, _BINS_PER_SIDE - 1)
        rows = pd.DataFrame({"code": codes, "place": data.running[kept], "mean": data.outcome[kept]})
        grouped = rows.groupby("code").agg(place=("place", "mean"), mean=("mean", "mean"), n_units=("mean", "size"))
        tables.append(grouped.reset_index(drop=True).assign(side=name))
    return pd.concat(tables, ignore_index=True)[["side", "place", "mean", "n_units"]]
