"""Rows of the action log, and small draws that all parts of it share."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recoverykit.data._synthetic_unit_truth import ACTION_COST, AGENTS_PER_UNIT
from recoverykit.vocabulary import ActionKind, Assignment

#: Minutes of the day between which the units work: inside every rule of hours.
FIRST_MINUTE, LAST_MINUTE = 9 * 60, 19 * 60
COLUMNS = (
    "action_id",
    "facility_id",
    "action_time",
    "kind",
    "result",
    "unit",
    "agent_hash",
    "message_variant",
    "assignment",
    "cost_amount",
)


def expit(x: ArrayLike) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)).

    Examples
    --------
    >>> float(expit(0.0))
    0.5
    """
    return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(x, dtype=np.float64))))


def logit(p: ArrayLike) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of probabilities between 0 and 1."""
    p = np.asarray(p, dtype=np.float64)
    return np.asarray(np.log(p) - np.log1p(-p))


def cents(amounts: ArrayLike) -> NDArray[np.float64]:
    """Return amounts in whole cents."""
    return np.asarray(np.round(np.asarray(amounts, dtype=np.float64) * 100.0) / 100.0)


def days(numbers: ArrayLike) -> pd.TimedeltaIndex:
    """Return whole numbers of days as spans of time."""
    return pd.to_timedelta(np.asarray(numbers, dtype=np.int64), unit="D")


def at_work(rng: np.random.Generator, dates: pd.Series) -> pd.Series:
    """Return a moment of the working day on each date, to the minute."""
    minutes = rng.integers(FIRST_MINUTE, LAST_MINUTE, len(dates))
    return pd.to_datetime(dates) + pd.to_timedelta(minutes, unit="min")


def agents(rng: np.random.Generator, units: pd.Series) -> NDArray[np.object_]:
    """Return the code of one of the agents of each unit."""
    numbers = rng.integers(1, AGENTS_PER_UNIT + 1, len(units))
    pairs = zip(units, numbers, strict=True)
    return np.array([f"{unit[:2]}{number:02d}" for unit, number in pairs], dtype=object)


def stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the parts below each other; those without a row are left out, because they have no types."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0].reset_index(drop=True)


def action_rows(
    facility_id: ArrayLike,
    action_time: pd.Series,
    *,
    kind: ActionKind,
    result: np.ndarray | str,
    unit: np.ndarray | str,
    assignment: Assignment,
    agent_hash: Sequence[str] | np.ndarray | None = None,
    message_variant: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return rows of the action log without their ids."""
    frame = pd.DataFrame({"facility_id": np.asarray(facility_id, dtype=object)})
    return frame.assign(
        action_time=np.asarray(action_time, dtype="datetime64[ns]"),
        kind=kind.value,
        result=result,
        unit=unit,
        agent_hash=agent_hash,
        message_variant=message_variant,
        assignment=assignment.value,
        cost_amount=ACTION_COST[kind],
    )


def finish_actions(rows: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the contract table ``actions``: all rows in the order of time, numbered."""
    filled = [part.astype({"agent_hash": object, "message_variant": object}) for part in rows if len(part)]
    if not filled:
        return pd.DataFrame(columns=list(COLUMNS))
    log = pd.concat(filled, ignore_index=True)
    log = log.sort_values(["action_time", "facility_id", "kind"], kind="stable", ignore_index=True)
    log["action_id"] = [f"A{number:06d}" for number in range(1, len(log) + 1)]
    for name in ("agent_hash", "message_variant"):
        log.loc[log[name].isna(), name] = None
    return log[list(COLUMNS)]
