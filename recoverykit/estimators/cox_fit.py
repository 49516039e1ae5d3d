"""A fitted Cox model as a value: hazard ratios, their uncertainty, and comparison of episodes.

It holds what the fit learnt and nothing of the data it learnt from.
"""

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from recoverykit.estimators._formulas import Design, check_prediction_frame, design_matrix


@dataclass(frozen=True, slots=True, eq=False)
class CoxFit:
    """A converged Cox model.

    Attributes
    ----------
    formula : str
        The covariates.
    event_name : str
        The event whose hazard is modelled.
    params : Series
        Log hazard ratios by term.
    cov : DataFrame of shape (n_terms, n_terms)
        Their covariance: inverse observed information, or the robust sandwich.
    loglik, loglik_null : float
        Partial log-likelihood at the estimate and without covariates. Comparable between fits on the same rows
        by the same rule for ties.
    n_episodes, n_events : float
        Sums of the weights of the rows at risk, and of those with the event.
    n_clusters : int or None
        Clusters of the robust covariance; None where it is model-based.
    level : float
        Confidence level of every interval.
    means : Series
        Average of each term over the episodes of the fit, to which ``relative_hazard`` compares.
    design : Design
        The formula with what it learnt.
    """

    formula: str
    event_name: str
    params: pd.Series
    cov: pd.DataFrame
    loglik: float
    loglik_null: float
    n_episodes: float
    n_events: float
    n_clusters: int | None
    level: float
    means: pd.Series
    design: Design = field(repr=False)

    @property
    def standard_errors(self) -> pd.Series:
        """Standard errors of the log hazard ratios."""
        return pd.Series(np.sqrt(np.diag(self.cov)), index=self.params.index, name="standard_error")

    @property
    def aic(self) -> float:
        """Akaike's criterion on the partial likelihood, 2 n_params - 2 loglik."""
        return 2.0 * len(self.params) - 2.0 * self.loglik

    @property
    def bic(self) -> float:
        """Schwarz's criterion, n_params log(n_events) - 2 loglik (Volinsky & Raftery 2000, Biometrics 56:256-262)."""
        return len(self.params) * float(np.log(self.n_events)) - 2.0 * self.loglik

    def to_frame(self) -> pd.DataFrame:
        """Return one row per term: term, coefficient, standard_error, hazard_ratio, lower, upper, z, p_value.

        ``lower`` and ``upper`` are the limits of the hazard ratio; ``p_value`` is two-sided (Wald).
        """
        errors = self.standard_errors
        z = self.params / errors
        spread = ndtri(0.5 + self.level / 2) * errors
        columns = {
            "term": self.params.index,
            "coefficient": self.params,
            "standard_error": errors,
            "hazard_ratio": np.exp(self.params),
            "lower": np.exp(self.params - spread),
            "upper": np.exp(self.params + spread),
            "z": z,
            "p_value": 2 * ndtr(-np.abs(z)),
        }
        return pd.DataFrame(columns).reset_index(drop=True)

    def relative_hazard(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compare the hazard of each row with that at the average covariates of the fit.

        Parameters
        ----------
        frame : DataFrame
            Holds the columns of the formula.

        Returns
        -------
        DataFrame
            Columns value, lower, upper, indexed as the frame; 1 at the average.

        Raises
        ------
        ContractError
            When a column is missing or has missing values.
        ExtrapolationError
            When a categorical column has a level that the fit did not see.
        """
        apart = self._from_means(frame)
        linear = apart @ self.params.to_numpy()
        variance = np.einsum("ij,jk,ik->i", apart, self.cov.to_numpy(), apart)
        spread = ndtri(0.5 + self.level / 2) * np.sqrt(variance)
        columns = {"value": np.exp(linear), "lower": np.exp(linear - spread), "upper": np.exp(linear + spread)}
        return pd.DataFrame(columns, index=frame.index)

    def summary(self) -> str:
        """Return the event, what the fit rests on, and the table of hazard ratios as text."""
        table = self.to_frame()[["term", "hazard_ratio", "lower", "upper", "p_value"]]
        return f"{self._headline()}\n{table.to_string(index=False, float_format='{:.4g}'.format)}"

    def to_record(self) -> dict[str, Any]:
        """Return what the fit found as JSON can hold it."""
        return {
            "formula": self.formula,
            "event_name": self.event_name,
            "loglik": self.loglik,
            "loglik_null": self.loglik_null,
            "aic": self.aic,
            "bic": self.bic,
            "n_episodes": self.n_episodes,
            "n_events": self.n_events,
            "n_clusters": self.n_clusters,
            "level": self.level,
            "terms": self.to_frame().to_dict(orient="records"),
        }

    def _from_means(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return how far the terms of each row lie from the average of the fit, shape (n_rows, n_terms)."""
        check_prediction_frame(frame, (self.design,))
        matrix = pd.DataFrame(design_matrix(self.design, frame), columns=list(self.design.terms))
        return (matrix[self.params.index] - self.means).to_numpy(dtype=float)

    def _headline(self) -> str:
        errors = "model-based" if self.n_clusters is None else f"robust over {self.n_clusters:,} clusters"
        return (
            f"Hazard of {self.event_name} in proportion to covariates: {self.n_events:,.0f} events in "
            f"{self.n_episodes:,.0f} episodes, {self.level:.0%} intervals, errors {errors}."
        )

    def _repr_html_(self) -> str:
        table = self.to_frame().drop(columns=["z"])
        return f"<p>{escape(self._headline())}</p>{table.to_html(index=False, float_format='{:.4g}'.format)}"
