"""Stages that the data cannot fill: left out before anything runs, and told in words."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from recoverykit.batch._tasks import Task
from recoverykit.batch.plan import Plan
from recoverykit.errors import PlanError


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A stage that is not run because the data lack tables.

    Attributes
    ----------
    stage : str
        Name of the stage.
    missing : tuple of str
        The tables that it needs and that are not there.
    notebooks : tuple of str
        What would have run.
    """

    stage: str
    missing: tuple[str, ...]
    notebooks: tuple[str, ...]

    def __str__(self) -> str:
        """Return the reason in one line."""
        tables = f"table{'s' if len(self.missing) != 1 else ''} {', '.join(self.missing)}"
        return f"{self.stage}: the data hold no {tables}, so {', '.join(self.notebooks)} did not run"


def leave_out(plan: Plan, tasks: Sequence[Task], tables: Collection[str]) -> tuple[list[Task], list[LeftOut]]:
    """Return the tasks that the data can fill, and the stages that they cannot.

    Parameters
    ----------
    plan : Plan
        The plan, with what each stage needs.
    tasks : sequence of Task
        All its tasks, from ``expand_plan``: names and parameters of stages that are left out are checked all the same.
    tables : collection of str
        The tables of the recovery unit that the data hold.

    Returns
    -------
    tasks : list of Task
        In their order.
    left_out : list of LeftOut
        In the order of the plan; empty when the data hold everything.

    Raises
    ------
    PlanError
        When nothing is left to run.
    """
    lacking = {stage.name: tuple(str(name) for name in stage.needs if name not in tables) for stage in plan.stages}
    left_out = [
        LeftOut(stage.name, lacking[stage.name], tuple(stage.notebooks)) for stage in plan.stages if lacking[stage.name]
    ]
    kept = [task for task in tasks if not lacking[task.stage]]
    if tasks and not kept:
        reasons = "; ".join(str(stage) for stage in left_out)
        raise PlanError(
            f"nothing is left to run in the plan {plan.name!r}: {reasons}; give the tables in the data spec"
        )
    return kept, left_out
