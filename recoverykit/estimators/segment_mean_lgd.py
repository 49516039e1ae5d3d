"""The plain mean of a segment: the row that every LGD regression has to beat."""

from dataclasses import dataclass

import pandas as pd

from recoverykit.estimators._lgd_fitting import make_fit, pose_losses
from recoverykit.estimators._lgd_rows import OUTSIDE, SEGMENT, Request, check_drivers
from recoverykit.estimators._lgd_stages import fit_level
from recoverykit.estimators._rows import check_choice
from recoverykit.estimators.lgd_regression import LgdRegressionFit

__all__ = ["SegmentMeanLgdModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentMeanLgdModel:
    """Choose the plain mean loss by segment.

    Attributes
    ----------
    segment_by : tuple of str
        Columns whose combinations are the segments; none for the mean of the whole book.
    outside : str
        Losses below 0 or above 1: ``refuse`` them, or ``clip`` them to the nearer limit and count them.

    Raises
    ------
    ValueError
        If a choice is not allowed.
    RefusedColumnError
        If a segment column is known only after the outcome, or is refused by another rule.

    Examples
    --------
    >>> loans = pd.DataFrame({"product": ["car", "car", "card"], "realised_lgd": [0.2, 0.4, 0.7]})
    >>> SegmentMeanLgdModel(segment_by=("product",)).fit(loans).params.round(3).tolist()
    [0.3, 0.7]
    """

    segment_by: tuple[str, ...] = ()
    outside: str = "refuse"

    def __post_init__(self) -> None:
        """Check the choices."""
        if isinstance(self.segment_by, str):
            raise ValueError(f"segment_by is {self.segment_by!r}; give a tuple of columns, as ({self.segment_by!r},)")
        check_choice("outside", self.outside, OUTSIDE)
        check_drivers({}, self.segment_by)

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
    ) -> LgdRegressionFit:
        """Average the losses of each segment, with robust errors; a segment of one episode has none worth the name.

        Parameters, returns and errors are those of ``FractionalLogitModel.fit``.
        """
        request = Request(loss_col, weights_col, cluster_col, macro, default_month_col, level, self.outside)
        by = tuple(self.segment_by)
        formula = f"~ 0 + {SEGMENT}"
        posed = pose_losses(frame, {"mean": formula}, request, segment_by=by)
        return make_fit(
            posed,
            [fit_level(posed, "mean", formula, posed.rows.loss)],
            model="plain mean of the segment" if by else "plain mean",
            combination="mean",
            request=request,
            is_quasi=True,
            variables=by,
            segment_by=by,
        )
