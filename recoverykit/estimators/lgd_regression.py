"""A fitted LGD regression as a value, whatever its model: one interface, so that models can be compared in a loop.

A model is a set of choices with ``fit``; its fit predicts the expected loss as a share of EAD. This module knows what
the fits share: parameters by part, their uncertainty, predictions with intervals. What is fitted, and how the parts
make a loss, stands with each named method.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Protocol

import numpy as np
import pandas as pd

from recoverykit.errors import ContractError
from recoverykit.estimators._fit_tables import parameter_table, plain
from recoverykit.estimators._formulas import check_prediction_frame
from recoverykit.estimators._lgd_prediction import Expected, External, expected, limits
from recoverykit.estimators._lgd_rows import find_patterns, with_macro, with_segment
from recoverykit.estimators._lgd_stages import Part

__all__ = ["LgdFit", "LgdModel", "LgdRegressionFit"]


class LgdFit(Protocol):
    """What a comparison asks of a fit."""

    def predict(
        self, frame: pd.DataFrame, *, macro: pd.DataFrame | None = None, default_month_col: str | None = None
    ) -> pd.Series | pd.DataFrame:
        """Predict the expected loss of each row."""


class LgdModel(Protocol):
    """What a comparison asks of a model."""

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
    ) -> LgdFit:
        """Fit the model to the losses of episodes."""


@dataclass(frozen=True, slots=True, eq=False)
class LgdRegressionFit:
    """A fitted LGD regression.

    Attributes
    ----------
    model : str
        Name of the model, in words.
    loss_col : str
        The column of losses.
    params, standard_errors : Series
        By part and term. Parts that end in a share are on the logit scale, ``precision`` on the log scale, plain means
        on their own.
    cov : DataFrame of shape (n_params, n_params)
        Their covariance: cluster-robust where clusters were given. Otherwise robust where only means and shares are
        modelled, inverse observed information for densities, parts independent of each other.
    errors : str
        Which of these, in words.
    loglik : float
        Log-likelihood, or quasi-log-likelihood; NaN where the fit has none.
    is_quasi : bool
        Whether only the mean is modelled, so that likelihoods and criteria do not compare.
    n_episodes : float
        Sum of the case weights.
    n_zero, n_one : float
        Weight of the losses of exactly 0 and exactly 1, clipped ones included.
    n_below, n_above : float
        Weight of the losses below 0 and above 1 that were clipped.
    mean_loss : float
        Weighted mean of the losses as fitted.
    n_rows, n_patterns : int
        Rows given, and rows on which the likelihood was evaluated.
    n_clusters : int or None
        Clusters of the robust covariance.
    n_iterations : int
        Newton steps over all parts.
    boundary : str or None
        What was not estimated, and why.
    level : float
        Confidence level of every interval.
    """

    model: str
    loss_col: str
    params: pd.Series
    standard_errors: pd.Series
    cov: pd.DataFrame
    errors: str
    loglik: float
    is_quasi: bool
    n_episodes: float
    n_zero: float
    n_one: float
    n_below: float
    n_above: float
    mean_loss: float
    n_rows: int
    n_patterns: int
    n_clusters: int | None
    n_iterations: int
    boundary: str | None
    level: float
    parts: tuple[Part, ...] = field(repr=False)
    combination: str = field(repr=False)
    variables: tuple[str, ...] = field(repr=False)
    segment_by: tuple[str, ...] | None = field(repr=False)

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return len(self.params)

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 n_params - 2 loglik; NaN for a quasi-likelihood."""
        return float("nan") if self.is_quasi else 2.0 * self.n_params - 2.0 * self.loglik

    @property
    def bic(self) -> float:
        """Schwarz's criterion, n_params log(n_episodes) - 2 loglik; NaN for a quasi-likelihood."""
        return float("nan") if self.is_quasi else self.n_params * float(np.log(self.n_episodes)) - 2.0 * self.loglik

    def predict(
        self,
        frame: pd.DataFrame,
        *,
        interval: bool = False,
        macro: pd.DataFrame | None = None,
        default_month_col: str | None = None,
    ) -> pd.Series | pd.DataFrame:
        """Predict the expected loss of each row, as a share of EAD.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formulas. Not changed.
        interval : bool
            Whether to return value, lower, upper and standard_error instead of the value alone: the uncertainty of the
            expectation, not the spread of single losses around it.
        macro : DataFrame, optional
            Macro values by calendar month, as in ``fit``: the scenario.
        default_month_col : str, optional
            Date or month of default, needed with ``macro``.

        Returns
        -------
        Series or DataFrame
            In [0, 1] where the losses of the fit were, indexed as the frame. Intervals by the delta method, symmetric
            on the logit scale; NaN where they rest on a parameter whose error is not known.

        Raises
        ------
        ContractError
            If a column is absent or has missing values, or the macro path lacks a month.
        ExtrapolationError
            If a categorical column has a level that the fit did not see.
        ValueError
            If macro columns are read and no month of default is named.
        """
        found, places = self._expected(frame, macro, default_month_col)
        if not interval:
            return pd.Series(found.value[places], index=frame.index, name="expected_lgd")
        lower, upper = limits(found.value, found.standard_error, self.level)
        columns = {"value": found.value, "lower": lower, "upper": upper, "standard_error": found.standard_error}
        return pd.DataFrame({name: array[places] for name, array in columns.items()}, index=frame.index)

    def predict_parts(
        self, frame: pd.DataFrame, *, macro: pd.DataFrame | None = None, default_month_col: str | None = None
    ) -> pd.DataFrame:
        """Predict the parts of which the expected loss of each row is made; parameters and errors as in ``predict``.

        Returns
        -------
        DataFrame
            One column per part, such as ``any_loss`` and ``loss_given_loss``, and ``expected_lgd``.
        """
        found, places = self._expected(frame, macro, default_month_col)
        columns = {**found.parts, "expected_lgd": found.value}
        return pd.DataFrame({name: array[places] for name, array in columns.items()}, index=frame.index)

    def summary(self) -> pd.DataFrame:
        """Return one row per parameter: estimate, standard error, z, two-sided p-value, interval."""
        return parameter_table(self.params, self.standard_errors, self.level)

    def to_frame(self) -> pd.DataFrame:
        """Return the summary with part and term as columns, ready to be written."""
        return self.summary().reset_index()

    def to_record(self) -> dict[str, object]:
        """Return the fit as plain numbers and texts that JSON takes; None where there is no number."""
        left_out = ("params", "standard_errors", "cov", "parts", "combination", "variables", "segment_by")
        names = [name for name in LgdRegressionFit.__slots__ if name not in left_out]
        record: dict[str, object] = {name: getattr(self, name) for name in (*names, "n_params", "aic", "bic")}
        record = {name: plain(value) if isinstance(value, float) else value for name, value in record.items()}
        rows = self.to_frame().to_dict(orient="records")
        record["params"] = [{str(k): v if isinstance(v, str) else plain(v) for k, v in row.items()} for row in rows]
        record["sentence"] = self.sentence()
        return record

    def sentence(self) -> str:
        """Say what was fitted, on what, and what is not known."""
        text = (
            f"{self.model.capitalize()} of {self.loss_col} on {self.n_episodes:,.0f} episodes: mean "
            f"{self.mean_loss:.1%}, {self.n_zero:,.0f} without loss, {self.n_one:,.0f} lost in full; "
            f"errors {self.errors}"
        )
        clipped = [(self.n_below, "below 0"), (self.n_above, "above 1")]
        moved = " and ".join(f"{count:,.0f} {where}" for count, where in clipped if count)
        text += f"; {moved} clipped to the nearer limit" if moved else ""
        return text + (f"; note that {self.boundary}." if self.boundary else ".")

    def _repr_html_(self) -> str:
        table = self.summary().to_html(float_format=lambda number: f"{number:.4g}")
        return f"<p>{escape(self.sentence())}</p>{table}"

    def _external(self, _: pd.DataFrame, /) -> Mapping[str, External]:
        """Return the parts that another fit estimated; here there is none."""
        return {}

    def _expected(
        self, frame: pd.DataFrame, macro: pd.DataFrame | None, default_month_col: str | None
    ) -> tuple[Expected, np.ndarray | slice]:
        """Return the expected losses of distinct rows, and which of them each row of the frame is."""
        covariates = with_macro(frame, self.variables, macro, default_month_col)
        cells, faults = find_patterns(covariates, self.variables)
        if faults:
            raise ContractError(faults)
        distinct = covariates if cells is None else covariates.take(cells.first)
        if self.segment_by is not None:
            distinct = with_segment(distinct, self.segment_by)
        check_prediction_frame(distinct, tuple(part.design for part in self.parts if part.design is not None))
        theta, covariance = self.params.to_numpy(dtype=float), self.cov.to_numpy(dtype=float)
        found = expected(self.combination, self.parts, theta, covariance, distinct, self._external(distinct))
        return found, slice(None) if cells is None else cells.places
