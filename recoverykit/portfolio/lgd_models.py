"""Which model of the loss is worth its trouble: every LGD model of the kit on the same episodes, judged out of time.

The models are fitted on the defaults up to a date and judged on the later ones. Both parts hold every episode, open
ones with the loss that is expected of them, as on the page of the loss: closed episodes alone are the quick ones, of
late defaults most of all. What is still expected of an open episode knows its age and its segment and no driver, which
favours the plain segment mean; so the same models are judged on the closed of the later episodes too, which favours
whatever predicts little, and a reader sees both. No model is chosen here for use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.errors import InsufficientDataError, RecoverykitError, SpecError
from recoverykit.estimators.beta_regression import BetaRegressionModel
from recoverykit.estimators.fractional_logit import FractionalLogitModel
from recoverykit.estimators.lgd_challenger import BoostedLgdModel
from recoverykit.estimators.lgd_comparison import SEGMENT_MEAN, judge_predictions, predict_holdout, rmse_saved_limits
from recoverykit.estimators.lgd_regression import LgdModel
from recoverykit.estimators.segment_mean_lgd import SegmentMeanLgdModel
from recoverykit.estimators.survival_lgd import SurvivalLgdModel
from recoverykit.estimators.two_stage_lgd import CureLgdModel, TwoStageLgdModel
from recoverykit.estimators.zero_one_inflated_beta import ZeroOneInflatedBetaModel
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.cure_model import dead_months_of, fit_one, formula_of, time_to_cure_frame, varies
from recoverykit.portfolio.lgd_drivers import with_columns
from recoverykit.portfolio.loss import MINIMUM_AT_RISK, averaged, expected_losses
from recoverykit.portfolio.workout import workout
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

LOSS, CLUSTER = "expected_lgd", "obligor_id"
CURE_OF_CLOSED, SURVIVAL, CHALLENGER = "cure, closed only", "survival-based", "gradient boosting"
COLUMNS = ["model", "n_holdout", "mae", "rmse", "r2", "gini", "spearman", "calibration_intercept", "calibration_slope"]
COLUMNS += ["mean_realised", "mean_predicted", "z", "p_value", "generalised_auc", "rmse_saved", "lower", "upper"]
COLUMNS += ["n_closed", "rmse_saved_closed", "lower_closed", "upper_closed"]
SHOWN = ["model", "n_holdout", "rmse", "mae", "r2", "gini", "spearman", "calibration_slope"]
SHOWN += ["mean_predicted", "mean_realised", "p_value"]
DECILES = ["model", "group", "n_episodes", "predicted", "realised", "lower", "upper"]
N_GROUPS = 10


@dataclass(frozen=True, slots=True, eq=False)
class LgdModelComparison:
    """LGD models fitted on earlier defaults and judged on later ones.

    Attributes
    ----------
    table : DataFrame
        One row per model, smallest RMSE first, the plain segment mean among them: the measures of
        ``compare_lgd_models``; ``rmse_saved`` with lower and upper, the share of the segment mean's RMSE that the model
        saves; the same of the closed episodes alone in ``n_closed``, ``rmse_saved_closed``, ``lower_closed`` and
        ``upper_closed``. Empty where there is no comparison.
    deciles : DataFrame
        model, group, n_episodes, predicted, realised with lower and upper: by size of the prediction of the best model.
    left_out : DataFrame
        model and reason, for each model that could not be fitted or predict.
    split_date : pandas.Timestamp or None
        Last default date of the development episodes.
    n_development, n_development_open, n_holdout, n_holdout_open : int
        Episodes of the two parts, and those of them that are open.
    segment_by : tuple of str
        Columns of the segments of the row to beat.
    drivers_left_out : tuple of str
        Columns that the episodes lack, or that do not differ between them.
    note : str
        Why there is no comparison; empty when there is one.
    """

    table: pd.DataFrame
    deciles: pd.DataFrame
    left_out: pd.DataFrame
    split_date: pd.Timestamp | None
    n_development: int
    n_development_open: int
    n_holdout: int
    n_holdout_open: int
    segment_by: tuple[str, ...]
    drivers_left_out: tuple[str, ...]
    note: str

    @property
    def best(self) -> str:
        """The model with the smallest RMSE, apart from the row to beat; empty where there is none."""
        models = self.table.loc[self.table["model"] != SEGMENT_MEAN, "model"]
        return str(models.iloc[0]) if len(models) else ""

    def parts(self) -> dict[str, Any]:
        """Return the split, and how many episodes stand on either side of it, as a sentence takes them."""
        return {
            "split_date": self.split_date,
            "n_development": self.n_development,
            "n_development_open": self.n_development_open,
            "n_holdout": self.n_holdout,
            "n_holdout_open": self.n_holdout_open,
        }

    def shown(self) -> pd.DataFrame:
        """Return the measures that a page shows."""
        return self.table[SHOWN]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept."""
        return {"models": self.table, "deciles": self.deciles, "left_out": self.left_out}

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return {
            "best": self.best,
            "note": self.note,
            **self.parts(),
            "split_date": f"{self.split_date:%Y-%m-%d}" if self.split_date is not None else None,
            "segment_by": list(self.segment_by),
            "drivers_left_out": list(self.drivers_left_out),
        }


def try_lgd_models(
    book: Book,
    *,
    policy: LedgerPolicy,
    drivers: Sequence[str],
    split: str = "",
    minimum_closed: int = 100,
    minimum_at_risk: int = MINIMUM_AT_RISK,
    n_bootstrap: int = 500,
    seed: int = 1,
    level: float = 0.95,
) -> LgdModelComparison:
    """Fit every LGD model of the kit on the defaults up to a date, and judge them on the later ones.

    Parameters
    ----------
    book : Book
        The whole book.
    policy : LedgerPolicy
        Discounting and treatment of flows.
    drivers : sequence of str
        Columns of the episodes, known at default. What is known only after the outcome is refused.
    split : str
        Last default date of development, ISO; empty for the date by which half of the episodes had defaulted.
    minimum_closed : int
        Closed episodes that each of the two parts needs.
    minimum_at_risk : int
        As in ``estimate_loss``.
    n_bootstrap, seed : int
        Draws of obligors of the later episodes, and the seed of the generator.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    LgdModelComparison
        Without a table, and with the reason in ``note``, where either part has too few closed episodes or nothing
        tells their losses apart.

    Raises
    ------
    SpecError
        When ``split`` is no ISO date.
    InsufficientDataError
        When the book holds no default episode.
    RefusedColumnError
        When a driver is known only after the outcome, or is refused by another rule.

    Notes
    -----
    Losses of both parts are those known on the reporting date, and the curve that open episodes follow is that of the
    whole book: the split keeps later losses out of the fits, not the later recoveries of earlier defaults. Every model
    has the same terms, the segment columns of the row to beat and the drivers; losses outside 0 to 1 are clipped for
    the fits and judged as they are. The cure model of closed episodes is fitted on those alone.
    """
    FractionalLogitModel(formula=formula_of(drivers))  # refuses before anything is read
    losses, _, _ = expected_losses(book, book, workout(book, policy), minimum_at_risk=minimum_at_risk)
    frame = with_columns(averaged(losses).drop(columns="segment"), book)
    frame = frame.sort_values(["default_date", "episode_id"], ignore_index=True)
    split_date = _split_date(frame, split)
    is_early = (frame["default_date"] <= split_date).to_numpy()
    development, holdout = (frame[part].reset_index(drop=True) for part in (is_early, ~is_early))
    segment_by = _told_apart(development, holdout, book.segment_by)
    used = [name for name in drivers if name in frame and varies(development, name) and holdout[name].notna().all()]
    facts: dict[str, Any] = {
        "split_date": split_date,
        "n_development": len(development),
        "n_development_open": int((~development["is_closed"]).sum()),
        "n_holdout": len(holdout),
        "n_holdout_open": int((~holdout["is_closed"]).sum()),
        "segment_by": segment_by,
        "drivers_left_out": tuple(name for name in drivers if name not in used),
    }
    terms = [*segment_by, *(name for name in used if name not in segment_by)]
    note = _why_not(development, holdout, terms, minimum_closed)
    if note:
        nothing, no_group, no_reason = (pd.DataFrame(columns=c) for c in (COLUMNS, DECILES, ["model", "reason"]))
        return LgdModelComparison(nothing, no_group, no_reason, note=note, **facts)
    predicted, left_out = _predictions(development, holdout, terms, segment_by, dead_months_of(book), level)
    options = {"n_bootstrap": n_bootstrap, "seed": seed, "level": level}
    table = _judged(predicted, holdout, len(development), options)
    best = next((str(name) for name in table["model"] if name != SEGMENT_MEAN), SEGMENT_MEAN)
    return LgdModelComparison(table, _deciles(best, predicted[best], holdout, level), left_out, note="", **facts)


def _split_date(frame: pd.DataFrame, split: str) -> pd.Timestamp:
    if not split:
        return pd.Timestamp(frame["default_date"].iloc[(len(frame) - 1) // 2])
    date = pd.to_datetime(split, format="%Y-%m-%d", errors="coerce")
    if pd.isna(date):
        raise SpecError(f"split is {split!r}; it must be an ISO date, or empty for the middle of the defaults")
    return pd.Timestamp(date)


def _told_apart(development: pd.DataFrame, holdout: pd.DataFrame, segment_by: tuple[str, ...]) -> tuple[str, ...]:
    """Return the longest run of segment columns of which every later segment has enough earlier episodes."""
    for last in range(len(segment_by), 0, -1):
        columns = list(segment_by[:last])
        counts = development.groupby(columns).size()
        if len(counts) < 2:
            continue
        later = holdout.groupby(columns).size().index
        if counts.reindex(later, fill_value=0).min() >= MINIMUM_CELL_COUNT:
            return tuple(columns)
    return ()


def _why_not(development: pd.DataFrame, holdout: pd.DataFrame, terms: list[str], minimum_closed: int) -> str:
    closed = min(int(part["is_closed"].sum()) for part in (development, holdout))
    if closed < minimum_closed:
        return f"a comparison needs {minimum_closed} closed episodes before the split and as many after it"
    return "" if terms else "no driver differs between the episodes"


def _models(formula: str, terms: list[str], segment_by: tuple[str, ...]) -> dict[str, LgdModel]:
    """Return the models that need no other fit, by the name under which each is shown."""
    return {
        SEGMENT_MEAN: SegmentMeanLgdModel(segment_by=segment_by, outside="clip"),
        "fractional logit": FractionalLogitModel(formula=formula, outside="clip"),
        "beta": BetaRegressionModel(formula=formula, on_boundary="squeeze", outside="clip"),
        "zero-and-one-inflated beta": ZeroOneInflatedBetaModel(
            formula=formula, zero=formula, one=formula, outside="clip"
        ),
        "two-stage": TwoStageLgdModel(any_loss=formula, loss_given_loss=formula, outside="clip"),
        CURE_OF_CLOSED: CureLgdModel(cure=formula, loss_given_no_cure=formula, outside="clip"),
        CHALLENGER: BoostedLgdModel(features=tuple(terms), outside="clip"),
    }


def _predictions(
    development: pd.DataFrame,
    holdout: pd.DataFrame,
    terms: list[str],
    segment_by: tuple[str, ...],
    dead_months: int,
    level: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the predictions of every model that could be fitted, and why the others could not."""
    formula = formula_of(terms, development)
    models: Mapping[str, LgdModel | None] = {**_models(formula, terms, segment_by), SURVIVAL: None}
    closed = development[development["is_closed"]].reset_index(drop=True)
    predicted, reasons = {}, {}
    for name, chosen in models.items():
        try:
            model = chosen or _survival(development, terms, formula, dead_months, level)
            known = closed if name == CURE_OF_CLOSED else development
            found = predict_holdout({name: model}, known, holdout, loss_col=LOSS, cluster_col=CLUSTER)
        except (RecoverykitError, ImportError) as error:
            if name == SEGMENT_MEAN:
                raise
            reasons[name] = str(error)
            continue
        predicted[name] = found[name]
    left_out = pd.DataFrame({"model": list(reasons), "reason": list(reasons.values())}, dtype=object)
    return pd.DataFrame(predicted), left_out


def _survival(
    development: pd.DataFrame, terms: list[str], formula: str, dead_months: int, level: float
) -> SurvivalLgdModel:
    """Return the model whose probability of cure counts open episodes as censored."""
    if not (development["outcome"] == Outcome.CURED).any():
        raise InsufficientDataError("no episode cured before the split")
    cures = fit_one(time_to_cure_frame(development, dead_months=dead_months), terms, "weibull", level)
    return SurvivalLgdModel(cure_fit=cures, loss_given_no_cure=formula, outside="clip")


def _judged(
    predicted: pd.DataFrame, holdout: pd.DataFrame, n_development: int, options: dict[str, Any]
) -> pd.DataFrame:
    """Return the measures over all later episodes, and what each model saves over all of them and over closed ones."""
    table = judge_predictions(predicted, holdout, n_development=n_development, loss_col=LOSS, cluster_col=CLUSTER)
    table = table.join(_saved(predicted, holdout, options))
    is_closed = holdout["is_closed"].to_numpy()
    closed = judge_predictions(
        predicted[is_closed], holdout[is_closed], n_development=n_development, loss_col=LOSS, cluster_col=CLUSTER
    )
    beside = closed[["n_holdout", "rmse_saved"]].join(_saved(predicted[is_closed], holdout[is_closed], options))
    names = {"n_holdout": "n_closed", "rmse_saved": "rmse_saved_closed"}
    beside = beside.rename(columns=names | {"lower": "lower_closed", "upper": "upper_closed"})
    counts = {"n_holdout": int, "n_closed": int}
    return table.join(beside).reset_index()[COLUMNS].astype(counts)


def _saved(predicted: pd.DataFrame, holdout: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    return rmse_saved_limits(
        predicted,
        holdout[LOSS],
        clusters=holdout[CLUSTER],
        n_bootstrap=options["n_bootstrap"],
        rng=np.random.default_rng(options["seed"]),
        level=options["level"],
    )


def _deciles(model: str, predicted: pd.Series, holdout: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return mean predicted and realised loss by tenth of the prediction, with an interval over obligors."""
    group = np.ceil(predicted.rank(method="first", pct=True).to_numpy(float) * N_GROUPS).astype(int)
    rows = []
    for number, part in holdout.assign(predicted=predicted).groupby(group):
        gap = part[LOSS] - part[LOSS].mean()
        error = float(np.sqrt((gap.groupby(part[CLUSTER]).sum() ** 2).sum())) / len(part)
        half = float(stats.norm.ppf(0.5 + level / 2)) * error
        mean = float(part[LOSS].mean())
        rows.append((model, number, len(part), float(part["predicted"].mean()), mean, mean - half, mean + half))
    table = pd.DataFrame(rows, columns=DECILES)
    return table[table["n_episodes"] >= MINIMUM_CELL_COUNT].reset_index(drop=True)
