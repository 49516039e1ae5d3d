"""An arm against its control: difference and relative reduction, instalments as independent and as clustered."""

from typing import Any

import numpy as np
import pandas as pd
from statsmodels.genmod.families import Poisson
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, test_proportions_2indep

INDEPENDENT, CLUSTERED = "independent", "clustered"
#: Clusters in each arm below which a robust standard error is not told.
MINIMUM_CLUSTERS = 10


def arm_table(frame: pd.DataFrame, members: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return the share of delinquent instalments of each arm, with Wilson's interval."""
    rows = []
    for arm in sorted(members["arm"].unique()):
        part = frame[frame["arm"] == arm]
        n, bad = len(part), int(part["is_delinquent"].sum())
        lower, upper = proportion_confint(bad, n, 1 - level, method="wilson") if n else (np.nan, np.nan)
        rows.append(
            {
                "arm": arm,
                "n_facilities": int(part["facility_id"].nunique()),
                "n_clusters": int(part["cluster"].nunique()),
                "n_instalments": n,
                "n_delinquent": bad,
                "delinquency_rate": bad / n if n else np.nan,
                "lower": float(lower),
                "upper": float(upper),
            }
        )
    return pd.DataFrame(rows)


def arm_lines(
    frame: pd.DataFrame, arms: pd.DataFrame, arm: str, control: str, level: float
) -> list[dict[str, float | str]]:
    """Return both lines of an arm against the control."""
    counts = _counts(arms, arm, control)
    bad, n, bad_0, n_0 = counts
    difference = bad / n - bad_0 / n_0
    lower, upper = confint_proportions_2indep(*counts, method="newcomb", compare="diff", alpha=1 - level)
    low, high = np.nan, np.nan
    if bad_0:
        if bad < n and bad_0 < n_0:
            low, high = confint_proportions_2indep(*counts, method="score", compare="ratio", alpha=1 - level)
        else:  # where an arm is delinquent as a whole, the score interval of statsmodels collapses
            low, high = _ratio_interval(arms, arm, control)
    varies = 0 < bad + bad_0 < n + n_0
    p_value = test_proportions_2indep(*counts, value=0, method="score", compare="diff").pvalue if varies else 1.0
    reduction = 1 - (bad / n) / (bad_0 / n_0) if bad_0 else np.nan
    plain = np.sqrt(sum(b / m * (1 - b / m) / m for b, m in ((bad, n), (bad_0, n_0))))
    first: dict[str, float | str] = {
        "arm": arm,
        "line": INDEPENDENT,
        "difference": difference,
        "lower": float(lower),
        "upper": float(upper),
        "p_value": float(p_value),
        "relative_reduction": reduction,
        "reduction_lower": 1 - float(high),
        "reduction_upper": 1 - max(float(low), 0.0) if bad_0 else np.nan,
        "design_effect": np.nan,
    }
    n_clusters = int(arms.set_index("arm").loc[[arm, control], "n_clusters"].min())
    robust = _clustered(frame[frame["arm"].isin([arm, control])], arm, level, n_clusters)
    se = robust.pop("standard_error")
    second = {**first, "line": CLUSTERED, **robust, "design_effect": (se / plain) ** 2 if plain > 0 else np.nan}
    return [first, second]


def _ratio_interval(arms: pd.DataFrame, arm: str, control: str) -> tuple[float, float]:
    """Return the interval of rate / control rate that the Wilson intervals of both give; the control rate is above 0.

    Donner & Zou (2012), equation 9 (MOVER-R): theta_1, l_1, u_1 are the rate of the arm and its limits, theta_2, l_2,
    u_2 those of the control. With p = theta_1 theta_2 and span(x, theta) = x (2 theta - x), the limits are
    (p - sqrt(p^2 - span(l_1, theta_1) span(u_2, theta_2))) / span(u_2, theta_2), written here without the difference of
    two close numbers, and (p + sqrt(p^2 - span(u_1, theta_1) span(l_2, theta_2))) / span(l_2, theta_2).
    """
    table = arms.set_index("arm").loc[[arm, control], ["delinquency_rate", "lower", "upper"]]
    (rate, lower, upper), (rate_0, lower_0, upper_0) = table.to_numpy(float)

    def span(limit: float, theta: float) -> float:
        return limit * (2 * theta - limit)

    product = rate * rate_0
    low_root = np.sqrt(product**2 - span(lower, rate) * span(upper_0, rate_0))
    high_root = np.sqrt(product**2 - span(upper, rate) * span(lower_0, rate_0))
    low = span(lower, rate) / (product + low_root) if rate else 0.0
    return float(low), float((product + high_root) / span(lower_0, rate_0))


def _counts(arms: pd.DataFrame, arm: str, control: str) -> list[int]:
    """Return delinquent and all instalments of an arm, then of the control."""
    table = arms.set_index("arm").loc[[arm, control], ["n_delinquent", "n_instalments"]]
    return [int(n) for n in table.to_numpy().ravel()]


def _clustered(pair: pd.DataFrame, arm: str, level: float, n_clusters: int) -> dict[str, float]:
    """Return interval, p-value and reduction with errors that let the instalments of a cluster hang together."""
    names = ["standard_error", "lower", "upper", "p_value", "reduction_lower", "reduction_upper"]
    nothing = dict.fromkeys(names, np.nan)
    bad = pair.groupby("arm")["is_delinquent"].agg(["sum", "size"])
    if n_clusters < MINIMUM_CLUSTERS or bool(((bad["sum"] == 0) | (bad["sum"] == bad["size"])).any()):
        return nothing
    y = pair["is_delinquent"].to_numpy(float)
    design = np.column_stack([np.ones(len(y)), (pair["arm"] == arm).to_numpy(float)])
    groups = pd.factorize(pair["cluster"])[0]
    robust: dict[str, Any] = {"cov_type": "cluster", "cov_kwds": {"groups": groups}, "use_t": True}
    linear = OLS(y, design).fit(**robust)
    lower, upper = linear.conf_int(1 - level)[1]
    ratio = GLM(y, design, family=Poisson()).fit(**robust)
    low, high = np.exp(ratio.conf_int(1 - level)[1])
    values = [linear.bse[1], lower, upper, linear.pvalues[1], 1 - high, 1 - low]
    return dict(zip(names, map(float, values), strict=True))


def held_against(
    frame: pd.DataFrame, arms: pd.DataFrame, effects: pd.DataFrame, others: list[str], control: str, claim: float | None
) -> pd.DataFrame:
    """Hold each arm's interval of the relative reduction against a claimed figure."""
    columns = ["arm", "claimed_reduction", "p_value", "verdict"]
    if claim is None:
        return pd.DataFrame(columns=columns)
    rows = []
    for arm in others:
        lines = effects[effects["arm"] == arm].set_index("line")
        told = CLUSTERED if lines["reduction_lower"].notna()[CLUSTERED] else INDEPENDENT
        lower, upper = lines[["reduction_lower", "reduction_upper"]].loc[told].to_numpy(float)
        p_value = np.nan
        counts = _counts(arms, arm, control)
        if told == INDEPENDENT and counts[2]:
            p_value = test_proportions_2indep(*counts, value=1 - claim, method="score", compare="ratio").pvalue
        elif told == CLUSTERED:
            p_value = _claim_p_value(frame[frame["arm"].isin([arm, control])], arm, claim)
        verdict = "too high" if claim > upper else "too low" if claim < lower else "not excluded"
        if np.isnan(lower):
            verdict = "cannot be judged"
        rows.append({"arm": arm, "claimed_reduction": claim, "p_value": float(p_value), "verdict": verdict})
    return pd.DataFrame(rows, columns=columns)


def _claim_p_value(pair: pd.DataFrame, arm: str, claim: float) -> float:
    y = pair["is_delinquent"].to_numpy(float)
    treated = (pair["arm"] == arm).to_numpy(float)
    design = np.column_stack([np.ones(len(y)), treated])
    # As an offset, the claimed ratio is what the coefficient is measured from.
    fit = GLM(y, design, family=Poisson(), offset=treated * np.log(1 - claim)).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(pair["cluster"])[0]}, use_t=True
    )
    return float(fit.pvalues[1])
