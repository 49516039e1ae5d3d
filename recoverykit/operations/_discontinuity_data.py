"""From a frame to the arrays of a discontinuity design: the border where columns, rows and options are checked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recoverykit.errors import InsufficientDataError, Violation
from recoverykit.estimators._rows import broken, check_columns
from recoverykit.operations._discontinuity_kernels import Side
from recoverykit.operations._treatment_columns import check_numbers, refuse_balance, refuse_drivers

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Half width, or both ends, of a window in units of the running variable.
Window = float | tuple[float, float]
#: The least units on each side, and distinct places on each side, from which a line is drawn.
LEAST_UNITS, LEAST_PLACES = 10, 4


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Rows of a discontinuity design, sorted by the running variable.

    Attributes
    ----------
    running : ndarray of shape (n,)
        Running variable as given.
    outcome : ndarray of shape (n,)
        Outcome.
    takeup : ndarray of shape (n,) or None
        Whether the unit was treated in fact.
    is_right : ndarray of bool of shape (n,)
        Whether it counts to the right of the cut-off.
    clusters : ndarray of int of shape (n,) or None
        Cluster of each row.
    covariates : dict of str to ndarray of shape (n,)
        Columns whose balance is checked.
    cutoff : float
        Where the treatment changes.
    n_missing : int
        Rows left out because outcome or running variable is missing.
    """

    running: Array
    outcome: Array
    takeup: Array | None
    is_right: BoolArray
    clusters: NDArray[np.int64] | None
    covariates: dict[str, Array]
    cutoff: float
    n_missing: int

    def sides(self, values: Array, near: BoolArray | None = None) -> tuple[Side, Side]:
        """Return values on the two sides, of all rows or of those that are near."""
        kept = np.ones(len(values), dtype=bool) if near is None else near
        apart = self.running - self.cutoff
        left, right = kept & ~self.is_right, kept & self.is_right
        return Side(apart[left], values[left]), Side(apart[right], values[right])


def read_observations(
    frame: pd.DataFrame,
    *,
    outcome_col: str,
    running_col: str,
    cutoff: float,
    right_holds_cutoff: bool,
    takeup_col: str | None,
    cluster_col: str | None,
    balance_cols: Sequence[str],
    missing: str,
) -> Observations:
    """Check a frame and return it as arrays; arguments and errors are those of ``regression_discontinuity``."""
    refuse_drivers([running_col], "the running variable of a treatment")
    refuse_balance(balance_cols)
    check_columns(frame, [outcome_col, running_col, takeup_col, cluster_col, *balance_cols])
    if not np.isfinite(cutoff):
        raise ValueError(f"cutoff is {cutoff!r}; it must be a number in units of {running_col}")
    kept, n_missing = frame, 0
    needed = [outcome_col, running_col, *([takeup_col] if takeup_col else [])]
    if missing == "exclude":
        is_known = frame[needed].notna().all(axis=1)
        kept, n_missing = frame[is_known], int((~is_known).sum())
        check_columns(kept, needed)
    advice = " (missing='exclude' leaves out, and counts, rows that miss one)" if missing == "refuse" else ""
    faults: list[Violation] = []
    if cluster_col is not None:
        faults = broken(kept, f"{cluster_col} must not be missing", kept[cluster_col].isna().to_numpy())
    values = check_numbers(kept, [*needed, *balance_cols], advice=advice, faults=faults)
    order = np.argsort(values[running_col], kind="stable")
    running = values[running_col][order]
    is_right = running >= cutoff if right_holds_cutoff else running > cutoff
    clusters = None if cluster_col is None else pd.factorize(kept[cluster_col])[0][order].astype(np.int64)
    return Observations(
        running=running,
        outcome=values[outcome_col][order],
        takeup=None if takeup_col is None else values[takeup_col][order],
        is_right=is_right,
        clusters=clusters,
        covariates={column: values[column][order] for column in balance_cols},
        cutoff=float(cutoff),
        n_missing=n_missing,
    )


def window_ends(window: Window, cutoff: float) -> tuple[float, float]:
    """Return the ends of a window given as half width or as both ends.

    Raises
    ------
    ValueError
        When it is not a positive half width, or a pair of ends around the cut-off.
    """
    if isinstance(window, tuple | list):
        ends = tuple(float(end) for end in window)
        if len(ends) != 2 or not ends[0] < cutoff < ends[1] or not np.isfinite(ends).all():
            raise ValueError(f"window is {window!r}; two ends must enclose the cut-off {cutoff:g}")
        return ends[0], ends[1]
    if not (np.isfinite(window) and window > 0):
        raise ValueError(f"window is {window!r}; it must be a half width above 0, or both ends")
    return cutoff - float(window), cutoff + float(window)


def inside(running: Array, ends: tuple[float, float], closed: str) -> BoolArray:
    """Tell which rows lie in a window whose ends belong to it or not."""
    left = running >= ends[0] if closed in ("both", "left") else running > ends[0]
    right = running <= ends[1] if closed in ("both", "right") else running < ends[1]
    return left & right


def check_enough(data: Observations, near: BoolArray, what: str) -> None:
    """Raise InsufficientDataError when a side has too few units or places for a line."""
    apart = data.running - data.cutoff
    for name, side in (("left", near & ~data.is_right), ("right", near & data.is_right)):
        n_units, n_places = int(side.sum()), len(np.unique(apart[side]))
        if n_units < LEAST_UNITS or n_places < LEAST_PLACES:
            raise InsufficientDataError(
                f"{n_units} units at {n_places} different places lie {name} of the cut-off {data.cutoff:g} {what}; "
                f"{LEAST_UNITS} units at {LEAST_PLACES} places are needed for a line: take a wider window, or another "
                "cut-off"
            )
