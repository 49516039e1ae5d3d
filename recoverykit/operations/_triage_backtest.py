"""Yesterday's lights against what followed: whether as many cured as stated, light by light and tenth by tenth."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from recoverykit.errors import ContractError, InsufficientDataError, Violation
from recoverykit.operations._border import Rules, day_of, frame_faults, no_share
from recoverykit.operations._triage_treatments import LIGHTS

COUNTED, NOT_OVER, UNKNOWN, NOT_HELD_OUT = (
    "counted",
    "horizon not over at the reporting date",
    "case not known any more",
    "treated, and there is a holdout",
)
_WHY = (COUNTED, NOT_OVER, UNKNOWN, NOT_HELD_OUT)
#: Groups of the prediction are tenths where each holds this many cases, fewer where they do not.
CASES_PER_GROUP, MOST_GROUPS = 20, 10


@dataclass(frozen=True, slots=True, eq=False)
class LightsBackTest:
    """What became of cases whose lights were frozen.

    Attributes
    ----------
    horizon_months : int
        Months within which a cure counts.
    by_light : DataFrame
        light, n_cases, n_cured, predicted, cured_rate, lower, upper (Clopper-Pearson).
    groups : DataFrame
        The same by groups of about equal size of the prediction: group in place of light. Equal predictions stay
        together, so that groups differ in size, and a number may be left out, where many are alike.
    brier_score, reference_score : float
        Mean squared distance of prediction and outcome, and of the mere share cured: (1 / n) sum (y - p)^2.
    z, p_value : float
        Whether as many cured as stated, all cases together: z and its two-sided p-value.
    spiegelhalter_z, spiegelhalter_p_value : float
        Whether high and low probabilities are as far apart as they should be; it sees predictions that are too bold or
        too timid, which the first does not.
    counted : DataFrame
        what, n_cases: every frozen light, adding up.
    is_upper_bound : bool
        True without a holdout: cures of treated cases count, so the share that cured is an upper bound of self-cure.
    level : float
        Confidence level.
    """

    horizon_months: int
    by_light: pd.DataFrame
    groups: pd.DataFrame
    brier_score: float
    reference_score: float
    z: float
    p_value: float
    spiegelhalter_z: float
    spiegelhalter_p_value: float
    counted: pd.DataFrame
    is_upper_bound: bool
    level: float

    @property
    def n_cases(self) -> int:
        """Cases that count."""
        return int(self.by_light["n_cases"].sum())

    @property
    def predicted(self) -> float:
        """Mean stated probability."""
        return float((self.groups["predicted"] * self.groups["n_cases"]).sum() / self.n_cases)

    @property
    def cured_rate(self) -> float:
        """Share of the cases that cured."""
        return float(self.groups["n_cured"].sum() / self.n_cases)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept."""
        return {"lights_by_light": self.by_light, "lights_by_group": self.groups, "lights_counted": self.counted}

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return {
            "n_cases": self.n_cases,
            "predicted": self.predicted,
            "cured_rate": self.cured_rate,
            "brier_score": self.brier_score,
            "reference_score": self.reference_score,
            "z": self.z,
            "p_value": self.p_value,
            "spiegelhalter_z": self.spiegelhalter_z,
            "spiegelhalter_p_value": self.spiegelhalter_p_value,
            "is_upper_bound": self.is_upper_bound,
        }


def back_test_lights(
    lights: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    reporting_date: str | pd.Timestamp,
    horizon_months: int,
    holdout: Collection[str] | None = None,
    level: float = 0.95,
) -> LightsBackTest:
    """Hold frozen lights and their stated probabilities against what followed.

    Parameters
    ----------
    lights : DataFrame
        Frozen: facility_id, as_of (the day on which the light was given), prob_self_cure in [0, 1], light.
    outcomes : DataFrame
        facility_id and cured_date, empty where the case has not cured, one row per case known by now.
    reporting_date : date-like
        Nothing later is read. A light counts when ``horizon_months`` after it are over.
    horizon_months : int
        The horizon of the stated probability, at least 1.
    holdout : collection of str, optional
        Facilities that were left untreated at random. With it only they are judged; without it the share that cured
        holds cures that treatment brought, and is an upper bound of self-cure.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    LightsBackTest

    Raises
    ------
    ContractError
        When a column is missing, a probability or light is none, or a facility stands twice in the outcomes; all told
        at once.
    InsufficientDataError
        When no light counts.

    Notes
    -----
    z = sum (y - p) / sqrt(sum p (1 - p)), calibration in the large; Spiegelhalter (1986) weighs each term with 1 - 2 p:
    sum (y - p)(1 - 2 p) / sqrt(sum (1 - 2 p)^2 p (1 - p)). Both are standard normal where every case cures, by itself,
    with its stated probability.
    """
    if horizon_months < 1 or not 0 < level < 1:
        raise ValueError(f"horizon_months is {horizon_months}, at least 1; level is {level}, in (0, 1)")
    faults = [*light_faults(lights), *outcome_faults(outcomes)]
    if faults:
        raise ContractError(faults)
    frame, counted = followed(lights, outcomes, day_of(reporting_date, "reporting_date"), horizon_months, holdout)
    if frame.empty:
        raise InsufficientDataError(
            f"no light counts: none is {horizon_months} months old and of a case that is known; wait, or shorten the "
            "horizon"
        )
    p, y = frame["prob_self_cure"].to_numpy(float), frame["is_cured"].to_numpy(float)
    n_groups = int(np.clip(len(frame) // CASES_PER_GROUP, 1, MOST_GROUPS))
    rank = frame["prob_self_cure"].rank()  # ties share a rank, and so a group: the order of rows tells nothing
    group = pd.Series(np.ceil(rank * n_groups / len(frame)), index=frame.index).astype(int)
    z, bold = _z(p, y, np.ones(len(p))), spiegelhalter_z(p, y)
    return LightsBackTest(
        horizon_months=horizon_months,
        by_light=_shares(frame, frame["light"], [c for c in LIGHTS if (frame["light"] == c).any()], "light", level),
        groups=_shares(frame, group, sorted(group.unique().tolist()), "group", level),
        brier_score=float(np.mean((y - p) ** 2)),
        reference_score=float(np.mean(y) * (1 - np.mean(y))),
        z=z,
        p_value=float(2 * norm.sf(abs(z))),
        spiegelhalter_z=bold,
        spiegelhalter_p_value=float(2 * norm.sf(abs(bold))),
        counted=counted,
        is_upper_bound=holdout is None,
        level=level,
    )


def light_faults(lights: pd.DataFrame) -> list[Violation]:
    """Return what is wrong with frozen lights."""
    rules: Rules = {
        "prob_self_cure must lie in [0, 1]": (["prob_self_cure"], no_share("prob_self_cure")),
        f"light must be one of {', '.join(LIGHTS)}": (["light"], lambda frame: ~frame["light"].isin(LIGHTS)),
    }
    return frame_faults("lights", lights, ["facility_id", "as_of", "prob_self_cure", "light"], rules)


def outcome_faults(outcomes: pd.DataFrame) -> list[Violation]:
    """Return what is wrong with outcomes: a facility cures once or not at all."""
    return frame_faults("outcomes", outcomes, ["facility_id", "cured_date?"])


def cured_after(lights: pd.DataFrame, outcomes: pd.DataFrame) -> pd.Series:
    """Return when the case of each light cured after it was given; missing where it did not."""
    cured = pd.to_datetime(lights["facility_id"].map(outcomes.set_index("facility_id")["cured_date"]))
    return cured.where(cured > lights["as_of"])


def followed(
    lights: pd.DataFrame,
    outcomes: pd.DataFrame,
    reporting_date: pd.Timestamp,
    horizon_months: int,
    holdout: Collection[str] | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the lights that count, with is_cured, and what became of all of them."""
    end = lights["as_of"] + pd.DateOffset(months=horizon_months)
    treated = ~lights["facility_id"].isin(set(holdout)) if holdout is not None else pd.Series(False, lights.index)
    what = np.select(
        [~lights["facility_id"].isin(set(outcomes["facility_id"])), end > reporting_date, treated],
        [UNKNOWN, NOT_OVER, NOT_HELD_OUT],
        COUNTED,
    )
    found = pd.Series(what).value_counts()
    counted = pd.DataFrame({"what": _WHY, "n_cases": [int(found.get(name, 0)) for name in _WHY]})
    is_cured = cured_after(lights, outcomes) <= end
    return lights.assign(is_cured=is_cured)[what == COUNTED].reset_index(drop=True), counted


def spiegelhalter_z(p: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return Spiegelhalter's statistic; NaN where every prediction is 0, one half or 1.

    Examples
    --------
    >>> round(spiegelhalter_z(np.array([0.2, 0.2, 0.8, 0.8]), np.array([0.0, 1.0, 1.0, 1.0])), 4)
    0.25
    """
    return _z(p, y, 1 - 2 * p)


def _z(p: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    spread = float(np.sqrt(np.sum(weights**2 * p * (1 - p))))
    return float(np.sum((y - p) * weights) / spread) if spread > 0 else float("nan")


def _shares(frame: pd.DataFrame, by: pd.Series, names: Collection[object], column: str, level: float) -> pd.DataFrame:
    rows = []
    for name in names:
        part = frame[by == name]
        n, cured = len(part), int(part["is_cured"].sum())
        lower, upper = proportion_confint(cured, n, 1 - level, method="beta")
        rows.append(
            {
                column: name,
                "n_cases": n,
                "n_cured": cured,
                "predicted": float(part["prob_self_cure"].mean()),
                "cured_rate": cured / n,
                "lower": float(lower),
                "upper": float(upper),
            }
        )
    return pd.DataFrame(rows)
