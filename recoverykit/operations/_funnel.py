"""The funnel plot's numbers: each unit against limits that chance alone seldom crosses. Public through ``scorecards``.

A league table ranks small units first and last by luck. A funnel asks of each unit whether it lies outside what chance
does to a unit of its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._rows import broken, check_choice, check_columns, number_column
from recoverykit.operations._funnel_kernels import Spread, ratio_limits, share_limits, winsorised_spread

Array = NDArray[np.float64]
KINDS = ("share", "ratio")
OVER_DISPERSION = ("none", "winsorised")
#: Cases below which a unit is shown but neither ranked nor judged.
MINIMUM_CASES = 30
#: The warning and the alarm of Spiegelhalter (2005): two and three standard deviations.
LIMIT_LEVELS = (0.95, 0.998)
_N_CURVE = 120


@dataclass(frozen=True, slots=True, eq=False)
class Funnel:
    """Units around a target, with limits.

    Attributes
    ----------
    kind : str
        ``share`` (events among cases) or ``ratio`` (observed / expected).
    target : float
    units : DataFrame
        unit, n_cases, size (cases, or expected events), value, lower_95, upper_95, lower_998, upper_998 (limits of a
        unit of this size), z, position ("inside", "above 95", "above 99.8", "below 95", "below 99.8", "too small").
    curves : DataFrame
        size and the same limits, for drawing; empty where every unit has limits of its own.
    spread : Spread
        Over-dispersion found among the units that are large enough.
    is_widened : bool
        Whether the limits take it into account.
    minimum_cases : int
    """

    kind: str
    target: float
    units: pd.DataFrame
    curves: pd.DataFrame
    spread: Spread
    is_widened: bool
    minimum_cases: int


def funnel_limits(
    frame: pd.DataFrame,
    *,
    events_col: str,
    size_col: str,
    unit_col: str = "unit",
    cases_col: str | None = None,
    kind: str = "share",
    target: float | None = None,
    over_dispersion: str = "none",
    winsorise: float = 0.10,
    minimum_cases: int = MINIMUM_CASES,
) -> Funnel:
    """Hold each unit's share or ratio against the limits that chance sets to a unit of its size.

    Parameters
    ----------
    frame : DataFrame
        One row per unit.
    events_col, size_col : str
        Events, and cases (``kind="share"``) or expected events (``kind="ratio"``).
    unit_col : str
    cases_col : str, optional
        Number of cases where ``size_col`` is not it.
    kind : {"share", "ratio"}
        Exact binomial limits, or exact Poisson limits.
    target : float, optional
        Share or ratio around which the limits lie; the share of all units together, or 1, when absent.
    over_dispersion : {"none", "winsorised"}
        ``winsorised`` widens the limits by sqrt(phi) where units differ by more than chance.
    winsorise : float
        Share of units drawn in at each end when phi is estimated, in [0, 0.5).
    minimum_cases : int
        Units with fewer cases are shown, but neither judged nor used for phi.

    Returns
    -------
    Funnel

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        When a column is missing, counts are impossible, or an option is not allowed.

    Notes
    -----
    Spiegelhalter (2005), Statistics in Medicine 24:1185-1202, with the upper limit mirrored from the lower one so that
    a unit outside has a tail probability of at most 2.5 % (0.1 %) on either side. Over-dispersed limits are the exact
    ones with their distance from the target times sqrt(phi). Limits do not correct for the number of units: of twenty
    units without any difference one is expected beyond the 95 % limits.

    Examples
    --------
    >>> units = pd.DataFrame({"unit": ["a", "b"], "n_kept": [60, 20], "n_due": [100, 100]})
    >>> funnel = funnel_limits(units, events_col="n_kept", size_col="n_due", target=0.5)
    >>> funnel.units[["unit", "position"]].values.tolist()
    [['a', 'inside'], ['b', 'below 99.8']]
    """
    check_choice("kind", kind, KINDS)
    check_choice("over_dispersion", over_dispersion, OVER_DISPERSION)
    if not 0 <= winsorise < 0.5 or minimum_cases < 1:
        raise ValueError(f"winsorise is {winsorise}, minimum_cases {minimum_cases}; give [0, 0.5) and 1 or more")
    events, size, cases = unit_counts(frame, unit_col, events_col, size_col, cases_col, kind)
    centre = (float(events.sum() / size.sum()) if kind == "share" else 1.0) if target is None else float(target)
    if not (0 < centre < 1 or (kind == "ratio" and centre > 0)):
        raise ValueError(f"target is {centre:g}; limits need a share between 0 and 1, or a ratio above 0")
    enough = cases >= minimum_cases
    law = stats.binom(size, centre) if kind == "share" else stats.poisson(centre * size)
    z = normal_scores(law.cdf(events - 1.0), law.pmf(events))
    spread = winsorised_spread(z[enough], share=winsorise) if enough.any() else Spread(float("nan"), False, 1.0)
    factor = spread.factor if over_dispersion == "winsorised" else 1.0
    limits = share_limits if kind == "share" else ratio_limits
    units = pd.DataFrame({"unit": frame[unit_col].to_numpy(), "n_cases": cases, "size": size, "value": events / size})
    first, last = max(float(size.min()) * 0.8, 1.0), float(size.max()) * 1.05
    grid = np.geomspace(first, max(last, first * 1.01), _N_CURVE)
    curves = pd.DataFrame({"size": np.unique(np.ceil(grid)) if kind == "share" else grid})
    for level in LIMIT_LEVELS:
        for part in (units, curves):
            part[column("lower", level)], part[column("upper", level)] = limits(
                centre, part["size"].to_numpy(float), (1.0 - level) / 2.0, factor=factor
            )
    units["z"], units["position"] = z / factor, positions(units, enough)
    return Funnel(kind, centre, units, curves, spread, factor > 1.0, minimum_cases)


def column(side: str, level: float) -> str:
    """Return the name of a limit's column: ``lower_95``, ``upper_998``."""
    return f"{side}_{f'{level:g}'.removeprefix('0.')}"


def positions(units: pd.DataFrame, enough: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Return where each unit lies; one without enough cases is not judged."""
    value, rounding = units["value"], 1e-9
    choices, names = [~enough], ["too small"]
    for level in sorted(LIMIT_LEVELS, reverse=True):
        words = f"{100 * level:g}"
        choices += [
            (value > units[column("upper", level)] + rounding).to_numpy(),
            (value < units[column("lower", level)] - rounding).to_numpy(),
        ]
        names += [f"above {words}", f"below {words}"]
    return np.select(choices, names, default="inside").astype(object)


def normal_scores(below: Array, at: Array) -> Array:
    """Return the normal score of P(R < r) + P(R = r) / 2, kept finite."""
    return np.asarray(stats.norm.ppf(np.clip(below + 0.5 * at, 1e-15, 1.0 - 1e-15)), dtype=float)


def unit_counts(
    frame: pd.DataFrame, unit_col: str, events_col: str, size_col: str, cases_col: str | None, kind: str
) -> tuple[Array, Array, Array]:
    """Check the counts of units and return events, sizes and cases."""
    check_columns(frame, [unit_col, events_col, size_col, cases_col], table="units")
    events, size = (number_column(frame, name, 0.0) for name in (events_col, size_col))
    cases = size if cases_col is None else number_column(frame, cases_col, 0.0)
    found = broken(frame, f"{events_col} must be a whole number, 0 or more", ~_is_whole(events), table="units")
    wrong = ~(np.isfinite(size) & (size > 0))
    if kind == "share":
        wrong = wrong | ~_is_whole(size) | (events > size)
    found += broken(
        frame, f"{size_col} must be above 0{' and hold the events' * (kind == 'share')}", wrong, table="units"
    )
    found += broken(frame, "a unit must stand in one row", frame[unit_col].duplicated().to_numpy(), table="units")
    if found:
        raise ContractError(found)
    if len(frame) < 1:
        raise InsufficientDataError("there is no unit")
    return events, size, cases


def _is_whole(values: Array | Sequence[float]) -> NDArray[np.bool_]:
    held = np.asarray(values, dtype=float)
    return np.isfinite(held) & (held >= 0) & (held == np.round(held))
