"""Sentences about the parts of a loss: its endings, what defaulted exposures still lose, its drivers, its vintages."""

from collections.abc import Sequence

import pandas as pd

from recoverykit.report.formats import (
    format_cell,
    format_date,
    format_months,
    format_points,
    format_share,
    interval_words,
    is_missing,
    listed,
)
from recoverykit.report.labels import outcome_words, segment_within, term_name
from recoverykit.vocabulary import Outcome

#: Two averages that differ by less tell the same: a percentage point.
_CLOSE = 0.01
_MONTHS_LATER = 24
_ROW_TO_BEAT = "segment mean"


def sentence_outcome_losses(
    endings: pd.DataFrame,
    *,
    all_in: float,
    interval: tuple[float, float] = (float("nan"), float("nan")),
    basis: str | None = None,
    note: str = "",
) -> str:
    r"""Say what the endings add up to, which of them costs most, and how that stands to the all-in average.

    Parameters
    ----------
    endings : DataFrame
        One row per outcome of a new default: outcome, probability, loss_given_outcome, contribution.
    all_in : float
        The all-in average from the recovery curve, share of EAD; NaN where there is none to compare with.
    interval : tuple of float
        Limits of the sum of the endings; NaN where there are none.
    basis : str, optional
        Whose episodes the model of all outcomes rests on.
    note : str
        Why there is no model.

    Examples
    --------
    >>> endings = pd.DataFrame({"outcome": ["cured", "written_off"], "probability": [0.6, 0.4],
    ...                         "loss_given_outcome": [0.05, 0.7], "contribution": [0.03, 0.28]})
    >>> text = sentence_outcome_losses(endings, all_in=0.305)
    >>> print(text.replace("\u202f", " ").replace(", so", ",\nso").replace(". Most", ".\nMost"))
    The endings of a new default add up to a loss of 31.0 %, 0.5 points above the average over all episodes,
    so two ways that share nothing but the cash flows agree.
    Most of it, 28.0 points, comes from loans written off: 40.0 % of all, at an average loss of 70.0 %.
    """
    if endings.empty:
        return f"There is no model of all outcomes: {note}." if note else "There is no model of all outcomes."
    total = float(endings["contribution"].sum(skipna=False))
    if is_missing(total):
        return "The loss of one of the endings is not known, so they are not added up."
    most = max(endings.to_dict("records"), key=lambda row: row["contribution"])
    part = "Most of it" if most["contribution"] > total / 2 else "The largest part"
    whose = f" The probabilities are those of {segment_within(basis)}." if basis else ""
    return (
        f"The endings of a new default add up to a loss of {format_share(total)}{interval_words(*interval)}"
        f"{_against_average(total - all_in)}. "
        f"{part}, {format_points(most['contribution'])} points, comes from loans {_ending(most['outcome'])}: "
        f"{format_share(most['probability'])} of all, at an average loss of {format_share(most['loss_given_outcome'])}."
        f"{whose}"
    )


def sentence_in_default(table: pd.DataFrame, *, stretches: Sequence[tuple[str, int, int]] = ()) -> str:
    r"""Say what a new default and one of two years are expected to lose, and the capital charge of each.

    Parameters
    ----------
    table : DataFrame
        One row per month in default: months, elbe, lgd_in_default, k, shares of the outstanding amount.
    stretches : sequence of (str, int, int)
        Whose episodes the curve rests on: segment or parent, first and last month.

    Examples
    --------
    >>> table = pd.DataFrame({"months": [0, 24], "elbe": [0.2, 0.7], "lgd_in_default": [0.35, 0.9], "k": [0.15, 0.2]})
    >>> print(sentence_in_default(table).replace("\u202f", " ").replace("\u00a0", " ").replace("; ", ";\n"))
    Of the outstanding amount a new default is expected to lose 20.0 %, with downturn and margins 35.0 %;
    one that has been open for 24 months 70.0 % and 90.0 %. The capital charge is 15.0 % and 20.0 %.
    """
    first = table.iloc[0]
    later = table[table["months"] <= _MONTHS_LATER].iloc[-1]
    text = (
        f"Of the outstanding amount a new default is expected to lose {format_share(first['elbe'])}, with downturn and "
        f"margins {format_share(first['lgd_in_default'])}"
    )
    if later["months"] == first["months"]:
        text += f". The capital charge is {format_share(first['k'])}."
    else:
        text += (
            f"; one that has been open for {format_months(later['months'])} {format_share(later['elbe'])} and "
            f"{format_share(later['lgd_in_default'])}. The capital charge is {format_share(first['k'])} and "
            f"{format_share(later['k'])}."
        )
    if len(stretches) < 2:
        return text
    whose = [f"of {segment_within(name)} up to month {last}" for name, _, last in stretches]
    return f"{text} The curve rests on the loans {listed(whose)}."


def sentence_lgd_drivers(
    drivers: pd.DataFrame, *, basis: str | None = None, n_episodes: int = 0, n_closed: int = 0, note: str = ""
) -> str:
    r"""Say which drivers clearly go with a higher or a lower loss, and which leave it open.

    Parameters
    ----------
    drivers : DataFrame
        One row per term: term, estimate, lower, upper (points as shares of EAD), driver and level.
    basis : str, optional
        Segment or parent whose episodes the regression rests on.
    n_episodes, n_closed : int
        Those episodes, and those of them that are closed.
    note : str
        Why there is no regression.

    Examples
    --------
    >>> drivers = pd.DataFrame({"term": ["a", "b"], "estimate": [0.04, -0.01], "lower": [0.02, -0.03],
    ...                         "upper": [0.06, 0.01], "driver": ["ltv_ratio", "credit_score"], "level": ["", ""]})
    >>> sentence_lgd_drivers(drivers)
    'A higher loss goes with loan to value. For credit score the direction is open.'
    """
    if drivers.empty:
        return f"There is no regression of the loss: {note}." if note else ""
    sign = (drivers["lower"] > 0).astype(int) - (drivers["upper"] < 0).astype(int)
    names = [term_name(row) for row in drivers.to_dict("records")]
    kinds = {kind: [name for name, s in zip(names, sign, strict=True) if s == kind] for kind in (1, -1, 0)}
    told = [f"A higher loss goes with {listed(kinds[1])}."] if kinds[1] else []
    told += [f"A lower loss goes with {listed(kinds[-1])}."] if kinds[-1] else []
    told += [f"For {listed(kinds[0])} the direction is open."] if kinds[0] else []
    whose = f"the loans behind it, those of {segment_within(basis)}," if basis else "the loans behind it"
    if n_episodes > n_closed:
        told.append(
            f"Of {whose} {format_share(1 - n_closed / n_episodes)} are open and count at their expected "
            "loss, which knows no driver; so the true differences are larger rather than smaller."
        )
    return " ".join(told)


def sentence_lgd_split(
    *,
    split_date: pd.Timestamp | None,
    n_development: int,
    n_development_open: int,
    n_holdout: int,
    n_holdout_open: int,
) -> str:
    r"""Say on which defaults the models are fitted and on which they are judged, and how many of them are open.

    Parameters
    ----------
    split_date : pandas.Timestamp or None
        Last default date of the earlier ones.
    n_development, n_development_open, n_holdout, n_holdout_open : int
        Episodes up to that date and after it, and those of them that are open.

    Examples
    --------
    >>> text = sentence_lgd_split(split_date=pd.Timestamp("2024-06-30"), n_development=1413, n_development_open=73,
    ...                           n_holdout=1362, n_holdout_open=643)
    >>> print(text.replace("\xa0", " ").replace(". ", ".\n"))
    The models are fitted on 1,413 defaults up to 30 June 2024, of which 73 are open.
    They are judged on 1,362 later ones, of which 643 are open and count at what they are expected to lose.
    """
    early, early_open, later, later_open = (
        format_cell(n, words=True) for n in (n_development, n_development_open, n_holdout, n_holdout_open)
    )
    return (
        f"The models are fitted on {early} defaults up to {format_date(split_date)}, of which {early_open} are open. "
        f"They are judged on {later} later ones, of which {later_open} are open and count at what they are expected to "
        "lose."
    )


def sentence_lgd_models(table: pd.DataFrame, *, note: str = "") -> str:
    r"""Say which models clearly beat the plain segment mean out of time, over all episodes and over closed ones.

    Parameters
    ----------
    table : DataFrame
        One row per model, smallest error first: model, rmse, rmse_saved with lower and upper, lower_closed.
    note : str
        Why there is no comparison.

    Examples
    --------
    >>> table = pd.DataFrame({"model": ["beta", "segment mean"], "rmse": [0.2, 0.25], "rmse_saved": [0.2, 0.0],
    ...                       "lower": [0.15, 0.0], "upper": [0.24, 0.0], "lower_closed": [-0.1, 0.0]})
    >>> print(sentence_lgd_models(table).replace("\u202f", " ").replace(". ", ".\n").replace(": ", ":\n"))
    The plain segment mean, with a root mean squared error of 25.0 %, is clearly beaten by beta.
    Most is saved by beta:
    20.0 % of that error (15.0 % to 24.0 %).
    Of the closed episodes alone no model clearly beats it.
    """
    models = table[table["model"] != _ROW_TO_BEAT]
    if models.empty:
        return f"There is no comparison of models: {note}." if note else "There is no comparison of models."
    bar = float(table.loc[table["model"] == _ROW_TO_BEAT, "rmse"].iloc[0])
    best = models.iloc[0]
    better = models.loc[models["lower"] > 0, "model"].tolist()
    text = f"The plain segment mean, with a root mean squared error of {format_share(bar)}, "
    band = interval_words(best["lower"], best["upper"])
    if better:
        text += f"is clearly beaten by {listed(better)}. Most is saved by {best['model']}: "
        text += f"{format_share(best['rmse_saved'])} of that error{band}."
    else:
        text += f"is not clearly beaten by any model. The nearest is {best['model']}, with "
        text += f"{format_share(best['rmse'])}; it saves {format_share(best['rmse_saved'])} of that error{band}."
    among = models.loc[models["lower_closed"] > 0, "model"].tolist()
    whom = (
        f"{listed(among)} {'beats' if len(among) == 1 else 'beat'} it clearly" if among else "no model clearly beats it"
    )
    return f"{text} Of the closed episodes alone {whom}."


def sentence_models_left_out(left_out: pd.DataFrame) -> str:
    """Say which models are not in the comparison, and why; empty where all are.

    Parameters
    ----------
    left_out : DataFrame
        model and reason.

    Examples
    --------
    >>> sentence_models_left_out(pd.DataFrame({"model": ["gradient boosting"], "reason": ["scikit-learn is absent"]}))
    'Not in the comparison: gradient boosting (scikit-learn is absent).'
    """
    if left_out.empty:
        return ""
    named = [f"{row['model']} ({row['reason'].rstrip('.')})" for row in left_out.to_dict("records")]
    return f"Not in the comparison: {'; '.join(named)}."


def sentence_vintages(
    *,
    recovered: float | None,
    ultimate: float | None,
    youngest: str,
    n_vintages: int,
    youngest_recovered: float | None = None,
    youngest_ultimate: float | None = None,
    note: str = "",
) -> str:
    r"""Say what all vintages have recovered and will, and the same of the youngest.

    Parameters
    ----------
    recovered, ultimate, youngest_recovered, youngest_ultimate : float or None
        Shares of EAD.
    youngest : str
        The youngest vintage with enough episodes to be told.
    n_vintages : int
    note : str
        Why there is no estimate.

    Examples
    --------
    >>> text = sentence_vintages(recovered=0.6, ultimate=0.78, youngest="2026Q3", n_vintages=19, youngest_recovered=0.0,
    ...                          youngest_ultimate=0.79)
    >>> print(text.replace("\u202f", " ").replace("; ", ";\n"))
    The 19 vintages have brought in 60.0 % of their exposure and are expected to bring 78.0 % in all;
    the youngest, 2026Q3, 0.0 % so far and 79.0 % in all.
    """
    if is_missing(recovered):
        return f"The vintages cannot be carried on: {note}." if note else "No vintage is large enough to be told."
    if n_vintages == 1:
        return (
            f"The one vintage, {youngest}, has brought in {format_share(recovered)} of its exposure and is expected to "
            f"bring {format_share(ultimate)} in all."
        )
    return (
        f"The {n_vintages} vintages have brought in {format_share(recovered)} of their exposure and are expected to "
        f"bring {format_share(ultimate)} in all; the youngest, {youngest}, {format_share(youngest_recovered)} so far "
        f"and {format_share(youngest_ultimate)} in all."
    )


def _against_average(gap: float) -> str:
    """Return how a sum of endings stands to the average over all episodes; nothing where there is no average."""
    if is_missing(gap):
        return ""
    verdict = (
        "so two ways that share nothing but the cash flows agree"
        if abs(gap) < _CLOSE
        else "so the two ways differ by more than a point: look at whose loans each of them rests on"
    )
    place = "above" if gap > 0 else "below"
    return f", {format_points(abs(gap))} points {place} the average over all episodes, {verdict}"


def _ending(outcome: str) -> str:
    return outcome_words(outcome) if outcome in set(Outcome) else "that are never resolved"
