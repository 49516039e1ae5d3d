"""Whether reminding before the due date prevents arrears: arms of a random assignment, as assigned.

Every instalment of an assigned facility counts in its arm whatever was done about it (intention to treat), and only
once its thirty days are over: to count an instalment as soon as it is paid would count payers early and others late.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from recoverykit.errors import InsufficientDataError
from recoverykit.operations._arrears import INSTALMENT_COLUMNS, paid_in_full_on
from recoverykit.operations._border import check_frames, day_of
from recoverykit.operations._predue_lines import CLUSTERED, arm_lines, arm_table, held_against
from recoverykit.vocabulary import Assignment

COUNTED, NOT_OVER, BEFORE, AFTER, FURTHER = (
    "counted",
    "window not over at the reporting date",
    "fell due before the protocol could act",
    "fell due after the experiment",
    "further instalment of the facility",
)
_OUTCOMES = (COUNTED, NOT_OVER, BEFORE, AFTER, FURTHER)


@dataclass(frozen=True, slots=True, eq=False)
class PreDueEffect:
    """Delinquency by arm and what the protocol changed.

    Attributes
    ----------
    experiment, control : str
        Name of the experiment and of its control arm.
    days : int
        Days past due that make an instalment delinquent.
    arms : DataFrame
        arm, n_facilities, n_clusters, n_instalments, n_delinquent, delinquency_rate, lower, upper (Wilson).
    effects : DataFrame
        Two rows per arm other than the control. ``line`` is ``independent`` (instalments as independent: Newcombe's
        interval of the difference, score interval of the ratio) or ``clustered`` (instalments of one obligor hang
        together: cluster-robust, t with clusters less one degrees of freedom). Columns: arm, line, difference, lower,
        upper, p_value, relative_reduction, reduction_lower, reduction_upper, design_effect. The difference is arm less
        control; the relative reduction 1 - rate / control rate.
    claim : DataFrame
        arm, claimed_reduction, p_value (that the reduction is as claimed), verdict: ``not excluded``, ``too high`` or
        ``too low``, by the clustered line where it can be told; empty where nothing was claimed.
    sample_sizes : DataFrame
        relative_reduction, n_per_arm, n_per_arm_clustered: instalments that it takes to see such a reduction.
    counted : DataFrame
        what, n_instalments: every instalment of an assigned facility that fell due after its assignment, adding up.
    level : float
        Confidence level.
    """

    experiment: str
    control: str
    days: int
    arms: pd.DataFrame
    effects: pd.DataFrame
    claim: pd.DataFrame
    sample_sizes: pd.DataFrame
    counted: pd.DataFrame
    level: float

    def line(self, arm: str = "") -> pd.Series:
        """Return the line to believe of an arm (the first without a name): clustered where it can be told."""
        rows = self.effects[self.effects["arm"] == (arm or self.effects["arm"].iloc[0])]
        told = rows[(rows["line"] == CLUSTERED) & rows["lower"].notna()]
        return (told if len(told) else rows).iloc[0]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept."""
        return {
            "arms": self.arms,
            "effects": self.effects,
            "claim": self.claim,
            "sample_sizes": self.sample_sizes,
            "counted": self.counted,
        }

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return {
            "experiment": self.experiment,
            "control": self.control,
            "n_instalments": int(self.arms["n_instalments"].sum()),
            "effects": self.effects.to_dict("records"),
            "claim": self.claim.to_dict("records"),
        }


def pre_due_effect(
    instalments: pd.DataFrame,
    assignments: pd.DataFrame,
    *,
    experiment: str,
    reporting_date: str | pd.Timestamp,
    control: str = "control",
    obligors: pd.DataFrame | None = None,
    days: int = 30,
    lead_days: int = 0,
    due_until: str | pd.Timestamp = "",
    first_only: bool = False,
    claimed_reduction: float | None = None,
    power: float = 0.8,
    level: float = 0.95,
) -> PreDueEffect:
    """Compare delinquency between the arms of a random assignment, by intention to treat.

    Parameters
    ----------
    instalments, assignments : DataFrame
        Contract tables. Only facilities of the experiment count, each in the arm to which it was assigned.
    experiment : str
        Name of the experiment in ``assignments``.
    reporting_date : date-like
        Nothing later is read. An instalment counts when due date + ``days`` is not after it.
    control : str
        The arm that the others are compared with.
    obligors : DataFrame, optional
        facility_id and obligor_id: what hangs together; each facility by itself when absent.
    days : int
        An instalment not paid in full this many days after its due date is delinquent, at least 1.
    lead_days : int
        Instalments that fell due sooner than this after the assignment are left out of every arm, because no step of
        the protocol could come before them; at least 0.
    due_until : date-like, optional
        The last due date of the experiment, set before it began; later instalments are left out of every arm. Empty
        for none.
    first_only : bool
        Count the first such instalment of each facility only.
    claimed_reduction : float, optional
        A claim to hold the data against, such as 0.63, a share below 1.
    power, level : float
        Power of the needed sample size, and confidence level, in (0, 1).

    Returns
    -------
    PreDueEffect

    Raises
    ------
    InsufficientDataError
        When the assignment is not random: then a difference between arms is a difference between debtors. Also when
        the experiment or its control is unknown, or an arm holds no instalment that counts.
    ContractError
        When a table lacks a column.
    ValueError
        When an option lies outside its range; all at once.

    Notes
    -----
    Difference: Newcombe (1998), method 10, without continuity correction. Ratio: score interval (Koopman 1984,
    Miettinen & Nurminen 1985), which inverts the score test of the claim. Where an arm is delinquent as a whole,
    that interval cannot be computed, and the one that both Wilson intervals give stands in (MOVER-R, Donner & Zou
    2012). Clustered: linear probability model and Poisson regression with log link and robust standard errors (Zou
    2004). Sample size: two-sided test of two proportions; the clustered figure is multiplied by the design effect, the
    ratio of the two squared errors.
    """
    _check_options(days, lead_days, claimed_reduction, power, level)
    needed: dict[str, Any] = {
        "instalments": (instalments, INSTALMENT_COLUMNS),
        "assignments": (assignments, ["experiment", "facility_id", "assigned_date", "arm", "assignment"]),
    }
    needed |= {} if obligors is None else {"obligors": (obligors, ["facility_id", "obligor_id"])}
    check_frames(needed)
    members = _members(assignments, experiment, control)
    date = day_of(reporting_date, "reporting_date")
    last = day_of(due_until, "due_until") if due_until else date
    frame, counted = _counted(instalments, members, obligors, (date, last), days, lead_days, first_only)
    arms = arm_table(frame, members, level)
    empty = sorted(arms.loc[arms["n_instalments"] == 0, "arm"])
    if empty:
        raise InsufficientDataError(
            f"no instalment counts in {', '.join(empty)}: none fell due after the assignment with its {days} days over "
            f"by {date:%Y-%m-%d}; wait, or ask for fewer days"
        )
    others = [arm for arm in arms["arm"] if arm != control]
    effects = pd.DataFrame([row for arm in others for row in arm_lines(frame, arms, arm, control, level)])
    base = float(arms.set_index("arm")["delinquency_rate"][control])
    design = float(np.nanmax([1.0, *effects["design_effect"].dropna()]))
    worth = sorted({0.1, 0.25, 0.5, *([claimed_reduction] if claimed_reduction and claimed_reduction > 0 else [])})
    sizes = [
        pre_due_sample_size(base, r, power=power, level=level, design_effect=d) for r in worth for d in (1.0, design)
    ]
    return PreDueEffect(
        experiment=experiment,
        control=control,
        days=days,
        arms=arms,
        effects=effects,
        claim=held_against(frame, arms, effects, others, control, claimed_reduction),
        sample_sizes=pd.DataFrame(
            {"relative_reduction": worth, "n_per_arm": sizes[::2], "n_per_arm_clustered": sizes[1::2]}
        ),
        counted=counted,
        level=level,
    )


def pre_due_sample_size(
    control_rate: float,
    relative_reduction: float,
    *,
    power: float = 0.8,
    level: float = 0.95,
    design_effect: float = 1.0,
) -> float:
    """Return the instalments that each arm needs for a relative reduction of delinquency to be seen.

    Parameters
    ----------
    control_rate : float
        Share delinquent without the protocol, in (0, 1); otherwise the answer is NaN.
    relative_reduction : float
        1 - rate / control_rate, in (0, 1].
    power, level : float
        In (0, 1); the test is two-sided at 1 - level.
    design_effect : float
        By how much clustering raises the variance, at least 1.

    Returns
    -------
    float
        A whole number, rounded up.

    Examples
    --------
    >>> pre_due_sample_size(0.10, 0.20)
    3213.0
    """
    if not 0 < control_rate < 1:
        return float("nan")
    n = samplesize_proportions_2indep_onetail(
        -control_rate * relative_reduction, control_rate, power, alpha=1 - level, alternative="two-sided"
    )
    return float(np.ceil(n * design_effect))


def _check_options(days: int, lead_days: int, claimed: float | None, power: float, level: float) -> None:
    wrong = [] if days >= 1 else [f"days is {days}; it must be at least 1"]
    wrong += [] if lead_days >= 0 else [f"lead_days is {lead_days}; it must be at least 0"]
    wrong += [] if claimed is None or claimed < 1 else [f"claimed_reduction is {claimed}; it must be below 1 (0.63)"]
    wrong += [f"{n} is {v}; it must lie in (0, 1)" for n, v in (("power", power), ("level", level)) if not 0 < v < 1]
    if wrong:
        raise ValueError("; ".join(wrong))


def _members(assignments: pd.DataFrame, experiment: str, control: str) -> pd.DataFrame:
    """Return the facilities of an experiment; anything but a random assignment with a control is refused."""
    members = assignments[assignments["experiment"] == experiment]
    if members.empty:
        known = ", ".join(sorted(assignments["experiment"].unique())) or "none"
        raise InsufficientDataError(f"no experiment {experiment!r}; there are: {known}")
    how = sorted(set(members["assignment"].astype(str)) - {Assignment.RANDOM.value})
    if how:
        raise InsufficientDataError(
            f"the arms of {experiment!r} were assigned by {' and '.join(how)}, so a difference between them may be one "
            "between debtors; assign at random, or use a regression discontinuity where a rule with a cut-off assigned"
        )
    if control not in set(members["arm"]) or members["arm"].nunique() < 2:
        arms = ", ".join(sorted(members["arm"].unique()))
        raise InsufficientDataError(f"{experiment!r} needs the control {control!r} and another arm; it has {arms}")
    return members[["facility_id", "assigned_date", "arm"]]


def _counted(
    instalments: pd.DataFrame,
    members: pd.DataFrame,
    obligors: pd.DataFrame | None,
    dates: tuple[pd.Timestamp, pd.Timestamp],
    days: int,
    lead_days: int,
    first_only: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the instalments that count, with is_delinquent and cluster, and what became of all of them.

    ``dates`` are the reporting date and the last due date of the experiment.
    """
    date, last = dates
    frame = instalments.merge(members, on="facility_id").sort_values(["facility_id", "due_date"], ignore_index=True)
    frame = frame[(frame["due_date"] > frame["assigned_date"]) & (frame["due_date"] <= date)]
    early = frame["due_date"] < frame["assigned_date"] + pd.Timedelta(days=lead_days)
    deadline = frame["due_date"] + pd.Timedelta(days=days)
    is_further = ~early & frame.assign(early=early).duplicated(["facility_id", "early"]) & first_only
    late = frame["due_date"] > last
    what = np.select([early, late, is_further, deadline > date], [BEFORE, AFTER, FURTHER, NOT_OVER], COUNTED)
    paid = paid_in_full_on(frame)
    cluster = frame["facility_id"]
    if obligors is not None:
        cluster = cluster.map(obligors.set_index("facility_id")["obligor_id"]).fillna(cluster)
    frame = frame.assign(is_delinquent=~(paid <= deadline), cluster=cluster)[what == COUNTED]
    found = pd.Series(what).value_counts()
    counted = pd.DataFrame({"what": _OUTCOMES, "n_instalments": [int(found.get(name, 0)) for name in _OUTCOMES]})
    return frame.reset_index(drop=True), counted
