"""The parametric part of the follow-up verdict: each family with and without a share that never has the event.

Private to ``follow_up``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from recoverykit.errors import ConvergenceError, RecoverykitError
from recoverykit.estimators._event_times import compress_rows, read_event_times
from recoverykit.estimators._links import LINKS
from recoverykit.estimators._mixture_data import check_events, log_time_unit, mixture_data
from recoverykit.estimators._mixture_kernels import Evaluation, evaluate
from recoverykit.estimators._optimise import climb_all
from recoverykit.estimators.distributions import standard_distribution
from recoverykit.estimators.mixture_cure import MixtureCureModel

Array = NDArray[np.float64]

#: Log-odds of ever having the event at which the mixture is the plain model to the last digit.
_EVERYONE = 500.0
#: Starts beside the mean log event time, as (shift of eta, log sigma).
_STARTS = ((0.0, 0.0), (0.7, -0.7), (1.5, 0.7))
_MAX_ITERATIONS = 200

COLUMNS = (
    "distribution",
    "loglik_plain",
    "loglik_mixture",
    "statistic",
    "p_value",
    "never",
    "never_lower",
    "never_upper",
    "ratio",
    "aic_plain",
    "aic_mixture",
    "note",
)


@dataclass(frozen=True, slots=True)
class Receus:
    """Ratio estimation of censored uncured subjects, in the family that describes the data best.

    Attributes
    ----------
    distribution : str
        The family with the smallest AIC, with or without a share that never has the event.
    has_never_share : bool
        Whether its AIC is smaller with such a share than without.
    never : float
        Estimated share that never has the event, in [0, 1]; 0 without such a share.
    ratio : float
        Survival of those that have the event some day over that of all, at the last time observed, in [0, 1]; 1
        without a share that never has it.
    """

    distribution: str
    has_never_share: bool
    never: float
    ratio: float


def compare_families(cells: pd.DataFrame, distributions: Sequence[str], *, level: float) -> pd.DataFrame:
    """Fit each family with and without a share that never has the event.

    Parameters
    ----------
    cells : DataFrame
        Columns lower, upper and weight: the event lies in (lower, upper], exactly there where both are equal, and was
        not seen where upper is infinite.
    distributions : sequence of str
        Names of the families.
    level : float
        Confidence level of the share's interval.

    Returns
    -------
    DataFrame
        One row per family with the columns of ``COLUMNS``; numbers are NaN and ``note`` says why where a family cannot
        be fitted.
    """
    rows = []
    for name in distributions:
        try:
            rows.append(_compare(cells, name, level))
        except RecoverykitError as error:
            rows.append({"distribution": name, "note": str(error)})
    return pd.DataFrame(rows, columns=list(COLUMNS)).assign(note=lambda f: f["note"].fillna(""))


def choose_receus(families: pd.DataFrame) -> Receus | None:
    """Return the verdict of RECeUS with the family chosen by AIC; None where no family could be fitted.

    Selukar & Othus (2023), Statistics in Medicine 42:209-227, in the form that lets AIC choose the family.
    """
    fitted = families[families["note"] == ""]
    if fitted.empty:
        return None
    best = fitted.loc[fitted[["aic_plain", "aic_mixture"]].min(axis=1).idxmin()]
    has_never_share = bool(best["aic_mixture"] < best["aic_plain"])
    never, ratio = (float(best["never"]), float(best["ratio"])) if has_never_share else (0.0, 1.0)
    return Receus(str(best["distribution"]), has_never_share, never, ratio)


def boundary_p_value(statistic: float) -> float:
    """Return the p-value of a likelihood ratio whose hypothesis lies on the edge of the parameter space.

    Under "everyone has the event" the statistic is 0 half of the time and chi-square with one degree of freedom
    otherwise (Self & Liang 1987, case 5; Maller & Zhou 1995, Biometrics 51:1197-1205).
    """
    return 1.0 if statistic <= 0 else 0.5 * float(chdtrc(1, statistic))


def _compare(cells: pd.DataFrame, name: str, level: float) -> dict[str, object]:
    plain, n_plain = plain_loglik(cells, name)
    fit = MixtureCureModel(distribution=name).fit(
        cells, lower_col="lower", upper_col="upper", weights_col="weight", level=level
    )
    one = pd.DataFrame(index=[0])
    last = float(cells["upper"].where(np.isfinite(cells["upper"]), cells["lower"]).max())
    survival = float(fit.predict_survival(one, [last]).to_numpy()[0, 0])
    never = fit.never.value
    statistic = max(0.0, 2.0 * (fit.loglik - plain))
    # S_u / (q + p S_u), where q + p S_u is the survival of all; where nobody is left, nobody can be told apart.
    ratio = (survival - never) / ((1.0 - never) * survival) if survival > 0 and never < 1 else 1.0
    return {
        "distribution": name,
        "loglik_plain": plain,
        "loglik_mixture": fit.loglik,
        "statistic": statistic,
        "p_value": boundary_p_value(statistic),
        "never": never,
        "never_lower": fit.never.lower,
        "never_upper": fit.never.upper,
        "ratio": max(0.0, ratio),
        "aic_plain": 2.0 * n_plain - 2.0 * plain,
        "aic_mixture": fit.aic,
        "note": "",
    }


def plain_loglik(cells: pd.DataFrame, name: str) -> tuple[float, int]:
    """Maximise the likelihood of a family in which everyone has the event.

    Parameters
    ----------
    cells : DataFrame
        As in ``compare_families``.
    name : str
        The family.

    Returns
    -------
    tuple of float and int
        Log-likelihood, in the unit of time of the data, and number of parameters.

    Raises
    ------
    InsufficientDataError
        When there are too few events.
    ConvergenceError
        When no start reaches a maximum.
    """
    distribution = standard_distribution(name)
    times = read_event_times(
        cells,
        duration_col=None,
        event_col=None,
        lower_col="lower",
        upper_col="upper",
        weights_col="weight",
        entry_col=None,
    )
    rows = compress_rows(times, cells, (), want_inverse=False)
    one = np.ones((1, 1)) if rows.pattern is not None else np.ones((len(rows.lower), 1))
    n_params = 1 + len(distribution.ancillary_terms)
    check_events(rows, {"latency": (one, ("Intercept",))}, n_params, has_scale=distribution.has_scale)
    shift = log_time_unit(rows)
    data = mixture_data(rows, one, one, distribution, LINKS["logit"], shift)

    def everyone(theta: Array) -> Evaluation:
        at = evaluate(np.concatenate([[_EVERYONE], theta]), data)
        return Evaluation(at.value, at.gradient[1:], at.hessian[1:, 1:])

    shapes = distribution.start_shapes or (0.0,)
    starts = [np.array([eta, log_sigma, shape])[:n_params] for eta, log_sigma in _STARTS for shape in shapes]
    climbs = climb_all(everyone, starts, tolerance=1e-9, max_iterations=_MAX_ITERATIONS)
    reached = [c.at.value for c in climbs if c.converged and np.isfinite(c.at.value)]
    if not reached:
        raise ConvergenceError(
            f"{len(starts)} starts of a {name} model without a share that never has the event ended without a "
            "maximum; try another family"
        )
    return max(reached), n_params
