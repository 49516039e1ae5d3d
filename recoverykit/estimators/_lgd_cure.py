"""P(cure) of an episode from a fitted mixture cure model, from its default on or given that it has not cured so far.

An episode that has not cured after t months does so with odds p S(t) / (1 - p): those that never will become more among
the rest as time goes by. Private to the survival-based LGD model.
"""

import numpy as np
import pandas as pd

from recoverykit.estimators._formulas import check_prediction_frame, design_matrix
from recoverykit.estimators._lgd_kernels import inverse_logit
from recoverykit.estimators._lgd_prediction import External
from recoverykit.estimators._mixture_terms import log_survival_terms
from recoverykit.estimators._rows import Array
from recoverykit.estimators.distributions import standard_distribution
from recoverykit.estimators.mixture_cure_fit import MixtureCureFit


def cure_probability(fit: MixtureCureFit, frame: pd.DataFrame, months_open: Array | None) -> External:
    """Return P(cure) of each row with its delta-method variance.

    Parameters
    ----------
    fit : MixtureCureFit
        Of cure as the event.
    frame : DataFrame
        Holds the columns of its formulas.
    months_open : ndarray of shape (n_rows,) or None
        Time, in the unit of the fit, after which the row is known not to have cured; None for nothing known.

    Returns
    -------
    External
        The variance is NaN where the incidence stands on its boundary.
    """
    check_prediction_frame(frame, fit.designs)
    incidence, latency = (design_matrix(design, frame) for design in fit.designs)
    n_incidence, n_latency = incidence.shape[1], latency.shape[1]
    theta = fit.params.to_numpy(dtype=float)
    link = fit.family.links[fit.link].terms(incidence @ theta[:n_incidence])
    log_odds = link.log_p - link.log_q
    jacobian = np.zeros((len(frame), len(theta)))
    jacobian[:, :n_incidence] = (link.log_p_first - link.log_q_first)[:, None] * incidence
    if months_open is not None:
        distribution = standard_distribution(fit.distribution)
        with np.errstate(divide="ignore"):
            log_time = np.log(months_open)
        eta = latency @ theta[n_incidence : n_incidence + n_latency]
        terms = log_survival_terms(distribution, log_time, eta, *distribution.split(theta[n_incidence + n_latency :]))
        log_odds = log_odds + terms.value
        jacobian[:, n_incidence : n_incidence + n_latency] = terms.first[1][:, None] * latency
        for place, slope in enumerate(terms.first[2:], start=n_incidence + n_latency):
            jacobian[:, place] = slope
    value = inverse_logit(log_odds)
    variance = ((jacobian @ fit.covariance) * jacobian).sum(axis=1) * (value * (1.0 - value)) ** 2
    unknown = fit.standard_errors["incidence"].isna().to_numpy()
    on_boundary = (incidence[:, unknown] != 0).any(axis=1)
    return External(value, np.where(on_boundary, np.nan, variance))
