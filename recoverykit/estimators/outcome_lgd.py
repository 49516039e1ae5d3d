"""Loss given outcome: what a cure, a sale and a write-off cost, each by itself, with open episodes as censored.

LGD = sum over outcomes of P(outcome) x loss given outcome. A plain mean over the closed episodes of an outcome is that
of its quick ones, where the observation ends. Here each closed episode stands for itself and for those like it that
were still open when their observation ended. This module knows losses and months, and no probabilities but the
observed ones: which outcome an open episode comes to in the end is a model's matter (``competing_outcomes``).
"""

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError
from recoverykit.estimators._rows import Array, broken, check_columns, number_column, outcome_codes
from recoverykit.vocabulary import Outcome

__all__ = ["closing_weights", "loss_given_outcome", "loss_never_resolved"]


def closing_weights(
    frame: pd.DataFrame,
    *,
    duration_col: str = "months_in_default",
    outcome_col: str = "outcome",
    entry_col: str | None = "entry_months",
) -> pd.Series:
    """Weigh each closed episode by the episodes for which it stands, so that closed ones speak for all.

    Parameters
    ----------
    frame : DataFrame
        One row per episode. Not changed.
    duration_col : str
        Months to the outcome, or completed months where open; at least 0.
    outcome_col : str
        Outcome, ``open`` where there is none yet.
    entry_col : str or None
        Months in default when observation began; None where all were seen from their default on.

    Returns
    -------
    Series
        Indexed as the frame: n S(T-) / Y(T), with S the share still open (Kaplan-Meier), Y the number at risk, T the
        month of the outcome and n the number of episodes; 0 where open. Without open episodes and late entries it is 1.

    Raises
    ------
    ContractError
        When a column or an outcome is missing, or months are missing or negative.
    InsufficientDataError
        When the frame has no row.

    Notes
    -----
    Inverse probability of censoring weights (Robins & Rotnitzky 1992): the sums over the episodes of an outcome, over
    n, are the Aalen-Johansen incidence of that outcome, because S(T-) = G(T-)^-1 Y(T) / n. Unbiased where the end of
    observation says nothing about prospects.

    Examples
    --------
    A is sold in month 1, B is open after 1 month, C is sold in month 2. C stands for itself and for B.

    >>> episodes = pd.DataFrame({"outcome": ["sold", "open", "sold"], "months_in_default": [1, 1, 2]})
    >>> closing_weights(episodes, entry_col=None).tolist()
    [1.0, 0.0, 2.0]
    """
    check_columns(frame, [duration_col, outcome_col, entry_col], table="episodes")
    duration = number_column(frame, duration_col, 0.0)
    entry = number_column(frame, entry_col, 0.0)
    wrong = ~(np.isfinite(duration) & np.isfinite(entry) & (duration >= 0) & (entry >= 0))
    named = " and ".join(name for name in (duration_col, entry_col) if name)
    faults = broken(frame, f"{named} must be months of 0 or more", wrong, table="episodes")
    missing = frame[outcome_col].isna().to_numpy()
    faults += broken(frame, f"{outcome_col} must not be missing", missing, table="episodes")
    if faults:
        raise ContractError(faults)
    is_closed = (frame[outcome_col] != Outcome.OPEN).to_numpy()
    months, place = np.unique(duration, return_inverse=True)
    # Who is seen from default on is at risk from month 0; a late entry only in the months after its own.
    came = np.where(entry > 0, np.searchsorted(months, entry, side="right"), 0)
    seen = came <= place
    size = len(months) + 1
    began, ended = (np.bincount(at[seen], minlength=size)[:size].cumsum() for at in (came, place + 1))
    at_risk = (began - ended)[: len(months)].astype(float)
    closed = np.bincount(place[seen & is_closed], minlength=len(months)).astype(float)
    hazard = np.divide(closed, at_risk, out=np.zeros(len(months)), where=at_risk > 0)
    before = np.concatenate([[1.0], np.cumprod(1.0 - hazard)[:-1]])
    each = len(frame) * np.divide(before, at_risk, out=np.zeros(len(months)), where=at_risk > 0)
    return pd.Series(np.where(seen & is_closed, each[place], 0.0), index=frame.index, name="closing_weight")


def loss_given_outcome(
    frame: pd.DataFrame,
    *,
    after: float = 0,
    loss_col: str = "realised_lgd",
    duration_col: str = "months_in_default",
    outcome_col: str = "outcome",
    entry_col: str | None = "entry_months",
    cluster_col: str | None = "obligor_id",
) -> pd.DataFrame:
    """Average the loss of the episodes that end in each outcome, among those still open after some months.

    Parameters
    ----------
    frame : DataFrame
        One row per episode, open ones included. Not changed.
    after : float
        Months in default after which an episode is known to be open: only later closings count. 0 for all of them.
    loss_col : str
        Realised loss as a share of EAD; missing where open, and where it is not known.
    duration_col, outcome_col, entry_col
        As in ``closing_weights``.
    cluster_col : str or None
        Obligor, over which the standard errors are summed; None for each episode by itself.

    Returns
    -------
    DataFrame
        One row per outcome seen, in the order of the legend, others after them: outcome, n_episodes (with a known
        loss), observed_share (of the episodes open after ``after``, by the last month observed), loss_given_outcome
        (weighted mean, share of EAD), standard_error. With no open episode the shares times the losses add up to the
        mean loss.

    Raises
    ------
    ContractError, InsufficientDataError
        As ``closing_weights``; ContractError also when an obligor is missing.

    Notes
    -----
    With w from ``closing_weights`` and m the weighted mean over the N episodes of an outcome, the standard error is
    sqrt(sum over clusters of (sum w (loss - m))^2) / sum w: the weights are taken as known.

    Examples
    --------
    >>> episodes = pd.DataFrame({"outcome": ["sold", "open", "sold"], "months_in_default": [1, 1, 2],
    ...                          "realised_lgd": [0.1, None, 0.7]})
    >>> loss_given_outcome(episodes, entry_col=None, cluster_col=None)["loss_given_outcome"].round(3).tolist()
    [0.5]

    The second sale also stands for the open loan: (0.1 + 2 x 0.7) / 3.
    """
    check_columns(frame, [loss_col, cluster_col], table="episodes")
    if cluster_col is not None:
        missing = frame[cluster_col].isna().to_numpy()
        faults = broken(frame, f"{cluster_col} must not be missing", missing, table="episodes")
        if faults:
            raise ContractError(faults)
    weight = closing_weights(frame, duration_col=duration_col, outcome_col=outcome_col, entry_col=entry_col)
    later = (weight > 0) & ((frame[duration_col] > after) | (after == 0))
    everyone = _still_open(frame, weight, frame[duration_col].to_numpy(float), after)
    known = later & frame[loss_col].notna()
    rows = []
    outcomes, codes, _ = outcome_codes(frame, outcome_col, Outcome.OPEN)
    for place, outcome in enumerate(outcomes):
        mine = codes == place
        if not (mine & later).any():
            continue
        chosen = frame[mine & known]
        clusters = None if cluster_col is None else chosen[cluster_col]
        mean, error = _mean(chosen[loss_col].to_numpy(float), weight[mine & known].to_numpy(), clusters)
        share = float(weight[mine & later].sum() / everyone)
        rows.append((outcome, len(chosen), share, mean, error))
    return pd.DataFrame(
        rows, columns=["outcome", "n_episodes", "observed_share", "loss_given_outcome", "standard_error"]
    )


def loss_never_resolved(lgd_to_date: Array, prob_never: Array) -> tuple[float, float]:
    """Average what open episodes have lost so far, each by its probability of never being resolved.

    Parameters
    ----------
    lgd_to_date : ndarray of shape (n_open,)
        Loss of open episodes if nothing more came, shares of EAD.
    prob_never : ndarray of shape (n_open,)
        Probability that nothing will ever end the episode, given that it is still open at its age.

    Returns
    -------
    mean, standard_error : float
        Shares of EAD; NaN where no episode has such a probability.

    Examples
    --------
    >>> loss_never_resolved(np.array([0.9, 0.5]), np.array([0.75, 0.25]))[0]
    0.8
    """
    known = np.isfinite(lgd_to_date)
    return _mean(lgd_to_date[known], prob_never[known], None)


def _still_open(frame: pd.DataFrame, weight: pd.Series, duration: Array, after: float) -> float:
    """Return n times the share still open after some months: what the weights of later closings are shares of."""
    if after == 0:
        return float(len(frame))
    return float(len(frame) - weight[duration <= after].sum())


def _mean(loss: Array, weight: Array, clusters: pd.Series | None) -> tuple[float, float]:
    total = weight.sum()
    if not total > 0:
        return float("nan"), float("nan")
    mean = float(loss @ weight / total)
    scores: Array = weight * (loss - mean)
    if clusters is not None:
        scores = np.bincount(pd.factorize(clusters)[0], weights=scores).astype(float)
    return mean, float(np.sqrt(scores @ scores) / total)
