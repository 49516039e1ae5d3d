"""When people change a light: how often, why, and whether they knew better than the model.

An override towards green says that the case is likelier to cure than the model has it, one towards red that it is less
likely. It is right when the case cures, or when it does not. By luck alone so many would be right as the model's own
probabilities say; overrides beat the model when more are than that explains. An override is held against the light that
the model gave, and counts only while nobody could know how the case would end.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import ContractError, SpecError, Violation
from recoverykit.operations._border import Rules, day_of, frame_faults
from recoverykit.operations._triage_backtest import cured_after, followed, light_faults, outcome_faults
from recoverykit.operations._triage_treatments import LIGHTS

#: An agent stands as a code with a digit in it, a reason as a word of the house's list: neither can hold a name.
AGENT = r"(?=.*\d)[A-Za-z0-9_-]{4,64}"
REASON = r"[a-z][a-z0-9_]{1,63}"
COLUMNS = ("facility_id", "override_time", "agent_hash", "from_light", "to_light", "reason")
MILDER, STRICTER, ALL = "towards green", "towards red", "all"


@dataclass(frozen=True, slots=True, eq=False)
class OverrideReview:
    """Overrides of lights and what came of them.

    Attributes
    ----------
    n_lights, n_overrides : int
        Lights given, and those of them that were changed in the end.
    n_without_light, n_too_late : int
        Entries of the log that are left out: of cases without a light, and made when the case had cured or the horizon
        was over, with hindsight.
    n_taken_back : int
        Lights that were changed and set back to what the model gave; no overrides.
    by_change : DataFrame
        from_light (that of the model), to_light (the last), n_overrides.
    by_reason : DataFrame
        reason, n_overrides, most frequent first.
    judged : DataFrame
        direction (``towards green``, ``towards red``, ``all``), n_overrides (whose horizon is over), n_right,
        expected_right (by the model's probabilities), p_better, p_worse (exact, one-sided), verdict.
    """

    n_lights: int
    n_overrides: int
    n_without_light: int
    n_too_late: int
    n_taken_back: int
    by_change: pd.DataFrame
    by_reason: pd.DataFrame
    judged: pd.DataFrame

    @property
    def override_rate(self) -> float:
        """Share of the lights that were changed; NaN without lights."""
        return self.n_overrides / self.n_lights if self.n_lights else float("nan")

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept."""
        return {
            "overrides_by_change": self.by_change,
            "overrides_by_reason": self.by_reason,
            "overrides_judged": self.judged,
        }

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return {
            "n_lights": self.n_lights,
            "n_overrides": self.n_overrides,
            "n_too_late": self.n_too_late,
            "n_taken_back": self.n_taken_back,
            "override_rate": self.override_rate,
            "judged": self.judged.to_dict("records"),
        }


def review_overrides(
    lights: pd.DataFrame,
    overrides: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    reporting_date: str | pd.Timestamp,
    horizon_months: int,
    alpha: float = 0.05,
) -> OverrideReview:
    """Count the overrides of frozen lights and ask whether they beat the model.

    Parameters
    ----------
    lights, outcomes, reporting_date, horizon_months
        As in ``back_test_lights``.
    overrides : DataFrame
        The log: facility_id, override_time, agent_hash (a code, never a name), from_light, to_light, reason (a word of
        the house's list, such as ``employer_confirmed``). Entries of a light are taken together: the change is from the
        model's light to that of the last entry made before the case cured and the horizon was over.
    alpha : float
        Two one-sided tests at this level decide the verdict, in (0, 1).

    Returns
    -------
    OverrideReview
        Towards red more is done about a case, which may cure it: there overrides look worse than they are. Without a
        random holdout the comparison is a hint, not an effect.

    Raises
    ------
    ContractError
        When a column is missing, an agent is no code, a reason no word, a light none, or from and to are the same; with
        the faults of lights and outcomes, all at once.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie in (0, 1)")
    faults = [*light_faults(lights), *_log_faults(overrides), *outcome_faults(outcomes)]
    if faults:
        raise ContractError(faults)
    date = day_of(reporting_date, "reporting_date")
    log = overrides.assign(override_time=_times(overrides))
    log = log[log["override_time"] < date + pd.Timedelta(days=1)]
    changed, left_out = _last_of_each_light(lights, log, outcomes, horizon_months)
    judged, _ = followed(changed, outcomes, date, horizon_months, None)
    change = changed.groupby(["light", "to_light"]).size().rename("n_overrides").reset_index()
    reasons = changed["reason"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return OverrideReview(
        n_lights=len(lights),
        n_overrides=len(changed),
        **left_out,
        by_change=change.rename(columns={"light": "from_light"}),
        by_reason=pd.DataFrame({"reason": reasons.index.to_numpy(object), "n_overrides": reasons.to_numpy(np.int64)}),
        judged=pd.DataFrame([_judge(judged, direction, alpha) for direction in (MILDER, STRICTER, ALL)]),
    )


def read_overrides(path: str | Path = "") -> pd.DataFrame:
    """Read the log of overrides.

    Parameters
    ----------
    path : path
        A CSV file with the columns of ``review_overrides``; empty for a log without entries.

    Returns
    -------
    DataFrame

    Raises
    ------
    ContractError
        When the file does not hold what it must.
    SpecError
        When there is no such file.

    Examples
    --------
    >>> len(read_overrides())
    0
    """
    if not path:
        empty = pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
        return empty.assign(override_time=pd.to_datetime(empty["override_time"]))
    if not Path(path).is_file():
        raise SpecError(f"no log of overrides at {path}; give a CSV file with {', '.join(COLUMNS)}")
    log = pd.read_csv(path, dtype=str)
    if "override_time" in log.columns:
        log = log.assign(override_time=_times(log))
    faults = _log_faults(log)
    if faults:
        raise ContractError(faults)
    return log


def right_by_chance(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distribution of the number of successes of independent trials with these probabilities.

    Examples
    --------
    >>> right_by_chance(np.array([0.5, 0.5])).tolist()
    [0.25, 0.5, 0.25]
    """
    pmf = np.ones(1)
    for p in probs:
        pmf = np.convolve(pmf, [1 - p, p])
    return pmf


def _judge(frame: pd.DataFrame, direction: str, alpha: float) -> dict[str, Any]:
    place = {light: order for order, light in enumerate(LIGHTS)}
    milder = (frame["to_light"].map(place) < frame["light"].map(place)).to_numpy(bool)
    picked = {MILDER: milder, STRICTER: ~milder, ALL: np.ones(len(frame), dtype=bool)}[direction]
    p = frame["prob_self_cure"].to_numpy(float)
    cured = frame["is_cured"].to_numpy(bool)
    expected = np.where(milder, p, 1 - p)[picked]
    n_right = int(np.where(milder, cured, ~cured)[picked].sum())
    pmf = right_by_chance(expected)
    better, worse = float(pmf[n_right:].sum()), float(pmf[: n_right + 1].sum())
    verdict = "no difference shown"
    if better < alpha:
        verdict = "beat the model"
    elif worse < alpha:
        verdict = "worse than the model"
    return {
        "direction": direction,
        "n_overrides": int(picked.sum()),
        "n_right": n_right,
        "expected_right": float(expected.sum()),
        "p_better": better,
        "p_worse": worse,
        "verdict": verdict,
    }


def _last_of_each_light(
    lights: pd.DataFrame, log: pd.DataFrame, outcomes: pd.DataFrame, horizon_months: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the last override of each light made before its case's end was known, and how many were left out."""
    given = lights[["facility_id", "as_of", "prob_self_cure", "light"]].sort_values("as_of")
    units = {"override_time": "datetime64[ns]"}, {"as_of": "datetime64[ns]"}
    ordered = log.sort_values("override_time", kind="stable").astype(units[0])
    found = pd.merge_asof(ordered, given.astype(units[1]), left_on="override_time", right_on="as_of", by="facility_id")
    matched = found[found["as_of"].notna()]
    is_over = matched["override_time"] >= matched["as_of"] + pd.DateOffset(months=horizon_months)
    is_late = is_over | (matched["override_time"] >= cured_after(matched, outcomes))
    last = matched[~is_late].drop_duplicates(["facility_id", "as_of"], keep="last")
    is_back = last["to_light"] == last["light"]
    left_out = {
        "n_without_light": len(found) - len(matched),
        "n_too_late": int(is_late.sum()),
        "n_taken_back": int(is_back.sum()),
    }
    return last[~is_back].reset_index(drop=True), left_out


def _times(overrides: pd.DataFrame) -> pd.Series:
    """Return when overrides were made; missing where that is no moment."""
    return pd.to_datetime(overrides["override_time"], format="ISO8601", errors="coerce")


def _log_faults(overrides: pd.DataFrame) -> list[Violation]:
    """Return what is wrong with a log of overrides."""
    allowed = ", ".join(LIGHTS)
    rules: Rules = {
        "override_time must be a moment": (["override_time"], lambda log: _times(log).isna()),
        "agent_hash must be a code with a digit, never a name": (
            ["agent_hash"],
            lambda log: ~log["agent_hash"].astype(str).str.fullmatch(AGENT),
        ),
        "reason must be a word of the house's list, such as employer_confirmed": (
            ["reason"],
            lambda log: ~log["reason"].astype(str).str.fullmatch(REASON),
        ),
        f"from_light must be one of {allowed}": (["from_light"], lambda log: ~log["from_light"].isin(LIGHTS)),
        f"to_light must be one of {allowed}": (["to_light"], lambda log: ~log["to_light"].isin(LIGHTS)),
        "from_light and to_light must differ": (
            ["from_light", "to_light"],
            lambda log: log["from_light"] == log["to_light"],
        ),
    }
    return frame_faults("overrides", overrides, COLUMNS, rules)
