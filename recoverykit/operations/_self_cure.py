"""From default episodes to the cases of the traffic light, and from lights to what became of them."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recoverykit.errors import InsufficientDataError
from recoverykit.operations._border import check_frames
from recoverykit.vocabulary import Outcome

if TYPE_CHECKING:
    from recoverykit.estimators.competing_outcomes_fit import CompetingOutcomesFit


def triage_cases(
    episodes: pd.DataFrame,
    fit: "CompetingOutcomesFit | None",
    *,
    horizon_months: int,
    recovered_if_cured: float,
    recovered_if_not: float,
) -> pd.DataFrame:
    """Turn open default episodes into the cases of the traffic light.

    Parameters
    ----------
    episodes : DataFrame
        Open episodes: facility_id, months_in_default, outstanding (or where it is missing ``ead``), and the columns of
        the model's formulas.
    fit : CompetingOutcomesFit
        A model of all outcomes in months since default, such as ``estimate_outcomes(...).fit``.
    horizon_months : int
        Months within which a cure counts, at least 1.
    recovered_if_cured, recovered_if_not : float
        Share of the balance that comes back in either case, in [0, 1], from the loss pages.

    Returns
    -------
    DataFrame
        facility_id, prob_self_cure = (F(t + h) - F(t)) / S(t), the probability of curing within the horizon of an
        episode that is still open after t months, while the other outcomes compete; cured_recovery_amount and
        uncured_recovery_amount. An episode's cure after its treatment is in F as well: of a book where every case is
        worked, the probability is an upper bound of self-cure.

    Raises
    ------
    InsufficientDataError
        When there is no model, the model knows no cure, or there is no open episode.
    ValueError
        When an option lies outside its range.
    """
    shares = {"recovered_if_cured": recovered_if_cured, "recovered_if_not": recovered_if_not}
    wrong = [f"{name} is {value}; it must lie in [0, 1]" for name, value in shares.items() if not 0 <= value <= 1]
    wrong += [] if horizon_months >= 1 else [f"horizon_months is {horizon_months}; it must be at least 1"]
    wrong += [] if recovered_if_cured >= recovered_if_not else ["a cure must not bring less than no cure"]
    if wrong:
        raise ValueError("; ".join(wrong))
    check_frames({"cases": (episodes, ["facility_id", "months_in_default", "ead", "outstanding?"])})
    if fit is None or episodes.empty:
        raise InsufficientDataError("the traffic light needs open episodes and a model of what becomes of them")
    if Outcome.CURED.value not in fit.outcomes:
        known = ", ".join(map(str, fit.outcomes))
        raise InsufficientDataError(f"the model knows no cure, only {known}; fit it to episodes some of which cured")
    age = episodes["months_in_default"].to_numpy(float)
    ends, place = np.unique(age + horizon_months, return_inverse=True)
    curves = fit.predict_cumulative_incidence(episodes, times=ends, given_open_at=age)[Outcome.CURED.value]
    prob = np.clip(curves.to_numpy()[np.arange(len(age)), place], 0.0, 1.0)
    balance = episodes["outstanding"].fillna(episodes["ead"]).to_numpy(float)
    return pd.DataFrame(
        {
            "facility_id": episodes["facility_id"].to_numpy(object),
            "prob_self_cure": prob,
            "cured_recovery_amount": np.round(balance * recovered_if_cured, 2),
            "uncured_recovery_amount": np.round(balance * recovered_if_not, 2),
        }
    )


def cures_since(lights: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    """Return when the episodes that were open on the day of their light cured.

    Parameters
    ----------
    lights : DataFrame
        facility_id and as_of, one row per facility.
    episodes : DataFrame
        Default episodes as known now: facility_id, default_date, outcome, outcome_date.

    Returns
    -------
    DataFrame
        facility_id and cured_date, empty where the episode has not cured; a facility whose episode is not known any
        more is left out, for ``back_test_lights`` to count.
    """
    check_frames(
        {
            "lights": (lights, ["facility_id", "as_of"]),
            "episodes": (episodes, ["facility_id", "default_date", "outcome", "outcome_date?"]),
        }
    )
    pairs = lights[["facility_id", "as_of"]].merge(episodes, on="facility_id")
    pairs = pairs[pairs["default_date"] <= pairs["as_of"]].sort_values("default_date")
    last = pairs.drop_duplicates("facility_id", keep="last").sort_values("facility_id")
    cured = last["outcome_date"].where(last["outcome"] == Outcome.CURED.value)
    return pd.DataFrame({"facility_id": last["facility_id"].to_numpy(object), "cured_date": cured.to_numpy()})
