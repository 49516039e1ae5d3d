"""The loss of a segment as the sum of its endings: how likely each is, and what each costs, in default as of any month.

A cure, a sale and a write-off are separate stories. How an episode that is open after some months ends is said by the
model of all outcomes; what an ending costs, by the segment's own closed episodes, weighted so that they speak for those
still open, or by its parents' where its own are too few. The sum is a second opinion on the all-in average, which
comes from the recovery curve: the two share no step beyond the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.estimators.competing_outcomes import CompetingOutcomesFit
from recoverykit.estimators.outcome_draws import LossPart, draw_incidence, draw_mean_losses, sum_limits
from recoverykit.estimators.outcome_lgd import closing_weights, loss_given_outcome, loss_never_resolved
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.outcomes import estimate_outcomes
from recoverykit.portfolio.segments import ancestry
from recoverykit.portfolio.workout import workout
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, WHOLE_BOOK, Outcome

#: Months in default as of which the endings are told.
AS_OF_MONTHS = (0, 6, 12, 24, 36, 48, 60)
READING_MONTHS = (0, 12, 24, 36)
#: What the sum of all endings is called where it stands among them.
ALL_ENDINGS = "all_endings"
#: The class of episodes that nothing ever ends, as the model of all outcomes calls it.
NEVER = "never_resolves"
COLUMNS = [
    *("months", "outcome", "probability", "lower", "upper", "loss_given_outcome", "standard_error", "contribution"),
    *("n_episodes", "basis", "closed_after"),
]
#: Column -> what the model calls it.
_CHANCE = {"probability": "value", "lower": "lower", "upper": "upper"}
#: Draws that an interval needs.
_LEAST_DRAWS = 100
#: By name of segment or parent and by months: losses by outcome.
Tables = dict[str, dict[int, pd.DataFrame]]


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeLosses:
    """The loss of a segment's episodes by how they end.

    Attributes
    ----------
    table : DataFrame
        One row per month in default and outcome: months (as of which the episode is open), outcome, probability with
        lower and upper (by the model), loss_given_outcome with standard_error (share of EAD, of the whole workout),
        contribution (their product), n_episodes (those behind the loss), basis (whose they are) and closed_after (the
        months after which they closed: the latest, up to ``months``, with enough of them). Without a model it has no
        row.
    by_month : DataFrame
        One row per month: months, n_open (episodes of the segment known to have been open then) and lgd, the sum of
        the contributions, with lower and upper; NaN without a bootstrap.
    basis : str or None
        Whose episodes the model of all outcomes rests on; None without a model.
    note : str
        Why there is no model; empty when there is one.
    """

    table: pd.DataFrame
    by_month: pd.DataFrame
    basis: str | None
    note: str

    @property
    def lgd(self) -> float:
        """Loss of a new default, share of EAD; NaN without a model."""
        return float(self.by_month["lgd"].iloc[0]) if len(self.by_month) else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Limits of the loss of a new default; NaN without a model or a bootstrap."""
        if not len(self.by_month):
            return float("nan"), float("nan")
        return float(self.by_month["lower"].iloc[0]), float(self.by_month["upper"].iloc[0])

    def of_new_defaults(self) -> pd.DataFrame:
        """Return the rows of an episode that has just begun."""
        return self.table[self.table["months"] == 0].drop(columns="months").reset_index(drop=True)

    def told(self, months: Sequence[int] = READING_MONTHS) -> pd.DataFrame:
        """Return the rows as of round months, each month with a last row that is the sum of its endings."""
        parts = []
        for row in self.by_month[self.by_month["months"].isin(list(months))].to_dict("records"):
            mine = self.table[self.table["months"] == row["months"]]
            whole = {"months": row["months"], "outcome": ALL_ENDINGS, "n_episodes": int(mine["n_episodes"].sum())}
            whole |= {"probability": float(mine["probability"].sum()), "basis": ""}
            whole |= dict.fromkeys(["loss_given_outcome", "contribution"], row["lgd"])
            parts += [mine, pd.DataFrame([whole])]
        told = pd.concat(parts, ignore_index=True) if parts else self.table
        return told[COLUMNS].drop(columns=["standard_error", "closed_after"])

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept; nothing without a model."""
        return {"outcome_losses": self.table} if len(self.table) else {}

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        lgd, lower, upper = (value if np.isfinite(value) else None for value in (self.lgd, *self.interval))
        return {
            "outcome_lgd": lgd,
            "outcome_lgd_lower": lower,
            "outcome_lgd_upper": upper,
            "outcome_basis": self.basis,
            "outcome_note": self.note,
        }


def estimate_outcome_losses(
    book: Book,
    segment: str,
    *,
    policy: LedgerPolicy,
    months: Sequence[int] = AS_OF_MONTHS,
    minimum_closed: int = 60,
    n_bootstrap: int = 0,
    seed: int = 1,
    level: float = 0.95,
) -> OutcomeLosses:
    """Estimate the loss of a segment as the sum over outcomes of P(outcome) x loss given outcome.

    Parameters
    ----------
    book : Book
        The whole book.
    segment : str
        Name of the segment.
    policy : LedgerPolicy
        Discounting and treatment of flows.
    months : sequence of int
        Months in default as of which the episode is known to be open. Months beyond those observed, or that too few
        episodes of the book were seen to reach, are left out.
    minimum_closed : int
        Closed episodes that the model of all outcomes needs; with fewer it is the parent's.
    n_bootstrap, seed : int
        Draws of the interval of the sum, 0 for none and else at least 100, and the seed of the generator: parameters of
        the model from their normal approximation, and obligors for the losses, drawn apart.
    level : float
        Confidence level of the probabilities and of the sum in (0, 1).

    Returns
    -------
    OutcomeLosses

    Raises
    ------
    InsufficientDataError
        When the segment holds no default episode.

    Notes
    -----
    LGD_t = sum over k of P(outcome k | open after t) L_k(t), with L_k(t) from ``loss_given_outcome`` among episodes
    that close after t. An episode that never resolves has lost what open ones have lost so far, each weighted by its
    probability of never resolving. Outcomes too rare to be timed are in neither. L_k is that of closings which were
    observed: a loss that comes later than anything seen is not in it.
    """
    ends = estimate_outcomes(book, segment, minimum_closed=minimum_closed, level=level)
    if ends.fit is None:
        nothing = pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=["months", "n_open", "lgd", "lower", "upper"])
        return OutcomeLosses(*nothing, None, ends.note)
    whole = workout(book, policy).worksheet.set_index("episode_id")
    losses = {name: _with_losses(book.restricted(name), whole) for name in ancestry(segment)}
    asked = sorted({0, *map(int, months)})
    enough = [t for t in asked if _is_open_after(losses[WHOLE_BOOK], t).sum() >= MINIMUM_CELL_COUNT]
    told = [t for t in enough if t < ends.fit.last_time]
    tables = {
        name: {t: loss_given_outcome(frame, after=t).set_index("outcome") for t in told}
        for name, frame in losses.items()
    }
    rows = [row for t in told for row in _rows(ends.fit, losses, tables, t)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    by_month = table.groupby("months")["contribution"].agg(_whole).rename("lgd").reset_index()
    n_open = [int(_is_open_after(losses[segment], t).sum()) for t in by_month["months"]]
    by_month.insert(1, "n_open", n_open)
    by_month["lower"], by_month["upper"] = _limits(ends.fit, losses, table, told, n_bootstrap, seed, level)
    return OutcomeLosses(table, by_month, ends.basis, "")


def _with_losses(case: Book, worksheet: pd.DataFrame) -> pd.DataFrame:
    """Return the episodes of a case with their realised loss, missing where open or not known, and the loss so far."""
    lines = worksheet.loc[case.episodes["episode_id"]]
    is_known = (case.episodes["outcome"] != Outcome.OPEN).to_numpy() & ~lines["is_late_entry"].to_numpy(bool)
    so_far = lines["lgd_to_date"].to_numpy(float)
    return case.episodes.assign(realised_lgd=np.where(is_known, so_far, np.nan), lgd_to_date=so_far)


def _is_open_after(episodes: pd.DataFrame, months: int) -> pd.Series:
    """Tell which episodes are known to have been open after some months; all of them after none."""
    still = (episodes["outcome"] == Outcome.OPEN) & (episodes["months_in_default"] >= months)
    return still | (episodes["months_in_default"] > months) | (months == 0)


def _rows(
    fit: CompetingOutcomesFit, losses: dict[str, pd.DataFrame], tables: Tables, months: int
) -> list[dict[str, Any]]:
    """Return one row per outcome of the model, as of some months in default."""
    loan = next(iter(losses.values())).head(1)  # without covariates every loan has the same curves
    chances = fit.predict_incidence(loan, given_open_at=float(months), interval=True).droplevel(0)
    rows = []
    for outcome, chance in chances.iterrows():
        loss = _never(fit, losses, months) if outcome == NEVER else _given(str(outcome), tables, months)
        rows.append(
            {
                "months": months,
                "outcome": str(outcome),
                **{name: float(chance[limit]) for name, limit in _CHANCE.items()},
                **loss,
                "contribution": float(chance["value"]) * loss["loss_given_outcome"],
            }
        )
    return rows


def _given(outcome: str, tables: Tables, months: int) -> dict[str, Any]:
    """Return the loss given an outcome from the nearest of segment and parents with enough closings after so long.

    Where even the whole book has too few, its closings after fewer months speak, from the latest on: late ones lose
    more, and those of all months would make a loan that has been open for years look like a new one.
    """
    candidates = [(name, months) for name in tables]
    candidates += [(WHOLE_BOOK, t) for t in sorted(tables[WHOLE_BOOK], reverse=True) if t < months]
    for name, after in candidates:
        table = tables[name][after]
        if table["n_episodes"].get(outcome, 0) >= MINIMUM_CELL_COUNT:
            break
    nan = float("nan")
    return {
        "loss_given_outcome": float(table["loss_given_outcome"].get(outcome, nan)),
        "standard_error": float(table["standard_error"].get(outcome, nan)),
        "n_episodes": int(table["n_episodes"].get(outcome, 0)),
        "basis": name,
        "closed_after": after,
    }


def _limits(
    fit: CompetingOutcomesFit,
    losses: dict[str, pd.DataFrame],
    table: pd.DataFrame,
    told: list[int],
    n_bootstrap: int,
    seed: int,
    level: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the sum of the endings, as of each month that is told."""
    if not n_bootstrap or table["loss_given_outcome"].isna().any():
        return np.full(len(told), np.nan), np.full(len(told), np.nan)
    rng, n_draws = np.random.default_rng(seed), max(n_bootstrap, _LEAST_DRAWS)
    loans = next(iter(losses.values())).head(1)
    loans = loans.loc[loans.index.repeat(len(told))].reset_index(drop=True)
    chances = draw_incidence(fit, loans, given_open_at=np.array(told, dtype=float), rng=rng, n_draws=n_draws)
    parts = [_part(fit, losses[row["basis"]], row["outcome"], row["closed_after"]) for row in table.to_dict("records")]
    means = draw_mean_losses(parts, rng=rng, n_draws=n_draws)
    return sum_limits(chances, means.reshape(chances.shape), level=level)


def _part(fit: CompetingOutcomesFit, episodes: pd.DataFrame, outcome: str, after: int) -> LossPart:
    """Return the episodes behind the loss of an outcome, as ``loss_given_outcome`` and ``_never`` weigh them."""
    if outcome == NEVER:
        chosen = episodes[_is_open(episodes) & (episodes["months_in_default"] >= after)]
        weight = fit.predict_incidence(chosen, given_open_at=chosen["months_in_default"].to_numpy(float))[NEVER]
        loss = chosen["lgd_to_date"]
    else:
        later = (episodes["months_in_default"] > after) | (after == 0)
        chosen = episodes[(episodes["outcome"] == outcome) & later & episodes["realised_lgd"].notna()]
        weight, loss = closing_weights(episodes)[chosen.index], chosen["realised_lgd"]
    is_known = loss.notna().to_numpy()
    used = loss.to_numpy(float)[is_known], weight.to_numpy(float)[is_known]
    return LossPart(chosen["obligor_id"].to_numpy()[is_known], *used)


def _never(fit: CompetingOutcomesFit, losses: dict[str, pd.DataFrame], months: int) -> dict[str, Any]:
    """Return what open episodes have lost so far, each weighted by its chance of never being resolved."""
    still_open = {name: frame[_is_open(frame)] for name, frame in losses.items()}
    candidates = [(name, months) for name in losses] + [(WHOLE_BOOK, 0)]
    for name, after in candidates:
        still = still_open[name]
        still = still[still["months_in_default"] >= after]
        if len(still) >= MINIMUM_CELL_COUNT:
            break
    chance = fit.predict_incidence(still, given_open_at=still["months_in_default"].to_numpy(float))[NEVER]
    mean, error = loss_never_resolved(still["lgd_to_date"].to_numpy(float), chance.to_numpy(float))
    return {
        "loss_given_outcome": mean,
        "standard_error": error,
        "n_episodes": len(still),
        "basis": name,
        "closed_after": after,
    }


def _whole(parts: pd.Series) -> float:
    """Return a sum that is not known where one of its parts is not."""
    return float(parts.sum(skipna=False))


def _is_open(episodes: pd.DataFrame) -> pd.Series:
    return (episodes["outcome"] == Outcome.OPEN) & (episodes["entry_months"] == 0)
