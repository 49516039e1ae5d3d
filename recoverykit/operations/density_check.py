"""Is the running variable as dense just above the cut-off as just below? McCrary's check for sorting.

Where staff can nudge a score over the line, those just above differ from those just below in more than the treatment,
and the density jumps. A smooth density does not prove that nobody did. This module knows no outcomes.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from recoverykit.errors import InsufficientDataError
from recoverykit.operations._discontinuity_kernels import kernel_weights, smoother
from recoverykit.operations.effects import as_plain

Array = NDArray[np.float64]

#: McCrary's constant of the pilot bandwidth for the triangular kernel (2008, section 3.2).
_PILOT = 3.348
#: Variance constant of a local linear boundary estimate with the triangular kernel (McCrary 2008, proposition 1).
_BOUNDARY_VARIANCE = 24 / 5
_LEAST_PER_SIDE = 20
#: Values count as a lattice when all gaps are whole multiples of the smallest one up to this share of it.
_LATTICE_SLACK = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class DensityCheck:
    """The jump of the density of a running variable at a cut-off.

    Attributes
    ----------
    log_jump : float
        Log density just right of the cut-off less that just left of it.
    standard_error : float
        Of the jump.
    lower, upper : float
        Confidence interval of the jump.
    p_value : float
        Two-sided, of no jump.
    level : float
        Confidence level in (0, 1).
    bin_width, bandwidth : float
        Of the histogram and of the local linear fit, in units of the running variable.
    bins : DataFrame
        The histogram: place (middle of the bin), density, n_units, side (``left`` or ``right``) and fitted (the local
        linear density at the bin, NaN further from the cut-off than the bandwidth).
    """

    log_jump: float
    standard_error: float
    lower: float
    upper: float
    p_value: float
    level: float
    bin_width: float
    bandwidth: float
    bins: pd.DataFrame = field(repr=False)

    def to_record(self) -> dict[str, Any]:
        """Return the check as JSON can hold it, without the histogram."""
        names = (
            *("log_jump", "standard_error", "lower", "upper", "p_value"),
            *("level", "bin_width", "bandwidth"),
        )
        return {name: as_plain(getattr(self, name)) for name in names}


def density_check(
    running: Array, *, cutoff: float, right_holds_cutoff: bool = True, level: float = 0.95
) -> DensityCheck:
    """Test whether the density of a running variable jumps at a cut-off.

    Parameters
    ----------
    running : ndarray of shape (n,)
        Running variable, finite.
    cutoff : float
        Where the treatment changes.
    right_holds_cutoff : bool
        Whether a unit exactly at the cut-off counts to the right.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    DensityCheck

    Raises
    ------
    InsufficientDataError
        When a side has fewer than 20 units or fewer than six bins.

    Notes
    -----
    McCrary (2008), Journal of Econometrics 142:698-714: a histogram whose bins (width 2 s / sqrt(n)) never straddle the
    cut-off, smoothed on each side by a local line with triangular kernel. Bandwidth, averaged over the sides:
    3.348 [s2 (b - a) / sum f''^2]^(1/5) from a polynomial of order four. With density f right (+) and left (-), n units
    and bandwidth h, the variance of log f+ - log f- is 24/5 (1/f+ + 1/f-) / (n h). Where the running variable is a
    lattice (whole points of a score), bins are whole multiples of its step.

    Examples
    --------
    >>> scores = np.random.default_rng(1).normal(600, 50, 2000)
    >>> bool(density_check(scores, cutoff=620).p_value > 0.05)
    True
    """
    apart = np.asarray(running, dtype=float) - cutoff
    apart = apart if right_holds_cutoff else -apart  # mirrored, so that the cut-off is always held by the right
    n_right = int((apart >= 0).sum())
    if min(n_right, len(apart) - n_right) < _LEAST_PER_SIDE:
        raise InsufficientDataError(
            f"{len(apart) - n_right} and {n_right} units lie left and right of the cut-off {cutoff:g}; a check of the "
            f"density needs {_LEAST_PER_SIDE} on each side"
        )
    width = _bin_width(apart)
    places, counts = _histogram(apart, width)
    density = counts / (len(apart) * width)
    sides = [(places < 0), (places >= 0)]
    if min(int(side.sum()) for side in sides) < 6:
        raise InsufficientDataError(f"fewer than six bins of width {width:g} lie on a side of the cut-off {cutoff:g}")
    bandwidth = float(np.mean([_pilot(places[side], density[side]) for side in sides]))
    bandwidth = max(bandwidth, 3 * width)
    limits, fitted = [], np.full(len(places), np.nan)
    for side in sides:
        line = smoother(places[side], kernel_weights(places[side], bandwidth, "triangular"), 1) @ density[side]
        limits.append(float(line[0]))
        near = side & (np.abs(places) <= bandwidth)
        fitted[near] = line[0] + line[1] * places[near]
    if min(limits) <= 0:
        raise InsufficientDataError(
            f"hardly any unit lies next to the cut-off {cutoff:g}, so its density has no logarithm"
        )
    jump = float(np.log(limits[1]) - np.log(limits[0]))
    error = float(np.sqrt(_BOUNDARY_VARIANCE * sum(1 / f for f in limits) / (len(apart) * bandwidth)))
    sign = 1.0 if right_holds_cutoff else -1.0
    spread = float(ndtri(0.5 + level / 2)) * error
    names = np.where((places >= 0) == right_holds_cutoff, "right", "left")
    columns = {"place": cutoff + sign * places, "density": density, "n_units": counts, "side": names, "fitted": fitted}
    bins = pd.DataFrame(columns).sort_values("place", ignore_index=True)
    jump *= sign
    p_value = 2 * float(ndtr(-abs(jump) / error))
    return DensityCheck(jump, error, jump - spread, jump + spread, p_value, level, width, bandwidth, bins)


def _bin_width(apart: Array) -> float:
    """Return McCrary's bin width, in whole steps where the values are a lattice."""
    width = 2 * float(np.std(apart, ddof=1)) / np.sqrt(len(apart))
    gaps = np.diff(np.unique(apart))
    step = float(gaps.min())
    multiples = gaps / step
    is_lattice = bool(np.all(np.abs(multiples - np.round(multiples)) < _LATTICE_SLACK * np.maximum(multiples, 1)))
    return max(round(width / step), 1) * step if is_lattice else width


def _histogram(apart: Array, width: float) -> tuple[Array, NDArray[np.int64]]:
    """Return the middles of all bins from the first to the last unit, and their counts."""
    # A value on the border of two bins belongs to the upper one, although its quotient may fall short by rounding.
    codes = np.floor(apart / width + 1e-9).astype(np.int64)
    counts = np.bincount(codes - codes.min())
    places = (np.arange(len(counts)) + codes.min() + 0.5) * width
    return places, counts


def _pilot(places: Array, density: Array) -> float:
    """Return the bandwidth of one side from a polynomial of order four."""
    scale = float(np.abs(places).max())
    u = places / scale
    basis = np.vander(u, 5, increasing=True)
    beta = np.linalg.lstsq(basis, density, rcond=None)[0]
    variance = float(np.mean((density - basis @ beta) ** 2))
    curvature = (2 * beta[2] + 6 * beta[3] * u + 12 * beta[4] * u**2) / scale**2
    reach = float(np.ptp(places))
    return min(_PILOT * (variance * reach / float(np.sum(curvature**2))) ** 0.2, scale)
