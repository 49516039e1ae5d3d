"""Fits of the same episodes side by side: by information criteria, and by the likelihood ratio where one is nested.

This module knows fits by their likelihood and their parameters; it never sees data. It serves every regression of the
kit, each of which states the grounds on which it compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import gammaincc

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._grounds import ComparedFit

__all__ = ["NestedComparison", "compare_fits", "compare_nested"]

#: A larger model below a smaller one by more than this has not found its maximum.
_SLACK = 1e-6
#: Distribution -> those of which it is a special case.
_HOLDS = {
    "exponential": {"weibull", "gamma", "generalized_gamma"},
    "weibull": {"generalized_gamma"},
    "lognormal": {"generalized_gamma"},
    "gamma": {"generalized_gamma"},
}


def compare_fits(fits: Mapping[str, ComparedFit]) -> pd.DataFrame:
    """Lay fits of the same episodes side by side, best AIC first.

    Parameters
    ----------
    fits : mapping of str to fit
        By the name under which each is shown.

    Returns
    -------
    DataFrame
        Indexed by name: loglik, n_params, aic, bic, never (share, NaN where the model has none), boundary.

    Raises
    ------
    InsufficientDataError
        If there is no fit.
    ValueError
        If the fits rest on different episodes, on different forms of time, or on another entry or background, so that
        their likelihoods do not compare.
    """
    if not fits:
        raise InsufficientDataError("there is no fit to compare")
    grounds = {_data(f) for f in fits.values()}
    if len(grounds) > 1:
        raise ValueError(
            f"fits rest on different data (episodes, events, form, entry and background): {sorted(grounds)}; fit them "
            "on the same"
        )
    rows = [
        (n, f.loglik, f.n_params, f.aic, f.bic, np.nan if f.never is None else f.never.value, f.boundary)
        for n, f in fits.items()
    ]
    columns = ["name", "loglik", "n_params", "aic", "bic", "never", "boundary"]
    return pd.DataFrame(rows, columns=columns).sort_values(["aic", "name"]).set_index("name")


def _data(fit: ComparedFit) -> tuple[float, tuple[float, ...], str, tuple[str, ...]]:
    """Return what fits must share: episodes, events, form of time, and what their likelihoods are conditional on."""
    grounds, columns = fit.grounds, fit.grounds.columns
    known = columns.get("background_cols")
    beside = [columns.get("entry_col"), columns.get("background_col")]
    beside += known.values() if isinstance(known, Mapping) else []
    conditions = tuple(sorted(str(column) for column in beside if column is not None))
    return round(fit.n_episodes, 6), tuple(round(n, 6) for n in grounds.n_by_outcome), grounds.form, conditions


@dataclass(frozen=True, slots=True)
class NestedComparison:
    """A likelihood-ratio test of a model against a larger one that holds it.

    Attributes
    ----------
    statistic : float
        Twice the gain in log-likelihood, >= 0.
    n_extra : int
        Parameters that the larger model has more: degrees of freedom.
    p_value : float
        Chance of so large a statistic if the smaller model holds, by the chi-squared distribution.
    caution : str or None
        Why that chance is only a guide, in words.
    """

    statistic: float
    n_extra: int
    p_value: float
    caution: str | None

    def sentence(self) -> str:
        """Say what the test found."""
        subject = "1 further parameter raises" if self.n_extra == 1 else f"{self.n_extra} further parameters raise"
        text = f"{subject} twice the log-likelihood by {self.statistic:.2f}"
        text += f" (p = {self.p_value:.3f})" if self.p_value >= 0.0005 else " (p < 0.001)"
        return text + (f"; note that {self.caution}." if self.caution else ".")


def compare_nested(small: ComparedFit, large: ComparedFit) -> NestedComparison:
    """Test whether a larger model explains the same episodes better than one that it holds.

    Parameters
    ----------
    small, large : fit
        Fits of one kind of model on the same episodes; every term of ``small`` is one of ``large``, and its latency
        distributions are the same or special cases. For a Cox cure model the profile likelihood serves as well
        (Murphy and van der Vaart 2000, JASA 95:449).

    Returns
    -------
    NestedComparison
        The likelihood ratio, with a caution where a fit stands on a boundary or its likelihood is a composite one.

    Raises
    ------
    ValueError
        If the fits rest on different data, if ``small`` is not held by ``large``, or if errors are cluster-robust,
        where the likelihood ratio has no chi-squared distribution.

    Examples
    --------
    >>> import pandas as pd
    >>> from recoverykit.estimators.mixture_cure import MixtureCureModel
    >>> counts = pd.DataFrame({"month": [1, 2, 3, 4, 6, 12], "cured": [1, 1, 1, 1, 1, 0], "n": [9, 8, 5, 3, 2, 73]})
    >>> columns = {"duration_col": "month", "event_col": "cured", "weights_col": "n"}
    >>> fits = [MixtureCureModel(distribution=name).fit(counts, **columns) for name in ("exponential", "weibull")]
    >>> compare_nested(*fits).p_value < 0.05  # the hazard of a cure is not constant
    True
    """
    _check_nested(small, large)
    gain = large.loglik - small.loglik
    if gain < -_SLACK * max(1.0, abs(small.loglik)):
        raise ValueError(
            f"the larger model has the lower log-likelihood, {large.loglik:.6f} against {small.loglik:.6f}: it is not "
            "at its maximum, so the two do not compare; fit it again with other covariates or another distribution"
        )
    n_extra = large.n_params - small.n_params
    statistic = max(2.0 * gain, 0.0)
    on_boundary = [name for name, fit in (("smaller", small), ("larger", large)) if fit.boundary is not None]
    caution = large.grounds.caution
    if on_boundary:
        caution = (
            f"the {' and the '.join(on_boundary)} model stands on a boundary, where the chi-squared distribution does "
            "not hold and p is a guide only"
        )
    return NestedComparison(statistic, n_extra, float(gammaincc(0.5 * n_extra, 0.5 * statistic)), caution)


def _check_nested(small: ComparedFit, large: ComparedFit) -> None:
    """Refuse fits that the likelihood ratio cannot compare."""
    less, more = small.grounds, large.grounds
    data = [(*_data(fit), fit.grounds.last_time) for fit in (small, large)]
    if less.likelihood != more.likelihood:
        raise ValueError(
            f"a {less.likelihood} is not held by a {more.likelihood}; compare them by AIC with compare_fits"
        )
    if data[0] != data[1] or less.columns != more.columns:
        raise ValueError(
            f"the fits rest on different data (episodes, events, form, entry and background, last time): {data[0]} "
            f"against {data[1]}; fit both on the same rows and columns"
        )
    if small.n_clusters is not None or large.n_clusters is not None:
        raise ValueError(
            "with cluster-robust errors the likelihood ratio is not chi-squared; compare fits without cluster_col, or "
            "read the z of the added terms"
        )
    for outcome, given in less.distributions.items():
        wider = more.distributions.get(outcome, given)
        if given != wider and wider not in _HOLDS.get(given, ()):
            raise ValueError(
                f"a {wider} latency does not hold a {given} one{f' (of {outcome!r})' if outcome else ''}; compare them "
                "by AIC with compare_fits"
            )
    extra = [f"{term} ({', '.join(place)})" for term, *place in sorted(less.terms - more.terms)]
    if extra:
        raise ValueError(f"the larger model lacks {', '.join(extra)}, so the smaller one is not held by it")
    if large.n_params <= small.n_params:
        raise ValueError(f"the larger model has {large.n_params} parameters and the smaller one {small.n_params}")
