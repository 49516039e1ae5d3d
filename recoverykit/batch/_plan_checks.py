"""Checks of a plan against its notebooks and segments; each notes every problem that it finds, none raises."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recoverykit.batch._names import nearest
from recoverykit.batch._parameters import INJECTED, Parameter, refuse_secret
from recoverykit.batch._tasks import Scope, Task
from recoverykit.vocabulary import SEGMENT_SEPARATOR, WHOLE_BOOK

if TYPE_CHECKING:
    from recoverykit.batch.plan import Plan


def runs_over(scope: Scope, segments: Sequence[str]) -> Sequence[str]:
    """Return the segments, or groups of them, over which a stage runs; an empty name for the whole book."""
    groups = dict.fromkeys(segment.split(SEGMENT_SEPARATOR)[0] for segment in segments)
    return {Scope.PORTFOLIO: [""], Scope.GROUP: [*groups], Scope.SEGMENT: segments}[scope]


def stages_before(plan: "Plan", problems: list[str]) -> dict[str, tuple[str, ...]]:
    """Return by stage all the stages that it comes after, directly or through others, in the order of the plan."""
    before: dict[str, tuple[str, ...]] = {}
    for stage in plan.stages:
        known = [*before]
        for name in stage.after or []:
            if name not in before:
                problems.append(f"stage {stage.name!r}: no stage {name!r} stands above it; {nearest(name, known)}")
        direct = known if stage.after is None else [name for name in stage.after if name in before]
        wanted = {*direct, *(name for other in direct for name in before[other])}
        before.setdefault(stage.name, tuple(name for name in known if name in wanted))
    return before


def check_overrides(
    texts: Mapping[str, str], cells: Mapping[str, Mapping[str, Parameter]], problems: list[str]
) -> None:
    """Note every parameter of the command line that no notebook has, that the run sets, or that is a secret."""
    known = {parameter for cell in cells.values() for parameter in cell}
    problems += _unknown(texts, known, "command line: no notebook of the plan has a parameter")
    _check_group("command line", texts, problems)


def repeated(tasks: Sequence[Task]) -> list[str]:
    """Say which notebooks would run twice for the same loans, as with a group that is a segment or the whole book."""
    keys = Counter((task.notebook, task.segment or WHOLE_BOOK) for task in tasks)
    twice = [(name, segment) for (name, segment), n in keys.items() if n > 1]
    return [f"notebook {n!r} would run twice for {s!r}; its results would overwrite each other" for n, s in twice]


def check_names(
    plan: "Plan", segments: Sequence[str], cells: Mapping[str, dict[str, Parameter]], problems: list[str]
) -> None:
    """Note every parameter and segment of the plan that no notebook and no data know."""
    names = [stage.name for stage in plan.stages]
    problems += [f"stage {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for scope in Scope:
        listed = [name for stage in plan.stages if stage.scope is scope for name in stage.notebooks]
        twice = sorted({n for n in listed if listed.count(n) > 1})
        problems += [
            f"notebook {name!r} stands twice with scope {scope.value!r}; its results would overwrite each other"
            for name in twice
        ]
    of_segments = [name for stage in plan.stages if stage.scope is not Scope.PORTFOLIO for name in stage.notebooks]
    if of_segments and not segments:
        problems.append("the plan has notebooks by segment, but no segment holds a default episode")
    whole_plan = {parameter for cell in cells.values() for parameter in cell}
    problems += _unknown(plan.parameters, whole_plan, "parameters: no notebook of the plan has a parameter")
    for stage in plan.stages:
        known = [(name, cells[name]) for name in stage.notebooks if name in cells]
        for name, cell in known:
            problems += _unknown(stage.parameters, cell, f"stage {stage.name!r}: {name} has no parameter")
    in_segments = {parameter for name in of_segments for parameter in cells.get(name, {})}
    named = {*segments, *(name for stage in plan.stages for name in runs_over(stage.scope, segments) if name)}
    if plan.segment_by and WHOLE_BOOK in named:
        problems.append(f"a segment or group is named {WHOLE_BOOK!r}, as the whole book is; give it another value")
    for segment, parameters in plan.segment_parameters.items():
        if segment not in named:
            problems.append(f"segment_parameters: no segment {segment!r}; {nearest(segment, named)}")
        where = f"segment_parameters of {segment!r}: no notebook by segment has a parameter"
        problems += _unknown(parameters, in_segments, where)
    _check_settable(plan, problems)


def _unknown(names: Iterable[str], known: Iterable[str], sentence: str) -> list[str]:
    known = set(known)
    return [f"{sentence} {name!r}; {nearest(name, known)}" for name in names if name not in known]


def _check_settable(plan: "Plan", problems: list[str]) -> None:
    groups: list[tuple[str, Mapping[str, Any]]] = [("parameters", plan.parameters)]
    groups += [(f"stage {stage.name!r}", stage.parameters) for stage in plan.stages]
    groups += [(f"segment_parameters of {name!r}", group) for name, group in plan.segment_parameters.items()]
    for where, parameters in groups:
        _check_group(where, parameters, problems)


def _check_group(where: str, parameters: Mapping[str, Any], problems: list[str]) -> None:
    for name, value in parameters.items():
        if name in INJECTED:
            problems.append(f"{where}: {name!r} is set by the run itself; leave it out")
        try:
            refuse_secret(name, value)
        except ValueError as error:
            problems.append(f"{where}: {name!r} {error}")
