"""Message variants as an experiment with several arms: which one works, without luck being taken for a finding.

Of ten wordings that all work alike one will look best, and some pair of the forty-five will differ at the 5 % level
more often than not. P-values are therefore adjusted for the number of comparisons made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2, chi2_contingency
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from recoverykit.errors import InsufficientDataError
from recoverykit.estimators._rows import broken, check_choice, check_columns, check_level
from recoverykit.operations._arm_contrasts import Contrast, compare_means, compare_robust, compare_shares
from recoverykit.operations._treatment_columns import check_numbers
from recoverykit.operations.effects import p_words, plain_rows
from recoverykit.operations.randomised import check_random

Array = NDArray[np.float64]

ADJUSTMENTS = ("holm", "benjamini_hochberg", "none")
_METHODS = {"holm": "holm", "benjamini_hochberg": "fdr_bh"}
_WORDS = {
    "holm": "Holm: the probability of any false finding is held",
    "benjamini_hochberg": "Benjamini-Hochberg: the share of false ones among the findings is held",
    "none": "not adjusted: several comparisons make false findings likely",
}
_LEAST = 10


@dataclass(frozen=True, slots=True, eq=False)
class VariantComparison:
    """Comparisons of the variants of a message.

    Attributes
    ----------
    outcome : str
        What was compared.
    adjustment : str
        ``holm``, ``benjamini_hochberg`` or ``none``.
    level : float
        Confidence level; of all intervals together, by Bonferroni, unless the adjustment is none.
    variants : DataFrame
        variant, n_units, value, lower, upper (interval of the variant alone).
    comparisons : DataFrame
        variant, against, difference, lower, upper, p_value, adjusted_p_value, is_found.
    overall_p_value : float
        Of the hypothesis that all variants work alike.
    """

    outcome: str
    adjustment: str
    level: float
    variants: pd.DataFrame = field(repr=False)
    comparisons: pd.DataFrame = field(repr=False)
    overall_p_value: float

    def to_frame(self) -> pd.DataFrame:
        """Return one row per comparison."""
        return self.comparisons.copy()

    def to_record(self) -> dict[str, Any]:
        """Return the comparison as JSON can hold it."""
        facts = {"outcome": self.outcome, "adjustment": self.adjustment, "level": self.level}
        tables = {"variants": plain_rows(self.variants), "comparisons": plain_rows(self.comparisons)}
        return facts | {"overall_p_value": self.overall_p_value} | tables

    def sentence(self) -> str:
        """Say how many variants differ, and by what rule."""
        n_found, n_all = int(self.comparisons["is_found"].sum()), len(self.comparisons)
        return (
            f"{self.outcome}, {len(self.variants)} variants: {n_found} of {n_all} comparisons differ "
            f"({_WORDS[self.adjustment]}); all alike: {p_words(self.overall_p_value)}."
        )

    def summary(self) -> str:
        """Return the finding and both tables as text."""
        tables = (self.variants, self.comparisons)
        shown = [table.to_string(index=False, float_format="{:.4g}".format) for table in tables]
        return "\n".join([self.sentence(), *shown])

    def _repr_html_(self) -> str:
        tables = (self.variants, self.comparisons)
        shown = [table.to_html(index=False, float_format="{:.4g}".format) for table in tables]
        return f"<p>{escape(self.sentence())}</p>{''.join(shown)}"


def compare_variants(
    frame: pd.DataFrame,
    *,
    outcome_col: str,
    variant_col: str = "message_variant",
    control: str | None = None,
    adjustment: str = "holm",
    assignment_col: str | None = "assignment",
    cluster_col: str | None = None,
    level: float = 0.95,
) -> VariantComparison:
    """Compare the variants of a message that were drawn by lot.

    Parameters
    ----------
    frame : DataFrame
        One row per message sent, or per unit. Not changed.
    outcome_col : str
        Outcome over a horizon fixed beforehand: 1 and 0, or an amount or share.
    variant_col : str
        Variant of each row.
    control : str, optional
        Variant with which the others are compared; not given, all pairs are.
    adjustment : {"holm", "benjamini_hochberg", "none"}
        How p-values are adjusted for the number of comparisons.
    assignment_col : str or None
        How each row came to its variant; all must be ``random``. None asserts that all were.
    cluster_col : str, optional
        Facility or obligor, where one got several messages.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    VariantComparison
        Differences are variant less ``against``, found where the adjusted p-value is below 1 - level.

    Raises
    ------
    UnsoundComparisonError
        When variants were not drawn by lot.
    ContractError, InsufficientDataError, ValueError
        When columns or values are missing (all at once), a variant has fewer than ten rows or two clusters, there is
        one variant only, or an option is not allowed.

    Notes
    -----
    Holm (1979), Scandinavian Journal of Statistics 6:65-70; Benjamini & Hochberg (1995), JRSS B 57:289-300, both by
    statsmodels' ``multipletests``.

    Examples
    --------
    >>> frame = pd.DataFrame({"message_variant": ["plain"] * 100 + ["offer"] * 100 + ["threat"] * 100})
    >>> frame["paid"] = [1] * 30 + [0] * 70 + [1] * 55 + [0] * 45 + [1] * 28 + [0] * 72
    >>> found = compare_variants(frame, outcome_col="paid", control="plain", assignment_col=None)
    >>> found.comparisons[["variant", "is_found"]].values.tolist()
    [['offer', True], ['threat', False]]
    """
    check_choice("adjustment", adjustment, ADJUSTMENTS)
    check_level(level)
    check_columns(frame, [variant_col, outcome_col, assignment_col, cluster_col])
    check_random(frame, assignment_col)
    needed = [variant_col, *([cluster_col] if cluster_col else [])]
    faults = [v for c in needed for v in broken(frame, f"{c} must not be missing", frame[c].isna().to_numpy())]
    outcome = check_numbers(frame, [outcome_col], faults=faults)[outcome_col]
    variants = np.asarray(frame[variant_col].astype(str), dtype=np.str_)
    names, counts = np.unique(variants, return_counts=True)
    pairs = _pairs([str(name) for name in names], counts, control)
    clusters = None if cluster_col is None else pd.factorize(frame[cluster_col])[0].astype(np.int64)
    # Intervals that hold together, whatever the adjustment of the p-values.
    own_level = level if adjustment == "none" else 1 - (1 - level) / len(pairs)
    contrasts = [_contrast(outcome, variants, pair, clusters, own_level) for pair in pairs]
    p_values = np.array([contrast.p_value for contrast in contrasts])
    adjusted = p_values if adjustment == "none" else multipletests(p_values, method=_METHODS[adjustment])[1]
    comparisons = pd.DataFrame(
        {
            "variant": [pair[0] for pair in pairs],
            "against": [pair[1] for pair in pairs],
            "difference": [contrast.effect for contrast in contrasts],
            "lower": [contrast.lower for contrast in contrasts],
            "upper": [contrast.upper for contrast in contrasts],
            "p_value": p_values,
            "adjusted_p_value": adjusted,
            "is_found": adjusted < 1 - level,
        }
    )
    return VariantComparison(
        outcome=outcome_col,
        adjustment=adjustment,
        level=level,
        variants=_variants(outcome, variants, [str(name) for name in names], clusters, level),
        comparisons=comparisons,
        overall_p_value=_overall(outcome, variants, clusters),
    )


def _pairs(names: Sequence[str], counts: NDArray[np.int64], control: str | None) -> list[tuple[str, str]]:
    if len(names) < 2:
        raise InsufficientDataError(f"there is one variant only: {names[0]}; nothing can be compared")
    small = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if count < _LEAST]
    if small:
        raise InsufficientDataError(f"{', '.join(small)} have fewer than {_LEAST} rows; leave them out or wait")
    if control is None:
        return [(later, earlier) for earlier, later in combinations(names, 2)]
    if control not in names:
        raise ValueError(f"control is {control!r}; the variants are {', '.join(names)}")
    return [(name, control) for name in names if name != control]


def _contrast(
    outcome: Array, variants: NDArray[np.str_], pair: tuple[str, str], clusters: NDArray[np.int64] | None, level: float
) -> Contrast:
    kept = np.isin(variants, pair)
    is_treated, values = variants[kept] == pair[0], outcome[kept]
    is_binary = bool(np.isin(outcome, (0.0, 1.0)).all())
    if clusters is not None:
        return compare_robust(
            outcome=values,
            is_treated=is_treated,
            names=pair,
            level=level,
            measure="risk_difference" if is_binary else "mean_difference",
            clusters=clusters[kept],
        )
    if is_binary:
        shares = {"interval": "newcombe", "level": level, "with_ratio": False}
        return compare_shares(outcome=values, is_treated=is_treated, names=pair, **shares)  # type: ignore[arg-type]
    return compare_means(outcome=values, is_treated=is_treated, names=pair, level=level)


def _variants(
    outcome: Array, variants: NDArray[np.str_], names: list[str], clusters: NDArray[np.int64] | None, level: float
) -> pd.DataFrame:
    """Return each variant by itself; its interval comes from its comparison with any other."""
    rows = []
    for name in names:
        other = next(n for n in names if n != name)
        rows.append(_contrast(outcome, variants, (name, other), clusters, level).arms.iloc[0])
    return pd.DataFrame(rows).rename(columns={"arm": "variant"}).reset_index(drop=True)


def _overall(outcome: Array, variants: NDArray[np.str_], clusters: NDArray[np.int64] | None) -> float:
    """Return the p-value that all variants work alike: chi-square for shares, a robust Wald test otherwise."""
    names = np.unique(variants)
    if clusters is None and np.isin(outcome, (0.0, 1.0)).all():
        table = np.array([[np.sum((variants == n) & (outcome == v)) for v in (0.0, 1.0)] for n in names])
        return float(chi2_contingency(table, correction=False).pvalue) if table.sum(axis=0).min() > 0 else 1.0
    design = (variants[:, None] == names[None, :]).astype(float)
    kind = {"cov_type": "HC1"} if clusters is None else {"cov_type": "cluster", "cov_kwds": {"groups": clusters}}
    fitted = OLS(outcome, design).fit(**kind)
    gaps = np.hstack([np.eye(len(names) - 1), -np.ones((len(names) - 1, 1))])
    apart, cov = gaps @ fitted.params, gaps @ fitted.cov_params() @ gaps.T
    return float(chi2.sf(apart @ np.linalg.pinv(cov) @ apart, len(names) - 1))
