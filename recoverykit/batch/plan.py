"""The plan of a run: which notebooks, over which segments, with which parameters, settled before anything runs.

A plan is a YAML file. ``read_plan`` checks its form, ``expand_plan`` turns it into tasks and checks every name and
every value against the parameters cells of the notebooks. Both report all problems at once. This module knows nothing
of the data: segments come in as names.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from recoverykit.batch._names import nearest
from recoverykit.batch._parameters import (
    SEGMENT_PARAMETER,
    Parameter,
    read_parameters,
    typed_value,
    value_from_text,
)
from recoverykit.batch._plan_checks import check_names, check_overrides, repeated, runs_over, stages_before
from recoverykit.batch._tasks import ParameterValue, Scope, Task
from recoverykit.errors import PlanError
from recoverykit.vocabulary import OperationTable

_SCALARS = ["string", "integer", "number", "boolean"]
_VALUE_SCHEMA = {"anyOf": [{"type": _SCALARS}, {"type": "array", "items": {"type": "string"}}]}


def _plain_value(value: Any) -> Any:
    """Bring a YAML value to one that a parameters cell can hold; dates become ISO strings."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain_value(item) for item in value]
    if isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"{value!r} is no parameter value; allowed are text, numbers, true or false and lists of text")


_Value = Annotated[Any, BeforeValidator(_plain_value), WithJsonSchema(_VALUE_SCHEMA)]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class Stage(BaseModel):
    """A group of notebooks that may run at the same time, once the stages that it comes after have ended."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: _Name = Field(description="Name of the stage.")
    scope: Annotated[Scope, Field(strict=False)] = Field(
        description="'portfolio' runs each notebook once, 'segment_group' once for each value of the first segment "
        "column, 'segment' once for each segment."
    )
    notebooks: list[str] = Field(min_length=1, description="Names of the notebooks, without .ipynb.")
    needs: list[Annotated[OperationTable, Field(strict=False)]] = Field(
        default=[], description="Tables of the recovery unit without which the stage is left out, and the pack says so."
    )
    after: list[str] | None = Field(
        default=None,
        description="Stages above this one whose results it reads: it begins when they have ended, and runs again when "
        "their results change. All stages above it when the key is left out; none with [].",
    )
    parameters: dict[str, _Value] = Field(default={}, description="For every notebook of this stage.")


class Plan(BaseModel):
    """What one run consists of."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, title="recoverykit plan")

    version: int = Field(ge=1, le=1, description="Version of this form: 1.")
    name: _Name = Field(description="Short name; begins the name of the run folder.")
    title: str = Field(min_length=1, description="Title of the pack.")
    notebooks_folder: str = Field(default=".", description="Folder of the notebooks, relative to the plan.")
    segment_by: list[str] = Field(default=[], description="Columns of facilities that make the segments.")
    parameters: dict[str, _Value] = Field(default={}, description="For every notebook that has such a parameter.")
    stages: list[Stage] = Field(min_length=1, description="Each below the stages that it comes after.")
    segment_parameters: dict[str, dict[str, _Value]] = Field(
        default={}, description="Parameters of single segments, by the name of the segment."
    )


class _StrictLoader(yaml.SafeLoader):
    """YAML loader that does not let a repeated key overwrite the first one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def read_plan(path: str | Path) -> Plan:
    """Read a plan and check its form.

    Parameters
    ----------
    path : path
        The YAML file.

    Returns
    -------
    Plan
        With ``notebooks_folder`` as an absolute path.

    Raises
    ------
    PlanError
        When the file cannot be read, a key is unknown (with the nearest valid one) or a value has the wrong form; all
        problems at once.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PlanError(f"the plan {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise PlanError(f"the plan {path} holds no keys; begin with 'version: 1'")
    try:
        plan = Plan.model_validate(content)
    except ValidationError as error:
        raise _plan_error([_form_problem(dict(item)) for item in error.errors()], f"the plan {path.name}") from None
    folder = (path.parent / plan.notebooks_folder).resolve()
    return plan.model_copy(update={"notebooks_folder": str(folder)})


def plan_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a plan, with which an editor completes and checks one."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Plan.model_json_schema()}


def expand_plan(
    plan: Plan,
    segments: Sequence[str],
    injected: Mapping[str, str],
    *,
    overrides: Mapping[str, str] | None = None,
) -> list[Task]:
    """Turn a plan into the tasks of a run, with complete and typed parameters.

    Parameters
    ----------
    plan : Plan
        From ``read_plan``.
    segments : sequence of str
        Names of the segments that hold data.
    injected : mapping of str to str
        What the run sets in every notebook: ``data``, ``reporting_date``, ``results_folder``. The segment is added.
    overrides : mapping of str to str, optional
        Parameters as text, from ``read_overrides``; they go before what the plan says.

    Returns
    -------
    list of Task
        Stage by stage; within a stage by segment, or by group of segments, one after the other, notebooks in the order
        of the plan.

    Raises
    ------
    PlanError
        For an unknown notebook, parameter or segment (with the nearest one), a value of the wrong type, a parameter
        that the run itself sets or that looks like a secret; all problems at once.
    """
    problems: list[str] = []
    cells = _parameter_cells(plan, problems)
    check_names(plan, segments, cells, problems)
    texts = dict(overrides or {})
    check_overrides(texts, cells, problems)
    before = stages_before(plan, problems)
    tasks = []
    for stage in plan.stages:
        names = [name for name in stage.notebooks if name in cells]
        for segment in runs_over(stage.scope, segments):
            fixed = {**injected, SEGMENT_PARAMETER: segment} if segment else dict(injected)
            given = [plan.parameters, stage.parameters, plan.segment_parameters.get(segment, {})]
            for name in names:
                parameters = _resolve(name, cells[name], given, texts, fixed, problems)
                path = str(_notebook_path(plan, name))
                tasks.append(Task(name, path, stage.name, segment, parameters, before[stage.name]))
    problems += [] if problems else repeated(tasks)
    if problems:
        raise _plan_error(problems, f"the plan {plan.name!r}")
    return tasks


def read_overrides(items: Sequence[str]) -> dict[str, str]:
    """Read parameters of the form ``name=value`` from the command line.

    Raises
    ------
    PlanError
        When an item has another form, or a name stands twice.

    Examples
    --------
    >>> read_overrides(["level=0.9", "note=a=b"])
    {'level': '0.9', 'note': 'a=b'}
    """
    parts = [item.partition("=") for item in items]
    odd = ["".join(part) for part in parts if not part[1] or not part[0].isidentifier()]
    problems = [f"{item!r} is not of the form name=value" for item in odd]
    names = [part[0] for part in parts]
    problems += [f"parameter {name!r} is given twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if problems:
        raise _plan_error(problems, "the parameters of the command line")
    return {name: text for name, _, text in parts}


def stages_from(plan: Plan, name: str) -> frozenset[str]:
    """Return a stage and all the stages that come after it, directly or through others; none for an empty name.

    Raises
    ------
    PlanError
        When the plan has no such stage, with the nearest one.
    """
    names = [stage.name for stage in plan.stages]
    if not name:
        return frozenset()
    if name not in names:
        raise PlanError(f"the plan {plan.name!r} has no stage {name!r}; {nearest(name, names)}")
    before = stages_before(plan, [])
    return frozenset({name, *(other for other in names if name in before[other])})


def select_tasks(tasks: Sequence[Task], *, only: Sequence[str] = (), segments: Sequence[str] = ()) -> list[Task]:
    """Return the tasks of the named notebooks and segments.

    Parameters
    ----------
    tasks : sequence of Task
        All tasks of the plan.
    only : sequence of str
        Names of notebooks; empty for all.
    segments : sequence of str
        Names of segments; empty for all. With segments named, a notebook that runs once for the book stays out unless
        ``only`` names it, since it would speak of a part as of the whole.

    Raises
    ------
    PlanError
        When a name does not exist, or nothing is left.
    """
    problems = []
    for kind, names, known in (
        ("notebook", only, {task.notebook for task in tasks}),
        ("segment", segments, {task.segment for task in tasks if task.segment}),
    ):
        problems += [f"no {kind} {name!r}; {nearest(name, known)}" for name in names if name not in known]
    if problems:
        raise _plan_error(problems, "the selection")
    chosen = [task for task in tasks if not only or task.notebook in only]
    chosen = [t for t in chosen if not segments or t.segment in segments or (not t.segment and only)]
    if not chosen:
        raise PlanError("nothing is left to run; name other notebooks or segments")
    return chosen


def _notebook_path(plan: Plan, name: str) -> Path:
    return Path(plan.notebooks_folder) / f"{name}.ipynb"


def _parameter_cells(plan: Plan, problems: list[str]) -> dict[str, dict[str, Parameter]]:
    folder = Path(plan.notebooks_folder)
    present = {path.stem for path in folder.glob("*.ipynb")}
    cells: dict[str, dict[str, Parameter]] = {}
    for stage in plan.stages:
        for name in stage.notebooks:
            if name not in present:
                problems.append(f"stage {stage.name!r}: no notebook {name!r} in {folder}; {nearest(name, present)}")
            elif name not in cells:
                try:
                    cells[name] = read_parameters(_notebook_path(plan, name))
                except PlanError as error:
                    problems.append(str(error))
    return cells


def _resolve(
    notebook: str,
    cell: Mapping[str, Parameter],
    given: Iterable[Mapping[str, Any]],
    texts: Mapping[str, str],
    fixed: Mapping[str, str],
    problems: list[str],
) -> dict[str, ParameterValue]:
    """Return the values of one execution: defaults, the plan from general to special, overrides, the run's own."""
    values: dict[str, Any] = {name: parameter.default for name, parameter in cell.items()}
    for group in given:
        values.update({name: value for name, value in group.items() if name in cell and name not in texts})
    missing = [name for name in fixed if name not in cell]
    found = [f"{notebook} has no parameter {name!r}, which the run sets; add '{name}: str' to it" for name in missing]
    values.update({name: value for name, value in fixed.items() if name in cell})
    for name, value in values.items():
        kind = cell[name].type
        try:
            overridden = name in texts and name not in fixed
            values[name] = value_from_text(texts[name], kind) if overridden else typed_value(value, kind)
        except ValueError as error:
            found.append(f"{notebook}, parameter {name!r}: {error}")
    problems += [problem for problem in found if problem not in problems]  # the same for every segment: once is enough
    return values


def _form_problem(item: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        model: type[BaseModel] = Stage if item["loc"][0] == "stages" else Plan
        return f"unknown key {place!r}; {nearest(str(item['loc'][-1]), model.model_fields)}"
    if item["type"] == "missing":
        return f"key {place!r} is missing"
    return f"{place}: {item['msg'].removeprefix('Value error, ')}"


def _plan_error(problems: Sequence[str], where: str) -> PlanError:
    count = len(problems)
    lines = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(problems, 1))
    return PlanError(f"{count} problem{'s' if count != 1 else ''} in {where}:\n{lines}")
