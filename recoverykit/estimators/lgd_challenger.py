"""Gradient boosting of the mean loss, as challenger to the regressions: scikit-learn's histogram trees.

A challenger says how much of the loss the drivers can explain at all, interactions and bends included; it has no
parameters to read and no intervals. scikit-learn is an extra: without it the model can be chosen, and fitting says
what to install.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError, ExtrapolationError, InsufficientDataError
from recoverykit.estimators._formulas import check_variables, is_number
from recoverykit.estimators._lgd_rows import OUTSIDE, Request, check_drivers, read_losses, with_macro
from recoverykit.estimators._rows import Array, check_choice, check_level

__all__ = ["BoostedLgdFit", "BoostedLgdModel"]

try:
    from sklearn.ensemble import HistGradientBoostingRegressor  # type: ignore
    from threadpoolctl import threadpool_limits  # type: ignore
except ModuleNotFoundError:  # an extra
    HistGradientBoostingRegressor = None


@dataclass(frozen=True, slots=True, eq=False)
class BoostedLgdFit:
    """A boosted model of the mean loss.

    Attributes
    ----------
    features : tuple of str
        Its drivers.
    n_episodes : float
        Sum of the case weights.
    n_below, n_above : float
        Weight of the losses below 0 and above 1 that were clipped.
    mean_loss : float
        Weighted mean of the losses as fitted.
    levels : mapping of str to tuple
        For each categorical driver the values seen in the fit.
    """

    features: tuple[str, ...]
    n_episodes: float
    n_below: float
    n_above: float
    mean_loss: float
    levels: Mapping[str, tuple[object, ...]]
    trees: Any = field(repr=False)

    def predict(
        self, frame: pd.DataFrame, *, macro: pd.DataFrame | None = None, default_month_col: str | None = None
    ) -> pd.Series:
        """Predict the expected loss of each row; trees that overshoot are held within 0 and 1.

        Parameters and errors are those of ``LgdRegressionFit.predict``.
        """
        covariates = with_macro(frame, self.features, macro, default_month_col)
        faults = check_variables(covariates, self.features)
        if faults:
            raise ContractError(faults)
        value = np.clip(self.trees.predict(_matrix(covariates, self.features, self.levels)), 0.0, 1.0)
        return pd.Series(value, index=frame.index, name="expected_lgd")

    def sentence(self) -> str:
        """Say what was fitted, on what."""
        return (
            f"Boosted trees on {', '.join(self.features)}: {self.n_episodes:,.0f} episodes with a mean loss of "
            f"{self.mean_loss:.1%}; a challenger without parameters or intervals."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostedLgdModel:
    """Choose gradient-boosted trees of the mean loss, squared error, for comparison.

    Attributes
    ----------
    features : tuple of str
        Drivers; text and categories are split as categories, numbers by thresholds.
    n_trees : int
        Number of trees.
    learning_rate : float
        Share of each tree that is taken.
    max_leaves : int
        Leaves of a tree, 2 or more.
    min_leaf : int
        Episodes in a leaf at the least.
    seed : int
        Of the bins of numbers in large data; the same seed gives the same trees.
    outside : str
        Losses below 0 or above 1: ``refuse`` them, or ``clip`` them to the nearer limit and count them.

    Raises
    ------
    ValueError
        If a choice is not allowed.
    RefusedColumnError
        If a driver is known only after the outcome, or is refused by another rule.
    """

    features: tuple[str, ...]
    n_trees: int = 200
    learning_rate: float = 0.05
    max_leaves: int = 15
    min_leaf: int = 50
    seed: int = 0
    outside: str = "refuse"

    def __post_init__(self) -> None:
        """Check the choices."""
        if isinstance(self.features, str) or not self.features:
            raise ValueError("features must be a tuple of columns, not empty")
        if min(self.n_trees, self.min_leaf) < 1 or self.max_leaves < 2 or not self.learning_rate > 0:
            raise ValueError("n_trees and min_leaf must be 1 or more, max_leaves 2 or more, learning_rate above 0")
        check_choice("outside", self.outside, OUTSIDE)
        check_drivers({}, self.features)

    def fit(
        self,
        frame: pd.DataFrame,
        *,
        loss_col: str = "realised_lgd",
        weights_col: str | None = None,
        cluster_col: str | None = None,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
        level: float = 0.95,
    ) -> BoostedLgdFit:
        """Grow the trees.

        Parameters and errors are those of ``FractionalLogitModel.fit``; clusters and level are checked and make no
        difference. InsufficientDataError too for fewer episodes than two leaves need, ImportError without
        scikit-learn.
        """
        if HistGradientBoostingRegressor is None:
            raise ImportError("the challenger needs scikit-learn: pip install 'recoverykit[challenger]'")
        check_level(level)
        request = Request(loss_col, weights_col, cluster_col, macro, default_month_col, level, self.outside)
        features = tuple(self.features)
        rows = read_losses(frame, features, request)
        if len(rows.loss) < 2 * self.min_leaf:
            raise InsufficientDataError(
                f"{len(rows.loss)} episodes make no two leaves of {self.min_leaf}; use a smaller min_leaf or a wider "
                "segment"
            )
        texts = [name for name in features if not is_number(rows.covariates[name])]
        levels = {name: tuple(sorted(rows.covariates[name].unique(), key=str)) for name in texts}
        trees = HistGradientBoostingRegressor(
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaves,
            min_samples_leaf=self.min_leaf,
            categorical_features=[name in levels for name in features],
            early_stopping=False,
            random_state=self.seed,
        )
        # One thread: sums come in one order, and kernels that share the cores do not wait for each other.
        with threadpool_limits(limits=1, user_api="openmp"):
            trees.fit(_matrix(rows.covariates, features, levels), rows.loss, sample_weight=rows.weights)
        n_episodes = rows.count()
        total = rows.loss.sum() if rows.weights is None else rows.weights @ rows.loss
        mean = float(total) / n_episodes
        return BoostedLgdFit(features, n_episodes, rows.n_below, rows.n_above, mean, levels, trees)


def _matrix(frame: pd.DataFrame, features: tuple[str, ...], levels: Mapping[str, tuple[object, ...]]) -> Array:
    """Return drivers as numbers, categories as their position; refuse levels that the fit did not see."""
    columns = []
    for name in features:
        if name not in levels:
            columns.append(frame[name].to_numpy(dtype=float))
            continue
        codes = pd.Index(levels[name]).get_indexer(pd.Index(frame[name]))
        if codes.min() < 0:
            unseen = sorted({str(value) for value in frame[name][codes < 0]})
            raise ExtrapolationError(f"{name} has the levels {', '.join(unseen[:5])}, which the fit did not see")
        columns.append(codes.astype(float))
    return np.column_stack(columns)
