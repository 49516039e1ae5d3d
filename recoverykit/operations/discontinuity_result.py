"""The effect of a treatment at a cut-off as a value, with what a reader needs to believe it or not."""

from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd

from recoverykit.operations.density_check import DensityCheck
from recoverykit.operations.effects import as_plain, p_words, plain_rows

_HEADLINE = (
    *("effect", "standard_error", "lower", "upper", "p_value", "n_left", "n_right"),
    *("window_left", "window_right"),
)
_TABLES = ("estimates", "params", "sensitivity", "balance", "exclusions")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RegressionDiscontinuity:
    """The effect of a treatment that is given on one side of a cut-off.

    Attributes
    ----------
    method : str
        ``local_linear`` or ``window``.
    outcome_col, running_col : str
        Outcome and running variable.
    cutoff : float
        Where the treatment changes.
    treated_side : str
        ``right`` or ``left``: where units are treated.
    effect : float
        Outcome with the treatment less outcome without it, for units at the cut-off, in units of the outcome; per unit
        of take-up where the design is fuzzy.
    standard_error : float
        Of the effect; for ``local_linear`` the robust one, which belongs to the interval.
    lower, upper : float
        Confidence interval. For ``local_linear`` it is centred at the bias-corrected estimate, not at ``effect``.
    p_value : float
        Two-sided, of no effect.
    level : float
        Confidence level in (0, 1).
    n_left, n_right : int
        Units left and right of the cut-off inside the window.
    window_left, window_right : float
        Ends of the window in the running variable; for ``local_linear`` cut-off less and plus the bandwidth.
    bias_bandwidth : float or None
        Half width in which the bias was estimated; None for ``window``.
    kernel : str or None
        Kernel of ``local_linear``.
    errors : str
        How error and interval were made.
    takeup_col : str or None
        Take-up of a fuzzy design.
    params : Series
        For ``window`` the coefficients of the regression, ``threshold`` among them; for ``local_linear`` the limits and
        slopes on both sides.
    estimates : DataFrame
        The effect by kind of error: kind, effect, standard_error, lower, upper, p_value.
    sensitivity : DataFrame
        The effect in other windows: window (half width), n_left, n_right, effect, standard_error, lower, upper.
    balance : DataFrame
        The jump of each covariate at the cut-off: covariate, effect, lower, upper, p_value, adjusted_p_value (Holm).
    density : DensityCheck or None
        Check for sorting at the cut-off; None with a caution where there are too few units for it.
    bins : DataFrame
        Means of the outcome by bin of the running variable inside the window: side, place, mean, n_units.
    lines : DataFrame
        The fitted lines inside the window: side, place, value.
    exclusions : DataFrame
        Rows that were left out, by reason: reason, n_units; those outside the window among them.
    cautions : tuple of str
        What a reader must know before believing it.
    """

    method: str
    outcome_col: str
    running_col: str
    cutoff: float
    treated_side: str
    effect: float
    standard_error: float
    lower: float
    upper: float
    p_value: float
    level: float
    n_left: int
    n_right: int
    window_left: float
    window_right: float
    bias_bandwidth: float | None
    kernel: str | None
    errors: str
    takeup_col: str | None
    params: pd.Series = field(repr=False)
    estimates: pd.DataFrame = field(repr=False)
    sensitivity: pd.DataFrame = field(repr=False)
    balance: pd.DataFrame = field(repr=False)
    density: DensityCheck | None = field(repr=False)
    bins: pd.DataFrame = field(repr=False)
    lines: pd.DataFrame = field(repr=False)
    exclusions: pd.DataFrame = field(repr=False)
    cautions: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row: the effect with its error, interval, p-value, counts and window."""
        choices = {name: getattr(self, name) for name in ("method", "outcome_col", "running_col", "cutoff")}
        return pd.DataFrame([choices | {name: getattr(self, name) for name in _HEADLINE}])

    def to_record(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
        plain = {str(key): as_plain(value) for key, value in self.to_frame().iloc[0].items()}
        names = ("treated_side", "level", "bias_bandwidth", "kernel", "errors", "takeup_col")
        plain |= {name: as_plain(getattr(self, name)) for name in names}
        tables: dict[str, Any] = {
            name: plain_rows(getattr(self, name)) for name in _TABLES if isinstance(getattr(self, name), pd.DataFrame)
        }
        tables["params"] = {str(term): as_plain(value) for term, value in self.params.items()}
        tables["density"] = None if self.density is None else self.density.to_record()
        return plain | tables | {"cautions": list(self.cautions)}

    def sentence(self) -> str:
        """Say the effect, its interval, and on which units it rests."""
        how = "ordinary regression in the window" if self.method == "window" else f"local linear, {self.kernel} kernel"
        what = "" if self.takeup_col is None else f" per unit of {self.takeup_col}"
        return (
            f"{self.outcome_col} at {self.running_col} {self.cutoff:g}: treated less untreated {self.effect:.4g}{what} "
            f"({self.level:.0%} interval {self.lower:.4g} to {self.upper:.4g}), {p_words(self.p_value)}; {how} from "
            f"{self.window_left:.4g} to {self.window_right:.4g}, {self.n_left:,} units left and {self.n_right:,} "
            f"right, {self.errors}."
        )

    def summary(self) -> str:
        """Return the finding, the estimates by kind of error, the check of the density and the cautions as text."""
        parts = [self.sentence(), self.estimates.to_string(index=False, float_format="{:.4g}".format)]
        if self.density is not None:
            parts.append(
                f"Density at the cut-off (McCrary 2008): log jump {self.density.log_jump:.3g}, "
                f"{p_words(self.density.p_value)}."
            )
        return "\n".join([*parts, *(f"Caution: {caution}" for caution in self.cautions)])

    def _repr_html_(self) -> str:
        table = self.estimates.to_html(index=False, float_format="{:.4g}".format)
        cautions = "".join(f"<p>Caution: {escape(caution)}</p>" for caution in self.cautions)
        return f"<p>{escape(self.sentence())}</p>{table}{cautions}"
