"""How far a cure model may be believed: is its plateau real, do its residuals behave, does it hold in the segment.

Three different questions. The plateau is a matter of how long loans were watched, and only several answers together
tell. Residuals look at the loans that the model was fitted to. The calibration looks at the segment's own loans, which
are others where a parent's model is borrowed.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.errors import ExtrapolationError, InsufficientDataError
from recoverykit.estimators.cumulative_hazard import nelson_aalen
from recoverykit.estimators.evaluation import calibration_by_horizon
from recoverykit.estimators.follow_up import FollowUp, follow_up
from recoverykit.estimators.mixture_cure import MixtureCureFit
from recoverykit.portfolio.outcomes import last_told_month
from recoverykit.vocabulary import Outcome

#: Months at which predicted and observed shares are compared: half a year, one year, two years.
HORIZONS = (6, 12, 24)
#: Loans that a comparison by thirds needs; with fewer all are one group.
_ENOUGH_FOR_THIRDS = 300
#: Points at which the residuals' curve is told.
_N_POINTS = 101
#: Parts into which a cure is spread over its month.
_N_PARTS = 8
_GROUPS: Mapping[int, tuple[str, ...]] = {1: ("all loans",), 2: ("lower half", "upper half")}
_THIRDS = ("lowest third", "middle third", "highest third")
CALIBRATION_COLUMNS = ["months", "group", "n_episodes", "predicted", "observed", "lower", "upper", "difference"]


def check_plateau(frame: pd.DataFrame, *, level: float) -> FollowUp | None:
    """Ask whether loans were watched long enough beyond the last cure; None where no loan cured.

    Parameters
    ----------
    frame : DataFrame
        As of ``time_to_cure_frame``. Loans that were first seen late in their default are left out: the criteria count
        what was watched from the start.
    level : float
        Confidence level in (0, 1).
    """
    watched = frame[frame["cure_entry_months"] == 0]
    months = np.where(watched["has_cured"], watched["upper_months"], watched["lower_months"])
    try:
        return follow_up(
            watched.assign(watched_months=months),
            duration_col="watched_months",
            event_col="has_cured",
            event_width=1.0,
            level=level,
        )
    except InsufficientDataError:
        return None


def plateau_answers(found: FollowUp | None, dead_months: int) -> pd.DataFrame:
    """Return the answers of a follow-up side by side, months counted from the default.

    Returns
    -------
    DataFrame
        One row per answer: answer, value, threshold, verdict (``supports``, ``doubts``, ``no answer`` or
        ``describes``) and detail, the family behind a likelihood ratio or RECeUS.
    """
    columns = ["answer", "value", "threshold", "verdict", "detail"]
    if found is None:
        return pd.DataFrame(columns=columns)
    verdicts = found.criteria.set_index("criterion")
    family = found.receus.distribution if found.receus else ""
    ratio = f"likelihood ratio ({family})"
    (limit, _), (_, by_q) = _judged(verdicts, "alpha_n"), _judged(verdicts, "q_n")
    rows = [
        ("last_cure", found.last_event_time + dead_months, np.nan, "describes", ""),
        ("last_watched", found.last_time + dead_months, np.nan, "describes", ""),
        ("n_beyond", found.n_at_risk_plateau, *_judged(verdicts, "at risk on the plateau"), ""),
        ("alpha_n", found.alpha_n, *_judged(verdicts, "alpha_n"), ""),
        # (1 - q_n)^n: the verdict of q_n, on the scale of alpha_n
        ("alpha_n_cures", found.alpha_n_events, limit, by_q, ""),
        ("q_n", found.q_n, *_judged(verdicts, "q_n"), ""),
        ("shen", found.alpha_shen, *_judged(verdicts, "Shen"), ""),
        ("receus", verdicts.loc["RECeUS", "value"], *_judged(verdicts, "RECeUS"), family),
    ]
    if ratio in verdicts.index:
        rows.append(("likelihood_ratio", verdicts.loc[ratio, "value"], *_judged(verdicts, ratio), family))
    return pd.DataFrame(rows, columns=columns)


def residual_hazard(fit: MixtureCureFit, frame: pd.DataFrame, *, level: float) -> StepCurve:
    """Return the cumulative hazard of the Cox-Snell residuals, which is the diagonal if the model holds.

    Parameters
    ----------
    fit : MixtureCureFit
    frame : DataFrame
        The episodes that it was fitted to.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    StepCurve
        Nelson-Aalen over the residuals (not months), on a grid, with the number still at risk.

    Notes
    -----
    A residual counts from the entry of its episode, so that no late entry is left to allow for. A cure is known to a
    month only, and all cures of a month in one place would be a staircase that no model follows: it counts in equal
    parts at the quantiles, inside its interval, of the unit exponential that residuals are if the model holds.
    """
    residuals = fit.residuals(frame)
    cured = residuals[residuals["event"]]
    parts = (np.arange(_N_PARTS) + 0.5) / _N_PARTS
    start, end = (np.exp(-cured[limit].to_numpy(float))[:, None] for limit in ("lower", "upper"))
    spread = -np.log(start - parts * (start - end)).ravel()
    open_ones = residuals.loc[~residuals["event"], "residual"].to_numpy(float)
    places = pd.DataFrame(
        {
            "residual": np.concatenate([spread, open_ones]),
            "event": np.repeat([True, False], [len(spread), len(open_ones)]),
            "weight": np.repeat([1.0 / _N_PARTS, 1.0], [len(spread), len(open_ones)]),
        }
    )
    grid = np.linspace(0.0, float(places["residual"].max()), _N_POINTS)
    return nelson_aalen(places, duration_col="residual", event_col="event", weights_col="weight", level=level, at=grid)


def calibrate(fit: MixtureCureFit, episodes: pd.DataFrame, cured: StepCurve, *, dead_months: int) -> pd.DataFrame:
    """Compare predicted with observed shares of cured loans at a few months, by how high the prediction was.

    Parameters
    ----------
    fit : MixtureCureFit
    episodes : DataFrame
        The segment's episodes; those first seen late in their default are left out.
    cured : StepCurve
        Their cumulative incidence of cure, whose number at risk says how far a comparison reaches.
    dead_months : int
        Months after default in which no cure can be recorded.

    Returns
    -------
    DataFrame
        One row per month and group: months, group, n_episodes, predicted, observed (Aalen-Johansen), lower, upper and
        difference (observed less predicted); no row where nothing can be compared.
    """
    watched = episodes[episodes["entry_months"] == 0]
    months = [month for month in HORIZONS if dead_months < month <= last_told_month(cured)]
    none = pd.DataFrame(columns=CALIBRATION_COLUMNS)
    if not months or watched.empty:
        return none
    predicted = fit.predict_cumulative_incidence(watched, np.array(months, dtype=float) - dead_months)
    columns = {float(month): f"predicted_by_{month}" for month in months}
    try:
        table = calibration_by_horizon(
            watched.assign(**dict(zip(columns.values(), predicted.to_numpy().T, strict=True))),
            predicted_cols=columns,
            duration_col="months_in_default",
            outcome_col="outcome",
            outcome=Outcome.CURED,
            n_groups=3 if len(watched) >= _ENOUGH_FOR_THIRDS else 1,
            level=fit.level,
        )
    except (InsufficientDataError, ExtrapolationError):
        return none
    n_groups = table.groupby("months")["group"].transform("max")
    names = [_GROUPS.get(int(n), _THIRDS)[int(place) - 1] for n, place in zip(n_groups, table["group"], strict=True)]
    return table.assign(group=names)[CALIBRATION_COLUMNS]


def _judged(verdicts: pd.DataFrame, criterion: str) -> tuple[float, str]:
    row = verdicts.loc[criterion]
    return float(row["threshold"]), str(row["verdict"])
