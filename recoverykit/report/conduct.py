"""Tables about conduct, with small numbers withheld so that no rate gives away the count behind it."""

import numpy as np
import pandas as pd

from recoverykit.report.labels import label_of
from recoverykit.vocabulary import MINIMUM_CELL_COUNT

__all__ = ["contact_breach_table"]


def contact_breach_table(by_unit: pd.DataFrame) -> pd.DataFrame:
    """Return breaches by rule and unit as they may stand on a page.

    Parameters
    ----------
    by_unit : DataFrame
        One row per rule and unit: rule, unit, n_contacts, n_breaches, breach_rate, lower, upper.

    Returns
    -------
    DataFrame
        The same rows, rules in words. Where breaches number from 1 to 9, rate and interval are empty: they would tell
        the number that the page withholds.

    Examples
    --------
    >>> row = {"rule": "contact_hours", "unit": "north", "n_contacts": 200, "n_breaches": 4}
    >>> frame = pd.DataFrame([row | {"breach_rate": 0.02, "lower": 0.005, "upper": 0.05}])
    >>> contact_breach_table(frame)["breach_rate"].isna().tolist()
    [True]
    """
    small = by_unit["n_breaches"].between(1, MINIMUM_CELL_COUNT - 1)
    hidden = {name: by_unit[name].mask(small, np.nan) for name in ("breach_rate", "lower", "upper")}
    return by_unit.assign(rule=by_unit["rule"].map(label_of), **hidden)
