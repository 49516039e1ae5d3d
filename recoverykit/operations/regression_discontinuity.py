"""Regression discontinuity: what a treatment did to units just at the cut-off of a rule.

A rule that treats everybody whose score passes a cut-off compares like with like only at the cut-off itself. The effect
is that of units there and says nothing of units far away. It rests on the claim that nothing else changes at the
cut-off and that nobody can choose the side on which a unit falls; density and balance put that claim to the test.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._rows import check_choice, check_level
from recoverykit.operations._discontinuity_data import Observations, Window, read_observations, window_ends
from recoverykit.operations._discontinuity_estimates import (
    WEAK_F,
    Found,
    estimate_rows,
    local_lines,
    ordinary,
    outcome_bins,
    sensitivity_rows,
)
from recoverykit.operations._discontinuity_kernels import KERNELS, Bandwidths
from recoverykit.operations.density_check import DensityCheck, density_check
from recoverykit.operations.discontinuity_result import RegressionDiscontinuity
from recoverykit.operations.effects import exclusion_rows

__all__ = ["RegressionDiscontinuity", "regression_discontinuity"]

METHODS = ("local_linear", "window")
SIDES = ("right", "left")
ERRORS = ("classical", "robust", "cluster")
CLOSED = ("both", "left", "right", "neither")
MISSING = ("refuse", "exclude")
#: Windows of the sensitivity table, as multiples of the one used.
MULTIPLES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
#: Fewer distinct values than this share of the units make a running variable discrete.
_DISCRETE_SHARE = 0.2
_ERROR_WORDS = {
    "classical": "classical standard errors",
    "robust": "heteroskedasticity-robust standard errors (HC1)",
    "cluster": "cluster-robust standard errors",
    "robust bias-corrected": "robust bias-corrected interval",
}

#: From values (the outcome or a covariate) and half widths (None: those in use) to an estimate.
_Estimate = Callable[[Observations, NDArray[np.float64], Bandwidths | None], Found]


def regression_discontinuity(
    frame: pd.DataFrame,
    *,
    outcome_col: str,
    running_col: str,
    cutoff: float,
    window: Window | None = None,
    method: str = "local_linear",
    treated_side: str = "right",
    cutoff_is_treated: bool = True,
    takeup_col: str | None = None,
    kernel: str = "triangular",
    interaction: bool = False,
    errors: str = "classical",
    closed: str = "both",
    cluster_col: str | None = None,
    balance_cols: Sequence[str] = (),
    missing: str = "refuse",
    level: float = 0.95,
) -> RegressionDiscontinuity:
    """Estimate the effect of a treatment that a rule gives on one side of a cut-off.

    Parameters
    ----------
    frame : DataFrame
        One row per unit. Not changed.
    outcome_col : str
        Outcome, a number (1 and 0 for yes and no).
    running_col : str
        Running variable: the score or amount on which the rule decides, known before the treatment. A forecast such as
        ``expected_recovery_amount`` may be one; an outcome may not.
    cutoff : float
        Value at which the treatment changes.
    window : float or (float, float), optional
        Half width around the cut-off in units of the running variable, or both ends (``window`` method only). For
        ``local_linear`` it is the bandwidth, also of the bias; not given, the bandwidths come from the data. For
        ``window`` not given means all rows.
    method : {"local_linear", "window"}
        "local_linear": a line on each side, near units weighing more, with the bias of the line corrected.
        "window": ordinary least squares of the outcome on an intercept, the running variable as it is and a threshold
        dummy (1 on the treated side), on the rows with cutoff - window <= running <= cutoff + window, both ends
        included: one slope for both sides, no weights.
    treated_side : {"right", "left"}
        Side of the cut-off on which units are treated.
    cutoff_is_treated : bool
        Whether a unit exactly at the cut-off is treated. With both defaults the dummy is running >= cutoff.
    takeup_col : str, optional
        Whether a unit was treated in fact (1, 0, or a share), where the rule was not always followed. The effect is
        then the jump of the outcome over that of the take-up: that of the units which the rule moved.
    kernel : {"triangular", "epanechnikov", "uniform"}
        Kernel of ``local_linear``.
    interaction : bool
        For ``window``: own slopes on both sides, by the product of dummy and running variable less cut-off.
    errors : {"classical", "robust", "cluster"}
        For ``window``: error of the headline, all with Student's t. The default is that of plain least squares;
        "robust" is HC1, and stands in ``estimates`` anyway; "cluster" needs ``cluster_col``.
    closed : {"both", "left", "right", "neither"}
        For ``window``: which ends of the window belong to it.
    cluster_col : str, optional
        For ``window``: obligor or other cluster.
    balance_cols : sequence of str
        Columns known before the treatment, whose jump at the cut-off should be none.
    missing : {"refuse", "exclude"}
        What to do with rows whose outcome, running variable or take-up is missing: raise, or leave them out and count
        them in ``exclusions``.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    RegressionDiscontinuity
        ``effect`` is treated less untreated at the cut-off.

    Raises
    ------
    ValueError
        When an option is not allowed.
    RefusedColumnError
        When the running variable may not drive a treatment, or a column of ``balance_cols`` may not be checked.
    ContractError
        When columns are missing or hold no number; all at once.
    InsufficientDataError
        When too few units, places or clusters lie on a side, or the take-up does not jump.

    Notes
    -----
    Local lines, bandwidths for the least mean squared error and the robust bias-corrected interval: Calonico, Cattaneo
    & Titiunik (2014), Econometrica 82:2295-2326, with variances from three nearest neighbours; the numbers are those of
    their package ``rdrobust``. As there, ``effect`` is the conventional estimate while interval and p-value are the
    corrected ones, so that the interval is not centred at the effect; ``estimates`` has all three. With
    ``takeup_col`` the bandwidths are those of the jump of the outcome, whereas ``rdrobust`` chooses them for the ratio:
    give ``window`` to compare the two. The check of the density is McCrary's (2008).

    Examples
    --------
    >>> rng = np.random.default_rng(5)
    >>> score = rng.uniform(-10, 10, 2000)
    >>> frame = pd.DataFrame({"score": score, "paid": 0.02 * score + 0.3 * (score >= 0) + rng.normal(0, 0.5, 2000)})
    >>> found = regression_discontinuity(
    ...     frame, outcome_col="paid", running_col="score", cutoff=0.0, window=5.0, method="window"
    ... )
    >>> round(found.effect, 2), found.lower < 0.3 < found.upper
    (0.29, True)

    A rule at score 0 raised what was paid by about 0.29, where 0.3 is the truth.
    """
    _check_options(method, treated_side, kernel, errors, closed, missing, level, cluster_col, window, interaction)
    right_holds = (treated_side == "right") == cutoff_is_treated
    data = read_observations(
        frame,
        outcome_col=outcome_col,
        running_col=running_col,
        cutoff=cutoff,
        right_holds_cutoff=right_holds,
        takeup_col=takeup_col,
        cluster_col=cluster_col,
        balance_cols=balance_cols,
        missing=missing,
    )
    sign = 1.0 if treated_side == "right" else -1.0
    if method == "window":
        estimate = _window_estimate(data, sign, window, closed, interaction, errors, running_col)
    else:
        estimate = _local_estimate(sign, kernel, window)
    found = estimate(data, data.outcome, None)
    density, cautions = _density(data, right_holds, level)
    rows = estimate_rows(found, level)
    last = rows.iloc[-1]
    balance = _balance(data, estimate, level)
    return RegressionDiscontinuity(
        method=method,
        outcome_col=outcome_col,
        running_col=running_col,
        cutoff=float(cutoff),
        treated_side=treated_side,
        effect=found.effect,
        standard_error=float(last["standard_error"]),
        lower=float(last["lower"]),
        upper=float(last["upper"]),
        p_value=float(last["p_value"]),
        level=level,
        n_left=int((found.near & ~data.is_right).sum()),
        n_right=int((found.near & data.is_right).sum()),
        window_left=found.ends[0],
        window_right=found.ends[1],
        bias_bandwidth=found.bias_bandwidth,
        kernel=kernel if method == "local_linear" else None,
        errors=_ERROR_WORDS[str(last["kind"])],
        takeup_col=takeup_col,
        params=found.params,
        estimates=rows,
        sensitivity=_sensitivity(data, found, estimate, level),
        balance=balance,
        density=density,
        bins=outcome_bins(data, found),
        lines=found.lines,
        exclusions=exclusion_rows(
            {
                "outcome, running variable or take-up missing": data.n_missing,
                "outside the window": int((~found.near).sum()),
            }
        ),
        cautions=(*cautions, *_cautions(data, found, balance, level)),
    )


def _check_options(
    method: str,
    treated_side: str,
    kernel: str,
    errors: str,
    closed: str,
    missing: str,
    level: float,
    cluster_col: str | None,
    window: Window | None,
    interaction: bool,
) -> None:
    check_choice("method", method, METHODS)
    check_choice("treated_side", treated_side, SIDES)
    check_choice("kernel", kernel, KERNELS)
    check_choice("errors", errors, ERRORS)
    check_choice("closed", closed, CLOSED)
    check_choice("missing", missing, MISSING)
    check_level(level)
    if (errors == "cluster") != (cluster_col is not None):
        raise ValueError(
            f"errors is {errors!r} and cluster_col {cluster_col!r}; give both errors='cluster' and a column"
        )
    if method == "local_linear":
        own = {"errors='cluster'": errors == "cluster", "interaction": interaction, "closed": closed != "both"}
        own["two ends of a window"] = isinstance(window, tuple | list)
        taken = [name for name, is_taken in own.items() if is_taken]
        if taken:
            raise ValueError(f"{', '.join(taken)} belong to method='window' only; local lines have their own")


def _local_estimate(sign: float, kernel: str, window: Window | None) -> _Estimate:
    given = None if window is None else window_ends(window, 0.0)[1]

    def estimate(data: Observations, values: NDArray[np.float64], widths: Bandwidths | None) -> Found:
        own = None if given is None else Bandwidths(given, given)
        return local_lines(data, values, sign=sign, kernel=kernel, bandwidths=widths or own)

    return estimate


def _window_estimate(
    data: Observations,
    sign: float,
    window: Window | None,
    closed: str,
    interaction: bool,
    errors: str,
    running_name: str,
) -> _Estimate:
    reach = (float(data.running[0]), float(data.running[-1]))
    given = reach if window is None else window_ends(window, data.cutoff)
    kept = "both" if window is None else closed

    def estimate(data: Observations, values: NDArray[np.float64], widths: Bandwidths | None) -> Found:
        ends = given if widths is None else (data.cutoff - widths.main, data.cutoff + widths.main)
        choices = {"closed": kept, "interaction": interaction, "errors": errors, "running_name": running_name}
        return ordinary(data, values, sign=sign, ends=ends, **choices)  # type: ignore[arg-type]

    return estimate


def _sensitivity(data: Observations, found: Found, estimate: _Estimate, level: float) -> pd.DataFrame:
    """Estimate again in narrower and wider windows, the window of the bias keeping its proportion."""
    half_width = max(data.cutoff - found.ends[0], found.ends[1] - data.cutoff)
    wide = half_width if found.bias_bandwidth is None else found.bias_bandwidth

    def at(multiple: float) -> Callable[[], Found]:
        widths = None if multiple == 1 else Bandwidths(multiple * half_width, multiple * wide)
        return lambda: estimate(data, data.outcome, widths)

    return sensitivity_rows({multiple * half_width: at(multiple) for multiple in MULTIPLES}, data, level)


def _balance(data: Observations, estimate: _Estimate, level: float) -> pd.DataFrame:
    """Estimate the jump of each covariate, p-values adjusted for their number."""
    sharp = replace(data, takeup=None)
    rows = []
    for column, values in data.covariates.items():
        found = estimate(sharp, values, None)
        last = estimate_rows(found, level).iloc[-1]
        rows.append((column, found.effect, last["lower"], last["upper"], last["p_value"]))
    table = pd.DataFrame(rows, columns=["covariate", "effect", "lower", "upper", "p_value"])
    adjusted = multipletests(table["p_value"], method="holm")[1] if len(table) else np.zeros(0)
    return table.assign(adjusted_p_value=adjusted)


def _density(data: Observations, right_holds: bool, level: float) -> tuple[DensityCheck | None, tuple[str, ...]]:
    try:
        check = density_check(data.running, cutoff=data.cutoff, right_holds_cutoff=right_holds, level=level)
    except InsufficientDataError as error:
        return None, (f"the density at the cut-off could not be checked: {error}",)
    if check.p_value >= 1 - level:
        return check, ()
    return check, (
        f"the density of the running variable jumps at the cut-off (log jump {check.log_jump:.2g}, p "
        f"{check.p_value:.2g}): units may have been moved across it, and the effect may be theirs",
    )


def _cautions(data: Observations, found: Found, balance: pd.DataFrame, level: float) -> tuple[str, ...]:
    said = []
    near = data.running[found.near]
    if len(np.unique(near)) < _DISCRETE_SHARE * len(near):
        said.append(
            f"the running variable has only {len(np.unique(near))} different values in the window; the interval takes "
            "the line between them as known"
        )
    if found.takeup_z is not None and found.takeup_z**2 < WEAK_F:
        said.append(
            f"the take-up jumps weakly (F {found.takeup_z**2:.1f}, below {WEAK_F:g}): the interval is too short"
        )
    jumping = balance.loc[balance["adjusted_p_value"] < 1 - level, "covariate"].tolist()
    if jumping:
        said.append(f"{', '.join(jumping)} also jump at the cut-off, so units on its two sides differ beforehand")
    return tuple(said)
