"""Bornhuetter-Ferguson: what a young vintage will recover, from its own recoveries and from those of older vintages.

A young vintage has recovered little, and a chain ladder would multiply its luck. Here the part that should have come in
by now is taken as it came, and the part still to come from a prior: prior rate x EAD x share not yet in. So a vintage
that has recovered nothing has an estimate too. With more iterations the vintage's own experience counts for more; in
the limit it is the chain ladder. This module knows vintages and months, and single obligors only for its band.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recoverykit.curves import StepCurve
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._bornhuetter_draws import VintageSums, draw_vintages
from recoverykit.estimators._clusters import check_bootstrap, percentile_limits
from recoverykit.estimators._rows import Array, BoolArray, IntArray, check_level
from recoverykit.estimators._triangle_layout import TriangleColumns, VintageRows, read_vintages
from recoverykit.estimators.bornhuetter_ferguson_fit import BornhuetterFergusonFit
from recoverykit.estimators.recovery_curve import recovery_curve
from recoverykit.estimators.remaining_recovery import MINIMUM_OPEN

__all__ = ["BornhuetterFergusonFit", "BornhuetterFergusonModel"]

#: Share of EAD by which sums of the same flows may differ through rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class BornhuetterFergusonModel:
    """Choices of a Bornhuetter-Ferguson estimate.

    Attributes
    ----------
    prior_rate : float or None
        Ultimate recovery rate expected of a vintage before anything is seen of it, share of EAD: of the parent segment,
        of a plan. None estimates it from the older vintages.
    prior_from_months : int
        Age from which vintages give the prior where none is stated.
    n_iterations : int
        1 for Bornhuetter-Ferguson, 2 for Benktander (Mack 2000), more for more weight on the vintage's own experience.
    minimum_at_risk : int
        The additive pattern ends at the last month with at least so many episodes observed; nothing comes after it.

    Examples
    --------
    Half of the ultimate should have come in by month 1. The vintage has recovered 55 %, the prior is 90 %: 55 % plus
    half of 90 % makes 100 %; Benktander takes the 100 % as the new prior, which makes 105 %.

    >>> triangle = pd.DataFrame({"default_vintage": "2024Q1", "month": [0, 1], "ead_at_risk": 100.0, "n_at_risk": 10,
    ...                          "present_value_amount": [0.0, 55.0]})
    >>> nothing = np.full(3, np.nan)
    >>> half = StepCurve([0, 1, 2], [0.0, 0.5, 1.0], nothing, nothing)
    >>> for n in (1, 2):
    ...     model = BornhuetterFergusonModel(prior_rate=0.9, n_iterations=n)
    ...     print(model.fit(triangle, pattern=half, complete_col=None).vintages["ultimate_rate"].round(4).item())
    1.0
    1.05
    """

    prior_rate: float | None = None
    prior_from_months: int = 12
    n_iterations: int = 1
    minimum_at_risk: int = MINIMUM_OPEN

    def __post_init__(self) -> None:
        if self.prior_rate is not None and not np.isfinite(self.prior_rate):
            raise ValueError(f"prior_rate is {self.prior_rate!r}; give a share of EAD such as 0.6, or None")
        if self.n_iterations < 1 or self.n_iterations != int(self.n_iterations):
            raise ValueError(f"n_iterations is {self.n_iterations!r}; give a whole number, 1 or more")
        if self.prior_from_months < 0:
            raise ValueError(f"prior_from_months is {self.prior_from_months!r}; give months, 0 or more")

    def fit(
        self,
        triangle: pd.DataFrame,
        *,
        pattern: StepCurve | None = None,
        vintage_col: str = "default_vintage",
        month_col: str = "month",
        amount_col: str = "present_value_amount",
        exposure_col: str = "ead_at_risk",
        count_col: str = "n_at_risk",
        complete_col: str | None = "is_complete",
        cells: pd.DataFrame | None = None,
        cluster_col: str = "obligor_id",
        n_bootstrap: int = 0,
        rng: np.random.Generator | None = None,
        level: float = 0.95,
    ) -> BornhuetterFergusonFit:
        """Estimate what every vintage will have recovered in the end.

        Parameters
        ----------
        triangle : DataFrame
            One row per vintage and month in default, as from ``vintage_triangle``. Not changed.
        pattern : StepCurve, optional
            Share of the ultimate that has come in by each month from 0, as from ``ChainLadderFit.pattern`` or
            ``RecoveryTailFit.pattern``. Not given: the additive curve of all vintages over its last value, so nothing
            comes after its last month.
        vintage_col, month_col, amount_col, exposure_col, count_col, complete_col
            As in ``ChainLadderModel.fit``.
        cells : DataFrame, optional
            Sums by vintage, obligor and month, as from ``recovery_cells(..., by=[vintage_col])``; needed for a band.
        cluster_col : str
            What is drawn; its episodes stay together.
        n_bootstrap : int
            Number of draws; 0 for no band.
        rng : numpy.random.Generator, optional
            Needed for a bootstrap.
        level : float
            Confidence level in (0, 1).

        Returns
        -------
        BornhuetterFergusonFit

        Raises
        ------
        ContractError
            When columns or numbers are missing.
        InsufficientDataError
            When the pattern does not rise, or no vintage is old enough for a prior.
        ValueError
            When an option is not allowed, the pattern does not begin at month 0, or a bootstrap lacks rng or cells that
            add up to the triangle.

        Notes
        -----
        Bornhuetter & Ferguson (1972), Proceedings of the Casualty Actuarial Society 59:181-195; Mack (2000), ASTIN
        Bulletin 30(2):333-347. With C recovered so far, beta its share of the ultimate and U_0 = prior x EAD, iterated:
        U_j = C + (1 - beta) U_{j-1}. The estimated prior is sum C / sum (EAD x beta) over the older vintages, weighted
        by EAD (the Cape Cod estimate).

        The band draws obligors, and in each draw what the vintages recovered, the prior and the additive pattern again.
        A pattern or prior that is given is taken as known. It is the uncertainty of the expected rate of such a
        vintage, not of what its open cases will happen to bring.
        """
        check_level(level)
        check_bootstrap(n_bootstrap, rng)
        columns = TriangleColumns(vintage_col, month_col, amount_col, exposure_col, count_col, complete_col)
        rows = read_vintages(triangle, columns)
        known = _additive_pattern(triangle, columns, self.minimum_at_risk) if pattern is None else _checked(pattern)
        month, share = _position(rows, known)
        recovered = np.take_along_axis(rows.cumulative, month[:, None], axis=1)[:, 0]
        is_older = month >= self.prior_from_months
        prior = self._prior(recovered, rows.ead, share, is_older)
        ultimate = self._ultimate(recovered, rows.ead, share, np.asarray(prior))
        draws = np.zeros((0, len(month)))
        if n_bootstrap and rng is not None:
            if cells is None:
                raise ValueError("a bootstrap needs cells, sums by vintage, obligor and month; see recovery_cells")
            n_months = len(known.times) if pattern is None else 0
            sums = VintageSums.read(cells, columns, cluster_col, rows.vintages, month, n_months)
            _check_same(sums, rows, recovered)
            draws = self._draws(draw_vintages(sums, n_bootstrap, rng), share, is_older)
        is_given = self.prior_rate is not None
        return BornhuetterFergusonFit(
            vintage_name=vintage_col,
            n_iterations=self.n_iterations,
            prior_rate=float(prior),
            prior_is_given=is_given,
            prior_vintages=() if is_given else tuple(map(str, rows.vintages[is_older])),
            pattern_is_given=pattern is not None,
            vintages=_table(rows, month, share, recovered, ultimate, _Band.of(draws, level)),
            exclusions=rows.exclusions,
            level=level,
        )

    def _prior(self, recovered: Array, ead: Array, share: Array, is_older: BoolArray) -> Array:
        """Return the prior rate, along the last axis of arrays of shape (..., n_vintages)."""
        if self.prior_rate is not None:
            return np.full(recovered.shape[:-1], self.prior_rate)
        due = (ead * share)[..., is_older].sum(axis=-1)
        if recovered.ndim == 1 and not due > 0:
            raise InsufficientDataError(
                f"no vintage is {self.prior_from_months} months old with something expected by then, so there is no "
                "prior; give prior_rate, such as that of the parent segment, or a smaller prior_from_months"
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            return recovered[..., is_older].sum(axis=-1) / due

    def _ultimate(self, recovered: Array, ead: Array, share: Array, prior: Array) -> Array:
        ultimate = prior[..., None] * ead
        for _ in range(self.n_iterations):
            ultimate = recovered + (1.0 - share) * ultimate
        return ultimate

    def _draws(self, drawn: tuple[Array, Array, Array | None], share: Array, is_older: BoolArray) -> Array:
        """Return the ultimate rates of draws, of shape (n_draws, n_vintages); NaN where a draw has no such vintage."""
        recovered, ead, drawn_share = drawn
        shares = np.broadcast_to(share, ead.shape) if drawn_share is None else drawn_share
        prior = self._prior(recovered, ead, shares, is_older)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._ultimate(recovered, ead, shares, prior) / np.where(ead > 0, ead, np.nan)


def _additive_pattern(triangle: pd.DataFrame, columns: TriangleColumns, minimum_at_risk: int) -> StepCurve:
    curve = recovery_curve(
        triangle.rename(columns={columns.month: "month"}),
        amount_col=columns.amount,
        exposure_col=columns.exposure,
        count_col=columns.count,
        minimum_at_risk=minimum_at_risk,
    )
    ultimate = float(curve.values[-1])
    if not ultimate > 0:
        raise InsufficientDataError(
            f"the additive curve of all vintages ends at {ultimate:.2%} of EAD by month {curve.times[-1]:g}, so there "
            "is no pattern of recovery; give one, such as that of the parent segment"
        )
    unknown = np.full(len(curve.times), np.nan)
    return StepCurve(curve.times, curve.values / ultimate, unknown, unknown)


def _checked(pattern: StepCurve) -> StepCurve:
    if pattern.times[0] != 0 or not np.isfinite(pattern.values).all() or not pattern.values[-1] > 0:
        raise ValueError(
            "a pattern must begin at month 0 and hold shares of the ultimate, above 0 at its end; see ChainLadderFit."
            "pattern and RecoveryTailFit.pattern"
        )
    return pattern


def _position(rows: VintageRows, pattern: StepCurve) -> tuple[IntArray, Array]:
    """Return the month at which each vintage is read, and the share of the ultimate due by then.

    That is its last month, or the last before it at which the pattern is known; after the pattern's end, its last.
    """
    place = np.searchsorted(pattern.times, rows.last_month, side="right") - 1
    beyond = rows.last_month > pattern.times[-1]
    month = np.where(beyond, rows.last_month, pattern.times[place]).astype(np.int64)
    return month, pattern.values[place]


def _check_same(sums: VintageSums, rows: VintageRows, recovered: Array) -> None:
    """Refuse cells of other episodes than the triangle's, whose band would be around another estimate."""
    total = sums.vintage.sum(axis=0).reshape(2, -1)
    off = np.abs(total - np.stack([recovered, rows.ead])) > _ROUNDING * rows.ead
    wrong = rows.vintages[off.any(axis=0)]
    if len(wrong):
        raise ValueError(
            f"cells do not add up to the recoveries and the EAD of the triangle in {len(wrong)} of "
            f"{len(rows.vintages)} vintages, {wrong[0]} the first; give recovery_cells of the same episodes, by vintage"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """Standard error and limits of the ultimate rate of each vintage; NaN without draws."""

    standard_error: Array
    lower: Array
    upper: Array

    @classmethod
    def of(cls, draws: Array, level: float) -> "_Band":
        """Return the band of draws of shape (n_draws, n_vintages)."""
        unknown = np.full(draws.shape[1], np.nan)
        if len(draws) < 2:
            return cls(unknown, unknown, unknown)
        return cls(draws.std(axis=0, ddof=1), *percentile_limits(draws, level))


def _table(
    rows: VintageRows, month: IntArray, share: Array, recovered: Array, ultimate: Array, band: _Band
) -> pd.DataFrame:
    with np.errstate(divide="ignore", invalid="ignore"):
        multiplied = np.where(share > 0, recovered / share, np.nan)
    return pd.DataFrame(
        {
            rows.vintages.name: rows.vintages,
            "n_episodes": rows.n_episodes,
            "ead": rows.ead,
            "month": month,
            "share_due": share,
            "recovered_amount": recovered,
            "ultimate_amount": ultimate,
            "remaining_amount": ultimate - recovered,
            "recovered_rate": recovered / rows.ead,
            "ultimate_rate": ultimate / rows.ead,
            "chain_ladder_rate": multiplied / rows.ead,
            "standard_error_rate": band.standard_error,
            "lower": band.lower,
            "upper": band.upper,
        }
    )
