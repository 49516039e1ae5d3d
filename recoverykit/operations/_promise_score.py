"""A score of the reliability of a promise, from payment behaviour only. Public through ``promises``.

Nothing about the person enters: formulas that read such a column are refused.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools.sm_exceptions import PerfectSeparationError

from recoverykit.errors import ContractError, ConvergenceError, InsufficientDataError
from recoverykit.estimators._formulas import (
    Design,
    check_prediction_frame,
    check_variables,
    design_matrix,
    learn_design,
)
from recoverykit.estimators._rows import check_columns, check_level
from recoverykit.operations._log_border import PROMISE_OUTCOMES, check_score_formula
from recoverykit.operations._shrinkage_kernels import Prior, beta_prior

Array = NDArray[np.float64]
#: What the score reads where nobody says; the second only where they are known and not the same in every row.
_ALWAYS = ("own_kept_logit", "paid_share_before", "weeks_to_due")
_WHERE_KNOWN = ("months_past_due", "amount_log_ratio", "months_since_default", "exposure_log_ratio")
#: Promises of each kind that a score needs to learn from.
MINIMUM_EVENTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseScoreModel:
    """Choose a score of the reliability of promises.

    Attributes
    ----------
    formula : str or None
        Right side of a formula on columns of ``promise_history``, and own_kept_logit: the logit of the debtor's own
        share of promises kept, shrunken towards all debtors by a beta-binomial law. None takes all that is there and
        varies.

    Raises
    ------
    ValueError
        When the formula cannot be read.
    RefusedColumnError
        When it reads a column about the person or one that is known only afterwards.
    """

    formula: str | None = None

    def __post_init__(self) -> None:
        """Check the formula."""
        if self.formula is not None:
            check_score_formula(self.formula, afterwards=PROMISE_OUTCOMES)

    def fit(self, history: pd.DataFrame, *, cut_off: pd.Timestamp | str) -> "PromiseScoreFit":
        """Learn from the promises whose window was over by the cut-off, and from nothing later.

        Parameters
        ----------
        history : DataFrame
            From ``promise_history``. Not changed.
        cut_off : date-like
            Last day of what is known.

        Returns
        -------
        PromiseScoreFit

        Raises
        ------
        ContractError
            When columns are missing or have no value.
        InsufficientDataError
            When fewer than 30 promises were kept, or fewer than 30 broken, by the cut-off.
        ConvergenceError
            When the logit has no finite estimate.
        """
        check_columns(history, ["facility_id", "promise_date", "window_end", "is_due", "is_kept"], table="history")
        date = pd.Timestamp(cut_off)
        learnt = history[history["is_due"] & (history["window_end"] <= date)]
        kept: Array = learnt["is_kept"].to_numpy(dtype=float)
        if min(kept.sum(), (1 - kept).sum()) < MINIMUM_EVENTS:
            raise InsufficientDataError(
                f"a score needs {MINIMUM_EVENTS} promises kept and {MINIMUM_EVENTS} broken by {date:%Y-%m-%d}; take a "
                "later cut-off"
            )
        own = learnt.groupby("facility_id")["is_kept"].agg(["sum", "size"])
        prior = beta_prior(own["sum"].to_numpy(float), own["size"].to_numpy(float))
        ready = _features(learnt, prior)
        there = [n for n in (*_ALWAYS, *_WHERE_KNOWN) if n in ready and np.ptp(ready[n].to_numpy(float)) > 0]
        formula = self.formula or f"~ {' + '.join(there) or '1'}"
        variables = check_score_formula(formula, afterwards=PROMISE_OUTCOMES)
        found = check_variables(ready, variables)
        if found:
            raise ContractError(found)
        design, matrix = learn_design(formula, ready)
        params, cov = _logit(matrix, kept, pd.factorize(learnt["facility_id"])[0])
        terms = list(design.terms)
        return PromiseScoreFit(
            pd.Series(params, index=terms), pd.DataFrame(cov, terms, terms), formula, prior, design, date, len(kept),
            float(kept.mean()),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class PromiseScoreFit:
    """A fitted score.

    Attributes
    ----------
    params : Series
        By term, on the scale of the logit.
    cov : DataFrame
        Robust to several promises of one facility.
    formula : str
    prior : Prior
        The beta law of the debtors' own shares kept.
    design : Design
    cut_off : pandas.Timestamp
    n_promises : int
        Learnt from.
    kept_rate : float
        Share of them that was kept.
    """

    params: pd.Series
    cov: pd.DataFrame
    formula: str
    prior: Prior
    design: Design
    cut_off: pd.Timestamp
    n_promises: int
    kept_rate: float

    @property
    def standard_errors(self) -> pd.Series:
        """Standard errors by term."""
        return pd.Series(np.sqrt(np.diag(self.cov)), index=self.params.index)

    def summary(self, *, level: float = 0.95) -> pd.DataFrame:
        """Return term, estimate, standard_error, odds_ratio, lower, upper (of the odds ratio) and p_value."""
        check_level(level)
        z = stats.norm.ppf(0.5 + level / 2.0)
        value, error = self.params.to_numpy(), self.standard_errors.to_numpy()
        return pd.DataFrame(
            {
                "term": self.params.index,
                "estimate": value,
                "standard_error": error,
                "odds_ratio": np.exp(value),
                "lower": np.exp(value - z * error),
                "upper": np.exp(value + z * error),
                "p_value": 2.0 * stats.norm.sf(np.abs(value / error)),
            }
        )

    def predict(self, history: pd.DataFrame) -> pd.Series:
        """Return the probability that each promise is kept, from what was known on the day it was made."""
        ready = _features(history, self.prior)
        check_prediction_frame(ready, (self.design,))
        matrix = design_matrix(self.design, ready)
        return pd.Series(special.expit(matrix @ self.params.to_numpy()), index=history.index, name="predicted_prob")


def _features(history: pd.DataFrame, prior: Prior) -> pd.DataFrame:
    """Add the shrunken share of a debtor's own promises kept; without any history it is that of all debtors."""
    check_columns(history, ["n_before", "n_kept_before", "paid_share_before"], table="history")
    own = (prior.first + history["n_kept_before"]) / (prior.first + prior.second + history["n_before"])
    return history.assign(
        own_kept_logit=special.logit(own.clip(1e-6, 1 - 1e-6)),
        paid_share_before=history["paid_share_before"].fillna(prior.mean),
    )


def _logit(matrix: Array, kept: Array, clusters: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return estimates and their covariance robust to several promises of one facility."""
    problem = "the score has no finite estimate; take fewer columns"
    try:
        fit = Logit(kept, matrix).fit(disp=0, maxiter=100, cov_type="cluster", cov_kwds={"groups": clusters})
    except (PerfectSeparationError, np.linalg.LinAlgError) as error:
        raise ConvergenceError(f"{problem} ({error})") from error
    cov = np.asarray(fit.cov_params(), dtype=float)
    if not fit.mle_retvals["converged"] or not np.isfinite(cov).all():
        raise ConvergenceError(problem)
    return np.asarray(fit.params, dtype=float), cov
