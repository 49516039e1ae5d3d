"""Rules as data: a YAML file becomes a frozen value, and every problem in it is told at once, with its line."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from recoverykit.data._spec_yaml import Place, Problem, StrictYaml, read_strict_yaml
from recoverykit.errors import SpecError

Rules = TypeVar("Rules", bound=BaseModel)
#: The rules that come with the kit.
HOUSE_RULES = Path(__file__).parent / "rules"


def read_rules(path: str | Path, form: type[Rules], *, unique: str = "") -> Rules:
    """Read a rule file and check all of it.

    Parameters
    ----------
    path : path
        A YAML file, or the name of one that comes with the kit.
    form : pydantic model
        What the file must be.
    unique : str
        The list of the file whose entries must have different names; empty for none.

    Raises
    ------
    SpecError
        When the file cannot be read or breaks its form; lists every problem with its line.
    """
    path = Path(path)
    content = read_strict_yaml(path)
    problems = list(content.problems)
    if not isinstance(content.data, dict):
        raise SpecError(f"the rule file {path.name} holds no keys; begin with 'version: 1'")
    repeated = _repeated(content.data, unique)
    problems += repeated
    try:
        rules = form.model_validate(content.data)
    except ValidationError as error:
        found = [dict(item) for item in error.errors()]
        problems += [_problem(item, form) for item in found if not _is_echo(item, found, repeated)]
    if problems:
        raise SpecError(_message(path, content, problems))
    return rules


def _repeated(data: Mapping[str, Any], unique: str) -> list[Problem]:
    entries = data.get(unique)
    if not isinstance(entries, list):
        return []
    seen: set[str] = set()
    problems = []
    for order, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue  # a name that is missing or no text is a problem of its own
        if name in seen:
            problems.append(Problem((unique, order, "name"), f"the name {name!r} stands twice; give each its own"))
        seen.add(name)
    return problems


def _is_echo(item: dict[str, Any], found: list[dict[str, Any]], repeated: list[Problem]) -> bool:
    """Tell whether a list is called too short only for want of entries in order, or a repeated name was told before."""
    place = tuple(item["loc"])
    within = [other for other in found if len(other["loc"]) > len(place) and tuple(other["loc"][: len(place)]) == place]
    told = item["type"] == "value_error" and "stands twice" in str(item["msg"]) and bool(repeated)
    return told or (item["type"] == "too_short" and bool(within))


def _problem(item: dict[str, Any], form: type[BaseModel]) -> Problem:
    place: Place = tuple(item["loc"])
    if item["type"] == "extra_forbidden":
        known = _fields_at(form, place[:-1])
        close = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
        hint = f"nearest valid key: {close[0]}" if close else f"valid keys: {', '.join(known)}"
        return Problem(place, f"unknown key {place[-1]!r}; {hint}")
    if item["type"] == "missing":
        return Problem(place, f"the key {place[-1]!r} is missing")
    return Problem(place, str(item["msg"]).removeprefix("Value error, "))


def _fields_at(form: type[BaseModel], place: Place) -> list[str]:
    """Return the keys that a place of a rule file may have."""
    here: Any = form
    for part in place:
        if isinstance(part, int) or not hasattr(here, "model_fields"):
            continue
        annotation = here.model_fields[part].annotation
        inner = [a for a in getattr(annotation, "__args__", (annotation,)) if hasattr(a, "model_fields")]
        here = inner[0] if inner else annotation
    return list(getattr(here, "model_fields", {}))


def _message(path: Path, content: StrictYaml, problems: list[Problem]) -> str:
    lines = []
    for number, problem in enumerate(problems, 1):
        where = ".".join(str(part) for part in problem.place)
        line = content.line_of(problem.place)
        lines.append(f"  {number}. {f'line {line}, ' if line else ''}{where}: {problem.text}")
    count = len(problems)
    return f"{count} problem{'s' if count != 1 else ''} in the rule file {path.name}:\n" + "\n".join(lines)
